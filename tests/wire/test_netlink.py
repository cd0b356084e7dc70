"""Netlink messages and acknowledgements, byte by byte, and exchanges."""

from __future__ import annotations

import errno
import struct
import sys

import pytest
from hypothesis import given, strategies

from anycan.wire.netlink import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    Acknowledgement,
    Exchange,
    NetlinkMessage,
    unpack_messages,
)
from anycan.wire.netlink_attributes import MalformedMessageError, pack_attribute

literal = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")
# What Linux 6.18 has sent in answer to an MTU of 3 for a veth.
REFUSED = "eaffffff 28000000 1300 0500 08000000 00000000"
REQUEST = "00000000 03000000 00000000 00000000 0800 0400 03000000"
WORDS = "2100 0100" + b"mtu less than device minimum\0".hex() + "000000"


def number(*values: int) -> bytes:
    return struct.pack(f"={len(values)}I", *values)


@literal
def test_a_message() -> None:
    message = NetlinkMessage(16, 0x605, b"\x11\x22\x33", 7, 9)
    data = bytes.fromhex("13000000 1000 0506 07000000 09000000 11223300")
    assert message.pack() == data
    assert unpack_messages(data) == [message]
    assert unpack_messages(data[:-1]) == [message]


def test_the_sequence_number_is_the_callers() -> None:
    message = NetlinkMessage(16, sequence=7)
    assert unpack_messages(message.pack(8)) == [NetlinkMessage(16, sequence=8)]
    assert unpack_messages(message.pack(0)) == [NetlinkMessage(16)]


def test_a_datagram_of_several_messages() -> None:
    messages = [NetlinkMessage(16, 2, b"12345"), NetlinkMessage(16, 2, b""), NetlinkMessage(3)]
    assert unpack_messages(b"".join(message.pack() for message in messages)) == messages
    assert unpack_messages(b"") == []


@literal
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (bytes(15), "15 bytes are left over behind a message"),
        (bytes(16), "a message of 0 bytes, where 16 are left"),
        (b"\x0f" + bytes(15), "a message of 15 bytes, where 16 are left"),
        (b"\x11" + bytes(15), "a message of 17 bytes, where 16 are left"),
        (b"\xff\xff\xff\xff" + bytes(12), "a message of 4294967295 bytes, where 16 are left"),
        (b"\x10" + bytes(15) + b"\0", "1 bytes are left over behind a message"),
    ],
)
def test_what_is_no_message(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedMessageError, match=f"^{problem}$"):
        unpack_messages(data)


