"""Messages as single lines of text that survive a console.

The guest's standard output is shared: kernel messages, prints of a dying interpreter and half
lines may stand around a message. So each one carries a prefix to find it by and a checksum to
trust it by. What is damaged is no message.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from typing import Any, Final

_PREFIX: Final = "@anycan-lab:"
_MESSAGE: Final = re.compile(re.escape(_PREFIX) + r"([0-9a-f]{8}):([A-Za-z0-9+/]+={0,2})")


def encode(message: dict[str, Any]) -> bytes:
    """Give the line of a message, with its end."""
    body = base64.b64encode(zlib.compress(json.dumps(message).encode()))
    return f"{_PREFIX}{zlib.crc32(body):08x}:".encode() + body + b"\n"


def is_message(line: str) -> bool:
    """Tell whether there is a message in a line, damaged or not."""
    return _PREFIX in line


def decode(line: str) -> dict[str, Any] | None:
    """Give the message in a line; None: there is none, or it is damaged."""
    found = _MESSAGE.search(line)
    if found is None:
        return None
    checksum, body = found.groups()
    if int(checksum, 16) != zlib.crc32(body.encode()):
        return None
    try:
        message = json.loads(zlib.decompress(base64.b64decode(body)))
    except (binascii.Error, zlib.error, ValueError):
        return None
    return message if isinstance(message, dict) else None
