"""Receive lists: which receivers take a frame, and in which order.

An interface has one set of lists, and the network one for receivers of all interfaces. Each filter
goes into the list that tests it cheapest: an identifier of 11 or 29 bits alone is found by a
dictionary, so that any number of such filters costs what one costs; the rest is walked. Within a
list the newest registration comes first.

Which sockets take a frame depends on its first word alone, and buses repeat their words. So an
interface remembers its verdicts (:class:`Verdicts`) until a filter changes: a frame costs one look
into a dictionary, however many filters there are and of whatever kind.

Source: ``linux/can.h`` for the filters; the order as seen on Linux 6.12
(``docs/explanation/parity.md``, row 1).
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from anycan.frame import EFF_FLAG, EFF_MASK, ERR_FLAG, RTR_FLAG, SFF_MASK
from anycan.wire.constants import CAN_INV_FILTER

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMAT_FLAGS: Final = EFF_FLAG | RTR_FLAG
_SINGLE_STANDARD: Final = SFF_MASK | _FORMAT_FLAGS
_SINGLE_EXTENDED: Final = EFF_MASK | _FORMAT_FLAGS
_MOST_VERDICTS: Final = 4096  # then all are forgotten: whoever is on the bus chooses the words


class Receiver(Protocol):
    """Who registers filters."""

    @property
    def joined(self) -> int:
        """How many filters must match before a frame is taken; 0: the first does."""
        ...


class Place(enum.Enum):
    """The lists, in the order in which they are searched. Error frames search the first alone."""

    ERROR = enum.auto()
    ALL = enum.auto()
    MASKED = enum.auto()
    INVERTED = enum.auto()
    STANDARD = enum.auto()
    EXTENDED = enum.auto()


def normalise(word: int, mask: int) -> tuple[Place, int, int]:
    """Give the list that a filter belongs in, and the word and the mask it has there."""
    if mask & ERR_FLAG:
        return Place.ERROR, word, mask & EFF_MASK
    inverted = word & CAN_INV_FILTER
    if mask & EFF_FLAG and not word & EFF_FLAG:
        mask &= _SINGLE_STANDARD  # 11 bits are all that such an identifier has
    word &= mask
    if inverted:
        return Place.INVERTED, word, mask
    if not mask:
        return Place.ALL, word, mask
    if mask == _SINGLE_STANDARD and word <= SFF_MASK:
        return Place.STANDARD, word, mask
    if mask == _SINGLE_EXTENDED and word & _FORMAT_FLAGS == EFF_FLAG:
        return Place.EXTENDED, word, mask
    return Place.MASKED, word, mask


ReceiverT = TypeVar("ReceiverT", bound=Receiver)


class ReceiveLists(Generic[ReceiverT]):
    """The filters registered for one interface, or for all.

    Attributes:
        verdicts: What has been found out with these filters.

    Example:
        >>> lists, receiver = ReceiveLists(), object()
        >>> lists.register(0x123, 0x7FF, receiver)
        >>> lists.find(0x123) == [receiver]
        True
    """

    __slots__ = ("_all", "_error", "_inverted", "_masked", "_single", "verdicts")

    def __init__(self) -> None:
        self._error: list[tuple[int, int, ReceiverT]] = []
        self._all: list[tuple[int, int, ReceiverT]] = []
        self._masked: list[tuple[int, int, ReceiverT]] = []
        self._inverted: list[tuple[int, int, ReceiverT]] = []
        # By the whole word: an identifier of 11 bits, or one of 29 with its flag.
        self._single: dict[int, list[tuple[int, int, ReceiverT]]] = {}
        self.verdicts: list[Verdicts[ReceiverT]] = []

    def _list(self, place: Place, word: int) -> list[tuple[int, int, ReceiverT]]:
        match place:
            case Place.ERROR:
                return self._error
            case Place.ALL:
                return self._all
            case Place.MASKED:
                return self._masked
            case Place.INVERTED:
                return self._inverted
            case Place.STANDARD | Place.EXTENDED:
                return self._single.setdefault(word, [])

    def register(self, word: int, mask: int, receiver: ReceiverT) -> None:
        """Add a filter. The same one may be there several times."""
        place, word, mask = normalise(word, mask)
        self._list(place, word).insert(0, (word, mask, receiver))
        self.changed()

    def unregister(self, word: int, mask: int, receiver: ReceiverT) -> None:
        """Take a filter away: of several equal ones the newest."""
        place, word, mask = normalise(word, mask)
        entries = self._list(place, word)
        entries.remove((word, mask, receiver))
        if not entries and place in {Place.STANDARD, Place.EXTENDED}:
            del self._single[word]
        self.changed()

    def unregister_all(self, filters: Iterable[tuple[int, int]], receiver: ReceiverT) -> None:
        """Take filters away, as :meth:`unregister` does each, in one walk for all."""
        unwanted: dict[tuple[Place, int], Counter[tuple[int, int, ReceiverT]]] = {}
        for word, mask in filters:
            place, word, mask = normalise(word, mask)  # noqa: PLW2901 - from here on, it is this
            of_its_own = place in {Place.STANDARD, Place.EXTENDED}
            key = (place, word if of_its_own else 0)
            unwanted.setdefault(key, Counter())[word, mask, receiver] += 1
        for (place, word), counts in unwanted.items():
            entries = self._list(place, word)
            kept = []
            for entry in entries:
                if counts.get(entry, 0):
                    counts[entry] -= 1
                else:
                    kept.append(entry)
            entries[:] = kept
            if not entries and place in {Place.STANDARD, Place.EXTENDED}:
                del self._single[word]
        self.changed()

    def changed(self) -> None:
        """Make the interfaces forget their verdicts: a filter or a receiver is not as it was."""
        for verdicts in self.verdicts:
            verdicts.clear()

    def find(self, word: int) -> list[ReceiverT]:
        """Give the receiver of every filter that a frame's first word matches, in order.

        A receiver stands there once for each of its filters that matches.
        """
        if word & ERR_FLAG:
            return [receiver for _, mask, receiver in self._error if word & mask]
        found = [receiver for _, _, receiver in self._all]
        found += [receiver for wanted, mask, receiver in self._masked if word & mask == wanted]
        found += [receiver for wanted, mask, receiver in self._inverted if word & mask != wanted]
        if not word & RTR_FLAG:
            # What an 11-bit frame has above its 11 bits does not count; CAN XL's VCID neither.
            single = self._single.get(word if word & EFF_FLAG else word & SFF_MASK)
            if single is not None:
                found += [receiver for _, _, receiver in single]
        return found

    def __len__(self) -> int:
        """Give how many filters are registered."""
        walked = (self._error, self._all, self._masked, self._inverted, *self._single.values())
        return sum(map(len, walked))


def one_copy_each(matches: Iterable[ReceiverT]) -> tuple[ReceiverT, ...]:
    """Give who takes a frame: every receiver once, at its first match.

    A receiver with joined filters takes the frame at the match that completes them, and, as the
    kernel does, again at every match behind it (which only an error mask beside joined error
    filters brings about).
    """
    counts: dict[ReceiverT, int] = {}
    takers: list[ReceiverT] = []
    for receiver in matches:
        count = counts[receiver] = counts.get(receiver, 0) + 1
        needed = receiver.joined
        if count == 1 if not needed else count >= needed:
            takers.append(receiver)
    return tuple(takers)


class Verdicts(dict[int, tuple[ReceiverT, ...]]):
    """Who takes the frames of an interface, by their first word.

    Args:
        lists: The receive lists, in the order in which they are searched.
    """

    def __init__(self, *lists: ReceiveLists[ReceiverT]) -> None:
        super().__init__()
        self._lists = lists
        for one in lists:
            one.verdicts.append(self)

    def __missing__(self, word: int) -> tuple[ReceiverT, ...]:
        if len(self) >= _MOST_VERDICTS:
            self.clear()
        found: list[ReceiverT] = []
        for one in self._lists:
            found += one.find(word)
        takers = self[word] = one_copy_each(found)
        return takers

    def detach(self) -> None:
        """Be told no more of changes: the interface is gone."""
        for one in self._lists:
            one.verdicts[:] = [other for other in one.verdicts if other is not self]
        self.clear()
