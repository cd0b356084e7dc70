"""Sets of words, as cubes: a value in the bits of a mask.

A word is ``can_id`` of a data or remote frame: 29-bit flag (1 << 31), remote flag (1 << 30) and 29
bits of identifier. A word without the 29-bit flag has 11 bits of identifier and nothing above
them, unless it is that of a CAN XL frame, which has the VCID in bits 16 to 23.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from anycan.filter._kernel import CanFilter
from anycan.frame import EFF_FLAG, RTR_FLAG, SFF_MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

Cube = tuple[int, int]
"""``(value, mask)``: the words with ``word & mask == value``; the value is within the mask."""

EVERYTHING: Final[Cube] = (0, 0)
MOST: Final = 4096  # cubes in the middle of a calculation
VCID_BITS: Final = 0x00FF0000  # linux/can.h: CANXL_VCID_VAL_MASK, at CANXL_VCID_OFFSET
UNUSED_BITS: Final = 0x1F00F800  # of an identifier field with 11 bits, whatever the frame
STANDARD_BITS: Final = EFF_FLAG | RTR_FLAG | SFF_MASK

_MOST_STEPS: Final = 1 << 20


def normal(value: int, mask: int) -> Cube | None:
    """Give the same words without the bits that none of them can have; None: there are none."""
    if mask & EFF_FLAG and not value & EFF_FLAG:
        unused = UNUSED_BITS | VCID_BITS if value & RTR_FLAG else UNUSED_BITS
        if value & unused:
            return None
        mask &= ~unused
    return value, mask


def _grouped(cubes: Iterable[Cube]) -> dict[int, set[int]]:
    groups: dict[int, set[int]] = {}
    for value, mask in cubes:
        groups.setdefault(mask, set()).add(value)
    return groups


def is_covered(cube: Cube, cubes: Iterable[Cube]) -> bool:
    """Tell whether one of the cubes contains all words of another.

    Example:
        >>> is_covered((0x701, 0xC00007FF), [(0x700, 0xC0000700)])
        True
    """
    value, mask = cube
    return any(
        outer_mask & mask == outer_mask and value & outer_mask == outer
        for outer, outer_mask in cubes
    )


def are_covered(cubes: Iterable[Cube], others: Iterable[Cube]) -> bool:
    """Tell whether each of the cubes lies within one of the others."""
    groups = _grouped(others)
    return all(
        any(outer & mask == outer and value & outer in values for outer, values in groups.items())
        for value, mask in cubes
    )


def merge(cubes: Iterable[Cube]) -> list[Cube]:
    """Give the same words by fewer cubes, in order.

    Cubes within another are dropped, and two that differ in one bit become one, until there is
    nothing more to do. The result depends on the set of cubes, not on their order.

    Example:
        >>> merge([(1, 0xC00007FF), (0, 0xC00007FF)]) == [(0, 0xC00007FE)]
        True
    """
    groups = _grouped(
        cube for value, mask in cubes if (cube := normal(value & mask, mask)) is not None
    )
    while True:
        _drop_contained(groups)
        if not _merge_siblings(groups):
            return sorted((value, mask) for mask, values in groups.items() for value in values)


def _drop_contained(groups: dict[int, set[int]]) -> None:
    masks = sorted(groups, key=int.bit_count)
    counts = [mask.bit_count() for mask in masks]
    for mask in masks:
        values = groups[mask]
        for outer in masks[: bisect_left(counts, mask.bit_count())]:
            if outer & mask == outer:
                outer_values = groups[outer]
                values -= {value for value in values if value & outer in outer_values}
    for mask in masks:
        if not groups[mask]:
            del groups[mask]


def _merge_siblings(groups: dict[int, set[int]]) -> bool:
    if all(len(values) < 2 for values in groups.values()):
        return False
    merged = False
    for count in range(32, 0, -1):  # what is merged has a bit less, and comes later
        for mask in sorted(mask for mask in groups if mask.bit_count() == count):
            values = groups[mask]
            rest = mask
            while rest and len(values) > 1:
                bit = rest & -rest
                rest ^= bit
                low = {value for value in values if not value & bit and value | bit in values}
                if low:
                    values -= low
                    values -= {value | bit for value in low}
                    groups.setdefault(mask ^ bit, set()).update(low)
                    merged = True
            if not values:
                del groups[mask]
    return merged


def meet(cubes: Iterable[Cube], others: Iterable[Cube]) -> list[Cube]:
    """Give the words that are in one of the cubes and in one of the others.

    Example:
        >>> meet([(0x700, 0x700)], [(0x01, 0x0F), (0, 0x700)]) == [(0x701, 0x70F)]
        True
    """
    found = meet_within(cubes, others, None)
    return [] if found is None else found


def meet_within(
    cubes: Iterable[Cube], others: Iterable[Cube], most: int | None
) -> list[Cube] | None:
    """Do what :func:`meet` does; None: it takes more cubes than ``most``."""
    found: dict[Cube, None] = {}
    other_groups = _grouped(others)
    for mask, values in _grouped(cubes).items():
        for other_mask, other_values in other_groups.items():
            common = mask & other_mask
            by_common: dict[int, list[int]] = {}
            for value in other_values:
                by_common.setdefault(value & common, []).append(value)
            for value in values:
                for other in by_common.get(value & common, ()):
                    cube = normal(value | other, mask | other_mask)
                    if cube is not None:
                        found[cube] = None
                if most is not None and len(found) > most:
                    return None
    return sorted(found)


class _Subtraction:
    """Cubes without others, as far as the work is worth it."""

    def __init__(self, others: Iterable[Cube], most: int) -> None:
        self.found: dict[Cube, None] = {}
        self._groups = _grouped(others)
        self._indexes: dict[Cube, dict[int, list[int]]] = {}
        self._most = most
        self._steps = 0

    def meeting(self, value: int, mask: int) -> list[Cube]:
        """Give the others that have words in common with a cube."""
        near: list[Cube] = []
        for other_mask, values in self._groups.items():
            common = mask & other_mask
            by_common = self._indexes.get((other_mask, common))
            if by_common is None:
                by_common = self._indexes[other_mask, common] = {}
                for other in values:
                    by_common.setdefault(other & common, []).append(other)
            near += ((other, other_mask) for other in by_common.get(value & common, ()))
        return near

    def split(self, value: int, mask: int, rest: list[Cube]) -> bool:
        """Keep what is left of a cube of others that all meet it; False: it is too much."""
        cube = normal(value, mask)
        if cube is None:
            return True
        if not rest:
            self.found[cube] = None
            return len(self.found) <= self._most
        self._steps += len(rest)
        if self._steps > _MOST_STEPS:
            return False
        open_bits = 0
        for _, other_mask in rest:
            further = other_mask & ~mask
            if not further:
                return True  # nothing of it is left
            open_bits |= further
        bit = 1 << open_bits.bit_length() - 1
        return all(
            self.split(
                value | half,
                mask | bit,
                [other for other in rest if not other[1] & bit or other[0] & bit == half],
            )
            for half in (0, bit)
        )


def subtract(cubes: Iterable[Cube], others: Iterable[Cube], most: int = MOST) -> list[Cube] | None:
    """Give the words that are in one of the cubes and in none of the others.

    What is left of a cube is split into disjoint ones bit by bit, the 29-bit flag first.

    Returns:
        The cubes; None: they are more than ``most``, or too much work.
    """
    work = _Subtraction(others, most)
    if all(work.split(value, mask, work.meeting(value, mask)) for value, mask in cubes):
        return sorted(work.found)
    return None


def cut(cube: Cube) -> Cube:
    """Give a cube as the kernel reads it.

    A mask with the 29-bit flag beside a value without it is cut to 11 bits (``af_can.c``).
    """
    value, mask = cube
    if mask & EFF_FLAG and not value & EFF_FLAG:
        mask &= STANDARD_BITS
    return value & mask, mask


def kernel_form(cubes: Iterable[Cube]) -> tuple[tuple[CanFilter, ...], bool]:
    """Give cubes as kernel filters.

    Returns:
        The filters, and whether they take these words alone. The kernel cannot compare a VCID and
        be told that the identifier has 11 bits: it leaves the VCID out.

    Example:
        >>> kernel_form([(0x123, 0xC00007FF)])
        ((CanFilter(0x123, 0xC00007FF),), True)
    """
    given = list(cubes)
    taken = dict.fromkeys(cut(cube) for cube in given)
    exact = all(cube in taken for cube in given)
    return tuple(CanFilter(value, mask) for value, mask in taken), exact
