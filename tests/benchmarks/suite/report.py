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
    """Give a case's table: of each metric the median, and the ratio with its spread."""
    head = ["", *_heads(case)]
    lines = [head, ["---"] * len(head)]
    for contender in case.contenders:
        if contender.key in result.rounds:
            row = [contender.title]
            for metric in case.metrics:
                row += _cells(case, result, contender.key, metric)
            lines.append(row)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _heads(case: Case) -> Iterator[str]:
    for metric in case.metrics:
        yield metric.title
        if metric.compared:
            yield "ratio"


def _cells(case: Case, result: CaseResult, key: str, metric: Metric) -> Iterator[str]:
    values = result.values(key, metric.key)
    if not values:
        yield "-"
    else:
        yield f"{Spread.of(values).median:,.{metric.digits}f}"
    if metric.compared:
        ratios = result.ratios(key, case.reference, metric.key)
        yield spread_text(Spread.of(ratios)) if ratios else "-"


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
    if bound.least is not None:
        return f"{other}: at least {bound.least:g} x {ours}"
    plus = f" + {bound.plus:g}" if bound.plus else ""
    return f"{ours}: at most {bound.most:g} x {other}{plus}"


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
            lines.append(f"| {title} | {text} | {spread_text(verdict.found)} | {word} |")
    return "\n".join(lines)


def fill_page(
    page: str, cases: list[tuple[Case, CaseResult]], machines: dict[str, dict[str, str]]
) -> str:
    """Put what was measured into a page, where its comments say.

    Each place is a comment ``<!-- measured: KEY -->``, up to ``<!-- end -->``. KEY is a case's, or
    ``bounds``, or ``machines``. Places of cases that were not measured stay as they are.
    """
    texts = {case.key: f"{case.explanation}\n\n{table(case, result)}" for case, result in cases}
    texts["bounds"] = verdict_table(cases)
    texts["machines"] = "\n".join(
        f"- {place}: {machine_text(machine)}" for place, machine in machines.items()
    )

    def fill(match: re.Match[str]) -> str:
        head, key, end = match.groups()
        return f"{head}\n{texts[key]}\n\n{end}" if key in texts else match.group()

    return _PLACE.sub(fill, page)
