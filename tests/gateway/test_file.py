"""Gateways in files: what they say, and what is told of each mistake."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan import (
    Crc8Checksum,
    CrcProfile,
    FdFrame,
    Filter,
    Frame,
    GatewayFile,
    GatewayFileError,
    Modification,
    RateLimit,
    RemoteFrame,
    Rule,
    TimeWindow,
    XlFrame,
    XorChecksum,
    load_gateway_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anycan import AnyFrame

HEAD: Final = '[[rule]]\nsource = "can0"\ndestination = "can1"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Give a directory whose modules are forgotten afterwards."""
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(directory: Path, text: str, name: str = "door.toml") -> GatewayFile:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return load_gateway_file(path)


def rule_of(directory: Path, text: str) -> Rule:
    """Give the rule of what stands behind its source and destination."""
    (rule,) = load(directory, HEAD + text).rules
    return rule


def mistakes(directory: Path, text: str, name: str = "door.toml") -> list[str]:
    """Give what is wrong, as ``LINE: message``."""
    with pytest.raises(GatewayFileError) as caught:
        load(directory, text, name)
    error = caught.value
    assert error.path == str(directory / name)
    told = [str(error), *getattr(error, "__notes__", [])]
    assert error.line is None or str(error).startswith(f"{error.path}:{error.line}: ")
    return [one.removeprefix(str(directory / name) + ":").removeprefix(" ") for one in told]


def test_the_least(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD) == GatewayFile(
        name="door", missing="wait", rules=(Rule(source="can0", destination="can1"),)
    )


def test_everything_that_a_rule_has(directory: Path) -> None:
    (directory / "door_functions.py").write_text("class Door:\n    def pass_on(frame): ...\n")
    text = """\
name = "front-door"
missing = "raise"

[[rule]]
name = "all of it"
source = "can0"
destination = ["can1", "can2"]
filter = "123:7FF,400~7F0"
modify = [
    {op = "and", data = "0F", offset = 2},
    {op = "or", flags = 0x01},
    {op = "xor", data = [255, 0x01]},
    {op = "set", id = "0x300", mask = 0x700, length = 4},
]
id_map = {"0x100" = 0x200, 0x7FF = "0x18DA00F1"}
convert = "fd"
bit_rate_switch = false
checksums = [
    {kind = "xor", first = 0, last = 2, result = 3},
    {kind = "crc8", first = 0, last = -2, result = -1, polynomial = 0x1D, initial = 0xFF, \
final_xor = 0xFF, profile = "sixteen", profile_data = "00 01 02"},
]
call = "door_functions:Door.pass_on"
call_capacity = 8
minimum_interval = 0.01
limits = [{rate = 100, burst = 10}, {rate = 2.5, per = "identifier"}]
changes_only = true
refresh = 1
active = {start = 22:00:00, end = "06:00"}
capacity = 16
overflow = "latest_per_id"
local_echo = false
offload = "never"
"""
    file = load(directory, text)
    call = sys.modules["door_functions"].Door.pass_on
    assert file == GatewayFile(
        name="front-door",
        missing="raise",
        rules=(
            Rule(
                name="all of it",
                source="can0",
                destination=["can1", "can2"],
                filter=Filter.parse("123:7FF,400~7F0"),
                modify=[
                    Modification.bit_and(data=b"\x0f", offset=2),
                    Modification.bit_or(flags=1),
                    Modification.bit_xor(data=b"\xff\x01"),
                    Modification.bit_set(id=0x300, mask=0x700, length=4),
                ],
                id_map={0x100: 0x200, 0x7FF: 0x18DA00F1},
                convert="fd",
                bit_rate_switch=False,
                checksums=[
                    XorChecksum(0, 2, 3),
                    Crc8Checksum.of(
                        0x1D,
                        first=0,
                        last=-2,
                        result=-1,
                        initial=0xFF,
                        final_xor=0xFF,
                        profile=CrcProfile.SIXTEEN,
                        profile_data=b"\0\1\2",
                    ),
                ],
                call=call,
                call_capacity=8,
                minimum_interval=0.01,
                limits=[RateLimit(100, 10), RateLimit(2.5, per="identifier")],
                changes_only=True,
                refresh=1,
                active=TimeWindow(time(22), time(6)),
                capacity=16,
                overflow="latest_per_id",
                local_echo=False,
                offload="never",
            ),
        ),
    )


