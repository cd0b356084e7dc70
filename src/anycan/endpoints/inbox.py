"""Waiting for a socket's frames, or messages: what has been read and not yet taken.

On asyncio (and uvloop) the descriptor stays registered with the loop, since registering it anew
for every wait costs several times more than the read itself. Elsewhere (trio) each wait registers.
Both are bounded: an inbox that is full leaves what follows to the kernel's receive buffer, which
counts what it drops.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from anycan.endpoints.waiter import Waiter
from anycan.exceptions import CanOSError, InterfaceRemovedError
from anycan.loops.registration import Registration
from anycan.loops.which import asyncio_loop
from anycan.sockets.errors import interface_removed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable

INBOX_CAPACITY: Final = 1024
_MANY: Final = 100  # from where it pays to ask whether more wait
_MORE_BATCHES: Final = 3
ItemT = TypeVar("ItemT")


class ReadableSocket(Protocol[ItemT]):
    """A socket, as an inbox sees it."""

    fd: int
    interface: str | None
    on_pending_error: Callable[[CanOSError], object]
    coalesce: float

    def is_behind(self) -> bool:
        """Tell whether more may wait than the last receive call had room for."""
        ...

    def receive_last(self) -> list[ItemT]:
        """Give what waits still once the interface was removed."""
        ...

    def receive(self) -> list[ItemT]:
        """Give what waits, up to a batch.

        Raises:
            BlockingIOError: Nothing waits.
            CanOSError: The socket's pending error.
        """
        ...


class Inbox(Generic[ItemT]):
    """The frames or messages that have been read from a socket, in their order.

    Whoever takes them does so like this, and so without an ``await`` between seeing a frame and
    taking it: cancellation loses nothing::

        while not inbox.items:
            await inbox.wait()
        item = inbox.items.popleft()

    Attributes:
        items: Those not yet taken.
        errors: How many pending errors the socket has told.
        discarded: How many had not been taken when the endpoint was closed.
        absorb: Told of each pending error first; what it takes upon itself is told to nobody.
    """

    absorb: Callable[[CanOSError], bool] | None = None

    def __init__(self, socket: ReadableSocket[ItemT]) -> None:
        self.items: deque[ItemT] = deque()
        self.errors = 0
        self.discarded = 0
        self._socket = socket
        self._error: CanOSError | None = None
        self._closed = False
        self._removed = False
        self._borrower: Callable[[], object] | None = None
        socket.on_pending_error = self.tell

    def wait(self) -> Awaitable[None]:
        """Give what to await until a frame may have been read, while there is none.

        Raises (here or when awaited):
            CanOSError: The socket told a pending error; frames from before it have been taken.
            ClosedResourceError: The endpoint is closed, or was closed meanwhile.
            BusyResourceError: Another task is waiting already.
        """
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether a task waits for what is read."""
        raise NotImplementedError

    async def wait_writable(self) -> None:
        """Wait until the socket may have room; returns also when the endpoint was closed."""
        raise NotImplementedError

    def read(self) -> None:
        """Read a batch now; what it held may all have been malformed.

        Raises:
            WouldBlock: Nothing waits.
            CanOSError: As :meth:`wait`.
            ClosedResourceError: As :meth:`wait`.
        """
        self._raise_reason()
        try:
            self.items += self._socket.receive()
        except BlockingIOError:
            raise anyio.WouldBlock from None
        except CanOSError as error:
            self._note(error)
            if not self.items:  # which come first
                self._raise_reason()

    def tell(self, error: CanOSError) -> None:
        """Take a pending error from elsewhere, and wake whoever waits."""
        self._note(error)

    def renew(self) -> None:
        """Go on being polled: somebody else has taken the socket's error."""

    def _note(self, error: CanOSError) -> None:
        self.errors += 1
        if self.absorb is None or not self.absorb(error):
            if isinstance(error, InterfaceRemovedError):
                self.items += self._socket.receive_last()
            self._error = error

    def _raise_reason(self) -> None:
        """Raise what forbids to read, if anything does. A pending error is told once."""
        if self._closed:
            raise anyio.ClosedResourceError
        if self._borrower is not None:
            raise anyio.BusyResourceError("receiving from")
        if self._error is not None:
            error, self._error = self._error, None
            self._removed = self._removed or isinstance(error, InterfaceRemovedError)
            raise error
        if self._removed:
            raise interface_removed(self._socket.interface)

    def close(self) -> None:
        """Forget what was not taken; whoever waits is woken with ClosedResourceError.

        Who waits by ``anyio.wait_readable`` is woken by the endpoint's ``anyio.notify_closing``.
        """
        self._closed = True
        if self._borrower is not None:
            self._borrower()  # which gives back what it has not handed on
        self.discarded = len(self.items)
        self.items.clear()

    def lend(
        self, on_close: Callable[[], object], tell: Callable[[CanOSError], object]
    ) -> list[ItemT]:
        """Read no more, until :meth:`take_back`: whoever borrows the socket reads it.

        Args:
            on_close: Called when the inbox is closed.
            tell: Called with a pending error that a send call got.

        Returns:
            What was not taken.

        Raises:
            ClosedResourceError: The inbox is closed.
            InterfaceRemovedError: The interface is gone.
            BusyResourceError: A task waits for what is read, or it is lent already.
        """
        if self.busy:
            raise anyio.BusyResourceError("receiving from")
        passing = self._error is not None and not isinstance(self._error, InterfaceRemovedError)
        if not passing or self._closed or self._borrower is not None:
            self._raise_reason()
        self._borrower = on_close
        self._socket.on_pending_error = tell
        items = list(self.items)
        self.items.clear()
        return items

    @property
    def lent(self) -> bool:
        """Whether another one reads the socket."""
        return self._borrower is not None

    def take_error(self) -> CanOSError | None:
        """Give the pending error that nobody has been told yet, to tell it."""
        error, self._error = self._error, None
        return error

    def note_removal(self) -> None:
        """Take note, of whoever borrowed the socket, that the interface is gone."""
        self._removed = True

    def take_back(self, items: Iterable[ItemT]) -> None:
        """Read again; what was borrowed and not handed on comes first."""
        self._borrower = None
        self.items.extendleft(reversed(list(items)))
        self._socket.on_pending_error = self.tell


