"""Random programs for ISO-TP sockets, and running one on a network.

Two sockets have each other's identifiers, so that they talk to each other as well as to whatever
else is on the bus: whole PDUs, and their frames in disorder, doubled, cut and forged.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
from hypothesis import strategies

from anycan.sockets.networks import open_descriptor
from anycan.wire.constants import (
    CAN_ISOTP,
    CAN_ISOTP_LL_OPTS,
    CAN_ISOTP_OPTS,
    CAN_ISOTP_RECV_FC,
    CAN_ISOTP_RX_STMIN,
    CAN_ISOTP_TX_STMIN,
    CAN_RAW,
    CAN_RAW_FD_FRAMES,
    SK_MEMINFO_VARS,
    SO_ERROR,
    SO_MEMINFO,
    SO_RCVBUF,
    SO_RXQ_OVFL,
    SO_TIMESTAMPNS,
    SOL_CAN_ISOTP,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.isotp import (
    FRAME_TXTIME_ZERO,
    FlowControlOptions,
    IsotpFlag,
    IsotpOptions,
    LinkLayerOptions,
    pack_isotp_address,
    padded_length,
)
from anycan.wire.messages import MessageBuffer
from bcm_programs import weighted
from stages import INTERFACES
from steps import Link, Receive, Replace, Room, Traffic, Wait
from timed import MARGIN, Standing, TimedRun, close

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from anycan.sockets.descriptor import Descriptor
    from stages import Stage

SOCKETS: Final = 2
_LARGEST: Final = 9000
_flexible, _classical = "flexible", "classical"

Outcome: TypeAlias = "str | int | bytes | tuple[Any, ...] | list[Any] | None"


@attrs.frozen
class Set:
    """Set an option from its bytes."""

    who: int
    option: int
    value: bytes
    level: int = SOL_CAN_ISOTP


@attrs.frozen
class Get:
    """Get an option's bytes."""

    who: int
    option: int
    size: int
    level: int = SOL_CAN_ISOTP


@attrs.frozen
class Bind:
    """Bind a socket to an interface, or to an index that is not there, and to two identifiers."""

    who: int
    interface: str | None
    rx_id: int
    tx_id: int
    size: int = 24


@attrs.frozen
class Send:
    """Send a PDU of that many bytes."""

    who: int
    size: int


@attrs.frozen
class Poll:
    """Ask whether a socket is readable, and writable."""

    who: int


@attrs.frozen
class Error:
    """Take the pending error."""

    who: int


Step: TypeAlias = (
    "Set | Get | Bind | Send | Traffic | Wait | Receive | Poll | Error | Link | Replace | Room"
)

_PAIRS: Final = [(0x101, 0x102), (0x1801_0203 | 0x8000_0000, 0x1803_0201 | 0x8000_0000)]


@attrs.frozen
class Profile:
    """What the sockets of a program are like, and so the frames that mean something to them."""

    options: IsotpOptions
    flow_control: FlowControlOptions
    link_layer: LinkLayerOptions
    tx_stmin: int
    rx_stmin: int
    pair: tuple[int, int]

    @property
    def prefix(self) -> bytes:
        if not self.options.flags & IsotpFlag.EXTEND_ADDR:
            return b""
        separate = self.options.flags & IsotpFlag.RX_EXT_ADDR
        address = self.options.rx_ext_address if separate else self.options.ext_address
        return bytes((address,))

    def frame(self, identifier: int, data: bytes, length: int | None = None) -> bytes:
        """Make a frame, which may hold more or less than its length says."""
        size = 64 if self.link_layer.mtu == 72 else 8
        data = data[:size]
        if length is None:
            length = len(data) if len(data) <= 8 else padded_length(len(data))
        head = struct.pack("=IBBxx", identifier, min(length, size), 0)
        return head + data.ljust(size, b"\xcc")


