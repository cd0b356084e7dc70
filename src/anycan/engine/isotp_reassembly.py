"""Reassembling the PDUs of one direction of an ISO-TP connection between others.

:class:`StrictReception` is the receiver of a connection of one's own: it answers, and what fails is
gone. Here nothing is answered, and what has come of a PDU that fails is told.

Source: ISO 15765-2:2016, clauses 9.6 and 9.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from anycan.engine.isotp_record import IsotpRecord
from anycan.wire.isotp import CONTINUE_TO_SEND, OVERFLOW, decode_stmin

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.engine.isotp_record import Direction, Fault
    from anycan.engine.timers import Timers
    from anycan.wire.isotp_address import Address
    from anycan.wire.isotp_frames import (
        ConsecutiveFrame,
        FirstFrame,
        FlowControlFrame,
        SingleFrame,
    )

_TIMEOUT: Final = 1_000_000_000  # N_Cr, and N_Bs before the first consecutive frame
_STEP_BACK: Final = 1_000_000_000  # stamps that go back further are of a clock that was set


@attrs.define
class StampClock:
    """The time by the stamps of frames, which may go back.

    Attributes:
        stamp_ns: The last stamp.
        now: The same by a clock that does not go back.
        offset: From the one to the other.
    """

    stamp_ns: int = 0
    now: int = 0
    offset: int = 0

    def set(self, stamp_ns: int) -> None:
        """Take a stamp."""
        self.stamp_ns = stamp_ns
        now = stamp_ns + self.offset
        if now > self.now:
            self.now = now
        elif now < self.now - _STEP_BACK:  # it was set back, or another log begins
            self.offset = self.now - stamp_ns
        # Else frames of several interfaces came a little out of order.


@attrs.define
class _Pdu:
    """A PDU that is coming.

    Attributes:
        data: What has come of it.
        length: How many bytes it is to have.
        frame_size: How much data its sender's frames have.
        started_ns: When its first frame came.
        restarted_ns: When a frame last came that its sender or receiver owed.
        frames: The number of its data frames.
        flow_controls: The number of frames of flow control.
        block_size: The last one asked for.
        stmin: The last separation time asked for, as it stands in the frame.
    """

    data: bytearray
    length: int
    frame_size: int
    started_ns: int
    restarted_ns: int
    frames: int = 1
    flow_controls: int = 0
    block_size: int | None = None
    stmin: int | None = None


class Reassembly:
    """One direction of a connection, on one interface.

    Args:
        address: The connection.
        direction: Which of both.
        interface: The interface.
        clock: The time.
        timers: Where it gets its timer from.
        tell: Is told what ends.
    """

    def __init__(
        self,
        address: Address,
        direction: Direction,
        interface: str | None,
        clock: StampClock,
        timers: Timers,
        tell: Callable[[IsotpRecord], object],
    ) -> None:
        self._address = address
        self._direction = direction
        self._interface = interface
        self._clock = clock
        self._timer = timers.timer(self._timed_out)
        self._tell = tell
        self._pdu: _Pdu | None = None

    def single_frame(self, frame: SingleFrame) -> None:
        """Take a whole PDU."""
        self.end("interrupted")
        self._begin(frame.pdu, len(frame.pdu), 0)
        self.end(None)

    def first_frame(self, frame: FirstFrame, most: int) -> None:
        """Take the beginning of a PDU; give up one of more than so many bytes."""
        self.end("interrupted")
        self._begin(frame.data, frame.length, frame.frame_size)
        if frame.length > most:
            self.end("overflow")
        else:
            self._timer.start(self._clock.now + _TIMEOUT)

    def _begin(self, data: bytes, length: int, frame_size: int) -> None:
        stamp_ns = self._clock.stamp_ns
        self._pdu = _Pdu(bytearray(data), length, frame_size, stamp_ns, stamp_ns)

    def consecutive_frame(self, frame: ConsecutiveFrame, frame_size: int) -> bool | None:
        """Take more of a PDU.

        Args:
            frame: The frame.
            frame_size: How much data it has in all.

        Returns:
            Whether there is anything that it continues; None: it is too short or too long.
        """
        pdu = self._pdu
        if pdu is None:
            return False
        missing = pdu.length - len(pdu.data)
        full = pdu.frame_size - frame_size + len(frame.data)
        if frame_size > pdu.frame_size or len(frame.data) < min(missing, full):
            return None
        number = pdu.frames & 0x0F
        pdu.frames += 1
        if frame.number != number:
            self.end("sequence")
            return True
        pdu.data += frame.data[:missing]
        if len(pdu.data) == pdu.length:
            self.end(None)
        else:
            self._go_on(pdu)
        return True

    def flow_control(self, frame: FlowControlFrame) -> bool:
        """Take what the receiver says; tell whether there is a PDU to say it of."""
        pdu = self._pdu
        if pdu is None:
            return False
        pdu.flow_controls += 1
        if frame.status == OVERFLOW:
            self.end("overflow")
            return True
        if frame.status == CONTINUE_TO_SEND:  # of the others, the rest has no meaning
            pdu.block_size = frame.block_size
            pdu.stmin = frame.stmin
        self._go_on(pdu)
        return True

    def _go_on(self, pdu: _Pdu) -> None:
        pdu.restarted_ns = self._clock.stamp_ns
        self._timer.start(self._clock.now + _TIMEOUT)

    def _timed_out(self, _due: int, _now: int) -> None:
        self.end("timeout")

    def end(self, fault: Fault | None) -> None:
        """Tell of the PDU that is coming, if any, and take no more of it."""
        pdu, self._pdu = self._pdu, None
        if pdu is None:
            return
        self._timer.cancel()
        address = self._address
        identifier = address.rx_id if self._direction == "rx" else address.tx_id
        timed_out = fault == "timeout"
        record = IsotpRecord(
            address=address,
            direction=self._direction,
            identifier=identifier or 0,
            extended=address.extended_ids,
            interface=self._interface,
            pdu=bytes(pdu.data),
            length=pdu.length,
            fault=fault,
            started_ns=pdu.started_ns,
            finished_ns=pdu.restarted_ns + _TIMEOUT if timed_out else self._clock.stamp_ns,
            frames=pdu.frames,
            flow_controls=pdu.flow_controls,
            block_size=pdu.block_size,
            stmin=None if pdu.stmin is None else decode_stmin(pdu.stmin) / 1e9,
        )
        self._tell(record)

    def close(self) -> None:
        """Tell of what is unfinished, and free the timer's place."""
        self.end("unfinished")
        self._timer.discard()
