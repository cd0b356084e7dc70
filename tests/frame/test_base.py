"""What every kind of frame has in common."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from anycan import frame as frames
from anycan.exceptions import FrameError
from anycan.frame import AnyFrame, ErrorClass, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame

if TYPE_CHECKING:
    from collections.abc import Callable

RECEPTION: dict[str, Any] = {
    "timestamp_ns": 1_795_490_029_153_962_001,
    "hardware_timestamp_ns": 42,
    "interface": "vcan0",
    "local": True,
    "own": True,
}
EXAMPLES: list[AnyFrame] = [
    Frame(0x123, b"\x01\x02"),
    Frame(0x123, bytes(8), extended=True, len8_dlc=15),
    RemoteFrame(0x18DAF110, 8, len8_dlc=9),
    RemoteFrame(0x001, extended=True),
    FdFrame(0x123, bytes(12), brs=True, flags=0xF4),
    FdFrame(0x00F, b"", extended=True, esi=True),
    XlFrame(0x123, b"\xff", sdt=3, acceptance_field=0xDEADBEEF, vcid=0x45, sec=True, flags=0xC0),
    XlFrame(0x7FF, bytes(2048), rrs=True),
    ErrorFrame(ErrorClass.CONTROLLER | ErrorClass.COUNTERS, b"\x00\x04\x00\x00\x00\x00\x60\x00"),
    ErrorFrame(0x1000_0400, b""),
]

each_kind = pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: str(frame)[:30])


@each_kind
def test_no_field_can_be_set_or_deleted(frame: Any) -> None:
    for name in [*attrs.fields_dict(type(frame)), "own", "new", "__class__"]:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(frame, name, getattr(frame, name, None))
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(frame, name)


@each_kind
def test_a_frame_is_of_its_public_class_and_holds_no_dictionary(frame: AnyFrame) -> None:
    assert type(frame).__name__ in {"Frame", "RemoteFrame", "FdFrame", "XlFrame", "ErrorFrame"}
    assert type(frame) is getattr(frames, type(frame).__name__)
    assert not hasattr(frame, "__dict__")
    assert weakref.ref(frame)() is frame


@each_kind
def test_reception_takes_no_part_in_equality_and_hash(frame: AnyFrame) -> None:
    received = attrs.evolve(frame, **RECEPTION)
    assert received == frame
    assert hash(received) == hash(frame)
    assert (received.timestamp_ns, received.hardware_timestamp_ns) == (1795490029153962001, 42)
    assert (received.interface, received.local, received.own) == ("vcan0", True, True)
    assert len({received, frame}) == 1


def test_a_frame_made_here_has_no_reception() -> None:
    for frame in EXAMPLES:
        assert frame.timestamp_ns is None
        assert frame.hardware_timestamp_ns is None
        assert frame.interface is None
        assert frame.local is False
        assert frame.own is False


def test_frames_that_differ_on_the_bus_are_not_equal() -> None:
    for position, frame in enumerate(EXAMPLES):
        assert [other == frame for other in EXAMPLES] == [
            other == position for other in range(len(EXAMPLES))
        ]


def test_kinds_with_the_same_fields_are_not_equal() -> None:
    data: Any = Frame(0x123)
    assert data != FdFrame(0x123)
    assert data != RemoteFrame(0x123)
    assert data != (0x123, b"")


@each_kind
@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        attrs.evolve,
        *(
            lambda frame, protocol=protocol: pickle.loads(  # noqa: S301 - pickled right here
                pickle.dumps(frame, protocol)
            )
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
    ids=["copy", "deepcopy", "evolve", "pickle2", "pickle3", "pickle4", "pickle5"],
)
def test_duplicates_are_whole(frame: AnyFrame, duplicate: Callable[[AnyFrame], AnyFrame]) -> None:
    received = attrs.evolve(frame, **RECEPTION)
    twin = duplicate(received)
    assert type(twin) is type(frame)
    assert attrs.asdict(twin) == attrs.asdict(received)


@each_kind
@pytest.mark.parametrize("reception", [{}, RECEPTION], ids=["made", "received"])
def test_repr_is_code_that_makes_the_frame(frame: AnyFrame, reception: dict[str, Any]) -> None:
    whole = attrs.evolve(frame, **reception)
    again = eval(repr(whole), vars(frames))  # noqa: S307 - our own repr is what is shown
    assert attrs.asdict(again) == attrs.asdict(whole)


def test_repr_shows_what_is_known_of_the_reception_and_no_more() -> None:
    assert repr(Frame(0x123, b"A")) == "Frame(0x123, b'A')"
    assert repr(Frame(0x123, b"A", **RECEPTION)) == (
        "Frame(0x123, b'A', timestamp_ns=1795490029153962001, hardware_timestamp_ns=42,"
        " interface='vcan0', local=True, own=True)"
    )
    assert repr(Frame(0x123, timestamp_ns=0)) == "Frame(0x123, b'', timestamp_ns=0)"


@pytest.mark.parametrize("kind", [Frame, RemoteFrame, FdFrame])
@pytest.mark.parametrize(
    ("identifier", "extended", "words"),
    [
        (0x800, False, "0x800 needs 29 bits: leave out extended=False"),
        (0x1FFFFFFF, False, "0x1FFFFFFF needs 29 bits"),
        (0x20000000, None, "0x20000000 is out of range: 0 to 0x7FF"),
        (0x20000000, True, "0x1FFFFFFF (29 bits, extended)"),
        (0x20000000, False, "out of range"),
        (-1, None, "-0x1 is out of range"),
        (-1, True, "out of range"),
        ("123", None, "an identifier is an integer, not '123'"),
        (1.0, None, "an identifier is an integer, not 1.0"),
        (None, None, "not None"),
    ],
)
def test_identifiers_out_of_range(
    kind: Callable[..., AnyFrame], identifier: object, extended: bool | None, words: str
) -> None:
    with pytest.raises(FrameError) as caught:
        kind(identifier, extended=extended)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", [Frame, RemoteFrame, FdFrame])
@pytest.mark.parametrize(
    ("identifier", "extended", "expected"),
    [
        (0, None, False),
        (0x7FF, None, False),
        (0x7FF, True, True),
        (0x7FF, False, False),
        (0x800, None, True),
        (0x800, True, True),
        (0x1FFFFFFF, None, True),
        (0, 1, True),
    ],
)
def test_29_bits_when_told_or_needed(
    kind: Callable[..., Any], identifier: int, extended: bool | None, expected: bool
) -> None:
    frame = kind(identifier, extended=extended)
    assert frame.id == identifier
    assert frame.extended is expected
    assert frame.can_id & 0x9FFF_FFFF == identifier | (0x8000_0000 if expected else 0)


class Index:
    def __index__(self) -> int:
        return 5


class Array(bytearray):
    """As NumPy's: it has ``__index__`` for the sake of arrays without a dimension."""

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")


