"""A controller: what the kernel's ``can_dev`` and a driver are together."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

from anycan.engine.failure import failure
from anycan.network.core.bus import heard_from
from anycan.network.core.controller_settings import ControllerSettings
from anycan.network.core.device import NetworkDevice, TransmitResult
from anycan.network.core.fault_confinement import BUS_OFF, FaultConfinement
from anycan.wire.constants import CAN_MTU, CANFD_MTU
from anycan.wire.frames import encode_frame
from anycan.wire.netlink_can import CanErrorCounters, CanMode, CanParameters, CanState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.engine.timers import Timers
    from anycan.frame import ErrorFrame
    from anycan.network.core.bus import Bus
    from anycan.network.core.device import DevicePort
    from anycan.network.core.interface import Interface
    from anycan.network.core.payload import Prepared
    from anycan.network.core.stack import Clock
    from anycan.wire.netlink_can import CanStatistics

_MILLISECOND = 1_000_000
_SAME_RATE = 100  # the oscillators of two nodes may differ: by 1.58 % at most (ISO 11898-1)


class Controller(NetworkDevice):
    """A CAN controller on a bus, with its driver.

    It has what ``ip -details link show`` tells of one, and is set by the kernel's rules. A frame is
    on the bus as soon as it is sent. ONE_SHOT and PRESUME_ACK change nothing, as no frame fails.

    Args:
        bus: The bus that it is on.
        timers: Restart it after bus-off.
        clock: Gives the time.
        settings: What it is set to at first.

    Attributes:
        interface: Its interface, from :meth:`attach` on.
        settings: What it is set to.
        tells_dlc: Whether it sends and tells a DLC from 9 to 15.

    Source: ``drivers/net/can/dev/dev.c`` and ``netlink.c``, as in Linux 6.12.
    """

    kind = "can"
    echo = True
    queue_length = 10  # drivers/net/can/dev/dev.c: can_setup

    interface: Interface

    def __init__(
        self, bus: Bus, timers: Timers, clock: Clock, settings: ControllerSettings | None = None
    ) -> None:
        self.carrier = False  # as register_candev has it; the first start finds the bus
        self._bus = bus
        self._set(settings or ControllerSettings())
        self._clock = clock
        self._timer = timers.timer(self._expired)
        self._faults = FaultConfinement()

    # The interface

    def supports_mtu(self, mtu: int) -> bool:
        """Tell whether the device can have that MTU: that of CAN FD, if it can do CAN FD."""
        return mtu == CAN_MTU or (mtu == CANFD_MTU and self.settings.data_constants is not None)

    @property
    def mtu(self) -> int:
        """The MTU that goes with its settings."""
        return CANFD_MTU if self.settings.flexible else CAN_MTU

    def mtu_changed(self, mtu: int) -> None:
        """Turn CAN FD on or off, as the kernel does with the MTU."""
        self._set(self.settings.with_flexible(on=mtu == CANFD_MTU))

    def joined(self) -> Sequence[Interface]:
        """Give the others on its bus."""
        return [one.interface for one in self._bus.controllers if one is not self]

    def attach(self, interface: Interface) -> None:
        """Be on the bus from now on, with an interface."""
        self.interface = interface
        self._bus.controllers[self] = None
        self._bus.changed()

    def detach(self) -> None:
        """Be on the bus no more."""
        self._timer.discard()
        self._bus.controllers.pop(self, None)
        self._bus.changed()

    def start(self, _port: DevicePort) -> None:
        """Begin to take part in the bus.

        Raises:
            OSError: EINVAL: it has no bit timing, or none that CAN FD can do with.
        """
        self.settings.check_start()
        self._faults.start()
        self._set_carrier(on=True)
        self._bus.changed()  # also where the carrier was there before it went down

    def stop(self) -> None:
        """Cease to take part in the bus."""
        self._timer.cancel()
        self._faults.stop()
        self._bus.changed()

    # Frames

    def transmit(self, payload: bytes) -> TransmitResult:  # noqa: ARG002 - hearers() has it next
        """Take a frame: to the bus, or, where it may not send, nowhere."""
        if self._listens_only or self._faults.state is CanState.BUS_OFF:
            return TransmitResult.LOST
        return TransmitResult.SHARED

    def hearers(self, prepared: Prepared) -> Sequence[tuple[Interface, Prepared]]:
        """Give the interfaces that hear a frame, and as what."""
        if self._loops_back:
            return [(self.interface, heard_from(prepared, with_dlc=self.tells_dlc))]
        return self._bus.hearers(self, prepared)

    def hears(self, sender: Controller, *, flexible: bool, switched: bool) -> bool:
        """Tell whether it hears another controller's frame. The bus remembers it.

        Args:
            sender: The other one.
            flexible: It is a CAN FD frame.
            switched: Its data has a bit rate of its own (BRS).
        """
        mine, theirs = self.settings, sender.settings
        if not self.interface.carrier or self._loops_back:
            return False
        if not _fit(mine.bitrate, theirs.bitrate):
            return False
        if not flexible:
            return True
        if not mine.flexible or (mine.modes ^ theirs.modes) & CanMode.FD_NON_ISO:
            return False
        return not switched or _fit(mine.data_bitrate, theirs.data_bitrate)

    # What it is set to, and tells

    @property
    def state(self) -> CanState:
        """What it takes part in."""
        return self._faults.state

    @property
    def can_statistics(self) -> CanStatistics:
        """What it has counted since it was made."""
        return self._faults.statistics

    def parameters(self) -> CanParameters:
        """Give what it is set to, and tells."""
        told = self.settings.parameters(self._faults.state)
        return attrs.evolve(told, error_counters=self._faults.counters)

    def configure(self, parameters: CanParameters) -> None:
        """Set it; all of it, or nothing.

        Raises:
            OSError: As :meth:`ControllerSettings.changed` and, with ``restart``, :meth:`restart`.
        """
        settings = self.settings.changed(parameters, up=self.interface.up)
        if parameters.restart is not None:
            self._check_restart()
        self._set(settings)
        if parameters.modes is not None:
            self.interface.mtu = self.mtu
        if parameters.restart is not None:
            self._restart()

    def _set(self, settings: ControllerSettings) -> None:
        self.settings = settings
        # What every frame asks: a flag of an enumeration costs a microsecond.
        self.tells_dlc = bool(settings.modes & CanMode.CC_LEN8_DLC)
        self._listens_only = bool(settings.modes & CanMode.LISTENONLY)
        self._loops_back = bool(settings.modes & CanMode.LOOPBACK)
        self._bus.changed()

    def restart(self) -> None:
        """Restart it after bus-off.

        Raises:
            OSError: EINVAL: it is down, or restarts by itself; EBUSY: it is not bus-off.

        Source: ``drivers/net/can/dev/dev.c``, ``can_restart_now``.
        """
        self._check_restart()
        self._restart()

    def _check_restart(self) -> None:
        if not self.interface.up:
            raise OSError(errno.EINVAL, "it is down: set it up in place of that")
        if self.settings.restart_ms:
            raise OSError(errno.EINVAL, "it restarts by itself, and not by hand as well")
        if self._faults.state is not CanState.BUS_OFF:
            raise OSError(errno.EBUSY, "it is not bus-off: there is nothing to restart")

    # Faults

    def bus_off(self) -> None:
        """Leave the bus, as with 256 transmit errors; where it has left already, do nothing.

        Raises:
            OSError: ENETDOWN: it is down.
        """
        if self._faults.state is not CanState.BUS_OFF:
            self.set_error_counters(BUS_OFF, self._faults.counters.receive)

    def set_error_counters(self, transmit: int | None, receive: int | None) -> None:
        """Let the error counters have other values, and the state with them.

        Args:
            transmit: The transmit error counter, 0 to 256; None: as it is.
            receive: The receive error counter, 0 to 255; None: as it is.

        Raises:
            OSError: ENETDOWN: it is down; EBUSY: it is bus-off, and counts nothing.
        """
        if not self.interface.up:
            raise failure(errno.ENETDOWN)
        if self._faults.state is CanState.BUS_OFF:
            raise failure(errno.EBUSY)
        before = self._faults.counters
        counters = CanErrorCounters(
            before.transmit if transmit is None else transmit,
            before.receive if receive is None else receive,
        )
        every_error = bool(self.settings.modes & CanMode.BERR_REPORTING)
        report = self._faults.count(counters, every_error=every_error)
        self._follow_state()
        if report is not None:
            self._tell(report)
        self.interface.changed()

    def report(self, report: ErrorFrame) -> None:
        """Make a report, and take on what it says of the state and the counters."""
        self._faults.follow(report)
        self._follow_state()
        self._tell(report)
        self.interface.changed()

    def _follow_state(self) -> None:
        """Leave the bus, or be back on it."""
        is_off = self._faults.state is CanState.BUS_OFF
        if not self._set_carrier(on=not is_off):
            return
        self._bus.changed()
        self._timer.cancel()
        if is_off and self.settings.restart_ms:
            self._clock.attend()
            self._timer.start(self._clock.now() + self.settings.restart_ms * _MILLISECOND)

    def _expired(self, _due: int, _now: int) -> None:
        self._restart()

    def _restart(self) -> None:
        report = self._faults.restart()
        self._follow_state()
        self._tell(report)
        self.interface.changed()

    def _tell(self, report: ErrorFrame) -> None:
        self.interface.receive(encode_frame(report), self._clock.stamp_ns())


def _fit(mine: int, theirs: int) -> bool:
    """Tell whether nodes with these bit rates follow each other's bits."""
    return abs(mine - theirs) * _SAME_RATE <= theirs
