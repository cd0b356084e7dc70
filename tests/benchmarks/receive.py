"""What receiving costs: anycan beside C, python-can and a bare event loop, in one run.

Run it where there is PF_CAN and the right to make a vcan (see CONTRIBUTING.md for the kernel lab)::

    pip install python-can
    python tests/benchmarks/receive.py

It makes and removes a vcan of its own, and prints a table of microseconds per frame and ratios.
Absolute times are the machine's; the ratios are what counts.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import uvloop

import anycan

if TYPE_CHECKING:
    from collections.abc import Callable

INTERFACE = "vcanbench0"
QUEUED = 4000
WAKEUPS = 1000
ROUNDS = 5
_ROOM = 64 << 20
_PAYLOAD = struct.pack("=IBxxB8s", 0x123, 8, 0, b"\1\2\3\4\5\6\7\x08")


def sender() -> socket.socket:
    """Open a plain socket that only sends."""
    plain = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    plain.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
    plain.bind((INTERFACE,))
    return plain


def queue_frames(plain: socket.socket) -> None:
    """Send what the receiver is to find waiting."""
    for _ in range(QUEUED):
        plain.send(_PAYLOAD)


def best(measure: Callable[[], float]) -> float:
    """Give the least of several rounds, in nanoseconds per frame."""
    results = []
    for _ in range(ROUNDS):
        gc.collect()
        results.append(measure())
    return min(results)


def c_program(program: Path) -> float:
    """Drain by the C program."""
    with subprocess.Popen(
        [program, INTERFACE, str(QUEUED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with sender() as plain:
            queue_frames(plain)
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())


async def _receive_many() -> float:
    async with anycan.open_raw(INTERFACE, receive_buffer=_ROOM) as can:
        with sender() as plain:
            queue_frames(plain)
        count = 0
        start = time.perf_counter_ns()
        while count < QUEUED:
            count += len(await can.receive_many())
        return (time.perf_counter_ns() - start) / QUEUED


async def _iterate() -> float:
    async with anycan.open_raw(INTERFACE, receive_buffer=_ROOM) as can:
        with sender() as plain:
            queue_frames(plain)
        count = 0
        start = time.perf_counter_ns()
        async for _ in can:
            count += 1
            if count == QUEUED:
                break
        return (time.perf_counter_ns() - start) / QUEUED


async def _python_can() -> float:
    import can  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - this one alone

    with can.Bus(interface="socketcan", channel=INTERFACE) as bus:
        channel: Any = bus
        channel.socket.setsockopt(socket.SOL_SOCKET, 33, _ROOM)
        reader = can.AsyncBufferedReader()
        with sender() as plain:
            queue_frames(plain)
        start = time.perf_counter_ns()
        notifier = can.Notifier(bus, [reader], loop=asyncio.get_running_loop())
        for _ in range(QUEUED):
            await reader.get_message()
        result = (time.perf_counter_ns() - start) / QUEUED
        notifier.stop()
        return result


async def _wake_bare() -> float:
    loop = asyncio.get_running_loop()
    plain = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    plain.setblocking(False)
    plain.bind((INTERFACE,))
    future: asyncio.Future[bytes] = loop.create_future()
    loop.add_reader(plain, lambda: future.set_result(plain.recv(72)))
    total = 0
    with sender() as other:
        for _ in range(WAKEUPS):
            other.send(_PAYLOAD)
            start = time.perf_counter_ns()
            await future
            total += time.perf_counter_ns() - start
            future = loop.create_future()
    loop.remove_reader(plain)
    plain.close()
    return total / WAKEUPS


async def _wake_anycan() -> float:
    total = 0
    async with anycan.open_raw(INTERFACE) as can:
        with sender() as other:
            for _ in range(WAKEUPS):
                other.send(_PAYLOAD)
                start = time.perf_counter_ns()
                await can.receive()
                total += time.perf_counter_ns() - start
    return total / WAKEUPS


def run(function: Callable[[], Any], backend: str = "asyncio") -> Callable[[], float]:
    """Give a measurement that runs an async function on a back end."""
    if backend == "uvloop":
        options = {"loop_factory": uvloop.new_event_loop}
        return lambda: anyio.run(function, backend_options=options)
    return lambda: anyio.run(function, backend=backend)


def table() -> list[tuple[str, float, str]]:
    """Measure all; rows of name, nanoseconds per frame and ratio."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory, "drain")
        compiler = shutil.which("cc") or "cc"
        source = Path(__file__).with_name("drain.c")
        subprocess.run([compiler, "-O2", "-o", program, source], check=True)
        floor = best(lambda: c_program(program))
    rows = [("C, recvmsg with time stamp and drop count", floor, "1")]
    many = best(run(_receive_many))
    rows.append(("anycan receive_many(), asyncio", many, f"{many / floor:.2f} x C (bound 4)"))
    for backend in ("uvloop", "trio"):
        other = best(run(_receive_many, backend))
        rows.append((f"anycan receive_many(), {backend}", other, f"{other / floor:.2f} x C"))
    for backend in ("asyncio", "uvloop", "trio"):
        other = best(run(_iterate, backend))
        bound = " (bound 1.5)" if backend == "asyncio" else ""
        ratio = f"{other / many:.2f} x receive_many() on asyncio{bound}"
        rows.append((f"anycan async for, {backend}", other, ratio))
    try:
        peer = best(run(_python_can))
    except ImportError:
        print("python-can is not installed: left out", file=sys.stderr)
    else:
        ratio = f"{peer / many:.1f} x receive_many() (bound: at least 20)"
        rows.append(("python-can Notifier + AsyncBufferedReader", peer, ratio))
    bare = best(run(_wake_bare))
    rows.append(("one frame a wake-up: add_reader, recv, future", bare, "1"))
    wake = best(run(_wake_anycan))
    rows.append(("one frame a wake-up: anycan receive()", wake, f"{wake / bare:.2f} x (bound 1.4)"))
    return rows


def main() -> None:
    """Make the interface, measure, print."""
    subprocess.run(["ip", "link", "add", "dev", INTERFACE, "type", "vcan"], check=True)
    try:
        subprocess.run(["ip", "link", "set", INTERFACE, "up"], check=True)
        print("| Receive path | µs/frame | Ratio |\n|---|---|---|")
        for name, nanoseconds, ratio in table():
            print(f"| {name} | {nanoseconds / 1000:.1f} | {ratio} |")
    finally:
        subprocess.run(["ip", "link", "del", INTERFACE], check=True)


if __name__ == "__main__":
    main()
