"""A client's socket, on the server's side."""

from __future__ import annotations

import errno
import select
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from anycan.network import served_socket
from anycan.network.allowance import Allowance, ServerLimits
from anycan.network.served_socket import ReceiveBuffers, ServedSocket
from anycan.wire.constants import (
    CAN_BCM,
    CAN_ISOTP,
    CAN_ISOTP_OPTS,
    CAN_RAW,
    CAN_RAW_FILTER,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SOL_CAN_ISOTP,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.isotp import IsotpFlag
from anycan.wire.messages import HEADER_SIZE, MessageBuffer, pack_address
from anycan.wire.served import MOST_PDU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan import UserNetwork

BUFFER = 212_992  # what a socket has to begin with
FRAME = struct.pack("=IB3x8s", 0x123, 8, b"12345678")


@pytest.fixture
def allowance() -> Allowance:
    return Allowance(ServerLimits(buffer=1 << 20, buffers=2 << 20))


@pytest.fixture
def open_one(network: UserNetwork, allowance: Allowance) -> Iterator[Callable[..., ServedSocket]]:
    """Open sockets on an interface."""
    opened: list[ServedSocket] = []
    buffers = ReceiveBuffers()

    def open_served(
        protocol: int = CAN_RAW, interface: str | None = "flexible", *, writable: bool = True
    ) -> ServedSocket:
        open_core: Any = partial(network._open_socket, protocol)
        one = ServedSocket(open_core, allowance, buffers, writable=writable)
        opened.append(one)
        if interface is not None:
            place = one.connect if protocol == CAN_BCM else one.bind
            place(pack_address(network.interface_index(interface)))
        return one

    yield open_served
    for one in opened:
        one.close()
    assert allowance.buffers == allowance.operations == allowance.operation_bytes == 0
    assert allowance.filters == 0


@pytest.fixture
def send(network: UserNetwork) -> Callable[..., int]:
    """Send messages by a socket, which may have so many operations more."""

    def send(one: ServedSocket, *payloads: bytes, room: int = 100) -> int:
        return one.send(list(payloads), None, network._now_ns, lambda: room)

    return send


@pytest.fixture(autouse=True)
def _no_time_goes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_socket, "thread_time", lambda: 0.0)


def polls(one: ServedSocket) -> str:
    poll = select.poll()
    poll.register(one.readiness.fileno(), select.POLLIN | select.POLLOUT)
    found = dict(poll.poll(0)).get(one.readiness.fileno(), 0)
    return ("r" if found & select.POLLIN else "") + ("w" if found & select.POLLOUT else "")


def number(value: int) -> bytes:
    return struct.pack("=i", value)


def setup(identifier: int) -> bytes:
    """Give a message that has the broadcast manager watch an identifier."""
    return struct.pack("@IIIllllII0q", 5, 0x20, 0, 0, 0, 0, 0, identifier, 0)


def test_frames_come_through_and_it_polls(
    open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    one, other = open_one(), open_one()
    assert polls(other) == "w"
    assert send(one, FRAME, FRAME) == 2
    assert (polls(one), polls(other)) == ("w", "rw")
    count, data = other.receive(128, 72, hardware_stamps=False)
    buffer = MessageBuffer(count, 72)
    buffer.headers[:] = data[: count * HEADER_SIZE]
    buffer.records[:] = data[count * HEADER_SIZE :]
    assert [message for message, _, _, _ in buffer.received(count)] == [FRAME, FRAME]
    assert polls(other) == "w"
    with pytest.raises(BlockingIOError):
        other.receive(128, 72, hardware_stamps=False)


def test_it_does_not_poll_writable_while_its_frames_wait(
    network: UserNetwork, open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    network.add_vcan("queued", transmit_queue=1000)
    one = open_one(interface="queued")
    one.setsockopt(SOL_SOCKET, SO_SNDBUF, number(0))
    while "w" in polls(one):
        assert send(one, FRAME) == 1
    network.release("queued")
    assert polls(one) == "w"


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (1, 1), (2, 2), (1000, 128)])
def test_so_many_at_once(
    open_one: Callable[..., ServedSocket], send: Callable[..., int], asked: int, given: int
) -> None:
    one, other = open_one(), open_one()
    send(one, *[FRAME] * 130)
    assert other.receive(asked, 16, hardware_stamps=False)[0] == given


@pytest.mark.parametrize("hardware_stamps", [False, True])
@pytest.mark.parametrize("size", [0, 1, 16, 2064, MOST_PDU, 0xFFFFFFFF])
def test_payloads_of_any_size_fit_into_an_answer(
    open_one: Callable[..., ServedSocket],
    send: Callable[..., int],
    size: int,
    hardware_stamps: bool,
) -> None:
    one, other = open_one(), open_one()
    send(one, *[FRAME] * 256)
    count, data = other.receive(0xFFFF, size, hardware_stamps=hardware_stamps)
    layout = MessageBuffer(1, max(1, min(size, MOST_PDU)), hardware_stamps=hardware_stamps)
    assert len(data) == count * (HEADER_SIZE + layout.stride) <= (1 << 17) - 8


