"""CAN networking for asyncio and anyio: SocketCAN as async streams and transports."""

from __future__ import annotations

from anycan.endpoints.protocol import CanProtocol
from anycan.endpoints.raw import RawEndpoint, open_raw
from anycan.endpoints.statistics import RawAttribute, RawStatistics
from anycan.endpoints.transport import RawTransport, create_raw_transport
from anycan.exceptions import (
    CanError,
    CanOSError,
    CanPermissionError,
    FilterError,
    FrameError,
    FrameNotSupportedError,
    InterfaceDownError,
    InterfaceError,
    InterfaceRemovedError,
    LogParseError,
    NetworkUnavailableError,
    NotACanInterfaceError,
    OptionNotSupportedError,
    ParseError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
)
from anycan.filter import CanFilter, Filter
from anycan.frame import (
    AnyFrame,
    ControllerError,
    ErrorClass,
    ErrorFrame,
    FdFrame,
    Frame,
    ProtocolError,
    ProtocolLocation,
    RemoteFrame,
    TransceiverError,
    XlFrame,
)
from anycan.network.base import Network
from anycan.network.user import UserInterface, UserNetwork
from anycan.sockets.kernel import KernelNetwork, kernel
from anycan.wire.candump import LogFormatter, ScreenFormatter
from anycan.wire.errortext import describe_error
from anycan.wire.log import LogRecord, read_log
from anycan.wire.options import VcidOptions

__all__ = [
    "AnyFrame",
    "CanError",
    "CanFilter",
    "CanOSError",
    "CanPermissionError",
    "CanProtocol",
    "ControllerError",
    "ErrorClass",
    "ErrorFrame",
    "FdFrame",
    "Filter",
    "FilterError",
    "Frame",
    "FrameError",
    "FrameNotSupportedError",
    "InterfaceDownError",
    "InterfaceError",
    "InterfaceRemovedError",
    "KernelNetwork",
    "LogFormatter",
    "LogParseError",
    "LogRecord",
    "Network",
    "NetworkUnavailableError",
    "NotACanInterfaceError",
    "OptionNotSupportedError",
    "ParseError",
    "ProtocolError",
    "ProtocolLocation",
    "ProtocolUnavailableError",
    "RawAttribute",
    "RawEndpoint",
    "RawStatistics",
    "RawTransport",
    "RemoteFrame",
    "ScreenFormatter",
    "TransceiverError",
    "UnknownInterfaceError",
    "UserInterface",
    "UserNetwork",
    "VcidOptions",
    "XlFrame",
    "create_raw_transport",
    "describe_error",
    "kernel",
    "open_raw",
    "read_log",
]
