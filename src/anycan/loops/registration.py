"""A descriptor's callbacks with asyncio's loop, which outlive the descriptor's errors.

When poll reports an error for a descriptor (``EPOLLERR``: its link went down), libuv stops to poll
it, and uvloop then calls each of its callbacks once and forgets them. asyncio's own loops go on.
So whoever meets a pending error registers anew, in the next turn of the loop: within the callback
uvloop is still about to forget.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from anycan.loops.replacing import settle, waits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Registration:
    """What one descriptor has registered with an asyncio loop.

    Args:
        loop: The loop.
        fd: The descriptor.
        on_readable: Called while the descriptor is readable and reading is on.
        coalesce: Seconds that reading rests after each call, so that what comes meanwhile is read
            at once; 0: none.
        behind: Tells after a call whether much more may wait: then it does not rest.

    Attributes:
        reading: Whether reading is on; for others to read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        on_readable: Callable[[], object],
        coalesce: float = 0.0,
        behind: Callable[[], bool] = bool,
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_readable = on_readable
        self._on_writable: Callable[[], object] | None = None
        self._coalesce = coalesce
        self._behind = behind
        self._rest: asyncio.TimerHandle | None = None
        self.reading = False
        self._renewal: asyncio.Handle | None = None

    def redirect(self, on_readable: Callable[[], object]) -> None:
        """Have another function called, from when reading is turned on again: it is off."""
        self._on_readable = on_readable

    def start_reading(self) -> None:
        """Turn reading on."""
        if not self.reading:
            self.reading = True
            if waits(self._fd):
                self.renew()
            elif self._renewal is None:
                self._add_reader()

    def stop_reading(self) -> None:
        """Turn reading off."""
        if self.reading:
            self.reading = False
            if self._rest is not None:
                self._rest.cancel()
                self._rest = None
            elif self._renewal is None:
                self._loop.remove_reader(self._fd)

    def _add_reader(self) -> None:
        # One that never rests is called by the loop itself.
        callback = self._read_and_rest if self._coalesce else self._on_readable
        self._loop.add_reader(self._fd, callback)

    def _read_and_rest(self) -> None:
        self._on_readable()
        if self.reading and self._renewal is None and not self._behind():
            self._loop.remove_reader(self._fd)
            self._rest = self._loop.call_later(self._coalesce, self._look)

    def _look(self) -> None:
        """Read after a rest, and rest again: while frames come, nothing is registered anew.

        Where none has come, who reads has the descriptor registered anew (:meth:`renew`).
        """
        self._rest = None
        if self._renewal is None:
            self._on_readable()
            if self.reading and self._renewal is None:
                delay = 0.0 if self._behind() else self._coalesce
                self._rest = self._loop.call_later(delay, self._look)

    def start_writing(self, on_writable: Callable[[], object]) -> None:
        """Turn writing on: have a function called while the descriptor is writable."""
        if self._on_writable is None:
            self._on_writable = on_writable
            if waits(self._fd):
                self.renew()
            elif self._renewal is None:
                self._loop.add_writer(self._fd, on_writable)

    def stop_writing(self) -> None:
        """Turn writing off."""
        if self._on_writable is not None:
            self._on_writable = None
            if self._renewal is None:
                self._loop.remove_writer(self._fd)

    def renew(self) -> None:
        """Register what is on anew: the descriptor had a pending error, which has been taken.

        In between it gets the file that waits for its number, if one does.
        """
        if self._renewal is None:
            if self.reading and self._rest is None:
                with suppress(OSError):  # where it is closed
                    self._loop.remove_reader(self._fd)
            if self._on_writable is not None:
                with suppress(OSError):
                    self._loop.remove_writer(self._fd)
            self._renewal = self._loop.call_soon(self._register)
        settle(self._fd)

    def _register(self) -> None:
        self._renewal = None
        if not settle(self._fd):  # its former file would have its callbacks called for ever
            return
        if self.reading and self._rest is None:
            self._add_reader()
        if self._on_writable is not None:
            self._loop.add_writer(self._fd, self._on_writable)

    def close(self) -> None:
        """Turn both off, for good; before the descriptor is closed."""
        self.stop_reading()
        self.stop_writing()
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