def test_numbers_may_be_anything_that_is_an_index() -> None:
    for frame in (Frame(Index()), RemoteFrame(Index()), FdFrame(Index())):
        assert type(frame.id) is int
        assert frame.id == 5
    assert type(Frame(True).id) is int
    assert RemoteFrame(1, Index()).length == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda data: Frame(0x123, data),
        lambda data: FdFrame(0x123, data),
        lambda data: XlFrame(0x123, data),
        lambda data: ErrorFrame(1, data),
    ],
    ids=["classical", "fd", "xl", "error"],
)
class TestData:
    @pytest.mark.parametrize("kind", [int, Index])
    def test_a_number_of_zeros_is_not_meant(
        self, make: Callable[[Any], AnyFrame], kind: type
    ) -> None:
        with pytest.raises(FrameError, match=f"iterable of byte values, not {kind.__name__}"):
            make(kind())

    def test_an_array_that_could_be_a_number_and_is_not(
        self, make: Callable[[Any], AnyFrame]
    ) -> None:
        assert make(Array(b"\x01\x02")).data == b"\x01\x02"

    @pytest.mark.parametrize(
        "data", [b"\x01\x02", bytearray(b"\x01\x02"), memoryview(b"\x01\x02"), [1, 2], range(1, 3)]
    )
    def test_what_iterates_over_bytes_is_taken(
        self, make: Callable[[Any], AnyFrame], data: object
    ) -> None:
        frame = make(data)
        assert type(frame.data) is bytes
        assert frame.data == b"\x01\x02"

    def test_the_frame_has_a_copy(self, make: Callable[[Any], AnyFrame]) -> None:
        data = bytearray(b"\x01\x02")
        frame = make(data)
        data[0] = 0xFF
        assert frame.data == b"\x01\x02"

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (5, "bytes or an iterable of byte values, not int"),
            ("0102", "bytes or an iterable of byte values, not str"),
            (None, "bytes or an iterable of byte values: "),
            ([256], "bytes or an iterable of byte values: "),
            ([-1], "bytes or an iterable of byte values: "),
            (["a"], "bytes or an iterable of byte values: "),
        ],
    )
    def test_what_is_no_payload(
        self, make: Callable[[Any], AnyFrame], data: object, words: str
    ) -> None:
        with pytest.raises(FrameError, match="data is ") as caught:
            make(data)
        assert words in str(caught.value)


@pytest.mark.parametrize("kind", [Frame, RemoteFrame, FdFrame, XlFrame, ErrorFrame])
@pytest.mark.parametrize("body", [{}, {"__slots__": ()}], ids=["plain", "slots"])
def test_a_frame_cannot_be_subclassed(kind: type, body: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} cannot be subclassed"):
        type("Mine", (kind,), body)
    with pytest.raises(TypeError, match=f"{kind.__name__} cannot be subclassed"):
        type("Mine", (weakref.WeakSet, kind), body)
