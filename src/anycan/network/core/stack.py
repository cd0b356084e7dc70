"""The interfaces and the sockets of a network."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from anycan.engine.failure import failure
from anycan.engine.timers import Timers
from anycan.network.core.afterwards import Afterwards
from anycan.network.core.device import DEFAULT_MTU
from anycan.network.core.interface import Interface
from anycan.network.core.receivers import ReceiveLists
from anycan.wire.isotp import DEFAULT_MAXIMUM_PDU

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.core.device import NetworkDevice
    from anycan.network.core.roles import Bound, Taker

_LOGGER: Final = logging.getLogger("anycan.network")

LinkWatcher: TypeAlias = "Callable[[Interface, bool], object]"
"""Called with an interface that has changed, and whether it is still there."""


class Watcher(Protocol):
    """Who is told of every interface that goes."""

    def interface_gone(self, interface: Interface) -> None:
        """Take note that an interface is gone."""
        ...


class Clock(Protocol):
    """A network's times, in nanoseconds, and who wakes it."""

    def stamp_ns(self) -> int:
        """Give the time since the epoch, for stamps."""
        ...

    def now(self) -> int:
        """Give the time by a clock that does not go back, for timers."""
        ...

    def attend(self) -> None:
        """Take note that timers are about to be started: it may depend on where that is."""
        ...

    def changed(self) -> None:
        """Take note that the next deadline of the timers has come closer."""
        ...


class Stack:
    """The interfaces of a network, and the filters of sockets bound to all of them.

    Args:
        clock: Gives the time, and wakes the timers.
        maximum_pdu: The most bytes in a PDU of ISO-TP.

    Attributes:
        any_lists: The filters of the sockets bound to all interfaces.
        any_bound: Those sockets, in the order of their binding.
        by_index: The interfaces, in the order in which they were added.
        by_name: The same by name.
        watchers: Who is told of every interface that goes.
        link_watchers: Who is told of everything that changes of an interface: that it is there, up
            or down, its name, its MTU, its settings, its carrier, its state; and that it is gone,
            once, after all else. Errors that they raise are logged.
        clock: Its times.
        timers: What is to happen, and when.
        afterwards: What waits until a frame has reached all who take it.
        closed: There will be no more interfaces.
    """

    def __init__(self, clock: Clock, maximum_pdu: int = DEFAULT_MAXIMUM_PDU) -> None:
        self.clock = clock
        self.maximum_pdu = maximum_pdu
        self.timers = Timers(self._deadline_changed)
        self.afterwards = Afterwards(self.timers, clock)
        self.any_lists: ReceiveLists[Taker] = ReceiveLists()
        self.any_bound: dict[Bound, None] = {}
        self.watchers: dict[Watcher, None] = {}
        self.link_watchers: dict[LinkWatcher, None] = {}
        self.by_index: dict[int, Interface] = {}
        self.by_name: dict[str, Interface] = {}
        self.closed = False
        self._last_index = 0

    def _deadline_changed(self) -> None:
        self.clock.changed()

    def add(
        self, name: str, device: NetworkDevice, mtu: int = DEFAULT_MTU, index: int | None = None
    ) -> Interface:
        """Add an interface, down.

        Args:
            name: Its name.
            device: What carries its frames.
            mtu: Its MTU.
            index: Its index, where another network has given it one; None: the next.

        Raises:
            OSError: EEXIST, or EINVAL for an MTU that the device cannot have.
        """
        if name in self.by_name:
            raise failure(errno.EEXIST)
        if not device.supports_mtu(mtu):
            raise failure(errno.EINVAL)
        self._last_index = self._last_index + 1 if index is None else index
        interface = Interface(self._last_index, name, mtu, device, self)
        self.by_index[interface.index] = self.by_name[name] = interface
        device._set_owner(interface)  # noqa: SLF001 - for this alone
        device.attach(interface)
        self.tell(interface)
        return interface

    def remove(self, interface: Interface) -> None:
        """Remove an interface; the sockets bound to it are told. The other end of a pair goes too.

        Where it is gone already, nothing happens.
        """
        interface.set_down()
        if self.by_index.get(interface.index) is not interface:
            return
        del self.by_index[interface.index], self.by_name[interface.name]
        interface.remove()
        interface.device._set_owner(None)  # noqa: SLF001 - for this alone
        for watcher in list(self.watchers):
            watcher.interface_gone(interface)
        self.tell(interface, present=False)

    def rename(self, interface: Interface, name: str) -> None:
        """Give an interface another name; up or down does not matter (Linux 6.2).

        Raises:
            OSError: EEXIST.
        """
        if name == interface.name:
            return
        if name in self.by_name:
            raise failure(errno.EEXIST)
        del self.by_name[interface.name]
        interface.name = name
        self.by_name[name] = interface
        self.tell(interface)

    def tell(self, interface: Interface, *, present: bool = True) -> None:
        """Tell those who watch links that one is not as it was."""
        for watcher in list(self.link_watchers):
            try:
                watcher(interface, present)
            except Exception:
                _LOGGER.exception("what watches the links failed; the network goes on")

    def set_mtu(self, interface: Interface, mtu: int) -> None:
        """Change the MTU.

        Raises:
            OSError: EBUSY while the link is up, or EINVAL.
        """
        if mtu == interface.mtu:
            return
        if interface.up:
            raise failure(errno.EBUSY)
        if not interface.device.supports_mtu(mtu):
            raise failure(errno.EINVAL)
        interface.set_mtu(mtu)

    def close(self) -> None:
        """Remove all interfaces. Sockets bound to all of them are told too: none will follow."""
        self.closed = True
        for interface in list(self.by_index.values()):
            self.remove(interface)
        for socket in list(self.any_bound):
            socket.interface_removed()
