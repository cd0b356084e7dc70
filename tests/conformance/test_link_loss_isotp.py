"""ISO-TP endpoints that wait for a link that is lost, and go on when it is back."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import (
    Address,
    Frame,
    IsotpAttribute,
    IsotpSendError,
    LinkCondition,
    LinkGap,
    SendUnconfirmedError,
)
from rig.isotp import ONE, IsotpBench, echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan import IsotpLink, IsotpTransport, RawEndpoint
    from rig.links import Links

_LONG = 20  # seconds; the lab is slow
PDU = bytes(range(100))
OVERFLOW = Frame(0x7E8, b"\x32\0\0")


@pytest.fixture(params=["socket", "engine"])
def bench(request: pytest.FixtureRequest, links: Links) -> IsotpBench:
    implementation: Literal["socket", "engine"] = request.param
    return IsotpBench(links, links.add(), implementation)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    with anyio.fail_after(_LONG):
        while not condition():  # noqa: ASYNC110 - what it is to be is no event
            await anyio.sleep(0.001)


def lose(links: Links, name: str, *, removed: bool) -> None:
    """Let a link be lost."""
    (links.remove if removed else links.down)(name)


def restore(links: Links, name: str, *, removed: bool) -> None:
    """Have it back."""
    if removed:
        links.add(name)
    else:
        links.up(name)


async def first_frame(can: RawEndpoint) -> None:
    """Wait until somebody has begun to send a long PDU."""
    with anyio.fail_after(_LONG):
        while (await can.receive()).data[:1] != b"\x10":
            pass


@pytest.mark.anyio
async def test_both_ends_wait_for_a_link_that_goes_down(bench: IsotpBench) -> None:
    gaps: list[LinkGap] = []
    async with (
        bench.open(on_link_loss="wait") as one,
        bench.open(ONE.reversed(), on_link_loss="wait", on_gap=gaps.append) as other,
    ):
        await one.send(b"before")
        bench.links.down(bench.name)
        bench.links.up(bench.name)
        with anyio.fail_after(_LONG):
            await one.send(PDU)
            assert [await other.receive() for _ in range(2)] == [b"before", PDU]
            await other.send(b"back")
            assert await one.receive() == b"back"
        assert other.gap is None
        assert one.statistics().gaps == other.statistics().gaps == 1
    began, ended = gaps
    assert (began.interface, began.condition) == (bench.name, LinkCondition.DOWN)
    assert began.ended_ns is None
    assert ended.began_ns == began.began_ns
    assert ended.seconds is not None
    assert ended.seconds >= 0


@pytest.mark.anyio
async def test_who_receives_is_not_told(bench: IsotpBench) -> None:
    async with bench.pair(on_link_loss="wait") as (one, other), anyio.create_task_group() as tasks:
        taken: list[bytes] = []

        async def receive() -> None:
            taken.append(await other.receive())

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        bench.links.down(bench.name)
        await anyio.sleep(0.01)
        assert other.gap is not None
        with pytest.raises(anyio.WouldBlock):
            one.receive_nowait()
        bench.links.up(bench.name)
        with anyio.fail_after(_LONG):
            await one.send(PDU)
        await until(lambda: taken == [PDU])


@pytest.mark.anyio
async def test_sending_waits_for_the_link_up_to_the_callers_deadline(bench: IsotpBench) -> None:
    async with bench.pair(on_link_loss="wait") as (one, other):
        bench.links.down(bench.name)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await one.send(PDU)
        assert one.gap is not None
        assert one.gap.condition is LinkCondition.DOWN
        assert not one.transmitting
        with pytest.raises(TimeoutError):
            await one.request(b"in all", timeout=0.05)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.send, b"waits")
            await anyio.wait_all_tasks_blocked()
            bench.links.up(bench.name)
        with anyio.fail_after(_LONG):
            assert await other.receive() == b"waits"
        assert one.statistics().sent == 1


@pytest.mark.anyio
async def test_a_request_waits_for_the_link_and_for_the_reply(bench: IsotpBench) -> None:
    async with bench.pair(on_link_loss="wait") as (one, other), anyio.create_task_group() as tasks:
        replies: list[bytes] = []

        async def ask() -> None:
            replies.append(await one.request(PDU, timeout=_LONG))
            tasks.cancel_scope.cancel()

        tasks.start_soon(echo, other)
        bench.links.remove(bench.name)
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        bench.links.add(bench.name)
    assert replies == [PDU]


@pytest.mark.anyio
async def test_an_interface_that_is_made_anew_is_bound_to_with_addresses_and_options(
    bench: IsotpBench,
) -> None:
    gaps: list[LinkGap] = []
    address = Address.extended(0x6F1, 0x6F9, target=0x12, source=0xF1)
    options: dict[str, Any] = {"padding": 0x55, "block_size": 3, "on_link_loss": "wait"}
    async with (
        bench.open(address, on_gap=gaps.append, **options) as one,
        bench.open(address.reversed(), **options) as other,
    ):
        await one.send(b"before")
        with anyio.fail_after(_LONG):
            assert await other.receive() == b"before"
        bench.links.remove(bench.name)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await one.send(b"never")
        assert one.gap is not None
        assert one.gap.condition is LinkCondition.REMOVED
        with pytest.raises(anyio.WouldBlock):
            one.receive_nowait()
        bench.links.add(bench.name)
        async with bench.raw() as can:
            with anyio.fail_after(_LONG):
                await one.send(PDU)
                assert await other.receive() == PDU
                first, control = [await can.receive() for _ in range(2)]
                assert (first.id, first.data[:3]) == (0x6F1, b"\x12\x10\x64")
                assert control == Frame(0x6F9, b"\xf1\x30\x03\x00\x55\x55\x55\x55")
        index = bench.links.network.interface_index(bench.name)
        assert one.extra(IsotpAttribute.interface_index) == index
    assert [gap.ended_ns is None for gap in gaps] == [True, False]
    assert gaps[1].condition is LinkCondition.REMOVED


@pytest.mark.anyio
async def test_what_came_before_the_interface_was_removed_is_received(bench: IsotpBench) -> None:
    async with bench.open(on_link_loss="wait") as link, bench.raw() as can:
        await can.send(Frame(0x7E8, b"\x03one"))
        await anyio.sleep(0.01)
        await can.send(Frame(0x7E8, b"\x03two"))
        bench.links.remove(bench.name)  # perhaps it waits in the socket, which is not to be read
        taken: list[bytes] = []

        async def receive() -> None:
            while len(taken) < 3:
                taken.append(await link.receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.sleep(0.01)
            await anyio.wait_all_tasks_blocked()
            bench.links.add(bench.name)
            await until(lambda: link.gap is None)
            async with bench.raw() as new:
                await new.send(Frame(0x7E8, b"\x05three"))
                await until(lambda: len(taken) == 3)
    assert taken == [b"one", b"two", b"three"]


@pytest.mark.anyio
async def test_a_transfer_that_was_under_way_fails_and_the_next_one_waits(
    bench: IsotpBench,
) -> None:
    outcomes: list[type[Exception]] = []

    async def send() -> None:
        with pytest.raises(IsotpSendError) as caught:
            await one.send(PDU)
        outcomes.append(type(caught.value))

    async with bench.open(on_link_loss="wait") as one:
        async with bench.raw() as can, anyio.create_task_group() as tasks:
            with anyio.fail_after(_LONG):
                tasks.start_soon(send)
                await first_frame(can)
                bench.links.remove(bench.name)
        assert outcomes == [SendUnconfirmedError]
        bench.links.add(bench.name)
        await until(lambda: one.gap is None)
        async with bench.open(ONE.reversed()) as other, bench.raw() as can:
            await can.send(OVERFLOW)  # else it waits for flow control, a second at the most
            with anyio.fail_after(_LONG):
                await one.send(b"next")
                assert await other.receive() == b"next"
                # It was not sent again, whole or in part.
                assert (await can.receive()).data == b"\x04next"
        assert one.statistics().sent == 1


@pytest.mark.anyio
async def test_a_transfer_goes_on_when_the_link_is_back_in_time(bench: IsotpBench) -> None:
    async with (
        bench.open(on_link_loss="wait") as one,
        bench.raw(on_link_loss="wait") as can,
        anyio.create_task_group() as tasks,
    ):
        with anyio.fail_after(_LONG):
            tasks.start_soon(one.send, PDU)
            await first_frame(can)
            bench.links.down(bench.name)
            bench.links.up(bench.name)
            # Else that may be told at the end, in the place of whether it was sent.
            await until(lambda: one.statistics().errors == 1)
            await can.send(Frame(0x7E8, b"\x30\0\0"))
            last = Frame(0x7E0)
            while last.data[:1] != b"\x2e":
                last = await can.receive()
        assert last.data[1:] == PDU[97:]


@pytest.mark.anyio
async def test_closing_wakes_who_waits_in_a_gap(bench: IsotpBench) -> None:
    outcomes: list[str] = []

    async def run(call: Callable[[], object]) -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await call()  # type: ignore[misc]
        outcomes.append("woken")

    async with bench.open(on_link_loss="wait") as link:
        bench.links.remove(bench.name)
        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, link.receive)
                tasks.start_soon(run, lambda: link.send(PDU))
                await anyio.sleep(0.01)
                await anyio.wait_all_tasks_blocked()
                await link.aclose()
    assert outcomes == ["woken", "woken"]


@pytest.mark.anyio
async def test_one_task_receives_in_a_gap_too(bench: IsotpBench) -> None:
    async with bench.open(on_link_loss="wait") as link, anyio.create_task_group() as tasks:
        bench.links.remove(bench.name)
        tasks.start_soon(link.receive)
        await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await link.receive()
        with pytest.raises(anyio.BusyResourceError):
            await link.request(b"never", timeout=_LONG)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_server_goes_on_answering_when_the_interface_was_made_anew(
    bench: IsotpBench,
) -> None:
    ecus = [Address.normal(0x7E8 + number, 0x7E0 + number) for number in range(2)]
    to_all = Address.normal(0x7DF, None)
    options: dict[str, Any] = {
        "network": bench.links.network,
        "implementation": bench.implementation,
        "on_link_loss": "wait",
    }
    gaps: list[LinkGap] = []
    faults: list[Exception] = []

    async def answer(request: bytes) -> bytes:
        return bytes((request[0] + 0x40,)) + request[1:]

    async def serve(task_status: Any) -> None:
        await anycan.serve_isotp(
            answer,
            bench.name,
            ecus,
            functional=to_all,
            on_fault=lambda _, error: faults.append(error),
            on_gap=gaps.append,
            task_status=task_status,
            **options,
        )

    async def ask_all() -> list[tuple[Address, bytes]]:
        async with anycan.functional_request(
            bench.name,
            b"\x3e\x00",
            address=to_all,
            responders=[ecu.reversed() for ecu in ecus],
            timeout=_LONG,
            **options,
        ) as replies:
            return sorted([reply async for reply in replies], key=lambda reply: reply[0].rx_id or 0)

    expected = [(ecu.reversed(), b"\x7e\x00") for ecu in ecus]
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve)
        async with bench.open(ecus[1].reversed(), on_link_loss="wait") as tester:
            assert await tester.request(PDU, timeout=_LONG) == b"\x40" + PDU[1:]
            for removed in (False, True):
                lose(bench.links, bench.name, removed=removed)
                restore(bench.links, bench.name, removed=removed)
                assert await tester.request(PDU, timeout=_LONG) == b"\x40" + PDU[1:]
                assert await ask_all() == expected
        tasks.cancel_scope.cancel()
    assert [(gap.condition, gap.ended_ns is None) for gap in gaps] == [
        (LinkCondition.DOWN, True),
        (LinkCondition.DOWN, False),
        (gaps[2].condition, True),  # that it is going down may be told first
        (LinkCondition.REMOVED, False),
    ]
    # The tester has its reply before the server knows that it was sent.
    assert {type(error) for error in faults} <= {SendUnconfirmedError}


@pytest.mark.anyio
async def test_a_functional_request_waits_for_the_link_and_tells_once(bench: IsotpBench) -> None:
    gaps: list[LinkGap] = []
    ecus = [Address.normal(0x7E0 + number, 0x7E8 + number) for number in range(2)]
    bench.links.down(bench.name)
    requests = anycan.functional_request(
        bench.name,
        b"\x3e\x00",
        tx_id=0x7DF,
        responders=ecus,
        timeout=0.05,
        on_link_loss="wait",
        on_gap=gaps.append,
        network=bench.links.network,
        implementation=bench.implementation,
    )
    with pytest.raises(TimeoutError):
        async with requests:
            pass
    assert [gap.ended_ns for gap in gaps] == [None]


class Counting:
    """One end that sends numbers, and one that receives them.

    Attributes:
        acknowledged: Those of which ``send`` returned.
        unconfirmed: Those of which it is not known.
        received: Those that came.
    """

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.unconfirmed: list[int] = []
        self.received: list[int] = []
        self.stopped = False

    async def receive(self, link: IsotpLink) -> None:
        while True:
            with suppress(anycan.IsotpReceiveError):
                self.received.append(int.from_bytes(await link.receive(), "big"))

    async def send(self, link: IsotpLink) -> None:
        number = 0
        while not self.stopped:
            number += 1
            try:
                await link.send(number.to_bytes(4, "big"))
            except IsotpSendError:
                self.unconfirmed.append(number)
            else:
                self.acknowledged.append(number)
            await checkpoint()

    async def have_more(self) -> None:
        before = len(self.acknowledged)
        await until(lambda: len(self.acknowledged) > before)


@pytest.mark.anyio
async def test_two_ends_live_through_many_faults(bench: IsotpBench) -> None:
    chance = random.Random(1)
    cycles = 25
    links, name, numbers = bench.links, bench.name, Counting()
    async with bench.pair(on_link_loss="wait") as (one, other), anyio.create_task_group() as tasks:
        tasks.start_soon(numbers.receive, other)
        async with anyio.create_task_group() as sending:
            sending.start_soon(numbers.send, one)
            for _ in range(cycles):
                await numbers.have_more()
                removed = chance.random() < 0.5
                lose(links, name, removed=removed)
                for _ in range(chance.randrange(4)):
                    await checkpoint()
                restore(links, name, removed=removed)
            await numbers.have_more()
            numbers.stopped = True
        await until(lambda: set(numbers.acknowledged) <= set(numbers.received))
        tasks.cancel_scope.cancel()
    # What came is in its order, once each; and all but what was not confirmed was acknowledged.
    assert numbers.received == sorted(set(numbers.received))
    assert set(numbers.received) - set(numbers.acknowledged) <= set(numbers.unconfirmed)
    assert other.statistics().gaps == cycles


class Recorder(anycan.IsotpProtocol):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def pdu_received(self, pdu: bytes) -> None:
        self.calls.append(("received", pdu))

    def pdu_sent(self, pdu: bytes) -> None:
        self.calls.append(("sent", pdu))

    def send_failed(self, pdu: bytes, exc: anycan.CanError) -> None:
        self.calls.append(("failed", pdu, type(exc)))

    def error_received(self, exc: anycan.CanOSError) -> None:
        self.calls.append(("error", type(exc)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("lost", exc))

    async def called(self, *call: object) -> None:
        """Wait for a call."""
        await until(lambda: call in self.calls)


async def open_transport(
    bench: IsotpBench, address: Address = ONE, **options: Any
) -> tuple[IsotpTransport, Recorder]:
    return await anycan.create_isotp_transport(
        Recorder,
        bench.name,
        address=address,
        network=bench.links.network,
        implementation=bench.implementation,
        on_link_loss="wait",
        **options,
    )


@pytest.mark.asyncio
async def test_a_transport_goes_on(bench: IsotpBench) -> None:
    gaps: list[LinkGap] = []
    transport, protocol = await open_transport(bench, on_gap=gaps.append)
    other, peer = await open_transport(bench, ONE.reversed())
    index = transport.get_extra_info("interface_index")
    for removed in (False, True):
        lose(bench.links, bench.name, removed=removed)
        pdus = [bytes([removed]), bytes([removed]) + PDU]
        for one in (transport, other):
            for pdu in pdus:
                one.send(pdu)
        await asyncio.sleep(0.02)
        lost = transport.gap
        assert lost is not None
        assert transport.get_write_buffer_size() == 2
        restore(bench.links, bench.name, removed=removed)
        for recorder in (protocol, peer):
            await recorder.called("received", pdus[1])
            await recorder.called("sent", pdus[1])
        assert transport.statistics().gaps == 1 + removed
    assert transport.get_extra_info("interface_index") not in {index, None}
    assert [gap.ended_ns is None for gap in gaps] == [True, False] * 2
    for one in (transport, other):
        one.close()
    for recorder in (protocol, peer):
        await recorder.called("lost", None)
        assert {call[0] for call in recorder.calls} == {"sent", "received", "lost"}


@pytest.mark.asyncio
async def test_a_transports_transfer_that_was_under_way_fails(bench: IsotpBench) -> None:
    transport, protocol = await open_transport(bench)
    async with bench.raw() as can:
        transport.send(PDU)
        transport.send(b"next")
        await first_frame(can)
        bench.links.remove(bench.name)
    await protocol.called("failed", PDU, SendUnconfirmedError)
    bench.links.add(bench.name)
    await until(lambda: transport.gap is None)
    async with bench.raw() as can:
        await can.send(OVERFLOW)  # else it waits for flow control, a second at the most
        await protocol.called("sent", b"next")
    transport.close()
    await protocol.called("lost", None)
    assert len(protocol.calls) == 3


@pytest.mark.asyncio
async def test_a_transport_is_closed_once_what_waits_has_been_sent(bench: IsotpBench) -> None:
    transport, protocol = await open_transport(bench)
    bench.links.remove(bench.name)
    transport.send(b"waits")
    transport.close()
    await asyncio.sleep(0.01)
    assert protocol.calls == []
    bench.links.add(bench.name)
    await protocol.called("lost", None)
    assert protocol.calls == [("sent", b"waits"), ("lost", None)]


@pytest.mark.asyncio
async def test_a_transport_is_aborted_in_a_gap(bench: IsotpBench) -> None:
    transport, protocol = await open_transport(bench)
    bench.links.remove(bench.name)
    transport.send(b"never")
    await asyncio.sleep(0.01)
    transport.abort()
    await protocol.called("lost", None)
    assert protocol.calls == [("lost", None)]
