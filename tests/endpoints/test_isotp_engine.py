"""anycan's own ISO-TP over raw sockets: without room, without a link, and when it is taken."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from trio.testing import MockClock

import anycan
from anycan import (
    Address,
    AddressError,
    CanOSError,
    CanPermissionError,
    FdFrame,
    FlowControlTimeoutError,
    Frame,
    FrameNotSupportedError,
    InterfaceDownError,
    InterfaceRemovedError,
    IsotpAttribute,
    NetworkUnavailableError,
    OptionNotSupportedError,
    PduError,
    ProtocolUnavailableError,
    ReceptionInterruptedError,
    UnknownInterfaceError,
    UserNetwork,
)
from anycan.endpoints.isotp_link import IsotpLink
from anycan.endpoints.isotp_opening import make_address, open_isotp_socket
from anycan.network import user as user_module
from anycan.sockets.isotp_options import IsotpSocketOptions
from anycan.wire.constants import CAN_ISOTP, CAN_RAW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from anycan import RawEndpoint
    from anycan.network.core.socket import SocketCore

ONE = Address.normal(0x7E0, 0x7E8)
PDU = bytes(range(100))
FIRST = Frame(0x7E8, b"\x10\x14abcdef")
GO_ON = Frame(0x7E8, b"\x30\0\0")
LIMIT = 10.0  # seconds: that something has gone wrong
SOON = 0.1  # seconds: much longer than what happens at once takes

on_every_back_end = pytest.mark.anyio


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


def open_engine(network: UserNetwork, address: Address = ONE, **options: Any) -> Any:
    options = {"implementation": "engine"} | options
    return anycan.open_isotp("vcan0", address=address, network=network, **options)


def open_raw(network: UserNetwork) -> Any:
    return anycan.open_raw("vcan0", network=network)


def descriptor_of(link: Any) -> Any:
    return link._socket._descriptor


async def release_always(network: UserNetwork) -> None:
    while True:
        network.release("vcan0", 1)
        await checkpoint()


async def frame_that_begins_with(can: RawEndpoint, head: bytes) -> Frame:
    with anyio.fail_after(LIMIT):
        while True:
            frame = await can.receive()
            if isinstance(frame, Frame) and frame.data.startswith(head):
                return frame


def in_no_time(main: Callable[[], Awaitable[None]]) -> None:
    """Run where time jumps to whatever happens next."""
    trio.run(main, clock=MockClock(autojump_threshold=0))


@contextmanager
def refusals(descriptor: Any, *numbers: int) -> Iterator[deque[int]]:
    """Have the raw socket refuse the next calls; 0: this one is let through."""
    raw = descriptor._raw
    send = raw.send
    left = deque(numbers)

    def refuse(payloads: Sequence[bytes]) -> int:
        number = left.popleft() if left else 0
        if number:
            raise OSError(number, os.strerror(number))
        count: int = send(payloads)
        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw, "send", refuse)
        yield left


class TestWhatLiesBelow:
    """What the raw socket has is seen at once, though the loop has not run since it came."""

    @on_every_back_end
    async def test_pdus_of_one_frame(self, network: UserNetwork) -> None:
        async with open_engine(network) as link:
            for data in (b"\x01a", b"\x02bc"):
                network.inject("vcan0", Frame(0x7E8, data))
            assert link.receive_nowait() == b"a"
            assert link.receive_nowait() == b"bc"
            with pytest.raises(anyio.WouldBlock):
                link.receive_nowait()
            network.inject("vcan0", Frame(0x7E8, b"\x01d"))
            assert link.receive_nowait() == b"d"

    @on_every_back_end
    async def test_a_pdu_of_several_frames(self, network: UserNetwork) -> None:
        async with open_raw(network) as can, open_engine(network) as link:
            network.inject("vcan0", Frame(0x7E8, b"\x10\x09abcdef"))
            with pytest.raises(anyio.WouldBlock):
                link.receive_nowait()
            network.inject("vcan0", Frame(0x7E8, b"\x21ghi"))
            assert link.receive_nowait() == b"abcdefghi"
            with anyio.fail_after(LIMIT):
                flow_control = await frame_that_begins_with(can, b"\x30")
            assert flow_control.id == 0x7E0


class TestWithoutRoom:
    # Five frames fill the least send buffer; what is left is for the queue.
    @pytest.mark.parametrize("room", [1, 3, 100])
    @on_every_back_end
    async def test_frames_wait_and_keep_their_order(self, room: int) -> None:
        with UserNetwork() as network:
            network.add_vcan("vcan0", transmit_queue=room)
            async with (
                open_engine(network) as one,
                open_engine(network, ONE.reversed()) as other,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(release_always, network)
                with anyio.fail_after(LIMIT):
                    await one.send(PDU)
                    assert await other.receive() == PDU
                    await other.send(PDU)
                    assert await one.receive() == PDU
                tasks.cancel_scope.cancel()
            assert one.statistics().errors == other.statistics().errors == 0
            # A short queue is full before the send buffer is: ENOBUFS. Else it is EAGAIN.
            assert (network.interfaces()[0].send_dropped > 0) == (room < 5)

    @pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EAGAIN])
    @on_every_back_end
    async def test_a_frame_is_tried_again(self, network: UserNetwork, number: int) -> None:
        async with open_raw(network) as can, open_engine(network) as link:
            with refusals(descriptor_of(link), number, number, number) as left:
                with anyio.fail_after(LIMIT):
                    await link.send(b"on")
                assert not left
            assert (await can.receive()).data == b"\x02on"
            with pytest.raises(anyio.WouldBlock):
                can.receive_nowait()  # and it is sent once
            assert link.statistics().errors == 0

    def test_a_bus_that_takes_nothing_is_asked_ever_more_rarely(self) -> None:
        async def main() -> None:
            with UserNetwork() as network:
                network.add_vcan("vcan0", transmit_queue=0)
                async with open_engine(network) as link:
                    with anyio.move_on_after(2) as scope:
                        await link.send(b"waits")
                    assert scope.cancelled_caught
                    assert not link.transmitting
                    # 8 ms by the millisecond, then up to 10 ms.
                    assert 150 < network.interfaces()[0].send_dropped < 250
                    assert link.statistics().errors == 0

        in_no_time(main)

    def test_what_was_given_up_is_not_sent_when_there_is_room_again(self) -> None:
        async def main() -> None:
            with UserNetwork() as network:
                network.add_vcan("vcan0", transmit_queue=1)
                async with open_raw(network) as filler, open_engine(network) as link:
                    await filler.send(Frame(0x100))  # nobody releases it
                    for number in range(3):
                        with anyio.move_on_after(1):
                            await link.send(bytes([number]))
                    async with open_raw(network) as can, anyio.create_task_group() as tasks:
                        tasks.start_soon(link.send, b"new")
                        sent: list[bytes] = []
                        while b"\x03new" not in sent:
                            network.release("vcan0")
                            sent.append((await can.receive()).data)
                    assert sent == [b"\x03new"]

        in_no_time(main)

    @on_every_back_end
    async def test_a_flood_of_first_frames_leaves_no_flood_of_answers(self) -> None:
        with UserNetwork() as network:
            network.add_vcan("vcan0", transmit_queue=0)
            async with open_engine(network) as link:
                for _ in range(50):
                    for _ in range(20):
                        network.inject("vcan0", FIRST)
                    await checkpoint()
                assert len(descriptor_of(link)._bridge._outgoing) < 200


class TestRefusals:
    @pytest.mark.parametrize("number", [errno.EPERM, errno.EIO])
    @on_every_back_end
    async def test_of_the_first_frame(self, network: UserNetwork, number: int) -> None:
        async with open_engine(network) as link:
            with refusals(descriptor_of(link), number):
                with pytest.raises(CanOSError, match=os.strerror(number)) as caught:
                    await link.send(PDU)
                assert (caught.value.errno, caught.value.interface) == (number, "vcan0")
                assert not link.transmitting
            await link.send(b"on")
            assert link.statistics().sent == 1

    @on_every_back_end
    async def test_of_an_answer_is_told_to_who_receives(self, network: UserNetwork) -> None:
        async with open_raw(network) as can, open_engine(network) as link:
            with refusals(descriptor_of(link), errno.EPERM) as left:
                network.inject("vcan0", FIRST)
                with anyio.fail_after(LIMIT), pytest.raises(CanOSError) as caught:
                    await link.receive()
                assert caught.value.errno == errno.EPERM
                assert not left
            network.inject("vcan0", Frame(0x7E8, b"\x02on"))
            with anyio.fail_after(LIMIT):
                assert await link.receive() == b"on"
                assert (await can.receive()).data == FIRST.data
                assert (await can.receive()).data == b"\x02on"

    def test_of_a_consecutive_frame_ends_the_transfer_by_its_time(
        self, network: UserNetwork
    ) -> None:
        async def main() -> None:
            async with open_raw(network) as can, open_engine(network) as link:
                errors: list[type[CanOSError]] = []

                async def receive() -> None:
                    with pytest.raises(CanOSError) as caught:
                        await link.receive()
                    errors.append(type(caught.value))

                async def go_on() -> None:
                    await frame_that_begins_with(can, b"\x10")
                    await can.send(GO_ON)

                with refusals(descriptor_of(link), 0, errno.EPERM):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(receive)
                        tasks.start_soon(go_on)
                        with pytest.raises(FlowControlTimeoutError):
                            await link.send(PDU)
                assert errors == [CanPermissionError]
                # Nothing of it is left: the next one is whole.
                await link.send(b"on")
                assert (await frame_that_begins_with(can, b"\x02")).data == b"\x02on"

        in_no_time(main)

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENETDOWN, InterfaceDownError),
            (errno.ENODEV, InterfaceRemovedError),
            (errno.ENXIO, InterfaceRemovedError),
        ],
    )
    @on_every_back_end
    async def test_of_an_answer_that_tells_of_the_link(
        self, network: UserNetwork, number: int, kind: type[CanOSError]
    ) -> None:
        async with open_engine(network) as link:
            with refusals(descriptor_of(link), number):
                network.inject("vcan0", FIRST)
                with anyio.fail_after(LIMIT), pytest.raises(kind):
                    await link.receive()


class TestTheLink:
    @on_every_back_end
    async def test_down_and_up_in_the_middle_of_a_transfer(self, network: UserNetwork) -> None:
        told: list[str] = []

        async def send() -> None:
            await link.send(PDU)
            told.append("sender")

        async with open_raw(network) as can, open_engine(network) as link:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                await frame_that_begins_with(can, b"\x10")
                network.set_down("vcan0")
                network.set_up("vcan0")
                with anyio.fail_after(LIMIT):
                    with pytest.raises(InterfaceDownError, match="receiving goes on"):
                        await link.receive()
                    assert told == []
                    network.inject("vcan0", GO_ON)
            assert told == ["sender"]
            await link.send(b"on")
            assert link.statistics().sent == 2
            network.inject("vcan0", Frame(0x7E8, b"\x02on"))
            with anyio.fail_after(LIMIT):
                assert await link.receive() == b"on"

    @on_every_back_end
    async def test_down_while_nothing_happens(self, network: UserNetwork) -> None:
        async with open_engine(network) as link:
            for _ in range(2):
                network.set_down("vcan0")
                with anyio.fail_after(LIMIT), pytest.raises(InterfaceDownError):
                    await link.receive()
                for _ in range(2):
                    with pytest.raises(InterfaceDownError, match="the PDU was not sent"):
                        await link.send(b"lost")
                network.set_up("vcan0")
                await link.send(b"on")
            assert link.statistics().sent == 2

    @on_every_back_end
    async def test_removed_in_the_middle_of_a_transfer(self, network: UserNetwork) -> None:
        told: list[str] = []

        async def send() -> None:
            with pytest.raises(InterfaceRemovedError, match="vcan0 has been removed"):
                await link.send(PDU)
            told.append("sender")

        async def receive() -> None:
            with pytest.raises(InterfaceRemovedError, match="vcan0 has been removed"):
                await link.receive()
            told.append("receiver")

        async with open_raw(network) as can, open_engine(network) as link:
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send)
                    tasks.start_soon(receive)
                    await frame_that_begins_with(can, b"\x10")
                    network.remove("vcan0")
                assert sorted(told) == ["receiver", "sender"]
                for call in (link.receive, lambda: link.send(b"late")):
                    with pytest.raises(InterfaceRemovedError):
                        await call()
            assert not link.transmitting

    @on_every_back_end
    async def test_down_between_two_frames_is_told(self, network: UserNetwork) -> None:
        async with open_raw(network) as can, open_engine(network, frame_txtime=4) as link:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(link.send, PDU)
                await frame_that_begins_with(can, b"\x10")
                network.inject("vcan0", GO_ON)
                await frame_that_begins_with(can, b"\x21")
                timers = descriptor_of(link)._stack.timers
                transmission = descriptor_of(link)._bridge.socket.connection.transmission
                with anyio.fail_after(LIMIT):
                    while transmission._separation.deadline is None:
                        await checkpoint()
                # The next frame is due before the loop has asked the raw socket.
                network.set_down("vcan0")
                timers.run(timers.deadline)
                heard = False
                with anyio.move_on_after(SOON):
                    with pytest.raises(InterfaceDownError):
                        await link.receive()
                    heard = True
                tasks.cancel_scope.cancel()
            assert heard

    @on_every_back_end
    async def test_the_error_that_a_frame_met_is_told_to_both(self, network: UserNetwork) -> None:
        async with open_engine(network) as link:
            network.set_down("vcan0")
            # The loop has had no time to ask the raw socket.
            with pytest.raises(InterfaceDownError):
                await link.send(PDU)
            with anyio.fail_after(LIMIT), pytest.raises(InterfaceDownError):
                await link.receive()


class TestTiming:
    """By the stamps of the frames, which a network's clock gives."""

    @on_every_back_end
    async def test_frames_that_come_too_fast_are_ignored(self) -> None:
        now = 1_700_000_000_000_000_000
        with UserNetwork(clock=lambda: now) as network:
            network.add_vcan("vcan0")
            async with open_raw(network) as can, open_engine(network, rx_stmin=0.005) as link:
                network.inject("vcan0", FIRST)
                await frame_that_begins_with(can, b"\x30")
                for milliseconds, data in [
                    (10, b"\x21ghijklm"),
                    (14, b"\x22nopqrst"),  # too fast, and not missed
                    (15, b"\x22NOPQRST"),
                ]:
                    now = 1_700_000_000_000_000_000 + milliseconds * 1_000_000
                    network.inject("vcan0", Frame(0x7E8, data))
                with anyio.fail_after(LIMIT):
                    assert await link.receive() == b"abcdefghijklmNOPQRST"

    @on_every_back_end
    @pytest.mark.parametrize("fd", [False, True])
    async def test_frames_of_the_other_kind_are_ignored_there_too(
        self, network: UserNetwork, fd: bool
    ) -> None:
        async with open_engine(network, rx_stmin=1, fd=fd) as link:
            wanted, other = (FdFrame, Frame) if fd else (Frame, FdFrame)
            network.inject("vcan0", other(0x7E8, b"\x02no"))
            network.inject("vcan0", wanted(0x7E9, b"\x02no"))
            network.inject("vcan0", wanted(0x7E8, b"\x02on"))
            with anyio.fail_after(LIMIT):
                assert await link.receive() == b"on"
                await link.send(b"on")


