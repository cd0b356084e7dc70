"""The options of an ISO-TP socket: their bytes, which the kernel takes, and what cannot be."""

from __future__ import annotations

import errno
import re
import struct
from typing import TYPE_CHECKING, Any

import pytest

from anycan import UserNetwork
from anycan.exceptions import OptionNotSupportedError
from anycan.sockets.isotp_options import IsotpSocketOptions, configure
from anycan.sockets.options import OptionSetter
from anycan.sockets.user import UserDescriptor
from anycan.wire.constants import CAN_ISOTP
from anycan.wire.isotp_address import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

# linux/can/isotp.h
OPTS, RECV_FC, TX_STMIN, RX_STMIN, LL_OPTS = 1, 2, 3, 4, 5
NORMAL = Address.normal(0x7E0, 0x7E8)
EXTENDED = Address.extended(0x6F1, 0x612, target=0x12, source=0xF1)
SAME = Address.extended(0x6F1, 0x612, target=0x12, source=0x12)
MIXED = Address.mixed_11(0x7E0, 0x7E8, extension=0x55)
MIXED_WIDE = Address.mixed_29(target=0x10, source=0xF1, extension=0x55)
TO_ALL = Address.normal(0x7DF, None)
TO_ALL_FIXED = Address.normal_fixed(target=0x33, source=0xF1, functional=True)
TO_ALL_EXTENDED = Address.extended(0x6F1, None, target=0xEF, source=0xF1)
TO_ALL_MIXED = Address.mixed_29(target=0x33, source=0xF1, extension=0x55, functional=True)
LONGEST = 4.294967295


def opts(
    flags: int = 0,
    txtime: int = 0,
    rest: bytes = b"\0\xcc\xcc\0",  # address byte, padding sent and received, its address byte
) -> bytes:
    return struct.pack("=II4s", flags, txtime, rest)


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def values(address: Address = NORMAL, **options: Any) -> dict[int, bytes]:
    return IsotpSocketOptions(**options).values(address)


def test_nothing_is_set_but_what_always_is() -> None:
    assert values() == {OPTS: b"\0\0\0\0\0\0\0\0\0\xcc\xcc\0"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"listen_only": True}, opts(0x0001)),
        ({"half_duplex": True}, opts(0x0040)),
        ({"dynamic_flow_control": True}, opts(0x2000)),
        ({"padding": 0}, opts(0x0004, rest=b"\0\0\xcc\0")),
        ({"padding": 0xAA}, opts(0x0004, rest=b"\0\xaa\xcc\0")),
        ({"rx_padding": 0}, opts(0x0038, rest=b"\0\xcc\0\0")),
        ({"rx_padding": 0xBB}, opts(0x0038, rest=b"\0\xcc\xbb\0")),
        ({"rx_padding": 0xBB, "check_padding": "both"}, opts(0x0038, rest=b"\0\xcc\xbb\0")),
        ({"rx_padding": 0xBB, "check_padding": "length"}, opts(0x0018, rest=b"\0\xcc\xbb\0")),
        ({"rx_padding": 0xBB, "check_padding": "content"}, opts(0x0028, rest=b"\0\xcc\xbb\0")),
        ({"check_padding": "length"}, opts(0x0010)),
        ({"padding": 255, "rx_padding": 0xBB}, opts(0x003C, rest=b"\0\xff\xbb\0")),
        ({"broadcast_segmented": True}, opts()),
        ({"strict_iso": True}, opts()),  # of which the kernel knows nothing
        ({"receive_buffer": 1}, opts()),
    ],
    ids=str,
)
def test_flags_and_padding(options: dict[str, Any], expected: bytes) -> None:
    assert values(**options) == {OPTS: expected}


