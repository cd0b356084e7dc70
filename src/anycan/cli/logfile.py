"""Reading a log piece by piece, from a file or from a pipe, without holding up the event loop."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio

from anycan import LogParseError, read_log
from anycan.cli.common import say, shortened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anycan import LogRecord

_PIECE: Final = 1 << 16
_LONGEST_LINE: Final = 1 << 16  # bytes; the longest frame of CAN XL takes some 4,200
_TOLD: Final = 10  # garbled lines that are told one by one
STANDARD_INPUT: Final = "-"


class LogFile:
    """A log to read, as often as asked for where it is a file.

    Args:
        descriptor: Of the open file.
        name: What messages call it.

    Attributes:
        size: Bytes in it; None: not known (a pipe, a terminal).
        position: Bytes read, of one reading.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        status = os.fstat(descriptor)
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.position = 0
        # The rest, such as files and /dev/null, is always ready, and epoll would refuse it.
        self._waits = (
            stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode) or os.isatty(descriptor)
        )

    async def records(
        self, on_error: Callable[[LogParseError], object] | None = None
    ) -> AsyncIterator[list[LogRecord]]:
        """Read it from its beginning; give the records piece by piece.

        Args:
            on_error: As for :func:`anycan.read_log`.

        Raises:
            LogParseError: A line is garbled and there is no ``on_error``; the records before it
                have been given.
        """
        if self.size is not None:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.position = 0
        number = 1
        rest = b""
        skipping = False  # to the end of a line that is too long
        while piece := await self._read():
            self.position += len(piece)
            if skipping:
                _, newline, piece = piece.partition(b"\n")
                skipping = not newline
                number += len(newline)
            *lines, rest = (rest + piece).split(b"\n")
            for records in self._parse(lines, number, on_error):
                yield records
            number += len(lines)
            if len(rest) > _LONGEST_LINE:
                self._refuse(number, on_error)
                rest = b""
                skipping = True
        for records in self._parse([rest], number, on_error):
            yield records

    def _refuse(self, number: int, on_error: Callable[[LogParseError], object] | None) -> None:
        """Tell of a line that is too long to be one."""
        text = f"a line of more than {_LONGEST_LINE:,} bytes"
        error = LogParseError(text, "", file=self._name, line=number)
        if on_error is None:
            raise error
        on_error(error)

    async def _read(self) -> bytes:
        if self._waits:
            await anyio.wait_readable(self._descriptor)
        else:
            await anyio.lowlevel.checkpoint()
        return os.read(self._descriptor, _PIECE)

    def _parse(
        self, lines: list[bytes], number: int, on_error: Callable[[LogParseError], object] | None
    ) -> Iterator[list[LogRecord]]:
        records: list[LogRecord] = []
        garbled: LogParseError | None = None
        try:
            records.extend(read_log(lines, file=self._name, first_line=number, on_error=on_error))
        except LogParseError as error:  # extend() keeps what came before it
            garbled = error
        if records:
            yield records
        if garbled is not None:
            raise garbled


def check_log_name(_type: object, name: str | None) -> None:
    """Take ``-``, and leave other hyphens to be told as unknown options."""
    if name is not None and name.startswith("-") and name != STANDARD_INPUT:
        raise ValueError("This is no option here; for a file of that name, put ./ before it.")


class GarbledLines:
    """Tells of garbled lines that are left out: of each of the first, then of their number.

    Attributes:
        count: How many there have been.
    """

    def __init__(self) -> None:
        self.count = 0

    def note(self, error: LogParseError) -> None:
        """Take the error of a line."""
        self.count += 1
        if self.count <= _TOLD:
            say(f"{shortened(str(error))}; skipped")
        elif self.count == _TOLD + 1:
            say("further garbled lines are skipped and counted")


@contextmanager
def open_log(path: str) -> Iterator[LogFile]:
    """Open a log; ``-`` is standard input.

    Raises:
        OSError: It cannot be opened.
    """
    if path == STANDARD_INPUT:
        yield LogFile(sys.stdin.fileno(), "<stdin>")
        return
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - /dev/fd/3 is no path
        yield LogFile(file.fileno(), path)
