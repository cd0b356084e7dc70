"""Where links are asked for by rtnetlink: the kernel, or a network that another process serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from anycan.interfaces.from_link import driver_of, interface_of
from anycan.network.client import ServedNetwork
from anycan.sockets.kernel import KernelNetwork, kernel
from anycan.sockets.netlink import NetlinkSocket
from anycan.sockets.served_links import ServedLinkEvents, ServedNetlink

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anycan.interfaces.values import Interface
    from anycan.network.base import Network
    from anycan.wire.netlink import NetlinkMessage
    from anycan.wire.netlink_link import Link


class LinkRequests(Protocol):
    """What takes requests."""

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        """Ask for something, and give the answers.

        Raises:
            CanOSError: It was refused.
        """
        ...

    def __enter__(self) -> Self:
        """Take requests."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take no more."""
        ...


class LinkEvents(Protocol):
    """What tells of links."""

    def fileno(self) -> int:
        """Give the descriptor to poll."""
        ...

    def events(self) -> list[NetlinkMessage]:
        """Give what has been told since the last call.

        Raises:
            CanOSError: Some of it is lost.
            NetworkUnavailableError: The network is gone, and tells nothing more.
        """
        ...

    def close(self) -> None:
        """Be told nothing more."""
        ...


class LinkSource(Protocol):
    """A network whose links are asked for by rtnetlink."""

    @property
    def name(self) -> str:
        """The network's name."""
        ...

    @property
    def has_namespaces(self) -> bool:
        """Whether an interface may be in another network namespace."""
        ...

    @property
    def closed(self) -> bool:
        """Whether this process has closed it, so that it does not come back."""
        ...

    def open(self) -> LinkRequests:
        """Give what takes requests, for the length of a call."""
        ...

    def watch(self) -> LinkEvents:
        """Give what tells of every change from now on."""
        ...

    def reconnect(self) -> None:
        """Find the network again, which was gone; it may take a moment.

        Raises:
            CanError: It is gone still.
        """
        ...

    def interface_index(self, name: str) -> int:
        """Give the index of an interface.

        Raises:
            UnknownInterfaceError: There is none of that name; it knows those that there are.
        """
        ...

    def value_of(self, link: Link) -> Interface:
        """Make a value of what is told of an interface."""
        ...


class KernelLinkSource:
    """The running kernel."""

    name: Final = "kernel"
    has_namespaces: Final = True
    closed: Final = False

    def open(self) -> NetlinkSocket:
        """Open a socket."""
        return NetlinkSocket()

    def watch(self) -> NetlinkSocket:
        """Open a socket that is told."""
        socket = NetlinkSocket()
        try:
            socket.join_links()
        except BaseException:
            socket.close()
            raise
        return socket

    def reconnect(self) -> None:
        """Do nothing: the kernel is there."""

    def interface_index(self, name: str) -> int:
        """Give the index of an interface."""
        return kernel.interface_index(name)

    def value_of(self, link: Link) -> Interface:
        """Make a value of what the kernel tells of an interface, with its driver's name."""
        return interface_of(link, driver=driver_of(link.name or ""))


class ServedLinkSource:
    """A network that another process serves.

    Args:
        network: The network.
    """

    has_namespaces: Final = False

    def __init__(self, network: ServedNetwork) -> None:
        self._network = network

    @property
    def name(self) -> str:
        """The network's name."""
        return self._network.name

    @property
    def closed(self) -> bool:
        """Whether this process has closed the connection."""
        return self._network.closed

    def open(self) -> ServedNetlink:
        """Give what asks the server."""
        return ServedNetlink(self._network)

    def watch(self) -> ServedLinkEvents:
        """Have the server tell of every change."""
        return ServedLinkEvents(self._network)

    def reconnect(self) -> None:
        """Connect again."""
        self._network.reconnect()

    def interface_index(self, name: str) -> int:
        """Give the index of an interface."""
        return self._network.interface_index(name)

    def value_of(self, link: Link) -> Interface:
        """Make a value of what the server tells of an interface."""
        return interface_of(link, self._network.name)


KERNEL: Final = KernelLinkSource()


def source_of(network: Network) -> LinkSource:
    """Give the source of a network's links, if they are asked for by rtnetlink."""
    match network:
        case KernelNetwork():
            return KERNEL
        case ServedNetwork():
            return ServedLinkSource(network)
        case _:
            raise TypeError(f"anycan knows no interfaces of {network!r}")
