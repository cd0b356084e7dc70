"""The user network's descriptor: it polls as the kernel's socket would."""

from __future__ import annotations

import errno
import select
import selectors
import socket
import struct
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import UserNetwork
from anycan.sockets.networks import open_descriptor
from anycan.sockets.user import UserDescriptor
from anycan.wire.constants import CAN_RAW
from anycan.wire.messages import MessageBuffer, pack_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FRAME = struct.pack("=IB3x8s", 0x123, 8, b"12345678")
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


@pytest.fixture
def open_one(network: UserNetwork) -> Iterator[Callable[[str], UserDescriptor]]:
    opened: list[UserDescriptor] = []

    def open_bound(interface: str = "vcan0") -> UserDescriptor:
        descriptor = UserDescriptor.on(network, CAN_RAW, "can-raw")
        opened.append(descriptor)
        descriptor.bind(pack_address(network.interface_index(interface)))
        return descriptor

    yield open_bound
    for descriptor in opened:
        descriptor.close()


@pytest.fixture(
    params=[
        pytest.param(one, id=one)
        for one in ("SelectSelector", "PollSelector", "EpollSelector", "KqueueSelector")
        if hasattr(selectors, one)
    ]
)
def polled(request: pytest.FixtureRequest) -> Iterator[Callable[[UserDescriptor], int]]:
    """Give a function that polls a descriptor once; registered once, as an event loop does it."""
    selector: selectors.BaseSelector = getattr(selectors, request.param)()
    known: set[int] = set()

    def poll(descriptor: UserDescriptor) -> int:
        fd = descriptor.fileno()
        if fd not in known:
            known.add(fd)
            selector.register(fd, READ | WRITE)
        return {key.fd: events for key, events in selector.select(0)}.get(fd, 0)

    yield poll
    selector.close()


def test_it_is_readable_while_frames_wait(
    open_one: Callable[..., UserDescriptor], polled: Callable[[UserDescriptor], int]
) -> None:
    one, sender = open_one(), open_one()
    buffer = MessageBuffer(4)
    assert polled(one) == WRITE
    assert sender.send([FRAME] * 10) == 10
    for count in (4, 4, 2):
        assert polled(one) == READ | WRITE
        assert polled(one) == READ | WRITE  # level-triggered: it stays so
        assert one.receive(buffer) == count
    assert polled(one) == WRITE
    with pytest.raises(BlockingIOError):
        one.receive(buffer)
    assert polled(one) == WRITE
    sender.send([FRAME])
    assert polled(one) == READ | WRITE
    assert polled(sender) == WRITE


def test_no_more_is_stored_than_the_limit(
    open_one: Callable[..., UserDescriptor], polled: Callable[[UserDescriptor], int]
) -> None:
    one, sender = open_one(), open_one()
    payloads = [struct.pack("=IB3x8s", number, 8, b"12345678") for number in range(10)]
    buffer = MessageBuffer(4)
    assert sender.send(payloads) == 10
    before = bytes(buffer.records)
    received: list[bytes] = []
    for limit in (1, 3, 2, 4):
        buffer.limit = limit
        assert polled(one) == READ | WRITE
        assert one.receive(buffer) == limit
        received += [buffer.message(position, {1: "vcan0"})[0] for position in range(limit)]
        # What is behind the limit is not touched, before the first call that goes so far.
        if limit == 1:
            assert buffer.records[buffer.stride :] == before[buffer.stride :]
    assert received == payloads
    assert polled(one) == WRITE
    with pytest.raises(BlockingIOError):
        one.receive(buffer)


def test_it_is_readable_while_an_error_is_pending(
    network: UserNetwork,
    open_one: Callable[..., UserDescriptor],
    polled: Callable[[UserDescriptor], int],
) -> None:
    one = open_one()
    buffer = MessageBuffer(4)
    open_one().send([FRAME])
    network.set_down("vcan0")
    assert polled(one) == READ | WRITE
    with pytest.raises(OSError, match="ENETDOWN") as info:
        one.receive(buffer)
    assert info.value.errno == errno.ENETDOWN
    assert polled(one) == READ | WRITE  # the frame
    assert one.receive(buffer) == 1
    assert polled(one) == WRITE
    network.remove("vcan0")
    assert polled(one) == READ | WRITE
    assert one.getsockopt(1, 4, 4) == struct.pack("=i", errno.ENODEV)
    assert polled(one) == WRITE


def test_it_is_writable_while_less_than_half_of_its_send_buffer_is_used(
    network: UserNetwork,
    open_one: Callable[..., UserDescriptor],
    polled: Callable[[UserDescriptor], int],
) -> None:
    network.add_vcan("slow", transmit_queue=100)
    one = open_one("slow")
    one.setsockopt(1, 7, struct.pack("=i", 0))
    for _ in range(3):  # over and over: what it is filled with is taken out again
        assert one.send([FRAME, FRAME]) == 2
        assert polled(one) == WRITE
        assert one.send([FRAME] * 10) == 3
        assert polled(one) == 0
        with pytest.raises(BlockingIOError):
            one.send([FRAME])
        assert network.release("slow", 2) == 2
        assert polled(one) == 0
        assert network.release("slow", 1) == 1
        assert polled(one) == WRITE
        network.release("slow")


