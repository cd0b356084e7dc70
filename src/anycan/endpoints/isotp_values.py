"""What an ISO-TP endpoint tells of itself."""

from __future__ import annotations

from typing import Literal

import anyio
import attrs

from anycan.network.base import Network  # noqa: TC001 - typed attributes are read at run time
from anycan.wire.isotp_address import Address  # noqa: TC001 - typed attributes are read at run time


class IsotpAttribute(anyio.TypedAttributeSet):
    """What an ISO-TP endpoint tells of itself by ``extra()``.

    Example:
        >>> async def is_of_the_kernel(link: IsotpLink) -> bool:
        ...     return link.extra(IsotpAttribute.implementation) == "socket"
    """

    interface: str = anyio.typed_attribute()
    """Name of the interface it is bound to."""
    interface_index: int = anyio.typed_attribute()
    """Index of that interface."""
    network: Network = anyio.typed_attribute()
    """The network the interface is on."""
    fd: int = anyio.typed_attribute()
    """The descriptor; -1: closed. Do not read from it or close it."""
    address: Address = anyio.typed_attribute()
    """Whom it talks to."""
    implementation: Literal["socket", "engine"] = anyio.typed_attribute()
    """``"socket"``: the network's ISO-TP; ``"engine"``: anycan's own, over a raw socket."""
    max_pdu_size: int = anyio.typed_attribute()
    """The most bytes in a PDU."""


@attrs.frozen(kw_only=True)
class IsotpStatistics:
    """What went through an ISO-TP endpoint since it was opened.

    Attributes:
        received: PDUs received: those taken, ``waiting`` and ``discarded``.
        sent: PDUs sent wholly.
        dropped: PDUs lost because the receive buffer was full.
        malformed: PDUs lost because they are longer than ``max_pdu_size`` was when it was opened.
        errors: Times something failed: transfers, and the interface going down.
        waiting: PDUs received and not yet taken.
        frames_dropped: Frames lost by the engine because its raw socket's receive buffer was full;
            of the network's own ISO-TP sockets 0.
        discarded: PDUs received that nobody took: at closing, before a request, or not its final
            reply.
        gaps: Times that the link was lost and waited for (``on_link_loss="wait"``).
    """

    received: int
    sent: int
    dropped: int
    malformed: int
    errors: int
    waiting: int
    discarded: int
    frames_dropped: int
    gaps: int = 0
