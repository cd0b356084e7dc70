"""The broadcast manager as an asyncio transport: what it calls, and when."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import (
    BcmProtocol,
    BcmTransport,
    CanOSError,
    Changed,
    Frame,
    OperationError,
    RemoteFrame,
    TimedOut,
)

if TYPE_CHECKING:
    from anycan import BcmEvent, BcmOperation, CyclicOperation
    from rig.links import Links

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

SHORT = 0.005
NEVER = 1000.0


class Recorder(BcmProtocol):
    """Keeps what it is called with, and lets a test wait for more."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.transport: BcmTransport | None = None
        self._more = asyncio.Event()

    def _keep(self, *call: Any) -> None:
        self.calls.append(call)
        self._more.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, BcmTransport)
        self.transport = transport

    def event_received(self, event: BcmEvent, watch: BcmOperation) -> None:
        self._keep("event", event, watch)

    def cycle_expired(self, cycle: CyclicOperation) -> None:
        self._keep("expired", cycle)

    def error_received(self, exc: CanOSError) -> None:
        self._keep("error", type(exc).__name__, exc.interface)

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep("lost", exc if exc is None else type(exc).__name__)

    async def wait(self, count: int) -> list[tuple[Any, ...]]:
        async with asyncio.timeout(30):
            while len(self.calls) < count:
                self._more.clear()
                await self._more.wait()
        return self.calls

    async def until(self, *call: Any) -> None:
        while call not in self.calls:
            await self.wait(len(self.calls) + 1)


async def open_one(links: Links, interface: str | None) -> tuple[BcmTransport, Recorder]:
    return await anycan.create_bcm_transport(Recorder, interface, network=links.network)


