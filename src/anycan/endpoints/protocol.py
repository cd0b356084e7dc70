"""What an asyncio transport calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anycan.endpoints.transport import RawTransport
    from anycan.exceptions import CanOSError
    from anycan.frame import AnyFrame


class CanProtocol(asyncio.BaseProtocol):
    """What a :class:`RawTransport` calls; override what you need.

    ``connection_made(transport)`` comes first and ``connection_lost(exc)`` last, as everywhere in
    asyncio. An exception that a method raises goes to the loop's exception handler; the transport
    goes on.

    Example:
        >>> class Printer(CanProtocol):
        ...     def frame_received(self, frame: AnyFrame) -> None:
        ...         print(frame)
    """

    def connection_made(self, transport: RawTransport) -> None:  # type: ignore[override]
        """The transport is there.

        Args:
            transport: By which to send, to pause and to close.
        """

    def frame_received(self, frame: AnyFrame) -> None:
        """A frame came in.

        Args:
            frame: Any kind of frame that the transport's options and filters let through.
        """

    def error_received(self, exc: CanOSError) -> None:
        """Something failed, and the transport goes on.

        Args:
            exc: :class:`InterfaceDownError` when the interface went down or a frame was sent
                while it was, :class:`FrameNotSupportedError` for a frame that cannot be sent
                there, :class:`UnknownInterfaceError` for one that was sent to an interface that
                is not there; that frame is not sent.
        """

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed. This is the last call.

        Args:
            exc: :class:`InterfaceRemovedError` when the interface was removed; None when the
                transport was closed by its user.
        """

    def pause_writing(self) -> None:
        """More frames wait to be sent than the high-water mark."""

    def resume_writing(self) -> None:
        """The frames that wait to be sent are down to the low-water mark."""
