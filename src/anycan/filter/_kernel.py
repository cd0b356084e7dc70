"""One filter as the kernel has it, and how it is written."""

from __future__ import annotations

import re
from operator import index
from typing import TYPE_CHECKING, Final, SupportsIndex

import attrs

from anycan.exceptions import FilterError, ParseError
from anycan.frame import EFF_FLAG, EFF_MASK, ERR_FLAG, RTR_FLAG, SFF_MASK

if TYPE_CHECKING:
    from anycan.frame import AnyFrame

FILTER_LIMIT: Final = 512  # linux/can/raw.h: CAN_RAW_FILTER_MAX, of one socket

_WORD: Final = 0xFFFFFFFF
_FILTER: Final = re.compile(r"(0?[0-9A-Fa-f]{1,8})([:~])([0-9A-Fa-f]{1,8})")

_set = object.__setattr__


def check_integer(name: str, value: SupportsIndex) -> int:
    """Check that a value of a filter is an integer.

    Raises:
        FilterError: It is not.
    """
    try:
        return index(value)
    except TypeError:
        raise FilterError(f"{name} of a filter is an integer, not {value!r}") from None


def _check_word(name: str, value: SupportsIndex) -> int:
    number = check_integer(name, value)
    if not 0 <= number <= _WORD:
        raise FilterError(f"{name} of a filter is 0 to 0xFFFFFFFF, not {number:#x}")
    return number


@attrs.frozen(repr=False)
class CanFilter:
    """One filter as the kernel has it: ``struct can_filter``.

    A frame passes when ``frame.can_id & mask == id & mask``; an inverted filter takes what does
    not. Identifier and mask are whole 32-bit words with their flags (29-bit 1 << 31,
    remote 1 << 30), so that a mask of 0x7FF alone also takes remote frames and 29-bit identifiers
    with those low bits. :class:`Filter` writes exact ones.

    Args:
        id: The word to compare with, 0 to 0xFFFFFFFF.
        mask: The bits that count, 0 to 0xFFFFFFFF.
        inverted: Take what does not match (``CAN_INV_FILTER``).

    Raises:
        FilterError: A word is no integer, or out of range.

    Source: ``linux/can.h``; ``net/can/af_can.c`` for what it means.

    Example:
        >>> CanFilter.parse("123:7FF")
        CanFilter(0x123, 0x7FF)
        >>> CanFilter(0x123, 0x7FF).matches(Frame(0x123))
        True
    """

    id: int
    mask: int
    inverted: bool = False

    def __attrs_post_init__(self) -> None:
        _set(self, "id", _check_word("id", self.id))
        _set(self, "mask", _check_word("mask", self.mask))

    @classmethod
    def parse(cls, text: str) -> CanFilter:
        """Read a filter in candump's notation: ``<id>:<mask>``, or ``<id>~<mask>`` inverted.

        An identifier of eight digits has 29 bits: the flag is set in the identifier (and has to
        be in the mask, ``DFFFFFFF``, to count). One of nine digits, the first of them 0, is the
        whole word as it stands (``040000123:C00007FF``: 11-bit remote frames). The error flag
        of the mask is dropped, so that ``FFFFFFFF`` is what it looks like.

        Raises:
            ParseError: The text is no filter.
        """
        match = _FILTER.fullmatch(text)
        if match is None:
            raise ParseError(
                f"not a filter: {text!r}; write <id>:<mask> or <id>~<mask> in hex, such as 123:7FF",
                text,
            )
        digits, sign, mask = match.groups()
        identifier = int(digits, 16)
        if len(digits) == 8 and not identifier & ERR_FLAG:
            identifier |= EFF_FLAG
        return cls(identifier, int(mask, 16) & ~ERR_FLAG, inverted=sign == "~")

    def matches(self, frame: AnyFrame) -> bool:
        """Tell whether a socket with this filter alone would receive the frame.

        An error frame is taken by its classes alone, and only where the mask has the error flag
        (1 << 29), which takes nothing else: error frames have an option of their own.
        """
        word = frame.can_id
        mask = self.mask
        if (word | mask) & ERR_FLAG:  # af_can.c: a list of its own
            return word & mask & ERR_FLAG != 0 and word & mask & EFF_MASK != 0
        if mask & EFF_FLAG and not self.id & EFF_FLAG:  # af_can.c: 'SFF only' filters
            mask &= SFF_MASK | EFF_FLAG | RTR_FLAG
        return (word & mask == self.id & mask) != self.inverted

    def __str__(self) -> str:
        """Give the filter in candump's notation."""
        identifier = self.id
        width = 3
        if not identifier & ERR_FLAG:
            if identifier & EFF_FLAG:
                width = 8
                identifier &= ~EFF_FLAG
            elif identifier > 0xFFFFFFF:
                width = 9  # eight digits would have 29 bits
        return f"{identifier:0{width}X}{'~' if self.inverted else ':'}{self.mask:03X}"

    def __repr__(self) -> str:
        inverted = ", inverted=True" if self.inverted else ""
        return f"CanFilter(0x{self.id:03X}, 0x{self.mask:03X}{inverted})"
