"""Closing what may wait: in a thread, while the event loop goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan.endpoints.closing import finish, finish_and_tell
from anycan.sockets.closing import finish_in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOPS: list[Any] = [pytest.param(asyncio.new_event_loop, id="asyncio")]
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))

on_every_loop = pytest.mark.parametrize("make_loop", LOOPS)

LIMIT = 10.0  # seconds: that something has gone wrong
NAME = "anycan closing a socket"


class Rest:
    """What is left to be done. It waits for as long as it is held, as the kernel does."""

    def __init__(self) -> None:
        self.calls = 0
        self.thread: threading.Thread | None = None
        self.begun = threading.Event()
        self.done = threading.Event()
        self._free = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        self.thread = threading.current_thread()
        self.begun.set()
        assert self._free.wait(LIMIT)
        self.done.set()

    def let_go(self) -> None:
        self._free.set()

    def join(self) -> None:
        """Wait for the end of the thread: only then whatever it raises has been seen."""
        assert self.done.wait(LIMIT)
        if self.thread is not None and self.thread.name == NAME:
            self.thread.join(LIMIT)
            assert not self.thread.is_alive()


@pytest.fixture
def rest() -> Iterator[Rest]:
    rest = Rest()
    yield rest
    rest.let_go()
    if rest.begun.is_set():
        rest.join()


async def happens(event: threading.Event) -> None:
    """Wait for another thread's event; the loop goes on."""
    assert await anyio.to_thread.run_sync(event.wait, LIMIT)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await checkpoint()


class TestWaiting:
    pytestmark = pytest.mark.anyio

    async def test_when_nothing_is_left_others_run_all_the_same(self) -> None:
        ran: list[str] = []

        async def other() -> None:
            ran.append("other")

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(other)
                while not ran:  # trio takes them in any order
                    await finish(None)

    async def test_when_nothing_is_left_it_can_be_cancelled(self) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await finish(None)
        assert scope.cancelled_caught

    async def test_the_loop_goes_on_until_it_is_done(self, rest: Rest) -> None:
        ended = anyio.Event()

        async def close() -> None:
            await finish(rest)
            ended.set()

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close)
                await happens(rest.begun)
                await turns()
                assert not ended.is_set()
                rest.let_go()
                await ended.wait()
        assert rest.done.is_set()
        assert rest.calls == 1
        assert rest.thread is not threading.current_thread()

    async def test_many_do_not_wait_for_each_other(self) -> None:
        rests = [Rest() for _ in range(45)]  # more than a back end has threads to lend
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for one in rests:
                    tasks.start_soon(finish, one)
                for one in rests:
                    await happens(one.begun)
                for one in rests:
                    one.let_go()
        assert all(one.done.is_set() for one in rests)

    async def test_what_fails_is_raised(self) -> None:
        def fail() -> None:
            raise OSError(5, "strange")

        with pytest.raises(OSError, match="strange"):
            await finish(fail)

    async def test_cancelled_it_waits_all_the_same(self, rest: Rest) -> None:
        ended: list[bool] = []

        async def close(scope: anyio.CancelScope) -> None:
            with scope:
                await finish(rest)
                ended.append(rest.done.is_set())
                await checkpoint()  # and here it is cancelled
            ended.append(scope.cancelled_caught)

        scope = anyio.CancelScope()
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close, scope)
                await happens(rest.begun)
                scope.cancel()
                await turns()
                assert ended == []
                rest.let_go()
        assert ended == [True, True]

    async def test_cancelled_before_it_waits_all_the_same(self, rest: Rest) -> None:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.cancel_scope.cancel()
                rest.let_go()
                await finish(rest)
                assert rest.done.is_set()

    async def test_cancelled_without_a_shield_it_goes_on_in_the_background(
        self, rest: Rest
    ) -> None:
        caught: list[bool] = []

        async def close(scope: anyio.CancelScope) -> None:
            with scope:
                await finish(rest, shield=False)
            caught.append(scope.cancelled_caught)

        scope = anyio.CancelScope()
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close, scope)
                await happens(rest.begun)
                scope.cancel()
        # Nobody waits any more, and it is not done yet.
        assert caught == [True]
        assert not rest.done.is_set()
        rest.let_go()
        await happens(rest.done)
        assert rest.calls == 1

    async def test_cancelled_before_and_without_a_shield_it_is_done_in_the_background(
        self, rest: Rest
    ) -> None:
        # As at the end of open_isotp(), when its block is cancelled while a PDU is being sent.
        rest.let_go()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await finish(rest, shield=False)
        assert scope.cancelled_caught
        assert await anyio.to_thread.run_sync(rest.done.wait, 0.1)


