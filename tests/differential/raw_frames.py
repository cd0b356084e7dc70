"""The frames of random programs: most of them right, some wrong in one way or another."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from choices import Theme

if TYPE_CHECKING:
    from choices import Choices

_IDENTIFIERS: Final = (1, 1, 1, 0, 0x123, 0x123, 2, 3, 0x7FF, 0x1FFFFFFF, 0x10000123)
_FLAGS: Final = (*6 * (0,), 1 << 31, 1 << 31, 1 << 30, 1 << 30, 1 << 29, 1 << 29, 3 << 30, 5 << 29)
_XL_WORDS: Final = (
    *(1, 0, 0x123, 0x7FF, 0x10001, 0x10123, 0x450123, 0xFF0000, 0x800, 0x20000001, 0xFF000123),
)
_XL_DATA: Final = (b"1", b"1234", bytes(60), bytes(64), bytes(2048))
_ODD: Final = (b"", bytes(12), bytes(13), bytes(15), bytes(17), bytes(73), bytes(2060), bytes(2061))


def frame(choose: Choices) -> bytes:
    """Choose the bytes of a message that is sent."""
    return choose.of(_KINDS[choose.theme])(choose)


def _word(choose: Choices) -> int:
    if choose.theme is Theme.FILTERS:
        return choose.of((0x123, 0x123, 1, 0x10000123)) | choose.of((0, 1 << 31, 1 << 30, 1 << 29))
    return choose.of(_IDENTIFIERS) | choose.of(_FLAGS)


def _classical(choose: Choices) -> bytes:
    word = _word(choose)
    length = choose.of((*6 * (8,), 0, 1, 4, 9, 255))
    pads = choose.of((b"\0\0", b"\0\0", b"\x04\x01", b"\x30\xff"))
    dlc, data = choose.of((0, 9, 15)), choose.of((b"12345678", bytes(8)))
    return struct.pack("=IB2sB8s", word, length, pads, dlc, data)


def _flexible(choose: Choices) -> bytes:
    word = _word(choose)
    length = choose.of((64, 64, 0, 8, 13, 65, 255))
    flags = choose.of((0, 1, 2, 3, 4, 7, 8, 15, 0xFF))
    reserved, data = choose.of((b"\0\0", b"\x01\xff")), choose.of((bytes(range(64)), bytes(64)))
    return struct.pack("=IBB2s64s", word, length, flags, reserved, data)


def _long(choose: Choices) -> bytes:
    word, data = choose.of(_XL_WORDS), choose.of(_XL_DATA)
    flags = choose.of((0x80, 0x80, 0x80, 0x81, 0xFF, 0))
    length = len(data) + choose.of((0, 0, 0, 0, 0, 1, -1))
    return struct.pack("=IBBHI", word, flags, 3, length, 0x12345678) + data


def _strange(choose: Choices) -> bytes:
    return choose.of(_ODD)


_KINDS: Final = {
    Theme.ANYTHING: (*7 * (_classical,), *3 * (_flexible,), *3 * (_long,), _strange),
    Theme.FILTERS: (*9 * (_classical,), _flexible),
    Theme.BUFFERS: (*3 * (_classical,), _flexible, _long),
    Theme.LINKS: (_classical,),
    Theme.LONG: (*7 * (_long,), _classical, _flexible, _strange),
}
