"""What to listen to, in candump's words: ``can0,123:7FF,400~7F0,#FFFFFFFF,j``."""

from __future__ import annotations

import attrs

from anycan import CanFilter, ErrorClass, ParseError

_ALL = "any"


@attrs.frozen
class Source:
    """An interface, and what of it is wanted.

    Attributes:
        interface: Its name; None: all interfaces.
        filters: What data and remote frames are wanted; None: all.
        errors: What classes of error frames are wanted.
        join: A frame has to pass every filter, instead of any.
    """

    interface: str | None
    filters: tuple[CanFilter, ...] | None
    errors: ErrorClass
    join: bool

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``INTERFACE[,FILTER]...``.

        Raises:
            ParseError: It is none.
        """
        interface, *parts = text.split(",")
        if not interface:
            raise ParseError(f"no interface before the first comma: {text!r}", text)
        filters: list[CanFilter] = []
        errors = ErrorClass(0)
        join = False
        for part in parts:
            if part in {"j", "J"}:
                join = True
            elif part.startswith("#"):
                errors = _parse_mask(part, text)
            else:
                filters.append(CanFilter.parse(part))
        return cls(
            interface=None if interface == _ALL else interface,
            filters=tuple(filters) or None,
            errors=errors,
            join=join,
        )


def _parse_mask(part: str, text: str) -> ErrorClass:
    try:
        return ErrorClass(int(part[1:], 16) & ErrorClass.ALL)
    except ValueError:
        raise ParseError(
            f"not an error mask: {part!r}; write #<mask> in hex, such as #FFFFFFFF", text
        ) from None
