"""What happens to interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from anycan.interfaces.values import Interface
    from anycan.wire.netlink_can import CanState


@attrs.frozen(kw_only=True)
class InterfaceEvent:
    """Something has happened to an interface: what all events have.

    Attributes:
        interface: The interface as it is after that; of one that is gone, as it was last.
        timestamp_ns: When this was noticed, in nanoseconds since the epoch.
    """

    interface: Interface
    timestamp_ns: int


@attrs.frozen(kw_only=True)
class InterfaceAdded(InterfaceEvent):
    """There is an interface that was not there before.

    Attributes:
        present: It was there already when the watch began (``present=True``).
    """

    present: bool = False


@attrs.frozen(kw_only=True)
class InterfaceRemoved(InterfaceEvent):
    """An interface is gone: deleted, unplugged, or moved to another network namespace."""


@attrs.frozen(kw_only=True)
class InterfaceUp(InterfaceEvent):
    """An interface has been set up."""


@attrs.frozen(kw_only=True)
class InterfaceDown(InterfaceEvent):
    """An interface has been set down."""


@attrs.frozen(kw_only=True)
class InterfaceStateChanged(InterfaceEvent):
    """A controller has another state: error-active, -warning, -passive or bus-off.

    The kernel tells by an error frame (``CAN_ERR_CRTL``, ``CAN_ERR_BUSOFF``,
    ``CAN_ERR_RESTARTED``), and so this is told of a vcan too, where somebody sends such frames.

    Attributes:
        before: The state that it had; None: not known.
        state: The state that it has.
        restarted: It has been restarted after bus-off.
    """

    before: CanState | None = None
    state: CanState
    restarted: bool = False


@attrs.frozen(kw_only=True)
class ErrorCountersChanged(InterfaceEvent):
    """A controller has told its error counters, and they have changed, but its state has not.

    They are in ``interface.error_counters``. Drivers tell them with error frames
    (``CAN_ERR_CNT``), and with few of them; with ``CanMode.BERR_REPORTING`` with many.
    """


@attrs.frozen(kw_only=True)
class InterfaceChanged(InterfaceEvent):
    """Something else of an interface has changed: its name, its MTU, its bit timing and so on.

    Attributes:
        before: The interface as it was.
        changed: The names of the attributes of :class:`Interface` that have changed.
    """

    before: Interface
    changed: tuple[str, ...]


@attrs.frozen(kw_only=True)
class EventsLost:
    """The kernel had more to tell than there was room for: some events are lost.

    What follows are the differences between what was known before and what is there now, so that
    whoever follows the events knows what is there; but an interface that came and went in between
    is not told of.

    Attributes:
        timestamp_ns: When this was noticed, in nanoseconds since the epoch.
    """

    timestamp_ns: int
