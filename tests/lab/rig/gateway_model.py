"""What a rule does to frames: what it is told, what cangw is told, and what has to come of it.

What has to come is computed here a second time, bit by bit and part by part as the kernel's headers
describe it (``linux/can/gw.h``), by other means than those of the package.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import attrs

from anycan import Crc8Checksum, CrcProfile, Modification, XorChecksum

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTENDED: Final = 1 << 31
REMOTE: Final = 1 << 30
_WORD: Final = 0xFFFFFFFF
_ORDER: Final = ("AND", "OR", "XOR", "SET")  # can-gw's


# Frames


def classical(word: int, data: bytes = b"", length: int | None = None, dlc: int = 0) -> bytes:
    """Give a ``struct can_frame``.

    Args:
        word: Identifier and flags.
        data: Its data; what is behind the length is garbage.
        length: Its length, unless it is that of the data.
        dlc: The raw DLC, 9 to 15; 0: none.
    """
    return struct.pack(
        "=IBxxB8s", word, len(data) if length is None else length, dlc, data.ljust(8, b"\0")
    )


def flexible(word: int, data: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    """Give a ``struct canfd_frame``, as it is received: the flag FDF is set."""
    return struct.pack(
        "=IBBxx64s",
        word,
        len(data) if length is None else length,
        flags | 4,
        data.ljust(64, b"\0"),
    )


def word_of(payload: bytes) -> int:
    """Give a frame's word of identifier and flags."""
    (word,) = struct.unpack_from("=I", payload)
    return int(word)


# Cases


@attrs.frozen
class Operation:
    """One of can-gw's changes, by its parts; None: it is not for that part.

    Attributes:
        name: ``AND``, ``OR``, ``XOR`` or ``SET``.
        word: For identifier and flags.
        length: For the length.
        data: For the 64 bytes of data, or the first eight.
        flags: For CAN FD's flags.
    """

    name: str
    word: int | None = None
    length: int | None = None
    data: bytes | None = None
    flags: int | None = None

    def modification(self) -> Modification:
        """Give the same as a rule has it."""
        make = getattr(Modification, f"bit_{self.name.lower()}")
        given = {
            "can_id": self.word,
            "length": self.length,
            "data": self.data,
            "flags": self.flags,
        }
        result: Modification = make(**{k: v for k, v in given.items() if v is not None})
        return result

    def of_cangw(self, *, fd: bool) -> str | None:
        """Give the argument of ``cangw -m``, or ``-M``; None: there is nothing for it to do."""
        letters = ("I", "F" if fd else "", "L", "D")
        values = (self.word, self.flags if fd else None, self.length, self.data)
        parts = "".join(
            letter for letter, value in zip(letters, values, strict=True) if value is not None
        )
        if not parts:
            return None
        data = (self.data or b"").ljust(64, b"\0")[: 64 if fd else 8]
        numbers = [f"{self.word or 0:X}"]
        if fd:
            numbers.append(f"{self.flags or 0:X}")
        numbers.append(f"{self.length or 0:X}")
        return f"{self.name}:{parts}:{'.'.join(numbers)}.{data.hex().upper()}"


@attrs.frozen
class Crc:
    """A CRC-8, by what it is computed from."""

    polynomial: int
    first: int
    last: int
    result: int
    initial: int = 0
    final_xor: int = 0
    profile: CrcProfile = CrcProfile.NONE
    profile_data: bytes = b""

    def checksum(self) -> Crc8Checksum:
        """Give the same as a rule has it."""
        values = attrs.asdict(self)
        return Crc8Checksum.of(values.pop("polynomial"), **values)

    def compute(self, payload: bytes, data: bytes) -> int:
        """Give the CRC of some bytes of a frame, bit by bit."""
        crc = self.initial
        if self.profile == CrcProfile.ONE:
            data += self.profile_data[:1]
        elif self.profile == CrcProfile.SIXTEEN:
            data += self.profile_data[payload[9] & 15 :][:1]
        elif self.profile == CrcProfile.SFFID_XOR:
            word = word_of(payload)
            data += bytes([word & 0xFF ^ word >> 8 & 0xFF])
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc << 1 ^ (self.polynomial if crc & 0x80 else 0)) & 0xFF
        return crc ^ self.final_xor

    def table(self) -> bytes:
        """Give the CRC of each byte alone."""
        return bytes(
            attrs.evolve(self, initial=0, final_xor=0, profile=CrcProfile.NONE).compute(
                b"", bytes([byte])
            )
            for byte in range(256)
        )


