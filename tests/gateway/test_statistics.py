"""What a gateway tells of itself: histograms, and sums that add up."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.gateway.reasons import DropReason
from anycan.gateway.statistics import (
    DestinationStatistics,
    GatewayStatistics,
    LatencyHistogram,
    RuleStatistics,
    _upper_end,
    bucket_of,
)

FULL, LENGTH = DropReason.QUEUE_FULL, DropReason.LENGTH


@pytest.mark.parametrize(
    ("nanoseconds", "bucket"),
    [
        *((-(1 << 40), 0), (-1, 0), (0, 0), (1023, 0), (1024, 1), (8191, 7), (8192, 8)),
        *((16383, 15), (16384, 16), (18431, 16), (18432, 17), (32768, 24), (1 << 80, 511)),
    ],
)
def test_buckets(nanoseconds: int, bucket: int) -> None:
    assert bucket_of(nanoseconds) == bucket


@given(st.integers(0, 1 << 62))
def test_a_time_is_told_to_within_an_eighth(nanoseconds: int) -> None:
    bucket = bucket_of(nanoseconds)
    lower = _upper_end(bucket - 1) * 1e9 if bucket else 0.0
    upper = _upper_end(bucket) * 1e9
    assert lower <= nanoseconds * (1 + 1e-9)
    assert nanoseconds * (1 - 1e-9) < upper
    assert upper - lower <= max(1025.0, upper / 8)


def histogram(*nanoseconds: int) -> LatencyHistogram:
    counts = [0] * 512
    for one in nanoseconds:
        counts[bucket_of(one)] += 1
    return LatencyHistogram(tuple(counts))


def test_quantiles() -> None:
    found = histogram(*[0] * 98, 2048, 5000)
    assert found.count == 100
    assert found.median == found.quantile(0.0) == found.quantile(0.98) == pytest.approx(1.024e-6)
    assert found.quantile(0.99) == pytest.approx(3.072e-6)
    assert found.quantile(1.0) == pytest.approx(5.12e-6)


@pytest.mark.parametrize("counts", [(), (0, 0)])
def test_of_no_frames(counts: tuple[int, ...]) -> None:
    found = LatencyHistogram(counts)
    assert (found.count, found.median, found.quantile(0.99)) == (0, None, None)


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_what_is_no_share(share: float) -> None:
    with pytest.raises(ValueError, match="a share is 0 to 1"):
        histogram(1).quantile(share)


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_a_time_that_so_many_did_not_exceed(times: list[int], share: float) -> None:
    found = histogram(*times).quantile(share)
    assert found is not None
    assert sum(one / 1e9 < found * (1 + 1e-9) for one in times) >= share * len(times) * (1 - 1e-9)


def destination(name: str, forwarded: int, dropped: dict[DropReason, int]) -> DestinationStatistics:
    return DestinationStatistics(destination=name, forwarded=forwarded, dropped=dropped, waiting=0)


def test_sums() -> None:
    rule = RuleStatistics(
        name="one",
        path="bytes",
        received=9,
        dropped={LENGTH: 1},
        destinations=(destination("b", 5, {FULL: 2, LENGTH: 1}), destination("c", 8, {})),
        latency=LatencyHistogram(()),
    )
    assert (rule.forwarded, rule.lost) == (13, 4)
    unchanged = attrs.evolve(rule, dropped={DropReason.UNCHANGED: 7, LENGTH: 1})
    assert unchanged.lost == 4  # the rule asks for that
    found = GatewayStatistics(rules=(rule,), ports=())
    assert found.rule("one") is rule
    with pytest.raises(KeyError, match="two"):
        found.rule("two")