class TestAddresses:
    @pytest.mark.parametrize("address", [Address.normal(0, 1), Address.normal(0, None)], ids=repr)
    @on_every_back_end
    async def test_identifier_zero_is_sent(self, network: UserNetwork, address: Address) -> None:
        async with open_engine(network, address) as link:
            with anyio.fail_after(SOON):
                await link.send(b"on")

    @on_every_back_end
    async def test_identifier_zero_is_received(self, network: UserNetwork) -> None:
        async with open_engine(network, Address.normal(1, 0)) as link:
            network.inject("vcan0", Frame(0, b"\x02on"))
            with anyio.fail_after(SOON):
                assert await link.receive() == b"on"

    @on_every_back_end
    async def test_identifier_zero_of_29_bits(self, network: UserNetwork) -> None:
        async with (
            open_engine(network, Address.normal(0, 1, extended=True)) as one,
            open_engine(network, Address.normal(1, 0, extended=True)) as other,
        ):
            with anyio.fail_after(LIMIT):
                await one.send(PDU)
                assert await other.receive() == PDU

    @on_every_back_end
    async def test_a_functional_address(self, network: UserNetwork) -> None:
        to_all = Address.normal(0x7DF, None)
        async with open_raw(network) as can, open_engine(network, to_all) as link:
            await link.send(b"\x3e\x80")
            assert await can.receive() == Frame(0x7DF, b"\x02\x3e\x80")
            with pytest.raises(PduError, match="do not fit into a single frame"):
                await link.send(PDU)
            # Nothing is received, whatever identifier it has.
            for can_id in (0, 0x7DF, 0x7E8):
                network.inject("vcan0", Frame(can_id, b"\x02no"))
            await link.send(b"\x3e\x80")
            with pytest.raises(anyio.WouldBlock):
                link.receive_nowait()

    @on_every_back_end
    async def test_a_pdu_that_is_too_long_is_counted(self, network: UserNetwork) -> None:
        async with open_raw(network) as can, open_engine(network, max_pdu_size=4095) as link:
            network.inject("vcan0", Frame(0x7E8, b"\x10\0\0\0\x10\0ab"))  # 4096 bytes
            assert (await frame_that_begins_with(can, b"\x32")).data == b"\x32\0\0"
            assert descriptor_of(link)._bridge.socket.connection.reception.overflows == 1
            network.inject("vcan0", Frame(0x7E8, b"\x1f\xffabcdef"))
            assert (await frame_that_begins_with(can, b"\x30")).data == b"\x30\0\0"
            assert descriptor_of(link)._bridge.socket.connection.reception.overflows == 1


