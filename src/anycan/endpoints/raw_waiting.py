"""A raw endpoint that waits for a link that is lost, and goes on when it is back."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

import anyio

from anycan.endpoints.link_gates import LinkGates
from anycan.endpoints.pacing import Pacer
from anycan.endpoints.raw import RawEndpoint
from anycan.exceptions import CanOSError
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
        # First of all: where links cannot be watched, there is nothing to close but the socket.
        self._gates = LinkGates(socket, policy, on_gap)
        super().__init__(socket)
        bound = self._gates.bound
        if bound is not None:
            # None of these keeps the endpoint alive, so that one that nobody closed is found out.
            self._inbox.absorb = bound.noticed
            bound.on_renewed = self._inbox.renew
            bound.on_end = partial(_tell, socket, interface_removed(socket.interface))

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now; None: the link can be used, or it is of all interfaces."""
        return self._gates.gap

    def _gap_count(self) -> int:
        return self._gates.gaps

    def _try_send(self, frames: Sequence[AnyFrame], interface: str | int | None) -> int:
        gate = None if self._closed else self._gates.for_frame(frames[0], interface)
        if gate is None:
            return super()._try_send(frames, interface)
        if gate.gap is not None or gate.turn.locked():
            return 0
        try:
            return super()._try_send(frames, interface)
        except CanOSError as error:
            if not gate.noticed(error):
                raise
            return 0

    async def _send_waiting(self, frames: Sequence[AnyFrame], interface: str | int | None) -> int:
        gate = None if self._closed else self._gates.for_frame(frames[0], interface)
        if gate is None:
            return await super()._send_waiting(frames, interface)
        pacer = Pacer()
        async with gate.turn:  # so that the order of the calls is kept at this gate
            while True:
                await gate.wait()  # while others send to other interfaces
                async with self._send_lock:
                    if self._closed:
                        raise anyio.ClosedResourceError
                    try:
                        return self._socket.send(frames, interface)
                    except BlockingIOError as error:
                        if error.errno != errno.ENOBUFS:
                            await self._inbox.wait_writable()
                            continue
                    except CanOSError as error:
                        if not gate.noticed(error):
                            raise
                if gate.gap is None:  # the queue is full, or the kernel is about to tell of a loss
                    await anyio.sleep(pacer.delay())

    def _close(self) -> None:
        self._gates.close()
        super()._close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and hasattr(self, "_gates"):
            self._gates.close()
        super().__del__()


def _tell(socket: RawSocket, error: CanOSError) -> None:
    """Tell whoever reads the socket: the endpoint, or a router that it has been lent to."""
    socket.on_pending_error(error)
