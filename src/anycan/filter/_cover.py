"""What of a filter a kernel can be asked for: the words and error classes that it may take."""

from __future__ import annotations

import attrs

from anycan.filter._conditions import Words
from anycan.filter._cubes import (
    EVERYTHING,
    MOST,
    Cube,
    are_covered,
    cut,
    kernel_form,
    meet_within,
    merge,
    subtract,
)
from anycan.filter._errors import errors_of
from anycan.filter._expression import All, Either, Expression, Not, either
from anycan.filter._kernel import CanFilter
from anycan.filter._widen import check_limit, widen


@attrs.frozen
class Cover:
    """The words and error classes that a filter may take, and whether it takes all of them.

    Attributes:
        cubes: ``(value, mask)`` over the 32-bit word ``can_id`` (29-bit flag, remote flag and 29
            bits of identifier), the value within the mask. A data or remote frame that the filter
            takes has ``word & mask == value`` for one of them. Empty: it takes none.
        exact: Every data or remote frame with such a word is taken.
        errors: Classes of error frames: one that the filter takes has one of them. 0: it takes
            none.
        errors_exact: Every error frame with one of them is taken.
    """

    cubes: tuple[Cube, ...]
    exact: bool
    errors: int
    errors_exact: bool


def cover_of(expression: Expression) -> Cover:
    """Tell what an expression may take."""
    possible, sure = _words(expression)
    cubes = merge(possible)
    errors = errors_of(expression)
    return Cover(
        tuple(cubes),
        sure is possible or are_covered(cubes, sure) or _is_nothing(subtract(cubes, sure)),
        errors.named,
        not errors.named & ~errors.surely_named,
    )


def _is_nothing(cubes: list[Cube] | None) -> bool:
    return cubes is not None and not cubes


# Each of these gives the words that an expression may take, and those that it takes whatever else
# the frame is. The two are one list where the word alone decides.


def _words(expression: Expression) -> tuple[list[Cube], list[Cube]]:
    match expression:
        case All():
            return _words_of_all([*expression.parts])
        case Either():
            return _words_of_either([_words(part) for part in expression.parts])
        case Not():
            possible, sure = expression.condition.words()
            negated = _without([EVERYTHING], possible)
            if negated is None:
                return [EVERYTHING], []
            if sure is possible:
                return negated, negated
            others = _without([EVERYTHING], sure)
            return [EVERYTHING] if others is None else others, negated
        case _:
            return expression.words()


def _words_of_either(
    found: list[tuple[list[Cube], list[Cube]]],
) -> tuple[list[Cube], list[Cube]]:
    possible = [cube for one, _ in found for cube in one]
    if all(sure is one for one, sure in found):
        return possible, possible
    return possible, [cube for _, sure in found for cube in sure]


def _words_of_all(parts: list[Expression]) -> tuple[list[Cube], list[Cube]]:
    found: list[tuple[list[Cube], list[Cube]]] = []
    denied: list[Cube] = []
    for part in parts:
        if isinstance(part, Not) and isinstance(part.condition, Words):
            denied += part.condition.cubes  # taken away at the end, all at once
        else:
            found.append(_words(part))
    possible, is_whole = _met([one for one, _ in found])
    if denied:
        rest = _without(possible, denied)
        if rest is None:
            is_whole = False
        else:
            possible = rest
    if all(sure is one for one, sure in found):
        return possible, possible if is_whole else []
    sure, is_whole = _met([one for _, one in found])
    if denied and is_whole:
        rest = _without(sure, denied)
        return possible, [] if rest is None else rest
    return possible, sure if is_whole else []


def _met(found: list[list[Cube]]) -> tuple[list[Cube], bool]:
    """Give the words that are in all of the lists; False: in some of them, it got too much."""
    common = [EVERYTHING]
    is_whole = True
    for cubes in sorted(found, key=len):
        met = meet_within(common, cubes, max(MOST, len(common), len(cubes)))
        if met is None:
            is_whole = False
        else:
            common = met
    return common, is_whole


def _without(cubes: list[Cube], denied: list[Cube]) -> list[Cube] | None:
    return subtract(cubes, merge(denied), max(MOST, len(cubes)))


# The kernel's filters.


def kernel_plan(expression: Expression, limit: int) -> tuple[tuple[CanFilter, ...], bool]:
    """Give at most so many kernel filters that take what an expression takes of words.

    Returns:
        The filters, and whether they take nothing else.
    """
    check_limit(limit)
    inverted, rest = _inverted(expression)
    if inverted:
        cover = cover_of(rest)
        if len(inverted) + bool(cover.cubes) <= limit:
            filters, exact = _filters_of(cover, limit - len(inverted))
            turned = [CanFilter(value, mask, inverted=True) for value, mask in inverted]
            return (*filters, *turned), exact
    return _filters_of(cover_of(expression), limit)


def _filters_of(cover: Cover, limit: int) -> tuple[tuple[CanFilter, ...], bool]:
    if not cover.cubes:
        return (), cover.exact
    filters, is_exact = kernel_form(cover.cubes)
    cubes = merge((one.id, one.mask) for one in filters)
    if len(cubes) > limit:
        cubes = widen(cubes, limit)
        is_exact = False
    return tuple(CanFilter(*cut(cube)) for cube in cubes), is_exact and cover.exact


def _inverted(expression: Expression) -> tuple[list[Cube], Expression]:
    """Part the cubes that an inverted kernel filter can deny, each alone, from the rest."""
    parts = [*expression.parts] if isinstance(expression, Either) else [expression]
    denied = {part: _denied_cube(part) for part in parts}
    cubes = sorted({cube for cube in denied.values() if cube is not None})
    return cubes, either(*(part for part in parts if denied[part] is None))


def _denied_cube(expression: Expression) -> Cube | None:
    cubes: list[Cube] = []
    for part in expression.parts if isinstance(expression, All) else (expression,):
        if not isinstance(part, Not) or not isinstance(part.condition, Words):
            return None
        cubes += part.condition.cubes
    merged = merge(cubes)
    return merged[0] if len(merged) == 1 and merged[0][1] else None
