"""Interfaces are made, changed, watched and deleted alike on every network."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import anyio
import pytest
import trio
from trio.testing import MockClock

import anycan
from anycan import (
    CanErrorCounters,
    CanState,
    CanStatistics,
    ConfigurationError,
    ControllerError,
    ErrorClass,
    ErrorCountersChanged,
    ErrorFrame,
    Frame,
    InterfaceChanged,
    InterfaceDown,
    InterfaceError,
    InterfaceEvent,
    InterfaceExistsError,
    InterfaceStateChanged,
    LinkCondition,
    LinkGap,
    LinkWait,
    OnLinkLoss,
    UnknownInterfaceError,
    UserNetwork,
    XlFrame,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anycan import InterfaceWatch
    from rig.links import Links

pytestmark = pytest.mark.anyio

_LONG = 20  # seconds; the lab is slow


async def next_of(events: InterfaceWatch, name: str) -> InterfaceEvent:
    """Wait for the next event of an interface."""
    with anyio.fail_after(_LONG):
        while True:
            event = await events.receive()
            assert isinstance(event, InterfaceEvent)  # none was lost
            if event.interface.name == name:
                return event


# Listing


async def test_what_others_have_made_is_listed(links: Links) -> None:
    name, other = links.add(), links.add(mtu=16)
    network = links.network
    found = {one.name: one for one in await anycan.list_interfaces(network=network)}
    for one, mtu in ((name, 72), (other, 16)):
        interface = found[one]
        assert interface.index == network.interface_index(one)
        assert (interface.kind, interface.mtu, interface.network) == ("vcan", mtu, network.name)
        assert (interface.up, interface.carrier) == (True, True)
        assert interface.condition is LinkCondition.UP
        assert await anycan.get_interface(one, network=network) == interface
        assert await anycan.get_interface(interface.index, network=network) == interface
        assert (interface.state, interface.modes, interface.restart) == (None, None, None)
    indices = [one.index for one in await anycan.list_interfaces(network=network)]
    assert indices == sorted(indices)
    links.down(name)
    links.remove(other)
    assert not (await anycan.get_interface(name, network=network)).up
    with pytest.raises(UnknownInterfaceError):
        await anycan.get_interface(other, network=network)


async def test_frames_are_counted(links: Links) -> None:
    name = links.add()
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send_many([Frame(1, b"abc"), Frame(2, b"abcde")])
    counts = (await anycan.get_interface(name, network=links.network)).statistics
    assert counts is not None
    assert (counts.tx_packets, counts.tx_bytes) == (2, 8)
    assert (counts.tx_dropped, counts.rx_dropped) == (0, 0)


# Making, changing, deleting


async def test_a_vcan_is_made_used_and_deleted(links: Links) -> None:
    network = links.network
    vcan = await anycan.create_vcan(mtu=2060, network=network)
    try:
        assert vcan.name.startswith("vcan")
        assert (vcan.kind, vcan.mtu, vcan.up, vcan.takes_xl) == ("vcan", 2060, True, True)
        async with (
            anycan.open_raw(vcan.name, network=network) as one,
            anycan.open_raw(vcan.name, xl=True, network=network) as other,
        ):
            await one.send(Frame(1))
            with anyio.fail_after(_LONG):
                assert await other.receive() == Frame(1)
            await other.send(XlFrame(1, bytes(2000)))
    finally:
        await anycan.delete_interface(vcan.name, network=network)
    with pytest.raises(UnknownInterfaceError):
        network.interface_index(vcan.name)


async def test_a_pair_of_vxcan_is_made_used_and_deleted(links: Links) -> None:
    network = links.network
    near = await anycan.create_vxcan("vx-near", "vx-far", network=network)
    try:
        far = await anycan.get_interface("vx-far", network=network)
        assert (near.name, near.kind, far.kind) == ("vx-near", "vxcan", "vxcan")
        assert (near.up, far.up) == (True, True)
        assert (near.peer_index, far.peer_index) == (far.index, near.index)
        async with (
            anycan.open_raw("vx-near", network=network) as one,
            anycan.open_raw("vx-far", network=network) as other,
        ):
            await one.send(Frame(1))
            await other.send(Frame(2))
            with anyio.fail_after(_LONG):
                assert (await other.receive(), await one.receive()) == (Frame(1), Frame(2))
    finally:
        await anycan.delete_interface("vx-far", network=network)
    for name in ("vx-near", "vx-far"):
        with pytest.raises(UnknownInterfaceError):
            network.interface_index(name)


async def test_a_vcan_that_may_be_there_already(links: Links) -> None:
    name, network = links.add(mtu=16), links.network
    links.down(name)
    with pytest.raises(InterfaceExistsError) as told:
        await anycan.create_vcan(name, network=network)
    assert (told.value.errno, told.value.interface) == (errno.EEXIST, name)
    for pair in ((name, "other"), ("other", name)):
        with pytest.raises(InterfaceExistsError):
            await anycan.create_vxcan(*pair, network=network)
    again = await anycan.create_vcan(name, exist_ok=True, network=network)
    assert (again.index, again.mtu, again.up) == (network.interface_index(name), 16, True)


async def test_it_is_changed_and_up_as_before(links: Links) -> None:
    name, network = links.add(), links.network
    changed = await anycan.configure_interface(name, mtu=16, queue_length=5, network=network)
    assert (changed.mtu, changed.queue_length, changed.up) == (16, 5, True)
    changed = await anycan.configure_interface(name, mtu=2060, up=False, network=network)
    assert (changed.mtu, changed.queue_length, changed.up) == (2060, 5, False)
    changed = await anycan.configure_interface(name, up=True, network=network)
    assert (changed.mtu, changed.up) == (2060, True)


async def test_a_setting_that_is_so_already_disturbs_nobody(links: Links) -> None:
    name, network = links.add(), links.network
    async with anycan.open_raw(name, receive_own=True, network=network) as can:
        await anycan.configure_interface(name, mtu=72, up=True, network=network)
        await can.send(Frame(1))
        with anyio.fail_after(_LONG):
            assert await can.receive() == Frame(1)  # it has not been down
        await anycan.configure_interface(name, mtu=16, network=network)
        with pytest.raises(anycan.InterfaceDownError), anyio.fail_after(_LONG):
            await can.receive()


async def test_up_and_down(links: Links) -> None:
    name, network = links.add(), links.network
    for _ in range(2):
        await anycan.set_down(name, network=network)
        await anycan.set_down(name, network=network)
        assert (await anycan.get_interface(name, network=network)).condition is LinkCondition.DOWN
        await anycan.set_up(name, network=network)
        await anycan.set_up(name, network=network)
        assert (await anycan.get_interface(name, network=network)).condition is LinkCondition.UP


async def test_what_a_vcan_cannot_be(links: Links) -> None:
    name, network = links.add(), links.network
    before = await anycan.get_interface(name, network=network)
    for call, text in (
        (anycan.configure_interface(name, bitrate=500_000, network=network), "has no controller"),
        (anycan.configure_interface(name, mtu=20, network=network), "cannot have an MTU of 20"),
        (anycan.configure_interface(name, queue_length=-1, network=network), "a queue's length"),
    ):
        with pytest.raises(ConfigurationError, match=text) as told:
            await call
        assert name in str(told.value)
    with pytest.raises(ConfigurationError):
        await anycan.create_vcan("nosuch0", mtu=20, network=network)
    with pytest.raises(InterfaceError, match="has no controller") as refused:
        await anycan.restart_interface(name, network=network)
    assert refused.value.errno == errno.EOPNOTSUPP
    assert await anycan.get_interface(name, network=network) == before


async def test_what_there_is_not(links: Links) -> None:
    network = links.network
    for interface in ("nosuch0", 1 << 20, 0, -1, 1 << 40):
        for function in (
            anycan.get_interface,
            anycan.delete_interface,
            anycan.set_up,
            anycan.set_down,
            anycan.restart_interface,
            anycan.configure_interface,
        ):
            with pytest.raises(UnknownInterfaceError, match=r"there is no interface") as told:
                await function(interface, network=network)
            assert told.value.errno == errno.ENODEV


async def test_what_no_interface_can_be_called(links: Links) -> None:
    for name in ("", "a b", "x" * 16, "a/b"):
        with pytest.raises(ValueError, match="no interface can be called"):
            await anycan.create_vcan(name, network=links.network)
        with pytest.raises(ValueError, match="no interface can be called"):
            await anycan.create_vxcan("vx-near", name, network=links.network)


# Watching


async def test_every_event_in_its_order(links: Links) -> None:
    network, name = links.network, "watched0"
    async with anycan.watch_interfaces(network=network) as events:
        await anycan.create_vcan(name, up=False, network=network)
        await anycan.set_up(name, network=network)
        await anycan.set_down(name, network=network)
        await anycan.configure_interface(name, mtu=16, up=True, network=network)
        await anycan.delete_interface(name, network=network)
        taken = [await next_of(events, name) for _ in range(7)]
        assert [type(event).__name__ for event in taken] == [
            "InterfaceAdded",
            "InterfaceUp",
            "InterfaceDown",
            "InterfaceChanged",
            "InterfaceUp",
            "InterfaceDown",
            "InterfaceRemoved",
        ]
        change = taken[3]
        assert isinstance(change, InterfaceChanged)
        assert (change.before.mtu, change.interface.mtu, change.changed) == (72, 16, ("mtu",))
        stamps = [event.timestamp_ns for event in taken]
        assert stamps == sorted(stamps)
        assert name not in events.interfaces


async def test_what_is_there_when_the_watch_begins(links: Links) -> None:
    name = links.add()
    async with anycan.watch_interfaces(present=True, network=links.network) as events:
        event = await next_of(events, name)
        assert isinstance(event, anycan.InterfaceAdded)
        assert event.present
        assert event.interface.up
        links.down(name)
        assert isinstance(await next_of(events, name), InterfaceDown)


async def test_waiting_for_an_interface(links: Links) -> None:
    name, network = "awaited0", links.network
    found: list[anycan.Interface] = []

    async def wait() -> None:
        found.append(await anycan.wait_for_interface(name, network=network))

    try:
        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await anycan.create_vcan(name, up=False, network=network)
                assert found == []
                await anycan.set_up(name, network=network)
        assert [(one.name, one.up) for one in found] == [(name, True)]
    finally:
        await anycan.delete_interface(name, network=network)


async def test_a_vcan_has_the_state_that_error_frames_tell(links: Links) -> None:
    name, network = links.add(), links.network
    reports = [
        ErrorFrame.build(
            controller=ControllerError.TX_WARNING, tx_error_count=100, rx_error_count=3
        ),
        ErrorFrame.build(tx_error_count=101, rx_error_count=3),
        ErrorFrame.build(
            controller=ControllerError.TX_PASSIVE, tx_error_count=130, rx_error_count=3
        ),
        ErrorFrame(ErrorClass.BUS_OFF),
        ErrorFrame(ErrorClass.RESTARTED),
    ]
    async with (
        anycan.watch_interfaces(network=network) as events,
        anycan.open_raw(name, network=network) as can,
    ):
        await can.send_many(reports)
        told = [await next_of(events, name) for _ in range(5)]
        assert isinstance(told[1], ErrorCountersChanged)
        counters = [event.interface.error_counters for event in told[:3]]
        assert counters == [
            CanErrorCounters(100, 3),
            CanErrorCounters(101, 3),
            CanErrorCounters(130, 3),
        ]
        states = [
            (event.before, event.state, event.restarted)
            for event in told
            if isinstance(event, InterfaceStateChanged)
        ]
        assert states == [
            (None, CanState.ERROR_WARNING, False),
            (CanState.ERROR_WARNING, CanState.ERROR_PASSIVE, False),
            (CanState.ERROR_PASSIVE, CanState.BUS_OFF, False),
            (CanState.BUS_OFF, CanState.ERROR_ACTIVE, True),
        ]
        assert {event.interface.condition for event in told} == {LinkCondition.UP}


# Bus-off, which only a user network has at will


def in_no_time(main: Callable[[UserNetwork], Awaitable[None]]) -> None:
    """Run where time jumps to whatever happens next, on a network with two controllers."""
    with UserNetwork() as network:
        network.add_can("can1", bitrate=500_000)
        trio.run(main, network, clock=MockClock(autojump_threshold=0))


async def test_bus_off_is_told_and_counted_until_the_restart() -> None:
    with UserNetwork() as network:
        network.add_can("can0", bitrate=500_000)
        async with anycan.watch_interfaces(network=network) as events:
            network.set_error_counters("can0", transmit=100)
            network.set_error_counters("can0", transmit=200)
            network.set_bus_off("can0")
            can0 = await anycan.get_interface("can0", network=network)
            assert (can0.state, can0.condition) == (CanState.BUS_OFF, LinkCondition.BUS_OFF)
            assert can0.carrier is False
            assert can0.can_statistics == CanStatistics(error_warning=1, error_passive=1, bus_off=1)
            await anycan.restart_interface("can0", network=network)
            can0 = await anycan.get_interface("can0", network=network)
            assert (can0.state, can0.condition) == (CanState.ERROR_ACTIVE, LinkCondition.UP)
            assert can0.error_counters == CanErrorCounters()
            assert can0.can_statistics is not None
            assert can0.can_statistics.restarts == 1
            told = [await next_of(events, "can0") for _ in range(4)]
        states = [event.state for event in told if isinstance(event, InterfaceStateChanged)]
        assert states == [
            CanState.ERROR_WARNING,
            CanState.ERROR_PASSIVE,
            CanState.BUS_OFF,
            CanState.ERROR_ACTIVE,
        ]


async def test_error_frames_tell_of_bus_off_and_of_the_restart() -> None:
    with UserNetwork() as network:
        network.add_can("can0", bitrate=500_000)
        async with anycan.open_raw(
            "can0", errors=ErrorClass.BUS_OFF | ErrorClass.RESTARTED, network=network
        ) as can:
            network.set_bus_off("can0")
            network.restart("can0")
            with anyio.fail_after(_LONG):
                frames = [await can.receive() for _ in range(2)]
        assert [frame.classes for frame in frames if isinstance(frame, ErrorFrame)] == [
            ErrorClass.BUS_OFF,
            ErrorClass.RESTARTED,
        ]


def test_it_restarts_when_that_is_configured() -> None:
    async def main(network: UserNetwork) -> None:
        network.add_can("can0")
        await anycan.configure_interface(
            "can0", bitrate=500_000, restart=5.0, up=True, network=network
        )
        async with anycan.watch_interfaces(network=network) as events:
            network.set_bus_off("can0")
            start = anyio.current_time()
            await next_of(events, "can0")
            back = await next_of(events, "can0")
            assert anyio.current_time() - start == pytest.approx(5.0)
            assert isinstance(back, InterfaceStateChanged)
            assert (back.state, back.restarted) == (CanState.ERROR_ACTIVE, True)
        with pytest.raises(InterfaceError, match="restarts by itself"):
            await anycan.restart_interface("can0", network=network)

    in_no_time(main)


@pytest.mark.parametrize("policy", ["wait", LinkWait(restart=(0.5, 8.0))])
@pytest.mark.parametrize("restart", [0.0, 3.0])
def test_an_endpoint_waits_and_goes_on(policy: OnLinkLoss, restart: float) -> None:
    """Who is not to restart it, and does not do so by itself, is restarted by hand."""

    async def main(network: UserNetwork) -> None:
        network.add_can("can0", bitrate=500_000, restart=restart)
        gaps: list[LinkGap] = []
        async with (
            anycan.open_raw(
                "can0", network=network, on_link_loss=policy, on_gap=gaps.append
            ) as can,
            anycan.open_raw("can1", network=network) as other,
        ):
            await can.send(Frame(1))
            network.set_bus_off("can0")
            start = anyio.current_time()
            assert can.gap is not None
            assert can.gap.condition is LinkCondition.BUS_OFF
            with pytest.raises(TimeoutError), anyio.fail_after(0.1):
                await can.send(Frame(2))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(can.send, Frame(3))
                if policy == "wait" and not restart:
                    await anyio.sleep(100)
                    network.restart("can0")
            waited = anyio.current_time() - start
            expected = restart or (0.5 if isinstance(policy, LinkWait) else 100.1)
            assert waited == pytest.approx(expected, abs=0.01)
            await other.send(Frame(4))
            assert [await other.receive() for _ in range(2)] == [Frame(1), Frame(3)]
            assert await can.receive() == Frame(4)
            assert can.statistics().gaps == 1
        assert [(gap.condition, gap.ended_ns is not None) for gap in gaps] == [
            (LinkCondition.BUS_OFF, False),
            (LinkCondition.BUS_OFF, True),
        ]

    in_no_time(main)


def test_what_is_sent_while_it_is_bus_off_is_dropped_and_counted() -> None:
    async def main(network: UserNetwork) -> None:
        network.add_can("can0", bitrate=500_000)
        async with (
            anycan.open_raw("can0", network=network) as can,
            anycan.open_raw("can1", network=network) as other,
        ):
            network.set_bus_off("can0")
            await can.send(Frame(1))
            network.restart("can0")
            await can.send(Frame(2))
            assert await other.receive() == Frame(2)
        counts = (await anycan.get_interface("can0", network=network)).statistics
        assert counts is not None
        assert (counts.tx_packets, counts.tx_dropped) == (1, 1)

    in_no_time(main)