# Opening


def open_socket(
    network: UserNetwork, address: Address = ONE, interface: Any = "vcan0", **arguments: Any
) -> Any:
    """Open a socket without a loop; give it, and which implementation it is."""
    implementation = arguments.pop("implementation", "auto")
    size = arguments.pop("max_pdu_size", None)
    options = IsotpSocketOptions(**arguments)
    return open_isotp_socket(network, interface, address, None, None, options, implementation, size)


@asynccontextmanager
async def opened(network: UserNetwork, **options: Any) -> AsyncIterator[tuple[str, int]]:
    """Open a link, see that it sends, and give its implementation and its longest PDU."""
    async with anycan.open_isotp("vcan0", address=ONE, network=network, **options) as link:
        with anyio.fail_after(LIMIT):
            await link.send(b"on")
        implementation = link.extra(IsotpAttribute.implementation)
        yield implementation, link.extra(IsotpAttribute.max_pdu_size)


class TestImplementation:
    @pytest.mark.parametrize(
        ("size", "options", "implementation", "expected"),
        [
            (8300, {}, "socket", 8300),
            (8300, {"implementation": "socket"}, "socket", 8300),
            (8300, {"implementation": "engine"}, "engine", 8300),
            (8300, {"strict_iso": True}, "engine", 8300),
            (8300, {"strict_iso": True, "max_pdu_size": 4095}, "engine", 4095),
            (8300, {"strict_iso": True, "implementation": "engine"}, "engine", 8300),
            # Sockets have the network's size.
            (8300, {"max_pdu_size": 4095}, "socket", 8300),
            (8300, {"max_pdu_size": 8300}, "socket", 8300),
            (8300, {"max_pdu_size": 8301}, "engine", 8301),
            (8300, {"max_pdu_size": 1_049_600}, "engine", 1_049_600),
            (8300, {"max_pdu_size": 4095, "implementation": "engine"}, "engine", 4095),
            (100_000, {}, "socket", 100_000),
            (100_000, {"max_pdu_size": 50_000}, "socket", 100_000),
            (100_000, {"max_pdu_size": 100_001}, "engine", 100_001),
            (100_000, {"implementation": "engine"}, "engine", 100_000),
            (4095, {}, "socket", 4095),
        ],
        ids=str,
    )
    @on_every_back_end
    async def test_which_is_taken(
        self, size: int, options: dict[str, Any], implementation: str, expected: int
    ) -> None:
        with UserNetwork(max_pdu_size=size) as network:
            network.add_vcan("vcan0")
            async with opened(network, **options) as found:
                assert found == (implementation, expected)

    @on_every_back_end
    async def test_the_longest_pdu_is_the_longest(self, network: UserNetwork) -> None:
        async with (
            open_engine(network, max_pdu_size=4095) as one,
            open_engine(network, ONE.reversed(), max_pdu_size=4095) as other,
        ):
            with pytest.raises(PduError, match="at most 4095 bytes here, not 4096"):
                await one.send(bytes(4096))
            with anyio.fail_after(LIMIT):
                await one.send(bytes(4095))
                assert await other.receive() == bytes(4095)

    @on_every_back_end
    async def test_strict_iso_is_spoken(self, network: UserNetwork) -> None:
        async with open_engine(network, implementation="auto", strict_iso=True) as link:
            network.inject("vcan0", FIRST)
            network.inject("vcan0", Frame(0x7E8, b"\x02on"))
            with anyio.fail_after(LIMIT):
                with pytest.raises(ReceptionInterruptedError):
                    await link.receive()
                assert await link.receive() == b"on"

    @on_every_back_end
    async def test_the_size_is_that_of_the_module_which_the_first_socket_loads(self) -> None:
        # As with "options can-isotp max_pdu_size=100000" in modprobe.d.
        class Late(UserNetwork):
            loaded = False

            @property
            def max_pdu_size(self) -> int:
                return 100_000 if self.loaded else 8300

            def _open_socket(self, protocol: int, changed: Callable[[], object]) -> SocketCore:
                self.loaded = self.loaded or protocol == CAN_ISOTP
                return super()._open_socket(protocol, changed)

        with Late(max_pdu_size=100_000) as network:
            network.add_vcan("vcan0")
            async with opened(network) as found:
                pass
        assert found == ("socket", 100_000)


