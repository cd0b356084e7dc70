"""The broadcast manager's messages, byte by byte."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given, strategies

from anycan.wire.bcm import NATIVE, BcmFlag, BcmLayout, BcmMessage, BcmOpcode, Interval

pytestmark = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")

MESSAGE = BcmMessage(
    BcmOpcode.TX_SETUP,
    BcmFlag.SETTIMER | BcmFlag.STARTTIMER,
    5,
    Interval(1, 2),
    Interval(3, 4),
    0x80000123,
    1,
    b"\x23\x01\0\x80\x02\0\0\0\x11\x22" + bytes(6),
)
FRAME = " 23010080 02000000 1122000000000000"
BYTES = {
    8: "01000000 03000000 05000000 00000000"
    " 0100000000000000 0200000000000000 0300000000000000 0400000000000000"
    " 23010080 01000000" + FRAME,
    4: "01000000 03000000 05000000 01000000 02000000 03000000 04000000"
    " 23010080 01000000 00000000" + FRAME,
}


@pytest.mark.parametrize(("long_size", "head_size"), [(8, 56), (4, 40)])
def test_both_layouts(long_size: int, head_size: int) -> None:
    layout = BcmLayout(long_size)
    assert layout.head_size == head_size
    data = bytes.fromhex(BYTES[long_size])
    assert layout.encode(MESSAGE) == data
    assert layout.decode(data) == MESSAGE


def test_the_native_layout() -> None:
    assert NATIVE.head_size == (56 if struct.calcsize("@l") == 8 else 40)


def test_frames_of_can_fd_are_larger() -> None:
    message = BcmMessage(BcmOpcode.RX_CHANGED, BcmFlag.CAN_FD_FRAME, frames=bytes(144))
    assert message.frame_size == 72
    assert NATIVE.decode(NATIVE.encode(message)) == message
    assert BcmMessage(BcmOpcode.RX_CHANGED).frame_size == 16


@pytest.mark.parametrize("data", [b"", bytes(55), bytes(57), bytes(56 + 15)])
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(ValueError, match=f"^{len(data) % 56 or len(data)} bytes are no"):
        BcmLayout(8).decode(data)


def test_frames_of_another_size() -> None:
    head = BcmLayout(8).encode(BcmMessage(1, BcmFlag.CAN_FD_FRAME))
    with pytest.raises(ValueError, match="16 bytes are no frames of 72 bytes"):
        BcmLayout(8).decode(head + bytes(16))


def test_a_number_without_room() -> None:
    with pytest.raises(struct.error):
        NATIVE.encode(BcmMessage(1, count=2**32))


@pytest.mark.parametrize(
    ("seconds", "interval"),
    [(0, Interval()), (0.01, Interval(0, 10_000)), (1.5, Interval(1, 500_000)),
     (0.9999999, Interval(1, 0)), (86400, Interval(86400, 0))],
)  # fmt: skip
def test_intervals(seconds: float, interval: Interval) -> None:
    assert Interval.from_seconds(seconds) == interval
    assert interval.to_seconds() == pytest.approx(seconds, abs=1e-6)
    assert interval.to_nanoseconds() == round(seconds * 1e6) * 1000


@given(strategies.binary(max_size=400))
def test_any_bytes_are_a_message_or_none(data: bytes) -> None:
    for layout in (BcmLayout(4), BcmLayout(8)):
        try:
            message = layout.decode(data)
        except ValueError:
            continue
        assert layout.decode(layout.encode(message)) == message
