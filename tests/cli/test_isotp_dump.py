"""anycan isotp dump: what others send to each other, from logs and from a network."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from anycan import Address, Frame, UserNetwork, open_isotp
from anycan.cli import app as app_module
from anycan.cli import common, main
from anycan.cli import isotp_dump as dump_module
from anycan.cli import isotp_heard as heard_module
from anycan.cli.isotp_dump import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from anycan import AnyFrame, RawEndpoint

DEADLINE: Final = 30
TESTER: Final = Address.normal(0x7E0, 0x7E8)

both_back_ends = pytest.mark.parametrize("backend", ["asyncio", "trio"])

LOG: Final = """\
(1000.000000) can0 7E0#0322F190AAAAAAAA
(1000.001000) can0 100#1122
(1000.020000) can0 7E8#101462F190414243
(1000.021000) can0 7E0#300814
(1000.041000) can0 7E8#2144454647484950
(1000.061000) can0 7E8#2251525354555657
(1002.561000) can0 7E0#023E00AAAAAAAAAA
(1002.563000) can0 7E8#027E00AAAAAAAAAA
(1002.600000) can0 7E8#1014620000000000
(1002.700000) can0 7E8#2200000000000000
"""
LINES: Final = """\
 (0000001000.000000)  can0  7E0 -> 7E8               [3]  22 F1 90
 (0000001000.020000)  can0  7E0 <- 7E8   +20.000 ms  [20]  62 F1 90 41 42 43 44 45 46 47 48 49 50\
 51 52 53 54 55 56 57  (3 frames in 41.000 ms, block size 8, STmin 20 ms)
 (0000001002.561000)  can0  7E0 -> 7E8     +2.500 s  [2]  3E 00
 (0000001002.563000)  can0  7E0 <- 7E8    +2.000 ms  [2]  7E 00
 (0000001002.600000)  can0  7E0 <- 7E8   +39.000 ms  [6 of 20]  62 00 00 00 00 00\
  (2 frames in 100.000 ms)  sequence: a frame is missing, or came twice
