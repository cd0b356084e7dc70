"""Having the kernel drop what no subscription takes.

What is wanted is a union of cubes (see :class:`anycan.filter.Cover`), of which the kernel takes 512
filters. They are kept so that they always cover what is wanted: a new subscription's are there
when it is, and those of one that has ended go when that is worth the while, which is when frames
come that nobody takes. Past the limit, cubes are joined to greater ones, and what they let through
besides is matched here, as everything is.
"""

from __future__ import annotations

from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Final

from anycan.filter import FILTER_LIMIT, is_covered, kernel_form, merge, widen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.filter import CanFilter, Cover, Cube
    from anycan.sockets.raw import RawSocket

# Joined to fewer than the limit, so that not each new subscription has them joined anew.
_JOINED: Final = 384
# Of all time, no more than one part in so many goes into looking for fewer filters.
_SPARE: Final = 20


class PushDown:
    """The kernel's filters of one socket, while it is routed.

    Args:
        socket: The socket.
        clock: Gives seconds.

    Attributes:
        possible: Whether the kernel can be told of data and remote frames: not where the socket's
            filters are joined.
        filters: The kernel's filters of data and remote frames.
        errors: The classes of error frames.
    """

    def __init__(self, socket: RawSocket, clock: Callable[[], float] = perf_counter) -> None:
        self.possible = not socket.options.join_filters
        self.filters: tuple[CanFilter, ...] | None = (
            None if self.possible else socket.filters.kernel
        )
        self.errors = 0
        self._socket = socket
        self._clock = clock
        self._wanted: Counter[Cube] = Counter()
        self._error_classes: Counter[int] = Counter()
        self._inexact = 0  # subscriptions whose cubes let through more than they take
        self._cubes: list[Cube] = []
        self._alike = False  # the kernel's filters are the cubes
        self._widened = False
        self._most = 0  # cubes that were wanted when they were widened
        self._loose = False
        self._not_before = 0.0

    def start(self, covers: Iterable[Cover]) -> None:
        """Have the kernel filter by what is wanted.

        Raises:
            CanOSError: It cannot.
        """
        for cover in covers:
            self._count(cover, 1)
        self._tighten()

    def add(self, cover: Cover) -> None:
        """Have the kernel let through what a new subscription takes.

        Raises:
            CanOSError: It cannot.
        """
        missing = [
            cube
            for cube in cover.cubes
            if cube not in self._wanted and not is_covered(cube, self._cubes)
        ]
        self._count(cover, 1)
        errors = self.errors | cover.errors
        if missing or errors != self.errors:
            self._apply([*self._cubes, *missing], errors)

    def remove(self, cover: Cover) -> None:
        """Take note that a subscription has ended."""
        self._count(cover, -1)
        self._loose = True

    def refused(self) -> None:
        """Take note that frames came which nobody takes."""
        if self._loose and self._clock() >= self._not_before and not self._is_in_vain():
            self.tighten()

    def _is_in_vain(self) -> bool:
        """Tell whether there are still nearly as many cubes as when they had to be widened."""
        return self._widened and len(self._wanted) > _JOINED + 9 * (self._most - _JOINED) // 10

    def tighten(self) -> None:
        """Have the kernel let through no more than is wanted, as far as it can."""
        if self._loose:
            start = self._clock()
            try:
                self._tighten()
            finally:
                end = self._clock()
                self._not_before = end + _SPARE * (end - start)

    def _tighten(self) -> None:
        errors = 0
        for classes in self._error_classes:
            errors |= classes
        self._widened = False
        self._apply(list(self._wanted), errors)
        self._loose = False

    def _count(self, cover: Cover, step: int) -> None:
        self._inexact += step * (not cover.exact)
        counters: list[tuple[Counter[object], Iterable[object]]] = [
            (self._wanted, cover.cubes),  # type: ignore[list-item]  # counted alike
            (self._error_classes, [cover.errors] if cover.errors else []),  # type: ignore[list-item]
        ]
        for counter, things in counters:
            for thing in things:
                counter[thing] += step
                if not counter[thing]:
                    del counter[thing]

    def _apply(self, cubes: list[Cube], errors: int) -> None:
        if len(cubes) > FILTER_LIMIT:
            cubes = merge(cubes)
        if len(cubes) > FILTER_LIMIT:
            cubes = widen(cubes, _JOINED)
            self._widened = True
            self._most = len(self._wanted)
        filters, alike = kernel_form(cubes)
        if not self.possible:
            self._socket.set_kernel_filters(self.filters, errors)
        else:
            self._socket.set_kernel_filters(filters, errors)
            self.filters = filters
        self._alike = alike
        self.errors = errors
        self._cubes = cubes

    @property
    def exact(self) -> bool:
        """Whether the kernel lets through no data or remote frame that nobody wants."""
        loose = self._loose or self._widened or self._inexact
        return self.possible and self._alike and not loose
