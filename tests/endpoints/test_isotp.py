"""ISO-TP where poll lies, where there is no room, where PDUs are too long; and its closing."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

import anycan
from anycan import (
    Address,
    CanError,
    FlowControlOverflowError,
    Frame,
    IsotpProtocol,
    UserNetwork,
)
from anycan.endpoints import isotp_link as module
from anycan.endpoints import isotp_transport as transport_module
from anycan.endpoints.isotp_opening import open_isotp_socket
from anycan.network.core.isotp import IsotpSocketCore
from anycan.sockets.isotp import IsotpSocket
from anycan.sockets.isotp_options import IsotpSocketOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE = Address.normal(0x7E0, 0x7E8)
PDU = bytes(range(20))  # a first frame and two consecutive ones
LAST = b"\x22" + PDU[13:]
LIMIT = 10.0  # seconds: that something has gone wrong


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


@pytest.fixture
def always_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let poll say all the time that there is room, as kernels before 6.2 do."""
    monkeypatch.setattr(IsotpSocketCore, "writable", True)


@pytest.fixture
def never_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let poll never say that there is room: the wake-up is lost, as on some kernels from 6.2."""
    monkeypatch.setattr(IsotpSocketCore, "writable", False)
    for one in (module, transport_module):
        monkeypatch.setattr(one, "_LOOK_AGAIN", 0.002)


class Looks:
    """Counts how often it is asked whether a PDU has been sent, and says when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._begin = 0.0
        sent = IsotpSocket.sent

        def look(one: IsotpSocket) -> bool:
            self.count += 1
            return sent(one)

        monkeypatch.setattr(IsotpSocket, "sent", look)

    @contextmanager
    def paced(self) -> Iterator[None]:
        """Check that so many looks belong to the time that the block takes."""
        self.count = 0
        begin = time.monotonic()
        yield
        milliseconds = (time.monotonic() - begin) * 1000
        # Whoever spins looks many times in a millisecond. Loops' clocks are coarse, too.
        assert 1 <= self.count <= 6 + 2 * milliseconds


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def open_link(network: UserNetwork, address: Address = ONE, **options: Any) -> Any:
    return anycan.open_isotp("vcan0", address=address, network=network, **options)


def open_raw(network: UserNetwork) -> Any:
    return anycan.open_raw("vcan0", network=network)


async def until_it_waits(link: anycan.IsotpLink) -> None:
    """Wait until a PDU is being sent, and its sender waits."""
    with anyio.fail_after(LIMIT):
        while not link.transmitting:
            await checkpoint()
        for _ in range(5):
            await checkpoint()


both_implementations = pytest.mark.parametrize("implementation", ["socket", "engine"])


