"""Random programs of raw sockets' calls.

Whatever a call can be given comes up: what is right, what is wrong, and what is odd. Identifiers,
masks and sizes are from a small world, so that filters and frames meet.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import TYPE_CHECKING, Final

from hypothesis import strategies

from anycan.wire.constants import (
    AF_CAN,
    CAN_RAW_ERR_FILTER,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_FILTER,
    CAN_RAW_JOIN_FILTERS,
    CAN_RAW_LOOPBACK,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RAW_XL_FRAMES,
    CAN_RAW_XL_VCID_OPTS,
    SO_ERROR,
    SO_MEMINFO,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_RXQ_OVFL,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SO_TIMESTAMP,
    SO_TIMESTAMPING,
    SO_TIMESTAMPNS,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.messages import SOCKADDR_CAN_SIZE
from raw_steps import (
    SOCKETS,
    Add,
    Address,
    Bind,
    Connect,
    Drain,
    Flood,
    Forward,
    Get,
    Mtu,
    Poll,
    Receive,
    Remove,
    Reopen,
    Send,
    Set,
)
from stages import INTERFACES, PAIR
from steps import Link, Replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

    from raw_steps import Step

just, one_of, sampled_from, builds = (
    strategies.just,
    strategies.one_of,
    strategies.sampled_from,
    strategies.builds,
)

_UNKNOWN: Final = 99
_SWITCHES: Final = (
    CAN_RAW_LOOPBACK,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_JOIN_FILTERS,
    CAN_RAW_XL_FRAMES,
)
_SO_TYPE, _SO_PROTOCOL, _SO_DOMAIN = 3, 38, 39  # asm-generic/socket.h

_who = strategies.integers(0, SOCKETS - 1)
_interface = sampled_from(INTERFACES)


def _words(*numbers: int) -> SearchStrategy[bytes]:
    return sampled_from([struct.pack("=I", number & 0xFFFFFFFF) for number in numbers])


# Frames

_identifier = sampled_from([0, 1, 2, 3, 0x7FF, 0x123, 0x1FFFFFFF, 0x10000123])
_flags = sampled_from([0, 0, 0, 1 << 31, 1 << 30, 1 << 29, 3 << 30])
_word = builds(int.__or__, _identifier, _flags)
_classical = builds(
    lambda word, length, pads, len8, data: struct.pack("=IB2sB8s", word, length, pads, len8, data),
    _word,
    sampled_from([0, 1, 4, 8, 8, 9, 255]),
    sampled_from([b"\0\0", b"\x04\x01", b"\x30\xff"]),
    sampled_from([0, 9, 15]),
    sampled_from([bytes(8), b"12345678"]),
)
_flexible = builds(
    lambda word, length, flags, reserved, data: struct.pack(
        "=IBB2s64s", word, length, flags, reserved, data
    ),
    _word,
    sampled_from([0, 8, 13, 64, 65, 255]),
    strategies.integers(0, 15),
    sampled_from([b"\0\0", b"\x01\xff"]),
    sampled_from([bytes(64), bytes(range(64))]),
)
_XL_WORDS: Final = [0, 1, 0x123, 0x7FF, 0x10001, 0x450123, 0xFF0000, 0x800, 0x20000001, 0xFF000123]
_long = builds(
    lambda word, flags, length, data: (
        struct.pack("=IBBHI", word, flags, 3, length, 0x12345678) + data
    ),
    sampled_from(_XL_WORDS),
    sampled_from([0x80, 0x80, 0x81, 0xFF, 0]),
    sampled_from([1, 4, 4, 60, 64, 2048]),
    sampled_from([b"1", b"1234", b"1234", bytes(60), bytes(64), bytes(2048)]),
)
_odd = sampled_from([b"", bytes(12), bytes(13), bytes(15), bytes(73), bytes(2060), bytes(2061)])
_right_long = builds(
    lambda word, data: struct.pack("=IBBHI", word, 0x80, 3, len(data), 7) + data,
    sampled_from(_XL_WORDS),
    sampled_from([b"1", b"1234", bytes(2048)]),
)
payloads = one_of(
    _classical, _classical, _classical, _flexible, _flexible, _long, _right_long, _odd
)

# Addresses

_elsewhere = sampled_from([None, "nowhere", "alien"])
_bound = one_of(
    sampled_from(["flexible", "flexible", "long"]), sampled_from([*INTERFACES, *PAIR, None])
).map(Address)
_family = sampled_from([AF_CAN, AF_CAN, AF_CAN, 0, 2])
_SIZES: Final = [0, 7, 8, 16, SOCKADDR_CAN_SIZE, SOCKADDR_CAN_SIZE + 1, 128, 129]
_any_address = builds(Address, one_of(_interface, _elsewhere), _family, sampled_from(_SIZES))
# A send call and connect() give the whole structure, always.
_target = builds(Address, one_of(sampled_from([*INTERFACES, *PAIR, "nowhere", None])), _family)

# Options

_mask = sampled_from(
    [
        *(0, 1, 0x7FF, 0x1FFFFFFF, 0xC00007FF, 0xDFFFFFFF, 0x80000000, 0x40000000, 0x800007FF),
        *(0x20000004, 0x20000000, 0x3FFFFFFF, 0xFFFFFFFF, 0x00FF07FF),
    ]
)
_filter = builds(lambda word, mask: struct.pack("=II", word, mask), _word, _mask)
_filters = strategies.lists(_filter, max_size=4).map(b"".join)
_many_filters = sampled_from([bytes(7), bytes(12), bytes(512 * 8), bytes(513 * 8)])
_integer = _words(0, 1, 1, 1, 2, -1)
_odd_value = sampled_from([b"", b"\1", b"\1\0", b"\1\0\0", b"\1\0\0\0\0", b"\1" + bytes(7)])
_vcid = builds(
    lambda flags, send, receive, mask: struct.pack("=BBBB", flags, send, receive, mask),
    one_of(strategies.integers(0, 8), just(4), just(0xFF)),
    sampled_from([0, 1, 0x45]),
    sampled_from([0, 1, 0x45]),
    sampled_from([0, 1, 0xFF]),
)
_errors = _words(0, 0x1FFFFFFF, 1, 4, 0x123, 0x20000004, 0xFFFFFFFF)
_raw_setting = one_of(
    strategies.tuples(just(CAN_RAW_FILTER), _filters),
    strategies.tuples(just(CAN_RAW_FILTER), _filters),
    strategies.tuples(sampled_from(_SWITCHES), _integer),
    strategies.tuples(sampled_from(_SWITCHES), _integer),
    strategies.tuples(just(CAN_RAW_ERR_FILTER), _errors),
    strategies.tuples(just(CAN_RAW_XL_VCID_OPTS), _vcid),
)
_odd_raw_setting = one_of(
    strategies.tuples(just(CAN_RAW_FILTER), _many_filters),
    strategies.tuples(sampled_from([*range(2, 9), 0, _UNKNOWN]), one_of(_odd_value, _integer)),
)
_SIZES_OF_BUFFERS: Final = (0, 1, 1151, 1152, 2000, 2304, 5000, 20_000, 212_992, 300_000)
# Not those that have transmissions stamped (1, 2, 0x100, 0x200), or stamps reported (0x10, 0x40):
# docs/explanation/parity.md.
_STAMPING: Final = (0, 4, 8, 0x80, 0x800, 0x1000, 0x1800, 0x8000, 0x10000, 0x10080, 0x20000)
_socket_setting = one_of(
    strategies.tuples(
        sampled_from([SO_RCVBUF, SO_RCVBUF, SO_SNDBUF, SO_RCVBUFFORCE, SO_SNDBUFFORCE]),
        _words(*_SIZES_OF_BUFFERS, -1, 1 << 30, 1 << 31),
    ),
    strategies.tuples(sampled_from([SO_TIMESTAMP, SO_TIMESTAMPNS, SO_RXQ_OVFL]), _integer),
    strategies.tuples(just(SO_TIMESTAMPING), _words(*_STAMPING, 0x40000, 1 << 31)),
    strategies.tuples(
        sampled_from([SO_RCVBUF, SO_SNDBUF, SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_RXQ_OVFL]),
        _odd_value,
    ),
    strategies.tuples(
        sampled_from([_SO_TYPE, _SO_PROTOCOL, _SO_DOMAIN, SO_ERROR, SO_MEMINFO, 9999]), _integer
    ),
)
_READ_OF_SOCKET: Final = (
    *(SO_ERROR, SO_ERROR, SO_MEMINFO, SO_RCVBUF, SO_SNDBUF, SO_RXQ_OVFL, SO_TIMESTAMP),
    *(SO_TIMESTAMPNS, SO_TIMESTAMPING, _SO_TYPE, _SO_PROTOCOL, _SO_DOMAIN, SO_RCVBUFFORCE, 9999),
)
_other_level = sampled_from([0, 100, 102, 106, 255])


def _set(
    who: SearchStrategy[int], setting: SearchStrategy[tuple[int, bytes]]
) -> SearchStrategy[Step]:
    return builds(lambda who, pair: Set(who, SOL_CAN_RAW, *pair), who, setting)


_sizes_read = sampled_from([4, 4, 64, 0, 1, 3, 5, 8, 36])
_steps: SearchStrategy[Step] = one_of(
    builds(Send, _who, strategies.tuples(payloads)),
    builds(Send, _who, strategies.tuples(payloads)),
    builds(Send, _who, strategies.tuples(payloads)),
    builds(Send, _who, strategies.tuples(payloads), _target),
    builds(
        Send,
        _who,
        strategies.lists(payloads, min_size=2, max_size=4).map(tuple),
        one_of(strategies.none(), _target),
    ),
    builds(Flood, _who, payloads, sampled_from([3, 3, 30])),
    builds(Receive, _who),
    builds(Receive, _who, sampled_from([1, 2, 64]), sampled_from([16, 72, 2064])),
    builds(Forward, _who, _who, sampled_from([16, 16, 72])),
    builds(Poll, _who),
    builds(Bind, _who, _bound),
    builds(Bind, _who, _any_address),
    _set(_who, _raw_setting),
    _set(_who, _raw_setting),
    _set(_who, _odd_raw_setting),
    builds(lambda who, pair: Set(who, SOL_SOCKET, *pair), _who, _socket_setting),
    builds(Get, _who, just(SOL_CAN_RAW), sampled_from([*range(1, 9), 0, _UNKNOWN]), _sizes_read),
    builds(Get, _who, just(SOL_SOCKET), sampled_from(_READ_OF_SOCKET), _sizes_read),
    builds(Link, _interface, strategies.booleans()),
    one_of(
        builds(Mtu, _interface, sampled_from([16, 72, 76, 100, 2060, 15, 73, 75, 2061])),
        builds(Reopen, _who),
        builds(Connect, _who, builds(Address, _interface)),
        builds(Set, _who, _other_level, sampled_from([1, 3]), _integer),
        builds(Get, _who, _other_level, sampled_from([1, 3]), just(4)),
        builds(Replace, _interface),
        builds(Remove, _interface),
        builds(Add, _interface),
    ),
)


def _preparation(who: int) -> SearchStrategy[Sequence[Step]]:
    """Give what a socket most often does first: options are set, and it is bound."""
    one = just(who)
    options = strategies.lists(_set(one, _raw_setting), max_size=2)
    more = sampled_from([(), (), (CAN_RAW_FD_FRAMES,), (CAN_RAW_XL_FRAMES,)]).map(
        lambda switches: [
            Set(who, SOL_CAN_RAW, option, struct.pack("=I", 1)) for option in switches
        ]
    )
    bound = builds(Bind, one, _bound).map(lambda step: [step])
    return strategies.tuples(options, more, one_of(bound, bound, bound, just([]))).map(
        lambda parts: list(chain(*parts))
    )


def programs() -> SearchStrategy[list[Step]]:
    """Give the strategy for programs."""
    return builds(
        lambda before, steps: [*chain(*before), *steps],
        strategies.tuples(*map(_preparation, range(SOCKETS))),
        strategies.lists(_steps, min_size=2, max_size=20),
    )


__all__ = ["Drain", "programs"]
