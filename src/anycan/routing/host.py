"""What a subscription asks of its router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from anycan.frame import AnyFrame
    from anycan.routing.queues import FrameQueue
    from anycan.routing.subscription import Subscription


class RouterHost(Protocol):
    """A router, as its subscriptions see it.

    Attributes:
        ready: Queues whose first frame has come, to be woken.
        taken: How many frames somebody took.
        refused: How many nobody took.
    """

    ready: list[FrameQueue]
    taken: int
    refused: int

    def register(self, subscription: Subscription) -> None:
        """Have a subscription get its frames from now on."""
        ...

    def unregister(self, subscription: Subscription) -> None:
        """Forget a subscription, which has been closed."""
        ...

    def report(
        self,
        error: Exception,
        subscription: Subscription | None,
        frames: tuple[AnyFrame, ...],
        action: str,
        *,
        interface: str | None = None,
    ) -> None:
        """Tell whoever is to hear it what went wrong, on which interface where it is known."""
        ...

    def fail(self, error: Exception) -> None:
        """End the router by what a handler raised."""
        ...
