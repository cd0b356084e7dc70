"""Waiting for what the broadcast manager says, by many tasks on one socket.

Of the tasks that wait for news of their operations, one waits for the socket and hands on what
comes, to all. When it leaves, another one takes its place. So no task runs in the background, and
nothing is read that nobody waits for: it stays in the receive buffer, which is bounded.
"""

from __future__ import annotations

import contextlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from anycan.endpoints.bcm_operations import Listener, Operations
from anycan.endpoints.inbox import open_inbox
from anycan.exceptions import CanOSError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from anycan.endpoints.bcm_operations import Reader
    from anycan.endpoints.inbox import Inbox
    from anycan.sockets.bcm import BcmNews, BcmSocket


class Mailbox(Listener):
    """An operation whose news are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._scope: anyio.CancelScope | None = None

    def wake(self) -> None:
        """Have who waits look again, whatever it waits for."""
        if self._scope is not None:
            self._scope.cancel()

    @contextmanager
    def wakeable(self) -> Iterator[None]:
        """Let what is awaited inside end when it is woken."""
        self._scope = anyio.CancelScope()
        try:
            with self._scope:
                yield
        finally:
            self._scope = None

    def end(self) -> None:
        """Take note that it has ended, and have who waits look again."""
        super().end()
        self.wake()


class Channel:
    """A socket's operations, and the tasks that wait for news of them.

    Args:
        socket: The socket.
        make_operations: Makes the operations.

    Attributes:
        operations: The operations.
        overflowed: How many events were lost because nobody took them.
    """

    def __init__(
        self,
        socket: BcmSocket,
        make_operations: Callable[[BcmSocket, Reader], Operations] = Operations,
    ) -> None:
        self._socket = socket
        self.overflowed = 0
        self._reader: Mailbox | None = None
        self._waiting: dict[Mailbox, None] = {}
        self._inbox = self._open()
        try:
            self.operations = make_operations(socket, self)
        except BaseException:
            self._inbox.close()
            raise

    def _open(self) -> Inbox[BcmNews]:
        inbox = open_inbox(self._socket)
        inbox.absorb = self._absorb
        return inbox

    def _absorb(self, error: CanOSError) -> bool:
        return self.operations.absorb(error)

    def receive(self) -> Sequence[BcmNews]:
        """Give what has been received and not been handed on yet."""
        if not self._inbox.items:
            self._inbox.read()
        return self.taken()

    def taken(self) -> Sequence[BcmNews]:
        """Give what has been read already, and not been handed on yet."""
        received = list(self._inbox.items)
        self._inbox.items.clear()
        return received

    def moved(self, former: int) -> None:
        """Read the socket's new descriptor, and have who waits for the former one begin anew."""
        self._inbox.close()
        anyio.notify_closing(former)
        self._inbox = self._open()

    async def wait(self, mailbox: Mailbox) -> None:
        """Wait until there may be news for a mailbox.

        Raises:
            ClosedResourceError: The endpoint is closed.
            BusyResourceError: Another task waits for the same.
        """
        if mailbox in self._waiting:
            raise anyio.BusyResourceError("waiting for")
        self._waiting[mailbox] = None
        try:
            with mailbox.wakeable():
                if self._reader is None:
                    await self._read(mailbox)
                else:
                    await anyio.sleep_forever()
        finally:
            del self._waiting[mailbox]
            # Whoever leaves sees to it that someone reads: it may just have been woken for that.
            if self._waiting and self._reader is None:
                next(iter(self._waiting)).wake()

    async def _read(self, mailbox: Mailbox) -> None:
        self._reader = mailbox
        inbox = self._inbox
        try:
            if not inbox.items:
                await inbox.wait()
        except CanOSError as error:
            self.operations.fail(error)
        except anyio.ClosedResourceError:
            if inbox is self._inbox and not self.operations.removed:
                raise
        finally:
            self._reader = None
        self.operations.hand_on(self.taken())

    def failed(self, _error: CanOSError) -> None:
        """Have who reads begin anew: whoever took the error has ended its reading."""
        if self._reader is not None:
            self._reader.wake()

    def close(self) -> Callable[[], object] | None:
        """Close the socket: all operations end, and who waits is woken.

        Returns:
            What is left to be done, in a thread; None: nothing.
        """
        self._inbox.close()
        with contextlib.suppress(anyio.NoEventLoopError):  # then nobody waits
            anyio.notify_closing(self._socket.fd)
        rest = self._socket.close()
        self.operations.close()
        return rest
