"""Messages on a console: found in noise, trusted only when whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.lines import decode, encode

MESSAGE = {"kind": "report", "text": "line\nline \N{SNOWMAN}", "number": 1.5, "nothing": None}


def test_a_message_is_one_line() -> None:
    line = encode(MESSAGE)
    assert line.count(b"\n") == 1
    assert decode(line.decode()) == MESSAGE


@pytest.mark.parametrize(
    ("before", "after"),
    [("[   15.1] can: raw protocol", ""), ("", "Segmentation fault"), ("a", " b")],
)
def test_a_message_is_found_in_noise(before: str, after: str) -> None:
    # What stands behind it must not look like its end.
    line = encode(MESSAGE).decode().strip()
    assert decode(before + line + (after and " " + after)) == MESSAGE


@pytest.mark.parametrize("position", [5, 12, 20, 40, -2])
def test_a_damaged_message_is_none(position: int) -> None:
    line = encode(MESSAGE).decode().strip()
    damaged = "0" if line[position] != "0" else "1"
    assert decode(line[:position] + damaged + line[position:][1:]) is None


def test_a_message_cut_short_is_none() -> None:
    line = encode(MESSAGE).decode().strip()
    assert not any(decode(line[:length]) for length in range(len(line)))


@given(st.text())
def test_no_text_fails_to_be_decoded(text: str) -> None:
    assert decode(text) is None


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_every_message_survives(message: dict[str, object]) -> None:
    assert decode(encode(message).decode()) == message
