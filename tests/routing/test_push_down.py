"""The kernel's filters of a routed socket: always enough, and no more than need be."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anycan
from anycan import (
    CanFilter,
    ErrorClass,
    ErrorFrame,
    Filter,
    Frame,
    Router,
    byte,
)
from anycan.routing import pushdown
from anycan.routing.pushdown import PushDown
from rig.routing import LIMIT, MARKER, all_called, open_bus, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import AnyFrame, RoutingFault
    from anycan.routing.source import Source
    from rig.links import Links
    from rig.routing import Bus

BUS_OFF = ErrorFrame(ErrorClass.BUS_OFF)
RESTARTED = ErrorFrame(ErrorClass.RESTARTED)


class RecordingSocket:
    """What a push-down tells a socket."""

    def __init__(self, *joined: CanFilter) -> None:
        self.options = SimpleNamespace(join_filters=bool(joined))
        self.filters = SimpleNamespace(kernel=joined or None)
        self.told: list[tuple[tuple[CanFilter, ...], int]] = []

    def set_kernel_filters(self, filters: tuple[CanFilter, ...], errors: int) -> None:
        self.told.append((filters, errors))

    def lets_through(self, frame: AnyFrame) -> bool:
        return any(one.matches(frame) for one in self.told[-1][0])


def refuse(*_: object) -> None:
    """Be a kernel that has no room for filters."""
    raise anycan.CanOSError(12, "no memory for filters")


class Clock:
    """Seconds, which pass as told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def push_down_to(socket: RecordingSocket, *filters: Filter, clock: Clock | None = None) -> PushDown:
    given: Any = socket
    push_down = PushDown(given, clock or Clock())
    push_down.start(one.cover() for one in filters)
    return push_down


def is_exact(push_down: PushDown) -> bool:
    """Give the attribute anew: to a type checker it is what it was asserted to be before."""
    return push_down.exact


