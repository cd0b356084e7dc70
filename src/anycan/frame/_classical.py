"""Frames of classical CAN that carry data or ask for it, and reading any frame from text."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex, final

import attrs

from anycan.frame._base import (
    EFF_FLAG,
    RTR_FLAG,
    ReceptionFields,
    check_data,
    check_identifier,
    check_len8_dlc,
    check_number,
    describe_extended,
    describe_identifier,
    describe_reception,
    set_frozen,
)
from anycan.frame._error import ErrorFrame
from anycan.frame._flexible import FdFrame
from anycan.frame._notation import Kind, split_notation
from anycan.frame._xl import XlFrame

if TYPE_CHECKING:
    from collections.abc import Iterable


@attrs.define(repr=False)
class RemoteFrameFields(ReceptionFields):
    """The stored fields of a :class:`RemoteFrame`."""

    id: int
    length: int
    extended: bool
    len8_dlc: int


@final
@attrs.frozen(init=False, repr=False)
class RemoteFrame(RemoteFrameFields):
    """A remote frame of classical CAN: it asks for data, and carries none.

    Args:
        id: The identifier: 0 to 0x7FF, or 0 to 0x1FFFFFFF when extended.
        length: The length asked for, 0 to 8.
        extended: Whether the identifier has 29 bits; None: when it needs them.
        len8_dlc: The raw DLC, 9 to 15, beside a length of 8; 0: the DLC is the length.
        timestamp_ns: When the kernel took it, in nanoseconds since the epoch.
        hardware_timestamp_ns: When the controller took it, by its own clock.
        interface: Name of the interface it was received from.
        local: It was sent on this host.
        own: It was sent by this very endpoint.

    Raises:
        FrameError: A value is out of range.

    Source: ISO 11898-1, remote frame; ``struct can_frame`` with ``CAN_RTR_FLAG``.

    Example:
        >>> str(RemoteFrame(0x12345678, 8))
        '12345678#R8'
    """

    __match_args__ = ("id", "length")

    def __init__(
        self,
        id: SupportsIndex,  # noqa: A002 - the field's own term
        length: SupportsIndex = 0,
        *,
        extended: bool | None = None,
        len8_dlc: SupportsIndex = 0,
        timestamp_ns: int | None = None,
        hardware_timestamp_ns: int | None = None,
        interface: str | None = None,
        local: bool = False,
        own: bool = False,
    ) -> None:
        identifier, is_extended = check_identifier(id, extended)
        number = check_number("length of a remote frame", length, 0, 8)
        raw_dlc = check_len8_dlc(number, len8_dlc)
        set_frozen(self, "__class__", RemoteFrameFields)
        RemoteFrameFields.__init__(
            self,
            timestamp_ns,
            hardware_timestamp_ns,
            interface,
            local,
            own,
            identifier,
            number,
            is_extended,
            raw_dlc,
        )
        self.__class__ = RemoteFrame

    @property
    def can_id(self) -> int:
        """The 32-bit word of ``struct can_frame``: identifier and flags."""
        return self.id | RTR_FLAG | (EFF_FLAG if self.extended else 0)

    @property
    def data(self) -> bytes:
        """No data, always."""
        return b""

    @property
    def dlc(self) -> int:
        """The data length code on the bus, 0 to 15."""
        return self.len8_dlc or self.length

    def __str__(self) -> str:
        """Give the frame in candump's notation."""
        text = f"{self.id:08X}#R" if self.extended else f"{self.id:03X}#R"
        if self.length:
            text += str(self.length)
        return f"{text}_{self.len8_dlc:X}" if self.len8_dlc else text

    def __repr__(self) -> str:
        raw_dlc = f", len8_dlc={self.len8_dlc}" if self.len8_dlc else ""
        return (
            f"RemoteFrame({describe_identifier(self.id, self.extended)}, {self.length}"
            f"{describe_extended(self.id, self.extended)}{raw_dlc}{describe_reception(self)})"
        )


@attrs.define(repr=False)
class FrameFields(ReceptionFields):
    """The stored fields of a :class:`Frame`."""

    id: int
    data: bytes
    extended: bool
    len8_dlc: int


class BlankFrame(FrameFields):
    """The fields of a :class:`Frame`, none of them set: made without a call of Python."""

    __slots__ = ()
    __init__ = object.__init__  # whoever makes one sets all fields


