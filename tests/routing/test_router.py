"""A router as its users see it: running, stopping, several endpoints, requests, counters."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import (
    CanFilter,
    Filter,
    FilterError,
    Frame,
    Router,
    RoutingError,
    SubscriptionOverflowError,
    UserNetwork,
    byte,
)
from rig.routing import LIMIT, MARKER, Waiting, numbered, open_bus, running, send_and_pass, until

if TYPE_CHECKING:
    from anycan import AnyFrame, RoutingFault
    from rig.links import Links

ONE, TWO, THREE = Frame(0x100), Frame(0x101), Frame(0x102)

pytestmark = pytest.mark.anyio


class TestFilters:
    @pytest.mark.parametrize(
        ("given", "taken"),
        [
            pytest.param(None, [ONE, TWO, THREE], id="none"),
            pytest.param(Filter.id(0x100), [ONE], id="filter"),
            pytest.param(CanFilter(0x101, 0x7FF), [TWO], id="kernel-filter"),
            pytest.param([Filter.id(0x100), Filter.id(0x102)], [ONE, THREE], id="list"),
            pytest.param([Filter.id(0x100), CanFilter(0x101, 0x7FF)], [ONE, TWO], id="mixed"),
            pytest.param((one for one in (Filter.id(0x102),)), [THREE], id="generator"),
            pytest.param({Filter.id(0x101)}, [TWO], id="set"),
            pytest.param(CanFilter(0x101, 0x7FF, inverted=True), [ONE, THREE], id="inverted"),
        ],
    )
    def test_every_form(self, given: Any, taken: list[AnyFrame]) -> None:
        router = Router()
        one = router.add(given, print)
        assert [frame for frame in (ONE, TWO, THREE) if one.filter.matches(frame)] == taken

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ("100:7FF", "Filter.parse"),
            (0x100, r"Filter\.id\(0x100\)"),
            ([Filter.id(1), 2], r"filters\[1\]"),
            (object(), "filters is a Filter"),
            (b"text", r"filters\[0\]"),
        ],
    )
    def test_what_is_no_filter(self, given: Any, why: str) -> None:
        router = Router()

        class Protocol:
            def frame_received(self, frame: AnyFrame) -> None: ...

        for register in (
            lambda: router.add(given, print, name="speed"),
            lambda: router.attach(given, Protocol(), name="speed"),
            lambda: router.subscribe(given, name="speed"),
        ):
            with pytest.raises(FilterError, match=f"^speed: .*{why}"):
                register()
        assert router.subscriptions == ()

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            (Filter.id(1) & Filter.id(2), r"both Filter\.id\(0x1\) and Filter\.id\(0x2\)"),
            (Filter.id(1) & Filter.errors(), "an error frame has neither"),
            (Filter.none(), r"Filter\.none\(\)"),
            ([], r"Filter\.none\(\)"),
        ],
    )
    async def test_contradictions(self, user_links: Links, given: Any, why: str) -> None:
        router = Router()

        class Protocol:
            def frame_received(self, frame: AnyFrame) -> None: ...

        with pytest.raises(FilterError, match=rf"^print: nothing can match its filter: .*{why}"):
            router.add(given, print)
        with pytest.raises(FilterError, match=r"Protocol: nothing.*allow_empty=True"):
            router.attach(given, Protocol())
        with pytest.raises(FilterError, match="subscribe: nothing can match"):
            router.subscribe(given)
        with pytest.raises(FilterError, match="wait_for: nothing can match"):
            await router.wait_for(given)
        assert router.subscriptions == ()
        got: list[AnyFrame] = []
        router.add(given, got.append, allow_empty=True)
        router.attach(given, Protocol(), allow_empty=True)
        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            router.subscribe(given, allow_empty=True) as stream,
        ):
            await send_and_pass(router, bus.other, Frame(1), Frame(2))
            assert stream.statistics().waiting == 0
        assert got == []

    async def test_payloads_and_functions(self, user_links: Links) -> None:
        router = Router()
        by_byte: list[AnyFrame] = []
        by_function: list[AnyFrame] = []
        router.add(Filter.id(0x100) & (byte(0) == 0x62), by_byte.append)
        router.add(Filter.where(lambda frame: frame.can_id % 2 == 1), by_function.append)
        async with open_bus(user_links) as bus, running(router, bus.can):
            await send_and_pass(
                router, bus.other, Frame(0x100, b"\x62"), Frame(0x100, b"\x61"), TWO
            )
        assert by_byte == [Frame(0x100, b"\x62")]
        assert by_function == [TWO, MARKER]


class TestRunning:
    async def test_frames_that_waited_before(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append)
        async with open_bus(user_links) as bus:
            await bus.other.send_many([*numbered(3), TWO])
            bus.can._inbox.read()
            assert bus.can.statistics().waiting == 4
            await bus.other.send_many(numbered(3, 3))  # and these in the kernel's buffer
            async with running(router, bus.can):
                await until(lambda: len(got) == 6)
            assert got == numbered(6)
            assert router.statistics().refused == 1
            assert router.statistics().taken == 6
            assert bus.can.statistics().waiting == 0

    async def test_many_that_waited_before(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        frames = [Frame(0x100, number.to_bytes(2, "big")) for number in range(700)]
        router.add(Filter.id(0x100), got.append)
        async with open_bus(user_links) as bus:
            await bus.other.send_many(frames)
            async with running(router, bus.can):
                await until(lambda: len(got) == 700)
        assert got == frames

    async def test_it_runs_once_at_a_time(self, user_links: Links) -> None:
        router = Router()
        async with (
            open_bus(user_links) as bus,
            open_bus(user_links) as second,
            running(router, bus.can),
        ):
            assert repr(router) == "<Router running, 0 subscriptions>"
            with pytest.raises(anyio.BusyResourceError):
                await router.run(second.can)
            with pytest.raises(anyio.WouldBlock):
                second.can.receive_nowait()  # it is nobody's
            await send_and_pass(router, bus.other)  # the first run goes on
        assert repr(router) == "<Router not running, 0 subscriptions>"

    async def test_it_runs_again_after_it_ended(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        slow: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append)

        async def handler(frame: AnyFrame) -> None:
            await checkpoint()
            slow.append(frame)

        router.add(Filter.id(0x100), handler)
        for number in range(3):
            async with open_bus(user_links) as bus:
                async with running(router, bus.can):
                    await send_and_pass(router, bus.other, *numbered(2, 2 * number))
                await bus.other.send(ONE)
                assert await bus.can.receive() == ONE
        assert got == slow == numbered(6)
        statistics = router.statistics()
        assert statistics.taken == 6 + 3  # and the markers
        assert all(one.delivered == 6 for _, one in statistics.subscriptions)

    async def test_it_runs_again_after_a_handlers_queue_was_full(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append, capacity=2, overflow="raise")
        async with open_bus(user_links) as bus:
            await bus.other.send_many(numbered(3))
            with pytest.raises(SubscriptionOverflowError):
                await router.run(bus.can)
        got.clear()
        async with open_bus(user_links) as bus, running(router, bus.can):
            await send_and_pass(router, bus.other, ONE)
        assert got == [ONE]

    async def test_without_an_endpoint(self) -> None:
        with pytest.raises(RoutingError, match="one endpoint or more"):
            await Router().run()

    @pytest.mark.parametrize("given", ["can0", 3, None])
    async def test_on_something_else_than_endpoints(self, user_links: Links, given: Any) -> None:
        router = Router()
        hint = rf"^a router runs on endpoints of open_raw\(\), not {given!r}$"
        async with open_bus(user_links) as bus:
            with pytest.raises(RoutingError, match=hint):
                await router.run(given)
            with pytest.raises(RoutingError, match=hint):
                await router.run(bus.can, given)
            await bus.other.send(ONE)
            assert await bus.can.receive() == ONE

    async def test_an_endpoint_that_somebody_receives_from(self, user_links: Links) -> None:
        router = Router()
        received: list[AnyFrame] = []
        async with open_bus(user_links) as first, open_bus(user_links) as bus:

            async def receive() -> None:
                received.append(await bus.can.receive())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                await until(lambda: bus.can._inbox.busy)
                with pytest.raises(anyio.BusyResourceError):
                    await router.run(first.can, bus.can)
                assert repr(router) == "<Router not running, 0 subscriptions>"
                await bus.other.send(ONE)  # the receiver goes on
            assert received == [ONE]
            await first.other.send(TWO)
            assert await first.can.receive() == TWO  # it has been given back

    async def test_an_endpoint_given_twice(self, user_links: Links) -> None:
        async with open_bus(user_links) as bus:
            with pytest.raises(anyio.BusyResourceError):
                await Router().run(bus.can, bus.can)
            await bus.other.send(ONE)
            assert await bus.can.receive() == ONE

    async def test_a_routed_endpoint_is_the_routers(self, user_links: Links) -> None:
        router, another = Router(), Router()
        async with open_bus(user_links) as bus:
            async with running(router, bus.can):
                with pytest.raises(anyio.BusyResourceError):
                    await bus.can.receive()
                with pytest.raises(anyio.BusyResourceError):
                    await bus.can.receive_many()
                with pytest.raises(anyio.BusyResourceError):
                    bus.can.receive_nowait()
                with pytest.raises(anyio.BusyResourceError):
                    bus.can.set_filters(None)
                with pytest.raises(anyio.BusyResourceError):
                    bus.can.set_errors(0)
                with pytest.raises(anyio.BusyResourceError):
                    await another.run(bus.can)
                await bus.can.send(ONE)  # it can send
                assert await bus.other.receive() == ONE
                await send_and_pass(router, bus.other)
            bus.can.set_filters(Filter.id(0x101))
            await bus.other.send_many([ONE, TWO])
            assert await bus.can.receive() == TWO

    async def test_an_endpoint_that_is_closed_while_it_is_routed(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        got: list[AnyFrame] = []
        router.add(Filter.range(0x100, 0x101), got.append)
        async with open_bus(user_links) as stays, open_bus(user_links) as bus:
            with pytest.RaisesGroup(anyio.ClosedResourceError):
                async with running(router, bus.can, stays.can):
                    await bus.can.aclose()
                    await until(lambda: faults)
                    assert faults[0].action == "the endpoint is left out"
                    await send_and_pass(router, stays.other, ONE)
                    await stays.can.aclose()
                    await until(lambda: len(faults) == 2)
        assert got == [ONE]
        assert faults[1].action == "ends the router"
        assert all(isinstance(fault.error, anyio.ClosedResourceError) for fault in faults)
        assert all(fault.subscription is None and fault.frames == () for fault in faults)
        assert [str(fault) for fault in faults] == [
            f"on {name}: ClosedResourceError: the endpoint was closed while it was routed; {action}"
            for name, action in (
                (bus.name, "the endpoint is left out"),
                (stays.name, "ends the router"),
            )
        ]

    async def test_a_closed_endpoint(self, user_links: Links) -> None:
        async with open_bus(user_links) as bus:
            pass
        with pytest.raises(anyio.ClosedResourceError):
            await Router().run(bus.can)

    async def test_an_interface_that_goes_down(
        self, user_links: Links, caplog: pytest.LogCaptureFixture
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append)
        with caplog.at_level(logging.INFO, "anycan.routing"):
            async with open_bus(user_links) as bus, running(router, bus.can):
                for number in (1, 2):
                    user_links.down(bus.name)
                    await until(lambda number=number: len(caplog.records) == number)  # type: ignore[misc]
                    user_links.up(bus.name)
                    await send_and_pass(router, bus.other, ONE)
        assert got == [ONE, ONE]
        assert {record.levelno for record in caplog.records} == {logging.WARNING}
        assert caplog.messages[0].startswith(f"on {bus.name}: InterfaceDownError: ")
        assert caplog.messages[0].endswith("; goes on")
        assert router.statistics().faults == 2

    async def test_an_interface_that_is_removed(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        got: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append)
        async with open_bus(user_links) as one, open_bus(user_links) as two:
            with pytest.RaisesGroup(anycan.InterfaceRemovedError):
                async with running(router, one.can, two.can):
                    user_links.remove(one.name)
                    await until(lambda: faults)
                    await send_and_pass(router, two.other, ONE)
                    user_links.remove(two.name)
                    await until(lambda: len(faults) == 2)
            for bus in (one, two):
                for _ in range(2):
                    with pytest.raises(anycan.InterfaceRemovedError):
                        await bus.can.receive()  # of no more use
        assert got == [ONE]
        assert [(fault.interface, fault.action) for fault in faults] == [
            (one.name, "the endpoint is left out"),
            (two.name, "ends the router"),
        ]

    async def test_what_waits_is_handled_when_the_last_interface_is_removed(
        self, user_links: Links
    ) -> None:
        router = Router(on_fault=lambda _: None)
        got: list[AnyFrame] = []

        async def slow(frame: AnyFrame) -> None:
            await checkpoint()
            got.append(frame)

        router.add(Filter.id(0x100), slow)
        async with open_bus(user_links) as bus:
            with pytest.RaisesGroup(anycan.InterfaceRemovedError):
                async with running(router, bus.can):
                    async with router.subscribe(Filter.id(0x101)) as last:
                        await bus.other.send_many([*numbered(5), TWO])
                        await last.receive()
                        user_links.remove(bus.name)
                    await until(lambda: not repr(router).startswith("<Router running"))
        assert got == numbered(5)

    async def test_cancelling_it(self, user_links: Links) -> None:
        router = Router()
        ended: list[str] = []

        async def endless(_frame: AnyFrame) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("cancelled")

        one = router.add(Filter.id(0x100), endless)
        async with open_bus(user_links) as bus:
            async with router.subscribe(Filter.id(0x101)) as stream:
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as tasks:
                        await tasks.start(router.run, bus.can)
                        await bus.other.send_many([*numbered(4), TWO])
                        await until(
                            lambda: stream.statistics().waiting and one.statistics().delivered
                        )
                        scope.cancel()
                assert scope.cancelled_caught
                assert ended == ["cancelled"]
                with pytest.raises(anyio.EndOfStream):
                    await stream.receive()
            for dropped, subscription in ((3, one), (1, stream)):
                statistics = subscription.statistics()
                assert (statistics.waiting, statistics.dropped) == (0, dropped)
            await bus.other.send(THREE)
            assert await bus.can.receive() == THREE
        assert repr(router) == "<Router not running, 1 subscriptions>"

    async def test_two_routers_on_two_endpoints(self, user_links: Links) -> None:
        routers = Router(), Router()
        got: tuple[list[AnyFrame], list[AnyFrame]] = ([], [])
        for router, taken, identifier in zip(routers, got, (0x100, 0x101), strict=True):
            router.add(Filter.id(identifier), taken.append)
        async with (
            open_bus(user_links) as bus,
            anycan.open_raw(bus.name, network=user_links.network) as second,
            running(routers[0], bus.can),
            running(routers[1], second),
        ):
            await bus.other.send_many([ONE, TWO])
            for router in routers:
                await send_and_pass(router, bus.other)
        assert got == ([ONE], [TWO])


class TestWaitFor:
    async def test_a_frame_comes(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        async def wait() -> None:
            got.append(await router.wait_for(Filter.id(0x100), LIMIT))

        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            anyio.create_task_group() as tasks,
        ):
            await send_and_pass(router, bus.other, ONE)  # what was before does not count
            tasks.start_soon(wait)
            await until(lambda: router.subscriptions)
            await send_and_pass(router, bus.other, TWO, *numbered(3))
        assert got == numbered(1)
        assert router.subscriptions == ()

    async def test_none_comes_in_time(self, user_links: Links) -> None:
        router = Router()
        async with open_bus(user_links) as bus, running(router, bus.can):
            with pytest.raises(TimeoutError):
                await router.wait_for(Filter.id(0x100), 0.005)
            assert router.subscriptions == ()
        with pytest.raises(TimeoutError):
            await router.wait_for(None, 0.005)  # it does not run
        assert router.subscriptions == ()

    async def test_it_may_begin_before_the_router_does(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        async def wait() -> None:
            got.append(await router.wait_for(Filter.id(0x100), LIMIT))

        async with open_bus(user_links) as bus, anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(lambda: router.subscriptions)
            async with running(router, bus.can):
                await send_and_pass(router, bus.other, ONE)
        assert got == [ONE]

    async def test_one_that_came_before_is_not_meant(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        async def wait() -> None:
            got.append(await router.wait_for(Filter.id(0x100), LIMIT))

        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            router.subscribe(Filter.id(0x100)) as every,  # so that the kernel lets it through
            anyio.create_task_group() as tasks,
        ):
            bus.other.send_nowait(ONE)  # nobody has read it when the call is made
            tasks.start_soon(wait)
            await until(lambda: len(router.subscriptions) == 2)
            await send_and_pass(router, bus.other, *numbered(2))
            await until(lambda: got)
            assert await every.receive_many() == [ONE, *numbered(2)]
        assert got == numbered(1)

    async def test_the_router_ends(self, user_links: Links) -> None:
        router = Router()
        ended: list[str] = []

        async def wait() -> None:
            with pytest.raises(anyio.EndOfStream):
                await router.wait_for(Filter.id(0x100), LIMIT)
            ended.append("end")

        async with (
            open_bus(user_links) as bus,
            anyio.create_task_group() as tasks,
            running(router, bus.can),
        ):
            tasks.start_soon(wait)
            await until(lambda: router.subscriptions)
        assert ended == ["end"]


def answering(router: Router) -> None:
    """Answer 0x7E0 by two frames of 0x7E8, and what the router hears besides by nothing."""

    @router.on(Filter.id(0x7E0))
    async def answer(frame: AnyFrame) -> None:
        assert isinstance(frame, Frame)
        await router.reply(frame, Frame(0x7E8, frame.data + b"\x01"))
        await router.reply(frame, Frame(0x7E8, frame.data + b"\x02"))


class TestSending:
    async def test_request(self, user_links: Links) -> None:
        router, server = Router(), Router()
        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            running(server, bus.other),
        ):
            answering(server)
            for number in range(20):
                request = Frame(0x7E0, bytes([number]))
                reply = await router.request(request, Filter.id(0x7E8), timeout=LIMIT)
                assert reply == Frame(0x7E8, bytes([number, 1]))
            with pytest.raises(TimeoutError):
                await router.request(Frame(0x7E1), Filter.id(0x7E9), timeout=0.005)
            assert router.subscriptions == ()

    async def test_a_late_reply_is_none_to_the_next_request(self, user_links: Links) -> None:
        router, server = Router(), Router()
        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            running(server, bus.other),
        ):
            with pytest.raises(TimeoutError):
                await router.request(Frame(0x7E0, b"\x01"), Filter.id(0x7E8), timeout=0.005)
            bus.other.send_nowait(Frame(0x7E8, b"late"))
            with pytest.raises(TimeoutError):
                await router.request(Frame(0x7E0, b"\x02"), Filter.id(0x7E8), timeout=0.005)
            answering(server)
            for number in range(5):
                bus.other.send_nowait(Frame(0x7E8, b"late"))
                request = Frame(0x7E0, bytes([number]))
                reply = await router.request(request, Filter.id(0x7E8), timeout=LIMIT)
                assert reply == Frame(0x7E8, bytes([number, 1]))

    async def test_many_late_replies(self, user_links: Links) -> None:
        router, server = Router(), Router()
        answering(server)
        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            router.subscribe(Filter.id(0x7E8), capacity=3, overflow="drop_newest") as every,
        ):
            for _ in range(1500):
                bus.other.send_nowait(Frame(0x7E8, b"late"))
            async with running(server, bus.other):
                reply = await router.request(Frame(0x7E0), Filter.id(0x7E8), timeout=LIMIT)
            assert reply == Frame(0x7E8, b"\x01")
            assert every.statistics().dropped >= 1497

    @pytest.mark.parametrize("way", ["request", "wait_for"])
    async def test_a_late_reply_behind_a_queue_that_blocks(
        self, user_links: Links, way: str
    ) -> None:
        router, server = Router(), Router()
        answering(server)
        got: list[AnyFrame] = []

        async def ask() -> None:
            if way == "request":
                got.append(await router.request(Frame(0x7E0), Filter.id(0x7E8), timeout=LIMIT))
            else:
                got.append(await router.wait_for(Filter.id(0x7E8), LIMIT))

        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            router.subscribe(Filter.id(0x100), capacity=1, overflow="block") as slow,
            router.subscribe(Filter.id(0x7E8)) as every,  # so that the kernel lets it through
        ):
            await bus.other.send_many(numbered(3))
            await until(lambda: slow.statistics().waiting)
            for _ in range(3):
                bus.other.send_nowait(Frame(0x7E8, b"late"))
            async with running(server, bus.other), anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await until(lambda: len(router.subscriptions) == 3)
                if way == "wait_for":
                    await bus.other.send(Frame(0x7E8, b"\x01"))
                with anyio.fail_after(LIMIT):
                    assert [await slow.receive() for _ in range(3)] == numbered(3)
            assert (await every.receive_many())[:3] == [Frame(0x7E8, b"late")] * 3
        assert got == [Frame(0x7E8, b"\x01")]

    async def test_reply_goes_where_the_frame_came_from(self, user_links: Links) -> None:
        router = Router()

        @router.on(Filter.id(0x7E0))
        async def answer(frame: AnyFrame) -> None:
            await router.reply(frame, Frame(0x7E8, b"\x01"))

        async with open_bus(user_links) as one, open_bus(user_links) as two:
            async with running(router, one.can, two.can):
                await two.other.send(Frame(0x7E0))
                with anyio.fail_after(LIMIT):
                    assert await two.other.receive() == Frame(0x7E8, b"\x01")
                await one.other.send(Frame(0x7E0))
                with anyio.fail_after(LIMIT):
                    assert await one.other.receive() == Frame(0x7E8, b"\x01")
            for bus in (one, two):
                with pytest.raises(anyio.WouldBlock):
                    bus.other.receive_nowait()

    async def test_reply_through_an_endpoint_of_all_interfaces(self, user_links: Links) -> None:
        router = Router()

        @router.on(Filter.id(0x7E0))
        async def answer(frame: AnyFrame) -> None:
            await router.reply(frame, Frame(0x7E8))

        network = user_links.network
        async with (
            open_bus(user_links) as one,
            open_bus(user_links) as two,
            anycan.open_raw(None, network=network) as everywhere,
            running(router, everywhere),
        ):
            await two.other.send(Frame(0x7E0))
            with anyio.fail_after(LIMIT):
                assert await two.other.receive() == Frame(0x7E8)
            with pytest.raises(anyio.WouldBlock):
                one.other.receive_nowait()
            await router.send(ONE, interface=one.name)
            assert await one.other.receive() == ONE
            for where in ("nowhere", None):
                with pytest.raises(anycan.UnknownInterfaceError):
                    await router.send(ONE, interface=where)

    async def test_with_several_endpoints_the_interface_is_to_be_named(
        self, user_links: Links
    ) -> None:
        router, server = Router(), Router()
        async with open_bus(user_links) as one, open_bus(user_links) as two:
            answering(server)
            async with running(router, one.can, two.can), running(server, two.other):
                with pytest.raises(RoutingError, match=r"several endpoints.*interface="):
                    await router.send(ONE)
                with pytest.raises(RoutingError, match="several endpoints"):
                    await router.request(Frame(0x7E0), Filter.id(0x7E8))
                with pytest.raises(RoutingError, match="no endpoint of the interface nowhere"):
                    await router.send(ONE, interface="nowhere")
                await router.send(ONE, interface=one.name)
                assert await one.other.receive() == ONE
                reply = await router.request(
                    Frame(0x7E0, b"\x05"), Filter.id(0x7E8), interface=two.name, timeout=LIMIT
                )
                assert reply == Frame(0x7E8, b"\x05\x01")
                assert reply.interface == two.name
                assert router.subscriptions == ()

    async def test_two_endpoints_of_one_interface(self, user_links: Links) -> None:
        router = Router()
        async with (
            open_bus(user_links) as bus,
            anycan.open_raw(bus.name, network=user_links.network) as second,
            running(router, bus.can, second),
        ):
            await router.send(ONE, interface=bus.name)  # the one or the other: it is one bus
            assert await bus.other.receive() == ONE

    async def test_two_networks_with_one_interface_name(self, user_links: Links) -> None:
        router = Router()
        name = user_links.add()
        refused: list[str] = []

        @router.on(Filter.id(0x7E0))
        async def answer(frame: AnyFrame) -> None:
            with pytest.raises(RoutingError, match="several networks"):
                await router.reply(frame, Frame(0x7E8))
            refused.append(frame.interface or "")

        async with UserNetwork() as second:
            second.add_vcan(name)
            async with AsyncExitStack() as stack:
                one, two, other = [
                    await stack.enter_async_context(anycan.open_raw(name, network=network))
                    for network in (user_links.network, second, second)
                ]
                async with running(router, one, two):
                    await other.send(Frame(0x7E0))
                    await until(lambda: refused)
                    with pytest.raises(RoutingError, match="several networks"):
                        await router.send(ONE, interface=name)
        assert refused == [name]

    async def test_two_networks_one_of_them_by_an_endpoint_of_all_interfaces(
        self, user_links: Links
    ) -> None:
        router = Router()
        name = user_links.add()
        outcome: list[str] = []

        @router.on(Filter.id(0x7E0))
        async def answer(frame: AnyFrame) -> None:
            try:
                await router.reply(frame, Frame(0x7E8))
                outcome.append("sent")
            except RoutingError:
                outcome.append("refused")

        async with UserNetwork() as second:
            second.add_vcan(name)
            async with AsyncExitStack() as stack:
                bound, everywhere, asking = [
                    await stack.enter_async_context(anycan.open_raw(where, network=network))
                    for where, network in (
                        (name, user_links.network),
                        (None, second),
                        (name, second),
                    )
                ]
                async with running(router, bound, everywhere):
                    await asking.send(Frame(0x7E0))
                    await until(lambda: outcome)
        # It came from the second network: it must not be answered on the first.
        assert outcome == ["refused"] or everywhere.statistics().sent == 1

    async def test_while_it_does_not_run(self) -> None:
        router = Router()
        with pytest.raises(RoutingError, match="does not run"):
            await router.send(ONE)
        with pytest.raises(RoutingError, match="does not run"):
            await router.reply(Frame(1, interface="vcan0"), ONE)
        with pytest.raises(RoutingError, match="does not run"):
            await router.request(ONE, Filter.id(1))
        assert router.subscriptions == ()

    async def test_reply_to_a_frame_that_was_not_received(self) -> None:
        with pytest.raises(RoutingError, match="100# was not received"):
            await Router().reply(ONE, TWO)

    async def test_a_request_on_a_link_that_is_down(self, user_links: Links) -> None:
        router = Router(on_fault=lambda _: None)
        async with open_bus(user_links) as bus, running(router, bus.can):
            user_links.down(bus.name)
            await until(lambda: router.statistics().faults)
            with pytest.raises(anycan.InterfaceDownError):
                await router.request(ONE, Filter.id(0x101))
            assert router.subscriptions == ()


class TestSeveralEndpoints:
    async def test_the_frames_of_each_interface_stay_in_order(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        batches: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append)
        router.add(Filter.id(0x100), batches.extend, batch=True)
        async with AsyncExitStack() as stack:
            buses = [await stack.enter_async_context(open_bus(user_links)) for _ in range(3)]
            async with running(router, *(bus.can for bus in buses)):
                for number in range(100):
                    for bus in buses:
                        bus.other.send_nowait(numbered(1, number)[0])
                    if number % 7 == 0:
                        await checkpoint()
                await until(lambda: len(got) == len(batches) == 300)
        for bus in buses:
            for taken in (got, batches):
                assert [one for one in taken if one.interface == bus.name] == numbered(100)

    async def test_a_filter_by_interface(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        async with open_bus(user_links) as one, open_bus(user_links) as two:
            router.add(Filter.interface(two.name) & Filter.id(0x100), got.append)
            async with running(router, one.can, two.can):
                for bus in (one, two):
                    await send_and_pass(router, bus.other, ONE)
        assert [frame.interface for frame in got] == [two.name]

    async def test_one_subscription_that_comes_and_goes_on_both(self, user_links: Links) -> None:
        router = Router()
        async with (
            open_bus(user_links) as one,
            open_bus(user_links) as two,
            running(router, one.can, two.can),
        ):
            for _ in range(3):
                async with router.subscribe(Filter.id(0x100)) as stream:
                    for bus in (one, two):
                        await send_and_pass(router, bus.other, ONE, TWO)
                    assert await stream.receive_many() == [ONE, ONE]
            assert all(not source._wanted for source in router._core._sources)


class TestStatistics:
    async def test_they_add_up(self, user_links: Links) -> None:
        router = Router(on_fault=lambda _: None)
        waiting = Waiting()

        class Protocol:
            def frame_received(self, frame: AnyFrame) -> None: ...

        def fail(_frame: AnyFrame) -> None:
            raise ValueError

        async with (
            open_bus(user_links) as bus,
            running(router, bus.can),
            router.subscribe(Filter.id(0x100), capacity=3, name="oldest"),
            router.subscribe(Filter.id(0x100), capacity=3, overflow="drop_newest"),
            router.subscribe(Filter.range(0x100, 0x101), overflow="latest_per_id"),
            router.subscribe(Filter.id(0x100), capacity=3, overflow="raise"),
        ):
            router.add(Filter.id(0x100), waiting, capacity=4)
            router.add(Filter.id(0x100), fail)
            router.add(Filter.id(0x100), len, batch=True)
            router.attach(Filter.id(0x100), Protocol())
            async with router.subscribe(Filter.id(0x1FF)) as last:
                await bus.other.send_many([*numbered(10), TWO, Frame(0x1FF)])
                await last.receive()
            for name, one in router.statistics().subscriptions:
                passed = 11 if one.dropped == 9 and one.waiting == 2 else 10
                assert one.delivered + one.dropped + one.waiting == passed, name
            names = [name for name, _ in router.statistics().subscriptions]
            assert names[:2] == ["oldest", "subscribe"]
            assert names[5].endswith("fail")
            await until(lambda: router.statistics().faults == 10)
            assert router.statistics().taken == 12
            router.stop(drain=False, timeout=0.0)

    async def test_what_has_ended_is_counted_too(self, user_links: Links) -> None:
        router = Router()
        async with open_bus(user_links) as bus, running(router, bus.can):
            async with router.subscribe(Filter.id(0x100), capacity=1):
                await send_and_pass(router, bus.other, *numbered(5))
            statistics = router.statistics()
            assert statistics.subscriptions == ()
            assert (statistics.delivered, statistics.dropped) == (1, 5)  # and the marker

    async def test_of_many_that_have_ended(self, user_links: Links) -> None:
        router = Router()
        ended = 0
        got: list[AnyFrame] = []
        async with open_bus(user_links) as bus, running(router, bus.can):
            for _ in range(25):
                ones = [router.subscribe(Filter.id(0x100), capacity=2) for _ in range(9)]
                for one in ones:
                    await one.__aenter__()
                await send_and_pass(router, bus.other, *numbered(5))
                for one in ones:
                    await one.receive()
                    await one.aclose()
                ended += len(ones)
            router.add(Filter.id(0x100), got.append)
            await send_and_pass(router, bus.other, *numbered(3))
            statistics = router.statistics()
        assert ended == 225
        assert len(router._core._ended) <= 100  # and of the others there are sums alone
        assert statistics.delivered == ended + 26 + 3  # the markers, and those of the handler
        assert statistics.dropped == 4 * ended

    async def test_one_that_ends_within_its_own_call(self, user_links: Links) -> None:
        router = Router()
        free = anyio.Event()

        async def last(_frame: AnyFrame) -> None:
            one.close()
            await free.wait()

        one = router.add(Filter.id(0x100), last)
        async with open_bus(user_links) as bus, running(router, bus.can):
            await send_and_pass(router, bus.other, *numbered(3))
            await until(lambda: one.closed)
            assert one.statistics().delivered == 1
            assert router.statistics().delivered == 1 + 1
            assert router.statistics().dropped == 2
            free.set()

    async def test_what_is_refused_is_counted(self, user_links: Links) -> None:
        router = Router()
        wanted = Filter.id(0x100) & (byte(0) == 1)  # of which the kernel sees the identifier
        got: list[AnyFrame] = []
        router.add(wanted, got.append)
        async with open_bus(user_links) as bus:
            async with running(router, bus.can):
                await send_and_pass(router, bus.other, *numbered(3), ONE, TWO)
                assert router.statistics().refused == 3
                assert bus.can.statistics().filtered == 3
                assert bus.can.statistics().received == 2  # and the marker
            assert router.statistics().refused == 3
            assert router.statistics().taken == 2
        assert got == numbered(1, 1)


def test_on_fault_is_a_function() -> None:
    async def awaited(_fault: object) -> None:
        raise AssertionError

    given: Any
    for given in (3, awaited):
        with pytest.raises(TypeError, match="on_fault= is a plain function or None, not"):
            Router(on_fault=given)
