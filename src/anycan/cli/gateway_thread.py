"""A thread that nobody has to wait for: not whoever started it, nor the end of the process."""

from __future__ import annotations

import socket
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


async def run_in_daemon(function: Callable[[], _Result]) -> _Result:
    """Call a function in a thread of its own.

    The interpreter waits at its end for the threads of ``anyio.to_thread``, also for those that
    were abandoned; for this one it does not. When this is cancelled, the function goes on, and what
    becomes of it is lost.

    Args:
        function: What is called.

    Raises:
        BaseException: What it raises.
    """
    outcome: Future[_Result] = Future()
    here, there = socket.socketpair()

    def call() -> None:
        with there:  # closing it wakes whoever waits
            try:
                outcome.set_result(function())
            except BaseException as error:  # noqa: BLE001 - the waiter's
                outcome.set_exception(error)

    with here:
        here.setblocking(False)
        Thread(target=call, name="anycan loading", daemon=True).start()
        await anyio.wait_readable(here)
    return outcome.result()
