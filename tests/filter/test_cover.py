"""What a kernel is asked for, held against every 11-bit identifier and samples of 29-bit ones."""

from __future__ import annotations

import random
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.filter import CanFilter, Cover, Filter, byte
from anycan.frame import AnyFrame, ErrorClass, ErrorFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from collections.abc import Iterable

EFF = 1 << 31
RTR = 1 << 30
STANDARD = EFF | RTR | 0x7FF
EXTENDED = EFF | RTR | 0x1FFFFFFF

_random = random.Random(1)
WIDE = sorted({0, 1, 0x7FF, 0x800, 0x1FFFFFFF, *(_random.randrange(1 << 29) for _ in range(40))})
ALL_FRAMES: list[AnyFrame] = [
    *(Frame(number) for number in range(0x800)),
    *(RemoteFrame(number) for number in range(0x800)),
    *(Frame(number, extended=True) for number in WIDE),
    *(RemoteFrame(number, extended=True) for number in WIDE),
    *(XlFrame(number, b"x", vcid=vcid) for number in (0, 1, 0x123, 0x7FF) for vcid in (1, 0xFF)),
]
DATA_WORDS = [(frame, frame.can_id) for frame in ALL_FRAMES]

_small = st.integers(0, 0x7FF)
_wide = st.sampled_from(WIDE)
words: st.SearchStrategy[Filter] = st.recursive(
    st.one_of(
        st.builds(Filter.id, _small),
        st.builds(Filter.id, _wide, extended=st.just(True)),
        st.builds(Filter.mask, _small, _small),
        st.builds(lambda a, b: Filter.range(min(a, b), max(a, b)), _small, _small),
        st.builds(lambda a, b: Filter.range(min(a, b), max(a, b), extended=True), _wide, _wide),
        st.builds(Filter.remote, _small),
        st.sampled_from(
            [
                *(Filter.all(), Filter.none(), Filter.remote()),
                *(Filter.standard(), Filter.extended()),
                *map(Filter.parse, ("123:7FF", "00000123~1FFFFFFF", "1:80000001")),
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.builds(or_, inner, inner), st.builds(and_, inner, inner), inner.map(lambda one: ~one)
    ),
    max_leaves=5,
)


@given(words)
@settings(max_examples=9, deadline=None, derandomize=True)
def test_a_filter_of_words_is_decided_by_the_kernel(wanted: Filter) -> None:
    cover = wanted.cover()
    assert cover.exact
    assert wanted.by_word
    assert wanted.kernel_decides() is (len(wanted.to_kernel(100_000)) <= 512)
    filters = wanted.to_kernel(100_000)
    for frame, word in DATA_WORDS:
        taken = wanted.matches(frame)
        assert any(word & mask == value for value, mask in cover.cubes) is taken
        assert any(one.matches(frame) for one in filters) is taken


@given(words, st.integers(1, 4))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_a_limit_is_kept_by_taking_more(wanted: Filter, limit: int) -> None:
    filters = wanted.to_kernel(limit)
    assert len(filters) <= limit
    for frame, _ in DATA_WORDS[::3]:
        if wanted.matches(frame):
            assert any(one.matches(frame) for one in filters)
    for value, mask in wanted.cover().cubes:
        assert value & ~mask == 0


NOT_EXACT = [
    (Filter.classical(), ((0, 0),)),
    (Filter.fd(), ((0, RTR),)),
    (Filter.xl(), ((0, EFF | RTR),)),
    (Filter.xl(1), ((1, STANDARD),)),
    (Filter.xl(1, vcid=2), ((1, STANDARD),)),
    (Filter.xl(vcid=2), ((0, EFF | RTR),)),
    (byte(0) == 1, ((0, RTR),)),
    (Filter.length(1), ((0, RTR),)),
    (Filter.interface("can0"), ((0, 0),)),
    (Filter.where(print), ((0, 0),)),
    (~(byte(0) == 1), ((0, 0),)),
    (~Filter.classical(), ((0, RTR),)),
    (Filter.id(1) & (byte(0) == 1), ((1, STANDARD),)),
    (Filter.id(1) & ~Filter.interface("can0"), ((1, STANDARD),)),
    (Filter.id(1) & Filter.fd() | Filter.id(2), ((1, STANDARD), (2, STANDARD))),
]


@pytest.mark.parametrize(("wanted", "cubes"), NOT_EXACT, ids=str)
def test_what_words_do_not_say(wanted: Filter, cubes: tuple[tuple[int, int], ...]) -> None:
    assert wanted.cover() == Cover(cubes, exact=False, errors=0, errors_exact=True)
    assert not wanted.kernel_decides()


@pytest.mark.parametrize(
    ("wanted", "cubes"),
    [
        (Filter.all(), ((0, 0),)),
        (Filter.none(), ()),
        (~Filter.none(), ((0, 0),)),
        (Filter.length(minimum=0), ((0, RTR),)),
        (Filter.id(1) | Filter.id(1) & (byte(0) == 1), ((1, STANDARD),)),
        (Filter.classical() & Filter.remote(1), ((RTR | 1, STANDARD),)),
        (Filter.remote() & (byte(0) == 1), ()),
        (Filter.extended() - Filter.xl(), ((EFF, EFF),)),
        (Filter.all() | Filter.where(print), ((0, 0),)),
        (Filter.parse("450123:FF07FF") & Filter.standard(), ((0x450123, 0x80FF07FF),)),
    ],
    ids=str,
)
def test_what_words_say_after_all(wanted: Filter, cubes: tuple[tuple[int, int], ...]) -> None:
    assert wanted.cover() == Cover(cubes, exact=True, errors=0, errors_exact=True)


def test_the_kernel_is_not_told_of_a_vcid_with_11_bits() -> None:
    wanted = Filter.parse("450123:FF07FF") & Filter.standard()
    assert not wanted.kernel_decides()
    assert wanted.to_kernel() == (CanFilter(0x123, EFF | 0x7FF),)


def test_a_denied_identifier_is_an_inverted_filter() -> None:
    denied = CanFilter(0x123, STANDARD, inverted=True)
    assert (~Filter.mask(0x123, 0x7FF)).to_kernel() == (denied,)
    assert (~Filter.id(0x123) | Filter.id(0x456)).to_kernel() == (
        CanFilter(0x456, STANDARD),
        denied,
    )
    assert (~(Filter.id(0) | Filter.id(1))).to_kernel() == (
        CanFilter(0, STANDARD & ~1, inverted=True),
    )
    assert (~Filter.id(0x123)).to_kernel(1) == (denied,)
    assert (~Filter.id(0x123) | Filter.id(0x456)).to_kernel(1) == (CanFilter(0, 0),)
    assert (~Filter.id(0x123)).kernel_decides(1)
    assert (~Filter.all()).to_kernel() == ()
    assert len((~Filter.id(0x123)).cover().cubes) > 10


def test_a_hundred_denied_identifiers_stay_exact() -> None:
    numbers = random.Random(2).sample(range(0x800), 100)
    wanted = ~_any(Filter.id(number) for number in numbers)
    cover = wanted.cover()
    assert cover.exact
    taken = {
        number
        for number in range(0x800)
        if any(number & mask == value for value, mask in cover.cubes)
    }
    assert taken == set(range(0x800)) - set(numbers)


def _any(filters: Iterable[Filter]) -> Filter:
    return reduce(or_, filters)


def test_thousands_of_identifiers_on_both_sides() -> None:
    one = _any(Filter.id(number * 7, extended=True) for number in range(1000))
    other = _any(Filter.id(number * 5, extended=True) for number in range(1000))
    cover = (one & other).cover()
    assert cover.exact
    assert {value & 0x1FFFFFFF for value, mask in cover.cubes} == set(range(0, 4997, 35))


def test_what_is_too_much_is_left_out() -> None:
    wide = Filter.extended()
    for number in range(13):
        bit = 1 << 2 * number
        wide &= Filter.parse(f"{bit:07X}:{bit:X}") | Filter.parse(f"{bit << 1:09X}:{bit << 1:X}")
    cover = wide.cover()
    assert not cover.exact
    assert not wide.kernel_decides(10_000)
    for frame, word in DATA_WORDS:
        if wide.matches(frame):
            assert any(word & mask == value for value, mask in cover.cubes)
    assert wide.cover() is cover


@pytest.mark.parametrize(
    ("wanted", "errors", "exact"),
    [
        (Filter.id(1), 0, True),
        (~Filter.id(1), 0, True),
        (~Filter.errors(), 0, True),
        (Filter.errors(6), 6, True),
        (Filter.errors(6) | Filter.errors(8) | Filter.id(1), 14, True),
        (Filter.errors(6) & Filter.errors(4), 4, True),
        (Filter.errors(6) & Filter.errors(12), 6, False),  # one with 2 and 8 is taken
        (Filter.errors(6) - Filter.errors(4), 2, False),
        (Filter.errors(4) - Filter.errors(6), 0, True),
        (Filter.errors(6) & ~Filter.id(1), 6, True),
        (Filter.errors(6) & Filter.id(1), 0, True),
        (Filter.errors(6) & Filter.interface("can0"), 6, False),
        (Filter.errors(6) | Filter.interface("can0"), 6, True),
        (Filter.errors(6) & Filter.where(print), 0, True),
        (Filter.errors(6) & Filter.where(print, errors=True), 6, False),
        (Filter.errors(6) & (Filter.errors(2) | ~Filter.id(1)), 6, True),
    ],
    ids=str,
)
def test_errors(wanted: Filter, errors: int, exact: bool) -> None:
    cover = wanted.cover()
    assert (cover.errors, cover.errors_exact) == (errors, exact)
    assert wanted.to_errors() == ErrorClass(errors)
    for classes in range(16):
        frame = ErrorFrame(classes, interface="can0")
        if Filter.where(print, errors=True) != wanted and not wanted.needs_frame:
            assert classes & errors or not wanted.matches(frame)
            if exact:
                assert bool(classes & errors) is wanted.matches(frame)