_rare_flag = strategies.sampled_from(
    [
        IsotpFlag.LISTEN_MODE,
        IsotpFlag.RX_PADDING,
        IsotpFlag.CHK_PAD_LEN,
        IsotpFlag.CHK_PAD_DATA,
        IsotpFlag.HALF_DUPLEX,
        IsotpFlag.FORCE_TXSTMIN,
        IsotpFlag.FORCE_RXSTMIN,
        IsotpFlag.SF_BROADCAST,
        IsotpFlag.CF_BROADCAST,
        IsotpFlag.DYN_FC_PARMS,
        IsotpFlag.TX_PADDING,
        IsotpFlag.EXTEND_ADDR,
    ]
)
_padding = IsotpFlag.TX_PADDING | IsotpFlag.RX_PADDING
_flags = weighted(
    (3, strategies.just(0)),
    (2, strategies.just(IsotpFlag.EXTEND_ADDR)),
    (1, strategies.just(IsotpFlag.EXTEND_ADDR | IsotpFlag.RX_EXT_ADDR)),
    (2, strategies.just(_padding | IsotpFlag.CHK_PAD_LEN | IsotpFlag.CHK_PAD_DATA)),
    (1, strategies.just(IsotpFlag.CHK_PAD_LEN)),
    (1, strategies.just(IsotpFlag.DYN_FC_PARMS)),
    (1, strategies.just(IsotpFlag.HALF_DUPLEX)),
    (1, strategies.just(IsotpFlag.CF_BROADCAST)),
    (3, strategies.lists(_rare_flag, max_size=3).map(lambda flags: sum(set(flags)))),
)
_profiles = strategies.builds(
    Profile,
    strategies.builds(
        IsotpOptions,
        _flags,
        strategies.sampled_from([0, 0, FRAME_TXTIME_ZERO, 1_000_000]),
        strategies.sampled_from([0x11, 0, 0x20]),
        strategies.sampled_from([0xCC, 0]),
        strategies.sampled_from([0xCC, 0xCC, 0]),
        strategies.sampled_from([0x11, 0x22]),
    ),
    strategies.builds(
        FlowControlOptions,
        strategies.sampled_from([0, 0, 1, 2, 8]),
        strategies.sampled_from([0, 0, 0, 0xF1, 2, 0x80]),
    ),
    strategies.builds(
        LinkLayerOptions,
        strategies.just(72),
        strategies.sampled_from([64, 12, 8]),
        strategies.sampled_from([0, 1, 4]),
    )
    | strategies.just(LinkLayerOptions())
    | strategies.just(LinkLayerOptions()),
    strategies.sampled_from([0, 3_000_000]),
    strategies.sampled_from([0, 4_000_000_000]),
    strategies.sampled_from([_PAIRS[0], _PAIRS[0], _PAIRS[1]]),
)


def _pdu(size: int) -> bytes:
    return bytes((one * 7 + 1) & 0xFF for one in range(size))


def _transfer(profile: Profile, size: int) -> list[bytes]:
    """Give the data of the frames that carry a PDU."""
    prefix, frame_size = profile.prefix, profile.link_layer.tx_dl
    pdu = _pdu(size)
    if size <= 4095:
        first = prefix + bytes((0x10 | size >> 8, size & 0xFF))
    else:
        first = prefix + b"\x10\0" + size.to_bytes(4, "big")
    position = frame_size - len(first)
    frames = [first + pdu[:position]]
    room = frame_size - len(prefix) - 1
    sequence = 1
    while position < size:
        frames.append(prefix + bytes((0x20 | sequence,)) + pdu[position : position + room])
        sequence = (sequence + 1) & 0x0F
        position += room
    return frames


def _disturb(frames: list[bytes], kind: str, where: int) -> list[tuple[bytes, int | None]]:
    """Give frames and their lengths, with something wrong somewhere behind the first."""
    position = 1 + where % max(len(frames) - 1, 1)
    plain: list[tuple[bytes, int | None]] = [(one, None) for one in frames]
    if position >= len(plain):
        return plain
    data = plain[position][0]
    match kind:
        case "swapped" if position + 1 < len(plain):
            plain[position], plain[position + 1] = plain[position + 1], plain[position]
        case "doubled":
            plain.insert(position, plain[position])
        case "missing":
            del plain[position]
        case "short":
            plain[position] = (data, where % 9)
        case "long":
            plain[position] = (data.ljust(64, b"\xcc"), 12)
        case "interrupted":
            plain.insert(position, (b"\x02ab", None))
        case "begun":
            plain.insert(position, plain[0])
        case "ended":
            del plain[position:]
    return plain


_DISTURBANCES: Final = [
    "swapped", "doubled", "missing", "short", "long", "interrupted", "begun", "ended",
]  # fmt: skip


_Frames: TypeAlias = "list[tuple[bytes, int | None]]"
"""The data of frames, and their lengths; None: as much as there is."""


