"""anycan doctor: what this process may do, and how much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_limits import check_limits, check_rights
from anycan.cli.doctor_machine import Machine

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE: Final = "         0          0 4294967295\n"
CORE: Final = "/proc/sys/net/core"


def rights(effective: str, users: str = WHOLE, **known: Any) -> dict[str, Finding]:
    status = f"Name:\tpython\nCapPrm:\tffffffffffffffff\nCapEff:\t{effective}\nCapBnd:\t0\n"
    files = {"/proc/self/status": status, "/proc/self/uid_map": users}
    return {one.name: one for one in check_rights(Machine(read=files.get, **known))}


def limits(files: Mapping[str, str], **known: Any) -> dict[str, Finding]:
    return {one.name: one for one in check_limits(Machine(read=dict(files).get, **known))}


@pytest.mark.parametrize("effective", ["0000000000001000", "000001ffffffffff"])
def test_the_right_to_configure(effective: str) -> None:
    found = rights(effective)["CAP_NET_ADMIN"]
    assert found == Finding("CAP_NET_ADMIN", Verdict.OK, "effective: interfaces can be configured")


@pytest.mark.parametrize("effective", ["0000000000000000", "000001ffffffefff"])
def test_without_the_right_to_configure(effective: str) -> None:
    found = rights(effective)["CAP_NET_ADMIN"]
    assert found.verdict is Verdict.WARNING
    assert "using CAN needs no right" in found.found
    assert found.command is not None
    assert found.command == (
        'sudo setpriv --reuid="$USER" --regid="$(id -g)" --init-groups --inh-caps=+net_admin'
        ' --ambient-caps=+net_admin env HOME="$HOME" PATH="$PATH" "$SHELL"'
    )


def test_without_it_in_a_container() -> None:
    found = rights("0000000000000000", names_in={"/": [".dockerenv"], "/run": []}.get)
    command = found["CAP_NET_ADMIN"].command
    assert command is not None
    assert command.startswith("docker run --cap-add=NET_ADMIN ")


def test_in_a_user_namespace_the_right_is_not_the_machines() -> None:
    found = rights("000001ffffffffff", "         0       1000          1\n")["CAP_NET_ADMIN"]
    assert found.verdict is Verdict.OK
    assert "user namespace" in found.found


@pytest.mark.parametrize(
    ("effective", "words"),
    [("0000000000002000", "effective;"), ("0000000000001000", "not effective;")],
)
def test_nothing_needs_the_right_to_raw_sockets(effective: str, words: str) -> None:
    found = rights(effective)["CAP_NET_RAW"]
    assert found.verdict is Verdict.OK
    assert found.found.startswith(words)


def test_rights_that_cannot_be_read() -> None:
    (found,) = check_rights(Machine())
    assert (found.name, found.verdict) == ("capabilities", Verdict.WARNING)
    assert list(check_rights(Machine(system="Darwin"))) == []


@pytest.mark.parametrize(
    ("size", "verdict"), [(2_097_152, Verdict.OK), (2_097_151, Verdict.WARNING)]
)
def test_receive_buffers(size: int, verdict: Verdict) -> None:
    found = limits({f"{CORE}/rmem_max": f"{size}\n"})["receive buffers"]
    assert found.verdict is verdict
    assert f"{size:,}" in found.found
    if verdict is Verdict.WARNING:
        assert found.command == (
            "echo net.core.rmem_max=4194304 | sudo tee -a /etc/sysctl.d/60-can.conf"
            " && sudo sysctl -w net.core.rmem_max=4194304"
        )
    else:
        assert found.command is None


@pytest.mark.parametrize(("size", "verdict"), [(212_992, Verdict.OK), (212_991, Verdict.WARNING)])
def test_send_buffers(size: int, verdict: Verdict) -> None:
    assert limits({f"{CORE}/wmem_max": f"{size}\n"})["send buffers"].verdict is verdict


@pytest.mark.parametrize("files", [{}, {f"{CORE}/rmem_max": "strange"}])
def test_buffers_whose_limit_cannot_be_read(files: dict[str, str]) -> None:
    found = limits(files)["receive buffers"]
    assert (found.verdict, found.command) == (Verdict.WARNING, None)


def test_in_a_container_the_host_sets_limits() -> None:
    found = limits(
        {f"{CORE}/rmem_max": "212992"},
        names_in=lambda path: [".dockerenv"] if path == "/" else [],
    )
    assert (found["receive buffers"].command or "").endswith("  # on the host")


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(None, Verdict.OK), (1024, Verdict.OK), (1023, Verdict.WARNING), (256, Verdict.WARNING)],
)
def test_open_files(limit: int | None, verdict: Verdict) -> None:
    for system in ("Linux", "Darwin"):
        found = limits({}, system=system, file_limit=limit)["open files"]
        assert found.verdict is verdict
        assert found.command == ("ulimit -n 1024" if verdict is Verdict.WARNING else None)


def test_parameters_of_modules() -> None:
    found = limits(
        {
            "/sys/module/can_isotp/parameters/max_pdu_size": "8300\n",
            "/sys/module/can_gw/parameters/max_hops": "1\n",
        }
    )
    assert found["ISO-TP PDUs"].found == "8,300 bytes at most (max_pdu_size)"
    assert found["hops of a frame"].found == "1 at most through can-gw (max_hops)"
    assert {"ISO-TP PDUs", "hops of a frame"}.isdisjoint(limits({}))


def test_the_longest_pdu_of_an_old_kernel() -> None:
    found = limits({}, release="6.1.0-37-amd64", names_in=lambda _path: ["can_isotp"])
    assert found["ISO-TP PDUs"].found.startswith("8,200 bytes")


def test_elsewhere() -> None:
    assert list(limits({}, system="Darwin")) == ["open files"]
