"""A raw endpoint's frames for a router: read in batches, each sorted by who takes what.

While it is open nobody else can receive from the endpoint; to send goes on as ever. On asyncio
(and uvloop) the loop calls back, elsewhere a task waits.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
from anyio.lowlevel import checkpoint

from anycan.endpoints.inbox import AsyncioInbox
from anycan.exceptions import CanOSError, InterfaceRemovedError
from anycan.sockets.raw import RECEIVE_BATCH

if TYPE_CHECKING:
    import asyncio

    from anycan.endpoints.inbox import Inbox
    from anycan.endpoints.raw import RawEndpoint
    from anycan.filter import Sieve
    from anycan.frame import AnyFrame
    from anycan.loops.registration import Registration
    from anycan.sockets.raw import RawSocket


_BURSTS: Final = 8
_LAST_BATCHES: Final = 1024


class FeedSink(Protocol):
    """What frames are handed to. Nothing it does raises."""

    def room(self, *, wait: bool) -> int:
        """Give how many frames it takes now; 0: none, and with ``wait`` until it is resumed."""
        ...

    def burst(self) -> int:
        """Give how many frames it takes, where so many wait, before it hands them on."""
        ...

    def deliver(self, frames: list[AnyFrame], targets: list[Any]) -> None:
        """Take frames, and of each who takes it."""
        ...

    def wake(self, *, in_callback: bool) -> None:
        """Hand on what was delivered, in a callback of asyncio's loop or in a task."""
        ...

    def refused(self, count: int) -> None:
        """Take note that so many frames were read that nobody takes."""
        ...

    def failed(self, error: CanOSError) -> None:
        """Take note that the socket told an error, and the feed goes on."""
        ...


class Feed:
    """A raw endpoint's frames, for a router. Made by :func:`open_feed`.

    Args:
        endpoint: The endpoint.
        socket: Its socket.
        inbox: Its inbox, which is lent.
        sieve: Says who takes what.
        sink: What the frames are handed to.

    Attributes:
        endpoint: The endpoint.
        socket: Its socket.

    Raises:
        BusyResourceError: Another task receives from the endpoint.
        ClosedResourceError: The endpoint is closed.
    """

    def __init__(
        self,
        endpoint: RawEndpoint,
        socket: RawSocket,
        inbox: Inbox[AnyFrame],
        sieve: Sieve[Any],
        sink: FeedSink,
    ) -> None:
        self.endpoint = endpoint
        self.socket = socket
        self._inbox = inbox
        self._sieve = sieve
        self._sink = sink
        self._backlog = deque(inbox.lend(self._on_closed, self._note))
        self._ended = anyio.Event()
        self._error: Exception | None = None
        self._open = True
        self._delivering = False

    async def run(self) -> None:
        """Hand on frames until the feed is closed.

        Raises:
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The endpoint was closed.
        """
        raise NotImplementedError

    def resume(self) -> None:
        """Read on: the sink has room again."""
        raise NotImplementedError

    def close(self) -> None:
        """Read no more, and give the endpoint back; a second time does nothing."""
        if self._open:
            self._open = False
            self._stop()
            self._inbox.take_back(self._backlog)
            self._backlog.clear()
            self._ended.set()

    def _stop(self) -> None:
        """Read no more."""
        raise NotImplementedError

    def _tell_pending(self) -> None:
        """Tell what happened to the interface before the feed was opened."""
        error = self._inbox.take_error()
        if error is not None:
            self._sink.failed(error)

    def _end(self, error: Exception) -> None:
        if self._open:
            self._error = error
            self.close()

    def _on_closed(self) -> None:
        self._end(anyio.ClosedResourceError())

    def _note(self, error: CanOSError) -> None:
        """Take a pending error."""
        self._inbox.errors += 1
        if self._inbox.absorb is not None and self._inbox.absorb(error):
            return
        if isinstance(error, InterfaceRemovedError):
            self._inbox.note_removal()
            self._read_last()
            self._end(error)
        else:
            self._sink.failed(error)

    def _read(self, *, in_callback: bool, wait: bool = True) -> bool:
        """Read what waits, within bounds, and hand it on; False: the sink has no room.

        There must be something to read, unless it is not to ``wait`` for room.

        Where much waits, it is several batches: to wake who takes them costs more than a frame.

        Raises:
            BlockingIOError: Nothing waits.
            CanOSError: The socket's pending error.
        """
        sink = self._sink
        room = sink.room(wait=wait)
        if not room:
            return False
        left = sink.burst()
        try:
            count = self._read_batch(min(room, left))
            with suppress(BlockingIOError):
                while count and self._open and (left := left - count) > 0:
                    room = sink.room(wait=False)
                    count = self._read_batch(min(room, left)) if room else 0
        finally:
            sink.wake(in_callback=in_callback)
        return True

    def _read_last(self) -> None:
        """Hand on what came before the interface was removed, as far as there is room."""
        if not self._open or self._delivering:
            return
        with suppress(OSError):  # that nothing waits any more
            for _ in range(_LAST_BATCHES):
                room = self._sink.room(wait=False)
                if not room:
                    break
                self._read_batch(min(room, self._sink.burst()))
                self._sink.wake(in_callback=False)

    def catch_up(self) -> bool:
        """Hand on, in a task, what waits now, within bounds; tell whether that was all."""
        for _ in range(_BURSTS):
            if not self._open:
                return True
            try:
                if self._delivering or not self._read(in_callback=False, wait=False):
                    return False
            except BlockingIOError:
                return True
            except CanOSError as error:
                self._note(error)
        return False

    def _read_batch(self, room: int) -> int:
        """Read and deliver what one call gives; give how much, where more may wait, or 0."""
        sieve = self._sieve
        room = min(room, RECEIVE_BATCH)
        if self._backlog:
            count = min(room, len(self._backlog))
            waiting = [self._backlog.popleft() for _ in range(count)]
            frames = [frame for frame in waiting if sieve.admit(frame)]
            self.socket.received -= count - len(frames)  # which were counted when they were read
        else:
            frames = self.socket.receive_through(sieve, room)
            count = self.socket.last_count
        refused, sieve.refused = sieve.refused, 0
        targets, sieve.targets = sieve.targets, []
        self._delivering = True  # and what is called meanwhile reads no more in between
        try:
            self._sink.deliver(frames, targets)
        finally:
            self._delivering = False
        if refused:
            self.socket.filtered += refused
            self._sink.refused(refused)
        return count if count == room else 0


