"""A user-space network in this process."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import attrs

from anycan.exceptions import (
    CanOSError,
    InterfaceDownError,
    NetworkUnavailableError,
    UnknownInterfaceError,
)
from anycan.network.core.bcm import BcmSocketCore
from anycan.network.core.device import DEFAULT_MTU, Device, VirtualDevice
from anycan.network.core.isotp import IsotpSocketCore
from anycan.network.core.raw import RawSocketCore
from anycan.network.core.stack import Stack
from anycan.network.driver import LoopDriver
from anycan.wire.constants import CAN_BCM, CAN_ISOTP, CAN_RAW
from anycan.wire.frames import encode_frame
from anycan.wire.isotp import DEFAULT_MAXIMUM_PDU, GREATEST_MAXIMUM_PDU, LEAST_MAXIMUM_PDU

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from anycan.frame import AnyFrame
    from anycan.network.core.interface import Interface
    from anycan.network.core.socket import SocketCore

_LONGEST_NAME = 15  # linux/if.h: IFNAMSIZ, less the null character

_PROTOCOLS: Final = {CAN_RAW: RawSocketCore, CAN_BCM: BcmSocketCore, CAN_ISOTP: IsotpSocketCore}

_open_networks: WeakValueDictionary[str, UserNetwork] = WeakValueDictionary()


@attrs.frozen(kw_only=True)
class UserInterface:
    """An interface of a :class:`UserNetwork`, as it is at this moment.

    Attributes:
        index: Its index, from 1; never given twice.
        name: Its name.
        mtu: 16 (classical CAN), 72 (CAN FD), 76 to 2060 (CAN XL).
        up: Whether the link is up.
        sent: Frames sent.
        received: Frames delivered to this host: on a vcan, those sent with loopback and those
            injected.
        send_dropped: Frames refused because the transmit queue was full.
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


