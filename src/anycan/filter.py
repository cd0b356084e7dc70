"""What frames a socket takes: one kernel filter, and unions of them written in the user's terms."""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import index
from typing import TYPE_CHECKING, Final, SupportsIndex

import attrs

from anycan.exceptions import FilterError, ParseError
from anycan.frame import EFF_FLAG, EFF_MASK, ERR_FLAG, RTR_FLAG, SFF_MASK

if TYPE_CHECKING:
    from anycan.frame import AnyFrame

_WORD: Final = 0xFFFFFFFF
_FILTER: Final = re.compile(r"(0?[0-9A-Fa-f]{1,8})([:~])([0-9A-Fa-f]{1,8})")

_set = object.__setattr__


def _check_integer(name: str, value: SupportsIndex) -> int:
    try:
        return index(value)
    except TypeError:
        raise FilterError(f"{name} of a filter is an integer, not {value!r}") from None


def _check_word(name: str, value: SupportsIndex) -> int:
    number = _check_integer(name, value)
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


def _check_identifier(identifier: SupportsIndex, extended: bool | None) -> tuple[int, bool]:
    number = _check_integer("identifier", identifier)
    if extended is None:
        extended = number > SFF_MASK
    if not 0 <= number <= (EFF_MASK if extended else SFF_MASK):
        raise FilterError(
            f"identifier {number:#x} is out of range: 0 to 0x7FF,"
            " or 0 to 0x1FFFFFFF with extended=True"
        )
    return number, extended


