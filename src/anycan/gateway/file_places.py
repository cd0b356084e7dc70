"""Values of a TOML file that know where they stand, so that each mistake is told with its place."""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager, suppress
from datetime import date, time
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import attrs

from anycan.exceptions import FilterError, GatewayError, ParseError
from anycan.frame import EFF_MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from anycan.gateway.toml_lines import TomlPath

_Value = TypeVar("_Value")

# What is quoted is no key; text is, as repr() gives it, in either kind of marks.
_WORD: Final = re.compile(
    r"""(?<!\w)b?'(?:[^'\\]|\\.)*'|(?<!\w)b?"(?:[^"\\]|\\.)*"|\w+""",
)
_HEX: Final = re.compile(r"0[xX][0-9A-Fa-f]+")
_MOST_CHARACTERS: Final = 60
_MOST_BITS: Final = 64
_NEAR: Final = 0.6  # how like a known word an unknown one is that may stand for it


class WrongValueError(Exception):
    """Something in the file is wrong, and has been noted."""


@attrs.frozen
class Problem:
    """Something wrong in a file.

    Attributes:
        path: Where.
        message: What is there, and what was expected.
    """

    path: TomlPath
    message: str


@attrs.frozen
class Place:
    """A value, and where it stands.

    Attributes:
        value: What :mod:`tomllib` gave.
        path: Where.
        problems: All that is wrong in the file, so far.
    """

    value: Any
    path: TomlPath
    problems: list[Problem]

    @property
    def key(self) -> str:
        """What the value is called in messages: the last key, with positions behind it."""
        keys = [part for part in self.path if isinstance(part, str)]
        return keys[-1] if keys else "the file"

    def inner(self, part: str | int) -> Place:
        """Give what stands in a table or an array."""
        return Place(self.value[part], (*self.path, part), self.problems)

    def note(self, message: str) -> None:
        """Note that something is wrong here."""
        self.problems.append(Problem(self.path, message))

    def refuse(self, message: str) -> NoReturn:
        """Note that something is wrong here, and give the value up.

        Raises:
            WrongValueError: Always.
        """
        self.note(message)
        raise WrongValueError

    def expect(self, expected: str) -> NoReturn:
        """Note that something else was expected here, and give the value up.

        Raises:
            WrongValueError: Always.
        """
        self.refuse(f"{self.key}: expected {expected}, not {described(self.value)}")

    @contextmanager
    def building(self) -> Iterator[None]:
        """Take what values refuse by themselves as a mistake of this place.

        Raises:
            WrongValueError: One was refused.
        """
        try:
            yield
        except (FilterError, GatewayError, ParseError) as error:
            self.refuse_where_named(f"{self.key}: {error}")

    def refuse_where_named(self, message: str) -> NoReturn:
        """Note that something is wrong in a table, at its first key that a message names.

        Where it names none, the table is noted.

        Args:
            message: What is wrong; what it quotes is not looked at.

        Raises:
            WrongValueError: Always.
        """
        words = _WORD.findall(message) if isinstance(self.value, dict) else []
        named = next((word for word in words if word in self.value), None)
        (self if named is None else self.inner(named)).refuse(message)

    def each(self, read: Callable[[Place], _Value], expected: str) -> tuple[_Value, ...]:
        """Read the elements of an array, or the only one without an array around it.

        Args:
            read: Reads an element.
            expected: What the elements are, for messages.

        Raises:
            WrongValueError: Some element is wrong; each that is has been noted.
        """
        if not isinstance(self.value, list):
            if isinstance(self.value, dict | str):
                return (read(self),)
            self.expect(f"a list of {expected}")
        places = [self.inner(position) for position in range(len(self.value))]
        return tuple(_all_of(read, places))

    def fields(
        self, readers: Mapping[str, Callable[[Place], Any]], *, needed: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Read a table.

        Args:
            readers: By key, what reads its value.
            needed: Keys that have to be there.

        Returns:
            By key, what was read.

        Raises:
            WrongValueError: Something in it is wrong, and all that is has been noted.
        """
        before = len(self.problems)
        found = self.right_fields(readers, needed=needed)
        if len(self.problems) > before:
            raise WrongValueError
        return found

    def right_fields(
        self, readers: Mapping[str, Callable[[Place], Any]], *, needed: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Read what is right of a table, and note all else.

        Args:
            readers: See :meth:`fields`, as for the other.
            needed: Keys that have to be there.

        Raises:
            WrongValueError: It is no table.
        """
        if not isinstance(self.value, dict):
            self.expect("a table")
        found: dict[str, Any] = {}
        missing = [key for key in needed if key not in self.value]
        for key in self.value:
            place = self.inner(key)
            if key in readers:
                with suppress(WrongValueError):
                    found[key] = readers[key](place)
                continue
            near = difflib.get_close_matches(key.lower(), [*readers], n=1, cutoff=_NEAR)
            if near:
                place.note(f"unknown key {key!r}; did you mean {near[0]!r}?")
                missing = [one for one in missing if one != near[0]]
            else:
                place.note(f"unknown key {key!r}; known ones are {', '.join(readers)}")
        for key in missing:
            self.note(f"{self.key}: there is no {key!r}, and one is needed")
        return found


def _all_of(read: Callable[[Place], _Value], places: Iterable[Place]) -> list[_Value]:
    found: list[_Value] = []
    is_wrong = False
    for place in places:
        try:
            found.append(read(place))
        except WrongValueError:
            is_wrong = True
    if is_wrong:
        raise WrongValueError
    return found


def described(value: object) -> str:
    """Put a value of a TOML file into words."""
    match value:
        case bool():
            text = str(value).lower()
        case dict():
            text = "a table"
        case list():
            text = f"a list of {len(value)}" if value else "an empty list"
        case int():
            text = f"{value}" if value.bit_length() <= _MOST_BITS else f"{value:#x}"
        case date() | time():
            text = value.isoformat()
        case _:
            text = repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


# What reads single values.


def read_text(place: Place) -> str:
    """Read text that is not empty."""
    if not isinstance(place.value, str) or not place.value:
        place.expect("text")
    return place.value


def read_boolean(place: Place) -> bool:
    """Read true or false."""
    if not isinstance(place.value, bool):
        place.expect("true or false")
    return place.value


def read_integer(place: Place) -> int:
    """Read a whole number, written as such or as text in hex."""
    value = parse_hex(place.value) if isinstance(place.value, str) else place.value
    if not isinstance(value, int) or isinstance(value, bool) or value.bit_length() > _MOST_BITS:
        place.expect('a whole number of up to 64 bits, such as 16, 0x10 or "0x10"')
    return value


def read_identifier(place: Place) -> int:
    """Read an identifier, of 11 or 29 bits."""
    value = parse_hex(place.value) if isinstance(place.value, str) else place.value
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= EFF_MASK:
        place.expect('an identifier, 0 to 0x1FFFFFFF, such as 0x123 or "0x123"')
    return value


def parse_hex(text: str) -> int | None:
    """Read a number such as ``0x7FF``; None: it is none."""
    return int(text, 16) if _HEX.fullmatch(text) else None


def read_number(place: Place) -> float:
    """Read a number."""
    value = place.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        place.expect("a number")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        place.expect("a number of up to 64 bits")
    return value


def read_bytes(place: Place) -> bytes:
    """Read bytes: text in hex, or a list of numbers."""
    value = place.value
    with suppress(TypeError, ValueError):
        if isinstance(value, str):
            return bytes.fromhex(value)
        if isinstance(value, list) and not any(isinstance(one, bool) for one in value):
            return bytes(value)
    return place.expect('bytes: text in hex such as "11 22 FF", or a list of numbers, 0 to 255')


def choice_of(*words: str) -> Callable[[Place], str]:
    """Give what reads one of some words."""

    def read(place: Place) -> str:
        if place.value not in words:
            place.expect(_alternatives(words))
        return str(place.value)

    return read


def _alternatives(words: Sequence[str]) -> str:
    *first, last = (repr(word) for word in words)
    return f"{', '.join(first)} or {last}" if first else last


def none_or(read: Callable[[Place], _Value]) -> Callable[[Place], _Value | None]:
    """Give what reads a value, or false for none."""

    def read_or_none(place: Place) -> _Value | None:
        return None if place.value is False else read(place)

    return read_or_none
