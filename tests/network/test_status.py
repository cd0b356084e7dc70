"""What a served network tells of its clients, as JSON and back."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import ClientStatus, NetworkStatus, SocketStatus
from anycan.network.status import MOST_CLIENTS, MOST_SOCKETS, pack_status, unpack_status
from anycan.wire.served import MOST_BYTES, Answer

counts = st.integers(0, 2**64)
sockets = st.builds(
    SocketStatus,
    kind=st.sampled_from(["raw", "bcm", "isotp", "links"]),
    interface=st.none() | st.text(max_size=15),
    queued=counts,
    drops=counts,
    operations=counts,
    buffer=counts,
)
clients = st.builds(
    ClientStatus,
    number=counts,
    process=st.none() | st.integers(0, 2**31 - 1),
    user=st.none() | st.integers(0, 2**32 - 1),
    writable=st.booleans(),
    requests=counts,
    sockets=st.lists(sockets, max_size=4).map(tuple),
    sockets_left_out=counts,
)
statuses = st.builds(
    NetworkStatus,
    name=st.text(),
    path=st.text(),
    process=counts,
    seconds=st.floats(0, 1e9),
    refused=counts,
    clients=st.lists(clients, max_size=4, unique_by=lambda one: one.number).map(tuple),
    clients_left_out=st.just(0),
)
SOCKET: Final = SocketStatus(kind="raw", interface="vcan0", queued=1, drops=2, buffer=212_992)
LARGEST: Final = SocketStatus(
    kind="isotp",
    interface="\x1b" * 15,
    queued=2**64,
    drops=2**64,
    operations=2**64,
    buffer=2**64,
)


def client(number: int, *has: SocketStatus) -> ClientStatus:
    return ClientStatus(
        number=number, process=2**31, user=2**32, writable=False, requests=2**64, sockets=has
    )


def network(*has: ClientStatus) -> NetworkStatus:
    return NetworkStatus(
        name="user", path="/run/" + "x" * 100, process=1, seconds=1.5, refused=0, clients=has
    )


@given(statuses)
def test_what_comes_back_is_what_was_told(status: NetworkStatus) -> None:
    back = unpack_status(pack_status(status))
    assert attrs.evolve(back, clients=()) == attrs.evolve(status, clients=())
    for one, other in zip(status.clients, back.clients, strict=True):
        assert attrs.evolve(other, sockets_left_out=0) == attrs.evolve(one, sockets_left_out=0)


def test_what_is_left_out_of_a_large_one_fits_into_an_answer() -> None:
    many = network(*(client(number, LARGEST) for number in range(10_000)))
    packed = pack_status(many)
    assert len(Answer(0, 0, packed).pack()) <= MOST_BYTES
    back = unpack_status(packed)
    assert len(back.clients) == MOST_CLIENTS
    assert back.clients_left_out == 10_000 - MOST_CLIENTS


def test_sockets_are_left_out_of_those_that_have_the_most() -> None:
    greedy = client(1, *[SOCKET] * 1000)
    modest = client(2, *[SOCKET] * 20)
    first, second = unpack_status(pack_status(network(greedy, modest))).clients
    assert (len(second.sockets), second.sockets_left_out) == (20, 0)
    assert len(first.sockets) == MOST_SOCKETS - 20
    assert first.sockets_left_out == 1000 - len(first.sockets)


def changed(**values: object) -> bytes:
    told: dict[str, Any] = json.loads(pack_status(network(client(1, SOCKET))))
    return json.dumps(told | values).encode()


def test_what_a_newer_server_tells_besides_is_passed_over() -> None:
    assert unpack_status(changed(colour="green")) == network(client(1, SOCKET))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"1",
        b"[]",
        b"{}",
        b"[" * 100_000,
        changed(process="1"),
        changed(process=-1),
        changed(seconds=None),
        changed(name=1),
        changed(clients=1),
        changed(clients=[1]),
        changed(clients=[{}]),
        changed(clients=[{"sockets": 1}]),
        changed(clients=[{"sockets": [{}]}]),
        changed(clients=[{"sockets": [{"kind": 1}]}]),
        changed(clients=[{"sockets": [{"kind": "raw", "interface": 1}]}]),
    ],
    ids=lambda data: f"{data[:60]!r}",
)
def test_what_is_no_status(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is json's or attrs'
        unpack_status(data)
