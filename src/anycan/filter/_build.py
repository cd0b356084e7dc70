"""Conditions from what users write, checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, SupportsIndex

from anycan.exceptions import FilterError
from anycan.filter._conditions import (
    MOST_BYTES,
    ByteIn,
    Kinds,
    Length,
    OfErrors,
    ReceivedFrom,
    Where,
    Words,
)
from anycan.filter._expression import Expression, both
from anycan.filter._kernel import check_integer
from anycan.filter._kinds import XL
from anycan.filter._text import data_code, errors_code
from anycan.frame import EFF_FLAG, EFF_MASK, RTR_FLAG, SFF_MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.filter._cubes import Cube


def _check_identifier(identifier: SupportsIndex, extended: bool | None) -> tuple[int, bool]:
    number = check_integer("identifier", identifier)
    if extended is None:
        extended = number > SFF_MASK
    if not 0 <= number <= (EFF_MASK if extended else SFF_MASK):
        raise FilterError(
            f"identifier {number:#x} is out of range: 0 to 0x7FF,"
            " or 0 to 0x1FFFFFFF with extended=True"
        )
    return number, bool(extended)


def _check_number(name: str, value: SupportsIndex, least: int, most: int) -> int:
    number = check_integer(name, value)
    if not least <= number <= most:
        raise FilterError(f"{name} of a filter is {least} to {most}, not {number}")
    return number


def _code(number: int, extended: bool) -> str:
    """Give an identifier as code; with its format where it does not tell."""
    return f"0x{number:X}, extended=True" if extended and number <= SFF_MASK else f"0x{number:X}"


def _cube(identifier: int, mask: int, extended: bool, remote: bool = False) -> Cube:
    flags = (EFF_FLAG if extended else 0) | (RTR_FLAG if remote else 0)
    return identifier & mask | flags, mask | EFF_FLAG | RTR_FLAG


def identifier_is(identifier: SupportsIndex, extended: bool | None) -> Words:
    """Make the condition of :meth:`Filter.id`."""
    number, is_extended = _check_identifier(identifier, extended)
    cube = _cube(number, EFF_MASK if is_extended else SFF_MASK, is_extended)
    return Words((cube,), f"Filter.id({_code(number, is_extended)})")


def _masked(
    identifier: SupportsIndex, mask: SupportsIndex, extended: bool | None
) -> tuple[int, int, bool]:
    number = check_integer("identifier", identifier)
    bits = check_integer("mask", mask)
    # A negative one stays negative, and is refused.
    _, is_extended = _check_identifier(number | bits, extended)
    return number, bits, is_extended


def _masked_code(name: str, number: int, bits: int, extended: bool) -> str:
    more = ", extended=True" if extended and number | bits <= SFF_MASK else ""
    return f"0x{number:X}, {name}0x{bits:X}{more}"


def identifier_under_mask(
    identifier: SupportsIndex, mask: SupportsIndex, extended: bool | None
) -> Words:
    """Make the condition of :meth:`Filter.mask`."""
    number, bits, is_extended = _masked(identifier, mask, extended)
    code = _masked_code("", number, bits, is_extended)
    return Words((_cube(number, bits, is_extended),), f"Filter.mask({code})")


def identifier_in_range(first: SupportsIndex, last: SupportsIndex, extended: bool | None) -> Words:
    """Make the condition of :meth:`Filter.range`: the fewest aligned blocks that make it up."""
    low = check_integer("first", first)
    high = check_integer("last", last)
    if low > high:
        raise FilterError(f"an empty range: {low:#x} is above {high:#x}")
    _, is_extended = _check_identifier(high, extended)
    _check_identifier(low, is_extended)
    text = f"Filter.range(0x{low:X}, {_code(high, is_extended)})"
    every = EFF_MASK if is_extended else SFF_MASK
    cubes: list[Cube] = []
    while low <= high:
        block = low & -low or every + 1
        while low + block - 1 > high:
            block >>= 1
        cubes.append(_cube(low, every & ~(block - 1), is_extended))
        low += block
    return Words(tuple(cubes), text)


def remote_frames(
    identifier: SupportsIndex | None, mask: SupportsIndex | None, extended: bool | None
) -> Words:
    """Make the condition of :meth:`Filter.remote`."""
    if identifier is None:
        if mask is not None:
            raise FilterError("a mask of remote frames is for an identifier: give that too")
        if extended is None:
            return Words(((RTR_FLAG, RTR_FLAG),), "Filter.remote()")
        return Words((_cube(0, 0, extended, True),), f"Filter.remote(extended={bool(extended)})")
    if mask is None:
        number, is_extended = _check_identifier(identifier, extended)
        bits = EFF_MASK if is_extended else SFF_MASK
        code = _code(number, is_extended)
    else:
        number, bits, is_extended = _masked(identifier, mask, extended)
        code = _masked_code("mask=", number, bits, is_extended)
    return Words((_cube(number, bits, is_extended, True),), f"Filter.remote({code})")


def xl_frames(priority: SupportsIndex | None, vcid: SupportsIndex | None) -> Kinds:
    """Make the condition of :meth:`Filter.xl`."""
    value = mask = 0
    code: list[str] = []
    if priority is not None:
        value = _check_number("priority", priority, 0, SFF_MASK)
        mask = SFF_MASK
        code.append(f"0x{value:X}")
    if vcid is not None:
        number = _check_number("vcid", vcid, 0, 0xFF)
        value |= number << 16
        mask |= 0xFF << 16
        code.append(f"vcid={number}")
    return Kinds(XL, (value, mask), f"Filter.xl({', '.join(code)})")


def errors_of_classes(classes: SupportsIndex) -> OfErrors:
    """Make the condition of :meth:`Filter.errors`."""
    number = check_integer("error classes", classes)
    if not 0 < number <= EFF_MASK:
        raise FilterError(f"error classes of a filter are 1 to 0x1FFFFFFF, not {number:#x}")
    return OfErrors(number, errors_code(number))


def received_from(names: tuple[str, ...]) -> ReceivedFrom:
    """Make the condition of :meth:`Filter.interface`."""
    if not names:
        raise FilterError('a filter of interfaces names one: Filter.interface("can0")')
    given: tuple[object, ...] = names
    for name in given:
        if not isinstance(name, str) or not name:
            raise FilterError(f"an interface of a filter is a name, not {name!r}")
    code = ", ".join(json.dumps(name, ensure_ascii=False) for name in dict.fromkeys(names))
    return ReceivedFrom(frozenset(names), f"Filter.interface({code})")


def _check_bytes(name: str, value: Iterable[int]) -> bytes:
    given: Any = value
    if isinstance(given, str | SupportsIndex):  # bytes(5) would be five zeros
        raise FilterError(f"{name} of a filter of data is bytes, not {given!r}")
    try:
        return bytes(given)
    except (TypeError, ValueError) as error:
        raise FilterError(f"{name} of a filter of data is bytes: {error}") from None


def data_is(value: Iterable[int], mask: Iterable[int] | None, offset: SupportsIndex) -> Expression:
    """Make the conditions of :meth:`Filter.data`."""
    wanted = _check_bytes("value", value)
    bits = b"\xff" * len(wanted) if mask is None else _check_bytes("mask", mask)
    start = _check_number("offset", offset, 0, MOST_BYTES - 1)
    if not wanted:
        raise FilterError("a filter of data has a byte to compare")
    if len(bits) != len(wanted):
        raise FilterError(
            f"a filter's mask is as long as its data: {len(bits)} bytes beside {len(wanted)}"
        )
    if start + len(wanted) > MOST_BYTES:
        raise FilterError(
            f"a frame has at most {MOST_BYTES} bytes: {len(wanted)} from {start} on are too many"
        )
    return both(
        *(
            byte_is(place, pair[0], pair[1])
            for place, pair in enumerate(zip(wanted, bits, strict=True), start)
        )
    )


def byte_is(place: int, value: int, mask: int) -> ByteIn:
    """Make the condition that a byte has a value in the bits of a mask."""
    wanted = value & mask
    allowed = sum(1 << one for one in range(256) if one & mask == wanted)
    return ByteIn(
        place, allowed, data_code(bytes([value]), bytes([mask]), place), masked=(value, mask)
    )


def length_is(
    length: SupportsIndex | None, minimum: SupportsIndex | None, maximum: SupportsIndex | None
) -> Length:
    """Make the condition of :meth:`Filter.length`."""
    if length is not None:
        if minimum is not None or maximum is not None:
            raise FilterError("a filter has a length, or a minimum and a maximum of it")
        number = _check_number("length", length, 0, MOST_BYTES)
        return Length(number, number, f"Filter.length({number})")
    code: list[str] = []
    low, high = 0, MOST_BYTES
    if minimum is not None:
        low = _check_number("minimum", minimum, 0, MOST_BYTES)
        code.append(f"minimum={low}")
    if maximum is not None:
        high = _check_number("maximum", maximum, 0, MOST_BYTES)
        code.append(f"maximum={high}")
    if not code:
        raise FilterError("a filter of lengths has one: Filter.length(8) or minimum= or maximum=")
    if low > high:
        raise FilterError(f"an empty range of lengths: {low} is above {high}")
    return Length(low, high, f"Filter.length({', '.join(code)})")


def where_true(function: Callable[[Any], object], errors: bool) -> Where:
    """Make the condition of :meth:`Filter.where`."""
    if not callable(function):
        raise FilterError(f"where() of a filter takes a function of a frame, not {function!r}")
    name = getattr(function, "__qualname__", None) or repr(function)
    return Where(function, bool(errors), f"Filter.where({name}{', errors=True' if errors else ''})")