@strategies.composite
def _single_frames(draw: DrawFn, prefix: bytes) -> _Frames:
    size = draw(strategies.integers(0, 9))
    escaped = draw(strategies.integers(0, 3)) == 0
    head = bytes((0, size * 5)) if escaped else bytes((size & 0x0F,))
    content = _pdu(size * 5 if escaped else size)
    return [
        (prefix + head + content, draw(strategies.sampled_from([None, None, None, 8, 3, 0, 12])))
    ]


@strategies.composite
def _transfers(draw: DrawFn, profile: Profile) -> _Frames:
    size = draw(strategies.sampled_from([8, 9, 20, 35, 62, 63, 70, 130, 7, 6, 5]))
    disturbance = draw(strategies.sampled_from(["", *_DISTURBANCES]))
    frames = _disturb(_transfer(profile, size), disturbance, draw(strategies.integers(0, 30)))
    if draw(strategies.integers(0, 4)) == 0:
        frames[-1] = (frames[-1][0].ljust(profile.link_layer.tx_dl, b"\xcc"), None)
    return frames


@strategies.composite
def _first_frames(draw: DrawFn, prefix: bytes, frame_size: int) -> _Frames:
    size = draw(strategies.sampled_from([0, 1, 2, 4, 5, 6, 7, 8, 57, 58, 61, 62, 63, 300]))
    long = draw(strategies.sampled_from([None, None, None, size, 4096, 8300, 8301, 0xFFFFFFFF]))
    head = bytes((0x10 | size >> 8, size & 0xFF))
    if long is not None:
        head = b"\x10\0" + long.to_bytes(4, "big")
    length = draw(strategies.sampled_from([8, 8, frame_size, 7, 12, 64]))
    frames: _Frames = [(prefix + head + _pdu(64), length)]
    if draw(strategies.booleans()):
        length = draw(strategies.sampled_from([8, 8, 2, 1, 0, 64]))
        frames.append((prefix + b"\x21" + _pdu(64), length))
    return frames


@strategies.composite
def _flow_controls(draw: DrawFn, prefix: bytes) -> _Frames:
    status = draw(strategies.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 0xF]))
    block_size = draw(strategies.sampled_from([0, 0, 1, 2, 8]))
    stmin = draw(strategies.sampled_from([0, 0, 0, 0xF1, 2, 0x80, 0xFA]))
    length = draw(strategies.sampled_from([None, None, None, None, 8, 2, 1]))
    data = prefix + bytes((0x30 | status, block_size, stmin))
    if length == 8:
        data = data.ljust(8, draw(strategies.sampled_from([b"\xcc", b"\0"])))
    return [(data, length)] * draw(strategies.sampled_from([1, 1, 2]))


@strategies.composite
def _any_frames(draw: DrawFn, prefix: bytes) -> _Frames:
    data = prefix + bytes((draw(strategies.integers(0, 255)),)) + _pdu(7)
    return [(data, draw(strategies.sampled_from([8, 8, 3, 1, 0])))]


@strategies.composite
def _traffic(draw: DrawFn, profile: Profile) -> list[Step]:
    """Give the frames of somebody who sends to one of the sockets."""
    identifier = draw(strategies.sampled_from([*profile.pair, profile.pair[0]]))
    prefix = profile.prefix
    if draw(strategies.integers(0, 19)) == 0:
        prefix = draw(strategies.sampled_from([b"", b"\x55"]))
    frames = draw(
        weighted(
            (1, _single_frames(prefix)),
            (2, _transfers(profile)),
            (1, _first_frames(prefix, profile.link_layer.tx_dl)),
            (1, _flow_controls(prefix)),
            (1, _any_frames(prefix)),
        )
    )
    steps: list[Step] = []
    for data, length in frames:
        sender = profile
        if draw(strategies.integers(0, 99)) == 0:
            other = LinkLayerOptions(16 if profile.link_layer.mtu == 72 else 72)
            sender = attrs.evolve(profile, link_layer=other)
        steps.append(Traffic(sender.frame(identifier, data, length), _flexible))
        if draw(strategies.integers(0, 59)) == 0:
            steps.append(Wait(1100))
    return steps


