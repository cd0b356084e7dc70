"""Rate limits, time windows and changes: by example, and held against slower ways to count."""

from __future__ import annotations

import struct
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as time_of_day
from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.exceptions import GatewayError
from anycan.gateway import admission as module
from anycan.gateway.admission import Admission, make_admission
from anycan.gateway.limits import RateLimit, TimeWindow, WindowState
from anycan.gateway.reasons import DropReason

if TYPE_CHECKING:
    from collections.abc import Iterator

quick = settings(max_examples=60, deadline=None, derandomize=True)

SECOND = 1_000_000_000
NOW = 1_795_593_600 * SECOND  # 2026-11-25T08:00Z
UNCHANGED, RATE_LIMIT, NOT_ACTIVE = (
    DropReason.UNCHANGED,
    DropReason.RATE_LIMIT,
    DropReason.NOT_ACTIVE,
)


def payload(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IB3x8s", word, len(data), data)


ONE, OTHER = payload(1), payload(2)


def at(seconds: float) -> int:
    return NOW + round(seconds * SECOND)


# Token buckets.


def test_a_rate_limit_of_a_rule_is_shared() -> None:
    admit = Admission(limits=[RateLimit(10)]).admit
    assert admit(ONE, at(0)) is None
    assert admit(OTHER, at(0.099)) is RATE_LIMIT
    assert admit(OTHER, at(0.1)) is None


def test_a_rate_limit_of_identifiers_is_for_each() -> None:
    admit = Admission(limits=[RateLimit(10, per="identifier")]).admit
    assert admit(ONE, at(0)) is None
    assert admit(OTHER, at(0.01)) is None
    assert admit(ONE, at(0.099)) is RATE_LIMIT
    assert admit(ONE, at(0.1)) is None
    assert admit(OTHER, at(0.1)) is RATE_LIMIT
    assert admit(OTHER, at(0.11)) is None


def test_the_flags_of_an_identifier_are_part_of_it() -> None:
    admit = Admission(limits=[RateLimit(10, per="identifier")]).admit
    words = 0x1, 0x8000_0001, 0x4000_0001
    assert [admit(payload(word), at(0)) for word in words] == [None] * 3
    assert [admit(payload(word, b"x"), at(0.05)) for word in words] == [RATE_LIMIT] * 3


def test_what_was_not_used_is_saved_up_to_the_burst() -> None:
    admit = Admission(limits=[RateLimit(10, burst=3)]).admit

    def let_through(seconds: float) -> int:
        return sum(admit(ONE, at(seconds)) is None for _ in range(10))

    assert let_through(0) == 3  # it begins full
    assert let_through(0.1) == 1
    assert let_through(0.35) == 2  # and half a token
    assert let_through(0.4) == 1
    assert let_through(60) == 3


def test_a_frame_that_is_refused_takes_no_token() -> None:
    admit = Admission(limits=[RateLimit(10)]).admit
    assert admit(ONE, at(0)) is None
    assert {admit(ONE, at(0.001 * count)) for count in range(1, 100)} == {RATE_LIMIT}
    assert admit(ONE, at(0.1)) is None


def test_all_limits_have_to_have_a_token_before_any_gives_one() -> None:
    admit = Admission(limits=[RateLimit(1000, burst=3), RateLimit(1, per="identifier")]).admit
    assert admit(ONE, at(0)) is None
    assert [admit(ONE, at(0)) for _ in range(5)] == [RATE_LIMIT] * 5  # none of the rule's taken
    assert [admit(payload(word), at(0)) for word in (2, 3, 4)] == [None, None, RATE_LIMIT]
    assert admit(payload(4), at(0.001)) is None  # none of the identifier's taken


def test_two_limits_of_a_rule_hold_both() -> None:
    """Hundredths of a second: two at once and ten a second, but of them twelve a minute."""
    admit = Admission(limits=[RateLimit(10, burst=2), RateLimit(0.2, burst=12)]).admit
    through = [count for count in range(520) if admit(ONE, at(count / 100)) is None]
    assert through == [0, 1, *range(10, 101, 10), 500]


def test_limits_of_the_same_kind_have_each_their_own_tokens() -> None:
    both = [RateLimit(10, per="identifier"), RateLimit(1, burst=2, per="identifier")]
    admit = Admission(limits=both).admit
    through = [
        count / 10
        for count in range(25)
        for word in (1, 2)
        if admit(payload(word), at(count / 10)) is None
    ]
    assert through == [0, 0, 0.1, 0.1, 1, 1, 2, 2]


def test_a_minimum_interval_is_for_each_identifier() -> None:
    admit = Admission(minimum_interval=0.07).admit
    assert admit(ONE, at(0)) is None
    assert admit(OTHER, at(0.05)) is None
    assert admit(ONE, at(0.07) - 1) is RATE_LIMIT
    assert admit(ONE, at(0.07)) is None
    assert admit(OTHER, at(0.119)) is RATE_LIMIT


def test_a_minimum_interval_saves_nothing_up() -> None:
    admit = Admission(minimum_interval=0.1).admit
    assert [admit(ONE, at(seconds)) for seconds in (0, 60, 60.05, 60.1)] == [
        None,
        None,
        RATE_LIMIT,
        None,
    ]


def test_a_minimum_interval_and_limits_hold_both() -> None:
    limit = RateLimit(1, burst=2, per="identifier")
    admit = Admission(minimum_interval=0.4, limits=[limit]).admit
    through = [count / 10 for count in range(26) if admit(ONE, at(count / 10)) is None]
    assert through == [0, 0.4, 1, 2]


def test_a_minimum_interval_is_not_cut_by_rounding() -> None:
    for milliseconds in range(1, 1500):
        interval = milliseconds / 1000
        admit = Admission(minimum_interval=interval).admit
        assert admit(ONE, NOW) is None
        assert admit(ONE, NOW + milliseconds * SECOND // 1000 - 1) is RATE_LIMIT, interval
        assert admit(ONE, NOW + milliseconds * SECOND // 1000) is None, interval


def test_rates_beyond_reason_do_no_harm() -> None:
    for rate in (1e-320, 1e300, 10**400, 5_000_000_000):
        admit = Admission(limits=[RateLimit(rate, per="identifier"), RateLimit(rate)]).admit
        assert admit(ONE, at(0)) is None
        assert admit(ONE, at(1)) is (RATE_LIMIT if rate < 1 else None)


class Buckets:
    """Token buckets as they are described: tokens that come with time."""

    def __init__(self, step: int, burst: int) -> None:
        self.step, self.burst = step, burst
        self.tokens: dict[Any, Fraction] = {}
        self.stamps: dict[Any, int] = {}

    def look(self, key: object, stamp: int) -> bool:
        since = stamp - self.stamps.get(key, stamp)
        tokens = self.tokens.get(key, Fraction(self.burst)) + Fraction(since, self.step)
        self.tokens[key] = min(tokens, Fraction(self.burst))
        self.stamps[key] = stamp
        return self.tokens[key] >= 1

    def take(self, key: object) -> None:
        self.tokens[key] -= 1


steps = st.sampled_from([1, 3, 10, 25])
buckets = st.tuples(steps, st.integers(1, 4), st.sampled_from(["rule", "identifier"]))
arrivals = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 1), st.sampled_from([b"a", b"b"])), max_size=40
)


