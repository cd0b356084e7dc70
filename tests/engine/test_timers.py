"""Timers: who is told, in which order, and when somebody has to look next."""

from __future__ import annotations

import random
from typing import TypeAlias

import pytest
from hypothesis import given, settings, strategies

from anycan.engine.timers import Timer, Timers


class Bench:
    """Timers that note who was told, and what an event loop would know of them."""

    def __init__(self, count: int = 4) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.changes = 0
        self.timers = Timers(self._changed)
        self.one, self.two, self.three, *_ = self.all = [
            self.make(name) for name in "abcdefghij"[:count]
        ]

    def _changed(self) -> None:
        self.changes += 1

    def make(self, name: str) -> Timer:
        return self.timers.timer(lambda due, now: self.told.append((name, due, now)))

    def run(self, now: int) -> list[tuple[str, int, int]]:
        """Run what is due, and give who was told since the last time."""
        self.timers.run(now)
        told, self.told = self.told, []
        return told

    def names(self, now: int) -> str:
        return "".join(name for name, _, _ in self.run(now))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_runs(bench: Bench) -> None:
    assert bench.timers.deadline is None
    assert bench.run(1 << 80) == []
    bench.one.cancel()
    bench.one.discard()
    assert bench.timers.deadline is None
    assert bench.changes == 0


def test_it_is_told_when_it_was_due_and_what_time_it_is(bench: Bench) -> None:
    bench.one.start(10)
    assert (bench.timers.deadline, bench.one.deadline) == (10, 10)
    assert bench.run(9) == []
    assert bench.run(12) == [("a", 10, 12)]
    assert (bench.timers.deadline, bench.one.deadline) == (None, None)
    assert bench.run(100) == []


def test_a_time_that_is_now_is_due(bench: Bench) -> None:
    bench.one.start(10)
    assert bench.run(10) == [("a", 10, 10)]


def test_the_order_is_that_of_the_times(bench: Bench) -> None:
    for timer, deadline in zip(bench.all, (30, 10, 20, 40), strict=True):
        timer.start(deadline)
    assert bench.timers.deadline == 10
    assert bench.names(30) == "bca"
    assert bench.timers.deadline == 40


def test_no_more_than_so_many_are_told_at_once_and_none_is_forgotten(bench: Bench) -> None:
    for timer in bench.all:
        timer.start(10)
    told = []
    for _ in range(3):
        bench.timers.run(10, 2)
        told.append("".join(name for name, _, _ in bench.told))
    assert told == ["ab", "abcd", "abcd"]
    assert bench.timers.deadline is None


def test_at_one_time_the_order_is_that_of_their_starts(bench: Bench) -> None:
    for timer in (bench.two, bench.one, bench.three):
        timer.start(10)
    assert bench.names(10) == "bac"


def test_started_again_for_the_same_time_it_comes_last(bench: Bench) -> None:
    bench.one.start(10)
    bench.two.start(10)
    bench.one.start(10)
    assert bench.names(10) == "ba"


def test_put_off_to_the_time_of_others_it_comes_last(bench: Bench) -> None:
    bench.one.start(10)
    bench.two.start(20)
    bench.one.start(20)
    bench.three.start(20)
    assert bench.timers.deadline == 20
    assert bench.names(20) == "bac"


def test_cancelled_and_started_for_the_same_time_it_comes_last(bench: Bench) -> None:
    bench.one.start(10)
    bench.two.start(10)
    bench.one.cancel()
    bench.one.start(10)
    assert bench.names(10) == "ba"


def test_put_off_it_is_told_once_at_the_later_time(bench: Bench) -> None:
    bench.one.start(10)
    for deadline in range(11, 500):
        bench.one.start(deadline)
    assert len(bench.timers._entries) == 1
    assert bench.run(498) == []
    assert bench.timers.deadline == 499
    assert bench.run(500) == [("a", 499, 500)]


def test_put_off_while_the_time_passes(bench: Bench) -> None:
    for now in range(0, 1000, 5):
        assert bench.run(now) == []
        bench.one.start(now + 8)
        assert bench.timers.deadline == now + 8
        assert (len(bench.timers._entries), bench.timers._dead) == (1, 0)


def test_made_earlier_it_is_told_once_at_the_earlier_time(bench: Bench) -> None:
    bench.one.start(100)
    bench.one.start(10)
    assert bench.timers.deadline == 10
    assert bench.run(200) == [("a", 10, 200)]
    assert bench.run(300) == []


