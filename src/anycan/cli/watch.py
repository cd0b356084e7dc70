"""``anycan watch``: messages whose content changes, or that fail to come."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Final, Literal

import anyio
from cyclopts import Parameter

from anycan import Filter, LogFormatter, ScreenFormatter, open_bcm, open_raw
from anycan.cli.changes import EventPrinter, EventQueue
from anycan.cli.common import (
    BROADCAST_INTERVAL,
    COUNT,
    NetworkOption,
    UsageError,
    reading_arguments,
    summary_if_interrupted,
    tell_when_down,
)
from anycan.cli.watched import WatchedMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALL: Final = "any"
_CLASSICAL: Final = bytes([0xFF]) * 8
_FLEXIBLE: Final = bytes([0xFF]) * 64


async def watch(
    interface: str,
    first: Annotated[str, Parameter(name="MESSAGE")],
    /,
    *more: Annotated[str, Parameter(name="MESSAGE")],
    timeout: Annotated[float | None, Parameter(validator=BROADCAST_INTERVAL)] = None,  # noqa: ASYNC109 - of the messages, not of this function
    throttle: Annotated[float | None, Parameter(validator=BROADCAST_INTERVAL)] = None,
    every: bool = False,
    check_length: bool = False,
    fd: bool = False,
    timestamps: Annotated[
        Literal["a", "d", "z", "A"] | None, Parameter(name=["--timestamps", "-t"])
    ] = None,
    log_format: Annotated[bool, Parameter(name=["--log-format", "-L"])] = False,
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=COUNT)] = None,
    network: NetworkOption = None,
) -> int:
    """Print messages when their content changes, in candump's format.

    The network's broadcast manager compares them: what changes nothing never reaches this program.
    The first frame of each message is printed always. Ctrl-C ends it with a summary and the exit
    status 130.

    Args:
        interface: Where to watch; *any* for all interfaces. There the contents of a message are
            compared whatever interface they come from; with *--timeout* or *--throttle*, it is
            watched on the first one alone that it comes from.
        first: *IDENTIFIER[:MASK]*, in hex: three digits for 11 bits, eight for 29 bits; the mask
            says which bits of the data, from the first byte on, make a change. Without it all do.
            Of a multiplexed message *IDENTIFIER:MASK:VALUE=MASK,...*: which bits are the
            multiplexor, and for each of its values that is of interest which bits make a change.
        more: More of them, each of an identifier of its own.
        timeout: Tell when no frame of a message has come for so many seconds: once, until one
            comes again. With *--log-format* that goes to standard error.
        throttle: Print at most one change of a message (of each multiplexed content) in so many
            seconds: the latest one.
        every: Print every frame.
        check_length: A change of the length is a change, too.
        fd: Watch CAN FD frames, instead of classical ones.
        timestamps: Show when, as `anycan dump` does.
        log_format: Print lines of a log, as `anycan play` and canplayer read them.
        count: End after this many frames.
        network: Where the interfaces are.
    """
    with reading_arguments():
        messages = [WatchedMessage.parse(text) for text in (first, *more)]
    _check(messages, every, check_length)
    where = None if interface == _ALL else interface
    names = () if where is None else (where,)
    default = None if every else _FLEXIBLE if fd else _CLASSICAL
    async with AsyncExitStack() as stack:
        # It tells of an interface that is down from the beginning, too.
        link = await stack.enter_async_context(
            open_raw(where, filters=Filter.none(), network=network)
        )
        bcm = await stack.enter_async_context(open_bcm(where, network=network))
        with reading_arguments():
            watches = [
                bcm.watch(
                    message.identifier,
                    extended=message.extended,
                    mask=message.mask or (None if message.multiplex else default),
                    multiplex=message.multiplex,
                    timeout=timeout,
                    throttle=throttle,
                    check_length=check_length,
                    fd=fd,
                )
                for message in messages
            ]
        queue = EventQueue([await stack.enter_async_context(one) for one in watches])
        formatter: LogFormatter | ScreenFormatter
        if log_format:
            formatter = LogFormatter(names)
        else:
            formatter = ScreenFormatter(names, timestamps=timestamps)
        printer = EventPrinter(bcm, formatter, timeout)
        with summary_if_interrupted(printer.summary):
            async with anyio.create_task_group() as group:
                group.start_soon(tell_when_down, link)
                group.start_soon(queue.collect)
                while count is None or printer.frames < count:
                    printer.print(await queue.take(), count)
                group.cancel_scope.cancel()
    return 0


def _check(messages: Sequence[WatchedMessage], every: bool, check_length: bool) -> None:
    """Refuse what contradicts itself."""
    if every and check_length:
        raise UsageError("--every prints every frame: --check-length has nothing to say")
    seen: set[str] = set()
    for message in messages:
        if every and (message.mask is not None or message.multiplex is not None):
            raise UsageError(f"--every prints every frame: leave the masks of {message} out")
        if f"{message}" in seen:
            raise UsageError(f"{message} stands twice: put its bits into one mask")
        seen.add(f"{message}")
