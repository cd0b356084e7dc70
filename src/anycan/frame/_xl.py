"""Frames of CAN XL."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex, final

import attrs

from anycan.exceptions import FrameError
from anycan.frame._base import (
    ReceptionFields,
    check_data,
    check_number,
    describe_reception,
    set_frozen,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

SEC = 0x01  # linux/can.h: CANXL_SEC, simple extended content
RRS = 0x02  # linux/can.h: CANXL_RRS, remote request substitution
XLF = 0x80  # linux/can.h: CANXL_XLF, the kernel's mark of a CAN XL frame


@attrs.define(repr=False)
class XlFrameFields(ReceptionFields):
    """The stored fields of an :class:`XlFrame`."""

    priority: int
    data: bytes
    sdt: int
    acceptance_field: int
    vcid: int
    flags: int


@final
@attrs.frozen(init=False, repr=False)
class XlFrame(XlFrameFields):
    """A data frame of CAN XL.

    Args:
        priority: The priority identifier, 0 to 0x7FF.
        data: 1 to 2048 bytes.
        sdt: The SDU type, 0 to 255.
        acceptance_field: The acceptance field, 0 to 0xFFFFFFFF.
        vcid: The virtual CAN network identifier, 0 to 255.
        sec: Simple extended content. None: as in ``flags``.
        rrs: Remote request substitution. None: as in ``flags``.
        flags: The byte ``canxl_frame.flags`` whole: SEC 1, RRS 2, XLF 0x80 (mandatory, and always
            set here).
        timestamp_ns: When the kernel took it, in nanoseconds since the epoch.
        hardware_timestamp_ns: When the controller took it, by its own clock.
        interface: Name of the interface it was received from.
        local: It was sent on this host.
        own: It was sent by this very endpoint.

    Raises:
        FrameError: A value is out of range.

    Source: CiA 610-1 (ISO 11898-1:2024), XLFF; ``struct canxl_frame`` in ``linux/can.h``.

    Example:
        >>> str(XlFrame(0x123, bytes(2), sdt=3, acceptance_field=0x12345678, vcid=0x45))
        '45123#80:03:12345678#0000'
    """

    __match_args__ = ("priority", "data")

    def __init__(
        self,
        priority: SupportsIndex,
        data: Iterable[int],
        *,
        sdt: SupportsIndex = 0,
        acceptance_field: SupportsIndex = 0,
        vcid: SupportsIndex = 0,
        sec: bool | None = None,
        rrs: bool | None = None,
        flags: SupportsIndex = XLF,
        timestamp_ns: int | None = None,
        hardware_timestamp_ns: int | None = None,
        interface: str | None = None,
        local: bool = False,
        own: bool = False,
    ) -> None:
        number = check_number("flags", flags, 0, 255)
        if not number & XLF:
            raise FrameError(f"flags of a CAN XL frame have 0x80 (XLF) set, not 0x{number:02X}")
        if sec is not None:
            number = number | SEC if sec else number & ~SEC
        if rrs is not None:
            number = number | RRS if rrs else number & ~RRS
        checked_priority = check_number("priority", priority, 0, 0x7FF)
        data = check_data("a frame of CAN XL", data, 1, 2048)
        checked_sdt = check_number("sdt", sdt, 0, 0xFF)
        checked_field = check_number("acceptance_field", acceptance_field, 0, 0xFFFFFFFF)
        checked_vcid = check_number("vcid", vcid, 0, 0xFF)
        set_frozen(self, "__class__", XlFrameFields)
        XlFrameFields.__init__(
            self,
            timestamp_ns,
            hardware_timestamp_ns,
            interface,
            local,
            own,
            checked_priority,
            data,
            checked_sdt,
            checked_field,
            checked_vcid,
            number,
        )
        self.__class__ = XlFrame

    @property
    def id(self) -> int:
        """The priority: what other frames have as their identifier."""
        return self.priority

    @property
    def sec(self) -> bool:
        """Simple extended content."""
        return self.flags & SEC != 0

    @property
    def rrs(self) -> bool:
        """Remote request substitution."""
        return self.flags & RRS != 0

    @property
    def can_id(self) -> int:
        """The 32-bit word ``canxl_frame.prio``: the priority, and the VCID in bits 16 to 23."""
        return self.priority | self.vcid << 16

    def __str__(self) -> str:
        """Give the frame in candump's notation."""
        return (
            f"{self.vcid:02X}{self.priority:03X}#{self.flags:02X}:{self.sdt:02X}"
            f":{self.acceptance_field:08X}#{self.data.hex().upper()}"
        )

    def __repr__(self) -> str:
        flags = f"{', sec=True' if self.sec else ''}{', rrs=True' if self.rrs else ''}"
        if self.flags & ~(SEC | RRS | XLF):
            flags += f", flags=0x{self.flags:02X}"
        return (
            f"XlFrame(0x{self.priority:03X}, {self.data!r}, sdt={self.sdt},"
            f" acceptance_field=0x{self.acceptance_field:X}, vcid={self.vcid}"
            f"{flags}{describe_reception(self)})"
        )
