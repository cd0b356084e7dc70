"""The bit timing that an interface is to have, worked out from what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs

from anycan.exceptions import ConfigurationError
from anycan.wire.bit_timing import calc_bit_timing
from anycan.wire.netlink_timing import BitTiming

if TYPE_CHECKING:
    from anycan.interfaces.values import Interface
    from anycan.wire.netlink_timing import BitTimingConstants

_PHASES: Final = {"": "bit rate", "data_": "data bit rate"}


@attrs.frozen
class WantedTiming:
    """What was asked for of one phase; None: nothing.

    Attributes:
        timing: All of it.
        bitrate: The bit rate, in bits a second.
        sample_point: Where a bit is sampled, as a share of it.
        sjw: The synchronization jump width, in time quanta.
        phase: What stands before the names of the data phase.
    """

    timing: BitTiming | None
    bitrate: int | None
    sample_point: float | None
    sjw: int | None
    phase: Literal["", "data_"] = ""


def wanted_timing(interface: Interface, wanted: WantedTiming) -> BitTiming | None:
    """Give a bit timing as it is to be; None: as it is.

    Args:
        interface: The interface as it is.
        wanted: What was asked for.

    Raises:
        ConfigurationError: The interface cannot have it.
    """
    phase = wanted.phase
    timing = wanted.timing
    if timing is not None:
        if not (wanted.bitrate is None and wanted.sample_point is None and wanted.sjw is None):
            raise ConfigurationError(
                f"{interface.name}: {phase}bit_timing= says all, and goes without {phase}bitrate=,"
                f" {phase}sample_point= and {phase}sjw="
            )
        if not timing.bitrate:
            return timing
        sample_point = timing.sample_point / 1000 if timing.sample_point else None
        wanted = WantedTiming(None, timing.bitrate, sample_point, timing.sjw or None, phase)
    bitrate = wanted.bitrate
    if bitrate is None:
        if wanted.sample_point is None and wanted.sjw is None:
            return None
        bitrate = interface.data_bitrate if phase else interface.bitrate
        if bitrate is None:
            raise ConfigurationError(
                f"{interface.name} has no {_PHASES[phase]} yet: give {phase}bitrate= as well"
            )
    return _at_bitrate(interface, bitrate, wanted)


def _at_bitrate(interface: Interface, bitrate: int, wanted: WantedTiming) -> BitTiming:
    name, phase = interface.name, wanted.phase
    bitrates: tuple[int, ...] | None = getattr(interface, f"{phase}bitrates")
    constants: BitTimingConstants | None = getattr(interface, f"{phase}bit_timing_constants")
    if interface.bitrate_max is not None and bitrate > interface.bitrate_max:
        raise ConfigurationError(
            f"{name}: {bitrate} bit/s is more than its transceiver takes, {interface.bitrate_max}"
        )
    if bitrates is not None:
        if bitrate not in bitrates:
            known = ", ".join(map(str, bitrates))
            raise ConfigurationError(
                f"{name}: its controller has no {_PHASES[phase]} of {bitrate}, but {known}"
            )
        if not (wanted.sample_point is None and wanted.sjw is None):
            raise ConfigurationError(
                f"{name}: its controller has bit rates to choose from, with a sample point and a"
                " jump width for each"
            )
        return BitTiming(bitrate=bitrate)
    sample_point, sjw = wanted.sample_point, wanted.sjw
    if constants is None:
        if phase:
            raise ConfigurationError(f"{name}: its controller has no CAN FD, and no data bit rate")
        # A driver that has no limits to tell; the kernel refuses what it cannot be.
        if bitrate < 1 or not (sample_point is None or 0 < sample_point < 1):
            raise ConfigurationError(
                f"{name}: a bit rate is a number of bits a second above 0, and a sample point a"
                f" share between 0 and 1, not {bitrate} and {sample_point}"
            )
        share = 0 if sample_point is None else round(sample_point * 1000)
        return BitTiming(bitrate=bitrate, sample_point=share, sjw=sjw or 0)
    try:
        return calc_bit_timing(
            interface.clock or 0, bitrate, constants=constants, sample_point=sample_point, sjw=sjw
        ).timing
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from None