class AnyioInbox(Inbox[ItemT]):
    """An inbox for any back end: reads when asked, registers for each wait.

    Args:
        socket: The socket.
    """

    def __init__(self, socket: ReadableSocket[ItemT]) -> None:
        super().__init__(socket)
        self._scope: anyio.CancelScope | None = None
        self._coalesce = socket.coalesce
        self._rests_until = 0.0

    @property
    def busy(self) -> bool:
        """Whether a task waits for what is read."""
        return self._scope is not None

    async def wait(self) -> None:
        """Let other tasks run, then read, waiting until that gives frames."""
        while True:
            if self._coalesce and self._may_rest():
                await self._rest()
            await checkpoint()
            try:
                self.read()
            except anyio.WouldBlock:
                if self._scope is not None:
                    raise anyio.BusyResourceError("receiving from") from None
            else:
                if self._coalesce:
                    self._rests_until = anyio.current_time() + self._coalesce
                if self.items:
                    return
                continue
            self._scope = anyio.CancelScope()
            try:
                with self._scope:
                    await anyio.wait_readable(self._socket.fd)
            finally:
                self._scope = None

    def _may_rest(self) -> bool:
        """Tell whether there is nothing to tell, and no more to read than what comes."""
        forbidden = self._closed or self._removed or self.lent or self._error is not None
        return not (forbidden or self._socket.is_behind())

    async def _rest(self) -> None:
        if self._scope is not None:
            raise anyio.BusyResourceError("receiving from")
        self._scope = anyio.CancelScope(deadline=self._rests_until)
        try:
            with self._scope:
                await anyio.sleep_forever()
        finally:
            self._scope = None

    def close(self) -> None:
        """Forget what was not taken; whoever rests is woken with ClosedResourceError."""
        super().close()
        self.renew()

    async def wait_writable(self) -> None:
        """Wait until the socket may have room; ``anyio.notify_closing`` ends it too."""
        await anyio.wait_writable(self._socket.fd)

    def tell(self, error: CanOSError) -> None:
        """Take a pending error from elsewhere, and have whoever waits look again."""
        super().tell(error)
        self.renew()

    def renew(self) -> None:
        """Have whoever waits look and wait again: another file may have the descriptor's number."""
        if self._scope is not None:
            self._scope.cancel()


