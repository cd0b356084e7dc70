"""What to watch, in hex: ``123``, ``123:FF00``, ``3C0:FF:01=00FFFF,02=000F``."""

from __future__ import annotations

import re
from typing import Final

import attrs

from anycan import Frame, Multiplex, ParseError

_IDENTIFIER: Final = re.compile("[0-9A-Fa-f]{3}|[0-9A-Fa-f]{8}")
_BYTES: Final = re.compile("(?:[0-9A-Fa-f]{2})+")


@attrs.frozen
class WatchedMessage:
    """A message, and which of its bits make a change.

    Attributes:
        identifier: Its identifier.
        extended: It has 29 bits.
        mask: The bits; None: nothing is said of them.
        multiplex: Masks by the value of a multiplexor, in place of ``mask``.
    """

    identifier: int
    extended: bool
    mask: bytes | None = None
    multiplex: Multiplex | None = None

    @classmethod
    def parse(cls, text: str) -> WatchedMessage:
        """Read ``IDENTIFIER[:MASK]``, or ``IDENTIFIER:MASK:VALUE=MASK[,VALUE=MASK]...``.

        Raises:
            ParseError: It is none.
            FrameError: No frame has that identifier.
            OperationError: No message is multiplexed like that.
        """
        digits, *parts = text.split(":")
        if not _IDENTIFIER.fullmatch(digits) or len(parts) > 2:
            raise ParseError(
                f"not a message to watch: {text!r}; write IDENTIFIER (three digits: 11 bits, eight:"
                " 29 bits), IDENTIFIER:MASK or IDENTIFIER:MASK:VALUE=MASK,... in hex, such as"
                " 123:FF00",
                text,
            )
        frame = Frame(int(digits, 16), extended=len(digits) == 8)
        if not parts:
            return cls(frame.id, frame.extended)
        bits = _parse_bytes(parts[0], text)
        if len(parts) == 1:
            return cls(frame.id, frame.extended, mask=bits)
        contents: dict[bytes, bytes] = {}
        for content in parts[1].split(","):
            value, sign, mask = content.partition("=")
            if not sign:
                raise ParseError(f"not VALUE=MASK: {content!r} in {text!r}", text)
            key = _parse_bytes(value, text)
            if key in contents:
                raise ParseError(f"the value {value} stands twice in {text!r}", text)
            contents[key] = _parse_bytes(mask, text)
        return cls(frame.id, frame.extended, multiplex=Multiplex(bits, contents))

    def __str__(self) -> str:
        """Give the identifier as candump writes it."""
        return f"{self.identifier:0{8 if self.extended else 3}X}"


def _parse_bytes(digits: str, text: str) -> bytes:
    if not _BYTES.fullmatch(digits):
        raise ParseError(f"not bytes in hex, two digits each: {digits!r} in {text!r}", text)
    return bytes.fromhex(digits)
