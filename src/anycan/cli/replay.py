"""Sending the frames of a log again, at the times that it gives, or at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from anycan import AnyFrame, LogRecord, RawEndpoint

_RUN: Final = 256  # frames at most between two looks around


class Player:
    """Plays the records of a log.

    Args:
        target: Opens the endpoints that the frames of an interface of the log go to, if any. It is
            asked once for each interface.
        speed: How many times faster than they were recorded; None: as fast as they are taken.
        on_sent: Called whenever frames have been sent.

    Attributes:
        skipped: Records whose interface goes nowhere.
    """

    def __init__(
        self,
        target: Callable[[str], Awaitable[Sequence[RawEndpoint]]],
        speed: float | None = 1.0,
        on_sent: Callable[[], object] = lambda: None,
    ) -> None:
        self._target = target
        self._speed = speed
        self._on_sent = on_sent
        self._targets: dict[str, Sequence[RawEndpoint]] = {}
        self._run: list[AnyFrame] = []  # due, and not sent yet
        self._run_targets: Sequence[RawEndpoint] = ()
        self._start: float | None = None
        self._first_ns = 0
        self.skipped = 0

    def rewind(self) -> None:
        """Begin anew: the next record is due at once."""
        self._start = None

    async def play(self, records: Iterable[LogRecord]) -> None:
        """Send the frames, each when it is due; those that are due together go together."""
        for record in records:
            targets = await self._targets_of(record.interface)
            if not targets:
                self.skipped += 1
                continue
            delay = self._delay(record.timestamp_ns)
            if delay > 0 or targets != self._run_targets or len(self._run) >= _RUN:
                await self._flush()
                delay = self._delay(record.timestamp_ns)
            if delay > 0:
                await anyio.sleep(delay)
            self._run_targets = targets
            self._run.append(record.frame)
        await self._flush()

    async def _targets_of(self, interface: str) -> Sequence[RawEndpoint]:
        if interface not in self._targets:
            await self._flush()  # what is due does not wait for a target, nor is lost with it
            self._targets[interface] = await self._target(interface)
        return self._targets[interface]

    def _delay(self, timestamp_ns: int) -> float:
        """Give the seconds until a frame is due."""
        if self._speed is None:
            return 0.0
        now = anyio.current_time()
        if self._start is None:
            self._start = now
            self._first_ns = timestamp_ns
        return self._start + (timestamp_ns - self._first_ns) / (1e9 * self._speed) - now

    async def _flush(self) -> None:
        run, self._run = self._run, []
        if not run:
            return
        for can in self._run_targets:
            await can.send_many(run)
        self._on_sent()
