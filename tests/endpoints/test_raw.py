"""Endpoints whose filters the kernel cannot match whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import ErrorClass, ErrorFrame, Filter, Frame, byte

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = pytest.mark.anyio

LIMIT = 5.0  # seconds: that something has gone wrong


async def receive(can: anycan.RawEndpoint, count: int) -> list[anycan.AnyFrame]:
    received: list[anycan.AnyFrame] = []
    with anyio.fail_after(LIMIT):
        while len(received) < count:
            received += await can.receive_many()
    return received


async def test_conditions_on_the_data(user_links: Links) -> None:
    name, network = user_links.add(), user_links.network
    wanted = Filter.range(0x7E8, 0x7EF) & (byte(1) == 0x62)
    frames = [
        Frame(identifier, bytes([3, service, 0]))
        for identifier in (0x7E7, 0x7E8, 0x7EF)
        for service in (0x61, 0x62, 0x63)
    ]
    async with (
        anycan.open_raw(name, network=network) as sender,
        anycan.open_raw(name, network=network, filters=wanted) as receiver,
    ):
        for rounds in (1, 2):
            await sender.send_many(frames)
            assert await receive(receiver, 2) == [frames[4], frames[7]]
            statistics = receiver.statistics()
            # A batch may still be on its way in, but none of it is wanted.
            assert statistics.received == 2 * rounds
            assert statistics.waiting == statistics.malformed == statistics.dropped == 0
        end = Frame(0x7E8, b"\x03\x62\xff")
        await sender.send(end)
        assert await receive(receiver, 1) == [end]
        # Three identifiers, of which the kernel lets two through: 12 of 18 frames, 4 of them taken.
        assert receiver.statistics().filtered == 8
        assert receiver.statistics().received == 5


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # which does not count, and it is slow
async def test_more_identifiers_than_a_socket_takes(user_links: Links) -> None:
    name, network = user_links.add(), user_links.network
    wanted = [Filter.id(3 * number, extended=True) for number in range(514)]
    frames = [Frame(number, extended=True) for number in range(120)]
    async with (
        anycan.open_raw(name, network=network) as sender,
        anycan.open_raw(name, network=network, filters=wanted) as receiver,
    ):
        await sender.send_many([*frames, Frame(0), Frame(1539, extended=True)])
        expected = [*frames[::3], Frame(1539, extended=True)]
        assert await receive(receiver, len(expected)) == expected
        statistics = receiver.statistics()
        assert statistics.received == len(expected)
        # The 11-bit one has not come through the kernel's filters, however wide they are.
        assert 0 <= statistics.filtered <= len(frames) - len(frames[::3])


async def test_what_is_not_wanted_wakes_nobody(user_links: Links) -> None:
    name, network = user_links.add(), user_links.network
    received: list[anycan.AnyFrame] = []
    async with (
        anycan.open_raw(name, network=network) as sender,
        anycan.open_raw(name, network=network, filters=byte(0) == 1) as receiver,
    ):

        async def receive_one() -> None:
            received.append(await receiver.receive())

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive_one)
                await anyio.wait_all_tasks_blocked()
                await sender.send_many([Frame(1, b"\2")] * 300)
                await anyio.wait_all_tasks_blocked()
                assert received == []
                await sender.send(Frame(1, b"\1"))
        assert received == [Frame(1, b"\1")]
        assert receiver.statistics().filtered == 300


async def test_filters_change_while_open(user_links: Links) -> None:
    name, network = user_links.add(), user_links.network
    frames = [Frame(1, b"\1"), Frame(2, b"\1"), Frame(1, b"\2")]
    async with (
        anycan.open_raw(name, network=network) as sender,
        anycan.open_raw(name, network=network, filters=Filter.id(1)) as receiver,
    ):
        for filters, expected in (
            (byte(0) == 1, frames[:2]),
            (Filter.id(1), [frames[0], frames[2]]),
            (Filter.id(1) & (byte(0) == 2), frames[2:]),
            (None, frames),
        ):
            receiver.set_filters(filters)
            await sender.send_many(frames)
            assert await receive(receiver, len(expected)) == expected
        with pytest.raises(anyio.WouldBlock):
            receiver.receive_nowait()


@pytest.mark.parametrize("batches", [1, 2, 31])
async def test_a_frame_behind_many_that_are_not_wanted_is_there_already(
    user_links: Links, batches: int
) -> None:
    name, network = user_links.add(), user_links.network
    async with (
        anycan.open_raw(name, network=network) as sender,
        anycan.open_raw(name, network=network, filters=byte(0) == 1) as receiver,
    ):
        for frame in [*([Frame(1, b"\2")] * (128 * batches)), Frame(1, b"\1")]:
            sender.send_nowait(frame)
        assert receiver.receive_nowait() == Frame(1, b"\1")
        assert receiver.statistics().filtered == 128 * batches
        with pytest.raises(anyio.WouldBlock):
            receiver.receive_nowait()


async def test_a_call_that_does_not_wait_looks_through_so_many_and_no_more(
    user_links: Links,
) -> None:
    name, network = user_links.add(), user_links.network
    async with (
        anycan.open_raw(name, network=network) as sender,
        anycan.open_raw(name, network=network, filters=byte(0) == 1) as receiver,
    ):
        for frame in [*([Frame(1, b"\2")] * (33 * 128)), Frame(1, b"\1")]:
            sender.send_nowait(frame)
        with pytest.raises(anyio.WouldBlock):  # whoever sends much shall not stop the loop
            receiver.receive_nowait()
        assert receiver.statistics().filtered == 32 * 128
        assert receiver.receive_nowait() == Frame(1, b"\1")


async def test_what_is_in_the_last_batch_it_looks_through_is_given(user_links: Links) -> None:
    name, network = user_links.add(), user_links.network
    async with (
        anycan.open_raw(name, network=network) as sender,
        anycan.open_raw(name, network=network, filters=byte(0) == 1) as receiver,
    ):
        for frame in [*([Frame(1, b"\2")] * (32 * 128 - 1)), Frame(1, b"\1")]:
            sender.send_nowait(frame)
        assert receiver.receive_nowait() == Frame(1, b"\1")


async def test_filters_that_name_error_frames(user_links: Links) -> None:
    name = user_links.add()
    network = user_links.network
    assert isinstance(network, anycan.UserNetwork)
    both = [ErrorFrame(ErrorClass.BUS_OFF), ErrorFrame(ErrorClass.NO_ACK)]
    for filters in (
        Filter.errors(ErrorClass.BUS_OFF) | Filter.id(1),
        Filter.errors(ErrorClass.BUS_OFF) | Filter.id(1) & (byte(0) == 1),
    ):
        async with (
            anycan.open_raw(name, network=network) as sender,
            anycan.open_raw(name, network=network, filters=filters) as receiver,
        ):
            for error in both:
                network.inject(name, error)
            await sender.send(Frame(1, b"\1"))
            assert await receive(receiver, 2) == [both[0], Frame(1, b"\1")]


async def test_filters_that_the_kernel_cannot_join(user_links: Links) -> None:
    name, network = user_links.add(), user_links.network
    with pytest.raises(anycan.FilterError, match="a & b"):
        async with anycan.open_raw(
            name, network=network, filters=[Filter.id(1), byte(0) == 1], join_filters=True
        ):
            pass
