"""Endpoints that wait for a link that is lost, and go on when it is back."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import CanFilter, Filter, Frame, LinkCondition, LinkGap

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.links import Links

pytestmark = pytest.mark.anyio

_LONG = 20  # seconds; the lab is slow


async def test_a_receiver_waits_for_a_link_that_goes_down(links: Links) -> None:
    name = links.add()
    gaps: list[LinkGap] = []
    async with (
        anycan.open_raw(
            name, network=links.network, on_link_loss="wait", on_gap=gaps.append
        ) as receiver,
        anycan.open_raw(name, network=links.network, on_link_loss="wait") as sender,
    ):
        await sender.send(Frame(1))
        links.down(name)
        links.up(name)
        await sender.send(Frame(2))
        with anyio.fail_after(_LONG):
            assert [await receiver.receive() for _ in range(2)] == [Frame(1), Frame(2)]
        assert receiver.gap is None
        assert receiver.statistics().gaps == 1
    began, ended = gaps
    assert (began.interface, began.condition, began.ended_ns) == (name, LinkCondition.DOWN, None)
    assert ended.began_ns == began.began_ns
    assert ended.seconds is not None
    assert ended.seconds >= 0


async def test_sending_waits_for_the_link_up_to_the_callers_deadline(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as receiver,
        anycan.open_raw(name, network=links.network, on_link_loss="wait") as sender,
    ):
        links.down(name)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await sender.send(Frame(1))
        assert sender.gap is not None
        assert sender.gap.condition is LinkCondition.DOWN
        with pytest.raises(anyio.WouldBlock):
            sender.send_nowait(Frame(2))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sender.send, Frame(3))
            await anyio.wait_all_tasks_blocked()
            links.up(name)
        assert sender.statistics().sent == 1
        with anyio.fail_after(_LONG):
            while True:
                try:
                    assert await receiver.receive() == Frame(3)
                except anycan.InterfaceDownError:
                    continue
                break


async def test_an_interface_that_is_made_anew_is_bound_to_with_filters_and_options(
    links: Links,
) -> None:
    name = links.add()
    gaps: list[LinkGap] = []
    async with (
        anycan.open_raw(
            name,
            filters=Filter.range(0x100, 0x10F),
            receive_own=True,
            network=links.network,
            on_link_loss="wait",
            on_gap=gaps.append,
        ) as can,
    ):
        await can.send(Frame(0x101))
        links.remove(name)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await can.send(Frame(0x102))
        assert can.gap is not None
        assert can.gap.condition is LinkCondition.REMOVED
        links.add(name)
        with anyio.fail_after(_LONG):
            await can.send_many([Frame(0x200), Frame(0x103)])
            frames = [await can.receive() for _ in range(2)]
        assert frames == [Frame(0x101), Frame(0x103)]
        assert frames[1].own
        assert frames[1].interface == name
        assert can.extra(anycan.RawAttribute.interface_index) == links.network.interface_index(name)
    assert [gap.ended_ns is None for gap in gaps] == [True, False]
    assert gaps[1].condition is LinkCondition.REMOVED


async def test_filters_changed_in_a_gap_are_those_that_count_after_it(links: Links) -> None:
    name = links.add()
    async with anycan.open_raw(
        name, receive_own=True, network=links.network, on_link_loss="wait"
    ) as can:
        links.remove(name)
        can.set_filters(CanFilter(0x123, 0x7FF))
        links.add(name)
        with anyio.fail_after(_LONG):
            await can.send_many([Frame(0x122), Frame(0x123)])
            assert await can.receive() == Frame(0x123)


async def test_closing_wakes_who_waits_in_a_gap(links: Links) -> None:
    name = links.add()
    outcomes: list[str] = []

    async def run(call: Callable[[], object]) -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await call()  # type: ignore[misc]
        outcomes.append("woken")

    async with anycan.open_raw(name, network=links.network, on_link_loss="wait") as can:
        links.remove(name)
        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, can.receive)
                tasks.start_soon(run, lambda: can.send(Frame(1)))
                await anyio.wait_all_tasks_blocked()
                await can.aclose()
    assert outcomes == ["woken", "woken"]


async def test_an_endpoint_for_all_interfaces_waits_to_send(links: Links) -> None:
    one, other = links.add(), links.add()
    async with anycan.open_raw(
        None, receive_own=True, network=links.network, on_link_loss="wait"
    ) as can:
        await can.send(Frame(1), interface=one)
        links.down(one)
        await can.send(Frame(2), interface=other)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: can.send(Frame(3), interface=one))
            await anyio.wait_all_tasks_blocked()
            links.up(one)
        with anyio.fail_after(_LONG):
            frames = [await can.receive() for _ in range(3)]
        assert [(frame, frame.interface) for frame in frames] == [
            (Frame(1), one),
            (Frame(2), other),
            (Frame(3), one),
        ]
        with pytest.raises(anycan.UnknownInterfaceError):
            await can.send(Frame(4), interface="never_there")


async def test_a_router_goes_on_with_an_interface_that_is_made_anew(links: Links) -> None:
    name = links.add()
    taken: list[int] = []
    router = anycan.Router()
    got = anyio.Event()

    @router.on(Filter.id(0x123))
    async def handle(frame: anycan.AnyFrame) -> None:
        taken.append(frame.data[0])
        if len(taken) == 2:
            got.set()

    async with (
        anycan.open_raw(name, network=links.network, on_link_loss="wait") as can,
        anycan.open_raw(name, network=links.network, on_link_loss="wait") as sender,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(router.run, can)
        await sender.send(Frame(0x123, b"\1"))
        links.remove(name)
        links.add(name)
        await sender.send_many([Frame(0x122, b"\2"), Frame(0x123, b"\3")])
        with anyio.fail_after(_LONG):
            await got.wait()
        router.stop()
    assert taken == [1, 3]


class _Traffic:
    """A sender that numbers its frames, and a receiver; both live through faults.

    Args:
        receiver: The one.
        sender: The other.
    """

    def __init__(self, receiver: anycan.RawEndpoint, sender: anycan.RawEndpoint) -> None:
        self._receiver = receiver
        self._sender = sender
        self.received: list[int] = []
        self.acknowledged: list[int] = []
        self.stopped = False

    async def receive(self) -> None:
        async for frame in self._receiver:
            number = int.from_bytes(frame.data, "big")
            if number == 0:
                break
            self.received.append(number)

    async def send(self) -> None:
        while not self.stopped:
            number = len(self.acknowledged) + 1
            await self._sender.send(Frame(0x321, number.to_bytes(4, "big")))
            self.acknowledged.append(number)
            if number % 8 == 0:
                await checkpoint()
        await self._sender.send(Frame(0x321, bytes(4)))

    async def until_more_is_sent(self) -> None:
        before = len(self.acknowledged)
        while len(self.acknowledged) == before:
            await checkpoint()


async def test_a_receiver_and_a_sender_live_through_a_hundred_faults(links: Links) -> None:
    chance = random.Random(1)
    cycles = 100
    name = links.add()
    gaps: list[LinkGap] = []
    async with (
        anycan.open_raw(
            name, network=links.network, on_link_loss="wait", on_gap=gaps.append
        ) as receiver,
        anycan.open_raw(name, network=links.network, on_link_loss="wait") as sender,
    ):
        traffic = _Traffic(receiver, sender)
        with anyio.fail_after(3 * _LONG):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(traffic.receive)
                tasks.start_soon(traffic.send)
                for _ in range(cycles):
                    await _fail(links, name, chance)
                    await traffic.until_more_is_sent()
                traffic.stopped = True
    assert traffic.received == traffic.acknowledged
    assert receiver.statistics().dropped == 0
    ended = [(gap.began_ns, gap.ended_ns) for gap in gaps if gap.ended_ns is not None]
    assert len(ended) == cycles == receiver.statistics().gaps
    times = list(itertools.chain.from_iterable(ended))
    assert times == sorted(times)


async def _fail(links: Links, name: str, chance: random.Random) -> None:
    """Have a link fail in one of two ways, for some turns of the loop, and come back."""
    is_removed = chance.random() < 0.5
    if is_removed:
        links.remove(name)
    else:
        links.down(name)
    for _ in range(chance.randrange(4)):
        await checkpoint()
    if is_removed:
        links.add(name)
    else:
        links.up(name)
