"""What a gateway tells other processes: plain values, and what comes of those of others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anycan.gateway.loops import Edge
from anycan.gateway.reasons import DropReason
from anycan.gateway.report import edges_report, read_edges, statistics_report
from anycan.gateway.statistics import (
    DestinationStatistics,
    GatewayStatistics,
    LatencyHistogram,
    PortStatistics,
    RuleStatistics,
)

FULL, LENGTH = DropReason.QUEUE_FULL, DropReason.LENGTH


def test_statistics_as_plain_values() -> None:
    rule = RuleStatistics(
        name="one",
        path="call",
        received=9,
        dropped={LENGTH: 1, FULL: 0},
        waiting=2,
        destinations=(
            DestinationStatistics(
                destination="b", forwarded=5, dropped={FULL: 2, LENGTH: 1}, waiting=3
            ),
            DestinationStatistics(destination="c", forwarded=8, dropped={}, waiting=0),
        ),
        latency=LatencyHistogram((1, 0, 1)),
    )
    port = PortStatistics(
        interface="a", state="up", received=9, not_taken=1, overflowed=2, malformed=3, gaps=4
    )
    found = statistics_report(GatewayStatistics(rules=(rule,), ports=(port,)), {"one": "since"})
    assert json.loads(json.dumps(found)) == {
        "rules": [
            {
                "name": "one",
                "path": "call",
                "reason": "since",
                "received": 9,
                "forwarded": 13,
                "dropped": {"length": 2, "queue full": 2},
                "waiting": 5,
                "latency": {"count": 2, "median": 1.024e-06, "p99": 3.072e-06},
                "destinations": [
                    {
                        "destination": "b",
                        "forwarded": 5,
                        "dropped": {"queue full": 2, "length": 1},
                        "waiting": 3,
                    },
                    {"destination": "c", "forwarded": 8, "dropped": {}, "waiting": 0},
                ],
            }
        ],
        "ports": [
            {
                "interface": "a",
                "state": "up",
                "received": 9,
                "not_taken": 1,
                "overflowed": 2,
                "malformed": 3,
                "gaps": 4,
            }
        ],
    }


def edge(source: str, destination: str, **options: Any) -> Edge:
    return Edge(("kernel", source), ("kernel", destination), "me", "rule", **options)


def test_edges_there_and_back() -> None:
    edges = [
        edge("a", "b", cubes=None),
        edge("b", "c", cubes=((0x123, 0x7FF), (0, 0)), change=None, visible=False),
        edge("c", "d", cubes=(), change=(0x7FF, 5)),
    ]
    told = json.loads(json.dumps(edges_report(edges)))
    assert read_edges(told, "me", "rule") == edges


def test_what_is_on_other_networks_is_not_told() -> None:
    elsewhere = ("user, 7f", "a")
    edges = [
        Edge(elsewhere, ("user, 7f", "b"), "me", "rule", None),
        Edge(("kernel", "a"), elsewhere, "me", "rule", None),
        Edge(elsewhere, ("kernel", "a"), "me", "rule", None),
    ]
    assert edges_report(edges) == []


GOOD = {
    "source": "a",
    "destination": "b",
    "cubes": [[1, 2]],
    "change": [0xFFFFFFFF, 0],
    "visible": True,
}


@pytest.mark.parametrize("told", [None, {}, "edges", 5])
def test_edges_that_are_no_list(told: object) -> None:
    with pytest.raises(ValueError, match="its edges are no list"):
        read_edges(told, "me", "rule")


@pytest.mark.parametrize(
    "told",
    [
        5,
        None,
        "edge",
        [],
        {},
        *({name: value for name, value in GOOD.items() if name != left_out} for left_out in GOOD),
        *(GOOD | {"cubes": cubes} for cubes in (5, "x", [5], [[1]], [[1, 2, 3]], [["x", 1]])),
        *(GOOD | {"change": change} for change in (5, "x", [5], ["x", 1], [None, 1])),
        GOOD | {"cubes": [[None, 1]]},
        GOOD | {"cubes": [[float("inf"), 1]]},
    ],
)
def test_edges_that_are_none(told: object) -> None:
    with pytest.raises(ValueError, match="is no way of frames"):
        read_edges([GOOD, told], "me", "rule")
