"""The descriptor of a socket on a network that is served: asking, losing it, and coming back."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from typing import TYPE_CHECKING

import pytest

import anycan
from anycan import CanOSError, NetworkUnavailableError, ProtocolUnavailableError, ServedNetwork
from anycan.sockets.networks import open_descriptor
from anycan.sockets.served import ServedDescriptor
from anycan.wire.constants import CAN_RAW, SO_ERROR, SO_RCVBUF, SOL_CAN_RAW, SOL_SOCKET
from anycan.wire.messages import MessageBuffer, pack_address
from rig.served import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rig.served import ServerThread

FRAME = struct.pack("=IB3x8s", 0x123, 8, b"12345678")
RECV_OWN, FILTER = 4, 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerThread]:
    with serving(str(tmp_path / "network")) as server:
        yield server


@pytest.fixture
def network(server: ServerThread) -> Iterator[ServedNetwork]:
    with ServedNetwork(server.path) as network:
        yield network


@pytest.fixture
def open_one(network: ServedNetwork) -> Iterator[Callable[[], ServedDescriptor]]:
    """Open sockets on vcan0."""
    opened: list[ServedDescriptor] = []

    def open_bound() -> ServedDescriptor:
        descriptor = ServedDescriptor(network, CAN_RAW, "can-raw")
        opened.append(descriptor)
        descriptor.bind(pack_address(1))
        return descriptor

    yield open_bound
    for descriptor in opened:
        descriptor.close()
        descriptor.close()


def polls(one: ServedDescriptor) -> str:
    poll = select.poll()
    poll.register(one.fileno(), select.POLLIN | select.POLLOUT)
    found = dict(poll.poll(0)).get(one.fileno(), 0)
    return ("r" if found & select.POLLIN else "") + ("w" if found & select.POLLOUT else "")


def received(one: ServedDescriptor) -> list[bytes]:
    buffer = MessageBuffer(128, 16)
    return [payload for payload, _, _, _ in buffer.received(one.receive(buffer))]


def failure(call: Callable[[], object]) -> str:
    """Give the name of the error that a call raises, or nothing."""
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def test_a_descriptor_of_a_served_network(network: ServedNetwork) -> None:
    descriptor = open_descriptor(network, socket.SOCK_RAW, CAN_RAW, "can-raw")
    assert isinstance(descriptor, ServedDescriptor)
    descriptor.close()


def test_frames_come_through(open_one: Callable[[], ServedDescriptor]) -> None:
    one, other = open_one(), open_one()
    assert (polls(one), polls(other)) == ("w", "w")
    assert one.send([FRAME] * 3) == 3
    assert polls(other) == "rw"
    assert received(other) == [FRAME] * 3
    assert polls(other) == "w"
    assert failure(lambda: received(other)) == "EAGAIN"
    assert one.send([]) == 0
    assert one.send([FRAME], pack_address(1)) == 1
    assert received(other) == [FRAME]


def test_what_was_received_is_sent_on(open_one: Callable[[], ServedDescriptor]) -> None:
    one, other = open_one(), open_one()
    one.send([FRAME] * 2)
    buffer = MessageBuffer(4, 72)
    assert other.receive(buffer) == 2
    assert other.send_received(buffer, 2, 16) == 2
    assert received(one) == [FRAME] * 2


def test_no_request_is_longer_than_may_be(open_one: Callable[[], ServedDescriptor]) -> None:
    one = open_one()
    assert 0 < one.send([FRAME] * 30_000) < 30_000
    assert failure(lambda: one.send([bytes(200_000)])) == "EMSGSIZE"
    assert failure(lambda: one.setsockopt(SOL_CAN_RAW, FILTER, bytes(200_000))) == "EMSGSIZE"
    assert one.send([FRAME]) == 1


def test_options(open_one: Callable[[], ServedDescriptor]) -> None:
    one = open_one()
    one.setsockopt(SOL_CAN_RAW, RECV_OWN, struct.pack("=i", 1))
    assert one.getsockopt(SOL_CAN_RAW, RECV_OWN, 4) == struct.pack("=i", 1)
    one.send([FRAME])
    assert received(one) == [FRAME]
    with pytest.raises(OSError, match="Invalid argument"):
        one.setsockopt(SOL_CAN_RAW, RECV_OWN, b"")


def test_a_closed_one(open_one: Callable[[], ServedDescriptor], network: ServedNetwork) -> None:
    one = open_one()
    one.close()
    assert one.fileno() == -1
    calls: list[Callable[[], object]] = [
        lambda: one.send([FRAME]),
        lambda: one.receive(MessageBuffer(1, 16)),
        lambda: one.bind(pack_address(1)),
        lambda: one.connect(pack_address(1)),
        lambda: one.getsockopt(SOL_SOCKET, SO_RCVBUF, 4),
        lambda: one.setsockopt(SOL_SOCKET, SO_RCVBUF, bytes(4)),
    ]
    assert [failure(call) for call in calls] == ["EBADF"] * 6
    assert [len(client.sockets) for client in network.status().clients] == [0]


def test_there_are_no_such_sockets(network: ServedNetwork) -> None:
    with pytest.raises(ProtocolUnavailableError) as raised:
        ServedDescriptor(network, 7, "can-j1939")
    assert raised.value.errno == errno.EPROTONOSUPPORT
    assert raised.value.strerror == (
        f"opening a CAN socket on {network.name} failed: it has no sockets of can-j1939"
    )


def test_there_are_no_more_sockets(tmp_path: Path) -> None:
    path = str(tmp_path / "small")
    limits = anycan.ServerLimits(sockets=0)
    with (
        serving(path, limits=limits),
        ServedNetwork(path) as network,
        pytest.raises(CanOSError, match="failed: a client has 0 sockets at most") as raised,
    ):
        ServedDescriptor(network, CAN_RAW, "can-raw")
    assert raised.value.errno == errno.EMFILE


# A server that is gone, and comes back


def test_that_the_server_is_gone_is_told_once(
    server: ServerThread, open_one: Callable[[], ServedDescriptor]
) -> None:
    one, other = open_one(), open_one()
    number = one.fileno()
    server.stop()
    assert "r" in polls(one)
    assert failure(lambda: received(one)) == "ENODEV"
    assert "r" in polls(other)  # which has been woken too
    # From now on it is as if nothing came.
    assert one.fileno() == number
    assert polls(one) == "w"
    for _ in range(2):
        assert failure(lambda: received(one)) == "EAGAIN"
        assert failure(lambda: one.send([FRAME])) == "ENXIO"
    assert failure(lambda: other.send([FRAME])) == "ENODEV"
    assert failure(lambda: other.send([FRAME])) == "ENXIO"


def test_it_cannot_be_bound_while_the_server_is_gone(
    server: ServerThread, open_one: Callable[[], ServedDescriptor]
) -> None:
    one = open_one()
    server.stop()
    calls: list[Callable[[], object]] = [
        lambda: received(one),
        lambda: one.bind(pack_address(1)),
        lambda: one.connect(pack_address(1)),
        lambda: one.getsockopt(SOL_SOCKET, SO_RCVBUF, 4),
        lambda: one.bind(pack_address(1)),
    ]
    assert [failure(call) for call in calls] == ["ENODEV"] * 5


def test_an_option_that_is_set_while_the_server_is_gone_holds_when_it_is_back(
    server: ServerThread, open_one: Callable[[], ServedDescriptor]
) -> None:
    one = open_one()
    server.stop()
    assert failure(lambda: received(one)) == "ENODEV"
    one.setsockopt(SOL_SOCKET, SO_RCVBUF, struct.pack("=i", 20_000))
    server.start()
    one.bind(pack_address(1))
    assert one.getsockopt(SOL_SOCKET, SO_RCVBUF, 4) == struct.pack("=i", 40_000)


def test_the_loss_is_a_pending_error_which_is_asked_for_once(
    server: ServerThread, open_one: Callable[[], ServedDescriptor]
) -> None:
    one = open_one()
    server.stop()
    assert "r" in polls(one)
    # It asks nobody: there may be a server again, on which this would be another socket.
    numbers = [struct.unpack("=i", one.getsockopt(SOL_SOCKET, SO_ERROR, 4))[0] for _ in range(3)]
    assert numbers == [errno.ENODEV, 0, 0]
    assert failure(lambda: received(one)) == "EAGAIN"


def test_what_is_executed_does_not_inherit_it(open_one: Callable[[], ServedDescriptor]) -> None:
    assert not os.get_inheritable(open_one().fileno())


def test_bound_again_it_is_what_it_was(
    server: ServerThread, open_one: Callable[[], ServedDescriptor], network: ServedNetwork
) -> None:
    one = open_one()
    one.setsockopt(SOL_CAN_RAW, RECV_OWN, struct.pack("=i", 0))
    one.setsockopt(SOL_SOCKET, SO_RCVBUF, struct.pack("=i", 20_000))
    one.setsockopt(SOL_CAN_RAW, RECV_OWN, struct.pack("=i", 1))
    number = one.fileno()
    server.stop()
    assert failure(lambda: received(one)) == "ENODEV"
    server.start()
    assert failure(lambda: one.send([FRAME])) == "ENXIO"
    assert failure(lambda: received(one)) == "EAGAIN"
    one.bind(pack_address(1))
    assert one.fileno() == number
    assert polls(one) == "w"
    assert one.getsockopt(SOL_SOCKET, SO_RCVBUF, 4) == struct.pack("=i", 40_000)
    one.send([FRAME])
    assert received(one) == [FRAME]
    ((status,),) = (client.sockets for client in network.status().clients)
    assert status.interface == "vcan0"
    # And so it is again.
    server.stop()
    assert "r" in polls(one)
    assert failure(lambda: received(one)) == "ENODEV"
    assert failure(lambda: received(one)) == "EAGAIN"


def test_a_server_that_came_back_unnoticed(
    server: ServerThread, open_one: Callable[[], ServedDescriptor]
) -> None:
    """What was opened on the old one is gone all the same, and the next call tells."""
    one, other = open_one(), open_one()
    server.stop()
    server.start()
    assert failure(lambda: received(one)) == "ENODEV"
    one.bind(pack_address(1))
    assert failure(lambda: other.send([FRAME])) == "ENODEV"
    other.bind(pack_address(1))
    other.send([FRAME])
    assert received(one) == [FRAME]


def test_closing_when_the_server_is_gone(
    server: ServerThread, open_one: Callable[[], ServedDescriptor]
) -> None:
    one, other, third = open_one(), open_one(), open_one()
    server.stop()
    one.close()
    assert failure(lambda: received(other)) == "ENODEV"
    other.close()
    server.start()
    third.close()


def test_no_descriptor_is_left_when_the_server_is_gone(
    server: ServerThread,
    open_one: Callable[[], ServedDescriptor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = open_one()
    server.stop()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", refuse)
    assert failure(lambda: received(one)) == "ENODEV"
    assert failure(lambda: received(one)) == "EAGAIN"


def test_it_is_closed_with_the_connection(
    network: ServedNetwork, open_one: Callable[[], ServedDescriptor]
) -> None:
    one = open_one()
    network.close()
    assert failure(lambda: received(one)) == "ENODEV"
    assert failure(lambda: one.bind(pack_address(1))) == "ENODEV"
    with pytest.raises(NetworkUnavailableError, match="is closed"):
        ServedDescriptor(network, CAN_RAW, "can-raw")
