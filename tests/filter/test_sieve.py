"""Trials and sieves: saying of each frame who takes it, before an object is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from anycan.filter import (
    CLASSICAL,
    ERROR,
    FLEXIBLE,
    REMOTE,
    XL,
    Filter,
    FilterIndex,
    Sieve,
    Trial,
    byte,
)
from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from collections.abc import Sequence


def never(*_: object) -> None:
    raise AssertionError("no fault is to be told")


def trial_of(*wanted: tuple[str, Filter | None], needs_frame: bool = False) -> Trial[str]:
    tests = [(taker, None if one is None else one.test) for taker, one in wanted]
    return Trial(tests, never, needs_frame=needs_frame)


def sieve_of(*wanted: Filter) -> Sieve[int]:
    index: FilterIndex[int] = FilterIndex()
    for taker, one in enumerate(wanted):
        index.add(one, taker)
    return index.sieve()


class TestTrial:
    def test_who_is_certain_takes_it_whatever_else_it_is(self) -> None:
        trial = trial_of(("certain", None), ("first", byte(0) == 1), ("second", byte(0) == 2))
        assert trial.decide(CLASSICAL, 5, b"\1", None) == ("certain", "first")
        assert trial.decide(CLASSICAL, 5, b"\2", None) == ("certain", "second")
        assert trial.decide(CLASSICAL, 5, b"", None) == ("certain",)
        assert trial.decide_frame(Frame(5, b"\2")) == ("certain", "second")

    def test_none_of_them(self) -> None:
        assert trial_of(("first", byte(0) == 1)).decide(CLASSICAL, 5, b"", None) == ()

    @pytest.mark.parametrize(
        ("kind", "frame"),
        [
            (CLASSICAL, Frame(5, b"\1")),
            (FLEXIBLE, FdFrame(5, b"\1")),
            (REMOTE, RemoteFrame(5)),
            (XL, XlFrame(5, b"\1")),
            (ERROR, ErrorFrame(4)),
        ],
    )
    def test_kinds(self, kind: int, frame: AnyFrame) -> None:
        kinds = {
            "classical": Filter.classical() - Filter.remote(),
            "fd": Filter.fd(),
            "xl": Filter.xl(),
            "remote": Filter.remote(),
            "errors": Filter.errors(),
        }
        trial = trial_of(*kinds.items())
        takers = trial.decide_frame(frame)
        assert takers == tuple(name for name, one in kinds.items() if one.matches(frame))
        assert len(takers) == 1
        assert trial.decide(kind, frame.can_id, frame.data, None) == takers

    def test_interfaces(self) -> None:
        trial = trial_of(("first", Filter.interface("can0")), ("second", Filter.interface("can1")))
        assert trial.decide(CLASSICAL, 5, b"", "can1") == ("second",)
        assert trial.decide(CLASSICAL, 5, b"", None) == ()
        assert trial.decide_frame(Frame(5, interface="can0")) == ("first",)

    def test_a_function_is_given_the_frame_itself(self) -> None:
        seen: list[AnyFrame] = []

        def note(frame: AnyFrame) -> bool:
            seen.append(frame)
            return True

        trial = trial_of(("taker", Filter.where(note)), needs_frame=True)
        assert trial.decide(CLASSICAL, 5, b"", None) is trial
        assert seen == []
        frame = Frame(5)
        assert trial.decide_frame(frame) == ("taker",)
        assert len(seen) == 1
        assert seen[0] is frame


class TestSieve:
    def test_frames_that_are_there_already(self) -> None:
        sieve = sieve_of(Filter.id(1), Filter.range(0, 1), Filter.id(2) & (byte(0) == 1))
        frames: Sequence[AnyFrame] = [Frame(1), Frame(5), Frame(0), Frame(2), Frame(2, b"\1")]
        assert [sieve.admit(frame) for frame in frames] == [True, False, True, False, True]
        assert sieve.targets == [(0, 1), (1,), (2,)]
        assert sieve.refused == 2

    def test_what_was_noted_stays_until_its_owner_clears_it(self) -> None:
        sieve = sieve_of(Filter.id(1))
        targets = sieve.targets
        for _ in range(2):
            sieve.admit(Frame(1))
            sieve.admit(Frame(2))
        assert sieve.targets is targets
        assert (targets, sieve.refused) == ([(0,), (0,)], 2)

    def test_settling_a_verdict_that_stands(self) -> None:
        sieve = sieve_of(Filter.id(1))
        assert sieve.settle((3, 4), Frame(9))
        assert not sieve.settle((), Frame(9))
        assert (sieve.targets, sieve.refused) == ([(3, 4)], 1)

    def test_settling_a_trial(self) -> None:
        asked: list[AnyFrame] = []

        def first_byte(frame: AnyFrame) -> bool:
            asked.append(frame)
            return frame.data[:1] == b"\1"

        sieve = sieve_of(Filter.where(first_byte))
        verdict = sieve.verdicts[5]
        frames = [Frame(5, b"\1"), Frame(5, b"\2")]
        assert [sieve.settle(verdict, frame) for frame in frames] == [True, False]
        assert (sieve.targets, sieve.refused) == ([(0,)], 1)
        assert asked == frames

    def test_a_function_that_raises_takes_nothing_and_stops_nothing(self) -> None:
        told: list[tuple[Any, ...]] = []

        def fail(frame: AnyFrame) -> bool:
            raise LookupError(frame.id)

        index: FilterIndex[str] = FilterIndex(lambda *fault: told.append(fault))
        index.add(Filter.where(fail), "failing")
        sieve = index.sieve()
        assert not sieve.admit(Frame(5))
        assert (sieve.targets, sieve.refused) == ([], 1)
        index.add(Filter.id(5), "other")
        assert sieve.admit(Frame(5))
        assert (sieve.targets, sieve.refused) == ([("other",)], 1)
        assert [(taker, frame) for taker, frame, _ in told] == [("failing", Frame(5))] * 2
        assert all(isinstance(error, LookupError) for *_, error in told)

    def test_what_changes_in_the_index_changes_in_the_sieve(self) -> None:
        index: FilterIndex[str] = FilterIndex()
        sieve, other = index.sieve(), index.sieve()
        assert not sieve.admit(Frame(1))
        index.add(Filter.id(1), "taker")
        assert sieve.admit(Frame(1))
        index.remove("taker")
        assert not sieve.admit(Frame(1))
        # Each has notes of its own.
        assert (sieve.targets, sieve.refused) == ([("taker",)], 2)
        assert (other.targets, other.refused) == ([], 0)

    def test_error_frames_are_admitted_by_class(self) -> None:
        sieve = sieve_of(Filter.all(), Filter.errors(4))
        assert sieve.admit(ErrorFrame(4))
        assert not sieve.admit(ErrorFrame(8))
        assert (sieve.targets, sieve.refused) == ([(1,)], 1)
