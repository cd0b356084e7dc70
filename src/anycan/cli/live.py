"""The demo's live table of identifiers with their rates; plain lines where there is no terminal."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from anycan.cli.common import counted, emit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anycan import AnyFrame

_Key: TypeAlias = tuple[str, str]  # handler and identifier

_REDRAW: Final = 0.2  # seconds between two pictures
_REPORT: Final = 1.0  # seconds between two lines
_WINDOW: Final = 1.5  # seconds that a rate is taken over: less, and it jumps
_NARROW: Final = 60  # columns of a terminal that has room for the least alone
_WIDE: Final = 80  # of one that has room for the last frame


@attrs.define
class _Row:
    frame: AnyFrame
    frames: int = 0


@attrs.frozen
class _Picture:
    time: float
    frames: Mapping[_Key, int]  # of each row, so far


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
        self._rows: dict[_Key, _Row] = {}
        self._pictures: deque[_Picture] = deque()
        self._start: float | None = None

    def note(self, handler: str, frame: AnyFrame) -> None:
        """Take a frame that a handler has handled."""
        key = (handler, f"{frame}".partition("#")[0])
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(frame)
        row.frame = frame
        row.frames += 1

    async def run(self, replayed: Callable[[], int]) -> None:
        """Draw until cancelled; then once more, with the rates over all of the time.

        Args:
            replayed: Gives how many frames there have been.
        """
        if not self._console.is_terminal:
            while True:
                await anyio.sleep(_REPORT)
                emit(f"{self._title(replayed())}\n")
        with Live(self.table(replayed()), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    await anyio.sleep(_REDRAW)
                    live.update(self.table(replayed()), refresh=True)
            finally:
                live.update(self.table(replayed(), final=True), refresh=True)

    def _title(self, replayed: int) -> str:
        return f"{replayed:,} of {counted(self._total, 'frame')} replayed"

    def table(self, replayed: int, *, final: bool = False) -> Table:
        """Make the picture.

        Args:
            replayed: How many frames there have been.
            final: It is the last: show rates over all of the time.
        """
        now = anyio.current_time()
        since = self._since(now, final=final)
        elapsed = now - since.time
        columns = self._columns("average/s" if final else "frames/s")
        table = Table(*columns.values(), title=self._title(replayed))
        for key, row in sorted(
            self._rows.items(), key=lambda item: (item[1].frame.interface or "", item[0])
        ):
            rate = (row.frames - since.frames.get(key, 0)) / elapsed if elapsed else 0.0
            cells = {
                "interface": row.frame.interface or "",
                "handler": key[0],
                "identifier": key[1],
                "frames": f"{row.frames:,}",
                "rate": f"{rate:.0f}",
                "last": self._describe(row.frame) or row.frame.data.hex(" ").upper(),
            }
            table.add_row(*(cells[name] for name in columns))
        return table

    def _columns(self, rate: str) -> dict[str, Column]:
        """Give the columns that the terminal has room for."""
        columns = {
            "interface": Column("interface"),
            "handler": Column("handler"),
            "identifier": Column("identifier"),
            "frames": Column("frames", justify="right"),
            "rate": Column(rate, justify="right"),
            "last": Column("last", overflow="ellipsis", no_wrap=True),
        }
        if self._console.width < _WIDE:
            del columns["last"]
        if self._console.width < _NARROW:
            del columns["interface"]  # a handler's name tells it
        return columns

    def _since(self, now: float, *, final: bool) -> _Picture:
        """Give the picture that rates are counted from, and remember this one."""
        if self._start is None:
            self._start = now
            self._pictures.append(_Picture(now, {}))
        if final:
            return _Picture(self._start, {})
        while len(self._pictures) > 1 and now - self._pictures[1].time >= _WINDOW:
            self._pictures.popleft()
        since = self._pictures[0]
        self._pictures.append(_Picture(now, {key: row.frames for key, row in self._rows.items()}))
        return since
