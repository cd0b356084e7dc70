"""One endpoint of a router: what is left to match, how much is read, how it is given back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import (
    CanFilter,
    ErrorClass,
    ErrorFrame,
    Filter,
    Frame,
    HandlerSubscription,
    Router,
    byte,
)
from anycan.routing.source import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from anycan import AnyFrame, FrameSubscription, RoutingFault
    from rig.links import Links

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def open_source(
    links: Links, subscriptions: Iterable[anycan.Subscription] = (), **options: Any
) -> AsyncIterator[tuple[Source, anycan.RawEndpoint]]:
    """Give a source that nobody runs, and its endpoint."""
    name = links.add()
    async with anycan.open_raw(name, network=links.network, **options) as can:
        source = Source(Router()._core, can, subscriptions)
        try:
            yield source, can
        finally:
            source.close()


def stream(
    wanted: Filter | None = None, *, capacity: int = 1024, overflow: Any = "drop_oldest"
) -> FrameSubscription:
    return Router().subscribe(wanted, capacity=capacity, overflow=overflow)


def takers_of(source: Source, frame: AnyFrame) -> set[object]:
    """Give who takes a frame."""
    sieve = source._index.sieve()
    return set(sieve.targets[0]) if sieve.admit(frame) else set()


class TestRoom:
    async def test_what_its_queues_have_room_for(self, user_links: Links) -> None:
        small = stream(capacity=20, overflow="block")
        async with open_source(user_links, [stream(capacity=30)]) as (source, _):
            assert source.room(wait=False) == 128
            assert source.burst() == 30
            source.add(small)
            assert source.room(wait=False) == source.burst() == 20
            source.remove(small)
            assert source.room(wait=False) == 128
            assert source.burst() == 30

    async def test_queues_of_what_can_never_come_are_not_looked_at(self, user_links: Links) -> None:
        elsewhere = stream(Filter.interface("other9"), capacity=20, overflow="block")
        errors = stream(Filter.errors(), capacity=50, overflow="block")
        async with open_source(user_links, [elsewhere]) as (source, _):
            assert source.room(wait=False) == 128
            assert source.burst() == 1024
            source.add(errors)
            assert source.room(wait=False) == source.burst() == 50


class TestMatching:
    async def test_a_subscription_comes_and_goes(self, user_links: Links) -> None:
        one, two = stream(Filter.id(1)), stream(Filter.range(0, 7))
        async with open_source(user_links, [one]) as (source, _):
            assert takers_of(source, Frame(1)) == {one.taker}
            source.add(two)
            assert takers_of(source, Frame(1)) == {one.taker, two.taker}
            assert takers_of(source, Frame(2)) == {two.taker}
            source.remove(one)
            source.remove(one)  # a second time does nothing
            assert takers_of(source, Frame(1)) == {two.taker}
            assert takers_of(source, Frame(8)) == set()

    async def test_the_interface_is_decided_beforehand(self, user_links: Links) -> None:
        async with open_source(user_links) as (source, _):
            assert source.interface is not None
            mine = stream(Filter.interface(source.interface) & Filter.id(1))
            other = stream(Filter.interface("other9") & Filter.id(2))
            source.add(mine)
            source.add(other)
            assert takers_of(source, Frame(1, interface=source.interface)) == {mine.taker}
            assert takers_of(source, Frame(2, interface=source.interface)) == set()
            # The kernel is not asked for what can never come.
            assert source.push_down.filters == (CanFilter(0x001, 0xC00007FF),)
            assert source.push_down.exact

    async def test_what_the_endpoint_was_opened_with_holds(self, user_links: Links) -> None:
        everything, errors = stream(), stream(Filter.errors())
        given = Filter.range(0x100, 0x10F) & (byte(0) == 1)
        async with open_source(user_links, [everything, errors], filters=given) as (source, _):
            assert takers_of(source, Frame(0x100, b"\x01")) == {everything.taker}
            assert takers_of(source, Frame(0x100, b"\x02")) == set()
            assert takers_of(source, Frame(0x110, b"\x01")) == set()
            assert takers_of(source, ErrorFrame(ErrorClass.BUS_OFF)) == {errors.taker}

    async def test_delivered_frames_are_counted_once(self, user_links: Links) -> None:
        one, two = stream(), stream()
        async with open_source(user_links, [one, two]) as (source, _):
            frames: list[AnyFrame] = [Frame(1), Frame(2)]
            source.deliver(frames, [(one.taker, two.taker), (one.taker,)])
            assert source.taken == 2
            assert one.queue.take_many() == frames
            assert two.queue.take_many() == frames[:1]
            source.refused(3)
            assert source.refused_count == 3


class TestGivenBack:
    async def test_nobody_else_receives_meanwhile(self, user_links: Links) -> None:
        async with open_source(user_links) as (source, can):
            for call in (can.receive, can.receive_many):
                with pytest.raises(anyio.BusyResourceError):
                    await call()
            with pytest.raises(anyio.BusyResourceError):
                can.receive_nowait()
            with pytest.raises(anyio.BusyResourceError):
                can.set_filters(None)
            with pytest.raises(anyio.BusyResourceError):
                can.set_errors(0)
            source.close()
            with pytest.raises(anyio.WouldBlock):
                can.receive_nowait()
            can.set_filters(None)
            can.set_errors(0)

    async def test_once_it_is_closed_nothing_more_is_read(self, user_links: Links) -> None:
        for _ in range(30):  # trio runs tasks in any order
            async with (
                open_source(user_links, [stream()]) as (source, can),
                anycan.open_raw(source.interface, network=user_links.network) as other,
            ):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(source.feed.run)
                    for _ in range(3):
                        await checkpoint()
                    other.send_nowait(Frame(1))
                    await checkpoint()
                    taken = source.taken
                    source.close()
                assert source.taken == taken
                with anyio.fail_after(5):
                    if not taken:
                        assert await can.receive() == Frame(1)

    async def test_an_endpoint_that_is_routed_cannot_be_routed_again(
        self, user_links: Links
    ) -> None:
        async with open_source(user_links) as (_, can):
            with pytest.raises(anyio.BusyResourceError):
                Source(Router()._core, can, ())

    async def test_a_kernel_that_refuses_its_first_filters(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise anycan.CanOSError(12, "no memory for filters")

        async with anycan.open_raw(user_links.add(), network=user_links.network) as can:
            with monkeypatch.context() as patch:
                patch.setattr(can._socket, "set_kernel_filters", refuse)
                with pytest.raises(anycan.CanOSError):
                    Source(Router()._core, can, ())
            with pytest.raises(anyio.WouldBlock):
                can.receive_nowait()  # it has been given back

    async def test_a_kernel_that_refuses_the_old_filters_is_told_of(
        self, user_links: Links, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        faults: list[RoutingFault] = []
        error = anycan.CanOSError(12, "no memory for filters")

        def refuse(*_: object) -> None:
            raise error

        router = Router(on_fault=faults.append)
        async with anycan.open_raw(user_links.add(), network=user_links.network) as can:
            source = Source(router._core, can, ())
            with monkeypatch.context() as patch:
                patch.setattr(can._socket, "set_kernel_filters", refuse)
                source.close()
        assert [(fault.error, fault.action) for fault in faults] == [
            (error, "the endpoint keeps the router's filters")
        ]

    async def test_what_waited_in_the_inbox_and_was_not_read_is_there_again(
        self, user_links: Links
    ) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        frames = [Frame(0x100, bytes([number])) for number in range(5)]
        got: list[AnyFrame] = []

        @router.on(Filter.id(0x100), capacity=1, overflow="block")
        def first(frame: AnyFrame) -> None:
            got.append(frame)
            router.stop()

        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
        ):
            await other.send_many(frames)
            can._inbox.read()
            assert can.statistics().waiting == 5
            with anyio.fail_after(5):
                await router.run(can)
            (one,) = router.subscriptions
            assert isinstance(one, HandlerSubscription)
            rest: list[AnyFrame] = []
            while len(got) + one.statistics().dropped + len(rest) < 5:
                rest.append(can.receive_nowait())
        assert [*got, *rest] == frames
