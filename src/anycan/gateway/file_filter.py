"""Filters in a file of rules: candump's notation, and tables for what that cannot say."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final

from anycan.filter import Filter, union_of
from anycan.gateway.file_places import (
    Place,
    choice_of,
    read_boolean,
    read_bytes,
    read_identifier,
    read_integer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS: Final[dict[str, Callable[[], Filter]]] = {
    "classical": Filter.classical,
    "fd": Filter.fd,
    "xl": Filter.xl,
    "remote": Filter.remote,
    "standard": Filter.standard,
    "extended": Filter.extended,
}
_IDENTIFIERS: Final = ("id", "range", "mask")
_NEEDS: Final = {"extended": _IDENTIFIERS, "offset": ("data",), "data_mask": ("data",)}


def read_filter(place: Place) -> Filter:
    """Read a filter, or a list of which any has to match."""
    if place.value == []:
        place.refuse("filter: an empty list takes no frame; leave filter out for all of them")
    found = union_of(place.each(_read_one, "filters"))
    reason = found.contradiction()
    if reason is not None:
        place.refuse(f"filter: it takes no frame: {reason}")
    return found


def _read_one(place: Place) -> Filter:
    if isinstance(place.value, str):
        with place.building():
            return Filter.parse(place.value)
    if not isinstance(place.value, dict):
        place.expect('a filter: text such as "123:7FF", or a table such as {id = 0x123}')
    if not place.value:
        place.refuse("filter: an empty table; leave filter out for all frames")
    given = place.fields(_READERS)
    _check_together(place, given)
    with place.building():
        return _filter_of(given)


def _check_together(place: Place, given: dict[str, Any]) -> None:
    """Tell of keys that say nothing beside the others."""
    message = ""
    named = [key for key in _IDENTIFIERS if key in given]
    if len(named) > 1:
        message = f"{named[1]} beside {named[0]}: give one of {', '.join(_IDENTIFIERS)}"
    for key, needed in _NEEDS.items():
        if key in given and not given.keys() & set(needed):
            message = f"{key} is of no use without {' or '.join(needed)}"
    if given.get("errors") is False:
        message = "errors = false: error frames are taken only where a filter names them"
    elif "errors" in given and len(given) > 1:
        message = "errors beside other keys: an error frame has nothing of a data frame"
    elif given.get("kind") == "remote" and "range" in given:
        message = "range takes data frames; for remote frames write id or mask"
    if message:
        place.refuse_where_named(f"filter: {message}")


def _filter_of(given: dict[str, Any]) -> Filter:
    """Give the filter of what all has to match."""
    parts = _of_kind_and_identifier(given)
    if "data" in given:
        offset = given.get("offset", 0)
        parts.append(Filter.data(given["data"], given.get("data_mask"), offset=offset))
    if "length" in given:
        least, most = given["length"]
        parts.append(Filter.length(minimum=least, maximum=most))
    if "errors" in given:
        parts.append(Filter.errors())
    if "not" in given:
        parts.append(~given["not"])
    return reduce(and_, parts)


def _of_kind_and_identifier(given: dict[str, Any]) -> list[Filter]:
    extended = given.get("extended")
    kind = given.get("kind")
    if kind == "remote":  # the identifier of a data frame is another condition
        identifier, mask = given.get("mask") or (given.get("id"), None)
        return [Filter.remote(identifier, mask=mask, extended=extended)]
    parts: list[Filter] = []
    if kind is not None:
        parts.append(_KINDS[kind]())
    if "id" in given:
        parts.append(Filter.id(given["id"], extended=extended))
    if "mask" in given:
        parts.append(Filter.mask(*given["mask"], extended=extended))
    if "range" in given:
        parts.append(Filter.range(*given["range"], extended=extended))
    return parts


def _read_pair(place: Place) -> tuple[int, int]:
    if not isinstance(place.value, list) or len(place.value) != 2:
        place.expect("a list of two identifiers")
    first, second = place.each(read_identifier, "identifiers")
    return first, second


def _read_length(place: Place) -> tuple[int, int]:
    if not isinstance(place.value, list):
        length = read_integer(place)
        return length, length
    if len(place.value) != 2:
        place.expect("a number of bytes, or a list of the least and the most")
    least, most = place.each(read_integer, "numbers of bytes")
    return least, most


_READERS: Final[dict[str, Callable[[Place], Any]]] = {
    "id": read_identifier,
    "range": _read_pair,
    "mask": _read_pair,
    "extended": read_boolean,
    "kind": choice_of(*_KINDS),
    "data": read_bytes,
    "data_mask": read_bytes,
    "offset": read_integer,
    "length": _read_length,
    "errors": read_boolean,
    "not": read_filter,
}
