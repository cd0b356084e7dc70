"""The broadcast manager of one socket: what its messages ask for, and its operations.

Source: ``linux/can/bcm.h``; what the kernel does, and in which order it looks for what is wrong,
as seen on Linux 6.12 (``docs/explanation/parity.md``).
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

import attrs

from anycan.engine.bcm_host import BcmHost
from anycan.engine.bcm_reception import Reception, message_flags
from anycan.engine.bcm_transmission import NO_INTERFACE, Transmission
from anycan.engine.failure import failure
from anycan.frame import RTR_FLAG
from anycan.wire.bcm import (
    MAX_FRAMES,
    MAX_SECONDS,
    NATIVE,
    BcmFlag,
    BcmMessage,
    BcmOpcode,
    Interval,
)
from anycan.wire.constants import CANFD_MTU

if TYPE_CHECKING:
    from anycan.engine.timers import Timers

_OperationT = TypeVar("_OperationT", Transmission, Reception)
_Key: TypeAlias = "tuple[int, int, bool]"  # identifier, interface, CAN FD

_SET_TIMER: Final = int(BcmFlag.SETTIMER)
_COPY_ID: Final = int(BcmFlag.TX_CP_CAN_ID)
_EVERY: Final = int(BcmFlag.RX_FILTER_ID)
_ANSWER: Final = int(BcmFlag.RX_RTR_FRAME)
_FLEXIBLE: Final = int(BcmFlag.CAN_FD_FRAME)


class ManagerHost(BcmHost, Protocol):
    """What a broadcast manager asks of the socket it belongs to."""

    def send_once(self, frame: bytes, interface: int) -> None:
        """Send a frame once.

        Raises:
            OSError: It is refused.
        """
        ...

    def listen(self, reception: Reception) -> None:
        """Hand a reception the frames of its identifier, if its interface is there."""
        ...

    def unlisten(self, reception: Reception) -> None:
        """Hand it no more."""
        ...


class BroadcastManager:
    """The operations of one socket.

    Args:
        host: The socket.
        timers: Where operations get their timers from.

    Attributes:
        transmissions: What is being sent, by identifier, interface and whether it is CAN FD.
        receptions: What is listened for, by the same.
    """

    def __init__(self, host: ManagerHost, timers: Timers) -> None:
        self.transmissions: dict[_Key, Transmission] = {}
        self.receptions: dict[_Key, Reception] = {}
        self._host = host
        self._timers = timers

    @staticmethod
    def check_size(data: bytes) -> BcmMessage:
        """Give the message in some bytes.

        Raises:
            OSError: EINVAL: they are none.
        """
        try:
            return NATIVE.decode(data)
        except ValueError:
            raise failure(errno.EINVAL) from None

    def handle(self, data: bytes, interface: int, now: int) -> None:
        """Do what a message asks for.

        Args:
            data: Its bytes.
            interface: The interface it is about; 0: none, or all.
            now: The time.

        Raises:
            OSError: As the kernel refuses it.
        """
        message = self.check_size(data)
        key = (message.can_id, interface, message.flags & _FLEXIBLE != 0)
        match message.opcode:
            case BcmOpcode.TX_SETUP:
                self._set_up_transmission(message, key, now)
            case BcmOpcode.RX_SETUP:
                self._set_up_reception(message, key, now)
            case BcmOpcode.TX_DELETE:
                _require(self.transmissions.pop(key, None)).close()
            case BcmOpcode.RX_DELETE:
                reception = _require(self.receptions.pop(key, None))
                self._host.unlisten(reception)
                reception.close()
            case BcmOpcode.TX_READ:
                operation = _require(self.transmissions.get(key))
                self._tell_status(operation, BcmOpcode.TX_STATUS, NO_INTERFACE)
            case BcmOpcode.RX_READ:
                reception = _require(self.receptions.get(key))
                self._tell_status(reception, BcmOpcode.RX_STATUS, reception.heard_from)
            case BcmOpcode.TX_SEND:
                self._send(message, interface)
            case _:
                raise failure(errno.EINVAL)

    def _send(self, message: BcmMessage, interface: int) -> None:
        if message.frame_count != 1 or len(message.frames) != message.frame_size:
            raise failure(errno.EINVAL)
        if not interface:
            raise failure(errno.ENODEV)
        self._host.send_once(message.frames, interface)

    def _set_up_transmission(self, message: BcmMessage, key: _Key, now: int) -> None:
        if not key[1]:
            raise failure(errno.ENODEV)
        if not 1 <= message.frame_count <= MAX_FRAMES:
            raise failure(errno.EINVAL)
        _check_timers(message)
        operation = self.transmissions.get(key)
        if operation is not None:
            operation.check(message)
        frames = _transmitted_frames(message)
        if operation is None:
            operation = Transmission(self._host, self._timers, message.can_id, key[1])
            self.transmissions[key] = operation
        operation.set_up(message, frames, now)

    def _set_up_reception(self, message: BcmMessage, key: _Key, now: int) -> None:
        if message.flags & _EVERY or not message.frame_count:
            message = attrs.evolve(message, flags=message.flags | _EVERY, frame_count=0)
        if message.frame_count > MAX_FRAMES + 1:
            raise failure(errno.EINVAL)
        if message.flags & _ANSWER and not (message.frame_count == 1 and key[0] & RTR_FLAG):
            raise failure(errno.EINVAL)
        _check_timers(message)
        operation = self.receptions.get(key)
        if operation is not None:
            operation.check(message)
        frames = _frames(message)
        if message.flags & _ANSWER:
            _check_length(frames[0])
        if operation is None:
            operation = Reception(self._host, self._timers, message.can_id, key[1], flexible=key[2])
            self.receptions[key] = operation
            operation.set_up(message, frames, now)
            self._host.listen(operation)
        else:
            operation.set_up(message, frames, now)

    def _tell_status(
        self, operation: Transmission | Reception, opcode: BcmOpcode, interface: int
    ) -> None:
        frames = b"".join(operation.frames)
        flags = 0
        if len(operation.frames) == 1:
            # What the kernel keeps in the upper half of this byte, it takes out, and acts on.
            flags = message_flags(frames[5])
            frames = b"%b%c%b" % (frames[:5], frames[5] & 0x0F, frames[6:])
        message = operation.status(opcode, frames, len(operation.frames))
        self._host.tell(NATIVE.encode(message), interface, flags)

    def interface_removed(self, interface: int) -> None:
        """Take note that an interface is gone: nothing is sent to it any more."""
        for operation in self.transmissions.values():
            if operation.interface == interface:
                operation.stop()

    def close(self) -> None:
        """End all operations."""
        for operation in self.transmissions.values():
            operation.close()
        for reception in self.receptions.values():
            self._host.unlisten(reception)
            reception.close()
        self.transmissions.clear()
        self.receptions.clear()


def _require(operation: _OperationT | None) -> _OperationT:
    if operation is None:
        raise failure(errno.EINVAL)
    return operation


def _check_timers(message: BcmMessage) -> None:
    if message.flags & _SET_TIMER:
        for interval in (message.interval1, message.interval2):
            if not _is_valid(interval):
                raise failure(errno.EINVAL)


def _is_valid(interval: Interval) -> bool:
    return 0 <= interval.seconds <= MAX_SECONDS and 0 <= interval.microseconds < 1_000_000


def _transmitted_frames(message: BcmMessage) -> list[bytes]:
    """Give the frames of a TX_SETUP.

    Raises:
        OSError: EINVAL: one is too long; EFAULT: there are fewer than it says.
    """
    frames = []
    size = message.frame_size
    for start in range(0, message.frame_count * size, size):
        frame = message.frames[start : start + size]
        if not frame:
            raise failure(errno.EFAULT)
        _check_length(frame)
        frames.append(frame)
    if message.flags & _COPY_ID:
        word = message.can_id.to_bytes(4, sys.byteorder)
        frames = [word + frame[4:] for frame in frames]
    return frames


def _frames(message: BcmMessage) -> list[bytes]:
    size = message.frame_size
    end = message.frame_count * size
    if len(message.frames) < end:
        raise failure(errno.EFAULT)
    return [message.frames[start : start + size] for start in range(0, end, size)]


def _check_length(frame: bytes) -> None:
    if frame[4] > (64 if len(frame) == CANFD_MTU else 8):
        raise failure(errno.EINVAL)
