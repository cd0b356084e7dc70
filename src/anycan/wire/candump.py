"""What candump prints: frames as lines for a screen, and as lines of a log."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from anycan.frame import ErrorFrame, FdFrame, RemoteFrame, XlFrame
from anycan.wire.errortext import describe_error
from anycan.wire.log import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.frame import AnyFrame

TimestampMode: TypeAlias = Literal["a", "d", "z", "A"]
"""candump's ``-t``: absolute, delta, from zero, absolute with date."""

_XL_SHOWN: Final = 64  # bytes of a CAN XL frame on one line
_BITS: Final = tuple(f"{byte:08b}" for byte in range(256))
_PRINTABLE: Final = "".join(chr(code) if 0x20 <= code < 0x7F else "." for code in range(256))


def _stamp_of(frame: AnyFrame, hardware: bool) -> int:
    if hardware and frame.hardware_timestamp_ns is not None:
        return frame.hardware_timestamp_ns
    return frame.timestamp_ns or 0


class LogFormatter:
    r"""Frames as lines of a log: what ``candump -L`` and ``candump -l`` write.

    With several interfaces their names stand in one column, as wide as the widest so far.

    Args:
        interfaces: Names of the interfaces that are listened to, where they are known.
        direction: End each line with ``R`` (received) or ``T`` (sent on this host), as with
            ``candump -x``.
        hardware: Use the controller's stamps where there are some.

    Example:
        >>> LogFormatter().format([Frame(0x123, b"A", timestamp_ns=5 * 10**8, interface="can0")])
        '(0000000000.500000) can0 123#41\n'
    """

    def __init__(
        self, interfaces: Iterable[str] = (), *, direction: bool = False, hardware: bool = False
    ) -> None:
        self._width = max(map(len, interfaces), default=0)
        self._direction = direction
        self._hardware = hardware

    def format(self, frames: Iterable[AnyFrame]) -> str:
        """Give a line for each frame, line ends included."""
        parts: list[str] = []
        width = self._width
        direction = self._direction
        hardware = self._hardware
        for frame in frames:
            name = frame.interface or "-"
            if len(name) > width:
                width = self._width = len(name)
            end = "\n" if not direction else " T\n" if frame.local else " R\n"
            stamp = format_timestamp(_stamp_of(frame, hardware))
            parts.append(f"({stamp}) {name:>{width}} {frame}{end}")
        return "".join(parts)


