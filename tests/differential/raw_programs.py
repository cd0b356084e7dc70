"""Random programs of socket calls, and running one on a network.

A program is a list of steps; running it gives one outcome for each: what the call returned, the
error's name, or every message a receive call gave. Two networks are alike when the same program
has the same outcomes on both.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
from hypothesis import strategies

from anycan.sockets.networks import open_descriptor
from anycan.wire.constants import (
    CAN_RAW,
    SK_MEMINFO_VARS,
    SO_ERROR,
    SO_MEMINFO,
    SO_RCVBUF,
    SO_RXQ_OVFL,
    SO_SNDBUF,
    SO_TIMESTAMPNS,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.messages import XL_PAYLOAD_SIZE, MessageBuffer, pack_address
from stages import INTERFACES
from steps import Link, Replace

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from anycan.sockets.descriptor import Descriptor
    from stages import Stage

SOCKETS = 3

Outcome: TypeAlias = "str | int | bytes | list[Any] | None"


@attrs.frozen
class Bind:
    """Bind a socket to an interface; None: to all; "nowhere": to an index that is not there."""

    who: int
    interface: str | None


@attrs.frozen
class Set:
    """Set an option from its bytes."""

    who: int
    option: int
    value: bytes


@attrs.frozen
class Get:
    """Get an option's bytes."""

    who: int
    option: int
    size: int


@attrs.frozen
class Send:
    """Send one payload, to the bound interface or another."""

    who: int
    payload: bytes
    interface: str | None


@attrs.frozen
class Receive:
    """Receive all that waits."""

    who: int


@attrs.frozen
class Buffer:
    """Set the size of a socket's buffer."""

    who: int
    option: int
    size: int


@attrs.frozen
class Memory:
    """Ask for the sizes of the buffers, what they hold, and what was dropped."""

    who: int


@attrs.frozen
class Flood:
    """Send a payload many times."""

    who: int
    payload: bytes
    count: int


Step: TypeAlias = "Bind | Set | Get | Send | Receive | Link | Replace | Buffer | Memory | Flood"

_who = strategies.integers(0, SOCKETS - 1)
_interface = strategies.sampled_from(INTERFACES)
# Identifiers and masks from a small world, so that filters and frames meet.
_identifier = strategies.sampled_from([0, 1, 2, 3, 0x7FF, 0x123, 0x1FFFFFFF, 0x10000123])
_flags = strategies.sampled_from([0, 0, 0, 1 << 31, 1 << 30, 1 << 29, 3 << 30])
_word = strategies.builds(int.__or__, _identifier, _flags)
_mask = strategies.sampled_from(
    [0, 0x7FF, 0xC00007FF, 0xDFFFFFFF, 0x80000000, 0x1, 0x20000004, 0x1FFFFFFF, 0xFFFFFFFF]
)
_filters = strategies.lists(
    strategies.builds(lambda word, mask: struct.pack("=II", word, mask), _word, _mask), max_size=4
).map(b"".join)
_integer = strategies.sampled_from([0, 1, 1, 2]).map(lambda value: struct.pack("=I", value))
_vcid = strategies.builds(
    lambda flags, send, receive, mask: struct.pack("=BBBB", flags, send, receive, mask),
    strategies.integers(0, 8),
    strategies.sampled_from([0, 1, 0x45]),
    strategies.sampled_from([0, 1, 0x45]),
    strategies.sampled_from([0, 1, 0xFF]),
)
_classical = strategies.builds(
    lambda word, length, pads, len8, data: struct.pack("=IB2sB8s", word, length, pads, len8, data),
    _word,
    strategies.sampled_from([0, 1, 4, 8, 8, 9, 255]),
    strategies.sampled_from([b"\0\0", b"\x04\x01"]),
    strategies.sampled_from([0, 9, 15]),
    strategies.sampled_from([bytes(8), b"12345678"]),
)
_flexible = strategies.builds(
    lambda word, length, flags, data: struct.pack("=IBB2x64s", word, length, flags, data),
    _word,
    strategies.sampled_from([0, 8, 13, 64, 65, 255]),
    strategies.integers(0, 15),
    strategies.sampled_from([bytes(64), bytes(range(64))]),
)
_long = strategies.builds(
    lambda priority, flags, length, data: (
        struct.pack("=IBBHI", priority, flags, 3, length, 0x12345678) + data
    ),
    strategies.sampled_from([0, 0x123, 0x7FF, 0x450123, 0x10001, 0x800]),
    strategies.sampled_from([0x80, 0x81, 0x80, 0]),
    strategies.sampled_from([1, 4, 4, 64, 2048]),
    strategies.sampled_from([b"1", b"1234", b"1234", bytes(64), bytes(2048)]),
)
_payload = strategies.one_of(
    _classical, _classical, _flexible, _long, strategies.sampled_from([b"", bytes(15), bytes(73)])
)
_setting = strategies.one_of(
    strategies.tuples(strategies.just(1), _filters),
    strategies.tuples(strategies.just(1), strategies.sampled_from([bytes(7), bytes(513 * 8)])),
    strategies.tuples(
        strategies.just(2),
        strategies.sampled_from([0, 0x1FFFFFFF, 4, 0xFFFFFFFF]).map(lambda v: struct.pack("=I", v)),
    ),
    strategies.tuples(strategies.sampled_from([3, 4, 5, 6, 7]), _integer),
    strategies.tuples(strategies.sampled_from([2, 3, 4, 5, 6, 7]), strategies.just(b"\1\0")),
    strategies.tuples(strategies.just(8), _vcid),
    strategies.tuples(strategies.just(8), strategies.just(b"\1")),
    strategies.tuples(strategies.just(99), _integer),
)