def test_tables_with_headers_of_their_own(tmp_path: Path) -> None:
    text = """\
[rule.active]
start = 2026-11-25T08:00:00Z
[rule.id_map]
0x1 = 2
[[rule.limits]]
rate = 1
[[rule.limits]]
rate = 2
[[rule.filter]]
id = 1
"""
    assert rule_of(tmp_path, text) == Rule(
        source="can0",
        destination="can1",
        active=TimeWindow(datetime(2026, 11, 25, 8, tzinfo=UTC)),
        id_map={1: 2},
        limits=[RateLimit(1), RateLimit(2)],
        filter=Filter.id(1),
    )


def test_one_without_a_list_around_it(tmp_path: Path) -> None:
    text = 'modify = {op = "or", id = 1}\nlimits = {rate = 5}\nfilter = {id = 7}\n'
    assert rule_of(tmp_path, text) == Rule(
        source="can0",
        destination="can1",
        modify=Modification.bit_or(id=1),
        limits=RateLimit(5),
        filter=Filter.id(7),
    )


def test_a_table_of_a_crc(tmp_path: Path) -> None:
    table = bytes(range(256))
    text = (
        f'checksums = {{kind = "crc8", table = "{table.hex()}", first = 0, last = 1, result = 2}}'
    )
    assert rule_of(tmp_path, text).checksums == (Crc8Checksum(0, 1, 2, table),)


def test_defaults(tmp_path: Path) -> None:
    text = """\
[[rule]]
source = "can0"
destination = "can1"
[[rule]]
source = "can1"
destination = "can0"
capacity = 9
refresh = false
modify = []
[defaults]
capacity = 8
changes_only = true
refresh = 2
modify = {op = "or", id = 1}
"""
    assert load(tmp_path, text).rules == (
        Rule(
            source="can0",
            destination="can1",
            capacity=8,
            changes_only=True,
            refresh=2,
            modify=Modification.bit_or(id=1),
        ),
        Rule(source="can1", destination="can0", capacity=9, changes_only=True),
    )


# Filters.

