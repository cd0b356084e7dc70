"""What interfaces there are, as far as is known, and what has happened when that changes.

It knows no network and no clock: it is told what there is now, and gives the events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from anycan.frame import ControllerError, ErrorClass
from anycan.interfaces.events import (
    ErrorCountersChanged,
    InterfaceAdded,
    InterfaceChanged,
    InterfaceDown,
    InterfaceEvent,
    InterfaceRemoved,
    InterfaceStateChanged,
    InterfaceUp,
)
from anycan.interfaces.values import Interface
from anycan.wire.netlink_can import CanErrorCounters, CanState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anycan.frame import ErrorFrame

ERROR_CLASSES: Final = (
    ErrorClass.CONTROLLER | ErrorClass.BUS_OFF | ErrorClass.RESTARTED | ErrorClass.COUNTERS
)
"""The error frames by which controllers tell their state and their counters."""

# Told by events of their own, or no event at all: counts change with every frame.
_NOT_COMPARED: Final = frozenset(
    {
        "up",
        "carrier",
        "carrier_changes",
        "queueing",
        "state",
        "error_counters",
        "statistics",
        "can_statistics",
    }
)
_COMPARED: Final = tuple(
    field for field in attrs.fields_dict(Interface) if field not in _NOT_COMPARED
)
_RESTING: Final = frozenset({None, CanState.STOPPED, CanState.SLEEPING})
_PASSIVE: Final = ControllerError.RX_PASSIVE | ControllerError.TX_PASSIVE
_WARNING: Final = ControllerError.RX_WARNING | ControllerError.TX_WARNING


class LinkTracker:
    """The interfaces of a network, as far as is known.

    Attributes:
        known: They, by index.
    """

    def __init__(self) -> None:
        self.known: dict[int, Interface] = {}

    def by_name(self, name: str) -> Interface | None:
        """Give the interface of that name, which may be an alternative one; None: there is none."""
        for interface in self.known.values():
            if name == interface.name or name in interface.other_names:
                return interface
        return None

    def put(self, interface: Interface, now_ns: int) -> list[InterfaceEvent]:
        """Take note of an interface as it is now; give what has happened to it."""
        before = self.known.get(interface.index)
        interface = _with_told_state(before, interface)
        self.known[interface.index] = interface
        return list(differences(before, interface, now_ns))

    def drop(self, index: int, now_ns: int) -> list[InterfaceEvent]:
        """Take note that an interface is gone; give what has happened."""
        before = self.known.pop(index, None)
        return list(differences(before, None, now_ns))

    def replace(self, interfaces: Iterable[Interface], now_ns: int) -> list[InterfaceEvent]:
        """Take note of all interfaces there are now; give what has happened."""
        there = {interface.index: interface for interface in interfaces}
        events = []
        for index in sorted(self.known.keys() - there.keys()):
            events += self.drop(index, now_ns)
        for interface in there.values():
            events += self.put(interface, now_ns)
        return events

    def take_error(self, frame: ErrorFrame, now_ns: int) -> list[InterfaceEvent]:
        """Take note of what a controller tells of itself; give what has happened."""
        before = self.by_name(frame.interface or "")
        if before is None or not before.up:
            return []
        state = told_state(frame)
        after = before if state is None else attrs.evolve(before, state=state)
        if frame.classes & ErrorClass.COUNTERS and len(frame.data) > 7:
            counters = CanErrorCounters(transmit=frame.data[6], receive=frame.data[7])
            after = attrs.evolve(after, error_counters=counters)
        self.known[after.index] = after
        restarted = bool(frame.classes & ErrorClass.RESTARTED)
        return list(differences(before, after, now_ns, restarted=restarted))


def told_state(frame: ErrorFrame) -> CanState | None:
    """Give the state that an error frame tells; None: none.

    Source: ``drivers/net/can/dev/dev.c``, ``can_change_state`` and ``can_restart``.
    """
    classes = frame.classes
    if classes & ErrorClass.RESTARTED:
        return CanState.ERROR_ACTIVE
    if classes & ErrorClass.BUS_OFF:
        return CanState.BUS_OFF
    if not classes & ErrorClass.CONTROLLER or len(frame.data) < 2:
        return None
    told = frame.data[1]
    if told & _PASSIVE:
        return CanState.ERROR_PASSIVE
    if told & _WARNING:
        return CanState.ERROR_WARNING
    return CanState.ERROR_ACTIVE if told & ControllerError.ACTIVE else None


def _with_told_state(before: Interface | None, after: Interface) -> Interface:
    """Keep what error frames have told of an interface whose driver tells nothing otherwise."""
    if before is None or after.state is not None or not (before.up and after.up):
        return after
    return attrs.evolve(after, state=before.state, error_counters=before.error_counters)


def differences(
    before: Interface | None, after: Interface | None, now_ns: int, *, restarted: bool = False
) -> Iterator[InterfaceEvent]:
    """Give what has happened to an interface between two looks at it.

    Args:
        before: As it was; None: it was not there.
        after: As it is; None: it is not there.
        now_ns: When this was noticed.
        restarted: Its controller has been restarted.
    """
    if after is None:
        if before is not None:
            yield InterfaceRemoved(interface=before, timestamp_ns=now_ns)
        return
    if before is None:
        yield InterfaceAdded(interface=after, timestamp_ns=now_ns)
        if after.up:
            yield InterfaceUp(interface=after, timestamp_ns=now_ns)
            yield from _state_differences(None, after, now_ns)
        return
    if before.up and not after.up:
        yield InterfaceDown(interface=after, timestamp_ns=now_ns)
    changed = tuple(field for field in _COMPARED if getattr(before, field) != getattr(after, field))
    if before.up and after.up and before.carrier != after.carrier and before.state == after.state:
        changed += ("carrier",)
    if changed:
        yield InterfaceChanged(interface=after, timestamp_ns=now_ns, before=before, changed=changed)
    if after.up and not before.up:
        yield InterfaceUp(interface=after, timestamp_ns=now_ns)
    if after.up:
        yield from _state_differences(before, after, now_ns, restarted=restarted)


def _state_differences(
    before: Interface | None, after: Interface, now_ns: int, *, restarted: bool = False
) -> Iterator[InterfaceEvent]:
    state = after.state
    was = None if before is None or not before.up else before.state
    # There is no other way out of bus-off; and one is told once, whoever tells of it first.
    restarted = was is CanState.BUS_OFF or (restarted and was is not CanState.ERROR_ACTIVE)
    usual = CanState.ERROR_ACTIVE if was in _RESTING and not restarted else was
    if state is not None and state not in _RESTING and state != usual:
        yield InterfaceStateChanged(
            interface=after, timestamp_ns=now_ns, before=was, state=state, restarted=restarted
        )
    elif before is not None and before.up and _counters_of(before) != _counters_of(after):
        yield ErrorCountersChanged(interface=after, timestamp_ns=now_ns)


def _counters_of(interface: Interface) -> CanErrorCounters:
    return interface.error_counters or CanErrorCounters()
