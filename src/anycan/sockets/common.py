"""What sockets of every protocol have in common: a network, an interface, what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.sockets.closing import finish_in_background
from anycan.sockets.errors import explain_receive, unknown_interface
from anycan.sockets.networks import open_descriptor
from anycan.wire.constants import (
    CANFD_MTU,
    SK_MEMINFO_DROPS,
    SK_MEMINFO_VARS,
    SO_MEMINFO,
    SOL_SOCKET,
)
from anycan.wire.messages import pack_address
from anycan.wire.options import unpack_integers

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.exceptions import CanOSError
    from anycan.network.base import Network
    from anycan.sockets.descriptor import Descriptor


class InterfaceNames(dict[int, str | None]):
    """Names of interfaces by index, asked for once each."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def __missing__(self, index: int) -> str | None:
        name = self._network.interface_name(index)
        if name is not None:
            self[index] = name
        return name


class CanSocket:
    """A non-blocking PF_CAN socket on any network.

    Args:
        network: Where the interface is.
        interface: Its name or index; None: all interfaces.
        kind: The socket's type.
        protocol: ``CAN_RAW`` and its like.
        module: The kernel module that has the protocol, for error messages.
        opener: Opens the descriptor; None: :func:`open_descriptor`.

    Attributes:
        network: Where the interface is.
        interface: Its name; None: all interfaces.
        index: Its index; 0: all interfaces.
        fd: The descriptor to poll; -1: closed.
        received: Messages received that were what they should be.
        malformed: Those that were not.
        on_pending_error: Called with a pending error that a send call got, which tells of the
            interface and not of what was sent.
        coalesce: Seconds that reading rests after each receive call; 0: none.

    Raises:
        UnknownInterfaceError: There is no such interface.
        ProtocolUnavailableError: The network has no such sockets.
    """

    coalesce: float = 0.0

    def __init__(
        self,
        network: Network,
        interface: str | int | None,
        kind: int,
        protocol: int,
        module: str,
        opener: Callable[[Network, int, int, str], Descriptor] | None = None,
    ) -> None:
        self.network = network
        self.received = 0
        self.malformed = 0
        self.on_pending_error: Callable[[CanOSError], object] = _ignore
        self._dropped = 0
        self._dropped_before = 0
        self._names = InterfaceNames(network)
        # First of all, so that where there is no PF_CAN at all this is what is said.
        self._descriptor = (opener or open_descriptor)(network, kind, protocol, module)
        self.fd = self._descriptor.fileno()
        try:
            self.index, self.interface = find_interface(network, interface)
        except BaseException:
            finish_in_background(self._descriptor.close())
            raise

    def is_behind(self) -> bool:
        """Tell whether more may wait than the last receive call had room for."""
        return False

    def forget_names(self) -> None:
        """Ask for the names of interfaces anew."""
        self._names.clear()

    def _explain_pending(self, error: OSError) -> CanOSError:
        return explain_receive(error, self.interface, self.network.remedy(self.interface or "NAME"))

    def _name_of(self, interface: str | int) -> str:
        """Give an interface's name; of one that is gone, what it was called by."""
        if isinstance(interface, str):
            return interface
        return self.network.interface_name(interface) or str(interface)

    def _no_flexible(self, name: str, mtu: int) -> str:
        """Say why an interface takes no CAN FD frames, and what helps."""
        remedy = self.network.remedy(name, CANFD_MTU)
        return f"{name} takes no CAN FD frames (MTU {mtu}); while it is down: {remedy}"

    def _address_of(self, interface: str | int) -> bytes:
        index, _ = find_interface(self.network, interface)
        return pack_address(index)

    @property
    def dropped(self) -> int:
        """How many messages the kernel dropped because the socket's receive buffer was full."""
        try:
            size = 4 * SK_MEMINFO_VARS
            value = self._descriptor.getsockopt(SOL_SOCKET, SO_MEMINFO, size)
        except OSError:  # closed, or a kernel before 4.12: what the last message said
            return self._dropped_before + max(self._dropped, self._last_drops)
        dropped = unpack_integers(value)[SK_MEMINFO_DROPS]
        if dropped < self._dropped:  # of a socket that was opened anew, on a network that was lost
            self._dropped_before += self._dropped
        self._dropped = dropped
        return self._dropped_before + dropped

    @property
    def _last_drops(self) -> int:
        """The drop count that came with the last message."""
        raise NotImplementedError

    def close(self) -> Callable[[], object] | None:
        """Close the socket; the counters stay.

        Returns:
            What is left to be done, in a thread; None: nothing.
        """
        _ = self.dropped
        self.fd = -1  # the number may soon be another's
        return self._descriptor.close()


def _ignore(_: CanOSError) -> None:
    """Take a pending error that nobody is there to hear."""


def find_interface(network: Network, interface: str | int | None) -> tuple[int, str | None]:
    """Give the index and the name of an interface; 0 and None stand for all.

    Raises:
        UnknownInterfaceError: There is none of that name or index.
        TypeError: It is no name and no index.
    """
    if interface is None:
        return 0, None
    if isinstance(interface, str):
        return network.interface_index(interface), interface
    if isinstance(interface, bool) or not isinstance(interface, int):
        raise TypeError(f"an interface is its name, its index or None, not {interface!r}")
    name = network.interface_name(interface)
    if name is None:
        raise unknown_interface(f"of index {interface}", None)
    return interface, name
