"""ISO-TP: two of anycan's engines that echo a PDU, on a user-space network."""

from __future__ import annotations

from typing import Final

import anyio

import anycan
from gate.meter import Meter, Workload

_PDU: Final = bytes(number & 0xFF for number in range(500))
_ROUNDS: Final = 4
_FRAMES: Final = 2 * (1 + 1 + 71)  # a first frame, flow control, consecutive frames of 7 bytes


async def _echo(meter: Meter) -> None:
    async with anycan.UserNetwork() as network:
        network.add_vcan("vcan0")
        async with (
            anycan.open_isotp(
                "vcan0", tx_id=0x700, rx_id=0x708, implementation="engine", network=network
            ) as one,
            anycan.open_isotp(
                "vcan0", tx_id=0x708, rx_id=0x700, implementation="engine", network=network
            ) as other,
        ):
            for counted in meter.rounds(_ROUNDS, _FRAMES):
                before = network.interfaces()[0].sent
                with counted:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(one.send, _PDU)
                        heard = await other.receive()
                        tasks.start_soon(other.send, heard)
                        assert await one.receive() == _PDU
                assert network.interfaces()[0].sent - before == _FRAMES


WORKLOADS: Final = (
    Workload(
        "isotp",
        f"ISO-TP engines, an echo of {len(_PDU)} bytes",
        lambda meter: anyio.run(_echo, meter),
        "anycan.network.core.raw:RawSocketCore.send_many",
    ),
)
