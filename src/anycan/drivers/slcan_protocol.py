"""The lines that hosts and slcan adapters send each other, to values and back.

A line ends in a carriage return, or in the bell (BEL), which is the answer "no". Frames are
``t``, ``T``, ``r`` and ``R``, an identifier of 3 or 8 hexadecimal digits, the length, and the data;
adapters may put a time stamp behind, milliseconds in 4 digits. Whatever comes from a line is
hostile: nothing here raises, and no memory grows.

Source: LAWICEL's manuals of CAN232 and CANUSB; for the lines ``e`` and ``s``
``drivers/net/can/slcan/slcan-core.c``, as in Linux 6.12.
"""

from __future__ import annotations

import enum
import re
from binascii import hexlify, unhexlify
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from anycan.frame import EFF_FLAG, EFF_MASK, RTR_FLAG, SFF_MASK
from anycan.wire.netlink_can import CanState

if TYPE_CHECKING:
    from collections.abc import Callable

BITRATES: Final = (
    10_000,
    20_000,
    50_000,
    100_000,
    125_000,
    250_000,
    500_000,
    800_000,
    1_000_000,
)
"""The bit rates of ``S0`` to ``S8``, in bits a second."""

STAMP_PERIOD: Final = 60_000
"""After how many milliseconds an adapter's time stamps begin anew."""

LONGEST: Final = 128
"""The most bytes of a line: frames have 30 at most, the versions of some adapters more."""


class Mark(enum.Enum):
    """What a line says that has no content."""

    DONE = enum.auto()
    """An empty line: the adapter has done what it was told."""
    SENT = enum.auto()
    """``z`` or ``Z``: the adapter has taken a frame."""
    REFUSED = enum.auto()
    """BEL: the adapter has not done what it was told."""
    GARBAGE = enum.auto()
    """None of the protocol's lines."""


class StatusFlag(enum.IntFlag):
    """What ``F`` answers, in LAWICEL's order of the bits."""

    RECEIVE_QUEUE_FULL = 0x01
    TRANSMIT_QUEUE_FULL = 0x02
    ERROR_WARNING = 0x04
    DATA_OVERRUN = 0x08
    ERROR_PASSIVE = 0x20
    ARBITRATION_LOST = 0x40
    BUS_ERROR = 0x80


@attrs.frozen
class FrameLine:
    """A frame.

    Attributes:
        payload: Its ``struct can_frame``.
        milliseconds: Its time stamp, 0 to 59,999; None: it has none.
    """

    payload: bytes
    milliseconds: int | None = None


@attrs.frozen
class StatusLine:
    """What ``F`` answers.

    Attributes:
        flags: Those of :class:`StatusFlag`.
    """

    flags: int


@attrs.frozen
class StateLine:
    """The controller's state, of its own accord.

    Attributes:
        state: ERROR_ACTIVE, ERROR_WARNING, ERROR_PASSIVE or BUS_OFF.
        receive: The receive error counter, 0 to 999.
        transmit: The transmit error counter, 0 to 999.
    """

    state: CanState
    receive: int
    transmit: int


@attrs.frozen
class ErrorsLine:
    """Errors on the bus.

    Attributes:
        letters: One for each: ``a`` no acknowledgement, ``b`` and ``B`` a bit that should have been
            0 or 1, ``c`` CRC, ``f`` form, ``o`` and ``O`` overflow on receiving and on sending,
            ``s`` stuffing.
    """

    letters: str


@attrs.frozen
class TextLine:
    """What ``V`` or ``N`` answers.

    Attributes:
        command: ``"V"`` (version) or ``"N"`` (serial number).
        text: The rest.
    """

    command: str
    text: str


Line: TypeAlias = FrameLine | StatusLine | StateLine | ErrorsLine | TextLine | Mark

_FLAGS: Final = {b"t": 0, b"T": EFF_FLAG, b"r": RTR_FLAG, b"R": EFF_FLAG | RTR_FLAG}
_STATES: Final = {
    b"a": CanState.ERROR_ACTIVE,
    b"w": CanState.ERROR_WARNING,
    b"p": CanState.ERROR_PASSIVE,
    b"b": CanState.BUS_OFF,
}
_MARKS: Final = {b"": Mark.DONE, b"z": Mark.SENT, b"Z": Mark.SENT}
_CLASSICAL: Final = Struct("=IB3x8s")


