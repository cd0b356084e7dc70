"""``coalesce=``: reading rests in between, and nothing else changes."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import Frame
from anycan.sockets.raw import RECEIVE_BATCH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

REST = 0.1  # seconds: it is the loop's own timer that is tested
LONG = 1.0
SOON = 0.8  # seconds: before a long rest has ended


@pytest.fixture
async def network() -> AsyncIterator[anycan.UserNetwork]:
    async with anycan.UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


@pytest.fixture
async def sender(network: anycan.UserNetwork) -> AsyncIterator[anycan.RawEndpoint]:
    async with anycan.open_raw("vcan0", network=network, filters=[]) as sender:
        yield sender


async def turns() -> None:
    for _ in range(20):
        await checkpoint()


async def test_what_comes_while_it_rests_is_read_at_once(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with anycan.open_raw("vcan0", network=network, coalesce=REST) as can:
        await sender.send(Frame(1))
        assert await can.receive_many() == [Frame(1)]
        start = anyio.current_time()
        for number in (2, 3, 4):
            await sender.send(Frame(number))
            await turns()
        assert can.statistics().received == 1
        with anyio.fail_after(LONG):
            assert await can.receive_many() == [Frame(2), Frame(3), Frame(4)]
        assert anyio.current_time() - start > REST / 2
        assert can.statistics().received == 4


async def test_the_first_frame_after_a_rest_does_not_wait(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with anycan.open_raw("vcan0", network=network, coalesce=LONG) as can:
        await turns()
        await sender.send(Frame(1))
        with anyio.fail_after(SOON):
            assert await can.receive() == Frame(1)


async def test_it_wakes_up_after_nothing_has_come_for_long(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with anycan.open_raw("vcan0", network=network, coalesce=REST) as can:
        for number in range(3):
            await sender.send(Frame(number))
            with anyio.fail_after(LONG):
                assert await can.receive() == Frame(number)
            await anyio.sleep(1.3 * REST if number else 0)


async def test_it_does_not_rest_while_more_waits_than_a_batch(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    frames = [Frame(number) for number in range(2 * RECEIVE_BATCH + 5)]
    async with anycan.open_raw("vcan0", network=network, coalesce=LONG) as can:
        for frame in frames:
            sender.send_nowait(frame)
        received: list[anycan.AnyFrame] = []
        with anyio.fail_after(SOON):
            while len(received) < len(frames):
                received += await can.receive_many()
        assert received == frames


async def test_closing_wakes_whoever_rests(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with (
        anycan.open_raw("vcan0", network=network, coalesce=LONG) as can,
        anyio.create_task_group() as tasks,
    ):
        await sender.send(Frame(1))
        await can.receive()

        async def receive() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await can.receive()

        with anyio.fail_after(SOON):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(receive)
                await turns()
                with pytest.raises(anyio.BusyResourceError):
                    await can.receive()
                await can.aclose()
        tasks.cancel_scope.cancel()


async def test_a_receive_call_that_is_cancelled_loses_nothing(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with anycan.open_raw("vcan0", network=network, coalesce=REST) as can:
        await sender.send(Frame(1))
        await can.receive()
        await sender.send(Frame(2))
        with anyio.move_on_after(REST / 10) as scope:
            await can.receive()
        assert scope.cancelled_caught
        with anyio.fail_after(LONG):
            assert await can.receive() == Frame(2)


async def test_what_waits_can_be_had_without_waiting(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with anycan.open_raw("vcan0", network=network, coalesce=LONG) as can:
        await sender.send(Frame(1))
        await can.receive()
        await sender.send(Frame(2))
        assert can.receive_nowait() == Frame(2)


async def test_a_link_that_goes_down_is_told(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with anycan.open_raw("vcan0", network=network, coalesce=REST) as can:
        await sender.send(Frame(1))
        await can.receive()
        network.set_down("vcan0")
        with anyio.fail_after(LONG), pytest.raises(anycan.InterfaceDownError):
            await can.receive()
        network.set_up("vcan0")
        await sender.send(Frame(2))
        with anyio.fail_after(LONG):
            assert await can.receive() == Frame(2)


async def test_an_interface_that_is_removed_takes_no_frame_with_it(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    async with anycan.open_raw("vcan0", network=network, coalesce=REST) as can:
        await sender.send(Frame(1))
        await can.receive()
        frames = [Frame(number) for number in range(3 * RECEIVE_BATCH)]
        await sender.send_many(frames)
        network.remove("vcan0")
        received: list[anycan.AnyFrame] = []
        with anyio.fail_after(LONG):
            while len(received) < len(frames):
                received += await can.receive_many()
            with pytest.raises(anycan.InterfaceRemovedError):
                await can.receive()
    assert received == frames


async def test_a_router_handles_what_came_before_the_interface_was_removed(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    seen: list[anycan.AnyFrame] = []
    router = anycan.Router()
    router.add(anycan.Filter.all(), seen.append)
    frames = [Frame(number) for number in range(9)]
    network.add_vcan("vcan1")  # one whose interface stays keeps the router running
    async with (
        anycan.open_raw("vcan0", network=network, coalesce=REST) as can,
        anycan.open_raw("vcan1", network=network) as other,
        anyio.create_task_group() as tasks,
    ):
        run = router.run
        await tasks.start(lambda task_status: run(can, other, task_status=task_status))
        await sender.send(frames[0])
        while not seen:
            await checkpoint()
        await sender.send_many(frames[1:])
        network.remove("vcan0")
        with anyio.fail_after(LONG):
            while len(seen) < len(frames):
                await checkpoint()
        router.stop()
    assert seen == frames


@pytest.mark.parametrize("capacity", [16, 64, 200])
@pytest.mark.parametrize("overflow", ["drop_oldest", "block"])
async def test_a_router_with_little_room_does_not_rest_while_more_waits(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint, capacity: int, overflow: Any
) -> None:
    frames = [Frame(number) for number in range(600)]
    router = anycan.Router()
    router.add(anycan.Filter.all(), bool, capacity=capacity, overflow=overflow)
    async with (
        anycan.open_raw("vcan0", network=network, coalesce=LONG) as can,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(can, task_status=task_status))
        for frame in frames:
            sender.send_nowait(frame)
        with anyio.fail_after(SOON):
            while can.statistics().received < len(frames):
                await checkpoint()
        router.stop()


async def test_a_source_that_rests_holds_up_no_other(network: anycan.UserNetwork) -> None:
    network.add_vcan("vcan1")
    seen: list[anycan.AnyFrame] = []
    router = anycan.Router()
    router.add(anycan.Filter.all(), seen.append, capacity=16, overflow="block")
    async with (
        anycan.open_raw("vcan0", network=network, coalesce=LONG) as slow,
        anycan.open_raw("vcan1", network=network) as quick,
        anycan.open_raw(None, network=network, filters=[]) as sender,
        anyio.create_task_group() as tasks,
    ):
        run = router.run
        await tasks.start(lambda task_status: run(slow, quick, task_status=task_status))
        with anyio.fail_after(SOON):
            for number in range(50):
                await sender.send(Frame(number), interface="vcan0" if number < 20 else "vcan1")
            while len([one for one in seen if one.interface == "vcan1"]) < 30:
                await checkpoint()
        router.stop()


@pytest.mark.parametrize("closed", [True, False])
async def test_what_forbids_reading_is_told_without_a_rest(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint, closed: bool
) -> None:
    async with (
        anycan.open_raw("vcan0", network=network, coalesce=LONG) as can,
        anyio.create_task_group() as tasks,
    ):
        await sender.send(Frame(1))
        await can.receive()
        if closed:
            await can.aclose()
        else:
            run = anycan.Router().run
            await tasks.start(lambda task_status: run(can, task_status=task_status))
        expected = anyio.ClosedResourceError if closed else anyio.BusyResourceError
        with anyio.fail_after(SOON), pytest.raises(expected):
            await can.receive()
        tasks.cancel_scope.cancel()


async def test_a_router_gets_all_of_it(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    frames = [Frame(number) for number in range(3 * RECEIVE_BATCH)]
    router = anycan.Router()
    done = anyio.Event()
    seen: list[anycan.AnyFrame] = []

    @router.on(anycan.Filter.all())
    async def handle(frame: anycan.AnyFrame) -> None:
        seen.append(frame)
        if len(seen) == len(frames):
            done.set()

    async with (
        anycan.open_raw("vcan0", network=network, coalesce=REST) as can,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(can, task_status=task_status))
        for start in range(0, len(frames), 50):
            await sender.send_many(frames[start : start + 50])
            await turns()
        before = len(seen)
        with anyio.fail_after(10):
            await done.wait()
        router.stop()
    assert seen == frames
    assert before < len(frames)


@pytest.mark.parametrize("coalesce", [-0.001, 1.001, math.inf, math.nan])
async def test_bad_values(network: anycan.UserNetwork, coalesce: float) -> None:
    with pytest.raises(ValueError, match=r"^coalesce= is 0 to 1 seconds, not "):
        async with anycan.open_raw("vcan0", network=network, coalesce=coalesce):
            pass


class Collector(anycan.CanProtocol):
    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.changed = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - that it is gone
        self.lost.set()

    def frame_received(self, frame: anycan.AnyFrame) -> None:
        self.frames.append(frame)
        self.changed.set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_transport_rests_too(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    transport, protocol = await anycan.create_raw_transport(
        Collector, "vcan0", network=network, coalesce=REST
    )
    try:
        await sender.send(Frame(1))
        await protocol.changed.wait()
        protocol.changed.clear()
        for number in (2, 3):
            await sender.send(Frame(number))
            await turns()
        assert protocol.frames == [Frame(1)]
        async with asyncio.timeout(LONG):
            await protocol.changed.wait()
        assert protocol.frames == [Frame(1), Frame(2), Frame(3)]
        transport.pause_reading()
        transport.resume_reading()  # which ends a rest
        protocol.changed.clear()
        await sender.send(Frame(4))
        async with asyncio.timeout(LONG):
            await protocol.changed.wait()
    finally:
        transport.abort()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_transport_hands_on_what_came_before_the_interface_was_removed(
    network: anycan.UserNetwork, sender: anycan.RawEndpoint
) -> None:
    frames = [Frame(number) for number in range(9)]
    _, protocol = await anycan.create_raw_transport(
        Collector, "vcan0", network=network, coalesce=REST
    )
    await sender.send(frames[0])
    await protocol.changed.wait()
    await sender.send_many(frames[1:])
    network.remove("vcan0")
    async with asyncio.timeout(LONG):
        await protocol.lost.wait()
    assert protocol.frames == frames
