"""Latency: from the kernel's time stamp to the program's hands, beside other work."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import time
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import attrs

import anycan
from cases.paced import PacedSender, at_pace
from cases.receive import can, need_python_can, python_can_bus
from suite.can import BACKENDS, FULL_BUS, RATE_SCALE, ask, build, vcan
from suite.case import Case, Contender, Metric

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from anyio.abc import TaskGroup

    from suite.case import Measured

INTERFACE: Final = "vcanlatency"
RATE: Final = FULL_BUS * RATE_SCALE
SECONDS: Final = 2.0
COUNT: Final = round(RATE * SECONDS)
PATIENCE: Final = 30.0
QUIET: Final = 2.0  # when none has come for so long, the rest is lost
WORK_US: Final = 200  # in each period
PERIOD_US: Final = 1000
_WORK_NS: Final = round(WORK_US * 1000 / RATE_SCALE)
_PERIOD_NS: Final = round(PERIOD_US * 1000 / RATE_SCALE)


def cases() -> list[Case]:
    """Give the case of this module."""
    return [
        Case(
            key="latency",
            title="Latency from the kernel's stamp to the handler",
            explanation=(
                f"A process on another core sends for {SECONDS:g} s, one at a time and evenly,"
                f" {FULL_BUS:,} frames a second (a full bus of 1 Mbit/s). In each handler: the time"
                " of day less the frame's stamp. Beside it, in each Python program alike, a task"
                f" of the same loop works for {WORK_US} µs and then sleeps until the next"
                f" {PERIOD_US:,} µs have begun; the program in C has nothing else to do. In the"
                " kernel lab, whose processor is about a tenth as fast, frames are a tenth as many"
                " and these times ten times as long. Each contender has the receive buffer that it"
                " has by default, and C that of anycan; what was lost has no latency."
            ),
            metrics=(
                Metric("median", "median, µs", digits=0),
                Metric("late", "99th percentile, µs", digits=0),
                Metric("worst", "worst, µs", digits=0, compared=False, worst=True),
                Metric("lost", "frames lost", digits=0, compared=False, worst=True),
            ),
            contenders=(
                Contender("c", "C: epoll, recvmsg, without other work", lambda: at_pace(_program)),
                *(_contender("router_", "Router, a handler", _route, name) for name in BACKENDS),
                *(_contender("iterate_", "async for", _iterate, name) for name in BACKENDS),
                _contender("protocol_", "Router, a protocol's method", _attach, "asyncio"),
                Contender(
                    "python_can",
                    "python-can: Notifier, a callback",
                    lambda: at_pace(lambda: ask(_measure, "asyncio", _python_can), need_python_can),
                ),
            ),
            reference="c",
            setup=_setup,
        )
    ]


def _contender(way: str, title: str, begin: _Begin, backend: str) -> Contender:
    return Contender(
        f"anycan_{way}{backend}",
        f"anycan: {title}, {backend}",
        lambda: at_pace(lambda: ask(_measure, backend, begin)),
    )


@contextmanager
def _setup() -> Iterator[None]:
    build("send_paced")
    build("receive_stamped")
    with vcan(INTERFACE):
        yield


@attrs.define(eq=False)
class _Samples:
    """What has passed since frames were stamped."""

    nanoseconds: list[int] = attrs.Factory(list)
    done: anyio.Event = attrs.Factory(anyio.Event)

    def take(self, stamp: int) -> None:
        self.nanoseconds.append(time.time_ns() - stamp)
        if len(self.nanoseconds) == COUNT:
            self.done.set()

    async def wait(self) -> None:
        """Wait until all have come, or no more do."""
        before = -1
        while not self.done.is_set() and before != len(self.nanoseconds):
            before = len(self.nanoseconds)
            with anyio.move_on_after(QUIET):
                await self.done.wait()


def _told(nanoseconds: list[int]) -> Measured:
    count = len(nanoseconds)
    assert 0 < count <= COUNT, f"{count} of {COUNT} frames have come"
    ordered = sorted(nanoseconds)
    assert ordered[0] > 0
    return {
        "median": ordered[count // 2] / 1000,
        "late": ordered[count * 99 // 100] / 1000,
        "worst": ordered[-1] / 1000,
        "lost": COUNT - count,
    }


# Contenders


_Begin: TypeAlias = "Callable[[AsyncExitStack, TaskGroup, _Samples], Awaitable[None]]"


def _program() -> Measured:
    sender = PacedSender((INTERFACE,), COUNT, RATE)  # from here on this processor is ours alone
    with subprocess.Popen(
        [build("receive_stamped"), INTERFACE, str(COUNT), str(round(QUIET * 1000))],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sender.start()
        nanoseconds = [int(line) for line in process.stdout]
        sender.finish()
    return _told(nanoseconds)


async def _measure(begin: _Begin) -> Measured:
    """Receive beside other work."""
    sender = PacedSender((INTERFACE,), COUNT, RATE)
    samples = _Samples()
    async with AsyncExitStack() as held, anyio.create_task_group() as tasks:
        await begin(held, tasks, samples)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(_work)
        gc.collect()
        sender.start()
        with anyio.move_on_after(PATIENCE):
            await samples.wait()
        tasks.cancel_scope.cancel()
    sender.finish()
    return _told(samples.nanoseconds)


async def _work() -> None:
    """Be busy for a part of each period."""
    due = time.perf_counter_ns()
    while True:
        end = time.perf_counter_ns() + _WORK_NS
        while time.perf_counter_ns() < end:
            pass
        due = max(due + _PERIOD_NS, end)
        await anyio.sleep(max(0, due - time.perf_counter_ns()) / 1e9)


async def _route(held: AsyncExitStack, tasks: TaskGroup, samples: _Samples) -> None:
    router = anycan.Router()

    @router.on()
    async def handle(frame: anycan.AnyFrame) -> None:
        assert frame.timestamp_ns is not None
        samples.take(frame.timestamp_ns)

    endpoint = await held.enter_async_context(anycan.open_raw(INTERFACE))
    await tasks.start(lambda task_status: router.run(endpoint, task_status=task_status))


class _Protocol:
    """Is called as frames are read, as python-can's listeners are."""

    def __init__(self, samples: _Samples) -> None:
        self._samples = samples

    def frame_received(self, frame: anycan.AnyFrame) -> None:
        assert frame.timestamp_ns is not None
        self._samples.take(frame.timestamp_ns)


async def _attach(held: AsyncExitStack, tasks: TaskGroup, samples: _Samples) -> None:
    router = anycan.Router()
    router.attach(None, _Protocol(samples))
    endpoint = await held.enter_async_context(anycan.open_raw(INTERFACE))
    await tasks.start(lambda task_status: router.run(endpoint, task_status=task_status))


async def _iterate(held: AsyncExitStack, tasks: TaskGroup, samples: _Samples) -> None:
    endpoint = await held.enter_async_context(anycan.open_raw(INTERFACE))

    async def receive() -> None:
        async for frame in endpoint:
            assert frame.timestamp_ns is not None
            samples.take(frame.timestamp_ns)

    tasks.start_soon(receive)


async def _python_can(held: AsyncExitStack, _tasks: TaskGroup, samples: _Samples) -> None:
    def listen(message: Any) -> None:
        samples.take(round(message.timestamp * 1e9))

    bus = held.enter_context(python_can_bus(INTERFACE))
    held.enter_context(can.Notifier(bus, [listen], loop=asyncio.get_running_loop()))
