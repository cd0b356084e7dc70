"""What a router has: its subscriptions, its endpoints, its counters."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio

from anycan.endpoints.raw import RawEndpoint
from anycan.exceptions import InterfaceError, RoutingError
from anycan.routing.explanation import Explanation, explain_source, explain_subscription
from anycan.routing.run import RouterRun
from anycan.routing.source import Source
from anycan.routing.values import RouterStatistics, RoutingFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskStatus

    from anycan.frame import AnyFrame
    from anycan.routing.queues import FrameQueue
    from anycan.routing.subscription import Subscription

_LOGGER: Final = logging.getLogger("anycan.routing")
_KEPT: Final = 100  # subscriptions that have ended, whose counters are looked at once more


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
        self._run: RouterRun | None = None
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
            if len(self._ended) >= _KEPT:
                self._forget_ended()
            self._ended.append(subscription)
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
        run = self._run = RouterRun(self)
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

    def catch_up(self) -> bool:
        """Hand on what has come by now; tell whether that was all."""
        behind = [source for source in self._sources if source.open and not source.feed.catch_up()]
        return not behind

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