@attrs.frozen(repr=False)
class Filter:
    """Which frames are wanted, in the user's terms; ``|`` joins two.

    Made by :meth:`id`, :meth:`mask`, :meth:`range`, :meth:`all`, :meth:`none` and :meth:`parse`,
    not by calling it. Two are equal when they have the same kernel filters, in any order.

    There is no ``&`` and no ``~`` yet: a socket takes what passes any of its kernel filters, and
    cannot be told more. They are to come with routing, which decides frame by frame. Until then,
    ``join_filters=True`` of :func:`open_raw` takes what passes all of them, and an inverted
    :class:`CanFilter` what does not pass it.

    Example:
        >>> wanted = Filter.id(0x123) | Filter.range(0x700, 0x7FF)
        >>> wanted.matches(Frame(0x7E8)), wanted.matches(Frame(0x124))
        (True, False)
        >>> wanted
        <Filter 123:C00007FF,700:C0000700>
    """

    _filters: tuple[CanFilter, ...] = attrs.field(eq=frozenset)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self._filters, tuple):
            raise FilterError(
                f"a Filter is not made of {self._filters!r}: write Filter.id(0x123),"
                ' Filter.range(0x700, 0x7FF), Filter.parse("123:7FF") or the like'
            )

    @classmethod
    def id(cls, identifier: SupportsIndex, *, extended: bool | None = None) -> Filter:
        """Take data frames with one identifier.

        Args:
            identifier: 0 to 0x7FF, or 0 to 0x1FFFFFFF when extended.
            extended: Whether it has 29 bits; None: when it needs them.

        Raises:
            FilterError: It is no integer, or out of range.
        """
        identifier, extended = _check_identifier(identifier, extended)
        return cls.mask(identifier, EFF_MASK if extended else SFF_MASK, extended=extended)

    @classmethod
    def mask(
        cls, identifier: SupportsIndex, mask: SupportsIndex, *, extended: bool | None = None
    ) -> Filter:
        """Take data frames whose identifier agrees with another in the bits of a mask.

        Args:
            identifier: The bits to have.
            mask: The bits that count.
            extended: Whether identifiers have 29 bits; None: when identifier or mask need them.

        Raises:
            FilterError: One is no integer, or out of range.
        """
        identifier = _check_integer("identifier", identifier)
        mask = _check_integer("mask", mask)
        _, extended = _check_identifier(identifier | mask, extended)
        flags = EFF_FLAG if extended else 0
        return cls((CanFilter(identifier & mask | flags, mask | EFF_FLAG | RTR_FLAG),))

    @classmethod
    def range(
        cls, first: SupportsIndex, last: SupportsIndex, *, extended: bool | None = None
    ) -> Filter:
        """Take data frames with identifiers from ``first`` to ``last``, both taken.

        The range becomes the fewest aligned blocks that make it up, each one kernel filter.

        Args:
            first: The lowest identifier.
            last: The highest identifier.
            extended: Whether they have 29 bits; None: when ``last`` needs them.

        Raises:
            FilterError: The range is empty or out of range, or an end of it is no integer.
        """
        first = _check_integer("first", first)
        last = _check_integer("last", last)
        if first > last:
            raise FilterError(f"an empty range: {first:#x} is above {last:#x}")
        _, extended = _check_identifier(last, extended)
        _check_identifier(first, extended)
        every = EFF_MASK if extended else SFF_MASK
        filters: list[CanFilter] = []
        while first <= last:
            block = first & -first or every + 1
            while first + block - 1 > last:
                block >>= 1
            filters += cls.mask(first, every & ~(block - 1), extended=extended).to_kernel()
            first += block
        return cls(tuple(filters))

    @classmethod
    def all(cls) -> Filter:
        """Take every data and remote frame."""
        return cls((CanFilter(0, 0),))

    @classmethod
    def none(cls) -> Filter:
        """Take no frame (an endpoint that only sends, or only wants error frames)."""
        return cls(())

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Read filters in candump's notation, parted by commas: ``123:7FF,400~7F0``.

        Raises:
            ParseError: One of them is no filter.
        """
        return cls(tuple(CanFilter.parse(part) for part in text.split(",")))

    def __or__(self, other: Filter) -> Filter:
        """Take what either takes."""
        if not isinstance(other, Filter):
            return NotImplemented
        return Filter(tuple(dict.fromkeys(self._filters + other._filters)))

    def matches(self, frame: AnyFrame) -> bool:
        """Tell whether the frame is wanted."""
        return any(one.matches(frame) for one in self._filters)

    def to_kernel(self) -> tuple[CanFilter, ...]:
        """Give the kernel filters that take exactly these frames."""
        return self._filters

    def __str__(self) -> str:
        """Give the filters in candump's notation, parted by commas: :meth:`parse` reads it.

        That of :meth:`none` is ``000~000``, a filter that nothing passes. What the notation cannot
        say is an error flag in a mask.
        """
        return ",".join(map(str, self._filters)) or "000~000"

    def __repr__(self) -> str:
        return f"<Filter {','.join(map(str, self._filters)) or 'none'}>"


def kernel_filters(
    filters: Filter | CanFilter | Iterable[Filter | CanFilter],
) -> tuple[CanFilter, ...]:
    """Give the kernel filters of what users write as ``filters=``.

    Args:
        filters: One filter of either class, or several.

    Returns:
        The kernel filters in their order.

    Raises:
        FilterError: It is something else, such as text.

    Example:
        >>> kernel_filters([CanFilter(0x123, 0x7FF), Filter.range(0x700, 0x7FF)])
        (CanFilter(0x123, 0x7FF), CanFilter(0x700, 0xC0000700))
    """
    given: object = filters
    if isinstance(given, Filter):
        return given.to_kernel()
    if isinstance(given, CanFilter):
        return (given,)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _no_filter("filters", given)
    found: list[CanFilter] = []
    for position, one in enumerate(given):
        if isinstance(one, CanFilter):
            found.append(one)
        elif isinstance(one, Filter):
            found += one.to_kernel()
        else:
            raise _no_filter(f"filters[{position}]", one)
    return tuple(found)


def _no_filter(name: str, value: object) -> FilterError:
    if isinstance(value, str):
        way = 'for text write Filter.parse("123:7FF")'
    elif isinstance(value, int):
        way = f"for an identifier write Filter.id(0x{value:X})"
    else:
        way = "for example Filter.id(0x123) | Filter.range(0x700, 0x7FF)"
    return FilterError(f"{name} is a Filter, a CanFilter or several of them, not {value!r}; {way}")
