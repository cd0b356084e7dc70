"""A reception of the broadcast manager, as the kernel makes it: content filters and timeouts.

Source: ``linux/can/bcm.h``; what the kernel does as seen on Linux 6.12
(``docs/explanation/parity.md``).
"""

from __future__ import annotations

import errno
from struct import Struct
from typing import TYPE_CHECKING, Final

from anycan.engine.failure import failure
from anycan.frame import RTR_FLAG
from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode, Interval
from anycan.wire.constants import MSG_CONFIRM, MSG_DONTROUTE

if TYPE_CHECKING:
    from anycan.engine.bcm_host import BcmHost
    from anycan.engine.timers import Timers

_SET_TIMER: Final = int(BcmFlag.SETTIMER)
_START_TIMER: Final = int(BcmFlag.STARTTIMER)
_COPY_ID: Final = int(BcmFlag.TX_CP_CAN_ID)
_EVERY: Final = int(BcmFlag.RX_FILTER_ID)
_CHECK_LENGTH: Final = int(BcmFlag.RX_CHECK_DLC)
_NO_AUTO_TIMER: Final = int(BcmFlag.RX_NO_AUTOTIMER)
_RESUME: Final = int(BcmFlag.RX_ANNOUNCE_RESUME)
_ANSWER: Final = int(BcmFlag.RX_RTR_FRAME)
_pack_word: Final = Struct("=I").pack

# The kernel keeps its marks in the upper half of the byte that holds CAN FD's flags, without
# clearing it first: of a frame of classical CAN that is padding, which a sender may have filled.
_FRAME_FLAGS: Final = 0x0F
_LOCAL: Final = 0x10
_OWN: Final = 0x20
_RECEIVED: Final = 0x40
_THROTTLED: Final = 0x80
_DATA: Final = 8  # where a frame's data begins
_MULTIPLEX: Final = slice(_DATA, _DATA + 8)


class _Content:
    """What was last received, of the identifier or of one of its multiplexed contents."""

    __slots__ = ("data", "frame", "length", "marks", "mask", "multiplex")

    def __init__(self) -> None:
        self.mask = 0
        self.multiplex = 0
        self.clear()

    def clear(self) -> None:
        self.frame = b""
        self.marks = 0
        self.data = 0
        self.length = 0


