"""Raw endpoints and transports that wait for links: what was found wrong with them once."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import (
    AnyFrame,
    CanProtocol,
    ControllerError,
    ErrorFrame,
    Filter,
    Frame,
    InterfaceDown,
    InterfaceRemovedError,
    InterfaceStateChanged,
    InterfaceUp,
    LinkGap,
    LinkWait,
    Router,
    UnknownInterfaceError,
    UserNetwork,
    create_raw_transport,
    open_raw,
    watch_interfaces,
)
from anycan.interfaces import monitor as monitor_module
from anycan.interfaces import restarter as restarter_module

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio
LIMIT = 5


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        network.add_vcan("vcan1")
        yield network


async def test_a_router_ends_with_its_network(network: UserNetwork) -> None:
    router = Router()
    router.add(Filter.all(), print)
    async with open_raw("vcan0", network=network, on_link_loss="wait") as can:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:

                async def run(*, task_status: Any) -> None:
                    with pytest.raises(InterfaceRemovedError):
                        await router.run(can, task_status=task_status)

                await tasks.start(run)
                network.close()


async def test_one_that_is_lost_holds_up_no_other(network: UserNetwork) -> None:
    async with (
        open_raw(None, network=network, on_link_loss="wait") as can,
        open_raw("vcan1", network=network) as healthy,
        open_raw("vcan0", network=network, receive_own=True, on_link_loss="wait") as lost,
        anyio.create_task_group() as tasks,
    ):
        network.set_down("vcan0")
        for number in range(3):
            tasks.start_soon(partial(can.send, Frame(number), interface="vcan0"))
            await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(LIMIT):
            await can.send(Frame(7), interface="vcan1")
            can.send_nowait(Frame(8), interface="vcan1")
            assert [await healthy.receive() for _ in range(2)] == [Frame(7), Frame(8)]
            network.set_up("vcan0")
            await can.send(Frame(3), interface="vcan0")
            frames = [await lost.receive() for _ in range(4)]
        assert frames == [Frame(number) for number in range(4)]


@pytest.mark.parametrize("by_index", [False, True])
async def test_it_waits_by_name_and_by_index(network: UserNetwork, by_index: bool) -> None:
    interface = network.interface_index("vcan0") if by_index else "vcan0"
    async with open_raw(None, network=network, on_link_loss="wait") as can:
        await can.send(Frame(1), interface=interface)
        network.remove("vcan0")
        with anyio.move_on_after(0.02) as scope:
            await can.send(Frame(2), interface=interface)
        assert scope.cancelled_caught
        with pytest.raises(UnknownInterfaceError):
            await can.send(Frame(3), interface=99)


async def test_events_are_told_in_the_order_in_which_they_happened(network: UserNetwork) -> None:
    def on_gap(gap: LinkGap) -> None:
        if gap.ended_ns is None:
            network.set_up("vcan0")

    async with (
        open_raw("vcan0", network=network, on_link_loss="wait", on_gap=on_gap),
        watch_interfaces(network=network) as events,
    ):
        network.set_down("vcan0")
        taken = [await events.receive() for _ in range(2)]
        assert [type(event) for event in taken] == [InterfaceDown, InterfaceUp]
        assert events.interfaces["vcan0"].up


async def test_who_is_closed_by_the_first_event_is_told_no_more(network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000)
    opened: list[Any] = []

    def close(_gap: LinkGap) -> None:
        opened[0]._close()

    async with open_raw(
        "can0", network=network, on_link_loss=LinkWait(restart=(0.001, 0.001)), on_gap=close
    ) as can:
        opened.append(can)
        network.set_bus_off("can0")
        assert not restarter_module._restarters
        assert not monitor_module._monitors
        await anyio.wait_all_tasks_blocked()  # a task that was started would be left behind


async def test_a_controller_that_has_another_name_is_restarted(network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000)
    async with open_raw(
        "can0", network=network, on_link_loss=LinkWait(restart=(0.001, 0.001))
    ) as can:
        network.rename("can0", "diag")
        network.set_bus_off("diag")
        with anyio.fail_after(LIMIT):
            await can.send(Frame(1))


async def test_states_are_told_of_the_right_one_after_names_were_swapped(
    network: UserNetwork,
) -> None:
    frame = ErrorFrame.build(controller=ControllerError.TX_PASSIVE)
    async with watch_interfaces(network=network) as events:
        network.inject("vcan0", frame)
        assert isinstance(await events.receive(), InterfaceStateChanged)
        for name, new in (("vcan0", "x"), ("vcan1", "vcan0"), ("x", "vcan1")):
            network.rename(name, new)
            await events.receive()
        network.inject("vcan0", frame)
        told = await events.receive()
        assert isinstance(told, InterfaceStateChanged)
        assert told.interface.name == "vcan0"


async def test_a_function_that_would_have_to_be_awaited(network: UserNetwork) -> None:
    async def on_gap(_gap: LinkGap) -> None:
        await checkpoint()

    with pytest.raises(TypeError, match="no coroutine function"):
        async with open_raw("vcan0", network=network, on_link_loss="wait", on_gap=on_gap):
            pass


async def test_it_has_no_gap_once_the_network_is_closed(network: UserNetwork) -> None:
    async with open_raw("vcan0", network=network, on_link_loss="wait") as can:
        network.close()
        with anyio.fail_after(LIMIT), pytest.raises(InterfaceRemovedError):
            await can.receive()
        assert can.gap is None


class Collector(CanProtocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.frames: list[AnyFrame] = []

    def frame_received(self, frame: AnyFrame) -> None:
        self.frames.append(frame)


def test_a_transport_sends_to_others_while_one_is_lost(network: UserNetwork) -> None:
    async def main() -> None:
        transport, _ = await create_raw_transport(
            Collector, None, network=network, on_link_loss="wait"
        )
        async with (
            open_raw("vcan0", network=network, on_link_loss="wait") as lost,
            open_raw("vcan1", network=network) as healthy,
            asyncio.timeout(LIMIT),
        ):
            transport.send(Frame(1), "vcan0")
            assert await lost.receive() == Frame(1)
            network.set_down("vcan0")
            transport.send(Frame(2), "vcan0")
            transport.send(Frame(7), "vcan1")
            transport.send(Frame(3), "vcan0")
            transport.send(Frame(8), "vcan1")
            assert [await healthy.receive() for _ in range(2)] == [Frame(7), Frame(8)]
            assert transport.get_write_buffer_size() == 2
            network.set_up("vcan0")
            assert [await lost.receive() for _ in range(2)] == [Frame(2), Frame(3)]
        transport.close()

    asyncio.run(main())


def test_an_unclosed_transport_is_found_out(network: UserNetwork) -> None:
    async def main() -> None:
        await create_raw_transport(Collector, "vcan0", network=network, on_link_loss="wait")

    def run() -> None:
        asyncio.run(main())
        gc.collect()

    with pytest.warns(ResourceWarning, match=r"^unclosed <RawTransport vcan0"):
        run()
    assert not monitor_module._monitors
