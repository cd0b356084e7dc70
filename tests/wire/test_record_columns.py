"""The columns of a received batch."""

from __future__ import annotations

import pytest

from anycan import FdFrame, Frame
from anycan.wire.frames import encode_frame
from anycan.wire.messages import MessageBuffer
from anycan.wire.record_columns import RecordColumns

SECOND = 1_000_000_000
CLASSICAL = [encode_frame(Frame(number, bytes([number]))) for number in range(1, 4)]
FLEXIBLE = [encode_frame(FdFrame(number, bytes(20))) for number in range(1, 3)]


def filled(payloads: list[bytes], size: int, stamps: list[int] | None = None) -> MessageBuffer:
    buffer = MessageBuffer(8, size)
    for position, payload in enumerate(payloads):
        stamp = SECOND * 5 + position if stamps is None else stamps[position]
        buffer.store(position, payload, 1, 0, stamp, 0)
    return buffer


@pytest.mark.parametrize(
    ("payloads", "size", "common"),
    [
        (CLASSICAL, 16, 16),
        (CLASSICAL, 72, 16),
        (FLEXIBLE, 72, 72),
        (CLASSICAL + FLEXIBLE, 72, 0),
        ([bytes(12)], 72, 0),  # no frame has that length
        (CLASSICAL, 2064, 16),
    ],
)
def test_payloads_of_one_length(payloads: list[bytes], size: int, common: int) -> None:
    columns = RecordColumns(filled(payloads, size))
    count = len(payloads)
    assert columns.common_size(count) == common
    if common:
        assert columns.payloads(count, common) == payloads
        assert columns.payloads(count - 1, common) == payloads[:-1]
        assert columns.words(count) == list(range(1, count + 1))
        assert columns.stamps(count) == [SECOND * 5 + position for position in range(count)]


def test_stamps_of_several_seconds() -> None:
    stamps = [SECOND * 7 - 1, SECOND * 7, SECOND * 8 + 3]
    assert RecordColumns(filled(CLASSICAL, 72, stamps)).stamps(3) == stamps


def test_the_same_buffer_filled_again() -> None:
    buffer = filled(CLASSICAL, 72)
    columns = RecordColumns(buffer)
    assert columns.words(2) == [1, 2]
    buffer.store(0, CLASSICAL[2], 1, 0, SECOND, 0)
    assert columns.words(2) == [3, 2]
    assert columns.stamps(1) == [SECOND]
