"""What was measured, round by round: ratios, medians, spread, and what became of bounds."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from suite.case import Bound, Case, Measured


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


@attrs.define
class CaseResult:
    """What the rounds of a case have given.

    Attributes:
        key: Of which case.
        rounds: Of each contender, of each round, the value of each metric.
        missing: Contenders that could not be measured here, and why.
    """

    key: str
    rounds: dict[str, list[dict[str, float]]] = attrs.Factory(dict)
    missing: dict[str, str] = attrs.Factory(dict)

    def note(self, contender: str, measured: Measured) -> None:
        """Keep what one round has given."""
        self.rounds.setdefault(contender, []).append(dict(measured))

    def values(self, contender: str, metric: str) -> list[float]:
        """Give a metric of all rounds; empty where it does not apply."""
        found = self.rounds.get(contender, [])
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
        return cls(found["key"], found["rounds"], found["missing"])


@attrs.frozen
class Verdict:
    """What became of a bound.

    Attributes:
        bound: Which one.
        found: The ratio, or the value, that was found; None: it was not measured.
    """

    bound: Bound
    found: Spread | None

    @property
    def met(self) -> bool:
        """Whether the median is within the bound."""
        if self.found is None:
            return False
        bound = self.bound
        if bound.least is not None:
            return self.found.median >= bound.least
        return bound.most is not None and self.found.median <= bound.most


def judge(case: Case, result: CaseResult) -> list[Verdict]:
    """Give what became of a case's bounds."""
    return [Verdict(bound, _found(bound, result)) for bound in case.bounds]


def _found(bound: Bound, result: CaseResult) -> Spread | None:
    values = result.values(bound.contender, bound.metric)
    if bound.reference is None:
        found = [value - bound.plus for value in values]
    else:
        others = result.values(bound.reference, bound.metric)
        pairs = list(zip(values, others, strict=False))
        if bound.least is not None:
            found = [other / value if value else float("inf") for value, other in pairs]
        else:
            found = [(value - bound.plus) / other for value, other in pairs if other]
    return Spread.of(found) if found else None
