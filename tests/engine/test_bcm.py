"""The broadcast manager: messages as bytes, what it refuses, what operations are called."""

from __future__ import annotations

import errno
import random
import struct
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies

from anycan.wire.bcm import NATIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.conftest import Bench

TX_SETUP, TX_DELETE, TX_READ, TX_SEND, RX_SETUP, RX_DELETE, RX_READ = range(1, 8)
TX_STATUS, RX_STATUS = 8, 10
SET, START, ANNOUNCE, EVERY, FD = 1, 2, 8, 0x20, 0x800
DAYS_400 = 400 * 86_400
HEAD = struct.calcsize("@IIIllllII0q")


def can(data: bytes = b"", length: int | None = None, word: int = 0x123) -> bytes:
    return struct.pack("=IB3x8s", word, len(data) if length is None else length, data)


def canfd(data: bytes = b"", length: int | None = None, word: int = 0x123) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data) if length is None else length, 0, data)


A, B = can(b"\1"), can(b"\2")


class TestBytes:
    """Literal bytes both ways, on the most common kind of machine."""

    pytestmark = pytest.mark.skipif(
        sys.byteorder == "big" or HEAD != 56, reason="the bytes are a 64-bit little-endian host's"
    )

    def test_of_a_transmission(self, bench: Bench) -> None:
        setup = bytes.fromhex(
            "01000000 07000000 02000000 00000000"  # TX_SETUP, SETTIMER|STARTTIMER|TX_COUNTEVT, 2
            " 0000000000000000 1027000000000000"  # 10 ms
            " 0100000000000000 0000000000000000"  # 1 s
            " 23010000 01000000"
            " 23010000 02000000 1122000000000000"
        )
        assert bench.try_bytes(setup, 3) == ""
        frame = bytes.fromhex("23010000 02000000 1122000000000000")
        assert bench.sent == [(0, frame, 3)]
        assert bench.try_bytes(bytes.fromhex("03000000" + 44 * "00" + "23010000 00000000"), 3) == ""
        status = bytes.fromhex(
            "08000000 0f000000 01000000 00000000"  # TX_STATUS; TX_ANNOUNCE beside them; 1 left
            " 0000000000000000 1027000000000000"
            " 0100000000000000 0000000000000000"
            " 23010000 01000000"
            " 23010000 02000000 1122000000000000"
        )
        assert bench.take() == [(0, status, 0, 0)]
        bench.wait(10)
        expired = bytes.fromhex(
            "09000000 0f000000 00000000 00000000"  # TX_EXPIRED
            " 0000000000000000 1027000000000000"
            " 0100000000000000 0000000000000000"
            " 23010000 00000000"
        )
        assert bench.take() == [(10, expired, 0, 0)]

    def test_of_a_reception(self, bench: Bench) -> None:
        setup = bytes.fromhex(
            "05000000 03000000 00000000 00000000"  # RX_SETUP, SETTIMER|STARTTIMER
            " 0000000000000000 b80b000000000000"  # 3 ms
            " 0000000000000000 0000000000000000"
            " 23010080 01000000"
            " 00000000 08000000 ffff000000000000"
        )
        assert bench.try_bytes(setup, 3) == ""
        frame = bytes.fromhex("23010080 02000000 1122000000000000")
        bench.hear(frame, interface=3, local=True)
        head = (
            " 03000000 00000000 00000000"
            " 0000000000000000 b80b000000000000"
            " 0000000000000000 0000000000000000"
            " 23010080"
        )
        changed = bytes.fromhex("0c000000" + head + "01000000") + frame
        assert bench.take() == [(0, changed, 3, 4)]
        bench.wait(10)
        timed_out = bytes.fromhex("0b000000" + head + "00000000")
        assert bench.take() == [(3, timed_out, 3, 0)]
        assert bench.try_bytes(bytes.fromhex("07000000" + 44 * "00" + "23010080 00000000"), 3) == ""
        status = bytes.fromhex(
            "0a000000" + head + "01000000 00000000 08000000 ffff000000000000"  # RX_STATUS
        )
        assert bench.take() == [(10, status, 3, 0)]

    def test_of_one_frame(self, bench: Bench) -> None:
        send = bytes.fromhex("04000000 00080000" + 44 * "00" + "01000000")
        frame = bytes.fromhex("01000000 02010000 1122" + 62 * "00")
        assert bench.try_bytes(send + frame, 3) == ""
        assert bench.sent == [(0, frame, 3)]


