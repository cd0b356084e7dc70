"""Netlink messages, and what comes back to a request (``linux/netlink.h``).

A datagram is one or more messages, each a ``struct nlmsghdr`` and a payload, padded to four bytes.
A request that carries ``NLM_F_ACK`` is answered by ``NLMSG_ERROR``, which also tells success; a
dump by messages that carry ``NLM_F_MULTI``, and ``NLMSG_DONE``. :class:`Exchange` follows either
to its end.

The kernel says in words what it did not like where the socket has ``NETLINK_EXT_ACK``. With
``NETLINK_CAP_ACK`` it does not send the refused request back as well.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import attrs

from anycan.wire.netlink_attributes import (
    I32,
    U32,
    MalformedMessageError,
    pack_attribute,
    padding,
    unpack_attributes,
)

# linux/socket.h, linux/netlink.h: for the socket
AF_NETLINK: Final = 16
NETLINK_ROUTE: Final = 0
SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NETLINK_GET_STRICT_CHK: Final = 12

# linux/netlink.h: types of messages
NLMSG_NOOP: Final = 1
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLMSG_OVERRUN: Final = 4
NLMSG_MIN_TYPE: Final = 0x10  # below it are the ones that belong to netlink itself

# linux/netlink.h: flags; the same bits mean other things in other messages
NLM_F_REQUEST: Final = 0x01
NLM_F_MULTI: Final = 0x02
NLM_F_ACK: Final = 0x04
NLM_F_ECHO: Final = 0x08
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_DUMP_FILTERED: Final = 0x20
NLM_F_DUMP: Final = 0x300  # to get
NLM_F_REPLACE: Final = 0x100  # to make or change
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_CAPPED: Final = 0x100  # in NLMSG_ERROR
NLM_F_ACK_TLVS: Final = 0x200  # in NLMSG_ERROR and NLMSG_DONE

# linux/netlink.h, enum nlmsgerr_attrs
NLMSGERR_ATTR_MSG: Final = 1
NLMSGERR_ATTR_OFFS: Final = 2
NLMSGERR_ATTR_MISS_TYPE: Final = 5
NLMSGERR_ATTR_MISS_NEST: Final = 6

_HEADER: Final = Struct("=IHHII")


@attrs.frozen
class NetlinkMessage:
    """A netlink message.

    Attributes:
        type: What the payload is, such as ``RTM_NEWLINK``.
        flags: ``NLM_F_*``.
        payload: Its bytes, without padding at the end.
        sequence: The number by which an answer is known; 0 in what the kernel tells unasked.
        port: The port of the socket that has asked; 0 is the kernel's.
    """

    type: int
    flags: int = 0
    payload: bytes = b""
    sequence: int = 0
    port: int = 0

    def pack(self, sequence: int | None = None) -> bytes:
        """Give the message's bytes, with padding.

        Args:
            sequence: The sequence number, in place of the message's own.

        Raises:
            struct.error: A number has no room in its field.
        """
        length = _HEADER.size + len(self.payload)
        number = self.sequence if sequence is None else sequence
        header = _HEADER.pack(length, self.type, self.flags, number, self.port)
        return header + self.payload + bytes(padding(length))


def unpack_messages(data: bytes) -> list[NetlinkMessage]:
    """Give the messages in a datagram.

    Raises:
        MalformedMessageError: The datagram is cut short, as by a buffer that was too small for it,
            or a message's length is wrong.
    """
    messages = []
    offset = 0
    while offset < len(data):
        left = len(data) - offset
        if left < _HEADER.size:
            raise MalformedMessageError(f"{left} bytes are left over behind a message")
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= left:
            raise MalformedMessageError(f"a message of {length} bytes, where {left} are left")
        payload = data[offset + _HEADER.size : offset + length]
        messages.append(NetlinkMessage(kind, flags, payload, sequence, port))
        offset += length + padding(length)
    return messages


@attrs.frozen
class Acknowledgement:
    """How a request ended: what ``NLMSG_ERROR`` or ``NLMSG_DONE`` says.

    Attributes:
        error: The error number, 1 or more; 0: it was done.
        text: The kernel's own words, which may also warn of what was done; empty: none.
        offset: Where in the request the attribute is that it is about, from the beginning of
            its header; None: about no single one.
        missing: The number of an attribute that is missing.
        missing_in: Where in the request the attribute is in which it is missing; None: in none,
            but in the request itself.
    """

    error: int = 0
    text: str = ""
    offset: int | None = None
    missing: int | None = None
    missing_in: int | None = None

    @classmethod
    def unpack(cls, message: NetlinkMessage) -> Acknowledgement:
        """Give what a message of type ``NLMSG_ERROR`` or ``NLMSG_DONE`` says.

        Raises:
            MalformedMessageError: The message is too short, or its attributes do not fit into it.
        """
        payload = message.payload
        if message.type == NLMSG_DONE and not payload:
            return cls()
        error = max(0, -I32.unpack(payload))
        offset = 4 if message.type == NLMSG_DONE else 4 + _HEADER.size
        if len(payload) < offset:
            raise MalformedMessageError(f"{len(payload)} bytes are no struct nlmsgerr")
        if not message.flags & NLM_F_ACK_TLVS:
            return cls(error)
        if message.type == NLMSG_ERROR and not message.flags & NLM_F_CAPPED:
            length = U32.unpack(payload[4:])  # the whole request stands there
            if not _HEADER.size <= length <= len(payload) - 4:
                raise MalformedMessageError(f"a request of {length} bytes does not fit in")
            offset = 4 + length + padding(length)
        found = dict(unpack_attributes(payload[offset:]))
        text = found.get(NLMSGERR_ATTR_MSG, b"").partition(b"\0")[0]
        return cls(
            error,
            text.decode("utf-8", "replace"),
            _number(found.get(NLMSGERR_ATTR_OFFS)),
            _number(found.get(NLMSGERR_ATTR_MISS_TYPE)),
            _number(found.get(NLMSGERR_ATTR_MISS_NEST)),
        )


def pack_acknowledgement(request: NetlinkMessage, error: int, text: str = "") -> bytes:
    """Give ``NLMSG_ERROR`` in answer to a request, without the request in it.

    Args:
        request: The request.
        error: The error number; 0: it was done.
        text: What it was about, in words.
    """
    head = _HEADER.pack(_HEADER.size, request.type, request.flags, request.sequence, request.port)
    told = pack_attribute(NLMSGERR_ATTR_MSG, text.encode() + b"\0") if text else b""
    flags = NLM_F_CAPPED | (NLM_F_ACK_TLVS if told else 0)
    payload = I32.pack(-error) + head + told
    return NetlinkMessage(NLMSG_ERROR, flags, payload, request.sequence).pack()


def _number(value: bytes | None) -> int | None:
    return None if value is None else U32.unpack(value)


class Exchange:
    """What comes back to one request, until it has ended.

    The request has to carry ``NLM_F_ACK`` or ``NLM_F_DUMP``. The socket is one that has joined
    no group: what the kernel tells a group of may carry the request's number as well.

    Args:
        sequence: The request's sequence number, which no other request of the socket has.

    Attributes:
        acknowledgement: How the request ended; None: it has not.
        interrupted: What a dump tells of has changed meanwhile (``NLM_F_DUMP_INTR``): it may lack
            something, or have it twice. Ask again.

    Example:
        >>> exchange = Exchange(7)
        >>> exchange.feed(NetlinkMessage(NLMSG_ERROR, NLM_F_CAPPED, bytes(20), 7).pack())
        []
        >>> exchange.acknowledgement.error
        0
    """

    __slots__ = ("_sequence", "acknowledgement", "interrupted")

    def __init__(self, sequence: int) -> None:
        self._sequence = sequence
        self.acknowledgement: Acknowledgement | None = None
        self.interrupted = False

    def feed(self, data: bytes) -> list[NetlinkMessage]:
        """Take a datagram, and give the messages in it that answer the request.

        Messages with another number are passed over: they are late answers to what was given up.

        Raises:
            MalformedMessageError: The datagram is none of netlink's. The exchange is of no more
                use.
        """
        answers = []
        for message in unpack_messages(data):
            if message.sequence != self._sequence or self.acknowledgement is not None:
                continue
            self.interrupted |= bool(message.flags & NLM_F_DUMP_INTR)
            if message.type in (NLMSG_ERROR, NLMSG_DONE):
                self.acknowledgement = Acknowledgement.unpack(message)
            elif message.type >= NLMSG_MIN_TYPE:
                answers.append(message)
        return answers
