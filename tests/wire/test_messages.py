"""Batches of messages: their layout in memory, and their decoding, fast and general alike."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.wire.constants import MSG_CONFIRM, MSG_DONTROUTE, MSG_TRUNC
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import encode_frame
from anycan.wire.messages import XL_PAYLOAD_SIZE, pack_address

if TYPE_CHECKING:
    from collections.abc import Sequence

literal = pytest.mark.skipif(
    sys.byteorder != "little" or struct.calcsize("P") != 8,
    reason="the bytes are those of a 64-bit little-endian host",
)
NOW = 1_795_490_029_153_962_001
ONE_OF_EACH: list[AnyFrame] = [
    Frame(0x123, b"\x01\x02"),
    Frame(0x12345678, b"12345678"),
    Frame(0x7FF, bytes(8), len8_dlc=15),
    RemoteFrame(0x123, 4),
    ErrorFrame(0x44),
    FdFrame(0x123, bytes(64), brs=True),
    FdFrame(0x12345678, b""),
    XlFrame(0x123, b"x", vcid=3),
    XlFrame(0x123, bytes(4)),
    XlFrame(0x123, bytes(60)),
    XlFrame(0x123, bytes(2048)),
]


class Names(dict[int, str | None]):
    """Names for any index."""

    def __missing__(self, index: int) -> str:
        return f"can{index}"


def whole(frames: Sequence[AnyFrame]) -> list[tuple[object, ...]]:
    return [(type(frame), attrs.astuple(frame)) for frame in frames]


def stored(frames: Sequence[AnyFrame], buffer: FrameBuffer, flags: int = 0) -> FrameBuffer:
    for position, frame in enumerate(frames):
        buffer.store(position, encode_frame(frame), 3, flags, NOW + position, 0)
    return buffer


@literal
def test_addresses() -> None:
    assert pack_address(3).hex() == "1d00000003000000" + "00" * 16
    assert pack_address(0).hex() == "1d00000000000000" + "00" * 16
    assert pack_address(0x7FFFFFFF).hex() == "1d000000ffffff7f" + "00" * 16


@literal
@pytest.mark.parametrize(
    ("payload", "hardware", "address", "control", "control_size", "stride"),
    [
        (16, False, 16, 40, 32 + 24, 96),
        (72, False, 72, 96, 32 + 24, 152),
        (2064, False, 2064, 2088, 32 + 24, 2144),
        (72, True, 72, 96, 64 + 24, 184),
    ],
)
def test_the_layout_of_a_record(
    payload: int, hardware: bool, address: int, control: int, control_size: int, stride: int
) -> None:
    buffer = FrameBuffer(3, payload, hardware_stamps=hardware)
    assert (buffer.address_offset, buffer.control_offset) == (address, control)
    assert (buffer.control_size, buffer.stride) == (control_size, stride)
    assert (len(buffer.headers), len(buffer.records)) == (3 * 64, 3 * stride)
    assert (buffer.capacity, buffer.payload_size) == (3, payload)


@literal
def test_headers_and_vectors_for_the_kernel() -> None:
    buffer = FrameBuffer(2, 16)
    template = buffer.header_template(0x10000, 0x20000)
    assert template[:64].hex(" ", 8).split() == [
        "1000010000000000",  # name: behind the payload
        "1800000000000000",  # its length: 24
        "0000020000000000",  # vector
        "0100000000000000",  # one of them
        "2800010000000000",  # control: behind the address
        "3800000000000000",  # its length: 56
        "0000000000000000",  # flags
        "0000000000000000",  # length
    ]
    assert template[64:72].hex() == "7000010000000000"
    assert template[80:88].hex() == "1000020000000000"
    assert buffer.vectors(0x10000).hex(" ", 8).split() == [
        "0000010000000000",
        "1000000000000000",
        "6000010000000000",
        "1000000000000000",
    ]


@literal
def test_a_stored_message_is_as_the_kernel_leaves_it() -> None:
    buffer = FrameBuffer(2, 16)
    buffer.store(1, encode_frame(Frame(0x123, b"\x01")), 3, MSG_DONTROUTE, 5_000_000_007, 9)
    assert buffer.headers[:64] == bytes(64)
    assert buffer.records[:96] == bytes(96)
    assert buffer.headers[64:].hex(" ", 8).split()[5:] == [
        "3800000000000000",
        "0400000000000000",
        "1000000000000000",
    ]
    assert buffer.records[96:].hex(" ", 8).split() == [
        *("2301000001000000", "0100000000000000"),
        *("1d00000003000000", "0000000000000000", "0000000000000000"),
        *("2000000000000000", "0100000023000000", "0500000000000000", "0700000000000000"),
        *("1400000000000000", "0100000028000000", "0900000000000000"),
    ]


@literal
def test_a_stored_message_with_the_stamps_of_a_controller() -> None:
    buffer = FrameBuffer(1, 16, hardware_stamps=True)
    buffer.store(0, bytes(16), 3, 0, 5_000_000_007, 0)
    assert buffer.headers.hex(" ", 8).split()[5] == "4000000000000000"
    assert buffer.records[40:104].hex(" ", 8).split() == [
        *("4000000000000000", "0100000025000000", "0500000000000000", "0700000000000000"),
        *["0000000000000000"] * 4,
    ]


@pytest.mark.parametrize("payload_size", [16, 72, XL_PAYLOAD_SIZE])
@pytest.mark.parametrize("hardware", [False, True])
def test_what_is_stored_decodes_the_same(payload_size: int, hardware: bool) -> None:
    frames = [frame for frame in ONE_OF_EACH if len(encode_frame(frame)) <= payload_size]
    buffer = stored(frames, FrameBuffer(16, payload_size, hardware_stamps=hardware))
    decoded = buffer.decode(len(frames), {3: "vcan0"})
    assert whole(decoded) == whole(
        [
            attrs.evolve(frame, timestamp_ns=NOW + position, interface="vcan0")
            for position, frame in enumerate(frames)
        ]
    )


def test_one_message_as_it_was_received() -> None:
    buffer = stored(ONE_OF_EACH, FrameBuffer(11, XL_PAYLOAD_SIZE), MSG_DONTROUTE)
    for position, frame in enumerate(ONE_OF_EACH):
        expected = (encode_frame(frame), MSG_DONTROUTE, "can3")
        assert buffer.message(position, Names()) == expected


@pytest.mark.parametrize(
    ("flags", "local", "own"),
    [
        (0, False, False),
        (MSG_DONTROUTE, True, False),
        (MSG_CONFIRM, False, True),
        (MSG_DONTROUTE | MSG_CONFIRM, True, True),
        (MSG_TRUNC, False, False),
    ],
)
@pytest.mark.parametrize("frame", [Frame(0x123), RemoteFrame(0x123), FdFrame(0x123)])
def test_flags_say_where_a_frame_was_sent(
    frame: AnyFrame, flags: int, local: bool, own: bool
) -> None:
    (decoded,) = stored([frame], FrameBuffer(1), flags).decode(1, {3: None})
    assert (decoded.local, decoded.own, decoded.interface) == (local, own, None)


def test_runs_of_mixed_flags_and_sizes() -> None:
    buffer = FrameBuffer(64)
    expected: list[AnyFrame] = []
    for position in range(64):
        frame = Frame(position, b"x") if position % 7 else FdFrame(position, b"x")
        flags = MSG_DONTROUTE if position // 10 % 2 else MSG_CONFIRM if position > 50 else 0
        buffer.store(position, encode_frame(frame), position % 3, flags, NOW, 0)
        expected.append(
            attrs.evolve(
                frame,
                timestamp_ns=NOW,
                interface=f"can{position % 3}",
                local=flags == MSG_DONTROUTE,
                own=flags == MSG_CONFIRM,
            )
        )
    assert whole(buffer.decode(64, Names())) == whole(expected)


def test_of_a_bound_socket_the_name_is_not_looked_up() -> None:
    buffer = stored(ONE_OF_EACH, FrameBuffer(16, XL_PAYLOAD_SIZE))
    assert {frame.interface for frame in buffer.decode(11, {}, "vcan0")} == {"vcan0"}


def test_a_batch_is_decoded_to_its_count() -> None:
    buffer = stored([Frame(1), Frame(2), Frame(3)], FrameBuffer(3))
    assert buffer.decode(2, Names()) == [Frame(1), Frame(2)]
    assert buffer.decode(0, Names()) == []


def test_what_is_no_frame_is_left_out() -> None:
    buffer = FrameBuffer(5)
    broken = struct.pack("=IB11x", 0x123, 9)
    for position, payload in enumerate([broken, encode_frame(Frame(1)), b"", broken, broken[:5]]):
        buffer.store(position, payload, 1, 0, NOW, 0)
    assert buffer.decode(5, Names()) == [Frame(1)]


def test_a_payload_that_is_too_long_is_cut() -> None:
    buffer = FrameBuffer(2, 16)
    buffer.store(0, encode_frame(FdFrame(0x123, b"x" * 64)), 3, MSG_TRUNC, NOW, 0)
    expected = (encode_frame(FdFrame(0x123, b"x" * 64))[:16], MSG_TRUNC, "can3")
    assert buffer.message(0, Names()) == expected
    assert buffer.records[96:] == bytes(96)


def test_a_buffer_is_used_again() -> None:
    buffer = stored([Frame(1), Frame(2)], FrameBuffer(3))
    first = buffer.decode(2, Names())
    stored([FdFrame(3), RemoteFrame(4), Frame(5)], buffer)
    assert buffer.decode(3, Names()) == [FdFrame(3), RemoteFrame(4), Frame(5)]
    assert first == [Frame(1), Frame(2)]


def test_many_ways_to_cut_a_batch_do_not_pile_up() -> None:
    buffer = FrameBuffer(4)
    for count in range(1, 5):
        for split in range(count + 1):
            for position in range(count):
                flags = MSG_DONTROUTE if position < split else 0
                buffer.store(position, encode_frame(Frame(position)), 1, flags, NOW, 0)
            assert buffer.decode(count, Names()) == [Frame(one) for one in range(count)]
    assert len(buffer._record_views) <= 2 * buffer.capacity + 1


class TestDrops:
    def test_the_count_is_that_of_the_latest_message_that_carries_one(self) -> None:
        buffer = FrameBuffer(3)
        for position, drops in enumerate([0, 7, 9]):
            buffer.store(position, encode_frame(Frame(position)), 1, 0, NOW, drops)
        assert buffer.decode(1, Names()) == [Frame(0)]
        assert buffer.drops == 0
        assert buffer.decode(3, Names()) == [Frame(0), Frame(1), Frame(2)]
        assert buffer.drops == 9

    def test_the_count_stays_until_another_comes(self) -> None:
        buffer = FrameBuffer(2)
        buffer.store(0, encode_frame(FdFrame(0)), 1, 0, NOW, 0xFFFFFFFF)
        buffer.store(1, encode_frame(FdFrame(1)), 1, 0, NOW, 0)
        buffer.decode(2, Names())
        assert buffer.drops == 0xFFFFFFFF

    def test_with_a_message_alone(self) -> None:
        buffer = FrameBuffer(1)
        buffer.store(0, encode_frame(Frame(0)), 1, 0, NOW, 5)
        assert buffer.decode(1, Names(), "vcan0") == [Frame(0)]
        assert buffer.drops == 5

    def test_beside_the_stamps_of_a_controller(self) -> None:
        buffer = FrameBuffer(1, hardware_stamps=True)
        buffer.store(0, encode_frame(Frame(0)), 1, 0, NOW, 5)
        (frame,) = buffer.decode(1, Names())
        assert frame.timestamp_ns == NOW
        assert buffer.drops == 5

    def test_noted_from_the_last_message_alone(self) -> None:
        buffer = FrameBuffer(3)
        for position, drops in enumerate([7, 9, 0]):
            buffer.store(position, encode_frame(Frame(position)), 1, 0, NOW, drops)
        buffer.note_drops(3)
        assert buffer.drops == 0
        buffer.note_drops(2)
        assert buffer.drops == 9
        buffer.note_drops(3)
        assert buffer.drops == 9
        buffer.note_drops(1)
        assert buffer.drops == 7

    @pytest.mark.parametrize("hardware", [False, True])
    def test_noted_beside_either_stamps(self, hardware: bool) -> None:
        buffer = FrameBuffer(1, XL_PAYLOAD_SIZE, hardware_stamps=hardware)
        buffer.store(0, encode_frame(Frame(0)), 1, 0, NOW, 0xFFFFFFFF)
        buffer.note_drops(1)
        assert buffer.drops == 0xFFFFFFFF


@pytest.mark.parametrize("payload_size", [16, 72, XL_PAYLOAD_SIZE])
@pytest.mark.parametrize("hardware", [False, True])
def test_payloads_with_their_stamps(payload_size: int, hardware: bool) -> None:
    frames = [frame for frame in ONE_OF_EACH if len(encode_frame(frame)) <= payload_size]
    buffer = FrameBuffer(16, payload_size, hardware_stamps=hardware)
    stored(frames, buffer, MSG_DONTROUTE)
    found = list(buffer.stamped(len(frames)))
    assert len(found) == len(frames)
    for position, ((payload, seconds, fraction), (control, flags, length)) in enumerate(found):
        raw = encode_frame(frames[position])
        assert (payload, length) == (raw.ljust(payload_size, b"\0"), len(raw))
        assert seconds * 1_000_000_000 + fraction == NOW + position
        assert (control, flags) == (buffer.control_size - 24, MSG_DONTROUTE)
    assert [(payload, head) for ((payload, _, _), head) in buffer.stamped(len(frames))] == [
        (payload, head) for ((payload,), head) in buffer.payloads(len(frames))
    ]
    assert list(buffer.stamped(0)) == []


def set_control_length(buffer: FrameBuffer, position: int, length: int) -> None:
    struct.pack_into("@N", buffer.headers, position * 64 + 40, length)


@literal
@pytest.mark.parametrize("frame", [Frame(0x123), FdFrame(0x123)])
@pytest.mark.parametrize("length", [0, 16, 31])
@pytest.mark.parametrize("hardware", [False, True])
def test_without_a_whole_stamp_a_frame_has_none(
    frame: AnyFrame, length: int, hardware: bool
) -> None:
    buffer = stored([frame], FrameBuffer(1, hardware_stamps=hardware))
    set_control_length(buffer, 0, length)
    (decoded,) = buffer.decode(1, Names())
    assert decoded == frame
    assert decoded.timestamp_ns is None
    assert decoded.hardware_timestamp_ns is None


@literal
def test_the_clock_of_the_controller() -> None:
    buffer = stored([Frame(0x123), FdFrame(0x123)], FrameBuffer(2, hardware_stamps=True))
    for position in range(2):
        struct.pack_into("@ll", buffer.records, position * buffer.stride + 96 + 48, 8, 9)
    for position, frame in enumerate(buffer.decode(2, Names())):
        assert frame.timestamp_ns == NOW + position
        assert frame.hardware_timestamp_ns == 8_000_000_009
    (alone,) = buffer.decode(1, Names(), "vcan0")
    assert alone.hardware_timestamp_ns == 8_000_000_009


@literal
def test_a_length_set_apart() -> None:
    buffer = stored([Frame(0x123)], FrameBuffer(2), MSG_DONTROUTE)
    before = bytes(buffer.headers)
    buffer.set_length(0, 72)
    assert buffer.headers[56:60].hex() == "48000000"
    buffer.set_length(0, 16)
    assert buffer.headers == before
