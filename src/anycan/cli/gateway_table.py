"""What ``anycan gateway show`` draws: a gateway's rules with their rates, and its interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from anycan.cli.gateway_report import printable

Report: TypeAlias = Mapping[str, Any]

_COUNTED: Final = ("received", "forwarded", "dropped")
_UNKNOWN: Final = "-"
_MEDIUM: Final = 105  # columns of a terminal that has room for more than the least
_WIDE: Final = 125  # of one that has room for everything


@attrs.frozen
class _Counts:
    """A rule's counters at some time.

    Attributes:
        seconds: The time, since the gateway started.
        frames: By name, how many.
    """

    seconds: float
    frames: Mapping[str, int]

    @classmethod
    def of(cls, seconds: float, rule: Report) -> _Counts:
        frames = {"received": rule["received"], "forwarded": rule["forwarded"]}
        return cls(seconds, {**frames, "dropped": sum(rule["dropped"].values())})

    def rates_since(self, before: _Counts | None) -> dict[str, str]:
        """Give how many frames a second there have been since, by name."""
        seconds = 0.0 if before is None else self.seconds - before.seconds
        if before is None or seconds <= 0:
            return dict.fromkeys(_COUNTED, _UNKNOWN)
        counts = {name: self.frames[name] - before.frames[name] for name in _COUNTED}
        if min(counts.values()) < 0:  # another rule has this name now
            return dict.fromkeys(_COUNTED, _UNKNOWN)
        return {name: f"{count / seconds:,.0f}" for name, count in counts.items()}


class GatewayTable:
    """Makes pictures of a gateway.

    Args:
        report: What it tells of itself, as
            :func:`~anycan.cli.gateway_report.read_report` gives it.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._counts = _counts_of(report)
        self._before: Mapping[str, _Counts] | None = None

    def update(self, report: Report) -> None:
        """Take the next report: from now on there are rates, those since the one before."""
        is_same = report["process"] == self._report["process"]
        self._before = self._counts if is_same else {}
        self._report = report
        self._counts = _counts_of(report)

    def picture(self, width: int) -> RenderableType:
        """Draw it.

        Args:
            width: How many columns the terminal has.
        """
        report = self._report
        running = timedelta(seconds=int(report["seconds"]))
        title = f"gateway {report['gateway']}, process {report['process']}, running {running}"
        parts: list[RenderableType] = [self._rules(_shown(title), width)]
        if report["ports"]:
            parts.append(_ports(report["ports"]))
        return Group(*parts)

    def _rules(self, title: Text, width: int) -> Table:
        names = list(_COUNTED)
        if self._before is not None:
            rates = [f"{name}\n/s" for name in _COUNTED]
            names = [*rates, *names] if width >= _WIDE else [*rates, "dropped"]
        names += ["waiting", "median", "99 %"] if width >= _MEDIUM else ["99 %"]
        columns = [Column("rule", overflow="fold")]
        if width >= _MEDIUM:
            columns.append(Column("path"))
        columns += (Column(name, justify="right", no_wrap=True) for name in names)
        table = Table(*columns, title=title, box=SIMPLE_HEAD)
        for rule in self._report["rules"]:
            rows = [self._rule(rule), *_dropped(rule["dropped"])]
            if len(rule["destinations"]) > 1:  # else they are the same
                for one in rule["destinations"]:
                    rows += (_destination(one), *_dropped(one["dropped"], "    "))
            for cells in rows:
                table.add_row(*(_shown(cells.get(str(column.header), "")) for column in columns))
        return table

    def _rule(self, rule: Report) -> dict[str, str]:
        counts = self._counts[rule["name"]]
        rates = counts.rates_since((self._before or {}).get(rule["name"]))
        return {
            "rule": rule["name"],
            "path": rule["path"],
            **{f"{name}\n/s": rate for name, rate in rates.items()},
            **{name: f"{count:,}" for name, count in counts.frames.items()},
            "waiting": f"{rule['waiting']:,}",
            "median": _duration(rule["latency"]["median"]),
            "99 %": _duration(rule["latency"]["p99"]),
        }


def _counts_of(report: Report) -> dict[str, _Counts]:
    return {rule["name"]: _Counts.of(report["seconds"], rule) for rule in report["rules"]}


def _destination(one: Report) -> dict[str, str]:
    return {
        "rule": f"  to {one['destination']}",
        "forwarded": f"{one['forwarded']:,}",
        "dropped": f"{sum(one['dropped'].values()):,}",
        "waiting": f"{one['waiting']:,}",
    }


def _dropped(dropped: Mapping[str, int], indent: str = "  ") -> list[dict[str, str]]:
    """Give a row for each reason."""
    return [
        {"rule": f"{indent}{reason}", "dropped": f"{count:,}"} for reason, count in dropped.items()
    ]


def _ports(ports: list[Report]) -> Table:
    numbers = ("received", "not_taken", "overflowed", "malformed", "gaps")
    names = [Column(name.replace("_", " "), justify="right") for name in numbers]
    table = Table(Column("interface"), Column("state"), *names, box=SIMPLE_HEAD)
    for port in ports:
        state = _shown(port["state"], style="" if port["state"] == "up" else "bold red")
        table.add_row(_shown(port["interface"]), state, *(f"{port[name]:,}" for name in numbers))
    return table


def _shown(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"
