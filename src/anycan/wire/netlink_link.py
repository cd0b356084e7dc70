"""Network interfaces as rtnetlink tells of them: ``RTM_NEWLINK`` and ``RTM_DELLINK``.

A message is a ``struct ifinfomsg`` and attributes (``linux/rtnetlink.h``, ``linux/if_link.h``). One
value, :class:`Link`, is what the kernel tells of an interface, and what it is asked to make of one:
a field that is None is not told, or is to stay as it is. The requests are in
:mod:`anycan.wire.netlink_requests`.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import attrs

from anycan.wire.netlink_attributes import (
    I32,
    TEXT,
    U8,
    U32,
    Each,
    Nest,
    pack_attribute,
    unpack_attributes,
    unpack_struct,
)
from anycan.wire.netlink_can import (
    CAN_PARAMETERS,
    CAN_STATISTICS,
    CanParameters,
    CanStatistics,
)
from anycan.wire.netlink_statistics import LINK_STATISTICS, LinkStatistics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anycan.wire.netlink_attributes import Codec

# linux/rtnetlink.h
RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_SETLINK: Final = 19
RTNLGRP_LINK: Final = 1  # the group that is told of every change

ARPHRD_CAN: Final = 280  # linux/if_arp.h: the device type of every CAN interface

_HEAD: Final = Struct("=BxHiII")
_INFO_KIND: Final = 1  # linux/if_link.h, IFLA_INFO_*
_INFO_DATA: Final = 2
_INFO_XSTATS: Final = 3
_VXCAN_INFO_PEER: Final = 1  # linux/can/vxcan.h


class LinkFlag(enum.IntFlag):
    """Flags of an interface, ``IFF_*`` (``linux/if.h``): those that a CAN interface may have."""

    UP = 0x00001  # it has been set up
    LOOPBACK = 0x00008
    RUNNING = 0x00040  # it is up, and can be used
    NOARP = 0x00080
    LOWER_UP = 0x10000  # the driver has a carrier
    DORMANT = 0x20000
    ECHO = 0x40000  # the driver itself gives sent frames back, once they have been on the bus


class OperState(enum.IntEnum):
    """Operational states, ``IF_OPER_*`` (``linux/if.h``). A vcan is UNKNOWN while it is up."""

    UNKNOWN = 0
    NOTPRESENT = 1
    DOWN = 2
    LOWERLAYERDOWN = 3
    TESTING = 4
    DORMANT = 5
    UP = 6


@attrs.frozen
class LinkInfo:
    """The attribute ``IFLA_LINKINFO``: what kind of interface it is, and what only that kind has.

    Attributes:
        kind: The driver's name for it: ``can``, ``vcan``, ``vxcan``; others have none.
        data: What that kind has: :class:`CanParameters`; of a vxcan to be made, its peer, a
            :class:`Link` without ``info``; of any other kind, bytes; None: nothing.
        statistics: What that kind counts: :class:`CanStatistics`, or bytes; None: nothing.
    """

    kind: str | None = None
    data: CanParameters | Link | bytes | None = None
    statistics: CanStatistics | bytes | None = None


@attrs.frozen
class Link:
    """An interface: a ``struct ifinfomsg`` and attributes ``IFLA_*``.

    Attributes:
        index: Its index; in a request 0: it is named by ``name``, or the kernel is to choose.
        flags: :class:`LinkFlag` values, and others.
        change: In a request the flags that are to change.
        device_type: ``ARPHRD_CAN`` of a CAN interface.
        family: The address family that the message is of: 0 for the interface itself.
        name: Its name, up to 15 bytes.
        mtu: The bytes of the greatest frame: 16 (classical CAN), 72 (CAN FD), 76 to 2060 (CAN XL).
        peer_index: The other end of a vxcan, in its own namespace (``IFLA_LINK``).
        queueing: The name of its queueing discipline.
        master: The index of the interface that it is part of.
        queue_length: How many frames its queue holds (``IFLA_TXQLEN``).
        oper_state: An :class:`OperState`.
        info: What kind it is.
        namespace_pid: In a request the process whose network namespace it is to be in.
        alias: What somebody has written down about it.
        statistics: Its counts.
        group: The number of its group.
        namespace_fd: In a request a descriptor of the network namespace it is to be in.
        promiscuity: How many want it to receive everything.
        carrier: Whether there is a carrier, 0 or 1.
        carrier_changes: How often that has changed.
        peer_namespace: The number that this namespace has for that of the peer; None: the same.
        new_namespace: When it has been moved, the number of the namespace it is in now.
        new_index: When it has been moved, its index there.
        mtu_min: The least MTU it can have.
        mtu_max: The greatest; 0: not told.
        other_names: Its alternative names.
        parent_name: The device it is driven by, such as ``1-1.4:1.0`` (since Linux 5.14).
        parent_bus: The bus that this one is on, such as ``usb``.
    """

    index: int = 0
    flags: int = 0
    change: int = 0
    device_type: int = 0
    family: int = 0
    name: str | None = None
    mtu: int | None = None
    peer_index: int | None = None
    queueing: str | None = None
    master: int | None = None
    queue_length: int | None = None
    oper_state: int | None = None
    info: LinkInfo | None = None
    namespace_pid: int | None = None
    alias: str | None = None
    statistics: LinkStatistics | None = None
    group: int | None = None
    namespace_fd: int | None = None
    promiscuity: int | None = None
    carrier: int | None = None
    carrier_changes: int | None = None
    peer_namespace: int | None = None
    new_namespace: int | None = None
    new_index: int | None = None
    mtu_min: int | None = None
    mtu_max: int | None = None
    other_names: tuple[str, ...] | None = None
    parent_name: str | None = None
    parent_bus: str | None = None

    def pack(self) -> bytes:
        """Give the payload of a message.

        Raises:
            struct.error: A number has no room in its field.
            ValueError: A text has a zero byte in it, or a peer has an ``info``.
        """
        return _LINK.pack(self)

    @classmethod
    def unpack(cls, payload: bytes) -> Link:
        """Give what a payload says.

        Raises:
            MalformedMessageError: It is too short, or its attributes do not fit into it.
        """
        return _LINK.unpack(payload)


@attrs.frozen
class _LinkCodec:
    """How a :class:`Link` is written, or only some of its attributes."""

    nest: Nest[Link]
    flag: int = attrs.field(default=0, init=False)

    def pack(self, value: Link) -> bytes:
        """Give the head and the attributes."""
        head = (value.family, value.device_type, value.index, value.flags, value.change)
        return _HEAD.pack(*head) + self.nest.pack(value)

    def unpack(self, data: bytes) -> Link:
        """Give what is in them."""
        family, device_type, index, flags, change = unpack_struct(_HEAD, data)
        fields = self.nest.unpack_fields(data[_HEAD.size :])
        return Link(index, flags, change, device_type, family, **fields)


class _InfoCodec:
    """How a :class:`LinkInfo` is written: what its data are depends on the kind."""

    flag: Final = 0

    def pack(self, value: LinkInfo) -> bytes:
        """Give the attributes' bytes."""
        parts = []
        if value.kind is not None:
            parts.append(pack_attribute(_INFO_KIND, TEXT.pack(value.kind)))
        match value.data:
            case CanParameters():
                parts.append(pack_attribute(_INFO_DATA, CAN_PARAMETERS.pack(value.data)))
            case Link():
                peer = pack_attribute(_VXCAN_INFO_PEER, _pack_peer(value.data))
                parts.append(pack_attribute(_INFO_DATA, peer))
            case bytes():
                parts.append(pack_attribute(_INFO_DATA, value.data))
        match value.statistics:
            case CanStatistics():
                counts = CAN_STATISTICS.pack(value.statistics)
                parts.append(pack_attribute(_INFO_XSTATS, counts))
            case bytes():
                parts.append(pack_attribute(_INFO_XSTATS, value.statistics))
        return b"".join(parts)

    def unpack(self, data: bytes) -> LinkInfo:
        """Give what is in the attributes."""
        found = dict(unpack_attributes(data))
        kind = TEXT.unpack(found[_INFO_KIND]) if _INFO_KIND in found else None
        content: CanParameters | Link | bytes | None = found.get(_INFO_DATA)
        statistics: CanStatistics | bytes | None = found.get(_INFO_XSTATS)
        if kind == "can":
            content = None if content is None else CAN_PARAMETERS.unpack(found[_INFO_DATA])
            statistics = None if statistics is None else CAN_STATISTICS.unpack(found[_INFO_XSTATS])
        elif kind == "vxcan" and content is not None:
            peer = dict(unpack_attributes(found[_INFO_DATA])).get(_VXCAN_INFO_PEER)
            content = None if peer is None else _PEER.unpack(peer)
        return LinkInfo(kind, content, statistics)


