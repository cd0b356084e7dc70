"""An interface as the kernel tells of it, made a value for users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anycan.interfaces.values import Interface
from anycan.wire.netlink_can import CanMode, CanParameters, CanState, CanStatistics
from anycan.wire.netlink_link import ARPHRD_CAN, LinkFlag

if TYPE_CHECKING:
    from anycan.wire.netlink_link import Link

_NO_PARAMETERS: Final = CanParameters()
_SYSTEM_FILES: Final = Path("/sys/class/net")


def is_can(link: Link) -> bool:
    """Tell whether an interface is one of CAN."""
    return link.device_type == ARPHRD_CAN


def interface_of(link: Link, network: str = "kernel", driver: str | None = None) -> Interface:
    """Make a value of what the kernel tells of an interface.

    Args:
        link: What it tells.
        network: The network's name.
        driver: The driver's name, which it does not tell this way.
    """
    info = link.info
    data = None if info is None else info.data
    parameters = data if isinstance(data, CanParameters) else _NO_PARAMETERS
    counts = None if info is None else info.statistics
    return Interface(
        index=link.index,
        name=link.name or "",
        kind=None if info is None else info.kind,
        network=network,
        up=bool(link.flags & LinkFlag.UP),
        carrier=bool(link.carrier),
        mtu=link.mtu or 0,
        queue_length=link.queue_length,
        queueing=link.queueing,
        statistics=link.statistics,
        can_statistics=counts if isinstance(counts, CanStatistics) else None,
        peer_index=link.peer_index,
        peer_namespace=link.peer_namespace,
        driver=driver,
        parent_bus=link.parent_bus,
        parent_name=link.parent_name,
        alias=link.alias,
        other_names=link.other_names or (),
        group=link.group,
        carrier_changes=link.carrier_changes,
        **controller_fields(parameters),
    )


def controller_fields(parameters: CanParameters) -> dict[str, Any]:
    """Give what a controller tells, by the names of the attributes of :class:`Interface`."""
    supported = parameters.supported_modes
    return {
        "state": _state_of(parameters.state),
        "modes": None if parameters.modes is None else CanMode(parameters.modes.flags),
        "supported_modes": (
            None
            if supported is None or supported.supported is None
            else CanMode(supported.supported)
        ),
        "bit_timing": parameters.bit_timing,
        "bit_timing_constants": parameters.bit_timing_limits,
        "data_bit_timing": parameters.data_bit_timing,
        "data_bit_timing_constants": parameters.data_bit_timing_limits,
        "delay": parameters.delay,
        "clock": parameters.clock,
        "bitrates": parameters.bitrates,
        "data_bitrates": parameters.data_bitrates,
        "bitrate_max": parameters.bitrate_max or None,
        "restart": None if parameters.restart_ms is None else parameters.restart_ms / 1000,
        "termination": parameters.termination,
        "terminations": parameters.terminations,
        "error_counters": parameters.error_counters,
    }


def _state_of(number: int | None) -> CanState | None:
    """Give the state; None for one that a newer kernel has, and nobody here knows."""
    try:
        return None if number is None else CanState(number)
    except ValueError:
        return None


def driver_of(name: str) -> str | None:
    """Give the name of the driver of the kernel's interface of that name; None: it has no device.

    Source: ``Documentation/ABI/testing/sysfs-class-net``.
    """
    try:
        return (_SYSTEM_FILES / name / "device" / "driver").readlink().name
    except (OSError, ValueError):
        return None
