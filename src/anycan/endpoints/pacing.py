"""How long to wait for room in an interface's queue, which poll cannot see (ENOBUFS)."""

from __future__ import annotations

from typing import Final

_FIRST: Final = 0.001
_LAST: Final = 0.010
_PATIENCE: Final = 8
_STEPS: Final = 6  # 1.5 ** 6 milliseconds are above the last delay


class Pacer:
    """The delays between tries.

    A real controller's queue holds 10 frames by default, one to two milliseconds of a bus at
    1 Mbit/s: a millisecond finds room again before the bus falls idle. A bus that takes nothing
    for longer (bus-off, no partner, a slow bit rate) is asked ever more rarely, down to once in
    10 ms.
    """

    def __init__(self) -> None:
        self._tries = 0

    def delay(self) -> float:
        """Give the time to wait before the next try, in seconds."""
        self._tries += 1
        if self._tries <= _PATIENCE:
            return _FIRST
        # Bounded before the power: 1.5 ** 1751 is no float any more, and a bus may be off long.
        return min(_FIRST * 1.5 ** min(self._tries - _PATIENCE, _STEPS), _LAST)

    def progress(self) -> None:
        """Note that frames were taken."""
        self._tries = 0
