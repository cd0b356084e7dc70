"""What can be asked of a network's links, whichever network it is. Every call may take a moment."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Protocol

from anycan.exceptions import ConfigurationError, InterfaceError, InterfaceExistsError
from anycan.wire.constants import CAN_MTU, CANFD_MTU, CANXL_MIN_MTU, CANXL_MTU
from anycan.wire.netlink_can import CanMode, CanState

if TYPE_CHECKING:
    from anycan.interfaces.settings import Settings
    from anycan.interfaces.values import Interface
    from anycan.network.base import Network


class Links(Protocol):
    """A network's links."""

    def list(self) -> list[Interface]:
        """Give all CAN interfaces, in the order of their indices."""
        ...

    def get(self, interface: str | int) -> Interface:
        """Give one, by its name or its index.

        Raises:
            UnknownInterfaceError: There is none.
            NotACanInterfaceError: It is no CAN interface.
        """
        ...

    def create_vcan(self, name: str, mtu: int, *, up: bool) -> Interface:
        """Make a vcan.

        Raises:
            InterfaceExistsError: There is an interface of that name.
        """
        ...

    def create_vxcan(
        self, name: str, peer: str, namespace: str | int | Network | None, mtu: int, *, up: bool
    ) -> Interface:
        """Make a pair of vxcans; give the near end.

        Raises:
            InterfaceExistsError: There is an interface of one of the names.
        """
        ...

    def delete(self, interface: str | int) -> None:
        """Delete a vcan, or both ends of a vxcan."""
        ...

    def configure(self, interface: str | int, settings: Settings) -> Interface:
        """Set an interface; give it as it is then.

        Raises:
            ConfigurationError: It cannot be set so; nothing was changed.
        """
        ...

    def set_up(self, interface: str | int) -> None:
        """Set an interface up."""
        ...

    def set_down(self, interface: str | int) -> None:
        """Set an interface down."""
        ...

    def restart(self, interface: str | int) -> None:
        """Restart a controller after bus-off."""
        ...


def check_mtu(name: str, mtu: int) -> None:
    """See to it that a CAN interface can have an MTU; on making one the kernel takes any.

    Raises:
        ConfigurationError: It cannot.
    """
    if mtu not in {CAN_MTU, CANFD_MTU} and not CANXL_MIN_MTU <= mtu <= CANXL_MTU:
        raise ConfigurationError(
            f"{name} cannot have an MTU of {mtu}: {CAN_MTU} (classical CAN), {CANFD_MTU} (CAN FD)"
            f" or {CANXL_MIN_MTU} to {CANXL_MTU} (CAN XL)"
        )


def exists(name: str, network: str) -> InterfaceExistsError:
    """Make the error for a name that an interface has already."""
    where = "" if network == "kernel" else f" on {network}"
    return InterfaceExistsError(errno.EEXIST, f"there is an interface {name}{where} already", name)


def not_deletable(interface: Interface) -> InterfaceError:
    """Make the error for an interface that only its driver can take away."""
    return InterfaceError(
        errno.EOPNOTSUPP,
        f"{interface.name} cannot be deleted, as it is no vcan or vxcan: it goes when its device is"
        " unplugged, or its driver unloaded",
        interface.name,
    )


def no_bit_rate(interface: Interface) -> InterfaceError:
    """Make the error for a controller that cannot come up."""
    name = interface.name
    return InterfaceError(
        errno.EINVAL,
        f"{name} has no bit rate yet, and does not come up: set it (configure_interface({name!r},"
        f" bitrate=500_000, up=True), or ip link set {name} type can bitrate 500000)",
        name,
    )


def cannot_begin(interface: Interface, error: OSError) -> InterfaceError:
    """Make the error for an interface whose device does not begin to work."""
    name = interface.name
    reason = error.strerror
    if interface.data_bit_timing is None and CanMode.FD in (interface.modes or CanMode(0)):
        reason = (
            "CAN FD is on, and it has no data bit rate yet: set it"
            f" (configure_interface({name!r}, data_bitrate=2_000_000, up=True)), or turn CAN FD off"
        )
    return InterfaceError(error.errno or 0, f"{name} does not come up: {reason}", name)


def check_restart(interface: Interface) -> None:
    """See to it that a controller can be restarted.

    Raises:
        InterfaceError: It cannot.

    Source: ``drivers/net/can/dev/dev.c``, ``can_restart_now``.
    """
    name = interface.name
    if interface.restart is None:
        raise InterfaceError(
            errno.EOPNOTSUPP, f"{name} has no controller, and nothing to restart", name
        )
    if not interface.up:
        raise InterfaceError(errno.EINVAL, f"{name} is down: set it up in place of that", name)
    if interface.restart:
        raise InterfaceError(
            errno.EINVAL,
            f"{name} restarts by itself, {interface.restart:g} s after bus-off: it is not restarted"
            " by hand as well",
            name,
        )
    if interface.state != CanState.BUS_OFF:
        state = "unknown" if interface.state is None else interface.state.name.lower()
        raise InterfaceError(
            errno.EBUSY,
            f"{name} is not bus-off (its state is {state.replace('_', '-')}): there is nothing to"
            " restart",
            name,
        )
