"""What an interface asks of sockets."""

from __future__ import annotations

from typing import Protocol

from anycan.network.core.receivers import Receiver


class Taker(Receiver, Protocol):
    """Who takes frames."""

    def deliver(
        self, payload: bytes, kind: int, word: int, ifindex: int, sender: object, now_ns: int
    ) -> None:
        """Take a frame that passed the filters.

        Args:
            payload: Its bytes.
            kind: What :func:`~anycan.network.core.payload.kind_of` says of them.
            word: Their first word.
            ifindex: The interface.
            sender: The socket that sent it; None: it came from the bus.
            now_ns: The time.
        """
        ...


class Sender(Protocol):
    """Who sends frames."""

    @property
    def failed(self) -> bool:
        """Whether an error waits, which the next call tells."""
        ...

    def released(self, size: int) -> None:
        """Take note that the device has let go of a frame of that many bytes which it held."""
        ...


class Bound(Protocol):
    """Who is told what happens to an interface."""

    def link_down(self) -> None:
        """Take note that the interface went down."""
        ...

    def interface_removed(self) -> None:
        """Take note that the interface is gone."""
        ...
