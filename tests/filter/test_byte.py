"""Comparing a byte of the payload."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

import pytest

from anycan.exceptions import FilterError
from anycan.filter import Filter, byte
from anycan.frame import ErrorFrame, FdFrame, Frame, RemoteFrame

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = [Frame(1, bytes([value])) for value in range(256)]


@pytest.mark.parametrize(
    ("wanted", "holds", "code"),
    [
        (byte(0) == 0x62, lambda value: value == 0x62, "byte(0) == 0x62"),
        (0x62 == byte(0), lambda value: value == 0x62, "byte(0) == 0x62"),  # noqa: SIM300 - and so
        (byte(0) != 0x62, lambda value: value != 0x62, "byte(0) != 0x62"),
        (byte(0) < 9, lambda value: value < 9, "byte(0) < 0x09"),
        (byte(0) <= 9, lambda value: value <= 9, "byte(0) <= 0x09"),
        (byte(0) > 9, lambda value: value > 9, "byte(0) > 0x09"),
        (byte(0) >= 9, lambda value: value >= 9, "byte(0) >= 0x09"),
        (9 < byte(0), lambda value: value > 9, "byte(0) > 0x09"),  # noqa: SIM300 - and so
        (byte(0) & 0xF0 == 0x20, lambda value: value >> 4 == 2, "(byte(0) & 0xF0) == 0x20"),
        (0xF0 & byte(0) != 0x20, lambda value: value >> 4 != 2, "(byte(0) & 0xF0) != 0x20"),
        (byte(0) & 0xF0 & 0x30 > 0x10, lambda value: value & 0x30 > 16, "(byte(0) & 0x30) > 0x10"),
        (byte(0) & 1 == 2, lambda _: False, "(byte(0) & 0x01) == 0x02"),
        (byte(0).is_in([2, 1, 2]), lambda value: value in {1, 2}, "byte(0).is_in({0x01, 0x02})"),
        (byte(0).between(1, 9), lambda value: 1 <= value <= 9, "byte(0).between(0x01, 0x09)"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_comparisons(wanted: Filter, holds: Callable[[int], bool], code: str) -> None:
    assert repr(wanted) == code
    assert [wanted.matches(frame) for frame in FRAMES] == [holds(value) for value in range(256)]
    for frame in (Frame(1), RemoteFrame(1, 8), ErrorFrame(1, bytes(8))):
        assert not wanted.matches(frame)
    assert (~wanted).matches(Frame(1))
    assert (~wanted).matches(RemoteFrame(1))
    assert not (~wanted).matches(ErrorFrame(1))


def test_another_byte() -> None:
    wanted = byte(63) == 1
    assert wanted.matches(FdFrame(1, bytes(63) + b"\1"))
    assert not wanted.matches(FdFrame(1, bytes(63)))
    assert wanted.matches(Frame(1, bytes(8))) is False
    assert repr(byte(63) & 0xFF == 1) == repr(wanted) == "byte(63) == 0x01"


def test_equal_comparisons_are_equal_filters() -> None:
    assert (byte(0) < 2) == (byte(0) <= 1) == byte(0).is_in({0, 1}) == byte(0).between(0, 1)
    assert (byte(0) == 1) == Filter.data(b"\1")
    assert (byte(0) == 1) != (byte(1) == 1)


@pytest.mark.parametrize("compare", [operator.eq, operator.ne, operator.lt, operator.ge])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (256, "value of a byte is 0 to 255, not 256"),
        (-1, "value of a byte is 0 to 255, not -1"),
        ("x", "value of a byte is an integer, not 'x'"),
        (None, "value of a byte is an integer, not None"),
        (1.0, "value of a byte is an integer, not 1.0"),
        (b"\1", "value of a byte is an integer, not b'\\x01'"),
    ],
)
def test_values_are_bytes(compare: Callable[[Any, Any], Any], value: object, words: str) -> None:
    with pytest.raises(FilterError, match=re.escape(words)):
        compare(byte(0), value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: byte(-1), "index of a byte is 0 to 2047, not -1"),
        (lambda: byte(2048), "index of a byte is 0 to 2047, not 2048"),
        (lambda: byte("x"), "index of a byte is an integer, not 'x'"),  # type: ignore[arg-type]
        (lambda: byte(0) & 256, "mask of a byte is 0 to 255, not 256"),
        (lambda: byte(0) & "x", "mask of a byte is an integer, not 'x'"),  # type: ignore[operator]
        (lambda: byte(0).is_in([]), "values of a byte: there is none"),
        (lambda: byte(0).is_in(5), "values of a byte are several integers, not 5"),  # type: ignore[arg-type]
        (lambda: byte(0).is_in([256]), "value of a byte is 0 to 255, not 256"),
        (lambda: byte(0).between(2, 1), "an empty range of values of a byte: 2 is above 1"),
        (lambda: byte(0).between(0, 256), "value of a byte is 0 to 255, not 256"),
        (lambda: Filter.id(1) & byte(0) == 1, "write the comparison in parentheses"),  # type: ignore[operator]
    ],
)
def test_what_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(FilterError, match=re.escape(words)):
        make()


def test_a_byte_has_no_truth_and_no_hash() -> None:
    with pytest.raises(TypeError, match=r"join filters by & \| ~, not by and/or/not"):
        bool(byte(0))
    with pytest.raises(TypeError, match=r"join filters by & \| ~, not by and/or/not"):
        _ = 1 < byte(0) < 5
    with pytest.raises(TypeError, match="unhashable"):
        hash(byte(0))
