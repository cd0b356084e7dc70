"""anycan network status: a served network, its interfaces and its clients."""

from __future__ import annotations

import io
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from anyio import to_thread
from rich.console import Console

from anycan import Frame, ServedNetwork, UserNetwork, connect_network
from anycan.cli import main, network_status
from anycan.cli.network_look import look_at
from anycan.cli.network_status import status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

DEADLINE: Final = 30

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def beside_a_network(
    act: Callable[[], Awaitable[object]], path: Path, backend: str = "asyncio"
) -> None:
    """Do something while a network is served, which a client is connected to."""

    async def run() -> None:
        with anyio.fail_after(DEADLINE), UserNetwork() as network:
            network.add_vcan("vcan0")
            network.inject("vcan0", Frame(0x123))
            async with anyio.create_task_group() as tasks:
                await tasks.start(partial(network.serve, str(path)))
                async with await connect_network(str(path)):
                    await act()
                tasks.cancel_scope.cancel()

    anyio.run(run, backend=backend)


@both_back_ends
def test_an_object_of_json(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "can"
    beside_a_network(partial(status, path=path, as_json=True), path, backend)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told.keys() == {
        *("name", "path", "process", "seconds", "refused", "clients", "clients_left_out"),
        "interfaces",
    }
    assert (told["name"], told["path"], told["process"]) == ("user", str(path), os.getpid())
    (interface,) = told["interfaces"]
    assert (interface["name"], interface["statistics"]["rx_packets"]) == ("vcan0", 1)
    assert [one["process"] for one in told["clients"]] == [os.getpid()] * 2
    assert [one["requests"] for one in told["clients"]] == [1, 2]


def test_a_table_with_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "can"
    beside_a_network(partial(status, path=path, interval=0.001), path)
    out = capsys.readouterr().out
    assert out.count(str(path)) == 1
    assert out.count(f"  {os.getpid()} ") == 2
    (line,) = (line.split() for line in out.splitlines() if line.startswith("  vcan0 "))
    assert line == ["vcan0", "vcan", "up", "72", "0", "0", "1", "0", "0/0"]


class Looks:
    """Lets a command look at a network some times, and ends it then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self._times = times
        self._seen = anyio.Event()
        monkeypatch.setattr(network_status, "look_at", self._look)

    async def _look(self, network: ServedNetwork) -> Any:
        if not self._times:
            self._seen.set()
            await anyio.sleep_forever()
        self._times -= 1
        return await look_at(network)

    async def of(self, command: Callable[[], Coroutine[Any, Any, object]]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(command)
            await self._seen.wait()
            tasks.cancel_scope.cancel()


@both_back_ends
def test_objects_of_json(
    backend: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "can"
    looks = Looks(monkeypatch, times=3)
    command = partial(status, path=path, as_json=True, watch=True, interval=0.001)
    beside_a_network(lambda: looks.of(command), path, backend)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["path"] for line in lines] == [str(path)] * 3


def test_tables_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "can"
    looks = Looks(monkeypatch, times=3)
    beside_a_network(lambda: looks.of(partial(status, path=path, watch=True, interval=0.001)), path)
    assert capsys.readouterr().out.count(str(path)) == 2


def test_a_table_that_changes_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "can"
    screen = Console(file=io.StringIO(), force_terminal=True, width=130)
    monkeypatch.setattr(network_status, "Console", lambda **_: screen)
    looks = Looks(monkeypatch, times=2)
    beside_a_network(lambda: looks.of(partial(status, path=path, watch=True, interval=0.001)), path)
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert "vcan0" in shown
    assert "\x1b[1A" in shown  # upwards, to draw it again


def test_the_network_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "can"
    monkeypatch.setenv("ANYCAN_NETWORK", f"unix:{path}")

    async def act() -> None:
        assert await to_thread.run_sync(main, ["network", "status", "--json"]) == 0

    beside_a_network(act, path)
    assert json.loads(capsys.readouterr().out)["path"] == str(path)


def test_nobody_serves_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"{tmp_path}/can"
    assert main(["network", "status", "--path", path]) == 1
    assert capsys.readouterr() == (
        "",
        (
            f"anycan: no network is served at {path}: there is no such file"
            f" ('anycan network serve --path {path}' serves one)\n"
        ),
    )
