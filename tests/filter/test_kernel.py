"""One kernel filter: the kernel's rule, and candump's notation.

``kernel_takes`` is a model of its own of what ``net/can/af_can.c`` does with one filter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anycan.exceptions import FilterError, ParseError
from anycan.filter import CanFilter, Filter, kernel_filters
from anycan.frame import AnyFrame, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from collections.abc import Iterable

EFF = 1 << 31
RTR = 1 << 30
ERR = 1 << 29

quick = settings(max_examples=40, deadline=None, derandomize=True)


def kernel_takes(word: int, identifier: int, mask: int, inverted: bool) -> bool:
    """Tell whether a receiver with a filter gets a frame with a word."""
    if mask & ERR:  # the list of error frames
        return bool(word & ERR) and bool(word & mask & 0x1FFFFFFF)
    if word & ERR:  # which no other list gets
        return False
    if mask & EFF and not identifier & EFF:
        mask &= 0x7FF | EFF | RTR
    agrees = all(
        (word >> bit & 1) == (identifier >> bit & 1) for bit in range(32) if mask >> bit & 1
    )
    return not agrees if inverted else agrees


# Words that share bits, so that frames match often: few identifiers, all flags.
_near = st.sampled_from([0, 1, 0x123, 0x122, 0x7FF, 0x800, 0x12345123, 0x1FFFFFFF])
_flags = st.sets(st.sampled_from([EFF, RTR, ERR])).map(sum)
words = st.builds(lambda low, flags: low | flags, _near, _flags) | st.integers(0, 0xFFFFFFFF)
masks = (
    st.sampled_from([0, 0x7FF, 0xC00007FF, 0xDFFFFFFF, 0xFFFFFFFF, 0x1FFFFFFF, EFF, RTR, ERR])
    | words
)
frames: st.SearchStrategy[AnyFrame] = st.one_of(
    st.builds(Frame, _near),
    st.builds(Frame, _near, extended=st.just(True)),
    st.builds(RemoteFrame, _near),
    st.builds(FdFrame, st.integers(0, 0x1FFFFFFF), extended=st.just(True)),
    st.builds(XlFrame, st.integers(0, 0x7FF), st.just(b"x"), vcid=st.integers(0, 0xFF)),
    st.builds(ErrorFrame, _near),
)


@given(words, masks, st.booleans(), frames)
@example(0x123, 0x7FF, False, RemoteFrame(0x123))  # a bare mask takes remote frames
@example(0x123, 0x7FF, False, Frame(0x12345123))  # and 29-bit identifiers
@example(0x12345123, 0xDFFFFFFF, False, Frame(0x123))  # an 11-bit filter's mask is cut
@example(0, 0, True, Frame(0x123))  # takes nothing
@example(0, ERR, False, ErrorFrame(4))
@example(0, ERR | 4, False, ErrorFrame(4))
@quick
def test_one_filter_is_the_kernels(
    identifier: int, mask: int, inverted: bool, frame: AnyFrame
) -> None:
    one = CanFilter(identifier, mask, inverted)
    assert one.matches(frame) is kernel_takes(frame.can_id, identifier, mask, inverted)


class Index:
    def __index__(self) -> int:
        return 5


class TestCanFilter:
    def test_a_bare_mask_also_takes_remote_and_29_bit_frames(self) -> None:
        one = CanFilter(0x123, 0x7FF)
        assert one.matches(Frame(0x123))
        assert one.matches(RemoteFrame(0x123))
        assert one.matches(Frame(0x12345123))
        assert not one.matches(Frame(0x122))

    def test_an_inverted_filter_with_an_empty_mask_takes_nothing(self) -> None:
        assert not CanFilter(0, 0, inverted=True).matches(Frame(0x123))
        assert CanFilter(0, 0).matches(Frame(0x123))

    def test_the_virtual_network_of_can_xl_counts(self) -> None:
        one = CanFilter(0x450123, 0xFF07FF)
        assert one.matches(XlFrame(0x123, b"x", vcid=0x45))
        assert not one.matches(XlFrame(0x123, b"x", vcid=0x44))

    def test_error_frames_pass_only_a_mask_with_the_error_flag(self) -> None:
        assert not CanFilter(0, 0).matches(ErrorFrame(4))
        assert CanFilter(0, ERR | 6).matches(ErrorFrame(4))
        assert not CanFilter(0, ERR | 6).matches(ErrorFrame(8))
        assert not CanFilter(0, ERR | 6).matches(Frame(4))

    @pytest.mark.parametrize("value", [-1, 1 << 32])
    def test_words_have_32_bits(self, value: int) -> None:
        with pytest.raises(FilterError, match=f"id of a filter is 0 to 0xFFFFFFFF, not {value:#x}"):
            CanFilter(value, 0)
        with pytest.raises(FilterError, match=f"mask of a filter .* not {value:#x}"):
            CanFilter(0, value)

    @pytest.mark.parametrize("value", ["a", 1.5, None, b"\x01"])
    def test_words_are_integers(self, value: Any) -> None:
        with pytest.raises(FilterError, match="id of a filter is an integer, not") as caught:
            CanFilter(value, 1)
        assert repr(value) in str(caught.value)
        with pytest.raises(FilterError, match="mask of a filter is an integer, not"):
            CanFilter(1, value)

    def test_words_may_be_anything_that_is_an_index(self) -> None:
        one = CanFilter(Index(), Index())  # type: ignore[arg-type]  # an int, once it is made
        assert (type(one.id), type(one.mask)) == (int, int)
        assert one == CanFilter(5, 5)
        assert repr(one) == "CanFilter(0x005, 0x005)"

    def test_it_is_a_value(self) -> None:
        one: Any = CanFilter(0x123, 0x7FF)
        assert one == CanFilter(0x123, 0x7FF)
        assert one != CanFilter(0x123, 0x7FF, inverted=True)
        assert len({one, CanFilter(0x123, 0x7FF)}) == 1
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            one.mask = 0

    @pytest.mark.parametrize(
        ("text", "one"),
        [
            ("123:7FF", CanFilter(0x123, 0x7FF)),
            ("1:0", CanFilter(1, 0)),
            ("123~7ff", CanFilter(0x123, 0x7FF, inverted=True)),
            ("00000123:DFFFFFFF", CanFilter(0x80000123, 0xDFFFFFFF)),
            ("92345678:DFFFFFFF", CanFilter(0x92345678, 0xDFFFFFFF)),
            ("0000123:7FF", CanFilter(0x123, 0x7FF)),
            ("040000123:C00007FF", CanFilter(0x40000123, 0xC00007FF)),
            ("20000004:4", CanFilter(0x20000004, 4)),
            ("123:FFFFFFFF", CanFilter(0x123, 0xDFFFFFFF)),
        ],
    )
    def test_notation(self, text: str, one: CanFilter) -> None:
        assert CanFilter.parse(text) == one

    @pytest.mark.parametrize(
        "text",
        ["", "123", "123:", ":7FF", "123:7FF ", "123:GGG", "123#7FF", "-1:7FF", "123:7FF:1",
         "123456789:7FF", "123:123456789", "\u0661:7FF"],
    )  # fmt: skip
    def test_text_that_is_no_filter(self, text: str) -> None:
        with pytest.raises(ParseError, match=re.escape(f"not a filter: {text!r}")) as caught:
            CanFilter.parse(text)
        assert "write <id>:<mask> or <id>~<mask>" in str(caught.value)
        assert caught.value.text == text

    @pytest.mark.parametrize(
        ("one", "text", "code"),
        [
            (CanFilter(0x12, 0x7FF), "012:7FF", "CanFilter(0x012, 0x7FF)"),
            (CanFilter(0, 0), "000:000", "CanFilter(0x000, 0x000)"),
            (
                CanFilter(0x80000123, 0xDFFFFFFF, inverted=True),
                "00000123~DFFFFFFF",
                "CanFilter(0x80000123, 0xDFFFFFFF, inverted=True)",
            ),
            (
                CanFilter(0x40000123, 0xC00007FF),
                "040000123:C00007FF",
                "CanFilter(0x40000123, 0xC00007FF)",
            ),
            (CanFilter(0x20000004, 4), "20000004:004", "CanFilter(0x20000004, 0x004)"),
        ],
    )
    def test_text_and_code(self, one: CanFilter, text: str, code: str) -> None:
        assert str(one) == text
        assert repr(one) == code
        assert eval(code) == one  # noqa: S307 - our own repr is what is shown


one_filter = st.builds(CanFilter, words, masks.map(lambda mask: mask & ~ERR), st.booleans())


@given(st.lists(one_filter, min_size=1, max_size=4), st.lists(frames, max_size=4), st.booleans())
@quick
def test_what_is_written_reads_the_same(
    filters: list[CanFilter], some: list[AnyFrame], is_joined: bool
) -> None:
    for one in filters:
        assert CanFilter.parse(str(one)) == one
    wanted = Filter.parse(",".join([*map(str, filters), *(["j"] if is_joined else [])]))
    for frame in some:
        takers = [one.matches(frame) for one in filters]
        assert wanted.matches(frame) is (all(takers) if is_joined else any(takers))
    assert wanted.kernel_decides() or len(wanted.cover().cubes) > 512


@given(st.text("0123456789abcdefABCDEF:~,#jJ \n\u0661", max_size=24) | st.text(max_size=10))
@quick
def test_any_text_is_a_filter_or_refused_as_documented(text: str) -> None:
    try:
        wanted = Filter.parse(text)
    except ParseError:
        return
    assert Filter.parse(wanted.to_candump()).to_kernel() == wanted.to_kernel()


class TestKernelFilters:
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            (CanFilter(1, 2), (CanFilter(1, 2),)),
            (Filter.id(1), Filter.id(1).to_kernel()),
            (Filter.none(), ()),
            ([], ()),
            ((Filter.id(2), Filter.id(1)), Filter.id(2).to_kernel() + Filter.id(1).to_kernel()),
            ([CanFilter(2, 3), Filter.id(1)], (CanFilter(2, 3), *Filter.id(1).to_kernel())),
            ({CanFilter(2, 3)}, (CanFilter(2, 3),)),
            (iter([Filter.range(1, 4), Filter.none()]), Filter.range(1, 4).to_kernel()),
        ],
    )
    def test_filters_of_both_classes(
        self, filters: Iterable[Filter | CanFilter], expected: tuple[CanFilter, ...]
    ) -> None:
        assert kernel_filters(filters) == expected

    @pytest.mark.parametrize(
        ("filters", "words"),
        [
            ("123:7FF", "filters is a Filter, .* not '123:7FF'; .* Filter.parse"),
            (["123:7FF"], r"filters\[0\] is .* not '123:7FF'; .* Filter.parse"),
            (0x123, "filters is .* not 291; for an identifier write Filter.id\\(0x123\\)"),
            ([Filter.id(1), 2], r"filters\[1\] is .* not 2; .* Filter.id\(0x2\)"),
            ([(0x123, 0x7FF)], r"filters\[0\] is .* not \(291, 2047\); for example Filter.id"),
            (Filter, "filters is .*; for example Filter.id"),
        ],
    )
    def test_what_is_no_filter(self, filters: Any, words: str) -> None:
        with pytest.raises(FilterError, match=words):
            kernel_filters(filters)
