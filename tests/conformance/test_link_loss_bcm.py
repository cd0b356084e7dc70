"""Broadcast manager endpoints that wait for a link that is lost, and go on when it is back."""

from __future__ import annotations

import random
import threading
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import (
    BcmAttribute,
    Changed,
    FdFrame,
    Frame,
    LinkCondition,
    LinkGap,
    RemoteFrame,
    TimedOut,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anycan import BcmEndpoint, CyclicTask, RawEndpoint, RemoteAnswer, Watch
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

NEVER = 1000.0
SHORT = 0.002
LONG = 20  # seconds; the lab is slow


@asynccontextmanager
async def opened(
    links: Links, name: str | None, on_gap: Callable[[LinkGap], object] | None = None
) -> AsyncIterator[tuple[BcmEndpoint, RawEndpoint]]:
    """Open an endpoint that waits, and a raw one that does, to look at the bus."""
    async with (
        anycan.open_raw(name, network=links.network, on_link_loss="wait") as can,
        anycan.open_bcm(name, network=links.network, on_link_loss="wait", on_gap=on_gap) as bcm,
    ):
        yield bcm, can


losses = pytest.mark.parametrize("removed", [False, True], ids=["down", "removed"])


def lose(links: Links, name: str, removed: bool) -> None:
    if removed:
        links.remove(name)
    else:
        links.down(name)


def find(links: Links, name: str, removed: bool) -> None:
    if removed:
        links.add(name)
    else:
        links.up(name)


async def enter(operation: CyclicTask | RemoteAnswer | Watch) -> None:
    async with operation:
        pass


async def receive(source: RawEndpoint | Watch) -> Any:
    with anyio.fail_after(LONG):
        return await source.receive()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LONG):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def until_gone(bcm: BcmEndpoint) -> None:
    """Wait until the endpoint knows that its interface is gone."""
    await until(lambda: bcm.gap is not None and bcm.gap.condition is LinkCondition.REMOVED)


async def until_lost(bcm: BcmEndpoint) -> None:
    await until(lambda: bcm.gap is not None)


async def until_back(bcm: BcmEndpoint) -> None:
    await until(lambda: bcm.gap is None)