class AsyncioFeed(Feed):
    """A feed that asyncio's loop reads."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, registration: Registration, *arguments: Any
    ) -> None:
        super().__init__(*arguments)
        self._loop = loop
        # The inbox's, so that a pending error has who waits to send registered anew as well.
        self._registration = registration
        registration.redirect(self._on_readable)
        self._turn: asyncio.Handle | None = None
        self.resume()

    async def run(self) -> None:
        """Wait until the feed is closed."""
        self._tell_pending()
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    def resume(self) -> None:
        """Read on; what had been read before the feed was opened comes first."""
        if not self._open:
            return
        if not self._backlog:
            self._registration.start_reading()
        elif self._turn is None:
            self._turn = self._loop.call_soon(self._hand_on_backlog)

    def _hand_on_backlog(self) -> None:
        self._turn = None
        if self._read_noting():
            self.resume()

    def _on_readable(self) -> None:
        if not self._read_noting():
            self._registration.stop_reading()

    def _read_noting(self) -> bool:
        """Read, and take note of an error; False: the sink has no room."""
        try:
            return self._read(in_callback=True)
        except BlockingIOError:  # what was to be read, an error, has been taken
            self._registration.renew()
        except CanOSError as error:
            self._registration.renew()
            self._note(error)
        return True

    def _stop(self) -> None:
        self._registration.stop_reading()
        if self._turn is not None:
            self._turn.cancel()


class AnyioFeed(Feed):
    """A feed that a task reads, on any back end."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._resumed = anyio.Event()
        self._scope = anyio.CancelScope()
        self._coalesce = self.socket.coalesce
        self._rests_until = 0.0

    async def run(self) -> None:
        """Hand on frames until the feed is closed."""
        self._tell_pending()
        with self._scope:
            while self._open:
                try:
                    if not self._backlog:
                        await self._rest()
                        await anyio.wait_readable(self.socket.fd)
                    if self._ended.is_set():  # between its waking and its running
                        break
                    has_room = self._read(in_callback=False)
                    self._plan_rest(has_room)
                except BlockingIOError:
                    continue
                except anyio.ClosedResourceError:  # the descriptor is, and the inbox tells
                    await checkpoint()
                    continue
                except CanOSError as error:
                    self._note(error)
                    continue
                if not has_room:
                    self._resumed = anyio.Event()
                    await self._resumed.wait()
                elif self._backlog:
                    await checkpoint()
        if self._error is not None:
            raise self._error

    def _plan_rest(self, has_room: bool) -> None:
        """Rest before the next read, unless it is another source's turn, or more waits."""
        rests = self._coalesce and has_room and not self.socket.is_behind()
        self._rests_until = anyio.current_time() + self._coalesce if rests else 0.0

    async def _rest(self) -> None:
        if self._rests_until:
            await anyio.sleep_until(self._rests_until)

    def resume(self) -> None:
        """Read on."""
        self._resumed.set()

    def _stop(self) -> None:
        self._scope.cancel()


def open_feed(endpoint: RawEndpoint, sieve: Sieve[Any], sink: FeedSink) -> Feed:
    """Have an endpoint's frames handed to a router, until the feed is closed.

    Args:
        endpoint: The endpoint.
        sieve: Says who takes what.
        sink: What the frames are handed to.

    Raises:
        BusyResourceError: Another task receives from the endpoint.
        ClosedResourceError: The endpoint is closed.
    """
    inbox = endpoint._inbox  # noqa: SLF001 - this room's own
    arguments = (endpoint, endpoint._socket, inbox, sieve, sink)  # noqa: SLF001 - as above
    if isinstance(inbox, AsyncioInbox):
        return AsyncioFeed(inbox.loop, inbox.registration, *arguments)
    return AnyioFeed(*arguments)
