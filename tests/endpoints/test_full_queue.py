"""Senders that find no room: in the socket's send buffer (EAGAIN), in the queue (ENOBUFS)."""

from __future__ import annotations

import asyncio
import random

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import CanProtocol, Frame, RawTransport, UserNetwork

# Five frames fill the least send buffer; what is left is for the queue.
QUEUES = [pytest.param(3, id="queue"), pytest.param(100, id="buffer")]


def numbered(count: int, start: int = 0) -> list[anycan.AnyFrame]:
    return [Frame(0x100, number.to_bytes(4, "big")) for number in range(start, start + count)]


async def release_always(network: UserNetwork, name: str) -> None:
    while True:
        network.release(name, 1)
        await checkpoint()


async def receive(can: anycan.RawEndpoint, count: int) -> list[anycan.AnyFrame]:
    received: list[anycan.AnyFrame] = []
    while len(received) < count:
        received += await can.receive_many()
    return received


@pytest.mark.anyio
@pytest.mark.parametrize("room", QUEUES)
async def test_send_waits_for_room(room: int) -> None:
    async with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        async with (
            anycan.open_raw("vcan0", network=network) as sender,
            anycan.open_raw("vcan0", network=network) as receiver,
        ):
            taken = 0

            def send_until_refused() -> None:
                nonlocal taken
                for frame in numbered(10):
                    sender.send_nowait(frame)
                    taken += 1

            with pytest.raises(anyio.WouldBlock):
                send_until_refused()
            assert taken == min(room, 5)
            async with anyio.create_task_group() as group:
                group.start_soon(sender.send, numbered(1, taken)[0])
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(anyio.WouldBlock):
                    sender.send_nowait(Frame(0x7FF))  # there is someone before
                assert sender.statistics().sent == taken
                network.release("vcan0")
            assert await receive(receiver, taken + 1) == numbered(taken + 1)


@pytest.mark.anyio
@pytest.mark.parametrize("room", QUEUES)
async def test_many_frames_through_a_short_queue_keep_their_order(room: int) -> None:
    async with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        async with (
            anycan.open_raw("vcan0", network=network) as sender,
            anycan.open_raw("vcan0", network=network) as receiver,
            anyio.create_task_group() as group,
        ):
            group.start_soon(release_always, network, "vcan0")
            progress: list[int] = []
            assert await sender.send_many(numbered(60), on_sent=progress.append) == 60
            assert progress[-1] == 60
            assert progress == sorted(set(progress))
            assert await receive(receiver, 60) == numbered(60)
            group.cancel_scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize("room", QUEUES)
async def test_cancelled_sends_lose_and_repeat_nothing(room: int) -> None:
    generator = random.Random(4)
    returned: list[int] = []
    cancelled = 0

    async def send_one(number: int, scope: anyio.CancelScope) -> None:
        nonlocal cancelled
        with scope:
            await sender.send(numbered(1, number)[0])
            returned.append(number)
        cancelled += scope.cancelled_caught

    async with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        async with (
            anycan.open_raw("vcan0", network=network) as sender,
            anycan.open_raw("vcan0", network=network) as receiver,
        ):
            number = 0
            while cancelled < 1000:
                scopes = [anyio.CancelScope() for _ in range(8)]
                async with anyio.create_task_group() as group:
                    for scope in scopes:
                        group.start_soon(send_one, number, scope)
                        number += 1
                    for _ in range(generator.randrange(6)):
                        await checkpoint()
                        network.release("vcan0", generator.randrange(3))
                    for scope in scopes:
                        scope.cancel()
            received = await receive(receiver, len(returned))
            with pytest.raises(anyio.WouldBlock):
                receiver.receive_nowait()
    assert received == [numbered(1, one)[0] for one in returned]
    assert len(returned) > 50


@pytest.mark.anyio
@pytest.mark.parametrize("room", QUEUES)
async def test_closing_wakes_a_waiting_sender(room: int) -> None:
    async with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        async with (
            anyio.create_task_group() as group,
            anycan.open_raw("vcan0", network=network) as sender,
        ):
            woken: list[type[Exception]] = []

            async def send() -> None:
                try:
                    await sender.send_many(numbered(50))
                except anyio.ClosedResourceError as error:
                    woken.append(type(error))

            for _ in range(3):
                group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await sender.aclose()
        assert woken == [anyio.ClosedResourceError] * 3


