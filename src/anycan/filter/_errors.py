"""What error frames a filter may take, as the kernel is asked for them: a mask of classes.

A part of a filter is true of some error frames, and takes (names) some of them. Both are known
between two bounds, each a mask of classes: frames with a class of the wider one may be among them,
frames with a class of the narrower one surely are. What does not depend on classes alone is true
of none surely and of any possibly.
"""

from __future__ import annotations

from typing import Final

import attrs

from anycan.filter._conditions import OfErrors
from anycan.filter._expression import All, Either, Expression, Not

_ANY: Final = None  # every error frame, even one without a class


@attrs.frozen
class Errors:
    """The bounds.

    Attributes:
        true: Frames of which it may be true.
        surely_true: Frames of which it is.
        named: Frames that it may take.
        surely_named: Frames that it takes.
    """

    true: int | None
    surely_true: int | None
    named: int
    surely_named: int


_FALSE: Final = Errors(0, 0, 0, 0)
_TRUE: Final = Errors(_ANY, _ANY, 0, 0)
_PERHAPS: Final = Errors(_ANY, 0, 0, 0)


def errors_of(expression: Expression) -> Errors:
    """Tell what error frames an expression may take, and surely takes."""
    match expression:
        case All():
            return _errors_of_all([*expression.parts])
        case Either():
            return _errors_of_either([errors_of(part) for part in expression.parts])
        case OfErrors():
            return Errors(*(expression.classes,) * 4)
        case Not():
            return _PERHAPS if expression.condition.on_errors else _TRUE
        case _:
            return _PERHAPS if expression.on_errors else _FALSE


def _errors_of_all(parts: list[Expression]) -> Errors:
    denied = 0
    for part in parts:
        if isinstance(part, Not) and isinstance(part.condition, OfErrors):
            denied |= part.condition.classes
    found = [errors_of(part) for part in parts]
    # A frame of which all are true has a class of each mask, and none of those denied.
    masks = [one.true & ~denied for one in found if one.true is not None]
    true = min(masks, key=int.bit_count) if masks else _ANY
    named = 0
    for one in found:
        named |= one.named & ~denied
    if true is not None and true.bit_count() < named.bit_count():
        named = true
    # A class of all narrow masks at once makes all of them true.
    surely_true = _ANY
    surely_named = 0
    for one in found:
        surely_named |= one.surely_named
        if one.surely_true is not None:
            surely_true = one.surely_true if surely_true is None else surely_true & one.surely_true
    if surely_true is not None:
        surely_named &= surely_true
    return Errors(true, surely_true, named, surely_named)


def _errors_of_either(found: list[Errors]) -> Errors:
    true: int | None = 0
    surely_true: int | None = 0
    named = surely_named = 0
    for one in found:
        true = None if true is None or one.true is None else true | one.true
        surely_true = (
            None
            if surely_true is None or one.surely_true is None
            else surely_true | one.surely_true
        )
        named |= one.named
        surely_named |= one.surely_named
    return Errors(true, surely_true, named, surely_named)
