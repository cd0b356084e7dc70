"""Who takes a frame, found by its bytes: the same as the filters say of the frame itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from anycan import (
    ErrorFrame,
    FdFrame,
    Filter,
    Frame,
    RemoteFrame,
    XlFrame,
    byte,
)
from anycan.gateway import dispatch as module
from anycan.gateway.dispatch import Dispatch, settle
from anycan.wire.frames import decode_frame, encode_frame

if TYPE_CHECKING:
    import pytest

    from anycan import AnyFrame
    from anycan.sockets.forwarding import ForwardingSocket


class Socket:
    """What a port has, as far as it is asked."""

    interface = "a"

    def __init__(self) -> None:
        self.made = 0

    def make_frame(self, payload: bytes, stamp_ns: int | None) -> AnyFrame | None:
        self.made += 1
        return decode_frame(payload, stamp_ns, None, self.interface)


class Stage:
    """A dispatch of named filters."""

    def __init__(self, **filters: Filter) -> None:
        self.faults: list[tuple[str, AnyFrame | None, Exception]] = []
        self.dispatch = Dispatch(lambda *fault: self.faults.append(fault))
        self.socket = Socket()
        self.takes = {name: cast("Any", name) for name in filters}
        for name, one in filters.items():
            self.dispatch.add(one.at_interface("a"), self.takes[name])

    def takers_of_payload(self, payload: bytes, *, xl: bool = True) -> list[str]:
        if xl:
            takers: Any = self.dispatch.takers_of_xl(payload)
        else:
            takers = self.dispatch.verdicts[payload[:4]]
        if takers.__class__ is not tuple:
            takers = settle(takers, payload, 77, cast("ForwardingSocket", self.socket))
        return sorted(takers)

    def takers(self, frame: AnyFrame, *, xl: bool = True) -> list[str]:
        return self.takers_of_payload(encode_frame(frame), xl=xl)


def test_by_identifier() -> None:
    stage = Stage(one=Filter.id(1), few=Filter.range(0, 5), all=Filter.all())
    assert stage.takers(Frame(1), xl=False) == ["all", "few", "one"]
    assert stage.takers(Frame(5), xl=False) == ["all", "few"]
    assert stage.takers(Frame(1, extended=True), xl=False) == ["all"]
    assert stage.takers(ErrorFrame(4), xl=False) == []
    assert stage.socket.made == 0


def test_what_changes_holds_at_once() -> None:
    stage = Stage(one=Filter.id(1))
    assert stage.takers(Frame(1)) == ["one"]
    assert stage.takers(Frame(2)) == []
    stage.dispatch.add(Filter.id(2), cast("Any", "two"))
    assert stage.takers(Frame(2)) == ["two"]
    stage.dispatch.remove(cast("Any", "one"))
    assert stage.takers(Frame(1)) == []


def test_by_content_without_making_a_frame() -> None:
    stage = Stage(content=Filter.id(1) & (byte(0) == 7), all=Filter.all())
    assert stage.takers(Frame(1, b"\7")) == ["all", "content"]
    assert stage.takers(FdFrame(1, b"\7")) == ["all", "content"]
    assert stage.takers(Frame(1, b"\6")) == ["all"]
    assert stage.takers(Frame(1)) == ["all"]
    assert stage.takers(RemoteFrame(1, 1)) == ["all"]
    assert stage.socket.made == 0
    # Of what has no such bytes a frame is made, which the filter is asked about.
    assert stage.takers(XlFrame(1, b"\7")) == ["all", "content"]
    assert stage.socket.made == 1


def test_behind_the_end_of_the_data_nothing_is_looked_at() -> None:
    stage = Stage(content=byte(1) == 0)
    payload = bytearray(encode_frame(Frame(1, b"\7")))
    assert stage.takers_of_payload(bytes(payload)) == []
    payload[4] = 2
    assert stage.takers_of_payload(bytes(payload)) == ["content"]


def test_by_a_function_that_is_given_the_frame() -> None:
    seen: list[AnyFrame] = []

    def wanted(frame: AnyFrame) -> bool:
        seen.append(frame)
        return frame.timestamp_ns == 77

    stage = Stage(function=Filter.where(wanted))
    assert stage.takers(Frame(1, b"\1")) == ["function"]
    assert seen == [Frame(1, b"\1")]
    assert seen[0].interface == "a"


def test_a_function_that_raises_takes_nothing_and_is_reported() -> None:
    def fail(_: AnyFrame) -> bool:
        raise ValueError("no")

    stage = Stage(function=Filter.where(fail), all=Filter.all())
    assert stage.takers(Frame(1)) == ["all"]
    ((taker, frame, error),) = stage.faults
    assert (taker, frame, str(error)) == ("function", Frame(1), "no")


def test_bytes_that_are_no_frame_are_taken_by_nobody_who_looks_at_frames() -> None:
    stage = Stage(function=Filter.where(lambda _: True))
    word = (0x40000001).to_bytes(4, sys.byteorder)
    assert stage.takers_of_payload(word + b"\x01\x04" + bytes(66)) == []  # a remote frame of CAN FD


def test_of_can_xl_the_vcid_and_what_is_reserved_is_told_apart() -> None:
    stage = Stage(one=Filter.xl(vcid=3), priority=Filter.id(0x123))
    assert stage.takers(XlFrame(0x123, b"x", vcid=3)) == ["one", "priority"]
    assert stage.takers(XlFrame(0x123, b"x", vcid=4)) == stage.takers(XlFrame(0x123, b"x"))
    assert stage.takers(XlFrame(0x124, b"x", vcid=3)) == ["one"]
    reserved = bytearray(encode_frame(XlFrame(0x123, b"x", vcid=3)))
    word = int.from_bytes(reserved[:4], sys.byteorder) | 0xFF00F800
    reserved[:4] = word.to_bytes(4, sys.byteorder)
    assert stage.takers_of_payload(bytes(reserved)) == ["one", "priority"]


def test_identifiers_at_random_do_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 4)
    stage = Stage(all=Filter.all())
    for number in range(50):
        assert stage.takers(Frame(number)) == ["all"]
        assert len(stage.dispatch.verdicts) <= 4


DATA = st.binary(max_size=3)
IDENTIFIERS = st.sampled_from([0, 1, 0x123, 0x7FF])
FRAMES: st.SearchStrategy[AnyFrame] = st.one_of(
    st.builds(Frame, IDENTIFIERS, DATA, extended=st.booleans()),
    st.builds(FdFrame, IDENTIFIERS, DATA, extended=st.booleans()),
    st.builds(RemoteFrame, IDENTIFIERS, st.integers(0, 3), extended=st.booleans()),
    st.builds(XlFrame, IDENTIFIERS, st.binary(min_size=1, max_size=5), vcid=st.integers(0, 2)),
    st.builds(ErrorFrame, st.sampled_from([1, 4, 0x40])),
)
FILTERS = st.recursive(
    st.one_of(
        st.builds(Filter.id, IDENTIFIERS),
        st.just(Filter.range(1, 0x123)),
        st.just(Filter.all()),
        st.builds(lambda value: byte(0) == value, st.integers(0, 2)),
        st.builds(Filter.length, st.integers(0, 3)),
        st.just(Filter.xl(vcid=1)),
        st.just(Filter.remote()),
        st.just(Filter.errors(4)),
        st.just(Filter.interface("a")),
        st.just(Filter.where(lambda frame: len(getattr(frame, "data", b"")) == 2)),
    ),
    lambda inner: st.one_of(
        st.builds(lambda one, other: one | other, inner, inner),
        st.builds(lambda one, other: one & other, inner, inner),
        st.builds(lambda one: ~one, inner),
    ),
    max_leaves=4,
)


@settings(max_examples=40)
@given(st.lists(FILTERS, min_size=1, max_size=3), st.lists(FRAMES, min_size=1, max_size=5))
def test_it_says_what_the_filters_say(filters: list[Filter], frames: list[AnyFrame]) -> None:
    named = {str(number): one for number, one in enumerate(filters)}
    stage = Stage(**named)
    for frame in frames:
        payload = encode_frame(frame)
        received = decode_frame(payload, 77, None, "a")
        assert received is not None
        expected = [name for name, one in named.items() if one.matches(received)]
        assert stage.takers(frame) == sorted(expected)
        if not isinstance(frame, XlFrame):
            assert stage.takers(frame, xl=False) == sorted(expected)
