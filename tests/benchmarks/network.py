"""What the user-space network costs, in this process and served to others; beside python-can.

It needs no kernel with PF_CAN, and no rights::

    pip install python-can msgpack
    python tests/benchmarks/network.py

Absolute times are the machine's; the ratios are what counts.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

import anycan
from anycan import Frame
from anycan.network.user import UserNetwork
from anycan.sockets.networks import open_descriptor
from anycan.wire.constants import CAN_MTU, CAN_RAW
from anycan.wire.frames import encode_frame
from anycan.wire.messages import MessageBuffer, pack_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 5
QUEUED = 4096
ROOM = 64 << 20
FAN_OUT = (1, 2, 10, 50)
ACROSS = 200_000
GROUP = "ff15:7079:7468:6f6e:6465:6d6f:6d63:6173"  # python-can's own for IPv6
FRAME = Frame(0x123, bytes(8))


def row(what: str, value: float, unit: str, ratio: str = "") -> None:
    """Print a row of the table."""
    sys.stdout.write(f"| {what} | {value:.2f} {unit} | {ratio} |\n")
    sys.stdout.flush()


def least(measure: Callable[[], float]) -> float:
    """Give the least of some rounds."""
    results = []
    for _ in range(ROUNDS):
        gc.collect()
        results.append(measure())
    return min(results)


# In this process, microseconds of processor time


def network_alone(receivers: int) -> float:
    """Give what the network takes for a frame: send and receive calls, without endpoints."""
    with UserNetwork() as network:
        address = pack_address(network.add_vcan("vcan0"))
        sockets = [open_descriptor(network, 3, CAN_RAW, "can-raw") for _ in range(receivers + 1)]
        for one in sockets:
            one.setsockopt(1, 33, ROOM.to_bytes(4, sys.byteorder))  # SO_RCVBUFFORCE
            one.bind(address)
        buffer = MessageBuffer(64, CAN_MTU)
        payloads = [encode_frame(FRAME)] * 64
        sender, *others = sockets
        start = time.process_time_ns()
        for _ in range(QUEUED // 64):
            sender.send(payloads)
            for other in others:
                other.receive(buffer)
        result = (time.process_time_ns() - start) / QUEUED / 1000
        for one in sockets:
            one.close()
        return result


async def _endpoints(receivers: int) -> float:
    async with UserNetwork() as network:
        network.add_vcan("vcan0")
        async with (
            anycan.open_raw("vcan0", network=network) as sender,
            AsyncExitStack() as stack,
        ):
            opened = [
                await stack.enter_async_context(
                    anycan.open_raw("vcan0", network=network, receive_buffer=ROOM)
                )
                for _ in range(receivers)
            ]

            async def receive(can: anycan.RawEndpoint) -> None:
                count = 0
                async for _ in can:
                    count += 1
                    if count == QUEUED:
                        return

            frames = [FRAME] * QUEUED
            start = time.process_time_ns()
            async with anyio.create_task_group() as tasks:
                for one in opened:
                    tasks.start_soon(receive, one)
                await sender.send_many(frames)
            return (time.process_time_ns() - start) / QUEUED / 1000


async def _virtual() -> float:
    import can  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - this one alone

    with (
        can.Bus(interface="virtual", channel="benchmark") as sender,
        can.Bus(interface="virtual", channel="benchmark") as receiver,
    ):
        message = can.Message(arbitration_id=0x123, data=bytes(8), is_extended_id=False)
        reader = can.AsyncBufferedReader()
        start = time.process_time_ns()
        notifier = can.Notifier(receiver, [reader], loop=asyncio.get_running_loop())
        for _ in range(QUEUED):
            sender.send(message)
        count = 0
        async for _ in reader:
            count += 1
            if count == QUEUED:
                break
        result = (time.process_time_ns() - start) / QUEUED / 1000
        notifier.stop()
        return result


# Across processes, frames a second


def _served(path: str, ready: Any) -> None:
    async def serve() -> None:
        async with UserNetwork() as network, anyio.create_task_group() as tasks:
            network.add_vcan("vcan0")
            # Nothing paces the sender: what the receiver cannot take at once is to wait for it.
            limits = anycan.ServerLimits(buffer=512 << 20, buffers=1 << 30)
            await tasks.start(
                lambda task_status: network.serve(path, limits=limits, task_status=task_status)
            )
            ready.set()

    anyio.run(serve)


def _anycan_receiver(path: str, ready: Any, results: Any) -> None:
    async def receive() -> None:
        async with (
            await anycan.connect_network(path) as network,
            anycan.open_raw("vcan0", network=network, receive_buffer=256 << 20) as can,
        ):
            ready.set()
            count = len(await can.receive_many())
            start = time.perf_counter()
            first = count
            with anyio.move_on_after(None) as scope:
                while count < ACROSS:
                    scope.deadline = anyio.current_time() + 2
                    count += len(await can.receive_many())
                    end = time.perf_counter()
            results.put(((count - first) / (end - start), count))

    anyio.run(receive)


def _anycan_sender(path: str) -> None:
    async def send() -> None:
        async with (
            await anycan.connect_network(path) as network,
            anycan.open_raw("vcan0", network=network) as can,
        ):
            frames = [FRAME] * 500
            for _ in range(ACROSS // 500):
                await can.send_many(frames)

    anyio.run(send)


def _multicast_bus() -> Any:
    import can  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - this one alone

    return can.Bus(interface="udp_multicast", channel=GROUP, receive_own_messages=False)


def _multicast_receiver(ready: Any, results: Any) -> None:
    with _multicast_bus() as bus:
        bus._multicast._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        ready.set()
        count, start, end = 0, 0.0, 1.0
        while count < ACROSS // 10 and bus.recv(2.0) is not None:
            end = time.perf_counter()
            start = start or end
            count += 1
        results.put((count / (end - start), count))


def _multicast_sender() -> None:
    import can  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - this one alone

    with _multicast_bus() as bus:
        message = can.Message(arbitration_id=0x123, data=bytes(8), is_extended_id=False)
        for _ in range(ACROSS // 10):
            bus.send(message)


def across(*, multicast: bool) -> tuple[float, float]:
    """Give how many frames a second come from one process to another, and which part of them."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Event(), context.Queue()
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "network")
        server = None
        if multicast:
            receiver = context.Process(target=_multicast_receiver, args=(ready, results))
            sender = context.Process(target=_multicast_sender)
        else:
            server = context.Process(target=_served, args=(path, ready))
            server.start()
            ready.wait()
            ready.clear()
            receiver = context.Process(target=_anycan_receiver, args=(path, ready, results))
            sender = context.Process(target=_anycan_sender, args=(path,))
        receiver.start()
        ready.wait()
        sender.start()
        rate, count = results.get()
        sender.join()
        receiver.join()
        if server is not None:
            server.kill()
            server.join()
        return rate, count / (ACROSS // 10 if multicast else ACROSS)


def _run(function: Callable[..., Awaitable[float]], *arguments: Any) -> float:
    return least(lambda: anyio.run(function, *arguments))


def main() -> None:
    """Print the tables."""
    sys.stdout.write("| In one process, a frame | processor time | |\n|---|---|---|\n")
    alone = least(lambda: network_alone(1))
    row("the network alone, one receiver", alone, "us", "bound 3")
    endpoints = _run(_endpoints, 1)
    row("open_raw() to open_raw(), asyncio", endpoints, "us")
    virtual = _run(_virtual)
    row(
        "python-can virtual, Notifier + AsyncBufferedReader",
        virtual,
        "us",
        f"{virtual / endpoints:.1f} x (bound 5)",
    )
    each = {}
    for receivers in FAN_OUT:
        each[receivers] = least(lambda receivers=receivers: network_alone(receivers)) / receivers  # type: ignore[misc]  # as above
        row(f"the network alone, {receivers} receivers, each", each[receivers], "us")
    sys.stdout.write("\n| From process to process | frames a second | |\n|---|---|---|\n")
    rates = [across(multicast=False) for _ in range(3)]
    ours = statistics.median(rate for rate, _ in rates)
    part = min(part for _, part in rates)
    row("anycan, served", ours, "", f"{part:.1%} received")
    rates = [across(multicast=True) for _ in range(3)]
    theirs = statistics.median(rate for rate, _ in rates)
    part = min(part for _, part in rates)
    ratio = f"anycan: {ours / theirs:.1f} x (bound 10); {part:.1%} received"
    row("python-can udp_multicast", theirs, "", ratio)


if __name__ == "__main__":
    main()
