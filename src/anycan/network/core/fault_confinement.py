"""A controller's error counters, its state by them, and how it reports both."""

from __future__ import annotations

from typing import Final

import attrs

from anycan.frame import ControllerError, ErrorClass, ErrorFrame, ProtocolError
from anycan.wire.netlink_can import CanErrorCounters, CanState, CanStatistics

WARNING: Final = 96
PASSIVE: Final = 128
BUS_OFF: Final = 256

_TRANSMIT_REPORTS: Final = {
    CanState.ERROR_ACTIVE: ControllerError.ACTIVE,
    CanState.ERROR_WARNING: ControllerError.TX_WARNING,
    CanState.ERROR_PASSIVE: ControllerError.TX_PASSIVE,
}
_RECEIVE_REPORTS: Final = {
    CanState.ERROR_ACTIVE: ControllerError.ACTIVE,
    CanState.ERROR_WARNING: ControllerError.RX_WARNING,
    CanState.ERROR_PASSIVE: ControllerError.RX_PASSIVE,
}
_REPORTED_STATES: Final = (
    (ControllerError.TX_PASSIVE | ControllerError.RX_PASSIVE, CanState.ERROR_PASSIVE),
    (ControllerError.TX_WARNING | ControllerError.RX_WARNING, CanState.ERROR_WARNING),
    (ControllerError.ACTIVE, CanState.ERROR_ACTIVE),
)
_COUNTED: Final = {
    CanState.ERROR_WARNING: "error_warning",
    CanState.ERROR_PASSIVE: "error_passive",
    CanState.BUS_OFF: "bus_off",
}


def state_by_count(count: int) -> CanState:
    """Give the state that one error counter makes for."""
    if count >= BUS_OFF:
        return CanState.BUS_OFF
    if count >= PASSIVE:
        return CanState.ERROR_PASSIVE
    return CanState.ERROR_WARNING if count >= WARNING else CanState.ERROR_ACTIVE


class FaultConfinement:
    """A controller's error counters and its state.

    Attributes:
        state: What it takes part in. STOPPED until :meth:`start`.
        counters: Its error counters.
        statistics: How often something has happened since it was made.

    Source: ISO 11898-1, fault confinement; ``drivers/net/can/dev/dev.c``, ``can_change_state``.
    """

    def __init__(self) -> None:
        self.state = CanState.STOPPED
        self.counters = CanErrorCounters()
        self.statistics = CanStatistics()

    def start(self) -> None:
        """Begin anew: the link goes up, or the controller is restarted."""
        self.state = CanState.ERROR_ACTIVE
        self.counters = CanErrorCounters()

    def stop(self) -> None:
        """Take part in nothing: the link goes down."""
        self.start()
        self.state = CanState.STOPPED

    def restart(self) -> ErrorFrame:
        """Begin anew after bus-off; give the report of it."""
        self.start()
        self._count("restarts")
        return ErrorFrame(ErrorClass.RESTARTED)

    def count(self, counters: CanErrorCounters, *, every_error: bool) -> ErrorFrame | None:
        """Take other error counters.

        Args:
            counters: The error counters.
            every_error: Errors on the bus are reported (``CanMode.BERR_REPORTING``), of which a
                counter that rises stands for one.

        Returns:
            The report of another state, or of an error; None: there is nothing to report.
        """
        before, self.counters = self.counters, counters
        transmit, receive = state_by_count(counters.transmit), state_by_count(counters.receive)
        changes = self._enter(max(transmit, receive))
        sending = counters.transmit > before.transmit
        erring = every_error and (sending or counters.receive > before.receive)
        if erring:
            self._count("bus_error")
        if self.state is CanState.BUS_OFF:
            return ErrorFrame(ErrorClass.BUS_OFF)
        if not changes and not erring:
            return None
        controller = ControllerError(0)
        if transmit >= receive:
            controller |= _TRANSMIT_REPORTS[transmit]
        if transmit <= receive:
            controller |= _RECEIVE_REPORTS[receive]
        protocol: ProtocolError | None = None
        if erring:
            protocol = ProtocolError.TX if sending else ProtocolError(0)
        return ErrorFrame.build(
            ErrorClass.BUS_ERROR if erring else ErrorClass(0),
            controller=controller if changes else None,
            protocol=protocol,
            tx_error_count=counters.transmit,
            rx_error_count=counters.receive,
        )

    def follow(self, report: ErrorFrame) -> None:
        """Take on what a report says. What is bus-off leaves that by a restart alone."""
        classes = report.classes
        for error_class, name in (
            (ErrorClass.BUS_ERROR, "bus_error"),
            (ErrorClass.LOST_ARBITRATION, "arbitration_lost"),
        ):
            if classes & error_class:
                self._count(name)
        if classes & ErrorClass.RESTARTED:
            self.restart()
        if self.state is CanState.BUS_OFF:
            return
        if classes & ErrorClass.BUS_OFF:
            self.counters = attrs.evolve(self.counters, transmit=BUS_OFF)
            self._enter(CanState.BUS_OFF)
            return
        target: CanState = self.state
        transmit, receive = report.tx_error_count, report.rx_error_count
        if transmit is not None and receive is not None:
            self.counters = CanErrorCounters(transmit, receive)
            target = state_by_count(max(transmit, receive))
        # What it says itself goes before that, and each change counts: so one is worked out first.
        told = report.controller or ControllerError(0)
        self._enter(next((state for errors, state in _REPORTED_STATES if told & errors), target))

    def _enter(self, state: CanState) -> bool:
        """Be in a state; tell whether that is a change. Changes for the worse are counted."""
        before, self.state = self.state, state
        if state > before:
            self._count(_COUNTED[state])
        return state is not before

    def _count(self, name: str) -> None:
        number = getattr(self.statistics, name) + 1
        self.statistics = attrs.evolve(self.statistics, **{name: number})
