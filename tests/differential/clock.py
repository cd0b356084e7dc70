"""A clock that a test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan import UserNetwork
from anycan.network.core.stack import Stack

if TYPE_CHECKING:
    from anycan.engine.timers import Timers

MILLISECOND: Final = 1_000_000
_STAMP: Final = 1_700_000_000_000_000_000


class ManualClock:
    """The time of a network, which stands still until it is moved.

    Attributes:
        last_run: When a timer was last due.
    """

    def __init__(self) -> None:
        self._now = 0
        self.last_run = 0

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
            self._now = self.last_run = deadline
            timers.run(deadline)
        self._now = when


def manual_network() -> tuple[UserNetwork, ManualClock]:
    """Give a network whose time stands still."""
    network, clock = UserNetwork(), ManualClock()
    network._stack = Stack(clock)
    return network, clock
