"""``anycan dump``: what is on the bus, printed as candump prints it."""

from __future__ import annotations

import math
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
from cyclopts import Parameter

from anycan import InterfaceDownError, LogFormatter, RawEndpoint, ScreenFormatter, open_raw
from anycan.cli.common import (
    BUFFER_SIZE,
    COUNT,
    POSITIVE,
    NetworkOption,
    counted,
    emit,
    reading_arguments,
    say,
    summary_if_interrupted,
)
from anycan.cli.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from anyio.abc import ObjectSendStream

    from anycan import AnyFrame


async def dump(
    *sources: Annotated[str, Parameter(name="SOURCE")],
    log_format: Annotated[bool, Parameter(name=["--log-format", "-L"])] = False,
    timestamps: Annotated[
        Literal["a", "d", "z", "A"] | None, Parameter(name=["--timestamps", "-t"])
    ] = None,
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=COUNT)] = None,
    idle_ms: Annotated[
        float | None, Parameter(name=["--idle-ms", "-T"], validator=POSITIVE)
    ] = None,
    describe_errors: Annotated[bool, Parameter(name=["--describe-errors", "-e"])] = False,
    ascii: Annotated[bool, Parameter(name=["--ascii", "-a"])] = False,  # noqa: A002 - the option's name
    binary: Annotated[bool, Parameter(name=["--binary", "-i"])] = False,
    swap: Annotated[bool, Parameter(name=["--swap", "-S"])] = False,
    direction: Annotated[bool, Parameter(name=["--direction", "-x"])] = False,
    hardware_timestamps: Annotated[bool, Parameter(name=["--hardware-timestamps", "-H"])] = False,
    log: Annotated[str | None, Parameter(name=["--log", "-l"])] = None,
    receive_buffer: Annotated[
        int | None, Parameter(name=["--receive-buffer", "-r"], validator=BUFFER_SIZE)
    ] = None,
    xl: bool = False,
    network: NetworkOption = None,
) -> int:
    """Print the frames on one or more interfaces, as candump does.

    Frames that the kernel had to drop, because they came faster than they could be read, are told
    on standard error. Ctrl-C ends it with a summary and the exit status 130.

    Args:
        sources: *INTERFACE[,FILTER...]*; *any* for all interfaces, the default. A filter is
            *ID:MASK* (hex; takes what agrees in the mask's bits), *ID~MASK* (takes what does not),
            *#MASK* (classes of error frames to take) or *j* (a frame has to pass all filters).
        log_format: Print lines of a log, as `anycan play` and canplayer read them.
        timestamps: Show when: *a* seconds since the epoch, *d* since the frame before, *z* since
            the first, *A* date and time.
        count: End after this many frames.
        idle_ms: End when no frame has come for this many milliseconds.
        describe_errors: Put error frames into words (ask for them with the filter *#FFFFFFFF*).
        ascii: Show data as ASCII too.
        binary: Show data as bits.
        swap: Show the last byte first.
        direction: Show whether a frame was received or sent on this host, and its BRS and ESI.
        hardware_timestamps: Use the controller's time stamps, where it makes some.
        log: Write lines of a log to this file instead, and a summary at the end.
        receive_buffer: Size of the receive buffer in bytes.
        xl: Receive CAN XL frames too.
        network: Where the interfaces are.
    """
    with reading_arguments():
        listened = [Source.parse(text) for text in sources or ("any",)]
    async with AsyncExitStack() as stack:
        endpoints = [
            await stack.enter_async_context(
                open_raw(
                    source.interface,
                    filters=source.filters,
                    errors=source.errors,
                    join_filters=source.join,
                    xl=xl,
                    timestamps="hardware" if hardware_timestamps else "software",
                    receive_buffer=receive_buffer,
                    network=network,
                )
            )
            for source in listened
        ]
        names = [source.interface for source in listened if source.interface is not None]
        file: TextIO | None = None
        if log is not None:
            file = stack.enter_context(open(log, "w", encoding="utf-8"))  # noqa: ASYNC230, PTH123, SIM115 - the stack closes it; opened once, before anything waits; /dev/fd/3 is no path
        formatter: LogFormatter | ScreenFormatter
        if log_format or file is not None:
            formatter = LogFormatter(names, direction=direction, hardware=hardware_timestamps)
        else:
            formatter = ScreenFormatter(
                names,
                timestamps=timestamps,
                text=ascii,
                binary=binary,
                swap=swap,
                direction=direction,
                errors=describe_errors,
                hardware=hardware_timestamps,
            )
        printer = Printer(endpoints, formatter, file)
        with summary_if_interrupted(printer.summary):
            await _print_all(printer, count, math.inf if idle_ms is None else idle_ms / 1000)
        if file is not None:
            say(printer.summary())
    return 0