@pytest.mark.anyio
@pytest.mark.parametrize("room", QUEUES)
async def test_a_link_that_goes_down_wakes_a_waiting_sender(room: int) -> None:
    async with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        async with anycan.open_raw("vcan0", network=network) as sender:

            async def send() -> None:
                with pytest.raises(anycan.InterfaceDownError):
                    await sender.send_many(numbered(50))

            async with anyio.create_task_group() as group:
                group.start_soon(send)
                await anyio.wait_all_tasks_blocked()
                network.set_down("vcan0")
            with pytest.raises(anycan.InterfaceDownError):
                await sender.receive()
            network.set_up("vcan0")
            await sender.send(Frame(1))


@pytest.mark.anyio
@pytest.mark.parametrize("room", QUEUES)
async def test_an_interface_that_is_removed_wakes_a_waiting_sender(room: int) -> None:
    async with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        async with anycan.open_raw("vcan0", network=network) as sender:

            async def send() -> None:
                with pytest.raises(anycan.InterfaceRemovedError):
                    await sender.send_many(numbered(50))

            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(send)
                await anyio.wait_all_tasks_blocked()
                network.remove("vcan0")
            with pytest.raises(anycan.InterfaceRemovedError):
                await sender.receive()


class Recorder(CanProtocol):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.lost = asyncio.Event()

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def error_received(self, exc: anycan.CanOSError) -> None:
        self.calls.append(type(exc).__name__)

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(f"lost {exc}")
        self.lost.set()


async def fill(transport: RawTransport, count: int) -> None:
    for frame in numbered(count):
        transport.send(frame)
    await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("room", QUEUES)
async def test_a_transport_keeps_what_finds_no_room_and_sends_it_before_it_closes(
    room: int,
) -> None:
    with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        transport, protocol = await anycan.create_raw_transport(Recorder, "vcan0", network=network)
        transport.set_write_buffer_limits(high=8, low=2)
        async with anycan.open_raw("vcan0", network=network) as receiver:
            await fill(transport, 30)
            assert protocol.calls == ["pause"]
            assert transport.get_write_buffer_size() == 30 - min(room, 5)
            transport.close()
            assert transport.is_closing()
            assert "closing" in repr(transport)
            received: list[anycan.AnyFrame] = []
            while len(received) < 30:
                network.release("vcan0")
                received += await receiver.receive_many()
            assert received == numbered(30)
            await protocol.lost.wait()
        assert protocol.calls == ["pause", "resume", "lost None"]
        assert transport.statistics().sent == 30


@pytest.mark.asyncio
@pytest.mark.parametrize("room", QUEUES)
async def test_a_transport_resumes_writing(room: int) -> None:
    with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        transport, protocol = await anycan.create_raw_transport(Recorder, "vcan0", network=network)
        transport.set_write_buffer_limits(high=8, low=2)
        await fill(transport, 20)
        with pytest.raises(TypeError, match="not a CAN frame"):
            transport.send("123#")  # type: ignore[arg-type]  # that is the point
        while protocol.calls != ["pause", "resume"]:
            network.release("vcan0", 1)
            await asyncio.sleep(0)
        assert transport.get_write_buffer_size() <= 2
        transport.abort()
        await protocol.lost.wait()
        assert protocol.calls == ["pause", "resume", "lost None"]


@pytest.mark.asyncio
@pytest.mark.parametrize("room", QUEUES)
async def test_an_aborted_transport_drops_what_waits(room: int) -> None:
    with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        transport, protocol = await anycan.create_raw_transport(Recorder, "vcan0", network=network)
        await fill(transport, 20)
        transport.abort()
        await protocol.lost.wait()
        assert transport.statistics().sent == min(room, 5)
        assert transport.get_write_buffer_size() == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("room", QUEUES)
async def test_what_waits_while_the_link_goes_down_is_told_frame_by_frame(room: int) -> None:
    with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=room)
        transport, protocol = await anycan.create_raw_transport(Recorder, "vcan0", network=network)
        await fill(transport, 10)
        waiting = transport.get_write_buffer_size()
        network.set_down("vcan0")
        while transport.get_write_buffer_size():  # noqa: ASYNC110 - the transport tells of it so
            await asyncio.sleep(0)
        # Each of those frames, and the link itself.
        assert protocol.calls == ["InterfaceDownError"] * (waiting + 1)
        network.set_up("vcan0")
        transport.send(Frame(1))
        assert transport.get_write_buffer_size() == 0
        transport.close()
        await protocol.lost.wait()
