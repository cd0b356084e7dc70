"""Closing a descriptor without waiting for it in the event loop.

To close a socket of the broadcast manager or of ISO-TP, the kernel waits until no processor handles
a frame for it, and for the end of an ISO-TP transfer. So a thread does that.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from anycan.sockets.closing import finish_in_background

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def finish_and_tell(
    loop: asyncio.AbstractEventLoop,
    rest: Callable[[], object] | None,
    callback: Callable[[Exception | None], object],
    error: Exception | None,
) -> None:
    """Do what is left to be done, and have the loop call back then.

    Args:
        loop: Of asyncio.
        rest: What closing a socket gave.
        callback: A protocol's ``connection_lost``.
        error: Its argument.
    """
    if rest is None:
        loop.call_soon(callback, error)
        return

    def run() -> None:
        try:
            rest()
        finally:
            with suppress(RuntimeError):  # the loop has been closed: there is nobody to tell
                loop.call_soon_threadsafe(callback, error)

    finish_in_background(run)


async def finish(rest: Callable[[], object] | None, *, shield: bool = True) -> None:
    """Wait until what is left to be done has been done.

    Args:
        rest: What closing a socket gave.
        shield: Wait though the task is cancelled; else it is then done in the background.
    """
    if rest is None:
        await checkpoint()
        return
    once = _Once(rest)
    try:
        with anyio.CancelScope(shield=shield):
            # Its own limiter: closing a socket that is busy takes its time, and holds up nobody.
            limiter = anyio.CapacityLimiter(1)
            await anyio.to_thread.run_sync(once, abandon_on_cancel=True, limiter=limiter)
    except BaseException:
        finish_in_background(once)  # unless a thread has begun
        raise


class _Once:
    """Calls a function at its first call."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function: Callable[[], object] | None = function
        self._lock = Lock()

    def __call__(self) -> None:
        with self._lock:
            function, self._function = self._function, None
        if function is not None:
            function()
