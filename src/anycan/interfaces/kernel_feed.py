"""The kernel's link events, read in the background."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from anycan.exceptions import CanOSError
from anycan.interfaces.from_link import is_can
from anycan.interfaces.kernel_links import list_links, value_of
from anycan.loops.pump import open_pump
from anycan.sockets.netlink import NetlinkSocket
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_link import RTM_DELLINK, RTM_NEWLINK, Link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.interfaces.values import Interface
    from anycan.wire.netlink import NetlinkMessage

_LOGGER: Final = logging.getLogger("anycan.interfaces")
_BATCHES: Final = 16


class LinkSink(Protocol):
    """What links are told to."""

    def put(self, interface: Interface) -> None:
        """Take note of an interface as it is now."""
        ...

    def drop(self, index: int) -> None:
        """Take note that an interface is gone."""
        ...

    def replace(self, interfaces: Iterable[Interface]) -> None:
        """Take note of all interfaces there are, after some events were lost."""
        ...


class KernelLinkFeed:
    """Tells what happens to the kernel's links.

    Args:
        sink: What it is told to; first of all, what there is.

    Raises:
        ProtocolUnavailableError: The system has no netlink, or forbids it.
        CanOSError: It cannot be watched for another reason.
    """

    def __init__(self, sink: LinkSink) -> None:
        self._sink = sink
        self._lost = False
        self._read_ahead: deque[NetlinkMessage] = deque()
        self._events = NetlinkSocket()
        try:
            self._events.join_links()  # first, so that nothing happens between
            with NetlinkSocket() as netlink:
                for interface in list_links(netlink):
                    sink.put(interface)
        except BaseException:
            self._events.close()
            raise
        self._pump = open_pump(self._events.fileno(), self._read)

    def catch_up(self) -> None:
        """Tell what has happened by now, within bounds."""
        while self._read_ahead:
            self._take(self._read_ahead.popleft())
        for _ in range(_BATCHES):
            found = self._read_batch()
            if self._lost:
                self._pump.renew()
            if not found:
                return

    def _read(self) -> bool:
        self._read_batch()
        return not self._lost

    def _read_batch(self) -> bool:
        """Tell what has been read; tell whether there was anything."""
        self._lost = False
        try:
            messages = self._events.events()
        except CanOSError as error:
            self._lost = True  # and uvloop has to be told to go on
            _LOGGER.warning("link events are lost, and all links are asked for: %s", error.strerror)
            self._ask_for_all()
            return True
        self._read_ahead += messages
        # Who is told of one may have what follows read: that comes behind those read already.
        while self._read_ahead:
            self._take(self._read_ahead.popleft())
        return bool(messages)

    def _take(self, message: NetlinkMessage) -> None:
        if message.type not in {RTM_NEWLINK, RTM_DELLINK}:
            return
        try:
            link = Link.unpack(message.payload)
        except MalformedMessageError as error:
            _LOGGER.warning("a link event is passed over: %s", error)
            return
        if not is_can(link) or link.family:  # a bridge tells of its ports under a family of its own
            return
        if message.type == RTM_DELLINK:
            self._sink.drop(link.index)
        else:
            self._sink.put(value_of(link))

    def _ask_for_all(self) -> None:
        try:
            with NetlinkSocket() as netlink:
                self._sink.replace(list_links(netlink))
        except CanOSError as error:
            _LOGGER.warning("links cannot be asked for: %s", error.strerror)

    def close(self) -> None:
        """Tell nothing more."""
        self._pump.close()
        self._events.close()
