"""anycan network serve: a user-space network for other processes, until it is told to end."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs
import pytest

from anycan import (
    NetworkUnavailableError,
    ServedNetwork,
    ServerLimits,
    connect_network,
    list_interfaces,
)
from anycan.cli import main
from anycan.cli.network_serve import LimitOptions, serve
from rig.served import served_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

DEADLINE: Final = 30

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Manager:
    """Stands for systemd: it is told when the network is served.

    Args:
        directory: Where the sockets are.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "can"
        self.receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.receiver.bind(f"{directory}/notify")
        self.receiver.setblocking(False)

    async def told(self) -> list[str]:
        await anyio.wait_readable(self.receiver)
        return self.receiver.recv(4096).decode().splitlines()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
    with manager.receiver:
        yield manager


@pytest.fixture(autouse=True)
def limits_set(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Leave this process's limit of files as it is."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 5000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    return asked


def beside(
    manager: Manager,
    act: Callable[[], Awaitable[object]],
    *,
    backend: str = "asyncio",
    end: signal.Signals = signal.SIGTERM,
    **options: Any,
) -> list[str]:
    """Do something while a network is served, and end that by a signal; give what was told."""
    told: list[str] = []

    async def run() -> None:
        async def service() -> None:
            assert await serve(**{"path": manager.path} | options) == 0

        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(service)
                told.extend(await manager.told())
                await act()
                os.kill(os.getpid(), end)
                told.extend(await manager.told())

    anyio.run(run, backend=backend)
    return told


async def nothing() -> None:
    """Do nothing."""


@both_back_ends
def test_others_have_its_interfaces(
    backend: str, manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []

    async def act() -> None:
        async with await connect_network(str(manager.path)) as network:
            found.extend([one.name for one in await list_interfaces(network=network)])
        assert stat.S_IMODE(manager.path.stat().st_mode) == 0o600

    told = beside(manager, act, backend=backend, vcan=["vcan0", "vcan1"], can=["can0=500k"])
    assert found == ["vcan0", "vcan1", "can0"]
    assert told == [
        "READY=1",
        f"STATUS=serving 3 interfaces at {manager.path}",
        "STOPPING=1",
    ]
    assert not manager.path.exists()
    out, err = capsys.readouterr()
    assert out == f"export ANYCAN_NETWORK=unix:{manager.path}\n"
    serving, ending = (line.partition(" INFO ")[2] for line in err.splitlines())
    assert serving == f"serving vcan0, vcan1, can0 at {manager.path}"
    assert ending == "SIGTERM: ending"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGHUP])
def test_what_else_ends_it(end: signal.Signals, manager: Manager) -> None:
    assert beside(manager, nothing, end=end)[-1] == "STOPPING=1"
    assert not manager.path.exists()


def test_a_path_that_a_shell_would_take_apart(
    manager: Manager, capsys: pytest.CaptureFixture[str]
) -> None:
    path = manager.path.with_name("my can;")
    beside(manager, nothing, path=path)
    out = capsys.readouterr().out
    assert shlex.split(out) == ["export", f"ANYCAN_NETWORK=unix:{path}"]


def test_where_it_is_by_default(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))

    async def act() -> None:
        assert (runtime / "anycan.sock").is_socket()

    beside(manager, act, path=None)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--mode", "0660"], ["--group", "0"]])
def test_others_cannot_reach_the_default_place(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["network", "serve", *arguments]) == 2
    assert "name a --path" in capsys.readouterr().err


@pytest.mark.parametrize("group", [str(os.getegid()), None])
def test_rights(group: str | None, manager: Manager) -> None:
    async def act() -> None:
        found = manager.path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getegid())

    beside(manager, act, mode=0o660, group=group)


def test_a_group_by_its_name(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    @attrs.frozen
    class Bench:
        gr_gid: int = os.getegid()

    monkeypatch.setattr("grp.getgrnam", {"bench": Bench()}.__getitem__)

    async def act() -> None:
        assert stat.S_IMODE(manager.path.stat().st_mode) == 0o660

    beside(manager, act, group="bench")


def test_limits(manager: Manager) -> None:
    async def act() -> None:
        async with await connect_network(str(manager.path)):
            with pytest.raises(NetworkUnavailableError, match="there are 1 clients already"):
                await connect_network(str(manager.path))

    beside(manager, act, limits=LimitOptions(connections=1))


def test_all_limits_can_be_set() -> None:
    assert attrs.asdict(LimitOptions()) == attrs.asdict(ServerLimits())


def test_the_longest_pdu(manager: Manager) -> None:
    sizes = []

    async def act() -> None:
        async with await connect_network(str(manager.path)) as network:
            sizes.append(network.max_pdu_size)

    beside(manager, act, max_pdu_size=5000)
    assert sizes == [5000]


def test_as_many_files_as_it_may_have(manager: Manager, limits_set: list[tuple[int, int]]) -> None:
    beside(manager, nothing)
    assert limits_set == [(5000, 5000)]


def test_a_process_that_has_all_files_already(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, limits_set: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20_000, 20_000))
    beside(manager, nothing)
    assert limits_set == []


