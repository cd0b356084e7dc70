"""Who waits is woken by whatever concerns it, also when it is the one that reads for all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import Changed, Filter, Frame, InterfaceDownError, InterfaceRemovedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anycan import BcmEndpoint
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

NEVER = 1000.0


@pytest.fixture
def name(links: Links) -> str:
    return links.add()


@pytest.fixture
async def bcm(links: Links, name: str) -> AsyncIterator[BcmEndpoint]:
    async with anycan.open_bcm(name, network=links.network) as endpoint:
        yield endpoint


class Waiter:
    """A task that waits, and what it was told."""

    def __init__(self, call: Callable[[], Awaitable[object]]) -> None:
        self._call = call
        self._done = anyio.Event()
        self.told: object = "nothing"

    async def wait(self) -> None:
        try:
            self.told = await self._call()
        except (anycan.CanOSError, anyio.ClosedResourceError) as error:
            self.told = type(error)
        self._done.set()

    async def outcome(self) -> object:
        with anyio.fail_after(30):
            await self._done.wait()
        return self.told


async def test_the_end_of_its_block(bcm: BcmEndpoint) -> None:
    watch = bcm.watch(0x123)
    waiter = Waiter(watch.receive)
    async with anyio.create_task_group() as group:
        async with watch:
            group.start_soon(waiter.wait)
            await anyio.wait_all_tasks_blocked()
        assert await waiter.outcome() is anyio.ClosedResourceError


async def test_another_that_takes_its_place(bcm: BcmEndpoint) -> None:
    async with bcm.watch(0x123) as watch, anyio.create_task_group() as group:
        waiter = Waiter(watch.receive)
        group.start_soon(waiter.wait)
        await anyio.wait_all_tasks_blocked()
        async with bcm.watch(0x123, replace=True):
            assert await waiter.outcome() is anyio.ClosedResourceError


async def test_a_count_that_is_brought_to_its_end(bcm: BcmEndpoint) -> None:
    async with (
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=2) as task,
        anyio.create_task_group() as group,
    ):
        waiter = Waiter(task.wait_expired)
        group.start_soon(waiter.wait)
        await anyio.wait_all_tasks_blocked()
        await task.announce()
        assert await waiter.outcome() is None


async def test_the_end_of_a_count_that_has_begun_anew(bcm: BcmEndpoint) -> None:
    async with (
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=2) as task,
        anyio.create_task_group() as group,
    ):
        waiter = Waiter(task.wait_expired)
        group.start_soon(waiter.wait)
        await anyio.wait_all_tasks_blocked()
        await task.announce()
        await task.restart()
        assert await waiter.outcome() is None


async def test_an_event_that_another_call_has_read(links: Links, name: str) -> None:
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.watch(0x123) as watch,
        bcm.send_cyclic(Frame(0x100), interval=NEVER) as task,
        anyio.create_task_group() as group,
    ):
        waiter = Waiter(watch.receive)
        group.start_soon(waiter.wait)
        await anyio.wait_all_tasks_blocked()
        can.send_nowait(Frame(0x123))
        task._operation.read()  # before the event loop looks
        assert await waiter.outcome() == Changed(Frame(0x123))


async def test_an_error_that_another_call_has_read(links: Links, name: str) -> None:
    async with (
        anycan.open_raw(name, filters=Filter.none(), network=links.network) as can,
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.watch(0x123) as watch,
        bcm.watch(0x124) as other,
        bcm.send_cyclic(Frame(0x100), interval=NEVER) as task,
        anyio.create_task_group() as group,
    ):
        waiters = [Waiter(watch.receive), Waiter(other.receive)]
        for waiter in waiters:
            group.start_soon(waiter.wait)
        await anyio.wait_all_tasks_blocked()
        links.down(name)
        task._operation.read()  # before the event loop looks
        for waiter in waiters:
            assert await waiter.outcome() is InterfaceDownError
        links.up(name)
        with pytest.raises(InterfaceDownError):
            await can.receive()
        for number in range(50):
            await can.send(Frame(0x123, bytes([number])))
            with anyio.fail_after(30):
                assert await watch.receive() == Changed(Frame(0x123, bytes([number])))


async def test_a_watch_without_a_block_after_an_error(links: Links, name: str) -> None:
    told = [anyio.Event() for _ in range(3)]

    async def watch_again_and_again(bcm: BcmEndpoint) -> None:
        for event in told:
            try:
                async for _event in bcm.watch(0x123):
                    pytest.fail("nothing was sent")
            except InterfaceDownError:
                event.set()  # the watch has ended with it, and the next one is no second one

    async with anycan.open_bcm(name, network=links.network) as bcm:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(watch_again_and_again, bcm)
                for event in told:
                    await anyio.wait_all_tasks_blocked()
                    links.down(name)
                    await event.wait()
                    links.up(name)


async def test_each_has_an_error_of_its_own(links: Links, name: str) -> None:
    async with (
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.watch(0x123) as one,
        bcm.watch(0x124) as other,
    ):
        links.down(name)
        with pytest.raises(InterfaceDownError) as first:
            await one.receive()
        with pytest.raises(InterfaceDownError) as second:
            await other.receive()
        assert first.value is not second.value
        assert str(first.value) == str(second.value)


async def test_what_came_before_a_removal_is_told_before_it(links: Links, name: str) -> None:
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.watch(0x123) as watch,
    ):
        for number in range(3):
            can.send_nowait(Frame(0x123, bytes([number])))
        links.remove(name)
        told: list[object] = []
        with anyio.fail_after(30):
            while InterfaceRemovedError not in told:
                try:
                    told.append(await watch.receive())
                except anycan.InterfaceError as error:
                    told.append(type(error))
        events = [one for one in told if isinstance(one, Changed)]
        assert events == [Changed(Frame(0x123, bytes([number]))) for number in range(3)]


async def test_who_is_refused_leaves_the_first_one_alone(links: Links, name: str) -> None:
    async with (
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=9) as task,
        anyio.create_task_group() as group,
    ):
        waiter = Waiter(task.wait_expired)
        group.start_soon(waiter.wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await task.wait_expired()
        links.down(name)
        assert await waiter.outcome() is InterfaceDownError
        links.up(name)


async def test_an_interface_that_is_back_under_its_name(links: Links, name: str) -> None:
    async with anycan.open_bcm(name, network=links.network) as bcm:
        links.remove(name)
        for interface in (None, name):
            with pytest.raises(InterfaceRemovedError, match=f"{name} has been removed"):
                await bcm.send(Frame(1), interface=interface)
        links.add(name)
        for interface in (None, name):
            with pytest.raises(InterfaceRemovedError, match=f"{name} has been removed"):
                await bcm.send(Frame(1), interface=interface)


async def test_a_watch_that_another_thread_forgets(bcm: BcmEndpoint) -> None:
    watches = [bcm.watch(0x123).__aiter__()]
    thread = threading.Thread(target=watches.clear)
    thread.start()
    thread.join()
    async with bcm.watch(0x123) as watch:  # refused, if the other one were still there
        await bcm.send(Frame(0x123))
        with anyio.fail_after(30):
            assert await watch.receive() == Changed(Frame(0x123))


async def test_what_is_entered_after_the_end(links: Links, name: str) -> None:
    async with anycan.open_bcm(name, network=links.network) as bcm:
        task, watch = bcm.send_cyclic(Frame(1), interval=NEVER), bcm.watch(1)
    for operation in (task, watch):
        with pytest.raises(anyio.ClosedResourceError):
            await operation.__aenter__()
