"""The normal form of modifications, as integers."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.gateway.bits import EVERY_BIT, Bits, FrameParts

images = st.integers(0, EVERY_BIT)
every_bits = st.builds(Bits, images, images, st.integers(0, 15))


@pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")
def test_where_the_parts_stand() -> None:
    parts = FrameParts(0x80000123, 3, 5, b"\x01\x02\x03")
    packed = bytes.fromhex("23010080 03 05 0000 010203") + bytes(61)
    assert parts.image().to_bytes(72, "little") == packed
    assert FrameParts.of_image(parts.image()) == FrameParts(
        0x80000123, 3, 5, b"\x01\x02\x03".ljust(64, b"\0")
    )


def test_nothing_to_do() -> None:
    assert Bits() == Bits(EVERY_BIT, 0, 0)
    assert Bits().kernel_changes(flexible=True) == (None, None)


@given(every_bits, every_bits, images)
def test_one_after_the_other(first: Bits, second: Bits, image: int) -> None:
    both = first.then(second)
    between = image & first.keep ^ first.flip
    assert image & both.keep ^ both.flip == between & second.keep ^ second.flip
    assert both.parts == first.parts | second.parts


@given(every_bits)
def test_the_data_are_as_long_as_the_kind_of_frame_has_them(bits: Bits) -> None:
    for flexible, size in ((False, 8), (True, 64)):
        for change in bits.kernel_changes(flexible):
            assert change is None or len(change.data) in {0, size}
