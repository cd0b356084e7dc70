"""The words here are what candump 2020.11.0 printed of the same frames, but for the last test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.frame import ErrorFrame, Frame
from anycan.wire.errortext import describe_error


def describe(text: str) -> list[str]:
    frame = Frame.parse(text)
    assert isinstance(frame, ErrorFrame)
    return describe_error(frame)


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        (0x001, "tx-timeout"),
        (0x002, "lost-arbitration{at bit 0}"),
        (0x004, "controller-problem{}"),
        (0x008, "protocol-violation{{}{}}"),
        (0x010, "transceiver-status"),
        (0x020, "no-acknowledgement-on-tx"),
        (0x040, "bus-off"),
        (0x080, "bus-error"),
        (0x100, "restarted-after-bus-off"),
    ],
)
def test_each_class(classes: int, line: str) -> None:
    assert describe_error(ErrorFrame(classes)) == [line]


def test_all_at_once() -> None:
    assert describe("200001FF#0BFFFF0A55660708") == [
        "tx-timeout",
        "lost-arbitration{at bit 11}",
        (
            "controller-problem{rx-overflow,tx-overflow,rx-error-warning,tx-error-warning,"
            "rx-error-passive,tx-error-passive,back-to-error-active}"
        ),
        (
            "protocol-violation{{single-bit-error,frame-format-error,bit-stuffing-error,"
            "tx-dominant-bit-error,tx-recessive-bit-error,bus-overload,active-error,error-on-tx}"
            "{data-field}}"
        ),
        "transceiver-status",
        "no-acknowledgement-on-tx",
        "bus-off",
        "bus-error",
        "restarted-after-bus-off",
        "error-counter-tx-rx{{7}{8}}",
    ]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x00, ""),
        (0x01, "unspecified"),
        (0x02, "id.28-to-id.21"),
        (0x11, "active-error-flag"),
        (0x14, "unspecified"),
        (0x19, "acknowledge-slot"),
        (0x1C, "overload-flag"),
        (0x1F, "unspecified"),
        (0x20, ""),
        (0xFF, ""),
    ],
)
def test_locations(code: int, name: str) -> None:
    frame = ErrorFrame(0x008, bytes([0, 0, 0, code, 0, 0, 0, 0]))
    assert describe_error(frame) == [f"protocol-violation{{{{}}{{{name}}}}}"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("2000001F#", ["lost-arbitration{at bit 0}", "controller-problem{}"]),
        ("20000006#0B", ["lost-arbitration{at bit 11}", "controller-problem{}"]),
        ("20000004#00000000000007", ["controller-problem{}", "error-counter-tx-rx{{7}{0}}"]),
    ],
)
def test_short_data_counts_as_zeros(text: str, lines: list[str]) -> None:
    described = describe(text)
    assert [line for line in lines if line in described] == lines


def test_what_that_candump_garbles_is_said_here() -> None:
    assert describe("20000204#0004000000006000") == [
        "controller-problem{rx-error-warning}",
        "error-counter-tx-rx{{96}{0}}",
    ]
    assert describe("20000200#0000000000000000") == ["error-counter-tx-rx{{0}{0}}"]
    assert describe("20000C40#0000000000000000") == ["bus-off", "unknown-class{0xC00}"]
    assert describe("20000000#0000000000000000") == []


@given(st.integers(0, 0x1FFFFFFF), st.binary(max_size=8))
def test_any_error_frame_can_be_described(classes: int, data: bytes) -> None:
    assert all(line.isprintable() for line in describe_error(ErrorFrame(classes, data)))
