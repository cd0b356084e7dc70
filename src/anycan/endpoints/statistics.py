"""What an endpoint tells of itself: where it is, and what went through it."""

from __future__ import annotations

import anyio
import attrs

from anycan.network.base import Network  # noqa: TC001 - typed attributes are read at run time


class RawAttribute(anyio.TypedAttributeSet):
    """What a raw endpoint tells of itself by ``extra()``.

    Example:
        >>> async def where(can: RawEndpoint) -> str | None:
        ...     return can.extra(RawAttribute.interface)
    """

    interface: str | None = anyio.typed_attribute()
    """Name of the interface it is bound to; None: all interfaces."""
    interface_index: int = anyio.typed_attribute()
    """Index of that interface; 0: all interfaces."""
    network: Network = anyio.typed_attribute()
    """The network the interface is on."""
    fd: int = anyio.typed_attribute()
    """The socket's descriptor; -1: closed. Do not read from it or close it."""


@attrs.frozen(kw_only=True)
class RawStatistics:
    """What went through a raw endpoint since it was opened.

    Every frame that passed the kernel's filters is in ``received``, ``filtered``, ``dropped`` or
    ``malformed``, or waits in the socket's receive buffer.

    Attributes:
        received: Frames read from the socket: those taken, ``waiting`` and ``discarded``.
        sent: Frames that the network took.
        filtered: Frames that the kernel's filters let through, and what is left to be matched here
            did not.
        dropped: Frames lost because the socket's receive buffer was full.
        malformed: Messages that were no CAN frame.
        errors: Times the socket told an error, such as the interface going down. A send that is
            refused is none.
        waiting: Frames read and not yet taken by a receive call.
        discarded: Frames read that nobody had taken when the endpoint was closed.
        gaps: Times that the link was lost and waited for (``on_link_loss="wait"``).
    """

    received: int
    sent: int
    filtered: int
    dropped: int
    malformed: int
    errors: int
    waiting: int
    discarded: int
    gaps: int = 0
