"""What every frame has: what the host knows of its reception, and the way a frame is made cheap.

A frame is immutable to its users, and a reader makes one for every message of a bus. attrs' own
frozen classes set each field through ``object.__setattr__``, which costs several times a plain
store. So every kind of frame is two classes of one memory layout: *fields*, an ordinary attrs
class whose generated ``__init__`` stores plainly, and the public *frame*, frozen and with no field
of its own. A frame is made as fields and then becomes a frame by its ``__class__``: one pointer is
changed. Nobody else ever holds the fields.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, SupportsIndex

import attrs

from anycan.exceptions import FrameError

if TYPE_CHECKING:
    from collections.abc import Iterable

EFF_FLAG = 0x80000000  # linux/can.h: CAN_EFF_FLAG, the identifier has 29 bits
RTR_FLAG = 0x40000000  # linux/can.h: CAN_RTR_FLAG, a remote transmission request
ERR_FLAG = 0x20000000  # linux/can.h: CAN_ERR_FLAG, an error message frame
SFF_MASK = 0x000007FF
EFF_MASK = 0x1FFFFFFF

set_frozen = object.__setattr__


@attrs.define(eq=False, repr=False)
class ReceptionFields:
    """What a host knows of a frame it received. It takes no part in equality.

    A public frame made of it is final: a frame becomes of its class by name, so that another
    class would be left behind without a word.
    """

    timestamp_ns: int | None = attrs.field(eq=False)
    hardware_timestamp_ns: int | None = attrs.field(eq=False)
    interface: str | None = attrs.field(eq=False)
    local: bool = attrs.field(eq=False)
    own: bool = attrs.field(eq=False)

    def __init_subclass__(cls) -> None:
        for base in cls.__bases__:
            if getattr(base, "__final__", False):
                raise TypeError(
                    f"{base.__name__} cannot be subclassed: readers make frames of anycan's own"
                    " classes alone; give what you would add a class that holds the frame"
                )


def describe_reception(frame: ReceptionFields) -> str:
    """Give the keyword arguments, as text, of all that is known of a frame's reception."""
    text = ""
    if frame.timestamp_ns is not None:
        text += f", timestamp_ns={frame.timestamp_ns}"
    if frame.hardware_timestamp_ns is not None:
        text += f", hardware_timestamp_ns={frame.hardware_timestamp_ns}"
    if frame.interface is not None:
        text += f", interface={frame.interface!r}"
    if frame.local:
        text += ", local=True"
    if frame.own:
        text += ", own=True"
    return text


def describe_identifier(identifier: int, extended: bool) -> str:
    """Give an identifier as a constructor's first argument shows it."""
    return f"0x{identifier:08X}" if extended else f"0x{identifier:03X}"


def describe_extended(identifier: int, extended: bool) -> str:
    """Give ``extended=`` where the identifier alone does not tell."""
    return ", extended=True" if extended and identifier <= SFF_MASK else ""


def check_identifier(identifier: SupportsIndex, extended: bool | None) -> tuple[int, bool]:
    """Check an identifier against its format.

    Returns:
        The identifier, and whether it has 29 bits.

    Raises:
        FrameError: It is no integer, or out of range.
    """
    try:
        number = index(identifier)
    except TypeError:
        raise FrameError(f"an identifier is an integer, not {identifier!r}") from None
    if extended is None:
        extended = number > SFF_MASK
    if not 0 <= number <= (EFF_MASK if extended else SFF_MASK):
        if number <= EFF_MASK and number >= 0:
            raise FrameError(
                f"identifier 0x{number:X} needs 29 bits: leave out extended=False (in candump's"
                f" notation: write eight digits, {number:08X}), or use an identifier up to 0x7FF"
            )
        raise FrameError(
            f"identifier {number:#x} is out of range: 0 to 0x7FF (11 bits),"
            " or 0 to 0x1FFFFFFF (29 bits, extended)"
        )
    return number, bool(extended)


def check_number(name: str, value: SupportsIndex, least: int, most: int) -> int:
    """Check that a field's value is an integer in its range.

    Raises:
        FrameError: It is not.
    """
    try:
        number = index(value)
    except TypeError:
        raise FrameError(f"{name} is an integer, not {value!r}") from None
    if not least <= number <= most:
        raise FrameError(f"{name} is {least} to {most}, not {number}")
    return number


def _is_text_or_integer(value: object) -> bool:
    if not hasattr(value, "__index__"):
        return isinstance(value, str)
    try:
        index(value)  # a NumPy array has __index__ too, and is no number if it has a dimension
    except TypeError:
        return False
    return True


def check_data(kind: str, data: Iterable[int], least: int, most: int) -> bytes:
    """Check a payload and give it as bytes.

    Raises:
        FrameError: It is no payload, or too short or too long.
    """
    if type(data) is not bytes:
        if _is_text_or_integer(data):  # bytes(5) would be five zeros
            raise FrameError(
                f"data is bytes or an iterable of byte values, not {type(data).__name__}"
            )
        try:
            data = bytes(data)
        except (TypeError, ValueError) as error:
            raise FrameError(f"data is bytes or an iterable of byte values: {error}") from None
    if not least <= len(data) <= most:
        raise FrameError(f"{kind} carries {least} to {most} bytes of data, not {len(data)}")
    return data


def check_len8_dlc(length: int, len8_dlc: SupportsIndex) -> int:
    """Check the raw DLC of a frame of classical CAN.

    Raises:
        FrameError: It is neither 0 nor 9 to 15, or it is set and the length is not 8.
    """
    number = check_number("len8_dlc", len8_dlc, 0, 15)
    if number and (number <= 8 or length != 8):
        raise FrameError(
            f"len8_dlc is 0, or 9 to 15 beside a length of 8; not {number} beside {length}"
        )
    return number
