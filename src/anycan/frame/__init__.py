"""What users hold: the frames of classical CAN, CAN FD and CAN XL, remote and error frames."""

from __future__ import annotations

from anycan.frame._base import EFF_FLAG, EFF_MASK, ERR_FLAG, RTR_FLAG, SFF_MASK
from anycan.frame._classical import (
    AnyFrame,
    BlankFrame,
    Frame,
    FrameFields,
    RemoteFrame,
    RemoteFrameFields,
)
from anycan.frame._error import (
    ControllerError,
    ErrorClass,
    ErrorFrame,
    ErrorFrameFields,
    ProtocolError,
    ProtocolLocation,
    TransceiverError,
)
from anycan.frame._flexible import BRS, ESI, FDF, FdFrame, FdFrameFields
from anycan.frame._xl import RRS, SEC, XLF, XlFrame, XlFrameFields

__all__ = [
    "BRS",
    "EFF_FLAG",
    "EFF_MASK",
    "ERR_FLAG",
    "ESI",
    "FDF",
    "RRS",
    "RTR_FLAG",
    "SEC",
    "SFF_MASK",
    "XLF",
    "AnyFrame",
    "BlankFrame",
    "ControllerError",
    "ErrorClass",
    "ErrorFrame",
    "ErrorFrameFields",
    "FdFrame",
    "FdFrameFields",
    "Frame",
    "FrameFields",
    "ProtocolError",
    "ProtocolLocation",
    "RemoteFrame",
    "RemoteFrameFields",
    "TransceiverError",
    "XlFrame",
    "XlFrameFields",
]
