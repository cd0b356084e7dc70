"""Receptions: which frames are told, which make a change, timeouts and throttles."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engine.conftest import Bench

SETUP, DELETE, READ, STATUS, TIMEOUT, CHANGED = 5, 6, 7, 10, 11, 12
SET, START, COPY, EVERY, LENGTH, NO_AUTO, RESUME, RTR, FD = (
    1,
    2,
    0x10,
    0x20,
    0x40,
    0x80,
    0x100,
    0x400,
    0x800,
)
REQUEST = 0x40000123
FULL = b"\xff" * 8
SIZE = struct.calcsize("@IIIllllII0q") + 4  # where a message has its first frame's length
DATA = SIZE + 4  # and its data


def can(data: bytes = b"", length: int | None = None, *, word: int = 0x123, pad: int = 0) -> bytes:
    return struct.pack("=IBBxx8s", word, len(data) if length is None else length, pad, data)


def canfd(
    data: bytes = b"", length: int | None = None, *, word: int = 0x123, flags: int = 4
) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data) if length is None else length, flags, data)


def opcode(message: bytes) -> int:
    return int.from_bytes(message[:4], sys.byteorder)


def tells(bench: Bench) -> str:
    """Give what was told since the last time: the data's first byte, or T for a timeout."""
    return "".join(
        "T" if opcode(message) == TIMEOUT else chr(message[DATA])
        for _, message, _, _ in bench.take()
    )


def hear(bench: Bench, text: str) -> None:
    """Receive frames of one byte each."""
    for letter in text:
        bench.hear(can(letter.encode()))


class TestEveryFrame:
    @pytest.mark.parametrize(
        ("frames", "flags", "claimed"),
        [
            ((), 0, 0),
            ((), EVERY, 0),
            ((can(FULL),), EVERY, 1),
            ((), EVERY, 300),
            ((can(FULL), can(FULL)), 0, 0),
        ],
    )
    def test_no_frames_or_a_flag_and_every_frame_is_told(
        self, bench: Bench, frames: tuple[bytes, ...], flags: int, claimed: int
    ) -> None:
        assert bench.ask(SETUP, *frames, flags=flags, claimed=claimed) == ""
        status = bench.message(STATUS, flags=EVERY)
        assert bench.read(READ) == (0, status, 1, 0)
        bench.wait(3)
        for _ in range(2):
            bench.hear(can(b"\1\2"), interface=1)
            changed = bench.message(CHANGED, can(b"\1\2"), flags=EVERY)
            assert bench.take() == [(3, changed, 1, 0)]
        assert bench.stamps[-2:] == [3, 3]

    def test_of_can_fd(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=FD)
        bench.hear(can(b"\1"))
        frame = canfd(bytes(range(64)), flags=7)
        bench.hear(frame)
        changed = bench.message(CHANGED, frame, flags=FD | EVERY)
        assert bench.take() == [(0, changed, 1, 0)]

    def test_nothing_is_told_until_a_frame_comes(self, bench: Bench) -> None:
        bench.ask(SETUP)
        bench.ask(SETUP, can(FULL), can_id=1)
        bench.wait(1000)
        assert bench.told == []

    def test_a_flag_for_the_length_changes_nothing(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=LENGTH)
        hear(bench, "aab")
        assert tells(bench) == "aab"

    def test_deleted(self, bench: Bench) -> None:
        bench.ask(SETUP)
        assert bench.ask(DELETE) == ""
        assert bench.listening == []


class TestWhereFrom:
    """MSG_DONTROUTE: sent on this host; MSG_CONFIRM: sent by this socket."""

    @pytest.mark.parametrize(
        ("local", "own", "flags"), [(False, False, 0), (True, False, 4), (True, True, 0x804)]
    )
    def test_flags_say_whose_the_frame_is(
        self, bench: Bench, local: bool, own: bool, flags: int
    ) -> None:
        bench.ask(SETUP)
        bench.hear(can(b"\1"), local=local, own=own)
        changed = bench.message(CHANGED, can(b"\1"), flags=EVERY)
        assert bench.take() == [(0, changed, 1, flags)]

    @pytest.mark.parametrize(
        ("pad", "shown", "flags"),
        [(0x0A, 0x0A, 0), (0x40, 0, 0), (0x80, 0, 0), (0x10, 0, 4), (0xFF, 0x0F, 0x804)],
    )
    def test_padding_looks_like_the_kernels_marks(
        self, bench: Bench, pad: int, shown: int, flags: int
    ) -> None:
        bench.ask(SETUP, can(FULL))
        bench.hear(can(b"\1", pad=pad))
        changed = bench.message(CHANGED, can(b"\1", pad=shown))
        assert bench.take() == [(0, changed, 1, flags)]

    def test_the_rest_of_a_frame_is_told_as_it_is(self, bench: Bench) -> None:
        bench.ask(SETUP)
        frame = struct.pack("=IB11s", 0x123, 2, b"\x03\xfe\xfdabcdefgh")
        bench.hear(frame)
        assert bench.take() == [(0, bench.message(CHANGED, frame, flags=EVERY), 1, 0)]

    def test_masks_that_are_read_have_the_marks_taken_out(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL, pad=0x35))
        expected = bench.message(STATUS, can(FULL, pad=0x05))
        assert bench.read(READ) == (0, expected, 1, 0x804)
        masks = can(FULL, pad=0x35), can(FULL, pad=0x35)
        bench.ask(SETUP, *masks, can_id=2)
        told = bench.read(READ, can_id=2)
        assert told == (0, bench.message(STATUS, *masks, can_id=2), 1, 0)


