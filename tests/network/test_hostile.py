"""Clients of a served network that do what they like: they harm themselves alone.

After each, a well-behaved client beside it has missed nothing, and its calls are answered.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan import ServedNetwork, ServerLimits
from anycan.sockets.served import ServedDescriptor
from anycan.wire.constants import (
    CAN_BCM,
    CAN_ISOTP,
    CAN_RAW,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_SNDBUFFORCE,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.messages import MessageBuffer, pack_address
from anycan.wire.netlink import AF_NETLINK, Acknowledgement, unpack_messages
from anycan.wire.netlink_requests import dump_links
from anycan.wire.served import (
    LAYOUT,
    MOST_BYTES,
    Operation,
    Request,
    pack_hello,
    pack_option,
    pack_receive,
    pack_send,
)
from rig import rtnetlink
from rig.served import BareClient, ServerProcess, eventually, serving, sockets_of_clients

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.served import ServerThread

LIMITS: Final = ServerLimits(connections=100, connections_per_user=30, operations=50)
HELLO: Final = Request(Operation.HELLO, 0, pack_hello()).pack()
STATUS: Final = Request(Operation.STATUS).pack()
RECEIVE: Final = pack_receive(128, 16, hardware_stamps=False)
ENDED: Final = (-1, 0, b"")
SLOW: Final = 0.5  # seconds; after one the server is taken for dead
MEBIBYTE: Final = 1 << 20

linux = pytest.mark.skipif(sys.platform != "linux", reason="it looks at /proc")


def frame(identifier: int, number: int = 0) -> bytes:
    return struct.pack("=IB3xQ", identifier, 8, number)


class Neighbour:
    """A client that behaves well.

    Args:
        path: Where the network is served.
    """

    def __init__(self, path: str) -> None:
        self.network = ServedNetwork(path)
        self._sender = ServedDescriptor(self.network, CAN_RAW, "can-raw")
        self._receiver = ServedDescriptor(self.network, CAN_RAW, "can-raw")
        self._receiver.setsockopt(SOL_CAN_RAW, 1, struct.pack("=II", 0x155, 0xC00007FF))
        for one in (self._sender, self._receiver):
            one.bind(pack_address(1))
        self._last = 0

    def check(self) -> None:
        """See that it misses nothing, and that no call takes long."""
        sent = list(range(self._last + 1, self._last + 21))
        self._last = sent[-1]
        slowest = 0.0
        for number in sent:
            start = time.monotonic()
            assert self._sender.send([frame(0x155, number)]) == 1
            slowest = max(slowest, time.monotonic() - start)
        assert select.select([self._receiver], [], [], 0)[0]
        buffer = MessageBuffer(128, 16)
        count = self._receiver.receive(buffer)
        found = [struct.unpack_from("=Q", one, 8)[0] for one, _, _, _ in buffer.received(count)]
        assert found == sent
        assert slowest < SLOW
        with pytest.raises(BlockingIOError):
            self._receiver.receive(buffer)

    def flood(self, count: int) -> None:
        """Send frames that it does not listen to itself."""
        while count > 0:
            count -= self._sender.send([frame(0x200)] * min(count, 250))

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()
        self.network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def served_by_thread() -> Iterator[tuple[ServerThread, Neighbour]]:
    with (
        TemporaryDirectory() as directory,
        serving(f"{directory}/network", limits=LIMITS) as server,
        Neighbour(server.path) as neighbour,
    ):
        yield server, neighbour


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[ServerThread, Neighbour]]:
    """Give a network that a thread serves, and a client that behaves well."""
    with served_by_thread() as world:
        yield world


@pytest.fixture(scope="module")
def small_world() -> Iterator[tuple[ServerProcess, Neighbour]]:
    """Give a network that a process serves which may have 256 descriptors, and such a client."""
    with (
        TemporaryDirectory() as directory,
        ServerProcess(f"{directory}/network", descriptors=256) as server,
    ):
        with ServedNetwork(server.path) as network:
            rtnetlink.check(network.demand_links(rtnetlink.vcan_request("vcan0", 72)))
            rtnetlink.check(network.demand_links(rtnetlink.flags_request("vcan0", up=True)))
        with Neighbour(server.path) as neighbour:
            yield server, neighbour


@pytest.fixture
def neighbour(
    world: tuple[ServerThread, Neighbour], caplog: pytest.LogCaptureFixture
) -> Iterator[Neighbour]:
    """Give the client that behaves well, which afterwards is as well off as before."""
    _, neighbour = world
    yield neighbour
    check_world(neighbour, caplog)


@pytest.fixture
def server(
    small_world: tuple[ServerProcess, Neighbour], caplog: pytest.LogCaptureFixture
) -> Iterator[ServerProcess]:
    """Give the server's process; it is there afterwards, and its good client is well off."""
    server, neighbour = small_world
    yield server
    assert server.is_alive
    check_world(neighbour, caplog)


