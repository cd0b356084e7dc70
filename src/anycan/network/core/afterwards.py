"""What is done once a frame has reached all who take it: the answers to it.

The kernel hands a frame that is sent while another one is received to its receivers afterwards.
Without that, whoever comes later in the receive lists would have the answer before the question.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.engine.timers import Timers

_AT_ONCE: Final = 64  # answers to answers: two that answer each other shall not stop the loop


class _Clock(Protocol):
    def now(self) -> int: ...


class Afterwards:
    """Calls that wait.

    Args:
        timers: Run what there is too much of at once.
        clock: Gives their time.

    Attributes:
        calls: Those that wait; :meth:`run` calls them.
    """

    def __init__(self, timers: Timers, clock: _Clock) -> None:
        self._clock = clock
        self._timer = timers.timer(self._continue)
        self.calls: deque[Callable[[], object]] = deque()
        self._running = False
        self._paused = 0

    def pause(self) -> None:
        """Call nothing until :meth:`resume`: a frame is on its way to several interfaces."""
        self._paused += 1

    def resume(self) -> None:
        """Undo one :meth:`pause`; after the last, call what has come to wait."""
        self._paused -= 1
        if self.calls:
            self.run()

    def run(self) -> None:
        """Call what waits and what these add, up to a bound; the rest soon."""
        if self._running or self._paused:
            return  # it goes on there
        self._running = True
        try:
            for _ in range(_AT_ONCE):
                if not self.calls:
                    return
                self.calls.popleft()()
        finally:
            self._running = False
        if self.calls:
            self._timer.start(self._clock.now() + 1)

    def _continue(self, _due: int, _now: int) -> None:
        self.run()