class UserNetwork:
    """SocketCAN in this process: virtual interfaces, raw sockets, the broadcast manager and ISO-TP.

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
        self._name = name
        self._clock = clock
        driver = LoopDriver(clock)
        self._stack = Stack(driver, max_pdu_size)
        driver.drive(self._stack.timers)

    @classmethod
    def find(cls, name: str) -> UserNetwork | None:
        """Give the open network of that name in this process; None: there is none."""
        return _open_networks.get(name)

    @property
    def name(self) -> str:
        """``"user"``, or ``"user:NAME"``."""
        return "user" if self._name is None else f"user:{self._name}"

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

    # Interfaces

    def add_vcan(
        self,
        name: str,
        *,
        mtu: int = DEFAULT_MTU,
        up: bool = True,
        transmit_queue: int | None = None,
    ) -> int:
        """Add a virtual interface: what is sent on it, its other sockets receive.

        Args:
            name: 1 to 15 characters, as the kernel takes them.
            mtu: 16 (classical CAN), 72 (CAN FD), 76 to 2060 (CAN XL).
            up: Bring it up at once.
            transmit_queue: So many frames sent wait until :meth:`release` lets them go, and then
                there is no room (ENOBUFS), as with a queueing discipline on the kernel's vcan;
                local receivers have each frame at once all the same. None: no queue.

        Returns:
            Its index.

        Raises:
            ValueError: No interface can be called that, the MTU is none of a CAN interface, or
                ``transmit_queue`` is below 0.
            CanOSError: There is an interface of that name already (EEXIST).
            NetworkUnavailableError: The network is closed.
        """
        if transmit_queue is not None and transmit_queue < 0:
            raise ValueError(
                f"transmit_queue is a number of frames, 0 or more, or None; not {transmit_queue}"
            )
        return self._add_device(name, VirtualDevice(transmit_queue), mtu=mtu, up=up)

    # Public when drivers come, and the types of a device with it.
    def _add_device(
        self, name: str, device: Device, *, mtu: int = DEFAULT_MTU, up: bool = True
    ) -> int:
        """Add an interface whose frames another device carries, such as a driver.

        Args:
            name: As for :meth:`add_vcan`.
            device: What carries the frames.
            mtu: As for :meth:`add_vcan`.
            up: As for :meth:`add_vcan`.

        Returns:
            Its index.

        Raises:
            ValueError: As :meth:`add_vcan`.
            CanOSError: As :meth:`add_vcan`.
            NetworkUnavailableError: As :meth:`add_vcan`.
        """
        _check_name(name)
        if self._stack.closed:
            raise NetworkUnavailableError(f"{self!r} is closed: no interface can be added")
        try:
            interface = self._stack.add(name, device, mtu)
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise CanOSError(
                    errno.EEXIST, f"there is an interface {name} on {self.name} already", name
                ) from None
            raise _mtu_error(name, mtu) from None
        if up:
            interface.set_up()
        return interface.index

    def remove(self, name: str) -> None:
        """Remove an interface. Endpoints bound to it get :class:`InterfaceRemovedError`.

        Raises:
            UnknownInterfaceError: There is none of that name.
        """
        self._stack.remove(self._interface(name))

    def set_up(self, name: str) -> None:
        """Bring an interface up.

        Raises:
            UnknownInterfaceError: There is none of that name.
        """
        self._interface(name).set_up()

    def set_down(self, name: str) -> None:
        """Take an interface down. Endpoints bound to it get :class:`InterfaceDownError`, once.

        Raises:
            UnknownInterfaceError: There is none of that name.
        """
        self._interface(name).set_down()

    def set_mtu(self, name: str, mtu: int) -> None:
        """Change an interface's MTU, while it is down.

        Raises:
            ValueError: It is no MTU of a CAN interface.
            CanOSError: The interface is up (EBUSY).
            UnknownInterfaceError: There is none of that name.
        """
        try:
            self._stack.set_mtu(self._interface(name), mtu)
        except UnknownInterfaceError:
            raise
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise CanOSError(
                    errno.EBUSY, f"{name} is up: take it down to change its MTU", name
                ) from None
            raise _mtu_error(name, mtu) from None

    def interfaces(self) -> tuple[UserInterface, ...]:
        """Give the interfaces as they are at this moment, in the order of their indices."""
        return tuple(
            UserInterface(
                index=one.index,
                name=one.name,
                mtu=one.mtu,
                up=one.up,
                sent=one.counters.sent,
                received=one.counters.received,
                send_dropped=one.counters.send_dropped,
                receive_dropped=one.counters.receive_dropped,
            )
            for one in self._stack.by_index.values()
        )

    # Faults and traffic on purpose

    def inject(self, name: str, frame: AnyFrame) -> None:
        """Let an interface receive a frame as if another node had sent it, or its controller.

        Args:
            name: The interface.
            frame: Any kind of frame; an :class:`ErrorFrame` is a controller's report.

        Raises:
            UnknownInterfaceError: There is none of that name.
            InterfaceDownError: It is down.
            ValueError: Its MTU is too small for the frame.
        """
        interface = self._interface(name)
        if not interface.up:
            raise InterfaceDownError(errno.ENETDOWN, f"{name} is down, and receives nothing", name)
        if not interface.receive(encode_frame(frame), self._clock()):
            raise ValueError(f"{name} has an MTU of {interface.mtu}, too small for {frame!r}")

    def release(self, name: str, count: int | None = None) -> int:
        """Let frames go that wait in a vcan's transmit queue, the oldest first.

        Args:
            name: An interface added with ``transmit_queue=``.
            count: How many; None: all.

        Returns:
            How many went.

        Raises:
            UnknownInterfaceError: There is none of that name.
            ValueError: It is no vcan, or the count is below 0.
        """
        if count is not None and count < 0:
            raise ValueError(f"count is a number of frames, 0 or more, or None; not {count}")
        device = self._interface(name).device
        if not isinstance(device, VirtualDevice):
            raise ValueError(f"{name} is no vcan: its device sends by itself")  # noqa: TRY004
        return device.release(count, self._clock())

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
        if protocol not in _PROTOCOLS:
            raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
        return _PROTOCOLS[protocol](self._stack, changed)

    def _now_ns(self) -> int:
        """Give the network's time, in nanoseconds since the epoch."""
        return self._clock()

    def _interface(self, name: str) -> Interface:
        interface = self._stack.by_name.get(name)
        if interface is None:
            names = ", ".join(self._stack.by_name)
            known = (
                f"the interfaces of {self.name} are {names}"
                if names
                else f"{self.name} has no interface (add_vcan() adds one)"
            )
            raise UnknownInterfaceError(
                errno.ENODEV, f"there is no interface {name}; {known}", name
            )
        return interface

    def __repr__(self) -> str:
        return f"<UserNetwork {self.name}: {', '.join(self._stack.by_name) or 'no interface'}>"


def _check_name(name: str) -> None:
    # As net/core/dev.c: no path, no space, no colon.
    forbidden = any(one in "/:" or one.isspace() for one in name)
    if not name or len(name.encode()) > _LONGEST_NAME or name in {".", ".."} or forbidden:
        raise ValueError(
            f"no interface can be called {name!r}: 1 to 15 characters, no space, '/' or ':'"
        )


def _mtu_error(name: str, mtu: int) -> ValueError:
    return ValueError(
        f"{name} cannot have an MTU of {mtu}: 16 (classical CAN), 72 (CAN FD) or 76 to 2060"
        " (CAN XL)"
    )