async def test_a_link_that_goes_down_is_told_to_nobody(links: Links) -> None:
    name = links.add()
    gaps: list[LinkGap] = []
    async with (
        opened(links, name, gaps.append) as (bcm, can),
        bcm.watch(0x123) as events,
        bcm.send_cyclic(Frame(0x100), interval=SHORT) as task,
        bcm.send_cyclic(Frame(0x101), interval=NEVER, count=2) as counted,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(counted.wait_expired)
        await anyio.wait_all_tasks_blocked()
        links.down(name)
        await until_lost(bcm)
        await task.update(Frame(0x100, b"\1"))  # the broadcast manager goes on
        assert (await task.read()).frames == (Frame(0x100, b"\1"),)
        assert (await counted.read()).remaining == 1
        links.up(name)
        await until_back(bcm)
        while await receive(can) != Frame(0x100, b"\1"):
            pass
        await can.send(Frame(0x123))
        assert await receive(events) == Changed(Frame(0x123))
        await counted.announce()  # and so the count comes to its end
        statistics = bcm.statistics()
        assert (statistics.gaps, statistics.overflowed) == (1, 0)
    began, ended = gaps
    assert (began.interface, began.condition, began.ended_ns) == (name, LinkCondition.DOWN, None)
    assert ended.began_ns == began.began_ns
    assert ended.seconds is not None


async def test_operations_are_set_up_on_an_interface_that_is_made_anew(links: Links) -> None:
    name = links.add()
    gaps: list[LinkGap] = []
    async with (
        opened(links, name, gaps.append) as (bcm, can),
        bcm.watch(0x123, mask=b"\xf0") as events,
        bcm.answer_remote(Frame(0x321, b"\1")) as answer,
        bcm.send_cyclic([Frame(0x100, b"\1"), Frame(0x100, b"\2")], interval=NEVER) as task,
    ):
        assert await receive(can) == Frame(0x100, b"\1")
        await can.send(Frame(0x123, b"\x10"))
        assert await receive(events) == Changed(Frame(0x123, b"\x10"))
        links.remove(name)
        await until_gone(bcm)
        await task.update([Frame(0x100, b"\3"), Frame(0x100, b"\4")])
        await task.announce()  # of which nothing is done: the first frame comes anyway
        assert (
            task.frames
            == (await task.read()).frames
            == (
                Frame(0x100, b"\3"),
                Frame(0x100, b"\4"),
            )
        )
        await answer.update(Frame(0x321, b"\2"))
        links.add(name)
        await until_back(bcm)
        assert await receive(can) == Frame(0x100, b"\3")
        await can.send_many([Frame(0x123, b"\x10"), Frame(0x123, b"\x11"), Frame(0x123, b"\x21")])
        for data in (b"\x10", b"\x21"):  # the first one is told again, and then what changes
            assert await receive(events) == Changed(Frame(0x123, data))
        await can.send(RemoteFrame(0x321))
        assert await receive(can) == Frame(0x321, b"\2")
        await task.announce()
        assert await receive(can) == Frame(0x100, b"\4")
        assert bcm.extra(BcmAttribute.interface_index) == links.network.interface_index(name)
        assert bcm.extra(BcmAttribute.interface) == name
        assert bcm.statistics().gaps == 1
    assert [gap.ended_ns is None for gap in gaps] == [True, False]
    assert gaps[1].condition is LinkCondition.REMOVED


async def test_one_that_goes_and_comes_before_anybody_looks(links: Links) -> None:
    name = links.add()
    async with (
        opened(links, name) as (bcm, can),
        bcm.send_cyclic(Frame(0x100, b"\1"), interval=NEVER) as task,
        bcm.watch(0x123) as events,
    ):
        assert await receive(can) == Frame(0x100, b"\1")
        for number in range(2, 5):
            links.remove(name)
            links.add(name)
            await task.update(Frame(0x100, bytes([number])))
            await task.restart()
            while await receive(can) != Frame(0x100, bytes([number])):
                pass
            await can.send(Frame(0x123))
            assert await receive(events) == Changed(Frame(0x123))


@losses
async def test_starting_waits_for_the_link_up_to_the_callers_deadline(
    links: Links, removed: bool
) -> None:
    name = links.add()
    async with opened(links, name) as (bcm, can):
        lose(links, name, removed)
        await until_lost(bcm)
        for operation in (
            bcm.send_cyclic(Frame(0x100), interval=NEVER),
            bcm.watch(0x123),
            bcm.answer_remote(Frame(0x321)),
        ):
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.01):
                    await enter(operation)
        entered = anyio.Event()

        async def send() -> None:
            async with bcm.send_cyclic(Frame(0x100, b"\1"), interval=NEVER):
                entered.set()
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            assert not entered.is_set()
            find(links, name, removed)
            assert await receive(can) == Frame(0x100, b"\1")
            with anyio.fail_after(LONG):
                await entered.wait()
            tasks.cancel_scope.cancel()


async def test_an_interface_that_is_down_at_first(links: Links) -> None:
    name = links.add()
    links.down(name)
    async with opened(links, name) as (bcm, can), anyio.create_task_group() as tasks:

        async def send() -> None:
            async with bcm.send_cyclic(Frame(0x100), interval=NEVER):
                await anyio.sleep_forever()

        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert bcm.statistics().gaps == 1
        links.up(name)
        assert await receive(can) == Frame(0x100)
        tasks.cancel_scope.cancel()


@losses
async def test_a_watch_without_a_block_begins_when_the_link_is_back(
    links: Links, removed: bool
) -> None:
    name = links.add()
    async with opened(links, name) as (bcm, can):
        lose(links, name, removed)
        await until_lost(bcm)
        watch = bcm.watch(0x123, timeout=NEVER)
        aiter(watch)
        with pytest.raises(anyio.WouldBlock):
            watch.receive_nowait()
        find(links, name, removed)
        await can.send(Frame(0x123))
        assert await receive(watch) == Changed(Frame(0x123))


