"""Which event loop runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from anycan.loops.which import asyncio_loop

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.anyio
async def test_in_a_task(anyio_backend_name: str) -> None:
    found = asyncio_loop()
    if anyio_backend_name == "trio":
        assert found is None
    else:
        assert found is asyncio.get_running_loop()


@pytest.mark.anyio
async def test_in_a_thread_no_loop_runs() -> None:
    assert await anyio.to_thread.run_sync(asyncio_loop) is None


def test_outside_of_any_loop() -> None:
    assert asyncio_loop() is None


def test_a_trio_that_is_a_guest_of_asyncios_loop() -> None:
    trio: Any = pytest.importorskip("trio")
    seen: list[object] = []

    async def guest() -> None:
        asyncio.get_running_loop()  # it does run, below
        seen.append(asyncio_loop())
        await trio.lowlevel.checkpoint()
        seen.append(asyncio_loop())

    async def host() -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        run_soon: Callable[..., object] = loop.call_soon_threadsafe
        trio.lowlevel.start_guest_run(
            guest, run_sync_soon_threadsafe=run_soon, done_callback=ended.set_result
        )
        (await asyncio.wait_for(ended, 5)).unwrap()
        assert asyncio_loop() is loop

    asyncio.run(host())
    assert seen == [None, None]
