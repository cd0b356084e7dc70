"""What a sequence of AND, OR, XOR and SET comes to: for each bit, ``(bit & keep) ^ flip``.

The bits are those of a ``struct canfd_frame`` (``linux/can.h``; 72 bytes), read as one integer,
byte 0 lowest. The first 16 of them are also a ``struct can_frame``, but for what lies between the
length and the data.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import attrs

from anycan.wire.constants import CANFD_MTU
from anycan.wire.netlink_gateway_changes import ChangedPart, FrameChange

_LAYOUT: Final = Struct("=IBBxx64s")
_WORD: Final = 0xFFFFFFFF
_BYTE: Final = 0xFF
EVERY_BIT: Final = (1 << 8 * CANFD_MTU) - 1


@attrs.frozen
class FrameParts:
    """The parts of a frame that modifications are for, as operands.

    Attributes:
        word: The 32-bit word of identifier and flags.
        length: The length, 8 bits.
        flags: The flags of CAN FD, 8 bits.
        data: The data; missing bytes are zeros.
    """

    word: int = 0
    length: int = 0
    flags: int = 0
    data: bytes = b""

    def image(self) -> int:
        """Give them where they stand in a frame, and zeros elsewhere."""
        packed = _LAYOUT.pack(self.word, self.length, self.flags, self.data)
        return int.from_bytes(packed, "little")

    @classmethod
    def of_image(cls, image: int) -> FrameParts:
        """Take them out of a frame; the data are all 64 bytes."""
        return cls(*_LAYOUT.unpack(image.to_bytes(CANFD_MTU, "little")))


@attrs.frozen
class Bits:
    """What happens to each bit of a frame.

    Attributes:
        keep: The bits that count as what they were; the others become 0.
        flip: The bits that are then inverted.
        parts: The :class:`ChangedPart` values of the operands that this comes from.
    """

    keep: int = EVERY_BIT
    flip: int = 0
    parts: int = 0

    def then(self, following: Bits) -> Bits:
        """Give what both come to, this one first."""
        return Bits(
            self.keep & following.keep,
            self.flip & following.keep ^ following.flip,
            self.parts | following.parts,
        )

    def kernel_changes(self, flexible: bool) -> tuple[FrameChange | None, FrameChange | None]:
        """Give the AND and the XOR of a rule of can-gw that do this.

        Args:
            flexible: The rule is for CAN FD frames, else for classical ones.

        Returns:
            None where there is nothing for AND, or for XOR, to do.
        """
        keep, flip = FrameParts.of_image(self.keep), FrameParts.of_image(self.flip)
        room = 64 if flexible else 8
        kept, flipped = keep.data[:room], flip.data[:room]
        # Even for a length that stays the same, the kernel clears what a classical frame has in
        # the place of the raw DLC.
        same_length = not flexible and self.parts & ChangedPart.LENGTH and keep.length == _BYTE
        mod_and = FrameChange.of(
            can_id=keep.word if keep.word != _WORD else None,
            length=keep.length if keep.length != _BYTE else None,
            data=kept if kept.strip(b"\xff") else None,
            flags=keep.flags if flexible and keep.flags != _BYTE else None,
        )
        mod_xor = FrameChange.of(
            can_id=flip.word or None,
            length=flip.length if flip.length or same_length else None,
            data=flipped if any(flipped) else None,
            flags=(flip.flags or None) if flexible else None,
        )
        return (mod_and if mod_and.parts else None, mod_xor if mod_xor.parts else None)