_who = strategies.sampled_from([0, 0, 1])
_sizes = strategies.sampled_from([1, 6, 7, 8, 9, 10, 20, 61, 62, 63, 64, 100, 300, 5, 11, 0, 8301])
_junk_options = strategies.one_of(
    strategies.builds(Set, _who, strategies.just(CAN_ISOTP_LL_OPTS), strategies.binary(max_size=4)),
    strategies.builds(
        Set,
        _who,
        strategies.just(CAN_ISOTP_LL_OPTS),
        strategies.tuples(
            strategies.sampled_from([16, 72, 8]),
            strategies.sampled_from([8, 9, 12, 64, 7]),
            strategies.sampled_from([0, 1]),
        ).map(bytes),
    ),
    strategies.builds(
        Set,
        _who,
        strategies.just(CAN_ISOTP_OPTS),
        strategies.builds(lambda flags: IsotpOptions(flags).pack(), _flags)
        | strategies.just(IsotpOptions(0x1800).pack())
        | strategies.just(bytes(11)),
    ),
    strategies.builds(
        Set, _who, strategies.sampled_from([2, 3, 4, 6, 0]), strategies.binary(max_size=5)
    ),
    strategies.builds(
        Set, _who, strategies.just(1), strategies.just(bytes(12)), strategies.sampled_from([101])
    ),
    strategies.builds(
        Get,
        _who,
        strategies.integers(0, 6),
        strategies.sampled_from([12, 4, 3, 2, 64]),
        strategies.sampled_from([SOL_CAN_ISOTP, SOL_CAN_ISOTP, 101]),
    ),
)


@strategies.composite
def programs(draw: DrawFn) -> list[Step]:
    """Give a program, which begins with both sockets bound, mostly."""
    profile = draw(_profiles)
    one, other = profile.pair
    program: list[Step] = []
    for who in range(SOCKETS):
        options = profile.options
        if who and not draw(strategies.integers(0, 3)):
            options = attrs.evolve(options, flags=draw(_flags))
        if options.flags & IsotpFlag.RX_EXT_ADDR and who:
            options = attrs.evolve(
                options,
                ext_address=options.rx_ext_address,
                rx_ext_address=options.ext_address,
            )
        program += [
            Set(who, CAN_ISOTP_OPTS, options.pack()),
            Set(who, CAN_ISOTP_RECV_FC, profile.flow_control.pack()),
            Set(who, CAN_ISOTP_LL_OPTS, profile.link_layer.pack()),
            Set(who, CAN_ISOTP_TX_STMIN, struct.pack("=I", profile.tx_stmin)),
            Set(who, CAN_ISOTP_RX_STMIN, struct.pack("=I", profile.rx_stmin)),
        ]
        if not draw(strategies.integers(0, 7)):
            program.append(draw(_junk_options))
        program.append(
            Bind(who, _flexible, *((other, one) if who else (one, other)))
            if draw(strategies.integers(0, 19))
            else draw(_binds(profile))
        )
    for _ in range(draw(strategies.integers(4, 14))):
        program += draw(_chunks(profile))
    return program


def _binds(profile: Profile) -> SearchStrategy[Bind]:
    identifiers = strategies.sampled_from([*profile.pair, *profile.pair, 0x800, 0xC000_0001, 0x7])
    return strategies.builds(
        Bind,
        _who,
        strategies.sampled_from([_flexible, _flexible, _classical, None, "nowhere"]),
        identifiers,
        identifiers,
        strategies.sampled_from([24, 24, 16, 15, 8]),
    )


def _chunks(profile: Profile) -> SearchStrategy[list[Step]]:
    """Give the strategy for some steps."""

    def alone(step: Step) -> list[Step]:
        return [step]

    rare = weighted(
        (2, strategies.builds(Link, strategies.just(_flexible), strategies.booleans())),
        (1, strategies.just(Replace(_flexible))),
        (2, _binds(profile)),
        (2, _junk_options),
        (2, strategies.builds(Room, _who, strategies.sampled_from([0, 2000, 20_000]))),
    )
    return weighted(
        (8, _traffic(profile)),
        (5, strategies.builds(Send, _who, _sizes).map(alone)),
        (1, strategies.builds(Wait, strategies.sampled_from([30, 30, 1100, 2100])).map(alone)),
        (2, strategies.builds(Receive, strategies.sampled_from([0, 1, None])).map(alone)),
        (2, strategies.builds(Poll, _who).map(alone)),
        (1, strategies.builds(Error, _who).map(alone)),
        (1, rare.map(alone)),
    )


