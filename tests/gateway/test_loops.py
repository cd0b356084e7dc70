"""Ways by which a frame comes back, by example and held against trying every frame."""

from __future__ import annotations

from collections import deque
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.filter import Filter, meet
from anycan.gateway import loops
from anycan.gateway.loops import SAME, WIRE, Edge, explain_loop, find_loop

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anycan.filter import Cube
    from anycan.gateway.loops import Node

CAN0, CAN1, CAN2 = (("kernel", f"can{number}") for number in range(3))
END, OTHER_END = ("kernel", "vxcan0"), ("kernel", "vxcan1")
WIRES = (
    Edge(END, OTHER_END, WIRE, "the pair", None),
    Edge(OTHER_END, END, WIRE, "the pair", None),
)


def edge(
    source: Node,
    destination: Node,
    carrier: str = "me",
    taken: Filter | None = None,
    *,
    keeps: bool = True,
    visible: bool = True,
) -> Edge:
    cubes = None if taken is None else taken.cover().cubes
    return Edge(
        source,
        destination,
        carrier,
        carrier,
        cubes,
        change=SAME if keeps else None,
        visible=visible,
    )


def test_two_carriers_there_and_back_are_a_loop() -> None:
    there, back = edge(CAN0, CAN1), edge(CAN1, CAN0, "can-gw")
    assert find_loop([there], [back]) == (there, back)


def test_a_carrier_does_not_take_what_it_has_sent() -> None:
    assert find_loop([edge(CAN0, CAN1), edge(CAN1, CAN0)], []) is None


def test_no_hand_over_is_needed_where_the_way_began() -> None:
    way = (edge(CAN0, CAN1), edge(CAN1, CAN2, "can-gw"), edge(CAN2, CAN0))
    assert find_loop([way[0], way[2]], [way[1]]) == way
    # Where edges of one carrier meet twice, it is needed at one of the two.
    can3 = ("kernel", "can3")
    own = [edge(CAN0, CAN1), edge(CAN1, CAN2)]
    assert find_loop(own, [edge(CAN2, can3, "b"), edge(can3, CAN0, "b")]) is None


def test_a_way_that_leads_nowhere_is_no_loop() -> None:
    others = [edge(CAN1, CAN2, "b"), edge(CAN2, CAN1, "c")]
    assert find_loop([edge(CAN0, CAN1)], others) is None
    assert find_loop([edge(CAN1, CAN0)], others) is None


def test_a_loop_of_others_is_not_ours() -> None:
    others = [edge(CAN0, CAN1, "b"), edge(CAN1, CAN0, "c")]
    assert find_loop([], others) is None
    assert find_loop(others, []) is not None
    assert find_loop([], []) is None


@pytest.mark.parametrize(
    ("there", "back", "rings"),
    [
        (Filter.range(0x100, 0x1FF), Filter.range(0x180, 0x2FF), True),
        (Filter.range(0x100, 0x1FF), Filter.range(0x200, 0x2FF), False),
        (Filter.id(0x100), Filter.id(0x100, extended=True), False),
        (Filter.id(0x100), Filter.remote(0x100), False),
        (Filter.id(0x100), Filter.all() - Filter.id(0x100), False),
        (Filter.id(0x100), None, True),
        (Filter.all(), Filter.extended(), True),
        (Filter.errors(), None, False),
        (None, Filter.none(), False),
    ],
)
def test_filters_that_do_not_meet_break_a_loop(
    there: Filter | None, back: Filter | None, rings: bool
) -> None:
    own, others = [edge(CAN0, CAN1, "a", there)], [edge(CAN1, CAN0, "b", back)]
    assert (find_loop(own, others) is not None) is rings
    assert (find_loop(others, own) is not None) is rings


def test_an_identifier_that_is_changed_may_be_any() -> None:
    there = edge(CAN0, CAN1, "a", Filter.id(1), keeps=False)
    middle = edge(CAN1, CAN2, "b", Filter.id(2))
    back = edge(CAN2, CAN0, "c", Filter.id(2))
    assert find_loop([there], [middle, back]) == (there, middle, back)
    other = attrs.evolve(back, cubes=Filter.id(3).cover().cubes)
    assert find_loop([there], [middle, other]) is None
    # It may begin at another interface, where what is changed comes in last.
    assert find_loop([attrs.evolve(there, change=SAME)], [middle, back]) is None


