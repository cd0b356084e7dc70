"""The cases' own parts that need no kernel: what is left out, what is counted, who has ended."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from cases import dispatch, gateway, imports, latency, paced, receive
from programs import changing, wanted
from suite.can import build
from suite.case import NotHereError

if TYPE_CHECKING:
    from types import ModuleType

    from suite.case import Contender, Measured

NATIVE: Final = sorted((Path(__file__).parent / "native").glob("*.c"))


def paced_contenders() -> list[Contender]:
    return [one for case in (*paced.cases(), *latency.cases()) for one in case.contenders]


# Frames at a bus's pace


def test_paced_cases_need_two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced, "_PROCESSORS", (0,))
    monkeypatch.setattr(paced, "need_python_can", lambda: None)
    for contender in paced_contenders():
        if contender.key.endswith(("uvloop", "trio")):  # which may not be installed either
            continue
        with pytest.raises(NotHereError, match=r"^it needs two cores$"):
            contender.measure()


def test_nothing_is_started_without_python_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "can", None)
    monkeypatch.setattr(paced, "PacedSender", None)  # which cannot be called
    monkeypatch.setattr(latency, "PacedSender", None)
    theirs = [one for one in paced_contenders() if one.key.startswith("python_can")]
    assert len(theirs) == 3
    for contender in theirs:
        with pytest.raises(NotHereError, match=r"^python-can is not installed$"):
            contender.measure()


@pytest.mark.parametrize(("failures", "times"), [(0, 1), (2, 3), (5, 6)])
def test_what_was_late_is_measured_again(failures: int, times: int) -> None:
    measured: list[int] = []

    def measure() -> Measured:
        measured.append(1)
        if len(measured) <= failures:
            raise paced.LateError("late")
        return {"cost": len(measured)}

    assert paced.at_pace(measure) == {"cost": times}


def test_what_is_late_each_time_is_told() -> None:
    def measure() -> Measured:
        raise paced.LateError("sent in 9 s, not in 2 s")

    with pytest.raises(paced.LateError, match="sent in 9 s"):
        paced.at_pace(measure)


def test_lost_frames_are_counted_and_have_no_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "COUNT", 103)
    told = latency._told([1000 * number for number in range(100, 0, -1)])
    assert told == {"median": 51, "late": 100, "worst": 100, "lost": 3}


# Dispatch


@pytest.mark.parametrize("count", [1, 10, 100])
def test_each_identifier_is_new_where_it_is_said_to_be(count: int) -> None:
    one = dispatch.Dispatch(count)
    frames = sum(buffer.capacity for buffer in one._new)
    one.index.forget()
    one._dispatch(one._new)
    assert len(one.index.verdicts) == frames
    one.dispatch()
    assert len(one.index.verdicts) == frames  # all of them had been seen


# Gateways


def test_a_forwarder_that_has_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one = gateway.Forwarder("c", "C", lambda near, far: [near, far])
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(gateway, "sender", lambda _: ours)
    monkeypatch.setattr(gateway.Forwarder, "forwarded", lambda _: 0)
    with theirs, subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        one.wait_until_it_forwards(process)
    assert one.problem == "it has ended with status 3"
    with pytest.raises(RuntimeError, match=r"^C: it has ended with status 3$"):
        gateway._measure(one)


# Programs


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="it needs Linux and a C compiler"
)
@pytest.mark.parametrize("name", [source.stem for source in NATIVE])
def test_programs_in_c_are_compiled_without_a_warning(name: str) -> None:
    assert subprocess.run([build(name)], check=False).returncode == 2  # without arguments


@pytest.mark.parametrize(
    ("program", "arguments"),
    [(changing, ("vcan0", "291", "10", "0.01")), (wanted, ("vcan0", "10", "flood"))],
)
def test_programs_send_nothing_for_who_has_ended(
    program: ModuleType, arguments: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, str(program.__file__), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


# Imports


def test_a_name_is_asked_for_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_PROCESSES", 1)
    assert 0 < imports._touch("open_bcm", "import anycan")["processor"] < 60_000
