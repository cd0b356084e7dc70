"""Conditions joined by and, or and not, in negation normal form.

Negation stands at conditions only; an *and* holds no *and*, an *or* no *or*, and nothing twice.
Every *and* of nothing is true, every *or* of nothing false.

What is true of every data and remote frame beside something that asks nothing of error frames is
the same as without it, and is left out (of an *or*; of an *and* what is always false likewise).
With conditions of error frames it is not: these count where they stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from anycan.filter._conditions import (
    ByteIn,
    Kinds,
    Length,
    OfErrors,
    ReceivedFrom,
    Where,
    Words,
)
from anycan.filter._cubes import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

AnyCondition = Words | Kinds | ByteIn | Length | ReceivedFrom | Where | OfErrors


@attrs.frozen
class Not:
    """A condition does not hold."""

    condition: AnyCondition


class Parts:
    """Several expressions, in the order in which they were written; equal in any order."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: dict[Expression, None]) -> None:
        self.parts: Final = parts  # never changed: a dict joins without hashing its keys again
        self._hash: Final = hash((type(self), frozenset(parts)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts) and type(self) is type(other) and self.parts == other.parts

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Parts], tuple[dict[Expression, None]]]:
        return type(self), (self.parts,)


class All(Parts):
    """All of them hold."""

    __slots__ = ()


class Either(Parts):
    """One of them holds."""

    __slots__ = ()


Literal = Words | Kinds | ByteIn | Length | ReceivedFrom | Where | OfErrors | Not
Expression = Literal | All | Either

EVERY: Final = All({})
NOTHING: Final = Either({})

_Joined = TypeVar("_Joined", All, Either)


def _join(kind: type[_Joined], overriding: Expression, parts: tuple[Expression, ...]) -> Expression:
    found: dict[Expression, None] = {}
    for part in parts:
        if isinstance(part, kind):
            found.update(part.parts)
        else:
            found[part] = None
    if overriding in found:
        found = {part: None for part in found if part == overriding or asks_of_errors(part)}
    if len(found) == 1:
        return next(iter(found))
    return kind(found)


def both(*parts: Expression) -> Expression:
    """Join by *and*."""
    return _join(All, NOTHING, parts)


def either(*parts: Expression) -> Expression:
    """Join by *or*."""
    return _join(Either, EVERY, parts)


def negate(expression: Expression) -> Expression:
    """Give the opposite, with the negation at conditions."""
    match expression:
        case Not():
            return expression.condition
        case All():
            return either(*map(negate, expression.parts))
        case Either():
            return both(*map(negate, expression.parts))
        case _:
            return Not(expression)


def literals(expression: Expression) -> Iterator[Literal]:
    """Give the conditions and negated conditions in it."""
    if isinstance(expression, All | Either):
        for part in expression.parts:
            yield from literals(part)
    else:
        yield expression


def condition_of(literal: Literal) -> AnyCondition:
    """Give a condition without its negation."""
    return literal.condition if isinstance(literal, Not) else literal


def asks_of_errors(expression: Expression) -> bool:
    """Tell whether it has a condition of error frames' classes, negated or not."""
    return any(isinstance(condition_of(one), OfErrors) for one in literals(expression))


def replace(expression: Expression, change: Callable[[Literal], Expression]) -> Expression:
    """Put something else in the place of each condition and negated condition."""
    match expression:
        case All():
            return both(*(replace(part, change) for part in expression.parts))
        case Either():
            return either(*(replace(part, change) for part in expression.parts))
        case _:
            return change(expression)


def key_of(expression: Expression) -> Hashable:
    """Give what two equal expressions have in common.

    The identifiers of one *or* count together, as merged cubes, however they were written; those
    that are negated in one *and* likewise.
    """
    parts: tuple[Expression, ...] | dict[Expression, None] = (expression,)
    if isinstance(expression, All | Either):
        parts = expression.parts
    words: dict[Expression, Words]
    if isinstance(expression, Words | Either):
        words = {part: part for part in parts if isinstance(part, Words)}
    elif isinstance(expression, All) or (
        isinstance(expression, Not) and isinstance(expression.condition, Words)
    ):
        words = {
            part: part.condition
            for part in parts
            if isinstance(part, Not) and isinstance(part.condition, Words)
        }
    else:
        return expression
    return (
        isinstance(expression, Words | Either),
        frozenset(merge(cube for one in words.values() for cube in one.cubes)),
        frozenset(key_of(part) for part in parts if part not in words),
    )
