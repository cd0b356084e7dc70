"""anycan gateway show: what a running gateway forwards and drops."""

from __future__ import annotations

import io
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from rich.console import Console

from anycan import Frame, Gateway, GatewayPort, Rule, UserNetwork, open_raw, read_gateway
from anycan.cli import gateway_report, gateway_show, main
from anycan.cli.gateway_show import show
from anycan.cli.gateway_table import GatewayTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

DEADLINE: Final = 30
NAME: Final = f"test-show-{os.getpid()}"

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def beside_a_gateway(act: Callable[[], Awaitable[object]], backend: str = "asyncio") -> None:
    """Do something while a gateway runs that has forwarded two frames and dropped one."""

    async def run() -> None:
        with UserNetwork() as network:
            network.add_vcan("a0")
            network.add_vcan("b0")
            ports = [GatewayPort(name, network) for name in ("a0", "b0")]
            rule = Rule(name="there", source=ports[0], destination=ports[1], minimum_interval=3600)
            gateway = Gateway([rule], name=NAME)
            with anyio.fail_after(DEADLINE):
                async with anyio.create_task_group() as tasks:
                    await tasks.start(gateway.run)
                    async with open_raw("b0", network=network) as can:
                        for identifier in (1, 1, 2):
                            network.inject("a0", Frame(identifier))
                        for _ in range(2):
                            await can.receive()
                    await act()
                    gateway.stop()

    anyio.run(run, backend=backend)


