"""Sending to a destination: what it takes, what waits, what is dropped and why."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan.gateway.backlog import Line, make_line
from anycan.gateway.counters import RouteCounters
from anycan.gateway.outlet import Outlet
from anycan.gateway.reasons import DropReason
from rig.gateways import LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

FULL: Final = (errno.EAGAIN, errno.ENOBUFS)
ALL: Final = 1000


class Way:
    """Takes as much as it is told to, call by call: a number of payloads, or an error's number."""

    def __init__(self, *script: int) -> None:
        self.script = deque(script)
        self.fd = 1 << 20  # of no descriptor that is open
        self.taken: list[bytes] = []
        self.calls: list[int] = []
        self.told: list[str] = []
        self.when_removed: Callable[[], object] = bool
        self.absence = DropReason.INTERFACE_GONE

    def put(self, payloads: Sequence[bytes]) -> int:
        self.calls.append(len(payloads))
        count = self.script.popleft() if self.script else ALL
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        count = min(count, len(payloads))
        self.taken += payloads[:count]
        return count

    def put_received(self, source: object, count: int, size: int) -> int:
        raise AssertionError(f"{count} of {size} bytes from {source}: nothing is sent so here")

    def took_error(self) -> None: ...
    def was_down(self) -> None:
        self.told.append("down")

    def was_up(self) -> None:
        if self.told[-1:] != ["up"]:
            self.told.append("up")

    def was_removed(self) -> None:
        self.told.append("removed")
        self.fd = -1
        self.when_removed()


def line(capacity: int = 1000) -> Line:
    return make_line(RouteCounters("b"), capacity, "drop_oldest")


def put(outlet: Outlet, one: Line, *marks: int, stamp: int = 0) -> None:
    outlet.pending += [(bytes([mark % 256]), stamp, one) for mark in marks]


def state(one: Line) -> tuple[int, int, dict[DropReason, int]]:
    counters = one.counters
    return counters.forwarded, counters.waiting, dict(counters.dropped)


def test_what_is_taken_is_counted_with_its_time() -> None:
    way, one, other = Way(), line(), line()
    outlet = Outlet(way, lambda: 5000)
    put(outlet, one, 1, 2, stamp=1000)
    put(outlet, other, 3, stamp=5000)
    outlet.flush()
    assert way.taken == [b"\1", b"\2", b"\3"]
    assert outlet.pending == []
    assert not outlet.blocked
    assert (one.counters.forwarded, other.counters.forwarded) == (2, 1)
    assert (one.counters.latency[3], other.counters.latency[0]) == (2, 1)


def test_frames_of_one_rule_alone() -> None:
    one = line()
    outlet = Outlet(Way(), lambda: 2048)
    put(outlet, one, 1, 2, 3)
    outlet.flush()
    assert one.counters.latency[2] == one.counters.forwarded == 3


def test_rules_keep_the_lists_append() -> None:
    way, one = Way(), line()
    outlet = Outlet(way)
    append = outlet.pending.append
    for mark in (1, 2):
        append((bytes([mark]), 0, one))
        outlet.flush()
    outlet.drop(DropReason.RULE_ENDED)
    append((b"\3", 0, one))
    outlet.drop(DropReason.RULE_ENDED, line())
    outlet.flush()
    assert way.taken == [b"\1", b"\2", b"\3"]


def test_many_go_in_batches() -> None:
    way, one = Way(), line()
    outlet = Outlet(way)
    put(outlet, one, *range(150))
    outlet.flush()
    assert way.calls == [64, 64, 22]
    assert way.taken == [bytes([mark]) for mark in range(150)]


def test_what_is_taken_in_part_goes_on_behind_it() -> None:
    way, one = Way(3, 1), line()
    outlet = Outlet(way)
    put(outlet, one, *range(6))
    outlet.flush()
    assert way.taken == [bytes([mark]) for mark in range(6)]
    assert way.calls == [6, 3, 2]
    assert state(one) == (6, 0, {})


@pytest.mark.parametrize("number", FULL)
def test_without_room_frames_wait(number: int) -> None:
    way, one = Way(2, -number), line()
    outlet = Outlet(way)
    put(outlet, one, *range(5))
    outlet.flush()
    assert outlet.blocked
    assert state(one) == (2, 3, {})
    put(outlet, one, 9)
    outlet.flush()  # it does not overtake
    assert way.calls == [5, 3]
    assert state(one) == (2, 4, {})


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EINVAL, DropReason.DOES_NOT_FIT),
        (errno.EMSGSIZE, DropReason.DOES_NOT_FIT),
        (errno.EPERM, DropReason.REFUSED),
    ],
)
def test_one_that_is_refused_stops_no_other(number: int, reason: DropReason) -> None:
    way, one = Way(1, -number), line()
    outlet = Outlet(way)
    put(outlet, one, *range(4))
    outlet.flush()
    assert way.taken == [b"\0", b"\2", b"\3"]
    assert state(one) == (3, 0, {reason: 1})


