"""A router while it runs: the tasks of its endpoints and handlers, and how they end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import anyio

from anycan.exceptions import CanError, CanOSError
from anycan.loops.which import asyncio_loop
from anycan.routing.handlers import HandlerSubscription
from anycan.routing.values import ENDS_ROUTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup, TaskStatus

    from anycan.routing.core import RouterCore
    from anycan.routing.source import Source
    from anycan.routing.subscription import Subscription

_LOST_TIMEOUT: Final = 5.0  # for what waits to be handled, once the last endpoint is lost


class RouterRun:
    """A router's tasks, from the call of ``run`` to its end.

    Args:
        core: The router.

    Attributes:
        drains: Whether what waits is to be handled before the end.
        failure: What ended it; None: it was stopped.
    """

    def __init__(self, core: RouterCore) -> None:
        self.drains = False
        self.failure: Exception | None = None
        self._core = core
        self._ending = anyio.Event()
        loop = asyncio_loop()
        # In a callback of asyncio's loop, anyio cannot tell which loop runs.
        self._clock = anyio.current_time if loop is None else loop.time
        self._deadline = math.inf
        self._handlers: TaskGroup | None = None
        self._admits = True  # the group takes new handlers: it has not begun to end

    async def run(self, sources: Sequence[Source], task_status: TaskStatus[None]) -> None:
        """Run the handlers, until the end."""
        async with anyio.create_task_group() as tasks:
            for source in sources:
                tasks.start_soon(self._feed, source)
            try:
                async with anyio.create_task_group() as self._handlers:
                    for subscription in list(self._core.subscriptions):
                        self.admit(subscription)
                    task_status.started()
                    try:
                        await self._ending.wait()
                    finally:
                        self._admits = False
                    # The group ends when the handlers have, or at the deadline.
            finally:
                self._handlers = None
            if not self._ending.is_set():  # the group shall not end without the rest
                self.stop(drain=False, timeout=0.0)

    def admit(self, subscription: Subscription) -> None:
        """Begin to call a subscription's handler."""
        if self._handlers is None:
            return  # run() does it for all
        subscription.started()
        if self._ending.is_set() or not self._admits:
            subscription.finish(drain=self.drains)  # there is nothing to come any more
        elif isinstance(subscription, HandlerSubscription):
            self._handlers.start_soon(subscription.run, name=subscription.name)

    async def _feed(self, source: Source) -> None:
        try:
            await source.feed.run()
        except (CanError, anyio.ClosedResourceError) as raised:
            error: Exception = raised
            if isinstance(raised, anyio.ClosedResourceError):
                error = anyio.ClosedResourceError("the endpoint was closed while it was routed")
            if self._ending.is_set():
                return  # it has been left already
            self._core.leave(source)
            if isinstance(error, CanOSError):
                source.tell_protocols(error)
            last = not self._core.has_sources
            action = ENDS_ROUTER if last else "the endpoint is left out"
            self._core.report(error, None, (), action, interface=source.interface)
            if last:
                self.failure = self.failure or error
                self.stop(drain=True, timeout=_LOST_TIMEOUT)

    def stop(self, *, drain: bool, timeout: float) -> None:
        """Begin the end; a later call may hasten it."""
        now = self._clock()
        if not self._ending.is_set():
            self.drains = drain
            self._deadline = now + timeout
            self._ending.set()
            # All of it now: the caller may close the endpoints next.
            self._core.read_no_more()
        else:
            self.drains = self.drains and drain
            self._deadline = min(self._deadline, now + timeout)
        self.finish()
        if self._handlers is not None:
            self._handlers.cancel_scope.deadline = self._deadline

    def fail(self, error: Exception) -> None:
        """End at once, by what a handler raised."""
        self.failure = self.failure or error
        self.stop(drain=False, timeout=0.0)
        if self._handlers is not None:
            self._handlers.cancel_scope.cancel()

    def finish(self) -> None:
        """Have subscriptions end as they are to."""
        for subscription in list(self._core.subscriptions):
            subscription.finish(drain=self.drains)
