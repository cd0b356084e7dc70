"""Steps against a model that does one operation after the other, on one field after the other."""

from __future__ import annotations

import operator
import struct
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anycan import FdFrame, Frame, RemoteFrame, XlFrame
from anycan.gateway.modification import Modification, combine, kernel_changes
from anycan.gateway.reasons import DropReason
from anycan.gateway.steps import (
    classical_step,
    flexible_step,
    map_step,
    refuse,
    to_classical,
    to_flexible_step,
    word_of,
    xl_map_step,
    xl_step,
)
from anycan.wire.frames import decode_frame, encode_frame
from anycan.wire.netlink_gateway_changes import ChangedPart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.wire.netlink_gateway_changes import FrameChange

EFF: Final = 0x80000000
OPERATIONS: Final[dict[str, Callable[[int, int], int]]] = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "set": lambda _, new: new,
}


@attrs.define
class Fields:
    """A frame that is not CAN XL, taken apart."""

    word: int
    length: int
    rest: bytearray  # bytes 5, 6 and 7
    data: bytearray

    @classmethod
    def of(cls, payload: bytes) -> Fields:
        (word,) = struct.unpack_from("=I", payload)
        return cls(word, payload[4], bytearray(payload[5:8]), bytearray(payload[8:]))

    @property
    def flexible(self) -> bool:
        return len(self.data) == 64

    def payload(self) -> bytes:
        return struct.pack("=IB", self.word, self.length) + bytes(self.rest + self.data)

    def take_raw_dlc(self) -> None:
        if not self.flexible and self.length == 8 and self.rest[2] in range(9, 16):
            self.length = self.rest[2]

    def put_raw_dlc(self) -> None:
        if self.flexible:
            return
        self.rest[2] = 0
        if self.length in range(9, 16):
            self.rest[2], self.length = self.length, 8

    def result(self, lengths_change: bool) -> bytes | DropReason:
        if lengths_change:
            self.put_raw_dlc()
        if self.length > len(self.data):
            return DropReason.LENGTH
        return self.payload()

    def modify(self, one: Modification) -> None:
        operation = OPERATIONS[one.operation]
        self.modify_word(one)
        if one.length is not None:
            self.length = operation(self.length, one.length)
        if one.flags is not None and self.flexible:
            self.rest[0] = operation(self.rest[0], one.flags)
        for position, byte in enumerate(one.data or b"", one.offset):
            if position < len(self.data):
                self.data[position] = operation(self.data[position], byte)

    def modify_word(self, one: Modification) -> None:
        operation = OPERATIONS[one.operation]
        if one.can_id is not None:
            self.word = operation(self.word, one.can_id)
        if one.id is not None:
            identifier = operation(self.word, one.id)
            if one.mask is not None:
                identifier = self.word & ~one.mask | one.id
            elif one.operation == "set" and one.extended is None:
                self.word = self.word | EFF if one.id > 0x7FF else self.word & ~EFF
            self.word = self.word & 0xE0000000 | identifier & 0x1FFFFFFF
        if one.extended is True:
            self.word |= EFF
        if one.extended is False:
            self.word &= 0x600007FF

    def change(self, name: str, change: FrameChange | None) -> None:
        """Apply what a rule of can-gw has for AND or XOR."""
        if change is None:
            return
        operation = OPERATIONS[name]
        if change.parts & ChangedPart.ID:
            self.word = operation(self.word, change.can_id)
        if change.parts & ChangedPart.LENGTH:
            self.length = operation(self.length, change.length)
        if change.parts & ChangedPart.FLAGS:
            assert self.flexible
            self.rest[0] = operation(self.rest[0], change.flags)
        if change.parts & ChangedPart.DATA:
            for position, (old, new) in enumerate(zip(self.data, change.data, strict=True)):
                self.data[position] = operation(old, new)


def by_model(payload: bytes, modify: Sequence[Modification]) -> bytes | DropReason:
    fields = Fields.of(payload)
    lengths_change = any(one.length is not None for one in modify)
    if lengths_change:
        fields.take_raw_dlc()
    for one in modify:
        fields.modify(one)
    return fields.result(lengths_change)


def by_kernel(payload: bytes, modify: Sequence[Modification]) -> bytes | DropReason:
    fields = Fields.of(payload)
    changes = kernel_changes(modify, fields.flexible)
    lengths_change = any(
        change is not None and bool(change.parts & ChangedPart.LENGTH) for change in changes
    )
    if lengths_change:
        fields.take_raw_dlc()
    fields.change("and", changes[0])
    fields.change("xor", changes[1])
    return fields.result(lengths_change)


def by_step(payload: bytes, modify: Sequence[Modification]) -> bytes | DropReason:
    bits = combine(modify)
    step = classical_step(bits) if len(payload) == 16 else flexible_step(bits)
    return payload if step is None else step(payload)


