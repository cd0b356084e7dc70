"""Why a gateway did not forward a frame."""

from __future__ import annotations

import enum
from typing import Final


class DropReason(enum.StrEnum):
    """Why a frame that a rule's filter took was not forwarded; the value is for people to read."""

    RATE_LIMIT = "rate limit"
    """The rule's ``minimum_interval`` had not passed, or one of its ``limits`` had nothing left."""
    UNCHANGED = "unchanged"
    """The rule has ``changes_only``, and the last frame of that identifier was the same."""
    NOT_ACTIVE = "not active"
    """The frame came outside the rule's time window."""
    LENGTH = "length"
    """A modification made it longer than its kind of frame can be."""
    DOES_NOT_FIT = "does not fit"
    """It does not fit into the other kind of frame, or the destination has no such frames."""
    INTERFACE_DOWN = "interface down"
    """The destination was down."""
    BUS_OFF = "bus-off"
    """The destination's controller was bus-off."""
    INTERFACE_GONE = "interface gone"
    """The destination did not exist."""
    QUEUE_FULL = "queue full"
    """There was no room left in the queue of the destination."""
    SUPERSEDED = "superseded"
    """A newer frame of that identifier took its place in the queue (``latest_per_id``)."""
    CALL_FAILED = "call failed"
    """The rule's function raised, or gave what is no frame."""
    CALL_QUEUE_FULL = "call queue full"
    """There was no room left in the queue of the rule's function."""
    CALL_GAVE_NONE = "call gave none"
    """The rule's function gave nothing to forward in its place."""
    REFUSED = "refused"
    """The system refused it for another reason."""
    RULE_ENDED = "rule ended"
    """The rule or the gateway ended while it waited."""

    @property
    def is_deliberate(self) -> bool:
        """Whether the rule asked for it, so that nothing is lost that was wanted.

        Example:
            >>> DropReason.UNCHANGED.is_deliberate, DropReason.QUEUE_FULL.is_deliberate
            (True, False)
        """
        return self in _DELIBERATE


_DELIBERATE: Final = frozenset(
    {
        DropReason.RATE_LIMIT,
        DropReason.UNCHANGED,
        DropReason.NOT_ACTIVE,
        DropReason.SUPERSEDED,
        DropReason.CALL_GAVE_NONE,
    }
)
