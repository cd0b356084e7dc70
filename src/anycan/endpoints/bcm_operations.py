"""The operations of one broadcast manager socket, and who is told what becomes of them.

Nothing here waits for an answer: the broadcast manager does what it is asked for before the call
returns, and what it has to say lies in the socket's receive buffer by then.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeAlias

import anyio

from anycan.endpoints.bcm_messages import shown_identifier
from anycan.exceptions import CanOSError, InterfaceRemovedError, OperationExistsError
from anycan.frame import RTR_FLAG
from anycan.sockets.errors import interface_removed
from anycan.wire.bcm import BcmFlag, BcmMessage, BcmOpcode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.endpoints.link_values import LinkGap
    from anycan.sockets.bcm import BcmNews, BcmSocket

Key: TypeAlias = "tuple[bool, int, bool]"  # a transmission, its identifier, CAN FD

_TRANSMISSIONS: Final = frozenset(
    {
        BcmOpcode.TX_SETUP,
        BcmOpcode.TX_DELETE,
        BcmOpcode.TX_READ,
        BcmOpcode.TX_STATUS,
        BcmOpcode.TX_EXPIRED,
    }
)
_FLEXIBLE: Final = int(BcmFlag.CAN_FD_FRAME)
_TRIES: Final = 3
_MOST_BATCHES: Final = 4096


def key_of(message: BcmMessage) -> Key:
    """Give the operation that a message is about."""
    return message.opcode in _TRANSMISSIONS, message.can_id, message.flags & _FLEXIBLE != 0


class Listener(ABC):
    """Who is told what becomes of an operation.

    Attributes:
        ended: Another operation has taken its place, or it has been stopped, or the endpoint is
            closed.
        set_up: Called to have the operation set up, when a link that was lost is back.
    """

    def __init__(self) -> None:
        self.ended = False
        self.set_up: Callable[[], object] = _nothing

    @abstractmethod
    def take(self, news: BcmNews) -> None:
        """Take a message about it."""

    def fail(self, error: CanOSError) -> None:  # noqa: B027 - to some it is nothing
        """Take note of what happened to the interface."""

    def miss(self) -> None:  # noqa: B027 - to some it is nothing
        """Take note that messages were dropped, which may have been about it."""

    def end(self) -> None:
        """Take note that it has ended."""
        self.ended = True
        self.set_up = _nothing


def _nothing() -> None:
    """Do nothing."""


class Reader(Protocol):
    """Who reads a socket."""

    def receive(self) -> Sequence[BcmNews]:
        """Give what has been received and not been handed on yet.

        Raises:
            WouldBlock: There is nothing.
            ClosedResourceError: There will be nothing.
            CanOSError: The socket's pending error.
        """
        ...

    def taken(self) -> Sequence[BcmNews]:
        """Give what has been read from the socket already, and not been handed on yet."""
        ...

    def failed(self, error: CanOSError) -> None:
        """Take note of an error that the operations have been told."""
        ...

    def moved(self, former: int) -> None:
        """Read the socket's new descriptor, and poll the former one no more."""
        ...