@on_every_loop
def test_cancelled_by_asyncio_at_its_start_it_is_done_in_the_background(
    make_loop: Any, rest: Rest
) -> None:
    # A shield is anyio's: task.cancel() and asyncio.timeout() know of none.
    rest.let_go()

    async def main() -> None:
        task = asyncio.ensure_future(finish(rest))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
    assert rest.done.wait(0.05)


@on_every_loop
def test_cancelled_by_asyncio_later_it_goes_on_in_the_background(
    make_loop: Any, rest: Rest
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(finish(rest))
        await happens(rest.begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not rest.done.is_set()
        rest.let_go()
        await happens(rest.done)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


class TestInTheBackground:
    def test_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a thread for nothing")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        finish_in_background(None)

    def test_whoever_asks_for_it_goes_on(self, rest: Rest) -> None:
        finish_in_background(rest)
        assert rest.begun.wait(LIMIT)
        assert not rest.done.is_set()
        assert rest.thread is not None
        assert rest.thread is not threading.current_thread()
        assert rest.thread.name == NAME
        # A program that ends waits for it.
        assert not rest.thread.daemon
        rest.let_go()
        rest.join()
        assert rest.calls == 1


class Calls:
    """A protocol's connection_lost."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []
        self.threads: list[int] = []
        self.called = asyncio.Event()

    def lost(self, error: Exception | None) -> None:
        self.errors.append(error)
        self.threads.append(threading.get_ident())
        self.called.set()


def run(make_loop: Callable[[], asyncio.AbstractEventLoop], test: Any) -> None:
    async def main() -> None:
        await test(asyncio.get_running_loop(), Calls())

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())


@on_every_loop
class TestTelling:
    @pytest.mark.parametrize("error", [None, OSError("gone")])
    def test_when_nothing_is_left_it_is_told_in_the_next_turn(
        self, make_loop: Any, error: Exception | None
    ) -> None:
        async def test(loop: asyncio.AbstractEventLoop, calls: Calls) -> None:
            finish_and_tell(loop, None, calls.lost, error)
            assert calls.errors == []
            await asyncio.sleep(0)
            assert calls.errors == [error]
            assert calls.threads == [threading.get_ident()]

        run(make_loop, test)

    @pytest.mark.parametrize("error", [None, OSError("gone")])
    def test_it_is_told_when_all_is_done_and_by_the_loop(
        self, make_loop: Any, rest: Rest, error: Exception | None
    ) -> None:
        async def test(loop: asyncio.AbstractEventLoop, calls: Calls) -> None:
            finish_and_tell(loop, rest, calls.lost, error)
            await happens(rest.begun)
            await turns()
            assert calls.errors == []
            rest.let_go()
            async with asyncio.timeout(LIMIT):
                await calls.called.wait()
            assert rest.done.is_set()
            assert calls.errors == [error]
            assert calls.threads == [threading.get_ident()]

        run(make_loop, test)

    def test_a_loop_that_was_closed_meanwhile_is_told_nothing(
        self, make_loop: Any, rest: Rest
    ) -> None:
        told: list[Calls] = []

        async def test(loop: asyncio.AbstractEventLoop, calls: Calls) -> None:
            told.append(calls)
            finish_and_tell(loop, rest, calls.lost, None)

        run(make_loop, test)
        assert rest.begun.wait(LIMIT)
        rest.let_go()
        rest.join()
        assert told[0].errors == []
