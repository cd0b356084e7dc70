"""What a file says for a rule: by key, what reads it."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, time
from typing import TYPE_CHECKING, Any, Final, get_args

from anycan.frame import EFF_MASK
from anycan.gateway.file_call import reader_of_calls
from anycan.gateway.file_filter import read_filter
from anycan.gateway.file_places import (
    Place,
    WrongValueError,
    choice_of,
    none_or,
    parse_hex,
    read_boolean,
    read_bytes,
    read_identifier,
    read_integer,
    read_number,
    read_text,
)
from anycan.gateway.limits import Per, RateLimit, TimeWindow
from anycan.gateway.modification import Modification, Operation
from anycan.gateway.rule import Checksum, Conversion, Offload, Overflow
from anycan.wire.netlink_gateway_changes import Crc8Checksum, CrcProfile, XorChecksum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Reader = Callable[[Place], Any]

OF_EACH_RULE: Final = ("source", "destination", "name")
"""What each rule says for itself."""


def rule_readers(directory: Path) -> dict[str, Reader]:
    """Give what reads the values of a rule, by their keys.

    Args:
        directory: Where the file is.
    """
    return {
        "source": read_text,
        "destination": _several(read_text, "names of interfaces"),
        "name": read_text,
        "filter": read_filter,
        "modify": _several(_read_modification, 'tables such as {op = "set", id = 0x123}'),
        "id_map": _read_identifier_map,
        "convert": none_or(choice_of(*get_args(Conversion))),
        "bit_rate_switch": read_boolean,
        "checksums": _several(_read_checksum, 'tables such as {kind = "xor", …}'),
        "call": none_or(reader_of_calls(directory)),
        "call_capacity": read_integer,
        "minimum_interval": read_number,
        "limits": _several(_read_limit, "tables such as {rate = 100, burst = 10}"),
        "changes_only": read_boolean,
        "refresh": none_or(read_number),
        "active": none_or(_read_window),
        "capacity": read_integer,
        "overflow": choice_of(*get_args(Overflow)),
        "local_echo": read_boolean,
        "offload": choice_of(*get_args(Offload)),
    }


def _several(read: Reader, expected: str) -> Reader:
    return lambda place: place.each(read, expected)


_MODIFICATION: Final[Mapping[str, Reader]] = {
    "op": choice_of(*get_args(Operation)),
    "id": read_identifier,
    "mask": read_identifier,
    "extended": read_boolean,
    "can_id": read_integer,
    "length": read_integer,
    "data": read_bytes,
    "offset": read_integer,
    "flags": read_integer,
}


def _read_modification(place: Place) -> Modification:
    given = place.fields(_MODIFICATION, needed=["op"])
    operation = given.pop("op")
    with place.building():
        return Modification(operation=operation, **given)


def _read_identifier_map(place: Place) -> dict[int, int]:
    if not isinstance(place.value, dict):
        place.expect('a table of identifiers, such as {"0x100" = 0x200}')
    found: dict[int, int] = {}
    problems = len(place.problems)
    for key in place.value:
        inner = place.inner(key)
        identifier = parse_hex(key)
        if identifier is None or identifier > EFF_MASK:
            inner.note(f"id_map: expected an identifier such as \"0x100\" before '=', not {key!r}")
        elif identifier in found:
            inner.note(f"id_map: 0x{identifier:X} stands twice")
        with suppress(WrongValueError):
            value = read_identifier(inner)
            if identifier is not None:
                found[identifier] = value
    if len(place.problems) > problems:
        raise WrongValueError
    return found


def _read_checksum(place: Place) -> Checksum:
    if not isinstance(place.value, dict) or "kind" not in place.value:
        place.expect('a table with kind = "xor" or kind = "crc8"')
    if choice_of("xor", "crc8")(place.inner("kind")) == "xor":
        given = place.fields(_XOR, needed=["first", "last", "result"])
        del given["kind"]
        with place.building():
            return XorChecksum(**given)
    given = place.fields(_CRC8, needed=["first", "last", "result"])
    del given["kind"]
    if ("table" in given) == ("polynomial" in given):
        place.refuse("checksums: a CRC-8 has a polynomial, or the table of one")
    if "table" in given and "reflected" in given:
        place.refuse("checksums: reflected is for a polynomial; a table says it by itself")
    with place.building():
        if "table" in given:
            return Crc8Checksum(**given)
        return Crc8Checksum.of(**given)


def _read_limit(place: Place) -> RateLimit:
    given = place.fields(_LIMIT, needed=["rate"])
    with place.building():
        return RateLimit(**given)


def _read_window(place: Place) -> TimeWindow:
    given = place.fields(_WINDOW)
    with place.building():
        return TimeWindow(**given)


def _read_moment(place: Place) -> str | date | time:
    if not isinstance(place.value, str | date | time):
        place.expect("a time such as 22:00:00, or a date and time such as 2026-11-25T08:00:00")
    return place.value


_PROFILES: Final = {profile.name.lower(): profile for profile in CrcProfile}


def _read_profile(place: Place) -> CrcProfile:
    return _PROFILES[choice_of(*_PROFILES)(place)]


_XOR: Final[Mapping[str, Reader]] = {
    "kind": read_text,
    "first": read_integer,
    "last": read_integer,
    "result": read_integer,
    "initial": read_integer,
}
_CRC8: Final[Mapping[str, Reader]] = {
    **_XOR,
    "polynomial": read_integer,
    "reflected": read_boolean,
    "table": read_bytes,
    "final_xor": read_integer,
    "profile": _read_profile,
    "profile_data": read_bytes,
}
_LIMIT: Final[Mapping[str, Reader]] = {
    "rate": read_number,
    "burst": read_integer,
    "per": choice_of(*get_args(Per)),
}
_WINDOW: Final[Mapping[str, Reader]] = {"start": _read_moment, "end": _read_moment}
