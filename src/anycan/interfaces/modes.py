"""The control modes that an interface is to have, and its transmitter delay compensation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from anycan.exceptions import ConfigurationError
from anycan.wire.netlink_can import CanMode, CanModes

if TYPE_CHECKING:
    from anycan.interfaces.settings import Settings
    from anycan.interfaces.values import Interface
    from anycan.wire.netlink_timing import TransmitterDelay

_DELAY_MODES: Final = CanMode.TDC_AUTO | CanMode.TDC_MANUAL


def changed_modes(settings: Settings, interface: Interface, *, with_data: bool) -> CanModes | None:
    """Give the modes that are to change; None: none.

    Args:
        settings: What was asked for.
        interface: The interface as it is.
        with_data: A data bit rate was asked for, so that CAN FD is to be on.

    Raises:
        ConfigurationError: The interface cannot have them.
    """
    now = interface.modes or CanMode(0)
    wanted = now
    match settings.modes:
        case None:
            pass
        case Mapping():
            for mode, is_on in settings.modes.items():
                wanted = wanted | mode if is_on else _without(wanted, mode)
        case modes:
            wanted = CanMode(modes)
    if with_data:
        if isinstance(settings.modes, Mapping) and settings.modes.get(CanMode.FD) is False:
            raise ConfigurationError(
                f"{interface.name}: a data bit rate is CAN FD's, which modes= turns off"
            )
        wanted |= CanMode.FD
    wanted = _with_delay_mode(settings, interface.name, now, wanted)
    _check_supported(interface, wanted & ~now)
    changed = int(now ^ wanted)
    return CanModes(changed, int(wanted) & changed) if changed else None


def _with_delay_mode(settings: Settings, name: str, now: CanMode, wanted: CanMode) -> CanMode:
    """Give the modes with that of transmitter delay compensation which goes with ``delay=``."""
    delay = settings.delay
    if delay is None:
        asked = wanted & ~now & _DELAY_MODES
        if asked:
            raise ConfigurationError(
                f"{name}: {_mode_names(asked)} goes with delay=, by which it is chosen; without,"
                " the kernel compensates for the delay by itself, where that is needed"
            )
        if not wanted & CanMode.FD:
            return _without(wanted, _DELAY_MODES)
        # What the kernel has chosen is not taken back by naming other modes.
        return wanted if isinstance(settings.modes, Mapping) else wanted | now & _DELAY_MODES
    if not wanted & CanMode.FD:
        raise ConfigurationError(f"{name}: delay= is CAN FD's, which is off (data_bitrate=)")
    if delay.offset is None:
        raise ConfigurationError(f"{name}: delay= needs its offset, whatever else it has")
    return _without(wanted, _DELAY_MODES) | delay_mode(delay)


def _without(modes: CanMode, some: CanMode) -> CanMode:
    """Turn modes off; those that a newer kernel has, and that have no name here, stay."""
    return CanMode(int(modes) & ~int(some))


def delay_mode(delay: TransmitterDelay) -> CanMode:
    """Give the mode that goes with a delay."""
    return CanMode.TDC_AUTO if delay.value is None else CanMode.TDC_MANUAL


def changed_delay(
    delay: TransmitterDelay | None, interface: Interface, *, anew: bool
) -> TransmitterDelay | None:
    """Give what to ask the kernel for; None: it has that delay.

    Args:
        delay: What was asked for.
        interface: The interface as it is.
        anew: The data bit timing changes, with which the kernel works the delay out anew.
    """
    if delay is None:
        return None
    there, now = interface.delay, interface.modes or CanMode(0)
    fields = [name for name in ("value", "offset", "filter") if getattr(delay, name) is not None]
    same = (
        there is not None
        and bool(now & delay_mode(delay))
        and all(getattr(delay, name) == getattr(there, name) for name in fields)
    )
    return None if same and not anew else delay


def _check_supported(interface: Interface, wanted: CanMode) -> None:
    supported = interface.supported_modes
    unknown = CanMode(0) if supported is None else wanted & ~supported
    if unknown and supported is not None:
        raise ConfigurationError(
            f"{interface.name}: its controller has no mode {_mode_names(unknown)}; it has"
            f" {_mode_names(supported) or 'none'}"
        )


def _mode_names(modes: CanMode) -> str:
    return ", ".join(mode.name for mode in CanMode if mode in modes and mode.name)
