"""A gateway and the links of its interfaces: waited for and reported, or the gateway's end."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import (
    DropReason,
    Frame,
    Gateway,
    GatewayLoopError,
    GatewayPort,
    InterfaceDownError,
    InterfaceRemovedError,
    LinkCondition,
    LinkGap,
    LinkWait,
    Rule,
    UserNetwork,
    open_raw,
)
from rig.gateways import LIMIT, rule, running

pytestmark = pytest.mark.anyio


async def until(condition: Any) -> None:
    with anyio.fail_after(LIMIT):
        while not condition():
            await checkpoint()


def dropped(gateway: Gateway) -> dict[DropReason, int]:
    return dict(gateway.statistics().rules[0].destinations[0].dropped)


async def test_a_link_is_waited_for_and_its_gap_reported(network: UserNetwork) -> None:
    gaps: list[LinkGap] = []
    gateway = Gateway([rule(network, "a", "b")], on_gap=gaps.append)
    async with running(gateway), open_raw(None, network=network) as far:
        network.set_down("b")
        network.inject("a", Frame(1))
        await until(lambda: gateway.statistics().rules[0].received == 1)
        network.set_up("b")
        network.remove("b")
        network.add_vcan("b")
        network.inject("a", Frame(2))
        with anyio.fail_after(LIMIT):
            assert [await far.receive() for _ in range(3)] == [Frame(1), Frame(2), Frame(2)]
        assert gateway.statistics().rules[0].destinations[0].dropped == {
            DropReason.INTERFACE_DOWN: 1
        }
    told = [(gap.interface, gap.condition, gap.ended_ns is not None) for gap in gaps]
    assert told == [
        ("b", LinkCondition.DOWN, False),
        ("b", LinkCondition.DOWN, True),
        ("b", LinkCondition.DOWN, False),
        ("b", LinkCondition.REMOVED, True),
    ]


async def test_an_interface_that_is_made_anew_is_opened_at_once(network: UserNetwork) -> None:
    gateway = Gateway([rule(network, "a", "b")])
    async with running(gateway), open_raw("b", network=network) as far:
        network.remove("a")
        network.add_vcan("a")
        network.inject("a", Frame(3))  # no turn of the loop in between
        with anyio.fail_after(LIMIT):
            assert await far.receive() == Frame(3)


async def test_frames_to_a_controller_that_is_bus_off_are_dropped_and_counted(
    network: UserNetwork,
) -> None:
    network.add_can("can0", bus="wire", bitrate=500_000)
    network.add_can("can1", bus="wire", bitrate=500_000)
    gaps: list[LinkGap] = []
    gateway = Gateway([rule(network, "a", "can0")], on_gap=gaps.append)
    async with running(gateway), open_raw("can1", network=network) as far:
        network.set_bus_off("can0")
        network.inject("a", Frame(1))
        await until(lambda: gateway.statistics().rules[0].received == 1)
        states = {port.interface: port.state for port in gateway.statistics().ports}
        assert states == {"a@user": "up", "can0@user": "bus-off"}
        network.restart("can0")
        network.inject("a", Frame(2))
        with anyio.fail_after(LIMIT):
            assert await far.receive() == Frame(2)
        states = {port.interface: port.state for port in gateway.statistics().ports}
        assert states["can0@user"] == "up"
        assert dropped(gateway) == {DropReason.BUS_OFF: 1}
    assert [gap.condition for gap in gaps] == [LinkCondition.BUS_OFF] * 2


async def test_a_controller_that_is_bus_off_is_restarted_where_that_is_wanted(
    network: UserNetwork,
) -> None:
    network.add_can("can0", bitrate=500_000)
    gaps: list[LinkGap] = []
    gateway = Gateway(
        [rule(network, "a", "can0")],
        on_link_loss=LinkWait(restart=(0.001, 0.01)),
        on_gap=gaps.append,
    )
    async with running(gateway):
        network.set_bus_off("can0")
        await until(lambda: len(gaps) == 2)


@pytest.mark.parametrize(
    ("loss", "error"), [("set_down", InterfaceDownError), ("remove", InterfaceRemovedError)]
)
async def test_a_gateway_may_end_with_a_link(
    network: UserNetwork, loss: str, error: type[Exception]
) -> None:
    gateway = Gateway([rule(network, "a", "b")], on_link_loss="raise")
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: Any) -> None:
            with pytest.raises(error, match="b"):
                await gateway.run(task_status=task_status)

        await tasks.start(run)
        getattr(network, loss)("b")


async def test_one_that_is_missing_at_the_start_is_no_loss(network: UserNetwork) -> None:
    gateway = Gateway(
        [Rule(source=GatewayPort("a", network), destination=GatewayPort("later", network))],
        missing="wait",
        on_link_loss="raise",
    )
    async with running(gateway):
        network.add_vcan("later")
        async with open_raw("later", network=network) as far:
            network.inject("a", Frame(1))
            with anyio.fail_after(LIMIT):
                assert await far.receive() == Frame(1)


def test_what_is_reported_needs_somebody_who_waits() -> None:
    with pytest.raises(ValueError, match="on_gap="):
        Gateway(on_link_loss="raise", on_gap=print)


async def test_frames_to_an_end_without_a_carrier_are_dropped_and_counted(
    network: UserNetwork,
) -> None:
    network.add_vxcan("near", "far")
    gateway = Gateway([rule(network, "a", "near")])
    async with running(gateway), open_raw("far", network=network) as far:
        network.set_down("far")
        network.inject("a", Frame(1))
        await until(lambda: gateway.statistics().rules[0].received == 1)
        network.set_up("far")
        network.inject("a", Frame(2))
        with anyio.fail_after(LIMIT), pytest.raises(InterfaceDownError):
            await far.receive()
        with anyio.fail_after(LIMIT):
            assert await far.receive() == Frame(2)
        assert dropped(gateway) == {DropReason.INTERFACE_DOWN: 1}


@pytest.mark.parametrize("wire", ["vxcan", "bus"])
async def test_wires_of_user_networks_are_ways_back(network: UserNetwork, wire: str) -> None:
    if wire == "vxcan":
        network.add_vxcan("one", "other")
    else:
        network.add_can("one", bitrate=500_000)
        network.add_can("other", bitrate=500_000)
    with pytest.raises(GatewayLoopError, match="vxcan pair" if wire == "vxcan" else "bus"):
        await Gateway([rule(network, "one", "other")]).run()


async def test_a_pair_between_two_networks_is_a_way_back(network: UserNetwork) -> None:
    with UserNetwork() as there:
        network.add_vxcan("a-there", "b", peer_network=there)
        network.add_vxcan("c-there", "d", peer_network=there)
        ways = [
            Rule(
                source=GatewayPort("c-there", network), destination=GatewayPort("a-there", network)
            ),
            Rule(source=GatewayPort("b", there), destination=GatewayPort("d", there)),
        ]
        with pytest.raises(GatewayLoopError):
            await Gateway(ways).run()
