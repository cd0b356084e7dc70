"""A serial line: bytes to and from a tty, by the running event loop."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from anycan.drivers.serial_ending import claim, close, end, release
from anycan.loops.pump import open_pump

if TYPE_CHECKING:
    from anycan.loops.pump import AsyncioPump, TrioPump

_READ: Final = 1024  # a turn of the loop: a flood of short lines is not to hold it up
_SPEEDS: Final = {
    int(name[1:]): getattr(termios, name)
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdecimal() and int(name[1:])
}


class LineUser(Protocol):
    """Who has a serial line. Nothing of this may raise."""

    def line_read(self, data: bytes) -> None:
        """Take what has come."""
        ...

    def line_written(self, count: int) -> None:
        """Take note that the oldest so many pieces that waited have been written."""
        ...

    def line_lost(self, error: OSError) -> None:
        """Take note that the line is gone; it is to be closed."""
        ...


def check_speed(speed: int) -> None:
    """See to it that this system has a speed of serial lines, in bits a second.

    Raises:
        ValueError: It has not.
    """
    if speed not in _SPEEDS:
        known = ", ".join(map(str, sorted(_SPEEDS)))
        raise ValueError(f"serial_speed= is one of {known} bits a second, not {speed!r}")


class SerialLine:
    """A tty, open for one program alone, raw, 8 bits, no parity, no flow control.

    It is read by the event loop that runs, and what does not fit into its buffer is written by it.

    Args:
        path: The tty.
        speed: Its speed, in bits a second.
        user: Who has it.

    Raises:
        OSError: It cannot be opened; the text says what to do.
        RuntimeError: No event loop runs.
    """

    def __init__(self, path: str, speed: int, user: LineUser) -> None:
        self._loop, self._trio = _running_loop()
        self._token = None if self._loop is not None else self._trio.lowlevel.current_trio_token()
        self._user = user
        self._backlog: list[bytes] = []
        self._is_parted = False  # of the first of them, something has been written
        self._writer_runs = False
        self._device, self._fd, self._first = _open(path, speed)
        self._pump: AsyncioPump | TrioPump = open_pump(self._fd, self._on_readable)

    def write(self, data: bytes) -> bool:
        """Write, behind what waits.

        Returns:
            Whether it has been written. If not, it waits, and ``line_written`` tells when it has
            been. How much may wait is for the caller to say.

        Raises:
            OSError: The line is gone; so it is where another event loop runs now than when it was
                opened.
        """
        self._check_loop()
        if self._backlog:
            self._backlog.append(data)
            return False
        data, self._first = self._first + data, b""
        written = self._put(data)
        if written == len(data):
            return True
        self._is_parted = written > 0
        self._backlog.append(data[written:])
        self._start_writing()
        return False

    def _check_loop(self) -> None:
        if self._loop is not None:
            if asyncio._get_running_loop() in (self._loop, None):  # noqa: SLF001 - documented
                return
        elif not self._trio.lowlevel.in_trio_run() or (
            self._trio.lowlevel.current_trio_token() is self._token
        ):
            return
        raise OSError(errno.EIO, "another event loop runs now")

    def _start_writing(self) -> None:
        if self._loop is not None:
            try:
                self._loop.add_writer(self._fd, self._on_writable)
            except RuntimeError as error:
                raise OSError(errno.EIO, "its event loop has ended") from error
        elif not self._writer_runs:
            self._writer_runs = True
            self._trio.lowlevel.spawn_system_task(self._write_on_trio)

    def close(self, last: bytes = b"") -> None:
        """Close it, without what waits; a second time does nothing.

        What has been written goes out all the same, for which a thread waits, as long as the line
        takes it.

        Args:
            last: What is written before.
        """
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        with suppress(RuntimeError):  # a loop that is closed polls nothing any more
            self._pump.close()
            if self._loop is not None:
                self._loop.remove_writer(fd)
        # A line that was begun is ended, else the adapter might take the next one for a part of it.
        begun = self._backlog[0] if self._is_parted and self._backlog else self._first
        self._backlog.clear()
        end(self._device, fd, begun + last if last else b"")

    def _on_readable(self) -> bool:
        if self._fd < 0:
            return True
        try:
            data = os.read(self._fd, _READ)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError as error:
            self._user.line_lost(error)
            return True
        if data:
            self._user.line_read(data)
        else:
            self._user.line_lost(OSError(errno.EIO, "it has hung up"))
        return True

    def _on_writable(self) -> None:
        if self._fd < 0 or not self._backlog:
            return
        try:
            written = self._put(b"".join(self._backlog))
        except OSError as error:
            self._user.line_lost(error)
            return
        count = 0
        while self._backlog and written >= len(self._backlog[0]):
            written -= len(self._backlog.pop(0))
            count += 1
        if written:
            self._backlog[0] = self._backlog[0][written:]
            self._is_parted = True
        elif count:
            self._is_parted = False
        if not self._backlog and self._loop is not None:
            self._loop.remove_writer(self._fd)
        self._user.line_written(count)

    async def _write_on_trio(self) -> None:
        fd = self._fd
        try:
            with suppress(self._trio.ClosedResourceError):
                while self._fd == fd and self._backlog:
                    await self._trio.lowlevel.wait_writable(fd)
                    self._on_writable()
        finally:
            self._writer_runs = False

    def _put(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except (BlockingIOError, InterruptedError):
            return 0


def _running_loop() -> tuple[asyncio.AbstractEventLoop | None, Any]:
    try:
        return asyncio.get_running_loop(), None
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_run():
            raise RuntimeError(
                "a serial line is read by an event loop: set its interface up where one runs, in a"
                " coroutine function"
            ) from None
        return None, trio


def _open(path: str, speed: int) -> tuple[int, int, bytes]:
    """Give a line's device number, its descriptor, and what is to be written to it first."""
    try:
        device = Path(path).stat().st_rdev
        found = claim(device)
    except OSError as error:
        raise _cannot_open(path, error) from None
    fd, first = (-1, b"") if found is None else found
    try:
        if fd < 0:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        release(device)
        raise _cannot_open(path, error) from None
    try:
        fcntl.ioctl(fd, termios.TIOCEXCL)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the other one does not hold root up
        _make_raw(fd, _SPEEDS[speed])
        termios.tcflush(fd, termios.TCIFLUSH)
    except BlockingIOError:
        os.close(fd)  # TIOCEXCL is left to the other one
        release(device)
        raise _cannot_open(path, OSError(errno.EBUSY, os.strerror(errno.EBUSY))) from None
    except (OSError, termios.error) as error:
        close(fd)
        release(device)
        number, text = error.args[:2]
        if number == errno.ENOTTY:
            text = "it is no serial line"
        raise OSError(_number(number), f"{path} cannot be used: {text}") from None
    return device, fd, first


