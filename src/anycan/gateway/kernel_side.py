"""The rules of a gateway that the kernel forwards by: put there, kept there, counted."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

import attrs

from anycan.exceptions import CanOSError, GatewayError
from anycan.gateway.kernel_path import KernelPath
from anycan.gateway.modification import combine
from anycan.gateway.plan import NOT_THERE, routes_of
from anycan.gateway.presence import find_gateways
from anycan.gateway.reasons import DropReason
from anycan.gateway.statistics import DestinationStatistics, LatencyHistogram, RuleStatistics
from anycan.sockets.netlink import NetlinkSocket
from anycan.wire.netlink_gateway_changes import ChangedPart

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from anycan.gateway.plan import Choice, PlannedRule
    from anycan.wire.netlink import NetlinkMessage
    from anycan.wire.netlink_gateway import GatewayRoute

_LOGGER: Final = logging.getLogger("anycan.gateway")

# By destination: handled, dropped and deleted frames.
Counts = dict[str, tuple[int, int, int]]


class KernelRule:
    """A rule that the kernel forwards by.

    Args:
        choice: The rule, and the kernel's rules that stand for it.

    Attributes:
        planned: The rule.
        wanted: The kernel's rules, without their numbers.
        installed: The same as they were installed.
        past: What this process has counted for the rule before.
        installed_ns: When it was installed, in nanoseconds since the epoch.
        removed_ns: When it was removed.
    """

    def __init__(self, choice: Choice) -> None:
        self.planned: PlannedRule = choice.planned
        self.wanted = choice.routes or ()
        self.installed: list[GatewayRoute] = []
        # Of any other rule the kernel deletes only frames that another rule has forwarded, which
        # this one was not to take.
        self._counts_deleted = bool(combine(choice.planned.rule.modify).parts & ChangedPart.LENGTH)
        self.past: RuleStatistics | None = None
        self.installed_ns = 0
        self.removed_ns = 0
        self._names: dict[int, str] = {}  # of the destinations
        self._past: Counts = {}
        self._last: dict[int, GatewayRoute] = {}  # by uid

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.planned.name

    def note_installed(self, routes: list[GatewayRoute]) -> None:
        """Take note of how the rules were installed."""
        self.installed = routes
        for (network, interface), port in zip(
            self.planned.destinations, self.planned.rule.destinations, strict=True
        ):
            try:
                self._names[network.interface_index(interface)] = str(port)
            except CanOSError:  # it has gone again
                continue

    def note_counts(self, routes: dict[int, GatewayRoute]) -> None:
        """Take note of what the kernel has counted."""
        for route in self.installed:
            if route.uid in routes:
                self._last[route.uid] = routes[route.uid]

    def note_dropped(self, there: Collection[int]) -> None:
        """Take note which rules the kernel still has, by ``uid``, and what the others counted."""
        for uid in [uid for uid in self._last if uid not in there]:
            route = self._last.pop(uid)
            name = self._names.get(route.destination)
            if name is not None:
                self._past[name] = self._added(self._past.get(name), route)

    def statistics(self) -> RuleStatistics:
        """Give the counts that were noted last."""
        counts: Counts = {str(port): (0, 0, 0) for port in self.planned.rule.destinations}
        counts |= self._past
        for route in list(self._last.values()):  # a thread may be mending
            name = self._names.get(route.destination)
            if name is not None:
                counts[name] = self._added(counts.get(name), route)
        destinations = [
            DestinationStatistics(
                destination=name,
                forwarded=handled,
                dropped={
                    reason: count
                    for reason, count in (
                        (DropReason.REFUSED, dropped),
                        (DropReason.LENGTH, deleted),
                    )
                    if count
                },
                waiting=0,
            )
            for name, (handled, dropped, deleted) in counts.items()
        ]
        # Each destination has a rule of the kernel's own, which sees the same frames.
        received = max(sum(one) for one in counts.values())
        return RuleStatistics(
            name=self.name,
            path="kernel",
            received=received,
            dropped={},
            destinations=tuple(destinations),
            latency=LatencyHistogram(()),
        ).after(self.past)

    def _added(
        self, counts: tuple[int, int, int] | None, route: GatewayRoute
    ) -> tuple[int, int, int]:
        handled, dropped, deleted = counts or (0, 0, 0)
        if self._counts_deleted:
            deleted += route.deleted
        return handled + route.handled, dropped + route.dropped, deleted


class SharedNetlink:
    """A socket that several threads ask by, one at a time."""

    def __init__(self) -> None:
        self._socket = NetlinkSocket()
        self._lock = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a request would have to wait, or cannot be made any more."""
        return self._lock.locked() or self._socket.fileno() < 0

    def request(self, message: NetlinkMessage) -> list[NetlinkMessage]:
        """Ask for something, as :meth:`NetlinkSocket.request`."""
        with self._lock:
            return self._socket.request(message)

    def close(self) -> None:
        """Ask nothing more."""
        self._socket.close()


