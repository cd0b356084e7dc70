"""Waiting for what the broadcast manager says, by many tasks on one socket.

Of the tasks that wait for news of their operations, one waits for the socket and hands on what
comes, to all. When it leaves, another one takes its place. So no task runs in the background, and
nothing is read that nobody waits for: it stays in the receive buffer, which is bounded.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

from anycan.endpoints.bcm_operations import Listener, Operations
from anycan.endpoints.inbox import open_inbox
from anycan.exceptions import CanOSError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.sockets.bcm import BcmNews, BcmSocket


class Mailbox(Listener):
    """An operation whose news are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._event: anyio.Event | None = None

    def wake(self) -> None:
        """Have who waits look again."""
        if self._event is not None:
            self._event.set()

    async def sleep(self) -> None:
        """Wait to be woken."""
        self._event = anyio.Event()
        try:
            await self._event.wait()
        finally:
            self._event = None

    def end(self) -> None:
        """Take note that it has ended, and have who waits look again."""
        super().end()
        self.wake()


class Channel:
    """A socket's operations, and the tasks that wait for news of them.

    Args:
        socket: The socket.

    Attributes:
        operations: The operations.
        overflowed: How many events were lost because nobody took them.
    """

    def __init__(self, socket: BcmSocket) -> None:
        self._socket = socket
        self._inbox = open_inbox(socket)
        self.operations = Operations(socket, self._receive)
        self.overflowed = 0
        self._reading = False
        self._sleeping: dict[Mailbox, None] = {}

    def _receive(self) -> Sequence[BcmNews]:
        items = self._inbox.items
        if not items:
            self._inbox.read()
        received = list(items)
        items.clear()
        return received

    async def wait(self, mailbox: Mailbox) -> None:
        """Wait until there may be news for a mailbox.

        Raises:
            ClosedResourceError: The endpoint is closed.
            BusyResourceError: Another task waits for the same.
        """
        if mailbox in self._sleeping:
            raise anyio.BusyResourceError("waiting for")
        self._sleeping[mailbox] = None
        try:
            if self._reading:
                await mailbox.sleep()
            else:
                await self._read()
        finally:
            del self._sleeping[mailbox]
            # Whoever leaves sees to it that someone reads: it may just have been woken for that.
            if self._sleeping and not self._reading:
                next(iter(self._sleeping)).wake()

    async def _read(self) -> None:
        self._reading = True
        try:
            if not self._inbox.items:
                await self._inbox.wait()
        except CanOSError as error:
            self.operations.fail(error)
        finally:
            self._reading = False
        received = deque(self._inbox.items)
        self._inbox.items.clear()
        self.operations.hand_on(received)

    def close(self) -> None:
        """Close the socket: all operations end, and who waits is woken."""
        self._inbox.close()
        anyio.notify_closing(self._socket.fd)
        self._socket.close()
        self.operations.close()