def test_a_pending_error_makes_it_writable_too(
    network: UserNetwork,
    open_one: Callable[..., UserDescriptor],
    polled: Callable[[UserDescriptor], int],
) -> None:
    network.add_vcan("slow", transmit_queue=100)
    one = open_one("vcan0")
    one.setsockopt(1, 7, struct.pack("=i", 0))
    slow = pack_address(network.interface_index("slow"))
    assert one.send([FRAME] * 10, slow) == 5
    assert polled(one) == 0
    network.set_down("vcan0")
    assert polled(one) == READ | WRITE
    with pytest.raises(OSError, match="ENETDOWN"):
        one.receive(MessageBuffer(1))
    assert polled(one) == 0


def test_readable_and_not_writable(
    network: UserNetwork,
    open_one: Callable[..., UserDescriptor],
    polled: Callable[[UserDescriptor], int],
) -> None:
    network.add_vcan("slow", transmit_queue=100)
    one, other = open_one("slow"), open_one("slow")
    one.setsockopt(1, 7, struct.pack("=i", 0))
    one.send([FRAME] * 5)
    other.send([FRAME])
    assert polled(one) == READ
    assert one.receive(MessageBuffer(4)) == 1
    assert polled(one) == 0
    network.release("slow")
    assert polled(one) == WRITE


def test_a_refused_frame_ends_the_batch(
    network: UserNetwork, open_one: Callable[..., UserDescriptor]
) -> None:
    network.add_vcan("slow", transmit_queue=3)
    one = open_one("slow")
    assert one.send([FRAME] * 5) == 3
    with pytest.raises(OSError, match="ENOBUFS") as info:
        one.send([FRAME] * 5)
    assert info.value.errno == errno.ENOBUFS
    assert open_one().send([FRAME, FRAME[:15], FRAME]) == 1


def test_a_wake_up_costs_two_system_calls_and_a_frame_none(
    open_one: Callable[..., UserDescriptor], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, sender = open_one(), open_one()
    calls: list[str] = []

    class Counting:
        def __init__(self, end: socket.socket) -> None:
            self._end = end

        def send(self, *arguments: Any) -> int:
            calls.append("send")
            return self._end.send(*arguments)

        def recv(self, *arguments: Any) -> bytes:
            calls.append("recv")
            return self._end.recv(*arguments)

    readiness = one._readiness
    monkeypatch.setattr(readiness, "own", Counting(readiness.own))
    monkeypatch.setattr(readiness, "_peer", Counting(readiness._peer))
    sender.send([FRAME] * 50)
    buffer = MessageBuffer(20)
    while len(calls) < 2:
        one.receive(buffer)
    assert calls == ["send", "recv"]
    monkeypatch.undo()


def test_closed_it_is_of_no_more_use(
    network: UserNetwork, open_one: Callable[..., UserDescriptor]
) -> None:
    one, other = open_one(), open_one()
    other.send([FRAME])
    one.close()
    one.close()
    assert one.fileno() == -1
    other.send([FRAME])
    network.set_down("vcan0")
    network.remove("vcan0")
    calls: list[Callable[[], object]] = [
        lambda: one.bind(pack_address(0)),
        lambda: one.setsockopt(1, 8, bytes(4)),
        lambda: one.getsockopt(1, 8, 4),
        lambda: one.receive(MessageBuffer(1)),
        lambda: one.send([FRAME]),
    ]
    for call in calls:
        with pytest.raises(OSError, match="descriptor") as info:
            call()
        assert info.value.errno == errno.EBADF


def test_it_is_what_a_user_network_opens(network: UserNetwork) -> None:
    descriptor = open_descriptor(network, socket.SOCK_RAW, 1, "can-raw")
    assert isinstance(descriptor, UserDescriptor)
    descriptor.close()
    network.close()
    with pytest.raises(anycan.NetworkUnavailableError):
        open_descriptor(network, socket.SOCK_RAW, 1, "can-raw")


@pytest.mark.anyio
async def test_event_loops_wait_for_it(
    network: UserNetwork, open_one: Callable[..., UserDescriptor]
) -> None:
    network.add_vcan("slow", transmit_queue=100)
    one, sender = open_one("slow"), open_one("slow")
    sender.setsockopt(1, 7, struct.pack("=i", 0))
    woken: list[str] = []

    async def read() -> None:
        await anyio.wait_readable(one)
        woken.append("readable")

    async def write() -> None:
        await anyio.wait_writable(sender)
        woken.append("writable")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert sender.send([FRAME] * 10) == 5
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            assert woken == ["readable"]
            network.release("slow")
    assert woken == ["readable", "writable"]


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll is Linux's")
def test_edge_triggered_polling_sees_each_filling(
    open_one: Callable[..., UserDescriptor],
) -> None:
    one, sender = open_one(), open_one()
    buffer = MessageBuffer(128)
    with select.epoll() as epoll:
        epoll.register(one.fileno(), select.EPOLLIN | select.EPOLLET)
        for _ in range(3):
            sender.send([FRAME] * 3)
            assert epoll.poll(0) == [(one.fileno(), select.EPOLLIN)]
            assert one.receive(buffer) == 3
            assert epoll.poll(0) == []
