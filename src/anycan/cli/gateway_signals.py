"""What signals tell a service: SIGHUP to load its file anew, SIGTERM and SIGINT to end."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_SIGNALS: Final = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)

_Result = TypeVar("_Result")


class Orders:
    """What a service has been told to do. Made by :func:`open_orders`.

    Several orders to load, while none is taken, are one; the order to end comes before them.
    """

    def __init__(self) -> None:
        self._loads = False
        self._end: signal.Signals | None = None
        self._has_ended = anyio.Event()
        self._news = anyio.Event()

    async def take(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Take signals as they come.

        Args:
            signals: SIGHUP to load, any other one to end.
        """
        async for number in signals:
            if number == signal.SIGHUP:
                self._loads = True
            elif self._end is None:
                self._end = number
                self._has_ended.set()
            self._news.set()

    @property
    def end(self) -> signal.Signals | None:
        """The signal that told to end; None: none has."""
        return self._end

    async def next(self) -> signal.Signals:
        """Wait for the next order: SIGHUP, or the signal that tells to end."""
        while self._end is None:
            if self._loads:
                self._loads = False
                return signal.SIGHUP
            await self._news.wait()
            self._news = anyio.Event()
        return self._end

    async def unless_ended(self, act: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """Do something, and cancel it at the order to end.

        Returns:
            What it gave; None: it was cancelled.
        """
        result: _Result | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_at_end, tasks.cancel_scope)
            result = await act()
            tasks.cancel_scope.cancel()
        return result

    async def _cancel_at_end(self, scope: anyio.CancelScope) -> None:
        await self._has_ended.wait()
        scope.cancel()


@asynccontextmanager
async def open_orders() -> AsyncIterator[Orders]:
    """Take signals from now on, so that none ends the process, and one that comes early waits."""
    orders = Orders()
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders.take, signals)
            yield orders
            tasks.cancel_scope.cancel()