@quick
@given(
    st.lists(buckets, max_size=3),
    st.sampled_from([0, 5, 20]),
    st.sampled_from([(False, None), (True, None), (True, 0), (True, 15)]),
    arrivals,
)
def test_what_is_let_through_is_what_is_described(
    given_limits: list[tuple[int, int, Any]],
    interval: int,
    changes: tuple[bool, int | None],
    frames: list[tuple[int, int, bytes]],
) -> None:
    """Milliseconds, and a model that keeps tokens, contents and times apart."""
    millisecond = SECOND // 1000
    changes_only, refresh = changes
    admit = Admission(
        changes_only=changes_only,
        refresh=None if refresh is None else refresh / 1000,
        minimum_interval=interval / 1000,
        limits=[RateLimit(1000 / step, burst, per) for step, burst, per in given_limits],
    ).admit
    models = [(Buckets(step, burst), per) for step, burst, per in given_limits]
    last: dict[int, tuple[bytes, int]] = {}
    now = 0
    for wait, word, data in frames:
        now += wait
        content, then = last.get(word, (b"", -1000))
        keys = [word if per == "identifier" else None for _, per in models]
        tokens = [model.look(key, now) for (model, _), key in zip(models, keys, strict=True)]
        is_same = changes_only and content == data and (refresh is None or now < then + refresh)
        if is_same:
            expected: DropReason | None = UNCHANGED
        elif now < then + interval or not all(tokens):
            expected = RATE_LIMIT
        else:
            expected = None
            last[word] = data, now
            for (model, _), key in zip(models, keys, strict=True):
                model.take(key)
        assert admit(payload(word, data), NOW + now * millisecond) is expected


