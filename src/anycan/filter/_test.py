"""Filters as functions: what matching costs, frame by frame.

For data and remote frames an expression is plain logic. An error frame has to be named: there each
part is false, true (1), or true with a condition in it that names error frames (2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.filter._conditions import OfErrors, Words
from anycan.filter._expression import (
    EVERY,
    NOTHING,
    All,
    AnyCondition,
    Either,
    Expression,
    Literal,
    Not,
    condition_of,
    literals,
    replace,
)
from anycan.filter._kinds import ERROR
from anycan.filter._ranges import test_of_cubes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.filter._conditions import Test
    from anycan.frame import AnyFrame

    # Of an error frame: false, true, or true and named.
    Naming = Callable[[int, int, bytes, str | None, AnyFrame | None], int]


def compile_test(expression: Expression) -> Test:
    """Make the function that tells of any frame whether it is taken."""
    shortened = _shortened(expression)
    plain = _plain(shortened)
    if any(isinstance(one, OfErrors) for one in literals(expression)):
        return _with_errors(plain, _naming(expression))
    return plain if _is_self_sufficient(shortened) else _without_errors(plain)


def _without_errors(plain: Test) -> Test:
    def test(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> bool:
        return kind != ERROR and plain(kind, word, data, interface, frame)

    return test


def _with_errors(plain: Test, naming: Naming) -> Test:
    def test(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> bool:
        if kind == ERROR:
            return naming(kind, word, data, interface, frame) == 2
        return plain(kind, word, data, interface, frame)

    return test


# Data and remote frames.


def _shortened(expression: Expression) -> Expression:
    """Leave out what asks of error frames: it is decided for every data and remote frame."""

    def decide(literal: Literal) -> Expression:
        if not isinstance(condition_of(literal), OfErrors):
            return literal
        return EVERY if isinstance(literal, Not) else NOTHING

    return replace(expression, decide)


def _is_self_sufficient(expression: Expression) -> bool:
    match expression:
        case All():
            return any(map(_is_self_sufficient, expression.parts))
        case Either():
            return all(map(_is_self_sufficient, expression.parts))
        case Not():
            return False
        case _:
            return expression.self_sufficient


def _cost(expression: Expression) -> int:
    if isinstance(expression, All | Either):
        return max(map(_cost, expression.parts), default=0)
    return condition_of(expression).cost


def _split(parts: Iterable[Expression]) -> tuple[list[Words], list[Words], list[Expression]]:
    """Give the conditions of the word, the negated ones, and the rest by what they cost."""
    words: list[Words] = []
    denied: list[Words] = []
    rest: list[Expression] = []
    for part in parts:
        if isinstance(part, Words):
            words.append(part)
        elif isinstance(part, Not) and isinstance(part.condition, Words):
            denied.append(part.condition)
        else:
            rest.append(part)
    return words, denied, sorted(rest, key=_cost)


def _one_of(words: list[Words]) -> Test:
    return test_of_cubes(cube for one in words for cube in one.cubes)


def _plain(expression: Expression) -> Test:
    match expression:
        case All():
            words, denied, rest = _split(expression.parts)
            tests = [one.test() for one in words]
            if denied:
                tests.append(_opposite(_one_of(denied)))
            return _all_hold([*tests, *map(_plain, rest)])
        case Either():
            words, denied, rest = _split(expression.parts)
            tests = [_one_of(words)] if words else []
            tests += (_opposite(one.test()) for one in denied)
            return _one_holds([*tests, *map(_plain, rest)])
        case Not():
            return _opposite(expression.condition.test())
        case _:
            return expression.test()


def _opposite(plain: Test) -> Test:
    def test(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> bool:
        return not plain(kind, word, data, interface, frame)

    return test


def _all_hold(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests

        def test_both(
            kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
        ) -> bool:
            return first(kind, word, data, interface, frame) and second(
                kind, word, data, interface, frame
            )

        return test_both

    def test(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> bool:
        for one in tests:  # noqa: SIM110 - all() with a generator costs more
            if not one(kind, word, data, interface, frame):
                return False
        return True

    return test


def _one_holds(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]

    def test(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> bool:
        for one in tests:  # noqa: SIM110 - any() with a generator costs more
            if one(kind, word, data, interface, frame):
                return True
        return False

    return test


# Error frames.


def _naming(expression: Expression) -> Naming:
    match expression:
        case All():
            return _all_named([_naming(part) for part in sorted(expression.parts, key=_cost)])
        case Either():
            return _one_named([_naming(part) for part in sorted(expression.parts, key=_cost)])
        case Not():
            return _naming_of(expression.condition, negated=True)
        case _:
            return _naming_of(expression, negated=False)


def _naming_of(condition: AnyCondition, *, negated: bool) -> Naming:
    if not condition.on_errors:
        return _always(int(negated))
    test = condition.test()
    when_true = 0 if negated else 2 if isinstance(condition, OfErrors) else 1
    when_false = int(negated)

    def naming(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> int:
        return when_true if test(kind, word, data, interface, frame) else when_false

    return naming


def _always(result: int) -> Naming:
    def naming(
        _kind: int, _word: int, _data: bytes, _interface: str | None, _frame: AnyFrame | None
    ) -> int:
        return result

    return naming


def _all_named(parts: list[Naming]) -> Naming:
    """Join by *and*: false when one part is, else named when one part is."""

    def naming(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> int:
        found = 1
        for part in parts:
            result = part(kind, word, data, interface, frame)
            if not result:
                return 0
            found |= result
        return 1 if found == 1 else 2

    return naming


def _one_named(parts: list[Naming]) -> Naming:
    """Join by *or*: what the part does that says most."""

    def naming(
        kind: int, word: int, data: bytes, interface: str | None, frame: AnyFrame | None
    ) -> int:
        found = 0
        for part in parts:
            result = part(kind, word, data, interface, frame)
            if result == 2:
                return 2
            found |= result
        return found

    return naming
