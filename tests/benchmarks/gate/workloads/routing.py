"""A router with a hundred subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

import anycan
from gate.batch import BATCH, FIRST_IDENTIFIER, PAYLOADS
from gate.loopback import open_loopback
from gate.meter import Meter, Workload

if TYPE_CHECKING:
    from anycan import AnyFrame

_ROUNDS: Final = 8
_SUBSCRIPTIONS: Final = 100


async def _dispatch(meter: Meter) -> None:
    taken = 0

    async def take(_: AnyFrame) -> None:
        nonlocal taken
        taken += 1
        if taken == BATCH:
            all_taken.set()

    router = anycan.Router()
    for number in range(_SUBSCRIPTIONS):
        router.add(anycan.Filter.id(FIRST_IDENTIFIER + number), take)
    async with open_loopback() as (can, bus), anyio.create_task_group() as tasks:
        await tasks.start(router.run, can)
        for counted in meter.rounds(_ROUNDS, BATCH):
            for payload in PAYLOADS:
                bus.send(payload)
            taken, all_taken = 0, anyio.Event()
            with counted:
                await all_taken.wait()
        assert can.statistics().dropped == 0
        router.stop()


WORKLOADS: Final = (
    Workload(
        "dispatch",
        f"Router, {_SUBSCRIPTIONS} handlers, recvmmsg, asyncio",
        lambda meter: anyio.run(_dispatch, meter),
        "anycan.sockets.kernel:KernelDescriptor.receive",
    ),
)
