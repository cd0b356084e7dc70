"""What limits the frames that a rule lets through: how many a second, and at what times."""

from __future__ import annotations

import math
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final, Literal, get_args

import attrs

from anycan.exceptions import GatewayError

Per = Literal["rule", "identifier"]

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_FOREVER: Final = 1 << 80  # nanoseconds, beyond every stamp
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@attrs.frozen
class RateLimit:
    """How many frames a rule forwards: a token bucket.

    It holds up to ``burst`` tokens and gets ``rate`` of them a second; each frame that is forwarded
    takes one, and one that finds none is dropped.

    Args:
        rate: Frames a second, on average; above 0.
        burst: How many may come at once, 1 or more.
        per: ``"rule"``: all frames of the rule share the tokens; ``"identifier"``: those of each
            identifier have their own. 11-bit and 29-bit identifiers, data and remote frames are
            told apart.

    Raises:
        GatewayError: The rate is no number above 0, the burst none of 1 or more, or ``per``
            something else.

    Example:
        >>> RateLimit(100, burst=10)
        RateLimit(rate=100, burst=10, per='rule')
    """

    rate: float
    burst: int = 1
    per: Per = "rule"

    def __attrs_post_init__(self) -> None:
        rate: object = self.rate  # a file of rules may say anything
        burst: object = self.burst
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < math.inf:
            raise GatewayError(f"rate is a number of frames a second above 0, not {rate!r}")
        if not isinstance(burst, int) or isinstance(burst, bool) or burst < 1:
            raise GatewayError(f"burst is a number of frames, 1 or more, not {burst!r}")
        if self.per not in get_args(Per):
            raise GatewayError(f"per is one of {get_args(Per)}, not {self.per!r}")


Moment = datetime | time_of_day | None


def _moment(value: str | date | time_of_day | None) -> Moment:
    if value is None or isinstance(value, datetime | time_of_day):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time_of_day.min)
    try:
        # "2026" is a time (20:26) to Python; a date is written with a hyphen after the year.
        if value[4:5] == "-":
            return datetime.fromisoformat(value)
        return time_of_day.fromisoformat(value)
    except (TypeError, ValueError):
        raise GatewayError(
            "a time window begins and ends at a time of day such as '22:00' or at a date and time"
            f" such as '2026-11-25T08:00', not at {value!r}"
        ) from None


def _nanoseconds(moment: datetime) -> int:
    """Give a date and time (local, where it has no time zone) as nanoseconds since the epoch."""
    try:
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND * 1000
    except (OSError, OverflowError, ValueError):
        raise GatewayError(
            f"{moment.isoformat()} is not in the years that this machine can convert"
        ) from None


@attrs.frozen
class TimeWindow:
    """When a rule is in force: once, or every day.

    Dates and times are local unless they say otherwise, and one of the two may be None: then there
    is no beginning, or no end. Times of day are local: what the clock on the wall shows. A window
    that starts later than it ends goes over midnight. Where the clocks are changed, an hour that
    comes twice is in it twice, and one that is skipped is not in it.

    Args:
        start: When it begins: a date and time, or a time of day; or either as ISO 8601 text. A date
            alone is its first moment.
        end: When it is over, of the same kind; this moment is outside.

    Raises:
        GatewayError: The two are of different kinds, neither is given, there is nothing between
            them, or a text is no time.

    Example:
        >>> night = TimeWindow("22:00", "06:00")
        >>> start = TimeWindow("2026-11-25T08:00Z", None)
        >>> start.contains(1_795_593_600_000_000_000), start.contains(1_795_593_599_999_999_999)
        (True, False)
    """

    start: Moment = attrs.field(default=None, converter=_moment)
    end: Moment = attrs.field(default=None, converter=_moment)

    def __attrs_post_init__(self) -> None:
        start, end = self.start, self.end
        if start is None and end is None:
            raise GatewayError("a time window has a start, an end, or both")
        if isinstance(start, time_of_day) or isinstance(end, time_of_day):
            if not (isinstance(start, time_of_day) and isinstance(end, time_of_day)):
                raise GatewayError(
                    "a time window has two times of day, or two dates with a time, not"
                    f" {start!s} and {end!s}"
                )
            for one in (start, end):
                if one.tzinfo is not None:
                    raise GatewayError(
                        f"a time of day is local, and has no time zone: {one.isoformat()}"
                    )
            if start == end:
                raise GatewayError(
                    f"a time window from {start.isoformat()} to {end.isoformat()} is empty; for a"
                    " rule that is always in force, leave it out"
                )
            return
        first = None if start is None else _nanoseconds(start)
        last = None if end is None else _nanoseconds(end)
        if first is not None and last is not None and first >= last:
            raise GatewayError(f"a time window ends after its start, {start!s}, and not at {end!s}")

    def contains(self, stamp_ns: int) -> bool:
        """Tell whether a moment is in it.

        Args:
            stamp_ns: The moment, in nanoseconds since the epoch.
        """
        return WindowState(self).contains(stamp_ns)


class WindowState:
    """A time window, and for how long its last answer holds.

    Args:
        window: The window.

    Attributes:
        inside: The last answer.
        since: The first nanosecond since the epoch for which it holds.
        until: The first one for which it does not.
    """

    __slots__ = ("_daily", "_first", "_last", "inside", "since", "until")

    def __init__(self, window: TimeWindow) -> None:
        start, end = window.start, window.end
        self._daily = isinstance(start, time_of_day)
        self._first = -_FOREVER if start is None else _place(start)
        self._last = _FOREVER if end is None else _place(end)
        self.inside = False
        self.since = self.until = 0  # holds for nothing

    def contains(self, stamp_ns: int) -> bool:
        """Tell whether a moment, in nanoseconds since the epoch, is in the window."""
        if not self.since <= stamp_ns < self.until:
            if self._daily:
                self._look_at_the_clock(stamp_ns)
            else:
                self._look_at_the_calendar(stamp_ns)
        return self.inside

    def _look_at_the_calendar(self, stamp: int) -> None:
        first, last = self._first, self._last
        self.inside = first <= stamp < last
        self.since = last if stamp >= last else first if stamp >= first else -_FOREVER
        self.until = first if stamp < first else last if stamp < last else _FOREVER

    def _look_at_the_clock(self, stamp: int) -> None:
        first, last = self._first, self._last
        offset = _offset(stamp // _SECOND)
        shown = (stamp + offset * _SECOND) % _DAY
        if first < last:
            self.inside = first <= shown < last
        else:
            self.inside = shown >= first or shown < last
        until = stamp + min((edge - shown - 1) % _DAY + 1 for edge in (first, last))
        before, after = stamp // _SECOND, (until - 1) // _SECOND
        if _offset(after) != offset:  # the clocks are changed before that
            while after - before > 1:
                middle = (before + after) // 2
                if _offset(middle) == offset:
                    before = middle
                else:
                    after = middle
            until = after * _SECOND
        self.since, self.until = stamp, until


def _place(moment: datetime | time_of_day) -> int:
    """Give nanoseconds since the epoch, or since midnight of a time of day."""
    if isinstance(moment, datetime):
        return _nanoseconds(moment)
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return seconds * _SECOND + moment.microsecond * 1000


def _offset(seconds: int) -> int:
    """Give how many seconds local time is ahead of UTC, then."""
    return time.localtime(seconds).tm_gmtoff
