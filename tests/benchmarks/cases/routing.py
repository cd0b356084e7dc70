"""What handing frames to a hundred handlers costs, and what frames cost that nobody wants."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from anycan import Filter, Router, open_raw
from programs import wanted
from suite.beside import let_begin, program_beside
from suite.can import BACKENDS, ROOM, SO_RCVBUFFORCE, ask, sender, vcan
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Awaitable, Callable

    from anycan import AnyFrame
    from suite.case import Measured

can: Any = importlib.import_module("can") if importlib.util.find_spec("can") else None

INTERFACE = "benchroute0"
QUEUED = 4096
TURNS = 3  # in a round, of which the least counts
HANDLERS = 100
FIRST = 0x100
PATIENCE = 60.0
WANTED = 300  # frames, one each 10 ms
_PAYLOADS = [
    (FIRST + number).to_bytes(4, sys.byteorder) + wanted.WANTED[4:] for number in range(HANDLERS)
]


# One socket, a hundred handlers


def _queue_frames() -> None:
    """Send what the receiver is to find waiting: frames of a hundred identifiers in turn."""
    with sender(INTERFACE) as plain:
        for number in range(QUEUED):
            plain.send(_PAYLOADS[number % HANDLERS])


async def _iterate() -> float:
    async with open_raw(INTERFACE, receive_buffer=ROOM) as endpoint:
        _queue_frames()
        count = 0
        start = time.perf_counter_ns()
        with anyio.fail_after(PATIENCE):
            async for _ in endpoint:
                count += 1
                if count == QUEUED:
                    break
        return (time.perf_counter_ns() - start) / QUEUED / 1000


async def _route() -> float:
    count = 0
    done = anyio.Event()
    router = Router()

    async def handle(_frame: AnyFrame) -> None:
        nonlocal count
        count += 1
        if count == QUEUED:
            done.set()

    for number in range(HANDLERS):
        router.add(Filter.id(FIRST + number), handle)
    async with (
        open_raw(INTERFACE, receive_buffer=ROOM) as endpoint,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(endpoint, task_status=task_status))
        await anyio.wait_all_tasks_blocked()
        _queue_frames()
        start = time.perf_counter_ns()
        with anyio.fail_after(PATIENCE):
            await done.wait()
        result = (time.perf_counter_ns() - start) / QUEUED / 1000
        router.stop()
    return result


def _python_can_bus(**options: Any) -> Any:
    if can is None:
        raise NotHereError("python-can is not installed")
    bus = can.Bus(interface="socketcan", channel=INTERFACE, **options)
    bus.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    return bus


async def _notify(*, by_dictionary: bool = False) -> float:
    count = 0
    done = asyncio.Event()

    def listen(identifier: int) -> Callable[[Any], None]:
        def listener(message: Any) -> None:
            if message.arbitration_id == identifier:
                handle(message)

        return listener

    def handle(_message: Any) -> None:
        nonlocal count
        count += 1
        if count == QUEUED:
            done.set()

    handlers = {FIRST + number: handle for number in range(HANDLERS)}

    def look_up(message: Any) -> None:
        handler = handlers.get(message.arbitration_id)
        if handler is not None:
            handler(message)

    with _python_can_bus() as bus:
        listeners = [look_up] if by_dictionary else [*map(listen, handlers)]
        notifier = can.Notifier(bus, listeners, loop=asyncio.get_running_loop())
        _queue_frames()
        start = time.perf_counter_ns()
        with anyio.fail_after(PATIENCE):
            await done.wait()
        result = (time.perf_counter_ns() - start) / QUEUED / 1000
        notifier.stop()
    return result


def _spent(function: Callable[[], Awaitable[float]], backend: str = "asyncio") -> Measured:
    return {"frame": min(ask(function, backend) for _ in range(TURNS))}  # the first warms up


def _routing() -> Case:
    contenders = [
        Contender(f"anycan_{key}_{backend}", f"{title}, {backend}", partial(_spent, how, backend))
        for key, title, how in (
            ("iterate", "async for on the endpoint alone", _iterate),
            ("router", "Router, 100 coroutine handlers", _route),
        )
        for backend in BACKENDS
    ]
    theirs = (
        Contender("python_can", "python-can Notifier, 100 listeners", partial(_spent, _notify)),
        Contender(
            "python_can_dictionary",
            "python-can Notifier, one listener with a dictionary",
            partial(_spent, partial(_notify, by_dictionary=True)),
        ),
    )
    return Case(
        key="routing",
        title="Routing: one socket, 100 handlers",
        explanation=(
            f"{QUEUED:,} frames of a hundred identifiers wait in one socket, and each identifier"
            " has a handler of its own. python-can calls each of its listeners for each frame: they"
            " are a hundred functions of which each compares the identifier with its own, or one"
            " that looks the handler up in a dictionary, as a program can do by itself. Time of the"
            f" clock; of the {TURNS} passes in a round the least counts."
        ),
        metrics=(Metric("frame", "µs/frame"),),
        contenders=(*contenders, *theirs),
        reference="anycan_iterate_asyncio",
        bounds=(
            Bound("anycan_router_asyncio", "frame", most=2.0, reference="anycan_iterate_asyncio"),
            Bound("anycan_router_asyncio", "frame", least=15.0, reference="python_can"),
        ),
        setup=partial(vcan, INTERFACE),
    )


# Frames that nobody wants


async def _share(process: subprocess.Popen[str], received: Callable[[], int]) -> Measured:
    """Give this process's share of a processor while the other one sends, and what came of it."""
    assert process.stdout is not None
    let_begin(process)
    wall, processor = time.monotonic(), time.process_time()
    with anyio.fail_after(PATIENCE):
        await anyio.wait_readable(process.stdout)
    processor, wall = time.process_time() - processor, time.monotonic() - wall
    await anyio.sleep(0.05)  # the last one may not have been taken yet
    return {
        "share": processor / wall * 100,
        "received": received() / WANTED * 100,
        "unwanted": int(process.stdout.readline()) / wall,
    }


