"""The steps from a frame's bytes to those that are forwarded, each made once for a rule.

The bytes are those that the kernel's raw socket gives and takes (``linux/can.h``): 16 are a
``struct can_frame``, 72 a ``struct canfd_frame``; where bit 7 of byte 4 is set, they are a ``struct
canxl_frame``, however many they are. A step gives the bytes of the frame that comes of it, or why
that frame is dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final

import attrs

from anycan.frame import EFF_FLAG, EFF_MASK, ERR_FLAG, RTR_FLAG, SFF_MASK
from anycan.gateway.bits import EVERY_BIT, FrameParts
from anycan.gateway.modification import combine
from anycan.gateway.reasons import DropReason
from anycan.wire.constants import CAN_MTU, CANFD_MTU, CANXL_HEADER_SIZE
from anycan.wire.netlink_gateway_changes import ChangedPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anycan.gateway.bits import Bits
    from anycan.gateway.modification import Modification

Step = Callable[[bytes], "bytes | DropReason"]

_WORD: Final = Struct("=I")
_ABOVE_SFF: Final = EFF_MASK ^ SFF_MASK
_FLAGS_AT: Final = 3 if sys.byteorder == "little" else 0  # the byte of the word with its flags

# Where things are in the integer that a frame's bytes are (see Bits).
_CLASSICAL: Final = (1 << 8 * CAN_MTU) - 1
_LENGTH_AT: Final = 32
_FLAGS: Final = 0xFF << 40  # of CAN FD; a reserved byte of classical frames
_RAW_DLC_AT: Final = 56  # len8_dlc, of classical frames
_DATA_AT: Final = 64


def word_of(identifier: int) -> int:
    """Give an identifier with the flag that it needs: of 29 bits when it does not fit into 11."""
    return identifier if identifier <= SFF_MASK else identifier | EFF_FLAG


def map_step(id_map: Mapping[int, int]) -> Step:
    """Map the identifiers of data and remote frames."""
    words = {
        _WORD.pack(word_of(old) | remote): _WORD.pack(word_of(new) | remote)
        for old, new in id_map.items()
        for remote in (0, RTR_FLAG)
    }
    find = words.get

    def step(payload: bytes) -> bytes:
        new = find(payload[:4])
        if new is None:
            (word,) = _WORD.unpack_from(payload)
            if not word & _ABOVE_SFF:
                return payload
            # On a virtual bus, bits get through that mean nothing in an identifier of 11.
            new = find(_WORD.pack(word & ~_ABOVE_SFF))
            if new is None:
                return payload
        return new + payload[4:]

    return step


def xl_map_step(id_map: Mapping[int, int]) -> Step:
    """Map the priorities of CAN XL frames; they have 11 bits."""

    def step(payload: bytes) -> bytes | DropReason:
        (word,) = _WORD.unpack_from(payload)
        new = id_map.get(word & SFF_MASK)
        if new is None:
            return payload
        if new > SFF_MASK:
            return DropReason.DOES_NOT_FIT
        return _WORD.pack(word & ~SFF_MASK | new) + payload[4:]

    return step


def classical_masks(bits: Bits) -> tuple[int, int]:
    """Give what is kept and flipped of a classical frame, by everything but a new length."""
    return (bits.keep | _FLAGS) & _CLASSICAL, bits.flip & ~_FLAGS & _CLASSICAL


def classical_step(bits: Bits) -> Step | None:
    """Modify classical frames; None: nothing of them changes."""
    keep, flip = classical_masks(bits)
    if bits.parts & ChangedPart.LENGTH:
        return _classical_length_step(keep, flip)
    if (keep, flip) == (_CLASSICAL, 0):
        return None

    def step(payload: bytes) -> bytes:
        return (int.from_bytes(payload, "little") & keep ^ flip).to_bytes(CAN_MTU, "little")

    return step


def _classical_length_step(keep: int, flip: int) -> Step:
    """Modify frames and their lengths, which go by raw DLCs: 9 to 15 are 8 bytes, and len8_dlc."""
    lengths = [
        _classical_length((dlc & keep >> _LENGTH_AT ^ flip >> _LENGTH_AT) & 0xFF)
        for dlc in range(0x80)
    ]
    both = 0xFF << _LENGTH_AT | 0xFF << _RAW_DLC_AT
    keep, flip = keep & ~both, flip & ~both

    def step(payload: bytes) -> bytes | DropReason:
        dlc = payload[4]
        if dlc == 8 and 8 < payload[7] < 16:
            dlc = payload[7]
        length = lengths[dlc]
        if length is None:
            return DropReason.LENGTH
        return (int.from_bytes(payload, "little") & keep ^ flip | length).to_bytes(
            CAN_MTU, "little"
        )

    return step


def _classical_length(dlc: int) -> int | None:
    if dlc <= 8:
        return dlc << _LENGTH_AT
    return 8 << _LENGTH_AT | dlc << _RAW_DLC_AT if dlc < 16 else None


def flexible_step(bits: Bits) -> Step | None:
    """Modify CAN FD frames; None: nothing of them changes."""
    keep, flip = bits.keep, bits.flip
    if (keep, flip) == (EVERY_BIT, 0):
        return None

    def step(payload: bytes) -> bytes:
        return (int.from_bytes(payload, "little") & keep ^ flip).to_bytes(CANFD_MTU, "little")

    def checked_step(payload: bytes) -> bytes | DropReason:
        frame = step(payload)
        return DropReason.LENGTH if frame[4] > 64 else frame

    return checked_step if bits.parts & ChangedPart.LENGTH else step


def xl_step(modify: Iterable[Modification]) -> Step | None:
    """Modify CAN XL frames: priority and data alone; None: nothing of them changes."""
    bits = combine(
        attrs.evolve(one, can_id=None, length=None, extended=None, flags=None)
        for one in modify
        if one.id is not None or one.data is not None
    )
    word_keep = FrameParts.of_image(bits.keep).word | ~SFF_MASK
    word_flip = FrameParts.of_image(bits.flip).word & SFF_MASK
    cleared = (EVERY_BIT ^ bits.keep) >> _DATA_AT
    flip = bits.flip >> _DATA_AT
    if word_keep == -1 and not (word_flip or cleared or flip):
        return None

    def step(payload: bytes) -> bytes:
        (word,) = _WORD.unpack_from(payload)
        size = len(payload) - CANXL_HEADER_SIZE
        data = int.from_bytes(payload[CANXL_HEADER_SIZE:], "little") & ~cleared ^ flip
        return (
            _WORD.pack(word & word_keep ^ word_flip)
            + payload[4:CANXL_HEADER_SIZE]
            + (data & (1 << 8 * size) - 1).to_bytes(size, "little")
        )

    return step


def to_classical(payload: bytes) -> bytes | DropReason:
    """Make a classical frame of one of CAN FD, without its flags, if it is short enough."""
    if payload[4] > 8:
        return DropReason.DOES_NOT_FIT
    return payload[:5] + b"\0\0\0" + payload[8:CAN_MTU]


def to_flexible_step(flags: int) -> Step:
    """Make CAN FD frames with some flags of classical ones; error frames stay what they are."""
    head = bytes((flags, 0, 0))
    tail = bytes(CANFD_MTU - CAN_MTU)
    error, remote = ERR_FLAG >> 24, RTR_FLAG >> 24

    def step(payload: bytes) -> bytes | DropReason:
        if payload[_FLAGS_AT] & (error | remote):
            return payload if payload[_FLAGS_AT] & error else DropReason.DOES_NOT_FIT
        return payload[:5] + head + payload[8:] + tail

    return step


def refuse(_: bytes) -> DropReason:
    """Drop frames for which there is no other kind of frame."""
    return DropReason.DOES_NOT_FIT
