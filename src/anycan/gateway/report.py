"""What a gateway tells other processes of itself, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from anycan.gateway.loops import Edge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anycan.gateway.statistics import GatewayStatistics, RuleStatistics

_LONGEST_NAME: Final = 15  # linux/if.h: IFNAMSIZ


def statistics_report(statistics: GatewayStatistics, reasons: Mapping[str, str]) -> dict[str, Any]:
    """Give a gateway's statistics as plain values.

    Args:
        statistics: The statistics.
        reasons: By rule, why its path is what it is.
    """
    return {
        "rules": [_rule(one, reasons.get(one.name, "")) for one in statistics.rules],
        "ports": [
            {
                "interface": port.interface,
                "state": port.state,
                "received": port.received,
                "not_taken": port.not_taken,
                "overflowed": port.overflowed,
                "malformed": port.malformed,
                "gaps": port.gaps,
            }
            for port in statistics.ports
        ],
    }


def _rule(one: RuleStatistics, reason: str) -> dict[str, Any]:
    dropped = dict(one.dropped)
    for destination in one.destinations:
        for why, count in destination.dropped.items():
            dropped[why] = dropped.get(why, 0) + count
    return {
        "name": one.name,
        "path": one.path,
        "reason": reason,
        "received": one.received,
        "forwarded": one.forwarded,
        "dropped": _by_value(dropped),
        "waiting": one.waiting + sum(destination.waiting for destination in one.destinations),
        "latency": {
            "count": one.latency.count,
            "median": one.latency.median,
            "p99": one.latency.quantile(0.99),
        },
        "destinations": [
            {
                "destination": destination.destination,
                "forwarded": destination.forwarded,
                "dropped": _by_value(destination.dropped),
                "waiting": destination.waiting,
            }
            for destination in one.destinations
        ],
    }


def _by_value(dropped: Mapping[Any, int]) -> dict[str, int]:
    return {str(reason): count for reason, count in dropped.items() if count}


def edges_report(edges: Iterable[Edge]) -> list[dict[str, Any]]:
    """Give the ways of frames on the kernel's network as plain values."""
    return [
        {
            "source": edge.source[1],
            "destination": edge.destination[1],
            "cubes": None if edge.cubes is None else [list(cube) for cube in edge.cubes],
            "change": None if edge.change is None else list(edge.change),
            "visible": edge.visible,
        }
        for edge in edges
        if edge.source[0] == edge.destination[0] == "kernel"
    ]


def read_edges(report: object, carrier: str, label: str) -> list[Edge]:
    """Give the ways of frames that another process told of.

    Raises:
        ValueError: It is not what :func:`edges_report` gives.
    """
    if not isinstance(report, list):
        raise ValueError("its edges are no list")  # noqa: TRY004 - of the value that another process gave
    edges = []
    for one in report:
        try:
            cubes, change = one["cubes"], one["change"]
            edges.append(
                Edge(
                    ("kernel", _interface(one["source"])),
                    ("kernel", _interface(one["destination"])),
                    carrier,
                    label,
                    None if cubes is None else tuple((int(v), int(m)) for v, m in cubes),
                    change=None if change is None else (int(change[0]), int(change[1])),
                    visible=bool(one["visible"]),
                )
            )
        except (TypeError, LookupError, ValueError, OverflowError) as error:
            raise ValueError(f"{one!r} is no way of frames") from error
    return edges


def _interface(name: object) -> str:
    """Give the name of an interface, which is for people to read."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"{name!r} is no interface")
    return name
