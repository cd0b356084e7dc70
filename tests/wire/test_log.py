from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.exceptions import FrameError, LogParseError, ParseError
from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.wire.log import LogRecord, format_timestamp, read_log

if TYPE_CHECKING:
    from pathlib import Path

LINES: list[tuple[str, AnyFrame]] = [
    ("(1436509052.249713) vcan0 044#2A366C2BBA", Frame(0x044, bytes.fromhex("2A366C2BBA"))),
    ("(1436509052.449847) vcan0 0F6#7ADFE07BD2", Frame(0x0F6, bytes.fromhex("7ADFE07BD2"))),
    ("(1795490029.276421) vcan0 123#R", RemoteFrame(0x123)),
    ("(1795490029.365805) can0 12345678#R8", RemoteFrame(0x12345678, 8)),
    ("(1795490029.600101) vcan0 123##7AABB", FdFrame(0x123, b"\xaa\xbb", brs=True, esi=True)),
    ("(1795490029.934168) vcan0 123##4", FdFrame(0x123)),
    ("(1795490030.249802) vcan0 123#", Frame(0x123)),
    ("(1795490030.426459) vcan0 00000012#11", Frame(0x12, b"\x11", extended=True)),
    (
        "(1795490030.426459) slcan12 123#1122334455667788_E",
        Frame(0x123, bytes.fromhex("1122334455667788"), len8_dlc=14),
    ),
    ("(1795490030.500000) vcan0 20000004#0001", ErrorFrame(0x004, b"\x00\x01")),
    (
        "(0000000005.000001) vcan0 45123#81:03:12345678#1122",
        XlFrame(0x123, b"\x11\x22", sdt=3, acceptance_field=0x12345678, vcid=0x45, sec=True),
    ),
]


@pytest.mark.parametrize(("line", "frame"), LINES)
def test_a_line_is_read_and_written_as_it_was(line: str, frame: AnyFrame) -> None:
    record = LogRecord.parse(line)
    assert record.frame == frame
    assert str(record) == line


def test_the_frame_is_as_if_just_received() -> None:
    record = LogRecord.parse("(1436509052.249713) can1 044#2A T\n")
    assert record == LogRecord(1_436_509_052_249_713_000, "can1", Frame(0x44, b"\x2a"), "T")
    assert record.frame.timestamp_ns == 1_436_509_052_249_713_000
    assert record.frame.interface == "can1"
    assert record.frame.local
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.frame.interface = "can2"  # type: ignore[misc]  # what is shown to fail


@pytest.mark.parametrize(
    ("line", "direction", "local"),
    [
        ("(1795491681.527939) vx1 123#11 R", "R", False),
        ("(1795491681.743749) vx1 321##722 T", "T", True),
        ("(1795491681.743749) vx1 321##722", None, False),
    ],
)
def test_the_direction_of_candump_x(line: str, direction: str | None, local: bool) -> None:
    record = LogRecord.parse(line)
    assert (record.direction, record.frame.local) == (direction, local)
    assert str(record) == line


def test_names_in_a_column_are_read() -> None:
    record = LogRecord.parse("(1795492031.113852)      vcan1 456#22")
    assert (record.interface, record.frame) == ("vcan1", Frame(0x456, b"\x22"))


@pytest.mark.parametrize(
    ("fraction", "timestamp_ns"),
    [("5", 500_000_000), ("25", 250_000_000), ("000001", 1000), ("123456789", 123_456_789)],
)
def test_fractions_of_other_writers(fraction: str, timestamp_ns: int) -> None:
    assert LogRecord.parse(f"(0.{fraction}) can0 123#").timestamp_ns == timestamp_ns


@pytest.mark.parametrize(
    ("timestamp_ns", "text"),
    [
        (0, "0000000000.000000"),
        (999, "0000000000.000000"),
        (1_000, "0000000000.000001"),
        (5_000_000_000, "0000000005.000000"),
        (1_436_509_052_249_713_999, "1436509052.249713"),
    ],
)
def test_nanoseconds_are_cut_off(timestamp_ns: int, text: str) -> None:
    assert format_timestamp(timestamp_ns) == text


def test_a_received_frame_becomes_a_record() -> None:
    frame = Frame(0x123, timestamp_ns=1_500_000_000, interface="can0", local=True)
    assert str(LogRecord.of(frame)) == "(0000000001.500000) can0 123#"
    assert str(LogRecord.of(frame, direction=True)) == "(0000000001.500000) can0 123# T"
    with pytest.raises(FrameError, match="no time stamp or no interface"):
        LogRecord.of(Frame(0x123))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "123#11",
        "(1436509052.249713) vcan0",
        "(1436509052) vcan0 123#11",
        "(1436509052.249713)vcan0 123#11",
        "1436509052.249713 vcan0 123#11",
        "(1436509052.249713) vcan0 12#11",
        "(1436509052.249713) vcan0 123#1",
        "(1436509052.249713) vcan0 123#112233445566778899",
        "(1436509052.249713) vcan0 FFF#11",
        "(1436509052.249713) vcan0 123#R9",
        "(1436509052.249713) vcan0 123#11 X",
        "(1436509052.249713) vcan0 123#11 T T",
        "(99999999999.0) vcan0 123#11",
        "(1.0000000001) vcan0 123#11",
        "(٣.٣) vcan0 123#11",
        "\x00\udcff",
    ],
)
def test_what_is_no_log_line(line: str) -> None:
    with pytest.raises(ParseError) as caught:
        LogRecord.parse(line)
    assert caught.value.text == line


