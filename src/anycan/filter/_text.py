"""Filters as text: Python that makes them, and candump's notation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from anycan.exceptions import FilterError, ParseError
from anycan.filter._conditions import ByteIn, OfErrors, Words
from anycan.filter._cover import cover_of, kernel_plan
from anycan.filter._cubes import cut
from anycan.filter._expression import (
    NOTHING,
    All,
    Either,
    Expression,
    Not,
    both,
    condition_of,
    either,
    literals,
)
from anycan.filter._kernel import FILTER_LIMIT, CanFilter
from anycan.frame import EFF_MASK, ERR_FLAG

if TYPE_CHECKING:
    from collections.abc import Iterator

_ERRORS: Final = re.compile(r"#([0-9A-Fa-f]{1,8})")
NOTHING_TEXT: Final = "000~000"


def code_of(expression: Expression, *, alone: bool = True) -> str:
    """Give the Python that makes an expression.

    Args:
        expression: The expression.
        alone: It stands by itself, so that no parentheses are needed.
    """
    match expression:
        case Either():
            return _joined_code(expression, " | ", alone=alone) or "Filter.none()"
        case All():
            return _joined_code(expression, " & ", alone=alone) or "~Filter.none()"
        case Not():
            return f"~{code_of(expression.condition, alone=False)}"
        case ByteIn():
            return expression.text if alone or expression.masked else f"({expression.text})"
        case _:
            return expression.text


def _joined_code(expression: All | Either, sign: str, *, alone: bool) -> str:
    parts = [*expression.parts]
    text = sign.join(_codes(parts) if sign == " & " else (code_of(p, alone=False) for p in parts))
    return text if alone or not parts else f"({text})"


def _codes(parts: list[Expression]) -> Iterator[str]:
    """Give the code of each part of an *and*; bytes that follow one another as data."""
    run: list[ByteIn] = []
    for part in [*parts, None]:
        if isinstance(part, ByteIn) and part.masked is not None:
            if run and run[-1].place + 1 != part.place:
                yield from _run_code(run)
                run = []
            run.append(part)
            continue
        yield from _run_code(run)
        run = []
        if part is not None:
            yield code_of(part, alone=False)


def _run_code(run: list[ByteIn]) -> Iterator[str]:
    pairs = [one.masked for one in run if one.masked is not None]
    if pairs:
        yield data_code(
            bytes(value for value, _ in pairs), bytes(mask for _, mask in pairs), run[0].place
        )


def data_code(value: bytes, mask: bytes, offset: int) -> str:
    """Give the Python that makes a condition of data."""
    masked = "" if mask == b"\xff" * len(mask) else f', bytes.fromhex("{mask.hex()}")'
    place = f", offset={offset}" if offset else ""
    return f'Filter.data(bytes.fromhex("{value.hex()}"){masked}{place})'


# candump's notation.


def expression_of(one: CanFilter) -> Expression:
    """Give what a kernel filter asks."""
    if one.mask & ERR_FLAG:
        classes = one.mask & EFF_MASK
        return OfErrors(classes, errors_code(classes)) if classes else NOTHING
    if not one.mask:
        return NOTHING if one.inverted else Words(((0, 0),), "Filter.all()")
    straight = CanFilter(one.id, one.mask)
    words = Words((cut((one.id, one.mask)),), f'Filter.parse("{straight}")')
    return Not(words) if one.inverted else words


def errors_code(classes: int) -> str:
    """Give the Python that makes a condition of error classes."""
    return "Filter.errors()" if classes == EFF_MASK else f"Filter.errors(0x{classes:X})"


def parse(text: str) -> Expression:
    """Read candump's notation.

    Raises:
        ParseError: A part of it is no filter.
    """
    words: list[Expression] = []
    errors = 0
    is_joined = False
    parts = text.split(",")
    for part in parts:
        if part in {"j", "J"}:
            is_joined = True
        elif part.startswith("#"):
            match = _ERRORS.fullmatch(part)
            if match is None:
                raise ParseError(
                    f"not an error mask: {part!r}; write #<mask> in hex, such as #FFFFFFFF", text
                )
            errors |= int(match[1], 16) & EFF_MASK
        else:
            words.append(expression_of(CanFilter.parse(part)))
    if not words and is_joined:
        raise ParseError(f"j joins filters, and there is none in {text!r}", text)
    wanted = both(*words) if is_joined else either(*words)
    return either(wanted, OfErrors(errors, errors_code(errors))) if errors else wanted


def candump_of(expression: Expression) -> str:
    """Write candump's notation.

    Raises:
        FilterError: It cannot say that.
    """
    filters, is_exact = kernel_plan(expression, FILTER_LIMIT)
    cover = cover_of(expression)
    if not is_exact or not cover.errors_exact:
        raise FilterError(_unsaid(expression))
    denied = _denied(expression)
    parts = [*denied, "j"] if denied else [str(one) for one in filters] or [NOTHING_TEXT]
    if cover.errors:
        parts.append(f"#{cover.errors:08X}")
    return ",".join(parts)


def _denied(expression: Expression) -> list[str]:
    """Give the inverted filters of an *and* of nothing else, which candump joins."""
    if not isinstance(expression, All):
        return []
    texts: list[str] = []
    for part in expression.parts:
        match part:
            case Not(Words(((value, mask),))) if mask:
                texts.append(str(CanFilter(value, mask, inverted=True)))
            case _:
                return []
    return texts if len(texts) > 1 else []


def _unsaid(expression: Expression) -> str:
    for literal in literals(expression):
        condition = condition_of(literal)
        if not isinstance(condition, Words | OfErrors):
            return (
                f"candump's notation cannot say {condition.text}: it knows identifiers and error"
                " classes"
            )
    if not cover_of(expression).errors_exact:
        return f"candump's notation cannot say {code_of(expression)} of error frames"
    return (
        f"candump's notation cannot say {code_of(expression)} with the {FILTER_LIMIT} filters"
        " that a socket takes"
    )
