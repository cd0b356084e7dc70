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


class _Pairs:
    """Cubes of which the two that add the fewest words become one, again and again.

    Each keeps the best partner behind it, which is looked for anew when that one is gone. Of cubes
    with one mask, the best partner is the one that differs in the fewest bits, which is far less
    work to find than to count words.
    """

    def __init__(self, cubes: list[Cube]) -> None:
        self.alive: dict[int, tuple[Cube, int]] = {}  # each with the number of its words
        self._alike: dict[Cube, dict[int, int]] = {}  # the values by place, of one mask and format
        self._best: dict[int, tuple[int, int]] = {}  # by place: words added, place of the partner
        self._place = 0
        for cube in cubes:
            self._add(cube, words_of(*cube))
        for place in self.alive:
            self._look(place)

    def _add(self, cube: Cube, words: int) -> int:
        value, mask = cube
        place = self._place
        self._place += 1
        self.alive[place] = cube, words
        self._alike.setdefault((value & EFF_FLAG, mask), {})[place] = value
        return place

    def _remove(self, place: int) -> None:
        (value, mask), _ = self.alive.pop(place)
        key = value & EFF_FLAG, mask
        del self._alike[key][place]
        if not self._alike[key]:
            del self._alike[key]
        self._best.pop(place, None)

    def _look(self, place: int) -> None:
        """Find the best partner of a cube, of those behind it."""
        cube, words = self.alive[place]
        value, mask = cube
        self._best.pop(place, None)
        partners: list[int] = []
        for (other_format, other_mask), members in self._alike.items():
            behind = [one for one in members if one > place]
            if behind and mask & other_mask & EFF_FLAG:
                bits = EFF_MASK if (value | other_format) & EFF_FLAG else SFF_MASK
                counted = mask & other_mask & (bits | RTR_FLAG)
                behind = [min(behind, key=lambda at: ((members[at] ^ value) & counted).bit_count())]
            partners += behind
        if partners:
            self._best[place] = min(
                (_added(cube, words, *self.alive[partner]), partner) for partner in partners
            )

    def join(self) -> None:
        """Make one of the two that add the fewest words; what is within it goes."""
        one = min(self._best, key=self._best.__getitem__)
        around = joined(self.alive[one][0], self.alive[self._best[one][1]][0])
        words = words_of(*around)
        outer, common = around
        gone = {
            at
            for at, ((value, mask), _) in self.alive.items()
            if mask & common == common and value & common == outer
        }
        for at in gone:
            self._remove(at)
        for at, (_, partner) in [*self._best.items()]:
            if partner in gone:
                self._look(at)
        joint = self._add(around, words)
        for at, (cube, cube_words) in self.alive.items():
            # A cube that is not within the joint at least doubles it.
            least = words - cube_words
            if at != joint and (at not in self._best or least < self._best[at][0]):
                added = _added(cube, cube_words, around, words)
                if at not in self._best or added < self._best[at][0]:
                    self._best[at] = added, joint


def _join_pairs(cubes: list[Cube], limit: int) -> list[Cube]:
    """Join the two of all that add the fewest words, again and again."""
    pairs = _Pairs(cubes)
    while len(pairs.alive) > limit:
        pairs.join()
    return [cube for cube, _ in pairs.alive.values()]
