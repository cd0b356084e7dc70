"""The options of raw sockets that random programs set and get: right, wrong and odd ones."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from anycan.wire import constants
from anycan.wire.constants import SOL_CAN_RAW, SOL_SOCKET
from choices import Theme
from raw_steps import SOCKETS, Get, Set

if TYPE_CHECKING:
    from choices import Choices

WHO: Final = range(SOCKETS)

_SWITCHES: Final = (
    constants.CAN_RAW_FD_FRAMES,
    constants.CAN_RAW_RECV_OWN_MSGS,
    constants.CAN_RAW_LOOPBACK,
    constants.CAN_RAW_JOIN_FILTERS,
    constants.CAN_RAW_XL_FRAMES,
)
_IDENTIFIERS: Final = (1, 1, 1, 0, 0x123, 0x123, 2, 3, 0x7FF, 0x1FFFFFFF, 0x10000123)
_FLAGS: Final = (*5 * (0,), 1 << 31, 1 << 31, 1 << 30, 1 << 29, 1 << 29, 3 << 30, 5 << 29)
_MASKS: Final = (
    *(
        0,
        0,
        1,
        0x7FF,
        0x7FF,
        0xC00007FF,
        0xC00007FF,
        0xDFFFFFFF,
        0xDFFFFFFF,
        0x1FFFFFFF,
        0x80000000,
        0x40000000,
        0x800007FF,
    ),
    *(0x20000004, 0x20000000, 0x3FFFFFFF, 0xFFFFFFFF, 0x00FF07FF),
)
# Of one identifier each, with or without remote frames; the last one is cut to 11 bits.
_SINGLE: Final = (
    *((0x123, 0xC00007FF), (1, 0xC00007FF), (0x123, 0x7FF), (0x123, 0x800007FF)),
    *((0x123 | 1 << 31, 0xDFFFFFFF), (0x10000123 | 1 << 31, 0xDFFFFFFF), (0x10000123, 0x9FFFFFFF)),
)
_ODD_VALUES: Final = (b"", b"\1", b"\1\0", b"\1\0\0", b"\1\0\0\0\0", b"\1" + bytes(7))
_SO_TYPE, _SO_PROTOCOL, _SO_DOMAIN = 3, 38, 39  # asm-generic/socket.h
_UNKNOWN: Final = 99


def _filter(choose: Choices) -> bytes:
    if choose.theme is Theme.FILTERS and choose.of((1, 0)):
        word, mask = choose.of(_SINGLE)
    else:
        word, mask = choose.of(_IDENTIFIERS) | choose.of(_FLAGS), choose.of(_MASKS)
    return struct.pack("=II", word, mask)


def _filters(choose: Choices) -> tuple[int, bytes]:
    filters = [_filter(choose) for _ in range(choose.of((1, 1, 2, 3, 0)))]
    return constants.CAN_RAW_FILTER, b"".join(filters)


def _errors(choose: Choices) -> tuple[int, bytes]:
    word = choose.word(0, 0x1FFFFFFF, 0x1FFFFFFF, 1, 4, 0x123, 0x20000004, 0xFFFFFFFF)
    return constants.CAN_RAW_ERR_FILTER, word


def _switch(choose: Choices) -> tuple[int, bytes]:
    option = choose.of(_SWITCHES)
    usual = 0 if option == constants.CAN_RAW_LOOPBACK else 1
    return option, choose.word(usual, usual, usual, 1 - usual, 2, -1)


def _join(_: Choices) -> tuple[int, bytes]:
    return constants.CAN_RAW_JOIN_FILTERS, b"\1\0\0\0"


def _vcid(choose: Choices) -> tuple[int, bytes]:
    flags = choose.of((0, 4, 4, 1, 2, 3, 5, 6, 7, 8, 0xFF))
    numbers = (choose.of((0, 1, 0x45)), choose.of((0, 1, 0x45)), choose.of((0, 1, 0xFF)))
    return constants.CAN_RAW_XL_VCID_OPTS, bytes((flags, *numbers))


def _odd(choose: Choices) -> tuple[int, bytes]:
    option = choose.of((1, 2, 3, 4, 5, 6, 7, 8, 0, _UNKNOWN))
    if option == constants.CAN_RAW_FILTER:
        return option, choose.of((b"", bytes(7), bytes(12), bytes(512 * 8), bytes(513 * 8)))
    return option, choose.of((*_ODD_VALUES, bytes(4), b"\1\0\0\0"))


_OPTIONS: Final = {
    Theme.ANYTHING: (_switch, _filters, _filters, _switch, _errors, _vcid),
    Theme.FILTERS: (*4 * (_filters,), _errors, _join),
    Theme.BUFFERS: (_switch, _switch, _filters),
    Theme.LINKS: (_filters, _switch),
    Theme.LONG: (*3 * (_vcid,), _filters, _switch),
}


def set_usual(choose: Choices, who: int | None = None) -> Set:
    """Choose an option of raw sockets and a value, mostly right."""
    who = choose.of(WHO) if who is None else who
    return Set(who, SOL_CAN_RAW, *choose.of(_OPTIONS[choose.theme])(choose))


def set_odd(choose: Choices) -> Set:
    """Choose one with a value that is none, or a level that is none."""
    if choose.of((0, 0, 1)):
        return Set(choose.of(WHO), choose.of((0, 100, 102, 255)), choose.of((1, 3)), bytes(4))
    return Set(choose.of(WHO), SOL_CAN_RAW, *_odd(choose))


_BUFFERS: Final = (constants.SO_RCVBUF, constants.SO_RCVBUF, constants.SO_SNDBUF)
_FORCED: Final = (constants.SO_RCVBUFFORCE, constants.SO_SNDBUFFORCE)
_BUFFER_SIZES: Final = (0, 1, 1151, 1152, 2000, 2304, 5000, 20_000, 212_992, 300_000, -1, 1 << 31)
# Not those that have transmissions stamped (1, 2, 0x100, 0x200), or stamps reported (0x10, 0x40):
# docs/explanation/parity.md.
_STAMPING: Final = (
    *(0, 4, 8, 0x80, 0x800, 0x1000, 0x1800, 0x8000, 0x10000, 0x10080, 0x20000, 0x40000, 1 << 31),
)
_STAMPS: Final = (constants.SO_TIMESTAMP, constants.SO_TIMESTAMPNS)
_WRITTEN: Final = (
    *(*_BUFFERS, *_FORCED, *_STAMPS),
    *(constants.SO_TIMESTAMPING, constants.SO_RXQ_OVFL),
)
_READ: Final = (
    *(constants.SO_ERROR, constants.SO_ERROR, constants.SO_MEMINFO, constants.SO_MEMINFO),
    *(constants.SO_RCVBUF, constants.SO_SNDBUF, constants.SO_RXQ_OVFL, constants.SO_TIMESTAMPING),
    *(*_STAMPS, _SO_TYPE, _SO_PROTOCOL, _SO_DOMAIN, constants.SO_RCVBUFFORCE, 9999),
)


def set_buffer(choose: Choices, who: int) -> Set:
    """Choose a small receive buffer."""
    return Set(who, SOL_SOCKET, constants.SO_RCVBUF, choose.word(0, 2000, 1153, 5000))


def set_of_socket(choose: Choices) -> Set:
    """Choose an option that sockets of every kind have."""
    who = choose.of(WHO)
    match choose.of(("buffer", "buffer", "forced", "stamps", "stamping", "odd", "unknown")):
        case "buffer":
            option, value = choose.of(_BUFFERS), choose.word(*_BUFFER_SIZES)
        case "forced":
            option, value = choose.of(_FORCED), choose.word(*_BUFFER_SIZES)
        case "stamps":
            option, value = choose.of((constants.SO_RXQ_OVFL, *_STAMPS)), choose.word(0, 1, 2)
        case "stamping":
            option, value = constants.SO_TIMESTAMPING, choose.word(*_STAMPING)
        case "odd":
            known = (
                *_BUFFERS,
                *_FORCED,
                *_STAMPS,
                constants.SO_TIMESTAMPING,
                constants.SO_RXQ_OVFL,
            )
            option, value = choose.of(known), choose.of(_ODD_VALUES)
        case _:
            option, value = choose.of(_READ), bytes(4)
            if option in _STAMPS:  # which has been told already
                option = 9999
    return Set(who, SOL_SOCKET, option, value)


def get(choose: Choices) -> Get:
    """Choose an option to be read."""
    level = choose.of((SOL_SOCKET, SOL_SOCKET, SOL_CAN_RAW, SOL_CAN_RAW, SOL_CAN_RAW, 100, 102))
    option = choose.of(_READ if level == SOL_SOCKET else (*range(1, 9), 0, _UNKNOWN))
    return Get(choose.of(WHO), level, option, choose.of((4, 4, 64, 64, 0, 1, 3, 5, 8, 36)))
