"""anycan interfaces list: the table that it draws."""

from __future__ import annotations

import io
from typing import Final

import pytest
from rich.console import Console

from anycan import BitTiming, CanErrorCounters, CanMode, CanState, Interface, LinkStatistics
from anycan.cli.interfaces_list import print_table
from anycan.cli.interfaces_table import fitting_table, whole_width

CAN: Final = Interface(
    index=4,
    name="can0",
    kind="can",
    driver="gs_usb",
    parent_bus="usb",
    parent_name="1-1.4:1.0",
    up=True,
    carrier=True,
    mtu=72,
    state=CanState.ERROR_WARNING,
    modes=CanMode.FD | CanMode.BERR_REPORTING,
    bit_timing=BitTiming(bitrate=500_000, sample_point=875),
    data_bit_timing=BitTiming(bitrate=2_000_000, sample_point=750),
    restart=0.1,
    error_counters=CanErrorCounters(transmit=96, receive=3),
    queue_length=1000,
    statistics=LinkStatistics(
        rx_packets=1234,
        rx_bytes=9872,
        tx_packets=5,
        tx_bytes=40,
        rx_dropped=7,
        tx_errors=1,
    ),
)
VXCAN: Final = Interface(index=5, name="vx0", kind="vxcan", peer_index=6, mtu=16)
PEER: Final = Interface(index=6, name="vx1", kind="vxcan", peer_index=5, up=True, mtu=2060)
TITLES: Final = (
    *("name", "device", "state", "takes", "bit_rate", "modes", "restart", "TEC/REC", "queue"),
    *("received", "sent", "dropped", "errors"),
)


def drawn(*interfaces: Interface, width: int | None = None) -> str:
    """Draw interfaces on a terminal of some width; None: into a pipe."""
    console = Console(
        file=io.StringIO(),
        width=width or 80,
        force_terminal=width is not None,
        color_system=None,
        highlight=False,
    )
    print_table(console, interfaces)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_everything_of_a_controller() -> None:
    _, titles, _, first, second = rows(drawn(CAN))
    assert titles == (
        "name device state takes bit rate modes restart TEC/REC queue received sent rx/tx rx/tx"
    )
    assert first == (
        "can0 gs_usb up CAN FD 500k 87.5 % berr-reporting 0.1 s 96/3 1000 1,234 5 7/0 0/1"
    )
    assert second == "usb 1-1.4:1.0 ERROR-WARNING MTU 72 data 2M 75 % fd 9,872 B 40 B"


def test_virtual_interfaces_have_no_columns_of_controllers() -> None:
    assert rows(drawn(VXCAN, PEER)) == [
        "name device state takes",
        "─" * 39,
        "vx0 vxcan down CAN",
        "to vx1 MTU 16",
        "vx1 vxcan no carrier CAN XL",
        "to vx0 MTU 2060",
    ]


def test_what_an_interface_has_not_is_a_dash() -> None:
    first = next(row for row in rows(drawn(VXCAN, CAN)) if row.startswith("vx0"))
    assert first == "vx0 vxcan down CAN - - - - - - - - -"


def test_a_controller_without_a_bit_rate() -> None:
    can = Interface(index=1, name="can1", kind="can", restart=0.0, modes=CanMode(0))
    assert rows(drawn(can))[2] == "can1 can down CAN not set never"


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (200, " ".join(TITLES)),
        (120, "name device state takes bit_rate modes TEC/REC received sent dropped"),
        (100, "name device state takes bit_rate TEC/REC received sent"),
        (80, "name device state bit_rate received sent"),
        (60, "name state bit_rate received sent"),
        (40, "name state bit_rate"),
        (27, "name state"),
    ],
)
def test_a_narrow_terminal_has_fewer_columns(width: int, titles: str) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    columns = fitting_table(console, [CAN, VXCAN]).columns
    drawn_titles = [str(column.header).partition("\n")[0] for column in columns]
    assert " ".join(title.replace(" ", "_") for title in drawn_titles) == titles


@pytest.mark.parametrize("width", range(27, 140, 8))
def test_nothing_is_folded(width: int) -> None:
    text = drawn(CAN, VXCAN, width=width)
    assert max(map(len, text.splitlines())) <= width
    (first,) = (row.split() for row in rows(text) if row.startswith("can0"))
    (second,) = (row.split() for row in rows(text) if "ERROR-WARNING" in row)
    assert set(first) | set(second) <= set(drawn(CAN).split())


def test_a_terminal_without_room_folds_names_and_states() -> None:
    text = drawn(CAN, width=20)
    assert "up" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 20


def test_a_pipe_has_room_for_everything() -> None:
    wide = "x" * 15
    console = Console(file=io.StringIO(), width=20)
    table = fitting_table(console, [CAN, Interface(index=9, name=wide)])
    assert len(table.columns) == len(TITLES)
    assert whole_width(console, table) > 80
    assert wide in drawn(CAN, Interface(index=9, name=wide))


def test_colours() -> None:
    console = Console(
        file=io.StringIO(),
        width=200,
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
    )
    print_table(console, [CAN])
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[33mERROR-WARNING\x1b[0m" in console.file.getvalue()
    assert "\x1b[32mup\x1b[0m" in console.file.getvalue()


def test_names_are_no_markup() -> None:
    assert "[red]" in drawn(Interface(index=1, name="[red]"))
