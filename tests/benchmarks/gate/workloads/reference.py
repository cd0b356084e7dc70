"""As little as Python can do with received frames: unpack, make an object, hand it on.

What Python costs differs with its version and with how it was built, and so a workload's
instructions are no number to keep. Its ratio to this one's is: it has of everything a little that
the others have much of, and nothing of anycan.
"""

from __future__ import annotations

from struct import Struct, calcsize
from typing import Final

from gate.batch import BATCH, FIRST_IDENTIFIER, IDENTIFIERS, filled_buffer
from gate.meter import Meter, Workload

KEY: Final = "reference"
_buffer: Final = filled_buffer()
# A payload of classical CAN; the address and the head of the control message; the stamp.
_before_stamp: Final = _buffer.control_offset + calcsize("@Nii") - 16
_after_stamp: Final = _buffer.stride - 16 - _before_stamp - calcsize("@ll")
_record: Final = Struct(f"@IB3x8s{_before_stamp}xll{_after_stamp}x")
_records: Final = memoryview(bytes(_buffer.records))


class _Frame:
    """Holds what a frame holds."""

    __slots__ = ("data", "extended", "id", "interface", "timestamp_ns")
    id: int
    data: bytes
    extended: bool
    interface: str
    timestamp_ns: int


class _Taker:
    """Takes frames."""

    __slots__ = ("frames",)

    def __init__(self) -> None:
        self.frames: list[_Frame] = []

    def take(self, frame: _Frame) -> None:
        self.frames.append(frame)


_taker: Final = _Taker()
_takers: Final = dict.fromkeys(range(FIRST_IDENTIFIER, FIRST_IDENTIFIER + IDENTIFIERS), _taker)


def take_frames(count: int = BATCH) -> list[_Frame]:
    """Make objects of received frames, hand each on, and give them.

    Args:
        count: How many, up to a batch.
    """
    taken = _taker.frames = []
    takers = _takers
    for word, length, data, seconds, fraction in _record.iter_unpack(
        _records[: count * _record.size]
    ):
        frame = _Frame()
        frame.id = word & 0x1FFFFFFF
        frame.data = data[:length]
        frame.extended = word & 0x80000000 != 0
        frame.interface = "can0"
        frame.timestamp_ns = seconds * 1_000_000_000 + fraction
        takers[word].take(frame)
    return taken


def _run(meter: Meter) -> None:
    for counted in meter.rounds(32, BATCH):
        with counted:
            frames = take_frames()
        assert len(frames) == BATCH
        for frame, expected in zip(frames, _buffer.decode(BATCH, {}, "can0"), strict=True):
            assert (frame.id, frame.data) == (expected.id, expected.data)
            assert frame.timestamp_ns == expected.timestamp_ns


WORKLOADS: Final = (
    Workload(
        KEY,
        "plain Python: unpack, make an object, hand it on",
        _run,
        "gate.workloads.reference:take_frames",
    ),
)
