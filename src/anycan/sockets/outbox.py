"""Memory from which sendmmsg(2) sends a batch of payloads."""

from __future__ import annotations

import ctypes
import struct
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from anycan.wire.messages import SOCKADDR_CAN_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anycan.wire.messages import MessageBuffer

SEND_BATCH: Final = 64
_BUFFERS: Final = 32  # receive buffers that are sent from, at a time
_HEADER: Final = struct.Struct("@PIPNPNi0PI0P")  # struct mmsghdr
_VECTOR: Final = struct.Struct("@PN")


def address_of(memory: bytearray) -> int:
    """Give where an array of bytes stands in memory."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _linked_headers(addresses: Iterable[int], size: int) -> tuple[bytearray, bytearray]:
    """Give vectors for payloads of one length, and headers that point to these."""
    vectors = bytearray(b"".join(_VECTOR.pack(address, size) for address in addresses))
    first = address_of(vectors)
    headers = b"".join(
        _HEADER.pack(0, 0, first + offset, 1, 0, 0, 0, 0)
        for offset in range(0, len(vectors), _VECTOR.size)
    )
    return vectors, bytearray(headers)


class _Room:
    """Memory for a batch of payloads of one length: nothing but these is written for a batch.

    Args:
        size: Their length.
    """

    def __init__(self, size: int) -> None:
        self.payloads = bytearray(SEND_BATCH * size)
        start = address_of(self.payloads)
        addresses = range(start, start + len(self.payloads), size)
        self._vectors, self._headers = _linked_headers(addresses, size)
        self.address = address_of(self._headers)


class _Received:
    """Headers for the payloads of a receive buffer, which it keeps: they point into its memory.

    Args:
        buffer: The buffer.
        size: The length of its payloads.
    """

    def __init__(self, buffer: MessageBuffer, size: int) -> None:
        self._buffer = buffer
        start = address_of(buffer.records)
        addresses = range(start, start + len(buffer.records), buffer.stride)
        self._vectors, self._headers = _linked_headers(addresses, size)
        self.address = address_of(self._headers)


class Outbox:
    """Memory from which sendmmsg sends a batch: headers, vectors, one address, the payloads."""

    def __init__(self) -> None:
        self._payloads = bytearray(4096)
        self._vectors = bytearray(SEND_BATCH * _VECTOR.size)
        self._address = bytearray(SOCKADDR_CAN_SIZE)
        self._headers: dict[bool, bytearray] = {}
        self._rooms: dict[int, _Room] = {}
        self._received: dict[tuple[int, int], _Received] = {}

    def headers_of(self, buffer: MessageBuffer, size: int) -> int:
        """Give where headers stand that send a buffer's payloads from where they are."""
        known = self._received.get((id(buffer), size))
        if known is None:
            if len(self._received) >= _BUFFERS:
                self._received.clear()
            known = self._received[id(buffer), size] = _Received(buffer, size)
        return known.address

    def fill(self, payloads: Sequence[bytes], address: bytes | None) -> int:
        """Put a batch in.

        Returns:
            Where the headers stand in memory.
        """
        joined = b"".join(payloads)
        size = len(payloads[0])
        if address is None and set(map(len, payloads)) == {size}:
            room = self._rooms.get(size)
            if room is None:
                room = self._rooms[size] = _Room(size)
            room.payloads[: len(joined)] = joined
            return room.address
        if len(joined) > len(self._payloads):
            self._payloads = bytearray(len(joined))
        self._payloads[: len(joined)] = joined
        start = address_of(self._payloads)
        fields: list[int] = []
        for offset, payload in zip(
            accumulate(map(len, payloads), initial=start), payloads, strict=False
        ):
            fields += (offset, len(payload))
        struct.pack_into("@" + "PN" * len(payloads), self._vectors, 0, *fields)
        if address is not None:
            self._address[:] = address
        return address_of(self._linked(address is not None))

    def _linked(self, addressed: bool) -> bytearray:
        headers = self._headers.get(addressed)
        if headers is None:
            vectors = address_of(self._vectors)
            address, size = (address_of(self._address), SOCKADDR_CAN_SIZE) if addressed else (0, 0)
            headers = self._headers[addressed] = bytearray(
                b"".join(
                    _HEADER.pack(address, size, vectors + position * _VECTOR.size, 1, 0, 0, 0, 0)
                    for position in range(SEND_BATCH)
                )
            )
        return headers
