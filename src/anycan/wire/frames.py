"""One frame to the bytes of its kernel struct, and back.

``struct can_frame`` (16 bytes), ``struct canfd_frame`` (72) and ``struct canxl_frame`` (12 and the
data), ``linux/can.h``; integers are in the host's byte order.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from anycan.frame import (
    EFF_FLAG,
    EFF_MASK,
    ERR_FLAG,
    RTR_FLAG,
    SFF_MASK,
    XLF,
    ErrorFrame,
    ErrorFrameFields,
    FdFrame,
    FdFrameFields,
    Frame,
    FrameFields,
    RemoteFrame,
    RemoteFrameFields,
    XlFrame,
    XlFrameFields,
)
from anycan.wire.constants import CAN_MTU, CANFD_MTU, CANXL_HEADER_SIZE, CANXL_MTU

if TYPE_CHECKING:
    from anycan.frame import AnyFrame

_Buffer: TypeAlias = "bytes | bytearray | memoryview"
_Reception: TypeAlias = "tuple[int | None, int | None, str | None, bool, bool]"

_CLASSICAL = Struct("=IBxxB8s")
_FD = Struct("=IBBxx64s")
_XL_HEADER = Struct("=IBBHI")

_pack_classical = _CLASSICAL.pack
_pack_fd = _FD.pack


def encode_frame(frame: AnyFrame) -> bytes:
    """Give the bytes that a CAN socket takes for a frame: 16, 72, or 12 and the data of CAN XL."""
    if isinstance(frame, Frame):
        identifier = frame.id | EFF_FLAG if frame.extended else frame.id
        return _pack_classical(identifier, len(frame.data), frame.len8_dlc, frame.data)
    if isinstance(frame, FdFrame):
        identifier = frame.id | EFF_FLAG if frame.extended else frame.id
        return _pack_fd(identifier, len(frame.data), frame.flags, frame.data)
    if isinstance(frame, RemoteFrame):
        return _pack_classical(frame.can_id, frame.length, frame.len8_dlc, b"")
    if isinstance(frame, ErrorFrame):
        return _pack_classical(frame.can_id, len(frame.data), 0, frame.data)
    if isinstance(frame, XlFrame):
        header = _XL_HEADER.pack(
            frame.can_id, frame.flags, frame.sdt, len(frame.data), frame.acceptance_field
        )
        return header + frame.data
    raise TypeError(f"not a CAN frame: {frame!r}")


def decode_frame(
    payload: bytes | bytearray | memoryview,
    timestamp_ns: int | None = None,
    hardware_timestamp_ns: int | None = None,
    interface: str | None = None,
    local: bool = False,
    own: bool = False,
) -> AnyFrame | None:
    """Give the frame that a CAN socket's bytes stand for.

    Args:
        payload: What one receive call gave, to its true length.
        timestamp_ns: Goes into the frame, as do the rest.
        hardware_timestamp_ns: See :class:`~anycan.Frame`.
        interface: See :class:`~anycan.Frame`.
        local: See :class:`~anycan.Frame`.
        own: See :class:`~anycan.Frame`.

    Returns:
        The frame, or None where the bytes are no frame (to be counted, never raised, since whoever
        is on the bus may have sent them).
    """
    reception = (timestamp_ns, hardware_timestamp_ns, interface, local, own)
    size = len(payload)
    if size == CAN_MTU:
        return _decode_classical(payload, reception)
    if size > CANXL_HEADER_SIZE and payload[4] & XLF:
        return _decode_xl(payload, reception)
    if size == CANFD_MTU:
        return _decode_fd(payload, reception)
    return None


def _decode_classical(payload: _Buffer, reception: _Reception) -> AnyFrame | None:
    frame: Any
    word, length, len8_dlc, data = _CLASSICAL.unpack(payload)
    if length > 8:  # four bytes of CAN XL make as many bytes, and the flags stand there
        return _decode_xl(payload, reception) if length & XLF else None
    if word & ERR_FLAG:
        frame = ErrorFrameFields(*reception, word & EFF_MASK, data[:length])
        frame.__class__ = ErrorFrame
        return cast("ErrorFrame", frame)
    extended = word & EFF_FLAG != 0
    identifier = word & (EFF_MASK if extended else SFF_MASK)
    if length != 8 or not 9 <= len8_dlc <= 15:
        len8_dlc = 0
    if word & RTR_FLAG:
        frame = RemoteFrameFields(*reception, identifier, length, extended, len8_dlc)
        frame.__class__ = RemoteFrame
        return cast("RemoteFrame", frame)
    frame = FrameFields(*reception, identifier, data[:length], extended, len8_dlc)
    frame.__class__ = Frame
    return cast("Frame", frame)


def _decode_fd(payload: _Buffer, reception: _Reception) -> FdFrame | None:
    word, length, flags, data = _FD.unpack(payload)
    if length > 64 or word & (ERR_FLAG | RTR_FLAG):
        return None
    extended = word & EFF_FLAG != 0
    identifier = word & (EFF_MASK if extended else SFF_MASK)
    frame: Any = FdFrameFields(*reception, identifier, data[:length], extended, flags)
    frame.__class__ = FdFrame
    return cast("FdFrame", frame)


def _decode_xl(payload: _Buffer, reception: _Reception) -> XlFrame | None:
    size = len(payload)
    word, flags, sdt, length, acceptance_field = _XL_HEADER.unpack_from(payload)
    if size > CANXL_MTU or length != size - CANXL_HEADER_SIZE:
        return None
    frame: Any = XlFrameFields(
        *reception,
        word & SFF_MASK,
        bytes(payload[CANXL_HEADER_SIZE:size]),
        sdt,
        acceptance_field,
        word >> 16 & 0xFF,
        flags,
    )
    frame.__class__ = XlFrame
    return cast("XlFrame", frame)
