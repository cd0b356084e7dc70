from __future__ import annotations

import struct
import sys
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.exceptions import FilterError
from anycan.filter import CanFilter, Filter
from anycan.wire.options import (
    VcidOptions,
    pack_filters,
    pack_integer,
    pack_vcid_options,
    unpack_integer,
    unpack_integers,
)

little = pytest.mark.skipif(
    sys.byteorder != "little", reason="the bytes are a little-endian host's"
)


@little
def test_integers() -> None:
    assert pack_integer(1) == b"\x01\x00\x00\x00"
    assert pack_integer(-1) == b"\xff\xff\xff\xff"
    assert pack_integer(0x1FFFFFFF) == b"\xff\xff\xff\x1f"
    assert unpack_integer(b"\x02\x01\x00\x00") == 0x102
    assert unpack_integer(b"\xff\xff\xff\xff") == -1
    assert unpack_integers(b"\x02\x01\x00\x00\xff\xff\xff\xff") == (0x102, 0xFFFFFFFF)
    assert unpack_integers(b"") == ()


@little
def test_filters() -> None:
    filters = [CanFilter(0x123, 0x7FF), CanFilter(0x92345678, 0xDFFFFFFF, inverted=True)]
    value = bytes.fromhex("23010000 ff070000 785634b2 ffffffdf")
    assert pack_filters(filters) == value
    assert pack_filters([]) == b""


@little
def test_the_flag_of_inversion_comes_from_inverted_alone() -> None:
    assert pack_filters([CanFilter(0x20000123, 0x7FF)]) == bytes.fromhex("23010000 ff070000")


def test_a_filter_for_users_packs_as_its_kernel_filters() -> None:
    wanted = Filter.id(1) | Filter.range(0x700, 0x7FF)
    words = [(one.id, one.mask) for one in wanted.to_kernel()]
    assert list(struct.iter_unpack("=II", pack_filters(wanted.to_kernel()))) == words


def test_a_socket_takes_512_filters() -> None:
    assert len(pack_filters([CanFilter(0, 0)] * 512)) == 4096
    with pytest.raises(FilterError, match="513 kernel filters, and a socket takes 512") as caught:
        pack_filters([CanFilter(0, 0)] * 513)
    assert "Filter.range" in str(caught.value)
    assert "second endpoint" in str(caught.value)


_word = st.integers(0, 0xFFFFFFFF)


@given(
    st.lists(
        st.builds(CanFilter, _word.map(lambda w: w & ~(1 << 29)), _word, st.booleans()), max_size=5
    )
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_filter_is_its_word_and_its_mask(filters: list[CanFilter]) -> None:
    assert list(struct.iter_unpack("=II", pack_filters(filters))) == [
        (one.id | one.inverted << 29, one.mask) for one in filters
    ]


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (VcidOptions(), "000000ff"),
        (VcidOptions(transmit=0x45), "014500ff"),
        (VcidOptions(transmit=0), "010000ff"),
        (VcidOptions(pass_through=True), "020000ff"),
        (VcidOptions(receive=0x10, receive_mask=0xF0), "040010f0"),
        (VcidOptions(receive=0, receive_mask=0), "04000000"),
        (VcidOptions(transmit=1, pass_through=True, receive=255), "0701ffff"),
    ],
)
def test_vcid_options(options: VcidOptions, value: str) -> None:
    assert pack_vcid_options(options).hex() == value


@pytest.mark.parametrize("name", ["transmit", "receive", "receive_mask"])
@pytest.mark.parametrize("value", [-1, 256, 1.5, "1"])
def test_a_vcid_is_a_byte(name: str, value: object) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(FilterError, match=f"{name} of VcidOptions is 0 to 255, not {value!r}"):
        VcidOptions(**arguments)


def test_a_vcid_may_be_left_out_and_its_mask_not() -> None:
    assert pack_vcid_options(VcidOptions(transmit=None, receive=None)).hex() == "000000ff"
    mask: Any = None
    with pytest.raises(FilterError, match="receive_mask of VcidOptions is 0 to 255, not None"):
        VcidOptions(receive_mask=mask)


def test_vcid_options_are_a_value() -> None:
    options: Any = VcidOptions(transmit=1)
    assert options == VcidOptions(transmit=1)
    assert repr(options) == (
        "VcidOptions(transmit=1, pass_through=False, receive=None, receive_mask=255)"
    )
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        options.transmit = 2
