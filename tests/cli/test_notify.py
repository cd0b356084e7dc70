"""What systemd is told, by a datagram socket that stands for it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

import anyio
import pytest

from anycan.cli.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ABSTRACT: Final = f"@anycan-test-notify-{os.getpid()}"


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """Give a socket that is bound as a service manager's."""
    address = ABSTRACT.replace("@", "\0") if request.param == "abstract" else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.setblocking(False)
        yield receiver


def environment_of(manager: socket.socket) -> dict[str, str]:
    name = manager.getsockname()
    return {"NOTIFY_SOCKET": os.fsdecode(name).replace("\0", "@")}


def told(manager: socket.socket) -> list[str]:
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(manager.recv(4096).decode())
    return messages


def test_the_state_of_a_service(manager: socket.socket) -> None:
    notifier = Notifier(environment_of(manager))
    notifier.ready("forwarding\nby 2 rules")
    notifier.reloading()
    notifier.stopping()
    ready, reloading, stopping = told(manager)
    assert ready == "READY=1\nSTATUS=forwarding by 2 rules"
    first, _, second = reloading.partition("\n")
    assert first == "RELOADING=1"
    name, _, microseconds = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert 0 <= time.clock_gettime(time.CLOCK_MONOTONIC) - int(microseconds) / 1e6 < 10
    assert stopping == "STOPPING=1"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_manager_nothing_is_told(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"} if address else {})
    notifier.ready("here")
    notifier.stopping()
    assert notifier.watchdog_interval is None
    assert caplog.messages == []


@pytest.mark.parametrize("address", ["/no/such/socket", f"@{'x' * 200}", "@anycan-nobody-here"])
def test_a_manager_that_is_not_there_harms_nobody(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    Notifier({"NOTIFY_SOCKET": address}).ready("here")
    (message,) = caplog.messages
    assert message.startswith(f"{address} was not told READY=1: ")


def test_a_manager_that_does_not_read_holds_up_nobody(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    notifier = Notifier(environment_of(manager))
    while not caplog.messages:
        notifier.ready("x" * 1000)
    assert "temporarily unavailable" in caplog.messages[0]


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": f"{os.getpid()}"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": f"{os.getppid()}"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "³"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 500}, None),
        ({}, None),
    ],
)
def test_who_is_watched(environment: dict[str, str], interval: float | None) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "/run/notify", **environment})
    assert notifier.watchdog_interval == interval


def test_this_process_has_the_environment(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", environment_of(manager)["NOTIFY_SOCKET"])
    Notifier().stopping()
    assert told(manager) == ["STOPPING=1"]


@pytest.mark.anyio
async def test_signs_of_life(manager: socket.socket) -> None:
    notifier = Notifier({**environment_of(manager), "WATCHDOG_USEC": "2000"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(notifier.keep_watchdog)
        for _ in range(3):
            await anyio.wait_readable(manager)
            assert manager.recv(4096) == b"WATCHDOG=1"
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_no_signs_of_life_where_none_are_wanted(manager: socket.socket) -> None:
    notifier = Notifier(environment_of(manager))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(notifier.keep_watchdog)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert told(manager) == []
