"""Sending: the kernel's sockets in an event loop."""

from __future__ import annotations

from typing import Final

import anyio

from gate.batch import BATCH, FRAMES
from gate.loopback import open_loopback
from gate.meter import Meter, Workload

_ROUNDS: Final = 8
_WRITE: Final = "anycan.sockets.kernel:KernelDescriptor.send"


async def _send_many(meter: Meter) -> None:
    async with open_loopback() as (can, _):
        for counted in meter.rounds(_ROUNDS, BATCH):
            with counted:
                sent = await can.send_many(FRAMES)
            assert sent == BATCH


async def _send(meter: Meter) -> None:
    async with open_loopback() as (can, _):
        for counted in meter.rounds(_ROUNDS, BATCH):
            with counted:
                for frame in FRAMES:
                    await can.send(frame)


WORKLOADS: Final = (
    Workload(
        "send_many",
        "send_many(), sendmmsg, asyncio",
        lambda meter: anyio.run(_send_many, meter),
        _WRITE,
    ),
    Workload("send", "send(), asyncio", lambda meter: anyio.run(_send, meter), _WRITE),
)
