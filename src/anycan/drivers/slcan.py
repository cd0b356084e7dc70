"""Adapters that speak the slcan (LAWICEL) protocol on a serial line, as network devices."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Final

from anycan.drivers.serial_line import check_speed
from anycan.drivers.slcan_connection import SlcanConnection
from anycan.drivers.slcan_controller import SlcanController
from anycan.drivers.slcan_settings import SlcanSettings, check_bitrate
from anycan.frame import ERR_FLAG
from anycan.network.core.device import NetworkDevice, TransmitResult
from anycan.network.core.payload import unpack_word
from anycan.wire.constants import CAN_MTU
from anycan.wire.frames import encode_frame
from anycan.wire.netlink_can import CanState

if TYPE_CHECKING:
    from collections import Counter

    from anycan.drivers.slcan_controller import SlcanStatistics
    from anycan.drivers.slcan_protocol import ErrorsLine, Mark, StateLine, StatusLine, TextLine
    from anycan.frame import ErrorFrame
    from anycan.network.core.device import DevicePort
    from anycan.network.core.interface import Interface
    from anycan.wire.netlink_can import CanParameters, CanStatistics

_LOGGER: Final = logging.getLogger("anycan.drivers")
_MILLISECOND: Final = 1_000_000
_FIRST_PAUSE: Final = 100 * _MILLISECOND
_LAST_PAUSE: Final = 2000 * _MILLISECOND


class SlcanAdapter(NetworkDevice):
    """An adapter that speaks the slcan protocol (LAWICEL's) on a serial line, as a network device.

    It is a controller of classical CAN: ``configure_interface`` sets its bit rate, listen-only mode
    (``CanMode.LISTENONLY``) and the time to restart after bus-off, while it is down. Set up, it
    opens the line, sets the adapter and opens its channel; set down, it closes both. It comes up
    where an event loop runs, and belongs to that.

    A frame counts as sent, and is seen by the other sockets of this host, when it is written to the
    line: not every adapter tells when it is on the bus, and some never tell. Up to ``queue_length``
    frames (10; ``configure_interface`` sets it) wait while the line takes no more.

    When the adapter is unplugged, the carrier goes away, and what is sent is dropped and counted;
    it is looked for after 0.1 s and then ever more rarely, down to every 2 s. Once it is back, it
    is set as it was, and so is the carrier.

    Each second it is asked for its status (``F``), if it has one to tell; from that, and from what
    adapters tell of their own accord (lines ``s`` and ``e``), come the controller's state, its
    error counters, and error frames as a driver of the kernel makes them.

    Args:
        path: The serial line, such as ``"/dev/ttyACM0"``.
        bitrate: The bit rate, in bits a second: 10, 20, 50, 100, 125, 250, 500, 800 or
            1000 kbit/s; None: ``configure_interface`` is to set it.
        listen_only: It is to send nothing, acknowledgements included.
        timestamps: The adapter is to stamp frames, by the millisecond: they come in order, and what
            comes in one piece over USB is told apart. Where False, or where the adapter has no
            stamps, frames have the time when they were read.
        serial_speed: The line's speed, in bits a second; adapters on USB do not care.
        reconnect: Look for an adapter that is gone. Where False, it stays without a carrier until
            it is set down and up.

    Raises:
        ValueError: The protocol has no such bit rate, or this system no such speed.

    Example:
        ::

            async with anycan.UserNetwork() as network:
                network.add_device("can0", anycan.SlcanAdapter("/dev/ttyACM0", bitrate=500_000))
                async with anycan.open_raw("can0", network=network) as can:
                    print(await can.receive())

    Source: LAWICEL's manual of CANUSB; ``drivers/net/can/slcan/slcan-core.c``.
    """

    kind = "can"
    echo = True
    queue_length = 10  # drivers/net/can/dev/dev.c: can_setup

    _interface: Interface

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        bitrate: int | None = None,
        listen_only: bool = False,
        timestamps: bool = True,
        serial_speed: int = 115_200,
        reconnect: bool = True,
    ) -> None:
        if bitrate is not None:
            try:
                check_bitrate(bitrate)
            except OSError as error:
                raise ValueError(error.strerror) from None
        check_speed(serial_speed)
        self.carrier = False  # until it is found
        self._path = os.fspath(path)
        self._settings = SlcanSettings(bitrate=bitrate or 0, listen_only=listen_only)
        self._speed = serial_speed
        self._with_stamps = timestamps
        self._reconnects = reconnect
        self._controller = SlcanController()
        self._condition = self._controller.condition  # as it was told of
        self._connection: SlcanConnection | None = None
        self._is_missed = False  # it was gone when the link went down
        self._pause = _FIRST_PAUSE

    @property
    def statistics(self) -> SlcanStatistics:
        """What the driver has counted."""
        return self._controller.adapter_statistics

    @property
    def version(self) -> str | None:
        """What the adapter says of its version, ``V1013`` without the V; None: nothing yet."""
        return self._controller.texts.get("V")

    @property
    def serial_number(self) -> str | None:
        """What the adapter says of its serial number; None: nothing yet."""
        return self._controller.texts.get("N")

    def __repr__(self) -> str:
        return f"<SlcanAdapter {self._path}>"

    # The interface

    def supports_mtu(self, mtu: int) -> bool:
        """Tell whether it can have that MTU: 16, that of classical CAN."""
        return mtu == CAN_MTU

    def attach(self, interface: Interface) -> None:
        """Take note of the interface."""
        self._interface = interface
        self._clock = interface.stack.clock
        timers = interface.stack.timers
        self._look = timers.timer(self._look_for_it)
        self._restarter = timers.timer(self._on_restart)

    def detach(self) -> None:
        """Let the interface go."""
        self._look.discard()
        self._restarter.discard()

    def start(self, _port: DevicePort) -> None:
        """Open the adapter.

        Raises:
            OSError: It has no bit rate (EINVAL), or the serial line cannot be opened, unless it
                was gone already when the link went down: it is looked for then.
            RuntimeError: No event loop runs.
        """
        self._settings.check_start()
        self._clock.attend()
        self._pause = _FIRST_PAUSE
        is_missed, self._is_missed = self._is_missed, False
        try:
            self._connect()
        except OSError as error:
            if not (is_missed and self._reconnects and error.errno == errno.ENOENT):
                raise
            # As when it was set down: to be configured does not end the looking for it.
            self._look.start(self._clock.now() + self._pause)
            self._controller.stop()
            self._condition = self._controller.condition
            self._set_carrier(on=False)
            return
        self._set_carrier(on=True)

    def stop(self) -> None:
        """Close the adapter."""
        self._look.cancel()
        self._restarter.cancel()
        connection, self._connection = self._connection, None
        self._is_missed = connection is None
        if connection is not None:
            connection.close()
        self._controller.stop()
        self._condition = self._controller.condition

    def transmit(self, payload: bytes) -> TransmitResult:
        """Take a frame to the adapter."""
        connection = self._connection
        if connection is None or self._settings.listen_only or not self.carrier:
            return TransmitResult.LOST
        if unpack_word(payload)[0] & ERR_FLAG:
            return TransmitResult.LOST
        waiting = connection.frames_waiting
        if waiting and waiting >= self._interface.queue_length:
            return TransmitResult.FULL
        try:
            written = connection.send(payload)
        except OSError as error:
            connection.line_lost(error)
            return TransmitResult.LOST
        return TransmitResult.SENT if written else TransmitResult.QUEUED

    def _connect(self) -> None:
        self._connection = SlcanConnection(
            self._path,
            self._speed,
            self._settings,
            self,
            self._clock,
            self._interface.stack.timers,
            stamps=self._with_stamps,
        )
        self._controller.start()
        self._condition = self._controller.condition

    def _look_for_it(self, _due: int, now: int) -> int | None:
        self._pause = min(2 * self._pause, _LAST_PAUSE)
        try:
            self._connect()
        except (OSError, RuntimeError):
            return now + self._pause
        _LOGGER.info("%s: %s is back", self._interface.name, self._path)
        self._set_carrier_after_state(on=True)
        return None

    # What it is set to, and tells

    @property
    def can_statistics(self) -> CanStatistics:
        """What the controller has counted since it was made."""
        return self._controller.statistics

    def parameters(self) -> CanParameters:
        """Give what it is set to, and tells."""
        return self._settings.parameters(self._controller.state, self._controller.counters)

    def configure(self, parameters: CanParameters) -> None:
        """Set it; all of it, or nothing.

        Raises:
            OSError: As :meth:`SlcanSettings.changed` and, with ``restart``, :meth:`restart`.
        """
        settings = self._settings.changed(parameters, up=self._interface.up)
        if parameters.restart is not None:
            self._check_restart()
        self._settings = settings
        if parameters.restart is not None:
            self._restart()

    def restart(self) -> None:
        """Open it anew after bus-off.

        Raises:
            OSError: EINVAL: it is down, or restarts by itself; EBUSY: it is not bus-off.
        """
        self._check_restart()
        self._restart()

    def _check_restart(self) -> None:
        if not self._interface.up:
            raise OSError(errno.EINVAL, "it is down: set it up in place of that")
        if self._settings.restart_ms:
            raise OSError(errno.EINVAL, "it restarts by itself, and not by hand as well")
        if self._controller.state is not CanState.BUS_OFF or self._connection is None:
            raise OSError(errno.EBUSY, "it is not bus-off: there is nothing to restart")

    def _on_restart(self, _due: int, _now: int) -> None:
        self._restart()

    def _restart(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            connection.begin()
        except OSError as error:
            connection.line_lost(error)
            return
        self._tell(self._controller.restart())
        self._condition = self._controller.condition
        self._interface.changed()

    # What the adapter tells

    def frame_received(self, payload: bytes, stamp_ns: int) -> None:
        """Take a frame from the bus."""
        self._interface.receive(payload, stamp_ns)

    def frame_sent(self) -> None:
        """Tell that the oldest frame that waited has been written."""
        self._interface.sent()

    def frame_lost(self) -> None:
        """Tell that the oldest frame that waited is lost."""
        self._interface.lost()

    def steady(self) -> None:
        """Look for it soon, should it be gone again."""
        self._pause = _FIRST_PAUSE

    def gone(self, reason: str) -> None:
        """Be without a carrier, and look for the adapter."""
        self._connection = None
        self._restarter.cancel()
        _LOGGER.warning(
            "%s: %s is gone (%s); what is sent until it is back is lost",
            self._interface.name,
            self._path,
            reason,
        )
        if self._reconnects:
            self._look.start(self._clock.now() + self._pause)
        self._controller.stop()
        self._set_carrier_after_state(on=False)

    def _set_carrier_after_state(self, *, on: bool) -> None:
        """Tell of a carrier; a state that changed with it would be told in its place."""
        self._condition = self._controller.condition
        self._interface.changed()
        self._interface.set_carrier(on=on)

    def told(self, line: StateLine | StatusLine | ErrorsLine | TextLine) -> None:
        """Take what the adapter tells."""
        for report in self._controller.take(line):
            self._tell(report)

    def marked(self, marks: Counter[Mark]) -> None:
        """Take what the adapter says of frames, and tell of what has come before."""
        reports = self._controller.count(marks)
        if self._connection is None:
            return
        for report in reports:
            self._tell(report)
        if self._controller.condition != self._condition:
            self._condition = self._controller.condition
            self._interface.changed()

    def reopened(self) -> None:
        """Tell of an adapter that was reset."""
        _LOGGER.warning(
            "%s: %s had closed its channel (has it been reset?), and is opened anew",
            self._interface.name,
            self._path,
        )

    def _tell(self, report: ErrorFrame) -> None:
        """Hand a report on, with the carrier that goes with it."""
        is_off = self._controller.state is CanState.BUS_OFF
        if self._set_carrier(on=not is_off):
            self._restarter.cancel()
            if is_off and self._settings.restart_ms:
                self._restarter.start(self._clock.now() + self._settings.restart_ms * _MILLISECOND)
        self._interface.receive(encode_frame(report))
