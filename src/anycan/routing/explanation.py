"""What a router filters where, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from anycan.filter import Filter
from anycan.frame import ErrorClass

if TYPE_CHECKING:
    from anycan.filter import CanFilter
    from anycan.routing.source import Source
    from anycan.routing.subscription import Subscription

_SHOWN = 8


@attrs.frozen(kw_only=True)
class EndpointExplanation:
    """What the kernel filters for one endpoint of a router.

    Attributes:
        interface: The interface; None: all.
        kernel_filters: The kernel's filters of data and remote frames.
        errors: The classes of error frames that the kernel lets through.
        pushed_down: Whether they are the router's; an endpoint opened with ``join_filters=True``
            keeps its own.
        exact: Whether the kernel lets through no data or remote frame that nobody takes.
        taken: Frames that came from it and were taken.
        refused: Frames that came from it and that nobody took.
    """

    interface: str | None
    kernel_filters: tuple[CanFilter, ...]
    errors: ErrorClass
    pushed_down: bool
    exact: bool
    taken: int
    refused: int

    def __str__(self) -> str:
        """Tell it in a line."""
        shown = ",".join(map(str, self.kernel_filters[:_SHOWN])) or "nothing"
        more = len(self.kernel_filters) - _SHOWN
        if more > 0:
            shown += f" and {more} more"
        errors = f", error frames {self.errors:08X}" if self.errors else ""
        which = "exactly what is wanted" if self.exact else "and the rest is matched here"
        whose = which if self.pushed_down else "as it was opened; all is matched here"
        where = self.interface or "all interfaces"
        return (
            f"{where}: the kernel lets through {shown}{errors}: {whose};"
            f" {self.taken} taken, {self.refused} refused"
        )


@attrs.frozen(kw_only=True)
class SubscriptionExplanation:
    """How the frames of one subscription are found.

    Attributes:
        name: What it is called.
        filter: What it takes.
        by: ``"identifier"``, ``"mask"``, ``"all"`` or ``"error class"``: how the index finds what
            it may take.
        rest: Whether more than the identifier decides, which is matched here for each of them.
        handling: How frames wait, and what takes them.
    """

    name: str
    filter: Filter
    by: str
    rest: bool
    handling: str

    def __str__(self) -> str:
        """Tell it in a line."""
        rest = ", then by the rest of its filter" if self.rest else ""
        return f"{self.name}: {self.filter!r}: found by {self.by}{rest}; {self.handling}"


@attrs.frozen(kw_only=True)
class Explanation:
    """What a router filters where, and for whom; ``str`` tells it in lines.

    Attributes:
        endpoints: The endpoints; none while the router does not run.
        subscriptions: The subscriptions, in the order in which they were made.
    """

    endpoints: tuple[EndpointExplanation, ...]
    subscriptions: tuple[SubscriptionExplanation, ...]

    def __str__(self) -> str:
        """Tell it in lines."""
        return "\n".join(map(str, (*self.endpoints, *self.subscriptions)))


def explain_source(source: Source) -> EndpointExplanation:
    """Tell what the kernel filters for an endpoint."""
    push_down = source.push_down
    source.tighten()
    filters = push_down.filters
    return EndpointExplanation(
        interface=source.interface,
        kernel_filters=Filter.all().to_kernel() if filters is None else filters,
        errors=ErrorClass(push_down.errors),
        pushed_down=push_down.possible,
        exact=push_down.exact,
        taken=source.taken,
        refused=source.refused_count,
    )


def explain_subscription(subscription: Subscription) -> SubscriptionExplanation:
    """Tell how the frames of a subscription are found."""
    wanted = subscription.filter
    cover = wanted.cover()
    masks = {mask for _, mask in cover.cubes}
    if not masks:
        by = "error class"
    elif 0 in masks:
        by = "all"
    elif all(mask in _WHOLE for mask in masks):
        by = "identifier"
    else:
        by = "mask"
    return SubscriptionExplanation(
        name=subscription.name,
        filter=wanted,
        by=by,
        rest=not (cover.exact and cover.errors_exact),
        handling=subscription.describe(),
    )


_WHOLE = {0xC00007FF, 0xDFFFFFFF}  # the masks of one identifier of 11 and of 29 bits