def test_an_error_of_the_past_is_not_this_frames() -> None:
    way, one = Way(-errno.ENETDOWN), line()
    outlet = Outlet(way)
    put(outlet, one, 1)
    outlet.flush()
    assert (way.taken, way.told) == ([b"\1"], ["up"])
    assert state(one) == (1, 0, {})


@pytest.mark.parametrize("number", FULL)
def test_an_error_of_the_past_and_no_room(number: int) -> None:
    way, one = Way(-errno.ENETDOWN, -number), line()
    outlet = Outlet(way)
    put(outlet, one, 1)
    outlet.flush()
    assert way.told == []
    assert state(one) == (0, 1, {})


def test_while_it_is_down_frames_are_dropped() -> None:
    way, one = Way(1, -errno.ENETDOWN, -errno.ENETDOWN), line()
    outlet = Outlet(way)
    put(outlet, one, *range(4))
    outlet.flush()
    assert way.told == ["up", "down"]
    assert state(one) == (1, 0, {DropReason.INTERFACE_DOWN: 3})
    put(outlet, one, 7)
    outlet.flush()
    assert way.told == ["up", "down", "up"]
    assert way.taken == [b"\0", b"\7"]


@pytest.mark.parametrize("number", [errno.ENODEV, errno.ENXIO, errno.EBADF])
def test_once_it_is_gone_frames_are_dropped(number: int) -> None:
    way, one = Way(-number), line()
    outlet = Outlet(way)
    # As a port does, which closes and drops what waits for it.
    way.when_removed = lambda: outlet.drop(DropReason.INTERFACE_GONE)
    put(outlet, one, *range(3))
    outlet.flush()
    put(outlet, one, 1)
    outlet.flush()
    assert way.told == ["removed"]
    assert way.calls == [3]
    assert state(one) == (0, 0, {DropReason.INTERFACE_GONE: 4})


def test_what_is_pending_is_dropped_of_one_rule_or_of_all() -> None:
    way, one, other = Way(), line(), line()
    outlet = Outlet(way)
    put(outlet, one, 1, 2)
    put(outlet, other, 3)
    outlet.drop(DropReason.RULE_ENDED, one)
    assert state(one) == (0, 0, {DropReason.RULE_ENDED: 2})
    assert [frame[0] for frame in outlet.pending] == [b"\3"]
    outlet.drop(DropReason.INTERFACE_GONE)
    outlet.flush()
    assert way.calls == []
    assert state(other) == (0, 0, {DropReason.INTERFACE_GONE: 1})


def test_what_waits_is_dropped_of_one_rule() -> None:
    way, one, other = Way(-errno.ENOBUFS), line(), line()
    outlet = Outlet(way)
    put(outlet, one, 1)
    put(outlet, other, 2)
    outlet.flush()
    outlet.drop(DropReason.RULE_ENDED, one)
    assert outlet.blocked
    assert state(one) == (0, 0, {DropReason.RULE_ENDED: 1})
    assert state(other) == (0, 1, {})


REFUSALS = (
    *(-number for number in FULL),
    -errno.ENETDOWN,
    -errno.EINVAL,
    -errno.EPERM,
    -errno.ENODEV,
)


@settings(max_examples=60)
@given(
    script=st.lists(st.integers(1, 5) | st.sampled_from(REFUSALS), max_size=12),
    batches=st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=6),
)
def test_every_frame_is_accounted_for_and_none_overtakes(
    script: list[int], batches: list[list[int]]
) -> None:
    way, lines = Way(*script), [line(2), line(3), line()]
    outlet = Outlet(way)
    way.when_removed = lambda: outlet.drop(DropReason.INTERFACE_GONE)
    given_to = [0, 0, 0]
    mark = 0
    for batch in batches:
        for number in batch:
            put(outlet, lines[number], mark)
            given_to[number] += 1
            mark += 1
        outlet.flush()
        if outlet.blocked and mark % 2:
            outlet._send_waiting()
        assert outlet.pending == []
        for one, given_it in zip(lines, given_to, strict=True):
            counters = one.counters
            assert given_it == counters.forwarded + counters.waiting + counters.dropped.total()
    assert way.taken == sorted(way.taken)
    assert len(way.taken) == sum(one.counters.forwarded for one in lines)


# What waits is sent by a task.


