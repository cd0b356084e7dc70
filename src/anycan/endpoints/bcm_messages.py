"""From what a user asks of the broadcast manager to its messages, and what cannot be asked.

Whatever the kernel would refuse, or take in another sense than was meant, is refused here, by what
is wrong and not by an error number.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, Final

import attrs

from anycan.endpoints.bcm_values import CyclicStatus, Multiplex
from anycan.exceptions import OperationError
from anycan.frame import (
    EFF_FLAG,
    RTR_FLAG,
    SFF_MASK,
    AnyFrame,
    ErrorFrame,
    FdFrame,
    Frame,
    RemoteFrame,
    XlFrame,
)
from anycan.wire.bcm import MAX_FRAMES, MAX_SECONDS, BcmFlag, BcmMessage, BcmOpcode, Interval
from anycan.wire.frames import decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_COUNT: Final = 2**32 - 1  # a u32, to the kernel
_STANDARD_DATA: Final = 8
_FLEXIBLE_DATA: Final = 64


def check_count(count: int | None) -> int | None:
    """Check how many frames are to go at the first interval.

    Raises:
        OperationError: It is out of range.
    """
    if count is None:
        return None
    if isinstance(count, bool):
        raise TypeError(f"count= is a number of frames, not {count!r}")
    count = index(count)
    if not 1 <= count <= _MAX_COUNT:
        raise OperationError(f"count= is 1 to {_MAX_COUNT} frames, or None; not {count}")
    return count


def to_interval(seconds: float, name: str) -> Interval:
    """Make an interval of a time in seconds.

    Args:
        seconds: The time.
        name: What the argument is called.

    Raises:
        OperationError: It is out of range.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name}= is a time in seconds, not {seconds!r}")
    if not 0 < seconds <= MAX_SECONDS:  # nor is that what is no number
        raise _out_of_range(name, seconds)
    interval = Interval.from_seconds(seconds)
    if interval == Interval():
        raise _out_of_range(name, seconds)
    return interval


def _out_of_range(name: str, seconds: float) -> OperationError:
    return OperationError(
        f"{name}= is a time in seconds, from a microsecond to 400 days; not {seconds!r}"
    )


def check_sent(frame: AnyFrame) -> None:
    """Check that the broadcast manager can send a frame.

    Raises:
        OperationError: It cannot.
    """
    if isinstance(frame, XlFrame):
        raise OperationError("the broadcast manager sends no CAN XL frames")
    if isinstance(frame, ErrorFrame):
        raise OperationError("an error frame cannot be sent: it is a controller's report")
    if not isinstance(frame, AnyFrame):
        raise TypeError(f"not a CAN frame: {frame!r}")


def _sent_frames(frames: AnyFrame | Iterable[AnyFrame]) -> tuple[AnyFrame, ...]:
    """Check the frames of a transmission: of one kind, and some that it can send."""
    if isinstance(frames, AnyFrame):
        frames = (frames,)
    result = tuple(frames)
    for frame in result:
        check_sent(frame)
    if not 1 <= len(result) <= MAX_FRAMES:
        raise OperationError(f"a transmission has 1 to {MAX_FRAMES} frames, not {len(result)}")
    if len({isinstance(frame, FdFrame) for frame in result}) > 1:
        raise OperationError("a transmission's frames are all of CAN FD, or all of classical CAN")
    return result


def _word(frame: AnyFrame) -> int:
    """Give the identifier of a frame with its flags."""
    if isinstance(frame, RemoteFrame):
        return frame.can_id
    assert isinstance(frame, (Frame, FdFrame))  # noqa: S101 - others have been refused
    return frame.id | EFF_FLAG if frame.extended else frame.id


