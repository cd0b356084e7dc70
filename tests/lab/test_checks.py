"""What every test is checked for: each check can fail, and excuse."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from rig import blocking, checks
from rig.leaks import LoopErrors, leaked_descriptors, open_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = ("-Werror", "-pno:cacheprovider", "-oasyncio_default_fixture_loop_scope=function")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Iterator[Runner]:
    outer = blocking.current()
    yield Runner(pytester)
    assert blocking.current() is outer


class Runner:
    """Runs a test under the checks, and gives what they say."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester

    def __call__(self, test: str) -> str:
        self._pytester.makepyfile(f"import asyncio, os, socket, time, pytest\n{test}")
        recorder = self._pytester.inline_run(*OPTIONS, plugins=[checks])
        reports = recorder.getreports("pytest_runtest_logreport")
        return "\n".join(report.longreprtext for report in reports if report.failed)


def test_nothing_to_say(run: Runner) -> None:
    assert run("def test_it(): os.close(os.dup(1))") == ""


@pytest.mark.may_leak("the test in the test does")
def test_an_open_descriptor(run: Runner) -> None:
    assert "left open: descriptor" in run("def test_it(): os.dup(1)")


@pytest.mark.may_leak("the test in the test does")
def test_an_open_descriptor_is_excused(run: Runner) -> None:
    assert run("@pytest.mark.may_leak('for show')\ndef test_it(): os.dup(1)") == ""


def test_an_excuse_has_a_reason(run: Runner) -> None:
    assert "tells the reason" in run("@pytest.mark.may_leak\ndef test_it(): pass")


@pytest.mark.may_leak("the test in the test does")
def test_a_failure_is_told_once(run: Runner) -> None:
    text = run("def test_it():\n    open_one = os.dup(1)\n    assert False")
    assert "assert False" in text
    assert "left open" not in text


def test_a_warning_of_the_collector(run: Runner) -> None:
    text = run("def test_it():\n    ring = [socket.socket()]\n    ring.append(ring)")
    assert "ResourceWarning: unclosed <socket.socket" in text


def test_a_task_left_running(run: Runner) -> None:
    body = "\n    asyncio.get_running_loop().create_task(asyncio.sleep(9), name='forgotten')"
    text = run(f"@pytest.mark.asyncio\nasync def test_it():{body}")
    assert "left tasks running" in text
    assert "forgotten" in text


def test_an_error_that_the_loop_logs(run: Runner) -> None:
    loop = "loop = asyncio.new_event_loop()"
    call = "loop.call_exception_handler({'message': 'something unseen'})"
    assert "something unseen" in run(f"def test_it():\n    {loop}\n    {call}\n    loop.close()")


BLOCKING = "async def block():\n    time.sleep(0.06)\n"


@pytest.mark.skipif("not hasattr(blocking, 'resource')", reason="only Linux counts the switches")
class TestBlocking:
    @pytest.fixture(autouse=True)
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocking, "LIMIT", 0.05)

    def test_on_asyncio(self, run: Runner) -> None:
        text = run(f"{BLOCKING}def test_it(): asyncio.run(block())")
        assert "a call blocked the event loop for" in text

    def test_on_trio(self, run: Runner) -> None:
        mark = "@pytest.mark.anyio\n@pytest.mark.parametrize('anyio_backend', ['trio'])\n"
        text = run(f"{BLOCKING}{mark}async def test_it(anyio_backend): await block()")
        assert "a call blocked the event loop for" in text

    def test_it_is_excused(self, run: Runner) -> None:
        mark = "@pytest.mark.may_block('for show')\n"
        assert run(f"{BLOCKING}{mark}def test_it(): asyncio.run(block())") == ""

    def test_waiting_is_not_blocking(self) -> None:
        with blocking.watching() as watch:
            asyncio.run(asyncio.sleep(0.06))
        assert watch.slept == []

    def test_work_is_not_blocking(self) -> None:
        async def work() -> None:
            end = time.thread_time() + 0.06
            while time.thread_time() < end:
                pass

        with blocking.watching() as watch:
            asyncio.run(work())
        assert watch.slept == []

    def test_what_is_outside_of_a_loop_may_block(self, run: Runner) -> None:
        asyncio_run = "asyncio.run(asyncio.sleep(0))"
        body = f"{asyncio_run}\n    time.sleep(0.06)\n    {asyncio_run}"
        assert run(f"def test_it():\n    {body}") == ""


def test_the_errors_of_a_loop() -> None:
    loop = asyncio.new_event_loop()
    try:
        with LoopErrors() as errors:
            loop.call_exception_handler({"message": "first"})
        assert errors.messages == ["first"]
    finally:
        loop.close()


def test_no_descriptor_is_leaked_by_looking() -> None:
    before = open_descriptors()
    assert open_descriptors() == before
    assert leaked_descriptors(before) == []