class TestAlone:
    def test_nothing_is_wanted_at_first(self) -> None:
        socket = RecordingSocket()
        push_down = push_down_to(socket)
        assert socket.told == [((), 0)]
        assert push_down.filters == ()
        assert push_down.exact

    def test_what_is_wanted_is_there_when_it_starts(self) -> None:
        socket = RecordingSocket()
        push_down = push_down_to(socket, Filter.id(0x100), Filter.range(0x200, 0x20F))
        assert socket.told == [((CanFilter(0x100, 0xC00007FF), CanFilter(0x200, 0xC00007F0)), 0)]
        assert push_down.filters == socket.told[-1][0]
        assert push_down.exact

    def test_the_kernel_is_told_only_of_what_it_does_not_let_through(self) -> None:
        socket = RecordingSocket()
        push_down = push_down_to(socket, Filter.range(0x200, 0x20F))
        push_down.add(Filter.id(0x205).cover())
        push_down.add(Filter.range(0x200, 0x20F).cover())
        assert len(socket.told) == 1
        push_down.add(Filter.id(0x210).cover())
        assert len(socket.told) == 2
        assert push_down.filters == (CanFilter(0x200, 0xC00007F0), CanFilter(0x210, 0xC00007FF))

    def test_it_tightens_only_when_refused_frames_come(self) -> None:
        socket = RecordingSocket()
        one, two = Filter.id(0x100), Filter.id(0x101)
        push_down = push_down_to(socket, one, two)
        push_down.refused()
        assert len(socket.told) == 1  # there is nothing to be gained
        push_down.remove(two.cover())
        assert len(socket.told) == 1
        push_down.refused()
        assert push_down.filters == (CanFilter(0x100, 0xC00007FF),)
        push_down.refused()
        assert len(socket.told) == 2

    def test_what_another_one_wants_too_stays(self) -> None:
        socket = RecordingSocket()
        one = Filter.id(0x100)
        push_down = push_down_to(socket, one, one)
        push_down.remove(one.cover())
        push_down.tighten()
        push_down.remove(one.cover())
        push_down.tighten()
        hundred = CanFilter(0x100, 0xC00007FF)
        assert socket.told == [((hundred,), 0), ((hundred,), 0), ((), 0)]

    def test_tightening_takes_a_small_part_of_the_time(self) -> None:
        socket = RecordingSocket()
        clock = Clock()
        filters = [Filter.id(number) for number in range(3)]
        push_down = push_down_to(socket, *filters, clock=clock)
        clock.step = 1.0  # which each look at the clock takes
        push_down.remove(filters[0].cover())
        push_down.refused()
        assert len(socket.told) == 2
        push_down.remove(filters[1].cover())
        clock.step = 0.0
        push_down.refused()
        assert len(socket.told) == 2  # not so soon
        clock.now += 100.0
        push_down.refused()
        assert len(socket.told) == 3
        assert push_down.filters == (CanFilter(0x002, 0xC00007FF),)

    def test_error_classes(self) -> None:
        socket = RecordingSocket()
        push_down = push_down_to(socket, Filter.errors(ErrorClass.BUS_OFF))
        assert socket.told == [((), ErrorClass.BUS_OFF)]
        push_down.add(Filter.errors(ErrorClass.RESTARTED).cover())
        assert socket.told[-1] == ((), ErrorClass.BUS_OFF | ErrorClass.RESTARTED)
        push_down.add(Filter.errors(ErrorClass.RESTARTED).cover())
        assert len(socket.told) == 2
        push_down.remove(Filter.errors(ErrorClass.RESTARTED).cover())
        push_down.tighten()
        assert push_down.errors == ErrorClass.BUS_OFF | ErrorClass.RESTARTED
        push_down.remove(Filter.errors(ErrorClass.RESTARTED).cover())
        push_down.tighten()
        assert push_down.errors == ErrorClass.BUS_OFF

    def test_a_filter_that_the_kernel_cannot_match_whole_is_not_exact(self) -> None:
        socket = RecordingSocket()
        inexact = Filter.id(0x100) & (byte(0) == 0x62)
        push_down = push_down_to(socket, inexact)
        assert push_down.filters == (CanFilter(0x100, 0xC00007FF),)
        assert not is_exact(push_down)
        push_down.remove(inexact.cover())
        push_down.tighten()
        assert is_exact(push_down)

    def test_where_filters_are_joined_the_kernel_is_told_of_error_classes_alone(self) -> None:
        joined = CanFilter(0x003, 0x003), CanFilter(0x700, 0x700)
        socket = RecordingSocket(*joined)
        push_down = push_down_to(socket, Filter.id(0x100))
        push_down.add(Filter.errors(ErrorClass.BUS_OFF).cover())
        push_down.add(Filter.id(0x101).cover())
        push_down.remove(Filter.errors(ErrorClass.BUS_OFF).cover())
        push_down.refused()
        assert not push_down.possible
        assert push_down.filters == joined
        assert {filters for filters, _ in socket.told} == {joined}
        assert socket.told[0][1] == 0
        assert ErrorClass.BUS_OFF in {errors for _, errors in socket.told}
        assert push_down.errors == socket.told[-1][1] == 0
        assert not is_exact(push_down)

    def test_more_than_a_socket_takes_are_widened(self) -> None:
        socket = RecordingSocket()
        chosen = random.Random(5)
        identifiers = chosen.sample(range(1 << 29), 520)
        filters = [Filter.id(number, extended=True) for number in identifiers]
        push_down = push_down_to(socket, *filters[:500])
        assert len(socket.told[-1][0]) == 500
        assert is_exact(push_down)
        for one in filters[500:]:
            push_down.add(one.cover())
        assert len(socket.told[-1][0]) <= 512
        assert not is_exact(push_down)
        frames = [Frame(number, extended=True) for number in identifiers]
        assert all(map(socket.lets_through, frames[:500]))
        assert all(map(socket.lets_through, frames[500:]))
        for one in filters[:300]:
            push_down.remove(one.cover())
        push_down.tighten()
        assert len(socket.told[-1][0]) == 220
        assert is_exact(push_down)
        assert sum(map(socket.lets_through, frames)) == 220

    def test_what_was_widened_is_not_tightened_in_vain(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pushdown, "FILTER_LIMIT", 30)
            patch.setattr(pushdown, "_JOINED", 20)
            socket = RecordingSocket()
            filters = [
                Filter.id(number, extended=True)
                for number in random.Random(5).sample(range(1 << 29), 40)
            ]
            push_down = push_down_to(socket, *filters)
            push_down.refused()
            assert len(socket.told) == 1  # nothing has ended
            # As long as nine tenths of what is past 20 are left, they would be widened just so.
            push_down.remove(filters[0].cover())
            push_down.refused()
            assert len(socket.told) == 1
            push_down.remove(filters[1].cover())
            push_down.refused()
            assert len(socket.told) == 2
            for one in filters[2:10]:
                push_down.remove(one.cover())
            push_down.refused()
        assert len(socket.told) == 3
        assert len(socket.told[-1][0]) == 30
        assert is_exact(push_down)

    def test_a_kernel_that_refuses_to_tighten_is_asked_again(self) -> None:
        socket = RecordingSocket()
        clock = Clock()
        one, two = Filter.id(0x100), Filter.id(0x101)
        push_down = push_down_to(socket, one, two, clock=clock)
        push_down.remove(two.cover())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "set_kernel_filters", refuse)
            for ask in (push_down.refused, push_down.tighten):
                with pytest.raises(anycan.CanOSError):
                    ask()
        assert not is_exact(push_down)
        assert push_down.filters == socket.told[-1][0]  # what the kernel has
        clock.now += 100.0
        push_down.refused()
        assert push_down.filters == (CanFilter(0x100, 0xC00007FF),)
        assert is_exact(push_down)

    def test_many_that_are_neighbours_are_few_filters(self) -> None:
        socket = RecordingSocket()
        push_down = push_down_to(socket, *(Filter.id(number) for number in range(0x100, 0x400)))
        assert set(socket.told[-1][0]) == {
            CanFilter(0x100, 0xC0000700),
            CanFilter(0x200, 0xC0000600),
        }
        assert push_down.exact

    # Few filters, and so few frames to try, with limits as small.
    @settings(max_examples=60)
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["add", "add", "remove", "refused"]),
                st.integers(0, 63),
                st.integers(0, 6),
            ),
            max_size=40,
        )
    )
    def test_it_always_covers_what_is_wanted(self, steps: list[tuple[str, int, int]]) -> None:
        socket = RecordingSocket()
        wanted: list[Filter] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pushdown, "FILTER_LIMIT", 6)
            patch.setattr(pushdown, "_JOINED", 4)
            push_down = push_down_to(socket)
            frames = [Frame(identifier) for identifier in range(64)]
            for step, first, length in steps:
                if step == "add":
                    wanted.append(Filter.range(first, min(first + length, 63)))
                    push_down.add(wanted[-1].cover())
                elif step == "remove" and wanted:
                    push_down.remove(wanted.pop(first % len(wanted)).cover())
                elif step == "refused":
                    push_down.refused()
                assert len(socket.told[-1][0]) <= 6
                for frame in frames:
                    if any(one.matches(frame) for one in wanted):
                        assert socket.lets_through(frame)

    def test_what_was_widened_is_not_exact(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pushdown, "FILTER_LIMIT", 5)
            patch.setattr(pushdown, "_JOINED", 4)
            socket = RecordingSocket()
            identifiers = [2, 7, 9, 14, 16, 19, 20, 26, 31]  # of which three cubes are made
            push_down = push_down_to(socket, *map(Filter.id, identifiers))
        passed = [number for number in range(32) if socket.lets_through(Frame(number))]
        assert set(passed) > set(identifiers)
        assert not push_down.exact


