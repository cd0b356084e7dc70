"""Two networks to run the same program on: the kernel's, and one in user space."""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Final, Protocol

import anycan

if TYPE_CHECKING:
    from anycan import Network

INTERFACES: Final = ("flexible", "classical", "long")
MTUS: Final = {"flexible": 72, "classical": 16, "long": 2060}

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


class Stage(Protocol):
    """A network with the three interfaces, and the power to take links down."""

    @property
    def network(self) -> Network:
        """Give the network."""

    def name(self, interface: str) -> str:
        """Give the real name of one of :data:`INTERFACES`."""

    def down(self, interface: str) -> None:
        """Take a link down."""

    def up(self, interface: str) -> None:
        """Bring a link up."""

    def replace(self, interface: str) -> None:
        """Remove an interface, and add one of the same name, up."""


class KernelStage:
    """Three vcans of the kernel, made once. Links are set by ioctl: a process each is too slow."""

    network = anycan.kernel

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for interface in INTERFACES:
            self._run(*self._addition(interface))

    def _addition(self, interface: str) -> tuple[str, str]:
        name = self.name(interface)
        return (
            f"link add dev {name} type vcan",
            f"link set {name} mtu {MTUS[interface]} up",
        )

    def _run(self, *commands: str) -> None:
        subprocess.run(
            ["ip", "-batch", "-"],  # noqa: S607 - wherever it is
            input="\n".join(commands).encode(),
            check=True,
        )

    def name(self, interface: str) -> str:
        return f"diff{interface}"

    def _flags(self, interface: str, request: int, flags: int) -> int:
        record = struct.pack("16sH22x", self.name(interface).encode(), flags)
        answer = fcntl.ioctl(self._socket, request, record)
        return int(struct.unpack_from("16xH", answer)[0])

    def up(self, interface: str) -> None:
        flags = self._flags(interface, _SIOCGIFFLAGS, 0)
        self._flags(interface, _SIOCSIFFLAGS, flags | _IFF_UP)

    def down(self, interface: str) -> None:
        flags = self._flags(interface, _SIOCGIFFLAGS, 0)
        self._flags(interface, _SIOCSIFFLAGS, flags & ~_IFF_UP)

    def replace(self, interface: str) -> None:
        self._run(f"link del {self.name(interface)}", *self._addition(interface))

    def close(self) -> None:
        self._socket.close()
        self._run(*(f"link del {self.name(interface)}" for interface in INTERFACES))


class UserStage:
    """Three vcans of a user-space network.

    Args:
        network: Where; None: on one of their own.
    """

    def __init__(self, network: anycan.UserNetwork | None = None) -> None:
        self.network = network or anycan.UserNetwork()
        for interface in INTERFACES:
            self.network.add_vcan(interface, mtu=MTUS[interface])

    def name(self, interface: str) -> str:
        return interface

    def up(self, interface: str) -> None:
        self.network.set_up(interface)

    def down(self, interface: str) -> None:
        self.network.set_down(interface)

    def replace(self, interface: str) -> None:
        self.network.remove(interface)
        self.network.add_vcan(interface, mtu=MTUS[interface])
