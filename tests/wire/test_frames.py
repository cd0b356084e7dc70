"""The kernel's structs: literal bytes both ways, and bytes from anyone."""

from __future__ import annotations

import sys
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anycan.frame import AnyFrame, ErrorClass, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.wire.frames import decode_frame, encode_frame

quick = settings(max_examples=60, deadline=None, derandomize=True)
little = pytest.mark.skipif(
    sys.byteorder != "little", reason="the bytes are a little-endian host's"
)

LITERAL: list[tuple[AnyFrame, str]] = [
    (Frame(0x123), "23010000 00000000 0000000000000000"),
    (Frame(0x123, b"\x01\x02"), "23010000 02000000 0102000000000000"),
    (Frame(0x12345678, b"\xff"), "78563492 01000000 ff00000000000000"),
    (Frame(0x7FF, extended=True), "ff070080 00000000 0000000000000000"),
    (Frame(0x123, b"12345678"), "23010000 08000000 3132333435363738"),
    (Frame(0x123, b"12345678", len8_dlc=14), "23010000 0800000e 3132333435363738"),
    (RemoteFrame(0x123), "23010040 00000000 0000000000000000"),
    (RemoteFrame(0x12345678, 8), "785634d2 08000000 0000000000000000"),
    (RemoteFrame(0x123, 8, len8_dlc=9), "23010040 08000009 0000000000000000"),
    (ErrorFrame(ErrorClass.CONTROLLER), "04000020 08000000 0000000000000000"),
    (ErrorFrame(0x1FFFFFFF, b"\x01\x02"), "ffffff3f 02000000 0102000000000000"),
    (FdFrame(0x123), "23010000 00000000" + "00" * 64),
    (FdFrame(0x123, b"\x01", brs=True, flags=4), "23010000 01050000 01" + "00" * 63),
    (FdFrame(0x12345678, bytes(63) + b"\xff", esi=True), "78563492 40020000" + "00" * 63 + "ff"),
    (FdFrame(0x123, b"", flags=0xF0), "23010000 00f00000" + "00" * 64),
    (
        XlFrame(0x123, b"\x11\x22", sdt=3, acceptance_field=0x12345678, vcid=0x45, sec=True),
        "23014500 81030200 78563412 1122",
    ),
    (XlFrame(0x7FF, bytes(2048), rrs=True), "ff070000 82000008 00000000" + "00" * 2048),
]


@little
@pytest.mark.parametrize(("frame", "payload"), LITERAL, ids=lambda value: str(value)[:24])
def test_literal_bytes(frame: AnyFrame, payload: str) -> None:
    assert encode_frame(frame).hex() == payload.replace(" ", "")
    decoded = decode_frame(bytes.fromhex(payload))
    assert type(decoded) is type(frame)
    assert decoded == frame
    assert attrs.asdict(decoded) == attrs.asdict(frame)


@little
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded_and_none_is_kept(kind: Any) -> None:
    for frame, payload in LITERAL:
        buffer = bytearray.fromhex(payload)
        decoded = decode_frame(kind(buffer))
        buffer[:] = b"\xff" * len(buffer)
        assert decoded == frame
        assert decoded is not None
        assert type(decoded.data) is bytes


def test_reception_goes_into_every_kind_of_frame() -> None:
    for frame, _ in LITERAL:
        decoded = decode_frame(encode_frame(frame), 5, 6, "vcan0", True, True)
        assert decoded is not None
        assert (decoded.timestamp_ns, decoded.hardware_timestamp_ns) == (5, 6)
        assert (decoded.interface, decoded.local, decoded.own) == ("vcan0", True, True)


def test_a_decoded_frame_is_as_frozen_as_any() -> None:
    for frame, _ in LITERAL:
        decoded: Any = decode_frame(encode_frame(frame))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            decoded.own = True
        assert hash(decoded) == hash(frame)


