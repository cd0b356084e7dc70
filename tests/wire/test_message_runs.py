"""Decoding in one pass against the plainest way: one message after the other."""

from __future__ import annotations

import random
import struct
import sys
from itertools import cycle, product
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.frame import AnyFrame, Frame
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.skipif(
    sys.byteorder != "little" or struct.calcsize("P") != 8,
    reason="the layout is that of a 64-bit little-endian host",
)


class Names(dict[int, str | None]):
    """Names for any index."""

    def __missing__(self, index: int) -> str:
        return f"can{index}"


def whole(frames: Sequence[AnyFrame]) -> list[tuple[object, ...]]:
    return [(type(frame), attrs.astuple(frame)) for frame in frames]


def set_control_length(buffer: FrameBuffer, position: int, length: int) -> None:
    struct.pack_into("@N", buffer.headers, position * 64 + 40, length)


def one_by_one(buffer: FrameBuffer, count: int, bound: str | None) -> list[AnyFrame]:
    """Decode a batch in the plainest way, from the documented layout."""
    frames: list[AnyFrame] = []
    stamp_size = 64 if buffer.hardware_stamps else 32
    for position in range(count):
        control_length, flags, size = struct.unpack_from(
            "@Ni4xI", buffer.headers, position * 64 + 40
        )
        record = buffer.records[position * buffer.stride : (position + 1) * buffer.stride]
        timestamp = hardware = None
        if control_length >= stamp_size:
            times = struct.unpack_from("@6l", record + bytes(16), buffer.control_offset + 16)
            timestamp = times[0] * 10**9 + times[1]
            if buffer.hardware_stamps:
                hardware = times[4] * 10**9 + times[5] or None
        (index,) = struct.unpack_from("=I", record, buffer.address_offset + 4)
        frame = decode_frame(
            bytes(record[:size]),
            timestamp,
            hardware,
            bound or f"can{index}",
            flags & 0x04 != 0,
            flags & 0x800 != 0,
        )
        if frame is not None:
            frames.append(frame)
    return frames


words = st.integers(0, 0x7FF) | st.integers(0x80000000, 0x9FFFFFFF) | st.integers(0, 0xFFFFFFFF)
lengths = st.sampled_from([0, 1, 8, 8, 8, 9, 0x80, 0x0108, 0x0E000008])
payloads = st.builds(struct.Struct("=II64x").pack, words, lengths) | st.binary(max_size=80)
messages = st.lists(
    st.tuples(payloads, st.integers(0, 2), st.integers(0, 2**62)), min_size=1, max_size=3
)
runs = st.tuples(
    st.sampled_from([0, 16, 24, 32, 56, 64, 88]),
    st.sampled_from([0, 0x04, 0x800, 0x804, 0x20, 0x8000, 0xFFFF]),
    st.sampled_from([16, 16, 16, 72, 0, 13, 73, 2060]),
    messages,
)


@given(st.lists(runs, max_size=5), st.sampled_from([16, 72, 2064]), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_batch_decodes_as_one_message_after_the_other(
    batch: list[tuple[int, int, int, list[tuple[bytes, int, int]]]],
    payload_size: int,
    hardware: bool,
    bound: bool,
) -> None:
    buffer = FrameBuffer(15, payload_size, hardware_stamps=hardware)
    position = 0
    for control_length, flags, size, content in batch:
        for payload, index, stamp in content:
            buffer.store(position, payload, index, flags, stamp, 1)
            buffer.set_length(position, min(size, payload_size))
            set_control_length(buffer, position, min(control_length, buffer.control_size))
            position += 1
    name = "vcan0" if bound else None
    decoded = buffer.decode(position, Names(), name)
    assert whole(decoded) == whole(one_by_one(buffer, position, name))


@pytest.mark.parametrize("seed", range(8))
def test_any_content_decodes_as_one_message_after_the_other(seed: int) -> None:
    chance = random.Random(seed)
    buffer = FrameBuffer(64)
    buffer.records[:] = chance.randbytes(len(buffer.records))
    for position in range(64):
        set_control_length(buffer, position, 32)
        buffer.set_length(position, chance.choice([16, 16, 72]))
    assert whole(buffer.decode(64, Names())) == whole(one_by_one(buffer, 64, None))


WORDS = [
    *(0, 0x7FF, 0x800, 0x1FFFFFFF, 0x20000000, 0x40000000, 0x60000000, 0x7FFFFFFF),
    *(0x80000000, 0x800007FF, 0x9FFFFFFF, 0xA0000000, 0xBFFFFFFF, 0xC0000000, 0xFFFFFFFF),
]
SHAPES = [
    *(0, 1, 7, 8, 9, 15, 0x7F, 0x80, 0x84, 0x0108, 0x010008, 0x01000008, 0x08000008),
    *(0x09000008, 0x0F000008, 0x0F000007, 0x10000008, 0xFFFFFFFF),
]


@pytest.mark.parametrize("data", [b"12345678", b"\x00\x00\x00\x00\xff\xff\xff\xff"])
def test_every_edge_of_what_is_plain(data: bytes) -> None:
    heads = list(product(WORDS, SHAPES))
    buffer = FrameBuffer(len(heads), 16)
    for position, (word, shape) in enumerate(heads):
        payload = struct.pack("=II8s", word, shape, data)
        buffer.store(position, payload, 1, 0, position * 7 * 10**8, 0)
    decoded = buffer.decode(len(heads), Names())
    assert whole(decoded) == whole(one_by_one(buffer, len(heads), None))
    assert len(decoded) > len(heads) // 2


@pytest.mark.parametrize("hardware", [False, True])
@pytest.mark.parametrize("control_length", [0, 31, 32, 56, 64])
@pytest.mark.parametrize("bound", [None, "vcan0"])
@pytest.mark.parametrize("size", [16, 72])
def test_every_edge_of_what_is_plain_in_a_message_alone(
    size: int, control_length: int, hardware: bool, bound: str | None
) -> None:
    buffer = FrameBuffer(1, hardware_stamps=hardware)
    for (word, shape), flags in zip(product(WORDS, SHAPES), cycle([0, 4, 0x800]), strict=False):
        payload = struct.pack("=II8s", word, shape, b"12345678").ljust(size, b"\0")
        buffer.store(0, payload, 1, flags, 10**18 + 7, 5)
        set_control_length(buffer, 0, control_length)
        decoded = buffer.decode(1, Names(), bound)
        assert whole(decoded) == whole(one_by_one(buffer, 1, bound))


def test_a_big_batch_decodes_as_one_message_after_the_other() -> None:
    buffer = FrameBuffer(500, 16)
    frames = [
        Frame(position % 0x800, position.to_bytes(2, "big"), extended=position % 5 == 0)
        for position in range(500)
    ]
    for position, frame in enumerate(frames):
        buffer.store(position, encode_frame(frame), 3, 0, 10**18 + position, 0)
    decoded = buffer.decode(500, Names())
    assert decoded == frames
    assert whole(decoded) == whole(one_by_one(buffer, 500, None))
