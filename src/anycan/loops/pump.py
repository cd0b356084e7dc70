"""Reading a descriptor in the background, while nobody awaits anything of it.

On asyncio (and uvloop) the loop calls back; on trio a task of the loop's own waits.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from anycan.loops.registration import Registration

if TYPE_CHECKING:
    from collections.abc import Callable


def open_pump(fd: int, read: Callable[[], bool]) -> AsyncioPump | TrioPump:
    """Have the running event loop read.

    Args:
        fd: The descriptor.
        read: Reads; tells whether it goes on being polled, or has to be registered anew.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return TrioPump(sys.modules["trio"], fd, read)
    return AsyncioPump(loop, fd, read)


class AsyncioPump:
    """Has asyncio's loop read.

    Args:
        loop: The loop.
        fd: The descriptor.
        read: Reads; tells whether it goes on being polled, or has to be registered anew.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, read: Callable[[], bool]) -> None:
        self._read = read
        self._registration = Registration(loop, fd, self._on_readable)
        self._registration.start_reading()

    def _on_readable(self) -> None:
        if not self._read():
            self._registration.renew()

    def renew(self) -> None:
        """Go on being polled: somebody else has taken the descriptor's error."""
        self._registration.renew()

    def close(self) -> None:
        """Read no more."""
        self._registration.close()


class TrioPump:
    """Has a task of trio's own read.

    Args:
        trio: The module; anycan does not depend on it.
        fd: The descriptor.
        read: Reads.
    """

    def __init__(self, trio: Any, fd: int, read: Callable[[], bool]) -> None:
        self._trio = trio
        self._fd = fd
        self._read = read
        self._scope = trio.CancelScope()
        self._open = True
        trio.lowlevel.spawn_system_task(self._run)

    async def _run(self) -> None:
        with self._scope:
            while self._open:
                with suppress(self._trio.ClosedResourceError):
                    await self._trio.lowlevel.wait_readable(self._fd)
                if self._open:
                    self._read()

    def renew(self) -> None:
        """Go on being polled; trio does so by itself."""

    def close(self) -> None:
        """Read no more; a second time does nothing."""
        if self._open:
            self._open = False
            self._scope.cancel()
            with suppress(RuntimeError):  # trio does not run any more, and so nobody waits
                self._trio.lowlevel.notify_closing(self._fd)
