"""Error message frames: what a controller reports of itself and of the bus."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, TypeVar, final

import attrs

from anycan.frame._base import (
    EFF_MASK,
    ERR_FLAG,
    ReceptionFields,
    check_data,
    check_number,
    describe_reception,
    set_frozen,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


_EnumType = TypeVar("_EnumType", bound=IntEnum)


class ErrorClass(IntFlag):
    """The classes of an error frame; several may be set at once (``linux/can/error.h``)."""

    TX_TIMEOUT = 0x001
    """The driver gave up sending a frame."""
    LOST_ARBITRATION = 0x002
    """Arbitration was lost; :attr:`ErrorFrame.lost_arbitration_bit` says at which bit."""
    CONTROLLER = 0x004
    """The controller's own problems; see :attr:`ErrorFrame.controller`."""
    PROTOCOL = 0x008
    """A protocol violation; see :attr:`ErrorFrame.protocol` and its location."""
    TRANSCEIVER = 0x010
    """The transceiver's state; see :attr:`ErrorFrame.transceiver`."""
    NO_ACK = 0x020
    """No other node acknowledged the frame."""
    BUS_OFF = 0x040
    """The controller has left the bus (transmit error counter above 255)."""
    BUS_ERROR = 0x080
    """A bus error (with bit-error reporting these may flood)."""
    RESTARTED = 0x100
    """The controller was restarted after bus-off."""
    COUNTERS = 0x200
    """The frame carries both error counters."""

    ALL = 0x1FFFFFFF
    """Every class, also those that later kernels may add."""


_NAMED_CLASSES = sum(ErrorClass)


class ControllerError(IntFlag):
    """Data byte 1 of an error frame: the controller's problems."""

    RX_OVERFLOW = 0x01
    TX_OVERFLOW = 0x02
    RX_WARNING = 0x04
    TX_WARNING = 0x08
    RX_PASSIVE = 0x10
    TX_PASSIVE = 0x20
    ACTIVE = 0x40


class ProtocolError(IntFlag):
    """Data byte 2 of an error frame: the kind of protocol violation."""

    BIT = 0x01
    FORM = 0x02
    STUFF = 0x04
    BIT0 = 0x08
    BIT1 = 0x10
    OVERLOAD = 0x20
    ACTIVE = 0x40
    TX = 0x80


class ProtocolLocation(IntEnum):
    """Data byte 3 of an error frame: where in the frame the violation was seen."""

    UNSPECIFIED = 0x00
    ID28_TO_ID21 = 0x02
    START_OF_FRAME = 0x03
    SUBSTITUTE_RTR = 0x04
    IDENTIFIER_EXTENSION = 0x05
    ID20_TO_ID18 = 0x06
    ID17_TO_ID13 = 0x07
    CRC_SEQUENCE = 0x08
    RESERVED_BIT_0 = 0x09
    DATA = 0x0A
    DLC = 0x0B
    RTR = 0x0C
    RESERVED_BIT_1 = 0x0D
    ID4_TO_ID0 = 0x0E
    ID12_TO_ID5 = 0x0F
    INTERMISSION = 0x12
    CRC_DELIMITER = 0x18
    ACK_SLOT = 0x19
    END_OF_FRAME = 0x1A
    ACK_DELIMITER = 0x1B


class TransceiverError(IntEnum):
    """Data byte 4 of an error frame: the state of the two wires."""

    UNSPECIFIED = 0x00
    CANH_NO_WIRE = 0x04
    CANH_SHORT_TO_BATTERY = 0x05
    CANH_SHORT_TO_SUPPLY = 0x06
    CANH_SHORT_TO_GROUND = 0x07
    CANL_NO_WIRE = 0x40
    CANL_SHORT_TO_BATTERY = 0x50
    CANL_SHORT_TO_SUPPLY = 0x60
    CANL_SHORT_TO_GROUND = 0x70
    CANL_SHORT_TO_CANH = 0x80


@attrs.define(repr=False)
class ErrorFrameFields(ReceptionFields):
    """The stored fields of an :class:`ErrorFrame`."""

    # A plain integer: an IntFlag keeps every value it has ever been made of, and whoever is on the
    # bus could have it keep half a billion.
    class_bits: int = attrs.field(alias="classes")
    data: bytes


