"""anycan interfaces list and show, as they are run."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from anycan import Interface, UserNetwork
from anycan.cli import interfaces_show, main

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = f"list-{os.getpid()}"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[UserNetwork]:
    """Give a network that commands take without ``--network``."""
    with UserNetwork(name=NAME) as network:
        monkeypatch.setenv("ANYCAN_NETWORK", f"user:{NAME}")
        yield network


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_a_table(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_can("can0", bitrate=500_000, data_bitrate=2_000_000, restart=0.5)
    network.add_vcan("vcan0", up=False)
    assert main(["interfaces", "list"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert words(out)[3:] == [
        "can0 can up CAN FD 500k 87.5 % fd 0.5 s 0/0 10 0 0 0/0 0/0",
        "ERROR-ACTIVE MTU 72 data 2M 75 % 0 B 0 B",
        "vcan0 vcan down CAN FD - - - - 1000 0 0 0/0 0/0",
        "MTU 72 0 B 0 B",
    ]


def test_an_array_of_json(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_can("can0", bitrate=500_000)
    network.add_vcan("vcan0")
    network.set_bus_off("can0")
    assert main(["interfaces", "list", "--json"]) == 0
    can, vcan = json.loads(capsys.readouterr().out)
    assert can.keys() == vcan.keys() == attrs.fields_dict(Interface).keys()
    assert (can["name"], can["state"], can["bit_timing"]["bitrate"]) == ("can0", "BUS_OFF", 500_000)
    assert (vcan["name"], vcan["network"], vcan["modes"]) == ("vcan0", f"user:{NAME}", None)


@pytest.mark.usefixtures("network")
def test_no_interface(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interfaces", "list"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "anycan: there is no CAN interface here: plug in an adapter, or make a virtual one ('anycan"
        " interfaces add vcan0', as root); 'anycan doctor' says what may be missing\n"
    )


@pytest.mark.usefixtures("network")
def test_no_interface_is_an_empty_array(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interfaces", "list", "--json"]) == 0
    assert capsys.readouterr() == ("[]\n", "")


def test_the_network_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with UserNetwork(name=NAME) as network:
        network.add_vcan("vcan7")
        assert main(["interfaces", "list", "--json", "--network", f"user:{NAME}"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "vcan7"


def test_show(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_can("can0", bitrate=500_000)
    assert main(["interfaces", "show", "can0"]) == 0
    lines = words(capsys.readouterr().out)
    assert lines[:3] == ["can0: up, ERROR-ACTIVE", "Link", "index 1"]
    assert "sample point 87.5 %" in lines
    assert "limits tseg1 2..256, tseg2 2..128, SJW 1..128, brp 1..512" in lines
    titles = [line for line in lines if line in {"Controller", "Bit timing", "Counters"}]
    assert titles == ["Controller", "Bit timing", "Counters"]


def test_show_json(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_vcan("vcan0")
    assert main(["interfaces", "show", "vcan0", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.keys() == attrs.fields_dict(Interface).keys()
    assert (shown["name"], shown["mtu"]) == ("vcan0", 72)


def test_show_names_the_other_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = [
        Interface(index=5, name="vx0", kind="vxcan", peer_index=6),
        Interface(index=6, name="vx1", kind="vxcan", peer_index=5),
    ]

    async def get_interface(_name: str, **_where: Any) -> Interface:
        return ends[0]

    async def list_interfaces(**_where: Any) -> list[Interface]:
        return ends

    monkeypatch.setattr(interfaces_show, "get_interface", get_interface)
    monkeypatch.setattr(interfaces_show, "list_interfaces", list_interfaces)
    assert main(["interfaces", "show", "vx0"]) == 0
    assert "other end vx1" in words(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("known", "line"),
    [
        ({"up": False}, "can0: down"),
        ({"up": True}, "can0: up, no carrier"),
    ],
)
def test_show_begins_with_the_condition(
    known: dict[str, Any],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def get_interface(_name: str, **_where: Any) -> Interface:
        return Interface(index=5, name="can0", **known)

    monkeypatch.setattr(interfaces_show, "get_interface", get_interface)
    assert main(["interfaces", "show", "can0"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == line


def test_an_unknown_interface_is_one_line(
    network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    network.add_vcan("vcan0")
    assert main(["interfaces", "show", "can7"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"anycan: there is no interface can7; the interfaces of user:{NAME} are vcan0\n"
