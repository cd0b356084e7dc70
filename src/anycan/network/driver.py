"""A network's clock, and who runs its timers: the event loop that runs where one is started.

Cyclic transmissions go on while nobody awaits anything of the network. On asyncio (and uvloop) the
loop calls back; on trio a task of the loop's own sleeps, for as long as a timer runs. Both measure
time by the loop's clock, so that whoever replaces that (as trio's MockClock does) commands these
timers too.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.engine.timers import Timers

_SECOND: Final = 1_000_000_000
# Where many timers are due one after the other, those of half a millisecond are run together: to
# be woken costs more than ten of them, and event loops wait by the millisecond anyhow.
_PAUSE: Final = 500_000
_MOST: Final = 256  # timers in one turn of the loop, in which nobody else has one
_TOLERANCE: Final = 1_000  # of a clock that counts in floating-point numbers


class LoopDriver:
    """Runs timers by the running event loop.

    Its time goes on when another loop, with another clock, takes over.

    Args:
        stamp_ns: Gives the time since the epoch, in nanoseconds.
    """

    def __init__(self, stamp_ns: Callable[[], int]) -> None:
        self.stamp_ns = stamp_ns
        self._timers: Timers | None = None
        self._alarm: _AsyncioAlarm | _TrioAlarm | None = None
        self._time: Callable[[], float] = time.monotonic
        self._ahead = 0  # of the loop's clock
        self._latest = 0

    def drive(self, timers: Timers) -> None:
        """Take the timers that are to be run."""
        self._timers = timers

    def now(self) -> int:
        """Give the time by the loop's clock, in nanoseconds; it does not go back."""
        try:
            now = round(self._time() * _SECOND) + self._ahead
        except RuntimeError:  # trio's clock, asked for outside of trio
            return self._latest
        self._latest = max(self._latest, now)
        return self._latest

    def _follow(self, clock: Callable[[], float]) -> None:
        """Go by another clock from now on."""
        self._time = clock
        self._ahead = self._latest - round(clock() * _SECOND)

    def attend(self) -> None:
        """Find the loop that runs here; its clock is the one from now on."""
        alarm = self._alarm
        if alarm is not None and alarm.is_here():
            return
        self.now()
        self._alarm = self._find_loop()
        if self._alarm is not None:
            self._set_alarm()  # for what was started in another loop, or in none

    def _find_loop(self) -> _AsyncioAlarm | _TrioAlarm | None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            trio = sys.modules.get("trio")
            if trio is None or not trio.lowlevel.in_trio_run():
                return None
            self._follow(trio.current_time)
            return _TrioAlarm(trio, self._run, self._next)
        self._follow(loop.time)
        return _AsyncioAlarm(loop, self._run, self._next)

    def changed(self) -> None:
        """See to it that the next timer is run when it is due."""
        alarm = self._alarm
        if alarm is not None and alarm.is_here():
            self._set_alarm()
        else:
            self.attend()

    def _set_alarm(self) -> None:
        deadline = None if self._timers is None else self._timers.deadline
        if deadline is not None and self._alarm is not None:
            self._alarm.set((deadline - self._ahead) / _SECOND)

    def _run(self) -> None:
        """Run what is due."""
        if self._timers is not None:
            self._timers.run(self.now() + _TOLERANCE, _MOST)

    def _next(self) -> float | None:
        """Give when timers are to be run again, by the loop's clock in seconds."""
        deadline = None if self._timers is None else self._timers.deadline
        if deadline is None:
            return None
        return (max(deadline, self.now() + _PAUSE) - self._ahead) / _SECOND


class _AsyncioAlarm:
    """Calls by asyncio's loop.

    Args:
        loop: The loop.
        run: Called when it is time.
        following: Gives the next time, or None.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run: Callable[[], object],
        following: Callable[[], float | None],
    ) -> None:
        self._loop = loop
        self._run = run
        self._following = following
        self._handle: asyncio.TimerHandle | None = None
        self._when = 0.0

    def is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            # Called by who has no loop: the last one goes on, while it is not closed.
            return not self._loop.is_closed()

    def set(self, when: float) -> None:
        if self._handle is not None:
            if self._when <= when:
                return
            self._handle.cancel()
        self._when = when
        self._handle = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._handle = None
        try:
            self._run()
        finally:  # one timer that fails does not stop the others
            when = self._following()
            if when is not None:
                self.set(when)


class _TrioAlarm:
    """Calls by a task of trio's own, which lives while there is something to wait for.

    Args:
        trio: The module; anycan does not depend on it.
        run: Called when it is time.
        following: Gives the next time, or None.
    """

    def __init__(
        self, trio: Any, run: Callable[[], object], following: Callable[[], float | None]
    ) -> None:
        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self._run = run
        self._following = following
        self._scope: Any = None

    def is_here(self) -> bool:
        try:
            return self._trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            # Called by who has no loop: the last one goes on, while its task waits.
            return self._scope is not None

    def set(self, when: float) -> None:
        if self._scope is None:
            self._scope = self._trio.CancelScope(deadline=when)
            self._trio.lowlevel.spawn_system_task(self._wait)
        elif when < self._scope.deadline:
            self._scope.deadline = when

    async def _wait(self) -> None:
        try:
            while True:
                with self._scope:
                    await self._trio.sleep_forever()
                self._run()
                when = self._following()
                if when is None:
                    return
                self._scope = self._trio.CancelScope(deadline=when)
        finally:
            self._scope = None
