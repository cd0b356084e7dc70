"""In which line of a TOML file each key and each element of an array stands.

:mod:`tomllib` gives the values without it, and is asked first: what is read here is valid TOML.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

TomlPath = tuple[str | int, ...]
"""The keys and positions that lead to a value: ``("rule", 1, "limits", 0, "rate")``."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # with comments
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = re.compile(r"[^,\]}#\n]+")  # a number, a boolean, a time
_STRING: Final = re.compile(
    # Up to two quotation marks may stand before the last three.
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)


def lines_of(text: str) -> dict[TomlPath, int]:
    r"""Give the line, from 1, of each key, table and array element of a TOML document.

    A table's line is that of its header; where it has none, that of the first key that makes it.

    Args:
        text: A document that :func:`tomllib.loads` accepts.

    Raises:
        ValueError: It is found not to be TOML.

    Example:
        >>> lines_of('# rules\n[[rule]]\nsource = "can0"\n')
        {('rule',): 2, ('rule', 0): 2, ('rule', 0, 'source'): 3}
    """
    reader = _Reader(text)
    reader.read_document()
    return reader.lines


class _Reader:
    """Goes once through a document.

    Args:
        text: The document.
    """

    def __init__(self, text: str) -> None:
        self.lines: dict[TomlPath, int] = {}
        self._text = text
        self._position = 0
        self._line = 1
        self._sizes: dict[TomlPath, int] = {}  # of arrays of tables, so far

    def read_document(self) -> None:
        table: TomlPath = ()
        while self._find_more():
            line = self._line
            if self._skip("[["):
                *outer, last = self._read_key()
                array = (*self._walk((), outer, line), last)
                position = self._sizes.get(array, 0)
                self._sizes[array] = position + 1
                table = (*array, position)
                self.lines.setdefault(array, line)
                self.lines[table] = line
                self._expect("]]")
            elif self._skip("["):
                *outer, last = self._read_key()
                table = (*self._walk((), outer, line), last)
                self.lines[table] = line
                self._expect("]")
            else:
                self._read_pair(table)

    def _walk(self, table: TomlPath, keys: list[str], line: int) -> TomlPath:
        """Go into tables; an array of tables stands for the last one that it has so far."""
        for key in keys:
            table = (*table, key)
            self.lines.setdefault(table, line)
            if table in self._sizes:
                table = (*table, self._sizes[table] - 1)
        return table

    def _read_pair(self, table: TomlPath) -> None:
        line = self._line
        path = self._walk(table, self._read_key(), line)
        self._expect("=")
        self._read_value(path)

    def _read_key(self) -> list[str]:
        keys = []
        while True:
            self._take(_BLANK)
            if self._text[self._position : self._position + 1] in {'"', "'"}:
                keys.append(tomllib.loads(f"key = {self._take(_STRING)}")["key"])
            else:
                keys.append(self._take(_BARE_KEY))
            if not self._skip("."):
                return keys

    def _read_value(self, path: TomlPath) -> None:
        if self._skip("["):
            position = 0
            while not self._skip("]"):
                self.lines[*path, position] = self._line
                self._read_value((*path, position))
                self._skip(",")
                position += 1
        elif self._skip("{"):
            while not self._skip("}"):
                self._read_pair(path)
                self._skip(",")
        elif self._text[self._position : self._position + 1] in {'"', "'"}:
            self._take(_STRING)
        else:
            self._take(_PLAIN)

    def _find_more(self) -> bool:
        self._take(_BLANK)
        return self._position < len(self._text)

    def _skip(self, mark: str) -> bool:
        """Go over a mark and over the blanks around it, if it is what comes next."""
        self._take(_BLANK)
        if not self._text.startswith(mark, self._position):
            return False
        self._position += len(mark)
        self._take(_BLANK)
        return True

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise ValueError(f"line {self._line}: no {mark!r}")

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise ValueError(f"line {self._line}: this is not TOML")
        self._position = match.end()
        self._line += match[0].count("\n")
        return match[0]
