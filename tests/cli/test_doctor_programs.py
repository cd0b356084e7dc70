"""anycan doctor: programs beside anycan, and the network that it is told to use."""

from __future__ import annotations

import pytest

from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_machine import Machine
from anycan.cli.doctor_programs import check_network, check_programs

DEBIAN = {"/etc/os-release": "ID=debian\n"}
ALL = {name: f"/usr/bin/{name}" for name in ("candump", "cansend", "cangen", "ip")}


def programs(*missing: str) -> dict[str, Finding]:
    there = {name: path for name, path in ALL.items() if name not in missing}
    machine = Machine(read=DEBIAN.get, find_program=there.get)
    return {one.name: one for one in check_programs(machine)}


def test_all_programs() -> None:
    assert programs() == {
        "can-utils": Finding("can-utils", Verdict.OK, "candump, cansend, cangen"),
        "ip": Finding("ip", Verdict.OK, "/usr/bin/ip"),
    }


def test_missing_programs() -> None:
    found = programs("cansend", "cangen", "ip")
    assert {one.verdict for one in found.values()} == {Verdict.WARNING}
    assert found["can-utils"].found.startswith("no cansend, cangen: package can-utils")
    assert found["can-utils"].command == "sudo apt install can-utils"
    assert found["ip"].command == "sudo apt install iproute2"


def test_a_distribution_whose_packages_are_not_known() -> None:
    assert {one.command for one in check_programs(Machine())} == {None}


def test_elsewhere() -> None:
    assert list(check_programs(Machine(system="Darwin"))) == []


@pytest.mark.parametrize(
    ("network", "verdict", "words"),
    [
        (None, Verdict.OK, "not set"),
        ("", Verdict.OK, "not set"),
        ("kernel", Verdict.OK, "kernel"),
        ("user:bench", Verdict.WARNING, "anycan.UserNetwork(name='bench')"),
        ("user:", Verdict.MISSING, "no such network"),
        ("can0", Verdict.MISSING, "no such network"),
    ],
)
def test_the_network(network: str | None, verdict: Verdict, words: str) -> None:
    environment = {} if network is None else {"ANYCAN_NETWORK": network}
    (found,) = check_network(Machine(environment=environment))
    assert (found.name, found.verdict) == ("ANYCAN_NETWORK", verdict)
    assert words in found.found
    assert found.command == (None if verdict is Verdict.OK else "unset ANYCAN_NETWORK")


@pytest.mark.parametrize("failure", ["", "no network is served at /run/my can"])
def test_a_served_network(failure: str) -> None:
    environment = {"ANYCAN_NETWORK": "unix:/run/my can"}
    asked = []

    def connect(path: str) -> str:
        asked.append(path)
        return failure

    (found,) = check_network(Machine(environment=environment, connect=connect))
    assert asked == ["/run/my can"]
    assert found.verdict is (Verdict.MISSING if failure else Verdict.OK)
    assert found.found == f"unix:/run/my can: {failure or 'a network is served there'}"
    command = "anycan network serve --path '/run/my can'"
    assert found.command == (command if failure else None)
