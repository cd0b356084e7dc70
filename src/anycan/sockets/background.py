"""A task of the running event loop's own, which nobody awaits."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Background:
    """A task in the background. Made by :func:`start_background`.

    Attributes:
        done: It has ended.
    """

    def __init__(self) -> None:
        self.done = False
        self._stop: Callable[[], object] | None = None

    def begin(self, stop: Callable[[], object]) -> None:
        """Take what stops it."""
        self._stop = stop

    def ended(self, _task: object = None) -> None:
        """Take note that it has ended."""
        self.done = True

    def cancel(self) -> None:
        """Have it end; a second time does nothing."""
        if self._stop is not None and not self.done:
            self._stop()


def start_background(function: Callable[[], Coroutine[Any, Any, None]]) -> Background:
    """Run a coroutine function that raises nothing, by the running event loop.

    Args:
        function: What to run. It may use anyio.

    Returns:
        The task; where no loop runs, one that is done, and has done nothing.
    """
    background = Background()

    async def run() -> None:
        try:
            await function()
        finally:
            background.ended()

    try:
        loop = asyncio.get_running_loop()  # also in a callback, where no task runs
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_run():
            background.done = True  # called from where no loop runs, which cannot run it
            return background
        scope = trio.CancelScope()

        async def run_in_scope() -> None:
            with scope:
                await run()

        trio.lowlevel.spawn_system_task(run_in_scope)
        background.begin(scope.cancel)
    else:
        task = loop.create_task(run())
        task.add_done_callback(background.ended)  # also where it is cancelled before its first step
        background.begin(task.cancel)
    return background
