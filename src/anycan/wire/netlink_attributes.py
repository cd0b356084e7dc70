"""Netlink attributes: numbered values of any length, one after the other, and nested.

An attribute is a length, a number and a value, padded to four bytes (``linux/netlink.h``, ``struct
nlattr``). The length has 16 bits and counts its own four bytes. Numbers and structs are in the
host's byte order.

A :class:`Nest` says which number stands for which field of an attrs class, and a :class:`Codec`
how that field's value is written. A field that has its default stands for an attribute that is not
there. Attributes that a nest does not know are passed over: a newer kernel has more of them.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NLA_F_NESTED: Final = 0x8000  # the value is attributes; the kernel asks for it in newer ones
NLA_F_NET_BYTEORDER: Final = 0x4000
_NLA_TYPE_MASK: Final = 0x3FFF
_HEADER: Final = Struct("=HH")
_LONGEST: Final = 0xFFFF

T = TypeVar("T")
A = TypeVar("A", bound="attrs.AttrsInstance")


class MalformedMessageError(ValueError):
    """Bytes that are no netlink message: cut short, or with parts that do not fit into it.

    Nothing else is raised, whatever bytes there are to decode.
    """


class Codec(Protocol[T]):
    """How the value of one attribute is written."""

    @property
    def flag(self) -> int:
        """What the attribute's number carries: 0, or ``NLA_F_NESTED``."""

    def pack(self, value: T) -> bytes:
        """Give the bytes of a value."""

    def unpack(self, data: bytes) -> T:
        """Give the value in some bytes.

        Raises:
            MalformedMessageError: They are too short.
        """


def padding(length: int) -> int:
    """Give the number of bytes that fill a length up to a multiple of four."""
    return -length & 3


def pack_attribute(number: int, value: bytes) -> bytes:
    """Give an attribute's bytes.

    Raises:
        ValueError: The value is longer than 65,531 bytes.
    """
    length = _HEADER.size + len(value)
    if length > _LONGEST:
        raise ValueError(f"an attribute has at most 65531 bytes, and not {len(value)}")
    return _HEADER.pack(length, number) + value + bytes(padding(length))


