"""PDUs as lines to read: in candump's columns, with what is special about ISO-TP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from cyclopts import Parameter

from anycan import Frame, ScreenFormatter
from anycan.cli.common import emit

if TYPE_CHECKING:
    from anycan import Address, IsotpRecord

Timestamps: TypeAlias = Literal["a", "d", "z", "A", "n"]
TimestampsOption = Annotated[
    Timestamps,
    Parameter(
        name=["--timestamps", "-t"],
        help=(
            "Show when: *a*, the default, seconds since the epoch; *d* since the PDU before; *z*"
            " since the first; *A* date and time; *n* not at all."
        ),
    ),
]
PlainOption = Annotated[
    bool, Parameter(name="--plain", help="Print PDUs as bytes in hex and nothing else.")
]
AsciiOption = Annotated[bool, Parameter(name=["--ascii", "-a"], help="Show bytes as ASCII too.")]

_EMPTY_FRAME: Final = "   [0] \n"  # what candump has behind an identifier where there is no data
_GAP: Final = 11  # columns of +999.999 ms
_FAULTS: Final = {
    "sequence": "a frame is missing, or came twice",
    "timeout": "the next frame did not come within 1 s",
    "interrupted": "its sender began another one",
    "overflow": "there is no room for it",
    "unfinished": "nothing more was heard",
}
_PRINTABLE: Final = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


class PduFormatter:
    """Makes lines of PDUs.

    Args:
        timestamps: How to show when.
        text: Show bytes as ASCII too.
    """

    def __init__(self, timestamps: Timestamps, *, text: bool) -> None:
        self._screen = ScreenFormatter(timestamps=None if timestamps == "n" else timestamps)
        self._text = text

    def received(self, address: Address, interface: str, stamp_ns: int, pdu: bytes) -> str:
        """Give the line of a PDU that was received here."""
        identifier = address.tx_id if address.rx_id is None else address.rx_id
        head = self._head(identifier, address.extended_ids, interface, stamp_ns)
        return f"{head}{_byte(address.rx_extension)}  [{len(pdu)}]  {self._data(pdu)}\n"

    def served(
        self,
        address: Address,
        arrow: Literal["->", "<-"],
        interface: str,
        stamp_ns: int,
        pdu: bytes,
    ) -> str:
        """Give the line of a PDU between two nodes, the first of which the address is of."""
        ends = self._ends(address, arrow, interface, stamp_ns)
        return f"{ends}  [{len(pdu)}]  {self._data(pdu)}\n"

    def heard(self, record: IsotpRecord, gap: float | None) -> str:
        """Give the line of a PDU that was heard.

        Args:
            record: The PDU.
            gap: How many seconds after the last one of the other direction it began.
        """
        arrow: Literal["->", "<-"] = "->" if record.direction == "tx" else "<-"
        ends = self._ends(record.address, arrow, record.interface or "-", record.started_ns)
        length = f"{len(record.pdu)}"
        if record.fault is not None:
            length += f" of {record.length}"
        line = f"{ends}  {_time(gap, '+'):>{_GAP}}  [{length}]  {self._data(record.pdu)}"
        if record.frames > 1 or record.flow_controls:
            line += f"  ({_course(record)})"
        if record.fault is not None:
            line += f"  {record.fault}: {_FAULTS[record.fault]}"
        return f"{line}\n"

    def _ends(self, address: Address, arrow: str, interface: str, stamp_ns: int) -> str:
        head = self._head(address.tx_id, address.extended_ids, interface, stamp_ns)
        text = f"{head}{_byte(address.tx_extension)} {arrow}"
        if address.rx_id is None:
            return text + " " * (9 if address.extended_ids else 4)
        digits = 8 if address.extended_ids else 3
        return f"{text} {address.rx_id:0{digits}X}{_byte(address.rx_extension)}"

    def _head(self, identifier: int, extended: bool, interface: str, stamp_ns: int) -> str:
        frame = Frame(identifier, extended=extended, timestamp_ns=stamp_ns, interface=interface)
        return self._screen.format([frame]).removesuffix(_EMPTY_FRAME)

    def _data(self, pdu: bytes) -> str:
        text = pdu.hex(" ").upper()
        return f"{text}  '{pdu.translate(_PRINTABLE).decode('ascii')}'" if self._text else text


class PduPrinter:
    """Prints the PDUs that are received here.

    Args:
        interface: Where.
        formatter: Makes lines of them.
        plain: Print their bytes alone, as ``anycan isotp send`` reads them.
    """

    def __init__(self, interface: str, formatter: PduFormatter, *, plain: bool) -> None:
        self._interface = interface
        self._formatter = formatter
        self._plain = plain

    def print(self, address: Address, pdu: bytes) -> None:
        """Print a PDU that has just been received."""
        if self._plain:
            emit(f"{pdu.hex(' ').upper()}\n")
        else:
            emit(self._formatter.received(address, self._interface, time.time_ns(), pdu))


def _byte(byte: int | None) -> str:
    return "" if byte is None else f":{byte:02X}"


def _time(seconds: float | None, sign: str = "") -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{sign}{seconds * 1000:.3f} ms"
    return f"{sign}{seconds:.3f} s"


def _course(record: IsotpRecord) -> str:
    """Say how the frames of a PDU came."""
    text = "1 frame" if record.frames == 1 else f"{record.frames} frames"
    text += f" in {_time(record.duration)}"
    if record.block_size:
        text += f", block size {record.block_size}"
    if record.stmin:
        text += f", STmin {record.stmin * 1000:g} ms"
    return text
