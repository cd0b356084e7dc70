"""A stand-in for the kernel's rtnetlink: links that are made, changed and told of by messages.

It answers what :class:`anycan.sockets.netlink.NetlinkSocket` writes to its socket, by the kernel's
rules: in its order (what the kind has, the MTU, the queue, up or down), stopping where it refuses.
A controller follows the rules that the user network has for its own.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs

from anycan.network.core.controller_settings import ControllerSettings
from anycan.sockets import netlink as netlink_module
from anycan.sockets.errors import unknown_interface
from anycan.sockets.kernel import KernelNetwork
from anycan.wire.netlink import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    NetlinkMessage,
    unpack_messages,
)
from anycan.wire.netlink_attributes import pack_attribute
from anycan.wire.netlink_can import CanErrorCounters, CanParameters, CanState, CanStatistics
from anycan.wire.netlink_link import (
    ARPHRD_CAN,
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
    Link,
    LinkFlag,
    LinkInfo,
)
from anycan.wire.netlink_timing import BitTimingConstants

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

SJA1000: Final = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
_CHANGES: Final = frozenset({16, 17, 19})  # RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK
_ANSWER_FLAGS: Final = NLM_F_CAPPED | NLM_F_ACK_TLVS


@attrs.define
class _Entry:
    """A link, and what its controller is set to."""

    link: Link
    settings: ControllerSettings | None = None
    state: CanState = CanState.STOPPED
    refuses_to_start: int = 0


class LinkKernel:
    """Links, and the sockets that ask for them.

    Attributes:
        asked: The requests so far, as their type and the link that they are about.
        refusals: Errors for the next requests that change something, one each; 0: it is done.
        words: What the kernel says of a refusal.
        forbidden: Who asks has no ``CAP_NET_ADMIN``.
        kinds: The kinds of links that can be made.
        opened: The sockets that are open.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[int, Link]] = []
        self.refusals: deque[int] = deque()
        self.words = ""
        self.forbidden = False
        self.kinds = {"vcan", "vxcan"}
        self.opened: set[LinkSocket] = set()
        self._entries: dict[int, _Entry] = {}
        self._indices = itertools.count(1)
        self.add_other("lo")

    # What a test does behind everybody's back

    def add_other(self, name: str) -> int:
        """Add an interface that is none of CAN."""
        return self._add(_Entry(Link(device_type=772, name=name, mtu=65536)))

    def add_can(self, name: str, settings: ControllerSettings | None = None) -> int:
        """Add a controller, down."""
        settings = settings or ControllerSettings(
            clock=8_000_000, constants=SJA1000, data_constants=None
        )
        return self._add(_Entry(_new_link(name, 16), settings))

    def entry(self, name: str) -> _Entry:
        """Give what is there of an interface."""
        return self._entries[self.index(name)]

    def index(self, name: str) -> int:
        """Give an interface's index.

        Raises:
            UnknownInterfaceError: There is none.
        """
        for index, entry in self._entries.items():
            if entry.link.name == name:
                return index
        raise unknown_interface(name, name, "these are a stand-in's")

    @property
    def names(self) -> list[str | None]:
        """The names of the interfaces of CAN."""
        return [
            entry.link.name
            for entry in self._entries.values()
            if entry.link.device_type == ARPHRD_CAN
        ]

    def bus_off(self, name: str) -> None:
        """Let a controller be bus-off."""
        self.entry(name).state = CanState.BUS_OFF
        self.tell(name)

    def tell(self, name: str) -> None:
        """Tell of an interface as it is."""
        self.tell_all(RTM_NEWLINK, self._told(self.entry(name)).pack())

    def tell_all(self, kind: int, payload: bytes) -> None:
        """Tell everybody something."""
        for one in self.opened:
            if one.joined:
                one.put(NetlinkMessage(kind, 0, payload).pack())

    def lose_events(self) -> None:
        """Have everybody find that events are lost."""
        for one in self.opened:
            if one.joined:
                one.put(errno.ENOBUFS)

    # Requests

    def answer(self, message: NetlinkMessage) -> Iterator[bytes]:
        """Give the datagrams that come back to a request."""
        sequence = message.sequence
        asked = Link.unpack(message.payload)
        self.asked.append((message.type, asked))
        if message.type == RTM_GETLINK and message.flags & NLM_F_DUMP:
            for entry in self._entries.values():
                yield NetlinkMessage(
                    RTM_NEWLINK, NLM_F_MULTI, self._told(entry).pack(), sequence
                ).pack()
            yield NetlinkMessage(NLMSG_DONE, NLM_F_MULTI, bytes(4), sequence).pack()
            return
        try:
            found = self._carry_out(message, asked)
        except OSError as error:
            yield _verdict(error.errno or 0, self.words, sequence)
            return
        if found is not None:
            yield NetlinkMessage(RTM_NEWLINK, 0, found.pack(), sequence).pack()
        yield _verdict(0, "", sequence)

    def _carry_out(self, message: NetlinkMessage, asked: Link) -> Link | None:
        if message.type in _CHANGES:
            if self.forbidden:
                raise _error(errno.EPERM)
            if self.refusals and (number := self.refusals.popleft()):
                raise _error(number)
            if message.type == RTM_NEWLINK and message.flags & NLM_F_CREATE:
                self._create(asked)
                return None
        index = asked.index
        if not index and asked.name:
            indices = [i for i, entry in self._entries.items() if entry.link.name == asked.name]
            index = indices[0] if indices else -1
        if index not in self._entries:
            raise _error(errno.ENODEV)
        entry = self._entries[index]
        if message.type == RTM_GETLINK:
            return self._told(entry)
        if message.type == RTM_DELLINK:
            self._delete(index)
        else:
            self._change(entry, asked)
            self.tell(entry.link.name or "")
        return None

    def _create(self, asked: Link) -> None:
        info = asked.info
        assert info is not None
        names = [entry.link.name for entry in self._entries.values()]
        peer = info.data if isinstance(info.data, Link) else None
        if info.kind not in self.kinds:
            raise _error(errno.EOPNOTSUPP)
        if asked.name in names or (peer is not None and peer.name in names):
            raise _error(errno.EEXIST)
        _check_mtu(asked.mtu)
        made = _new_link(asked.name or "", asked.mtu or 72, info.kind)
        if info.kind == "vxcan":
            assert peer is not None
            far = self._add(_Entry(_new_link(peer.name or "", peer.mtu or 72, "vxcan")))
            near = self._add(_Entry(attrs.evolve(made, peer_index=far)))
            other = self._entries[far]
            other.link = attrs.evolve(other.link, peer_index=near)
            return
        index = self._add(_Entry(made))
        if asked.flags & LinkFlag.UP:
            self._set_up(self._entries[index], up=True)
            self.tell(asked.name or "")

    def _delete(self, index: int) -> None:
        for one in (index, self._entries[index].link.peer_index):
            if one is not None:
                entry = self._entries.pop(one)
                self.tell_all(RTM_DELLINK, self._told(entry).pack())

    def _change(self, entry: _Entry, asked: Link) -> None:
        is_up = bool(entry.link.flags & LinkFlag.UP)
        if asked.info is not None and isinstance(asked.info.data, CanParameters):
            if entry.settings is None:
                raise _error(errno.EOPNOTSUPP)
            entry.settings = entry.settings.changed(asked.info.data, up=is_up)
            if asked.info.data.restart:
                entry.state = CanState.ERROR_ACTIVE
            if asked.info.data.modes is not None:
                entry.link = attrs.evolve(entry.link, mtu=72 if entry.settings.flexible else 16)
        if asked.mtu is not None:
            if is_up:
                raise _error(errno.EBUSY)
            _check_mtu(asked.mtu)
            entry.link = attrs.evolve(entry.link, mtu=asked.mtu)
        if asked.queue_length is not None:
            entry.link = attrs.evolve(entry.link, queue_length=asked.queue_length)
        if asked.change & LinkFlag.UP:
            self._set_up(entry, up=bool(asked.flags & LinkFlag.UP))

    def _set_up(self, entry: _Entry, *, up: bool) -> None:
        if up and entry.refuses_to_start:
            raise _error(entry.refuses_to_start)
        if entry.settings is not None and up and not entry.link.flags & LinkFlag.UP:
            entry.settings.check_start()
            entry.state = CanState.ERROR_ACTIVE
        if not up:
            entry.state = CanState.STOPPED
        flags = LinkFlag.UP | LinkFlag.LOWER_UP if up else 0
        entry.link = attrs.evolve(entry.link, flags=flags, carrier=int(up))

    # What is told

    def _add(self, entry: _Entry) -> int:
        index = next(self._indices)
        entry.link = attrs.evolve(entry.link, index=index)
        self._entries[index] = entry
        self.tell(entry.link.name or "")
        return index

    def _told(self, entry: _Entry) -> Link:
        if entry.settings is None:
            return entry.link
        told = entry.settings.parameters(entry.state)
        told = attrs.evolve(told, error_counters=CanErrorCounters())
        return attrs.evolve(entry.link, info=LinkInfo("can", told, CanStatistics()))