def test_a_datagram_that_is_cut_short() -> None:
    first, second = NetlinkMessage(16, 2, b"12345678"), NetlinkMessage(16, 2, b"9")
    whole = first.pack() + second.pack()
    for size in range(len(whole) - 3):
        if size in {0, 24}:
            assert unpack_messages(whole[:size]) == [first][: size // 24]
        else:
            with pytest.raises(MalformedMessageError):
                unpack_messages(whole[:size])


@literal
@pytest.mark.parametrize(
    ("flags", "payload", "expected"),
    [
        (0, "00000000 28000000 1300 0500 08000000 00000000", Acknowledgement()),
        (NLM_F_CAPPED, "00000000 28000000 1300 0500 08000000 00000000", Acknowledgement()),
        (NLM_F_CAPPED, REFUSED, Acknowledgement(errno.EINVAL)),
        (0, REFUSED + REQUEST, Acknowledgement(errno.EINVAL)),
        (
            NLM_F_CAPPED | NLM_F_ACK_TLVS,
            REFUSED + WORDS,
            Acknowledgement(errno.EINVAL, "mtu less than device minimum"),
        ),
        (
            NLM_F_ACK_TLVS,
            REFUSED + REQUEST + WORDS,
            Acknowledgement(errno.EINVAL, "mtu less than device minimum"),
        ),
        (
            NLM_F_CAPPED | NLM_F_ACK_TLVS,
            REFUSED + "0800 0200 20000000" + "0700 0300 11223300" + "0400 6300",
            Acknowledgement(errno.EINVAL, offset=32),
        ),
        (
            NLM_F_CAPPED | NLM_F_ACK_TLVS,
            REFUSED + "0800 0500 12000000" + "0800 0600 20000000",
            Acknowledgement(errno.EINVAL, missing=18, missing_in=32),
        ),
        (
            NLM_F_CAPPED | NLM_F_ACK_TLVS,
            "00000000 28000000 1300 0500 08000000 00000000" + "0700 0100 6f6b0000",
            Acknowledgement(0, "ok"),
        ),
        (NLM_F_CAPPED, "00000080" + REFUSED[8:], Acknowledgement(2**31)),
        (NLM_F_CAPPED, "01000000" + REFUSED[8:], Acknowledgement()),
    ],
)
def test_acknowledgements(flags: int, payload: str, expected: Acknowledgement) -> None:
    message = NetlinkMessage(NLMSG_ERROR, flags, bytes.fromhex(payload))
    assert Acknowledgement.unpack(message) == expected


@literal
@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (
            "24000000 0200 0001 09000000 2c200000 00000000 28000000 1300 0500 09000000 00000000",
            Acknowledgement(),
        ),
        (
            "60000000 0200 0002 09000000 2c200000" + REFUSED + REQUEST + WORDS,
            Acknowledgement(errno.EINVAL, "mtu less than device minimum"),
        ),
        (
            (
                "78000000 0200 0003 09000000 2c200000"
                "deffffff 30000000 1300 0500 0a000000 00000000"
                "2700 0100 417474726962757465206661696c656420706f6c696379"
                "2076616c69646174696f6e0000 0800 0200 28000000"
                "2400 0480 0c00 0400 0000000000000000 0c00 0500 ffffffff00000000 0800 0100 04000000"
            ),
            Acknowledgement(errno.ERANGE, "Attribute failed policy validation", 40),
        ),
    ],
    ids=["done", "refused, with the request", "refused, capped, with an offset and a policy"],
)
def test_what_linux_has_answered(datagram: str, expected: Acknowledgement) -> None:
    exchange = Exchange(9)
    assert exchange.feed(bytes.fromhex(datagram)) == []
    assert exchange.acknowledgement == expected


@literal
@pytest.mark.parametrize(
    ("flags", "payload", "expected"),
    [
        (NLM_F_MULTI, "", Acknowledgement()),
        (NLM_F_MULTI, "00000000", Acknowledgement()),
        (NLM_F_MULTI, "a1ffffff", Acknowledgement(95)),
        (NLM_F_MULTI | NLM_F_ACK_TLVS, "eaffffff 0700 0100 6e6f0000", Acknowledgement(22, "no")),
    ],
)
def test_the_end_of_a_dump(flags: int, payload: str, expected: Acknowledgement) -> None:
    message = NetlinkMessage(NLMSG_DONE, flags, bytes.fromhex(payload))
    assert Acknowledgement.unpack(message) == expected


@literal
@pytest.mark.parametrize(
    ("kind", "flags", "payload"),
    [
        (NLMSG_DONE, 0, "0000"),
        (NLMSG_ERROR, 0, ""),
        (NLMSG_ERROR, 0, REFUSED[:-2]),
        (NLMSG_ERROR, NLM_F_ACK_TLVS, REFUSED),
        (NLMSG_ERROR, NLM_F_ACK_TLVS, "eaffffff 0f000000 1300 0500 08000000 00000000"),
        (NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, REFUSED + "00"),
        (NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, REFUSED + "0600 0200 2000"),
    ],
)
def test_what_is_no_acknowledgement(kind: int, flags: int, payload: str) -> None:
    with pytest.raises(MalformedMessageError):
        Acknowledgement.unpack(NetlinkMessage(kind, flags, bytes.fromhex(payload)))


def test_the_kernels_words_need_not_be_utf_8() -> None:
    words = pack_attribute(1, b"\xff!")
    payload = number(0, 16, 0, 0, 0) + words
    message = NetlinkMessage(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, payload)
    assert Acknowledgement.unpack(message).text == "\N{REPLACEMENT CHARACTER}!"


