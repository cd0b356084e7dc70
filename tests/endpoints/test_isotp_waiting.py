"""ISO-TP endpoints that wait for a lost link: what happens in the gap, and when it does not end."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from trio.testing import MockClock

import anycan
from anycan import (
    Address,
    CanOSError,
    Frame,
    FrameNotSupportedError,
    InterfaceRemovedError,
    IsotpProtocol,
    LinkCondition,
    LinkGap,
    LinkWait,
    ProtocolUnavailableError,
    ReceptionTimeoutError,
    SendUnconfirmedError,
    UnknownInterfaceError,
    UserNetwork,
)
from anycan.endpoints import link_gate
from anycan.endpoints.isotp_opening import open_isotp_socket
from anycan.endpoints.isotp_waiting import WaitingIsotpLink
from anycan.sockets.isotp import IsotpSocket, UnboundError
from anycan.sockets.isotp_options import IsotpSocketOptions
from anycan.wire.constants import SO_ERROR, SOL_SOCKET
from anycan.wire.options import unpack_integers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ONE = Address.normal(0x7E0, 0x7E8)
PDU = bytes(range(100))
LIMIT = 10.0  # seconds: that something has gone wrong

on_every_back_end = pytest.mark.anyio
Implementation = Literal["socket", "engine"]


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


@pytest.fixture(params=["socket", "engine"])
def implementation(request: pytest.FixtureRequest) -> Implementation:
    chosen: Implementation = request.param
    return chosen


def open_link(network: UserNetwork, address: Address = ONE, **options: Any) -> Any:
    options = {"on_link_loss": "wait"} | options
    return anycan.open_isotp("vcan0", address=address, network=network, **options)


def open_socket(network: UserNetwork, implementation: Implementation, **options: Any) -> Any:
    """Open a socket without a gate."""
    chosen = IsotpSocketOptions(**options)
    socket, _ = open_isotp_socket(network, "vcan0", ONE, None, None, chosen, implementation, None)
    return socket


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    with anyio.fail_after(LIMIT):
        while not condition():
            await checkpoint()


def in_no_time(main: Callable[[], Awaitable[None]]) -> None:
    """Run where time jumps to whatever happens next."""
    trio.run(main, clock=MockClock(autojump_threshold=0))


class TestBoundAgain:
    """The socket, as ``isotp_notify`` and ``isotp_bind`` in ``net/can/isotp.c`` have it."""

    @on_every_back_end
    async def test_it_has_its_options_and_sends_by_the_new_interface(
        self, network: UserNetwork, implementation: Implementation
    ) -> None:
        socket = open_socket(network, implementation, padding=0x55)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        first = socket.index
        network.remove("vcan0")
        with pytest.raises(UnknownInterfaceError):
            socket.rebind()
        network.add_vcan("vcan0")
        async with anycan.open_raw("vcan0", network=network) as can:
            assert socket.rebind() == socket.index == network.interface_index("vcan0") != first
            assert pending_error(socket) == 0
            socket.send(b"on")
            assert await can.receive() == Frame(0x7E0, b"\x02on\x55\x55\x55\x55\x55")
            network.inject("vcan0", Frame(0x7E8, b"\x02on"))
            assert socket.receive() == [b"on"]
        assert told == []  # the interface's past is told by its events
        socket.close()

    @on_every_back_end
    async def test_an_interface_that_is_down_is_bound_to(
        self, network: UserNetwork, implementation: Implementation
    ) -> None:
        socket = open_socket(network, implementation)
        network.remove("vcan0")
        network.add_vcan("vcan0")
        network.set_down("vcan0")
        socket.rebind()
        assert pending_error(socket) == 0
        with pytest.raises(anycan.InterfaceDownError, match="the PDU was not sent"):
            socket.send(b"x")
        network.set_up("vcan0")
        socket.send(b"x")
        socket.close()

    @on_every_back_end
    async def test_once_its_removal_was_told_it_says_that_reading_is_of_no_use(
        self, network: UserNetwork, implementation: Implementation
    ) -> None:
        socket = open_socket(network, implementation)
        network.remove("vcan0")
        with pytest.raises(InterfaceRemovedError):
            socket.receive()
        assert socket.unbound
        for _ in range(2):
            with pytest.raises(UnboundError):
                socket.receive()
        network.add_vcan("vcan0")
        socket.rebind()
        assert not socket.unbound
        with pytest.raises(BlockingIOError):
            socket.receive()
        assert socket.errors == 1
        socket.close()

    @on_every_back_end
    async def test_what_was_being_sent_is_not_taken_for_sent(
        self, network: UserNetwork, implementation: Implementation
    ) -> None:
        socket = open_socket(network, implementation)
        socket.send(PDU)
        network.remove("vcan0")
        network.add_vcan("vcan0")
        socket.rebind()
        with pytest.raises(InterfaceRemovedError):
            socket.sent()
        assert (socket.sending, socket.pdus_sent) == (False, 0)
        socket.close()

    def test_a_reception_given_up_meanwhile_is_told(self, network: UserNetwork) -> None:
        async def main() -> None:
            socket = open_socket(network, "engine")
            told: list[CanOSError] = []
            socket.on_pending_error = told.append
            network.inject("vcan0", Frame(0x7E8, b"\x10\x14abcdef"))
            with suppress(BlockingIOError):
                socket.receive()
            network.remove("vcan0")
            with pytest.raises(InterfaceRemovedError):
                socket.receive()
            await anyio.sleep(2)
            network.add_vcan("vcan0")
            socket.rebind()
            assert [type(error) for error in told] == [ReceptionTimeoutError]
            socket.close()

        in_no_time(main)

    @on_every_back_end
    async def test_frames_that_waited_for_room_are_not_sent_by_the_new_interface(
        self, network: UserNetwork
    ) -> None:
        async with open_link(network, implementation="engine") as link:
            raw = link._socket._descriptor._raw

            def refuse(_payloads: object) -> int:
                raise OSError(errno.EAGAIN, "no room")

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(raw, "send", refuse)
                network.inject("vcan0", Frame(0x7E8, b"\x10\x14abcdef"))
                with pytest.raises(anyio.WouldBlock):
                    link.receive_nowait()
                network.remove("vcan0")
                network.add_vcan("vcan0")
            async with anycan.open_raw("vcan0", network=network) as can:
                with anyio.fail_after(LIMIT):
                    await link.send(b"on")
                    assert (await can.receive()).data == b"\x02on"

    @on_every_back_end
    async def test_one_that_takes_no_such_frames_is_refused(
        self, network: UserNetwork, implementation: Implementation
    ) -> None:
        socket = open_socket(network, implementation, fd=True)
        network.remove("vcan0")
        network.add_vcan("vcan0", mtu=16)
        with pytest.raises(FrameNotSupportedError, match="vcan0 takes no CAN FD frames"):
            socket.rebind()
        network.remove("vcan0")
        network.add_vcan("vcan0")
        socket.rebind()
        socket.send(b"on")
        socket.close()


def pending_error(socket: IsotpSocket) -> int:
    (number,) = unpack_integers(socket._descriptor.getsockopt(SOL_SOCKET, SO_ERROR, 4))
    return number


def count_reads(patch: pytest.MonkeyPatch) -> list[IsotpSocket]:
    """Note each call that reads a socket."""
    reads: list[IsotpSocket] = []
    receive = IsotpSocket.receive

    def counted(socket: IsotpSocket) -> list[bytes]:
        reads.append(socket)
        return receive(socket)

    patch.setattr(IsotpSocket, "receive", counted)
    return reads


def look(socket: IsotpSocket) -> None:
    """Have an engine take what its raw socket has; a network's own socket has it."""
    bridge = getattr(socket._descriptor, "_bridge", None)
    if bridge is not None:
        bridge.look()


