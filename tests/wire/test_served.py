"""What a served network and its clients say to each other, in bytes."""

from __future__ import annotations

import errno
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.wire.served import (
    LAYOUT,
    MOST_BYTES,
    Answer,
    MalformedRequestError,
    Operation,
    Request,
    check_hello,
    pack_hello,
    pack_option,
    pack_receive,
    pack_send,
    unpack_option,
    unpack_receive,
    unpack_send,
    words_of,
)

words = st.integers(0, 0xFFFFFFFF)
halves = st.integers(0, 0xFFFF)
numbers = st.integers(-(1 << 31), (1 << 31) - 1)


def test_a_request() -> None:
    request = Request(Operation.BIND, 7, b"where")
    data = struct.pack("=HHI", 4, 0, 7) + b"where"
    assert request.pack() == data
    assert Request.unpack(data) == request
    assert Request(Operation.STATUS).pack() == struct.pack("=HHI", 14, 0, 0)


@pytest.mark.parametrize("size", [0, 7, MOST_BYTES + 1])
def test_a_request_of_another_size_is_none(size: int) -> None:
    with pytest.raises(MalformedRequestError, match=f"a request of {size} bytes"):
        Request.unpack(bytes(size))


@pytest.mark.parametrize("size", [8, MOST_BYTES])
def test_the_shortest_and_the_longest_request(size: int) -> None:
    assert len(Request.unpack(bytes(size)).pack()) == size


def test_an_answer() -> None:
    answer = Answer(1, 9, b"text")
    data = struct.pack("=iI", 1, 9) + b"text"
    assert answer.pack() == data
    assert Answer.unpack(data) == answer
    assert Answer().pack() == bytes(8)
    with pytest.raises(MalformedRequestError, match="an answer of 7 bytes"):
        Answer.unpack(bytes(7))


def test_the_words_of_an_error() -> None:
    assert words_of(OSError(errno.EPERM, "this client may only listen")) == (
        "this client may only listen"
    )
    assert words_of(OSError(errno.EPERM, "EPERM")) == ""
    assert words_of(OSError()) == ""


def test_a_greeting() -> None:
    data = struct.pack("=6sHBBBx", b"anycan", 1, *LAYOUT)
    assert pack_hello() == data
    assert check_hello(data + b"more") == b"more"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no anycan network is served there"),
        (struct.pack("=6sHBBBx", b"anycan", 1, *LAYOUT)[:-1], "no anycan network is served there"),
        (struct.pack("=6sHBBBx", b"others", 1, *LAYOUT), "no anycan network is served there"),
        (
            struct.pack("=6sHBBBx", b"anycan", 2, *LAYOUT),
            "the other side is of version 2, this one 1",
        ),
        (
            struct.pack("=6sHBBBx", b"anycan", 1, 4, 4, 5),
            "the other side is a program of another word size",
        ),
    ],
)
def test_a_greeting_of_somebody_else(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedRequestError, match=reason):
        check_hello(data)


def test_options() -> None:
    assert pack_option(101, 1, b"abc") == struct.pack("=iiI", 101, 1, 3) + b"abc"
    assert pack_option(101, 1, 64) == struct.pack("=iiI", 101, 1, 64)
    assert unpack_option(struct.pack("=iiI", 101, 1, 3) + b"abc") == (101, 1, 3, b"abc")
    with pytest.raises(MalformedRequestError):
        unpack_option(bytes(11))


def test_receiving() -> None:
    assert pack_receive(128, 72, hardware_stamps=True) == struct.pack("=HIB", 128, 72, 1)
    assert unpack_receive(struct.pack("=HIB", 128, 72, 0)) == (128, 72, False)
    with pytest.raises(MalformedRequestError):
        unpack_receive(bytes(6))


def test_sending() -> None:
    data = struct.pack("=HH2sII", 2, 2, b"to", 3, 1) + b"abcd"
    assert pack_send([b"abc", b"d"], b"to") == data
    assert unpack_send(data) == ([b"abc", b"d"], b"to")
    assert pack_send([b""], None) == struct.pack("=HHI", 0, 1, 0)
    assert unpack_send(struct.pack("=HHI", 0, 1, 0)) == ([b""], None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "requires a buffer"),
        (struct.pack("=HH", 0, 0), "4 bytes, where 4 were announced"),  # nothing is to be sent
        (struct.pack("=HH", 0, 65535), "fewer lengths than payloads"),
        (struct.pack("=HH", 65535, 1) + bytes(8), "fewer lengths than payloads"),
        (struct.pack("=HHI", 0, 1, 0xFFFFFFFF) + b"x", "9 bytes, where 4294967303 were announced"),
        (struct.pack("=HHI", 0, 1, 3) + b"abcd", "12 bytes, where 11 were announced"),
    ],
)
def test_what_is_to_be_sent_does_not_add_up(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedRequestError, match=reason):
        unpack_send(data)


@given(halves, words, st.binary(max_size=200))
def test_requests_come_back(operation: int, socket: int, payload: bytes) -> None:
    request = Request(operation, socket, payload)
    assert Request.unpack(request.pack()) == request


@given(numbers, words, st.binary(max_size=200))
def test_answers_come_back(number: int, value: int, payload: bytes) -> None:
    answer = Answer(number, value, payload)
    assert Answer.unpack(answer.pack()) == answer


@given(numbers, numbers, st.binary(max_size=200) | words)
def test_options_come_back(level: int, option: int, value: bytes | int) -> None:
    size, data = (value, b"") if isinstance(value, int) else (len(value), value)
    assert unpack_option(pack_option(level, option, value)) == (level, option, size, data)


@given(halves, words, st.booleans())
def test_receiving_comes_back(limit: int, size: int, hardware_stamps: bool) -> None:
    data = pack_receive(limit, size, hardware_stamps=hardware_stamps)
    assert unpack_receive(data) == (limit, size, hardware_stamps)


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=20), st.binary(max_size=24))
def test_sending_comes_back(payloads: list[bytes], address: bytes) -> None:
    assert unpack_send(pack_send(payloads, address)) == (payloads, address or None)


@given(st.binary(max_size=64) | st.binary(max_size=40).map(lambda more: pack_hello()[:8] + more))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    for unpack in (Request.unpack, Answer.unpack, check_hello, unpack_option, unpack_receive):
        with suppress(MalformedRequestError):
            unpack(data)
    with suppress(MalformedRequestError):
        payloads, address = unpack_send(data)
        assert pack_send(payloads, address) == data
