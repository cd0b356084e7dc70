"""Comparing networks by programs of raw sockets: so many, all from one seed."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from columns import columns
from raw_programs import BUNDLE, bundles
from raw_run import alike, all_alike, run
from raw_steps import LEFT_OVER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from raw_run import Outcome
    from raw_steps import Step
    from stages import Stage

TestT = TypeVar("TestT", bound="Callable[..., Any]")

# The lab is started with this environment, and so has the same seed.
SEED: Final = int(
    os.environ.setdefault("ANYCAN_DIFFERENTIAL_SEED", str(secrets.randbelow(1 << 32)))
)
"""Where programs come from: the same seed, the same programs."""
_SHRINKING: Final = 60.0
"""Seconds for which a program that shows a difference is made smaller."""


@attrs.define
class Tally:
    """What was compared."""

    programs: int = 0
    steps: int = 0


def generate(count: int, seed: int) -> list[list[Step]]:
    """Give so many programs."""
    found: list[list[Step]] = []

    @_settings(count, seed, Phase.generate)
    @given(bundle=bundles())
    def take(bundle: list[list[Step]]) -> None:
        found.extend(bundle)

    take()
    return found[:count]


def compare(stages: Mapping[str, Stage], count: int, seed: int) -> Tally:
    """Run so many programs on networks; fail the test if one of them is another than the first.

    The program that shows it is made as small as it can be in a minute.
    """
    tally = Tally()
    shrinking = _Shrinking()

    @_settings(count, seed, Phase.generate, Phase.shrink)
    @given(bundle=bundles())
    def is_the_same(bundle: list[list[Step]]) -> None:
        for position, program in enumerate(bundle[: count - tally.programs]):
            if shrinking.position not in {None, position}:
                continue
            text = shrinking.known(program)
            if text is None:
                text = difference(program, stages)
                shrinking.note(position, program, text)
            if text:
                pytest.fail(f"seed {seed}:\n{text}", pytrace=False)
            tally.programs += 1
            tally.steps += len(program)

    is_the_same()
    return tally


class _Shrinking:
    """What is known of programs once one has shown a difference.

    Many bytes choose the same program. And the search for a smaller one ends in time: programs
    that were not run by then are taken for alike.

    Attributes:
        position: Where in its bundle the program stood that showed a difference.
    """

    def __init__(self) -> None:
        self.position: int | None = None
        self._end = 0.0
        self._texts: dict[str, str] = {}

    def note(self, position: int, program: list[Step], text: str) -> None:
        """Take note of what difference a program shows, if any."""
        if text and self.position is None:
            self.position = position
            self._end = time.monotonic() + _SHRINKING
        if self.position is not None:
            self._texts[repr(program)] = text

    def known(self, program: list[Step]) -> str | None:
        """Give what a program shows; None: it is to be run."""
        if self.position is None:
            return None
        late = time.monotonic() > self._end
        return self._texts.get(repr(program), "" if late else None)


def difference(program: Sequence[Step], stages: Mapping[str, Stage]) -> str:
    """Run a program on networks until one is another than the first; give how, as a text."""
    (first, reference), *others = stages.items()
    expected = run(program, reference)
    for name, stage in others:
        outcomes = run(program, stage)
        if not all_alike(outcomes, expected):
            return _shown(program, (first, name), expected, outcomes)
    return ""


def _shown(
    program: Sequence[Step], names: tuple[str, str], left: list[Outcome], right: list[Outcome]
) -> str:
    end = len(program)
    rows = list(zip([*program, *LEFT_OVER], left, right, strict=True))
    rows[end:] = [row for row in rows[end:] if not alike(*row[1:])]
    steps, left, right = map(list, zip(*rows, strict=True))
    return columns(names, steps, left, right, alike=alike)


def _settings(count: int, seed: int, *phases: Phase) -> Callable[[TestT], TestT]:
    chosen = settings(
        max_examples=-(-count // BUNDLE),
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=False,
    )
    return lambda test: hypothesis.seed(seed)(chosen(test))
