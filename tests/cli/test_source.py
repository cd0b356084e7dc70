from __future__ import annotations

import pytest

from anycan import CanFilter, ErrorClass, ParseError
from anycan.cli.source import Source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("can0", Source("can0", None, ErrorClass(0), join=False)),
        ("any", Source(None, None, ErrorClass(0), join=False)),
        (
            "can0,123:7FF,400~7F0",
            Source(
                "can0",
                (CanFilter(0x123, 0x7FF), CanFilter(0x400, 0x7F0, inverted=True)),
                ErrorClass(0),
                join=False,
            ),
        ),
        # candump keeps its default filter beside an error mask
        ("can0,#FFFFFFFF", Source("can0", None, ErrorClass.ALL, join=False)),
        ("any,0~0,#4", Source(None, (CanFilter(0, 0, inverted=True),), ErrorClass(4), join=False)),
        (
            "can0,12345678:DFFFFFFF,J",
            Source("can0", (CanFilter(0x92345678, 0xDFFFFFFF),), ErrorClass(0), join=True),
        ),
    ],
)
def test_candumps_words(text: str, expected: Source) -> None:
    assert Source.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("can0,123", "not a filter: '123'"),
        ("can0,", "not a filter: ''"),
        ("can0,xyz:7FF", "not a filter: 'xyz:7FF'"),
        ("can0,#xyz", "not an error mask: '#xyz'"),
        ("can0,#", "not an error mask: '#'"),
        (",123:7FF", "no interface before the first comma"),
        ("", "no interface"),
    ],
)
def test_what_is_no_source(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        Source.parse(text)