def present(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


identifiers = st.sampled_from([0, 0x7FF, 0x800, 0x1FFFFFFF]) | st.integers(0, 0x1FFFFFFF)
u32 = st.integers(0, 2**32 - 1)
words = present(can_id=u32) | present(id=identifiers)
set_words = words | st.one_of(
    present(id=st.integers(0, 0x7FF), extended=st.booleans()),
    present(id=identifiers, extended=st.just(True)),
    st.builds(
        lambda mask, bits, more: {"mask": mask, "id": bits & mask & 0x7FF, **more},
        identifiers,
        identifiers,
        present(extended=st.booleans()),
    ),
)
data = st.builds(
    lambda offset, content: {"data": content[: 64 - offset], "offset": offset},
    st.integers(0, 9) | st.integers(0, 63),
    st.binary(min_size=1, max_size=64),
)
others = present(length=st.integers(0, 16) | st.integers(0, 64), flags=st.integers(0, 255))


def made(names: list[str], word: st.SearchStrategy[dict[str, Any]]) -> Any:
    """Give modifications by one of some operations, of any operands."""
    given_operands = st.builds(
        lambda *parts: {k: v for part in parts for k, v in part.items()},
        word,
        data | st.just({}),
        others,
    )
    return st.builds(
        lambda name, operands: Modification(operation=name, **operands),
        st.sampled_from(names),
        given_operands.filter(bool),
    )


modifications = made(["and", "or", "xor"], words) | made(["set"], set_words)


def payloads(room: int, lengths: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda head, length, raw_dlc, rest: head[:4] + bytes((length, *head[4:6], raw_dlc)) + rest,
        st.binary(min_size=6, max_size=6),
        lengths,
        st.integers(0, 17) | st.integers(0, 255),
        st.binary(min_size=room, max_size=room),
    )


any_payload = payloads(8, st.just(8) | st.integers(0, 8)) | payloads(64, st.integers(0, 64))
RAW: Final = struct.pack("=IB2xB8s", 0x123, 8, 15, b"12345678")
DIRTY: Final = struct.pack("=IB2xB8s", 0x123, 3, 15, b"12345678")


@settings(max_examples=60)
@given(any_payload, st.lists(modifications, max_size=4))
@example(RAW, [Modification.bit_or(length=0)])
@example(DIRTY, [Modification.bit_or(length=0)])
@example(RAW, [Modification.bit_xor(length=31)])
def test_any_sequence_is_one_operation_after_the_other(
    payload: bytes, modify: list[Modification]
) -> None:
    assert by_step(payload, modify) == by_model(payload, modify)


@settings(max_examples=60)
@given(any_payload, st.lists(modifications, max_size=4))
@example(RAW, [Modification.bit_or(length=0)])
@example(DIRTY, [Modification.bit_or(length=0)])
@example(RAW, [Modification.bit_xor(length=31)])
def test_the_kernel_is_asked_for_the_same(payload: bytes, modify: list[Modification]) -> None:
    assert by_kernel(payload, modify) == by_step(payload, modify)


@pytest.mark.parametrize(
    ("modification", "classical", "flexible"),
    [
        (Modification.bit_set(flags=1), False, True),
        (Modification.bit_set(data=b"1", offset=8), False, True),
        (Modification.bit_set(data=b"12", offset=7), True, True),
        (Modification.bit_or(id=0), False, False),
        (Modification.bit_or(length=0), True, False),  # it clears what is left of a raw DLC
    ],
)
def test_there_is_no_step_for_nothing(
    modification: Modification, classical: bool, flexible: bool
) -> None:
    bits = combine([modification])
    assert (classical_step(bits) is not None) == classical
    assert (flexible_step(bits) is not None) == flexible


def raw(word: int, content: bytes = b"1") -> bytes:
    return struct.pack("=IB3x8s", word, len(content), content)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0x123, 0x321),
        (0x124, 0x124),
        (0x124 | EFF, 0x124 | EFF),
        (0x123 | EFF, 0x123 | EFF),  # another identifier than that of 11 bits
        (0x321, 0x12345678 | EFF),
        (0x12345678 | EFF, 0x123),
        (0x40000123, 0x40000321),  # a remote frame
        (0xD2345678, 0x40000123),
        (0x20000123, 0x20000123),  # an error frame: these bits are its classes
        (0x20001123, 0x20001123),
        (0xA0000123, 0xA0000123),
        (0x1123, 0x321),  # bits that an 11-bit identifier has not, and that do get through
        (0x41000123, 0x40000321),
        (0x1124, 0x1124),
    ],
)
def test_identifiers_are_mapped(before: int, after: int) -> None:
    step = map_step({0x123: 0x321, 0x321: 0x12345678, 0x12345678: 0x123})
    assert step(raw(before)) == raw(after)
    flexible = struct.pack("=IBB2x64s", before, 64, 4, bytes(range(64)))
    assert step(flexible) == struct.pack("=I", after) + flexible[4:]


