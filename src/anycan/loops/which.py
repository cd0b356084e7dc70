"""Which event loop runs: asyncio's (or uvloop's), or another back end's."""

from __future__ import annotations

import asyncio


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """Give the running loop of asyncio, or None where another back end runs."""
    try:
        task = asyncio.current_task()  # None also in a trio that is asyncio's guest
    except RuntimeError:
        task = None
    return None if task is None else asyncio.get_running_loop()


def is_cancelled() -> bool:
    """Tell whether the running task, one of asyncio's, is being cancelled.

    If not, an :class:`asyncio.CancelledError` is that of something else which it awaits.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
