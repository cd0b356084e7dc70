"""Modifications as their users make them."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from anycan import Frame
from anycan.exceptions import GatewayError
from anycan.gateway.bits import Bits, FrameParts
from anycan.gateway.modification import Modification, combine, kernel_changes
from anycan.gateway.transform import make_transform
from anycan.wire.frames import decode_frame, encode_frame
from anycan.wire.netlink_gateway_changes import ChangedPart, FrameChange


@pytest.mark.parametrize(
    ("modification", "text"),
    [
        (Modification.bit_and(id=0x7F0), "bit_and(id=0x7f0)"),
        (Modification.bit_or(can_id=0xC0000001, length=8), "bit_or(can_id=0xc0000001, length=8)"),
        (Modification.bit_xor(data=b"\x01\xff"), "bit_xor(data=b'\\x01\\xff')"),
        (Modification.bit_xor(data=b"a", offset=63), "bit_xor(data=b'a', offset=63)"),
        (
            Modification.bit_set(id=0x300, mask=0x700, extended=False, flags=1),
            "bit_set(id=0x300, mask=0x700, extended=False, flags=0x1)",
        ),
        (Modification.bit_set(id=0), "bit_set(id=0x0)"),
    ],
)
def test_the_text_of_one_makes_it(modification: Modification, text: str) -> None:
    assert repr(modification) == "Modification." + text
    assert eval(repr(modification)) == modification  # noqa: S307 - of what stands above


def test_they_are_values() -> None:
    one, same = Modification.bit_or(data=b"12"), Modification.bit_or(data=b"12")
    assert one == same
    assert hash(one) == hash(same)
    assert one != Modification.bit_or(data=b"12", offset=1)
    assert one != Modification.bit_xor(data=b"12")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.offset = 1  # type: ignore[misc]  # that it cannot be is what is tested


def test_a_buffer_becomes_bytes() -> None:
    buffer = bytearray(b"12")
    modification = Modification(operation="or", data=memoryview(buffer))
    buffer[0] = 0
    assert modification == Modification.bit_or(data=b"12")


@pytest.mark.parametrize("name", ["and", "or", "xor", "set"])
def test_the_methods_name_the_operation(name: str) -> None:
    made = getattr(Modification, f"bit_{name}")(can_id=1, length=2, data=b"3", offset=4, flags=5)
    operands: dict[str, Any] = {"can_id": 1, "length": 2, "data": b"3", "offset": 4, "flags": 5}
    assert made == Modification(operation=name, **operands)  # type: ignore[arg-type]  # of the four
    assert made.bits().parts == 15


def test_a_problem_names_the_operation() -> None:
    with pytest.raises(GatewayError, match="bit_xor: length is an integer from 0 to 64, not 65"):
        Modification.bit_xor(length=65)
    with pytest.raises(GatewayError, match="bit_set: there is nothing to change: give id"):
        Modification.bit_set()
    with pytest.raises(GatewayError, match="offset is an integer from 0 to 63, not None"):
        Modification.bit_set(data=b"1", offset=None)  # type: ignore[arg-type]  # a mistake
    with pytest.raises(GatewayError, match="operation is 'and', 'or', 'xor' or 'set', not 'add'"):
        Modification(operation="add", id=1)  # type: ignore[arg-type]  # as from a file


def after(frame: Frame, *modify: Modification) -> Any:
    transform = make_transform(modify=modify)
    assert transform is not None
    payload = transform(encode_frame(frame))
    assert isinstance(payload, bytes)
    return decode_frame(payload)


@pytest.mark.parametrize(
    ("modification", "before", "now"),
    [
        (Modification.bit_and(id=0x7F0), Frame(0x123), Frame(0x120)),
        (Modification.bit_and(id=0x7F0), Frame(0x12345678), Frame(0x670, extended=True)),
        (Modification.bit_or(id=0x400), Frame(0x123), Frame(0x523)),
        (Modification.bit_or(id=0x400), Frame(0x123, extended=True), Frame(0x523, extended=True)),
        (Modification.bit_xor(id=0x7FF), Frame(0x123), Frame(0x6DC)),
        (Modification.bit_set(id=0x7FF), Frame(0x123), Frame(0x7FF)),
        (Modification.bit_set(id=0x7FF), Frame(0x12345678), Frame(0x7FF)),
        (Modification.bit_set(id=0x800), Frame(0x123), Frame(0x800)),
        (Modification.bit_set(id=5, extended=True), Frame(0x123), Frame(5, extended=True)),
        (Modification.bit_set(id=5, extended=False), Frame(0x12345678), Frame(5)),
        (Modification.bit_set(extended=True), Frame(0x123), Frame(0x123, extended=True)),
        (Modification.bit_set(extended=False), Frame(0x12345678), Frame(0x678)),
        (Modification.bit_set(id=0x300, mask=0x700), Frame(0x123), Frame(0x323)),
        (Modification.bit_set(id=0x300, mask=0x700), Frame(0x12345678), Frame(0x12345378)),
        (
            Modification.bit_set(id=0x1000000, mask=0x1F000000),
            Frame(0x12345678),
            Frame(0x1345678),
        ),
        (
            Modification.bit_set(id=0x300, mask=0x700, extended=True),
            Frame(0x123),
            Frame(0x323, extended=True),
        ),
        (
            Modification.bit_set(id=0x300, mask=0x700, extended=False),
            Frame(0x12345678),
            Frame(0x378),
        ),
        (Modification.bit_set(can_id=0x80000005), Frame(0x123), Frame(5, extended=True)),
        (Modification.bit_set(data=b"ab", offset=1), Frame(1, b"1234"), Frame(1, b"1ab4")),
        (Modification.bit_set(data=b"ab", offset=7), Frame(1, b"12345678"), Frame(1, b"1234567a")),
        (Modification.bit_set(data=b"ab", offset=3), Frame(1, b"1234"), Frame(1, b"123a")),
    ],
)
def test_what_becomes_of_a_frame(modification: Modification, before: Frame, now: Frame) -> None:
    assert after(before, modification) == now


def test_bytes_behind_the_end_show_when_a_frame_grows() -> None:
    wide, longer = Modification.bit_set(data=b"abcd"), Modification.bit_set(length=3)
    assert after(Frame(1, b"1"), wide, longer) == Frame(1, b"abc")
    assert after(Frame(1, b"1"), longer, wide) == Frame(1, b"abc")


def test_a_sequence_is_one_modification_after_the_other() -> None:
    first, second = Modification.bit_set(data=b"\xf0"), Modification.bit_and(data=b"\x3c")
    assert after(Frame(1, b"\xff"), first, second) == Frame(1, b"\x30")
    assert after(Frame(1, b"\xff"), second, first) == Frame(1, b"\xf0")
    assert combine([first, second]) == first.bits().then(second.bits())
    assert combine([]) == Bits()


def test_a_modification_by_its_bits() -> None:
    bits = Modification.bit_set(id=0x123, mask=0x7FF, flags=1, data=b"\x81", offset=2).bits()
    everything = FrameParts(0xFFFFFFFF, 0xFF, 0xFF, b"\xff" * 64).image()
    cleared = FrameParts(0x7FF, 0, 0xFF, b"\0\0\xff").image()
    flipped = FrameParts(0x123, 0, 1, b"\0\0\x81").image()
    assert bits.keep & everything == everything ^ cleared
    assert bits.flip == flipped
    assert bits.parts == ChangedPart.ID | ChangedPart.DATA | ChangedPart.FLAGS


@pytest.mark.parametrize(
    ("modify", "classical", "flexible"),
    [
        ([], (None, None), (None, None)),
        (
            [Modification.bit_and(id=0x7F0)],
            (FrameChange.of(can_id=0xE00007F0), None),
            (FrameChange.of(can_id=0xE00007F0), None),
        ),
        (
            [Modification.bit_or(can_id=0x80000001)],
            (FrameChange.of(can_id=0x7FFFFFFE), FrameChange.of(can_id=0x80000001)),
            (FrameChange.of(can_id=0x7FFFFFFE), FrameChange.of(can_id=0x80000001)),
        ),
        (
            [Modification.bit_xor(data=b"\xa5", offset=7)],
            (None, FrameChange.of(data=b"\0\0\0\0\0\0\0\xa5")),
            (None, FrameChange.of(data=b"\0\0\0\0\0\0\0\xa5" + bytes(56))),
        ),
        (
            [Modification.bit_set(data=b"\xa5", offset=8)],
            (None, None),
            (
                FrameChange.of(data=b"\xff" * 8 + b"\0" + b"\xff" * 55),
                FrameChange.of(data=bytes(8) + b"\xa5" + bytes(55)),
            ),
        ),
        (
            [Modification.bit_set(flags=1)],
            (None, None),
            (FrameChange.of(flags=0), FrameChange.of(flags=1)),
        ),
        (
            [Modification.bit_set(length=4), Modification.bit_or(length=8)],
            (FrameChange.of(length=0), FrameChange.of(length=12)),
            (FrameChange.of(length=0), FrameChange.of(length=12)),
        ),
        (
            [Modification.bit_and(length=7)],
            (FrameChange.of(length=7), None),
            (FrameChange.of(length=7), None),
        ),
        ([Modification.bit_or(length=0)], (None, FrameChange.of(length=0)), (None, None)),
        ([Modification.bit_xor(id=0x111)] * 2, (None, None), (None, None)),
    ],
)
def test_what_the_kernel_is_asked_for(
    modify: list[Modification], classical: object, flexible: object
) -> None:
    assert kernel_changes(modify, flexible=False) == classical
    assert kernel_changes(modify, flexible=True) == flexible
