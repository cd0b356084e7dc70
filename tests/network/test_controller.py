"""A controller on a network whose time stands still until it is moved."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, TypeAlias

import pytest

import anycan
from anycan import ControllerError, ErrorClass, ErrorFrame, Frame
from anycan.network.core.controller import Controller
from anycan.wire.frames import decode_frame
from anycan.wire.netlink_can import (
    CanErrorCounters,
    CanMode,
    CanModes,
    CanParameters,
    CanState,
    CanStatistics,
)
from anycan.wire.netlink_timing import BitTiming, BitTimingConstants
from clock import MILLISECOND, manual_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.network.conftest import Probe

    from anycan import UserNetwork
    from anycan.network.core.interface import Interface

ACTIVE, WARNING, PASSIVE, BUS_OFF, STOPPED = list(CanState)[:5]
EVERY_ERROR = 0x1FFFFFFF
SJA1000 = BitTimingConstants("sja1000", 1, 16, 1, 8, 4, 1, 64, 1)
Wait: TypeAlias = "Callable[[float], None]"


@pytest.fixture
def stage() -> Iterator[tuple[UserNetwork, Wait]]:
    network, clock = manual_network()
    network._clock = clock.stamp_ns

    def wait(until: float) -> None:
        clock.advance_to(int(until * MILLISECOND), network._stack.timers)

    with network:
        network.add_can("can0", bitrate=500_000)
        network.add_can("can1", bitrate=500_000)
        network.add_vcan("vcan0")
        yield network, wait


@pytest.fixture
def network(stage: tuple[UserNetwork, Wait]) -> UserNetwork:
    return stage[0]


@pytest.fixture
def wait(stage: tuple[UserNetwork, Wait]) -> Wait:
    """Let time pass, until so many milliseconds since the beginning."""
    return stage[1]


@pytest.fixture
def can0(network: UserNetwork) -> Interface:
    return network._stack.by_name["can0"]


@pytest.fixture
def reports(
    probe: Callable[..., Probe],
) -> Callable[[], list[anycan.AnyFrame | None]]:
    """Give what error frames have come from can0."""
    one = probe("can0", [], errors=EVERY_ERROR)

    def received() -> list[anycan.AnyFrame | None]:
        batch = one.receive()
        return [decode_frame(one[0]) for one in batch] if isinstance(batch, list) else []

    return received


def state_of(interface: Interface) -> tuple[CanState, CanErrorCounters | None, bool]:
    """Give its state, its error counters and its carrier."""
    told = interface.parameters()
    assert told is not None
    assert told.state is not None
    return CanState(told.state), told.error_counters, interface.carrier


def configure(interface: Interface, request: CanParameters) -> str:
    """Configure, and give the error's name, or nothing."""
    try:
        interface.configure(request)
    except OSError as error:
        number = error.errno or 0
        return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode[number]
    return ""


