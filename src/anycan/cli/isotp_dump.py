"""``anycan isotp dump``: the PDUs that others send to each other, live or from a log."""

from __future__ import annotations

import threading
import time
from contextlib import AsyncExitStack
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import anyio.to_thread
from cyclopts import Parameter

from anycan import (
    Address,
    AddressError,
    Filter,
    InterfaceDownError,
    IsotpMonitor,
    UnknownInterfaceError,
    guess_connections,
    open_raw,
    read_log,
)
from anycan.cli.common import COUNT, NetworkOption, UsageError, counted, say
from anycan.cli.isotp_heard import HeardPrinter
from anycan.cli.isotp_options import ModeOptions, make_address, parse_functional, parse_pair
from anycan.cli.isotp_text import AsciiOption, PduFormatter, TimestampsOption
from anycan.cli.logfile import STANDARD_INPUT, GarbledLines, check_log_name, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import AnyFrame, RawEndpoint

_ALL: Final = "any"
_LONGEST_LINE: Final = 1 << 16  # bytes
_DEFAULT_MODE: Final = ModeOptions()


async def dump(
    source: Annotated[str, Parameter(allow_leading_hyphen=True, validator=check_log_name)],
    /,
    *,
    tx: Annotated[
        tuple[str, ...],
        Parameter(
            name=["--tx", "-s"],
            group="Address",
            help=(
                "The identifier that the first of two nodes sends with, in hex: three digits for"
                " 11 bits, eight for 29. Several times for several connections."
            ),
        ),
    ] = (),
    rx: Annotated[
        tuple[str, ...],
        Parameter(
            name=["--rx", "-d"],
            group="Address",
            help="The identifier that the second one sends with; as many as of --tx.",
        ),
    ] = (),
    mode: ModeOptions = _DEFAULT_MODE,
    pair: Annotated[tuple[str, ...], Parameter(group="Address")] = (),
    functional: Annotated[tuple[str, ...], Parameter(group="Address")] = (),
    json: Annotated[bool, Parameter(name=["--json", "-j"])] = False,
    timestamps: TimestampsOption = "a",
    ascii: AsciiOption = False,  # noqa: A002 - the option's name
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=COUNT)] = None,
    skip_errors: bool = False,
    network: NetworkOption = None,
) -> int:
    """Print the PDUs that others send to each other over ISO-TP, from a bus or from a log.

    A line has: when the PDU began, *->* or *<-*, the time since the last PDU of the other
    direction (of a reply: the response time), the length, the bytes, and of several frames how
    many in what time. What fails in the middle is printed with the reason and as far as it came.
    At the end, with Ctrl-C too, a summary stands on standard error.

    Args:
        source: An interface (*any* for all), or a log as candump writes it, where there is a file
            of that name; *-* for standard input.
        tx: The identifiers of the first nodes.
        rx: The identifiers of the second nodes.
        mode: How the nodes are told apart.
        pair: *TX,RX*: another connection; several times for several. Behind each *:BYTE* may
            stand, the address byte of its frames (extended and mixed addressing). Without any
            connection, those of a log are guessed.
        functional: *IDENTIFIER[:BYTE]*: an identifier by which requests go to a group of nodes;
            several times for several.
        json: Print an object for each PDU, on one line.
        timestamps: Show when.
        ascii: Show bytes as ASCII too.
        count: End after this many PDUs.
        skip_errors: Leave garbled lines of a log out: the first are told, all are counted.
        network: Where the interfaces are.
    """
    addresses = _addresses(tx, rx, mode, pair, functional)
    formatter = None if json else PduFormatter(timestamps, text=ascii)
    if not _is_log(source):
        if not addresses:
            raise UsageError(
                f"there is no file {source!r}, and an interface needs connections: name them, with"
                " --tx and --rx or --pair"
            )
        await _dump_live(source, addresses, formatter, count, network)
        return 0
    if not addresses:
        addresses = await _guess(source)
        if not addresses:
            say(
                f"{source}: no connection found that PDUs of several frames came on: name those"
                " that you look for, with --tx and --rx or --pair"
            )
            return 1
        say(f"found {' '.join(_describe(address) for address in addresses)}")
    await _dump_log(source, addresses, formatter, count, skip_errors)
    return 0


def _is_log(source: str) -> bool:
    return source == STANDARD_INPUT or "/" in source or Path(source).exists()