@losses
async def test_sending_once_waits_for_the_link(links: Links, removed: bool) -> None:
    name = links.add()
    async with opened(links, name) as (bcm, can):
        lose(links, name, removed)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await bcm.send(Frame(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bcm.send, Frame(2))
            await anyio.wait_all_tasks_blocked()
            find(links, name, removed)
        assert await receive(can) == Frame(2)


async def test_a_count_begins_anew(links: Links) -> None:
    name = links.add()
    async with (
        opened(links, name) as (bcm, can),
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=3) as task,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(task.wait_expired)
        assert await receive(can) == Frame(0x100)
        await task.announce()
        assert await receive(can) == Frame(0x100)
        assert (await task.read()).remaining == 1
        links.remove(name)
        await until_gone(bcm)
        assert (await task.read()).remaining == 3
        links.add(name)
        assert await receive(can) == Frame(0x100)
        assert (await task.read()).remaining == 2
        await task.set_interval(SHORT, count=2)
        await task.restart()
        for _ in range(2):
            assert await receive(can) == Frame(0x100)
    with pytest.raises(anyio.ClosedResourceError):
        await task.read()


async def test_a_count_that_is_over_stays_over(links: Links) -> None:
    name = links.add()
    async with (
        opened(links, name) as (bcm, can),
        bcm.send_cyclic(Frame(0x100), interval=SHORT, count=2) as task,
        bcm.send_cyclic(Frame(0x101), interval=SHORT, count=2, then=NEVER) as going_on,
    ):
        with anyio.fail_after(LONG):
            await task.wait_expired()
            await going_on.wait_expired()
        for _ in range(4):
            await receive(can)
        links.remove(name)
        await until_gone(bcm)
        assert (await task.read()).remaining == 0
        links.add(name)
        assert await receive(can) == Frame(0x101)  # and of the other none
        with anyio.fail_after(LONG):
            await task.wait_expired()
        status = await task.read()
        assert (status.remaining, status.interval, status.then) == (0, SHORT, None)
        status = await going_on.read()
        assert (status.remaining, status.interval, status.then) == (0, SHORT, NEVER)
        await task.restart()
        for _ in range(2):
            assert await receive(can) == Frame(0x100)
        with anyio.fail_after(LONG):
            await task.wait_expired()


@pytest.mark.parametrize("restarted", [False, True])
async def test_intervals_that_are_changed_in_a_gap(links: Links, restarted: bool) -> None:
    name = links.add()
    async with (
        opened(links, name) as (bcm, can),
        bcm.send_cyclic(Frame(0x100), interval=NEVER) as running,
        bcm.send_cyclic(Frame(0x101), interval=NEVER, count=1) as resting,
    ):
        for _ in range(2):
            await receive(can)
        with anyio.fail_after(LONG):
            await resting.wait_expired()
        links.remove(name)
        await until_gone(bcm)
        await running.set_interval(60.0, count=5, then=70.0)
        await resting.set_interval(80.0, count=3)
        if restarted:
            await resting.restart()
        links.add(name)
        expected = [Frame(0x100), Frame(0x101)] if restarted else [Frame(0x100)]
        assert [await receive(can) for _ in expected] == expected
        await can.send(Frame(1))
        status = await running.read()
        assert (status.remaining, status.interval, status.then) == (4, 60.0, 70.0)
        status = await resting.read()
        assert (status.remaining, status.interval) == (3 - restarted, 80.0)
        await bcm.send(Frame(2))
        assert await receive(can) == Frame(2)  # and nothing before it


async def test_a_count_of_one_that_begins_in_a_gap_ends_after_it(links: Links) -> None:
    name = links.add()
    async with (
        opened(links, name) as (bcm, can),
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=1) as task,
    ):
        await receive(can)
        links.remove(name)
        await until_gone(bcm)
        await task.restart()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await task.wait_expired()
        links.add(name)
        with anyio.fail_after(LONG):
            await task.wait_expired()
        assert await receive(can) == Frame(0x100)


async def test_what_is_stopped_in_a_gap_is_not_set_up(links: Links) -> None:
    name = links.add()
    async with opened(links, name) as (bcm, can):
        async with bcm.send_cyclic(Frame(0x100), interval=NEVER), bcm.watch(0x123):
            assert await receive(can) == Frame(0x100)
            links.remove(name)
            await until_gone(bcm)
        links.add(name)
        await bcm.send(Frame(1))
        assert await receive(can) == Frame(1)
        async with bcm.send_cyclic(Frame(0x100, b"\1"), interval=NEVER), bcm.watch(0x123):
            assert await receive(can) == Frame(0x100, b"\1")


