"""The index of filters says what asking each of them says, in the order of their adding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anycan.filter import Filter, FilterIndex, Trial, _sieve, byte, kind_of
from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

quick = settings(max_examples=40, deadline=None, derandomize=True)


def is_even(frame: AnyFrame) -> bool:
    return frame.id % 2 == 0


ATOMS: list[Filter] = [
    Filter.id(1),
    Filter.id(2),
    Filter.id(1, extended=True),
    Filter.id(0x12345678),
    Filter.range(1, 6),
    Filter.range(0x7FF, 0x1000),
    Filter.mask(0, 0x7FE),
    Filter.mask(0x1000, 0xFF00),
    Filter.remote(),
    Filter.remote(1),
    Filter.standard(),
    Filter.extended(),
    Filter.classical(),
    Filter.fd(),
    Filter.xl(),
    Filter.xl(1),
    Filter.xl(1, vcid=5),
    Filter.errors(),
    Filter.errors(6),
    Filter.errors(4),
    Filter.interface("can0"),
    byte(0) == 1,
    byte(1) != 2,
    Filter.data(b"\1\2"),
    Filter.length(2),
    Filter.length(minimum=1),
    Filter.where(is_even),
    Filter.where(is_even, errors=True),
    Filter.all(),
    Filter.none(),
]

filters: st.SearchStrategy[Filter] = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds(Filter.__or__, inner, inner),
        st.builds(Filter.__and__, inner, inner),
        st.builds(Filter.__sub__, inner, inner),
        st.builds(Filter.__invert__, inner),
    ),
    max_leaves=4,
)
_ids = st.sampled_from([0, 1, 2, 3, 6, 7, 0x7FF])
_all_ids = _ids | st.sampled_from([0x800, 0x1000, 0x1001, 0x12345678, 0x1FFFFFFF])
_data = st.sampled_from([b"", b"\1", b"\1\2", b"\1\x20", b"\2\x2f\1", bytes(8)])
_interfaces = st.sampled_from([None, "can0", "can1"])
_extended = st.sampled_from([None, True])
frames: st.SearchStrategy[AnyFrame] = st.one_of(
    st.builds(Frame, _all_ids, _data, extended=_extended, interface=_interfaces),
    st.builds(FdFrame, _all_ids, _data, extended=_extended, interface=_interfaces),
    st.builds(RemoteFrame, _all_ids, extended=_extended, interface=_interfaces),
    st.builds(
        XlFrame, _ids, _data.filter(bool), vcid=st.sampled_from([0, 5]), interface=_interfaces
    ),
    st.builds(ErrorFrame, st.sampled_from([0, 2, 4, 6, 8, 1 << 28]), interface=_interfaces),
)


def takers_of(index: FilterIndex[Any], frame: AnyFrame) -> tuple[Any, ...]:
    """Give the verdict on a frame, in the ways in which it can be asked, which have to agree."""
    verdict = index.verdicts[frame.can_id]
    if not isinstance(verdict, Trial):
        return verdict
    takers = verdict.decide_frame(frame)
    early = verdict.decide(kind_of(frame), frame.can_id, frame.data, frame.interface)
    assert early is verdict if verdict.needs_frame else early == takers
    return takers


def asked(wanted: dict[Any, Filter], frame: AnyFrame) -> tuple[Any, ...]:
    """Ask every filter."""
    return tuple(taker for taker, one in wanted.items() if one.matches(frame))


def index_of(wanted: Iterable[Filter]) -> FilterIndex[int]:
    index: FilterIndex[int] = FilterIndex()
    for taker, one in enumerate(wanted):
        index.add(one, taker)
    return index


@given(
    st.lists(
        st.tuples(
            st.lists(filters, max_size=4),  # are added
            st.lists(st.integers(0, 11), max_size=2),  # are removed
            st.lists(frames, min_size=1, max_size=8),  # are asked about
        ),
        min_size=1,
        max_size=3,
    )
)
@example([([Filter.xl(1, vcid=5), Filter.id(1)], [], [XlFrame(1, b"x", vcid=5)])])
@example([([Filter.all()], [], [ErrorFrame(4)]), ([Filter.errors(4)], [0], [ErrorFrame(6)])])
@quick
def test_a_verdict_is_what_asking_each_filter_gives(
    rounds: list[tuple[list[Filter], list[int], list[AnyFrame]]],
) -> None:
    index: FilterIndex[int] = FilterIndex()
    wanted: dict[int, Filter] = {}
    taker = 0
    for added, removed, some in rounds:
        for one in added:
            index.add(one, taker)
            wanted[taker] = one
            taker += 1
        for other in removed:
            index.remove(other)
            wanted.pop(other, None)
        for frame in some:
            assert takers_of(index, frame) == asked(wanted, frame)
        assert set(index._entries) == set(wanted)


@pytest.mark.parametrize("one", ATOMS, ids=repr)
def test_every_condition_by_itself(one: Filter) -> None:
    index = index_of([one])
    for interface in (None, "can0", "can1"):
        for number in (0, 1, 2, 6, 7, 0x7FF, 0x1000, 0x12345678):
            some: list[AnyFrame] = [RemoteFrame(number, interface=interface)]
            for data in (b"", b"\1", b"\1\2", b"\2\x2f"):
                some += [
                    Frame(number, data, interface=interface),
                    Frame(number, data, interface=interface, extended=True),
                    FdFrame(number, data, interface=interface),
                ]
                if data and number <= 0x7FF:
                    some += [
                        XlFrame(number, data, vcid=vcid, interface=interface) for vcid in (0, 5)
                    ]
            some += [ErrorFrame(classes, interface=interface) for classes in (0, 2, 4, 6, 8)]
            for frame in some:
                assert (takers_of(index, frame) == (0,)) is one.matches(frame), frame


def test_takers_come_in_the_order_of_their_adding() -> None:
    # Another mask each: the index finds them apart.
    ways = [Filter.all(), Filter.id(5), Filter.range(4, 5), Filter.mask(1, 1), Filter.standard()]
    for shift in range(len(ways)):
        turned = ways[shift:] + ways[:shift]
        index = index_of(turned)
        assert takers_of(index, Frame(5)) == (0, 1, 2, 3, 4)
        first = turned[0]
        index.remove(0)
        assert takers_of(index, Frame(5)) == (1, 2, 3, 4)
        index.add(first, 0)
        assert takers_of(index, Frame(5)) == (1, 2, 3, 4, 0)


def test_many_filters_on_one_identifier() -> None:
    index = index_of(Filter.id(1) | Filter.id(number) for number in range(2, 200))
    assert takers_of(index, Frame(1)) == tuple(range(198))
    assert takers_of(index, Frame(7)) == (5,)
    for taker in range(0, 198, 2):
        index.remove(taker)
    assert takers_of(index, Frame(1)) == tuple(range(1, 198, 2))
    assert takers_of(index, Frame(2)) == ()


class TestErrorFrames:
    def test_only_those_who_name_a_class_take_it(self) -> None:
        index = index_of([Filter.all(), Filter.errors(4), ~Filter.id(1), Filter.errors()])
        assert takers_of(index, ErrorFrame(4)) == (1, 3)
        assert takers_of(index, ErrorFrame(8)) == (3,)
        assert takers_of(index, ErrorFrame(12)) == (1, 3)

    def test_one_without_a_class_is_taken_by_none(self) -> None:
        assert takers_of(index_of([Filter.errors(), Filter.all()]), ErrorFrame(0)) == ()

    def test_what_is_asked_beside_the_class(self) -> None:
        index = index_of([Filter.errors(4) & Filter.interface("can0"), Filter.errors(4)])
        assert takers_of(index, ErrorFrame(4, interface="can0")) == (0, 1)
        assert takers_of(index, ErrorFrame(4, interface="can1")) == (1,)

    def test_a_class_is_no_identifier(self) -> None:
        index = index_of([Filter.id(4), Filter.errors(4)])
        assert takers_of(index, ErrorFrame(4)) == (1,)
        assert takers_of(index, Frame(4)) == (0,)


class TestFaults:
    """Functions that raise: told with taker, frame and error; the others are asked all the same."""

    @staticmethod
    def fail(frame: AnyFrame) -> bool:
        raise ValueError(frame.id)

    def index(
        self, fault: Callable[[str, AnyFrame | None, Exception], object] | None
    ) -> FilterIndex[str]:
        index: FilterIndex[str] = FilterIndex(fault)
        index.add(Filter.id(1), "before")
        index.add(Filter.where(self.fail), "failing")
        index.add(Filter.where(is_even) | Filter.id(1), "after")
        return index

    def test_the_frame_is_not_taken_and_the_fault_is_told(self) -> None:
        told: list[tuple[str, AnyFrame | None, Exception]] = []
        index = self.index(lambda *fault: told.append(fault))
        frame = Frame(1)
        verdict = index.verdicts[1]
        assert isinstance(verdict, Trial)
        assert verdict.decide_frame(frame) == ("before", "after")
        ((taker, culprit, error),) = told
        assert taker == "failing"
        assert culprit is frame
        assert isinstance(error, ValueError)
        assert error.args == (1,)

    def test_nobody_needs_to_hear_of_it(self) -> None:
        verdict = self.index(None).verdicts[2]
        assert isinstance(verdict, Trial)
        assert verdict.decide_frame(Frame(2)) == ("after",)

    def test_where_it_is_not_asked_it_does_not_fail(self) -> None:
        told: list[object] = []
        index: FilterIndex[int] = FilterIndex(lambda *fault: told.append(fault))
        index.add(Filter.id(1) & (byte(0) == 1) & Filter.where(self.fail), 0)
        assert takers_of(index, Frame(2)) == ()
        assert takers_of(index, Frame(1, b"\2")) == ()
        assert told == []
        assert takers_of(index, Frame(1, b"\1")) == ()
        assert len(told) == 1

    def test_every_frame_is_told_of(self) -> None:
        told: list[object] = []
        index = self.index(lambda taker, _frame, _error: told.append(taker))
        for _ in range(3):
            takers_of(index, Frame(1))
        assert told == ["failing"] * 3


class TestMemory:
    def test_a_word_is_looked_up_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        index = index_of([Filter.id(1), Filter.all()])
        words: list[int] = []
        look_up = index.verdicts._look_up

        def counted(word: int) -> Any:
            words.append(word)
            return look_up(word)

        monkeypatch.setattr(index.verdicts, "_look_up", counted)
        assert [index.verdicts[word] for word in (1, 2, 1, 2, 1)] == [
            (0, 1),
            (1,),
            (0, 1),
            (1,),
            (0, 1),
        ]
        assert words == [1, 2]

    def test_random_words_do_not_pile_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_sieve, "_KEPT", 50)
        index = index_of([Filter.id(1), Filter.mask(0, 1)])
        largest = 0
        for word in range(500):
            expected = (*((0,) if word == 1 else ()), *((1,) if word % 2 == 0 else ()))
            assert index.verdicts[word] == expected
            largest = max(largest, len(index.verdicts))
        assert largest == 50

    def test_a_verdict_is_kept_once_however_many_words_have_it(self) -> None:
        index = index_of((byte(0) == number) for number in range(100))
        index.add(Filter.id(7), "seven")  # type: ignore[arg-type]  # it can be hashed
        verdicts = [index.verdicts[word] for word in range(5000)]
        assert len(index.verdicts) == 5000
        assert all(isinstance(verdict, Trial) for verdict in verdicts)
        assert len({id(verdict) for verdict in verdicts}) == 2  # of 7, and of all others
        assert takers_of(index, Frame(7, b"\1")) == (1, "seven")
        assert takers_of(index, Frame(8, b"\1")) == (1,)

    def test_so_is_one_that_needs_no_trial(self) -> None:
        index = index_of(Filter.all() for _ in range(100))
        assert len({id(index.verdicts[word]) for word in range(5000)}) == 1

    def test_verdicts_that_all_differ_do_not_pile_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_sieve, "_KEPT", 50)
        index = index_of(Filter.id(number) for number in range(500))
        for word in range(500):
            assert index.verdicts[word] == (word,)
            assert len(index._known) <= 50

    def test_a_change_forgets_what_was_said(self) -> None:
        index = index_of([Filter.id(1)])
        verdicts = index.verdicts
        assert [verdicts[word] for word in (1, 2)] == [(0,), ()]
        index.add(Filter.range(1, 2), 7)
        assert dict(verdicts) == {}
        assert [verdicts[word] for word in (1, 2)] == [(0, 7), (7,)]
        index.remove(0)
        assert dict(verdicts) == {}
        assert [verdicts[word] for word in (1, 2)] == [(7,), (7,)]
        assert index.verdicts is verdicts  # whoever holds it need not ask for it again

    def test_what_is_removed_leaves_nothing_behind(self) -> None:
        index = index_of(ATOMS)
        for taker in range(len(ATOMS)):
            index.remove(taker)
            index.remove(taker)  # one that is not there is no error
        assert index._groups == {}
        assert index._errors == []
        assert index._known == {}
        assert index._entries == {}
        assert takers_of(index, Frame(1)) == ()


def test_a_taker_is_anything_that_can_be_hashed() -> None:
    taker = object()
    index: FilterIndex[object] = FilterIndex()
    index.add(Filter.id(1), taker)
    assert takers_of(index, Frame(1)) == (taker,)
    index.remove(taker)
    assert takers_of(index, Frame(1)) == ()


def test_the_number_of_filters_does_not_count_where_they_have_one_mask() -> None:
    index = index_of(Filter.id(number) for number in range(0x800))
    index.add(Filter.id(5, extended=True), -1)
    assert len(index._groups) == 2
    assert all(takers_of(index, Frame(number)) == (number,) for number in range(0x800))