def _make_raw(fd: int, speed: int) -> None:
    """Set a tty up: every byte as it is, and read as soon as it comes."""
    _, _, cflag, _, _, _, characters = termios.tcgetattr(fd)
    cflag &= ~(termios.CSIZE | termios.PARENB | termios.CSTOPB | termios.CRTSCTS)
    cflag |= termios.CS8 | termios.CREAD | termios.CLOCAL
    # With 0, to read nothing would look like the end.
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, cflag, 0, speed, speed, characters])


def _cannot_open(path: str, error: OSError) -> OSError:
    return OSError(_number(error.errno), _reason(path, error))


def _number(number: int | None) -> int:
    """Give the number of an error without those that say something else of an interface."""
    match number:
        case errno.ENODEV | errno.ENXIO:
            return errno.ENOENT
        case None | errno.EBUSY | errno.EINVAL | errno.EOPNOTSUPP | errno.ERANGE | errno.EDOM:
            return errno.EIO
        case _:
            return number


def _reason(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return (
                f"there is no {path}: is the adapter plugged in? (On Linux, ls -l /dev/serial/by-id"
                " shows those that are.)"
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"this user may not open {path}: become a member of its group, which ls -l {path}"
                ' shows (mostly dialout: sudo usermod -aG dialout "$USER", and log in anew)'
            )
        case errno.EBUSY:
            if error.strerror != os.strerror(errno.EBUSY):
                return f"{path} is open already: {error.strerror}"
            return f"another program has {path} open (fuser -v {path} tells which)"
        case _:
            return f"{path} cannot be opened: {error.strerror}"
