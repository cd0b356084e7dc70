"""The lab's reports, replayed: a guest that is no guest gives prepared lines."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import pytest

from rig.host import GUEST_VARIABLE, REQUIRE_VARIABLE, Verdict
from rig.inner import Sender
from rig.lines import decode, encode
from rig.replay import KernelTests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TESTS = """
    import sys
    import pytest

    pytestmark = pytest.mark.kernel

    @pytest.fixture
    def broken():
        raise RuntimeError("broken fixture")

    @pytest.fixture
    def broken_end():
        yield
        raise RuntimeError("broken end")

    def test_good(): pass
    def test_bad(): print("printed words"); assert [1, 2] == [1, 3]
    def test_skipped(): pytest.skip("no reason")
    @pytest.mark.xfail(reason="known")
    def test_expected(): assert False
    def test_error(broken): pass
    def test_late_error(broken_end): pass
    @pytest.mark.parametrize("text", ["a b", "[c]::d", "\\u2603"])
    def test_many(text): pass
"""
SHORT = """
    import pytest

    pytestmark = pytest.mark.kernel

    def test_a(): pass
    def test_b(): pass
    def test_c(): pass
"""


@attrs.define
class FakeGuest:
    """A guest that wrote its lines and ended, or hangs."""

    lines: list[str] = attrs.Factory(list)
    end: int | None = 0
    stopped: bool = False
    arguments: Sequence[str] = ()
    nodeids: Sequence[str] = ()

    @property
    def status(self) -> int | None:
        return self.end

    def read_lines(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines

    def tail(self) -> str:
        return "Kernel panic - not syncing"

    def start(self, arguments: Sequence[str], nodeids: Sequence[str]) -> Self:
        self.arguments, self.nodeids = arguments, nodeids
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped = True


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these tests be outside of a lab, wherever they run."""
    monkeypatch.delenv(GUEST_VARIABLE, raising=False)
    monkeypatch.delenv(REQUIRE_VARIABLE, raising=False)


def run_outer(
    pytester: pytest.Pytester, guest: FakeGuest, *arguments: str, place: str = "lab"
) -> pytest.HookRecorder:
    """Run tests as with a lab."""
    verdict = Verdict(place, "no kernel here")  # type: ignore[arg-type]  # a word of it
    plugin = KernelTests(lambda: verdict, guest.start, patience=0.05, restarts=0)
    return pytester.inline_run(*OPTIONS, *arguments, plugins=[plugin])


OPTIONS = ("-W", "error", "-o", "markers=kernel", "-p", "no:asyncio", "-p", "no:anyio")


def run_inner(pytester: pytest.Pytester, wanted: Sequence[str], *arguments: str) -> list[str]:
    """Run tests as the guest does, and give its lines."""
    path = pytester.path / "lines"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        sender = Sender(descriptor, wanted)
        pytester.inline_run(*OPTIONS, "-p", "no:cacheprovider", *arguments, plugins=[sender])
    finally:
        os.close(descriptor)
    return path.read_text().splitlines()


def message(kind: str, name: str, **content: Any) -> str:
    return encode({"kind": kind, "nodeid": f"test_short.py::{name}", **content}).decode()


def outcomes(recorder: pytest.HookRecorder) -> dict[tuple[str, str | None], str]:
    reports = recorder.getreports("pytest_runtest_logreport")
    return {(report.nodeid.partition("::")[2], report.when): report.outcome for report in reports}


def failure(recorder: pytest.HookRecorder, name: str) -> str:
    (text,) = (
        report.longreprtext
        for report in recorder.getreports("pytest_runtest_logreport")
        if report.nodeid.endswith(f"::{name}") and report.failed
    )
    return text


@pytest.fixture
def short(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_short=SHORT)
    return pytester


@pytest.fixture
def short_lines(short: pytest.Pytester) -> list[str]:
    """Give what a guest writes that runs the short tests."""
    return run_inner(short, [f"test_short.py::test_{letter}" for letter in "abc"])


