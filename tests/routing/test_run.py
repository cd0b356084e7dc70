"""A router while it runs, and how it ends: what is drained, what is dropped, what is cancelled."""

from __future__ import annotations

import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import Filter, Frame, Router
from rig.routing import LIMIT, Waiting, numbered, open_bus, running, send_and_pass, until

if TYPE_CHECKING:
    from anycan import AnyFrame, RoutingFault
    from rig.links import Links
    from rig.routing import Bus

ONE, TWO = Frame(0x100), Frame(0x101)

pytestmark = pytest.mark.anyio


class TestStopping:
    @pytest.mark.parametrize("drain", [True, False])
    async def test_what_waits_is_handled_or_dropped(self, user_links: Links, drain: bool) -> None:
        router = Router()
        waiting = Waiting()
        one = router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await fill(router, bus, waiting, 4)
                router.stop(drain=drain)
                await checkpoint()
                waiting.free.set()
        assert waiting.got == numbered(4 if drain else 1)  # what was begun is left to end
        assert waiting.cancelled == 0
        statistics = one.statistics()
        assert statistics.delivered == len(waiting.got)
        assert statistics.dropped == 4 - len(waiting.got)
        assert statistics.waiting == 0

    @pytest.mark.parametrize("drain", [True, False])
    @pytest.mark.parametrize("limit", [0.0, 0.01])
    async def test_a_handler_that_never_ends_is_cancelled(
        self, user_links: Links, drain: bool, limit: float
    ) -> None:
        router = Router()
        waiting = Waiting()
        one = router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await bus.other.send_many(numbered(3))
                await until(lambda: waiting.calls)
                router.stop(drain=drain, timeout=limit)
        assert waiting.calls == waiting.cancelled == 1
        statistics = one.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (1, 2, 0)

    async def test_a_handler_stops_it(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []

        @router.on(Filter.id(0x100))
        async def handler(frame: AnyFrame) -> None:
            got.append(frame)
            router.stop()
            await checkpoint()

        async with open_bus(user_links) as bus:
            await bus.other.send_many(numbered(3))
            with anyio.fail_after(LIMIT):
                await router.run(bus.can)
        assert got == numbered(3)

    async def test_a_handler_that_stops_it_without_draining_is_called_no_more(
        self, user_links: Links
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []

        @router.on(Filter.id(0x100))
        def handler(frame: AnyFrame) -> None:
            got.append(frame)
            router.stop(drain=False)

        async with open_bus(user_links) as bus:
            await bus.other.send_many(numbered(3))
            with anyio.fail_after(LIMIT):
                await router.run(bus.can)
        assert got == numbered(1)

    async def test_from_the_moment_it_returns_nothing_more_is_read(self, user_links: Links) -> None:
        router = Router()
        waiting = Waiting()
        one = router.add(Filter.range(0x100, 0x101), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await fill(router, bus, waiting, 2)
                bus.other.send_nowait(TWO)  # which has come by now, and nobody has read
                router.stop()
                assert await bus.can.receive() == TWO  # the endpoint is its owner's again
                await bus.other.send(Frame(0x102))
                assert await bus.can.receive() == Frame(0x102)
                waiting.free.set()
        assert waiting.got == numbered(2)
        assert one.statistics().dropped == 0

    async def test_an_endpoint_can_be_closed_right_after_it(self, user_links: Links) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        waiting = Waiting()
        router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                async with open_bus(user_links) as bus:
                    await tasks.start(router.run, bus.can)
                    await fill(router, bus, waiting, 2)
                    router.stop()
                assert repr(router).startswith("<Router running")  # it drains
                waiting.free.set()
        assert waiting.got == numbered(2)
        assert faults == []

    @pytest.mark.parametrize("way", ["reply", "send"])
    async def test_handlers_that_drain_can_send(self, user_links: Links, way: str) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        free = anyio.Event()

        async def answer(frame: AnyFrame) -> None:
            await free.wait()
            response = Frame(0x7E8, frame.data)
            if way == "reply":
                await router.reply(frame, response)
            else:
                await router.send(response, interface=frame.interface)

        one = router.add(Filter.id(0x100), answer)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus:
                async with running(router, bus.can):
                    await bus.other.send_many(numbered(5))
                    await until(lambda: one.statistics().waiting == 4)
                    router.stop()
                    await checkpoint()
                    free.set()
                replies = [await bus.other.receive() for _ in range(5)]
        assert faults == []
        assert replies == numbered(5, identifier=0x7E8)

    async def test_a_handler_can_reply_after_it_has_stopped_the_router(
        self, user_links: Links
    ) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)

        @router.on(Filter.id(0x100))
        async def last(frame: AnyFrame) -> None:
            router.stop(drain=False)
            await checkpoint()
            await router.reply(frame, TWO)

        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus:
                await bus.other.send(ONE)
                await router.run(bus.can)
                assert await bus.other.receive() == TWO
        assert faults == []

    async def test_while_it_does_not_run_it_does_nothing(self, user_links: Links) -> None:
        router = Router()
        router.stop()
        router.stop(drain=False, timeout=0.0)
        async with open_bus(user_links) as bus, running(router, bus.can):
            await send_and_pass(router, bus.other)

    @pytest.mark.parametrize("limit", [-1.0, float("nan"), None, "1"])
    async def test_a_timeout_that_is_none(self, limit: Any) -> None:
        with pytest.raises(ValueError, match=r"timeout= is a time in seconds from 0, not"):
            Router().stop(timeout=limit)


class TestStoppingAgain:
    async def test_it_can_drop_what_was_to_be_drained(self, user_links: Links) -> None:
        router = Router()
        waiting = Waiting()
        one = router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await fill(router, bus, waiting, 4)
                router.stop(timeout=60.0)
                await checkpoint()
                assert one.statistics().waiting == 3
                router.stop(drain=False, timeout=60.0)
                assert one.statistics().waiting == 0
                waiting.free.set()
        assert waiting.got == numbered(1)
        assert (one.statistics().delivered, one.statistics().dropped) == (1, 3)

    @pytest.mark.parametrize("drain", [True, False])
    @pytest.mark.parametrize("limit", [0.0, 0.01])
    async def test_it_can_shorten_the_time(
        self, user_links: Links, drain: bool, limit: float
    ) -> None:
        router = Router()
        waiting = Waiting()
        router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await fill(router, bus, waiting, 2)
                router.stop(timeout=60.0)
                for _ in range(5):  # the router waits for its handlers by now
                    await checkpoint()
                router.stop(drain=drain, timeout=limit)
        assert waiting.calls == waiting.cancelled == 1

    async def test_it_cannot_lengthen_the_time(self, user_links: Links) -> None:
        router = Router()
        waiting = Waiting()
        router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await fill(router, bus, waiting, 2)
                router.stop(timeout=0.01)
                for _ in range(5):
                    router.stop(timeout=60.0)
                    await checkpoint()
        assert waiting.cancelled == 1

    async def test_it_cannot_bring_back_what_was_dropped(self, user_links: Links) -> None:
        router = Router()
        waiting = Waiting()
        one = router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await fill(router, bus, waiting, 3)
                router.stop(drain=False)
                router.stop(drain=True)
                waiting.free.set()
        assert waiting.got == numbered(1)
        assert one.statistics().dropped == 2

    async def test_a_fault_ends_a_drain(self, user_links: Links) -> None:
        router = Router(on_fault=lambda _: None)
        waiting = Waiting()
        router.add(Filter.id(0x100), waiting)
        free = anyio.Event()

        async def fail(_frame: AnyFrame) -> None:
            await free.wait()
            raise LookupError

        failing = router.add(Filter.id(0x101), fail, on_error="stop")
        with anyio.fail_after(LIMIT), pytest.RaisesGroup(LookupError):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await bus.other.send(TWO)
                await fill(router, bus, waiting, 3)
                await until(lambda: failing.statistics().delivered)
                router.stop(timeout=60.0)
                await checkpoint()
                free.set()
        assert waiting.calls == waiting.cancelled == 1


class TestWhoWaits:
    """Those who wait for a frame are told that none comes, as soon as nothing is read any more."""

    async def test_a_handler_that_waits_for_a_frame_does_not_hold_it_up(
        self, user_links: Links
    ) -> None:
        router = Router()
        ended: list[str] = []

        @router.on(Filter.id(0x100))
        async def conversation(_frame: AnyFrame) -> None:
            with pytest.raises(anyio.EndOfStream):
                await router.wait_for(Filter.id(0x101))
            ended.append("wait_for")

        @router.on(Filter.id(0x100))
        async def stream(_frame: AnyFrame) -> None:
            async with router.subscribe(Filter.id(0x101)) as frames:
                async for _ in frames:
                    raise AssertionError
            ended.append("stream")

        @router.on(Filter.id(0x100))
        async def question(_frame: AnyFrame) -> None:
            with pytest.raises(anyio.EndOfStream):
                await router.request(Frame(0x7E0), Filter.id(0x7E8), timeout=None)
            ended.append("request")

        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await bus.other.send(ONE)
                await until(lambda: len(router.subscriptions) == 6)
                router.stop(timeout=60.0)
        assert sorted(ended) == ["request", "stream", "wait_for"]

    async def test_a_stream_ends_while_a_handler_drains(self, user_links: Links) -> None:
        router = Router()
        waiting = Waiting()
        router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with (
                open_bus(user_links) as bus,
                running(router, bus.can),
                router.subscribe(Filter.id(0x100)) as frames,
            ):
                await fill(router, bus, waiting, 3)
                router.stop()
                assert [frame async for frame in frames] == numbered(3)
                assert waiting.got == []
                waiting.free.set()
        assert waiting.got == numbered(3)

    async def test_who_asks_while_it_drains_is_told_at_once(self, user_links: Links) -> None:
        router = Router()
        waiting = Waiting()
        router.add(Filter.id(0x100), waiting)
        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus, running(router, bus.can):
                await fill(router, bus, waiting, 1)
                router.stop()
                with pytest.raises(anyio.EndOfStream):
                    await router.wait_for(Filter.id(0x101))
                async with router.subscribe(None) as frames:
                    with pytest.raises(anyio.EndOfStream):
                        await frames.receive()
                assert waiting.got == []
                waiting.free.set()


class TestAddingAsItEnds:
    @pytest.mark.parametrize("end", ["stop", "drop", "cancel", "fail"])
    async def test_at_any_moment(self, user_links: Links, end: str) -> None:
        for turns in range(12):
            await self.add_after(user_links, end, turns)
        gc.collect()  # a coroutine that was not awaited would warn, and warnings are errors

    @staticmethod
    async def add_after(links: Links, end: str, turns: int) -> None:
        """Add a handler so many turns after the end began, and run the router again."""
        router = Router(on_fault=lambda _: None)
        late: list[AnyFrame] = []

        async def begin_the_end(_frame: AnyFrame) -> None:
            match end:
                case "fail":
                    raise LookupError
                case "cancel":
                    tasks.cancel_scope.cancel()
                case _:
                    router.stop(drain=end == "stop")
            await checkpoint()

        async def take(frame: AnyFrame) -> None:
            await checkpoint()
            late.append(frame)

        async def run() -> None:
            with suppress(LookupError):
                await router.run(bus.can)

        async def add() -> None:
            await until(lambda: first.statistics().delivered)
            for _ in range(turns):
                await checkpoint()
            router.add(Filter.id(0x101), take)

        first = router.add(Filter.id(0x100), begin_the_end, on_error="stop")
        with anyio.fail_after(LIMIT):
            async with open_bus(links) as bus:
                async with anyio.create_task_group() as others:
                    others.start_soon(add)
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(run)
                        await bus.other.send(ONE)
                assert not repr(router).startswith("<Router running")
                assert late == []
                async with running(router, bus.can):
                    await bus.other.send(TWO)
                    await until(lambda: late)
        assert late == [TWO]

    async def test_by_the_handler_that_ends_it(self, user_links: Links) -> None:
        router = Router()
        late: list[AnyFrame] = []

        @router.on(Filter.id(0x100))
        async def last(_frame: AnyFrame) -> None:
            router.stop()
            router.add(Filter.id(0x101), late.append)
            await checkpoint()
            router.add(Filter.id(0x101), late.append)

        with anyio.fail_after(LIMIT):
            async with open_bus(user_links) as bus:
                await bus.other.send(ONE)
                await router.run(bus.can)
                async with running(router, bus.can):
                    await bus.other.send(TWO)
                    await until(lambda: len(late) == 2)
        gc.collect()
        assert late == [TWO, TWO]


async def fill(router: Router, bus: Bus, waiting: Waiting, count: int) -> None:
    """Send frames to a handler, and wait until it is called with one, and the rest waits."""
    async with router.subscribe(Filter.id(0x1FF)) as last:
        await bus.other.send_many([*numbered(count), Frame(0x1FF)])
        await last.receive()
    await until(lambda: waiting.calls)