def test_words() -> None:
    assert [word_of(one) for one in (0, 0x7FF, 0x800)] == [0, 0x7FF, 0x80000800]


def xl(priority: int, content: bytes, vcid: int = 0) -> bytes:
    return encode_frame(XlFrame(priority, content, sdt=3, acceptance_field=0x12345678, vcid=vcid))


def test_priorities_are_mapped() -> None:
    step = xl_map_step({0x123: 0x321, 0x321: 0x12345678})
    assert step(xl(0x123, b"1234", vcid=0x5A)) == xl(0x321, b"1234", vcid=0x5A)
    assert step(xl(0x124, b"1234")) == xl(0x124, b"1234")
    assert step(xl(0x321, b"1234")) is DropReason.DOES_NOT_FIT


@pytest.mark.parametrize("size", [1, 3, 4, 60, 64, 65, 2048])
def test_the_data_of_can_xl_frames_are_modified_where_there_are_some(size: int) -> None:
    content = bytes(one & 0xFF for one in range(size))
    step = xl_step(
        [
            Modification.bit_xor(data=b"\xff\xff", offset=2),
            Modification.bit_set(data=b"abc", offset=61),
            Modification.bit_and(length=1, can_id=0),
        ]
    )
    assert step is not None
    expected = bytearray(content)
    expected[2:4] = bytes(one ^ 0xFF for one in content[2:4])
    expected[61:64] = b"abc"[: len(content[61:64])]
    assert step(xl(0x123, content, vcid=0x5A)) == xl(0x123, bytes(expected), vcid=0x5A)


@pytest.mark.parametrize(
    ("modification", "priority"),
    [
        (Modification.bit_and(id=0x7F0), 0x120),
        (Modification.bit_or(id=0x1FFFF400), 0x523),
        (Modification.bit_xor(id=0x1FFFFFFF), 0x6DC),
        (Modification.bit_set(id=0x12345678), 0x678),
        (Modification.bit_set(id=0x300, mask=0x700, extended=True, length=3), 0x323),
    ],
)
def test_priorities_are_modified(modification: Modification, priority: int) -> None:
    step = xl_step([modification])
    assert step is not None
    assert step(xl(0x123, b"1234", vcid=0x5A)) == xl(priority, b"1234", vcid=0x5A)


@pytest.mark.parametrize(
    "modification",
    [
        Modification.bit_set(can_id=5, length=3, flags=1),
        Modification.bit_set(extended=True),
        Modification.bit_and(id=0x7FF),
    ],
)
def test_what_does_nothing_to_can_xl_frames(modification: Modification) -> None:
    assert xl_step([modification]) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FdFrame(0x123, b"12345678", brs=True), Frame(0x123, b"12345678")),
        (FdFrame(0x12345678, b""), Frame(0x12345678)),
    ],
)
def test_can_fd_frames_become_classical_ones(before: FdFrame, after: Frame) -> None:
    assert to_classical(encode_frame(before)) == encode_frame(after)


def test_what_does_not_fit_into_a_classical_frame() -> None:
    assert to_classical(encode_frame(FdFrame(1, bytes(12)))) is DropReason.DOES_NOT_FIT
    assert refuse(xl(1, b"1")) is DropReason.DOES_NOT_FIT


def test_reserved_bytes_and_raw_dlcs_do_not_come_along() -> None:
    flexible = struct.pack("=I4B64s", 0x123, 8, 7, 0x55, 0xAA, b"12345678")
    assert to_classical(flexible) == struct.pack("=IB3x8s", 0x123, 8, b"12345678")
    classical = struct.pack("=I4B8s", 0x123, 8, 0x55, 0xAA, 15, b"12345678")
    step = to_flexible_step(4)
    assert step(classical) == struct.pack("=IBB2x64s", 0x123, 8, 4, b"12345678")


@pytest.mark.parametrize("flags", [4, 5])
def test_classical_frames_become_can_fd_frames(flags: int) -> None:
    payload = to_flexible_step(flags)(encode_frame(Frame(0x12345678, b"123")))
    assert isinstance(payload, bytes)
    assert len(payload) == 72
    assert decode_frame(payload) == FdFrame(0x12345678, b"123", brs=flags == 5)


def test_remote_and_error_frames_become_no_can_fd_frames() -> None:
    step = to_flexible_step(4)
    assert step(encode_frame(RemoteFrame(0x123))) is DropReason.DOES_NOT_FIT
    for word in (0x20000004, 0x60000004):
        assert step(raw(word, bytes(8))) == raw(word, bytes(8))
