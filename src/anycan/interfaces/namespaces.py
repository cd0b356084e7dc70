"""Other network namespaces of the kernel: to find them, and to speak to rtnetlink in one."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, CanPermissionError
from anycan.sockets.netlink import NetlinkSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_NAMESPACES: Final = Path("/run/netns")  # where iproute2 keeps them
_OWN: Final = "/proc/thread-self/ns/net"


@contextmanager
def opened_namespace(namespace: str | int) -> Iterator[int]:
    """Open a network namespace.

    Args:
        namespace: Its name (``ip netns``), its path, or the number of a process in it.

    Yields:
        Its descriptor.

    Raises:
        CanOSError: There is none, or it cannot be opened.
    """
    if isinstance(namespace, int):
        path = Path(f"/proc/{namespace}/ns/net")
        called = f"of process {namespace}"
        remedy = "is it running, and yours?"
    else:
        path = Path(namespace) if "/" in namespace else _NAMESPACES / namespace
        called = namespace
        remedy = "'ip netns list' shows those there are"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        number = error.errno or 0
        raise CanOSError(
            number,
            f"the network namespace {called} cannot be opened ({path}): {os.strerror(number)};"
            f" {remedy}",
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def netlink_in(namespace: int) -> NetlinkSocket:
    """Open a socket to rtnetlink in another namespace, which it stays in.

    This thread is in that namespace for a moment, and no other thread is.

    Args:
        namespace: The namespace's descriptor.

    Raises:
        CanPermissionError: It needs ``CAP_SYS_ADMIN``.
        CanOSError: It cannot be entered for another reason.

    Source: setns(2).
    """
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(namespace)
        try:
            return NetlinkSocket()
        finally:
            _enter(own)
    finally:
        os.close(own)


def _enter(namespace: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        kind = (
            CanPermissionError if isinstance(OSError(number, ""), PermissionError) else CanOSError
        )
        raise kind(
            number,
            "bringing up the end in another network namespace needs the capability CAP_SYS_ADMIN:"
            " run this as root, or leave it down (up=False) and bring it up from in there"
            f" ({os.strerror(number)})",
        )