def test_who_asks_in_ever_other_ways_takes_no_more_room(
    open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    sender, *others = (open_one() for _ in range(4))
    for size in range(1, 60):
        send(sender, FRAME)
        for other in others:
            assert other.receive(1, size, hardware_stamps=False)[0] == 1
    assert len(sender._buffers._buffers) <= 8


def test_one_request_does_not_take_for_ever(
    open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    one = open_one()
    assert send(one, *[FRAME] * 5000) == served_socket._SENT


class Clock:
    """Time that goes on by itself whenever it is asked for."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize("protocol", [CAN_RAW, CAN_BCM, CAN_ISOTP])
@pytest.mark.parametrize(("step", "most"), [(0.0015, 10), (0.003, 2), (1, 2)])
def test_what_takes_long_is_done_in_parts(
    open_one: Callable[..., ServedSocket],
    network: UserNetwork,
    monkeypatch: pytest.MonkeyPatch,
    protocol: int,
    step: float,
    most: int,
) -> None:
    """As where others have filters by the thousand."""
    if protocol == CAN_ISOTP:
        one = open_one(CAN_ISOTP, None)
        one.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, struct.pack("=II4B", 0, 0, 0, 0, 0, 0))
        one.bind(struct.pack("=HxxiII8x", 29, network.interface_index("flexible"), 0x7E8, 0x7E0))
    else:
        one = open_one(protocol)
    heard = open_one()
    what = [struct.pack("=IB3x8x", number, 8) for number in range(200)]
    if protocol != CAN_RAW:
        what = [setup(number) if protocol == CAN_BCM else b"pdu" for number in range(200)]
    monkeypatch.setattr(served_socket, "thread_time", Clock(step))
    rest = list(what)
    while rest:
        count = one.send(list(rest), None, network._now_ns, lambda: 1000)
        assert 1 <= count <= most
        del rest[:count]
    assert heard.status()["queued"] == (0 if protocol == CAN_BCM else 200)
    assert one.operations == (200 if protocol == CAN_BCM else 0)
    if protocol == CAN_RAW:
        buffer = MessageBuffer(128, 16)
        heard._core.receive(buffer)
        assert [message for message, _, _, _ in buffer.received(128)] == what[:128]


def test_the_room_for_operations_is_asked_for_where_there_is_a_new_one(
    open_one: Callable[..., ServedSocket], network: UserNetwork
) -> None:
    """Whoever asks goes through all sockets of a client."""
    one = open_one(CAN_BCM)
    room = iter([9, 8])
    for _ in range(2):
        assert one.send([setup(1), setup(2)], None, network._now_ns, partial(next, room)) == 2
    assert next(room, None) is None


def test_operations_on_all_interfaces_are_as_many_as_their_addresses(
    open_one: Callable[..., ServedSocket], network: UserNetwork
) -> None:
    one = open_one(CAN_BCM, None)
    one.connect(pack_address(0))
    for index in (1, 2, 1):
        assert one.send([setup(1)], pack_address(index), network._now_ns, lambda: 9) == 1
    assert one.operations == 2
    with pytest.raises(OSError, match="EINVAL"):
        one.send([setup(1)], b"abc", network._now_ns, lambda: 9)
    with pytest.raises(OSError, match="as many operations"):
        one.send([setup(1)], None, network._now_ns, lambda: 0)
    assert one.operations == 2


def test_what_is_refused_is_told_by_the_next_call(
    open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    one = open_one()
    assert send(one, FRAME, FRAME, b"odd", FRAME) == 2
    with pytest.raises(OSError, match="EINVAL"):
        send(one, b"odd", FRAME)


def test_buffers_grow_within_limits(
    open_one: Callable[..., ServedSocket], allowance: Allowance
) -> None:
    one, other = open_one(), open_one()
    assert allowance.buffers == 2 * BUFFER
    one.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, number(0x7FFFFFFF))
    assert one.getsockopt(SOL_SOCKET, SO_RCVBUF, 4) == number(1 << 20)
    assert allowance.buffers == (1 << 20) + BUFFER
    assert one.status()["buffer"] == 1 << 20
    other.setsockopt(SOL_SOCKET, SO_RCVBUFFORCE, number(0x7FFFFFFF))
    assert allowance.buffers == 2 << 20  # and that is all there is
    with pytest.raises(OSError, match="receive buffers") as raised:
        open_one()
    assert raised.value.errno == errno.ENOBUFS
    other.setsockopt(SOL_SOCKET, SO_SNDBUFFORCE, number(0x7FFFFFFF))
    assert other.getsockopt(SOL_SOCKET, SO_SNDBUF, 4) == number(1 << 20)
    other.setsockopt(SOL_SOCKET, SO_RCVBUF, number(1))
    assert allowance.buffers < (1 << 20) + BUFFER
    open_one()


@pytest.mark.parametrize("option", [SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE])
@pytest.mark.parametrize("value", [number(-1), number(0), number(-(1 << 31)), bytes(100)])
def test_odd_sizes_of_buffers(
    open_one: Callable[..., ServedSocket], allowance: Allowance, option: int, value: bytes
) -> None:
    one = open_one()
    one.setsockopt(SOL_SOCKET, option, value)
    assert 0 < allowance.buffers <= 1 << 20


def test_filters_count_against_the_user(
    open_one: Callable[..., ServedSocket], allowance: Allowance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are walked for an identifier that was not seen before, for whoever sends it."""

    def filters(count: int) -> bytes:
        return struct.pack("=II", 0x100, 0x700) * count

    monkeypatch.setattr("anycan.network.allowance._FILTERS", 600)
    one, other = open_one(), open_one()
    one.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters(500))
    with pytest.raises(OSError, match="may have 600 filters together") as raised:
        other.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters(101))
    assert raised.value.errno == errno.ENOMEM
    assert other.getsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, 100) == bytes(8)  # as before: all frames
    other.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters(100))
    one.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters(10))
    assert allowance.filters == 110
    other.close()
    assert allowance.filters == 10
    for odd in (filters(2) + b"odd", filters(513)):
        with pytest.raises(OSError, match="EINVAL"):
            one.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, odd)
    manager = open_one(CAN_BCM)
    with pytest.raises(OSError, match="NOTSUP"):
        manager.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters(3))
    assert allowance.filters == 10


