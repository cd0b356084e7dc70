"""Transports of the broadcast manager that wait for a link that is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import BcmProtocol, Changed, FdFrame, Frame, LinkCondition, LinkGap, RemoteFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan import BcmEvent, BcmOperation, BcmTransport, CyclicOperation
    from rig.links import Links

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

NEVER = 1000.0
SHORT = 0.002


class Recorder(BcmProtocol):
    """Keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def event_received(self, event: BcmEvent, watch: BcmOperation) -> None:
        self.calls.append(("event", event, watch))

    def cycle_expired(self, cycle: CyclicOperation) -> None:
        self.calls.append(("expired", cycle))

    def error_received(self, exc: Exception) -> None:
        self.calls.append(("error", type(exc).__name__))

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("lost", exc if exc is None else type(exc).__name__))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):  # the lab is slow
        while not condition():
            await anyio.lowlevel.checkpoint()


async def open_one(
    links: Links, name: str | None, on_gap: Callable[[LinkGap], object] | None = None
) -> tuple[BcmTransport, Recorder]:
    return await anycan.create_bcm_transport(
        Recorder, name, network=links.network, on_link_loss="wait", on_gap=on_gap
    )


async def close(transport: BcmTransport, protocol: Recorder) -> None:
    transport.close()
    await until(lambda: bool(protocol.calls) and protocol.calls[-1] == ("lost", None))


async def test_operations_go_on_after_a_gap(links: Links) -> None:
    name = links.add()
    gaps: list[LinkGap] = []
    transport, protocol = await open_one(links, name, gaps.append)
    async with anycan.open_raw(name, network=links.network, on_link_loss="wait") as can:
        watch = transport.watch(0x123, mask=b"\xff")
        answer = transport.answer_remote(Frame(0x321, b"\1"))
        cycle = transport.send_cyclic(Frame(0x100), NEVER)
        assert await can.receive() == Frame(0x100)
        links.down(name)
        await until(lambda: len(gaps) == 1)
        links.up(name)
        await until(lambda: len(gaps) == 2)
        links.remove(name)
        await until(
            lambda: transport.gap is not None and transport.gap.condition is LinkCondition.REMOVED
        )
        cycle.update(Frame(0x100, b"\1"))
        answer.update(Frame(0x321, b"\2"))
        with pytest.raises(anyio.WouldBlock):
            transport.send(Frame(1))
        links.add(name)
        async with asyncio.timeout(20):
            assert await can.receive() == Frame(0x100, b"\1")
            await can.send_many([Frame(0x123), RemoteFrame(0x321)])
            assert await can.receive() == Frame(0x321, b"\2")
        transport.send(Frame(0x123, b"\1"))
        await until(lambda: len(protocol.calls) == 2)
        index = links.network.interface_index(name)
    assert protocol.calls == [
        ("event", Changed(Frame(0x123, data)), watch) for data in (b"", b"\1")
    ]
    assert transport.gap is None
    assert transport.get_extra_info("interface_index") == index
    assert transport.statistics().gaps == 2
    assert [gap.condition for gap in gaps if gap.ended_ns] == [
        LinkCondition.DOWN,
        LinkCondition.REMOVED,
    ]
    await close(transport, protocol)


@pytest.mark.parametrize("removed", [False, True], ids=["down", "removed"])
async def test_operations_that_are_begun_in_a_gap(links: Links, removed: bool) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    async with anycan.open_raw(name, network=links.network, on_link_loss="wait") as can:
        if removed:
            links.remove(name)
        else:
            links.down(name)
        await until(lambda: transport.gap is not None)
        once = transport.send_cyclic(Frame(0x100), NEVER, count=1)
        cycle = transport.send_cyclic(Frame(0x101), NEVER)
        cycle.update(Frame(0x101, b"\1"))
        stopped = transport.send_cyclic(Frame(0x102), NEVER)
        with pytest.raises(anycan.OperationExistsError):
            transport.send_cyclic(Frame(0x102), NEVER)
        stopped.stop()
        watch = transport.watch(0x123)
        assert once.read().remaining == 1
        await asyncio.sleep(0)
        assert protocol.calls == []
        if removed:
            links.add(name)
        else:
            links.up(name)
        async with asyncio.timeout(20):
            assert await can.receive() == Frame(0x100)
            assert await can.receive() == Frame(0x101, b"\1")
        await can.send(Frame(0x123))
        await until(lambda: len(protocol.calls) == 2)
    assert protocol.calls == [("expired", once), ("event", Changed(Frame(0x123)), watch)]
    await close(transport, protocol)


async def test_what_cannot_be_set_up_again_is_told(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    transport.send_cyclic(FdFrame(0x100), NEVER)
    links.remove(name)
    links.add(name, mtu=16)
    await until(lambda: bool(protocol.calls))
    assert protocol.calls == [("error", "FrameNotSupportedError")]
    await close(transport, protocol)


async def test_a_transport_that_is_paused_keeps_what_was_told(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    watch = transport.watch(0x123)
    transport.pause_reading()
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send(Frame(0x123, b"\1"))
    links.remove(name)
    links.add(name)
    await until(lambda: transport.statistics().gaps == 1 and transport.gap is None)
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send(Frame(0x123, b"\2"))
    assert protocol.calls == []
    transport.resume_reading()
    await until(lambda: len(protocol.calls) == 2)
    assert protocol.calls == [
        ("event", Changed(Frame(0x123, data)), watch) for data in (b"\1", b"\2")
    ]
    assert transport.statistics().received == 2
    await close(transport, protocol)


async def test_closing_in_a_gap(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    cycle = transport.send_cyclic(Frame(0x100), NEVER)
    links.remove(name)
    await until(lambda: transport.gap is not None)
    await close(transport, protocol)
    with pytest.raises(anyio.ClosedResourceError):
        cycle.update(Frame(0x100))
    with pytest.raises(anyio.ClosedResourceError):
        transport.watch(1)
    links.add(name)


async def test_a_network_that_is_closed_ends_it(user_links: Links) -> None:
    name = user_links.add()
    transport, protocol = await open_one(user_links, name)
    cycle = transport.send_cyclic(Frame(0x100), NEVER)
    network = user_links.network
    assert isinstance(network, anycan.UserNetwork)
    network.close()
    await until(lambda: bool(protocol.calls))
    assert protocol.calls == [("lost", "InterfaceRemovedError")]
    assert transport.is_closing()
    with pytest.raises(anycan.InterfaceRemovedError):
        cycle.read()


async def test_on_all_interfaces(links: Links) -> None:
    one, other = links.add(), links.add()
    gaps: list[LinkGap] = []
    transport, protocol = await open_one(links, None, gaps.append)
    async with anycan.open_raw(None, network=links.network, on_link_loss="wait") as can:
        transport.send_cyclic(Frame(0x100, b"\1"), NEVER, interface=one)
        transport.send_cyclic(Frame(0x100, b"\2"), NEVER, interface=other)
        for _ in range(2):
            await can.receive()
        links.remove(one)
        await until(lambda: bool(gaps))
        links.add(one)
        async with asyncio.timeout(20):
            frame = await can.receive()
        assert (frame, frame.interface) == (Frame(0x100, b"\1"), one)
    assert [gap.interface for gap in gaps] == [one, one]
    assert transport.gap is None
    assert protocol.calls == []
    await close(transport, protocol)