class LinkSocket:
    """A netlink socket of a :class:`LinkKernel`."""

    def __init__(self, kernel: LinkKernel) -> None:
        self.joined = False
        self._kernel = kernel
        self._waiting: deque[bytes | int] = deque()
        self._own, self._peer = socket.socketpair()
        kernel.opened.add(self)

    def put(self, datagram: bytes | int) -> None:
        """Have something to be read, or an error."""
        self._waiting.append(datagram)
        self._peer.send(b"\0")

    # What NetlinkSocket calls

    def fileno(self) -> int:
        return self._own.fileno()

    def setsockopt(self, _level: int, option: int, _value: int) -> None:
        self.joined |= option == 1  # NETLINK_ADD_MEMBERSHIP

    def sendto(self, data: bytes, _address: tuple[int, int]) -> None:
        for message in unpack_messages(data):
            for datagram in self._kernel.answer(message):
                self.put(datagram)

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:
        if not self._waiting:
            raise BlockingIOError(errno.EAGAIN, "")
        self._own.recv(1)
        found = self._waiting.popleft()
        if isinstance(found, int):
            raise _error(found)
        return found, (0, 0)

    def close(self) -> None:
        self._kernel.opened.discard(self)
        self._own.close()
        self._peer.close()


@contextmanager
def in_place_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkKernel]:
    """Have all requests to rtnetlink answered by a stand-in; no socket of it is left open."""
    stand_in = LinkKernel()
    with monkeypatch.context() as patch:
        patch.setattr(netlink_module, "_open", lambda: LinkSocket(stand_in))
        patch.setattr(KernelNetwork, "interface_index", lambda _, name: stand_in.index(name))
        yield stand_in
    assert not stand_in.opened


def _new_link(name: str, mtu: int, kind: str | None = None) -> Link:
    info = None if kind is None else LinkInfo(kind)
    length = 10 if kind is None else 1000
    return Link(
        device_type=ARPHRD_CAN, name=name, mtu=mtu, queue_length=length, info=info, carrier=0
    )


def _check_mtu(mtu: int | None) -> None:
    if mtu is not None and mtu not in {16, 72} and not 76 <= mtu <= 2060:
        raise _error(errno.EINVAL)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _verdict(number: int, words: str, sequence: int) -> bytes:
    told = pack_attribute(1, words.encode() + b"\0") if words else b""
    payload = struct.pack("=i", -number) + bytes(16) + told
    flags = _ANSWER_FLAGS if words else NLM_F_CAPPED
    return NetlinkMessage(NLMSG_ERROR, flags, payload, sequence).pack()
