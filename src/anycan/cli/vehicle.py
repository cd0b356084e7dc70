"""A vehicle that is not there: the periodic signals of a short drive, the same every time."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

import attrs

from anycan import FdFrame, Frame, LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan import AnyFrame

_EPOCH: Final = 1_700_000_000 * 10**9
_CYCLE: Final = 10.0  # seconds from standing to standing


@attrs.frozen
class Drive:
    """How the vehicle moves at one moment."""

    time: float

    @property
    def speed(self) -> float:
        """Speed in km/h: from standing to 100 and back in each cycle."""
        return 50 - 50 * math.cos(2 * math.pi * self.time / _CYCLE)

    @property
    def acceleration(self) -> float:
        """Acceleration in m/s²."""
        return 50 / 3.6 * 2 * math.pi / _CYCLE * math.sin(2 * math.pi * self.time / _CYCLE)

    @property
    def gear(self) -> int:
        """1 to 5."""
        return min(5, 1 + int(self.speed / 22))

    @property
    def engine_speed(self) -> float:
        """Revolutions a minute."""
        return 800 + 2600 * math.sqrt(self.speed / (25 * self.gear))

    @property
    def steering(self) -> float:
        """Degrees of the steering wheel."""
        return 45 * math.sin(2 * math.pi * self.time / 4)


@attrs.frozen
class Message:
    """One periodic message.

    Attributes:
        id: Its identifier.
        period_ms: Milliseconds from one to the next.
        name: What it is about.
        encode: Gives its data.
        show: Puts its data into words.
    """

    id: int
    period_ms: int
    name: str
    encode: Callable[[Drive], bytes]
    show: Callable[[bytes], str] = bytes.hex


def _wheels(drive: Drive) -> bytes:
    raw = round(drive.speed * 100)
    lean = round(drive.steering)
    return struct.pack(">4H", *(max(0, raw + lean * side) for side in (1, -1, 1, -1)))


def _engine(drive: Drive) -> bytes:
    torque = round(50 + 30 * drive.acceleration)
    return struct.pack(">Hhbx", round(drive.engine_speed * 4), torque, 88)


def _radar(drive: Drive) -> bytes:
    distances = (round(2000 + 900 * math.sin(drive.time + place)) for place in range(8))
    return struct.pack(">8HQQ", *distances, 0, round(drive.time * 1000))


def _reply(drive: Drive) -> bytes:
    return bytes([4, 0x41, 0x0C]) + struct.pack(">H", round(drive.engine_speed * 4)) + bytes(3)


def _u16(data: bytes, place: int = 0) -> int:
    return int(struct.unpack_from(">H", data, place)[0])


def _i16(data: bytes, place: int = 0) -> int:
    return int(struct.unpack_from(">h", data, place)[0])


def _pack(form: str, *values: float) -> bytes:
    return struct.pack(form, *(round(value) for value in values))


MESSAGES: Final = (
    Message(0x0A0, 10, "wheel speeds", _wheels, lambda data: f"{_u16(data) / 100:.1f} km/h"),
    Message(
        0x0A4,
        20,
        "brakes",
        lambda drive: _pack(">HB", max(0.0, -drive.acceleration * 100), drive.acceleration < 0),
        lambda data: f"{_u16(data) / 100:.2f} bar",
    ),
    Message(
        0x0B2,
        10,
        "steering",
        lambda drive: _pack(">hb", drive.steering * 10, 0),
        lambda data: f"{_i16(data) / 10:+.1f}°",
    ),
    Message(
        0x0C1,
        10,
        "accelerations",
        lambda drive: _pack(">hh", drive.acceleration * 1000, drive.steering * drive.speed / 10),
        lambda data: f"{_i16(data) / 1000:+.2f} m/s²",
    ),
    Message(0x100, 10, "engine", _engine, lambda data: f"{_u16(data) / 4:.0f} rpm"),
    Message(
        0x110,
        20,
        "pedal",
        lambda drive: _pack("B", max(0.0, drive.acceleration * 25)),
        lambda data: f"{data[0] / 2.55:.0f} %",
    ),
    Message(
        0x120,
        20,
        "gearbox",
        lambda drive: bytes([drive.gear, 0x10 | drive.gear]),
        lambda data: f"gear {data[0]}",
    ),
    Message(0x140, 50, "cruise control", lambda drive: _pack(">BH", 0, drive.speed * 10)),
    Message(
        0x180,
        50,
        "instrument cluster",
        lambda drive: _pack(">HI", drive.speed * 100, 123_456_000 + drive.time * 14),
        lambda data: f"{_u16(data) / 100:.0f} km/h",
    ),
    Message(
        0x1F0,
        100,
        "temperatures",
        lambda drive: bytes([130 + int(drive.time) % 3, 61, 118]),
        lambda data: f"coolant {data[0] - 40} °C",
    ),
    Message(0x220, 100, "doors", lambda drive: bytes([0, 0x0F if drive.speed > 10 else 0])),
    Message(0x230, 100, "lights", lambda drive: bytes([0x03, drive.acceleration < -1])),
    Message(0x240, 200, "climate", lambda _: bytes([122, 122, 3, 0x81])),
    Message(
        0x260,
        100,
        "battery",
        lambda drive: _pack(">Hh", 13_800 + 200 * math.sin(drive.time), -drive.speed),
        lambda data: f"{_u16(data) / 1000:.2f} V",
    ),
    Message(0x2A0, 500, "seats and belts", lambda _: bytes([0x05, 0x05])),
    Message(0x320, 1000, "clock", lambda drive: _pack(">I", 1_700_000_000 + drive.time)),
    Message(0x350, 50, "radar", _radar),
    Message(0x3D0, 1000, "tyre pressures", lambda _: bytes([92, 92, 90, 91])),
    Message(0x7DF, 1000, "diagnostic request", lambda _: bytes.fromhex("02010C0000000000")),
    Message(0x7E8, 1000, "diagnostic reply", _reply),
    Message(
        0x18FEF100,
        100,
        "cruise control (J1939)",
        lambda drive: b"\xf7" + _pack("<H", drive.speed * 256) + b"\xff\xff\xff\xff\xff",
        lambda data: f"{struct.unpack_from('<H', data, 1)[0] / 256:.1f} km/h",
    ),
)

_BY_ID: Final = {message.id: message for message in MESSAGES}


def describe(frame: AnyFrame) -> str:
    """Put a frame of this vehicle into words."""
    if not isinstance(frame, (Frame, FdFrame)) or frame.id not in _BY_ID:
        return ""
    message = _BY_ID[frame.id]
    if message.show is bytes.hex:
        return message.name
    return f"{message.name}: {message.show(frame.data)}"


def drive(seconds: float) -> list[LogRecord]:
    """Give the traffic of a drive, in the order of its times.

    Args:
        seconds: How long it lasts.
    """
    records: list[LogRecord] = []
    for place, message in enumerate(MESSAGES):
        make = FdFrame if message.id == 0x350 else Frame
        offset_us = 137 * place  # controllers do not all begin at once
        for number in range(math.ceil(seconds * 1000 / message.period_ms)):
            microseconds = number * message.period_ms * 1000 + offset_us
            data = message.encode(Drive(microseconds / 1e6))
            records.append(
                LogRecord(_EPOCH + microseconds * 1000, "vehicle", make(message.id, data))
            )
    records.sort(key=lambda record: record.timestamp_ns)
    return records
