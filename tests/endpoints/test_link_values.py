"""What to do when a link is lost, and what is told of it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import attrs
import pytest

from anycan import LinkCondition, LinkGap, LinkWait
from anycan.endpoints.link_values import resolve_policy, worse


def test_to_wait_is_not_to_restart() -> None:
    assert LinkWait() == LinkWait(restart=None, healthy=10.0)


@pytest.mark.parametrize("restart", [(0.1, 30.0), (1, 1)])
def test_times(restart: tuple[float, float]) -> None:
    assert LinkWait(restart=restart, healthy=0.5).restart == restart


@pytest.mark.parametrize(
    "times",
    [
        {"restart": (0, 1)},
        {"restart": (-1, 1)},
        {"restart": (1, math.inf)},
        {"restart": (math.nan, 1)},
        {"healthy": 0},
        {"healthy": math.inf},
    ],
)
def test_what_is_no_time(times: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="times are seconds above 0"):
        LinkWait(**times)


def test_delays_in_the_wrong_order() -> None:
    with pytest.raises(ValueError, match="restart= is the first delay and the greatest"):
        LinkWait(restart=(2, 1))


def test_a_gap_lasts_until_it_has_ended() -> None:
    gap = LinkGap(interface="can0", condition=LinkCondition.DOWN, began_ns=1_000)
    assert gap.seconds is None
    assert attrs.evolve(gap, ended_ns=1_500_001_000).seconds == 1.5


def test_of_two_conditions_the_worse() -> None:
    order = [
        LinkCondition.UP,
        LinkCondition.NO_CARRIER,
        LinkCondition.DOWN,
        LinkCondition.BUS_OFF,
        LinkCondition.REMOVED,
    ]
    assert set(order) == set(LinkCondition)
    for better, bad in itertools.combinations_with_replacement(order, 2):
        assert worse(better, bad) is worse(bad, better) is bad


def test_policies() -> None:
    policy = LinkWait(restart=(1, 2))
    assert resolve_policy("raise", None) is None
    assert resolve_policy("wait", None) == LinkWait()
    assert resolve_policy("wait", print) == LinkWait()
    assert resolve_policy(policy, print) is policy


def test_gaps_that_would_never_be_told() -> None:
    with pytest.raises(ValueError, match="on_link_loss='wait'"):
        resolve_policy("raise", print)


@pytest.mark.parametrize("policy", ["go on", None, True, (1, 2)])
def test_what_is_no_policy(policy: Any) -> None:
    with pytest.raises(ValueError, match="'raise', 'wait' or a LinkWait") as told:
        resolve_policy(policy, None)
    assert repr(policy) in str(told.value)
