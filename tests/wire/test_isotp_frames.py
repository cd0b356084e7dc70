"""What the bytes of a frame of ISO-TP say."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies

from anycan.wire.isotp_frames import (
    ConsecutiveFrame,
    FirstFrame,
    FlowControlFrame,
    IsotpFrame,
    SingleFrame,
    decode_isotp_frame,
)


def data(size: int) -> bytes:
    return bytes(range(1, size + 1))


@pytest.mark.parametrize(
    ("digits", "start", "expected"),
    [
        # Single frames: short, padded, behind an address byte, of CAN FD
        ("01 3E", 0, SingleFrame(b"\x3e")),
        ("02 3E 00 CC CC CC CC CC", 0, SingleFrame(b"\x3e\x00")),
        ("07 01 02 03 04 05 06 07", 0, SingleFrame(data(7))),
        ("F1 06 01 02 03 04 05 06", 1, SingleFrame(data(6))),
        ("00 08" + data(8).hex() + "CC CC", 0, SingleFrame(data(8))),
        ("00 3E" + data(62).hex(), 0, SingleFrame(data(62))),
        ("F1 00 08" + data(8).hex() + "CC", 1, SingleFrame(data(8))),
        ("00 02 3E 00" + 60 * "CC", 0, SingleFrame(b"\x3e\x00")),  # longer than it has to be
        # First frames: of 12 and of 32 bits, of CAN FD, of a PDU that a single frame could hold
        ("10 08 01 02 03 04 05 06", 0, FirstFrame(8, data(6), 8)),
        ("1F FF 01 02 03 04 05 06", 0, FirstFrame(4095, data(6), 8)),
        ("10 00 00 00 10 00 01 02", 0, FirstFrame(4096, data(2), 8)),
        ("10 00 FF FF FF FF 01 02", 0, FirstFrame(0xFFFFFFFF, data(2), 8)),
        ("F1 10 07 01 02 03 04 05", 1, FirstFrame(7, data(5), 8)),
        ("10 14" + data(10).hex(), 0, FirstFrame(20, data(10), 12)),
        ("11 00" + data(62).hex(), 0, FirstFrame(256, data(62), 64)),
        ("10 07 01 02 03 04 05 06", 0, FirstFrame(7, data(6), 8)),
        # Consecutive frames
        ("21 01 02 03 04 05 06 07", 0, ConsecutiveFrame(1, data(7))),
        ("20 01", 0, ConsecutiveFrame(0, data(1))),
        ("F1 2F 01 02", 1, ConsecutiveFrame(15, data(2))),
        ("22" + data(63).hex(), 0, ConsecutiveFrame(2, data(63))),
        # Flow control
        ("30 00 00", 0, FlowControlFrame(0, 0, 0)),
        ("31 08 F1 AA AA AA AA AA", 0, FlowControlFrame(1, 8, 0xF1)),
        ("F1 32 FF 7F", 1, FlowControlFrame(2, 255, 0x7F)),
    ],
)
def test_what_a_frame_says(digits: str, start: int, expected: IsotpFrame) -> None:
    assert decode_isotp_frame(bytes.fromhex(digits), start) == expected


@pytest.mark.parametrize(
    ("digits", "start"),
    [
        ("", 0),
        ("F1", 1),
        ("00", 0),  # no length
        ("00 01 02 03", 0),
        ("08 01 02 03 04 05 06 07", 0),  # longer than the frame
        ("03 01 02", 0),
        ("F1 07 01 02 03 04 05 06", 1),
        ("01" + data(11).hex(), 0),  # a frame of more than 8 bytes has its length behind that
        ("00 00" + data(10).hex(), 0),
        ("00 0B" + data(10).hex(), 0),
        ("10 08 01 02 03", 0),  # a first frame is full
        ("10", 0),
        ("F1 10", 1),
        ("10 64" + data(7).hex(), 0),  # 9 bytes: no frame of CAN FD has that length
        ("10 06 01 02 03 04 05 06", 0),  # nothing is missing
        ("10 00 00 00 00 02 01 02", 0),
        ("10 00 00 00 00 00 01 02", 0),
        ("21", 0),
        ("F1 21", 1),
        ("30 00", 0),
        ("F1 30 00", 1),
        ("33 00 00", 0),  # a reserved status
        ("3F 00 00", 0),
        ("40 00 00", 0),
        ("FF FF FF FF FF FF FF FF", 0),
    ],
)
def test_what_is_no_frame_of_isotp(digits: str, start: int) -> None:
    assert decode_isotp_frame(bytes.fromhex(digits), start) is None


@given(strategies.binary(max_size=64), strategies.integers(0, 1))
def test_any_bytes_will_do(anything: bytes, start: int) -> None:
    frame = decode_isotp_frame(anything, start)
    if isinstance(frame, SingleFrame):
        assert frame.pdu
    elif isinstance(frame, FirstFrame):
        assert len(frame.data) < frame.length
