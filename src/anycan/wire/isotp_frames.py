"""What a frame of ISO-TP says: its protocol control information, decoded.

A frame is taken as soon as one receiver in the field would make something of it: where the kernel
and ISO 15765-2 differ (a single frame of CAN FD that is longer than it has to be, a first frame of
a PDU that a single frame could hold), it is the more lenient one that counts here.

Source: ISO 15765-2:2016, clause 9.6, tables 9 to 19.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from anycan.wire.isotp import (
    CONSECUTIVE_FRAME,
    FIRST_FRAME,
    FLOW_CONTROL,
    FLOW_CONTROL_SIZE,
    OVERFLOW,
    SINGLE_FRAME,
    padded_length,
)

_CLASSICAL_SIZE: Final = 8


@attrs.frozen
class SingleFrame:
    """A PDU in one frame.

    Attributes:
        pdu: Its bytes, at least one.
    """

    pdu: bytes


@attrs.frozen
class FirstFrame:
    """The beginning of a PDU.

    Attributes:
        length: How many bytes the PDU has: more than are here.
        data: The first of them.
        frame_size: How much data the sender's frames have, the last one excepted: 8, or of CAN FD
            up to 64.
    """

    length: int
    data: bytes
    frame_size: int


@attrs.frozen
class ConsecutiveFrame:
    """Some more of a PDU.

    Attributes:
        number: The sequence number, 0 to 15.
        data: Bytes of the PDU; in the last frame padding may follow them.
    """

    number: int
    data: bytes


@attrs.frozen
class FlowControlFrame:
    """What the receiver of a PDU says to its sender.

    Attributes:
        status: 0: continue to send; 1: wait; 2: there is no room for the PDU.
        block_size: How many frames may come before it says so again; 0: all.
        stmin: The separation time, as it stands in the frame.
    """

    status: int
    block_size: int
    stmin: int


IsotpFrame: TypeAlias = SingleFrame | FirstFrame | ConsecutiveFrame | FlowControlFrame


def decode_isotp_frame(data: bytes, start: int = 0) -> IsotpFrame | None:
    r"""Give what a frame says; None: it is no frame of ISO-TP.

    Args:
        data: Its data, of any length.
        start: Where the protocol control information begins: 1 behind an address byte, else 0.

    Example:
        >>> decode_isotp_frame(bytes.fromhex("0322F190AAAAAAAA"))
        SingleFrame(pdu=b'"\xf1\x90')
        >>> decode_isotp_frame(bytes.fromhex("30080A"))
        FlowControlFrame(status=0, block_size=8, stmin=10)
    """
    if len(data) <= start:
        return None
    first = data[start]
    kind = first & 0xF0
    if kind == SINGLE_FRAME:
        return _single_frame(data, start)
    if kind == CONSECUTIVE_FRAME:
        rest = data[start + 1 :]
        return ConsecutiveFrame(first & 0x0F, rest) if rest else None
    if kind == FIRST_FRAME:
        return _first_frame(data, start)
    if kind == FLOW_CONTROL and len(data) >= start + FLOW_CONTROL_SIZE:
        status = first & 0x0F
        if status <= OVERFLOW:
            return FlowControlFrame(status, data[start + 1], data[start + 2])
    return None


def _single_frame(data: bytes, start: int) -> SingleFrame | None:
    size = data[start] & 0x0F
    begin = start + 1
    if len(data) > _CLASSICAL_SIZE:
        if size:
            return None
        size = data[begin]
        begin += 1
    pdu = data[begin : begin + size]
    return SingleFrame(pdu) if pdu and len(pdu) == size else None


def _first_frame(data: bytes, start: int) -> FirstFrame | None:
    frame_size = len(data)
    if frame_size != padded_length(frame_size):
        return None
    length = (data[start] & 0x0F) << 8 | data[start + 1]
    begin = start + 2
    if not length:
        length = int.from_bytes(data[begin : begin + 4], "big")
        begin += 4
    beginning = data[begin:]
    return FirstFrame(length, beginning, frame_size) if length > len(beginning) else None
