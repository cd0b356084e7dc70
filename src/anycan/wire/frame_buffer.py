"""Making the frames of a batch of received messages, in one pass."""

from __future__ import annotations

import sys
from struct import Struct, calcsize
from typing import TYPE_CHECKING, Any, Final

from anycan.filter import CLASSICAL, FLEXIBLE
from anycan.frame import (
    EFF_FLAG,
    EFF_MASK,
    ERR_FLAG,
    RTR_FLAG,
    SFF_MASK,
    XLF,
    BlankFrame,
    Frame,
)
from anycan.wire.constants import (
    CAN_MTU,
    CANFD_MTU,
    CANXL_HEADER_SIZE,
    MSG_CONFIRM,
    MSG_DONTROUTE,
)
from anycan.wire.frames import decode_frame
from anycan.wire.messages import (
    ADDRESS,
    CONTROL_HEADER,
    DROPS,
    HEADER_SIZE,
    SECOND,
    MessageBuffer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anycan.filter import Sieve
    from anycan.frame import AnyFrame

_WORD = Struct("=I")
_XL_WORD: Final = 0x00FF0000 | SFF_MASK  # linux/can.h: the VCID and the priority, and no more
_FIRST = Struct("@II8s")
_SECONDS = Struct("@l")
# A word of length and raw DLC up to this is that of a plain frame, and its length.
_PLAIN: Final = 8 if sys.byteorder == "little" else 0
_LAST_EXTENDED: Final = EFF_FLAG | EFF_MASK


def _two_low_bytes(offset: int, size: int) -> tuple[int, int]:
    last = offset + size - 1
    return (offset, offset + 1) if sys.byteorder == "little" else (last, last - 1)


# The bytes in which the headers of two messages can differ, addresses aside: the control length,
# two bytes of flags (DONTROUTE, TRUNC; CONFIRM), two bytes of the length.
_COMPARED: Final = (
    _two_low_bytes(calcsize("@PIPNP"), calcsize("@N"))[0],
    *_two_low_bytes(calcsize("@PIPNPN"), calcsize("@i")),
    *_two_low_bytes(calcsize("@PIPNPNi0P"), calcsize("@I")),
)


def _verdict(sieve: Sieve[Any], payload: bytes | bytearray, interface: str | None) -> Any:
    """Give who takes a frame, or what decides it once it is made."""
    (word,) = _WORD.unpack_from(payload)
    if payload[4] & XLF:
        word &= _XL_WORD
    takers: Any = sieve.verdicts[word]
    if (
        takers.__class__ is not tuple
        and len(payload) == CANFD_MTU
        and not word & (ERR_FLAG | RTR_FLAG)
        and not payload[4] & XLF
    ):
        data = bytes(payload[8 : 8 + payload[4]])
        takers = takers.decide(FLEXIBLE, word, data, interface)
    return takers


class FrameBuffer(MessageBuffer):
    """Room for a batch of messages of a raw socket, which are frames.

    Args:
        capacity: As of :class:`MessageBuffer`, and so are the rest.
    """

    __slots__ = ("_record_views", "_records_of", "_seconds_offset", "_unpack_record")

    def __init__(
        self, capacity: int, payload_size: int = CANFD_MTU, *, hardware_stamps: bool = False
    ) -> None:
        super().__init__(capacity, payload_size, hardware_stamps=hardware_stamps)
        # The first four words of a classical frame as two: the second holds the length in its
        # lowest byte, and no more than that in a plain frame (on big-endian machines
        # only one without data looks plain, which is slower and as right).
        before = f"@II8s{payload_size - CAN_MTU}x4xI16x{calcsize('@' + CONTROL_HEADER)}x"
        after = f"{self.control_size - calcsize('@' + CONTROL_HEADER + 'll')}x"
        second = f"{calcsize('@l')}x"
        self._unpack_record = Struct(before + "ll" + after).unpack_from
        self._records_of = Struct(before + second + "l" + after).iter_unpack  # all of one second
        self._seconds_offset = calcsize(before)
        # A slice of a memoryview costs an allocation per batch; batches come in few sizes.
        self._record_views: dict[tuple[int, int], memoryview] = {}

    def decode(  # noqa: C901, PLR0912, PLR0915 - one loop, with no call for a frame
        self,
        count: int,
        names: Mapping[int, str | None],
        bound: str | None = None,
        sieve: Sieve[Any] | None = None,
    ) -> list[AnyFrame]:
        """Make the frames of the first ``count`` messages.

        Args:
            count: How many messages the last receive call stored.
            names: The names of the interfaces by index.
            bound: The name of the interface that all of them came from; None: look in ``names``.
            sieve: Says who takes which; no object is made of a frame that nobody takes. Of each
                frame that is returned, who takes it is in ``sieve.targets``, and how many were
                refused is added to ``sieve.refused``. None: all are wanted.

        Returns:
            The frames in their order. Messages that are no frame are left out: what the list is
            shorter than ``count``, and was not refused, was malformed.
        """
        takers: Any = None
        stamp_size = self._stamp.size
        if count == 1 and bound is not None and not self.hardware_stamps:
            # One frame a wake-up, as on a quiet bus: without the machinery of a batch.
            control_length, flags, size = self._unpack_header(self.headers)
            if size == CAN_MTU and control_length == stamp_size:
                word, shape, data, _, seconds, fraction = self._unpack_record(self.records)
                if shape <= _PLAIN and word <= SFF_MASK:
                    if sieve is not None:
                        takers = sieve.verdicts[word]
                        if takers.__class__ is not tuple:
                            takers = takers.decide(CLASSICAL, word, data[:shape], bound)
                        if not takers:
                            sieve.refused += 1
                            return []
                    frame: Any = BlankFrame()
                    frame.timestamp_ns = seconds * SECOND + fraction
                    frame.hardware_timestamp_ns = None
                    frame.interface = bound
                    frame.local = flags & MSG_DONTROUTE != 0
                    frame.own = flags & MSG_CONFIRM != 0
                    frame.id = word
                    frame.data = data[:shape]
                    frame.extended = False
                    frame.len8_dlc = 0
                    frame.__class__ = Frame
                    return [frame] if sieve is None or sieve.settle(takers, frame) else []
        frames: list[AnyFrame] = []
        verdicts: Any = None
        targets: list[Any] = []
        if sieve is not None:
            verdicts, targets = sieve.verdicts, sieve.targets
        refused = 0
        start = 0
        while start < count:
            control_length, flags, size = self._unpack_header(self.headers, start * HEADER_SIZE)
            end = count if start + 1 == count else self._run_end(start, count)
            if control_length > stamp_size:
                drops = (end - 1) * self.stride + self.control_offset + stamp_size
                self.drops = DROPS.unpack_from(self.records, drops)[3]
            if size != CAN_MTU or control_length < stamp_size or self.hardware_stamps:
                for position in range(start, end):
                    stamped = control_length >= stamp_size
                    self._decode_any(frames, position, size, flags, stamped, bound or names, sieve)
                start = end
                continue
            # A run of classical CAN: this is where a reader's time goes.
            end = self._second_end(start, end)
            view = self._record_views.get((start, end))
            if view is None:
                view = self._make_view(start, end)
            local = flags & MSG_DONTROUTE != 0
            own = flags & MSG_CONFIRM != 0
            base = self._seconds(start) * SECOND
            interface = bound
            for word, shape, data, ifindex, fraction in self._records_of(view):
                if bound is None:
                    interface = names[ifindex]
                # What is not a plain data frame (a remote or error frame, a raw DLC, reserved
                # bits set) makes one of the two words larger.
                if shape <= _PLAIN and (word <= SFF_MASK or EFF_FLAG <= word <= _LAST_EXTENDED):
                    if shape != 8:
                        data = data[:shape]  # noqa: PLW2901 - no other name, for speed
                    if verdicts is not None:
                        takers = verdicts[word]
                        if takers.__class__ is not tuple:
                            takers = takers.decide(CLASSICAL, word, data, interface)
                        if not takers:
                            refused += 1
                            continue
                    frame = BlankFrame()
                    frame.timestamp_ns = base + fraction
                    frame.hardware_timestamp_ns = None
                    frame.interface = interface
                    frame.local = local
                    frame.own = own
                    if word <= SFF_MASK:
                        frame.id = word
                        frame.extended = False
                    else:
                        frame.id = word & EFF_MASK
                        frame.extended = True
                    frame.data = data
                    frame.len8_dlc = 0
                    frame.__class__ = Frame
                    if verdicts is None:
                        frames.append(frame)
                    elif takers.__class__ is tuple:
                        targets.append(takers)
                        frames.append(frame)
                    elif sieve.settle(takers, frame):  # type: ignore[union-attr]  # there is one
                        frames.append(frame)
                else:
                    payload = _FIRST.pack(word, shape, data)  # as it was
                    if sieve is not None:
                        takers = _verdict(sieve, payload, interface)
                        if not takers:
                            refused += 1
                            continue
                    frame = decode_frame(payload, base + fraction, None, interface, local, own)
                    if frame is not None and (sieve is None or sieve.settle(takers, frame)):
                        frames.append(frame)
            start = end
        if sieve is not None:
            sieve.refused += refused
        return frames

    def _run_end(self, start: int, count: int) -> int:
        """Give where the run of messages ends that have the flags and the size of the first."""
        first = start + 1
        stride = self._header.size
        end = count * stride
        for offset in _COMPARED:
            column = self.headers[start * stride + offset : end : stride]
            if column.count(column[0]) != len(column):
                break
        else:
            return count
        wanted = self._compared_bytes(start)
        while first < count and self._compared_bytes(first) == wanted:
            first += 1
        return first

    def _seconds(self, position: int) -> int:
        """Give the seconds of a message's (software) time stamp."""
        offset = position * self.stride + self._seconds_offset
        return int(_SECONDS.unpack_from(self.records, offset)[0])

    def _second_end(self, start: int, end: int) -> int:
        """Give where those messages end, of a run, that came in the second of the first one.

        The first and the last are compared whole. Between these, two bytes are enough: a clock
        would have to be set by a multiple of 18 hours, and back.
        """
        if start + 1 == end:
            return end
        second = self._seconds(start)
        if self._seconds(end - 1) == second:
            stride = self.stride
            for offset in _two_low_bytes(self._seconds_offset, calcsize("@l")):
                column = self.records[start * stride + offset : end * stride : stride]
                if column.count(column[0]) != len(column):
                    break
            else:
                return end
        position = start + 1
        while self._seconds(position) == second:
            position += 1
        return position

    def _compared_bytes(self, position: int) -> bytes:
        start = position * self._header.size
        return bytes(self.headers[start + offset] for offset in _COMPARED)

    def _decode_any(
        self,
        frames: list[AnyFrame],
        position: int,
        size: int,
        flags: int,
        stamped: bool,
        names: Mapping[int, str | None] | str,
        sieve: Sieve[Any] | None,
    ) -> None:
        """Make the frame of one message, whatever it is."""
        start = position * self.stride
        payload = self.records[start : start + size]
        _, ifindex = ADDRESS.unpack_from(self.records, start + self.address_offset)
        interface = names if isinstance(names, str) else names[ifindex]
        takers: Any = None
        if sieve is not None and size > CANXL_HEADER_SIZE:
            takers = _verdict(sieve, payload, interface)
            if not takers:
                sieve.refused += 1
                return
        timestamp_ns: int | None = None
        hardware_ns: int | None = None
        if stamped:
            _, _, _, *times = self._stamp.unpack_from(self.records, start + self.control_offset)
            timestamp_ns = times[0] * SECOND + times[1]
            if self.hardware_stamps:
                hardware_ns = times[4] * SECOND + times[5] or None
        frame = decode_frame(
            payload,
            timestamp_ns,
            hardware_ns,
            interface,
            flags & MSG_DONTROUTE != 0,
            flags & MSG_CONFIRM != 0,
        )
        if frame is not None and (sieve is None or sieve.settle(takers, frame)):
            frames.append(frame)

    def _make_view(self, start: int, end: int) -> memoryview:
        if len(self._record_views) > 2 * self.capacity:
            self._record_views.clear()
        view = memoryview(self.records)[start * self.stride : end * self.stride]
        self._record_views[start, end] = view
        return view