def steps() -> SearchStrategy[Step]:
    """Give the strategy for one step."""
    return strategies.one_of(
        strategies.builds(
            Bind, _who, strategies.sampled_from([*INTERFACES, "flexible", "long", None, "nowhere"])
        ),
        strategies.builds(lambda who, pair: Set(who, *pair), _who, _setting),
        strategies.builds(
            Get, _who, strategies.sampled_from([*range(1, 9), 99]), strategies.sampled_from([4, 64])
        ),
        strategies.builds(
            Send,
            _who,
            _payload,
            strategies.sampled_from([None, None, None, *INTERFACES, "nowhere"]),
        ),
        strategies.builds(Send, _who, _payload, strategies.none()),
        strategies.builds(Receive, _who),
        strategies.builds(Link, _interface, strategies.booleans()),
        strategies.builds(Replace, _interface),
        strategies.builds(
            Buffer,
            _who,
            strategies.sampled_from([SO_RCVBUF, SO_SNDBUF]),
            strategies.sampled_from([0, 2000, 5000, 20_000]),
        ),
        strategies.builds(Memory, _who),
        strategies.builds(Flood, _who, _payload, strategies.sampled_from([3, 30])),
    )


def run(program: list[Step], stage: Stage) -> list[Outcome]:
    """Run a program on fresh sockets, and give the outcome of each step, then what is left."""
    descriptors = [
        open_descriptor(stage.network, socket.SOCK_RAW, CAN_RAW, "can-raw") for _ in range(SOCKETS)
    ]
    buffer = MessageBuffer(64, XL_PAYLOAD_SIZE)
    try:
        for descriptor in descriptors:
            for option in (SO_TIMESTAMPNS, SO_RXQ_OVFL):
                descriptor.setsockopt(SOL_SOCKET, option, struct.pack("=I", 1))
        everything = [*program, *(Receive(who) for who in range(SOCKETS))]
        return [_outcome(step, descriptors, stage, buffer) for step in everything]
    finally:
        for descriptor in descriptors:
            descriptor.close()


def _outcome(  # noqa: C901, PLR0911 - one case for each kind of step
    step: Step, descriptors: list[Descriptor], stage: Stage, buffer: MessageBuffer
) -> Outcome:
    try:
        match step:
            case Bind(who, interface):
                descriptors[who].bind(_address(interface, stage))
            case Set(who, option, value):
                descriptors[who].setsockopt(SOL_CAN_RAW, option, value)
            case Get(who, option, size):
                return descriptors[who].getsockopt(SOL_CAN_RAW, option, size)
            case Send(who, payload, None):
                return descriptors[who].send([payload])
            case Send(who, payload, interface):
                return descriptors[who].send([payload], _address(interface, stage))
            case Receive(who):
                return _receive(descriptors[who], stage, buffer)
            case Link(interface, up):
                (stage.up if up else stage.down)(interface)
            case Replace(interface):
                stage.replace(interface)
            case Buffer(who, option, size):
                descriptors[who].setsockopt(SOL_SOCKET, option, struct.pack("=i", size))
            case Memory(who):
                memory = descriptors[who].getsockopt(SOL_SOCKET, SO_MEMINFO, 4 * SK_MEMINFO_VARS)
                return [
                    descriptors[who].getsockopt(SOL_SOCKET, SO_ERROR, 4),
                    *struct.unpack("=4I16xI", memory),
                ]
            case Flood(who, payload, count):
                return [descriptors[who].send([payload]) for _ in range(count)]
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return None


def _address(interface: str | None, stage: Stage) -> bytes:
    if interface is None:
        return pack_address(0)
    if interface == "nowhere":
        return pack_address(999_999)
    return pack_address(stage.network.interface_index(stage.name(interface)))


def _receive(
    descriptor: Descriptor, stage: Stage, buffer: MessageBuffer
) -> list[tuple[bytes, int, str | None]]:
    count = descriptor.receive(buffer)
    roles: defaultdict[int, str | None] = defaultdict(lambda: "gone")
    for interface in INTERFACES:
        roles[stage.network.interface_index(stage.name(interface))] = interface
    return [buffer.message(position, roles) for position in range(count)]
