"""Error counters, the states by them and the reports, without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan import ControllerError, ErrorClass, ErrorFrame, ProtocolError
from anycan.network.core.fault_confinement import FaultConfinement, state_by_count
from anycan.wire.netlink_can import CanErrorCounters, CanState, CanStatistics

ACTIVE, WARNING, PASSIVE, BUS_OFF, STOPPED = list(CanState)[:5]


def started() -> FaultConfinement:
    faults = FaultConfinement()
    faults.start()
    return faults


def counted(
    faults: FaultConfinement, transmit: int, receive: int, every_error: bool = False
) -> ErrorFrame | None:
    return faults.count(CanErrorCounters(transmit, receive), every_error=every_error)


@pytest.mark.parametrize(
    ("count", "state"),
    [
        (0, ACTIVE),
        (95, ACTIVE),
        (96, WARNING),
        (127, WARNING),
        (128, PASSIVE),
        (255, PASSIVE),
        (256, BUS_OFF),
    ],
)
def test_the_state_that_a_count_makes_for(count: int, state: CanState) -> None:
    assert state_by_count(count) is state


def test_it_is_stopped_until_it_is_started_and_after_it_was_stopped() -> None:
    faults = FaultConfinement()
    assert (faults.state, faults.counters) == (STOPPED, CanErrorCounters())
    faults.start()
    counted(faults, 100, 3)
    assert (faults.state, faults.counters) == (WARNING, CanErrorCounters(100, 3))
    faults.stop()
    assert (faults.state, faults.counters) == (STOPPED, CanErrorCounters())
    faults.start()
    assert faults.state is ACTIVE
    assert faults.statistics == CanStatistics(error_warning=1)  # for good


@pytest.mark.parametrize(
    ("transmit", "receive", "controller"),
    [
        (96, 0, ControllerError.TX_WARNING),
        (0, 96, ControllerError.RX_WARNING),
        (100, 96, ControllerError.TX_WARNING | ControllerError.RX_WARNING),
        (128, 96, ControllerError.TX_PASSIVE),
        (96, 128, ControllerError.RX_PASSIVE),
        (128, 255, ControllerError.TX_PASSIVE | ControllerError.RX_PASSIVE),
    ],
)
def test_the_report_of_a_worse_state_names_the_worse_counter(
    transmit: int, receive: int, controller: ControllerError
) -> None:
    report = counted(started(), transmit, receive)
    assert report == ErrorFrame.build(
        controller=controller, tx_error_count=transmit, rx_error_count=receive
    )
    assert report is not None
    assert report.classes == ErrorClass.CONTROLLER | ErrorClass.COUNTERS


def test_the_report_of_a_better_state() -> None:
    faults = started()
    counted(faults, 130, 0)
    assert counted(faults, 127, 0) == ErrorFrame.build(
        controller=ControllerError.TX_WARNING, tx_error_count=127, rx_error_count=0
    )
    assert counted(faults, 95, 7) == ErrorFrame.build(
        controller=ControllerError.ACTIVE, tx_error_count=95, rx_error_count=7
    )
    assert faults.statistics == CanStatistics(error_passive=1)  # better ones do not count


def test_bus_off_is_told_without_counters() -> None:
    faults = started()
    assert counted(faults, 256, 9) == ErrorFrame(ErrorClass.BUS_OFF, bytes(8))
    assert (faults.state, faults.statistics) == (BUS_OFF, CanStatistics(bus_off=1))


def test_the_same_state_is_not_told() -> None:
    faults = started()
    assert counted(faults, 5, 95) is None
    assert faults.counters == CanErrorCounters(5, 95)


@pytest.mark.parametrize(
    ("transmit", "receive", "protocol"),
    [(11, 10, ProtocolError.TX), (10, 11, ProtocolError(0)), (11, 11, ProtocolError.TX)],
)
def test_every_error_is_told_where_it_is_asked_for(
    transmit: int, receive: int, protocol: ProtocolError
) -> None:
    faults = started()
    counted(faults, 10, 10)
    assert counted(faults, transmit, receive, every_error=True) == ErrorFrame.build(
        ErrorClass.BUS_ERROR,
        protocol=protocol,
        tx_error_count=transmit,
        rx_error_count=receive,
    )
    assert faults.statistics == CanStatistics(bus_error=1)
    assert counted(faults, 10, 10, every_error=True) is None  # none has risen
    assert faults.statistics == CanStatistics(bus_error=1)


def test_an_error_and_another_state_are_told_together() -> None:
    report = counted(started(), 96, 0, every_error=True)
    assert report == ErrorFrame.build(
        ErrorClass.BUS_ERROR,
        controller=ControllerError.TX_WARNING,
        protocol=ProtocolError.TX,
        tx_error_count=96,
        rx_error_count=0,
    )


def test_a_restart() -> None:
    faults = started()
    counted(faults, 256, 0)
    assert faults.restart() == ErrorFrame(ErrorClass.RESTARTED, bytes(8))
    assert (faults.state, faults.counters) == (ACTIVE, CanErrorCounters())
    assert faults.statistics == CanStatistics(bus_off=1, restarts=1)


@pytest.mark.parametrize(
    ("report", "state", "counters"),
    [
        (ErrorFrame.build(tx_error_count=95, rx_error_count=3), ACTIVE, (95, 3)),
        (ErrorFrame.build(tx_error_count=3, rx_error_count=96), WARNING, (3, 96)),
        (ErrorFrame.build(tx_error_count=128, rx_error_count=96), PASSIVE, (128, 96)),
        (ErrorFrame.build(controller=ControllerError.TX_WARNING), WARNING, (0, 0)),
        (ErrorFrame.build(controller=ControllerError.RX_PASSIVE), PASSIVE, (0, 0)),
        (
            ErrorFrame.build(controller=ControllerError.TX_WARNING | ControllerError.RX_PASSIVE),
            PASSIVE,
            (0, 0),
        ),
        # What it says itself goes before what the counters make for.
        (
            ErrorFrame.build(
                controller=ControllerError.ACTIVE, tx_error_count=200, rx_error_count=0
            ),
            ACTIVE,
            (200, 0),
        ),
        (ErrorFrame.build(controller=ControllerError.RX_OVERFLOW), ACTIVE, (0, 0)),
        (ErrorFrame(ErrorClass.BUS_OFF), BUS_OFF, (256, 0)),
        (ErrorFrame(ErrorClass.NO_ACK | ErrorClass.TRANSCEIVER), ACTIVE, (0, 0)),
        (ErrorFrame(ErrorClass.COUNTERS, b""), ACTIVE, (0, 0)),
    ],
)
def test_what_a_report_says_is_taken_on(
    report: ErrorFrame, state: CanState, counters: tuple[int, int]
) -> None:
    faults = started()
    faults.follow(report)
    assert (faults.state, faults.counters) == (state, CanErrorCounters(*counters))


def test_reports_count() -> None:
    faults = started()
    faults.follow(ErrorFrame(ErrorClass.BUS_ERROR | ErrorClass.LOST_ARBITRATION))
    faults.follow(ErrorFrame.build(controller=ControllerError.TX_WARNING))
    faults.follow(ErrorFrame.build(controller=ControllerError.TX_PASSIVE))
    faults.follow(ErrorFrame(ErrorClass.BUS_OFF))
    faults.follow(ErrorFrame(ErrorClass.BUS_OFF))  # it is that already
    faults.follow(ErrorFrame(ErrorClass.RESTARTED))
    assert faults.statistics == CanStatistics(1, 1, 1, 1, 1, 1)
    assert faults.state is ACTIVE


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (
            ErrorFrame.build(
                controller=ControllerError.TX_PASSIVE, tx_error_count=127, rx_error_count=0
            ),
            PASSIVE,
        ),
        (
            ErrorFrame.build(
                controller=ControllerError.TX_WARNING, tx_error_count=95, rx_error_count=0
            ),
            WARNING,
        ),
        (
            ErrorFrame.build(
                controller=ControllerError.ACTIVE, tx_error_count=130, rx_error_count=0
            ),
            ACTIVE,
        ),
    ],
)
def test_a_state_that_is_not_entered_does_not_count(report: ErrorFrame, state: CanState) -> None:
    faults = started()
    if state is not ACTIVE:
        faults.follow(ErrorFrame.build(controller=ControllerError.TX_PASSIVE))
    before = faults.statistics
    faults.follow(report)
    assert (faults.state, faults.statistics) == (state, before)


def test_bus_off_ends_by_a_restart_alone() -> None:
    faults = started()
    faults.follow(ErrorFrame(ErrorClass.BUS_OFF))
    faults.follow(
        ErrorFrame.build(controller=ControllerError.ACTIVE, tx_error_count=1, rx_error_count=1)
    )
    assert (faults.state, faults.counters) == (BUS_OFF, CanErrorCounters(256, 0))
    faults.follow(ErrorFrame.build(ErrorClass.RESTARTED, tx_error_count=100, rx_error_count=1))
    assert (faults.state, faults.counters) == (WARNING, CanErrorCounters(100, 1))


COUNTS = st.tuples(st.integers(0, 255), st.integers(0, 255))


@given(st.lists(COUNTS, min_size=1, max_size=8))
def test_whoever_follows_the_reports_knows_the_state(counts: list[tuple[int, int]]) -> None:
    one, other = started(), started()
    for transmit, receive in counts:
        report = counted(one, transmit, receive)
        if report is not None:
            other.follow(report)
        assert other.state is one.state
    assert other.statistics == one.statistics
