"""Operands that a modification cannot have, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from anycan.gateway.operands import operands_problem


@pytest.mark.parametrize(
    ("given", "by_set", "problem"),
    [
        ({}, False, "there is nothing to change: give id, can_id, length, data or flags"),
        ({"offset": 1}, False, "there is nothing to change: give id, can_id, length, data or f"),
        ({"id": -1}, False, "id is an integer from 0 to 0x1FFFFFFF, not -1"),
        ({"id": 0x20000000}, False, "id is an integer from 0 to 0x1FFFFFFF, not 536870912"),
        ({"id": "0x123"}, False, "id is an integer from 0 to 0x1FFFFFFF, not '0x123'"),
        ({"id": True}, False, "id is an integer from 0 to 0x1FFFFFFF, not True"),
        ({"id": 1, "mask": 2**29}, True, "mask is an integer from 0 to 0x1FFFFFFF, not 536870912"),
        ({"can_id": 2**32}, False, "can_id is an integer from 0 to 0xFFFFFFFF, not 4294967296"),
        ({"length": 65}, False, "length is an integer from 0 to 64, not 65"),
        ({"flags": 256}, False, "flags is an integer from 0 to 0xFF, not 256"),
        ({"data": b"1", "offset": 64}, False, "offset is an integer from 0 to 63, not 64"),
        ({"data": b"1", "offset": -1}, False, "offset is an integer from 0 to 63, not -1"),
        ({"data": "12"}, False, "data is bytes, not '12'"),
        ({"data": b""}, False, "data has no bytes; leave it out for the data to stay as they are"),
        (
            {"data": b"12", "offset": 63},
            False,
            "2 bytes of data at offset 63: a frame has 64 bytes at most",
        ),
        ({"data": bytes(65)}, False, "65 bytes of data at offset 0: a frame has 64 bytes at most"),
        ({"id": 1, "offset": 2}, False, "offset says where data begins: it needs data"),
        ({"id": 1, "extended": 1}, True, "extended is True, False or None, not 1"),
        ({"id": 1, "extended": True}, False, "mask and extended are for bit_set alone"),
        ({"id": 1, "mask": 1}, False, "mask and extended are for bit_set alone"),
        ({"mask": 1}, True, "mask says which bits of the identifier are set: it needs id"),
        ({"id": 0x234, "mask": 0xFF}, True, "id 0x234 has bits that are not in mask 0xff"),
        ({"id": 0x800, "extended": False}, True, "id 0x800 needs 29 bits, and extended is False"),
    ],
)
def test_what_is_wrong(given: dict[str, Any], by_set: bool, problem: str) -> None:
    found = operands_problem(given, by_set=by_set)
    assert found.startswith(problem)


@pytest.mark.parametrize("more", [{"id": 1}, {"id": 1, "mask": 1}, {"extended": True}])
def test_the_whole_word_is_given_alone(more: dict[str, Any]) -> None:
    problem = operands_problem({"can_id": 1, **more}, by_set=True)
    assert problem == "can_id is the whole word of identifier and flags: give it alone, or id"


@pytest.mark.parametrize(
    ("given", "by_set"),
    [
        ({"id": 0x1FFFFFFF}, False),
        ({"can_id": 0xFFFFFFFF, "length": 64, "flags": 0xFF}, False),
        ({"data": bytes(64)}, False),
        ({"data": b"1", "offset": 63}, False),
        ({"id": 0x1FFFFFFF, "mask": 0x1FFFFFFF, "extended": True}, True),
        ({"id": 0x7FF, "mask": 0x1FFFFFFF, "extended": False}, True),
        ({"extended": False}, True),
        ({"length": 0}, True),
    ],
)
def test_what_is_fine(given: dict[str, Any], by_set: bool) -> None:
    assert not operands_problem(given, by_set=by_set)
