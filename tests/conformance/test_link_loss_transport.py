"""Transports that wait for a link that is lost, and go on when it is back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import anycan
from anycan import Filter, Frame, LinkCondition, LinkGap

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.links import Links

pytestmark = pytest.mark.asyncio


class _Collector(anycan.CanProtocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.frames: list[anycan.AnyFrame] = []
        self.calls: list[str] = []
        self.lost: list[Exception | None] = []

    def frame_received(self, frame: anycan.AnyFrame) -> None:
        self.frames.append(frame)

    def error_received(self, exc: Exception) -> None:
        self.calls.append(type(exc).__name__)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):  # the lab is slow
        while not condition():  # noqa: ASYNC110 - what is waited for is told by no event
            await asyncio.sleep(0.001)


async def test_frames_wait_for_a_link_that_is_lost(links: Links) -> None:
    name = links.add()
    gaps: list[LinkGap] = []
    transport, protocol = await anycan.create_raw_transport(
        _Collector,
        name,
        filters=Filter.range(1, 0x10),
        receive_own=True,
        network=links.network,
        on_link_loss="wait",
        on_gap=gaps.append,
    )
    transport.set_write_buffer_limits(high=2, low=1)
    transport.send(Frame(1))
    await _until(lambda: len(protocol.frames) == 1)
    links.down(name)
    await _until(lambda: bool(gaps))
    for number in range(2, 5):
        transport.send(Frame(number))
    assert transport.get_write_buffer_size() == 3
    assert protocol.calls == ["pause"]
    links.up(name)
    await _until(lambda: len(protocol.frames) == 4)
    links.remove(name)
    links.add(name)
    transport.send(Frame(0x20))
    transport.send(Frame(5))
    await _until(lambda: len(protocol.frames) == 5)
    assert protocol.frames == [Frame(number) for number in range(1, 6)]
    assert protocol.calls == ["pause", "resume"]
    assert transport.statistics().gaps == 2
    assert [gap.condition for gap in gaps if gap.ended_ns] == [
        LinkCondition.DOWN,
        LinkCondition.REMOVED,
    ]
    transport.close()
    await _until(lambda: bool(protocol.lost))
    assert protocol.lost == [None]


async def test_a_transport_can_be_closed_in_a_gap(links: Links) -> None:
    name = links.add()
    transport, protocol = await anycan.create_raw_transport(
        _Collector, name, network=links.network, on_link_loss="wait"
    )
    links.down(name)
    transport.send(Frame(1))
    transport.close()  # what waits to be sent is sent first
    links.up(name)
    await _until(lambda: bool(protocol.lost))
    assert protocol.lost == [None]
    assert transport.statistics().sent == 1


async def test_a_transport_can_be_aborted_in_a_gap(links: Links) -> None:
    name = links.add()
    transport, protocol = await anycan.create_raw_transport(
        _Collector, name, network=links.network, on_link_loss="wait"
    )
    links.remove(name)
    transport.send(Frame(1))
    transport.abort()
    await _until(lambda: bool(protocol.lost))
    assert protocol.lost == [None]
    assert transport.statistics().sent == 0
