"""The broadcast manager of the user-space network: its timers, without a loop and its clock."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from typing import Final

import anycan
from anycan.sockets.networks import open_descriptor
from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode, Interval
from anycan.wire.constants import CAN_BCM
from anycan.wire.messages import pack_address
from gate.batch import PAYLOADS
from gate.meter import Meter, Workload

_INTERVAL_NS: Final = 10_000_000
_SENT: Final = 100
_ROUNDS: Final = 10


def _cyclic(meter: Meter) -> None:
    with anycan.UserNetwork() as network, ExitStack() as stack:
        address = pack_address(network.add_vcan("vcan0"))
        manager = stack.enter_context(
            closing(open_descriptor(network, socket.SOCK_DGRAM, CAN_BCM, "can-bcm"))
        )
        manager.connect(address)
        for number in range(_SENT):
            setup = BcmMessage(
                opcode=BcmOpcode.TX_SETUP,
                flags=BcmFlag.SETTIMER | BcmFlag.STARTTIMER | BcmFlag.TX_CP_CAN_ID,
                interval2=Interval(0, _INTERVAL_NS // 1000),
                can_id=number,
                frame_count=1,
                frames=PAYLOADS[number],
            )
            manager.send([NATIVE.encode(setup)])
        timers = network._stack.timers
        # So late that all are due, and begin their beat anew together.
        now = (timers.deadline or 0) + _INTERVAL_NS * _SENT
        for counted in meter.rounds(_ROUNDS, _SENT):
            before = network.interfaces()[0].sent
            with counted:
                timers.run(now)
            assert network.interfaces()[0].sent - before == _SENT
            now += _INTERVAL_NS


WORKLOADS: Final = (
    Workload(
        "cyclic",
        f"{_SENT} cyclic messages of the user network's broadcast manager",
        _cyclic,
        "anycan.network.core.interface:Interface.transmit_again",
    ),
)
