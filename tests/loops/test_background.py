"""A task of the event loop's own, which nobody awaits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan.loops.background import start_background

if TYPE_CHECKING:
    from anycan.loops.background import Background

pytestmark = pytest.mark.anyio


async def is_done(background: Background) -> bool:
    """Tell whether it is done, after a few turns of the loop."""
    for _ in range(5):
        await checkpoint()
    return background.done


async def test_it_runs_and_is_done() -> None:
    gate, ran = anyio.Event(), anyio.Event()

    async def run() -> None:
        await gate.wait()
        ran.set()

    background = start_background(run)
    assert not await is_done(background)
    gate.set()
    with anyio.fail_after(5):
        await ran.wait()
    assert await is_done(background)
    background.cancel()  # which does nothing any more


async def test_it_is_cancelled_and_may_clean_up() -> None:
    begun, cleaned = anyio.Event(), anyio.Event()

    async def run() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.set()

    background = start_background(run)
    with anyio.fail_after(5):
        await begun.wait()
        background.cancel()
        background.cancel()
        await cleaned.wait()
    assert await is_done(background)


async def test_who_started_it_may_be_gone() -> None:
    """It is no child of the task, nor of the task group or the scope, that has started it."""
    gate, ran = anyio.Event(), anyio.Event()

    async def run() -> None:
        await gate.wait()
        ran.set()

    async def start() -> None:
        with anyio.CancelScope() as scope:
            start_background(run)
            scope.cancel()
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
    gate.set()
    with anyio.fail_after(5):
        await ran.wait()
    await checkpoint()


async def test_many_run_at_a_time() -> None:
    gate = anyio.Event()
    ran: list[int] = []

    def start(number: int) -> Background:
        async def run() -> None:
            await gate.wait()
            ran.append(number)

        return start_background(run)

    tasks = [start(number) for number in range(3)]
    assert not await is_done(tasks[0])
    assert ran == []
    gate.set()
    assert [await is_done(task) for task in tasks] == [True] * 3
    assert sorted(ran) == [0, 1, 2]


def test_in_a_callback_where_no_task_runs() -> None:
    async def main() -> None:
        ran = asyncio.Event()

        async def run() -> None:
            await checkpoint()
            ran.set()

        asyncio.get_running_loop().call_soon(start_background, run)
        await asyncio.wait_for(ran.wait(), 5)

    asyncio.run(main())