def test_an_option_that_is_too_short(
    open_one: Callable[..., ServedSocket], allowance: Allowance
) -> None:
    one = open_one()
    with pytest.raises(OSError, match="EINVAL"):
        one.setsockopt(SOL_SOCKET, SO_RCVBUF, b"abc")
    assert allowance.buffers == BUFFER


def test_who_may_only_listen(
    network: UserNetwork, open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    one, writer = open_one(writable=False), open_one()
    send(writer, FRAME)
    assert one.receive(1, 16, hardware_stamps=False)[0] == 1
    with pytest.raises(PermissionError, match="may only listen"):
        send(one, FRAME)
    manager = open_one(CAN_BCM, writable=False)
    assert send(manager, setup(0x100)) == 1
    transfer = open_one(CAN_ISOTP, None, writable=False)
    address = struct.pack("=HxxiII8x", 29, network.interface_index("flexible"), 0x7E8, 0x7E0)
    with pytest.raises(PermissionError, match="may only listen"):
        transfer.bind(address)
    listening = struct.pack("=II4B", IsotpFlag.LISTEN_MODE, 0, 0, 0, 0, 0)
    transfer.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, listening)
    transfer.bind(address)
    with pytest.raises(OSError, match="EISCONN"):  # and so it stays
        transfer.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, bytes(12))
    with pytest.raises(PermissionError, match="may only listen"):
        send(transfer, b"pdu")


def test_operations_within_limits(
    open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    one = open_one(CAN_BCM)
    assert one.operations == 0
    assert send(one, setup(1), setup(2)) == 2
    assert one.operations == one.status()["operations"] == 2
    assert send(one, setup(2), setup(3), room=0) == 1
    with pytest.raises(OSError, match="as many operations") as raised:
        send(one, setup(3), room=0)
    assert raised.value.errno == errno.ENOMEM
    assert open_one().operations == 0


@pytest.mark.parametrize(
    ("protocol", "kind"), [(CAN_RAW, "raw"), (CAN_BCM, "bcm"), (CAN_ISOTP, "isotp")]
)
def test_what_is_told_of_it(
    open_one: Callable[..., ServedSocket], protocol: int, kind: str
) -> None:
    one = open_one(protocol, None)
    assert one.status() == {
        "kind": kind,
        "interface": None,
        "queued": 0,
        "buffer": BUFFER,
        "operations": 0,
        "drops": 0,
    }


def test_a_full_buffer_drops_and_counts(
    open_one: Callable[..., ServedSocket], send: Callable[..., int]
) -> None:
    one, other = open_one(), open_one()
    for _ in range(20):
        send(one, *[FRAME] * 256)
    status = other.status()
    assert status["interface"] == "flexible"
    assert 0 < status["queued"] < 5120
    assert status["queued"] + status["drops"] == 5120


def test_there_is_no_such_protocol(
    open_one: Callable[..., ServedSocket], allowance: Allowance
) -> None:
    with pytest.raises(OSError, match="Protocol not supported"):
        open_one(99)
    assert allowance.buffers == 0


def test_no_descriptors_are_left(
    open_one: Callable[..., ServedSocket], allowance: Allowance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(served_socket, "Readiness", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        open_one()
    assert allowance.buffers == 0


def test_closing_twice(open_one: Callable[..., ServedSocket], allowance: Allowance) -> None:
    one, other = open_one(), open_one()
    one.close()
    one.close()
    assert allowance.buffers == BUFFER
    other.close()
