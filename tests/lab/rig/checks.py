"""The pytest plugin of the checks around every test.

A test fails that leaves a descriptor open or a task running, makes an event loop log an error, or
blocks one. ``@pytest.mark.may_leak("why")`` and ``@pytest.mark.may_block("why")`` are the ways
out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from rig import blocking
from rig.leaks import (
    LoopErrors,
    is_async_test,
    leaked_descriptors,
    open_descriptors,
    running_tasks,
    tasks_left,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator

# What is there at the start and at times between tests stays, such as modules and reports. The
# collector need not look at it again after every test: that would cost some milliseconds each.
_FREEZE_INTERVAL: Final = 50
_tests: Final = itertools.count(1)
_failed: Final = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check what a test leaves behind, and how it behaved."""
    may_leak = _excused(request.node, "may_leak")
    may_block = _excused(request.node, "may_block")
    before = open_descriptors()
    with LoopErrors() as loop_errors, blocking.watching() as watch:
        yield
        # What nobody holds warns now, in the test that is to blame, not in a later one.
        gc.collect()
        if next(_tests) % _FREEZE_INTERVAL == 0:
            gc.freeze()
    problems = list(loop_errors.messages)
    # A failure's traceback holds the test's objects: what they hold open is no news.
    if not may_leak and not request.node.stash.get(_failed, False):
        problems += [f"left open: descriptor {leak}" for leak in leaked_descriptors(before)]
    if watch.slept and not may_block:
        problems.append(
            f"a call blocked the event loop for {max(watch.slept) * 1000:.0f} ms"
            f" (in all {len(watch.slept)} such calls)"
        )
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def _excused(item: pytest.Item, name: str) -> bool:
    marker = item.get_closest_marker(name)
    if marker is None:
        return False
    if not marker.args or not isinstance(marker.args[0], str):
        raise pytest.UsageError(f'{item.nodeid}: @pytest.mark.{name}("why") tells the reason')
    return True


def _watched(
    test: Callable[..., Awaitable[Any]], *, may_leak: bool
) -> Callable[..., Awaitable[Any]]:
    """Give a test that is looked at from within its event loop as well."""

    @functools.wraps(test)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        before = running_tasks()
        with _trio_watched():
            result = await test(*args, **kwargs)
        left = tasks_left(before)
        if left and not may_leak:
            raise AssertionError("\n".join(("the test left tasks running:", *map(repr, left))))
        return result

    return watched


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.when == "call":
        item.stash[_failed] = report.failed
    return report


@contextlib.contextmanager
def _trio_watched() -> Iterator[None]:
    """Let a running trio loop tell the current watch of its steps."""
    trio = sys.modules.get("trio")
    watch = blocking.current()
    if watch is None or trio is None or not trio.lowlevel.in_trio_run():
        yield
        return
    trio.lowlevel.add_instrument(watch)
    watch.begin()  # of this step the instrument sees neither the beginning nor the end
    try:
        yield
    finally:
        watch.end()
        trio.lowlevel.remove_instrument(watch)


def pytest_configure(config: pytest.Config) -> None:
    for name, what in (
        ("may_leak", "may leave descriptors and tasks behind"),
        ("may_block", "may block the event loop"),
    ):
        config.addinivalue_line("markers", f"{name}(why): the test {what}")
    blocking.install()


def pytest_collection_finish() -> None:
    _open_what_stays_open()
    gc.collect()
    gc.freeze()


def _open_what_stays_open() -> None:
    """Let libuv open the descriptors that a process of it keeps: they are no test's leak."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - it need not be installed

        uvloop.run(asyncio.sleep(0))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and is_async_test(item.obj):
        item.obj = _watched(item.obj, may_leak=_excused(item, "may_leak"))