FRAMES: Final[list[AnyFrame]] = [
    Frame(0x123),
    Frame(0x123, extended=True),
    Frame(0x124, b"\x03\x62\xf1"),
    Frame(0x124, b"\x03\x62\xf0\x00"),
    Frame(0x7DF),
    RemoteFrame(0x123),
    RemoteFrame(0x124),
    Frame(0x18DA00F1),
    FdFrame(0x123),
    FdFrame(0x124, bytes(12)),
    XlFrame(0x123, b"x"),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{id = 0x123}", Filter.id(0x123)),
        ('{id = "0x123", extended = true}', Filter.id(0x123, extended=True)),
        ("{range = [0x100, 0x123]}", Filter.range(0x100, 0x123)),
        ("{mask = [0x120, 0x7F0]}", Filter.mask(0x120, 0x7F0)),
        ('{data = "62 F1", offset = 1}', Filter.data(b"\x62\xf1", offset=1)),
        (
            '{data = "62F1", data_mask = "FFF0", offset = 1}',
            Filter.data(b"\x62\xf1", b"\xff\xf0", offset=1),
        ),
        ("{length = 4}", Filter.length(4)),
        ("{length = [1, 8]}", Filter.length(minimum=1, maximum=8)),
        ('{kind = "classical"}', Filter.classical()),
        ('{kind = "fd"}', Filter.fd()),
        ('{kind = "xl"}', Filter.xl()),
        ('{kind = "remote"}', Filter.remote()),
        ('{kind = "standard"}', Filter.standard()),
        ('{kind = "extended"}', Filter.extended()),
        ('{kind = "remote", id = 0x123}', Filter.remote(0x123)),
        ('{kind = "remote", mask = [0x123, 0x7]}', Filter.remote(0x123, mask=7)),
        ('{kind = "remote", mask = [0, 0]}', Filter.remote(0, mask=0)),
        ('{kind = "fd", id = 0x123}', Filter.fd() & Filter.id(0x123)),
        ("{errors = true}", Filter.errors()),
        ("{not = {id = 0x123}}", ~Filter.id(0x123)),
        (
            "{range = [0x700, 0x7FF], not = {id = 0x7DF}}",
            Filter.range(0x700, 0x7FF) - Filter.id(0x7DF),
        ),
        ('{not = [{id = 1}, "2:7FF"]}', ~(Filter.id(1) | Filter.parse("2:7FF"))),
        ('["123:7FF", {id = 0x124}]', Filter.parse("123:7FF") | Filter.id(0x124)),
    ],
)
def test_filters(text: str, expected: Filter, tmp_path: Path) -> None:
    found = rule_of(tmp_path, f"filter = {text}").filter
    assert [found.matches(one) for one in FRAMES] == [expected.matches(one) for one in FRAMES]
    assert found == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7", "filter: expected a list of filters, not 7"),
        ("[7]", 'filter: expected a filter: text such as "123:7FF", or a table such as {id = '),
        ("[]", "filter: an empty list takes no frame; leave filter out for all of them"),
        ("{}", "filter: an empty table; leave filter out for all frames"),
        ('"zz"', "filter: not a filter: 'zz'; write <id>:<mask>"),
        ("{id = 0x800, extended = false}", "filter: "),
        ("{id = 0x20000000}", "id: expected an identifier, 0 to 0x1FFFFFFF, such as 0x123 or"),
        ("{id = true}", "not true"),
        ('{id = "123"}', "not '123'"),
        ("{id = 1, range = [1, 2]}", "filter: range beside id: give one of id, range, mask"),
        ("{range = [2, 1]}", "filter: "),
        ("{range = [1, 2, 3]}", "range: expected a list of two identifiers, not a list of 3"),
        ("{range = 1}", "range: expected a list of two identifiers, not 1"),
        ("{range = [1, 2.5]}", "range: expected an identifier"),
        ("{extended = true}", "filter: extended is of no use without id or range or mask"),
        ("{offset = 1}", "filter: offset is of no use without data"),
        ('{data_mask = "FF", id = 1}', "filter: data_mask is of no use without data"),
        ('{data = "6"}', "data: expected bytes: text in hex"),
        ("{data = [256]}", "data: expected bytes"),
        ("{data = [true]}", "data: expected bytes"),
        ('{data = "11", data_mask = "FFFF"}', "filter: "),
        ("{length = [1]}", "length: expected a number of bytes, or a list of the least and"),
        ("{length = 5000}", "filter: "),
        ('{kind = "can"}', "kind: expected 'classical', 'fd', 'xl', 'remote', 'standard' or"),
        ('{kind = "remote", range = [1, 2]}', "filter: range takes data frames; for remote"),
        ("{errors = false}", "filter: errors = false: error frames are taken only where"),
        ("{errors = true, id = 1}", "filter: errors beside other keys"),
        ("{not = {}}", "filter: an empty table"),
        ("{idd = 1}", "unknown key 'idd'; did you mean 'id'?"),
        ('{id = 1, not = "1:7FF"}', "filter: it takes no frame: "),
        ('{kind = "fd", not = {kind = "fd"}}', "filter: it takes no frame: "),
    ],
)
def test_wrong_filters(text: str, message: str, tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, f"{HEAD}filter = {text}")
    assert told.startswith("4: ")
    assert message in told


