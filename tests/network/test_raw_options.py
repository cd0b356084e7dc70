"""Socket options: sizes, values, errors, as Linux 6.12 has them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies

from anycan.network.core.raw_options import RawSocketOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network.conftest import Probe

SOCKET, RAW = 1, 101


def number(value: int) -> bytes:
    return struct.pack("=i", value)


def error_of(call: Callable[[], object]) -> int:
    """Give the number of the error that a call raises; 0: none."""
    try:
        call()
    except OSError as error:
        return error.errno or 0
    return 0


@pytest.mark.parametrize(
    ("option", "value"), [(1, bytes(8)), *((n, number(int(n == 3))) for n in range(2, 9))]
)
def test_defaults(probe: Callable[..., Probe], option: int, value: bytes) -> None:
    assert probe(None).get(option) == value


@pytest.mark.parametrize("option", range(2, 9))
@pytest.mark.parametrize("size", [0, 1, 3, 5, 8])
def test_values_of_another_size_are_refused(
    probe: Callable[..., Probe], option: int, size: int
) -> None:
    one = probe(None)
    assert error_of(lambda: one.core.setsockopt(RAW, option, bytes(size))) == 22
    assert one.get(option) == number(int(option == 3))


@pytest.mark.parametrize("option", range(2, 8))
def test_an_integer_is_given_as_far_as_there_is_room(
    probe: Callable[..., Probe], option: int
) -> None:
    one = probe(None)
    for size in range(6):
        assert one.get(option, size) == number(int(option == 3))[:size]


@pytest.mark.parametrize("option", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("value", [0, 1, 5, -1])
def test_an_integer_is_given_back_as_it_was_set(
    probe: Callable[..., Probe], option: int, value: int
) -> None:
    one = probe(None)
    one.set(option, value)
    assert one.get(option) == number(value)


def test_the_filters_are_at_most_512(probe: Callable[..., Probe]) -> None:
    one = probe()
    for size in (7, 9, 513 * 8):
        value = bytes(size)
        assert error_of(lambda: one.core.setsockopt(RAW, 1, value)) == 22  # noqa: B023 - at once
        assert one.get(1) == bytes(8)
    one.core.setsockopt(RAW, 1, bytes(512 * 8))
    assert one.get(1, 512 * 8) == bytes(512 * 8)
    one.core.setsockopt(RAW, 1, b"")
    assert one.get(1, 0) == b""


def test_filters_are_given_whole_or_not_at_all(probe: Callable[..., Probe]) -> None:
    value = struct.pack("=IIII", 1, 2, 3, 4)
    one = probe()
    one.core.setsockopt(RAW, 1, value)
    for size in (0, 8, 12, 15):
        assert error_of(lambda: one.get(1, size)) == 34  # noqa: B023 - at once
    assert one.get(1, 16) == one.get(1, 100) == value


def test_the_error_mask_has_29_bits(probe: Callable[..., Probe]) -> None:
    one = probe()
    one.set(2, 0xFFFFFFFF)
    assert one.get(2) == b"\xff\xff\xff\x1f"


def test_can_xl_turns_can_fd_on_and_keeps_it(probe: Callable[..., Probe]) -> None:
    one = probe()
    one.set(7, 1)
    assert one.get(5) == number(1)
    assert error_of(lambda: one.set(5, 0)) == 22
    one.set(5, 7)
    assert one.get(5) == number(7)
    one.set(7, 0)
    assert one.get(5) == number(7)
    one.set(5, 0)
    assert one.get(5) == number(0)


def test_vcid_options_are_given_back_whole(probe: Callable[..., Probe]) -> None:
    one = probe()
    one.core.setsockopt(RAW, 8, b"\xff\x01\x02\x03")
    assert one.get(8) == b"\xff\x01\x02\x03"
    assert error_of(lambda: one.get(8, 3)) == 34


@pytest.mark.parametrize("option", [0, 9, 99])
@pytest.mark.parametrize("size", [0, 4, 64])
def test_options_that_are_none(probe: Callable[..., Probe], option: int, size: int) -> None:
    one = probe()
    assert error_of(lambda: one.core.setsockopt(RAW, option, bytes(size))) == 92
    assert error_of(lambda: one.get(option, size)) == 92


@pytest.mark.parametrize("level", [0, 6, 100, 102])
def test_levels_that_are_none(probe: Callable[..., Probe], level: int) -> None:
    one = probe()
    assert error_of(lambda: one.core.setsockopt(level, 1, bytes(8))) == 22
    assert error_of(lambda: one.get(1, 8, level=level)) == 22


# SOL_SOCKET


@pytest.mark.parametrize("option", [3, 4, 7, 8, 29, 32, 33, 35, 37, 40, 55, 200])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_short_values_are_refused(probe: Callable[..., Probe], option: int, size: int) -> None:
    one = probe()
    assert error_of(lambda: one.core.setsockopt(SOCKET, option, bytes(size))) == 22


@pytest.mark.parametrize("option", [3, 4, 38, 39, 55, 200])
def test_what_cannot_be_set(probe: Callable[..., Probe], option: int) -> None:
    one = probe()
    assert error_of(lambda: one.core.setsockopt(SOCKET, option, bytes(8))) == 92


@pytest.mark.parametrize("option", [32, 33, 200])
def test_what_cannot_be_asked_for(probe: Callable[..., Probe], option: int) -> None:
    one = probe()
    assert error_of(lambda: one.get(option, level=SOCKET)) == 92


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (3, number(3)),
        (4, number(0)),
        (7, number(212_992)),
        (8, number(212_992)),
        (29, number(0)),
        (35, number(0)),
        (37, bytes(8)),
        (38, number(0)),
        (39, number(29)),
        (40, number(0)),
        (55, struct.pack("=9I", 0, 212_992, 0, 212_992, 0, 0, 0, 0, 0)),
    ],
)
def test_what_a_fresh_socket_says(probe: Callable[..., Probe], option: int, value: bytes) -> None:
    one = probe()
    for size in (0, 1, 3, 4, 8, 64):
        assert one.get(option, size, level=SOCKET) == value[:size]


@pytest.mark.parametrize(
    ("value", "capped", "forced"),
    [
        (0, 0, 0),
        (1000, 2000, 2000),
        (1152, 2304, 2304),
        (1153, 2306, 2306),
        (2303, 4606, 4606),
        (2304, 4608, 4608),
        (2305, 4610, 4610),
        (5000, 10_000, 10_000),
        (106_496, 212_992, 212_992),
        (212_992, 425_984, 425_984),
        (212_993, 425_984, 425_986),
        (1_000_000, 425_984, 2_000_000),
        (-1, 425_984, 0),
        (0x3FFFFFFF, 425_984, 0x7FFFFFFE),
        (0x40000000, 425_984, 0x7FFFFFFE),
        (0x7FFFFFFF, 425_984, 0x7FFFFFFE),
    ],
)
def test_buffers_are_doubled_and_bounded(
    probe: Callable[..., Probe], value: int, capped: int, forced: int
) -> None:
    one = probe()
    for option, force, least in ((8, 33, 2304), (7, 32, 4608)):
        one.set(option, value, level=SOCKET)
        assert one.get(option, level=SOCKET) == number(max(capped, least))
        one.set(force, value, level=SOCKET)
        assert one.get(option, level=SOCKET) == number(max(forced, least))


@pytest.mark.parametrize(("size", "held"), [(0, 3), (1000, 3), (2000, 5), (150_000, 313)])
def test_the_receive_buffer_bounds_what_waits(
    probe: Callable[..., Probe], size: int, held: int
) -> None:
    one, sender = probe(), probe()
    one.set(8, size, level=SOCKET)
    for word in range(400):
        sender.send(struct.pack("=IB11x", word, 0))
    assert one.core.drops == 400 - held
    assert one.words() == list(range(held))


def test_stamps_in_microseconds_or_in_nanoseconds(probe: Callable[..., Probe]) -> None:
    one = probe()
    for value, read in ((1, 1), (5, 1), (-1, 1), (0, 0)):
        one.set(35, value, level=SOCKET)
        assert one.get(35, level=SOCKET) == number(read)
    one.set(35, 1, level=SOCKET)
    one.set(29, 1, level=SOCKET)
    assert (one.get(29, level=SOCKET), one.get(35, level=SOCKET)) == (number(1), number(0))
    one.set(35, 0, level=SOCKET)
    assert (one.get(29, level=SOCKET), one.get(35, level=SOCKET)) == (number(0), number(0))


def test_the_flags_of_hardware_stamps(probe: Callable[..., Probe]) -> None:
    one = probe()
    one.core.setsockopt(SOCKET, 37, number(0x5C) + bytes(4))
    assert one.get(37, level=SOCKET) == number(0x5C) + bytes(4)
    for value in (0x40000, 0x7FFFF, -1):
        assert error_of(lambda: one.set(37, value, level=SOCKET)) == 22  # noqa: B023 - at once
    assert one.get(37, level=SOCKET) == number(0x5C) + bytes(4)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x10000, 22),  # OPT_ID_TCP, without OPT_ID
        (0x10080, 0),
        (0x1000, 22),  # OPT_STATS, without OPT_TSONLY
        (0x1800, 0),
        (0x800, 0),
        (0x8000, 95),  # BIND_PHC
        (0x48000, 22),
        (0x20000, 0),
    ],
)
def test_flags_of_time_stamps_that_need_others(
    probe: Callable[..., Probe], flags: int, expected: int
) -> None:
    one = probe()
    assert error_of(lambda: one.set(37, flags, level=SOCKET)) == expected
    assert one.get(37, 4, level=SOCKET) == number(0 if expected else flags)


def test_drop_counts_are_on_or_off(probe: Callable[..., Probe]) -> None:
    one = probe()
    for value in (1, 5, -1):
        one.set(40, value, level=SOCKET)
        assert one.get(40, level=SOCKET) == number(1)


@given(
    strategies.sampled_from([1, 101]),
    strategies.integers(0, 60),
    strategies.binary(max_size=40),
    strategies.integers(0, 64),
)
def test_no_option_raises_anything_but_what_the_kernel_has(
    level: int, option: int, value: bytes, size: int
) -> None:
    options = RawSocketOptions()
    if level == SOCKET:
        assert error_of(lambda: options.set_socket(option, value)) in {0, 22, 92}
        assert error_of(lambda: options.get_socket(option)) in {0, 92}
    else:
        assert error_of(lambda: options.set_raw(option, value)) in {0, 22, 92}
        assert error_of(lambda: options.get_raw(option, size)) in {0, 34, 92}