# Changes.


def test_only_a_change_is_let_through() -> None:
    admit = Admission(changes_only=True).admit
    assert admit(payload(1, b"a"), at(0)) is None
    assert admit(payload(2, b"a"), at(0)) is None
    assert admit(payload(1, b"a"), at(9e6)) is UNCHANGED
    assert admit(payload(1, b"b"), at(9e6)) is None
    assert admit(payload(1, b"a"), at(9e6)) is None
    assert admit(payload(1, b"a"), at(9e6)) is UNCHANGED


@pytest.mark.parametrize("further", [{}, {"refresh": 10}, {"limits": [RateLimit(1e6, 99)]}])
def test_all_of_a_frame_is_compared(further: dict[str, Any]) -> None:
    flexible = struct.pack("=IBBxx64s", 1, 1, 4, b"a")
    frames = [
        payload(1, b"a"),
        payload(1, b"a\0"),  # its length alone
        flexible,  # its kind
        struct.pack("=IBBxx64s", 1, 1, 5, b"a"),  # a flag
    ]
    admit = Admission(changes_only=True, **further).admit
    for frame in frames:
        assert admit(frame, at(0)) is None
        assert admit(frame, at(0)) is UNCHANGED


def test_an_unchanged_frame_is_refreshed() -> None:
    admit = Admission(changes_only=True, refresh=1).admit
    frame = payload(1, b"a")
    assert admit(frame, at(0)) is None
    assert admit(frame, at(1) - 1) is UNCHANGED
    assert admit(frame, at(1)) is None
    assert admit(payload(1, b"b"), at(1.5)) is None  # from which it counts anew
    assert admit(payload(1, b"b"), at(2.4)) is UNCHANGED
    assert admit(payload(1, b"b"), at(2.5)) is None


def test_a_change_that_was_refused_is_one_still() -> None:
    admit = Admission(changes_only=True, minimum_interval=1).admit
    assert admit(payload(1, b"a"), at(0)) is None
    assert admit(payload(1, b"b"), at(0.5)) is RATE_LIMIT
    assert admit(payload(1, b"b"), at(1)) is None
    assert admit(payload(1, b"b"), at(1.1)) is UNCHANGED  # before the interval


def test_an_unchanged_frame_takes_no_token() -> None:
    admit = Admission(changes_only=True, limits=[RateLimit(1, burst=2)]).admit
    assert admit(payload(1, b"a"), at(0)) is None
    assert admit(payload(1, b"a"), at(0)) is UNCHANGED
    assert admit(payload(1, b"b"), at(0)) is None
    assert admit(payload(1, b"c"), at(0)) is RATE_LIMIT


# The clock is set.


@pytest.mark.parametrize(
    "rule",
    [
        {"limits": [RateLimit(10, burst=2)]},
        {"limits": [RateLimit(10, burst=2, per="identifier")]},
        {"limits": [RateLimit(10, burst=2, per="identifier"), RateLimit(10, burst=2)]},
    ],
)
def test_a_clock_set_back_fills_the_buckets(rule: dict[str, Any]) -> None:
    admit = Admission(**rule).admit
    assert [admit(ONE, at(0)) for _ in range(3)] == [None, None, RATE_LIMIT]
    assert [admit(ONE, at(-3600)) for _ in range(3)] == [None, None, RATE_LIMIT]
    assert admit(ONE, at(-3599.9)) is None
    # Set right again, it is as if time had passed.
    assert [admit(ONE, at(1)) for _ in range(3)] == [None, None, RATE_LIMIT]


