"""Messages over a Unix socket, whole, whatever it is."""

from __future__ import annotations

import os
import select
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from anycan.network.channel import KIND, Channel
from anycan.wire.served import LENGTH, MOST_BYTES, MalformedRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is unread")


@pytest.fixture(
    params=[
        pytest.param(
            getattr(socket, "SOCK_SEQPACKET", 0),
            id="packets",
            marks=pytest.mark.skipif(
                not hasattr(socket, "SOCK_SEQPACKET"), reason="this system has none"
            ),
        ),
        pytest.param(socket.SOCK_STREAM, id="stream"),
    ]
)
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Channel, Channel]]:
    """Give two connected ends; the first one does not block."""
    first, second = socket.socketpair(socket.AF_UNIX, request.param)
    first.setblocking(False)
    second.settimeout(5)
    one, other = Channel(first), Channel(second)
    yield one, other
    one.close()
    other.close()


@pytest.fixture
def stream() -> Iterator[tuple[Channel, socket.socket]]:
    """Give one end of a byte stream that does not block, and the socket at its other end."""
    first, second = socket.socketpair()
    first.setblocking(False)
    with first, second:
        yield Channel(first), second


def test_what_a_network_is_served_by() -> None:
    assert getattr(socket, "SOCK_SEQPACKET", socket.SOCK_STREAM) == KIND


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    sent = [b"a", bytes(1000), b"c" * 20_000, b"d"]
    for message in sent:
        other.send(message)
    assert [one.receive() for _ in sent] == sent
    with pytest.raises(BlockingIOError):
        one.receive()
    one.send(b"back")
    assert other.receive() == b"back"


def test_the_other_end_is_gone(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    other.close()
    assert one.receive() == b""
    assert one.receive_descriptor() == (b"", None)
    with pytest.raises(BrokenPipeError):
        one.send(b"anybody there?")


def test_a_descriptor_goes_with_a_message(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    reading, writing = os.pipe()
    one.send(b"take this", writing)
    os.close(writing)
    message, descriptor = other.receive_descriptor()
    assert message == b"take this"
    assert descriptor is not None
    os.write(descriptor, b"x")
    os.close(descriptor)
    assert os.read(reading, 2) == b"x"
    os.close(reading)


def test_a_message_without_a_descriptor(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send(b"nothing with it")
    assert other.receive_descriptor() == (b"nothing with it", None)


def test_descriptors_that_nobody_asked_for_are_closed(ends: tuple[Channel, Channel]) -> None:
    """The kernel does that, as there is no room for them. (Else the test's check finds them.)"""
    one, other = ends
    reading, writing = os.pipe()
    other.send(b"take this", writing)
    os.close(writing)
    assert one.receive() == b"take this"
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_there_is_no_room(ends: tuple[Channel, Channel]) -> None:
    one, _ = ends

    def send_much() -> None:
        for _ in range(1000):
            one.send(bytes(4000))

    with pytest.raises(BlockingIOError):
        send_much()


@linux
def test_what_is_unread(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    assert not one.has_unread()
    one.send(b"one")
    one.send(b"two")
    assert one.has_unread()
    other.receive()
    assert one.has_unread()
    other.receive()
    assert not one.has_unread()


def test_elsewhere_nothing_is_told_of_what_is_unread(
    stream: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = stream
    one.send(b"one")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not one.has_unread()


# Byte streams alone


def test_a_message_comes_in_pieces(stream: tuple[Channel, socket.socket]) -> None:
    one, other = stream
    data = LENGTH.pack(5) + b"first" + LENGTH.pack(6) + b"second"
    for byte in data[:-1]:
        other.send(bytes([byte]))
    assert one.receive() == b"first"
    with pytest.raises(BlockingIOError):
        one.receive()
    other.send(data[-1:])
    assert one.receive() == b"second"


def test_a_descriptor_comes_with_the_first_piece(stream: tuple[Channel, socket.socket]) -> None:
    one, other = stream
    reading, writing = os.pipe()
    socket.send_fds(other, [LENGTH.pack(4) + b"ta"], [writing])
    other.send(b"ke")
    os.close(writing)
    message, descriptor = one.receive_descriptor()
    assert message == b"take"
    assert descriptor is not None
    os.close(descriptor)
    os.close(reading)


@pytest.mark.parametrize("length", [MOST_BYTES + 1, 0xFFFFFFFF])
def test_a_length_beyond_all_measure(stream: tuple[Channel, socket.socket], length: int) -> None:
    one, other = stream
    other.send(LENGTH.pack(length) + b"...")
    with pytest.raises(MalformedRequestError, match=f"a message of {length} bytes"):
        one.receive()


def test_there_is_no_room_for_all_of_a_message(stream: tuple[Channel, socket.socket]) -> None:
    one, _ = stream
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with pytest.raises(BlockingIOError, match="no room for all"):
        one.send(bytes(MOST_BYTES))
    with pytest.raises(BrokenPipeError, match="sent in part"):  # it would be taken for the rest
        one.send(b"more")


def test_room_for_the_longest_message(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    one.make_room()
    if one.socket.type == socket.SOCK_STREAM:  # packets have room, as that system has it
        one.send(bytes(MOST_BYTES))
        assert other.receive() == bytes(MOST_BYTES)
    had = one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    one.make_room()
    assert one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == had


def test_what_is_not_asked_for_yet_polls_readable(stream: tuple[Channel, socket.socket]) -> None:
    """Whoever reads some messages and comes back later is woken for the rest."""
    one, other = stream
    other.send((LENGTH.pack(5) + b"first") + (LENGTH.pack(0)) + (LENGTH.pack(6) + b"second"))
    for message in (b"first", b"", b"second"):
        assert select.select([one.socket], [], [], 0)[0]
        assert one.receive() == message
    assert not select.select([one.socket], [], [], 0)[0]


def test_an_end_that_blocks_sends_all_of_a_message() -> None:
    """Even where a call takes a part of it, as one does that a signal interrupts."""

    class Dribble(socket.socket):
        def send(self, data: bytes, *flags: int) -> int:  # type: ignore[override]  # of bytes alone
            return super().send(data[:3], *flags)

    first, second = socket.socketpair()
    with Dribble(fileno=first.detach()) as dribble, second:
        one, other = Channel(dribble), Channel(second)
        one.send(b"a message")
        assert other.receive() == b"a message"
