"""What frames are wanted: the algebra of filters, and the kernel's own filters."""

from __future__ import annotations

from anycan.filter._byte import Byte, byte
from anycan.filter._conditions import Test
from anycan.filter._cover import Cover
from anycan.filter._cubes import Cube, is_covered, kernel_form, meet, merge, subtract
from anycan.filter._filter import Filter
from anycan.filter._given import FilterArgument, given_filters, kernel_filters, union_of
from anycan.filter._index import FilterIndex
from anycan.filter._kernel import FILTER_LIMIT, CanFilter
from anycan.filter._kinds import CLASSICAL, ERROR, FLEXIBLE, REMOTE, XL, kind_of
from anycan.filter._sieve import Sieve, Trial
from anycan.filter._widen import widen

__all__ = [
    "CLASSICAL",
    "ERROR",
    "FILTER_LIMIT",
    "FLEXIBLE",
    "REMOTE",
    "XL",
    "Byte",
    "CanFilter",
    "Cover",
    "Cube",
    "Filter",
    "FilterArgument",
    "FilterIndex",
    "Sieve",
    "Test",
    "Trial",
    "byte",
    "given_filters",
    "is_covered",
    "kernel_filters",
    "kernel_form",
    "kind_of",
    "meet",
    "merge",
    "subtract",
    "union_of",
    "widen",
]