class TestMessages:
    @pytest.mark.parametrize("opcode", [*range(14), 0xFFFFFFFF])
    @pytest.mark.parametrize("size", [0, 1, HEAD - 1, HEAD + 1, HEAD + 15, HEAD + 17, HEAD + 72])
    def test_what_is_none(self, bench: Bench, opcode: int, size: int) -> None:
        data = bench.message(opcode, claimed=1).ljust(size, b"\0")[:size]
        assert bench.try_bytes(data) == "EINVAL"
        assert (bench.told, bench.manager.transmissions, bench.manager.receptions) == ([], {}, {})

    @pytest.mark.parametrize("opcode", [*range(14), 0xFFFFFFFF])
    @pytest.mark.parametrize("tail", [1, 16, 64, 71, 73, 80])
    def test_what_is_none_of_can_fd(self, bench: Bench, opcode: int, tail: int) -> None:
        data = bench.message(opcode, flags=FD, claimed=1) + bytes(tail)
        assert bench.try_bytes(data) == "EINVAL"

    @pytest.mark.parametrize("opcode", [0, *range(8, 14), 0xFFFFFFFF])
    def test_opcodes_that_ask_for_nothing(self, bench: Bench, opcode: int) -> None:
        for interface in (0, 1):
            assert bench.ask(opcode, A, interface=interface) == "EINVAL"


class TestSendOnce:
    def test_it_is_handed_on(self, bench: Bench) -> None:
        assert bench.ask(TX_SEND, A, interface=7) == ""
        assert bench.ask(TX_SEND, canfd(bytes(64)), flags=FD, interface=8) == ""
        # Nothing else of the message counts.
        assert bench.ask(TX_SEND, B, flags=0x17, first=(-1, -1), count=9, can_id=5) == ""
        assert bench.sent == [(0, A, 7), (0, canfd(bytes(64)), 8), (0, B, 1)]
        bench.wait(1000)
        assert len(bench.sent) == 3
        assert bench.ask(TX_READ, can_id=5) == "EINVAL"

    @pytest.mark.parametrize(
        ("frames", "claimed"),
        [((), 0), ((), 1), ((A,), 0), ((A,), 2), ((A, B), 1), ((A, B), 2), ((A,), 0xFFFFFFFF)],
    )
    def test_it_is_one_frame(self, bench: Bench, frames: tuple[bytes, ...], claimed: int) -> None:
        assert bench.ask(TX_SEND, *frames, claimed=claimed) == "EINVAL"
        assert bench.sent == []

    def test_to_one_interface(self, bench: Bench) -> None:
        assert bench.ask(TX_SEND, A, interface=0) == "ENODEV"
        assert bench.sent == []

    @pytest.mark.parametrize("number", [errno.ENETDOWN, errno.EMSGSIZE, errno.EINVAL])
    def test_who_asked_is_told_that_it_is_refused(self, bench: Bench, number: int) -> None:
        bench.refusal = number
        assert bench.ask(TX_SEND, A) == errno.errorcode[number]


