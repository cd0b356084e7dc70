"""Filters in the users' terms: what each takes, and what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anycan.exceptions import FilterError, ParseError
from anycan.filter import CanFilter, Filter
from anycan.frame import AnyFrame, ErrorClass, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from collections.abc import Callable

quick = settings(max_examples=40, deadline=None, derandomize=True)


class Index:
    def __index__(self) -> int:
        return 5


class TestFilter:
    def test_id_takes_data_frames_with_that_identifier_alone(self) -> None:
        wanted = Filter.id(0x123)
        assert wanted.to_kernel() == (CanFilter(0x123, 0xC00007FF),)
        assert wanted.matches(Frame(0x123))
        assert wanted.matches(FdFrame(0x123))
        assert not wanted.matches(Frame(0x124))
        assert not wanted.matches(Frame(0x123, extended=True))
        assert not wanted.matches(RemoteFrame(0x123))
        assert not wanted.matches(ErrorFrame(0x123))

    def test_id_of_29_bits(self) -> None:
        assert Filter.id(0x12345678).to_kernel() == (CanFilter(0x92345678, 0xDFFFFFFF),)
        assert Filter.id(0x123, extended=True).to_kernel() == (CanFilter(0x80000123, 0xDFFFFFFF),)
        assert Filter.id(0x123, extended=True).matches(Frame(0x123, extended=True))
        assert not Filter.id(0x123, extended=True).matches(Frame(0x123))

    def test_mask(self) -> None:
        assert Filter.mask(0x7FF, 0x7F0).to_kernel() == (CanFilter(0x7F0, 0xC00007F0),)
        assert Filter.mask(0x100, 0x1FFFFF00).to_kernel() == (CanFilter(0x80000100, 0xDFFFFF00),)
        assert Filter.mask(0x100, 0x700, extended=True).to_kernel() == (
            CanFilter(0x80000100, 0xC0000700),
        )

    def test_all_and_none(self) -> None:
        every: list[AnyFrame] = [Frame(0), Frame(0x12345678), RemoteFrame(1), FdFrame(2)]
        assert all(Filter.all().matches(frame) for frame in every)
        assert not any(Filter.none().matches(frame) for frame in every)
        assert not Filter.all().matches(ErrorFrame(1))
        assert Filter.all().to_kernel() == (CanFilter(0, 0),)
        assert Filter.none().to_kernel() == ()
        assert repr(Filter.none()) == "Filter.none()"
        assert repr(Filter.all()) == "Filter.all()"

    def test_joined_filters_take_what_either_takes(self) -> None:
        wanted = Filter.id(1) | Filter.id(2) | Filter.id(1)
        assert wanted.to_kernel() == (*Filter.id(1).to_kernel(), *Filter.id(2).to_kernel())
        assert wanted.matches(Frame(1))
        assert wanted.matches(Frame(2))
        assert not wanted.matches(Frame(3))
        assert wanted == Filter.id(1) | Filter.id(2)
        assert Filter.none() | Filter.id(1) == Filter.id(1)

    def test_the_order_of_what_is_joined_does_not_count(self) -> None:
        one, other = Filter.id(1) | Filter.id(2), Filter.id(2) | Filter.id(1)
        assert one == other
        assert hash(one) == hash(other)
        assert one != Filter.id(1)
        assert one != Filter.none()

    def test_text(self) -> None:
        for wanted in (Filter.id(1) | Filter.range(0x700, 0x7FF), Filter.all()):
            assert Filter.parse(str(wanted)) == wanted
        assert str(Filter.id(1) | Filter.all()) == "000:000"  # which has it

    @pytest.mark.parametrize("frame", [Frame(0), Frame(0x12345678), RemoteFrame(1), ErrorFrame(1)])
    def test_text_of_no_filter_reads_as_one_that_nothing_passes(self, frame: AnyFrame) -> None:
        assert str(Filter.none()) == "000~000"
        assert not Filter.parse("000~000").matches(frame)

    @pytest.mark.parametrize(
        "make",
        [
            Filter.id,
            lambda value: Filter.mask(value, 1),
            lambda value: Filter.mask(1, value),
            lambda value: Filter.range(value, 1),
            lambda value: Filter.range(1, value),
        ],
    )
    @pytest.mark.parametrize("value", ["x", "0x123", 1.5, None])
    def test_identifiers_are_integers(self, make: Callable[[Any], Filter], value: object) -> None:
        with pytest.raises(
            FilterError, match=f"of a filter is an integer, not {re.escape(repr(value))}"
        ):
            make(value)

    def test_identifiers_may_be_anything_that_is_an_index(self) -> None:
        assert Filter.id(Index()) == Filter.id(5)
        assert Filter.mask(Index(), Index()) == Filter.mask(5, 5)
        assert Filter.range(Index(), Index()) == Filter.id(5)

    @pytest.mark.parametrize("value", ["123:7FF", 0x123, [CanFilter(1, 2)], None])
    def test_it_is_not_made_by_calling_it(self, value: Any) -> None:
        with pytest.raises(FilterError, match="a Filter is not made of ") as caught:
            Filter(value)
        assert 'Filter.parse("123:7FF")' in str(caught.value)

    def test_how_identifiers_are_written_does_not_count(self) -> None:
        both = Filter.id(0) | Filter.id(1)
        for other in (Filter.range(0, 1), Filter.mask(0, 0x7FE), Filter.id(1) | Filter.range(0, 1)):
            assert both == other
            assert hash(both) == hash(other)
            assert ~both == ~other
            assert both & Filter.fd() == Filter.fd() & other
        assert both.to_kernel() == (CanFilter(0, 0xC00007FE),)

    def test_parse(self) -> None:
        assert Filter.parse("123:7FF,400~7F0").to_kernel() == (
            CanFilter(0x123, 0x7FF),
            CanFilter(0x400, 0x7F0, inverted=True),
        )
        with pytest.raises(ParseError, match="not a filter: ''"):
            Filter.parse("123:7FF,")

    @pytest.mark.parametrize(
        "make",
        [Filter.id, lambda value, **keys: Filter.mask(0, value, **keys),
         lambda value, **keys: Filter.range(0, value, **keys)],
        ids=["id", "mask", "range"],
    )  # fmt: skip
    @pytest.mark.parametrize(
        ("value", "extended"), [(0x20000000, None), (0x20000000, True), (0x800, False)]
    )
    def test_out_of_range(
        self, make: Callable[..., Filter], value: int, extended: bool | None
    ) -> None:
        with pytest.raises(FilterError, match=f"identifier {value:#x} is out of range: 0 to 0x7FF"):
            make(value, extended=extended)

    def test_negative_identifiers(self) -> None:
        with pytest.raises(FilterError, match="identifier -0x1 is out of range"):
            Filter.id(-1)
        with pytest.raises(FilterError, match="identifier -0x1 is out of range"):
            Filter.range(-1, 5)

    def test_an_empty_range(self) -> None:
        with pytest.raises(FilterError, match="an empty range: 0x2 is above 0x1"):
            Filter.range(2, 1)

    def test_ranges(self) -> None:
        assert str(Filter.range(0x700, 0x7FF)) == "700:C0000700"
        assert str(Filter.range(5, 5)) == "005:C00007FF"
        assert str(Filter.range(0, 0x7FF)) == "000:C0000000"
        assert str(Filter.range(1, 4)) == "001:C00007FF,002:C00007FE,004:C00007FF"
        assert str(Filter.range(0, 0x1FFFFFFF)) == "00000000:C0000000"
        assert len(Filter.range(1, 0x1FFFFFFE).to_kernel()) == 56


def fewest_blocks(first: int, last: int, low: int, size: int) -> int:
    """Count the blocks of a range by halving what it lies in."""
    if first > low + size - 1 or last < low:
        return 0
    if first <= low and low + size - 1 <= last:
        return 1
    half = size // 2
    return fewest_blocks(first, last, low, half) + fewest_blocks(first, last, low + half, half)


STANDARD = [Frame(identifier) for identifier in range(0x800)]


@given(st.integers(0, 0x7FF), st.integers(0, 0x7FF))
@example(0, 0x7FF)
@example(1, 0x7FE)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_range_takes_its_identifiers_and_no_other(one: int, other: int) -> None:
    first, last = sorted((one, other))
    wanted = Filter.range(first, last)
    taken = [(frame.can_id, part) for part in wanted.to_kernel() for frame in STANDARD
             if frame.can_id & part.mask == part.id]  # fmt: skip
    assert sorted(identifier for identifier, _ in taken) == list(range(first, last + 1))
    assert len(wanted.to_kernel()) == fewest_blocks(first, last, 0, 0x800)
    assert not wanted.matches(RemoteFrame(first))
    assert not wanted.matches(Frame(first, extended=True))


_wide = st.integers(0, 0x1FFFFFFF)


@given(_wide, _wide, st.lists(_wide, max_size=20))
@quick
def test_a_range_of_29_bits(one: int, other: int, sample: list[int]) -> None:
    first, last = sorted((one, other))
    wanted = Filter.range(first, last, extended=True)
    edges = {first - 1, first, first + 1, last - 1, last, last + 1}
    for identifier in {*sample, *(edge for edge in edges if 0 <= edge <= 0x1FFFFFFF)}:
        frame = Frame(identifier, extended=True)
        assert wanted.matches(frame) is (first <= identifier <= last)
    assert len(wanted.to_kernel()) == fewest_blocks(first, last, 0, 1 << 29)
    assert not wanted.matches(Frame(first & 0x7FF))


class TestRemote:
    def test_all_or_some(self) -> None:
        assert Filter.remote().to_kernel() == (CanFilter(0x40000000, 0x40000000),)
        assert Filter.remote(1).to_kernel() == (CanFilter(0x40000001, 0xC00007FF),)
        assert Filter.remote(0x800).to_kernel() == (CanFilter(0xC0000800, 0xDFFFFFFF),)
        assert Filter.remote(8, mask=8).to_kernel() == (CanFilter(0x40000008, 0xC0000008),)
        assert Filter.remote(extended=True).to_kernel() == (CanFilter(0xC0000000, 0xC0000000),)
        assert Filter.remote(extended=False).to_kernel() == (CanFilter(0x40000000, 0xC0000000),)

    @pytest.mark.parametrize(
        "code",
        ["Filter.remote()", "Filter.remote(0x1)", "Filter.remote(0x1, extended=True)",
         "Filter.remote(0x8, mask=0x8)", "Filter.remote(0x8, mask=0x8, extended=True)",
         "Filter.remote(0x800)", "Filter.remote(extended=True)", "Filter.remote(extended=False)"],
    )  # fmt: skip
    def test_code(self, code: str) -> None:
        assert repr(eval(code, {"Filter": Filter})) == code  # noqa: S307 - what stands above


class TestData:
    def test_bytes_in_a_place(self) -> None:
        wanted = Filter.data(b"\x62\xf1", offset=1)
        assert wanted.matches(Frame(1, b"\0\x62\xf1\x90"))
        assert not wanted.matches(Frame(1, b"\x62\xf1\x90"))
        assert not wanted.matches(Frame(1, b"\0\x62"))
        assert not wanted.matches(RemoteFrame(1, 8))
        assert not wanted.matches(ErrorFrame(1, b"\0\x62\xf1"))
        assert wanted.matches(XlFrame(1, b"\0\x62\xf1"))

    def test_bits_that_count(self) -> None:
        wanted = Filter.data([0x21, 0xFF], mask=[0xF0, 0])
        assert wanted.matches(Frame(1, b"\x2f\0"))
        assert not wanted.matches(Frame(1, b"\x2f"))
        assert not wanted.matches(Frame(1, b"\x3f\0"))

    def test_code(self) -> None:
        assert repr(Filter.data(b"\1")) == 'Filter.data(bytes.fromhex("01"))'
        assert repr(Filter.id(1) & Filter.data(b"\1\2", b"\xff\0", offset=2)) == (
            'Filter.id(0x1) & Filter.data(bytes.fromhex("0102"), bytes.fromhex("ff00"), offset=2)'
        )

    def test_code_of_bytes_in_two_places(self) -> None:
        wanted = Filter.data(b"\1") & Filter.data(b"\2\3", offset=4)
        code = 'Filter.data(bytes.fromhex("01")) & Filter.data(bytes.fromhex("0203"), offset=4)'
        assert repr(wanted) == code
        assert eval(code, {"Filter": Filter}) == wanted  # noqa: S307 - what stands above


def test_code_of_interfaces() -> None:
    for name in ("can0", "vcan0.1", 'a"b\\', "\u00fc\U0001f600"):
        wanted = Filter.interface(name, "can1")
        assert eval(repr(wanted), {"Filter": Filter}) == wanted  # noqa: S307 - our own code
    assert repr(Filter.interface("can-0")) == 'Filter.interface("can-0")'


class TestCandump:
    @pytest.mark.parametrize(
        ("wanted", "text"),
        [
            (Filter.id(1) | Filter.errors(0x40), "001:C00007FF,#00000040"),
            (Filter.errors(), "000~000,#1FFFFFFF"),
            (~Filter.id(1), "001~C00007FF"),
            (~Filter.id(1) & ~Filter.id(4), "001~C00007FF,004~C00007FF,j"),
            (~Filter.id(1) | Filter.id(1), "001:C00007FF,001~C00007FF"),
            (Filter.range(0, 7) - Filter.id(0), "001:C00007FF,002:C00007FE,004:C00007FC"),
            (Filter.classical() & Filter.remote(1), "040000001:C00007FF"),
        ],
    )
    def test_notation(self, wanted: Filter, text: str) -> None:
        assert wanted.to_candump() == str(wanted) == text
        assert Filter.parse(text).to_kernel() == wanted.to_kernel() or text.endswith("j")

    @pytest.mark.parametrize(
        ("wanted", "words"),
        [
            (Filter.id(1) & Filter.fd(), "cannot say Filter.fd(): it knows identifiers"),
            (~Filter.interface("can0"), 'cannot say Filter.interface("can0"): it knows'),
            (Filter.errors() - Filter.errors(4), "Filter.errors() & ~Filter.errors(0x4) of error"),
            (~Filter.id(1) & Filter.mask(0, 0, extended=True) - Filter.id(3, extended=True)
             - Filter.mask(0, 0x15555555), ""),
        ],
    )  # fmt: skip
    def test_what_it_cannot_say(self, wanted: Filter, words: str) -> None:
        if not words:
            assert wanted.to_candump()
            return
        with pytest.raises(FilterError, match=re.escape(words)):
            wanted.to_candump()
        assert str(wanted) == repr(wanted)

    def test_more_filters_than_a_socket_takes(self) -> None:
        wanted = Filter.none()
        for number in range(0, 2 * 513, 2):
            wanted |= Filter.id(0x800 + number * 3)
        with pytest.raises(FilterError, match="with the 512 filters that a socket takes"):
            wanted.to_candump()

    def test_errors_and_joined_filters_are_read(self) -> None:
        assert Filter.parse("#000000FF") == Filter.errors(0xFF)
        assert Filter.parse("123:7FF,#4,#FFFFFFF0").to_errors() == 0x1FFFFFF4
        assert Filter.parse("123:7FF,#0") == Filter.parse("123:7FF")
        assert Filter.parse("#0") == Filter.none() == Filter.parse("0~0")
        assert Filter.parse("0:0") == Filter.all()
        joined = Filter.parse("J,1~7FF,2~7FF")
        assert joined == ~Filter.parse("1:7FF") & ~Filter.parse("2:7FF")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "not a filter: ''"),
            ("1:7FF,", "not a filter: ''"),
            (",1:7FF", "not a filter: ''"),
            ("#", "not an error mask: '#'; write #<mask> in hex"),
            ("#x", "not an error mask: '#x'"),
            ("#123456789", "not an error mask"),
            ("j", "j joins filters, and there is none in 'j'"),
            ("j,#4", "j joins filters"),
            ("jj,1:7FF", "not a filter: 'jj'"),
        ],
    )
    def test_what_is_refused(self, text: str, words: str) -> None:
        with pytest.raises(ParseError, match=re.escape(words)):
            Filter.parse(text)


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: Filter.remote("x"), "identifier of a filter is an integer, not 'x'"),  # type: ignore[arg-type]
    (lambda: Filter.remote(0x800, extended=False), "identifier 0x800 is out of range"),
    (lambda: Filter.remote(mask=1), "a mask of remote frames is for an identifier"),
    (lambda: Filter.xl(0x800), "priority of a filter is 0 to 2047, not 2048"),
    (lambda: Filter.xl(vcid=256), "vcid of a filter is 0 to 255, not 256"),
    (lambda: Filter.xl(vcid=-1), "vcid of a filter is 0 to 255, not -1"),
    (lambda: Filter.xl("x"), "priority of a filter is an integer, not 'x'"),  # type: ignore[arg-type]
    (lambda: Filter.errors(0), "error classes of a filter are 1 to 0x1FFFFFFF, not 0x0"),
    (lambda: Filter.errors(1 << 29), "not 0x20000000"),
    (lambda: Filter.errors(-1), "not -0x1"),
    (lambda: Filter.errors("x"), "error classes of a filter is an integer"),  # type: ignore[arg-type]
    (Filter.interface, "a filter of interfaces names one"),
    (lambda: Filter.interface(""), "an interface of a filter is a name, not ''"),
    (lambda: Filter.interface("can0", 3), "is a name, not 3"),  # type: ignore[arg-type]
    (lambda: Filter.data(b""), "a filter of data has a byte to compare"),
    (lambda: Filter.data("ab"), "value of a filter of data is bytes, not 'ab'"),  # type: ignore[arg-type]
    (lambda: Filter.data(5), "value of a filter of data is bytes, not 5"),  # type: ignore[arg-type]
    (lambda: Filter.data([256]), "value of a filter of data is bytes: "),
    (lambda: Filter.data(b"a", "b"), "mask of a filter of data is bytes, not 'b'"),  # type: ignore[arg-type]
    (lambda: Filter.data(b"ab", b"a"), "mask is as long as its data: 1 bytes beside 2"),
    (lambda: Filter.data(b"ab", offset=2047), "at most 2048 bytes: 2 from 2047 on"),
    (lambda: Filter.data(b"a", offset=-1), "offset of a filter is 0 to 2047, not -1"),
    (Filter.length, "a filter of lengths has one"),
    (lambda: Filter.length(2049), "length of a filter is 0 to 2048, not 2049"),
    (lambda: Filter.length(minimum=-1), "minimum of a filter is 0 to 2048, not -1"),
    (lambda: Filter.length(maximum="x"), "maximum of a filter is an integer"),  # type: ignore[arg-type]
    (lambda: Filter.length(1, minimum=1), "a length, or a minimum and a maximum"),
    (lambda: Filter.length(minimum=2, maximum=1), "an empty range of lengths: 2 is above 1"),
    (lambda: Filter.where("x"), "takes a function of a frame, not 'x'"),  # type: ignore[arg-type]
    (lambda: Filter.id(1).to_kernel(0), "a limit of kernel filters is 1 or more, not 0"),
    (lambda: Filter.id(1).kernel_decides(0), "a limit of kernel filters is 1 or more, not 0"),
]


@pytest.mark.parametrize(("make", "words"), BAD, ids=[words for _, words in BAD])
def test_what_is_no_filter(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(FilterError, match=re.escape(words)):
        make()


class TestWhere:
    def test_what_a_function_raises_comes_out(self) -> None:
        wanted = Filter.where(lambda frame: 1 // frame.id)
        with pytest.raises(ZeroDivisionError):
            wanted.matches(Frame(0))
        assert not (Filter.id(1) & wanted).matches(Frame(0))  # what is beside it is asked first
        assert (wanted | Filter.id(0)).matches(Frame(0))

    def test_error_frames_are_shown_to_it_when_asked(self) -> None:
        seen: list[AnyFrame] = []

        def note(frame: AnyFrame) -> bool:
            seen.append(frame)
            return True

        error = ErrorFrame(ErrorClass.BUS_OFF)
        assert not Filter.where(note).matches(error)
        assert not (Filter.where(note) & Filter.errors()).matches(error)
        assert seen == []
        assert (Filter.where(note, errors=True) & Filter.errors()).matches(error)
        assert seen == [error]
        assert not Filter.where(note, errors=True).matches(error)

    def test_a_function_without_name_or_hash(self) -> None:
        class Odd:
            __hash__ = None  # type: ignore[assignment]  # what a list has

            def __call__(self, frame: AnyFrame) -> bool:
                return frame.id == 1

            def __repr__(self) -> str:
                return "odd"

        odd = Odd()
        wanted = Filter.where(odd) | Filter.id(5)
        assert wanted.matches(Frame(1))
        assert wanted == Filter.id(5) | Filter.where(odd)
        assert repr(Filter.where(odd, errors=True)) == "Filter.where(odd, errors=True)"


def test_a_filter_tells_of_frames_alone() -> None:
    thing: Any = CanFilter(1, 2)
    with pytest.raises(TypeError, match=r"a filter tells of frames, not of CanFilter"):
        Filter.all().matches(thing)


@pytest.mark.parametrize(
    ("wanted", "by_word", "needs_frame"),
    [
        (Filter.id(1) | ~Filter.remote(2) & Filter.standard(), True, False),
        (Filter.id(1) | Filter.errors(), True, False),
        (Filter.none(), True, False),
        (Filter.xl(1), False, False),
        (Filter.classical(), False, False),
        (Filter.interface("can0"), False, False),
        (Filter.length(1), False, False),
        (Filter.id(1) & Filter.where(print), False, True),
    ],
)
def test_what_a_filter_depends_on(wanted: Filter, by_word: bool, needs_frame: bool) -> None:
    assert wanted.by_word is by_word
    assert wanted.needs_frame is needs_frame


def test_an_interface_that_is_decided() -> None:
    wanted = Filter.interface("can0") & Filter.id(1) | Filter.interface("can1") & Filter.fd()
    assert wanted.at_interface("can0") == Filter.id(1)
    assert wanted.at_interface("can1") == Filter.fd()
    assert wanted.at_interface("can2") == Filter.none()
    assert (~Filter.interface("can0")).at_interface("can1").cover().cubes == ((0, 0),)
