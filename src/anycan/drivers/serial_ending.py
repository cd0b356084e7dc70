"""The end of a serial line: what it holds goes out before it is closed, in the background.

To close a tty may take as long as its buffer takes to empty (30 s with a USB adapter that takes
nothing), so a thread waits, and not the event loop. Who opens the line again meanwhile takes it
over as it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
import threading
import time
from contextlib import suppress
from typing import Final

_PATIENCE: Final = 0.5  # seconds in which nothing has gone out
_PAUSE: Final = 0.01
_COUNT: Final = struct.Struct("i")

_owned: set[int] = set()  # the device numbers of the lines that are open in this process
_endings: dict[int, LineEnding] = {}
_lock: Final = threading.Lock()


def claim(device: int) -> tuple[int, bytes] | None:
    """Take a line for one user alone.

    Args:
        device: The device number of its tty.

    Returns:
        Its descriptor and what is to be written first, where it is still about to be closed; None:
        it has to be opened.

    Raises:
        OSError: EBUSY: it is another one's of this process.
    """
    with _lock:
        if device in _owned:
            raise OSError(errno.EBUSY, "it is another interface's of this process")
        _owned.add(device)
        ending = _endings.pop(device, None)
        return None if ending is None else ending.give_back()


def release(device: int) -> None:
    """Leave a line to others, which has been closed or was not opened."""
    with _lock:
        _owned.discard(device)


def end(device: int, fd: int, rest: bytes) -> None:
    """Close a line that :func:`claim` gave, once what it holds and the rest have gone out.

    Where nothing goes out for half a second, what it holds is thrown away but for the rest.
    """
    try:
        rest = rest[_put(fd, rest) :]
        is_done = not rest and not _held(fd)
    except OSError:  # it has hung up
        is_done = True
    if is_done:
        close(fd)
        release(device)
        return
    ending = LineEnding(device, fd, rest)
    with _lock:
        _endings[device] = ending
        _owned.discard(device)
    try:
        threading.Thread(target=ending.run, name=f"anycan closes a serial line ({fd})").start()
    except RuntimeError:  # the interpreter is about to end
        ending.finish()


def close(fd: int) -> None:
    """Close a descriptor of a line, and let others open it."""
    with suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCNXCL)
    with suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


class LineEnding:
    """A line that is about to be closed.

    Args:
        device: The device number of its tty.
        fd: Its descriptor.
        rest: What is still to be written.
    """

    def __init__(self, device: int, fd: int, rest: bytes) -> None:
        self._device = device
        self._fd = fd
        self._rest = rest
        self._left: tuple[int, int] | None = None

    def give_back(self) -> tuple[int, bytes] | None:
        """Give the line to who opens it; None: it has hung up. The caller has the lock."""
        fd, self._fd = self._fd, -1
        try:
            _held(fd)
        except OSError:
            close(fd)
            return None
        return fd, self._rest

    def run(self) -> None:
        """Wait, and close it."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        until = time.monotonic() + _PATIENCE
        while (progress := self._step()) is not None:
            now = time.monotonic()
            if progress:
                until = now + _PATIENCE
            elif now >= until:
                break
            if self._rest:
                poll.poll(1000 * _PAUSE)
            else:
                time.sleep(_PAUSE)
        self.finish()

    def _step(self) -> bool | None:
        """Write what finds room; tell whether something has gone out. None: there is no more."""
        with _lock:
            if self._fd < 0:
                return None
            try:
                self._rest = self._rest[_put(self._fd, self._rest) :]
                left = len(self._rest), _held(self._fd)
            except OSError:
                return None
            before, self._left = self._left, left
            return None if left == (0, 0) else left != before

    def finish(self) -> None:
        """Close it, with what has not gone out; where it has been given back, do nothing."""
        with _lock:
            fd, self._fd = self._fd, -1
            if fd < 0:
                return
            if _endings.get(self._device) is self:
                del _endings[self._device]
            with suppress(OSError, termios.error):
                if _held(fd) or self._rest:
                    termios.tcflush(fd, termios.TCOFLUSH)
                    _put(fd, self._rest)
            with suppress(OSError):
                fcntl.ioctl(fd, termios.TIOCNXCL)
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def _put(fd: int, data: bytes) -> int:
    if not data:
        return 0
    try:
        return os.write(fd, data)
    except (BlockingIOError, InterruptedError):
        return 0


def _held(fd: int) -> int:
    """Give how many bytes the tty has still to send."""
    (count,) = _COUNT.unpack(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(_COUNT.size)))
    return int(count)
