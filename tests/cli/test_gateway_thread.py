"""A thread that nobody has to wait for."""

from __future__ import annotations

import threading
from functools import partial
from typing import Final

import anyio
import pytest

from anycan.cli.gateway_thread import run_in_daemon

DEADLINE: Final = 30

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@both_back_ends
def test_what_it_gives(backend: str) -> None:
    async def run() -> None:
        thread = await run_in_daemon(threading.current_thread)
        assert thread.daemon
        assert thread is not threading.current_thread()

    anyio.run(run, backend=backend)


@both_back_ends
@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3)])
def test_what_it_raises(backend: str, error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        anyio.run(partial(run_in_daemon, fail), backend=backend)
    assert caught.value is error


@both_back_ends
def test_nobody_waits_for_it(backend: str) -> None:
    entered, gate = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def wait() -> None:
        threads.append(threading.current_thread())
        entered.set()
        gate.wait(DEADLINE)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_in_daemon, wait)
            await anyio.to_thread.run_sync(entered.wait, DEADLINE)
            tasks.cancel_scope.cancel()

    anyio.run(run, backend=backend)
    (thread,) = threads
    assert thread.is_alive()
    gate.set()
    thread.join(DEADLINE)
    assert not thread.is_alive()