class TestContent:
    def test_the_first_frame_is_told_whatever_it_holds(self, bench: Bench) -> None:
        for number, frame in enumerate((can(bytes(8)), can(b""), can(FULL))):
            bench.ask(SETUP, can(bytes(8)), can_id=number)
            word = struct.pack("=I", number)
            bench.hear(word + frame[4:])
            changed = bench.message(CHANGED, word + frame[4:], can_id=number)
            assert bench.take() == [(0, changed, 1, 0)]

    def test_then_only_what_differs_under_the_mask(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xf0\x00\x01"))
        for data, told in (
            (b"\x10\0\0", True),
            (b"\x1f\xff\xfe", False),
            (b"\x20\0\0", True),
            (b"\x20\0\1", True),
            (b"\x20\0\1\xff", False),
            (b"\x20\0\0", True),
        ):
            bench.hear(can(data))
            assert len(bench.take()) == told

    def test_it_is_compared_with_what_was_told_last(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"))
        for data in (b"\1\1", b"\1\2", b"\2\3", b"\2\1"):
            bench.hear(can(data))
        assert [message[DATA : DATA + 2] for _, message, _, _ in bench.take()] == [b"\1\1", b"\2\3"]

    def test_it_is_compared_in_steps_of_eight_bytes(self, bench: Bench) -> None:
        # Of a frame whose length is 1, what lies behind counts as well.
        bench.ask(SETUP, can(FULL))
        bench.hear(can(b"\1\2\3\4\5\6\7\x08", length=1))
        bench.hear(can(b"\1\2\3\4\5\6\7\x08", length=8))
        assert len(bench.take()) == 1
        bench.hear(can(b"\1\2\3\4\5\6\7\x09", length=1))
        assert len(bench.take()) == 1

    def test_a_frame_without_data_never_differs(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL))
        bench.hear(can(b"\1"))
        bench.hear(can(b"\2", length=0))
        assert len(bench.take()) == 1
        bench.hear(can(b"\1"))
        assert bench.take() == []

    @pytest.mark.parametrize("first", [can(b"\0\0"), can(b"")])
    def test_the_length_counts_only_when_that_is_asked_for(
        self, bench: Bench, first: bytes
    ) -> None:
        bench.ask(SETUP, can(FULL), can_id=0x123)
        bench.hear(first)
        bench.hear(can(b"\0"))
        assert len(bench.take()) == 1
        bench.ask(SETUP, can(FULL), flags=LENGTH)
        for frame in (first, first, can(b"\0"), can(b"\0"), can(b""), first):
            bench.hear(frame)
        changes = 3 if first == can(b"") else 4
        assert len(bench.take()) == changes

    def test_the_mask_is_not_asked_where_the_length_counts(self, bench: Bench) -> None:
        bench.ask(SETUP, can(bytes(8)), flags=LENGTH)
        for data in (b"\1", b"\2", b"\1\2", b"\2\1", b""):
            bench.hear(can(data))
        assert [message[SIZE] for _, message, _, _ in bench.take()] == [1, 2, 0]

    def test_of_can_fd_as_far_as_the_frame_received_goes(self, bench: Bench) -> None:
        bench.ask(SETUP, canfd(b"\xff" * 64), flags=FD)
        long = bytes(range(64))
        bench.hear(canfd(long))
        assert len(bench.take()) == 1
        bench.hear(canfd(long[:12] + b"\xff" * 4, length=12))  # two steps
        assert len(bench.take()) == 1
        bench.hear(canfd(long[:12] + b"\xff" * 5, length=12))  # what is behind them
        assert bench.take() == []
        bench.hear(canfd(long[:12] + b"\xff" * 5, length=20))
        assert len(bench.take()) == 1
        bench.hear(canfd(b"\xff" * 64, length=0))
        assert bench.take() == []

    def test_what_a_shorter_frame_lacks_makes_no_difference(self, bench: Bench) -> None:
        bench.ask(SETUP, canfd(b"\xff" * 64), flags=FD)
        long = bytes(range(1, 65))
        bench.hear(canfd(long))
        for length in (64, 24, 16, 8):
            bench.hear(canfd(long[:length]))
        assert len(bench.take()) == 1
        bench.hear(canfd(long[:7]))  # a step has eight bytes
        assert len(bench.take()) == 1

    def test_the_last_byte_of_can_fd(self, bench: Bench) -> None:
        bench.ask(SETUP, canfd(bytes(63) + b"\x80"), flags=FD)
        for data in (bytes(64), b"\xff" * 63 + b"\x7f", bytes(63) + b"\x80", bytes(56), bytes(64)):
            bench.hear(canfd(data))
        assert [message[DATA + 63] for _, message, _, _ in bench.take()] == [0, 0x80, 0]

    def test_masks_of_any_length_are_taken(self, bench: Bench) -> None:
        assert bench.ask(SETUP, can(b"\xff", length=200)) == ""
        assert bench.ask(SETUP, canfd(b"\xff", length=255), flags=FD) == ""
        hear(bench, "aab")
        assert tells(bench) == "ab"

    def test_a_mask_of_length_0_is_whole(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff", length=0))
        hear(bench, "aab")
        assert tells(bench) == "ab"


class TestUpdate:
    def test_with_frames_it_forgets_the_content(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL))
        hear(bench, "aa")
        assert tells(bench) == "a"
        assert bench.ask(SETUP, can(FULL)) == ""
        hear(bench, "aa")
        assert tells(bench) == "a"

    def test_it_takes_the_new_mask_and_flags(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=LENGTH)
        bench.ask(SETUP, can(b"\x0f"))
        for data in (b"\x11", b"\x21", b"\x21\0", b"\x22"):
            bench.hear(can(data))
        changed = [bench.message(CHANGED, can(data)) for data in (b"\x11", b"\x22")]
        assert [message for _, message, _, _ in bench.take()] == changed

    def test_to_every_frame(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), can(FULL))
        assert bench.ask(SETUP) == ""
        assert bench.read(READ) == (0, bench.message(STATUS, flags=EVERY), 1, 0)
        hear(bench, "aab")
        assert tells(bench) == "aab"

    @pytest.mark.parametrize("before", [0, 1, 2])
    def test_it_cannot_grow(self, bench: Bench, before: int) -> None:
        bench.ask(SETUP, *[can(FULL)] * before)
        hear(bench, "a")
        bench.take()
        more = [can(b"\xff")] * (before + 1)
        assert bench.ask(SETUP, *more, flags=SET | START, first=10) == "E2BIG"
        bench.wait(100)
        hear(bench, "a")
        # Nothing has changed.
        assert tells(bench) == ("a" if before == 0 else "")
        assert bench.read(READ) == (
            100,
            bench.message(STATUS, *[can(FULL)] * before, flags=0 if before else EVERY),
            1,
            0,
        )

    def test_nor_what_has_become_less(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), can(b"a"), can(b"b"))
        assert bench.ask(SETUP, can(FULL), can(b"a")) == ""
        assert bench.ask(SETUP, can(FULL), can(b"a"), can(b"b")) == "E2BIG"
        assert bench.ask(SETUP) == ""
        assert bench.ask(SETUP, can(FULL)) == "E2BIG"

    def test_set_timer_is_needed_to_change_times(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, first=10, second=20)
        bench.ask(SETUP, first=30, second=40, count=5)
        assert bench.read(READ) == (
            0,
            bench.message(STATUS, flags=EVERY, first=10, second=20),
            1,
            0,
        )

    def test_what_it_tells_has_the_latest_times_and_flags(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, first=10)
        bench.ask(SETUP, can(FULL), flags=RESUME)
        bench.hear(can(b"\1"))
        changed = bench.message(CHANGED, can(b"\1"), flags=RESUME, first=10)
        assert bench.take() == [(0, changed, 1, 0)]


