"""Rules of all kinds that change frames, and frames of all kinds for them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from anycan import CrcProfile, Modification
from rig.gateway_model import EXTENDED, REMOTE, Case, Crc, Operation, classical, flexible

if TYPE_CHECKING:
    from collections.abc import Iterator


# Frames


def _content(seed: int, size: int) -> bytes:
    return bytes((seed * 37 + 11 * place * place + 5) & 0xFF for place in range(size))


def _input_frames() -> list[bytes]:
    """Give frames of every length, of all kinds, with bits set where none need be."""
    frames = []
    for length in range(9):
        frames += [
            classical(0x100 + length, _content(length, length)),
            classical(0x18DAF100 + length | EXTENDED, _content(length + 9, length)),
            classical(0x555 | REMOTE, length=length),
            classical(0x0ABCDE00 | EXTENDED | REMOTE, length=length),
            classical(0x2AA, _content(length + 3, 8), length=length),  # garbage behind the end
        ]
    frames += [classical(0x3FF, _content(dlc, 8), dlc=dlc) for dlc in range(9, 16)]
    frames += [flexible(0x100, _content(length, length), length & 3) for length in range(65)]
    frames += [
        flexible(0x1FFFFFFF | EXTENDED, _content(1, 64), 1),
        flexible(0x7FF, _content(2, 64), 2, length=5),
        flexible(0, b"", 3),
    ]
    return frames


# Rules


def _data(*places: int, fill: int = 0, size: int = 64) -> bytes:
    return bytes(places).ljust(size, bytes([fill]))


_PATTERN: Final = bytes((place * 29 + 3) & 0xFF for place in range(64))
_DLC: Final = 0x0F


def _cases() -> Iterator[Case]:
    operands = {
        "AND": (0xC00007F0, 7, 0xFE),
        "OR": (0x00000401, 3, 1),
        "XOR": (0x00000155, 9, 3),
        "SET": (0x00000333, 4, 6),
    }
    for name, (word, length, flags) in operands.items():
        for parts in (
            {"word": word},
            {"length": length},
            {"data": _PATTERN},
            {"flags": flags},
            {"word": word, "length": length, "data": _PATTERN, "flags": flags},
        ):
            given: dict[str, Any] = dict(parts)
            yield Case(name=f"{name} {' '.join(parts)}", operations=(Operation(name, **given),))
    yield from _lengths()
    yield from _identifiers()
    yield from _checksums()
    everything = (
        Operation("AND", 0xFFFFF0FF, 0x3F, _data(0xF0, 0x0F, fill=0xFF), 0xFB | 4),
        Operation("OR", 0x00000200, 1, _data(0, 0, 0x80), 1),
        Operation("XOR", 0x00000033, 2, _PATTERN, 2),
    )
    yield Case(name="AND, OR and XOR of everything", operations=everything)
    yield Case(
        name="all four, and both checksums",
        operations=(
            *everything,
            Operation("SET", length=8),
        ),
        xor=(0, 5, 6, 0xA5),
        crc=Crc(0x1D, 0, -3, -1, 0xFF, 0xFF),
    )


def _lengths() -> Iterator[Case]:
    yield Case(name="lengths that are too long", operations=(Operation("OR", length=0x08),))
    yield Case(name="a raw DLC", operations=(Operation("SET", length=13),))
    yield Case(name="a length that stays, but for 64", operations=(Operation("AND", length=0x3F),))
    yield Case(name="none at all", operations=(Operation("SET", length=0),))
    yield Case(name="above a raw DLC", operations=(Operation("OR", length=0x10),))
    yield Case(name="above all", operations=(Operation("SET", length=64),))
    yield Case(
        name="too long in between",
        operations=(Operation("OR", length=0x30), Operation("XOR", length=0x30)),
    )
    yield Case(
        name="a raw DLC in between",
        operations=(
            Operation("AND", length=_DLC),
            Operation("OR", length=0x0C),
            Operation("XOR", length=0x0A),
        ),
    )
    yield Case(
        name="to 29 bits with data longer than before",
        operations=(Operation("SET", word=0x12345678 | EXTENDED, length=8),),
    )


def _identifiers() -> Iterator[Case]:
    yield Case(
        name="id, of AND",
        operations=(Operation("AND", word=0xE00007F0),),
        modify=(Modification.bit_and(id=0x7F0),),
    )
    yield Case(
        name="id, of OR",
        operations=(Operation("OR", word=0x600),),
        modify=(Modification.bit_or(id=0x600),),
    )
    yield Case(
        name="remap by mask",
        operations=(Operation("AND", word=0xFFFFF8FF), Operation("OR", word=0x300)),
        modify=(Modification.bit_set(id=0x300, mask=0x700),),
    )
    yield Case(
        name="id, of SET, to 11 bits",
        operations=(Operation("AND", word=0x60000000), Operation("OR", word=0x321)),
        modify=(Modification.bit_set(id=0x321),),
    )
    yield Case(
        name="id, of SET, to 29 bits",
        operations=(Operation("AND", word=0x60000000), Operation("OR", word=0x91234567)),
        modify=(Modification.bit_set(id=0x11234567),),
    )
    yield Case(
        name="some bytes of data",
        operations=(
            Operation("AND", data=_data(0xFF, 0xFF, 0, 0, fill=0xFF)),
            Operation("OR", data=_data(0, 0, 0xAB, 0xCD)),
        ),
        modify=(Modification.bit_set(data=b"\xab\xcd", offset=2),),
    )
    yield Case(
        name="SET, then XOR",
        operations=(
            Operation(
                "SET", data=bytes(a ^ b for a, b in zip(_PATTERN, bytes([255]) * 64, strict=True))
            ),
        ),
        modify=(Modification.bit_set(data=_PATTERN), Modification.bit_xor(data=b"\xff" * 64)),
    )


def _checksums() -> Iterator[Case]:
    bit = (Operation("XOR", data=_data(1)),)
    positions = {
        "": (0, 6, 7),
        "downwards": (6, 0, 7),
        "one byte": (2, 2, 0),
        "over its own result": (0, 7, 3),
        "from the end": (0, -2, -1),
        "all from the end": (-4, -2, -1),
        "downwards from the end": (-2, -4, 0),
        "from before the beginning": (-8, -1, 0),
        "backwards over the end": (3, -3, -2),
    }
    for name, (first, last, result) in positions.items():
        yield Case(name=f"XOR checksum {name}", operations=bit, xor=(first, last, result, 0x5A))
        yield Case(
            name=f"CRC-8 {name}",
            operations=bit,
            crc=Crc(0x1D, first, last, result, 0xFF, 0xFF),
        )
    for profile, data in (
        (CrcProfile.ONE, b"\xc3"),
        (CrcProfile.SIXTEEN, bytes(range(0x40, 0x50))),
        (CrcProfile.SFFID_XOR, b""),
    ):
        yield Case(
            name=f"CRC-8, profile {profile.name}",
            operations=(Operation("XOR", word=0x31),),
            crc=Crc(0x2F, 2, -1, 0, 0xFF, 0xFF, profile, data),
        )
    yield Case(name="a checksum alone", xor=(0, -2, -1, 0))
    yield Case(name="a CRC-8 alone", crc=Crc(0x07, 0, -2, -1))
    yield Case(name="both", operations=bit, xor=(0, -1, 1, 1), crc=Crc(0x9B, -3, -1, 0, 0x12, 0x34))
    yield Case(
        name="of a new length",
        operations=(Operation("SET", length=6),),
        xor=(0, -2, -1, 0),
        crc=Crc(0x1D, 0, -3, -2, 0xFF, 0xFF),
    )


CASES: Final = tuple(_cases())
FRAMES: Final = tuple(_input_frames())


@cache
def outcomes(case: Case) -> tuple[bytes | None, ...]:
    """Give what has to come of each of the frames; None: it is dropped."""
    return tuple(case.expected(frame) for frame in FRAMES)