def refusal(sequence: int, error: int = 0) -> bytes:
    payload = struct.pack("=iIIII", -error, 16, 0, 0, 0)
    return NetlinkMessage(NLMSG_ERROR, NLM_F_CAPPED, payload, sequence).pack()


def ended(exchange: Exchange) -> Acknowledgement | None:
    return exchange.acknowledgement


def test_an_exchange_that_is_acknowledged() -> None:
    exchange = Exchange(7)
    assert exchange.feed(refusal(6, errno.EPERM)) == []
    assert ended(exchange) is None
    answer = NetlinkMessage(16, 0, b"1234", 7)
    told = NetlinkMessage(16, 0, b"5678", 0)
    assert exchange.feed(told.pack() + answer.pack() + refusal(7)) == [answer]
    assert ended(exchange) == Acknowledgement()


def test_an_exchange_that_is_refused() -> None:
    exchange = Exchange(7)
    assert exchange.feed(refusal(7, errno.EPERM)) == []
    assert ended(exchange) == Acknowledgement(errno.EPERM)


def test_a_dump_in_several_datagrams() -> None:
    exchange = Exchange(7)
    parts = [NetlinkMessage(16, NLM_F_MULTI, bytes([part]), 7) for part in range(3)]
    assert exchange.feed(parts[0].pack() + parts[1].pack()) == parts[:2]
    assert exchange.feed(NetlinkMessage(NLMSG_NOOP, 0, b"", 7).pack()) == []
    assert ended(exchange) is None
    done = NetlinkMessage(NLMSG_DONE, NLM_F_MULTI, number(0), 7)
    assert exchange.feed(parts[2].pack() + done.pack() + parts[0].pack()) == parts[2:]
    assert ended(exchange) == Acknowledgement()
    assert not exchange.interrupted
    assert exchange.feed(parts[0].pack()) == []


@pytest.mark.parametrize("kind", [16, NLMSG_DONE])
def test_a_dump_of_what_has_changed_meanwhile(kind: int) -> None:
    exchange = Exchange(7)
    exchange.feed(NetlinkMessage(kind, NLM_F_MULTI | NLM_F_DUMP_INTR, number(0), 6).pack())
    assert not exchange.interrupted
    exchange.feed(NetlinkMessage(kind, NLM_F_MULTI | NLM_F_DUMP_INTR, number(0), 7).pack())
    exchange.feed(NetlinkMessage(NLMSG_DONE, NLM_F_MULTI, number(0), 7).pack())
    assert exchange.interrupted


messages = strategies.builds(
    NetlinkMessage,
    strategies.integers(0, 2**16 - 1),
    strategies.integers(0, 2**16 - 1),
    strategies.binary(max_size=40),
    strategies.integers(0, 2**32 - 1),
    strategies.integers(0, 2**32 - 1),
)


@given(strategies.lists(messages, max_size=4))
def test_messages_come_back(sent: list[NetlinkMessage]) -> None:
    assert unpack_messages(b"".join(message.pack() for message in sent)) == sent


@given(
    strategies.sampled_from([NLMSG_ERROR, NLMSG_DONE]),
    strategies.sampled_from([0, NLM_F_CAPPED, NLM_F_ACK_TLVS, NLM_F_CAPPED | NLM_F_ACK_TLVS]),
    strategies.binary(max_size=60),
)
def test_any_bytes_are_an_acknowledgement_or_none(kind: int, flags: int, payload: bytes) -> None:
    exchange = Exchange(7)
    try:
        exchange.feed(NetlinkMessage(kind, flags, payload, 7).pack())
    except MalformedMessageError:
        assert exchange.acknowledgement is None
    else:
        assert exchange.acknowledgement is not None


@given(strategies.binary(max_size=80))
def test_any_bytes_are_messages_or_none(data: bytes) -> None:
    try:
        found = unpack_messages(data)
    except MalformedMessageError:
        return
    assert unpack_messages(b"".join(message.pack() for message in found)) == found
