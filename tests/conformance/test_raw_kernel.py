"""What only a kernel has: queues that are full, and controllers on a bus."""

from __future__ import annotations

import random
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import FdFrame, Frame
from rig.blocking import excuse

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(300)]


def run(command: str) -> None:
    subprocess.run(command.split(), check=True)  # noqa: S603 - our own words
    excuse()


def limit_queue(interface: str, delay: str, frames: int) -> None:
    run(f"tc qdisc replace dev {interface} root netem delay {delay} limit {frames}")


def numbered(count: int, start: int = 0) -> list[Frame]:
    return [Frame(0x100, number.to_bytes(4, "big")) for number in range(start, start + count)]


@pytest.fixture
def bus(controllers: tuple[str, str]) -> tuple[str, str]:
    """Two SJA1000 controllers on one bus at 500 kbit/s, up."""
    for name in controllers:
        run(f"ip link set {name} type can bitrate 500000 restart-ms 100")
        run(f"ip link set {name} up")
    return controllers


async def receive_all(can: anycan.RawEndpoint, count: int, into: list[anycan.AnyFrame]) -> None:
    while len(into) < count:
        into += await can.receive_many()


async def test_a_full_queue_is_waited_for(kernel_links: Links) -> None:
    name = kernel_links.add()
    limit_queue(name, "5ms", 10)
    total = 20_000
    received: list[anycan.AnyFrame] = []
    async with (
        anycan.open_raw(name) as sender,
        anycan.open_raw(name) as receiver,
        anyio.create_task_group() as group,
    ):
        group.start_soon(receive_all, receiver, total, received)
        assert await sender.send_many(numbered(total)) == total
    assert received == numbered(total)
    assert receiver.statistics().dropped == 0


async def test_a_full_queue_is_waited_for_by_each_of_many_senders(kernel_links: Links) -> None:
    name = kernel_links.add()
    limit_queue(name, "5ms", 10)
    received: list[anycan.AnyFrame] = []

    async def send(task: int) -> None:
        for number in range(50):
            await sender.send(Frame(task, number.to_bytes(4, "big")))

    async with (
        anycan.open_raw(name) as sender,
        anycan.open_raw(name) as receiver,
        anyio.create_task_group() as group,
    ):
        group.start_soon(receive_all, receiver, 500, received)
        for task in range(10):
            group.start_soon(send, task)
    for task in range(10):
        mine = [frame for frame in received if isinstance(frame, Frame) and frame.id == task]
        assert [int.from_bytes(frame.data, "big") for frame in mine] == list(range(50))


async def test_send_nowait_tells_of_a_full_queue(kernel_links: Links) -> None:
    name = kernel_links.add()
    limit_queue(name, "100ms", 2)
    async with anycan.open_raw(name) as sender, anycan.open_raw(name) as receiver:
        taken = 0

        def send_until_refused() -> None:
            nonlocal taken
            for frame in numbered(1000):
                sender.send_nowait(frame)
                taken += 1

        with pytest.raises(anyio.WouldBlock):
            send_until_refused()
        received: list[anycan.AnyFrame] = []
        await receive_all(receiver, taken, received)
        assert received == numbered(taken)


async def test_a_thousand_cancelled_sends_lose_and_repeat_nothing(kernel_links: Links) -> None:
    name = kernel_links.add()
    # Longer than four sends take on a slow machine, so that the queue is full for most of them.
    limit_queue(name, "5ms", 1)
    generator = random.Random(3)
    returned: list[int] = []
    received: list[anycan.AnyFrame] = []
    cancelled = 0

    async def send_one(number: int, scope: anyio.CancelScope) -> None:
        nonlocal cancelled
        with scope:
            await sender.send(numbered(1, number)[0])
            returned.append(number)
        cancelled += scope.cancelled_caught

    async with anycan.open_raw(name) as sender, anycan.open_raw(name) as receiver:
        number = 0
        while cancelled < 1000 or len(returned) <= 100:
            scopes = [anyio.CancelScope() for _ in range(4)]
            async with anyio.create_task_group() as group:
                for scope in scopes:
                    group.start_soon(send_one, number, scope)
                    number += 1
                for _ in range(generator.randrange(8)):
                    await checkpoint()
                generator.shuffle(scopes)
                for scope in scopes:
                    scope.cancel()
            # What comes is taken meanwhile: all of it would not fit into a receive buffer.
            with suppress(anyio.WouldBlock):
                while True:
                    received.append(receiver.receive_nowait())
        with anyio.fail_after(60):
            await receive_all(receiver, len(returned), received)
        assert receiver.statistics().dropped == 0
        await checkpoint()
        with pytest.raises(anyio.WouldBlock):
            receiver.receive_nowait()
    # Exactly those whose send returned, in that order.
    assert [int.from_bytes(frame.data, "big") for frame in received] == returned
    assert len(returned) > 100


