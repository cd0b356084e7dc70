"""One endpoint of a router: what comes from it, and who takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from anycan.endpoints.feed import open_feed
from anycan.exceptions import CanOSError
from anycan.filter import Filter, FilterIndex
from anycan.routing.pushdown import PushDown
from anycan.routing.queues import BlockingQueue
from anycan.routing.subscription import QueuedSubscription

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.endpoints.raw import RawEndpoint
    from anycan.filter import CanFilter
    from anycan.frame import AnyFrame
    from anycan.routing.host import RouterHost
    from anycan.routing.queues import FrameQueue
    from anycan.routing.subscription import Subscription

_BATCH: Final = 128
_BURST: Final = 512
_FEW: Final = 16


class Source:
    """An endpoint whose frames a router hands on.

    Args:
        host: The router.
        endpoint: The endpoint.
        subscriptions: Those there are.

    Attributes:
        endpoint: The endpoint.
        feed: Its frames.
        push_down: The kernel's filters.
        taken: How many frames somebody took.
        refused_count: How many nobody took.

    Raises:
        BusyResourceError: Another task receives from the endpoint.
        ClosedResourceError: The endpoint is closed.
    """

    def __init__(
        self, host: RouterHost, endpoint: RawEndpoint, subscriptions: Iterable[Subscription]
    ) -> None:
        self._host = host
        self.endpoint = endpoint
        self.taken = 0
        self.refused_count = 0
        self._index: FilterIndex[Any] = FilterIndex(self._filter_failed)
        self._takers: dict[Any, Subscription] = {}
        self._wanted: dict[Subscription, Filter] = {}
        self._queues: dict[FrameQueue, None] = {}
        self._blocking: dict[BlockingQueue, None] = {}
        self._burst: int | None = None
        self.feed = open_feed(endpoint, self._index.sieve(), self)
        socket = self.feed.socket
        self.interface = socket.interface
        self.network = socket.network
        self._given = socket.filters
        self.push_down = PushDown(socket)
        try:
            for subscription in subscriptions:
                self._admit(subscription)
            self.push_down.start(wanted.cover() for wanted in self._wanted.values())
        except BaseException:
            self.feed.close()
            raise

    def reaches(self, interface: str) -> bool:
        """Tell whether frames can be sent to an interface by this endpoint."""
        if self.interface is not None:
            return self.interface == interface
        try:
            return self.network.interface_index(interface) > 0
        except CanOSError:
            return False

    def add(self, subscription: Subscription) -> None:
        """Hand on to a subscription what it takes, from now on."""
        wanted = self._admit(subscription)
        try:
            self.push_down.add(wanted.cover())
        except BaseException:
            self.remove(subscription)
            raise

    def _admit(self, subscription: Subscription) -> Filter:
        wanted = self._wanted[subscription] = self._narrow(subscription.filter)
        self._takers[subscription.taker] = subscription
        self._index.add(wanted, subscription.taker)
        if isinstance(subscription, QueuedSubscription):
            queue = subscription.queue
            self._queues[queue] = self._burst = None
            if isinstance(queue, BlockingQueue):
                self._blocking[queue] = None
        return wanted

    def _narrow(self, wanted: Filter) -> Filter:
        """Give what is left to match of frames of this endpoint, which has filters of its own."""
        if self.interface is not None:
            wanted = wanted.at_interface(self.interface)
        given = self._given.wanted
        if given is None:
            return wanted
        narrowed = wanted & given
        return narrowed | wanted & Filter.errors() if wanted.to_errors() else narrowed

    def remove(self, subscription: Subscription) -> None:
        """Hand on nothing more to a subscription."""
        wanted = self._wanted.pop(subscription, None)
        if wanted is None:
            return
        self._index.remove(subscription.taker)
        del self._takers[subscription.taker]
        self.push_down.remove(wanted.cover())
        if isinstance(subscription, QueuedSubscription):
            queue = subscription.queue
            self._burst = self._queues.pop(queue)
            if isinstance(queue, BlockingQueue):
                del self._blocking[queue]

    @property
    def kernel_filters(self) -> tuple[tuple[CanFilter, ...], int]:
        """The kernel's filters, and the classes of error frames that it lets through."""
        if self.push_down.possible:
            return self.push_down.filters, self.push_down.errors
        kernel = self._given.kernel
        return Filter.all().to_kernel() if kernel is None else kernel, self._given.errors

    def close(self) -> None:
        """Give the endpoint back, with the filters that it had."""
        self.feed.close()
        socket = self.feed.socket
        if socket.fd >= 0 and self.push_down.possible:
            try:
                socket.set_kernel_filters(self._given.kernel, self._given.errors)
            except CanOSError as error:
                self._host.report(error, None, (), "the endpoint keeps the router's filters")

    # What the feed calls

    def room(self) -> int:
        """Give how many frames may be read now."""
        room = _BATCH
        for queue in self._blocking:
            left = queue.capacity - len(queue.items)
            if left <= 0:
                queue.hold(self.feed.resume)
                return 0
            room = min(room, left)
        return room

    def burst(self) -> int:
        """Give how many frames may be read before they are handed on.

        No more than the least queue takes: a handler that is fast loses nothing to a burst that it
        had no time to see. Of queues for a few frames alone that is not looked at: who wants the
        newest, or one, shall not have all others read in such small parts.
        """
        if self._burst is None:
            capacities = (queue.capacity for queue in self._queues)
            self._burst = min((one for one in capacities if one >= _FEW), default=_BURST)
            self._burst = min(self._burst, _BURST)
        return self._burst

    def deliver(self, frames: list[AnyFrame], targets: list[tuple[Any, ...]]) -> None:
        """Give each frame to those who take it."""
        for frame, takers in zip(frames, targets, strict=True):
            for taker in takers:
                taker.put(frame)
        self.taken += len(frames)
        self._host.taken += len(frames)

    def wake(self, *, in_callback: bool) -> None:
        """Wake whoever waits for what was delivered."""
        ready = self._host.ready
        if ready:
            queues = ready[:]
            ready.clear()
            for queue in queues:
                waiter = queue.waiter
                if waiter is not None:
                    if in_callback:
                        waiter.wake()
                    else:
                        waiter.wake_soon()

    def refused(self, count: int) -> None:
        """Take note that frames were read which nobody takes."""
        self.refused_count += count
        self._host.refused += count
        self.push_down.refused()

    def failed(self, error: CanOSError) -> None:
        """Take note of what happened to the interface."""
        self._host.report(error, None, (), "goes on")
        self.tell_protocols(error)

    def tell_protocols(self, error: CanOSError) -> None:
        """Tell those who want to know what happened to the interface."""
        for subscription in list(self._wanted):
            subscription.interface_failed(error)

    def _filter_failed(self, taker: Any, frame: AnyFrame | None, error: Exception) -> None:
        subscription = self._takers.get(taker)
        if subscription is None:
            return  # it has been closed, in the middle of the batch
        subscription.count_fault()
        frames = () if frame is None else (frame,)
        self._host.report(error, subscription, frames, "the frame is not delivered")
