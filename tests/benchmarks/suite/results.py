"""What was measured, round by round: ratios, medians, spread, and what became of bounds."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from suite.case import Bound, Case, Measured, Metric


@attrs.frozen
class Spread:
    """A median of rounds, and the least and the greatest of them."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Give that of some values."""
        return cls(statistics.median(values), min(values), max(values))

    def counted(self, metric: Metric) -> float:
        """Give what counts of a metric's values."""
        return self.greatest if metric.worst else self.median


@attrs.define
class CaseResult:
    """What the rounds of a case have given.

    Attributes:
        key: Of which case.
        rounds: Of each contender, of each round, the value of each metric.
        missing: Contenders that could not be measured here, and why.
        failed: Contenders that have failed, and why. What rounds they had before is kept, and
            counts for nothing.
        place: Where it was measured: ``"the kernel lab"`` or ``"this machine"``.
    """

    key: str
    rounds: dict[str, list[dict[str, float]]] = attrs.Factory(dict)
    missing: dict[str, str] = attrs.Factory(dict)
    failed: dict[str, str] = attrs.Factory(dict)
    place: str = ""

    def note(self, contender: str, measured: Measured) -> None:
        """Keep what one round has given."""
        self.rounds.setdefault(contender, []).append(dict(measured))

    def values(self, contender: str, metric: str) -> list[float]:
        """Give a metric of all rounds; empty where it does not apply, and of who has failed."""
        found = [] if contender in self.failed else self.rounds.get(contender, [])
        return [one[metric] for one in found if metric in one]

    def ratios(self, contender: str, reference: str, metric: str) -> list[float]:
        """Give how many times the reference's value a contender's is, in each round."""
        pairs = zip(self.values(contender, metric), self.values(reference, metric), strict=False)
        return [one / other for one, other in pairs if other]

    def to_json(self) -> dict[str, Any]:
        """Give all of it as JSON has it."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> CaseResult:
        """Make it from what :meth:`to_json` gave."""
        return cls(
            found["key"],
            found["rounds"],
            found["missing"],
            found.get("failed", {}),  # older files have none of these
            found.get("place", ""),
        )


@attrs.frozen
class Verdict:
    """What became of a bound.

    Attributes:
        bound: Which one.
        metric: Of what.
        found: The ratios, or the values, that were found; None: it was not measured.
        counted: That of them which counts.
        limit: What a value is at most, where the bound adds something to the reference's; it is
            that of the round whose value counts.
    """

    bound: Bound
    metric: Metric
    found: Spread | None = None
    counted: float = math.nan
    limit: float | None = None

    @property
    def met(self) -> bool:
        """Whether what counts is within the bound."""
        if self.found is None:
            return False
        if self.limit is not None:
            return self.counted <= self.limit
        if self.bound.least is not None:
            return self.counted >= self.bound.least
        return self.bound.most is not None and self.counted <= self.bound.most


def judge(case: Case, result: CaseResult) -> list[Verdict]:
    """Give what became of a case's bounds."""
    metrics = {metric.key: metric for metric in case.metrics}
    return [_verdict(bound, metrics[bound.metric], result) for bound in case.bounds]


def _verdict(bound: Bound, metric: Metric, result: CaseResult) -> Verdict:
    values = result.values(bound.contender, bound.metric)
    if bound.reference is None:
        found = values
    else:
        others = result.values(bound.reference, bound.metric)
        pairs = list(zip(values, others, strict=False))
        if bound.plus and bound.most is not None:
            limits = [(value, bound.most * other + bound.plus) for value, other in pairs]
            return _within_limits(bound, metric, limits)
        if bound.least is not None:
            found = [other / value if value else math.inf for value, other in pairs]
        else:
            found = [value / other for value, other in pairs if other]
    if not found:
        return Verdict(bound, metric)
    spread = Spread.of(found)
    worst = spread.greatest if bound.least is None else spread.least
    return Verdict(bound, metric, spread, worst if metric.worst else spread.median)


def _within_limits(bound: Bound, metric: Metric, found: list[tuple[float, float]]) -> Verdict:
    """Judge values, each by the limit of its own round."""
    if not found:
        return Verdict(bound, metric)
    found = sorted(found, key=lambda one: one[0] - one[1])
    # The round in the middle, of an even number the mean of two: their excess is the median.
    middle = found[(len(found) - 1) // 2 : len(found) // 2 + 1]
    value, limit = found[-1] if metric.worst else map(statistics.mean, zip(*middle, strict=True))
    return Verdict(bound, metric, Spread.of([one for one, _ in found]), value, limit)
