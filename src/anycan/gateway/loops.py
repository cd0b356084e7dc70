"""Ways by which a frame would come back to the interface where it came from."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from anycan.filter import meet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anycan.filter import Cube

Node: TypeAlias = "tuple[str, str]"
"""An interface: the key of its network, and its name."""

WIRE: Final = "wire"
SAME: Final = (0xFFFFFFFF, 0)
"""The change that is none."""

KERNEL: Final = "kernel"

_MOST: Final = 4096  # cubes of what has come so far
_MOST_WORK: Final = 1 << 16  # cubes made at a time
_MOST_VISITS: Final = 32  # of one edge with different identifiers
_FAR: Final = 1 << 30


@attrs.frozen
class Edge:
    """A way of frames from one interface to another.

    Attributes:
        source: Where they come from.
        destination: Where they go; another interface.
        carrier: Who carries them. What a carrier has sent it does not take again: neither does a
            gateway (it knows its own frames), nor the kernel's can-gw (it counts hops). ``"wire"``
            is a pair of virtual interfaces: what is sent into one comes out of the other, whoever
            has sent it.
        label: What to call the carrier in messages, such as ``"process 1234 (gateway 'door')"``.
        cubes: The identifiers taken, as :class:`~anycan.filter.Cover` has them; None: all.
        change: What becomes of a frame's 32-bit word: the bits that are kept, and those that are
            then inverted; None: it may be any afterwards.
        visible: Whoever listens at the destination sees the frame; False: it goes out on the bus
            (or the wire) alone.
    """

    source: Node
    destination: Node
    carrier: str
    label: str
    cubes: tuple[Cube, ...] | None
    change: tuple[int, int] | None = SAME
    visible: bool = True


def find_loop(own: Iterable[Edge], others: Iterable[Edge]) -> tuple[Edge, ...] | None:
    """Find the shortest way by which a frame comes back to an interface.

    A frame comes to an interface, from outside or from a program there. It is taken along an edge
    if its identifier is among those that the edge takes. At the end of the edge the next carrier
    takes it, which has to be another one, or a wire on one side of it.

    Work is bounded: identifiers that become too many cubes are taken for more than they are, so
    that a way may be found that is none, and none is overlooked.

    Args:
        own: The edges of which at least one has to be part of the way.
        others: Those that exist besides.

    Returns:
        The edges in order, two or more: the first leaves the interface, the last enters it. Of
        several ways as short as each other always the same. None: there is none.

    Example:
        >>> can0, can1 = ("kernel", "can0"), ("kernel", "can1")
        >>> there = Edge(can0, can1, "me", "rule 'there'", None)
        >>> back = Edge(can1, can0, "can-gw", "can-gw", ((0x123, 0x7FF),))
        >>> find_loop([there], [back]) == (there, back)
        True
        >>> find_loop([there], [attrs.evolve(back, carrier="me")]) is None
        True
    """
    return _Search([*own], [*others]).shortest()


class _Words:
    """Identifiers, looked at but once."""

    __slots__ = ("alike", "cubes", "mask")

    def __init__(self, cubes: Iterable[Cube]) -> None:
        self.cubes = tuple(cubes)
        self.alike = frozenset(self.cubes)
        masks = {mask for _, mask in self.cubes}
        self.mask = masks.pop() if len(masks) == 1 else None

    def meet(self, others: _Words) -> _Words:
        """Give what is in both; the whole of this if that takes too many cubes."""
        if self.mask is not None and self.mask == others.mask:
            return _Words(self.alike & others.alike)
        found: set[Cube] = set()
        size = max(1, _MOST_WORK // max(1, len(others.cubes)))
        for start in range(0, len(self.cubes), size):
            found.update(meet(self.cubes[start : start + size], others.cubes))
            if len(found) > _MOST:
                return self
        return _Words(found)

    def change(self, keep: int, flip: int) -> _Words:
        """Give what they become: the bits that are not kept are then known."""
        return _Words(
            dict.fromkeys(
                ((value & keep ^ flip) & known, known)
                for value, mask in self.cubes
                for known in (mask & keep | ~keep & SAME[0],)
            )
        )


_EVERYTHING: Final = _Words([(0, 0)])


class _Step:
    """A way so far: its last edge, and with which identifiers a frame leaves that."""

    __slots__ = ("before", "edge", "is_own", "length", "words")

    def __init__(self, edge: int, words: _Words, *, is_own: bool, before: _Step | None) -> None:
        self.edge = edge
        self.words = words
        self.is_own = is_own
        self.before = before
        self.length: int = 1 if before is None else before.length + 1

    def edges(self) -> list[int]:
        """Give the edges of the way, in order."""
        found = []
        step: _Step | None = self
        while step is not None:
            found.append(step.edge)
            step = step.before
        return found[::-1]


class _Search:
    """Edges by number, own ones first, and which of them hand frames on to which."""

    def __init__(self, own: list[Edge], others: list[Edge]) -> None:
        self._edges = [*own, *others]
        self._own = len(own)
        known = {cubes: _known(cubes) for cubes in {edge.cubes for edge in self._edges}}
        self._taken = [known[edge.cubes] for edge in self._edges]
        self._changed: dict[tuple[tuple[int, int], _Words], _Words] = {}
        self._met: dict[tuple[_Words, _Words], _Words] = {}
        self._leaving: dict[Node, list[int]] = {}
        self._entering: dict[Node, list[int]] = {}
        for number, edge in enumerate(self._edges):
            self._leaving.setdefault(edge.source, []).append(number)
            self._entering.setdefault(edge.destination, []).append(number)
        self._next: list[list[int]] = [[] for _ in self._edges]
        self._previous: list[list[int]] = [[] for _ in self._edges]
        for node, entering in self._entering.items():
            for one in entering:
                for other in self._leaving.get(node, ()):
                    if self._hands_on(one, other):
                        self._next[one].append(other)
                        self._previous[other].append(one)

    def shortest(self) -> tuple[Edge, ...] | None:
        """Find the shortest way back to any interface."""
        starts = []
        for node, leaving in self._leaving.items():
            left = self._left(node)
            least = min(left.get((edge, edge < self._own), _FAR) for edge in leaving)
            if least < _FAR:
                starts.append((least, node, left))
        starts.sort(key=lambda start: start[0])
        best: _Step | None = None
        for least, node, left in starts:
            limit = _FAR if best is None else best.length - 1
            if least <= limit:
                best = self._way_back(node, left, limit) or best
        return None if best is None else tuple(self._edges[one] for one in best.edges())

    def _hands_on(self, one: int, other: int) -> bool:
        """Tell whether some frame goes on from an edge by another, these two seen alone."""
        first, then = self._edges[one], self._edges[other]
        if then.carrier == WIRE:
            if first.carrier == WIRE and then.destination == first.source:
                return False  # a wire does not give back what it has carried
        elif not first.visible or first.carrier == then.carrier:
            return False
        return bool(self._meet(self._leaves(one, self._taken[one]), self._taken[other]).cubes)

    def _leaves(self, edge: int, words: _Words) -> _Words:
        change = self._edges[edge].change
        if change is None or change == SAME or (words is _EVERYTHING and change[0] == SAME[0]):
            return _EVERYTHING if change is None else words
        found = self._changed.get((change, words))
        if found is None:
            found = self._changed[change, words] = words.change(*change)
        return found

    def _meet(self, words: _Words, others: _Words) -> _Words:
        if words is _EVERYTHING:
            return others
        if others is _EVERYTHING:
            return words
        found = self._met.get((words, others))
        if found is None:
            found = self._met[words, others] = words.meet(others)
        return found

    def _left(self, node: Node) -> dict[tuple[int, bool], int]:
        """Give how many edges, at least, are left of a way that ends at an interface.

        By the next edge, which is counted, and whether the way up to there, that edge included, has
        an own one. From what is missing no way gets there with an own edge in it.
        """
        left = {(edge, True): 1 for edge in self._entering.get(node, ())}
        waiting = deque(left)
        while waiting:
            edge, has_own = state = waiting.popleft()
            for previous in self._previous[edge]:
                for had_own in (True, False) if edge < self._own else (has_own,):
                    if (previous, had_own) not in left:
                        left[previous, had_own] = left[state] + 1
                        waiting.append((previous, had_own))
        return left

    def _way_back(self, node: Node, left: dict[tuple[int, bool], int], limit: int) -> _Step | None:
        """Find the shortest way from an interface back to it, of so many edges at most."""
        visits: dict[tuple[int, bool], list[frozenset[Cube]]] = {}
        waiting: deque[_Step] = deque()

        def go(edge: int, arriving: _Words, before: _Step | None) -> None:
            has_own = edge < self._own or (before is not None and before.is_own)
            length = 0 if before is None else before.length
            if length + left.get((edge, has_own), _FAR) > limit:
                return
            words = self._meet(arriving, self._taken[edge])
            if not words.cubes:
                return
            words = self._leaves(edge, words)
            visited = visits.setdefault((edge, has_own), [])
            if len(visited) > _MOST_VISITS or any(words.alike <= one for one in visited):
                return
            if len(visited) == _MOST_VISITS:
                words = self._leaves(edge, self._taken[edge])
            visited.append(words.alike)
            waiting.append(_Step(edge, words, is_own=has_own, before=before))

        for edge in self._leaving[node]:
            go(edge, _EVERYTHING, None)
        while waiting:
            step = waiting.popleft()
            if step.is_own and self._edges[step.edge].destination == node:
                return step
            for edge in self._next[step.edge]:
                go(edge, step.words, step)
        return None


def _known(cubes: tuple[Cube, ...] | None) -> _Words:
    if cubes is None or len(cubes) > _MOST or (0, 0) in cubes:
        return _EVERYTHING
    return _Words(meet(cubes, _EVERYTHING.cubes))  # without those that no frame can have


def explain_loop(path: Sequence[Edge]) -> str:
    """Say for people by which way a frame comes back, and what to do about it.

    Args:
        path: The edges, as :func:`find_loop` gives them.

    Example:
        >>> can0, can1 = ("kernel", "can0"), ("kernel", "can1")
        >>> there = Edge(can0, can1, "me", "rule 'there'", None)
        >>> back = Edge(can1, can0, "can-gw", "can-gw", None)
        >>> print(explain_loop([there, back]).partition(". ")[0])
        a frame from can0 comes back to it: can0 -> can1 by rule 'there', can1 -> can0 by can-gw
    """
    steps = ", ".join(
        f"{_name(edge.source)} -> {_name(edge.destination)} by {edge.label}" for edge in path
    )
    advice = []
    if any(edge.change is not None for edge in path[:-1]):
        advice.append("narrow the filters so that they do not meet")
    if all(edge.carrier != WIRE for edge in path):
        advice.append("put the rules into one gateway, which never sends a frame back")
    if not advice:
        # Filters do not help where identifiers are changed, nor does one gateway where a wire does
        # what it is not asked for.
        advice.append("leave one of these out")
    what_to_do = ", or ".join(advice)
    return (
        f"a frame from {_name(path[0].source)} comes back to it: {steps}."
        f" {what_to_do[0].upper()}{what_to_do[1:]}"
    )


def _name(node: Node) -> str:
    network, interface = node
    return interface if network == KERNEL else f"{interface}@{network.partition('#')[0]}"
