"""ISO 15765-2 on the wire: protocol control information, times, and the kernel's option structs.

Source: ISO 15765-2:2016, clause 9; ``linux/can/isotp.h``.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import Final

import attrs

from anycan.wire.constants import AF_CAN, CAN_MTU, CANFD_MTU

# The first four bits of the protocol control information (ISO 15765-2:2016, table 9).
SINGLE_FRAME: Final = 0x00
FIRST_FRAME: Final = 0x10
CONSECUTIVE_FRAME: Final = 0x20
FLOW_CONTROL: Final = 0x30

# A flow control frame's flow status (table 19).
CONTINUE_TO_SEND: Final = 0
WAIT: Final = 1
OVERFLOW: Final = 2

MAXIMUM_SHORT_LENGTH: Final = 4095  # of a first frame whose length has 12 bits
FLOW_CONTROL_SIZE: Final = 3
PADDING: Final = 0xCC
FRAME_TXTIME: Final = 50_000  # nanoseconds: what the kernel has when nothing is set
FRAME_TXTIME_ZERO: Final = 0xFFFF_FFFF
DEFAULT_MAXIMUM_PDU: Final = 8300
LEAST_MAXIMUM_PDU: Final = 4095  # of the kernel's module parameter max_pdu_size
GREATEST_MAXIMUM_PDU: Final = 1025 * 1024

_MILLISECOND: Final = 1_000_000
_LONGEST_STMIN: Final = 0x7F


class IsotpFlag(enum.IntFlag):
    """What a socket does otherwise (``linux/can/isotp.h``)."""

    LISTEN_MODE = 0x0001
    EXTEND_ADDR = 0x0002
    TX_PADDING = 0x0004
    RX_PADDING = 0x0008
    CHK_PAD_LEN = 0x0010
    CHK_PAD_DATA = 0x0020
    HALF_DUPLEX = 0x0040
    FORCE_TXSTMIN = 0x0080
    FORCE_RXSTMIN = 0x0100
    RX_EXT_ADDR = 0x0200
    WAIT_TX_DONE = 0x0400
    SF_BROADCAST = 0x0800
    CF_BROADCAST = 0x1000
    DYN_FC_PARMS = 0x2000


BROADCAST: Final = IsotpFlag.SF_BROADCAST | IsotpFlag.CF_BROADCAST
CHECK_PADDING: Final = IsotpFlag.CHK_PAD_LEN | IsotpFlag.CHK_PAD_DATA


@attrs.frozen
class IsotpOptions:
    """A ``struct can_isotp_options``, the value of ``CAN_ISOTP_OPTS``.

    Attributes:
        flags: What the socket does otherwise.
        frame_txtime: Added to the separation time between consecutive frames, in nanoseconds; 0:
            what it was; :data:`FRAME_TXTIME_ZERO`: none.
        ext_address: The address byte of frames sent.
        txpad: What frames sent are filled up with.
        rxpad: What frames received are to be filled up with.
        rx_ext_address: The address byte of frames received, with ``RX_EXT_ADDR``.
    """

    flags: int = 0
    frame_txtime: int = 0
    ext_address: int = 0
    txpad: int = PADDING
    rxpad: int = PADDING
    rx_ext_address: int = 0

    def pack(self) -> bytes:
        """Give the struct's bytes."""
        return _OPTIONS.pack(*attrs.astuple(self))

    @classmethod
    def unpack(cls, value: bytes) -> IsotpOptions:
        """Give what is in the struct's 12 bytes."""
        return cls(*_OPTIONS.unpack(value))


