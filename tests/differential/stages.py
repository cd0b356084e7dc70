"""Networks to run the same program on: the kernel's, one in user space, and one that is served."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import anycan
from raw_lists import KernelLists, user_lists
from rig import rtnetlink
from rig.host import in_guest
from rig.served import served_path

if TYPE_CHECKING:
    from anycan import Network

INTERFACES: Final = ("flexible", "classical", "long")
MTUS: Final = {"flexible": 72, "classical": 16, "long": 2060}
PAIR: Final = ("near", "far")
"""The ends of a vxcan, for the stages that have one. They are always up."""
HIDDEN: Final = "hidden"
"""What receive lists are that cannot be looked at."""
ELSEWHERE: Final = 999_999
"""An index that no interface has."""


class Stage(Protocol):
    """A network with the three interfaces, and the power to take links down."""

    @property
    def network(self) -> Network:
        """Give the network."""

    def name(self, interface: str) -> str:
        """Give the real name of one of :data:`INTERFACES`."""

    def index(self, interface: str) -> int:
        """Give the index that an interface has, or had."""

    def down(self, interface: str) -> None:
        """Take a link down."""

    def up(self, interface: str) -> None:
        """Bring a link up."""

    def replace(self, interface: str) -> None:
        """Remove an interface, and add one of the same name, up."""

    def remove(self, interface: str) -> None:
        """Remove an interface."""

    def add(self, interface: str) -> None:
        """Add one that is not there, up."""

    def set_mtu(self, interface: str, mtu: int) -> None:
        """Change an interface's MTU."""

    @property
    def alien(self) -> int:
        """The index of an interface that has nothing to do with CAN, or of none."""

    @property
    def roles(self) -> dict[int, str]:
        """The interfaces by index."""

    def reset(self) -> None:
        """Have all interfaces as they were at first."""

    def lists(self) -> list[str] | str:
        """Give the receive lists, or :data:`HIDDEN`."""


class _NetlinkStage(ABC):
    """A network whose links are changed by rtnetlink, made once for many programs.

    What a program has changed of them is noted, so that nothing else need be undone.

    Args:
        pair: There is a vxcan as well.
    """

    network: Network
    alien: ClassVar[int] = ELSEWHERE

    def __init__(self, *, pair: bool = False) -> None:
        self._indices: dict[str, int] = {}
        self._mtus: dict[str, int] = {}
        self._raised: set[str] = set()
        self._pair = PAIR if pair else ()
        try:
            if pair:
                near, far = map(self.name, PAIR)
                self._ask(vxcan_request(near, far))
                for one in (near, far):
                    self._ask(rtnetlink.flags_request(one, up=True))
            self.reset()
            for end in self._pair:
                self._indices[end] = self.network.interface_index(self.name(end))
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _ask(self, request: bytes) -> None:
        """Have a request done, or raise what the answer says."""

    def name(self, interface: str) -> str:
        return f"diff{interface}"

    def index(self, interface: str) -> int:
        return self._indices[interface]

    @property
    def roles(self) -> dict[int, str]:
        return {index: interface for interface, index in self._indices.items()}

    def up(self, interface: str) -> None:
        self._ask(rtnetlink.flags_request(self.name(interface), up=True))
        self._raised.add(interface)

    def down(self, interface: str) -> None:
        self._ask(rtnetlink.flags_request(self.name(interface), up=False))
        self._raised.discard(interface)

    def replace(self, interface: str) -> None:
        self.remove(interface)
        self.add(interface)

    def remove(self, interface: str) -> None:
        self._ask(rtnetlink.delete_request(self.name(interface)))
        self._raised.discard(interface)
        del self._mtus[interface]

    def add(self, interface: str) -> None:
        name = self.name(interface)
        self._ask(rtnetlink.vcan_request(name, MTUS[interface]))
        self._mtus[interface] = MTUS[interface]
        self._indices[interface] = self.network.interface_index(name)
        self.up(interface)

    def set_mtu(self, interface: str, mtu: int) -> None:
        self._ask(mtu_request(self.name(interface), mtu))
        self._mtus[interface] = mtu

    def reset(self) -> None:
        for interface in INTERFACES:
            if interface not in self._mtus:
                self.add(interface)
            if self._mtus[interface] != MTUS[interface]:
                self.down(interface)
                self.set_mtu(interface, MTUS[interface])
            if interface not in self._raised:
                self.up(interface)

    def close(self) -> None:
        """Take the interfaces away."""
        for interface in [*self._mtus, *self._pair[:1]]:
            self._ask(rtnetlink.delete_request(self.name(interface)))


