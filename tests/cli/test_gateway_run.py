"""anycan gateway run: a service that goes by signals, and tells its manager."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED

from anycan import (
    CanOSError,
    Frame,
    Gateway,
    GatewayPort,
    Rule,
    UserNetwork,
    load_gateway_file,
    open_raw,
)
from anycan.cli import gateway_service, main
from anycan.cli.gateway_run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from anyio.abc import TaskStatus

    from anycan import GatewayFile

DEADLINE: Final = 30
NAME: Final = f"test-{os.getpid()}"
HEAD: Final = f'name = "{NAME}"\n'
THERE: Final = '[[rule]]\nname = "there"\nsource = "can0"\ndestination = "can1"\n'
BACK: Final = '[[rule]]\nname = "back"\nsource = "can1"\ndestination = "can0"\n'
STAMP: Final = re.compile(r"^[\d-]{10}T[\d:.]{12}Z ", re.MULTILINE)

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Manager:
    """Stands for systemd.

    Args:
        directory: Where the file of rules is, and the socket of notifications.
    """

    def __init__(self, directory: Path) -> None:
        self.file = directory / "door.toml"
        self.address = f"{directory}/notify"
        self.receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.receiver.bind(self.address)
        self.receiver.setblocking(False)
        self.signs_of_life = 0

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    async def told(self) -> dict[str, str]:
        """Give the next notification that is no sign of life."""
        while True:
            await anyio.wait_readable(self.receiver)
            told = self._next()
            if told:
                return told

    def told_so_far(self) -> list[dict[str, str]]:
        messages = []
        with suppress(BlockingIOError):
            while True:
                messages.append(self._next())
        return [one for one in messages if one]

    def _next(self) -> dict[str, str]:
        message = self.receiver.recv(4096).decode()
        if message == "WATCHDOG=1":
            self.signs_of_life += 1
            return {}
        return dict(line.split("=", 1) for line in message.splitlines())

    async def reload(self, text: str) -> str:
        """Have other rules loaded; give the status after that."""
        self.write(text)
        os.kill(os.getpid(), signal.SIGHUP)
        reloading = await self.told()
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) > 0
        ready = await self.told()
        assert ready["READY"] == "1"
        return ready["STATUS"]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    with manager.receiver:
        yield manager


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork(name="gateway") as network:
        for interface in ("can0", "can1"):
            network.add_vcan(interface)
        yield network


def serve(
    manager: Manager,
    act: Callable[[], Coroutine[Any, Any, object]],
    *,
    backend: str = "asyncio",
    end: signal.Signals = signal.SIGTERM,
    **options: Any,
) -> None:
    """Run the service on a network, do something once it forwards, and end it by a signal."""

    async def both() -> None:
        async def service() -> None:
            assert await run(manager.file, network="user:gateway", **options) == 0

        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(service)
                ready = await manager.told()
                assert ready["READY"] == "1"
                assert ready["STATUS"].startswith("forwarding by ")
                await act()
                os.kill(os.getpid(), end)
        assert manager.told_so_far() == [{"STOPPING": "1"}]

    anyio.run(both, backend=backend)


async def pass_through(
    network: UserNetwork, *ids: int, source: str = "can0", destination: str = "can1"
) -> list[int]:
    """Give the identifiers that come out at one interface, of those put into another.

    The last one has to.
    """
    async with (
        open_raw(source, network=network) as near,
        open_raw(destination, network=network) as far,
    ):
        await near.send_many([Frame(one) for one in ids])
        found: list[int] = []
        while not found or found[-1] != ids[-1]:
            found.append((await far.receive()).id)
    return found


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Give what has been logged, without the times."""
    out, err = capsys.readouterr()
    assert out == ""
    return STAMP.sub("", err).splitlines()


