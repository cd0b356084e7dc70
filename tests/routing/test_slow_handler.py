"""A handler that is slow beside many that are not, under a steady stream of frames."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import Filter, Frame, Router

if TYPE_CHECKING:
    from anycan import AnyFrame

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

RATE = 20_000  # frames a second, where the machine can
STEPS = 1200  # of a millisecond
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
            total = blocks = 0
            start = anyio.current_time()
            for step in range(1, STEPS + 1):
                batch = range(total, total + RATE // 1000)
                await sender.send_many(Frame(count % FAST) for count in batch)
                total += len(batch)
                if step == STEPS // 2:
                    gc.collect()
                    blocks = sys.getallocatedblocks()
                await anyio.sleep_until(start + step / 1000)
            elapsed = anyio.current_time() - start
            gc.collect()
            growth = sys.getallocatedblocks() - blocks
            async with router.subscribe(Filter.remote()) as ends:  # behind all that was sent
                await sender.send(anycan.RemoteFrame(1))
                await ends.receive()
            assert can.statistics().dropped == 0
            router.stop(timeout=0.1)
    assert sum(seen.values()) == total
    assert [seen[number] for number in seen] == [
        len(range(number, total, FAST)) for number in range(FAST)
    ]
    statistics = slow_one.statistics()
    assert len(slow_calls) == statistics.delivered
    assert 1 <= statistics.delivered <= elapsed + 2  # one may have begun after that
    assert statistics.high_water == CAPACITY
    assert statistics.delivered + statistics.dropped == total + 1
    assert statistics.handler_time >= elapsed * 0.9
    print(f"{total} frames in {elapsed:.2f} s, {growth} more blocks of memory after the half")  # noqa: T201 - with pytest -rP, for the record
    assert growth < 1000  # of 12,000 frames, which are four blocks each
