"""A bus: the wire that controllers of one network share, and what a frame becomes on it."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from anycan.frame import BRS, EFF_FLAG, EFF_MASK, ESI, FDF, RTR_FLAG, SFF_MASK
from anycan.network.core.payload import FLEXIBLE, kind_of, prepare, unpack_word

if TYPE_CHECKING:
    from anycan.network.core.controller import Controller
    from anycan.network.core.interface import Interface
    from anycan.network.core.payload import Prepared

_CLASSICAL: Final = Struct("=IBxxB8s")
_FLEXIBLE: Final = Struct("=IBBxx64s")
_LENGTHS: Final = (8, 12, 16, 20, 24, 32, 48, 64)  # ISO 11898-1, of CAN FD, from 8 bytes on
_FROM_9_TO_64: Final = {
    length: next(one for one in _LENGTHS if one >= length) for length in range(9, 65)
}


class Bus:
    """A wire that controllers share. All hear a frame at once, as soon as it is sent.

    There is no arbitration, no acknowledgement and no bit error: a frame that is sent is received,
    also where nobody else is on the bus. What a real bus would destroy, who cannot hear it does not
    hear: a CAN FD frame a controller that has CAN FD off, and any frame one with another bit rate.

    Attributes:
        controllers: Those that are on it, in the order in which they came.
    """

    def __init__(self) -> None:
        self.controllers: dict[Controller, None] = {}
        # Who hears a sender's frames, by whether they are CAN FD and have BRS; found out once, and
        # again when something has changed.
        self._hearing: dict[tuple[Controller, bool, bool], tuple[Controller, ...]] = {}

    def changed(self) -> None:
        """Take note that others may hear a frame: who is on it, their settings, their carrier."""
        self._hearing.clear()

    def hearers(self, sender: Controller, prepared: Prepared) -> list[tuple[Interface, Prepared]]:
        """Give the interfaces of the controllers that hear a frame, and as what."""
        payload, kind, _, _ = prepared
        flexible = kind == FLEXIBLE
        key = (sender, flexible, flexible and bool(payload[5] & BRS))
        hearing = self._hearing.get(key)
        if hearing is None:
            hearing = self._hearing[key] = self._who_hears(*key)
        if not hearing:
            return []
        heard = heard_from(prepared, with_dlc=sender.tells_dlc)
        if flexible or not heard[0][7]:
            return [(one.interface, heard) for one in hearing]
        less = prepare(without_dlc(heard[0]), kind)
        return [(one.interface, heard if one.tells_dlc else less) for one in hearing]

    def _who_hears(
        self, sender: Controller, flexible: bool, switched: bool
    ) -> tuple[Controller, ...]:
        return tuple(
            one
            for one in self.controllers
            if one is not sender and one.hears(sender, flexible=flexible, switched=switched)
        )


def heard_from(prepared: Prepared, *, with_dlc: bool) -> Prepared:
    """Give a frame that is sent as it is heard; see :func:`on_the_wire`."""
    return prepare(on_the_wire(prepared[0], with_dlc=with_dlc), prepared[1])


def on_the_wire(payload: bytes, *, with_dlc: bool) -> bytes:
    """Give a frame as other controllers hear it, who know nothing of its padding.

    Args:
        payload: The bytes that were sent, of classical CAN or CAN FD.
        with_dlc: Its sender puts a DLC from 9 to 15 on the wire (``CanMode.CC_LEN8_DLC``).

    Returns:
        Its bytes: the error flag is gone, and bits and data beyond their length are 0. CAN FD data
        is as long as a DLC can tell.
    """
    (word,) = unpack_word(payload)
    word &= EFF_MASK | EFF_FLAG | RTR_FLAG if word & EFF_FLAG else SFF_MASK | RTR_FLAG
    length = payload[4]
    data = payload[8 : 8 + length]
    if kind_of(payload) == FLEXIBLE:
        flags = payload[5] & (BRS | ESI) | FDF
        return _FLEXIBLE.pack(word & ~RTR_FLAG, _FROM_9_TO_64.get(length, length), flags, data)
    dlc = payload[7] if with_dlc and length == 8 and 9 <= payload[7] <= 15 else 0
    return _CLASSICAL.pack(word, length, dlc, b"" if word & RTR_FLAG else data)


def without_dlc(payload: bytes) -> bytes:
    """Give a frame as a controller hears it that does not tell a DLC from 9 to 15."""
    if kind_of(payload) == FLEXIBLE or not payload[7]:
        return payload
    return b"%b\0%b" % (payload[:7], payload[8:])
