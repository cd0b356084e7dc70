"""What a served network and its clients say to each other: requests, and an answer to each.

A connection is a stream of messages, each sent whole (``SOCK_SEQPACKET``), or behind its length
where there are only byte streams. A client asks, and the server answers in that order; it says
nothing unasked. Both are on one machine: numbers have its byte order and its sizes, and what a
socket receives has the layout of :class:`~anycan.wire.messages.MessageBuffer`.

That a socket is readable or writable, its client sees by a descriptor of its own that comes with
the answer to ``OPEN``.
"""

from __future__ import annotations

import enum
from errno import errorcode
from struct import Struct, calcsize, error
from typing import Final

import attrs

VERSION: Final = 1
MAGIC: Final = b"anycan"
MOST_BYTES: Final = 1 << 17  # of a message
MOST_PDU: Final = MOST_BYTES - 256  # bytes of a payload, with all that goes with it in a message
LENGTH: Final = Struct("=I")  # before each message on a byte stream
LAYOUT: Final = (calcsize("@P"), calcsize("@l"), calcsize("@N"))  # which both sides must have

_REQUEST: Final = Struct("=HHI")
_ANSWER: Final = Struct("=iI")
_HELLO: Final = Struct("=6sHBBBx")
_OPTION: Final = Struct("=iiI")
_RECEIVE: Final = Struct("=HIB")
_SEND: Final = Struct("=HH")


class Operation(enum.IntEnum):
    """What a client asks for."""

    HELLO = 1
    OPEN = 2
    CLOSE = 3
    BIND = 4
    CONNECT = 5
    SET_OPTION = 6
    GET_OPTION = 7
    RECEIVE = 8
    SEND = 9
    INDEX = 10
    NAME = 11
    MTU = 12
    NETLINK = 13
    STATUS = 14


class MalformedRequestError(ValueError):
    """Bytes that are no request. Whoever sent them is not listened to any more."""


@attrs.frozen
class Request:
    """A request.

    Attributes:
        operation: An :class:`Operation`, or a number that is none.
        socket: The number of the socket it is about, or another number; 0: none.
        payload: What goes with it.
    """

    operation: int
    socket: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        """Give its bytes."""
        return _REQUEST.pack(self.operation, 0, self.socket) + self.payload

    @classmethod
    def unpack(cls, data: bytes) -> Request:
        """Give what is in some bytes.

        Raises:
            MalformedRequestError: They are too few, or too many.
        """
        if not _REQUEST.size <= len(data) <= MOST_BYTES:
            raise MalformedRequestError(f"a request of {len(data)} bytes")
        operation, _, socket = _REQUEST.unpack_from(data)
        return cls(operation, socket, data[_REQUEST.size :])


@attrs.frozen
class Answer:
    """An answer.

    Attributes:
        number: The error number; 0: it was done.
        value: A number that was asked for.
        payload: Bytes that were asked for; of an error, its explanation.
    """

    number: int = 0
    value: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        """Give its bytes."""
        return _ANSWER.pack(self.number, self.value) + self.payload

    @classmethod
    def unpack(cls, data: bytes) -> Answer:
        """Give what is in some bytes.

        Raises:
            MalformedRequestError: They are too few.
        """
        if len(data) < _ANSWER.size:
            raise MalformedRequestError(f"an answer of {len(data)} bytes")
        number, value = _ANSWER.unpack_from(data)
        return cls(number, value, data[_ANSWER.size :])


def words_of(error: OSError) -> str:
    """Give what an error says beyond its number, for which its reader has words too."""
    text = error.strerror or ""
    return "" if text == errorcode.get(error.errno or 0) else text


def pack_hello() -> bytes:
    """Give what either side says of itself first."""
    return _HELLO.pack(MAGIC, VERSION, *LAYOUT)


def check_hello(payload: bytes) -> bytes:
    """See to it that the other side speaks the same way; give what it says besides.

    Raises:
        MalformedRequestError: It does not.
    """
    if len(payload) < _HELLO.size:
        raise MalformedRequestError("no anycan network is served there")
    magic, version, *layout = _HELLO.unpack_from(payload)
    if magic != MAGIC:
        raise MalformedRequestError("no anycan network is served there")
    if version != VERSION:
        raise MalformedRequestError(f"the other side is of version {version}, this one {VERSION}")
    if tuple(layout) != LAYOUT:
        raise MalformedRequestError("the other side is a program of another word size")
    return payload[_HELLO.size :]


def pack_option(level: int, option: int, value: bytes | int) -> bytes:
    """Give the payload of ``SET_OPTION`` (with bytes) or ``GET_OPTION`` (with a size)."""
    if isinstance(value, int):
        return _OPTION.pack(level, option, value)
    return _OPTION.pack(level, option, len(value)) + value


def unpack_option(payload: bytes) -> tuple[int, int, int, bytes]:
    """Give level, option, size and value.

    Raises:
        MalformedRequestError: They are not there.
    """
    level, option, size = _unpack(_OPTION, payload)
    return level, option, size, payload[_OPTION.size :]


def pack_receive(limit: int, payload_size: int, *, hardware_stamps: bool) -> bytes:
    """Give the payload of ``RECEIVE``."""
    return _RECEIVE.pack(limit, payload_size, hardware_stamps)


def unpack_receive(payload: bytes) -> tuple[int, int, bool]:
    """Give the limit, the size of a payload, and whether there are hardware stamps.

    Raises:
        MalformedRequestError: They are not there.
    """
    limit, payload_size, hardware_stamps = _unpack(_RECEIVE, payload)
    return limit, payload_size, bool(hardware_stamps)


def pack_send(payloads: list[bytes], address: bytes | None) -> bytes:
    """Give the payload of ``SEND``: an address, if any, and what is to be sent."""
    to = address or b""
    lengths = Struct(f"={len(payloads)}I").pack(*map(len, payloads))
    return b"".join((_SEND.pack(len(to), len(payloads)), to, lengths, *payloads))


def unpack_send(payload: bytes) -> tuple[list[bytes], bytes | None]:
    """Give what is to be sent, and the address.

    Raises:
        MalformedRequestError: It does not add up.
    """
    size, count = _unpack(_SEND, payload)
    start = _SEND.size + size
    address = payload[_SEND.size : start] if size else None
    lengths = Struct(f"={count}I")
    if len(payload) < start + lengths.size:
        raise MalformedRequestError("fewer lengths than payloads")
    sizes = lengths.unpack_from(payload, start)
    position = start + lengths.size
    each = sizes[0] if sizes else 0
    if each and sizes.count(each) == count and len(payload) - position == count * each:
        whole = Struct(f"{each}s").iter_unpack(memoryview(payload)[position:])  # most often so
        return [one for (one,) in whole], address
    found = []
    for length in sizes:
        found.append(payload[position : position + length])
        position += length
    if position != len(payload) or not found:
        raise MalformedRequestError(f"{len(payload)} bytes, where {position} were announced")
    return found, address


def _unpack(layout: Struct, payload: bytes) -> tuple[int, ...]:
    try:
        return layout.unpack_from(payload)
    except error as failure:
        raise MalformedRequestError(str(failure)) from None
