"""Sends frames from one process to another: what the case ``served`` measures.

Usage: across.py serve PATH | receive PATH COUNT | send PATH COUNT, by a served user-space network;
or across.py multicast-receive COUNT | multicast-send COUNT, by python-can's udp_multicast.

Who serves or receives prints "ready" when it is; who receives prints microseconds per frame and the
number of frames received, when it has all of them, or when no more have come for a while.
"""

from __future__ import annotations

import importlib
import socket
import sys
import time
from typing import Any

import anyio

import anycan

ROOM = 64 << 20
PATIENCE = 30.0  # seconds for the first frame
SILENCE = 5.0  # seconds after which no more frames are expected
GROUP = "ff15:7079:7468:6f6e:6465:6d6f:6d63:6173"  # python-can's own for IPv6


def _report(count: int, seconds: float, received: int) -> None:
    print(f"{seconds / count * 1e6 if count else float('inf')} {received}", flush=True)


async def serve(path: str) -> None:
    """Serve a network with an interface, until killed."""
    async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        # Nothing paces the sender: what the receiver cannot take at once is to wait for it.
        limits = anycan.ServerLimits(buffer=512 << 20, buffers=1 << 30)
        await tasks.start(
            lambda task_status: network.serve(path, limits=limits, task_status=task_status)
        )
        print("ready", flush=True)


async def receive(path: str, expected: int) -> None:
    """Receive from the network, from the first batch on."""
    async with (
        await anycan.connect_network(path) as network,
        anycan.open_raw("vcan0", network=network, receive_buffer=256 << 20) as can,
    ):
        print("ready", flush=True)
        with anyio.fail_after(PATIENCE):
            first = count = len(await can.receive_many())
        start = end = time.perf_counter()
        with anyio.move_on_after(SILENCE) as scope:
            while count < expected:
                count += len(await can.receive_many())
                end = time.perf_counter()
                scope.deadline = anyio.current_time() + SILENCE
        _report(count - first, end - start, count)


async def send(path: str, count: int) -> None:
    """Send to the network."""
    async with (
        await anycan.connect_network(path) as network,
        anycan.open_raw("vcan0", network=network) as can,
    ):
        frames = [anycan.Frame(0x123, bytes(8))] * 500
        for _ in range(count // 500):
            await can.send_many(frames)


def _bus() -> Any:
    can = importlib.import_module("can")
    return can.Bus(interface="udp_multicast", channel=GROUP, receive_own_messages=False)


def multicast_receive(expected: int) -> None:
    """Receive from the group, from the first frame on."""
    with _bus() as bus:
        bus._multicast._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        print("ready", flush=True)
        if bus.recv(PATIENCE) is None:
            raise TimeoutError("no frame has come")
        count = 1
        start = end = time.perf_counter()
        while count < expected and bus.recv(SILENCE) is not None:
            end = time.perf_counter()
            count += 1
        _report(count - 1, end - start, count)


def multicast_send(count: int) -> None:
    """Send to the group."""
    with _bus() as bus:
        message = importlib.import_module("can").Message(
            arbitration_id=0x123, data=bytes(8), is_extended_id=False
        )
        for _ in range(count):
            bus.send(message)


if __name__ == "__main__":
    match sys.argv[1:]:
        case "serve", path:
            anyio.run(serve, path)
        case "receive", path, number:
            anyio.run(receive, path, int(number))
        case "send", path, number:
            anyio.run(send, path, int(number))
        case "multicast-receive", number:
            multicast_receive(int(number))
        case "multicast-send", number:
            multicast_send(int(number))
        case _:
            sys.exit(__doc__)