def can(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IBxxx8s", word, len(data), data)


# What it is


def test_a_controller_as_it_is_made(network: UserNetwork) -> None:
    assert network.add_can("can7") == 4
    can7 = network._stack.by_name["can7"]
    assert (can7.kind, can7.up, can7.mtu, can7.queue_length) == ("can", False, 16, 10)
    assert (can7.carrier, can7.carrier_changes, can7.peer) == (False, 0, None)
    told = can7.parameters()
    assert told is not None
    assert (told.state, told.bit_timing, told.clock) == (STOPPED, None, 80_000_000)
    assert told.error_counters == CanErrorCounters()
    assert can7.can_statistics == CanStatistics()


def test_a_controller_with_a_bit_rate_is_up(can0: Interface) -> None:
    assert can0.up
    assert state_of(can0) == (ACTIVE, CanErrorCounters(), True)
    assert can0.carrier_changes == 1
    told = can0.parameters()
    assert told is not None
    assert told.bit_timing is not None
    assert (told.bit_timing.bitrate, told.bit_timing.sample_point) == (500_000, 875)


def test_can_fd(network: UserNetwork) -> None:
    network.add_can("can7", bitrate=500_000, data_bitrate=2_000_000, restart=0.1)
    can7 = network._stack.by_name["can7"]
    assert can7.mtu == 72
    told = can7.parameters()
    assert told is not None
    assert told.data_bit_timing is not None
    assert (told.data_bit_timing.bitrate, told.restart_ms) == (2_000_000, 100)
    assert told.modes == CanModes(0, int(CanMode.FD))


def test_a_controller_with_constants_of_its_own(network: UserNetwork) -> None:
    network.add_can(
        "can7", bitrate=500_000, clock=8_000_000, constants=SJA1000, data_constants=None
    )
    told = network._stack.by_name["can7"].parameters()
    assert told is not None
    assert (told.bit_timing_limits, told.data_bit_timing_limits) == (SJA1000, None)
    assert told.bit_timing == BitTiming(500_000, 875, 125, 6, 7, 2, sjw=1, brp=1)
    network.set_down("can7")
    with pytest.raises(ValueError, match=r"^can7 cannot have an MTU of 72: 16 \(classical CAN\)$"):
        network.set_mtu("can7", 72)


def test_what_has_no_controller(network: UserNetwork) -> None:
    vcan0 = network._stack.by_name["vcan0"]
    assert (vcan0.kind, vcan0.parameters(), vcan0.can_statistics) == ("vcan", None, None)
    assert (vcan0.carrier, vcan0.carrier_changes, vcan0.queue_length) == (True, 0, 1000)
    assert configure(vcan0, CanParameters(restart_ms=1)) == "EOPNOTSUPP"
    with pytest.raises(OSError, match="it has no controller"):
        vcan0.restart()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bitrate": 90_000_000}, r"bit rate 90000000 not reachable; user with a clock"),
        ({"bitrate": 500_000, "data_bitrate": 250_000}, "data bit rate is below its bit rate"),
        ({"data_bitrate": 250_000}, "together with both bit timings"),
        (
            {"bitrate": 500_000, "data_bitrate": 500_000, "data_constants": None},
            "it has no mode FD",
        ),
        ({"up": True}, "it has no bit rate yet"),
        ({"restart": -1}, "restart= is a time in seconds"),
        ({"bitrate": 500_000, "clock": 0}, "clock is a whole number of Hz"),
    ],
)
def test_a_controller_that_cannot_be(
    network: UserNetwork, arguments: dict[str, int], text: str
) -> None:
    with pytest.raises(ValueError, match=f"^can7 cannot be such a controller: .*{text}"):
        network.add_can("can7", **arguments)  # type: ignore[arg-type]  # as they come
    assert len(network.interfaces()) == 3


# Up and down


def test_without_a_bit_rate_it_does_not_come_up(network: UserNetwork) -> None:
    network.add_can("can7")
    with pytest.raises(anycan.InterfaceError) as info:
        network.set_up("can7")
    assert (info.value.errno, info.value.interface) == (errno.EINVAL, "can7")
    assert info.value.strerror == (
        "can7 does not come up: it has no bit rate yet (configure_interface('can7',"
        " bitrate=500_000, up=True, network=...) sets it)"
    )
    assert not network.interfaces()[-1].up
    timing = CanParameters(bit_timing=BitTiming(bitrate=500_000))
    network._stack.by_name["can7"].configure(timing)
    network.set_up("can7")
    assert network.interfaces()[-1].up


def test_without_a_data_bit_rate_can_fd_does_not_come_up(
    network: UserNetwork, can0: Interface
) -> None:
    network.set_down("can0")
    network.set_mtu("can0", 72)
    told = can0.parameters()
    assert told is not None
    assert told.modes == CanModes(0, int(CanMode.FD))
    with pytest.raises(anycan.InterfaceError, match=r"no data bit rate yet .*data_bitrate=2_000"):
        network.set_up("can0")
    network.set_mtu("can0", 16)
    network.set_up("can0")
    assert can0.up


def test_down_it_is_stopped_and_up_it_begins_anew(network: UserNetwork, can0: Interface) -> None:
    network.set_error_counters("can0", transmit=100)
    network.set_down("can0")
    assert state_of(can0) == (STOPPED, CanErrorCounters(), False)
    network.set_up("can0")
    assert state_of(can0) == (ACTIVE, CanErrorCounters(), True)
    assert can0.carrier_changes == 1  # the bus was there all the time
    assert can0.can_statistics == CanStatistics(error_warning=1)


# Settings


