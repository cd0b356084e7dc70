"""A network's links, followed in the background for all who want to know: one socket for a loop.

It is there while somebody listens. The kernel tells of links by rtnetlink, and a user network by
calls; of both, controllers tell their state by error frames as well.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from anycan.exceptions import (
    CanError,
    CanOSError,
    InterfaceRemovedError,
    ProtocolUnavailableError,
)
from anycan.frame import ErrorFrame
from anycan.interfaces.events import EventsLost, InterfaceChanged
from anycan.interfaces.link_source import source_of
from anycan.interfaces.netlink_feed import NetlinkLinkFeed
from anycan.interfaces.tracker import ERROR_CLASSES, LinkTracker
from anycan.interfaces.user_feed import UserLinkFeed
from anycan.loops.pump import open_pump
from anycan.network.user import UserNetwork
from anycan.sockets.closing import finish_in_background
from anycan.sockets.kernel import KernelNetwork
from anycan.sockets.raw import RawSocket
from anycan.sockets.raw_options import RawOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.interfaces.events import InterfaceEvent
    from anycan.interfaces.values import Interface
    from anycan.network.base import Network

_LOGGER: Final = logging.getLogger("anycan.interfaces")
_BATCHES: Final = 8
_monitors: Final[dict[tuple[object, Network], LinkMonitor]] = {}


class LinkListener(Protocol):
    """Who wants to know what happens to links. Nothing it does raises."""

    def link_event(self, event: InterfaceEvent | EventsLost) -> None:
        """Take an event."""
        ...

    def monitor_ended(self) -> None:
        """Take note that the network is closed: nothing will happen any more."""
        ...


class LinkMonitor:
    """Follows a network's links in the background. Made by :func:`attach_monitor`.

    Args:
        network: The network.
        key: By which it is kept.

    Attributes:
        network: The network.
        tracker: What is known.
    """

    def __init__(self, network: Network, key: tuple[object, Network]) -> None:
        self.network = network
        self.tracker = LinkTracker()
        self._key = key
        self._to_tell: deque[InterfaceEvent | EventsLost] = deque()
        self._is_telling = False
        self._listeners: dict[LinkListener, None] = {}
        self._feed: UserLinkFeed | NetlinkLinkFeed
        # A user network tells at once of its controllers' states; the kernel by error frames first.
        self._tells_states = not isinstance(network, KernelNetwork)
        if isinstance(network, UserNetwork):
            self._feed = UserLinkFeed(network, self)
        else:
            self._feed = NetlinkLinkFeed(self, source_of(network))
        self._errors: _ErrorReader | None = None
        try:
            self._errors = _ErrorReader(network, self)
        except ProtocolUnavailableError as error:  # then there are no error frames
            _LOGGER.debug("error frames are not heard: %s", error.strerror)
        except BaseException:
            self._feed.close()
            raise

    @property
    def interfaces(self) -> dict[str, Interface]:
        """The interfaces that there are, by name."""
        return {interface.name: interface for interface in self.tracker.known.values()}

    def add(self, listener: LinkListener) -> None:
        """Tell somebody what happens from now on."""
        self._listeners[listener] = None

    def remove(self, listener: LinkListener) -> None:
        """Tell somebody nothing more; without listeners it ends."""
        self._listeners.pop(listener, None)
        if not self._listeners:
            self._close()

    def catch_up(self) -> None:
        """Tell at once what has happened by now, which would be told in the next turn of the loop.

        The kernel tells of a link that goes down before it tells its sockets.
        """
        self._feed.catch_up()

    # What the feeds call

    def put(self, interface: Interface) -> None:
        """Take note of an interface as it is now."""
        self.tell(self.tracker.put(interface, self.now_ns()))

    def drop(self, index: int) -> None:
        """Take note that an interface is gone."""
        self.tell(self.tracker.drop(index, self.now_ns()))

    def replace(self, interfaces: Iterable[Interface]) -> None:
        """Take note of all interfaces there are, after some events were lost."""
        now_ns = self.now_ns()
        self.tell([EventsLost(timestamp_ns=now_ns)])
        self.tell(self.tracker.replace(interfaces, now_ns))

    def renewed(self) -> None:
        """Take note that the network is back after it was gone: hear its error frames again."""
        errors, self._errors = self._errors, None
        if errors is not None:
            errors.close()
        try:
            self._errors = _ErrorReader(self.network, self)
        except CanError as error:  # it is gone again, and will be back
            _LOGGER.debug("error frames are not heard: %s", error)

    def take_error(self, frame: ErrorFrame) -> None:
        """Take note of what a controller tells."""
        known = self.tracker.by_name(frame.interface or "")
        has_bus = known is not None and known.kind not in {"vcan", "vxcan"}
        if has_bus and (self._tells_states or frame.local):
            return  # it is older than what has been told, or a program here made it up
        self.tell(self.tracker.take_error(frame, self.now_ns()))

    def now_ns(self) -> int:
        """Give the time, in nanoseconds since the epoch."""
        return time.time_ns()

    def tell(self, events: Iterable[InterfaceEvent | EventsLost]) -> None:
        """Tell those who listen: each event to all, before the next one.

        What happens because of an event, as when somebody sets a link up again, is told behind it.
        """
        self._to_tell += events
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._to_tell:
                self._tell(self._to_tell.popleft())
        finally:
            self._is_telling = False

    def _tell(self, event: InterfaceEvent | EventsLost) -> None:
        if isinstance(event, InterfaceChanged) and "name" in event.changed and self._errors:
            self._errors.forget_names()
        for listener in list(self._listeners):
            if listener in self._listeners:  # another one may have ended it
                listener.link_event(event)

    def end(self) -> None:
        """Take note that the network is closed."""
        self._forget()
        for listener in list(self._listeners):
            listener.monitor_ended()

    def _forget(self) -> None:
        """Have who comes next make another one, or be told that the network is closed."""
        if _monitors.get(self._key) is self:
            del _monitors[self._key]

    def _close(self) -> None:
        self._forget()
        self._feed.close()
        if self._errors is not None:
            self._errors.close()


class _ErrorReader:
    """Reads error frames of all interfaces; its socket is told when a user network is closed."""

    def __init__(self, network: Network, monitor: LinkMonitor) -> None:
        self._monitor = monitor
        self._socket = RawSocket(network, None, RawOptions(filters=(), errors=ERROR_CLASSES))
        self._pump = open_pump(self._socket.fd, self._read)

    def _read(self) -> bool:
        for _ in range(_BATCHES):
            try:
                frames = self._socket.receive()
            except BlockingIOError:
                return True
            except InterfaceRemovedError:  # of all: a user network is closed, or a served one gone
                self._pump.close()
                if isinstance(self._monitor.network, UserNetwork):
                    self._monitor.end()
                return True
            except CanOSError as error:
                _LOGGER.debug("error frames may be lost: %s", error.strerror)
                return False
            for frame in frames:
                if isinstance(frame, ErrorFrame):
                    self._monitor.take_error(frame)
        return True

    def forget_names(self) -> None:
        """Ask for the names of interfaces anew: one has another name."""
        self._socket.forget_names()

    def close(self) -> None:
        self._pump.close()
        finish_in_background(self._socket.close())


def attach_monitor(network: Network, listener: LinkListener) -> LinkMonitor:
    """Have somebody told of what happens to a network's links, by the running event loop.

    :meth:`LinkMonitor.remove` ends it.

    Raises:
        ProtocolUnavailableError: The system has no netlink, or forbids it.
        CanOSError: It cannot be watched for another reason.
        NetworkUnavailableError: The network is closed.
    """
    key = (_running_loop(), network)
    monitor = _monitors.get(key)
    if monitor is None:
        monitor = _monitors[key] = LinkMonitor(network, key)
    else:
        monitor.catch_up()  # so that what lies unread is no news to this one
    monitor.add(listener)
    return monitor


def _running_loop() -> Any:
    try:
        return asyncio.get_running_loop()  # also in a callback, where no task runs
    except RuntimeError:
        return sys.modules["trio"].lowlevel.current_trio_token()
