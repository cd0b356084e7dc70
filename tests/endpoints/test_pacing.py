from __future__ import annotations

import pytest

from anycan.endpoints.pacing import Pacer


def test_the_first_tries_are_a_millisecond_apart() -> None:
    pacer = Pacer()
    assert [pacer.delay() for _ in range(8)] == [0.001] * 8


def test_then_the_delays_grow_by_half_up_to_ten_milliseconds() -> None:
    pacer = Pacer()
    delays = [pacer.delay() for _ in range(16)][8:]
    assert delays[:5] == pytest.approx([0.0015, 0.00225, 0.003375, 0.0050625, 0.00759375])
    assert delays[5:] == [0.010] * 3


def test_a_bus_may_be_off_for_any_time() -> None:
    pacer = Pacer()
    assert [pacer.delay() for _ in range(3000)][-1] == 0.010


def test_progress_starts_anew() -> None:
    pacer = Pacer()
    for _ in range(20):
        pacer.delay()
    pacer.progress()
    assert [pacer.delay() for _ in range(8)] == [0.001] * 8


def test_pacers_are_independent() -> None:
    tired, fresh = Pacer(), Pacer()
    for _ in range(20):
        tired.delay()
    assert fresh.delay() == 0.001
