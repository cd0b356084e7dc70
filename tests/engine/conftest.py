"""Engines whose socket takes notes, and whose time stands still until it is moved."""

from __future__ import annotations

import errno
import struct
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from anycan.engine.bcm import BroadcastManager
from anycan.engine.isotp import IsotpConnection
from anycan.engine.isotp_settings import IsotpSettings
from anycan.engine.isotp_transmission import TransmissionState
from anycan.engine.timers import Timers
from anycan.wire.isotp import FlowControlOptions, IsotpOptions, LinkLayerOptions

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


class Moments:
    """Time that stands still until it is moved, and its timers."""

    def __init__(self) -> None:
        self.nanoseconds = 0
        self.timers = Timers(lambda: None)

    def wait(self, until: float) -> None:
        """Let time pass, until so many milliseconds since the beginning."""
        end = round(until * MILLISECOND)
        while (deadline := self.timers.deadline) is not None and deadline <= end:
            self.nanoseconds = max(self.nanoseconds, deadline)  # some timers are due at once
            self.timers.run(self.nanoseconds)
        self.nanoseconds = end


class Node:
    """An ISO-TP connection's socket. A frame's data is written as hexadecimal digits.

    Args:
        settings: How the connection behaves.
        moments: Its time; None: one of its own.

    Attributes:
        sent: The frames: when in milliseconds, and their data.
        answers: The data of those that were to go behind a frame that had just been received.
        on_the_way: The data of those that have not been on the bus yet.
        pdus: What was delivered.
        stamps: The time stamps of those, in milliseconds.
        errors: What went wrong: when, and the error's name.
        idles: When another PDU could be sent.
        refusal: The number of the error that frames meet.
        when_failed: Called when something went wrong.
        when_idle: Called when another PDU could be sent.
    """

    def __init__(self, settings: IsotpSettings, moments: Moments | None = None) -> None:
        self.sent: list[tuple[float, str]] = []
        self.answers: list[str] = []
        self.on_the_way: deque[bytes] = deque()
        self.pdus: list[bytes] = []
        self.stamps: list[float] = []
        self.errors: list[tuple[float, str]] = []
        self.idles: list[float] = []
        self.refusal = 0
        self.when_failed: Callable[[], object] = lambda: None
        self.when_idle: Callable[[], object] = lambda: None
        self.moments = moments or Moments()
        self.settings = settings
        self.connection = IsotpConnection(self, self.moments.timers, settings)

    @property
    def milliseconds(self) -> float:
        return self.moments.nanoseconds / MILLISECOND

    @property
    def deadline(self) -> float | None:
        """When a timer is due, in milliseconds."""
        deadline = self.moments.timers.deadline
        return None if deadline is None else deadline / MILLISECOND

    @property
    def state(self) -> str:
        """What the transmission waits for."""
        return self.connection.transmission.state.name

    # What the connection asks of it

    def now(self) -> int:
        return self.moments.nanoseconds

    def look(self) -> None:
        pass

    def go_on(self, data: bytes) -> None:
        with suppress(OSError):
            self.transmit(data)

    def transmit(self, data: bytes) -> None:
        if self.refusal:
            raise OSError(self.refusal, "")
        self.sent.append((self.milliseconds, data.hex(" ")))
        self.on_the_way.append(data)

    def answer(self, data: bytes) -> None:
        self.answers.append(data.hex(" "))
        if not self.refusal:
            self.transmit(data)

    def deliver_pdu(self, pdu: bytes, stamp_ns: int) -> None:
        self.pdus.append(pdu)
        self.stamps.append((stamp_ns - STAMP) / MILLISECOND)

    def fail(self, number: int) -> None:
        self.errors.append((self.milliseconds, errno.errorcode[number]))
        self.when_failed()

    def idle(self) -> None:
        self.idles.append(self.milliseconds)
        self.when_idle()

    # What a test does

    def send(self, pdu: bytes) -> str:
        """Send a PDU, and give the error's name, or nothing."""
        try:
            self.connection.transmission.check(len(pdu))
            self.connection.transmission.start(pdu)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""

    def hear(self, digits: str, length: int | None = None) -> None:
        """Receive a frame, whose length may be another than that of its data."""
        self.hear_bytes(bytes.fromhex(digits), length)

    def hear_bytes(self, data: bytes, length: int | None = None) -> None:
        room = data.ljust(64 if self.settings.flexible else 8, b"\0")
        length = len(data) if length is None else length
        self.connection.receive(room, length, STAMP + self.moments.nanoseconds)

    def echo(self, count: int = 1) -> None:
        """Let the oldest frames that are on the way have been on the bus."""
        for _ in range(count):
            self.connection.transmission.echo(self._room(self.on_the_way.popleft()))

    def echo_of(self, digits: str) -> None:
        """Let any frame have been on the bus."""
        self.connection.transmission.echo(self._room(bytes.fromhex(digits)))

    def _room(self, data: bytes) -> bytes:
        return data.ljust(64 if self.settings.flexible else 8, b"\0")

    def run(self) -> None:
        """Let all frames be on the bus at once, and those behind them when it is their time."""
        while self.on_the_way or self.connection.transmission.state is TransmissionState.SENDING:
            if self.on_the_way:
                self.echo()
            else:
                assert self.deadline is not None
                self.wait(max(self.milliseconds, self.deadline))

    def wait(self, until: float) -> None:
        """Let time pass, until so many milliseconds since the beginning."""
        self.moments.wait(until)

    def be_late(self, until: float) -> None:
        """Let time pass, and only then look what should have happened."""
        self.moments.nanoseconds = round(until * MILLISECOND)
        self.moments.timers.run(self.moments.nanoseconds)

    def take(self) -> list[str]:
        """Give the data of the frames sent since the last time."""
        sent, self.sent = self.sent, []
        return [digits for _, digits in sent]

    def take_times(self) -> list[float]:
        """Give when the frames since the last time were sent."""
        sent, self.sent = self.sent, []
        return [at for at, _ in sent]

    def take_errors(self) -> list[tuple[float, str]]:
        """Give what went wrong since the last time."""
        errors, self.errors = self.errors, []
        return errors

    def take_pdus(self) -> list[str]:
        """Give what was delivered since the last time."""
        pdus, self.pdus = self.pdus, []
        return [pdu.hex(" ") for pdu in pdus]


