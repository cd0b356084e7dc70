"""Sending a PDU: single, first and consecutive frames, as flow control allows.

Source: ISO 15765-2:2016, 9.6 and 9.8; what the kernel does, as seen on Linux 6.12
(``docs/explanation/parity.md``).
"""

from __future__ import annotations

import enum
import errno
from collections import deque
from typing import TYPE_CHECKING, Final

from anycan.engine.failure import failure
from anycan.wire.isotp import (
    BROADCAST,
    CONSECUTIVE_FRAME,
    CONTINUE_TO_SEND,
    FIRST_FRAME,
    FLOW_CONTROL_SIZE,
    MAXIMUM_SHORT_LENGTH,
    OVERFLOW,
    PADDING,
    WAIT,
    IsotpFlag,
    decode_stmin,
    padded_length,
)

if TYPE_CHECKING:
    from anycan.engine.isotp_host import IsotpHost
    from anycan.engine.isotp_settings import IsotpSettings
    from anycan.engine.timers import Timers

_SECOND: Final = 1_000_000_000
FLOW_CONTROL_TIMEOUT: Final = _SECOND  # N_Bs
ECHO_TIMEOUT: Final = 2 * _SECOND  # the kernel's N_As
STRICT_ECHO_TIMEOUT: Final = _SECOND  # ISO 15765-2:2016, table 17
_TAG_SIZE: Final = 4  # the kernel knows its own frames again by so many bytes

_TX_PADDING: Final = int(IsotpFlag.TX_PADDING)
_FORCE_STMIN: Final = int(IsotpFlag.FORCE_TXSTMIN)
_DYNAMIC: Final = int(IsotpFlag.DYN_FC_PARMS)
_SF_BROADCAST: Final = int(IsotpFlag.SF_BROADCAST)
_CF_BROADCAST: Final = int(IsotpFlag.CF_BROADCAST)
_BROADCAST: Final = int(BROADCAST)


def _tag(data: bytes) -> bytes:
    return data[:_TAG_SIZE].ljust(_TAG_SIZE, b"\0")


class TransmissionState(enum.Enum):
    """What a transmission waits for."""

    IDLE = enum.auto()
    FIRST_FLOW_CONTROL = enum.auto()
    FLOW_CONTROL = enum.auto()
    SENDING = enum.auto()


_IDLE: Final = TransmissionState.IDLE
_FIRST: Final = TransmissionState.FIRST_FLOW_CONTROL
_HELD_UP: Final = TransmissionState.FLOW_CONTROL
_SENDING: Final = TransmissionState.SENDING


