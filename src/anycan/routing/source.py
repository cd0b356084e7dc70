"""One endpoint of a router: what comes from it, and who takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anycan.endpoints.feed import open_feed
from anycan.exceptions import CanOSError
from anycan.filter import Filter, FilterIndex
from anycan.routing.pushdown import PushDown
from anycan.routing.room import Room
from anycan.routing.subscription import QueuedSubscription
from anycan.routing.values import GOES_ON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.endpoints.raw import RawEndpoint
    from anycan.frame import AnyFrame
    from anycan.routing.host import RouterHost
    from anycan.routing.subscription import Subscription


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
        self.feed = open_feed(endpoint, self._index.sieve(), self)
        self._room = Room(self.feed.resume)
        self._closed = False
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
        if self._closed:
            return
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
        cover = wanted.cover()
        if isinstance(subscription, QueuedSubscription) and (cover.cubes or cover.errors):
            self._room.add(subscription.queue)
        return wanted

    def _narrow(self, wanted: Filter) -> Filter:
        """Give what is left to match of frames of this endpoint, which has filters of its own."""
        if self.interface is not None:
            wanted = wanted.at_interface(self.interface)
        given = self._given.wanted
        if given is None:
            return wanted
        # The endpoint's filters are of data and remote frames: error frames have classes of their
        # own, and come to those who name them.
        return (wanted & given & Filter.all()) | (wanted - Filter.all())

    def remove(self, subscription: Subscription) -> None:
        """Hand on nothing more to a subscription."""
        wanted = self._wanted.pop(subscription, None)
        if wanted is None:
            return
        self._index.remove(subscription.taker)
        del self._takers[subscription.taker]
        if not self._closed:
            self.push_down.remove(wanted.cover())
        if isinstance(subscription, QueuedSubscription):
            self._room.remove(subscription.queue)

    @property
    def open(self) -> bool:
        """Whether frames come from it."""
        return not self._closed

    def close(self) -> None:
        """Give the endpoint back, with the filters that it had; frames can still be sent by it."""
        if self._closed:
            return
        self._closed = True
        self.feed.close()
        self._room.close()
        socket = self.feed.socket
        if socket.fd >= 0:
            try:
                socket.set_kernel_filters(self._given.kernel, self._given.errors)
            except CanOSError as error:
                self._report(error, "the endpoint keeps the router's filters")

    def _report(self, error: Exception, action: str) -> None:
        self._host.report(error, None, (), action, interface=self.interface)

    # What the feed calls

    def room(self, *, wait: bool) -> int:
        """Give how many frames may be read now."""
        return self._room.free(wait=wait)

    def burst(self) -> int:
        """Give how many frames may be read before they are handed on."""
        return self._room.burst()

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
        self._have_fewer(self.push_down.refused)

    def tighten(self) -> None:
        """Have the kernel let through no more than is wanted, as far as it can."""
        self._have_fewer(self.push_down.tighten)

    def _have_fewer(self, tighten: Callable[[], object]) -> None:
        try:
            tighten()
        except CanOSError as error:  # the filters that there are let through all that is wanted
            self._report(error, GOES_ON)

    def failed(self, error: CanOSError) -> None:
        """Take note of what happened to the interface."""
        self._report(error, GOES_ON)
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
