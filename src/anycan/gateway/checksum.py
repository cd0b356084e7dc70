"""The XOR checksum and the CRC-8, written into a frame's bytes as can-gw writes them.

A frame is a ``struct can_frame`` (16 bytes) or a ``struct canfd_frame`` (72): its length is byte
4, its data begin at byte 8.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from anycan.wire.constants import CAN_MTU
from anycan.wire.netlink_gateway_changes import Crc8Checksum, CrcProfile, XorChecksum

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH: Final = 4
_LENGTHS: Final = 128  # what can stand there; from 128 on it is a frame of CAN XL
_DATA: Final = 8
_FEW_BYTES: Final = 12  # up to so many, a loop is quicker than folding

_Writer = Callable[[bytearray], None]
# Of the data that a checksum is over, in its order, and of the whole frame.
_Computation = Callable[[bytearray, bytearray], int]


def checksum_step(checksums: Sequence[XorChecksum | Crc8Checksum]) -> Callable[[bytes], bytes]:
    """Give the function that writes checksums into a frame: the CRC-8 first, as the kernel does."""
    ordered = sorted(checksums, key=lambda checksum: isinstance(checksum, XorChecksum))
    writers = [_writer(checksum) for checksum in ordered]

    def write(payload: bytes) -> bytes:
        frame = bytearray(payload)
        for writer in writers:
            writer(frame)
        return bytes(frame)

    return write


def _writer(checksum: XorChecksum | Crc8Checksum) -> _Writer:
    compute = _xor(checksum.initial) if isinstance(checksum, XorChecksum) else _crc8(checksum)
    positions = (checksum.first, checksum.last, checksum.result)
    classical = [_place(*positions, length, 8) for length in range(_LENGTHS)]
    flexible = [_place(*positions, length, 64) for length in range(_LENGTHS)]

    def write(frame: bytearray) -> None:
        place = (classical if len(frame) == CAN_MTU else flexible)[frame[_LENGTH]]
        if place is not None:
            span, result = place
            frame[result] = compute(frame[span], frame)

    return write


def _place(first: int, last: int, result: int, length: int, room: int) -> tuple[slice, int] | None:
    """Give the bytes of a frame that a checksum is over, and that which it is written to.

    Args:
        first: The position of the first of them.
        last: That of the last one; before ``first``: downwards.
        result: That of the checksum.
        length: The frame's length, by which positions below 0 count.
        room: How many bytes of data its kind of frame has room for.

    Returns:
        None: it has no such position.
    """
    begin, end, place = (
        _DATA + (one if one >= 0 else one + length) for one in (first, last, result)
    )
    if min(begin, end, place) < _DATA or max(begin, end, place) >= _DATA + room:
        return None
    return (slice(begin, end + 1) if begin <= end else slice(begin, end - 1, -1)), place


def _xor(initial: int) -> _Computation:
    def compute(data: bytearray, _: bytearray) -> int:
        value = initial
        if len(data) <= _FEW_BYTES:
            for byte in data:
                value ^= byte
            return value
        value ^= int.from_bytes(data, "little")
        for distance in (256, 128, 64, 32, 16, 8):  # fold it until the lowest byte has them all
            value ^= value >> distance
        return value & 0xFF

    return compute


def _crc8(checksum: Crc8Checksum) -> _Computation:
    table, initial, final_xor = checksum.table, checksum.initial, checksum.final_xor
    more = _more(checksum)

    def compute(data: bytearray, frame: bytearray) -> int:
        crc = initial
        for byte in data:
            crc = table[crc ^ byte]
        if more is not None:
            crc = table[crc ^ more(frame)]
        return crc ^ final_xor

    return compute


def _more(checksum: Crc8Checksum) -> Callable[[bytearray], int] | None:
    """Give what the byte is that a CRC's profile adds, by the frame."""
    given = checksum.profile_data.ljust(16, b"\0")
    low = slice(0, 2) if sys.byteorder == "little" else slice(2, 4)
    if checksum.profile == CrcProfile.ONE:
        return lambda _: given[0]
    if checksum.profile == CrcProfile.SIXTEEN:
        return lambda frame: given[frame[_DATA + 1] & 0xF]
    if checksum.profile == CrcProfile.SFFID_XOR:
        return lambda frame: frame[low][0] ^ frame[low][1]
    return None