def test_a_garbled_line_stops_the_reading_and_says_where() -> None:
    lines = [
        "# a comment\n",
        "\n",
        "(1.5) can0 123#11\n",
        "(1.6) can0 12#22\n",
        "(1.7) can0 123#\n",
    ]
    records = read_log(lines, file="trip.log")
    assert next(records).frame == Frame(0x123, b"\x11")
    with pytest.raises(LogParseError) as caught:
        next(records)
    assert str(caught.value) == (
        "trip.log:4: not a frame in candump's notation: '12#22'; for example 123#DEADBEEF,"
        " 12345678#R8, 123##3AABB or 45123#81:00:12345678#1122"
    )
    assert (caught.value.file, caught.value.line) == ("trip.log", 4)
    assert caught.value.text == "(1.6) can0 12#22\n"


def test_garbled_lines_are_handed_over_and_the_rest_goes_on() -> None:
    errors: list[LogParseError] = []
    lines = ["garbage", "(1.5) can0 123#11", "(1.6) can0 FFF#22", "(1.7) can0 123#"]
    records = list(read_log(lines, on_error=errors.append))
    assert [record.timestamp_ns for record in records] == [1_500_000_000, 1_700_000_000]
    assert [str(error)[:9] for error in errors] == ["<log>:1: ", "<log>:3: "]


def test_lines_of_a_binary_file() -> None:
    errors: list[LogParseError] = []
    lines = [
        b"# Fahrt von M\xfcnchen\n",
        b"\r\n",
        b"(1.5) can0 123#11\r\n",
        b"(1.6) can0 12\xff3#11\n",
        b"(1.7) can0 12#11\n",
        "(1.8) k\u00f6ln0 123#\n".encode(),
    ]
    records = list(read_log(lines, file="trip.log", on_error=errors.append))
    assert [(record.timestamp_ns, record.interface) for record in records] == [
        (1_500_000_000, "can0"),
        (1_800_000_000, "k\u00f6ln0"),
    ]
    assert str(errors[0]) == (
        r"trip.log:4: not UTF-8: '(1.6) can0 12\\xff3#11'; "
        "for example: (1436509052.249713) vcan0 044#2A366C2BBA"
    )
    assert errors[0].text == "(1.6) can0 12\\xff3#11\n"
    assert str(errors[1]).startswith("trip.log:5: not a frame")
    with pytest.raises(LogParseError, match="<log>:1: not UTF-8"):
        next(read_log([b"\xff"]))


def test_a_text_file_that_escapes_what_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "trip.log"
    path.write_bytes(b"(1.5) can0 12\xff3#11\n(1.6) can0 123#11\n")
    errors: list[LogParseError] = []
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        (record,) = read_log(file, on_error=errors.append)
    assert record.timestamp_ns == 1_600_000_000
    assert [error.line for error in errors] == [1]
    with path.open("rb") as binary:
        assert list(read_log(binary, on_error=errors.append)) == [record]


def identifiers() -> st.SearchStrategy[tuple[int, bool]]:
    return st.tuples(st.integers(0, 0x7FF), st.just(False)) | st.tuples(
        st.integers(0, 0x1FFFFFFF), st.just(True)
    )


def frames() -> st.SearchStrategy[AnyFrame]:
    byte = st.integers(0, 0xFF)
    return st.one_of(
        st.builds(
            lambda key, data: Frame(key[0], data, extended=key[1]),
            identifiers(),
            st.binary(max_size=8),
        ),
        st.builds(
            lambda key, length: RemoteFrame(key[0], length, extended=key[1]),
            identifiers(),
            st.integers(0, 8),
        ),
        st.builds(
            lambda key, data, flags: FdFrame(key[0], data, extended=key[1], flags=flags),
            identifiers(),
            st.binary(max_size=64),
            st.integers(0, 15),
        ),
        st.builds(
            lambda priority, data, sdt, vcid: XlFrame(priority, data, sdt=sdt, vcid=vcid),
            st.integers(0, 0x7FF),
            st.binary(min_size=1, max_size=80),
            byte,
            byte,
        ),
        st.builds(ErrorFrame, st.integers(0, 0x1FFFFFFF), st.binary(max_size=8)),
    )


@given(
    st.integers(0, 9_999_999_999_999_999),
    st.from_regex(r"[a-z][a-z0-9]{0,14}", fullmatch=True),
    frames(),
    st.sampled_from(["R", "T", None]),
)
def test_every_record_comes_back(
    microseconds: int, interface: str, frame: AnyFrame, direction: str | None
) -> None:
    record = LogRecord(microseconds * 1000, interface, frame, direction)  # type: ignore[arg-type]  # sampled_from gives str
    assert LogRecord.parse(str(record)) == record


@given(st.text() | st.from_regex(r"\([0-9]*\.[0-9]*\) \S* [0-9A-F]*#\S*( [RT])?"))
def test_any_text_gives_a_record_or_a_parse_error(text: str) -> None:
    try:
        record = LogRecord.parse(text)
    except ParseError as error:
        assert error.text == text  # noqa: PT017 - either outcome is right
    else:
        assert LogRecord.parse(str(record)).frame == record.frame