class TestTransmissionsRefused:
    @pytest.mark.parametrize(
        ("frames", "flags", "claimed", "error"),
        [
            ((), 0, None, "EINVAL"),
            ((A,), 0, 0, "EINVAL"),
            ((A,), 0, 257, "EINVAL"),
            ((A,) * 257, 0, None, "EINVAL"),
            ((A,), 0, 0xFFFFFFFF, "EINVAL"),
            ((), 0, 1, "EFAULT"),
            ((A,), 0, 2, "EFAULT"),
            ((A,) * 255, 0, 256, "EFAULT"),
            ((canfd(),), FD, 2, "EFAULT"),
            ((can(length=9),), 0, None, "EINVAL"),
            ((can(length=255),), 0, None, "EINVAL"),
            ((A, A, can(length=9)), 0, None, "EINVAL"),
            ((canfd(length=65),), FD, None, "EINVAL"),
            ((A,) * 256, 0, None, ""),
            ((can(length=8),), 0, None, ""),
            ((canfd(length=64),), FD, None, ""),
            ((canfd(length=9),), FD, None, ""),
        ],
    )
    def test_frames(
        self, bench: Bench, frames: tuple[bytes, ...], flags: int, claimed: int | None, error: str
    ) -> None:
        asked = bench.ask(TX_SETUP, *frames, flags=flags | START, claimed=claimed)
        assert asked == error
        assert len(bench.sent) == (not error)
        assert bench.ask(TX_READ, flags=flags) == ("EINVAL" if error else "")

    def test_frames_behind_those_claimed_are_not_looked_at(self, bench: Bench) -> None:
        assert bench.ask(TX_SETUP, A, B, can(length=9), claimed=2) == ""
        assert bench.read(TX_READ) == (0, bench.message(TX_STATUS, A, B), 0, 0)

    @pytest.mark.parametrize(
        ("frames", "claimed", "error"),
        [
            ((B, can(length=9)), 2, "EINVAL"),
            ((can(length=9), B), 2, "EINVAL"),
            ((B,), 2, "EFAULT"),
            ((B, A, B), 3, "E2BIG"),
            ((), 0, "EINVAL"),
        ],
    )
    def test_a_refused_update_changes_nothing(
        self, bench: Bench, frames: tuple[bytes, ...], claimed: int, error: str
    ) -> None:
        bench.ask(TX_SETUP, A, A, flags=SET | START, second=10)
        bench.wait(5)
        asked = bench.ask(
            TX_SETUP, *frames, claimed=claimed, flags=SET | START, count=7, first=1, second=1
        )
        assert asked == error
        status = bench.message(TX_STATUS, A, A, flags=SET | START | ANNOUNCE, second=10)
        assert bench.read(TX_READ) == (5, status, 0, 0)
        bench.wait(25)
        assert bench.sent == [(at, A, 1) for at in (0, 10, 20)]

    def test_for_all_interfaces(self, bench: Bench) -> None:
        assert bench.ask(TX_SETUP, A, interface=0) == "ENODEV"
        assert bench.ask(TX_READ, interface=0) == "EINVAL"


_BAD = [(-1, 0), (0, -1), (0, 1_000_000), (DAYS_400 + 1, 0), (2**31 - 1, 0), (-(2**31), 0)]
_GOOD = [(0, 0), (0, 1), (0, 999_999), (DAYS_400, 0), (DAYS_400, 999_999)]