class KernelStage(_NetlinkStage):
    """Three vcans of the kernel, made once."""

    network = anycan.kernel
    alien = 1  # of the loopback interface, always

    def __init__(self, *, pair: bool = False) -> None:
        # Elsewhere other programs have sockets as well.
        names = {self.name(one): one for one in (*INTERFACES, *PAIR)}
        self._lists = KernelLists(names) if in_guest() else None
        super().__init__(pair=pair)

    def lists(self) -> list[str] | str:
        return HIDDEN if self._lists is None else self._lists.tell()

    def close(self) -> None:
        super().close()
        if self._lists is not None:
            self._lists.close()

    def _ask(self, request: bytes) -> None:
        rtnetlink._ask(request)


class ServedStage(_NetlinkStage):
    """Three vcans of a network that another process serves, made once."""

    network: anycan.ServedNetwork

    def lists(self) -> list[str] | str:
        return HIDDEN

    def __init__(self, *, pair: bool = False) -> None:
        self.network = anycan.ServedNetwork(served_path())
        super().__init__(pair=pair)

    def _ask(self, request: bytes) -> None:
        rtnetlink.check(self.network.demand_links(request))

    def close(self) -> None:
        super().close()
        self.network.close()


class UserStage:
    """Three vcans of a user-space network.

    Args:
        network: Where; None: on one of their own.
        pair: There is a vxcan as well.
    """

    alien = ELSEWHERE

    def __init__(self, network: anycan.UserNetwork | None = None, *, pair: bool = False) -> None:
        self.network = network or anycan.UserNetwork()
        self._pair = pair
        self._indices: dict[str, int] = {}
        self._furnish()
        self._changed = False

    def _furnish(self) -> None:
        if self._pair:
            indices = self.network.add_vxcan(*PAIR)
            self._indices |= zip(PAIR, indices, strict=True)
        for interface in INTERFACES:
            self.add(interface)

    def name(self, interface: str) -> str:
        return interface

    def index(self, interface: str) -> int:
        return self._indices[interface]

    @property
    def roles(self) -> dict[int, str]:
        return {index: interface for interface, index in self._indices.items()}

    def up(self, interface: str) -> None:
        self._changed = True
        self.network.set_up(interface)

    def down(self, interface: str) -> None:
        self._changed = True
        self.network.set_down(interface)

    def replace(self, interface: str) -> None:
        self.remove(interface)
        self.add(interface)

    def remove(self, interface: str) -> None:
        self._changed = True
        self.network.remove(interface)

    def add(self, interface: str) -> None:
        self._indices[interface] = self.network.add_vcan(interface, mtu=MTUS[interface])

    def set_mtu(self, interface: str, mtu: int) -> None:
        self._changed = True
        self.network.set_mtu(interface, mtu)

    def lists(self) -> list[str] | str:
        return user_lists(self.network)

    def reset(self) -> None:
        if self._changed:
            self.network.close()
            self.network = anycan.UserNetwork()
            self._furnish()
            self._changed = False


def mtu_request(name: str, mtu: int) -> bytes:
    """Give the request that changes an interface's MTU."""
    attribute = rtnetlink._attribute(rtnetlink._MTU, struct.pack("=I", mtu))
    return rtnetlink._request(rtnetlink._NEWLINK, 0, name, attribute)


def vxcan_request(name: str, peer: str) -> bytes:
    """Give the request that makes a pair of virtual interfaces."""
    # linux/if_link.h and linux/can/vxcan.h: IFLA_INFO_DATA is 2, VXCAN_INFO_PEER 1.
    attribute = rtnetlink._attribute
    far = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    far += attribute(rtnetlink._IFNAME, peer.encode() + b"\0")
    kind = attribute(rtnetlink._KIND, b"vxcan") + attribute(2, attribute(1, far))
    information = attribute(rtnetlink._LINKINFO, kind)
    return rtnetlink._request(rtnetlink._NEWLINK, rtnetlink._CREATE_EXCLUSIVE, name, information)
