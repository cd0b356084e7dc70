"""ISO-TP's option structs, times and socket addresses, byte by byte."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given, strategies

from anycan.wire.isotp import (
    FlowControlOptions,
    IsotpOptions,
    LinkLayerOptions,
    decode_stmin,
    encode_stmin,
    pack_isotp_address,
    padded_length,
    unpack_isotp_address,
)

little = pytest.mark.skipif(sys.byteorder == "big", reason="the bytes are a small machine's")

LENGTHS = (8, 12, 16, 20, 24, 32, 48, 64)
_bytes = strategies.integers(0, 255)
_words = strategies.integers(0, 0xFFFFFFFF)


class TestOptions:
    @little
    @pytest.mark.parametrize(
        ("options", "digits"),
        [
            (IsotpOptions(), "00000000 00000000 00 cc cc 00"),
            (IsotpOptions(0x2A46, 0x01020304, 5, 6, 7, 8), "462a0000 04030201 05 06 07 08"),
            (IsotpOptions(0xFFFFFFFF, 0xFFFFFFFF, 255, 255, 255, 255), 12 * "ff"),
        ],
    )
    def test_general_ones(self, options: IsotpOptions, digits: str) -> None:
        value = bytes.fromhex(digits)
        assert options.pack() == value
        assert IsotpOptions.unpack(value) == options

    @pytest.mark.parametrize(
        ("options", "digits"),
        [(FlowControlOptions(), "000000"), (FlowControlOptions(8, 0xF1, 255), "08f1ff")],
    )
    def test_of_flow_control(self, options: FlowControlOptions, digits: str) -> None:
        assert options.pack() == bytes.fromhex(digits)
        assert FlowControlOptions.unpack(bytes.fromhex(digits)) == options

    @pytest.mark.parametrize(
        ("options", "digits"),
        [(LinkLayerOptions(), "100800"), (LinkLayerOptions(72, 64, 1), "484001")],
    )
    def test_of_the_link_layer(self, options: LinkLayerOptions, digits: str) -> None:
        assert options.pack() == bytes.fromhex(digits)
        assert LinkLayerOptions.unpack(bytes.fromhex(digits)) == options

    @given(_words, _words, _bytes, _bytes, _bytes, _bytes)
    def test_any_come_back(
        self, flags: int, txtime: int, ext: int, txpad: int, rxpad: int, rx_ext: int
    ) -> None:
        options = IsotpOptions(flags, txtime, ext, txpad, rxpad, rx_ext)
        assert IsotpOptions.unpack(options.pack()) == options

    @pytest.mark.parametrize("options", [IsotpOptions(1 << 32), IsotpOptions(ext_address=256)])
    def test_values_without_room(self, options: IsotpOptions) -> None:
        with pytest.raises(Exception, match=r"format|argument"):
            options.pack()


class TestLinkLayers:
    def test_of_classical_can(self) -> None:
        possible = [size for size in range(256) if LinkLayerOptions(16, size).possible]
        assert possible == [8]
        assert not LinkLayerOptions(16, 8, 1).possible

    def test_of_can_fd(self) -> None:
        possible = [size for size in range(256) if LinkLayerOptions(72, size).possible]
        assert possible == list(LENGTHS)
        assert LinkLayerOptions(72, 8, 0xFF).possible

    @pytest.mark.parametrize("mtu", [0, 8, 15, 17, 64, 71, 73, 255])
    def test_of_nothing(self, mtu: int) -> None:
        assert not LinkLayerOptions(mtu, 8).possible


def test_padded_lengths() -> None:
    found = {length: padded_length(length) for length in range(65)}
    assert found == {length: next(one for one in LENGTHS if one >= length) for length in range(65)}
    assert [found[length] for length in (0, 8, 9, 12, 13, 33, 48, 49)] == [
        8, 8, 12, 12, 16, 48, 48, 64,
    ]  # fmt: skip
    assert padded_length(65) == 64


class TestAddresses:
    @little
    def test_bytes(self) -> None:
        value = bytes.fromhex("1d00 0000 04000000 e8070000 f110da98 0000000000000000")
        assert pack_isotp_address(4, 0x7E8, 0x98DA10F1) == value
        assert unpack_isotp_address(value) == (29, 4, 0x7E8, 0x98DA10F1)

    @little
    def test_the_bytes_behind_the_identifiers_are_not_looked_at(self) -> None:
        value = bytes.fromhex("0200 ffff 01000000 02000000 03000000")
        assert unpack_isotp_address(value) == (2, 1, 2, 3)
        assert unpack_isotp_address(value + bytes(8)) == (2, 1, 2, 3)
        assert unpack_isotp_address(value + 112 * b"\xff") == (2, 1, 2, 3)


class TestSeparationTimes:
    @pytest.mark.parametrize(
        ("stmin", "nanoseconds"),
        [
            (0x00, 0),
            (0x01, 1_000_000),
            (0x14, 20_000_000),
            (0x7F, 127_000_000),
            (0x80, 127_000_000),
            (0xF0, 127_000_000),
            (0xF1, 100_000),
            (0xF9, 900_000),
            (0xFA, 127_000_000),
            (0xFF, 127_000_000),
        ],
    )
    def test_decoded(self, stmin: int, nanoseconds: int) -> None:
        assert decode_stmin(stmin) == nanoseconds

    def test_what_is_reserved_is_the_longest(self) -> None:
        longest = [stmin for stmin in range(256) if decode_stmin(stmin) == 127_000_000]
        assert longest == [0x7F, *range(0x80, 0xF1), *range(0xFA, 0x100)]

    @pytest.mark.parametrize(
        ("seconds", "stmin"),
        [
            (0, 0x00),
            (0.0, 0x00),
            (0.000_000_001, 0xF1),
            (0.0001, 0xF1),
            (0.000_100_001, 0xF2),
            (0.0009, 0xF9),
            (0.000_900_001, 0x01),
            (0.001, 0x01),
            (0.001_000_001, 0x02),
            (0.0011, 0x02),
            (0.02, 0x14),
            (0.1265, 0x7F),
            (0.127, 0x7F),
        ],
    )
    def test_encoded(self, seconds: float, stmin: int) -> None:
        assert encode_stmin(seconds) == stmin

    @pytest.mark.parametrize(
        "seconds", [-1, -1e-12, 0.127_000_1, 0.128, 1, math.inf, -math.inf, math.nan]
    )
    def test_out_of_range(self, seconds: float) -> None:
        with pytest.raises(ValueError, match=r"^a separation time is 0 to 0\.127 s, not"):
            encode_stmin(seconds)

    def test_what_a_frame_can_say_comes_back(self) -> None:
        for stmin in (*range(0x80), *range(0xF1, 0xFA)):
            assert encode_stmin(decode_stmin(stmin) / 1e9) == stmin

    @given(strategies.floats(0, 0.127))
    def test_it_is_the_least_that_is_enough(self, seconds: float) -> None:
        stmin = encode_stmin(seconds)
        assert decode_stmin(stmin) >= seconds * 1e9 - 1  # to the nanosecond
        sayable = (*range(0x80), *range(0xF1, 0xFA))
        shorter = [one for one in sayable if decode_stmin(one) < decode_stmin(stmin)]
        assert all(decode_stmin(one) < seconds * 1e9 for one in shorter)
