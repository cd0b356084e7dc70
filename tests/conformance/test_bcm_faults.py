"""What goes wrong: links that fail, interfaces that are not there, endpoints that are closed."""

from __future__ import annotations

import contextlib
import errno
import gc
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import BcmAttribute, Changed, Frame, InterfaceDownError, InterfaceRemovedError

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SHORT = 0.005
NEVER = 1000.0


async def until_removed(events: anycan.Watch) -> None:
    """Receive until the interface is gone, before which it goes down."""
    try:
        while True:
            with contextlib.suppress(InterfaceDownError):
                await events.receive()
    except InterfaceRemovedError:
        pass


async def test_a_link_that_goes_down_is_told_once_to_each(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.watch(0x123) as one,
        bcm.watch(0x124) as other,
        bcm.send_cyclic(Frame(0x100), interval=SHORT) as task,
    ):
        await can.receive()
        links.down(name)
        with anyio.fail_after(30):
            for events in (one, other):
                with pytest.raises(InterfaceDownError, match=f"{name} is down") as told:
                    await events.receive()
                assert told.value.interface == name
        with pytest.raises(InterfaceDownError):
            await bcm.send(Frame(1))
        await task.update(Frame(0x100, b"\1"))  # the operation is there, and goes on
        links.up(name)
        with anyio.fail_after(30):
            while True:
                try:
                    if await can.receive() == Frame(0x100, b"\1"):
                        break
                except InterfaceDownError:
                    pass
            await can.send(Frame(0x124))
            assert await other.receive() == Changed(Frame(0x124))
        assert bcm.statistics().errors == 1


async def test_a_link_that_goes_down_wakes_who_waits_for_a_count(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=2) as task,
        bcm.send_cyclic(Frame(0x101), interval=0.3, count=2) as soon,
        anyio.create_task_group() as group,
    ):
        told: list[str] = []

        async def wait(waited_for: anycan.CyclicTask) -> None:
            try:
                await waited_for.wait_expired()
            except InterfaceDownError:
                told.append("down")

        group.start_soon(wait, task)
        group.start_soon(wait, soon)
        await anyio.wait_all_tasks_blocked()
        links.down(name)
        with anyio.fail_after(30):
            while len(told) < 2:
                await anyio.lowlevel.checkpoint()
            await soon.wait_expired()  # the count goes on
        links.up(name)


async def test_an_interface_that_is_down_at_first(links: Links) -> None:
    name = links.add()
    links.down(name)
    async with (
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.watch(0x123) as events,
        bcm.send_cyclic(Frame(0x100), interval=SHORT),
    ):
        links.up(name)
        async with anycan.open_raw(name, network=links.network) as can:
            with anyio.fail_after(30):
                assert await can.receive() == Frame(0x100)
                await can.send(Frame(0x123))
                assert await events.receive() == Changed(Frame(0x123))


async def test_an_interface_that_is_removed_ends_all(links: Links) -> None:
    name = links.add()
    told: list[str] = []

    async with (
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.watch(0x123, timeout=NEVER) as events,
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=9) as task,
        bcm.answer_remote(Frame(0x101)) as answer,
    ):

        async def watch() -> None:
            while True:
                try:
                    await events.receive()
                except InterfaceDownError:
                    continue
                except InterfaceRemovedError:
                    told.append("watch")
                    return

        async def wait() -> None:
            while True:
                try:
                    await task.wait_expired()
                except InterfaceDownError:
                    continue
                except InterfaceRemovedError:
                    told.append("count")
                    return

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(watch)
                group.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                links.remove(name)
        assert sorted(told) == ["count", "watch"]
        for call in (
            events.receive,
            task.wait_expired,
            task.read,
            task.restart,
            task.announce,
            lambda: task.update(Frame(0x100)),
            lambda: answer.update(Frame(0x101)),
            lambda: bcm.send(Frame(1)),
        ):
            with pytest.raises(InterfaceRemovedError, match=f"{name} has been removed") as gone:
                await call()
            assert gone.value.errno == errno.ENODEV
        with pytest.raises(InterfaceRemovedError):
            async with bcm.watch(0x124):
                pass
        with pytest.raises(InterfaceRemovedError):
            async with bcm.send_cyclic(Frame(1), interval=NEVER):
                pass


async def test_a_removal_that_nobody_waited_for(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_bcm(name, network=links.network) as bcm,
        bcm.send_cyclic(Frame(0x100), interval=NEVER, count=9) as task,
    ):
        links.remove(name)
        with pytest.raises(InterfaceRemovedError):
            await task.update(Frame(0x100))


