"""Frames that a destination has not taken yet: bounded for each rule, and sent in their order."""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from itertools import count, islice
from typing import TYPE_CHECKING, Protocol

from anycan.gateway.identifiers import identifiers
from anycan.gateway.reasons import DropReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anycan.gateway.counters import RouteCounters
    from anycan.gateway.rule import Overflow

Entry = tuple[int, bytes, int, "Line"]
"""A frame that waits: its number, its payload, its stamp, and whose it is."""


class Line(Protocol):
    """The frames of one rule that wait for one destination.

    Attributes:
        counters: Where they are counted.
    """

    counters: RouteCounters

    def __len__(self) -> int:
        """Give how many wait."""
        ...

    def __iter__(self) -> Iterator[Entry]:
        """Give them in their order."""
        ...

    def append(self, entry: Entry) -> None:
        """Add the newest; what there is no room for is dropped and counted."""
        ...

    def pop_first(self) -> None:
        """Take the first one away."""
        ...

    def clear(self) -> None:
        """Take all away."""
        ...


class _Queue:
    """A line in the order of the bus.

    Args:
        counters: Where the frames are counted.
        capacity: How many may wait.
    """

    def __init__(self, counters: RouteCounters, capacity: int) -> None:
        self.counters = counters
        self._capacity = capacity
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def append(self, entry: Entry) -> None:
        if len(self._entries) >= self._capacity:
            self._make_room(entry)
            return
        self._entries.append(entry)
        self.counters.waiting += 1

    def _make_room(self, entry: Entry) -> None:
        raise NotImplementedError

    def pop_first(self) -> None:
        self._entries.popleft()
        self.counters.waiting -= 1

    def clear(self) -> None:
        self._entries.clear()
        self.counters.waiting = 0


class _DropsOldest(_Queue):
    def _make_room(self, entry: Entry) -> None:
        self._entries.popleft()
        self._entries.append(entry)
        self.counters.drop(DropReason.QUEUE_FULL)


class _DropsNewest(_Queue):
    def _make_room(self, entry: Entry) -> None:  # noqa: ARG002 - it is the one that is dropped
        self.counters.drop(DropReason.QUEUE_FULL)


class _LatestPerIdentifier:
    """A line in which a frame takes the place of the one of its identifier, and goes to the end.

    Args:
        counters: Where the frames are counted.
        capacity: How many may wait.
    """

    def __init__(self, counters: RouteCounters, capacity: int) -> None:
        self.counters = counters
        self._capacity = capacity
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def append(self, entry: Entry) -> None:
        key = identifiers[entry[1][:5]]
        if self._entries.pop(key, None) is not None:
            self.counters.drop(DropReason.SUPERSEDED)
        elif len(self._entries) >= self._capacity:
            self._entries.popitem(last=False)
            self.counters.drop(DropReason.QUEUE_FULL)
        else:
            self.counters.waiting += 1
        self._entries[key] = entry

    def pop_first(self) -> None:
        self._entries.popitem(last=False)
        self.counters.waiting -= 1

    def clear(self) -> None:
        self._entries.clear()
        self.counters.waiting = 0


def make_line(counters: RouteCounters, capacity: int, overflow: Overflow) -> Line:
    """Make the line of a rule at a destination.

    Args:
        counters: Where its frames are counted.
        capacity: How many may wait.
        overflow: What is dropped when one more comes.
    """
    if overflow == "latest_per_id":
        return _LatestPerIdentifier(counters, capacity)
    kind = _DropsOldest if overflow == "drop_oldest" else _DropsNewest
    return kind(counters, capacity)


class Backlog:
    """All that waits for one destination, of all rules, in the order in which it came."""

    def __init__(self) -> None:
        self._numbers = count()
        self._lines: dict[Line, None] = {}  # those with something in them

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, frames: Iterable[tuple[bytes, int, Line]]) -> None:
        """Add frames: their payload, their stamp, and the line that each belongs in."""
        numbers, lines = self._numbers, self._lines
        for payload, stamp, line in frames:
            line.append((next(numbers), payload, stamp, line))
            lines[line] = None

    def first(self, limit: int) -> list[Entry]:
        """Give the first that wait, so many at most; they stay."""
        if len(self._lines) == 1:
            (line,) = self._lines
            return list(islice(line, limit))
        return list(islice(heapq.merge(*self._lines), limit))

    def pop(self, entries: Iterable[Entry]) -> None:
        """Take away the first, which were given by :meth:`first`."""
        for entry in entries:
            line = entry[3]
            line.pop_first()
            if not len(line):
                del self._lines[line]

    def drop(self, reason: DropReason, line: Line | None = None) -> None:
        """Drop all that waits, or all in one line, and count it."""
        for one in list(self._lines) if line is None else [line]:
            if len(one):
                one.counters.drop(reason, len(one))
                one.clear()
            self._lines.pop(one, None)