def make_settings(
    flags: int = 0,
    *,
    txtime: int = 0,
    ext: int = 0,
    txpad: int = 0xCC,
    rxpad: int = 0xCC,
    rx_ext: int = 0,
    bs: int = 0,
    stmin: int = 0,
    tx_dl: int = 8,
    flexible: bool = False,
    tx_stmin: int = 0,
    rx_stmin: int = 0,
    maximum: int = 8300,
    strict: bool = False,
    window: int = 1,
) -> IsotpSettings:
    """Set options as a user would; frames are of CAN FD where ``tx_dl`` needs it."""
    settings = IsotpSettings(
        flow_control=FlowControlOptions(bs, stmin),
        link_layer=LinkLayerOptions(72 if flexible or tx_dl > 8 else 16, tx_dl),
        tx_stmin=tx_stmin,
        rx_stmin=rx_stmin,
        maximum_pdu=maximum,
        strict=strict,
        window=window,
    )
    settings.set_options(IsotpOptions(flags, txtime, ext, txpad, rxpad, rx_ext))
    return settings


@pytest.fixture(scope="session")
def node() -> Callable[..., Node]:
    """Make a connection, by its settings; of one time, with ``moments``."""

    def make(*arguments: int, moments: Moments | None = None, **options: int) -> Node:
        return Node(make_settings(*arguments, **options), moments)  # type: ignore[arg-type]  # bool

    return make


@pytest.fixture(scope="session")
def moments() -> Callable[[], Moments]:
    """Make a time for each example of a generated test."""
    return Moments
