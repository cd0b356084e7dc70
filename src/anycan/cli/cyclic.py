"""``anycan cyclic``: frames that the network itself sends again and again."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Final

import anyio
from cyclopts import Parameter, validators

from anycan import Filter, Frame, InterfaceDownError, open_bcm, open_raw
from anycan.cli.common import (
    BROADCAST_INTERVAL,
    NetworkOption,
    UsageError,
    counted,
    reading_arguments,
    say,
    tell_when_down,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan import AnyFrame, CyclicTask

_COUNT: Final = validators.Number(gt=0, lte=2**32 - 1)  # a u32, to the broadcast manager


async def cyclic(
    interface: str,
    first: Annotated[str, Parameter(name="FRAME")],
    /,
    *more: Annotated[str, Parameter(name="FRAME")],
    interval: Annotated[float, Parameter(name=["--interval", "-g"], validator=BROADCAST_INTERVAL)],
    count: Annotated[int | None, Parameter(name=["--count", "-n"], validator=_COUNT)] = None,
    then: Annotated[float | None, Parameter(validator=BROADCAST_INTERVAL)] = None,
    separate: bool = False,
    network: NetworkOption = None,
) -> int:
    """Have frames sent cyclically, by the network's broadcast manager.

    The beat does not depend on this program. While the interface is down, or has no room, frames
    are lost: the beat goes on, and so does the count. Ctrl-C ends it with a summary and the exit
    status 130.

    Args:
        interface: Where to send.
        first: As for `anycan send`, of classical CAN or CAN FD. Of several frames one after the
            other is sent, one each time; then the first one again.
        more: More of them, in their order: up to 256 in all, of one kind.
        interval: Seconds from one time to the next, from a microsecond.
        count: How many times to send at that interval, the first time included; then it ends.
        then: Go on after *--count* times, with this interval.
        separate: Send each frame each time; they may be of both kinds.
        network: Where the interfaces are.
    """
    if then is not None and count is None:
        raise UsageError("--then is the interval after --count times: say how many")
    with reading_arguments():
        frames = [Frame.parse(text) for text in (first, *more)]
    parts = [[frame] for frame in frames] if separate else [frames]
    async with AsyncExitStack() as stack:
        # Of the interface the broadcast manager tells those alone who wait for the end of a count.
        link = await stack.enter_async_context(
            open_raw(interface, filters=Filter.none(), network=network)
        )
        places = _places(parts)
        endpoints = [
            await stack.enter_async_context(open_bcm(interface, network=network))
            for _ in range(max(places) + 1)
        ]
        with reading_arguments():
            tasks = [
                endpoints[place].send_cyclic(part, interval, count=count, then=then)
                for place, part in zip(places, parts, strict=True)
            ]
        started = anyio.current_time()
        for task in tasks:
            await stack.enter_async_context(task)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(
                    tell_when_down,
                    link,
                    f"{interface} is down: what is due meanwhile is lost, and sending goes on when"
                    " it is up again",
                )
                if count is not None and then is None:
                    await _wait_expired(tasks)
                    group.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            elapsed = anyio.current_time() - started
            with anyio.CancelScope(shield=True):
                to_go = None if count is None else await _to_go(tasks)
            what = _describe(frames, separate)
            say(_summary(f"{what} on {interface}", elapsed, interval, then, to_go))
            raise
    return 0


def _places(parts: Sequence[Sequence[AnyFrame]]) -> list[int]:
    """Give the endpoint for each: on one, two transmissions cannot have the same identifier."""
    taken: Counter[tuple[str, type]] = Counter()
    places = []
    for part in parts:
        name = (str(part[0]).partition("#")[0], type(part[0]))
        places.append(taken[name])
        taken[name] += 1
    return places


async def _wait_expired(tasks: Sequence[CyclicTask]) -> None:
    """Wait until every count is over."""
    async with anyio.create_task_group() as group:
        for task in tasks:
            group.start_soon(_wait_expired_one, task)


async def _wait_expired_one(task: CyclicTask) -> None:
    while True:
        try:
            await task.wait_expired()
        except InterfaceDownError:  # told already, and the count goes on
            continue
        return


async def _to_go(tasks: Sequence[CyclicTask]) -> int:
    """Ask how many frames of the counts are still to go."""
    return sum([(await task.read()).remaining for task in tasks])


def _describe(frames: Sequence[AnyFrame], separate: bool) -> str:
    if len(frames) == 1:
        return f"{frames[0]}"
    return f"{counted(len(frames), 'frame')} {'at once' if separate else 'in turn'}"


def _summary(
    what: str, elapsed: float, interval: float, then: float | None, to_go: int | None
) -> str:
    """Say what was being sent. Nobody knows how many of the frames have gone out."""
    text = f"{what} every {interval:g} s"
    if then is not None:
        text += f", then every {then:g} s"
    text += f": ended after {elapsed:.1f} s"
    return text if to_go is None else f"{text}, with {counted(to_go, 'frame')} of the count to go"
