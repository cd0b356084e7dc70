"""The side that answers, and requests to many nodes at once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest

import anycan
from anycan import (
    Address,
    AddressError,
    CanError,
    FlowControlTimeoutError,
    Frame,
    InterfaceDownError,
    InterfaceRemovedError,
    IsotpRequest,
    PaddingError,
    PduError,
    SequenceError,
)
from rig.host import in_guest
from rig.isotp import ONE, IsotpBench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

ALL = Address.normal(0x7DF, None)
ECUS = [Address.normal(0x7E8 + number, 0x7E0 + number) for number in range(4)]
TESTERS = [ecu.reversed() for ecu in ECUS]


@pytest.fixture(params=["socket", "engine"])
def bench(request: pytest.FixtureRequest, links: Links) -> IsotpBench:
    implementation: Literal["socket", "engine"] = request.param
    return IsotpBench(links, links.add(), implementation)


@asynccontextmanager
async def serving(bench: IsotpBench, handler: Any, *where: Any, **more: Any) -> AsyncIterator[None]:
    """Run a server for the length of a block, which has thirty seconds."""
    server = partial(
        anycan.serve_isotp,
        handler,
        bench.name,
        *where,
        network=bench.links.network,
        implementation=bench.implementation,
        **more,
    )
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            await tasks.start(server)
            yield
            tasks.cancel_scope.cancel()


def ask(bench: IsotpBench, pdu: bytes, **more: Any) -> anycan.FunctionalRequest:
    options = {"responders": TESTERS, "tx_id": 0x7DF, "timeout": 10.0} | more
    return anycan.functional_request(
        bench.name,
        pdu,
        network=bench.links.network,
        implementation=bench.implementation,
        **options,  # type: ignore[arg-type]  # of many types
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what others tell by a callback."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await anyio.sleep(0.005)


async def answer(request: bytes) -> bytes | None:
    return None if request == b"quiet" else b"re: " + request


async def test_requests_are_answered_or_not(bench: IsotpBench) -> None:
    async with serving(bench, answer, [ONE.reversed()]), bench.open() as link:
        assert await link.request(b"one") == b"re: one"
        assert await link.request(bytes(100)) == b"re: " + bytes(100)
        await link.send(b"quiet")
        assert await link.request(b"two") == b"re: two"


async def test_a_slow_handler_delays_nobody_else(bench: IsotpBench) -> None:
    released = anyio.Event()

    async def slow(request: bytes) -> bytes:
        await released.wait()
        return request

    async with (
        serving(bench, {ECUS[0]: slow, ECUS[1]: answer}),
        bench.open(TESTERS[0]) as one,
        bench.open(TESTERS[1]) as other,
    ):
        await one.send(b"slow")
        for _ in range(3):
            assert await other.request(b"quick") == b"re: quick"
        await one.send(b"again")  # it waits for its turn
        released.set()
        assert await one.receive() == b"slow"
        assert await one.receive() == b"again"


async def test_one_request_is_answered_by_all(bench: IsotpBench) -> None:
    requests: list[tuple[Address, bool]] = []

    async def note(request: IsotpRequest) -> bytes:
        requests.append((request.address, request.functional))
        return bytes([request.address.tx_id & 0xFF]) * 20

    async with serving(bench, note, ECUS, functional=ALL):
        async with ask(bench, b"\x3e\0") as replies:
            heard = {address: reply async for address, reply in replies}
            assert replies.missing == ()
            assert replies.errors == {}
        assert heard == {tester: bytes([tester.rx_id & 0xFF]) * 20 for tester in TESTERS}  # type: ignore[operator]  # it has one
        assert sorted(requests, key=str) == sorted([(ecu, True) for ecu in ECUS], key=str)
        async with bench.open(TESTERS[2]) as link:
            await link.request(b"you")
        assert requests[-1] == (ECUS[2], False)


async def test_who_does_not_answer_is_told(bench: IsotpBench) -> None:
    async with serving(bench, answer, ECUS[:2], functional=ALL):
        replies = ask(bench, b"?", timeout=0.3)
        assert sorted([address.rx_id or 0 async for address, _ in replies]) == [0x7E8, 0x7E9]
        assert replies.missing == tuple(TESTERS[2:])


async def test_nobody_answers(bench: IsotpBench) -> None:
    # The emulated processor may take a while to send the request alone.
    async with ask(bench, b"?", timeout=1.0 if in_guest() else 0.02) as replies:
        assert [reply async for reply in replies] == []
    assert replies.missing == tuple(TESTERS)


async def test_replies_that_are_not_the_last(bench: IsotpBench) -> None:
    async def pending(request: IsotpRequest) -> bytes:
        await request.reply(b"\x7f\x22\x78")
        await request.reply(b"\x7f\x22\x78")
        return b"\x62" + request[1:]

    def is_final(reply: bytes) -> bool:
        return reply != b"\x7f\x22\x78"

    async with serving(bench, pending, ECUS[:1], functional=ALL):
        async with ask(bench, b"\x22\1\2", responders=TESTERS[:1], final=is_final) as replies:
            heard = [reply async for _, reply in replies]
        assert heard == [b"\x7f\x22\x78", b"\x7f\x22\x78", b"\x62\1\2"]
        async with bench.open(TESTERS[0]) as link:
            assert await link.request(b"\x22\3\4", final=is_final) == b"\x62\3\4"
            assert link.statistics().discarded == 2


async def test_a_reply_that_breaks_off_is_told_and_the_others_come(bench: IsotpBench) -> None:
    async with serving(bench, answer, ECUS[1:2], functional=ALL):
        async with (
            bench.raw() as can,
            ask(bench, b"?", responders=TESTERS[:2], timeout=0.3) as replies,
        ):
            for data in (b"\x10\x14abcdef", b"\x23ghijklm"):
                await can.send(Frame(0x7E8, data))
            heard = [(address, reply) async for address, reply in replies]
        assert heard == [(TESTERS[1], b"re: ?")]
        assert replies.missing == (TESTERS[0],)
        assert isinstance(replies.errors[TESTERS[0]], SequenceError)


async def test_leaving_early_closes_what_is_open(bench: IsotpBench) -> None:
    async with serving(bench, answer, ECUS, functional=ALL):
        async with ask(bench, b"?") as replies:
            async for _, reply in replies:
                assert reply == b"re: ?"
                break
        with pytest.raises(StopAsyncIteration):
            await replies.__anext__()


async def test_faults_are_told_and_the_server_goes_on(bench: IsotpBench) -> None:
    faults: list[tuple[Address, CanError]] = []
    told: Callable[[Address, CanError], object] = lambda *fault: faults.append(fault)  # noqa: E731 - with its type

    async def long(_request: bytes) -> bytes:
        return bytes(100)

    server = ONE.reversed()
    async with serving(bench, {server: long}, on_fault=told):
        async with bench.raw() as can:
            for data in (b"\x10\x14abcdef", b"\x23ghijklm"):  # a request that breaks off
                await can.send(Frame(0x7E0, data))
            await can.send(Frame(0x7E0, b"\1?"))  # and one whose reply nobody takes
            await until(lambda: len(faults) == 2)
        async with bench.open() as link:
            assert await link.request(b"?") == bytes(100)
        assert [address for address, _ in faults] == [server, server]
        assert {type(error) for _, error in faults} == {SequenceError, FlowControlTimeoutError}


async def test_a_reply_before_the_last_that_fails_is_a_fault_too(bench: IsotpBench) -> None:
    faults: list[CanError] = []

    async def pending(request: IsotpRequest) -> bytes:
        if request == b"long":
            await request.reply(bytes(100))  # nobody takes it
        return b"last"

    def told(_: Address, error: CanError) -> None:
        faults.append(error)

    async with serving(bench, pending, ECUS[:1], on_fault=told), bench.raw() as can:
        await can.send(Frame(0x7E0, b"\4long"))
        await until(lambda: len(faults) == 1)
        async with bench.open(TESTERS[0]) as link:
            assert await link.request(b"short") == b"last"
    assert isinstance(faults[0], FlowControlTimeoutError)


async def test_a_reply_that_is_too_long_is_a_fault_too(bench: IsotpBench) -> None:
    faults: list[CanError] = []

    async def lengthen(request: bytes) -> bytes:
        return bytes(8301) if request == b"long" else request

    async with (
        serving(bench, lengthen, ECUS[:1], on_fault=lambda _, error: faults.append(error)),
        bench.open(TESTERS[0]) as link,
    ):
        await link.send(b"long")
        await until(lambda: len(faults) == 1)
        assert await link.request(b"short") == b"short"
    assert isinstance(faults[0], PduError)


async def test_a_request_to_all_that_is_wrong_is_a_fault(bench: IsotpBench) -> None:
    faults: list[CanError] = []
    async with (
        serving(
            bench,
            answer,
            ECUS[:1],
            functional=ALL,
            on_fault=lambda _, error: faults.append(error),
            rx_padding=0xAA,
        ),
        bench.raw() as can,
    ):
        for identifier in (0x7E0, 0x7DF):
            await can.send(Frame(identifier, b"\1?"))
        await until(lambda: len(faults) == 2)
    assert {type(error) for error in faults} == {PaddingError}


async def test_each_responder_may_ask_for_time(bench: IsotpBench) -> None:
    timeout = 1.0 if in_guest() else 0.15  # the emulated processor takes its time

    async def pending(request: IsotpRequest) -> bytes:
        if request.address == ECUS[0]:
            await request.reply(b"pending")
            await anyio.sleep(2 * timeout)
        return b"final"

    async with (
        serving(bench, pending, ECUS[:2], functional=ALL),
        ask(
            bench,
            b"?",
            responders=TESTERS[:3],
            timeout=timeout,
            final=lambda reply: reply != b"pending",
            pending_timeout=20.0,
        ) as replies,
    ):
        heard = [(address.tx_id, reply) async for address, reply in replies]
    assert sorted(heard) == [(0x7E0, b"final"), (0x7E0, b"pending"), (0x7E1, b"final")]
    assert replies.missing == (TESTERS[2],)


async def test_a_cancelled_wait_for_a_reply_loses_none(bench: IsotpBench) -> None:
    async def slow(request: bytes) -> bytes:
        await anyio.sleep(0.1)
        return request

    async with serving(bench, slow, ECUS[:2], functional=ALL), ask(bench, b"?") as replies:
        with anyio.move_on_after(0.01):
            await anext(replies)
        assert [(await anext(replies))[1] for _ in range(2)] == [b"?", b"?"]


async def test_closing_from_elsewhere_ends_the_iteration(bench: IsotpBench) -> None:
    ended: list[bool] = []

    async with ask(bench, b"?") as replies, anyio.create_task_group() as tasks:

        async def iterate() -> None:
            async for _ in replies:
                pass
            ended.append(True)

        tasks.start_soon(iterate)
        await anyio.sleep(0.02)
        await replies.aclose()
    assert ended == [True]


async def test_a_handler_is_tested_by_itself() -> None:
    request = IsotpRequest(b"\x3e\0", ECUS[0], functional=True)
    assert (request, request.address, request.functional) == (b"\x3e\0", ECUS[0], True)
    with pytest.raises(RuntimeError, match="nobody waits"):
        await request.reply(b"")
    sent: list[bytes] = []

    async def send(pdu: bytes) -> None:
        sent.append(pdu)

    await IsotpRequest(b"", ECUS[0], send=send).reply(b"\x7e")
    assert sent == [b"\x7e"]


async def test_the_interface_goes_down_and_then_away(bench: IsotpBench) -> None:
    faults: list[CanError] = []
    removed: list[InterfaceRemovedError] = []

    async def run(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        try:
            await anycan.serve_isotp(
                answer,
                bench.name,
                ECUS[:2],
                functional=ALL,
                on_fault=lambda _, error: faults.append(error),
                network=bench.links.network,
                implementation=bench.implementation,
                task_status=task_status,
            )
        except InterfaceRemovedError as error:
            removed.append(error)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            await tasks.start(run)
            bench.links.down(bench.name)
            await until(lambda: len(faults) == 2)
            assert all(isinstance(error, InterfaceDownError) for error in faults)
            with pytest.raises(InterfaceDownError):
                async with ask(bench, b"?"):
                    pass
            bench.links.up(bench.name)
            async with bench.open(TESTERS[0]) as link:
                assert await link.request(b"?") == b"re: ?"
            bench.links.remove(bench.name)
            await until(lambda: bool(removed))
            assert len(faults) in {2, 4}  # a link that is removed may go down first


async def test_what_a_handler_raises_ends_the_server(bench: IsotpBench) -> None:
    async def fail(request: bytes) -> bytes:
        raise KeyError(request)

    async def ask_for_it() -> None:
        async with serving(bench, fail, [ONE.reversed()]), bench.open() as link:
            await link.send(b"?")
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await ask_for_it()
    assert caught.group_contains(KeyError)


async def test_what_cannot_be_served_or_asked(bench: IsotpBench) -> None:
    with pytest.raises(TypeError, match="which addresses"):
        await anycan.serve_isotp(answer, bench.name)
    with pytest.raises(TypeError, match="has the addresses already"):
        await anycan.serve_isotp({ONE: answer}, bench.name, [ONE])
    with pytest.raises(AddressError, match="no address to serve"):
        await anycan.serve_isotp(answer, bench.name, [])
    with pytest.raises(AddressError, match="is functional"):
        await anycan.serve_isotp(answer, bench.name, [ALL])
    with pytest.raises(AddressError, match="is of one node"):
        await anycan.serve_isotp(answer, bench.name, [ONE], functional=ONE)
    with pytest.raises(AddressError, match="is asked by alone"):
        await anycan.serve_isotp(answer, bench.name, [ONE], functional=Address.normal(0x7E8, None))
    for wrong in ({"functional": 0x7DF}, {"addresses": [0x7E0]}):
        with pytest.raises(TypeError):
            await anycan.serve_isotp(answer, bench.name, **({"addresses": [ONE]} | wrong))
    with pytest.raises(AddressError, match="whom to ask"):
        anycan.functional_request(bench.name, b"?", responders=[])
    with pytest.raises(AddressError, match="is of one node"):
        anycan.functional_request(bench.name, b"?", responders=[], address=ONE)
    with pytest.raises(AddressError, match="a responder sends"):
        ask(bench, b"?", responders=[ALL])
    with pytest.raises(TypeError, match="a responder is"):
        ask(bench, b"?", responders=[0x7E8])
