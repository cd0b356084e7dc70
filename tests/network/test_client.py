"""The connection to a served network: asking, losing it, and coming back."""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import socket
import struct
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from anycan import (
    CanPermissionError,
    NetworkUnavailableError,
    ServedNetwork,
    UnknownInterfaceError,
)
from anycan.network import client as client_module
from anycan.network.channel import Channel
from anycan.network.client import _no_connection
from anycan.network.status import unpack_status
from anycan.wire.constants import CAN_RAW
from anycan.wire.netlink import AF_NETLINK
from anycan.wire.served import (
    LAYOUT,
    MOST_BYTES,
    MOST_PDU,
    Answer,
    Operation,
    Request,
    pack_hello,
)
from rig.served import eventually, sockets_of_clients

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rig.served import ServerThread

INDEX = Request(Operation.INDEX, 0, b"vcan0")


@pytest.fixture
def network(server: ServerThread) -> Iterator[ServedNetwork]:
    with ServedNetwork(server.path) as network:
        yield network


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a connection wait for an answer for 20 ms."""

    class Patience:
        @staticmethod
        def pack(*_: int) -> bytes:
            return struct.pack("@ll", 0, 20_000)

    monkeypatch.setattr(client_module, "_TIMEVAL", Patience)


def open_polled(network: ServedNetwork, protocol: int = CAN_RAW) -> socket.socket:
    answer, descriptor, _ = network.open_socket(protocol)
    assert answer.number == 0
    polled = socket.socket(fileno=descriptor)
    network.follow(polled)
    return polled


def is_woken(polled: socket.socket) -> bool:
    return bool(select.select([polled], [], [], 0)[0])


@contextmanager
def answering(path: str, *answers: bytes | None) -> Iterator[None]:
    """Have a thread answer a client with some bytes, one by one; None: it hangs up."""

    def answer() -> None:
        connected, _ = listener.accept()
        with connected:
            for one in answers:
                connected.recv(1 << 18)
                if one is None:
                    return
                connected.send(one)
            while connected.recv(1 << 18):
                pass

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


WELCOME = Answer(0, 5000, pack_hello() + b"user:bench").pack()


# Asking


def test_what_there_is(network: ServedNetwork, server: ServerThread) -> None:
    assert network.name == f"unix:{server.path}"
    assert network.is_open
    assert network.interface_index("vcan0") == 1
    assert network.interface_name(1) == "vcan0"
    assert network.interface_mtu(1) == 2060
    assert network.max_pdu_size == 8300
    assert network.remedy("vcan0") == "configure_interface('vcan0', up=True, network=...)"
    assert network.remedy("vcan0", 72) == "configure_interface('vcan0', mtu=72, network=...)"
    assert repr(network) == f"<ServedNetwork {server.path}>"


def test_what_there_is_not(network: ServedNetwork) -> None:
    with pytest.raises(UnknownInterfaceError, match=r"no interface vcan1.* vcan0") as raised:
        network.interface_index("vcan1")
    assert raised.value.interface == "vcan1"
    for index in (0, 2, -1, 1 << 32):
        assert network.interface_name(index) is None
    assert network.interface_mtu(2) is None


def test_demanding(network: ServedNetwork) -> None:
    assert network.demand(INDEX).value == 1
    with pytest.raises(OSError, match="there is no interface none") as raised:
        network.demand(Request(Operation.INDEX, 0, b"none"))
    assert raised.value.errno == errno.ENODEV
    with pytest.raises(OSError, match="Bad file descriptor"):
        network.demand(Request(Operation.BIND, 99))


def test_a_request_beyond_all_measure_is_not_sent(network: ServedNetwork) -> None:
    answer = network.ask(Request(Operation.INDEX, 0, bytes(MOST_BYTES)))
    assert answer == Answer(errno.EMSGSIZE)
    assert network.interface_index("vcan0") == 1


def test_opening_sockets(network: ServedNetwork) -> None:
    for protocol in (CAN_RAW, AF_NETLINK):
        with open_polled(network, protocol) as polled:
            assert not is_woken(polled)
    answer, descriptor, _ = network.open_socket(99)
    assert (answer.number, descriptor) == (errno.EPROTONOSUPPORT, None)


def test_threads_share_it(network: ServedNetwork) -> None:
    found: list[int] = []

    def ask() -> None:
        found.extend(network.interface_index("vcan0") for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 200


def test_the_longest_pdu_fits_into_a_message(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with answering(path, Answer(0, 1_049_600, pack_hello()).pack()), ServedNetwork(path) as network:
        assert network.max_pdu_size == MOST_PDU


# There is none


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOENT, "there is no such file"),
        (errno.ECONNREFUSED, "its server is gone"),
        (errno.EPROTOTYPE, "what listens there is no anycan network"),
        (errno.EAGAIN, "it lets nobody in"),
        (errno.ENOTDIR, "Not a directory"),
    ],
)
def test_why_there_is_no_connection(number: int, reason: str) -> None:
    error = _no_connection("/run/network", OSError(number, ""))
    assert isinstance(error, NetworkUnavailableError)
    assert str(error) == (
        f"no network is served at /run/network: {reason} ('anycan network serve --path"
        " /run/network' serves one)"
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_this_user_may_not_connect(number: int) -> None:
    error = _no_connection("/run/network", OSError(number, ""))
    assert isinstance(error, CanPermissionError)
    assert "may not connect to the network at /run/network" in str(error)


def test_nothing_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with pytest.raises(NetworkUnavailableError, match="there is no such file"):
        ServedNetwork(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(path)
    with pytest.raises(NetworkUnavailableError, match="its server is gone"):
        ServedNetwork(path)


def test_something_else_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(NetworkUnavailableError, match="is no anycan network"):
            ServedNetwork(path)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(0, 0, b"HTTP/1.1 400").pack(), "no anycan network is served there"),
        (
            Answer(0, 0, struct.pack("=6sHBBBx", b"anycan", 2, *LAYOUT)).pack(),
            "of version 2, this one 1",
        ),
        (Answer(errno.EPROTO, 0, b"a reason").pack(), "a reason"),
        (b"?", "it does not answer"),
        (None, "its server is gone"),
    ],
)
def test_it_answers_otherwise(tmp_path: Path, answer: bytes | None, reason: str) -> None:
    path = str(tmp_path / "network")
    with (
        answering(path, answer),
        pytest.raises(NetworkUnavailableError, match=f"^unix:{re.escape(path)}.*: .*{reason}"),
    ):
        ServedNetwork(path)


@pytest.mark.usefixtures("impatient")
def test_it_does_not_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as hanging:
        hanging.bind(path)
        hanging.listen(0)
        with pytest.raises(NetworkUnavailableError, match="is lost: it does not answer"):
            ServedNetwork(path)
        # Nor does it let anybody else in.
        with pytest.raises(NetworkUnavailableError, match="it lets nobody in"):
            ServedNetwork(path)


def test_what_a_server_has_said_before_it_hung_up_is_told(tmp_path: Path) -> None:
    """Though the system tells first of what the server has not read."""
    path = str(tmp_path / "network")

    def refuse() -> None:
        connected, _ = listener.accept()
        with connected:
            connected.recv(1, socket.MSG_PEEK)
            connected.send(Answer(errno.EUSERS, 0, b"there are enough").pack())

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(NetworkUnavailableError, match="there are enough"):
            ServedNetwork(path)
        thread.join()


# It is lost, and back


def test_losing_the_server_wakes_all_who_wait(server: ServerThread) -> None:
    with ServedNetwork(server.path) as network:
        with open_polled(network) as one, open_polled(network) as other:
            server.stop()
            assert is_woken(one)
            with pytest.raises(NetworkUnavailableError, match="is lost: its server is gone"):
                network.ask(INDEX, 1)
            assert is_woken(one)
            assert is_woken(other)
        assert not network.is_open
        assert repr(network) == f"<ServedNetwork {server.path} closed>"
        with pytest.raises(NetworkUnavailableError, match="there is no such file"):
            network.reconnect()
        server.start()
        network.reconnect()
        assert network.interface_index("vcan0") == 1


def test_there_are_no_interfaces_without_a_server(server: ServerThread) -> None:
    """Whoever reads frames asks for their names: that there is no server is told elsewhere."""
    with ServedNetwork(server.path) as network:
        server.stop()
        assert network.interface_name(1) is None
        assert network.interface_mtu(1) is None
        with pytest.raises(UnknownInterfaceError, match="no network is served at") as raised:
            network.interface_index("vcan0")
        assert raised.value.interface == "vcan0"


def test_what_was_opened_by_one_connection_is_not_on_the_next(server: ServerThread) -> None:
    with ServedNetwork(server.path) as network:
        _, descriptor, session = network.open_socket(CAN_RAW)
        os.close(descriptor or -1)
        assert network.is_current(session)
        server.stop()
        server.start()
        assert network.interface_name(1) is None  # by which it is found to be lost
        assert network.interface_index("vcan0") == 1
        assert not network.is_current(session)
        with pytest.raises(NetworkUnavailableError, match=r"the connection to .* is lost"):
            network.ask(Request(Operation.CLOSE, 1), session)
        _, descriptor, another = network.open_socket(CAN_RAW)
        os.close(descriptor or -1)
        assert another != session


def test_what_is_lost_is_told_while_a_thread_connects_again(server: ServerThread) -> None:
    """That may take a second, in which no event loop is to wait."""
    with ServedNetwork(server.path) as network:
        _, descriptor, session = network.open_socket(CAN_RAW)
        os.close(descriptor or -1)
        server.stop()
        assert network.interface_name(1) is None  # by which it is found to be lost
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with network._lock:
                held.set()
                done.wait(5)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(5)
        start = time.monotonic()
        with pytest.raises(NetworkUnavailableError, match="is lost"):
            network.ask(Request(Operation.CLOSE, 1), session)
        assert time.monotonic() - start < 4
        done.set()
        thread.join()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_is_taken_for_dead(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with answering(path, WELCOME), ServedNetwork(path) as network:
        one, other = socket.socketpair()
        with one, other:
            network.follow(one)
            with pytest.raises(NetworkUnavailableError, match="is lost: it does not answer"):
                network.ask(INDEX)
            assert is_woken(one)
        assert not network.is_open


def test_a_call_that_is_interrupted_loses_the_connection(
    network: ServedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer comes all the same, and would be taken for that to the next request."""

    def interrupt(_: Channel) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Channel, "receive_descriptor", interrupt)
        with pytest.raises(KeyboardInterrupt):
            network.interface_index("vcan0")
    assert not network.is_open
    assert network.interface_mtu(1) == 2060


