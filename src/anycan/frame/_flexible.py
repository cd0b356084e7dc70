"""Frames of CAN FD."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, SupportsIndex, final

import attrs

from anycan.frame._base import (
    EFF_FLAG,
    ReceptionFields,
    check_data,
    check_identifier,
    check_number,
    describe_extended,
    describe_identifier,
    describe_reception,
    set_frozen,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

BRS = 0x01  # linux/can.h: CANFD_BRS, the data phase is sent at the second bit rate
ESI = 0x02  # linux/can.h: CANFD_ESI, the sender is error passive
FDF = 0x04  # linux/can.h: CANFD_FDF, the kernel's mark of a CAN FD frame

_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)  # ISO 11898-1, by DLC


def _bus_flags(flags: int) -> int:
    return flags & (BRS | ESI)


@attrs.define(repr=False)
class FdFrameFields(ReceptionFields):
    """The stored fields of an :class:`FdFrame`."""

    id: int
    data: bytes
    extended: bool
    flags: int = attrs.field(eq=_bus_flags)


@final
@attrs.frozen(init=False, repr=False)
class FdFrame(FdFrameFields):
    """A data frame of CAN FD.

    Args:
        id: The identifier: 0 to 0x7FF, or 0 to 0x1FFFFFFF when extended.
        data: 0 to 64 bytes. On a bus the length is one of 0 to 8, 12, 16, 20, 24, 32, 48 and 64;
            a driver pads what lies between (a vcan does not).
        extended: Whether the identifier has 29 bits; None: when it needs them.
        brs: Bit rate switch: the data phase is sent at the data bit rate. None: as in ``flags``.
        esi: Error state indicator: the sender is error passive. None: as in ``flags``.
        flags: The byte ``canfd_frame.flags`` whole: BRS 1, ESI 2, FDF 4 (which the kernel sets in
            every CAN FD frame). Of these, BRS and ESI take part in equality.
        timestamp_ns: When the kernel took it, in nanoseconds since the epoch.
        hardware_timestamp_ns: When the controller took it, by its own clock.
        interface: Name of the interface it was received from.
        local: It was sent on this host.
        own: It was sent by this very endpoint.

    Raises:
        FrameError: A value is out of range.

    Source: ISO 11898-1, FBFF and FEFF; ``struct canfd_frame`` in ``linux/can.h``.

    Example:
        >>> frame = FdFrame(0x123, bytes(12), brs=True)
        >>> frame.brs, frame.esi, frame.dlc
        (True, False, 9)
    """

    __match_args__ = ("id", "data")

    def __init__(
        self,
        id: SupportsIndex,  # noqa: A002 - the field's own term
        data: Iterable[int] = b"",
        *,
        extended: bool | None = None,
        brs: bool | None = None,
        esi: bool | None = None,
        flags: SupportsIndex = 0,
        timestamp_ns: int | None = None,
        hardware_timestamp_ns: int | None = None,
        interface: str | None = None,
        local: bool = False,
        own: bool = False,
    ) -> None:
        identifier, is_extended = check_identifier(id, extended)
        data = check_data("a frame of CAN FD", data, 0, 64)
        number = check_number("flags", flags, 0, 255)
        if brs is not None:
            number = number | BRS if brs else number & ~BRS
        if esi is not None:
            number = number | ESI if esi else number & ~ESI
        set_frozen(self, "__class__", FdFrameFields)
        FdFrameFields.__init__(
            self,
            timestamp_ns,
            hardware_timestamp_ns,
            interface,
            local,
            own,
            identifier,
            data,
            is_extended,
            number,
        )
        self.__class__ = FdFrame

    @property
    def brs(self) -> bool:
        """Bit rate switch: the data phase is sent at the data bit rate."""
        return self.flags & BRS != 0

    @property
    def esi(self) -> bool:
        """Error state indicator: the sender is error passive."""
        return self.flags & ESI != 0

    @property
    def can_id(self) -> int:
        """The 32-bit word of ``struct canfd_frame``: identifier and flags."""
        return self.id | EFF_FLAG if self.extended else self.id

    @property
    def dlc(self) -> int:
        """The data length code on the bus, 0 to 15: the least whose length holds the data."""
        return bisect_left(_LENGTHS, len(self.data))

    def __str__(self) -> str:
        """Give the frame in candump's notation."""
        rest = f"{self.flags & 0xF:X}{self.data.hex().upper()}"
        return f"{self.id:08X}##{rest}" if self.extended else f"{self.id:03X}##{rest}"

    def __repr__(self) -> str:
        flags = f"{', brs=True' if self.brs else ''}{', esi=True' if self.esi else ''}"
        if self.flags & ~(BRS | ESI):
            flags += f", flags=0x{self.flags:02X}"
        return (
            f"FdFrame({describe_identifier(self.id, self.extended)}, {self.data!r}"
            f"{describe_extended(self.id, self.extended)}{flags}{describe_reception(self)})"
        )
