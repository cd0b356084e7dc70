"""candump's log lines: ``(1436509052.249713) vcan0 044#2A366C2BBA``, both ways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

import attrs

from anycan.exceptions import FrameError, LogParseError, ParseError
from anycan.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from anycan.frame import AnyFrame

_LINE: Final = re.compile(
    r"""
    \( (?P<seconds> [0-9]{1,10} ) \. (?P<fraction> [0-9]{1,9} ) \) \s+
    (?P<interface> \S+ ) \s+
    (?P<frame> \S+ )
    (?: \s+ (?P<direction> [RT] ) )?
    """,
    re.VERBOSE,
)
_FORM: Final = "for example: (1436509052.249713) vcan0 044#2A366C2BBA"

_set = object.__setattr__


def format_timestamp(timestamp_ns: int) -> str:
    """Give a stamp as candump writes it: seconds since the epoch, microseconds cut off.

    Example:
        >>> format_timestamp(1_436_509_052_249_713_999)
        '1436509052.249713'
    """
    microseconds = timestamp_ns // 1000
    return f"{microseconds // 1_000_000:010d}.{microseconds % 1_000_000:06d}"


@attrs.frozen
class LogRecord:
    """One line of a candump log: a frame, with when and where it was seen.

    Args:
        timestamp_ns: When, in nanoseconds since the epoch. A line carries microseconds.
        interface: Name of the interface.
        frame: The frame. That of a parsed line is as if it had just been received: it carries the
            stamp and the interface too, and ``local`` where the line ends in ``T``.
        direction: ``"R"`` (received), ``"T"`` (sent on the logging host), where the log says it
            (``candump -x``); None where it does not.

    Example:
        >>> record = LogRecord.parse("(1436509052.249713) vcan0 044#2A366C2BBA")
        >>> record.timestamp_ns, record.interface, record.frame.data.hex()
        (1436509052249713000, 'vcan0', '2a366c2bba')
        >>> str(record)
        '(1436509052.249713) vcan0 044#2A366C2BBA'
    """

    timestamp_ns: int
    interface: str
    frame: AnyFrame
    direction: Literal["R", "T"] | None = None

    @classmethod
    def of(cls, frame: AnyFrame, *, direction: bool = False) -> LogRecord:
        """Make the record of a received frame.

        Args:
            frame: A frame with a stamp and an interface.
            direction: Note whether it was sent on this host.

        Raises:
            FrameError: The frame was not received, but made: nothing says when and where.
        """
        if frame.timestamp_ns is None or frame.interface is None:
            raise FrameError(
                f"{frame} has no time stamp or no interface: only a received frame has both;"
                " give them to LogRecord(timestamp_ns, interface, frame)"
            )
        sent: Literal["R", "T"] = "T" if frame.local else "R"
        return cls(frame.timestamp_ns, frame.interface, frame, sent if direction else None)

    @classmethod
    def parse(cls, line: str) -> LogRecord:
        """Read one line; white space around it does not matter.

        Raises:
            ParseError: It is no log line, or its frame cannot be.
        """
        text = line.strip()
        match = _LINE.fullmatch(text)
        if match is None:
            raise ParseError(f"not a log line: {text[:100]!r}; {_FORM}", line)
        try:
            frame = Frame.parse(match["frame"])
        except ParseError as error:
            raise ParseError(str(error), line) from None
        except FrameError as error:
            raise ParseError(f"{error}: {match['frame'][:100]!r}", line) from None
        timestamp_ns = int(match["seconds"]) * 1_000_000_000 + int(match["fraction"].ljust(9, "0"))
        interface = match["interface"]
        direction = match["direction"]
        # A frame is immutable to its users. This one has none yet.
        _set(frame, "timestamp_ns", timestamp_ns)
        _set(frame, "interface", interface)
        _set(frame, "local", direction == "T")
        return cls(
            timestamp_ns, interface, frame, "T" if direction == "T" else "R" if direction else None
        )

    def __str__(self) -> str:
        """Give the line, as candump writes it."""
        text = f"({format_timestamp(self.timestamp_ns)}) {self.interface} {self.frame}"
        return text if self.direction is None else f"{text} {self.direction}"


def read_log(
    lines: Iterable[str | bytes],
    *,
    file: str = "<log>",
    first_line: int = 1,
    on_error: Callable[[LogParseError], object] | None = None,
) -> Iterator[LogRecord]:
    """Read a log, line by line as it is asked for.

    Blank lines and comments (``#`` first) are skipped.

    Args:
        lines: An open file, or any lines. Best is a file opened in binary mode (``"rb"``): a line
            that is not UTF-8 is then a garbled line like any other. A text file fails by itself on
            such a line, unless it was opened with ``errors="surrogateescape"``.
        file: The name that errors give it.
        first_line: The number of the first of the lines, for one piece of a longer log.
        on_error: Takes the error of a garbled line, and the rest goes on; None: it is raised.

    Raises:
        LogParseError: A line is garbled; it says the file and the number of the line.

    Example:
        >>> garbled = []
        >>> lines = ["(1.5) can0 123#11", "", "(1.6) can0 12#", "(1.7) can1 123#R"]
        >>> [str(record) for record in read_log(lines, on_error=garbled.append)]
        ['(0000000001.500000) can0 123#11', '(0000000001.700000) can1 123#R']
        >>> garbled[0].line
        3
    """
    for number, given in enumerate(lines, first_line):
        try:
            line = given if isinstance(given, str) else _decode(given)
            if not line or line.isspace() or line.lstrip().startswith("#"):
                continue
            record = LogRecord.parse(line)
        except ParseError as error:
            located = LogParseError(str(error), error.text, file=file, line=number)
            if on_error is None:
                raise located from None
            on_error(located)
        else:
            yield record


def _decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        text = line.decode(errors="backslashreplace")
        if text.lstrip().startswith("#"):  # a comment may be written in any encoding
            return text
        raise ParseError(f"not UTF-8: {text.strip()[:100]!r}; {_FORM}", text) from None
