"""Cyclic transmissions: what is sent, when, how often, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import FdFrame, Frame, RemoteFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan import AnyFrame, RawEndpoint
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SHORT = 0.005
NEVER = 1000.0  # a beat that is not seen in a test


async def take(can: RawEndpoint, count: int) -> list[AnyFrame]:
    with anyio.fail_after(30):
        return [await can.receive() for _ in range(count)]


async def nothing_more(can: RawEndpoint, bcm: anycan.BcmEndpoint) -> None:
    """Tell that nothing was sent before what is sent now."""
    await bcm.send(Frame(0x7FF))
    assert await take(can, 1) == [Frame(0x7FF)]


def numbered(count: int, identifier: int = 0x100) -> list[Frame]:
    return [Frame(identifier, bytes([number])) for number in range(count)]


async def test_a_frame_is_sent_at_once_and_then_again(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network) as bcm,
    ):
        async with bcm.send_cyclic(Frame(0x100, b"\1"), interval=SHORT) as task:
            frames = await take(can, 4)
            assert task.frames == (Frame(0x100, b"\1"),)
        assert frames == [Frame(0x100, b"\1")] * 4
        assert all(frame.local and not frame.own and frame.interface == name for frame in frames)
        while await anyio.to_thread.run_sync(lambda: None) is None:  # a turn of the loop and more
            break
        waiting: Sequence[AnyFrame] = []
        with anyio.move_on_after(SHORT * 10):
            waiting = await can.receive_many()
        # What was sent until the block ended; then nothing.
        assert set(waiting) <= {Frame(0x100, b"\1")}
        await nothing_more(can, bcm)
