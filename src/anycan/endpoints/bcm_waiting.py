"""Operations of the broadcast manager that wait for a link that is lost, and go on after that.

While an interface is down the broadcast manager goes on by itself, and nothing is to be done. When
it is removed its operations are gone. When there is one of that name again, the socket gets another
descriptor, and when it is up all operations are set up anew, as they stand then.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from anycan.endpoints.bcm_operations import Operations, key_of
from anycan.endpoints.link_gate import LINK_LOSS, LinkGate, weak_renewal, weakly
from anycan.endpoints.link_values import resolve_policy
from anycan.exceptions import CanOSError
from anycan.sockets.closing import finish_in_background
from anycan.sockets.errors import interface_removed

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.endpoints.bcm_operations import Key, Reader
    from anycan.endpoints.link_values import LinkGap, LinkWait, OnLinkLoss
    from anycan.sockets.bcm import BcmSocket
    from anycan.wire.bcm import BcmMessage

_LOGGER: Final = logging.getLogger("anycan.endpoints")
_MOST_BATCHES: Final = 4096  # which no receive buffer reaches


class WaitingOperations(Operations):
    """The operations of one socket that is connected to an interface, with its gate.

    Args:
        socket: The socket.
        reader: Who reads it.
        interface: The interface's name.
        policy: How to wait.
        on_gap: Called with each gap.

    Raises:
        ProtocolUnavailableError: Links cannot be watched here.
    """

    lasting: ClassVar[bool] = True

    def __init__(
        self,
        socket: BcmSocket,
        reader: Reader,
        interface: str,
        policy: LinkWait,
        on_gap: Callable[[LinkGap], object] | None,
    ) -> None:
        super().__init__(socket, reader)
        self._pending: dict[Key, None] = {}  # to be set up when the link is back
        self._lost = False  # the socket is not connected
        self._going_on = False
        self._gate = LinkGate(
            socket.network,
            interface,
            policy,
            on_gap,
            renew=weak_renewal(self._renew),
            index=socket.index,
        )
        # None of these keeps what nobody closed alive, so that it is found out.
        self._gate.on_open = weakly(self._go_on)
        self._gate.on_end = weakly(self._end)

    # What is asked for

    def _begin(self, key: Key, message: BcmMessage) -> None:
        self._check()
        if self._gate.gap is None:
            self.ask(message)
        if self._gate.gap is not None or self._lost:
            self._pending[key] = None

    def ask(self, message: BcmMessage) -> None:
        """Send a message, unless its operation is to be set up later: then it counts as it is then.

        Raises:
            InterfaceRemovedError: The network is closed.
            ClosedResourceError: The endpoint is closed.
            CanOSError: The broadcast manager refuses it.
        """
        self._check()
        key = key_of(message)
        while not self._lost and key not in self._pending:
            try:
                self.socket.send(message)
            except LINK_LOSS as error:
                self._lose()
                if not self._going_on and not self._gate.noticed(error):
                    raise
                # By now there may be another one of that name, and a connected socket.
            else:
                return

    def stop(self, key: Key) -> None:
        """End an operation; one that has ended is left alone."""
        try:
            super().stop(key)
        finally:
            self._pending.pop(key, None)

    def is_pending(self, key: Key | None) -> bool:
        """Tell whether an operation is to be set up when the link is back."""
        return key in self._pending

    async def ready(self) -> None:
        """Wait until the link can be used, or never can be again, or the endpoint is closed."""
        await self._gate.wait()

    # What happens to the link

    def absorb(self, error: CanOSError) -> bool:
        """Take a pending error of the socket upon itself, if it is of a link that is lost."""
        if not self._gate.noticed(error):
            return False
        self.errors += 1
        return True

    def forgives(self, error: CanOSError) -> bool:
        """Tell whether what was refused is to be tried again when the link is back."""
        return self._gate.noticed(error)

    def _lose(self) -> None:
        self._lost = True
        self._pending = dict.fromkeys(self._table)

    def _renew(self) -> int:
        """Connect to the interface that has been made anew; give its index."""
        self._hand_on_what_was_told()
        former = self.socket.fd
        close_former = self.socket.renew()
        self._reader.moved(former)
        finish_in_background(close_former())
        self._lose()
        self._lost = False
        return self.socket.index

    def _hand_on_what_was_told(self) -> None:
        self.hand_on(self._reader.taken())
        for _ in range(_MOST_BATCHES):
            try:
                self.hand_on(self.socket.receive())
            except BlockingIOError:
                return
            except CanOSError:  # the gate knows
                self.errors += 1

    def _go_on(self) -> None:
        """Set up what is to be set up: the link is back."""
        self._going_on = True  # what the gate has not heard of yet, it hears of afterwards
        try:
            for key in list(self._pending):
                if self._lost:
                    return
                self._set_up_again(key)
        finally:
            self._going_on = False

    def _set_up_again(self, key: Key) -> None:
        operation = self._table[key]
        del self._pending[key]
        try:
            operation.set_up()
        except CanOSError as error:
            _LOGGER.warning(
                "%s is back, and an operation on it cannot be: %s",
                self.socket.interface,
                error.strerror,
            )
            self._pending[key] = None  # until after the next gap
            operation.fail(error)
            self._reader.failed(error)

    def _end(self) -> None:
        self.fail(interface_removed(self.socket.interface))

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now."""
        return None if self._gate.ended else self._gate.gap

    @property
    def gaps(self) -> int:
        """How many there have been."""
        return self._gate.gaps

    def close(self) -> None:
        """Forget all operations, and follow the link no more."""
        self._gate.close()
        super().close()


def operations_maker(
    on_link_loss: OnLinkLoss, on_gap: Callable[[LinkGap], object] | None
) -> Callable[[BcmSocket, Reader], Operations]:
    """Give what makes the operations of a socket, by what is to be done when a link is lost.

    Raises:
        ValueError: It is none of what there is, or ``on_gap`` would never be called.
    """
    policy = resolve_policy(on_link_loss, on_gap)
    return Operations if policy is None else partial(_make, policy, on_gap)


def _make(
    policy: LinkWait,
    on_gap: Callable[[LinkGap], object] | None,
    socket: BcmSocket,
    reader: Reader,
) -> Operations:
    if socket.interface is None:
        return Operations(socket, reader)
    return WaitingOperations(socket, reader, socket.interface, policy, on_gap)
