"""The options that sockets of every kind have, as setsockopt(2) and getsockopt(2) have them."""

from __future__ import annotations

import errno
from struct import pack
from typing import Final

from anycan.engine.failure import failure
from anycan.wire import constants
from anycan.wire.constants import (
    AF_CAN,
    SO_RCVBUF,
    SO_RXQ_OVFL,
    SO_SNDBUF,
    SO_TIMESTAMP,
    SO_TIMESTAMPING,
    SO_TIMESTAMPNS,
)
from anycan.wire.options import unpack_integer

BUFFER_MAXIMUM: Final = 212_992  # net.core.rmem_max and wmem_max
_LEAST_SEND_BUFFER: Final = 4608
_LEAST_RECEIVE_BUFFER: Final = 2304
_INTEGER_MAXIMUM: Final = 0x7FFFFFFF

# linux/net_tstamp.h of 6.12: SOF_TIMESTAMPING_...
_TIMESTAMPING_MASK: Final = 0x3FFFF
_OPT_ID: Final = 1 << 7
_OPT_TSONLY: Final = 1 << 11
_OPT_STATS: Final = 1 << 12
_BIND_PHC: Final = 1 << 15
_OPT_ID_TCP: Final = 1 << 16

# asm-generic/socket.h
_SO_TYPE: Final = 3
_SO_PROTOCOL: Final = 38
_SO_DOMAIN: Final = 39


class SocketOptions:
    """The options' values, of the level SOL_SOCKET.

    Args:
        kind: The socket's type.

    Attributes:
        send_buffer: Bytes, as the kernel counts.
        receive_buffer: Bytes, as the kernel counts.
        drop_counts: Received messages carry the drop count.
    """

    def __init__(self, kind: int) -> None:
        self.send_buffer = BUFFER_MAXIMUM
        self.receive_buffer = BUFFER_MAXIMUM
        self.drop_counts = False
        self._socket = dict.fromkeys((SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING), 0)
        # Seen on a socket of PF_CAN: the protocol is 0 whatever it is.
        self._fixed = {_SO_TYPE: kind, _SO_PROTOCOL: 0, _SO_DOMAIN: AF_CAN}

    def set_socket(self, option: int, value: bytes) -> None:
        """Set an option of the level SOL_SOCKET.

        Raises:
            OSError: EINVAL, ENOPROTOOPT or EOPNOTSUPP.
        """
        if len(value) < 4:
            raise failure(errno.EINVAL)
        number = unpack_integer(value[:4])
        match option:
            case constants.SO_SNDBUF:
                self.send_buffer = _buffer(_capped(number), _LEAST_SEND_BUFFER)
            case constants.SO_RCVBUF:
                self.receive_buffer = _buffer(_capped(number), _LEAST_RECEIVE_BUFFER)
            case constants.SO_SNDBUFFORCE:
                self.send_buffer = _buffer(max(number, 0), _LEAST_SEND_BUFFER)
            case constants.SO_RCVBUFFORCE:
                self.receive_buffer = _buffer(max(number, 0), _LEAST_RECEIVE_BUFFER)
            case constants.SO_TIMESTAMP | constants.SO_TIMESTAMPNS:  # one or the other
                self._socket[SO_TIMESTAMP] = self._socket[SO_TIMESTAMPNS] = 0
                self._socket[option] = int(number != 0)
            case constants.SO_TIMESTAMPING:
                _check_timestamping(number)
                self._socket[SO_TIMESTAMPING] = number
            case constants.SO_RXQ_OVFL:
                self.drop_counts = number != 0
            case _:
                raise failure(errno.ENOPROTOOPT)

    def get_socket(self, option: int) -> bytes:
        """Give an option of the level SOL_SOCKET.

        Raises:
            OSError: ENOPROTOOPT.
        """
        values = self._socket | {
            SO_SNDBUF: self.send_buffer,
            SO_RCVBUF: self.receive_buffer,
            SO_RXQ_OVFL: int(self.drop_counts),
            **self._fixed,
        }
        if option not in values:
            raise failure(errno.ENOPROTOOPT)
        # struct so_timestamping has a second number, for a clock to take the stamps from.
        return pack("=i", values[option]) + (bytes(4) if option == SO_TIMESTAMPING else b"")


def _check_timestamping(flags: int) -> None:
    if (
        flags & ~_TIMESTAMPING_MASK
        or (flags & _OPT_ID_TCP and not flags & _OPT_ID)
        or (flags & _OPT_STATS and not flags & _OPT_TSONLY)
    ):
        raise failure(errno.EINVAL)
    if flags & _BIND_PHC:  # a clock belongs to an interface, which no CAN socket is tied to
        raise failure(errno.EOPNOTSUPP)


def _capped(number: int) -> int:
    return min(number & 0xFFFFFFFF, BUFFER_MAXIMUM)


def _buffer(number: int, least: int) -> int:
    """Double a buffer's size, as the kernel does for its own overhead."""
    return max(min(number, _INTEGER_MAXIMUM // 2) * 2, least)