def test_the_filter_before_the_change_counts_nevertheless() -> None:
    never = edge(CAN0, CAN1, "a", Filter.none(), keeps=False)
    assert find_loop([never], [edge(CAN1, CAN0, "b")]) is None


def test_identifiers_have_to_survive_all_the_way() -> None:
    """Any two of these filters meet, all three do not."""
    ways = [
        edge(CAN0, CAN1, "a", Filter.id(1) | Filter.id(2)),
        edge(CAN1, CAN2, "b", Filter.id(2) | Filter.id(3)),
        edge(CAN2, CAN0, "c", Filter.id(3) | Filter.id(1)),
    ]
    assert find_loop(ways, []) is None
    ways[0] = edge(CAN0, CAN1, "a", Filter.range(1, 3))
    assert find_loop(ways, []) == tuple(ways)


def test_a_wire_hands_on_whoever_has_sent() -> None:
    own = [edge(CAN0, END), edge(OTHER_END, CAN0)]
    assert find_loop(own, WIRES) == (own[0], WIRES[0], own[1])


def test_a_wire_does_not_give_back_what_it_carried() -> None:
    assert find_loop(WIRES, []) is None
    assert find_loop([edge(CAN0, END)], [*WIRES, edge(END, CAN0)]) is None


def test_wires_one_after_the_other_hand_on() -> None:
    ring = [edge(CAN0, CAN1, WIRE), edge(CAN1, CAN2, WIRE)]
    back = edge(CAN2, CAN0)
    assert find_loop([back], ring) == (back, *ring)


def test_what_nobody_sees_is_handed_on_by_a_wire_alone() -> None:
    hidden, back = edge(CAN0, CAN1, "a", visible=False), edge(CAN1, CAN0, "b")
    # It comes back all the same when it begins at the other side.
    assert find_loop([hidden], [back]) == (back, hidden)
    assert find_loop([hidden], [attrs.evolve(back, visible=False)]) is None
    own = [edge(CAN0, END, visible=False), edge(OTHER_END, CAN0, visible=False)]
    assert find_loop(own, WIRES) == (own[0], WIRES[0], own[1])


def test_interfaces_of_one_name_on_two_networks_are_two() -> None:
    elsewhere = ("user", "can1")
    assert find_loop([edge(CAN0, elsewhere)], [edge(CAN1, CAN0, "b")]) is None
    assert find_loop([edge(CAN0, elsewhere)], [edge(elsewhere, CAN0, "b")]) is not None


def test_the_shortest_way_is_found_and_always_the_same_one() -> None:
    own = [edge(CAN0, CAN1, "a"), edge(CAN1, CAN2, "b")]
    others = [edge(CAN2, CAN0, "c"), edge(CAN2, CAN1, "d"), edge(CAN2, CAN1, "e")]
    expected = (own[1], others[1])
    assert find_loop(own, others) == expected
    assert find_loop(iter(own), iter(others)) == expected
    assert find_loop(own, [others[0], others[2], others[1]]) == (own[1], others[2])


def test_the_shortest_is_found_though_another_seems_shorter() -> None:
    """Edge by edge, the first three seem to be a loop; but they need two more in place of one."""
    first = [("kernel", f"can{number}") for number in range(5)]
    seeming = [
        edge(first[0], first[1], "a", Filter.id(1) | Filter.id(2)),
        edge(first[1], first[2], "b", Filter.id(2) | Filter.id(3)),
        edge(first[2], first[0], "c", Filter.id(3) | Filter.id(1)),
    ]
    round_about = [
        edge(first[2], first[3], "d"),
        edge(first[3], first[4], "e"),
        edge(first[4], first[0], "f"),
    ]
    assert find_loop(seeming, round_about) == (*seeming[:2], *round_about)
    second = [("kernel", f"can{number}") for number in range(10, 14)]
    ring = [edge(one, second[place - 3], f"{place}") for place, one in enumerate(second)]
    assert find_loop([*seeming, *ring], round_about) == tuple(ring)


def test_a_loop_of_others_on_the_way_is_passed_over() -> None:
    can3 = ("kernel", "can3")
    way = (edge(CAN0, CAN1, "a"), edge(CAN1, CAN2, "b"), edge(CAN2, CAN0, "c"))
    assert find_loop(way[:1], [edge(CAN0, can3, "d"), edge(can3, CAN0, "e"), *way[1:]]) == way


