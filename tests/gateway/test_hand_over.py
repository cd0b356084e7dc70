"""A rule that changes its path, and interfaces that come back otherwise than they went."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import (
    CanOSError,
    DropReason,
    FdFrame,
    Filter,
    Frame,
    Gateway,
    GatewayPort,
    Rule,
    UserNetwork,
    open_raw,
)
from anycan.gateway.port import Port
from anycan.gateway.running_rule import RunningRule
from anycan.gateway.statistics import DestinationStatistics, LatencyHistogram, RuleStatistics
from anycan.wire.frames import encode_frame
from anycan.wire.netlink_gateway import RTM_NEWROUTE
from rig.gateways import receive, rule, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan import AnyFrame
    from rig.gateways import StandInKernel

pytestmark = pytest.mark.anyio

ONE, TWO = encode_frame(Frame(1, b"\1")), encode_frame(Frame(2, b"\2"))


async def until(is_so: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not is_so():
            await checkpoint()


class Ends:
    """Two ports of a network, opened, and a rule between them that is not in force yet."""

    def __init__(self, network: UserNetwork, capacity: int = 1024) -> None:
        self.source, self.destination = Port(network, "a"), Port(network, "b")
        for port in (self.source, self.destination):
            port.open()
        self.rule = RunningRule(
            "one",
            Rule(source="a", destination="b", capacity=capacity),
            self.source,
            [self.destination],
        )
        self.source.reach(self.rule.outlets)

    def take(self, payload: bytes, stamp: int) -> None:
        (taker,) = self.source._wanted
        taker.one(payload, stamp)

    def close(self) -> None:
        self.rule.stop()
        for port in (self.source, self.destination):
            port.close()


@pytest.fixture
def network() -> UserNetwork:
    network = UserNetwork()
    for name in "abc":
        network.add_vcan(name)
    return network


class TestFromTheKernel:
    async def test_what_the_kernel_has_forwarded_is_not_forwarded_again(
        self, network: UserNetwork
    ) -> None:
        ends = Ends(network)
        async with open_raw("b", network=network) as far:
            ends.rule.start_held()
            ends.take(ONE, 100)
            ends.take(TWO, 101)
            assert ends.rule.counters.received == 0
            ends.rule.resume(lambda stamp: stamp > 100)
            assert await receive(far, 1) == [Frame(2, b"\2")]
            ends.take(ONE, 102)
            ends.rule._flush()
            assert await receive(far, 1) == [Frame(1, b"\1")]
        counters = ends.rule.counters
        assert (counters.received, counters.routes[0].forwarded) == (2, 2)
        # It has the short way again.
        assert list(ends.source._wanted) == [ends.rule._taker]
        ends.close()

    async def test_what_is_held_is_bounded(self, network: UserNetwork) -> None:
        ends = Ends(network, capacity=2)
        ends.rule.start_held()
        for stamp in range(10_000):
            ends.take(ONE, stamp)
        assert len(ends.rule._held) == 8192
        ends.rule.resume(lambda stamp: stamp > 9_990)  # the oldest went, which are the kernel's
        counters = ends.rule.counters
        assert (counters.received, counters.routes[0].forwarded) == (9, 9)
        assert counters.dropped == {}
        ends.close()

    async def test_counts_go_on(self, kernel: StandInKernel) -> None:
        one = rule(kernel, "a", "b")
        gateway = Gateway([one])
        async with running(gateway), open_raw("b", network=kernel) as far:
            assert gateway.statistics().rules[0].path == "kernel"
            kernel.count(handled=5)
            # One that meets it, and that the kernel cannot have.
            await gateway.replace([one, rule(kernel, "b", "c", call=lambda frame: frame)])
            assert kernel.routes == []
            kernel.inject("a", Frame(3))
            assert await receive(far, 1) == [Frame(3)]
            found = gateway.statistics().rules[0]
            # It is two rules of can-gw, for classical frames and for those of CAN FD.
            assert (found.path, found.received, found.forwarded) == ("bytes", 11, 11)
            await gateway.replace([one])
            found = gateway.statistics().rules[0]
            assert (found.path, found.received, found.forwarded) == ("kernel", 11, 11)
            assert found.latency.count == 1


class TestToTheKernel:
    async def test_frames_are_parted_by_their_stamps(self, network: UserNetwork) -> None:
        ends = Ends(network)
        async with open_raw("b", network=network) as far:
            ends.rule.start()
            ends.rule.hold()
            ends.take(ONE, 100)
            ends.take(TWO, 101)
            ends.rule.resume(lambda stamp: stamp <= 100)
            assert await receive(far, 1) == [Frame(1, b"\1")]
        assert ends.rule.counters.received == 1
        ends.close()

    async def test_several_rules_of_one_source(self, kernel: StandInKernel) -> None:
        """What comes while they are installed one after the other is forwarded once."""
        rules = [rule(kernel, "a", "b", filter=Filter.id(number)) for number in range(3)]
        meeting = rule(kernel, "b", "c", call=lambda frame: frame)
        gateway = Gateway([*rules, meeting])
        async with running(gateway), open_raw("b", network=kernel) as far:
            for number in range(3):
                kernel.inject("a", Frame(number))
            assert len(await receive(far, 3)) == 3
            for number in range(3):
                kernel.inject("a", Frame(number))  # and lies unread
            await gateway.replace(rules)
            assert len(await receive(far, 3)) == 3
            for number in range(3):
                kernel.inject("a", Frame(number))  # which can-gw would forward
            await checkpoint()
        found = gateway.statistics().rules
        assert [(one.path, one.forwarded) for one in found] == [("kernel", 2)] * 3

    async def test_refused_they_go_on(self, kernel: StandInKernel) -> None:
        one = rule(kernel, "a", "b")
        meeting = rule(kernel, "b", "c", call=lambda frame: frame)
        gateway = Gateway([one, meeting])
        async with running(gateway), open_raw("b", network=kernel) as far:
            kernel.refuse[RTM_NEWROUTE] = 1, CanOSError(errno.ENOMEM, "no memory")
            await gateway.replace([one])
            kernel.inject("a", Frame(1))
            assert await receive(far, 1) == [Frame(1)]
            assert kernel.routes == []

    async def test_what_waits_is_counted(self, kernel: StandInKernel) -> None:
        kernel.add_vcan("q", transmit_queue=1)
        one = rule(kernel, "a", "q")
        meeting = rule(kernel, "q", "c", call=lambda frame: frame)
        gateway = Gateway([one, meeting])
        async with running(gateway):
            for number in range(20):
                kernel.inject("a", Frame(number))
            await until(lambda: gateway.statistics().rules[0].received == 20)
            await gateway.replace([one])
            (found,) = gateway.statistics().rules
            (end,) = found.destinations
            assert (found.path, found.received, end.waiting) == ("kernel", 20, 0)
            assert end.forwarded + sum(end.dropped.values()) == 20


class TestInterfaces:
    async def test_one_that_comes_back_with_can_fd(self) -> None:
        with UserNetwork() as network:
            network.add_vcan("small", mtu=16)
            network.add_vcan("b")
            gateway = Gateway([rule(network, "small", "b"), rule(network, "b", "small")])
            async with (
                running(gateway),
                open_raw("b", network=network) as far,
            ):
                network.set_down("small")
                await until(lambda: gateway.statistics().ports[0].state == "down")
                network.set_mtu("small", 72)
                network.set_up("small")
                network.inject("small", Frame(7))  # before anybody has looked
                fd = FdFrame(1, bytes(20))
                found: list[AnyFrame] = []
                with anyio.fail_after(10):
                    while fd not in found:
                        network.inject("small", fd)
                        with anyio.move_on_after(0.02):
                            found += await far.receive_many()
                assert gateway.statistics().ports[0].state == "up"
                assert gateway.statistics().ports[0].gaps == 1

    async def test_a_network_that_is_closed_ends_nothing_else(self, network: UserNetwork) -> None:
        other = UserNetwork()
        other.add_vcan("x")
        gateway = Gateway(
            [
                rule(network, "a", "b"),
                Rule(
                    source=GatewayPort("x", other),
                    destination=GatewayPort("c", network),
                    filter=Filter.all(),
                ),
            ]
        )
        async with running(gateway), open_raw("b", network=network) as far:
            other.close()
            await until(lambda: gateway.statistics().ports[2].state == "gone")
            await anyio.sleep(0.12)  # it has been looked for again
            network.inject("a", Frame(5))
            assert await receive(far, 1) == [Frame(5)]

    async def test_what_had_come_before_is_no_sign_that_it_is_up(
        self, network: UserNetwork
    ) -> None:
        ends = Ends(network)
        port = ends.source
        ends.rule.start()
        port.tell_kernel()
        network.inject("a", Frame(1))
        port.go_down()
        port.read_all()
        assert port.statistics().state == "down"
        network.inject("a", Frame(2))
        port.read_all()
        assert port.statistics().state == "up"
        ends.close()


def test_counts_of_two_paths_are_added() -> None:
    def of(**counts: object) -> RuleStatistics:
        return RuleStatistics(
            name="one",
            path="bytes",
            received=cast("int", counts["received"]),
            dropped=cast("dict[DropReason, int]", counts["dropped"]),
            destinations=(
                DestinationStatistics(
                    destination="b", forwarded=2, dropped={DropReason.QUEUE_FULL: 1}, waiting=1
                ),
            ),
            latency=LatencyHistogram((1, 2)),
        )

    past = of(received=4, dropped={DropReason.UNCHANGED: 1})
    now = of(received=6, dropped={DropReason.UNCHANGED: 1, DropReason.LENGTH: 1})
    both = now.after(past)
    assert both.received == 10
    assert both.dropped == {DropReason.UNCHANGED: 2, DropReason.LENGTH: 1}
    (found,) = both.destinations
    assert (found.forwarded, found.dropped, found.waiting) == (4, {DropReason.QUEUE_FULL: 2}, 1)
    assert both.latency.counts == (2, 4)
    assert now.after(None) is now
