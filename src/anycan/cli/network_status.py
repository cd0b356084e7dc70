"""``anycan network status``: a served network, its interfaces and its clients."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import anyio
from cyclopts import Parameter
from rich.console import Console
from rich.live import Live

from anycan import connect_network
from anycan.cli.common import POSITIVE, emit
from anycan.cli.network_look import look_at
from anycan.cli.network_place import served_path
from anycan.cli.network_table import NetworkTable

if TYPE_CHECKING:
    from anycan import ServedNetwork

_PIPED: Final = 160  # columns, where there is no terminal


async def status(
    *,
    path: Path | None = None,
    watch: bool = False,
    interval: Annotated[float, Parameter(validator=POSITIVE)] = 1.0,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Show a network that is served: its interfaces, its clients and their sockets, with rates.

    It needs no more rights than to connect, and is a client itself.

    Args:
        path: Where it is served. Without it, what ANYCAN_NETWORK names, or the path that `anycan
            network serve` serves at by default.
        watch: Go on until Ctrl-C.
        interval: Seconds between two looks, over which rates are taken.
        as_json: Print the counters, without rates, as an object of JSON in a line: at once, and
            with --watch each time.
    """
    async with await connect_network(served_path(path)) as network:
        if as_json:
            await _print_lines(network, watch=watch, interval=interval)
        else:
            await _draw(network, Console(highlight=False), watch=watch, interval=interval)
    return 0


async def _print_lines(network: ServedNetwork, *, watch: bool, interval: float) -> None:
    while True:
        look = await look_at(network)
        emit(f"{json.dumps(look.as_object())}\n")
        if not watch:
            return
        await anyio.sleep(interval)


async def _draw(network: ServedNetwork, console: Console, *, watch: bool, interval: float) -> None:
    table = NetworkTable(await look_at(network))
    if not console.is_terminal:
        console.width = max(console.width, _PIPED)
    if not watch or not console.is_terminal:
        while True:
            await anyio.sleep(interval)
            table.update(await look_at(network))
            console.print(table.picture(console.width))
            if not watch:
                return
    with Live(table.picture(console.width), console=console, auto_refresh=False) as live:
        while True:
            await anyio.sleep(interval)
            table.update(await look_at(network))
            live.update(table.picture(console.width), refresh=True)
