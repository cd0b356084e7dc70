"""In which line of a TOML file a value stands: against tomllib, which is given less and less."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.gateway.toml_lines import TomlPath, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: Final = '''\
# [[rule]] in a comment
name = "a [[rule]] in a string # and no comment"  # [x]
text = """
[[rule]]
quotes: "" and \\""" and ""\\
   """""
raw = \'\'\'C:\\
\'quoted\'\'\'\'\'
other = 'C:\\'

[defaults]
capacity = 64

[[rule]]
source = "can0"
filter = [  # a "list"
    {id = 0x123},

    "123:7FF", "400~7F0",  # "two"
    {range = [
        0x700,
        0x7FF,
    ], not = {id = 0x7DF}},
]
"id_map"."0x1" = 2
id_map.'0x.2' = 3

[rule.active]
start = 22:00:00
end = 2026-11-25 08:00:00Z

[[ rule ]]
source = "can1"
[[rule.limits]]
rate = 1
[[rule.limits]]
rate = 2e3
'''


def values(value: object, path: TomlPath = ()) -> Iterator[tuple[TomlPath, Any]]:
    """Give the path to everything in a document, and what it leads to."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from values(inner, (*path, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from values(inner, (*path, position))


def lines_by_prefixes(text: str) -> dict[TomlPath, int]:
    """Give the line by which a document has something; of more than one line, the last."""
    found: dict[TomlPath, int] = {}
    lines = text.splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        with suppress(tomllib.TOMLDecodeError):
            for path, _ in values(tomllib.loads("".join(lines[:number]))):
                found.setdefault(path, number)
    return found


def test_lines() -> None:
    assert lines_of(DOCUMENT) == {
        ("name",): 2,
        ("text",): 3,
        ("raw",): 7,
        ("other",): 9,
        ("defaults",): 11,
        ("defaults", "capacity"): 12,
        ("rule",): 14,
        ("rule", 0): 14,
        ("rule", 0, "source"): 15,
        ("rule", 0, "filter"): 16,
        ("rule", 0, "filter", 0): 17,
        ("rule", 0, "filter", 0, "id"): 17,
        ("rule", 0, "filter", 1): 19,
        ("rule", 0, "filter", 2): 19,
        ("rule", 0, "filter", 3): 20,
        ("rule", 0, "filter", 3, "range"): 20,
        ("rule", 0, "filter", 3, "range", 0): 21,
        ("rule", 0, "filter", 3, "range", 1): 22,
        ("rule", 0, "filter", 3, "not"): 23,
        ("rule", 0, "filter", 3, "not", "id"): 23,
        ("rule", 0, "id_map"): 25,
        ("rule", 0, "id_map", "0x1"): 25,
        ("rule", 0, "id_map", "0x.2"): 26,
        ("rule", 0, "active"): 28,
        ("rule", 0, "active", "start"): 29,
        ("rule", 0, "active", "end"): 30,
        ("rule", 1): 32,
        ("rule", 1, "source"): 33,
        ("rule", 1, "limits"): 34,
        ("rule", 1, "limits", 0): 34,
        ("rule", 1, "limits", 0, "rate"): 35,
        ("rule", 1, "limits", 1): 36,
        ("rule", 1, "limits", 1, "rate"): 37,
    }


def test_it_is_what_tomllib_reads() -> None:
    assert lines_of(DOCUMENT).keys() == dict(values(tomllib.loads(DOCUMENT))).keys()


def test_a_table_made_by_another_has_its_own_header_later() -> None:
    text = "[a.b]\nc = 1\n[a]\nd = 1\n"
    assert lines_of(text) == {
        ("a",): 3,
        ("a", "b"): 1,
        ("a", "b", "c"): 2,
        ("a", "d"): 4,
    }


def test_windows_line_ends() -> None:
    assert lines_of("a = 1\r\n# b\r\nb = '''\r\nx'''\r\nc = [\r\n1]\r\n") == {
        ("a",): 1,
        ("b",): 3,
        ("c",): 5,
        ("c", 0): 6,
    }


@pytest.mark.parametrize("text", ["a", "a =", "= 1", "[a", "a = [1", "a = {b = 1", "a = 'x"])
def test_what_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        lines_of(text)


# Documents of all kinds.

BLANK: Final = st.sampled_from(["", " ", "\t", "  "])
NEW_LINE: Final = st.sampled_from(["\n", "\n\n", " # [[x]] 'a\n", "\r\n"])
BARE: Final = st.text("abcXYZ019_-", min_size=1, max_size=3)
PLAIN_TEXT: Final = st.text("ab[]{}#=,.'\" ", max_size=6)


@st.composite
def strings(draw: st.DrawFn, *, lines: bool = True) -> str:
    """Make the notation of a string, of one of the four kinds."""
    text = draw(PLAIN_TEXT)
    kind = draw(st.sampled_from(['"', "'", '"""', "'''"] if lines else ['"', "'"]))
    if kind == '"':
        return '"' + text.replace('"', '\\"') + '"'
    if kind == "'":
        return "'" + text.replace("'", "") + "'"
    ends = draw(st.sampled_from(["", kind[0], kind[0] * 2]))
    text = text.replace(kind[0], "") + draw(st.sampled_from(["", "\n", "\nx\r\ny"]))
    return kind + text + ends + kind