def check_world(neighbour: Neighbour, caplog: pytest.LogCaptureFixture) -> None:
    neighbour.check()
    # Nothing is left of the others; the server has no faults that it had to hide.
    eventually(partial(sockets_of_clients, neighbour.network), [2])
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.fixture
def bad(neighbour: Neighbour) -> Iterator[BareClient]:
    """Give a client that has said who it is, on the network that a thread serves."""
    with BareClient(neighbour.network.path) as bad:
        assert bad.ask(HELLO)[0] == 0
        yield bad


def ask(
    client: BareClient, operation: int, number: int = 0, payload: bytes = b""
) -> tuple[int, int, bytes]:
    return client.ask(Request(operation, number, payload).pack())


def opened(client: BareClient, protocol: int = CAN_RAW, index: int | None = 1) -> int:
    """Open a socket, bind it, and give its number."""
    error, number, _ = ask(client, Operation.OPEN, protocol)
    assert error == 0
    if index is not None:
        place = Operation.CONNECT if protocol == CAN_BCM else Operation.BIND
        assert ask(client, place, number, pack_address(index))[0] == 0
    return number


def is_listened_to(client: BareClient) -> bool:
    return ask(client, Operation.INDEX, 0, b"vcan0") == (0, 1, b"")


def ends(client: BareClient, message: bytes, reason: bytes) -> None:
    """Send a message that ends the connection with a reason."""
    number, _, words = client.ask(message)
    assert number == errno.EPROTO
    assert reason in words
    assert client.hear() == ENDED


# Messages that make no sense


@settings(max_examples=40)
@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=5))
def test_random_bytes(world: tuple[ServerThread, Neighbour], messages: list[bytes]) -> None:
    server, neighbour = world
    with BareClient(server.path) as bad:
        for message in messages:
            with suppress(ConnectionError):
                bad.say(message)
        number, _, reason = bad.hear()
        assert number == errno.EPROTO
        assert reason
        assert bad.hear() == ENDED
    neighbour.check()


requests = st.builds(
    lambda operation, number, payload: Request(operation, number, payload).pack(),
    st.integers(1, 14),
    st.integers(0, 8) | st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=100) | st.just(pack_hello()),
)


@settings(max_examples=40)
@given(st.lists(requests, min_size=1, max_size=10))
def test_requests_of_random_bytes(
    world: tuple[ServerThread, Neighbour], messages: list[bytes]
) -> None:
    server, neighbour = world
    with BareClient(server.path) as bad:
        bad.ask(HELLO)
        for message in messages:
            number, _, reason = bad.ask(message)
            if number == errno.EPROTO:
                assert reason
                assert bad.hear() == ENDED
                break
        else:
            assert is_listened_to(bad)
    neighbour.check()


def test_nothing_at_all(bad: BareClient) -> None:
    bad.say(b"")
    assert bad.hear() == ENDED


@pytest.mark.parametrize("size", [MOST_BYTES + 1, 200_000])
def test_a_message_beyond_all_measure(bad: BareClient, size: int) -> None:
    ends(bad, Request(Operation.SEND, 1).pack() + bytes(size - 8), b"a request of 131073 bytes")


