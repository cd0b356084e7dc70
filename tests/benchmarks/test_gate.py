"""The gate's judgement, what its workloads do, and whether it finds what is planted."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gate import baseline, command, counting
from gate.baseline import Baseline, Build, Choice
from gate.batch import BATCH
from gate.judgement import Count, Verdict, judge, ratios, remarks, table
from gate.meter import WARM_ROUNDS, Meter, NoCounter
from gate.plant import plant, replace_path
from gate.workloads import all_workloads
from gate.workloads.reference import KEY as REFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gate.meter import Workload

_MINE = Build("3.11", "CPython, x86_64, GCC 12.2.0, -O3")
_linux = pytest.mark.skipif(sys.platform != "linux", reason="the gate's sockets are Linux's")


def _counts(**each: int) -> dict[str, Count]:
    """Give counts of ten frames, beside a reference of 1000 instructions a frame."""
    counts = {key: Count(10 * number, 10) for key, number in each.items()}
    return {REFERENCE: Count(20_000, 20), **counts}


@pytest.mark.parametrize(
    ("each", "verdict"),
    [
        (2000, Verdict.HOLDS),
        (2100, Verdict.HOLDS),
        (2101, Verdict.SLOWER),
        (1900, Verdict.HOLDS),
        (1899, Verdict.FASTER),
    ],
)
def test_what_is_beyond_the_margin_is_found(each: int, verdict: Verdict) -> None:
    (finding,) = judge(_counts(decode=each), REFERENCE, {"decode": 2.0}, 0.05)
    assert finding.verdict is verdict
    assert finding.ratio == pytest.approx(each / 1000)
    assert finding.change == pytest.approx(each / 2000 - 1)


def test_a_python_that_takes_more_for_everything_changes_nothing() -> None:
    counts = {key: Count(3 * one.instructions, one.frames) for key, one in _counts(a=900).items()}
    assert ratios(counts, REFERENCE) == ratios(_counts(a=900), REFERENCE) == {"a": 0.9}


def test_a_workload_without_a_baseline_is_named_and_does_not_fail() -> None:
    findings = judge(_counts(old=500, new=700), REFERENCE, {"old": 0.5}, 0.05)
    assert [one.verdict for one in findings] == [Verdict.HOLDS, Verdict.NEW]
    assert remarks(findings, 0.05, "gate") == [
        "Without a baseline: new. To make one: gate --write",
    ]


def test_what_is_slower_and_what_is_better_is_told_with_what_to_do() -> None:
    counts = _counts(bad=1200, good=800, same=1010)
    findings = judge(counts, REFERENCE, {"bad": 1.0, "good": 1.0, "same": 1.0}, 0.05)
    slower, better = remarks(findings, 0.05, "gate")
    assert slower.startswith(
        "bad takes 20.0% more instructions a frame than its baseline, and 5% is"
    )
    assert slower.endswith("gate --profile bad")
    assert better.startswith("Better than the baseline: good by 20.0%.")
    assert better.endswith("gate --write")
    lines = table(findings, {"bad": "Bad", "good": "Good", "same": "Same"}).splitlines()
    assert lines[2] == "| bad | Bad | 1,200 | 1.200 | 1.000 | +20.0% | **slower** |"
    assert lines[4] == "| same | Same | 1,010 | 1.010 | 1.000 | +1.0% | holds |"


# Baselines


def test_a_build_is_compared_with_its_own_baseline() -> None:
    own = Baseline(_MINE, {"decode": 1.0})
    other = Baseline(Build("3.11", "another"), {"decode": 2.0})
    assert baseline.choose([other, own], _MINE) == Choice(own, baseline.MARGIN, "")


@pytest.mark.parametrize(
    ("build", "version", "margin"),
    [
        (Build("3.11", "another"), "3.11", baseline.OTHER_BUILD),
        (Build("3.12", _MINE.text), "3.11", baseline.OTHER_VERSION),
        (Build("3.14", _MINE.text), "3.13", baseline.OTHER_VERSION),
    ],
)
def test_without_one_it_is_the_nearest_with_a_wider_margin(
    build: Build, version: str, margin: float
) -> None:
    known = [Baseline(Build(one, _MINE.text), {"decode": 1.0}) for one in ("3.11", "3.13")]
    if build.version == "3.12":
        known = known[:1]
    choice = baseline.choose(known, build)
    assert choice.baseline is not None
    assert choice.baseline.build.version == version
    assert choice.margin == margin
    assert f"There is no baseline of Python {build.version} ({build.text})" in choice.remark
    assert f"the margin is {margin:.0%}" in choice.remark


def test_where_there_is_none_at_all_it_says_so() -> None:
    choice = baseline.choose([], _MINE)
    assert choice.ratios == {}
    assert "no baseline yet" in choice.remark


def test_baselines_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert baseline.read(path) == []
    newer = Baseline(Build("3.13", "here"), {"decode": 1.5})
    baseline.write([newer, Baseline(_MINE, {"decode": 1.23456})], path)
    known = baseline.read(path)
    assert known == [Baseline(_MINE, {"decode": 1.2346}), newer]
    renewed = baseline.renewed(known, Baseline(_MINE, {"decode": 0.5}))
    assert renewed == [newer, Baseline(_MINE, {"decode": 0.5})]


def test_every_workload_has_a_baseline() -> None:
    known = baseline.read(baseline.PATH)
    assert known
    for one in known:
        assert one.ratios.keys() == all_workloads().keys() - {REFERENCE}


# The command


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Count]:
    """Give what the command is to count, with a baseline of its own."""
    path = tmp_path / "baseline.json"
    baseline.write([Baseline(baseline.this_build(), {"decode": 1.0, "gone": 1.0})], path)
    monkeypatch.setattr(baseline, "PATH", path)
    counts = _counts(decode=1000, wake=9000)

    def count(keys: Sequence[str], _planted: Mapping[str, float]) -> dict[str, Count]:
        return {key: counts[key] for key in keys}

    monkeypatch.setattr(command, "count", count)
    return counts


def test_the_command_fails_for_what_is_slower(
    counted: dict[str, Count], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["decode"]) == 0
    capsys.readouterr()
    counted.update(_counts(decode=1100))
    assert command.main(["decode"]) == 1
    assert "decode takes 10.0% more instructions a frame" in capsys.readouterr().out
    assert command.main(["decode", "--margin", "11"]) == 0


def test_the_command_renews_what_it_has_counted_and_forgets_what_is_gone(
    counted: dict[str, Count],
) -> None:
    assert command.main(["wake", "--write"]) == 0
    (written,) = baseline.read(baseline.PATH)
    assert written.ratios == {"decode": 1.0, "wake": 9.0}
    counted.update(_counts(wake=9500))
    assert command.main(["wake"]) == 1


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["--profile", "nothing"], ["--plant", "decode", "--write"]]
)
def test_the_command_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as failed:
        command.main(arguments)
    assert failed.value.code == 2


def test_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert command.main(["decode"]) == 2
    told = capsys.readouterr().err
    assert "there is no valgrind and no cc here" in told
    assert "apt-get install" in told


# The workloads


class _Watch:
    """Counts the frames that go through a function, while they are counted."""

    def __init__(self) -> None:
        self.frames = 0
        self._counting = False

    def begin(self) -> None:
        """Do nothing."""

    def start(self) -> None:
        self._counting = True

    def stop(self) -> None:
        self._counting = False

    def wrap(self, function: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            result = function(*arguments)
            if self._counting:
                self.frames += result if isinstance(result, int) else len(result or "1")
            return result

        return wrapped


@_linux
@pytest.mark.may_block("a workload collects garbage before it is counted")
@pytest.mark.parametrize("workload", all_workloads().values(), ids=all_workloads())
def test_each_frame_of_a_workload_goes_through_its_path_once(workload: Workload) -> None:
    watch = _Watch()
    meter = Meter(watch)
    put_back = replace_path(workload, watch.wrap)
    try:
        workload.run(meter)
    finally:
        put_back()
    assert watch.frames == meter.frames > 0


def test_what_is_planted_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr("gate.plant.take_frames", done.append)
    workload = all_workloads()["decode"]
    take_away = plant(workload, 0.5)
    try:
        meter = Meter(NoCounter())
        workload.run(meter)
    finally:
        take_away()
    rounds = WARM_ROUNDS + meter.frames // BATCH
    assert sum(done) == pytest.approx(rounds * BATCH * 0.5, rel=0.05)


@pytest.mark.skipif(
    os.environ.get("ANYCAN_REQUIRE_GATE") != "1",
    reason="it counts instructions for a minute: ANYCAN_REQUIRE_GATE=1 runs it",
)
@pytest.mark.timeout(600)
def test_a_tenth_more_is_found_in_each_workload() -> None:
    keys = list(all_workloads())
    before = ratios(counting.count(keys), REFERENCE)
    planted = counting.count(keys, {key: ratio / 10 for key, ratio in before.items()})
    findings = judge(planted, REFERENCE, before, baseline.MARGIN)
    assert {one.key: one.verdict for one in findings} == dict.fromkeys(before, Verdict.SLOWER)
    again = judge(counting.count(keys), REFERENCE, before, baseline.MARGIN)
    assert {one.key: one.verdict for one in again} == dict.fromkeys(before, Verdict.HOLDS)
