"""Why a filter can match nothing.

A filter is taken apart into the ways in which a frame may pass it, each of them conditions that
have to hold together. Nothing passes when no way is open.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

from anycan.filter._conditions import (
    EVERY_BYTE,
    MOST_BYTES,
    ByteIn,
    Kinds,
    Length,
    OfErrors,
    ReceivedFrom,
    Words,
)
from anycan.filter._cubes import EVERYTHING, Cube, meet, meet_within, merge, subtract
from anycan.filter._expression import All, Either, Expression, Literal, Not
from anycan.filter._kinds import CLASSICAL, DATA_KINDS, FLEXIBLE, REMOTE, XL
from anycan.filter._text import code_of
from anycan.frame import EFF_FLAG, RTR_FLAG

_MOST_WAYS: Final = 64
_MOST_LITERALS: Final = 40  # of one way that are tried in pairs
_MOST_CUBES: Final = 256
_ONE_KIND: Final = "a frame is of one kind"
_LENGTHS: Final = {CLASSICAL: (0, 8), FLEXIBLE: (0, 64), XL: (1, MOST_BYTES)}

Way = tuple[Literal, ...]


def contradiction_of(expression: Expression) -> str | None:
    """Tell why nothing passes an expression; None: something may, or it is too much to tell."""
    ways = _ways(expression)
    if ways is None:
        return None
    reasons: dict[str, None] = {}
    for way in ways:
        reason = _conflict(way)
        if reason is None:
            return None
        reasons[_told(_least_part(way, reason), reason)] = None
    return "; ".join(reasons) or "Filter.none() takes nothing"


def _ways(expression: Expression) -> list[Way] | None:
    match expression:
        case Either():
            found: list[Way] = []
            for part in expression.parts:
                ways = _ways(part)
                if ways is None or len(found) + len(ways) > _MOST_WAYS:
                    return None
                found += ways
            return found
        case All():
            joined: list[Way] = [()]
            for part in expression.parts:
                ways = _ways(part)
                if ways is None or len(joined) * len(ways) > _MOST_WAYS:
                    return None
                joined = [one + other for one in joined for other in ways]
            return joined
        case _:
            return [(expression,)]


def _told(way: Way, reason: str) -> str:
    names = [code_of(literal, alone=len(way) == 1) for literal in way]
    if len(names) == 1:
        return f"no frame passes {names[0]}: {reason}"
    pair = "both " if len(names) == 2 else ""
    return f"no frame passes {pair}{', '.join(names[:-1])} and {names[-1]}: {reason}"


def _least_part(way: Way, reason: str) -> Way:
    """Leave out what the reason does not need."""
    if len(way) <= _MOST_LITERALS:
        for count in (1, 2):
            for some in combinations(way, count):
                if _conflict(some) == reason:
                    return some
        for literal in way:
            rest = tuple(one for one in way if one is not literal)
            if _conflict(rest) == reason:
                way = rest
    return way


def _conflict(way: Way) -> str | None:
    """Tell why these do not hold together, for whatever frame."""
    interfaces = _interfaces_left(way)
    if interfaces is not None and not interfaces:
        return "a frame is received from one interface"
    classes = [one.classes for one in way if isinstance(one, OfErrors)]
    if not classes:
        return _conflict_of_words(way) or _conflict_of_data(way)
    denied = 0
    for literal in way:
        if isinstance(literal, Not):
            if isinstance(literal.condition, OfErrors):
                denied |= literal.condition.classes
        elif not literal.on_errors:
            return "an error frame has neither identifier nor payload of its own"
    if not all(one & ~denied for one in classes):
        return "error frames of the same classes are wanted and not wanted"
    return None


def _interfaces_left(way: Way) -> frozenset[str] | None:
    """Give the interfaces that a frame may be from; None: any but a few."""
    left: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()
    for literal in way:
        if isinstance(literal, ReceivedFrom):
            left = literal.names if left is None else left & literal.names
        elif isinstance(literal, Not) and isinstance(literal.condition, ReceivedFrom):
            denied |= literal.condition.names
    return None if left is None else left - denied


def _conflict_of_words(way: Way) -> str | None:
    kinds = _kinds_left(way)
    if not kinds:
        return _ONE_KIND
    cubes: list[Cube] = [EVERYTHING]
    for literal in way:
        if isinstance(literal, Words):
            met = meet_within(cubes, merge(literal.cubes), _MOST_CUBES)
            if met is None:
                return None
            cubes = met
    denied = [
        cube
        for literal in way
        if isinstance(literal, Not) and isinstance(literal.condition, Words)
        for cube in literal.condition.cubes
    ]
    left = subtract(cubes, merge(denied), _MOST_CUBES) if denied else cubes
    if left is None:
        return None
    if not left:
        return "a data or remote frame has one identifier, of 11 or of 29 bits"
    return _conflict_of_kinds(
        left, [one.exact_cube() for one in way if isinstance(one, Kinds)], kinds
    )


def _conflict_of_kinds(cubes: list[Cube], of_kinds: list[Cube], kinds: int) -> str | None:
    for cube in of_kinds:
        cubes = meet(cubes, [cube])
    if any(kinds & _kinds_of(cube) for cube in cubes):
        return None
    if kinds == XL and not _met_by_all(of_kinds):
        return "a frame of CAN XL has one priority and one VCID"
    return _ONE_KIND


def _met_by_all(cubes: list[Cube]) -> bool:
    common = [EVERYTHING]
    for cube in cubes:
        common = meet(common, [cube])
    return bool(common)


def _kinds_left(way: Way) -> int:
    kinds = DATA_KINDS | REMOTE
    for literal in way:
        match literal:
            case Kinds():
                kinds &= literal.kinds
            case Not(Kinds() as condition) if condition.cube == EVERYTHING:
                kinds &= ~condition.kinds
            case ByteIn() | Length():
                kinds &= DATA_KINDS
    return kinds


def _kinds_of(cube: Cube) -> int:
    value, mask = cube
    kinds = DATA_KINDS | REMOTE
    if mask & RTR_FLAG:
        kinds = REMOTE if value & RTR_FLAG else DATA_KINDS
    return kinds & ~XL if value & EFF_FLAG else kinds


def _conflict_of_data(way: Way) -> str | None:
    kinds = _kinds_left(way)
    allowed, lengths = _bytes_left(way, only_data=not kinds & REMOTE)
    for place, values in sorted(allowed.items()):
        if not values:
            return f"no value of byte {place} is left"
    if not lengths:
        return "a frame has one length"
    if kinds & REMOTE:
        return None
    if not any(
        kind & kinds and lengths.start <= most and lengths[-1] >= least
        for kind, (least, most) in _LENGTHS.items()
    ):
        return "a frame of classical CAN has 0 to 8 bytes, of CAN FD 0 to 64, of CAN XL 1 to 2048"
    left = set(lengths)
    for literal in way:
        if isinstance(literal, Not) and isinstance(literal.condition, Length):
            left -= set(range(literal.condition.minimum, literal.condition.maximum + 1))
    return None if left else "a frame has one length"


def _bytes_left(way: Way, *, only_data: bool) -> tuple[dict[int, int], range]:
    """Give the values left for each byte that there has to be, and the lengths left."""
    minimum, maximum = 0, MOST_BYTES
    allowed: dict[int, int] = {}
    denied: list[ByteIn] = []
    for literal in way:
        match literal:
            case ByteIn():
                allowed[literal.place] = allowed.get(literal.place, EVERY_BYTE) & literal.allowed
                minimum = max(minimum, literal.place + 1)
            case Length():
                minimum = max(minimum, literal.minimum)
                maximum = min(maximum, literal.maximum)
            case Not(ByteIn() as condition) if only_data:  # a remote frame has no byte anyway
                denied.append(condition)
    for condition in denied:
        if condition.place in allowed:
            allowed[condition.place] &= ~condition.allowed
        elif condition.allowed == EVERY_BYTE:  # there is no such byte
            maximum = min(maximum, condition.place)
    return allowed, range(minimum, maximum + 1)
