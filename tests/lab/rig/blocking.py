"""Catches calls that block the event loop.

Between two waits an event loop's thread must not sleep. What is measured there is the time in
which the thread did not run, where the kernel counts a voluntary context switch as well: wall time
without processor time alone would also be that of a busy machine. So the call may be any: by
ctypes, in an extension, in a destructor. (The package blockbuster replaces functions of Python's
modules instead, on asyncio only; anycan's system calls are made by ctypes.)

asyncio's own loops and trio are watched. uvloop has no place for it, and runs the same code.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from rig.host import in_guest

if sys.platform == "linux":
    import resource

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT: Final = 5.0 if in_guest() else 0.25  # seconds
"""A page read from a disk, a wait for the interpreter's lock, or the start of another process on a
busy machine is shorter.

On an emulated processor bind and setsockopt have been seen to wait 2.3 s for the kernel's lock on
links (rtnl), which whoever makes or removes an interface holds.
"""


class Watch:
    """Measures how long a thread slept in stretches in which it should not have.

    Args:
        limit: Seconds from which it is told.

    Attributes:
        limit: The same.
    """

    def __init__(self, limit: float) -> None:
        self.slept: list[float] = []
        self.limit = limit
        self._thread = threading.get_ident()
        self._start: tuple[float, float, int] | None = None

    def begin(self) -> None:
        """Begin a stretch."""
        if threading.get_ident() == self._thread:
            self._start = _now()

    def end(self) -> None:
        """End a stretch, if one has begun."""
        if self._start is None or threading.get_ident() != self._thread:
            return
        wall, processor, switches = self._start
        self._start = None
        if time.perf_counter() - wall < self.limit:
            return
        wall_now, processor_now, switches_now = _now()
        asleep = (wall_now - wall) - (processor_now - processor)
        if asleep >= self.limit and switches_now > switches:
            self.slept.append(asleep)

    def begin_anew(self) -> None:
        """Forget the stretch so far, if one has begun."""
        if self._start is not None:
            self.begin()

    # What trio calls an instrument: it names these methods.

    def before_task_step(self, task: object) -> None:  # noqa: ARG002 - trio's signature
        self.begin()

    def after_task_step(self, task: object) -> None:  # noqa: ARG002 - trio's signature
        self.end()


def _now() -> tuple[float, float, int]:
    """Give the wall time, and this thread's processor time and voluntary context switches."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime, usage.ru_nvcsw


_current: Watch | None = None
_installed = False


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch this thread's event loops."""
    global _current  # noqa: PLW0603 - one test runs at a time
    outer, _current = _current, Watch(LIMIT)
    try:
        yield _current
    finally:
        _current = outer


def current() -> Watch | None:
    """Give the watch of the running test."""
    return _current


def allow(seconds: float) -> None:
    """Let calls of this test sleep longer: they wait for another process, which may be late."""
    if _current is not None:
        _current.limit = seconds


def excuse() -> None:
    """Do not count what has just slept: it was the test's own hand, such as a program it ran."""
    if _current is not None:
        _current.begin_anew()


def install() -> None:
    """Let asyncio's loops tell the current watch of their stretches, for ever."""
    global _installed  # noqa: PLW0603 - once for a process
    if _installed or sys.platform != "linux":  # elsewhere no thread's switches are counted
        return
    _installed = True
    loop: Any = asyncio.base_events.BaseEventLoop
    selector: Any = selectors.DefaultSelector
    run_once, select = loop._run_once, selector.select

    def watched_select(self: object, timeout: float | None = None) -> object:
        events = select(self, timeout)
        if _current is not None:
            _current.begin()
        return events

    def watched_run_once(self: object) -> None:
        try:
            run_once(self)
        finally:
            if _current is not None:
                _current.end()

    selector.select = watched_select
    loop._run_once = watched_run_once