class KernelBench:
    """A router that runs, and what the kernel lets through to it."""

    def __init__(self, router: Router, bus: Bus, network: anycan.Network) -> None:
        self.router = router
        self.can = bus.can
        self.other = bus.other
        self._name = bus.name
        assert isinstance(network, anycan.UserNetwork)
        self._network = network
        self._markers = 0

    @property
    def source(self) -> Source:
        (source,) = self.router._core._sources
        return source

    @property
    def filters(self) -> set[str]:
        """The kernel's filters as they are now, the marker's left out."""
        filters = self.source.push_down.filters
        assert filters is not None
        return {str(one) for one in filters} - {"7FF:C00007FF"}

    @property
    def arrived(self) -> int:
        """How many frames the kernel let through, the marker left out."""
        statistics = self.can.statistics()
        return statistics.received + statistics.filtered - self._markers

    def inject(self, *frames: AnyFrame) -> None:
        """Have frames come, error frames among them."""
        for frame in frames:
            self._network.inject(self._name, frame)

    async def send(self, *frames: AnyFrame) -> None:
        """Receive frames, and wait until handlers have been called with all of them."""
        with anyio.fail_after(LIMIT):
            async with self.router.subscribe(Filter.id(MARKER.id)) as marker:
                self.inject(*frames, MARKER)
                await marker.receive()
        await all_called(self.router)
        self._markers += 1


