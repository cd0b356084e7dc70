"""anycan doctor: what it asks the machine that it runs on."""

from __future__ import annotations

import errno
import gzip
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from anycan.cli.doctor_machine import this_machine
from rig.served import served_path

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_known() -> None:
    machine = this_machine()
    assert machine.is_linux == sys.platform.startswith("linux")
    assert machine.release == os.uname().release
    assert machine.environment is os.environ
    assert machine.version_of("anyio") is not None
    assert machine.version_of("no-such-package-at-all") is None
    assert machine.find_program("sh") is not None
    assert machine.find_program("no-such-program-at-all") is None


def test_files(tmp_path: Path) -> None:
    machine = this_machine()
    (tmp_path / "text").write_bytes(b"caf\xc3\xa9 \xff\n")
    (tmp_path / "config.gz").write_bytes(gzip.compress(b"CONFIG_CAN=m\n"))
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"CONFIG_CAN=m\n")[:-9])
    (tmp_path / "none.gz").write_bytes(b"no such thing")
    assert machine.read(f"{tmp_path}/text") == "café \N{REPLACEMENT CHARACTER}\n"
    assert machine.read(f"{tmp_path}/config.gz") == "CONFIG_CAN=m\n"
    for unreadable in ("broken.gz", "none.gz", "absent", ""):
        assert machine.read(f"{tmp_path}/{unreadable}") is None
    assert sorted(machine.names_in(str(tmp_path))) == [
        "broken.gz",
        "config.gz",
        "none.gz",
        "text",
    ]
    assert list(machine.names_in(f"{tmp_path}/absent")) == []
    assert list(machine.names_in(f"{tmp_path}/text")) == []


def test_sockets() -> None:
    machine = this_machine()
    assert machine.open_socket("AF_INET", socket.SOCK_DGRAM, 0) == 0
    assert machine.open_socket("AF_NO_SUCH", socket.SOCK_RAW, 1) == errno.EAFNOSUPPORT
    assert machine.open_socket("AF_INET", socket.SOCK_DGRAM, 253) == errno.EPROTONOSUPPORT


def test_the_limit_of_open_files() -> None:
    resource = pytest.importorskip("resource")
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit - 1, most))
    try:
        assert this_machine().file_limit == limit - 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


def test_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # what halts an import: Windows
    assert this_machine().file_limit is None


def test_a_served_network(tmp_path: Path) -> None:
    assert this_machine().connect(served_path()) == ""
    assert "there is no such file" in this_machine().connect(f"{tmp_path}/can")
