"""What is known of interfaces, and the events of what changes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import (
    CanErrorCounters,
    CanMode,
    CanState,
    ControllerError,
    ErrorClass,
    ErrorCountersChanged,
    ErrorFrame,
    Interface,
    InterfaceAdded,
    InterfaceChanged,
    InterfaceDown,
    InterfaceEvent,
    InterfaceRemoved,
    InterfaceStateChanged,
    InterfaceUp,
)
from anycan.interfaces.tracker import ERROR_CLASSES, LinkTracker, differences, told_state
from anycan.wire.netlink_statistics import LinkStatistics

ACTIVE, WARNING = CanState.ERROR_ACTIVE, CanState.ERROR_WARNING
PASSIVE, OFF = CanState.ERROR_PASSIVE, CanState.BUS_OFF
STOPPED = CanState.STOPPED


def vcan(index: int = 1, **fields: Any) -> Interface:
    given: dict[str, Any] = {"name": f"vcan{index}", "kind": "vcan"}
    return Interface(index=index, **given | fields)


def can(state: CanState | None = ACTIVE, **fields: Any) -> Interface:
    given: dict[str, Any] = {"index": 7, "name": "can0", "kind": "can", "up": True, "state": state}
    return Interface(**given | fields)


def tracker(*interfaces: Interface) -> LinkTracker:
    made = LinkTracker()
    for interface in interfaces:
        made.put(interface, 0)
    return made


NO_CLASS = ErrorClass(0)


def report(classes: ErrorClass = NO_CLASS, interface: str = "can0", **told: Any) -> ErrorFrame:
    return attrs.evolve(ErrorFrame.build(classes, **told), interface=interface)


def kinds(events: list[InterfaceEvent]) -> list[type]:
    return [type(event) for event in events]


# From one look to the next


def test_an_interface_comes_goes_up_down_and_away() -> None:
    links = LinkTracker()
    down, up = vcan(), vcan(up=True)
    assert links.put(down, 1) == [InterfaceAdded(interface=down, timestamp_ns=1)]
    assert links.put(up, 2) == [InterfaceUp(interface=up, timestamp_ns=2)]
    assert links.put(up, 3) == []
    assert links.put(down, 4) == [InterfaceDown(interface=down, timestamp_ns=4)]
    assert links.drop(1, 5) == [InterfaceRemoved(interface=down, timestamp_ns=5)]
    assert links.drop(1, 6) == []
    assert links.known == {}


def test_one_that_is_up_when_it_comes_is_told_of_as_up_too() -> None:
    assert kinds(tracker().put(vcan(up=True), 0)) == [InterfaceAdded, InterfaceUp]


def test_one_that_is_up_when_it_goes_is_told_of_as_it_was() -> None:
    up = vcan(up=True)
    assert tracker(up).drop(1, 5) == [InterfaceRemoved(interface=up, timestamp_ns=5)]


def test_what_has_changed_is_named() -> None:
    before, after = vcan(up=True), vcan(up=True, name="new", mtu=2060)
    links = tracker(before)
    assert links.put(after, 9) == [
        InterfaceChanged(interface=after, timestamp_ns=9, before=before, changed=("name", "mtu"))
    ]
    assert links.by_name("new") == after
    assert links.by_name("vcan1") is None


def test_a_change_stands_between_down_and_up() -> None:
    links = tracker(vcan(up=True, mtu=72))
    assert kinds(links.put(vcan(mtu=16), 1)) == [InterfaceDown, InterfaceChanged]
    assert kinds(links.put(vcan(mtu=72, up=True), 2)) == [InterfaceChanged, InterfaceUp]


@pytest.mark.parametrize(
    "counts",
    [
        {"statistics": LinkStatistics(rx_packets=9)},
        {"carrier_changes": 3},
        {"queueing": "noqueue"},
    ],
)
def test_counts_are_no_change_and_known_all_the_same(counts: dict[str, Any]) -> None:
    links = tracker(vcan(up=True))
    after = vcan(up=True, **counts)
    assert links.put(after, 1) == []
    assert links.known[1] == after


def test_events_were_lost_and_all_is_looked_at() -> None:
    links = tracker(vcan(3), vcan(1), vcan(2, up=True), vcan(4))
    events = links.replace([vcan(2), vcan(5), vcan(4)], 8)
    assert [(type(event), event.interface.index) for event in events] == [
        (InterfaceRemoved, 1),
        (InterfaceRemoved, 3),
        (InterfaceDown, 2),
        (InterfaceAdded, 5),
    ]
    assert {event.timestamp_ns for event in events} == {8}
    assert set(links.known) == {2, 4, 5}


# States


def state_change(event: InterfaceEvent) -> tuple[CanState | None, CanState, bool]:
    assert isinstance(event, InterfaceStateChanged)
    return event.before, event.state, event.restarted


def test_a_state_that_the_driver_tells() -> None:
    links = tracker(can())
    for before, state in ((ACTIVE, WARNING), (WARNING, PASSIVE), (PASSIVE, ACTIVE), (ACTIVE, OFF)):
        (event,) = links.put(can(state), 1)
        assert state_change(event) == (before, state, False)


def test_out_of_bus_off_leads_a_restart_alone() -> None:
    (event,) = tracker(can(OFF)).put(can(ACTIVE), 1)
    assert state_change(event) == (OFF, ACTIVE, True)


@pytest.mark.parametrize("state", [ACTIVE, STOPPED, CanState.SLEEPING, None])
def test_to_come_up_error_active_is_no_change_of_state(state: CanState | None) -> None:
    links = tracker(can(STOPPED, up=False))
    assert kinds(links.put(can(state), 1)) == [InterfaceUp]


def test_to_come_up_otherwise_is_one() -> None:
    links = tracker(can(STOPPED, up=False))
    up, change = links.put(can(OFF), 1)
    assert isinstance(up, InterfaceUp)
    assert state_change(change) == (None, OFF, False)
    assert kinds(tracker().put(can(PASSIVE), 1)) == [
        InterfaceAdded,
        InterfaceUp,
        InterfaceStateChanged,
    ]


def test_to_go_down_is_no_change_of_state() -> None:
    assert kinds(tracker(can(OFF)).put(can(STOPPED, up=False), 1)) == [InterfaceDown]


def test_counters_that_change_alone() -> None:
    links = tracker(can(error_counters=CanErrorCounters(1, 1)))
    assert kinds(links.put(can(error_counters=CanErrorCounters(2, 1)), 1)) == [ErrorCountersChanged]
    assert links.put(can(error_counters=CanErrorCounters(2, 1)), 2) == []
    worse = can(WARNING, error_counters=CanErrorCounters(100, 1))
    assert kinds(links.put(worse, 3)) == [InterfaceStateChanged]


def test_no_counters_are_as_none_counted() -> None:
    assert tracker(can()).put(can(error_counters=CanErrorCounters()), 1) == []


# Error frames


@pytest.mark.parametrize(
    ("frame", "state"),
    [
        (report(controller=ControllerError.TX_WARNING), WARNING),
        (report(controller=ControllerError.RX_WARNING), WARNING),
        (report(controller=ControllerError.TX_PASSIVE), PASSIVE),
        (report(controller=ControllerError.RX_PASSIVE | ControllerError.TX_WARNING), PASSIVE),
        (report(controller=ControllerError.ACTIVE), ACTIVE),
        (report(controller=ControllerError.RX_OVERFLOW), None),
        (report(ErrorClass.BUS_OFF), OFF),
        (report(ErrorClass.BUS_OFF, controller=ControllerError.TX_PASSIVE), OFF),
        (report(ErrorClass.RESTARTED), ACTIVE),
        (report(ErrorClass.NO_ACK), None),
        (report(tx_error_count=200, rx_error_count=0), None),
    ],
)
def test_the_state_that_an_error_frame_tells(frame: ErrorFrame, state: CanState | None) -> None:
    assert told_state(frame) is state


def test_an_error_frame_that_is_too_short() -> None:
    assert told_state(ErrorFrame(ErrorClass.CONTROLLER, b"")) is None
    links = tracker(can())
    short = attrs.evolve(ErrorFrame(ErrorClass.COUNTERS, bytes(7)), interface="can0")
    assert links.take_error(short, 1) == []


def test_the_classes_by_which_state_and_counters_are_told() -> None:
    for frame in (
        report(controller=ControllerError.ACTIVE),
        report(ErrorClass.BUS_OFF),
        report(ErrorClass.RESTARTED),
        report(tx_error_count=1, rx_error_count=1),
    ):
        assert frame.classes & ERROR_CLASSES


def test_a_vcan_has_the_state_that_error_frames_tell() -> None:
    links = tracker(vcan(up=True))
    passive = report(
        interface="vcan1",
        controller=ControllerError.TX_PASSIVE,
        tx_error_count=130,
        rx_error_count=3,
    )
    (event,) = links.take_error(passive, 1)
    assert state_change(event) == (None, PASSIVE, False)
    assert event.interface.error_counters == CanErrorCounters(130, 3)
    more = report(interface="vcan1", tx_error_count=131, rx_error_count=3)
    (event,) = links.take_error(more, 2)
    assert isinstance(event, ErrorCountersChanged)
    assert event.interface.state is PASSIVE
    assert links.take_error(more, 3) == []
    # What its driver tells next says nothing of it, and does not take it away.
    assert links.put(vcan(up=True, mtu=72), 4) != []
    known = links.known[1]
    assert (known.state, known.error_counters) == (PASSIVE, CanErrorCounters(131, 3))
    # But to be set down does.
    assert kinds(links.put(vcan(mtu=72), 5)) == [InterfaceDown]
    assert links.known[1].state is None
    assert kinds(links.put(vcan(mtu=72, up=True), 6)) == [InterfaceUp]
    assert links.known[1].state is None


def test_a_restart_is_told_once_whoever_tells_first() -> None:
    links = tracker(can(OFF))
    (event,) = links.take_error(report(ErrorClass.RESTARTED), 1)
    assert state_change(event) == (OFF, ACTIVE, True)
    assert links.put(can(ACTIVE), 2) == []
    links = tracker(can(OFF))
    (event,) = links.put(can(ACTIVE), 1)
    assert state_change(event) == (OFF, ACTIVE, True)
    assert links.take_error(report(ErrorClass.RESTARTED), 2) == []


def test_a_restart_of_what_was_not_known_to_be_off() -> None:
    links = tracker(vcan(up=True))
    (event,) = links.take_error(report(ErrorClass.RESTARTED, "vcan1"), 1)
    assert state_change(event) == (None, ACTIVE, True)


@pytest.mark.parametrize("there", [[], [can(STOPPED, up=False)]])
def test_an_error_frame_of_what_is_down_or_gone(there: list[Interface]) -> None:
    links = tracker(*there)
    before = dict(links.known)
    assert links.take_error(report(ErrorClass.BUS_OFF), 1) == []
    assert links.take_error(attrs.evolve(report(ErrorClass.BUS_OFF), interface=None), 1) == []
    assert links.known == before


# All of it at random

states = st.sampled_from([None, ACTIVE, WARNING, PASSIVE, OFF, STOPPED])
counters = st.none() | st.builds(CanErrorCounters, st.integers(0, 255), st.integers(0, 255))
looks = st.builds(
    Interface,
    index=st.integers(1, 3),
    name=st.sampled_from(["a", "b", "c"]),
    up=st.booleans(),
    mtu=st.sampled_from([16, 72]),
    modes=st.none() | st.sampled_from([CanMode(0), CanMode.LISTENONLY]),
    state=states,
    error_counters=counters,
).filter(lambda look: not (look.up and look.state is STOPPED))  # which no driver tells
reports = st.builds(
    report,
    st.sampled_from([NO_CLASS, ErrorClass.BUS_OFF, ErrorClass.RESTARTED, ErrorClass.NO_ACK]),
    interface=st.sampled_from(["a", "b", "c", "d"]),
    controller=st.none() | st.sampled_from(list(ControllerError)),
    tx_error_count=st.integers(0, 255),
    rx_error_count=st.integers(0, 255),
)
steps = st.lists(
    looks | st.integers(1, 3) | reports | st.lists(looks, max_size=3, unique_by=lambda i: i.index),
    max_size=6,
)


def take_step(links: LinkTracker, step: object, now_ns: int) -> list[InterfaceEvent]:
    match step:
        case Interface():
            return links.put(step, now_ns)
        case int():
            return links.drop(step, now_ns)
        case list():
            return links.replace(step, now_ns)
        case _:
            assert isinstance(step, ErrorFrame)
            return links.take_error(step, now_ns)


def told_of(interface: Interface) -> Interface:
    """Give what events tell of an interface: a state while it is up, and no counts."""
    rests = not interface.up or interface.state in {None, STOPPED, ACTIVE}
    return attrs.evolve(
        interface,
        state=None if rests else interface.state,
        error_counters=(interface.error_counters or CanErrorCounters()) if interface.up else None,
    )


@given(steps)
def test_who_follows_the_events_knows_what_the_tracker_knows(steps: list[object]) -> None:
    links = LinkTracker()
    model: dict[int, Interface] = {}
    for now_ns, step in enumerate(steps):
        for event in take_step(links, step, now_ns):
            assert event.timestamp_ns == now_ns
            index = event.interface.index
            before = model.get(index)
            assert (before is None) == isinstance(event, InterfaceAdded)
            match event:
                case InterfaceRemoved():
                    assert before is not None
                    assert told_of(event.interface) == told_of(before)
                    del model[index]
                    continue
                case InterfaceUp():
                    assert event.interface.up
                case InterfaceDown():
                    assert not event.interface.up
                case InterfaceChanged():
                    assert event.changed
                    for name in event.changed:
                        assert getattr(event.before, name) != getattr(event.interface, name)
                case InterfaceStateChanged():
                    assert event.state is event.interface.state is not event.before
                    assert event.interface.up
            model[index] = event.interface
        assert {index: told_of(one) for index, one in model.items()} == {
            index: told_of(one) for index, one in links.known.items()
        }


@given(looks, looks)
def test_from_one_state_to_another_and_no_further(before: Interface, after: Interface) -> None:
    after = attrs.evolve(after, index=before.index)
    assert list(differences(after, after, 0)) == []
    found = list(differences(before, after, 0))
    assert all(event.interface == after for event in found)
    assert len({type(event) for event in found}) == len(found)
    assert any(isinstance(one, InterfaceUp) for one in found) == (after.up and not before.up)
    assert any(isinstance(one, InterfaceDown) for one in found) == (before.up and not after.up)


def test_nothing_was_there_and_nothing_is() -> None:
    assert list(differences(None, None, 0)) == []
