"""What the bytes of a frame are, and what they cost."""

from __future__ import annotations

import pytest

from anycan.network.core import payload
from anycan.network.core.payload import CLASSICAL, FLEXIBLE, INVALID, XL


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (bytes(16), CLASSICAL),
        (b"\x01\x00\x00\x00\x08" + bytes(11), CLASSICAL),
        (b"\x01\x00\x00\x00\x09" + bytes(11), INVALID),
        (bytes(72), FLEXIBLE),
        (b"\x01\x00\x00\x00\x40" + bytes(67), FLEXIBLE),
        (b"\x01\x00\x00\x00\x41" + bytes(67), INVALID),
        (b"\x01\x00\x00\x00\x80\x00\x01\x00\x00\x00\x00\x00\xaa", XL),
        (b"\x01\x00\x00\x00\x80\x00\x02\x00\x00\x00\x00\x00\xaa", INVALID),
        (b"\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\xaa", INVALID),
        (b"\x01\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", INVALID),
        (b"\x01\x00\x00\x00\x80\x00\x04\x00\x00\x00\x00\x00" + bytes(4), XL),  # as long as CAN
        (b"\x01\x00\x00\x00\x80\x00\x3c\x00\x00\x00\x00\x00" + bytes(60), XL),  # as CAN FD
        (b"\x01\x00\x00\x00\x80\x00\x00\x08\x00\x00\x00\x00" + bytes(2048), XL),
        (b"\x01\x00\x00\x00\x80\x00\x01\x08\x00\x00\x00\x00" + bytes(2049), INVALID),
        (b"", INVALID),
        (bytes(15), INVALID),
    ],
)
def test_size_length_and_flag_tell_the_kind(message: bytes, kind: int) -> None:
    assert payload.kind_of(message) == kind


def test_a_remote_frame_carries_no_data() -> None:
    assert payload.data_length(bytes(4) + b"\x08" + bytes(11), CLASSICAL, 0x123) == 8
    assert payload.data_length(bytes(4) + b"\x08" + bytes(11), CLASSICAL, 0x40000123) == 0
    assert payload.data_length(bytes(4) + b"\x30" + bytes(67), FLEXIBLE, 0x123) == 48
    assert payload.data_length(bytes(1012), XL, 0x123) == 1000


@pytest.mark.parametrize("flags", [0, 1, 4, 7, 0xF0, 0xFF])
def test_the_flag_of_can_fd_is_added_to_the_others(flags: int) -> None:
    before, behind = b"\x01\x02\x03\x04\x40", bytes(range(66))
    marked = payload.mark_flexible(before + bytes([flags]) + behind)
    assert marked == before + bytes([flags | 4]) + behind


def test_the_first_word_is_replaced() -> None:
    assert payload.replace_word(b"\x01\x02\x03\x04\x05\x06", 0x0A0B0C0D) == bytes.fromhex(
        "0d0c0b0a0506"
    )


@pytest.mark.parametrize(
    ("size", "charge"),
    [
        (16, 960),
        (72, 960),
        # CAN XL: header of 12 and this much data, as SO_MEMINFO of Linux 6.12 gave it
        (12 + 1, 960),
        (12 + 356, 960),
        (12 + 357, 1280),
        (12 + 676, 1280),
        (12 + 677, 2304),
        (12 + 1700, 2304),
        (12 + 1704, 4352),
        (12 + 2048, 4352),
    ],
)
def test_a_message_costs_what_the_kernel_charges(size: int, charge: int) -> None:
    assert payload.charge_of(size) == charge


def test_the_default_buffer_holds_222_frames() -> None:
    held = next(count for count in range(1000) if count * payload.charge_of(16) >= 212_992)
    assert held == 222
