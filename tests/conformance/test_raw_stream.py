"""An endpoint as a stream: order, batches, filters, counters, waiting and closing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import CanFilter, Filter, Frame

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = pytest.mark.anyio


def numbered(count: int, start: int = 0) -> list[Frame]:
    return [Frame(0x100, number.to_bytes(4, "big")) for number in range(start, start + count)]


async def test_order_is_kept_over_many_batches(links: Links) -> None:
    name = links.add()
    frames = numbered(1000)
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        assert await sender.send_many(frames) == 1000
        received: list[anycan.AnyFrame] = []
        while len(received) < 1000:
            received += await receiver.receive_many()
        assert received == frames
        assert sender.statistics().sent == 1000
        statistics = receiver.statistics()
        assert statistics.received == 1000
        assert statistics.dropped == statistics.malformed == statistics.waiting == 0


async def test_ways_to_receive(links: Links) -> None:
    name = links.add()
    frames = numbered(10)
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        with pytest.raises(anyio.WouldBlock):
            receiver.receive_nowait()
        await sender.send_many(frames)
        assert await receiver.receive() == frames[0]
        assert receiver.receive_nowait() == frames[1]
        assert await receiver.receive_many(limit=3) == frames[2:5]
        async for frame in receiver:
            assert frame == frames[5]
            break
        assert await receiver.receive_many() == frames[6:]
        with pytest.raises(ValueError, match="at least 1"):
            await receiver.receive_many(limit=0)


async def test_filters_change_while_open(links: Links) -> None:
    name = links.add()
    probe = [Frame(identifier) for identifier in (0x100, 0x123, 0x6FF, 0x700, 0x7FF)]
    last = Frame(0x10, b"end", extended=True)
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(
            name, network=links.network, filters=Filter.id(0x123) | Filter.range(0x700, 0x7FF)
        ) as receiver,
    ):

        async def passed() -> list[int]:
            await sender.send_many([*probe, last])
            seen = []
            async for frame in receiver:
                if frame == last:
                    break
                assert isinstance(frame, Frame)
                seen.append(frame.id)
            return seen

        end = Filter.id(0x10, extended=True)
        receiver.set_filters(Filter.id(0x123) | Filter.range(0x700, 0x7FF) | end)
        assert await passed() == [0x123, 0x700, 0x7FF]
        receiver.set_filters(Filter.range(0x100, 0x123) | end)
        assert await passed() == [0x100, 0x123]
        receiver.set_filters([CanFilter(0x123, 0x7FF, inverted=True)])
        assert await passed() == [0x100, 0x6FF, 0x700, 0x7FF]
        receiver.set_filters(None)
        assert await passed() == [0x100, 0x123, 0x6FF, 0x700, 0x7FF]
        with pytest.raises(anycan.FilterError, match="512"):
            receiver.set_filters([CanFilter(number, 0x7FF) for number in range(513)])
        assert await passed() == [0x100, 0x123, 0x6FF, 0x700, 0x7FF]
        receiver.set_filters(
            [CanFilter(number, 0xC00007FF) for number in range(511)]
            + [CanFilter(0x80000010, 0xDFFFFFFF)]
        )
        assert await passed() == [0x100, 0x123]
        receiver.set_filters(Filter.none())
        await sender.send_many(probe)
        with pytest.raises(anyio.WouldBlock):
            receiver.receive_nowait()


async def test_joined_filters_all_have_to_match(links: Links) -> None:
    name = links.add()
    filters = [CanFilter(0x100, 0x700), CanFilter(0x003, 0x00F)]
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(
            name, network=links.network, filters=filters, join_filters=True
        ) as receiver,
    ):
        await sender.send_many([Frame(0x103), Frame(0x104), Frame(0x203), Frame(0x1F3)])
        assert await receiver.receive() == Frame(0x103)
        assert await receiver.receive() == Frame(0x1F3)


async def test_what_a_full_receive_buffer_drops_is_counted(links: Links) -> None:
    name = links.add()
    total = 3000
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network, receive_buffer=200_000) as receiver,
    ):
        # Not a moment for the loop to read in between: send_nowait never waits.
        for frame in numbered(total):
            sender.send_nowait(frame)
        received: list[anycan.AnyFrame] = []
        while True:
            with anyio.move_on_after(0):
                await checkpoint()
            try:
                received.append(receiver.receive_nowait())
            except anyio.WouldBlock:
                break
        statistics = receiver.statistics()
        assert statistics.dropped > 0
        assert statistics.received == len(received)
        assert statistics.received + statistics.dropped == total
        assert received == numbered(len(received))  # the newest are dropped
        await sender.send(Frame(0x7FF))
        assert await receiver.receive() == Frame(0x7FF)
        assert receiver.statistics().dropped == statistics.dropped


async def test_a_thousand_cancelled_receives_lose_nothing(links: Links) -> None:
    name = links.add()
    generator = random.Random(1)
    received: list[anycan.AnyFrame] = []
    sent = 0
    cancelled = 0

    async def receive_one(scope: anyio.CancelScope) -> None:
        nonlocal cancelled
        with scope:
            received.append(await receiver.receive())
        cancelled += scope.cancelled_caught

    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        while cancelled < 1000:
            scope = anyio.CancelScope()
            async with anyio.create_task_group() as group:
                group.start_soon(receive_one, scope)
                steps = ["turn"] * generator.randrange(4) + ["send"] * generator.randrange(2)
                generator.shuffle(steps)
                for step in steps:
                    if step == "send":
                        await sender.send(numbered(1, sent)[0])
                        sent += 1
                    else:
                        await checkpoint()
                scope.cancel()
        while len(received) < sent:
            received += await receiver.receive_many()
        with pytest.raises(anyio.WouldBlock):
            receiver.receive_nowait()
    assert received == numbered(sent)
    assert sent > 100


async def test_a_cancelled_send_many_tells_what_was_sent(links: Links) -> None:
    name = links.add()
    generator = random.Random(2)
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        sent = 0
        for _ in range(30):
            progress = 0

            def count(total: int) -> None:
                nonlocal progress
                progress = total
                if total >= limit:  # noqa: B023 - called within this very turn
                    scope.cancel()

            limit = generator.randrange(1, 400)
            with anyio.CancelScope() as scope:
                await sender.send_many(numbered(500, sent), on_sent=count)
            assert scope.cancelled_caught
            assert limit <= progress < 500
            received: list[anycan.AnyFrame] = []
            while len(received) < progress:
                received += await receiver.receive_many()
            assert received == numbered(progress, sent)
            sent += progress


async def test_closing_wakes_who_waits(links: Links) -> None:
    name = links.add()
    outcome: list[type[BaseException]] = []

    async def receive(can: anycan.RawEndpoint) -> None:
        try:
            await can.receive()
        except anyio.ClosedResourceError as error:
            outcome.append(type(error))

    async with (
        anyio.create_task_group() as group,
        anycan.open_raw(name, network=links.network) as can,
    ):
        group.start_soon(receive, can)
        await anyio.wait_all_tasks_blocked()
        await can.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await can.receive()
        with pytest.raises(anyio.ClosedResourceError):
            can.receive_nowait()
        with pytest.raises(anyio.ClosedResourceError):
            await can.send(Frame(1))
        with pytest.raises(anyio.ClosedResourceError):
            can.send_nowait(Frame(1))
        with pytest.raises(anyio.ClosedResourceError):
            can.set_filters(None)
        await can.aclose()
    assert outcome == [anyio.ClosedResourceError]


async def test_two_tasks_cannot_receive_at_once(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anyio.create_task_group() as group,
    ):
        group.start_soon(can.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await can.receive()
        group.cancel_scope.cancel()


async def test_many_tasks_may_send_at_once(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        async with anyio.create_task_group() as group:
            for task in range(10):
                group.start_soon(sender.send_many, numbered(100, task << 8))
        received: list[anycan.AnyFrame] = []
        while len(received) < 1000:
            received += await receiver.receive_many()
        for task in range(10):
            mine = [frame for frame in received if frame.data[2] == task]
            assert mine == [Frame(0x100, bytes([0, 0, task, number])) for number in range(100)]


async def test_a_busy_receiver_lets_other_tasks_run(links: Links) -> None:
    name = links.add()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await checkpoint()
            turns += 1

    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
        anyio.create_task_group() as group,
    ):
        await sender.send_many(numbered(3000))
        group.start_soon(count)
        received = 0
        async for _ in receiver:
            received += 1
            if received == 3000:
                break
        assert turns >= 2
        turns_before = turns
        for frame in numbered(640):
            await sender.send(frame)
        assert turns >= turns_before + 9
        group.cancel_scope.cancel()


async def test_readers_take_turns_by_cancellation(links: Links) -> None:
    """Each waits in the moment in which the one before is cancelled, while frames come."""
    name = links.add()
    total = 300
    received: list[anycan.AnyFrame] = []
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):

        async def read(scope: anyio.CancelScope) -> None:
            with scope:
                while True:
                    received.append(await receiver.receive())

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for frame in numbered(total):
                    scope = anyio.CancelScope()
                    group.start_soon(read, scope)
                    await checkpoint()
                    sender.send_nowait(frame)
                    await checkpoint()
                    scope.cancel()
            while len(received) < total:
                received.append(await receiver.receive())
        assert received == numbered(total)


async def test_frames_of_many_senders_leave_in_the_order_of_the_calls(links: Links) -> None:
    name = links.add()
    called: list[anycan.AnyFrame] = []
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):

        async def send(start: int) -> None:
            for frame in numbered(150, start):
                called.append(frame)
                await sender.send(frame)

        async with anyio.create_task_group() as group:
            for start in (0, 1000, 2000):
                group.start_soon(send, start)
        received: list[anycan.AnyFrame] = []
        while len(received) < len(called):
            received += await receiver.receive_many()
        assert received == called