@attrs.frozen(kw_only=True)
class Case:
    """A rule, by what it does.

    Attributes:
        name: What to call it.
        operations: In can-gw's order.
        modify: The same as a rule has it, where it says it in other words.
        xor: First, last and result position, and the initial value.
        crc: The CRC-8.
    """

    name: str
    operations: tuple[Operation, ...] = ()
    modify: tuple[Modification, ...] | None = None
    xor: tuple[int, int, int, int] | None = None
    crc: Crc | None = None
    fd: bool = True  # its positions are those of a classical frame, too

    def options(self) -> dict[str, Any]:
        """Give the arguments of a rule."""
        modify = self.modify
        if modify is None:
            modify = tuple(one.modification() for one in self.operations)
        checksums: list[XorChecksum | Crc8Checksum] = []
        if self.xor:
            checksums.append(XorChecksum(*self.xor))
        if self.crc:
            checksums.append(self.crc.checksum())
        return {"modify": modify, "checksums": checksums}

    def commands(self, source: str, destination: str) -> Iterator[list[str]]:
        """Give the arguments of cangw by which it makes a rule of both kinds, without -A or -D."""
        for fd in (False, True):
            command = ["-s", source, "-d", destination, "-e", *(["-X"] if fd else [])]
            changes = [one.of_cangw(fd=fd) for one in self.operations]
            # Checksums are written where something else is changed, and only there.
            found = [one for one in changes if one] or ["AND:I:FFFFFFFF." + self._nothing(fd)]
            for change in found:
                command += ["-M" if fd else "-m", change]
            if self.xor:
                first, last, result, initial = self.xor
                command += ["-x", f"{first}:{last}:{result}:{initial:02X}"]
            if self.crc:
                command += self._crc_arguments(self.crc)
            yield command

    @staticmethod
    def _nothing(fd: bool) -> str:
        return "0.0." + "00" * 64 if fd else "0." + "00" * 8

    @staticmethod
    def _crc_arguments(crc: Crc) -> list[str]:
        yielded = [
            "-c",
            f"{crc.first}:{crc.last}:{crc.result}:{crc.initial:02X}:{crc.final_xor:02X}:"
            + crc.table().hex().upper(),
        ]
        if crc.profile:
            yielded += ["-p", f"{int(crc.profile)}:{crc.profile_data.hex().upper()}"]
        return yielded

    def expected(self, payload: bytes) -> bytes | None:
        """Give what has to come of a frame; None: it is dropped."""
        frame = bytearray(payload)
        is_fd = len(frame) == 72
        for name in _ORDER:
            for one in self.operations:
                if one.name == name:
                    _operate(frame, one, is_fd=is_fd)
        if frame[4] > (64 if is_fd else 8):
            return None
        room = 64 if is_fd else 8
        for checksum in (self.crc, self.xor):
            if checksum is not None:
                _write_checksum(frame, checksum, room)
        return bytes(frame)


def _combine(name: str, old: int, operand: int) -> int:
    return {"AND": old & operand, "OR": old | operand, "XOR": old ^ operand, "SET": operand}[name]


def _operate(frame: bytearray, one: Operation, *, is_fd: bool) -> None:
    name = one.name
    if one.word is not None:
        frame[:4] = struct.pack("=I", _combine(name, word_of(bytes(frame)), one.word))
    if one.length is not None:
        if is_fd:
            frame[4] = _combine(name, frame[4], one.length)
        else:
            dlc = frame[7] if frame[4] == 8 and 8 < frame[7] < 16 else frame[4]
            dlc = _combine(name, dlc, one.length)
            frame[4], frame[7] = (8, dlc) if 8 < dlc < 16 else (dlc, 0)
    if one.flags is not None and is_fd:
        frame[5] = _combine(name, frame[5], one.flags)
    if one.data is not None:
        for place, operand in enumerate(one.data[: 64 if is_fd else 8]):
            frame[8 + place] = _combine(name, frame[8 + place], operand)


def _write_checksum(frame: bytearray, checksum: Crc | tuple[int, int, int, int], room: int) -> None:
    first, last, result = (
        (checksum.first, checksum.last, checksum.result)
        if isinstance(checksum, Crc)
        else checksum[:3]
    )
    places = [place + frame[4] if place < 0 else place for place in (first, last, result)]
    if not all(0 <= place < room for place in places):
        return
    first, last, result = places
    step = 1 if first <= last else -1
    data = bytes(frame[8 + place] for place in range(first, last + step, step))
    if isinstance(checksum, Crc):
        value = checksum.compute(bytes(frame), data)
    else:
        value = checksum[3]
        for byte in data:
            value ^= byte
    frame[8 + result] = value
