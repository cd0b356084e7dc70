"""A PDU that was heard."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from anycan.wire.isotp_address import Address  # noqa: TC001 - attrs' fields are read at run time
from anycan.wire.log import format_timestamp

Direction: TypeAlias = Literal["tx", "rx"]
Fault: TypeAlias = Literal["sequence", "timeout", "interrupted", "overflow", "unfinished"]

_SHOWN: Final = 64  # bytes of a PDU on one line


@attrs.frozen(kw_only=True)
class IsotpRecord:
    """A PDU that was heard, whole or as far as it came. Made by :class:`IsotpMonitor`.

    Attributes:
        address: The connection, as it was given to the monitor.
        direction: ``"tx"``: from the node that sends with ``address.tx_id``; ``"rx"``: to it.
        identifier: The identifier of its frames.
        extended: It has 29 bits.
        interface: Name of the interface its frames came from; None: they carry none.
        pdu: Its bytes; with a fault, those that had come.
        length: How many bytes it has, by its first frame.
        fault: Why it was given up; None: it is whole. ``"sequence"``: a consecutive frame was
            missing, or came twice. ``"timeout"``: the next frame did not come within 1 s.
            ``"interrupted"``: its sender began another one. ``"overflow"``: the receiver said that
            it has no room, or it is longer than the monitor's ``max_pdu_size``. ``"unfinished"``:
            the monitor's work ended first.
        started_ns: When its first frame came, in nanoseconds since the epoch; 0: no frame up to
            then had a time stamp.
        finished_ns: When its last frame came, or when it was given up; likewise.
        frames: The number of its data frames that came.
        flow_controls: The number of flow control frames that it was answered with.
        block_size: The last one asked for by these; None: there were none.
        stmin: The last separation time asked for, in seconds; None: there were none.

    Example:
        >>> monitor = IsotpMonitor([Address.normal(0x7E0, 0x7E8)])
        >>> [record] = monitor.feed(Frame(0x7E8, bytes.fromhex("037F2278AAAAAAAA")))
        >>> record.direction, record.pdu.hex(), record.fault
        ('rx', '7f2278', None)
    """

    address: Address
    direction: Direction
    identifier: int
    extended: bool
    interface: str | None
    pdu: bytes
    length: int
    fault: Fault | None
    started_ns: int
    finished_ns: int
    frames: int
    flow_controls: int
    block_size: int | None
    stmin: float | None

    @property
    def duration(self) -> float:
        """How long it took from its first frame on, in seconds; 0 of a single frame."""
        return max(0, self.finished_ns - self.started_ns) / 1e9

    def __str__(self) -> str:
        """Give it on one line: when, where, from whom to whom, its length and its first bytes."""
        address = self.address
        arrow = "->" if self.direction == "tx" else "<-"
        ends = [_end(address.tx_id, address.tx_extension, address.extended_ids), arrow]
        if address.rx_id is not None:
            ends.append(_end(address.rx_id, address.rx_extension, address.extended_ids))
        length = f"{len(self.pdu)}" if self.fault is None else f"{len(self.pdu)} of {self.length}"
        text = self.pdu[:_SHOWN].hex(" ").upper()
        if len(self.pdu) > _SHOWN:
            text += " ..."
        if self.fault is not None:
            text += f"  {self.fault}"
        stamp = format_timestamp(self.started_ns)
        return f"({stamp}) {self.interface or '-'} {' '.join(ends)} [{length}] {text}"


def _end(identifier: int, extension: int | None, extended: bool) -> str:
    text = f"{identifier:0{8 if extended else 3}X}"
    return text if extension is None else f"{text}:{extension:02X}"
