"""Tables of what was measured, in Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from suite.machine import machine_text
from suite.results import Spread, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from suite.case import Bound, Case, Metric
    from suite.results import CaseResult, Verdict

_PLACE: Final = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(case: Case, result: CaseResult) -> str:
    """Give a case's table: of each metric what counts, and the ratio with its spread."""
    head = ["", *_heads(case)]
    lines = [head, ["---"] * len(head)]
    for contender in case.contenders:
        if contender.key in result.rounds and contender.key not in result.failed:
            row = [contender.title]
            for metric in case.metrics:
                row += _cells(case, result, contender.key, metric)
            lines.append(row)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(case: Case, result: CaseResult) -> str:
    """Give what is to be read of a case: what is done, where, the table, and who is not in it."""
    parts = [case.explanation]
    if any(key not in result.failed for key in result.rounds):
        if result.place:
            parts.append(f"{place_text(result.place).capitalize()}:")
        parts.append(table(case, result))
    absent = [contender for contender in case.contenders if contender.key in result.missing]
    reasons = set(result.missing.values())
    if len(absent) == len(case.contenders) > 1 == len(reasons):
        parts.append(f"All of it is left out: {reasons.pop()}.")
    else:
        parts += [f"{one.title} is left out: {result.missing[one.key]}." for one in absent]
    for contender in case.contenders:
        if contender.key in result.failed:
            # The last line of a traceback says what it was.
            reason = result.failed[contender.key].strip().splitlines()[-1]
            parts.append(f"{contender.title} has failed: {reason}")
    return "\n\n".join(parts)


def place_text(place: str) -> str:
    """Say where something was measured."""
    return f"on {place}" if place.endswith("machine") else f"in {place}"


def _heads(case: Case) -> Iterator[str]:
    for metric in case.metrics:
        yield f"{metric.title} (worst)" if metric.worst else metric.title
        if metric.compared:
            yield "ratio"


def _cells(case: Case, result: CaseResult, key: str, metric: Metric) -> Iterator[str]:
    values = result.values(key, metric.key)
    if not values:
        yield "-"
    else:
        yield number_text(metric, Spread.of(values).counted(metric))
    if metric.compared:
        ratios = result.ratios(key, case.reference, metric.key)
        yield spread_text(Spread.of(ratios)) if ratios else "-"


def number_text(metric: Metric, number: float) -> str:
    """Give one value of a metric."""
    return f"{number:,.{metric.digits}f}"


def spread_text(spread: Spread) -> str:
    """Give a median, and the least and the greatest."""
    digits = 0 if spread.median >= 20 else 1 if spread.median >= 5 else 2
    numbers = (spread.median, spread.least, spread.greatest)
    median, least, greatest = (f"{number:,.{digits}f}" for number in numbers)
    return median if least == greatest else f"{median} ({least} to {greatest})"


def bound_text(case: Case, bound: Bound) -> str:
    """Say what was promised."""
    titles = {contender.key: contender.title for contender in case.contenders}
    metrics = {metric.key: metric.title for metric in case.metrics}
    ours = titles[bound.contender]
    if bound.reference is None:
        return f"{ours}: at most {bound.most:g} {metrics[bound.metric]}"
    other = titles[bound.reference]
    # Which one it is, where there are several that could be meant.
    several = sum(metric.compared for metric in case.metrics) > 1
    what = f", {metrics[bound.metric]}" if several else ""
    if bound.least is not None:
        return f"{other}: at least {bound.least:g} x {ours}{what}"
    plus = f" + {bound.plus:g}" if bound.plus else ""
    return f"{ours}: at most {bound.most:g} x {other}{plus}{what}"


def verdict_rows(cases: list[tuple[Case, CaseResult]]) -> list[tuple[str, str, Verdict]]:
    """Give of each bound the case's title, what was promised and what became of it."""
    return [
        (case.title, bound_text(case, verdict.bound), verdict)
        for case, result in cases
        for verdict in judge(case, result)
    ]


def verdict_table(cases: list[tuple[Case, CaseResult]]) -> str:
    """Give the table of all bounds."""
    lines = ["| Case | Bound | Measured | |", "|---|---|---|---|"]
    for title, text, verdict in verdict_rows(cases):
        if verdict.found is None:
            lines.append(f"| {title} | {text} | not measured | |")
        else:
            word = "met" if verdict.met else "**missed**"
            lines.append(f"| {title} | {text} | {_found_text(verdict, verdict.found)} | {word} |")
    return "\n".join(lines)


def _found_text(verdict: Verdict, found: Spread) -> str:
    metric = verdict.metric
    if verdict.limit is not None:
        value, limit = (number_text(metric, one) for one in (verdict.counted, verdict.limit))
        return f"{value} of {limit}"
    if metric.worst and verdict.bound.reference is None:
        return f"{number_text(metric, verdict.counted)} (worst)"
    return spread_text(found)


def fill_page(
    page: str,
    cases: list[tuple[Case, CaseResult]],
    machines: dict[str, dict[str, str]],
    *,
    complete: bool,
) -> str:
    """Put what was measured into a page, where its comments say.

    Each place is a comment ``<!-- measured: KEY -->``, up to ``<!-- end -->``. KEY is a case's, or
    ``bounds``, or ``machines``. Places of cases that were not measured stay as they are, and these
    two where not all cases were: they are about all of them.
    """
    texts = {case.key: section(case, result) for case, result in cases}
    if complete:
        texts["bounds"] = verdict_table(cases)
        texts["machines"] = machines_text(machines)

    def fill(match: re.Match[str]) -> str:
        head, key, end = match.groups()
        return f"{head}\n{texts[key]}\n\n{end}" if key in texts else match.group()

    return _PLACE.sub(fill, page)


def machines_text(machines: dict[str, dict[str, str]]) -> str:
    """Give the list of the machines that something was measured on."""
    return "\n".join(f"- {place}: {machine_text(machine)}" for place, machine in machines.items())
