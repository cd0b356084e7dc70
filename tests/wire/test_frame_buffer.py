"""Decoding through a sieve: what decoding and then asking each frame gives, with fewer objects."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.filter import Filter, FilterIndex, byte
from anycan.frame import (
    AnyFrame,
    BlankFrame,
    ErrorFrame,
    FdFrame,
    Frame,
    FrameFields,
    RemoteFrame,
    XlFrame,
)
from anycan.wire import frame_buffer as module
from anycan.wire.constants import MSG_CONFIRM, MSG_DONTROUTE
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import decode_frame, encode_frame
from anycan.wire.messages import XL_PAYLOAD_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.filter import Sieve

literal = pytest.mark.skipif(
    sys.byteorder != "little" or struct.calcsize("P") != 8,
    reason="the layout is that of a 64-bit little-endian host",
)
NOW = 1_795_490_029_153_962_001
PAYLOAD_SIZES = [16, 72, XL_PAYLOAD_SIZE]


class Names(dict[int, str | None]):
    """Names for any index."""

    def __missing__(self, index: int) -> str:
        return f"can{index}"


def is_even(frame: AnyFrame) -> bool:
    return frame.id % 2 == 0


FILTERS: list[Filter] = [
    Filter.id(1),
    Filter.range(0, 3),
    Filter.id(1, extended=True),
    Filter.mask(0x100, 0x1F00, extended=True),
    Filter.remote(),
    Filter.classical(),
    Filter.fd(),
    Filter.xl(),
    Filter.xl(1, vcid=5),
    Filter.errors(),
    Filter.errors(4),
    Filter.interface("can1"),
    byte(0) == 1,
    Filter.id(1) & (byte(0) == 1),
    Filter.extended() & (byte(0) != 0),
    Filter.length(minimum=8),
    Filter.where(is_even),
    Filter.id(1) | Filter.where(is_even, errors=True) & Filter.errors(),
    ~Filter.id(1),
    Filter.all(),
]


def whole(frames: Sequence[AnyFrame]) -> list[tuple[object, ...]]:
    return [(type(frame), attrs.astuple(frame)) for frame in frames]


def sieve_of(*wanted: Filter) -> Sieve[int]:
    index: FilterIndex[int] = FilterIndex()
    for taker, one in enumerate(wanted):
        index.add(one, taker)
    return index.sieve()


def stored(frames: Sequence[AnyFrame], payload_size: int = 72, flags: int = 0) -> FrameBuffer:
    buffer = FrameBuffer(len(frames), payload_size)
    for position, frame in enumerate(frames):
        buffer.store(position, encode_frame(frame), 3, flags, NOW + position, 0)
    return buffer


def check(
    buffer: FrameBuffer, count: int, bound: str | None, wanted: Sequence[Filter]
) -> tuple[int, int]:
    """Decode with and without a sieve, compare, and give how many were taken and refused."""
    plain = buffer.decode(count, Names(), bound)
    takers = [
        tuple(taker for taker, one in enumerate(wanted) if one.matches(frame)) for frame in plain
    ]
    sieve = sieve_of(*wanted)
    for rounds in (1, 2):  # the second time verdicts are known
        frames = buffer.decode(count, Names(), bound, sieve)
        assert whole(frames) == whole(
            [frame for frame, who in zip(plain, takers, strict=True) if who]
        )
        assert sieve.targets == [who for who in takers if who] * rounds
        refused = takers.count(())
        # What is no frame is malformed, or where nobody takes what it might be, refused.
        assert rounds * refused <= sieve.refused <= rounds * (refused + count - len(plain))
        assert sieve.refused % rounds == 0
    return len(frames), sieve.refused // 2


wanted_ones = st.lists(st.sampled_from(FILTERS), max_size=4)
_ids = st.sampled_from([0, 1, 2, 0x100, 0x7FF])
_all_ids = _ids | st.sampled_from([0x800, 0x10101, 0x1FFFFFFF])
_extended = st.sampled_from([None, True])
_data = st.sampled_from([b"", b"\0", b"\1", b"\1\2", b"12345678"])
_frames: st.SearchStrategy[AnyFrame] = st.one_of(
    st.builds(Frame, _all_ids, _data, extended=_extended),
    st.builds(Frame, _all_ids, st.just(b"\1" * 8), len8_dlc=st.just(15)),
    st.builds(
        FdFrame, _all_ids, st.sampled_from([b"", b"\1", bytes(12), b"\1" * 64]), extended=_extended
    ),
    st.builds(RemoteFrame, _all_ids, extended=_extended),
    st.builds(
        XlFrame,
        _ids,
        # Of a classical frame's size there are those of 4 bytes, of CAN FD's those of 60.
        st.sampled_from([b"\1" * size for size in (1, 2, 3, 4, 5, 60, 61, 2048)]),
        vcid=st.sampled_from([0, 5]),
    ),
    st.builds(ErrorFrame, st.sampled_from([0, 2, 4, 6, 1 << 28])),
)
_words = _ids | st.sampled_from(
    [
        *(0x801, 0x08000001, 0x20000004, 0x60000004, 0x40000001, 0x40000801, 0x80000001),
        *(0xC0000001, 0xA0000004, 0xE0000004, 0x9FFFFFFF),
    ]
)
# In the second word: the length, the flags of CAN FD, reserved bytes, a raw DLC.
_lengths = st.sampled_from([0, 1, 7, 8, 8, 9, 15, 64, 65, 0x7F, 0x0108, 0x010001, 0x0E000008])
_malformed = st.builds(
    lambda word, length, size: struct.pack("=II", word, length) + b"\1" * size,
    _words,
    _lengths,
    st.sampled_from([8, 64, 65]),
) | st.sampled_from([b"", b"\1", bytes(13), bytes(15), bytes(17), bytes(73)])
# CAN XL from hostile hands: other frames' flags in the priority, a length that is not true.
_hostile = st.builds(
    lambda word, flags, length, size: (
        struct.pack("=IBBHI", word, flags, 0, length, 0) + b"\1" * size
    ),
    st.builds(int.__or__, _words, st.sampled_from([0, 0x00050000, 0x00FF0000, 0x08000000])),
    st.sampled_from([0x80, 0x81, 0xFF]),
    st.sampled_from([0, 1, 4, 60, 2048, 2049]),
    st.sampled_from([0, 1, 3, 4, 60, 2048]),
)
_payloads = _frames.map(encode_frame) | _malformed | _hostile
_runs = st.tuples(
    st.sampled_from([0, MSG_DONTROUTE, MSG_DONTROUTE | MSG_CONFIRM]),
    st.booleans(),  # without a stamp
    st.lists(st.tuples(_payloads, st.integers(0, 2)), min_size=1, max_size=6),
)


@given(
    st.lists(_runs, min_size=1, max_size=3),
    wanted_ones,
    st.sampled_from(PAYLOAD_SIZES),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_any_batch_is_sifted_as_if_each_frame_had_been_asked(
    batch: list[tuple[int, bool, list[tuple[bytes, int]]]],
    wanted: list[Filter],
    payload_size: int,
    hardware: bool,
    bound: bool,
) -> None:
    buffer = FrameBuffer(18, payload_size, hardware_stamps=hardware)
    position = 0
    for flags, unstamped, content in batch:
        for payload, index in content:
            buffer.store(position, payload, index, flags, NOW + position, position)
            if unstamped:
                struct.pack_into("@N", buffer.headers, position * 64 + 40, 0)
            position += 1
    check(buffer, position, "can1" if bound else None, wanted)


@given(_payloads, wanted_ones, st.sampled_from(PAYLOAD_SIZES), st.booleans(), st.booleans())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_message_alone_is_sifted_as_if_the_frame_had_been_asked(
    payload: bytes, wanted: list[Filter], payload_size: int, hardware: bool, bound: bool
) -> None:
    buffer = FrameBuffer(1, payload_size, hardware_stamps=hardware)
    buffer.store(0, payload, 1, MSG_DONTROUTE, NOW, 0)
    check(buffer, 1, "can1" if bound else None, wanted)


ONE_OF_EACH: list[AnyFrame] = [
    Frame(0x123, b"\1\2"),
    Frame(0x12345678, b"\1"),
    Frame(0x123, b"\1" * 8, len8_dlc=15),
    RemoteFrame(0x123, 4),
    ErrorFrame(0x44),
    FdFrame(0x123, b"\1" * 64, brs=True),
    FdFrame(0x12345678, b"\1"),
    XlFrame(0x123, b"\1" * 4, vcid=3),
    XlFrame(0x123, b"\1" * 60),
    XlFrame(0x123, b"\1" * 2048),
]


@pytest.mark.parametrize("frame", ONE_OF_EACH, ids=str)
@pytest.mark.parametrize("bound", [None, "can0"])
def test_every_kind_is_taken_and_refused(frame: AnyFrame, bound: str | None) -> None:
    taking = [
        Filter.all() | Filter.errors(),
        (byte(0) == 1) | Filter.remote() | Filter.errors(),
        Filter.where(lambda one: one == frame, errors=True) & (Filter.all() | Filter.errors()),
    ]
    refusing = [
        Filter.none(),
        byte(0) == 2,
        Filter.where(lambda one: one != frame, errors=True) & (Filter.all() | Filter.errors()),
    ]
    for one in taking:
        assert check(stored([frame], XL_PAYLOAD_SIZE), 1, bound, [one]) == (1, 0)
        assert check(stored([frame] * 3, XL_PAYLOAD_SIZE), 3, bound, [one]) == (3, 0)
    for one in refusing:
        assert check(stored([frame], XL_PAYLOAD_SIZE), 1, bound, [one]) == (0, 1)
        assert check(stored([frame] * 3, XL_PAYLOAD_SIZE), 3, bound, [one]) == (0, 3)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("bound", [None, "can0"])
def test_the_shortest_frames_of_can_xl_are_taken(size: int, bound: str | None) -> None:
    buffer = stored([XlFrame(0x123, b"x" * size)], XL_PAYLOAD_SIZE)
    assert check(buffer, 1, bound, [Filter.xl()]) == (1, 0)


@pytest.mark.parametrize("flag", [0x80000000, 0x40000000, 0x20000000, 0xE0000000, 0x08000000])
def test_reserved_bits_of_a_priority_do_not_count(flag: int) -> None:
    # A frame from hostile hands: decoding masks the priority, so asking the frame does too.
    buffer = FrameBuffer(1, XL_PAYLOAD_SIZE)
    payload = struct.pack("=IBBHI", flag | 0x123, 0x80, 0, 8, 0) + b"12345678"
    buffer.store(0, payload, 1, 0, NOW, 0)
    assert buffer.decode(1, Names()) == [XlFrame(0x123, b"12345678")]
    assert check(buffer, 1, "can0", [Filter.xl(0x123), Filter.id(0x123)]) == (1, 0)


def test_targets_are_parallel_to_the_frames() -> None:
    frames: list[AnyFrame] = [
        Frame(1, b"\1"),
        Frame(9),
        FdFrame(1, b"\2"),
        RemoteFrame(1),
        Frame(1, b"\2"),
        ErrorFrame(4),
        Frame(2),
    ]
    sieve = sieve_of(
        Filter.id(1), Filter.id(1) & (byte(0) == 2), Filter.where(is_even), Filter.errors(4)
    )
    taken = stored(frames).decode(7, Names(), "can0", sieve)
    assert taken == [frames[0], frames[2], frames[4], frames[5], frames[6]]
    assert sieve.targets == [(0,), (0, 1), (0, 1), (3,), (2,)]
    assert sieve.refused == 2


def test_targets_and_refusals_add_up_over_batches() -> None:
    sieve = sieve_of(Filter.id(1))
    for rounds in (1, 2, 3):
        for frames in ([Frame(1), Frame(2), Frame(3)], [FdFrame(2)], [Frame(2)]):
            taken = stored(frames).decode(len(frames), Names(), "can0", sieve)
            assert taken == [frame for frame in frames if frame == Frame(1)]
        assert sieve.targets == [(0,)] * rounds
        assert sieve.refused == 4 * rounds


def test_what_is_no_frame_is_neither_taken_nor_refused() -> None:
    broken = struct.pack("=IB11x", 1, 9)
    buffer = FrameBuffer(4)
    for position, payload in enumerate([broken, encode_frame(Frame(2)), broken, broken]):
        buffer.store(position, payload, 1, 0, NOW, 0)
    sieve = sieve_of(Filter.id(1))
    assert buffer.decode(4, Names(), "can0", sieve) == []
    assert (sieve.targets, sieve.refused) == ([], 1)


@pytest.mark.parametrize("payload", [b"", b"\1", bytes(13), bytes(15)])
def test_what_is_too_short_hides_nothing(payload: bytes) -> None:
    buffer = FrameBuffer(3, XL_PAYLOAD_SIZE)
    frames: list[AnyFrame] = [XlFrame(1, b"1234"), Frame(1)]
    buffer.store(0, payload, 1, 0, NOW, 0)
    for position, frame in enumerate(frames, 1):
        buffer.store(position, encode_frame(frame), 1, 0, NOW, 0)
    assert buffer.decode(3, Names(), "can0", sieve_of(Filter.all())) == frames


class TestObjects:
    """How many frame objects are made."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        """Give a list that every frame the module makes is noted in."""
        made: list[object] = []

        def new() -> FrameFields:
            one: FrameFields = BlankFrame()
            made.append(one)
            return one

        def decode(*arguments: Any) -> AnyFrame | None:
            made.append(arguments)
            return decode_frame(*arguments)

        monkeypatch.setattr(module, "BlankFrame", new)
        monkeypatch.setattr(module, "decode_frame", decode)
        return made

    def test_they_are_counted(self, made: list[object]) -> None:
        stored(ONE_OF_EACH, XL_PAYLOAD_SIZE).decode(len(ONE_OF_EACH), Names())
        assert len(made) == len(ONE_OF_EACH)

    @pytest.mark.parametrize("frame", ONE_OF_EACH, ids=str)
    @pytest.mark.parametrize(("count", "bound"), [(1, "can0"), (1, None), (5, "can0"), (5, None)])
    def test_none_for_a_frame_that_nobody_takes(
        self, made: list[object], frame: AnyFrame, count: int, bound: str | None
    ) -> None:
        sieve = sieve_of(Filter.id(0x7EE), Filter.id(0x7EF) & (byte(0) == 1), Filter.errors(2))
        buffer = stored([frame] * count, XL_PAYLOAD_SIZE)
        assert buffer.decode(count, Names(), bound, sieve) == []
        assert made == []
        assert sieve.refused == count

    @pytest.mark.parametrize("kind", [Frame, FdFrame])
    @pytest.mark.parametrize("number", [0x123, 0x12345678])
    @pytest.mark.parametrize(("count", "bound"), [(1, "can0"), (1, None), (5, "can0"), (5, None)])
    def test_none_to_ask_for_its_payload(
        self, made: list[object], kind: Any, number: int, count: int, bound: str | None
    ) -> None:
        wanted = Filter.id(number) & (byte(1) == 0x62) & Filter.length(maximum=2)
        refused = [kind(number, data) for data in (b"", b"\x62", b"\x00\x63", b"\x00\x62\x00")]
        for frame in refused:
            sieve = sieve_of(wanted)
            assert stored([frame] * count).decode(count, Names(), bound, sieve) == []
            assert (made, sieve.refused) == ([], count)
        taken = kind(number, b"\x00\x62")
        sieve = sieve_of(wanted)
        assert stored([taken] * count).decode(count, Names(), bound, sieve) == [taken] * count
        assert sieve.targets == [(0,)] * count
        assert len(made) == count

    def test_none_to_ask_where_it_comes_from(self, made: list[object]) -> None:
        sieve = sieve_of(Filter.interface("can1"))
        buffer = stored([Frame(1), FdFrame(1)])
        assert buffer.decode(2, Names(), None, sieve) == []  # can3
        assert buffer.decode(2, Names(), "can0", sieve) == []
        assert made == []
        assert buffer.decode(2, Names(), "can1", sieve) == [Frame(1), FdFrame(1)]

    def test_one_for_a_function_even_where_it_says_no(self, made: list[object]) -> None:
        sieve = sieve_of(Filter.where(is_even))
        assert stored([Frame(1)]).decode(1, Names(), "can0", sieve) == []
        assert len(made) == 1


@pytest.mark.parametrize("frame", ONE_OF_EACH, ids=str)
@pytest.mark.parametrize(("count", "bound"), [(1, "can3"), (1, None), (3, "can3"), (3, None)])
def test_a_function_is_given_the_frame_that_is_handed_on(
    frame: AnyFrame, count: int, bound: str | None
) -> None:
    seen: list[AnyFrame] = []

    def note(one: AnyFrame) -> bool:
        seen.append(one)
        return True

    named = Filter.all() | Filter.errors()
    sieve = sieve_of(Filter.where(note, errors=True) & named)
    buffer = stored([frame] * count, XL_PAYLOAD_SIZE, MSG_DONTROUTE)
    taken = buffer.decode(count, Names(), bound, sieve)
    assert [id(one) for one in taken] == [id(one) for one in seen]
    assert whole(taken) == whole(
        [
            attrs.evolve(frame, timestamp_ns=NOW + position, interface="can3", local=True)
            for position in range(count)
        ]
    )


@pytest.mark.parametrize("count", [1, 3])
def test_a_function_that_raises_takes_nothing_and_the_batch_goes_on(count: int) -> None:
    told: list[tuple[Any, ...]] = []

    def fail(frame: AnyFrame) -> bool:
        raise ValueError(frame.data)

    index: FilterIndex[str] = FilterIndex(lambda *fault: told.append(fault))
    index.add(Filter.id(1) & Filter.where(fail), "failing")
    index.add(Filter.id(2), "other")
    sieve = index.sieve()
    frames: list[AnyFrame] = [*[Frame(1, b"x")] * count, Frame(2)]
    taken = stored(frames).decode(count + 1, Names(), "can0", sieve)
    assert taken == [Frame(2)]
    assert (sieve.targets, sieve.refused) == ([("other",)], count)
    assert [(taker, frame) for taker, frame, _ in told] == [("failing", Frame(1, b"x"))] * count
    assert stored(frames).decode(1, Names(), "can0", sieve) == []
    assert (sieve.refused, len(told)) == (count + 1, count + 1)


def test_the_drop_count_comes_with_a_frame_that_nobody_takes() -> None:
    buffer = FrameBuffer(3)
    for count in (1, 3):
        for position in range(count):
            buffer.store(position, encode_frame(Frame(position)), 1, 0, NOW, 7 * count)
        assert buffer.decode(count, Names(), "can0", sieve_of(Filter.none())) == []
        assert buffer.drops == 7 * count


@literal
@pytest.mark.parametrize("size", PAYLOAD_SIZES)
@pytest.mark.parametrize("hardware", [False, True])
def test_stamps_of_what_was_sifted(size: int, hardware: bool) -> None:
    buffer = FrameBuffer(4, size, hardware_stamps=hardware)
    for position in range(4):
        buffer.store(position, encode_frame(Frame(position % 2)), 1, 0, NOW + position, 0)
        if hardware:
            stamps = position * buffer.stride + buffer.control_offset
            struct.pack_into("@ll", buffer.records, stamps + 48, 8, position)
    frames = buffer.decode(4, Names(), "can0", sieve_of(Filter.id(1)))
    assert [(frame.timestamp_ns, frame.hardware_timestamp_ns) for frame in frames] == [
        (NOW + position, 8_000_000_000 + position if hardware else None) for position in (1, 3)
    ]


SECOND = 1_000_000_000


@pytest.mark.parametrize("payload_size", PAYLOAD_SIZES)
@pytest.mark.parametrize("sieved", [False, True])
@given(
    start=st.integers(0, 2**33),
    stamps=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, 255, 256, 257, 512, (1 << 16) - 1]),
            st.integers(0, SECOND - 1),
        ),
        min_size=1,
        max_size=9,
    ),
)
def test_each_frame_has_its_own_stamp(
    payload_size: int, sieved: bool, start: int, stamps: list[tuple[int, int]]
) -> None:
    wanted = [(start + second) * SECOND + fraction for second, fraction in stamps]
    buffer = FrameBuffer(len(wanted), payload_size)
    for position, stamp in enumerate(wanted):
        buffer.store(position, encode_frame(Frame(position, b"12345678")), 3, 0, stamp, 0)
    sieve = sieve_of(Filter.all()) if sieved else None
    frames = buffer.decode(len(wanted), Names(), "can0", sieve)
    assert [frame.timestamp_ns for frame in frames] == wanted
    assert [frame.id for frame in frames] == list(range(len(frames)))