@both_back_ends
def test_once(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    beside_a_gateway(lambda: show(NAME, once=True), backend)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["gateway", f"{NAME},", "process", f"{os.getpid()},", "running", "0:00:00"]
    assert lines[1] == [
        "rule",
        "path",
        "received",
        "forwarded",
        "dropped",
        "waiting",
        "median",
        "99",
        "%",
    ]
    assert lines[3][:6] == ["there", "bytes", "3", "2", "1", "0"]
    assert lines[4] == ["rate", "limit", "1"]
    assert lines[5] == [
        "interface",
        "state",
        "received",
        "not",
        "taken",
        "overflowed",
        "malformed",
        "gaps",
    ]
    assert lines[7:] == [["a0@user", "up", "3", *"0000"], ["b0@user", "up", "0", *"0000"]]


@both_back_ends
def test_an_object_of_json(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    beside_a_gateway(lambda: show(NAME, as_json=True, once=True), backend)
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert report.keys() == {"gateway", "process", "seconds", "rules", "ports"}
    assert (report["gateway"], report["process"]) == (NAME, os.getpid())
    (rule,) = report["rules"]
    assert (rule["name"], rule["received"], rule["dropped"]) == ("there", 3, {"rate limit": 1})


class Looks:
    """Lets a command look at a gateway some times, and ends it then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self._times = times
        self._seen = anyio.Event()
        self._read = read_gateway
        monkeypatch.setattr(gateway_report, "read_gateway", self._look)

    async def _look(self, name: str) -> dict[str, Any]:
        if not self._times:
            self._seen.set()
            await anyio.sleep_forever()
        self._times -= 1
        return await self._read(name)

    async def of(self, command: Callable[[], Coroutine[Any, Any, object]]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(command)
            await self._seen.wait()
            tasks.cancel_scope.cancel()


@both_back_ends
def test_objects_of_json(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = Looks(monkeypatch, times=3)
    command = partial(show, NAME, as_json=True, interval=0.001)
    beside_a_gateway(lambda: looks.of(command), backend)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["gateway"] for line in lines] == [NAME] * 3


def test_tables_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = Looks(monkeypatch, times=2)
    beside_a_gateway(lambda: looks.of(partial(show, NAME, interval=0.001)))
    first, second = capsys.readouterr().out.split("gateway ")[1:]
    assert "/s" not in first
    assert second.count("/s") == 3
    assert "rate limit" in second


def test_a_table_that_changes_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=130)
    monkeypatch.setattr(gateway_show, "Console", lambda: screen)
    looks = Looks(monkeypatch, times=2)
    beside_a_gateway(lambda: looks.of(partial(show, NAME, interval=0.001)))
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert "rate limit" in shown
    assert "\x1b[1A" in shown  # upwards, to draw it again


# Which gateway.


def test_the_only_gateway(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def names() -> list[str]:
        return [NAME]

    monkeypatch.setattr(gateway_show, "list_gateways", names)
    beside_a_gateway(lambda: show(once=True))
    assert f"gateway {NAME}," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "status", "message"),
    [
        ([], 1, "no gateway runs here (in this network namespace): see 'anycan gateway run'\n"),
        (["door", "car"], 2, "several gateways run here: name one of car, door. See --help.\n"),
    ],
)
def test_none_or_several(
    names: list[str],
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def given() -> list[str]:
        return names

    monkeypatch.setattr(gateway_show, "list_gateways", given)
    assert main(["gateway", "show"]) == status
    assert capsys.readouterr() == ("", f"anycan: {message}")


def test_a_gateway_that_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "show", f"{NAME}-not"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("anycan: ")
    assert f"{NAME}-not" in err


# The table.

PORT: Final = {"received": 7, "not_taken": 1, "overflowed": 2, "malformed": 3, "gaps": 4}


def destination(name: str, forwarded: int, **dropped: int) -> dict[str, Any]:
    return {"destination": name, "forwarded": forwarded, "dropped": dropped, "waiting": 5}


def rule(name: str = "there", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "path": "bytes",
        "reason": "",
        "received": 1000,
        "forwarded": 900,
        "dropped": {},
        "waiting": 0,
        "latency": {"count": 900, "median": 36e-6, "p99": 0.00126},
        "destinations": [destination("can1", 900)],
    } | changes


def report(seconds: float, *rules: dict[str, Any], process: int = 1) -> dict[str, Any]:
    return {
        "gateway": "door",
        "process": process,
        "seconds": seconds,
        "rules": list(rules),
        "ports": [],
    }


def drawn(table: GatewayTable, width: int) -> list[list[str]]:
    """Give the words of each line below the title."""
    console = Console(file=io.StringIO(), width=width)
    console.print(table.picture(width))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [line.split() for line in lines[1:] if line.strip(" ─")]


def test_rates() -> None:
    table = GatewayTable(report(10, rule()))
    table.update(report(12, rule(received=3001, forwarded=1900, dropped={"queue full": 100})))
    assert drawn(table, 130) == [
        ["received", "forwarded", "dropped"],
        [
            "rule",
            "path",
            *(["/s"] * 3),
            "received",
            "forwarded",
            "dropped",
            "waiting",
            "median",
            "99",
            "%",
        ],
        [
            "there",
            "bytes",
            "1,000",
            "500",
            "50",
            "3,001",
            "1,900",
            "100",
            "0",
            "36",
            "µs",
            "1.26",
            "ms",
        ],
        ["queue", "full", "100"],
    ]


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (105, ["rule", "path", *["/s"] * 3, "dropped", "waiting", "median", "99", "%"]),
        (80, ["rule", *["/s"] * 3, "dropped", "99", "%"]),
    ],
)
def test_less_room(width: int, headings: list[str]) -> None:
    table = GatewayTable(report(10, rule("from one to the other")))
    table.update(report(11, rule("from one to the other")))
    assert drawn(table, width)[1] == headings


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (report(10, rule()), report(10, rule())),
        (report(10, rule()), report(11, rule(received=5))),
        (report(10, rule("other")), report(11, rule())),
        (report(10, rule()), report(11, rule(), process=2)),
    ],
    ids=["at once", "another rule of that name", "a new rule", "another process"],
)
def test_where_there_is_no_rate(before: dict[str, Any], after: dict[str, Any]) -> None:
    table = GatewayTable(before)
    table.update(after)
    assert drawn(table, 80)[2][:4] == ["there", "-", "-", "-"]


def test_several_destinations() -> None:
    given = rule(
        "[bold]",
        path="kernel",
        latency={"count": 0, "median": None, "p99": None},
        dropped={"interface down": 3},
        destinations=[destination("can1", 890), destination("can2", 10, **{"interface down": 3})],
    )
    assert drawn(GatewayTable(report(0, given)), 105)[1:] == [
        ["[bold]", "kernel", "1,000", "900", "3", "0", "-", "-"],
        ["interface", "down", "3"],
        ["to", "can1", "890", "0", "5"],
        ["to", "can2", "10", "3", "5"],
        ["interface", "down", "3"],
    ]


def test_interfaces() -> None:
    given = report(0) | {"ports": [{"interface": "can0", "state": "down", **PORT}]}
    assert drawn(GatewayTable(given), 80)[-1] == ["can0", "down", "7", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1.024e-6, "1.02 µs"),
        (999.4e-6, "999 µs"),
        (0.0009996, "1 ms"),
        (0.25, "250 ms"),
        (2, "2 s"),
    ],
)
def test_times(seconds: float, shown: str) -> None:
    latency = {"count": 1, "median": seconds, "p99": seconds}
    last = drawn(GatewayTable(report(0, rule(latency=latency))), 80)[1]
    assert " ".join(last).endswith(f" {shown}")
