"""An adapter's time stamps on the host's clock."""

from __future__ import annotations

from typing import Final

from anycan.drivers.slcan_protocol import STAMP_PERIOD

_MILLISECOND: Final = 1_000_000
# How much faster the host's clock may run than the adapter's: more than a ceramic resonator is off.
_DRIFT: Final = 100  # one part in so many
_STILL: Final = 100_000_000  # no two frames of one millisecond are read so long after one another
_LATEST: Final = 1_000_000_000  # a frame that is late by more is one of another minute's, or day's


class StampClock:
    """Gives the times of frames by the host's clock, from stamps that begin anew each minute.

    What the adapter's stamps say, two frames apart, is right; how long the last one was on its way
    is not known. So the frame that came fastest is taken to have come at once, and the others later
    by as much as their stamps say. The times never go back, and are never ahead of the host's.
    Stamps that stand still while frames come are no stamps.
    """

    def __init__(self) -> None:
        self._offset: int | None = None  # the host's time less the adapter's; None: no frame yet
        self._adapter = 0  # the adapter's time of the last frame, which goes on and on
        self._host = 0  # when that came
        self._milliseconds = -1  # the last stamp
        self._since = 0  # when it came first, by the host's clock
        self._given = 0

    def stamp_ns(self, milliseconds: int | None, now_ns: int) -> int:
        """Give the time of a frame, in nanoseconds since the epoch.

        Args:
            milliseconds: Its time stamp, 0 to 59,999; None: it has none.
            now_ns: When it was read, by the host's clock.
        """
        time_ns = now_ns if milliseconds is None else self._follow(milliseconds, now_ns)
        # The host's clock alone may be set back.
        self._given = min(max(time_ns, self._given), now_ns)
        return self._given

    def _follow(self, milliseconds: int, now_ns: int) -> int:
        if milliseconds != self._milliseconds:
            self._milliseconds = milliseconds
            self._since = now_ns
        elif now_ns - self._since > _STILL:  # it tells no time at all
            self._offset = None
            return now_ns
        if self._offset is None:
            self._adapter = milliseconds * _MILLISECOND
            self._offset = now_ns - self._adapter
        else:
            elapsed = now_ns - self._host
            self._adapter = _nearest(milliseconds, self._adapter + elapsed)
            self._offset += max(elapsed, 0) // _DRIFT
        self._host = now_ns
        late = now_ns - self._adapter - self._offset
        if not 0 <= late <= _LATEST:
            self._offset += late
            return now_ns
        return self._adapter + self._offset


def _nearest(milliseconds: int, expected: int) -> int:
    """Give the time with such a stamp that is nearest to the expected one."""
    period = STAMP_PERIOD * _MILLISECOND
    ahead = (milliseconds * _MILLISECOND - expected) % period
    return expected + (ahead if ahead <= period // 2 else ahead - period)
