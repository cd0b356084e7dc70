"""anycan doctor: the system, and what of Python is installed."""

from __future__ import annotations

from typing import Any

import pytest

from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_machine import Machine
from anycan.cli.doctor_system import check_python, check_system


def system(**known: Any) -> dict[str, Finding]:
    return {one.name: one for one in check_system(Machine(architecture="aarch64", **known))}


def test_linux() -> None:
    assert system(release="6.12.43+deb13-arm64") == {
        "system": Finding("system", Verdict.OK, "Linux on aarch64"),
        "kernel": Finding("kernel", Verdict.OK, "6.12.43+deb13-arm64"),
    }


@pytest.mark.parametrize("name", ["Darwin", "Windows", ""])
def test_elsewhere(name: str) -> None:
    found = system(system=name)
    assert list(found) == ["system"]
    assert found["system"].verdict is Verdict.WARNING
    assert "UserNetwork" in found["system"].found


@pytest.mark.parametrize(
    ("release", "lacks"),
    [
        ("6.9.0", None),
        ("6.8.0-64-generic", "virtual CAN networks of CAN XL (VCID) (6.9)"),
        (
            "5.10.0",
            (
                "CAN XL (6.1), a greater ISO-TP max_pdu_size (6.3),"
                " virtual CAN networks of CAN XL (VCID) (6.9)"
            ),
        ),
    ],
)
def test_an_old_kernel(release: str, lacks: str | None) -> None:
    found = system(release=release)["kernel"]
    if lacks is None:
        assert found == Finding("kernel", Verdict.OK, release)
    else:
        assert found == Finding("kernel", Verdict.WARNING, f"{release}: too old for {lacks}")


def test_an_unknown_kernel() -> None:
    assert system(release="strange")["kernel"].verdict is Verdict.WARNING


def test_a_container() -> None:
    found = system(names_in=lambda path: [".containerenv"] if path == "/run" else [])
    assert found["container"].found.startswith("Podman: ")


def test_wsl() -> None:
    version = "Linux version 6.6.87.2-microsoft-standard-WSL2"
    assert "WSL" in system(read={"/proc/version": version}.get)


def test_packages() -> None:
    versions = {"anycan": "1.2.3", "trio": "0.30.0"}
    machine = Machine(python="CPython 3.13.5", version_of=versions.get)
    found = {one.name: one.found for one in check_python(machine)}
    assert found.pop("uvloop").startswith("not installed, and not needed")
    assert found == {"Python": "CPython 3.13.5", "anycan": "1.2.3", "trio": "0.30.0"}