@attrs.define
class Cycle:
    """A cyclic transmission: what is sent, and how often.

    Attributes:
        frames: What is sent.
        interval: The first interval, or the only one.
        count: How many frames at that; None: for ever.
        then: The interval afterwards; None: none.
    """

    frames: tuple[AnyFrame, ...]
    interval: Interval
    count: int | None
    then: Interval | None

    @classmethod
    def make(
        cls,
        frames: AnyFrame | Iterable[AnyFrame],
        interval: float,
        count: int | None,
        then: float | None,
    ) -> Cycle:
        """Check what a user asked for.

        Raises:
            OperationError: It cannot be.
        """
        return cls(_sent_frames(frames), *cls.check_times(interval, count, then))

    @staticmethod
    def check_times(
        interval: float, count: int | None, then: float | None
    ) -> tuple[Interval, int | None, Interval | None]:
        """Check intervals and a count.

        Raises:
            OperationError: They cannot be.
        """
        count = check_count(count)
        if then is not None and count is None:
            raise OperationError("then= is the interval after count= frames: say how many")
        first = to_interval(interval, "interval")
        return first, count, None if then is None else to_interval(then, "then")

    @property
    def can_id(self) -> int:
        """What the transmission is called: the first frame's identifier."""
        return _word(self.frames[0])

    @property
    def flexible(self) -> bool:
        """Whether its frames are of CAN FD."""
        return isinstance(self.frames[0], FdFrame)

    def replaced(self, frames: AnyFrame | Iterable[AnyFrame]) -> tuple[AnyFrame, ...]:
        """Check frames that are to be sent instead.

        Raises:
            OperationError: They are more than before, of another kind or another identifier.
        """
        new = _sent_frames(frames)
        if len(new) > len(self.frames):
            raise OperationError(
                f"{len(new)} frames cannot take the place of {len(self.frames)}: there can be as"
                " many or fewer; stop it, and set up another"
            )
        if isinstance(new[0], FdFrame) is not self.flexible:
            raise OperationError(
                "frames of CAN FD and of classical CAN cannot take each other's place"
            )
        if _word(new[0]) != self.can_id:
            raise OperationError(
                f"the first frame has the identifier {new[0].id:X}, and the transmission goes by"
                f" {self.frames[0].id:X}: set up another for it"
            )
        return new

    def message(self, opcode: BcmOpcode, flags: int = 0) -> BcmMessage:
        """Make a message about it.

        Args:
            opcode: What is to be done.
            flags: How, beside those that it always has.
        """
        if self.flexible:
            flags |= BcmFlag.CAN_FD_FRAME
        if opcode != BcmOpcode.TX_SETUP:
            return BcmMessage(opcode, flags, can_id=self.can_id)
        count, first, second = 0, Interval(), self.interval
        if self.count is not None:
            flags |= BcmFlag.TX_COUNTEVT
            count, first, second = self.count, self.interval, self.then or Interval()
        frames = b"".join(map(encode_frame, self.frames))
        return BcmMessage(
            opcode, flags, count, first, second, self.can_id, len(self.frames), frames
        )

    def status(self, *, expired: bool) -> CyclicStatus:
        """Give how it stands while nothing is set up: as it will be.

        Args:
            expired: Its count has come to its end.
        """
        return CyclicStatus(
            frames=self.frames,
            remaining=0 if expired else self.count or 0,
            interval=self.interval.to_seconds(),
            then=None if self.then is None else self.then.to_seconds(),
        )


def cyclic_status(message: BcmMessage, interface: str | None) -> CyclicStatus:
    """Read a TX_STATUS."""
    size = message.frame_size
    frames = tuple(
        frame
        for start in range(0, len(message.frames), size)
        if (frame := decode_frame(message.frames[start : start + size], interface=interface))
        is not None
    )
    first, second = message.interval1.to_seconds(), message.interval2.to_seconds()
    if not first:
        return CyclicStatus(frames=frames, remaining=message.count, interval=second, then=None)
    return CyclicStatus(frames=frames, remaining=message.count, interval=first, then=second or None)


def identifier_word(identifier: int, extended: bool | None, *, fd: bool, remote: bool) -> int:
    """Give an identifier with its flags.

    Raises:
        OperationError: It is out of range, or CAN FD has no such frames.
    """
    if fd and remote:
        raise OperationError("CAN FD has no remote frames: fd= and remote= exclude each other")
    try:
        frame = Frame(identifier, extended=extended)
    except ValueError as error:
        raise OperationError(str(error)) from None
    return (frame.id | EFF_FLAG if frame.extended else frame.id) | (RTR_FLAG if remote else 0)


