"""The bytes to send: from the command line, from standard input or from a file."""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from anycan.cli.common import UsageError, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

_PIECE: Final = 1 << 16
_MOST: Final = 4 * 1024 * 1025  # bytes of input: hex digits and spaces for the longest PDU
_WHITE: Final = re.compile(r"\s+")
_DIGITS: Final = re.compile("[0-9A-Fa-f]*")


def parse_data(texts: Iterable[str], name: str = "DATA") -> bytes:
    """Read bytes in hex; white space does not matter.

    Args:
        texts: Pieces of the text.
        name: What messages call it.

    Raises:
        UsageError: It is none.
    """
    text = _WHITE.sub("", "".join(texts))
    if not text:
        raise UsageError(f"{name}: nothing to send")
    if not _DIGITS.fullmatch(text):
        raise UsageError(f"{name}: no bytes in hex: {shortened(text)!r}; for example 22 F1 90")
    if len(text) % 2:
        raise UsageError(f"{name}: an odd number of digits in {shortened(text)!r}")
    return bytes.fromhex(text)


async def read_input(path: str | None, *, binary: bool) -> bytes:
    """Read the bytes of a PDU from a file.

    Args:
        path: The file; None or ``-``: standard input.
        binary: Take them as they are, and not in hex.

    Raises:
        UsageError: It is no hex, or far too long.
        OSError: It cannot be read.
    """
    if path is None or path == "-":
        name = "standard input"
        content = await _read_all(sys.stdin.fileno(), name)
    else:
        name = path
        with open(path, "rb", buffering=0) as file:  # noqa: ASYNC230, PTH123 - opened once, before anything waits; /dev/fd/3 is no path
            content = await _read_all(file.fileno(), name)
    if binary:
        if not content:
            raise UsageError(f"{name}: nothing to send")
        return content
    return parse_data([content.decode("ascii", errors="replace")], name)


async def _read_all(descriptor: int, name: str) -> bytes:
    """Read to the end, without holding up the event loop."""
    mode = os.fstat(descriptor).st_mode
    # The rest, such as files and /dev/null, is always ready, and epoll would refuse it.
    waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
    content = bytearray()
    while len(content) <= _MOST:
        if waits:
            await anyio.wait_readable(descriptor)
        else:
            await anyio.lowlevel.checkpoint()
        piece = os.read(descriptor, _PIECE)
        if not piece:
            return bytes(content)
        content += piece
    raise UsageError(f"{name}: more than {_MOST:,} bytes, which no PDU has")