def test_the_longest_message(bad: BareClient) -> None:
    number, _, _ = bad.ask(Request(Operation.BIND, opened(bad)).pack() + bytes(MOST_BYTES - 8))
    assert number == errno.EINVAL
    assert is_listened_to(bad)


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (struct.pack("=6sHBBBx", b"anycan", 2, *LAYOUT), b"of version 2, this one 1"),
        (struct.pack("=6sHBBBx", b"anycan", 1, 4, 4, 4), b"another word size"),
        (b"GET / HTTP/1.1\r\n", b"no anycan network"),
    ],
)
def test_of_another_kind(neighbour: Neighbour, hello: bytes, reason: bytes) -> None:
    with BareClient(neighbour.network.path) as other:
        ends(other, Request(Operation.HELLO, 0, hello).pack(), reason)


@pytest.mark.parametrize("operation", [one for one in Operation if one != Operation.HELLO])
def test_who_does_not_say_who_it_is(neighbour: Neighbour, operation: Operation) -> None:
    with BareClient(neighbour.network.path) as bad:
        ends(bad, Request(operation, 1).pack(), b"says first who it is")


@pytest.mark.parametrize("operation", [0, 15, 65535])
def test_an_operation_that_there_is_not(bad: BareClient, operation: int) -> None:
    ends(bad, Request(operation, 1).pack(), b"there is no operation")


WHOLE: Final = {
    Operation.BIND: (pack_address(1), False),
    Operation.CONNECT: (pack_address(1), False),
    Operation.SET_OPTION: (pack_option(SOL_CAN_RAW, 3, bytes(4)), True),
    Operation.GET_OPTION: (pack_option(SOL_CAN_RAW, 3, 4), True),
    Operation.RECEIVE: (RECEIVE, True),
    Operation.SEND: (pack_send([frame(1), frame(2)], pack_address(1)), True),
    Operation.NETLINK: (rtnetlink.flags_request("vcan0", up=True), False),
}


@pytest.mark.parametrize("operation", WHOLE)
def test_a_request_that_is_cut(neighbour: Neighbour, operation: Operation) -> None:
    """What its head says is not there ends the connection; else it is an error as any other."""
    payload, may_end = WHOLE[operation]
    for size in range(0, len(payload), 3):
        with BareClient(neighbour.network.path) as bad:
            bad.ask(HELLO)
            answer = ask(bad, operation, opened(bad), payload[:size])
            if answer[0] == errno.EPROTO:
                assert may_end
                assert bad.hear() == ENDED
            else:
                assert is_listened_to(bad)


def test_lengths_beyond_all_measure(neighbour: Neighbour) -> None:
    for payload in (
        struct.pack("=HH", 0, 0xFFFF),
        struct.pack("=HH", 0xFFFF, 0xFFFF) + bytes(1000),
        struct.pack("=HHI", 0, 1, 0xFFFFFFFF) + bytes(16),
        struct.pack("=HHII", 0, 2, 0xFFFFFFFF, 17) + bytes(16),
    ):
        with BareClient(neighbour.network.path) as bad:
            bad.ask(HELLO)
            assert ask(bad, Operation.SEND, opened(bad), payload)[0] == errno.EPROTO
            assert bad.hear() == ENDED


# What a client does not have, or may not have


def test_sockets_that_it_does_not_have(bad: BareClient, neighbour: Neighbour) -> None:
    neighbours = [1, 2]  # as they are called there
    for operation, (payload, _) in WHOLE.items():
        for number in (*neighbours, 0, 0xFFFFFFFF):
            if operation != Operation.NETLINK:
                assert ask(bad, operation, number, payload)[0] == errno.EBADF
            ask(bad, Operation.CLOSE, number)
    neighbour.check()


def test_options_of_absurd_sizes(bad: BareClient) -> None:
    one = opened(bad)
    for level, option in ((SOL_CAN_RAW, 1), (SOL_CAN_RAW, 3), (SOL_SOCKET, SO_RCVBUF), (-1, -1)):
        for size in (0, 1, 100_000):
            ask(bad, Operation.SET_OPTION, one, pack_option(level, option, bytes(size)))
        for size in (0, 0x7FFFFFFF, 0xFFFFFFFF):
            answer = ask(bad, Operation.GET_OPTION, one, pack_option(level, option, size))
            assert len(answer[2]) <= 1 << 16
    for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
        for value in (-(1 << 31), -1, 0x7FFFFFFF):
            data = pack_option(SOL_SOCKET, option, struct.pack("=i", value))
            assert ask(bad, Operation.SET_OPTION, one, data)[0] == 0
    _, _, buffer = ask(bad, Operation.GET_OPTION, one, pack_option(SOL_SOCKET, SO_RCVBUF, 4))
    assert buffer == struct.pack("=i", LIMITS.buffer)
    for limit, payload_size in ((0, 0), (0xFFFF, 0xFFFFFFFF)):
        request = pack_receive(limit, payload_size, hardware_stamps=True)
        assert ask(bad, Operation.RECEIVE, one, request)[0] == errno.EAGAIN
    assert is_listened_to(bad)


