"""candump's notation: literal texts, what is refused, and the way there and back."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.exceptions import FrameError, ParseError
from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

quick = settings(max_examples=50, deadline=None, derandomize=True)

_standard = {"id": st.integers(0, 0x7FF), "extended": st.booleans()}
_extended = {"id": st.integers(0, 0x1FFFFFFF), "extended": st.just(True)}
_raw_dlc = st.integers(9, 15)
any_frame: st.SearchStrategy[AnyFrame] = st.one_of(
    *(
        strategy
        for identity in (_standard, _extended)
        for strategy in (
            st.builds(Frame, **identity, data=st.binary(max_size=8)),
            st.builds(Frame, **identity, data=st.binary(min_size=8, max_size=8), len8_dlc=_raw_dlc),
            st.builds(RemoteFrame, **identity, length=st.integers(0, 8)),
            st.builds(RemoteFrame, **identity, length=st.just(8), len8_dlc=_raw_dlc),
            st.builds(FdFrame, **identity, data=st.binary(max_size=64), flags=st.integers(0, 255)),
        )
    ),
    st.builds(
        XlFrame,
        st.integers(0, 0x7FF),
        st.binary(min_size=1, max_size=100),
        sdt=st.integers(0, 0xFF),
        acceptance_field=st.integers(0, 0xFFFFFFFF),
        vcid=st.integers(0, 0xFF),
        flags=st.integers(0x80, 0xFF),
    ),
    st.builds(ErrorFrame, st.integers(0, 0x1FFFFFFF), st.binary(max_size=8)),
)

# Any code point, surrogates too; st.characters() would first tabulate all of Unicode.
any_character = st.integers(0, sys.maxunicode).map(chr)
likely_characters = "0123456789ABCDEFabcdefRr#_:.~ \n"


@given(any_frame)
@quick
def test_what_is_written_reads_the_same(frame: AnyFrame) -> None:
    again = Frame.parse(str(frame))
    assert again == frame
    assert str(again) == str(frame)


@given(st.text(any_character, max_size=40) | st.text(likely_characters, max_size=40))
@quick
def test_any_text_is_a_frame_or_refused_as_documented(text: str) -> None:
    try:
        frame = Frame.parse(text)
    except (ParseError, FrameError):
        return
    assert Frame.parse(str(frame)) == frame


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("123#DEADBEEF", Frame(0x123, b"\xde\xad\xbe\xef")),
        ("123#deadbeef", Frame(0x123, b"\xde\xad\xbe\xef")),
        ("123#DE.AD.BE.EF", Frame(0x123, b"\xde\xad\xbe\xef")),
        ("7ff#", Frame(0x7FF)),
        ("00000123#11", Frame(0x123, b"\x11", extended=True)),
        ("1FFFFFFF#", Frame(0x1FFFFFFF)),
        ("123#1122334455667788_E", Frame(0x123, bytes.fromhex("1122334455667788"), len8_dlc=14)),
        ("123#1122334455667788_e", Frame(0x123, bytes.fromhex("1122334455667788"), len8_dlc=14)),
        ("123#1122_0", Frame(0x123, b"\x11\x22")),
        ("123#R", RemoteFrame(0x123)),
        ("123#r5", RemoteFrame(0x123, 5)),
        ("12345678#R8", RemoteFrame(0x12345678, 8)),
        ("12345678#R8_B", RemoteFrame(0x12345678, 8, len8_dlc=11)),
        ("123##0", FdFrame(0x123)),
        ("123##3AABB", FdFrame(0x123, b"\xaa\xbb", brs=True, esi=True)),
        ("12345678##1AA.BB", FdFrame(0x12345678, b"\xaa\xbb", brs=True)),
        (
            "45123#81:07:12345678#11.22",
            XlFrame(0x123, b"\x11\x22", sdt=7, acceptance_field=0x12345678, vcid=0x45, sec=True),
        ),
        ("20000004#0001", ErrorFrame(4, b"\x00\x01")),
        ("3FFFFFFF#", ErrorFrame(0x1FFFFFFF, b"")),
    ],
)
def test_the_forms(text: str, frame: AnyFrame) -> None:
    assert Frame.parse(text) == frame


def test_the_flags_of_can_fd_are_kept_whole() -> None:
    frame = Frame.parse("123##F")
    assert isinstance(frame, FdFrame)
    assert frame.flags == 0xF


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a frame in candump's notation: ''; for example 123#DEADBEEF"),
        ("123", "not a frame"),
        ("#1122", "not a frame"),
        ("12#", "not a frame"),
        ("1234#", "not a frame"),
        ("123456789#", "not a frame"),
        ("123#GG", "not a frame"),
        ("123# 11", "not a frame"),
        ("123#11\n", "not a frame"),
        (" 123#11", "not a frame"),
        ("123##", "not a frame"),
        ("123#R10", "not a frame"),
        ("123#11_", "not a frame"),
        ("123##011_9", "not a frame"),
        ("\uff11\uff12\uff13#", "not a frame"),
        ("45123#81:00:1234567#11", "not a frame"),
        ("123#1", "an odd number of hex digits in the data of '123#1'"),
        ("123##0AAB", "an odd number of hex digits"),
        ("12345#11", "CAN XL, and it alone, has five digits (VCID, priority) before the '#'"),
        ("123#80:00:00000000#11", "CAN XL, and it alone, has five digits"),
        ("12345678#80:00:00000000#11", "CAN XL, and it alone, has five digits"),
        ("20000004#R", "an error frame has data alone behind the '#'"),
        ("FFFFFFFF##0", "an error frame has data alone behind the '#'"),
        ("20000004##011", "an error frame has data alone behind the '#'"),
        ("20000004#1122334455667788_9", "an error frame has data alone behind the '#'"),
        ("20000004#1", "an odd number of hex digits"),
    ],
)
def test_text_that_is_no_frame(text: str, words: str) -> None:
    with pytest.raises(ParseError, match=re.escape(words)) as caught:
        Frame.parse(text)
    assert caught.value.text == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("800#", "needs 29 bits"),
        ("92345678#", "out of range"),
        ("123#112233445566778899", "0 to 8 bytes of data, not 9"),
        ("123#11_9", "not 9 beside 1"),
        ("123#1122334455667788_8", "not 8 beside 8"),
        ("123#R9", "length of a remote frame is 0 to 8, not 9"),
        ("123#R_9", "not 9 beside 0"),
        ("123##0" + "00" * 65, "0 to 64 bytes of data, not 65"),
        ("45123#01:00:00000000#11", "0x80 (XLF) set, not 0x01"),
        ("45923#80:00:00000000#11", "priority is 0 to 2047"),
        ("45123#80:00:00000000#", "1 to 2048 bytes of data, not 0"),
        ("20000001#" + "00" * 9, "0 to 8 bytes of data, not 9"),
    ],
)
def test_text_with_a_value_out_of_range(text: str, words: str) -> None:
    with pytest.raises(FrameError, match=re.escape(words)):
        Frame.parse(text)
