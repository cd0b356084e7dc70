"""What anycan costs, beside what else does the same: one command, one table.

    pip install -e ".[benchmark]"
    python tests/benchmarks                       # all cases, five rounds
    python tests/benchmarks --case receive --rounds 3
    python tests/benchmarks --json results.json --plots docs/explanation/performance
    python tests/benchmarks gate                  # instruction counts against the baseline
    python tests/benchmarks flame wake wake.svg   # where the time goes

Cases that need PF_CAN run here as root where the kernel has it, else all of them in one boot of the
kernel lab (CONTRIBUTING.md says what that needs), whose processor is emulated: ratios within a run
hold, absolute times are the machine's. The programs in C are compiled by the command.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig.host import judge
from suite import report, running
from suite.machine import describe_machine, machine_text
from suite.plots import write_plot
from suite.results import CaseResult

if TYPE_CHECKING:
    from suite.case import Case

_HERE = Path(__file__).parents[1]
MODULES: tuple[str, ...] = (
    "receive",
    "wake",
    "paced",
    "latency",
    "sending",
    "routing",
    "gateway",
    "isotp",
    "cyclic",
    "bcm_watch",
    "dispatch",
    "network",
    "memory",
    "imports",
)
_OTHERS = {"gate": "gate", "flame": "suite.flame"}
_RESULT = "@result "
_LAB_SCALE = "0.1"  # its processor is about a tenth as fast


def main(arguments: list[str]) -> int:
    """Run what was asked for."""
    if arguments and arguments[0] in _OTHERS:
        return int(importlib.import_module(_OTHERS[arguments[0]]).main(arguments[1:]))
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--case", action="append", help="this case alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count; default 5")
    parser.add_argument("--json", type=Path, help="write all values there")
    parser.add_argument("--read", type=Path, help="measure nothing: read what --json has written")
    parser.add_argument("--plots", type=Path, help="write an SVG for each case into this directory")
    parser.add_argument("--page", type=Path, help="put the tables into this page of Markdown")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--strict", action="store_true", help="fail where a bound is missed")
    parser.add_argument("--emit", action="store_true", help=argparse.SUPPRESS)  # inside the lab
    options = parser.parse_args(arguments)
    known = {case.key: case for case in all_cases()}
    if options.list:
        for case in known.values():
            print(f"{case.key:16} {case.place:9} {case.title}")
        return 0
    unknown = sorted(set(options.case or ()) - known.keys())
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; --list lists them")
    wanted = [case for key, case in known.items() if not options.case or key in options.case]
    if options.emit:
        return _emit(wanted, options.rounds)
    if options.read is None:
        found = _measure(wanted, options.rounds)
    else:
        found = json.loads(options.read.read_text())
    results = [
        (case, CaseResult.from_json(found["cases"][case.key]))
        for case in wanted
        if case.key in found["cases"]
    ]
    _print(results, found["machines"])
    _write(options, results, found)
    missed = [row for row in report.verdict_rows(results) if not row[2].met]
    return 1 if missed and options.strict else 0


def all_cases() -> list[Case]:
    """Give all cases, in their order."""
    return [case for name in MODULES for case in importlib.import_module(f"cases.{name}").cases()]


def _tell(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _measure(wanted: list[Case], rounds: int) -> dict[str, Any]:
    """Run cases, those of the kernel where there is PF_CAN."""
    found: dict[str, Any] = {"machines": {}, "cases": {}}
    kernel = [case for case in wanted if case.place == "kernel"]
    elsewhere = [case for case in wanted if case.place == "anywhere"]
    verdict = judge()
    if kernel and verdict.place == "nowhere":
        _tell(f"left out, for they need a kernel: {verdict.reason}")
        kernel = []
    if kernel and verdict.place == "lab":
        _run_in_lab(kernel, rounds, found)
        kernel = []
    here = kernel + elsewhere
    if here:
        found["machines"]["this machine"] = describe_machine()
    for case in here:
        result = running.run_case(case, rounds, _tell)
        found["cases"][case.key] = {"place": "this machine", **result.to_json()}
    return found


def _run_in_lab(cases: list[Case], rounds: int, found: dict[str, Any]) -> None:
    """Run cases in one boot of the kernel lab."""
    command = [sys.executable, str(_HERE.parent / "lab"), sys.executable, str(_HERE), "--emit"]
    for case in cases:
        command += ["--case", case.key]
    command += ["--rounds", str(rounds)]
    environment = {"ANYCAN_BENCHMARK_SCALE": _LAB_SCALE, **os.environ}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as lab:
        assert lab.stdout is not None
        for line in lab.stdout:
            if not line.startswith(_RESULT):
                sys.stderr.write(line)
                continue
            key, value = json.loads(line[len(_RESULT) :])
            if key == "machine":
                found["machines"]["the kernel lab"] = value
            else:
                found["cases"][key] = {"place": "the kernel lab", **value}
    if lab.returncode:
        raise SystemExit(f"the kernel lab ended with status {lab.returncode}")


def _emit(wanted: list[Case], rounds: int) -> int:
    """Run cases and print their results for the command that has started this one."""

    def emit(key: str, value: object) -> None:
        print(_RESULT + json.dumps([key, value]), flush=True)

    emit("machine", describe_machine())
    for case in wanted:
        emit(case.key, running.run_case(case, rounds, _tell).to_json())
    return 0


def _write(
    options: argparse.Namespace, results: list[tuple[Case, CaseResult]], found: dict[str, Any]
) -> None:
    """Write the files that were asked for."""
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.plots is not None:
        options.plots.mkdir(parents=True, exist_ok=True)
        for case, result in results:
            write_plot(case, result, options.plots)
    if options.page is not None:
        page = report.fill_page(options.page.read_text(), results, found["machines"])
        options.page.write_text(page)


def _print(results: list[tuple[Case, CaseResult]], machines: dict[str, dict[str, str]]) -> None:
    for place, machine in machines.items():
        print(f"{place}: {machine_text(machine)}")
    for case, result in results:
        print(f"\n## {case.title}\n\n{case.explanation}\n\n{report.table(case, result)}")
        for contender in case.contenders:
            if contender.key in result.missing:
                print(f"\n{contender.title} is left out: {result.missing[contender.key]}.")
    if any(case.bounds for case, _ in results):
        print(f"\n## Bounds\n\n{report.verdict_table(results)}")
