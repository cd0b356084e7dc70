"""ISO-TP when something goes wrong: peers that vanish or talk nonsense, links, cancellation."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import (
    Address,
    CanOSError,
    FlowControlError,
    FlowControlOverflowError,
    FlowControlTimeoutError,
    Frame,
    InterfaceDownError,
    InterfaceRemovedError,
    IsotpAttribute,
    PaddingError,
    ReceptionInterruptedError,
    ReceptionTimeoutError,
    SequenceError,
)
from rig.isotp import IsotpBench, echo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anycan import RawEndpoint
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PDU = bytes(range(30))
FIRST = Frame(0x7E8, b"\x10\x14abcdef")


@pytest.fixture(params=["socket", "engine"])
def bench(request: pytest.FixtureRequest, links: Links) -> IsotpBench:
    implementation: Literal["socket", "engine"] = request.param
    return IsotpBench(links, links.add(), implementation)


async def after_first_frame(can: RawEndpoint, *answers: Frame) -> None:
    """Answer a first frame."""
    with anyio.fail_after(30):
        while (await can.receive()).data[:1] != b"\x10":
            pass
    for answer in answers:
        await can.send(answer)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"\x32\0\0", FlowControlOverflowError),
        (b"\x30\0", FlowControlError),
        (b"\x3f\0\0", FlowControlError),
    ],
    ids=["overflow", "short", "unknown"],
)
async def test_flow_control_that_refuses(
    bench: IsotpBench, answer: bytes, error: type[CanOSError]
) -> None:
    async with bench.raw() as can, bench.open() as link, anyio.create_task_group() as tasks:
        tasks.start_soon(after_first_frame, can, Frame(0x7E8, answer))
        with pytest.raises(error, match=bench.name) as caught:
            await link.send(PDU)
        assert caught.value.interface == bench.name
        # Nobody who receives is told of that, and the next PDU is sent.
        with pytest.raises(anyio.WouldBlock):
            link.receive_nowait()
        await link.send(b"on")
        assert link.statistics().sent == link.statistics().errors == 1


async def test_who_stops_is_noticed_on_either_side(bench: IsotpBench) -> None:
    """All that takes a second, in one: no flow control, and a sender that stops."""
    errors: list[str] = []

    async def note(call: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        try:
            await call(*arguments)
        except CanOSError as error:
            errors.append(type(error).__name__)

    async with (
        bench.raw() as can,
        bench.open() as receiving,
        bench.open(Address.normal(0x100, 0x101)) as sending,
        bench.open(Address.normal(0x200, 0x201)) as waiting,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(note, receiving.receive)
        tasks.start_soon(note, sending.send, PDU)
        tasks.start_soon(note, waiting.send, PDU)
        await can.send(FIRST)
        await can.send(Frame(0x201, b"\x31\0\0"))  # it asks for time, and for no more
    assert sorted(errors) == [
        "FlowControlTimeoutError",
        "FlowControlTimeoutError",
        "ReceptionTimeoutError",
    ]
    assert issubclass(FlowControlTimeoutError, CanOSError)
    assert issubclass(ReceptionTimeoutError, CanOSError)


async def test_a_frame_out_of_order_is_told_and_the_next_pdu_comes(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.open() as link:
        for data in (FIRST.data, b"\x22ghijklm", b"\x02on"):
            await can.send(Frame(0x7E8, data))
        with anyio.fail_after(10):
            with pytest.raises(SequenceError):
                await link.receive()
            assert await link.receive() == b"on"


async def test_padding_that_is_wrong(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.open(rx_padding=0x55) as link:
        for data in (b"\x02no\0\0\0\0\0", b"\x02no", b"\x02on\x55\x55\x55\x55\x55"):
            await can.send(Frame(0x7E8, data))
            await anyio.sleep(0.002)  # one error at a time is what a socket has
        with anyio.fail_after(10):
            with pytest.raises(PaddingError):
                await link.receive()
            received = None
            while received is None:
                try:
                    received = await link.receive()
                except PaddingError:
                    continue
        assert received == b"on"


async def test_an_error_of_receiving_is_not_one_of_sending(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.pair() as (one, other):
        for data in (FIRST.data, b"\x22ghijklm"):
            await can.send(Frame(0x7E8, data))
        await anyio.sleep(0.002)
        await one.send(PDU)  # the kernel would refuse it for what was before
        with anyio.fail_after(10):
            assert await other.receive() == PDU
            with pytest.raises(SequenceError):
                await one.receive()


async def test_a_request_does_not_fail_for_what_was_before(bench: IsotpBench) -> None:
    async with (
        bench.raw() as can,
        bench.raw() as witness,
        bench.pair() as (one, other),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(echo, other)
        for data in (FIRST.data, b"\x22ghijklm"):
            await can.send(Frame(0x7E8, data))
        await can.send(Frame(0x001))
        while await witness.receive() != Frame(0x001):
            pass  # what was sent before that has arrived by then
        assert await one.request(b"first", timeout=10) == b"first"
        tasks.cancel_scope.cancel()


async def test_a_request_beside_who_receives_sends_nothing(bench: IsotpBench) -> None:
    async with bench.pair() as (one, other), anyio.create_task_group() as tasks:
        tasks.start_soon(one.receive)
        for _ in range(5):
            await checkpoint()
        with pytest.raises(anyio.BusyResourceError):
            await one.request(b"never", timeout=10)
        tasks.cancel_scope.cancel()
        with pytest.raises(anyio.WouldBlock):
            other.receive_nowait()
        assert one.statistics().sent == 0


async def test_hostile_frames_harm_nobody(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.pair() as (one, other):
        for data in (
            b"",
            b"\x00",
            b"\x10",
            b"\x10\x00\xff\xff\xff\xff\x00\x00",
            b"\x1f\xff123456",
            b"\x21",
            b"\x30",
            b"\x3f\xff\xff",
            b"\xff" * 8,
        ):
            await can.send(Frame(0x7E8, data))
        await other.send(b"on")
        with anyio.fail_after(10):
            received = None
            while received is None:
                try:
                    received = await one.receive()
                except CanOSError:
                    continue
        assert received == b"on"


async def test_a_link_that_goes_down_and_comes_back(bench: IsotpBench) -> None:
    async with bench.pair() as (one, other):
        bench.links.down(bench.name)
        with anyio.fail_after(10), pytest.raises(InterfaceDownError, match=f"{bench.name} is down"):
            await other.receive()
        with pytest.raises(InterfaceDownError, match="the PDU was not sent"):
            await one.send(PDU)
        bench.links.up(bench.name)
        await one.send(PDU)
        with anyio.fail_after(10):
            assert await other.receive() == PDU
        assert one.statistics().sent == 1


async def test_each_time_down_is_told_once(bench: IsotpBench) -> None:
    async with bench.pair() as (one, other):
        for _ in range(2):
            bench.links.down(bench.name)
            with anyio.fail_after(10), pytest.raises(InterfaceDownError):
                await one.receive()
            for _ in range(3):
                with pytest.raises(InterfaceDownError, match="the PDU was not sent"):
                    await one.send(PDU)
            with pytest.raises(anyio.WouldBlock):
                one.receive_nowait()
            bench.links.up(bench.name)
            with anyio.fail_after(10), pytest.raises(InterfaceDownError):
                await other.receive()
            await one.send(PDU)
            with anyio.fail_after(10):
                assert await other.receive() == PDU


async def test_strict_iso_tells_of_a_pdu_that_another_one_ends(bench: IsotpBench) -> None:
    async with (
        bench.raw() as can,
        bench.open(strict_iso=True, implementation="auto") as link,
    ):
        assert link.extra(IsotpAttribute.implementation) == "engine"
        for data in (FIRST.data, b"\x00", b"\x02on"):  # what is not valid ends nothing
            await can.send(Frame(0x7E8, data))
        with anyio.fail_after(10):
            with pytest.raises(ReceptionInterruptedError):
                await link.receive()
            assert await link.receive() == b"on"


async def test_an_interface_that_is_removed(bench: IsotpBench) -> None:
    async with bench.open() as link:
        bench.links.remove(bench.name)
        with anyio.fail_after(10):
            with contextlib.suppress(InterfaceDownError, InterfaceRemovedError):
                await link.receive()  # that it went down may be told first
            with pytest.raises(InterfaceRemovedError, match="has been removed"):
                await link.receive()
            with pytest.raises(InterfaceRemovedError):
                await link.send(b"x")


async def test_a_cancelled_send_says_whether_it_has_begun(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.pair() as (one, other):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await one.send(b"never")
        assert not one.transmitting
        async with bench.open(Address.normal(0x300, 0x301)) as link:
            with anyio.move_on_after(0.01):
                await link.send(PDU)  # nobody answers
            assert link.transmitting
            await can.send(Frame(0x301, b"\x30\0\0"))
            await link.send(b"next")  # once the other one is over
            assert not link.transmitting
            assert link.statistics().errors == 0
        with anyio.fail_after(10):
            await other.send(b"on")
            assert await one.receive() == b"on"


async def test_a_peer_that_vanishes_keeps_nobody_from_closing(bench: IsotpBench) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.01)
            ticks += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        async with bench.open() as link:
            with anyio.move_on_after(0.01):
                await link.send(PDU)
            before = ticks
        # The kernel may wait for the end of the transfer, and the loop has gone on meanwhile.
        closing = ticks - before
        await anyio.sleep(0.03)
        assert ticks > before + 1
        assert closing < 300
        tasks.cancel_scope.cancel()


async def test_two_hundred_transfers_at_once_and_a_peer_that_vanishes_in_each(
    links: Links, bench: IsotpBench, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    on_asyncio = anyio_backend == ("asyncio", {"use_uvloop": False})
    # In the lab it takes half a minute, and the kernel is the same for all. A served network's
    # server is waited for in each call: by so many at once longer than may block the loop.
    once = bench.implementation == "socket" and on_asyncio and links.kind == "kernel"
    is_quick = links.kind == "user" or once
    count = 200 if is_quick else 50
    errors: list[str] = []

    async def send(number: int, *, vanishes: bool) -> None:
        address = Address.normal(0x100 + 2 * number, 0x101 + 2 * number)
        pdu = bytes([number & 0xFF]) * 100
        async with bench.open(address, frame_txtime=0) as one:
            if vanishes:
                try:
                    await one.send(pdu)
                except FlowControlTimeoutError as error:
                    errors.append(str(error))
                return
            async with (
                bench.open(address.reversed(), frame_txtime=0) as other,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(echo, other)
                assert await one.request(pdu, timeout=60) == pdu
                tasks.cancel_scope.cancel()

    with anyio.fail_after(100):
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(partial(send, number, vanishes=False))
        async with anyio.create_task_group() as tasks, bench.raw() as can:
            for number in range(count):
                tasks.start_soon(partial(send, number, vanishes=True))
            # Each peer takes a block, and is not heard of again.
            for _ in range(count):
                frame = await can.receive()
                while frame.data[:1] != b"\x10":
                    frame = await can.receive()
                await can.send(Frame(frame.id + 1, b"\x30\x02\x00"))
    assert len(errors) == count


async def test_a_flood_of_first_frames_is_bounded(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.pair() as (one, other):
        for number in range(200):
            size = 0x1F40 + number  # 8000 bytes that never come
            await can.send(Frame(0x7E8, b"\x10\0" + size.to_bytes(4, "big") + b"ab"))
            await can.send(Frame(0x7E8, b"\x10\0\x00\xff\xff\xff" + b"ab"))  # too long: overflow
        await other.send(PDU)
        with anyio.fail_after(30):
            assert await one.receive() == PDU
        flood = [frame.data for frame in await can.receive_many()]
        while len(flood) < 400:
            flood += [frame.data for frame in await can.receive_many()]
    assert flood.count(b"\x32\0\0") == 200
    assert flood.count(b"\x30\0\0") >= 200
