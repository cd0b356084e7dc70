"""What a test must not leave behind: open descriptors, running tasks, errors nobody saw."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
from typing import Any, Final, Self

_DIRECTORY: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"


def open_descriptors() -> frozenset[int]:
    """Give this process's open descriptors."""
    names = os.listdir(_DIRECTORY)  # noqa: PTH208 - a Path for each would cost ten times more
    return frozenset(map(int, names)) - _listing_descriptor(names)


def _listing_descriptor(names: list[str]) -> set[int]:
    """Give the descriptor that the listing itself was made by: it is closed again."""
    return {int(name) for name in names if not _is_open(int(name))}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def leaked_descriptors(before: frozenset[int]) -> list[str]:
    """Tell the descriptors that are open now and were not before.

    Call it after a garbage collection: what nobody holds is closed by then, not without a
    ResourceWarning.
    """
    return [f"{number} ({_target(number)})" for number in sorted(open_descriptors() - before)]


def _target(descriptor: int) -> str:
    try:
        return os.readlink(f"{_DIRECTORY}/{descriptor}")  # noqa: PTH115 - a link to no path
    except OSError:
        return "?"


class LoopErrors(logging.Handler):
    """Collects what an event loop can only log, such as a task destroyed while pending.

    Within another one it collects in its place.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self._logger = logging.getLogger("asyncio")
        self._outer: list[logging.Handler] = []

    def __enter__(self) -> Self:
        self._outer = [other for other in self._logger.handlers if isinstance(other, LoopErrors)]
        for other in self._outer:
            self._logger.removeHandler(other)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        for other in self._outer:
            self._logger.addHandler(other)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def running_tasks() -> set[asyncio.Task[Any]]:
    """Give the tasks of the running asyncio loop. On trio none can outlive its nursery."""
    try:
        return asyncio.all_tasks()
    except RuntimeError:  # no asyncio loop runs
        return set()


def tasks_left(before: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Give the tasks that run now and did not before."""
    return [task for task in running_tasks() - before if not task.done()]


def is_async_test(test: object) -> bool:
    """Tell whether a test is a coroutine function (one made by Hypothesis is not)."""
    return inspect.iscoroutinefunction(test)
