"""CAN networking for asyncio and anyio: SocketCAN as async streams and transports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan._exports import lazy_exports

if TYPE_CHECKING:  # at run time each name is imported when it is first asked for
    from anycan.drivers.slcan import SlcanAdapter
    from anycan.drivers.slcan_controller import SlcanStatistics
    from anycan.endpoints.bcm import BcmEndpoint, open_bcm
    from anycan.endpoints.bcm_handles import AnswerOperation, BcmOperation, CyclicOperation
    from anycan.endpoints.bcm_protocol import BcmProtocol
    from anycan.endpoints.bcm_tasks import CyclicTask, RemoteAnswer, Watch
    from anycan.endpoints.bcm_transport import BcmTransport, create_bcm_transport
    from anycan.endpoints.bcm_values import (
        BcmAttribute,
        BcmEvent,
        BcmStatistics,
        Changed,
        CyclicStatus,
        Multiplex,
        TimedOut,
    )
    from anycan.endpoints.isotp import open_isotp
    from anycan.endpoints.isotp_functional import FunctionalRequest, functional_request
    from anycan.endpoints.isotp_link import IsotpLink
    from anycan.endpoints.isotp_protocol import IsotpProtocol
    from anycan.endpoints.isotp_server import IsotpRequest, serve_isotp
    from anycan.endpoints.isotp_transport import IsotpTransport, create_isotp_transport
    from anycan.endpoints.isotp_values import IsotpAttribute, IsotpStatistics
    from anycan.endpoints.link_values import LinkGap, LinkWait, OnLinkLoss
    from anycan.endpoints.protocol import CanProtocol
    from anycan.endpoints.raw import RawEndpoint
    from anycan.endpoints.raw_opening import open_raw
    from anycan.endpoints.statistics import RawAttribute, RawStatistics
    from anycan.endpoints.transport import RawTransport
    from anycan.endpoints.transport_opening import create_raw_transport
    from anycan.engine.isotp_guess import guess_connections
    from anycan.engine.isotp_monitor import IsotpMonitor
    from anycan.engine.isotp_record import IsotpRecord
    from anycan.exceptions import (
        AddressError,
        CanError,
        CanOSError,
        CanPermissionError,
        ConfigurationError,
        FilterError,
        FlowControlError,
        FlowControlOverflowError,
        FlowControlTimeoutError,
        FrameError,
        FrameNotSupportedError,
        GatewayError,
        GatewayFileError,
        GatewayLoopError,
        GatewayRunningError,
        InterfaceDownError,
        InterfaceError,
        InterfaceExistsError,
        InterfaceRemovedError,
        IsotpError,
        IsotpReceiveError,
        IsotpSendError,
        LogParseError,
        NetworkUnavailableError,
        NotACanInterfaceError,
        OffloadError,
        OperationError,
        OperationExistsError,
        OptionNotSupportedError,
        PaddingError,
        ParseError,
        PduError,
        ProtocolUnavailableError,
        ReceptionInterruptedError,
        ReceptionTimeoutError,
        RoutingError,
        SendUnconfirmedError,
        SequenceError,
        SubscriptionOverflowError,
        UnknownInterfaceError,
    )
    from anycan.filter import CanFilter, Filter, byte
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
    from anycan.gateway.file import GatewayFile, load_gateway_file
    from anycan.gateway.gateway import Gateway, list_gateways, read_gateway
    from anycan.gateway.limits import RateLimit, TimeWindow
    from anycan.gateway.modification import Modification
    from anycan.gateway.reasons import DropReason
    from anycan.gateway.rule import GatewayPort, Rule
    from anycan.gateway.statistics import (
        DestinationStatistics,
        GatewayStatistics,
        LatencyHistogram,
        PortStatistics,
        RuleStatistics,
    )
    from anycan.interfaces.events import (
        ErrorCountersChanged,
        EventsLost,
        InterfaceAdded,
        InterfaceChanged,
        InterfaceDown,
        InterfaceEvent,
        InterfaceRemoved,
        InterfaceStateChanged,
        InterfaceUp,
    )
    from anycan.interfaces.functions import (
        configure_interface,
        create_vcan,
        create_vxcan,
        delete_interface,
        get_interface,
        list_interfaces,
        restart_interface,
        set_down,
        set_up,
    )
    from anycan.interfaces.values import Interface, LinkCondition
    from anycan.interfaces.watch import InterfaceWatch, wait_for_interface, watch_interfaces
    from anycan.network.allowance import ServerLimits
    from anycan.network.base import Network
    from anycan.network.client import ServedNetwork
    from anycan.network.core.device import DevicePort, NetworkDevice, TransmitResult
    from anycan.network.status import ClientStatus, NetworkStatus, SocketStatus
    from anycan.network.user import UserInterface, UserNetwork
    from anycan.routing.attached import ProtocolSubscription
    from anycan.routing.explanation import (
        EndpointExplanation,
        Explanation,
        SubscriptionExplanation,
    )
    from anycan.routing.handlers import HandlerSubscription
    from anycan.routing.router import Router
    from anycan.routing.stream import FrameSubscription
    from anycan.routing.subscription import Subscription
    from anycan.routing.values import RouterStatistics, RoutingFault, SubscriptionStatistics
    from anycan.sockets.kernel import KernelNetwork, kernel
    from anycan.sockets.networks import connect_network
    from anycan.wire.bit_timing import CalculatedBitTiming, calc_bit_timing
    from anycan.wire.candump import LogFormatter, ScreenFormatter
    from anycan.wire.errortext import describe_error
    from anycan.wire.frames import decode_frame, encode_frame
    from anycan.wire.isotp_address import Address, AddressingMode
    from anycan.wire.log import LogRecord, read_log
    from anycan.wire.netlink_can import (
        CanErrorCounters,
        CanMode,
        CanModes,
        CanParameters,
        CanState,
        CanStatistics,
        CanSupportedModes,
    )
    from anycan.wire.netlink_gateway_changes import Crc8Checksum, CrcProfile, XorChecksum
    from anycan.wire.netlink_statistics import LinkStatistics
    from anycan.wire.netlink_timing import (
        BitTiming,
        BitTimingConstants,
        PulseWidth,
        TransmitterDelay,
    )
    from anycan.wire.options import VcidOptions
else:
    __getattr__, __dir__ = lazy_exports(__name__, globals())

__all__ = [
    "Address",
    "AddressError",
    "AddressingMode",
    "AnswerOperation",
    "AnyFrame",
    "BcmAttribute",
    "BcmEndpoint",
    "BcmEvent",
    "BcmOperation",
    "BcmProtocol",
    "BcmStatistics",
    "BcmTransport",
    "BitTiming",
    "BitTimingConstants",
    "CalculatedBitTiming",
    "CanError",
    "CanErrorCounters",
    "CanFilter",
    "CanMode",
    "CanModes",
    "CanOSError",
    "CanParameters",
    "CanPermissionError",
    "CanProtocol",
    "CanState",
    "CanStatistics",
    "CanSupportedModes",
    "Changed",
    "ClientStatus",
    "ConfigurationError",
    "ControllerError",
    "Crc8Checksum",
    "CrcProfile",
    "CyclicOperation",
    "CyclicStatus",
    "CyclicTask",
    "DestinationStatistics",
    "DevicePort",
    "DropReason",
    "EndpointExplanation",
    "ErrorClass",
    "ErrorCountersChanged",
    "ErrorFrame",
    "EventsLost",
    "Explanation",
    "FdFrame",
    "Filter",
    "FilterError",
    "FlowControlError",
    "FlowControlOverflowError",
    "FlowControlTimeoutError",
    "Frame",
    "FrameError",
    "FrameNotSupportedError",
    "FrameSubscription",
    "FunctionalRequest",
    "Gateway",
    "GatewayError",
    "GatewayFile",
    "GatewayFileError",
    "GatewayLoopError",
    "GatewayPort",
    "GatewayRunningError",
    "GatewayStatistics",
    "HandlerSubscription",
    "Interface",
    "InterfaceAdded",
    "InterfaceChanged",
    "InterfaceDown",
    "InterfaceDownError",
    "InterfaceError",
    "InterfaceEvent",
    "InterfaceExistsError",
    "InterfaceRemoved",
    "InterfaceRemovedError",
    "InterfaceStateChanged",
    "InterfaceUp",
    "InterfaceWatch",
    "IsotpAttribute",
    "IsotpError",
    "IsotpLink",
    "IsotpMonitor",
    "IsotpProtocol",
    "IsotpReceiveError",
    "IsotpRecord",
    "IsotpRequest",
    "IsotpSendError",
    "IsotpStatistics",
    "IsotpTransport",
    "KernelNetwork",
    "LatencyHistogram",
    "LinkCondition",
    "LinkGap",
    "LinkStatistics",
    "LinkWait",
    "LogFormatter",
    "LogParseError",
    "LogRecord",
    "Modification",
    "Multiplex",
    "Network",
    "NetworkDevice",
    "NetworkStatus",
    "NetworkUnavailableError",
    "NotACanInterfaceError",
    "OffloadError",
    "OnLinkLoss",
    "OperationError",
    "OperationExistsError",
    "OptionNotSupportedError",
    "PaddingError",
    "ParseError",
    "PduError",
    "PortStatistics",
    "ProtocolError",
    "ProtocolLocation",
    "ProtocolSubscription",
    "ProtocolUnavailableError",
    "PulseWidth",
    "RateLimit",
    "RawAttribute",
    "RawEndpoint",
    "RawStatistics",
    "RawTransport",
    "ReceptionInterruptedError",
    "ReceptionTimeoutError",
    "RemoteAnswer",
    "RemoteFrame",
    "Router",
    "RouterStatistics",
    "RoutingError",
    "RoutingFault",
    "Rule",
    "RuleStatistics",
    "ScreenFormatter",
    "SendUnconfirmedError",
    "SequenceError",
    "ServedNetwork",
    "ServerLimits",
    "SlcanAdapter",
    "SlcanStatistics",
    "SocketStatus",
    "Subscription",
    "SubscriptionExplanation",
    "SubscriptionOverflowError",
    "SubscriptionStatistics",
    "TimeWindow",
    "TimedOut",
    "TransceiverError",
    "TransmitResult",
    "TransmitterDelay",
    "UnknownInterfaceError",
    "UserInterface",
    "UserNetwork",
    "VcidOptions",
    "Watch",
    "XlFrame",
    "XorChecksum",
    "byte",
    "calc_bit_timing",
    "configure_interface",
    "connect_network",
    "create_bcm_transport",
    "create_isotp_transport",
    "create_raw_transport",
    "create_vcan",
    "create_vxcan",
    "decode_frame",
    "delete_interface",
    "describe_error",
    "encode_frame",
    "functional_request",
    "get_interface",
    "guess_connections",
    "kernel",
    "list_gateways",
    "list_interfaces",
    "load_gateway_file",
    "open_bcm",
    "open_isotp",
    "open_raw",
    "read_gateway",
    "read_log",
    "restart_interface",
    "serve_isotp",
    "set_down",
    "set_up",
    "wait_for_interface",
    "watch_interfaces",
]
