from __future__ import annotations

from typing import Any

import pytest

from anycan.exceptions import CanError, FrameError, ParseError
from anycan.frame import AnyFrame, FdFrame, Frame, RemoteFrame


def test_a_data_frame() -> None:
    frame = Frame(0x123, b"\x01\x02")
    assert (frame.id, frame.data, frame.extended, frame.len8_dlc) == (0x123, b"\x01\x02", False, 0)
    assert frame.can_id == 0x123
    assert frame.dlc == 2
    assert Frame(0x123).data == b""


def test_the_word_of_a_29_bit_frame_has_the_flag() -> None:
    assert Frame(0x12345678).can_id == 0x92345678
    assert Frame(0x123, extended=True).can_id == 0x80000123
    assert RemoteFrame(0x12345678).can_id == 0xD2345678
    assert RemoteFrame(0x123).can_id == 0x40000123


def test_a_remote_frame() -> None:
    frame = RemoteFrame(0x123, 4)
    assert (frame.id, frame.length, frame.extended, frame.len8_dlc) == (0x123, 4, False, 0)
    assert frame.data == b""
    assert frame.dlc == 4
    assert RemoteFrame(0x123).length == 0


@pytest.mark.parametrize("raw_dlc", range(9, 16))
def test_a_raw_dlc_beside_eight_bytes(raw_dlc: int) -> None:
    assert Frame(0x123, bytes(8), len8_dlc=raw_dlc).dlc == raw_dlc
    assert RemoteFrame(0x123, 8, len8_dlc=raw_dlc).dlc == raw_dlc
    assert Frame(0x123, bytes(8), len8_dlc=raw_dlc) != Frame(0x123, bytes(8))


def test_without_raw_dlc_the_dlc_is_the_length() -> None:
    assert [Frame(1, bytes(length)).dlc for length in range(9)] == list(range(9))
    assert [RemoteFrame(1, length).dlc for length in range(9)] == list(range(9))


@pytest.mark.parametrize(
    ("length", "raw_dlc", "words"),
    [
        (7, 9, "len8_dlc is 0, or 9 to 15 beside a length of 8; not 9 beside 7"),
        (0, 15, "not 15 beside 0"),
        (8, 8, "not 8 beside 8"),
        (8, 1, "not 1 beside 8"),
        (8, 16, "len8_dlc is 0 to 15, not 16"),
        (8, -1, "len8_dlc is 0 to 15, not -1"),
        (8, "9", "len8_dlc is an integer, not '9'"),
    ],
)
def test_raw_dlc_out_of_range(length: int, raw_dlc: Any, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        Frame(0x123, bytes(length), len8_dlc=raw_dlc)
    with pytest.raises(FrameError, match=words):
        RemoteFrame(0x123, length, len8_dlc=raw_dlc)


@pytest.mark.parametrize("extended", [None, True])
def test_more_than_eight_bytes(extended: bool | None) -> None:
    with pytest.raises(FrameError, match="classical CAN carries 0 to 8 bytes of data, not 9"):
        Frame(0x123, bytes(9), extended=extended)
    with pytest.raises(FrameError, match="classical CAN carries 0 to 8 bytes of data, not 9"):
        Frame(0x12345, bytes(9), extended=extended)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (9, "length of a remote frame is 0 to 8, not 9"),
        (-1, "length of a remote frame is 0 to 8, not -1"),
        (b"", "length of a remote frame is an integer, not b''"),
    ],
)
def test_a_remote_frame_asks_for_eight_bytes_at_most(length: Any, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        RemoteFrame(0x123, length)


def test_a_frame_error_is_a_value_error_of_anycan() -> None:
    with pytest.raises(ValueError, match="identifier") as caught:
        Frame(-1)
    assert isinstance(caught.value, CanError)


def kind_of(frame: AnyFrame) -> tuple[object, ...]:
    match frame:
        case Frame(0x123, b"\x01"):
            return ("exact",)
        case Frame(id=identifier, data=data, extended=True):
            return ("extended", identifier, data)
        case Frame():
            return ("data",)
        case RemoteFrame(identifier, length):
            return ("remote", identifier, length)
        case FdFrame():
            return ("fd",)
    return ("other",)


def test_match_tells_frames_apart() -> None:
    assert kind_of(Frame(0x123, b"\x01")) == ("exact",)
    assert kind_of(Frame(0x123, b"\x02", extended=True)) == ("extended", 0x123, b"\x02")
    assert kind_of(Frame(0x123)) == ("data",)
    assert kind_of(RemoteFrame(0x124, 3)) == ("remote", 0x124, 3)
    assert kind_of(FdFrame(0x123, b"\x01")) == ("fd",)


@pytest.mark.parametrize(
    ("frame", "text", "code"),
    [
        (Frame(0x123), "123#", "Frame(0x123, b'')"),
        (Frame(0x001, b"\xde\xad"), "001#DEAD", r"Frame(0x001, b'\xde\xad')"),
        (Frame(0x12345678), "12345678#", "Frame(0x12345678, b'')"),
        (Frame(0x1, extended=True), "00000001#", "Frame(0x00000001, b'', extended=True)"),
        (Frame(0x800, extended=True), "00000800#", "Frame(0x00000800, b'')"),
        (
            Frame(0x123, b"12345678", len8_dlc=14),
            "123#3132333435363738_E",
            "Frame(0x123, b'12345678', len8_dlc=14)",
        ),
        (RemoteFrame(0x123), "123#R", "RemoteFrame(0x123, 0)"),
        (RemoteFrame(0x12345678, 8), "12345678#R8", "RemoteFrame(0x12345678, 8)"),
        (
            RemoteFrame(2, 1, extended=True),
            "00000002#R1",
            "RemoteFrame(0x00000002, 1, extended=True)",
        ),
        (RemoteFrame(0x7FF, 8, len8_dlc=9), "7FF#R8_9", "RemoteFrame(0x7FF, 8, len8_dlc=9)"),
    ],
)
def test_text_and_code(frame: AnyFrame, text: str, code: str) -> None:
    assert str(frame) == text
    assert repr(frame) == code
    assert Frame.parse(text) == frame


def test_what_is_no_frame_is_not_parsed() -> None:
    with pytest.raises(ParseError):
        Frame.parse("123")
