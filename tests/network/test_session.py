"""What one client of a served network asks for, and gets."""

from __future__ import annotations

import errno
import json
import os
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan import UserNetwork
from anycan.network.allowance import Allowance, ServerLimits
from anycan.network.rtnetlink import LinkServer
from anycan.network.served_socket import ReceiveBuffers
from anycan.network.session import Session
from anycan.wire.constants import CAN_BCM, CAN_ISOTP, CAN_RAW, SOL_CAN_RAW, SOL_SOCKET
from anycan.wire.messages import HEADER_SIZE, MessageBuffer, pack_address
from anycan.wire.netlink import AF_NETLINK, unpack_messages
from anycan.wire.netlink_link import RTM_NEWLINK, Link
from anycan.wire.netlink_requests import create_vcan, get_link
from anycan.wire.served import (
    Answer,
    MalformedRequestError,
    Operation,
    Request,
    check_hello,
    pack_hello,
    pack_option,
    pack_receive,
    pack_send,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME = struct.pack("=IB3x8s", 0x123, 8, b"12345678")
LIMITS = ServerLimits(sockets=6, operations=3, interfaces=5)


class Client:
    """A session, asked as its client asks it.

    Args:
        network: The network.
        greeted: It has said who it is.
        options: Of the session.
    """

    def __init__(self, network: UserNetwork, *, greeted: bool = True, **options: Any) -> None:
        self.allowance = Allowance(LIMITS)
        given: dict[str, Any] = {
            "descriptors": lambda: 1000,
            "writable": True,
            "status": lambda: b"{}",
        }
        self.session = Session(
            network,
            LinkServer(network, LIMITS.interfaces),
            LIMITS,
            self.allowance,
            ReceiveBuffers(),
            **given | options,
        )
        if greeted:
            self.ask(Operation.HELLO, 0, pack_hello())

    def ask(self, operation: int, socket: int = 0, payload: bytes = b"") -> Answer:
        answer, self.descriptor = self.session.handle(Request(operation, socket, payload).pack())
        return answer

    def fails(self, operation: int, socket: int = 0, payload: bytes = b"") -> str:
        """Ask, and give the name of the error."""
        return errno.errorcode[self.ask(operation, socket, payload).number]

    def open(self, protocol: int = CAN_RAW, index: int | None = 1) -> int:
        """Open a socket, bind it, and give its number."""
        answer = self.ask(Operation.OPEN, protocol)
        assert answer.number == 0
        if index is not None:
            place = Operation.CONNECT if protocol == CAN_BCM else Operation.BIND
            assert self.ask(place, answer.value, pack_address(index)) == Answer()
        return answer.value


@pytest.fixture
def client(network: UserNetwork) -> Iterator[Client]:
    client = Client(network)
    yield client
    client.session.close()
    assert client.allowance.buffers == 0


RECEIVE = pack_receive(128, 16, hardware_stamps=False)


def test_it_says_first_who_it_is(network: UserNetwork) -> None:
    client = Client(network, greeted=False)
    with pytest.raises(MalformedRequestError, match="says first who it is"):
        client.ask(Operation.OPEN, CAN_RAW)
    assert client.session.sockets == {}
    answer = client.ask(Operation.HELLO, 0, pack_hello())
    assert (answer.number, answer.value) == (0, network.max_pdu_size)
    assert check_hello(answer.payload) == b"user"
    assert client.ask(Operation.STATUS) == Answer(0, 0, b"{}")
    assert client.session.requests == 3


def test_another_version_is_not_listened_to(network: UserNetwork) -> None:
    with pytest.raises(MalformedRequestError, match="no anycan network"):
        Client(network, greeted=False).ask(Operation.HELLO, 0, b"hello?")


@pytest.mark.parametrize("operation", [0, 15, 99, 65535])
def test_there_is_no_such_operation(client: Client, operation: int) -> None:
    with pytest.raises(MalformedRequestError, match=f"there is no operation {operation}"):
        client.ask(operation)


def test_frames_from_one_socket_to_another(client: Client) -> None:
    one, other = client.open(), client.open()
    assert client.descriptor is None  # it comes with the answer to OPEN alone
    assert client.ask(Operation.SEND, one, pack_send([FRAME, FRAME], None)) == Answer(0, 2)
    answer = client.ask(Operation.RECEIVE, other, RECEIVE)
    assert (answer.number, answer.value) == (0, 2)
    assert len(answer.payload) == 2 * (HEADER_SIZE + MessageBuffer(1, 16).stride)
    assert client.fails(Operation.RECEIVE, other, RECEIVE) == "EAGAIN"


def test_a_descriptor_comes_with_a_socket(client: Client) -> None:
    answer = client.ask(Operation.OPEN, CAN_RAW)
    assert client.descriptor is not None
    os.fstat(client.descriptor)
    one = client.session.sockets[answer.value]
    assert one.readiness.fileno() == client.descriptor
    client.ask(Operation.CLOSE, answer.value)
    assert client.session.sockets == {}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(client.descriptor or -1)


def test_options(client: Client) -> None:
    one = client.open()
    off = struct.pack("=i", 0)
    assert client.ask(Operation.SET_OPTION, one, pack_option(SOL_CAN_RAW, 3, off)) == Answer()
    assert client.ask(Operation.GET_OPTION, one, pack_option(SOL_CAN_RAW, 3, 4)).payload == off
    assert client.ask(Operation.GET_OPTION, one, pack_option(SOL_CAN_RAW, 3, 0)).payload == b""
    most = pack_option(SOL_CAN_RAW, 3, 0xFFFFFFFF)
    assert client.ask(Operation.GET_OPTION, one, most).payload == off
    assert client.fails(Operation.SET_OPTION, one, pack_option(SOL_SOCKET, 9999, off)) != ""


def test_what_a_client_does_not_have(client: Client) -> None:
    watching = client.open(AF_NETLINK, None)
    requests = {
        Operation.BIND: pack_address(1),
        Operation.CONNECT: pack_address(1),
        Operation.SET_OPTION: pack_option(SOL_SOCKET, 8, bytes(4)),
        Operation.GET_OPTION: pack_option(SOL_SOCKET, 8, 4),
        Operation.SEND: pack_send([FRAME], None),
    }
    for operation, payload in requests.items():
        for socket in (0, 99, 0xFFFFFFFF, watching):
            assert client.fails(operation, socket, payload) == "EBADF"
    assert client.fails(Operation.RECEIVE, 99, RECEIVE) == "EBADF"
    assert client.ask(Operation.CLOSE, 99) == Answer()  # as often as it likes


def test_no_number_is_given_twice(client: Client) -> None:
    one = client.open()
    client.ask(Operation.CLOSE, one)
    assert client.open() != one


def test_so_many_sockets(client: Client) -> None:
    for _ in range(LIMITS.sockets):
        client.open(index=None)
    answer = client.ask(Operation.OPEN, CAN_RAW)
    assert answer.number == errno.EMFILE
    assert answer.payload == b"a client has 6 sockets at most"
    client.ask(Operation.CLOSE, 1)
    client.open()


def test_so_many_descriptors(network: UserNetwork) -> None:
    left = 1
    client = Client(network, descriptors=lambda: left)
    client.open()
    assert client.ask(Operation.OPEN, AF_NETLINK).payload == b"a client has 1 sockets at most"
    left = 2
    client.open(AF_NETLINK, None)
    client.session.close()


def test_so_many_operations(client: Client) -> None:
    def setup(identifier: int) -> bytes:
        return pack_send([struct.pack("@IIIllllII0q", 5, 0x20, 0, 0, 0, 0, 0, identifier, 0)], None)

    one, other = client.open(CAN_BCM), client.open(CAN_BCM)
    client.open()
    assert client.ask(Operation.SEND, one, setup(1)) == Answer(0, 1)
    assert client.ask(Operation.SEND, other, setup(1)) == Answer(0, 1)
    assert client.ask(Operation.SEND, other, setup(2)) == Answer(0, 1)
    assert client.fails(Operation.SEND, one, setup(2)) == "ENOMEM"
    assert client.fails(Operation.SEND, other, setup(3)) == "ENOMEM"
    client.ask(Operation.CLOSE, one)
    assert client.ask(Operation.SEND, other, setup(3)) == Answer(0, 1)
    client.session.close()
    assert (client.allowance.operations, client.allowance.operation_bytes) == (0, 0)


def test_interfaces(client: Client) -> None:
    assert client.ask(Operation.INDEX, 0, b"flexible") == Answer(0, 1)
    assert client.ask(Operation.NAME, 1) == Answer(0, 0, b"flexible")
    assert client.ask(Operation.MTU, 3) == Answer(0, 2060)
    assert client.fails(Operation.NAME, 99) == client.fails(Operation.MTU, 0) == "ENODEV"
    answer = client.ask(Operation.INDEX, 0, b"flexibel")
    assert answer.number == errno.ENODEV
    assert answer.payload.startswith(b"there is no interface flexibel")


def test_a_name_beyond_all_measure_makes_no_answer_of_that_size(client: Client) -> None:
    answer = client.ask(Operation.INDEX, 0, b"\xff" * 100_000)
    assert answer.number == errno.ENODEV
    assert len(answer.payload) < 1000


def test_links(client: Client) -> None:
    request = get_link(2).pack(7)
    told, done = unpack_messages(client.ask(Operation.NETLINK, 0, request).payload)
    assert Link.unpack(told.payload).name == "classical"
    assert done.sequence == 7


def test_link_events(client: Client) -> None:
    watching = client.open(AF_NETLINK, None)
    payload = pack_receive(1, 1 << 16, hardware_stamps=False)
    assert client.fails(Operation.RECEIVE, watching, payload) == "EAGAIN"
    client.ask(Operation.NETLINK, 0, create_vcan("vcan1").pack(1))
    (event,) = unpack_messages(client.ask(Operation.RECEIVE, watching, payload).payload)
    assert event.type == RTM_NEWLINK
    assert Link.unpack(event.payload).name == "vcan1"


def test_who_may_only_listen(network: UserNetwork) -> None:
    client = Client(network, writable=False)
    one = client.open()
    answer = client.ask(Operation.SEND, one, pack_send([FRAME], None))
    assert answer == Answer(errno.EPERM, 0, b"this client may only listen")
    (refusal,) = unpack_messages(
        client.ask(Operation.NETLINK, 0, create_vcan("vcan1").pack(1)).payload
    )
    assert struct.unpack_from("=i", refusal.payload) == (-errno.EPERM,)
    assert not client.session.writable
    client.session.close()


def test_the_network_is_closed(client: Client, network: UserNetwork) -> None:
    one = client.open()
    network.close()
    answer = client.ask(Operation.OPEN, CAN_RAW)
    assert answer.number == errno.ESHUTDOWN
    assert b"is closed" in answer.payload
    assert client.fails(Operation.RECEIVE, one, RECEIVE) == "ENODEV"


def test_closing_closes_all(client: Client, network: UserNetwork) -> None:
    client.open()
    client.open(CAN_BCM)
    client.open(CAN_ISOTP, None)
    client.open(AF_NETLINK, None)
    assert client.allowance.buffers == 4 * 212_992
    client.session.close()
    client.session.close()
    assert client.session.sockets == {}
    assert client.allowance.buffers == 0
    assert not network._stack.link_watchers


# What comes from anybody


sockets = st.sampled_from([0, 1, 2, 3, 4, 99, CAN_RAW, CAN_BCM, CAN_ISOTP, 7, AF_NETLINK])
counts = st.integers(0, 0xFFFFFFFF) | st.integers(0, 8)
signed = st.integers(-(1 << 31), (1 << 31) - 1)
options = st.builds(
    pack_option,
    st.sampled_from([SOL_SOCKET, 100, 101, 106, 0, -1]),
    st.integers(-2, 70),
    st.binary(max_size=40) | counts,
)
heads = st.builds(
    partial(struct.pack, "@IIIllllII0q"),
    st.integers(0, 12),
    st.integers(0, 0x1FFF),
    counts,
    *[st.integers(-(1 << 40), 1 << 40) | st.integers(0, 3)] * 4,
    counts,
    counts | st.sampled_from([0, 1, 2, 256, 257]),
)
contents = (
    st.binary(max_size=80)
    | st.builds(lambda head, more: head + more, heads, st.binary(max_size=160))
    | st.binary(min_size=16, max_size=16)
)
sendings = st.builds(
    pack_send,
    st.lists(contents, max_size=5),
    st.none() | st.binary(max_size=24) | st.integers(0, 9).map(pack_address),
)
receivings = st.builds(pack_receive, st.integers(0, 0xFFFF), counts, hardware_stamps=st.booleans())
addresses = st.binary(max_size=40) | st.builds(
    partial(struct.pack, "=HxxiII8x"), st.sampled_from([29, 0]), st.integers(-1, 5), counts, counts
)
payloads = st.binary(max_size=64) | options | sendings | receivings | addresses
requests = st.builds(
    lambda operation, socket, payload: Request(operation, socket, payload).pack(),
    st.integers(0, 16),
    sockets,
    payloads,
)


@settings(max_examples=40)
@given(st.lists(requests | st.binary(max_size=30), max_size=40))
def test_whatever_a_client_asks_for_nothing_but_an_answer_or_its_end(
    messages: list[bytes],
) -> None:
    with UserNetwork() as network:
        for name in ("vcan0", "vcan1"):
            network.add_vcan(name)
        network.add_can("can0", bitrate=500_000)
        client = Client(network, status=lambda: json.dumps({}).encode())
        client.open()
        client.open(CAN_BCM)
        client.open(CAN_ISOTP, None)
        client.open(AF_NETLINK, None)
        for message in messages:
            try:
                answer, _ = client.session.handle(message)
            except MalformedRequestError:
                continue  # it would be its end; the next request is looked at all the same
            assert Answer.unpack(answer.pack()) == answer
            assert len(answer.pack()) <= 1 << 17
        client.session.close()
        left = client.allowance
        assert (left.buffers, left.operations, left.operation_bytes) == (0, 0, 0)
