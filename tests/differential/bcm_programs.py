"""Random programs for the broadcast manager, in which time passes, and running one on a network."""

from __future__ import annotations

import errno
import socket
import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
from hypothesis import strategies

from anycan.sockets.networks import open_descriptor
from anycan.wire.bcm import NATIVE, BcmFlag, BcmMessage, BcmOpcode, Interval
from anycan.wire.constants import (
    CAN_BCM,
    CAN_RAW,
    CAN_RAW_FD_FRAMES,
    SK_MEMINFO_VARS,
    SO_MEMINFO,
    SO_RCVBUF,
    SO_TIMESTAMPNS,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.messages import MessageBuffer
from stages import INTERFACES
from steps import Link, Receive, Replace, Room, Traffic, Wait
from timed import Standing, TimedRun, close

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from anycan.sockets.descriptor import Descriptor
    from stages import Stage

SOCKETS: Final = 2
_LARGEST_MESSAGE: Final = 56 + 257 * 72

Outcome: TypeAlias = "str | int | bytes | list[Any] | None"


@attrs.frozen
class Connect:
    """Connect a socket to an interface; None: to all; "nowhere": to an index that is not there."""

    who: int
    interface: str | None


@attrs.frozen
class Ask:
    """Send bytes to the broadcast manager, about the interface connected to or another."""

    who: int
    data: bytes
    interface: str | None


Step: TypeAlias = "Connect | Ask | Traffic | Wait | Receive | Link | Replace | Room"


def weighted(*choices: tuple[int, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    """Choose a strategy as often as its weight says; one_of() forgets repetitions."""
    places = [place for place, (weight, _) in enumerate(choices) for _ in range(weight)]
    return strategies.sampled_from(places).flatmap(lambda place: choices[place][1])


_who = strategies.sampled_from([0, 0, 1])
_flexible, _classical = "flexible", "classical"
_interface = strategies.sampled_from([_flexible, _flexible, _flexible, _flexible, _classical])
_PLACES: Final = [_flexible, _classical, None, "nowhere"]
_identifier = strategies.sampled_from([1, 1, 1, 2, 0x80000001, 0x40000001, 0x20000001, 0x801])
_flags = strategies.sampled_from(
    [flag for flag in BcmFlag if flag not in {BcmFlag.CAN_FD_FRAME, BcmFlag.RX_RTR_FRAME}]
)
_started = BcmFlag.SETTIMER | BcmFlag.STARTTIMER
_all_flags = weighted(
    (1, strategies.just(0)),
    (2, strategies.just(BcmFlag.SETTIMER)),
    (3, strategies.just(_started)),
    (3, strategies.just(_started | BcmFlag.TX_COUNTEVT)),
    (2, strategies.lists(_flags, max_size=3).map(sum)),
    (4, strategies.lists(_flags, max_size=2).map(lambda flags: sum({*flags, *_started}))),
    (1, strategies.just(BcmFlag.RX_RTR_FRAME)),
)
# Of many lengths, so that few timers are due at one time.
_interval = weighted(
    (2, strategies.just(Interval())),
    (3, strategies.integers(8, 25).map(lambda tens: Interval(0, tens * 10_000 + 3_000))),
)
_bad_interval = strategies.sampled_from(
    [Interval(-1), Interval(0, -1), Interval(0, 1_000_000), Interval(400 * 86400 + 1)]
)
_data = strategies.sampled_from(
    [bytes(8), b"\1" + bytes(7), b"\2" + bytes(7), b"\1\1" + bytes(6), b"\2\1" + bytes(6)]
)
_length = strategies.sampled_from([8, 8, 8, 1, 0, 2, 9])
_padding = strategies.sampled_from([bytes(3), bytes(3), b"\xff\xff\xff"])


def _classical_frame(word: int, length: int, padding: bytes, data: bytes) -> bytes:
    return struct.pack("=IB3s8s", word, length, padding, data)


def _flexible_frame(word: int, length: int, flags: int, data: bytes, more: bytes) -> bytes:
    return struct.pack("=IBBxx8s8s48x", word, length, flags, data, more)


_classical_frames = strategies.builds(_classical_frame, _identifier, _length, _padding, _data)
_good_classical_frames = strategies.builds(
    _classical_frame,
    strategies.sampled_from([1, 1, 1, 0x40000001]),
    strategies.sampled_from([8, 8, 2, 1, 0]),
    _padding,
    _data,
)
_flexible_frames = strategies.builds(
    _flexible_frame,
    _identifier,
    strategies.sampled_from([8, 16, 12, 0, 64, 65]),
    strategies.sampled_from([0, 1, 4, 0xFF]),
    _data,
    _data,
)


def _message(
    opcode: int,
    flags: int,
    count: int,
    intervals: tuple[Interval, Interval],
    can_id: int,
    frames: list[bytes],
    claimed: int | None,
) -> bytes:
    if frames and len(frames[0]) == 72:
        flags |= BcmFlag.CAN_FD_FRAME
    message = BcmMessage(
        opcode,
        flags,
        count,
        *intervals,
        can_id,
        len(frames) if claimed is None else claimed,
        b"".join(frames),
    )
    return NATIVE.encode(message)


_frame_lists = strategies.one_of(
    strategies.lists(_classical_frames, min_size=1, max_size=1),
    strategies.lists(_classical_frames, max_size=4),
    strategies.lists(_flexible_frames, min_size=1, max_size=3),
)
_intervals = strategies.tuples(_interval, _interval)
# What works, mostly: of one identifier, so that what follows meets what was set up.
_setups = strategies.builds(
    _message,
    strategies.sampled_from([BcmOpcode.TX_SETUP, BcmOpcode.RX_SETUP, BcmOpcode.RX_SETUP]),
    _all_flags,
    strategies.integers(0, 4),
    _intervals,
    strategies.sampled_from([1, 1, 1, 1, 2, 0x40000001]),
    weighted(
        (2, strategies.lists(_good_classical_frames, min_size=2, max_size=4)),
        (4, strategies.lists(_good_classical_frames, min_size=1, max_size=1)),
        (1, strategies.just([])),
        (2, strategies.lists(_flexible_frames, min_size=1, max_size=2)),
    ),
    strategies.none(),
)
_changes = strategies.builds(
    _message,
    strategies.sampled_from(
        [BcmOpcode.TX_READ, BcmOpcode.RX_READ, BcmOpcode.TX_DELETE, BcmOpcode.RX_DELETE]
    ),
    strategies.just(0),
    strategies.just(0),
    strategies.tuples(strategies.just(Interval()), strategies.just(Interval())),
    strategies.sampled_from([1, 1, 1, 1, 2, 0x40000001]),
    strategies.just([]),
    strategies.none(),
)
_anything = strategies.builds(
    _message,
    strategies.sampled_from([*BcmOpcode, BcmOpcode.TX_SETUP, BcmOpcode.RX_SETUP]),
    _all_flags,
    strategies.integers(0, 4),
    weighted((3, _intervals), (1, strategies.tuples(_interval, _bad_interval))),
    _identifier,
    _frame_lists,
    strategies.sampled_from([None, None, None, None, 0, 2, 257, 258]),
)
_garbage = strategies.sampled_from([b"", bytes(55), bytes(57), bytes(73)])


def steps() -> SearchStrategy[Step]:
    """Give the strategy for one step."""
    nowhere = strategies.sampled_from([None, None, _flexible, _classical, "nowhere"])
    set_up = strategies.builds(Ask, _who, _setups, strategies.sampled_from([None, _flexible]))
    change = strategies.builds(Ask, _who, _changes, strategies.sampled_from([None, _flexible]))
    frames = weighted((6, _good_classical_frames), (1, _classical_frames), (2, _flexible_frames))
    traffic = strategies.builds(
        Traffic, frames, strategies.sampled_from([*5 * [_flexible], _classical])
    )
    wait = strategies.builds(Wait, strategies.sampled_from([50, 100, 150, 250]))
    receive = strategies.builds(Receive, strategies.sampled_from([0, 1, None]))
    rare = weighted(
        (2, strategies.builds(Connect, _who, strategies.sampled_from(_PLACES))),
        (2, strategies.builds(Ask, _who, _garbage, nowhere)),
        (6, strategies.builds(Link, _interface, strategies.booleans())),
        (1, strategies.builds(Replace, _interface)),
        (2, strategies.builds(Room, _who, strategies.sampled_from([0, 2000, 20_000]))),
    )
    any_ask = strategies.builds(Ask, _who, _anything, nowhere)
    return weighted(
        (6, set_up), (8, traffic), (6, wait), (3, change), (2, receive), (1, any_ask), (1, rare)
    )


def programs() -> SearchStrategy[list[Step]]:
    """Give the strategy for programs, which begin with both sockets connected, mostly."""
    connected: list[Step] = [Connect(0, _flexible), Connect(1, None)]
    return strategies.builds(
        lambda begin, rest: [*begin, *rest],
        strategies.sampled_from([*(connected for _ in range(15)), []]),
        strategies.lists(steps(), min_size=12, max_size=24),
    )


class Run(TimedRun):
    """A program on a network."""

    def __init__(self, stage: Stage, waits: list[int]) -> None:
        super().__init__(stage, waits)
        self._buffer = MessageBuffer(64, _LARGEST_MESSAGE)
        self._sockets = [
            open_descriptor(stage.network, socket.SOCK_DGRAM, CAN_BCM, "can-bcm")
            for _ in range(SOCKETS)
        ]
        self._raw = open_descriptor(stage.network, socket.SOCK_RAW, CAN_RAW, "can-raw")

    def outcomes(self, program: list[Step]) -> list[Outcome]:
        """Run it, and give the outcome of each step, then what is left."""
        try:
            for descriptor in (*self._sockets, self._raw):
                descriptor.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, struct.pack("=I", 1))
            self._raw.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, struct.pack("=I", 1))
            self._raw.bind(self._address(None))
            self._begin()
            everything: list[Step] = [*program, *END]
            return [self._outcome(step) for step in everything]
        finally:
            for descriptor in (*self._sockets, self._raw):
                close(descriptor)

    def _outcome(self, step: Step) -> Outcome:  # noqa: C901, PLR0911 - one case for each kind of step
        try:
            match step:
                case Connect(who, interface):
                    self._sockets[who].connect(self._address(interface))
                case Ask(who, data, None):
                    return self._sockets[who].send([data])
                case Ask(who, data, interface):
                    return self._sockets[who].send([data], self._address(interface))
                case Traffic(payload, interface):
                    return self._raw.send([payload], self._address(interface))
                case Wait(milliseconds):
                    self._wait(milliseconds)
                case Receive(who):
                    return self._receive(self._raw if who is None else self._sockets[who])
                case Link(interface, up):
                    (self._stage.up if up else self._stage.down)(interface)
                case Replace(interface):
                    self._stage.replace(interface)
                case Room(who, size):
                    descriptor = self._sockets[who]
                    descriptor.setsockopt(SOL_SOCKET, SO_RCVBUF, struct.pack("=i", size))
                    memory = descriptor.getsockopt(SOL_SOCKET, SO_MEMINFO, 4 * SK_MEMINFO_VARS)
                    return [*struct.unpack("=4I16xI", memory)]
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return None

    def _receive(self, descriptor: Descriptor) -> list[tuple[bytes, int, str | None]]:
        count = descriptor.receive(self._buffer)
        roles: defaultdict[int, str | None] = defaultdict(lambda: "gone")
        roles[0] = None
        for interface in INTERFACES:
            index = self._stage.network.interface_index(self._stage.name(interface))
            roles[index] = interface
        return [self._buffer.message(position, roles) for position in range(count)]


END: Final[tuple[Step, ...]] = (Wait(200), *map(Receive, (0, 0, 1, 1, None)))
"""What every program ends with: the last messages, behind a pending error."""


class StandingRun(Standing, Run):
    """A program on a user-space network whose time stands still; it finds out how long to wait."""
