"""A batch of frames, as several workloads have it."""

from __future__ import annotations

from typing import Final

from anycan import Frame
from anycan.wire.constants import CAN_MTU
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import encode_frame

BATCH: Final = 128
FIRST_IDENTIFIER: Final = 0x100
IDENTIFIERS: Final = 16
FRAMES: Final = tuple(
    Frame(FIRST_IDENTIFIER + position % IDENTIFIERS, position.to_bytes(8, "big"))
    for position in range(BATCH)
)
PAYLOADS: Final = tuple(map(encode_frame, FRAMES))


def filled_buffer() -> FrameBuffer:
    """Give what a receive call has filled: classical CAN, with stamps."""
    buffer = FrameBuffer(BATCH, CAN_MTU)
    for position, payload in enumerate(PAYLOADS):
        buffer.store(position, payload, 1, 0, 1_700_000_000_123_456_789 + position, 0)
    return buffer
