"""A raw transport that waits for a link that is lost, and goes on when it is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.endpoints.link_gate import weakly
from anycan.endpoints.link_gates import LinkGates
from anycan.endpoints.transport import RawTransport
from anycan.sockets.errors import interface_removed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from anycan.endpoints.link_values import LinkGap, LinkWait
    from anycan.endpoints.protocol import CanProtocol
    from anycan.exceptions import CanOSError
    from anycan.frame import AnyFrame
    from anycan.sockets.raw import RawSocket


class WaitingRawTransport(RawTransport):
    """A raw transport with ``on_link_loss="wait"``.

    Args:
        loop: The loop.
        socket: The socket.
        protocol: The protocol.
        policy: How to wait.
        on_gap: Called with each gap.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        socket: RawSocket,
        protocol: CanProtocol,
        policy: LinkWait,
        on_gap: Callable[[LinkGap], object] | None,
    ) -> None:
        super().__init__(loop, socket, protocol)
        try:
            self._gates = LinkGates(socket, policy, on_gap)
        except BaseException:
            self._closed = True  # it has never been open
            raise
        self._gates.on_open = weakly(self._go_on)
        if self._gates.bound is not None:
            self._gates.bound.on_renewed = weakly(self._registration.renew)
            self._gates.bound.on_end = weakly(self._network_closed)

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now; None: the link can be used, or it is of all interfaces."""
        return self._gates.gap

    def _gap_count(self) -> int:
        return self._gates.gaps

    def _network_closed(self) -> None:
        self._lose(interface_removed(self._socket.interface))

    def _tell_pending(self, error: CanOSError) -> None:
        bound = self._gates.bound
        if bound is not None and bound.noticed(error):
            self._errors += 1
            self._registration.renew()
        else:
            super()._tell_pending(error)

    def _is_held(self, frame: AnyFrame, interface: str | int | None) -> bool:
        gate = self._gates.for_frame(frame, interface)
        return gate is not None and gate.gap is not None and not gate.ended

    def _is_absorbed(self, error: CanOSError, frame: AnyFrame, interface: str | int | None) -> bool:
        gate = self._gates.for_frame(frame, interface)
        if gate is None or not gate.noticed(error):
            return False
        if gate.gap is None:  # the kernel is about to tell of it
            self._try_later()
        return True

    def send(self, frame: AnyFrame, interface: str | int | None = None) -> None:
        """Send a frame, now or as soon as there is room and its link is there; it never waits."""
        super().send(frame, interface)
        if self._outgoing and self._retry is None and not self._is_held(*self._outgoing[-1]):
            self._go_on()  # what is held before it is for other interfaces

    def _flush(self) -> None:
        self._retry = None
        outgoing = list(self._outgoing)
        held = [self._is_held(*entry) for entry in outgoing]
        if any(held) and not all(held):  # what can be sent comes first; each interface's in order
            self._outgoing.clear()
            for wanted in (False, True):
                self._outgoing += (
                    entry
                    for entry, is_held in zip(outgoing, held, strict=True)
                    if is_held is wanted
                )
        super()._flush()

    def _go_on(self) -> None:
        """Send what has waited for a link that is back."""
        if self._outgoing and not self._closed:
            self._stop_writing()
            self._retry = self._loop.call_soon(self._flush)

    def _forget_outgoing(self) -> None:
        super()._forget_outgoing()
        self._gates.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._gates.close()
        super().__del__()
