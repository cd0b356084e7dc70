"""Paced receive: frames come as on full buses, and what counts is how busy the receiver is."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import time
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import attrs

import anycan
from cases.receive import can, need_python_can, python_can_bus
from suite.can import BACKENDS, FULL_BUS, RATE_SCALE, ask, build, processors, vcan
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from anyio.abc import TaskGroup

    from suite.case import Measured

RATE: Final = FULL_BUS * RATE_SCALE
SECONDS: Final = 2.0
REST: Final = 0.02  # seconds that reading rests, where it does
_PROCESSORS: Final = processors()  # before any is given up
_LATE: Final = 1.25  # times what sending should take
_ATTEMPTS: Final = 6
PATIENCE: Final = 2.0  # for what waits when the last frame has been sent
INTERFACES: Final = tuple(f"vcanpaced{number}" for number in range(8))


def cases() -> list[Case]:
    """Give the cases of this module."""
    one, eight = INTERFACES[:1], INTERFACES
    return [
        Case(
            key="paced_one",
            title="Paced receive from one full bus",
            explanation=_explanation("one bus"),
            metrics=_METRICS,
            contenders=tuple(_contenders(one)),
            reference="c",
            bounds=(
                Bound("anycan_asyncio", "lost", most=0),
                Bound("anycan_coalesce_asyncio", "lost", most=0),
            ),
            setup=lambda: _setup(one),
        ),
        Case(
            key="paced_eight",
            title="Paced receive from eight full buses",
            explanation=_explanation("each of eight buses, to all of them at once"),
            metrics=_METRICS,
            contenders=(*_contenders(eight), _all_contender(eight)),
            reference="c",
            bounds=(
                Bound("anycan_asyncio", "lost", most=0),
                Bound("anycan_asyncio", "cost", least=15, reference="python_can_async"),
                Bound("anycan_coalesce_asyncio", "lost", most=0),
            ),
            setup=lambda: _setup(eight),
        ),
    ]


_METRICS: Final = (
    Metric("cost", "processor time, µs/frame"),
    Metric("share", "processor time, % of one core", digits=0, compared=False),
    Metric("lost", "frames lost", digits=0, compared=False, worst=True),
    Metric("rate", "frames/s to each bus", digits=0, compared=False),
)


def _explanation(buses: str) -> str:
    return (
        f"A process on another core sends for {SECONDS:g} s, evenly, {FULL_BUS:,} frames a second"
        f" (a full bus of 1 Mbit/s; in the kernel lab {FULL_BUS / 10:,.0f}) to {buses}. What is"
        " measured counts where it has kept this pace within a quarter, else it is measured again;"
        " the table says which rate it was. What counts is the processor time of the receiving"
        " process, for a frame received and as a share of one core, and the frames that it has not"
        " got in the end. Each contender has the receive buffer that it has by default, and C that"
        " of anycan. A frame wakes who waits for it; with coalesce=, reading rests for so many"
        f" seconds between, and frames wait up to {REST * 1000:g} ms: another trade, which one of"
        " the programs in C makes too, and python-can does not have. Who is at 100 % is never done,"
        " and takes several frames at a time or loses them: the processor time for a frame is then"
        " what the core has for it, not what it takes."
    )


def _contenders(interfaces: Sequence[str]) -> Iterator[Contender]:
    def contender(key: str, title: str, begin: _Begin, backend: str = "asyncio") -> Contender:
        return Contender(
            key, title, lambda: at_pace(lambda: ask(_measure, backend, interfaces, begin))
        )

    yield Contender("c", "C: epoll, recvmmsg", lambda: at_pace(lambda: _program(interfaces)))
    yield Contender(
        "c_coalesce",
        f"C: recvmmsg each {REST * 1000:g} ms",
        lambda: at_pace(lambda: _program(interfaces, REST)),
    )
    for name in BACKENDS:
        title = f"anycan: receive_many(), {name}"
        yield contender(f"anycan_{name}", title, _many, name)
    for name in BACKENDS:
        title = f"anycan: receive_many(), coalesce={REST:g}, {name}"
        yield contender(f"anycan_coalesce_{name}", title, _coalesced, name)
    for name in BACKENDS:
        title = f"anycan: Router, one handler, {name}"
        yield contender(f"anycan_router_{name}", title, _route, name)
    yield Contender(
        "python_can_async",
        "python-can: Notifier, AsyncBufferedReader",
        lambda: at_pace(lambda: ask(_measure, "asyncio", interfaces, _python_can), need_python_can),
    )


def _all_contender(interfaces: Sequence[str]) -> Contender:
    return Contender(
        "anycan_all_asyncio",
        "anycan: receive_many(), one endpoint for all, asyncio",
        lambda: at_pace(lambda: ask(_measure, "asyncio", interfaces, _all)),
    )


@contextmanager
def _setup(interfaces: Sequence[str]) -> Iterator[None]:
    build("send_paced")
    build("receive_paced")
    with vcan(*interfaces):
        yield


# The sender


class LateError(Exception):
    """The sender has not kept the pace: what was measured is not what it is called."""


class PacedSender:
    """A process that sends as full buses would, on another processor than this one.

    Args:
        interfaces: To which.
        count: How many frames to each.
        rate: Frames a second to each.

    Raises:
        NotHereError: There is one processor alone.
    """

    def __init__(self, interfaces: Sequence[str], count: int, rate: float) -> None:
        if len(_PROCESSORS) < 2:
            raise NotHereError("it needs two cores")
        mine, theirs, *_ = _PROCESSORS
        self._count = count
        self._nominal = count / rate
        os.sched_setaffinity(0, {theirs})  # what is started has it from here
        self._process = subprocess.Popen(
            [build("send_paced"), str(rate), str(count), *interfaces],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(0, {mine})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._lines, self._answers = self._process.stdin, self._process.stdout
        assert self._answers.readline() == "ready\n"

    def start(self) -> None:
        """Have it send."""
        self._lines.write("\n")
        self._lines.flush()

    def finish(self) -> float:
        """Wait until it has sent, and give how many frames a second that was, to each interface.

        Raises:
            LateError: It has not kept the pace.
        """
        took = float(self._answers.readline()) / 1e9
        self._lines.close()
        self._answers.close()
        assert self._process.wait() == 0
        if took > self._nominal * _LATE:
            raise LateError(f"sent in {took:.2f} s, not in {self._nominal:.2f} s")
        return self._count / took


def at_pace(measure: Callable[[], Measured], need: Callable[[], object] | None = None) -> Measured:
    """Measure, and do so again where the sender has not kept the pace.

    Args:
        measure: Measures once.
        need: Called before, and raises NotHereError where something is missing.

    Raises:
        LateError: It has not, each time: the machine has too much else to do.
        NotHereError: Something is missing.
    """
    if need is not None:
        need()
    for _ in range(_ATTEMPTS - 1):
        with suppress(LateError):
            return measure()
    return measure()


# Receiving


@attrs.define(eq=False)
class _Tally:
    """Counts frames, and tells when all have come."""

    expected: int
    count: int = 0
    done: anyio.Event = attrs.Factory(anyio.Event)

    def add(self, count: int) -> None:
        self.count += count
        if self.count >= self.expected:
            self.done.set()


_Begin: TypeAlias = "Callable[[Sequence[str], AsyncExitStack, TaskGroup, _Tally], Awaitable[None]]"


async def _measure(interfaces: Sequence[str], begin: _Begin) -> Measured:
    count = round(RATE * SECONDS)
    sender = PacedSender(interfaces, count, RATE)
    tally = _Tally(count * len(interfaces))
    async with AsyncExitStack() as held, anyio.create_task_group() as tasks:
        await begin(interfaces, held, tasks, tally)
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        sender.start()
        start, before = time.perf_counter_ns(), time.process_time_ns()
        with anyio.move_on_after(SECONDS):
            await tally.done.wait()
        used, passed = time.process_time_ns() - before, time.perf_counter_ns() - start
        received = tally.count
        with anyio.move_on_after(PATIENCE):
            await tally.done.wait()
        tasks.cancel_scope.cancel()
    rate = sender.finish()
    assert 0 < received <= tally.count <= tally.expected
    return {
        "cost": used / received / 1000,
        "share": 100 * used / passed,
        "lost": tally.expected - tally.count,
        "rate": rate,
    }


async def _many(
    interfaces: Sequence[str | None],
    held: AsyncExitStack,
    tasks: TaskGroup,
    tally: _Tally,
    coalesce: float = 0.0,
) -> None:
    async def receive(endpoint: anycan.RawEndpoint) -> None:
        while True:
            tally.add(len(await endpoint.receive_many()))

    for interface in interfaces:
        endpoint = await held.enter_async_context(anycan.open_raw(interface, coalesce=coalesce))
        tasks.start_soon(receive, endpoint)


async def _coalesced(
    interfaces: Sequence[str], held: AsyncExitStack, tasks: TaskGroup, tally: _Tally
) -> None:
    await _many(interfaces, held, tasks, tally, REST)


async def _all(
    _interfaces: Sequence[str], held: AsyncExitStack, tasks: TaskGroup, tally: _Tally
) -> None:
    await _many((None,), held, tasks, tally)


async def _route(
    interfaces: Sequence[str], held: AsyncExitStack, tasks: TaskGroup, tally: _Tally
) -> None:
    router = anycan.Router()

    @router.on()
    async def handle(_frame: anycan.AnyFrame) -> None:
        tally.add(1)

    endpoints = [await held.enter_async_context(anycan.open_raw(one)) for one in interfaces]
    await tasks.start(lambda task_status: router.run(*endpoints, task_status=task_status))


async def _python_can(
    interfaces: Sequence[str], held: AsyncExitStack, tasks: TaskGroup, tally: _Tally
) -> None:
    async def receive() -> None:
        while True:
            await reader.get_message()
            tally.add(1)

    buses = [held.enter_context(python_can_bus(interface)) for interface in interfaces]
    reader = can.AsyncBufferedReader()
    held.enter_context(can.Notifier(buses, [reader], loop=asyncio.get_running_loop()))
    tasks.start_soon(receive)


def _program(interfaces: Sequence[str], rest: float = 0.0) -> Measured:
    count = round(RATE * SECONDS)
    expected = count * len(interfaces)
    sender = PacedSender(interfaces, count, RATE)  # from here on this processor is ours alone
    milliseconds = (str(round(seconds * 1000)) for seconds in (PATIENCE, rest))
    with subprocess.Popen(
        [build("receive_paced"), str(expected), *milliseconds, *interfaces],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sender.start()
        received, used, passed = map(int, process.stdout.readline().split())
        rate = sender.finish()
    return {
        "cost": used / received / 1000,
        "share": 100 * used / passed,
        "lost": expected - received,
        "rate": rate,
    }
