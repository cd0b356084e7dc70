"""Cyclic transmissions: what is sent when, what is told, and what can be read of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engine.conftest import Bench

SETUP, DELETE, READ, STATUS, EXPIRED = 1, 2, 3, 8, 9
SET, START, EVENT, ANNOUNCE, COPY, RESET, FD = 1, 2, 4, 8, 0x10, 0x200, 0x800


def can(word: int = 0x123, data: bytes = b"", length: int | None = None, pad: int = 0) -> bytes:
    return struct.pack("=IBBxx8s", word, len(data) if length is None else length, pad, data)


def canfd(word: int, data: bytes, flags: int = 0) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data), flags, data)


A, B, C, D = (can(0x123, bytes([number])) for number in range(4))


def beats(bench: Bench) -> list[float]:
    """Give when something was sent since the last time."""
    return [at for at, _, _ in bench.take_sent()]


def what(bench: Bench) -> str:
    """Give which of the frames above were sent since the last time."""
    return "".join("ABCD"[frame[8]] for _, frame, _ in bench.take_sent())


class TestBeat:
    def test_it_sends_at_once_and_then_at_the_second_interval_for_ever(self, bench: Bench) -> None:
        assert bench.ask(SETUP, A, flags=SET | START, second=10, interface=7) == ""
        assert bench.take_sent() == [(0, A, 7)]
        bench.wait(9.999)
        assert bench.sent == []
        bench.wait(35)
        assert bench.take_sent() == [(10, A, 7), (20, A, 7), (30, A, 7)]
        bench.wait(10_000)
        assert len(bench.sent) == 997
        assert bench.told == []

    def test_set_timer_alone_starts_nothing(self, bench: Bench) -> None:
        assert bench.ask(SETUP, A, flags=SET | EVENT, count=3, first=10, second=10) == ""
        bench.wait(100)
        assert (bench.sent, bench.told) == ([], [])
        status = bench.message(STATUS, A, flags=SET | EVENT, count=3, first=10, second=10)
        assert bench.read(READ) == (100, status, 0, 0)

    def test_start_timer_alone_takes_the_intervals_that_are_set(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET, second=10)
        bench.wait(7)
        # Without SETTIMER, what the message says of times is not looked at.
        bench.ask(SETUP, A, flags=START, count=9, first=3, second=3)
        bench.wait(30)
        assert beats(bench) == [7, 17, 27]

    def test_without_intervals_a_start_sends_once(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=START)
        bench.ask(SETUP, B, flags=SET | START, can_id=2)
        bench.wait(1000)
        assert what(bench) == "AB"
        assert bench.timers.deadline is None

    def test_an_announcement_alone_sends_now_and_starts_no_timer(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | ANNOUNCE, second=10)
        bench.wait(100)
        assert beats(bench) == [0]

    def test_an_announcement_leaves_the_beat_alone(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.wait(14)
        bench.ask(SETUP, B, flags=ANNOUNCE)
        bench.wait(25)
        assert [(at, frame) for at, frame, _ in bench.sent] == [(0, A), (10, A), (14, B), (20, B)]

    def test_a_start_begins_the_beat_anew(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.wait(14)
        bench.ask(SETUP, A, flags=START)
        bench.wait(40)
        assert beats(bench) == [0, 10, 14, 24, 34]

    def test_content_that_changes_leaves_the_beat_alone(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.wait(14)
        bench.ask(SETUP, B)
        assert what(bench) == "AA"
        bench.wait(30)
        assert bench.sent == [(20, B, 1), (30, B, 1)]

    def test_set_timer_alone_counts_from_the_next_beat(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.wait(14)
        bench.ask(SETUP, A, flags=SET, second=100)
        bench.wait(250)
        assert beats(bench) == [0, 10, 20, 120, 220]

    def test_no_intervals_stop_it(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.wait(14)
        bench.ask(SETUP, A, flags=SET)
        bench.wait(100)
        assert beats(bench) == [0, 10]
        # Set again, they start none that is stopped.
        bench.ask(SETUP, A, flags=SET, second=10)
        bench.wait(200)
        assert bench.sent == []
        bench.ask(SETUP, A, flags=START)
        bench.wait(215)
        assert beats(bench) == [200, 210]

    def test_stopped_it_stays_so_until_the_beat_would_have_been(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.wait(14)
        bench.ask(SETUP, A, flags=SET)
        bench.ask(SETUP, A, flags=SET, second=10)
        bench.wait(100)
        assert beats(bench) == [0, 10]

    def test_one_that_has_run_out_is_stopped_too(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, count=2, first=10)
        bench.wait(50)
        bench.ask(SETUP, A, flags=SET, count=5, first=10, second=10)
        bench.wait(100)
        assert beats(bench) == [0, 10]

    def test_a_beat_that_comes_late_is_kept(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.be_late(13)
        bench.be_late(21)
        bench.wait(30)
        assert beats(bench) == [0, 13, 21, 30]

    def test_beats_that_were_missed_are_not_made_up_for(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.be_late(57)
        assert beats(bench) == [0, 57]
        bench.wait(90)
        assert beats(bench) == [67, 77, 87]

    def test_not_even_one_that_is_due_just_then(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.be_late(20)
        assert beats(bench) == [0, 20]
        bench.wait(45)
        assert beats(bench) == [30, 40]

    def test_the_shortest_interval(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=(0, 1))
        bench.wait(0.01)
        assert beats(bench) == [number / 1000 for number in range(11)]

    def test_several_at_one_time_go_in_the_order_of_their_start(self, bench: Bench) -> None:
        for number, frame in enumerate((C, A, B)):
            bench.ask(SETUP, frame, flags=SET | START, second=10, can_id=number)
        bench.wait(25)
        assert what(bench) == "CAB" * 3


class TestCount:
    def test_so_many_at_the_first_interval_and_the_end_is_told(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, first=10)
        bench.wait(100)
        assert beats(bench) == [0, 10, 20]
        expired = bench.message(EXPIRED, flags=0xF, count=0, first=10)
        assert bench.take() == [(20, expired, 0, 0)]
        assert bench.stamps == [0]
        assert bench.timers.deadline is None

    def test_then_at_the_second_one(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, first=10, second=25)
        bench.wait(100)
        assert beats(bench) == [0, 10, 20, 45, 70, 95]
        expired = bench.message(EXPIRED, flags=0xF, first=10, second=25)
        assert bench.take() == [(20, expired, 0, 0)]

    def test_the_end_is_told_before_the_last_frame_is_sent(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order: list[str] = []
        monkeypatch.setattr(bench, "transmit", lambda *_: order.append("sent"))
        monkeypatch.setattr(bench, "tell", lambda *_: order.append("told"))
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, first=10, second=25)
        bench.wait(50)
        assert order == ["sent", "sent", "told", "sent", "sent"]

    def test_unasked_the_end_is_not_told(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, count=3, first=10, second=25)
        bench.wait(50)
        assert beats(bench) == [0, 10, 20, 45]
        assert bench.told == []

    @pytest.mark.parametrize(("second", "expected"), [(0, [0]), (25, [0, 25, 50])])
    def test_one_goes_with_the_start_and_its_end_is_not_told(
        self, bench: Bench, second: int, expected: list[float]
    ) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=1, first=10, second=second)
        bench.wait(60)
        assert beats(bench) == expected
        assert bench.told == []

    def test_what_is_left_can_be_read(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, first=10)
        for now, left in ((5, 2), (15, 1), (25, 0)):
            bench.wait(now)
            status = bench.message(STATUS, A, flags=0xF, count=left, first=10)
            assert bench.read(READ) == (now, status, 0, 0)

    def test_announcements_count_and_the_end_is_not_told(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, first=10)
        bench.ask(SETUP, A, flags=ANNOUNCE | EVENT)
        bench.ask(SETUP, A, flags=ANNOUNCE | EVENT)
        status = bench.message(STATUS, A, flags=ANNOUNCE | EVENT, count=0, first=10)
        assert bench.read(READ) == (0, status, 0, 0)
        bench.ask(SETUP, A, flags=ANNOUNCE | EVENT)  # there is nothing left to count
        assert bench.read(READ) == (0, status, 0, 0)
        bench.wait(100)
        assert beats(bench) == [0, 0, 0, 0]
        assert bench.told == []

    def test_an_announcement_brings_the_end_closer(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, first=10, second=25)
        bench.wait(5)
        bench.ask(SETUP, A, flags=ANNOUNCE | EVENT)
        bench.wait(50)
        assert beats(bench) == [0, 5, 10, 35]
        assert [at for at, *_ in bench.take()] == [10]

    def test_after_an_announced_end_it_goes_on_at_the_second_interval(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=2, first=10, second=25)
        bench.wait(5)
        bench.ask(SETUP, A, flags=ANNOUNCE | EVENT)
        bench.wait(50)
        assert beats(bench) == [0, 5, 10, 35]
        assert bench.told == []

    def test_without_a_first_interval_it_counts_down_and_tells_nothing(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, second=10)
        for now, left in ((5, 2), (15, 1), (25, 0), (35, 0)):
            bench.wait(now)
            status = bench.message(STATUS, A, flags=0xF, count=left, second=10)
            assert bench.read(READ) == (now, status, 0, 0)
        assert beats(bench) == [0, 10, 20, 30]
        assert bench.told == []

    def test_without_a_count_the_first_interval_is_of_no_use(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, first=10)
        bench.wait(100)
        bench.ask(SETUP, A, flags=SET | START | EVENT, first=10, second=30)
        bench.wait(170)
        assert beats(bench) == [0, 100, 130, 160]
        assert bench.told == []

    def test_a_count_set_anew_counts_from_the_next_beat(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        bench.wait(14)
        bench.ask(SETUP, A, flags=SET | EVENT, count=2, first=3)
        bench.wait(100)
        assert beats(bench) == [0, 10, 20, 23]
        expired = bench.message(EXPIRED, flags=SET | EVENT, first=3)
        assert bench.take() == [(23, expired, 0, 0)]

    def test_started_again_it_does_not_begin_to_count_again(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=3, first=10, second=50)
        bench.wait(14)
        bench.ask(SETUP, A, flags=START)  # the third; and it no longer tells the end
        bench.wait(70)
        assert beats(bench) == [0, 10, 14, 64]
        assert bench.told == []

    def test_of_two_it_tells_which_one_ended(self, bench: Bench) -> None:
        fast, slow = 0x80000123, 0x123
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=2, first=20, can_id=slow)
        bench.ask(
            SETUP, canfd(1, b""), flags=SET | START | EVENT | FD, count=2, first=10, can_id=fast
        )
        bench.wait(100)
        assert bench.take() == [
            (10, bench.message(EXPIRED, flags=0x80F, first=10, can_id=fast), 0, 0),
            (20, bench.message(EXPIRED, flags=0xF, first=20, can_id=slow), 0, 0),
        ]


class TestFlags:
    def test_a_start_implies_an_announcement(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=START)
        assert bench.read(READ) == (0, bench.message(STATUS, A, flags=0xA), 0, 0)

    def test_every_update_replaces_them(self, bench: Bench) -> None:
        for flags in (SET | START | EVENT, 0, EVENT, COPY | RESET, 0):
            bench.ask(SETUP, A, flags=flags, second=10)
            seen = flags | ANNOUNCE if flags & START else flags
            status = bench.message(STATUS, A, flags=seen, second=10)
            assert bench.read(READ) == (0, status, 0, 0)

    def test_whether_the_end_is_told_is_of_the_latest_update(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, count=3, first=10)
        bench.ask(SETUP, A, flags=EVENT)
        bench.wait(100)
        assert bench.take() == [(20, bench.message(EXPIRED, flags=EVENT, first=10), 0, 0)]

    def test_flags_that_mean_nothing_to_it_are_kept(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=0xFFFFF060)
        assert bench.read(READ) == (0, bench.message(STATUS, A, flags=0xFFFFF060), 0, 0)


class TestSequence:
    def test_one_after_the_other(self, bench: Bench) -> None:
        bench.ask(SETUP, A, B, C, flags=SET | START, second=10)
        bench.wait(75)
        assert what(bench) == "ABCABCAB"

    def test_an_update_goes_on_where_it_is(self, bench: Bench) -> None:
        bench.ask(SETUP, A, B, C, flags=SET | START, second=10)
        bench.wait(5)
        bench.ask(SETUP, A, D, C)
        bench.wait(15)
        bench.ask(SETUP, A, B, C, flags=START)
        bench.wait(20)
        assert what(bench) == "ADC"

    def test_it_begins_anew_when_that_is_asked_for(self, bench: Bench) -> None:
        bench.ask(SETUP, A, B, C, flags=SET | START, second=10)
        bench.wait(15)
        bench.ask(SETUP, A, B, C, flags=RESET)
        bench.wait(35)
        assert what(bench) == "ABAB"

    def test_fewer_frames_begin_anew_and_cannot_become_more_again(self, bench: Bench) -> None:
        bench.ask(SETUP, A, B, C, D, flags=SET | START, second=10)
        bench.wait(5)
        assert bench.ask(SETUP, A, B, C) == ""
        bench.wait(25)
        assert what(bench) == "AAB"
        assert bench.ask(SETUP, A, B, C, D) == "E2BIG"
        bench.wait(35)
        assert what(bench) == "C"
        status = bench.message(STATUS, A, B, C, second=10)
        assert bench.read(READ) == (35, status, 0, 0)

    def test_more_frames_than_set_up_change_nothing(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START, second=10)
        assert bench.ask(SETUP, B, C, flags=SET | START, second=1) == "E2BIG"
        bench.wait(25)
        assert what(bench) == "AAA"

    def test_256(self, bench: Bench) -> None:
        frames = [can(number, bytes([number])) for number in range(256)]
        assert bench.ask(SETUP, *frames, flags=SET | START, second=1) == ""
        bench.wait(256)
        assert [frame for _, frame, _ in bench.sent] == [*frames, frames[0]]
        bench.ask(SETUP, *frames)
        assert bench.read(READ) == (256, bench.message(STATUS, *frames, second=1), 0, 0)


class TestFrames:
    def test_each_has_an_identifier_of_its_own(self, bench: Bench) -> None:
        frames = [can(1), can(0xC0000002, b"", 8), can(0x20000004, bytes(8))]
        bench.ask(SETUP, *frames, flags=SET | START, second=10)
        bench.wait(20)
        assert [frame for _, frame, _ in bench.sent] == frames

    def test_the_heads_identifier_goes_into_every_frame(self, bench: Bench) -> None:
        one, two = can(1, b"\1"), can(2, b"\2\2")
        bench.ask(SETUP, one, two, flags=SET | START | COPY, second=10, can_id=0x9234ABCD)
        bench.wait(10)
        copied = [can(0x9234ABCD, b"\1"), can(0x9234ABCD, b"\2\2")]
        assert [frame for _, frame, _ in bench.take_sent()] == copied
        status = bench.message(STATUS, *copied, flags=0x1B, second=10, can_id=0x9234ABCD)
        assert bench.read(READ, can_id=0x9234ABCD) == (10, status, 0, 0)
        bench.ask(SETUP, one, two, can_id=0x9234ABCD)
        bench.wait(30)
        assert [frame for _, frame, _ in bench.sent] == [one, two]

    def test_can_fd(self, bench: Bench) -> None:
        one, two = canfd(1, bytes(64), 3), canfd(2, b"\1")
        bench.ask(SETUP, one, two, flags=SET | START | COPY | FD, second=10, can_id=9)
        bench.wait(10)
        expected = [canfd(9, bytes(64), 3), canfd(9, b"\1")]
        assert [frame for _, frame, _ in bench.sent] == expected

    def test_padding_and_what_lies_behind_the_data_is_sent_unchanged(self, bench: Bench) -> None:
        frame = struct.pack("=IB11s", 0x123, 2, b"\xff\xfe\xfdabcdefgh")
        bench.ask(SETUP, frame, flags=START)
        assert bench.sent == [(0, frame, 1)]

    @pytest.mark.parametrize(
        ("pad", "shown", "flags"),
        [
            (0x00, 0x00, 0),
            (0x0F, 0x0F, 0),
            (0x10, 0x00, 0x4),
            (0x20, 0x00, 0x800),
            (0xC0, 0x00, 0),
            (0xFF, 0x0F, 0x804),
        ],
    )
    def test_the_kernels_marks_are_taken_out_of_one_that_is_read(
        self, bench: Bench, pad: int, shown: int, flags: int
    ) -> None:
        bench.ask(SETUP, can(0x123, b"\1", pad=pad), flags=SET | START, second=10)
        expected = bench.message(STATUS, can(0x123, b"\1", pad=shown), flags=0xB, second=10)
        assert bench.read(READ) == (0, expected, 0, flags)
        bench.wait(10)
        assert bench.sent == [(at, can(0x123, b"\1", pad=pad), 1) for at in (0, 10)]

    def test_they_are_not_taken_out_of_several(self, bench: Bench) -> None:
        frames = can(1, pad=0xFF), can(2, pad=0x30)
        bench.ask(SETUP, *frames)
        assert bench.read(READ) == (0, bench.message(STATUS, *frames), 0, 0)


class TestEnd:
    def test_deleted(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=9, first=10)
        bench.wait(15)
        assert bench.ask(DELETE) == ""
        bench.wait(1000)
        assert beats(bench) == [0, 10]
        assert bench.told == []

    def test_deleted_and_set_up_again_it_knows_nothing_of_before(self, bench: Bench) -> None:
        bench.ask(SETUP, A, B, flags=SET | START | EVENT, count=9, first=10)
        bench.ask(DELETE)
        assert bench.ask(SETUP, A, B, C, flags=START) == ""
        bench.wait(100)
        assert what(bench) == "AA"
        assert bench.read(READ) == (100, bench.message(STATUS, A, B, C, flags=0xA), 0, 0)

    def test_its_interface_is_gone(self, bench: Bench) -> None:
        bench.ask(SETUP, A, flags=SET | START | EVENT, count=9, first=10, interface=1)
        bench.ask(SETUP, B, flags=SET | START, second=10, interface=2)
        bench.wait(15)
        bench.manager.interface_removed(1)
        bench.wait(35)
        assert what(bench) == "ABABBB"
        assert bench.told == []
