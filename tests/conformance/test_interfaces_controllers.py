"""The kernel's controllers: set, used, and as ``ip`` and pyroute2 see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

import anycan
from anycan import (
    CanMode,
    CanState,
    ConfigurationError,
    Frame,
    InterfaceError,
    InterfaceEvent,
    InterfaceUp,
    LinkCondition,
)
from rig.link_views import assert_as_pyroute2, assert_as_shown, links_of_pyroute2, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(300)]

_LONG = 60  # seconds; the lab is slow
BITRATES = [125_000, 250_000, 500_000, 1_000_000]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run these on one back end: what they look at is the kernel."""
    return "asyncio", {"use_uvloop": False}


@pytest.mark.parametrize("bitrate", BITRATES)
async def test_a_controller_is_configured_and_frames_pass(
    controllers: tuple[str, str], bitrate: int
) -> None:
    for name in controllers:
        configured = await anycan.configure_interface(
            name, bitrate=bitrate, restart=0.1, up=True, queue_length=10
        )
        assert (configured.bitrate, configured.condition) == (bitrate, LinkCondition.UP)
        assert (configured.state, configured.restart) == (CanState.ERROR_ACTIVE, 0.1)
    one, other = controllers
    async with anycan.open_raw(one) as sender, anycan.open_raw(other) as receiver:
        for number in range(5):
            await sender.send(Frame(0x123, bytes([number])))
            with anyio.fail_after(_LONG):
                assert await receiver.receive() == Frame(0x123, bytes([number]))
    links = shown()
    for name in controllers:
        assert_as_shown(await anycan.get_interface(name), links[name])
    counts = (await anycan.get_interface(other)).statistics
    assert counts is not None
    assert counts.rx_packets >= 5


async def test_each_setting_is_as_ip_shows_it(controllers: tuple[str, str]) -> None:
    name = controllers[0]
    settings: list[dict[str, Any]] = [
        {"bitrate": 500_000, "sample_point": 0.75, "sjw": 2},
        {"modes": CanMode.LISTENONLY, "restart": 0},
        {"modes": {CanMode.ONE_SHOT: True, CanMode.LISTENONLY: False}, "up": True},
        {"modes": CanMode(0), "restart": 1.5, "queue_length": 33},
        {"bit_timing": anycan.BitTiming(tq=250, prop_seg=6, phase_seg1=7, phase_seg2=2, sjw=1)},
        {"up": False, "queue_length": 10},
    ]
    for one in settings:
        await anycan.configure_interface(name, **one)
        interface = await anycan.get_interface(name)
        assert_as_shown(interface, shown(name)[name])
        # It is known again, and nothing is done.
        async with anycan.watch_interfaces() as events:
            assert await anycan.configure_interface(name, **one) == interface
            assert events._monitor is not None
            events._monitor.catch_up()
            assert not events._queue.events


async def test_it_is_taken_down_for_a_change_and_is_up_again(
    controllers: tuple[str, str],
) -> None:
    name = controllers[0]
    await anycan.configure_interface(name, bitrate=500_000, restart=0, up=True)
    async with anycan.open_raw(name) as can:
        changed = await anycan.configure_interface(name, bitrate=250_000)
        assert (changed.bitrate, changed.up) == (250_000, True)
        with pytest.raises(anycan.InterfaceDownError), anyio.fail_after(_LONG):
            await can.receive()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bitrate": 500_000, "sample_point": 0.97}, r"sample point 0\.97 .*tseg1 1\.\.16"),
        ({"bitrate": 3_000_000}, "bit rate 3000000 not reachable; "),
        ({"bitrate": 500_000, "sjw": 5}, "sjw 5 out of range"),
        ({"bitrate": 500_000, "data_bitrate": 2_000_000}, "has no CAN FD"),
        ({"bitrate": 500_000, "modes": CanMode.FD}, "no mode FD|CAN FD has a data bit rate"),
        ({"termination": 120}, "has no termination"),
        ({"mtu": 72}, "its MTU goes with CanMode.FD"),
        ({"restart": -1}, "restart= is a number of seconds"),
        ({"queue_length": -1}, "a queue's length"),
    ],
    ids=str,
)
async def test_what_a_controller_cannot_be_changes_nothing(
    controllers: tuple[str, str], settings: dict[str, Any], text: str
) -> None:
    name = controllers[0]
    before = await anycan.configure_interface(name, bitrate=500_000, up=True)
    with pytest.raises(ConfigurationError, match=f"{name}.*({text})"):
        await anycan.configure_interface(name, **settings)
    after = await anycan.get_interface(name)
    assert attrs.evolve(after, statistics=None) == attrs.evolve(before, statistics=None)


