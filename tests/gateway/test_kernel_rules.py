"""What the kernel is told of a rule, and what it cannot be told."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.filter import CanFilter, Filter, byte, kernel_form
from anycan.frame import EFF_MASK, ErrorClass, FdFrame, Frame, RemoteFrame
from anycan.gateway import kernel_rules as module
from anycan.gateway.kernel_rules import PortFacts, kernel_rules
from anycan.gateway.limits import RateLimit, TimeWindow
from anycan.gateway.modification import Modification
from anycan.gateway.rule import GatewayPort, Rule
from anycan.wire.netlink_gateway import GatewayFlag, GatewayRoute
from anycan.wire.netlink_gateway_changes import Crc8Checksum, FrameChange, XorChecksum

UNCHANGED: Final = FrameChange.of(can_id=0xFFFFFFFF)
ECHO, FD = GatewayFlag.ECHO, GatewayFlag.FD
CRC: Final = Crc8Checksum.of(0x1D, first=0, last=6, result=7)


def port(name: str, mtu: int = 16, *, is_kernel: bool = True) -> PortFacts:
    return PortFacts(name, int(name[-1]) + 1, mtu, is_kernel)


CAN0, CAN1, CAN2 = (port(name) for name in ("can0", "can1", "can2"))
FD0, FD1, FD2 = (port(name, 72) for name in ("can0", "can1", "can2"))
XL0, XL1 = (port(name, 2060) for name in ("can0", "can1"))


def rule(**fields: Any) -> Rule:
    return Rule(**{"source": "can0", "destination": "can1", **fields})


def routes(
    given: Rule, source: PortFacts = CAN0, destinations: list[PortFacts] | None = None
) -> list[GatewayRoute]:
    found = kernel_rules(given, source, destinations or [CAN1])
    assert isinstance(found, list), found
    return found


def refusal(
    given: Rule, source: PortFacts = CAN0, destinations: list[PortFacts] | None = None
) -> str:
    found = kernel_rules(given, source, destinations or [CAN1])
    assert isinstance(found, str)
    return found


# What it is told.


def test_the_whole_rule() -> None:
    expected = GatewayRoute(
        1, 2, ECHO, CanFilter(0x123, 0xC00007FF), mod_and=UNCHANGED, hop_limit=1
    )
    assert routes(rule(filter=Filter.id(0x123))) == [expected]


def test_every_frame() -> None:
    (route,) = routes(rule())
    assert route.filter == CanFilter(0, 0)


def test_no_local_echo() -> None:
    assert [route.flags for route in routes(rule(local_echo=False))] == [0]
    assert [route.flags for route in routes(rule(local_echo=False), FD0, [FD1])] == [0, FD]


def test_one_rule_for_each_kind_of_frame_that_both_ends_carry() -> None:
    for source, destination, flags in (
        (CAN0, CAN1, [ECHO]),
        (CAN0, FD1, [ECHO]),
        (FD0, CAN1, [ECHO]),
        (FD0, FD1, [ECHO, ECHO | FD]),
        (FD0, XL1, [ECHO, ECHO | FD]),
    ):
        assert [route.flags for route in routes(rule(), source, [destination])] == flags


def test_one_rule_for_each_destination_and_each_part_of_the_filter() -> None:
    given = rule(destination=("can1", "can2"), filter=Filter.id(1) | Filter.id(2))
    found = routes(given, FD0, [CAN1, FD2])
    assert [(route.destination, route.flags & FD, route.filter.id) for route in found] == [
        (2, 0, 1),
        (2, 0, 2),
        (3, 0, 1),
        (3, 0, 2),
        (3, FD, 1),
        (3, FD, 2),
    ]
    assert {route.source for route in found} == {1}
    assert {route.hop_limit for route in found} == {1}
    assert {route.uid for route in found} == {0}


def test_modifications() -> None:
    given = rule(modify=(Modification.bit_or(id=1), Modification.bit_xor(data=b"\x0f", offset=7)))
    classical, flexible = routes(given, FD0, [FD1])
    assert classical.mod_and == FrameChange.of(can_id=0xFFFFFFFE)
    assert classical.mod_xor == FrameChange.of(can_id=1, data=bytes(7) + b"\x0f")
    assert flexible.mod_and == FrameChange.of(can_id=0xFFFFFFFE)
    assert flexible.mod_xor == FrameChange.of(can_id=1, data=bytes(7) + b"\x0f" + bytes(56))
    for route in (classical, flexible):
        assert (route.mod_or, route.mod_set) == (None, None)


def test_a_modification_of_the_other_kind_of_frame_is_one_that_changes_nothing() -> None:
    given = rule(modify=Modification.bit_xor(flags=1))
    classical, flexible = routes(given, FD0, [FD1])
    assert (classical.mod_and, classical.mod_xor) == (UNCHANGED, None)
    assert (flexible.mod_and, flexible.mod_xor) == (None, FrameChange.of(flags=1))


def test_checksums_and_the_modification_that_the_kernel_wants_beside_them() -> None:
    xor = XorChecksum(0, -2, -1)
    (both,) = routes(rule(checksums=(xor, CRC)))
    assert (both.xor, both.crc8, both.mod_and) == (xor, CRC, UNCHANGED)
    (alone,) = routes(rule(checksums=CRC))
    assert (alone.xor, alone.crc8) == (None, CRC)
    assert (routes(rule())[0].xor, routes(rule())[0].crc8) == (None, None)


def test_what_only_the_queues_of_this_process_have_says_nothing_to_it() -> None:
    given = rule(capacity=1, overflow="drop_newest", bit_rate_switch=False, call_capacity=1)
    assert routes(given) == routes(rule())


def test_a_filter_of_interfaces() -> None:
    here = Filter.interface("can0") & Filter.id(1)
    assert routes(rule(filter=here)) == routes(rule(filter=Filter.id(1)))
    elsewhere = Filter.interface("can7") & Filter.id(1)
    assert routes(rule(filter=elsewhere)) == []


def test_the_other_end_of_can_xl_frames_that_the_filter_does_not_take() -> None:
    found = routes(rule(filter=Filter.extended()), XL0, [XL1])
    assert [(route.flags, route.filter) for route in found] == [
        (ECHO, CanFilter(1 << 31, 1 << 31)),
        (ECHO | FD, CanFilter(1 << 31, 1 << 31)),
    ]
    assert len(routes(rule(filter=Filter.remote()), XL0, [XL1])) == 2


# What it cannot be told.


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"call": lambda frame: frame}, "calls no Python function (call)"),
        ({"id_map": {1: 2}}, "knows no table of identifiers (id_map)"),
        ({"convert": "classical"}, "turns no frame into one of another kind (convert)"),
        ({"convert": "fd"}, "turns no frame into one of another kind (convert)"),
        ({"active": TimeWindow("08:00", "17:00")}, "knows no times at which a rule is in force"),
        ({"changes_only": True}, "does not know what it has forwarded before (changes_only)"),
        ({"minimum_interval": 0.1}, "cannot limit rates (minimum_interval)"),
        ({"limits": RateLimit(10)}, "cannot limit rates (limits)"),
        ({"filter": Filter.errors()}, "forwards no error frames, which its filter names"),
        ({"filter": Filter.id(1) | Filter.errors(ErrorClass.BUS_OFF)}, "no error frames"),
        ({"filter": byte(0) == 1}, "looks at identifiers alone, and its filter at more"),
        ({"filter": Filter.id(1) & (byte(0) == 1)}, "looks at identifiers alone"),
        ({"filter": Filter.length(8)}, "looks at identifiers alone"),
        ({"filter": Filter.fd()}, "looks at identifiers alone"),
        ({"filter": Filter.xl()}, "looks at identifiers alone"),
        ({"filter": Filter.where(bool)}, "looks at identifiers alone"),
    ],
)
def test_what_can_gw_does_not_know(fields: dict[str, Any], reason: str) -> None:
    text = refusal(rule(**fields))
    assert text.startswith("the kernel's can-gw ")
    assert reason in text


@pytest.mark.parametrize("reversed_", [False, True])
def test_interfaces_of_a_user_space_network(reversed_: bool) -> None:
    ends = (port("can0", is_kernel=False), CAN1)
    source, destination = reversed(ends) if reversed_ else ends
    text = refusal(rule(), source, [destination])
    assert text == "the kernel's can-gw does not reach can0, which is no kernel interface"


def test_one_destination_of_a_user_space_network() -> None:
    given = rule(destination=("can1", GatewayPort("can2", "user:x")))
    assert "does not reach can2" in refusal(given, CAN0, [CAN1, port("can2", is_kernel=False)])


def test_can_xl_frames() -> None:
    for wanted in (Filter.all(), Filter.id(1), Filter.standard(), ~Filter.id(0x7FF)):
        text = refusal(rule(filter=wanted), XL0, [CAN1])
        assert "forwards no CAN XL frames, which can0 carries (MTU 2060)" in text


@pytest.mark.parametrize("position", [-9, 8])
@pytest.mark.parametrize("place", ["first", "last", "result"])
def test_a_position_that_classical_frames_do_not_have(position: int, place: str) -> None:
    places = {"first": 0, "last": 6, "result": 7, place: position}
    checksum = XorChecksum(**places)
    classical, flexible = routes(rule(checksums=checksum), FD0, [FD1])
    assert (classical.xor, flexible.xor) == (None, checksum)


@pytest.mark.parametrize("position", [-8, 7])
def test_the_outermost_positions(position: int) -> None:
    places = {"first": position, "last": position, "result": position}
    assert len(routes(rule(checksums=XorChecksum(**places)), FD0, [FD1])) == 2


# Many rules.


def scattered(count: int) -> Filter:
    return Filter.parse(",".join(f"{3 * number:03X}:C00007FF" for number in range(count)))


def test_as_many_rules_as_are_made_of_one() -> None:
    assert len(routes(rule(filter=scattered(64)))) == 64
    assert len(routes(rule(filter=scattered(32)), FD0, [FD1])) == 64
    destinations = rule(destination=("can1", "can2"), filter=scattered(16))
    assert len(routes(destinations, FD0, [FD1, FD2])) == 64


@pytest.mark.parametrize(
    ("count", "source", "destination", "told"),
    [
        (65, CAN0, CAN1, "more than 64"),
        (33, FD0, FD1, "66"),
        (600, CAN0, CAN1, "more than 64"),
    ],
)
def test_too_many(count: int, source: PortFacts, destination: PortFacts, told: str) -> None:
    text = refusal(rule(filter=scattered(count)), source, [destination])
    assert text == (
        f"its filter is too many rules for the kernel's can-gw: {told}, where a rule becomes 64"
        " at the most"
    )


def test_one_that_cuts_another_into_too_many() -> None:
    # Each of these takes from the next ones what is in it.
    wide = ",".join(f"{1 << bit:X}:{1 << bit:X}" for bit in range(11))
    assert len(routes(rule(filter=Filter.parse(wide)))) == 11
    # A cube of three bits leaves three of another: 1, 3, 9, 27 and 81 of these.
    narrow = [f"{7 << 3 * place:08X}:{0x80000000 | 7 << 3 * place:08X}" for place in range(5)]
    assert len(routes(rule(filter=Filter.parse(",".join(narrow[:4]))))) == 40
    assert "more than 64" in refusal(rule(filter=Filter.parse(",".join(narrow))))
    either = scattered(25) | Filter.parse(",".join(narrow[:4]))
    assert "more than 64" in refusal(rule(filter=either))


@pytest.mark.parametrize(
    ("identifier", "standard"), [(0x123, [CanFilter(0x123, 0x800007FF)]), (0x10123, [])]
)
def test_bits_that_are_a_vcid_in_can_xl_and_0_in_other_frames(
    identifier: int, standard: list[CanFilter]
) -> None:
    # Without the flag for 29 bits among those that count, so that the kernel looks at them; what
    # is not in the other filter has it, and then the kernel does not.
    either = Filter.parse(f"{identifier:09X}:1FFFFFFF")
    found = routes(rule(filter=either | Filter.parse("80000100:80000100")))
    assert [route.filter for route in found] == [*standard, CanFilter(0x80000100, 0x80000100)]


def test_what_the_kernel_would_read_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "kernel_form", lambda cubes: (kernel_form(cubes)[0], False))
    assert refusal(rule()) == "the kernel's can-gw cannot be told its filter exactly"


# Of every filter: what it takes is taken by one rule, and what it does not by none.

identifiers = st.sampled_from([0, 1, 2, 3, 0x123, 0x700, 0x7FF, 0x18DA00F1, EFF_MASK])
masks = st.sampled_from([0, 1, 2, 0x7FF, 0x700, 0x1FFFFFFF, 0x00FF0000, EFF_MASK & ~1])
words = st.builds(lambda bits, flags: bits | flags << 30, identifiers, st.integers(0, 3))
raw = st.builds(
    lambda word, bits, inverted: CanFilter(word, bits, inverted=inverted),
    words,
    st.builds(lambda bits, flags: bits | flags << 30, masks, st.integers(0, 3)),
    st.booleans(),
).map(lambda one: Filter.parse(f"{one.id:09X}{'~' if one.inverted else ':'}{one.mask:08X}"))
simple = st.one_of(
    raw,
    identifiers.map(Filter.id),
    st.builds(lambda one, bits: Filter.mask(one, bits, extended=True), identifiers, masks),
    st.sampled_from(
        [
            Filter.standard(),
            Filter.extended(),
            Filter.remote(),
            Filter.range(1, 0x7FE),
            Filter.remote(1),
        ]
    ),
)
filters = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds(lambda one, other: one | other, inner, inner),
        st.builds(lambda one, other: one & other, inner, inner),
        inner.map(lambda one: ~one),
    ),
    max_leaves=6,
)
frames = st.one_of(
    st.builds(
        lambda one, extended: Frame(one, extended=extended or one > 0x7FF),
        identifiers,
        st.booleans(),
    ),
    st.builds(
        lambda one, extended: RemoteFrame(one, extended=extended or one > 0x7FF),
        identifiers,
        st.booleans(),
    ),
    st.builds(
        lambda one, extended: FdFrame(one, extended=extended or one > 0x7FF),
        identifiers,
        st.booleans(),
    ),
)


@settings(max_examples=50)
@given(filters, st.lists(frames, min_size=5, max_size=20))
def test_a_frame_is_taken_once_or_not_at_all(
    wanted: Filter, sent: list[Frame | RemoteFrame | FdFrame]
) -> None:
    if wanted.contradiction():
        return  # no rule has it
    found = kernel_rules(rule(filter=wanted), FD0, [FD1])
    if isinstance(found, str):
        assert "too many" in found
        return
    for frame in sent:
        flexible = isinstance(frame, FdFrame)
        taken = [
            route
            for route in found
            if bool(route.flags & FD) == flexible and route.filter.matches(frame)
        ]
        assert len(taken) == wanted.matches(frame)