class Refusing(UserNetwork):
    """A network that has no ISO-TP, for a reason."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def _open_socket(self, protocol: int, changed: Callable[[], object]) -> SocketCore:
        if protocol == CAN_ISOTP:
            raise OSError(self._number, os.strerror(self._number))
        return super()._open_socket(protocol, changed)


class TestWithoutIsotp:
    @pytest.fixture(autouse=True)
    def _without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        protocols = dict(user_module._PROTOCOLS)
        del protocols[CAN_ISOTP]
        monkeypatch.setattr(user_module, "_PROTOCOLS", protocols)

    @pytest.mark.parametrize("options", [{}, {"implementation": "auto"}, {"max_pdu_size": 4095}])
    @on_every_back_end
    async def test_the_engine_takes_its_place(
        self, network: UserNetwork, options: dict[str, Any]
    ) -> None:
        async with opened(network, **options) as found:
            assert found == ("engine", options.get("max_pdu_size", 8300))

    @on_every_back_end
    async def test_pdus_go_both_ways(self, network: UserNetwork) -> None:
        async with (
            open_engine(network, implementation="auto") as one,
            open_engine(network, ONE.reversed(), implementation="auto") as other,
        ):
            with anyio.fail_after(LIMIT):
                await one.send(PDU)
                assert await other.receive() == PDU
                await other.send(PDU)
                assert await one.receive() == PDU

    def test_where_a_socket_is_asked_for_it_is_refused(self, network: UserNetwork) -> None:
        with pytest.raises(ProtocolUnavailableError, match=r"modprobe can-isotp") as caught:
            open_socket(network, implementation="socket")
        assert caught.value.errno == errno.EPROTONOSUPPORT

    def test_without_raw_sockets_there_is_no_engine(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(user_module, "_PROTOCOLS", {})
        with pytest.raises(ProtocolUnavailableError, match=r"modprobe can-raw"):
            open_socket(network)

    def test_without_can_altogether_it_is_said_at_once(self) -> None:
        for implementation in ("auto", "socket"):
            with Refusing(errno.EAFNOSUPPORT) as network:
                network.add_vcan("vcan0")
                with pytest.raises(ProtocolUnavailableError, match="no PF_CAN") as caught:
                    open_socket(network, implementation=implementation)
                assert caught.value.errno == errno.EAFNOSUPPORT

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EMFILE])
    def test_another_reason_is_no_reason_for_the_engine(self, number: int) -> None:
        with Refusing(number) as network:
            network.add_vcan("vcan0")
            with pytest.raises(CanOSError) as caught:
                open_socket(network)
            assert caught.value.errno == number


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "error", "text"),
        [
            ((None, None, None), AddressError,
             "say whom to talk to: tx_id= and rx_id=, or address="),
            ((None, None, 0x7E8), AddressError,
             "say whom to talk to: tx_id= and rx_id=, or address="),
            ((ONE, 0x7E0, None), AddressError, "say it once: tx_id= and rx_id=, or address="),
            ((ONE, None, 0x7E8), AddressError, "say it once: tx_id= and rx_id=, or address="),
            ((ONE, 0, 0), AddressError, "say it once: tx_id= and rx_id=, or address="),
            (("7E0", None, None), TypeError, "address= is an anycan.Address, not '7E0'"),
            ((0x7E0, 0x7E0, 0x7E8), TypeError, "address= is an anycan.Address, not 2016"),
            ((None, 0x7E0, 0x7E0), AddressError,
             "tx_id and rx_id are both 0x7e0: each direction has its own identifier"),
            ((None, -1, 0x7E0), AddressError, "tx_id of an address is 0 to 0x1fffffff, not -0x1"),
        ],
    )  # fmt: skip
    def test_addresses_that_are_none(
        self, arguments: tuple[Any, Any, Any], error: type[Exception], text: str
    ) -> None:
        with pytest.raises(error) as caught:
            make_address(*arguments)
        assert type(caught.value) is error
        assert str(caught.value) == text

    @pytest.mark.parametrize(
        ("arguments", "address"),
        [
            ((ONE, None, None), ONE),
            ((None, 0x7E0, 0x7E8), ONE),
            ((None, 0x7DF, None), Address.normal(0x7DF, None)),
            ((None, 0, 1), Address.normal(0, 1)),
            ((None, 0x12300, 0x800), Address.normal(0x12300, 0x800, extended=True)),
        ],
    )
    def test_addresses(self, arguments: tuple[Any, Any, Any], address: Address) -> None:
        assert make_address(*arguments) == address

    def test_without_an_interface(self, network: UserNetwork) -> None:
        with pytest.raises(TypeError, match=r"^an ISO-TP endpoint is for one interface: name it$"):
            open_socket(network, interface=None)

    @pytest.mark.parametrize("implementation", ["kernel", "", None, True])
    def test_no_such_implementation(self, network: UserNetwork, implementation: Any) -> None:
        with pytest.raises(ValueError, match=r"^implementation= is ") as caught:
            open_socket(network, implementation=implementation)
        assert str(caught.value) == (
            f'implementation= is "auto", "socket" or "engine", not {implementation!r}'
        )

    @pytest.mark.parametrize("size", [-1, 0, 4094, 1_049_601])
    @pytest.mark.parametrize("implementation", ["auto", "socket", "engine"])
    def test_no_such_size(self, network: UserNetwork, size: int, implementation: str) -> None:
        with pytest.raises(
            ValueError, match=f"^max_pdu_size= is 4095 to 1049600 bytes, not {size}$"
        ):
            open_socket(network, max_pdu_size=size, implementation=implementation)

    @pytest.mark.parametrize("options", [{"strict_iso": True}, {"max_pdu_size": 8300}])
    def test_what_sockets_do_not_have(self, network: UserNetwork, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"^strict_iso= and max_pdu_size= are for anycan's"):
            open_socket(network, implementation="socket", **options)

    @pytest.mark.parametrize(
        ("network", "error"),
        [("user:nobody", NetworkUnavailableError), ("?", NetworkUnavailableError), (5, TypeError)],
    )
    def test_no_such_network(self, network: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            open_socket(network)

    def test_what_is_wrong_with_the_address_is_said_first(self) -> None:
        nothing: Any = "?"
        with pytest.raises(AddressError):
            open_isotp_socket(nothing, nothing, None, None, None, IsotpSocketOptions(), nothing, 0)

    @on_every_back_end
    async def test_the_ways_to_say_it(self, network: UserNetwork) -> None:
        index = network.interface_index("vcan0")
        async with anycan.open_isotp(
            index, tx_id=0x7E0, rx_id=0x7E8, network=network, implementation="engine"
        ) as link:
            assert link.extra(IsotpAttribute.address) == ONE
            assert link.extra(IsotpAttribute.interface) == "vcan0"
            assert link.extra(IsotpAttribute.interface_index) == index


class TestOpeningThatFails:
    """Nothing is left open: that is looked after for every test."""

    @pytest.mark.parametrize("interface", ["vcan9", 9])
    def test_an_interface_that_is_not_there(self, network: UserNetwork, interface: Any) -> None:
        with pytest.raises(UnknownInterfaceError):
            open_socket(network, interface=interface, implementation="engine")

    def test_an_interface_that_goes_away_meanwhile(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network, "interface_mtu", lambda _: None)
        with pytest.raises(UnknownInterfaceError, match="there is no interface vcan0"):
            open_socket(network, implementation="engine")

    def test_an_interface_without_flexible_frames(self, network: UserNetwork) -> None:
        network.add_vcan("vcan1", mtu=16)
        with pytest.raises(FrameNotSupportedError, match=r"vcan1 takes no CAN FD frames"):
            open_socket(network, interface="vcan1", fd=True, implementation="engine")

    @pytest.mark.parametrize("left", [0, 1])
    def test_without_descriptors(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch, left: int
    ) -> None:
        make = socket.socketpair

        def refuse() -> tuple[socket.socket, socket.socket]:
            nonlocal left
            if not left:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            left -= 1
            return make()

        monkeypatch.setattr("anycan.network.readiness.socket.socketpair", refuse)
        with pytest.raises(CanOSError, match="Too many open files"):
            open_socket(network, implementation="engine")

    def test_an_option_that_the_kernel_does_not_know_is_named(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_one = network._open_socket

        def open_older(protocol: int, changed: Callable[[], object]) -> SocketCore:
            core = open_one(protocol, changed)
            set_option = core.setsockopt

            def refuse(level: int, option: int, value: bytes) -> None:
                if (protocol, level, option) == (CAN_RAW, 101, 5):  # CAN_RAW_FD_FRAMES
                    raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
                set_option(level, option, value)

            monkeypatch.setattr(core, "setsockopt", refuse)
            return core

        monkeypatch.setattr(network, "_open_socket", open_older)
        with pytest.raises(CanOSError) as caught:
            open_socket(network, fd=True, implementation="engine")
        assert isinstance(caught.value, OptionNotSupportedError)
        assert "CAN_RAW_FD_FRAMES" in str(caught.value)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def numbers_of(descriptor: Any) -> list[int]:
    """Give the numbers of all that a descriptor has open."""
    pairs = [descriptor._readiness, descriptor._raw._readiness]
    ends = [end for pair in pairs for end in (pair.own, pair._peer)]
    return [end.fileno() for end in ends]


def run_on_trio(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main)


def run_on(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> Any:
    def run(main: Any) -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(main())

    return run


RUNS: list[Any] = [pytest.param(run_on(asyncio.new_event_loop), id="asyncio")]
try:
    import uvloop
except ImportError:
    pass
else:
    RUNS.append(pytest.param(run_on(uvloop.new_event_loop), id="uvloop"))
ON_TRIO: Any = pytest.param(
    run_on_trio,
    id="trio",
)


class TestClosing:
    @on_every_back_end
    async def test_a_second_time_does_nothing(self, network: UserNetwork) -> None:
        async with open_engine(network) as link:
            descriptor = descriptor_of(link)
            pump = descriptor._bridge._pump
            numbers = numbers_of(descriptor)
            assert all(map(is_open, numbers))
            pump.close()
            pump.close()
            await link.aclose()
            assert not any(map(is_open, numbers))
            assert descriptor.close() is None
            pump.close()
            await link.aclose()
            with pytest.raises(OSError, match="Bad file descriptor"):
                descriptor.send([b"late"])

    @on_every_back_end
    async def test_at_once_after_opening(self, network: UserNetwork) -> None:
        for _ in range(3):
            async with open_engine(network) as link:
                numbers = numbers_of(descriptor_of(link))
            assert not any(map(is_open, numbers))

    @on_every_back_end
    async def test_what_is_being_sent_is_not_sent_further(self, network: UserNetwork) -> None:
        async with open_raw(network) as can:
            async with open_engine(network) as link, anyio.create_task_group() as tasks:
                tasks.start_soon(link.send, PDU)
                await frame_that_begins_with(can, b"\x10")
                tasks.cancel_scope.cancel()
            assert not link.transmitting
            network.inject("vcan0", GO_ON)
            for _ in range(5):
                await checkpoint()
            assert (await can.receive()).data == GO_ON.data
            with pytest.raises(anyio.WouldBlock):
                can.receive_nowait()

    @on_every_back_end
    async def test_the_network_first(self, network: UserNetwork) -> None:
        async with open_engine(network) as link:
            network.close()
            with anyio.fail_after(LIMIT), pytest.raises(InterfaceRemovedError):
                await link.receive()

    @on_every_back_end
    async def test_an_unclosed_link_is_told_and_closes_its_descriptors(
        self, network: UserNetwork
    ) -> None:
        link = IsotpLink(*open_socket(network, implementation="engine"))
        await checkpoint()
        held = [link]
        numbers = numbers_of(descriptor_of(link))
        del link
        assert all(map(is_open, numbers))
        with pytest.warns(ResourceWarning, match=r"^unclosed <IsotpLink vcan0 Address"):
            held.clear()
        gc.collect()
        assert not any(map(is_open, numbers))

    @pytest.mark.parametrize("run", RUNS)
    def test_an_unclosed_link_whose_loop_has_ended(self, network: UserNetwork, run: Any) -> None:
        held: list[IsotpLink] = []

        async def main() -> None:
            held.append(IsotpLink(*open_socket(network, implementation="engine")))
            await checkpoint()

        run(main)
        numbers = numbers_of(descriptor_of(held[0]))
        with pytest.warns(ResourceWarning, match=r"^unclosed <IsotpLink vcan0 Address"):
            held.clear()
        gc.collect()
        assert not any(map(is_open, numbers))

    @pytest.mark.parametrize("run", [*RUNS, ON_TRIO])
    def test_where_the_loop_has_ended(self, network: UserNetwork, run: Any) -> None:
        # It is what an unclosed link does then, when it is collected.
        sockets: list[Any] = []

        async def main() -> None:
            one, _ = open_socket(network, implementation="engine")
            sockets.append(one)
            await checkpoint()

        run(main)
        try:
            numbers = numbers_of(sockets[0]._descriptor)
            sockets[0].close()
            assert not any(map(is_open, numbers))
        finally:
            sockets[0].close()
