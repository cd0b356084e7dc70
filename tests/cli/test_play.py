from __future__ import annotations

import io
import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from anycan import AnyFrame, LogParseError, LogRecord, UserNetwork, open_raw
from anycan.cli import main, play
from anycan.cli.logfile import open_log
from anycan.cli.replay import Player

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    "# a drive",
    "(1000.000000) can0 123#01",
    "(1000.010000) can1 124#02",
    "",
    "(1000.020000) can0 125##1AA",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "trip.log"
    path.write_text("\n".join(LINES))
    return path


def played(*arguments: object, **options: object) -> list[tuple[str | None, str]]:
    """Play onto a network; give the interfaces and frames that arrive there."""

    async def run() -> list[AnyFrame]:
        async with UserNetwork(name="play") as network:
            for name in ("can0", "can1", "vcan0"):
                network.add_vcan(name)
            async with open_raw(None, network=network) as can:
                try:
                    await play.play(*map(str, arguments), network="user:play", **options)  # type: ignore[arg-type]  # any of them
                finally:
                    received = []
                    with suppress(anyio.WouldBlock):
                        while True:
                            received.append(can.receive_nowait())
                return received

    return [(frame.interface, str(frame)) for frame in anyio.run(run)]


def test_each_frame_goes_where_the_log_has_it(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert played(log, fast=True) == [("can0", "123#01"), ("can1", "124#02"), ("can0", "125##5AA")]
    assert capsys.readouterr() == ("", "anycan: 3 frames sent\n")


def test_a_mapping_and_what_it_leaves_out(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert played(log, "vcan0=can0", fast=True) == [("vcan0", "123#01"), ("vcan0", "125##5AA")]
    assert capsys.readouterr().err == (
        "anycan: 2 frames sent, 1 left out (of interfaces that are not mapped)\n"
    )


def test_two_interfaces_onto_one(log: Path) -> None:
    assert [name for name, _ in played(log, "vcan0=can0", "vcan0=can1", fast=True)] == ["vcan0"] * 3


def test_one_interface_onto_two(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = played(log, "vcan0=can0", "can1=can0", "vcan0=can0", fast=True)
    for name in ("vcan0", "can1"):
        assert [text for target, text in frames if target == name] == ["123#01", "125##5AA"]
    assert len(frames) == 4
    assert capsys.readouterr().err == (
        "anycan: 4 frames sent, 1 left out (of interfaces that are not mapped)\n"
    )


def test_again_and_again(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(played(log, fast=True, loop=3)) == 9
    assert capsys.readouterr().err == "anycan: 9 frames sent\n"


def test_a_garbled_line_stops_it(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text("(1.0) can0 123#01\n(1.0) can0 12#01\n(1.0) can0 123#02\n")
    with pytest.raises(LogParseError, match=r"trip.log:2: not a frame"):
        played(log)
    assert capsys.readouterr().err == "anycan: 1 frame sent\n"


def test_garbled_lines_left_out_and_counted(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_bytes(b"(1.0) can0 123#01\n\xff\x00garbage\n(1.0) can0 123#02\n")
    assert played(log, skip_errors=True) == [("can0", "123#01"), ("can0", "123#02")]
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"anycan: {log}:2: ")
    assert first.endswith("; skipped")
    assert second == "anycan: 2 frames sent, 1 garbled line skipped"


def test_of_many_garbled_lines_the_first_are_told(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text("(1.0) can0 123#01\n" + "garbage\n" * 10)
    assert len(played(log, skip_errors=True, fast=True, loop=50)) == 50
    lines = capsys.readouterr().err.splitlines()
    assert [
        line.startswith(f"anycan: {log}:{number}: ") for number, line in enumerate(lines, 2)
    ] == ([True] * 10 + [False] * 2)
    assert lines[10:] == [
        "anycan: further garbled lines are skipped and counted",
        "anycan: 50 frames sent, 500 garbled lines skipped",
    ]


def test_a_garbled_frame_of_any_length_is_told_in_short(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text(f"(1.0) can0 {'x' * 50_000}\n")
    assert main(["play", str(log)]) == 1
    assert len(capsys.readouterr().err) < 1000


def test_a_line_without_end_is_garbled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "/dev/zero"]) == 1
    assert capsys.readouterr().err == (
        "anycan: 0 frames sent\nanycan: /dev/zero:1: a line of more than 65,536 bytes\n"
    )


def test_a_line_that_is_too_long_is_skipped_to_its_end(log: Path) -> None:
    good = "(1.0) can0 123#01\n"
    log.write_text(good + "x" * 1_000_000 + "\n" + good + "garbage\n" + good + "y" * 200_000)

    async def run() -> tuple[list[str], list[LogParseError]]:
        errors: list[LogParseError] = []
        with open_log(str(log)) as file:
            records = [
                str(record) async for piece in file.records(errors.append) for record in piece
            ]
            assert file.position == file.size
        return records, errors

    records, errors = anyio.run(run)
    assert len(records) == 3
    assert [error.line for error in errors] == [2, 4, 6]


def test_a_long_line_is_read_in_time_that_grows_with_it(log: Path) -> None:
    log.write_bytes(b"x" * 50_000_000)
    errors: list[LogParseError] = []

    async def run() -> None:
        with open_log(str(log)) as file, anyio.fail_after(5):
            async for _ in file.records(errors.append):
                pass

    anyio.run(run)
    assert [error.line for error in errors] == [1]


def test_an_unknown_interface_and_what_to_do(log: Path) -> None:
    log.write_text("(1.0) can9 123#01\n")
    with pytest.raises(OSError, match=rf"anycan play {log} vcan0=can9"):
        played(log)


def test_what_was_due_before_an_unknown_interface_is_sent(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text("(1.0) can0 123#01\n(1.0) can0 123#02\n(1.0) can9 123#03\n")
    with pytest.raises(OSError, match="can9"):
        played(log)
    assert capsys.readouterr().err == "anycan: 2 frames sent\n"


@pytest.mark.parametrize("mapping", ["vcan0", "=can0", "vcan0="])
def test_what_is_no_mapping(log: Path, mapping: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", str(log), mapping]) == 2
    assert f"not a mapping: {mapping!r}" in capsys.readouterr().err


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.log"
    assert main(["play", str(missing)]) == 1
    assert capsys.readouterr().err == f"anycan: {missing}: No such file or directory\n"


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    monkeypatch.setattr("sys.stdin", open(reader, encoding="utf-8"))  # noqa: PTH123, SIM115 - closed with the patch


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the stand-in for standard input
def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, "\n".join(LINES).encode())
    assert [text for _, text in played("-", fast=True)] == ["123#01", "124#02", "125##5AA"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_standard_input_cannot_be_played_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, b"")
    assert main(["play", "-", "--loop", "2"]) == 2
    assert capsys.readouterr().err == (
        "anycan: --loop needs a file, and '-' can be read once only. See --help.\n"
    )


def test_an_empty_device_is_read_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "/dev/null"]) == 0
    assert capsys.readouterr().err == "anycan: 0 frames sent\n"


def test_an_unknown_option_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--bogus"]) == 2
    assert "--bogus" in capsys.readouterr().err


def test_lines_cut_anywhere_are_put_together(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"({number}.0) can0 {number:03X}#\n" for number in range(200)) + "garbage\n(7.0"
    log.write_text(text)
    chance = random.Random(5)
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, _size: read(file, chance.randint(1, 40)))

    async def run() -> tuple[list[LogRecord], list[LogParseError]]:
        errors: list[LogParseError] = []
        with open_log(str(log)) as file:
            records = [record async for piece in file.records(errors.append) for record in piece]
            assert file.position == file.size == len(text)
        return records, errors

    records, errors = anyio.run(run)
    assert [record.frame.can_id for record in records] == list(range(200))
    assert [error.line for error in errors] == [201, 202]


class FakeEndpoint:
    """Notes when frames are sent, by a clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[tuple[float, str]] = []

    async def send_many(self, frames: list[AnyFrame]) -> int:
        self.sent += [(self.now - 100, str(frame)) for frame in frames]
        return len(frames)

    async def sleep(self, delay: float) -> None:
        self.now += delay


def times(monkeypatch: pytest.MonkeyPatch, speed: float | None, lines: list[str]) -> list[float]:
    endpoint = FakeEndpoint()
    monkeypatch.setattr(anyio, "current_time", lambda: endpoint.now)
    monkeypatch.setattr(anyio, "sleep", endpoint.sleep)

    async def target(_name: str) -> list[FakeEndpoint]:
        return [endpoint]

    async def run() -> None:
        player = Player(target, speed)  # type: ignore[arg-type]  # a stand-in
        await player.play([LogRecord.parse(line) for line in lines[:2]])
        await player.play([LogRecord.parse(line) for line in lines[2:]])  # the next piece

    coroutine = run()
    with pytest.raises(StopIteration):  # nothing in there waits for a loop
        coroutine.send(None)
    return [round(when, 6) for when, _ in endpoint.sent]


TIMES = [f"(10.{text}) can0 123#" for text in ("000", "250", "250", "500", "400", "750")]


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        (1.0, [0, 0.25, 0.25, 0.5, 0.5, 0.75]),  # what is stamped before its time goes at once
        (10.0, [0, 0.025, 0.025, 0.05, 0.05, 0.075]),
        (None, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_frames_go_when_they_are_due(
    monkeypatch: pytest.MonkeyPatch, speed: float | None, expected: list[float]
) -> None:
    assert times(monkeypatch, speed, TIMES) == expected


def test_the_bar_is_for_terminals(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    played(log, fast=True, loop=2)
    assert "playing 2 of 2" in screen.getvalue()
    assert "100 %" in screen.getvalue()
    assert screen.getvalue().endswith("anycan: 6 frames sent\n")
