"""Tests of words: one comparison, one look-up or one bisection, whichever the cubes allow."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from anycan.filter._cubes import STANDARD_BITS, Cube, merge
from anycan.frame import EFF_FLAG, EFF_MASK, ERR_FLAG, RTR_FLAG, SFF_MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.filter._conditions import Test
    from anycan.frame import AnyFrame

_FEW: Final = 3  # masks that are tried one after the other


def test_of_cubes(cubes: Iterable[Cube]) -> Test:
    """Make a test for being in one of the cubes; it is false for error frames' words."""
    by_mask: dict[int, set[int]] = {}
    merged = merge(cubes)
    for value, mask in merged:
        # No data frame has the error flag: with it in the mask no error frame passes.
        by_mask.setdefault(mask | ERR_FLAG, set()).add(value)
    groups = [(mask, frozenset(values)) for mask, values in by_mask.items()]
    if len(merged) == 1:
        return _test_of_one(merged[0][0], groups[0][0])
    if len(groups) == 1:
        return _test_of_values(*groups[0])
    if len(groups) > _FEW and all(map(_is_run, merged)):
        return _test_of_runs(merged)
    return _test_of_groups(groups)


def _test_of_one(value: int, mask: int) -> Test:
    def test(
        _kind: int, word: int, _data: bytes, _interface: str | None, _frame: AnyFrame | None
    ) -> bool:
        return word & mask == value

    return test


def _test_of_values(mask: int, values: frozenset[int]) -> Test:
    def test(
        _kind: int, word: int, _data: bytes, _interface: str | None, _frame: AnyFrame | None
    ) -> bool:
        return word & mask in values

    return test


def _test_of_groups(groups: list[tuple[int, frozenset[int]]]) -> Test:
    def test(
        _kind: int, word: int, _data: bytes, _interface: str | None, _frame: AnyFrame | None
    ) -> bool:
        for mask, values in groups:  # noqa: SIM110 - any() with a generator costs more
            if word & mask in values:
                return True
        return False

    return test


def _width(value: int) -> int:
    return EFF_MASK if value & EFF_FLAG else SFF_MASK


def _is_run(cube: Cube) -> bool:
    """Tell whether the identifiers of a cube follow one another, with both flags decided."""
    value, mask = cube
    free = _width(value) & ~mask
    flags = EFF_FLAG | RTR_FLAG
    return mask & flags == flags and not free & (free + 1) and mask | free == flags | _width(value)


def _test_of_runs(cubes: list[Cube]) -> Test:
    bounds: list[int] = []  # where a run begins, and where it has ended, in turn
    for value, mask in sorted(cubes):
        if bounds and bounds[-1] == value:
            bounds.pop()
        else:
            bounds.append(value)
        bounds.append(value + (_width(value) & ~mask) + 1)
    standard = STANDARD_BITS | ERR_FLAG  # without the VCID

    def test(
        _kind: int, word: int, _data: bytes, _interface: str | None, _frame: AnyFrame | None
    ) -> bool:
        return bisect_right(bounds, word if word >= EFF_FLAG else word & standard) & 1 != 0

    return test
