"""A user network's links as rtnetlink has them: requests and events in the kernel's own bytes."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs

from anycan.exceptions import NetworkUnavailableError
from anycan.network.core.socket_options import BUFFER_MAXIMUM
from anycan.network.readiness import Readiness
from anycan.network.user_interface import check_name
from anycan.wire.constants import CANFD_MTU
from anycan.wire.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_MULTI,
    NLMSG_DONE,
    NetlinkMessage,
    pack_acknowledgement,
    unpack_messages,
)
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_can import CanParameters
from anycan.wire.netlink_link import (
    ARPHRD_CAN,
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
    RTM_SETLINK,
    Link,
    LinkFlag,
    LinkInfo,
    OperState,
)
from anycan.wire.netlink_statistics import LinkStatistics
from anycan.wire.served import words_of

if TYPE_CHECKING:
    from anycan.network.allowance import Allowance
    from anycan.network.core.interface import Interface
    from anycan.network.user import UserNetwork

_MOST_BYTES: Final = 1 << 16  # of links in an answer
_CHANGES: Final = frozenset({RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK})


def link_of(interface: Interface) -> Link:
    """Give what rtnetlink would tell of an interface."""
    counters = interface.counters
    parameters = interface.parameters()
    flags = LinkFlag.NOARP
    if interface.up:
        flags |= LinkFlag.UP | LinkFlag.RUNNING
    if interface.carrier:
        flags |= LinkFlag.LOWER_UP
    peer = interface.peer
    return Link(
        index=interface.index,
        flags=flags,
        device_type=ARPHRD_CAN,
        name=interface.name,
        mtu=interface.mtu,
        # That of another network means nothing here.
        peer_index=peer.index if peer is not None and peer.stack is interface.stack else None,
        queue_length=interface.queue_length,
        oper_state=OperState.UP if interface.carrier else OperState.DOWN,
        info=LinkInfo(interface.kind, parameters, interface.can_statistics),
        statistics=LinkStatistics(
            rx_packets=counters.received,
            tx_packets=counters.sent,
            rx_bytes=counters.received_bytes,
            tx_bytes=counters.sent_bytes,
            rx_dropped=counters.receive_dropped,
            tx_dropped=counters.send_dropped,
        ),
        carrier=int(interface.carrier),
        carrier_changes=interface.carrier_changes,
    )


class LinkServer:
    """Answers requests about a network's links.

    Args:
        network: The network.
        most: How many interfaces there may be, of those that are made here.
    """

    def __init__(self, network: UserNetwork, most: int) -> None:
        self._network = network
        self._most = most
        self._stack = network._stack  # noqa: SLF001 - hidden from users alone

    def handle(self, data: bytes, *, after: int = 0, writable: bool = True) -> bytes:
        """Do what a datagram asks for; give the datagram that answers it.

        Args:
            data: The request.
            after: Of a dump, the index of the last link that has been told already; 0: none has.
                One that is too long for an answer has no end, and the rest is asked for.
            writable: Links may be changed.
        """
        try:
            (request,) = unpack_messages(data)
            link = Link.unpack(request.payload)
        except (MalformedMessageError, ValueError):
            return pack_acknowledgement(NetlinkMessage(0), errno.EINVAL)
        if request.type in _CHANGES and not writable:
            return pack_acknowledgement(request, errno.EPERM, "this client may only listen")
        if request.type == RTM_GETLINK and request.flags & NLM_F_DUMP == NLM_F_DUMP:
            return self._dump(request, after)
        try:
            told = self._do(request, link)
        except (OSError, ValueError, NetworkUnavailableError) as error:
            return pack_acknowledgement(request, *_reason(error))
        return told + pack_acknowledgement(request, 0)

    def _do(self, request: NetlinkMessage, link: Link) -> bytes:
        if request.type == RTM_GETLINK:
            payload = link_of(self._find(link)).pack()
            return NetlinkMessage(RTM_NEWLINK, 0, payload, request.sequence).pack()
        if request.type not in _CHANGES:
            raise OSError(errno.EOPNOTSUPP, "")
        if request.type != RTM_DELLINK:
            self._make_or_change(request, link)
        else:
            found = self._find(link)
            if found.kind not in {"vcan", "vxcan"}:
                raise OSError(errno.EOPNOTSUPP, "it is a controller")
            self._stack.remove(found)
        return b""

    def _dump(self, request: NetlinkMessage, after: int) -> bytes:
        # By index, and not by place: links may come and go between two parts.
        by_index = self._stack.by_index
        parts: list[bytes] = []
        size = 0
        for index in sorted(index for index in by_index if index > after):
            payload = link_of(by_index[index]).pack()
            message = NetlinkMessage(RTM_NEWLINK, NLM_F_MULTI, payload, request.sequence).pack()
            size += len(message)
            if size > _MOST_BYTES:
                return b"".join(parts)
            parts.append(message)
        done = NetlinkMessage(NLMSG_DONE, NLM_F_MULTI, bytes(4), request.sequence)
        return b"".join([*parts, done.pack()])

    def _find(self, link: Link) -> Interface:
        by_name = None if link.name is None else self._stack.by_name.get(link.name)
        found = self._stack.by_index.get(link.index) if link.index else by_name
        if found is None:
            raise OSError(errno.ENODEV, "there is no such interface")
        return found

    def _make_or_change(self, request: NetlinkMessage, link: Link) -> None:
        if request.flags & NLM_F_CREATE and not link.index:
            if link.name in self._stack.by_name:
                if request.flags & NLM_F_EXCL:
                    raise OSError(errno.EEXIST, "")
            else:
                self._make(link)
                return
        self._change(self._find(link), link)

    def _make(self, link: Link) -> None:
        if len(self._stack.by_index) >= self._most:
            text = f"there are {self._most} interfaces already, and clients may make no more"
            raise OSError(errno.ENFILE, text)
        info = link.info or LinkInfo()
        up = bool(link.flags & link.change & LinkFlag.UP)
        mtu = CANFD_MTU if link.mtu is None else link.mtu
        name = link.name or ""
        check_name(name)
        match info.kind:
            case "vcan":
                self._network.add_vcan(name, mtu=mtu, up=up)
            case "vxcan":
                peer = info.data if isinstance(info.data, Link) else Link()
                self._network.add_vxcan(name, peer.name or "", mtu=mtu, up=False)
                if up:
                    self._network.set_up(name)
            case _:
                raise OSError(errno.EOPNOTSUPP, "Unknown device type")

    def _change(self, interface: Interface, link: Link) -> None:
        goes_down = bool(link.change & LinkFlag.UP) and not link.flags & LinkFlag.UP
        if link.info is not None and isinstance(link.info.data, CanParameters):
            if interface.parameters() is None:
                raise OSError(errno.EOPNOTSUPP, "it has no controller")
            parameters = link.info.data
            if parameters.restart:
                interface.restart()
                parameters = attrs.evolve(parameters, restart=None)
            if parameters != CanParameters():
                interface.configure(parameters)
        if link.mtu is not None:
            self._stack.set_mtu(interface, link.mtu)
        if link.queue_length is not None:
            interface.set_queue_length(link.queue_length)
        if link.name is not None and link.index and link.name != interface.name:
            check_name(link.name)
            self._stack.rename(interface, link.name)
        if goes_down:
            interface.set_down()
        elif link.flags & link.change & LinkFlag.UP:
            interface.set_up()


def _reason(error: Exception) -> tuple[int, str]:
    """Give the error number and the words for what went wrong."""
    match error:
        case OSError():
            return error.errno or errno.EIO, words_of(error)
        case NetworkUnavailableError():  # its owner has closed it
            return errno.ESHUTDOWN, str(error)
        case _:
            return errno.EINVAL, str(error)


class LinkEvents:
    """Tells a client what happens to links: messages, as ``RTNLGRP_LINK`` has them.

    Args:
        network: The network.
        allowance: What the client's user has left.

    Attributes:
        readiness: What the client polls.

    Raises:
        OSError: There are no descriptors left, or no room for what waits.
    """

    def __init__(self, network: UserNetwork, allowance: Allowance) -> None:
        allowance.take(BUFFER_MAXIMUM)
        try:
            self.readiness = Readiness()
        except OSError:
            allowance.buffers -= BUFFER_MAXIMUM
            raise
        self._allowance: Allowance | None = allowance
        self._held = 0
        self._watchers = network._stack.link_watchers  # noqa: SLF001 - hidden from users alone
        self._watchers[self._changed] = None
        self._messages: deque[bytes] = deque()
        self._overflowed = False

    def _changed(self, interface: Any, present: bool) -> None:
        if self._overflowed or self._held >= BUFFER_MAXIMUM:
            self._messages.clear()
            self._held = 0
            self._overflowed = True
        else:
            kind = RTM_NEWLINK if present else RTM_DELLINK
            message = NetlinkMessage(kind, 0, link_of(interface).pack()).pack()
            self._messages.append(message)
            self._held += len(message)
        if not self.readiness.readable:
            self.readiness.set_readable()

    def take(self, most: int) -> bytes:
        """Give messages, as many as there is room for.

        Raises:
            OSError: ENOBUFS: some are lost; EAGAIN: there are none.
        """
        if self._overflowed:
            self._overflowed = False
            self._settle()
            raise OSError(errno.ENOBUFS, "events were lost")
        if not self._messages:
            raise BlockingIOError(errno.EAGAIN, "there are none")
        parts: list[bytes] = []
        size = 0
        while self._messages and (not parts or size + len(self._messages[0]) <= most):
            parts.append(self._messages.popleft())
            size += len(parts[-1])
        self._held -= size
        self._settle()
        return b"".join(parts)

    def _settle(self) -> None:
        if self.readiness.readable and not self._messages:
            self.readiness.set_readable()

    def status(self) -> dict[str, Any]:
        """Tell of it."""
        return {"kind": "links", "drops": 0}

    def close(self) -> None:
        """Tell nothing more; a second time does nothing."""
        if self._allowance is not None:
            self._allowance.buffers -= BUFFER_MAXIMUM
            self._allowance = None
        self._watchers.pop(self._changed, None)
        self.readiness.close()
