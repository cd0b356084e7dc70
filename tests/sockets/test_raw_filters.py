"""What a raw socket is to receive, parted into what the kernel does and what is left."""

from __future__ import annotations

from typing import Any

import pytest

from anycan.exceptions import FilterError
from anycan.filter import CanFilter, Filter, byte
from anycan.frame import ErrorClass, ErrorFrame, FdFrame, Frame
from anycan.sockets.raw_filters import RawFilters, resolve_filters

PAYLOAD = Filter.id(1) & (byte(0) == 1)
SCATTERED = [Filter.id(3 * number, extended=True) for number in range(513)]


def union(filters: list[Filter]) -> Filter:
    if len(filters) == 1:
        return filters[0]
    middle = len(filters) // 2  # by halves, which is much faster than one after the other
    return union(filters[:middle]) | union(filters[middle:])


def test_nothing_said_is_everything() -> None:
    assert resolve_filters(None, 0) == RawFilters(None, 0, None, None)
    assert resolve_filters(None, ErrorClass.BUS_OFF) == RawFilters(None, 0x40, None, None)
    assert resolve_filters(None, 0, joined=True) == RawFilters(None, 0, None, None)


@pytest.mark.parametrize(
    ("filters", "kernel", "wanted"),
    [
        (Filter.id(1), (CanFilter(1, 0xC00007FF),), Filter.id(1)),
        (Filter.id(2) | Filter.id(3), (CanFilter(2, 0xC00007FE),), Filter.range(2, 3)),
        (Filter.none(), (), Filter.none()),
        ([], (), Filter.none()),
        (CanFilter(1, 0x7FF), (CanFilter(1, 0x7FF),), Filter.parse("001:7FF")),
        (
            [CanFilter(1, 0x7FF), CanFilter(1, 0x7FF)],  # as they are written
            (CanFilter(1, 0x7FF), CanFilter(1, 0x7FF)),
            Filter.parse("001:7FF"),
        ),
        (
            CanFilter(1, 0x7FF, inverted=True),
            (CanFilter(1, 0x7FF, inverted=True),),
            Filter.parse("001~7FF"),
        ),
        (
            [Filter.id(5), CanFilter(2, 0x7FE)],
            (CanFilter(5, 0xC00007FF), CanFilter(2, 0x7FE)),
            Filter.id(5) | Filter.parse("002:7FE"),
        ),
        ((Filter.id(1),), (CanFilter(1, 0xC00007FF),), Filter.id(1)),
        ({Filter.id(1)}, (CanFilter(1, 0xC00007FF),), Filter.id(1)),
        (iter([Filter.id(1)]), (CanFilter(1, 0xC00007FF),), Filter.id(1)),
        (Filter.errors(), (), Filter.errors()),
    ],
)
def test_what_the_kernel_does_alone(
    filters: Any, kernel: tuple[CanFilter, ...], wanted: Filter
) -> None:
    resolved = resolve_filters(filters, 0)
    assert resolved.kernel == kernel
    assert resolved.wanted == wanted
    assert resolved.rest is None


@pytest.mark.parametrize(
    ("filters", "kernel", "rest"),
    [
        (PAYLOAD, (CanFilter(1, 0xC00007FF),), PAYLOAD),
        ([PAYLOAD], (CanFilter(1, 0xC00007FF),), PAYLOAD),
        (iter([PAYLOAD]), (CanFilter(1, 0xC00007FF),), PAYLOAD),
        (
            [PAYLOAD, CanFilter(8, 0xC00007F8)],
            (CanFilter(1, 0xC00007FF), CanFilter(8, 0xC00007F8)),
            PAYLOAD | Filter.range(8, 15),
        ),
        (Filter.fd(), (CanFilter(0, 0x40000000),), Filter.fd()),
        (Filter.interface("can0"), (CanFilter(0, 0),), Filter.interface("can0")),
    ],
)
def test_what_is_left_is_matched_here(
    filters: Any, kernel: tuple[CanFilter, ...], rest: Filter
) -> None:
    resolved = resolve_filters(filters, 0)
    assert resolved.kernel is not None
    assert sorted(resolved.kernel, key=str) == sorted(kernel, key=str)
    assert resolved.rest == rest
    assert resolved.wanted == rest


@pytest.mark.parametrize("filters", [union(SCATTERED), [*SCATTERED, CanFilter(1, 1)]])
def test_more_than_a_socket_takes_are_widened(filters: Any) -> None:
    resolved = resolve_filters(filters, 0)
    assert resolved.kernel is not None
    assert 0 < len(resolved.kernel) <= 512
    for one in SCATTERED[::50]:
        assert resolved.rest is not None
        (only,) = one.to_kernel()
        frame = Frame(only.id & 0x1FFFFFFF, extended=True)
        assert resolved.rest.matches(frame)
        assert any(passes(kernel, frame) for kernel in resolved.kernel)
    assert resolved.rest == resolved.wanted


