"""The lines of the slcan protocol, byte for byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import AnyFrame, CanState, Frame, RemoteFrame
from anycan.drivers.slcan_protocol import (
    LONGEST,
    ErrorsLine,
    FrameLine,
    Line,
    LineSplitter,
    Mark,
    StateLine,
    StatusLine,
    TextLine,
    decode_line,
    encode_frame_line,
)
from anycan.wire.frames import decode_frame, encode_frame

FRAMES = [
    (Frame(0x123), b"t1230"),
    (Frame(0x456, b"\x11\x22\x33"), b"t4563112233"),
    (Frame(0x7FF, b"\xfe" * 8), b"t7FF8FEFEFEFEFEFEFEFE"),
    (Frame(0x12ABCDEF, b"\xaa\x55"), b"T12ABCDEF2AA55"),
    (Frame(0x7, b"", extended=True), b"T000000070"),
    (RemoteFrame(0x123), b"r1230"),
    (RemoteFrame(0x123, 8), b"r1238"),
    (RemoteFrame(0x1FFFFFFF, 2), b"R1FFFFFFF2"),
]


@pytest.mark.parametrize(("frame", "line"), FRAMES, ids=str)
def test_frames(frame: AnyFrame, line: bytes) -> None:
    assert encode_frame_line(encode_frame(frame)) == line + b"\r"
    assert decode_line(line) == FrameLine(encode_frame(frame))


def test_a_dlc_above_8_has_no_place() -> None:
    assert encode_frame_line(encode_frame(Frame(1, bytes(8), len8_dlc=15))) == (
        b"t00180000000000000000\r"
    )


@pytest.mark.parametrize(
    ("line", "frame", "milliseconds"),
    [
        (b"t12300000", Frame(0x123), 0),
        (b"t12311100ff", Frame(0x123, b"\x11"), 255),
        (b"T12abcdef2aa55EA5F", Frame(0x12ABCDEF, b"\xaa\x55"), 59_999),
        (b"t1230EA60", Frame(0x123), None),  # a minute has no such millisecond
        (b"r12380010", RemoteFrame(0x123, 8), 16),
        (b"r1231AA0011", RemoteFrame(0x123, 1), 17),  # with slcanpty's data
    ],
)
def test_frames_with_a_time_stamp(line: bytes, frame: AnyFrame, milliseconds: int | None) -> None:
    assert decode_line(line) == FrameLine(encode_frame(frame), milliseconds)


def test_slcanpty_puts_data_behind_remote_frames() -> None:
    assert decode_line(b"r1233000000") == FrameLine(encode_frame(RemoteFrame(0x123, 3)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", Mark.DONE),
        (b"z", Mark.SENT),
        (b"Z", Mark.SENT),
        (b"F00", StatusLine(0)),
        (b"Fa4", StatusLine(0xA4)),
        (b"sa057033", StateLine(CanState.ERROR_ACTIVE, 57, 33)),
        (b"sw096000", StateLine(CanState.ERROR_WARNING, 96, 0)),
        (b"sp000128", StateLine(CanState.ERROR_PASSIVE, 0, 128)),
        (b"sb256256", StateLine(CanState.BUS_OFF, 256, 256)),
        (b"e1a", ErrorsLine("a")),
        (b"e3bcO", ErrorsLine("bcO")),
        (b"e1bc", ErrorsLine("b")),
        (b"V1013", TextLine("V", "1013")),
        (b"VL2K1 v2.0", TextLine("V", "L2K1 v2.0")),
        (b"N4242", TextLine("N", "4242")),
    ],
)
def test_what_adapters_tell(line: bytes, said: Line) -> None:
    assert decode_line(line) == said


@pytest.mark.parametrize(
    "line",
    [
        b"t123",
        b"t8000",
        b"t1239" + b"00" * 9,
        b"t12+0",
        b"t1232112",
        b"t12321 22",
        b"t12311122",
        b"t1231112233445566",
        b"T200000000",
        b"T1230",
        b"r123400",
        b"F1",
        b"F123",
        b"F0_",
        b"sx000000",
        b"sa00000",
        b"e0",
        b"e2b",
        b"e1x",
        b"e9aaaaaaaaa",
        b"V",
        b"V\xff",
        b"zz",
        b"S6",
        b"O",
        b"C",
        b"\x00",
    ],
)
def test_what_is_none_of_the_lines(line: bytes) -> None:
    assert decode_line(line) is Mark.GARBAGE


def test_lines_end_in_a_carriage_return_or_a_bell() -> None:
    lines = LineSplitter().feed(b"\rz\r\at1230\r\aZ\a\nF00\r\r\nt12")
    frame = FrameLine(encode_frame(Frame(0x123)))
    assert lines == [
        Mark.DONE,
        Mark.SENT,
        Mark.REFUSED,
        frame,
        Mark.REFUSED,
        Mark.SENT,
        Mark.REFUSED,
        StatusLine(0),
        Mark.DONE,
    ]


def test_a_line_that_does_not_end_takes_no_memory() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 100) == []
        assert len(splitter._rest) <= LONGEST
    assert splitter.feed(b"\rz\r") == [Mark.GARBAGE, Mark.SENT]


frames = st.one_of(
    st.builds(Frame, st.integers(0, 0x7FF), st.binary(max_size=8)),
    st.builds(Frame, st.integers(0, 0x1FFFFFFF), st.binary(max_size=8), extended=st.just(True)),
    st.builds(RemoteFrame, st.integers(0, 0x7FF), st.integers(0, 8)),
    st.builds(RemoteFrame, st.integers(0, 0x1FFFFFFF), st.integers(0, 8), extended=st.just(True)),
)
noise = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from(sorted(b"tTrRFseVNzZ0123456789abcdefA\r\a\n"))).map(bytes),
)


@given(frames, st.none() | st.integers(0, 59_999))
def test_every_frame_comes_back(frame: AnyFrame, milliseconds: int | None) -> None:
    stamp = b"" if milliseconds is None else b"%04X" % milliseconds
    line = encode_frame_line(encode_frame(frame)).removesuffix(b"\r") + stamp
    decoded = decode_line(line)
    assert isinstance(decoded, FrameLine)
    assert decode_frame(decoded.payload) == frame
    assert decoded.milliseconds == milliseconds


@given(noise, st.lists(st.integers(0, 300)))
def test_pieces_make_no_difference_and_noise_does_not_raise(data: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter()
    pieces = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    lines = [line for start, end in pairwise(pieces) for line in splitter.feed(data[start:end])]
    assert lines == LineSplitter().feed(data)
