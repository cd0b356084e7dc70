"""Which identifier a frame has, whatever else its bytes say."""

from __future__ import annotations

import sys

import pytest

from anycan import Filter, Frame, RemoteFrame, Rule
from anycan.gateway.admission import make_admission
from anycan.gateway.identifiers import Identifiers
from anycan.gateway.reasons import DropReason
from anycan.wire.frames import encode_frame


def word(value: int, length: int = 0) -> bytes:
    return value.to_bytes(4, sys.byteorder) + bytes([length])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (word(0x123), 0x123),
        (word(0x123 | 1 << 11), 0x123),
        (word(0x123 | 0x1FFFF800), 0x123),
        (word(0x123 | 0x1FFFF800, length=8), 0x123),
        (word(0x40000123 | 1 << 20), 0x40000123),  # a remote frame is another one
        (word(0x80000923), 0x80000923),  # 29 bits
        (word(0x20000904), 0x20000904),  # an error frame's are classes
        (word(0x0035_0123, length=0x80), 0x0035_0123),  # CAN XL: with its VCID
        (word(0xFF35_0923, length=0x80), 0x0035_0123),
    ],
)
def test_what_counts(given: bytes, expected: int) -> None:
    assert Identifiers()[given] == expected.to_bytes(4, sys.byteorder)


def test_memory_is_bounded() -> None:
    found = Identifiers()
    for number in range(70_000):
        assert found[word(number % 0x800 | (number // 0x800) << 11 | 0x80000000)]
    assert len(found) < 65_537


def test_limits_are_not_evaded_by_bits_that_do_not_count() -> None:
    rule = Rule(source="a", destination="b", filter=Filter.id(0x123), minimum_interval=10)
    admission = make_admission(minimum_interval=rule.minimum_interval)
    assert admission is not None
    payload = encode_frame(Frame(0x123, b"\1"))
    assert admission.admit(payload, 10**18) is None
    for bit in range(11, 29):
        dirty = (0x123 | 1 << bit).to_bytes(4, sys.byteorder) + payload[4:]
        assert admission.admit(dirty, 10**18 + bit) is DropReason.RATE_LIMIT
    assert admission.admit(encode_frame(RemoteFrame(0x123)), 10**18 + 100) is None
