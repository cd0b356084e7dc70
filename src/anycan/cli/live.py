"""The demo's live table of identifiers with their rates; plain lines where there is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Table

from anycan.cli.common import emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan import AnyFrame

_REDRAW: Final = 0.2  # seconds between two pictures
_REPORT: Final = 1.0  # seconds between two lines


@attrs.define
class _Row:
    frame: AnyFrame
    frames: int = 0
    shown: int = 0  # of them, at the last picture
    rate: float = 0.0


class LiveView:
    """Shows traffic while it runs.

    Args:
        total: How many frames there will be.
        describe: Puts a frame into words.
        console: Where to draw; None: standard output.
    """

    def __init__(
        self,
        total: int,
        describe: Callable[[AnyFrame], str],
        console: Console | None = None,
    ) -> None:
        self._total = total
        self._describe = describe
        self._console = console or Console()
        self._rows: dict[tuple[str, str], _Row] = {}
        self._drawn: float | None = None

    def note(self, handler: str, frame: AnyFrame) -> None:
        """Take a frame that a handler has handled."""
        key = (handler, f"{frame}".partition("#")[0])
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(frame)
        row.frame = frame
        row.frames += 1

    async def run(self, replayed: Callable[[], int]) -> None:
        """Draw until cancelled.

        Args:
            replayed: Gives how many frames there have been.
        """
        if not self._console.is_terminal:
            while True:
                await anyio.sleep(_REPORT)
                emit(f"{replayed():,} of {self._total:,} frames replayed\n")
        with Live(self.table(replayed()), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    await anyio.sleep(_REDRAW)
                    live.update(self.table(replayed()), refresh=True)
            finally:
                live.update(self.table(replayed()), refresh=True)

    def table(self, replayed: int) -> Table:
        """Make the picture."""
        now = anyio.current_time()
        elapsed = 0.0 if self._drawn is None else now - self._drawn
        self._drawn = now
        table = Table(title=f"{replayed:,} of {self._total:,} frames replayed")
        for name in ("interface", "handler", "identifier"):
            table.add_column(name)
        for name in ("frames", "frames/s"):
            table.add_column(name, justify="right")
        table.add_column("last", overflow="ellipsis", no_wrap=True)
        for (handler, identifier), row in sorted(
            self._rows.items(), key=lambda item: (item[1].frame.interface or "", item[0])
        ):
            if elapsed:
                row.rate = (row.frames - row.shown) / elapsed
                row.shown = row.frames
            last = self._describe(row.frame) or row.frame.data.hex(" ").upper()
            table.add_row(
                row.frame.interface, handler, identifier, f"{row.frames:,}", f"{row.rate:.0f}", last
            )
        return table
