"""What a rule counts while it runs."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from anycan.gateway.statistics import (
    DestinationStatistics,
    LatencyHistogram,
    RuleStatistics,
    bucket_of,
    lower_end,
)

if TYPE_CHECKING:
    from anycan.gateway.reasons import DropReason
    from anycan.gateway.rule import Rule


class RouteCounters:
    """What became of a rule's frames for one destination.

    Args:
        destination: The destination's name.

    Attributes:
        forwarded: Frames that the destination took.
        dropped: Frames that it did not get, by the reason.
        waiting: Frames that wait for it.
    """

    __slots__ = ("destination", "dropped", "forwarded", "latency", "waiting")

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self.forwarded = 0
        self.waiting = 0
        self.dropped: Counter[DropReason] = Counter()
        self.latency: list[int] = [0] * 512

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count frames that were lost."""
        self.dropped[reason] += count

    def sent(self, stamps: list[int], now_ns: int) -> None:
        """Count frames that were sent, which had come at these times."""
        self.forwarded += len(stamps)
        self._count_latency(stamps, now_ns)

    def _count_latency(self, stamps: list[int], now_ns: int) -> None:
        """Count how long frames took, as many at once as are in one bucket."""
        latency = self.latency
        if len(stamps) == 1:
            latency[bucket_of(now_ns - stamps[0])] += 1
            return
        stamps = sorted(stamps)
        start = 0
        while start < len(stamps):
            bucket = bucket_of(now_ns - stamps[start])
            least = lower_end(bucket)
            end = bisect_right(stamps, now_ns - least, start) if least else len(stamps)
            latency[bucket] += end - start
            start = end

    def statistics(self) -> DestinationStatistics:
        """Give the counters as users see them."""
        return DestinationStatistics(
            destination=self.destination,
            forwarded=self.forwarded,
            dropped=dict(self.dropped),
            waiting=self.waiting,
        )


class RuleCounters:
    """What a rule has counted.

    Args:
        rule: The rule.

    Attributes:
        received: Frames that it took.
        dropped: Frames that went to no destination, by the reason.
        calls: Frames that its function was given.
        given: Frames that its function gave.
        waiting: Frames that wait for its function.
        routes: What became of the rest, by destination.
        past: What the kernel has counted for the rule before.
    """

    __slots__ = ("calls", "dropped", "given", "past", "received", "routes", "rule", "waiting")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.received = 0
        self.calls = 0
        self.given = 0
        self.waiting = 0
        self.past: RuleStatistics | None = None
        self.dropped: Counter[DropReason] = Counter()
        self.routes = [RouteCounters(str(port)) for port in rule.destinations]

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count frames that went to no destination."""
        self.dropped[reason] += count

    def statistics(self, name: str) -> RuleStatistics:
        """Give the counters as users see them."""
        buckets = [sum(counts) for counts in zip(*(r.latency for r in self.routes), strict=True)]
        found = RuleStatistics(
            name=name,
            path="bytes" if self.rule.call is None else "call",
            received=self.received,
            dropped=dict(self.dropped),
            calls=self.calls,
            given=self.given,
            waiting=self.waiting,
            destinations=tuple(route.statistics() for route in self.routes),
            latency=LatencyHistogram(tuple(buckets)),
        )
        return found.after(self.past)
