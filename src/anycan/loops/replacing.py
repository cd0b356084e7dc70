"""Putting another file under a descriptor's number, while an event loop may poll that number.

epoll keeps what it polls by file and number, for as long as somebody has the file open, whoever it
is: the other end of a connection, or a forked process. Once another file has the number, nobody can
have the former one polled no more. So where a loop registers descriptors for long, as asyncio's do,
the number gets its new file when :class:`~anycan.loops.registration.Registration` has taken it out.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

_waiting: Final[dict[int, socket.socket | None]] = {}


def replace_file(fd: int, fresh: socket.socket | None) -> None:
    """Put another file under a number, as soon as no loop polls it.

    Args:
        fd: The number.
        fresh: The file, whose own number is closed; None: one that nothing ever comes to.
    """
    forget(fd)
    _waiting[fd] = fresh
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # trio asks anew for each wait; and where no loop runs, none polls
        settle(fd)


def settle(fd: int) -> bool:
    """Put the file under the number that waits for it; tell whether the number may be polled now.

    To be called while no loop polls it. It may not be polled where there is no descriptor for a
    file that nothing comes to.
    """
    if fd not in _waiting:
        return True
    fresh = _waiting[fd]
    try:
        fresh = fresh or socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except OSError:  # there are none left
        return False
    del _waiting[fd]
    with fresh:
        os.dup2(fresh.fileno(), fd, inheritable=False)
    return True


def waits(fd: int) -> bool:
    """Tell whether a file waits for the number."""
    return fd in _waiting


def forget(fd: int) -> None:
    """Put no file under the number: it is closed, or another file is to have it."""
    fresh = _waiting.pop(fd, None)
    if fresh is not None:
        fresh.close()
