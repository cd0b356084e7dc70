"""anycan interfaces: an interface in words."""

from __future__ import annotations

import io
import sys
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import BitTiming, CanMode, CanState, Interface
from anycan.cli.interfaces_text import (
    address_words,
    bitrate_of,
    bitrate_words,
    condition_words,
    mode_name,
    mode_names,
    one_line,
    peer_words,
    restart_words,
    shown,
    takes_words,
    termination_words,
    timing_words,
    value_words,
)

TIMING: Final = BitTiming(bitrate=500_000, sample_point=875)


def interface(**known: Any) -> Interface:
    values = {"index": 4, "name": "can0", "kind": "can", "up": True, "carrier": True}
    return Interface(**{**values, **known})


@pytest.mark.parametrize(
    ("text", "bitrate"),
    [
        ("500000", 500_000),
        ("500k", 500_000),
        ("500K", 500_000),
        ("1M", 1_000_000),
        ("2.5M", 2_500_000),
        ("83.333k", 83_333),
        ("1", 1),
        ("4294967294", 0xFFFF_FFFE),
    ],
)
def test_a_bit_rate_is_read(text: str, bitrate: int) -> None:
    assert bitrate_of(text) == bitrate


@pytest.mark.parametrize(
    "text",
    [
        *("", "k", "0", "0k", "-1", "+1", "1.5", "1.5555k", "500 k", "500kbit", "1G", "1e6", "5m"),
        *("\u0665", "4294967295", "9999M", ".5M", "1.M", "nan", "inf", "9" * 5000),
    ],
)
def test_what_is_no_bit_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a bit rate: .*; write .* for example 500000, 500k"):
        bitrate_of(text)


@given(st.integers(1, 0xFFFF_FFFE))
def test_a_bit_rate_is_read_as_it_is_shown(bitrate: int) -> None:
    assert bitrate_of(bitrate_words(bitrate)) == bitrate


@pytest.mark.parametrize(
    ("bitrate", "text"),
    [
        (999, "999"),
        (10_000, "10k"),
        (83_333, "83.333k"),
        (1_000_000, "1M"),
        (12_000_000, "12M"),
        (0xFFFF_FFFF, "unknown"),
    ],
)
def test_a_bit_rate_is_short(bitrate: int, text: str) -> None:
    assert bitrate_words(bitrate) == text


def test_a_bit_timing() -> None:
    assert timing_words(TIMING) == "500k 87.5 %"
    assert timing_words(BitTiming(bitrate=1_000_000, sample_point=750)) == "1M 75 %"
    assert timing_words(BitTiming(bitrate=1_000_000)) == "1M"
    assert timing_words(None) == "-"


def test_modes_are_called_as_their_options_are() -> None:
    names = {mode: mode_name(mode) for mode in CanMode}
    assert names[CanMode.LISTENONLY] == "listen-only"
    assert names[CanMode.CC_LEN8_DLC] == "cc-len8-dlc"
    assert len({*names.values()}) == len(CanMode)
    assert mode_names(CanMode.FD | CanMode.LOOPBACK) == ["loopback", "fd"]
    assert mode_names(CanMode(0x30020)) == ["fd", "0x30000"]
    assert mode_names(None) == []


def test_small_words() -> None:
    assert [restart_words(one) for one in (None, 0.0, 0.1, 2.0)] == ["-", "never", "0.1 s", "2 s"]
    assert [termination_words(one) for one in (None, 0, 120)] == ["-", "off", "120 ohms"]
    assert [takes_words(interface(mtu=mtu)) for mtu in (16, 72, 2060)] == [
        "CAN",
        "CAN FD",
        "CAN XL",
    ]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, {"up": "green"}),
        ({"up": False, "carrier": False}, {"down": "dim"}),
        ({"up": False, "state": CanState.STOPPED}, {"down": "dim"}),
        ({"carrier": False}, {"up": "yellow", "no carrier": "yellow"}),
        ({"state": CanState.ERROR_ACTIVE}, {"up": "green", "ERROR-ACTIVE": "green"}),
        ({"state": CanState.ERROR_WARNING}, {"up": "green", "ERROR-WARNING": "yellow"}),
        ({"state": CanState.ERROR_PASSIVE}, {"up": "green", "ERROR-PASSIVE": "red"}),
        ({"state": CanState.SLEEPING}, {"up": "green", "SLEEPING": ""}),
        ({"state": CanState.BUS_OFF, "carrier": False}, {"bus-off": "bold red"}),
    ],
)
def test_a_condition_has_words_and_colours(known: dict[str, Any], words: dict[str, str]) -> None:
    assert dict(condition_words(interface(**known))) == words


def test_where_the_other_end_is() -> None:
    names = {7: "vxcan1"}
    assert peer_words(interface(), names) == ""
    assert peer_words(interface(peer_index=7), names) == "vxcan1"
    assert peer_words(interface(peer_index=8), names) == "index 8"
    assert peer_words(interface(peer_index=7, peer_namespace=2), names) == "index 7 in namespace 2"


def test_where_the_device_is() -> None:
    assert address_words(interface(parent_bus="usb", parent_name="1-1.4:1.0")) == "usb 1-1.4:1.0"
    assert address_words(interface(parent_name="slave0")) == "slave0"
    assert address_words(interface()) == ""


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ({"kind": "vcan", "mtu": 72, "name": "v"}, "v: up, vcan, CAN FD (MTU 72)"),
        ({"kind": None, "up": False}, "can0: down, unknown kind, CAN (MTU 16)"),
        (
            {"up": False, "modes": CanMode(0), "queue_length": 10, "restart": 0.0},
            "can0: down, can, no bit rate, CAN (MTU 16), queue 10",
        ),
        (
            {
                "driver": "gs_usb",
                "state": CanState.ERROR_ACTIVE,
                "mtu": 72,
                "modes": CanMode.FD | CanMode.ONE_SHOT,
                "bit_timing": TIMING,
                "data_bit_timing": BitTiming(bitrate=2_000_000, sample_point=750),
                "restart": 0.1,
                "termination": 120,
                "queue_length": 1000,
            },
            (
                "can0: up, ERROR-ACTIVE, gs_usb, 500k 87.5 %, data 2M 75 %, CAN FD (MTU 72),"
                " one-shot, fd, restart after 0.1 s, 120 ohms, queue 1000"
            ),
        ),
    ],
)
def test_one_line(known: dict[str, Any], line: str) -> None:
    assert one_line(interface(**known)) == line


def test_values() -> None:
    values = [None, TIMING, CanMode.FD, CanMode(0), (1, 2), (), "x", 16, "\x1b"]
    assert [value_words(value) for value in values] == [
        "-",
        "500k 87.5 %",
        "fd",
        "none",
        "1, 2",
        "none",
        "x",
        "16",
        "\\x1b",
    ]


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    assert one_line(interface(name="\x1b[2J", driver="\u202e")).startswith("\\x1b[2J: up, \\u202e,")


def test_what_standard_output_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert shown("canß") == "can\\xdf"
