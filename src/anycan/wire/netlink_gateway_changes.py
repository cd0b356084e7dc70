"""What a rule of can-gw does to a frame: its changes and its checksums (``linux/can/gw.h``)."""

from __future__ import annotations

import enum
from struct import Struct
from typing import Final

import attrs

from anycan.wire.netlink_attributes import Record, unpack_struct


class ChangedPart(enum.IntFlag):
    """The parts of a frame that a change is for, ``CGW_MOD_*``."""

    ID = 1
    LENGTH = 2
    DATA = 4
    FLAGS = 8  # of CAN FD frames alone


class CrcProfile(enum.IntEnum):
    """What else goes into a CRC-8, after the data, ``CGW_CRC8PRF_*``."""

    NONE = 0
    ONE = 1  # 1U8: the first byte of the profile's data
    SIXTEEN = 2  # 16U8: the byte of them at data[1] & 0xF of the frame
    SFFID_XOR = 3  # both bytes of an 11-bit identifier, by XOR


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


@attrs.frozen
class XorChecksum:
    """A ``struct cgw_csum_xor``. Positions below 0 count from the end of the frame's data.

    Attributes:
        first: The first byte that goes into it.
        last: The last one; before ``first``: downwards.
        result: Where it is written to.
        initial: What it begins with.
    """

    first: int
    last: int
    result: int
    initial: int = 0


@attrs.frozen
class Crc8Checksum:
    """A ``struct cgw_csum_crc8``. Positions are those of :class:`XorChecksum`.

    Attributes:
        first: The first byte that goes into it.
        last: The last one; before ``first``: downwards.
        result: Where it is written to.
        table: Its 256 bytes, by the CRC so far XOR the next byte.
        initial: What it begins with.
        final_xor: What the result is XORed with.
        profile: A :class:`CrcProfile`.
        profile_data: Its bytes, up to 20, filled up with zeros.
    """

    first: int
    last: int
    result: int
    table: bytes
    initial: int = 0
    final_xor: int = 0
    profile: int = 0
    profile_data: bytes = attrs.field(default=b"", eq=_without_padding)


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


class _CrcCodec:
    """How a :class:`Crc8Checksum` is written."""

    flag: Final = 0
    _layout: Final = Struct("=bbbBB256sB20s")

    def pack(self, value: Crc8Checksum) -> bytes:
        """Give the struct's bytes.

        Raises:
            struct.error: A number has no room in its field.
            ValueError: The table or the profile's data are of another length.
        """
        if len(value.table) != 256 or len(value.profile_data) > 20:
            raise ValueError(
                f"a table of {len(value.table)} bytes and {len(value.profile_data)} of a profile,"
                " where 256 and up to 20 belong"
            )
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
        return Crc8Checksum(first, last, result, table, initial, final, *profile)


CLASSICAL_CHANGE: Final = _ChangeCodec(8, "=IBB2x8sB")
FD_CHANGE: Final = _ChangeCodec(64, "=IBB2x64sB")
XOR_CHECKSUM: Final = Record(XorChecksum, Struct("=bbbB"))
CRC8_CHECKSUM: Final = _CrcCodec()
