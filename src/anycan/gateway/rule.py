"""What a gateway is told: rules, and the interfaces that they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs

from anycan.exceptions import FilterError, GatewayError
from anycan.filter import Filter, given_filters, union_of
from anycan.frame import EFF_MASK
from anycan.gateway.limits import RateLimit, TimeWindow
from anycan.gateway.modification import Modification
from anycan.network.base import Network
from anycan.wire.netlink_gateway_changes import Crc8Checksum, XorChecksum

if TYPE_CHECKING:
    from anycan.filter import FilterArgument

Checksum = XorChecksum | Crc8Checksum
Conversion = Literal["classical", "fd"]
Overflow = Literal["drop_oldest", "drop_newest", "latest_per_id"]
Offload = Literal["auto", "never", "require"]

_LONGEST_INTERVAL: Final = 86_400.0


@attrs.frozen
class GatewayPort:
    """An interface of a network, as a rule's source or destination.

    Args:
        interface: The interface's name.
        network: Where it is; None: the one that every ``network=`` means by default.

    Example:
        >>> GatewayPort("can0").interface
        'can0'
    """

    interface: str
    network: Network | str | None = None

    def __attrs_post_init__(self) -> None:
        interface: object = self.interface
        if not isinstance(interface, str) or not interface:
            raise GatewayError(f"a gateway's interface is a name such as 'can0', not {interface!r}")
        network: object = self.network
        if network is not None and not isinstance(network, str | Network):
            raise GatewayError(
                f"the network of {interface} is a network, the name of one or None, not {network!r}"
            )

    def __str__(self) -> str:
        if self.network is None:
            return self.interface
        name = self.network if isinstance(self.network, str) else self.network.name
        return f"{self.interface}@{name}"


def _port(value: str | GatewayPort) -> GatewayPort:
    return value if isinstance(value, GatewayPort) else GatewayPort(value)


def _ports(
    value: str | GatewayPort | Iterable[str | GatewayPort],
) -> tuple[GatewayPort, ...]:
    if isinstance(value, str | GatewayPort) or not isinstance(value, Iterable):
        value = (value,)
    return tuple(_port(one) for one in value)


def _filter(value: FilterArgument | None) -> Filter:
    if value is None:
        return Filter.all()
    try:
        given = given_filters(value)
    except FilterError as error:
        raise GatewayError(f"filter: {error}") from None
    if len(given) == 1 and isinstance(given[0], Filter):
        return given[0]
    return union_of(given)


def _several(value: object, kinds: tuple[type, ...], name: str) -> tuple[Any, ...]:
    values = value if isinstance(value, Iterable) else (value,)
    found = tuple(values)
    for one in found:
        if not isinstance(one, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise GatewayError(f"{name}: {one!r} is no {expected}")
    return found


def _modifications(value: Modification | Iterable[Modification]) -> tuple[Modification, ...]:
    return _several(value, (Modification,), "modify")


def _checksums(value: Checksum | Iterable[Checksum]) -> tuple[Checksum, ...]:
    return _several(value, (XorChecksum, Crc8Checksum), "checksums")


def _limits(value: RateLimit | Iterable[RateLimit]) -> tuple[RateLimit, ...]:
    return _several(value, (RateLimit,), "limits")


def _identifier_map(value: Mapping[int, int] | None) -> Mapping[int, int]:
    """Check a map of identifiers, which stays in the order it was given in."""
    try:
        given = dict(value or {})
    except (TypeError, ValueError):
        raise GatewayError(f"id_map: identifiers and what they become, not {value!r}") from None
    for side in (given.keys(), given.values()):
        for one in side:
            identifier: object = one
            if type(identifier) is not int or not 0 <= identifier <= EFF_MASK:
                raise GatewayError(f"id_map: {one!r} is no identifier (0 to 0x1FFFFFFF)")
    return _IdentifierMap(given)


class _IdentifierMap(dict[int, int]):
    """A map of identifiers that nobody changes any more, so that rules can be compared and kept."""

    def __hash__(self) -> int:  # type: ignore[override]  # a dict's own has none
        return hash(frozenset(self.items()))


@attrs.frozen(kw_only=True, eq=True)
class Rule:
    r"""What a gateway forwards, from one interface to one or more, and what it does to it.

    A frame that the filter takes goes through these, in this order: ``active``, ``changes_only``,
    ``minimum_interval`` and ``limits`` say whether it is forwarded at all; ``call``, ``id_map``,
    ``modify``, ``convert`` and ``checksums`` change it. What is left waits in a queue of its own
    for each destination, if it has to wait at all. Each rule is for itself: a frame that two rules
    take is forwarded twice.

    Attributes:
        source: Where frames come from: an interface's name, or a :class:`GatewayPort`.
        destinations: Where they go (as the argument ``destination``: one, or several).
        filter: Which frames: filters as everywhere; all data and remote frames unless it is given.
            Error frames are forwarded where it names them.
        name: What it is called in statistics and messages; unless it is given,
            ``"can0 -> can1"``.
        modify: What is done to the bits of each frame, in this order; as ``cangw``'s AND, OR, XOR
            and SET.
        id_map: Identifiers, and what they become. One above 0x7FF has 29 bits. Those that are not
            in it stay.
        convert: ``"classical"``: CAN FD frames become classical ones, ``"fd"``: the other way
            round. A frame that the other kind cannot be (more than 8 bytes; a remote frame) is
            dropped, as ``does not fit``. None: frames stay what they are.
        bit_rate_switch: Whether a frame that becomes one of CAN FD has the flag BRS.
        checksums: An :class:`XorChecksum`, a :class:`Crc8Checksum`, or both, to write into each
            frame at the end: the CRC-8 first, as the kernel does.
        call: A function or coroutine function that is given each frame and gives what is to be
            forwarded in its place: None, a frame, or several. Frames wait for it in a queue of
            their own.
        call_capacity: How many frames wait for it; then the oldest is dropped.
        minimum_interval: Seconds that have to pass between two frames of one identifier; what comes
            earlier is dropped. 0: none.
        limits: :class:`RateLimit` values, each of which has to let a frame through.
        changes_only: Forward a frame only when it is another than the last one forwarded of its
            identifier.
        refresh: Seconds after which one that has not changed is forwarded nevertheless; None:
            never.
        active: When the rule is in force, by the time of the frame; None: always.
        capacity: How many frames wait for each destination at most, while it does not take them.
        overflow: What is dropped then: ``"drop_oldest"``, ``"drop_newest"``, or with
            ``"latest_per_id"`` the older one of the same identifier, whenever there is one, and
            else the oldest.
        local_echo: Programs on this machine that listen at a destination see what is forwarded to
            it.
        offload: Whether the kernel's can-gw forwards in place of this process: ``"auto"`` where it
            can do exactly what the rule says, ``"never"``, or ``"require"``, where it is an error
            if it cannot.

    Raises:
        GatewayError: Something in it makes no sense; the message says what, and what would.

    Example:
        >>> rule = Rule(source="can0", destination="can1", filter=Filter.range(0x100, 0x1FF))
        >>> rule.name
        'can0 -> can1'
        >>> Rule(source="can0", destination="can1", capacity=0)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        anycan.exceptions.GatewayError: rule 'can0 -> can1': capacity is ... 1 or more, not 0
    """

    source: GatewayPort = attrs.field(converter=_port)
    destinations: tuple[GatewayPort, ...] = attrs.field(converter=_ports, alias="destination")
    filter: Filter = attrs.field(default=None, converter=_filter)
    name: str = ""
    modify: tuple[Modification, ...] = attrs.field(default=(), converter=_modifications)
    id_map: Mapping[int, int] = attrs.field(default=None, converter=_identifier_map)
    convert: Conversion | None = None
    bit_rate_switch: bool = True
    checksums: tuple[Checksum, ...] = attrs.field(default=(), converter=_checksums)
    call: Callable[[Any], Any] | None = None
    call_capacity: int = 1024
    minimum_interval: float = 0.0
    limits: tuple[RateLimit, ...] = attrs.field(default=(), converter=_limits)
    changes_only: bool = False
    refresh: float | None = None
    active: TimeWindow | None = None
    capacity: int = 1024
    overflow: Overflow = "drop_oldest"
    local_echo: bool = True
    offload: Offload = "auto"

    def __attrs_post_init__(self) -> None:
        if not self.name:
            ends = ", ".join(str(port) for port in self.destinations)
            object.__setattr__(self, "name", f"{self.source} -> {ends}")
        problem = self._problem()
        if problem:
            raise GatewayError(f"rule {self.name!r}: {problem}")

    def _problem(self) -> str:  # noqa: C901, PLR0911, PLR0912 - a list of what can be wrong
        if not self.destinations:
            return "it has no destination"
        for position, port in enumerate(self.destinations):
            if port == self.source:
                return (
                    f"{port} is both source and destination: a frame never goes back to where it"
                    " came from"
                )
            if port in self.destinations[:position]:
                return f"{port} is a destination twice"
        contradiction = self.filter.contradiction()
        if contradiction:
            return f"its filter takes no frame: {contradiction}"
        choices: tuple[tuple[str, object, object], ...] = (
            ("convert", self.convert, (None, *get_args(Conversion))),
            ("overflow", self.overflow, get_args(Overflow)),
            ("offload", self.offload, get_args(Offload)),
        )
        for name, value, allowed in choices:
            if value not in allowed:  # type: ignore[operator]  # tuples, of several kinds
                return f"{name} is one of {allowed}, not {value!r}"
        label: object = self.name
        if not isinstance(label, str) or not label.isprintable():
            return "a name is text on one line"
        for name in ("bit_rate_switch", "changes_only", "local_echo"):
            flag: object = getattr(self, name)
            if not isinstance(flag, bool):
                return f"{name} is True or False, not {flag!r}"
        for name in ("capacity", "call_capacity"):
            size: object = getattr(self, name)
            if type(size) is not int or size < 1:
                return f"{name} is a number of frames, 1 or more, not {size!r}"
        for name, seconds in (
            ("minimum_interval", self.minimum_interval),
            ("refresh", 0.0 if self.refresh is None else self.refresh),
        ):
            given: object = seconds
            if not isinstance(given, int | float) or not 0 <= given <= _LONGEST_INTERVAL:
                return f"{name} is a time in seconds, 0 to {_LONGEST_INTERVAL:.0f}, not {seconds!r}"
        if self.refresh is not None and not self.changes_only:
            return "refresh says how often an unchanged frame is forwarded: it needs changes_only"
        active: object = self.active
        if active is not None and not isinstance(active, TimeWindow):
            return f"active is a TimeWindow, not {active!r}"
        call: object = self.call
        if call is not None and not callable(call):
            return f"call is a function that is given a frame, not {call!r}"
        for kind in (XorChecksum, Crc8Checksum):
            if sum(isinstance(one, kind) for one in self.checksums) > 1:
                return f"it has more than one {kind.__name__}, and a frame is given one"
        if self.offload == "require" and self.call is not None:
            return "offload='require' and a call: the kernel calls no Python function"
        return ""
