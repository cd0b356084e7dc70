"""The algebra's laws, held against an evaluator of its own.

The evaluator takes a filter apart into alternatives, each of them conditions with a sign, and asks
these of the frame's attributes. ``Made`` is a filter together with what it was made of.
"""

from __future__ import annotations

import copy
import operator
import pickle
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anycan.exceptions import FilterError
from anycan.filter import CanFilter, Filter, byte, kind_of
from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

quick = settings(max_examples=60, deadline=None, derandomize=True)

DATA = (Frame, FdFrame, XlFrame)


def is_even(frame: AnyFrame) -> bool:
    return frame.id % 2 == 0


NAMES = {"Filter": Filter, "byte": byte, "is_even": is_even}


@attrs.frozen
class Asked:
    """A condition of the model: how it is written, and what it asks of a frame."""

    text: str
    holds: Callable[[Any], bool] = attrs.field(eq=False)
    names_errors: bool = False


@attrs.frozen
class Made:
    """A filter, and its alternatives when it is meant and when it is not."""

    filter: Filter
    ways: frozenset[frozenset[tuple[Asked, bool]]]
    other_ways: frozenset[frozenset[tuple[Asked, bool]]]

    def takes(self, frame: AnyFrame) -> bool:
        for way in self.ways:
            holds = all(asked.holds(frame) is sign for asked, sign in way)
            named = any(asked.names_errors and sign for asked, sign in way)
            if holds and (named or not isinstance(frame, ErrorFrame)):
                return True
        return False


Ways = frozenset[frozenset[tuple[Asked, bool]]]


def cross(one: Ways, other: Ways) -> Ways:
    return frozenset(a | b for a in one for b in other)


def union(one: Made, other: Made) -> Made:
    return Made(
        one.filter | other.filter, one.ways | other.ways, cross(one.other_ways, other.other_ways)
    )


def intersection(one: Made, other: Made) -> Made:
    return Made(
        one.filter & other.filter, cross(one.ways, other.ways), one.other_ways | other.other_ways
    )


def opposite(one: Made) -> Made:
    return Made(~one.filter, one.other_ways, one.ways)


def difference(one: Made, other: Made) -> Made:
    return Made(
        one.filter - other.filter,
        cross(one.ways, other.other_ways),
        one.other_ways | other.ways,
    )


def made(asked: Asked) -> Made:
    one: Filter = eval(asked.text, dict(NAMES))  # noqa: S307 - written right here
    return Made(
        one, frozenset({frozenset({(asked, True)})}), frozenset({frozenset({(asked, False)})})
    )


def is_data(frame: AnyFrame, extended: bool | None = None) -> bool:
    if not isinstance(frame, DATA):
        return False
    is_extended = not isinstance(frame, XlFrame) and frame.extended
    return extended is None or is_extended is extended


def is_standard(frame: AnyFrame) -> bool:
    return not isinstance(frame, ErrorFrame) and not getattr(frame, "extended", False)


def byte_at(place: int, frame: AnyFrame) -> int:
    return frame.data[place] if is_data(frame) and len(frame.data) > place else -1


def error_bits(frame: AnyFrame) -> int:
    return frame.id if isinstance(frame, ErrorFrame) else 0


ATOMS = [
    Asked("Filter.id(1)", lambda f: is_data(f, False) and f.id == 1),
    Asked("Filter.id(2)", lambda f: is_data(f, False) and f.id == 2),
    Asked("Filter.id(1, extended=True)", lambda f: is_data(f, True) and f.id == 1),
    Asked("Filter.range(1, 6)", lambda f: is_data(f, False) and 1 <= f.id <= 6),
    Asked("Filter.range(0x7FF, 0x1000)", lambda f: is_data(f, True) and 0x7FF <= f.id <= 0x1000),
    Asked("Filter.mask(0, 0x7FE)", lambda f: is_data(f, False) and f.id < 2),
    Asked("Filter.remote()", lambda f: isinstance(f, RemoteFrame)),
    Asked("Filter.remote(1)", lambda f: isinstance(f, RemoteFrame) and f.can_id == 0x40000001),
    Asked("Filter.standard()", is_standard),
    Asked("Filter.extended()", lambda f: bool(getattr(f, "extended", False))),
    Asked("Filter.classical()", lambda f: isinstance(f, Frame | RemoteFrame)),
    Asked("Filter.fd()", lambda f: isinstance(f, FdFrame)),
    Asked("Filter.xl()", lambda f: isinstance(f, XlFrame)),
    Asked("Filter.xl(1, vcid=5)", lambda f: isinstance(f, XlFrame) and f.can_id == 0x50001),
    Asked("Filter.errors()", lambda f: error_bits(f) != 0, names_errors=True),
    Asked("Filter.errors(6)", lambda f: error_bits(f) & 6 != 0, names_errors=True),
    Asked("Filter.errors(4)", lambda f: error_bits(f) & 4 != 0, names_errors=True),
    Asked("Filter.interface('can0')", lambda f: f.interface == "can0"),
    Asked("Filter.interface('can0', 'can1')", lambda f: f.interface in {"can0", "can1"}),
    Asked("byte(0) == 1", lambda f: byte_at(0, f) == 1),
    Asked("byte(0) != 1", lambda f: byte_at(0, f) not in {-1, 1}),
    Asked("(byte(1) & 0xF0) == 0x20", lambda f: byte_at(1, f) >> 4 == 2),
    Asked("Filter.data(b'\\1\\2')", lambda f: is_data(f) and f.data[:2] == b"\1\2"),
    Asked("Filter.length(2)", lambda f: is_data(f) and len(f.data) == 2),
    Asked("Filter.length(minimum=1)", lambda f: is_data(f) and len(f.data) >= 1),
    Asked("Filter.where(is_even)", lambda f: not isinstance(f, ErrorFrame) and is_even(f)),
    Asked("Filter.where(is_even, errors=True)", is_even),
    Asked("Filter.all()", lambda f: not isinstance(f, ErrorFrame)),
    Asked("Filter.none()", lambda _: False),
]