def test_settings_are_changed_while_it_is_down(can0: Interface) -> None:
    request = CanParameters(
        bit_timing=BitTiming(bitrate=250_000),
        data_bit_timing=BitTiming(bitrate=1_000_000),
        modes=CanModes(CanMode.FD, CanMode.FD),
        restart_ms=50,
    )
    before = can0.parameters()
    assert configure(can0, request) == "EBUSY"
    assert (can0.parameters(), can0.mtu) == (before, 16)
    can0.set_down()
    assert configure(can0, request) == ""
    told = can0.parameters()
    assert told is not None
    assert told.bit_timing is not None
    assert (told.bit_timing.bitrate, told.restart_ms, can0.mtu) == (250_000, 50, 72)
    assert configure(can0, CanParameters(modes=CanModes(CanMode.FD, 0))) == ""
    assert can0.mtu == 16


def test_what_is_refused_in_part_changes_nothing(can0: Interface) -> None:
    can0.set_down()
    before = can0.parameters()
    for request, error in (
        (CanParameters(bit_timing=BitTiming(bitrate=250_000), termination=60), "EINVAL"),
        (CanParameters(bit_timing=BitTiming(bitrate=250_000), restart=1), "EINVAL"),
        (CanParameters(restart_ms=5, modes=CanModes(CanMode.XL, CanMode.XL)), "EOPNOTSUPP"),
    ):
        assert configure(can0, request) == error
        assert can0.parameters() == before


def test_the_termination_changes_while_it_is_up(can0: Interface) -> None:
    assert configure(can0, CanParameters(termination=120)) == ""
    told = can0.parameters()
    assert told is not None
    assert (told.termination, told.terminations) == (120, (0, 120))


# Faults


def test_bus_off_and_a_restart_by_hand(
    network: UserNetwork, can0: Interface, reports: Callable[[], list[anycan.AnyFrame | None]]
) -> None:
    network.set_bus_off("can0")
    assert state_of(can0) == (BUS_OFF, CanErrorCounters(256, 0), False)
    assert (can0.up, can0.carrier_changes) == (True, 2)
    assert reports() == [ErrorFrame(ErrorClass.BUS_OFF)]
    network.set_bus_off("can0")  # it is that already
    assert reports() == []
    network.restart("can0")
    assert state_of(can0) == (ACTIVE, CanErrorCounters(), True)
    assert can0.carrier_changes == 3
    assert reports() == [ErrorFrame(ErrorClass.RESTARTED)]
    assert can0.can_statistics == CanStatistics(bus_off=1, restarts=1)