def test_an_interface_may_be_passed_twice() -> None:
    own = [edge(CAN0, CAN1, "a"), edge(CAN1, CAN0, "a")]
    others = [edge(CAN1, CAN2, "b"), edge(CAN2, CAN1, "c")]
    assert find_loop(own, others) == (own[0], *others, own[1])


# Bounded work.


def process_chain(length: int) -> list[Edge]:
    names = [("kernel", f"can{number}") for number in range(length + 1)]
    return [
        edge(one, other, f"process {number}") for number, (one, other) in enumerate(pairwise(names))
    ]


def test_a_long_way_round_is_found() -> None:
    way = process_chain(60)
    back = edge(way[-1].destination, way[0].source)
    found = find_loop([back], way)
    assert found is not None
    assert sorted(found, key=lambda one: one.label) == sorted(
        [*way, back], key=lambda one: one.label
    )


def test_as_many_pairs_as_can_be_take_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters are compared once for each pair of filters, not for each pair of edges."""
    calls = []

    def counting(cubes: Iterable[Cube], others: Iterable[Cube]) -> list[Cube]:
        calls.append(1)
        return meet(cubes, others)

    monkeypatch.setattr(loops, "meet", counting)
    names = [("kernel", f"can{number}") for number in range(12)]
    low, high = Filter.range(1, 0x3FE), Filter.range(0x400, 0x7FE)
    own = [edge(a, b, "a", low) for a in names for b in names if a < b]
    others = [edge(a, b, "b", high) for a in names for b in names if a > b]
    assert find_loop(own, others) is None
    assert len(calls) == 4  # each filter once, and each with the other


def test_filters_too_large_to_be_followed_are_taken_for_more_than_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd = edge(CAN0, CAN1, "a", Filter.id(1) | Filter.id(8) | Filter.id(0x40))
    even = edge(CAN1, CAN0, "b", Filter.id(2))
    assert find_loop([odd], [even]) is None
    monkeypatch.setattr(loops, "_MOST", 2)
    assert find_loop([odd], [even]) == (odd, even)


def test_what_becomes_too_many_cubes_on_the_way_is_not_cut_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Edge(CAN0, CAN1, "a", "a", ((0, 1), (0, 2)))
    second = Edge(CAN1, CAN2, "b", "b", ((0, 4), (0, 8), (0, 16)))
    last = Edge(CAN2, CAN0, "c", "c", ((3, 3), (28, 28)))
    assert find_loop([first], [second, last]) is None
    monkeypatch.setattr(loops, "_MOST", 5)
    monkeypatch.setattr(loops, "_MOST_WORK", 1)
    assert find_loop([first], [second, last]) == (first, second, last)


def test_an_edge_come_to_with_ever_other_identifiers_is_taken_for_all_of_its(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many ways to one edge, none of which has an identifier that gets on from there."""
    entries = [edge(CAN0, CAN1, f"a{number}", Filter.id(number)) for number in range(8)]
    middle = edge(CAN1, CAN2, "b", Filter.range(0, 8))
    last = edge(CAN2, CAN0, "c", Filter.id(8) | Filter.id(0x100))
    assert find_loop(entries, [middle, last]) is None
    monkeypatch.setattr(loops, "_MOST_VISITS", 4)
    found = find_loop(entries, [middle, last])
    assert found is not None
    assert found[1:] == (middle, last)


# Held against frames tried one by one.

WORDS = range(4)
NODES: list[Node] = [("kernel", name) for name in "abc"]


def takes(one: Edge, word: int) -> bool:
    return one.cubes is None or any(word & mask == value for value, mask in one.cubes)


def after(one: Edge, word: int) -> Iterable[int]:
    if one.change is None:
        return WORDS
    keep, flip = one.change
    return (word & keep ^ flip,)


def hands_on(one: Edge, other: Edge) -> bool:
    if WIRE in (one.carrier, other.carrier):
        both = one.carrier == other.carrier
        back = (other.source, other.destination) == (one.destination, one.source)
        return not (both and back) and (one.visible or other.carrier == WIRE)
    return one.visible and one.carrier != other.carrier


