"""What two networks made of the same program, side by side, for a person to read."""

from __future__ import annotations

from itertools import groupby, zip_longest
from operator import eq
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import attrs

from anycan.wire import constants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_WIDTH: Final = 54
_FLAGS: Final = {
    constants.MSG_DONTROUTE: "DONTROUTE",
    constants.MSG_CONFIRM: "CONFIRM",
    constants.MSG_TRUNC: "TRUNC",
}
_LEVELS: Final = {constants.SOL_CAN_RAW: "CAN_RAW_", constants.SOL_SOCKET: "SO_"}


def columns(
    names: tuple[str, str],
    steps: Sequence[object],
    left: Sequence[object],
    right: Sequence[object],
    *,
    alike: Callable[[Any, Any], bool] = eq,
) -> str:
    """Give a text: every step, what each of two networks made of it, and a mark where they differ.

    Args:
        names: Of the networks.
        steps: What was done.
        left: What came of each step on the one.
        right: What came of it on the other.
        alike: Tells whether that is the same.
    """
    lines = [_row(" ", *names), _row(" ", "-" * _WIDTH, "-" * _WIDTH)]
    for step, here, there in zip(steps, left, right, strict=True):
        mark = " " if alike(here, there) else "!"
        lines.append(f"{mark} {show_step(step)}")
        cells = zip_longest(_cell(here), _cell(there), fillvalue="")
        lines += (_row(mark, *cell) for cell in cells)
    return "\n".join(lines)


def _row(mark: str, left: str, right: str) -> str:
    return f"{mark}     {left:{_WIDTH}} | {right}".rstrip()


def _cell(outcome: object) -> Iterator[str]:
    """Give the lines of an outcome: of a list one for each thing in it, or more."""
    if not isinstance(outcome, list):
        outcome = [outcome]
    for one in outcome or ["nothing"]:
        yield from wrap(show(one), _WIDTH, subsequent_indent="  ") or [""]


def show(what: object) -> str:
    """Write a value: bytes as hexadecimal digits, a message as what is in it."""
    match what:
        case None:
            return "done"
        case bytes():
            return _digits(what)
        case (bytes(payload), int(flags), role, *more):
            names = [name for bit, name in _FLAGS.items() if flags & bit]
            if rest := flags & ~sum(_FLAGS):
                names.append(hex(rest))
            return " ".join(map(str, [show(payload), *names, "on", role, *more]))
        case list() | tuple():
            return ", ".join(map(show, what))
        case _:
            return str(what)


def _digits(data: bytes) -> str:
    """Write bytes as hexadecimal digits, and many that are the same as one and their number."""
    words = [""]
    for byte, alike in groupby(data):
        count = len(list(alike))
        if count < 4:
            words[-1] += f"{byte:02x}" * count
        else:
            words += [f"{byte:02x}*{count}", ""]
    return " ".join(filter(None, words)) or "empty"


def show_step(step: Any) -> str:
    """Write a step, with the names of options, and without what it has by default."""
    if not attrs.has(type(step)):
        return show(step)
    shown = []
    for field in attrs.fields(type(step)):
        value = getattr(step, field.name)
        if field.name == "option" and hasattr(step, "level"):
            shown.append(_option(step.level, value))
        elif field.default is attrs.NOTHING and field.name != "level":
            shown.append(show_step(value))
        elif value != field.default and field.name != "level":
            shown.append(f"{field.name}={show_step(value)}")
    return f"{type(step).__name__}({', '.join(shown)})"


def _option(level: int, option: int) -> str:
    prefix = _LEVELS.get(level, "")
    for name, number in vars(constants).items():
        if prefix and name.startswith(prefix) and number == option:
            return name
    return f"{prefix or f'level {level} '}{option}"