@contextmanager
def polled(way: Way) -> Iterator[socket.socket]:
    """Give the way a descriptor; what is given back makes it writable, being read."""
    own, peer = socket.socketpair()
    with own, peer:
        own.setblocking(False)
        way.fd = own.fileno()
        yield own


@contextmanager
def full(own: socket.socket) -> Iterator[None]:
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    with pytest.raises(BlockingIOError):  # noqa: PT012 - at the end
        while own.send(bytes(4096)):
            pass
    yield


@pytest.fixture
async def task() -> AsyncIterator[Callable[[Outlet], None]]:
    """Run an outlet until the test ends."""
    async with anyio.create_task_group() as tasks:

        def start(outlet: Outlet) -> None:
            tasks.start_soon(outlet.run)

        yield start
        tasks.cancel_scope.cancel()


async def idle(outlet: Outlet) -> None:
    with anyio.fail_after(LIMIT):
        while outlet.blocked:
            await checkpoint()


@pytest.mark.anyio
class TestTask:
    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("number", FULL)
    async def test_what_waits_goes_when_there_is_room(self, number: int, before: bool) -> None:
        way, one = Way(-number, 1, -number, -number), line()
        outlet = Outlet(way)
        with polled(way):
            async with anyio.create_task_group() as tasks:
                if not before:
                    tasks.start_soon(outlet.run)
                    await anyio.wait_all_tasks_blocked()
                put(outlet, one, *range(200))
                outlet.flush()
                if before:
                    tasks.start_soon(outlet.run)
                await idle(outlet)
                assert way.taken == [bytes([mark]) for mark in range(200)]
                assert state(one) == (200, 0, {})
                # Again, from the beginning.
                way.script.append(-number)
                put(outlet, one, 201)
                outlet.flush()
                assert outlet.blocked
                await idle(outlet)
                tasks.cancel_scope.cancel()
        assert way.taken[-1] == b"\xc9"

    async def test_it_waits_for_the_descriptor(self) -> None:
        way, one = Way(-errno.EAGAIN), line()
        outlet = Outlet(way)
        own, peer = socket.socketpair()
        with own, peer:
            own.setblocking(False)
            with full(own):
                way.fd = own.fileno()
                put(outlet, one, 1)
                outlet.flush()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(outlet.run)
                    await anyio.wait_all_tasks_blocked()
                    assert way.calls == [1]
                    while True:
                        peer.setblocking(False)
                        try:
                            peer.recv(1 << 20)
                        except BlockingIOError:
                            break
                    await idle(outlet)
                    tasks.cancel_scope.cancel()
        assert way.taken == [b"\1"]

    async def test_a_descriptor_that_cannot_be_polled_is_tried_again(self) -> None:
        way, one = Way(-errno.EAGAIN), line()
        outlet = Outlet(way)  # whose descriptor is none
        put(outlet, one, 1)
        outlet.flush()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outlet.run)
            await idle(outlet)
            tasks.cancel_scope.cancel()
        assert state(one) == (1, 0, {})

    @pytest.mark.parametrize(
        ("refusals", "reason", "count"),
        [
            ((errno.EINVAL,), DropReason.DOES_NOT_FIT, 1),
            ((errno.ENETDOWN, errno.ENETDOWN), DropReason.INTERFACE_DOWN, 3),
            ((errno.ENODEV,), DropReason.INTERFACE_GONE, 3),
        ],
    )
    async def test_what_is_refused_later_is_dropped(
        self, refusals: tuple[int, ...], reason: DropReason, count: int
    ) -> None:
        way, one = Way(-errno.ENOBUFS, *(-number for number in refusals)), line()
        outlet = Outlet(way)
        put(outlet, one, *range(3))
        outlet.flush()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outlet.run)
            await idle(outlet)
            tasks.cancel_scope.cancel()
        assert state(one) == (3 - count, 0, {reason: count})

    async def test_others_have_their_turn(self) -> None:
        way, one = Way(-errno.ENOBUFS), line(2000)
        outlet = Outlet(way)
        put(outlet, one, *range(1500))
        outlet.flush()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outlet.run)
            with anyio.fail_after(LIMIT):
                while not way.taken:
                    await checkpoint()
            assert len(way.taken) == 512
            await idle(outlet)
            tasks.cancel_scope.cancel()
        assert state(one) == (1500, 0, {})

    async def test_cancelled_it_leaves_what_waits(self) -> None:
        way, one = Way(-errno.ENOBUFS), line()
        outlet = Outlet(way)
        put(outlet, one, 1)
        outlet.flush()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await outlet.run()
        assert state(one) == (0, 1, {})
