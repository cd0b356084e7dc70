"""The texts here are what candump 2020.11.0 printed of the same frames."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.wire.candump import LogFormatter, ScreenFormatter, TimestampMode
from anycan.wire.log import LogRecord

TRAFFIC = """\
(1795490029.153962) vcan0 123#DEADBEEF T
(1795490029.276421) vcan0 123#R T
(1795490029.365805) vcan0 12345678#R8 T
(1795490029.429535) vcan0 123#1122334455667788 T
(1795490029.522100) vcan0 123##4AABB R
(1795490029.600101) vcan0 123##7AABB T
(1795490029.934168) vcan0 123##4 T
(1795490030.027922) vcan0 1F334455#11 T
(1795490030.100000) vcan0 20000004#0001 T
(1795490030.249802) vcan0 123# T
(1795490030.335125) vcan0 123##500112233445566778899AABBCCDD0000 R
(1795490030.426459) vcan0 00000012#20217E7F80FF5C27 T
"""


def traffic() -> list[AnyFrame]:
    return [LogRecord.parse(line).frame for line in TRAFFIC.splitlines()]


def received(*lines: str) -> list[AnyFrame]:
    return [LogRecord.parse(line).frame for line in lines]


def test_the_default() -> None:
    assert ScreenFormatter().format(traffic()) == (
        "  vcan0  123   [4]  DE AD BE EF\n"
        "  vcan0  123   [0]  remote request\n"
        "  vcan0  12345678   [8]  remote request\n"
        "  vcan0       123   [8]  11 22 33 44 55 66 77 88\n"
        "  vcan0       123  [02]  AA BB\n"
        "  vcan0       123  [02]  AA BB\n"
        "  vcan0       123  [00] \n"
        "  vcan0  1F334455   [1]  11\n"
        "  vcan0  20000004   [2]  00 01                     ERRORFRAME\n"
        "  vcan0       123   [0] \n"
        "  vcan0       123  [16]  00 11 22 33 44 55 66 77 88 99 AA BB CC DD 00 00\n"
        "  vcan0  00000012   [8]  20 21 7E 7F 80 FF 5C 27\n"
    )


def test_ascii() -> None:
    assert ScreenFormatter(text=True).format(traffic()) == (
        "  vcan0  123   [4]  DE AD BE EF               '....'\n"
        "  vcan0  123   [0]  remote request\n"
        "  vcan0  12345678   [8]  remote request\n"
        "  vcan0       123   [8]  11 22 33 44 55 66 77 88   '.\"3DUfw.'\n"
        "  vcan0       123  [02]  AA BB                     '..'\n"
        "  vcan0       123  [02]  AA BB                     '..'\n"
        "  vcan0       123  [00]                            ''\n"
        "  vcan0  1F334455   [1]  11                        '.'\n"
        "  vcan0  20000004   [2]  00 01                     ERRORFRAME\n"
        "  vcan0       123   [0]                            ''\n"
        "  vcan0       123  [16]  00 11 22 33 44 55 66 77 88 99 AA BB CC DD 00 00\n"
        "  vcan0  00000012   [8]  20 21 7E 7F 80 FF 5C 27   ' !~...\\''\n"
    )


SMALL = ("(1.0) vcan0 123#1E1F20", "(1.0) vcan0 7FF##4", "(1.0) vcan0 20000004#0001")


def test_binary() -> None:
    assert ScreenFormatter(binary=True, text=True).format(received(*SMALL)) == (
        "  vcan0  123   [3]  00011110 00011111 00100000"
        "                                                '.. '\n"
        "  vcan0  7FF  [00]                                    "
        "                                        ''\n"
        "  vcan0  20000004   [2]  00000000 00000001           "
        "                                              ERRORFRAME\n"
    )
    assert ScreenFormatter(binary=True).format(received(SMALL[0])) == (
        "  vcan0  123   [3]  00011110 00011111 00100000\n"
    )


def test_swapped() -> None:
    assert ScreenFormatter(swap=True).format(received(*SMALL)) == (
        "  vcan0  123   [3]  20`1F`1E\n"
        "  vcan0  7FF  [00] \n"
        "  vcan0  20000004   [2]  01`00                     ERRORFRAME\n"
    )
    assert ScreenFormatter(swap=True, text=True).format(received(SMALL[0])) == (
        "  vcan0  123   [3]  20`1F`1E                  ` ..`\n"
    )
    assert ScreenFormatter(swap=True, binary=True).format(received(SMALL[0])) == (
        "  vcan0  123   [3]  00100000`00011111`00011110\n"
    )


def test_direction_and_fd_flags() -> None:
    frames = received(
        "(1.0) vx1 123#11 R",
        "(1.0) vx1 123##511 R",
        "(1.0) vx1 123##611 R",
        "(1.0) vx1 321##722 T",
        "(1.0) vx1 321#R2 T",
    )
    assert ScreenFormatter(direction=True).format(frames) == (
        "  vx1  RX - -  123   [1]  11\n"
        "  vx1  RX B -  123  [01]  11\n"
        "  vx1  RX - E  123  [01]  11\n"
        "  vx1  TX B E  321  [01]  22\n"
        "  vx1  TX - -  321   [2]  remote request\n"
    )


# The clock was set forward and back between these.
JUMPS = (
    "(1795491687.268508) vcan0 123#01",
    "(1795496687.433234) vcan0 123#02",
    "(1795496684.567113) vcan0 123#03",
    "(1795487684.705758) vcan0 123#04",
    "(1796487684.855419) vcan0 123#05",
    "(1796487685.008754) vcan0 123#06",
)


@pytest.mark.parametrize(
    ("mode", "stamps"),
    [
        (
            "a",
            [
                "1795491687.268508",
                "1795496687.433234",
                "1795496684.567113",
                "1795487684.705758",
                "1796487684.855419",
                "1796487685.008754",
            ],
        ),
        (
            "d",
            [
                "000.000000",
                "5000.164726",
                "000.000000",
                "000.000000",
                "1000000.149661",
                "000.153335",
            ],
        ),
        (
            "z",
            [
                "000.000000",
                "5000.164726",
                "4997.298605",
                "000.000000",
                "995997.586911",
                "995997.740246",
            ],
        ),
        (
            "A",
            [
                "2026-11-24 03:41:27.268508",
                "2026-11-24 05:04:47.433234",
                "2026-11-24 05:04:44.567113",
                "2026-11-24 02:34:44.705758",
                "2026-12-05 16:21:24.855419",
                "2026-12-05 16:21:25.008754",
            ],
        ),
    ],
)
def test_time_stamps(mode: TimestampMode, stamps: list[str]) -> None:
    formatter = ScreenFormatter(timestamps=mode, timezone=dt.UTC)
    expected = [f" ({stamp})  vcan0  123   [1]  0{n}" for n, stamp in enumerate(stamps, 1)]
    # one at a time: the formatter keeps its place from batch to batch
    lines = [formatter.format([frame]).rstrip("\n") for frame in received(*JUMPS)]
    assert lines == expected


def test_dates_are_of_this_machines_zone_unless_one_is_given() -> None:
    frames = received(JUMPS[0])
    local = dt.datetime.fromtimestamp(1795491687).astimezone()
    assert (
        ScreenFormatter(timestamps="A")
        .format(frames)
        .startswith(f" ({local:%Y-%m-%d %H:%M:%S}.268508)  vcan0")
    )


def test_a_frame_without_reception_has_stand_ins() -> None:
    assert ScreenFormatter(timestamps="a").format([Frame(0x123)]) == (
        " (0000000000.000000)  -  123   [0] \n"
    )
    assert LogFormatter().format([Frame(0x123)]) == "(0000000000.000000) - 123#\n"


def test_hardware_stamps_are_used_where_asked_for_and_there() -> None:
    frames = [
        Frame(0x123, timestamp_ns=1_000_000_000, hardware_timestamp_ns=7_000_000, interface="c"),
        Frame(0x123, timestamp_ns=2_000_000_000, interface="c"),
    ]
    assert LogFormatter(hardware=True).format(frames) == (
        "(0000000000.007000) c 123#\n(0000000002.000000) c 123#\n"
    )
    assert ScreenFormatter(timestamps="a", hardware=True).format(frames[:1]) == (
        " (0000000000.007000)  c  123   [0] \n"
    )


SEVERAL = (
    "(1.0) vcan0 123#R",
    "(1.0) longname12 123#11",
    "(1.0) vcan1 456#22",
)


def test_names_stand_in_a_column_that_grows() -> None:
    assert ScreenFormatter().format(received(*SEVERAL)) == (
        "  vcan0  123   [0]  remote request\n"
        "  longname12  123   [1]  11\n"
        "       vcan1  456   [1]  22\n"
    )
    assert LogFormatter().format(received(*SEVERAL)) == (
        "(0000000001.000000) vcan0 123#R\n"
        "(0000000001.000000) longname12 123#11\n"
        "(0000000001.000000)      vcan1 456#22\n"
    )


def test_known_names_make_the_column_from_the_start() -> None:
    names = ["vcan0", "longname12"]
    assert ScreenFormatter(names).format(received(SEVERAL[0])) == (
        "       vcan0  123   [0]  remote request\n"
    )
    assert LogFormatter(names).format(received(SEVERAL[0])) == (
        "(0000000001.000000)      vcan0 123#R\n"
    )


def test_the_log_is_the_traffic() -> None:
    assert LogFormatter(direction=True).format(traffic()) == TRAFFIC
    assert LogFormatter().format(traffic()) == TRAFFIC.replace(" T\n", "\n").replace(" R\n", "\n")


def test_error_frames_in_words() -> None:
    frames = received(
        "(1.0) vcan0 20000004#0001", "(1.0) vcan0 123#11", "(1.0) vcan0 2000000C#0001"
    )
    assert ScreenFormatter(errors=True).format(frames) == (
        "  vcan0  20000004   [2]  00 01                     ERRORFRAME\n"
        "\tcontroller-problem{rx-overflow}\n"
        "  vcan0  123   [1]  11\n"
        "  vcan0  2000000C   [2]  00 01                     ERRORFRAME\n"
        "\tcontroller-problem{rx-overflow}\n"
        "\tprotocol-violation{{}{}}\n"
    )


def test_xl_frames_which_that_candump_does_not_know() -> None:
    frames: list[AnyFrame] = [
        XlFrame(0x123, b"\x11\x22", sdt=3, acceptance_field=0x12345678, vcid=0x45, interface="c"),
        XlFrame(0x7FF, bytes(65), interface="c"),
    ]
    assert ScreenFormatter().format(frames) == (
        "  c  123 [0002] (45|80:03:12345678)  11 22\n"
        f"  c  7FF [0065] (00|80:00:00000000) {' 00' * 64} ...\n"
    )


@pytest.mark.parametrize("timestamps", ["bogus", "", "Z", 1])
def test_stamps_of_no_mode(timestamps: Any) -> None:
    with pytest.raises(ValueError, match="timestamps is 'a', 'd', 'z', 'A' or None, not ") as info:
        ScreenFormatter(timestamps=timestamps)
    assert str(info.value).endswith(repr(timestamps))


def test_every_length_lines_up_with_the_longest() -> None:
    formatter = ScreenFormatter(text=True)
    columns = {
        formatter.format([Frame(0x123, bytes(length), interface="c")]).index("'")
        for length in range(9)
    }
    assert columns == {42}
    fd = formatter.format([FdFrame(0x123, bytes(9), interface="c")])
    assert "'" not in fd
    assert formatter.format([RemoteFrame(0x123, 8, interface="c")]).endswith("remote request\n")
    assert "''" not in formatter.format([ErrorFrame(0, b"", interface="c")])
