"""A router on both networks: order, subscriptions that come and go, links that fail."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import (
    ErrorClass,
    ErrorFrame,
    FdFrame,
    Filter,
    Frame,
    InterfaceDownError,
    InterfaceRemovedError,
    RemoteFrame,
    Router,
    byte,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from anycan import AnyFrame, RoutingFault
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

LAST = Frame(0x1ABCDEF0, b"end")
IS_LAST = Filter.id(LAST.id)


def start(
    tasks: anyio.abc.TaskGroup, router: Router, *endpoints: anycan.RawEndpoint
) -> Coroutine[Any, Any, Any]:
    return tasks.start(lambda task_status: router.run(*endpoints, task_status=task_status))


async def test_each_gets_what_it_wants_in_order(links: Links) -> None:
    name = links.add()
    router = Router()
    seen: dict[str, list[AnyFrame]] = defaultdict(list)
    filters = {
        "one": Filter.id(0x100),
        "range": Filter.range(0x100, 0x1FF),
        "extended": Filter.extended() - IS_LAST,
        "payload": (byte(0) & 0x0F) == 3,
        "remote": Filter.remote(),
        "flexible": Filter.fd(),
        "own interface": Filter.interface(name) & Filter.id(0x101),
        "another interface": Filter.interface("elsewhere"),
        "all": Filter.all() - IS_LAST,
        "function": Filter.where(lambda frame: frame.can_id == 0x102),
    }
    for title, wanted in filters.items():
        router.add(wanted, seen[title].append, name=title)
    frames: list[AnyFrame] = []
    for number in range(300):
        identifier = 0x100 + number % 5
        frames += [
            Frame(identifier, number.to_bytes(2, "little")),
            Frame(identifier, bytes([number % 16]), extended=True),
            RemoteFrame(identifier),
            FdFrame(identifier, bytes([number % 16]) * 12),
        ]
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_raw(name, network=links.network) as sender,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, router, can)
        async with router.subscribe(IS_LAST) as ends:
            await sender.send_many([*frames, LAST])
            await ends.receive()
        router.stop()
    for title, wanted in filters.items():
        expected = [frame for frame in frames if wanted.matches(with_interface(frame, name))]
        assert seen[title] == expected, title
        assert bool(expected) == (title != "another interface")
    assert router.statistics().faults == 0


def with_interface(frame: AnyFrame, name: str) -> AnyFrame:
    match frame:
        case Frame():
            return Frame(frame.id, frame.data, extended=frame.extended, interface=name)
        case FdFrame():
            return FdFrame(frame.id, frame.data, extended=frame.extended, interface=name)
        case RemoteFrame():
            return RemoteFrame(frame.id, frame.length, extended=frame.extended, interface=name)
    raise AssertionError(frame)


async def test_nothing_wanted_is_lost_while_subscriptions_come_and_go(links: Links) -> None:
    name = links.add()
    router = Router()
    seen: list[int] = []
    sent = 0

    @router.on(Filter.id(0x123), capacity=1 << 16)
    async def wanted(frame: AnyFrame) -> None:
        assert isinstance(frame, Frame)
        seen.append(int.from_bytes(frame.data, "big"))

    async def send(sender: anycan.RawEndpoint, count: int) -> None:
        nonlocal sent
        await sender.send_many(
            Frame(0x123, n.to_bytes(4, "big")) for n in range(sent, sent + count)
        )
        await sender.send_many(Frame(0x400 + n) for n in range(count))  # nobody's, or some one's
        sent += count

    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_raw(name, network=links.network, filters=[]) as sender,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, router, can)
        for number in range(200):
            one = Filter.range(0x123 - number % 50, 0x123 + number % 70) | Filter.id(number)
            async with router.subscribe(one), router.subscribe(Filter.id(0x400 + number % 3)):
                await send(sender, 3)
            await send(sender, 1)
        async with router.subscribe(IS_LAST) as ends:
            await sender.send(LAST)
            await ends.receive()
        (endpoint,) = router.explain().endpoints
        assert [str(one) for one in endpoint.kernel_filters] == ["123:C00007FF"]
        assert endpoint.exact
        router.stop()
    assert seen == list(range(800))


async def test_a_subscription_gets_every_frame_from_the_moment_it_is_there(links: Links) -> None:
    name = links.add()
    router = Router()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_raw(name, network=links.network, filters=[]) as sender,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, router, can)
        for number in range(50):
            async with router.subscribe(Filter.id(number)) as frames:
                sender.send_nowait(Frame(number))
                assert await frames.receive() == Frame(number)
        router.stop()


async def test_more_subscriptions_than_the_kernel_has_filters(links: Links) -> None:
    name = links.add()
    router = Router()
    seen: list[AnyFrame] = []
    wanted = [Frame(0x10000000 + number * 4099) for number in range(700)]
    unwanted = [Frame(0x10000000 + number * 4099 + 2048) for number in range(700)]
    for frame in wanted[:600]:
        router.add(Filter.id(frame.id), seen.append)
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_raw(name, network=links.network, filters=[]) as sender,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, router, can)
        for frame in wanted[600:]:
            router.add(Filter.id(frame.id), seen.append)
        (endpoint,) = router.explain().endpoints
        assert 1 <= len(endpoint.kernel_filters) <= 512
        assert not endpoint.exact
        async with router.subscribe(IS_LAST) as ends:
            for good, bad in zip(wanted, unwanted, strict=True):
                await sender.send_many([good, bad])
            await sender.send(LAST)
            await ends.receive()
        router.stop()
    assert sorted(frame.can_id for frame in seen) == [frame.can_id for frame in wanted]


async def test_what_an_endpoint_was_opened_with_holds(links: Links) -> None:
    name = links.add()
    router = Router()
    seen: list[AnyFrame] = []
    router.add(Filter.all(), seen.append)
    async with (
        anycan.open_raw(
            name,
            network=links.network,
            filters=Filter.range(0x100, 0x10F) & (byte(0) == 1) | IS_LAST,
        ) as can,
        anycan.open_raw(name, network=links.network, filters=[]) as sender,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, router, can)
        async with router.subscribe(IS_LAST) as ends:
            for identifier in (0x0FF, 0x100, 0x10F, 0x110):
                await sender.send_many([Frame(identifier, b"\1"), Frame(identifier, b"\2")])
            await sender.send(LAST)
            await ends.receive()
        router.stop()
    expected = [Frame(0x100, b"\1"), Frame(0x10F, b"\1"), LAST]
    assert seen == expected


async def test_the_endpoint_is_as_before_afterwards(links: Links) -> None:
    name = links.add()
    router = Router()
    router.add(Filter.id(1), lambda _frame: router.stop())
    probe = [Frame(identifier) for identifier in (1, 2, 3)]
    async with (
        anycan.open_raw(name, network=links.network, filters=Filter.range(1, 2)) as can,
        anycan.open_raw(name, network=links.network, filters=[]) as sender,
    ):
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                await start(tasks, router, can)
                with pytest.raises(anyio.BusyResourceError):
                    await can.receive()
                with pytest.raises(anyio.BusyResourceError):
                    can.set_filters(None)
                await sender.send(Frame(1))
            await sender.send_many(probe)
            assert [await can.receive() for _ in range(2)] == probe[:2]


async def test_links_that_go_down_come_back_and_are_removed(links: Links) -> None:
    one, other = links.add(), links.add()
    faults: list[RoutingFault] = []
    told = anyio.Event()

    def on_fault(fault: RoutingFault) -> None:
        faults.append(fault)
        told.set()

    async def next_fault() -> RoutingFault:
        nonlocal told
        with anyio.fail_after(30):
            await told.wait()
        told = anyio.Event()
        return faults[-1]

    router = Router(on_fault=on_fault)
    lost: list[BaseException] = []

    async def run(*endpoints: anycan.RawEndpoint, task_status: anyio.abc.TaskStatus[None]) -> None:
        try:
            await router.run(*endpoints, task_status=task_status)
        except InterfaceRemovedError as error:
            lost.append(error)

    async with (
        anycan.open_raw(one, network=links.network) as first,
        anycan.open_raw(other, network=links.network) as second,
        anyio.create_task_group() as tasks,
    ):
        await tasks.start(lambda task_status: run(first, second, task_status=task_status))
        async with router.subscribe(Filter.id(1)) as frames:
            links.down(one)
            fault = await next_fault()
            assert isinstance(fault.error, InterfaceDownError)
            assert (fault.interface, fault.action, fault.subscription) == (one, "goes on", None)
            for name in (one, other):
                if name == one:
                    links.up(one)
                async with anycan.open_raw(name, network=links.network, filters=[]) as sender:
                    await sender.send(Frame(1))
                    assert (await frames.receive()).interface == name
            links.remove(one)
            fault = await next_fault()
            assert isinstance(fault.error, InterfaceRemovedError)
            assert fault.action == "the endpoint is left out"
            async with anycan.open_raw(other, network=links.network, filters=[]) as sender:
                await sender.send(Frame(1))
                assert (await frames.receive()).interface == other
            links.remove(other)
            assert (await next_fault()).action == "ends the router"
            with pytest.raises(anyio.EndOfStream):
                await frames.receive()
    (error,) = lost
    assert isinstance(error, InterfaceRemovedError)
    assert error.interface == other


async def test_error_frames_come_to_those_who_name_them(links: Links) -> None:
    name = links.add()
    router = Router()
    seen: dict[str, list[AnyFrame]] = defaultdict(list)
    router.add(Filter.errors(ErrorClass.BUS_OFF | ErrorClass.NO_ACK), seen["errors"].append)
    router.add(Filter.all() - IS_LAST, seen["data"].append)
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_raw(name, network=links.network, filters=[]) as sender,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, router, can)
        async with router.subscribe(IS_LAST) as ends:
            for frame in (
                ErrorFrame(ErrorClass.BUS_OFF, bytes(8)),
                ErrorFrame(ErrorClass.CONTROLLER, bytes(8)),
                Frame(0x40),
                LAST,
            ):
                await sender.send(frame)
            await ends.receive()
        router.stop()
    assert seen == {
        "errors": [ErrorFrame(ErrorClass.BUS_OFF, bytes(8))],
        "data": [Frame(0x40)],
    }


async def test_one_router_for_all_interfaces(links: Links) -> None:
    one, other = links.add(), links.add()
    router = Router()

    @router.on(Filter.id(0x10) & Filter.interface(one, other))
    async def answer(frame: AnyFrame) -> None:
        await router.reply(frame, Frame(0x11, str(frame.interface).encode()[:8]))

    async with (
        anycan.open_raw(None, network=links.network) as can,
        anyio.create_task_group() as tasks,
    ):
        await start(tasks, router, can)
        for name in (one, other):
            async with anycan.open_raw(
                name, network=links.network, filters=Filter.id(0x11)
            ) as asking:
                await asking.send(Frame(0x10))
                assert await asking.receive() == Frame(0x11, name.encode()[:8])
        router.stop()
