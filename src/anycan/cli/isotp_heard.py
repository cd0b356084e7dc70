"""Printing the PDUs that a monitor puts together, and counting them."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

from anycan.cli.common import counted, emit, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anycan import Address, AnyFrame, IsotpMonitor, IsotpRecord
    from anycan.cli.isotp_text import PduFormatter

_MOST_PLACES: Final = 4096
_Place: TypeAlias = "tuple[str | None, Address | None, str]"  # interface, connection, direction


class HeardPrinter:
    """Prints what is heard.

    Args:
        monitor: Puts the PDUs together.
        formatter: Makes lines of them; None: make objects in JSON.
        count: Print so many PDUs; None: all.
    """

    def __init__(
        self, monitor: IsotpMonitor, formatter: PduFormatter | None, count: int | None
    ) -> None:
        self._monitor = monitor
        self._formatter = formatter
        self._count = count
        self._printed = 0
        self._pdus: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        # Of each direction when the last whole PDU ended. That of a functional request
        # stands for all connections of its interface.
        self._finished_ns: dict[_Place, int] = {}

    @property
    def done(self) -> bool:
        """Whether so many have been printed as were asked for."""
        return self._printed == self._count

    def feed(self, frames: Iterable[AnyFrame]) -> None:
        """Take frames, in their order; no more of them once it is done."""
        records: list[IsotpRecord] = []
        missing = math.inf if self._count is None else self._count - self._printed
        for frame in frames:
            if len(records) >= missing:
                break
            records += self._monitor.feed(frame)
        self._print(records)

    def advance(self, now_ns: int) -> None:
        """Take note of the time while no frame comes."""
        self._print(self._monitor.advance(now_ns))

    def _print(self, records: list[IsotpRecord]) -> None:
        if self._count is not None:
            del records[self._count - self._printed :]
        lines = []
        for record in records:
            if record.fault is None:
                self._pdus[record.direction] += 1
            else:
                self._faults[record.fault] += 1
            gap = self._gap(record)
            if self._formatter is None:
                lines.append(f"{json.dumps(_as_object(record, gap))}\n")
            else:
                lines.append(self._formatter.heard(record, gap))
        self._printed += len(records)
        if lines:
            emit("".join(lines))

    def _gap(self, record: IsotpRecord) -> float | None:
        """Give how many seconds after the other direction's last PDU this one began."""
        address = record.address
        finished = self._finished_ns
        if len(finished) > _MOST_PLACES:  # of a log that has interfaces without end
            finished.clear()
        if address.rx_id is None:
            if record.fault is None:
                finished[record.interface, None, "tx"] = record.finished_ns
            return None
        other = "rx" if record.direction == "tx" else "tx"
        ends = [finished.get((record.interface, one, other)) for one in (address, None)]
        known = [end for end in ends if end is not None and end <= record.started_ns]
        if record.fault is None:
            finished[record.interface, address, record.direction] = record.finished_ns
        return (record.started_ns - max(known)) / 1e9 if known else None

    @contextmanager
    def summary_at_end(self) -> Iterator[None]:
        """Say a summary, however it ends, unless nobody reads what is printed."""
        try:
            yield
        except BrokenPipeError:
            raise
        except BaseException:
            self._end()
            raise
        self._end()

    def _end(self) -> None:
        self._print(self._monitor.finish())
        say(self.summary())

    def summary(self) -> str:
        """Say how many PDUs there were."""
        monitor = self._monitor
        text = f"{counted(self._pdus['tx'], 'PDU')} ->, {self._pdus['rx']:,} <-, "
        text += counted(self._faults.total(), "fault")
        if self._faults:
            text += f" ({', '.join(f'{count} {name}' for name, count in self._faults.items())})"
        used = monitor.heard - monitor.ignored
        text += f"; {used:,} of {counted(monitor.heard, 'frame')} were of these connections"
        for number, name in ((monitor.malformed, "malformed"), (monitor.unexpected, "unexpected")):
            if number:
                text += f", {number:,} {name}"
        return text


def _as_object(record: IsotpRecord, gap: float | None) -> dict[str, object]:
    address = record.address
    return {
        "started_ns": record.started_ns,
        "finished_ns": record.finished_ns,
        "interface": record.interface,
        "tx": _identifier(address.tx_id, address.extended_ids),
        "rx": None if address.rx_id is None else _identifier(address.rx_id, address.extended_ids),
        "tx_extension": address.tx_extension,
        "rx_extension": address.rx_extension,
        "direction": record.direction,
        "pdu": record.pdu.hex(),
        "length": record.length,
        "fault": record.fault,
        "frames": record.frames,
        "flow_controls": record.flow_controls,
        "block_size": record.block_size,
        "stmin": record.stmin,
        "duration": record.duration,
        "gap": gap,
    }


def _identifier(identifier: int, extended: bool) -> str:
    return f"{identifier:0{8 if extended else 3}X}"