def _pack_peer(peer: Link) -> bytes:
    if peer.info is not None:
        raise ValueError(f"the peer of a vxcan has no info: {peer.info!r}")
    return _PEER.pack(peer)


_ATTRIBUTES: Final[Mapping[int, tuple[str, Codec[Any]]]] = {
    3: ("name", TEXT),
    4: ("mtu", U32),
    5: ("peer_index", U32),
    6: ("queueing", TEXT),
    10: ("master", U32),
    13: ("queue_length", U32),
    16: ("oper_state", U8),
    19: ("namespace_pid", U32),
    20: ("alias", TEXT),
    23: ("statistics", LINK_STATISTICS),
    27: ("group", U32),
    28: ("namespace_fd", U32),
    30: ("promiscuity", U32),
    33: ("carrier", U8),
    35: ("carrier_changes", U32),
    37: ("peer_namespace", I32),
    45: ("new_namespace", I32),
    49: ("new_index", I32),
    50: ("mtu_min", U32),
    51: ("mtu_max", U32),
    52: ("other_names", Each(53, TEXT)),
    56: ("parent_name", TEXT),
    57: ("parent_bus", TEXT),
}
# A peer has no info, whatever it says, so that nothing nests without end.
_PEER: Final = _LinkCodec(Nest(Link, _ATTRIBUTES))
_LINK: Final = _LinkCodec(Nest(Link, {**_ATTRIBUTES, 18: ("info", _InfoCodec())}))
