"""What random programs choose from: a byte for each choice."""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Theme(enum.Enum):
    """What a program has more of, so that things meet which seldom would."""

    ANYTHING = enum.auto()
    FILTERS = enum.auto()
    BUFFERS = enum.auto()
    LINKS = enum.auto()
    LONG = enum.auto()
    """CAN XL."""


class Choices:
    """Choices by bytes; when they are used up, the first of everything.

    Args:
        data: The bytes.
        theme: What the program has more of.
    """

    def __init__(self, data: bytes, theme: Theme) -> None:
        self.theme = theme
        self._bytes = iter(data)

    def of(self, options: Sequence[T]) -> T:
        """Choose one of at most 256."""
        return options[next(self._bytes, 0) % len(options)]

    def word(self, *numbers: int) -> bytes:
        """Choose one of some numbers, and give its four bytes."""
        return struct.pack("=I", self.of(numbers) & 0xFFFFFFFF)
