"""A rule's function: given frame after frame by a task of its own, it gives what is forwarded."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, get_args

import anyio
from anyio.lowlevel import checkpoint

from anycan.frame import AnyFrame
from anycan.gateway.reasons import DropReason
from anycan.loops.which import is_cancelled
from anycan.wire.frames import decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.gateway.counters import RuleCounters

_LOGGER: Final = logging.getLogger("anycan.gateway")
_FRAMES: Final = get_args(AnyFrame)
_TURN: Final = 64  # frames of a plain function before others have their turn


class Caller:
    """Calls a rule's function.

    Args:
        name: The rule's name.
        function: The function, or coroutine function.
        capacity: How many frames wait for it; then the oldest is dropped.
        counters: Where frames are counted.
        interface: Where they come from.
        emit: Takes what is to be forwarded: a payload, and the stamp of the frame it is made of.
        flush: Called when that is to be sent.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Any], Any],
        capacity: int,
        counters: RuleCounters,
        interface: str,
        emit: Callable[[bytes, int], object],
        flush: Callable[[], object],
    ) -> None:
        self._name = name
        self._function = function
        self._capacity = capacity
        self._counters = counters
        self._interface = interface
        self._emit = emit
        self._flush = flush
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._event: anyio.Event | None = None
        self._failures = 0
        self._emitted = 0

    def put(self, payload: bytes, stamp: int) -> None:
        """Have the function called with a frame; without room, the oldest is dropped."""
        waiting = self._waiting
        if len(waiting) >= self._capacity:
            waiting.popleft()
            self._counters.drop(DropReason.CALL_QUEUE_FULL)
        else:
            self._counters.waiting += 1
        waiting.append((payload, stamp))
        if self._event is not None:
            self._event.set()

    def end(self) -> None:
        """Count what waits as dropped: the function is not called any more."""
        if self._waiting:
            self._counters.drop(DropReason.RULE_ENDED, len(self._waiting))
        self._counters.waiting = 0
        self._waiting.clear()

    async def run(self) -> None:
        """Call the function with frame after frame."""
        waiting, counters = self._waiting, self._counters
        while True:
            self._event = anyio.Event()
            if not waiting:
                await self._event.wait()
            for _ in range(_TURN):
                if not waiting:
                    break
                payload, stamp = waiting.popleft()
                counters.waiting -= 1
                await self._call(payload, stamp)
            self._send()
            if waiting:
                await checkpoint()

    async def _call(self, payload: bytes, stamp: int) -> None:
        counters = self._counters
        frame = decode_frame(payload, stamp, None, self._interface)
        if frame is None:
            counters.drop(DropReason.REFUSED)
            return
        counters.calls += 1
        try:
            given = self._function(frame)
            if inspect.isawaitable(given):
                self._send()  # it may take its time
                given = await given
            payloads = [encode_frame(one) for one in _frames_of(given)]
        except Exception as error:  # noqa: BLE001 - the user's own function; it is reported
            counters.drop(DropReason.CALL_FAILED)
            self._report(error, frame)
            return
        except asyncio.CancelledError as error:
            if is_cancelled():
                counters.drop(DropReason.RULE_ENDED)
                raise
            counters.drop(DropReason.CALL_FAILED)
            self._report(error, frame)
            return
        except BaseException:  # cancelled in the middle, on trio
            counters.drop(DropReason.RULE_ENDED)
            raise
        if not payloads:
            counters.drop(DropReason.CALL_GAVE_NONE)
            return
        counters.given += len(payloads)
        for one in payloads:
            self._emit(one, stamp)
        self._emitted += len(payloads)
        if self._emitted >= _TURN:
            self._send()

    def _send(self) -> None:
        if self._emitted:
            self._emitted = 0
            self._flush()

    def _report(self, error: BaseException, frame: AnyFrame | None) -> None:
        """Log a failure: the first ones, then those that double their number."""
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:
            _LOGGER.error(
                "rule %r: its function failed (for the %d. time), and the frame is not forwarded:"
                " %s, called with %s",
                self._name,
                self._failures,
                f"{type(error).__name__}: {error}",
                frame,
                exc_info=error,
            )


def _frames_of(given: object) -> list[AnyFrame]:
    """Give the frames that a function gave: none, one, or several.

    Raises:
        TypeError: It gave something else.
    """
    if given is None:
        return []
    if isinstance(given, _FRAMES):
        return [given]
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        frames = list(given)
        if all(isinstance(one, _FRAMES) for one in frames):
            return frames
    raise TypeError(f"it is to give None, a frame or several frames, not {given!r}")