"""
SUMMARY: Final = (
    "anycan: 2 PDUs ->, 2 <-, 1 fault (1 sequence); 9 of 10 frames were of these connections\n"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "trip.log"
    path.write_text(LOG)
    return path


def run(*arguments: object) -> int:
    return main(["isotp", "dump", *map(str, arguments)])


class TestLogs:
    def test_pdus_with_their_times(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(log, "--tx", "7E0", "--rx", "7E8") == 0
        assert capsys.readouterr() == (LINES, SUMMARY)

    def test_connections_are_guessed(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(log) == 0
        assert capsys.readouterr() == (LINES, f"anycan: found 7E0,7E8\n{SUMMARY}")

    def test_none_is_found(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        log.write_text("".join(LOG.splitlines(keepends=True)[:5]))
        assert run(log) == 1
        assert capsys.readouterr() == (
            "",
            (
                f"anycan: {log}: no connection found that PDUs of several frames came on: name"
                " those that you look for, with --tx and --rx or --pair\n"
            ),
        )

    @pytest.mark.parametrize("source", ["-", "pipe"])
    def test_from_a_pipe(
        self,
        source: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        reader, writer = os.pipe()
        os.write(writer, LOG.encode())
        os.close(writer)
        with os.fdopen(reader) as standard_input:
            monkeypatch.setattr(sys, "stdin", standard_input)
            name = "-" if source == "-" else f"/dev/fd/{reader}"
            assert run(name) == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert "can be read once only" in err
            assert run(name, "--pair", "7E0,7E8") == 0
        assert capsys.readouterr() == (LINES, SUMMARY)

    def test_as_seen_from_the_other_node(
        self, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(log, "--pair", "7E8,7E0", "-t", "z", "-n", "2") == 0
        out, err = capsys.readouterr()
        assert [line.split("[")[0] for line in out.splitlines()] == [
            " (000.000000)  can0  7E8 <- 7E0               ",
            " (000.020000)  can0  7E8 -> 7E0   +20.000 ms  ",
        ]
        assert err.startswith("anycan: 1 PDU ->, 1 <-, 0 faults; 5 of 6 frames")

    def test_ascii(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(log, "--pair", "7E0,7E8", "-t", "n", "-a", "-n", "2") == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first == "  can0  7E0 -> 7E8               [3]  22 F1 90  '\"..'"
        assert "  'b..ABCDEFGHIPQRSTUVW'  (3 frames" in second

    def test_objects(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(log, "--json") == 0
        out = capsys.readouterr().out
        objects = [json.loads(line) for line in out.splitlines()]
        assert objects[1] == {
            "started_ns": 1_000_020_000_000,
            "finished_ns": 1_000_061_000_000,
            "interface": "can0",
            "tx": "7E0",
            "rx": "7E8",
            "tx_extension": None,
            "rx_extension": None,
            "direction": "rx",
            "pdu": "62f1904142434445464748495051525354555657",
            "length": 20,
            "fault": None,
            "frames": 3,
            "flow_controls": 1,
            "block_size": 8,
            "stmin": 0.02,
            "duration": 0.041,
            "gap": 0.02,
        }
        assert [one["fault"] for one in objects] == [None, None, None, None, "sequence"]
        assert [one["gap"] for one in objects] == [None, 0.02, 2.5, 0.002, 0.039]

    def test_several_connections_and_a_group(
        self, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log.write_text(
            "(10.000000) can0 7DF#020100\n"
            "(10.001000) can0 18DB33F1#023E00\n"
            "(10.010000) can0 7E8#024100\n"
            "(10.015000) can0 7E9#024100\n"
            "(10.020000) can1 7E8#024100\n"
            "(10.030000) can0 612#F1027E00\n"
            "(10.040000) can0 6F1#12023E00\n"
            "(10.050000) can0 6F1#DF023E00\n"
            "(10.060000) can0 6F1#DF0\n"
        )
        arguments = ["--tx", "7E0", "--rx", "7E8", "--tx", "7E1", "--rx", "7E9"]
        arguments += ["--functional", "7DF", "--functional", "18DB33F1", "--functional", "6F1:DF"]
        arguments += ["--pair", "6F1:12,612:F1", "--skip-errors", "-t", "d"]
        assert run(log, *arguments) == 0
        out, err = capsys.readouterr()
        assert out == (
            " (000.000000)  can0  7DF ->                   [2]  01 00\n"
            " (000.001000)  can0  18DB33F1 ->                        [2]  3E 00\n"
            " (000.009000)  can0       7E0 <- 7E8    +9.000 ms  [2]  41 00\n"
            " (000.005000)  can0       7E1 <- 7E9   +14.000 ms  [2]  41 00\n"
            " (000.005000)  can1       7E0 <- 7E8               [2]  41 00\n"
            " (000.010000)  can0       6F1:12 <- 612:F1   +29.000 ms  [2]  7E 00\n"
            " (000.010000)  can0       6F1:12 -> 612:F1   +10.000 ms  [2]  3E 00\n"
            " (000.010000)  can0       6F1:DF ->                   [2]  3E 00\n"
        )
        garbled, summary, skipped = err.splitlines()
        assert garbled.startswith(f"anycan: {log}:9: ")
        assert summary == (
            "anycan: 4 PDUs ->, 4 <-, 0 faults; 8 of 8 frames were of these connections"
        )
        assert skipped == "anycan: 1 garbled line skipped"

    def test_another_addressing_mode(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        log.write_text("(10.0) can0 18DA10F1#023E00\n(10.5) can0 18DAF110#027E00\n")
        assert run(log, "--mode", "normal-fixed", "--target", "10", "--source", "F1") == 0
        assert [line.split("  ")[2] for line in capsys.readouterr().out.splitlines()] == [
            "18DA10F1 -> 18DAF110",
            "18DA10F1 <- 18DAF110",
        ]

    def test_strange_frames_are_counted(
        self, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log.write_text("(10.0) can0 7E0#FF\n(10.5) can0 7E8#2100\n(10.6) can0 7E8#300000\n")
        assert run(log, "--pair", "7E0,7E8") == 0
        assert capsys.readouterr().err == (
            "anycan: 0 PDUs ->, 0 <-, 0 faults; 3 of 3 frames were of these connections,"
            " 1 malformed, 2 unexpected\n"
        )

    def test_what_is_unfinished_at_the_end(
        self, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log.write_text("(10.0) can0 7E0#1014000102030405\n")
        assert run(log, "--pair", "7E0,7E8", "-t", "n") == 0
        assert capsys.readouterr().out == (
            "  can0  7E0 -> 7E8               [6 of 20]  00 01 02 03 04 05"
            "  unfinished: nothing more was heard\n"
        )

    def test_a_garbled_line_stops_it(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        log.write_text("(10.0) can0 7E0#023E00\ngarbage\n(10.1) can0 7E0#023E00\n")
        assert run(log, "--pair", "7E0,7E8", "-t", "n") == 1
        out, err = capsys.readouterr()
        assert out == "  can0  7E0 -> 7E8               [2]  3E 00\n"
        summary, error = err.splitlines()
        assert summary.startswith("anycan: 1 PDU ->, 0 <-")
        assert error.startswith(f"anycan: {log}:2: ")

    def test_garbled_lines_do_not_disturb_guessing(
        self, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log.write_bytes(b"\xff" * 200_000 + b"\n" + LOG.encode())
        assert run(log, "--skip-errors") == 0
        out, err = capsys.readouterr()
        assert out == LINES
        assert "anycan: found 7E0,7E8\n" in err

    def test_no_such_file(self, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        log.unlink()
        assert run(log, "--pair", "7E0,7E8") == 1
        assert run(log) == 1
        assert run("trip.log") == 2
        first, *_, second, third = capsys.readouterr().err.splitlines()
        assert first.startswith("anycan: 0 PDUs")
        assert second == f"anycan: {log}: No such file or directory"
        assert third.startswith("anycan: there is no file 'trip.log', and an interface needs")

    def test_interfaces_without_end(
        self, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(heard_module, "_MOST_PLACES", 4)
        log.write_text("".join(f"(10.0) can{n} 7E0#023E00\n" for n in range(20)))
        assert run(log, "--pair", "7E0,7E8") == 0
        assert capsys.readouterr().out.count("\n") == 20


# From a network


class Seen:
    """What has been printed and said so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.text = ""
        emit, say = common.emit, common.say

        def note(text: str) -> None:
            self.text += text
            emit(text)

        def note_said(text: str) -> None:
            self.text += text
            say(text)

        monkeypatch.setattr(heard_module, "emit", note)
        monkeypatch.setattr(dump_module, "say", note_said)

    async def wait_for(self, text: str) -> None:
        while text not in self.text:  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.001)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    return Seen(monkeypatch)


