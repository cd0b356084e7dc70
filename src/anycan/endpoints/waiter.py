"""Waking a task from within a callback of asyncio's loop, at once.

A future that a reader callback finishes wakes its task in the *next* turn of the loop: a handle is
queued, the selector is asked again, and then the task runs. For one frame per wake-up that is as
dear as all the rest. This waiter is a future to the task that awaits it (asyncio takes every object
with ``_asyncio_future_blocking``, see :func:`asyncio.isfuture`), and runs the task's own wake-up
when it is told to, in the task's context. Only a callback of the loop may tell it: there, no task
is running.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from anycan.loops.which import asyncio_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator
    from contextvars import Context


class Waiter:
    """What one task at a time awaits, again and again. It has no result.

    A cancelled wait wakes its task by way of the loop, as a future's does.

    Attributes:
        callback: The wake-up of the task that waits; None: nobody does.
    """

    __slots__ = (
        "__weakref__",
        "_asyncio_future_blocking",
        "_context",
        "_loop",
        "callback",
        "get_loop",
        "result",
    )

    # A task asks both at every wait: these are calls that run no Python.
    get_loop: Callable[[], asyncio.AbstractEventLoop]
    result: Callable[[], None]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self.callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self.get_loop = partial(next, repeat(loop))
        self.result = partial(next, repeat(None))

    def __await__(self) -> Generator[Waiter, None, None]:
        self._asyncio_future_blocking = True
        # An iterator is all that await needs, and cheaper than a generator.
        return iter((self,))  # type: ignore[return-value]  # Awaitable asks for more

    def wake(self) -> None:
        """Run the task that waits, if one does, until it waits again. For the loop's callbacks."""
        callback, context = self.callback, self._context
        if callback is not None and context is not None:
            self.callback = self._context = None
            context.run(callback, self)

    def wake_soon(self) -> None:
        """Have the task that waits run in the next turn of the loop. For any caller."""
        callback, context = self.callback, self._context
        if callback is not None:
            self.callback = self._context = None
            self._loop.call_soon(callback, self, context=context)

    # What a task asks of a future

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Take the task's wake-up."""
        self.callback = callback
        self._context = context

    def cancel(self, msg: object = None) -> bool:
        """Cancel the wait, for the task.

        Args:
            msg: Goes into the CancelledError: by it anyio knows its own cancellations.
        """
        callback, context = self.callback, self._context
        if callback is None:
            return False
        self.callback = self._context = None
        # The task gets its cancellation in the next turn, from a future of its own: another task
        # may be waiting here by then.
        cancelled = self._loop.create_future()
        cancelled.cancel(msg)
        self._loop.call_soon(callback, cancelled, context=context)
        return True

    def done(self) -> bool:
        """Tell whether nobody waits."""
        return self.callback is None


class TrioWaiter:
    """What one task of trio's at a time awaits; as :class:`Waiter`, by trio's own means.

    Args:
        trio: The module; anycan does not depend on it.
    """

    __slots__ = ("_lowlevel", "_task")

    def __init__(self, trio: Any) -> None:
        self._lowlevel = trio.lowlevel
        self._task: Any = None

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        self._task = self._lowlevel.current_task()
        await self._lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: object) -> Any:
        self._task = None
        return self._lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Have the task that waits, if one does, run soon."""
        task, self._task = self._task, None
        if task is not None:
            self._lowlevel.reschedule(task)

    wake_soon = wake

    def done(self) -> bool:
        """Tell whether nobody waits."""
        return self._task is None


def open_waiter() -> Waiter | TrioWaiter:
    """Give the waiter that suits the running event loop."""
    loop = asyncio_loop()
    return TrioWaiter(sys.modules["trio"]) if loop is None else Waiter(loop)