def _addresses(
    tx: tuple[str, ...],
    rx: tuple[str, ...],
    mode: ModeOptions,
    pairs: tuple[str, ...],
    functional: tuple[str, ...],
) -> list[Address]:
    """Give the connections that are asked for."""
    if len(tx) != len(rx):
        raise UsageError(f"--tx stands {len(tx)} times, and --rx {len(rx)} times: they are pairs")
    addresses = [make_address(one, other, mode) for one, other in zip(tx, rx, strict=True)]
    if not tx and mode != _DEFAULT_MODE:
        addresses.append(make_address(None, None, mode))
    addresses += [parse_pair("--pair", text) for text in pairs]
    addresses += [parse_functional("--functional", text) for text in functional]
    return addresses


def _describe(address: Address) -> str:
    digits = 8 if address.extended_ids else 3
    return f"{address.tx_id:0{digits}X},{address.rx_id:0{digits}X}"


def _make_monitor(addresses: list[Address]) -> IsotpMonitor:
    try:
        return IsotpMonitor(addresses)
    except AddressError as error:
        raise UsageError(str(error)) from None


# From a log


async def _guess(path: str) -> list[Address]:
    """Look for connections in a log."""
    with open_log(path) as log:
        if log.size is None:
            raise UsageError(
                f"say which connections, with --tx and --rx or --pair: {path!r} can be read once"
                " only, and guessing reads it before it is printed"
            )
    stop = threading.Event()
    try:
        # In a thread, so that Ctrl-C ends it at once.
        return await anyio.to_thread.run_sync(
            lambda: guess_connections(_frames(path, stop)), abandon_on_cancel=True
        )
    finally:
        stop.set()


def _frames(path: str, stop: threading.Event) -> Iterator[AnyFrame]:
    with Path(path).open("rb") as file:
        lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
        for record in read_log(lines, on_error=lambda _error: None):
            if stop.is_set():
                return
            yield record.frame


async def _dump_log(
    path: str,
    addresses: list[Address],
    formatter: PduFormatter | None,
    count: int | None,
    skip_errors: bool,
) -> None:
    printer = HeardPrinter(_make_monitor(addresses), formatter, count)
    garbled = GarbledLines()
    with printer.summary_at_end(), open_log(path) as log:
        async for records in log.records(garbled.note if skip_errors else None):
            printer.feed(record.frame for record in records)
            if printer.done:
                break
    if garbled.count:
        say(f"{counted(garbled.count, 'garbled line')} skipped")


# From a bus


async def _dump_live(
    source: str,
    addresses: list[Address],
    formatter: PduFormatter | None,
    count: int | None,
    network: str | None,
) -> None:
    monitor = _make_monitor(addresses)
    printer = HeardPrinter(monitor, formatter, count)
    filters = [
        Filter.id(identifier, extended=address.extended_ids)
        for address in addresses
        for identifier in (address.tx_id, address.rx_id)
        if identifier is not None
    ]
    where = None if source == _ALL else source
    async with AsyncExitStack() as stack:
        try:
            can = await stack.enter_async_context(
                open_raw(where, filters=reduce(or_, filters), network=network)
            )
        except UnknownInterfaceError as error:
            raise UnknownInterfaceError(
                error.errno or 0, f"{error.strerror}; nor is there such a file", source
            ) from None
        stack.enter_context(printer.summary_at_end())
        dropped = 0
        while not printer.done:
            deadline = monitor.deadline
            wait = None if deadline is None else max(0, deadline - time.time_ns()) / 1e9
            with anyio.move_on_after(wait) as scope:
                printer.feed(await _receive(can))
            if scope.cancelled_caught:
                # What waits unread was there in time.
                try:
                    frame = can.receive_nowait()
                except anyio.WouldBlock:
                    printer.advance(time.time_ns())
                else:
                    printer.feed([frame])
            dropped = _tell_drops(can, dropped)


async def _receive(can: RawEndpoint) -> list[AnyFrame]:
    while True:
        try:
            return await can.receive_many()
        except InterfaceDownError as error:
            say(f"{error.strerror}")


def _tell_drops(can: RawEndpoint, before: int) -> int:
    """Tell of frames that were dropped; give how many there are in all."""
    dropped = can.statistics().dropped
    if dropped != before:
        more = counted(dropped - before, "frame")
        say(f"{more} dropped ({dropped:,} in all): PDUs are missing, or incomplete")
    return dropped
