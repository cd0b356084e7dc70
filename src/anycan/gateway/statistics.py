"""What a gateway tells of itself."""

from __future__ import annotations

from itertools import accumulate, zip_longest
from typing import TYPE_CHECKING, Final, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anycan.gateway.reasons import DropReason

_UNIT_BITS: Final = 10  # of 1024 nanoseconds
_FINE: Final = 3  # eight buckets for each power of two
_BUCKETS: Final = 512


def bucket_of(nanoseconds: int) -> int:
    """Give the bucket of a time: below eight units each its own, then eight to a power of two."""
    units = nanoseconds >> _UNIT_BITS
    if units < 8:
        return max(units, 0)  # a clock may have been set back meanwhile
    exponent = units.bit_length() - _FINE - 1
    return min((exponent << _FINE) + (units >> exponent), _BUCKETS - 1)


def lower_end(bucket: int) -> int:
    """Give the least time that is in a bucket, in nanoseconds."""
    if bucket < 16:
        return bucket << _UNIT_BITS
    return ((bucket & 7) + 8 << (bucket >> _FINE) - 1) << _UNIT_BITS


def _upper_end(bucket: int) -> float:
    """Give the time below which a bucket's times are, in seconds."""
    if bucket < 16:
        units = bucket + 1
    else:
        exponent = (bucket >> _FINE) - 1
        units = ((bucket & 7) + 9) << exponent
    return units * (1 << _UNIT_BITS) / 1e9


@attrs.frozen(repr=False)
class LatencyHistogram:
    """How long frames were in the gateway: from the kernel's stamp to the system call that sent it.

    Attributes:
        counts: How many frames took how long, by bucket: of 1.024 microseconds each at first, later
            eight of them for each doubling, so that a time is told to within an eighth.

    Example:
        >>> LatencyHistogram((0, 3, 1)).median
        2.048e-06
    """

    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many frames."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Give the time that a share of the frames did not exceed, in seconds.

        Args:
            share: 0 to 1: 0.5 for the median, 0.99 for what one in a hundred exceeds.

        Returns:
            The upper end of the bucket that it falls into, or None where there were no frames.

        Raises:
            ValueError: The share is no share.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share is 0 to 1, not {share!r}")
        total = self.count
        if not total:
            return None
        rank = max(1, -(-share * total // 1))
        reached = accumulate(self.counts)
        return _upper_end(next(bucket for bucket, count in enumerate(reached) if count >= rank))

    def __repr__(self) -> str:
        median = self.median
        told = "" if median is None else f", median {median * 1e6:.0f} us"
        return f"<LatencyHistogram of {self.count} frames{told}>"

    @property
    def median(self) -> float | None:
        """What half of the frames did not exceed, in seconds; None: there were none."""
        return self.quantile(0.5)


@attrs.frozen(kw_only=True)
class DestinationStatistics:
    """What became of a rule's frames for one destination.

    Each frame that a rule let through is in ``forwarded`` or ``dropped``, or waits.

    Attributes:
        destination: The interface.
        forwarded: Frames that it took.
        dropped: Frames that it did not get, by the reason.
        waiting: Frames that wait for it now.
    """

    destination: str
    forwarded: int
    dropped: Mapping[DropReason, int]
    waiting: int


@attrs.frozen(kw_only=True)
class RuleStatistics:
    """What went through a rule since it came into force.

    Of a rule without a function, ``received`` is what it dropped itself and what each destination
    has in its own counts. Of one with a function, each frame received was dropped before, waits for
    the function, or is one of its ``calls``; and those of them that brought no frame are in
    ``dropped`` too, as "call failed" or "call gave none". What the function gave is ``given``: that
    is what each destination has in its counts, but for what no longer was a frame by the rule's
    changes.

    Attributes:
        name: The rule's name.
        path: Who forwards: ``"kernel"``; this process, the frames' ``"bytes"``; or this process,
            by a ``"call"``.
        received: Frames that the filter took. On the kernel's path: those that it handled, dropped
            or deleted.
        dropped: Frames that went to no destination, by the reason.
        calls: Frames that the function was called with.
        given: Frames that the function gave.
        waiting: Frames that wait for the function.
        destinations: What became of the rest.
        latency: How long those that were forwarded took; empty on the kernel's path.
    """

    name: str
    path: Literal["kernel", "bytes", "call"]
    received: int
    dropped: Mapping[DropReason, int]
    calls: int = 0
    given: int = 0
    waiting: int = 0
    destinations: tuple[DestinationStatistics, ...]
    latency: LatencyHistogram

    def after(self, past: RuleStatistics | None) -> RuleStatistics:
        """Give these together with what was counted before, on another path."""
        if past is None:
            return self
        before = {one.destination: one for one in past.destinations}
        return attrs.evolve(
            self,
            received=past.received + self.received,
            dropped=_together(past.dropped, self.dropped),
            calls=past.calls + self.calls,
            given=past.given + self.given,
            destinations=tuple(
                attrs.evolve(
                    one,
                    forwarded=before[one.destination].forwarded + one.forwarded,
                    dropped=_together(before[one.destination].dropped, one.dropped),
                )
                if one.destination in before
                else one
                for one in self.destinations
            ),
            latency=LatencyHistogram(
                tuple(map(sum, zip_longest(past.latency.counts, self.latency.counts, fillvalue=0)))
            ),
        )

    @property
    def forwarded(self) -> int:
        """Frames that a destination took, in all."""
        return sum(one.forwarded for one in self.destinations)

    @property
    def lost(self) -> int:
        """Frames that were dropped though the rule did not ask for it, for all destinations."""
        counts = [self.dropped, *(one.dropped for one in self.destinations)]
        return sum(
            number
            for dropped in counts
            for reason, number in dropped.items()
            if not reason.is_deliberate
        )


def _together(
    one: Mapping[DropReason, int], other: Mapping[DropReason, int]
) -> dict[DropReason, int]:
    return {reason: one.get(reason, 0) + other.get(reason, 0) for reason in {**one, **other}}


@attrs.frozen(kw_only=True)
class PortStatistics:
    """What went through an interface of a gateway since it started.

    Attributes:
        interface: The interface.
        state: ``"up"``, ``"bus-off"``, ``"down"`` (as far as the gateway has been told), or
            ``"gone"``.
        received: Frames that were read, in all. What no rule takes the kernel mostly keeps back.
        not_taken: Frames that were read, and that no rule took.
        overflowed: Frames that the kernel dropped, as the socket's receive buffer was full.
        malformed: Messages that were no frames.
        gaps: How often it was down or gone.
    """

    interface: str
    state: Literal["up", "bus-off", "down", "gone"]
    received: int
    not_taken: int
    overflowed: int
    malformed: int
    gaps: int


@attrs.frozen(kw_only=True)
class GatewayStatistics:
    """What went through a gateway.

    Attributes:
        rules: Each rule, in their order; those that were replaced are no longer in it.
        ports: Each interface that the gateway has opened; the kernel's path opens none.
    """

    rules: tuple[RuleStatistics, ...]
    ports: tuple[PortStatistics, ...]

    def rule(self, name: str) -> RuleStatistics:
        """Give the statistics of the rule of a name.

        Raises:
            KeyError: There is no such rule.
        """
        for one in self.rules:
            if one.name == name:
                return one
        raise KeyError(name)
