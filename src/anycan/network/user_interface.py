"""An interface of a user network as a value, and what can be wrong with one."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import attrs

from anycan.exceptions import InterfaceError, InterfaceExistsError
from anycan.wire.constants import CAN_MTU, CANFD_MTU, CANXL_MTU

if TYPE_CHECKING:
    from anycan.network.core.device import NetworkDevice
    from anycan.network.core.interface import Interface

LONGEST_NAME: Final = 15  # linux/if.h: IFNAMSIZ, less the null character
_MTUS: Final = {
    CAN_MTU: "16 (classical CAN)",
    CANFD_MTU: "72 (CAN FD)",
    CANXL_MTU: "76 to 2060 (CAN XL)",
}


@attrs.frozen(kw_only=True)
class UserInterface:
    """An interface of a :class:`UserNetwork`, as it is at this moment.

    Attributes:
        index: Its index, from 1; never given twice.
        name: Its name.
        mtu: 16 (classical CAN), 72 (CAN FD), 76 to 2060 (CAN XL).
        up: Whether the link is up.
        sent: Frames sent.
        received: Frames delivered to this host: those sent with loopback, those of other nodes and
            those injected.
        send_dropped: Frames refused because the transmit queue was full, and frames dropped by a
            controller that is bus-off or only listens, or by a vxcan whose other end is down.
        receive_dropped: Injected frames that the interface could not take.
    """

    index: int
    name: str
    mtu: int
    up: bool
    sent: int
    received: int
    send_dropped: int
    receive_dropped: int

    @classmethod
    def of(cls, interface: Interface) -> UserInterface:
        """Make the value of an interface."""
        counters = interface.counters
        return cls(
            index=interface.index,
            name=interface.name,
            mtu=interface.mtu,
            up=interface.up,
            sent=counters.sent,
            received=counters.received,
            send_dropped=counters.send_dropped,
            receive_dropped=counters.receive_dropped,
        )


def check_name(name: str) -> None:
    """See to it that an interface can be called that.

    Raises:
        ValueError: It cannot.

    Source: ``net/core/dev.c``, ``dev_valid_name``; ``%`` is for names that the kernel completes.
    """
    forbidden = any(one in "/:%\0" or one.isspace() for one in name)
    if not name or len(name.encode()) > LONGEST_NAME or name in {".", ".."} or forbidden:
        raise ValueError(
            f"no interface can be called {name!r}: 1 to {LONGEST_NAME} characters, no space, '/',"
            " ':', '%' or null character"
        )


def exists(name: str, network: str) -> InterfaceExistsError:
    """Make the error for a name that an interface has already."""
    return InterfaceExistsError(
        errno.EEXIST, f"there is an interface {name} on {network} already", name
    )


def no_such_mtu(name: str, mtu: int, device: NetworkDevice) -> ValueError:
    """Make the error for an MTU that an interface with such a device cannot have."""
    possible = [text for greatest, text in _MTUS.items() if device.supports_mtu(greatest)]
    return ValueError(f"{name} cannot have an MTU of {mtu}: {' or '.join(possible)}")


def cannot_begin(interface: Interface, error: OSError) -> InterfaceError:
    """Make the error for a link that cannot come up."""
    name = interface.name
    told = interface.parameters()
    missing = "data_bitrate=2_000_000" if told and told.bit_timing else "bitrate=500_000"
    return InterfaceError(
        error.errno or 0,
        f"{name} does not come up: {error.strerror} (configure_interface({name!r}, {missing},"
        " up=True, network=...) sets it)",
        name,
    )
