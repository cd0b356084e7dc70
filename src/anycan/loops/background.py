"""A task of the running event loop's own, which nobody awaits."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Background:
    """A task in the background. Made by :func:`start_background`.

    Attributes:
        done: It has ended.
    """

    def __init__(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.done = False
        self.task: object = None  # asyncio's loop holds tasks weakly
        self._function = function
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False

    async def run(self) -> None:
        """Run the function."""
        try:
            if not self._is_cancelled:
                with anyio.CancelScope() as self._scope:
                    await self._function()
        finally:
            self.done = True

    def cancel(self) -> None:
        """Have it end, once what it shields is done; a second time does nothing."""
        self._is_cancelled = True
        if self._scope is not None and not self.done:
            self._scope.cancel()


def start_background(function: Callable[[], Coroutine[Any, Any, None]]) -> Background:
    """Run a coroutine function that raises nothing, by the running event loop.

    Args:
        function: What to run. It may use anyio.

    Returns:
        The task; where no loop runs, one that is done, and has done nothing.
    """
    background = Background(function)
    try:
        loop = asyncio.get_running_loop()  # also in a callback, where no task runs
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_run():
            background.done = True  # called from where no loop runs, which cannot run it
            return background
        trio.lowlevel.spawn_system_task(background.run)
    else:
        background.task = loop.create_task(background.run())
    return background
