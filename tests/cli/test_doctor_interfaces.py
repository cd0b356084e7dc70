"""anycan doctor: the interfaces, and what is wrong with each."""

from __future__ import annotations

from typing import Any, Final

import attrs
import pytest

from anycan import BitTiming, CanErrorCounters, CanMode, CanState, Interface
from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_interfaces import check_interfaces
from anycan.wire.netlink_statistics import LinkStatistics

TIMING: Final = BitTiming(bitrate=500_000)


def vcan(**known: Any) -> Interface:
    values = {"index": 3, "name": "vcan0", "kind": "vcan", "up": True, "carrier": True, "mtu": 72}
    return Interface(**{**values, **known})


def can(**known: Any) -> Interface:
    values = {
        "index": 4,
        "name": "can0",
        "kind": "can",
        "driver": "gs_usb",
        "up": True,
        "carrier": True,
        "queue_length": 1000,
        "state": CanState.ERROR_ACTIVE,
        "bit_timing": TIMING,
        "restart": 0.0,
    }
    return Interface(**{**values, **known})


def check(*interfaces: Interface) -> list[Finding]:
    return list(check_interfaces(interfaces))


@pytest.mark.parametrize(
    ("interface", "found"),
    [
        (vcan(), "vcan, CAN FD: up"),
        (vcan(mtu=16), "vcan, classical: up"),
        (vcan(mtu=2060), "vcan, CAN XL: up"),
        (vcan(kind=None), "of an unknown kind, CAN FD: up"),
        (can(), "gs_usb, 500 kbit/s, classical: up"),
        (can(bit_timing=BitTiming(bitrate=0xFFFF_FFFF)), "gs_usb, unknown bit rate, classical: up"),
        (
            can(bit_timing=BitTiming(bitrate=83_333), data_bit_timing=TIMING, mtu=72),
            "gs_usb, 83.333 kbit/s, data 500 kbit/s, CAN FD: up",
        ),
    ],
)
def test_nothing_is_wrong(interface: Interface, found: str) -> None:
    assert check(interface) == [Finding(interface.name, Verdict.OK, found)]


def test_none() -> None:
    (found,) = check_interfaces([])
    assert found.verdict is Verdict.WARNING
    assert found.command == "sudo ip link add dev vcan0 type vcan && sudo ip link set vcan0 up"


def test_none_where_there_are_no_sockets_either() -> None:
    assert list(check_interfaces([], can_use=False)) == [
        Finding("interfaces", Verdict.WARNING, "none")
    ]


@pytest.mark.parametrize(
    "interface",
    [
        can(),
        can(bit_timing=BitTiming(bitrate=0xFFFF_FFFF)),
        can(kind=None, bit_timing=None),
        vcan(),
    ],
)
def test_down(interface: Interface) -> None:
    (found,) = check(attrs.evolve(interface, up=False, carrier=False))
    assert found.verdict is Verdict.WARNING
    assert found.found.endswith(": down")
    assert found.command == f"sudo ip link set {interface.name} up"


@pytest.mark.parametrize(
    ("bitrates", "chosen"),
    [(None, 500_000), ((125_000, 500_000), 500_000), ((33_300, 83_300), 33_300)],
)
def test_down_without_a_bit_rate(bitrates: tuple[int, ...] | None, chosen: int) -> None:
    (found,) = check(can(up=False, carrier=False, bit_timing=None, bitrates=bitrates))
    assert found.verdict is Verdict.WARNING
    assert "without a bit rate" in found.found
    assert found.command == f"sudo ip link set can0 up type can bitrate {chosen}"


