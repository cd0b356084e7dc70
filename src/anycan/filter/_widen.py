"""Fewer cubes for more words, where a kernel takes only so many filters."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from anycan.exceptions import FilterError
from anycan.filter._cubes import UNUSED_BITS, Cube, is_covered, merge
from anycan.frame import EFF_FLAG, EFF_MASK, RTR_FLAG, SFF_MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAIRWISE: Final = 128  # so many cubes above the limit are joined by trying every pair


def check_limit(limit: int) -> None:
    """Check a number of kernel filters.

    Raises:
        FilterError: It is below 1.
    """
    if limit < 1:
        raise FilterError(f"a limit of kernel filters is 1 or more, not {limit}")


def words_of(value: int, mask: int) -> int:
    """Count the words of a cube. A VCID does not count: the kernel leaves it out."""
    count = 0
    if value & EFF_FLAG or not mask & EFF_FLAG:
        count = 1 << (~mask & (RTR_FLAG | EFF_MASK)).bit_count()
    if not value & (EFF_FLAG | UNUSED_BITS):
        count += 1 << (~mask & (RTR_FLAG | SFF_MASK)).bit_count()
    return count


def joined(one: Cube, other: Cube) -> Cube:
    """Give the least cube that contains two."""
    common = one[1] & other[1] & ~(one[0] ^ other[0])
    return one[0] & common, common


def added_words(one: Cube, other: Cube) -> int:
    """Count the words that the least cube of two contains beside theirs."""
    return _added(one, words_of(*one), other, words_of(*other))


def _added(one: Cube, words: int, other: Cube, other_words: int) -> int:
    (value, mask), (other_value, other_mask) = one, other
    common = mask & other_mask
    different = (value ^ other_value) & common
    common &= ~different
    added = words_of(value & common, common) - words - other_words
    if not different:
        added += words_of(value | other_value, mask | other_mask)
    return max(added, 0)


def widen(cubes: Sequence[Cube], limit: int) -> list[Cube]:
    """Give at most so many cubes that contain all of these, with few words beside them.

    Step by step the two become one that add the fewest words. Of very many, neighbours do so
    first.

    Raises:
        FilterError: The limit is below 1.

    Example:
        >>> widen([(0, 0xC00007FF), (3, 0xC00007FF), (0x700, 0xC00007FF)], 2) == [
        ...     (0, 0xC00007FC), (0x700, 0xC00007FF)]
        True
    """
    check_limit(limit)
    found = merge(cubes)
    if len(found) > limit + _PAIRWISE:
        found = merge(_join_neighbours(found, limit + _PAIRWISE))
    if len(found) > limit:
        found = sorted(_join_pairs(found, limit))
    return found


def _join_neighbours(cubes: list[Cube], limit: int) -> list[Cube]:
    """Join those that stand side by side in sorted order."""
    count = len(cubes)
    cubes = [*cubes]
    before = list(range(-1, count - 1))
    behind = list(range(1, count + 1))
    versions = [0] * count  # of a cube that has grown; -1: it is gone
    heap = [
        (added_words(cubes[left], cubes[left + 1]), left, left + 1, 0, 0)
        for left in range(count - 1)
    ]
    heapify(heap)
    end = count

    def remove(place: int) -> None:
        nonlocal count
        versions[place] = -1
        if before[place] >= 0:
            behind[before[place]] = behind[place]
        if behind[place] < end:
            before[behind[place]] = before[place]
        count -= 1

    while count > limit:
        _, left, right, left_version, right_version = heappop(heap)
        if versions[left] != left_version or versions[right] != right_version:
            continue
        cubes[left] = joined(cubes[left], cubes[right])
        versions[left] += 1
        remove(right)
        around = cubes[left : left + 1]
        while behind[left] < end and is_covered(cubes[behind[left]], around):
            remove(behind[left])
        while before[left] >= 0 and is_covered(cubes[before[left]], around):
            remove(before[left])
        for one, other in ((before[left], left), (left, behind[left])):
            if one >= 0 and other < end:
                added = added_words(cubes[one], cubes[other])
                heappush(heap, (added, one, other, versions[one], versions[other]))
    return [cube for cube, version in zip(cubes, versions, strict=True) if version >= 0]


def _join_pairs(cubes: list[Cube], limit: int) -> list[Cube]:
    """Join the two of all that add the fewest words, again and again.

    Each cube keeps the best partner behind it, which is looked for anew when that one is gone.
    """
    alive: dict[int, tuple[Cube, int]] = {  # each with the number of its words
        place: (cube, words_of(*cube)) for place, cube in enumerate(cubes)
    }
    best: dict[int, tuple[int, int]] = {}  # by place: words added, place of the partner
    place = len(cubes)

    def look(place: int) -> None:
        cube, words = alive[place]
        best.pop(place, None)
        behind = [
            (_added(cube, words, other, other_words), other_place)
            for other_place, (other, other_words) in alive.items()
            if other_place > place
        ]
        if behind:
            best[place] = min(behind)

    for one in [*alive]:
        look(one)
    while len(alive) > limit:
        one = min(best, key=best.__getitem__)
        around = joined(alive[one][0], alive[best[one][1]][0])
        words = words_of(*around)
        outside = {at: cube for at, cube in alive.items() if not is_covered(cube[0], (around,))}
        gone = alive.keys() - outside.keys()
        alive = outside
        for at in gone:
            best.pop(at, None)
        for at, (_, partner) in [*best.items()]:
            if partner in gone:
                look(at)
        for at, (cube, cube_words) in alive.items():
            added = _added(cube, cube_words, around, words)
            if at not in best or added < best[at][0]:
                best[at] = added, place
        alive[place] = around, words
        place += 1
    return [cube for cube, _ in alive.values()]
