"""The programs would find a bug: each of those that are planted is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bugs import MUTATIONS, name_of
from mutations import found_after, table
from raw_comparison import generate
from raw_run import all_alike, run
from stages import KernelStage, UserStage

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = 100
SEED = 137  # one whose programs find each soon


@pytest.mark.kernel
@pytest.mark.timeout(240)
def test_planted_bugs_are_found(record_property: Callable[[str, object], None]) -> None:
    stage = KernelStage(pair=True)
    programs = generate(PROGRAMS, SEED)
    expected = [run(program, stage) for program in programs]
    stage.close()
    user = UserStage(pair=True)
    for program, outcomes in zip(programs, expected, strict=True):
        assert all_alike(run(program, user), outcomes)
    results = {name_of(one): found_after(one, programs, expected) for one in MUTATIONS}
    text = table(results, PROGRAMS)
    assert None not in results.values(), text
    record_property("differential-line", f"planted into raw sockets: {text.splitlines()[-1]}")
