"""The interfaces of a user network: adding, setting and removing them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from anycan.exceptions import (
    CanOSError,
    InterfaceError,
    NetworkUnavailableError,
    UnknownInterfaceError,
)
from anycan.network.core.bus import Bus
from anycan.network.core.controller import Controller
from anycan.network.core.controller_settings import (
    DEFAULT_CLOCK,
    DEFAULT_CONSTANTS,
    DEFAULT_DATA_CONSTANTS,
    ControllerSettings,
    settings_for,
)
from anycan.network.core.device import DEFAULT_MTU, VirtualDevice
from anycan.network.core.vxcan import VxcanEnd
from anycan.network.user_interface import (
    UserInterface,
    cannot_begin,
    check_name,
    exists,
    no_such_mtu,
)
from anycan.wire.constants import CAN_MTU, CANFD_MTU

if TYPE_CHECKING:
    from anycan.network.core.device import NetworkDevice
    from anycan.network.core.interface import Interface
    from anycan.network.core.stack import Stack
    from anycan.network.user import UserNetwork
    from anycan.wire.netlink_timing import BitTimingConstants

_USUAL_MTUS: Final = (CANFD_MTU, CAN_MTU)


class UserSetup:
    """What a user network does with its interfaces.

    Args:
        stack: The interfaces.
        name: The network's name; None: it has none.
    """

    def __init__(self, stack: Stack, name: str | None) -> None:
        self._stack = stack
        self._name = name
        self._buses: WeakValueDictionary[str, Bus] = WeakValueDictionary()

    @property
    def name(self) -> str:
        """``"user"``, or ``"user:NAME"``."""
        return "user" if self._name is None else f"user:{self._name}"

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
            InterfaceExistsError: There is an interface of that name already (EEXIST).
            NetworkUnavailableError: The network is closed.
        """
        if transmit_queue is not None and transmit_queue < 0:
            raise ValueError(
                f"transmit_queue is a number of frames, 0 or more, or None; not {transmit_queue}"
            )
        return self.add_device(name, VirtualDevice(transmit_queue), mtu=mtu, up=up)

    def add_can(
        self,
        name: str,
        *,
        bus: str = "can",
        bitrate: int | None = None,
        data_bitrate: int | None = None,
        clock: int = DEFAULT_CLOCK,
        constants: BitTimingConstants = DEFAULT_CONSTANTS,
        data_constants: BitTimingConstants | None = DEFAULT_DATA_CONSTANTS,
        restart: float = 0.0,
        up: bool | None = None,
    ) -> int:
        """Add a CAN controller, on a bus with the other ones of this network.

        It has what the kernel's interfaces of controllers have: a bit timing, control modes, a
        state, error counters. What is sent on it, the other controllers on its bus receive that are
        up, are not bus-off, and have the same bit rate, to 1 %; a CAN FD frame those that have CAN
        FD on. It has no arbitration, no acknowledgement and no errors of its own:
        :meth:`set_error_counters` and :meth:`set_bus_off` make some.

        Args:
            name: As for :meth:`add_vcan`.
            bus: The name of the bus; there is one as soon as a controller is on it.
            bitrate: The bit rate, in bits a second; None: ``configure_interface`` is to set it.
            data_bitrate: That of CAN FD's data phase, which turns CAN FD on; None: CAN FD is off.
            clock: What bit timings divide, in Hz.
            constants: What its bit timing can be.
            data_constants: What that of CAN FD's data phase can be; None: it is a controller of
                classical CAN alone.
            restart: After how many seconds of bus-off it restarts by itself, to milliseconds; 0:
                not by itself.
            up: Bring it up at once; None: if it has a bit rate.

        Returns:
            Its index.

        Raises:
            ValueError: No interface can be called that; the controller cannot have such bit rates;
                it is to come up without one; or ``restart`` is out of range.
            InterfaceExistsError: There is an interface of that name already (EEXIST).
            NetworkUnavailableError: The network is closed.

        Example:
            >>> async def main() -> None:
            ...     async with UserNetwork() as network:
            ...         network.add_can("can0", bitrate=500_000)
            ...         network.add_can("can1", bitrate=500_000)
            ...         async with (
            ...             open_raw("can0", network=network) as one,
            ...             open_raw("can1", network=network) as other,
            ...         ):
            ...             await one.send(Frame(0x123, bytes(2)))
            ...             frame = await other.receive()
            ...             print(frame, frame.local)
            >>> anyio.run(main)
            123#0000 False
        """
        up = bitrate is not None if up is None else up
        try:
            settings = settings_for(
                ControllerSettings(clock=clock, constants=constants, data_constants=data_constants),
                bitrate=bitrate,
                data_bitrate=data_bitrate,
                restart=restart,
            )
            if up:
                settings.check_start()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ValueError(f"{name} cannot be such a controller: {reason}") from None
        wire = self._buses.setdefault(bus, Bus())
        controller = Controller(wire, self._stack.timers, self._stack.clock, settings)
        return self.add_device(name, controller, mtu=controller.mtu, up=up)

    def add_vxcan(
        self,
        name: str,
        peer: str,
        *,
        peer_network: UserNetwork | None = None,
        mtu: int = DEFAULT_MTU,
        up: bool = True,
    ) -> tuple[int, int]:
        """Add a pair of virtual interfaces: what is sent on one end, the other one receives.

        The other sockets on the sender's end see the frame too, as on a vcan. While one end is
        down, what is sent on the other is dropped and counted, and ``send`` succeeds. Removing one
        end removes both.

        Args:
            name: The name of the one end, as for :meth:`add_vcan`.
            peer: The name of the other end.
            peer_network: The user network that the other end is on, of this thread; None: this one.
            mtu: As for :meth:`add_vcan`, for both.
            up: Bring both ends up at once.

        Returns:
            Their indices, each on its network.

        Raises:
            ValueError: No interface can be called that, or the MTU is none of a CAN interface.
            InterfaceExistsError: There is an interface of one of the names already (EEXIST).
            NetworkUnavailableError: A network is closed.

        Example:
            >>> async def main() -> None:
            ...     async with UserNetwork() as vehicle, UserNetwork() as bench:
            ...         vehicle.add_vxcan("can0", "can7", peer_network=bench)
            ...         async with (
            ...             open_raw("can0", network=vehicle) as one,
            ...             open_raw("can7", network=bench) as other,
            ...         ):
            ...             await one.send(Frame(0x123, bytes(2)))
            ...             print(await other.receive())
            >>> anyio.run(main)
            123#0000
        """
        there: UserSetup = self if peer_network is None else peer_network
        near, far = VxcanEnd.pair()
        self._check_new(name, near, mtu)
        there._check_new(peer, far, mtu)
        if there is self and name == peer:
            raise exists(name, self.name)
        # The kernel makes the far end first.
        far_index = there.add_device(peer, far, mtu=mtu, up=up)
        return self.add_device(name, near, mtu=mtu, up=up), far_index

    def add_device(
        self, name: str, device: NetworkDevice, *, mtu: int | None = None, up: bool = True
    ) -> int:
        """Add an interface whose frames a driver carries: yours, or one of anycan's.

        Args:
            name: As for :meth:`add_vcan`.
            device: The driver. It is one interface's.
            mtu: As for :meth:`add_vcan`; None: 72 if the device can have that, else 16.
            up: Bring it up at once.

        Returns:
            Its index.

        Raises:
            ValueError: No interface can be called that, the device cannot have that MTU, or it is
                another interface's, of this network or another.
            InterfaceExistsError: There is an interface of that name already (EEXIST).
            InterfaceError: The device does not come up; there is no such interface then.
            NetworkUnavailableError: The network is closed.
        """
        if mtu is None:
            mtu = next((one for one in _USUAL_MTUS if device.supports_mtu(one)), DEFAULT_MTU)
        self._check_new(name, device, mtu)
        owner = device._owner  # noqa: SLF001 - what Stack.add has set
        if owner is not None:
            raise ValueError(f"{device!r} is {owner.name}'s already: make another one")
        interface = self._stack.add(name, device, mtu)
        if up:
            try:
                self._begin(interface)
            except BaseException:
                self._stack.remove(interface)
                raise
        return interface.index

    def _begin(self, interface: Interface) -> None:
        try:
            interface.set_up()
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise cannot_begin(interface, error) from None
            name = interface.name
            raise InterfaceError(
                error.errno or 0, f"{name} does not come up: {error.strerror}", name
            ) from None

    def _check_new(self, name: str, device: NetworkDevice, mtu: int) -> None:
        """See to it that a device can be added; raise what :meth:`add_vcan` does."""
        check_name(name)
        if self._stack.closed:
            raise NetworkUnavailableError(f"{self!r} is closed: no interface can be added")
        if name in self._stack.by_name:
            raise exists(name, self.name)
        if not device.supports_mtu(mtu):
            raise no_such_mtu(name, mtu, device)

    def remove(self, name: str) -> None:
        """Remove an interface, of a vxcan both ends.

        Endpoints bound to it get :class:`InterfaceRemovedError`.

        Raises:
            UnknownInterfaceError: There is none of that name.
        """
        self._stack.remove(self._interface(name))

    def set_up(self, name: str) -> None:
        """Bring an interface up.

        Raises:
            UnknownInterfaceError: There is none of that name.
            InterfaceError: It is a controller without a bit rate, or one that is to send CAN FD
                without a data bit rate, or with one below its bit rate (EINVAL); or a driver's
                device does not begin, for the reason that it tells.
        """
        self._begin(self._interface(name))

    def set_down(self, name: str) -> None:
        """Take an interface down. Endpoints bound to it get :class:`InterfaceDownError`, once.

        Raises:
            UnknownInterfaceError: There is none of that name.
        """
        self._interface(name).set_down()

    def set_mtu(self, name: str, mtu: int) -> None:
        """Change an interface's MTU, while it is down. A controller's turns CAN FD on or off.

        Raises:
            ValueError: It is no MTU of a CAN interface.
            CanOSError: The interface is up (EBUSY).
            UnknownInterfaceError: There is none of that name.
        """
        interface = self._interface(name)
        try:
            self._stack.set_mtu(interface, mtu)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise CanOSError(
                    errno.EBUSY, f"{name} is up: take it down to change its MTU", name
                ) from None
            raise no_such_mtu(name, mtu, interface.device) from None

    def rename(self, name: str, new_name: str) -> None:
        """Give an interface another name. Endpoints bound to it stay bound.

        Raises:
            ValueError: No interface can be called that.
            UnknownInterfaceError: There is none of that name.
            InterfaceExistsError: There is another of the new name (EEXIST).
        """
        check_name(new_name)
        interface = self._interface(name)
        try:
            self._stack.rename(interface, new_name)
        except OSError:
            raise exists(new_name, self.name) from None

    def interfaces(self) -> tuple[UserInterface, ...]:
        """Give the interfaces as they are at this moment, in the order of their indices."""
        return tuple(map(UserInterface.of, self._stack.by_index.values()))

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