def length_of_shortest(own: Sequence[Edge], others: Sequence[Edge]) -> int | None:
    """Send every frame into every interface, and count how far it comes."""
    edges = [*own, *others]
    lengths = []
    for node in NODES:
        waiting = deque(
            (number, word, number < len(own), 1)
            for number, one in enumerate(edges)
            for word in WORDS
            if one.source == node and takes(one, word)
        )
        seen = {state[:3] for state in waiting}
        while waiting:
            number, word, is_own, length = waiting.popleft()
            one = edges[number]
            if one.destination == node and is_own:
                lengths.append(length)
                break
            for following, other in enumerate(edges):
                if other.source != one.destination or not hands_on(one, other):
                    continue
                for new in after(one, word):
                    state = (following, new, is_own or following < len(own))
                    if takes(other, new) and state not in seen:
                        seen.add(state)
                        waiting.append((*state, length + 1))
    return min(lengths, default=None)


def comes_back(path: Sequence[Edge]) -> bool:
    words = {word for word in WORDS if takes(path[0], word)}
    for one, other in pairwise(path):
        if one.destination != other.source or not hands_on(one, other):
            return False
        words = {new for word in words for new in after(one, word) if takes(other, new)}
    return bool(words) and path[-1].destination == path[0].source


cubes = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda c: (c[0] & c[1], c[1]))

changes = st.sampled_from([SAME, SAME, None]) | st.tuples(
    st.integers(0, 3).map(lambda keep: 0xFFFFFFFC | keep), st.integers(0, 3)
)


@st.composite
def some_edges(draw: st.DrawFn) -> list[Edge]:
    source, destination = draw(st.permutations(NODES).map(lambda nodes: nodes[:2]))
    carrier = draw(st.sampled_from(["a", "a", "b", "c", WIRE]))
    if carrier == WIRE:
        return [
            Edge(*ends, WIRE, WIRE, None) for ends in ((source, destination), (destination, source))
        ]
    taken = draw(st.none() | st.lists(cubes, max_size=2).map(tuple))
    visible = draw(st.sampled_from([True, True, False]))
    return [Edge(source, destination, carrier, carrier, taken, draw(changes), visible)]


several = st.lists(some_edges(), max_size=4).map(lambda found: [*chain.from_iterable(found)])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(several, several)
def test_what_is_found_is_what_frames_do(own: list[Edge], others: list[Edge]) -> None:
    expected = length_of_shortest(own, others)
    path = find_loop(own, others)
    assert (None if path is None else len(path)) == expected
    if path is not None:
        assert comes_back(path)
        assert any(one in own for one in path)


# What people read.


def test_the_way_is_told_step_by_step() -> None:
    path = [
        Edge(CAN0, ("user:bench", "vcan0"), "me", "rule 'a'", None),
        Edge(("user:bench", "vcan0"), CAN0, "1234", "process 1234 (gateway 'door')", None),
    ]
    assert explain_loop(path) == (
        "a frame from can0 comes back to it: can0 -> vcan0@user:bench by rule 'a', vcan0@user:bench"
        " -> can0 by process 1234 (gateway 'door'). Narrow the filters so that they do not meet, or"
        " put the rules into one gateway, which never sends a frame back"
    )


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (
            [edge(CAN0, CAN1, "a", keeps=False), edge(CAN1, CAN0, "b")],
            "Put the rules into one gateway, which never sends a frame back",
        ),
        (
            [edge(CAN0, END), WIRES[0], edge(OTHER_END, CAN0)],
            "Narrow the filters so that they do not meet",
        ),
        (
            [edge(CAN0, END), edge(END, CAN0, WIRE, keeps=False)],
            "Narrow the filters so that they do not meet",
        ),
        ([edge(CAN0, CAN1, keeps=False), edge(CAN1, CAN0, WIRE)], "Leave one of these out"),
    ],
)
def test_the_advice_is_one_that_helps(path: list[Edge], advice: str) -> None:
    assert explain_loop(path).endswith(f". {advice}")


def test_what_an_identifier_becomes_is_known() -> None:
    there = attrs.evolve(edge(CAN0, CAN1, "a", Filter.id(0x123)), change=(0x60000000, 0x333))
    assert find_loop([there], [edge(CAN1, CAN0, "b", Filter.id(0x333))])
    assert find_loop([there], [edge(CAN1, CAN0, "b", Filter.id(0x124))]) is None
    masked = attrs.evolve(there, change=(0xFFFFFF0F, 0x50))
    assert find_loop([masked], [edge(CAN1, CAN0, "b", Filter.id(0x153))])
    assert find_loop([masked], [edge(CAN1, CAN0, "b", Filter.id(0x163))]) is None
