"""What an asyncio transport of the broadcast manager calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anycan.endpoints.bcm_handles import BcmOperation, CyclicOperation
    from anycan.endpoints.bcm_transport import BcmTransport
    from anycan.endpoints.bcm_values import BcmEvent
    from anycan.exceptions import CanOSError


class BcmProtocol(asyncio.BaseProtocol):
    """What a :class:`BcmTransport` calls; override what you need.

    ``connection_made(transport)`` comes first and ``connection_lost(exc)`` last, as everywhere in
    asyncio. An exception that a method raises goes to the loop's exception handler; the transport
    goes on.
    """

    def connection_made(self, transport: BcmTransport) -> None:  # type: ignore[override]
        """The transport is there.

        Args:
            transport: By which to start operations, and to close.
        """

    def event_received(self, event: BcmEvent, watch: BcmOperation) -> None:
        """A message changed, or failed to come.

        Args:
            event: A :class:`Changed` or a :class:`TimedOut`.
            watch: What :meth:`BcmTransport.watch` gave.
        """

    def cycle_expired(self, cycle: CyclicOperation) -> None:
        """A cyclic transmission has sent its count.

        Args:
            cycle: What :meth:`BcmTransport.send_cyclic` gave.
        """

    def error_received(self, exc: CanOSError) -> None:
        """Something happened to an interface, and the transport goes on.

        Args:
            exc: :class:`InterfaceDownError` when the interface went down; on a transport for all
                interfaces :class:`InterfaceRemovedError` when one is gone, with its operations.
        """

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed. This is the last call.

        Args:
            exc: :class:`InterfaceRemovedError` when the interface was removed; None when the
                transport was closed by its user.
        """