@pytest.mark.parametrize("count", [258, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("opcode", [1, 4, 5])
def test_absurd_frame_counts(bad: BareClient, opcode: int, count: int) -> None:
    one = opened(bad, CAN_BCM)
    for frames in (0, 1, 1000):
        head = struct.pack("@IIIllllII0q", opcode, 3, 0xFFFFFFFF, 0, 1, 0, 1, 0x123, count)
        message = head + frame(0x123) * frames
        answer = ask(bad, Operation.SEND, one, pack_send([message], None))
        assert answer[0] in {errno.EINVAL, errno.EFAULT}
    assert is_listened_to(bad)


def test_more_operations_than_may_be(bad: BareClient) -> None:
    one, other = opened(bad, CAN_BCM), opened(bad, CAN_BCM)
    for identifier in range(LIMITS.operations):
        head = struct.pack("@IIIllllII0q", 1, 3, 0, 0, 0, 0, 1, identifier, 1)
        number = other if identifier % 2 else one
        message = pack_send([head + frame(identifier)], None)
        assert ask(bad, Operation.SEND, number, message) == (0, 1, b"")
    head = struct.pack("@IIIllllII0q", 5, 0x20, 0, 0, 0, 0, 0, 0x700, 0)
    assert ask(bad, Operation.SEND, one, pack_send([head], None))[0] == errno.ENOMEM


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=100), min_size=1, max_size=10))
def test_garbage_about_links(world: tuple[ServerThread, Neighbour], messages: list[bytes]) -> None:
    server, neighbour = world
    with BareClient(server.path) as bad:
        bad.ask(HELLO)
        for message in messages:
            number, _, answer = ask(bad, Operation.NETLINK, 0, message)
            assert number == 0
            (refusal,) = unpack_messages(answer)
            assert Acknowledgement.unpack(refusal).error
        assert is_listened_to(bad)
    neighbour.check()


def test_a_dump_from_beyond_its_end(bad: BareClient) -> None:
    assert ask(bad, Operation.NETLINK, 0xFFFFFFFF, dump_links().pack(1))[0] == 0
    assert is_listened_to(bad)


def test_more_clients_than_may_be(neighbour: Neighbour) -> None:
    with ExitStack() as held:
        for _ in range(LIMITS.connections_per_user - 1):
            client = held.enter_context(BareClient(neighbour.network.path))
            assert client.ask(HELLO)[0] == 0
        for _ in range(100):
            with BareClient(neighbour.network.path) as refused:
                number, _, reason = refused.hear()
                assert number == errno.EUSERS
                assert reason == b"its user has 30 clients already"
                assert refused.hear() == ENDED
        neighbour.check()


# Who does not read


def test_answers_are_not_read(bad: BareClient) -> None:
    """It is ended as soon as there is no room for an answer."""
    with suppress(ConnectionError):
        while True:
            bad.say(STATUS)
    heard = 0
    while bad.hear() != ENDED:
        heard += 1
    assert heard > 10


def test_descriptors_are_not_read(bad: BareClient, neighbour: Neighbour) -> None:
    """How many are on their way is limited for all processes of the server's user together."""
    with suppress(ConnectionError):
        for _ in range(100):
            bad.say(Request(Operation.OPEN, CAN_RAW).pack())
    neighbour.check()
    assert bad.hear()[0] == 0
    number, _, reason = bad.hear()
    assert (number, reason) == (errno.EPROTO, b"it does not read its answers")
    assert bad.hear() == ENDED


