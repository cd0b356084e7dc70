"""A user-space network in this process."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from anyio import TASK_STATUS_IGNORED, sleep_forever

from anycan.exceptions import NetworkUnavailableError
from anycan.network.core.bcm import BcmSocketCore
from anycan.network.core.isotp import IsotpSocketCore
from anycan.network.core.raw import RawSocketCore
from anycan.network.core.stack import Stack
from anycan.network.driver import LoopDriver
from anycan.network.user_faults import UserFaults
from anycan.network.user_interface import UserInterface
from anycan.wire.constants import CAN_BCM, CAN_ISOTP, CAN_RAW
from anycan.wire.isotp import DEFAULT_MAXIMUM_PDU, GREATEST_MAXIMUM_PDU, LEAST_MAXIMUM_PDU

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from anyio.abc import TaskStatus

    from anycan.network.allowance import ServerLimits
    from anycan.network.core.socket import SocketCore

__all__ = ["UserInterface", "UserNetwork"]

_PROTOCOLS: Final = {CAN_RAW: RawSocketCore, CAN_BCM: BcmSocketCore, CAN_ISOTP: IsotpSocketCore}

_open_networks: WeakValueDictionary[str, UserNetwork] = WeakValueDictionary()


class UserNetwork(UserFaults):
    """SocketCAN in this process: interfaces, raw sockets, the broadcast manager and ISO-TP.

    It needs no kernel support and no rights, and runs wherever Python does. Endpoints are opened
    on it with ``network=``, and have the kernel's semantics: filters, own and local frames,
    error frames, bounded buffers that drop and count, links that go down and vanish. What differs
    on purpose is listed in the explanation "Parity with the kernel".

    It is a context manager, synchronous and asynchronous. Leaving it removes all interfaces, so
    that endpoints which are still open get :class:`InterfaceRemovedError`.

    A network and everything opened on it belong to one thread.

    Args:
        name: A name under which ``network="user:NAME"`` finds it in this process, while it is
            open; None: it has none.
        clock: Gives the time for the frames' stamps, in nanoseconds since the epoch.
        max_pdu_size: The most bytes in a PDU of ISO-TP, 4095 to 1,049,600, as the parameter of the
            kernel's module can-isotp.

    Raises:
        ValueError: The name is empty, or the size is out of range.
        NetworkUnavailableError: A network of that name is open already.

    Example:
        >>> async def main() -> None:
        ...     async with UserNetwork() as network:
        ...         network.add_vcan("vcan0")
        ...         async with (
        ...             open_raw("vcan0", network=network) as one,
        ...             open_raw("vcan0", network=network) as other,
        ...         ):
        ...             await one.send(Frame(0x123, bytes(2)))
        ...             print(await other.receive())
        >>> anyio.run(main)
        123#0000
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
        max_pdu_size: int = DEFAULT_MAXIMUM_PDU,
    ) -> None:
        if not LEAST_MAXIMUM_PDU <= max_pdu_size <= GREATEST_MAXIMUM_PDU:
            raise ValueError(
                f"max_pdu_size= is {LEAST_MAXIMUM_PDU} to {GREATEST_MAXIMUM_PDU} bytes, not"
                f" {max_pdu_size}"
            )
        if name is not None:
            if not name:
                raise ValueError("a network's name is not empty; leave it out, and it has none")
            if name in _open_networks:
                raise NetworkUnavailableError(f"a user-space network {name!r} is open already")
            _open_networks[name] = self
        driver = LoopDriver(clock)
        stack = Stack(driver, max_pdu_size)
        driver.drive(stack.timers)
        super().__init__(stack, name, clock)

    @classmethod
    def find(cls, name: str) -> UserNetwork | None:
        """Give the open network of that name in this process; None: there is none."""
        return _open_networks.get(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove all interfaces, and give the name free. A second time does nothing.

        Every endpoint that is still open gets :class:`InterfaceRemovedError`, those on all
        interfaces too.
        """
        self._stack.close()
        if self._name is not None and _open_networks.get(self._name) is self:
            del _open_networks[self._name]

    async def serve(
        self,
        path: str,
        *,
        mode: int = 0o600,
        group: str | int | None = None,
        group_writable: bool = False,
        limits: ServerLimits | None = None,
        task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
    ) -> None:
        """Serve the network to other processes, until it is cancelled.

        They connect by :func:`connect_network`, or are started with ``ANYCAN_NETWORK=unix:PATH``,
        and have the same interfaces and the same semantics as this process. A client that ends,
        however it does, takes its sockets with it.

        Args:
            path: Where: a file that is made, and taken away at the end.
            mode: The rights of that file: who may connect.
            group: The name or the number of a group whose members may connect too.
            group_writable: These may send and change links; else they only listen.
            limits: What clients may have at most.
            task_status: For ``tasks.start(network.serve, path)``, which returns when clients can
                connect.

        Raises:
            NetworkUnavailableError: One is served there already, or the path cannot be used.
            CanPermissionError: This user may not make a file there.
            ValueError: There is no such group.

        Example:
            ::

                async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
                    network.add_vcan("vcan0")
                    await tasks.start(network.serve, "/run/user/1000/anycan.sock")
                    ...  # other processes come and go; tasks.cancel_scope.cancel() ends it
        """
        from anycan.network.allowance import ServerLimits  # noqa: PLC0415 - few are served
        from anycan.network.server import NetworkServer  # noqa: PLC0415 - as above

        server = NetworkServer(
            self,
            path,
            mode=mode,
            group=group,
            group_writable=group_writable,
            limits=limits or ServerLimits(),
        )
        try:
            task_status.started()
            await sleep_forever()
        finally:
            server.close()

    # What sockets ask

    def interface_index(self, name: str) -> int:
        """Give the index of an interface, from 1.

        Raises:
            UnknownInterfaceError: There is no interface of that name.
        """
        return self._interface(name).index

    def interface_name(self, index: int) -> str | None:
        """Give the name of an interface; None: there is no interface of that index."""
        interface = self._stack.by_index.get(index)
        return None if interface is None else interface.name

    def interface_mtu(self, index: int) -> int | None:
        """Give the MTU of an interface; None: there is no interface of that index."""
        interface = self._stack.by_index.get(index)
        return None if interface is None else interface.mtu

    @property
    def max_pdu_size(self) -> int:
        """The most bytes in a PDU of ISO-TP."""
        return self._stack.maximum_pdu

    def remedy(self, interface: str, mtu: int | None = None) -> str:
        """Say how a user brings an interface up, or gives it another MTU, while it is down."""
        return f"set_up({interface!r})" if mtu is None else f"set_mtu({interface!r}, {mtu})"

    def _open_socket(self, protocol: int, changed: Callable[[], object]) -> SocketCore:
        """Open a socket without a descriptor; endpoints do this for themselves.

        Args:
            protocol: ``CAN_RAW``, ``CAN_BCM`` or ``CAN_ISOTP``.
            changed: Called when the socket may have become readable or writable, or ceased to be.

        Raises:
            NetworkUnavailableError: The network is closed.
            OSError: EPROTONOSUPPORT: it has no such sockets.
        """
        if self._stack.closed:
            raise NetworkUnavailableError(f"{self!r} is closed: no socket can be opened on it")
        self._stack.clock.attend()  # a timer may run that was started where no loop did
        if protocol not in _PROTOCOLS:
            raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
        return _PROTOCOLS[protocol](self._stack, changed)

    def _now_ns(self) -> int:
        """Give the network's time, in nanoseconds since the epoch."""
        return self._clock()

    def __repr__(self) -> str:
        return f"<UserNetwork {self.name}: {', '.join(self._stack.by_name) or 'no interface'}>"
