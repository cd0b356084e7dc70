"""The kinds of frames, as bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.frame import ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from anycan.frame import AnyFrame

CLASSICAL: Final = 1
"""A data frame of classical CAN."""
REMOTE: Final = 2
"""A remote frame."""
FLEXIBLE: Final = 4
"""A frame of CAN FD."""
XL: Final = 8
"""A frame of CAN XL."""
ERROR: Final = 16
"""An error frame."""

DATA_KINDS: Final = CLASSICAL | FLEXIBLE | XL

_KINDS: Final[dict[type, int]] = {
    Frame: CLASSICAL,
    RemoteFrame: REMOTE,
    FdFrame: FLEXIBLE,
    XlFrame: XL,
    ErrorFrame: ERROR,
}


def kind_of(frame: AnyFrame) -> int:
    """Tell of which kind a frame is: one of the bits above.

    Raises:
        TypeError: It is no frame.

    Example:
        >>> kind_of(FdFrame(0x123)) == FLEXIBLE
        True
    """
    try:
        return _KINDS[type(frame)]
    except KeyError:
        raise TypeError(f"a filter tells of frames, not of {frame!r}") from None
