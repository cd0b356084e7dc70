"""What happens to interfaces, as an async iterator."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import (
    CanErrorCounters,
    CanState,
    ControllerError,
    ErrorClass,
    ErrorCountersChanged,
    ErrorFrame,
    EventsLost,
    InterfaceAdded,
    InterfaceEvent,
    InterfaceStateChanged,
    LinkCondition,
    NetworkUnavailableError,
    UserNetwork,
    wait_for_interface,
    watch_interfaces,
)
from anycan.interfaces import monitor as monitor_module
from anycan.interfaces import watch as watch_module
from anycan.interfaces.link_source import KERNEL
from anycan.interfaces.netlink_links import NetlinkLinks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import InterfaceWatch
    from rig.link_kernel import LinkKernel

pytestmark = pytest.mark.anyio


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        yield network
        network.close()
        assert not monitor_module._monitors  # nobody listens any more


def words(event: InterfaceEvent | EventsLost) -> str:
    if isinstance(event, EventsLost):
        return "lost"
    kind = type(event).__name__.removeprefix("Interface").removesuffix("Changed").lower()
    return f"{event.interface.name} {kind or 'changed'}"


async def expect(events: InterfaceWatch, *expected: str) -> None:
    """Take as many events as are expected: they are these, and there are no more."""
    taken: list[str] = []
    with anyio.move_on_after(5):
        while len(taken) < len(expected):
            taken.append(words(await events.receive()))
    assert taken == list(expected)
    assert not events._queue.events


# In order


async def test_what_happens_in_the_order_in_which_it_does(network: UserNetwork) -> None:
    network.add_vcan("before")
    async with watch_interfaces(network=network) as events:
        network.add_vcan("vcan0", up=False)
        network.set_up("vcan0")
        network.set_down("vcan0")
        network.set_mtu("vcan0", 16)
        network.rename("vcan0", "vcan1")
        network.add_vxcan("a", "b")
        network.remove("vcan1")
        network.remove("a")
        await expect(
            events,
            "vcan0 added",
            "vcan0 up",
            "vcan0 down",
            "vcan0 changed",
            "vcan1 changed",
            "b added",
            "b up",
            "a added",
            "a up",
            "b changed",  # it has a peer now, and a carrier
            "vcan1 removed",
            "a down",
            "b changed",  # it has no carrier any more
            "b down",
            "b changed",  # it has no peer any more
            "b removed",
            "a removed",
        )


async def test_states_and_counters_of_a_controller(network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000)
    async with watch_interfaces(network=network) as events:
        network.set_error_counters("can0", transmit=95)
        network.set_error_counters("can0", transmit=130)
        network.set_bus_off("can0")
        network.restart("can0")
        with anyio.fail_after(5):
            taken = [await events.receive() for _ in range(4)]
        counted, *changes = taken
        assert isinstance(counted, ErrorCountersChanged)
        assert counted.interface.error_counters == CanErrorCounters(95, 0)
        states = []
        for change in changes:
            assert isinstance(change, InterfaceStateChanged)
            states.append((change.before, change.state, change.restarted))
        assert states == [
            (CanState.ERROR_ACTIVE, CanState.ERROR_PASSIVE, False),
            (CanState.ERROR_PASSIVE, CanState.BUS_OFF, False),
            (CanState.BUS_OFF, CanState.ERROR_ACTIVE, True),
        ]
        # Its error frames tell the same, and are read now.
        await anyio.wait_all_tasks_blocked()
        assert not events._queue.events


async def test_a_vcan_by_its_error_frames(network: UserNetwork) -> None:
    network.add_vcan("vcan0")
    frame = ErrorFrame.build(
        controller=ControllerError.RX_PASSIVE, tx_error_count=1, rx_error_count=140
    )
    async with watch_interfaces(network=network) as events:
        network.inject("vcan0", frame)
        network.inject("vcan0", ErrorFrame.build(tx_error_count=1, rx_error_count=141))
        network.inject("vcan0", ErrorFrame(ErrorClass.NO_ACK))
        network.inject("vcan0", ErrorFrame(ErrorClass.BUS_OFF))
        await expect(events, "vcan0 state", "vcan0 errorcounters", "vcan0 state")
        vcan0 = events.interfaces["vcan0"]
        assert vcan0.error_counters == CanErrorCounters(1, 141)
        assert vcan0.state is CanState.BUS_OFF
        assert vcan0.condition is LinkCondition.UP  # frames pass all the same


async def test_stamps_are_of_this_time_and_do_not_go_back(network: UserNetwork) -> None:
    async with watch_interfaces(network=network) as events:
        for number in range(5):
            network.add_vcan(f"v{number}")
        stamps = [(await events.receive()).timestamp_ns for _ in range(10)]
    assert stamps == sorted(stamps)
    assert stamps[0] > 1_700_000_000_000_000_000


async def test_the_kernels(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    links = NetlinkLinks(KERNEL)
    async with watch_interfaces(present=True) as events:
        links.create_vcan("vcan0", 72, up=True)
        links.delete("vcan0")
        await expect(events, "can0 added", "vcan0 added", "vcan0 up", "vcan0 removed")


# What is there


async def test_what_is_there_at_the_beginning(network: UserNetwork) -> None:
    network.add_vcan("a")
    network.add_vcan("b", up=False)
    async with watch_interfaces(present=True, network=network) as events:
        assert events.interfaces == {}
        network.set_up("b")
        first, second, third = [await events.receive() for _ in range(3)]
        for event, name, up in ((first, "a", True), (second, "b", False)):
            assert isinstance(event, InterfaceAdded)
            assert (event.interface.name, event.interface.up, event.present) == (name, up, True)
        assert words(third) == "b up"
        assert isinstance(third, InterfaceEvent)


async def test_what_comes_later_was_not_there(network: UserNetwork) -> None:
    async with watch_interfaces(present=True, network=network) as events:
        network.add_vcan("a")
        event = await events.receive()
        assert isinstance(event, InterfaceAdded)
        assert not event.present


async def test_the_interfaces_as_far_as_events_have_been_taken(network: UserNetwork) -> None:
    network.add_vcan("a")
    async with watch_interfaces(network=network) as events:
        assert [*events.interfaces] == ["a"]
        network.rename("a", "b")
        network.remove("b")
        assert [*events.interfaces] == ["a"]
        seen = []
        for _ in range(3):
            await events.receive()
            seen.append([(one.name, one.up) for one in events.interfaces.values()])
        assert seen == [[("b", True)], [("b", False)], []]


# Too much


async def test_more_than_there_is_room_for(
    network: UserNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "CAPACITY", 4)
    for name in ("a", "b", "c"):
        network.add_vcan(name)
    async with watch_interfaces(network=network) as events:
        network.set_down("a")
        network.set_up("a")
        network.set_down("b")
        network.remove("c")  # it goes down, and there is no room for its end
        network.set_up("b")
        network.add_vcan("d")
        network.remove("d")
        network.add_vcan("e")
        await expect(
            events,
            "a down",
            "a up",
            "b down",
            "c down",
            "lost",
            "b up",
            "c removed",
            "e added",
            "e up",
        )
        assert [*events.interfaces] == ["a", "b", "e"]
        # It goes on.
        network.set_down("a")
        await expect(events, "a down")


async def test_nothing_is_lost_up_to_the_capacity(network: UserNetwork) -> None:
    network.add_vcan("a")
    async with watch_interfaces(network=network) as events:
        for _ in range(watch_module.CAPACITY // 2):
            network.set_down("a")
            network.set_up("a")
        expected = ["a down", "a up"] * (watch_module.CAPACITY // 2)
        await expect(events, *expected)
        for _ in range(watch_module.CAPACITY // 2):
            network.set_down("a")
            network.set_up("a")
        network.set_down("a")
        await expect(events, *expected, "lost", "a down")


async def test_what_the_kernel_has_lost(
    stand_in: LinkKernel, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.add_can("can0")
    async with watch_interfaces() as events:
        stand_in.add_can("can1")
        stand_in.lose_events()
        await expect(events, "lost", "can1 added")
    assert "link events are lost" in caplog.text


# Its end


async def test_closing_wakes_who_waits(network: UserNetwork) -> None:
    events = watch_interfaces(network=network)
    woken = 0

    async def wait() -> None:
        nonlocal woken
        with pytest.raises(anyio.ClosedResourceError):
            await events.receive()
        woken += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await events.aclose()
    assert woken == 1
    await events.aclose()
    for call in (events.receive, events.__anext__, events.__aenter__):
        with pytest.raises(anyio.ClosedResourceError):
            await call()
    with pytest.raises(anyio.ClosedResourceError):
        aiter(events)


async def test_a_network_that_is_closed(network: UserNetwork) -> None:
    network.add_vcan("a")
    async with watch_interfaces(network=network) as events, anyio.create_task_group() as tasks:

        async def wait() -> None:
            await expect(events, "a down", "a removed")
            with pytest.raises(NetworkUnavailableError, match="user is closed"):
                await events.receive()
            with pytest.raises(NetworkUnavailableError):
                await events.receive()

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        network.close()


async def test_a_network_that_is_closed_already(network: UserNetwork) -> None:
    async with watch_interfaces(network=network) as events:
        network.close()
        with pytest.raises(NetworkUnavailableError):
            await events.receive()
        # Though there is one who still holds the monitor.
        with pytest.raises(NetworkUnavailableError):
            async with watch_interfaces(network=network):
                pass
    with pytest.raises(NetworkUnavailableError):
        await watch_interfaces(network=network).receive()


async def test_iteration_that_is_left_leaves_nothing_open(network: UserNetwork) -> None:
    network.add_vcan("a")
    async for event in watch_interfaces(present=True, network=network):
        assert words(event) == "a added"
        break
    gc.collect()
    assert not monitor_module._monitors


async def test_without_a_block_it_begins_with_the_first_wait(network: UserNetwork) -> None:
    for wait in ("receive", "__anext__"):
        events = watch_interfaces(present=True, network=network)
        network.add_vcan(wait)
        with anyio.fail_after(5):
            event = await getattr(events, wait)()
        assert isinstance(event, InterfaceAdded)
        assert event.present
        await events.aclose()


async def test_one_waits_at_a_time(network: UserNetwork) -> None:
    async with watch_interfaces(network=network) as events, anyio.create_task_group() as tasks:
        tasks.start_soon(events.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await events.receive()
        network.add_vcan("a", up=False)


async def test_a_wait_that_is_cancelled_loses_nothing(network: UserNetwork) -> None:
    async with watch_interfaces(network=network) as events:
        with anyio.move_on_after(0) as scope:
            await events.receive()
        assert scope.cancelled_caught
        network.add_vcan("a", up=False)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await events.receive()
        assert scope.cancelled_caught
        await expect(events, "a added")


async def test_two_watch_by_one_monitor(network: UserNetwork) -> None:
    async with watch_interfaces(network=network) as one:
        async with watch_interfaces(network=network) as other:
            assert one._monitor is other._monitor
            assert len(monitor_module._monitors) == 1
            network.add_vcan("a", up=False)
            await expect(one, "a added")
            await expect(other, "a added")
        network.set_up("a")
        await expect(one, "a up")
    assert not monitor_module._monitors
    assert not network._stack.link_watchers


def test_a_watch_that_outlives_its_loop() -> None:
    """Its end comes with the garbage, and hurts nobody."""
    with UserNetwork() as network:

        async def main() -> InterfaceWatch:
            events = watch_interfaces(network=network)
            aiter(events)
            await anyio.lowlevel.checkpoint()
            return events

        for back_end, options in (
            ("asyncio", {}),
            ("asyncio", {"use_uvloop": True}),
            ("trio", {}),
        ):
            events = anyio.run(main, backend=back_end, backend_options=options)
            del events
            gc.collect()
            assert not monitor_module._monitors


# Waiting for one


async def test_waiting_for_what_is_there(network: UserNetwork) -> None:
    network.add_vcan("a")
    network.add_vcan("b", up=False)
    with anyio.fail_after(5):
        assert (await wait_for_interface("a", network=network)).name == "a"
        assert not (await wait_for_interface("b", up=False, network=network)).up


async def test_waiting_until_it_is_up(network: UserNetwork) -> None:
    found: list[anycan.Interface] = []

    async def wait() -> None:
        found.append(await wait_for_interface("can0", network=network))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            network.add_vcan("can1")
            network.add_can("can0")
            await anyio.wait_all_tasks_blocked()
            assert found == []
            await anycan.configure_interface("can0", bitrate=500_000, up=True, network=network)
    (can0,) = found
    assert (can0.name, can0.up, can0.bitrate) == ("can0", True, 500_000)


async def test_waiting_while_it_is_bus_off(network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000)
    network.set_bus_off("can0")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: wait_for_interface("can0", network=network))
            await anyio.wait_all_tasks_blocked()
            network.restart("can0")


async def test_waiting_up_to_a_deadline(network: UserNetwork) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await wait_for_interface("can0", network=network)
    assert not monitor_module._monitors