class TestIntervals:
    @pytest.mark.parametrize("opcode", [TX_SETUP, RX_SETUP])
    @pytest.mark.parametrize("which", ["first", "second"])
    @pytest.mark.parametrize("time", [*_BAD, *_GOOD])
    def test_they_are_looked_at_where_they_are_set(
        self, bench: Bench, opcode: int, which: str, time: tuple[int, int]
    ) -> None:
        first, second = (time, (0, 0)) if which == "first" else ((0, 0), time)
        read, status = (TX_READ, TX_STATUS) if opcode == TX_SETUP else (RX_READ, RX_STATUS)
        asked = bench.ask(opcode, A, flags=SET, first=first, second=second)
        if time in _BAD:
            assert asked == "EINVAL"
            assert bench.ask(read) == "EINVAL"
            assert bench.ask(opcode, A, flags=START, first=first, second=second) == ""
            bench.wait(1000)
            assert len(bench.sent) == (opcode == TX_SETUP)
            assert bench.told == []
        else:
            assert asked == ""
            expected = bench.message(status, A, flags=SET, first=first, second=second)
            interface = 0 if opcode == TX_SETUP else 1
            assert bench.read(read) == (0, expected, interface, 0)

    @pytest.mark.parametrize("opcode", [TX_SETUP, RX_SETUP])
    def test_a_refused_update_changes_nothing(self, bench: Bench, opcode: int) -> None:
        bench.ask(opcode, A, flags=SET, first=10, second=20)
        assert bench.ask(opcode, B, flags=SET | START, first=1, second=(0, -1)) == "EINVAL"
        read, status = (TX_READ, TX_STATUS) if opcode == TX_SETUP else (RX_READ, RX_STATUS)
        assert bench.read(read)[1] == bench.message(status, A, flags=SET, first=10, second=20)

    def test_400_days_pass(self, bench: Bench) -> None:
        bench.ask(TX_SETUP, A, flags=SET | START, second=(DAYS_400, 999_999))
        end = DAYS_400 * 1000 + 999.999
        bench.wait(end - 1)
        assert len(bench.sent) == 1
        bench.wait(end)
        assert bench.sent == [(0, A, 1), (end, A, 1)]


class TestReceptionsRefused:
    @pytest.mark.parametrize(
        ("frames", "flags", "claimed", "error"),
        [
            ((), 0, 258, "EINVAL"),
            ((A,) * 258, 0, None, "EINVAL"),
            ((A,), 0, 0xFFFFFFFF, "EINVAL"),
            ((), 0, 1, "EFAULT"),
            ((A,), 0, 2, "EFAULT"),
            ((A,) * 256, 0, 257, "EFAULT"),
            ((canfd(),), FD, 2, "EFAULT"),
            ((A,) * 257, 0, None, ""),
            ((A,) * 258, EVERY, None, ""),
            ((A, B, A), 0, 2, ""),
            ((can(length=255),), 0, None, ""),
        ],
    )
    def test_frames(
        self, bench: Bench, frames: tuple[bytes, ...], flags: int, claimed: int | None, error: str
    ) -> None:
        assert bench.ask(RX_SETUP, *frames, flags=flags, claimed=claimed) == error
        assert len(bench.listening) == (not error)
        assert bench.ask(RX_READ, flags=flags & FD) == ("EINVAL" if error else "")

    @pytest.mark.parametrize(
        ("frames", "claimed", "error"),
        [((B,), 2, "EFAULT"), ((B, B, B), 3, "E2BIG"), ((B,), 258, "EINVAL")],
    )
    def test_a_refused_update_changes_nothing(
        self, bench: Bench, frames: tuple[bytes, ...], claimed: int, error: str
    ) -> None:
        bench.ask(RX_SETUP, A, A)
        asked = bench.ask(RX_SETUP, *frames, claimed=claimed, flags=SET | START, first=1)
        assert asked == error
        bench.wait(100)
        assert bench.take() == []
        assert bench.read(RX_READ) == (100, bench.message(RX_STATUS, A, A), 1, 0)
        assert len(bench.listening) == 1

    def test_an_update_listens_once(self, bench: Bench) -> None:
        for _ in range(3):
            bench.ask(RX_SETUP, A)
        assert len(bench.listening) == 1


KEYS = [
    (0x123, 1, 0),
    (0x123, 2, 0),
    (0x123, 1, FD),
    (0x124, 1, 0),
    (0x80000123, 1, 0),
    (0x40000123, 1, 0),
]