class TestMultiplex:
    """The first mask says which bits select; each other one has a value, and is its mask."""

    def test_each_value_has_a_content_of_its_own(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"a\xff"), can(b"b\x0f"))
        for data, told in (
            (b"a\1", True),
            (b"b\1", True),
            (b"a\1", False),
            (b"b\x11", False),
            (b"a\x11", True),
            (b"b\2", True),
            (b"a\x11", False),
        ):
            bench.hear(can(data))
            news = bench.take()
            expected = bench.message(CHANGED, can(data))
            assert news == ([(0, expected, 1, 0)] if told else [])

    def test_other_values_are_silent(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"a\xff"))
        hear(bench, "bcd")
        assert bench.told == []

    def test_the_first_that_matches_wins(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\x0f"), can(b"\x01\x0f"), can(b"\x11\xff"))
        for data in (b"\x01\x11", b"\x21\x21", b"\x31\x22"):
            bench.hear(can(data))
        assert [message[DATA : DATA + 2] for _, message, _, _ in bench.take()] == [
            b"\x01\x11",
            b"\x31\x22",
        ]

    def test_bits_beside_the_selector_do_not_select_but_are_compared(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\x0f"), can(b"\xf1"))
        for data in (b"\x01", b"\x11", b"\x11"):
            bench.hear(can(data))
        assert [message[DATA] for _, message, _, _ in bench.take()] == [0x01, 0x11]

    def test_the_selector_is_in_the_first_eight_bytes(self, bench: Bench) -> None:
        selector = canfd(b"\xff" + bytes(7) + b"\xff")
        bench.ask(SETUP, selector, canfd(b"a" + bytes(8) + b"\xff"), flags=FD)
        bench.hear(canfd(b"a" + bytes(7) + b"\x77\1"))
        bench.hear(canfd(b"a" + bytes(7) + b"\x88\1"))
        bench.hear(canfd(b"b" + bytes(7) + b"\0\2"))
        bench.hear(canfd(b"a" + bytes(7) + b"\0\2"))
        assert [message[DATA + 9] for _, message, _, _ in bench.take()] == [1, 2]

    def test_it_is_looked_for_behind_the_end_of_a_frame(self, bench: Bench) -> None:
        bench.ask(SETUP, can(bytes(7) + b"\xff"), can(b"\xff" + bytes(6) + b"\1"))
        bench.hear(can(b"\1" + bytes(6) + b"\1", length=1))
        bench.hear(can(b"\2" + bytes(6) + b"\2", length=8))
        assert [message[DATA] for _, message, _, _ in bench.take()] == [1]

    def test_frames_without_data_match_and_are_told_once(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"\0\xff"))
        for data in (b"", b"", b"\0\1", b""):
            bench.hear(can(data))
        assert [message[SIZE] for _, message, _, _ in bench.take()] == [0, 2]

    def test_the_length_counts_for_each(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"a"), can(b"b"), flags=LENGTH)
        for data in (b"a", b"b", b"a\1", b"b", b"a\1", b"b\1\2"):
            bench.hear(can(data))
        assert [message[SIZE] for _, message, _, _ in bench.take()] == [1, 1, 2, 3]

    def test_257_masks(self, bench: Bench) -> None:
        masks = [can(struct.pack("<HB", number, 0xFF)) for number in range(256)]
        assert bench.ask(SETUP, can(b"\xff\xff"), *masks) == ""
        for number in (255, 0, 256, 255, 128):
            bench.hear(can(struct.pack("<HB", number, 1)))
        assert [message[DATA] for _, message, _, _ in bench.take()] == [255, 0, 128]
        told = bench.read(READ)
        assert told == (0, bench.message(STATUS, can(b"\xff\xff"), *masks), 1, 0)


