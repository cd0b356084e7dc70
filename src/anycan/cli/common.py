"""What the commands share: options, the way to say something, and the summary after Ctrl-C."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter, validators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POSITIVE = validators.Number(gt=0)
NOT_NEGATIVE = validators.Number(gte=0)

NetworkOption = Annotated[
    str | None,
    Parameter(
        name="--network",
        help="Where the interfaces are: *kernel*, *user:NAME* or *unix:PATH*."
        " Default: what the variable ANYCAN_NETWORK says, else the kernel.",
    ),
]


def say(text: str) -> None:
    """Write a line to standard error, marked as this program's."""
    print(f"anycan: {text}", file=sys.stderr, flush=True)  # noqa: T201 - standard error is where a command speaks


def emit(text: str) -> None:
    """Write to standard output, so that whoever reads a pipe sees it at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def counted(number: int, noun: str) -> str:
    """Give a number and its noun: ``1 frame``, ``6,158 frames``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def summary_if_interrupted(summary: Callable[[], str]) -> Iterator[None]:
    """Say a summary when Ctrl-C ends what is inside."""
    try:
        yield
    except anyio.get_cancelled_exc_class():
        say(summary())
        raise
