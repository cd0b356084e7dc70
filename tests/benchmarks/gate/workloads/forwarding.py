"""A gateway that forwards bytes between two interfaces of a user-space network."""

from __future__ import annotations

from typing import Final

import anyio

import anycan
from gate.batch import BATCH, FRAMES
from gate.meter import Meter, Workload

_ROUNDS: Final = 8


async def _forward(meter: Meter) -> None:
    async with anycan.UserNetwork() as network:
        network.add_vcan("vcan0")
        network.add_vcan("vcan1")
        rule = anycan.Rule(
            source=anycan.GatewayPort("vcan0", network),
            destination=anycan.GatewayPort("vcan1", network),
        )
        gateway = anycan.Gateway([rule])
        async with (
            anycan.open_raw("vcan0", network=network) as near,
            anycan.open_raw("vcan1", network=network) as far,
            anyio.create_task_group() as tasks,
        ):
            await tasks.start(gateway.run)
            for counted in meter.rounds(_ROUNDS, BATCH):
                await near.send_many(FRAMES)
                count = 0
                with counted:
                    while count < BATCH:
                        count += len(await far.receive_many())
            gateway.stop()


WORKLOADS: Final = (
    Workload(
        "gateway",
        "Gateway on the user network, and receive_many()",
        lambda meter: anyio.run(_forward, meter),
        "anycan.sockets.user:UserDescriptor.send",
    ),
)
