"""A service that awaits frames: handlers that keep state, a stream, an alarm, a clean end.

A router reads the interface for all of them, and calls each handler with its own frames. SIGTERM
or Ctrl-C ends the service once it has handled what it had read.

Usage:

    python frame_service.py can0      # the kernel, or what ANYCAN_NETWORK names
    python frame_service.py --user    # a network in this program, with an engine and a tester
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED

from anycan import (
    Filter,
    Frame,
    FrameSubscription,
    InterfaceRemovedError,
    Network,
    Router,
    UserNetwork,
    open_raw,
)

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

SPEED = Filter.id(0x0C0)  # bytes 0 and 1: a bit for 0.25 rpm
TEMPERATURE = Filter.id(0x280)  # byte 0: a bit for 1 degree, from -40
DIAGNOSIS = Filter.range(0x7E0, 0x7EF)
ALARM = 0x5F0
TOO_HOT = 110


class EngineWatch:
    """What is known of the engine, with the handlers that keep it."""

    def __init__(self, router: Router) -> None:
        self.highest_rpm = 0.0
        self.too_hot = False
        self._router = router
        router.add(SPEED, self.speed, batch=True)
        router.add(TEMPERATURE, self.temperature)

    def speed(self, frames: list[Frame]) -> None:
        """Take all speeds that wait, in one call."""
        speeds = [int.from_bytes(frame.data[:2]) / 4 for frame in frames]
        self.highest_rpm = max(self.highest_rpm, *speeds)

    async def temperature(self, frame: Frame) -> None:
        """Send an alarm to where the frame came from, once for each time that it gets too hot."""
        was_too_hot, self.too_hot = self.too_hot, frame.data[0] - 40 > TOO_HOT
        if self.too_hot and not was_too_hot:
            await self._router.reply(frame, Frame(ALARM, frame.data[:1]))


async def print_all(frames: FrameSubscription) -> None:
    """Print frames until the router ends, and what it had read by then."""
    async for frame in frames:
        print("diagnosis:", frame)


async def stop_at_signal(router: Router) -> None:
    """Stop the router at the first signal. A second one ends the program in Python's own way."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            router.stop(timeout=2.0)
            return


async def serve(
    interface: str,
    *,
    network: Network | None = None,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Serve until a signal comes, or the interface is gone."""
    router = Router()
    watch = EngineWatch(router)
    async with (
        open_raw(interface, network=network) as can,
        router.subscribe(DIAGNOSIS, name="diagnosis", capacity=256) as diagnosis,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(stop_at_signal, router)
        try:
            async with anyio.create_task_group() as readers:
                readers.start_soon(print_all, diagnosis)
                await router.run(can, task_status=task_status)
        except* InterfaceRemovedError as errors:
            print(*errors.exceptions)
        tasks.cancel_scope.cancel()
        print(f"highest speed: {watch.highest_rpm:.0f} rpm")
        for name, counted in router.statistics().subscriptions:
            print(f"{name}: {counted.delivered} handled, {counted.dropped} dropped")


async def rehearse() -> None:
    """Be the engine and the tester on a user-space network, and the one who stops the service."""
    async with UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        await tasks.start(partial(serve, "vcan0", network=network))
        async with open_raw("vcan0", filters=Filter.id(ALARM), network=network) as bus:
            for rpm in range(800, 3200, 100):
                await bus.send(Frame(0x0C0, (rpm * 4).to_bytes(2)))
            await bus.send(Frame(0x7E0, b"\x3e\x00"))
            await bus.send_many(Frame(0x280, bytes([40 + degrees])) for degrees in (90, 111, 112))
            print("alarm:", await bus.receive())
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run it on the interface that was named."""
    if sys.argv[1:] == ["--user"]:
        anyio.run(rehearse)
    elif len(sys.argv) == 2:
        anyio.run(serve, sys.argv[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