def test_what_is_sent_while_it_is_bus_off_is_lost(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one, local, other = probe("can0", own=1), probe("can0"), probe("can1")
    network.set_bus_off("can0")
    assert one.send(can(1)) == ""
    assert (one.words(), local.words(), other.words()) == ([], [], [])
    can0 = network.interfaces()[0]
    assert (can0.sent, can0.send_dropped) == (0, 1)
    network.restart("can0")
    one.send(can(2))
    assert (one.words(), local.words(), other.words()) == ([2], [2], [2])


def test_it_restarts_by_itself_after_its_time(
    network: UserNetwork,
    wait: Wait,
    can0: Interface,
    reports: Callable[[], list[anycan.AnyFrame | None]],
) -> None:
    network.set_down("can0")
    can0.configure(CanParameters(restart_ms=100))
    network.set_up("can0")
    reports()  # that it was down
    wait(50)
    network.set_bus_off("can0")
    with pytest.raises(anycan.InterfaceError, match=r"can0 cannot be .*: .*by itself") as info:
        network.restart("can0")
    assert (info.value.errno, info.value.interface) == (errno.EINVAL, "can0")
    assert reports() == [ErrorFrame(ErrorClass.BUS_OFF)]
    wait(149.9)
    assert state_of(can0) == (BUS_OFF, CanErrorCounters(256, 0), False)
    wait(150)
    assert state_of(can0) == (ACTIVE, CanErrorCounters(), True)
    assert reports() == [ErrorFrame(ErrorClass.RESTARTED)]
    wait(1000)
    assert reports() == []
    assert can0.can_statistics == CanStatistics(bus_off=1, restarts=1)


def test_without_a_time_it_stays_off(network: UserNetwork, wait: Wait, can0: Interface) -> None:
    network.set_bus_off("can0")
    wait(1_000_000)
    assert state_of(can0)[0] is BUS_OFF
    assert network._stack.timers.deadline is None


@pytest.mark.parametrize("how", ["down", "remove"])
def test_down_or_removed_it_does_not_restart(
    network: UserNetwork, wait: Wait, can0: Interface, how: str
) -> None:
    network.set_down("can0")
    can0.configure(CanParameters(restart_ms=100))
    network.set_up("can0")
    network.set_bus_off("can0")
    if how == "down":
        network.set_down("can0")
        assert not can0.carrier
    else:
        network.remove("can0")
    wait(1000)
    assert state_of(can0)[0] is STOPPED
    assert can0.can_statistics == CanStatistics(bus_off=1)
    if how == "down":
        network.set_up("can0")
        assert state_of(can0) == (ACTIVE, CanErrorCounters(), True)
        assert can0.carrier_changes == 3
        assert can0.can_statistics == CanStatistics(bus_off=1)  # that was no restart


def test_a_restart_by_netlink(network: UserNetwork, can0: Interface) -> None:
    request = CanParameters(restart=1)
    assert configure(can0, request) == "EBUSY"
    network.set_bus_off("can0")
    assert configure(can0, request) == ""
    assert state_of(can0)[0] is ACTIVE
    network.set_down("can0")
    assert configure(can0, request) == "EINVAL"


@pytest.mark.parametrize("up", [True, False])
def test_a_restart_that_cannot_be(network: UserNetwork, up: bool) -> None:
    if not up:
        network.set_down("can0")
    number, text = (errno.EBUSY, "not bus-off") if up else (errno.EINVAL, "is down: set it up")
    with pytest.raises(anycan.InterfaceError, match=rf"can0 cannot be .*: .*{text}") as info:
        network.restart("can0")
    assert info.value.errno == number


def test_error_counters_make_states_and_reports(
    network: UserNetwork, can0: Interface, reports: Callable[[], list[anycan.AnyFrame | None]]
) -> None:
    network.set_error_counters("can0", transmit=95)
    assert state_of(can0) == (ACTIVE, CanErrorCounters(95, 0), True)
    assert reports() == []
    network.set_error_counters("can0", receive=128)
    assert state_of(can0) == (PASSIVE, CanErrorCounters(95, 128), True)
    network.set_error_counters("can0", transmit=0, receive=96)
    assert reports() == [
        ErrorFrame.build(
            controller=ControllerError.RX_PASSIVE, tx_error_count=95, rx_error_count=128
        ),
        ErrorFrame.build(
            controller=ControllerError.RX_WARNING, tx_error_count=0, rx_error_count=96
        ),
    ]
    network.set_error_counters("can0", transmit=256)
    assert state_of(can0) == (BUS_OFF, CanErrorCounters(256, 96), False)
    assert reports() == [ErrorFrame(ErrorClass.BUS_OFF)]


def test_an_error_passive_controller_sends_and_receives(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one, other = probe("can0"), probe("can1")
    network.set_error_counters("can0", transmit=200, receive=200)
    one.send(can(1))
    other.send(can(2))
    assert (one.words(), other.words()) == ([2], [1])


def test_every_error_is_told_where_the_mode_is_on(
    network: UserNetwork, can0: Interface, reports: Callable[[], list[anycan.AnyFrame | None]]
) -> None:
    network.set_down("can0")
    mode = int(CanMode.BERR_REPORTING)
    can0.configure(CanParameters(modes=CanModes(mode, mode)))
    network.set_up("can0")
    reports()  # that it was down
    network.set_error_counters("can0", receive=1)
    (report,) = reports()
    assert isinstance(report, ErrorFrame)
    assert report.classes == ErrorClass.BUS_ERROR | ErrorClass.PROTOCOL | ErrorClass.COUNTERS
    assert can0.can_statistics == CanStatistics(bus_error=1)


def test_reports_are_no_traffic_and_carry_the_time(
    network: UserNetwork, wait: Wait, probe: Callable[..., Probe]
) -> None:
    one = probe("can0", [], errors=EVERY_ERROR)
    wait(7)
    network.set_bus_off("can0")
    assert one.core.receive(one.buffer) == 1
    (frame,) = one.buffer.decode(1, {1: "can0"})
    assert frame.timestamp_ns == 1_700_000_000_000_000_000 + 7 * MILLISECOND
    assert (frame.local, frame.interface) == (False, "can0")
    assert network.interfaces()[0].received == 0


@pytest.mark.parametrize(("transmit", "receive"), [(-1, 0), (257, 0), (0, -1), (0, 256)])
def test_error_counters_out_of_range(
    network: UserNetwork, can0: Interface, transmit: int, receive: int
) -> None:
    with pytest.raises(ValueError, match=r"(transmit|receive)= is 0 to 25[56] errors, not"):
        network.set_error_counters("can0", transmit=transmit, receive=receive)
    assert state_of(can0)[1] == CanErrorCounters()


def test_faults_of_what_is_down_or_bus_off(network: UserNetwork, can0: Interface) -> None:
    network.set_down("can0")
    calls: list[Callable[[], None]] = [
        lambda: network.set_bus_off("can0"),
        lambda: network.set_error_counters("can0", transmit=1),
    ]
    for call in calls:
        with pytest.raises(anycan.InterfaceDownError, match="can0 is down") as info:
            call()
        assert (info.value.errno, info.value.interface) == (errno.ENETDOWN, "can0")
    network.set_up("can0")
    network.set_bus_off("can0")
    calls = [calls[1], lambda: network.inject("can0", Frame(1))]
    for call in calls:
        with pytest.raises(anycan.InterfaceDownError, match="can0 is bus-off"):
            call()
    assert state_of(can0)[1] == CanErrorCounters(256, 0)
    assert network.interfaces()[0].received == 0


@pytest.mark.parametrize("number", [errno.ENETDOWN, errno.EBUSY])
def test_the_core_refuses_such_faults_too(
    network: UserNetwork, can0: Interface, number: int
) -> None:
    device = can0.device
    assert isinstance(device, Controller)
    if number == errno.EBUSY:
        device.bus_off()
    else:
        network.set_down("can0")
    with pytest.raises(OSError, match=errno.errorcode[number]):
        device.set_error_counters(1, None)


def test_faults_are_a_controllers(network: UserNetwork) -> None:
    for call in (network.set_bus_off, network.set_error_counters, network.restart):
        with pytest.raises(ValueError, match=r"^vcan0 has no controller, as it is a vcan: add_can"):
            call("vcan0")
        with pytest.raises(anycan.UnknownInterfaceError):
            call("can9")


# Reports from outside


def test_an_injected_report_is_taken_on_and_received(
    network: UserNetwork, can0: Interface, reports: Callable[[], list[anycan.AnyFrame | None]]
) -> None:
    told = [
        ErrorFrame.build(tx_error_count=100, rx_error_count=5),
        ErrorFrame.build(controller=ControllerError.RX_PASSIVE),
        ErrorFrame(ErrorClass.BUS_OFF),
    ]
    network.inject("can0", told[0])
    assert state_of(can0) == (WARNING, CanErrorCounters(100, 5), True)
    network.inject("can0", told[1])
    assert state_of(can0) == (PASSIVE, CanErrorCounters(100, 5), True)
    network.inject("can0", told[2])
    assert state_of(can0) == (BUS_OFF, CanErrorCounters(256, 5), False)
    assert reports() == told
    network.inject("can0", ErrorFrame(ErrorClass.RESTARTED))
    assert state_of(can0) == (ACTIVE, CanErrorCounters(), True)
    assert can0.carrier_changes == 3
    assert can0.can_statistics == CanStatistics(
        error_warning=1, error_passive=1, bus_off=1, restarts=1
    )


def test_an_injected_bus_off_is_restarted_from_as_well(
    network: UserNetwork,
    wait: Wait,
    can0: Interface,
    reports: Callable[[], list[anycan.AnyFrame | None]],
) -> None:
    network.set_down("can0")
    can0.configure(CanParameters(restart_ms=100))
    network.set_up("can0")
    reports()  # that it was down
    network.inject("can0", ErrorFrame(ErrorClass.BUS_OFF))
    wait(60)
    network.inject("can0", ErrorFrame(ErrorClass.RESTARTED))
    wait(80)
    network.inject("can0", ErrorFrame(ErrorClass.BUS_OFF))
    reports()
    wait(100)  # of the first time
    assert reports() == []
    wait(180)
    assert reports() == [ErrorFrame(ErrorClass.RESTARTED)]


def test_on_a_vcan_a_report_is_only_received(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one, other = probe("vcan0", errors=EVERY_ERROR), probe("vcan0")
    network.inject("vcan0", ErrorFrame(ErrorClass.BUS_OFF))
    assert one.words() == [0x20000040]
    one.send(can(1))
    assert other.words() == [1]
