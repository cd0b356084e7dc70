"""What a rule does to the bits of each frame: AND, OR, XOR and SET, as ``cangw`` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs

from anycan.exceptions import GatewayError
from anycan.frame import EFF_FLAG, EFF_MASK, SFF_MASK
from anycan.gateway.bits import EVERY_BIT, Bits, FrameParts
from anycan.gateway.operands import operands_problem
from anycan.wire.netlink_gateway_changes import ChangedPart, FrameChange

if TYPE_CHECKING:
    from collections.abc import Iterable

Operation = Literal["and", "or", "xor", "set"]

_WORD: Final = 0xFFFFFFFF
_BYTE: Final = 0xFF
_ABOVE_SFF: Final = EFF_MASK ^ SFF_MASK
_PART_OF: Final = {
    "id": ChangedPart.ID,
    "extended": ChangedPart.ID,
    "can_id": ChangedPart.ID,
    "length": ChangedPart.LENGTH,
    "data": ChangedPart.DATA,
    "flags": ChangedPart.FLAGS,
}
_IN_HEX: Final = ("id", "mask", "can_id", "flags")


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


@attrs.frozen(kw_only=True, repr=False)
class Modification:
    r"""What is done to the bits of each frame: AND, OR, XOR or SET, with one operand or more.

    Make one with :meth:`bit_and`, :meth:`bit_or`, :meth:`bit_xor` or :meth:`bit_set`. What has no
    operand stays as it is. Modifications are made to data, remote and error frames alike; of a CAN
    XL frame ``id`` changes the priority (its 11 bits, and no more), ``data`` the data, as far as
    there are some, and the other operands nothing.

    Attributes:
        operation: ``"and"``, ``"or"``, ``"xor"`` or ``"set"``.
        id: The operand for the identifier, 0 to 0x1FFFFFFF. Whether it has 11 bits or 29, and
            whether the frame is a remote one, stays as it is, but for :meth:`bit_set`. An 11-bit
            identifier has no bits above 0x7FF.
        mask: Of SET: the bits of the identifier that become those of ``id``.
        extended: Of SET: the identifier then has 29 bits (True) or 11 (False).
        can_id: The operand for the whole 32-bit word of identifier and flags (29-bit 1 << 31,
            remote 1 << 30, error 1 << 29); instead of the four above.
        length: The operand for the length in bytes, 0 to 64. In classical CAN, 9 to 15 are the raw
            DLCs that mean 8 bytes. A frame that becomes longer than its kind of frame can be is
            dropped. A length that CAN FD does not have (9, say) is rounded up by the controller.
        data: The operand for the data, from ``offset`` on. Bytes behind the frame's length are
            changed, too, though it shows only where the length grows; a classical frame has no
            bytes behind the eighth.
        offset: Where in the data the operand begins, 0 to 63.
        flags: The operand for CAN FD's flags (BRS 1, ESI 2); classical frames have none.

    Raises:
        GatewayError: No operand, one that is out of range, or some that contradict each other.

    Source: ``linux/can/gw.h``, ``net/can/gw.c``.

    Example:
        >>> Modification.bit_set(id=0x123, data=b"\x01", offset=7)
        Modification.bit_set(id=0x123, data=b'\x01', offset=7)
    """

    operation: Operation
    id: int | None = None
    mask: int | None = None
    extended: bool | None = None
    can_id: int | None = None
    length: int | None = None
    data: bytes | None = attrs.field(default=None, converter=_plain)
    offset: int = 0
    flags: int | None = None

    @classmethod
    def bit_and(
        cls,
        *,
        id: int | None = None,  # noqa: A002 - a frame's identifier is called so everywhere
        can_id: int | None = None,
        length: int | None = None,
        data: bytes | None = None,
        offset: int = 0,
        flags: int | None = None,
    ) -> Modification:
        r"""Keep the bits that are 1 in the operand; the others become 0.

        Args:
            id: See :class:`Modification`, as for the others. The operand's bits alone are kept of
                the identifier.
            can_id: Instead of ``id``.
            length: Of the length.
            data: Of the data from ``offset`` on; what is outside stays as it is.
            offset: Where ``data`` begins.
            flags: Of CAN FD's flags; 0xFE takes BRS away.

        Example:
            >>> Modification.bit_and(data=b"\x0f", offset=2)  # the high half of the third byte: 0
            Modification.bit_and(data=b'\x0f', offset=2)
        """
        return cls(
            operation="and",
            id=id,
            can_id=can_id,
            length=length,
            data=data,
            offset=offset,
            flags=flags,
        )

    @classmethod
    def bit_or(
        cls,
        *,
        id: int | None = None,  # noqa: A002 - as above
        can_id: int | None = None,
        length: int | None = None,
        data: bytes | None = None,
        offset: int = 0,
        flags: int | None = None,
    ) -> Modification:
        """Make the bits 1 that are 1 in the operand. The arguments are those of :meth:`bit_and`.

        Example:
            >>> Modification.bit_or(id=0x400)
            Modification.bit_or(id=0x400)
        """
        return cls(
            operation="or",
            id=id,
            can_id=can_id,
            length=length,
            data=data,
            offset=offset,
            flags=flags,
        )

    @classmethod
    def bit_xor(
        cls,
        *,
        id: int | None = None,  # noqa: A002 - as above
        can_id: int | None = None,
        length: int | None = None,
        data: bytes | None = None,
        offset: int = 0,
        flags: int | None = None,
    ) -> Modification:
        r"""Invert the bits that are 1 in the operand. The arguments are those of :meth:`bit_and`.

        Example:
            >>> Modification.bit_xor(data=b"\xff" * 8)
            Modification.bit_xor(data=b'\xff\xff\xff\xff\xff\xff\xff\xff')
        """
        return cls(
            operation="xor",
            id=id,
            can_id=can_id,
            length=length,
            data=data,
            offset=offset,
            flags=flags,
        )

    @classmethod
    def bit_set(
        cls,
        *,
        id: int | None = None,  # noqa: A002 - as above
        mask: int | None = None,
        extended: bool | None = None,
        can_id: int | None = None,
        length: int | None = None,
        data: bytes | None = None,
        offset: int = 0,
        flags: int | None = None,
    ) -> Modification:
        """Put the operand in place of what is there.

        Args:
            id: The new identifier, or with ``mask`` some bits of it. A remote frame stays one.
            mask: The bits of the identifier that become those of ``id``; None: all.
            extended: Whether the identifier then has 29 bits; False takes away its bits above
                0x7FF. None: as ``id`` needs it, or with ``mask`` as it was.
            can_id: The new word of identifier and flags, instead of the three above.
            length: The new length, or raw DLC.
            data: The new bytes from ``offset`` on; those outside stay as they are.
            offset: Where ``data`` begins.
            flags: All new flags of CAN FD.

        Example:
            >>> Modification.bit_set(id=0x300, mask=0x700)  # 0x123 becomes 0x323
            Modification.bit_set(id=0x300, mask=0x700)
            >>> Modification.bit_set(id=0x234, mask=0xFF)
            Traceback (most recent call last):
            ...
            anycan.exceptions.GatewayError: bit_set: id 0x234 has bits that are not in mask 0xff
        """
        return cls(
            operation="set",
            id=id,
            mask=mask,
            extended=extended,
            can_id=can_id,
            length=length,
            data=data,
            offset=offset,
            flags=flags,
        )

    def __attrs_post_init__(self) -> None:
        if self.operation not in get_args(Operation):
            raise GatewayError(
                f"a modification's operation is 'and', 'or', 'xor' or 'set', not {self.operation!r}"
            )
        problem = operands_problem(self._given(), by_set=self.operation == "set")
        if problem:
            raise GatewayError(f"bit_{self.operation}: {problem}")

    def __repr__(self) -> str:
        shown = [
            f"{name}={value:#x}" if name in _IN_HEX else f"{name}={value!r}"
            for name, value in self._given().items()
        ]
        return f"{type(self).__name__}.bit_{self.operation}({', '.join(shown)})"

    def _given(self) -> dict[str, Any]:
        """Give the operands that there are, and where the data begins unless it is 0."""
        values = {name: getattr(self, name) for name in attrs.fields_dict(type(self))}
        del values["operation"]
        if self.offset == 0:
            del values["offset"]
        return {
            name: value for name, value in values.items() if value is not None or name == "offset"
        }

    def bits(self) -> Bits:
        """Give what it comes to for each bit."""
        word, in_word = self._word()
        data = bytes(self.offset) + (self.data or b"")
        in_data = bytes(self.offset) + b"\xff" * len(self.data or b"")
        operand = FrameParts(word, self.length or 0, self.flags or 0, data).image()
        scope = FrameParts(
            in_word,
            0 if self.length is None else _BYTE,
            0 if self.flags is None else _BYTE,
            in_data,
        ).image()
        keep, flip = {
            "and": (EVERY_BIT ^ scope ^ operand, 0),
            "or": (EVERY_BIT ^ operand, operand),
            "xor": (EVERY_BIT, operand),
            "set": (EVERY_BIT ^ scope, operand),
        }[self.operation]
        parts = 0
        for name in self._given().keys() & _PART_OF.keys():
            parts |= _PART_OF[name]
        return Bits(keep, flip, parts)

    def _word(self) -> tuple[int, int]:
        """Give the operand for the word of identifier and flags, and the bits that it is for."""
        if self.can_id is not None:
            return self.can_id, _WORD
        operand, scope = self.id or 0, 0
        extended = self.extended
        if self.id is not None:
            scope = EFF_MASK if self.mask is None else self.mask
            if self.operation == "set" and self.mask is None and extended is None:
                extended = self.id > SFF_MASK
        if extended is not None:
            scope |= EFF_FLAG | (0 if extended else _ABOVE_SFF)
            operand |= EFF_FLAG if extended else 0
        return operand, scope


def combine(modifications: Iterable[Modification]) -> Bits:
    """Give what modifications come to, one after the other."""
    bits = Bits()
    for modification in modifications:
        bits = bits.then(modification.bits())
    return bits


def kernel_changes(
    modify: Iterable[Modification], flexible: bool
) -> tuple[FrameChange | None, FrameChange | None]:
    """Give the AND and the XOR of a rule of can-gw that do the same as all modifications.

    Args:
        modify: The modifications, of which any sequence comes to this.
        flexible: For a rule for CAN FD frames (64 bytes of data, and flags); else for one for
            classical frames (8 bytes of data).

    Returns:
        ``mod_and`` and ``mod_xor``; None: there is nothing for it to do.
    """
    return combine(modify).kernel_changes(flexible)
