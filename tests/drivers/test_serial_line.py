"""A serial line on a pseudo terminal."""

from __future__ import annotations

import errno
import fcntl
import os
import termios
import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from anycan.drivers.serial_line import SerialLine, check_speed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.drivers.conftest import PlayedAdapter

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


class User:
    """Who has a line, and writes down what it tells."""

    def __init__(self) -> None:
        self.read = b""
        self.written = 0
        self.lost: list[str | None] = []
        self.line: SerialLine | None = None
        self._told = anyio.Event()

    def line_read(self, data: bytes) -> None:
        self.read += data
        self._told.set()

    def line_written(self, count: int) -> None:
        self.written += count
        self._told.set()

    def line_lost(self, error: OSError) -> None:
        self.lost.append(error.strerror)
        if self.line is not None:
            self.line.close()
        self._told.set()

    async def until(self, done: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not done():
                await self._told.wait()
                self._told = anyio.Event()


def open_line(adapter: PlayedAdapter, user: User) -> SerialLine:
    line = user.line = SerialLine(os.fspath(adapter.path), 115_200, user)
    return line


async def test_every_byte_goes_as_it_is(adapter: PlayedAdapter) -> None:
    user = User()
    line = open_line(adapter, user)
    data = bytes(range(256))
    assert line.write(data)
    await adapter.hear(data)
    adapter.tell(data)
    await user.until(lambda: user.read == data)
    line.close(b"end")
    await adapter.hear(b"end")
    line.close(b"end")
    assert user.lost == []


async def test_what_finds_no_room_waits(adapter: PlayedAdapter) -> None:
    user = User()
    line = open_line(adapter, user)
    pieces = [bytes([number]) * 3000 for number in range(20)]
    written = [line.write(piece) for piece in pieces]
    assert written == sorted(written, reverse=True)
    assert not written[-1]
    await adapter.hear(b"".join(pieces))
    await user.until(lambda: user.written == written.count(False))
    assert line.write(b"more")
    await adapter.hear(b"more")
    line.close()


async def test_it_is_closed_while_something_waits(adapter: PlayedAdapter) -> None:
    user = User()
    line = open_line(adapter, user)
    adapter.hold_up()
    assert not line.write(b"never")
    line.close(b"end")
    # Of what a pseudo terminal has taken, some cannot be taken back.
    assert (await adapter.hear_up_to(b"end")).strip(b"\0") == b"end"
    assert (user.written, user.lost) == (0, [])


async def test_what_is_written_while_it_is_told_of(
    adapter: PlayedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for the line alone, whoever writes meanwhile."""
    user = User()
    line = open_line(adapter, user)
    told = user.line_written
    put = SerialLine._put
    rooms = [0, 5, 0, 4, 0, 4]  # what the line takes, one write after the other

    def take(self: SerialLine, data: bytes) -> int:
        room = rooms.pop(0) if rooms else len(data)
        return put(self, data[:room]) if room else 0

    def answer(count: int) -> None:
        if user.written < 2:
            assert not line.write(b"next")
        told(count)

    monkeypatch.setattr(SerialLine, "_put", take)
    monkeypatch.setattr(user, "line_written", answer)
    assert not line.write(b"first")
    await adapter.hear(b"firstnextnext")
    await user.until(lambda: user.written == 3)
    assert line.write(b"last")
    await adapter.hear(b"last")
    line.close()


def hold_back(monkeypatch: pytest.MonkeyPatch, counts: list[int]) -> None:
    """Have the tty tell so many bytes that it has still to send, the last one for ever."""

    def held(_fd: int) -> int:
        return counts.pop(0) if len(counts) > 1 else counts[0]

    monkeypatch.setattr("anycan.drivers.serial_ending._held", held)


async def test_what_is_written_goes_out_before_it_is_closed(
    adapter: PlayedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = open_line(adapter, User())
    hold_back(monkeypatch, [4, 2, 0])
    assert line.write(b"some")
    line.close(b"end")
    await adapter.hear(b"someend")


async def test_a_line_that_takes_nothing_is_closed_all_the_same(
    adapter: PlayedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    monkeypatch.setattr("anycan.drivers.serial_ending._PATIENCE", 0)
    monkeypatch.setattr(
        "anycan.drivers.serial_ending.termios.tcflush", lambda *what: flushed.append(what)
    )
    line = open_line(adapter, User())
    fd = line._fd
    hold_back(monkeypatch, [4])
    line.close(b"end")
    for thread in threading.enumerate():
        if thread.name.startswith("anycan closes"):
            thread.join(10)
    assert (fd, termios.TCOFLUSH) in flushed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


async def test_one_that_is_opened_anew_before_it_is_closed(
    adapter: PlayedAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_back(monkeypatch, [4])
    line = open_line(adapter, User())
    fd = line._fd
    adapter.hold_up()
    line.close(b"end")
    again = open_line(adapter, User())
    assert again._fd == fd
    again.write(b"begin")
    assert (await adapter.hear_up_to(b"begin")).strip(b"\0") == b"endbegin"
    with pytest.raises(OSError, match="another interface's of this process"):
        open_line(adapter, User())
    again.close()


async def test_one_that_hangs_up_before_it_is_closed(adapter: PlayedAdapter) -> None:
    line = open_line(adapter, User())
    adapter.hold_up()
    line.close(b"end")
    adapter.unplug()
    adapter.plug()
    again = open_line(adapter, User())
    assert again.write(b"begin")
    await adapter.hear(b"begin")
    again.close()


async def test_one_that_another_program_has(adapter: PlayedAdapter) -> None:
    """Also where this user is root, whom TIOCEXCL does not keep out."""
    other = os.open(adapter.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(OSError, match=r"another program has .*ttyACM0 open") as told:
        open_line(adapter, User())
    assert told.value.errno == errno.EIO
    os.close(other)
    open_line(adapter, User()).close()


def test_one_that_is_used_in_another_loop(adapter: PlayedAdapter, anyio_backend_name: str) -> None:
    lines = []

    async def start() -> None:
        lines.append(open_line(adapter, User()))

    async def go_on() -> None:
        with pytest.raises(OSError, match="another event loop runs now"):
            lines[0].write(b"a")
        lines[0].close()

    anyio.run(start, backend=anyio_backend_name.replace("uvloop", "asyncio"))
    anyio.run(go_on, backend=anyio_backend_name.replace("uvloop", "asyncio"))


async def test_it_is_lost(adapter: PlayedAdapter) -> None:
    user = User()
    line = open_line(adapter, user)
    adapter.unplug()
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        line.write(b"a")
    await user.until(lambda: bool(user.lost))
    assert user.lost in ([os.strerror(errno.EIO)], ["it has hung up"])


@pytest.mark.parametrize("number", [errno.EIO, errno.EAGAIN])
async def test_reading_fails(
    adapter: PlayedAdapter, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    user = User()
    line = open_line(adapter, user)
    read = os.read

    def fail_once(*_: object) -> bytes:
        monkeypatch.setattr("anycan.drivers.serial_line.os.read", read)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("anycan.drivers.serial_line.os.read", fail_once)
    adapter.tell(b"a")
    lost = number == errno.EIO
    await user.until(lambda: bool(user.lost) if lost else bool(user.read))
    assert user.lost == ([os.strerror(number)] if lost else [])
    line.close()


async def test_it_is_lost_while_something_waits(adapter: PlayedAdapter) -> None:
    user = User()
    line = open_line(adapter, user)
    adapter.hold_up()
    assert not line.write(b"never")
    adapter.unplug()
    await user.until(lambda: bool(user.lost))
    assert len(user.lost) == 1


async def test_another_speed(adapter: PlayedAdapter) -> None:
    line = SerialLine(os.fspath(adapter.path), 9600, User())
    end = os.open(adapter.path, os.O_RDWR | os.O_NOCTTY)
    try:
        assert termios.tcgetattr(end)[4:6] == [termios.B9600, termios.B9600]
    finally:
        os.close(end)
        line.close()


@pytest.mark.parametrize(
    ("number", "told_number", "text"),
    [
        # Of these, some would be taken for what is said of an interface.
        (errno.ENXIO, errno.ENOENT, "there is no {path}: is the adapter plugged in"),
        (errno.ENODEV, errno.ENOENT, "there is no {path}: is the adapter plugged in"),
        (errno.EACCES, errno.EACCES, "this user may not open {path}: become a member .* dialout"),
        (errno.EBUSY, errno.EIO, "another program has {path} open"),
        (errno.EINVAL, errno.EIO, "{path} cannot be opened: Invalid argument"),
        (errno.EMFILE, errno.EMFILE, "{path} cannot be opened: Too many open files"),
    ],
)
async def test_one_that_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, told_number: int, text: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    (tmp_path / "ttyUSB0").touch()
    path = os.fspath(tmp_path / "ttyUSB0")
    monkeypatch.setattr("anycan.drivers.serial_line.os.open", refuse)
    with pytest.raises(OSError, match=text.format(path=path)) as told:
        SerialLine(path, 115_200, User())
    assert told.value.errno == told_number


def test_speeds() -> None:
    check_speed(115_200)
    with pytest.raises(ValueError, match="not 0"):
        check_speed(0)
