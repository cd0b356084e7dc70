"""An ISO-TP transport and its protocol."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest

import anycan
from anycan import (
    Address,
    FlowControlOverflowError,
    Frame,
    InterfaceDownError,
    InterfaceRemovedError,
    IsotpProtocol,
    IsotpTransport,
    PduError,
    SequenceError,
)
from rig.isotp import ONE, IsotpBench

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.links import Links

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

PDU = bytes(range(100))


class Recorder(IsotpProtocol):
    """Notes every call, and can be waited for."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self._changed = asyncio.Event()

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        self._changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._note("made", transport)

    def pdu_received(self, pdu: bytes) -> None:
        self._note("received", pdu)

    def pdu_sent(self, pdu: bytes) -> None:
        self._note("sent", pdu)

    def send_failed(self, pdu: bytes, exc: anycan.CanError) -> None:
        self._note("failed", pdu, type(exc))

    def error_received(self, exc: anycan.CanOSError) -> None:
        self._note("error", type(exc))

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost", None if exc is None else type(exc))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def called(self, *call: object) -> None:
        """Wait for a call."""
        await self.until(lambda: call in self.calls)


@pytest.fixture(params=["socket", "engine"])
def bench(request: pytest.FixtureRequest, links: Links) -> IsotpBench:
    implementation: Literal["socket", "engine"] = request.param
    return IsotpBench(links, links.add(), implementation)


async def open_recorder(
    bench: IsotpBench, address: Address = ONE, **options: Any
) -> tuple[IsotpTransport, Recorder]:
    return await anycan.create_isotp_transport(
        Recorder,
        bench.name,
        address=address,
        network=bench.links.network,
        implementation=bench.implementation,
        **options,
    )