async def _route_wanted(process: subprocess.Popen[str]) -> Measured:
    count = 0
    router = Router()

    @router.on(Filter.id(0x123))
    async def handle(_frame: AnyFrame) -> None:
        nonlocal count
        count += 1

    async with (
        open_raw(INTERFACE) as endpoint,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(endpoint, task_status=task_status))
        result = await _share(process, lambda: count)
        router.stop()
    assert count == WANTED
    return result


async def _notify_wanted(process: subprocess.Popen[str], *, filtered: bool = False) -> Measured:
    count = 0

    def listener(message: Any) -> None:
        nonlocal count
        if message.arbitration_id == 0x123:
            count += 1

    filters = [{"can_id": 0x123, "can_mask": 0x7FF, "extended": False}] if filtered else None
    with _python_can_bus(can_filters=filters) as bus:
        notifier = can.Notifier(bus, [listener], loop=asyncio.get_running_loop())
        result = await _share(process, lambda: count)
        notifier.stop()
    return result


def _with_others(
    function: Callable[[subprocess.Popen[str]], Awaitable[Measured]], *, flooded: bool
) -> Measured:
    if function is not _route_wanted and can is None:
        raise NotHereError("python-can is not installed")
    how = ["flood"] if flooded else []
    with program_beside(wanted.__file__, INTERFACE, str(WANTED), *how) as process:
        result = ask(function, "asyncio", process)
    assert (result["unwanted"] > 0) == flooded
    return result


def _flood() -> Case:
    theirs = "python-can Notifier"
    by_hand = partial(_notify_wanted, filtered=True)
    return Case(
        key="flood",
        title="Frames that nobody wants",
        explanation=(
            f"A handler for one identifier gets {WANTED} frames, one each 10 ms, from another"
            " process, on another processor where there is one; in a flood it sends as many"
            " frames of another identifier between them as it can, otherwise it is as busy with"
            " nothing. What is measured is the share"
            " of a processor that the receiving process takes. python-can takes all frames, unless"
            " a program gives the bus filters by itself."
        ),
        metrics=(
            Metric("share", "% of a core", digits=1),
            Metric("received", "% of wanted frames received", compared=False),
            Metric("unwanted", "unwanted frames/s", digits=0, compared=False),
        ),
        contenders=tuple(
            Contender(key, title, partial(_with_others, how, flooded=flooded))
            for key, title, how, flooded in (
                ("anycan_quiet", "Router, no others", _route_wanted, False),
                ("anycan_flooded", "Router, flood", _route_wanted, True),
                ("python_can_quiet", f"{theirs}, no others", _notify_wanted, False),
                ("python_can_flooded", f"{theirs}, flood", _notify_wanted, True),
                ("python_can_filtered", f"{theirs}, flood, filters set by hand", by_hand, True),
            )
        ),
        reference="anycan_quiet",
        bounds=(Bound("anycan_flooded", "share", most=1.5, reference="anycan_quiet"),),
        setup=partial(vcan, INTERFACE),
    )


def cases() -> list[Case]:
    """Give the cases."""
    return [_routing(), _flood()]
