"""Burst receive: what it costs to take in frames that wait already."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import statistics
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

import anycan
from suite.can import (
    BACKENDS,
    ROOM,
    SO_RCVBUFFORCE,
    ask,
    build,
    queue_frames,
    vcan,
)
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from suite.case import Measured

try:
    can: Any = importlib.import_module("can")
except ImportError:
    can = None

INTERFACE: Final = "vcanreceive"
QUEUED: Final = 4000
BURSTS: Final = 9
FEW: Final = 3  # of python-can, whose bursts last longest
PATIENCE: Final = 60.0


def cases() -> list[Case]:
    """Give the case of this module."""
    return [
        Case(
            key="receive",
            title="Burst receive",
            explanation=(
                f"{QUEUED:,} frames wait in the socket's receive buffer, and are taken in: time of"
                f" the clock per frame, the middle one of {BURSTS} bursts ({FEW} with python-can)"
                " after one that warms up. Sender and receiver share a processor, and the receiver"
                " begins when all has been sent. loop.sock_recv gives bytes alone; all others also"
                " the time stamp, C and anycan also the count of what was dropped, which is 0."
                " python-can's Notifier reads one frame each turn of the loop."
            ),
            metrics=(Metric("cost", "µs/frame"),),
            contenders=(
                Contender("c", "C: recvmsg", lambda: _program("receive_each")),
                Contender("c_many", "C: recvmmsg, 64 a call", lambda: _program("receive_many")),
                Contender("sock_recv", "asyncio: loop.sock_recv", lambda: ask(_sock_recv)),
                *(_contender("many", "receive_many()", _many, name) for name in BACKENDS),
                *(_contender("iterate", "async for", _iterate, name) for name in BACKENDS),
                Contender("python_can_recv", "python-can: bus.recv(0)", _python_can_recv),
                Contender(
                    "python_can_async",
                    "python-can: Notifier, AsyncBufferedReader",
                    lambda: ask(_python_can_async),
                ),
            ),
            reference="c",
            bounds=(
                Bound("anycan_many_asyncio", "cost", most=3, reference="c"),
                Bound("anycan_iterate_asyncio", "cost", most=4.5, reference="c"),
                Bound("anycan_many_asyncio", "cost", least=30, reference="python_can_async"),
            ),
            setup=_setup,
        )
    ]


def _contender(
    way: str, title: str, function: Callable[[], Awaitable[Measured]], backend: str
) -> Contender:
    return Contender(
        f"anycan_{way}_{backend}", f"anycan: {title}, {backend}", lambda: ask(function, backend)
    )


@contextmanager
def _setup() -> Iterator[None]:
    build("receive_each")
    build("receive_many")
    with vcan(INTERFACE):
        yield


# Help for the other cases too


def stay_on_one_processor() -> None:
    """Have this process and those that it starts share a processor, whoever is measured."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@contextmanager
def program(name: str, *arguments: str) -> Iterator[Callable[[], float]]:
    """Run one of the programs in C that measure once for each line that they are given.

    Yields:
        Has it measure, and gives nanoseconds.
    """
    with subprocess.Popen(
        [build(name), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines, answers = process.stdin, process.stdout

        def measure() -> float:
            lines.write("\n")
            lines.flush()
            return float(answers.readline())

        assert answers.readline() == "ready\n"
        yield measure
        lines.close()
        assert process.wait() == 0, f"{name} has failed"


def need_python_can() -> None:
    """See to it that there is python-can, before anything is started that is to be ended again.

    Raises:
        NotHereError: There is none.
    """
    if can is None:
        raise NotHereError("python-can is not installed")


def python_can_bus(interface: str, *, room: int | None = None) -> Any:
    """Open a bus of python-can.

    Args:
        interface: Which.
        room: The size of its receive buffer; None: what it has by default.

    Raises:
        NotHereError: There is no python-can.
    """
    need_python_can()
    bus = can.Bus(interface="socketcan", channel=interface)
    if room is not None:
        bus.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, room)
    return bus


def receiver(interface: str) -> socket.socket:
    """Open a plain socket that receives, for an event loop."""
    plain = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    plain.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    plain.setblocking(False)
    plain.bind((interface,))
    return plain


# Contenders


def per_frame(took: Iterable[float], frames: int) -> Measured:
    """Give microseconds for a frame, of nanoseconds for several: the first has only warmed up."""
    _, *counted = took
    return {"cost": statistics.median(counted) / frames / 1000}


def _program(name: str) -> Measured:
    stay_on_one_processor()
    took = []
    with program(name, INTERFACE, str(QUEUED)) as measure:
        for _ in range(BURSTS + 1):
            queue_frames(INTERFACE, QUEUED)
            took.append(measure())
    return per_frame(took, QUEUED)


async def _bursts(drain: Callable[[], Awaitable[int]], bursts: int = BURSTS) -> Measured:
    """Queue bursts, and time how long each takes to be drained."""
    stay_on_one_processor()
    took = []
    with anyio.fail_after(PATIENCE):
        for _ in range(bursts + 1):
            queue_frames(INTERFACE, QUEUED)
            start = time.perf_counter_ns()
            count = await drain()
            took.append(time.perf_counter_ns() - start)
            assert count == QUEUED, count
    return per_frame(took, QUEUED)


async def _sock_recv() -> Measured:
    loop = asyncio.get_running_loop()
    with receiver(INTERFACE) as plain:

        async def drain() -> int:
            count = 0
            while count < QUEUED:
                assert await loop.sock_recv(plain, 72)
                count += 1
            return count

        return await _bursts(drain)


async def _many() -> Measured:
    async with anycan.open_raw(INTERFACE, receive_buffer=ROOM) as endpoint:

        async def drain() -> int:
            count = 0
            while count < QUEUED:
                count += len(await endpoint.receive_many())
            return count

        measured = await _bursts(drain)
        assert endpoint.statistics().dropped == 0
    return measured


async def _iterate() -> Measured:
    async with anycan.open_raw(INTERFACE, receive_buffer=ROOM) as endpoint:

        async def drain() -> int:
            count = 0
            async for _ in endpoint:
                count += 1
                if count == QUEUED:
                    break
            return count

        measured = await _bursts(drain)
        assert endpoint.statistics().dropped == 0
    return measured


def _python_can_recv() -> Measured:
    with python_can_bus(INTERFACE, room=ROOM) as bus:

        async def drain() -> int:
            count = 0
            while count < QUEUED:
                assert bus.recv(0) is not None
                count += 1
            return count

        return ask(_bursts, "asyncio", drain, FEW)


async def _python_can_async() -> Measured:
    with python_can_bus(INTERFACE, room=ROOM) as bus:
        reader = can.AsyncBufferedReader()
        with can.Notifier(bus, [reader], loop=asyncio.get_running_loop()):

            async def drain() -> int:
                count = 0
                while count < QUEUED:
                    await reader.get_message()
                    count += 1
                return count

            return await _bursts(drain, FEW)
