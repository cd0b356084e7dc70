"""Rules with their interfaces looked up: which networks, which names, which way for each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import attrs

from anycan.exceptions import CanOSError, GatewayError, OffloadError
from anycan.frame import ERR_FLAG
from anycan.gateway.bits import FrameParts
from anycan.gateway.kernel_rules import PortFacts, kernel_rules
from anycan.gateway.loops import Edge, Node
from anycan.gateway.modification import combine
from anycan.network.base import Network
from anycan.sockets.kernel import KernelNetwork
from anycan.sockets.networks import resolve_network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from anycan.gateway.rule import GatewayPort, Rule
    from anycan.wire.netlink_gateway import GatewayRoute

PortKey = tuple[Network, str]

KERNEL_CARRIER: Final = "can-gw"
NOT_THERE: Final = " is not there"
"""How :func:`routes_of` ends when it is an interface that is missing."""


@attrs.frozen
class PlannedRule:
    """A rule whose interfaces have been looked up.

    Attributes:
        name: Its name, which no other rule of the gateway has.
        rule: The rule.
        source: Where its frames come from.
        destinations: Where they go.
    """

    name: str
    rule: Rule
    source: PortKey
    destinations: tuple[PortKey, ...]

    @property
    def ports(self) -> tuple[PortKey, ...]:
        """All its interfaces."""
        return (self.source, *self.destinations)


def plan_rules(rules: Iterable[Rule], known: Iterable[PlannedRule] = ()) -> list[PlannedRule]:
    """Look up the networks of rules, and give each a name of its own.

    Args:
        rules: The rules.
        known: Those that are in force: one that stays keeps its name.

    Raises:
        GatewayError: Source and destination of a rule are one interface, written in two ways.
        NetworkUnavailableError: There is no such network.
    """
    rules = list(rules)
    names = _kept_names(rules, known)
    taken = set(names.values())
    planned = []
    for position, rule in enumerate(rules):
        name = names.get(position, "")
        if not name:
            name = next(name for name in _names_of(rule) if name not in taken)
            taken.add(name)
        one = PlannedRule(
            name, rule, _key_of(rule.source), tuple(_key_of(port) for port in rule.destinations)
        )
        if len(set(one.ports)) < len(one.ports):
            raise GatewayError(
                f"rule {name!r}: two of its interfaces ({rule.source} and"
                f" {', '.join(map(str, rule.destinations))}) are the same one: a frame never goes"
                " back to where it came from"
            )
        planned.append(one)
    return planned


def _kept_names(rules: Sequence[Rule], known: Iterable[PlannedRule]) -> dict[int, str]:
    """Give the names of rules that are in force, by their place among the new ones."""
    names: dict[int, str] = {}
    for one in known:
        for position, rule in enumerate(rules):
            if position not in names and rule == one.rule:
                names[position] = one.name
                break
    return names


def _names_of(rule: Rule) -> Iterator[str]:
    yield rule.name
    for number in itertools.count(2):
        yield f"{rule.name} ({number})"


def _key_of(port: GatewayPort) -> PortKey:
    network = resolve_network(port.network)
    try:  # an interface may have other names besides
        name = network.interface_name(network.interface_index(port.interface))
    except CanOSError:  # it is not there yet
        name = None
    return network, name or port.interface


def node_of(key: PortKey) -> Node:
    """Give what an interface is called when ways are searched by which frames come back."""
    network, interface = key
    if isinstance(network, KernelNetwork):
        return "kernel", interface
    return f"{network.name}#{id(network):x}", interface


def edges_of(planned: PlannedRule, carrier: str, label: str) -> list[Edge]:
    """Give the ways that a rule's frames go.

    Args:
        planned: The rule.
        carrier: Who forwards.
        label: What to call it.
    """
    rule = planned.rule
    change: tuple[int, int] | None = None
    if rule.call is None and not rule.id_map:
        bits = combine(rule.modify)
        change = FrameParts.of_image(bits.keep).word, FrameParts.of_image(bits.flip).word
    cover = rule.filter.cover()
    cubes = cover.cubes
    if cover.errors:
        cubes = (*cubes, (ERR_FLAG, ERR_FLAG))
    return [
        Edge(
            node_of(planned.source),
            node_of(destination),
            carrier,
            label,
            cubes,
            change=change,
            visible=rule.local_echo,
        )
        for destination in planned.destinations
    ]


def facts_of(key: PortKey) -> PortFacts | None:
    """Give what the kernel's path has to know of an interface; None: it is not there."""
    network, interface = key
    try:
        index = network.interface_index(interface)
    except CanOSError:
        return None
    mtu = network.interface_mtu(index)
    if mtu is None:
        return None
    return PortFacts(interface, index, mtu, isinstance(network, KernelNetwork))


@attrs.frozen
class Choice:
    """Who forwards for a rule, and why.

    Attributes:
        planned: The rule.
        routes: The kernel's rules that stand for it; None: this process forwards.
        reason: Why this process does; empty: the kernel does.
    """

    planned: PlannedRule
    routes: tuple[GatewayRoute, ...] | None
    reason: str


def choose_paths(planned: Sequence[PlannedRule], refusal: str = "") -> list[Choice]:
    """Choose who forwards for each rule.

    What this process sends, the kernel's rules would take as well, and the other way round: so
    where two rules meet at an interface, one's destination and the other's source, either the
    kernel has both or this process has.

    Args:
        planned: The rules.
        refusal: Why the kernel forwards nothing at all; empty: it does.

    Raises:
        OffloadError: A rule requires the kernel, which cannot.
    """
    routes: dict[str, tuple[GatewayRoute, ...]] = {}
    reasons: dict[str, str] = {}
    for one in planned:
        found = refusal if refusal and one.rule.offload != "never" else routes_of(one)
        if isinstance(found, str):
            reasons[one.name] = found
        else:
            routes[one.name] = tuple(found)
    by_name = {one.name: one for one in planned}
    unsettled = True
    while unsettled:
        unsettled = False
        for name in list(routes):
            other = _meets(by_name[name], [by_name[user] for user in reasons])
            if other is not None:
                del routes[name]
                reasons[name] = (
                    f"rule {other!r} meets it at an interface and is forwarded by this process"
                )
                unsettled = True
    for one in planned:
        if one.rule.offload == "require" and one.name in reasons:
            raise OffloadError(f"rule {one.name!r} requires the kernel's path: {reasons[one.name]}")
    return [Choice(one, routes.get(one.name), reasons.get(one.name, "")) for one in planned]


def routes_of(one: PlannedRule) -> list[GatewayRoute] | str:
    """Give the rules of can-gw that do what a rule says, or why there are none."""
    if one.rule.offload == "never":
        return "the rule says so"
    facts = [facts_of(key) for key in one.ports]
    for (_, interface), fact in zip(one.ports, facts, strict=True):
        if fact is None:
            return f"{interface}{NOT_THERE}"
    source, *destinations = [fact for fact in facts if fact is not None]
    return kernel_rules(one.rule, source, destinations)


def _meets(one: PlannedRule, others: Iterable[PlannedRule]) -> str | None:
    for other in others:
        if other.source in one.destinations or one.source in other.destinations:
            return other.name
    return None
