"""Rules come into force and out of it: by steps that may fail, be cancelled, or meet each other."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan import (
    CanOSError,
    CanPermissionError,
    DropReason,
    Filter,
    Frame,
    Gateway,
    GatewayLoopError,
    GatewayStatistics,
    OffloadError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
    UserNetwork,
    open_raw,
    read_gateway,
)
from anycan.gateway import force as module
from anycan.gateway import kernel_side
from anycan.gateway import port as port_module
from anycan.gateway.plan import plan_rules
from anycan.gateway.port import Port
from anycan.gateway.presence import find_gateways
from anycan.sockets.forwarding import ForwardingSocket
from anycan.wire.netlink_gateway import RTM_GETROUTE, RTM_NEWROUTE, GatewayRoute
from anycan.wire.netlink_gateway_changes import FrameChange
from rig.gateways import (
    LIMIT,
    StandInEvents,
    StandInKernel,
    assert_all_accounted,
    receive,
    rule,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anycan import AnyFrame, Rule

pytestmark = pytest.mark.anyio

ONE, TWO = Frame(1, b"\1"), Frame(2, b"\2")


@pytest.fixture(autouse=True)
def nothing_runs_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.001)
    yield
    assert module._running == set()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as many as there are


async def settled() -> None:
    """Let the loop look at its descriptors some times."""
    for _ in range(10):
        await checkpoint()


async def until(condition: Any) -> None:
    with anyio.fail_after(LIMIT):
        while not condition():
            await checkpoint()


def received(gateway: Gateway) -> dict[str, int]:
    return {one.name: one.received for one in gateway.statistics().rules}


class TestReplacing:
    async def test_rules_that_stay_go_on_and_the_others_change(self, network: UserNetwork) -> None:
        first = [rule(network, "a", "b"), rule(network, "a", "c")]
        gateway = Gateway(first)
        async with running(gateway), open_raw("d", network=network) as far:
            network.inject("a", ONE)
            await settled()
            second = [rule(network, "a", "b"), rule(network, "a", "d", filter=Filter.id(2))]
            await gateway.replace(second)
            assert gateway.rules == tuple(second)
            assert received(gateway) == {"a > b": 1, "a > d": 0}
            assert [port.interface for port in gateway.statistics().ports] == [
                "a@user",
                "b@user",
                "d@user",
            ]
            network.inject("a", TWO)
            network.inject("a", ONE)
            assert await receive(far, 1) == [TWO]
            await settled()
            assert received(gateway) == {"a > b": 3, "a > d": 1}
            await gateway.replace([])
            assert gateway.statistics() == GatewayStatistics(rules=(), ports=())
            await gateway.replace(first)
            network.inject("a", ONE)
            await settled()
            assert received(gateway) == {"a > b": 1, "a > c": 1}

    async def test_no_frame_is_lost_and_none_comes_twice(self, network: UserNetwork) -> None:
        network.add_vcan("e")
        variants = [
            [rule(network, "a", "b", name=name, capacity=capacity)]
            for name, capacity in (("x", 10), ("x", 20), ("y", 20))
        ]
        gateway = Gateway(variants[0])
        async with running(gateway), open_raw("b", network=network) as far:
            frames: list[AnyFrame] = []
            for number in range(60):
                frames += [Frame(number), Frame(0x100 + number)]
                network.inject("a", frames[-2])
                await gateway.replace(variants[number % 3])
                network.inject("a", frames[-1])
                if number % 7 == 0:
                    await checkpoint()
            assert await receive(far, len(frames)) == frames

    async def test_what_waits_of_a_rule_that_stays_is_sent(self, network: UserNetwork) -> None:
        network.add_vcan("q", transmit_queue=1)
        stays, ends = rule(network, "a", "q"), rule(network, "b", "q")
        gateway = Gateway([stays, ends])
        async with running(gateway), open_raw("q", network=network) as far:
            for name, first in (("a", 0), ("b", 0x100)):
                for number in range(3):
                    network.inject(name, Frame(first + number))
                await settled()
            waiting = {one.name: one.destinations[0].waiting for one in gateway.statistics().rules}
            assert waiting == {"a > q": 2, "b > q": 3}
            before = gateway.statistics().rule("b > q")
            await gateway.replace([stays])
            assert before.received == 3
            with anyio.fail_after(LIMIT):
                while gateway.statistics().rules[0].forwarded < 3:
                    network.release("q")
                    await checkpoint()
            assert await receive(far, 3) == [Frame(0), Frame(1), Frame(2)]
        assert_all_accounted(gateway.statistics().rules[0])

    async def test_a_rule_that_stays_goes_on_though_its_name_was_another_ones(
        self, network: UserNetwork
    ) -> None:
        """Rules have their interfaces for a name, unless they are given one: so names repeat."""
        one = rule(network, "a", "b", filter=Filter.id(1))
        two = rule(network, "a", "b", filter=Filter.id(2))
        gateway = Gateway([one, two])
        async with running(gateway):
            network.inject("a", TWO)
            await settled()
            await gateway.replace([two])
            (found,) = gateway.statistics().rules
            assert found.received == 1

    async def test_before_it_runs_and_after(self, network: UserNetwork) -> None:
        gateway = Gateway()
        await gateway.replace([rule(network, "a", "b")])
        async with running(gateway):
            assert received(gateway) == {"a > b": 0}
        await gateway.replace([rule(network, "a", "c")])
        async with running(gateway):
            assert received(gateway) == {"a > c": 0}

    @pytest.mark.parametrize("bad", ["interface", "loop", "port"])
    async def test_when_something_is_wrong_all_stays_as_it_was(
        self, network: UserNetwork, bad: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = [rule(network, "a", "b")]
        gateway = Gateway(old)
        other = Gateway([rule(network, "d", "c")])
        async with running(gateway), running(other), open_raw("b", network=network) as far:
            before = descriptors()
            explained = gateway.explain()
            if bad == "interface":
                with pytest.raises(UnknownInterfaceError):
                    await gateway.replace([rule(network, "a", "b", "c", "none", name="x")])
            elif bad == "loop":
                with pytest.raises(GatewayLoopError):
                    await gateway.replace([rule(network, "c", "d")])
            else:
                real = Port.open
                names: list[str] = []

                def fail(port: Any) -> None:
                    names.append(port.interface)
                    if len(names) > 1:
                        raise CanOSError(errno.EMFILE, "no descriptors are left")
                    real(port)

                with monkeypatch.context() as patch:
                    patch.setattr(Port, "open", fail)
                    with pytest.raises(CanOSError, match="no descriptors"):
                        await gateway.replace([*old, rule(network, "a", "c", "d")])
                assert names == ["c", "d"]
            assert descriptors() == before
            assert (gateway.rules, gateway.explain()) == (tuple(old), explained)
            assert len(gateway.statistics().ports) == 2
            network.inject("a", ONE)
            assert await receive(far, 1) == [ONE]

    async def test_without_a_descriptor_for_a_silent_destination_all_stays_as_it_was(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = ForwardingSocket

        def refuse(network: Any, interface: Any, options: Any) -> Any:
            if not options.loopback:
                raise CanOSError(errno.EMFILE, "no descriptors are left")
            return real(network, interface, options)

        old = [rule(network, "a", "b")]
        gateway = Gateway(old)
        async with running(gateway):
            monkeypatch.setattr(port_module, "ForwardingSocket", refuse)
            with pytest.raises(CanOSError, match="no descriptors"):
                await gateway.replace([rule(network, "a", "b", local_echo=False, name="y")])
            assert received(gateway) == {"a > b": 0}

    @pytest.mark.may_leak("that is what the failure is")
    @pytest.mark.filterwarnings("ignore:coroutine '_run_in' was never awaited:RuntimeWarning")
    async def test_while_it_ends(self, network: UserNetwork) -> None:
        problems = []
        for steps in range(8):
            before = descriptors()
            gateway = Gateway([rule(network, "a", "b")])
            async with running(gateway):
                gateway.stop()
                for _ in range(steps):
                    await checkpoint()
                try:
                    await gateway.replace([rule(network, "a", "c")])
                except Exception as error:  # noqa: BLE001 - whatever it is
                    problems.append((steps, repr(error)))
            if descriptors() != before:
                problems.append((steps, f"{descriptors() - before} descriptors are left"))
        assert problems == []


class TestBeginningAndEnd:
    @pytest.mark.parametrize("steps", range(8))
    async def test_cancelled_at_any_time_nothing_is_left(
        self, network: UserNetwork, steps: int
    ) -> None:
        before = descriptors()

        async def forever(_: AnyFrame) -> None:
            await anyio.sleep_forever()

        gateway = Gateway(
            [
                rule(network, "a", "b", call=forever),
                rule(network, "b", "a", local_echo=False),
            ]
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.run)
            for number in range(steps):
                network.inject("a", Frame(number))
                await checkpoint()
            tasks.cancel_scope.cancel()
        await settled()
        assert descriptors() == before
        assert "running" not in repr(gateway)

    async def test_when_an_interface_cannot_be_opened_nothing_is_left(
        self, network: UserNetwork
    ) -> None:
        before = descriptors()
        gateway = Gateway([rule(network, "a", "b"), rule(network, "a", "none")])
        with pytest.raises(UnknownInterfaceError, match="none"):
            await gateway.run()
        assert descriptors() == before
        assert gateway.statistics().rules == ()

    async def test_one_after_the_other(self, network: UserNetwork) -> None:
        gateway = Gateway([rule(network, "a", "b")])
        for _ in range(2):
            async with running(gateway):
                network.inject("a", ONE)
                await settled()
                assert received(gateway) == {"a > b": 1}
            assert received(gateway) == {"a > b": 1}

    async def test_what_waits_at_the_end_is_counted(self, network: UserNetwork) -> None:
        network.add_vcan("q", transmit_queue=0)

        async def forever(_: AnyFrame) -> None:
            await anyio.sleep_forever()

        gateway = Gateway([rule(network, "a", "q"), rule(network, "a", "b", call=forever)])
        async with running(gateway):
            for _ in range(3):
                network.inject("a", ONE)
            await settled()
        plain, calling = gateway.statistics().rules
        assert plain.destinations[0].dropped == {DropReason.RULE_ENDED: 3}
        assert_all_accounted(plain)
        assert (calling.calls, calling.waiting) == (1, 0)
        assert calling.dropped == {DropReason.RULE_ENDED: 3}

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_a_function_that_awaits_what_is_cancelled_does_not_end_it(
        self, network: UserNetwork
    ) -> None:
        async def await_cancelled(_: AnyFrame) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        gateway = Gateway([rule(network, "a", "b", call=await_cancelled)])
        async with running(gateway):
            network.inject("a", ONE)
            await settled()
            assert "running" in repr(gateway)

    async def test_what_is_no_exception_ends_it_and_is_raised(self, network: UserNetwork) -> None:
        class Stop(BaseException):
            pass

        def stop(_: AnyFrame) -> None:
            raise Stop

        gateway = Gateway([rule(network, "a", "b", call=stop)])
        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - it ends by itself
            async with running(gateway):
                network.inject("a", ONE)
                await anyio.sleep_forever()
        assert caught.group_contains(Stop)

    async def test_a_function_may_stop_it(self, network: UserNetwork) -> None:
        gateway = Gateway()
        await gateway.replace([rule(network, "a", "b", call=lambda _: gateway.stop())])
        async with running(gateway):
            network.inject("a", ONE)
            await until(lambda: "running" not in repr(gateway))
        (found,) = gateway.statistics().rules
        assert (found.calls, found.dropped) == (1, {DropReason.CALL_GAVE_NONE: 1})

    async def test_a_function_that_replaces_the_rules(self, network: UserNetwork) -> None:
        async def replace(_: AnyFrame) -> None:
            await gateway.replace([rule(network, "a", "c")])

        gateway = Gateway([rule(network, "a", "b", call=replace)])
        async with running(gateway), open_raw("c", network=network) as far:
            network.inject("a", ONE)
            await until(lambda: received(gateway) == {"a > c": 0})
            network.inject("a", TWO)
            assert await receive(far, 1) == [TWO]


class TestInterfaces:
    async def test_missing_ones_are_waited_for(self, network: UserNetwork) -> None:
        gateway = Gateway([rule(network, "a", "later"), rule(network, "a", "b")], missing="wait")
        async with running(gateway), open_raw("b", network=network) as far:
            network.inject("a", ONE)
            assert await receive(far, 1) == [ONE]
            state = {port.interface: port.state for port in gateway.statistics().ports}
            assert state == {"a@user": "up", "later@user": "gone", "b@user": "up"}
            network.add_vcan("later")
            await until(lambda: gateway.statistics().ports[1].state == "up")
            async with open_raw("later", network=network) as late:
                network.inject("a", TWO)
                assert await receive(late, 1) == [TWO]
        found = gateway.statistics().rule("a > later").destinations[0]
        assert (found.forwarded, found.dropped) == (1, {DropReason.INTERFACE_GONE: 1})

    @pytest.mark.parametrize("gone", ["a", "b"])
    @pytest.mark.parametrize("echo", [True, False])
    async def test_one_that_goes_and_comes_back(
        self, network: UserNetwork, gone: str, echo: bool
    ) -> None:
        rules = [rule(network, "a", "b", local_echo=echo), rule(network, "c", "d")]
        gateway = Gateway(rules)
        async with running(gateway), open_raw("d", network=network) as far:
            network.remove(gone)
            network.inject("c", ONE)
            assert await receive(far, 1) == [ONE]
            await settled()
            network.add_vcan(gone)
            await until(lambda: all(port.state == "up" for port in gateway.statistics().ports))
            network.inject("a", TWO)
            await until(lambda: gateway.statistics().rules[0].forwarded == 1)
        (gaps,) = [
            one.gaps for one in gateway.statistics().ports if one.interface == f"{gone}@user"
        ]
        assert gaps == 1

    async def test_one_that_goes_at_the_very_end(self, network: UserNetwork) -> None:
        gateway = Gateway([rule(network, "a", "b", local_echo=False)])
        async with running(gateway):
            network.remove("a")
            network.remove("b")
            gateway.stop()

    async def test_one_that_goes_while_rules_are_replaced(self, network: UserNetwork) -> None:
        gateway = Gateway([rule(network, "a", "b")])
        async with running(gateway):
            network.remove("a")
            await gateway.replace([rule(network, "a", "b", filter=Filter.id(1))])
            network.add_vcan("a")
            await until(lambda: gateway.statistics().ports[0].gaps)
            await until(lambda: gateway.statistics().ports[0].state == "up")
            network.inject("a", ONE)
            network.inject("a", TWO)
            await until(lambda: received(gateway) == {"a > b": 1})

    async def test_both_ways_of_sending_to_one(self, network: UserNetwork) -> None:
        rules = [
            rule(network, "a", "b", name="loud", filter=Filter.id(1)),
            rule(network, "a", "b", name="silent", filter=Filter.id(2), local_echo=False),
            rule(network, "b", "a", name="back"),
        ]
        gateway = Gateway(rules)
        async with running(gateway), open_raw("b", network=network) as far:
            for frame in (TWO, ONE, TWO, ONE):
                network.inject("a", frame)
            assert await receive(far, 2) == [ONE, ONE]
            await settled()
            assert received(gateway) == {"loud": 2, "silent": 2, "back": 0}
            assert gateway.statistics().rule("silent").forwarded == 2


ACTIONS = st.one_of(
    st.tuples(st.just("inject"), st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 6)),
    st.tuples(st.just("release"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["set_down", "set_up", "remove", "add"]), st.sampled_from("abq")),
    st.tuples(st.just("settle")),
    st.tuples(st.just("replace"), st.lists(st.integers(0, 5), max_size=4, unique=True)),
)


def _variants(network: UserNetwork) -> list[Rule]:
    return [
        rule(network, "a", "b", name="plain"),
        rule(network, "a", "q", "b", name="queued", capacity=3),
        rule(network, "b", "q", name="latest", capacity=2, overflow="latest_per_id"),
        rule(network, "b", "q", name="newest", capacity=2, overflow="drop_newest"),
        rule(network, "a", "q", name="silent", local_echo=False, changes_only=True),
        rule(network, "b", "a", name="some", filter=Filter.range(1, 2), convert="fd"),
    ]


async def _play(actions: list[tuple[Any, ...]]) -> None:  # noqa: C901 - a list of actions
    with UserNetwork() as network:
        network.add_vcan("a")
        network.add_vcan("b")
        network.add_vcan("q", transmit_queue=2)
        variants = _variants(network)
        gateway = Gateway(variants[:3], missing="wait")
        async with running(gateway):
            for action, *arguments in actions:
                there = {one.name: one.up for one in network.interfaces()}
                match action:
                    case "inject" if there.get(arguments[0]):
                        for number in range(arguments[2]):
                            network.inject(arguments[0], Frame(arguments[1], bytes([number])))
                    case "release" if "q" in there:
                        network.release("q", arguments[0])
                    case "set_down" | "set_up" | "remove" if arguments[0] in there:
                        getattr(network, action)(arguments[0])
                    case "add" if arguments[0] not in there:
                        queue = 2 if arguments[0] == "q" else None
                        network.add_vcan(arguments[0], transmit_queue=queue)
                    case "settle":
                        await settled()
                    case "replace":
                        await gateway.replace([variants[number] for number in arguments[0]])
                for one in gateway.statistics().rules:
                    assert_all_accounted(one)
            await settled()
        for one in gateway.statistics().rules:
            assert_all_accounted(one)
            assert all(port.waiting == 0 for port in one.destinations)


class TestStatistics:
    @settings(max_examples=25)
    @given(st.lists(ACTIONS, max_size=15))
    def test_they_add_up_whatever_happens(self, actions: list[tuple[Any, ...]]) -> None:
        logging.disable()  # of every interface that goes
        try:
            anyio.run(_play, actions)
        finally:
            logging.disable(logging.NOTSET)


class TestKernel:
    async def test_rules_are_there_while_it_runs(self, kernel: StandInKernel) -> None:
        gateway = Gateway([rule(kernel, "a", "b"), rule(kernel, "c", "d", call=lambda _: None)])
        async with running(gateway):
            assert kernel.ends() == [("a", "b")] * 2
            kernel.count(handled=3)
            first, second = gateway.statistics().rules
            assert (first.path, first.forwarded, second.path) == ("kernel", 6, "call")
            assert [port.interface for port in gateway.statistics().ports] == ["c", "d"]
            assert gateway.explain().splitlines() == [
                "a > b: by the kernel (2 rules of can-gw)",
                "c > d: by this process, which calls a function",
            ]
        assert kernel.routes == []
        assert gateway.statistics().rules[0].forwarded == 6

    async def test_cancelled_it_takes_them_out(self, kernel: StandInKernel) -> None:
        gateway = Gateway([rule(kernel, "a", "b")])
        async with anyio.create_task_group() as tasks:
            await tasks.start(gateway.run)
            assert len(kernel.routes) == 2
            tasks.cancel_scope.cancel()
        assert kernel.routes == []

    @pytest.mark.parametrize("request_type", [RTM_GETROUTE, RTM_NEWROUTE])
    async def test_cancelled_while_the_kernel_is_asked(
        self, kernel: StandInKernel, request_type: int
    ) -> None:
        hold = kernel.hold[request_type] = threading.Event()
        gateway = Gateway([rule(kernel, "a", "b"), rule(kernel, "c", "d", call=print)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.run)
            await until(kernel.held.is_set)
            tasks.cancel_scope.cancel()
            hold.set()
        assert kernel.routes == []

    async def test_what_a_former_one_left_is_cleared_away(self, kernel: StandInKernel) -> None:
        keep = FrameChange.of(can_id=0xFFFFFFFF)
        taken = {tag for tag, _ in find_gateways()}
        dead = next(tag for tag in range(4096) if tag not in taken)
        kernel.routes += [
            GatewayRoute(1, 2, mod_and=keep, uid=uid) for uid in (7, 0xCA000000 | dead << 12)
        ]
        async with running(Gateway([rule(kernel, "a", "b")])):
            assert kernel.routes[0].uid == 7
            assert len(kernel.routes) == 3
        assert [one.uid for one in kernel.routes] == [7]

    @pytest.mark.parametrize(
        "error",
        [
            CanPermissionError(errno.EPERM, "not allowed"),
            ProtocolUnavailableError(errno.EOPNOTSUPP, "no can-gw"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("after", [0, 3])
    async def test_refused_this_process_forwards(
        self, kernel: StandInKernel, error: CanOSError, after: int
    ) -> None:
        kernel.refuse[RTM_NEWROUTE] = after, error
        gateway = Gateway([rule(kernel, "a", "b"), rule(kernel, "c", "d")])
        async with running(gateway), open_raw("b", network=kernel) as far:
            assert kernel.routes == []
            assert f"a > b: by this process, since {error.strerror}" in gateway.explain()
            kernel.inject("a", ONE)
            assert await receive(far, 1) == [ONE]

    async def test_refused_what_requires_it_does_not_run(self, kernel: StandInKernel) -> None:
        kernel.refuse[RTM_NEWROUTE] = 1, CanPermissionError(errno.EPERM, "not allowed")
        gateway = Gateway([rule(kernel, "a", "b"), rule(kernel, "c", "d", offload="require")])
        with pytest.raises(
            OffloadError, match=r"'c > d' requires the kernel's path: .*not allowed"
        ):
            await gateway.run()
        assert kernel.routes == []

    async def test_refused_for_another_reason_this_process_forwards(
        self, kernel: StandInKernel
    ) -> None:
        kernel.refuse[RTM_NEWROUTE] = 3, CanOSError(errno.ENOMEM, "no memory")
        gateway = Gateway([rule(kernel, "a", "b"), rule(kernel, "c", "d")])
        async with running(gateway):
            assert kernel.routes == []
            assert "c > d: by this process, since no memory" in gateway.explain()

    async def test_refused_what_is_required_it_does_not_run(self, kernel: StandInKernel) -> None:
        kernel.refuse[RTM_NEWROUTE] = 3, CanOSError(errno.ENOMEM, "no memory")
        gateway = Gateway([rule(kernel, "a", "b"), rule(kernel, "c", "d", offload="require")])
        with anyio.fail_after(5), pytest.raises(OffloadError, match="no memory"):
            await gateway.run()
        assert kernel.routes == []

    async def test_without_netlink_this_process_forwards(
        self, kernel: StandInKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse() -> None:
            raise ProtocolUnavailableError(errno.EPERM, "no netlink")

        monkeypatch.setattr(kernel_side, "NetlinkSocket", refuse)
        gateway = Gateway([rule(kernel, "a", "b")])
        async with running(gateway):
            assert "a > b: by this process, since no netlink" in gateway.explain()

    async def test_without_its_events_it_runs_and_says_so(
        self,
        kernel: StandInKernel,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def refuse() -> None:
            raise CanOSError(errno.EMFILE, "no descriptors")

        monkeypatch.setattr(module, "NetlinkSocket", refuse)
        async with running(Gateway([rule(kernel, "a", "b")])):
            await until(lambda: "interfaces that come back are not noticed" in caplog.text)

    async def test_when_a_port_cannot_be_opened_they_go_again(self, kernel: StandInKernel) -> None:
        gateway = Gateway([rule(kernel, "a", "b")])
        async with running(gateway):
            with pytest.raises(UnknownInterfaceError):
                await gateway.replace(
                    [rule(kernel, "a", "b"), rule(kernel, "c", "d"), rule(kernel, "c", "none")]
                )
            assert kernel.ends() == [("a", "b")] * 2
            assert gateway.statistics().ports == ()

    async def test_an_interface_that_comes_back_is_mended(self, kernel: StandInKernel) -> None:
        gateway = Gateway([rule(kernel, "a", "b"), rule(kernel, "c", "d")])
        async with running(gateway):
            await until(lambda: kernel._listening)
            kernel.count(handled=2)
            gateway.statistics()
            kernel.remove("a")
            assert kernel.ends() == [("c", "d")] * 2
            kernel.add_vcan("a")
            kernel.tell()
            await until(lambda: len(kernel.routes) == 4)
            kernel.count(handled=3)
            # Counts are not asked for while the thread that mends has the kernel's ear.
            await until(lambda: [one.forwarded for one in gateway.statistics().rules] == [10, 6])
            kernel.tell()  # nothing more is to be done
            await settled()
        assert kernel.clashes == 0

    async def test_a_kernel_that_refuses_to_be_mended_is_logged(
        self, kernel: StandInKernel, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with running(Gateway([rule(kernel, "a", "b")])):
            await until(lambda: kernel._listening)
            kernel.refuse[RTM_NEWROUTE] = 0, CanOSError(errno.ENOMEM, "no memory")
            kernel.routes.clear()
            kernel.tell()
            await until(lambda: "the kernel does not take it back: no memory" in caplog.text)
            kernel.refuse.clear()
            kernel.tell()
            await until(lambda: len(kernel.routes) == 2)

    async def test_rules_of_the_kernels_are_replaced(self, kernel: StandInKernel) -> None:
        stays = rule(kernel, "a", "b")
        gateway = Gateway([stays, rule(kernel, "c", "d")])
        async with running(gateway):
            uids = Counter(one.uid for one in kernel.routes if one.source == 1)
            kernel.count(handled=4)
            await gateway.replace([stays, rule(kernel, "c", "d", filter=Filter.id(1))])
            assert Counter(one.uid for one in kernel.routes if one.source == 1) == uids
            assert kernel.ends() == [("a", "b")] * 2 + [("c", "d")] * 2
            assert [one.forwarded for one in gateway.statistics().rules] == [8, 0]
            await gateway.replace([stays])
            assert kernel.ends() == [("a", "b")] * 2
            # One that meets it takes it out of the kernel, and without that it goes back.
            await gateway.replace([stays, rule(kernel, "b", "c", call=print)])
            assert kernel.routes == []
            assert len(gateway.statistics().ports) == 3
            await gateway.replace([stays])
            assert kernel.ends() == [("a", "b")] * 2
            assert gateway.statistics().ports == ()

    async def test_a_rule_that_stays_goes_on_after_it_was_mended(
        self, kernel: StandInKernel
    ) -> None:
        one = rule(kernel, "a", "b")
        gateway = Gateway([one])
        async with running(gateway):
            await until(lambda: kernel._listening)
            kernel.remove("a")
            kernel.add_vcan("a")
            kernel.tell()
            await until(lambda: len(kernel.routes) == 2)
            kernel.count(handled=3)
            uids = [route.uid for route in kernel.routes]
            await gateway.replace([one])
            assert [route.uid for route in kernel.routes] == uids
            assert gateway.statistics().rules[0].forwarded == 6

    async def test_statistics_while_the_kernel_is_asked(self, kernel: StandInKernel) -> None:
        gateway = Gateway([rule(kernel, "a", "b")])
        async with running(gateway), anyio.create_task_group() as tasks:
            hold = kernel.hold[RTM_NEWROUTE] = threading.Event()
            tasks.start_soon(gateway.replace, [rule(kernel, "a", "b"), rule(kernel, "c", "d")])
            await until(kernel.held.is_set)
            gateway.statistics()
            hold.set()
        assert kernel.clashes == 0

    async def test_replacing_while_it_begins_waits_for_that(
        self, kernel: StandInKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        planned: list[Rule] = []

        def plan(rules: Sequence[Rule], known: Sequence[Any]) -> Any:
            planned.extend(rules)
            return plan_rules(rules, known)

        monkeypatch.setattr(module, "plan_rules", plan)
        hold = kernel.hold[RTM_NEWROUTE] = threading.Event()
        one, other = rule(kernel, "a", "b"), rule(kernel, "c", "d")
        gateway = Gateway([one])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gateway.run)
            await until(kernel.held.is_set)
            tasks.start_soon(gateway.replace, [other])
            await settled()
            try:
                assert planned == [one]
            except AssertionError:
                tasks.cancel_scope.cancel()
                raise
            finally:
                hold.set()
            await until(lambda: received(gateway).keys() == {"c > d"})
            await until(lambda: kernel.ends() == [("c", "d")] * 2)
            gateway.stop()
        assert planned == [one, other]
        assert kernel.clashes == 0
        assert kernel.routes == []

    async def test_replacing_cancelled_leaves_nothing_in_the_kernel(
        self, kernel: StandInKernel
    ) -> None:
        gateway = Gateway([rule(kernel, "a", "b")])
        async with running(gateway):
            hold = kernel.hold[RTM_NEWROUTE] = threading.Event()
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(gateway.replace, [rule(kernel, "c", "d")])
                    await until(kernel.held.is_set)
                    scope.cancel()
                    hold.set()
        assert kernel.routes == []

    async def test_when_a_rule_cannot_begin_nothing_stays_in_the_kernel(
        self, kernel: StandInKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = ForwardingSocket

        def refuse(network: Any, interface: Any, options: Any) -> Any:
            if not options.loopback:
                raise CanOSError(errno.EMFILE, "no descriptors are left")
            return real(network, interface, options)

        monkeypatch.setattr(port_module, "ForwardingSocket", refuse)
        here = rule(kernel, "c", "d", offload="never", local_echo=False)
        async with running(Gateway()) as gateway:
            with pytest.raises(CanOSError, match="no descriptors"):
                await gateway.replace([rule(kernel, "a", "b"), here])
        assert kernel.routes == []

    async def test_known_to_others_it_answers_them_though_its_rules_could_not_be_replaced(
        self, kernel: StandInKernel, network: UserNetwork
    ) -> None:
        gateway = Gateway([rule(network, "a", "b")])
        async with running(gateway):
            assert gateway.name not in [name for _, name in find_gateways()]
            with pytest.raises(UnknownInterfaceError):
                await gateway.replace([rule(kernel, "a", "none")])
            assert gateway.name in [name for _, name in find_gateways()]
            told = await read_gateway(gateway.name)
            assert [one["name"] for one in told["rules"]] == ["a > b"]

    async def test_events_that_make_no_sense_are_as_good_as_any(
        self, kernel: StandInKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def odd(events: StandInEvents) -> None:
            events._own.recv(64)
            raise CanOSError(errno.EBADMSG, "odd")

        monkeypatch.setattr(StandInEvents, "events", odd)
        gateway = Gateway([rule(kernel, "a", "b")])
        async with running(gateway):
            await until(lambda: kernel._listening)
            kernel.routes.clear()
            kernel.tell()
            await until(lambda: len(kernel.routes) == 2)
            await gateway.replace([])
            kernel.tell()  # and there is nothing to mend
            await settled()
            assert kernel.routes == []