class KernelSide:
    """What a gateway has in the kernel. Its methods ask the kernel, and return when it has done it.

    Args:
        tag: The gateway's tag.

    Attributes:
        netlink: What asks the kernel.
    """

    def __init__(self, tag: int) -> None:
        self.netlink = SharedNetlink()
        self._path = KernelPath(tag, self.netlink)

    def clear_orphans(self) -> None:
        """Remove what gateways have left behind that do not run any more."""
        try:
            count = self._path.remove_orphans(_live_tags)
        except CanOSError as error:
            _LOGGER.warning(
                "rules of can-gw that a gateway left behind stay there: %s", error.strerror
            )
            return
        if count:
            _LOGGER.info("removed %d rules of can-gw that gateways had left behind", count)

    def install(self, rules: Iterable[KernelRule]) -> None:
        """Install rules, all or none.

        Raises:
            CanOSError: The kernel refused one.
            GatewayError: They are too many.
        """
        made: list[KernelRule] = []
        try:
            for rule in rules:
                rule.note_installed(self._path.install(rule.wanted))
                rule.installed_ns = time.time_ns()
                made.append(rule)
        except BaseException:
            self.remove(made)
            raise

    def remove(self, rules: Iterable[KernelRule]) -> None:
        """Remove rules, and keep their last counts."""
        rules = list(rules)
        self.count(rules)
        for rule in rules:
            try:
                self._path.remove(rule.installed)
            except CanOSError as error:
                _LOGGER.warning("rule %r stays with the kernel: %s", rule.name, error.strerror)
            rule.removed_ns = time.time_ns()
            rule.note_dropped(())
            rule.installed = []

    def count(self, rules: Iterable[KernelRule]) -> None:
        """Take what the kernel has counted; where it does not tell, what is known stays."""
        try:
            counts = self._path.counts()
        except CanOSError as error:
            _LOGGER.debug("can-gw's counts: %s", error.strerror)
            return
        for rule in rules:
            rule.note_counts(counts)

    def look(self, rules: Iterable[KernelRule]) -> None:
        """Take what the kernel has counted, unless that would have to wait."""
        if not self.netlink.busy:
            self.count(rules)

    def mend(self, rules: Iterable[KernelRule]) -> bool:
        """Put back what the kernel has dropped with an interface that has come back since.

        And what an interface with another MTU needs besides. What it still has of a rule, for other
        destinations, stays as it is.

        Returns:
            Whether all of them are rules that the kernel can have; else paths are to be chosen
            anew.

        Raises:
            CanOSError: The kernel does not tell what it has.
        """
        there = self._path.counts()
        fit = True
        for rule in rules:
            rule.note_counts(there)
            try:
                fit &= self._mend(rule, there)
            except (CanOSError, GatewayError) as error:
                reason = getattr(error, "strerror", None) or error
                _LOGGER.warning("rule %r: the kernel does not take it back: %s", rule.name, reason)
        return fit

    def _mend(self, rule: KernelRule, there: Mapping[int, GatewayRoute]) -> bool:
        """Mend one rule; tell whether the kernel can have it, as far as is known."""
        routes = routes_of(rule.planned)
        if isinstance(routes, str):
            return routes.endswith(NOT_THERE)  # and may come back
        known = {
            attrs.evolve(route, uid=0): route for route in rule.installed if route.uid in there
        }
        new = [route for route in routes if route not in known]
        old = [route for route in rule.installed if known.get(attrs.evolve(route, uid=0)) != route]
        old += [route for given, route in known.items() if given not in routes]
        if not new and not old:
            return True
        made = self._path.install(new)
        self._path.remove(old)
        kept = [route for given, route in known.items() if given in routes]
        rule.note_dropped({route.uid for route in kept})
        rule.note_installed([*kept, *made])
        rule.wanted = tuple(routes)
        _LOGGER.info("rule %r: the kernel forwards again", rule.name)
        return True

    def close(self) -> None:
        """Ask the kernel nothing more."""
        self.netlink.close()


def _live_tags() -> set[int]:
    return {tag for tag, _ in find_gateways()}
