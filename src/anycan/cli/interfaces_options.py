"""What ``anycan interfaces set`` can be told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import attrs
from cyclopts import Parameter, validators

from anycan import CanMode, ConfigurationError, TransmitterDelay
from anycan.cli.common import NOT_NEGATIVE, UsageError
from anycan.cli.interfaces_text import bitrate_of, mode_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token

_OF_AN_MTU: Final = validators.Number(gte=16, lte=2060)
_GREATEST: Final = 0xFFFF_FFFF  # what the kernel has room for


def _read_bitrate(_type: object, tokens: Sequence[Token]) -> int:
    try:
        return bitrate_of(tokens[0].value)
    except ValueError as error:
        raise ValueError(f"{error}.") from None


Rate: TypeAlias = Annotated[int | None, Parameter(converter=_read_bitrate)]
Share: TypeAlias = Annotated[
    float | None, Parameter(validator=(*NOT_NEGATIVE, validators.Number(gte=0.001, lte=0.999)))
]
Quanta: TypeAlias = Annotated[
    int | None, Parameter(validator=validators.Number(gte=1, lte=_GREATEST))
]
Periods: TypeAlias = Annotated[
    int | None, Parameter(validator=validators.Number(gte=0, lte=_GREATEST))
]
Seconds: TypeAlias = Annotated[
    float | None, Parameter(validator=(*NOT_NEGATIVE, validators.Number(lte=4_294_967)))
]
Mtu: TypeAlias = Annotated[int, Parameter(validator=_OF_AN_MTU)]
Switch: TypeAlias = Annotated[bool | None, Parameter(negative=None, negative_none=())]
"""A flag with another one that turns it off."""


@Parameter(name="*", group="Bit timing")
@attrs.frozen(kw_only=True)
class TimingOptions:
    """How a controller's bits are timed.

    Attributes:
        bitrate: The bit rate: 500000, 500k, 1M, 2.5M.
        sample_point: Where a bit is sampled, as a share of it, for example 0.875; without it, with
            --bitrate, what CiA recommends.
        sjw: The synchronization jump width, in time quanta.
        data_bitrate: The bit rate of CAN FD's data phase. It turns CAN FD on.
        data_sample_point: As --sample-point, of the data phase.
        data_sjw: As --sjw, of the data phase.
        tdc_offset: Transmitter delay compensation of the data phase, in periods of the controller's
            clock: the offset of the second sample point; without it, the kernel's choice.
        tdc_value: The transmitter delay; without it the controller measures it.
        tdc_filter: From where on the delay that is measured counts.
    """

    bitrate: Rate = None
    sample_point: Share = None
    sjw: Quanta = None
    data_bitrate: Rate = None
    data_sample_point: Share = None
    data_sjw: Quanta = None
    tdc_offset: Periods = None
    tdc_value: Periods = None
    tdc_filter: Periods = None


@Parameter(name="*", group="Control modes")
@attrs.frozen(kw_only=True)
class ModeOptions:
    """Which control modes are to be on and off.

    Attributes:
        loopback: What is sent is received here, and does not reach the bus.
        listen_only: Receive without acknowledging, and send nothing.
        triple_sampling: Sample each bit three times.
        one_shot: Send each frame once, whether it is acknowledged or not.
        berr_reporting: Tell bus errors by error frames.
        fd: CAN FD.
        presume_ack: Take a frame that nobody has acknowledged for sent.
        fd_non_iso: CAN FD as it was before ISO 11898-1:2015.
        cc_len8_dlc: DLCs of 9 to 15 for classical frames of 8 bytes.
        tdc_auto: The controller measures the transmitter delay; --tdc-offset turns it on.
        tdc_manual: The transmitter delay is given; --tdc-value turns it on.
        restricted: Receive and acknowledge, and send nothing else.
        xl: CAN XL.
        xl_tdc_auto: As --tdc-auto, of CAN XL.
        xl_tdc_manual: As --tdc-manual, of CAN XL.
        xl_tms: The transceiver is switched to CAN XL's fast mode.
    """

    loopback: Switch = None
    listen_only: Switch = None
    triple_sampling: Switch = None
    one_shot: Switch = None
    berr_reporting: Switch = None
    fd: Switch = None
    presume_ack: Switch = None
    fd_non_iso: Switch = None
    cc_len8_dlc: Switch = None
    tdc_auto: Switch = None
    tdc_manual: Switch = None
    restricted: Switch = None
    xl: Switch = None
    xl_tdc_auto: Switch = None
    xl_tdc_manual: Switch = None
    xl_tms: Switch = None

    def chosen(self) -> dict[CanMode, bool]:
        """Give those that were asked for, and whether each is to be on."""
        wanted = {mode: getattr(self, mode_name(mode).replace("-", "_")) for mode in CanMode}
        return {mode: is_on for mode, is_on in wanted.items() if is_on is not None}


@Parameter(name="*", group="Controller")
@attrs.frozen(kw_only=True)
class ControllerOptions:
    """What else a controller has.

    Attributes:
        restart: After how many seconds of bus-off it restarts by itself; 0: never.
        termination: The resistor between the wires, in ohms; 0: none.
    """

    restart: Seconds = None
    termination: Annotated[int | None, Parameter(validator=validators.Number(gte=0, lte=65535))] = (
        None
    )


@Parameter(name="*", group="Interface")
@attrs.frozen(kw_only=True)
class InterfaceOptions:
    """What every interface has.

    Attributes:
        mtu: The bytes of the greatest frame, of a vcan or vxcan: 16 (classical CAN), 72 (CAN FD) or
            76 to 2060 (CAN XL). A controller's goes with --fd.
        queue_length: How many frames wait to be sent at most.
        up: Bring it up, or leave it down; without either, it is as it was.
    """

    mtu: Annotated[int | None, Parameter(validator=_OF_AN_MTU)] = None
    queue_length: Annotated[
        int | None, Parameter(validator=validators.Number(gte=0, lte=_GREATEST))
    ] = None
    up: Annotated[bool | None, Parameter(name="--up", negative="--down", negative_none=())] = None


def arguments_of(
    timing: TimingOptions,
    modes: ModeOptions,
    controller: ControllerOptions,
    interface: InterfaceOptions,
) -> dict[str, Any]:
    """Give what was asked for as keyword arguments of :func:`anycan.configure_interface`.

    Raises:
        UsageError: Something goes with another option that is missing.
    """
    values = {name: value for part in (timing, controller, interface) for name, value in _of(part)}
    delay = {name: values.pop(f"tdc_{name}", None) for name in ("value", "offset", "filter")}
    if any(number is not None for number in delay.values()):
        if delay["offset"] is None:
            raise UsageError("--tdc-value and --tdc-filter go with --tdc-offset")
        values["delay"] = TransmitterDelay(**delay)
    chosen = modes.chosen()
    if chosen:
        values["modes"] = chosen
    return values


def _of(options: TimingOptions | ControllerOptions | InterfaceOptions) -> list[tuple[str, Any]]:
    values = attrs.asdict(options)
    return [(name, value) for name, value in values.items() if value is not None]


# Keyword arguments and modes, which messages name as Python does.
_KEYWORDS: Final = re.compile(
    r"\b(bitrate|sample_point|sjw|data_bitrate|data_sample_point|data_sjw|restart|termination|mtu"
    r"|queue_length)="
)
_MODE: Final = re.compile(r"\bCanMode\.([A-Z0-9_]+)")


def in_options(error: ConfigurationError, modes: dict[CanMode, bool]) -> ConfigurationError:
    """Make of what :func:`anycan.configure_interface` says of its arguments what its user knows.

    Args:
        error: What it says.
        modes: The modes that were asked for.
    """
    text = _KEYWORDS.sub(lambda found: f"--{found[1].replace('_', '-')}", str(error))
    text = _MODE.sub(lambda found: f"--{mode_name(CanMode[found[1]])}", text)
    flags = [f"--{'' if is_on else 'no-'}{mode_name(mode)}" for mode, is_on in modes.items()]
    text = text.replace("modes= turns off", "--no-fd turns off")
    text = text.replace("modes=", flags[0] if flags else "a mode")
    return ConfigurationError(text.replace("delay=", "--tdc-offset"))