async def test_closing_wakes_a_sender_that_waits_for_room(kernel_links: Links) -> None:
    name = kernel_links.add()
    limit_queue(name, "1s", 1)
    closed = 0

    async def send() -> None:
        nonlocal closed
        with pytest.raises(anyio.ClosedResourceError):
            await sender.send_many(numbered(1000))
        closed += 1

    async with anycan.open_raw(name) as sender, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(send)
        for _ in range(5):
            await checkpoint()
        await sender.aclose()
    assert closed == 3


async def test_frames_between_two_controllers(bus: tuple[str, str]) -> None:
    first, second = bus
    total = 200

    async def send(can: anycan.RawEndpoint, identifier: int) -> None:
        for frame in numbered(total):
            await can.send(Frame(identifier, frame.data))
            # Some 250 microseconds a frame on a real bus; the emulated one has no timing, and
            # its receiver overruns. The emulated processor needs a multiple.
            await anyio.sleep(0.01)

    async with (
        anycan.open_raw(first) as one,
        anycan.open_raw(second) as two,
        anyio.create_task_group() as group,
    ):
        by_one: list[anycan.AnyFrame] = []
        by_two: list[anycan.AnyFrame] = []
        group.start_soon(receive_all, one, total, by_one)
        group.start_soon(receive_all, two, total, by_two)
        group.start_soon(send, one, 0x111)
        group.start_soon(send, two, 0x222)
    assert by_two == [Frame(0x111, frame.data) for frame in numbered(total)]
    assert by_one == [Frame(0x222, frame.data) for frame in numbered(total)]
    assert not any(frame.local for frame in by_one + by_two)


async def test_a_controller_of_classical_can_takes_no_fd(bus: tuple[str, str]) -> None:
    async with anycan.open_raw(bus[0]) as can:
        with pytest.raises(anycan.FrameNotSupportedError, match="takes no CAN FD"):
            await can.send(FdFrame(1))


async def test_an_interface_that_is_no_can_interface() -> None:
    with pytest.raises(anycan.NotACanInterfaceError, match="lo is no CAN interface"):
        async with anycan.open_raw("lo"):
            pass


async def test_a_sender_that_waits_is_woken_when_the_link_goes_down(kernel_links: Links) -> None:
    name = kernel_links.add()
    limit_queue(name, "5s", 3)
    async with anycan.open_raw(name) as sender:
        with anyio.move_on_after(0.1) as scope:
            await sender.send_many(numbered(50))
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:

            async def send() -> None:
                with pytest.raises(anycan.InterfaceDownError):
                    await sender.send(Frame(1))

            for _ in range(3):
                group.start_soon(send)
            await checkpoint()
            kernel_links.down(name)
        with pytest.raises(anycan.InterfaceDownError):
            await sender.receive()
        kernel_links.up(name)
        await sender.send(Frame(2))


async def test_a_sender_that_waits_is_woken_when_the_interface_is_removed(
    kernel_links: Links,
) -> None:
    name = kernel_links.add()
    limit_queue(name, "5s", 3)
    async with anycan.open_raw(name) as sender:
        with anyio.move_on_after(0.1) as scope:
            await sender.send_many(numbered(50))
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:

            async def send() -> None:
                with pytest.raises(anycan.InterfaceRemovedError):
                    await sender.send(Frame(1))

            for _ in range(3):
                group.start_soon(send)
            await checkpoint()
            kernel_links.remove(name)
        with pytest.raises(anycan.InterfaceRemovedError):
            await sender.receive()
