"""What an interface is to be set to: checked against what it can be, before it is touched."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

import attrs

from anycan.exceptions import ConfigurationError
from anycan.interfaces.links import check_mtu
from anycan.interfaces.modes import changed_delay, changed_modes, delay_mode
from anycan.interfaces.timing import WantedTiming, wanted_timing
from anycan.wire.bit_timing import calc_bit_timing
from anycan.wire.constants import CAN_MTU, CANFD_MTU
from anycan.wire.netlink_can import CanMode, CanModes, CanParameters
from anycan.wire.netlink_timing import BitTiming

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anycan.interfaces.values import Interface
    from anycan.wire.netlink_timing import BitTimingConstants, TransmitterDelay

_GREATEST: Final = 0xFFFFFFFF  # what a field of 32 bits holds


@attrs.frozen(kw_only=True)
class Settings:
    """What :func:`~anycan.configure_interface` was asked for; None: as it is.

    Attributes are its arguments.
    """

    bitrate: int | None = None
    sample_point: float | None = None
    sjw: int | None = None
    bit_timing: BitTiming | None = None
    data_bitrate: int | None = None
    data_sample_point: float | None = None
    data_sjw: int | None = None
    data_bit_timing: BitTiming | None = None
    modes: CanMode | Mapping[CanMode, bool] | None = None
    delay: TransmitterDelay | None = None
    restart: float | None = None
    termination: int | None = None
    mtu: int | None = None
    queue_length: int | None = None
    up: bool | None = None


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be done with an interface; what is as it is to be is left alone.

    Attributes:
        parameters: What of its controller is to be changed; None: nothing.
        mtu: Its MTU, if that is to be changed.
        queue_length: Its queue's length, if that is to be changed.
        down_first: It is up, and has to be down for the change.
        up: Whether it is to be up at the end.
    """

    parameters: CanParameters | None = None
    mtu: int | None = None
    queue_length: int | None = None
    down_first: bool = False
    up: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything is to be changed, but for up and down."""
        return not (self.parameters is None and self.mtu is None and self.queue_length is None)


def plan(settings: Settings, interface: Interface) -> Plan:
    """Find out what is to be done.

    Args:
        settings: What was asked for.
        interface: The interface as it is.

    Raises:
        ConfigurationError: The interface cannot be set so.
    """
    parameters, restful = _parameters(settings, interface)
    mtu = _changed_mtu(settings.mtu, interface, parameters.modes)
    length = settings.queue_length
    if length is not None and not 0 <= length <= _GREATEST:
        raise ConfigurationError(
            f"{interface.name}: a queue's length is a number of frames, 0 to {_GREATEST}, not"
            f" {length!r}"
        )
    return Plan(
        parameters=None if parameters == CanParameters() else parameters,
        mtu=mtu,
        queue_length=None if length == interface.queue_length else length,
        down_first=interface.up and (restful or mtu is not None),
        up=interface.up if settings.up is None else settings.up,
    )


def _parameters(settings: Settings, interface: Interface) -> tuple[CanParameters, bool]:
    """Give what is to be changed of the controller, and whether it has to be down for it."""
    wanted = [
        name
        for name in attrs.fields_dict(Settings)
        if name not in {"mtu", "queue_length", "up"} and getattr(settings, name) is not None
    ]
    if not wanted:
        return CanParameters(), False
    if interface.kind != "can":
        raise ConfigurationError(
            f"{interface.name} is {_kind(interface)}, and has no controller to set: {wanted[0]}= is"
            " for one"
        )
    timing = wanted_timing(
        interface,
        WantedTiming(settings.bit_timing, settings.bitrate, settings.sample_point, settings.sjw),
    )
    data_timing = wanted_timing(
        interface,
        WantedTiming(
            settings.data_bit_timing,
            settings.data_bitrate,
            settings.data_sample_point,
            settings.data_sjw,
            phase="data_",
        ),
    )
    timings = (
        _unless_there(timing, interface.bit_timing),
        _unless_there(data_timing, interface.data_bit_timing),
    )
    modes = changed_modes(settings, interface, with_data=data_timing is not None)
    _check_flexible(interface, timing, data_timing, modes)
    resting = CanParameters(
        bit_timing=timings[0],
        data_bit_timing=timings[1],
        modes=modes,
        restart_ms=_restart_ms(settings.restart, interface),
        delay=changed_delay(settings.delay, interface, anew=timings[1] is not None),
    )
    turned_on = modes is not None and modes.flags & CanMode.FD
    if turned_on or resting.data_bit_timing is not None or resting.delay is not None:
        resting = _with_all_of_fd(resting, interface)
    termination = _termination(settings.termination, interface)
    _check_range(interface.name, resting)
    return attrs.evolve(resting, termination=termination), resting != CanParameters()


def _check_range(name: str, parameters: CanParameters) -> None:
    """See to it that the kernel can be told: it takes whole numbers of 32 bits.

    Raises:
        ConfigurationError: It cannot.
    """
    for part in ("bit_timing", "data_bit_timing", "modes", "delay"):
        value = getattr(parameters, part)
        for field, number in {} if value is None else attrs.asdict(value).items():
            if number is not None and not (isinstance(number, int) and 0 <= number <= _GREATEST):
                raise ConfigurationError(
                    f"{name}: {part}.{field} is a whole number, 0 to {_GREATEST}, not {number!r}"
                )


def _with_all_of_fd(changed: CanParameters, interface: Interface) -> CanParameters:
    """Add what the kernel takes only together: CAN FD turned on, and both bit timings."""
    modes = changed.modes or CanModes()
    added = CanMode.FD
    if changed.delay is not None:
        added |= delay_mode(changed.delay)
    return attrs.evolve(
        changed,
        bit_timing=changed.bit_timing or as_it_is(interface, ""),
        data_bit_timing=changed.data_bit_timing or as_it_is(interface, "data_"),
        modes=CanModes(modes.mask | added, modes.flags | added),
    )


def as_it_is(interface: Interface, phase: Literal["", "data_"]) -> BitTiming | None:
    """Give a bit timing that is there such that the kernel keeps it; None: there is none.

    By its bit rate where it is what that gives, and else by its segments, from which the kernel may
    read back a time quantum that is rounded otherwise.
    """
    timing: BitTiming | None = getattr(interface, f"{phase}bit_timing")
    constants: BitTimingConstants | None = getattr(interface, f"{phase}bit_timing_constants")
    if timing is None or constants is None:
        return again(timing)
    with suppress(ValueError):
        found = calc_bit_timing(
            interface.clock or 0,
            timing.bitrate,
            constants=constants,
            sample_point=timing.sample_point / 1000,
            sjw=timing.sjw,
        )
        if found.timing == timing:
            return again(timing)
    return attrs.evolve(timing, bitrate=0, sample_point=0, brp=0)


def _kind(interface: Interface) -> str:
    return "no controller" if interface.kind is None else f"a {interface.kind}"


def _unless_there(timing: BitTiming | None, there: BitTiming | None) -> BitTiming | None:
    """Give what to ask the kernel for; None: it has that bit timing."""
    if timing is None or there is None:
        return again(timing)
    fields = [name for name in attrs.fields_dict(BitTiming) if getattr(timing, name)]
    same = all(getattr(timing, name) == getattr(there, name) for name in fields)
    return None if same else again(timing)


def again(timing: BitTiming | None) -> BitTiming | None:
    """Give a bit timing such as the kernel takes: with a bit rate it works the rest out."""
    if timing is None or not timing.bitrate:
        return timing
    return BitTiming(bitrate=timing.bitrate, sample_point=timing.sample_point, sjw=timing.sjw)


def _check_flexible(
    interface: Interface,
    timing: BitTiming | None,
    data_timing: BitTiming | None,
    modes: CanModes | None,
) -> None:
    """See to it that CAN FD has what it needs."""
    now = int(interface.modes or 0)
    after = now if modes is None else (now & ~modes.mask) | modes.flags
    if not after & CanMode.FD:
        return
    name = interface.name
    timing = timing or interface.bit_timing
    data_timing = data_timing or interface.data_bit_timing
    if data_timing is None:
        raise ConfigurationError(f"{name}: CAN FD has a data bit rate: give data_bitrate=")
    if timing is None:
        raise ConfigurationError(f"{name}: CAN FD has two bit rates: give bitrate= as well")
    if timing.bitrate and data_timing.bitrate and data_timing.bitrate < timing.bitrate:
        raise ConfigurationError(
            f"{name}: the data bit rate, {data_timing.bitrate}, is below the bit rate,"
            f" {timing.bitrate}"
        )


def _restart_ms(restart: float | None, interface: Interface) -> int | None:
    if restart is None:
        return None
    if not (math.isfinite(restart) and 0 <= restart * 1000 <= _GREATEST):
        raise ConfigurationError(
            f"{interface.name}: restart= is a number of seconds, 0 for never, not {restart!r}"
        )
    milliseconds = math.ceil(restart * 1000 - 1e-6)  # what is above 0 shall not become never
    return None if milliseconds == round((interface.restart or 0) * 1000) else milliseconds


def _termination(ohms: int | None, interface: Interface) -> int | None:
    if ohms is None or ohms == interface.termination:
        return None
    if not interface.terminations:
        raise ConfigurationError(f"{interface.name} has no termination that can be switched")
    if ohms not in interface.terminations:
        known = ", ".join(map(str, interface.terminations))
        raise ConfigurationError(
            f"{interface.name}: its termination is one of {known} ohms, not {ohms}"
        )
    return ohms


def _changed_mtu(mtu: int | None, interface: Interface, modes: CanModes | None) -> int | None:
    if mtu is None:
        return None
    check_mtu(interface.name, mtu)
    if interface.kind != "can":
        return None if mtu == interface.mtu else mtu
    now = int(interface.modes or 0)
    after = now if modes is None else (now & ~modes.mask) | modes.flags
    going = CANFD_MTU if after & CanMode.FD else CAN_MTU
    if mtu != going:
        raise ConfigurationError(
            f"{interface.name} is a controller: its MTU goes with CanMode.FD (data_bitrate= turns"
            f" it on), and is {going} then"
        )
    return None if modes is not None or mtu == interface.mtu else mtu
