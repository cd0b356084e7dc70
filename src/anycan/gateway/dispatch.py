"""Which rules take a frame, found by its bytes: no object is made of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from anycan.filter import CLASSICAL, FLEXIBLE, FilterIndex, Trial
from anycan.frame import ERR_FLAG, RTR_FLAG, SFF_MASK, XLF
from anycan.wire.constants import CAN_MTU, CANFD_MTU

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from anycan.filter import Filter
    from anycan.frame import AnyFrame
    from anycan.sockets.forwarding import ForwardingSocket

_XL_WORD: Final = 0x00FF0000 | SFF_MASK  # linux/can.h: the VCID and the priority, and no more
_KEPT: Final = 1 << 16


class Dispatch:
    """The rules of one source, by what they take.

    Args:
        fault: Is told when a function of :meth:`Filter.where` raises: the rule, the frame, the
            exception. The frame is then not taken.

    Attributes:
        verdicts: Who takes a frame, by its first four bytes; or a :class:`Trial` of these. To be
            asked by subscription alone.
        by_word: The same by the frame's 32-bit word.
    """

    def __init__(self, fault: Callable[[Any, AnyFrame | None, Exception], object]) -> None:
        self._index: FilterIndex[Any] = FilterIndex(fault)
        self.verdicts = _Verdicts(self._look_up)
        self.by_word = self._index.verdicts

    def add(self, wanted: Filter, taker: Hashable) -> None:
        """Have somebody take what a filter takes."""
        self._index.add(wanted, taker)
        self.verdicts.clear()

    def remove(self, taker: Hashable) -> None:
        """Have somebody take nothing more."""
        self._index.remove(taker)
        self.verdicts.clear()

    def _look_up(self, key: bytes) -> tuple[Any, ...] | Trial[Any]:
        return self.by_word[int.from_bytes(key, sys.byteorder)]

    def takers_of_xl(self, payload: bytes) -> tuple[Any, ...] | Trial[Any]:
        """Give who takes a frame that may be one of CAN XL, whose word has other bits besides."""
        if not payload[4] & XLF:
            return self.verdicts[payload[:4]]
        word = int.from_bytes(payload[:4], sys.byteorder) & _XL_WORD
        return self.verdicts[word.to_bytes(4, sys.byteorder)]


class _Verdicts(dict[bytes, "tuple[Any, ...] | Trial[Any]"]):
    """Verdicts, looked up at the first frame of an identifier.

    A bus has few identifiers. Who sends at random shall not fill memory.
    """

    def __init__(self, look_up: Callable[[bytes], tuple[Any, ...] | Trial[Any]]) -> None:
        super().__init__()
        self._look_up = look_up

    def __missing__(self, key: bytes) -> tuple[Any, ...] | Trial[Any]:
        if len(self) >= _KEPT:
            self.clear()
        verdict = self[key] = self._look_up(key)
        return verdict


def settle(
    trial: Trial[Any], payload: bytes, stamp_ns: int, socket: ForwardingSocket
) -> tuple[Any, ...]:
    """Give who takes a frame of which the identifier alone does not tell it."""
    size = len(payload)
    word = int.from_bytes(payload[:4], sys.byteorder)
    if size in {CAN_MTU, CANFD_MTU} and not word & (ERR_FLAG | RTR_FLAG) and not payload[4] & XLF:
        kind = CLASSICAL if size == CAN_MTU else FLEXIBLE
        takers = trial.decide(kind, word, payload[8 : 8 + payload[4]], socket.interface)
        if isinstance(takers, tuple):
            return takers
    frame = socket.make_frame(payload, stamp_ns)
    return () if frame is None else trial.decide_frame(frame)