@pytest.mark.anyio
@pytest.mark.usefixtures("always_writable")
class TestPollThatSaysSoTooEarly:
    @both_implementations
    async def test_send_returns_after_the_last_frame(
        self, network: UserNetwork, implementation: Any
    ) -> None:
        options = {"implementation": implementation}
        async with (
            open_raw(network) as can,
            open_link(network, **options) as one,
            open_link(network, ONE.reversed(), **options) as other,
        ):
            with anyio.fail_after(LIMIT):
                await one.send(PDU)
            assert not one.transmitting
            frames = []
            with anyio.fail_after(LIMIT):
                while LAST not in frames:
                    frames.append(can.receive_nowait().data)
                assert await other.receive() == PDU
            assert frames[0][:1] == b"\x10"
            assert one.statistics().errors == 0

    @both_implementations
    async def test_it_is_not_asked_again_and_again(
        self, network: UserNetwork, implementation: Any, looks: Looks
    ) -> None:
        options = {"implementation": implementation}
        async with (
            open_link(network, **options) as one,
            open_link(network, ONE.reversed(), stmin=0.02, **options) as other,
        ):
            with anyio.fail_after(LIMIT), looks.paced():
                await one.send(PDU)
            assert await other.receive() == PDU

    async def test_nor_while_nobody_answers(self, network: UserNetwork, looks: Looks) -> None:
        async with open_link(network) as link:
            with looks.paced(), anyio.move_on_after(0.03) as scope:
                await link.send(PDU)
            assert scope.cancelled_caught
            assert link.transmitting

    async def test_a_failure_is_told_when_it_comes(self, network: UserNetwork) -> None:
        async with (
            open_raw(network) as can,
            open_link(network) as link,
            anyio.create_task_group() as tasks,
        ):

            async def refuse() -> None:
                while (await can.receive()).data[:1] != b"\x10":
                    pass
                await can.send(Frame(0x7E8, b"\x32\0\0"))

            tasks.start_soon(refuse)
            with anyio.fail_after(LIMIT), pytest.raises(FlowControlOverflowError):
                await link.send(PDU)

    async def test_others_run_meanwhile(self, network: UserNetwork) -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await checkpoint()
                turns += 1

        async with open_link(network) as link, anyio.create_task_group() as tasks:
            tasks.start_soon(turn)
            with anyio.move_on_after(0.02):
                await link.send(PDU)
            tasks.cancel_scope.cancel()
        assert turns > 20


@pytest.mark.anyio
@pytest.mark.usefixtures("never_writable")
class TestPollThatNeverSaysSo:
    @both_implementations
    async def test_send_returns_all_the_same(
        self, network: UserNetwork, implementation: Any
    ) -> None:
        options = {"implementation": implementation}
        async with (
            open_link(network, **options) as one,
            open_link(network, ONE.reversed(), **options) as other,
        ):
            with anyio.fail_after(LIMIT):
                for _ in range(3):
                    await one.send(PDU)
                    assert await other.receive() == PDU
            assert one.statistics().sent == 3

    @both_implementations
    async def test_it_is_looked_for_no_more_often_than_that(
        self, network: UserNetwork, implementation: Any, looks: Looks
    ) -> None:
        options = {"implementation": implementation}
        async with (
            open_link(network, **options) as one,
            open_link(network, ONE.reversed(), stmin=0.02, **options) as other,
        ):
            with anyio.fail_after(LIMIT), looks.paced():
                await one.send(PDU)
            assert await other.receive() == PDU

    async def test_what_comes_after_a_cancelled_one_is_sent(self, network: UserNetwork) -> None:
        async with open_link(network) as one:
            with anyio.move_on_after(0.005):
                await one.send(PDU)
            assert one.transmitting
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one.send, b"next")
                for _ in range(5):
                    await checkpoint()
                assert one.transmitting
                network.inject("vcan0", Frame(0x7E8, b"\x30\0\0"))
            assert one.statistics().sent == 2

    async def test_closing_ends_the_wait(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_LOOK_AGAIN", 60)

        async def send() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await link.send(PDU)

        async with open_link(network) as link:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send)
                    await until_it_waits(link)
                    await link.aclose()


@pytest.mark.anyio
class TestWithoutRoom:
    """In the interface's queue, which poll cannot see."""

    async def test_send_waits_for_it(self) -> None:
        with UserNetwork() as network:
            network.add_vcan("vcan0", transmit_queue=1)
            async with open_raw(network) as filler, open_link(network) as link:
                await filler.send(Frame(0x100))
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(link.send, b"on")
                    with anyio.fail_after(LIMIT):
                        while network.interfaces()[0].send_dropped < 3:
                            await checkpoint()
                    assert not link.transmitting
                    network.release("vcan0")
                assert link.statistics().sent == 1
                assert link.statistics().errors == 0

    async def test_closing_ends_the_wait(self) -> None:
        with UserNetwork() as network:
            network.add_vcan("vcan0", transmit_queue=0)

            async def send() -> None:
                with pytest.raises(anyio.ClosedResourceError):
                    await link.send(b"lost")

            async with open_link(network) as link, anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                with anyio.fail_after(LIMIT):
                    while not network.interfaces()[0].send_dropped:
                        await checkpoint()
                await link.aclose()

    async def test_cancelled_nothing_has_been_sent(self) -> None:
        with UserNetwork() as network:
            network.add_vcan("vcan0", transmit_queue=0)
            async with open_raw(network) as can, open_link(network) as link:
                with anyio.move_on_after(0.01) as scope:
                    await link.send(b"lost")
                assert scope.cancelled_caught
                assert not link.transmitting
                with pytest.raises(anyio.WouldBlock):
                    can.receive_nowait()


