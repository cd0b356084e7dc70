"""Waiting on asyncio's loops: a task is woken, or cancelled, and never another one in its place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from anycan.endpoints.waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS: list[Any] = [pytest.param(asyncio.new_event_loop, id="asyncio")]
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))

pytestmark = pytest.mark.parametrize("make_loop", LOOPS)


def run(make_loop: Callable[[], asyncio.AbstractEventLoop], test: Any) -> None:
    async def main() -> None:
        await test(Waiter(asyncio.get_running_loop()))

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


async def wait(waiter: Waiter) -> None:
    await waiter


@pytest.mark.parametrize("soon", [False, True])
def test_it_wakes(make_loop: Any, soon: bool) -> None:
    async def test(waiter: Waiter) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            task = asyncio.ensure_future(wait(waiter))
            await asyncio.sleep(0)
            assert not waiter.done()
            loop.call_soon(waiter.wake_soon if soon else waiter.wake)
            await task
            assert waiter.done()

    run(make_loop, test)


def test_nobody_waits(make_loop: Any) -> None:
    async def test(waiter: Waiter) -> None:
        waiter.wake()
        waiter.wake_soon()
        assert not waiter.cancel()

    run(make_loop, test)


def test_a_cancelled_wait(make_loop: Any) -> None:
    async def test(waiter: Waiter) -> None:
        task = asyncio.ensure_future(wait(waiter))
        await asyncio.sleep(0)
        task.cancel("the reason")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("the reason",)
        assert waiter.done()

    run(make_loop, test)


def test_who_waits_next_is_not_cancelled_for_the_one_before(make_loop: Any) -> None:
    async def test(waiter: Waiter) -> None:
        first = asyncio.ensure_future(wait(waiter))
        await asyncio.sleep(0)
        first.cancel()
        second = asyncio.ensure_future(wait(waiter))
        # The second one waits before the first one has run.
        asyncio.get_running_loop().call_soon(waiter.wake)
        await second
        assert first.cancelled()

    run(make_loop, test)
