"""The user-space network: from endpoint to endpoint."""

from __future__ import annotations

from typing import Final

import anyio

import anycan
from gate.batch import BATCH, FRAMES
from gate.meter import Meter, Workload

_ROUNDS: Final = 8


async def _endpoints(meter: Meter) -> None:
    async with anycan.UserNetwork() as network:
        network.add_vcan("vcan0")
        async with (
            anycan.open_raw("vcan0", network=network) as sender,
            anycan.open_raw("vcan0", network=network) as receiver,
        ):
            for counted in meter.rounds(_ROUNDS, BATCH):
                count = 0
                with counted:
                    await sender.send_many(FRAMES)
                    while count < BATCH:
                        count += len(await receiver.receive_many())


WORKLOADS: Final = (
    Workload(
        "user_network",
        "user network: send_many() to receive_many()",
        lambda meter: anyio.run(_endpoints, meter),
        "anycan.sockets.user:UserDescriptor.send",
    ),
)