@final
@attrs.frozen(init=False, repr=False)
class Frame(FrameFields):
    """A data frame of classical CAN.

    Two frames are equal when they are the same on the bus; what is known of their reception
    takes no part in it.

    Args:
        id: The identifier: 0 to 0x7FF, or 0 to 0x1FFFFFFF when extended.
        data: 0 to 8 bytes.
        extended: Whether the identifier has 29 bits; None: when it needs them.
        len8_dlc: The raw DLC, 9 to 15, beside 8 bytes of data; 0: the DLC is the length.
        timestamp_ns: When the kernel took it, in nanoseconds since the epoch.
        hardware_timestamp_ns: When the controller took it, by its own clock.
        interface: Name of the interface it was received from.
        local: It was sent on this host.
        own: It was sent by this very endpoint.

    Raises:
        FrameError: A value is out of range.

    Source: ISO 11898-1, data frame in CBFF and CEFF; ``struct can_frame`` in ``linux/can.h``.

    Example:
        >>> Frame(0x123, bytes([1, 2])) == Frame.parse("123#0102")
        True
        >>> match Frame.parse("18DAF110#021003"):
        ...     case Frame(id=0x18DAF110, data=data):
        ...         data.hex()
        '021003'
    """

    __match_args__ = ("id", "data")

    def __init__(
        self,
        id: SupportsIndex,  # noqa: A002 - the field's own term
        data: Iterable[int] = b"",
        *,
        extended: bool | None = None,
        len8_dlc: SupportsIndex = 0,
        timestamp_ns: int | None = None,
        hardware_timestamp_ns: int | None = None,
        interface: str | None = None,
        local: bool = False,
        own: bool = False,
    ) -> None:
        if type(id) is not int or type(data) is not bytes or len8_dlc != 0 or not 0 <= id <= 0x7FF:
            id, extended = check_identifier(id, extended)  # noqa: A001 - the field's own term
            data = check_data("a frame of classical CAN", data, 0, 8)
            len8_dlc = check_len8_dlc(len(data), len8_dlc)
        elif len(data) > 8:
            check_data("a frame of classical CAN", data, 0, 8)
        set_frozen(self, "__class__", FrameFields)
        FrameFields.__init__(
            self,
            timestamp_ns,
            hardware_timestamp_ns,
            interface,
            local,
            own,
            id,
            data,
            bool(extended),
            int(len8_dlc),
        )
        self.__class__ = Frame

    @staticmethod
    def parse(text: str) -> AnyFrame:
        """Read a frame of any kind in candump's notation.

        Args:
            text: ``123#DEADBEEF`` (three digits: 11 bits, eight: 29 bits), ``12345678#R8``
                (remote), ``123##3AABB`` (CAN FD, one digit of flags),
                ``123#1122334455667788_E`` (raw DLC), ``45123#81:00:12345678#1122`` (CAN XL: VCID
                and priority, flags, SDT, acceptance field), ``20000004#0001`` (error frame).
                Data bytes may be parted by dots. ``str(frame)`` writes the same.

        Returns:
            A frame of the class that the text stands for.

        Raises:
            ParseError: The text is no frame.
            FrameError: It is one in form, with a value out of range.

        Example:
            >>> Frame.parse("123##34142")
            FdFrame(0x123, b'AB', brs=True, esi=True)
        """
        part = split_notation(text)
        match part.kind:
            case Kind.DATA:
                return Frame(
                    part.identifier, part.data, extended=part.extended, len8_dlc=part.len8_dlc
                )
            case Kind.REMOTE:
                return RemoteFrame(
                    part.identifier, part.length, extended=part.extended, len8_dlc=part.len8_dlc
                )
            case Kind.FD:
                return FdFrame(part.identifier, part.data, extended=part.extended, flags=part.flags)
            case Kind.XL:
                return XlFrame(
                    part.identifier,
                    part.data,
                    sdt=part.sdt,
                    acceptance_field=part.acceptance_field,
                    vcid=part.vcid,
                    flags=part.flags,
                )
            case Kind.ERROR:
                return ErrorFrame(part.identifier, part.data)

    @property
    def can_id(self) -> int:
        """The 32-bit word of ``struct can_frame``: identifier and flags."""
        return self.id | EFF_FLAG if self.extended else self.id

    @property
    def dlc(self) -> int:
        """The data length code on the bus, 0 to 15."""
        return self.len8_dlc or len(self.data)

    def __str__(self) -> str:
        """Give the frame in candump's notation."""
        data = self.data.hex().upper()
        text = f"{self.id:08X}#{data}" if self.extended else f"{self.id:03X}#{data}"
        return f"{text}_{self.len8_dlc:X}" if self.len8_dlc else text

    def __repr__(self) -> str:
        raw_dlc = f", len8_dlc={self.len8_dlc}" if self.len8_dlc else ""
        return (
            f"Frame({describe_identifier(self.id, self.extended)}, {self.data!r}"
            f"{describe_extended(self.id, self.extended)}{raw_dlc}{describe_reception(self)})"
        )


AnyFrame = Frame | FdFrame | XlFrame | RemoteFrame | ErrorFrame
"""Every kind of frame: what a reader of a bus may meet."""
