"""Which frames a rule lets through: how many a second, at what times, and only what changes."""

from __future__ import annotations

import math
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeAlias, TypeVar, get_args

import attrs

from anycan.exceptions import GatewayError
from anycan.gateway.identifiers import identifiers
from anycan.gateway.reasons import DropReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Per = Literal["rule", "identifier"]
Admit: TypeAlias = "Callable[[bytes, int], DropReason | None]"
_Value = TypeVar("_Value")

_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND
_FOREVER: Final = 1 << 80  # nanoseconds, beyond every stamp
_NEVER: Final = -_FOREVER
_CLOCK_SET: Final = _SECOND  # frames of several processors are out of order by far less
_GENERATION: Final = 32_768  # identifiers
# Members of an enumeration are slow to look up.
_NOT_ACTIVE: Final = DropReason.NOT_ACTIVE
_RATE_LIMIT: Final = DropReason.RATE_LIMIT
_UNCHANGED: Final = DropReason.UNCHANGED
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


class _Bucket:
    """A token bucket, as the moment from which it has a token again.

    Each frame that is let through puts the moment off by the time in which a token comes, and it is
    never longer ago than a full bucket has it. Nor is it ever later than a step after the last
    frame let through: where it is by far, the clock has been set back, and it counts for nothing.

    Args:
        step: Nanoseconds in which a token comes.
        burst: How many it holds.

    Attributes:
        opens: The moment, in nanoseconds since the epoch.
        step: Nanoseconds in which a token comes.
        depth: Nanoseconds in which all of them but one come.
        patience: How much earlier than ``opens`` frames are refused.
    """

    __slots__ = ("depth", "opens", "patience", "step")

    def __init__(self, step: int, burst: int) -> None:
        self.step = step
        self.depth = (burst - 1) * step
        self.patience = step + _CLOCK_SET
        self.opens = _NEVER

    def copy(self) -> _Bucket:
        """Give a full bucket like this one."""
        return _Bucket(self.step, self.depth // self.step + 1)

    def admit(self, _payload: bytes, stamp: int) -> DropReason | None:
        opens = self.opens
        if opens > stamp >= opens - self.patience:
            return _RATE_LIMIT
        full = stamp - self.depth
        self.opens = (opens if full < opens <= stamp else full) + self.step
        return None


class _ByIdentifier(Generic[_Value]):
    """Something remembered of each identifier.

    Two generations forget the oldest without a list in which every frame has to be moved.
    """

    __slots__ = ("older", "recent")

    def __init__(self) -> None:
        self.recent: dict[bytes, _Value] = {}
        self.older: dict[bytes, _Value] = {}

    def remember(self, key: bytes, value: _Value) -> None:
        """Remember something of an identifier that is not among the recent ones."""
        if len(self.recent) >= _GENERATION:
            self.older = self.recent
            self.recent = {}
        self.recent[key] = value


class _Buckets(_ByIdentifier[int]):
    """A token bucket for each identifier, which is the moment alone."""

    __slots__ = ("_depth", "_patience", "_step")

    def __init__(self, bucket: _Bucket) -> None:
        super().__init__()
        self._step = bucket.step
        self._depth = bucket.depth
        self._patience = bucket.patience

    def admit(self, payload: bytes, stamp: int) -> DropReason | None:
        key = identifiers[payload[:5]]
        opens = known = self.recent.get(key)
        if opens is None:
            opens = self.older.get(key, _NEVER)
        if opens > stamp >= opens - self._patience:
            return _RATE_LIMIT
        full = stamp - self._depth
        opens = (opens if full < opens <= stamp else full) + self._step
        if known is None:
            self.remember(key, opens)
        else:
            self.recent[key] = opens
        return None


class _Contents(_ByIdentifier[bytes]):
    """What was last let through of each identifier, whenever that was."""

    __slots__ = ()

    def admit(self, payload: bytes, _stamp: int) -> DropReason | None:
        key = identifiers[payload[:5]]
        known = self.recent.get(key)
        if known == payload or (known is None and self.older.get(key) == payload):
            return _UNCHANGED
        if known is None:
            self.remember(key, payload)
        else:
            self.recent[key] = payload
        return None


class _Remembered:
    """What several limits have to know of an identifier: the last frame, and its buckets."""

    __slots__ = ("buckets", "content", "stamp")

    def __init__(self, buckets: tuple[_Bucket, ...]) -> None:
        self.buckets = buckets
        self.content = b""
        self.stamp = _NEVER


class _Together(_ByIdentifier[_Remembered]):
    """Several limits, all of which have to let a frame through before any of them counts it."""

    __slots__ = ("_by_identifier", "_changes_only", "_own", "_patience", "_refresh", "_shared")

    def __init__(
        self,
        shared: tuple[_Bucket, ...],
        own: tuple[_Bucket, ...],
        *,
        changes_only: bool,
        refresh: float | None,
    ) -> None:
        super().__init__()
        self._shared = shared
        self._own = own
        self._changes_only = changes_only
        self._refresh = _FOREVER if refresh is None else round(refresh * _SECOND)
        self._patience = _FOREVER if refresh is None else _CLOCK_SET
        # Where nothing is about identifiers, all frames are of the same one.
        self._by_identifier = bool(own) or changes_only

    def admit(self, payload: bytes, stamp: int) -> DropReason | None:
        key = identifiers[payload[:5]] if self._by_identifier else b""
        state = known = self.recent.get(key)
        if state is None:
            state = self.older.get(key)
            if state is None:
                state = _Remembered((*self._shared, *(one.copy() for one in self._own)))
        if (
            state.content == payload
            and state.stamp + self._refresh > stamp >= state.stamp - self._patience
        ):
            return _UNCHANGED
        for bucket in state.buckets:
            opens = bucket.opens
            if opens > stamp >= opens - bucket.patience:
                return _RATE_LIMIT
        for bucket in state.buckets:
            opens = bucket.opens
            full = stamp - bucket.depth
            bucket.opens = (opens if full < opens <= stamp else full) + bucket.step
        if self._changes_only:
            state.content = payload
            state.stamp = stamp
        if known is None:
            self.remember(key, state)
        return None


class _Windowed:
    """A time window before other limits."""

    __slots__ = ("_then", "_window")

    def __init__(self, window: TimeWindow, then: Admit) -> None:
        self._window = WindowState(window)
        self._then = then

    def admit(self, payload: bytes, stamp: int) -> DropReason | None:
        window = self._window
        if not window.since <= stamp < window.until:
            window.contains(stamp)
        return self._then(payload, stamp) if window.inside else _NOT_ACTIVE


def _everything(_payload: bytes, _stamp: int) -> DropReason | None:
    return None


class Admission:
    """The state of one rule: what it has let through, and what it lets through next.

    A frame is asked for in this order: ``active``, ``changes_only``, ``minimum_interval`` and
    ``limits``. What is remembered changes with a frame that is let through, and with no other.

    An identifier is the word of a frame without what does not count. At least the last 32,768 that
    were let through are remembered and at most 65,536; one forgotten is as one that never came.

    Time is that of the frames. If it goes back by more than a second the clock has been set, and
    what is remembered of later times counts for nothing.

    Args:
        active: When any frame is let through; None: always.
        changes_only: Let through a frame only if it is another than the last one let through of its
            identifier: other flags, another length, or any other byte of its structure.
        refresh: Seconds after which an unchanged one is let through nevertheless; None: never.
        minimum_interval: Seconds from one frame of an identifier to the next; 0: none.
        limits: Token buckets, all of which have to have a token; then each gives one.

    Attributes:
        admit: Is given a frame's bytes, as a raw socket gives them, and when it was received, in
            nanoseconds since the epoch. It gives the reason not to let it through, or None.

    Example:
        >>> admit = Admission(changes_only=True, limits=[RateLimit(10)]).admit
        >>> admit(b"frame", 0), admit(b"frame", 1), admit(b"frames", 2)
        (None, <DropReason.UNCHANGED: 'unchanged'>, <DropReason.RATE_LIMIT: 'rate limit'>)
    """

    __slots__ = ("admit",)

    def __init__(
        self,
        *,
        active: TimeWindow | None = None,
        changes_only: bool = False,
        refresh: float | None = None,
        minimum_interval: float = 0.0,
        limits: Iterable[RateLimit] = (),
    ) -> None:
        limits = tuple(limits)
        shared = tuple(_bucket(one) for one in limits if one.per == "rule")
        own = tuple(_bucket(one) for one in limits if one.per == "identifier")
        if minimum_interval > 0:
            own = (_Bucket(_step(minimum_interval), 1), *own)
        # What is alone is asked without looking for the rest.
        admit: Admit = _everything
        if changes_only and refresh is None and not (shared or own):
            admit = _Contents().admit
        elif changes_only or len(shared) + len(own) > 1:
            admit = _Together(shared, own, changes_only=changes_only, refresh=refresh).admit
        elif own:
            admit = _Buckets(own[0]).admit
        elif shared:
            admit = shared[0].admit
        self.admit = admit if active is None else _Windowed(active, admit).admit


def _bucket(limit: RateLimit) -> _Bucket:
    return _Bucket(_step(1 / limit.rate), limit.burst)


def _step(seconds: float) -> int:
    return round(min(max(seconds * _SECOND, 1), _FOREVER))


def make_admission(
    *,
    active: TimeWindow | None = None,
    changes_only: bool = False,
    refresh: float | None = None,
    minimum_interval: float = 0.0,
    limits: Iterable[RateLimit] = (),
) -> Admission | None:
    """Give the state of one rule; None: nothing limits it, every frame is let through.

    Args:
        active: As in :class:`~anycan.Rule`, like the others.
        changes_only: Only frames that differ from the last of their identifier.
        refresh: In seconds.
        minimum_interval: In seconds.
        limits: Token buckets.
    """
    limits = tuple(limits)
    if active is None and not changes_only and minimum_interval <= 0 and not limits:
        return None
    return Admission(
        active=active,
        changes_only=changes_only,
        refresh=refresh,
        minimum_interval=minimum_interval,
        limits=limits,
    )