class Transmission:
    """The sending half of a connection. It sends one PDU at a time.

    Args:
        host: The socket.
        timers: Where it gets its timers from.
        settings: How it behaves; :meth:`configure` looks at them again.

    Attributes:
        state: What it waits for.
    """

    def __init__(self, host: IsotpHost, timers: Timers, settings: IsotpSettings) -> None:
        self.state = _IDLE
        self._host = host
        self._settings = settings
        self._timeout = timers.timer(self._timed_out)
        self._separation = timers.timer(self._separated)
        self._pdu = b""
        self._position = 0
        self._sequence = 0
        self._block_size = 0
        self._in_block = 0
        self._gap = 0  # between consecutive frames
        self._least_gap = 0  # the part of it that the receiver asks for
        self._last_due = 0  # when the last consecutive frame should have been sent
        self._tags: deque[bytes] = deque()  # of the frames that have not been on the bus yet
        self.configure()

    def configure(self) -> None:
        """Take note that the settings have changed; only while it is idle."""
        settings = self._settings
        address_size = settings.address_size
        self._prefix = bytes((settings.options.ext_address,))[:address_size]
        self._room = settings.link_layer.tx_dl - address_size - 1  # of a consecutive frame
        self._heads = [self._prefix + bytes((CONSECUTIVE_FRAME | number,)) for number in range(16)]
        escape = 1 if settings.link_layer.tx_dl > 8 else 0
        self._largest_single = self._room - escape
        self._largest_short_single = 8 - 1 - address_size
        self._echo_timeout = STRICT_ECHO_TIMEOUT if settings.strict else ECHO_TIMEOUT

    # Beginning

    def check(self, size: int) -> None:
        """Find out whether a PDU could be sent now.

        Raises:
            OSError: EAGAIN: another one is being sent; EINVAL: it has no bytes, or too many.
        """
        if self.state is not _IDLE:
            raise failure(errno.EAGAIN)
        if not 1 <= size <= self._settings.maximum_pdu:
            raise failure(errno.EINVAL)
        broadcast = self._settings.options.flags & _BROADCAST
        if broadcast == _SF_BROADCAST and size > self._largest_single:
            raise failure(errno.EINVAL)

    def start(self, pdu: bytes) -> None:
        """Send a PDU that has been checked.

        Raises:
            OSError: Its first frame was refused; nothing has been sent.
        """
        self._pdu = pdu
        self._position = 0
        self._tags.clear()
        self.state = _SENDING
        timeout = self._echo_timeout
        if len(pdu) <= self._largest_single:
            data = self._single_frame(pdu)
            self._tags.append(_tag(data))
        else:
            data = self._first_frame(pdu)
            if self._settings.options.flags & _BROADCAST == _CF_BROADCAST:
                self._block_size = 0
                self._set_gap(0)
                self._tags.append(_tag(data))
            else:
                self.state = _FIRST
                timeout = FLOW_CONTROL_TIMEOUT
        now = self._host.now()
        self._last_due = now
        self._timeout.start(now + timeout)
        try:
            self._host.transmit(data)
        except OSError:
            self._end()
            raise

    def _single_frame(self, pdu: bytes) -> bytes:
        self._position = size = len(pdu)
        if size <= self._largest_short_single:  # a CAN FD frame is not made longer than 8 for it
            head = self._prefix + bytes((size,))
        else:
            head = self._prefix + bytes((0, size))
        return self._fill(head + pdu)

    def _first_frame(self, pdu: bytes) -> bytes:
        size = len(pdu)
        if size <= MAXIMUM_SHORT_LENGTH:
            head = self._prefix + bytes((FIRST_FRAME | size >> 8, size & 0xFF))
        else:
            head = self._prefix + bytes((FIRST_FRAME, 0)) + size.to_bytes(4, "big")
        self._position = self._settings.link_layer.tx_dl - len(head)
        self._sequence = 1
        return head + pdu[: self._position]

    def _fill(self, data: bytes) -> bytes:
        """Fill a frame up that holds less than it could."""
        size = len(data)
        if size >= self._settings.link_layer.tx_dl:
            return data
        options = self._settings.options
        if options.flags & _TX_PADDING:
            return data.ljust(padded_length(size), bytes((options.txpad,)))
        if size > 8:
            return data.ljust(padded_length(size), bytes((PADDING,)))
        return data

    # Flow control

    def flow_control(self, data: bytes, length: int) -> None:
        """Take a flow control frame.

        Args:
            data: Its data, the address byte too.
            length: How much of it counts.
        """
        settings = self._settings
        start = len(self._prefix)
        wrong = length < start + FLOW_CONTROL_SIZE
        if settings.strict and wrong:
            return  # ISO 15765-2:2016, 9.8.1: what is too short is ignored
        if self.state is not _FIRST and self.state is not _HELD_UP:
            return
        self._timeout.cancel()
        if wrong or settings.padding_is_wrong(data, length, start + FLOW_CONTROL_SIZE):
            self._fail(errno.EBADMSG)
            return
        status = data[start] & 0x0F
        if self.state is _FIRST or settings.options.flags & _DYNAMIC:
            self._block_size = data[start + 1]
            self._set_gap(decode_stmin(data[start + 2]))
        if not settings.strict or status == CONTINUE_TO_SEND:
            self.state = _HELD_UP
        match status:
            case 0:  # continue to send
                self._in_block = 0
                self.state = _SENDING
                now = self._host.now()
                self._last_due = now
                self._timeout.start(now + self._echo_timeout)
                self._send_answering()
            case _ if status == WAIT:
                self._timeout.start(self._host.now() + FLOW_CONTROL_TIMEOUT)
            case _ if status == OVERFLOW:
                self._fail(errno.EMSGSIZE)
            case _:
                self._fail(errno.EBADMSG)

    def _set_gap(self, stmin: int) -> None:
        settings = self._settings
        if settings.options.flags & _FORCE_STMIN:
            stmin = settings.tx_stmin
        self._least_gap = stmin
        self._gap = stmin + settings.frame_txtime
        if settings.options.flags & _BROADCAST and settings.options.flags & _FORCE_STMIN:
            self._gap = stmin  # the kernel adds nothing here

    # Consecutive frames

    def echo(self, data: bytes) -> None:
        """Take a frame of this socket's own: it has been on the bus.

        Args:
            data: Its data.
        """
        tags = self._tags
        if not tags or tags[0] != data[:_TAG_SIZE]:
            return
        tags.popleft()
        if self.state is not _SENDING:
            return
        if self._position >= len(self._pdu):
            if not tags:
                self._end()
            return
        if self._block_size and self._in_block >= self._block_size:
            if not tags:
                self._end_block()
            return
        host = self._host
        if not self._gap:
            self._timeout.put_off(host.now() + self._echo_timeout)
            self._send_answering()
            return
        self._timeout.cancel()
        # What a timer was late is made up for, unless the receiver needs the time.
        due = self._last_due + self._gap
        if self._least_gap:
            due = max(due, host.now() + self._least_gap)
        self._separation.start(due)

    def _end_block(self) -> None:
        self.state = _HELD_UP
        self._timeout.start(self._host.now() + FLOW_CONTROL_TIMEOUT)

    def _send_answering(self) -> None:
        """Send what may be on its way, behind the frame that is received now."""
        answer, tags = self._host.answer, self._tags
        window = 1 if self._gap else self._settings.window
        while True:
            answer(self._consecutive_frame())
            if (
                len(tags) >= window
                or self._position >= len(self._pdu)
                or (self._block_size and self._in_block >= self._block_size)
            ):
                return

    def _separated(self, due: int, now: int) -> None:
        self._timeout.start(now + self._echo_timeout)
        if self.state is _SENDING and not self._tags:
            self._last_due = due
            self._host.go_on(self._consecutive_frame())

    def _consecutive_frame(self) -> bytes:
        position, sequence = self._position, self._sequence
        end = position + self._room
        data = self._heads[sequence] + self._pdu[position:end]
        self._sequence = (sequence + 1) & 0x0F
        self._in_block += 1
        if end > len(self._pdu):
            end = len(self._pdu)
            data = self._fill(data)
        self._position = end
        self._tags.append(_tag(data))
        return data

    # Ending

    def _timed_out(self, _due: int, _now: int) -> None:
        self._host.look()
        if self.state is not _IDLE and self._timeout.deadline is None:
            self._fail(errno.ECOMM)

    def _fail(self, number: int) -> None:
        self._rest()  # first: who is told of the error finds that another PDU can be sent
        self._host.fail(number)
        self._host.idle()

    def _end(self) -> None:
        self._rest()
        self._host.idle()

    def _rest(self) -> None:
        self.state = _IDLE
        self._timeout.cancel()
        self._pdu = b""

    def close(self) -> None:
        """Send no more."""
        self.state = _IDLE
        self._timeout.discard()
        self._separation.discard()
        self._pdu = b""
