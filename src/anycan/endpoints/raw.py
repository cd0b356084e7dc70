"""Raw CAN as an async stream."""

from __future__ import annotations

import errno
import warnings
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import UnreliableObjectStream
from anyio.lowlevel import checkpoint

from anycan.endpoints.inbox import open_inbox
from anycan.endpoints.pacing import Pacer
from anycan.endpoints.statistics import RawAttribute, RawStatistics
from anycan.frame import AnyFrame, ErrorClass
from anycan.sockets.raw import SEND_BATCH, RawSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from anycan.endpoints.link_values import LinkGap
    from anycan.filter import CanFilter, Filter


_BATCHES_AT_ONCE = 32
_SENDS_AT_ONCE = 64  # of single frames, before other tasks have their turn


class RawEndpoint(UnreliableObjectStream[AnyFrame]):
    """Raw CAN as an async stream, on asyncio, uvloop and trio. Made by :func:`open_raw`.

    It is *unreliable* in anyio's sense: CAN promises a receiver nothing, and frames that came while
    the receive buffer was full are lost; ``statistics().dropped`` counts them.

    One task receives at a time; a second one gets ``anyio.BusyResourceError``. Any number may
    send: their frames leave in the order of the calls. Every call lets other tasks run at least
    once in 1,151 frames received and 64 sent, so that a busy bus does not starve the loop.
    """

    def __init__(self, socket: RawSocket) -> None:
        self._socket = socket
        self._inbox = open_inbox(socket)
        self._frames = self._inbox.items
        self._send_lock = anyio.Lock()
        self._unchecked = 0  # frames sent since the loop last ran
        self._closed = False

    async def receive(self) -> AnyFrame:
        """Wait for the next frame.

        Cancelling it loses no frame.

        Raises:
            InterfaceDownError: The interface went down, once each time. It is passing: call again.
            InterfaceRemovedError: The interface is gone, now and at every later call.
            ClosedResourceError: The endpoint is closed, or was closed meanwhile.
            BusyResourceError: Another task is waiting for a frame.
        """
        frames = self._frames
        while not frames:
            await self._inbox.wait()
        return frames.popleft()

    def receive_nowait(self) -> AnyFrame:
        """Take the next frame if there is one.

        Raises:
            WouldBlock: There is none.
            CanOSError: As :meth:`receive`.
            ClosedResourceError: The endpoint is closed.
        """
        frames = self._frames
        for _ in range(_BATCHES_AT_ONCE):  # of which none may be wanted, with filters matched here
            if frames:
                return frames.popleft()
            self._inbox.read()
        if frames:
            return frames.popleft()
        raise anyio.WouldBlock

    async def receive_many(self, limit: int | None = None) -> list[AnyFrame]:
        """Wait for a frame, and take all that have been read by then.

        Cancelling it loses no frame.

        Args:
            limit: How many to take at most, from 1; None: all, which is up to 1,151.

        Returns:
            At least one frame, in their order.

        Raises:
            ValueError: ``limit`` is below 1.
            InterfaceDownError: As :meth:`receive`, and so are the rest.
            InterfaceRemovedError: As :meth:`receive`.
            ClosedResourceError: As :meth:`receive`.
            BusyResourceError: As :meth:`receive`.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit is at least 1, not {limit}")
        frames = self._frames
        while not frames:
            await self._inbox.wait()
        if limit is not None and limit < len(frames):
            return [frames.popleft() for _ in range(limit)]
        batch = list(frames)
        frames.clear()
        return batch

    async def __anext__(self) -> AnyFrame:
        """Wait for the next frame, as :meth:`receive`; iteration never ends by itself.

        After an InterfaceDownError it can be iterated again.
        """
        frames = self._frames
        while not frames:
            await self._inbox.wait()
        return frames.popleft()

    async def send(self, item: AnyFrame, *, interface: str | int | None = None) -> None:
        """Send a frame; returns when the network has taken it.

        It waits while there is no room, for as long as that takes: a deadline is the caller's
        ``anyio.fail_after``. When it is cancelled the frame has not been sent; when it returns the
        frame has (to the interface's queue: what happens on the bus, error frames tell).

        Args:
            item: The frame.
            interface: Name or index of the interface to send to; None: the one the endpoint is
                bound to, or where it is bound to all, the one that the frame was received from.

        Raises:
            InterfaceDownError: The interface is down; the frame was not sent.
            InterfaceRemovedError: The interface is gone.
            UnknownInterfaceError: There is no such interface, or none was named on an endpoint
                bound to all.
            FrameNotSupportedError: The endpoint or the interface takes no such frame.
            ClosedResourceError: The endpoint is closed, or was closed meanwhile.
        """
        if self._is_turn_of_others(1) or not self._try_send((item,), interface):
            await self._send_waiting((item,), interface)

    async def send_many(
        self,
        frames: Iterable[AnyFrame],
        *,
        interface: str | int | None = None,
        on_sent: Callable[[int], object] | None = None,
    ) -> int:
        """Send frames in their order, many with each system call; returns when all are taken.

        Frames that other tasks send meanwhile may come between two batches of these.

        Args:
            frames: Any iterable; it is consumed a batch (64 frames) at a time.
            interface: As for :meth:`send`.
            on_sent: Called with the number of frames taken so far, each time some were. When
                ``send_many`` raises or is cancelled, exactly that many have been sent.

        Returns:
            How many frames were sent.

        Raises:
            InterfaceDownError: As :meth:`send`, and so are the rest.
            InterfaceRemovedError: As :meth:`send`.
            UnknownInterfaceError: As :meth:`send`.
            FrameNotSupportedError: As :meth:`send`.
            ClosedResourceError: As :meth:`send`.
        """
        total = 0
        for batch in _batches(frames):
            waits = self._is_turn_of_others(len(batch))
            rest: Sequence[AnyFrame] = batch
            while rest:
                count = 0 if waits else self._try_send(rest, interface)
                count = count or await self._send_waiting(rest, interface)
                waits = False
                total += count
                rest = rest[count:]
                if on_sent is not None:
                    on_sent(total)
        return total

    def send_nowait(self, item: AnyFrame, *, interface: str | int | None = None) -> None:
        """Send a frame at once or not at all.

        Args:
            item: The frame.
            interface: As for :meth:`send`.

        Raises:
            WouldBlock: There is no room, or other tasks are waiting for it.
            CanOSError: As :meth:`send`.
            ClosedResourceError: The endpoint is closed.
        """
        if not self._try_send((item,), interface):
            raise anyio.WouldBlock

    def _is_turn_of_others(self, count: int) -> bool:
        """Tell whether so much has been sent that the loop has to run in between.

        To wait behind those who wait does that, and keeps the order of the calls.
        """
        self._unchecked += count
        if self._unchecked <= _SENDS_AT_ONCE:
            return False
        self._unchecked = count
        return True

    def _try_send(self, frames: Sequence[AnyFrame], interface: str | int | None) -> int:
        """Send what is taken at once; 0: nothing is, or others wait already."""
        if self._closed:
            raise anyio.ClosedResourceError
        if self._send_lock.locked():
            return 0
        try:
            return self._socket.send(frames, interface)
        except BlockingIOError:
            return 0

    async def _send_waiting(self, frames: Sequence[AnyFrame], interface: str | int | None) -> int:
        """Wait for room, behind those who came before, and send what is taken then."""
        async with self._send_lock:
            pacer = Pacer()
            while True:
                if self._closed:
                    raise anyio.ClosedResourceError
                try:
                    return self._socket.send(frames, interface)
                except BlockingIOError as error:
                    full_queue = error.errno == errno.ENOBUFS
                if full_queue:
                    await anyio.sleep(pacer.delay())
                else:
                    await self._inbox.wait_writable()

    def set_filters(
        self, filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None
    ) -> None:
        """Change which frames are received from now on; None: all data and remote frames.

        Frames that were received before stay in the inbox.

        Raises:
            FilterError: There are more kernel filters than the 512 that a socket takes, or one is
                out of range; the old ones stay.
            ClosedResourceError: The endpoint is closed.
            BusyResourceError: A router has the endpoint, and with it its filters.
        """
        self._check_open()
        self._socket.set_filters(filters)

    def set_errors(self, classes: ErrorClass | int) -> None:
        """Change which classes of error frames are received from now on; 0: none.

        Raises:
            FilterError: The classes are out of range.
            ClosedResourceError: The endpoint is closed.
            BusyResourceError: A router has the endpoint, and with it its filters.
        """
        self._check_open()
        self._socket.set_errors(classes)

    def _check_open(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._inbox.lent:
            raise anyio.BusyResourceError("routing the frames of")

    def statistics(self) -> RawStatistics:
        """Give the counters since the endpoint was opened; also after it was closed."""
        socket = self._socket
        return RawStatistics(
            received=socket.received,
            sent=socket.sent,
            filtered=socket.filtered,
            dropped=socket.dropped,
            malformed=socket.malformed,
            errors=self._inbox.errors,
            waiting=len(self._frames),
            discarded=self._inbox.discarded,
            gaps=self._gap_count(),
        )

    def _gap_count(self) -> int:
        return 0

    @property
    def gap(self) -> LinkGap | None:
        """The gap that its link is in now, with ``on_link_loss="wait"``; None: there is none."""
        return None

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The attributes of :class:`RawAttribute`."""
        socket = self._socket
        return {
            RawAttribute.interface: lambda: socket.interface,
            RawAttribute.interface_index: lambda: socket.index,
            RawAttribute.network: lambda: socket.network,
            RawAttribute.fd: lambda: socket.fd,
        }

    async def aclose(self) -> None:
        """Close the endpoint and wake whoever waits, with ClosedResourceError."""
        self._close()
        await checkpoint()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._inbox.close()
            anyio.notify_closing(self._socket.fd)
            self._socket.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
            self._closed = True
            self._inbox.close()
            self._socket.close()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<RawEndpoint {self._socket.interface or 'all interfaces'}{state}>"


def _batches(frames: Iterable[AnyFrame]) -> Iterator[list[AnyFrame]]:
    batch: list[AnyFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == SEND_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
