"""A subscription as an async stream."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import anyio
from anyio.abc import UnreliableObjectReceiveStream
from anyio.lowlevel import checkpoint

from anycan.frame import AnyFrame
from anycan.routing.subscription import QueuedSubscription

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anycan.filter import Filter
    from anycan.routing.host import RouterHost
    from anycan.routing.queues import Overflow


class FrameSubscription(QueuedSubscription, UnreliableObjectReceiveStream[AnyFrame]):
    """Frames that pass a filter, as an async stream. Made by :meth:`Router.subscribe`.

    It gets frames from the moment its ``async with`` block is entered, while the router runs, and
    to the end of the block. Iteration ends when the router does.
    """

    def __init__(
        self, host: RouterHost, name: str, wanted: Filter, capacity: int, overflow: Overflow
    ) -> None:
        super().__init__(host, name, wanted, capacity, overflow)
        self._entered = False
        self._router_ended = False

    async def __aenter__(self) -> Self:
        """Begin to get frames; it has begun when this returns.

        Raises:
            ClosedResourceError: The subscription has been closed.
            RuntimeError: The subscription has been entered before.
        """
        self.enter()
        return self

    def enter(self) -> None:
        """Begin to get frames."""
        if self._entered:
            raise RuntimeError(f"{self!r} has been entered before: subscribe anew")
        if self._closed:
            raise anyio.ClosedResourceError
        self._host.register(self)
        self._entered = True

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Get no frame any more."""
        self.close()

    async def receive(self) -> AnyFrame:
        """Wait for the next frame.

        Cancelling it loses no frame.

        Raises:
            EndOfStream: The router reads no more, and there is no frame left.
            SubscriptionOverflowError: There was no room for a frame, with ``overflow="raise"``;
                those from before it have been received.
            ClosedResourceError: The subscription is closed, or was closed meanwhile.
            BusyResourceError: Another task is waiting for a frame.
        """
        if not self.queue.items:
            await self._wait()
        self._delivered += 1
        return self.queue.take()

    def receive_nowait(self) -> AnyFrame:
        """Take the next frame if there is one.

        Raises:
            WouldBlock: There is none.
            EndOfStream: As :meth:`receive`, and so are the rest.
            SubscriptionOverflowError: As :meth:`receive`.
            ClosedResourceError: As :meth:`receive`.
        """
        if not self.queue.items:
            self._raise_reason()
            raise anyio.WouldBlock
        self._delivered += 1
        return self.queue.take()

    async def receive_many(self, limit: int | None = None) -> list[AnyFrame]:
        """Wait for a frame, and take all that wait.

        Cancelling it loses no frame.

        Args:
            limit: How many to take at most, from 1; None: all, which is up to ``capacity``.

        Raises:
            ValueError: ``limit`` is below 1.
            EndOfStream: As :meth:`receive`, and so are the rest.
            SubscriptionOverflowError: As :meth:`receive`.
            ClosedResourceError: As :meth:`receive`.
            BusyResourceError: As :meth:`receive`.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit is at least 1, not {limit}")
        if not self.queue.items:
            await self._wait()
        frames = self.queue.take_many(limit)
        self._delivered += len(frames)
        return frames

    async def _wait(self) -> None:
        queue = self.queue
        while not queue.items:
            self._raise_reason()
            if queue.awaited:
                raise anyio.BusyResourceError("receiving from")
            await queue.wait()

    def _raise_reason(self) -> None:
        """Raise what there is to be said in place of a frame, if anything."""
        if self._closed:
            raise anyio.ClosedResourceError
        if self.queue.overflowed:
            raise self.overflow_error()
        if self._router_ended:
            raise anyio.EndOfStream
        if not self._entered:
            raise RuntimeError(f"{self!r} gets no frames yet: use it in an async with block")

    async def aclose(self) -> None:
        """Get no frame any more, and wake whoever waits, with ClosedResourceError."""
        self.close()
        await checkpoint()

    def started(self) -> None:
        """Take note that the router runs."""
        self._router_ended = False
        self.queue.open(self.capacity)

    def finish(self, *, drain: bool) -> None:
        """Take note that the router reads no more; what waits can be received where it is to be."""
        if not drain:
            self.queue.close()
        self._router_ended = True
        self.queue.wake_soon()

    def __del__(self) -> None:
        if getattr(self, "_entered", False) and not self._closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
