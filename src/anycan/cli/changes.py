"""Printing what watches tell, in the order of its time."""

from __future__ import annotations

import contextlib
import heapq
import itertools
from typing import TYPE_CHECKING, Final

import anyio

from anycan import CanOSError, Changed, Frame, InterfaceDownError, ScreenFormatter, TimedOut
from anycan.cli.common import counted, emit, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anycan import BcmEndpoint, BcmEvent, LogFormatter, Watch


_MOST_ROUNDS: Final = 100  # of a bus that does not rest


class EventQueue:
    """The events of several watches of one endpoint.

    Each watch gives its own in their order; among several, the stamps tell it.

    Args:
        watches: The watches, which have been started.
    """

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches
        self._waiting: list[list[BcmEvent]] = [[] for _ in watches]
        self._filled = anyio.Event()

    async def collect(self) -> None:
        """Take events from the watches until cancelled.

        Raises:
            InterfaceRemovedError: The interface is gone.
        """
        async with anyio.create_task_group() as group:
            for watch, waiting in self._pairs():
                group.start_soon(self._collect_one, watch, waiting)

    async def _collect_one(self, watch: Watch, waiting: list[BcmEvent]) -> None:
        while True:
            try:
                waiting.append(await watch.receive())
            except InterfaceDownError:  # each watch is told: somebody else says it once
                continue
            self._filled.set()

    def _pairs(self) -> Iterable[tuple[Watch, list[BcmEvent]]]:
        return zip(self._watches, self._waiting, strict=True)

    @staticmethod
    def _collect_now(watch: Watch, waiting: list[BcmEvent]) -> bool:
        """Take what a watch has; tell whether there was anything."""
        before = len(waiting)
        with contextlib.suppress(anyio.WouldBlock, CanOSError):  # who collects is told as well
            while True:
                waiting.append(watch.receive_nowait())
        return len(waiting) > before

    async def take(self) -> list[BcmEvent]:
        """Wait for events, and take all there are."""
        await self._filled.wait()
        self._filled = anyio.Event()
        for _ in range(_MOST_ROUNDS):
            # What came at the same time is there already, for the other watches.
            if not sum(self._collect_now(*one) for one in self._pairs()):
                break
        # Merged and not sorted: the kernel stamps a timeout when it is taken, which may be after
        # the frame that ended it.
        events = list(heapq.merge(*self._waiting, key=_timestamp))
        for waiting in self._waiting:
            waiting.clear()
        return events


class EventPrinter:
    """Prints events, and tells of those that were lost.

    Args:
        bcm: Where they come from.
        formatter: Makes lines of frames. In a log there are no lines for timeouts: they go to
            standard error.
        timeout: How many seconds a timeout lasts; None: there is none.

    Attributes:
        frames: How many frames were printed.
    """

    def __init__(
        self, bcm: BcmEndpoint, formatter: LogFormatter | ScreenFormatter, timeout: float | None
    ) -> None:
        self.frames = 0
        self._bcm = bcm
        self._formatter = formatter
        self._timeout = timeout
        self._timeouts = 0
        self._dropped = 0

    def print(self, events: Iterable[BcmEvent], count: int | None) -> None:
        """Print events.

        Args:
            events: The events.
            count: How many frames there are to be in all; what comes after those is left out.
        """
        for changed, run in itertools.groupby(events, lambda event: isinstance(event, Changed)):
            if changed:
                frames = [event.frame for event in run if isinstance(event, Changed)]
                if count is not None:
                    del frames[count - self.frames :]
                emit(self._formatter.format(frames))
                self.frames += len(frames)
                if self.frames == count:
                    break
            else:
                for event in run:
                    if isinstance(event, TimedOut):
                        self._tell_timeout(event)
        self._tell_drops()

    def _tell_timeout(self, event: TimedOut) -> None:
        self._timeouts += 1
        late = Frame(
            event.identifier,
            extended=event.extended,
            timestamp_ns=event.timestamp_ns,
            interface=event.interface or "any",
        )
        missing = f"no frame for {self._timeout:g} s"
        if isinstance(self._formatter, ScreenFormatter):
            # The stamp and the columns are those of a frame without data.
            line = self._formatter.format([late]).removesuffix("[0] \n")
            emit(f"{line}TIMEOUT: {missing}\n")
        else:
            identifier = f"{late}".removesuffix("#")
            say(f"timeout on {late.interface}: {missing} of {identifier}")

    def _lost(self) -> int:
        statistics = self._bcm.statistics()
        return statistics.dropped + statistics.overflowed

    def _tell_drops(self) -> None:
        dropped = self._lost()
        if dropped != self._dropped:
            more = dropped - self._dropped
            self._dropped = dropped
            say(
                f"{counted(more, 'change')} dropped ({dropped:,} in all): they came faster than"
                " they were printed; --throttle prints fewer of each message"
            )

    def summary(self) -> str:
        """Say how many events there were."""
        text = f"{counted(self.frames, 'frame')} printed"
        if self._timeout is not None:
            text += f", {counted(self._timeouts, 'timeout')}"
        return f"{text}, {self._lost():,} dropped"


def _timestamp(event: BcmEvent) -> int:
    stamped = event.frame if isinstance(event, Changed) else event
    return stamped.timestamp_ns or 0