def encode_frame_line(payload: bytes) -> bytes:
    """Give the line that has an adapter send a frame of classical CAN.

    Args:
        payload: Its ``struct can_frame``. A DLC above 8 goes as 8: the protocol has no other.
    """
    word, length, data = _CLASSICAL.unpack(payload)
    digits = b"" if word & RTR_FLAG else hexlify(data[:length]).upper()
    if word & EFF_FLAG:
        letter = b"R" if word & RTR_FLAG else b"T"
        return b"%b%08X%d%b\r" % (letter, word & EFF_MASK, length, digits)
    letter = b"r" if word & RTR_FLAG else b"t"
    return b"%b%03X%d%b\r" % (letter, word & SFF_MASK, length, digits)


def decode_line(line: bytes) -> Line:
    """Give what a line says.

    Args:
        line: It, without the end.
    """
    mark = _MARKS.get(line)
    if mark is not None:
        return mark
    for pattern, decode in _PATTERNS:
        if match := pattern.fullmatch(line):
            return decode(*match.groups())
    return Mark.GARBAGE


def _decode_frame(letter: bytes, identifier: bytes, digit: bytes, digits: bytes) -> Line:
    word = int(identifier, 16) | _FLAGS[letter]
    length = int(digit)
    tail = unhexlify(digits)
    rest = len(tail) - length
    if word & RTR_FLAG:
        # slcanpty puts data behind those, too.
        stamp = tail[-2:] if len(tail) == 2 or rest == 2 else b""
        if len(tail) not in {0, 2, length, length + 2}:
            return Mark.GARBAGE
        tail = b""
    elif rest in {0, 2}:
        stamp = tail[length:]
        tail = tail[:length]
    else:
        return Mark.GARBAGE
    milliseconds = int.from_bytes(stamp, "big") if stamp else None
    if milliseconds is not None and milliseconds >= STAMP_PERIOD:
        milliseconds = None  # none that the protocol has
    return FrameLine(_CLASSICAL.pack(word, length, tail), milliseconds)


def _decode_status(digits: bytes) -> Line:
    return StatusLine(int(digits, 16))


def _decode_state(letter: bytes, receive: bytes, transmit: bytes) -> Line:
    return StateLine(_STATES[letter], int(receive), int(transmit))


def _decode_errors(digit: bytes, letters: bytes) -> Line:
    count = int(digit)
    return Mark.GARBAGE if count > len(letters) else ErrorsLine(letters[:count].decode())


def _decode_text(command: bytes, text: bytes) -> Line:
    return TextLine(command.decode(), text.decode())


_PATTERNS: Final[tuple[tuple[re.Pattern[bytes], Callable[..., Line]], ...]] = (
    (
        re.compile(
            rb"([tTrR])"
            rb"((?<=[tr])[0-7][0-9A-Fa-f]{2}|(?<=[TR])[01][0-9A-Fa-f]{7})"
            rb"([0-8])"
            rb"((?:[0-9A-Fa-f]{2})*)"
        ),
        _decode_frame,
    ),
    (re.compile(rb"F([0-9A-Fa-f]{2})"), _decode_status),
    (re.compile(rb"s([awpb])([0-9]{3})([0-9]{3})"), _decode_state),
    (re.compile(rb"e([1-8])([abBcfoOs]+)"), _decode_errors),
    (re.compile(rb"([VN])([ -~]+)"), _decode_text),
)


class LineSplitter:
    """Parts what comes from an adapter into lines, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._rest = b""
        self._overlong = False

    def feed(self, data: bytes) -> list[Line]:
        """Take what has come, and give the lines that have ended.

        A bell ends a line as a carriage return does, and is told behind it.
        """
        *ended, rest = (self._rest + data).replace(b"\a", b"\a\r").split(b"\r")
        lines: list[Line] = []
        for number, text in enumerate(ended):
            overlong = number == 0 and self._overlong
            refused = text.endswith(b"\a")
            line = text[:-1] if refused else text
            line = line.lstrip(b"\n")  # of adapters that end lines in both
            if overlong or len(line) > LONGEST:
                lines.append(Mark.GARBAGE)
            elif line or not refused:
                lines.append(decode_line(line))
            if refused:
                lines.append(Mark.REFUSED)
        if ended:
            self._overlong = False
        rest = rest.lstrip(b"\n")
        if self._overlong or len(rest) > LONGEST:
            self._overlong = True
            rest = b""
        self._rest = rest
        return lines
