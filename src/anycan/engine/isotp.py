"""An ISO-TP connection: two identifiers, a transmission and a reception.

Source: ISO 15765-2:2016; ``linux/can/isotp.h``; what the kernel does, as seen on Linux 6.12
(``docs/explanation/parity.md``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.engine.isotp_reception import Reception, StrictReception
from anycan.engine.isotp_transmission import Transmission, TransmissionState
from anycan.wire.isotp import (
    CONSECUTIVE_FRAME,
    FIRST_FRAME,
    FLOW_CONTROL,
    SINGLE_FRAME,
    IsotpFlag,
)

if TYPE_CHECKING:
    from anycan.engine.isotp_host import IsotpHost
    from anycan.engine.isotp_settings import IsotpSettings
    from anycan.engine.timers import Timers

_HALF_DUPLEX: Final = int(IsotpFlag.HALF_DUPLEX)
_IDLE: Final = TransmissionState.IDLE


class IsotpConnection:
    """Both halves, and which frame is for which.

    Args:
        host: The socket.
        timers: Where it gets its timers from.
        settings: How it behaves.

    Attributes:
        transmission: The sending half.
        reception: The receiving half.
    """

    def __init__(self, host: IsotpHost, timers: Timers, settings: IsotpSettings) -> None:
        self._settings = settings
        self.transmission = Transmission(host, timers, settings)
        kind = StrictReception if settings.strict else Reception
        self.reception = kind(host, timers, settings)
        self.configure()

    def configure(self) -> None:
        """Take note that the settings have changed."""
        settings = self._settings
        self.transmission.configure()
        self.reception.configure()
        self._address = settings.options.rx_ext_address if settings.address_size else None
        self._control = settings.address_size
        self._half_duplex = settings.options.flags & _HALF_DUPLEX != 0

    def receive(self, data: bytes, length: int, stamp_ns: int) -> None:
        """Take a frame from the peer.

        Args:
            data: The room for its data, 8 or 64 bytes.
            length: How much of it counts.
            stamp_ns: When it was received.
        """
        if self._address is not None and data[0] != self._address:
            return
        kind = data[self._control] & 0xF0
        if self._half_duplex and self._is_of_the_other_direction(kind):
            return
        if kind == CONSECUTIVE_FRAME:
            self.reception.consecutive_frame(data, length, stamp_ns)
        elif kind == FLOW_CONTROL:
            self.transmission.flow_control(data, length)
        elif kind == SINGLE_FRAME:
            self.reception.single_frame(data, length, stamp_ns)
        elif kind == FIRST_FRAME:
            self.reception.first_frame(data, length)

    def _is_of_the_other_direction(self, kind: int) -> bool:
        if kind == FLOW_CONTROL:
            return self.reception.active
        return self.transmission.state is not _IDLE

    def close(self) -> None:
        """Send and receive no more."""
        self.transmission.close()
        self.reception.close()