class Run(TimedRun):
    """A program on a network."""

    def __init__(self, stage: Stage, waits: list[int]) -> None:
        super().__init__(stage, waits)
        self._buffer = MessageBuffer(64, _LARGEST)
        self._sockets = [
            open_descriptor(stage.network, socket.SOCK_DGRAM, CAN_ISOTP, "can-isotp")
            for _ in range(SOCKETS)
        ]
        self._raw = open_descriptor(stage.network, socket.SOCK_RAW, CAN_RAW, "can-raw")
        self._talker = open_descriptor(stage.network, socket.SOCK_RAW, CAN_RAW, "can-raw")

    def outcomes(self, program: list[Step]) -> list[Outcome]:
        """Run it, and give the outcome of each step, then what is left."""
        one = struct.pack("=I", 1)
        try:
            for descriptor in self._sockets:
                descriptor.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, one)
                descriptor.setsockopt(SOL_SOCKET, SO_RXQ_OVFL, one)
            for descriptor in (self._raw, self._talker):
                descriptor.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, one)
            self._raw.bind(self._address(None))
            self._begin()
            everything: list[Step] = [*program, *END]
            return [self._settled(step) for step in everything]
        finally:
            for descriptor in (*self._sockets, self._raw, self._talker):
                close(descriptor)

    def _settled(self, step: Step) -> Outcome:
        """Give the outcome of a step, and wait until what it began has come to a rest."""
        outcome = self._outcome(step)
        if not isinstance(step, Wait):
            self._settle()
        return outcome

    def _settle(self) -> None:
        self._wait(0)

    def _outcome(self, step: Step) -> Outcome:  # noqa: C901, PLR0911, PLR0912 - one case for each kind of step
        try:
            match step:
                case Set(who, option, value, level):
                    self._sockets[who].setsockopt(level, option, value)
                case Get(who, option, size, level):
                    return self._sockets[who].getsockopt(level, option, size)
                case Bind(who, interface, rx_id, tx_id, size):
                    address = pack_isotp_address(self._index(interface), rx_id, tx_id)
                    self._sockets[who].bind(address[:size])
                case Send(who, size):
                    return self._sockets[who].send([_pdu(size)])
                case Traffic(payload, interface):
                    return self._talker.send([payload], self._address(interface))
                case Wait(milliseconds):
                    self._wait(milliseconds)
                case Receive(None):
                    return self._frames()
                case Receive(who):
                    return self._receive(self._sockets[who or 0])
                case Poll(who):
                    return self._poll(self._sockets[who].fileno())
                case Error(who):
                    value = self._sockets[who].getsockopt(SOL_SOCKET, SO_ERROR, 4)
                    return errno.errorcode.get(struct.unpack("=i", value)[0])
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

    @staticmethod
    def _poll(fd: int) -> tuple[bool, bool]:
        # Not select(2), for which the kernel's socket is always writable (by EPOLLWRBAND).
        poll = select.poll()
        poll.register(fd, select.POLLIN | select.POLLOUT)
        events = sum(mask for _, mask in poll.poll(0))
        return (
            events & (select.POLLIN | select.POLLERR) != 0,
            events & (select.POLLOUT | select.POLLERR) != 0,
        )

    def _receive(self, descriptor: Descriptor) -> list[Outcome]:
        count = descriptor.receive(self._buffer)
        roles: defaultdict[int, str | None] = defaultdict(lambda: "gone")
        roles[0] = None
        for interface in INTERFACES:
            roles[self._index(interface)] = interface
        return [self._buffer.message(position, roles) for position in range(count)]

    def _frames(self) -> Outcome:
        """Give what was on the bus, by identifier: two that send at a time do so in any order."""
        by_identifier: dict[bytes, list[Outcome]] = {}
        try:
            while True:
                for message in self._receive(self._raw):
                    payload: bytes = message[0]  # type: ignore[index,assignment]  # as message() gives it
                    by_identifier.setdefault(payload[:4], []).append(message)
        except BlockingIOError:
            return sorted(by_identifier.items())


END: Final[tuple[Step, ...]] = (
    Wait(30),
    *(step for who in range(SOCKETS) for step in (Poll(who), Receive(who), Receive(who))),
    *(Error(who) for who in range(SOCKETS)),
    Receive(None),
)
"""What every program ends with: the last PDUs, behind a pending error."""


class StandingRun(Standing, Run):
    """A program on a user-space network whose time stands still; it finds out how long to wait."""

    def _settle(self) -> None:
        following = self._timers.deadline
        if following is not None and following < self._clock.now() + MARGIN:
            self._wait(0)
        else:
            self._waits.append(0)
