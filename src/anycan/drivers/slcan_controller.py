"""What is known of an slcan adapter's controller, from what the adapter tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from anycan.drivers.slcan_protocol import ErrorsLine, Mark, StateLine, StatusLine, TextLine
from anycan.drivers.slcan_reports import errors_report, state_report, status_report
from anycan.frame import ControllerError, ErrorFrame
from anycan.network.core.fault_confinement import FaultConfinement
from anycan.wire.netlink_can import CanErrorCounters, CanState

if TYPE_CHECKING:
    from collections import Counter

    from anycan.wire.netlink_can import CanStatistics


@attrs.frozen(kw_only=True)
class SlcanStatistics:
    """What an :class:`SlcanAdapter` has counted since it was made.

    Attributes:
        acknowledged: Frames that the adapter has said to have taken. Many adapters say nothing.
        refused: Frames that it has refused (BEL), mostly for want of room; each is reported by an
            error frame.
        garbage: Lines that are none of the protocol's.
        connections: How often the adapter has been opened.
    """

    acknowledged: int = 0
    refused: int = 0
    garbage: int = 0
    connections: int = 0


class SlcanController:
    """The controller of an adapter.

    Attributes:
        texts: What it has answered to ``V`` and ``N``.
    """

    def __init__(self) -> None:
        self._acknowledged = 0
        self._refused = 0
        self._garbage = 0
        self._connections = 0
        self.texts: dict[str, str] = {}
        self._faults = FaultConfinement()
        self._tells_state = False

    @property
    def adapter_statistics(self) -> SlcanStatistics:
        """What has been counted of the adapter."""
        return SlcanStatistics(
            acknowledged=self._acknowledged,
            refused=self._refused,
            garbage=self._garbage,
            connections=self._connections,
        )

    @property
    def state(self) -> CanState:
        """What it takes part in."""
        return self._faults.state

    @property
    def counters(self) -> CanErrorCounters | None:
        """Its error counters; None: the adapter does not tell them."""
        return self._faults.counters if self._tells_state else None

    @property
    def condition(self) -> tuple[CanState, CanErrorCounters | None]:
        """Its state and its error counters."""
        return self.state, self.counters

    @property
    def statistics(self) -> CanStatistics:
        """What it has counted since it was made."""
        return self._faults.statistics

    def start(self) -> None:
        """Begin anew: the adapter has been opened."""
        self._tells_state = False
        self._faults.start()
        self._connections += 1

    def stop(self) -> None:
        """Take part in nothing: the link goes down."""
        self._faults.stop()

    def restart(self) -> ErrorFrame:
        """Begin anew after bus-off; give the report of it."""
        return self._faults.restart()

    def count(self, marks: Counter[Mark]) -> list[ErrorFrame]:
        """Count what the adapter says of frames; give the report of it, one for all refusals."""
        self._acknowledged += marks[Mark.SENT] + marks[Mark.DONE]
        self._garbage += marks[Mark.GARBAGE]
        self._refused += marks[Mark.REFUSED]
        if not marks[Mark.REFUSED]:
            return []
        return self._followed(ErrorFrame.build(controller=ControllerError.TX_OVERFLOW))

    def take(self, line: StateLine | StatusLine | ErrorsLine | TextLine) -> list[ErrorFrame]:
        """Take what the adapter tells; give the reports of it."""
        match line:
            case TextLine():
                self.texts[line.command] = line.text
            case StateLine():
                return self._take_state(line)
            case ErrorsLine():
                return self._followed(errors_report(line.letters))
            case StatusLine():
                known = self._tells_state or self.state is CanState.BUS_OFF
                return self._followed(status_report(line.flags, None if known else self.state))
        return []

    def _take_state(self, line: StateLine) -> list[ErrorFrame]:
        self._tells_state = True
        reports = []
        if self.state is CanState.BUS_OFF and line.state is not CanState.BUS_OFF:
            reports.append(self._faults.restart())  # it has done so by itself
        if line.state is not self.state:
            reports += self._followed(state_report(line))
        self._faults.counters = CanErrorCounters(line.transmit, line.receive)
        return reports

    def _followed(self, report: ErrorFrame | None) -> list[ErrorFrame]:
        if report is None:
            return []
        self._faults.follow(report)
        return [report]
