"""A cyclic transmission of the broadcast manager, as the kernel makes it.

Source: ``linux/can/bcm.h``; what the kernel does as seen on Linux 6.12
(``docs/explanation/parity.md``).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from anycan.engine.failure import failure
from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode, Interval

if TYPE_CHECKING:
    from anycan.engine.bcm_host import BcmHost
    from anycan.engine.timers import Timers

_SET_TIMER: Final = int(BcmFlag.SETTIMER)
_START_TIMER: Final = int(BcmFlag.STARTTIMER)
_COUNT_EVENT: Final = int(BcmFlag.TX_COUNTEVT)
_ANNOUNCE: Final = int(BcmFlag.TX_ANNOUNCE)
_RESET_INDEX: Final = int(BcmFlag.TX_RESET_MULTI_IDX)
NO_INTERFACE: Final = 0  # what the kernel says a transmission's messages come from


class Transmission:
    """Frames that are sent again and again, one at each time.

    Args:
        host: The socket it belongs to.
        timers: Where it gets its timer from.
        can_id: What it is called.
        interface: Where it sends.

    Attributes:
        frames: Their bytes.
        flags: :class:`~anycan.wire.bcm.BcmFlag` values, as last set.
        count: How many frames are still to go at the first interval.
        interval1: The first interval.
        interval2: The second one.
    """

    def __init__(self, host: BcmHost, timers: Timers, can_id: int, interface: int) -> None:
        self.can_id = can_id
        self.interface = interface
        self.frames: list[bytes] = []
        self.flags = 0
        self.count = 0
        self.interval1 = self.interval2 = Interval()
        self._host = host
        self._transmit = host.transmit
        self._timer = timers.timer(self._expired)
        self._position = 0
        self._nanoseconds1 = self._nanoseconds2 = 0

    def check(self, message: BcmMessage) -> None:
        """Tell whether a message can change it.

        Raises:
            OSError: E2BIG: it has more frames than there are.
        """
        if message.frame_count > len(self.frames):
            raise failure(errno.E2BIG)

    def set_up(self, message: BcmMessage, frames: list[bytes], now: int) -> None:
        """Take a TX_SETUP whose content has been checked.

        Args:
            message: The message.
            frames: Its frames.
            now: The time.
        """
        flags = message.flags
        if len(frames) != len(self.frames) or flags & _RESET_INDEX:
            self._position = 0
        self.frames = frames
        if flags & _SET_TIMER:
            self.count = message.count
            self.interval1, self.interval2 = message.interval1, message.interval2
            self._nanoseconds1 = message.interval1.to_nanoseconds()
            self._nanoseconds2 = message.interval2.to_nanoseconds()
            if not self._nanoseconds1 and not self._nanoseconds2:
                self._timer.cancel()
        if flags & _START_TIMER:
            self._timer.cancel()
            flags |= _ANNOUNCE
        self.flags = flags
        if flags & _ANNOUNCE:
            self._transmit(self._advance(), self.interface)
        if flags & _START_TIMER and (deadline := self._following(now, now)) is not None:
            self._timer.start(deadline)

    def _advance(self) -> bytes:
        """Give the frame that is next, and go on to the one after it."""
        frames = self.frames
        frame = frames[self._position]
        self._position += 1
        if self._position >= len(frames):
            self._position = 0
        if self.count:
            self.count -= 1
        return frame

    def _following(self, due: int, now: int) -> int | None:
        """Give when the next frame is due, after one that was due at a time; None: never."""
        interval = self._nanoseconds1 if self.count and self._nanoseconds1 else self._nanoseconds2
        if not interval:
            return None
        # The beat is kept, unless it is lost: then it begins anew.
        deadline = due + interval
        return deadline if deadline > now else now + interval

    def _expired(self, due: int, now: int) -> int | None:
        if self._nanoseconds1 and self.count:
            frame = self._advance()
            # What is sent here reaches its receivers once the kernel's handler has returned: the
            # socket that receives its own frame hears of the end before.
            if not self.count and self.flags & _COUNT_EVENT:
                self._tell_end()
            self._transmit(frame, self.interface)
        elif self._nanoseconds2:
            self._transmit(self._advance(), self.interface)
        return self._following(due, now)

    def _tell_end(self) -> None:
        self._host.tell(NATIVE.encode(self.status(BcmOpcode.TX_EXPIRED)), NO_INTERFACE)

    def status(self, opcode: BcmOpcode, frames: bytes = b"", frame_count: int = 0) -> BcmMessage:
        """Make a message that tells how it stands."""
        return BcmMessage(
            opcode,
            self.flags,
            self.count,
            self.interval1,
            self.interval2,
            self.can_id,
            frame_count,
            frames,
        )

    def stop(self) -> None:
        """Send no more until it is started again: the interface is gone."""
        self._timer.cancel()

    def close(self) -> None:
        """Send no more, for good."""
        self._timer.discard()
