"""A raw endpoint that waits for a link that is lost, and goes on when it is back."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import anyio

from anycan.endpoints.link_gate import LINK_LOSS, LinkGate
from anycan.endpoints.pacing import Pacer
from anycan.endpoints.raw import RawEndpoint
from anycan.exceptions import CanOSError, UnknownInterfaceError
from anycan.sockets.errors import interface_removed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.endpoints.link_values import LinkGap, LinkWait
    from anycan.frame import AnyFrame
    from anycan.sockets.raw import RawSocket


class WaitingRawEndpoint(RawEndpoint):
    """A raw endpoint with ``on_link_loss="wait"``.

    Args:
        socket: The socket.
        policy: How to wait.
        on_gap: Called with each gap.
    """

    def __init__(
        self, socket: RawSocket, policy: LinkWait, on_gap: Callable[[LinkGap], object] | None
    ) -> None:
        super().__init__(socket)
        self._policy = policy
        self._on_gap = on_gap
        self._gates: dict[str, LinkGate] = {}
        self._bound_gate: LinkGate | None = None
        if socket.interface is not None:
            gate = LinkGate(
                socket.network,
                socket.interface,
                policy,
                on_gap,
                renew=socket.rebind,
                index=socket.index,
            )
            gate.on_end = self._network_closed
            self._bound_gate = self._gates[socket.interface] = gate
            self._inbox.absorb = gate.noticed

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now; None: the link can be used, or it is of all interfaces."""
        return None if self._bound_gate is None else self._bound_gate.gap

    def _gap_count(self) -> int:
        return sum(gate.gaps for gate in self._gates.values())

    def _network_closed(self) -> None:
        self._inbox.tell(interface_removed(self._socket.interface))

    def _gate_for(self, frame: AnyFrame, interface: str | int | None) -> LinkGate | None:
        """Give the gate of the interface that a frame goes to; None: nothing is known of it."""
        if interface is None:
            if self._bound_gate is not None:
                return self._bound_gate
            interface = getattr(frame, "interface", None)
        if isinstance(interface, int):
            interface = self._socket.network.interface_name(interface)
        if interface is None:
            return None
        gate = self._gates.get(interface)
        if gate is None:
            try:
                self._socket.network.interface_index(interface)
            except UnknownInterfaceError:
                return None  # a name that never was is a mistake: the socket says so
            gate = LinkGate(self._socket.network, interface, self._policy, self._on_gap)
            self._gates[interface] = gate
        return gate

    def _try_send(self, frames: Sequence[AnyFrame], interface: str | int | None) -> int:
        gate = None if self._closed else self._gate_for(frames[0], interface)
        if gate is None:
            return super()._try_send(frames, interface)
        if gate.gap is not None and not gate.ended:
            return 0
        try:
            return super()._try_send(frames, interface)
        except CanOSError as error:
            if not _is_loss(error) or not gate.noticed(error):
                raise
            return 0

    async def _send_waiting(self, frames: Sequence[AnyFrame], interface: str | int | None) -> int:
        async with self._send_lock:
            pacer = Pacer()
            while True:
                if self._closed:
                    raise anyio.ClosedResourceError
                gate = self._gate_for(frames[0], interface)
                if gate is not None:
                    await gate.wait()
                    if self._closed:
                        raise anyio.ClosedResourceError
                try:
                    return self._socket.send(frames, interface)
                except BlockingIOError as error:
                    paced = error.errno == errno.ENOBUFS
                except CanOSError as error:
                    if gate is None or not _is_loss(error) or not gate.noticed(error):
                        raise
                    # Where the gate knows of no loss, the kernel is about to tell of it.
                    paced = gate.gap is None
                if paced:
                    await anyio.sleep(pacer.delay())
                elif gate is None or gate.gap is None:
                    await self._inbox.wait_writable()

    def _close(self) -> None:
        for gate in self._gates.values():
            gate.close()
        super()._close()


def _is_loss(error: CanOSError) -> bool:
    return isinstance(error, (*LINK_LOSS, UnknownInterfaceError))
