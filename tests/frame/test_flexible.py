from __future__ import annotations

import re
from typing import Any

import pytest

from anycan.exceptions import FrameError
from anycan.frame import BRS, ESI, FDF, FdFrame, Frame


def test_the_flags_are_the_kernels() -> None:
    assert (BRS, ESI, FDF) == (1, 2, 4)


def test_a_frame() -> None:
    frame = FdFrame(0x123, bytes(12), brs=True)
    assert (frame.id, frame.data, frame.extended, frame.flags) == (0x123, bytes(12), False, 1)
    assert (frame.brs, frame.esi) == (True, False)
    assert frame.can_id == 0x123
    assert FdFrame(0x12345678).can_id == 0x92345678


@pytest.mark.parametrize(
    ("arguments", "flags", "brs", "esi"),
    [
        ({}, 0, False, False),
        ({"brs": True}, 1, True, False),
        ({"esi": True}, 2, False, True),
        ({"brs": True, "esi": True}, 3, True, True),
        ({"flags": 7}, 7, True, True),
        ({"flags": 7, "brs": False}, 6, False, True),
        ({"flags": 7, "esi": False}, 5, True, False),
        ({"flags": 0xF0, "brs": True, "esi": False}, 0xF1, True, False),
        ({"flags": 4, "brs": None, "esi": None}, 4, False, False),
    ],
)
def test_brs_and_esi_change_the_flags_when_told(
    arguments: dict[str, Any], flags: int, brs: bool, esi: bool
) -> None:
    frame = FdFrame(0x123, **arguments)
    assert (frame.flags, frame.brs, frame.esi) == (flags, brs, esi)


def test_of_the_flags_brs_and_esi_alone_take_part_in_equality() -> None:
    plain = FdFrame(0x123, b"A")
    assert FdFrame(0x123, b"A", flags=0xFC) == plain
    assert hash(FdFrame(0x123, b"A", flags=0xFC)) == hash(plain)
    assert FdFrame(0x123, b"A", brs=True) != plain
    assert FdFrame(0x123, b"A", esi=True) != plain
    assert FdFrame(0x123, b"A", esi=True) != FdFrame(0x123, b"A", brs=True)


DLC = [*range(9), *[9] * 4, *[10] * 4, *[11] * 4, *[12] * 4, *[13] * 8, *[14] * 16, *[15] * 16]


@pytest.mark.parametrize("length", range(65))
def test_the_dlc_is_the_least_that_holds_the_data(length: int) -> None:
    assert FdFrame(1, bytes(length)).dlc == DLC[length]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"data": bytes(65)}, "a frame of CAN FD carries 0 to 64 bytes of data, not 65"),
        ({"flags": 256}, "flags is 0 to 255, not 256"),
        ({"flags": -1}, "flags is 0 to 255, not -1"),
        ({"flags": "1"}, "flags is an integer, not '1'"),
    ],
)
def test_out_of_range(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(FrameError, match=re.escape(words)):
        FdFrame(0x123, **arguments)


@pytest.mark.parametrize(
    ("frame", "text", "code"),
    [
        (FdFrame(0x123), "123##0", "FdFrame(0x123, b'')"),
        (
            FdFrame(0x123, b"AB", brs=True, esi=True),
            "123##34142",
            "FdFrame(0x123, b'AB', brs=True, esi=True)",
        ),
        (
            FdFrame(0x12345678, flags=5),
            "12345678##5",
            "FdFrame(0x12345678, b'', brs=True, flags=0x05)",
        ),
        (
            FdFrame(0x001, extended=True, esi=True),
            "00000001##2",
            "FdFrame(0x00000001, b'', extended=True, esi=True)",
        ),
        (FdFrame(0x001, flags=0xF4), "001##4", "FdFrame(0x001, b'', flags=0xF4)"),
    ],
)
def test_text_and_code(frame: FdFrame, text: str, code: str) -> None:
    assert str(frame) == text
    assert repr(frame) == code
    assert Frame.parse(text) == frame


def test_match_by_position() -> None:
    match FdFrame(0x123, b"AB", brs=True):
        case FdFrame(identifier, data, brs=True):
            assert (identifier, data) == (0x123, b"AB")
        case _:
            pytest.fail("no match")
