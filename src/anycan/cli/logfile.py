"""Reading a log piece by piece, from a file or from a pipe, without holding up the event loop."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio

from anycan import LogParseError, read_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anycan import LogRecord

_PIECE: Final = 1 << 16
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
        while piece := await self._read():
            self.position += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for records in self._parse(lines, number, on_error):
                yield records
            number += len(lines)
        for records in self._parse([rest], number, on_error):
            yield records

    async def _read(self) -> bytes:
        if self._waits:
            await anyio.wait_readable(self._descriptor)
        else:
            await anyio.lowlevel.checkpoint()
        return os.read(self._descriptor, _PIECE)

    def _parse(
        self, lines: list[bytes], number: int, on_error: Callable[[LogParseError], object] | None
    ) -> Iterator[list[LogRecord]]:
        texts = (line.decode(errors="replace") for line in lines)
        records: list[LogRecord] = []
        garbled: LogParseError | None = None
        try:
            records.extend(read_log(texts, file=self._name, first_line=number, on_error=on_error))
        except LogParseError as error:  # extend() keeps what came before it
            garbled = error
        if records:
            yield records
        if garbled is not None:
            raise garbled


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
