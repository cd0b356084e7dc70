"""A batch of received messages in memory, as recvmmsg(2) fills it, and its decoding in one pass.

One :class:`MessageBuffer` is two arrays of fixed stride, so that a batch decodes with two
``struct.iter_unpack`` calls whatever it holds:

- *headers*: ``struct mmsghdr``, 64 bytes each on 64-bit machines;
- *records*: the payload (16, 72 or 2064 bytes), ``struct sockaddr_can`` (24) and the control
  messages: the time stamp, then the drop count (``net/core/sock.c`` writes them in this order,
  and the drop count only once it is not zero).

The user-space network fills the same arrays, so that nothing above knows where a batch came from.
"""

from __future__ import annotations

import sys
from struct import Struct, calcsize
from typing import TYPE_CHECKING, Any, Final

from anycan.frame import EFF_FLAG, EFF_MASK, SFF_MASK, Frame, FrameFields
from anycan.wire.constants import (
    AF_CAN,
    CAN_MTU,
    CANFD_MTU,
    MSG_CONFIRM,
    MSG_DONTROUTE,
    SO_RXQ_OVFL,
    SO_TIMESTAMPING,
    SO_TIMESTAMPNS,
    SOL_SOCKET,
)
from anycan.wire.frames import decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anycan.frame import AnyFrame

SOCKADDR_CAN_SIZE: Final = 24
XL_PAYLOAD_SIZE: Final = 2064  # CANXL_MTU, rounded up to a multiple of 8

_ADDRESS = Struct("=HxxI16x")
_CONTROL_HEADER: Final = "Nii"  # struct cmsghdr: length, level, type
_STAMP: Final = "@" + _CONTROL_HEADER + "ll0N"  # struct timespec
_STAMPS: Final = "@" + _CONTROL_HEADER + "llllll0N"  # struct scm_timestamping
_DROPS = Struct("@" + _CONTROL_HEADER + "I0N")
_DROPS_LENGTH: Final = calcsize("@" + _CONTROL_HEADER + "I")
_HEADER: Final = "@PIPNPNi0PI0P"  # struct mmsghdr, whole
_HEADER_RESULT: Final = f"@{calcsize('@PIPNP')}xNi0PI0P"  # controllen, flags, length
_HEADER_SIZE: Final = calcsize(_HEADER)
_IOVEC = Struct("@PN")
_new = object.__new__
_LAST_EXTENDED: Final = EFF_FLAG | EFF_MASK
_SECOND: Final = 1_000_000_000


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


def pack_address(ifindex: int) -> bytes:
    """Give ``struct sockaddr_can`` for an interface index; 0 stands for all interfaces."""
    return _ADDRESS.pack(AF_CAN, ifindex)