def dumped(
    act: Callable[[UserNetwork], Coroutine[Any, Any, None]],
    source: str = "vcan0",
    *,
    interrupt: bool = False,
    backend: str = "asyncio",
    clock: Callable[[], int] = time.time_ns,
    **options: Any,
) -> int | None:
    """Run dump on a network, and do something there once it listens.

    Returns:
        Its exit status; None: it was interrupted when that was done.
    """
    status: int | None = None

    async def run() -> None:
        async with UserNetwork(name="dump", clock=clock) as network:
            for name in ("vcan0", "vcan1"):
                network.add_vcan(name)

            async def listen() -> None:
                nonlocal status
                arguments = {"pair": ("7E0,7E8",), "timestamps": "n", **options}
                status = await dump(source, network="user:dump", **arguments)

            with anyio.fail_after(DEADLINE):
                async with anyio.create_task_group() as group:
                    group.start_soon(listen)
                    await wait_all_tasks_blocked()
                    await act(network)
                    if interrupt:
                        group.cancel_scope.cancel()

    anyio.run(run, backend=backend)
    return status


def injecting(*texts: str) -> Callable[[UserNetwork], Coroutine[Any, Any, None]]:
    """Give what puts frames on the interface, all at once."""

    async def act(network: UserNetwork) -> None:
        for text in texts:
            network.inject("vcan0", Frame.parse(text))

    return act


