"""Watches: which frames are told, and which are not; timeouts, throttles, multiplexed contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

import anycan
from anycan import Changed, FdFrame, Frame, Multiplex, OperationError, RemoteFrame, TimedOut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anycan import AnyFrame, BcmEndpoint, BcmEvent, RawEndpoint, Watch
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SOON = 0.02
NEVER = 1000.0


class Bench:
    """An interface, a broadcast manager on it, and someone who sends."""

    def __init__(self, name: str, bcm: BcmEndpoint, can: RawEndpoint) -> None:
        self.name = name
        self.bcm = bcm
        self.can = can

    async def told(self, events: Watch, *frames: AnyFrame) -> list[AnyFrame]:
        """Send frames, and give those that are told, in their order."""
        for frame in frames:
            await self.can.send(frame)
        return [event.frame for event in await waiting(events) if isinstance(event, Changed)]


async def waiting(events: Watch) -> list[BcmEvent]:
    """Give the events that are there already: what a network tells, it tells at once."""
    found: list[BcmEvent] = []
    with anyio.move_on_after(SOON):
        while True:
            found.append(await events.receive())
    return found


@pytest.fixture
async def bench(links: Links) -> AsyncIterator[Bench]:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network) as bcm,
    ):
        yield Bench(name, bcm, can)


def data(*values: str) -> list[Frame]:
    return [Frame(0x123, bytes.fromhex(value)) for value in values]


async def test_what_the_mask_leaves_out_makes_no_change(bench: Bench) -> None:
    async with bench.bcm.watch(0x123, mask=b"\xff\x00\x0f") as events:
        frames = data("010101", "010201", "020201", "0202F1", "0202F2")
        assert await bench.told(events, *frames) == [frames[0], frames[2], frames[4]]
        assert repr(events) == "<Watch 123 running>"
    assert repr(events) == "<Watch 123 ended>"


async def test_without_a_mask_every_frame_is_told(bench: Bench) -> None:
    async with bench.bcm.watch(0x123) as events:
        frames = data("01", "01", "", "01")
        assert await bench.told(events, *frames) == frames


async def test_what_is_told_of_a_frame(bench: Bench) -> None:
    async with bench.bcm.watch(0x123) as events:
        await bench.can.send(Frame(0x123, b"\1"))
        await bench.bcm.send(Frame(0x123, b"\2"))
        found = [event.frame for event in await waiting(events) if isinstance(event, Changed)]
    assert found == data("01", "02")
    assert [(frame.interface, frame.local, frame.own) for frame in found] == [
        (bench.name, True, False),
        (bench.name, True, True),
    ]
    assert all(frame.timestamp_ns for frame in found)
    statistics = bench.bcm.statistics()
    assert (statistics.received, statistics.dropped, statistics.overflowed) == (2, 0, 0)


async def test_identifiers_and_kinds_are_told_apart(bench: Bench) -> None:
    frames: list[AnyFrame] = [
        Frame(0x123, b"\1"),
        Frame(0x123, b"\1", extended=True),
        FdFrame(0x123, b"\1"),
        RemoteFrame(0x123),
        Frame(0x124, b"\1"),
    ]
    bcm = bench.bcm
    async with (
        bcm.watch(0x123) as standard,
        bcm.watch(0x123, extended=True) as extended,
        bcm.watch(0x123, fd=True) as flexible,
        bcm.watch(0x123, remote=True) as remote,
    ):
        for frame in frames:
            await bench.can.send(frame)
        for events, frame in zip((standard, extended, flexible, remote), frames, strict=False):
            assert await bench.told(events) == [frame]


async def test_without_waiting(bench: Bench) -> None:
    async with bench.bcm.watch(0x123) as events:
        with pytest.raises(anyio.WouldBlock):
            events.receive_nowait()
        await bench.can.send(Frame(0x123, b"\1"))
        assert events.receive_nowait() == Changed(Frame(0x123, b"\1"))
    with pytest.raises(anyio.ClosedResourceError):
        events.receive_nowait()


async def test_a_mask_for_can_fd(bench: Bench) -> None:
    mask = bytes(40) + b"\xff"
    frames = [FdFrame(0x123, bytes(40) + bytes([value] * 8)) for value in (1, 1, 2)]
    async with bench.bcm.watch(0x123, mask=mask, fd=True) as events:
        assert await bench.told(events, *frames) == [frames[0], frames[2]]


async def test_the_length(bench: Bench) -> None:
    frames = data("0100", "01", "0100")
    async with bench.bcm.watch(0x123, mask=b"\xff") as events:
        assert await bench.told(events, *frames) == frames[:1]
    async with bench.bcm.watch(0x123, mask=b"\xff", check_length=True) as events:
        assert await bench.told(events, *frames) == frames


async def test_multiplexed_contents(bench: Bench) -> None:
    pages = Multiplex(b"\xf0", {b"\x10": b"\x00\xff", b"\x20": b"\x00\x0f"})
    frames = data("1001", "1101", "2001", "2011", "3001", "1002", "2002", "1002")
    async with bench.bcm.watch(0x123, multiplex=pages) as events:
        # 11: the same page, and the low half is in no mask; 30: a page that is not watched.
        expected = [frames[0], frames[2], frames[5], frames[6]]
        assert await bench.told(events, *frames) == expected


async def test_a_timeout_is_told_once_until_a_frame_comes(bench: Bench) -> None:
    async with bench.bcm.watch(0x123, mask=b"\xff", timeout=SOON) as events:
        with anyio.fail_after(30):
            first = await events.receive()
        assert isinstance(first, TimedOut)
        assert (first.identifier, first.extended, first.interface) == (0x123, False, bench.name)
        assert first.timestamp_ns is not None
        with anyio.move_on_after(SOON * 3):
            await events.receive()
            pytest.fail("it was told twice")
        await bench.can.send(Frame(0x123, b"\1"))
        with anyio.fail_after(30):
            assert await events.receive() == Changed(Frame(0x123, b"\1"))
            assert isinstance(await events.receive(), TimedOut)
            await bench.can.send(Frame(0x123, b"\1"))  # as before, and it is back
            assert await events.receive() == Changed(Frame(0x123, b"\1"))


async def test_a_frame_that_comes_back_unchanged_is_not_told_if_so_asked(bench: Bench) -> None:
    watch = bench.bcm.watch(0x123, mask=b"\xff", timeout=SOON, announce_resume=False)
    async with watch as events:
        await bench.can.send(Frame(0x123, b"\1"))
        with anyio.fail_after(30):
            assert isinstance(await events.receive(), Changed)
            assert isinstance(await events.receive(), TimedOut)
            await bench.can.send(Frame(0x123, b"\1"))
            assert isinstance(await events.receive(), TimedOut)


async def test_a_timeout_for_the_first_frame_alone(bench: Bench) -> None:
    watch = bench.bcm.watch(0x18DAF110, timeout=SOON, restart_timeout=False)
    async with watch as events:
        await bench.can.send(Frame(0x18DAF110))
        with anyio.fail_after(30):
            assert isinstance(await events.receive(), Changed)
        with anyio.move_on_after(SOON * 3):
            await events.receive()
            pytest.fail("the first frame had come")


async def test_a_throttle_tells_the_latest(bench: Bench) -> None:
    async with bench.bcm.watch(0x123, mask=b"\xff", throttle=SOON * 10) as events:
        frames = data("01", "02", "03")
        for frame in frames:
            await bench.can.send(frame)
        with anyio.fail_after(30):
            assert await events.receive() == Changed(frames[0])
            assert await events.receive() == Changed(frames[2])


async def test_on_all_interfaces(links: Links) -> None:
    one, other = links.add(), links.add()
    async with (
        anycan.open_raw(None, network=links.network) as can,
        anycan.open_bcm(None, network=links.network) as bcm,
        bcm.watch(0x123) as everywhere,
        bcm.watch(0x123, interface=other) as there,
        bcm.watch(0x123, interface=one, mask=b"\xff") as changes,
    ):
        for value, name in enumerate((one, other, one)):
            await can.send(Frame(0x123, bytes([value // 2])), interface=name)
        found = await waiting(everywhere)
        assert [(event.interface, event) for event in found] == [
            (one, Changed(Frame(0x123, b"\0"))),
            (other, Changed(Frame(0x123, b"\0"))),
            (one, Changed(Frame(0x123, b"\1"))),
        ]
        assert await waiting(there) == [Changed(Frame(0x123, b"\0"))]
        assert await waiting(changes) == [Changed(Frame(0x123, bytes([n]))) for n in (0, 1)]


async def test_with_a_timeout_it_is_the_first_interface_that_is_heard(links: Links) -> None:
    one, other = links.add(), links.add()
    async with (
        anycan.open_raw(None, network=links.network) as can,
        anycan.open_bcm(None, network=links.network) as bcm,
        bcm.watch(0x123, timeout=NEVER) as events,
    ):
        for name in (other, one, other):
            await can.send(Frame(0x123), interface=name)
        assert [event.interface for event in await waiting(events)] == [other, other]


async def test_iteration_starts_it_and_its_loss_ends_it(bench: Bench) -> None:
    async def send() -> None:
        await anyio.wait_all_tasks_blocked()
        await bench.can.send(Frame(0x123, b"\1"))

    for _ in range(3):
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(send)
                async for event in bench.bcm.watch(0x123):
                    assert event == Changed(Frame(0x123, b"\1"))
                    break
    # There is none any more: this one would be refused.
    async with bench.bcm.watch(0x123):
        pass


async def test_two_for_one_identifier_are_refused_unless_asked(bench: Bench) -> None:
    async with bench.bcm.watch(0x123) as first:
        with pytest.raises(anycan.OperationExistsError, match=f"watches 123 on {bench.name}"):
            async with bench.bcm.watch(0x123, mask=b"\xff"):
                pass
        await bench.can.send(Frame(0x123, b"\1"))
        async with bench.bcm.watch(0x123, replace=True) as second:
            # What came before was for the first one.
            with pytest.raises(anyio.ClosedResourceError):
                await first.receive()
            assert await bench.told(second, Frame(0x123, b"\2")) == data("02")


async def test_who_takes_nothing_loses_the_oldest_and_harms_no_other(bench: Bench) -> None:
    async with (
        bench.bcm.watch(0x123, capacity=3) as lazy,
        bench.bcm.watch(0x124) as eager,
    ):
        for number in range(10):
            await bench.can.send(Frame(0x123, bytes([number])))
            await bench.can.send(Frame(0x124, bytes([number])))
        found = [event.frame for event in await waiting(eager) if isinstance(event, Changed)]
        assert found == [Frame(0x124, bytes([number])) for number in range(10)]
        assert lazy.overflowed == 7
        assert eager.overflowed == 0
        assert bench.bcm.statistics().overflowed == 7
        assert await bench.told(lazy) == [Frame(0x123, bytes([number])) for number in (7, 8, 9)]


async def test_a_full_receive_buffer_drops_and_counts(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network, receive_buffer=4096) as bcm,
        bcm.watch(0x123) as events,
        bcm.send_cyclic(Frame(0x321), interval=NEVER) as task,
    ):
        for number in range(100):
            await can.send(Frame(0x123, bytes([number])))
        found = await waiting(events)
        statistics = bcm.statistics()
        assert len(found) == statistics.received
        assert statistics.received + statistics.dropped == 100
        for number in range(100):
            await can.send(Frame(0x123, bytes([number])))
        assert (await task.read()).frames == (Frame(0x321),)  # whose answer found no room at first


async def test_a_full_receive_buffer_hides_no_end_of_a_count(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(name, network=links.network, receive_buffer=2304) as bcm,
        bcm.watch(0x123),
        bcm.send_cyclic(Frame(0x321), interval=SOON, count=2) as task,
    ):
        for number in range(50):  # with no turn of the loop in which they would be read
            can.send_nowait(Frame(0x123, bytes([number])))
        with anyio.fail_after(30):
            await task.wait_expired()


async def test_a_cancelled_wait_loses_nothing(bench: Bench) -> None:
    found: list[BcmEvent] = []

    async def send() -> None:
        for number in range(100):
            await bench.can.send(Frame(0x123, bytes([number])))
            await anyio.lowlevel.checkpoint()

    async with (
        bench.bcm.watch(0x123) as events,
        bench.bcm.watch(0x124) as others,
        anyio.create_task_group() as group,
    ):

        async def wait_for_others() -> None:
            await others.receive()

        group.start_soon(wait_for_others)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(send)
        with anyio.fail_after(60):
            while len(found) < 100:
                with anyio.CancelScope() as scope:
                    if len(found) % 3:
                        scope.cancel()
                    found.append(await events.receive())
        group.cancel_scope.cancel()
    assert found == [Changed(Frame(0x123, bytes([number]))) for number in range(100)]


async def test_two_who_wait_for_the_same(bench: Bench) -> None:
    async with bench.bcm.watch(0x123) as events, anyio.create_task_group() as group:
        group.start_soon(events.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await events.receive()
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"mask": bytes(9)}, "9 bytes is longer than the frame, which has up to 8"),
        ({"mask": bytes(65), "fd": True}, "65 bytes is longer than the frame"),
        ({"throttle": -0.1}, "throttle= is a time in seconds, from a microsecond"),
        ({"timeout": 0}, "timeout= is a time in seconds, from a microsecond"),
        ({"timeout": 1e-9}, "timeout= is a time in seconds, from a microsecond"),
        ({"timeout": float("inf")}, "timeout= is a time"),
        ({"capacity": 0}, "capacity= is 1 event at least"),
        ({"check_length": True}, "every frame is told"),
        ({"fd": True, "remote": True}, "CAN FD has no remote frames"),
        ({"mask": b"\1", "multiplex": Multiplex(b"\1", {b"\1": b"\1"})}, "exclude each other"),
        ({"identifier": 0x20000000}, "identifier"),
    ],
)
async def test_what_cannot_be_watched(
    bench: Bench, arguments: dict[str, object], problem: str
) -> None:
    with pytest.raises(OperationError, match=problem):
        bench.bcm.watch(**{"identifier": 0x123, **arguments})  # type: ignore[arg-type]  # any


async def test_remote_requests_are_answered(bench: Bench) -> None:
    request = RemoteFrame(0x321, 2)
    with anyio.fail_after(30):
        async with bench.bcm.answer_remote(Frame(0x321, b"\1\2")) as answer:
            await bench.can.send(request)
            assert await bench.can.receive() == Frame(0x321, b"\1\2")
            await answer.update(Frame(0x321, b"\3"))
            assert answer.frame == Frame(0x321, b"\3")
            await bench.can.send(request)
            assert await bench.can.receive() == Frame(0x321, b"\3")
            with pytest.raises(OperationError, match="cannot have the identifier 322"):
                await answer.update(Frame(0x322))
            with pytest.raises(anycan.OperationExistsError, match="remote requests for 321"):
                async with bench.bcm.answer_remote(Frame(0x321)):
                    pass
        await bench.can.send(request)
        await bench.bcm.send(Frame(1))
        assert await bench.can.receive() == Frame(1)
        with pytest.raises(anyio.ClosedResourceError):
            await answer.update(Frame(0x321))
    with pytest.raises(OperationError, match="data frame of classical CAN"):
        bench.bcm.answer_remote(RemoteFrame(0x321))  # type: ignore[arg-type]  # which is asked for


async def test_answers_need_an_interface(links: Links) -> None:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as can,
        anycan.open_bcm(None, network=links.network) as bcm,
    ):
        with pytest.raises(anycan.UnknownInterfaceError, match="say which one"):
            bcm.answer_remote(Frame(0x18DAF110))
        async with bcm.answer_remote(Frame(0x18DAF110, b"\1"), interface=name):
            await can.send(RemoteFrame(0x18DAF110))
            with anyio.fail_after(30):
                assert await can.receive() == Frame(0x18DAF110, b"\1")