class TestNames:
    """An operation goes by its identifier with all flags, its interface, and CAN FD or not."""

    @pytest.mark.parametrize(
        ("setup", "read", "delete", "status"),
        [(TX_SETUP, TX_READ, TX_DELETE, TX_STATUS), (RX_SETUP, RX_READ, RX_DELETE, RX_STATUS)],
    )
    def test_each_is_one_by_itself(
        self, bench: Bench, setup: int, read: int, delete: int, status: int
    ) -> None:
        frames = {}
        for number, (can_id, interface, flags) in enumerate(KEYS):
            frame = (canfd if flags else can)(bytes([number]))
            frames[can_id, interface, flags] = frame
            asked = bench.ask(setup, frame, can_id=can_id, interface=interface, flags=flags)
            assert asked == ""
        for can_id, interface, flags in KEYS:
            assert bench.ask(read, can_id=can_id, interface=interface, flags=flags) == ""
            expected = bench.message(
                status, frames[can_id, interface, flags], can_id=can_id, flags=flags
            )
            ((_, message, _, _),) = bench.take()
            assert message == expected
        for number, (can_id, interface, flags) in enumerate(KEYS):
            assert bench.ask(delete, can_id=can_id, interface=interface, flags=flags) == ""
            left = [
                bench.ask(read, can_id=can_id, interface=interface, flags=flags)
                for can_id, interface, flags in KEYS
            ]
            assert left == ["EINVAL"] * (number + 1) + [""] * (len(KEYS) - number - 1)

    def test_a_transmission_and_a_reception_of_one_name(self, bench: Bench) -> None:
        bench.ask(TX_SETUP, A)
        assert bench.ask(RX_READ) == "EINVAL"
        assert bench.ask(RX_DELETE) == "EINVAL"
        bench.ask(RX_SETUP, B)
        assert bench.read(TX_READ)[1] == bench.message(TX_STATUS, A)
        assert bench.read(RX_READ)[1] == bench.message(RX_STATUS, B)
        assert bench.ask(TX_DELETE) == ""
        assert bench.ask(TX_READ) == "EINVAL"
        assert bench.ask(RX_DELETE) == ""
        assert bench.ask(RX_READ) == "EINVAL"

    @pytest.mark.parametrize("opcode", [TX_DELETE, TX_READ, RX_DELETE, RX_READ])
    def test_one_that_is_not_there(self, bench: Bench, opcode: int) -> None:
        for interface in (0, 1):
            assert bench.ask(opcode, interface=interface) == "EINVAL"
        assert bench.told == []

    @pytest.mark.parametrize("opcode", [TX_DELETE, TX_READ, RX_DELETE, RX_READ])
    def test_what_else_such_a_message_holds_does_not_count(self, bench: Bench, opcode: int) -> None:
        bench.ask(TX_SETUP, A)
        bench.ask(RX_SETUP, A)
        asked = bench.ask(opcode, B, B, flags=0x7FF, count=5, first=(-1, -1), claimed=999)
        assert asked == ""


class TestEnd:
    def test_closed_it_sends_and_tells_no_more(self, bench: Bench) -> None:
        bench.ask(TX_SETUP, A, flags=SET | START, second=10)
        bench.ask(TX_SETUP, A, flags=SET | START, second=10, interface=2)
        bench.ask(RX_SETUP, flags=SET | START, first=10, second=5)
        bench.ask(RX_SETUP, flags=SET | START, first=10, interface=0)
        bench.hear(A)
        bench.hear(B)
        bench.take()
        bench.manager.close()
        bench.wait(100)
        assert len(bench.sent) == 2
        assert bench.told == []
        assert bench.listening == []
        assert bench.timers.deadline is None
        assert (bench.manager.transmissions, bench.manager.receptions) == ({}, {})
        bench.manager.close()

    def test_an_interface_that_is_gone_is_sent_nothing_more(self, bench: Bench) -> None:
        for interface in (1, 2):
            bench.ask(TX_SETUP, A, flags=SET | START, second=10, interface=interface)
        bench.manager.interface_removed(2)
        bench.wait(10)
        assert bench.sent == [(0, A, 1), (0, A, 2), (10, A, 1)]
        # It can still be read, and deleted.
        assert bench.ask(TX_READ, interface=2) == ""
        assert bench.ask(TX_DELETE, interface=2) == ""


# Whatever is asked, in whatever order, is done or refused with an error number.

REFUSALS = {"", "EINVAL", "EFAULT", "E2BIG", "ENODEV"}
REQUEST = 0x40000001
IDENTIFIERS = (1, 1, REQUEST)


