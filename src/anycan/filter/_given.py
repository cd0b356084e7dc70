"""What users write as ``filters=``, as kernel filters."""

from __future__ import annotations

from collections.abc import Iterable

from anycan.exceptions import FilterError
from anycan.filter._expression import either
from anycan.filter._filter import Filter
from anycan.filter._kernel import CanFilter
from anycan.filter._text import expression_of

FilterArgument = Filter | CanFilter | Iterable[Filter | CanFilter]
"""What users write as ``filters=``: one filter, or several of which any may match."""


def kernel_filters(filters: FilterArgument) -> tuple[CanFilter, ...]:
    """Give the kernel filters of what users write as ``filters=``.

    Args:
        filters: One filter of either class, or several.

    Returns:
        The kernel filters: a :class:`CanFilter` as it is given, a :class:`Filter` as its own, in
        their order.

    Raises:
        FilterError: It is something else, such as text.

    Example:
        >>> kernel_filters([CanFilter(0x123, 0x7FF), Filter.range(0x700, 0x7FF)])
        (CanFilter(0x123, 0x7FF), CanFilter(0x700, 0xC0000700))
    """
    found: list[CanFilter] = []
    for one in given_filters(filters):
        found += (one,) if isinstance(one, CanFilter) else one.to_kernel()
    return tuple(found)


def given_filters(filters: FilterArgument) -> list[Filter | CanFilter]:
    """Give what users write as ``filters=`` as a list.

    Raises:
        FilterError: It is something else than filters, such as text.
    """
    given: object = filters
    if isinstance(given, Filter | CanFilter):
        return [given]
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _no_filter("filters", given)
    found = list(given)
    for position, one in enumerate(found):
        if not isinstance(one, Filter | CanFilter):
            raise _no_filter(f"filters[{position}]", one)
    return found


def union_of(filters: Iterable[Filter | CanFilter]) -> Filter:
    """Give one filter that takes what any of several takes.

    Example:
        >>> union_of([CanFilter(0x123, 0x7FF), Filter.id(1)]).matches(Frame(0x123))
        True
    """
    return Filter(
        either(
            *(
                one._expression if isinstance(one, Filter) else expression_of(one)  # noqa: SLF001 - this room's own
                for one in filters
            )
        )
    )


def _no_filter(name: str, value: object) -> FilterError:
    if isinstance(value, str):
        way = 'for text write Filter.parse("123:7FF")'
    elif isinstance(value, int):
        way = f"for an identifier write Filter.id(0x{value:X})"
    else:
        way = "for example Filter.id(0x123) | Filter.range(0x700, 0x7FF)"
    return FilterError(f"{name} is a Filter, a CanFilter or several of them, not {value!r}; {way}")
