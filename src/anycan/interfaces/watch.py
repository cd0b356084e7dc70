"""What happens to interfaces, as an async iterator."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from anycan.exceptions import NetworkUnavailableError
from anycan.interfaces.events import EventsLost, InterfaceAdded, InterfaceEvent, InterfaceRemoved
from anycan.interfaces.monitor import attach_monitor
from anycan.interfaces.tracker import differences
from anycan.interfaces.values import LinkCondition
from anycan.sockets.networks import resolve_network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from anycan.interfaces.monitor import LinkMonitor
    from anycan.interfaces.values import Interface
    from anycan.network.base import Network

CAPACITY: Final = 1024  # events that nobody has taken

LinkEvent: TypeAlias = InterfaceEvent | EventsLost


class InterfaceWatch:
    """What happens to interfaces, as an async iterator. Made by :func:`watch_interfaces`.

    It starts when its ``async with`` block is entered, or else when iteration begins, and ends
    with the block, or else when nobody holds it any more. Up to 1024 events wait to be taken; when
    more come, those are lost, :class:`EventsLost` says so, and what follows are the differences to
    what there is then.
    """

    def __init__(self, network: Network, *, present: bool) -> None:
        self._network = network
        self._present = present
        self._monitor: LinkMonitor | None = None
        self._queue = _EventQueue()
        self._closed = False

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        self._start()
        return self

    def _start(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._monitor is None:
            self._monitor = attach_monitor(self._network, self._queue)
            known = self._monitor.interfaces.values()
            self._queue.begin(known, self._monitor.now_ns() if self._present else None)

    @property
    def interfaces(self) -> Mapping[str, Interface]:
        """The interfaces there are, by name, as far as the events tell that have been taken."""
        return {one.name: one for one in self._queue.known.values()}

    async def __anext__(self) -> LinkEvent:
        """Wait for the next event; iteration never ends by itself.

        Cancelling it loses no event.

        Raises:
            BusyResourceError: Another task waits for an event.
            ClosedResourceError: The watch is closed, or was closed meanwhile.
            NetworkUnavailableError: The user network is closed, and all events have been taken.
        """
        await checkpoint()
        self._start()
        while True:
            if self._closed:
                raise anyio.ClosedResourceError
            event = self._take()
            if event is not None:
                return event
            if self._queue.ended:
                raise NetworkUnavailableError(f"{self._network.name} is closed: nothing can happen")
            await self._queue.wait()

    async def receive(self) -> LinkEvent:
        """Wait for the next event, as iteration does."""
        return await self.__anext__()

    def _take(self) -> LinkEvent | None:
        queue = self._queue
        if not queue.events and queue.lost and self._monitor is not None:
            queue.make_up(self._monitor)
        return queue.take()

    async def aclose(self) -> None:
        """End the watch; who waits for an event gets ClosedResourceError."""
        self._close()
        await checkpoint()

    def _close(self) -> None:
        self._closed = True
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.remove(self._queue)
        self._queue.wake()

    def __del__(self) -> None:
        if getattr(self, "_monitor", None) is not None:  # iterated without a block, and left
            self._close()


class _EventQueue:
    """Events that wait to be taken. It is what the monitor knows, so that a watch can be left.

    Attributes:
        events: They.
        known: The interfaces as they are when the events so far have been taken, by index.
        lost: There was no room for some.
        ended: The network is closed.
    """

    def __init__(self) -> None:
        self.events: deque[LinkEvent] = deque()
        self.known: dict[int, Interface] = {}
        self.lost = False
        self.ended = False
        self._waiter: anyio.Event | None = None

    def begin(self, interfaces: object, present_ns: int | None) -> None:
        for interface in interfaces:  # type: ignore[attr-defined]
            if present_ns is None:
                self.known[interface.index] = interface
            else:
                self.events.append(
                    InterfaceAdded(interface=interface, timestamp_ns=present_ns, present=True)
                )

    def link_event(self, event: LinkEvent) -> None:
        """Take an event, if there is room."""
        if self.lost or len(self.events) >= CAPACITY:
            self.lost = True
        else:
            self.events.append(event)
        self.wake()

    def monitor_ended(self) -> None:
        """Take note that the network is closed."""
        self.ended = True
        self.wake()

    def make_up(self, monitor: LinkMonitor) -> None:
        """Put in what has changed, in place of the events that were lost."""
        self.lost = False
        now_ns = monitor.now_ns()
        self.events.append(EventsLost(timestamp_ns=now_ns))
        there = monitor.tracker.known
        for index in sorted(self.known.keys() | there.keys()):
            self.events += differences(self.known.get(index), there.get(index), now_ns)

    def take(self) -> LinkEvent | None:
        if not self.events:
            return None
        event = self.events.popleft()
        match event:
            case InterfaceRemoved():
                self.known.pop(event.interface.index, None)
            case InterfaceEvent():
                self.known[event.interface.index] = event.interface
        return event

    async def wait(self) -> None:
        if self._waiter is not None:
            raise anyio.BusyResourceError("waiting for an event of")
        self._waiter = anyio.Event()
        try:
            await self._waiter.wait()
        finally:
            self._waiter = None

    def wake(self) -> None:
        if self._waiter is not None:
            self._waiter.set()


def watch_interfaces(
    *, present: bool = False, network: Network | str | None = None
) -> InterfaceWatch:
    """Watch the CAN interfaces of a network: an async iterator of what happens to them.

    Events are :class:`InterfaceAdded`, :class:`InterfaceRemoved`, :class:`InterfaceUp`,
    :class:`InterfaceDown`, :class:`InterfaceStateChanged`, :class:`ErrorCountersChanged`,
    :class:`InterfaceChanged` and, in case, :class:`EventsLost`. An interface that is up when it is
    added is told of as up, too. It needs no rights.

    Args:
        present: Begin with an :class:`InterfaceAdded` for each interface that there is.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Returns:
        The watch, which is an async iterator and an async context manager.

    Raises (when it starts):
        ProtocolUnavailableError: The system has no netlink, or forbids it.
        NetworkUnavailableError: There is no such network, or it is closed.

    Source: ``linux/rtnetlink.h``, ``RTNLGRP_LINK``; ``linux/can/error.h``.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network, watch_interfaces(network=network) as events:
        ...         network.add_vcan("vcan0")
        ...         network.set_down("vcan0")
        ...         for _ in range(3):
        ...             event = await events.receive()
        ...             print(type(event).__name__, event.interface.name)
        >>> anyio.run(main)
        InterfaceAdded vcan0
        InterfaceUp vcan0
        InterfaceDown vcan0
    """
    return InterfaceWatch(resolve_network(network), present=present)


async def wait_for_interface(
    name: str, *, up: bool = True, network: Network | str | None = None
) -> Interface:
    """Wait until there is an interface of that name, and it is up and not bus-off.

    A deadline is the caller's ``anyio.fail_after``. It needs no rights.

    Args:
        name: Its name.
        up: Wait until frames can pass; False: until it is there.
        network: Where; None: what ``ANYCAN_NETWORK`` names, else the kernel.

    Returns:
        The interface as it is then.

    Raises:
        ProtocolUnavailableError: The system has no netlink, or forbids it.
        NetworkUnavailableError: There is no such network, or it is closed.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("can0")
        ...         print((await wait_for_interface("can0", network=network)).index)
        >>> anyio.run(main)
        1
    """
    async with watch_interfaces(present=True, network=network) as events:
        while True:
            event = await events.receive()
            if isinstance(event, InterfaceEvent) and not isinstance(event, InterfaceRemoved):
                interface = event.interface
                fits = interface.condition is LinkCondition.UP or not up
                if fits and (name == interface.name or name in interface.other_names):
                    return interface
