from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import pytest
from rich.console import Console

from anycan import AnyFrame, ErrorFrame, FdFrame, Filter, Frame, LogRecord, UserNetwork
from anycan.cli import demo as demo_module
from anycan.cli import main, scenario, vehicle
from anycan.cli.live import LiveView
from anycan.cli.scenario import Account, open_scenario

if TYPE_CHECKING:
    from pathlib import Path


def test_the_vehicle_is_the_same_every_time() -> None:
    records = vehicle.drive(1.0)
    assert records == vehicle.drive(1.0)
    assert records == sorted(records, key=lambda record: record.timestamp_ns)
    assert str(records[0]) == "(1700000000.000000) vehicle 0A0#0000000000000000"


def test_the_vehicle_has_its_periods() -> None:
    records = vehicle.drive(10.0)
    counts = Counter(record.frame.can_id & 0x1FFFFFFF for record in records)
    assert len(counts) == len(vehicle.MESSAGES) >= 12
    for message in vehicle.MESSAGES:
        assert counts[message.id] == 10_000 // message.period_ms
    assert {type(record.frame) for record in records} == {Frame, FdFrame}
    assert records[-1].timestamp_ns - records[0].timestamp_ns < 10 * 10**9


def test_the_vehicles_frames_in_words() -> None:
    records = vehicle.drive(6.0)
    words = {record.frame.can_id & 0x1FFFFFFF: vehicle.describe(record.frame) for record in records}
    assert words[0x0A0] == "wheel speeds: 90.6 km/h"
    assert words[0x120] == "gearbox: gear 5"
    assert words[0x2A0] == "seats and belts"
    assert vehicle.describe(Frame(0x7FF)) == ""
    assert vehicle.describe(ErrorFrame(0)) == ""


def test_the_roles_of_one_interface_have_no_frame_in_common() -> None:
    for roles in (scenario.SOURCE_ROLES, scenario.DESTINATION_ROLES):
        for identifier in range(0x800):
            frame = Frame(identifier)
            assert sum(role.filter.matches(frame) for role in roles) <= 1


def records(*texts: str) -> list[LogRecord]:
    return [LogRecord(0, "can0", Frame.parse(text)) for text in texts]


def run_scenario(traffic: list[LogRecord]) -> tuple[list[Account], dict[str, int]]:
    async def run() -> tuple[list[Account], dict[str, int]]:
        async with UserNetwork() as network:
            network.add_vcan("a")
            network.add_vcan("b")
            seen: list[tuple[str, AnyFrame]] = []
            async with open_scenario(
                network, "a", "b", traffic, None, lambda role, frame: seen.append((role, frame))
            ) as opened:
                accounts = await opened.run()
            assert Counter(role for role, _ in seen) == Counter(opened.handled)
            return accounts, opened.handled

    return anyio.run(run)


def test_each_frame_is_counted_where_it_went() -> None:
    accounts, handled = run_scenario(
        records(
            "050#",  # chassis
            "100#",  # powertrain; forwarded to the dashboard
            "1F0#",  # powertrain; forwarded to nobody
            "250#",  # body; forwarded to comfort
            "350#",  # body
            "123#R",  # a remote frame: nobody's
            "12345678#",  # nobody's
            "101##0AA",  # powertrain; forwarded to the dashboard
            "7FF#",  # nobody's
        )
    )
    assert accounts == [
        Account("replayed onto a", 9, "handled", 6, 3, 0),
        Account("at the gateway", 9, "forwarded", 4, 5, 0),
        Account("forwarded to b", 4, "handled", 3, 1, 0),
    ]
    assert handled == {"chassis": 1, "powertrain": 3, "body": 2, "dashboard": 2, "comfort": 1}
    assert not any(account.missing for account in accounts)