class TestWhole:
    """All that can become of a test comes out as if it had run here."""

    @pytest.fixture
    def lines(self, pytester: pytest.Pytester) -> list[str]:
        path = pytester.makepyfile(test_it=TESTS)
        names = re.findall(r"def (test_(?!many)\w+)", path.read_text())
        names += [rf"test_many[{text}]" for text in ("a b", "[c]::d", r"\u2603")]
        return run_inner(pytester, [f"test_it.py::{name}" for name in names])

    def test_reports(self, pytester: pytest.Pytester, lines: list[str]) -> None:
        noise = ["[   15.0] can: raw protocol", "", "@anycan-lab:00000000:AAAA"]
        guest = FakeGuest([*noise, *(f"noise{line}" for line in lines), *noise])
        recorder = run_outer(pytester, guest, "--junit-xml=junit.xml")
        direct = pytester.inline_run(*OPTIONS)
        assert outcomes(recorder) == outcomes(direct)
        assert len(guest.nodeids) == 9
        assert failure(recorder, "test_bad") == failure(direct, "test_bad")
        assert guest.stopped
        bad = next(
            report
            for report in recorder.getreports("pytest_runtest_logreport")
            if report.nodeid.endswith("test_bad") and report.failed
        )
        assert bad.capstdout == "printed words\n"
        assert bad.duration > 0
        assert 'name="test_bad"' in (pytester.path / "junit.xml").read_text()


def test_a_guest_that_ends_in_a_test(short: pytest.Pytester, short_lines: list[str]) -> None:
    begun = next(n for n, line in enumerate(short_lines) if _is(line, "start", "test_b"))
    recorder = run_outer(short, FakeGuest(short_lines[: begun + 1], end=139))
    assert outcomes(recorder) == {
        ("test_a", "setup"): "passed",
        ("test_a", "call"): "passed",
        ("test_a", "teardown"): "passed",
        ("test_b", "setup"): "failed",
        ("test_b", "teardown"): "passed",
        ("test_c", "setup"): "failed",
        ("test_c", "teardown"): "passed",
    }
    assert failure(recorder, "test_b") == (
        "kernel lab: the guest ended with status 139 while it ran this test\n"
        "Kernel panic - not syncing"
    )
    assert failure(recorder, "test_c") == (
        "kernel lab: the lab is gone: the guest ended with status 139 while it ran"
        " test_short.py::test_b"
    )


def _is(line: str, kind: str, name: str) -> bool:
    match decode(line):
        case {"kind": found, "nodeid": str(nodeid)}:
            return bool(found == kind and nodeid.endswith(name))
        case _:
            return False


