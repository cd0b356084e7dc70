"""Receiving a PDU: single, first and consecutive frames, and the flow control they are given.

Source: ISO 15765-2:2016, 9.6 and 9.8; what the kernel does, as seen on Linux 6.12
(``docs/explanation/parity.md``).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from anycan.wire.isotp import (
    CONTINUE_TO_SEND,
    FLOW_CONTROL,
    OVERFLOW,
    IsotpFlag,
    padded_length,
)

if TYPE_CHECKING:
    from anycan.engine.isotp_host import IsotpHost
    from anycan.engine.isotp_settings import IsotpSettings
    from anycan.engine.timers import Timers

CONSECUTIVE_TIMEOUT: Final = 1_000_000_000  # N_Cr
_SHORT_LENGTH: Final = 2  # bytes of a first frame's control information
_LONG_LENGTH: Final = 6  # the same with a length of 32 bits
_U32: Final = 0xFFFF_FFFF

_LISTEN: Final = int(IsotpFlag.LISTEN_MODE)
_TX_PADDING: Final = int(IsotpFlag.TX_PADDING)
_FORCE_STMIN: Final = int(IsotpFlag.FORCE_RXSTMIN)


class Reception:
    """The receiving half of a connection, as the kernel does it.

    Args:
        host: The socket.
        timers: Where it gets its timer from.
        settings: How it behaves; :meth:`configure` looks at them again.

    Attributes:
        active: A PDU of several frames is being received.
        overflows: How many PDUs were refused because they are too long.
    """

    def __init__(self, host: IsotpHost, timers: Timers, settings: IsotpSettings) -> None:
        self.active = False
        self.overflows = 0
        self._host = host
        self._settings = settings
        self._timeout = timers.timer(self._timed_out)
        self._pdu = bytearray()
        self._size = 0  # that it is to have
        self._sequence = 0
        self._in_block = 0
        self._frame_size = 8  # that the sender uses
        self._last_stamp = 0
        self.configure()

    def configure(self) -> None:
        """Take note that the settings have changed."""
        settings = self._settings
        options = settings.options
        self._start = settings.address_size
        self._prefix = bytes((options.ext_address,))[: self._start]
        self._listens = options.flags & _LISTEN != 0
        self._block_size = settings.flow_control.bs
        self._force_stmin = settings.rx_stmin if options.flags & _FORCE_STMIN else 0

    def single_frame(self, data: bytes, length: int, stamp_ns: int) -> None:
        """Take a single frame.

        Args:
            data: Its data, the address byte too.
            length: How much of it counts.
            stamp_ns: When it was received.
        """
        start = self._start + 1
        size = data[start - 1] & 0x0F
        if length > 8:
            if size:
                return
            size = data[start]
            start += 1
        self._stop()
        end = start + size
        if not size or end > length:
            return
        if self._settings.padding_is_wrong(data, length, end):
            self._host.fail(errno.EBADMSG)
            return
        self._host.deliver_pdu(bytes(data[start:end]), stamp_ns)

    def first_frame(self, data: bytes, length: int) -> None:
        """Take a first frame.

        Args:
            data: Its data, the address byte too.
            length: How much of it counts.
        """
        self._stop()
        self._frame_size = frame_size = padded_length(length)
        if length != frame_size:
            return
        start = self._start
        size = (data[start] & 0x0F) << 8 | data[start + 1]
        head = start + _SHORT_LENGTH
        if not size:
            size = int.from_bytes(data[start + 2 : start + 6], "big")
            head = start + _LONG_LENGTH
        escape = 1 if frame_size > 8 else 0
        if self._is_single(size + escape + head, frame_size):
            return
        if size > self._settings.maximum_pdu:
            self.overflows += 1
            self._refuse()
            return
        self._size = size
        self._pdu = bytearray(data[head:frame_size])
        self._sequence = 1
        self.active = True
        if not self._listens:
            self._send_flow_control(CONTINUE_TO_SEND)

    def consecutive_frame(self, data: bytes, length: int, stamp_ns: int) -> None:
        """Take a consecutive frame.

        Args:
            data: Its data, the address byte too.
            length: How much of it counts.
            stamp_ns: When it was received.
        """
        if not self.active or (self._force_stmin and self._came_too_fast(stamp_ns)):
            return
        self._timeout.cancel()
        start = self._start
        frame_size = self._frame_size
        if length != frame_size and (length > frame_size or self._missing > frame_size - start - 1):
            return  # a frame that is not full can only be the last one
        if data[start] & 0x0F != self._sequence:
            self.active = False
            self._host.fail(errno.EILSEQ)
            return
        self._sequence = (self._sequence + 1) & 0x0F
        missing = self._size - len(self._pdu)
        start += 1
        if missing > max(length - start, 0):
            self._pdu += data[start:length]
            self._continue_block()
            return
        self._pdu += data[start : start + max(missing, 0)]
        # Where nothing was missing, the kernel takes a byte before it looks.
        self._complete(data, length, start + max(missing, 1), stamp_ns)

    @property
    def _missing(self) -> int:
        """How much is missing, as an unsigned number: some first frames hold more than all."""
        return (self._size - len(self._pdu)) & _U32

    def _came_too_fast(self, stamp_ns: int) -> bool:
        if stamp_ns - self._last_stamp < self._force_stmin:
            return True
        self._last_stamp = stamp_ns
        return False

    def _complete(self, data: bytes, length: int, end: int, stamp_ns: int) -> None:
        self.active = False
        pdu, self._pdu = self._pdu, bytearray()
        if self._settings.padding_is_wrong(data, length, end):
            self._host.fail(errno.EBADMSG)
            return
        self._host.deliver_pdu(bytes(pdu[: self._size]), stamp_ns)

    def _continue_block(self) -> None:
        self._in_block += 1
        if not self._block_size or self._in_block < self._block_size:
            self._timeout.put_off(self._host.now() + CONSECUTIVE_TIMEOUT)
        elif not self._listens:
            self._send_flow_control(CONTINUE_TO_SEND)

    def _send_flow_control(self, status: int) -> None:
        flow_control = self._settings.flow_control
        data = self._prefix + bytes((FLOW_CONTROL | status, flow_control.bs, flow_control.stmin))
        options = self._settings.options
        if options.flags & _TX_PADDING:
            data = data.ljust(8, bytes((options.txpad,)))
        self._in_block = 0
        self._timeout.start(self._host.now() + CONSECUTIVE_TIMEOUT)
        self._host.answer(data)

    def _is_single(self, size: int, frame_size: int) -> bool:
        """Tell whether so much would fit into a single frame; the kernel counts in 32 bits."""
        return size & _U32 < frame_size

    def _refuse(self) -> None:
        """Refuse a PDU that is too long; the kernel does when it only listens, too."""
        self._send_flow_control(OVERFLOW)

    def _stop(self) -> None:
        """Give up what is being received, for what comes now."""
        self._timeout.cancel()
        self.active = False

    def _timed_out(self, _due: int, _now: int) -> None:
        self._host.look()
        if self.active and self._timeout.deadline is None:
            self.active = False
            self._host.fail(errno.ETIMEDOUT)

    def close(self) -> None:
        """Receive no more."""
        self.active = False
        self._timeout.discard()
        self._pdu = bytearray()


class StrictReception(Reception):
    """The receiving half of a connection, as ISO 15765-2:2016 has it.

    What is not valid is ignored, and does not disturb what is being received (9.6.2.2, 9.6.3.2,
    9.8.1); what is valid and unexpected ends it, which is told (9.8.3); and whoever only listens
    notices too when a sender has stopped.
    """

    def single_frame(self, data: bytes, length: int, stamp_ns: int) -> None:
        """Take a single frame."""
        start = self._start
        size = data[start] & 0x0F
        if length <= 8:
            valid = 1 <= size <= length - start - 1
        else:
            # As long as it must be, and no longer (9.6.2.2, table 12).
            size = data[start + 1]
            longer = size > 7 - start
            exact = padded_length(start + 2 + size) == length
            valid = not data[start] & 0x0F and longer and exact
        if valid:
            self._interrupt()
            super().single_frame(data, length, stamp_ns)

    def first_frame(self, data: bytes, length: int) -> None:
        """Take a first frame."""
        start = self._start
        if length != padded_length(length):
            return
        size = (data[start] & 0x0F) << 8 | data[start + 1]
        if size:
            # The least length is that which no single frame of this size holds (table 14).
            largest_single = length - start - (2 if length > 8 else 1)
            valid = size > largest_single
        else:
            valid = int.from_bytes(data[start + 2 : start + 6], "big") > 0xFFF
        if valid:
            self._interrupt()
            super().first_frame(data, length)
            self._timeout.start(self._host.now() + CONSECUTIVE_TIMEOUT)

    def consecutive_frame(self, data: bytes, length: int, stamp_ns: int) -> None:
        """Take a consecutive frame."""
        start = self._start + 1
        least = min(self._missing, self._frame_size - start)
        if not self.active or least <= length - start <= self._frame_size - start:
            super().consecutive_frame(data, length, stamp_ns)
        # Else it is too short or too long, and the timer runs on.

    def _is_single(self, size: int, frame_size: int) -> bool:
        return size < frame_size

    def _refuse(self) -> None:
        if not self._listens:
            super()._refuse()

    def _continue_block(self) -> None:
        if self._listens:  # there are no blocks of its own
            self._timeout.start(self._host.now() + CONSECUTIVE_TIMEOUT)
        else:
            super()._continue_block()

    def _interrupt(self) -> None:
        if self.active:
            self.active = False
            self._host.fail(errno.EPROTO)
