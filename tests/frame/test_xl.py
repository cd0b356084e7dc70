from __future__ import annotations

import re
from typing import Any

import pytest

from anycan.exceptions import FrameError
from anycan.frame import RRS, SEC, XLF, Frame, XlFrame


def test_the_flags_are_the_kernels() -> None:
    assert (SEC, RRS, XLF) == (1, 2, 0x80)


def test_a_frame() -> None:
    frame = XlFrame(0x123, b"A", sdt=3, acceptance_field=0x12345678, vcid=0x45, sec=True)
    assert (frame.priority, frame.data, frame.sdt) == (0x123, b"A", 3)
    assert (frame.acceptance_field, frame.vcid, frame.flags) == (0x12345678, 0x45, 0x81)
    assert frame.can_id == 0x450123
    plain = XlFrame(0x123, b"A")
    assert (plain.sdt, plain.acceptance_field, plain.vcid, plain.flags) == (0, 0, 0, 0x80)


@pytest.mark.parametrize(
    ("arguments", "flags", "sec", "rrs"),
    [
        ({}, 0x80, False, False),
        ({"sec": True}, 0x81, True, False),
        ({"rrs": True}, 0x82, False, True),
        ({"flags": 0x83}, 0x83, True, True),
        ({"flags": 0x83, "sec": False}, 0x82, False, True),
        ({"flags": 0x83, "rrs": False}, 0x81, True, False),
        ({"flags": 0xFF, "sec": None, "rrs": None}, 0xFF, True, True),
    ],
)
def test_sec_and_rrs_change_the_flags_when_told(
    arguments: dict[str, Any], flags: int, sec: bool, rrs: bool
) -> None:
    frame = XlFrame(1, b"A", **arguments)
    assert (frame.flags, frame.sec, frame.rrs) == (flags, sec, rrs)


def test_all_that_is_on_the_bus_takes_part_in_equality() -> None:
    plain = XlFrame(0x123, b"A")
    assert plain == XlFrame(0x123, b"A")
    assert plain != XlFrame(0x124, b"A")
    assert plain != XlFrame(0x123, b"B")
    assert plain != XlFrame(0x123, b"A", sdt=1)
    assert plain != XlFrame(0x123, b"A", acceptance_field=1)
    assert plain != XlFrame(0x123, b"A", vcid=1)
    assert plain != XlFrame(0x123, b"A", sec=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"priority": 0x800}, "priority is 0 to 2047, not 2048"),
        ({"priority": -1}, "priority is 0 to 2047, not -1"),
        ({"data": b""}, "a frame of CAN XL carries 1 to 2048 bytes of data, not 0"),
        ({"data": bytes(2049)}, "1 to 2048 bytes of data, not 2049"),
        ({"sdt": 256}, "sdt is 0 to 255, not 256"),
        ({"sdt": -1}, "sdt is 0 to 255, not -1"),
        ({"sdt": None}, "sdt is an integer, not None"),
        ({"acceptance_field": 1 << 32}, "acceptance_field is 0 to 4294967295, not 4294967296"),
        ({"acceptance_field": -1}, "acceptance_field is 0 to 4294967295, not -1"),
        ({"vcid": 256}, "vcid is 0 to 255, not 256"),
        ({"vcid": -1}, "vcid is 0 to 255, not -1"),
        ({"flags": 0x100}, "flags is 0 to 255, not 256"),
        ({"flags": 0x01}, "flags of a CAN XL frame have 0x80 (XLF) set, not 0x01"),
    ],
)
def test_out_of_range(arguments: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"priority": 0x123, "data": b"A", **arguments}
    with pytest.raises(FrameError, match=re.escape(words)):
        XlFrame(**whole)


@pytest.mark.parametrize("length", [1, 2048])
def test_the_lengths_that_are_just_right(length: int) -> None:
    assert len(XlFrame(0, bytes(length)).data) == length


@pytest.mark.parametrize(
    ("frame", "text", "code"),
    [
        (
            XlFrame(0x123, b"\x11", vcid=0x45, sec=True, acceptance_field=0x12345678),
            "45123#81:00:12345678#11",
            r"XlFrame(0x123, b'\x11', sdt=0, acceptance_field=0x12345678, vcid=69, sec=True)",
        ),
        (
            XlFrame(0x001, b"AB", sdt=0xFF, rrs=True),
            "00001#82:FF:00000000#4142",
            "XlFrame(0x001, b'AB', sdt=255, acceptance_field=0x0, vcid=0, rrs=True)",
        ),
        (
            XlFrame(0x001, b"A", flags=0xC1),
            "00001#C1:00:00000000#41",
            "XlFrame(0x001, b'A', sdt=0, acceptance_field=0x0, vcid=0, sec=True, flags=0xC1)",
        ),
    ],
)
def test_text_and_code(frame: XlFrame, text: str, code: str) -> None:
    assert str(frame) == text
    assert repr(frame) == code
    assert Frame.parse(text) == frame


def test_match_by_position() -> None:
    match XlFrame(0x123, b"AB", vcid=7):
        case XlFrame(priority, data, vcid=vcid):
            assert (priority, data, vcid) == (0x123, b"AB", 7)
        case _:
            pytest.fail("no match")
