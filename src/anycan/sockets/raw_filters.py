"""What a raw socket is to receive: what of it the kernel is told, and what is matched here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from anycan.exceptions import FilterError
from anycan.filter import FILTER_LIMIT, CanFilter, Filter, given_filters, kernel_filters, union_of
from anycan.frame import EFF_MASK

if TYPE_CHECKING:
    from anycan.filter import FilterArgument
    from anycan.frame import ErrorClass


@attrs.frozen
class RawFilters:
    """What one socket is to receive.

    Attributes:
        kernel: The kernel's filters of data and remote frames; None: all.
        errors: The classes of error frames.
        wanted: What of the data and remote frames is taken, as one filter; None: all, or what
            passes each of the kernel's filters where they are joined.
        rest: What the kernel's filters let through has to pass this too; None: it is all wanted.
    """

    kernel: tuple[CanFilter, ...] | None
    errors: int
    wanted: Filter | None
    rest: Filter | None


def resolve_filters(
    filters: FilterArgument | None, errors: ErrorClass | int, *, joined: bool = False
) -> RawFilters:
    """Part what is wanted into what the kernel does and what is left.

    Args:
        filters: What users write as ``filters=``.
        errors: What they write as ``errors=``.
        joined: A frame has to pass all filters, not any.

    Raises:
        FilterError: They are out of range, or cannot be joined.
    """
    if not 0 <= errors <= EFF_MASK:
        raise FilterError(f"error classes are 0 to 0x1FFFFFFF, not {errors:#x}")
    if filters is None:
        return RawFilters(None, int(errors), None, None)
    given = given_filters(filters)
    written = [one for one in given if isinstance(one, Filter)]
    union = union_of(given)
    verbatim = kernel_filters(given)
    classes = int(errors) | int(union.to_errors())
    simple = all(one.kernel_decides() for one in written)
    if joined:  # of a filter that is several for the kernel, a frame passes one
        simple = simple and all(
            len(one.to_kernel()) == 1 or (not one.to_kernel() and one.to_errors())
            for one in written
        )
    if simple and (len(verbatim) <= FILTER_LIMIT or not written):
        return RawFilters(verbatim, classes, None if joined else union, None)
    if joined:
        raise FilterError(
            "join_filters= is for filters that are one of the kernel's each: write what is to hold"
            " together as one filter, a & b, without join_filters="
        )
    rest = union | Filter.errors(errors) if errors else union
    return RawFilters(union.to_kernel(), classes, union, rest)