def test_put_off_and_made_earlier_again(bench: Bench) -> None:
    bench.one.start(10)
    bench.one.start(30)
    bench.one.start(20)
    assert bench.timers.deadline == 20
    assert bench.run(19) == []
    assert bench.run(20) == [("a", 20, 20)]


def test_cancelled_it_is_not_told_and_can_be_started_again(bench: Bench) -> None:
    bench.one.start(10)
    bench.two.start(10)
    bench.one.cancel()
    assert bench.one.deadline is None
    assert bench.timers.deadline == 10
    assert bench.names(15) == "b"
    bench.one.start(20)
    assert bench.run(20) == [("a", 20, 20)]


def test_cancelled_it_leaves_no_deadline(bench: Bench) -> None:
    bench.one.start(10)
    bench.one.cancel()
    assert bench.timers.deadline is None
    assert (bench.timers._entries, bench.timers._dead) == ([], 0)
    bench.one.start(20)
    bench.one.cancel()
    bench.one.start(5)
    assert bench.timers.deadline == 5


def test_cancelled_by_one_that_is_told_at_the_same_time(bench: Bench) -> None:
    first = bench.timers.timer(lambda _due, _now: bench.one.cancel())
    second = bench.timers.timer(lambda _due, _now: bench.two.discard())
    first.start(10)
    second.start(10)
    for timer in bench.all:
        timer.start(10)
    assert bench.names(10) == "cd"


def test_discarded_it_is_not_told_and_frees_its_place(bench: Bench) -> None:
    bench.one.start(10)
    bench.two.start(20)
    bench.one.discard()
    bench.one.discard()
    assert bench.timers._dead == 1
    assert bench.timers.deadline == 20
    assert (len(bench.timers._entries), bench.timers._dead) == (1, 0)
    assert bench.names(30) == "b"


def test_a_thousand_discarded_take_no_room(bench: Bench) -> None:
    bench.one.start(2_000)
    bench.two.start(3_000)
    for number in range(1_000):
        timer = bench.make("x")
        timer.start(1_000_000 + number)
        timer.discard()
        assert len(bench.timers._entries) <= 2 + 65
    bench.three.start(1)
    assert bench.names(10**9) == "cab"
    assert bench.timers._entries == []


def test_a_timer_that_comes_ever_closer_takes_no_room(bench: Bench) -> None:
    bench.two.start(1_500)
    for deadline in range(2_000, 1_000, -1):
        bench.one.start(deadline)
        assert bench.timers.deadline == min(1_500, deadline)
        assert len(bench.timers._entries) <= 2 + 65
    assert bench.run(2_000) == [("a", 1_001, 2_000), ("b", 1_500, 2_000)]
    assert bench.timers._dead == 0


def test_those_that_live_keep_their_order_when_places_are_cleared_up(bench: Bench) -> None:
    generator = random.Random(1)
    living = [bench.make("x") for _ in range(300)]
    for timer in living:
        timer.start(generator.randrange(1_000))
    generator.shuffle(living)
    for timer in living[:150]:
        timer.discard()
    assert len(bench.timers._entries) == 300  # no more than half of them are of no use
    living[150].discard()
    assert len(bench.timers._entries) == 149
    expected = sorted(timer.deadline or 0 for timer in living[151:])
    assert bench.timers.deadline == expected[0]
    assert [due for _, due, _ in bench.run(1_000)] == expected
    assert [bench.timers.deadline, bench.timers._dead] == [None, 0]


def test_discarded_while_they_are_told() -> None:
    bench = Bench()
    others = [bench.make("x") for _ in range(200)]

    def discard_others(_due: int, _now: int) -> None:
        for timer in others:
            timer.discard()

    bench.timers.timer(discard_others).start(10)
    for timer in others:
        timer.start(10)
    bench.one.start(10)
    bench.two.start(5)
    assert bench.run(10) == [("b", 5, 10), ("a", 10, 10)]
    assert (bench.timers._entries, bench.timers._dead) == ([], 0)


def test_started_by_itself_for_a_later_time(bench: Bench) -> None:
    told: list[tuple[int, int]] = []

    def expired(due: int, now: int) -> None:
        told.append((due, now))
        timer.start(due + 10)

    timer = bench.timers.timer(expired)
    timer.start(10)
    bench.timers.run(10)
    assert (told, bench.timers.deadline) == ([(10, 10)], 20)
    # Those that are due by now are told now.
    bench.timers.run(45)
    assert told[1:] == [(20, 45), (30, 45), (40, 45)]
    assert bench.timers.deadline == 50