@asynccontextmanager
async def open_bench(router: Router, links: Links, **options: Any) -> AsyncIterator[KernelBench]:
    async with open_bus(links, **options) as bus, running(router, bus.can):
        yield KernelBench(router, bus, links.network)


ONE, TWO, THREE = Frame(0x100), Frame(0x101), Frame(0x102)


@pytest.mark.anyio
class TestRouted:
    async def test_filters_follow_the_subscriptions(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        first = router.add(Filter.id(0x100), got.append)
        async with open_bench(router, user_links) as bench:
            assert bench.filters == {"100:C00007FF"}
            await bench.send(ONE, TWO, THREE)
            assert bench.arrived == 1
            second = router.add(Filter.id(0x101), got.append)
            assert bench.filters == {"100:C00007FF", "101:C00007FF"}
            await bench.send(ONE, TWO, THREE)
            assert bench.arrived == 3
            first.close()
            assert bench.filters == {"100:C00007FF", "101:C00007FF"}
            await bench.send(TWO)
            assert len(bench.filters) == 2  # nothing came that nobody takes
            await bench.send(ONE)  # now something does
            assert bench.filters == {"101:C00007FF"}
            assert bench.arrived == 5
            await bench.send(ONE, TWO, THREE)
            assert bench.arrived == 6
            assert router.statistics().refused == 1
            second.close()
        assert sorted(frame.can_id for frame in got) == [0x100, 0x100, 0x101, 0x101, 0x101]

    async def test_explain_tightens(self, user_links: Links) -> None:
        router = Router()
        one = router.add(Filter.id(0x100), print)
        async with open_bench(router, user_links) as bench:
            one.close()
            assert bench.filters == {"100:C00007FF"}
            (explained,) = router.explain().endpoints
            assert explained.kernel_filters == ()
            assert bench.filters == set()
            await bench.send(ONE)
            assert bench.arrived == 0

    async def test_after_the_run_the_endpoint_has_its_own_filters_again(
        self, user_links: Links
    ) -> None:
        router = Router()
        router.add(Filter.id(0x100), print, allow_empty=True)
        name, network = user_links.add(), user_links.network
        async with (
            anycan.open_raw(
                name,
                network=network,
                filters=Filter.range(0x101, 0x102) & (byte(0) == 1),
                errors=ErrorClass.BUS_OFF,
            ) as can,
            anycan.open_raw(name, network=network) as other,
        ):
            async with anyio.create_task_group() as tasks:
                await tasks.start(router.run, can)
                router.stop()
            await other.send_many(
                [ONE, TWO, Frame(0x101, b"\x01"), Frame(0x102, b"\x01"), Frame(0x103, b"\x01")]
            )
            assert isinstance(network, anycan.UserNetwork)
            network.inject(name, RESTARTED)
            network.inject(name, BUS_OFF)
            with anyio.fail_after(LIMIT):
                received = [await can.receive() for _ in range(3)]
            assert received == [Frame(0x101, b"\x01"), Frame(0x102, b"\x01"), BUS_OFF]

    async def test_error_frames_come_as_subscriptions_ask_for_them(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        everything: list[AnyFrame] = []
        router.add(Filter.errors(ErrorClass.BUS_OFF), got.append)
        router.add(None, everything.append)
        async with open_bench(router, user_links, errors=ErrorClass.ALL) as bench:
            await bench.send(BUS_OFF, RESTARTED, ONE)
            assert bench.arrived == 2
            assert got == [BUS_OFF]
            async with router.subscribe(Filter.errors()) as errors:
                await bench.send(BUS_OFF, RESTARTED)
                assert await errors.receive_many() == [BUS_OFF, RESTARTED]
        assert got == [BUS_OFF, BUS_OFF]
        assert everything == [ONE, MARKER, MARKER]  # None: data and remote frames

    async def test_filters_that_the_endpoint_was_opened_with_hold(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        router.add(None, got.append)
        router.add(Filter.errors(ErrorClass.BUS_OFF), got.append)
        filters = Filter.range(0x100, 0x101) | Filter.id(MARKER.id)
        async with open_bench(router, user_links, filters=filters) as bench:
            assert bench.filters == {"100:C00007FE"}
            await bench.send(ONE, TWO, THREE, BUS_OFF)
            assert bench.arrived == 3
            async with router.subscribe(Filter.range(0x101, 0x102)) as frames:
                assert bench.filters == {"100:C00007FE"}
                await bench.send(ONE, TWO, THREE)
                assert await frames.receive_many() == [TWO]
        assert set(got) == {ONE, TWO, MARKER, BUS_OFF}
        assert THREE not in got

    async def test_filters_that_only_this_side_can_match_hold_too(self, user_links: Links) -> None:
        router = Router()
        got: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append)
        filters = (Filter.id(0x100) & (byte(0) == 1)) | Filter.id(MARKER.id)
        async with open_bench(router, user_links, filters=filters) as bench:
            await bench.send(Frame(0x100, b"\x00"), Frame(0x100, b"\x01"))
            assert bench.arrived == 2
            assert bench.can.statistics().filtered == 1
        assert got == [Frame(0x100, b"\x01")]

    async def test_joined_filters_stay_and_the_rest_is_matched_here(
        self, user_links: Links
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []
        router.add(Filter.id(0x103), got.append)
        joined = [CanFilter(0x003, 0x003), CanFilter(0x200, 0x200, inverted=True)]
        name, network = user_links.add(), user_links.network
        async with (
            anycan.open_raw(name, network=network, filters=joined, join_filters=True) as can,
            anycan.open_raw(name, network=network) as other,
            anyio.create_task_group() as tasks,
        ):
            await tasks.start(router.run, can)
            (explained,) = router.explain().endpoints
            assert explained.kernel_filters == tuple(joined)
            assert not explained.pushed_down
            assert not explained.exact
            async with router.subscribe(Filter.id(0x1FF)) as last:
                await other.send_many([Frame(n) for n in (0x102, 0x103, 0x107, 0x303, 0x1FF)])
                with anyio.fail_after(LIMIT):
                    await last.receive()
            statistics = can.statistics()
            assert (statistics.received, statistics.filtered) == (2, 1)
            router.stop()
        assert got == [Frame(0x103)]

    async def test_with_joined_filters_error_frames_come_as_they_are_asked_for(
        self, user_links: Links
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []
        one = router.add(Filter.errors(ErrorClass.BUS_OFF), got.append)
        joined = [CanFilter(0x700, 0x700)]  # one: past several, the kernel lets no error frame by
        options: dict[str, Any] = {"filters": joined, "join_filters": True}
        async with open_bench(router, user_links, errors=ErrorClass.RESTARTED, **options) as bench:
            (explained,) = router.explain().endpoints
            assert explained.errors == ErrorClass.BUS_OFF
            assert explained.kernel_filters == tuple(joined)
            await bench.send(BUS_OFF, RESTARTED, ONE)
            assert got == [BUS_OFF]
            assert bench.arrived == 1
            one.close()
            async with router.subscribe(Filter.errors(ErrorClass.RESTARTED)) as restarts:
                await bench.send(BUS_OFF, RESTARTED)
                assert await restarts.receive_many() == [RESTARTED]
            router.stop()
            bench.inject(BUS_OFF, RESTARTED)
            with anyio.fail_after(LIMIT):
                assert await bench.can.receive() == RESTARTED  # its own again
        assert got == [BUS_OFF]

    @pytest.mark.parametrize("joined", [False, True])
    async def test_error_frames_are_for_those_who_name_them(
        self, user_links: Links, joined: bool
    ) -> None:
        router = Router()
        unasked: list[AnyFrame] = []
        asked: list[AnyFrame] = []
        name = user_links.add()
        for wanted in (None, ~Filter.id(0x123), Filter.interface(name), Filter.all()):
            router.add(wanted, unasked.append)
        router.add(Filter.errors(ErrorClass.BUS_OFF), asked.append)
        options: dict[str, Any] = {"filters": [CanFilter(0x7FF, 0x7FF)], "join_filters": True}
        if not joined:
            options = {"filters": Filter.id(MARKER.id) | Filter.errors()}
        async with open_bench(router, user_links, errors=ErrorClass.ALL, **options) as bench:
            await bench.send(BUS_OFF, RESTARTED)
        assert set(unasked) == {MARKER}
        assert asked == [BUS_OFF]

    async def test_more_subscriptions_than_kernel_filters(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pushdown, "FILTER_LIMIT", 24)  # to fit 512 takes a while
        monkeypatch.setattr(pushdown, "_JOINED", 18)
        router = Router()
        identifiers = random.Random(7).sample(range(1 << 29), 40)
        got: list[AnyFrame] = []
        frames = [Frame(identifier, extended=True) for identifier in identifiers]
        others = [Frame(identifier ^ 1, extended=True) for identifier in identifiers]
        for identifier in identifiers[:20]:
            router.add(Filter.id(identifier, extended=True), got.append)
        async with open_bench(router, user_links) as bench:
            for identifier in identifiers[20:]:
                router.add(Filter.id(identifier, extended=True), got.append)
            assert len(bench.filters) <= 24
            await bench.send(*frames, *others)
            statistics = router.statistics()
            (explained,) = router.explain().endpoints
            assert not explained.exact
        assert sorted(frame.can_id for frame in got) == sorted(frame.can_id for frame in frames)
        assert statistics.taken == 41  # and the marker
        assert 0 < statistics.refused <= 40
        assert statistics.refused == bench.arrived - 40

    async def test_wanted_frames_all_arrive_as_subscriptions_come_and_go(
        self, user_links: Links
    ) -> None:
        router = Router()
        wanted: list[AnyFrame] = []
        router.add(Filter.id(0x100), wanted.append, capacity=10_000)
        async with open_bench(router, user_links) as bench:
            for number in range(100):
                async with router.subscribe(Filter.id(0x101 + number % 7)) as stream:
                    bench.other.send_nowait(Frame(0x100, bytes([number])))
                    bench.other.send_nowait(Frame(0x101 + number % 7))
                    bench.other.send_nowait(Frame(0x110))
                    with anyio.fail_after(LIMIT):
                        await stream.receive()
            await bench.send()
        assert wanted == [Frame(0x100, bytes([number])) for number in range(100)]

    async def test_a_subscription_that_the_kernel_refuses_leaves_nothing_behind(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        router = Router()
        async with open_bench(router, user_links) as bench:
            source = bench.source
            with monkeypatch.context() as patch:
                patch.setattr(source.feed.socket, "set_kernel_filters", refuse)
                with pytest.raises(anycan.CanOSError):
                    router.add(Filter.id(0x100), print)
            assert router.subscriptions == ()
            assert list(source._wanted) == []
            await bench.send(ONE)
            assert router.statistics().taken == 1  # the marker

    async def test_a_kernel_that_refuses_to_tighten_is_told_of_and_nothing_is_lost(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        got: list[AnyFrame] = []
        others: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append)
        async with (
            open_bench(router, user_links) as bench,
            router.subscribe(Filter.id(0x103)) as last,
        ):
            source = bench.source
            monkeypatch.setattr(source.push_down, "_clock", Clock())  # it is never too soon
            ended = router.add(Filter.id(0x101), print)
            ended.close()
            with monkeypatch.context() as patch:
                patch.setattr(source.feed.socket, "set_kernel_filters", refuse)
                # What nobody takes is in the midst of what somebody does.
                for count in (1, 2):
                    bench.inject(*[Frame(0x100, b"\x01"), TWO, Frame(0x100, b"\x02")] * 2)
                    bench.inject(Frame(0x103))
                    with anyio.fail_after(LIMIT):
                        await last.receive()
                    await all_called(router)
                    assert got == [Frame(0x100, b"\x01"), Frame(0x100, b"\x02")] * 2 * count
            assert faults
            for fault in faults:
                assert isinstance(fault.error, anycan.CanOSError)
                assert (fault.subscription, fault.frames) == (None, ())
                assert fault.action == "goes on"
                assert fault.interface == source.interface
            told = len(faults)
            router.add(Filter.id(0x102), others.append)
            got.clear()
            await bench.send(ONE, TWO, THREE)
            assert (got, others) == ([ONE], [THREE])
            assert len(faults) == told
            filters = source.push_down.filters
            assert filters is not None
            assert not any(one.matches(TWO) for one in filters)  # it has tightened after all

    async def test_explain_tells_what_there_is_where_the_kernel_refuses_to_tighten(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults: list[RoutingFault] = []
        router = Router(on_fault=faults.append)
        one = router.add(Filter.id(0x100), print)
        async with open_bench(router, user_links) as bench:
            one.close()
            with monkeypatch.context() as patch:
                patch.setattr(bench.source.feed.socket, "set_kernel_filters", refuse)
                (explained,) = router.explain().endpoints
            assert explained.kernel_filters == (CanFilter(0x100, 0xC00007FF),)
            assert not explained.exact
        assert [fault.action for fault in faults] == ["goes on"]
