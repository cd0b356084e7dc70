"""The kernel's CAN gateway, can-gw: its rules as rtnetlink has them (``linux/can/gw.h``).

A rule is a route of the family ``PF_CAN``: a ``struct rtcanmsg`` and attributes. It takes frames
from one interface to another. :class:`GatewayRoute` is what the kernel is asked for, and what it
tells in a dump. Each request is a message without a sequence number, which
:meth:`NetlinkMessage.pack` takes; all but the dump need ``CAP_NET_ADMIN``.

To each frame the kernel applies AND, OR, XOR and SET, in this order; and if there was one of them,
the CRC-8 and then the XOR checksum.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import attrs

from anycan.filter import CanFilter
from anycan.wire.constants import AF_CAN, CAN_INV_FILTER
from anycan.wire.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage
from anycan.wire.netlink_attributes import U8, U32, MalformedMessageError, Nest, unpack_struct
from anycan.wire.netlink_gateway_changes import (
    CLASSICAL_CHANGE,
    CRC8_CHECKSUM,
    FD_CHANGE,
    XOR_CHECKSUM,
    Crc8Checksum,
    FrameChange,
    XorChecksum,
)
from anycan.wire.options import pack_filters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anycan.wire.netlink_attributes import Codec

# linux/rtnetlink.h
RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26

_CAN_TO_CAN: Final = 1  # linux/can/gw.h, CGW_TYPE_CAN_CAN
_HEAD: Final = Struct("=BBH")
_FILTER: Final = Struct("=II")
_ASK: Final = NLM_F_REQUEST | NLM_F_ACK
_EVERYTHING: Final = CanFilter(0, 0)


class GatewayFlag(enum.IntFlag):
    """Flags of a rule, ``CGW_FLAGS_CAN_*``."""

    ECHO = 1  # local sockets on the destination get the frames too
    SRC_TSTAMP = 2  # the frame keeps the time stamp that it came with
    IIF_TX_OK = 4  # it may go out on the interface that it first came in on
    FD = 8  # the rule is for CAN FD frames, and for no others


@attrs.frozen
class GatewayRoute:
    """A rule of can-gw.

    To delete a rule, the kernel wants it as it was made: the same interfaces, filter, flags and hop
    limit; and the same ``uid`` or, without one, the same changes and checksums. A rule with a
    ``uid`` that is made once more has its changes and checksums replaced.

    Attributes:
        source: The index of the interface that frames come from.
        destination: The index of the one that they go to.
        flags: :class:`GatewayFlag` values.
        filter: Which frames; all, unless it is given.
        mod_and: What is kept of them.
        mod_or: What is set in them.
        mod_xor: What is inverted in them.
        mod_set: What is put in place of what they have.
        xor: The XOR checksum to write into them.
        crc8: The CRC-8 checksum to write into them.
        hop_limit: By how many rules a frame may have been sent on, 1 up to the module's
            ``max_hops``; 0: that.
        uid: A number by which the rule is known, above 0; 0: none.
        handled: How many frames it has sent on. This and what follows is told, and never taken.
        dropped: How many it could not send, as the destination was down or its queue full.
        deleted: How many were at their hop limit, or had become too long.
    """

    source: int
    destination: int
    flags: int = 0
    filter: CanFilter = _EVERYTHING
    mod_and: FrameChange | None = None
    mod_or: FrameChange | None = None
    mod_xor: FrameChange | None = None
    mod_set: FrameChange | None = None
    xor: XorChecksum | None = None
    crc8: Crc8Checksum | None = None
    hop_limit: int = 0
    uid: int = 0
    handled: int = 0
    dropped: int = 0
    deleted: int = 0

    def pack(self) -> bytes:
        """Give the payload of a message.

        Raises:
            struct.error: A number has no room in its field.
            ValueError: Data of a change are not as long as a frame's, or a table is not.
        """
        nest = _FD if self.flags & GatewayFlag.FD else _CLASSICAL
        return _HEAD.pack(AF_CAN, _CAN_TO_CAN, self.flags) + nest.pack(self)

    @classmethod
    def unpack(cls, payload: bytes) -> GatewayRoute:
        """Give what a payload says.

        Raises:
            MalformedMessageError: It is too short, its attributes do not fit into it, it names
                no interfaces, or it is a route of another family.
        """
        family, kind, flags = unpack_struct(_HEAD, payload)
        if (family, kind) != (AF_CAN, _CAN_TO_CAN):
            raise MalformedMessageError(f"a route of family {family} and type {kind}, not of CAN")
        nest = _FD if flags & GatewayFlag.FD else _CLASSICAL
        fields = nest.unpack_fields(payload[_HEAD.size :])
        if not {"source", "destination"} <= fields.keys():
            raise MalformedMessageError("a rule without its source or its destination")
        return cls(flags=flags, **fields)

    def without_counts(self) -> GatewayRoute:
        """Give the rule as it was made: two are the same rule where these are equal."""
        return attrs.evolve(self, handled=0, dropped=0, deleted=0)


class _FilterCodec:
    """How the filter is written: as in the option ``CAN_RAW_FILTER``."""

    flag: Final = 0

    def pack(self, value: CanFilter) -> bytes:
        """Give the bytes of ``struct can_filter``."""
        return pack_filters((value,))

    def unpack(self, data: bytes) -> CanFilter:
        """Give the filter."""
        word, mask = unpack_struct(_FILTER, data)
        return CanFilter(word & ~CAN_INV_FILTER, mask, inverted=bool(word & CAN_INV_FILTER))


def _attributes(first: int, change: Codec[FrameChange]) -> Mapping[int, tuple[str, Codec[Any]]]:
    return {
        5: ("xor", XOR_CHECKSUM),
        6: ("crc8", CRC8_CHECKSUM),
        7: ("handled", U32),
        8: ("dropped", U32),
        9: ("source", U32),
        10: ("destination", U32),
        11: ("filter", _FilterCodec()),
        12: ("deleted", U32),
        13: ("hop_limit", U8),
        14: ("uid", U32),
        first: ("mod_and", change),
        first + 1: ("mod_or", change),
        first + 2: ("mod_xor", change),
        first + 3: ("mod_set", change),
    }


_CLASSICAL: Final = Nest(GatewayRoute, _attributes(1, CLASSICAL_CHANGE))
_FD: Final = Nest(GatewayRoute, _attributes(15, FD_CHANGE))


def add_route(route: GatewayRoute) -> NetlinkMessage:
    """Ask for a rule; EOPNOTSUPP where the kernel has no can-gw. Its counts are left out."""
    return NetlinkMessage(RTM_NEWROUTE, _ASK, route.without_counts().pack())


def delete_route(route: GatewayRoute) -> NetlinkMessage:
    """Ask for a rule to be deleted; EINVAL where there is no such rule."""
    return NetlinkMessage(RTM_DELROUTE, _ASK, route.without_counts().pack())


def flush_routes() -> NetlinkMessage:
    """Ask for all rules to be deleted, whoever has made them."""
    return NetlinkMessage(RTM_DELROUTE, _ASK, GatewayRoute(0, 0).pack())


def dump_routes() -> NetlinkMessage:
    """Ask for all rules of this network namespace.

    A kernel without can-gw answers with its routes of IP, which :func:`unpack_route` tells apart;
    or with EINVAL, where the socket has ``NETLINK_GET_STRICT_CHK``.
    """
    head = _HEAD.pack(AF_CAN, _CAN_TO_CAN, 0)
    return NetlinkMessage(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, head)


def unpack_route(message: NetlinkMessage) -> GatewayRoute | None:
    """Give the rule in an answer to a dump.

    Returns:
        None where it is a route of another family.

    Raises:
        MalformedMessageError: It is a rule, and its attributes do not fit into it.
    """
    if message.type != RTM_NEWROUTE or message.payload[:1] != bytes((AF_CAN,)):
        return None
    return GatewayRoute.unpack(message.payload)