def test_started_again_by_what_it_returns(bench: Bench) -> None:
    told: list[tuple[int, int]] = []

    def expired(due: int, now: int) -> int | None:
        told.append((due, now))
        return due + 10 if due < 50 else None

    bench.timers.timer(expired).start(10)
    bench.timers.run(10)
    assert (told, bench.timers.deadline) == ([(10, 10)], 20)
    assert (len(bench.timers._entries), bench.timers._dead) == (1, 0)
    bench.timers.run(45)
    assert told[1:] == [(20, 45), (30, 45), (40, 45)]
    bench.timers.run(1000)
    assert told[4:] == [(50, 1000)]
    assert (bench.timers._entries, bench.timers.deadline) == ([], None)


def test_started_again_so_it_comes_behind_those_started_before(bench: Bench) -> None:
    def expired(due: int, _now: int) -> int | None:
        bench.told.append(("x", due, 0))
        return 20 if due == 10 else None

    bench.timers.timer(expired).start(10)
    bench.one.start(20)
    assert bench.names(20) == "xax"


def test_what_it_returns_counts_for_more_than_what_it_started(bench: Bench) -> None:
    def expired(due: int, _now: int) -> int | None:
        bench.told.append(("x", due, 0))
        timer.start(12)
        return 30 if due == 10 else None

    timer = bench.timers.timer(expired)
    timer.start(10)
    assert bench.names(15) == "x"
    assert bench.timers.deadline == 30


def test_one_discarded_while_it_is_told_frees_its_place(bench: Bench) -> None:
    timer = bench.timers.timer(lambda _due, _now: timer.discard())
    timer.start(10)
    bench.one.start(20)
    assert bench.names(10) == ""
    assert (bench.timers.deadline, len(bench.timers._entries), bench.timers._dead) == (20, 1, 0)


def test_one_is_started_for_a_time_that_is_past_while_another_is_told(bench: Bench) -> None:
    def expired(due: int, now: int) -> int | None:
        bench.told.append(("x", due, now))
        if due == 20:
            bench.one.start(5)
            return 40
        return None

    bench.timers.timer(expired).start(20)
    assert bench.run(30) == [("x", 20, 30), ("a", 5, 30)]
    assert (bench.timers.deadline, len(bench.timers._entries), bench.timers._dead) == (40, 1, 0)


def test_another_is_started_while_one_is_told(bench: Bench) -> None:
    bench.timers.timer(lambda due, _now: bench.one.start(due + 1)).start(10)
    bench.timers.timer(lambda due, _now: bench.two.start(due + 100)).start(10)
    assert bench.run(20) == [("a", 11, 20)]
    assert bench.timers.deadline == 110


def test_what_one_raises_keeps_no_other_from_being_told(bench: Bench) -> None:
    def fail(_due: int, _now: int) -> None:
        raise ZeroDivisionError

    bench.timers.timer(fail).start(10)
    bench.one.start(10)
    with pytest.raises(ZeroDivisionError):
        bench.timers.run(10)
    assert bench.timers.deadline == 10
    bench.two.start(5)
    assert bench.changes == 2  # it does not think that it runs
    assert bench.names(10) == "ba"
    assert (bench.timers._entries, bench.timers._dead) == ([], 0)


class TestChanges:
    """Who drives the timers is told when it has to look earlier, and is not bothered else."""

    def test_the_first_and_an_earlier_one(self, bench: Bench) -> None:
        bench.one.start(100)
        assert bench.changes == 1
        bench.two.start(200)
        bench.three.start(100)
        assert bench.changes == 1
        bench.two.start(50)
        assert bench.changes == 2

    def test_one_that_is_put_off_or_cancelled(self, bench: Bench) -> None:
        bench.one.start(100)
        bench.one.start(200)
        assert (bench.timers.deadline, bench.changes) == (200, 1)
        bench.one.cancel()
        assert (bench.timers.deadline, bench.changes) == (None, 1)
        bench.one.start(300)
        assert bench.changes == 2

    def test_not_while_it_runs_them(self, bench: Bench) -> None:
        bench.timers.timer(lambda due, _now: bench.one.start(due + 1)).start(10)
        bench.changes = 0
        bench.timers.run(10)
        assert (bench.changes, bench.timers.deadline) == (0, 11)

    def test_it_reads_the_deadline_when_it_is_told(self) -> None:
        seen: list[int | None] = []
        timers = Timers(lambda: seen.append(timers.deadline))
        timer = timers.timer(lambda _due, _now: None)
        for deadline in (100, 200, 50):
            timer.start(deadline)
        assert seen == [100, 50]