# Mistakes.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "capacity = 0",
            "4: rule 'can0 -> can1': capacity is a number of frames, 1 or more, not 0",
        ),
        ("capacity = true", "4: capacity: expected a whole number of up to 64 bits"),
        ("capacity = 1.5", "not 1.5"),
        (f"capacity = 0x{'F' * 5000}", "not 0xfffff"),
        ('bit_rate_switch = "yes"', "4: bit_rate_switch: expected true or false, not 'yes'"),
        ('convert = "xl"', "4: convert: expected 'classical' or 'fd', not 'xl'"),
        ("overflow = 1", "4: overflow: expected 'drop_oldest', 'drop_newest' or"),
        ('minimum_interval = "1 s"', "4: minimum_interval: expected a number, not '1 s'"),
        ("minimum_interval = -1", "4: rule 'can0 -> can1': minimum_interval is a time in seconds"),
        ("minimum_interval = nan", "not nan"),
        (f"minimum_interval = 0x{'F' * 500}", "expected a number of up to 64 bits"),
        ("refresh = 1", "4: rule 'can0 -> can1': refresh says how often an unchanged frame"),
        ('name = ""', "4: name: expected text, not ''"),
        ("modify = 1", "4: modify: expected a list of tables such as {op = "),
        ("modify = [1]", "4: modify: expected a table, not 1"),
        ("modify = {id = 1}", "4: modify: there is no 'op', and one is needed"),
        ('modify = {op = "set"}', "4: modify: bit_set: there is nothing to change"),
        ('\nmodify = [\n\n{op = "xor", length = 65}]', "7: modify: bit_xor: length is an integer"),
        ("id_map = []", "4: id_map: expected a table of identifiers"),
        ("id_map = {256 = 1}", "4: id_map: expected an identifier such as \"0x100\" before '='"),
        ("id_map = {0x20000000 = 1}", "4: id_map: expected an identifier"),
        ("id_map = {0x1 = -1}", "4: 0x1: expected an identifier, 0 to 0x1FFFFFFF"),
        ("[rule.id_map]\n0x1 = 2\n0x01 = 3", "6: id_map: 0x1 stands twice"),
        ("checksums = {}", '4: checksums: expected a table with kind = "xor" or kind = "crc8"'),
        ('checksums = {kind = "md5"}', "4: kind: expected 'xor' or 'crc8', not 'md5'"),
        ('checksums = {kind = "xor", first = 0, last = 1}', "there is no 'result'"),
        (
            '[[rule.checksums]]\nkind = "xor"\nfirst = 0\nlast = 1\nresult = 64',
            "8: checksums: XorChecksum: result is an integer from -64 to 63, not 64",
        ),
        (
            'checksums = {kind = "crc8", first = 0, last = 1, result = 2}',
            "4: checksums: a CRC-8 has a polynomial, or the table of one",
        ),
        (
            'checksums = {kind = "crc8", first = 0, last = 1, result = 2, polynomial = 256}',
            "4: checksums: the polynomial of a CRC-8",
        ),
        (
            (
                'checksums = {kind = "crc8", first = 0, last = 1, result = 2, table = "00",'
                " reflected = true}"
            ),
            "4: checksums: reflected is for a polynomial; a table says it by itself",
        ),
        (
            (
                'checksums = {kind = "crc8", first = 0, last = 1, result = 2, polynomial = 1,'
                ' profile = "16u8"}'
            ),
            "4: profile: expected 'none', 'one', 'sixteen' or 'sffid_xor', not '16u8'",
        ),
        ("limits = {burst = 1}", "4: limits: there is no 'rate', and one is needed"),
        ("limits = {rate = 0}", "4: limits: rate is a number of frames a second above 0, not 0"),
        ("limits = {rate = 1, burst = 0}", "4: limits: burst is a number of frames"),
        ("active = 22:00:00", "4: active: expected a table, not 22:00:00"),
        ("active = {start = 22}", "4: start: expected a time such as 22:00:00, or a date and time"),
        ("active = {start = 22:00:00}", "4: active: a time window has two times of day"),
        ("\n[rule.active]\nend = 'noon'", "5: active: a time window begins and ends at"),
        ("capcity = 3", "4: unknown key 'capcity'; did you mean 'capacity'?"),
        ("zzz = 3", "4: unknown key 'zzz'; known ones are source, destination, name, filter"),
    ],
)
def test_wrong_values(text: str, message: str, tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, HEAD + text)
    assert message in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ['there is no rule: expected one "[[rule]]" or more']),
        ("rule = []", ['there is no rule: expected one "[[rule]]" or more']),
        (
            '[rule]\nsource = "can0"',
            ['1: rule: expected "[[rule]]", with two brackets on each side'],
        ),
        (HEAD + "[defaults.x]", ["4: unknown key 'x'; known ones are filter, modify, id_map, "]),
        (HEAD + "[[defaults]]", ["4: defaults: expected a table, not a list of 1"]),
        ("defaults = 1\n" + HEAD, ["1: defaults: expected a table, not 1"]),
        (
            HEAD + "[defaults]\nsource = 1",
            ["5: unknown key 'source'; known ones are filter, "],
        ),
        ("name = 'a b'\n" + HEAD, ["1: name: expected a name of 1 to 60 letters"]),
        ("missing = 'skip'\n" + HEAD, ["1: missing: expected 'raise' or 'wait', not 'skip'"]),
        (HEAD.replace("[[rule]]", "[[rules]]"), ["1: unknown key 'rules'; did you mean 'rule'?"]),
        ("[[rule]]", ["1: rule: there is no 'source'", "1: rule: there is no 'destination'"]),
        (
            '[[rule]]\nsources = "can0"\ndestination = 5',
            ["2: unknown key 'sources'; did you mean 'source'?", "3: destination: expected a list"],
        ),
        (
            '[[rule]]\nsource = "can0"\ndestination = ["can1", "can0"]',
            ["3: rule 'can0 -> can1, can0': can0 is both source and destination"],
        ),
        ('[[rule]]\nsource = "can0"\ndestination = []', ["3: rule 'can0 -> ': it has no dest"]),
        ("[[rule]\n", ["1: this is not TOML: "]),
        (HEAD + "capacity = 'x\n", ["4: this is not TOML: "]),
        (HEAD + 'name = """x\n\n', ["4: this is not TOML: "]),
        (HEAD + "capacity = 1\ncapacity = 2\n", ["5: this is not TOML: "]),
        ("x = " + "[" * 5000, [""]),
        ("x = " + "9" * 5000, [""]),
    ],
)
def test_wrong_files(text: str, expected: list[str], tmp_path: Path) -> None:
    told = mistakes(tmp_path, text)
    assert len(told) == len(expected)
    for one, beginning in zip(told, expected, strict=True):
        assert one.startswith(beginning)