async def test_pdus_both_ways(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    assert protocol.calls == [("made", transport)]
    async with bench.open(ONE.reversed()) as link:
        await link.send(PDU)
        await protocol.called("received", PDU)
        transport.send(PDU[:50])
        transport.send(bytearray(b"short"))
        assert await link.receive() == PDU[:50]
        assert await link.receive() == b"short"
        await protocol.called("sent", PDU[:50])
        await protocol.called("sent", b"short")
    assert transport.get_extra_info("interface") == bench.name
    assert transport.get_extra_info("network") is bench.links.network
    assert transport.get_extra_info("address") == ONE
    assert transport.get_extra_info("implementation") == bench.implementation
    assert transport.get_extra_info("fd") >= 0
    assert transport.get_extra_info("nothing") is None
    statistics = transport.statistics()
    assert (statistics.received, statistics.sent, statistics.errors) == (1, 2, 0)
    transport.close()
    await protocol.called("lost", None)
    assert transport.is_closing()
    assert transport.get_extra_info("fd") == -1
    with pytest.raises(anyio.ClosedResourceError):
        transport.send(b"late")
    assert "closed" in repr(transport)
    transport.close()
    transport.abort()


async def test_what_cannot_be_sent_is_refused(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    with pytest.raises(PduError):
        transport.send(b"")
    with pytest.raises(PduError):
        transport.send(bytes(8301))
    with pytest.raises(TypeError):
        transport.send("text")  # type: ignore[arg-type]  # on purpose
    assert transport.get_write_buffer_size() == 0
    transport.close()
    await protocol.called("lost", None)


async def test_what_fails_is_told_and_the_next_is_sent(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    async with bench.raw() as can:
        transport.send(PDU)
        transport.send(b"next")
        while (await can.receive()).data[:1] != b"\x10":
            pass
        await can.send(Frame(0x7E8, b"\x32\0\0"))
        await protocol.called("failed", PDU, FlowControlOverflowError)
        await protocol.called("sent", b"next")
        for data in (b"\x10\x14abcdef", b"\x23ghijklm"):
            await can.send(Frame(0x7E8, data))
        await protocol.called("error", SequenceError)
    transport.close()
    await protocol.called("lost", None)


async def test_closing_sends_what_waits(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    async with bench.open(ONE.reversed()) as link:
        for number in range(5):
            transport.send(bytes([number]) * 20)
        transport.close()
        assert "closing" in repr(transport)
        assert [await link.receive() for _ in range(5)] == [bytes([n]) * 20 for n in range(5)]
        await protocol.called("lost", None)
    assert transport.statistics().sent == 5


async def test_aborting_does_not_wait(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    transport.send(b"one")
    transport.send(b"two")
    transport.abort()
    await protocol.called("lost", None)
    assert transport.get_write_buffer_size() == 0
    assert ("sent", b"two") not in protocol.calls


async def test_water_marks(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    assert transport.get_write_buffer_limits() == (4, 16)
    transport.set_write_buffer_limits(high=2, low=0)
    async with bench.open(ONE.reversed()):
        for number in range(4):
            transport.send(bytes([number]) * 20)
        assert protocol.calls[1:] == [("pause",)]
        await protocol.called("resume")
    with pytest.raises(ValueError, match="at least"):
        transport.set_write_buffer_limits(high=1, low=2)
    transport.close()
    await protocol.called("lost", None)


async def test_reading_can_rest(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    transport.pause_reading()
    assert not transport.is_reading()
    async with bench.open(ONE.reversed()) as link:
        await link.send(b"one")
        await link.send(b"two")
        await asyncio.sleep(0.01)
        assert protocol.calls[1:] == []
        transport.resume_reading()
        await protocol.called("received", b"two")
    assert protocol.calls[1:] == [("received", b"one"), ("received", b"two")]
    transport.close()
    await protocol.called("lost", None)


async def test_a_link_that_goes_down_and_away(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    bench.links.down(bench.name)
    await protocol.called("error", InterfaceDownError)
    transport.send(b"lost")
    await protocol.called("failed", b"lost", InterfaceDownError)
    bench.links.up(bench.name)
    transport.send(b"kept")
    await protocol.called("sent", b"kept")
    bench.links.remove(bench.name)
    await protocol.called("lost", InterfaceRemovedError)
    assert transport.is_closing()


async def test_removal_is_told_to_who_sends(bench: IsotpBench) -> None:
    transport, protocol = await open_recorder(bench)
    transport.pause_reading()
    bench.links.remove(bench.name)
    transport.send(b"late")
    await protocol.called("lost", InterfaceRemovedError)


async def test_a_protocol_that_fails_is_reported(bench: IsotpBench) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    class Failing(Recorder):
        def pdu_received(self, pdu: bytes) -> None:
            super().pdu_received(pdu)
            raise KeyError(pdu)

    transport, protocol = await open_recorder(bench)
    failing = Failing()
    transport.set_protocol(failing)
    assert transport.get_protocol() is failing
    with pytest.raises(TypeError, match="IsotpProtocol is needed"):
        transport.set_protocol(asyncio.Protocol())
    async with bench.open(ONE.reversed()) as link:
        await link.send(b"one")
        await link.send(b"two")
        await failing.called("received", b"two")
    assert [str(report["exception"]) for report in reports] == ["b'one'", "b'two'"]
    assert reports[0]["message"] == "Failing.pdu_received() failed"
    transport.close()
    await failing.called("lost", None)
    assert protocol.calls == [("made", transport)]


async def test_what_is_sent_from_a_call_is_sent_once(bench: IsotpBench) -> None:
    class Answering(Recorder):
        def pdu_sent(self, pdu: bytes) -> None:
            super().pdu_sent(pdu)
            if pdu[0] < 4:
                transport.send(bytes((pdu[0] + 1,)) * len(pdu))

    for size in (1, 20):
        transport, _ = await open_recorder(bench)
        answering = Answering()
        transport.set_protocol(answering)
        async with bench.open(ONE.reversed()) as link:
            transport.send(bytes((1,)) * size)
            received = [(await link.receive())[0] for _ in range(4)]
            await answering.called("sent", bytes((4,)) * size)
            transport.close()
            await answering.called("lost", None)
            assert received == [1, 2, 3, 4]
            with pytest.raises(anyio.WouldBlock):
                link.receive_nowait()


async def test_what_was_refused_is_sent_again_from_there(bench: IsotpBench) -> None:
    class Insisting(Recorder):
        def send_failed(self, pdu: bytes, exc: anycan.CanError) -> None:
            super().send_failed(pdu, exc)
            if len(self.calls) < 5:
                transport.send(pdu)

    transport, _ = await open_recorder(bench)
    insisting = Insisting()
    transport.set_protocol(insisting)
    bench.links.down(bench.name)
    transport.send(b"again")
    await insisting.until(lambda: len(insisting.calls) >= 5)
    failed = ("failed", b"again", InterfaceDownError)
    await insisting.until(lambda: transport.get_write_buffer_size() == 0)
    assert insisting.calls.count(failed) >= 4
    assert insisting.calls.count(("error", InterfaceDownError)) == 1
    transport.close()
    await insisting.called("lost", None)


async def test_a_protocol_may_close_at_any_call(bench: IsotpBench) -> None:
    class Closing(Recorder):
        def pdu_sent(self, pdu: bytes) -> None:
            super().pdu_sent(pdu)
            transport.abort()

    transport, protocol = await open_recorder(bench)
    closing = Closing()
    transport.set_protocol(closing)
    transport.send(b"one")
    transport.send(b"two")
    await closing.called("lost", None)
    assert ("sent", b"two") not in closing.calls
    assert protocol.calls == [("made", transport)]


async def test_an_unclosed_transport_is_told(user_links: Links) -> None:
    bench = IsotpBench(user_links, user_links.add(), "socket")
    transport, protocol = await open_recorder(bench)
    transport.pause_reading()
    protocol.calls.clear()  # it holds the transport
    held = [transport]
    del transport

    def forget() -> None:
        held.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed <IsotpTransport"):
        forget()


async def test_a_protocol_that_refuses_leaves_nothing_open(user_links: Links) -> None:
    class Refusing(IsotpProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raise KeyError(transport)

    with pytest.raises(KeyError):
        await anycan.create_isotp_transport(
            Refusing, user_links.add(), address=ONE, network=user_links.network
        )
    await asyncio.sleep(0)