class Operations:
    """The operations of one socket.

    Args:
        socket: The socket.
        reader: Who reads it.

    Attributes:
        lasting: They outlive their interface.
        socket: The socket.
        errors: How many pending errors there were.
        counting: Who waits for a single message, and is to know when some were dropped.
        removed: The interface is gone.
        abandoned: What nobody holds any more: it is stopped by whoever comes next.
    """

    lasting: ClassVar[bool] = False

    def __init__(self, socket: BcmSocket, reader: Reader) -> None:
        self.socket = socket
        self.errors = 0
        self.counting: dict[Listener, None] = {}
        self._dropped = 0
        self._reader = reader
        self._table: dict[Key, Listener] = {}
        self.removed = False
        self.abandoned: deque[Key] = deque()
        self._closed = False
        self._statuses: list[BcmMessage] = []

    def set_up(self, operation: Listener, message: BcmMessage, *, replace: bool) -> Key:
        """Start an operation.

        Args:
            operation: Who is told of it.
            message: Its set-up.
            replace: One of the same name may be ended for it.

        Returns:
            What it is called.

        Raises:
            OperationExistsError: There is one of the same name.
            CanOSError: The broadcast manager refuses it.
        """
        self._stop_abandoned()
        key = key_of(message)
        if key in self._table:
            if not replace:
                raise OperationExistsError(self._why_exists(key))
            self.stop(key)
        self.drain()  # what is said of a former one of its name
        self._begin(key, message)
        self._table[key] = operation
        return key

    def _begin(self, _key: Key, message: BcmMessage) -> None:
        self.ask(message)

    def _why_exists(self, key: Key) -> str:
        transmission, can_id, flexible = key
        if transmission:
            what = "sends"
        elif can_id & RTR_FLAG:
            what = "answers or watches remote requests for"
        else:
            what = "watches"
        where = self.socket.interface or "all interfaces"
        kind = " (CAN FD)" if flexible else ""
        return (
            f"this endpoint {what} {shown_identifier(can_id)}{kind} on {where} already: end that"
            " operation first, or pass replace=True; another endpoint can have one of its own"
        )

    def ask(self, message: BcmMessage) -> None:
        """Send a message.

        Raises:
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The endpoint is closed.
            CanOSError: The broadcast manager refuses it.
        """
        self._check()
        self.socket.send(message)

    def _check(self) -> None:
        """Raise what forbids to ask for anything."""
        if self.removed:
            raise interface_removed(self.socket.interface)
        if self._closed:
            raise anyio.ClosedResourceError

    def _stop_abandoned(self) -> None:
        while self.abandoned:
            self.stop(self.abandoned.popleft())

    def stop(self, key: Key) -> None:
        """End an operation; one that has ended is left alone."""
        operation = self._table.pop(key, None)
        if operation is None:
            return
        self.counting.pop(operation, None)
        transmission, can_id, flexible = key
        opcode = BcmOpcode.TX_DELETE if transmission else BcmOpcode.RX_DELETE
        message = BcmMessage(opcode, _FLEXIBLE if flexible else 0, can_id=can_id)
        try:
            self.ask(message)
        except CanOSError as error:
            # With the interface went the operation.
            if not isinstance(error, InterfaceRemovedError) and error.errno != errno.EINVAL:
                raise
        finally:
            operation.end()

    def read(self, message: BcmMessage) -> BcmMessage | None:
        """Ask for the status of an operation, and give the answer; None: it is not set up now.

        Raises:
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it, or its answers find no room (ENOBUFS).
        """
        for _ in range(_TRIES):
            self._statuses.clear()
            self.ask(message)
            self.drain()  # the answer is there, unless the buffer was full
            if self._statuses:
                return self._statuses.pop()
            if self.is_pending(key_of(message)):
                return None
        raise CanOSError(
            errno.ENOBUFS,
            f"the broadcast manager's answers on {self.socket.interface or 'all interfaces'} are"
            " dropped: the receive buffer is full, take events faster or open the endpoint with a"
            " larger receive_buffer=",
            self.socket.interface,
        )

    def drain(self) -> None:
        """Hand on all that waits, up to a bound that no receive buffer reaches."""
        for _ in range(_MOST_BATCHES):
            try:
                self.hand_on(self._reader.receive())
            except (anyio.WouldBlock, anyio.ClosedResourceError):
                return
            except CanOSError as error:
                self.fail(error)
                if self.removed:
                    return

    def hand_on(self, received: Sequence[BcmNews]) -> None:
        """Hand messages on to the operations that they are about; others have ended."""
        self._stop_abandoned()
        for news in received:
            message = news.message
            if message.opcode in {BcmOpcode.TX_STATUS, BcmOpcode.RX_STATUS}:
                self._statuses.append(message)
                continue
            operation = self._table.get(key_of(message))
            if operation is not None:
                operation.take(news)
                if message.opcode == BcmOpcode.TX_EXPIRED:
                    self.counting.pop(operation, None)
        if self.counting and (dropped := self.socket.dropped) != self._dropped:
            self._dropped = dropped
            for listener in list(self.counting):
                listener.miss()

    def fail(self, error: CanOSError) -> None:
        """Tell every operation what happened to the interface."""
        self.errors += 1
        error = error.with_traceback(None)  # it is kept, and whoever raises it raises a copy
        if isinstance(error, InterfaceRemovedError) and not self.removed:
            self._hand_on_the_rest()
            self.removed = True
        for operation in list(self._table.values()):
            operation.fail(error)
        self._reader.failed(error)

    def _hand_on_the_rest(self) -> None:
        """Hand on what was received before the interface went: its error is told before that."""
        try:
            for _ in range(_MOST_BATCHES):
                self.hand_on(self.socket.receive())
        except OSError:
            pass  # there is no more

    # A link that is lost, where it is waited for; here it is not

    def is_pending(self, _key: Key | None) -> bool:
        """Tell whether an operation is to be set up when the link is back."""
        return False

    def absorb(self, _error: CanOSError) -> bool:
        """Tell whether a pending error is to be told to nobody."""
        return False

    def forgives(self, _error: CanOSError) -> bool:
        """Tell whether what was refused is to be tried again when the link is back."""
        return False

    async def ready(self) -> None:
        """Wait until the link can be used, or the endpoint is closed."""

    @property
    def gap(self) -> LinkGap | None:
        """The gap that there is now."""
        return None

    @property
    def gaps(self) -> int:
        """How many there have been."""
        return 0

    def close(self) -> None:
        """Forget all operations, which end with the socket."""
        self._closed = True
        self.counting.clear()
        operations, self._table = self._table, {}
        for operation in operations.values():
            operation.end()
