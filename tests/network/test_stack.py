"""Who watches links is told what happens to them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

import pytest

from anycan import ErrorClass, ErrorFrame, Frame, UserNetwork
from anycan.network.core.device import VirtualDevice
from anycan.wire.netlink_can import CanMode, CanModes, CanParameters, CanState
from anycan.wire.netlink_timing import BitTiming
from clock import MILLISECOND, manual_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.core.interface import Interface

Told: TypeAlias = "list[tuple[str, object]]"


class Watch:
    """Writes down what it is told: of each call the interface's name, and what is asked for."""

    def __init__(self, network: UserNetwork, look: Callable[[Interface], object]) -> None:
        self._network = network
        self._look = look
        self._told: Told = []
        self.watchers = network._stack.link_watchers
        self.watchers[self.tell] = None

    def tell(self, interface: Interface, present: bool) -> None:
        self._told.append((interface.name, self._look(interface) if present else "gone"))

    def told(self) -> Told:
        """Give what has been told since the last time."""
        told, self._told = self._told, []
        return told


def test_added_up_down_and_removed() -> None:
    network = UserNetwork()
    watch = Watch(network, lambda interface: interface.up)
    network.add_vcan("vcan0")
    assert watch.told() == [("vcan0", False), ("vcan0", True)]
    network.add_vcan("vcan1", up=False)
    assert watch.told() == [("vcan1", False)]
    network.set_up("vcan0")  # it is up already
    network.set_down("vcan1")
    assert watch.told() == []
    network.set_down("vcan0")
    assert watch.told() == [("vcan0", False)]
    network.set_up("vcan0")
    network.remove("vcan0")
    network.remove("vcan1")
    assert watch.told() == [
        ("vcan0", True),
        ("vcan0", False),
        ("vcan0", "gone"),
        ("vcan1", "gone"),
    ]


def test_what_is_told_of_is_there_and_what_is_gone_is_not() -> None:
    network = UserNetwork()
    there: list[bool] = []
    network._stack.link_watchers[
        lambda interface, present: there.append(
            present is (network.interface_name(interface.index) == interface.name)
        )
    ] = None
    network.add_vcan("vcan0")
    network.rename("vcan0", "vcan1")
    network.remove("vcan1")
    assert there == [True] * 5


def test_the_mtu_the_queue_and_the_name() -> None:
    network = UserNetwork()
    network.add_vcan("vcan0", up=False)
    vcan0 = network._stack.by_name["vcan0"]
    watch = Watch(network, lambda one: (one.mtu, one.queue_length))
    network.set_mtu("vcan0", 72)
    vcan0.set_queue_length(1000)
    network.rename("vcan0", "vcan0")
    assert watch.told() == []  # no change
    network.set_mtu("vcan0", 16)
    vcan0.set_queue_length(7)
    network.rename("vcan0", "vcan1")
    assert watch.told() == [("vcan0", (16, 1000)), ("vcan0", (16, 7)), ("vcan1", (16, 7))]


def test_what_is_refused_is_no_change() -> None:
    network = UserNetwork()
    network.add_can("can0")
    watch = Watch(network, lambda one: one.up)
    can0 = network._stack.by_name["can0"]
    for call in (
        can0.set_up,
        lambda: can0.configure(CanParameters(termination=5)),
        can0.restart,
        lambda: network._stack.set_mtu(can0, 2060),
    ):
        with pytest.raises(OSError, match=r"no bit rate yet|termination|is down|EINVAL"):
            call()
    assert watch.told() == []


