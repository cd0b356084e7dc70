"""What the gate makes of what was counted."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@attrs.frozen
class Count:
    """What was counted of a workload.

    Attributes:
        instructions: The instructions of all its frames.
        frames: How many frames these are.
    """

    instructions: int
    frames: int

    @property
    def each(self) -> float:
        """The instructions of one frame."""
        return self.instructions / self.frames


class Verdict(enum.Enum):
    """How a workload stands to its baseline."""

    HOLDS = "holds"
    SLOWER = "**slower**"
    FASTER = "faster"
    NEW = "no baseline"


@attrs.frozen
class Finding:
    """What became of a workload.

    Attributes:
        key: Which.
        each: The instructions of one of its frames.
        ratio: How many times those of the reference's that is.
        baseline: How many times it was; None: there is no baseline.
        verdict: What that means.
    """

    key: str
    each: float
    ratio: float
    baseline: float | None
    verdict: Verdict

    @property
    def change(self) -> float:
        """How much more it is than the baseline; 0.1 is a tenth more."""
        return 0.0 if self.baseline is None else self.ratio / self.baseline - 1


def ratios(counts: Mapping[str, Count], reference: str) -> dict[str, float]:
    """Give of each workload how many times the reference's instructions a frame of it takes."""
    one = counts[reference].each
    return {key: count.each / one for key, count in counts.items() if key != reference}


def judge(
    counts: Mapping[str, Count], reference: str, baseline: Mapping[str, float], margin: float
) -> list[Finding]:
    """Compare with a baseline.

    Args:
        counts: What was counted, of one run.
        reference: The workload that the others are compared with.
        baseline: The ratios that there were.
        margin: What may be more or less: 0.05 is 5 %.
    """
    return [
        Finding(
            key,
            counts[key].each,
            ratio,
            baseline.get(key),
            _verdict(ratio, baseline.get(key), margin),
        )
        for key, ratio in ratios(counts, reference).items()
    ]


def _verdict(ratio: float, baseline: float | None, margin: float) -> Verdict:
    if baseline is None:
        return Verdict.NEW
    if ratio > baseline * (1 + margin):
        return Verdict.SLOWER
    return Verdict.FASTER if ratio < baseline * (1 - margin) else Verdict.HOLDS


def table(findings: Sequence[Finding], titles: Mapping[str, str]) -> str:
    """Give the findings as a table, in Markdown."""
    lines = [
        "| Workload | | Instructions a frame | Ratio | Baseline | Change | |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in findings:
        before, change = "-", "-"
        if one.baseline is not None:
            before, change = f"{one.baseline:.3f}", f"{one.change:+.1%}"
        lines.append(
            f"| {one.key} | {titles[one.key]} | {one.each:,.0f} | {one.ratio:.3f} |"
            f" {before} | {change} | {one.verdict.value} |"
        )
    return "\n".join(lines)


def remarks(findings: Sequence[Finding], margin: float, command: str) -> list[str]:
    """Say what is to be done about the findings.

    Args:
        findings: The findings.
        margin: What may be more or less.
        command: How the gate is called.
    """
    found: dict[Verdict, list[Finding]] = {verdict: [] for verdict in Verdict}
    for one in findings:
        found[one.verdict].append(one)
    lines = [
        f"{one.key} takes {one.change:.1%} more instructions a frame than its baseline, and"
        f" {margin:.0%} is the margin. To look closer: {command} --profile {one.key}"
        for one in found[Verdict.SLOWER]
    ]
    better = ", ".join(f"{one.key} by {-one.change:.1%}" for one in found[Verdict.FASTER])
    if better:
        lines.append(
            f"Better than the baseline: {better}. Keep that from getting lost: {command} --write"
        )
    new = ", ".join(one.key for one in found[Verdict.NEW])
    if new:
        lines.append(f"Without a baseline: {new}. To make one: {command} --write")
    return lines
