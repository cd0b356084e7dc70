"""Where the public names are, and importing each when it is first asked for (PEP 562).

A program that sends a frame does not wait for the gateway, the serial adapters and the broadcast
manager to be imported. The package's ``__init__`` has the same names for type checkers; a test
holds the two together.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EXPORTS: Final = {
    "drivers.slcan": ("SlcanAdapter",),
    "drivers.slcan_controller": ("SlcanStatistics",),
    "endpoints.bcm": ("BcmEndpoint", "open_bcm"),
    "endpoints.bcm_handles": ("AnswerOperation", "BcmOperation", "CyclicOperation"),
    "endpoints.bcm_protocol": ("BcmProtocol",),
    "endpoints.bcm_tasks": ("CyclicTask", "RemoteAnswer", "Watch"),
    "endpoints.bcm_transport": ("BcmTransport", "create_bcm_transport"),
    "endpoints.bcm_values": (
        "BcmAttribute",
        "BcmEvent",
        "BcmStatistics",
        "Changed",
        "CyclicStatus",
        "Multiplex",
        "TimedOut",
    ),
    "endpoints.isotp": ("open_isotp",),
    "endpoints.isotp_functional": ("FunctionalRequest", "functional_request"),
    "endpoints.isotp_link": ("IsotpLink",),
    "endpoints.isotp_protocol": ("IsotpProtocol",),
    "endpoints.isotp_server": ("IsotpRequest", "serve_isotp"),
    "endpoints.isotp_transport": ("IsotpTransport", "create_isotp_transport"),
    "endpoints.isotp_values": ("IsotpAttribute", "IsotpStatistics"),
    "endpoints.link_values": ("LinkGap", "LinkWait", "OnLinkLoss"),
    "endpoints.protocol": ("CanProtocol",),
    "endpoints.raw": ("RawEndpoint",),
    "endpoints.raw_opening": ("open_raw",),
    "endpoints.statistics": ("RawAttribute", "RawStatistics"),
    "endpoints.transport": ("RawTransport",),
    "endpoints.transport_opening": ("create_raw_transport",),
    "engine.isotp_guess": ("guess_connections",),
    "engine.isotp_monitor": ("IsotpMonitor",),
    "engine.isotp_record": ("IsotpRecord",),
    "exceptions": (
        "AddressError",
        "CanError",
        "CanOSError",
        "CanPermissionError",
        "ConfigurationError",
        "FilterError",
        "FlowControlError",
        "FlowControlOverflowError",
        "FlowControlTimeoutError",
        "FrameError",
        "FrameNotSupportedError",
        "GatewayError",
        "GatewayFileError",
        "GatewayLoopError",
        "GatewayRunningError",
        "InterfaceDownError",
        "InterfaceError",
        "InterfaceExistsError",
        "InterfaceRemovedError",
        "IsotpError",
        "IsotpReceiveError",
        "IsotpSendError",
        "LogParseError",
        "NetworkUnavailableError",
        "NotACanInterfaceError",
        "OffloadError",
        "OperationError",
        "OperationExistsError",
        "OptionNotSupportedError",
        "PaddingError",
        "ParseError",
        "PduError",
        "ProtocolUnavailableError",
        "ReceptionInterruptedError",
        "ReceptionTimeoutError",
        "RoutingError",
        "SendUnconfirmedError",
        "SequenceError",
        "SubscriptionOverflowError",
        "UnknownInterfaceError",
    ),
    "filter": ("CanFilter", "Filter", "byte"),
    "frame": (
        "AnyFrame",
        "ControllerError",
        "ErrorClass",
        "ErrorFrame",
        "FdFrame",
        "Frame",
        "ProtocolError",
        "ProtocolLocation",
        "RemoteFrame",
        "TransceiverError",
        "XlFrame",
    ),
    "gateway.file": ("GatewayFile", "load_gateway_file"),
    "gateway.gateway": ("Gateway", "list_gateways", "read_gateway"),
    "gateway.limits": ("RateLimit", "TimeWindow"),
    "gateway.modification": ("Modification",),
    "gateway.reasons": ("DropReason",),
    "gateway.rule": ("GatewayPort", "Rule"),
    "gateway.statistics": (
        "DestinationStatistics",
        "GatewayStatistics",
        "LatencyHistogram",
        "PortStatistics",
        "RuleStatistics",
    ),
    "interfaces.events": (
        "ErrorCountersChanged",
        "EventsLost",
        "InterfaceAdded",
        "InterfaceChanged",
        "InterfaceDown",
        "InterfaceEvent",
        "InterfaceRemoved",
        "InterfaceStateChanged",
        "InterfaceUp",
    ),
    "interfaces.functions": (
        "configure_interface",
        "create_vcan",
        "create_vxcan",
        "delete_interface",
        "get_interface",
        "list_interfaces",
        "restart_interface",
        "set_down",
        "set_up",
    ),
    "interfaces.values": ("Interface", "LinkCondition"),
    "interfaces.watch": ("InterfaceWatch", "wait_for_interface", "watch_interfaces"),
    "network.allowance": ("ServerLimits",),
    "network.base": ("Network",),
    "network.client": ("ServedNetwork",),
    "network.core.device": ("DevicePort", "NetworkDevice", "TransmitResult"),
    "network.status": ("ClientStatus", "NetworkStatus", "SocketStatus"),
    "network.user": ("UserInterface", "UserNetwork"),
    "routing.attached": ("ProtocolSubscription",),
    "routing.explanation": ("EndpointExplanation", "Explanation", "SubscriptionExplanation"),
    "routing.handlers": ("HandlerSubscription",),
    "routing.router": ("Router",),
    "routing.stream": ("FrameSubscription",),
    "routing.subscription": ("Subscription",),
    "routing.values": ("RouterStatistics", "RoutingFault", "SubscriptionStatistics"),
    "sockets.kernel": ("KernelNetwork", "kernel"),
    "sockets.networks": ("connect_network",),
    "wire.bit_timing": ("CalculatedBitTiming", "calc_bit_timing"),
    "wire.candump": ("LogFormatter", "ScreenFormatter"),
    "wire.errortext": ("describe_error",),
    "wire.frames": ("decode_frame", "encode_frame"),
    "wire.isotp_address": ("Address", "AddressingMode"),
    "wire.log": ("LogRecord", "read_log"),
    "wire.netlink_can": (
        "CanErrorCounters",
        "CanMode",
        "CanModes",
        "CanParameters",
        "CanState",
        "CanStatistics",
        "CanSupportedModes",
    ),
    "wire.netlink_gateway_changes": ("Crc8Checksum", "CrcProfile", "XorChecksum"),
    "wire.netlink_statistics": ("LinkStatistics",),
    "wire.netlink_timing": ("BitTiming", "BitTimingConstants", "PulseWidth", "TransmitterDelay"),
    "wire.options": ("VcidOptions",),
}
"""The public names of each module."""


def lazy_exports(
    package: str, namespace: dict[str, Any]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give a package's ``__getattr__`` and ``__dir__``.

    Args:
        package: Its name.
        namespace: Its globals: what has been asked for once is found there.
    """
    modules = {name: module for module, names in EXPORTS.items() for name in names}

    def get(name: str) -> Any:
        module = modules.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = namespace[name] = getattr(import_module(f"{package}.{module}"), name)
        return value

    def names() -> list[str]:
        return sorted({*namespace, *modules})

    return get, names
