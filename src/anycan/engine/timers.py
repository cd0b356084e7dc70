"""Timers without a clock: when the next one is due, and who is told when it is.

Times are integers of nanoseconds by any clock that does not go back. A timer that is put off, as
a timeout is by every frame, costs no more than an attribute: its place in the queue is looked at
again when it comes up.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

_Entry: TypeAlias = "tuple[int, int, Timer]"
_FEW: Final = 64  # entries of no more use that are not worth being looked for


class Timers:
    """Timers in the order in which they are due; those due at one time, as they were started.

    Args:
        changed: Called when the next deadline has come closer.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._entries: list[_Entry] = []
        self._numbers = count()
        self._dead = 0
        self._running = False

    def timer(self, expired: Callable[[int, int], int | None]) -> Timer:
        """Make a timer.

        Args:
            expired: Called when the timer is due, with the time it was started for and the time
                it is. What it returns is the time to start this timer for again, later than it is;
                None: it rests. It may start other timers.
        """
        return Timer(self, expired)

    @property
    def deadline(self) -> int | None:
        """When :meth:`run` is to be called next; None: no timer runs."""
        entries = self._entries
        while entries:
            when, _, timer = entry = entries[0]
            if timer.entry is not entry:
                self._dead -= 1
                heappop(entries)
            elif timer.deadline is None:
                timer.entry = None
                heappop(entries)
            elif timer.deadline > when:
                heappop(entries)
                self._place(timer, timer.deadline)
            else:
                return when
        return None

    def run(self, now: int, most: int | None = None) -> None:
        """Tell each timer that is due by now.

        Args:
            now: The time.
            most: So many at most, and the rest when it is called again; None: all.
        """
        entries = self._entries
        told = 0
        self._running = True
        try:
            while entries and entries[0][0] <= now:
                when, _, timer = entry = entries[0]
                if timer.entry is not entry:
                    self._dead -= 1
                    heappop(entries)
                    continue
                deadline = timer.deadline
                if deadline is None:
                    timer.entry = None
                    heappop(entries)
                elif deadline > when:
                    timer.entry = later = (deadline, timer.number, timer)
                    heapreplace(entries, later)
                else:
                    if told == most:
                        break
                    told += 1
                    timer.deadline = None
                    again = timer.expired(when, now)
                    if again is not None:
                        timer.start(again)  # it has this place until it is looked at once more
        finally:
            self._running = False

    def push(self, timer: Timer, deadline: int) -> None:
        """Give a timer that is started a place in the queue, and none besides."""
        entry = self._place(timer, deadline)
        if self._entries[0] is entry and not self._running:
            self._changed()

    def _place(self, timer: Timer, deadline: int) -> _Entry:
        entry = timer.entry = (deadline, timer.number, timer)
        heappush(self._entries, entry)
        return entry

    def renumber(self, timer: Timer) -> None:
        """Let a timer come behind those that were started before."""
        timer.number = next(self._numbers)

    def forget(self, timer: Timer) -> None:
        """Take note that a timer's place is of no more use."""
        if timer.entry is None:
            return
        timer.entry = None
        self._dead += 1
        if self._dead > _FEW and 2 * self._dead > len(self._entries):
            self._entries[:] = [entry for entry in self._entries if entry[2].entry is entry]
            heapify(self._entries)
            self._dead = 0


class Timer:
    """Something that is to happen at a time. Made by :meth:`Timers.timer`.

    Attributes:
        deadline: When; None: it does not run.
        expired: What is called then.
        entry: Its place in the queue, which may be too early; for :class:`Timers`.
        number: Which start it was, of all timers' starts; for :class:`Timers`.
    """

    __slots__ = ("_timers", "deadline", "entry", "expired", "number")

    def __init__(self, timers: Timers, expired: Callable[[int, int], int | None]) -> None:
        self._timers = timers
        self.expired = expired
        self.deadline: int | None = None
        self.entry: _Entry | None = None
        self.number = 0

    def start(self, deadline: int) -> None:
        """Let it happen at a time, and no more at another one."""
        self.deadline = deadline
        self._timers.renumber(self)
        entry = self.entry
        if entry is None:
            self._timers.push(self, deadline)
        elif deadline <= entry[0]:  # at one time, it comes behind those started before
            self._timers.forget(self)
            self._timers.push(self, deadline)

    def put_off(self, deadline: int) -> None:
        """Let it happen later than it would; as :meth:`start`, whatever else is due then."""
        if self.entry is not None and deadline > self.entry[0]:
            self.deadline = deadline
        else:
            self.start(deadline)

    def cancel(self) -> None:
        """Let it not happen. It can be started again."""
        self.deadline = None

    def discard(self) -> None:
        """Let it not happen, and free its place: it will not be started again."""
        self.deadline = None
        self._timers.forget(self)
