"""An ISO-TP endpoint that waits for a link that is lost, and goes on when it is back."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal
from weakref import ref

import anyio

from anycan.endpoints.inbox import AsyncioInbox
from anycan.endpoints.isotp_link import IsotpLink
from anycan.endpoints.link_gate import LINK_LOSS, LinkGate
from anycan.endpoints.pacing import Pacer
from anycan.exceptions import CanOSError
from anycan.sockets.errors import interface_removed
from anycan.sockets.isotp import UnboundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan.endpoints.link_values import LinkGap, LinkWait
    from anycan.sockets.isotp import IsotpSocket


def open_gate(
    socket: IsotpSocket, policy: LinkWait, on_gap: Callable[[LinkGap], object] | None
) -> LinkGate:
    """Follow the link of a socket, and bind it again when its interface was made anew.

    Raises:
        ProtocolUnavailableError: Links cannot be watched here.
    """
    reference = ref(socket)  # so that an endpoint that nobody closed is found out

    def renew() -> int:
        found = reference()
        if found is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return found.rebind()

    interface = str(socket.interface)
    return LinkGate(socket.network, interface, policy, on_gap, renew=renew, index=socket.index)


def is_shut(gate: LinkGate) -> bool:
    """Tell whether a gate is to be waited at."""
    return gate.gap is not None and not gate.ended


class WaitingIsotpLink(IsotpLink):
    """ISO-TP with ``on_link_loss="wait"``.

    Args:
        socket: The socket.
        implementation: Whose ISO-TP it is.
        policy: How to wait.
        on_gap: Called with each gap.
    """

    def __init__(
        self,
        socket: IsotpSocket,
        implementation: Literal["socket", "engine"],
        policy: LinkWait,
        on_gap: Callable[[LinkGap], object] | None,
    ) -> None:
        # First of all: where links cannot be watched, there is nothing to close but the socket.
        self._gate = open_gate(socket, policy, on_gap)
        super().__init__(socket, implementation)
        self._held = False
        self._inbox.absorb = partial(_absorb, self._gate, socket, self._inbox)
        self._gate.on_renewed = self._inbox.renew
        self._gate.on_end = partial(self._inbox.tell, interface_removed(socket.interface))

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now; None: the link can be used."""
        return self._gate.gap

    def _gap_count(self) -> int:
        return self._gate.gaps

    # Receiving

    async def _wait_for_pdus(self) -> None:
        """Wait until a PDU may have been read."""
        while True:
            if self._is_unbound:
                await self._wait_until_bound()
            try:
                await self._inbox.wait()
            except UnboundError:
                continue
            return

    @property
    def _is_unbound(self) -> bool:
        """Whether the socket waits to be bound again."""
        return self._socket.unbound and not (self._closed or self._gate.ended)

    async def _wait_until_bound(self) -> None:
        """Wait until the socket can be read again, or never can be.

        Until then it is not polled: see :class:`~anycan.sockets.isotp.UnboundError`.
        """
        pacer = Pacer()
        with self._waiting():
            while self._is_unbound:
                await self._gate.wait()
                if self._is_unbound:  # the kernel is about to tell of it
                    await anyio.sleep(pacer.delay())

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Let one task wait at the gate, as at the inbox."""
        if self._held:
            raise anyio.BusyResourceError("receiving from")
        self._held = True
        try:
            yield
        finally:
            self._held = False

    @property
    def _busy(self) -> bool:
        """Whether a task waits for a PDU."""
        return self._held or self._inbox.busy

    def receive_nowait(self) -> bytes:
        """Take the next PDU if there is one."""
        while True:
            errors = self._inbox.errors
            try:
                return super().receive_nowait()
            except UnboundError:
                raise anyio.WouldBlock from None
            except anyio.WouldBlock:
                if self._inbox.errors == errors:
                    raise
                # An error was read, and dealt with: a PDU may wait behind it.

    # Sending

    def _try_to_begin(self, pdu: bytes) -> bool:
        """Begin to send; tell whether that was possible."""
        if is_shut(self._gate) and not self._closed:
            return False
        try:
            return super()._try_to_begin(pdu)
        except CanOSError as error:
            if not self._gate.noticed(error):
                raise
            return False

    async def _wait_to_begin(self, pacer: Pacer) -> None:
        """Wait until it may be possible."""
        if is_shut(self._gate):
            await self._gate.wait()
        else:
            await super()._wait_to_begin(pacer)

    async def _wait_until_sent(self) -> None:
        try:
            await super()._wait_until_sent()
        except LINK_LOSS as error:
            raise self._socket.unconfirmed() from error

    def _close(self) -> Callable[[], object] | None:
        self._gate.close()
        return super()._close()


def _absorb(gate: LinkGate, socket: IsotpSocket, inbox: object, error: CanOSError) -> bool:
    """Deal with a pending error, if it is of the link; a socket without one is polled no more."""
    absorbed = gate.noticed(error)
    if absorbed and socket.unbound and isinstance(inbox, AsyncioInbox):
        inbox.registration.stop_reading()
    return absorbed