Step: TypeAlias = "tuple[str, int, int]"  # what, which timer, when

_which = strategies.integers(0, 3)
_offset = strategies.sampled_from([0, 1, 1, 2, 3, 8])
_steps = strategies.one_of(
    strategies.tuples(strategies.just("start"), _which, _offset),
    strategies.tuples(strategies.just("start"), _which, _offset),
    strategies.tuples(strategies.just("run"), _which, _offset),
    strategies.tuples(strategies.sampled_from(["cancel", "discard", "look"]), _which, _offset),
)


class Model:
    """Timers as they ought to be: a list of those that run, sorted when it is asked for."""

    def __init__(self) -> None:
        self.running: list[tuple[int, int, int]] = []
        self._number = 0

    def start(self, which: int, deadline: int) -> None:
        self.stop(which)
        self._number += 1
        self.running.append((deadline, self._number, which))

    def stop(self, which: int) -> None:
        self.running = [one for one in self.running if one[2] != which]

    @property
    def deadline(self) -> int | None:
        return min(self.running)[0] if self.running else None

    def run(self, now: int, again: dict[int, int]) -> list[tuple[int, int]]:
        """Tell who is due by now, and start those again that do so themselves."""
        told = []
        while self.running and min(self.running)[0] <= now:
            deadline, _, which = min(self.running)
            self.stop(which)
            told.append((which, deadline))
            if which in again:
                self.start(which, now + again[which])
        return told


class Twins:
    """Timers and their model, to which the same happens.

    Args:
        crowded: There are places of no more use, so that it clears them up.
    """

    def __init__(self, *, crowded: bool) -> None:
        self.model = Model()
        self.timers = Timers(self._ring_at_deadline)
        self.all = [self._make(which) for which in range(4)]
        self._now = 0
        self._told: list[tuple[int, int]] = []
        self._again = {0: 4, 1: 3}  # the first starts itself, the second says so
        self._starting = crowded
        self._alarm: int | None = None
        if crowded:
            others = [self.timers.timer(lambda _due, _now: None) for _ in range(70)]
            for timer in others:
                timer.start(1000)
            for timer in others:
                timer.discard()

    def _make(self, which: int) -> Timer:
        def expired(due: int, now: int) -> int | None:
            assert now == self._now
            self._told.append((which, due))
            if which == 1:
                return now + self._again[1]
            if which == 0:
                self.all[0].start(now + self._again[0])
            return None

        return self.timers.timer(expired)

    def _ring_at_deadline(self) -> None:
        """Do as an event loop: what has been asked for stays asked for."""
        assert self._starting
        deadline = self.timers.deadline
        assert deadline is not None
        self._alarm = deadline if self._alarm is None else min(self._alarm, deadline)

    def start(self, which: int, offset: int) -> None:
        deadline = self._now + 1 + offset
        self._starting = True
        self.all[which].start(deadline)
        self._starting = False
        self.model.start(which, deadline)

    def cancel(self, which: int, _offset: int) -> None:
        self.all[which].cancel()
        self.model.stop(which)

    def discard(self, which: int, _offset: int) -> None:
        self.all[which].discard()
        self.model.stop(which)

    def look(self, _which: int, _offset: int) -> None:
        assert self.timers.deadline == self.model.deadline

    def run(self, _which: int, offset: int) -> None:
        self._now += offset
        self._starting = False
        self.timers.run(self._now)
        told, self._told = self._told, []
        assert told == self.model.run(self._now, self._again)
        self._alarm = self.timers.deadline
        assert self._alarm == self.model.deadline

    def check(self) -> None:
        timers = self.timers
        assert timers._dead == sum(entry[2].entry is not entry for entry in timers._entries)
        running = {which: deadline for deadline, _, which in self.model.running}
        assert [one.deadline for one in self.all] == [running.get(which) for which in range(4)]
        # Nobody is forgotten: whoever drives the timers looks at them in time.
        if self.model.deadline is not None:
            assert self._alarm is not None
            assert self._alarm <= self.model.deadline


@settings(max_examples=30)
@given(strategies.lists(_steps, max_size=40), strategies.booleans())
def test_they_behave_as_a_sorted_list(steps: list[Step], crowded: bool) -> None:
    twins = Twins(crowded=crowded)
    for what, which, offset in steps:
        getattr(twins, what)(which, offset)
        twins.check()