atoms = st.sampled_from(ATOMS).map(made)
filters: st.SearchStrategy[Made] = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(union, inner, inner),
        st.builds(intersection, inner, inner),
        st.builds(difference, inner, inner),
        st.builds(opposite, inner),
    ),
    max_leaves=5,
)
_ids = st.sampled_from([0, 1, 2, 3, 6, 7, 0x7FF])
_all_ids = _ids | st.sampled_from([0x800, 0x1000, 0x1001, 0x1FFFFFFF])
_data = st.sampled_from([b"", b"\1", b"\1\2", b"\1\x20", b"\2\x2f\1", bytes(8)])
_interfaces = st.sampled_from([None, "can0", "can1", "can2"])
_extended = st.sampled_from([None, True])
frames: st.SearchStrategy[AnyFrame] = st.one_of(
    st.builds(Frame, _all_ids, _data, extended=_extended, interface=_interfaces),
    st.builds(FdFrame, _all_ids, _data, extended=_extended, interface=_interfaces),
    st.builds(RemoteFrame, _all_ids, extended=_extended, interface=_interfaces),
    st.builds(
        XlFrame, _ids, _data.filter(bool), vcid=st.sampled_from([0, 5]), interface=_interfaces
    ),
    st.builds(ErrorFrame, st.sampled_from([0, 2, 4, 6, 8, 1 << 28]), interface=_interfaces),
)
several_frames = st.lists(frames, min_size=1, max_size=12)


def samples() -> Iterator[AnyFrame]:
    """Give frames of every kind that differ in what the conditions ask."""
    for interface in (None, "can0", "can1"):
        for number in (0, 1, 2, 7, 0x7FF, 0x1000):
            for data in (b"", b"\1", b"\1\2", b"\2\x2f"):
                yield Frame(number, data, interface=interface)
                yield FdFrame(number, data, interface=interface, extended=True)
            yield RemoteFrame(number, interface=interface)
        for vcid in (0, 5):
            yield XlFrame(1, b"\1\2", vcid=vcid, interface=interface)
        for classes in (0, 2, 4, 6, 8):
            yield ErrorFrame(classes, interface=interface)


SAMPLES = list(samples())


@pytest.mark.parametrize("atom", ATOMS, ids=lambda atom: atom.text)
def test_a_condition_takes_what_it_says(atom: Asked) -> None:
    one = made(atom)
    for frame in SAMPLES:
        assert one.filter.matches(frame) is one.takes(frame), frame
        assert (~one.filter).matches(frame) is opposite(one).takes(frame), frame


@given(filters, several_frames)
@quick
def test_a_filter_takes_what_its_alternatives_take(one: Made, some: list[AnyFrame]) -> None:
    for frame in some:
        assert one.filter.matches(frame) is one.takes(frame)


@given(filters, filters, several_frames)
@quick
def test_data_and_remote_frames_are_plain_logic(
    one: Made, other: Made, some: list[AnyFrame]
) -> None:
    a, b = one.filter, other.filter
    for frame in some:
        if isinstance(frame, ErrorFrame):
            assert (a | b).matches(frame) is (a.matches(frame) or b.matches(frame))
            continue
        assert (~a).matches(frame) is not a.matches(frame)
        assert (a | b).matches(frame) is (a.matches(frame) or b.matches(frame))
        assert (a & b).matches(frame) is (a.matches(frame) and b.matches(frame))
        assert (a - b).matches(frame) is (a.matches(frame) and not b.matches(frame))


