"""anycan doctor: all checks together, and what is printed of them."""

from __future__ import annotations

import errno
import io
import json
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from anycan import Interface
from anycan.cli import doctor as doctor_module
from anycan.cli import main
from anycan.cli.doctor import examine
from anycan.cli.doctor_finding import Finding, Section, Verdict
from anycan.cli.doctor_machine import Machine
from anycan.cli.doctor_report import print_report, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

VCAN0: Final = Interface(index=3, name="vcan0", kind="vcan", up=True, carrier=True)
WORKING: Final = Machine(release="6.12.0", open_socket=lambda *_: 0)
WITHOUT: Final = Machine(release="6.12.0", open_socket=lambda *_: errno.EAFNOSUPPORT)
MACOS: Final = Machine(system="Darwin", architecture="arm64", file_limit=256)


def examined(machine: Machine, *interfaces: Interface) -> list[Section]:
    async def interfaces_of() -> Sequence[Interface]:
        return interfaces

    return anyio.run(examine, machine, interfaces_of)


def findings(sections: Sequence[Section]) -> dict[str, Finding]:
    return {one.name: one for section in sections for one in section.findings}


def printed(sections: Sequence[Section], encoding: str = "utf-8", width: int = 100) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_report(Console(file=file, width=width, highlight=False), sections)
    file.flush()
    return file.buffer.getvalue().decode(encoding)


def run(monkeypatch: pytest.MonkeyPatch, machine: Machine, *arguments: str) -> int:
    async def interfaces_of(**_options: object) -> Sequence[Interface]:
        return [VCAN0]

    monkeypatch.setattr(doctor_module, "this_machine", lambda: machine)
    monkeypatch.setattr(doctor_module, "list_interfaces", interfaces_of)
    return main(["doctor", *arguments])


@pytest.mark.parametrize(("machine", "status"), [(WORKING, 0), (WITHOUT, 1), (MACOS, 1)])
def test_the_status_tells_whether_can_can_be_used(
    machine: Machine,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, machine) == status
    out, err = capsys.readouterr()
    start = "This machine can use CAN" if status == 0 else "This machine cannot use the kernel's"
    assert f"\n{start}" in out
    assert err == ""


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) in {0, 1}
    objects = json.loads(capsys.readouterr().out)
    assert {"system", "raw sockets", "Python"} <= {one["name"] for one in objects}


def test_objects_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, WORKING, "--json") == 0
    objects: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert {tuple(one) for one in objects} == {("section", "name", "verdict", "found", "command")}
    assert {
        "section": "Interfaces",
        "name": "vcan0",
        "verdict": "ok",
        "found": "vcan, classical: up",
        "command": None,
    } in objects
    assert [one["verdict"] for one in objects if one["name"] == "raw sockets"] == ["ok"]


def test_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--help"]) == 0
    assert "anycan doctor --json" in capsys.readouterr().out.partition("Examples")[2]


def test_modules_are_looked_at_when_sockets_have_loaded_them() -> None:
    loaded: list[str] = []

    def open_socket(_family: str, _kind: int, protocol: int) -> int:
        loaded.extend(["can_gw"] if protocol == 1 else [])
        return 0

    machine = Machine(
        open_socket=open_socket, names_in=lambda path: loaded if path == "/sys/module" else []
    )
    assert findings(examined(machine))["forwarding in the kernel"].verdict is Verdict.OK


def test_what_fails_becomes_a_finding_and_the_rest_goes_on() -> None:
    def fail(*_arguments: object) -> Any:
        raise RuntimeError("no such luck")

    async def fail_late() -> Sequence[Interface]:
        raise PermissionError

    machine = Machine(
        release="6.12.0",
        read=fail,
        names_in=fail,
        open_socket=fail,
        find_program=fail,
        version_of=fail,
    )
    sections = anyio.run(examine, machine, fail_late)
    found = findings(sections)
    for name in ("system", "sockets", "modules", "rights", "limits", "programs", "packages"):
        if name != "system":  # of which something was found before
            assert found[name].verdict is Verdict.WARNING
            assert found[name].found == "looking at them failed: no such luck"
    assert found["interfaces"].found == "looking at them failed: PermissionError"
    assert found["kernel"].verdict is Verdict.OK
    assert found["ANYCAN_NETWORK"].verdict is Verdict.OK


def test_elsewhere_nothing_is_asked_of_linux() -> None:
    sections = examined(MACOS, VCAN0)
    filled = [section.title for section in sections if section.findings]
    assert filled == ["System", "Sockets", "Limits", "Python and anycan"]
    assert "\nInterfaces" not in printed(sections)


EXAMPLE: Final = [
    Section(
        "Sockets",
        (
            Finding("raw sockets", Verdict.OK, "can-raw is there"),
            Finding("ISO-TP", Verdict.MISSING, "its module is not loaded", "sudo modprobe x"),
            Finding("J1939", Verdict.MISSING, "its module is not loaded", "sudo modprobe x"),
        ),
    ),
    Section("Modules", ()),
    Section(
        "Interfaces",
        (
            Finding("vcan0", Verdict.OK, "vcan, classical: up"),
            Finding("can0", Verdict.WARNING, "down", "sudo ip link set can0 up"),
        ),
    ),
]


def test_what_is_printed() -> None:
    text = "\n".join(line.rstrip() for line in printed(EXAMPLE).splitlines())
    assert text == (
        "Sockets\n"
        "  ✓ ok       raw sockets  can-raw is there\n"
        "  ✗ missing  ISO-TP       its module is not loaded\n"
        "  ✗ missing  J1939        its module is not loaded\n"
        "\n"
        "Interfaces\n"
        "  ✓ ok       vcan0        vcan, classical: up\n"
        "  ! warning  can0         down\n"
        "\n"
        "To mend it\n"
        "  # ISO-TP, J1939\n"
        "  sudo modprobe x\n"
        "  # can0\n"
        "  sudo ip link set can0 up\n"
        "\n"
        "This machine can use CAN: raw sockets; on vcan0; missing: ISO-TP, J1939."
    )


def test_words_are_enough_where_marks_cannot_be_shown() -> None:
    text = printed(EXAMPLE, "ascii")
    assert "  ok       raw sockets" in text
    assert "  missing  ISO-TP" in text


def test_a_command_is_never_folded() -> None:
    command = "sudo modprobe " + "can-raw " * 30
    finding = Finding("raw sockets", Verdict.MISSING, "not loaded", command.strip())
    assert f"  {command.strip()}\n" in printed([Section("Sockets", (finding,))], width=40)


def test_the_summary_of_a_machine_that_lacks_nothing() -> None:
    names = ("raw sockets", "broadcast manager", "ISO-TP", "J1939")
    found = tuple(Finding(name, Verdict.OK, "there") for name in names)
    assert summary([Section("Sockets", found)]) == (
        "This machine can use CAN: raw sockets, broadcast manager, ISO-TP, J1939; but no interface"
        " is up; missing: nothing."
    )


@settings(max_examples=30)
@given(
    st.text(max_size=20),
    st.text(),
    st.text(),
    st.sampled_from(Verdict),
    st.sampled_from(["utf-8", "ascii"]),
)
def test_whatever_is_found_can_be_printed(
    name: str, found: str, command: str, verdict: Verdict, encoding: str
) -> None:
    text = printed([Section("Sockets", (Finding(name, verdict, found, command),))], encoding)
    assert all(one.isprintable() or one == "\n" for one in text)