def test_all_flags_together() -> None:
    options: dict[str, Any] = {
        "listen_only": True,
        "half_duplex": True,
        "dynamic_flow_control": True,
    }
    options |= {"padding": 1, "rx_padding": 2, "tx_stmin": 0, "rx_stmin": 0, "frame_txtime": 1e-6}
    expected = opts(0x23FF, 1000, b"\x12\1\2\xf1")
    assert values(EXTENDED, **options)[OPTS] == expected


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"),
    [
        (None, 0),  # what the kernel has stays
        (0, 0xFFFFFFFF),  # none: zero would mean that it stays
        (0.0, 0xFFFFFFFF),
        (1e-10, 0xFFFFFFFF),
        (1e-9, 1),
        (50e-6, 50_000),
        (1, 1_000_000_000),
        (4.294967294, 0xFFFFFFFE),
        (LONGEST, 0xFFFFFFFE),  # the longest would mean none
    ],
)
def test_the_time_of_a_frame(seconds: float | None, nanoseconds: int) -> None:
    assert values(frame_txtime=seconds) == {OPTS: opts(0, nanoseconds)}


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"),
    [(0, 0), (1e-9, 1), (0.000123456, 123_456), (1, 1_000_000_000), (LONGEST, 0xFFFFFFFF)],
)
def test_separation_times_of_ones_own(seconds: float, nanoseconds: int) -> None:
    assert values(tx_stmin=seconds) == {OPTS: opts(0x0080), TX_STMIN: u32(nanoseconds)}
    assert values(rx_stmin=seconds) == {OPTS: opts(0x0100), RX_STMIN: u32(nanoseconds)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"block_size": 1}, b"\1\0\0"),
        ({"block_size": 255}, b"\xff\0\0"),
        ({"stmin": 0.127}, b"\0\x7f\0"),
        ({"stmin": 0.02}, b"\0\x14\0"),
        ({"stmin": 0.0001}, b"\0\xf1\0"),
        ({"stmin": 0.0009}, b"\0\xf9\0"),
        ({"stmin": 0.0011}, b"\0\x02\0"),  # rounded up
        ({"block_size": 8, "stmin": 0.005}, b"\x08\x05\0"),
    ],
)
def test_flow_control_that_is_asked_for(options: dict[str, Any], expected: bytes) -> None:
    assert values(**options) == {OPTS: opts(), RECV_FC: expected}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"fd": True}, b"\x48\x40\0"),
        ({"fd": True, "brs": True}, b"\x48\x40\1"),
        ({"fd": True, "esi": True}, b"\x48\x40\2"),
        ({"fd": True, "brs": True, "esi": True}, b"\x48\x40\3"),
        *(
            ({"fd": True, "tx_dl": length}, bytes((72, length, 0)))
            for length in (8, 12, 16, 20, 24, 32, 48, 64)
        ),
    ],
    ids=str,
)
def test_the_link_layer(options: dict[str, Any], expected: bytes) -> None:
    assert values(**options) == {OPTS: opts(), LL_OPTS: expected}


def test_classical_frames_of_eight_bytes_are_the_kernels_own() -> None:
    assert values(tx_dl=8) == {OPTS: opts()}


@pytest.mark.parametrize(
    ("address", "flags", "rest"),
    [
        (NORMAL, 0, b"\0\xcc\xcc\0"),
        (Address.normal_fixed(target=0x10, source=0xF1), 0, b"\0\xcc\xcc\0"),
        (EXTENDED, 0x0202, b"\x12\xcc\xcc\xf1"),
        (EXTENDED.reversed(), 0x0202, b"\xf1\xcc\xcc\x12"),
        (SAME, 0x0002, b"\x12\xcc\xcc\x12"),
        (MIXED, 0x0002, b"\x55\xcc\xcc\x55"),
        (MIXED_WIDE, 0x0002, b"\x55\xcc\xcc\x55"),
        (Address.mixed_11(1, 2, extension=0), 0x0002, b"\0\xcc\xcc\0"),
        (Address.extended(1, 2, target=0, source=1), 0x0202, b"\0\xcc\xcc\1"),
    ],
    ids=repr,
)
def test_address_bytes(address: Address, flags: int, rest: bytes) -> None:
    assert values(address) == {OPTS: opts(flags, rest=rest)}
    # Segmented or not, a connection of two has flow control.
    assert values(address, broadcast_segmented=True) == {OPTS: opts(flags, rest=rest)}


@pytest.mark.parametrize(
    ("address", "flags", "rest"),
    [
        (TO_ALL, 0, b"\0\xcc\xcc\0"),
        (TO_ALL_FIXED, 0, b"\0\xcc\xcc\0"),
        (TO_ALL_EXTENDED, 0x0202, b"\xef\xcc\xcc\xf1"),
        (TO_ALL_MIXED, 0x0002, b"\x55\xcc\xcc\x55"),
    ],
    ids=repr,
)
def test_functional_addresses(address: Address, flags: int, rest: bytes) -> None:
    assert values(address) == {OPTS: opts(0x0800 | flags, rest=rest)}
    assert values(address, broadcast_segmented=True) == {OPTS: opts(0x1000 | flags, rest=rest)}


