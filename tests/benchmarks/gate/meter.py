"""What a workload is, and the meter that it runs under."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

WARM_ROUNDS: Final = 3
"""Rounds before those that are counted: Python's interpreter adapts to what it runs."""


class Counter(Protocol):
    """What counts, while it is told to."""

    def begin(self) -> None:
        """Get ready: the next call is the first that counts."""
        ...

    def start(self) -> None:
        """Count from now on."""
        ...

    def stop(self) -> None:
        """Count no more."""
        ...


class NoCounter:
    """Counts nothing: to run a workload and no more."""

    def begin(self) -> None:
        """Do nothing."""

    start = stop = begin


class Meter:
    """Has a workload's rounds counted, after some that warm up.

    Args:
        counter: What counts.

    Attributes:
        frames: How many frames have gone through the rounds that were counted.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.frames = 0

    def rounds(self, count: int, frames: int) -> Iterator[AbstractContextManager[None]]:
        """Give of each round the context manager in which it is counted.

        What a workload does between them, such as sending what is to be received, is not counted.

        Args:
            count: How many rounds count.
            frames: How many frames go through each.
        """
        for _ in range(WARM_ROUNDS):
            yield self._round(0, counts=False)
        gc.collect()  # that the next collections come at the same moments in every run
        self._counter.begin()
        for _ in range(count):
            yield self._round(frames, counts=True)

    @contextmanager
    def _round(self, frames: int, *, counts: bool) -> Iterator[None]:
        if counts:
            self._counter.start()
        try:
            yield
        finally:
            if counts:
                self._counter.stop()
        self.frames += frames


@attrs.frozen
class Workload:
    """Something whose instructions are counted.

    Attributes:
        key: Names it on the command line and in the baseline.
        title: What is printed.
        run: Runs it under a meter.
        path: A function that each of its frames goes through, as ``"module:Class.function"``: where
            work is planted, to see the gate find it. It takes frames as a list or returns how many
            they are, or it is called for each.
    """

    key: str
    title: str
    run: Callable[[Meter], None]
    path: str
