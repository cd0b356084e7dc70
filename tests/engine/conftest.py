"""A broadcast manager whose socket takes notes, and whose time stands still until it is moved."""

from __future__ import annotations

import errno
import struct
import sys
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from anycan.engine.bcm import BroadcastManager
from anycan.engine.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.engine.bcm_reception import Reception

Time: TypeAlias = "int | tuple[int, int]"  # milliseconds, or seconds and microseconds
Sent: TypeAlias = "tuple[float, bytes, int]"
Told: TypeAlias = "tuple[float, bytes, int, int]"

MILLISECOND: Final = 1_000_000
STAMP: Final = 1_700_000_000_000_000_000
_HEAD: Final = struct.Struct("@IIIllllII0q")  # linux/can/bcm.h: struct bcm_msg_head


class Bench:
    """A broadcast manager's socket and its clock.

    Attributes:
        sent: What was sent: when in milliseconds, the frame, to which interface.
        answered: What was sent behind a frame that had just been received, likewise.
        told: What the user was told: when, the message, from which interface, with which flags.
        stamps: The time stamps of those, in milliseconds; 0: when it was told.
        listening: The receptions that are handed frames.
        refusal: The number of the error that a frame sent once meets.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.answered: list[Sent] = []
        self.told: list[Told] = []
        self.stamps: list[float] = []
        self.listening: list[Reception] = []
        self.refusal = 0
        self._now = 0
        self.timers = Timers(lambda: None)
        self.manager = BroadcastManager(self, self.timers)

    @property
    def now(self) -> float:
        return self._now / MILLISECOND

    # What the broadcast manager asks of it

    def send_once(self, frame: bytes, interface: int) -> None:
        if self.refusal:
            raise OSError(self.refusal, "")
        self.transmit(frame, interface)

    def transmit(self, frame: bytes, interface: int) -> None:
        self.sent.append((self.now, frame, interface))

    def answer(self, frame: bytes, interface: int) -> None:
        self.answered.append((self.now, frame, interface))

    def tell(self, message: bytes, interface: int, flags: int = 0, stamp_ns: int = 0) -> None:
        self.told.append((self.now, message, interface, flags))
        self.stamps.append((stamp_ns - STAMP) / MILLISECOND if stamp_ns else 0)

    def listen(self, reception: Reception) -> None:
        self.listening.append(reception)

    def unlisten(self, reception: Reception) -> None:
        self.listening.remove(reception)

    # What a test does

    @staticmethod
    def message(
        opcode: int,
        *frames: bytes,
        flags: int = 0,
        count: int = 0,
        first: Time = 0,
        second: Time = 0,
        can_id: int = 0x123,
        claimed: int | None = None,
    ) -> bytes:
        """Give the bytes of a message: a ``struct bcm_msg_head`` and frames."""
        times = [
            part
            for time in (first, second)
            for part in (time if isinstance(time, tuple) else (time // 1000, time % 1000 * 1000))
        ]
        number = len(frames) if claimed is None else claimed
        return _HEAD.pack(opcode, flags, count, *times, can_id, number) + b"".join(frames)

    def try_bytes(self, data: bytes, interface: int = 1) -> str:
        """Ask for something, and give the error's name, or nothing."""
        try:
            self.manager.handle(data, interface, self._now)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""

    def ask(
        self,
        opcode: int,
        *frames: bytes,
        interface: int = 1,
        flags: int = 0,
        count: int = 0,
        first: Time = 0,
        second: Time = 0,
        can_id: int = 0x123,
        claimed: int | None = None,
    ) -> str:
        """Ask for something, and give the error's name, or nothing."""
        message = self.message(
            opcode,
            *frames,
            flags=flags,
            count=count,
            first=first,
            second=second,
            can_id=can_id,
            claimed=claimed,
        )
        return self.try_bytes(message, interface)

    def read(self, opcode: int, *, can_id: int = 0x123, flags: int = 0) -> Told:
        """Ask for a status, and give it alone."""
        assert self.ask(opcode, can_id=can_id, flags=flags) == ""
        return self.told.pop()

    def hear(
        self, frame: bytes, interface: int = 1, *, local: bool = False, own: bool = False
    ) -> None:
        """Receive a frame."""
        word = int.from_bytes(frame[:4], sys.byteorder)
        for reception in list(self.listening):
            if (
                reception.can_id == word
                and reception.flexible == (len(frame) == 72)
                and reception.interface in {0, interface}
            ):
                reception.receive(
                    frame,
                    interface,
                    local=local,
                    own=own,
                    stamp_ns=STAMP + self._now,
                    now=self._now if reception.timed else 0,
                )

    def wait(self, until: float) -> None:
        """Let time pass, until so many milliseconds since the beginning."""
        end = int(until * MILLISECOND)
        while (deadline := self.timers.deadline) is not None and deadline <= end:
            self._now = deadline
            self.timers.run(deadline)
        self._now = end

    def be_late(self, until: float) -> None:
        """Let time pass, and only then look what should have happened."""
        self._now = int(until * MILLISECOND)
        self.timers.run(self._now)

    def take(self) -> list[Told]:
        """Give what the user was told since the last time."""
        told, self.told = self.told, []
        return told

    def take_sent(self) -> list[Sent]:
        """Give what was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def make_bench() -> Callable[[], Bench]:
    """Make one for each example of a generated test."""
    return Bench