def test_a_clock_set_back_ends_a_minimum_interval() -> None:
    admit = Admission(minimum_interval=0.5).admit
    assert [admit(ONE, at(seconds)) for seconds in (0, -3600, -3599.6, -3599.5)] == [
        None,
        None,
        RATE_LIMIT,
        None,
    ]


@pytest.mark.parametrize(
    "rule",
    [
        [RateLimit(10, burst=2)],
        [RateLimit(10, burst=2, per="identifier")],
        [RateLimit(10, burst=2), RateLimit(10, burst=2, per="identifier")],
    ],
)
def test_frames_a_little_out_of_order_are_no_clock_set_back(rule: list[RateLimit]) -> None:
    admit = Admission(limits=rule).admit
    assert sum(admit(ONE, at(-0.001 * count)) is None for count in range(900)) <= 2


def test_a_clock_set_back_refreshes_what_is_to_be_refreshed() -> None:
    admit = Admission(changes_only=True, refresh=10).admit
    assert [admit(ONE, at(seconds)) for seconds in (0, -0.9, -3600, -3590.1, -3590)] == [
        None,
        UNCHANGED,
        None,
        UNCHANGED,
        None,
    ]


@pytest.mark.parametrize("further", [{}, {"limits": [RateLimit(10)]}])
def test_a_clock_set_back_changes_no_content(further: dict[str, Any]) -> None:
    admit = Admission(changes_only=True, **further).admit
    assert admit(ONE, at(0)) is None
    assert admit(ONE, at(-3600)) is UNCHANGED


# Memory.


@pytest.mark.parametrize(
    "rule",
    [
        {"changes_only": True},
        {"minimum_interval": 3600},
        {"changes_only": True, "limits": [RateLimit(1e9, 100)]},
    ],
)
def test_what_is_remembered_is_bounded(
    monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "_GENERATION", 4)
    admission = Admission(**rule)
    admit = admission.admit
    memory = admit.__self__  # type: ignore[attr-defined]  # what is remembered, of whatever kind
    for word in range(100):
        assert admit(payload(word), at(word)) is None
        assert len(memory.recent.keys() | memory.older.keys()) <= 8
        newest = range(max(0, word - 3), word + 1)
        assert all(admit(payload(one), at(word)) is not None for one in newest)
    assert admit(payload(90), at(100)) is None  # forgotten


def test_so_many_identifiers_are_remembered() -> None:
    assert 2 * module._GENERATION == 65_536


@pytest.mark.parametrize(
    "rule",
    [{"changes_only": True}, {"limits": [RateLimit(1, per="identifier")]}, {"minimum_interval": 1}],
)
def test_an_identifier_that_goes_on_coming_is_never_forgotten(
    monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "_GENERATION", 4)
    admit = Admission(**rule).admit
    for count in range(100):
        word = 1000 + count
        assert admit(payload(1, bytes([count])), at(count)) is None
        assert admit(payload(word), at(count)) is None
        assert admit(payload(1, bytes([count])), at(count)) is not None


@pytest.mark.parametrize(
    "rule",
    [
        {"changes_only": True},
        {"minimum_interval": 1},
        {"changes_only": True, "minimum_interval": 1},
    ],
)
def test_as_many_identifiers_as_are_remembered_are_never_forgotten(
    monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "_GENERATION", 4)
    admit = Admission(**rule).admit
    for second in range(5):
        frames = [payload(word, bytes([second])) for word in range(4)]
        assert [admit(frame, at(second)) for frame in frames] == [None] * 4
        assert None not in [admit(frame, at(second)) for frame in frames]


def test_limits_of_a_rule_alone_remember_no_identifiers() -> None:
    admit = Admission(limits=[RateLimit(1e9, 99), RateLimit(1e8, 99)]).admit
    assert {admit(payload(word), at(word)) for word in range(9)} == {None}
    assert len(admit.__self__.recent) == 1  # type: ignore[attr-defined]  # as above


