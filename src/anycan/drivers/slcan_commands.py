"""The commands that open an slcan adapter, and what answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.drivers.slcan_protocol import BITRATES, Mark, StatusLine, TextLine

if TYPE_CHECKING:
    from anycan.drivers.slcan_settings import SlcanSettings

# The first carriage returns end what may stand in the adapter of a line that was broken off.
HELLO: Final = b"\r\rC"
FAREWELL: Final = b"\rC\r"


def is_answer(line: StatusLine | TextLine | Mark, command: bytes) -> bool:
    """Tell whether a line may be the answer to a command, while it waits for one.

    Some adapters tell their version and their number in their own words. What else comes while the
    version is waited for answers the carriage returns before.
    """
    match command:
        case b"V" | b"N":
            if isinstance(line, TextLine):
                return line.command.encode() == command
            return line is Mark.GARBAGE or (command == b"N" and line in {Mark.DONE, Mark.REFUSED})
        case b"":
            return False
        case b"F" if isinstance(line, StatusLine):
            return True
        case _:
            return line in {Mark.DONE, Mark.REFUSED}


def commands_for(settings: SlcanSettings, *, stamps: bool) -> list[bytes]:
    """Give what opens an adapter, whatever it did before."""
    return [
        HELLO,
        b"V",
        b"N",
        b"S%d" % BITRATES.index(settings.bitrate),
        *([b"Z1"] if stamps else []),
        b"L" if settings.listen_only else b"O",
        b"F",
    ]