async def test_a_timeout_is_told_while_the_interface_is_down_and_begins_anew_after_a_removal(
    links: Links,
) -> None:
    name = links.add()
    async with opened(links, name) as (bcm, _), bcm.watch(0x123, timeout=0.01) as events:
        links.down(name)
        event = await receive(events)
        assert isinstance(event, TimedOut)
        assert event.interface == name
        links.remove(name)
        await until_gone(bcm)
        links.add(name)
        assert isinstance(await receive(events), TimedOut)


async def test_closing_wakes_who_waits_in_a_gap(links: Links) -> None:
    name = links.add()
    woken: list[str] = []

    async def run(what: str, call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await call()
        woken.append(what)

    async def start(bcm: BcmEndpoint) -> None:
        async with bcm.send_cyclic(Frame(0x101), interval=NEVER):
            pass

    async with (
        anycan.open_bcm(name, network=links.network, on_link_loss="wait") as bcm,
        bcm.watch(0x123) as events,
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=2) as task,
    ):
        links.remove(name)
        await until_gone(bcm)
        with anyio.fail_after(LONG):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, "watch", events.receive)
                tasks.start_soon(run, "count", task.wait_expired)
                tasks.start_soon(run, "send", lambda: bcm.send(Frame(1)))
                tasks.start_soon(run, "start", lambda: start(bcm))
                await anyio.wait_all_tasks_blocked()
                await bcm.aclose()
    assert sorted(woken) == ["count", "send", "start", "watch"]


async def test_an_endpoint_for_all_interfaces_has_a_gap_for_each(links: Links) -> None:
    one, other, third = links.add(), links.add(), links.add()
    gaps: list[LinkGap] = []
    async with (
        opened(links, None, gaps.append) as (bcm, can),
        bcm.watch(0x123, interface=one) as events,
        bcm.watch(0x123) as everywhere,
        bcm.send_cyclic(Frame(0x100, b"\1"), interval=NEVER, interface=one) as task,
        bcm.send_cyclic(Frame(0x100, b"\2"), interval=NEVER, interface=other),
    ):
        assert [(await receive(can)).interface for _ in range(2)] == [one, other]
        links.remove(one)
        await until(lambda: bool(gaps))
        assert bcm.gap is None
        await bcm.send(Frame(0x123), interface=other)
        assert (await receive(everywhere)).interface == other
        await receive(can)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await bcm.send(Frame(0x123), interface=one)
        await bcm.send(Frame(0x124), interface=third)
        await receive(can)
        await task.update(Frame(0x100, b"\3"))
        links.add(one)
        frame = await receive(can)
        assert (frame, frame.interface) == (Frame(0x100, b"\3"), one)
        await bcm.send(Frame(0x123), interface=links.network.interface_index(one))
        assert (await receive(events)).interface == one
        assert (await receive(everywhere)).interface == one
        assert len(list(bcm._lines)) == 4
        assert bcm.statistics().gaps == 1
        with pytest.raises(anycan.UnknownInterfaceError):
            await bcm.send(Frame(1), interface="never_there")
    assert [gap.interface for gap in gaps] == [one, one]


async def test_bus_off_is_a_gap(user_links: Links) -> None:
    network = user_links.network
    assert isinstance(network, anycan.UserNetwork)
    network.add_can("can0", bitrate=500_000)
    gaps: list[LinkGap] = []
    async with (
        opened(user_links, "can0", gaps.append) as (bcm, can),
        bcm.send_cyclic(Frame(0x100), interval=NEVER) as task,
    ):
        await receive(can)
        network.set_bus_off("can0")
        await until_lost(bcm)
        await task.update(Frame(0x100, b"\1"))
        network.restart("can0")
        await until_back(bcm)
        await task.announce()
        assert await receive(can) == Frame(0x100, b"\1")
    assert [gap.condition for gap in gaps] == 2 * [LinkCondition.BUS_OFF]


