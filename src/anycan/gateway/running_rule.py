"""A rule in force, forwarded by this process."""

from __future__ import annotations

from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Final, cast

from anycan.gateway.admission import make_admission
from anycan.gateway.backlog import make_line
from anycan.gateway.caller import Caller
from anycan.gateway.counters import RuleCounters
from anycan.gateway.reasons import DropReason
from anycan.gateway.taker import Direct, Taker
from anycan.gateway.transform import make_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.gateway.admission import Admission
    from anycan.gateway.outlet import Outlet
    from anycan.gateway.port import Port
    from anycan.gateway.rule import Rule


# Kept for the milliseconds in which a rule goes over to the kernel or comes back: more than a bus
# brings in half a second.
_HELD: Final = 8192


class RunningRule:
    """A rule in force.

    Args:
        name: Its name in this gateway.
        rule: The rule.
        source: Where its frames come from.
        destinations: Where they go, in the rule's order.

    Attributes:
        name: Its name.
        rule: The rule.
        counters: What it counts.
        source: Where its frames come from.
        destinations: Where they go.
        outlets: What sends there.
        caller: What calls its function; None: it has none.
    """

    def __init__(self, name: str, rule: Rule, source: Port, destinations: Sequence[Port]) -> None:
        self.name = name
        self.rule = rule
        self.source = source
        self.destinations = tuple(destinations)
        self.counters = RuleCounters(rule)
        self.outlets: tuple[Outlet, ...] = tuple(
            port.outlet(local_echo=rule.local_echo) for port in destinations
        )
        self._lines = tuple(
            make_line(route, rule.capacity, rule.overflow) for route in self.counters.routes
        )
        transform = make_transform(
            modify=rule.modify,
            id_map=rule.id_map,
            convert=rule.convert,
            bit_rate_switch=rule.bit_rate_switch,
            checksums=rule.checksums,
        )
        send = self._make_send()
        emit = send if transform is None else self._make_emit(transform, send)
        admission = make_admission(
            active=rule.active,
            changes_only=rule.changes_only,
            refresh=rule.refresh,
            minimum_interval=rule.minimum_interval,
            limits=rule.limits,
        )
        self.caller: Caller | None = None
        if rule.call is not None:
            self.caller = Caller(
                name,
                rule.call,
                rule.call_capacity,
                self.counters,
                source.interface,
                emit,
                self._flush,
            )
            emit = self.caller.put
        self._take = self._make_take(emit, admission)
        if admission is None and self.caller is None:
            direct = None
            if transform is None and len(self.outlets) == 1:
                direct = Direct(self.outlets[0], self._lines[0], self.counters)
            self._taker = Taker(self._take, self._make_batch(transform), direct)
        else:
            self._taker = Taker(self._take)
        self._registered = self._taker
        self._held: deque[tuple[bytes, int]] = deque(maxlen=_HELD)

    def start(self) -> None:
        """Come into force."""
        self._register(self._taker)

    def start_held(self) -> None:
        """Come into force, and keep what comes until :meth:`resume`: the kernel forwards still."""
        self._register(Taker(self._hold))

    def hold(self) -> None:
        """Keep what comes until :meth:`resume`: the kernel is about to forward."""
        self.source.remove(self._registered)
        self._register(Taker(self._hold))

    def _hold(self, payload: bytes, stamp: int) -> None:
        self._held.append((payload, stamp))

    def resume(self, is_ours: Callable[[int], bool]) -> None:
        """Forward what was kept and is not the kernel's, and what comes from now on.

        Args:
            is_ours: Tells by its stamp whether a frame is to be forwarded by this process.
        """
        self.source.remove(self._registered)
        self._register(self._taker)
        for payload, stamp in self._held:
            if is_ours(stamp):
                self._take(payload, stamp)
        self._held.clear()
        self._flush()

    def _register(self, taker: Taker) -> None:
        self._registered = taker
        self.source.add(self.rule.filter, taker)

    def stop(self) -> None:
        """End: what waits is dropped and counted."""
        self.source.remove(self._registered)
        if self.caller is not None:
            self.caller.end()
        for outlet, line in zip(self.outlets, self._lines, strict=True):
            outlet.drop(DropReason.RULE_ENDED, line)

    def _flush(self) -> None:
        for outlet in self.outlets:
            if outlet.pending:
                outlet.flush()

    # What is called for each frame; made for what the rule says, so that the rest costs nothing.

    def _make_take(
        self, emit: Callable[[bytes, int], object], admission: Admission | None
    ) -> Callable[[bytes, int], object]:
        counters = self.counters
        if admission is None:

            def take(payload: bytes, stamp: int) -> None:
                counters.received += 1
                emit(payload, stamp)

            return take
        admit = admission.admit

        def take_admitted(payload: bytes, stamp: int) -> None:
            counters.received += 1
            reason = admit(payload, stamp)
            if reason is None:
                emit(payload, stamp)
            else:
                counters.dropped[reason] += 1

        return take_admitted

    def _make_emit(
        self,
        transform: Callable[[bytes], bytes | DropReason],
        send: Callable[[bytes, int], object],
    ) -> Callable[[bytes, int], object]:
        counters = self.counters

        def emit(payload: bytes, stamp: int) -> None:
            changed = transform(payload)
            if isinstance(changed, bytes):
                send(changed, stamp)
            else:  # why it is no frame any more
                counters.dropped[changed] += 1

        return emit

    def _make_batch(
        self, transform: Callable[[bytes], bytes | DropReason] | None
    ) -> Callable[[list[bytes], list[int]], object]:
        counters, take = self.counters, self._take
        ways = [
            (outlet.pending.extend, line)
            for outlet, line in zip(self.outlets, self._lines, strict=True)
        ]

        def take_batch(payloads: list[bytes], stamps: list[int]) -> None:
            if transform is not None:
                changed = list(map(transform, payloads))
                if set(map(type, changed)) != {bytes}:
                    for payload, stamp in zip(payloads, stamps, strict=True):
                        take(payload, stamp)
                    return
                payloads = cast("list[bytes]", changed)
            counters.received += len(payloads)
            for extend, line in ways:
                extend(zip(payloads, stamps, repeat(line)))

        return take_batch

    def _make_send(self) -> Callable[[bytes, int], object]:
        ways = [
            (outlet.pending.append, line)
            for outlet, line in zip(self.outlets, self._lines, strict=True)
        ]
        if len(ways) == 1:
            ((append, line),) = ways

            def send(payload: bytes, stamp: int) -> None:
                append((payload, stamp, line))

            return send

        def send_to_all(payload: bytes, stamp: int) -> None:
            for append, line in ways:
                append((payload, stamp, line))

        return send_to_all