class TestTheGap:
    @on_every_back_end
    async def test_a_socket_without_an_interface_is_not_read_over_and_over(
        self, network: UserNetwork, implementation: Implementation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads = count_reads(monkeypatch)
        async with open_link(network, implementation=implementation) as link:
            await checkpoint()
            network.inject("vcan0", Frame(0x7E8, b"\x02on"))  # which is not read before it is gone
            look(link._socket)
            network.remove("vcan0")
            async with anyio.create_task_group() as tasks:
                taken: list[bytes] = []

                async def take() -> None:
                    taken.append(await link.receive())

                tasks.start_soon(take)
                for _ in range(200):
                    await checkpoint()
                assert len(reads) < 10
                assert taken == []
                network.add_vcan("vcan0")
                await until(lambda: taken == [b"on"])

    @on_every_back_end
    async def test_what_waits_behind_an_error_is_taken_at_once(
        self, network: UserNetwork, implementation: Implementation
    ) -> None:
        async with open_link(network, implementation=implementation) as link:
            network.inject("vcan0", Frame(0x7E8, b"\x02on"))
            network.set_down("vcan0")
            network.set_up("vcan0")
            assert link.receive_nowait() == b"on"
            with pytest.raises(anyio.WouldBlock):
                link.receive_nowait()

    @pytest.mark.asyncio
    async def test_a_transports_is_not_either(
        self, network: UserNetwork, implementation: Implementation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads = count_reads(monkeypatch)
        transport, protocol = await anycan.create_isotp_transport(
            Recorder,
            "vcan0",
            address=ONE,
            network=network,
            implementation=implementation,
            on_link_loss="wait",
        )
        network.inject("vcan0", Frame(0x7E8, b"\x02on"))
        look(transport._socket)
        network.remove("vcan0")
        for _ in range(200):
            await checkpoint()
        assert len(reads) < 10
        assert protocol.calls == []
        network.add_vcan("vcan0")
        await until(lambda: protocol.calls == [("received", b"on")])
        transport.close()
        await until(lambda: protocol.calls[1:] == [("lost", type(None))])

    def test_a_transfer_that_the_link_ended_by_its_time_fails_as_unconfirmed(
        self, network: UserNetwork
    ) -> None:
        async def main() -> None:
            for implementation in ("socket", "engine"):
                async with (
                    anycan.open_raw("vcan0", network=network, on_link_loss="wait") as can,
                    open_link(network, implementation=implementation) as link,
                    anyio.create_task_group() as tasks,
                ):
                    sending = Outcome(tasks, partial(link.send, PDU))
                    assert (await can.receive()).data[:1] == b"\x10"
                    network.set_down("vcan0")
                    waiting = Outcome(tasks, partial(link.send, b"next"))
                    await anyio.sleep(3)
                    assert isinstance(sending.error, SendUnconfirmedError)
                    assert not waiting.done
                    network.set_up("vcan0")
                    assert (await can.receive()).data == b"\x04next"

        in_no_time(main)

    @on_every_back_end
    async def test_sending_waits_while_the_controller_is_bus_off(
        self, implementation: Implementation
    ) -> None:
        gaps: list[LinkGap] = []
        with UserNetwork() as network:
            network.add_can("vcan0", bitrate=500_000)
            async with (
                open_link(network, implementation=implementation, on_gap=gaps.append) as link,
                anyio.create_task_group() as tasks,
            ):
                network.set_bus_off("vcan0")
                await until(lambda: link.gap is not None)
                sending = Outcome(tasks, partial(link.send, b"waits"))
                for _ in range(20):
                    await checkpoint()
                assert not sending.done
                assert not link.transmitting
                network.restart("vcan0")
                await until(lambda: link.gap is None)
                tasks.cancel_scope.cancel()
        assert [gap.condition for gap in gaps] == [LinkCondition.BUS_OFF] * 2

    @on_every_back_end
    async def test_an_interface_that_takes_no_such_frames_is_waited_for(
        self,
        network: UserNetwork,
        implementation: Implementation,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async with open_link(network, implementation=implementation, fd=True) as link:
            network.remove("vcan0")
            with caplog.at_level(logging.WARNING, "anycan.endpoints"):
                network.add_vcan("vcan0", mtu=16)
            assert "vcan0 is back and cannot be used: vcan0 takes no CAN FD frames" in caplog.text
            assert link.gap is not None
            network.remove("vcan0")
            network.add_vcan("vcan0")
            with anyio.fail_after(LIMIT):
                await link.send(b"on")

    @on_every_back_end
    async def test_it_may_be_there_at_the_beginning(
        self, network: UserNetwork, implementation: Implementation
    ) -> None:
        network.set_down("vcan0")
        async with (
            open_link(network, implementation=implementation) as one,
            open_link(network, ONE.reversed(), implementation=implementation) as other,
            anyio.create_task_group() as tasks,
        ):
            assert one.gap is not None
            sending = Outcome(tasks, partial(one.send, PDU))
            taking = Outcome(tasks, other.receive)
            await checkpoint()
            network.set_up("vcan0")
            await until(lambda: sending.done and taking.done)
            assert (sending.error, taking.error, taking.result) == (None, None, PDU)

    @on_every_back_end
    async def test_a_refusal_before_the_link_is_known_to_be_lost_is_tried_again(
        self, network: UserNetwork
    ) -> None:
        async with anycan.open_raw("vcan0", network=network) as can, open_link(network) as link:
            socket, refused = link._socket, 0
            send = socket.send

            def refuse(pdu: bytes) -> None:
                nonlocal refused
                if refused < 3:
                    refused += 1
                    raise anycan.InterfaceDownError(errno.ENETDOWN, "not yet known", "vcan0")
                send(pdu)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(socket, "send", refuse)
                with anyio.fail_after(LIMIT):
                    await link.send(b"on")
            assert refused == 3
            assert (await can.receive()).data == b"\x02on"


class Outcome:
    """What became of a call, in a task of its own."""

    def __init__(self, tasks: Any, call: Callable[[], Awaitable[Any]]) -> None:
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None
        self._call = call
        tasks.start_soon(self._run)

    async def _run(self) -> None:
        try:
            self.result = await self._call()
        except Exception as error:  # noqa: BLE001 - it is what is asked for
            self.error = error
        self.done = True


class Recorder(IsotpProtocol):
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def pdu_received(self, pdu: bytes) -> None:
        self.calls.append(("received", pdu))

    def pdu_sent(self, pdu: bytes) -> None:
        self.calls.append(("sent", pdu))

    def send_failed(self, pdu: bytes, exc: anycan.CanError) -> None:
        self.calls.append(("failed", pdu, type(exc)))

    def error_received(self, exc: CanOSError) -> None:
        self.calls.append(("error", type(exc)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("lost", type(exc)))


class TestTheEnd:
    @on_every_back_end
    async def test_a_network_that_is_closed_is_waited_for_no_more(
        self, implementation: Implementation
    ) -> None:
        network = UserNetwork()
        network.add_vcan("vcan0")
        async with (
            open_link(network, implementation=implementation) as link,
            anyio.create_task_group() as tasks,
        ):
            receiving = Outcome(tasks, link.receive)
            network.set_down("vcan0")
            sending = Outcome(tasks, partial(link.send, PDU))
            for _ in range(5):
                await checkpoint()
            network.close()
            await until(lambda: receiving.done and sending.done)
            assert isinstance(receiving.error, InterfaceRemovedError)
            assert isinstance(sending.error, InterfaceRemovedError)
            assert link.statistics().sent == 0
            for call in (link.receive, partial(link.send, PDU)):
                with anyio.fail_after(LIMIT), pytest.raises(InterfaceRemovedError):
                    await call()

    @pytest.mark.asyncio
    async def test_a_transport_is_lost_with_its_network(
        self, implementation: Implementation
    ) -> None:
        network = UserNetwork()
        network.add_vcan("vcan0")
        _, protocol = await anycan.create_isotp_transport(
            Recorder,
            "vcan0",
            address=ONE,
            network=network,
            implementation=implementation,
            on_link_loss=LinkWait(),
        )
        network.close()
        await until(lambda: bool(protocol.calls))
        assert protocol.calls == [("lost", InterfaceRemovedError)]

    @on_every_back_end
    async def test_an_unclosed_link_is_found_out(self, network: UserNetwork) -> None:
        held = [WaitingIsotpLink(open_socket(network, "socket"), "socket", LinkWait(), None)]
        with pytest.warns(ResourceWarning, match=r"^unclosed <IsotpLink vcan0"):
            held.clear()

    def test_an_unclosed_transport_is_found_out(self, network: UserNetwork) -> None:
        async def main() -> None:
            await anycan.create_isotp_transport(
                Recorder, "vcan0", address=ONE, network=network, on_link_loss="wait"
            )

        def run() -> None:
            asyncio.run(main())
            gc.collect()

        with pytest.warns(ResourceWarning, match=r"^unclosed <IsotpTransport vcan0"):
            run()


class TestOpening:
    @on_every_back_end
    async def test_where_links_cannot_be_watched(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise ProtocolUnavailableError(errno.EPROTONOSUPPORT, "no netlink here")

        monkeypatch.setattr(link_gate, "attach_monitor", refuse)
        with pytest.raises(ProtocolUnavailableError, match="no netlink here"):
            async with open_link(network):
                pass
        gc.collect()  # an endpoint that was left open would be found out

    @pytest.mark.asyncio
    async def test_a_transport_where_links_cannot_be_watched(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise ProtocolUnavailableError(errno.EPROTONOSUPPORT, "no netlink here")

        monkeypatch.setattr(link_gate, "attach_monitor", refuse)
        with pytest.raises(ProtocolUnavailableError, match="no netlink here"):
            await anycan.create_isotp_transport(
                Recorder, "vcan0", address=ONE, network=network, on_link_loss="wait"
            )
        gc.collect()  # as above

    @on_every_back_end
    async def test_gaps_are_told_of_where_they_are_waited_for(self, network: UserNetwork) -> None:
        with pytest.raises(ValueError, match="on_link_loss='wait'"):
            async with open_link(network, on_link_loss="raise", on_gap=print):
                pass
        with pytest.raises(ValueError, match="and not 'never'"):
            async with open_link(network, on_link_loss="never"):
                pass

    @pytest.mark.asyncio
    async def test_a_transports_too(self, network: UserNetwork) -> None:
        with pytest.raises(ValueError, match="on_link_loss='wait'"):
            await anycan.create_isotp_transport(
                Recorder, "vcan0", address=ONE, network=network, on_gap=print
            )