class Printer:
    """Prints batches of frames, and tells of frames that were dropped."""

    def __init__(
        self,
        endpoints: Sequence[RawEndpoint],
        formatter: LogFormatter | ScreenFormatter,
        file: TextIO | None,
    ) -> None:
        self.endpoints = endpoints
        self._formatter = formatter
        self._file = file
        self._printed = 0
        self._dropped = [0] * len(endpoints)

    def print(self, frames: Sequence[AnyFrame]) -> None:
        """Print frames, all with one write."""
        text = self._formatter.format(frames)
        if self._file is None:
            emit(text)
        else:
            self._file.write(text)
            self._file.flush()
        self._printed += len(frames)
        self._tell_drops()

    def _tell_drops(self) -> None:
        for place, endpoint in enumerate(self.endpoints):
            dropped = endpoint.statistics().dropped
            if dropped != self._dropped[place]:
                more = dropped - self._dropped[place]
                self._dropped[place] = dropped
                say(
                    f"{counted(more, 'frame')} dropped on {_name(endpoint)} ({dropped:,} in all):"
                    " they came faster than they were read; --receive-buffer makes room for bursts"
                )

    def summary(self) -> str:
        """Say how many frames there were."""
        dropped = sum(endpoint.statistics().dropped for endpoint in self.endpoints)
        return f"{counted(self._printed, 'frame')} received, {dropped:,} dropped"


def _name(endpoint: RawEndpoint) -> str:
    text = repr(endpoint)
    return text.removeprefix("<RawEndpoint ").removesuffix(">")


async def _print_all(printer: Printer, count: int | None, idle: float) -> None:
    if len(printer.endpoints) == 1:
        await _print_one(printer, count, idle)
        return
    sender, receiver = anyio.create_memory_object_stream[list["AnyFrame"]](len(printer.endpoints))
    async with anyio.create_task_group() as group, sender, receiver:
        for endpoint in printer.endpoints:
            group.start_soon(_collect, endpoint, sender)
        while count is None or count > 0:
            with anyio.move_on_after(idle) as scope:
                batch = await receiver.receive()
            if scope.cancelled_caught:
                break
            for _ in range(receiver.statistics().current_buffer_used):
                batch += receiver.receive_nowait()
            # Each interface's frames came in order; among several, their stamps tell it.
            batch.sort(key=_timestamp)
            if count is not None:
                del batch[count:]
                count -= len(batch)
            printer.print(batch)
        group.cancel_scope.cancel()


async def _print_one(printer: Printer, count: int | None, idle: float) -> None:
    endpoint = printer.endpoints[0]
    while count is None or count > 0:
        with anyio.move_on_after(idle) as scope:
            batch = await _receive(endpoint, count)
        if scope.cancelled_caught:
            break
        printer.print(batch)
        if count is not None:
            count -= len(batch)


async def _collect(endpoint: RawEndpoint, sender: ObjectSendStream[list[AnyFrame]]) -> None:
    while True:
        await sender.send(await _receive(endpoint, None))


async def _receive(endpoint: RawEndpoint, limit: int | None) -> list[AnyFrame]:
    while True:
        try:
            return await endpoint.receive_many(limit)
        except InterfaceDownError as error:
            say(f"{error.strerror}")


def _timestamp(frame: AnyFrame) -> int:
    return frame.timestamp_ns or 0
