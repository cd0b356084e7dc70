"""A handler that is slow beside many that are not, under a steady stream of frames."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import Filter, Frame, Router

if TYPE_CHECKING:
    from anycan import AnyFrame

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

RATE = 20_000  # frames a second
SECONDS = 1.2
FAST = 50
CAPACITY = 64


async def test_it_harms_nobody_and_memory_is_bounded() -> None:
    router = Router()
    seen = dict.fromkeys(range(FAST), 0)
    slow_calls: list[AnyFrame] = []

    async def slow(frame: AnyFrame) -> None:
        slow_calls.append(frame)
        await anyio.sleep(1.0)

    def fast(number: int) -> object:
        async def handler(_frame: AnyFrame) -> None:
            seen[number] += 1

        return handler

    slow_one = router.add(Filter.all(), slow, capacity=CAPACITY)
    for number in range(FAST):
        router.add(Filter.id(number), fast(number), name=f"fast {number}")  # type: ignore[arg-type]  # it is a function
    async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        async with (
            anycan.open_raw("vcan0", network=network) as can,
            anycan.open_raw("vcan0", network=network, filters=[]) as sender,
        ):
            await tasks.start(lambda task_status: router.run(can, task_status=task_status))
            total = sent_in_first_half = 0
            memory = 0
            tracemalloc.start()
            start = anyio.current_time()
            while (elapsed := anyio.current_time() - start) < SECONDS:
                due = int(elapsed * RATE)
                await sender.send_many(Frame(count % FAST) for count in range(total, due))
                total = due
                if not memory and elapsed > SECONDS / 2:
                    gc.collect()
                    memory = tracemalloc.get_traced_memory()[0]
                    sent_in_first_half = total
                await anyio.sleep(0.001)
            gc.collect()
            growth = tracemalloc.get_traced_memory()[0] - memory
            tracemalloc.stop()
            async with router.subscribe(Filter.remote()) as ends:  # behind all that was sent
                await sender.send(anycan.RemoteFrame(1))
                await ends.receive()
            assert can.statistics().dropped == 0
            router.stop(timeout=0.1)
    assert total > sent_in_first_half > RATE * SECONDS / 4
    assert sum(seen.values()) == total
    assert [seen[number] for number in seen] == [
        len(range(number, total, FAST)) for number in range(FAST)
    ]
    statistics = slow_one.statistics()
    assert len(slow_calls) == statistics.delivered == 2
    assert statistics.high_water == CAPACITY
    assert statistics.delivered + statistics.dropped == total + 1
    assert statistics.handler_time >= SECONDS * 0.9
    assert growth < 100_000  # of more than 10,000 frames, which take some 300 bytes each