async def test_what_the_kernel_refuses_is_put_back(controllers: tuple[str, str]) -> None:
    """Such as times in nanoseconds, which only the kernel looks at."""
    name = controllers[0]
    before = await anycan.configure_interface(
        name, bitrate=500_000, restart=0.2, modes=CanMode(0), up=True
    )
    timing = anycan.BitTiming(tq=1, prop_seg=60, phase_seg1=70, phase_seg2=20, sjw=1)
    with pytest.raises(ConfigurationError, match=f"{name} takes no such setting"):
        await anycan.configure_interface(
            name, bit_timing=timing, modes=CanMode.LISTENONLY, restart=0.3
        )
    after = await anycan.get_interface(name)
    for field in ("bit_timing", "modes", "restart", "up", "state"):
        assert getattr(after, field) == getattr(before, field)


async def test_what_cannot_be_done_with_a_controller(controllers: tuple[str, str]) -> None:
    name = controllers[0]
    await anycan.configure_interface(name, bitrate=500_000, restart=0)
    for function, text in (
        (anycan.delete_interface, "cannot be deleted"),
        (anycan.restart_interface, "is down"),
    ):
        with pytest.raises(InterfaceError, match=text):
            await function(name)
    await anycan.set_up(name)
    with pytest.raises(InterfaceError, match="is not bus-off"):
        await anycan.restart_interface(name)
    with pytest.raises(anycan.NotACanInterfaceError, match="lo is no CAN interface"):
        await anycan.set_down("lo")


async def test_pyroute2_and_ip_tell_the_same(
    kernel_links: Links, controllers: tuple[str, str]
) -> None:
    vcan = kernel_links.add(mtu=2060)
    kernel_links.add()
    kernel_links.down(vcan)
    await anycan.create_vxcan("vx-near", "vx-far")
    try:
        for name, bitrate in zip(controllers, (250_000, 500_000), strict=True):
            await anycan.configure_interface(name, bitrate=bitrate, restart=0.3)
        await anycan.configure_interface(
            controllers[0], modes={CanMode.BERR_REPORTING: True}, up=True
        )
        async with anycan.open_raw("vx-near") as can:
            await can.send_many([Frame(number, b"abc") for number in range(3)])
        ours = {one.index: one for one in await anycan.list_interfaces()}
        theirs = await anyio.to_thread.run_sync(links_of_pyroute2)
        links = shown()
        can_links = {index for index, link in theirs.items() if link["ifi_type"] == 280}
        assert set(ours) == can_links
        assert len(ours) >= 6
        for index, interface in ours.items():
            assert_as_pyroute2(interface, theirs[index])
            assert_as_shown(interface, links[interface.name])
            assert await anycan.get_interface(index) == interface
        assert {one.kind for one in ours.values()} == {"can", "vcan", "vxcan"}
    finally:
        await anycan.delete_interface("vx-near")
        await anycan.configure_interface(controllers[0], modes=CanMode(0), up=False)


@pytest.mark.parametrize(
    "back_end",
    [("asyncio", {}), ("asyncio", {"use_uvloop": True}), ("trio", {})],
    ids=["asyncio", "uvloop", "trio"],
)
def test_a_controller_on_each_back_end(
    controllers: tuple[str, str], back_end: tuple[str, dict[str, Any]]
) -> None:
    name = controllers[0]

    async def main() -> None:
        async with anycan.watch_interfaces() as events:
            await anycan.configure_interface(name, bitrate=250_000, up=True)
            taken: list[type] = []
            with anyio.fail_after(_LONG):
                while InterfaceUp not in taken:
                    event = await events.receive()
                    assert isinstance(event, InterfaceEvent)
                    assert event.interface.name == name
                    taken.append(type(event))
            await anycan.set_down(name)
        assert not (await anycan.get_interface(name)).up

    run: Callable[..., Any] = anyio.run
    run(main, backend=back_end[0], backend_options=back_end[1])
