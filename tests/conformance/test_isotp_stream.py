"""ISO-TP as a stream: PDUs of every size both ways, in every addressing mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.lowlevel
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import Address, FdFrame, Frame, IsotpAttribute, PduError
from rig.isotp import ONE, IsotpBench, echo

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SIZES = [1, 7, 8, 62, 63, 4095, 4096, 8300]


@pytest.fixture(params=["socket", "engine"])
def bench(request: pytest.FixtureRequest, links: Links) -> IsotpBench:
    implementation: Literal["socket", "engine"] = request.param
    return IsotpBench(links, links.add(), implementation)


def content(size: int) -> bytes:
    return bytes(number * 7 & 0xFF for number in range(size))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="classical"),
        pytest.param({"fd": True, "brs": True}, id="flexible"),
        pytest.param({"padding": 0xAA, "rx_padding": 0xAA, "block_size": 8}, id="padded"),
    ],
)
async def test_pdus_of_every_size_go_both_ways(bench: IsotpBench, options: dict[str, Any]) -> None:
    with anyio.fail_after(100):
        async with bench.pair(frame_txtime=0, **options) as (one, other):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(echo, other)
                for size in SIZES:
                    assert await one.request(content(size)) == content(size)
                tasks.cancel_scope.cancel()
            assert one.statistics().sent == one.statistics().received == len(SIZES)
            assert one.statistics().errors == other.statistics().errors == 0


@pytest.mark.parametrize(
    "address",
    [
        Address.normal(0x7E0, 0x7E8),
        Address.normal(0x123, 0x456, extended=True),
        Address.normal_fixed(target=0x10, source=0xF1),
        Address.extended(0x6F1, 0x612, target=0x12, source=0xF1),
        Address.mixed_11(0x7E0, 0x7E8, extension=0x55),
        Address.mixed_29(target=0x10, source=0xF1, extension=0x55),
    ],
    ids=lambda address: address.mode.value,
)
async def test_every_addressing_mode(bench: IsotpBench, address: Address) -> None:
    with anyio.fail_after(60):
        async with bench.raw() as can, bench.pair(address) as (one, other):
            for size in (5, 100):
                await one.send(content(size))
                assert await other.receive() == content(size)
                await other.send(content(size))
                assert await one.receive() == content(size)
            frames = [can.receive_nowait() for _ in range(2)]
            rest = await can.receive_many()
    head = b"" if address.tx_extension is None else bytes((address.tx_extension,))
    first = (head + b"\x10\x64" + content(6))[:8]
    wide = address.extended_ids
    assert frames[0] == Frame(address.tx_id, head + b"\5" + content(5), extended=wide)
    back = b"" if address.rx_extension is None else bytes((address.rx_extension,))
    answer = Frame(address.rx_id or 0, back + b"\5" + content(5), extended=wide)
    assert frames[1] == answer
    assert first in [frame.data for frame in rest]


async def test_a_pdu_has_been_sent_when_send_returns(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.pair() as (one, _):
        await one.send(content(20))
        frames = await can.receive_many()
        assert not one.transmitting
    assert [frame.data for frame in frames] == [
        b"\x10\x14" + content(20)[:6],
        b"\x30\x00\x00",
        b"\x21" + content(20)[6:13],
        b"\x22" + content(20)[13:],
    ]


async def test_can_fd_alone_is_spoken_where_it_is_asked_for(bench: IsotpBench) -> None:
    async with bench.raw() as can, bench.open(fd=True, tx_dl=16) as link:
        await can.send(Frame(0x7E8, b"\1\1"))
        await can.send(FdFrame(0x7E8, b"\1\2"))
        with anyio.fail_after(10):
            assert await link.receive() == b"\2"
        await link.send(content(10))
        sent = await can.receive()
    assert sent == FdFrame(0x7E0, b"\0\x0a" + content(10))


async def test_pdus_of_several_tasks_are_sent_one_after_the_other(bench: IsotpBench) -> None:
    async with bench.pair(frame_txtime=0) as (one, other), anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(one.send, bytes([number]) * 50)
        with anyio.fail_after(30):
            received = [await other.receive() for _ in range(10)]
    assert sorted(received) == [bytes([number]) * 50 for number in range(10)]


async def test_a_second_receiver_is_refused(bench: IsotpBench) -> None:
    async with bench.open() as link, anyio.create_task_group() as tasks:
        tasks.start_soon(link.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await link.receive()
        tasks.cancel_scope.cancel()


async def test_a_cancelled_receive_loses_nothing(bench: IsotpBench) -> None:
    async with bench.pair() as (one, other):
        with anyio.move_on_after(0.01):
            await other.receive()
        await one.send(b"kept")
        with anyio.fail_after(10):
            assert await other.receive() == b"kept"
        with pytest.raises(anyio.WouldBlock):
            other.receive_nowait()


async def test_closing_wakes_who_waits(bench: IsotpBench) -> None:
    outcomes: list[str] = []

    async def wait(call: Any, *arguments: Any) -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await call(*arguments)
        outcomes.append(call.__name__)

    async with bench.open() as link, anyio.create_task_group() as tasks:
        tasks.start_soon(wait, link.receive)
        tasks.start_soon(wait, link.send, content(100))  # no peer: it waits for flow control
        for _ in range(10):  # both get to where they wait
            await checkpoint()
        assert link.transmitting
        await link.aclose()
    assert sorted(outcomes) == ["receive", "send"]
    with pytest.raises(anyio.ClosedResourceError):
        await link.send(b"late")
    with pytest.raises(anyio.ClosedResourceError):
        link.receive_nowait()
    await link.aclose()
    assert link.extra(IsotpAttribute.fd) == -1
    assert repr(link) == f"<IsotpLink {bench.name} Address.normal(0x7E0, 0x7E8) closed>"


async def test_what_cannot_be_sent_is_refused(bench: IsotpBench) -> None:
    most = 8300
    async with bench.open() as link:
        with pytest.raises(PduError, match="at least one byte"):
            await link.send(b"")
        with pytest.raises(PduError, match=f"at most {most} bytes here, not {most + 1}"):
            await link.send(bytes(most + 1))
        with pytest.raises(TypeError):
            await link.send("text")
        assert link.statistics().sent == 0


async def test_a_request_is_not_answered_by_what_was_there_before(bench: IsotpBench) -> None:
    async with bench.pair() as (one, other), anyio.create_task_group() as tasks:
        await other.send(b"stale")
        await anyio.sleep(0.01)
        tasks.start_soon(echo, other)
        assert await one.request(b"fresh", timeout=10) == b"fresh"
        assert one.statistics().discarded == 1
        tasks.cancel_scope.cancel()


async def test_a_request_that_is_not_answered_times_out(bench: IsotpBench) -> None:
    async with bench.pair() as (one, other):
        with pytest.raises(TimeoutError):
            await one.request(b"?", timeout=0.02)
        assert await other.receive() == b"?"
        assert not one.transmitting


async def test_replies_that_are_not_the_last_put_the_end_off(bench: IsotpBench) -> None:
    async def answer(link: anycan.IsotpLink) -> None:
        await link.receive()
        for _ in range(3):
            await link.send(b"pending")
            await anyio.sleep(0.02)
        await link.send(b"final")

    def is_final(reply: bytes) -> bool:
        return reply != b"pending"

    async with bench.pair() as (one, other), anyio.create_task_group() as tasks:
        tasks.start_soon(answer, other)
        reply = await one.request(b"?", timeout=5, final=is_final, pending_timeout=10)
        assert reply == b"final"
        assert one.statistics().discarded == 3
        tasks.start_soon(answer, other)
        with pytest.raises(TimeoutError):  # sooner than it was to be at first
            await one.request(b"?", timeout=100, final=is_final, pending_timeout=0.001)
        tasks.cancel_scope.cancel()


async def test_what_an_endpoint_tells_of_itself(bench: IsotpBench) -> None:
    async with bench.open() as link:
        assert link.extra(IsotpAttribute.interface) == bench.name
        assert link.extra(IsotpAttribute.interface_index) == bench.links.network.interface_index(
            bench.name
        )
        assert link.extra(IsotpAttribute.network) is bench.links.network
        assert link.extra(IsotpAttribute.address) == ONE
        assert link.extra(IsotpAttribute.implementation) == bench.implementation
        assert link.extra(IsotpAttribute.max_pdu_size) == 8300
        assert link.extra(IsotpAttribute.fd) >= 0


async def test_long_pdus_by_the_engine(links: Links) -> None:
    bench = IsotpBench(links, links.add(), "engine")
    pdu = content(1_000_000)
    async with (
        bench.pair(fd=True, max_pdu_size=1_000_000) as (one, other),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(echo, other)
        assert await one.request(pdu, timeout=100) == pdu
        tasks.cancel_scope.cancel()


async def test_long_pdus_on_a_user_network() -> None:
    pdu = content(1_000_000)
    async with anycan.UserNetwork(max_pdu_size=1_000_000) as network:
        network.add_vcan("vcan0")
        async with (
            anycan.open_isotp(
                "vcan0", address=ONE, fd=True, frame_txtime=0, network=network
            ) as one,
            anycan.open_isotp(
                "vcan0", address=ONE.reversed(), fd=True, frame_txtime=0, network=network
            ) as other,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(echo, other)
            assert await one.request(pdu, timeout=100) == pdu
            tasks.cancel_scope.cancel()
