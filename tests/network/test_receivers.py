"""Receive lists: who takes a frame, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from anycan.network.core.receivers import (
    Place,
    ReceiveLists,
    Verdicts,
    normalise,
    one_copy_each,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

EFF, RTR, ERR = 1 << 31, 1 << 30, 1 << 29
INV = ERR


class Taker:
    """A receiver, known by itself."""

    def __init__(self, name: str, joined: int = 0) -> None:
        self.name = name
        self.joined = joined

    def __repr__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    ("word", "mask", "place", "kept_word", "kept_mask"),
    [
        (0, 0, Place.ALL, 0, 0),
        (0x123, 0, Place.ALL, 0, 0),
        (0x123, 0x7FF, Place.MASKED, 0x123, 0x7FF),
        (0x923, 0x7FF, Place.MASKED, 0x123, 0x7FF),
        (0x123, 0xC00007FF, Place.STANDARD, 0x123, 0xC00007FF),
        (0x123, 0xDFFFFFFF, Place.STANDARD, 0x123, 0xC00007FF),
        (0x123 | RTR, 0xC00007FF, Place.MASKED, 0x123 | RTR, 0xC00007FF),
        (0x123 | EFF, 0xDFFFFFFF, Place.EXTENDED, 0x123 | EFF, 0xDFFFFFFF),
        (0x123 | EFF, 0xC00007FF, Place.MASKED, 0x123 | EFF, 0xC00007FF),
        (0x123 | EFF | RTR, 0xDFFFFFFF, Place.MASKED, 0x123 | EFF | RTR, 0xDFFFFFFF),
        (0x123, 0x9FFFFFFF, Place.MASKED, 0x123, 0x800007FF),
        (0x123 | INV, 0x7FF, Place.INVERTED, 0x123, 0x7FF),
        (0x123 | INV, 0, Place.INVERTED, 0, 0),
        (0x123, ERR | 0x44, Place.ERROR, 0x123, 0x44),
        (0, 0xFFFFFFFF, Place.ERROR, 0, 0x1FFFFFFF),
    ],
)
def test_a_filter_goes_into_the_list_that_tests_it_cheapest(
    word: int, mask: int, place: Place, kept_word: int, kept_mask: int
) -> None:
    assert normalise(word, mask) == (place, kept_word, kept_mask)


def test_a_filter_taken_away_is_the_newest_of_equal_ones() -> None:
    lists = ReceiveLists[Taker]()
    one, other = Taker("one"), Taker("other")
    lists.register(0x1, 0x7FF, one)
    lists.register(0x1, 0x7FF, other)
    lists.register(0x801, 0x7FF, one)  # the same, once its high bits are cut
    lists.unregister(0x1, 0x7FF, one)
    assert lists.find(0x1) == [other, one]


def test_what_is_not_there_cannot_be_taken_away() -> None:
    with pytest.raises(ValueError, match="not in list"):
        ReceiveLists[Taker]().unregister(0x1, 0x7FF, Taker("one"))


@pytest.mark.parametrize("flags", [0, EFF])
def test_no_empty_list_stays_behind(flags: int) -> None:
    lists = ReceiveLists[Taker]()
    one = Taker("one")
    mask = 0xDFFFFFFF if flags else 0xC00007FF
    lists.register(0x1 | flags, mask, one)
    assert len(lists) == 1
    lists.unregister(0x1 | flags, mask, one)
    assert not lists._single
    assert len(lists) == 0


def test_joined_filters_take_a_frame_at_the_match_that_completes_them() -> None:
    one, two, three = Taker("one"), Taker("two", joined=2), Taker("three", joined=3)
    assert one_copy_each([two, one, three, two, three]) == (one, two)
    assert one_copy_each([one, one]) == (one,)


def test_matches_behind_the_completing_one_give_more_copies() -> None:
    two = Taker("two", joined=1)
    assert one_copy_each([two, two]) == (two, two)


_word = strategies.builds(
    int.__or__,
    strategies.sampled_from([0, 1, 0x123, 0x7FF, 0x923, 0x1FFFFFFF, 0x10123]),
    strategies.sampled_from([0, EFF, RTR, ERR, EFF | RTR, EFF | ERR]),
)
_mask = strategies.one_of(
    strategies.sampled_from([0, 0x7FF, 0xC00007FF, 0xDFFFFFFF, 0xFFFFFFFF, EFF, RTR, 0x1FFFFFFF]),
    strategies.integers(0, 0xFFFFFFFF),
)


def _matches(word: int, mask: int, frame: int) -> bool:
    """Tell by the rules alone, without lists, whether a filter matches."""
    if mask & ERR or frame & ERR:
        return bool(mask & ERR and frame & ERR and frame & mask & 0x1FFFFFFF)
    wanted = word & ~INV
    if mask & EFF and not word & EFF:
        mask &= EFF | RTR | 0x7FF
        single = mask == EFF | RTR | 0x7FF and not word & RTR and not word & INV
        if single and not frame & EFF:
            frame &= RTR | 0x7FF
    return (frame & mask == wanted & mask) is not bool(word & INV)


_PLACES = list(Place)


def _expected(entries: Iterable[tuple[int, int, Taker]], frame: int) -> list[Taker]:
    """Walk all filters, the newest first, in the order of their places."""
    newest_first = list(entries)[::-1]
    newest_first.sort(key=lambda entry: min(_PLACES.index(normalise(*entry[:2])[0]), 4))
    return [taker for word, mask, taker in newest_first if _matches(word, mask, frame)]


@settings(max_examples=60)
@given(strategies.lists(strategies.tuples(_word, _mask), max_size=12), _word)
def test_lists_find_what_walking_all_filters_finds(
    filters: list[tuple[int, int]], frame: int
) -> None:
    lists = ReceiveLists[Taker]()
    entries = [(word, mask, Taker(str(i))) for i, (word, mask) in enumerate(filters)]
    for entry in entries:
        lists.register(*entry)
    assert lists.find(frame) == _expected(entries, frame)
    assert len(lists) == len(entries)


class VerdictsKeepUp(RuleBasedStateMachine):
    """An interface's verdicts are right whatever is registered and taken away meanwhile."""

    @initialize()
    def begin(self) -> None:
        self.lists = (ReceiveLists[Taker](), ReceiveLists[Taker]())
        self.verdicts = Verdicts(*self.lists)
        self.entries: tuple[list[tuple[int, int, Taker]], ...] = ([], [])
        self.takers = [Taker("one"), Taker("two"), Taker("joined", joined=2)]
        self.asked: set[int] = set()

    @rule(where=strategies.integers(0, 1), who=strategies.integers(0, 2), word=_word, mask=_mask)
    def register(self, where: int, who: int, word: int, mask: int) -> None:
        entry = (word, mask, self.takers[who])
        self.lists[where].register(*entry)
        self.entries[where].append(entry)

    @rule(where=strategies.integers(0, 1), data=strategies.data())
    def unregister(self, where: int, data: strategies.DataObject) -> None:
        entries = self.entries[where]
        if entries:
            entry = data.draw(strategies.sampled_from(entries))
            self.lists[where].unregister(*entry)
            same = [
                i
                for i, other in enumerate(entries)
                if other[2] is entry[2] and normalise(*other[:2]) == normalise(*entry[:2])
            ]
            del entries[same[-1]]

    @rule(frame=_word)
    def ask(self, frame: int) -> None:
        self.asked.add(frame)

    @invariant()
    def right(self) -> None:
        for frame in getattr(self, "asked", ()):
            found = [taker for part in self.entries for taker in _expected(part, frame)]
            assert self.verdicts[frame] == one_copy_each(found)


TestVerdictsKeepUp = VerdictsKeepUp.TestCase
TestVerdictsKeepUp.settings = settings(max_examples=10, stateful_step_count=25, deadline=None)


def test_verdicts_are_remembered_until_something_changes() -> None:
    lists = ReceiveLists[Taker]()
    verdicts = Verdicts(lists)
    one = Taker("one")
    assert verdicts[0x123] == ()
    assert dict(verdicts) == {0x123: ()}
    lists.register(0, 0, one)
    assert not verdicts
    assert list(verdicts[0x123]) == [one]
    lists.changed()
    assert not verdicts


def test_verdicts_do_not_grow_without_bound() -> None:
    lists = ReceiveLists[Taker]()
    verdicts = Verdicts(lists)
    for word in range(10_000):
        assert verdicts[word] == ()
    assert len(verdicts) <= 4096


def test_verdicts_of_a_removed_interface_are_left_alone() -> None:
    lists = ReceiveLists[Taker]()
    gone, other = Verdicts(lists), Verdicts(lists)
    gone.detach()
    assert [one is other for one in lists.verdicts] == [True]
