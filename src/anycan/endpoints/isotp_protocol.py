"""What an asyncio transport of ISO-TP calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anycan.endpoints.isotp_transport import IsotpTransport
    from anycan.exceptions import CanError, CanOSError


class IsotpProtocol(asyncio.BaseProtocol):
    """What an :class:`IsotpTransport` calls; override what you need.

    ``connection_made(transport)`` comes first and ``connection_lost(exc)`` last, as everywhere in
    asyncio. An exception that a method raises goes to the loop's exception handler; the transport
    goes on.

    Example:
        >>> class Printer(IsotpProtocol):
        ...     def pdu_received(self, pdu: bytes) -> None:
        ...         print(pdu.hex())
    """

    def connection_made(self, transport: IsotpTransport) -> None:  # type: ignore[override]
        """The transport is there.

        Args:
            transport: By which to send, to pause and to close.
        """

    def pdu_received(self, pdu: bytes) -> None:
        """A PDU came in.

        Args:
            pdu: Its bytes, at least one.
        """

    def pdu_sent(self, pdu: bytes) -> None:
        """A PDU has been sent: its last frame was on the bus.

        Args:
            pdu: Its bytes.
        """

    def send_failed(self, pdu: bytes, exc: CanError) -> None:
        """A PDU was not sent, or not wholly; the transport goes on with the next one.

        Args:
            pdu: Its bytes.
            exc: An :class:`IsotpSendError`, :class:`InterfaceDownError`, or :class:`PduError` for
                one that does not fit into the single frame of a functional address.
        """

    def error_received(self, exc: CanOSError) -> None:
        """Something else failed, and the transport goes on.

        Args:
            exc: An :class:`IsotpReceiveError` when a PDU was given up in the middle of its
                reception, :class:`InterfaceDownError` when the interface went down.
        """

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed. This is the last call.

        Args:
            exc: :class:`InterfaceRemovedError` when the interface was removed; None when the
                transport was closed by its user.
        """

    def pause_writing(self) -> None:
        """More PDUs wait to be sent than the high-water mark."""

    def resume_writing(self) -> None:
        """The PDUs that wait to be sent are down to the low-water mark."""
