"""What goes wrong: links that fail, interfaces that are not there, frames that do not fit."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import ErrorClass, FdFrame, Frame, XlFrame

if TYPE_CHECKING:
    from rig.links import Links

REMOVED = anycan.InterfaceRemovedError

pytestmark = pytest.mark.anyio


async def test_a_link_that_goes_down_is_told_once_and_comes_back(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        await sender.send(Frame(1))
        links.down(name)
        # Frames that were read are given before the error, those in the kernel after it.
        try:
            assert await receiver.receive() == Frame(1)
        except anycan.InterfaceDownError as error:
            caught = error
        else:
            with pytest.raises(anycan.InterfaceDownError, match=name) as told:
                await receiver.receive()
            caught = told.value
        assert caught.errno == errno.ENETDOWN
        assert caught.interface == name
        with pytest.raises(anycan.InterfaceDownError):  # the pending error
            await sender.send(Frame(2))
        with pytest.raises(anycan.InterfaceDownError):  # and the state
            await sender.send(Frame(3))
        links.up(name)
        await sender.send(Frame(4))
        with anyio.fail_after(5):
            while await receiver.receive() != Frame(4):
                pass
        assert receiver.statistics().errors == 1


async def test_a_link_that_goes_down_wakes_who_waits(links: Links) -> None:
    name = links.add()
    outcome: list[str] = []
    async with (
        anycan.open_raw(name, network=links.network) as receiver,
        anycan.open_raw(name, network=links.network) as sender,
    ):

        async def receive() -> None:
            try:
                await receiver.receive()
            except anycan.InterfaceDownError:
                outcome.append("down")
            outcome.append(str(await receiver.receive()))

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            links.down(name)
            while not outcome:
                await anyio.lowlevel.checkpoint()
            links.up(name)
            await sender.send(Frame(0x123))  # what is past does not fail it
        with pytest.raises(anycan.InterfaceDownError):
            await sender.receive()  # it is told here
    assert outcome == ["down", "123#"]


async def test_a_send_that_meets_a_past_error_wakes_who_receives(links: Links) -> None:
    name = links.add()
    outcome: list[object] = []
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_raw(name, network=links.network) as other,
        anyio.create_task_group() as group,
    ):

        async def receive() -> None:
            try:
                await can.receive()
            except anycan.InterfaceDownError as error:
                outcome.append(type(error))
            outcome.append(await can.receive())

        group.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        links.down(name)
        links.up(name)
        can.send_nowait(Frame(1))  # before the loop has had a look at the socket
        await anyio.wait_all_tasks_blocked()
        assert outcome == [anycan.InterfaceDownError]
        await other.send(Frame(2))
        with anyio.fail_after(10):
            while len(outcome) < 2:
                await anyio.lowlevel.checkpoint()
        assert outcome == [anycan.InterfaceDownError, Frame(2)]


async def test_a_link_that_is_removed(links: Links) -> None:
    name = links.add()
    outcome: list[type[Exception]] = []
    async with (
        anycan.open_raw(name, network=links.network) as receiver,
        anycan.open_raw(name, network=links.network) as sender,
        anyio.create_task_group() as group,
    ):

        async def receive() -> None:
            while True:
                try:
                    await receiver.receive()
                except anycan.InterfaceDownError:
                    continue  # some kernels tell both
                except anycan.InterfaceRemovedError as error:
                    outcome.append(type(error))
                    return

        group.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        links.remove(name)
        with anyio.fail_after(5):
            while not outcome:
                await anyio.lowlevel.checkpoint()
            for _ in range(3):  # never a hang, and never a spin
                with pytest.raises(anycan.InterfaceRemovedError, match="removed"):
                    await receiver.receive()
        with pytest.raises(anycan.InterfaceRemovedError):
            receiver.receive_nowait()
        for _ in range(3):
            with pytest.raises(anycan.InterfaceError):
                await sender.send(Frame(1))
    assert outcome == [anycan.InterfaceRemovedError]


async def test_an_interface_that_is_down_can_be_opened(links: Links) -> None:
    name = links.add()
    links.down(name)
    async with (
        anycan.open_raw(name, network=links.network) as receiver,
        anycan.open_raw(name, network=links.network) as sender,
    ):
        with pytest.raises(anycan.InterfaceDownError):
            await receiver.receive()
        with pytest.raises(anycan.InterfaceDownError):
            await sender.send(Frame(1))
        links.up(name)
        await sender.send(Frame(2))
        assert await receiver.receive() == Frame(2)


async def test_an_endpoint_for_all_interfaces_outlives_each(links: Links) -> None:
    first, second = links.add(), links.add()
    async with (
        anycan.open_raw(None, network=links.network) as both,
        anycan.open_raw(second, network=links.network) as two,
    ):
        links.remove(first)
        await two.send(Frame(0x123))
        assert await both.receive() == Frame(0x123)
        with pytest.raises(anycan.UnknownInterfaceError):
            await both.send(Frame(1), interface=first)


@pytest.mark.parametrize("interface", ["nosuchcan0", "", "name-far-too-long-for-an-interface"])
async def test_an_unknown_name(links: Links, interface: str) -> None:
    with pytest.raises(anycan.UnknownInterfaceError, match="there is no interface") as caught:
        async with anycan.open_raw(interface, network=links.network):
            pass
    assert caught.value.errno == errno.ENODEV


async def test_an_unknown_name_is_answered_with_those_there_are(links: Links) -> None:
    name = links.add()
    with pytest.raises(anycan.UnknownInterfaceError, match=name):
        async with anycan.open_raw("nosuchcan0", network=links.network):
            pass


async def test_an_unknown_index(links: Links) -> None:
    with pytest.raises(anycan.UnknownInterfaceError, match="987654"):
        async with anycan.open_raw(987654, network=links.network):
            pass


async def test_frames_that_do_not_fit(links: Links) -> None:
    classical = links.add(mtu=16)
    flexible = links.add()
    big = links.add(mtu=2060)
    network = links.network
    async with anycan.open_raw(classical, network=network, xl=True) as can:
        with pytest.raises(anycan.FrameNotSupportedError, match="takes no CAN FD"):
            await can.send(FdFrame(1))
        with pytest.raises(anycan.FrameNotSupportedError, match="takes no CAN XL"):
            await can.send(XlFrame(1, b"1"))
        await can.send(Frame(1))
    async with anycan.open_raw(flexible, network=network, fd=False) as can:
        with pytest.raises(anycan.FrameNotSupportedError, match="fd=True") as caught:
            await can.send(FdFrame(1))
        assert caught.value.interface == flexible
    async with anycan.open_raw(big, network=network) as can:
        with pytest.raises(anycan.FrameNotSupportedError, match="xl=True"):
            await can.send(XlFrame(1, b"1"))


async def test_a_frame_that_does_not_fit_amid_many(links: Links) -> None:
    name = links.add(mtu=16)
    progress: list[int] = []
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network) as receiver,
    ):
        with pytest.raises(anycan.FrameNotSupportedError):
            await sender.send_many(
                [Frame(1), Frame(2), FdFrame(3), Frame(4)], on_sent=progress.append
            )
        assert progress == [2]
        assert await receiver.receive_many() == [Frame(1), Frame(2)]


async def test_values_out_of_range(links: Links) -> None:
    name = links.add()
    async with anycan.open_raw(name, network=links.network) as can:
        with pytest.raises(anycan.FilterError, match="error classes"):
            can.set_errors(0x20000000)
        with pytest.raises(TypeError, match="not a CAN frame"):
            await can.send("123#00")  # type: ignore[arg-type]  # that is the point
        can.set_errors(ErrorClass.ALL)


async def test_an_unclosed_endpoint_is_reported(links: Links) -> None:
    name = links.add()
    opened = anycan.open_raw(name, network=links.network)
    can = await opened.__aenter__()
    fd = can.extra(anycan.RawAttribute.fd)
    with pytest.warns(ResourceWarning, match="unclosed <RawEndpoint"):
        can.__del__()
    with pytest.raises(anyio.ClosedResourceError):
        await can.receive()
    await opened.__aexit__(None, None, None)
    assert fd >= 0


async def test_another_interface_that_is_down_is_no_news_of_this_one(links: Links) -> None:
    name, other = links.add(), links.add()
    links.down(other)
    for bound in (name, None):
        async with (
            anycan.open_raw(bound, network=links.network) as can,
            anycan.open_raw(name, network=links.network) as sender,
        ):
            with pytest.raises(anycan.InterfaceDownError, match=other) as caught:
                await can.send(Frame(1), interface=other)
            assert caught.value.interface == other
            await sender.send(Frame(2))
            with anyio.fail_after(10):
                assert await can.receive() == Frame(2)
            assert can.statistics().errors == 0


async def test_every_time_that_a_link_went_down_is_told(links: Links) -> None:
    name = links.add()
    async with anycan.open_raw(name, network=links.network) as can:
        for _ in range(2):
            links.down(name)
            with pytest.raises(anycan.InterfaceDownError, match="receiving goes on"):
                await can.receive()
            links.up(name)
        links.down(name)
        with pytest.raises(anycan.InterfaceDownError, match="was not sent"):
            await can.send(Frame(1))
        with anyio.fail_after(10), pytest.raises(anycan.InterfaceDownError, match="receiving"):
            await can.receive()
        with pytest.raises(anycan.InterfaceDownError, match="was not sent"):
            await can.send(Frame(1))
        with pytest.raises(anyio.WouldBlock):
            can.receive_nowait()
        assert can.statistics().errors == 3


async def test_an_interface_that_came_back_can_be_sent_to(links: Links) -> None:
    name, bound = links.add(), links.add()
    async with anycan.open_raw(None, network=links.network) as can:
        await can.send(Frame(1), interface=name)
        links.remove(name)
        links.add(name)
        await can.send(Frame(2), interface=name)
        links.remove(name)
        with pytest.raises(anycan.UnknownInterfaceError, match=name):
            await can.send(Frame(3), interface=name)
        await can.send(Frame(4), interface=bound)


async def test_a_removal_that_receive_nowait_told_is_told_again(links: Links) -> None:
    name = links.add()
    async with anycan.open_raw(name, network=links.network) as can:
        links.remove(name)
        # Some kernels tell both.
        with contextlib.suppress(anycan.InterfaceDownError), pytest.raises(REMOVED):
            can.receive_nowait()
        with pytest.raises(REMOVED):
            can.receive_nowait()
        for _ in range(2):
            with anyio.fail_after(10), pytest.raises(anycan.InterfaceRemovedError):
                await can.receive()
