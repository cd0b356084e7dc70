"""Conditions: what a filter may ask of a frame, each with its test and the words it may take.

Each has

- ``cost``: the order in which several are asked, cheap ones first;
- ``on_errors``: it is evaluated for error frames; else it is false for them;
- ``self_sufficient``: its test is false for every error frame; else its caller keeps them from it;
- ``text``: the Python expression that makes a filter of it;
- ``test()``: makes the function that asks it;
- ``words()``: gives the words it may take, and those that it takes whatever else the frame is. The
  two are the same list where the word alone decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import attrs

from anycan.filter._cubes import EVERYTHING, STANDARD_BITS, VCID_BITS, Cube, merge
from anycan.filter._kinds import CLASSICAL, DATA_KINDS, ERROR, REMOTE, XL
from anycan.filter._ranges import test_of_cubes
from anycan.frame import RTR_FLAG, AnyFrame

Test = Callable[[int, int, bytes, str | None, AnyFrame | None], bool]
"""Of a kind, ``can_id``, data, an interface's name and a frame: whether it is taken."""

EVERY_BYTE: Final = (1 << 256) - 1
MOST_BYTES: Final = 2048  # of data, in CAN XL

_NO_REMOTE: Final[list[Cube]] = [(0, RTR_FLAG)]
_REMOTE: Final[list[Cube]] = [(RTR_FLAG, RTR_FLAG)]


@attrs.frozen
class Words:
    """The word is in one of the cubes."""

    cost: ClassVar = 0
    self_sufficient: ClassVar = True
    on_errors: ClassVar = False

    cubes: tuple[Cube, ...]
    text: str = attrs.field(eq=False)

    def test(self) -> Test:
        return test_of_cubes(self.cubes)

    def words(self) -> tuple[list[Cube], list[Cube]]:
        cubes = merge(self.cubes)
        return cubes, cubes


@attrs.frozen
class Kinds:
    """The frame is of one of these kinds, and its word in a cube.

    Several kinds stand beside the cube of all words; another cube is that of CAN XL frames.
    """

    cost: ClassVar = 1
    self_sufficient: ClassVar = True
    on_errors: ClassVar = False

    kinds: int
    cube: Cube
    text: str = attrs.field(eq=False)

    def test(self) -> Test:
        kinds = self.kinds
        value, mask = self.cube

        def test(
            kind: int, word: int, _data: bytes, _interface: str | None, _frame: AnyFrame | None
        ) -> bool:
            return kind & kinds != 0 and word & mask == value

        return test

    def exact_cube(self) -> Cube:
        """Give the words of such frames as exactly as words can."""
        value, mask = self.cube
        if self.kinds == XL:
            return value, mask | STANDARD_BITS & ~0x7FF
        return (0, 0) if self.kinds & REMOTE else (0, RTR_FLAG)

    def words(self) -> tuple[list[Cube], list[Cube]]:
        if self.kinds == XL:  # with whatever VCID: a kernel filter does not tell
            value, mask = self.exact_cube()
            return [(value & ~VCID_BITS, mask & ~VCID_BITS)], []
        if self.kinds == CLASSICAL | REMOTE:
            return [EVERYTHING], _REMOTE
        return _NO_REMOTE, []


@attrs.frozen
class ByteIn:
    """The frame is a data frame that has a byte, and its value is one of those allowed.

    Attributes:
        place: Which byte.
        allowed: A set of values as an integer: bit 0 for the value 0.
    """

    cost: ClassVar = 3
    self_sufficient: ClassVar = True
    on_errors: ClassVar = False

    place: int
    allowed: int
    text: str = attrs.field(eq=False)
    masked: tuple[int, int] | None = attrs.field(eq=False, default=None)  # as value and mask

    def test(self) -> Test:
        place = self.place
        if self.allowed.bit_count() == 1:
            value = self.allowed.bit_length() - 1

            def compare(
                kind: int, _word: int, data: bytes, _interface: str | None, _frame: AnyFrame | None
            ) -> bool:
                return kind & DATA_KINDS != 0 and len(data) > place and data[place] == value

            return compare
        table = bytes(self.allowed >> value & 1 for value in range(256))

        def test(
            kind: int, _word: int, data: bytes, _interface: str | None, _frame: AnyFrame | None
        ) -> bool:
            return kind & DATA_KINDS != 0 and len(data) > place and table[data[place]] != 0

        return test

    def words(self) -> tuple[list[Cube], list[Cube]]:
        return (_NO_REMOTE if self.allowed else []), []


@attrs.frozen
class Length:
    """The frame is a data frame with so many bytes."""

    cost: ClassVar = 2
    self_sufficient: ClassVar = True
    on_errors: ClassVar = False

    minimum: int
    maximum: int
    text: str = attrs.field(eq=False)

    def test(self) -> Test:
        minimum, maximum = self.minimum, self.maximum

        def test(
            kind: int, _word: int, data: bytes, _interface: str | None, _frame: AnyFrame | None
        ) -> bool:
            return kind & DATA_KINDS != 0 and minimum <= len(data) <= maximum

        return test

    def words(self) -> tuple[list[Cube], list[Cube]]:
        every = self.minimum == 0 and self.maximum == MOST_BYTES
        return _NO_REMOTE, _NO_REMOTE if every else []


@attrs.frozen
class ReceivedFrom:
    """The frame, an error frame too, was received from one of these interfaces."""

    cost: ClassVar = 1
    self_sufficient: ClassVar = False
    on_errors: ClassVar = True

    names: frozenset[str]
    text: str = attrs.field(eq=False)

    def test(self) -> Test:
        names = self.names

        def test(
            _kind: int, _word: int, _data: bytes, interface: str | None, _frame: AnyFrame | None
        ) -> bool:
            return interface in names

        return test

    def words(self) -> tuple[list[Cube], list[Cube]]:
        return [EVERYTHING], []


def _hashable(function: object) -> object:
    try:
        hash(function)
    except TypeError:
        return id(function)
    return function


@attrs.frozen
class Where:
    """A function of the user's is true of the frame."""

    cost: ClassVar = 4

    function: Callable[[Any], object] = attrs.field(eq=_hashable)
    on_errors: bool
    text: str = attrs.field(eq=False)

    @property
    def self_sufficient(self) -> bool:
        return not self.on_errors

    def test(self) -> Test:
        function, errors = self.function, self.on_errors

        def test(
            kind: int, _word: int, _data: bytes, _interface: str | None, frame: AnyFrame | None
        ) -> bool:
            return (kind != ERROR or errors) and bool(function(frame))

        return test

    def words(self) -> tuple[list[Cube], list[Cube]]:
        return [EVERYTHING], []


@attrs.frozen
class OfErrors:
    """The frame is an error frame with one of these classes."""

    cost: ClassVar = 0
    self_sufficient: ClassVar = True
    on_errors: ClassVar = True

    classes: int
    text: str = attrs.field(eq=False)

    def test(self) -> Test:
        classes = self.classes

        def test(
            kind: int, word: int, _data: bytes, _interface: str | None, _frame: AnyFrame | None
        ) -> bool:
            return kind == ERROR and word & classes != 0

        return test

    def words(self) -> tuple[list[Cube], list[Cube]]:
        nothing: list[Cube] = []
        return nothing, nothing
