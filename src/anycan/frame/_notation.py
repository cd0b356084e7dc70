"""candump's notation of a frame, taken apart: text in, numbers and bytes out.

========================  ==================================================================
``123#DEADBEEF``          classical CAN, 11-bit identifier (three hex digits)
``12345678#R8``           a remote frame, 29-bit identifier (eight digits) and its length
``123#1122334455667788_E``  classical CAN with a raw DLC of 9 to 15
``123##3AABB``            CAN FD: one hex digit of flags (BRS 1, ESI 2, FDF 4), then the data
``45123#81:00:12345678#11``  CAN XL: VCID and priority, flags, SDT, acceptance field, data
``20000004#0001``         an error frame: the error flag and its classes
========================  ==================================================================

Data bytes may be parted by dots.
"""

from __future__ import annotations

import re
from enum import Enum, auto

import attrs

from anycan.exceptions import ParseError
from anycan.frame._base import EFF_MASK, ERR_FLAG

_NOTATION = re.compile(
    r"""
    (?P<id> [0-9A-Fa-f]{3} | [0-9A-Fa-f]{5} | [0-9A-Fa-f]{8} ) \#
    (?:
        [Rr] (?P<length> [0-9]? ) (?: _ (?P<remote_dlc> [0-9A-Fa-f] ) )?
      | \# (?P<fd_flags> [0-9A-Fa-f] ) (?P<fd_data> [0-9A-Fa-f.]* )
      | (?P<xl_flags> [0-9A-Fa-f]{2} ) : (?P<sdt> [0-9A-Fa-f]{2} )
        : (?P<acceptance> [0-9A-Fa-f]{8} ) \# (?P<xl_data> [0-9A-Fa-f.]* )
      | (?P<data> [0-9A-Fa-f.]* ) (?: _ (?P<dlc> [0-9A-Fa-f] ) )?
    )
    """,
    re.VERBOSE,
)
_FORMS = "for example 123#DEADBEEF, 12345678#R8, 123##3AABB or 45123#81:00:12345678#1122"


class Kind(Enum):
    """Which class of frame a text stands for."""

    DATA = auto()
    REMOTE = auto()
    FD = auto()
    XL = auto()
    ERROR = auto()


@attrs.frozen
class Notation:
    """The parts of a frame in candump's notation."""

    kind: Kind
    identifier: int
    extended: bool
    data: bytes = b""
    length: int = 0
    len8_dlc: int = 0
    flags: int = 0
    sdt: int = 0
    acceptance_field: int = 0
    vcid: int = 0


def split_notation(text: str) -> Notation:
    """Take a frame in candump's notation apart.

    Raises:
        ParseError: The text is no frame. Ranges are the frame's own to check.
    """
    match = _NOTATION.fullmatch(text)
    if match is None:
        raise ParseError(f"not a frame in candump's notation: {text!r}; {_FORMS}", text)
    digits = match["id"]
    word = int(digits, 16)
    extended = len(digits) == 8
    is_xl = match["xl_flags"] is not None
    if (len(digits) == 5) != is_xl:
        raise ParseError(
            f"CAN XL, and it alone, has five digits (VCID, priority) before the '#': {text!r}",
            text,
        )
    if is_xl:
        return Notation(
            Kind.XL,
            word & 0xFFF,
            extended=False,
            data=_data(match["xl_data"], text),
            flags=int(match["xl_flags"], 16),
            sdt=int(match["sdt"], 16),
            acceptance_field=int(match["acceptance"], 16),
            vcid=word >> 12,
        )
    if extended and word & ERR_FLAG:
        return _split_error(match, word, text)
    if match["fd_flags"] is not None:
        return Notation(
            Kind.FD,
            word,
            extended,
            data=_data(match["fd_data"], text),
            flags=int(match["fd_flags"], 16),
        )
    if match["length"] is not None:
        return Notation(
            Kind.REMOTE,
            word,
            extended,
            length=int(match["length"] or "0"),
            len8_dlc=int(match["remote_dlc"] or "0", 16),
        )
    return Notation(
        Kind.DATA,
        word,
        extended,
        data=_data(match["data"], text),
        len8_dlc=int(match["dlc"] or "0", 16),
    )


def _split_error(match: re.Match[str], word: int, text: str) -> Notation:
    if match["data"] is None or match["dlc"] is not None:
        raise ParseError(f"an error frame has data alone behind the '#': {text!r}", text)
    data = _data(match["data"], text)
    return Notation(Kind.ERROR, word & ~ERR_FLAG & EFF_MASK, extended=True, data=data)


def _data(digits: str, text: str) -> bytes:
    try:
        return bytes.fromhex(digits.replace(".", ""))
    except ValueError:
        raise ParseError(f"an odd number of hex digits in the data of {text!r}", text) from None
