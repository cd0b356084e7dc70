"""``anycan doctor``: the interfaces, and what is wrong with each."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from anycan import CanMode, CanState, LinkCondition
from anycan.cli.doctor_finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anycan import Interface

_UNKNOWN_BITRATE: Final = 0xFFFF_FFFF  # of slcan, where slcand has set it
_USUAL_BITRATE: Final = 500_000
_USUAL_DATA_BITRATE: Final = 2_000_000
_MAKE_ONE: Final = "sudo ip link add dev vcan0 type vcan && sudo ip link set vcan0 up"
_DEFAULT_QUEUE: Final = 10  # frames, of every controller
_BETTER_QUEUE: Final = 1000
_LOSSES: Final = {
    "rx_dropped": "received and dropped",
    "rx_over_errors": "overwritten in the controller before they were read",
    "tx_dropped": "not sent",
}


def check_interfaces(interfaces: Sequence[Interface], *, can_use: bool = True) -> Iterator[Finding]:
    """Tell what each is, and then what is wrong with it.

    Args:
        interfaces: All that there are.
        can_use: Whether the kernel has CAN sockets, so that a virtual one would be of use.
    """
    if not interfaces:
        found = "none: plug in an adapter, or make a virtual one" if can_use else "none"
        yield Finding("interfaces", Verdict.WARNING, found, _MAKE_ONE if can_use else None)
    names = {interface.index: interface.name for interface in interfaces}
    for interface in interfaces:
        peer = None
        if interface.peer_namespace is None and interface.peer_index is not None:
            peer = names.get(interface.peer_index)
        yield _condition(interface, peer)
        yield from _faults(interface)


def _condition(interface: Interface, peer: str | None) -> Finding:
    described = _described(interface)
    name = shlex.quote(interface.name)
    if not interface.up:
        if interface.kind == "can" and (
            not interface.bitrate or (_flexible(interface) and not interface.data_bitrate)
        ):
            return _without_a_bitrate(interface, described)
        command = f"sudo ip link set {name} up"
        return Finding(interface.name, Verdict.WARNING, f"{described}: down", command)
    if interface.condition is LinkCondition.BUS_OFF:
        return _bus_off(interface, described)
    if not interface.carrier:
        if interface.kind != "vxcan":
            return Finding(interface.name, Verdict.WARNING, f"{described}: up, without a carrier")
        return Finding(
            interface.name,
            Verdict.WARNING,
            f"{described}: up, but its other end is down",
            None if peer is None else f"sudo ip link set {shlex.quote(peer)} up",
        )
    return Finding(interface.name, Verdict.OK, f"{described}: up")


def _flexible(interface: Interface) -> bool:
    return CanMode.FD in (interface.modes or CanMode(0))


def _without_a_bitrate(interface: Interface, described: str) -> Finding:
    """Tell which bit rate is missing. With CAN FD both are set at once, or it is turned off."""
    rate = interface.bitrate or _a_bitrate(interface)
    command = f"sudo ip link set {shlex.quote(interface.name)} up type can bitrate {rate}"
    if not _flexible(interface):
        found = f"down, and without a bit rate; write the bus's instead of {rate}"
    else:
        data_rate = _a_data_bitrate(interface, rate)
        lacking, rates = "a data bit rate", str(data_rate)
        if not interface.bitrate:
            lacking, rates = "a bit rate and a data bit rate", f"{rate} and {data_rate}"
        found = (
            f"down; CAN FD is on, but without {lacking}; write the bus's instead of {rates}, or,"
            f" on a bus of classical CAN, 'fd off' instead of 'dbitrate {data_rate} fd on'"
        )
        command += f" dbitrate {data_rate} fd on"
    return Finding(interface.name, Verdict.WARNING, f"{described}: {found}", command)


def _bus_off(interface: Interface, described: str) -> Finding:
    found = f"{described}: bus-off; look for the wiring, the bit rate and the termination"
    if interface.restart:
        text = f"{found}; it restarts by itself after {interface.restart:g} s"
        return Finding(interface.name, Verdict.WARNING, text)
    name = shlex.quote(interface.name)
    return Finding(
        interface.name,
        Verdict.WARNING,
        f"{found}; it does not restart by itself (restart-ms 0); where its driver has no way to"
        " restart it (much of gs_usb), set it down and up",
        f"sudo ip link set {name} type can restart"
        f"  # or: sudo ip link set {name} down && sudo ip link set {name} up",
    )


def _described(interface: Interface) -> str:
    parts = [interface.driver or interface.kind or "of an unknown kind"]
    if interface.bitrate:
        parts.append(_rate(interface.bitrate))
    if interface.data_bitrate:
        parts.append(f"data {_rate(interface.data_bitrate)}")
    longest = "CAN XL" if interface.takes_xl else "CAN FD" if interface.takes_fd else "classical"
    return ", ".join([*parts, longest])


def _rate(bitrate: int) -> str:
    return "unknown bit rate" if bitrate == _UNKNOWN_BITRATE else f"{bitrate / 1000:g} kbit/s"


def _a_bitrate(interface: Interface) -> int:
    """Give a bit rate that it can be set to."""
    if not interface.bitrates or _USUAL_BITRATE in interface.bitrates:
        return _USUAL_BITRATE
    return interface.bitrates[0]


def _a_data_bitrate(interface: Interface, bitrate: int) -> int:
    """Give a data bit rate that it can be set to, beside a bit rate, which is not to be above."""
    rates = interface.data_bitrates
    if not rates or _USUAL_DATA_BITRATE in rates:
        return _USUAL_DATA_BITRATE
    return next((rate for rate in rates if rate >= bitrate), rates[0])


def _faults(interface: Interface) -> Iterator[Finding]:
    name = interface.name
    state = interface.state
    if interface.up and state in {CanState.ERROR_WARNING, CanState.ERROR_PASSIVE}:
        counters = interface.error_counters
        errors = (
            f" (error counters: transmit {counters.transmit}, receive {counters.receive})"
            if counters is not None
            else ""
        )
        found = (
            f"{state.name.lower().replace('_', '-')}{errors}: does another node acknowledge, at the"
            " same bit rate, and is the bus terminated?"
        )
        yield Finding(name, Verdict.WARNING, found)
    if interface.kind == "can" and interface.queue_length == _DEFAULT_QUEUE:
        yield Finding(
            name,
            Verdict.WARNING,
            f"its transmit queue has room for {_DEFAULT_QUEUE} frames: bursts wait (txqueuelen)",
            f"sudo ip link set {shlex.quote(name)} txqueuelen {_BETTER_QUEUE}",
        )
    lost = [
        f"{count:,} {what}"
        for field, what in _LOSSES.items()
        if (count := getattr(interface.statistics, field, 0))
    ]
    if lost:
        yield Finding(name, Verdict.WARNING, f"frames lost since it is there: {', '.join(lost)}")