def test_what_is_refused_makes_nothing_else_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GENERATION", 2)
    admit = Admission(changes_only=True, limits=[RateLimit(0.001, burst=2)]).admit
    assert [admit(frame, at(0)) for frame in (ONE, OTHER)] == [None, None]
    assert {admit(payload(word), at(1)) for word in range(3, 50)} == {RATE_LIMIT}
    assert [admit(frame, at(2)) for frame in (ONE, OTHER)] == [UNCHANGED, UNCHANGED]


# What limits nothing.


def test_a_rule_without_limits_has_no_state() -> None:
    assert make_admission() is None
    assert make_admission(limits=[], minimum_interval=0) is None
    assert Admission().admit(ONE, at(0)) is None


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"active": TimeWindow("2027-01-01")}, NOT_ACTIVE),
        ({"changes_only": True, "refresh": 5}, UNCHANGED),
        ({"minimum_interval": 1}, RATE_LIMIT),
        ({"limits": iter([RateLimit(1)])}, RATE_LIMIT),
    ],
)
def test_a_rule_with_limits_has_a_state(rule: dict[str, Any], reason: DropReason) -> None:
    admission = make_admission(**rule)
    assert admission is not None
    admission.admit(ONE, at(0))
    assert admission.admit(ONE, at(0.5)) is reason


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), True, "fast", None])
def test_a_rate_is_a_number_above_0(rate: Any) -> None:
    with pytest.raises(GatewayError, match="rate is a number of frames a second above 0, not"):
        RateLimit(rate)


@pytest.mark.parametrize("burst", [0, -1, 1.5, True, "1"])
def test_a_burst_is_a_number_of_frames(burst: Any) -> None:
    with pytest.raises(GatewayError, match="burst is a number of frames, 1 or more, not"):
        RateLimit(1, burst)


def test_a_limit_is_for_a_rule_or_an_identifier() -> None:
    with pytest.raises(GatewayError, match=r"per is one of \('rule', 'identifier'\), not 'id'"):
        RateLimit(1, per="id")  # type: ignore[arg-type]  # that is what is wrong


# Time windows.


@contextmanager
def in_zone(name: str) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system's time zone cannot be changed for a process")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", name)
            time.tzset()
            yield
    finally:
        time.tzset()


@pytest.fixture
def berlin() -> Iterator[None]:
    with in_zone(BERLIN):
        yield


# As POSIX writes it: no time zone database is needed.
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
LORD_HOWE = "LHT-10:30LHDT-11,M10.1.0,M4.1.0"  # half an hour of daylight saving
ZONES = ["UTC0", BERLIN, LORD_HOWE, "NPT-5:45", "X-23:59:58"]


