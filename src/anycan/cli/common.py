"""What the commands share: options, the way to say something, and the summary after Ctrl-C."""

from __future__ import annotations

import errno
import math
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import anyio
from cyclopts import Parameter, validators

from anycan import (
    FilterError,
    FrameError,
    InterfaceDownError,
    NetworkUnavailableError,
    OperationError,
    ParseError,
    ProtocolUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from anycan import RawEndpoint


def _check_finite(_type: object, value: float | None) -> None:
    """Refuse *inf* and *nan*, which float() reads and no clock understands."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("Must be a finite number.")


POSITIVE: Final = (_check_finite, validators.Number(gt=0))
NOT_NEGATIVE: Final = (_check_finite, validators.Number(gte=0))
# What the broadcast manager can count: from a microsecond to 400 days.
BROADCAST_INTERVAL: Final = (_check_finite, validators.Number(gte=1e-6, lte=400 * 86_400))
COUNT: Final = validators.Number(gt=0, lte=sys.maxsize)  # what can be counted to
_MOST_CHARACTERS: Final = 400
_NOT_IN_PROCESS: Final = "no user-space network"  # how resolving user:NAME fails
_NO_SUCH_SOCKETS: Final = frozenset(
    {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}
)
BUFFER_SIZE: Final = validators.Number(gt=0, lte=2**31 - 1)  # a C int, to the kernel

NetworkOption = Annotated[
    str | None,
    Parameter(
        name="--network",
        help="Where the interfaces are: *kernel*, or *unix:PATH* for a network that another process"
        " serves; without it, what ANYCAN_NETWORK names, else *kernel*.",
    ),
]


class UsageError(Exception):
    """The command line asks for what cannot be."""


@contextmanager
def reading_arguments() -> Iterator[None]:
    """Make of an argument that is no frame, filter, operation or number a wrong command line."""
    try:
        yield
    except (FilterError, FrameError, OperationError, ParseError) as error:
        raise UsageError(str(error)) from None


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


def shortened(text: str) -> str:
    """Cut what quotes a line of any length to what a terminal has room for."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


@contextmanager
def summary_if_interrupted(summary: Callable[[], str]) -> Iterator[None]:
    """Say a summary when Ctrl-C ends what is inside."""
    try:
        yield
    except anyio.get_cancelled_exc_class():
        say(summary())
        raise


async def tell_when_down(link: RawEndpoint, text: str | None = None) -> NoReturn:
    """Say each time that an interface goes down, for those that the system does not tell.

    Args:
        link: An endpoint that receives no frames.
        text: What to say; None: what the error says.

    Raises:
        InterfaceRemovedError: The interface is gone.
    """
    while True:
        try:
            await link.receive()
        except InterfaceDownError as error:
            say(text or f"{error.strerror}")


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """Give the exceptions of groups, in groups as well; or the one that there is."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of(inner)
    else:
        yield error


def error_text(error: BaseException) -> str:
    """Put an error into a line for whoever runs a command."""
    # What these say themselves is of use in a program, and not in a shell.
    if isinstance(error, ProtocolUnavailableError):
        if error.errno not in _NO_SUCH_SOCKETS:
            return f"{error.strerror}; 'anycan doctor' tells what this machine has"
        return (
            "this system has no such CAN sockets (PF_CAN with can-raw and can-bcm): on Linux, load"
            " them with 'sudo modprobe -a can-raw can-bcm can-isotp'; 'anycan doctor' tells what is"
            " missing; 'anycan network serve' serves a user-space network, which does without them"
        )
    if isinstance(error, NetworkUnavailableError) and f"{error}".startswith(_NOT_IN_PROCESS):
        return (
            "a command has no user-space network of its own: name kernel, or unix:PATH for one that"
            " 'anycan network serve' serves"
        )
    if isinstance(error, OSError) and error.strerror:
        name = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return f"{name}{error.strerror}"
    return shortened(str(error))
