"""What a router does: its subscriptions, its endpoints, the tasks of its handlers, its end."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import anyio

from anycan.endpoints.loops import asyncio_loop
from anycan.endpoints.raw import RawEndpoint
from anycan.exceptions import CanError, CanOSError, InterfaceError, RoutingError
from anycan.routing.explanation import Explanation, explain_source, explain_subscription
from anycan.routing.handlers import HandlerSubscription
from anycan.routing.source import Source
from anycan.routing.values import ENDS_ROUTER, RouterStatistics, RoutingFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup, TaskStatus

    from anycan.frame import AnyFrame
    from anycan.routing.queues import FrameQueue
    from anycan.routing.subscription import Subscription

_LOGGER: Final = logging.getLogger("anycan.routing")
_KEPT: Final = 100  # subscriptions that have ended, whose counters are looked at once more
_LOST_TIMEOUT: Final = 5.0  # for what waits to be handled, once the last endpoint is lost


class RouterCore:
    """A router, without what is written for its users.

    Args:
        on_fault: Is told what goes wrong; None: a logger is.

    Attributes:
        ready: Queues whose first frame has come, to be woken.
        subscriptions: Those there are, in their order.
        taken: How many frames somebody took.
        refused: How many nobody took.
    """

    def __init__(self, on_fault: Callable[[RoutingFault], object] | None) -> None:
        self.ready: list[FrameQueue] = []
        self.subscriptions: dict[Subscription, None] = {}
        self._on_fault = on_fault
        self._sources: list[Source] = []
        self._run: _Run | None = None
        self._faults = 0
        self._ended: list[Subscription] = []  # whose counters may still change
        self._delivered = self._dropped = 0  # of those that ended before
        self.taken = 0
        self.refused = 0

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._run is not None

    # Subscriptions

    def register(self, subscription: Subscription) -> None:
        """Have a subscription get its frames from now on."""
        added = []
        try:
            for source in self._sources:
                source.add(subscription)
                added.append(source)
        except BaseException:
            for source in added:
                source.remove(subscription)
            raise
        self.subscriptions[subscription] = None
        if self._run is not None:
            self._run.admit(subscription)

    def unregister(self, subscription: Subscription) -> None:
        """Forget a subscription, which has been closed."""
        if subscription in self.subscriptions:
            del self.subscriptions[subscription]
            self._ended.append(subscription)
            if len(self._ended) >= _KEPT:
                self._forget_ended()
        for source in self._sources:
            source.remove(subscription)

    def _forget_ended(self) -> None:
        for subscription in self._ended:
            statistics = subscription.statistics()
            self._delivered += statistics.delivered
            self._dropped += statistics.dropped
        self._ended.clear()

    # Running

    async def run(self, endpoints: Sequence[RawEndpoint], task_status: TaskStatus[None]) -> None:
        """Hand on what comes, until it is stopped."""
        for endpoint in endpoints:
            if not isinstance(endpoint, RawEndpoint):
                raise RoutingError(f"a router runs on endpoints of open_raw(), not {endpoint!r}")
        if not endpoints:
            raise RoutingError("a router runs on one endpoint or more: await router.run(can0)")
        if self._run is not None:
            raise anyio.BusyResourceError("running")
        try:
            for endpoint in endpoints:
                self._sources.append(Source(self, endpoint, self.subscriptions))
        except BaseException:
            self.leave_all()
            raise
        run = self._run = _Run(self)
        try:
            await run.run(tuple(self._sources), task_status)
        finally:
            self.leave_all()
            run.finish()
            self._run = None
            for subscription in list(self.subscriptions):
                subscription.ended(run.failure)
        if run.failure is not None:
            raise run.failure

    def leave(self, source: Source) -> None:
        """Give an endpoint back, and send by it no more."""
        source.close()
        if source in self._sources:
            self._sources.remove(source)

    def leave_all(self) -> None:
        """Give all endpoints back, and send by them no more."""
        for source in list(self._sources):
            self.leave(source)

    def read_no_more(self) -> None:
        """Give all endpoints back; handlers can still send by them."""
        for source in self._sources:
            source.close()

    def catch_up(self) -> None:
        """Hand on what has come by now."""
        for source in list(self._sources):
            source.feed.catch_up()

    @property
    def has_sources(self) -> bool:
        """Whether an endpoint is left."""
        return bool(self._sources)

    def stop(self, *, drain: bool, timeout: float) -> None:
        """End what runs."""
        if self._run is not None:
            self._run.stop(drain=drain, timeout=timeout)

    def fail(self, error: Exception) -> None:
        """End what runs by what a handler raised."""
        if self._run is not None:
            self._run.fail(error)

    def report(
        self,
        error: Exception,
        subscription: Subscription | None,
        frames: tuple[AnyFrame, ...],
        action: str,
        *,
        interface: str | None = None,
    ) -> None:
        """Tell whoever is to hear it what went wrong."""
        self._faults += 1
        if frames:
            interface = frames[0].interface
        fault = RoutingFault(
            error=error,
            subscription=subscription,
            frames=frames,
            interface=interface,
            action=action,
        )
        try:
            if self._on_fault is not None:
                self._on_fault(fault)
            elif isinstance(error, InterfaceError):
                _LOGGER.warning("%s", fault)
            else:
                _LOGGER.error("%s", fault, exc_info=error)
        except Exception:
            _LOGGER.exception("on_fault= failed, told of: %s", fault)

    # Sending

    async def send(self, frame: AnyFrame, interface: str | None) -> None:
        """Send a frame by the endpoint of an interface."""
        source = self._source_of(interface)
        await source.endpoint.send(frame, interface=None if source.interface else interface)

    def _source_of(self, interface: str | None) -> Source:
        sources = self._sources
        if not sources:
            raise RoutingError("the router does not run: there is no endpoint to send by")
        if interface is None:
            if len(sources) > 1:
                raise RoutingError("the router has several endpoints: say which by interface=")
            return sources[0]
        found = [source for source in sources if source.reaches(interface)]
        found = found or [source for source in sources if source.interface is None]  # it refuses
        if not found:
            raise RoutingError(f"the router has no endpoint of the interface {interface}")
        if len({id(source.network) for source in found}) > 1:
            raise RoutingError(
                f"the router has endpoints of {interface} on several networks: send by the one you"
                " mean"
            )
        return min(found, key=lambda source: source.interface is None)

    # What it tells

    def statistics(self) -> RouterStatistics:
        """Give the counters."""
        subscriptions = tuple((one.name, one.statistics()) for one in self.subscriptions)
        counted = [one for _, one in subscriptions] + [one.statistics() for one in self._ended]
        return RouterStatistics(
            taken=self.taken,
            refused=self.refused,
            delivered=self._delivered + sum(one.delivered for one in counted),
            dropped=self._dropped + sum(one.dropped for one in counted),
            faults=self._faults,
            subscriptions=subscriptions,
        )

    def explain(self) -> Explanation:
        """Tell what is filtered where."""
        return Explanation(
            endpoints=tuple(map(explain_source, self._sources)),
            subscriptions=tuple(map(explain_subscription, self.subscriptions)),
        )


class _Run:
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

    async def run(self, sources: Sequence[Source], task_status: TaskStatus[None]) -> None:
        """Run the handlers, until the end."""
        async with anyio.create_task_group() as tasks:
            for source in sources:
                tasks.start_soon(self._feed, source)
            async with anyio.create_task_group() as handlers:
                self._handlers = handlers
                for subscription in list(self._core.subscriptions):
                    self.admit(subscription)
                task_status.started()
                await self._ending.wait()
                # The group ends when the handlers have, or at the deadline.
                self._handlers = None
            if not self._ending.is_set():  # the group shall not end without the rest
                self.stop(drain=False, timeout=0.0)

    def admit(self, subscription: Subscription) -> None:
        """Begin to call a subscription's handler."""
        if self._handlers is None:
            return  # run() does it for all
        subscription.started()
        if self._ending.is_set():
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