def test_settings_and_states_of_a_controller() -> None:
    network, clock = manual_network()
    network.add_can("can0", restart=0.1)
    can0 = network._stack.by_name["can0"]

    def look(interface: Interface) -> tuple[object, bool]:
        told = interface.parameters()
        assert told is not None
        return told.state, interface.carrier

    watch = Watch(network, look)
    can0.configure(
        CanParameters(
            bit_timing=BitTiming(bitrate=500_000),
            data_bit_timing=BitTiming(bitrate=500_000),
            modes=CanModes(CanMode.FD, CanMode.FD),
        )
    )
    network.set_up("can0")
    assert watch.told() == [("can0", (CanState.STOPPED, False)), ("can0", (0, True))]
    network.set_error_counters("can0", transmit=1)
    network.set_error_counters("can0", transmit=96)
    network.inject("can0", ErrorFrame(ErrorClass.BUS_OFF))
    network.inject("can0", ErrorFrame(ErrorClass.RESTARTED))
    network.set_bus_off("can0")
    clock.advance_to(100 * MILLISECOND, network._stack.timers)
    assert watch.told() == [
        ("can0", (CanState.ERROR_ACTIVE, True)),
        ("can0", (CanState.ERROR_WARNING, True)),
        ("can0", (CanState.BUS_OFF, False)),
        ("can0", (CanState.ERROR_ACTIVE, True)),
        ("can0", (CanState.BUS_OFF, False)),
        ("can0", (CanState.ERROR_ACTIVE, True)),
    ]
    network.inject("can0", Frame(1))  # traffic is no change
    assert watch.told() == []


def test_both_ends_of_a_pair() -> None:
    network = UserNetwork()
    watch = Watch(network, lambda one: (one.up, one.carrier, one.peer is not None))
    network.add_vxcan("near", "far")
    assert watch.told() == [
        ("far", (False, False, False)),
        ("far", (True, False, False)),
        ("near", (False, False, True)),
        ("near", (True, True, True)),
        ("far", (True, True, True)),
    ]
    network.set_down("far")
    assert watch.told() == [("far", (False, False, True)), ("near", (True, False, True))]
    network.remove("near")
    assert watch.told() == [
        ("near", (False, False, True)),
        ("far", "gone"),
        ("near", "gone"),
    ]


def test_the_end_of_all(network: UserNetwork) -> None:
    watch = Watch(network, lambda one: one.up)
    network.close()
    assert [name for name, what in watch.told() if what == "gone"] == [
        "flexible",
        "classical",
        "long",
    ]


def test_one_that_fails_is_logged_and_the_network_goes_on(
    network: UserNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_interface: Interface, _present: bool) -> None:
        raise ZeroDivisionError

    network._stack.link_watchers[fail] = None
    watch = Watch(network, lambda one: one.up)
    with caplog.at_level(logging.ERROR, "anycan.network"):
        network.set_down("long")
    assert watch.told() == [("long", False)]
    (record,) = caplog.records
    assert "what watches the links failed; the network goes on" in record.message
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_one_that_ceases_to_watch_while_it_is_told(network: UserNetwork) -> None:
    told: list[str] = []

    def once(interface: Interface, _present: bool) -> None:
        told.append(interface.name)
        del network._stack.link_watchers[once]

    network._stack.link_watchers[once] = None
    network.set_down("long")
    network.set_down("flexible")
    assert told == ["long"]


def test_one_that_removes_what_goes_down(network: UserNetwork) -> None:
    told: Told = []

    def clear(interface: Interface, present: bool) -> None:
        told.append((interface.name, present))
        if present and not interface.up:
            network.remove(interface.name)

    network._stack.link_watchers[clear] = None
    network.remove("long")
    assert told == [("long", True), ("long", False)]
    network.set_down("flexible")
    assert [one.name for one in network.interfaces()] == ["classical"]


@pytest.mark.parametrize(("name", "mtu", "error"), [("long", 72, "EEXIST"), ("one", 17, "EINVAL")])
def test_what_cannot_be_added_is_not_told_of(
    network: UserNetwork, name: str, mtu: int, error: str
) -> None:
    watch = Watch(network, lambda one: one.up)
    with pytest.raises(OSError, match=error):
        network._stack.add(name, VirtualDevice(), mtu)
    assert watch.told() == []
    assert len(network.interfaces()) == 3
