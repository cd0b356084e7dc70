"""The structs of CAN_RAW's socket options."""

from __future__ import annotations

from struct import Struct, pack, unpack
from typing import TYPE_CHECKING

import attrs

from anycan.exceptions import FilterError
from anycan.filter import FILTER_LIMIT
from anycan.wire.constants import (
    CAN_INV_FILTER,
    CAN_RAW_XL_VCID_RX_FILTER,
    CAN_RAW_XL_VCID_TX_PASS,
    CAN_RAW_XL_VCID_TX_SET,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.filter import CanFilter

_FILTER = Struct("=II")
_VCID = Struct("=BBBB")


def pack_integer(value: int) -> bytes:
    """Give the bytes of an ``int`` or ``u32`` option."""
    return pack("=I", value & 0xFFFFFFFF)


def unpack_integer(value: bytes) -> int:
    """Give the value of an ``int`` option."""
    return int(unpack("=i", value)[0])


def unpack_integers(value: bytes) -> tuple[int, ...]:
    """Give the values of an option that is an array of ``u32``."""
    return unpack(f"={len(value) // 4}I", value)


def pack_filters(filters: Iterable[CanFilter]) -> bytes:
    """Give the bytes of ``CAN_RAW_FILTER``.

    Raises:
        FilterError: There are more than the 512 that a socket takes.
    """
    value = b"".join(
        _FILTER.pack(one.id & ~CAN_INV_FILTER | (CAN_INV_FILTER if one.inverted else 0), one.mask)
        for one in filters
    )
    count = len(value) // _FILTER.size
    if count > FILTER_LIMIT:
        raise FilterError(
            f"{count} kernel filters, and a socket takes {FILTER_LIMIT}: join neighbours"
            " with Filter.range or Filter.mask, or open a second endpoint"
        )
    return value


@attrs.frozen
class VcidOptions:
    """Virtual CAN network identifiers of a CAN XL socket (``CAN_RAW_XL_VCID_OPTS``).

    Without it a socket sends frames with VCID 0 only, and receives only those.

    Args:
        transmit: Put this VCID into every frame sent, 0 to 255; None: do not.
        pass_through: Send each frame with the VCID it has.
        receive: Receive frames whose VCID agrees with this one in the bits of ``receive_mask``;
            None: only frames with VCID 0.
        receive_mask: The bits that count, 0 to 255; 0 receives every VCID.

    Raises:
        FilterError: A value is no integer, or out of range.

    Source: ``linux/can/raw.h``, ``struct can_raw_vcid_options`` (since Linux 6.9).
    """

    transmit: int | None = None
    pass_through: bool = False
    receive: int | None = None
    receive_mask: int = 0xFF

    def __attrs_post_init__(self) -> None:
        for name in ("transmit", "receive", "receive_mask"):
            value = getattr(self, name)
            if value is None and name != "receive_mask":
                continue
            if not hasattr(value, "__index__") or not 0 <= value <= 0xFF:
                raise FilterError(f"{name} of VcidOptions is 0 to 255, not {value!r}")


def pack_vcid_options(options: VcidOptions) -> bytes:
    """Give the bytes of ``CAN_RAW_XL_VCID_OPTS``."""
    flags = 0
    if options.transmit is not None:
        flags |= CAN_RAW_XL_VCID_TX_SET
    if options.pass_through:
        flags |= CAN_RAW_XL_VCID_TX_PASS
    if options.receive is not None:
        flags |= CAN_RAW_XL_VCID_RX_FILTER
    return _VCID.pack(flags, options.transmit or 0, options.receive or 0, options.receive_mask)