class ScreenFormatter:
    r"""Frames as lines to read: what candump prints by default, and with its options.

    Identifiers of 11 bits stand in a column of three until one of 29 bits has been seen, and in
    one of eight from then on; names of interfaces in a column as wide as the widest so far.

    Args:
        interfaces: Names of the interfaces that are listened to, where they are known.
        timestamps: ``"a"``: seconds since the epoch; ``"d"``: since the frame before; ``"z"``:
            since the first; ``"A"``: date and time of day; None: none.
        text: Show up to eight bytes as ASCII too (``-a``).
        binary: Show bytes as bits (``-i``).
        swap: Show the last byte first, with back ticks between them (``-S``).
        direction: Show RX or TX, B for the bit rate switch and E for the error state indicator of
            CAN FD (``-x``).
        errors: Put error frames into words (``-e``).
        hardware: Use the controller's stamps where there are some (``-H``).
        timezone: Of the dates; None: this machine's.

    Raises:
        ValueError: ``timestamps`` is none of these.

    Example:
        >>> print(ScreenFormatter(text=True).format([Frame(0x123, b"CAN!", interface="can0")]))
          can0  123   [4]  43 41 4E 21               'CAN!'
        <BLANKLINE>
    """

    def __init__(
        self,
        interfaces: Iterable[str] = (),
        *,
        timestamps: TimestampMode | None = None,
        text: bool = False,
        binary: bool = False,
        swap: bool = False,
        direction: bool = False,
        errors: bool = False,
        hardware: bool = False,
        timezone: dt.tzinfo | None = None,
    ) -> None:
        if timestamps is not None and timestamps not in get_args(TimestampMode):
            raise ValueError(f"timestamps is 'a', 'd', 'z', 'A' or None, not {timestamps!r}")
        self._width = max(map(len, interfaces), default=0)
        self._timestamps = timestamps
        self._text = text
        self._binary = binary
        self._swap = swap
        self._direction = direction
        self._errors = errors
        self._hardware = hardware
        self._timezone = timezone
        self._wide = False  # a 29-bit identifier has been seen
        self._base: int | None = None  # microseconds that "d" and "z" count from
        self._second = -1  # the second that _date is the text of
        self._date = ""

    def format(self, frames: Iterable[AnyFrame]) -> str:
        """Give the lines of the frames, line ends included."""
        parts: list[str] = []
        for frame in frames:
            name = frame.interface or "-"
            self._width = max(self._width, len(name))
            if self._timestamps is not None:
                parts.append(self._stamp(_stamp_of(frame, self._hardware) // 1000))
            parts.append(f"  {name:>{self._width}}{self._flags(frame)}  {self._body(frame)}\n")
            if self._errors and isinstance(frame, ErrorFrame):
                parts.extend(f"\t{line}\n" for line in describe_error(frame))
        return "".join(parts)

    def _stamp(self, now: int) -> str:
        mode = self._timestamps
        if mode == "a":
            return f" ({now // 1_000_000:010d}.{now % 1_000_000:06d})"
        if mode == "A":
            second = now // 1_000_000
            if second != self._second:
                self._second = second
                local = dt.datetime.fromtimestamp(second, self._timezone)
                self._date = f"{local:%Y-%m-%d %H:%M:%S}"
            return f" ({self._date}.{now % 1_000_000:06d})"
        if self._base is None:
            self._base = now
        elapsed = max(0, now - self._base)  # the clock may have been set back
        if mode == "d":
            self._base = now
        return f" ({elapsed // 1_000_000:03d}.{elapsed % 1_000_000:06d})"

    def _flags(self, frame: AnyFrame) -> str:
        if not self._direction:
            return ""
        sent = "TX" if frame.local else "RX"
        if isinstance(frame, FdFrame):
            return f"  {sent} {'B' if frame.brs else '-'} {'E' if frame.esi else '-'}"
        return f"  {sent} - -"

    def _body(self, frame: AnyFrame) -> str:
        if isinstance(frame, XlFrame):
            return self._xl_body(frame)
        if isinstance(frame, ErrorFrame):
            identifier = f"{frame.can_id:08X}"
        elif frame.extended:
            self._wide = True
            identifier = f"{frame.id:08X}"
        else:
            identifier = f"     {frame.id:03X}" if self._wide else f"{frame.id:03X}"
        if isinstance(frame, RemoteFrame):
            return f"{identifier}   [{frame.length}]  remote request"
        data = frame.data
        length = len(data)
        brackets = f" [{length:02d}]" if isinstance(frame, FdFrame) else f"  [{length}]"
        line = f"{identifier} {brackets} {self._bytes(data)}"
        if isinstance(frame, ErrorFrame):
            return f"{line}{self._padding(length)}ERRORFRAME"
        if self._text and length <= 8:
            return f"{line}{self._padding(length)}{self._ascii(data)}"
        return line

    def _xl_body(self, frame: XlFrame) -> str:
        identifier = f"{'     ' if self._wide else ''}{frame.priority:03X}"
        header = (
            f"({frame.vcid:02X}|{frame.flags:02X}:{frame.sdt:02X}:{frame.acceptance_field:08X})"
        )
        more = " ..." if len(frame.data) > _XL_SHOWN else ""
        shown = self._bytes(frame.data[:_XL_SHOWN])
        return f"{identifier} [{len(frame.data):04d}] {header} {shown}{more}"

    def _bytes(self, data: bytes) -> str:
        """Give a space and the bytes; nothing for no bytes."""
        if not data:
            return ""
        between = " "
        if self._swap:
            data = data[::-1]
            between = "`"
        if self._binary:
            return " " + between.join([_BITS[byte] for byte in data])
        return " " + data.hex(between).upper()

    def _padding(self, length: int) -> str:
        """Give the space from the bytes to the column behind eight of them."""
        return " " * ((9 if self._binary else 3) * (8 - length) + 3)

    def _ascii(self, data: bytes) -> str:
        quote = "'"
        if self._swap:
            data = data[::-1]
            quote = "`"
        return quote + "".join([_PRINTABLE[byte] for byte in data]) + quote