@st.composite
def scalars(draw: st.DrawFn, *, lines: bool = True) -> str:
    return draw(
        strings(lines=lines)
        | st.integers().map(str)
        | st.floats().map(repr)
        | st.sampled_from(["true", "0xFF", "1_000", "1979-05-27 07:32:00", "07:32:00", "inf"])
        | st.dates(date(1000, 1, 1)).map(str)
        | st.datetimes(datetime(1000, 1, 1)).map(datetime.isoformat)  # noqa: DTZ001 - a local one
        | st.times().map(time.isoformat)
    )


def arrays(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    space = st.sampled_from(["", " ", "\n", " # ]\n"])

    @st.composite
    def array(draw: st.DrawFn) -> str:
        elements = draw(st.lists(inner, max_size=3))
        parts = [draw(space) + element + draw(space) for element in elements]
        end = draw(st.sampled_from(["", ","])) if parts else ""
        return "[" + ",".join(parts) + end + draw(space) + "]"

    return array()


def inline_tables(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    @st.composite
    def table(draw: st.DrawFn) -> str:
        names = draw(st.lists(BARE, max_size=3, unique=True))
        return "{" + ", ".join(f"{name}{draw(BLANK)}= {draw(inner)}" for name in names) + "}"

    return table()


VALUES: Final = st.recursive(
    scalars(), lambda inner: arrays(inner) | inline_tables(inner), max_leaves=6
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Make a document; some of them define something twice, and are none."""
    text = ""
    for _ in range(draw(st.integers(0, 6))):
        keys = draw(st.lists(BARE | strings(lines=False), min_size=1, max_size=3))
        blank = draw(BLANK)
        key = f"{blank}.{blank}".join(keys)
        match draw(st.integers(0, 4)):
            case 0:
                text += f"[{blank}{key}{blank}]"
            case 1:
                text += f"[[{blank}{key}]]"
            case _:
                text += f"{blank}{key}{blank}={blank}{draw(VALUES)}"
        text += draw(NEW_LINE)
    return text


@settings(max_examples=30)
@given(documents())
def test_everything_is_found_and_in_the_line_where_it_is(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = lines_of(text)
    assert found.keys() == dict(values(document)).keys()
    latest = lines_by_prefixes(text)
    lines = text.splitlines()
    for path, line in found.items():
        if isinstance(path[-1], str):
            word = path[-1]
            assert word in lines[line - 1] or '"' in lines[line - 1]
        # A table may have its header behind what is in it.
        if not isinstance(dict(values(document))[path], dict):
            assert line <= latest[path]
