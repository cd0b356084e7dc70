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

    Attributes:
        reading: Whether reading is on; for others to read.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_readable: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._on_readable = on_readable
        self._on_writable: Callable[[], object] | None = None
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
                self._loop.add_reader(self._fd, self._on_readable)

    def stop_reading(self) -> None:
        """Turn reading off."""
        if self.reading:
            self.reading = False
            if self._renewal is None:
                self._loop.remove_reader(self._fd)

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
            if self.reading:
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
        if self.reading:
            self._loop.add_reader(self._fd, self._on_readable)
        if self._on_writable is not None:
            self._loop.add_writer(self._fd, self._on_writable)

    def close(self) -> None:
        """Turn both off, for good; before the descriptor is closed."""
        self.stop_reading()
        self.stop_writing()
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
