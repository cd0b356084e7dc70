"""The broadcast manager's messages (``linux/can/bcm.h``): ``struct bcm_msg_head`` and frames.

A message to the broadcast manager names an operation by identifier and says what to do; one from
it tells what became of an operation. Behind the head stand frames of one size, 16 or 72 bytes.
"""

from __future__ import annotations

import enum
from struct import Struct, calcsize
from typing import Final

import attrs

from anycan.wire.constants import CAN_MTU, CANFD_MTU

MAX_FRAMES: Final = 256  # of a transmission; a reception's have the multiplex mask before them
MAX_SECONDS: Final = 400 * 24 * 60 * 60  # of an interval, and a last microsecond of each
_MICROSECONDS: Final = 1_000_000


class BcmOpcode(enum.IntEnum):
    """What a message asks for, or tells (``linux/can/bcm.h``)."""

    TX_SETUP = 1
    TX_DELETE = 2
    TX_READ = 3
    TX_SEND = 4
    RX_SETUP = 5
    RX_DELETE = 6
    RX_READ = 7
    TX_STATUS = 8
    TX_EXPIRED = 9
    RX_STATUS = 10
    RX_TIMEOUT = 11
    RX_CHANGED = 12


class BcmFlag(enum.IntFlag):
    """What else a message says (``linux/can/bcm.h``)."""

    SETTIMER = 0x0001
    STARTTIMER = 0x0002
    TX_COUNTEVT = 0x0004
    TX_ANNOUNCE = 0x0008
    TX_CP_CAN_ID = 0x0010
    RX_FILTER_ID = 0x0020
    RX_CHECK_DLC = 0x0040
    RX_NO_AUTOTIMER = 0x0080
    RX_ANNOUNCE_RESUME = 0x0100
    TX_RESET_MULTI_IDX = 0x0200
    RX_RTR_FRAME = 0x0400
    CAN_FD_FRAME = 0x0800


@attrs.frozen
class Interval:
    """A ``struct bcm_timeval``: seconds and microseconds, as they stand there.

    Attributes:
        seconds: Whole seconds.
        microseconds: And so many millionths; the kernel takes 0 to 999,999.
    """

    seconds: int = 0
    microseconds: int = 0

    @classmethod
    def from_seconds(cls, seconds: float) -> Interval:
        """Make one of a time in seconds, to the nearest microsecond."""
        return cls(*divmod(round(seconds * _MICROSECONDS), _MICROSECONDS))

    def to_seconds(self) -> float:
        """Give the time in seconds."""
        return self.seconds + self.microseconds / _MICROSECONDS

    def to_nanoseconds(self) -> int:
        """Give the time in nanoseconds."""
        return (self.seconds * _MICROSECONDS + self.microseconds) * 1000


@attrs.frozen
class BcmMessage:
    """A message to the broadcast manager, or from it.

    Attributes:
        opcode: A :class:`BcmOpcode`; a number that is none is the broadcast manager's to refuse.
        flags: :class:`BcmFlag` values.
        count: How many frames go at the first interval.
        interval1: The first interval; of a reception, the timeout.
        interval2: The second interval; of a reception, the throttle.
        can_id: The identifier of the operation, with its flags.
        frame_count: How many frames the head says there are.
        frames: The frames' bytes, joined.
    """

    opcode: int
    flags: int = 0
    count: int = 0
    interval1: Interval = Interval()
    interval2: Interval = Interval()
    can_id: int = 0
    frame_count: int = 0
    frames: bytes = b""

    @property
    def frame_size(self) -> int:
        """The size of one frame in bytes: 16, or 72 for CAN FD."""
        return CANFD_MTU if self.flags & BcmFlag.CAN_FD_FRAME else CAN_MTU


class BcmLayout:
    """How messages stand in memory, which depends on the size of a ``long``.

    Args:
        long_size: 4 or 8 bytes; the frames are aligned to 8 either way.
    """

    def __init__(self, long_size: int) -> None:
        padding, long = {4: ("", "i"), 8: ("4x", "q")}[long_size]
        head = Struct(f"=III{padding}{4 * long}II")
        self._head = Struct(head.format + f"{-head.size % 8}x")
        self.head_size = self._head.size

    def encode(self, message: BcmMessage) -> bytes:
        """Give the bytes of a message.

        Raises:
            struct.error: A number has no room in its field.
        """
        return (
            self._head.pack(
                message.opcode,
                message.flags,
                message.count,
                message.interval1.seconds,
                message.interval1.microseconds,
                message.interval2.seconds,
                message.interval2.microseconds,
                message.can_id,
                message.frame_count,
            )
            + message.frames
        )

    def decode(self, data: bytes) -> BcmMessage:
        """Give the message in some bytes.

        Raises:
            ValueError: They are shorter than a head, or what follows it is no whole frames.
        """
        if len(data) < self.head_size:
            raise ValueError(f"{len(data)} bytes are no broadcast manager message")
        opcode, flags, count, *times, can_id, frame_count = self._head.unpack_from(data)
        first, second = Interval(*times[:2]), Interval(*times[2:])
        frames = data[self.head_size :]
        message = BcmMessage(opcode, flags, count, first, second, can_id, frame_count, frames)
        if len(frames) % message.frame_size:
            raise ValueError(f"{len(frames)} bytes are no frames of {message.frame_size} bytes")
        return message


NATIVE: Final = BcmLayout(calcsize("@l"))
"""The layout of this machine."""
