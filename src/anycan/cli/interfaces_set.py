"""``anycan interfaces set``: set an interface: bit rates, modes and the rest."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from anycan import ConfigurationError, InterfaceError, configure_interface
from anycan.cli.common import NetworkOption, UsageError, emit
from anycan.cli.interfaces_change import explain_start
from anycan.cli.interfaces_options import (
    ControllerOptions,
    InterfaceOptions,
    ModeOptions,
    TimingOptions,
    arguments_of,
    in_options,
)
from anycan.cli.interfaces_text import one_line

_NO_TIMING: Final = TimingOptions()
_NO_MODES: Final = ModeOptions()
_NO_CONTROLLER: Final = ControllerOptions()
_NO_INTERFACE: Final = InterfaceOptions()


async def set(  # noqa: A001 - the command's name
    name: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    timing: TimingOptions = _NO_TIMING,
    modes: ModeOptions = _NO_MODES,
    controller: ControllerOptions = _NO_CONTROLLER,
    interface: InterfaceOptions = _NO_INTERFACE,
    network: NetworkOption = None,
) -> int:
    """Set an interface: its bit rates, its modes and the rest; print what it is then.

    What is not given stays as it is. What can be changed only while the interface is down has it
    taken down, changed and brought up again. Everything is checked before anything is touched. On
    the kernel it needs CAP_NET_ADMIN.

    Args:
        name: The interface.
        timing: How its bits are timed.
        modes: Which control modes are to be on and off.
        controller: What else its controller has.
        interface: What every interface has.
        network: Where it is.
    """
    wanted = arguments_of(timing, modes, controller, interface)
    if not wanted:
        raise UsageError(
            f"nothing to set: 'anycan interfaces show {name}' shows what {name} is; an option such"
            " as --bitrate 500k changes it"
        )
    try:
        changed = await configure_interface(name, network=network, **wanted)
    except ConfigurationError as error:
        raise in_options(error, modes.chosen()) from None
    except InterfaceError as error:
        await explain_start(name, network, error)
        raise
    emit(f"{one_line(changed)}\n")
    return 0
