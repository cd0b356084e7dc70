"""What the kernel's can-gw has to be told so that it does what a rule says, where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from anycan.filter import kernel_form, meet, merge, subtract
from anycan.frame import EFF_FLAG, RTR_FLAG
from anycan.gateway.modification import kernel_changes
from anycan.wire.constants import CANFD_MTU, CANXL_MIN_MTU
from anycan.wire.netlink_gateway import GatewayFlag, GatewayRoute
from anycan.wire.netlink_gateway_changes import Crc8Checksum, FrameChange, XorChecksum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.filter import CanFilter, Cube
    from anycan.gateway.rule import Rule

MOST_ROUTES: Final = 64
"""So many rules of can-gw a :class:`Rule` becomes at most: every frame is compared with each."""

_XL_WORDS: Final[Cube] = (0, EFF_FLAG | RTR_FLAG)  # linux/can.h: a priority of 11 bits
_VCID: Final = 0x00FF0000  # linux/can.h: CANXL_VCID_VAL_MASK at CANXL_VCID_OFFSET
_ChecksumT = TypeVar("_ChecksumT", XorChecksum, Crc8Checksum)
_UNCHANGED: Final = FrameChange.of(can_id=0xFFFFFFFF)  # as an AND


@attrs.frozen
class PortFacts:
    """What can-gw needs to know of an interface.

    Attributes:
        name: Its name, for messages.
        index: Its index, from 1.
        mtu: The bytes of the greatest frame: 16 (classical CAN), 72 (CAN FD), 76 and more (CAN XL).
        is_kernel: It is the kernel's, and no user-space network's.
    """

    name: str
    index: int
    mtu: int
    is_kernel: bool


def kernel_rules(
    rule: Rule, source: PortFacts, destinations: Sequence[PortFacts]
) -> list[GatewayRoute] | str:
    """Give the rules of can-gw that do exactly what a rule says.

    A rule of can-gw is for one filter, one destination, and either classical frames or those of CAN
    FD (``net/can/gw.c``), so that one rule becomes up to 64 of them. No frame is taken by two of
    one destination. What one of them has forwarded no other forwards.

    Args:
        rule: What is to be done. Its ``offload`` is not looked at.
        source: The interface that it takes frames from.
        destinations: Those that it forwards them to.

    Returns:
        The rules, without ``uid``; each has a modification, since only then the kernel keeps a
        ``uid``, if need be one that changes nothing. None of them: the filter takes nothing
        from this source. Or why the kernel cannot do it, as a sentence: "the kernel's can-gw …".
    """
    problem = _problem(rule, source, destinations)
    if problem:
        return problem
    filters = _filters(rule, source)
    if isinstance(filters, str):
        return filters
    kinds = [
        (destination, flexible)
        for destination in destinations
        for flexible in (False, True)
        if not flexible or min(source.mtu, destination.mtu) >= CANFD_MTU
    ]
    if len(filters) * len(kinds) > MOST_ROUTES:
        return _too_many(str(len(filters) * len(kinds)))
    return [
        _route(rule, source.index, destination.index, taken, flexible=flexible)
        for destination, flexible in kinds
        for taken in filters
    ]


def _problem(rule: Rule, source: PortFacts, destinations: Sequence[PortFacts]) -> str:
    for port in (source, *destinations):
        if not port.is_kernel:
            return f"the kernel's can-gw does not reach {port.name}, which is no kernel interface"
    reasons = (
        (rule.call is not None, "calls no Python function (call)"),
        (bool(rule.id_map), "knows no table of identifiers (id_map)"),
        (rule.convert is not None, "turns no frame into one of another kind (convert)"),
        (rule.active is not None, "knows no times at which a rule is in force (active)"),
        (rule.changes_only, "does not know what it has forwarded before (changes_only)"),
        (bool(rule.minimum_interval), "cannot limit rates (minimum_interval)"),
        (bool(rule.limits), "cannot limit rates (limits)"),
    )
    for applies, reason in reasons:
        if applies:
            return f"the kernel's can-gw {reason}"
    return ""


def _filters(rule: Rule, source: PortFacts) -> tuple[CanFilter, ...] | str:
    """Give filters that take what a rule's filter takes, each frame by one of them; or why not."""
    cover = rule.filter.at_interface(source.name).cover()
    if cover.errors:
        return "the kernel's can-gw forwards no error frames, which its filter names"
    if not cover.exact:
        return (
            "the kernel's can-gw looks at identifiers alone, and its filter at more (the payload,"
            " the length, the kind of frame, or a function)"
        )
    if source.mtu >= CANXL_MIN_MTU and meet(cover.cubes, [_XL_WORDS]):
        return (
            f"the kernel's can-gw forwards no CAN XL frames, which {source.name} carries (MTU"
            f" {source.mtu}) and its filter takes"
        )
    cubes = _disjoint(cover.cubes)
    if cubes is None:
        return _too_many(f"more than {MOST_ROUTES}")
    filters, is_alike = kernel_form(cubes)
    return filters if is_alike else "the kernel's can-gw cannot be told its filter exactly"


def _too_many(count: str) -> str:
    return (
        f"its filter is too many rules for the kernel's can-gw: {count}, where a rule becomes"
        f" {MOST_ROUTES} at the most"
    )


def _disjoint(cubes: Sequence[Cube]) -> list[Cube] | None:
    """Give the same words, but each in one cube alone; None: these are too many.

    The words of CAN XL are left out: can-gw does not see them.
    """
    found: list[Cube] = []
    # The great ones first: those that come later are cut to pieces.
    for cube in sorted(cubes, key=lambda cube: cube[1].bit_count()):
        rest = subtract([cube], found, MOST_ROUTES)
        if rest is None:
            return None
        found += rest
        if len(found) > MOST_ROUTES:
            return None
    return merge(cut for cube in found if (cut := _without_vcid(cube)) is not None)


def _without_vcid(cube: Cube) -> Cube | None:
    """Give the words that are no CAN XL frame's; None: there are none."""
    value, mask = cube
    if mask & EFF_FLAG and not value & EFF_FLAG:
        if value & _VCID:
            return None
        mask &= ~_VCID  # 0 in each of them; the kernel would not look
    return value, mask


def _checksum(rule: Rule, kind: type[_ChecksumT], *, flexible: bool) -> _ChecksumT | None:
    """Give a rule's checksum of a kind, unless it is for frames of more data than these have.

    The kernel takes no such position, and this process leaves the checksum out of such a frame.
    """
    size = 64 if flexible else 8
    for one in rule.checksums:
        places = (one.first, one.last, one.result)
        if isinstance(one, kind) and all(-size <= place < size for place in places):
            return one
    return None


def _route(
    rule: Rule, source: int, destination: int, taken: CanFilter, *, flexible: bool
) -> GatewayRoute:
    mod_and, mod_xor = kernel_changes(rule.modify, flexible)
    if mod_and is None and mod_xor is None:
        mod_and = _UNCHANGED
    flags = GatewayFlag.ECHO if rule.local_echo else 0
    return GatewayRoute(
        source,
        destination,
        flags | GatewayFlag.FD if flexible else flags,
        taken,
        mod_and=mod_and,
        mod_xor=mod_xor,
        xor=_checksum(rule, XorChecksum, flexible=flexible),
        crc8=_checksum(rule, Crc8Checksum, flexible=flexible),
        hop_limit=1,
    )