def unpack_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the number, without its flags, and the value of each attribute.

    Raises:
        MalformedMessageError: An attribute is shorter than its header, or longer than what is left.
    """
    offset = 0
    while offset < len(data):
        left = len(data) - offset
        if left < _HEADER.size:
            raise MalformedMessageError(f"{left} bytes are left over behind an attribute")
        length, number = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= left:
            raise MalformedMessageError(f"an attribute of {length} bytes, where {left} are left")
        yield number & _NLA_TYPE_MASK, data[offset + _HEADER.size : offset + length]
        offset += length + padding(length)


@attrs.frozen
class Integer:
    """An integer. A longer attribute counts by its first bytes, as in the kernel.

    Args:
        format: Its ``struct`` format, one letter.
    """

    format: str
    flag: int = attrs.field(default=0, init=False)

    def pack(self, value: int) -> bytes:
        """Give its bytes.

        Raises:
            struct.error: It has no room.
        """
        return Struct("=" + self.format).pack(value)

    def unpack(self, data: bytes) -> int:
        """Give the integer."""
        return int(unpack_struct(Struct("=" + self.format), data)[0])


U8: Final = Integer("B")
U16: Final = Integer("H")
U32: Final = Integer("I")
I32: Final = Integer("i")


@attrs.frozen
class Integers:
    """An array of integers, to the attribute's end.

    Args:
        format: The ``struct`` format of one, one letter.
    """

    format: str
    flag: int = attrs.field(default=0, init=False)

    def pack(self, value: tuple[int, ...]) -> bytes:
        """Give their bytes.

        Raises:
            struct.error: One has no room.
        """
        return Struct(f"={len(value)}{self.format}").pack(*value)

    def unpack(self, data: bytes) -> tuple[int, ...]:
        """Give the integers."""
        size = Struct("=" + self.format).size
        if len(data) % size:
            raise MalformedMessageError(f"{len(data)} bytes are no integers of {size} bytes")
        return Struct(f"={len(data) // size}{self.format}").unpack(data)


@attrs.frozen
class Text:
    """Text that ends with a zero byte, or with the attribute.

    Names are bytes to the kernel. What is no UTF-8 becomes surrogates, as in ``os.fsdecode``.
    """

    flag: int = attrs.field(default=0, init=False)

    def pack(self, value: str) -> bytes:
        """Give its bytes.

        Raises:
            ValueError: It has a zero byte in it, or a surrogate that stands for no byte.
        """
        if "\0" in value:
            raise ValueError(f"a zero byte in {value!r}")
        return value.encode("utf-8", "surrogateescape") + b"\0"

    def unpack(self, data: bytes) -> str:
        """Give the text."""
        return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


TEXT: Final = Text()


@attrs.frozen
class Each(Generic[T]):
    """Attributes of one number, as many as there are.

    Args:
        number: Their number.
        codec: How the value of each is written.
    """

    number: int
    codec: Codec[T]
    flag: int = attrs.field(default=NLA_F_NESTED, init=False)

    def pack(self, value: tuple[T, ...]) -> bytes:
        """Give their bytes."""
        number = self.number | self.codec.flag
        return b"".join(pack_attribute(number, self.codec.pack(one)) for one in value)

    def unpack(self, data: bytes) -> tuple[T, ...]:
        """Give the values."""
        attributes = unpack_attributes(data)
        return tuple(self.codec.unpack(one) for number, one in attributes if number == self.number)


@attrs.frozen
class Record(Generic[A]):
    """A C struct, as an attrs class whose fields are the struct's.

    A longer attribute counts by its first bytes: the struct has grown since.

    Args:
        kind: The class.
        layout: The struct.
        least: The bytes that an attribute has at least; what is missing is 0. None: all of them.
    """

    kind: type[A]
    layout: Struct
    least: int | None = None
    flag: int = attrs.field(default=0, init=False)

    def pack(self, value: A) -> bytes:
        """Give the struct's bytes.

        Raises:
            struct.error: A number has no room in its field.
        """
        return self.layout.pack(*(getattr(value, name) for name in attrs.fields_dict(self.kind)))

    def unpack(self, data: bytes) -> A:
        """Give what is in the struct."""
        if self.least is not None and self.least <= len(data):
            data = data.ljust(self.layout.size, b"\0")
        return self.kind(*unpack_struct(self.layout, data))


def unpack_struct(layout: Struct, data: bytes) -> tuple[Any, ...]:
    """Give the values of a struct at the beginning of some bytes.

    Raises:
        MalformedMessageError: They are fewer than the struct's.
    """
    if len(data) < layout.size:
        raise MalformedMessageError(f"{len(data)} bytes, where at least {layout.size} belong")
    return layout.unpack_from(data)


@attrs.frozen
class Nest(Generic[A]):
    """Attributes, as an attrs class.

    Args:
        kind: The class.
        table: Of an attribute's number the field that it stands for, and how its value is written.
        flag: What the number of an attribute with this value carries.
    """

    kind: type[A]
    table: Mapping[int, tuple[str, Codec[Any]]]
    flag: int = 0

    def pack(self, value: A) -> bytes:
        """Give the attributes' bytes, in the order of the table.

        Raises:
            struct.error: A number has no room in its attribute.
            ValueError: A text or some bytes do not fit into their attribute.
        """
        parts = []
        fields = attrs.fields_dict(self.kind)
        for number, (name, codec) in self.table.items():
            content = getattr(value, name)
            if content != fields[name].default:
                parts.append(pack_attribute(number | codec.flag, codec.pack(content)))
        return b"".join(parts)

    def unpack(self, data: bytes) -> A:
        """Give what is in the attributes. Of two with one number the last one counts."""
        return self.kind(**self.unpack_fields(data))

    def unpack_fields(self, data: bytes) -> dict[str, Any]:
        """Give the fields that have an attribute, by their names."""
        found = {}
        for number, value in unpack_attributes(data):
            if number in self.table:
                name, codec = self.table[number]
                found[name] = codec.unpack(value)
        return found
