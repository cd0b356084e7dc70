"""Counters, and what users see of them."""

from __future__ import annotations

from anycan import Rule
from anycan.gateway.counters import RouteCounters, RuleCounters
from anycan.gateway.reasons import DropReason

FULL, ENDED = DropReason.QUEUE_FULL, DropReason.RULE_ENDED


def test_of_a_destination() -> None:
    counters = RouteCounters("b")
    counters.sent([0, 1000, 9000], 9000)
    counters.drop(FULL)
    counters.drop(FULL, 2)
    counters.drop(ENDED, 0)
    counters.waiting = 4
    found = counters.statistics()
    assert (found.destination, found.forwarded, found.waiting) == ("b", 3, 4)
    assert {reason: count for reason, count in found.dropped.items() if count} == {FULL: 3}
    assert [(place, count) for place, count in enumerate(counters.latency) if count] == [
        (0, 1),
        (7, 1),
        (8, 1),
    ]


def test_of_a_rule() -> None:
    counters = RuleCounters(Rule(source="a", destination=["b", "c"]))
    counters.received = 5
    counters.drop(FULL)
    for route in counters.routes:
        route.sent([0], 2048)
    found = counters.statistics("other")
    assert (found.name, found.path, found.received) == ("other", "bytes", 5)
    assert [one.destination for one in found.destinations] == ["b", "c"]
    assert found.dropped == {FULL: 1}
    assert (found.latency.count, found.latency.counts[2]) == (2, 2)
    assert (found.calls, found.given, found.waiting) == (0, 0, 0)


def test_of_a_rule_with_a_function() -> None:
    counters = RuleCounters(Rule(source="a", destination="b", call=print))
    counters.calls, counters.given, counters.waiting = 3, 2, 1
    found = counters.statistics("one")
    assert (found.path, found.calls, found.given, found.waiting) == ("call", 3, 2, 1)


def test_what_was_told_stays_as_it_was() -> None:
    counters = RuleCounters(Rule(source="a", destination="b"))
    found = counters.statistics("one")
    counters.drop(FULL)
    counters.routes[0].drop(FULL)
    counters.routes[0].sent([0], 0)
    assert (found.dropped, found.destinations[0].dropped, found.latency.count) == ({}, {}, 0)
