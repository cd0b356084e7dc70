"""Cyclic transmissions: what is sent, in which order, how often, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import FdFrame, Frame, OperationError, RemoteFrame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import AnyFrame, BcmEndpoint, RawEndpoint
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SHORT = 0.005
NEVER = 1000.0  # a beat that is not seen in a test


class Bench:
    """An interface, a broadcast manager on it, and someone who listens."""

    def __init__(self, name: str, bcm: BcmEndpoint, can: RawEndpoint) -> None:
        self.name = name
        self.bcm = bcm
        self.can = can
        self.network = can.extra(anycan.RawAttribute.network)

    async def take(self, count: int) -> list[AnyFrame]:
        with anyio.fail_after(30):
            return [await self.can.receive() for _ in range(count)]

    async def rest(self) -> list[AnyFrame]:
        """Give what has been sent since; a frame sent now is the last."""
        await self.bcm.send(Frame(0x7FF))
        frames: list[AnyFrame] = []
        with anyio.fail_after(30):
            while (frame := await self.can.receive()) != Frame(0x7FF):
                frames.append(frame)
        return frames


@pytest.fixture
async def bench(links: Links) -> AsyncIterator[Bench]:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network) as bcm,
    ):
        yield Bench(name, bcm, can)


def numbered(count: int, identifier: int = 0x100) -> list[Frame]:
    return [Frame(identifier, bytes([number])) for number in range(count)]


async def test_a_frame_is_sent_at_once_and_again_until_the_block_ends(bench: Bench) -> None:
    frame = Frame(0x100, b"\1")
    async with bench.bcm.send_cyclic(frame, interval=SHORT) as task:
        frames = await bench.take(4)
        assert task.frames == (frame,)
        assert repr(task) == "<CyclicTask 100 running>"
    assert frames == [frame] * 4
    assert all(one.local and not one.own and one.interface == bench.name for one in frames)
    assert set(await bench.rest()) <= {frame}
    assert repr(task) == "<CyclicTask 100 ended>"
    late = []
    with anyio.move_on_after(SHORT * 10):
        while True:
            late.append(await bench.can.receive())
    assert len(late) <= 1  # another processor's frame may have been under way, overtaken


async def test_a_sequence_is_sent_one_frame_at_a_time(bench: Bench) -> None:
    frames = numbered(3)
    async with bench.bcm.send_cyclic(iter(frames), interval=SHORT):
        assert await bench.take(7) == [*frames, *frames, frames[0]]


async def test_256_frames_are_the_most(bench: Bench) -> None:
    frames = numbered(256)
    async with bench.bcm.send_cyclic(frames, interval=NEVER) as task:
        assert (await task.read()).frames == tuple(frames)
    with pytest.raises(OperationError, match="1 to 256 frames, not 257"):
        bench.bcm.send_cyclic([*frames, Frame(1)], interval=NEVER)


@pytest.mark.parametrize(
    "frame", [Frame(0x12345678, b"\1"), RemoteFrame(0x123, 4), FdFrame(0x123, bytes(24), brs=True)]
)
async def test_other_kinds_of_frames(bench: Bench, frame: AnyFrame) -> None:
    async with bench.bcm.send_cyclic([frame, frame], interval=SHORT) as task:
        assert await bench.take(3) == [frame] * 3
        assert (await task.read()).frames == (frame, frame)


async def test_a_count_at_one_interval_and_then_another(bench: Bench) -> None:
    frame = Frame(0x100)
    async with bench.bcm.send_cyclic(frame, interval=SHORT, count=3, then=NEVER) as task:
        with anyio.fail_after(30):
            await task.wait_expired()
            await task.wait_expired()  # it stays so
        assert await bench.rest() == [frame] * 3
        status = await task.read()
    assert (status.remaining, status.interval, status.then) == (0, SHORT, NEVER)


async def test_a_count_and_nothing_then(bench: Bench) -> None:
    async with bench.bcm.send_cyclic(numbered(2), interval=SHORT, count=3) as task:
        with anyio.fail_after(30):
            await task.wait_expired()
        with anyio.move_on_after(SHORT * 10):
            await anyio.sleep_forever()
        assert await bench.rest() == [*numbered(2), numbered(1)[0]]
        assert (await task.read()).then is None


async def test_a_count_of_one_is_over_at_once(bench: Bench) -> None:
    async with bench.bcm.send_cyclic(Frame(0x100), interval=NEVER, count=1) as task:
        with anyio.fail_after(30):
            await task.wait_expired()
        assert await bench.rest() == [Frame(0x100)]
        await task.restart()
        with anyio.fail_after(30):
            await task.wait_expired()
        assert await bench.rest() == [Frame(0x100)]


async def test_restart_begins_the_count_anew(bench: Bench) -> None:
    frame = Frame(0x100)
    async with bench.bcm.send_cyclic(frame, interval=SHORT, count=3) as task:
        for _ in range(3):
            with anyio.fail_after(30):
                await task.wait_expired()
            assert await bench.rest() == [frame] * 3
            await task.restart()


async def test_announce_sends_beside_the_beat_and_counts(bench: Bench) -> None:
    frames = numbered(3)
    async with bench.bcm.send_cyclic(frames, interval=NEVER, count=3) as task:
        assert (await task.read()).remaining == 2
        await task.announce()
        assert (await task.read()).remaining == 1
        await task.announce()
        with anyio.fail_after(30):
            await task.wait_expired()  # of which the kernel says nothing
        assert await bench.rest() == frames


async def test_an_update_changes_the_content_and_not_the_beat(bench: Bench) -> None:
    async with bench.bcm.send_cyclic(Frame(0x100, b"\0"), interval=NEVER) as task:
        await task.update(Frame(0x100, b"\1"))
        assert task.frames == (Frame(0x100, b"\1"),)
        assert await bench.rest() == [Frame(0x100, b"\0")]  # the update sent nothing
        await task.announce()
        assert await bench.rest() == [Frame(0x100, b"\1")]


async def test_an_update_keeps_the_place_in_the_sequence_unless_asked(bench: Bench) -> None:
    async with bench.bcm.send_cyclic(numbered(3), interval=NEVER) as task:
        new = [Frame(0x100, bytes([number])) for number in range(10, 13)]
        await task.update(new)
        await task.announce()
        await task.update(new, from_first=True)
        await task.announce()
        assert await bench.rest() == [numbered(1)[0], new[1], new[0]]
        await task.update(new[:2])  # fewer: the sequence begins anew
        for _ in range(3):
            await task.announce()
        assert await bench.rest() == [new[0], new[1], new[0]]
        with pytest.raises(OperationError, match="3 frames cannot take the place of 2"):
            await task.update(new)


async def test_an_update_of_another_kind_or_identifier_is_refused(bench: Bench) -> None:
    async with bench.bcm.send_cyclic(Frame(0x100), interval=NEVER) as task:
        with pytest.raises(OperationError, match="each other's place"):
            await task.update(FdFrame(0x100))
        with pytest.raises(OperationError, match="identifier 101, and the transmission goes by"):
            await task.update(Frame(0x101))
        assert (await task.read()).frames == (Frame(0x100),)


async def test_another_interval(bench: Bench) -> None:
    async with bench.bcm.send_cyclic(Frame(0x100), interval=NEVER) as task:
        await task.set_interval(SHORT, count=3)
        assert await bench.rest() == [Frame(0x100)]  # from the next time on
        await task.restart()
        with anyio.fail_after(30):
            await task.wait_expired()
        assert await bench.rest() == [Frame(0x100)] * 3


async def test_without_a_count_it_never_expires(bench: Bench) -> None:
    async with bench.bcm.send_cyclic(Frame(0x100), interval=NEVER) as task:
        with pytest.raises(OperationError, match="without count= never expires"):
            await task.wait_expired()


async def test_two_for_one_identifier_are_refused_unless_asked(bench: Bench) -> None:
    bcm = bench.bcm
    async with bcm.send_cyclic(Frame(0x100, b"\1"), interval=NEVER) as first:
        with pytest.raises(anycan.OperationExistsError, match=f"sends 100 on {bench.name} already"):
            async with bcm.send_cyclic(Frame(0x100), interval=NEVER):
                pass
        # Another kind, or 29 bits, is another message.
        async with (
            bcm.send_cyclic(FdFrame(0x100), interval=NEVER),
            bcm.send_cyclic(Frame(0x100, extended=True), interval=NEVER),
            anycan.open_bcm(
                bench.name, network=bench.can.extra(anycan.RawAttribute.network)
            ) as other,
            other.send_cyclic(Frame(0x100, b"\3"), interval=NEVER),
        ):
            assert await bench.rest() == [
                Frame(0x100, b"\1"),
                FdFrame(0x100),
                Frame(0x100, extended=True),
                Frame(0x100, b"\3"),
            ]
        async with bcm.send_cyclic(Frame(0x100, b"\2"), interval=NEVER, replace=True) as second:
            with pytest.raises(anyio.ClosedResourceError):
                await first.update(Frame(0x100))
            assert (await second.read()).frames == (Frame(0x100, b"\2"),)
    assert await bench.rest() == [Frame(0x100, b"\2")]


async def test_the_end_of_one_that_was_replaced_ends_no_other(bench: Bench) -> None:
    first = bench.bcm.send_cyclic(Frame(0x100, b"\1"), interval=NEVER)
    second = bench.bcm.send_cyclic(Frame(0x100, b"\2"), interval=NEVER, replace=True)
    async with first:
        await second.__aenter__()
    assert (await second.read()).frames == (Frame(0x100, b"\2"),)
    await second.__aexit__(None, None, None)


async def test_a_task_is_used_by_its_block_once(bench: Bench) -> None:
    task = bench.bcm.send_cyclic(Frame(0x100), interval=NEVER)
    with pytest.raises(RuntimeError, match="async with"):
        await task.read()
    async with task:
        pass
    for call in (task.read, task.restart, task.announce):
        with pytest.raises(anyio.ClosedResourceError):
            await call()
    with pytest.raises(RuntimeError, match="started once"):
        async with task:
            pass


async def test_a_cancelled_entry_leaves_nothing_behind(bench: Bench) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with bench.bcm.send_cyclic(Frame(0x100), interval=NEVER):
            pass
    assert scope.cancelled_caught
    assert await bench.rest() == []


async def test_many_wait_for_many(bench: Bench) -> None:
    ended: list[int] = []

    async def run(number: int) -> None:
        frame = Frame(number)
        async with bench.bcm.send_cyclic(frame, interval=SHORT, count=2 + number % 5) as task:
            await task.wait_expired()
            ended.append(number)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(run, number)
    assert sorted(ended) == list(range(40))
    sent = await bench.rest()
    for number in range(40):
        assert sent.count(Frame(number)) == 2 + number % 5


async def test_of_many_who_wait_some_are_cancelled(bench: Bench) -> None:
    """The one that reads the socket for all is among those who are cancelled."""
    ended = 0

    async def wait(task: anycan.CyclicTask, scope: anyio.CancelScope) -> None:
        nonlocal ended
        with scope:
            await task.wait_expired()
            ended += 1

    scopes = [anyio.CancelScope() for _ in range(4)]
    async with (
        bench.bcm.send_cyclic(Frame(0), interval=NEVER, count=9) as never,
        bench.bcm.send_cyclic(Frame(1), interval=NEVER, count=9) as never_too,
        bench.bcm.send_cyclic(Frame(2), interval=SHORT * 4, count=2) as soon,
        bench.bcm.send_cyclic(Frame(3), interval=SHORT * 4, count=2) as soon_too,
    ):
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for task, scope in zip((never, never_too, soon, soon_too), scopes, strict=True):
                    group.start_soon(wait, task, scope)
                await anyio.wait_all_tasks_blocked()
                scopes[0].cancel()
                scopes[1].cancel()
    assert ended == 2


async def test_two_who_wait_for_the_same(bench: Bench) -> None:
    async with (
        bench.bcm.send_cyclic(Frame(0), interval=NEVER, count=9) as task,
        anyio.create_task_group() as group,
    ):
        group.start_soon(task.wait_expired)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await task.wait_expired()
        group.cancel_scope.cancel()


async def test_once(bench: Bench) -> None:
    for frame in (Frame(1, b"abc"), FdFrame(2, bytes(64)), RemoteFrame(3)):
        await bench.bcm.send(frame)
        assert await bench.take(1) == [frame]
    with pytest.raises(OperationError, match="no CAN XL"):
        await bench.bcm.send(anycan.XlFrame(1, b"x"))
    with pytest.raises(OperationError, match="cannot be sent"):
        await bench.bcm.send(anycan.ErrorFrame(anycan.ErrorClass.BUS_OFF))
    with pytest.raises(TypeError, match="not a CAN frame"):
        await bench.bcm.send("123#")  # type: ignore[arg-type]  # which is asked for


async def test_an_interface_without_can_fd(links: Links) -> None:
    name = links.add(mtu=16)
    async with anycan.open_bcm(name, network=links.network) as bcm:
        with pytest.raises(anycan.FrameNotSupportedError, match=f"{name} takes no CAN FD frames"):
            bcm.send_cyclic(FdFrame(1), interval=NEVER)
        with pytest.raises(anycan.FrameNotSupportedError, match=f"{name} takes no CAN FD frames"):
            await bcm.send(FdFrame(1))


async def test_on_all_interfaces(links: Links) -> None:
    one, other = links.add(), links.add()
    async with (
        anycan.open_raw(None, network=links.network) as can,
        anycan.open_bcm(None, network=links.network) as bcm,
    ):
        with pytest.raises(anycan.UnknownInterfaceError, match="say which one"):
            bcm.send_cyclic(Frame(1), interval=NEVER)
        with pytest.raises(anycan.UnknownInterfaceError, match="say which one"):
            await bcm.send(Frame(1))
        with pytest.raises(anycan.UnknownInterfaceError, match="no interface nowhere"):
            bcm.send_cyclic(Frame(1), interval=NEVER, interface="nowhere")
        async with (
            bcm.send_cyclic(Frame(1), interval=SHORT, count=2, interface=one) as first,
            bcm.send_cyclic(Frame(1), interval=SHORT, count=3, interface=other) as second,
        ):
            with anyio.fail_after(30):
                await first.wait_expired()
                await second.wait_expired()
        index = links.network.interface_index(one)
        await bcm.send(Frame(2), interface=index)
        found: list[tuple[str | None, AnyFrame]] = []
        with anyio.fail_after(30):
            while not found or found[-1] != (one, Frame(2)):
                frame = await can.receive()
                found.append((frame.interface, frame))
    assert found.count((one, Frame(1))) == 2
    assert found.count((other, Frame(1))) == 3


async def test_an_endpoint_of_one_interface_is_for_no_other(links: Links) -> None:
    one, other = links.add(), links.add()
    async with anycan.open_bcm(one, network=links.network) as bcm:
        async with bcm.send_cyclic(Frame(1), interval=NEVER, interface=one):
            pass
        with pytest.raises(OperationError, match=f"for {one} alone, and not for {other}"):
            bcm.send_cyclic(Frame(1), interval=NEVER, interface=other)