def test_each_mistake_is_told(tmp_path: Path) -> None:
    text = """\
missing = "wai"
[[rule]]
source = "can0"
destination = "can0"
capacity = 0
filter = [
    {id = 0x123},
    {id = 0x800000000},
    {idd = 1},
]
[defaults]
nam = 1
[[rule]]
source = 1
"""
    assert mistakes(tmp_path, text) == [
        "1: missing: expected 'raise' or 'wait', not 'wai'",
        '8: id: expected an identifier, 0 to 0x1FFFFFFF, such as 0x123 or "0x123", not 34359738368',
        "9: unknown key 'idd'; did you mean 'id'?",
        (
            "12: unknown key 'nam'; known ones are filter, modify, id_map, convert,"
            " bit_rate_switch, checksums, call, call_capacity, minimum_interval, limits,"
            " changes_only, refresh, active, capacity, overflow, local_echo, offload"
        ),
        "13: rule: there is no 'destination', and one is needed",
        "14: source: expected text, not 1",
    ]


def test_a_rule_is_asked_for_more_mistakes(tmp_path: Path) -> None:
    text = HEAD + "refresh = 1\ncapacity = 0\ncall_capacity = 0\n"
    assert [
        one.partition(" is ")[0].partition(" says ")[0] for one in mistakes(tmp_path, text)
    ] == [
        "4: rule 'can0 -> can1': refresh",
        "5: rule 'can0 -> can1': capacity",
        "6: rule 'can0 -> can1': call_capacity",
    ]


def test_what_wrong_defaults_bring_is_not_told(tmp_path: Path) -> None:
    text = f"{HEAD}refresh = 1\n[defaults]\nchanges_only = 1\n"
    assert mistakes(tmp_path, text) == ["6: changes_only: expected true or false, not 1"]


@pytest.mark.parametrize(
    ("default", "message"),
    [
        ("capacity = 0", "capacity is a number of frames, 1 or more, not 0"),
        ("refresh = -1", "refresh is a time in seconds, 0 to 86400, not -1"),
        ("minimum_interval = nan", "minimum_interval is a time in seconds, 0 to 86400, not nan"),
    ],
)
def test_a_wrong_default_is_told_once(default: str, message: str, tmp_path: Path) -> None:
    text = f"[defaults]\nlocal_echo = false\n{default}\n{HEAD}{HEAD}call_capacity = 0\n"
    assert mistakes(tmp_path, text) == [
        f"3: {message}",
        "10: rule 'can0 -> can1': call_capacity is a number of frames, 1 or more, not 0",
    ]


def test_a_default_that_some_rules_cannot_have_is_told_once(tmp_path: Path) -> None:
    text = (
        f"[defaults]\nrefresh = 5\n{HEAD}changes_only = true\n"
        f'{HEAD}name = "one"\n{HEAD}name = "two"\ncapacity = 0\n'
    )
    assert mistakes(tmp_path, text) == [
        (
            "2: rule 'one': refresh says how often an unchanged frame is forwarded: it needs"
            " changes_only"
        ),
        "15: rule 'two': capacity is a number of frames, 1 or more, not 0",
    ]