@pytest.mark.parametrize("itself", [False, True])
def test_who_was_ended_counts_until_it_lets_go(neighbour: Neighbour, itself: bool) -> None:
    """Descriptors are on their way to it, as to no more clients than there may be."""
    path = neighbour.network.path
    with ExitStack() as held:
        for _ in range(LIMITS.connections_per_user - 1):
            client = held.enter_context(BareClient(path))
            client.ask(HELLO)
            client.say(Request(Operation.OPEN, CAN_RAW).pack())
            if itself:
                select.select([client.socket], [], [], 5)
                client.socket.shutdown(socket.SHUT_RDWR)
            else:
                with suppress(ConnectionError):
                    client.say(Request(Operation.OPEN, CAN_RAW).pack())
        eventually(partial(sockets_of_clients, neighbour.network), [2])
        with BareClient(path) as refused:
            number, _, reason = refused.hear()
            assert (number, reason) == (errno.EUSERS, b"its user has 30 clients already")
        ServedDescriptor(neighbour.network, CAN_RAW, "can-raw").close()
        while client.hear() != ENDED:
            pass
        with BareClient(path) as other:
            assert other.ask(HELLO)[0] == 0
    with BareClient(path) as other:  # whoever comes has the server look at them all
        assert other.ask(HELLO)[0] == 0


def test_frames_are_not_read(bad: BareClient, neighbour: Neighbour) -> None:
    """The newest are dropped and counted."""
    for _ in range(10):
        opened(bad)
    neighbour.flood(3000)
    _, client = neighbour.network.status().clients
    for one in client.sockets:
        assert 0 < one.queued < 1000
        assert one.queued + one.drops == 3000


