"""What every network, the kernel's or a user-space one, answers about its interfaces."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Network(Protocol):
    """A network: the interfaces that endpoints can be opened on.

    ``anycan.kernel`` is the running kernel's, :class:`~anycan.UserNetwork` one in this process.
    Every ``open_*`` function takes one as ``network=``.
    """

    @property
    def name(self) -> str:
        """What the network is called in messages."""
        ...

    def interface_index(self, name: str) -> int:
        """Give the index of an interface, from 1.

        Raises:
            UnknownInterfaceError: There is no interface of that name.
        """
        ...

    def interface_name(self, index: int) -> str | None:
        """Give the name of an interface; None: there is no interface of that index."""
        ...

    def interface_mtu(self, index: int) -> int | None:
        """Give the MTU of an interface: 16 (classical CAN), 72 (CAN FD), 76 to 2060 (CAN XL).

        None: there is no interface of that index.
        """
        ...

    @property
    def max_pdu_size(self) -> int:
        """The most bytes in a PDU that its ISO-TP sockets take."""
        ...

    def remedy(self, interface: str, mtu: int | None = None) -> str:
        """Say how a user brings an interface up, or gives it another MTU. For error messages.

        Args:
            interface: Its name.
            mtu: The MTU it needs; None: it is down, and is to come up.
        """
        ...