async def test_on_all_interfaces_one_is_removed_and_comes_back(links: Links) -> None:
    name, other = links.add(), links.add()
    async with anycan.open_bcm(None, network=links.network) as bcm:
        for _ in range(3):
            async with (
                bcm.watch(0x123, interface=name) as events,
                bcm.watch(0x123, interface=other) as elsewhere,
                bcm.send_cyclic(Frame(0x100), interval=NEVER, interface=name) as task,
            ):
                links.remove(name)
                with anyio.fail_after(30):
                    await until_removed(events)
                with pytest.raises(InterfaceRemovedError):
                    await task.read()
                await bcm.send(Frame(0x123), interface=other)
                with anyio.fail_after(30):
                    assert await elsewhere.receive() == Changed(Frame(0x123))
                links.add(name)
                async with bcm.send_cyclic(Frame(0x100), interval=NEVER, interface=name):
                    pass
        assert len(list(bcm._lines)) == 3  # all, the other, and the latest of that name
        assert bcm.statistics().received == 3


async def test_closing_ends_all_and_wakes_who_waits(links: Links) -> None:
    name = links.add()
    closed: list[str] = []

    async def watch(bcm: anycan.BcmEndpoint, identifier: int) -> None:
        try:
            async for _ in bcm.watch(identifier):
                pass
        except anyio.ClosedResourceError:
            closed.append(f"{identifier:X}")

    async def wait(bcm: anycan.BcmEndpoint) -> None:
        with pytest.raises(anyio.ClosedResourceError):
            async with bcm.send_cyclic(Frame(0x100), interval=NEVER, count=2) as task:
                await task.wait_expired()
        closed.append("count")

    async with anycan.open_bcm(name, network=links.network) as bcm:
        assert repr(bcm) == f"<BcmEndpoint {name}>"
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(watch, bcm, 0x123)
                group.start_soon(watch, bcm, 0x124)
                group.start_soon(wait, bcm)
                await anyio.wait_all_tasks_blocked()
                await bcm.aclose()
        await bcm.aclose()
        assert sorted(closed) == ["123", "124", "count"]
        assert repr(bcm) == f"<BcmEndpoint {name} closed>"
        with pytest.raises(anyio.ClosedResourceError):
            bcm.watch(1)
        with pytest.raises(anyio.ClosedResourceError):
            bcm.send_cyclic(Frame(1), interval=NEVER)
        with pytest.raises(anyio.ClosedResourceError):
            await bcm.send(Frame(1))
        assert bcm.statistics().errors == 0


async def test_an_end_while_another_task_waits(links: Links) -> None:
    name = links.add()
    async with anycan.open_bcm(name, network=links.network) as bcm:
        watch = bcm.watch(0x123)
        ended = anyio.Event()

        async def wait() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await watch.receive()
            ended.set()

        async with anyio.create_task_group() as group, bcm.watch(0x124) as other:
            group.start_soon(other.receive)  # it reads for both
            await anyio.wait_all_tasks_blocked()
            async with watch:
                group.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(30):
                await ended.wait()
            group.cancel_scope.cancel()


async def test_what_an_endpoint_tells_of_itself(links: Links) -> None:
    name = links.add()
    index = links.network.interface_index(name)
    async with anycan.open_bcm(index, network=links.network) as bcm:
        assert bcm.extra(BcmAttribute.interface) == name
        assert bcm.extra(BcmAttribute.interface_index) == index
        assert bcm.extra(BcmAttribute.network) is links.network
    async with anycan.open_bcm(None, network=links.network) as bcm:
        assert bcm.extra(BcmAttribute.interface) is None
        assert repr(bcm) == "<BcmEndpoint all interfaces>"


async def test_what_cannot_be_opened(links: Links) -> None:
    with pytest.raises(anycan.UnknownInterfaceError, match="no interface nowhere"):
        async with anycan.open_bcm("nowhere", network=links.network):
            pass
    name = links.add()
    with pytest.raises(ValueError, match="receive_buffer= is 1 to"):
        async with anycan.open_bcm(name, network=links.network, receive_buffer=0):
            pass
    with pytest.raises(TypeError, match="an interface is its name"):
        async with anycan.open_bcm(1.5, network=links.network):  # type: ignore[arg-type]  # so
            pass


async def test_an_endpoint_that_is_not_closed_warns(links: Links) -> None:
    name = links.add()
    manager = anycan.open_bcm(name, network=links.network)
    bcm = await manager.__aenter__()
    lines = bcm._lines
    with pytest.warns(ResourceWarning, match=f"unclosed <BcmEndpoint {name}>"):
        bcm.__del__()
    assert lines.closed
    del bcm
    gc.collect()
    await manager.__aexit__(None, None, None)
