"""Running a program in which time passes, on a network whose time does and on one where it stands.

On the kernel time passes by itself, and what a call takes is not known. So no program looks at a
moment at which something may just be happening: on the user-space network, whose time stands still
between the steps, it is found out how long each wait has to be for that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hypothesis import assume

from anycan.wire.messages import pack_address
from clock import MILLISECOND, ManualClock

if TYPE_CHECKING:
    from anycan.sockets.descriptor import Descriptor
    from stages import Stage, UserStage

MARGIN: Final = 25 * MILLISECOND  # nothing happens that close to a step
_SLICE: Final = 5 * MILLISECOND


def close(descriptor: Descriptor) -> None:
    """Close a descriptor, and wait until that has been done."""
    rest = descriptor.close()
    if rest is not None:
        rest()


class TimedRun:
    """A program on a network.

    Args:
        stage: The network.
        waits: How long each wait is to be, in nanoseconds; filled where time stands still.

    Attributes:
        lateness: How much later than it should have been it was at most, in nanoseconds.
    """

    def __init__(self, stage: Stage, waits: list[int]) -> None:
        self._stage = stage
        self._waits = waits
        self.lateness = 0

    def _begin(self) -> None:
        self._time = time.monotonic_ns()
        self._remaining = list(self._waits)

    def _wait(self, _milliseconds: int) -> None:
        self._note_time()
        end = self._time + self._remaining.pop(0)
        # In slices: a processor that stands still in between delays the kernel's timers as well.
        while self._time < end:
            self._time = min(self._time + _SLICE, end)
            time.sleep(max(self._time - time.monotonic_ns(), 0) / 1e9)
            self._note_time()

    def _note_time(self) -> None:
        """Take note of how late it is: the steps before a wait take no time, in theory."""
        self.lateness = max(self.lateness, time.monotonic_ns() - self._time)

    def _index(self, interface: str | None) -> int:
        if interface is None:
            return 0
        if interface == "nowhere":
            return 999_999
        return self._stage.network.interface_index(self._stage.name(interface))

    def _address(self, interface: str | None) -> bytes:
        return pack_address(self._index(interface))


class Standing(TimedRun):
    """A program on a user-space network whose time stands still; it finds out how long to wait."""

    def __init__(self, stage: UserStage, clock: ManualClock, waits: list[int]) -> None:
        super().__init__(stage, waits)
        self._clock = clock
        self._timers = stage.network._stack.timers

    def _begin(self) -> None:
        pass

    def _wait(self, milliseconds: int) -> None:
        start = self._clock.now()
        end = start + milliseconds * MILLISECOND
        for _ in range(500):
            self._clock.advance_to(end, self._timers)
            following = self._timers.deadline
            if following is not None and following < end + MARGIN:
                end = following + MARGIN
            elif self._clock.last_run > max(start, end - MARGIN):
                end = self._clock.last_run + MARGIN
            else:
                break
        else:
            assume(False)
        self._waits.append(end - start)