async def turn() -> None:
    """Let the loop read what is there, and call what it is to call."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_events(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    assert protocol.transport is transport
    assert transport.get_protocol() is protocol
    watch = transport.watch(0x123, mask=b"\xff", timeout=0.05)
    async with anycan.open_raw(name, network=links.network) as can:
        for value in (1, 1, 2):
            await can.send(Frame(0x123, bytes([value])))
        calls = await protocol.wait(3)
    assert calls[:2] == [("event", Changed(Frame(0x123, bytes([n]))), watch) for n in (1, 2)]
    assert isinstance(calls[2][1], TimedOut)
    assert transport.statistics().received == 3
    watch.stop()
    watch.stop()
    assert repr(watch) == "<BcmOperation 123 ended>"
    transport.close()
    assert (await protocol.wait(4))[3] == ("lost", None)


async def test_cyclic_transmissions(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    async with anycan.open_raw(name, network=links.network) as can:
        cycle = transport.send_cyclic([Frame(1, b"\0"), Frame(1, b"\1")], SHORT, count=3)
        assert await protocol.wait(1) == [("expired", cycle)]
        assert [await can.receive() for _ in range(3)] == [Frame(1, bytes([n])) for n in (0, 1, 0)]
        cycle.restart()
        await protocol.wait(2)
        assert [await can.receive() for _ in range(3)] == [Frame(1, bytes([n])) for n in (1, 0, 1)]
        cycle.set_interval(NEVER)
        cycle.update(Frame(1, b"\2"))
        cycle.announce()
        assert await can.receive() == Frame(1, b"\2")
        assert cycle.frames == cycle.read().frames == (Frame(1, b"\2"),)
        at_once = transport.send_cyclic(Frame(2), NEVER, count=1)
        assert (await protocol.wait(3))[2] == ("expired", at_once)
        with pytest.raises(anycan.OperationExistsError):
            transport.send_cyclic(Frame(2), NEVER)
        transport.send_cyclic(Frame(2), NEVER, replace=True)
        with pytest.raises(anyio.ClosedResourceError):
            at_once.read()
        cycle.stop()
        with pytest.raises(OperationError, match="interval= is a time"):
            transport.send_cyclic(Frame(2), 0)
    transport.close()
    await turn()


async def test_answers_and_single_frames(links: Links) -> None:
    name = links.add()
    transport, _ = await open_one(links, name)
    async with anycan.open_raw(name, network=links.network) as can:
        answer = transport.answer_remote(Frame(0x321, b"\1"))
        answer.update(Frame(0x321, b"\2"))
        assert answer.frame == Frame(0x321, b"\2")
        await can.send(RemoteFrame(0x321))
        assert await can.receive() == Frame(0x321, b"\2")
        transport.send(Frame(3))
        assert await can.receive() == Frame(3)
        with pytest.raises(OperationError, match="no CAN XL"):
            transport.send(anycan.XlFrame(1, b"x"))
    transport.abort()
    await turn()


async def test_paused_it_calls_nothing_and_loses_nothing(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    transport.watch(0x123)
    async with anycan.open_raw(name, network=links.network) as can:
        transport.pause_reading()
        assert not transport.is_reading()
        for number in range(100):
            await can.send(Frame(0x123, bytes([number])))
        cycle = transport.send_cyclic(Frame(1), NEVER)  # which drains the socket
        await turn()
        assert protocol.calls == []
        transport.resume_reading()
        calls = await protocol.wait(100)
        assert [call[1].frame.data[0] for call in calls] == list(range(100))
        cycle.stop()
    transport.close()
    await turn()


async def test_a_full_receive_buffer_hides_no_end_of_a_count(links: Links) -> None:
    name = links.add()
    transport, protocol = await anycan.create_bcm_transport(
        Recorder, name, network=links.network, receive_buffer=2304
    )
    transport.watch(0x123)
    async with anycan.open_raw(name, network=links.network) as can:
        cycle = transport.send_cyclic(Frame(1), SHORT * 4, count=2)
        transport.pause_reading()
        for number in range(50):
            can.send_nowait(Frame(0x123, bytes([number])))
        for _ in range(2):
            await can.receive()  # the end of the count is past, and found no room
        transport.resume_reading()
        await protocol.until("expired", cycle)
    assert transport.statistics().dropped > 0
    transport.close()
    await turn()


async def test_paused_for_long_it_keeps_so_many_calls_and_counts_the_rest(
    user_links: Links,
) -> None:
    name = user_links.add()
    transport, protocol = await open_one(user_links, name)
    transport.watch(0x123)
    cycle = transport.send_cyclic(Frame(1), NEVER)
    transport.pause_reading()
    for number in range(5000):
        transport.send(Frame(0x123))
        if number % 1000 == 0:
            cycle.read()  # which drains the socket
    cycle.read()
    user_links.down(name)
    cycle.read()
    await turn()
    assert protocol.calls == []
    transport.resume_reading()
    calls = await protocol.wait(4097)
    assert calls[-1] == ("error", "InterfaceDownError", name)
    statistics = transport.statistics()
    assert (statistics.received, statistics.dropped) == (5000 + 7, 0)  # and answers to reading
    assert statistics.overflowed == 5000 - 4096
    transport.close()
    await turn()


async def test_what_was_stopped_is_told_no_more(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    watch = transport.watch(0x123)
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send(Frame(0x123))
        watch.stop()
        await turn()
    assert protocol.calls == []
    transport.close()
    await turn()


async def test_a_link_that_goes_down_and_comes_back(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    watch = transport.watch(0x123)
    links.down(name)
    assert await protocol.wait(1) == [("error", "InterfaceDownError", name)]
    with pytest.raises(anycan.InterfaceDownError):
        transport.send(Frame(1))
    links.up(name)
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send(Frame(0x123))
        assert (await protocol.wait(2))[1] == ("event", Changed(Frame(0x123)), watch)
    transport.close()
    await turn()


async def test_an_interface_that_is_removed(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_one(links, name)
    cycle = transport.send_cyclic(Frame(1), NEVER)
    links.remove(name)
    await protocol.until("lost", "InterfaceRemovedError")
    assert transport.is_closing()
    with pytest.raises(anycan.InterfaceRemovedError):
        cycle.read()
    for call in (lambda: transport.send(Frame(1)), lambda: transport.watch(1)):
        with pytest.raises(anyio.ClosedResourceError):
            call()


async def test_on_all_interfaces(links: Links) -> None:
    one, other = links.add(), links.add()
    transport, protocol = await open_one(links, None)
    assert transport.get_extra_info("interface") is None
    assert transport.get_extra_info("interface_index") == 0
    assert transport.get_extra_info("network") is links.network
    assert repr(transport) == "<BcmTransport all interfaces>"
    with pytest.raises(anycan.UnknownInterfaceError, match="say which one"):
        transport.send_cyclic(Frame(1), NEVER)
    watch = transport.watch(1)
    cycle = transport.send_cyclic(Frame(1), SHORT, count=2, interface=one)
    calls = await protocol.wait(3)
    assert [call for call in calls if call[0] == "event"] == 2 * [
        ("event", Changed(Frame(1)), watch)
    ]
    assert ("expired", cycle) in calls
    links.remove(one)
    await protocol.until("error", "InterfaceRemovedError", one)
    transport.send(Frame(1), interface=other)
    await protocol.wait(len(protocol.calls) + 1)
    assert protocol.calls[-1][1].interface == other
    transport.close()
    await protocol.until("lost", None)  # the kernel's sockets are closed in a thread
    assert protocol.calls[-1] == ("lost", None)
    assert repr(transport) == "<BcmTransport all interfaces closed>"


async def test_a_protocol_that_raises_is_reported_and_goes_on(user_links: Links) -> None:
    name = user_links.add()
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    class Faulty(Recorder):
        def event_received(self, event: BcmEvent, watch: BcmOperation) -> None:
            super().event_received(event, watch)
            raise ZeroDivisionError

    transport, protocol = await anycan.create_bcm_transport(
        Faulty, name, network=user_links.network
    )
    transport.watch(1)
    for _ in range(2):
        transport.send(Frame(1))
    await protocol.wait(2)
    await turn()
    assert [report["message"] for report in reports] == 2 * ["Faulty.event_received() failed"]
    transport.close()
    await turn()


async def test_a_protocol_that_fails_at_once_leaves_nothing_open(user_links: Links) -> None:
    name = user_links.add()

    class Broken(BcmProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, BcmTransport)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await anycan.create_bcm_transport(Broken, name, network=user_links.network)
    await turn()
    with pytest.raises(anycan.UnknownInterfaceError) as unknown:
        await anycan.create_bcm_transport(BcmProtocol, "nowhere", network=user_links.network)
    assert unknown.value.errno == errno.ENODEV


async def test_a_transport_that_is_not_closed_warns(user_links: Links) -> None:
    name = user_links.add()
    transport, _ = await open_one(user_links, name)
    with pytest.warns(ResourceWarning, match=f"unclosed <BcmTransport {name}>"):
        transport.__del__()
    transport.close()
    await turn()