@attrs.frozen
class FlowControlOptions:
    """A ``struct can_isotp_fc_options``, the value of ``CAN_ISOTP_RECV_FC``.

    Attributes:
        bs: The block size that the peer is told; 0: no more flow control.
        stmin: The separation time that it is told, as it stands in the frame.
        wftmax: The number of wait frames; the kernel makes no use of it.
    """

    bs: int = 0
    stmin: int = 0
    wftmax: int = 0

    def pack(self) -> bytes:
        """Give the struct's bytes."""
        return bytes(attrs.astuple(self))

    @classmethod
    def unpack(cls, value: bytes) -> FlowControlOptions:
        """Give what is in the struct's 3 bytes."""
        return cls(*value)


@attrs.frozen
class LinkLayerOptions:
    """A ``struct can_isotp_ll_options``, the value of ``CAN_ISOTP_LL_OPTS``.

    Attributes:
        mtu: 16: frames of classical CAN; 72: of CAN FD.
        tx_dl: The most data in a frame sent: 8, with CAN FD also 12, 16, 20, 24, 32, 48 or 64.
        tx_flags: The flags of CAN FD frames sent.
    """

    mtu: int = CAN_MTU
    tx_dl: int = 8
    tx_flags: int = 0

    def pack(self) -> bytes:
        """Give the struct's bytes."""
        return bytes(attrs.astuple(self))

    @classmethod
    def unpack(cls, value: bytes) -> LinkLayerOptions:
        """Give what is in the struct's 3 bytes."""
        return cls(*value)

    @property
    def possible(self) -> bool:
        """Whether a socket can have them."""
        if self.tx_dl != padded_length(self.tx_dl):
            return False
        if self.mtu == CAN_MTU:
            return self.tx_dl <= 8 and not self.tx_flags
        return self.mtu == CANFD_MTU


_OPTIONS: Final = Struct("=IIBBBB")
_ADDRESS: Final = Struct("=HxxIII8x")
_LENGTHS: Final = (8, 12, 16, 20, 24, 32, 48, 64)


def padded_length(length: int) -> int:
    """Give the least length from 8 that a CAN FD frame can have, to hold so many bytes."""
    return next((one for one in _LENGTHS if one >= length), _LENGTHS[-1])


def pack_isotp_address(ifindex: int, rx_id: int, tx_id: int) -> bytes:
    """Give ``struct sockaddr_can`` for an interface and two identifiers, with their flags."""
    return _ADDRESS.pack(AF_CAN, ifindex, rx_id, tx_id)


def unpack_isotp_address(address: bytes) -> tuple[int, int, int, int]:
    """Give the family, the interface, ``rx_id`` and ``tx_id`` of 16 bytes or more."""
    family, ifindex, rx_id, tx_id = _ADDRESS.unpack(address[:16].ljust(_ADDRESS.size, b"\0"))
    return family, ifindex, rx_id, tx_id


def decode_stmin(stmin: int) -> int:
    """Give the nanoseconds that a flow control frame's separation time means.

    Source: ISO 15765-2:2016, 9.6.5.4 and 9.6.5.5: what is reserved means the longest, 127 ms.

    Example:
        >>> decode_stmin(0x14), decode_stmin(0xF1), decode_stmin(0x80)
        (20000000, 100000, 127000000)
    """
    if stmin <= _LONGEST_STMIN:
        return stmin * _MILLISECOND
    if 0xF1 <= stmin <= 0xF9:
        return (stmin - 0xF0) * (_MILLISECOND // 10)
    return _LONGEST_STMIN * _MILLISECOND


def encode_stmin(seconds: float) -> int:
    """Give the separation time of a flow control frame that is at least so many seconds.

    Raises:
        ValueError: It is below 0, or above 127 ms.

    Example:
        >>> encode_stmin(0.02) == 0x14, encode_stmin(0.0001) == 0xF1
        (True, True)
    """
    if not 0 <= seconds <= 0.127:
        raise ValueError(f"a separation time is 0 to 0.127 s, not {seconds!r}")
    tenths = -(-round(seconds * 1e9) // 100_000)  # rounded up: it is the least time
    if 1 <= tenths <= 9:
        return 0xF0 + tenths
    return -(-tenths // 10)
