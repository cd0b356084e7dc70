"""The benchmarks' own arithmetic: ratios of rounds, bounds, tables, and how cases are run."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

from suite import running
from suite.case import Bound, Case, Contender, Measured, Metric, NotHereError
from suite.report import bound_text, fill_page, section, spread_text, table, verdict_table
from suite.results import CaseResult, Spread, judge
from suite.running import ended_in_order, run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

METRICS = (Metric("cost", "µs/frame"), Metric("lost", "lost", digits=0, compared=False))


def nothing() -> Measured:
    return {}


def case(*bounds: Bound, measures: dict[str, Callable[[], Measured]] | None = None) -> Case:
    measures = measures or {"c": nothing, "anycan": nothing, "peer": nothing}
    contenders = tuple(Contender(key, key.title(), one) for key, one in measures.items())
    return Case("key", "Title", "Words.", METRICS, contenders, "c", bounds)


def result(**costs: list[float]) -> CaseResult:
    found = CaseResult("key")
    for key, values in costs.items():
        for value in values:
            found.note(key, {"cost": value, "lost": 0})
    return found


RESULT = result(c=[1.0, 2.0, 4.0], anycan=[3.0, 4.0, 10.0], peer=[60.0, 40.0, 80.0])


def test_a_ratio_is_that_of_a_round() -> None:
    # The medians' own ratio would be 2.
    assert RESULT.ratios("anycan", "c", "cost") == [3.0, 2.0, 2.5]
    assert RESULT.ratios("anycan", "absent", "cost") == []
    assert RESULT.values("anycan", "absent") == []


def test_nothing_is_divided_by_nothing() -> None:
    found = result(c=[0.0, 2.0], anycan=[1.0, 1.0])
    assert found.ratios("anycan", "c", "cost") == [0.5]


@pytest.mark.parametrize(
    ("bound", "counted", "met"),
    [
        (Bound("anycan", "cost", most=2.5, reference="c"), 2.5, True),
        (Bound("anycan", "cost", most=2.4, reference="c"), 2.5, False),
        (Bound("anycan", "cost", least=10, reference="peer"), 10, True),
        (Bound("anycan", "cost", least=10.1, reference="peer"), 10, False),
        (Bound("anycan", "cost", most=4), 4, True),
        (Bound("anycan", "cost", most=3.9), 4, False),
        (Bound("anycan", "lost", most=0), 0, True),
        (Bound("anycan", "cost", most=1, reference="c", plus=2.0), 4, True),
        (Bound("anycan", "cost", most=0.9, reference="c", plus=2.0), 4, False),
        (Bound("peer", "cost", most=1, reference="absent"), None, False),
        (Bound("absent", "cost", most=1), None, False),
    ],
)
def test_bounds(bound: Bound, counted: float | None, met: bool) -> None:
    (verdict,) = judge(case(bound), RESULT)
    assert verdict.met is met
    assert (verdict.found and verdict.counted) == counted


def test_what_costs_nothing_is_better_by_any_factor() -> None:
    found = result(anycan=[0.0], peer=[1.0])
    (verdict,) = judge(case(Bound("anycan", "cost", least=1e9, reference="peer")), found)
    assert verdict.met
    assert verdict.found == Spread(math.inf, math.inf, math.inf)


def test_the_table_has_medians_and_ratios_with_their_spread() -> None:
    assert table(case(), RESULT) == (
        "|  | µs/frame | ratio | lost |\n"
        "| --- | --- | --- | --- |\n"
        "| C | 2.0 | 1.00 | 0 |\n"
        "| Anycan | 4.0 | 2.50 (2.00 to 3.00) | 0 |\n"
        "| Peer | 60.0 | 20 (20 to 60) | 0 |"
    )


def test_the_table_of_bounds_says_what_was_missed() -> None:
    bounds = (
        Bound("anycan", "cost", most=3, reference="c"),
        Bound("anycan", "cost", least=30, reference="peer"),
        Bound("anycan", "cost", most=1, reference="c", plus=15),
        Bound("peer", "lost", most=0),
    )
    found = result(c=[1.0], anycan=[2.0], peer=[40.0])
    found.rounds["peer"] = []
    assert verdict_table([(case(*bounds), found)]).splitlines()[2:] == [
        "| Title | Anycan: at most 3 x C | 2.00 | met |",
        "| Title | Peer: at least 30 x Anycan | not measured | |",
        "| Title | Anycan: at most 1 x C + 15 | 2.0 of 16.0 | met |",
        "| Title | Peer: at most 0 lost | not measured | |",
    ]
    found = result(c=[1.0], anycan=[4.0], peer=[40.0])
    assert "| 4.00 | **missed** |" in verdict_table([(case(*bounds), found)])


def test_a_limit_is_that_of_the_round_in_the_middle() -> None:
    bound = Bound("anycan", "cost", most=1, reference="c", plus=15)
    found = result(c=[1.0, 2.0, 3.0, 4.0], anycan=[20.0, 16.0, 19.0, 30.0])
    (verdict,) = judge(case(bound), found)  # beyond the limit by 4, -1, 1 and 11
    assert (verdict.counted, verdict.limit, verdict.met) == (19.5, 17.0, False)


WORST = (Metric("cost", "µs/frame"), Metric("lost", "lost", digits=0, compared=False, worst=True))


def test_where_the_worst_counts_one_round_is_enough() -> None:
    found = CaseResult("key")
    for lost in (0, 2, 0):
        found.note("c", {"cost": 1, "lost": lost})
    bounds = (Bound("c", "lost", most=0), Bound("c", "lost", most=2))
    one = attrs.evolve(case(*bounds), metrics=WORST)
    assert [verdict.met for verdict in judge(one, found)] == [False, True]
    assert "| Title | C: at most 0 lost | 2 (worst) | **missed** |" in verdict_table([(one, found)])
    assert table(one, found).splitlines()[::2] == [
        "|  | µs/frame | ratio | lost (worst) |",
        "| C | 1.0 | 1.00 | 2 |",
    ]


def test_the_worst_ratio_counts_for_either_side_of_a_bound() -> None:
    metrics = (Metric("cost", "µs/frame", worst=True),)
    bounds = (
        Bound("anycan", "cost", most=2.5, reference="c"),
        Bound("anycan", "cost", least=10, reference="peer"),
        Bound("anycan", "cost", most=1, reference="c", plus=5),
    )
    verdicts = judge(attrs.evolve(case(*bounds), metrics=metrics), RESULT)
    assert [(one.counted, one.limit) for one in verdicts] == [(3, None), (8, None), (10, 9)]
    assert not any(one.met for one in verdicts)


def test_a_bound_says_of_what_it_is_where_that_is_not_plain() -> None:
    bounds = (
        Bound("anycan", "late", least=2, reference="peer"),
        Bound("anycan", "late", most=2, reference="c", plus=1),
        Bound("anycan", "late", most=9),
    )
    metrics = (METRICS[0], Metric("late", "late, µs"))
    one = attrs.evolve(case(*bounds), metrics=metrics)
    assert [bound_text(one, bound) for bound in bounds] == [
        "Peer: at least 2 x Anycan, late, µs",
        "Anycan: at most 2 x C + 1, late, µs",
        "Anycan: at most 9 late, µs",
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1, 1, 1), "1.00"),
        ((2.5, 1, 3), "2.50 (1.00 to 3.00)"),
        ((7.25, 5, 8), "7.2 (5.0 to 8.0)"),
        ((1234.5, 20, 2000), "1,234 (20 to 2,000)"),
    ],
)
def test_numbers_have_the_digits_that_mean_something(
    values: tuple[float, float, float], text: str
) -> None:
    assert spread_text(Spread(*values)) == text


def test_results_survive_their_file() -> None:
    found = result(c=[1.0])
    found.missing["peer"] = "it is not installed"
    found.failed["anycan"] = "it broke"
    found.place = "the kernel lab"
    assert CaseResult.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_results_of_older_files_are_read() -> None:
    old = {"key": "key", "rounds": {"c": [{"cost": 1.0}]}, "missing": {}}
    found = CaseResult.from_json(old)
    assert (found.failed, found.place) == ({}, "")
    assert section(case(), found).startswith("Words.\n\n|  | µs/frame |")


def test_a_section_says_where_it_was_and_who_is_not_in_it() -> None:
    found = result(c=[1.0], peer=[40.0])
    found.place = "the kernel lab"
    found.missing["anycan"] = "uvloop is not installed"
    found.failed["peer"] = "Traceback\n  somewhere\nRuntimeError: no such thing\n"
    words, place, lines, missing, failed = section(case(), found).split("\n\n")
    assert (words, place) == ("Words.", "In the kernel lab:")
    assert lines.splitlines()[2:] == ["| C | 1.0 | 1.00 | 0 |"]  # and not what peer has had
    assert missing == "Anycan is left out: uvloop is not installed."
    assert failed == "Peer has failed: RuntimeError: no such thing"
    found.place = "this machine"
    assert "\n\nOn this machine:\n\n|" in section(case(), found)


def test_a_section_of_a_case_that_is_not_here() -> None:
    found = CaseResult("key", missing=dict.fromkeys(("c", "anycan", "peer"), "no compiler"))
    assert section(case(), found) == "Words.\n\nAll of it is left out: no compiler."


def test_who_has_failed_meets_no_bound() -> None:
    found = result(c=[1.0], anycan=[1.0])
    found.failed["anycan"] = "it broke"
    bounds = (Bound("anycan", "cost", most=3, reference="c"), Bound("anycan", "lost", most=0))
    assert [verdict.met for verdict in judge(case(*bounds), found)] == [False, False]


def test_a_page_is_filled_where_it_says() -> None:
    after = "<!-- end -->\nB\n<!-- measured: other -->\nC\n<!-- end -->\n"
    page = f"A\n<!-- measured: key -->\nold\n{after}"
    filled = fill_page(page, [(case(), RESULT)], {}, complete=True)
    assert filled.startswith("A\n<!-- measured: key -->\n\nWords.\n\n|  | µs/frame |")
    assert filled.endswith(after)
    assert "old" not in filled
    assert fill_page(filled, [(case(), RESULT)], {}, complete=True) == filled


def test_what_is_about_all_cases_waits_for_all_of_them() -> None:
    page = "<!-- measured: bounds -->\nold\n<!-- end --><!-- measured: machines -->\n<!-- end -->"
    assert fill_page(page, [(case(), RESULT)], {}, complete=False) == page
    assert "old" not in fill_page(page, [(case(), RESULT)], {}, complete=True)


# Running


def test_contenders_take_turns_after_a_round_that_does_not_count() -> None:
    told: list[str] = []
    reading, writing = os.pipe()

    def measure(name: bytes) -> Callable[[], Measured]:
        def one() -> Measured:
            os.write(writing, name)
            return {"cost": os.getpid()}

        return one

    found = run_case(
        case(measures={"c": measure(b"c"), "anycan": measure(b"a"), "peer": measure(b"p")}),
        2,
        told.append,
    )
    order = os.read(reading, 100)
    os.close(reading)
    os.close(writing)
    assert order == b"capapcpca"
    processes = {one["cost"] for rounds in found.rounds.values() for one in rounds}
    assert len(processes) == 6  # each in a process of its own
    assert os.getpid() not in processes
    assert told[0] == "key: round 0 of 2"


def test_who_is_not_here_is_left_out() -> None:
    def absent() -> Measured:
        raise NotHereError("python-can is not installed")

    found = run_case(case(measures={"peer": absent, "c": lambda: {"cost": 1}}), 1, str)
    assert found.missing == {"peer": "python-can is not installed"}
    assert list(found.rounds) == ["c"]


def test_who_is_not_here_may_say_so_in_task_groups() -> None:
    def absent() -> Measured:
        error = NotHereError("it needs two cores")
        raise ExceptionGroup("", [ExceptionGroup("", [error]), error])

    def mixed() -> Measured:
        raise ExceptionGroup("", [NotHereError("it needs two cores"), ValueError("and this")])

    found = run_case(case(measures={"c": absent, "peer": mixed}), 1, str)
    assert found.missing == {"c": "it needs two cores"}
    assert list(found.failed) == ["peer"]
    assert "ValueError: and this" in found.failed["peer"]
    assert found.rounds == {}


def test_who_fails_leaves_and_the_others_go_on() -> None:
    told: list[str] = []

    def failing() -> Measured:
        raise RuntimeError("no such thing")

    def later() -> Measured:
        # The count is the parent's: told once more for each round.
        if told[-1] == "key: round 2 of 3":
            raise RuntimeError("not any more")
        return {"cost": 2}

    measures = {"c": failing, "anycan": lambda: {"cost": 1}, "peer": later}
    found = run_case(case(measures=measures), 3, told.append)
    assert found.rounds == {"anycan": 3 * [{"cost": 1}], "peer": [{"cost": 2}]}
    assert "RuntimeError: no such thing" in found.failed["c"]
    assert found.failed["c"].startswith("Traceback")
    assert list(found.failed) == ["c", "peer"]
    assert found.values("peer", "cost") == []
    assert [text for text in told if text.startswith("key, c: Traceback")]


def test_a_process_that_dies_is_told() -> None:
    found = run_case(case(measures={"c": lambda: os._exit(3)}), 1, str)
    assert found.failed == {"c": "it ended with status 3"}


def test_what_cannot_be_told_is_a_failure() -> None:
    found = run_case(case(measures={"c": lambda: {"cost": object()}}), 1, str)  # type: ignore[dict-item]
    assert "TypeError" in found.failed["c"]


def test_who_takes_too_long_is_told_and_what_it_has_started_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "PATIENCE", 1)
    reading, writing = os.pipe()

    def slow() -> Measured:
        with subprocess.Popen(["sleep", "50"], pass_fds=[writing]):
            return {}

    found = run_case(case(measures={"c": slow}), 1, str)
    os.close(writing)
    assert found.failed == {"c": "it took longer than 1 s"}
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""  # nobody has the other end any more


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_interrupted_leaves_no_process_and_takes_down_what_there_is(number: int) -> None:
    there: list[str] = []
    reading, writing = os.pipe()

    @contextmanager
    def setup() -> Iterator[None]:
        try:
            yield
        finally:
            there.append("down")

    def measure() -> Measured:
        os.kill(os.getppid(), number)
        time.sleep(50)
        return {}

    one = attrs.evolve(case(measures={"c": measure}), setup=setup)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises((SystemExit, KeyboardInterrupt)), ended_in_order():
        run_case(one, 1, str)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b""
    assert there == ["down"]
    assert signal.getsignal(signal.SIGTERM) == handler


@pytest.mark.parametrize("absent", [True, False])
def test_a_case_that_cannot_be_set_up(absent: bool) -> None:
    told: list[str] = []

    def setup() -> AbstractContextManager[None]:
        raise NotHereError("no compiler") if absent else OSError("no such interface")

    found = run_case(attrs.evolve(case(), setup=setup), 1, told.append)
    noted, other = (found.missing, found.failed) if absent else (found.failed, found.missing)
    assert list(noted) == ["c", "anycan", "peer"]
    assert other == {}
    assert noted["c"].strip().endswith("no compiler" if absent else "OSError: no such interface")
    assert told[0] == f"key: {noted['c']}"


def test_what_was_set_up_is_there_and_taken_down() -> None:
    there: list[str] = []

    @contextmanager
    def setup() -> Iterator[None]:
        there.append("up")
        yield
        there.append("down")

    one = case(measures={"c": lambda: {"cost": len(there)}})
    found = run_case(
        Case("key", "", "", METRICS, one.contenders, "c", rounds=3, setup=setup), 1, str
    )
    assert [value["cost"] for value in found.rounds["c"]] == [1, 1, 1]
    assert there == ["up", "down"]
