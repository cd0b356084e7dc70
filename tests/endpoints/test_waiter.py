"""Waiting: a task is woken, or cancelled, and never another one in its place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan.endpoints.waiter import TrioWaiter, Waiter, open_waiter

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS: list[Any] = [pytest.param(asyncio.new_event_loop, id="asyncio")]
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))

on_every_loop = pytest.mark.parametrize("make_loop", LOOPS)
LIMIT = 5.0  # seconds: that something has gone wrong


def run(make_loop: Callable[[], asyncio.AbstractEventLoop], test: Any) -> None:
    async def main() -> None:
        await test(Waiter(asyncio.get_running_loop()))

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


async def wait(waiter: Waiter | TrioWaiter) -> None:
    await waiter


@on_every_loop
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


@on_every_loop
def test_nobody_waits(make_loop: Any) -> None:
    async def test(waiter: Waiter) -> None:
        waiter.wake()
        waiter.wake_soon()
        assert not waiter.cancel()

    run(make_loop, test)


@on_every_loop
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


@on_every_loop
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


@pytest.mark.anyio
class TestOnAnyBackEnd:
    """What :func:`open_waiter` gives, which one task awaits and another one wakes."""

    async def test_it_suits_the_loop(self, anyio_backend_name: str) -> None:
        kind = TrioWaiter if anyio_backend_name == "trio" else Waiter
        assert type(open_waiter()) is kind

    async def test_it_wakes_again_and_again(self) -> None:
        waiter = open_waiter()
        turns = 0

        async def wait_always() -> None:
            nonlocal turns
            while True:
                await waiter
                turns += 1

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                assert waiter.done()
                tasks.start_soon(wait_always)
                for number in range(1, 4):
                    await anyio.wait_all_tasks_blocked()
                    assert not waiter.done()
                    waiter.wake_soon()
                    assert waiter.done()  # at once: another one may wait
                    waiter.wake_soon()  # it is as good as one
                    await anyio.wait_all_tasks_blocked()
                    assert turns == number
                tasks.cancel_scope.cancel()
        assert waiter.done()

    async def test_a_wake_up_for_nobody_is_not_kept_for_whoever_comes(self) -> None:
        waiter = open_waiter()
        waiter.wake_soon()
        assert waiter.done()
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, waiter)
                await anyio.wait_all_tasks_blocked()
                assert not waiter.done()
                waiter.wake_soon()

    async def test_after_a_cancelled_wait(self) -> None:
        waiter = open_waiter()
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, waiter)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
            assert waiter.done()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, waiter)
                await anyio.wait_all_tasks_blocked()
                assert not waiter.done()
                waiter.wake_soon()

    async def test_a_wait_in_a_cancelled_scope(self) -> None:
        waiter = open_waiter()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await waiter
        assert scope.cancelled_caught
        assert waiter.done()

    @pytest.mark.parametrize("way", ["cancelled", "woken"])
    async def test_who_waits_next_is_woken_although_the_one_before_has_not_run(
        self, way: str
    ) -> None:
        waiter = open_waiter()
        scope = anyio.CancelScope()
        ended: list[str] = []

        async def wait_first() -> None:
            with scope:
                await waiter
            ended.append("cancelled" if scope.cancelled_caught else "woken")

        async def wake_later() -> None:
            while not ended:
                await checkpoint()
            waiter.wake_soon()

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait_first)
                await anyio.wait_all_tasks_blocked()
                if way == "cancelled":
                    scope.cancel()
                else:
                    waiter.wake_soon()
                tasks.start_soon(wake_later)
                await waiter  # in this very turn
        assert ended == [way]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_of_trio_it_wakes_at_once_what_it_wakes_soon() -> None:
    waiter = open_waiter()
    waiter.wake()
    with anyio.fail_after(LIMIT):
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, waiter)
                await anyio.wait_all_tasks_blocked()
                waiter.wake()
                assert waiter.done()
                waiter.wake()
