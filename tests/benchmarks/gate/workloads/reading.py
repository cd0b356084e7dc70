"""Receiving: decoding a batch, and the kernel's sockets in an event loop."""

from __future__ import annotations

from typing import Final

import anyio

from gate.batch import BATCH, PAYLOADS, filled_buffer
from gate.loopback import open_loopback
from gate.meter import Meter, Workload

_ROUNDS: Final = 8
_READ: Final = "anycan.sockets.kernel:KernelDescriptor.receive"


def _decode(meter: Meter) -> None:
    buffer = filled_buffer()
    for counted in meter.rounds(16, BATCH):
        with counted:
            frames = buffer.decode(BATCH, {}, "can0")
        assert len(frames) == BATCH


async def _receive_many(meter: Meter) -> None:
    async with open_loopback() as (can, bus):
        for counted in meter.rounds(_ROUNDS, BATCH):
            for payload in PAYLOADS:
                bus.send(payload)
            count = 0
            with counted:
                while count < BATCH:
                    count += len(await can.receive_many())
        assert can.statistics().dropped == 0


async def _iterate(meter: Meter) -> None:
    async with open_loopback() as (can, bus):
        for counted in meter.rounds(_ROUNDS, BATCH):
            for payload in PAYLOADS:
                bus.send(payload)
            left = BATCH
            with counted:
                async for _ in can:
                    left -= 1
                    if not left:
                        break
        assert can.statistics().dropped == 0


async def _wake(meter: Meter) -> None:
    async with open_loopback() as (can, bus):
        for counted in meter.rounds(_ROUNDS, BATCH // 2):
            with counted:
                for payload in PAYLOADS[: BATCH // 2]:
                    bus.send(payload)
                    await can.receive()
        assert can.statistics().dropped == 0


WORKLOADS: Final = (
    Workload(
        "decode",
        "decode a batch",
        _decode,
        "anycan.wire.frame_buffer:FrameBuffer.decode",
    ),
    Workload(
        "receive_many",
        "receive_many(), recvmmsg, asyncio",
        lambda meter: anyio.run(_receive_many, meter),
        _READ,
    ),
    Workload(
        "iterate",
        "async for, recvmmsg, asyncio",
        lambda meter: anyio.run(_iterate, meter),
        _READ,
    ),
    Workload(
        "wake",
        "receive(), one frame a wake-up, asyncio",
        lambda meter: anyio.run(_wake, meter),
        _READ,
    ),
)
