"""The steps of a program of raw sockets: one call each, or a few that belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from anycan.wire.constants import AF_CAN, SO_ERROR, SO_MEMINFO, SOL_SOCKET
from anycan.wire.messages import SOCKADDR_CAN_SIZE

if TYPE_CHECKING:
    from steps import Link, Replace

SOCKETS: Final = 3


@attrs.frozen
class Address:
    """A ``struct sockaddr_can``.

    Attributes:
        interface: Whose index it has; None: 0. ``"nowhere"``: one that no interface has;
            ``"alien"``: one of an interface that is not for CAN.
        family: Its address family.
        size: How many bytes of it are given.
    """

    interface: str | None
    family: int = AF_CAN
    size: int = SOCKADDR_CAN_SIZE


@attrs.frozen
class Bind:
    """Bind a socket."""

    who: int
    address: Address


@attrs.frozen
class Connect:
    """Connect a socket."""

    who: int
    address: Address


@attrs.frozen
class Set:
    """Set an option from its bytes."""

    who: int
    level: int
    option: int
    value: bytes


@attrs.frozen
class Get:
    """Get an option's bytes."""

    who: int
    level: int
    option: int
    size: int


@attrs.frozen
class Send:
    """Send payloads by one call, to the bound interface or another."""

    who: int
    payloads: tuple[bytes, ...]
    address: Address | None = None


@attrs.frozen
class Flood:
    """Send a payload many times."""

    who: int
    payload: bytes
    count: int


@attrs.frozen
class Receive:
    """Receive what waits by one call.

    Attributes:
        limit: How many messages at most.
        room: How many bytes of each.
    """

    who: int
    limit: int = 4
    room: int = 2064


@attrs.frozen
class Drain:
    """Receive by one call after the other, until nothing waits."""

    who: int


@attrs.frozen
class Forward:
    """Receive by one socket, and send from the same memory by another.

    Attributes:
        size: How long the frames are; nothing is sent if one is of another length.
    """

    who: int
    other: int
    size: int


@attrs.frozen
class Poll:
    """Ask whether a socket is readable and writable."""

    who: int


@attrs.frozen
class Reopen:
    """Close a socket, and open another one in its place."""

    who: int


@attrs.frozen
class Lists:
    """Look at all receive lists."""


@attrs.frozen
class Remove:
    """Remove an interface."""

    interface: str


@attrs.frozen
class Add:
    """Add an interface that was removed."""

    interface: str


@attrs.frozen
class Mtu:
    """Change an interface's MTU."""

    interface: str
    mtu: int


Step: TypeAlias = (
    "Bind | Connect | Set | Get | Send | Flood | Receive | Drain | Forward | Poll | Reopen"
    " | Lists | Link | Replace | Remove | Add | Mtu"
)

LEFT_OVER: Final[tuple[Step, ...]] = (
    Lists(),
    *(Get(who, SOL_SOCKET, SO_MEMINFO, 36) for who in range(SOCKETS)),
    Get(0, SOL_SOCKET, SO_ERROR, 4),
    *(step for who in range(SOCKETS) for step in (Poll(who), Drain(who))),
)
"""What every program ends with."""
