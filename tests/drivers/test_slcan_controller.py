"""What is known of an adapter's controller."""

from __future__ import annotations

from collections import Counter

import pytest

from anycan import CanErrorCounters, CanState, CanStatistics, ErrorClass, SlcanStatistics
from anycan.drivers.slcan_controller import SlcanController
from anycan.drivers.slcan_protocol import ErrorsLine, Mark, StateLine, StatusLine, TextLine

ACTIVE, WARNING, PASSIVE, BUS_OFF, STOPPED = list(CanState)[:5]


@pytest.fixture
def controller() -> SlcanController:
    controller = SlcanController()
    assert controller.state is STOPPED
    controller.start()
    assert controller.condition == (ACTIVE, None)
    return controller


def test_states_and_counters_of_its_own_accord(controller: SlcanController) -> None:
    assert len(controller.take(StateLine(WARNING, 100, 3))) == 1
    assert controller.condition == (WARNING, CanErrorCounters(transmit=3, receive=100))
    assert controller.take(StateLine(WARNING, 101, 3)) == []
    assert controller.counters == CanErrorCounters(transmit=3, receive=101)
    assert controller.take(StatusLine(0x20)) == []  # it tells that by other means
    assert controller.state is WARNING


def test_bus_off_and_what_comes_after(controller: SlcanController) -> None:
    assert [one.classes for one in controller.take(StateLine(BUS_OFF, 0, 256))] == [
        ErrorClass.BUS_OFF
    ]
    assert controller.take(StateLine(BUS_OFF, 0, 256)) == []
    assert controller.take(StatusLine(0)) == []
    assert controller.state is BUS_OFF
    assert [one.classes for one in controller.take(StateLine(ACTIVE, 0, 0))] == [
        ErrorClass.RESTARTED
    ]
    assert controller.condition == (ACTIVE, CanErrorCounters())
    assert (controller.statistics.bus_off, controller.statistics.restarts) == (1, 1)


def test_an_adapter_that_restarts_itself_into_a_worse_state(controller: SlcanController) -> None:
    controller.take(StateLine(BUS_OFF, 0, 256))
    classes = [one.classes for one in controller.take(StateLine(PASSIVE, 0, 130))]
    assert classes == [ErrorClass.RESTARTED, ErrorClass.CONTROLLER | ErrorClass.COUNTERS]
    assert controller.state is PASSIVE


def test_the_status_tells_the_state_where_nothing_else_does(controller: SlcanController) -> None:
    assert len(controller.take(StatusLine(0x24))) == 1
    assert controller.condition == (PASSIVE, None)
    assert len(controller.take(StatusLine(0xC0))) == 1
    assert controller.state is ACTIVE
    assert controller.statistics == CanStatistics(bus_error=1, error_passive=1, arbitration_lost=1)


def test_what_is_counted(controller: SlcanController) -> None:
    for line in (TextLine("V", "1013"), TextLine("N", "1")):
        assert controller.take(line) == []
    assert controller.count(Counter([Mark.DONE, Mark.SENT, Mark.GARBAGE])) == []
    reports = controller.count(Counter({Mark.REFUSED: 3}))  # one for all
    assert [str(one) for one in reports] == ["20000004#0002000000000000"]
    assert len(controller.take(ErrorsLine("f"))) == 1
    assert controller.adapter_statistics == SlcanStatistics(
        acknowledged=2, refused=3, garbage=1, connections=1
    )
    assert controller.statistics == CanStatistics(bus_error=1)
    assert controller.texts == {"V": "1013", "N": "1"}
    assert controller.state is ACTIVE


def test_it_begins_anew(controller: SlcanController) -> None:
    controller.take(StateLine(PASSIVE, 0, 130))
    controller.stop()
    assert controller.state is STOPPED
    controller.start()
    assert controller.condition == (ACTIVE, None)
    assert controller.adapter_statistics.connections == 2
