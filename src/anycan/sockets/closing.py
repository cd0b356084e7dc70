"""Doing in a thread what is left of closing a socket, where that may wait."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def finish_in_background(rest: Callable[[], object] | None) -> None:
    """Do what is left to be done, for whoever cannot wait.

    Args:
        rest: What closing a socket gave; None: nothing is left.
    """
    if rest is not None:
        # No daemon: a program that ends waits for it, a second at the most.
        Thread(target=rest, name="anycan closing a socket").start()