class MessageBuffer:
    """Room for a batch of received messages.

    Args:
        capacity: How many messages it holds.
        payload_size: Bytes of one payload: 16 (classical CAN), 72 (CAN FD) or 2064 (CAN XL).
        hardware_stamps: The control messages carry ``SCM_TIMESTAMPING`` (software and hardware)
            instead of ``SCM_TIMESTAMPNS``.

    Attributes:
        headers: ``capacity`` times ``struct mmsghdr``.
        records: ``capacity`` times payload, address and control messages.
        stride: Bytes of one record.
        address_offset: Where in a record the address stands.
        control_offset: Where in a record the control messages stand.
        control_size: Bytes of the control messages.
        drops: The latest drop count that a decoded message carried.
    """

    __slots__ = (
        "_header",
        "_payload",
        "_record",
        "_record_views",
        "_records_of",
        "_stamp",
        "_unpack_header",
        "_unpack_record",
        "address_offset",
        "capacity",
        "control_offset",
        "control_size",
        "drops",
        "hardware_stamps",
        "headers",
        "payload_size",
        "records",
        "stride",
    )

    def __init__(
        self, capacity: int, payload_size: int = CANFD_MTU, *, hardware_stamps: bool = False
    ) -> None:
        self.capacity = capacity
        self.payload_size = payload_size
        self.hardware_stamps = hardware_stamps
        self.drops = 0
        self._stamp = Struct(_STAMPS if hardware_stamps else _STAMP)
        self.address_offset = payload_size
        self.control_offset = payload_size + SOCKADDR_CAN_SIZE
        self.control_size = self._stamp.size + _DROPS.size
        self.stride = self.control_offset + self.control_size
        # The first four words of a classical frame as two: the second holds the length in its
        # lowest byte, and no more than that in a plain frame (on big-endian machines it never
        # looks plain, which is slower and as right).
        stamp = calcsize("@" + _CONTROL_HEADER)
        self._record = Struct(
            f"@II8s{payload_size - CAN_MTU}x4xI16x{stamp}xll"
            f"{self.control_size - stamp - calcsize('@ll')}x"
        )
        self._records_of = self._record.iter_unpack
        self._unpack_record = self._record.unpack_from
        self._payload = Struct(f"={payload_size}s{self.stride - payload_size}x")
        self._header = Struct(_HEADER_RESULT)
        self._unpack_header = self._header.unpack_from
        self.headers = bytearray(capacity * self._header.size)
        self.records = bytearray(capacity * self.stride)
        # A slice of a memoryview costs an allocation per batch; batches come in few sizes.
        self._record_views: dict[tuple[int, int], memoryview] = {}

    def header_template(self, records_address: int, vectors_address: int) -> bytes:
        """Give the headers as recvmmsg(2) wants them before each call.

        Args:
            records_address: Where ``records`` stands in memory.
            vectors_address: Where the bytes of :meth:`vectors` stand in memory.
        """
        header = Struct(_HEADER)
        return b"".join(
            header.pack(
                records_address + position * self.stride + self.address_offset,
                SOCKADDR_CAN_SIZE,
                vectors_address + position * _IOVEC.size,
                1,
                records_address + position * self.stride + self.control_offset,
                self.control_size,
                0,
                0,
            )
            for position in range(self.capacity)
        )

    def vectors(self, records_address: int) -> bytes:
        """Give the ``struct iovec`` of every payload."""
        return b"".join(
            _IOVEC.pack(records_address + position * self.stride, self.payload_size)
            for position in range(self.capacity)
        )

    def store(
        self,
        position: int,
        payload: bytes,
        ifindex: int,
        flags: int,
        timestamp_ns: int,
        drops: int,
    ) -> None:
        """Put one message in, as the kernel would.

        Args:
            position: Which record, from 0.
            payload: The bytes of the frame; cut (with ``MSG_TRUNC`` in ``flags`` by the caller)
                when longer than ``payload_size``.
            ifindex: The interface it was received from.
            flags: ``MSG_DONTROUTE``, ``MSG_CONFIRM``, ``MSG_TRUNC``.
            timestamp_ns: When it was received, in nanoseconds since the epoch.
            drops: The socket's drop count when it was queued; left out when 0.
        """
        start = position * self.stride
        size = min(len(payload), self.payload_size)
        self.records[start : start + size] = payload[:size]
        _ADDRESS.pack_into(self.records, start + self.address_offset, AF_CAN, ifindex)
        control = start + self.control_offset
        seconds, nanoseconds = divmod(timestamp_ns, _SECOND)
        if self.hardware_stamps:
            self._stamp.pack_into(
                self.records,
                control,
                calcsize("@" + _CONTROL_HEADER + "llllll"),
                SOL_SOCKET,
                SO_TIMESTAMPING,
                *(seconds, nanoseconds, 0, 0, 0, 0),
            )
        else:
            self._stamp.pack_into(
                self.records,
                control,
                calcsize("@" + _CONTROL_HEADER + "ll"),
                SOL_SOCKET,
                SO_TIMESTAMPNS,
                *(seconds, nanoseconds),
            )
        length = self._stamp.size
        if drops:
            _DROPS.pack_into(
                self.records, control + length, _DROPS_LENGTH, SOL_SOCKET, SO_RXQ_OVFL, drops
            )
            length += _DROPS.size
        self._header.pack_into(self.headers, position * self._header.size, length, flags, size)

    def set_length(self, position: int, length: int) -> None:
        """Set the length of one message, which recvmsg(2) gives and recvmmsg(2) writes itself."""
        control_length, flags, _ = self._header.unpack_from(
            self.headers, position * self._header.size
        )
        self._header.pack_into(
            self.headers, position * self._header.size, control_length, flags, length
        )

    def message(
        self, position: int, names: Mapping[int, str | None]
    ) -> tuple[bytes, int, str | None]:
        """Give one message as it was received: its payload, its flags, its interface's name."""
        _, flags, length = self._unpack_header(self.headers, position * _HEADER_SIZE)
        start = position * self.stride
        _, ifindex = _ADDRESS.unpack_from(self.records, start + self.address_offset)
        return bytes(self.records[start : start + length]), flags, names[ifindex]

    def payloads(self, count: int) -> Iterator[tuple[tuple[bytes], tuple[int, int, int]]]:
        """Give of the first ``count`` messages what costs the least to give.

        Yields:
            The payload, padded to ``payload_size``; the length of the control messages, the flags,
            and the payload's own length.
        """
        records = memoryview(self.records)[: count * self.stride]
        headers = memoryview(self.headers)[: count * self._header.size]
        return zip(
            self._payload.iter_unpack(records), self._header.iter_unpack(headers), strict=True
        )

    def received(self, count: int) -> Iterator[tuple[bytes, int, int, int | None]]:
        """Give the first ``count`` messages, of whatever they are made.

        Yields:
            The payload, the index of the interface, the flags, and the (software) time stamp.
        """
        for position in range(count):
            control, flags, length = self._unpack_header(self.headers, position * _HEADER_SIZE)
            start = position * self.stride
            _, ifindex = _ADDRESS.unpack_from(self.records, start + self.address_offset)
            timestamp_ns = None
            if control >= self._stamp.size:
                stamp = self._stamp.unpack_from(self.records, start + self.control_offset)
                timestamp_ns = stamp[3] * _SECOND + stamp[4]
            if control > self._stamp.size:
                drops = start + self.control_offset + self._stamp.size
                self.drops = _DROPS.unpack_from(self.records, drops)[3]
            yield bytes(self.records[start : start + length]), ifindex, flags, timestamp_ns

    def decode(  # noqa: C901, PLR0912, PLR0915 - one loop, with no call for a frame
        self, count: int, names: Mapping[int, str | None], bound: str | None = None
    ) -> list[AnyFrame]:
        """Make the frames of the first ``count`` messages.

        Args:
            count: How many messages the last receive call stored.
            names: The names of the interfaces by index.
            bound: The name of the interface that all of them came from; None: look in ``names``.

        Returns:
            The frames in their order. Messages that are no frame are left out: what the list is
            shorter than ``count`` was malformed.
        """
        stamp_size = self._stamp.size
        if count == 1 and bound is not None and not self.hardware_stamps:
            # One frame a wake-up, as on a quiet bus: without the machinery of a batch.
            control_length, flags, size = self._unpack_header(self.headers)
            if size == CAN_MTU and control_length == stamp_size:
                word, shape, data, _, seconds, fraction = self._unpack_record(self.records)
                if shape <= 8 and word <= SFF_MASK:
                    frame: Any = _new(FrameFields)
                    frame.timestamp_ns = seconds * _SECOND + fraction
                    frame.hardware_timestamp_ns = None
                    frame.interface = bound
                    frame.local = flags & MSG_DONTROUTE != 0
                    frame.own = flags & MSG_CONFIRM != 0
                    frame.id = word
                    frame.data = data[:shape]
                    frame.extended = False
                    frame.len8_dlc = 0
                    frame.__class__ = Frame
                    return [frame]
        frames: list[AnyFrame] = []
        start = 0
        while start < count:
            control_length, flags, size = self._unpack_header(self.headers, start * _HEADER_SIZE)
            end = count if start + 1 == count else self._run_end(start, count)
            if control_length > stamp_size:
                drops = (end - 1) * self.stride + self.control_offset + stamp_size
                self.drops = _DROPS.unpack_from(self.records, drops)[3]
            if size != CAN_MTU or control_length < stamp_size or self.hardware_stamps:
                for position in range(start, end):
                    stamped = control_length >= stamp_size
                    self._decode_any(frames, position, size, flags, stamped, bound or names)
                start = end
                continue
            # A run of classical CAN: this is where a reader's time goes.
            view = self._record_views.get((start, end))
            if view is None:
                view = self._make_view(start, end)
            local = flags & MSG_DONTROUTE != 0
            own = flags & MSG_CONFIRM != 0
            seconds_before = base = 0
            interface = bound
            offset = start * self.stride
            for word, shape, data, ifindex, seconds, fraction in self._records_of(view):
                if bound is None:
                    interface = names[ifindex]
                if seconds != seconds_before:
                    seconds_before = seconds
                    base = seconds * _SECOND
                # What is not a plain data frame (a remote or error frame, a raw DLC, reserved
                # bits set) makes one of the two words larger.
                if shape <= 8 and (word <= SFF_MASK or EFF_FLAG <= word <= _LAST_EXTENDED):
                    frame = _new(FrameFields)
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
                    frame.data = data if shape == 8 else data[:shape]
                    frame.len8_dlc = 0
                    frame.__class__ = Frame
                    frames.append(frame)
                else:
                    payload = self.records[offset : offset + CAN_MTU]
                    frame = decode_frame(payload, base + fraction, None, interface, local, own)
                    if frame is not None:
                        frames.append(frame)
                offset += self.stride
            start = end
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
    ) -> None:
        """Make the frame of one message, whatever it is."""
        start = position * self.stride
        timestamp_ns: int | None = None
        hardware_ns: int | None = None
        if stamped:
            _, _, _, *times = self._stamp.unpack_from(self.records, start + self.control_offset)
            timestamp_ns = times[0] * _SECOND + times[1]
            if self.hardware_stamps:
                hardware_ns = times[4] * _SECOND + times[5] or None
        _, ifindex = _ADDRESS.unpack_from(self.records, start + self.address_offset)
        frame = decode_frame(
            self.records[start : start + size],
            timestamp_ns,
            hardware_ns,
            names if isinstance(names, str) else names[ifindex],
            flags & MSG_DONTROUTE != 0,
            flags & MSG_CONFIRM != 0,
        )
        if frame is not None:
            frames.append(frame)

    def _make_view(self, start: int, end: int) -> memoryview:
        if len(self._record_views) > 2 * self.capacity:
            self._record_views.clear()
        view = memoryview(self.records)[start * self.stride : end * self.stride]
        self._record_views[start, end] = view
        return view
