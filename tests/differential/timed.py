"""Running a program in which time passes, on a network whose time does and on one where it stands.

On the kernel time passes by itself, and what a call takes is not known. So no program looks at a
moment at which something may just be happening: on the user-space network, whose time stands still
between the steps, it is found out how long each wait has to be for that.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import assume

from anycan.wire.messages import pack_address
from clock import MILLISECOND, ManualClock
from stages import KernelStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from anycan.sockets.descriptor import Descriptor
    from stages import Stage, UserStage

MARGIN: Final = 25 * MILLISECOND  # nothing happens that close to a step
_SLICE: Final = 5 * MILLISECOND

RunT = TypeVar("RunT", bound="TimedRun")
OutcomesT = TypeVar("OutcomesT")


def close(descriptor: Descriptor) -> None:
    """Close a descriptor, and wait until that has been done."""
    rest = descriptor.close()
    if rest is not None:
        rest()


@contextmanager
def timely_stage() -> Iterator[KernelStage]:
    """Give the kernel's stage, on one processor: its timers are each one's own, and so in order."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    stage = KernelStage()
    yield stage
    stage.close()
    os.sched_setaffinity(0, processors)


class TooLateError(Exception):
    """A program could not be run in time: the machine is too busy, or it takes its time."""


def in_time(
    make: Callable[[], RunT], outcomes: Callable[[RunT], OutcomesT], attempts: int = 5
) -> OutcomesT:
    """Run a program in time; on a busy machine, that may take several attempts.

    Args:
        make: Makes a run.
        outcomes: Runs it.
        attempts: How often it is tried.

    Raises:
        TooLateError: None was in time.
    """
    for _ in range(attempts):
        run = make()
        result = outcomes(run)
        if run.lateness < MARGIN // 2:
            return result
    raise TooLateError


@contextmanager
def assume_in_time() -> Iterator[None]:
    """Have Hypothesis pass over a program that cannot be run in time.

    What takes its time, such as one that replaces an interface, tells nothing of timers.
    (Where that is so for nearly all, Hypothesis fails the test: it finds too few programs.)
    """
    try:
        yield
    except TooLateError:
        assume(False)


def on_the_kernel(user: OutcomesT, run: Callable[[], OutcomesT]) -> OutcomesT:
    """Give what the kernel makes of a program; what differs once may be a timer that was late."""
    for _ in range(3):
        kernel = run()
        if kernel == user:
            break
    return kernel


def difference(
    steps: Sequence[object],
    waits: list[int],
    user: Sequence[object],
    kernel: Sequence[object],
    show: Callable[[object], str],
) -> str:
    """Tell where two runs differ, and what the program was."""
    lines = [f"waits (ms): {[wait // 1_000_000 for wait in waits]}"]
    for step, here, there in zip(steps, user, kernel, strict=True):
        if here == there:
            lines.append(f"  {show(step)} -> {show(here)}")
        else:
            lines += [f"! {show(step)}", f"    user:   {show(here)}", f"    kernel: {show(there)}"]
    return "\n".join(lines)


class TimedRun:
    """A program on a network.

    Args:
        stage: The network.
        waits: How long each wait is to be, in nanoseconds; filled where time stands still.

    Attributes:
        lateness: How much later than it should have been it was at most, in nanoseconds.
    """

    def __init__(self, stage: Stage, waits: list[int]) -> None:
        self._stage = stage
        self._waits = waits
        self.lateness = 0

    def _begin(self) -> None:
        self._time = time.monotonic_ns()
        self._remaining = list(self._waits)

    def _wait(self, _milliseconds: int) -> None:
        self._note_time()
        end = self._time + self._remaining.pop(0)
        # In slices: a processor that stands still in between delays the kernel's timers as well.
        while self._time < end:
            self._time = min(self._time + _SLICE, end)
            time.sleep(max(self._time - time.monotonic_ns(), 0) / 1e9)
            self._note_time()

    def _note_time(self) -> None:
        """Take note of how late it is: the steps before a wait take no time, in theory."""
        self.lateness = max(self.lateness, time.monotonic_ns() - self._time)

    def _index(self, interface: str | None) -> int:
        if interface is None:
            return 0
        if interface == "nowhere":
            return 999_999
        return self._stage.network.interface_index(self._stage.name(interface))

    def _address(self, interface: str | None) -> bytes:
        return pack_address(self._index(interface))


class Standing(TimedRun):
    """A program on a user-space network whose time stands still; it finds out how long to wait."""

    def __init__(self, stage: UserStage, clock: ManualClock, waits: list[int]) -> None:
        super().__init__(stage, waits)
        self._clock = clock
        self._timers = stage.network._stack.timers

    def _begin(self) -> None:
        pass

    def _wait(self, milliseconds: int) -> None:
        start = self._clock.now()
        end = start + milliseconds * MILLISECOND
        for _ in range(500):
            self._clock.advance_to(end, self._timers)
            following = self._timers.deadline
            if following is not None and following < end + MARGIN:
                end = following + MARGIN
            elif self._clock.last_run > max(start, end - MARGIN):
                end = self._clock.last_run + MARGIN
            else:
                break
        else:
            assume(False)
        self._waits.append(end - start)
