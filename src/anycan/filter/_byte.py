"""Comparing a byte of the payload: ``byte(0) == 0x62``."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NoReturn, SupportsIndex, final

import attrs

from anycan.exceptions import FilterError
from anycan.filter._algebra import JOIN_HINT
from anycan.filter._conditions import MOST_BYTES
from anycan.filter._filter import Filter, filter_of_byte

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN: Final = 0xFF


def _check_value(name: str, value: object) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what it is not, is refused
    except TypeError:
        pass
    else:
        if 0 <= number <= 0xFF:
            return number
        raise FilterError(f"{name} of a byte is 0 to 255, not {number}")
    if isinstance(value, Filter):
        raise FilterError(
            "a byte is compared before it is joined: write the comparison in parentheses,"
            " Filter.id(0x123) & (byte(0) == 1)"
        )
    raise FilterError(f"{name} of a byte is an integer, not {value!r}")


@final
@attrs.frozen(eq=False, repr=False)
class Byte:
    """A byte of the payload, to be compared; :func:`byte` makes it.

    What its comparisons and methods give are filters that take data frames which have the byte.
    """

    place: int
    mask: int = _PLAIN

    def _filter(self, holds: Callable[[int], bool], test: str) -> Filter:
        mask = self.mask
        allowed = sum(1 << value for value in range(256) if holds(value & mask))
        return filter_of_byte(self.place, allowed, f"{self!r}{test}")

    def _compared(self, sign: str, value: object, holds: Callable[[int, int], bool]) -> Filter:
        number = _check_value("value", value)
        return self._filter(lambda one: holds(one, number), f" {sign} 0x{number:02X}")

    # object's return bool: here, as in other algebras of expressions, a comparison is a value.
    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compared("==", value, int.__eq__)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compared("!=", value, int.__ne__)

    # What is equal to so much has no hash.
    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, value: SupportsIndex) -> Filter:
        return self._compared("<", value, int.__lt__)

    def __le__(self, value: SupportsIndex) -> Filter:
        return self._compared("<=", value, int.__le__)

    def __gt__(self, value: SupportsIndex) -> Filter:
        return self._compared(">", value, int.__gt__)

    def __ge__(self, value: SupportsIndex) -> Filter:
        return self._compared(">=", value, int.__ge__)

    def __and__(self, mask: SupportsIndex) -> Byte:
        """Give the byte with some of its bits, to be compared."""
        return Byte(self.place, self.mask & _check_value("mask", mask))

    __rand__ = __and__

    def is_in(self, values: Iterable[SupportsIndex]) -> Filter:
        """Take data frames in which the byte has one of these values.

        Raises:
            FilterError: One is no integer from 0 to 255, or there is none.

        Example:
            >>> byte(1).is_in({0x22, 0x2E})
            byte(1).is_in({0x22, 0x2E})
        """
        if not isinstance(values, Iterable):
            raise FilterError(f"values of a byte are several integers, not {values!r}")
        numbers = sorted({_check_value("value", value) for value in values})
        if not numbers:
            raise FilterError("values of a byte: there is none")
        text = ", ".join(f"0x{number:02X}" for number in numbers)
        return self._filter(lambda one: one in numbers, f".is_in({{{text}}})")

    def between(self, first: SupportsIndex, last: SupportsIndex) -> Filter:
        r"""Take data frames in which the byte is from ``first`` to ``last``, both taken.

        Raises:
            FilterError: An end is no integer from 0 to 255, or the first is above the last.

        Example:
            >>> byte(0).between(0x10, 0x1F).matches(Frame(0x123, b"\x12"))
            True
        """
        low, high = _check_value("value", first), _check_value("value", last)
        if low > high:
            raise FilterError(f"an empty range of values of a byte: {low} is above {high}")
        return self._filter(lambda one: low <= one <= high, f".between(0x{low:02X}, 0x{high:02X})")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a byte is neither true nor false before a frame is there; {JOIN_HINT}")

    def __repr__(self) -> str:
        if self.mask == _PLAIN:
            return f"byte({self.place})"
        return f"(byte({self.place}) & 0x{self.mask:02X})"


def byte(index: SupportsIndex) -> Byte:
    r"""Compare a byte of the payload: ``byte(0) == 0x62``.

    It takes ``==``, ``!=``, ``<``, ``<=``, ``>`` and ``>=`` with a value from 0 to 255, in some
    of its bits too: ``(byte(0) & 0xF0) == 0x20``; further ``byte(0).is_in({1, 2})`` and
    ``byte(0).between(1, 9)``. Each gives a :class:`Filter` that takes data frames which have such
    a byte: ``byte(0) != 1`` is "there is one and it is not 1", ``~(byte(0) == 1)`` also takes
    frames without it.

    A comparison stands in parentheses beside ``&`` and ``|``, which Python reads first.

    Args:
        index: Which byte, 0 to 2047.

    Raises:
        FilterError: The index or a value is no integer, or out of range.

    Example:
        >>> answer = Filter.id(0x7E8) & (byte(1) == 0x62)
        >>> answer.matches(Frame(0x7E8, b"\x03\x62\xf1"))
        True
        >>> (byte(0) & 0xF0) == 0x20
        (byte(0) & 0xF0) == 0x20
    """
    try:
        place = operator.index(index)
    except TypeError:
        raise FilterError(f"index of a byte is an integer, not {index!r}") from None
    if not 0 <= place < MOST_BYTES:
        raise FilterError(f"index of a byte is 0 to {MOST_BYTES - 1}, not {place}")
    return Byte(place)
