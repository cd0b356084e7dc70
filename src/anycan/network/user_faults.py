"""Traffic and faults on purpose, on a user network."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from anycan.exceptions import InterfaceDownError, InterfaceError
from anycan.frame import ErrorFrame
from anycan.network.core.controller import Controller
from anycan.network.core.device import VirtualDevice
from anycan.network.user_setup import UserSetup
from anycan.wire.frames import encode_frame
from anycan.wire.netlink_can import CanState

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.frame import AnyFrame
    from anycan.network.core.interface import Interface
    from anycan.network.core.stack import Stack


class UserFaults(UserSetup):
    """What a user network lets happen that on a real one happens by itself.

    Args:
        stack: As :class:`UserSetup`.
        name: As :class:`UserSetup`.
        clock: Gives the time, in nanoseconds since the epoch.
    """

    def __init__(self, stack: Stack, name: str | None, clock: Callable[[], int]) -> None:
        super().__init__(stack, name)
        self._clock = clock

    def inject(self, name: str, frame: AnyFrame) -> None:
        """Let an interface receive a frame as if another node had sent it, or its controller.

        Args:
            name: The interface.
            frame: Any kind of frame. An :class:`ErrorFrame` is a controller's report. A controller
                takes on what it says of itself: its state (``CONTROLLER``, ``BUS_OFF``,
                ``RESTARTED``) and its error counters (``COUNTERS``, which without ``CONTROLLER``
                make for the state, too); on a vcan and a vxcan it is only received.

        Raises:
            UnknownInterfaceError: There is none of that name.
            InterfaceDownError: It is down, or a controller that is bus-off.
            ValueError: Its MTU is too small for the frame.
        """
        interface = self._interface(name)
        device = interface.device
        if not interface.up:
            raise InterfaceDownError(errno.ENETDOWN, f"{name} is down, and receives nothing", name)
        if isinstance(device, Controller):
            if isinstance(frame, ErrorFrame):
                device.report(frame)
                return
            if device.state is CanState.BUS_OFF:
                raise InterfaceDownError(
                    errno.ENETDOWN, f"{name} is bus-off, and receives nothing", name
                )
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

    def set_bus_off(self, name: str) -> None:
        """Let a controller leave its bus, as if 256 errors had occurred while it sent.

        Its interface stays up; what is sent on it is dropped and counted, and ``send`` succeeds.
        An error frame tells of it (``ErrorClass.BUS_OFF``), to who asks for error frames. It comes
        back by itself, if it was added or configured with ``restart=``, else by :meth:`restart`,
        or when the link is set down and up. Where it is bus-off already, nothing happens.

        Raises:
            UnknownInterfaceError: There is none of that name.
            InterfaceDownError: It is down.
            ValueError: It has no controller.
        """
        interface = self._interface(name)
        controller = _controller_of(interface)
        if not interface.up:
            raise InterfaceDownError(errno.ENETDOWN, f"{name} is down, and on no bus", name)
        controller.bus_off()

    def set_error_counters(
        self, name: str, *, transmit: int | None = None, receive: int | None = None
    ) -> None:
        """Let a controller's error counters have other values, and its state with them.

        Below 96 both, it is error-active; from 96 on, of either, error-warning; from 128 on
        error-passive; with 256 transmit errors bus-off. Another state is told by an error frame,
        with both counters (``CONTROLLER | COUNTERS``, or ``BUS_OFF``). With
        ``CanMode.BERR_REPORTING`` a counter that rises counts as a bus error, and is told too.

        Args:
            name: A controller.
            transmit: The transmit error counter, 0 to 256; None: as it is.
            receive: The receive error counter, 0 to 255; None: as it is.

        Raises:
            UnknownInterfaceError: There is none of that name.
            InterfaceDownError: It is down, or bus-off.
            ValueError: It has no controller, or a counter is out of range.
        """
        for counter, value, greatest in (("transmit", transmit, 256), ("receive", receive, 255)):
            if value is not None and not 0 <= value <= greatest:
                raise ValueError(f"{counter}= is 0 to {greatest} errors, not {value}")
        interface = self._interface(name)
        controller = _controller_of(interface)
        if not interface.up:
            raise InterfaceDownError(errno.ENETDOWN, f"{name} is down, and counts no errors", name)
        if controller.state is CanState.BUS_OFF:
            raise InterfaceDownError(
                errno.ENETDOWN,
                f"{name} is bus-off, and counts no errors until it is restarted",
                name,
            )
        controller.set_error_counters(transmit, receive)

    def restart(self, name: str) -> None:
        """Restart a controller that is bus-off, as ``ip link set NAME type can restart`` does.

        An error frame tells of it (``ErrorClass.RESTARTED``).

        Raises:
            UnknownInterfaceError: There is none of that name.
            InterfaceError: It is down, or restarts by itself (EINVAL); or it is not bus-off
                (EBUSY).
            ValueError: It has no controller.
        """
        controller = _controller_of(self._interface(name))
        try:
            controller.restart()
        except OSError as error:
            raise InterfaceError(
                error.errno or 0, f"{name} cannot be restarted: {error.strerror}", name
            ) from None


def _controller_of(interface: Interface) -> Controller:
    device = interface.device
    if isinstance(device, Controller):
        return device
    reason = "" if interface.kind is None else f", as it is a {interface.kind}"
    raise ValueError(
        f"{interface.name} has no controller{reason}: add_can() adds an interface with one"
    )