def test_another_state_than_is_understood(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    answers = (WELCOME, Answer(0, 0, b"{}").pack())
    with (
        answering(path, *answers),
        ServedNetwork(path) as network,
        pytest.raises(NetworkUnavailableError, match="another version of anycan"),
    ):
        network.status()


# Ending, and forking


def test_a_closed_connection_is_of_no_more_use(network: ServedNetwork) -> None:
    with open_polled(network) as polled:
        network.close()
        network.close()
        assert is_woken(polled)
    assert network.closed
    for call in (network.reconnect, lambda: network.ask(INDEX)):
        with pytest.raises(NetworkUnavailableError, match=r"the connection to .* is closed"):
            call()


@pytest.mark.anyio
async def test_as_an_asynchronous_context_manager(server: ServerThread) -> None:
    async with ServedNetwork(server.path) as network:
        assert network.is_open
    assert network.closed


def test_who_forgets_to_close_it_leaves_nothing_open(server: ServerThread) -> None:
    network = ServedNetwork(server.path)
    del network
    with ServedNetwork(server.path) as other:
        eventually(partial(sockets_of_clients, other), [0])


def test_a_forked_process_has_a_connection_of_its_own(network: ServedNetwork) -> None:
    _, descriptor, session = network.open_socket(CAN_RAW)
    os.close(descriptor or -1)
    network.forked()
    with pytest.raises(NetworkUnavailableError, match="is lost"):
        network.ask(INDEX, session)
    assert network.interface_index("vcan0") == 1


def test_a_forked_process_that_closes_it_wakes_nobody_in_the_other(network: ServedNetwork) -> None:
    """Both hold the same sockets, and to shut one down would do so for both."""
    assert network._channel is not None
    with open_polled(network) as polled, network._channel.socket.dup():
        network.forked()
        network.close()
        assert not network.is_open
        assert not is_woken(polled)


def test_a_fork_while_another_thread_asks(network: ServedNetwork) -> None:
    with network._turn():  # another thread's, which the child does not have
        child = os.fork()
        if not child:  # pragma: no cover - in another process
            signal.alarm(5)
            index = network.interface_index("vcan0")
            os._exit(0 if index == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_call_within_a_call_does_not_take_its_answer(network: ServedNetwork) -> None:
    """A signal's handler asks, and the garbage collector closes an endpoint, at any moment."""
    answer, descriptor, session = network.open_socket(CAN_RAW)
    os.close(descriptor or -1)
    with network._turn():
        with pytest.raises(NetworkUnavailableError, match="handler of a signal"):
            network.ask(INDEX)
        network.ask(Request(Operation.CLOSE, answer.value), session)
        assert sockets_of_clients_within(network) == [1]
    eventually(partial(sockets_of_clients, network), [0])
    assert network.interface_index("vcan0") == 1


def sockets_of_clients_within(network: ServedNetwork) -> list[int]:
    """Give how many sockets each client has, from within a call."""
    answer, _ = network._exchange(Request(Operation.STATUS))
    return [len(client.sockets) for client in unpack_status(answer.payload).clients]
