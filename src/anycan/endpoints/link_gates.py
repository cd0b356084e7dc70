"""The gates of a raw socket: of the interface that it is bound to, and of those it sends to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.endpoints.link_gate import LinkGate, weak_renewal, weakly
from anycan.exceptions import UnknownInterfaceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.endpoints.link_values import LinkGap, LinkWait
    from anycan.frame import AnyFrame
    from anycan.sockets.raw import RawSocket


class LinkGates:
    """Says of each interface that a raw socket uses whether it can be used.

    Args:
        socket: The socket.
        policy: How to wait.
        on_gap: Called with each gap.

    Attributes:
        bound: The gate of the interface that the socket is bound to; None: it is bound to all.
        on_open: Called when a gap has ended.
    """

    def __init__(
        self, socket: RawSocket, policy: LinkWait, on_gap: Callable[[LinkGap], object] | None
    ) -> None:
        self._socket = socket
        self._policy = policy
        self._on_gap = on_gap
        self._by_name: dict[str, LinkGate] = {}
        self._names: dict[int, str] = {}
        self.bound: LinkGate | None = None
        self.on_open: Callable[[], object] = bool
        if socket.interface is not None:
            self.bound = LinkGate(
                socket.network,
                socket.interface,
                policy,
                on_gap,
                renew=weak_renewal(socket.rebind),
                index=socket.index,
            )
            self._add(socket.interface, self.bound)

    def _add(self, interface: str, gate: LinkGate) -> None:
        gate.on_open = weakly(self._opened)
        self._by_name[interface] = gate

    def _opened(self) -> None:
        self.on_open()

    @property
    def gap(self) -> LinkGap | None:
        """The gap of the interface that the socket is bound to; None: there is none."""
        return None if self.bound is None else self.bound.gap

    @property
    def gaps(self) -> int:
        """How many gaps there have been."""
        return sum(gate.gaps for gate in self._by_name.values())

    def for_frame(self, frame: AnyFrame, interface: str | int | None) -> LinkGate | None:
        """Give the gate of the interface that a frame goes to.

        Args:
            frame: The frame.
            interface: Where it is to go to; None: to the bound one, or back where it came from.

        Returns:
            None: there never was such an interface, and the socket says what is wrong.
        """
        if interface is None:
            if self.bound is not None:
                return self.bound
            interface = getattr(frame, "interface", None)
        if isinstance(interface, int):
            name = self._socket.network.interface_name(interface)
            # One that is gone is known by its index still, if it has been sent to.
            interface = (
                self._names.setdefault(interface, name) if name else self._names.get(interface)
            )
        if interface is None:
            return None
        gate = self._by_name.get(interface)
        if gate is None:
            try:
                self._socket.network.interface_index(interface)
            except UnknownInterfaceError:
                return None
            gate = LinkGate(self._socket.network, interface, self._policy, self._on_gap)
            self._add(interface, gate)
        return gate

    def close(self) -> None:
        """Follow no link any more."""
        for gate in self._by_name.values():
            gate.close()
