"""Every kind of frame, from one endpoint to another, with what the host knows of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import (
    ControllerError,
    ErrorClass,
    ErrorFrame,
    FdFrame,
    Filter,
    Frame,
    RemoteFrame,
    VcidOptions,
    XlFrame,
)

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = pytest.mark.anyio

CLOCK_SLACK = 20_000_000  # ns: an emulator's clock has been seen to go back a tick, 4 ms
CLASSICAL_AND_FD: list[anycan.AnyFrame] = [
    Frame(0x123, b"\x01\x02\x03"),
    Frame(0x000),
    Frame(0x7FF, bytes(range(8))),
    Frame(0x123, b"\xff" * 8, extended=True),
    Frame(0x1FFFFFFF, b"\x00"),
    Frame(0x321, b"12345678", len8_dlc=14),
    RemoteFrame(0x123),
    RemoteFrame(0x12345678, 8),
    RemoteFrame(0x7FF, 8, len8_dlc=9),
    FdFrame(0x123, b""),
    FdFrame(0x123, bytes(range(64)), brs=True),
    FdFrame(0x12345678, b"\xaa" * 12, esi=True),
    FdFrame(0x123, bytes(13), brs=True, esi=True),
]


async def test_frames_arrive_as_they_were_sent(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        for frame in CLASSICAL_AND_FD:
            await sender.send(frame)
            received = await receiver.receive()
            assert received == frame
            assert type(received) is type(frame)


async def test_a_received_frame_tells_of_its_reception(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network, receive_own=True) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        before = time.time_ns()
        await sender.send(Frame(0x123, b"a"))
        await sender.send(FdFrame(0x123, b"a"))
        after = time.time_ns()
        for _ in range(2):
            frame = await receiver.receive()
            assert frame.interface == name
            assert frame.local
            assert not frame.own
            assert frame.timestamp_ns is not None
            assert before - CLOCK_SLACK <= frame.timestamp_ns <= after + CLOCK_SLACK
            assert frame.hardware_timestamp_ns is None
            own = await sender.receive()
            assert own.own
            assert own.local


async def test_own_frames_are_received_only_on_request(links: Links) -> None:
    name = links.add()
    async with anycan.open_raw(name, network=links.network) as can:
        await can.send(Frame(0x123))
        with pytest.raises(anyio.WouldBlock):
            can.receive_nowait()


async def test_without_loopback_nobody_sees_the_frame(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network, loopback=False, receive_own=True) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        await sender.send(Frame(0x123))
        for endpoint in (sender, receiver):
            with pytest.raises(anyio.WouldBlock):
                endpoint.receive_nowait()


async def test_error_frames_come_to_those_who_asked(links: Links) -> None:
    name = links.add()
    warning = ErrorFrame.build(
        ErrorClass.BUS_ERROR, controller=ControllerError.RX_WARNING, tx_error_count=97
    )
    bus_off = ErrorFrame(ErrorClass.BUS_OFF)
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as without,
        anycan.open_raw(name, network=links.network, errors=ErrorClass.ALL) as everything,
        anycan.open_raw(
            name, network=links.network, errors=ErrorClass.BUS_OFF, filters=Filter.none()
        ) as one,
    ):
        await sender.send_many([warning, bus_off, Frame(0x123)])
        assert await everything.receive() == warning
        assert await everything.receive() == bus_off
        assert await everything.receive() == Frame(0x123)
        assert await one.receive() == bus_off
        assert await without.receive() == Frame(0x123)
        one.set_errors(ErrorClass.CONTROLLER)
        await sender.send_many([bus_off, warning])
        received = await one.receive()
        assert isinstance(received, ErrorFrame)
        assert received == warning
        assert received.controller is ControllerError.RX_WARNING
        assert received.tx_error_count == 97


async def test_xl_frames(links: Links) -> None:
    name = links.add(mtu=2060)
    frames = [
        XlFrame(0x123, b"\x01"),
        XlFrame(0x7FF, bytes(2048), sdt=3, acceptance_field=0x12345678, sec=True),
    ]
    async with (
        anycan.open_raw(name, network=links.network, xl=True) as sender,
        anycan.open_raw(name, network=links.network, xl=True) as receiver,
        anycan.open_raw(name, network=links.network) as without,
    ):
        everything: list[anycan.AnyFrame] = [*frames, FdFrame(1, b"fd"), Frame(2, b"classic")]
        for frame in everything:
            await sender.send(frame)
            assert await receiver.receive() == frame
        assert await without.receive() == FdFrame(1, b"fd")


async def test_virtual_networks_of_xl_frames(links: Links) -> None:
    name = links.add(mtu=2060)
    async with (
        anycan.open_raw(
            name, network=links.network, xl=True, vcid=VcidOptions(pass_through=True)
        ) as sender,
        anycan.open_raw(name, network=links.network, xl=True) as plain,
        anycan.open_raw(
            name, network=links.network, xl=True, vcid=VcidOptions(receive=0x45)
        ) as tagged,
    ):
        await sender.send(XlFrame(0x123, b"a", vcid=0x45))
        await sender.send(XlFrame(0x123, b"b"))
        assert await tagged.receive() == XlFrame(0x123, b"a", vcid=0x45)
        assert await plain.receive() == XlFrame(0x123, b"b")


async def test_an_endpoint_for_all_interfaces(links: Links) -> None:
    first, second = links.add(), links.add()
    async with (
        anycan.open_raw(None, network=links.network, filters=Filter.id(0x123)) as both,
        anycan.open_raw(first, network=links.network) as one,
        anycan.open_raw(second, network=links.network) as two,
    ):
        await one.send(Frame(0x123, b"1"))
        await two.send(Frame(0x123, b"2"))
        frames = [await both.receive(), await both.receive()]
        assert [frame.interface for frame in frames] == [first, second]
        await both.send(frames[1])  # back where it came from
        assert await two.receive() == Frame(0x123, b"2")
        await both.send(Frame(0x124), interface=first)
        assert await one.receive() == Frame(0x124)
        await both.send_many(frames)
        assert (await one.receive(), await two.receive()) == tuple(frames)
        with pytest.raises(anycan.UnknownInterfaceError, match="say which one"):
            await both.send(Frame(0x123))
        assert both.extra(anycan.RawAttribute.interface) is None


async def test_open_by_index(links: Links) -> None:
    name = links.add()
    index = links.network.interface_index(name)
    async with anycan.open_raw(index, network=links.network) as can:
        assert can.extra(anycan.RawAttribute.interface) == name
        assert can.extra(anycan.RawAttribute.interface_index) == index
        assert can.extra(anycan.RawAttribute.network) is links.network
        assert can.extra(anycan.RawAttribute.fd) >= 0
