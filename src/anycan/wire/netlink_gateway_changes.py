"""What a rule of can-gw does to a frame: its changes and its checksums (``linux/can/gw.h``)."""

from __future__ import annotations

import enum
from struct import Struct
from typing import Any, Final

import attrs

from anycan.exceptions import GatewayError
from anycan.wire.netlink_attributes import MalformedMessageError, unpack_struct


class ChangedPart(enum.IntFlag):
    """The parts of a frame that a change is for, ``CGW_MOD_*``."""

    ID = 1
    LENGTH = 2
    DATA = 4
    FLAGS = 8  # of CAN FD frames alone


class CrcProfile(enum.IntEnum):
    """What else goes into a CRC-8 after the data (``linux/can/gw.h``, ``CGW_CRC8PRF_*``).

    It is one byte more, by which a receiver can tell whose frame the checksum is of: the data
    identifier of AUTOSAR's end-to-end profiles, for example.
    """

    NONE = 0
    """Nothing."""
    ONE = 1
    """The first byte of ``profile_data`` (1U8)."""
    SIXTEEN = 2
    """One of the first 16 bytes of ``profile_data``: that at the low half of the frame's second
    byte of data, where such protocols have their counter (16U8)."""
    SFFID_XOR = 3
    """The two low bytes of the identifier, one XOR the other."""


def _without_padding(data: bytes) -> bytes:
    return data.rstrip(b"\0")


@attrs.frozen
class FrameChange:
    """A ``struct cgw_frame_mod``, or ``cgw_fdframe_mod``: one operand for each part of a frame.

    Attributes:
        parts: The :class:`ChangedPart` values that it is for; what the others have is kept by the
            kernel, and of no effect.
        can_id: The operand for the 32-bit word of identifier and flags.
        length: The one for the length in bytes; of classical CAN, 9 to 15 are raw DLCs.
        data: The one for the data, as long as they can be: 8 bytes, or 64 in a CAN FD rule;
            empty: zeros.
        flags: The one for CAN FD's flags (BRS 1, ESI 2); of no use to classical CAN.
    """

    parts: int
    can_id: int = 0
    length: int = 0
    data: bytes = attrs.field(default=b"", eq=_without_padding)
    flags: int = 0

    @classmethod
    def of(
        cls,
        *,
        can_id: int | None = None,
        length: int | None = None,
        data: bytes | None = None,
        flags: int | None = None,
    ) -> FrameChange:
        """Make one for the parts that are given.

        Example:
            >>> FrameChange.of(can_id=0x333) == FrameChange(ChangedPart.ID, can_id=0x333)
            True
        """
        given = zip(ChangedPart, (can_id, length, data, flags), strict=True)
        parts = sum(part for part, operand in given if operand is not None)
        return cls(parts, can_id or 0, length or 0, data or b"", flags or 0)