def test_a_system_that_gives_fewer_files_than_it_says(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(_: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        if limits[0] > 10_240:
            raise ValueError("not so many")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1 << 62))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    beside(manager, nothing)
    assert asked == [(1 << 62, 1 << 62), (10_240, 1 << 62)]


# What cannot be.


def test_one_is_served_there_already(capsys: pytest.CaptureFixture[str]) -> None:
    path = served_path()
    assert main(["network", "serve", "--path", path]) == 1
    assert capsys.readouterr() == ("", f"anycan: a network is served at {path} already\n")
    assert Path(path).is_socket()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--path", "{}/none/can"], "no network can be served at {}/none/can: No such file"),
        (["--path", "{}/can", "--vcan", "a0", "a0"], "there is an interface a0 on user already"),
    ],
)
def test_it_does_not_begin(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["network", "serve", *(word.format(tmp_path) for word in arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"anycan: {words.format(tmp_path)}")
    assert err.count("\n") == 1


# A command beside it.

PROGRAM: Final = (
    "import anyio, anycan\n"
    "async def main():\n"
    "    async with anycan.open_raw('vcan0') as can:\n"
    "        await can.send(anycan.Frame(0x123))\n"
    "        print(can)\n"
    "anyio.run(main)\n"
)


def with_command(*words: str, backend: str = "asyncio", **options: Any) -> int:
    async def run() -> int:
        with anyio.fail_after(DEADLINE):
            return await serve(*words, **options)

    return anyio.run(run, backend=backend)


def test_a_command_has_the_network(capfd: pytest.CaptureFixture[str]) -> None:
    assert with_command(sys.executable, "-c", PROGRAM, vcan=["vcan0"]) == 0
    assert capfd.readouterr() == ("<RawEndpoint vcan0>\n", "")


@both_back_ends
def test_a_network_for_a_command_is_gone_with_it(
    backend: str, capfd: pytest.CaptureFixture[str]
) -> None:
    script = 'echo "$ANYCAN_NETWORK"; test -S "${ANYCAN_NETWORK#unix:}"'
    assert with_command("sh", "-c", script, backend=backend) == 0
    scheme, _, path = capfd.readouterr().out.strip().partition(":")
    assert scheme == "unix"
    assert not Path(path).parent.exists()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -KILL $$"], 128 + 9),
        (["/no/such/program"], 127),
        (["/"], 126),
    ],
)
def test_the_status_is_the_commands(
    words: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_command(*words) == status
    said = capsys.readouterr().err
    assert said.startswith(f"anycan: {words[0]} cannot be run: " if status in {126, 127} else "")


@pytest.mark.parametrize(
    ("script", "status"),
    [
        # The command is told Ctrl-C by the terminal, and ends when it likes.
        ("trap 'exit 5' TERM; kill -INT $PPID; exit 4", 4),
        # A second one, or another signal, ends it.
        ("trap 'exit 5' TERM; kill -INT $PPID; kill -TERM $PPID; while :; do sleep 0.01; done", 5),
        ("trap 'exit 5' TERM; kill -TERM $PPID; while :; do sleep 0.01; done", 5),
        ("trap 'exit 5' TERM; kill -HUP $PPID; while :; do sleep 0.01; done", 5),
    ],
)
def test_signals(script: str, status: int) -> None:
    assert with_command("sh", "-c", script) == status


def test_a_command_has_logs_of_warnings_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert with_command("true", log_level="info") == 0
    assert "serving no interface yet" in capfd.readouterr().err
    assert with_command("true") == 0
    assert capfd.readouterr() == ("", "")


def test_clients_are_told_of_the_end(manager: Manager) -> None:
    networks: list[ServedNetwork] = []

    async def act() -> None:
        networks.append(await connect_network(str(manager.path)))

    beside(manager, act)
    with networks[0] as network, pytest.raises(NetworkUnavailableError, match="server is gone"):
        network.status()