class Reception:
    """Frames of one identifier, of which some are told.

    Args:
        host: The socket it belongs to.
        timers: Where it gets its timers from.
        can_id: The identifier, with its flags.
        interface: Where it listens; 0: everywhere.
        flexible: It is for CAN FD frames, else for classical ones.

    Attributes:
        frames: The masks, as set.
        flags: :class:`~anycan.wire.bcm.BcmFlag` values, as last set.
        interval1: The timeout.
        interval2: The throttle.
    """

    def __init__(
        self, host: BcmHost, timers: Timers, can_id: int, interface: int, *, flexible: bool
    ) -> None:
        self.can_id = can_id
        self.interface = interface
        self.flexible = flexible
        self.frames: list[bytes] = []
        self.flags = 0
        self.interval1 = self.interval2 = Interval()
        self._host = host
        self._contents = [_Content()]
        self._timeout = timers.timer(self._timed_out)
        self._throttle = timers.timer(self._throttled)
        self._timeout_ns = self._throttle_ns = 0
        self._last_told: int | None = None  # when, while throttling
        self._heard_from = interface
        self._stamp_ns = 0
        self._change_head = b""

    def check(self, message: BcmMessage) -> None:
        """Tell whether a message can change it.

        Raises:
            OSError: E2BIG: it has more frames than there are.
        """
        if message.frame_count > len(self.frames):
            raise failure(errno.E2BIG)

    def set_up(self, message: BcmMessage, frames: list[bytes], now: int) -> None:
        """Take an RX_SETUP whose content has been checked.

        Args:
            message: The message.
            frames: Its frames; none: every frame is told.
            now: The time.
        """
        flags = self.flags = message.flags
        self._take_frames(frames)
        if flags & _ANSWER:
            self._throttle.cancel()
            self._timeout.cancel()
            self._name_answer()
        else:
            if flags & _SET_TIMER:
                self._set_timers(message)
            if flags & _START_TIMER and self._timeout_ns:
                self._timeout.start(now + self._timeout_ns)
        self._renew_head()

    def _take_frames(self, frames: list[bytes]) -> None:
        while len(self._contents) < len(frames):
            self._contents.append(_Content())
        self.frames = frames
        for content, frame in zip(self._contents, frames, strict=False):
            content.clear()
            content.mask = int.from_bytes(frame[_DATA:], "little")  # in any order, if in one
        if len(frames) > 1:
            selector = int.from_bytes(frames[0][_MULTIPLEX], "little")
            self._contents[0].multiplex = selector
            for content, frame in zip(self._contents[1:], frames[1:], strict=False):
                content.multiplex = int.from_bytes(frame[_MULTIPLEX], "little") & selector

    def _name_answer(self) -> None:
        frame = self.frames[0]
        if self.flags & _COPY_ID or frame[:4] == _pack_word(self.can_id):
            self.frames[0] = _pack_word(self.can_id & ~RTR_FLAG) + frame[4:]

    def _set_timers(self, message: BcmMessage) -> None:
        self.interval1, self.interval2 = message.interval1, message.interval2
        self._timeout_ns = message.interval1.to_nanoseconds()
        self._throttle_ns = message.interval2.to_nanoseconds()
        self._renew_head()
        if not self._timeout_ns:
            self._timeout.cancel()
        self._last_told = None
        self._throttle.cancel()
        self._flush()

    def _renew_head(self) -> None:
        message = self.status(BcmOpcode.RX_CHANGED, frame_count=1)
        self._change_head = NATIVE.encode(message)

    def receive(
        self, frame: bytes, interface: int, *, local: bool, own: bool, stamp_ns: int, now: int
    ) -> None:
        """Take a frame of the identifier and the kind.

        Args:
            frame: Its bytes.
            interface: Where it was received.
            local: It was sent on this host.
            own: It was sent by the socket that this belongs to.
            stamp_ns: When it was received, by the clock of stamps.
            now: The time.
        """
        # With timers, one operation is for one interface: the first that is heard.
        if self._timeout_ns or self._throttle_ns:
            sticks_to = self.interface or self._heard_from
            if sticks_to and interface != sticks_to:
                return
        self._timeout.cancel()
        self._stamp_ns = stamp_ns
        self._heard_from = interface
        if self.flags & _ANSWER:
            if self.interface:
                self._host.answer(self.frames[0], self.interface)
            return
        content = self._content_of(frame)
        if content is not None:
            marks = (_LOCAL if local else 0) | (_OWN if own else 0)
            self._update(content, frame, marks, now)
        if self._timeout_ns and not self.flags & _NO_AUTO_TIMER:
            self._timeout.start(now + self._timeout_ns)

    def _content_of(self, frame: bytes) -> _Content | None:
        """Give the content that a frame changes; None: it changes none."""
        contents = self._contents
        if self.flags & _EVERY:
            return contents[0]
        count = len(self.frames)
        if count > 1:
            selected = int.from_bytes(frame[_MULTIPLEX], "little") & contents[0].multiplex
            for content in contents[1:count]:
                if content.multiplex == selected:
                    break
            else:
                return None
        else:
            content = contents[0]
        return content if self._differs(content, frame) else None

    def _differs(self, content: _Content, frame: bytes) -> bool:
        if not content.marks & _RECEIVED:
            return True
        length = frame[4]
        # As many bytes as were received, rounded up to a multiple of eight.
        end = _DATA + (length + 7 & ~7)
        difference = int.from_bytes(frame[_DATA:end], "little") ^ content.data
        if difference & content.mask & (1 << 8 * (end - _DATA)) - 1:
            return True
        return self.flags & _CHECK_LENGTH != 0 and length != content.length

    def _update(self, content: _Content, frame: bytes, marks: int, now: int) -> None:
        content.frame = frame
        content.data = int.from_bytes(frame[_DATA:], "little")
        content.length = frame[4]
        content.marks = frame[5] | marks | _RECEIVED | _THROTTLED
        if not self._throttle_ns:
            self._tell_change(content)
        elif self._throttle.deadline is not None:
            pass  # its turn comes
        elif self._last_told is not None and now - self._last_told < self._throttle_ns:
            self._throttle.start(self._last_told + self._throttle_ns)
        else:
            self._tell_change(content)
            self._last_told = now

    def _tell_change(self, content: _Content) -> None:
        content.marks &= ~_THROTTLED
        frame = content.frame
        message = b"%b%b%c%b" % (
            self._change_head,
            frame[:5],
            content.marks & _FRAME_FLAGS,
            frame[6:],
        )
        flags = message_flags(content.marks)
        self._host.tell(message, self._heard_from, flags, self._stamp_ns)

    def _flush(self) -> bool:
        """Tell what is throttled; give whether anything was."""
        count = len(self.frames)
        flushed = False
        for content in self._contents[1:count] if count > 1 else self._contents[:1]:
            if content.marks & _THROTTLED:
                self._tell_change(content)
                flushed = True
        return flushed

    def _throttled(self, due: int, now: int) -> int | None:
        if self._flush():
            interval = self._throttle_ns
            return due + ((now - due) // interval + 1) * interval
        self._last_told = None
        return None

    def _timed_out(self, _due: int, _now: int) -> None:
        if self.flags & _RESUME:
            for content in self._contents[: len(self.frames)]:
                content.clear()
        message = self.status(BcmOpcode.RX_TIMEOUT)
        self._host.tell(NATIVE.encode(message), self._heard_from)

    def status(self, opcode: BcmOpcode, frames: bytes = b"", frame_count: int = 0) -> BcmMessage:
        """Make a message that tells how it stands."""
        return BcmMessage(
            opcode,
            self.flags,
            0,
            self.interval1,
            self.interval2,
            self.can_id,
            frame_count,
            frames,
        )

    @property
    def timed(self) -> bool:
        """Whether :meth:`receive` asks what time it is: it has a timeout or a throttle."""
        return self._timeout_ns != 0 or self._throttle_ns != 0

    @property
    def heard_from(self) -> int:
        """The interface that a frame was last received from; before that, where it listens."""
        return self._heard_from

    def close(self) -> None:
        """Tell no more, for good."""
        self._timeout.discard()
        self._throttle.discard()


def message_flags(marks: int) -> int:
    """Give the flags of a message with one frame, from the upper half of the frame's flags."""
    return (MSG_DONTROUTE if marks & _LOCAL else 0) | (MSG_CONFIRM if marks & _OWN else 0)
