"""What an ISO-TP connection asks of the socket that it belongs to."""

from __future__ import annotations

from typing import Protocol


class IsotpHost(Protocol):
    """A socket, as its connection sees it. Frames are their data alone, up to 64 bytes."""

    def now(self) -> int:
        """Give the time by a clock that does not go back, in nanoseconds."""
        ...

    def transmit(self, data: bytes) -> None:
        """Send a frame.

        Raises:
            OSError: It is refused.
        """
        ...

    def answer(self, data: bytes) -> None:
        """Send a frame once the one that is received now has reached all.

        That it is refused interests nobody: whoever waits for it finds out by the time.
        """
        ...

    def go_on(self, data: bytes) -> None:
        """Send a frame of a PDU that has begun, as :meth:`answer`, while none is received."""
        ...

    def look(self) -> None:
        """Take what has been received already, before a time that is over counts."""
        ...

    def deliver_pdu(self, pdu: bytes, stamp_ns: int) -> None:
        """Take a PDU that is complete.

        Args:
            pdu: Its bytes, at least one.
            stamp_ns: When its last frame was received.
        """
        ...

    def fail(self, number: int) -> None:
        """Take note of what went wrong, by the kernel's error number."""
        ...

    def idle(self) -> None:
        """Take note that a transmission has ended, and another one can begin."""
        ...
