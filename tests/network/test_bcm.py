"""A broadcast manager socket on a network whose time stands still until it is moved."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from anycan.engine.bcm_reception import Reception
from anycan.network.core.bcm import BcmSocketCore
from anycan.wire.messages import MessageBuffer, pack_address
from clock import MILLISECOND, manual_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.network.conftest import Probe

    from anycan import UserNetwork
    from clock import ManualClock

TX_SETUP, TX_DELETE, TX_READ, TX_SEND, RX_SETUP, RX_DELETE, RX_READ = range(1, 8)
TX_STATUS, TX_EXPIRED, RX_STATUS, RX_TIMEOUT, RX_CHANGED = range(8, 13)
SET, START, EVENT, ANNOUNCE, EVERY, RTR, FD = 1, 2, 4, 8, 0x20, 0x400, 0x800
DONTROUTE, CONFIRM = 0x4, 0x800
STAMP: Final = 1_700_000_000_000_000_000
FLEXIBLE, CLASSICAL, LONG = 1, 2, 3  # the interfaces' indices
DOWN: Final = pack_address(FLEXIBLE)

News: TypeAlias = "tuple[bytes, int, int, int | None]"  # message, interface, flags, milliseconds


def can(data: bytes = b"", word: int = 0x123, length: int | None = None, pad: int = 0) -> bytes:
    return struct.pack("=IBBxx8s", word, len(data) if length is None else length, pad, data)


def canfd(data: bytes = b"", word: int = 0x123, flags: int = 0, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return struct.pack("=IBBxx64s", word, size, flags, data)


def message(
    opcode: int,
    *frames: bytes,
    flags: int = 0,
    count: int = 0,
    first: int = 0,
    second: int = 0,
    can_id: int = 0x123,
    claimed: int | None = None,
) -> bytes:
    """Give a ``struct bcm_msg_head`` and frames; the times are milliseconds."""
    times = 0, first * 1000, 0, second * 1000
    number = len(frames) if claimed is None else claimed
    head = struct.pack("@IIIllllII0q", opcode, flags, count, *times, can_id, number)
    return head + b"".join(frames)


A, B, C = can(b"\1"), can(b"\2"), can(b"\3")


def outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # which has another name on Linux, too
            return "EOPNOTSUPP"
        return errno.errorcode[error.errno or 0]
    return ""


class Manager:
    """A broadcast manager socket without a descriptor."""

    def __init__(self, network: UserNetwork, interface: int | None) -> None:
        self.changes = 0
        self.core = BcmSocketCore(network._stack, self._changed)
        if interface is not None:
            assert self.connect(pack_address(interface)) == ""

    def _changed(self) -> None:
        self.changes += 1

    def connect(self, address: bytes) -> str:
        return outcome(lambda: self.core.connect(address))

    def send(self, data: bytes, address: bytes | int | None = None) -> str:
        if isinstance(address, int):
            address = pack_address(address)
        return outcome(lambda: self.core.send(data, address, 0))

    def get(self, option: int, size: int = 64, level: int = 1) -> bytes:
        return self.core.getsockopt(level, option, size)

    def set(self, option: int, value: int, level: int = 1) -> str:
        return outcome(lambda: self.core.setsockopt(level, option, struct.pack("=i", value)))

    def meminfo(self) -> tuple[int, ...]:
        """Give what is used and the size, of the receive buffer and of the send buffer; drops."""
        numbers = struct.unpack("=9I", self.get(55))
        return (*numbers[:4], numbers[8])

    def error(self) -> str:
        """Receive an error, and nothing else."""
        buffer = MessageBuffer(1, 1000)
        return outcome(lambda: self.core.receive(buffer))

    def receive(self, room: int = 56 + 257 * 72) -> list[News]:
        """Receive all that waits."""
        buffer = MessageBuffer(16, room)
        news: list[News] = []
        while True:
            try:
                count = self.core.receive(buffer)
            except BlockingIOError:
                return news
            for data, index, flags, stamp_ns in buffer.received(count):
                stamp = None if stamp_ns is None else (stamp_ns - STAMP) // MILLISECOND
                news.append((data, index, flags, stamp))


@pytest.fixture
def stage() -> Iterator[tuple[UserNetwork, ManualClock]]:
    network, clock = manual_network()
    network._clock = clock.stamp_ns
    with network:
        network.add_vcan("flexible")
        network.add_vcan("classical", mtu=16)
        network.add_vcan("long", mtu=2060)
        yield network, clock


@pytest.fixture
def network(stage: tuple[UserNetwork, ManualClock]) -> UserNetwork:
    return stage[0]


@pytest.fixture
def wait(stage: tuple[UserNetwork, ManualClock]) -> Callable[[int], None]:
    """Let time pass, until so many milliseconds since the beginning."""
    network, clock = stage
    return lambda until: clock.advance_to(until * MILLISECOND, network._stack.timers)


Wait: TypeAlias = "Callable[[int], None]"
Open: TypeAlias = "Callable[..., Manager]"


@pytest.fixture
def manager(network: UserNetwork) -> Open:
    """Open sockets; None: leave one unconnected."""

    def open_one(interface: int | None = FLEXIBLE) -> Manager:
        return Manager(network, interface)

    return open_one


def seen(probe: Probe) -> list[bytes]:
    """Give the frames that a raw socket received since the last time."""
    frames: list[bytes] = []
    while isinstance(batch := probe.receive(), list):
        frames += [payload for payload, _, _ in batch]
    return frames


class TestConnect:
    @pytest.mark.parametrize(
        ("address", "error"),
        [
            (b"", "EINVAL"),
            (pack_address(1)[:7], "EINVAL"),
            (pack_address(1)[:8], ""),
            (pack_address(1), ""),
            (pack_address(1) + bytes(100), ""),
            (b"\x02\x00" + pack_address(1)[2:], ""),
            (b"\x00\x00" + pack_address(1)[2:], ""),
            (pack_address(0), ""),
            (pack_address(9999), "ENODEV"),
            (pack_address(0xFFFFFFFF), "ENODEV"),
        ],
    )
    def test_addresses(self, manager: Open, address: bytes, error: str) -> None:
        assert manager(None).connect(address) == error

    @pytest.mark.parametrize("first", [0, FLEXIBLE])
    @pytest.mark.parametrize("second", [0, FLEXIBLE, CLASSICAL])
    def test_once_only(self, manager: Open, first: int, second: int) -> None:
        one = manager(first)
        assert one.connect(pack_address(second)) == "EISCONN"
        assert one.send(message(TX_SETUP, A), FLEXIBLE) == ""

    def test_one_that_failed_does_not_count(self, manager: Open) -> None:
        one = manager(None)
        for address in (b"", pack_address(99)):
            assert one.connect(address) != ""
            assert one.send(message(TX_SETUP, A)) == "ENOTCONN"
        assert one.connect(pack_address(FLEXIBLE)) == ""
        assert one.send(message(TX_SETUP, A)) == ""

    def test_to_an_interface_that_is_down(self, network: UserNetwork, manager: Open) -> None:
        network.set_down("flexible")
        one = manager(FLEXIBLE)
        assert (one.core.readable, one.error()) == (False, "EAGAIN")

    def test_on_a_network_that_is_closed(self, network: UserNetwork, manager: Open) -> None:
        network.close()
        for index in (0, FLEXIBLE):
            assert manager(None).connect(pack_address(index)) == "ENODEV"

    @pytest.mark.parametrize("address", [b"", pack_address(0), pack_address(1), pack_address(99)])
    @pytest.mark.parametrize("connected", [None, 0, FLEXIBLE])
    def test_it_is_not_bound(self, manager: Open, address: bytes, connected: int | None) -> None:
        one = manager(connected)
        assert outcome(lambda: one.core.bind(address)) == "EOPNOTSUPP"


class TestOptions:
    @pytest.mark.parametrize("level", [0, 100, 101, 102, 106])
    @pytest.mark.parametrize("option", [1, 4, 8, 55])
    def test_of_another_level(self, manager: Open, level: int, option: int) -> None:
        one = manager()
        assert one.set(option, 1, level) == "EOPNOTSUPP"
        assert outcome(lambda: one.get(option, 4, level)) == "EOPNOTSUPP"

    def test_of_sockets(self, manager: Open) -> None:
        one = manager(None)
        kind, protocol, domain = (struct.unpack("=i", one.get(option)) for option in (3, 38, 39))
        assert (kind, protocol, domain) == ((2,), (0,), (29,))  # SOCK_DGRAM, 0, AF_CAN
        assert one.set(8, 5000) == ""
        assert one.get(8) == struct.pack("=i", 10_000)
        assert one.set(999, 1) == "ENOPROTOOPT"
        assert outcome(lambda: one.get(999)) == "ENOPROTOOPT"
        assert one.meminfo() == (0, 10_000, 0, 212_992, 0)


class TestRefused:
    @pytest.mark.parametrize(
        "data", [b"", b"x", message(TX_SETUP, A), message(RX_SETUP), message(99), bytes(1000)]
    )
    def test_before_it_is_connected(self, manager: Open, data: bytes) -> None:
        one = manager(None)
        for address in (None, 0, FLEXIBLE, 99, b""):
            assert one.send(data, address) == "ENOTCONN"

    @pytest.mark.parametrize("interface", [0, FLEXIBLE])
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            message(TX_SETUP)[:-1],
            message(TX_SETUP, A)[:-1],
            message(TX_SETUP, A, flags=FD),
            message(TX_SETUP, canfd(), flags=FD)[:-1],
            message(0, A),
            message(TX_STATUS, A),
            message(RX_CHANGED, A),
            message(13, A),
        ],
    )
    def test_what_is_no_message(self, manager: Open, interface: int, data: bytes) -> None:
        assert manager(interface).send(data, FLEXIBLE) == "EINVAL"

    @pytest.mark.parametrize(
        ("address", "transmission", "reception"),
        [
            (None, "ENODEV", ""),
            (b"", "EINVAL", "EINVAL"),
            (DOWN[:7], "EINVAL", "EINVAL"),
            (DOWN[:8], "", ""),
            (b"\x02\x00" + DOWN[2:], "EINVAL", "EINVAL"),
            (b"\x00\x00" + DOWN[2:], "EINVAL", "EINVAL"),
            (FLEXIBLE, "", ""),
            (0, "ENODEV", ""),
            (99, "ENODEV", "ENODEV"),
        ],
    )
    def test_an_address_counts_on_a_socket_for_all(
        self, manager: Open, address: bytes | int | None, transmission: str, reception: str
    ) -> None:
        one = manager(0)
        assert one.send(message(TX_SETUP, A), address) == transmission
        assert one.send(message(TX_SEND, A), address) == transmission
        assert one.send(message(RX_SETUP, A), address) == reception

    @pytest.mark.parametrize("address", [b"", DOWN[:7], b"\x02\x00" + DOWN[2:], CLASSICAL, 0, 99])
    def test_and_on_no_other(
        self, manager: Open, probe: Callable[..., Probe], address: bytes | int
    ) -> None:
        one, listener = manager(FLEXIBLE), probe("flexible")
        assert one.send(message(TX_SEND, A), address) == ""
        assert one.send(message(RX_SETUP), address) == ""
        assert one.send(message(RX_READ), address) == ""
        assert [news[:2] for news in one.receive()] == [(message(RX_STATUS, flags=EVERY), FLEXIBLE)]
        assert seen(listener) == [A]

    @pytest.mark.parametrize("data", [b"", message(TX_SEND)[:-1], message(TX_SEND, A)[:-1]])
    def test_what_is_no_message_comes_before_the_address(self, manager: Open, data: bytes) -> None:
        assert manager(0).send(data, 99) == "EINVAL"

    def test_of_one_that_is_gone(self, network: UserNetwork, manager: Open) -> None:
        one = manager(0)
        network.remove("flexible")
        for opcode in (TX_SETUP, TX_SEND, RX_SETUP, RX_READ, RX_DELETE):
            assert one.send(message(opcode, A), FLEXIBLE) == "ENODEV"


class TestSendOnce:
    @pytest.mark.parametrize(
        ("frame", "interface", "error"),
        [
            (can(bytes(8)), CLASSICAL, ""),
            (can(length=9), FLEXIBLE, "EINVAL"),
            (can(length=255), FLEXIBLE, "EINVAL"),
            (can(b"", 0xC0000001, length=8), FLEXIBLE, ""),
            (canfd(bytes(64)), FLEXIBLE, ""),
            (canfd(bytes(64)), LONG, ""),
            (canfd(length=65), FLEXIBLE, "EINVAL"),
            (canfd(length=255), CLASSICAL, "EINVAL"),
            (canfd(), CLASSICAL, "EMSGSIZE"),
        ],
    )
    def test_a_frame(
        self,
        manager: Open,
        probe: Callable[..., Probe],
        frame: bytes,
        interface: int,
        error: str,
    ) -> None:
        one, listener = manager(interface), probe("", fd=1)
        flags = FD if len(frame) == 72 else 0
        assert one.send(message(TX_SEND, frame, flags=flags)) == error
        if flags:
            frame = frame[:5] + b"\x04" + frame[6:]  # every CAN FD frame has its mark
        assert seen(listener) == ([] if error else [frame])

    @pytest.mark.parametrize("count", [0, 2, 3])
    def test_it_is_one(self, manager: Open, probe: Callable[..., Probe], count: int) -> None:
        one, listener = manager(), probe()
        assert one.send(message(TX_SEND, *[A] * count)) == "EINVAL"
        assert one.send(message(TX_SEND, A, claimed=count)) == "EINVAL"
        assert one.send(message(TX_SEND, *[A] * count, claimed=1)) == "EINVAL"
        assert seen(listener) == []

    def test_padding_passes_unchanged(self, manager: Open, probe: Callable[..., Probe]) -> None:
        one, listener = manager(), probe("", fd=1)
        frame = struct.pack("=IB11s", 0x123, 2, b"\xff\xfe\xfdabcdefgh")
        flexible = struct.pack("=IB67s", 0x123, 2, b"\xfb\xfe\xfd" + bytes(range(64)))
        assert one.send(message(TX_SEND, frame)) == ""
        assert one.send(message(TX_SEND, flexible, flags=FD)) == ""
        assert seen(listener) == [frame, flexible[:5] + b"\xff" + flexible[6:]]

    def test_whose_frames_they_are(self, manager: Open, probe: Callable[..., Probe]) -> None:
        one, listener = manager(), probe()
        one.send(message(TX_SEND, A))
        assert listener.receive() == [(A, DONTROUTE, "flexible")]

    def test_while_the_link_is_down(self, network: UserNetwork, manager: Open) -> None:
        one = manager()
        network.set_down("flexible")
        for _ in range(2):
            assert one.send(message(TX_SEND, A)) == "ENETDOWN"
        # The pending error is another one, and waits.
        assert one.core.readable
        assert [one.error(), one.error()] == ["ENETDOWN", "EAGAIN"]
        assert one.send(message(TX_SEND, A)) == "ENETDOWN"
        network.set_up("flexible")
        assert one.send(message(TX_SEND, A)) == ""

    def test_a_frame_that_is_none_comes_first(self, network: UserNetwork, manager: Open) -> None:
        one = manager()
        network.set_down("flexible")
        assert one.send(message(TX_SEND, can(length=9))) == "EINVAL"

    def test_into_a_queue_that_is_full(self, network: UserNetwork, manager: Open) -> None:
        network.add_vcan("slow", transmit_queue=1)
        one = manager(4)
        assert [one.send(message(TX_SEND, A)) for _ in range(2)] == ["", "ENOBUFS"]
        # What the queue holds is charged to nobody.
        assert one.meminfo()[2] == 0
        assert network.release("slow") == 1
        assert (one.meminfo()[2], one.core.writable) == (0, True)
        assert one.send(message(TX_SEND, A)) == ""


class TestTransmissions:
    def test_it_goes_on_by_itself(
        self, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, listener = manager(), probe()
        assert one.send(message(TX_SETUP, A, B, flags=SET | START, second=10)) == ""
        assert seen(listener) == [A]
        wait(25)
        assert seen(listener) == [B, A]
        assert one.send(message(TX_SETUP, C, B)) == ""
        wait(35)
        assert seen(listener) == [B]
        assert one.send(message(TX_DELETE)) == ""
        assert one.send(message(TX_DELETE)) == "EINVAL"
        wait(100)
        assert seen(listener) == []

    def test_what_is_told_comes_from_no_interface(self, manager: Open, wait: Wait) -> None:
        one = manager()
        one.send(message(TX_SETUP, A, flags=SET | START | EVENT, count=2, first=10))
        one.send(message(TX_READ))
        wait(25)
        status = message(TX_STATUS, A, flags=0xF, count=1, first=10)
        expired = message(TX_EXPIRED, flags=0xF, first=10)
        assert one.receive() == [(status, 0, 0, 0), (expired, 0, 0, 10)]

    def test_the_end_is_told_before_its_own_frame_comes_back(
        self, manager: Open, wait: Wait
    ) -> None:
        one = manager()
        one.send(message(RX_SETUP, flags=EVERY))
        one.send(message(TX_SETUP, A, flags=SET | START | EVENT, count=2, first=10))
        wait(25)
        expired = message(TX_EXPIRED, flags=0xF, first=10)
        news = one.receive()
        opcodes = [struct.unpack_from("=I", one_of_them)[0] for one_of_them, *_ in news]
        # The first frame goes with the start, the last one when its time has come.
        assert opcodes == [RX_CHANGED, TX_EXPIRED, RX_CHANGED]
        assert (news[1], news[2][3]) == ((expired, 0, 0, 10), 10)

    def test_a_status_has_the_flags_of_its_frame(self, manager: Open) -> None:
        one = manager()
        one.send(message(TX_SETUP, can(b"\1", pad=0xFF)))
        one.send(message(TX_READ))
        assert one.receive() == [
            (message(TX_STATUS, can(b"\1", pad=0x0F)), 0, DONTROUTE | CONFIRM, 0)
        ]

    def test_a_socket_for_all_sends_where_it_is_told_to(
        self, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one = manager(0)
        one.send(message(TX_SETUP, A, flags=SET | START, second=10), FLEXIBLE)
        one.send(message(TX_SETUP, B, flags=SET | START, second=10), LONG)
        listeners = [probe(name) for name in ("flexible", "classical", "long")]
        wait(10)
        assert [seen(listener) for listener in listeners] == [[A], [], [B]]

    def test_frames_that_are_refused_are_counted_as_if_sent(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, listener = manager(), probe("")
        one.send(message(TX_SETUP, A, B, C, flags=SET | START | EVENT, count=4, first=10))
        network.set_down("flexible")
        assert one.error() == "ENETDOWN"
        wait(15)
        network.set_up("flexible")
        wait(100)
        assert seen(listener) == [A, C, A]
        assert one.receive() == [(message(TX_EXPIRED, flags=0xF, first=10), 0, 0, 30)]

    def test_set_up_while_the_link_is_down(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        network.set_down("flexible")
        one, listener = manager(), probe("")
        assert one.send(message(TX_SETUP, A, B, flags=SET | START, second=10)) == ""
        wait(5)
        network.set_up("flexible")
        wait(25)
        assert seen(listener) == [B, A]
        assert one.error() == "EAGAIN"

    def test_of_can_fd_where_there_is_none(
        self, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, listener = manager(CLASSICAL), probe("", fd=1)
        setup = message(TX_SETUP, canfd(), flags=SET | START | EVENT | FD, count=2, first=10)
        assert one.send(setup) == ""
        wait(100)
        assert seen(listener) == []
        expired = message(TX_EXPIRED, flags=0x80F, first=10)
        assert one.receive() == [(expired, 0, 0, 10)]

    def test_of_can_fd(self, manager: Open, probe: Callable[..., Probe]) -> None:
        one, listener = manager(), probe("", fd=1)
        one.send(message(TX_SETUP, canfd(bytes(64), flags=1), flags=START | FD))
        assert seen(listener) == [canfd(bytes(64), flags=5)]

    def test_contents_that_change_without_end_are_not_kept(
        self, manager: Open, probe: Callable[..., Probe]
    ) -> None:
        one, listener = manager(), probe()
        for number in range(5000):
            frame = can(number.to_bytes(2, "little"))
            assert one.send(message(TX_SETUP, frame, flags=START)) == ""
            if number % 100 == 0:
                assert seen(listener)[-1] == frame
        assert len(one.core._prepared) <= 4096

    def test_several_sockets_have_one_of_the_same_name(
        self, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, other, listener = manager(), manager(), probe()
        one.send(message(TX_SETUP, A, flags=SET | START, second=10))
        other.send(message(TX_SETUP, B, flags=SET | START, second=10))
        assert other.send(message(TX_DELETE)) == ""
        wait(10)
        assert seen(listener) == [A, B, A]


class TestReceptions:
    def test_whose_frame_it_was(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, other, sender = manager(), manager(0), probe()
        one.send(message(RX_SETUP))
        other.send(message(RX_SETUP), FLEXIBLE)
        wait(1)
        one.send(message(TX_SEND, A))
        wait(2)
        sender.send(B)
        wait(3)
        network._stack.by_name["flexible"].receive(C, STAMP + 3 * MILLISECOND)
        changed = [message(RX_CHANGED, frame, flags=EVERY) for frame in (A, B, C)]
        assert one.receive() == [
            (changed[0], FLEXIBLE, DONTROUTE | CONFIRM, 1),
            (changed[1], FLEXIBLE, DONTROUTE, 2),
            (changed[2], FLEXIBLE, 0, 3),
        ]
        assert [flags for _, _, flags, _ in other.receive()] == [DONTROUTE, DONTROUTE, 0]

    def test_padding_looks_like_an_own_frame(self, network: UserNetwork, manager: Open) -> None:
        one = manager()
        one.send(message(RX_SETUP))
        network._stack.by_name["flexible"].receive(can(b"\1", pad=0xFF), STAMP)
        changed = message(RX_CHANGED, can(b"\1", pad=0x0F), flags=EVERY)
        assert one.receive() == [(changed, FLEXIBLE, DONTROUTE | CONFIRM, 0)]

    @pytest.mark.parametrize("can_id", [0x123, 0x80000123, 0x40000123, 0xC0000123])
    def test_the_identifier_is_exact_with_its_flags(
        self, manager: Open, probe: Callable[..., Probe], can_id: int
    ) -> None:
        one, sender = manager(), probe()
        one.send(message(RX_SETUP, can_id=can_id))
        for word in (0x123, 0x80000123, 0x40000123, 0xC0000123, 0x923, 0x122, 0x90000123):
            sender.send(can(b"\1", word))
        changed = message(RX_CHANGED, can(b"\1", can_id), flags=EVERY, can_id=can_id)
        assert [news for news, *_ in one.receive()] == [changed]

    @pytest.mark.parametrize("can_id", [0x20000001, 0xFFFFFFFF, 0xA0000001])
    def test_an_identifier_with_the_error_flag_hears_nothing(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], can_id: int
    ) -> None:
        one, sender = manager(), probe()
        assert one.send(message(RX_SETUP, can_id=can_id)) == ""
        for word in (1, 0x123, can_id, 0x20000001):
            sender.send(can(bytes(8), word))
            network._stack.by_name["flexible"].receive(can(bytes(8), word), STAMP)
        assert one.receive() == []
        assert one.send(message(RX_DELETE, can_id=can_id)) == ""

    def test_classical_can_and_can_fd_are_two(
        self, manager: Open, probe: Callable[..., Probe]
    ) -> None:
        one, sender = manager(), probe(fd=1)
        one.send(message(RX_SETUP))
        one.send(message(RX_SETUP, flags=FD))
        sender.send(A)
        sender.send(canfd(b"\1", flags=1))
        assert [news for news, *_ in one.receive()] == [
            message(RX_CHANGED, A, flags=EVERY),
            message(RX_CHANGED, canfd(b"\1", flags=5), flags=EVERY | FD),
        ]
        one.send(message(RX_DELETE))
        sender.send(A)
        sender.send(canfd(b"\1", flags=1))
        assert len(one.receive()) == 1

    def test_a_socket_for_all_hears_all_or_one(
        self, manager: Open, probe: Callable[..., Probe]
    ) -> None:
        every, single, sender = manager(0), manager(0), probe("")
        every.send(message(RX_SETUP))
        single.send(message(RX_SETUP), CLASSICAL)
        for name in ("flexible", "classical", "long"):
            sender.send(A, name)
        assert [index for _, index, *_ in every.receive()] == [FLEXIBLE, CLASSICAL, LONG]
        assert [index for _, index, *_ in single.receive()] == [CLASSICAL]

    def test_with_times_it_sticks_to_the_first_that_is_heard(
        self, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, sender = manager(0), probe("")
        one.send(message(RX_SETUP, flags=SET | START, first=10))
        wait(10)
        for name in ("classical", "flexible", "classical"):
            sender.send(A, name)
        wait(50)
        told = [
            (struct.unpack_from("=I", news)[0], index, stamp)
            for news, index, _, stamp in one.receive()
        ]
        assert told == [
            (RX_TIMEOUT, 0, 10),
            (RX_CHANGED, CLASSICAL, 10),
            (RX_CHANGED, CLASSICAL, 10),
            (RX_TIMEOUT, CLASSICAL, 20),
        ]

    def test_a_throttled_frame_has_the_stamp_of_the_one_heard_last(
        self, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, sender = manager(), probe()
        one.send(message(RX_SETUP, can(b"\xff"), flags=SET, second=10))
        for now, frame in ((1, A), (2, B), (5, B)):
            wait(now)
            sender.send(frame)
        wait(100)
        changed = [message(RX_CHANGED, frame, flags=SET, second=10) for frame in (A, B)]
        assert [(news, stamp) for news, _, _, stamp in one.receive()] == [
            (changed[0], 1),
            (changed[1], 5),
        ]

    def test_a_status_is_stamped_when_it_is_asked_for(self, manager: Open, wait: Wait) -> None:
        one = manager()
        one.send(message(RX_SETUP, can(b"\xff")))
        wait(7)
        one.send(message(RX_READ))
        assert one.receive() == [(message(RX_STATUS, can(b"\xff")), FLEXIBLE, 0, 7)]

    def test_deleted_it_is_on_no_list(self, network: UserNetwork, manager: Open) -> None:
        one, every = manager(), manager(0)
        for number in range(3):
            one.send(message(RX_SETUP, can_id=number))
            every.send(message(RX_SETUP, can_id=number))
        lists = network._stack.by_name["flexible"].lists, network._stack.any_lists
        assert [*map(len, lists)] == [3, 3]
        for number in range(3):
            assert one.send(message(RX_DELETE, can_id=number)) == ""
            assert every.send(message(RX_DELETE, can_id=number)) == ""
        assert [*map(len, lists)] == [0, 0]

    def test_on_an_interface_that_is_not_there(self, network: UserNetwork, manager: Open) -> None:
        core = manager(0).core
        reception = Reception(core, network._stack.timers, 0x123, 99, flexible=False)
        core.listen(reception)
        core.unlisten(reception)
        core.transmit(A, 99)
        assert outcome(lambda: core.send_once(A, 99)) == "ENODEV"

    def test_requests_on_all_interfaces_are_not_answered(
        self, manager: Open, probe: Callable[..., Probe]
    ) -> None:
        every, one, sender = manager(0), manager(0), probe("", own=1)
        every.send(message(RX_SETUP, A, flags=RTR, can_id=0x40000123))
        sender.send(can(b"", 0x40000123), "flexible")
        assert seen(sender) == [can(b"", 0x40000123)]
        one.send(message(RX_SETUP, A, flags=RTR, can_id=0x40000123), FLEXIBLE)
        sender.send(can(b"", 0x40000123), "flexible")
        sender.send(can(b"", 0x40000123), "classical")
        assert seen(sender) == [can(b"", 0x40000123), A, can(b"", 0x40000123)]


class TestReceiving:
    def test_messages_are_cut_without_a_word(self, manager: Open) -> None:
        one = manager()
        one.send(message(TX_SETUP, A, B))
        for room in (56, 60, 72, 87, 88, 100):
            one.send(message(TX_READ))
            ((data, _, flags, _),) = one.receive(room)
            assert data == message(TX_STATUS, A, B)[:room]
            assert flags == 0

    @pytest.mark.parametrize(
        ("frames", "flags", "charge"),
        [
            (1, 0, 960),
            (20, 0, 960),  # 376 bytes
            (21, 0, 1280),  # 392
            (40, 0, 1280),
            (41, 0, 2304),  # 712
            (104, 0, 2304),
            (105, 0, 4352),  # 1736
            (232, 0, 4352),
            (233, 0, 8448),  # 3784
            (256, 0, 8448),  # 4152
            (108, FD, 8448),
            (109, FD, 16_640),  # 7904
            (222, FD, 16_640),
            (223, FD, 33_024),  # 16112
            (256, FD, 33_024),  # 18488
        ],
    )
    def test_what_a_message_takes_of_the_buffer(
        self, manager: Open, frames: int, flags: int, charge: int
    ) -> None:
        one = manager()
        one.send(message(TX_SETUP, *[canfd() if flags else A] * frames, flags=flags))
        for number in range(1, 4):
            one.send(message(TX_READ, flags=flags))
            assert one.meminfo()[0] == number * charge
        one.receive()
        assert one.meminfo()[0] == 0

    def test_a_full_buffer_drops_the_newest_and_counts(self, manager: Open) -> None:
        one = manager()
        one.set(8, 1000)  # the least, 2304 bytes: three messages
        one.send(message(RX_SETUP))
        frames = [can(bytes([number])) for number in range(7)]
        for frame in frames[:5]:
            one.send(message(TX_SEND, frame))
        assert one.meminfo() == (2880, 2304, 0, 212_992, 2)
        assert [news for news, *_ in one.receive()] == [
            message(RX_CHANGED, frame, flags=EVERY) for frame in frames[:3]
        ]
        one.set(40, 1)  # SO_RXQ_OVFL
        one.send(message(TX_SEND, frames[5]))
        buffer = MessageBuffer(4, 100)
        one.core.receive(buffer)
        assert len([*buffer.received(1)]) == 1
        assert buffer.drops == 2
        assert one.meminfo() == (0, 2304, 0, 212_992, 2)

    def test_a_large_message_is_taken_while_there_is_any_room(self, manager: Open) -> None:
        one = manager()
        one.set(8, 1000)
        one.send(message(TX_SETUP, *[canfd()] * 256, flags=FD))
        for _ in range(2):
            one.send(message(TX_READ, flags=FD))
        assert one.meminfo()[0] == 33_024
        assert one.meminfo()[4] == 1

    def test_it_polls_readable_while_something_waits(
        self, network: UserNetwork, manager: Open
    ) -> None:
        one = manager()
        one.send(message(TX_SETUP, A))
        assert (one.core.readable, one.core.writable, one.changes) == (False, True, 0)
        one.send(message(TX_READ))
        one.send(message(TX_READ))
        assert (one.core.readable, one.changes) == (True, 1)
        one.receive()
        assert (one.core.readable, one.changes) == (False, 2)
        network.set_down("flexible")
        assert (one.core.readable, one.core.writable, one.changes) == (True, True, 3)

    def test_the_pending_error_comes_before_what_waits(
        self, network: UserNetwork, manager: Open
    ) -> None:
        one = manager()
        one.send(message(TX_SETUP, A))
        one.send(message(TX_READ))
        network.set_down("flexible")
        assert one.error() == "ENETDOWN"
        assert [news for news, *_ in one.receive()] == [message(TX_STATUS, A)]

    def test_so_error_gives_it_and_clears_it(self, network: UserNetwork, manager: Open) -> None:
        one = manager()
        network.set_down("flexible")
        assert [one.get(4), one.get(4)] == [struct.pack("=i", 100), bytes(4)]
        assert one.error() == "EAGAIN"


class TestLinks:
    def test_down_is_told_once_and_operations_go_on(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, sender = manager(), probe("")
        one.send(message(TX_SETUP, A, flags=SET | START, second=10))
        one.send(message(RX_SETUP, can_id=7))
        seen(sender)
        network.set_down("flexible")
        network.set_down("flexible")
        assert [one.error(), one.error()] == ["ENETDOWN", "EAGAIN"]
        wait(15)
        network.set_up("flexible")
        assert one.error() == "EAGAIN"
        wait(25)
        assert seen(sender) == [A]
        sender.send(can(b"\1", 7), "flexible")
        assert len(one.receive()) == 1
        network.set_down("flexible")
        assert one.error() == "ENETDOWN"

    def test_a_timeout_is_told_while_the_link_is_down(
        self, network: UserNetwork, manager: Open, wait: Wait
    ) -> None:
        one = manager()
        one.send(message(RX_SETUP, flags=SET | START, first=10))
        network.set_down("flexible")
        assert one.error() == "ENETDOWN"
        wait(100)
        timed_out = message(RX_TIMEOUT, flags=SET | START | EVERY, first=10)
        assert one.receive() == [(timed_out, FLEXIBLE, 0, 10)]

    def test_removal_is_told_once_and_then_it_is_not_connected(
        self, network: UserNetwork, manager: Open
    ) -> None:
        one = manager()
        one.send(message(TX_SETUP, A))
        network.remove("flexible")
        for data in (message(TX_READ), message(TX_SEND, A), message(RX_SETUP), b""):
            assert one.send(data) == "ENOTCONN"
            assert one.send(data, CLASSICAL) == "ENOTCONN"
        assert [one.error(), one.error()] == ["ENODEV", "EAGAIN"]
        assert one.send(message(TX_READ)) == "ENOTCONN"

    def test_it_can_be_connected_again(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one = manager()
        one.send(message(TX_SETUP, A, flags=SET | START, second=10))
        network.remove("flexible")
        assert one.connect(pack_address(FLEXIBLE)) == "ENODEV"
        index = network.add_vcan("flexible")
        assert one.connect(pack_address(index)) == ""
        assert one.connect(pack_address(index)) == "EISCONN"
        listener = probe("")
        wait(100)
        assert seen(listener) == []
        assert one.error() == "ENODEV"
        assert one.send(message(TX_READ)) == "EINVAL"  # that is of another interface
        assert one.send(message(TX_SETUP, B, flags=START)) == ""
        assert seen(listener) == [B]
        network.set_down("flexible")
        assert one.error() == "ENETDOWN"

    def test_of_a_socket_for_all_what_was_there_ends_and_the_rest_goes_on(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one = manager(0)
        for index in (FLEXIBLE, LONG):
            one.send(message(TX_SETUP, A, flags=SET | START, second=10), index)
            one.send(message(RX_SETUP, flags=SET | START, first=15, can_id=7), index)
        one.send(message(RX_SETUP, can_id=7), 0)
        network.set_down("flexible")
        network.remove("flexible")
        again = network.add_vcan("flexible")
        assert (one.error(), one.core.readable) == ("EAGAIN", False)
        assert [reception.interface for reception in one.core._listeners] == [LONG, 0]
        sender = probe("")
        wait(10)
        assert sender.receive() == [(A, DONTROUTE, "long")]
        wait(11)
        for name in ("flexible", "long"):
            sender.send(can(b"\1", 7), name)
        wait(28)
        told = [
            (struct.unpack_from("=I", news)[0], index, stamp)
            for news, index, _, stamp in one.receive()
        ]
        assert told == [
            (RX_CHANGED, again, 11),  # by the one for all
            (RX_CHANGED, LONG, 11),
            (RX_CHANGED, LONG, 11),
            (RX_TIMEOUT, FLEXIBLE, 15),
            (RX_TIMEOUT, LONG, 26),
        ]
        assert one.send(message(TX_SEND, A), again) == ""

    @pytest.mark.parametrize("connected", [0, FLEXIBLE])
    def test_a_count_that_was_running_there_has_no_end(
        self, network: UserNetwork, manager: Open, wait: Wait, connected: int
    ) -> None:
        one = manager(connected)
        setup = message(TX_SETUP, A, flags=SET | START | EVENT, count=3, first=10)
        assert one.send(setup, FLEXIBLE) == ""
        network.remove("flexible")
        assert one.error() == ("ENODEV" if connected else "EAGAIN")
        assert network._stack.timers.deadline is None
        wait(100)
        assert one.receive() == []

    def test_of_a_socket_for_one_what_goes_on_elsewhere_goes_on(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, other, listener = manager(FLEXIBLE), manager(LONG), probe("")
        for socket in (one, other):
            socket.send(message(TX_SETUP, A, flags=SET | START, second=10))
        seen(listener)
        network.remove("flexible")
        assert (one.error(), other.error()) == ("ENODEV", "EAGAIN")
        wait(10)
        assert listener.receive() == [(A, DONTROUTE, "long")]

    def test_the_network_is_closed(self, network: UserNetwork, manager: Open) -> None:
        one, every, idle = manager(), manager(0), manager(None)
        network.close()
        for socket in (one, every):
            assert [socket.error(), socket.error()] == ["ENODEV", "EAGAIN"]
            assert socket.send(message(TX_READ)) == "ENOTCONN"
        assert idle.error() == "EAGAIN"


class TestClose:
    def test_everything_ends(
        self, network: UserNetwork, manager: Open, probe: Callable[..., Probe], wait: Wait
    ) -> None:
        one, listener = manager(0), probe("")
        one.send(message(TX_SETUP, A, flags=SET | START, second=10), FLEXIBLE)
        one.send(message(RX_SETUP, flags=SET | START, first=10), FLEXIBLE)
        one.send(message(RX_SETUP, flags=SET | START, first=10))
        one.send(message(TX_READ), FLEXIBLE)
        seen(listener)
        listener.core.close()
        changes = one.changes
        one.core.close()
        stack = network._stack
        assert stack.timers.deadline is None
        assert (len(stack.any_lists), len(stack.by_name["flexible"].lists)) == (0, 0)
        assert (stack.any_bound, stack.watchers) == ({}, {})
        wait(100)
        network.remove("flexible")
        network.close()
        assert one.changes == changes
        assert one.core.readable is False

    @pytest.mark.parametrize("interface", [None, 0, FLEXIBLE])
    def test_a_second_time_and_before_it_is_connected(
        self, network: UserNetwork, manager: Open, interface: int | None
    ) -> None:
        one = manager(interface)
        one.core.close()
        one.core.close()
        assert network._stack.by_name["flexible"].bound == {}
        assert (network._stack.any_bound, network._stack.watchers) == ({}, {})

    def test_after_its_interface_was_removed(self, network: UserNetwork, manager: Open) -> None:
        one = manager()
        one.send(message(RX_SETUP, flags=SET | START, first=10))
        network.remove("flexible")
        one.core.close()
        assert network._stack.timers.deadline is None
