"""``anycan gateway show``: what a running gateway forwards and drops."""

from __future__ import annotations

import json
from typing import Annotated, Final

import anyio
from cyclopts import Parameter
from rich.console import Console
from rich.live import Live

from anycan import CanError, list_gateways
from anycan.cli.common import POSITIVE, UsageError, emit
from anycan.cli.gateway_report import read_report
from anycan.cli.gateway_table import GatewayTable

_PIPED: Final = 160  # columns, where there is no terminal


async def show(
    name: str | None = None,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    once: bool = False,
    interval: Annotated[float, Parameter(validator=POSITIVE)] = 1.0,
) -> int:
    """Show what a gateway that runs on this machine forwards and drops, until Ctrl-C.

    Args:
        name: Which one; it may be left out where one runs alone.
        as_json: Print its counters, each time as an object of JSON in a line.
        once: Show them once, without rates, and end.
        interval: Seconds between two looks, over which rates are taken.
    """
    name = name or await _the_only_one()
    if as_json:
        await _print_lines(name, once=once, interval=interval)
    else:
        await _draw(name, Console(), once=once, interval=interval)
    return 0


async def _the_only_one() -> str:
    names = await list_gateways()
    if not names:
        raise CanError("no gateway runs here (in this network namespace): see 'anycan gateway run'")
    if len(names) > 1:
        raise UsageError(f"several gateways run here: name one of {', '.join(sorted(names))}")
    return names[0]


async def _print_lines(name: str, *, once: bool, interval: float) -> None:
    while True:
        report = await read_report(name)
        report.pop("edges", None)  # is for other gateways
        emit(f"{json.dumps(report)}\n")
        if once:
            return
        await anyio.sleep(interval)


async def _draw(name: str, console: Console, *, once: bool, interval: float) -> None:
    table = GatewayTable(await read_report(name))
    if not console.is_terminal:
        console.width = max(console.width, _PIPED)
    if once or not console.is_terminal:
        console.print(table.picture(console.width))
        while not once:
            await anyio.sleep(interval)
            table.update(await read_report(name))
            console.print(table.picture(console.width))
        return
    with Live(table.picture(console.width), console=console, auto_refresh=False) as live:
        while True:
            await anyio.sleep(interval)
            table.update(await read_report(name))
            live.update(table.picture(console.width), refresh=True)
