"""The command: results that were written before, small cases, and what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import attrs
import pytest

from rig.host import Verdict
from suite import apart, command
from suite import can as suite_can
from suite.case import Bound, Case, Contender, Measured, Metric, NotHereError
from suite.findings import Findings
from suite.machine import describe_machine
from suite.results import CaseResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND: Final = (sys.executable, str(Path(__file__).parent))


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def results(cost: float) -> dict[str, Any]:
    """Give what receiving has cost, in three rounds."""
    rounds = {
        "c": [{"cost": one} for one in (5.0, 5.5, 4.5)],
        "anycan_many_asyncio": [{"cost": cost * one} for one in (5.0, 5.5, 4.5)],
    }
    missing = {"python_can_async": "python-can is not installed"}
    return {
        "machines": {"the kernel lab": describe_machine()},
        "cases": {
            "receive": {
                "key": "receive",
                "rounds": rounds,
                "missing": missing,
                "failed": {},
                "place": "the kernel lab",
            }
        },
    }


def test_results_are_printed_again_and_plotted(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra benchmark is not installed")
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results(2.0)))
    plots = [tmp_path / name for name in ("first", "second")]
    done = [run("--read", file, "--plots", directory, "--strict") for directory in plots]
    assert done[0].returncode == 1  # what python-can takes was not measured
    assert "the kernel lab: Linux" in done[0].stdout
    assert "\n\nIn the kernel lab:\n\n|" in done[0].stdout
    assert "| 10.0 | 2.00 |" in done[0].stdout
    assert "at most 3 x C: recvmsg | 2.00 | met |" in done[0].stdout
    assert "is left out: python-can is not installed." in done[0].stdout
    first, second = ((directory / "receive.svg").read_text() for directory in plots)
    assert first == second
    assert "10.0" in first
    assert "Burst receive, in the kernel lab" in first
    file.write_text(json.dumps(results(4.0)))
    assert "at most 3 x C: recvmsg | 4.00 | **missed** |" in run("--read", file).stdout


def test_cases_are_listed() -> None:
    lines = run("--list").stdout.splitlines()
    assert any(line.split()[:2] == ["receive", "kernel"] for line in lines)


def test_a_case_that_there_is_not() -> None:
    done = run("--case", "recieve")
    assert done.returncode == 2
    assert "no such case: recieve; --list lists them" in done.stderr


# Without what may be missing

_BARE: Final = """
import os, sys
for name in ("uvloop", "trio", "matplotlib"):
    sys.modules[name] = None
del os.sched_getaffinity, os.sched_setaffinity
sys.path[:0] = sys.argv.pop(1), sys.argv.pop(1)
from suite.command import main
sys.exit(main(sys.argv[1:]))
"""


def run_bare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as on a system without event loops beside asyncio, or processors to pick."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", _BARE, here, here.parent / "lab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_other_event_loops_results_are_listed_and_read(tmp_path: Path) -> None:
    listed = run_bare("--list")
    assert listed.stdout == run("--list").stdout, listed.stderr
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results(2.0)))
    assert "| 10.0 | 2.00 |" in run_bare("--read", file).stdout


def test_plots_without_matplotlib_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    done = run_bare("--plots", tmp_path / "plots", "--case", "imports")
    assert done.returncode == 2
    assert "--plots needs matplotlib" in done.stderr


@pytest.mark.parametrize("backend", ["uvloop", "trio"])
def test_an_event_loop_that_is_not_installed(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_can, "_MISSING", {backend})
    with pytest.raises(NotHereError, match=f"^{backend} is not installed$"):
        suite_can.ask(anyio.sleep, backend, 0)


def test_processors() -> None:
    assert suite_can.processors()[0] == min(suite_can.processors())


# Measuring


def failing() -> Measured:
    raise RuntimeError("no such thing")


def absent() -> Measured:
    raise NotHereError("python-can is not installed")


def small(key: str, place: Literal["kernel", "anywhere"] = "anywhere", **measures: Any) -> Case:
    measures = measures or {"c": lambda: {"cost": 1.0}, "anycan": lambda: {"cost": 2.0}}
    contenders = tuple(Contender(name, name.title(), one) for name, one in measures.items())
    bounds = (Bound("anycan", "cost", most=3, reference="c"),) if "anycan" in measures else ()
    metrics = (Metric("cost", "µs/frame"),)
    return Case(key, key.title(), "Words.", metrics, contenders, "c", bounds, place, 1)


@pytest.fixture
def have(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the command know these cases, and no others."""

    def have(*cases: Case) -> None:
        monkeypatch.setattr(command, "all_cases", lambda: list(cases))

    return have


def cases_in(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())["cases"]
    return found


