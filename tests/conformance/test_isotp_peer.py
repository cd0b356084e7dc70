"""The engine beside the package can-isotp's stack, which is driven by hand: no thread, no clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import Address, FdFrame, Frame

isotp = pytest.importorskip("isotp", reason="can-isotp is not installed (pip install can-isotp)")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import RawEndpoint

pytestmark = pytest.mark.anyio

PDU = bytes(number * 5 & 0xFF for number in range(1000))
ADDRESSES = {
    "normal": (
        Address.normal(0x7E0, 0x7E8),
        {"addressing_mode": "Normal_11bits", "txid": 0x7E8, "rxid": 0x7E0},
    ),
    "29 bits": (
        Address.normal(0x123, 0x456, extended=True),
        {"addressing_mode": "Normal_29bits", "txid": 0x456, "rxid": 0x123},
    ),
    "normal fixed": (
        Address.normal_fixed(target=0x10, source=0xF1),
        {
            "addressing_mode": "NormalFixed_29bits",
            "source_address": 0x10,
            "target_address": 0xF1,
        },
    ),
    "extended": (
        Address.extended(0x6F1, 0x612, target=0x12, source=0xF1),
        {
            "addressing_mode": "Extended_11bits",
            "txid": 0x612,
            "rxid": 0x6F1,
            "source_address": 0x12,
            "target_address": 0xF1,
        },
    ),
    "mixed, 11 bits": (
        Address.mixed_11(0x7E0, 0x7E8, extension=0x55),
        {
            "addressing_mode": "Mixed_11bits",
            "txid": 0x7E8,
            "rxid": 0x7E0,
            "address_extension": 0x55,
        },
    ),
    "mixed, 29 bits": (
        Address.mixed_29(target=0x10, source=0xF1, extension=0x55),
        {
            "addressing_mode": "Mixed_29bits",
            "source_address": 0x10,
            "target_address": 0xF1,
            "address_extension": 0x55,
        },
    ),
}


class Peer:
    """can-isotp's stack at a raw endpoint.

    Args:
        can: Where its frames come from and go to.
        address: What can-isotp calls its address.
        parameters: Its own.
    """

    def __init__(
        self, can: RawEndpoint, address: dict[str, Any], parameters: dict[str, Any]
    ) -> None:
        self._can = can
        self._incoming: deque[Any] = deque()
        self._outgoing: deque[Any] = deque()
        mode = isotp.AddressingMode[address["addressing_mode"]]
        self._stack = isotp.TransportLayerLogic(
            rxfn=lambda *_: self._incoming.popleft() if self._incoming else None,
            txfn=self._outgoing.append,
            address=isotp.Address(**address | {"addressing_mode": mode}),
            params=parameters,
        )

    async def echo(self) -> None:
        """Send back what comes."""
        while True:
            self._incoming.extend(
                isotp.CanMessage(
                    arbitration_id=frame.id,
                    extended_id=frame.extended,
                    data=frame.data,
                    dlc=frame.dlc,
                    is_fd=isinstance(frame, FdFrame),
                )
                for frame in await self._can.receive_many()
                if isinstance(frame, Frame | FdFrame)
            )
            await self._work()
            while self._stack.available():
                self._stack.send(bytes(self._stack.recv()))
                await self._work()

    async def _work(self) -> None:
        for _ in range(200):
            self._stack.process()
            if not self._incoming and not self._outgoing:
                return
            while self._outgoing:
                message = self._outgoing.popleft()
                kind = FdFrame if message.is_fd else Frame
                await self._can.send(
                    kind(
                        message.arbitration_id, bytes(message.data), extended=message.is_extended_id
                    )
                )


@pytest.fixture
async def network() -> AsyncIterator[anycan.UserNetwork]:
    async with anycan.UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


async def exchange(
    network: anycan.UserNetwork,
    address: Address,
    theirs: dict[str, Any],
    parameters: dict[str, Any],
    **options: Any,
) -> None:
    async with (
        anycan.open_raw("vcan0", network=network) as can,
        anycan.open_isotp(
            "vcan0", address=address, implementation="engine", network=network, **options
        ) as link,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(Peer(can, theirs, parameters).echo)
        for pdu in (PDU[:1], PDU[:7], PDU[:70], PDU):
            assert await link.request(pdu, timeout=20) == pdu
        assert link.statistics().errors == 0
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("address", "theirs"), ADDRESSES.values(), ids=ADDRESSES)
async def test_every_addressing_mode(
    network: anycan.UserNetwork, address: Address, theirs: dict[str, Any]
) -> None:
    await exchange(network, address, theirs, {})


async def test_padding_and_blocks(network: anycan.UserNetwork) -> None:
    address, theirs = ADDRESSES["normal"]
    parameters = {"tx_padding": 0xAA, "blocksize": 4, "rx_flowcontrol_timeout": 1000}
    await exchange(
        network, address, theirs, parameters, padding=0xBB, rx_padding=0xAA, block_size=3
    )


async def test_can_fd(network: anycan.UserNetwork) -> None:
    address, theirs = ADDRESSES["normal"]
    parameters = {"can_fd": True, "tx_data_length": 64}
    await exchange(network, address, theirs, parameters, fd=True)
