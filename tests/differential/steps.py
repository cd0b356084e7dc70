"""Steps that programs of several protocols have."""

from __future__ import annotations

import attrs


@attrs.frozen
class Traffic:
    """Another socket sends a frame."""

    payload: bytes
    interface: str


@attrs.frozen
class Wait:
    """Let time pass, this many milliseconds at least."""

    milliseconds: int


@attrs.frozen
class Receive:
    """Receive all that waits for a socket; None: all frames that were on the interfaces."""

    who: int | None


@attrs.frozen
class Link:
    """Bring a link up or take it down."""

    interface: str
    up: bool


@attrs.frozen
class Replace:
    """Remove an interface, and add another one of its name."""

    interface: str


@attrs.frozen
class Room:
    """Set the size of a socket's receive buffer, and ask what it holds."""

    who: int
    size: int
