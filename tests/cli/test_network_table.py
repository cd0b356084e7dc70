"""What anycan network status draws."""

from __future__ import annotations

import io
from typing import Any

import attrs
import pytest
from rich.console import Console

from anycan import (
    CanState,
    ClientStatus,
    Interface,
    LinkStatistics,
    NetworkStatus,
    SocketStatus,
)
from anycan.cli.network_look import Look
from anycan.cli.network_table import NetworkTable

VCAN = Interface(index=1, name="vcan0", kind="vcan", up=True, carrier=True, mtu=72)
CAN = Interface(
    index=2, name="can0", kind="can", up=True, carrier=True, state=CanState.ERROR_PASSIVE
)


def counted(received: int, sent: int) -> LinkStatistics:
    return LinkStatistics(rx_packets=received, tx_packets=sent, rx_dropped=3, tx_dropped=4)


def client(number: int = 1, *has: SocketStatus, **changes: Any) -> ClientStatus:
    made = ClientStatus(
        number=number, process=4711, user=2**31 - 7, writable=True, requests=1000, sockets=has
    )
    return attrs.evolve(made, **changes)


def look(
    seconds: float, *clients: ClientStatus, interfaces: tuple[Interface, ...] = (), **changes: Any
) -> Look:
    status = NetworkStatus(
        name="user", path="/run/can", process=1, seconds=seconds, refused=0, clients=clients
    )
    return Look(
        status=attrs.evolve(status, **changes),
        interfaces=list(interfaces),
        commands={4711: "candump any"},
    )


def drawn(table: NetworkTable, width: int = 130) -> list[list[str]]:
    """Give the words of each line."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table.picture(width))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [line.split() for line in lines if line.strip(" ─")]


def rows(table: NetworkTable, first: str, width: int = 130) -> list[list[str]]:
    return [line for line in drawn(table, width) if line[0] == first]


def test_the_title() -> None:
    words = ["/run/can,", "process", "1,", "serving", "for", "1:30:00"]
    assert drawn(NetworkTable(look(5400.9)))[0] == words
    title = drawn(NetworkTable(look(1.0, refused=2)))[0]
    assert title[-4:] == ["2", "clients", "turned", "away"]


def test_interfaces() -> None:
    table = NetworkTable(
        look(
            1.0,
            interfaces=(
                attrs.evolve(VCAN, statistics=counted(1000, 20)),
                CAN,
                attrs.evolve(VCAN, index=3, name="down0", up=False),
            ),
        )
    )
    assert drawn(table)[1:3] == [
        ["received", "sent", "dropped"],
        ["interface", "kind", "state", "MTU", "/s", "/s", "received", "sent", "rx/tx"],
    ]
    assert rows(table, "vcan0") == [["vcan0", "vcan", "up", "72", "-", "-", "1,000", "20", "3/4"]]
    assert rows(table, "can0") == [["can0", "can", "up", "ERROR-PASSIVE", "16", "-", "-"]]
    assert rows(table, "down0") == [["down0", "vcan", "down", "72", "-", "-"]]


def test_rates() -> None:
    before = attrs.evolve(VCAN, statistics=counted(1000, 20))
    after = attrs.evolve(VCAN, statistics=counted(5000, 22))
    table = NetworkTable(look(10.0, client(), interfaces=(before,)))
    table.update(look(12.0, client(requests=3001), client(2), interfaces=(after,)))
    assert rows(table, "vcan0")[0][4:6] == ["2,000", "1"]
    first, second = rows(table, "4711")
    assert first[-3:] == ["send", "1,000", "3,001"]
    assert second[-3:] == ["send", "-", "1,000"]


@pytest.mark.parametrize(
    "later",
    [
        look(10.0, client(), interfaces=(attrs.evolve(VCAN, statistics=counted(2, 2)),)),
        look(11.0, client(), interfaces=(attrs.evolve(VCAN, statistics=counted(2, 2)),), process=2),
        look(11.0, client(2), interfaces=(attrs.evolve(VCAN, index=2, statistics=counted(2, 2)),)),
    ],
    ids=["at once", "another server", "others of the same name"],
)
def test_where_there_is_no_rate(later: Look) -> None:
    before = attrs.evolve(VCAN, statistics=counted(1, 1))
    table = NetworkTable(look(10.0, client(), interfaces=(before,)))
    table.update(later)
    assert rows(table, "vcan0")[0][4:6] == ["-", "-"]
    assert rows(table, "4711")[0][-2] == "-"


def test_clients_and_their_sockets() -> None:
    raw = SocketStatus(kind="raw", interface="vcan0", queued=2, drops=5)
    every = SocketStatus(kind="raw", queued=1)
    manager = SocketStatus(kind="bcm", interface="vcan0", operations=3)
    links = SocketStatus(kind="links")
    table = NetworkTable(look(1.0, client(1, raw, every, raw, manager, links)))
    lines = drawn(table)
    at = lines.index(rows(table, "4711")[0])
    assert lines[at - 1] == [
        *("client", "user", "may", "/s", "requests", "sockets", "queued", "dropped"),
        "operations",
    ]
    assert lines[at:] == [
        ["4711", "candump", "any", f"{2**31 - 7}", "send", "-", "1,000"],
        ["raw", "on", "vcan0", "2", "4", "10"],
        ["raw", "on", "any", "1", "1", "0"],
        ["bcm", "on", "vcan0", "1", "0", "0", "3"],
        ["watching", "interfaces", "1"],
    ]


def test_clients_of_whom_little_is_known() -> None:
    unknown = client(process=None, user=None, writable=False)
    table = NetworkTable(look(1.0, unknown))
    assert drawn(table)[-1] == ["-", "-", "listen", "-", "1,000"]


def test_what_there_was_no_room_for() -> None:
    table = NetworkTable(look(1.0, client(sockets_left_out=1200), clients_left_out=3))
    assert drawn(table)[-2:] == [["and", "more", "1,200"], ["and", "3", "clients", "more"]]


def test_less_room() -> None:
    raw = SocketStatus(kind="raw", interface="vcan0", queued=2, drops=5)
    table = NetworkTable(look(1.0, client(1, raw), interfaces=(VCAN,)))
    assert rows(table, "interface", 80) == [["interface", "state", "MTU", "/s", "/s", "rx/tx"]]
    assert rows(table, "raw", 80) == [["raw", "on", "vcan0", "1", "2", "5"]]


def test_what_another_process_says_is_not_obeyed() -> None:
    raw = SocketStatus(kind="raw\x1b[2J", interface="[bold]\x1b[2J")
    told = look(1.0, client(1, raw), interfaces=(attrs.evolve(VCAN, name="\x1b[2J"),))
    table = NetworkTable(attrs.evolve(told, commands={4711: "a\x1b[2J"}))
    shown = " ".join(" ".join(line) for line in drawn(table))
    assert "\x1b" not in shown
    assert shown.count("\\x1b[2J") == 4
    assert "[bold]" in shown