def test_a_rule_takes_a_needed_default_back(tmp_path: Path) -> None:
    text = f"[defaults]\nrefresh = 5\nchanges_only = true\n{HEAD}changes_only = false\n"
    (told,) = mistakes(tmp_path, text)
    assert told.startswith("7: rule 'can0 -> can1': refresh says how often")


def test_no_key_is_looked_for_in_names(tmp_path: Path) -> None:
    text = """\
[[rule]]
name = "driver's source"
source = "capacity"
destination = "refresh"
filter = "100:7FF"
capacity = 0
call_capacity = 0
checksums = [
    {kind = "xor", first = 0, last = 1, result = 2},
    {kind = "xor", first = 0, last = 1, result = 3},
]
"""
    beginning = 'rule "driver\'s source": '
    assert mistakes(tmp_path, text) == [
        f"6: {beginning}capacity is a number of frames, 1 or more, not 0",
        f"7: {beginning}call_capacity is a number of frames, 1 or more, not 0",
        f"8: {beginning}it has more than one XorChecksum, and a frame is given one",
    ]


def test_no_key_is_looked_for_in_quoted_text(tmp_path: Path) -> None:
    text = f"""{HEAD}[rule.active]
end = 22:00:00
start = "the driver's end"
"""
    (told,) = mistakes(tmp_path, text)
    assert told.startswith("4: active: a time window begins and ends at a time of day")


@pytest.mark.parametrize("name", ["a\\nb", "\\u001b[2J"])
def test_a_name_of_several_lines(name: str, tmp_path: Path) -> None:
    text = f'[[rule]]\nsource = "can0"\ndestination = "can1"\nname = "{name}"\ncapacity = 0\n'
    told = [one.split(": ") for one in mistakes(tmp_path, text)]
    assert [(one[0], one[2].split()[0]) for one in told] == [("4", "a"), ("5", "capacity")]


def test_an_interface_twice(tmp_path: Path) -> None:
    text = '[[rule]]\nname = "x"\nsource = "can0"\ndestination = ["can1", "can1"]\n'
    assert mistakes(tmp_path, text) == ["4: rule 'x': can1 is a destination twice"]


@pytest.mark.parametrize(
    ("content", "line"), [(b"[[rule]]\n\nx = 1", 1), (b'name = "\xff', 1), (b"# a\n\xff", 2)]
)
def test_a_byte_order_mark(content: bytes, line: int, tmp_path: Path) -> None:
    path = tmp_path / "door.toml"
    lines = []
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + content)
        with pytest.raises(GatewayFileError) as caught:
            load_gateway_file(path)
        lines.append((caught.value.line, str(caught.value)))
    assert lines[0] == lines[1]
    assert lines[0][0] == line
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert load_gateway_file(path).rules[0].name == "can0 -> can1"


def test_the_file_name_is_no_name_of_a_gateway(tmp_path: Path) -> None:
    assert mistakes(tmp_path, HEAD, "my door.toml") == [
        (
            "the file's name, 'my door', cannot be the gateway's, which has 1 to 60 letters (A to"
            ' Z, a to z), digits and . _ -: write name = "…" before the first table'
        )
    ]
    assert load(tmp_path, f'name = "door"\n{HEAD}', "my door.toml").name == "door"


