"""What is done once a frame has reached all who take it: in order, and bounded."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING

import pytest

from anycan.engine.timers import Timers
from anycan.network.core.afterwards import Afterwards
from anycan.network.core.bcm import BcmSocketCore
from anycan.wire.messages import pack_address
from clock import manual_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.network.conftest import Probe

    from anycan import UserNetwork
    from clock import ManualClock

RX_SETUP, RX_DELETE = 5, 6
RX_RTR_FRAME = 0x400
RTR = 0x40000000
FLEXIBLE = 1


class Bench:
    """Calls that wait, timers and a clock."""

    def __init__(self) -> None:
        self.time = 1000
        self.done: list[int] = []
        self.timers = Timers(lambda: None)
        self.afterwards = Afterwards(self.timers, self)

    def now(self) -> int:
        return self.time

    def add(self, *numbers: int) -> None:
        for number in numbers:
            self.afterwards.calls.append(partial(self.done.append, number))

    def run_timer(self) -> bool:
        """Let time pass until the next timer is due; tell whether there is one."""
        deadline = self.timers.deadline
        if deadline is None:
            return False
        self.time = deadline
        self.timers.run(deadline)
        return True


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_calls_are_made_in_their_order(bench: Bench) -> None:
    bench.add(1, 2, 3)
    assert bench.done == []
    bench.afterwards.run()
    assert bench.done == [1, 2, 3]
    bench.afterwards.run()
    assert bench.done == [1, 2, 3]
    assert bench.timers.deadline is None


def test_a_call_may_add_others_and_run_them(bench: Bench) -> None:
    def add() -> None:
        bench.add(3)
        bench.afterwards.run()  # it runs already: what waits has its turn
        bench.done.append(1)

    bench.afterwards.calls.append(add)
    bench.add(2)
    bench.afterwards.run()
    assert bench.done == [1, 2, 3]


def test_after_so_many_at_once_the_rest_is_left_to_a_timer(bench: Bench) -> None:
    bench.add(*range(130))
    bench.afterwards.run()
    assert bench.done == [*range(64)]
    assert bench.timers.deadline == 1001
    assert bench.run_timer()
    assert bench.done == [*range(128)]
    assert bench.run_timer()
    assert bench.done == [*range(130)]
    assert not bench.afterwards.calls
    assert not bench.run_timer()


def test_so_many_exactly_need_no_timer(bench: Bench) -> None:
    bench.add(*range(64))
    bench.afterwards.run()
    assert len(bench.done) == 64
    assert bench.timers.deadline is None


def test_what_is_run_before_the_timer_is_due_is_not_run_twice(bench: Bench) -> None:
    bench.add(*range(70))
    bench.afterwards.run()
    bench.afterwards.run()
    assert bench.run_timer()
    assert bench.done == [*range(70)]


def test_an_endless_chain_goes_on_for_ever_and_stops_nobody(bench: Bench) -> None:
    def follow() -> None:
        bench.done.append(0)
        bench.afterwards.calls.append(follow)

    follow()
    bench.afterwards.run()
    for rounds in range(1, 5):
        assert len(bench.done) == 1 + 64 * rounds
        assert bench.run_timer()


def test_a_call_that_raises_keeps_no_other_from_being_made(bench: Bench) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    bench.afterwards.calls.append(fail)
    bench.add(1)
    with pytest.raises(ZeroDivisionError):
        bench.afterwards.run()
    bench.afterwards.run()
    assert bench.done == [1]


# Answers to remote requests


@pytest.fixture
def stage() -> Iterator[tuple[UserNetwork, ManualClock]]:
    network, clock = manual_network()
    with network:
        network.add_vcan("flexible")
        yield network, clock


@pytest.fixture
def network(stage: tuple[UserNetwork, ManualClock]) -> UserNetwork:
    return stage[0]


@pytest.fixture
def clock(stage: tuple[UserNetwork, ManualClock]) -> ManualClock:
    return stage[1]


def can(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IB3x8s", word, len(data), data)


def message(opcode: int, can_id: int, *frames: bytes) -> bytes:
    return struct.pack(
        "@IIIllllII0q", opcode, RX_RTR_FRAME, 0, 0, 0, 0, 0, can_id, len(frames)
    ) + b"".join(frames)


def answering(network: UserNetwork, *answers: tuple[int, bytes]) -> BcmSocketCore:
    """Open a socket that answers requests."""
    core = BcmSocketCore(network._stack, lambda: None)
    core.connect(pack_address(FLEXIBLE))
    for request, answer in answers:
        core.send(message(RX_SETUP, RTR | request, answer), None, 0)
    return core


def hear(network: UserNetwork, payload: bytes) -> None:
    """Let the interface receive a frame from another node."""
    assert network._stack.by_name["flexible"].receive(payload, 0)


def take(probe: Probe) -> list[bytes]:
    """Give the frames that a socket has received since the last time."""
    frames: list[bytes] = []
    while isinstance(batch := probe.receive(), list):
        frames += [payload for payload, _, _ in batch]
    return frames


def test_everybody_has_the_request_before_the_answer(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    # Before it and behind it in the receive lists: those of all, of masks, of single identifiers.
    places: list[tuple[str, list[tuple[int, int]] | None]] = [
        ("", None),
        ("flexible", None),
        ("flexible", [(0x123, 0x7FF)]),
        ("flexible", [(RTR | 0x123, 0xC00007FF), (0x123, 0xC00007FF)]),
        ("flexible", [(0x20000000 | 0x7FF, 0x7FF)]),
    ]
    before = [probe(interface, filters) for interface, filters in places]
    answering(network, (0x123, can(0x123, b"\x2a")))
    after = [probe(interface, filters) for interface, filters in places]
    expected = [can(RTR | 0x123), can(0x123, b"\x2a")]
    hear(network, expected[0])
    for listener in (*before, *after):
        assert take(listener) == expected
    # And so has who is bound to hear what it sent itself.
    sender = probe("flexible", own=1)
    sender.send(expected[0])
    assert take(sender) == expected


def test_several_answer_in_turn(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    first = answering(network, (0x123, can(0x123, b"\1")))
    second = answering(network, (0x123, can(0x123, b"\2")))
    listener = probe("flexible")
    hear(network, can(RTR | 0x123))
    # The newest registration is first.
    assert take(listener) == [can(RTR | 0x123), can(0x123, b"\2"), can(0x123, b"\1")]
    second.close()
    hear(network, can(RTR | 0x123))
    assert take(listener) == [can(RTR | 0x123), can(0x123, b"\1")]
    first.close()


def test_an_answer_that_is_a_request_is_answered(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    answering(network, (1, can(RTR | 2)), (2, can(RTR | 3)), (3, can(3, b"\3")))
    listener = probe("flexible")
    hear(network, can(RTR | 1))
    assert take(listener) == [can(RTR | 1), can(RTR | 2), can(RTR | 3), can(3, b"\3")]
    assert network._stack.timers.deadline is None


@pytest.fixture
def dispute(network: UserNetwork, probe: Callable[..., Probe]) -> tuple[BcmSocketCore, Probe]:
    """Let two operations answer each other, and give their socket and one that listens."""
    core = answering(network, (1, can(RTR | 2)), (2, can(RTR | 1)))
    listener = probe("flexible")
    hear(network, can(RTR | 1))
    assert take(listener) == [can(RTR | 1), *[can(RTR | 2), can(RTR | 1)] * 32]
    return core, listener


def test_two_that_answer_each_other_do_not_stop_the_rest(
    network: UserNetwork, clock: ManualClock, dispute: tuple[BcmSocketCore, Probe]
) -> None:
    _, listener = dispute
    for now in range(1, 4):
        clock.advance_to(now, network._stack.timers)
        assert take(listener) == [can(RTR | 2), can(RTR | 1)] * 32
    # A frame in between goes its way, and is answered when those before it are.
    hear(network, can(5))
    assert take(listener)[0] == can(5)


def test_they_end_with_one_of_them(
    network: UserNetwork, clock: ManualClock, dispute: tuple[BcmSocketCore, Probe]
) -> None:
    core, listener = dispute
    core.send(message(RX_DELETE, RTR | 2), None, 0)
    clock.advance_to(1, network._stack.timers)
    assert take(listener) == [can(RTR | 2)]
    assert network._stack.timers.deadline is None


@pytest.mark.parametrize("end", ["socket", "link", "interface", "network"])
def test_they_end_with_what_they_are_on(
    network: UserNetwork, clock: ManualClock, dispute: tuple[BcmSocketCore, Probe], end: str
) -> None:
    core, listener = dispute
    match end:
        case "socket":
            core.close()
        case "link":
            network.set_down("flexible")
        case "interface":
            network.remove("flexible")
        case _:
            network.close()
    clock.advance_to(10, network._stack.timers)
    assert len(take(listener)) <= 1
    assert network._stack.timers.deadline is None
    assert not network._stack.afterwards.calls
