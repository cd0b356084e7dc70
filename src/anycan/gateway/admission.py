"""Whether a rule lets a frame through: the state of its limits, asked for each frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from anycan.gateway.identifiers import identifiers
from anycan.gateway.limits import WindowState
from anycan.gateway.reasons import DropReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.gateway.limits import RateLimit, TimeWindow

Admit: TypeAlias = "Callable[[bytes, int], DropReason | None]"
_Value = TypeVar("_Value")

_SECOND: Final = 1_000_000_000
_FOREVER: Final = 1 << 80  # nanoseconds, beyond every stamp
_NEVER: Final = -_FOREVER
_CLOCK_SET: Final = _SECOND  # frames of several processors are out of order by far less
_GENERATION: Final = 32_768  # identifiers
# Members of an enumeration are slow to look up.
_NOT_ACTIVE: Final = DropReason.NOT_ACTIVE
_RATE_LIMIT: Final = DropReason.RATE_LIMIT
_UNCHANGED: Final = DropReason.UNCHANGED


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