class AsyncioInbox(Inbox[ItemT]):
    """An inbox for asyncio: the loop reads as frames come, and rests while the inbox is full.

    Args:
        socket: The socket.
        loop: The loop.

    Attributes:
        loop: The loop.
        registration: What the descriptor has registered with it.
    """

    def __init__(self, socket: ReadableSocket[ItemT], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(socket)
        self.loop = loop
        self._receive = socket.receive
        self._waiter = Waiter(loop)
        self._room: asyncio.Future[None] | None = None  # of whoever waits to send
        self.registration = Registration(
            loop, socket.fd, self._on_readable, socket.coalesce, socket.is_behind
        )
        self.registration.start_reading()

    def _on_readable(self) -> None:
        items = self.items
        try:
            items += self._receive()
        except BlockingIOError:  # a send call has taken what was to be read, a pending error
            self.registration.renew()
            return
        except CanOSError as error:
            self._note(error)
        else:
            if len(items) >= _MANY:
                self._read_on()
        self._waiter.wake()

    def _read_on(self) -> None:
        """Read more in the same turn of the loop, where more waits; and rest while it is full."""
        items = self.items
        try:
            for _ in range(_MORE_BATCHES):
                if len(items) >= INBOX_CAPACITY or not self._socket.is_behind():
                    break
                items += self._receive()
        except BlockingIOError:
            pass
        except CanOSError as error:
            self._note(error)
        if len(items) >= INBOX_CAPACITY:
            self.registration.stop_reading()

    @property
    def busy(self) -> bool:
        """Whether a task waits for what is read."""
        return not self._waiter.done()

    def wait(self) -> Awaitable[None]:
        """Give what the next read finishes."""
        if self._waiter.callback is not None:
            raise anyio.BusyResourceError("receiving from")
        if self._borrower is not None or not self.registration.reading:
            if self._removed and not self._closed:
                return self._tell_removal()
            self._raise_reason()
            self.registration.start_reading()
        return self._waiter

    async def wait_writable(self) -> None:
        """Wait until the socket may have room."""
        self._room = self.loop.create_future()
        self.registration.start_writing(self._on_writable)
        try:
            await self._room
        finally:
            self.registration.stop_writing()
            self._room = None

    def _on_writable(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def lend(
        self, on_close: Callable[[], object], tell: Callable[[CanOSError], object]
    ) -> list[ItemT]:
        """Read no more."""
        items = super().lend(on_close, tell)
        self.registration.stop_reading()
        return items

    def take_back(self, items: Iterable[ItemT]) -> None:
        """Read again."""
        super().take_back(items)
        self.registration.redirect(self._on_readable)
        forbidden = self._closed or self._removed or self._error is not None
        if not forbidden and len(self.items) < INBOX_CAPACITY:
            self.registration.start_reading()

    def renew(self) -> None:
        """Go on being polled: somebody else has taken the socket's error."""
        self.registration.renew()

    async def _tell_removal(self) -> None:
        await checkpoint()  # who calls again and again shall not stop the loop
        self._raise_reason()

    def tell(self, error: CanOSError) -> None:
        """Take a pending error from elsewhere, and wake whoever waits."""
        super().tell(error)
        self._waiter.wake_soon()

    def _note(self, error: CanOSError) -> None:
        super()._note(error)
        self.registration.renew()
        if self._error is not None:
            self.registration.stop_reading()  # what follows is read once the error has been told

    def close(self) -> None:
        """Take the descriptor out of the loop, and wake whoever waits."""
        super().close()
        self.registration.close()
        self._waiter.wake_soon()
        self._on_writable()


def open_inbox(socket: ReadableSocket[ItemT]) -> Inbox[ItemT]:
    """Give the inbox that suits the running event loop."""
    loop = asyncio_loop()
    return AnyioInbox(socket) if loop is None else AsyncioInbox(socket, loop)