def _check_number(name: str, value: Any, least: int, largest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= largest:
        raise GatewayError(f"{name} is an integer from {least} to {largest}, not {value!r}")


def _check_numbers(checksum: XorChecksum | Crc8Checksum, *names: str) -> None:
    """Check the positions, and those fields of one byte that are named."""
    kind = type(checksum).__name__
    for name in ("first", "last", "result"):
        _check_number(f"{kind}: {name}", getattr(checksum, name), -64, 63)
    for name in names:
        _check_number(f"{kind}: {name}", getattr(checksum, name), 0, 255)


@attrs.frozen
class XorChecksum:
    """A checksum that is the XOR of some bytes of a frame's data, and where it is written to.

    Positions are those of bytes of the data, from 0. One below 0 counts from the end of the frame's
    data: -1 is the last byte of a frame, however long it is. A frame without one of the three
    positions (too short, or a classical one and the position above 7) gets no checksum. Bytes
    behind a frame's length that its kind has room for (8, or 64) are bytes like the others.

    Args:
        first: The first byte that goes into it, -64 to 63.
        last: The last one, which does so, too; before ``first``: downwards.
        result: The byte that it is written to.
        initial: What it begins with, 0 to 255.

    Raises:
        GatewayError: A value is out of range.

    Source: ``linux/can/gw.h``, ``struct cgw_csum_xor``; ``net/can/gw.c``.

    Example:
        >>> XorChecksum(0, -2, -1)  # all bytes but the last one, into the last one
        XorChecksum(first=0, last=-2, result=-1, initial=0)
    """

    first: int
    last: int
    result: int
    initial: int = 0

    def __attrs_post_init__(self) -> None:
        _check_numbers(self, "initial")


@attrs.frozen
class Crc8Checksum:
    """A CRC-8 over some bytes of a frame's data, and where it is written to.

    :meth:`of` makes one from a polynomial.

    Args:
        first: The first byte that goes into it; positions are those of :class:`XorChecksum`.
        last: The last one, which does so, too; before ``first``: downwards.
        result: The byte that it is written to.
        table: Its 256 bytes: the CRC that follows on the CRC so far XOR the next byte.
        initial: What it begins with, 0 to 255.
        final_xor: What the result is XORed with, 0 to 255.
        profile: What else goes into it, a :class:`CrcProfile`; nothing, unless it is given, or
            where it is a number that the kernel does not know.
        profile_data: The bytes that the profile takes it from, up to 20; filled up with zeros.

    Raises:
        GatewayError: A value is out of range, or bytes are of another length.

    Source: ``linux/can/gw.h``, ``struct cgw_csum_crc8``; ``net/can/gw.c``.
    """

    first: int
    last: int
    result: int
    table: bytes = attrs.field(repr=bytes.hex)
    initial: int = 0
    final_xor: int = 0
    profile: int = 0
    profile_data: bytes = attrs.field(default=b"", eq=_without_padding)

    def __attrs_post_init__(self) -> None:
        _check_numbers(self, "initial", "final_xor", "profile")
        for name, least, most in (("table", 256, 256), ("profile_data", 0, 20)):
            value = getattr(self, name)
            if not isinstance(value, bytes) or not least <= len(value) <= most:
                size = f"{most}" if least == most else f"up to {most}"
                found = f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
                raise GatewayError(f"Crc8Checksum: {name} is {size} bytes, not {found}")

    @classmethod
    def of(
        cls,
        polynomial: int,
        *,
        first: int,
        last: int,
        result: int,
        initial: int = 0,
        final_xor: int = 0,
        reflected: bool = False,
        profile: CrcProfile = CrcProfile.NONE,
        profile_data: bytes = b"",
    ) -> Crc8Checksum:
        """Make one whose table is that of a polynomial.

        SAE J1850 has the polynomial 0x1D, AUTOSAR's CRC8H2F 0x2F; both begin with 0xFF and end by
        XOR with 0xFF.

        Args:
            polynomial: Without its highest term, x to the 8th; the term without x is bit 0.
                1 to 255.
            first: See :class:`Crc8Checksum`, as for the others.
            last: The last byte that goes into it.
            result: The byte that it is written to.
            initial: What it begins with, as the register has it.
            final_xor: What the result is XORed with.
            reflected: The lowest bit of a byte goes first, as in CRC-8/MAXIM-DOW. The polynomial is
                written as for the others.
            profile: What else goes into it.
            profile_data: The bytes that the profile takes it from.

        Raises:
            GatewayError: A value is out of range.

        Example:
            >>> j1850 = Crc8Checksum.of(
            ...     0x1D, first=0, last=-2, result=-1, initial=0xFF, final_xor=0xFF
            ... )
            >>> j1850.table[:4].hex()
            '001d3a27'
        """
        _check_number("the polynomial of a CRC-8, without its highest term,", polynomial, 1, 255)
        return cls(
            first,
            last,
            result,
            _table(polynomial, reflected),
            initial,
            final_xor,
            profile,
            profile_data,
        )


def _reversed_bits(value: int) -> int:
    return int(f"{value:08b}"[::-1], 2)


def _table(polynomial: int, reflected: bool) -> bytes:
    table = bytearray()
    for value in range(256):
        register = _reversed_bits(value) if reflected else value
        for _ in range(8):
            register = register << 1 ^ (0x100 | polynomial if register & 0x80 else 0)
        table.append(_reversed_bits(register) if reflected else register)
    return bytes(table)


class _ChangeCodec:
    """How a :class:`FrameChange` is written.

    Args:
        data_size: How many bytes of data its frame has room for.
        layout: The struct: identifier, length, flags, data, and the parts.
    """

    flag: Final = 0

    def __init__(self, data_size: int, layout: str) -> None:
        self._data_size = data_size
        self._layout = Struct(layout)

    def pack(self, value: FrameChange) -> bytes:
        """Give the struct's bytes.

        Raises:
            struct.error: A number has no room in its field.
            ValueError: Some data, and not as many as the frame has room for.
        """
        if len(value.data) not in {0, self._data_size}:
            raise ValueError(f"data of {len(value.data)} bytes, and not {self._data_size}")
        flags, data = value.flags, value.data
        return self._layout.pack(value.can_id, value.length, flags, data, value.parts)

    def unpack(self, data: bytes) -> FrameChange:
        """Give what is in the struct."""
        can_id, length, flags, content, parts = unpack_struct(self._layout, data)
        return FrameChange(parts, can_id, length, content, flags)


class _XorCodec:
    """How a :class:`XorChecksum` is written."""

    flag: Final = 0
    _layout: Final = Struct("=bbbB")

    def pack(self, value: XorChecksum) -> bytes:
        """Give the struct's bytes."""
        return self._layout.pack(value.first, value.last, value.result, value.initial)

    def unpack(self, data: bytes) -> XorChecksum:
        """Give what is in the struct."""
        try:
            return XorChecksum(*unpack_struct(self._layout, data))
        except GatewayError as error:  # the kernel has no such rule
            raise MalformedMessageError(str(error)) from None


class _CrcCodec:
    """How a :class:`Crc8Checksum` is written."""

    flag: Final = 0
    _layout: Final = Struct("=bbbBB256sB20s")

    def pack(self, value: Crc8Checksum) -> bytes:
        """Give the struct's bytes."""
        return self._layout.pack(
            value.first,
            value.last,
            value.result,
            value.initial,
            value.final_xor,
            value.table,
            value.profile,
            value.profile_data,
        )

    def unpack(self, data: bytes) -> Crc8Checksum:
        """Give what is in the struct."""
        first, last, result, initial, final, table, *profile = unpack_struct(self._layout, data)
        try:
            return Crc8Checksum(first, last, result, table, initial, final, *profile)
        except GatewayError as error:  # the kernel has no such rule
            raise MalformedMessageError(str(error)) from None


CLASSICAL_CHANGE: Final = _ChangeCodec(8, "=IBB2x8sB")
FD_CHANGE: Final = _ChangeCodec(64, "=IBB2x64sB")
XOR_CHECKSUM: Final = _XorCodec()
CRC8_CHECKSUM: Final = _CrcCodec()
