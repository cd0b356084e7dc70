"""Error frames in words, as ``candump -e`` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.frame import ErrorClass, ErrorFrame, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLASSES: Final = {
    ErrorClass.TX_TIMEOUT: "tx-timeout",
    ErrorClass.LOST_ARBITRATION: "lost-arbitration",
    ErrorClass.CONTROLLER: "controller-problem",
    ErrorClass.PROTOCOL: "protocol-violation",
    ErrorClass.TRANSCEIVER: "transceiver-status",
    ErrorClass.NO_ACK: "no-acknowledgement-on-tx",
    ErrorClass.BUS_OFF: "bus-off",
    ErrorClass.BUS_ERROR: "bus-error",
    ErrorClass.RESTARTED: "restarted-after-bus-off",
}
_KNOWN: Final = sum(_CLASSES) | ErrorClass.COUNTERS
_CONTROLLER: Final[Mapping[int, str]] = {
    0x01: "rx-overflow",
    0x02: "tx-overflow",
    0x04: "rx-error-warning",
    0x08: "tx-error-warning",
    0x10: "rx-error-passive",
    0x20: "tx-error-passive",
    0x40: "back-to-error-active",
}
_PROTOCOL: Final[Mapping[int, str]] = {
    ProtocolError.BIT: "single-bit-error",
    ProtocolError.FORM: "frame-format-error",
    ProtocolError.STUFF: "bit-stuffing-error",
    ProtocolError.BIT0: "tx-dominant-bit-error",
    ProtocolError.BIT1: "tx-recessive-bit-error",
    ProtocolError.OVERLOAD: "bus-overload",
    ProtocolError.ACTIVE: "active-error",
    ProtocolError.TX: "error-on-tx",
}
# The location is the SJA1000's five-bit error code; linux/can/error.h names a part of them.
_LOCATIONS: Final = {
    0x02: "id.28-to-id.21",
    0x03: "start-of-frame",
    0x04: "bit-srtr",
    0x05: "bit-ide",
    0x06: "id.20-to-id.18",
    0x07: "id.17-to-id.13",
    0x08: "crc-sequence",
    0x09: "reserved-bit-0",
    0x0A: "data-field",
    0x0B: "data-length-code",
    0x0C: "bit-rtr",
    0x0D: "reserved-bit-1",
    0x0E: "id.4-to-id.0",
    0x0F: "id.12-to-id.5",
    0x11: "active-error-flag",
    0x12: "intermission",
    0x13: "tolerate-dominant-bits",
    0x16: "passive-error-flag",
    0x17: "error-delimiter",
    0x18: "crc-delimiter",
    0x19: "acknowledge-slot",
    0x1A: "end-of-frame",
    0x1B: "acknowledge-delimiter",
    0x1C: "overload-flag",
}


def describe_error(frame: ErrorFrame) -> list[str]:
    """Put an error frame into words, one line for each class and one for the error counters.

    The words are those of ``candump -e``. Where candump 2020.11 prints its own buffer, for the
    class of the counters and for classes newer than itself, this says what there is.

    Example:
        >>> describe_error(ErrorFrame.build(controller=ControllerError.RX_WARNING,
        ...                                 tx_error_count=96))
        ['controller-problem{rx-error-warning}', 'error-counter-tx-rx{{96}{0}}']
    """
    data = frame.data.ljust(8, b"\0")
    lines = [
        name + _detail(error_class, data)
        for error_class, name in _CLASSES.items()
        if frame.classes & error_class
    ]
    unknown = frame.id & ~_KNOWN
    if unknown:
        lines.append(f"unknown-class{{0x{unknown:X}}}")
    if frame.classes & ErrorClass.COUNTERS or data[6] or data[7]:
        lines.append(f"error-counter-tx-rx{{{{{data[6]}}}{{{data[7]}}}}}")
    return lines


def _detail(error_class: ErrorClass, data: bytes) -> str:
    match error_class:
        case ErrorClass.LOST_ARBITRATION:
            return f"{{at bit {data[0]}}}"
        case ErrorClass.CONTROLLER:
            return f"{{{_names(_CONTROLLER, data[1])}}}"
        case ErrorClass.PROTOCOL:
            return f"{{{{{_names(_PROTOCOL, data[2])}}}{{{_location(data[3])}}}}}"
        case _:
            return ""


def _names(names: Mapping[int, str], bits: int) -> str:
    return ",".join(name for bit, name in names.items() if bits & bit)


def _location(code: int) -> str:
    return _LOCATIONS.get(code, "unspecified" if 0 < code < 0x20 else "")
