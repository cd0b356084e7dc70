"""anycan interfaces show: what it says of an interface."""

from __future__ import annotations

from typing import Any, Final

import pytest

from anycan import (
    BitTiming,
    BitTimingConstants,
    CanErrorCounters,
    CanMode,
    CanState,
    CanStatistics,
    Interface,
    LinkStatistics,
    TransmitterDelay,
)
from anycan.cli.interfaces_sections import sections_of

CAN: Final = Interface(
    index=4,
    name="can0",
    kind="can",
    up=True,
    carrier=True,
    mtu=72,
    queue_length=10,
    queueing="pfifo_fast",
    state=CanState.ERROR_PASSIVE,
    modes=CanMode.FD,
    supported_modes=CanMode.FD | CanMode.LOOPBACK,
    bit_timing=BitTiming(500_000, 875, 12, 69, 70, 20, 10, 1),
    bit_timing_constants=BitTimingConstants("gs_usb", 1, 256, 1, 128, 128, 2, 512, 2),
    data_bit_timing=BitTiming(2_000_000, 750, 12, 14, 15, 10, 5, 1),
    data_bit_timing_constants=BitTimingConstants("gs_usb", 1, 32, 1, 16, 16, 1, 32, 1),
    delay=TransmitterDelay(offset_min=0, offset_max=127, offset=30),
    clock=80_000_000,
    bitrate_max=8_000_000,
    restart=0.1,
    termination=120,
    terminations=(0, 120),
    error_counters=CanErrorCounters(transmit=128, receive=1),
    can_statistics=CanStatistics(5, 4, 3, 2, 1, 0),
    statistics=LinkStatistics(
        rx_packets=1234, rx_bytes=9872, rx_dropped=1, tx_errors=2, rx_over_errors=9
    ),
    driver="gs_usb",
    parent_bus="usb",
    parent_name="1-1.4:1.0",
    alias="left door",
    other_names=("a", "b"),
    group=0,
    carrier_changes=1,
)


def sections(interface: Interface, names: dict[int, str] | None = None) -> dict[str, Any]:
    return {title: dict(rows) for title, rows in sections_of(interface, names or {})}


def test_everything_of_a_controller() -> None:
    assert sections(CAN) == {
        "Link": {
            "index": "4",
            "network": "kernel",
            "kind": "can",
            "MTU": "72 (classical CAN, CAN FD)",
            "queue": "10 frames, pfifo_fast",
            "carrier": "yes, 1 change",
            "group": "0",
            "alias": "left door",
            "other names": "a, b",
        },
        "Controller": {
            "state": "ERROR-PASSIVE",
            "modes": "fd",
            "modes it has": "loopback, fd",
            "restart": "0.1 s",
            "termination": "120 ohms (of 0, 120)",
            "clock": "80 MHz",
            "fastest bit rate": "8M",
        },
        "Bit timing": {
            "bit rate": "500k (500,000 bit/s)",
            "sample point": "87.5 %",
            "time quantum": "12 ns (80 MHz / 1)",
            "segments": "prop_seg 69, phase_seg1 70, phase_seg2 20: a bit has 160 tq",
            "SJW": "10 tq",
            "controller": "gs_usb",
            "limits": "tseg1 1..256, tseg2 1..128, SJW 1..128, brp 2..512 in steps of 2",
        },
        "Data phase (CAN FD)": {
            "bit rate": "2M (2,000,000 bit/s)",
            "sample point": "75 %",
            "time quantum": "12 ns (80 MHz / 1)",
            "segments": "prop_seg 14, phase_seg1 15, phase_seg2 10: a bit has 40 tq",
            "SJW": "5 tq",
            "controller": "gs_usb",
            "limits": "tseg1 1..32, tseg2 1..16, SJW 1..16, brp 1..32",
            "delay": "offset 30 of 0..127",
        },
        "Counters": {
            "error counters": "tx 128, rx 1",
            "bus errors": "5",
            "error-warning": "4",
            "error-passive": "3",
            "bus-off": "2",
            "arbitration lost": "1",
            "restarts": "0",
        },
        "Statistics": {
            "received": "1,234 frames, 9,872 bytes, 0 errors, 1 dropped",
            "sent": "0 frames, 0 bytes, 2 errors, 0 dropped",
            "rx over errors": "9",
        },
        "Device": {"driver": "gs_usb", "address": "usb 1-1.4:1.0"},
    }


def test_what_a_virtual_interface_has_not_is_left_out() -> None:
    vxcan = Interface(index=5, name="vx0", kind="vxcan", peer_index=6, mtu=2060)
    assert sections(vxcan, {6: "vx1"}) == {
        "Link": {
            "index": "5",
            "network": "kernel",
            "kind": "vxcan",
            "other end": "vx1",
            "MTU": "2060 (classical CAN, CAN FD, CAN XL to 2048 bytes)",
            "carrier": "no",
        }
    }


@pytest.mark.parametrize(
    ("known", "rows"),
    [
        (
            {"bit_timing_constants": CAN.data_bit_timing_constants},
            {
                "bit rate": "not set",
                "controller": "gs_usb",
                "limits": "tseg1 1..32, tseg2 1..16, SJW 1..16, brp 1..32",
            },
        ),
        (
            {"bitrates": (125_000, 1_000_000), "bit_timing": BitTiming(bitrate=125_000)},
            {"bit rate": "125k (125,000 bit/s)", "bit rates it has": "125k, 1M"},
        ),
        ({"bitrates": ()}, {"bit rate": "not set", "bit rates it has": "none"}),
        (
            {"clock": 62_500, "bit_timing": BitTiming(bitrate=10, tq=16_000, brp=1)},
            {"bit rate": "10 (10 bit/s)", "time quantum": "16000 ns (62.5 kHz / 1)"},
        ),
        (
            {"clock": 100, "bit_timing": BitTiming(bitrate=10, tq=5, brp=1)},
            {"bit rate": "10 (10 bit/s)", "time quantum": "5 ns (100 Hz / 1)"},
        ),
        (
            {"bit_timing": BitTiming(bitrate=10, tq=5)},
            {"bit rate": "10 (10 bit/s)", "time quantum": "5 ns"},
        ),
    ],
)
def test_bit_timings(known: dict[str, Any], rows: dict[str, str]) -> None:
    assert sections(Interface(index=1, name="can1", **known))["Bit timing"] == rows


@pytest.mark.parametrize(
    ("delay", "text"),
    [
        (TransmitterDelay(value=1, offset=2, filter=3), "value 1, offset 2, filter 3"),
        (TransmitterDelay(value_min=0, value_max=9), "value - of 0..9"),
        (TransmitterDelay(offset=2, offset_max=9), "offset 2 of 0..9"),
    ],
)
def test_delays(delay: TransmitterDelay, text: str) -> None:
    made = sections(Interface(index=1, name="can1", delay=delay))
    assert made["Data phase (CAN FD)"] == {"delay": text}


@pytest.mark.parametrize(
    ("known", "queue"),
    [({"queue_length": 0}, "0 frames"), ({"queueing": "noqueue"}, "noqueue"), ({}, None)],
)
def test_queues(known: dict[str, Any], queue: str | None) -> None:
    assert sections(Interface(index=1, name="can1", **known))["Link"].get("queue") == queue


def test_no_mode_is_said() -> None:
    can = Interface(index=1, name="can1", modes=CanMode(0))
    assert sections(can)["Controller"] == {"modes": "none"}