@final
@attrs.frozen(init=False, repr=False)
class ErrorFrame(ErrorFrameFields):
    """An error message frame of a controller. It exists on the host only, never on the bus.

    Args:
        classes: Every class that applies, joined with ``|``.
        data: The detail, 8 bytes as drivers send it (0 to 8 are taken). :meth:`build` writes it
            from names.
        timestamp_ns: When the kernel took it, in nanoseconds since the epoch.
        hardware_timestamp_ns: When the controller took it, by its own clock.
        interface: Name of the interface it was received from.
        local: It was sent on this host.
        own: It was sent by this very endpoint.

    Raises:
        FrameError: The classes or the data are out of range.

    Source: ``linux/can/error.h``.

    Example:
        >>> frame = Frame.parse("20000204#0004000000006000")
        >>> frame.classes == ErrorClass.CONTROLLER | ErrorClass.COUNTERS
        True
        >>> frame.controller is ControllerError.RX_WARNING, frame.tx_error_count
        (True, 96)
    """

    __match_args__ = ("classes", "data")

    def __init__(
        self,
        classes: ErrorClass | int,
        data: Iterable[int] = bytes(8),
        *,
        timestamp_ns: int | None = None,
        hardware_timestamp_ns: int | None = None,
        interface: str | None = None,
        local: bool = False,
        own: bool = False,
    ) -> None:
        number = check_number("error classes", classes, 0, EFF_MASK)
        data = check_data("an error frame", data, 0, 8)
        set_frozen(self, "__class__", ErrorFrameFields)
        ErrorFrameFields.__init__(
            self,
            timestamp_ns,
            hardware_timestamp_ns,
            interface,
            local,
            own,
            number,
            data,
        )
        self.__class__ = ErrorFrame

    @classmethod
    def build(
        cls,
        classes: ErrorClass | int = 0,
        *,
        lost_arbitration_bit: int | None = None,
        controller: ControllerError | None = None,
        protocol: ProtocolError | None = None,
        protocol_location: ProtocolLocation | int = ProtocolLocation.UNSPECIFIED,
        transceiver: TransceiverError | None = None,
        tx_error_count: int | None = None,
        rx_error_count: int | None = None,
    ) -> ErrorFrame:
        """Make an error frame from its details; each detail sets its class.

        Args:
            classes: Classes that have no detail, such as ``ErrorClass.BUS_OFF``.
            lost_arbitration_bit: Bit at which arbitration was lost; 0: unspecified.
            controller: The controller's problems.
            protocol: The protocol violation.
            protocol_location: Where it was seen; goes with ``protocol``.
            transceiver: The state of the wires.
            tx_error_count: The transmit error counter, 0 to 255.
            rx_error_count: The receive error counter, 0 to 255.

        Raises:
            FrameError: A detail is out of range.

        Example:
            >>> str(ErrorFrame.build(ErrorClass.BUS_OFF, tx_error_count=255))
            '20000240#000000000000FF00'
        """
        detail = bytearray(8)
        if lost_arbitration_bit is not None:
            classes |= ErrorClass.LOST_ARBITRATION
            detail[0] = check_number("lost_arbitration_bit", lost_arbitration_bit, 0, 255)
        if controller is not None:
            classes |= ErrorClass.CONTROLLER
            detail[1] = check_number("controller", controller, 0, 255)
        if protocol is not None:
            classes |= ErrorClass.PROTOCOL
            detail[2] = check_number("protocol", protocol, 0, 255)
            detail[3] = check_number("protocol_location", protocol_location, 0, 255)
        if transceiver is not None:
            classes |= ErrorClass.TRANSCEIVER
            detail[4] = check_number("transceiver", transceiver, 0, 255)
        if tx_error_count is not None or rx_error_count is not None:
            classes |= ErrorClass.COUNTERS
            detail[6] = check_number("tx_error_count", tx_error_count or 0, 0, 255)
            detail[7] = check_number("rx_error_count", rx_error_count or 0, 0, 255)
        return cls(classes, bytes(detail))

    @property
    def classes(self) -> ErrorClass:
        """Every class that applies. Bits without a name are left out; ``id`` has them all."""
        return ErrorClass(self.class_bits & _NAMED_CLASSES)

    @property
    def id(self) -> int:
        """All bits of the classes: what stands where other frames have their identifier."""
        return self.class_bits

    @property
    def can_id(self) -> int:
        """The 32-bit word of ``struct can_frame``: the error flag and the classes."""
        return ERR_FLAG | self.class_bits

    @property
    def lost_arbitration_bit(self) -> int | None:
        """Bit at which arbitration was lost, 0: unspecified. None: not of that class."""
        return self._detail(ErrorClass.LOST_ARBITRATION, 0)

    @property
    def controller(self) -> ControllerError | None:
        """The controller's problems, all that are set. None: not of that class."""
        value = self._detail(ErrorClass.CONTROLLER, 1)
        return None if value is None else ControllerError(value)

    @property
    def protocol(self) -> ProtocolError | None:
        """The protocol violations, all that are set. None: not of that class."""
        value = self._detail(ErrorClass.PROTOCOL, 2)
        return None if value is None else ProtocolError(value)

    @property
    def protocol_location(self) -> ProtocolLocation | int | None:
        """Where the violation was seen; a bare number where the header names none."""
        return self._named(ProtocolLocation, ErrorClass.PROTOCOL, 3)

    @property
    def transceiver(self) -> TransceiverError | int | None:
        """The state of the wires; a bare number where the header names none."""
        return self._named(TransceiverError, ErrorClass.TRANSCEIVER, 4)

    @property
    def tx_error_count(self) -> int | None:
        """The transmit error counter: 96 is warning, 128 passive. None: not carried."""
        return self._detail(ErrorClass.COUNTERS, 6)

    @property
    def rx_error_count(self) -> int | None:
        """The receive error counter: 96 is warning, 128 passive. None: not carried."""
        return self._detail(ErrorClass.COUNTERS, 7)

    def _detail(self, error_class: ErrorClass, position: int) -> int | None:
        if not self.classes & error_class:
            return None
        return self.data[position] if position < len(self.data) else 0

    def _named(
        self, names: type[_EnumType], error_class: ErrorClass, position: int
    ) -> _EnumType | int | None:
        value = self._detail(error_class, position)
        try:
            return None if value is None else names(value)
        except ValueError:
            return value

    def __str__(self) -> str:
        """Give the frame in candump's notation."""
        return f"{self.can_id:08X}#{self.data.hex().upper()}"

    def __repr__(self) -> str:
        return (
            f"ErrorFrame({_describe_classes(self.class_bits)}, {self.data!r}"
            f"{describe_reception(self)})"
        )


def _describe_classes(classes: int) -> str:
    """Give the classes as code: by name, and those without one as a number."""
    names = [f"ErrorClass.{one.name}" for one in ErrorClass if one & classes]
    unnamed = classes & ~_NAMED_CLASSES
    if unnamed or not names:
        names.append(f"0x{unnamed:X}")
    return " | ".join(names)