LENGTHS = "tx_dl= is 8, or 12, 16, 20, 24, 32, 48 or 64 (fd=True), not "
FLAGS = "brs= and esi= are flags of CAN FD frames: they need fd=True"
CHECK = 'check_padding= is "length", "content", "both" or None, not '
CONTENT = "to check the padding's content, rx_padding= says what it is to be"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        *(({"tx_dl": length}, f"{LENGTHS}{length}") for length in (-1, 0, 7, 9, 12, 64, 65)),
        *(
            ({"tx_dl": length, "fd": True}, f"{LENGTHS}{length}")
            for length in (-1, 0, 7, 9, 11, 63, 65, 72)
        ),
        ({"brs": True}, FLAGS),
        ({"esi": True}, FLAGS),
        ({"tx_dl": 8, "brs": True}, FLAGS),
        *(
            ({name: value}, f"{name}= is a byte, 0 to 255, not {value!r}")
            for name in ("block_size", "padding", "rx_padding")
            for value in (-1, 256, 1.0, True, b"\0", "1")
        ),
        ({"block_size": None}, "block_size= is a byte, 0 to 255, not None"),
        ({"check_padding": "all"}, f"{CHECK}'all'"),
        ({"check_padding": True}, f"{CHECK}True"),
        ({"check_padding": "", "rx_padding": 1}, f"{CHECK}''"),
        ({"check_padding": "content"}, CONTENT),
        ({"check_padding": "both"}, CONTENT),
        *(
            ({name: value}, f"{name}= is 0 to 4.294967295 s, not {value!r}")
            for name in ("tx_stmin", "rx_stmin", "frame_txtime")
            for value in (-1e-9, -1, 4.2949673, 5, float("inf"), float("nan"))
        ),
        *(
            ({"stmin": value}, f"a separation time is 0 to 0.127 s, not {value!r}")
            for value in (-1e-9, 0.1271, 1, float("nan"))
        ),
        *(
            ({"receive_buffer": size}, f"receive_buffer= is 1 to 2147483647 bytes, not {size}")
            for size in (-1, 0, 2**31)
        ),
    ],
    ids=str,
)
def test_what_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        IsotpSocketOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"receive_buffer": "1"},
        {"receive_buffer": 1.5},
        {"tx_stmin": "1"},
        {"stmin": "1"},
        {"stmin": None},
        {"tx_dl": "8"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_what_is_of_no_such_type(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        IsotpSocketOptions(**options)


@pytest.fixture
def descriptor() -> Iterator[UserDescriptor]:
    with UserNetwork() as network:
        descriptor = UserDescriptor.on(network, CAN_ISOTP, "can-isotp")
        yield descriptor
        descriptor.close()


class TestSetting:
    def test_a_socket_reads_back_what_was_set(self, descriptor: UserDescriptor) -> None:
        options = IsotpSocketOptions(
            fd=True,
            tx_dl=24,
            brs=True,
            block_size=8,
            stmin=0.005,
            padding=1,
            rx_padding=2,
            tx_stmin=0.25,
            rx_stmin=0.5,
            frame_txtime=1e-3,
            receive_buffer=10_000,
        )
        configure(OptionSetter(descriptor, "can0"), options, EXTENDED)
        for option, value in {
            OPTS: opts(0x03BE, 1_000_000, b"\x12\1\2\xf1"),
            RECV_FC: b"\x08\x05\0",
            TX_STMIN: u32(250_000_000),
            RX_STMIN: u32(500_000_000),
            LL_OPTS: b"\x48\x18\1",
        }.items():
            assert descriptor.getsockopt(106, option, 64) == value
        assert descriptor.getsockopt(1, 8, 4) == u32(10_000)  # SO_RCVBUF
        assert descriptor.getsockopt(1, 40, 4) == u32(1)  # SO_RXQ_OVFL

    @pytest.mark.parametrize(
        ("options", "refused", "name"),
        [
            ({}, OPTS, "CAN_ISOTP_OPTS"),
            ({"block_size": 1}, RECV_FC, "CAN_ISOTP_RECV_FC"),
            ({"tx_stmin": 0}, TX_STMIN, "CAN_ISOTP_TX_STMIN"),
            ({"rx_stmin": 0}, RX_STMIN, "CAN_ISOTP_RX_STMIN"),
            ({"fd": True}, LL_OPTS, "CAN_ISOTP_LL_OPTS"),
        ],
        ids=str,
    )
    def test_what_is_refused_is_named(
        self,
        descriptor: UserDescriptor,
        monkeypatch: pytest.MonkeyPatch,
        options: dict[str, Any],
        refused: int,
        name: str,
    ) -> None:
        def refuse(level: int, option: int, value: bytes) -> None:
            del value
            if (level, option) == (106, refused):
                raise OSError(errno.ENOPROTOOPT, "")

        monkeypatch.setattr(descriptor, "setsockopt", refuse)
        with pytest.raises(
            OptionNotSupportedError,
            match=rf"the kernel does not know {name} \(it came with Linux 5\.10\)",
        ) as caught:
            configure(OptionSetter(descriptor, "can0"), IsotpSocketOptions(**options), NORMAL)
        assert caught.value.interface == "can0"
