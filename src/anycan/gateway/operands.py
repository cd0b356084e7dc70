"""Which operands a modification can have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from anycan.frame import EFF_MASK, SFF_MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOM: Final = 64
_LARGEST: Final = {
    "id": EFF_MASK,
    "mask": EFF_MASK,
    "can_id": 0xFFFFFFFF,
    "length": _ROOM,
    "offset": _ROOM - 1,
    "flags": 0xFF,
}
_DECIMAL: Final = ("length", "offset")


def operands_problem(given: Mapping[str, Any], *, by_set: bool) -> str:
    """Tell what is wrong with the operands that a modification is given.

    Args:
        given: The operands by their names, without those that are not given.
        by_set: The operation is SET, which takes more of them.

    Returns:
        What was given and what was expected, for people; empty where nothing is wrong.
    """
    return _value_problem(given) or _identifier_problem(given, by_set) or _data_problem(given)


def _value_problem(given: Mapping[str, Any]) -> str:
    for name, largest in _LARGEST.items():
        value = given.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
            bound = f"{largest}" if name in _DECIMAL else f"0x{largest:X}"
            return f"{name} is an integer from 0 to {bound}, not {value!r}"
    if not isinstance(given.get("extended", True), bool):
        return f"extended is True, False or None, not {given['extended']!r}"
    if not isinstance(given.get("data", b""), bytes):
        return f"data is bytes, not {given['data']!r}"
    if not given.keys() - {"offset"}:
        return "there is nothing to change: give id, can_id, length, data or flags"
    return ""


def _identifier_problem(given: Mapping[str, Any], by_set: bool) -> str:
    if not by_set and {"mask", "extended"} & given.keys():
        return "mask and extended are for bit_set alone"
    if "can_id" in given and {"id", "mask", "extended"} & given.keys():
        return "can_id is the whole word of identifier and flags: give it alone, or id"
    identifier = given.get("id")
    if "mask" in given:
        if identifier is None:
            return "mask says which bits of the identifier are set: it needs id"
        if identifier & ~given["mask"]:
            return f"id {identifier:#x} has bits that are not in mask {given['mask']:#x}"
    if identifier is not None and identifier > SFF_MASK and given.get("extended") is False:
        return f"id {identifier:#x} needs 29 bits, and extended is False"
    return ""


def _data_problem(given: Mapping[str, Any]) -> str:
    offset = given.get("offset", 0)
    if "data" not in given:
        return "offset says where data begins: it needs data" if offset else ""
    size = len(given["data"])
    if not size:
        return "data has no bytes; leave it out for the data to stay as they are"
    if offset + size > _ROOM:
        return f"{size} bytes of data at offset {offset}: a frame has {_ROOM} bytes at most"
    return ""
