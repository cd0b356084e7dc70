"""What a rule makes of a frame's bytes: a function, built once and called for each frame.

For the same rule it gives, byte for byte, what ``net/can/gw.c`` does: in reserved bytes, and behind
the end of the data, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from anycan.frame import BRS, FDF, XLF
from anycan.gateway.checksum import checksum_step
from anycan.gateway.modification import combine
from anycan.gateway.steps import (
    Step,
    classical_masks,
    classical_step,
    flexible_step,
    map_step,
    refuse,
    to_classical,
    to_flexible_step,
    xl_map_step,
    xl_step,
)
from anycan.wire.constants import CAN_MTU, CANFD_MTU
from anycan.wire.netlink_gateway_changes import ChangedPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anycan.gateway.bits import Bits
    from anycan.gateway.modification import Modification
    from anycan.gateway.reasons import DropReason
    from anycan.wire.netlink_gateway_changes import Crc8Checksum, XorChecksum

Transform: TypeAlias = Step


def make_transform(
    *,
    modify: Sequence[Modification] = (),
    id_map: Mapping[int, int] | None = None,
    convert: Literal["classical", "fd"] | None = None,
    bit_rate_switch: bool = True,
    checksums: Sequence[XorChecksum | Crc8Checksum] = (),
) -> Transform | None:
    """Make the function that a rule's frames go through.

    It maps the identifier, modifies, converts and writes the checksums, in this order. The
    arguments are those of a :class:`Rule`. The identifier of a CAN XL frame is its priority, it
    gets no checksum, and with ``convert`` it is dropped. Error frames are modified and get
    checksums; their identifier, which is none, is not mapped, and they are not converted.

    Returns:
        A function of one frame's bytes, as the kernel's raw socket gives them: exactly 16 or 72, or
        12 and the data of CAN XL. It gives those to forward, or a :class:`DropReason`. None:
        whatever the frame is, it stays as it is.
    """
    bits = combine(modify)
    mapping = [map_step(id_map)] if id_map else []
    checking = [checksum_step(checksums)] if checksums else []
    to_flexible = [to_flexible_step(FDF | BRS if bit_rate_switch else FDF)]
    classical = _chain(
        mapping, [classical_step(bits)], to_flexible if convert == "fd" else [], checking
    )
    flexible = _chain(
        mapping, [flexible_step(bits)], [to_classical] if convert == "classical" else [], checking
    )
    if convert is None:
        xl = _chain([xl_map_step(id_map)] if id_map else [], [xl_step(modify)])
    else:
        xl = refuse
    if not (classical or flexible or xl):
        return None
    if not (mapping or checking or convert or bits.parts & ChangedPart.LENGTH):
        return _modifying(bits, xl or _unchanged)
    return _by_kind(classical or _unchanged, flexible or _unchanged, xl or _unchanged)


def _chain(*groups: Iterable[Step | None]) -> Step | None:
    """Give one step for several, some of which may not be there; None: none of them is."""
    steps = [step for group in groups for step in group if step is not None]
    if len(steps) < 2:
        return steps[0] if steps else None

    def chain(payload: bytes) -> bytes | DropReason:
        for step in steps:
            result = step(payload)
            if not isinstance(result, bytes):  # much quicker to tell than that it is a reason
                return result
            payload = result
        return payload

    return chain


def _unchanged(payload: bytes) -> bytes:
    return payload


def _by_kind(classical: Step, flexible: Step, xl: Step) -> Step:
    def transform(payload: bytes) -> bytes | DropReason:
        if payload[4] & XLF:
            return xl(payload)
        return classical(payload) if len(payload) == CAN_MTU else flexible(payload)

    return transform


def _modifying(bits: Bits, xl: Step) -> Step:
    """Give what :func:`_by_kind` would, without another call, for what is done most."""
    keep, flip = bits.keep, bits.flip
    classical_keep, classical_flip = classical_masks(bits)
    from_bytes = int.from_bytes

    def transform(payload: bytes) -> bytes | DropReason:
        if payload[4] & XLF:
            return xl(payload)
        if len(payload) == CAN_MTU:
            return (from_bytes(payload, "little") & classical_keep ^ classical_flip).to_bytes(
                CAN_MTU, "little"
            )
        return (from_bytes(payload, "little") & keep ^ flip).to_bytes(CANFD_MTU, "little")

    return transform
