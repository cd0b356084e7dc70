"""What to do when a link is lost, and what is told of it."""

from __future__ import annotations

import math
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from anycan.interfaces.values import LinkCondition

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.frozen(kw_only=True)
class LinkWait:
    """``on_link_loss="wait"`` with its particulars: wait for a link that is lost, and go on.

    A link is lost when its interface goes down, when it vanishes (an adapter that is unplugged, a
    vcan that is deleted), when its controller is bus-off, and when it has no carrier (the other end
    of a vxcan is down).

    Attributes:
        restart: Restart the controller after bus-off, where it does not do so by itself
            (``restart=`` of :func:`configure_interface`). Seconds before the first attempt and, as
            each that comes to nothing doubles them, before later ones at most. On the kernel it
            needs ``CAP_NET_ADMIN``. Of several endpoints on an interface the first one's delays
            count. None: who has the right is to do that.
        healthy: For how many seconds a controller has to take part in the bus, before the delays
            begin anew.

    Raises:
        ValueError: A time is not above 0, or the second delay is below the first.

    Example:
        >>> LinkWait(restart=(0.1, 30.0)).restart
        (0.1, 30.0)
    """

    restart: tuple[float, float] | None = None
    healthy: float = 10.0

    def __attrs_post_init__(self) -> None:
        times = [self.healthy, *(self.restart or ())]
        if not all(math.isfinite(time) and time > 0 for time in times):
            raise ValueError(f"times are seconds above 0, and not {times}")
        if self.restart is not None and not self.restart[0] <= self.restart[1]:
            raise ValueError(
                f"restart= is the first delay and the greatest, in seconds, and not {self.restart}"
            )


OnLinkLoss: TypeAlias = Literal["raise", "wait"] | LinkWait
"""What an endpoint does when its link is lost.

``"raise"``: it raises :class:`InterfaceDownError` or :class:`InterfaceRemovedError`. ``"wait"``: it
waits until the link is back, and goes on.
"""


@attrs.frozen(kw_only=True)
class LinkGap:
    """A time in which an endpoint's link was lost.

    It is told when it begins and, with ``ended_ns``, when it has ended.

    Attributes:
        interface: The interface's name.
        condition: Why: ``NO_CARRIER``, ``DOWN``, ``BUS_OFF`` or ``REMOVED``; once it has ended,
            the worst of what there was, in this order.
        began_ns: When it was noticed, in nanoseconds since the epoch.
        ended_ns: When the endpoint was able to go on; None: it has not ended.

    Example:
        >>> gap = LinkGap(interface="can0", condition=LinkCondition.DOWN, began_ns=0)
        >>> gap.seconds is None
        True
    """

    interface: str
    condition: LinkCondition
    began_ns: int
    ended_ns: int | None = None

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None: it has not ended."""
        return None if self.ended_ns is None else (self.ended_ns - self.began_ns) / 1e9


_ORDER = (
    LinkCondition.UP,
    LinkCondition.NO_CARRIER,
    LinkCondition.DOWN,
    LinkCondition.BUS_OFF,
    LinkCondition.REMOVED,
)


def worse(one: LinkCondition, other: LinkCondition) -> LinkCondition:
    """Give the worse of two conditions."""
    return max(one, other, key=_ORDER.index)


def resolve_policy(
    on_link_loss: OnLinkLoss, on_gap: Callable[..., object] | None
) -> LinkWait | None:
    """Give how to wait; None: not to.

    Raises:
        ValueError: It is none of what there is, or ``on_gap`` would never be called.
        TypeError: ``on_gap`` is a coroutine function.
    """
    if iscoroutinefunction(on_gap):
        raise TypeError("on_gap= is called in the middle of things, and is no coroutine function")
    match on_link_loss:
        case LinkWait():
            return on_link_loss
        case "wait":
            return LinkWait()
        case "raise":
            if on_gap is not None:
                raise ValueError("on_gap= tells of gaps that are waited for: on_link_loss='wait'")
            return None
    raise ValueError(f"on_link_loss= is 'raise', 'wait' or a LinkWait, and not {on_link_loss!r}")
