"""What every subscription has: a name, a filter, counters, an end."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Protocol

from anycan.exceptions import FilterError, RoutingError, SubscriptionOverflowError
from anycan.filter import Filter, given_filters, union_of
from anycan.routing.queues import QUEUES
from anycan.routing.values import SubscriptionStatistics

if TYPE_CHECKING:
    from anycan.exceptions import CanOSError
    from anycan.filter import FilterArgument
    from anycan.frame import AnyFrame
    from anycan.routing.host import RouterHost
    from anycan.routing.queues import FrameQueue


class Taker(Protocol):
    """What a frame is given to."""

    def put(self, frame: AnyFrame, /) -> object:
        """Take a frame."""
        ...


class Subscription:
    """Frames that pass a filter, and whoever takes them. A router makes it.

    Attributes:
        name: What it is called, in statistics and errors.
        filter: What it takes.
    """

    taker: Taker
    """What takes its frames; for the router."""

    def __init__(self, host: RouterHost, name: str, wanted: Filter) -> None:
        self._host = host
        self.name = name
        self.filter = wanted
        self._delivered = 0
        self._dropped = 0
        self._faults = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it has ended: no frame comes to it any more."""
        return self._closed

    def close(self) -> None:
        """Take no frame any more; what waits is dropped, and counted. A second time does nothing.

        It may be called at any moment, also by its own handler, which is left to end what it does.
        """
        if not self._closed:
            self._closed = True
            self._host.unregister(self)

    def statistics(self) -> SubscriptionStatistics:
        """Give the counters since it was made; also after it was closed."""
        return SubscriptionStatistics(
            delivered=self._delivered,
            dropped=self._dropped,
            waiting=0,
            high_water=0,
            faults=self._faults,
            handler_time=0.0,
        )

    # What the router calls

    def started(self) -> None:
        """Take note that the router runs."""

    def finish(self, *, drain: bool) -> None:
        """Take note that no more frames come until the router runs again."""

    def ended(self, error: Exception | None) -> None:
        """Take note that the router has ended, and by what."""

    def interface_failed(self, error: CanOSError) -> None:
        """Take note of what happened to an interface."""

    def count_fault(self) -> None:
        """Count what its handler or filter raised."""
        self._faults += 1

    def describe(self) -> str:
        """Give how frames wait and what takes them, in words."""
        raise NotImplementedError

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self.name}{state}>"


class QueuedSubscription(Subscription):
    """A subscription whose frames wait in a bounded queue."""

    def __init__(
        self, host: RouterHost, name: str, wanted: Filter, capacity: int, overflow: str
    ) -> None:
        super().__init__(host, name, wanted)
        self.capacity = check_capacity(name, capacity)
        self.overflow = overflow
        self.queue = _make_queue(name, self.capacity, overflow, host.ready)
        self.taker = self.queue

    def close(self) -> None:
        """Take no frame any more; what waits is dropped, and counted."""
        super().close()
        self.queue.close()
        self.queue.wake_soon()

    def statistics(self) -> SubscriptionStatistics:
        """Give the counters since it was made; also after it was closed."""
        queue = self.queue
        return SubscriptionStatistics(
            delivered=self._delivered,
            dropped=queue.dropped,
            waiting=len(queue.items),
            high_water=queue.most_waiting,
            faults=self._faults,
            handler_time=self._handler_time(),
        )

    def _handler_time(self) -> float:
        return 0.0

    def overflow_error(self) -> SubscriptionOverflowError:
        """Give what to raise when there was no room."""
        return SubscriptionOverflowError(
            f"{self.name}: {self.capacity} frames waited, and there was no room for another:"
            " take them faster, or give it a greater capacity= or another overflow="
        )

    def describe(self) -> str:
        """Give how frames wait, in words."""
        return f"up to {self.capacity}, {self.overflow}"


def check_capacity(name: str, capacity: int) -> int:
    """Check how many frames may wait.

    Raises:
        RoutingError: It is no integer, or below 1.
    """
    try:
        number = index(capacity)
    except TypeError:
        raise RoutingError(f"{name}: capacity= is an integer, not {capacity!r}") from None
    if number < 1:
        raise RoutingError(f"{name}: capacity= is at least 1, not {number}")
    return number


def _make_queue(name: str, capacity: int, overflow: str, ready: list[FrameQueue]) -> FrameQueue:
    kind = QUEUES.get(overflow) if isinstance(overflow, str) else None  # type: ignore[redundant-expr]  # users may give anything
    if kind is None:
        known = ", ".join(f'"{one}"' for one in QUEUES)
        raise RoutingError(f"{name}: overflow= is one of {known}, not {overflow!r}")
    return kind(capacity, ready)


def check_filter(name: str, given: FilterArgument | None, *, allow_empty: bool) -> Filter:
    """Give one filter of what users write.

    Args:
        name: Of the subscription.
        given: A filter, or several of which any may match; None: all data and remote frames.
        allow_empty: Take one that nothing can match.

    Raises:
        FilterError: It is something else, or nothing can match it.
    """
    if given is None:
        return Filter.all()
    try:
        wanted = union_of(given_filters(given))
    except FilterError as error:
        raise FilterError(f"{name}: {error}") from None
    reason = None if allow_empty else wanted.contradiction()
    if reason is not None:
        raise FilterError(
            f"{name}: nothing can match its filter: {reason}; if that is meant, allow_empty=True"
        )
    return wanted
