"""What ``anycan network status`` draws: interfaces with their rates, and clients with sockets."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from anycan.cli.common import counted
from anycan.cli.interfaces_text import condition_words, device_words, shown
from anycan.cli.network_look import user_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan import ClientStatus, Interface, SocketStatus
    from anycan.cli.network_look import Look

_UNKNOWN: Final = "-"
_WIDE: Final = 110  # columns of a terminal that has room for everything
_ANY: Final = "any"
_KINDS: Final = {"links": "watching interfaces"}


class NetworkTable:
    """Makes pictures of a served network.

    Args:
        look: What is known of it.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        self._before: Look | None = None

    def update(self, look: Look) -> None:
        """Take the next look: from now on there are rates, those since the one before."""
        self._before = self._look if look.status.process == self._look.status.process else None
        self._look = look

    def picture(self, width: int) -> RenderableType:
        """Draw it.

        Args:
            width: How many columns the terminal has.
        """
        status = self._look.status
        running = timedelta(seconds=int(status.seconds))
        title = f"{shown(status.path)}, process {status.process}, serving for {running}"
        if status.refused:
            title += f", {counted(status.refused, 'client')} turned away"
        wide = width >= _WIDE
        return Group(self._interfaces(title, wide), self._clients(wide))

    # Interfaces

    def _interfaces(self, title: str, wide: bool) -> Table:
        names = ["received\n/s", "sent\n/s"]
        names += ["received", "sent"] if wide else []
        names += ["dropped\nrx/tx"]
        columns = [
            Column("interface", overflow="fold"),
            *([Column("kind")] if wide else []),
            Column("state"),
            Column("MTU", justify="right"),
            *(Column(name, justify="right") for name in names),
        ]
        table = Table(*columns, title=Text(title), box=SIMPLE_HEAD)
        before = {} if self._before is None else {one.index: one for one in self._before.interfaces}
        for one in self._look.interfaces:
            cells = _interface(one) | self._rates(one, before.get(one.index))
            table.add_row(*(cells.get(str(column.header), Text()) for column in columns))
        return table

    def _rates(self, one: Interface, before: Interface | None) -> dict[str, Text]:
        now, then = one.statistics, before and before.statistics
        if now is None or not then:
            return {name: Text(_UNKNOWN) for name in ("received\n/s", "sent\n/s")}
        return {
            "received\n/s": self._rate(now.rx_packets - then.rx_packets),
            "sent\n/s": self._rate(now.tx_packets - then.tx_packets),
        }

    def _rate(self, count: int | None) -> Text:
        """Give how many there have been a second, since the look before."""
        before = self._before
        seconds = 0.0 if before is None else self._look.status.seconds - before.status.seconds
        if count is None or seconds <= 0:
            return Text(_UNKNOWN)
        return Text(f"{count / seconds:,.0f}")

    # Clients

    def _clients(self, wide: bool) -> Table:
        columns = [
            Column("client", overflow="ellipsis", no_wrap=True),
            Column("user"),
            Column("may"),
            Column("requests\n/s", justify="right"),
            *([Column("requests", justify="right")] if wide else []),
            Column("sockets", justify="right"),
            Column("queued", justify="right"),
            Column("dropped", justify="right"),
            Column("operations", justify="right"),
        ]
        table = Table(*columns, box=SIMPLE_HEAD)
        before = (
            {}
            if self._before is None
            else {one.number: one.requests for one in self._before.status.clients}
        )
        for client in self._look.status.clients:
            then = before.get(client.number)
            rate = self._rate(None if then is None else client.requests - then)
            rows = [self._client(client, rate), *_sockets(client)]
            for cells in rows:
                table.add_row(*(cells.get(str(column.header), Text()) for column in columns))
        if self._look.status.clients_left_out:
            table.add_row(Text(f"and {counted(self._look.status.clients_left_out, 'client')} more"))
        return table

    def _client(self, client: ClientStatus, rate: Text) -> dict[str, Text]:
        command = shown(self._look.commands.get(client.process or 0, ""))
        name = f"{client.process or _UNKNOWN} {command}".rstrip()
        return {
            "client": Text(name, style="bold"),
            "user": Text(shown(user_name(client.user)) or _UNKNOWN),
            "may": Text("send") if client.writable else Text("listen", style="yellow"),
            "requests\n/s": rate,
            "requests": Text(f"{client.requests:,}"),
        }


def _interface(one: Interface) -> dict[str, Text]:
    words = [Text(word, style=style) for word, style in condition_words(one)]
    cells = {
        "interface": Text(shown(one.name), style="bold"),
        "kind": Text(device_words(one)),
        "state": Text(" ").join(words),
        "MTU": Text(f"{one.mtu}"),
    }
    counts = one.statistics
    if counts is not None:
        cells["received"] = Text(f"{counts.rx_packets:,}")
        cells["sent"] = Text(f"{counts.tx_packets:,}")
        cells["dropped\nrx/tx"] = Text(f"{counts.rx_dropped:,}/{counts.tx_dropped:,}")
    return cells


@attrs.define
class _Sum:
    """What sockets of one kind on one interface have together."""

    sockets: int = 0
    queued: int = 0
    drops: int = 0
    operations: int = 0

    def add(self, one: SocketStatus) -> None:
        self.sockets += 1
        self.queued += one.queued
        self.drops += one.drops
        self.operations += one.operations


def _sockets(client: ClientStatus) -> Sequence[dict[str, Text]]:
    """Give a row for the sockets of each kind on each interface."""
    sums: dict[tuple[str, str | None], _Sum] = defaultdict(_Sum)
    for one in client.sockets:
        sums[one.kind, one.interface].add(one)
    rows = []
    for (kind, interface), total in sums.items():
        row = {
            "client": Text(f"  {_KINDS.get(kind) or shown(f'{kind} on {interface or _ANY}')}"),
            "sockets": Text(f"{total.sockets:,}"),
        }
        if kind not in _KINDS:
            row["queued"] = Text(f"{total.queued:,}")
            row["dropped"] = Text(f"{total.drops:,}", style="red" if total.drops else "")
        if kind == "bcm":
            row["operations"] = Text(f"{total.operations:,}")
        rows.append(row)
    if client.sockets_left_out:
        rows.append({"client": Text("  and more"), "sockets": Text(f"{client.sockets_left_out:,}")})
    return rows
