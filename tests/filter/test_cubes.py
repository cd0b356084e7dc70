"""Sets of words as cubes, held against the words themselves."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anycan.exceptions import FilterError
from anycan.filter import CanFilter, is_covered, kernel_form, meet, merge, widen
from anycan.filter._cubes import subtract
from anycan.frame import Frame, RemoteFrame, XlFrame

EFF = 1 << 31
RTR = 1 << 30
STANDARD = EFF | RTR | 0x7FF
Cube = tuple[int, int]

quick = settings(max_examples=50, deadline=None, derandomize=True)

# Words of every shape that differ in a few bits, so that a set of them can be listed.
LOW = range(8)
WORDS = [
    *(number | remote for number in LOW for remote in (0, RTR)),
    *(number | vcid << 16 for number in LOW for vcid in (1, 2)),
    *(
        number | high | EFF | remote
        for number in LOW
        for high in (0, 0x10000, 0x20000, 0x1000)
        for remote in (0, RTR)
    ),
]
BITS = [1, 2, 4, 0x10000, 0x20000, 0x1000, EFF, RTR]
masks = st.sets(st.sampled_from(BITS)).map(sum)
any_cubes = st.builds(
    lambda value, mask, fixed: (value & mask, mask | (0x7F8 if fixed else 0)),
    st.sampled_from(WORDS),
    masks,
    st.booleans(),
)
cube_lists = st.lists(any_cubes, max_size=6)


def words_in(cubes: list[Cube]) -> set[int]:
    return {word for word in WORDS if any(word & mask == value for value, mask in cubes)}


@given(cube_lists)
@example([(0x10000, 0x10000 | EFF), (0x1000, 0x1000 | EFF)])
@quick
def test_merged_cubes_have_the_same_words(cubes: list[Cube]) -> None:
    merged = merge(cubes)
    assert words_in(merged) == words_in(cubes)
    assert len(merged) <= len(cubes)
    assert merged == merge(reversed(cubes)) == merge(merged)
    for one, other in combinations(merged, 2):
        assert not is_covered(one, [other])
        assert not is_covered(other, [one])
        assert one[1] != other[1] or (one[0] ^ other[0]).bit_count() != 1


@given(cube_lists, cube_lists)
@quick
def test_the_meet_has_the_words_of_both(cubes: list[Cube], others: list[Cube]) -> None:
    assert words_in(meet(cubes, others)) == words_in(cubes) & words_in(others)


@given(cube_lists, cube_lists)
@quick
def test_the_difference_has_the_words_of_one_alone(cubes: list[Cube], others: list[Cube]) -> None:
    left = subtract(cubes, others)
    assert left is not None
    assert words_in(left) == words_in(cubes) - words_in(others)
    of_one = subtract(cubes[:1], others)
    assert of_one is not None
    for one, other in combinations(of_one, 2):
        assert meet([one], [other]) == []


def test_too_much_is_not_taken_away() -> None:
    denied = [(number << 1, STANDARD) for number in range(100)]
    assert subtract([(0, 0)], denied, 50) is None
    assert subtract([(0, 0)], denied) is not None


@given(any_cubes, cube_lists)
@quick
def test_a_covered_cube_has_no_word_of_its_own(cube: Cube, cubes: list[Cube]) -> None:
    if is_covered(cube, cubes):
        assert words_in([cube]) <= words_in(cubes)
    assert is_covered(cube, [*cubes, (0, 0)])


@given(cube_lists)
@quick
def test_the_kernels_form_takes_the_words(cubes: list[Cube]) -> None:
    cubes = merge(cubes)
    filters, exact = kernel_form(cubes)
    frames: list[Frame | RemoteFrame | XlFrame] = [
        *(Frame(number) for number in LOW),
        *(RemoteFrame(number) for number in LOW),
        *(XlFrame(number, b"x", vcid=vcid) for number in LOW for vcid in (1, 2)),
        *(Frame(number | high, extended=True) for number in LOW for high in (0, 0x1000, 0x30000)),
    ]
    for frame in frames:
        within = any(frame.can_id & mask == value for value, mask in cubes)
        passes = any(one.matches(frame) for one in filters)
        assert passes or not within
        if exact:
            assert passes is within
    assert len(filters) <= len(cubes)
    assert exact is (filters == tuple(CanFilter(*cube) for cube in dict.fromkeys(cubes)))


def test_the_kernel_leaves_out_the_vcid_of_an_11_bit_identifier() -> None:
    filters, exact = kernel_form([(0x450123, STANDARD | 0xFF0000)])
    assert filters == (CanFilter(0x123, STANDARD),)
    assert not exact


def count(cubes: list[Cube]) -> int:
    """Count data and remote words with 11-bit identifiers, one by one."""
    return sum(
        any(word & mask == value for value, mask in cubes)
        for number in range(0x800)
        for word in (number, number | RTR)
    )


small = st.builds(
    lambda value, mask: (value & mask, mask | EFF | RTR | 0x7C0),
    st.integers(0, 0x3F),
    st.sampled_from([0x3F, 0x3F, 0x3F, 0x3E, 0x3D, 0x3C]),
)


@given(st.lists(small, min_size=2, max_size=7, unique=True))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_one_widening_adds_the_fewest_words(cubes: list[Cube]) -> None:
    merged = merge(cubes)
    if len(merged) < 2:
        return

    def added(one: Cube, other: Cube) -> tuple[int, Cube]:
        mask = one[1] & other[1] & ~(one[0] ^ other[0])
        around = (one[0] & mask, mask)
        free = ~mask & 0x7FF
        size = 1 << free.bit_count()
        both = {
            number
            for number in range(0x40)
            if any(number & m & 0x7FF == v for v, m in (one, other))
        }
        return size - len(both), around

    least = min(added(one, other)[0] for one, other in combinations(merged, 2))
    wider = widen(cubes, len(merged) - 1)
    new = [cube for cube in wider if cube not in merged]
    assert len(new) == 1
    assert any(added(one, other) == (least, new[0]) for one, other in combinations(merged, 2))


@given(st.lists(any_cubes, min_size=1, max_size=12), st.integers(1, 6))
@quick
def test_widening_covers(cubes: list[Cube], limit: int) -> None:
    wider = widen(cubes, limit)
    assert len(wider) <= limit
    assert words_in(cubes) <= words_in(wider)
    for cube in merge(cubes):
        assert is_covered(cube, wider)
    if len(merge(cubes)) <= limit:
        assert wider == merge(cubes)


def test_widening_very_many() -> None:
    cubes = [(EFF | number * 0x3701 % 0x1FFFFFFF, 0xDFFFFFFF) for number in range(1500)]
    wider = widen(cubes, 40)
    assert len(wider) <= 40
    for cube in cubes[::7]:
        assert is_covered(cube, wider)


def test_widening_joins_what_is_near() -> None:
    near = [(number, STANDARD) for number in (0, 3, 0x700, 0x703)]
    assert widen(near, 2) == [(0, STANDARD & ~3), (0x700, STANDARD & ~3)]
    assert count(widen(near, 2)) == 8
    assert widen([(1, STANDARD), (EFF | 1, 0xDFFFFFFF), (3, STANDARD)], 2) == [
        (1, STANDARD & ~2),
        (EFF | 1, 0xDFFFFFFF),
    ]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_one_or_more(limit: int) -> None:
    with pytest.raises(FilterError, match=f"a limit of kernel filters is 1 or more, not {limit}"):
        widen([(0, 0)], limit)