def passes(one: CanFilter, frame: Frame) -> bool:
    return (frame.can_id & one.mask == one.id & one.mask) is not one.inverted


def test_512_are_taken_as_they_are() -> None:
    resolved = resolve_filters(SCATTERED[:512], 0)
    assert resolved.kernel is not None
    assert (len(resolved.kernel), resolved.rest) == (512, None)


def test_those_of_the_kernels_own_form_are_not_touched_however_many() -> None:
    # The socket refuses them: who writes these means them to the letter.
    given = [CanFilter(number, 0x7FF) for number in range(513)]
    resolved = resolve_filters(given, 0)
    assert resolved.kernel == tuple(given)
    assert resolved.rest is None


class TestErrors:
    @pytest.mark.parametrize(
        ("filters", "asked", "classes", "kernel"),
        [
            (Filter.errors(4), 0, 4, ()),
            (Filter.errors(4), 2, 6, ()),
            (Filter.errors(4) | Filter.id(1), 8, 12, (CanFilter(1, 0xC00007FF),)),
            ([Filter.errors(4), Filter.errors(2)], 0, 6, ()),
            ([Filter.errors(4), CanFilter(1, 0x7FF)], 0, 4, (CanFilter(1, 0x7FF),)),
            (Filter.id(1), ErrorClass.ALL, 0x1FFFFFFF, (CanFilter(1, 0xC00007FF),)),
        ],
    )
    def test_classes_that_are_named_are_asked_for(
        self, filters: Any, asked: int, classes: int, kernel: tuple[CanFilter, ...]
    ) -> None:
        resolved = resolve_filters(filters, asked)
        assert (resolved.errors, resolved.kernel, resolved.rest) == (classes, kernel, None)

    def test_those_asked_for_are_not_refused_by_what_is_left(self) -> None:
        resolved = resolve_filters(PAYLOAD | Filter.errors(4), 2)
        assert resolved.errors == 6
        assert resolved.rest is not None
        assert [resolved.rest.matches(ErrorFrame(one)) for one in (2, 4, 8)] == [True, True, False]
        assert resolved.rest.matches(Frame(1, b"\1"))
        assert not resolved.rest.matches(FdFrame(1, b"\2"))

    def test_what_is_asked_beside_a_class_is_left(self) -> None:
        wanted = Filter.errors(4) & Filter.interface("can0")
        resolved = resolve_filters(wanted, 0)
        assert (resolved.kernel, resolved.errors, resolved.rest) == ((), 4, wanted)

    @pytest.mark.parametrize("classes", [-1, 0x20000000])
    @pytest.mark.parametrize("filters", [None, Filter.id(1), PAYLOAD])
    def test_out_of_range(self, classes: int, filters: Any) -> None:
        with pytest.raises(
            FilterError, match=f"error classes are 0 to 0x1FFFFFFF, not {classes:#x}"
        ):
            resolve_filters(filters, classes)


class TestJoined:
    def test_what_the_kernel_can_join(self) -> None:
        given: list[Filter | CanFilter] = [CanFilter(0, 1), CanFilter(2, 2), Filter.id(2)]
        resolved = resolve_filters(given, 0, joined=True)
        assert resolved.kernel == (CanFilter(0, 1), CanFilter(2, 2), CanFilter(2, 0xC00007FF))
        assert resolved.rest is None

    @pytest.mark.parametrize(
        "filters",
        [
            PAYLOAD,
            [CanFilter(0, 1), PAYLOAD],
            SCATTERED,
            # Several of the kernel's, of which a frame can pass one at most, or need not pass all.
            Filter.range(0x0FF, 0x180),
            [Filter.range(0x0FF, 0x180), ~Filter.id(0x123)],
            [CanFilter(0, 1), Filter.id(2) | Filter.id(5)],
            Filter.none(),
        ],
    )
    def test_what_it_cannot(self, filters: Any) -> None:
        with pytest.raises(
            FilterError, match=r"write what is to hold together as one filter, a & b"
        ):
            resolve_filters(filters, 0, joined=True)

    def test_what_is_wanted_is_what_passes_all_of_them(self) -> None:
        # There is no one filter that says so; their union would take what passes any.
        assert resolve_filters([CanFilter(0, 1), CanFilter(2, 2)], 0, joined=True).wanted is None
        assert resolve_filters([CanFilter(0, 1), CanFilter(2, 2)], 0).wanted is not None


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ("123:7FF", r"filters is a Filter, a CanFilter or several of them, not '123:7FF'"),
        (0x123, r"write Filter.id\(0x123\)"),
        ([Filter.id(1), 0x123], r"filters\[1\] is a Filter"),
        ([None], r"filters\[0\] is a Filter"),
        (1.5, "not 1.5"),
    ],
)
def test_what_is_no_filter(filters: Any, words: str) -> None:
    with pytest.raises(FilterError, match=words):
        resolve_filters(filters, 0)
