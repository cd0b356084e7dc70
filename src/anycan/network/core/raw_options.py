"""The options of a CAN_RAW socket, as setsockopt(2) and getsockopt(2) have them."""

from __future__ import annotations

import errno
from struct import Struct, pack, unpack
from typing import Final

from anycan.engine.failure import failure
from anycan.filter import FILTER_LIMIT
from anycan.frame import EFF_MASK
from anycan.network.core.socket_options import SocketOptions
from anycan.wire import constants
from anycan.wire.constants import (
    CAN_RAW_ERR_FILTER,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_FILTER,
    CAN_RAW_JOIN_FILTERS,
    CAN_RAW_LOOPBACK,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RAW_XL_FRAMES,
    CAN_RAW_XL_VCID_OPTS,
    CAN_RAW_XL_VCID_RX_FILTER,
    CAN_RAW_XL_VCID_TX_PASS,
    CAN_RAW_XL_VCID_TX_SET,
)
from anycan.wire.options import unpack_integer

_SOCK_RAW: Final = 3  # linux/net.h
_PRIORITY: Final = 0x7FF
_VCID: Final = 0xFF0000

_FILTER: Final = Struct("=II")
_INTEGERS: Final = (
    CAN_RAW_LOOPBACK,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_JOIN_FILTERS,
    CAN_RAW_XL_FRAMES,
)


class RawSocketOptions(SocketOptions):
    """The options' values.

    Attributes:
        filters: Words and masks, as set.
        error_mask: Which classes of error frames are taken.
        joined: How many filters must match; 0: one does.
    """

    def __init__(self) -> None:
        super().__init__(_SOCK_RAW)
        self.filters: list[tuple[int, int]] = [(0, 0)]
        self.error_mask = 0
        self.joined = 0
        # What is set is given back as it is, not as true or false.
        self._integers = dict.fromkeys(_INTEGERS, 0) | {CAN_RAW_LOOPBACK: 1}
        self._vcid = bytes(4)
        self._renew()

    def _renew(self) -> None:
        """Work out what is asked for every frame."""
        self.loopback = self._integers[CAN_RAW_LOOPBACK] != 0
        self.receive_own = self._integers[CAN_RAW_RECV_OWN_MSGS] != 0
        self.flexible = self._integers[CAN_RAW_FD_FRAMES] != 0
        self.xl = self._integers[CAN_RAW_XL_FRAMES] != 0
        joining = self._integers[CAN_RAW_JOIN_FILTERS] != 0
        self.joined = max(len(self.filters), 1) if joining else 0

    # SOL_CAN_RAW

    def set_raw(self, option: int, value: bytes) -> None:
        """Set an option of the level SOL_CAN_RAW.

        Raises:
            OSError: EINVAL or ENOPROTOOPT.
        """
        if option == CAN_RAW_FILTER:
            if len(value) % _FILTER.size or len(value) > FILTER_LIMIT * _FILTER.size:
                raise failure(errno.EINVAL)
            self.filters = list(_FILTER.iter_unpack(value))
        elif option != CAN_RAW_ERR_FILTER and option not in {*_INTEGERS, CAN_RAW_XL_VCID_OPTS}:
            raise failure(errno.ENOPROTOOPT)
        elif len(value) != 4:
            raise failure(errno.EINVAL)
        elif option == CAN_RAW_ERR_FILTER:
            self.error_mask = unpack("=I", value)[0] & EFF_MASK
        elif option == CAN_RAW_XL_VCID_OPTS:
            self._vcid = value
        else:
            number = unpack_integer(value)
            if option == CAN_RAW_FD_FRAMES and self.xl and not number:
                raise failure(errno.EINVAL)
            self._integers[option] = number
            if option == CAN_RAW_XL_FRAMES and number:
                self._integers[CAN_RAW_FD_FRAMES] = number
        self._renew()

    def get_raw(self, option: int, size: int) -> bytes:
        """Give an option of the level SOL_CAN_RAW.

        Raises:
            OSError: ERANGE: ``size`` is too small; ENOPROTOOPT.
        """
        match option:
            case constants.CAN_RAW_FILTER:
                value = b"".join(_FILTER.pack(*one) for one in self.filters)
                if size < len(value):
                    raise failure(errno.ERANGE)
            case constants.CAN_RAW_ERR_FILTER:
                value = pack("=I", self.error_mask)
            case constants.CAN_RAW_XL_VCID_OPTS:
                value = self._vcid
                if size < len(value):
                    raise failure(errno.ERANGE)
            case _ if option in self._integers:
                value = pack("=i", self._integers[option])
            case _:
                raise failure(errno.ENOPROTOOPT)
        return value[:size]

    def outgoing_xl_word(self, word: int) -> int:
        """Give the first word with which a CAN XL frame is sent."""
        flags, transmit, _, _ = self._vcid
        word &= _PRIORITY | _VCID
        if not flags & CAN_RAW_XL_VCID_TX_PASS:
            word &= _PRIORITY
        if flags & CAN_RAW_XL_VCID_TX_SET:
            word = word & _PRIORITY | transmit << 16
        return word

    def takes_xl_word(self, word: int) -> bool:
        """Tell whether a CAN XL frame's VCID is wanted."""
        flags, _, wanted, mask = self._vcid
        if flags & CAN_RAW_XL_VCID_RX_FILTER:
            return (word >> 16 ^ wanted) & mask == 0
        return not word & _VCID
