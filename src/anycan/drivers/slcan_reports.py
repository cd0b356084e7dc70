"""The error frames that a kernel driver would make of what an slcan adapter tells.

Source: ``drivers/net/can/slcan/slcan-core.c`` and ``drivers/net/can/dev/dev.c``
(``can_change_state``), as in Linux 6.12; for the flags of ``F`` ``sja1000.c``, whose they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.drivers.slcan_protocol import StatusFlag
from anycan.frame import ControllerError, ErrorClass, ErrorFrame, ProtocolError, ProtocolLocation
from anycan.wire.netlink_can import CanState

if TYPE_CHECKING:
    from anycan.drivers.slcan_protocol import StateLine

_TRANSMIT: Final = {
    CanState.ERROR_ACTIVE: ControllerError.ACTIVE,
    CanState.ERROR_WARNING: ControllerError.TX_WARNING,
    CanState.ERROR_PASSIVE: ControllerError.TX_PASSIVE,
}
_RECEIVE: Final = {
    CanState.ERROR_ACTIVE: ControllerError.ACTIVE,
    CanState.ERROR_WARNING: ControllerError.RX_WARNING,
    CanState.ERROR_PASSIVE: ControllerError.RX_PASSIVE,
}
_VIOLATIONS: Final = {
    "b": ProtocolError.BIT0,
    "B": ProtocolError.BIT1,
    "c": ProtocolError.BIT,
    "f": ProtocolError.FORM,
    "s": ProtocolError.STUFF,
}
_PLACES: Final = {"a": ProtocolLocation.ACK_SLOT, "c": ProtocolLocation.CRC_SEQUENCE}
_OVERFLOWS: Final = {"o": ControllerError.RX_OVERFLOW, "O": ControllerError.TX_OVERFLOW}
_GREATEST_COUNT: Final = 255  # what a byte of an error frame holds


def state_report(line: StateLine) -> ErrorFrame:
    """Give the report of a state that is new."""
    if line.state is CanState.BUS_OFF:
        return ErrorFrame(ErrorClass.BUS_OFF)
    controller = ControllerError(0)
    if line.transmit >= line.receive:
        controller |= _TRANSMIT[line.state]
    if line.transmit <= line.receive:
        controller |= _RECEIVE[line.state]
    return ErrorFrame.build(
        controller=controller,
        tx_error_count=min(line.transmit, _GREATEST_COUNT),
        rx_error_count=min(line.receive, _GREATEST_COUNT),
    )


def errors_report(letters: str) -> ErrorFrame:
    """Give the report of errors on the bus, by their letters.

    As in the kernel, the last one tells the place and the overflow.
    """
    violation = ProtocolError(0)
    place = ProtocolLocation.UNSPECIFIED
    overflow = ControllerError(0)
    for letter in letters:
        violation |= _VIOLATIONS.get(letter, ProtocolError(0))
        place = _PLACES.get(letter, place)
        overflow = _OVERFLOWS.get(letter, overflow)
    return ErrorFrame.build(
        ErrorClass.BUS_ERROR | (ErrorClass.NO_ACK if "a" in letters else ErrorClass(0)),
        controller=overflow or None,
        protocol=violation,
        protocol_location=place,
    )


def status_report(flags: int, state: CanState | None) -> ErrorFrame | None:
    """Give the report of the flags that ``F`` answers.

    Args:
        flags: Those of :class:`StatusFlag`.
        state: The controller's state so far; None: the flags are not to say it, as the adapter
            does by other means.

    Returns:
        The report; None: there is nothing to report. It does not say whether sending or receiving
        has brought another state about, so that it names both.
    """
    controller = ControllerError(0)
    told = _told_state(flags)
    if state is not None and told is not state:
        controller |= _TRANSMIT[told] | _RECEIVE[told]
    if flags & StatusFlag.DATA_OVERRUN:
        controller |= ControllerError.RX_OVERFLOW
    failed = bool(flags & StatusFlag.BUS_ERROR)
    lost = bool(flags & StatusFlag.ARBITRATION_LOST)
    if not (controller or failed or lost):
        return None
    return ErrorFrame.build(
        ErrorClass.BUS_ERROR if failed else ErrorClass(0),
        controller=controller or None,
        protocol=ProtocolError(0) if failed else None,
        lost_arbitration_bit=0 if lost else None,
    )


def _told_state(flags: int) -> CanState:
    if flags & StatusFlag.ERROR_PASSIVE:
        return CanState.ERROR_PASSIVE
    if flags & StatusFlag.ERROR_WARNING:
        return CanState.ERROR_WARNING
    return CanState.ERROR_ACTIVE
