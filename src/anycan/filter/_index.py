"""Which of many filters take a frame, without asking each of them.

Every filter has a cover: cubes, of a value and a mask over the 32-bit word of the identifier. All
cubes of one mask are in one dict, so that a look-up asks once for each mask there is, whatever the
number of filters: identifiers are two masks (11 and 29 bits), ranges are prefixes, of which there
are no more than 40. What has no mask, all frames, comes last. The answer is kept by word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs

from anycan.filter._kinds import CLASSICAL
from anycan.filter._sieve import Sieve, Trial, Verdicts
from anycan.frame import EFF_FLAG, EFF_MASK, ERR_FLAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anycan.filter._conditions import Test
    from anycan.filter._filter import Filter
    from anycan.frame import AnyFrame

TakerT = TypeVar("TakerT")

_NO_IDENTIFIER: Final = 0x1F00F800  # without EFF: neither of the 11 bits nor of a VCID


@attrs.define(eq=False)
class _Entry(Generic[TakerT]):
    """A filter and whoever takes what it takes."""

    serial: int
    taker: TakerT
    test: Test
    certain: tuple[TakerT, None]
    tested: tuple[TakerT, Test]
    exact: bool
    by_word: bool
    needs_frame: bool
    cubes: tuple[tuple[int, int], ...]
    errors: int
    errors_exact: bool


class FilterIndex(Generic[TakerT]):
    """Filters, each with whoever takes what it takes.

    Args:
        fault: Is told when a function of :meth:`Filter.where` raises: the taker, the frame, the
            exception. The frame is then not taken.

    Attributes:
        verdicts: Who takes a frame, by its word.
    """

    def __init__(
        self, fault: Callable[[TakerT, AnyFrame | None, Exception], object] | None = None
    ) -> None:
        self._fault = fault or _ignore
        self._entries: dict[TakerT, _Entry[TakerT]] = {}
        self._groups: dict[int, dict[int, list[_Entry[TakerT]]]] = {}
        self._errors: list[_Entry[TakerT]] = []
        self._serial = 0
        # Most identifiers have one of few verdicts, which is kept once.
        self._known: dict[
            tuple[tuple[TakerT, Test | None], ...], tuple[TakerT, ...] | Trial[TakerT]
        ] = {}
        self.verdicts: Verdicts[TakerT] = Verdicts(self)

    def add(self, one: Filter, taker: TakerT) -> None:
        """Add a filter.

        Args:
            one: The filter.
            taker: Who takes what it takes; hashable, and in the index once at most.
        """
        cover = one.cover()
        self._serial += 1
        entry = _Entry(
            self._serial,
            taker,
            one.test,
            (taker, None),
            (taker, one.test),
            cover.exact,
            one.by_word,
            one.needs_frame,
            cover.cubes,
            cover.errors,
            cover.errors_exact,
        )
        self._entries[taker] = entry
        for value, mask in cover.cubes:
            self._groups.setdefault(mask, {}).setdefault(value, []).append(entry)
        if cover.errors:
            self._errors.append(entry)
        self.forget()

    def remove(self, taker: TakerT) -> None:
        """Remove a filter; one that is not there is no error."""
        entry = self._entries.pop(taker, None)
        if entry is None:
            return
        for value, mask in entry.cubes:
            group = self._groups[mask]
            group[value].remove(entry)
            if not group[value]:
                del group[value]
                if not group:
                    del self._groups[mask]
        if entry.errors:
            self._errors.remove(entry)
        self.forget()

    def forget(self) -> None:
        """Forget the verdicts."""
        self.verdicts.clear()
        self._known.clear()

    def sieve(self) -> Sieve[TakerT]:
        """Give what a batch of frames goes through."""
        return Sieve(self)

    def look_up(self, word: int) -> tuple[TakerT, ...] | Trial[TakerT]:
        """Give who takes frames of an identifier, in the order in which they were added."""
        if word & ERR_FLAG:
            entries = [entry for entry in self._errors if entry.errors & word & EFF_MASK]
            return self._verdict(word, entries, errors=True)
        if not word & EFF_FLAG:
            word &= ~_NO_IDENTIFIER
        found: dict[_Entry[TakerT], None] = {}
        for mask, group in self._groups.items():
            entries_there = group.get(word & mask)
            if entries_there is not None:
                found.update(dict.fromkeys(entries_there))
        return self._verdict(word, sorted(found, key=_serial_of), errors=False)

    def _verdict(
        self, word: int, entries: Iterable[_Entry[TakerT]], *, errors: bool
    ) -> tuple[TakerT, ...] | Trial[TakerT]:
        tests: list[tuple[TakerT, Test | None]] = []
        needs_frame = False
        for entry in entries:
            if entry.errors_exact if errors else entry.exact:
                tests.append(entry.certain)
            elif not errors and entry.by_word:
                if entry.test(CLASSICAL, word, b"", None, None):
                    tests.append(entry.certain)
            else:
                tests.append(entry.tested)
                needs_frame = needs_frame or entry.needs_frame
        key = tuple(tests)
        known = self._known.get(key)
        if known is None:
            if all(test is None for _, test in key):
                known = tuple(taker for taker, _ in key)
            else:
                known = Trial(key, self._fault, needs_frame=needs_frame)
            self._known[key] = known
        return known


def _serial_of(entry: _Entry[TakerT]) -> int:
    return entry.serial


def _ignore(_taker: object, _frame: object, _error: Exception) -> None:
    """Take a fault that nobody is there to hear."""
