"""Bugs that are planted into the user network, one at a time: programs have to find each.

    python tests/lab python tests/differential/mutations.py [PROGRAMS] [SEED]

compares with the kernel, and prints after how many programs each was found. Where there is no
kernel with CAN, ``--user`` compares with the user network without a bug::

    python tests/differential/mutations.py --user
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "lab")]

import pytest

from bugs import MUTATIONS, name_of
from raw_comparison import SEED, generate
from raw_run import all_alike, run
from stages import KernelStage, UserStage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bugs import Mutation
    from raw_run import Outcome
    from raw_steps import Step
    from stages import Stage


def found_after(
    mutation: Mutation, programs: Sequence[list[Step]], expected: Sequence[list[Outcome]]
) -> int | None:
    """Plant a bug, and give how many programs it takes to find it; None: they do not.

    Args:
        mutation: The bug.
        programs: What to run.
        expected: What should come of each.
    """
    stage = UserStage(pair=True)
    with pytest.MonkeyPatch.context() as patch:
        mutation(patch)
        for count, (program, outcomes) in enumerate(zip(programs, expected, strict=True), 1):
            if not all_alike(run(program, stage), outcomes):
                return count
    return None


def table(results: dict[str, int | None], count: int) -> str:
    """Give a text: what each bug is, and after how many programs it was found."""
    width = max(map(len, results))
    lines = [
        f"{name:{width}}  {'NOT FOUND' if number is None else f'{number:9}'}"
        for name, number in results.items()
    ]
    found = sum(number is not None for number in results.values())
    summary = f"{found} of {len(results)} bugs found by {count} programs"
    return "\n".join([f"{'the bug':{width}}   programs", *lines, summary])


def main(count: int, seed: int, stage: Stage) -> bool:
    """Print what becomes of each bug; tell whether all are found."""
    programs = generate(count, seed)
    expected = [run(program, stage) for program in programs]
    results = {name_of(one): found_after(one, programs, expected) for one in MUTATIONS}
    print(table(results, count))  # noqa: T201 - it is a program
    print(f"seed {seed}, compared with {type(stage).__name__}")  # noqa: T201 - as above
    return None not in results.values()


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--user"]
    chosen = UserStage(pair=True) if "--user" in sys.argv else KernelStage(pair=True)
    how_many = int(words[0]) if words else 300
    sys.exit(0 if main(how_many, int(words[1]) if len(words) > 1 else SEED, chosen) else 1)
