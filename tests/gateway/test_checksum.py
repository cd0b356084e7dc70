"""Checksums: literal ones, and any against what the kernel's source says, done step by step."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.gateway.checksum import checksum_step
from anycan.wire.netlink_gateway_changes import Crc8Checksum, CrcProfile, XorChecksum


def classical(data: str, length: int | None = None, word: int = 0x123) -> bytes:
    content = bytes.fromhex(data)
    return struct.pack("=IB3x8s", word, len(content) if length is None else length, content)


def flexible(data: bytes, length: int) -> bytes:
    return struct.pack("=IBB2x64s", 0x123, length, 4, data)


def sae_j1850(
    first: int,
    last: int,
    result: int,
    profile: CrcProfile = CrcProfile.NONE,
    profile_data: bytes = b"",
) -> Crc8Checksum:
    return Crc8Checksum.of(
        0x1D,
        first=first,
        last=last,
        result=result,
        initial=0xFF,
        final_xor=0xFF,
        profile=profile,
        profile_data=profile_data,
    )


@pytest.mark.parametrize(
    ("checksum", "before", "after"),
    [
        (XorChecksum(0, 2, 3), classical("01020400"), classical("01020407")),
        (XorChecksum(2, 0, 3), classical("01020400"), classical("01020407")),
        (XorChecksum(0, -2, -1), classical("01020400"), classical("01020407")),
        (XorChecksum(0, -1, 0, 0xFF), classical("0102"), classical("fc02")),
        (XorChecksum(1, 1, 0), classical("00a5"), classical("a5a5")),
        # Behind the length of the frame there is room, and what lies there counts.
        (XorChecksum(0, 7, 7), classical("0102040810204000", 1), classical("010204081020407f", 1)),
        # No such position: nothing happens.
        (XorChecksum(0, -2, -1), classical("", 0), classical("", 0)),
        (XorChecksum(0, -2, -1), classical("55"), classical("55")),
        (XorChecksum(-3, 0, 1), classical("5500"), classical("5500")),
        (XorChecksum(0, 1, -3), classical("5500"), classical("5500")),
        (XorChecksum(0, 8, 1), classical("5500"), classical("5500")),
        (XorChecksum(0, 1, 8), classical("5500"), classical("5500")),
        (XorChecksum(8, -1, 1), classical("5500"), classical("5500")),
        (
            XorChecksum(0, 62, 63),
            flexible(bytes(range(64)), 64),
            flexible(bytes(range(63)) + b"\x3f", 64),
        ),
        (
            XorChecksum(12, -2, -1, 1),
            flexible(bytes(range(64)), 24),
            flexible(bytes(range(23)) + b"\x16" + bytes(range(24, 64)), 24),
        ),
        # These results are those of AUTOSAR's specification of CRC routines.
        (sae_j1850(0, 3, 4), classical("0000000000"), classical("0000000059")),
        (sae_j1850(0, -2, -1), classical("f2018300"), classical("f2018337")),
        (sae_j1850(2, 0, 3), classical("8301f200"), classical("8301f237")),
        (sae_j1850(1, -1, 0), classical("0000ff5511"), classical("b800ff5511")),
        (sae_j1850(1, 4, -1), classical("000faa005500"), classical("000faa005579")),
    ],
)
def test_what_is_written(checksum: XorChecksum | Crc8Checksum, before: bytes, after: bytes) -> None:
    assert checksum_step([checksum])(before).hex(" ") == after.hex(" ")


@pytest.mark.parametrize(
    ("polynomial", "check"),
    [(0x1D, 0x4B), (0x2F, 0xDF)],
    ids=["SAE J1850", "AUTOSAR CRC8H2F"],
)
def test_the_check_values_of_the_standards(polynomial: int, check: int) -> None:
    checksum = Crc8Checksum.of(polynomial, first=0, last=8, result=9, initial=0xFF, final_xor=0xFF)
    frame = checksum_step([checksum])(flexible(b"123456789", 12))
    assert frame == flexible(b"123456789" + bytes((check,)), 12)


@pytest.mark.parametrize(
    ("profile", "more"),
    [
        (CrcProfile.NONE, b""),
        (CrcProfile.ONE, b"\xa0"),
        (CrcProfile.SIXTEEN, b"\xa5"),  # the counter in the second byte is 5
        (CrcProfile.SFFID_XOR, b"\x22"),  # 0x01 ^ 0x23
    ],
)
def test_what_a_profile_adds(profile: CrcProfile, more: bytes) -> None:
    given_data = bytes(range(0xA0, 0xB0))
    written = checksum_step([sae_j1850(0, 3, 4, profile, given_data)])(classical("00f50102"))
    longer = checksum_step([sae_j1850(0, 3 + len(more), 7)])(classical("00f50102" + more.hex(), 4))
    assert written[12] == longer[15]


def test_data_that_a_profile_lacks_are_zeros() -> None:
    for profile in (CrcProfile.ONE, CrcProfile.SIXTEEN):
        short, filled = (
            checksum_step([sae_j1850(0, 3, 4, profile, data)])(classical("000f0102"))
            for data in (b"", bytes(16))
        )
        assert short == filled


def test_the_crc_is_first_whatever_their_order() -> None:
    crc, xor = sae_j1850(0, 3, 4), XorChecksum(0, 4, 5)
    for step in (checksum_step([crc, xor]), checksum_step([xor, crc])):
        assert step(classical("000000000000")) == classical("000000005959")


# The model: net/can/gw.c as described, one statement after the other.


def model(payload: bytes, checksum: XorChecksum | Crc8Checksum) -> bytes:
    room, length, data = len(payload) - 8, payload[4], list(payload[8:])
    first, last, result = (
        position + length if position < 0 else position
        for position in (checksum.first, checksum.last, checksum.result)
    )
    if not all(0 <= position < room for position in (first, last, result)):
        return payload
    order = [*range(first, last + 1)] if first <= last else [*range(first, last - 1, -1)]
    value = checksum.initial
    if isinstance(checksum, XorChecksum):
        for position in order:
            value ^= data[position]
    else:
        for position in order:
            value = checksum.table[value ^ data[position]]
        given_data = checksum.profile_data + bytes(20)
        (word,) = struct.unpack_from("=I", payload)
        match checksum.profile:
            case 1:
                value = checksum.table[value ^ given_data[0]]
            case 2:
                value = checksum.table[value ^ given_data[data[1] & 0xF]]
            case 3:
                value = checksum.table[value ^ word & 0xFF ^ word >> 8 & 0xFF]
        value ^= checksum.final_xor
    data[result] = value
    return payload[:8] + bytes(data)


u8 = st.integers(0, 255)
positions = st.integers(-9, 9) | st.integers(-64, 63)
xors = st.builds(XorChecksum, positions, positions, positions, u8)
crcs = st.builds(
    Crc8Checksum,
    positions,
    positions,
    positions,
    st.binary(min_size=256, max_size=256),
    u8,
    u8,
    st.integers(0, 4),
    st.binary(max_size=20),
)
payloads = st.builds(
    lambda length, content: content[:4] + bytes((length,)) + content[5:],
    st.integers(0, 8),
    st.binary(min_size=16, max_size=16),
) | st.builds(
    lambda length, content: content[:4] + bytes((length,)) + content[5:],
    st.integers(0, 64),
    st.binary(min_size=72, max_size=72),
)


@given(payloads, xors | crcs)
def test_any_checksum_of_any_frame(payload: bytes, checksum: XorChecksum | Crc8Checksum) -> None:
    assert checksum_step([checksum])(payload) == model(payload, checksum)


@settings(max_examples=40)
@given(payloads, xors, crcs)
def test_both_of_any_frame(payload: bytes, xor: XorChecksum, crc: Crc8Checksum) -> None:
    assert checksum_step([xor, crc])(payload) == model(model(payload, crc), xor)
