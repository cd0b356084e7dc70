"""Sending the frames of a log again, at the times that it gives, or at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from anycan import AnyFrame, LogRecord, RawEndpoint

_RUN: Final = 256  # frames at most between two looks around


class Player:
    """Plays the records of a log.

    Args:
        target: Gives the endpoint that the frames of an interface of the log go to; None: nowhere.
        speed: How many times faster than they were recorded; None: as fast as they are taken.

    Attributes:
        skipped: Records whose interface goes nowhere.
    """

    def __init__(
        self,
        target: Callable[[str], Awaitable[RawEndpoint | None]],
        speed: float | None = 1.0,
        on_sent: Callable[[], object] = lambda: None,
    ) -> None:
        self._target = target
        self._speed = speed
        self._on_sent = on_sent
        self._start: float | None = None
        self._first_ns = 0
        self.skipped = 0

    def rewind(self) -> None:
        """Begin anew: the next record is due at once."""
        self._start = None

    async def play(self, records: Iterable[LogRecord]) -> None:
        """Send the frames, each when it is due; those that are due together go together."""
        run: list[AnyFrame] = []
        can: RawEndpoint | None = None
        for record in records:
            next_can = await self._target(record.interface)
            if next_can is None:
                self.skipped += 1
                continue
            delay = self._delay(record.timestamp_ns)
            if can is not None and (delay > 0 or next_can is not can or len(run) >= _RUN):
                await self._send(can, run)
                run = []
                delay = self._delay(record.timestamp_ns)
            if delay > 0:
                await anyio.sleep(delay)
            can = next_can
            run.append(record.frame)
        if can is not None:
            await self._send(can, run)

    def _delay(self, timestamp_ns: int) -> float:
        """Give the seconds until a frame is due."""
        if self._speed is None:
            return 0.0
        now = anyio.current_time()
        if self._start is None:
            self._start = now
            self._first_ns = timestamp_ns
        return self._start + (timestamp_ns - self._first_ns) / (1e9 * self._speed) - now

    async def _send(self, can: RawEndpoint, frames: list[AnyFrame]) -> None:
        if frames:
            await can.send_many(frames)
            self._on_sent()
