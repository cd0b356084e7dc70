"""The receive lists of a network: which filters there are, and in which order they are searched.

What a socket receives does not tell whether it was before others. The lists do, and the kernel
shows its own in ``/proc/net/can``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from anycan.frame import EFF_FLAG

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from anycan import UserNetwork
    from anycan.network.core.receivers import ReceiveLists

_PLACES: Final = ("err", "all", "fil", "inv", "sff", "eff")
_SORTED: Final = frozenset({"sff", "eff"})  # by identifier, however the lists are kept

Entries: TypeAlias = "list[tuple[int, int, Any]]"
"""Words, masks and receivers."""


class KernelLists:
    """The kernel's, which are those of all its sockets.

    Its files stay open: to open them for each program would take longer than all else.

    Args:
        roles: What to call interfaces, by name.
    """

    def __init__(self, roles: Mapping[str, str]) -> None:
        self._roles = {"any": "any", **roles}
        self._files = {
            place: os.open(f"/proc/net/can/rcvlist_{place}", os.O_RDONLY) for place in _PLACES
        }

    def tell(self) -> list[str]:
        """Give them as they are."""
        lists: dict[tuple[str, str], Entries] = {}
        for place, file in self._files.items():
            for line in _read(file).splitlines():
                match line.split():
                    case [name, word, mask, _, receiver, _, "raw"] if name in self._roles:
                        entries = lists.setdefault((self._roles[name], place), [])
                        entries.append((int(word, 16), int(mask, 16), receiver))
        return _told((role, place, entries) for (role, place), entries in lists.items())

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)


def _read(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    return b"".join(iter(lambda: os.read(file, 1 << 16), b"")).decode()


def user_lists(network: UserNetwork) -> list[str]:
    """Give those of a user network."""
    stack = network._stack
    interfaces = stack.by_index.values()
    several = [("any", stack.any_lists), *((one.name, one.lists) for one in interfaces)]
    return _told(
        (role, place, entries) for role, lists in several for place, entries in _listed(lists)
    )


def _listed(lists: ReceiveLists[Any]) -> Iterator[tuple[str, Entries]]:
    single = [entry for entries in lists._single.values() for entry in entries]
    yield "err", lists._error
    yield "all", lists._all
    yield "fil", lists._masked
    yield "inv", lists._inverted
    yield "sff", [entry for entry in single if not entry[0] & EFF_FLAG]
    yield "eff", [entry for entry in single if entry[0] & EFF_FLAG]


def _told(lists: Iterable[tuple[str, str, Entries]]) -> list[str]:
    """Write lists, with numbers for receivers, in the order in which they come up."""
    numbers: dict[Any, int] = {}
    told = []
    for role, place, entries in sorted(lists, key=lambda one: one[:2]):
        by_word = sorted(entries, key=lambda entry: entry[0]) if place in _SORTED else entries
        for word, mask, receiver in by_word:
            number = numbers.setdefault(receiver, len(numbers))
            told.append(f"{role} {place} {word:08x}:{mask:08x} {number}")
    return told
