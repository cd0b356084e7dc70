"""What clients of a network run."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from anycan import ClientStatus, NetworkStatus
from anycan.cli.network_look import Look, commands_of, user_name

if TYPE_CHECKING:
    from pathlib import Path


def network(*processes: int | None) -> NetworkStatus:
    return NetworkStatus(
        name="user",
        path="/run/can",
        process=1,
        seconds=1.0,
        refused=0,
        clients=tuple(
            ClientStatus(
                number=number, process=process, user=0, writable=True, requests=1, sockets=()
            )
            for number, process in enumerate(processes)
        ),
    )


def write(processes: Path, number: int, *words: str) -> None:
    (processes / f"{number}").mkdir()
    (processes / f"{number}/cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["/usr/bin/candump", "any"], "candump any"),
        (["logger"], "logger"),
        (["/opt/bin/python3.11", "/opt/service/run.py", "can0"], "run.py can0"),
        (["python3", "-m", "service"], "python3 -m service"),
        (["python3"], "python3"),
    ],
)
def test_what_a_client_runs(words: list[str], command: str, tmp_path: Path) -> None:
    write(tmp_path, 7, *words)
    write(tmp_path, os.getpid(), "anycan")
    assert commands_of(network(7, os.getpid()), tmp_path) == {7: command, os.getpid(): "anycan"}


def test_processes_that_are_not_seen(tmp_path: Path) -> None:
    write(tmp_path, os.getpid(), "anycan")
    write(tmp_path, 9)  # of the kernel's own
    assert commands_of(network(None, 0, 8, 9, os.getpid()), tmp_path) == {os.getpid(): "anycan"}


def test_a_server_that_counts_processes_otherwise(tmp_path: Path) -> None:
    write(tmp_path, 7, "another", "one")
    assert commands_of(network(7), tmp_path) == {}


def test_an_object_of_json_has_the_commands() -> None:
    look = Look(status=network(7, None), interfaces=[], commands={7: "candump any"})
    told = look.as_object()
    assert [one["command"] for one in told["clients"]] == ["candump any", None]
    assert (told["path"], told["interfaces"]) == ("/run/can", [])


def test_users() -> None:
    assert user_name(None) == ""
    assert user_name(os.geteuid()) == pwd.getpwuid(os.geteuid()).pw_name
    assert user_name(2**31 - 7) == f"{2**31 - 7}"
    assert user_name(2**70) == f"{2**70}"
