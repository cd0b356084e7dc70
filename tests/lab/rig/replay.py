"""The pytest plugin of kernel tests: where they run, and the lab's reports as if run here.

One run of pytest starts one lab, before the first test, and hands it all selected kernel tests.
They come last here: while the others run, the lab boots and begins. Each report of the lab goes
through the hooks of this session, so that -x, -k, -m, --lf, --durations and --junit-xml see the
kernel tests like any other.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import pytest

from rig.guest import Guest
from rig.host import KERNEL_VARIABLE, REQUIRE_VARIABLE, Verdict, find_kernel, in_guest, judge
from rig.launch import lab_command, lab_environment
from rig.progress import PATIENCE, LabError, LabGoneError, Progress, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

_LAB: Final = Path(__file__).resolve().parents[1]
_INNER: Final = (
    f"import sys; sys.path.insert(0, {str(_LAB)!r});"
    " from rig.inner import main; sys.exit(main(sys.argv[1]))"
)
_GUEST_TIMEOUT_FACTOR: Final = 10  # the emulated processor is that much slower
_GUEST_TIMEOUT: Final = 120.0  # but no test needs more
_RESTARTS: Final = 1
"""How many guests may die. An emulator has been seen to end in the middle of a run, with no word
of its kernel's; what a test did to it, it does to the second one as well.
"""

Phase = Literal["setup", "call", "teardown"]


class Running(Source, AbstractContextManager[Source], Protocol):
    """A guest that ends with its context."""


def is_kernel(item: pytest.Item) -> bool:
    """Tell whether a test needs a real kernel."""
    return item.get_closest_marker("kernel") is not None


def inner_arguments(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Give the inner pytest's arguments: what shapes a report, and nothing else of the outer's."""
    option = config.option
    arguments = ["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    arguments += [f"--rootdir={config.rootpath}", f"--tb={option.tbstyle}"]
    if config.inipath is not None:
        arguments += ["-c", str(config.inipath)]
    flags = {"--showlocals": "showlocals", "--full-trace": "fulltrace", "--runxfail": "runxfail"}
    arguments += [flag for flag, name in flags.items() if getattr(option, name, False)]
    if option.capture == "no":
        arguments.append("-s")
    verbosity = config.get_verbosity(config.VERBOSITY_ASSERTIONS)
    arguments += ["-o", f"verbosity_assertions={verbosity}"]
    valued = {
        "--timeout": "timeout",
        "--hypothesis-profile": "--hypothesis-profile",
        "--hypothesis-seed": "--hypothesis-seed",
    }
    for flag, name in valued.items():
        value = config.getoption(name, None)
        if value is not None:
            arguments.append(f"{flag}={value}")
    for warning in option.pythonwarnings or ():
        arguments += ["-W", warning]
    for override in option.override_ini or ():
        arguments += ["-o", override]
    for plugin in option.plugins or ():
        arguments += ["-p", plugin]
    return arguments + list(dict.fromkeys(str(item.path) for item in items))


def start_guest(arguments: Sequence[str], nodeids: Sequence[str]) -> Guest:
    """Boot a lab that runs tests."""

    def command(directory: Path) -> Sequence[str]:
        job = directory / "job.json"
        job.write_text(json.dumps({"arguments": arguments, "nodeids": nodeids}))
        inner = [sys.executable, "-c", _INNER, str(job)]
        # With one processor a vcan hands frames on in the order in which they were sent. With two,
        # an emulated one that this machine holds up keeps back what it sent, and is overtaken.
        return lab_command(inner, directory, console=True, processors=1)

    return Guest(command, lab_environment())


class KernelTests:
    """The plugin.

    Args:
        decide: Tells where kernel tests can run.
        start: Starts the guest.
        patience: Seconds without a word after which the guest is taken for dead.
        restarts: How many times a guest that died is followed by another, for the tests that are
            left, from the one that ran.
    """

    def __init__(
        self,
        decide: Callable[[], Verdict] = judge,
        start: Callable[[Sequence[str], Sequence[str]], Running] = start_guest,
        patience: float = PATIENCE,
        restarts: int = _RESTARTS,
    ) -> None:
        self._restarts = restarts
        self._deaths: list[str] = []
        self._guests = ExitStack()
        self._arguments: list[str] = []
        self._items: list[pytest.Item] = []
        self._echo: Callable[[str], None] | None = None
        self._decide = decide
        self._patience = patience
        self._start = start
        self._verdict = Verdict("direct")
        self._progress: Progress | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        session.items.sort(key=is_kernel)  # stable: the kernel tests go last
        if session.items and is_kernel(session.items[-1]):
            self._verdict = self._decide()

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> str | None:
        count = sum(map(is_kernel, items))
        if not count or in_guest():
            return None
        match self._verdict.place:
            case "direct":
                where = "on this machine's kernel"
            case "lab":
                release = find_kernel(os.environ.get(KERNEL_VARIABLE, ""))
                where = f"in the kernel lab, Linux {release}, which boots meanwhile"
            case "nowhere":
                where = "nowhere"
        return f"kernel tests: {count}, {where}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        items = [item for item in session.items if is_kernel(item)]
        option = session.config.option
        stopped = session.testsfailed and not option.continue_on_collection_errors
        if self._verdict.place != "lab" or not items or option.collectonly or stopped:
            return (yield)
        self._arguments = inner_arguments(session.config, items)
        self._echo = print if option.capture == "no" else None
        self._items = items
        with self._guests:
            self._progress = self._boot()
            return (yield)

    def _boot(self) -> Progress:
        """Start a guest for the tests that are left."""
        nodeids = [item.nodeid for item in self._items]
        guest = self._guests.enter_context(self._start(self._arguments, nodeids))
        return Progress(guest, self._echo, self._patience)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self._verdict.place == "nowhere" and is_kernel(item):
            if os.environ.get(REQUIRE_VARIABLE) == "1":
                pytest.fail(f"{REQUIRE_VARIABLE}=1, but {self._verdict.reason}", pytrace=False)
            pytest.skip(self._verdict.reason)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if self._progress is None or not is_kernel(item):
            return None
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._replay(item, self._progress):
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _replay(self, item: pytest.Item, progress: Progress) -> list[pytest.TestReport]:
        """Give a test's reports from the lab, from a second one if the first dies of it."""
        self._items = self._items[self._items.index(item) :]
        try:
            return _reports(item, progress)
        except LabGoneError as error:
            if not self._restarts:
                return _failed(item, [], str(error))
            self._restarts -= 1
            self._deaths.append(str(error))
        self._guests.close()
        self._progress = self._boot()
        return self._replay(item, self._progress)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for death in self._deaths:
            terminalreporter.section("kernel lab: a guest died, and another one went on")
            terminalreporter.line(death)

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool | None:
        """Set no timer for a test that runs in the lab, and a longer one inside of it."""
        if self._progress is not None and is_kernel(item):
            return True
        if not in_guest():
            return None
        import pytest_timeout  # type: ignore[import-untyped]  # noqa: PLC0415 - it may be missing

        enough = max(settings.timeout, _GUEST_TIMEOUT)
        longer = min(settings.timeout * _GUEST_TIMEOUT_FACTOR, enough)
        pytest_timeout.pytest_timeout_set_timer(item, settings._replace(timeout=longer))
        return True


_PHASES: Final[tuple[Phase, ...]] = ("setup", "call", "teardown")


def _reports(item: pytest.Item, progress: Progress) -> list[pytest.TestReport]:
    """Give a test's reports from the lab; where one is missing, one that says so in its place.

    Raises:
        LabGoneError: The guest died before the last of them.
    """
    reports: list[pytest.TestReport] = []
    problem = ""
    try:
        reports += (_unpacked(item, data) for data in progress.reports(item.nodeid))
    except LabGoneError:
        raise
    except LabError as error:
        problem = str(error)
    return _failed(item, reports, problem)


def _failed(
    item: pytest.Item, reports: list[pytest.TestReport], problem: str
) -> list[pytest.TestReport]:
    """Complete a test's reports, if there is need, by a failure."""
    expected = [phase for phase in _PHASES if all(report.when != phase for report in reports)]
    if any(report.when == "setup" and not report.passed for report in reports):
        expected.remove("call")
    if not expected:
        return reports
    phase = expected[0]
    problem = problem or f"the report of the test's {phase} was lost on the way"
    reports.append(_made_report(item, phase, f"kernel lab: {problem}"))
    if phase != "teardown":
        reports.append(_made_report(item, "teardown", None))
    return reports


def _unpacked(item: pytest.Item, data: dict[str, Any]) -> pytest.TestReport:
    hook = item.config.hook
    report: pytest.TestReport = hook.pytest_report_from_serializable(config=item.config, data=data)
    longrepr: Any = report.longrepr
    if isinstance(longrepr, list):  # where a test was skipped: JSON has no tuples
        path, line, reason = longrepr
        report.longrepr = (path, line, reason)
    return report


def _made_report(item: pytest.Item, phase: Phase, failure: str | None) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="passed" if failure is None else "failed",
        longrepr=failure,
        when=phase,
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "kernel: needs the CAN of a real kernel; runs on this machine's, else in the kernel lab,"
        " else is skipped",
    )
    config.pluginmanager.register(KernelTests(), "anycan-kernel-tests")