@pytest.mark.asyncio
async def test_a_transport_waits_for_room() -> None:
    with UserNetwork() as network:
        network.add_vcan("vcan0", transmit_queue=1)
        async with open_raw(network) as filler:
            await filler.send(Frame(0x100))
            transport, protocol = await anycan.create_isotp_transport(
                Recorder, "vcan0", address=ONE, network=network
            )
            transport.send(b"on")
            with anyio.fail_after(LIMIT):
                while network.interfaces()[0].send_dropped < 3:
                    await checkpoint()
            assert protocol.calls == []
            network.release("vcan0")
            await protocol.called("sent", b"on")
        transport.close()
        await protocol.called("lost", None)


class Lower(UserNetwork):
    """A network that says it takes shorter PDUs than it does: it has been raised since."""

    @property
    def max_pdu_size(self) -> int:
        return 4095


@pytest.mark.anyio
async def test_a_pdu_that_is_longer_than_was_said_is_counted() -> None:
    with Lower() as network:
        network.add_vcan("vcan0")
        async with open_link(network) as link:
            network.inject("vcan0", Frame(0x7E8, b"\x10\0\0\0\x10\0ab"))  # 4096 bytes
            for number in range(1, 586):
                network.inject("vcan0", Frame(0x7E8, bytes((0x20 | number & 15,)) + bytes(7)))
            with pytest.raises(anyio.WouldBlock):
                link.receive_nowait()
            assert link.statistics().malformed == 1
            network.inject("vcan0", Frame(0x7E8, b"\x02on"))
            with anyio.fail_after(LIMIT):
                await link.wait()
                assert link.receive_nowait() == b"on"
            assert (link.statistics().received, link.statistics().errors) == (1, 0)


@pytest.mark.anyio
async def test_waiting_for_what_is_there_lets_others_run(network: UserNetwork) -> None:
    async with open_link(network) as link:
        for data in (b"\1a", b"\1b"):
            network.inject("vcan0", Frame(0x7E8, data))
        with anyio.fail_after(LIMIT):
            await link.wait()
            assert link.receive_nowait() == b"a"
            await link.wait()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await link.wait()
            assert scope.cancelled_caught
        assert link.receive_nowait() == b"b"


