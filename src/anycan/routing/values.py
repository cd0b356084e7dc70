"""What a router tells of itself: counters, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from anycan.frame import AnyFrame
    from anycan.routing.subscription import Subscription

GOES_ON: Final = "goes on"
ENDS_ROUTER: Final = "ends the router"


@attrs.frozen(kw_only=True)
class SubscriptionStatistics:
    """What went through a subscription since it was made.

    Every frame that the router had for it is in ``delivered`` or ``dropped``, or waits.

    Attributes:
        delivered: Frames that its handler was called with, or that were received.
        dropped: Frames lost: there was no room for them, a newer one of their identifier took their
            place (``latest_per_id``), or they waited when the subscription ended.
        waiting: Frames that wait now.
        high_water: The most that ever waited at once.
        faults: Times its handler raised, or its filter's own function.
        handler_time: Seconds that its handler took in all, waiting included; 0 where there is none.
    """

    delivered: int
    dropped: int
    waiting: int
    high_water: int
    faults: int
    handler_time: float


@attrs.frozen(kw_only=True)
class RouterStatistics:
    """What went through a router since it was made.

    Attributes:
        taken: Frames that one subscription or more took.
        refused: Frames that were read, and that no subscription took. Those that the kernel
            filters out are in no count.
        delivered: Frames that subscriptions were given, in all: those that have ended, too.
        dropped: Frames that subscriptions lost, in all.
        faults: What went wrong, in all.
        subscriptions: Each subscription's name, with its own counters.
    """

    taken: int
    refused: int
    delivered: int
    dropped: int
    faults: int
    subscriptions: tuple[tuple[str, SubscriptionStatistics], ...]


@attrs.frozen(kw_only=True)
class RoutingFault:
    """Something that went wrong while a router runs, and what the router does about it.

    Attributes:
        error: What was raised.
        subscription: Whose handler or filter raised it; None: it is of an endpoint.
        frames: The frame that it was called with (a batch handler's: all of them); empty where the
            error is of an endpoint.
        interface: The interface, as far as it is known; None: it is not, or all.
        action: What becomes of it, in words: ``"goes on"``, ``"goes on in 0.2 s"``,
            ``"ends the router"``, ``"the frame is not delivered"``, ``"the endpoint is left out"``.
    """

    error: Exception
    subscription: Subscription | None
    frames: tuple[AnyFrame, ...]
    interface: str | None
    action: str

    def __str__(self) -> str:
        """Tell it in one line."""
        where = f"on {self.interface or 'all interfaces'}"
        if self.subscription is not None:
            where = self.subscription.name
        frames = f", called with {self.frames[0]}" if self.frames else ""
        if len(self.frames) > 1:
            frames += f" and {len(self.frames) - 1} more"
        return f"{where}: {type(self.error).__name__}: {self.error}{frames}; {self.action}"
