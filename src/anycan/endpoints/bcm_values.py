"""What a broadcast manager endpoint is told, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import attrs

from anycan.exceptions import OperationError
from anycan.network.base import Network  # noqa: TC001 - typed attributes are read at run time
from anycan.wire.bcm import MAX_FRAMES

if TYPE_CHECKING:
    from anycan.frame import AnyFrame, FdFrame, Frame, RemoteFrame

_MULTIPLEXOR_BYTES: Final = 8  # linux/can/bcm.h: the first 64 bits, of CAN FD frames too


@attrs.frozen
class Changed:
    r"""A frame whose content changed, where it was watched; or every frame, where all are.

    Attributes:
        frame: The frame, with its time stamp, its interface, and whether it is local or own. (Own
            is what this endpoint has sent; on one for all interfaces, what it has sent there is
            local alone to a watch that is for all.)

    Example:
        >>> print(Changed(Frame(0x123, b"\x01", interface="can0")))
        can0 123#01
    """

    frame: Frame | FdFrame | RemoteFrame

    def __str__(self) -> str:
        return f"{self.frame.interface or '?'} {self.frame}"

    @property
    def interface(self) -> str | None:
        """The interface that the frame came from."""
        return self.frame.interface


@attrs.frozen
class TimedOut:
    """No frame came for as long as was to be waited. It is told once, until a frame comes again.

    Attributes:
        identifier: The identifier that is watched.
        extended: It has 29 bits.
        interface: Where the frames are missing; None: on all interfaces, none of which has been
            heard.
        timestamp_ns: When, in nanoseconds since the epoch. The kernel tells when it was asked.

    Example:
        >>> print(TimedOut(0x123, False, "can0", None))
        can0 123 timed out
    """

    identifier: int
    extended: bool
    interface: str | None
    timestamp_ns: int | None

    def __str__(self) -> str:
        name = f"{self.identifier:08X}" if self.extended else f"{self.identifier:03X}"
        return f"{self.interface or 'any'} {name} timed out"


BcmEvent: TypeAlias = Changed | TimedOut
"""What a watch tells: a :class:`Changed` or a :class:`TimedOut`. Use it as a type."""


def _to_mapping(contents: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    if not isinstance(contents, Mapping):
        raise TypeError(
            f"contents= maps a multiplexor's values to masks, both bytes; not {contents!r}"
        )
    if any(isinstance(one, int) for pair in contents.items() for one in pair):
        raise TypeError(
            f"contents= has bytes on both sides, such as b'\\x01': b'\\xff'; not {contents!r}"
        )
    return MappingProxyType({bytes(value): bytes(mask) for value, mask in contents.items()})


@attrs.frozen(eq=False)
class Multiplex:
    r"""How a multiplexed message is watched: its contents, by the value of its multiplexor.

    Attributes:
        mask: Which bits are the multiplexor: up to 8 bytes, from the frame's first. They have to
            be in the first 8 bytes of CAN FD frames too.
        contents: For each value of the multiplexor that is watched, the mask of the bits that
            make a change. Both stand for bytes from the frame's first on, and what is left out
            is 0. Frames with other values are not told; they do restart the timeout.

    Raises:
        OperationError: The mask is empty, zero or too long, there are no contents or more than
            256, or a value has bits beside the mask or stands there twice.

    Example:
        >>> by_page = Multiplex(b"\xff", {b"\x01": b"\0\xff\xff", b"\x02": b"\0\x0f"})
    """

    mask: bytes = attrs.field(converter=bytes)
    contents: Mapping[bytes, bytes] = attrs.field(converter=_to_mapping)

    def __attrs_post_init__(self) -> None:
        if not any(self.mask) or len(self.mask) > _MULTIPLEXOR_BYTES:
            raise OperationError(
                f"a multiplexor's mask has 1 to 8 bytes, and some bit is set; not {self.mask!r}"
            )
        if not 1 <= len(self.contents) <= MAX_FRAMES:
            raise OperationError(
                f"1 to {MAX_FRAMES} contents can be watched, not {len(self.contents)}"
            )
        values = {value.rstrip(b"\0") for value in self.contents}
        if len(values) < len(self.contents):
            raise OperationError("contents= has one value of the multiplexor twice")
        for value in self.contents:
            padded = self.mask.ljust(len(value), b"\0")
            if any(bits & ~mask for bits, mask in zip(value, padded, strict=False)):
                raise OperationError(
                    f"the multiplexor's value {value.hex(' ')} has bits beside its mask"
                    f" {self.mask.hex(' ')}"
                )


@attrs.frozen(kw_only=True)
class CyclicStatus:
    """How a cyclic transmission stands, as the broadcast manager says.

    Attributes:
        frames: What is being sent, in this order.
        remaining: How many frames are still to go at the first interval.
        interval: The first interval, in seconds, where there is a count; else the only one.
        then: The interval afterwards, in seconds; None: there is none.
    """

    frames: tuple[AnyFrame, ...]
    remaining: int
    interval: float
    then: float | None


class BcmAttribute(anyio.TypedAttributeSet):
    """What a broadcast manager endpoint tells of itself by ``extra()``."""

    interface: str | None = anyio.typed_attribute()
    """Name of the interface it is connected to; None: all interfaces."""
    interface_index: int = anyio.typed_attribute()
    """Index of that interface; 0: all interfaces."""
    network: Network = anyio.typed_attribute()
    """The network the interface is on."""


@attrs.frozen(kw_only=True)
class BcmStatistics:
    """What a broadcast manager endpoint was told since it was opened.

    Attributes:
        received: Messages from the broadcast manager: of changes, timeouts, ends of counts, and
            answers.
        dropped: Messages lost because the socket's receive buffer was full.
        overflowed: Events lost because nobody took them from a watch that was full.
        malformed: Messages that were none.
        errors: Times the socket told an error, such as the interface going down.
        gaps: Times that a link was lost and waited for (``on_link_loss="wait"``).
    """

    received: int
    dropped: int
    overflowed: int
    malformed: int
    errors: int
    gaps: int = 0