def random_frame(generator: random.Random, *, flexible: bool) -> bytes:
    make, longest = (canfd, 64) if flexible else (can, 8)
    data = bytes(generator.choices((0, 1, 0xFF), k=generator.randint(0, longest)))
    return make(data, word=generator.choice(IDENTIFIERS))


def random_message(generator: random.Random) -> bytes:
    """Make a message that may do something, with something wrong in every other one."""
    flags = sum({1 << generator.randrange(11) for _ in range(generator.randrange(4))})
    flags |= generator.choice((0, 0, SET | START, SET | START, 0x400, FD))
    number = generator.choice((0, 1, 1, 1, 2, 3))
    frames = [random_frame(generator, flexible=bool(flags & FD)) for _ in range(number)]
    times = [0, generator.choice((0, 1, 700, 1000)), 0, generator.choice((0, 1, 700, 1000))]
    opcode = generator.choice((1, 1, 1, 2, 3, 4, 5, 5, 5, 6, 7))
    count, can_id = generator.randrange(4), generator.choice(IDENTIFIERS)
    match generator.randrange(12):
        case 0:
            times[generator.randrange(4)] = generator.randrange(-(2**31), 2**31)
        case 1:
            number = generator.choice((0, number + 1, 255, 256, 257, 258, 2**32 - 1))
        case 2:
            opcode, count, can_id = (generator.randrange(2**32) for _ in range(3))
        case 3:
            frames.append(generator.randbytes(generator.randrange(80)))
        case 4:
            flags = generator.randrange(2**32)
        case 5:
            frames = [generator.randbytes(72 if flags & FD else 16) for _ in range(number)]
        case 6:
            opcode, flags, can_id, number, frames = RX_SETUP, 0x400, REQUEST, 1, [A]
    return struct.pack("@IIIllllII0q", opcode, flags, count, *times, can_id, number) + b"".join(
        frames
    )


@pytest.mark.parametrize("seed", range(8))
def test_programs_raise_nothing_but_os_errors(bench: Bench, seed: int) -> None:
    generator = random.Random(seed)
    refused = done = 0
    for _ in range(1200):
        match generator.randrange(8):
            case 0 | 1 | 2 | 3:
                interface = generator.choice((1, 1, 1, 1, 2, 0))
                error = bench.try_bytes(random_message(generator), interface)
                assert error in REFUSALS
                refused, done = refused + (error != ""), done + (error == "")
            case 4 | 5 | 6:
                frame = random_frame(generator, flexible=generator.randrange(4) == 0)
                frame = frame[:5] + generator.choice((b"\0", b"\xff", b"\x15")) + frame[6:]
                bench.hear(frame, generator.choice((1, 1, 2)))
            case 7 if generator.randrange(20) == 0:
                bench.manager.interface_removed(generator.choice((1, 2)))
            case _:
                bench.be_late(bench.now + generator.choice((0.001, 0.7, 1, 5)))
    for _, message, _, flags in bench.told:
        assert NATIVE.encode(NATIVE.decode(message)) == message
        assert flags in {0, 4, 0x800, 0x804}
    for _, frame, interface in (*bench.sent, *bench.answered):
        assert len(frame) in {16, 72}
        assert interface
    # That was worth something.
    assert min(refused, done, len(bench.sent), len(bench.told)) > 20
    assert bench.answered
    bench.manager.close()
    assert bench.timers.deadline is None
    assert bench.listening == []


@settings(max_examples=40)
@given(strategies.binary(max_size=HEAD + 80))
def test_any_bytes_raise_nothing_but_os_errors(
    make_bench: Callable[[], Bench], data: bytes
) -> None:
    bench = make_bench()
    bench.ask(TX_SETUP, A, flags=SET | START, second=10)
    bench.ask(RX_SETUP, A)
    for start in (b"", *(struct.pack("=I", opcode) for opcode in range(1, 8))):
        assert bench.try_bytes(start + data) in REFUSALS
