"""A subscription as a stream: receiving, its end, and what it may not be used for."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import Filter, Frame, Router, RoutingError
from rig.routing import LIMIT, numbered, open_bench, until

if TYPE_CHECKING:
    from anycan import AnyFrame, FrameSubscription
    from rig.links import Links


pytestmark = pytest.mark.anyio


async def receive_until_end(stream: FrameSubscription) -> list[AnyFrame]:
    with anyio.fail_after(LIMIT):
        return [frame async for frame in stream]


class TestReceiving:
    async def test_the_ways_to_receive(self, user_links: Links) -> None:
        router = Router()
        frames = numbered(10)
        async with (
            open_bench(router, user_links) as bench,
            router.subscribe(Filter.id(0x100)) as stream,
        ):
            with pytest.raises(anyio.WouldBlock):
                stream.receive_nowait()
            await bench.send(*frames, Frame(0x101))
            assert stream.statistics().waiting == 10
            assert await stream.receive() == frames[0]
            assert stream.receive_nowait() == frames[1]
            assert await stream.receive_many(limit=3) == frames[2:5]
            async for frame in stream:
                assert frame == frames[5]
                break
            assert await stream.receive_many(limit=100) == frames[6:]
            for limit in (0, -1):
                with pytest.raises(ValueError, match="at least 1"):
                    await stream.receive_many(limit=limit)
            statistics = stream.statistics()
        assert statistics.delivered == 10
        assert statistics.high_water == 10
        assert (statistics.dropped, statistics.waiting, statistics.faults) == (0, 0, 0)
        assert statistics.handler_time == 0.0

    async def test_it_begins_when_the_block_is_entered(self, user_links: Links) -> None:
        router = Router()
        async with open_bench(router, user_links) as bench:
            stream = router.subscribe(Filter.id(0x100))
            await bench.send(*numbered(2))
            assert not router.subscriptions
            async with stream:
                assert stream in router.subscriptions
                await bench.send(*numbered(2, 2))
                assert await stream.receive_many() == numbered(2, 2)
            await bench.send(*numbered(2, 4))
            assert stream.statistics().dropped == 0
            assert not router.subscriptions

    async def test_what_waits_at_the_end_of_the_block_is_counted(self, user_links: Links) -> None:
        router = Router()
        async with open_bench(router, user_links) as bench:
            async with router.subscribe(Filter.id(0x100)) as stream:
                await bench.send(*numbered(3))
                await stream.receive()
            statistics = stream.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (1, 2, 0)

    async def test_cancelled_receives_lose_nothing(self, user_links: Links) -> None:
        router = Router()
        received: list[AnyFrame] = []
        scopes: list[anyio.CancelScope] = []
        ended: list[int] = []

        async def receive(stream: FrameSubscription, scope: anyio.CancelScope) -> None:
            with scope:
                received.append(await stream.receive())
            ended.append(1)

        async with (
            open_bench(router, user_links) as bench,
            router.subscribe(Filter.id(0x100)) as stream,
            anyio.create_task_group() as tasks,
        ):
            for number, frame in enumerate(numbered(100)):
                scope = anyio.CancelScope()
                scopes.append(scope)
                tasks.start_soon(receive, stream, scope)
                await until(lambda: stream.queue.awaited or len(ended) == len(scopes))
                bench.other.send_nowait(frame)
                for _ in range(number % 5):  # it comes before, together with, or after the end
                    await checkpoint()
                scope.cancel()
                await until(lambda: len(ended) == len(scopes))
            with anyio.fail_after(LIMIT):
                while len(received) < 100:
                    received.append(await stream.receive())
        assert received == numbered(100)
        assert any(scope.cancelled_caught for scope in scopes)

    async def test_two_tasks_cannot_receive_at_once(self, user_links: Links) -> None:
        router = Router()
        received: list[AnyFrame] = []
        async with (
            open_bench(router, user_links) as bench,
            router.subscribe(Filter.id(0x100)) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def receive() -> None:
                received.append(await stream.receive())

            tasks.start_soon(receive)
            await until(lambda: stream.queue.awaited)
            with pytest.raises(anyio.BusyResourceError):
                await stream.receive()
            with pytest.raises(anyio.BusyResourceError):
                await stream.receive_many()
            await bench.send(*numbered(2))
            await until(lambda: received)
            assert await stream.receive() == numbered(2)[1]
        assert received == numbered(1)

    async def test_two_streams_of_one_filter_each_get_all(self, user_links: Links) -> None:
        router = Router()
        async with (
            open_bench(router, user_links) as bench,
            router.subscribe(Filter.id(0x100)) as one,
            router.subscribe(Filter.id(0x100)) as two,
        ):
            await bench.send(*numbered(3))
            assert await one.receive_many() == await two.receive_many() == numbered(3)


class TestEnd:
    async def test_a_stream_ends_after_what_waits(self, user_links: Links) -> None:
        router = Router()
        async with router.subscribe(Filter.id(0x100)) as stream:
            async with open_bench(router, user_links) as bench:
                await bench.send(*numbered(3))
            assert stream.receive_nowait() == numbered(1)[0]
            assert await receive_until_end(stream) == numbered(2, 1)
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive_many()
            with pytest.raises(anyio.EndOfStream):
                stream.receive_nowait()
        assert stream.statistics().delivered == 3

    async def test_a_stop_without_draining_drops_what_waits(self, user_links: Links) -> None:
        router = Router()
        async with router.subscribe(Filter.id(0x100)) as stream:
            async with open_bench(router, user_links) as bench:
                await bench.send(*numbered(3))
                await stream.receive()
                router.stop(drain=False)
            assert await receive_until_end(stream) == []
        statistics = stream.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (1, 2, 0)

    async def test_the_end_wakes_who_waits(self, user_links: Links) -> None:
        router = Router()
        ended: list[list[AnyFrame]] = []
        async with (
            router.subscribe(Filter.id(0x100)) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def iterate() -> None:
                ended.append(await receive_until_end(stream))

            async with open_bench(router, user_links):
                tasks.start_soon(iterate)
                await until(lambda: stream.queue.awaited)
            await until(lambda: ended)
        assert ended == [[]]

    async def test_closing_wakes_who_waits(self, user_links: Links) -> None:
        router = Router()
        ended: list[str] = []
        async with (
            open_bench(router, user_links),
            router.subscribe(Filter.id(0x100)) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def receive() -> None:
                with pytest.raises(anyio.ClosedResourceError):
                    await stream.receive()
                ended.append("closed")

            tasks.start_soon(receive)
            await until(lambda: stream.queue.awaited)
            await stream.aclose()
            await until(lambda: ended)
            with pytest.raises(anyio.ClosedResourceError):
                stream.receive_nowait()
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive_many()
            assert repr(stream) == "<FrameSubscription subscribe closed>"
            await stream.aclose()  # a second time does nothing

    async def test_one_that_is_closed_as_a_batch_is_handed_on_gives_no_more_of_it(
        self, user_links: Links
    ) -> None:
        router = Router()

        class Closing:
            def frame_received(self, _frame: AnyFrame) -> None:
                stream.close()

        router.attach(Filter.id(0x100), Closing())
        async with (
            open_bench(router, user_links) as bench,
            router.subscribe(Filter.id(0x100)) as stream,
        ):
            await bench.send(*numbered(4))
            statistics = stream.statistics()
            assert (statistics.delivered, statistics.dropped, statistics.waiting) == (0, 4, 0)
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()

    async def test_when_a_handler_ends_the_router_the_stream_ends_too(
        self, user_links: Links
    ) -> None:
        router = Router(on_fault=lambda _: None)
        name, network = user_links.add(), user_links.network

        @router.on(Filter.id(0x101), on_error="stop")
        def failing(_frame: AnyFrame) -> None:
            raise LookupError

        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            router.subscribe(Filter.id(0x100)) as stream,
        ):
            await other.send_many([*numbered(2), Frame(0x101)])
            with pytest.raises(LookupError):
                await router.run(can)
            assert await receive_until_end(stream) == []
            assert stream.statistics().dropped == 2

    async def test_a_stream_goes_on_when_the_router_runs_again(self, user_links: Links) -> None:
        router = Router()
        async with router.subscribe(Filter.id(0x100)) as stream:
            async with open_bench(router, user_links) as bench:
                await bench.send(*numbered(1))
            assert await receive_until_end(stream) == numbered(1)
            async with open_bench(router, user_links) as bench:
                with pytest.raises(anyio.WouldBlock):
                    stream.receive_nowait()
                await bench.send(*numbered(1, 1))
                assert await stream.receive() == numbered(1, 1)[0]

    async def test_a_run_that_is_refused_ends_no_stream(self, user_links: Links) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        async with router.subscribe(Filter.id(0x100)) as stream:
            async with anycan.open_raw(name, network=network) as can:
                pass
            with pytest.raises(anyio.ClosedResourceError):
                await router.run(can)
            with pytest.raises(anyio.WouldBlock):
                stream.receive_nowait()


class TestMisuse:
    async def test_without_a_block_it_gets_nothing_and_says_so(self) -> None:
        stream = Router().subscribe(Filter.id(0x100))
        with pytest.raises(RuntimeError, match="async with"):
            await stream.receive()
        with pytest.raises(RuntimeError, match="async with"):
            await stream.receive_many()
        with pytest.raises(RuntimeError, match="async with"):
            stream.receive_nowait()

    async def test_it_is_entered_once(self) -> None:
        stream = Router().subscribe(Filter.id(0x100))
        async with stream:
            with pytest.raises(RuntimeError, match="subscribe anew"):
                await stream.__aenter__()
        with pytest.raises(RuntimeError, match="subscribe anew"):
            await stream.__aenter__()

    async def test_one_that_was_closed_before_it_was_entered(self) -> None:
        router = Router()
        stream = router.subscribe(Filter.id(0x100))
        await stream.aclose()
        with pytest.raises((RuntimeError, anyio.ClosedResourceError)):
            async with stream:
                pass
        assert router.subscriptions == ()

    async def test_one_that_is_not_closed_warns(self) -> None:
        router = Router()
        await router.subscribe(Filter.id(0x100), name="forgotten").__aenter__()
        del router
        with pytest.warns(ResourceWarning, match="unclosed <FrameSubscription forgotten>"):
            gc.collect()

    async def test_one_that_was_not_entered_does_not_warn(self) -> None:
        router = Router()
        stream = router.subscribe(Filter.id(0x100))
        del router, stream
        gc.collect()  # warnings are errors

    @pytest.mark.parametrize(
        ("capacity", "overflow", "why"),
        [
            (0, "drop_oldest", "mine: capacity= is at least 1, not 0"),
            ("many", "drop_oldest", "mine: capacity= is an integer, not 'many'"),
            (1, "keep", "mine: overflow= is one of"),
        ],
    )
    async def test_options(self, capacity: int, overflow: str, why: str) -> None:
        with pytest.raises(RoutingError, match=why):
            Router().subscribe(
                None,
                name="mine",
                capacity=capacity,
                overflow=overflow,  # type: ignore[arg-type]  # on purpose
            )
