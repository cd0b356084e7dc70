"""Which identifier a frame has, whatever else its bytes say.

On a virtual bus a program may send an 11-bit identifier with other bits set in its word. The kernel
passes them on; what is kept for each identifier must not take them for another one.
"""

from __future__ import annotations

import sys
from typing import Final

from anycan.frame import EFF_FLAG, ERR_FLAG, RTR_FLAG, SFF_MASK, XLF

_KEPT: Final = 1 << 16
_VCID: Final = 0x00FF0000  # linux/can.h: CANXL_VCID_VAL_MASK at CANXL_VCID_OFFSET
_FLAGS: Final = EFF_FLAG | RTR_FLAG | ERR_FLAG


class Identifiers(dict[bytes, bytes]):
    """The word of a frame without what does not count, by the frame's first five bytes.

    Example:
        >>> dirty = (0x123 | 1 << 11).to_bytes(4, sys.byteorder) + bytes(1)
        >>> hex(int.from_bytes(Identifiers()[dirty], sys.byteorder))
        '0x123'
    """

    def __missing__(self, key: bytes) -> bytes:
        if len(self) >= _KEPT:
            self.clear()
        word = int.from_bytes(key[:4], sys.byteorder)
        if len(key) > 4 and key[4] & XLF:
            word &= _VCID | SFF_MASK
        elif not word & (EFF_FLAG | ERR_FLAG):
            word &= _FLAGS | SFF_MASK
        found = self[key] = word.to_bytes(4, sys.byteorder)
        return found


identifiers: Final = Identifiers()
