"""A batch of received messages in memory, as recvmmsg(2) fills it.

One :class:`MessageBuffer` is two arrays of fixed stride, so that a batch is unpacked with two
``struct.iter_unpack`` calls whatever it holds:

- *headers*: ``struct mmsghdr``, 64 bytes each on 64-bit machines;
- *records*: the payload (16, 72 or 2064 bytes), ``struct sockaddr_can`` (24) and the control
  messages: the time stamp, then the drop count (``net/core/sock.c`` writes them in this order,
  and the drop count only once it is not zero).

The user-space network fills the same arrays, so that nothing above knows where a batch came from.
"""

from __future__ import annotations

from struct import Struct, calcsize
from typing import TYPE_CHECKING, Final, TypeAlias

from anycan.wire.constants import (
    AF_CAN,
    CANFD_MTU,
    SO_RXQ_OVFL,
    SO_TIMESTAMPING,
    SO_TIMESTAMPNS,
    SOL_SOCKET,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SOCKADDR_CAN_SIZE: Final = 24
XL_PAYLOAD_SIZE: Final = 2064  # CANXL_MTU, rounded up to a multiple of 8

ADDRESS = Struct("=HxxI16x")
CONTROL_HEADER: Final = "Nii"  # struct cmsghdr: length, level, type
_STAMP: Final = "@" + CONTROL_HEADER + "ll0N"  # struct timespec
_STAMPS: Final = "@" + CONTROL_HEADER + "llllll0N"  # struct scm_timestamping
DROPS = Struct("@" + CONTROL_HEADER + "I0N")
_DROPS_LENGTH: Final = calcsize("@" + CONTROL_HEADER + "I")
# struct cmsghdr with a struct timespec, in which nothing is aligned by where it stands.
_SIZE: Final = "Q" if calcsize("@N") == 8 else "I"
_LONG: Final = "q" if calcsize("@l") == 8 else "i"
_PLAIN_STAMP: Final = f"{_SIZE}ii{_LONG}{_LONG}"
_STAMP_LENGTH: Final = calcsize("@" + CONTROL_HEADER + "ll")
_HEADER: Final = "@PIPNPNi0PI0P"  # struct mmsghdr, whole
_HEADER_RESULT: Final = f"@{calcsize('@PIPNP')}xNi0PI0P"  # controllen, flags, length
HEADER_SIZE: Final = calcsize(_HEADER)
_LENGTH = Struct("@I")
_LENGTH_OFFSET: Final = calcsize("@PIPNPNi0P")  # in struct mmsghdr
_IOVEC = Struct("@PN")
SECOND: Final = 1_000_000_000


Message: TypeAlias = "tuple[bytes, int, int, int, int, object]"
"""A message that was received: its payload, its interface's index, its flags, when it came in
nanoseconds since the epoch, the drop count (0: it is left out), and whatever its owner knows."""


def pack_address(ifindex: int) -> bytes:
    """Give ``struct sockaddr_can`` for an interface index; 0 stands for all interfaces."""
    return ADDRESS.pack(AF_CAN, ifindex)


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
        limit: How many messages the next receive call is to store at most, 1 to the capacity;
            for the owner to set.
        drops: The latest drop count that a decoded message carried.
    """

    __slots__ = (
        "_header",
        "_payload",
        "_stamp",
        "_stamped",
        "_unpack_header",
        "_whole",
        "address_offset",
        "capacity",
        "control_offset",
        "control_size",
        "drops",
        "hardware_stamps",
        "headers",
        "limit",
        "payload_size",
        "records",
        "stride",
    )

    def __init__(
        self, capacity: int, payload_size: int = CANFD_MTU, *, hardware_stamps: bool = False
    ) -> None:
        self.capacity = self.limit = capacity
        self.payload_size = payload_size
        self.hardware_stamps = hardware_stamps
        self.drops = 0
        self._stamp = Struct(_STAMPS if hardware_stamps else _STAMP)
        self.address_offset = payload_size
        self.control_offset = payload_size + SOCKADDR_CAN_SIZE
        self.control_size = self._stamp.size + DROPS.size
        self.stride = self.control_offset + self.control_size
        self._payload = Struct(f"={payload_size}s{self.stride - payload_size}x")
        before = SOCKADDR_CAN_SIZE + calcsize("@" + CONTROL_HEADER)
        after = self.stride - payload_size - before - calcsize("@ll")
        self._stamped = Struct(f"@{payload_size}s{before}xll{after}x")
        self._whole = Struct(f"={payload_size}sHxxI16x{_PLAIN_STAMP}")
        self._header = Struct(_HEADER_RESULT)
        self._unpack_header = self._header.unpack_from
        self.headers = bytearray(capacity * self._header.size)
        self.records = bytearray(capacity * self.stride)

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

    def fill(self, messages: Iterable[Message], truncation: int = 0) -> None:
        """Put messages in, from the first record on, as the kernel would.

        Args:
            messages: No more than there is room for.
            truncation: What is added to the flags of a message that has to be cut.
        """
        if self.hardware_stamps:
            for position, (payload, ifindex, flags, timestamp_ns, drops, _) in enumerate(messages):
                more = truncation if len(payload) > self.payload_size else 0
                self.store(position, payload, ifindex, flags | more, timestamp_ns, drops)
            return
        records, headers, room, stride = self.records, self.headers, self.payload_size, self.stride
        pack_record, pack_header = self._whole.pack_into, self._header.pack_into
        stamp_size = self._stamp.size
        start = header = 0
        for payload, ifindex, flags, timestamp_ns, drops, _ in messages:
            size, length = len(payload), stamp_size
            if size > room:
                size = room
                flags |= truncation  # noqa: PLW2901 - as it is told
            pack_record(
                records,
                start,
                payload,
                AF_CAN,
                ifindex,
                _STAMP_LENGTH,
                SOL_SOCKET,
                SO_TIMESTAMPNS,
                timestamp_ns // SECOND,
                timestamp_ns % SECOND,
            )
            if drops:
                at = start + self.control_offset + stamp_size
                DROPS.pack_into(records, at, _DROPS_LENGTH, SOL_SOCKET, SO_RXQ_OVFL, drops)
                length += DROPS.size
            pack_header(headers, header, length, flags, size)
            start += stride
            header += HEADER_SIZE

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
        ADDRESS.pack_into(self.records, start + self.address_offset, AF_CAN, ifindex)
        control = start + self.control_offset
        seconds, nanoseconds = divmod(timestamp_ns, SECOND)
        if self.hardware_stamps:
            self._stamp.pack_into(
                self.records,
                control,
                calcsize("@" + CONTROL_HEADER + "llllll"),
                SOL_SOCKET,
                SO_TIMESTAMPING,
                *(seconds, nanoseconds, 0, 0, 0, 0),
            )
        else:
            self._stamp.pack_into(
                self.records,
                control,
                calcsize("@" + CONTROL_HEADER + "ll"),
                SOL_SOCKET,
                SO_TIMESTAMPNS,
                *(seconds, nanoseconds),
            )
        length = self._stamp.size
        if drops:
            DROPS.pack_into(
                self.records, control + length, _DROPS_LENGTH, SOL_SOCKET, SO_RXQ_OVFL, drops
            )
            length += DROPS.size
        self._header.pack_into(self.headers, position * self._header.size, length, flags, size)

    def set_length(self, position: int, length: int) -> None:
        """Set the length of one message, which recvmsg(2) gives and recvmmsg(2) writes itself."""
        _LENGTH.pack_into(self.headers, position * HEADER_SIZE + _LENGTH_OFFSET, length)

    def message(
        self, position: int, names: Mapping[int, str | None]
    ) -> tuple[bytes, int, str | None]:
        """Give one message as it was received: its payload, its flags, its interface's name."""
        _, flags, length = self._unpack_header(self.headers, position * HEADER_SIZE)
        start = position * self.stride
        _, ifindex = ADDRESS.unpack_from(self.records, start + self.address_offset)
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

    def stamped(self, count: int) -> Iterator[tuple[tuple[bytes, int, int], tuple[int, int, int]]]:
        """Give what :meth:`payloads` gives of the first ``count`` messages, and their stamps.

        Yields:
            The payload, padded to ``payload_size``, and the (software) time stamp's seconds and
            nanoseconds, which mean nothing where there are no control messages; and the length of
            these, the flags, and the payload's own length.
        """
        records = memoryview(self.records)[: count * self.stride]
        headers = memoryview(self.headers)[: count * self._header.size]
        return zip(
            self._stamped.iter_unpack(records), self._header.iter_unpack(headers), strict=True
        )

    def first_stamped(self) -> tuple[bytes, int]:
        """Give the first message alone: its payload, to its own length, and its stamp."""
        _, _, length = self._unpack_header(self.headers)
        payload, seconds, fraction = self._stamped.unpack_from(self.records)
        return payload[:length], seconds * SECOND + fraction

    def note_drops(self, count: int) -> None:
        """Take the drop count from the last of ``count`` messages, if it has one."""
        control, _, _ = self._unpack_header(self.headers, (count - 1) * HEADER_SIZE)
        if control > self._stamp.size:
            start = (count - 1) * self.stride + self.control_offset + self._stamp.size
            self.drops = DROPS.unpack_from(self.records, start)[3]

    def received(self, count: int) -> Iterator[tuple[bytes, int, int, int | None]]:
        """Give the first ``count`` messages, of whatever they are made.

        Yields:
            The payload, the index of the interface, the flags, and the (software) time stamp.
        """
        for position in range(count):
            control, flags, length = self._unpack_header(self.headers, position * HEADER_SIZE)
            start = position * self.stride
            _, ifindex = ADDRESS.unpack_from(self.records, start + self.address_offset)
            timestamp_ns = None
            if control >= self._stamp.size:
                stamp = self._stamp.unpack_from(self.records, start + self.control_offset)
                timestamp_ns = stamp[3] * SECOND + stamp[4]
            if control > self._stamp.size:
                drops = start + self.control_offset + self._stamp.size
                self.drops = DROPS.unpack_from(self.records, drops)[3]
            yield bytes(self.records[start : start + length]), ifindex, flags, timestamp_ns
