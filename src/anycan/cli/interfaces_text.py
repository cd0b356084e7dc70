"""An interface in words, as the commands of ``anycan interfaces`` say it."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from anycan import (
    BitTiming,
    CanErrorCounters,
    CanMode,
    CanState,
    Interface,
    LinkCondition,
)
from anycan.cli.gateway_report import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOTHING: Final = "-"
_UNKNOWN_BITRATE: Final = 0xFFFF_FFFF  # of slcan, where slcand has set it
_BITRATE: Final = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,9})?)([kKM]?)")
_FACTORS: Final = {"": 1, "k": 1000, "K": 1000, "M": 1_000_000}
_STATE_STYLES: Final = {
    CanState.ERROR_ACTIVE: "green",
    CanState.ERROR_WARNING: "yellow",
    CanState.ERROR_PASSIVE: "red",
    CanState.BUS_OFF: "bold red",
}
_MODE_NAMES: Final = {CanMode.LISTENONLY: "listen-only"}  # the others are called as they are


def shown(text: str) -> str:
    """Put text of the system's into what standard output can show."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def bitrate_of(text: str) -> int:
    """Read a bit rate: 500000, 500k, 1M, 2.5M.

    Raises:
        ValueError: It is none.
    """
    found = _BITRATE.fullmatch(text)
    bitrate = Decimal(found[1]) * _FACTORS[found[2]] if found else Decimal(0)
    if not 0 < bitrate < _UNKNOWN_BITRATE or bitrate % 1:
        raise ValueError(
            f"not a bit rate: {text!r}; write bits a second, for example 500000, 500k, 1M or 2.5M"
        )
    return int(bitrate)


def bitrate_words(bitrate: int) -> str:
    """Give a bit rate as :func:`bitrate_of` reads it: exactly, and short."""
    if bitrate == _UNKNOWN_BITRATE:
        return "unknown"
    for digits, unit in ((6, "M"), (3, "k")):
        if bitrate >= 10**digits:
            return f"{Decimal(bitrate).scaleb(-digits).normalize():f}{unit}"
    return f"{bitrate}"


def timing_words(timing: BitTiming | None) -> str:
    """Give the bit rate and the sample point: ``500k 87.5 %``."""
    if timing is None:
        return NOTHING
    rate = bitrate_words(timing.bitrate)
    return f"{rate} {percent(timing.sample_point)}" if timing.sample_point else rate


def percent(tenths: int) -> str:
    """Give tenths of a percent: ``87.5 %``."""
    return f"{tenths / 10:g} %"


def state_words(state: CanState | None) -> str:
    """Give a state as the field has it: ``ERROR-ACTIVE``."""
    return NOTHING if state is None else state.name.replace("_", "-")


def mode_name(mode: CanMode) -> str:
    """Give a mode's name, which is that of its option: ``fd``, ``listen-only``."""
    name = mode.name or ""
    return _MODE_NAMES.get(mode, name.lower().replace("_", "-"))


def mode_names(modes: CanMode | None) -> list[str]:
    """Give the names of modes; one that a newer kernel has is a number."""
    left = int(modes or 0)
    names = []
    for mode in CanMode:
        if left & mode:
            names.append(mode_name(mode))
            left &= ~int(mode)  # ~mode would take those away that have no name
    return [*names, hex(left)] if left else names


def restart_words(restart: float | None) -> str:
    """Say when a controller restarts after bus-off."""
    if restart is None:
        return NOTHING
    return f"{restart:g} s" if restart else "never"


def counters_words(counters: CanErrorCounters | None) -> str:
    """Give the error counters."""
    return NOTHING if counters is None else f"tx {counters.transmit}, rx {counters.receive}"


def termination_words(ohms: int | None) -> str:
    """Say which resistor is between the wires."""
    if ohms is None:
        return NOTHING
    return f"{ohms} ohms" if ohms else "off"


def takes_words(interface: Interface) -> str:
    """Say which frames an interface takes: the newest kind of them."""
    return "CAN XL" if interface.takes_xl else "CAN FD" if interface.takes_fd else "CAN"


def condition_words(interface: Interface) -> Iterator[tuple[str, str]]:
    """Say whether frames can pass, and what the controller takes part in; each with its style."""
    match interface.condition:
        case LinkCondition.BUS_OFF:
            yield "bus-off", "bold red"
        case LinkCondition.UP:
            yield "up", "green" if interface.carrier else "yellow"
            if not interface.carrier:
                yield "no carrier", "yellow"
            if interface.state is not None:
                yield state_words(interface.state), _STATE_STYLES.get(interface.state, "")
        case condition:
            yield condition.value, "dim"


def device_words(interface: Interface) -> str:
    """Say what kind of interface it is: its driver, or else what it says of itself."""
    return shown(interface.driver or interface.kind or "unknown kind")


def address_words(interface: Interface) -> str:
    """Say where the device is: ``usb 1-1.4:1.0``."""
    parts = (interface.parent_bus, interface.parent_name)
    return shown(" ".join(part for part in parts if part))


def peer_words(interface: Interface, names: dict[int, str]) -> str:
    """Say where the other end of a vxcan is.

    Args:
        interface: The one end.
        names: The names of the interfaces that there are here, by index.
    """
    if interface.peer_index is None:
        return ""
    if interface.peer_namespace is not None:
        return f"index {interface.peer_index} in namespace {interface.peer_namespace}"
    return shown(names.get(interface.peer_index, f"index {interface.peer_index}"))


def one_line(interface: Interface) -> str:
    """Give an interface and what matters of it, in one line."""
    return f"{shown(interface.name)}: {description(interface)}"


def description(interface: Interface) -> str:
    """Give what matters of an interface in one line."""
    parts = [words for words, _ in condition_words(interface)]
    parts.append(device_words(interface))
    if interface.kind == "can" or interface.bit_timing is not None:
        parts.append(timing_words(interface.bit_timing).replace(NOTHING, "no bit rate"))
    if interface.data_bit_timing is not None:
        parts.append(f"data {timing_words(interface.data_bit_timing)}")
    parts.append(f"{takes_words(interface)} (MTU {interface.mtu})")
    parts += mode_names(interface.modes)
    if interface.restart:
        parts.append(f"restart after {restart_words(interface.restart)}")
    if interface.termination:
        parts.append(termination_words(interface.termination))
    if interface.queue_length is not None:
        parts.append(f"queue {interface.queue_length}")
    return ", ".join(parts)


def value_words(value: Any) -> str:
    """Give the value of an attribute of an interface."""
    match value:
        case None | BitTiming():
            return timing_words(value)
        case CanMode():
            return _listed(mode_names(value))
        case tuple():
            return _listed(map(str, value))
    return shown(f"{value}")


def _listed(words: Iterable[str]) -> str:
    return shown(", ".join(words)) or "none"
