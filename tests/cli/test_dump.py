from __future__ import annotations

import re
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from anycan import ErrorFrame, Filter, Frame, UserNetwork, open_raw
from anycan.cli import common
from anycan.cli import dump as dump_module
from anycan.cli.dump import dump

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NAMES = ("vcan0", "vcan1", "long0")


class Printed:
    """What dump has printed so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.text = ""
        emit = common.emit

        def note(text: str) -> None:
            self.text += text
            emit(text)

        monkeypatch.setattr(dump_module, "emit", note)

    async def wait_for(self, text: str) -> None:
        while text not in self.text:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Printed:
    return Printed(monkeypatch)


def dumped(
    act: Callable[[UserNetwork], Awaitable[object]],
    *sources: str,
    interrupt: bool = False,
    **options: object,
) -> int | None:
    """Run dump on a network, and do something there once it listens.

    Returns:
        Its exit status; None: it was interrupted when that was done.
    """
    status: int | None = None

    async def run() -> None:
        async with UserNetwork(name="dump") as network:
            for name in NAMES:
                network.add_vcan(name)

            async def listen() -> None:
                nonlocal status
                status = await dump(*sources, network="user:dump", **options)  # type: ignore[arg-type]  # any of them

            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                await wait_all_tasks_blocked()
                await act(network)
                if interrupt:
                    group.cancel_scope.cancel()

    anyio.run(run)
    return status


async def send(network: UserNetwork, *frames: tuple[str, str]) -> None:
    for interface, text in frames:
        async with open_raw(interface, network=network, filters=Filter.none()) as can:
            await can.send(Frame.parse(text))


def test_candumps_lines(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await send(
            network, ("vcan0", "123#DEADBEEF"), ("vcan0", "12345678#R8"), ("vcan0", "123##1AA")
        )

    assert dumped(act, "vcan0", count=3) == 0
    out, err = capsys.readouterr()
    assert out == (
        "  vcan0  123   [4]  DE AD BE EF\n"
        "  vcan0  12345678   [8]  remote request\n"
        "  vcan0       123  [01]  AA\n"
    )
    assert err == ""


def test_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await send(network, ("vcan0", "123#DEADBEEF"), ("vcan0", "123##1AA"))

    assert dumped(act, "vcan0", count=2, log_format=True, direction=True) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(
        r"\(\d{10}\.\d{6}\) vcan0 123#DEADBEEF T\n\(\d{10}\.\d{6}\) vcan0 123##5AA T\n", out
    )
    assert err == ""


def test_each_option_reaches_the_formatter(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await send(network, ("vcan0", "123#4142"))

    expected: list[tuple[dict[str, object], str]] = [
        ({"timestamps": "z"}, " (000.000000)  vcan0  123   [2]  41 42\n"),
        ({"ascii": True}, "  vcan0  123   [2]  41 42                     'AB'\n"),
        ({"binary": True}, "  vcan0  123   [2]  01000001 01000010\n"),
        ({"swap": True}, "  vcan0  123   [2]  42`41\n"),
        ({"direction": True}, "  vcan0  TX - -  123   [2]  41 42\n"),
        ({"hardware_timestamps": True}, "  vcan0  123   [2]  41 42\n"),
    ]
    for options, text in expected:
        assert dumped(act, "vcan0", **{"count": 1, **options}) == 0  # type: ignore[arg-type]  # any of them
        assert capsys.readouterr() == (text, "")


def test_filters_and_error_frames(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await send(
            network,
            ("vcan0", "123#01"),
            ("vcan0", "124#02"),
            ("vcan0", "20000004#0001"),
        )

    assert dumped(act, "vcan0,123:7FF,#FFFFFFFF", describe_errors=True, count=2) == 0
    assert capsys.readouterr().out == (
        "  vcan0  123   [1]  01\n"
        "  vcan0  20000004   [2]  00 01                     ERRORFRAME\n"
        "\tcontroller-problem{rx-overflow}\n"
    )


def test_all_interfaces_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await send(network, ("vcan1", "123#01"), ("long0", "124#02"))

    assert dumped(act, count=2) == 0
    assert capsys.readouterr().out == "  vcan1  123   [1]  01\n  long0  124   [1]  02\n"


def test_several_interfaces_in_the_order_of_their_stamps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def act(network: UserNetwork) -> None:
        for number in range(4):
            await send(network, (NAMES[number % 2], f"00{number}#"))

    assert dumped(act, "vcan0", "vcan1", count=3) == 0
    assert capsys.readouterr().out == (
        "  vcan0  000   [0] \n  vcan1  001   [0] \n  vcan0  002   [0] \n"
    )


@pytest.mark.parametrize("sources", [("vcan0",), ("vcan0", "vcan1")])
def test_it_ends_when_nothing_comes(
    sources: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(_network: UserNetwork) -> None:
        pass

    assert dumped(act, *sources, idle_ms=10) == 0
    assert capsys.readouterr() == ("", "")


def test_a_log_file_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        await send(network, ("vcan0", "123#11"))

    log = tmp_path / "trip.log"
    assert dumped(act, "vcan0", log=str(log), count=1) == 0
    assert re.fullmatch(r"\(\d{10}\.\d{6}\) vcan0 123#11\n", log.read_text())
    assert capsys.readouterr() == ("", "anycan: 1 frame received, 0 dropped\n")


@pytest.mark.parametrize("sources", [("vcan0",), ("vcan0", "vcan1")])
def test_interrupted_it_says_how_much_there_was(
    sources: tuple[str, ...], printed: Printed, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        await send(network, ("vcan0", "123#11"), ("vcan0", "123#22"))
        await printed.wait_for("22\n")

    assert dumped(act, *sources, interrupt=True) is None
    out, err = capsys.readouterr()
    assert out == "  vcan0  123   [1]  11\n  vcan0  123   [1]  22\n"
    assert err == "anycan: 2 frames received, 0 dropped\n"


def test_drops_are_told(printed: Printed, capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        async with open_raw("vcan0", network=network, filters=Filter.none()) as can:
            for number in range(64):  # without letting dump read
                can.send_nowait(Frame(number))
        await printed.wait_for("vcan0  000 ")

    assert dumped(act, "vcan0", receive_buffer=4608, interrupt=True) is None
    out, err = capsys.readouterr()
    lines = out.count("\n")
    dropped = 64 - lines
    assert dropped > 0
    assert err == (
        f"anycan: {dropped} frames dropped on vcan0 ({dropped} in all): they came faster than they"
        " were read; --receive-buffer makes room for bursts\n"
        f"anycan: {lines} frames received, {dropped} dropped\n"
    )


def test_an_interface_that_goes_down_is_waited_for(
    printed: Printed, capsys: pytest.CaptureFixture[str]
) -> None:
    async def act(network: UserNetwork) -> None:
        await send(network, ("vcan0", "123#11"))
        await printed.wait_for("11\n")
        network.set_down("vcan0")
        network.set_up("vcan0")
        await send(network, ("vcan0", "123#22"))

    assert dumped(act, "vcan0", count=2) == 0
    out, err = capsys.readouterr()
    assert out == "  vcan0  123   [1]  11\n  vcan0  123   [1]  22\n"
    assert err.startswith("anycan: vcan0 is down; receiving goes on when it is up again")
    assert err.count("\n") == 1
    assert "wait" not in err  # that would be the same once more


def test_error_frames_need_a_mask(capsys: pytest.CaptureFixture[str]) -> None:
    async def act(network: UserNetwork) -> None:
        async with open_raw("vcan0", network=network) as can:
            await can.send_many([ErrorFrame(4), Frame(0x123)])

    assert dumped(act, "vcan0", count=1) == 0
    assert capsys.readouterr().out == "  vcan0  123   [0] \n"
