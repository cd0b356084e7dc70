"""What waits for a destination: bounded for each rule, in order, and every frame counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anycan.gateway.backlog import Backlog, Line, make_line
from anycan.gateway.counters import RouteCounters
from anycan.gateway.reasons import DropReason
from anycan.gateway.rule import Overflow

if TYPE_CHECKING:
    from collections.abc import Iterable

FULL, SUPERSEDED = DropReason.QUEUE_FULL, DropReason.SUPERSEDED
KINDS: Final[tuple[Overflow, ...]] = get_args(Overflow)


def line(overflow: Overflow = "drop_oldest", capacity: int = 3) -> Line:
    return make_line(RouteCounters("b"), capacity, overflow)


def payload(identifier: int, mark: int = 0) -> bytes:
    return bytes([identifier, 0, 0, 0, 1, 0, 0, 0, mark]) + bytes(7)


def marks(entries: Iterable[Any]) -> list[int]:
    return [entry[1][8] for entry in entries]


def filled(kind: Overflow, identifiers: Iterable[int]) -> tuple[Backlog, Line]:
    """Put frames, marked by their number, into a line with room for three."""
    backlog, one = Backlog(), line(kind)
    backlog.add((payload(identifier, mark), 0, one) for mark, identifier in enumerate(identifiers))
    return backlog, one


@pytest.mark.parametrize(
    ("kind", "identifiers", "left", "dropped"),
    [
        ("drop_oldest", [1, 2, 3], [0, 1, 2], {}),
        ("drop_oldest", [1, 1, 1, 1, 1], [2, 3, 4], {FULL: 2}),
        ("drop_newest", [1, 2, 3], [0, 1, 2], {}),
        ("drop_newest", [1, 1, 1, 1, 1], [0, 1, 2], {FULL: 2}),
        ("latest_per_id", [1, 2, 3], [0, 1, 2], {}),
        ("latest_per_id", [1, 1, 1, 1, 1], [4], {SUPERSEDED: 4}),
        # The newer one goes to the end: what waits stays in the order of the bus.
        ("latest_per_id", [1, 2, 1, 3], [1, 2, 3], {SUPERSEDED: 1}),
        ("latest_per_id", [1, 2, 3, 4, 5], [2, 3, 4], {FULL: 2}),
        ("latest_per_id", [1, 2, 3, 2, 4], [2, 3, 4], {SUPERSEDED: 1, FULL: 1}),
    ],
)
def test_what_stays_without_room(
    kind: Overflow, identifiers: list[int], left: list[int], dropped: dict[DropReason, int]
) -> None:
    backlog, one = filled(kind, identifiers)
    assert marks(backlog.first(10)) == marks(one) == left
    assert one.counters.dropped == dropped
    assert one.counters.waiting == len(one) == len(left)


def test_what_looks_alike_but_for_a_flag_is_not_superseded() -> None:
    one = line("latest_per_id")
    backlog = Backlog()
    backlog.add(
        (word.to_bytes(4, "little") + bytes(12), 0, one) for word in (0x123, 0x80000123, 0x40000123)
    )
    assert len(one) == 3
    assert not one.counters.dropped


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_merged_in_the_order_in_which_frames_came(kind: Overflow) -> None:
    one, other = line(kind, 100), line(kind, 100)
    backlog = Backlog()
    owners = [one, one, other, one, other, other]
    backlog.add((payload(mark, mark), 5, owner) for mark, owner in enumerate(owners))
    assert marks(backlog.first(4)) == [0, 1, 2, 3]
    first = backlog.first(3)
    assert [(entry[2], entry[3]) for entry in first] == [(5, one), (5, one), (5, other)]
    backlog.pop(first)
    assert marks(backlog.first(10)) == [3, 4, 5]
    assert (one.counters.waiting, other.counters.waiting) == (1, 2)


def test_a_line_that_is_full_takes_nothing_from_another() -> None:
    backlog, full = filled("drop_oldest", [1] * 3)
    other = line()
    backlog.add([(payload(1, 8), 0, other), (payload(1, 9), 0, full)])
    assert marks(backlog.first(10)) == [1, 2, 8, 9]
    assert (full.counters.dropped[FULL], other.counters.dropped[FULL]) == (1, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_one_line_is_dropped_alone(kind: Overflow) -> None:
    backlog, one = filled(kind, [1, 2])
    other = line(kind)
    backlog.add([(payload(3, 9), 0, other)])
    backlog.drop(DropReason.RULE_ENDED, one)
    backlog.drop(DropReason.RULE_ENDED, one)
    assert marks(backlog.first(10)) == [9]
    assert one.counters.dropped == {DropReason.RULE_ENDED: 2}
    assert (one.counters.waiting, other.counters.waiting) == (0, 1)


def test_all_is_dropped() -> None:
    backlog, one = filled("drop_oldest", [1, 2])
    other = line("latest_per_id")
    backlog.add([(payload(3), 0, other)])
    assert backlog
    backlog.drop(DropReason.INTERFACE_GONE)
    assert not backlog
    assert backlog.first(10) == []
    assert one.counters.dropped == {DropReason.INTERFACE_GONE: 2}
    assert other.counters.dropped == {DropReason.INTERFACE_GONE: 1}


class _Model:
    """One line, by hand."""

    def __init__(self, kind: Overflow, capacity: int) -> None:
        self.kind = kind
        self.capacity = capacity
        self.entries: list[tuple[int, int]] = []  # number, identifier
        self.dropped: Counter[DropReason] = Counter()
        self.taken = 0
        self.popped = 0

    def add(self, number: int, identifier: int) -> None:
        self.taken += 1
        alike = [one for one in self.entries if one[1] == identifier]
        if self.kind == "latest_per_id" and alike:
            self.entries.remove(alike[0])
            self.dropped[SUPERSEDED] += 1
        elif len(self.entries) >= self.capacity:
            self.dropped[FULL] += 1
            if self.kind == "drop_newest":
                return
            del self.entries[0]
        self.entries.append((number, identifier))


class BacklogMachine(RuleBasedStateMachine):
    """A backlog of lines of every kind does what the lines do by hand, and loses count of none."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog()
        self.models = [_Model(kind, room) for kind in KINDS for room in (1, 3)]
        self.lines = [line(model.kind, model.capacity) for model in self.models]
        self.number = 0

    @rule(frames=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=8))
    def add(self, frames: list[tuple[int, int]]) -> None:
        given = []
        for place, identifier in frames:
            self.models[place].add(self.number, identifier)
            given.append((payload(identifier), self.number, self.lines[place]))
            self.number += 1
        self.backlog.add(given)

    def _expected(self) -> list[tuple[int, int]]:
        return sorted(
            (number, place)
            for place, model in enumerate(self.models)
            for number, _ in model.entries
        )

    @precondition(lambda self: self.backlog)
    @rule(asked=st.integers(1, 9), sent=st.integers(1, 9))
    def send(self, asked: int, sent: int) -> None:
        first = self.backlog.first(asked)
        assert [(entry[2], self.lines.index(entry[3])) for entry in first] == self._expected()[
            :asked
        ]
        self.backlog.pop(first[:sent])
        for entry in first[:sent]:
            model = self.models[self.lines.index(entry[3])]
            del model.entries[0]
            model.popped += 1

    @rule(place=st.integers(0, 5))
    def end_rule(self, place: int) -> None:
        model = self.models[place]
        self.backlog.drop(DropReason.RULE_ENDED, self.lines[place])
        model.dropped[DropReason.RULE_ENDED] += len(model.entries)
        model.entries.clear()

    @rule()
    def lose_interface(self) -> None:
        self.backlog.drop(DropReason.INTERFACE_GONE)
        for model in self.models:
            model.dropped[DropReason.INTERFACE_GONE] += len(model.entries)
            model.entries.clear()

    @invariant()
    def nothing_is_lost_count_of(self) -> None:
        assert bool(self.backlog) is any(model.entries for model in self.models)
        for one, model in zip(self.lines, self.models, strict=True):
            assert one.counters.dropped == model.dropped
            assert one.counters.waiting == len(one) == len(model.entries) <= model.capacity
            assert model.taken == model.popped + model.dropped.total() + len(one)


TestBacklog = BacklogMachine.TestCase
TestBacklog.settings = settings(max_examples=12, stateful_step_count=12)
