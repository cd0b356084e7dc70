"""A raw transport and its protocol."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import CanProtocol, ErrorClass, ErrorFrame, FdFrame, Filter, Frame, RawTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.links import Links

pytestmark = pytest.mark.asyncio


class Recorder(CanProtocol):
    """Notes every call, and can be waited for."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self._changed = asyncio.Event()

    def _note(self, call: object) -> None:
        self.calls.append(call)
        self._changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._note(("made", transport))

    def frame_received(self, frame: anycan.AnyFrame) -> None:
        self._note(frame)

    def error_received(self, exc: anycan.CanOSError) -> None:
        self._note(type(exc))

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note(("lost", None if exc is None else type(exc)))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def frames(self, count: int) -> list[object]:
        await self.until(lambda: len(self.calls) > count)
        return self.calls[1:]


async def open_recorder(
    links: Links, name: str | None, *, filters: Filter | None = None, errors: ErrorClass | int = 0
) -> tuple[RawTransport, Recorder]:
    return await anycan.create_raw_transport(
        Recorder, name, network=links.network, filters=filters, errors=errors
    )


async def test_frames_both_ways(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name, errors=ErrorClass.ALL)
    assert protocol.calls == [("made", transport)]
    frames: list[anycan.AnyFrame] = [
        Frame(0x123, b"1"),
        FdFrame(0x123, bytes(64)),
        ErrorFrame(ErrorClass.BUS_OFF),
    ]
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send_many(frames)
        assert await protocol.frames(3) == frames
        transport.send(Frame(0x456, b"reply"))
        assert await can.receive() == Frame(0x456, b"reply")
    assert transport.get_extra_info("interface") == name
    assert transport.get_extra_info("interface_index") == links.network.interface_index(name)
    assert transport.get_extra_info("network") is links.network
    assert transport.get_extra_info("fd") >= 0
    assert transport.get_extra_info("nothing") is None
    statistics = transport.statistics()
    assert (statistics.received, statistics.sent, statistics.errors) == (3, 1, 0)
    transport.close()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))
    assert transport.is_closing()
    with pytest.raises(anyio.ClosedResourceError):
        transport.send(Frame(1))
    assert "closed" in repr(transport)


async def test_filters(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name, filters=Filter.id(0x100))
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send_many([Frame(0x101), Frame(0x100)])
        await protocol.until(lambda: Frame(0x100) in protocol.calls)
        transport.set_filters(Filter.id(0x101))
        await can.send_many([Frame(0x100), Frame(0x101)])
        assert await protocol.frames(2) == [Frame(0x100), Frame(0x101)]
    transport.abort()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))


async def test_reading_pauses_amid_a_batch_and_goes_on(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name)
    frames = [Frame(0x100, bytes([number])) for number in range(20)]

    class PausesAtFive(Recorder):
        def frame_received(self, frame: anycan.AnyFrame) -> None:
            super().frame_received(frame)
            if len(self.calls) == 5:
                transport.pause_reading()

    pausing = PausesAtFive()
    transport.set_protocol(pausing)
    assert transport.get_protocol() is pausing
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send_many(frames)
        await pausing.until(lambda: len(pausing.calls) >= 5)
        for _ in range(5):
            await asyncio.sleep(0)
        assert pausing.calls == frames[:5]
        assert not transport.is_reading()
        transport.resume_reading()
        await pausing.until(lambda: len(pausing.calls) >= 20)
        assert pausing.calls == frames
    transport.close()
    await pausing.until(lambda: pausing.calls[-1] == ("lost", None))
    assert protocol.calls == [("made", transport)]


async def test_a_protocol_that_raises_is_reported_and_called_again(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name)
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reported.append(f"{context['message']}: {context['exception']}")
    )

    class Raises(Recorder):
        def frame_received(self, frame: anycan.AnyFrame) -> None:
            super().frame_received(frame)
            raise ValueError(str(frame))

        def error_received(self, exc: anycan.CanOSError) -> None:
            super().error_received(exc)
            raise ValueError("error")

    raising = Raises()
    transport.set_protocol(raising)
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send_many([Frame(1), Frame(2)])
        await raising.until(lambda: len(raising.calls) == 2)
    transport.send(Frame(3), interface=links.add(mtu=16))
    transport.send(FdFrame(4), interface=links.add(mtu=16))
    await raising.until(lambda: len(raising.calls) == 3)
    assert reported == [
        "Raises.frame_received() failed: 001#",
        "Raises.frame_received() failed: 002#",
        "Raises.error_received() failed: error",
    ]
    with pytest.raises(TypeError, match="CanProtocol"):
        transport.set_protocol(asyncio.Protocol())
    transport.set_protocol(protocol)
    transport.abort()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))


