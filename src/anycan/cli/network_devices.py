"""The interfaces that ``anycan network serve`` begins with, as its command line names them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from anycan import CanError, SlcanAdapter, UserNetwork
from anycan.cli.common import UsageError
from anycan.cli.interfaces_text import bitrate_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_CAN_SETTINGS: Final = ("data-bitrate", "bus")
_SLCAN_SETTINGS: Final = ("bitrate", "serial-speed")
_SLCAN_FLAGS: Final = ("listen-only", "no-timestamps")


def add_devices(
    network: UserNetwork, vcan: Sequence[str], can: Sequence[str], slcan: Sequence[str]
) -> None:
    """Add interfaces to a network.

    Args:
        network: The network.
        vcan: Names of virtual interfaces.
        can: Controllers: ``NAME[=BITRATE][,data-bitrate=BITRATE][,bus=BUS]``.
        slcan: Serial adapters:
            ``NAME=TTY[,bitrate=BITRATE][,listen-only][,no-timestamps][,serial-speed=SPEED]``.

    Raises:
        UsageError: That is no such interface.
        CanError: There are two of one name, or an adapter does not come up.
    """
    for name in vcan:
        with _reading(f"--vcan {name}"):
            network.add_vcan(name)
    for text in can:
        with _reading(f"--can {text}"):
            _add_can(network, text)
    for text in slcan:
        with _reading(f"--slcan {text}"):
            _add_slcan(network, text)


@contextmanager
def _reading(option: str) -> Iterator[None]:
    try:
        yield
    except CanError:
        raise
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _add_can(network: UserNetwork, text: str) -> None:
    name, bitrate, settings = _parts(text, _CAN_SETTINGS)
    data_bitrate = settings.get("data-bitrate")
    network.add_can(
        name,
        bus=settings.get("bus", "can"),
        bitrate=bitrate_of(bitrate) if bitrate else None,
        data_bitrate=bitrate_of(data_bitrate) if data_bitrate is not None else None,
    )


def _add_slcan(network: UserNetwork, text: str) -> None:
    name, line, settings = _parts(text, _SLCAN_SETTINGS, _SLCAN_FLAGS)
    if not line:
        raise ValueError("which serial line? write NAME=TTY, for example can0=/dev/ttyACM0")
    bitrate = settings.get("bitrate")
    adapter = SlcanAdapter(
        line,
        bitrate=None if bitrate is None else bitrate_of(bitrate),
        listen_only="listen-only" in settings,
        timestamps="no-timestamps" not in settings,
        serial_speed=int(settings.get("serial-speed", 115_200)),
    )
    # None that has a wrong bit rate is to disturb a bus: it stays down until it is told one.
    network.add_device(name, adapter, up=bitrate is not None)


def _parts(
    text: str, settings: Collection[str], flags: Collection[str] = ()
) -> tuple[str, str, dict[str, str]]:
    """Read ``NAME[=VALUE][,SETTING=VALUE][,FLAG]...``; a flag that is there has no value."""
    first, *rest = text.split(",")
    name, _, value = first.partition("=")
    found: dict[str, str] = {}
    for part in rest:
        key, sign, setting = part.partition("=")
        if key not in (settings if sign else flags):
            known = ", ".join([*(f"{one}=…" for one in settings), *flags])
            raise ValueError(f"{part!r} is none of {known}")
        if key in found:
            raise ValueError(f"{key} stands there twice")
        found[key] = setting
    return name, value, found