def test_a_missing_frame_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario, "_STALLED", 0.02)
    wrong = scenario.Role("chassis", Filter.id(0x123))
    real = Filter.matches

    def matches(self: Filter, frame: AnyFrame) -> bool:  # claims more than the socket gives
        return self is wrong.filter or real(self, frame)

    monkeypatch.setattr(Filter, "matches", matches)
    monkeypatch.setattr(scenario, "SOURCE_ROLES", (wrong,))
    accounts, _ = run_scenario(records("050#"))
    assert accounts[0].missing == 1
    assert str(accounts[0]) == (
        "1 frame replayed onto a = 0 handled + 0 filtered + 0 dropped + 1 MISSING"
    )


def test_an_account_in_words() -> None:
    account = Account("replayed onto demo0", 6158, "handled", 4000, 2158, 0)
    assert str(account) == (
        "6,158 frames replayed onto demo0 = 4,000 handled + 2,158 filtered + 0 dropped"
    )


def test_the_whole_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--fast", "--seconds", "0.5"]) == 0
    out, err = capsys.readouterr()
    total = len(vehicle.drive(0.5))
    assert err == ""
    assert out.startswith(
        f"replaying {total:,} frames of a synthetic vehicle, as fast as it goes\n"
    )
    assert out.endswith("every frame is accounted for\n")
    line = re.search(
        r"^([\d,]+) frames replayed onto demo0 = ([\d,]+) handled \+ ([\d,]+) filtered"
        r" \+ ([\d,]+) dropped$",
        out,
        re.MULTILINE,
    )
    assert line is not None
    replayed, handled, filtered, dropped = (int(text.replace(",", "")) for text in line.groups())
    assert replayed == total == handled + filtered + dropped


def test_a_log_with_everything_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "trip.log"
    log.write_text(
        "(1.0) can0 100#11\n(1.1) can0 20000004#0001\ngarbage\n"
        "(1.2) can1 00123#80:00:00000000#11\n(1.3) can0 7FF#\n"
    )
    assert main(["demo", "--log", str(log), "--fast", "--skip-errors"]) == 0
    out, err = capsys.readouterr()
    told, *summary = err.splitlines()
    assert told.startswith(f"anycan: {log}:3: not a log line: 'garbage'")
    assert summary == [
        "anycan: 1 garbled line left out",
        "anycan: 2 error or CAN XL frames left out",
    ]
    assert "2 frames replayed onto demo0 = 1 handled + 1 filtered + 0 dropped\n" in out
    assert main(["demo", "--log", str(log)]) == 1
    assert capsys.readouterr().err.startswith(f"anycan: {log}:3: not a log line: 'garbage'")


