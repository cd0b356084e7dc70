"""The command: count, compare, and say what to do."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Final

from gate import baseline
from gate.baseline import Baseline
from gate.counting import CountingError, count
from gate.judgement import Verdict, judge, ratios, remarks, table
from gate.profiling import profile
from gate.workloads import all_workloads
from gate.workloads.reference import KEY as REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMAND: Final = "python tests/benchmarks gate"
_PLANTED: Final = 0.1
_TEXT: Final = """\
Count the instructions that a frame takes on the paths that frames take most, and compare
them with the committed baseline. Instructions, counted by valgrind, do not depend on what else the
machine does. What is compared is the ratio to as little as Python can do with a frame, counted
along: it depends little on the machine.

It ends with status 1 where a path takes more than the margin beyond its baseline.
"""

_NOT_FOUND: Final = 3
_MARGIN_HELP: Final = (
    f"what a workload may take more; default {baseline.MARGIN * 100:g}, where the baseline is of"
    f" another build of this Python {baseline.OTHER_BUILD * 100:g}, of another version"
    f" {baseline.OTHER_VERSION * 100:g}"
)


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for, and give the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    workloads = all_workloads()
    titles = {key: one.title for key, one in workloads.items() if key != REFERENCE}
    if options.list:
        for key, title in titles.items():
            print(f"{key:14} {title}")
        return 0
    asked = {*options.workloads, *filter(None, (options.plant, options.profile))}
    unknown = sorted(asked - titles.keys())
    if unknown:
        parser.error(f"no such workload: {', '.join(unknown)}; --list lists them")
    if options.plant and options.write:
        parser.error("a baseline is not made of what was planted")
    try:
        if options.profile:
            print(profile(workloads[options.profile]))
            return 0
        return _gate(
            [key for key in titles if key in options.workloads or not options.workloads],
            titles,
            margin=options.margin,
            planted=options.plant,
            write=options.write,
        )
    except CountingError as error:
        print(f"The gate cannot count instructions: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=_TEXT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="these alone")
    parser.add_argument("--list", action="store_true", help="list the workloads")
    parser.add_argument("--margin", type=float, metavar="PERCENT", help=_MARGIN_HELP)
    parser.add_argument("--write", action="store_true", help="make this run the baseline")
    parser.add_argument(
        "--plant",
        metavar="WORKLOAD",
        help=f"have each of its frames do {_PLANTED:.0%} more, to see that the gate finds it",
    )
    parser.add_argument(
        "--profile", metavar="WORKLOAD", help="show where its instructions and its calls are"
    )
    return parser


def _gate(
    keys: Sequence[str],
    titles: dict[str, str],
    *,
    margin: float | None,
    planted: str | None,
    write: bool,
) -> int:
    """Count, and compare or write."""
    build = baseline.this_build()
    known = baseline.read(baseline.PATH)
    choice = baseline.choose(known, build)
    if planted and planted not in choice.ratios:
        raise CountingError(f"{planted} has no baseline, of which {_PLANTED:.0%} could be planted")
    work = {planted: choice.ratios[planted] * _PLANTED} if planted else {}
    start = time.monotonic()
    counts = count([REFERENCE, *_with(keys, planted)], work)
    allowed = choice.margin if margin is None else margin / 100
    findings = judge(counts, REFERENCE, choice.ratios, allowed)
    print(f"Python {build.version}, {build.text}; {time.monotonic() - start:.0f} s\n")
    print(table(findings, titles))
    print(f"\nThe reference takes {counts[REFERENCE].each:,.0f} instructions a frame.")
    if write:
        own = {} if choice.remark else choice.ratios
        new = {key: ratio for key, ratio in own.items() if key in titles}
        new |= ratios(counts, REFERENCE)
        baseline.write(baseline.renewed(known, Baseline(build, new)), baseline.PATH)
        print(f"This is the baseline now: {baseline.PATH}")
        return 0
    if choice.remark:
        print(f"{choice.remark} To make one: {COMMAND} --write")
    for line in remarks(findings, allowed, COMMAND):
        print(line)
    slower = {one.key for one in findings if one.verdict is Verdict.SLOWER}
    if planted and planted not in slower:
        print(f"What was planted in {planted} was not found: renew the baseline first.")
        return _NOT_FOUND
    return int(bool(slower))


def _with(keys: Iterable[str], planted: str | None) -> list[str]:
    return list(dict.fromkeys([*keys, *filter(None, (planted,))]))
