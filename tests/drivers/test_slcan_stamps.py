"""An adapter's time stamps on the host's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycan.drivers.slcan_stamps import StampClock

MILLISECOND = 1_000_000
START = 1_700_000_000_000_000_000


def at(milliseconds: float) -> int:
    return START + round(milliseconds * MILLISECOND)


def given_times(*frames: tuple[int | None, float]) -> list[int]:
    """Give the times of frames, by stamps and when they were read, in whole milliseconds."""
    clock = StampClock()
    return [
        round((clock.stamp_ns(stamp, at(read)) - START) / MILLISECOND) for stamp, read in frames
    ]


def test_frames_of_one_piece_are_told_apart() -> None:
    # The first came at once; those of the second piece waited for its last.
    assert given_times((100, 0), (110, 20), (115, 20), (120, 20)) == [0, 10, 15, 20]


def test_the_frame_that_came_fastest_sets_the_clock() -> None:
    assert given_times((0, 50), (10, 51), (20, 52), (30, 65)) == [50, 51, 52, 62]
    assert given_times((0, 50), (10, 50), (20, 50), (30, 65)) == [50, 50, 50, 60]


def test_stamps_begin_anew_each_minute() -> None:
    assert given_times((59_990, 0), (5, 20), (59_990, 60_010)) == [0, 15, 60_010]


def test_minutes_without_a_frame() -> None:
    times = given_times((1000, 0), (1500, 180_501))
    assert times[0] == 0
    assert 180_500 <= times[1] <= 180_501


def test_frames_without_a_stamp_have_the_hosts_time() -> None:
    assert given_times((None, 3), (None, 7)) == [3, 7]


@pytest.mark.parametrize("error", [0.0005, 0.005])  # a bad quartz, a ceramic resonator
def test_an_adapter_whose_clock_is_slow_does_not_lag(error: float) -> None:
    # After ten minutes that is 300 ms or 3 s, of which none is left.
    frames = [(round(read * (1 - error)) % 60_000, read) for read in range(0, 600_000, 1000)]
    times = given_times(*frames)
    assert all(-2 < time - read <= 0 for time, (_, read) in zip(times, frames, strict=True))


def test_stamps_that_stand_still_are_none() -> None:
    assert given_times(*[(7, read) for read in range(0, 2000, 200)]) == list(range(0, 2000, 200))
    assert given_times((7, 0), (7, 200), (7, 400), (20, 420), (30, 440)) == [0, 200, 400, 420, 430]


def test_a_host_clock_that_is_set_takes_the_stamps_along() -> None:
    assert given_times((0, 0), (10, 15_010), (20, 15_020)) == [0, 15_010, 15_020]
    assert given_times((0, 60_000), (10, 10), (20, 20)) == [60_000, 10, 20]


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 59_999), st.integers(0, 200_000_000_000)),
        max_size=50,
    )
)
def test_times_are_in_order_and_not_ahead(frames: list[tuple[int | None, int]]) -> None:
    clock = StampClock()
    now, last = START, 0
    for stamp, pause in frames:
        now += pause
        time = clock.stamp_ns(stamp, now)
        assert last <= time <= now
        last = time