def test_what_is_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "door.toml"
    path.write_bytes(b'# a\nname = "\xff"\n')
    with pytest.raises(GatewayFileError, match=r"door.toml:2: expected UTF-8, .* byte 0xFF"):
        load_gateway_file(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_gateway_file(tmp_path / "door.toml")


# Functions.


def test_modules_are_looked_for_beside_the_file_first(directory: Path) -> None:
    (directory / "door_parts").mkdir()
    (directory / "door_parts" / "inner.py").write_text("from door_parts.other import pass_on\n")
    (directory / "door_parts" / "other.py").write_text("def pass_on(frame): ...\n")
    before = sys.path.copy()
    rule = rule_of(directory, 'call = "door_parts.inner:pass_on"')
    assert rule.call is sys.modules["door_parts.other"].pass_on
    assert sys.path == before
    assert rule_of(directory, 'call = "door_parts.inner:pass_on"') == rule


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("math.sqrt", 'call: expected a function, written "package.module:function"'),
        ("math:", "call: expected a function"),
        (":sqrt", "call: expected a function"),
        ("../x:y", "call: expected a function"),
        ("math:sqr", "call: there is no 'sqr' in math"),
        ("math:pi", "call: math:pi is a float, and no function"),
        ("door_missing:f", "door_missing cannot be imported: ModuleNotFoundError: No module named"),
        ("door_broken:f", "door_broken cannot be imported: ZeroDivisionError: division by zero"),
        ("door_syntax:f", "door_syntax cannot be imported: SyntaxError: "),
        ("door_exit:f", "door_exit cannot be imported: SystemExit: 3"),
        ("door_greedy:f", "call: there is no 'f' in door_greedy"),
        ("math:sqrt.x", "call: there is no 'sqrt.x' in math"),
    ],
)
def test_wrong_functions(call: str, message: str, directory: Path) -> None:
    (directory / "door_broken.py").write_text("1 / 0\n")
    (directory / "door_syntax.py").write_text("def\n")
    (directory / "door_exit.py").write_text("raise SystemExit(3)\n")
    (directory / "door_greedy.py").write_text("import sys\nsys.path.pop(0)\n")
    before = sys.path.copy()
    (told,) = mistakes(directory, f'{HEAD}call = "{call}"\n')
    assert told.startswith("4: ")
    assert message in told
    assert sys.path == before


def test_call_is_text(tmp_path: Path) -> None:
    assert mistakes(tmp_path, HEAD + "call = 1") == [
        '4: call: expected a function, written "package.module:function", not 1'
    ]


def test_a_module_of_the_same_name_is_another_one(directory: Path) -> None:
    for name in ("one", "two"):
        (directory / name).mkdir()
        (directory / name / "door_calls.py").write_text("def f(frame): ...\n")
    text = f'{HEAD}call = "door_calls:f"\n'
    load(directory / "one", text)
    (told,) = mistakes(directory / "two", text)
    assert told == (
        f"4: call: door_calls has been imported from {directory / 'one' / 'door_calls.py'} before,"
        f" and the one in {directory / 'two'} is another: give it another name"
    )
    (directory / "time.py").write_text("def sleep(frame): ...\n")
    (told,) = mistakes(directory, f'{HEAD}call = "time:sleep"\n')
    assert "time has been imported from the interpreter itself before" in told


# Whatever a file says.

KEYS: Final = st.sampled_from(
    """
    name missing rule source destination filter modify id_map convert checksums call limits refresh
    active capacity changes_only op id mask kind data offset range not rate burst start end first
    last result polynomial table 0x1 zz
    """.split()  # noqa: SIM905 - shorter than a list
)
SCALARS: Final = st.sampled_from(
    """
    true 0 -1 1.5 nan inf 0x1FFFFFFF 99999999999999999999999 "" "0x123" "can0" "can1" "11" "1:7"
    "xor" "crc8" "set" "fd" "math:sqrt" 07:32:00 2026-11-25 2026-11-25T07:32:00Z
    """.split()  # noqa: SIM905 - as above
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(KEYS, inner).map(lambda pair: f"{pair[0]} = {pair[1]}")
    return st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]") | st.lists(
        pairs, max_size=4
    ).map(lambda parts: f"{{{', '.join(parts)}}}")


VALUES: Final = st.recursive(SCALARS, nested, max_leaves=8)
LINES: Final = st.sampled_from(
    ["[[rule]]", "[defaults]", "[rule.active]", HEAD, "[rule.id_map]", "[[rule.modify]]"]
) | st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}")


@settings(max_examples=40)
@given(st.lists(LINES, max_size=8).map("\n".join))
def test_a_file_is_right_or_its_mistakes_are_told(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8")
    lines = text.count("\n") + 1
    try:
        found: Any = load_gateway_file(path)
    except GatewayFileError as error:
        for told in (str(error), *getattr(error, "__notes__", [])):
            match = re.match(rf"{re.escape(str(path))}(?::(\d+))?: .", told)
            assert match
            assert 1 <= int(match[1] or 1) <= lines
    else:
        assert found.rules
