"""Netlink attributes, byte by byte."""

from __future__ import annotations

import struct
import sys
from struct import Struct
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, strategies

from anycan.wire.netlink_attributes import (
    I32,
    NLA_F_NESTED,
    NLA_F_NET_BYTEORDER,
    TEXT,
    U8,
    U16,
    U32,
    Each,
    Integers,
    MalformedMessageError,
    Nest,
    Record,
    pack_attribute,
    unpack_attributes,
)

if TYPE_CHECKING:
    from anycan.wire.netlink_attributes import Codec

literal = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")


@attrs.frozen
class Pair:
    one: int
    two: int = 0


@attrs.frozen
class Values:
    count: int | None = None
    name: str | None = None
    pair: Pair | None = None
    names: tuple[str, ...] | None = None
    zero: int = 0


VALUES = Nest(
    Values,
    {
        1: ("count", U32),
        2: ("name", TEXT),
        3: ("pair", Record(Pair, Struct("=HB"))),
        4: ("names", Each(9, TEXT)),
        5: ("zero", U8),
    },
)


@literal
@pytest.mark.parametrize(
    ("number", "value", "data"),
    [
        (3, b"", "0400 0300"),
        (3, b"\x11", "0500 0300 11000000"),
        (3, b"\x11\x22\x33\x44", "0800 0300 11223344"),
        (3, b"\x11\x22\x33\x44\x55", "0900 0300 11223344 55000000"),
    ],
)
def test_an_attribute(number: int, value: bytes, data: str) -> None:
    assert pack_attribute(number, value) == bytes.fromhex(data)
    assert list(unpack_attributes(bytes.fromhex(data))) == [(number, value)]


@literal
def test_padding_may_be_missing_at_the_end() -> None:
    assert list(unpack_attributes(bytes.fromhex("0500 0300 11"))) == [(3, b"\x11")]


def test_the_flags_of_a_number_are_left_out() -> None:
    data = pack_attribute(5 | NLA_F_NESTED, b"") + pack_attribute(6 | NLA_F_NET_BYTEORDER, b"\1")
    assert list(unpack_attributes(data)) == [(5, b""), (6, b"\1")]


def test_the_longest_attribute() -> None:
    value = bytes(65531)
    assert list(unpack_attributes(pack_attribute(1, value))) == [(1, value)]
    with pytest.raises(ValueError, match=r"at most 65531 bytes, and not 65532"):
        pack_attribute(1, bytes(65532))


@literal
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("04", "1 bytes are left over behind an attribute"),
        ("0400 03", "3 bytes are left over behind an attribute"),
        ("0400 0300 00", "1 bytes are left over behind an attribute"),
        ("0000 0300", "an attribute of 0 bytes, where 4 are left"),
        ("0300 0300", "an attribute of 3 bytes, where 4 are left"),
        ("0900 0300 11223344", "an attribute of 9 bytes, where 8 are left"),
        ("ffff 0300 11223344", "an attribute of 65535 bytes, where 8 are left"),
    ],
)
def test_what_is_no_attribute(data: str, problem: str) -> None:
    with pytest.raises(MalformedMessageError, match=f"^{problem}$"):
        list(unpack_attributes(bytes.fromhex(data)))


@literal
@pytest.mark.parametrize(
    ("codec", "value", "data"),
    [
        (U8, 0x12, "12"),
        (U16, 0x1234, "3412"),
        (U32, 0x12345678, "78563412"),
        (I32, -2, "feffffff"),
        (Integers("H"), (1, 0x203), "0100 0302"),
        (Integers("I"), (), ""),
        (TEXT, "can0", "63616e30 00"),
        (TEXT, "käse", "6bc3a47365 00"),
        (TEXT, "\udcff", "ff 00"),
        (Record(Pair, Struct("=HB")), Pair(1, 2), "0100 02"),
        (Each(9, TEXT), ("a", "bcd"), "0600 0900 61000000 0800 0900 62636400"),
    ],
)
def test_values(codec: Codec[Any], value: object, data: str) -> None:
    assert codec.pack(value) == bytes.fromhex(data)
    assert codec.unpack(bytes.fromhex(data)) == value


@pytest.mark.parametrize("data", [b"can0", b"can0\0", b"can0\0junk"])
def test_text_ends_at_a_zero_byte_or_with_the_attribute(data: bytes) -> None:
    assert TEXT.unpack(data) == "can0"


@pytest.mark.parametrize("text", ["can\0", "\ud800"])
def test_text_that_cannot_be_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"zero byte|surrogates not allowed"):
        TEXT.pack(text)


@literal
def test_a_longer_attribute_counts_by_its_beginning() -> None:
    assert U16.unpack(b"\1\0\0\0") == 1
    assert Record(Pair, Struct("=HB")).unpack(b"\1\0\2\3\4") == Pair(1, 2)


@literal
def test_a_struct_that_was_shorter_once() -> None:
    codec = Record(Pair, Struct("=HB"), least=2)
    assert codec.unpack(b"\1\0") == Pair(1, 0)
    with pytest.raises(MalformedMessageError, match=r"^1 bytes, where at least 3 belong$"):
        codec.unpack(b"\1")


@pytest.mark.parametrize(
    ("codec", "data"),
    [(U8, b""), (U32, bytes(3)), (Integers("I"), bytes(6)), (Record(Pair, Struct("=HB")), b"\1\0"),
     (Each(9, TEXT), b"\1")],
)  # fmt: skip
def test_values_that_are_too_short(codec: Codec[Any], data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        codec.unpack(data)


def test_numbers_without_room() -> None:
    with pytest.raises(struct.error):
        U8.pack(256)
    with pytest.raises(struct.error):
        VALUES.pack(Values(pair=Pair(-1)))


@literal
def test_a_nest() -> None:
    values = Values(7, "a", Pair(1, 2), ("b",), 3)
    data = bytes.fromhex(
        "0800 0100 07000000  0600 0200 61000000  0700 0300 01000200"
        "0c00 0480 0600 0900 62000000  0500 0500 03000000"
    )
    assert VALUES.pack(values) == data
    assert VALUES.unpack(data) == values


def test_what_has_its_default_is_not_written() -> None:
    assert VALUES.pack(Values()) == b""
    assert VALUES.unpack(b"") == Values()
    assert VALUES.unpack(VALUES.pack(Values(count=0))) == Values(count=0)


def test_attributes_that_are_not_known_or_come_twice() -> None:
    data = pack_attribute(77, b"new") + pack_attribute(1, U32.pack(1)) + pack_attribute(0, b"")
    assert VALUES.unpack(data + pack_attribute(1, U32.pack(2))) == Values(count=2)


@given(strategies.binary(max_size=80))
def test_any_bytes_are_attributes_or_none(data: bytes) -> None:
    try:
        values = VALUES.unpack(data)
    except MalformedMessageError:
        return
    assert VALUES.unpack(VALUES.pack(values)) == values
