"""What the user-space network costs, in this process and served to others; beside python-can."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from anycan import Frame, open_raw
from anycan.network.user import UserNetwork
from anycan.sockets.networks import open_descriptor
from anycan.wire.constants import CAN_MTU, CAN_RAW, SOL_SOCKET
from anycan.wire.frames import encode_frame
from anycan.wire.messages import MessageBuffer, pack_address
from programs import across
from suite.can import BACKENDS, ROOM, SO_RCVBUFFORCE, ask
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from suite.case import Measured

can: Any = importlib.import_module("can") if importlib.util.find_spec("can") else None

TURNS = 3  # in a round, of which the least counts
QUEUED = 4096
FAN_OUT = (1, 2, 10, 50)
PATIENCE = 60.0
FRAME = Frame(0x123, bytes(8))
ACROSS = 200_000
ACROSS_BY_MULTICAST = 20_000


# In this process, microseconds of processor time


def _alone(receivers: int) -> float:
    """Give what the network takes for a frame: send and receive calls, without endpoints."""
    with UserNetwork() as network:
        address = pack_address(network.add_vcan("vcan0"))
        kind = socket.SOCK_RAW
        sockets = [open_descriptor(network, kind, CAN_RAW, "can-raw") for _ in range(receivers + 1)]
        for one in sockets:
            one.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, ROOM.to_bytes(4, sys.byteorder))
            one.bind(address)
        buffer = MessageBuffer(64, CAN_MTU)
        payloads = [encode_frame(FRAME)] * 64
        sender, *others = sockets
        received = 0
        start = time.process_time_ns()
        for _ in range(QUEUED // 64):
            sender.send(payloads)
            for other in others:
                received += other.receive(buffer)
        result = (time.process_time_ns() - start) / QUEUED / 1000
        assert received == QUEUED * receivers
        for one in sockets:
            one.close()
        return result


async def _between_endpoints(*, each: bool = False) -> float:
    async with UserNetwork() as network:
        network.add_vcan("vcan0")
        async with (
            open_raw("vcan0", network=network) as sender,
            open_raw("vcan0", network=network, receive_buffer=ROOM) as receiver,
        ):

            async def receive() -> None:
                count = 0
                async for _ in receiver:
                    count += 1
                    if count == QUEUED:
                        return

            frames = [FRAME] * QUEUED
            start = time.process_time_ns()
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(receive)
                    if each:
                        for frame in frames:
                            await sender.send(frame)
                    else:
                        await sender.send_many(frames)
            return (time.process_time_ns() - start) / QUEUED / 1000


async def _on_virtual_bus() -> float:
    if can is None:
        raise NotHereError("python-can is not installed")
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
        with anyio.fail_after(PATIENCE):
            async for _ in reader:
                count += 1
                if count == QUEUED:
                    break
        result = (time.process_time_ns() - start) / QUEUED / 1000
        notifier.stop()
        return result


def _least(measure: Callable[[], float], receivers: int = 1) -> Measured:
    frame = min(measure() for _ in range(TURNS))  # the first warms up
    return {"frame": frame, "each": frame / receivers}


def _in_process() -> Case:
    return Case(
        key="network",
        title="The user-space network, in one process",
        explanation=(
            f"{QUEUED:,} frames are sent and received. The network alone is the send and receive"
            " calls of its sockets, without endpoints; the others are a program that sends, and a"
            " task that receives each frame. They send by send_many(), unless send() is named,"
            " which is called for each frame; python-can has that alone. Processor time; of the"
            f" {TURNS} passes in a round the least counts."
        ),
        metrics=(
            Metric("frame", "µs/frame", digits=2),
            Metric("each", "µs/frame and receiver", digits=2, compared=False),
        ),
        contenders=(
            *(
                Contender(
                    f"anycan_alone_{receivers}",
                    f"the network alone, {receivers} receiver{'s' if receivers > 1 else ''}",
                    partial(_least, partial(_alone, receivers), receivers),
                )
                for receivers in FAN_OUT
            ),
            *(
                Contender(
                    f"anycan_{backend}",
                    f"open_raw() to open_raw(), {backend}",
                    partial(_least, partial(ask, _between_endpoints, backend)),
                )
                for backend in BACKENDS
            ),
            *(
                Contender(
                    f"anycan_each_{backend}",
                    f"open_raw() to open_raw(), send(), {backend}",
                    partial(_least, partial(ask, partial(_between_endpoints, each=True), backend)),
                )
                for backend in BACKENDS
            ),
            Contender(
                "python_can",
                "python-can virtual, Notifier + AsyncBufferedReader",
                partial(_least, partial(ask, _on_virtual_bus)),
            ),
        ),
        reference="anycan_asyncio",
        bounds=(
            Bound("anycan_alone_1", "frame", most=3.0),
            Bound("anycan_asyncio", "frame", least=5.0, reference="python_can"),
        ),
        place="anywhere",
    )


# From process to process


@contextmanager
def _program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, across.__file__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"{process.args!r} has ended: status {process.wait()}"
    return line


def _to_another(receiving: tuple[str, ...], sending: tuple[str, ...], expected: int) -> Measured:
    with _program(*receiving) as receiver:
        assert _next_line(receiver) == "ready\n"
        with _program(*sending) as sender:
            microseconds, received = map(float, _next_line(receiver).split())
            assert sender.wait(PATIENCE) == 0
    return {"frame": microseconds, "received": received / expected * 100}


def _served() -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "network")
        with _program("serve", path) as server:
            assert _next_line(server) == "ready\n"
            count = str(ACROSS)
            result = _to_another(("receive", path, count), ("send", path, count), ACROSS)
    assert result["received"] == 100
    return result


def _multicast() -> Measured:
    for module in ("can", "msgpack"):
        if importlib.util.find_spec(module) is None:
            raise NotHereError(f"{module} is not installed")
    count = str(ACROSS_BY_MULTICAST)
    return _to_another(("multicast-receive", count), ("multicast-send", count), ACROSS_BY_MULTICAST)


def _across() -> Case:
    return Case(
        key="served",
        title="From process to process",
        explanation=(
            f"One process sends {ACROSS:,} frames as fast as it can, another one receives them, and"
            " a third one serves the user-space network. With python-can's udp_multicast there are"
            f" two processes and {ACROSS_BY_MULTICAST:,} frames. Wall time, from the first frame"
            " to the last, per frame received."
        ),
        metrics=(
            Metric("frame", "µs/frame", digits=2),
            Metric("received", "% of frames received", compared=False),
        ),
        contenders=(
            Contender("anycan", "anycan, served", _served),
            Contender("python_can", "python-can udp_multicast", _multicast),
        ),
        reference="anycan",
        bounds=(Bound("anycan", "frame", least=10.0, reference="python_can"),),
        place="anywhere",
    )


def cases() -> list[Case]:
    """Give the cases."""
    return [_in_process(), _across()]