@little
@pytest.mark.parametrize(
    ("payload", "frame"),
    [
        ("23010000 02aabbcc 0102ffffffffffff", Frame(0x123, b"\x01\x02")),
        ("23010000 08000008 3132333435363738", Frame(0x123, b"12345678")),
        ("23010000 080000ff 3132333435363738", Frame(0x123, b"12345678")),
        ("23010000 0700000f 3132333435363738", Frame(0x123, b"1234567")),
        ("23f9ff1f 00000000 0000000000000000", Frame(0x123)),
        ("040000e0 00000000 0000000000000000", ErrorFrame(4, b"")),
        ("23010000 02000000 0102" + "ff" * 62, FdFrame(0x123, b"\x01\x02")),
        ("23f9ff1f 00000000" + "00" * 64, FdFrame(0x123)),
        ("23f945ff 80000100 00000000 aa", XlFrame(0x123, b"\xaa", vcid=0x45)),
    ],
)
def test_what_has_no_meaning_is_passed_over(payload: str, frame: AnyFrame) -> None:
    assert decode_frame(bytes.fromhex(payload)) == frame


@little
@pytest.mark.parametrize(
    "payload",
    [
        "",
        "23010000",
        "23010000 09000000 0000000000000000",
        "23010000 ff000000 0000000000000000",
        "23010000 00000000 00000000000000",
        "23010000 00000000 000000000000000000",
        "23010000 41000000" + "00" * 64,
        "23010040 01000000" + "00" * 64,
        "23010020 01000000" + "00" * 64,
        "23010000 80000000 00000000",
        "23010000 80000200 00000000 11",
        "23010000 80000100 00000000 1122",
        "23010000 80004000 00000000" + "00" * 60,
        "23010000 80000108 00000000" + "00" * 2049,
        "23010000 80000500 00000000 11223344",
        "23010000 00000100 00000000 11",
    ],
    ids=range(16),
)
def test_bytes_that_are_no_frame(payload: str) -> None:
    assert decode_frame(bytes.fromhex(payload)) is None


@little
@pytest.mark.parametrize(("length", "size"), [(4, 16), (60, 72)])
def test_a_frame_of_can_xl_as_long_as_one_of_another_kind(length: int, size: int) -> None:
    frame = XlFrame(0x123, bytes(length), vcid=1)
    payload = encode_frame(frame)
    assert len(payload) == size
    assert decode_frame(payload) == frame


@pytest.mark.parametrize("value", [None, b"", "123#11"])
def test_what_is_no_frame_is_not_encoded(value: Any) -> None:
    with pytest.raises(TypeError, match="not a CAN frame: "):
        encode_frame(value)


_identity = st.integers(0, 0x1FFFFFFF)
any_frame: st.SearchStrategy[AnyFrame] = st.one_of(
    st.builds(Frame, st.integers(0, 0x7FF), st.binary(max_size=8), extended=st.booleans()),
    st.builds(Frame, _identity, st.binary(max_size=8)),
    st.builds(
        Frame,
        _identity,
        st.binary(min_size=8, max_size=8),
        len8_dlc=st.just(0) | st.integers(9, 15),
    ),
    st.builds(RemoteFrame, _identity, st.integers(0, 8)),
    st.builds(RemoteFrame, _identity, st.just(8), len8_dlc=st.integers(9, 15)),
    st.builds(FdFrame, _identity, st.binary(max_size=64), flags=st.integers(0, 255)),
    st.builds(
        XlFrame,
        st.integers(0, 0x7FF),
        st.binary(min_size=1, max_size=90),
        sdt=st.integers(0, 0xFF),
        acceptance_field=st.integers(0, 0xFFFFFFFF),
        vcid=st.integers(0, 0xFF),
        flags=st.integers(0x80, 0xFF),
    ),
    st.builds(ErrorFrame, _identity, st.binary(max_size=8)),
)


@given(any_frame)
@quick
def test_what_is_encoded_decodes_the_same(frame: AnyFrame) -> None:
    decoded = decode_frame(encode_frame(frame))
    assert decoded is not None
    assert type(decoded) is type(frame)
    assert attrs.asdict(decoded) == attrs.asdict(frame)


_sizes = st.sampled_from([0, 8, 12, 13, 16, 17, 71, 72, 73, 76])


@given(_sizes.flatmap(lambda size: st.binary(min_size=size, max_size=size)) | st.binary())
@example(b"\xff" * 16)
@example(b"\xff" * 72)
@quick
def test_any_bytes_are_a_frame_or_none(payload: bytes) -> None:
    frame = decode_frame(payload)
    if frame is not None:
        # What was decoded is a frame that its constructor takes, and that goes out again.
        assert attrs.evolve(frame) == frame
        again = decode_frame(encode_frame(frame))
        assert again == frame
