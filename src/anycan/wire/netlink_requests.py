"""Requests about links: make, change, delete, ask for one, ask for all.

Each gives a message without a sequence number, which :meth:`NetlinkMessage.pack` takes; an
:class:`Exchange` with the same number follows what comes back. All but those that ask need
``CAP_NET_ADMIN``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.wire.netlink import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    NetlinkMessage,
)
from anycan.wire.netlink_link import (
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
    RTM_SETLINK,
    Link,
    LinkFlag,
    LinkInfo,
)

if TYPE_CHECKING:
    from anycan.wire.netlink_can import CanParameters

_ASK = NLM_F_REQUEST | NLM_F_ACK


def create_link(link: Link) -> NetlinkMessage:
    """Ask for an interface to be made; EEXIST where there is one of its name."""
    return NetlinkMessage(RTM_NEWLINK, _ASK | NLM_F_CREATE | NLM_F_EXCL, link.pack())


def create_vcan(name: str | None = None, *, mtu: int | None = None) -> NetlinkMessage:
    """Ask for a virtual CAN interface, which is down at first.

    Args:
        name: Its name; None: the kernel chooses one.
        mtu: 16 (classical CAN), 72 (CAN FD, also the kernel's choice) or 76 to 2060 (CAN XL).
    """
    return create_link(Link(name=name, mtu=mtu, info=LinkInfo("vcan")))


def create_vxcan(
    name: str | None = None, peer: Link | None = None, *, mtu: int | None = None
) -> NetlinkMessage:
    """Ask for a pair of virtual CAN interfaces, both down at first: what one sends the other gets.

    Args:
        name: The name of the first one; None: the kernel chooses one.
        peer: The second one: its name, its MTU, and by ``namespace_fd`` or ``namespace_pid``
            where it is to be. None: the kernel chooses.
        mtu: The first one's MTU, as of a vcan.
    """
    return create_link(Link(name=name, mtu=mtu, info=LinkInfo("vxcan", peer)))


def change_link(link: Link) -> NetlinkMessage:
    """Ask for an interface to be changed, to what is not None.

    The kernel changes what the kind has first, then the MTU, and sets the interface up or down
    after both. Most of what a CAN controller has, and the MTU of a vcan, it changes only while the
    interface is down (EBUSY): to change and to set up fits into one request, and to set down and
    to change does not. It stops at the first thing that it refuses; what came before stays done.
    """
    # RTM_SETLINK does not look at what a kind has.
    kind = RTM_SETLINK if link.info is None else RTM_NEWLINK
    return NetlinkMessage(kind, _ASK, link.pack())


def set_up(index: int) -> NetlinkMessage:
    """Ask for an interface to be set up."""
    return change_link(Link(index, LinkFlag.UP, LinkFlag.UP))


def set_down(index: int) -> NetlinkMessage:
    """Ask for an interface to be set down."""
    return change_link(Link(index, 0, LinkFlag.UP))


def configure_can(index: int, parameters: CanParameters, *, up: bool = False) -> NetlinkMessage:
    """Ask for a CAN controller to be set.

    Args:
        index: The interface.
        parameters: What is to change.
        up: And then to set it up.
    """
    flags = LinkFlag.UP if up else 0
    return change_link(Link(index, flags, flags, info=LinkInfo("can", parameters)))


def delete_link(index: int) -> NetlinkMessage:
    """Ask for a vcan, or both ends of a vxcan, to be deleted.

    A real controller stays, and the kernel does not say so.
    """
    return NetlinkMessage(RTM_DELLINK, _ASK, Link(index).pack())


def get_link(index: int = 0, *, name: str | None = None) -> NetlinkMessage:
    """Ask for one interface, by its index or its name; ENODEV where there is none."""
    return NetlinkMessage(RTM_GETLINK, _ASK, Link(index, name=name).pack())


def dump_links(kind: str | None = None) -> NetlinkMessage:
    """Ask for all interfaces of this network namespace.

    Args:
        kind: Only those of a kind, such as ``vcan``. A kernel that has no such kind yet gives all.
    """
    info = None if kind is None else LinkInfo(kind)
    return NetlinkMessage(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, Link(info=info).pack())