def watch_message(
    can_id: int,
    *,
    mask: bytes | None,
    multiplex: Multiplex | None,
    timeout: float | None,
    throttle: float | None,
    check_length: bool,
    announce_resume: bool,
    restart_timeout: bool,
    fd: bool,
) -> BcmMessage:
    """Make the RX_SETUP of a watch; see :meth:`anycan.BcmEndpoint.watch`.

    Raises:
        OperationError: It cannot be.
    """
    flags = int(BcmFlag.CAN_FD_FRAME) if fd else 0
    masks = _masks(mask, multiplex, fd=fd)
    if masks:
        flags |= BcmFlag.RX_CHECK_DLC if check_length else 0
    else:
        flags |= BcmFlag.RX_FILTER_ID
        if check_length:
            raise OperationError(
                "check_length= is for content that is watched: without mask= every frame is told"
            )
    first = second = Interval()
    if throttle is not None and throttle != 0:
        second = to_interval(throttle, "throttle")
        flags |= BcmFlag.SETTIMER
    if timeout is not None:
        first = to_interval(timeout, "timeout")
        flags |= BcmFlag.SETTIMER | BcmFlag.STARTTIMER
        flags |= BcmFlag.RX_ANNOUNCE_RESUME if announce_resume else 0
        flags |= 0 if restart_timeout else BcmFlag.RX_NO_AUTOTIMER
    frames = b"".join(_mask_frame(data, fd=fd) for data in masks)
    return BcmMessage(BcmOpcode.RX_SETUP, flags, 0, first, second, can_id, len(masks), frames)


def _masks(mask: bytes | None, multiplex: Multiplex | None, *, fd: bool) -> list[bytes]:
    longest = _FLEXIBLE_DATA if fd else _STANDARD_DATA
    if multiplex is not None:
        if mask is not None:
            raise OperationError("mask= and multiplex= exclude each other: a Multiplex has masks")
        if not isinstance(multiplex, Multiplex):
            raise TypeError(f"multiplex= is an anycan.Multiplex, not {multiplex!r}")
        selector = multiplex.mask.ljust(longest, b"\0")
        masks = [selector]
        for value, content in multiplex.contents.items():
            _check_mask(content, longest)
            bits = zip(
                selector, value.ljust(longest, b"\0"), content.ljust(longest, b"\0"), strict=False
            )
            masks.append(bytes(one | data & ~chosen for chosen, one, data in bits))
        return masks
    if mask is None:
        return []
    mask = _to_bytes(mask)
    _check_mask(mask, longest)
    return [mask]


def _to_bytes(mask: Any) -> bytes:
    if isinstance(mask, int):
        raise TypeError(f"mask= is bytes, such as b'\\xff\\x00'; not {mask!r}")
    return bytes(mask)


def _check_mask(mask: bytes, longest: int) -> None:
    if len(mask) > longest:
        raise OperationError(
            f"a mask of {len(mask)} bytes is longer than the frame, which has up to {longest}"
        )


def _mask_frame(data: bytes, *, fd: bool) -> bytes:
    if fd:
        return encode_frame(FdFrame(0, data.ljust(_FLEXIBLE_DATA, b"\0")))
    return encode_frame(Frame(0, data.ljust(_STANDARD_DATA, b"\0")))


def answer_message(frame: AnyFrame) -> BcmMessage:
    """Make the RX_SETUP that answers a remote request with a frame.

    Raises:
        OperationError: The frame is none of classical CAN with data.
    """
    if not isinstance(frame, Frame):
        raise OperationError(
            f"a remote request is answered with a data frame of classical CAN, not {frame!r}"
        )
    return BcmMessage(
        BcmOpcode.RX_SETUP,
        BcmFlag.RX_RTR_FRAME,
        can_id=_word(frame) | RTR_FLAG,
        frame_count=1,
        frames=encode_frame(frame),
    )


def shown_identifier(can_id: int) -> str:
    """Give an identifier as candump writes it, from its word."""
    identifier = can_id & ~(EFF_FLAG | RTR_FLAG)
    return f"{identifier:08X}" if can_id & EFF_FLAG else f"{identifier & SFF_MASK:03X}"
