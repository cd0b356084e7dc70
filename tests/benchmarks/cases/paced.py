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
from cases.receive import can, python_can_bus
from suite.can import BACKENDS, FULL_BUS, RATE_SCALE, ask, build, vcan
from suite.case import Bound, Case, Contender, Metric

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from anyio.abc import TaskGroup

    from suite.case import Measured

RATE: Final = FULL_BUS * RATE_SCALE
SECONDS: Final = 2.0
_PROCESSORS: Final = tuple(sorted(os.sched_getaffinity(0)))
_LATE: Final = 1.1  # times what sending should take
_ATTEMPTS: Final = 5
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
                Bound("anycan_asyncio", "cost", most=4, reference="c"),
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
                Bound("anycan_asyncio", "cost", most=4, reference="c"),
                Bound("anycan_asyncio", "cost", least=2, reference="python_can_async"),
            ),
            setup=lambda: _setup(eight),
        ),
    ]


_METRICS: Final = (
    Metric("cost", "processor time, µs/frame"),
    Metric("share", "processor time, % of one core", digits=0, compared=False),
    Metric("lost", "frames lost", digits=0, compared=False),
)


def _explanation(buses: str) -> str:
    return (
        f"A process on another core sends {RATE:,.0f} frames a second, evenly, to {buses}, for"
        f" {SECONDS:g} s ({FULL_BUS:,} is a full bus of 1 Mbit/s). What counts is the processor"
        " time of the receiving process, for a frame received and as a share of one core, and the"
        " frames that it has not got in the end. Each contender has the receive buffer that it has"
        " by default, and C that of anycan. Each frame wakes who waits for it. Near 100 % the share"
        " says nothing: who is never done takes several frames at a time, or loses them."
    )


def _contenders(interfaces: Sequence[str]) -> Iterator[Contender]:
    def contender(key: str, title: str, begin: _Begin, backend: str = "asyncio") -> Contender:
        return Contender(
            key, title, lambda: at_pace(lambda: ask(_measure, backend, interfaces, begin))
        )

    yield Contender("c", "C: epoll, recvmmsg", lambda: at_pace(lambda: _program(interfaces)))
    for name in BACKENDS:
        title = f"anycan: receive_many(), {name}"
        yield contender(f"anycan_{name}", title, _many, name)
    for name in BACKENDS:
        title = f"anycan: Router, one handler, {name}"
        yield contender(f"anycan_router_{name}", title, _route, name)
    yield contender("python_can_async", "python-can: Notifier, AsyncBufferedReader", _python_can)


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
    """

    def __init__(self, interfaces: Sequence[str], count: int, rate: float) -> None:
        mine, *others = _PROCESSORS
        self._nominal = count / rate
        self._theirs = {others[0] if others else mine}
        os.sched_setaffinity(0, self._theirs)  # what is started has it from here
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

    def finish(self) -> None:
        """Wait until it has sent.

        Raises:
            LateError: It has not kept the pace.
        """
        took = float(self._answers.readline()) / 1e9
        self._lines.close()
        self._answers.close()
        assert self._process.wait() == 0
        if took > self._nominal * _LATE:
            raise LateError(f"sent in {took:.2f} s, not in {self._nominal:.2f} s")


def at_pace(measure: Callable[[], Measured]) -> Measured:
    """Measure, and do so again where the sender has not kept the pace.

    Raises:
        LateError: It has not, each time: the machine has too much else to do.
    """
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
    sender.finish()
    assert tally.count <= tally.expected
    return {
        "cost": used / received / 1000,
        "share": 100 * used / passed,
        "lost": tally.expected - tally.count,
    }


async def _many(
    interfaces: Sequence[str | None], held: AsyncExitStack, tasks: TaskGroup, tally: _Tally
) -> None:
    async def receive(endpoint: anycan.RawEndpoint) -> None:
        while True:
            tally.add(len(await endpoint.receive_many()))

    for interface in interfaces:
        endpoint = await held.enter_async_context(anycan.open_raw(interface))
        tasks.start_soon(receive, endpoint)


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


def _program(interfaces: Sequence[str]) -> Measured:
    count = round(RATE * SECONDS)
    expected = count * len(interfaces)
    sender = PacedSender(interfaces, count, RATE)  # from here on this processor is ours alone
    with subprocess.Popen(
        [build("receive_paced"), str(expected), str(round(PATIENCE * 1000)), *interfaces],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sender.start()
        received, used, passed = map(int, process.stdout.readline().split())
        sender.finish()
    return {
        "cost": used / received / 1000,
        "share": 100 * used / passed,
        "lost": expected - received,
    }
