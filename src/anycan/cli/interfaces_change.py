"""What the commands share that change interfaces: one after the other, and what each is then."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from anycan import CanError, get_interface
from anycan.cli.common import emit
from anycan.cli.interfaces_text import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from anycan import InterfaceError


async def change_each(names: Iterable[str], change: Callable[[str], Awaitable[object]]) -> None:
    """Change interfaces one after the other, also when one of them fails.

    Raises:
        ExceptionGroup: Some have failed.
    """
    errors = []
    for name in dict.fromkeys(names):
        try:
            await change(name)
        except CanError as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("interfaces that failed", errors)


async def explain_start(name: str, network: str | None, error: InterfaceError) -> None:
    """Say how to set a bit rate in a shell, if that is what an interface lacked to come up.

    Raises:
        CanError: It is.
    """
    if error.errno != errno.EINVAL:
        return
    interface = await get_interface(name, network=network)
    if interface.kind == "can" and interface.bit_timing is None:
        raise CanError(
            f"{name} has no bit rate yet, and does not come up: set the one of the bus, for"
            f" example 'anycan interfaces set {name} --bitrate 500k --up'"
        ) from None


async def tell(name: str, network: str | None) -> None:
    """Print in a line what an interface is now."""
    emit(f"{one_line(await get_interface(name, network=network))}\n")