@given(filters, filters, filters)
@quick
def test_equal_filters(one: Made, other: Made, third: Made) -> None:
    a, b, c = one.filter, other.filter, third.filter
    pairs = [
        (~~a, a),
        (a | b, b | a),
        (a & b, b & a),
        (a | (b | c), (a | b) | c),
        (a & (b & c), (a & b) & c),
        (a | a, a),
        (a & a, a),
        (~(a | b), ~a & ~b),
        (~(a & b), ~a | ~b),
        (a - b, a & ~b),
        (a | Filter.none(), a),
        (a - Filter.none(), a),
    ]
    for left, right in pairs:
        assert left == right
        assert hash(left) == hash(right)


@given(filters)
@example(made(Asked("Filter.data(bytes(range(12)), bytes(12), offset=3)", is_even)))
@quick
def test_its_code_makes_an_equal_filter(one: Made) -> None:
    assert eval(repr(one.filter), dict(NAMES)) == one.filter  # noqa: S307 - what is shown


@given(filters, several_frames)
@quick
def test_candumps_notation_takes_the_same_frames(one: Made, some: list[AnyFrame]) -> None:
    try:
        text = one.filter.to_candump()
    except FilterError:
        assert not one.filter.kernel_decides()
        assert str(one.filter) == repr(one.filter)
        return
    assert one.filter.kernel_decides()
    assert str(one.filter) == text
    for frame in some:
        assert Filter.parse(text).matches(frame) is one.filter.matches(frame)


def passes_kernel(one: Filter, frame: AnyFrame, limit: int) -> bool:
    """Tell whether a socket with these filters and this error mask receives a frame."""
    if isinstance(frame, ErrorFrame):
        return frame.id & int(one.to_errors()) != 0
    return any(part.matches(frame) for part in one.to_kernel(limit))


@given(filters, several_frames, st.sampled_from([1, 2, 512]))
@quick
def test_what_it_takes_passes_the_kernel(one: Made, some: list[AnyFrame], limit: int) -> None:
    wanted, cover = one.filter, one.filter.cover()
    assert len(wanted.to_kernel(limit)) <= limit
    for frame in some:
        taken = wanted.matches(frame)
        passes = passes_kernel(wanted, frame, limit)
        assert passes or not taken
        if wanted.kernel_decides(limit):
            assert passes is taken
        if isinstance(frame, ErrorFrame):
            covered, exact = frame.id & cover.errors != 0, cover.errors_exact
        else:
            covered = any(frame.can_id & mask == value for value, mask in cover.cubes)
            exact = cover.exact
        assert covered or not taken
        if exact:
            assert covered is taken


@given(filters, several_frames)
@quick
def test_what_is_left_at_an_interface(one: Made, some: list[AnyFrame]) -> None:
    left = one.filter.at_interface("can0")
    assert "interface" not in repr(left)
    for frame in some:
        if frame.interface == "can0":
            assert left.matches(frame) is one.filter.matches(frame)


@given(filters, several_frames)
@quick
def test_what_decides(one: Made, some: list[AnyFrame]) -> None:
    test = one.filter.test
    for frame in some:
        word, data = frame.can_id, frame.data
        kind = kind_of(frame)
        if not one.filter.needs_frame:
            assert test(kind, word, data, frame.interface, None) is one.filter.matches(frame)
        if one.filter.by_word and not isinstance(frame, ErrorFrame):
            assert test(1, word, b"", None, None) is one.filter.matches(frame)


@given(filters, several_frames)
@quick
def test_a_contradiction_matches_nothing(one: Made, some: list[AnyFrame]) -> None:
    if one.filter.contradiction() is not None:
        for frame in [*some, *SAMPLES]:
            assert not one.filter.matches(frame)


@given(filters)
@quick
def test_filters_are_copied_and_pickled(one: Made) -> None:
    assert one.filter.test is one.filter.test
    assert copy.deepcopy(one.filter) == one.filter
    if not one.filter.needs_frame:
        assert pickle.loads(pickle.dumps(one.filter)) == one.filter  # noqa: S301 - our own


@pytest.mark.parametrize("join", [operator.or_, operator.and_, operator.sub])
@pytest.mark.parametrize("other", [CanFilter(1, 2), 1, None, "123:7FF"])
def test_filters_join_with_filters_alone(join: Callable[[Any, Any], Any], other: object) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        join(Filter.id(1), other)
    with pytest.raises(TypeError, match="unsupported operand"):
        join(other, Filter.id(1))


def test_filters_are_not_joined_by_pythons_words() -> None:
    with pytest.raises(TypeError, match=r"join filters by & \| ~, not by and/or/not"):
        bool(Filter.id(1))
    with pytest.raises(TypeError, match=r"join filters by & \| ~, not by and/or/not"):
        any([Filter.id(1), Filter.id(2)])
    assert Filter.id(1) != "x"