def test_one_frame_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "trip.log"
    log.write_text("(1.0) can0 100#11\n")
    with log.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert main(["demo", "--log", "-", "--fast"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("replaying 1 frame of standard input, as fast as it goes\n")
    assert "\n1 frame replayed onto demo0 = 1 handled + 0 filtered + 0 dropped\n" in out


def test_an_empty_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "empty.log"
    log.write_text("# nothing\n")
    assert main(["demo", "--log", str(log)]) == 1
    assert capsys.readouterr().err == f"anycan: {log}: no frames to replay\n"


def test_a_sum_that_is_wrong_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(_self: object) -> list[Account]:
        return [Account("replayed", 5, "handled", 3, 1, 0)]

    monkeypatch.setattr(scenario.Scenario, "run", run)
    assert main(["demo", "--seconds", "0.1"]) == 1
    out, err = capsys.readouterr()
    assert out.endswith("5 frames replayed = 3 handled + 1 filtered + 0 dropped + 1 MISSING\n")
    assert err == (
        "anycan: the accounts do not add up: this is a defect of anycan, please report it\n"
    )


@pytest.mark.parametrize(("seconds", "speed"), [(0.0, 1.0), (3.2, 1.0), (10.0, 1.0), (600.0, 60.0)])
def test_long_recordings_are_replayed_faster(seconds: float, speed: float) -> None:
    pair = [LogRecord(when, "can0", Frame(1)) for when in (0, int(seconds * 10**9))]
    assert demo_module._fitting_speed(pair) == speed


def test_real_interfaces_without_the_program_ip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert main(["demo", "--network", "kernel", "--seconds", "0.1"]) == 1
    out, err = capsys.readouterr()
    assert out == ""  # nothing was replayed
    assert "the program 'ip' is missing" in err


def test_real_interfaces_without_the_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ip = tmp_path / "ip"
    ip.write_text("#!/bin/sh\necho 'RTNETLINK answers: Operation not permitted' >&2\nexit 2\n")
    ip.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert main(["demo", "--network", "kernel", "--seconds", "0.1"]) == 1
    assert capsys.readouterr().err == (
        "anycan: 'ip link add dev demo0 type vcan' failed (RTNETLINK answers: Operation not"
        " permitted): it needs root and a kernel with the module vcan, and no other interface"
        " called demo0; leave out --network kernel to do without\n"
    )


def drawn(view: LiveView, console: Console, *, final: bool = False) -> str:
    """Give the lines of a picture, without its colours."""
    with console.capture() as capture:
        console.print(view.table(2, final=final))
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get())


def drawn_at(width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    view = LiveView(10, vehicle.describe, console)
    view.note("powertrain", Frame(0x120, b"\x03\x13", interface="demo0"))
    view.note("powertrain", Frame(0x120, b"\x04\x14", interface="demo0"))
    view.note("other", Frame(0x18FEF1F0, b"\xab", interface="demo1"))

    async def run() -> str:
        return drawn(view, console)

    return anyio.run(run)


def test_the_table() -> None:
    text = drawn_at(100)
    assert "2 of 10 frames replayed" in text
    assert re.search(r"demo0 +│ powertrain +│ 120 +│ +2 │ +0 │ gearbox: gear 4", text)
    assert re.search(r"demo1 +│ other +│ 18FEF1F0 +│ +1 │ +0 │ AB", text)


@pytest.mark.parametrize("width", [50, 60, 79])
def test_a_narrow_table_has_fewer_columns_and_whole_words(width: int) -> None:
    text = drawn_at(width)
    for word in ("powertrain", "18FEF1F0", "identifier", "frames/s"):
        assert word in text
    assert ("interface" in text) == (width >= 60)
    assert "last" not in text
    assert "…" not in text


def test_rates_are_of_the_last_seconds_and_at_last_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(anyio, "current_time", lambda: now)
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    view = LiveView(10, vehicle.describe, console)

    def rate(*, final: bool = False) -> str:
        found = re.search(r"7F0 +│ +\d+ │ +(\d+) │", drawn(view, console, final=final))
        return found[1] if found else ""

    rates = [rate()]
    for picture in range(30):  # of a frame in each, up to the last ten
        now += 0.2
        if picture < 20:
            view.note("other", Frame(0x7F0, interface="demo0"))
        rates.append(rate())
    assert rates[0] == ""
    assert set(rates[1:21]) == {"5"}
    assert rates[-1] == "0"
    assert [int(text) for text in rates[20:]] == sorted(map(int, rates[20:]), reverse=True)
    now += 0.001  # the last picture comes right behind another
    assert rate(final=True) == "3"  # 20 frames in 6 seconds


def test_on_a_terminal_it_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    view = LiveView(2, vehicle.describe, Console(file=screen, width=100, force_terminal=True))
    monkeypatch.setattr("anycan.cli.live._REDRAW", 0.001)

    async def run() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(view.run, lambda: 1)
            while "1 of 2 frames replayed" not in screen.getvalue():  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()

    anyio.run(run)


def test_elsewhere_it_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    view = LiveView(2, vehicle.describe)
    monkeypatch.setattr("anycan.cli.live._REPORT", 0.001)

    async def run() -> None:
        with anyio.move_on_after(0.05):
            await view.run(lambda: 1)

    anyio.run(run)
    assert capsys.readouterr().out.startswith("1 of 2 frames replayed\n")
