"""What anycan costs, beside what else does the same: one command, one table.

    pip install -e ".[benchmark]"
    python tests/benchmarks                       # all cases, five rounds
    python tests/benchmarks --case receive --rounds 3
    python tests/benchmarks --json results.json --plots docs/explanation/performance
    python tests/benchmarks gate                  # instruction counts against the baseline
    python tests/benchmarks flame wake wake.svg   # where the time goes

Cases that need PF_CAN run here as root where the kernel has it, in a network namespace of their
own; else all of them in one boot of the kernel lab (CONTRIBUTING.md says what that needs), whose
processor is emulated: ratios within a run hold, absolute times are the machine's. The programs in C
are compiled by the command. What fails is told, the rest goes on, and the command ends with
status 1.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rig.host import in_guest
from suite import apart, report
from suite.findings import HERE, LAB, Findings
from suite.machine import describe_machine, machine_text
from suite.plots import write_plot
from suite.running import ended_in_order, run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from suite.case import Case
    from suite.results import CaseResult

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


def main(arguments: list[str]) -> int:
    """Run what was asked for."""
    if arguments and arguments[0] in _OTHERS:
        return int(importlib.import_module(_OTHERS[arguments[0]]).main(arguments[1:]))
    parser = _parser()
    options = parser.parse_args(arguments)
    known = {case.key: case for case in all_cases()}
    if options.list:
        for case in known.values():
            print(f"{case.key:16} {case.place:9} {case.title}")
        return 0
    wanted = [case for key, case in known.items() if not options.case or key in options.case]
    problem = _problem(options, known)
    if problem is not None:
        parser.error(problem)
    if options.emit:
        with ended_in_order():
            apart.emit(wanted, options.rounds, _tell)
        return 0
    try:
        found, earlier = _read(options)
    except (OSError, ValueError) as error:
        parser.error(f"results cannot be read: {error}")
    if options.read is None:
        with ended_in_order():
            problem = _measure(wanted, options, found, earlier)
    elif options.json is not None:
        found.over(earlier).write(options.json)
    results = [(case, found.cases[case.key]) for case in wanted if case.key in found.cases]
    _print(results, found.machines)
    _write(options, results, found, complete=len(results) == len(known))
    if problem is not None:
        _tell(problem)
    failed = problem is not None or any(result.failed for _, result in results)
    return int(failed or (options.strict and _missed(results)))


def _missed(results: list[tuple[Case, CaseResult]]) -> bool:
    return any(not verdict.met for _, _, verdict in report.verdict_rows(results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--case", action="append", help="this case alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count; default 5")
    parser.add_argument(
        "--json",
        type=Path,
        help="write all values there, after each case; what it has of other cases stays",
    )
    parser.add_argument("--read", type=Path, help="measure nothing: read what --json has written")
    parser.add_argument("--plots", type=Path, help="write an SVG for each case into this directory")
    parser.add_argument(
        "--page",
        type=Path,
        help="put the tables into this page of Markdown; bounds and machines only with all cases",
    )
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--strict", action="store_true", help="fail where a bound is missed")
    parser.add_argument("--emit", action="store_true", help=argparse.SUPPRESS)  # inside the lab
    return parser


def _problem(options: argparse.Namespace, known: Collection[str]) -> str | None:
    """Say what is wrong, before anything is measured."""
    unknown = sorted(set(options.case or ()).difference(known))
    if unknown:
        return f"no such case: {', '.join(unknown)}; --list lists them"
    if options.plots is not None and importlib.util.find_spec("matplotlib") is None:
        return '--plots needs matplotlib: pip install -e ".[benchmark]"'
    if options.json is not None and not options.json.parent.is_dir():
        return f"there is no directory {options.json.parent}"
    if options.page is not None and not options.page.is_file():
        return f"there is no page {options.page}"
    return None


def _read(options: argparse.Namespace) -> tuple[Findings, Findings]:
    """Give the findings that are to be shown, and those that ``--json`` has already."""
    found = Findings() if options.read is None else Findings.read(options.read)
    if options.json is None or not options.json.is_file():
        return found, Findings()
    return found, Findings.read(options.json)


def all_cases() -> list[Case]:
    """Give all cases, in their order."""
    return [case for name in MODULES for case in importlib.import_module(f"cases.{name}").cases()]


def _tell(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _measure(
    wanted: list[Case], options: argparse.Namespace, found: Findings, earlier: Findings
) -> str | None:
    """Run cases, those of the kernel where there is PF_CAN; say what went wrong with all of it."""

    def keep() -> None:
        if options.json is not None:
            found.over(earlier).write(options.json)

    problem = None
    kernel = [case for case in wanted if case.place == "kernel"]
    here = wanted
    if kernel and not in_guest():
        here = [case for case in wanted if case.place == "anywhere"]
        problem = _measure_apart(kernel, options.rounds, found, keep)
    where = LAB if in_guest() else HERE
    if here:
        found.machines[where] = describe_machine()
    for case in here:
        result = run_case(case, options.rounds, _tell)
        result.place = where
        found.cases[case.key] = result
        keep()
    mixed = found.mixed(earlier)
    if mixed:
        _tell(f"in {options.json}, these are of another machine: {', '.join(mixed)}")
    return problem


def _measure_apart(
    cases: list[Case], rounds: int, found: Findings, keep: Callable[[], None]
) -> str | None:
    try:
        place = apart.find_place()
    except apart.NoKernelError as error:
        _tell(f"left out, for they need a kernel: {error}")
        return None
    words = [word for case in cases for word in ("--case", case.key)]
    problem = place.run([*words, "--rounds", str(rounds)], found, _tell, keep)
    lost = [case.key for case in cases if case.key not in found.cases]
    return f"{problem}; not measured: {', '.join(lost)}" if problem and lost else problem


def _write(
    options: argparse.Namespace,
    results: list[tuple[Case, CaseResult]],
    found: Findings,
    *,
    complete: bool,
) -> None:
    """Write the files that were asked for."""
    if options.plots is not None:
        options.plots.mkdir(parents=True, exist_ok=True)
        for case, result in results:
            write_plot(case, result, options.plots)
    if options.page is not None:
        page = options.page.read_text()
        page = report.fill_page(page, results, found.machines, complete=complete)
        options.page.write_text(page)


def _print(results: list[tuple[Case, CaseResult]], machines: dict[str, dict[str, str]]) -> None:
    for place, machine in machines.items():
        print(f"{place}: {machine_text(machine)}")
    for case, result in results:
        print(f"\n## {case.title}\n\n{report.section(case, result)}")
    if any(case.bounds for case, _ in results):
        print(f"\n## Bounds\n\n{report.verdict_table(results)}")