def test_one_that_fails_does_not_stop_the_others(
    have: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    have(small("first", c=failing, anycan=absent), small("gone", c=absent), small("last"))
    file = tmp_path / "results.json"
    assert command.main(["--json", str(file)]) == 1
    told = capsys.readouterr()
    assert "C has failed: RuntimeError: no such thing" in told.out
    assert "Anycan is left out: python-can is not installed." in told.out
    assert "\n\nOn this machine:\n\n|" in told.out
    assert "| Last | Anycan: at most 3 x C | 2.00 | met |" in told.out
    assert "first, c: Traceback" in told.err
    found = cases_in(file)
    assert list(found) == ["first", "gone", "last"]
    assert found["last"]["place"] == "this machine"
    assert command.main(["--case", "last"]) == 0


def test_what_was_measured_is_written_after_each_case(
    have: Callable[..., None], tmp_path: Path
) -> None:
    file = tmp_path / "results.json"

    @contextmanager
    def setup() -> Iterator[None]:
        assert list(cases_in(file)) == ["first"]
        os.kill(os.getpid(), signal.SIGTERM)
        yield

    have(small("first"), attrs.evolve(small("second"), setup=setup))
    with pytest.raises(SystemExit):
        command.main(["--json", str(file)])
    assert list(cases_in(file)) == ["first"]


def test_what_a_file_has_of_other_cases_stays(
    have: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, page = tmp_path / "results.json", tmp_path / "page.md"
    page.write_text("<!-- measured: bounds --><!-- measured: first -->\n<!-- end -->")
    file.write_text(json.dumps(results(2.0)))
    have(small("receive"), small("first"))
    assert command.main(["--case", "first", "--json", str(file), "--page", str(page)]) == 0
    assert cases_in(file)["receive"] == results(2.0)["cases"]["receive"]
    assert list(json.loads(file.read_text())["machines"]) == ["the kernel lab", "this machine"]
    assert command.main(["--case", "receive", "--json", str(file)]) == 0
    assert cases_in(file)["receive"]["rounds"]["anycan"] == [{"cost": 2.0}]
    assert list(cases_in(file)) == ["receive", "first"]
    assert "of another machine" not in capsys.readouterr().err
    found = json.loads(file.read_text())
    found["machines"]["this machine"]["cores"] = "64"
    file.write_text(json.dumps(found))
    command.main(["--case", "receive", "--json", str(file)])
    assert "these are of another machine: first" in capsys.readouterr().err


def test_bounds_are_put_into_the_page_with_all_cases_only(
    have: Callable[..., None], tmp_path: Path
) -> None:
    file, page = tmp_path / "results.json", tmp_path / "page.md"
    page.write_text("<!-- measured: bounds -->\nold\n<!-- end -->")
    have(small("first"), small("second", c=absent))
    command.main(["--case", "first", "--page", str(page)])
    assert "old" in page.read_text()
    command.main(["--json", str(file)])
    command.main(["--read", str(file), "--page", str(page)])
    assert "| First | Anycan: at most 3 x C | 2.00 | met |" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--read", "absent.json"), "results cannot be read"),
        (("--json", "other.json"), "these are no results of benchmarks"),
        (("--json", "absent/results.json"), "there is no directory absent"),
        (("--page", "absent.md"), "there is no page absent.md"),
    ],
)
def test_what_would_fail_at_the_end_is_refused_at_once(
    arguments: tuple[str, ...],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.json").write_text("[]")
    with pytest.raises(SystemExit) as raised:
        command.main(list(arguments))
    assert raised.value.code == 2
    assert text in capsys.readouterr().err


# On a kernel elsewhere


def test_what_has_arrived_from_a_lab_that_ends_badly_is_kept(
    have: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = CaseResult("first", {"c": [{"cost": 1.0}]})
    lines = [
        "the kernel says something",
        f"@result {json.dumps(['machine', describe_machine()])}",
        f"@result {json.dumps(['first', first.to_json()])}",
        '@result ["second", {"key": "sec',
    ]
    program = f"import sys; print({os.linesep.join(lines)!r}); sys.exit(3)"
    place = apart.Apart("the kernel lab", (sys.executable, "-c", program), os.environ)
    monkeypatch.setattr(apart, "find_place", lambda: place)
    monkeypatch.setattr(command, "in_guest", lambda: False)
    have(small("first", "kernel"), small("second", "kernel"), small("third"))
    file = tmp_path / "results.json"
    assert command.main(["--json", str(file)]) == 1
    told = capsys.readouterr().err
    assert "ended with status 3; not measured: second" in told
    assert "what is this?" in told
    assert "the kernel says something" in told
    found = cases_in(file)
    assert list(found) == ["first", "third"]
    assert found["first"]["place"] == "the kernel lab"


def test_a_kernel_of_this_machine_is_used_in_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "judge", lambda: Verdict("direct"))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/unshare")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    place = apart.find_place()
    assert place.place == "this machine"
    assert place.command[:3] == ("/usr/bin/unshare", "--net", sys.executable)
    assert place.command[-1] == "--emit"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(apart.NoKernelError, match="needs root"):
        apart.find_place()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(apart.NoKernelError, match="the program unshare"):
        apart.find_place()


def test_cases_without_a_kernel_are_left_out_with_the_reason(
    have: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(apart, "judge", lambda: Verdict("nowhere", "no CAN kernel"))
    monkeypatch.setattr(command, "in_guest", lambda: False)
    have(small("first", "kernel"), small("second"))
    assert command.main([]) == 0
    told = capsys.readouterr()
    assert "left out, for they need a kernel: no CAN kernel" in told.err
    assert "## First" not in told.out
    assert "## Second" in told.out


def test_what_runs_elsewhere_is_ended_in_order_with_the_command(tmp_path: Path) -> None:
    file = tmp_path / "ended"
    program = f"""
import pathlib, time
try:
    print('@result [1]', flush=True)
    time.sleep(50)
finally:
    pathlib.Path({str(file)!r}).touch()
"""
    place = apart.Apart("the kernel lab", (sys.executable, "-c", program), os.environ)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            place.run([], Findings(), interrupt, lambda: None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert file.exists()
    assert time.monotonic() - start < 5


def test_one_interface_that_cannot_be_removed_keeps_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    removed: list[str] = []

    def ip(words: list[str], *, check: bool) -> None:
        if words[2] == "del":
            removed.append(words[3])
            if check:
                raise subprocess.CalledProcessError(1, words)

    monkeypatch.setattr(subprocess, "run", ip)
    with suite_can.vcan("first", "second"):
        pass
    assert removed == ["first", "second"]