class TestASecondGuest:
    def run(self, short: pytest.Pytester, *guests: FakeGuest) -> pytest.HookRecorder:
        waiting = list(guests)

        def start(arguments: Sequence[str], nodeids: Sequence[str]) -> FakeGuest:
            assert all(guest.stopped for guest in guests if guest not in waiting)
            return waiting.pop(0).start(arguments, nodeids)

        plugin = KernelTests(lambda: Verdict("lab"), start, patience=0.05)
        return short.inline_run(*OPTIONS, plugins=[plugin])

    def test_it_goes_on(
        self,
        short: pytest.Pytester,
        short_lines: list[str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        begun = next(n for n, line in enumerate(short_lines) if _is(line, "start", "test_b"))
        last = next(n for n, line in enumerate(short_lines) if _is(line, "finish", "test_b"))
        first = FakeGuest(short_lines[: last - 1], end=255)  # without the report of its end
        second = FakeGuest(short_lines[begun:])
        recorder = self.run(short, first, second)
        assert recorder.countoutcomes() == [3, 0, 0]
        assert list(second.nodeids) == ["test_short.py::test_b", "test_short.py::test_c"]
        assert second.stopped
        output = capsys.readouterr().out
        assert "a guest died, and another one went on" in output
        assert "Kernel panic - not syncing" in output

    def test_it_dies_too(self, short: pytest.Pytester, short_lines: list[str]) -> None:
        begun = next(n for n, line in enumerate(short_lines) if _is(line, "start", "test_b"))
        first = FakeGuest(short_lines[: begun + 1], end=255)
        second = FakeGuest([short_lines[begun]], end=255)
        recorder = self.run(short, first, second)
        assert recorder.countoutcomes() == [1, 0, 2]
        assert "status 255 while it ran this test" in failure(recorder, "test_b")


def test_a_guest_that_hangs(short: pytest.Pytester, short_lines: list[str]) -> None:
    finished = next(n for n, line in enumerate(short_lines) if _is(line, "finish", "test_a"))
    guest = FakeGuest(short_lines[: finished + 1], end=None)
    recorder = run_outer(short, guest)
    assert "no word from the guest for 0 s while it ran no test" in failure(recorder, "test_b")
    assert "the lab is gone" in failure(recorder, "test_c")
    assert guest.stopped


def test_a_guest_that_never_boots(short: pytest.Pytester) -> None:
    recorder = run_outer(short, FakeGuest(end=1))
    assert "the guest ended with status 1" in failure(recorder, "test_a")
    assert "Kernel panic" in failure(recorder, "test_a")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_report_that_is_lost(
    short: pytest.Pytester, short_lines: list[str], position: int
) -> None:
    reports = [n for n, line in enumerate(short_lines) if _is(line, "report", "test_a")]
    short_lines[reports[position]] = "damaged"
    recorder = run_outer(short, FakeGuest(short_lines))
    phase = ("setup", "call", "teardown")[position]
    assert failure(recorder, "test_a").endswith(f"the test's {phase} was lost on the way")
    assert outcomes(recorder)["test_b", "call"] == "passed"


def test_a_test_that_the_guest_does_not_find(short: pytest.Pytester) -> None:
    wanted = ["test_short.py::test_a", "test_short.py::test_b", "test_short.py::test_c"]
    short.makepyfile(test_short="import nothing_of_that_name")
    lines = run_inner(short, wanted, "--continue-on-collection-errors")
    short.makepyfile(test_short=SHORT)
    recorder = run_outer(short, FakeGuest(lines))
    assert "did not find this test" in failure(recorder, "test_c")
    assert "nothing_of_that_name" in failure(recorder, "test_c")


def test_kernel_tests_come_last(short: pytest.Pytester, short_lines: list[str]) -> None:
    short.makepyfile(test_zebra="def test_user(): pass")
    recorder = run_outer(short, FakeGuest(short_lines))
    order = [call.nodeid for call in recorder.getcalls("pytest_runtest_logstart")]
    assert order[0] == "test_zebra.py::test_user"


def test_the_first_failure_can_end_it(short: pytest.Pytester) -> None:
    guest = FakeGuest(end=1)
    recorder = run_outer(short, guest, "-x")
    assert {name for name, _ in outcomes(recorder)} == {"test_a"}
    assert guest.stopped


def test_last_failed(short: pytest.Pytester, short_lines: list[str]) -> None:
    reports = [n for n, line in enumerate(short_lines) if _is(line, "report", "test_b")]
    run_outer(
        short, FakeGuest(short_lines[: reports[0]], end=1), "--deselect=test_short.py::test_c"
    )
    guest = FakeGuest(list(short_lines))
    run_outer(short, guest, "--lf")
    assert guest.nodeids == ["test_short.py::test_b"]


def test_an_interrupt_ends_the_guest(short: pytest.Pytester) -> None:
    short.makepyfile(test_first="def test_user(): raise KeyboardInterrupt")
    guest = FakeGuest()
    with pytest.raises(KeyboardInterrupt):
        run_outer(short, guest)
    assert guest.nodeids
    assert guest.stopped


@pytest.mark.parametrize("option", ["--collect-only", "-mnot kernel", "-ktest_user"])
def test_no_guest_without_need(short: pytest.Pytester, option: str) -> None:
    short.makepyfile(test_zebra="def test_user(): pass")
    guest = FakeGuest()
    run_outer(short, guest, option)
    assert not guest.nodeids


def test_a_kernel_here(short: pytest.Pytester) -> None:
    guest = FakeGuest()
    recorder = run_outer(short, guest, place="direct")
    assert recorder.countoutcomes() == [3, 0, 0]
    assert not guest.nodeids


def test_no_kernel(short: pytest.Pytester) -> None:
    recorder = run_outer(short, FakeGuest(), place="nowhere")
    assert recorder.countoutcomes() == [0, 3, 0]
    (first, *_) = recorder.getreports("pytest_runtest_logreport")
    assert "no kernel here" in str(first.longrepr)


def test_no_kernel_where_one_is_required(
    short: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REQUIRE_VARIABLE, "1")
    recorder = run_outer(short, FakeGuest(), place="nowhere")
    assert recorder.countoutcomes() == [0, 0, 3]
    assert failure(recorder, "test_a") == "ANYCAN_REQUIRE_KERNEL=1, but no kernel here"


def test_options_that_shape_a_report_reach_the_guest(short: pytest.Pytester) -> None:
    guest = FakeGuest(end=1)
    options = ("--tb=short", "-l", "--runxfail", "-vv", "--timeout=7", "--durations=3", "-ktest_a")
    run_outer(short, guest, *options)
    arguments = " ".join(guest.arguments)
    for expected in ("--tb=short", "--showlocals", "--runxfail", "--timeout=7", "-W error"):
        assert expected in arguments
    assert "verbosity_assertions=2" in arguments
    assert not re.search("durations|-k|junit|cov", arguments)
    assert guest.arguments[-1] == str(short.path / "test_short.py")


class TestTimeout:
    """pytest-timeout's timers are not for tests that run elsewhere, and longer in there."""

    @attrs.frozen
    class Settings:
        timeout: float

        def _replace(self, timeout: float) -> TestTimeout.Settings:
            return type(self)(timeout)

    @pytest.fixture
    def timers(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
        import pytest_timeout  # type: ignore[import-untyped]  # noqa: PLC0415 - as the plugin does

        timers: list[float] = []

        def set_timer(_item: object, settings: TestTimeout.Settings) -> None:
            timers.append(settings.timeout)

        monkeypatch.setattr(pytest_timeout, "pytest_timeout_set_timer", set_timer)
        return iter([timers])

    @pytest.mark.parametrize(("outside", "inside"), [(5, 50), (60, 120), (300, 300)])
    def test_inside(
        self,
        request: pytest.FixtureRequest,
        timers: list[list[float]],
        monkeypatch: pytest.MonkeyPatch,
        outside: float,
        inside: float,
    ) -> None:
        monkeypatch.setenv(GUEST_VARIABLE, "1")
        plugin = KernelTests()
        assert plugin.pytest_timeout_set_timer(request.node, self.Settings(outside)) is True
        assert next(iter(timers)) == [inside]

    def test_outside(self, request: pytest.FixtureRequest) -> None:
        assert KernelTests().pytest_timeout_set_timer(request.node, self.Settings(5)) is None


def test_a_replayed_test_has_no_timer(short: pytest.Pytester, short_lines: list[str]) -> None:
    path = Path(short.path, "conftest.py")
    path.write_text(
        "import pytest\n"
        "@pytest.hookimpl(optionalhook=True)\n"
        "def pytest_timeout_set_timer(item, settings):\n"
        "    raise RuntimeError('a timer was set')\n"
    )
    recorder = run_outer(short, FakeGuest(short_lines), "--timeout=5")
    assert recorder.countoutcomes() == [3, 0, 0]
