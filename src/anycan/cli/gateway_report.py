"""What a gateway tells of itself, checked before it is shown: any local process may pose as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from anycan import GatewayError, read_gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Check: TypeAlias = "Callable[[Any, str], None]"

_MOST: Final = 1 << 64  # of anything that is counted
_LONGEST: Final = 1e10  # seconds: 300 years
_MOST_CHARACTERS: Final = 60


async def read_report(name: str) -> dict[str, Any]:
    """Ask a running gateway for its state.

    Returns:
        What :func:`anycan.read_gateway` gives, with the keys and types that it says.

    Raises:
        GatewayError: As there; or the answer is another one.
    """
    report = await read_gateway(name)
    if not report:
        raise GatewayError(f"gateway {name!r} has nothing to show: it begins, or ends")
    try:
        _REPORT(report, "")
    except ValueError as error:
        raise GatewayError(
            f"gateway {name!r} answered with something that cannot be shown: {error}; is it of"
            " another version of anycan?"
        ) from None
    return report


def printable(text: str) -> str:
    r"""Put what another process wrote into text that a terminal shows, and does not obey.

    What is not printable, such as the beginning of an escape sequence, becomes ``\x1b`` and the
    like.

    Args:
        text: Any text.
    """
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _expected(what: str, value: object, place: str) -> ValueError:
    match value:
        case dict():
            given = "an object"
        case list():
            given = "a list"
        case _:
            given = repr(value)
    if len(given) > _MOST_CHARACTERS:
        given = f"{given[:_MOST_CHARACTERS]}…"
    return ValueError(f"{place or 'it'} is not {what} but {given}")


def _text(value: object, place: str) -> None:
    if not isinstance(value, str):
        raise _expected("text", value, place)


def _count(value: object, place: str) -> None:
    if type(value) is not int or not 0 <= value < _MOST:
        raise _expected("a number of something", value, place)


def _seconds(value: object, place: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _LONGEST:  # type: ignore[operator]  # it is a number
        raise _expected("a time in seconds", value, place)


def _seconds_or_none(value: object, place: str) -> None:
    if value is not None:
        _seconds(value, place)


def _counts(value: object, place: str) -> None:
    """Check how many there are, by the reason."""
    if not isinstance(value, dict):
        raise _expected("an object", value, place)
    for reason, count in value.items():
        _count(count, f"{place}[{reason!r}]")


def _list_of(check: _Check) -> _Check:
    def check_list(value: object, place: str) -> None:
        if not isinstance(value, list):
            raise _expected("a list", value, place)
        for position, one in enumerate(value):
            check(one, f"{place}[{position}]")

    return check_list


def _object_of(checks: Mapping[str, _Check]) -> _Check:
    """Give what checks an object; it may have more keys."""

    def check_object(value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise _expected("an object", value, place)
        for key, check in checks.items():
            if key not in value:
                raise ValueError(f"{place or 'it'} has no {key!r}")
            check(value[key], f"{place}.{key}" if place else key)

    return check_object


_DESTINATION: Final = _object_of(
    {"destination": _text, "forwarded": _count, "dropped": _counts, "waiting": _count}
)
_RULE: Final = _object_of(
    {
        "name": _text,
        "path": _text,
        "received": _count,
        "forwarded": _count,
        "dropped": _counts,
        "waiting": _count,
        "latency": _object_of({"median": _seconds_or_none, "p99": _seconds_or_none}),
        "destinations": _list_of(_DESTINATION),
    }
)
_PORT: Final = _object_of(
    {
        "interface": _text,
        "state": _text,
        "received": _count,
        "not_taken": _count,
        "overflowed": _count,
        "malformed": _count,
        "gaps": _count,
    }
)
_REPORT: Final = _object_of(
    {
        "gateway": _text,
        "process": _count,
        "seconds": _seconds,
        "rules": _list_of(_RULE),
        "ports": _list_of(_PORT),
    }
)