async def test_a_link_that_goes_down_and_comes_back(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name)
    links.down(name)
    await protocol.until(lambda: anycan.InterfaceDownError in protocol.calls)
    transport.send(Frame(1))
    await protocol.until(lambda: protocol.calls.count(anycan.InterfaceDownError) == 2)
    assert transport.statistics().errors == 1
    links.up(name)
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send(Frame(2))
        await protocol.until(lambda: Frame(2) in protocol.calls)
        transport.send(Frame(3))
        assert await can.receive() == Frame(3)
    transport.close()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))


async def test_a_link_that_is_removed_ends_the_transport(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name)
    links.remove(name)
    lost = ("lost", anycan.InterfaceRemovedError)
    await protocol.until(lambda: lost in protocol.calls)
    assert transport.is_closing()
    transport.close()
    transport.abort()
    assert protocol.calls[-1] == lost


async def test_a_refusal_is_told_from_outside_of_the_call(links: Links) -> None:
    name = links.add()
    tries = 3000  # more than may call each other

    class Stubborn(Recorder):
        def error_received(self, exc: anycan.CanOSError) -> None:
            super().error_received(exc)
            if len(self.calls) < tries:
                transport.send(FdFrame(1, bytes(9)))

    transport, protocol = await anycan.create_raw_transport(
        Stubborn, name, fd=False, network=links.network
    )
    transport.send(FdFrame(1, bytes(9)))
    await protocol.until(lambda: len(protocol.calls) == tries)
    assert set(protocol.calls[1:]) == {anycan.FrameNotSupportedError}
    assert transport.statistics().errors == 0
    transport.close()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))


async def test_a_closed_transport_says_so(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name)
    assert transport.get_extra_info("fd") >= 0
    assert transport.get_extra_info("interface") == name
    assert transport.get_extra_info("nothing", 5) == 5
    transport.close()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))
    assert transport.get_extra_info("fd") == -1
    with pytest.raises(anyio.ClosedResourceError):
        transport.set_filters(None)
    with pytest.raises(anyio.ClosedResourceError):
        transport.set_errors(0)


async def test_water_marks(links: Links) -> None:
    name = links.add()
    transport, protocol = await open_recorder(links, name)
    assert transport.get_write_buffer_limits() == (64, 256)
    assert transport.get_write_buffer_size() == 0
    transport.set_write_buffer_limits(high=8)
    assert transport.get_write_buffer_limits() == (2, 8)
    transport.set_write_buffer_limits(low=5)
    assert transport.get_write_buffer_limits() == (5, 20)
    transport.set_write_buffer_limits()
    assert transport.get_write_buffer_limits() == (64, 256)
    with pytest.raises(ValueError, match="high"):
        transport.set_write_buffer_limits(high=1, low=2)
    transport.abort()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))


async def test_an_interface_that_is_not_there(links: Links) -> None:
    with pytest.raises(anycan.UnknownInterfaceError):
        await open_recorder(links, "nosuchcan0")


async def test_connection_made_that_raises_closes_the_socket(links: Links) -> None:
    class Refuses(CanProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raise ValueError(transport)

    with pytest.raises(ValueError, match="RawTransport"):
        await anycan.create_raw_transport(Refuses, links.add(), network=links.network)
    await asyncio.sleep(0)


async def test_an_unclosed_transport_is_reported(links: Links) -> None:
    transport, protocol = await open_recorder(links, links.add())
    with pytest.warns(ResourceWarning, match="unclosed <RawTransport"):
        transport.__del__()
    transport.abort()
    await protocol.until(lambda: protocol.calls[-1] == ("lost", None))