class TestTimeout:
    def test_it_is_told_once(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        bench.wait(1000)
        expected = bench.message(TIMEOUT, flags=SET | START, first=10)
        assert bench.take() == [(10, expected, 1, 0)]
        assert bench.stamps == [0]
        assert bench.timers.deadline is None

    def test_every_frame_begins_it_anew(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        for now in range(0, 50, 6):
            bench.wait(now)
            hear(bench, "a")
        bench.wait(1000)
        assert [(at, opcode(message)) for at, message, _, _ in bench.take()] == [
            (0, CHANGED),
            (58, TIMEOUT),
        ]

    def test_and_the_first_frame_after_it(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        for now in (20, 40):
            bench.wait(now)
            hear(bench, "a")
        bench.wait(1000)
        assert [(at, opcode(message)) for at, message, _, _ in bench.take()] == [
            (10, TIMEOUT),
            (20, CHANGED),
            (30, TIMEOUT),
            (50, TIMEOUT),
        ]

    def test_unasked_the_same_content_after_it_is_not_told(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        hear(bench, "a")
        bench.wait(20)
        hear(bench, "ab")
        assert tells(bench) == "aTb"

    def test_when_that_is_asked_for_it_is(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START | RESUME, first=10)
        hear(bench, "a")
        bench.wait(20)
        hear(bench, "aab")
        assert tells(bench) == "aTab"

    def test_of_every_multiplexed_content(self, bench: Bench) -> None:
        masks = can(b"\xff"), can(b"a\xff"), can(b"b\xff")
        bench.ask(SETUP, *masks, flags=SET | START | RESUME, first=10)
        hear(bench, "ab")
        bench.wait(20)
        hear(bench, "abab")
        assert tells(bench) == "abTab"

    def test_where_every_frame_is_told_anyway(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET | START | RESUME, first=10)
        hear(bench, "a")
        bench.wait(20)
        hear(bench, "aa")
        assert tells(bench) == "aTaa"

    def test_set_timer_alone_starts_it_with_the_next_frame(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, first=10)
        bench.wait(100)
        assert bench.told == []
        hear(bench, "a")
        bench.wait(200)
        assert [(at, opcode(message)) for at, message, _, _ in bench.take()] == [
            (100, CHANGED),
            (110, TIMEOUT),
        ]

    def test_start_timer_alone_takes_the_time_that_is_set(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, first=10)
        bench.wait(100)
        bench.ask(SETUP, can(FULL), flags=START, first=3)
        bench.wait(200)
        assert [at for at, *_ in bench.take()] == [110]

    def test_a_start_without_a_time_starts_nothing(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=START)
        bench.ask(SETUP, can(FULL), flags=SET | START, second=10, can_id=2)
        hear(bench, "a")
        bench.wait(1000)
        assert tells(bench) == "a"

    def test_set_to_none_it_ends(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        bench.wait(5)
        bench.ask(SETUP, can(FULL), flags=SET)
        bench.wait(50)
        assert bench.told == []
        hear(bench, "a")
        bench.wait(100)
        assert tells(bench) == "a"

    def test_set_alone_while_it_runs_it_is_for_the_next_frame(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        bench.wait(5)
        bench.ask(SETUP, can(FULL), flags=SET, first=100)
        bench.wait(20)
        hear(bench, "a")
        bench.wait(200)
        assert [at for at, *_ in bench.take()] == [10, 20, 120]

    def test_started_again_it_begins_anew(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        bench.wait(8)
        bench.ask(SETUP, can(FULL), flags=START)
        bench.wait(100)
        assert [at for at, *_ in bench.take()] == [18]

    def test_frames_do_not_begin_it_anew_when_that_is_asked_for(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START | NO_AUTO, first=10)
        bench.wait(5)
        hear(bench, "a")  # it ends the timeout
        bench.wait(1000)
        assert tells(bench) == "a"
        bench.ask(SETUP, can(FULL), flags=START | NO_AUTO)
        bench.wait(2000)
        assert tells(bench) == "T"

    def test_a_value_that_is_not_watched_begins_it_anew(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"a"), flags=SET | START, first=10)
        for now in (8, 16):
            bench.wait(now)
            hear(bench, "x")
        bench.wait(100)
        assert [(at, opcode(message)) for at, message, _, _ in bench.take()] == [(26, TIMEOUT)]

    def test_deleted_it_is_not_told(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        bench.ask(DELETE)
        bench.wait(100)
        assert bench.told == []

    def test_it_is_told_where_the_operation_is_or_the_last_frame_was(self, bench: Bench) -> None:
        flags = SET | START
        bench.ask(SETUP, can(FULL), flags=flags, first=10, interface=7)
        bench.ask(SETUP, can(FULL), flags=flags, first=11, interface=0, can_id=0x124)
        bench.ask(SETUP, can(FULL), flags=flags, first=12, interface=0)
        bench.hear(can(b"\1"), interface=3)
        bench.take()
        bench.wait(100)
        assert bench.take() == [
            (10, bench.message(TIMEOUT, flags=flags, first=10), 7, 0),
            (11, bench.message(TIMEOUT, flags=flags, first=11, can_id=0x124), 0, 0),
            (12, bench.message(TIMEOUT, flags=flags, first=12), 3, 0),
        ]

    def test_the_interface_being_gone_does_not_end_it(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=10)
        bench.manager.interface_removed(1)
        bench.wait(100)
        assert tells(bench) == "T"


class TestThrottle:
    def test_the_first_at_once_and_then_the_latest(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        for now in (1, 2, 3, 4):
            bench.wait(now)
            hear(bench, str(now))
        assert tells(bench) == "1"
        bench.wait(10.999)
        assert bench.told == []
        bench.wait(15)
        changed = bench.message(CHANGED, can(b"4"), flags=SET | EVERY, second=10)
        assert bench.take() == [(11, changed, 1, 0)]
        assert bench.stamps == [1, 4]

    def test_at_most_one_in_each_interval(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        for now in range(40):
            bench.wait(now)
            hear(bench, "x")
        assert [at for at, *_ in bench.take()] == [0, 10, 20, 30]

    def test_after_an_interval_without_a_frame_the_next_is_told_at_once(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        for now in (0, 5, 15, 25, 31, 36, 37):
            bench.wait(now)
            hear(bench, "x")
        bench.wait(100)
        # 0; 5 waits until 10; 15 until 20; 25 until 30; 31 waits until 40, and 36 and 37 with it.
        assert [at for at, *_ in bench.take()] == [0, 10, 20, 30, 40]
        bench.wait(101)
        hear(bench, "y")
        bench.wait(115)
        hear(bench, "z")
        assert [at for at, *_ in bench.take()] == [101, 115]

    def test_an_interval_later_exactly_it_is_told_at_once(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        for now in (0, 10, 20):
            bench.wait(now)
            hear(bench, "x")
            assert len(bench.take()) == 1

    def test_only_changes_count(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, second=10)
        hear(bench, "aaaa")
        bench.wait(5)
        hear(bench, "aa")
        bench.wait(100)
        assert tells(bench) == "a"
        assert bench.timers.deadline is None

    def test_what_changed_and_changed_back_is_told_as_it_is_then(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, second=10)
        hear(bench, "aba")
        bench.wait(100)
        assert tells(bench) == "aa"

    def test_of_each_multiplexed_content_the_latest(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"a\xff"), can(b"b\xff"), flags=SET, second=10)
        for now, data in enumerate((b"a1", b"b1", b"b2", b"a2", b"a3", b"x9")):
            bench.wait(now)
            bench.hear(can(data))
        bench.wait(100)
        told = [(at, message[DATA : DATA + 2]) for at, message, _, _ in bench.take()]
        assert told == [(0, b"a1"), (10, b"a3"), (10, b"b2")]

    def test_at_any_time(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        for now in (1000, 1003, 1008):
            bench.wait(now)
            hear(bench, "x")
        bench.wait(1100)
        assert [at for at, *_ in bench.take()] == [1000, 1010]

    def test_of_one_multiplexed_content(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"a\xff"), flags=SET, second=10)
        for data in (b"a1", b"a2", b"a3"):
            bench.hear(can(data))
        bench.wait(100)
        assert [message[DATA : DATA + 2] for _, message, *_ in bench.take()] == [b"a1", b"a3"]

    def test_multiplexed_contents_that_are_watched_no_more_are_forgotten(
        self, bench: Bench
    ) -> None:
        bench.ask(SETUP, can(b"\xff"), can(b"a\xff"), flags=SET, second=10)
        for data in (b"a1", b"a2"):
            bench.hear(can(data))
        bench.ask(SETUP, flags=SET, second=10)
        bench.wait(100)
        assert [message[DATA : DATA + 2] for _, message, *_ in bench.take()] == [b"a1"]

    def test_the_stamp_is_that_of_the_frame_heard_last(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, second=10)
        for now, letter in ((1, "a"), (2, "b"), (4, "b")):
            bench.wait(now)
            hear(bench, letter)
        bench.wait(100)
        assert bench.stamps == [1, 4]

    def test_setting_times_tells_what_is_held_back(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        hear(bench, "ab")
        bench.wait(3)
        bench.ask(SETUP, flags=SET, second=20)
        changed = bench.message(CHANGED, can(b"b"), flags=SET | EVERY, second=20)
        assert bench.take()[1:] == [(3, changed, 1, 0)]
        hear(bench, "cd")
        bench.wait(100)
        assert [(at, message[DATA : DATA + 1]) for at, message, _, _ in bench.take()] == [
            (3, b"c"),
            (23, b"d"),
        ]

    def test_setting_none_ends_it(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        hear(bench, "ab")
        bench.ask(SETUP, flags=SET)
        assert tells(bench) == "ab"
        hear(bench, "cde")
        assert tells(bench) == "cde"
        bench.wait(100)
        assert bench.told == []

    def test_an_update_without_times_leaves_it_alone(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        hear(bench, "ab")
        bench.ask(SETUP)
        bench.wait(100)
        assert tells(bench) == "ab"

    def test_an_update_with_frames_forgets_what_is_held_back(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, second=10)
        hear(bench, "ab")
        bench.ask(SETUP, can(FULL), flags=SET, second=10)
        bench.wait(100)
        assert tells(bench) == "a"

    def test_what_is_held_back_of_a_content_is_told_when_every_frame_is(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET, second=10)
        hear(bench, "ab")
        bench.ask(SETUP, flags=SET)
        assert tells(bench) == "ab"

    def test_a_throttle_that_comes_late_keeps_its_beat(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        hear(bench, "ab")
        bench.be_late(34)
        assert tells(bench) == "ab"
        hear(bench, "c")
        bench.wait(40)
        assert [at for at, *_ in bench.take()] == [40]

    def test_deleted_it_tells_no_more(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        hear(bench, "ab")
        bench.ask(DELETE)
        bench.wait(100)
        assert tells(bench) == "a"

    def test_with_a_timeout(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET | START | RESUME, first=25, second=10)
        hear(bench, "ab")
        bench.wait(100)
        assert [(at, opcode(message)) for at, message, _, _ in bench.take()] == [
            (0, CHANGED),
            (10, CHANGED),
            (25, TIMEOUT),
        ]

    def test_a_timeout_that_forgets_the_content_forgets_what_is_held_back(
        self, bench: Bench
    ) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START | RESUME, first=5, second=10)
        hear(bench, "ab")
        bench.wait(100)
        assert tells(bench) == "aT"

    def test_padding_does_not_look_as_if_it_were_held_back(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET, second=10)
        bench.hear(can(b"a", pad=0xFF))
        bench.hear(can(b"b", pad=0xFF))
        bench.wait(100)
        assert tells(bench) == "ab"


class TestOnAllInterfaces:
    def test_without_times_all_are_told(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), interface=0)
        for interface, data in ((1, b"\1"), (2, b"\2"), (1, b"\3"), (3, b"\3")):
            bench.hear(can(data), interface=interface)
        assert [where for _, _, where, _ in bench.take()] == [1, 2, 1]

    @pytest.mark.parametrize("times", [(10, 0), (0, 10)])
    def test_with_times_it_is_for_the_first_that_is_heard(
        self, bench: Bench, times: tuple[int, int]
    ) -> None:
        first, second = times
        bench.ask(SETUP, flags=SET, first=first, second=second, interface=0)
        for now, (interface, data) in enumerate(((2, b"\1"), (1, b"\2"), (3, b"\3"), (2, b"\4"))):
            bench.wait(20 * now)
            bench.hear(can(data), interface=interface)
        told = [
            (where, message[DATA])
            for _, message, where, _ in bench.take()
            if opcode(message) == CHANGED
        ]
        assert told == [(2, 1), (2, 4)]

    def test_frames_of_others_do_not_begin_the_timeout_anew(self, bench: Bench) -> None:
        bench.ask(SETUP, flags=SET | START, first=10, interface=0)
        bench.hear(can(b"\1"), interface=2)
        bench.take()
        for now in (4, 8):
            bench.wait(now)
            bench.hear(can(b"\1"), interface=1)
        bench.wait(100)
        expected = bench.message(TIMEOUT, flags=SET | START | EVERY, first=10)
        assert bench.take() == [(10, expected, 2, 0)]

    def test_times_that_are_set_later_make_it_for_the_one_heard_last(self, bench: Bench) -> None:
        bench.ask(SETUP, interface=0)
        bench.hear(can(b"\1"), interface=1)
        bench.hear(can(b"\2"), interface=3)
        bench.take()
        bench.ask(SETUP, flags=SET, first=10, interface=0)
        bench.hear(can(b"\3"), interface=1)
        bench.hear(can(b"\4"), interface=3)
        assert [where for _, _, where, _ in bench.take()] == [3]
        # And without them it is for all again.
        bench.ask(SETUP, flags=SET, interface=0)
        bench.hear(can(b"\5"), interface=1)
        assert [where for _, _, where, _ in bench.take()] == [1]

    def test_a_status_comes_from_the_one_heard_last(self, bench: Bench) -> None:
        bench.ask(SETUP, interface=0)
        expected = bench.message(STATUS, flags=EVERY)
        for interface in (0, 2, 1):
            if interface:
                bench.hear(can(b"\1"), interface=interface)
            bench.told.clear()
            bench.ask(READ, interface=0)
            assert bench.take() == [(0, expected, interface, 0)]


class TestAnswers:
    """RX_RTR_FRAME: a remote request is answered with a frame."""

    def test_each_request_is_answered_and_nothing_is_told(self, bench: Bench) -> None:
        answer = can(b"\x2a")
        assert bench.ask(SETUP, answer, flags=RTR, can_id=REQUEST) == ""
        for number in range(3):
            bench.wait(number)
            bench.hear(can(word=REQUEST, length=number))
        assert bench.answered == [(number, answer, 1) for number in range(3)]
        assert (bench.sent, bench.told) == ([], [])

    @pytest.mark.parametrize(
        ("word", "flags", "sent"),
        [
            (REQUEST, 0, 0x123),  # the request's own identifier: the mark is taken out
            (0x123, 0, 0x123),
            (0x40000456, 0, 0x40000456),
            (0x456, 0, 0x456),
            (0x40000456, COPY, 0x123),
            (0x456, COPY, 0x123),
            (REQUEST, COPY, 0x123),
        ],
    )
    def test_the_answers_identifier(self, bench: Bench, word: int, flags: int, sent: int) -> None:
        bench.ask(SETUP, can(b"\1", word=word), flags=RTR | flags, can_id=REQUEST)
        bench.hear(can(word=REQUEST))
        assert bench.answered == [(0, can(b"\1", word=sent), 1)]
        expected = bench.message(STATUS, can(b"\1", word=sent), flags=RTR | flags, can_id=REQUEST)
        assert bench.read(READ, can_id=REQUEST) == (0, expected, 1, 0)

    def test_of_29_bits(self, bench: Bench) -> None:
        word = 0xC2345678
        bench.ask(SETUP, can(b"\1", word=word), flags=RTR, can_id=word)
        bench.hear(can(word=word))
        assert bench.answered == [(0, can(b"\1", word=0x82345678), 1)]

    def test_an_update_changes_the_answer(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\1"), flags=RTR, can_id=REQUEST)
        bench.ask(SETUP, can(b"\2", word=REQUEST), flags=RTR, can_id=REQUEST)
        bench.hear(can(word=REQUEST))
        assert bench.answered == [(0, can(b"\2"), 1)]

    def test_times_are_not_taken(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\1"), flags=RTR | SET | START, first=10, second=10, can_id=REQUEST)
        for _ in range(2):
            bench.hear(can(word=REQUEST))
        bench.wait(100)
        assert len(bench.answered) == 2
        assert bench.told == []

    def test_what_was_watched_before_is_answered_now(self, bench: Bench) -> None:
        bench.ask(SETUP, can(FULL), flags=SET | START, first=20, second=10, can_id=REQUEST)
        for letter in (b"a", b"b"):
            bench.hear(can(letter, word=REQUEST))
        assert tells(bench) == "a"
        assert bench.ask(SETUP, can(b"\1"), flags=RTR, can_id=REQUEST) == ""
        bench.wait(100)
        bench.hear(can(word=REQUEST))
        assert bench.told == []
        assert bench.answered == [(100, can(b"\1"), 1)]

    def test_and_the_other_way_round(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\1"), flags=RTR, can_id=REQUEST)
        assert bench.ask(SETUP, can_id=REQUEST) == ""
        bench.hear(can(b"a", word=REQUEST))
        assert tells(bench) == "a"
        assert bench.answered == []

    def test_on_all_interfaces_nothing_is_answered(self, bench: Bench) -> None:
        assert bench.ask(SETUP, can(b"\1"), flags=RTR, can_id=REQUEST, interface=0) == ""
        bench.hear(can(word=REQUEST), interface=1)
        assert (bench.answered, bench.told) == ([], [])

    @pytest.mark.parametrize(
        ("frames", "flags", "can_id"),
        [
            ((), RTR, REQUEST),
            ((can(), can()), RTR, REQUEST),
            ((can(),), RTR | EVERY, REQUEST),
            ((can(),), RTR, 0x123),
            ((can(length=9),), RTR, REQUEST),
            ((canfd(length=65),), RTR | FD, REQUEST),
        ],
    )
    def test_what_is_refused(
        self, bench: Bench, frames: tuple[bytes, ...], flags: int, can_id: int
    ) -> None:
        assert bench.ask(SETUP, *frames, flags=flags, can_id=can_id) == "EINVAL"
        assert bench.ask(READ, flags=flags & FD, can_id=can_id) == "EINVAL"
        assert bench.listening == []

    def test_a_refused_update_changes_nothing(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\1"), flags=RTR, can_id=REQUEST)
        assert bench.ask(SETUP, can(length=9), flags=RTR, can_id=REQUEST) == "EINVAL"
        bench.hear(can(word=REQUEST))
        assert bench.answered == [(0, can(b"\1"), 1)]

    def test_deleted(self, bench: Bench) -> None:
        bench.ask(SETUP, can(b"\1"), flags=RTR, can_id=REQUEST)
        bench.ask(DELETE, can_id=REQUEST)
        assert bench.listening == []
