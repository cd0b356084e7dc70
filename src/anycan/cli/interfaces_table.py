"""What ``anycan interfaces list`` draws: a row for each interface, in the room that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from anycan.cli.interfaces_text import (
    NOTHING,
    address_words,
    condition_words,
    device_words,
    mode_names,
    peer_words,
    restart_words,
    shown,
    takes_words,
    timing_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from anycan import Interface

_ANY_WIDTH: Final = 10_000  # columns


@attrs.frozen
class _Kind:
    """A column of the table.

    Attributes:
        title: What stands above it.
        cell: Gives the lines of an interface, of text or of text and its style; none: it has no
            such thing.
        rank: It is left out before columns of a lower rank, where there is no room; 0: never.
        numbers: It is of numbers, which stand at the right.
    """

    title: str
    cell: Callable[[Interface], Sequence[str | tuple[str, str]]]
    rank: int = 0
    numbers: bool = False


def fitting_table(console: Console, interfaces: Sequence[Interface]) -> Table:
    """Draw the interfaces, with as many columns as there is room for.

    Columns in which no interface has anything are left out first, then the less important ones.

    Args:
        console: What it is for. If it is no terminal, there is room for everything.
        interfaces: They.
    """
    rows = {kind: [kind.cell(one) for one in interfaces] for kind in _kinds(interfaces)}
    used = {kind: cells for kind, cells in rows.items() if any(cells) or not kind.rank}
    table = _draw(used)
    while _width(console, table) > console.width and console.is_terminal:
        least = max(used, key=lambda kind: kind.rank)
        if not least.rank:
            break
        del used[least]
        table = _draw(used)
    return table


def whole_width(console: Console, table: Table) -> int:
    """Give how many columns of text a table has, where nothing in it is folded."""
    return _width(console, table)


def _width(console: Console, table: Table) -> int:
    options = console.options.update(width=_ANY_WIDTH)
    return console.measure(table, options=options).maximum


def _draw(cells: Mapping[_Kind, Sequence[Sequence[str | tuple[str, str]]]]) -> Table:
    columns = [
        Column(kind.title, justify="right" if kind.numbers else "left", overflow="fold")
        for kind in cells
    ]
    table = Table(*columns, box=SIMPLE_HEAD)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*map(_cell, row))
    return table


def _cell(lines: Sequence[str | tuple[str, str]]) -> Text:
    parts = [line if isinstance(line, tuple) else (line, "") for line in lines or (NOTHING,)]
    return Text("\n").join(Text(text, style=style) for text, style in parts)


def _kinds(interfaces: Sequence[Interface]) -> list[_Kind]:
    names = {interface.index: interface.name for interface in interfaces}
    return [
        _Kind("name", lambda one: [(shown(one.name), "bold")]),
        _Kind("device", lambda one: _device(one, names), 4),
        _Kind("state", lambda one: list(condition_words(one))),
        _Kind("takes", lambda one: [takes_words(one), f"MTU {one.mtu}"], 5),
        _Kind("bit rate", _bitrates, 1),
        _Kind("modes", lambda one: mode_names(one.modes), 8),
        _Kind("restart", _restart, 10),
        _Kind("TEC/REC", _counters, 6, numbers=True),
        _Kind("queue", _queue, 11, numbers=True),
        _Kind("received", lambda one: _traffic(one, "rx"), 2, numbers=True),
        _Kind("sent", lambda one: _traffic(one, "tx"), 3, numbers=True),
        _Kind("dropped\nrx/tx", lambda one: _pair(one, "dropped"), 7, numbers=True),
        _Kind("errors\nrx/tx", lambda one: _pair(one, "errors"), 9, numbers=True),
    ]


def _device(interface: Interface, names: dict[int, str]) -> list[str]:
    peer = peer_words(interface, names)
    where = f"to {peer}" if peer else address_words(interface)
    return [device_words(interface), where] if where else [device_words(interface)]


def _bitrates(interface: Interface) -> list[str]:
    if interface.bit_timing is None:
        return ["not set"] if interface.kind == "can" else []
    lines = [timing_words(interface.bit_timing)]
    if interface.data_bit_timing is not None:
        lines.append(f"data {timing_words(interface.data_bit_timing)}")
    return lines


def _restart(interface: Interface) -> list[str]:
    return [] if interface.restart is None else [restart_words(interface.restart)]


def _counters(interface: Interface) -> list[str]:
    counters = interface.error_counters
    return [] if counters is None else [f"{counters.transmit}/{counters.receive}"]


def _queue(interface: Interface) -> list[str]:
    return [] if interface.queue_length is None else [f"{interface.queue_length}"]


def _traffic(interface: Interface, direction: str) -> list[str]:
    counts = interface.statistics
    if counts is None:
        return []
    frames, size = (getattr(counts, f"{direction}_{unit}") for unit in ("packets", "bytes"))
    return [f"{frames:,}", f"{size:,} B"]


def _pair(interface: Interface, what: str) -> list[str]:
    counts = interface.statistics
    if counts is None:
        return []
    return ["/".join(f"{getattr(counts, f'{direction}_{what}'):,}" for direction in ("rx", "tx"))]