def stamp_of(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * SECOND


@pytest.mark.usefixtures("berlin")
def test_a_window_of_dates_begins_and_ends_once() -> None:
    window = TimeWindow("2026-11-25T08:00", "2026-11-25T09:30:00.000001")
    start, end = stamp_of("2026-11-25T07:00Z"), stamp_of("2026-11-25T08:30Z") + 1000
    stamps = [0, start - 1, start, end - 1, end, end + 86_400 * SECOND, -SECOND]
    assert [window.contains(stamp) for stamp in stamps] == [
        *(False, False, True, True, False, False, False)
    ]


def test_a_window_of_dates_is_looked_at_in_any_order() -> None:
    window = TimeWindow("2026-11-25T08:00Z", "2026-11-25T09:00Z")
    answers = {at(-1): False, at(0): True, at(1): True, at(3600): False, at(3601): False}
    for stamps in permutations(answers):
        state = WindowState(window)
        for stamp in stamps:
            assert state.contains(stamp) is answers[stamp]
            assert state.since <= stamp < state.until


def test_one_end_of_dates_may_be_open() -> None:
    stamp = stamp_of("2026-11-25T08:00Z")
    since, until = TimeWindow("2026-11-25T08:00Z"), TimeWindow(None, "2026-11-25T08:00Z")
    assert [since.contains(stamp + step) for step in (-(1 << 62), -1, 0, 1 << 62)] == [
        *(False, False, True, True)
    ]
    assert [until.contains(stamp + step) for step in (-(1 << 62), -1, 0, 1 << 62)] == [
        *(True, True, False, False)
    ]


def test_a_date_and_time_may_have_a_time_zone() -> None:
    start = datetime(2026, 11, 25, 8, tzinfo=timezone(timedelta(hours=5)))
    assert TimeWindow(start).contains(stamp_of("2026-11-25T03:00Z"))
    assert not TimeWindow(start).contains(stamp_of("2026-11-25T03:00Z") - 1)


def test_a_window_is_written_as_text_or_as_values() -> None:
    assert TimeWindow("22:00", "06:00:30") == TimeWindow(time_of_day(22), time_of_day(6, 0, 30))
    dates = TimeWindow(datetime(2026, 11, 25, 8, tzinfo=UTC), None)
    assert TimeWindow("2026-11-25T08:00+00:00") == dates
    assert TimeWindow("2026-11-25 08:00Z") == dates
    days = TimeWindow("2026-11-25", "2026-11-26")
    assert days == TimeWindow(date(2026, 11, 25), date(2026, 11, 26))
    assert days == TimeWindow("2026-11-25T00:00", "2026-11-26T00:00")
    assert hash(days) == hash(TimeWindow("2026-11-25", "2026-11-26"))


@pytest.mark.usefixtures("berlin")
def test_a_window_of_times_comes_every_day() -> None:
    window = TimeWindow("08:00", "17:00")
    for day in ("2026-11-25", "2026-11-26", "2027-07-01"):
        start, end = stamp_of(f"{day}T08:00"), stamp_of(f"{day}T17:00")
        stamps = (start - 1, start, end - 1, end)
        assert [window.contains(stamp) for stamp in stamps] == [False, True, True, False]


@pytest.mark.usefixtures("berlin")
def test_a_time_of_day_may_have_microseconds() -> None:
    window = TimeWindow("08:00:00.000002", "08:00:00.000003")
    start = stamp_of("2026-11-25T08:00") + 2000
    stamps = (start - 1, start, start + 999, start + 1000)
    assert [window.contains(stamp) for stamp in stamps] == [False, True, True, False]


@pytest.mark.usefixtures("berlin")
def test_a_window_may_go_over_midnight() -> None:
    window = TimeWindow("22:00", "06:00")
    texts = ("21:59:59", "22:00", "23:59:59", "00:00", "05:59:59", "06:00")
    assert [window.contains(stamp_of(f"2026-11-25T{text}")) for text in texts] == [
        *(False, True, True, True, True, False)
    ]


@pytest.mark.usefixtures("berlin")
def test_an_hour_that_comes_twice_is_in_it_twice() -> None:
    state = WindowState(TimeWindow("02:10", "02:20"))
    first = stamp_of("2026-10-25T00:10Z")  # 02:10 in summer, an hour before 02:10 in winter
    minutes = [count for count in range(-60, 240) if state.contains(first + count * 60 * SECOND)]
    assert minutes == [*range(10), *range(60, 70)]


@pytest.mark.usefixtures("berlin")
def test_an_hour_that_is_skipped_is_not_in_it() -> None:
    skipped = stamp_of("2027-03-28T01:00Z")  # 02:00 becomes 03:00
    stamps = [skipped + count * 60 * SECOND for count in range(-120, 240)]
    inside = WindowState(TimeWindow("02:10", "02:20"))
    assert not any(inside.contains(stamp) for stamp in stamps)
    around = WindowState(TimeWindow("01:50", "03:10"))
    assert [stamp for stamp in stamps if around.contains(stamp)] == stamps[110:130]


moments = st.one_of(
    st.integers(0, 86_400 * 3),
    st.sampled_from(["2026-10-24T22:00Z", "2027-03-27T22:00Z", "2027-04-03T12:00Z"]).flatmap(
        lambda text: st.integers(0, 8 * 3600).map(lambda s: stamp_of(text) // SECOND + s)
    ),
)
times_of_day = st.times().map(lambda one: one.replace(microsecond=0)) | st.sampled_from(
    [time_of_day(hour, minute) for hour in (0, 1, 2, 3) for minute in (0, 30)]
)


@quick
@given(
    name=st.sampled_from(ZONES),
    ends=st.tuples(times_of_day, times_of_day).filter(lambda ends: ends[0] != ends[1]),
    seconds=st.lists(st.tuples(moments, st.sampled_from([0, 1, SECOND - 1])), max_size=20),
)
def test_what_is_remembered_of_a_window_is_what_the_clock_shows(
    name: str, ends: tuple[time_of_day, time_of_day], seconds: list[tuple[int, int]]
) -> None:
    start, end = ends
    with in_zone(name):
        state = WindowState(TimeWindow(start, end))
        for second, nanosecond in seconds:
            shown = datetime.fromtimestamp(second, UTC).astimezone().time()
            began, ended = shown >= start, shown >= end
            expected = began and not ended if start < end else began or not ended
            assert state.contains(second * SECOND + nanosecond) is expected
            assert state.since <= second * SECOND + nanosecond < state.until


@pytest.mark.usefixtures("berlin")
def test_the_clock_is_not_asked_for_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = time.localtime

    def localtime(seconds: float) -> time.struct_time:
        calls.append(seconds)
        return real(seconds)

    monkeypatch.setattr(time, "localtime", localtime)
    admit = Admission(active=TimeWindow("08:00", "17:00")).admit
    start = stamp_of("2026-11-25T00:00")
    reasons = [admit(ONE, start + minute * 60 * SECOND) for minute in range(1440)]
    assert reasons.count(None) == 9 * 60
    assert reasons.count(NOT_ACTIVE) == 15 * 60
    assert len(calls) == 3 * 2  # before, during, after; then, and as long as that holds


@pytest.mark.usefixtures("berlin")
def test_outside_of_its_window_a_rule_remembers_nothing() -> None:
    admit = Admission(
        active=TimeWindow("09:00", "10:00"), changes_only=True, minimum_interval=3600
    ).admit
    assert admit(ONE, at(-1)) is NOT_ACTIVE
    assert admit(ONE, at(0)) is None
    assert admit(ONE, at(1)) is UNCHANGED
    assert admit(ONE, at(3600)) is NOT_ACTIVE


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    "window", [TimeWindow("09:00", "10:00"), TimeWindow("2026-11-25T08:00Z", "2026-11-25T09:00Z")]
)
def test_a_clock_set_back_is_looked_at_again(window: TimeWindow) -> None:
    admit = Admission(active=window).admit
    seconds = (3599, 3600, 3599, 1, 0, -1, 0)
    assert [admit(ONE, at(one)) is None for one in seconds] == [
        *(True, False, True, True, True, False, True)
    ]


def test_a_window_alone_lets_everything_through() -> None:
    admit = Admission(active=TimeWindow("2026-11-25T08:00Z")).admit
    assert [admit(ONE, at(seconds)) for seconds in (-1, 0, 0)] == [NOT_ACTIVE, None, None]


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((None, None), "has a start, an end, or both"),
        (("08:00", None), "two times of day, or two dates with a time, not 08:00:00 and None"),
        ((None, "08:00"), "two times of day"),
        (("08:00", "2026-11-25"), "two times of day"),
        (("2026-11-25", "08:00"), "two times of day"),
        (("08:00", "08:00"), "from 08:00:00 to 08:00:00 is empty; .* leave it out"),
        (("08:00Z", "09:00"), r"has no time zone: 08:00:00\+00:00"),
        (("08:00", "09:00+01:00"), r"has no time zone: 09:00:00\+01:00"),
        (("2026-11-25T08:00", "2026-11-25T08:00"), "ends after its start, 2026-11-25 08:00:00"),
        (("2026-11-25T08:00Z", "2026-11-25T08:30+01:00"), "ends after its start"),
        (("soon", None), "such as '22:00' or .* such as '2026-11-25T08:00', not at 'soon'"),
        (("2026-13-01", None), "not at '2026-13-01'"),
        ((8, 17), "not at 8"),
        ((None, "9999-12-31T23:59:59-05:00"), "9999-12-31T23:59:59-05:00 is not in the years"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(ends: tuple[Any, Any], message: str) -> None:
    with pytest.raises(GatewayError, match=message):
        TimeWindow(*ends)
