"""Checksums as their users make them. How they are written: ``test_netlink_gateway.py``."""

from __future__ import annotations

from typing import Any

import pytest

from anycan.exceptions import GatewayError
from anycan.wire.netlink_gateway_changes import Crc8Checksum, CrcProfile, XorChecksum

TABLE = bytes(range(256))


def crc(checksum: Crc8Checksum, data: bytes) -> int:
    value = checksum.initial
    for byte in data:
        value = checksum.table[value ^ byte]
    return value ^ checksum.final_xor


@pytest.mark.parametrize(
    ("polynomial", "initial", "final_xor", "reflected", "check"),
    [
        pytest.param(0x1D, 0xFF, 0xFF, False, 0x4B, id="SAE-J1850"),
        pytest.param(0x2F, 0xFF, 0xFF, False, 0xDF, id="AUTOSAR"),
        pytest.param(0x07, 0x00, 0x00, False, 0xF4, id="SMBUS"),
        pytest.param(0x07, 0x00, 0x55, False, 0xA1, id="I-432-1"),
        pytest.param(0x31, 0x00, 0x00, True, 0xA1, id="MAXIM-DOW"),
        pytest.param(0x39, 0x00, 0x00, True, 0x15, id="DARC"),
        pytest.param(0x1D, 0xFF, 0x00, True, 0x97, id="TECH-3250"),
    ],
)
def test_polynomials(
    polynomial: int, initial: int, final_xor: int, reflected: bool, check: int
) -> None:
    checksum = Crc8Checksum.of(
        polynomial,
        first=0,
        last=8,
        result=9,
        initial=initial,
        final_xor=final_xor,
        reflected=reflected,
    )
    assert crc(checksum, b"123456789") == check


def test_what_is_given_besides_the_polynomial() -> None:
    table = Crc8Checksum.of(0x1D, first=0, last=0, result=0).table
    assert table[:4] == b"\x00\x1d\x3a\x27"
    assert Crc8Checksum.of(
        0x1D,
        first=1,
        last=-2,
        result=-1,
        initial=3,
        final_xor=4,
        profile=CrcProfile.SIXTEEN,
        profile_data=b"12",
    ) == Crc8Checksum(1, -2, -1, table, 3, 4, 2, b"12")


@pytest.mark.parametrize("polynomial", [0, 256, 0x11D, -1, "0x1D", True])
def test_what_is_no_polynomial(polynomial: Any) -> None:
    with pytest.raises(GatewayError, match=r"^the polynomial of a CRC-8, .* from 1 to 255, not"):
        Crc8Checksum.of(polynomial, first=0, last=0, result=0)


@pytest.mark.parametrize(
    ("operands", "problem"),
    [
        ((-65, 0, 0), "XorChecksum: first is an integer from -64 to 63, not -65"),
        ((0, 64, 0), "XorChecksum: last is an integer from -64 to 63, not 64"),
        ((0, 0, "1"), "XorChecksum: result is an integer from -64 to 63, not '1'"),
        ((0, 0, True), "XorChecksum: result is an integer from -64 to 63, not True"),
        ((0, 0, 0, 256), "XorChecksum: initial is an integer from 0 to 255, not 256"),
        ((0, 0, 64, TABLE), "Crc8Checksum: result is an integer from -64 to 63, not 64"),
        ((0, 0, 0, TABLE, -1), "Crc8Checksum: initial is an integer from 0 to 255, not -1"),
        ((0, 0, 0, TABLE, 0, 256), "Crc8Checksum: final_xor is an integer from 0 to 255, not 256"),
        ((0, 0, 0, TABLE, 0, 0, 256), "Crc8Checksum: profile is an integer from 0 to 255, not 256"),
        ((0, 0, 0, b"123"), "Crc8Checksum: table is 256 bytes, not 3 bytes"),
        ((0, 0, 0, [1]), "Crc8Checksum: table is 256 bytes, not [1]"),
        (
            (0, 0, 0, TABLE, 0, 0, 1, bytes(21)),
            "Crc8Checksum: profile_data is up to 20 bytes, not 21 bytes",
        ),
    ],
)
def test_values_out_of_range(operands: tuple[Any, ...], problem: str) -> None:
    kind = XorChecksum if problem.startswith("Xor") else Crc8Checksum
    with pytest.raises(GatewayError) as caught:
        kind(*operands)
    assert str(caught.value) == problem


def test_the_ends_of_the_ranges() -> None:
    assert XorChecksum(-64, 63, 0, 255).first == -64
    assert Crc8Checksum(63, -64, 0, TABLE, 255, 255, 255, bytes(20)).profile == 255