class TestLive:
    @both_back_ends
    def test_both_directions(self, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
        async def act(network: UserNetwork) -> None:
            async with (
                open_isotp("vcan0", address=TESTER, network=network, block_size=2) as tester,
                open_isotp("vcan0", address=TESTER.reversed(), network=network) as ecu,
            ):
                await tester.send(b"\x22\xf1\x90")
                assert await ecu.receive() == b"\x22\xf1\x90"
                await ecu.send(bytes(30))
                assert await tester.receive() == bytes(30)

        assert dumped(act, count=2, json=True, backend=backend) == 0
        out, err = capsys.readouterr()
        request, reply = (json.loads(line) for line in out.splitlines())
        assert (request["pdu"], request["interface"]) == ("22f190", "vcan0")
        assert (reply["pdu"], reply["direction"], reply["frames"]) == (60 * "0", "rx", 5)
        assert (reply["flow_controls"], reply["block_size"]) == (2, 2)
        assert reply["gap"] >= 0
        assert err.startswith("anycan: 1 PDU ->, 1 <-, 0 faults; 8 of 8 frames")

    def test_interrupted_it_says_how_much_there_was(
        self, seen: Seen, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def act(network: UserNetwork) -> None:
            await injecting("100#11", "7E0#023E00", "7E0#1014000102030405")(network)
            await seen.wait_for("3E 00\n")

        assert dumped(act, interrupt=True) is None
        out, err = capsys.readouterr()
        assert out == (
            "  vcan0  7E0 -> 7E8               [2]  3E 00\n"
            "  vcan0  7E0 -> 7E8               [6 of 20]  00 01 02 03 04 05"
            "  unfinished: nothing more was heard\n"
        )
        assert err == (
            "anycan: 1 PDU ->, 0 <-, 1 fault (1 unfinished); 2 of 2 frames were of these"
            " connections\n"
        )

    @both_back_ends
    def test_a_timeout_is_told_while_nothing_comes(
        self, backend: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def clock() -> int:  # the second is nearly over already
            return time.time_ns() - 950_000_000

        act = injecting("7E0#1014000102030405")
        assert dumped(act, count=1, clock=clock, backend=backend) == 0
        assert capsys.readouterr().out == (
            "  vcan0  7E0 -> 7E8               [6 of 20]  00 01 02 03 04 05"
            "  timeout: the next frame did not come within 1 s\n"
        )

    def test_what_waits_unread_was_there_in_time(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The event loop was held up for longer than a second, and the bus was not."""
        start = time.time_ns() - 10 * 10**9
        stamps = itertools.count(start, 10**8)
        receive = dump_module._receive
        calls = 0

        async def first_one_only(can: RawEndpoint) -> list[AnyFrame]:
            nonlocal calls
            calls += 1
            if calls == 1:
                return [await can.receive()]
            await checkpoint()  # here it is noticed that the deadline is long over
            return await receive(can)

        monkeypatch.setattr(dump_module, "_receive", first_one_only)
        act = injecting("7E0#1014000102030405", "7E0#21060708090A0B0C", "7E0#220D0E0F10111213")
        assert dumped(act, count=1, json=True, clock=lambda: next(stamps)) == 0
        record = json.loads(capsys.readouterr().out)
        assert (record["fault"], record["pdu"]) == (None, bytes(range(20)).hex())

    def test_all_interfaces(self, capsys: pytest.CaptureFixture[str]) -> None:
        async def act(network: UserNetwork) -> None:
            network.inject("vcan1", Frame.parse("7E0#023E00"))
            network.inject("vcan0", Frame.parse("7E0#023E01"))

        assert dumped(act, "any", count=2) == 0
        assert sorted(line.split()[0] for line in capsys.readouterr().out.splitlines()) == [
            "vcan0",
            "vcan1",
        ]

    def test_an_interface_that_goes_down_is_waited_for(
        self, seen: Seen, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def act(network: UserNetwork) -> None:
            network.set_down("vcan0")
            await seen.wait_for("is down")
            network.set_up("vcan0")
            await injecting("7E0#023E00")(network)

        assert dumped(act, count=1) == 0
        out, err = capsys.readouterr()
        assert out == "  vcan0  7E0 -> 7E8               [2]  3E 00\n"
        assert err.startswith("anycan: vcan0 is down")

    def test_an_interface_that_is_removed_ends_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        async def act(network: UserNetwork) -> None:
            network.remove("vcan0")

        with pytest.raises(ExceptionGroup) as caught:
            dumped(act)
        assert app_module._report(caught.value) == 1
        summary, error = capsys.readouterr().err.splitlines()
        assert summary.startswith("anycan: 0 PDUs ->")
        assert error.startswith("anycan: vcan0 has been removed")

    def test_neither_an_interface_nor_a_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        with UserNetwork(name="dump"):
            assert run("trip.log", "--pair", "7E0,7E8", "--network", "user:dump") == 1
        err = capsys.readouterr().err
        assert err.startswith("anycan: there is no interface trip.log")
        assert err.endswith("; nor is there such a file\n")


def test_a_broken_pipe_is_silent(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def broken(_text: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(heard_module, "emit", broken)
    monkeypatch.setattr(heard_module, "say", said.append)
    with pytest.raises(BrokenPipeError):
        anyio.run(lambda: dump(str(log), pair=("7E0,7E8",)))
    assert said == []
