"""What cyclic sending costs: the user-space network beside python-can's threads."""

from __future__ import annotations

import importlib
import importlib.util
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from anycan import Frame, UserNetwork, open_bcm
from suite.can import BACKENDS, ask
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from suite.case import Measured

can: Any = importlib.import_module("can") if importlib.util.find_spec("can") else None

INTERVAL = 0.01
SECONDS = 3.0


def _sent(frames: int, count: int, processor: float, wall: float) -> Measured:
    return {
        "frame": processor / frames * 1e6,
        "share": processor / wall * 100,
        "sent": frames / (count * wall / INTERVAL) * 100,
    }


async def _send_by_network(count: int) -> Measured:
    """Send by the broadcast manager of the user-space network."""
    async with UserNetwork() as network, AsyncExitStack() as stack:
        network.add_vcan("vcan0")
        bcm = await stack.enter_async_context(open_bcm("vcan0", network=network))
        for number in range(count):
            frame = Frame(number % 0x800, bytes(8))
            await stack.enter_async_context(bcm.send_cyclic(frame, interval=INTERVAL))
            if number % 100 == 0:
                await anyio.sleep(INTERVAL / 10)  # not all at one moment
        await anyio.sleep(INTERVAL * 10)
        before = network.interfaces()[0].sent
        wall, processor = time.monotonic(), time.process_time()
        await anyio.sleep(SECONDS)
        processor, wall = time.process_time() - processor, time.monotonic() - wall
        frames = network.interfaces()[0].sent - before
    return _sent(frames, count, processor, wall)


def _send_by_threads(count: int) -> Measured:
    """Send by python-can's cyclic tasks on its virtual bus."""
    if can is None:
        raise NotHereError("python-can is not installed")
    bus_class: Any = importlib.import_module("can.interfaces.virtual").VirtualBus

    class CountingBus(bus_class):  # type: ignore[misc]  # it is not always there
        sent = 0

        def send(self, msg: Any, timeout: float | None = None) -> None:
            self.sent += 1
            super().send(msg, timeout)

    with CountingBus("benchmark") as bus:
        for number in range(count):
            message = can.Message(arbitration_id=number % 0x800, data=bytes(8))
            bus.send_periodic(message, INTERVAL)
        time.sleep(INTERVAL * 10)
        before = bus.sent
        wall, processor = time.monotonic(), time.process_time()
        time.sleep(SECONDS)
        processor, wall = time.process_time() - processor, time.monotonic() - wall
        frames = bus.sent - before
        bus.stop_all_periodic_tasks()
    return _sent(frames, count, processor, wall)


def cases() -> list[Case]:
    """Give the case."""

    def ours(count: int, backend: str) -> Contender:
        measure = partial(ask, _send_by_network, backend, count)
        title = f"anycan, {count:,} messages, {backend}"
        return Contender(f"anycan_{count}_{backend}", title, measure)

    def theirs(count: int) -> Contender:
        title = f"python-can, {count:,} messages"
        return Contender(f"python_can_{count}", title, partial(_send_by_threads, count))

    case = Case(
        key="cyclic",
        title="Cyclic sending, every 10 ms",
        explanation=(
            "A thousand messages are sent every 10 ms, or a hundred, each by an operation of its"
            " own on the user-space network (in python-can, on its virtual bus, by a thread of its"
            f" own), for {SECONDS:g} seconds, and nobody listens. Processor time of the process per"
            " frame sent, its share of a core, and how many of the frames that were due have been"
            " sent. This is how it is without a kernel that has PF_CAN: on SocketCAN, python-can"
            " uses the kernel's broadcast manager as anycan does, which costs neither anything."
        ),
        metrics=(
            Metric("frame", "µs/frame"),
            Metric("share", "% of a core", digits=0, compared=False),
            Metric("sent", "% of frames due", compared=False),
        ),
        contenders=(
            *(ours(1000, backend) for backend in BACKENDS),
            ours(100, "asyncio"),
            theirs(1000),
            theirs(100),
        ),
        reference="anycan_1000_asyncio",
        bounds=(Bound("anycan_1000_asyncio", "frame", least=10.0, reference="python_can_1000"),),
        place="anywhere",
    )
    return [case]
