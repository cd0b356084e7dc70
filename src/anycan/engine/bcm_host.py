"""What the broadcast manager's operations ask of the socket that they belong to."""

from __future__ import annotations

from typing import Protocol


class BcmHost(Protocol):
    """A socket, as its operations see it."""

    def transmit(self, frame: bytes, interface: int) -> None:
        """Send a frame; that it is refused interests nobody."""
        ...

    def answer(self, frame: bytes, interface: int) -> None:
        """Send a frame once the one that is received now has reached all."""
        ...

    def tell(self, message: bytes, interface: int, flags: int = 0, stamp_ns: int = 0) -> None:
        """Queue a message for the user.

        Args:
            message: Its bytes.
            interface: Where it comes from.
            flags: ``MSG_DONTROUTE`` and ``MSG_CONFIRM``.
            stamp_ns: When the frame in it was received; 0: it is the time now.
        """
        ...
