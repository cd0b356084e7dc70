"""``anycan play``: a log onto the bus again."""

from __future__ import annotations

import itertools
import sys
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Annotated, Final, Self

import anyio
import attrs
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from anycan import Filter, UnknownInterfaceError, open_raw
from anycan.cli.common import (
    NOT_NEGATIVE,
    POSITIVE,
    NetworkOption,
    UsageError,
    counted,
    say,
)
from anycan.cli.logfile import GarbledLines, check_log_name, open_log
from anycan.cli.replay import Player

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anycan import RawEndpoint
    from anycan.cli.logfile import LogFile

_REDRAW: Final = 0.1  # seconds


async def play(
    file: Annotated[str, Parameter(allow_leading_hyphen=True, validator=check_log_name)],
    /,
    *mapping: Annotated[str, Parameter(name="MAPPING")],
    speed: Annotated[float | None, Parameter(name=["--speed", "-s"], validator=POSITIVE)] = None,
    fast: Annotated[bool, Parameter(name=["--fast", "-t"])] = False,
    loop: Annotated[int, Parameter(name=["--loop", "-l"], validator=NOT_NEGATIVE)] = 1,
    skip_errors: bool = False,
    xl: bool = False,
    network: NetworkOption = None,
) -> int:
    """Send the frames of a candump log again, at their times.

    A garbled line stops it, and is told with its file and number. Ctrl-C ends it with a summary
    and the exit status 130.

    Args:
        file: The log; *-* for standard input.
        mapping: *TO=FROM*: send to TO what the log has of FROM; what is not named is left out.
            Without any, frames go to the interfaces that the log names.
            One FROM may go to several TO, and several FROM to one.
        speed: How many times faster than recorded; without it 1.
        fast: Send as fast as the interface takes them, whatever the times.
        loop: How many times to play it; 0: until Ctrl-C.
        skip_errors: Leave garbled lines out: the first are told, all are counted.
        xl: Allow CAN XL frames.
        network: Where the interfaces are.
    """
    if fast and speed is not None:
        raise UsageError("--fast leaves nothing for --speed to say: give one of them")
    targets = _parse_mappings(mapping)
    garbled = GarbledLines()
    async with AsyncExitStack() as stack:
        log = stack.enter_context(open_log(file))
        if log.size is None and loop != 1:
            raise UsageError(f"--loop needs a file, and {file!r} can be read once only")
        outputs = _Outputs(stack, targets, file, xl, network)
        bar = _Bar(log, loop)
        player = Player(outputs.open, None if fast else speed or 1.0, bar.update)
        # However it ends, and below the bar.
        stack.callback(lambda: say(_summary(outputs, player, garbled)))
        stack.enter_context(bar)
        for bar.round in itertools.count(1) if loop == 0 else range(1, loop + 1):
            player.rewind()
            async for records in log.records(garbled.note if skip_errors else None):
                await player.play(records)
        bar.update(final=True)
    return 0


def _parse_mappings(texts: Iterable[str]) -> dict[str, list[str]]:
    """Read each ``TO=FROM``; give every TO of each FROM."""
    targets: dict[str, list[str]] = {}
    for text in texts:
        to, sign, source = text.partition("=")
        if not (to and sign and source):
            raise UsageError(
                f"not a mapping: {text!r}; write TO=FROM, such as vcan0=can0 to send to vcan0 what"
                " the log has of can0"
            )
        names = targets.setdefault(source, [])
        if to not in names:
            names.append(to)
    return targets


@attrs.frozen
class _Outputs:
    """Where frames go.

    Attributes:
        stack: Closes the endpoints.
        targets: The interfaces to send to, of each interface of the log; empty: the same one.
        file: The log.
        xl: Whether CAN XL frames may be sent.
        network: Where the interfaces are.
        endpoints: Those that are open, by their interfaces.
    """

    stack: AsyncExitStack
    targets: Mapping[str, Sequence[str]]
    file: str
    xl: bool
    network: str | None
    endpoints: dict[str, RawEndpoint] = attrs.field(factory=dict, init=False)

    async def open(self, source: str) -> list[RawEndpoint]:
        """Open what the frames of an interface of the log go to."""
        names = self.targets.get(source, ()) if self.targets else (source,)
        for name in names:
            if name not in self.endpoints:
                self.endpoints[name] = await self._open(name, source)
        return [self.endpoints[name] for name in names]

    async def _open(self, name: str, source: str) -> RawEndpoint:
        try:
            return await self.stack.enter_async_context(
                open_raw(name, filters=Filter.none(), xl=self.xl, network=self.network)
            )
        except UnknownInterfaceError as error:
            raise UnknownInterfaceError(
                error.errno or 0,
                f"{error.strerror}; to send what the log has of {source} to another"
                f" interface, say so: anycan play {self.file} vcan0={source}",
                name,
            ) from None


def _summary(outputs: _Outputs, player: Player, garbled: GarbledLines) -> str:
    sent = sum(can.statistics().sent for can in outputs.endpoints.values())
    text = f"{counted(sent, 'frame')} sent"
    if player.skipped:
        text += f", {player.skipped:,} left out (of interfaces that are not mapped)"
    if garbled.count:
        text += f", {counted(garbled.count, 'garbled line')} skipped"
    return text


class _Bar:
    """A progress bar, on a terminal; nothing elsewhere."""

    def __init__(self, log: LogFile, loop: int) -> None:
        self.round = 1
        self._log = log
        self._loop = loop
        self._stack = ExitStack()
        self._progress: Progress | None = None
        self._drawn = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and self._log.size:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:3.0f} %"),
                TimeElapsedColumn(),
            )
            self._progress = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
            self._stack.enter_context(self._progress)
            self._progress.add_task("playing", total=self._log.size)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def update(self, *, final: bool = False) -> None:
        """Show where the reading is."""
        if self._progress is None:
            return
        now = anyio.current_time()
        if final or now - self._drawn >= _REDRAW:
            self._drawn = now
            rounds = (
                "" if self._loop == 1 else f" {self.round}" + f" of {self._loop}" * (self._loop > 0)
            )
            task = self._progress.task_ids[0]
            self._progress.update(
                task, completed=self._log.position, description=f"playing{rounds}"
            )
            self._progress.refresh()