@both_back_ends
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_forwards_until_it_is_told_to_end(
    backend: str,
    end: signal.Signals,
    manager: Manager,
    network: UserNetwork,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def act() -> None:
        assert await pass_through(network, 0x001, 0x7FF, 0x100) == [0x001, 0x100]

    manager.write(f"{HEAD}{THERE}filter = [{{range = [0, 0x1FF]}}]\n{BACK}")
    serve(manager, act, backend=backend, end=end)
    assert logged(capsys) == [
        "INFO there: by this process, since it is on a user-space network",
        "INFO back: by this process, since it is on a user-space network",
        f"INFO gateway '{NAME}': forwarding by 2 rules",
        f"INFO {end.name}: ending",
        "INFO there: 2 received, 2 forwarded",
        "INFO back: 0 received, 0 forwarded",
    ]


@both_back_ends
def test_sighup_loads_the_file_anew(
    backend: str, manager: Manager, network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act() -> None:
        assert await pass_through(network, 1, 2) == [1, 2]
        assert await manager.reload(f"{HEAD}{THERE}{BACK}") == "forwarding by 2 rules"
        assert await pass_through(network, 3, source="can1", destination="can0") == [3]
        assert await pass_through(network, 4) == [4]
        status = await manager.reload(f'{HEAD}{BACK}filter = "005:7FF"\n')
        assert status == "forwarding by 1 rule"
        assert await pass_through(network, 4, 5, source="can1", destination="can0") == [5]

    manager.write(HEAD + THERE)
    serve(manager, act, backend=backend)
    told = logged(capsys)
    assert told.count(f"INFO SIGHUP: loading {manager.file}") == 2
    assert told[-1] == "INFO back: 1 received, 1 forwarded"


def test_counts_of_a_rule_that_stays_go_on(
    manager: Manager, network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act() -> None:
        await pass_through(network, 1, 2)
        await manager.reload(f"{HEAD}{BACK}{THERE}")
        await pass_through(network, 3)

    manager.write(HEAD + THERE)
    serve(manager, act)
    assert logged(capsys)[-1] == "INFO there: 3 received, 3 forwarded"


@both_back_ends
def test_a_file_with_mistakes_changes_nothing(
    backend: str, manager: Manager, network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act() -> None:
        status = await manager.reload(f"{HEAD}{BACK}capacity = 0\nfilters = 1\n")
        assert status == "the last reload was refused; the rules are those from before"
        assert await pass_through(network, 1) == [1]
        manager.file.unlink()
        manager.file.mkdir()
        os.kill(os.getpid(), signal.SIGHUP)
        assert (await manager.told())["RELOADING"] == "1"
        assert (await manager.told())["STATUS"] == status
        assert await pass_through(network, 2) == [2]

    manager.write(HEAD + THERE)
    serve(manager, act, backend=backend)
    errors = [line for line in logged(capsys) if line.startswith("ERROR")]
    assert errors == [
        f"ERROR {manager.file}:6: rule 'back': capacity is a number of frames, 1 or more, not 0",
        f"ERROR {manager.file}:7: unknown key 'filters'; did you mean 'filter'?",
        "ERROR the rules stay as they were",
        f"ERROR {manager.file}: Is a directory",
        "ERROR the rules stay as they were",
    ]


def test_rules_that_the_gateway_refuses_change_nothing(
    manager: Manager, network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act() -> None:
        status = await manager.reload(f'{HEAD}{THERE}offload = "require"\n')
        assert status == "the last reload was refused; the rules are those from before"
        assert await pass_through(network, 1) == [1]

    manager.write(HEAD + THERE)
    serve(manager, act)
    errors = [line for line in logged(capsys) if line.startswith("ERROR")]
    assert errors[0].startswith("ERROR rule 'there' requires the kernel's path: ")
    assert errors[1:] == ["ERROR the rules stay as they were"]


@pytest.mark.usefixtures("network")
def test_what_needs_a_restart_is_told(manager: Manager, capsys: pytest.CaptureFixture[str]) -> None:
    async def act() -> None:
        await manager.reload(f'name = "other"\n{THERE}')
        await manager.reload(f'name = "{NAME}"\nmissing = "raise"\n{THERE}')

    manager.write(HEAD + THERE)
    serve(manager, act)
    warning = "WARNING another name, and another way with missing interfaces, need a restart"
    assert logged(capsys).count(warning) == 2


def test_why_frames_were_dropped_is_told_at_the_end(
    manager: Manager, network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act() -> None:
        assert await pass_through(network, 1, 1, 1, 2) == [1, 2]

    manager.write(f"{HEAD}{THERE}minimum_interval = 3600\n")
    serve(manager, act)
    assert logged(capsys)[-1] == "INFO there: 4 received, 2 forwarded, 2 dropped (rate limit 2)"


@both_back_ends
@pytest.mark.usefixtures("network")
def test_it_gives_signs_of_life(
    backend: str, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        while manager.signs_of_life < 3:
            await anyio.wait_readable(manager.receiver)
            assert manager.told_so_far() == []

    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    manager.write(HEAD + THERE)
    serve(manager, act, backend=backend)


@pytest.mark.usefixtures("network")
def test_a_log_of_json(manager: Manager, capsys: pytest.CaptureFixture[str]) -> None:
    async def act() -> None:
        await manager.reload("[[rule]\n")

    manager.write(HEAD + THERE)
    serve(manager, act, log_format="json", log_level="warning")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.keys() for line in lines] == [{"time", "level", "logger", "message"}] * 2
    assert lines[0]["message"].startswith(f"{manager.file}:1: this is not TOML: ")
    assert lines[1] == {
        "time": lines[1]["time"],
        "level": "error",
        "logger": "anycan.service",
        "message": "the rules stay as they were",
    }


class SlowLoading:
    """Stands for a file whose module takes its time: each load waits until it is let go.

    Args:
        monkeypatch: Puts it in its place.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_slow = True
        self.times = 0
        self._load = load_gateway_file
        self._entered = threading.Event()
        self._gate = threading.Event()
        self._threads: list[threading.Thread] = []
        monkeypatch.setattr(gateway_service, "load_gateway_file", self._wait)

    def _wait(self, path: Path) -> GatewayFile:
        self.times += 1
        self._threads.append(threading.current_thread())
        if self.is_slow:
            self._entered.set()
            self._gate.wait(DEADLINE)
        return self._load(path)

    async def entered(self) -> None:
        assert await anyio.to_thread.run_sync(self._entered.wait, DEADLINE)

    def end(self) -> None:
        self._gate.set()
        for thread in self._threads:
            thread.join(DEADLINE)


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowLoading]:
    loading = SlowLoading(monkeypatch)
    yield loading
    loading.end()


@both_back_ends
@pytest.mark.usefixtures("network")
def test_the_end_comes_while_it_loads_for_the_first_time(
    backend: str, manager: Manager, loading: SlowLoading, capsys: pytest.CaptureFixture[str]
) -> None:
    async def both() -> None:
        async def service() -> None:
            assert await run(manager.file, network="user:gateway") == 0

        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(service)
                await loading.entered()
                os.kill(os.getpid(), signal.SIGTERM)

    manager.write(HEAD + THERE)
    anyio.run(both, backend=backend)
    assert manager.told_so_far() == [{"STOPPING": "1"}]
    assert logged(capsys) == ["INFO SIGTERM: ending"]


@both_back_ends
def test_sighup_while_it_loads_for_the_first_time_waits(
    backend: str, manager: Manager, network: UserNetwork, loading: SlowLoading
) -> None:
    async def both() -> None:
        async def service() -> None:
            assert await run(manager.file, network="user:gateway") == 0

        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(service)
                await loading.entered()
                os.kill(os.getpid(), signal.SIGHUP)
                loading.is_slow = False
                loading.end()
                assert "READY" in await manager.told()
                assert "RELOADING" in await manager.told()
                assert "READY" in await manager.told()
                assert await pass_through(network, 1) == [1]
                os.kill(os.getpid(), signal.SIGTERM)

    manager.write(HEAD + THERE)
    anyio.run(both, backend=backend)
    assert loading.times == 2


@both_back_ends
def test_the_end_comes_while_it_loads_anew(
    backend: str,
    manager: Manager,
    network: UserNetwork,
    loading: SlowLoading,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def act() -> None:
        assert await pass_through(network, 1) == [1]
        loading.is_slow = True
        os.kill(os.getpid(), signal.SIGHUP)
        await loading.entered()
        assert "RELOADING" in await manager.told()
        assert await pass_through(network, 2) == [2]

    loading.is_slow = False
    manager.write(HEAD + THERE)
    serve(manager, act, backend=backend)
    assert logged(capsys)[-3:] == [
        f"INFO SIGHUP: loading {manager.file}",
        "INFO SIGTERM: ending",
        "INFO there: 2 received, 2 forwarded",
    ]


@both_back_ends
@pytest.mark.usefixtures("network")
def test_what_goes_wrong_on_the_way_ends_it(
    backend: str,
    manager: Manager,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class FailingGateway(Gateway):
        async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
            task_status.started()
            await anyio.wait_readable(manager.receiver)  # it has been told that it is there
            raise CanOSError(errno.ENOBUFS, "no memory for sockets")

    monkeypatch.setattr(gateway_service, "Gateway", FailingGateway)
    manager.write(HEAD + THERE)
    assert anyio.run(partial(run, manager.file, network="user:gateway"), backend=backend) == 1
    assert logged(capsys)[1:] == ["ERROR no memory for sockets"]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (None, ["{file}: No such file or directory"]),
        (
            f"{HEAD}{THERE}capacity = 0\nzzzz = 1\n",
            [
                "{file}:6: rule 'there': capacity is a number of frames, 1 or more, not 0",
                "{file}:7: unknown key 'zzzz'; known ones are ",
            ],
        ),
        (
            f'{HEAD}missing = "raise"\n[[rule]]\nsource = "can8"\ndestination = "can9"\n',
            ["there is no interface can8"],
        ),
        (
            f'{HEAD}{THERE}offload = "require"\n',
            ["rule 'there' requires the kernel's path: "],
        ),
    ],
)
@pytest.mark.usefixtures("network")
def test_what_cannot_begin(
    text: str | None,
    messages: list[str],
    manager: Manager,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if text is not None:
        manager.write(text)
    arguments = ["gateway", "run", str(manager.file), "--network", "user:gateway"]
    assert main(arguments) == 1
    assert manager.told_so_far() == []
    told = [line for line in logged(capsys) if line.startswith("ERROR")]
    for line, message in zip(told, messages, strict=True):
        assert line.startswith("ERROR " + message.format(file=manager.file))


@both_back_ends
def test_another_gateway_of_that_name(
    backend: str, manager: Manager, network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    async def both() -> None:
        ports = [GatewayPort(interface, network) for interface in ("can0", "can1")]
        other = Gateway([Rule(source=ports[0], destination=ports[1])], name=NAME)
        async with anyio.create_task_group() as tasks:
            await tasks.start(other.run)
            assert await run(manager.file, network="user:gateway") == 1
            other.stop()

    manager.write(HEAD + THERE)
    anyio.run(both, backend=backend)
    assert manager.told_so_far() == []
    (error,) = logged(capsys)
    assert error.startswith("ERROR ")
    assert NAME in error


# A process with a network of its own, so that it has one wherever the test runs.
PROCESS: Final = """
import sys
from anycan import UserNetwork
from anycan.cli import main
with UserNetwork(name="bench"):
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it waits for interfaces of the kernel")
def test_a_process_of_its_own(manager: Manager) -> None:
    manager.write(f'{HEAD}[[rule]]\nsource = "nocan0"\ndestination = "nocan1"\n')
    arguments = ["gateway", "run", str(manager.file), "--network", "user:bench"]
    process = subprocess.Popen(  # noqa: S603 - a test's own words
        [sys.executable, "-c", PROCESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    manager.receiver.settimeout(DEADLINE)
    assert manager.receiver.recv(4096) == b"READY=1\nSTATUS=forwarding by 1 rule"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, out) == (0, "")
    assert "WARNING" in err
    assert err.endswith("nocan0 -> nocan1: 0 received, 0 forwarded\n")


def test_a_process_ends_though_a_module_does_not(manager: Manager) -> None:
    module = "import threading\nprint('here', flush=True)\nthreading.Event().wait()\n"
    (manager.file.parent / "endless_door.py").write_text(module)
    manager.write(f'{HEAD}{THERE}call = "endless_door:f"\n')
    process = subprocess.Popen(  # noqa: S603 - a test's own words
        [sys.executable, "-m", "anycan.cli", "gateway", "run", str(manager.file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert STAMP.sub("", err) == "INFO SIGTERM: ending\n"