async def test_an_interface_that_comes_back_as_another_one(
    links: Links, caplog: pytest.LogCaptureFixture
) -> None:
    name = links.add()
    async with (
        opened(links, name) as (bcm, can),
        bcm.send_cyclic(FdFrame(0x100), interval=NEVER, count=2) as task,
        bcm.send_cyclic(Frame(0x101), interval=NEVER),
        anyio.create_task_group() as tasks,
    ):
        assert await receive(can) == FdFrame(0x100)
        assert await receive(can) == Frame(0x101)
        told: list[anycan.CanOSError] = []

        async def wait() -> None:
            try:
                await task.wait_expired()
            except anycan.FrameNotSupportedError as error:
                told.append(error)

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        links.remove(name)
        links.add(name, mtu=16)
        assert await receive(can) == Frame(0x101)
        await until(lambda: bool(told))
        assert "takes no CAN FD frames" in str(told[0])
        assert "an operation on it cannot be" in caplog.text
        assert (await task.read()).remaining == 2
        await task.update(FdFrame(0x100, b"\1"))
        links.remove(name)
        links.add(name)
        assert await receive(can) == FdFrame(0x100, b"\1")


async def test_a_network_that_is_closed_ends_the_waiting(user_links: Links) -> None:
    name = user_links.add()
    told: list[str] = []

    async def run(what: str, call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(anycan.InterfaceRemovedError):
            await call()
        told.append(what)

    network = user_links.network
    assert isinstance(network, anycan.UserNetwork)
    async with (
        anycan.open_bcm(name, network=network, on_link_loss="wait") as bcm,
        bcm.watch(0x123) as events,
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=2) as task,
    ):
        with anyio.fail_after(LONG):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, "watch", events.receive)
                tasks.start_soon(run, "count", task.wait_expired)
                user_links.down(name)
                tasks.start_soon(run, "send", lambda: bcm.send(Frame(1)))
                await anyio.wait_all_tasks_blocked()
                network.close()
        for call in (task.read, task.restart, lambda: bcm.watch(1).receive()):
            with pytest.raises(anycan.InterfaceRemovedError):
                await call()
    assert sorted(told) == ["count", "send", "watch"]


async def test_what_cannot_be_asked_for(links: Links) -> None:
    name = links.add()
    with pytest.raises(ValueError, match="on_gap= tells of gaps that are waited for"):
        async with anycan.open_bcm(name, network=links.network, on_gap=print):
            pass
    with pytest.raises(ValueError, match="on_link_loss= is 'raise', 'wait' or a LinkWait"):
        async with anycan.open_bcm(name, network=links.network, on_link_loss="no"):  # type: ignore[arg-type]  # so
            pass
    async with anycan.open_bcm(name, network=links.network) as bcm:
        assert bcm.gap is None
        assert bcm.statistics().gaps == 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_operations_live_through_a_hundred_faults(links: Links, seed: int) -> None:
    chance = random.Random(seed)
    cycles = 100 // 2
    name = links.add()
    gaps: list[LinkGap] = []
    async with (
        opened(links, name, gaps.append) as (bcm, can),
        bcm.watch(0x123, mask=b"\xff\xff") as events,
        bcm.send_cyclic(Frame(0x100), interval=NEVER) as task,
        bcm.answer_remote(Frame(0x321)),
    ):
        await receive(can)
        before = _resources()
        for number in range(cycles):
            content = number.to_bytes(2, "big")
            removed = chance.random() < 0.5
            lose(links, name, removed)
            await _turns(chance)
            if chance.random() < 0.5:
                await task.update(Frame(0x100, content))
            await _turns(chance)
            find(links, name, removed)
            await _turns(chance)
            await task.update(Frame(0x100, content))
            await _seen(task, can, content)
            await can.send_many([Frame(0x123, content), RemoteFrame(0x321)])
            while (await receive(can)) != Frame(0x321):
                pass
            while (await receive(events)) != Changed(Frame(0x123, content)):
                pass
        await until(lambda: _resources() <= before)  # threads close the former descriptors
        assert bcm.statistics().dropped == 0
    ended = [gap for gap in gaps if gap.ended_ns is not None]
    assert len(ended) == cycles
    for gap, following in pairwise(ended):
        assert gap.ended_ns is not None
        assert gap.began_ns <= gap.ended_ns <= following.began_ns


async def _seen(task: CyclicTask, can: RawEndpoint, content: bytes) -> None:
    """Wait until a frame with some content has been sent: what is announced in a gap is not."""
    with anyio.fail_after(LONG):
        while True:
            await task.announce()
            with anyio.move_on_after(0.05):
                while await can.receive() != Frame(0x100, content):
                    pass
                return


def _resources() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


async def _turns(chance: random.Random) -> None:
    for _ in range(chance.randrange(4)):
        await anyio.lowlevel.checkpoint()
