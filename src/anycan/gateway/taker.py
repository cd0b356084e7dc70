"""What a source's frames are handed to, one by one or a batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.gateway.backlog import Line
    from anycan.gateway.counters import RuleCounters
    from anycan.gateway.outlet import Outlet
    from anycan.sockets.forwarding import ForwardingSocket


class Direct:
    """The way of a rule that changes nothing, and has one destination: from buffer to socket.

    Args:
        outlet: What sends to the destination.
        line: The rule's line there.
        counters: What the rule counts.
    """

    __slots__ = ("_counters", "_line", "_outlet")

    def __init__(self, outlet: Outlet, line: Line, counters: RuleCounters) -> None:
        self._outlet = outlet
        self._line = line
        self._counters = counters

    def put(self, source: ForwardingSocket, count: int, size: int, stamps: list[int]) -> int:
        """Send what a socket has read, as far as it goes at once; give how many were sent."""
        sent = self._outlet.put_received(source, count, size, stamps, self._line)
        self._counters.received += sent
        return sent


class Taker:
    """Who takes frames.

    Args:
        one: Takes a frame: its payload, and its stamp.
        batch: Takes several; None: one by one.
        direct: Takes what a socket has read, without a payload being made; None: it cannot.
    """

    __slots__ = ("batch", "direct", "one")

    def __init__(
        self,
        one: Callable[[bytes, int], object],
        batch: Callable[[list[bytes], list[int]], object] | None = None,
        direct: Direct | None = None,
    ) -> None:
        self.one = one
        self.batch = batch or self._each
        self.direct = direct

    def _each(self, payloads: list[bytes], stamps: list[int]) -> None:
        one = self.one
        for payload, stamp in zip(payloads, stamps, strict=True):
            one(payload, stamp)
