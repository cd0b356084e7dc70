"""What cyclic sending costs: the user-space network beside python-can's threads, in one run.

It needs no kernel support and no rights::

    pip install python-can
    python tests/benchmarks/cyclic.py

A thousand messages are sent every 10 ms, or a hundred, each by an operation of its own (in
python-can, on its virtual bus, a thread of its own), and nobody listens. What is printed is the
processor time of the whole process per frame sent, the share of one core, and how many of the
frames that were due have been sent.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import uvloop

import anycan

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.01
SECONDS = 3.0
ROUNDS = 3


@attrs.frozen
class Result:
    """What sending for a while has cost.

    Attributes:
        frames: How many frames were sent.
        ideal: How many should have been.
        processor: Seconds of processor time.
        wall: Seconds.
    """

    frames: int
    ideal: float
    processor: float
    wall: float

    @property
    def microseconds(self) -> float:
        return self.processor / self.frames * 1e6


async def user_network(count: int) -> Result:
    """Send by the broadcast manager of the user-space network."""
    async with anycan.UserNetwork() as network, AsyncExitStack() as stack:
        network.add_vcan("vcan0")
        bcm = await stack.enter_async_context(anycan.open_bcm("vcan0", network=network))
        for number in range(count):
            frame = anycan.Frame(number % 0x800, bytes(8))
            await stack.enter_async_context(bcm.send_cyclic(frame, interval=INTERVAL))
            if number % 100 == 0:
                await anyio.sleep(INTERVAL / 10)  # not all at one moment
        before = network.interfaces()[0].sent
        wall, processor = time.monotonic(), time.process_time()
        await anyio.sleep(SECONDS)
        processor, wall = time.process_time() - processor, time.monotonic() - wall
        frames = network.interfaces()[0].sent - before
    return Result(frames, count * wall / INTERVAL, processor, wall)


def python_can(count: int) -> Result:
    """Send by python-can's cyclic tasks on its virtual bus."""
    from can import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - as below
        Message,
    )
    from can.interfaces.virtual import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - this one alone
        VirtualBus,
    )

    bus_class: Any = VirtualBus

    class CountingBus(bus_class):  # type: ignore[misc,unused-ignore]  # it is not always there
        sent = 0

        def send(self, msg: Any, timeout: float | None = None) -> None:
            self.sent += 1
            super().send(msg, timeout)

    with CountingBus("bench") as bus:
        for number in range(count):
            message = Message(arbitration_id=number % 0x800, data=bytes(8))
            bus.send_periodic(message, INTERVAL)
        time.sleep(INTERVAL * 10)
        before = bus.sent
        wall, processor = time.monotonic(), time.process_time()
        time.sleep(SECONDS)
        processor, wall = time.process_time() - processor, time.monotonic() - wall
        frames = bus.sent - before
        bus.stop_all_periodic_tasks()
        while threading.active_count() > 1:  # they would take their share of what comes next
            time.sleep(INTERVAL)
    return Result(frames, count * wall / INTERVAL, processor, wall)


def on(backend: str, count: int) -> Callable[[], Result]:
    """Give a measurement of the user-space network on a back end."""
    if backend == "uvloop":
        options = {"loop_factory": uvloop.new_event_loop}
        return lambda: anyio.run(user_network, count, backend_options=options)
    return lambda: anyio.run(user_network, count, backend=backend)


def main() -> None:
    """Measure, in turns, and print a table of medians."""
    cases = [
        *((f"anycan, 1,000 messages, {name}", on(name, 1000)) for name in _BACKENDS),
        ("anycan, 100 messages, asyncio", on("asyncio", 100)),
    ]
    try:
        import can  # type: ignore[import-not-found,unused-ignore]  # noqa: F401, PLC0415 - asked for
    except ImportError:
        print("python-can is not installed: left out", file=sys.stderr)
    else:
        cases.append(("python-can, 1,000 messages", lambda: python_can(1000)))
        cases.append(("python-can, 100 messages", lambda: python_can(100)))
    results: dict[str, list[Result]] = {name: [] for name, _ in cases}
    for _ in range(ROUNDS):
        for name, measure in cases:
            results[name].append(measure())
    base = statistics.median(one.microseconds for one in results[cases[0][0]])
    print("| Cyclic sending, every 10 ms | µs/frame | Ratio | Of one core | Frames, of ideal |")
    print("|---|---|---|---|---|")
    for name, rounds in results.items():
        cost = statistics.median(one.microseconds for one in rounds)
        share = statistics.median(one.processor / one.wall for one in rounds)
        kept = statistics.median(one.frames / one.ideal for one in rounds)
        print(f"| {name} | {cost:.1f} | {cost / base:.1f} | {share:.0%} | {kept:.1%} |")


_BACKENDS = ("asyncio", "uvloop", "trio")

if __name__ == "__main__":
    main()
