"""What the bytes of a frame are: which kind, which identifier, how much data, how much memory."""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

from anycan.frame import FDF, RTR_FLAG, XLF
from anycan.wire.constants import CAN_MTU, CANFD_MTU, CANXL_HEADER_SIZE, CANXL_MIN_MTU, CANXL_MTU

INVALID: Final = -1
CLASSICAL: Final = 0
FLEXIBLE: Final = 1
XL: Final = 2

LEAST_SIZE: Final = CANXL_HEADER_SIZE + 1  # of any frame, and so of any message that is sent
GREATEST_SIZE: Final = CANXL_MTU

_WORD: Final = Struct("=I")
_XL_LENGTH: Final = Struct("=H")
unpack_word: Final = _WORD.unpack_from

# What Linux 6.12 charges a socket for a buffer, on 64-bit machines (seen as SO_MEMINFO's
# SK_MEMINFO_RMEM_ALLOC for one frame that waits).
_BUFFER_HEAD: Final = 256  # struct sk_buff, rounded up to a cache line
_SHARED_INFO: Final = 320  # struct skb_shared_info, behind the data
_CAN_PRIVATE: Final = 16  # struct can_skb_priv, before the frame
_SMALL_HEAD: Final = 704  # data areas up to this size have a cache of their own
_SMALL_CHARGE: Final = _BUFFER_HEAD + _SMALL_HEAD
_LARGEST_SMALL: Final = _SMALL_HEAD - _SHARED_INFO


def kind_of(payload: bytes) -> int:
    """Tell what a message is: ``CLASSICAL``, ``FLEXIBLE`` (CAN FD), ``XL`` or ``INVALID``.

    Source: ``linux/can/skb.h``: size and length decide, and for CAN XL its flag.
    """
    size = len(payload)
    if size == CAN_MTU and payload[4] <= 8:
        return CLASSICAL
    if size == CANFD_MTU and payload[4] <= 64:
        return FLEXIBLE
    if (
        LEAST_SIZE <= size <= GREATEST_SIZE
        and payload[4] & XLF
        and _XL_LENGTH.unpack_from(payload, 6)[0] == size - CANXL_HEADER_SIZE
    ):
        return XL
    return INVALID


def data_length(payload: bytes, kind: int, word: int) -> int:
    """Give how many bytes of data a frame carries, as interfaces count them."""
    if kind == XL:
        return len(payload) - CANXL_HEADER_SIZE
    if kind == CLASSICAL and word & RTR_FLAG:
        return 0
    return payload[4]


def mark_flexible(payload: bytes) -> bytes:
    """Set the flag that every CAN FD frame carries in the kernel."""
    flags = payload[5]
    if flags & FDF:
        return payload
    return b"%b%c%b" % (payload[:5], flags | FDF, payload[6:])


def replace_word(payload: bytes, word: int) -> bytes:
    """Give the payload with another first word."""
    return _WORD.pack(word) + payload[4:]


def charge_of(size: int) -> int:
    """Give what a frame of ``size`` bytes takes of a socket's send or receive buffer.

    Frames of classical CAN and CAN FD cost the same, 960 bytes; CAN XL 960, 1280, 2304 or 4352.

    Source: measured on Linux 6.12, x86-64, 4 KiB pages.
    """
    return charge_of_data(size + _CAN_PRIVATE)


def charge_of_data(size: int) -> int:
    """Give what a message of ``size`` bytes that is no frame takes of a socket's receive buffer.

    Source: as :func:`charge_of`.
    """
    if size <= _LARGEST_SMALL:
        return _SMALL_CHARGE
    return _BUFFER_HEAD + (1 << (size + _SHARED_INFO - 1).bit_length())


def mtu_allows(mtu: int, kind: int) -> bool:
    """Tell whether an interface of that MTU takes a kind of frame."""
    if kind == FLEXIBLE:
        return mtu == CANFD_MTU or mtu >= CANXL_MIN_MTU
    return kind != XL or mtu >= CANXL_MIN_MTU


Prepared: TypeAlias = "tuple[bytes, int, int, int]"
"""A frame to be sent: its bytes, its kind, its first word, and how much data interfaces count."""


def prepare(payload: bytes, kind: int) -> Prepared:
    """Find out once what is asked whenever a frame is sent."""
    if kind == FLEXIBLE:
        payload = mark_flexible(payload)
    (word,) = unpack_word(payload)
    return payload, kind, word, data_length(payload, kind, word)
