"""A clock that a test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan import UserNetwork
from anycan.network.core.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.engine.timers import Timer, Timers

MILLISECOND: Final = 1_000_000
_CLOSE: Final = 8 * MILLISECOND
_STAMP: Final = 1_700_000_000_000_000_000


class ManualClock:
    """The time of a network, which stands still until it is moved.

    Attributes:
        last_run: When a timer was last due.
        close_call: Two timers were due so shortly one after the other that a real clock might
            have had them the other way round.
    """

    def __init__(self) -> None:
        self._now = 0
        self.last_run = 0
        self.close_call = False
        self._last_expiry = -_CLOSE

    def note_expiry(self) -> None:
        """Take note that a timer is due."""
        if self._now - self._last_expiry < _CLOSE:
            self.close_call = True
        self._last_expiry = self._now

    def stamp_ns(self) -> int:
        return _STAMP + self._now

    def now(self) -> int:
        return self._now

    def attend(self) -> None:
        pass

    def changed(self) -> None:
        pass

    def advance_to(self, when: int, timers: Timers) -> None:
        """Move the time, and run each timer at the time when it is due."""
        while (deadline := timers.deadline) is not None and deadline <= when:
            self._now = self.last_run = max(self._now, deadline)
            timers.run(self._now)
        self._now = when


def manual_network() -> tuple[UserNetwork, ManualClock]:
    """Give a network whose time stands still."""
    network, clock = UserNetwork(), ManualClock()
    stack = network._stack = Stack(clock)
    make = stack.timers.timer

    def timer(expired: Callable[[int, int], int | None]) -> Timer:
        def noted(due: int, now: int) -> int | None:
            clock.note_expiry()
            return expired(due, now)

        return make(noted)

    stack.timers.timer = timer  # type: ignore[method-assign]  # to look on
    return network, clock
