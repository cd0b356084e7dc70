"""Link events told by rtnetlink, read in the background."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import anyio
from anyio import to_thread

from anycan.exceptions import CanError, CanOSError, NetworkUnavailableError
from anycan.interfaces.from_link import is_can
from anycan.interfaces.netlink_links import list_links
from anycan.loops.background import start_background
from anycan.loops.pump import open_pump
from anycan.wire.netlink_attributes import MalformedMessageError
from anycan.wire.netlink_link import RTM_DELLINK, RTM_NEWLINK, Link

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.interfaces.link_source import LinkSource
    from anycan.interfaces.values import Interface
    from anycan.loops.background import Background
    from anycan.loops.pump import AsyncioPump, TrioPump
    from anycan.wire.netlink import NetlinkMessage

_LOGGER: Final = logging.getLogger("anycan.interfaces")
_BATCHES: Final = 16
_FIRST_DELAY: Final = 0.05  # seconds
_LAST_DELAY: Final = 1.0


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

    def renewed(self) -> None:
        """Take note that a network that was gone is back; its sockets are of no use any more."""
        ...

    def end(self) -> None:
        """Take note that the network is closed: nothing will happen any more."""
        ...


class NetlinkLinkFeed:
    """Tells what happens to the links of the kernel, or of a network that another process serves.

    When such a network is lost, its links are gone; it is looked for, and they are back with it.

    Args:
        sink: What it is told to; first of all, what there is.
        source: Where the links are.

    Raises:
        ProtocolUnavailableError: The system has no netlink, or forbids it.
        NetworkUnavailableError: The network is gone.
        CanOSError: It cannot be watched for another reason.
    """

    def __init__(self, sink: LinkSink, source: LinkSource) -> None:
        self._sink = sink
        self._source = source
        self._lost = False
        self._read_ahead: deque[NetlinkMessage] = deque()
        self._search: Background | None = None
        self._events = source.watch()  # first, so that nothing happens between
        try:
            with source.open() as netlink:
                for interface in list_links(netlink, source):
                    sink.put(interface)
        except BaseException:
            self._events.close()
            raise
        self._pump: AsyncioPump | TrioPump | None = open_pump(self._events.fileno(), self._read)

    def catch_up(self) -> None:
        """Tell what has happened by now, within bounds."""
        while self._read_ahead:
            self._take(self._read_ahead.popleft())
        for _ in range(_BATCHES):
            if self._pump is None:
                return
            found = self._read_batch()
            if self._lost and self._pump is not None:
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
        except NetworkUnavailableError as error:
            self._network_lost(error)
            return False
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
            self._sink.put(self._source.value_of(link))

    def _ask_for_all(self) -> None:
        try:
            with self._source.open() as netlink:
                self._sink.replace(list_links(netlink, self._source))
        except NetworkUnavailableError as error:
            self._network_lost(error)
        except CanOSError as error:
            _LOGGER.warning("links cannot be asked for: %s", error.strerror)

    # A network that is gone, and comes back

    def _network_lost(self, error: NetworkUnavailableError) -> None:
        if self._pump is None:
            return
        self._stop()
        if self._source.closed:
            self._sink.end()
            return
        _LOGGER.warning("%s; it is looked for", error)
        self._search = start_background(self._look_for_it)
        self._sink.replace(())

    async def _look_for_it(self) -> None:
        delay = _FIRST_DELAY
        while True:
            await anyio.sleep(delay)
            delay = min(2 * delay, _LAST_DELAY)
            try:
                # In a thread, since who listens there may not answer.
                await to_thread.run_sync(self._source.reconnect)
                self._found_again()
            except (CanError, OSError) as error:
                if self._source.closed:
                    self._sink.end()
                    return
                _LOGGER.debug("%s is gone still: %s", self._source.name, error)
            else:
                return

    def _found_again(self) -> None:
        self._events = self._source.watch()
        try:
            with self._source.open() as netlink:
                interfaces = list_links(netlink, self._source)
        except BaseException:
            self._events.close()
            raise
        self._pump = open_pump(self._events.fileno(), self._read)
        _LOGGER.warning("%s is back", self._source.name)
        self._sink.renewed()
        self._sink.replace(interfaces)

    def _stop(self) -> None:
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.close()
            self._events.close()

    def close(self) -> None:
        """Tell nothing more."""
        self._stop()
        if self._search is not None:
            self._search.cancel()
