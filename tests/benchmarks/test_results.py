"""The benchmarks' own arithmetic: ratios of rounds, bounds, tables, and how cases are run."""

from __future__ import annotations

import json
import math
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from suite.case import Bound, Case, Contender, Measured, Metric, NotHereError
from suite.report import fill_page, spread_text, table, verdict_table
from suite.results import CaseResult, Spread, judge
from suite.running import MeasurementError, run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    ("bound", "median", "met"),
    [
        (Bound("anycan", "cost", most=2.5, reference="c"), 2.5, True),
        (Bound("anycan", "cost", most=2.4, reference="c"), 2.5, False),
        (Bound("anycan", "cost", least=10, reference="peer"), 10, True),
        (Bound("anycan", "cost", least=10.1, reference="peer"), 10, False),
        (Bound("anycan", "cost", most=4), 4, True),
        (Bound("anycan", "cost", most=3.9), 4, False),
        (Bound("anycan", "lost", most=0), 0, True),
        (Bound("anycan", "cost", most=1, reference="c", plus=2.0), 1, True),
        (Bound("anycan", "cost", most=0.9, reference="c", plus=2.0), 1, False),
        (Bound("peer", "cost", most=1, reference="absent"), None, False),
        (Bound("absent", "cost", most=1), None, False),
    ],
)
def test_bounds(bound: Bound, median: float | None, met: bool) -> None:
    (verdict,) = judge(case(bound), RESULT)
    assert verdict.met is met
    assert (verdict.found and verdict.found.median) == median


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
        "| Title | Anycan: at most 1 x C + 15 | -13.00 | met |",
        "| Title | Peer: at most 0 lost | not measured | |",
    ]
    found = result(c=[1.0], anycan=[4.0], peer=[40.0])
    assert "| 4.00 | **missed** |" in verdict_table([(case(*bounds), found)])


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
    RESULT.missing["peer"] = "it is not installed"
    again = CaseResult.from_json(json.loads(json.dumps(RESULT.to_json())))
    assert again == RESULT


def test_a_page_is_filled_where_it_says() -> None:
    after = "<!-- end -->\nB\n<!-- measured: other -->\nC\n<!-- end -->\n"
    page = f"A\n<!-- measured: key -->\nold\n{after}"
    filled = fill_page(page, [(case(), RESULT)], {})
    assert filled.startswith("A\n<!-- measured: key -->\n\nWords.\n\n|  | µs/frame |")
    assert filled.endswith(after)
    assert "old" not in filled
    assert fill_page(filled, [(case(), RESULT)], {}) == filled


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


def test_a_failure_is_told_with_its_traceback() -> None:
    def failing() -> Measured:
        raise RuntimeError("no such thing")

    with pytest.raises(MeasurementError, match=r"^key, c: (?s:.)*RuntimeError: no such thing"):
        run_case(case(measures={"c": failing}), 1, str)


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(MeasurementError, match=r"^key, c: it ended with status 3$"):
        run_case(case(measures={"c": lambda: os._exit(3)}), 1, str)


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