@pytest.mark.parametrize(
    ("known", "lacking", "rates"),
    [
        ({}, "without a data bit rate; write the bus's instead of 2000000,", (500_000, 2_000_000)),
        (
            {"bit_timing": None},
            "without a bit rate and a data bit rate; write the bus's instead of 500000 and 2000000",
            (500_000, 2_000_000),
        ),
        (
            {"data_bitrates": (250_000, 1_000_000, 4_000_000)},
            "without a data bit rate; write the bus's instead of 1000000,",
            (500_000, 1_000_000),
        ),
        ({"data_bitrates": (250_000,)}, "write the bus's instead of 250000,", (500_000, 250_000)),
    ],
)
def test_down_with_can_fd_and_without_a_data_bit_rate(
    known: dict[str, Any], lacking: str, rates: tuple[int, int]
) -> None:
    interface = can(up=False, carrier=False, mtu=72, modes=CanMode.FD, **known)
    (found,) = check(interface)
    assert found.verdict is Verdict.WARNING
    assert lacking in found.found
    bitrate, data_bitrate = rates
    assert f"'fd off' instead of 'dbitrate {data_bitrate} fd on'" in found.found
    assert found.command == (
        f"sudo ip link set can0 up type can bitrate {bitrate} dbitrate {data_bitrate} fd on"
    )


def test_down_with_both_bit_rates() -> None:
    timing = BitTiming(bitrate=2_000_000)
    (found,) = check(can(up=False, carrier=False, modes=CanMode.FD, data_bit_timing=timing))
    assert found.command == "sudo ip link set can0 up"


def test_bus_off_without_a_restart() -> None:
    (found,) = check(can(carrier=False, state=CanState.BUS_OFF))
    assert found.verdict is Verdict.WARNING
    assert "bus-off" in found.found
    assert found.command == (
        "sudo ip link set can0 type can restart"
        "  # or: sudo ip link set can0 down && sudo ip link set can0 up"
    )
    assert "no way to restart it" in found.found


def test_bus_off_with_a_restart() -> None:
    (found,) = check(can(carrier=False, state=CanState.BUS_OFF, restart=0.1))
    assert found.found.endswith("it restarts by itself after 0.1 s")
    assert found.command is None


def test_a_pair_whose_other_end_is_down() -> None:
    here = vcan(name="vx0", kind="vxcan", carrier=False, index=5, peer_index=6)
    there = vcan(name="vx 1", kind="vxcan", up=False, carrier=False, index=6, peer_index=5)
    found = {one.name: one for one in check(here, there)}
    assert found["vx0"].found == "vxcan, CAN FD: up, but its other end is down"
    assert found["vx0"].command == found["vx 1"].command == "sudo ip link set 'vx 1' up"


def test_a_pair_whose_other_end_is_elsewhere() -> None:
    here = vcan(kind="vxcan", carrier=False, index=5, peer_index=4, peer_namespace=1)
    found = check(here, can())[0]
    assert (found.verdict, found.command) == (Verdict.WARNING, None)


def test_no_carrier() -> None:
    (found,) = check(can(carrier=False))
    assert (found.verdict, found.command) == (Verdict.WARNING, None)
    assert found.found.endswith("up, without a carrier")


def test_a_short_queue() -> None:
    first, second = check(can(queue_length=10))
    assert first.verdict is Verdict.OK
    assert second.verdict is Verdict.WARNING
    assert second.command == "sudo ip link set can0 txqueuelen 1000"
    assert len(check(vcan(queue_length=10))) == 1  # a virtual one has none


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (CanState.ERROR_PASSIVE, "error-passive (error counters: transmit 128, receive 3): "),
        (CanState.ERROR_WARNING, "error-warning (error counters: transmit 128, receive 3): "),
    ],
)
def test_errors(state: CanState, words: str) -> None:
    first, second = check(can(state=state, error_counters=CanErrorCounters(128, 3)))
    assert first.verdict is Verdict.OK
    assert (second.verdict, second.command) == (Verdict.WARNING, None)
    assert second.found.startswith(words)


def test_errors_without_counters() -> None:
    assert check(can(state=CanState.ERROR_PASSIVE))[1].found.startswith("error-passive: ")


def test_states_of_an_interface_that_is_down_mean_nothing() -> None:
    assert len(check(can(up=False, carrier=False, state=CanState.ERROR_PASSIVE))) == 1


def test_losses() -> None:
    statistics = LinkStatistics(rx_packets=9, rx_dropped=1_234, rx_over_errors=2, tx_dropped=3)
    _, found = check(can(statistics=statistics))
    assert found.found == (
        "frames lost since it is there: 1,234 received and dropped, 2 overwritten in the controller"
        " before they were read, 3 not sent"
    )
    assert len(check(can(statistics=LinkStatistics(rx_packets=9)))) == 1
