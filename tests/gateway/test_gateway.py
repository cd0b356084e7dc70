"""Gateways as users have them: what they forward, what they say, and what they refuse."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import (
    ErrorClass,
    ErrorFrame,
    FdFrame,
    Filter,
    Frame,
    Gateway,
    GatewayError,
    GatewayLoopError,
    GatewayPort,
    GatewayRunningError,
    GatewayStatistics,
    Modification,
    RemoteFrame,
    Rule,
    UnknownInterfaceError,
    UserNetwork,
    list_gateways,
    open_raw,
    read_gateway,
)
from rig.gateways import LIMIT, StandInKernel, assert_all_accounted, receive, rule, running

if TYPE_CHECKING:
    from anycan import AnyFrame

pytestmark = pytest.mark.anyio

ONE, TWO = Frame(1, b"\1"), Frame(2, b"\2")


async def settled() -> None:
    """Let the loop look at its descriptors some times."""
    for _ in range(10):
        await checkpoint()


class TestForwarding:
    async def test_one_to_many_in_their_order(self, network: UserNetwork) -> None:
        gateway = Gateway([rule(network, "a", "b", "c", filter=Filter.range(1, 0x7FF))])
        async with (
            running(gateway),
            open_raw("a", network=network) as near,
            open_raw("b", network=network) as b,
            open_raw("c", network=network) as c,
        ):
            frames = [Frame(number % 3, bytes([number])) for number in range(200)]
            await near.send_many(frames)
            wanted = [frame for frame in frames if frame.id]
            assert await receive(b, len(wanted)) == wanted
            assert await receive(c, len(wanted)) == wanted
            (found,) = gateway.statistics().rules
            assert found.forwarded == found.latency.count == 2 * len(wanted)
            assert found.latency.median is not None
            assert 0 < found.latency.median < LIMIT
            assert_all_accounted(found)

    async def test_between_all_pairs_and_never_back(self, network: UserNetwork) -> None:
        names = "abcd"
        rules = [rule(network, one, other) for one in names for other in names if one != other]
        gateway = Gateway(rules)
        async with running(gateway), anyio.create_task_group() as tasks:
            got: dict[str, list[AnyFrame]] = {}
            ready = anyio.Event()

            async def talk(name: str, number: int) -> None:
                async with open_raw(name, network=network) as can:
                    got[name] = []
                    if len(got) == len(names):
                        ready.set()
                    await ready.wait()
                    await can.send_many([Frame(number, bytes([place])) for place in range(50)])
                    got[name] = await receive(can, 150)

            for number, name in enumerate(names):
                tasks.start_soon(talk, name, number)
        for number, name in enumerate(names):
            for other in range(4):
                places = [
                    one.data[0] for one in got[name] if isinstance(one, Frame) and one.id == other
                ]
                assert places == ([] if other == number else [*range(50)])
        for found in gateway.statistics().rules:
            assert (found.received, found.forwarded) == (50, 50)

    async def test_between_networks(self, network: UserNetwork) -> None:
        with UserNetwork() as other:
            other.add_vcan("a", mtu=16)
            ends = GatewayPort("a", network), GatewayPort("a", other)
            there = Rule(source=ends[0], destination=ends[1], convert="classical", name="there")
            back = Rule(source=ends[1], destination=ends[0], convert="fd", name="back")
            async with (
                running(Gateway([there, back])) as gateway,
                open_raw("a", network=network, fd=True) as near,
                open_raw("a", network=other) as far,
            ):
                await near.send(FdFrame(1, b"\1"))
                await near.send(FdFrame(1, bytes(12)))
                assert await receive(far, 1) == [ONE]
                await far.send(RemoteFrame(1, 2))
                await far.send(TWO)
                assert await receive(near, 1) == [FdFrame(2, b"\2", brs=True)]
                assert [one.lost for one in gateway.statistics().rules] == [1, 1]

    async def test_error_frames_go_where_they_are_named(self, network: UserNetwork) -> None:
        gateway = Gateway(
            [
                rule(network, "a", "b", filter=Filter.errors() | Filter.all()),
                rule(network, "a", "c"),
            ]
        )
        async with (
            running(gateway),
            open_raw("b", network=network, errors=ErrorClass.ALL) as b,
            open_raw("c", network=network, errors=ErrorClass.ALL) as c,
        ):
            error = ErrorFrame(4, bytes(8))
            network.inject("a", error)
            network.inject("a", ONE)
            assert await receive(b, 2) == [error, ONE]
            assert await receive(c, 1) == [ONE]

    async def test_a_function_that_never_returns_holds_up_nobody(
        self, network: UserNetwork
    ) -> None:
        async def forever(_: AnyFrame) -> None:
            await anyio.sleep_forever()

        gateway = Gateway(
            [
                rule(network, "a", "b", name="hangs", call=forever, call_capacity=5),
                rule(network, "a", "b", name="goes"),
            ]
        )
        async with running(gateway), open_raw("b", network=network) as far:
            for number in range(20):
                network.inject("a", Frame(number))
                await checkpoint()
            assert await receive(far, 20) == [Frame(number) for number in range(20)]
            found = gateway.statistics().rule("hangs")
            assert (found.calls, found.waiting) == (1, 5)
            assert sum(found.dropped.values()) == 14

    @pytest.mark.parametrize("count", [0, 1, 10_000])
    async def test_a_function_that_gives_so_many(self, network: UserNetwork, count: int) -> None:
        gateway = Gateway([rule(network, "a", "b", call=lambda frame: [frame] * count)])
        async with running(gateway):
            network.inject("a", ONE)
            with anyio.fail_after(LIMIT):
                while gateway.statistics().rules[0].forwarded < count:
                    await checkpoint()
            await settled()
            (found,) = gateway.statistics().rules
            assert (found.calls, found.given, found.forwarded) == (1, count, count)

    async def test_functions_and_garbage(
        self, network: UserNetwork, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(frame: Frame) -> Any:
            if frame.id % 2:
                raise ValueError("odd")
            return {"id": 5}

        gateway = Gateway(
            [rule(network, "a", "b", call=fail), rule(network, "a", "c", call=lambda frame: frame)]
        )
        async with running(gateway), open_raw("c", network=network) as far:
            for number in range(4):
                network.inject("a", Frame(number))
            assert await receive(far, 4) == [Frame(number) for number in range(4)]
            await settled()
            assert sum(gateway.statistics().rules[0].dropped.values()) == 4
        assert "rule 'a > b': its function failed (for the 4. time)" in caplog.text


class TestCircles:
    async def test_of_two_gateways(self, network: UserNetwork) -> None:
        first = Gateway([rule(network, "a", "b")], name=f"first-{os.getpid()}")
        back = rule(network, "b", "a")
        async with running(first):
            with pytest.raises(GatewayLoopError) as caught:
                await Gateway([back]).run()
            assert caught.value.cycle in {("a", "b", "a"), ("b", "a", "b")}
            assert f"gateway 'first-{os.getpid()}', rule 'a > b'" in str(caught.value)
            async with running(Gateway([back], check_others=False)):
                pass
        async with running(Gateway([back])):
            pass

    async def test_where_identifiers_do_not_meet(self, network: UserNetwork) -> None:
        first = Gateway([rule(network, "a", "b", filter=Filter.id(1))])
        async with running(first):
            async with running(Gateway([rule(network, "b", "a", filter=Filter.id(2))])):
                pass
            change = Modification.bit_set(can_id=2)
            await first.replace([rule(network, "a", "b", filter=Filter.id(1), modify=change)])
            with pytest.raises(GatewayLoopError):
                await Gateway([rule(network, "b", "a", filter=Filter.id(2))]).run()

    async def test_in_one_gateway_there_is_none(self, network: UserNetwork) -> None:
        rules = [rule(network, "a", "b"), rule(network, "b", "a")]
        async with running(Gateway(rules)) as gateway:
            network.inject("a", ONE)
            await settled()
            assert [one.received for one in gateway.statistics().rules] == [1, 0]


class TestWhatIsGiven:
    def test_rules(self, network: UserNetwork) -> None:
        one = rule(network, "a", "b")
        alone: Any = one
        assert Gateway(alone).rules == Gateway([one]).rules == Gateway(iter([one])).rules == (one,)
        assert Gateway().rules == ()

    @pytest.mark.parametrize("rules", [["a -> b"], [None]])
    def test_what_is_no_rule(self, rules: Any) -> None:
        with pytest.raises(GatewayError, match=r"rules\[0\] is a Rule, not "):
            Gateway(rules)

    async def test_nor_in_a_replacement(self) -> None:
        with pytest.raises(GatewayError, match=r"rules\[0\] is a Rule"):
            await Gateway().replace([5])  # type: ignore[list-item]

    def test_missing(self) -> None:
        with pytest.raises(GatewayError, match='missing is "raise" or "wait", not \'ignore\''):
            Gateway(missing="ignore")  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["", "two words", "x" * 61])
    def test_a_name_that_is_none(self, name: str) -> None:
        with pytest.raises(GatewayError, match="a gateway's name is 1 to 60 letters"):
            Gateway(name=name)

    def test_names_of_their_own(self) -> None:
        assert Gateway().name != Gateway().name
        assert Gateway(name="doors").name == "doors"

    async def test_how_it_is_shown(self, network: UserNetwork) -> None:
        gateway = Gateway([rule(network, "a", "b")], name=f"shown-{os.getpid()}")
        quiet = f"<Gateway 'shown-{os.getpid()}', 1 rules>"
        assert repr(gateway) == quiet
        async with running(gateway):
            assert repr(gateway) == f"<Gateway 'shown-{os.getpid()}' running, 1 rules>"
        assert repr(gateway) == quiet


class TestRunning:
    async def test_stopped_before_it_runs(self, network: UserNetwork) -> None:
        gateway = Gateway([rule(network, "a", "b")])
        gateway.stop()
        assert gateway.statistics() == GatewayStatistics(rules=(), ports=())
        assert gateway.explain() == ""
        assert json.loads(gateway._report()) == {}
        async with running(gateway), open_raw("b", network=network) as far:
            network.inject("a", ONE)
            assert await receive(far, 1) == [ONE]
            assert gateway.explain() == (
                "a > b: by this process, since it is on a user-space network"
            )

    async def test_of_no_rules(self) -> None:
        async with running(Gateway()) as gateway:
            assert gateway.statistics().rules == ()

    async def test_twice_at_a_time(self, network: UserNetwork) -> None:
        async with running(Gateway([rule(network, "a", "b")])) as gateway:
            with pytest.raises(GatewayRunningError, match="runs already"):
                await gateway.run()
            assert "running" in repr(gateway)
        assert len(gateway.statistics().rules) == 1


@pytest.fixture
def name(anyio_backend: tuple[str, dict[str, Any]]) -> str:
    """Give a name that no other test has."""
    loop = "uvloop" if anyio_backend[1].get("use_uvloop") else anyio_backend[0]
    return f"test-gateway-{os.getpid()}-{loop}"


class TestOthers:
    async def test_one_that_has_a_name_is_found(self, network: UserNetwork, name: str) -> None:
        gateway = Gateway([rule(network, "a", "b")], name=name)
        assert name not in await list_gateways()
        async with running(gateway):
            network.inject("a", ONE)
            await settled()
            assert name in await list_gateways()
            found = await read_gateway(name)
            assert (found["gateway"], found["process"], found["edges"]) == (name, os.getpid(), [])
            assert 0 <= found["seconds"] < LIMIT
            (told,) = found["rules"]
            assert (told["name"], told["path"], told["forwarded"]) == ("a > b", "bytes", 1)
            assert told["reason"] == "it is on a user-space network"
            assert [port["interface"] for port in found["ports"]] == ["a@user", "b@user"]
            with pytest.raises(GatewayRunningError, match=f"'{name}' runs already"):
                await Gateway(name=name).run()
        assert name not in await list_gateways()
        with pytest.raises(GatewayError, match=f"no gateway '{name}' runs"):
            await read_gateway(name)

    async def test_one_without_on_a_user_network_is_not(self, network: UserNetwork) -> None:
        async with running(Gateway([rule(network, "a", "b")])) as gateway:
            assert gateway.name not in await list_gateways()

    async def test_the_ways_of_frames_on_the_kernels_network_are_told(
        self, kernel: StandInKernel, network: UserNetwork, name: str
    ) -> None:
        rules = [
            rule(kernel, "a", "b", offload="never", filter=Filter.id(1)),
            rule(kernel, "a", "c"),
            rule(network, "a", "b"),
        ]
        async with running(Gateway(rules, name=name)):
            found = await read_gateway(name)
        (edge,) = found["edges"]
        assert (edge["source"], edge["destination"], edge["visible"]) == ("a", "b", True)
        assert edge["change"] == [0xFFFFFFFF, 0]

    async def test_a_name_is_free_after_a_start_that_failed(
        self, network: UserNetwork, name: str
    ) -> None:
        with pytest.raises(UnknownInterfaceError):
            await Gateway([rule(network, "a", "none")], name=name).run()
        assert name not in await list_gateways()
        async with running(Gateway([rule(network, "a", "b")], name=name)):
            pass


class TestCancellation:
    @pytest.mark.parametrize("steps", range(6))
    async def test_of_a_replacement(self, network: UserNetwork, steps: int) -> None:
        """It has been done, or it has not; and the gateway goes on."""
        old, new = rule(network, "a", "b"), rule(network, "a", "b", "c", name="new")
        async with running(Gateway([old])) as gateway, open_raw("b", network=network) as far:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gateway.replace, [new])
                for _ in range(steps):
                    await checkpoint()
                tasks.cancel_scope.cancel()
            assert gateway.rules in [(old,), (new,)]
            assert [one.name for one in gateway.statistics().rules] == [gateway.rules[0].name]
            network.inject("a", ONE)
            assert await receive(far, 1) == [ONE]