def test_what_is_polled_is_misused(bad: BareClient, neighbour: Neighbour) -> None:
    """It is shut down, or made to block, or read: the frames of others go on."""
    with ExitStack() as held:
        for misuse in (
            lambda one: one.shutdown(socket.SHUT_RDWR),
            lambda one: one.shutdown(socket.SHUT_RD),
            lambda one: one.shutdown(socket.SHUT_WR),
            lambda one: one.setblocking(True),
            lambda one: one.send(bytes(1000)),
            lambda one: one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20),
            lambda _: None,
        ):
            bad.say(Request(Operation.OPEN, CAN_RAW).pack())
            data, (descriptor,), _, _ = socket.recv_fds(bad.socket, 100, 1)
            number = struct.unpack_from("=iI", data)[1]
            ask(bad, Operation.BIND, number, pack_address(1))
            one = held.enter_context(socket.socket(fileno=descriptor))
            misuse(one)
            for _ in range(3):
                neighbour.flood(1)
                flags = fcntl.fcntl(one, fcntl.F_GETFL)
                fcntl.fcntl(one, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
                with suppress(OSError):
                    one.recv(1, socket.MSG_DONTWAIT)
                assert ask(bad, Operation.RECEIVE, number, RECEIVE)[:2] == (0, 1)


# In a process of its own


@linux
def test_descriptors_sent_to_the_server_are_closed(server: ServerProcess) -> None:
    with BareClient(server.path) as bad:
        bad.ask(HELLO)
        before = server.descriptors
        for _ in range(50):
            socket.send_fds(bad.socket, [STATUS], [0, 1, 2, bad.socket.fileno()])
            assert bad.hear()[0] == 0
        assert server.descriptors == before


@linux
def test_descriptors_are_used_up(
    server: ServerProcess, small_world: tuple[ServerProcess, Neighbour]
) -> None:
    """One client has a quarter of them; who comes when there are none left is turned away."""
    _, neighbour = small_world
    before = server.descriptors
    counts = []
    with ExitStack() as held:
        for _ in range(6):
            bad = held.enter_context(BareClient(server.path))
            if bad.ask(HELLO) == ENDED:
                break
            count = 0
            while (answer := ask(bad, Operation.OPEN, CAN_RAW))[0] == 0:
                count += 1
            assert answer[0] == errno.EMFILE
            counts.append(count)
        assert counts[0] == (256 - 64) // 2 // 4
        assert sum(counts) > 100
        turned_away = 0
        for _ in range(50):
            late = held.enter_context(BareClient(server.path))
            turned_away += late.ask(HELLO) == ENDED
        assert turned_away > 40
        neighbour.check()
        assert server.descriptors <= 256
    eventually(lambda: server.descriptors, before)
    with ServedNetwork(server.path) as network:
        assert network.interface_index("vcan0") == 1


@linux
def test_memory_is_bounded(
    server: ServerProcess, small_world: tuple[ServerProcess, Neighbour]
) -> None:
    """Whatever is not read, and in however many ways it is asked for."""
    _, neighbour = small_world
    with BareClient(server.path) as bad:
        bad.ask(HELLO)
        sockets = [opened(bad) for _ in range(12)]
        opened(bad, CAN_BCM)
        opened(bad, CAN_ISOTP, None)
        for _ in range(6):
            opened(bad, AF_NETLINK, None)
        neighbour.check()
        before = server.memory
        neighbour.flood(5000)
        ask(bad, Operation.NETLINK, 0, rtnetlink.vcan_request("vcan1", 72))
        for up in (True, False) * 1000:
            ask(bad, Operation.NETLINK, 0, rtnetlink.flags_request("vcan1", up=up))
        ask(bad, Operation.NETLINK, 0, rtnetlink.delete_request("vcan1"))
        for size in range(60):
            for number in sockets:
                request = pack_receive(1, 2000 * size, hardware_stamps=False)
                ask(bad, Operation.RECEIVE, number, request)
        assert server.memory - before < 24 * MEBIBYTE


CLIENT: Final = """
import socket, sys
path, hello, opening, binding, sending = sys.argv[1:]
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect(path)
for message in (hello, opening, binding):
    client.send(bytes.fromhex(message))
    client.recv(1000)
sending = bytes.fromhex(sending)
print("ready", flush=True)
while True:
    for _ in range(8):
        client.send(sending)
    for _ in range(8):
        client.recv(1000)
"""


@contextmanager
def running_client(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that sends as much as it can, and receives nothing."""
    messages = (
        HELLO,
        Request(Operation.OPEN, CAN_RAW).pack(),
        Request(Operation.BIND, 1, pack_address(1)).pack(),
        Request(Operation.SEND, 1, pack_send([frame(0x201)] * 1000, None)).pack(),
    )
    words = [sys.executable, "-ISc", CLIENT, path, *(message.hex() for message in messages)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as client:  # noqa: S603 - words of this file
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        try:
            yield client
        finally:
            client.kill()


def test_it_is_killed_in_the_middle_of_a_request(
    server: ServerProcess, small_world: tuple[ServerProcess, Neighbour]
) -> None:
    _, neighbour = small_world
    with running_client(server.path) as client:
        neighbour.check()  # while it floods
        client.kill()
        client.wait()
        eventually(partial(sockets_of_clients, neighbour.network), [2])


def test_it_is_stopped(server: ServerProcess, small_world: tuple[ServerProcess, Neighbour]) -> None:
    """Its frames are dropped and counted, and it is a client still when it goes on."""
    _, neighbour = small_world
    with running_client(server.path) as client:
        client.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, client.pid, os.WSTOPPED | os.WNOWAIT)
        neighbour.flood(2000)
        neighbour.check()
        _, stopped = neighbour.network.status().clients
        assert stopped.process == client.pid
        assert stopped.sockets[0].drops > 500
        requests = stopped.requests
        client.send_signal(signal.SIGCONT)

        def goes_on() -> bool:
            return neighbour.network.status().clients[1].requests > requests

        eventually(goes_on, True)


def test_it_floods_the_network(
    server: ServerProcess, small_world: tuple[ServerProcess, Neighbour]
) -> None:
    """It has its turns, as others have theirs."""
    _, neighbour = small_world
    with BareClient(server.path) as bad:
        bad.ask(HELLO)
        receivers = [opened(bad) for _ in range(10)]
        message = Request(
            Operation.SEND, receivers[0], pack_send([frame(0x201)] * 6000, None)
        ).pack()
        for _ in range(8):
            bad.say(message)
        neighbour.check()
        for _ in range(8):
            number, count, _ = bad.hear()
            assert number == 0
            assert 0 < count < 1000  # the rest is to be sent again