class TestClosing:
    """Where closing the socket may wait, as the kernel's does."""

    @pytest.fixture
    def done(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """Let something be left to be done, and tell when it has been."""
        done = threading.Event()
        close = IsotpSocket.close

        def close_later(one: IsotpSocket) -> Callable[[], object]:
            close(one)
            return done.set

        monkeypatch.setattr(IsotpSocket, "close", close_later)
        return done

    @pytest.mark.anyio
    async def test_the_end_of_a_block_waits_for_it(
        self, network: UserNetwork, done: threading.Event
    ) -> None:
        async with open_link(network):
            pass
        assert done.is_set()

    @pytest.mark.anyio
    async def test_a_cancelled_block_waits_for_it_while_nothing_is_sent(
        self, network: UserNetwork, done: threading.Event
    ) -> None:
        with anyio.CancelScope() as scope:
            async with open_link(network):
                scope.cancel()
                await checkpoint()
        assert done.is_set()

    @pytest.mark.anyio
    async def test_aclose_waits_for_it(self, network: UserNetwork, done: threading.Event) -> None:
        async with open_link(network) as link:
            await link.aclose()
            assert done.is_set()

    @pytest.mark.anyio
    async def test_a_block_cancelled_while_a_pdu_is_sent_leaves_it_to_the_background(
        self, network: UserNetwork, done: threading.Event
    ) -> None:
        with anyio.CancelScope() as scope:
            async with open_link(network) as link, anyio.create_task_group() as tasks:
                tasks.start_soon(link.send, PDU)
                await until_it_waits(link)
                scope.cancel()
        assert await anyio.to_thread.run_sync(done.wait, 0.1)

    @pytest.mark.anyio
    async def test_an_unclosed_link_leaves_it_to_the_background(
        self, network: UserNetwork, done: threading.Event
    ) -> None:
        socket, _ = open_isotp_socket(
            network, "vcan0", ONE, None, None, IsotpSocketOptions(), "socket", None
        )
        held = [module.IsotpLink(socket, "socket")]
        with pytest.warns(ResourceWarning, match=r"^unclosed <IsotpLink vcan0"):
            held.clear()
        assert await anyio.to_thread.run_sync(done.wait, LIMIT)


class Recorder(IsotpProtocol):
    """Notes what became of what was sent."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._changed = anyio.Event()

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        self._changed.set()

    def pdu_sent(self, pdu: bytes) -> None:
        self._note("sent", pdu)

    def send_failed(self, pdu: bytes, exc: CanError) -> None:
        self._note("failed", pdu, type(exc))

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost", exc)

    async def called(self, *call: object) -> None:
        with anyio.fail_after(LIMIT):
            while call not in self.calls:
                self._changed = anyio.Event()
                await self._changed.wait()


@pytest.mark.asyncio
@both_implementations
@pytest.mark.parametrize("lie", ["always_writable", "never_writable"])
async def test_a_transport_tells_what_became_of_each(
    network: UserNetwork,
    implementation: Any,
    lie: str,
    request: pytest.FixtureRequest,
    looks: Looks,
) -> None:
    request.getfixturevalue(lie)
    transport, protocol = await anycan.create_isotp_transport(
        Recorder, "vcan0", address=ONE, network=network, implementation=implementation
    )
    async with open_link(network, ONE.reversed(), stmin=0.02) as other:
        with looks.paced():
            transport.send(PDU)
            transport.send(b"next")
            await protocol.called("sent", PDU)
        await protocol.called("sent", b"next")
        assert [await other.receive(), await other.receive()] == [PDU, b"next"]
    transport.close()
    await protocol.called("lost", None)
    assert protocol.calls == [("sent", PDU), ("sent", b"next"), ("lost", None)]


class TestTransportsAreAsyncios:
    def test_on_trio_there_is_none(self, network: UserNetwork) -> None:
        made: list[IsotpProtocol] = []

        def make() -> IsotpProtocol:
            made.append(IsotpProtocol())
            return made[-1]

        async def main() -> None:
            with pytest.raises(
                RuntimeError,
                match=r"^transports are asyncio's own, .*: use open_isotp\(\)$",
            ):
                await anycan.create_isotp_transport(make, "vcan0", address=ONE, network=network)

        trio.run(main)
        assert made == []

    def test_without_any_loop_there_is_none(self, network: UserNetwork) -> None:
        call = anycan.create_isotp_transport(IsotpProtocol, "vcan0", address=ONE, network=network)
        with pytest.raises(RuntimeError, match=r"use open_isotp\(\)$"):
            call.send(None)

    @pytest.mark.asyncio
    async def test_an_option_that_it_does_not_know(self, network: UserNetwork) -> None:
        with pytest.raises(TypeError, match="unknown"):
            await anycan.create_isotp_transport(
                IsotpProtocol, "vcan0", address=ONE, network=network, unknown=1
            )
