"""The command, of results that were written before: tables, bounds, plots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from suite.machine import describe_machine

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
        "cases": {"receive": {"key": "receive", "rounds": rounds, "missing": missing}},
    }


def test_results_are_printed_again_and_plotted(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra benchmark is not installed")
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results(2.0)))
    plots = [tmp_path / name for name in ("first", "second")]
    done = [run("--read", file, "--plots", directory, "--strict") for directory in plots]
    assert done[0].returncode == 1  # what python-can takes was not measured
    assert "the kernel lab: Linux" in done[0].stdout
    assert "| 10.0 | 2.00 |" in done[0].stdout
    assert "at most 3 x C: recvmsg | 2.00 | met |" in done[0].stdout
    assert "is left out: python-can is not installed." in done[0].stdout
    first, second = ((directory / "receive.svg").read_text() for directory in plots)
    assert first == second
    assert "10.0" in first
    file.write_text(json.dumps(results(4.0)))
    assert "at most 3 x C: recvmsg | 4.00 | **missed** |" in run("--read", file).stdout


def test_cases_are_listed() -> None:
    lines = run("--list").stdout.splitlines()
    assert any(line.split()[:2] == ["receive", "kernel"] for line in lines)


def test_a_case_that_there_is_not() -> None:
    done = run("--case", "recieve")
    assert done.returncode == 2
    assert "no such case: recieve; --list lists them" in done.stderr
