"""What handing frames to a hundred handlers costs: the router, beside python-can, in one run.

Run it where there is PF_CAN and the right to make a vcan (see CONTRIBUTING.md for the kernel lab)::

    pip install python-can
    python tests/benchmarks/routing.py

It makes and removes a vcan of its own. Absolute times are the machine's; the ratios are what
counts.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import subprocess
import sys
import time
from typing import Any

import anyio
from receive import (  # type: ignore[import-not-found,unused-ignore]  # beside this one
    INTERFACE,
    best,
    run,
    sender,
)

import anycan
from anycan import Filter, Frame

QUEUED = 4096
HANDLERS = 100
FIRST = 0x100
ROOM = 64 << 20
FLOOD_SECONDS = 5.0
_PAYLOADS = [
    struct.pack("=IBxxB8s", FIRST + number, 8, 0, b"\1\2\3\4\5\6\7\x08")
    for number in range(HANDLERS)
]
_UNWANTED = struct.pack("=IBxxB8s", 0x7FF, 8, 0, bytes(8))


# One socket, a hundred handlers


def queue_frames() -> None:
    """Send what the receiver is to find waiting: frames of a hundred identifiers in turn."""
    with sender() as plain:
        for number in range(QUEUED):
            plain.send(_PAYLOADS[number % HANDLERS])


async def _iterate() -> float:
    async with anycan.open_raw(INTERFACE, receive_buffer=ROOM) as can:
        queue_frames()
        count = 0
        start = time.perf_counter_ns()
        async for _ in can:
            count += 1
            if count == QUEUED:
                break
        return (time.perf_counter_ns() - start) / QUEUED


async def _route() -> float:
    count = 0
    done = anyio.Event()
    router = anycan.Router()

    async def handle(_frame: anycan.AnyFrame) -> None:
        nonlocal count
        count += 1
        if count == QUEUED:
            done.set()

    for number in range(HANDLERS):
        router.add(Filter.id(FIRST + number), handle)
    async with (
        anycan.open_raw(INTERFACE, receive_buffer=ROOM) as can,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(can, task_status=task_status))
        await anyio.wait_all_tasks_blocked()
        queue_frames()
        start = time.perf_counter_ns()
        await done.wait()
        result = (time.perf_counter_ns() - start) / QUEUED
        router.stop()
    return result


async def _python_can() -> float:
    import can  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - this one alone

    count = 0
    done = asyncio.Event()

    def listen(identifier: int) -> Any:
        def listener(message: Any) -> None:
            nonlocal count
            if message.arbitration_id == identifier:
                count += 1
                if count == QUEUED:
                    done.set()

        return listener

    with can.Bus(interface="socketcan", channel=INTERFACE) as bus:
        channel: Any = bus
        channel.socket.setsockopt(socket.SOL_SOCKET, 33, ROOM)
        listeners = [listen(FIRST + number) for number in range(HANDLERS)]
        notifier = can.Notifier(bus, listeners, loop=asyncio.get_running_loop())
        queue_frames()
        start = time.perf_counter_ns()
        await done.wait()
        result = (time.perf_counter_ns() - start) / QUEUED
        notifier.stop()
        return result


# Frames that nobody wants


async def _under_flood(*, flooded: bool) -> tuple[float, int]:
    """Give our processor seconds and the frames that came, of which one each 10 ms is wanted."""
    router = anycan.Router()
    count = 0

    @router.on(Filter.id(0x123))
    async def handle(_frame: anycan.AnyFrame) -> None:
        nonlocal count
        count += 1

    flood = None
    if flooded:
        flood = await anyio.open_process([sys.executable, __file__, "--flood"], stderr=None)
    async with (
        anycan.open_raw(INTERFACE) as can,
        anycan.open_raw(INTERFACE, filters=[]) as other,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: router.run(can, task_status=task_status))
        await anyio.sleep(2.0)  # until the flood is there
        before = resource.getrusage(resource.RUSAGE_SELF)
        end = time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < end:
            await other.send(Frame(0x123))
            await anyio.sleep(0.01)
        after = resource.getrusage(resource.RUSAGE_SELF)
        router.stop()
    if flood is not None:
        flood.kill()
        await flood.aclose()
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, count


def send_unwanted() -> None:
    """Send frames that nobody wants, as fast as it goes."""
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as plain:
        plain.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
        plain.bind((INTERFACE,))
        while True:
            plain.send(_UNWANTED)


def kernel_table() -> None:
    """Measure on an interface of the kernel, and print it."""
    print("\n| One socket, 100 handlers | µs/frame | Ratio |\n|---|---|---|")
    alone = {name: best(run(_iterate, name)) for name in ("asyncio", "uvloop", "trio")}
    for name, cost in alone.items():
        print(f"| async for on the endpoint alone, {name} | {cost / 1000:.1f} | 1 |")
    routed = {name: best(run(_route, name)) for name in ("asyncio", "uvloop", "trio")}
    for name, cost in routed.items():
        ratio = cost / alone[name]
        shown = f"{cost / 1000:.1f} | {ratio:.2f} x (bound 2)"
        print(f"| Router, 100 coroutine handlers, {name} | {shown} |")
    try:
        peer = best(run(_python_can))
    except ImportError:
        print("python-can is not installed: left out", file=sys.stderr)
    else:
        ratio = peer / routed["asyncio"]
        print(
            f"| python-can Notifier, 100 listeners | {peer / 1000:.1f} |"
            f" {ratio:.1f} x the router (bound: at least 15) |"
        )
    print("\n| Frames that nobody wants | our processor time | wanted frames received |")
    print("|---|---|---|")
    for flooded, name in ((False, "none"), (True, "at full rate")):
        used, count = asyncio.run(_under_flood(flooded=flooded))
        print(f"| {name} | {used / FLOOD_SECONDS:.1%} | {count} |")


def main() -> None:
    """Make the interface, measure, print."""
    if sys.argv[1:] == ["--flood"]:
        send_unwanted()
    subprocess.run(["ip", "link", "add", "dev", INTERFACE, "type", "vcan"], check=True)
    try:
        subprocess.run(["ip", "link", "set", INTERFACE, "up"], check=True)
        kernel_table()
    finally:
        subprocess.run(["ip", "link", "del", INTERFACE], check=True)


if __name__ == "__main__":
    main()
