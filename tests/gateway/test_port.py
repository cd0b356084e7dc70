"""An interface of a gateway: read, sent to, lost, found again."""

from __future__ import annotations

import asyncio
import errno
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import (
    CanOSError,
    FdFrame,
    Filter,
    Frame,
    OptionNotSupportedError,
    UnknownInterfaceError,
    UserNetwork,
    XlFrame,
    open_raw,
)
from anycan.gateway import port as module
from anycan.gateway import taker
from anycan.gateway.backlog import make_line
from anycan.gateway.counters import RouteCounters
from anycan.gateway.port import Port
from anycan.gateway.reasons import DropReason
from anycan.sockets.forwarding import ForwardingSocket
from anycan.wire.frames import encode_frame
from rig.gateways import receive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan import AnyFrame
    from anycan.gateway.outlet import Outlet

pytestmark = pytest.mark.anyio


class Taker(taker.Taker):
    """A rule's end, as a port knows it."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, int]] = []
        super().__init__(self._note)

    def _note(self, payload: bytes, stamp: int) -> None:
        self.taken.append((payload, stamp))

    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.taken]


@contextmanager
def opened(network: UserNetwork, name: str = "a", **options: Any) -> Iterator[Port]:
    port = Port(network, name, **options)
    port.open()
    try:
        yield port
    finally:
        port.close()


def add(port: Port, wanted: Filter, taking: taker.Taker | Callable[[bytes, int], object]) -> None:
    port.add(wanted, taking if isinstance(taking, taker.Taker) else taker.Taker(taking))
    port.tell_kernel()


def on_the_bus(frame: AnyFrame) -> bytes:
    """Give the bytes of a frame that has been sent: one of CAN FD is marked then."""
    payload = bytearray(encode_frame(frame))
    if isinstance(frame, FdFrame):
        payload[5] |= 4  # linux/can.h: CANFD_FDF
    return bytes(payload)


def put(outlet: Outlet, *frames: AnyFrame) -> RouteCounters:
    """Send frames, and give what became of them."""
    counters = RouteCounters("a")
    line = make_line(counters, 100, "drop_oldest")
    outlet.pending += [(encode_frame(frame), 0, line) for frame in frames]
    outlet.flush()
    return counters


async def settled() -> None:
    """Let the loop look at its descriptors some times."""
    for _ in range(10):
        await checkpoint()


ONE, TWO = Frame(1, b"\1"), Frame(2, b"\2")


class TestReading:
    async def test_rules_get_what_they_want(self, network: UserNetwork) -> None:
        one, every = Taker(), Taker()
        with opened(network) as port:
            add(port, Filter.id(1), one)
            add(port, Filter.id(1) | Filter.id(2), every)
            for frame in (ONE, TWO, Frame(3)):
                network.inject("a", frame)
            await settled()
            assert one.payloads() == [encode_frame(ONE)]
            assert every.payloads() == [encode_frame(ONE), encode_frame(TWO)]
            assert all(stamp > 1e18 for _, stamp in every.taken)
            statistics = port.statistics()
            # What nobody wants the kernel has kept back.
            assert (statistics.received, statistics.not_taken) == (2, 0)
            port.remove(every)
            port.tell_kernel()
            network.inject("a", TWO)
            network.inject("a", ONE)
            await settled()
        assert len(every.taken) == 2
        assert len(one.taken) == 2
        assert port.statistics().received == 3

    async def test_what_the_kernel_cannot_tell_is_looked_at_here(
        self, network: UserNetwork
    ) -> None:
        taker = Taker()
        with opened(network) as port:
            add(port, Filter.id(1) & Filter.length(2), taker)
            for frame in (ONE, Frame(1, bytes(2)), FdFrame(1, bytes(2))):
                network.inject("a", frame)
            await settled()
            assert len(taker.taken) == 2
            assert (port.statistics().received, port.statistics().not_taken) == (3, 1)

    async def test_filters_of_other_interfaces_take_nothing(self, network: UserNetwork) -> None:
        here, elsewhere = Taker(), Taker()
        with opened(network) as port:
            add(port, Filter.interface("a"), here)
            add(port, Filter.interface("b"), elsewhere)
            network.inject("a", ONE)
            await settled()
        assert (len(here.taken), len(elsewhere.taken)) == (1, 0)

    async def test_more_than_one_turn_reads(self, network: UserNetwork) -> None:
        taker = Taker()
        with opened(network) as port:
            add(port, Filter.all(), taker)
            for number in range(300):
                network.inject("a", Frame(number))
            await settled()
        assert [int.from_bytes(payload[:4], "little") for payload in taker.payloads()] == [
            *range(300)
        ]

    async def test_what_does_not_fit_into_the_buffer_is_counted(self, network: UserNetwork) -> None:
        taker = Taker()
        with opened(network) as port:
            add(port, Filter.all(), taker)
            assert port.socket is not None
            port.socket._descriptor.setsockopt(1, 8, (2304).to_bytes(4, "little"))  # SO_RCVBUF
            for number in range(100):
                network.inject("a", Frame(number))
            await settled()
            overflowed = port.statistics().overflowed
        assert overflowed > 0
        assert len(taker.taken) + overflowed == 100
        assert port.statistics().overflowed == overflowed

    async def test_what_a_batch_forwards_is_sent_at_its_end(self, network: UserNetwork) -> None:
        with opened(network) as port, opened(network, "b") as other:
            outlet = other.outlet(local_echo=True)
            line = make_line(RouteCounters("b"), 10, "drop_oldest")
            sent: list[int] = []

            def take(payload: bytes, stamp: int) -> None:
                outlet.pending.append((payload, stamp, line))
                sent.append(line.counters.forwarded)

            add(port, Filter.all(), take)
            port.reach([outlet, outlet])
            for _ in range(3):
                network.inject("a", ONE)
            await settled()
            assert sent == [0, 0, 0]
            assert line.counters.forwarded == 3

    async def test_a_filter_that_raises_is_told_of_once(
        self, network: UserNetwork, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: AnyFrame) -> bool:
            raise ValueError("no")

        taker = Taker()
        with opened(network) as port:
            add(port, Filter.where(fail), taker)
            network.inject("a", ONE)
            network.inject("a", ONE)
            await settled()
            assert port.statistics().not_taken == 2
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "a@user: a filter's function failed" in record.getMessage()
        assert "ValueError: no, called with 001#01" in record.getMessage()


class TestKindsOfFrames:
    @pytest.mark.parametrize(
        ("mtu", "taken"), [(16, [ONE]), (72, [ONE, FdFrame(1, b"\1")])], ids=str
    )
    async def test_those_that_the_interface_has(
        self, network: UserNetwork, mtu: int, taken: list[AnyFrame]
    ) -> None:
        network.add_vcan("m", mtu=mtu)
        taker = Taker()
        with opened(network, "m") as port:
            add(port, Filter.all(), taker)
            for frame in taken:
                network.inject("m", frame)
            await settled()
            counters = put(port.outlet(local_echo=True), ONE, FdFrame(1), XlFrame(1, b"x"), TWO)
        assert taker.payloads() == [on_the_bus(frame) for frame in taken]
        assert counters.forwarded == 1 + len(taken)
        assert counters.dropped == {DropReason.DOES_NOT_FIT: 3 - len(taken)}

    async def test_can_xl_of_every_vcid(self, network: UserNetwork) -> None:
        network.add_vcan("x", mtu=2060)
        taker, three = Taker(), Taker()
        frames: list[AnyFrame] = [
            ONE,
            FdFrame(1, b"\1"),
            XlFrame(1, b"x"),
            XlFrame(2, bytes(4), vcid=3),
            XlFrame(2, bytes(2048), vcid=255),
        ]
        with opened(network, "x") as port:
            add(port, Filter.all(), taker)
            add(port, Filter.xl(vcid=3), three)
            for frame in frames:
                network.inject("x", frame)
            await settled()
            counters = put(port.outlet(local_echo=True), *frames)
        assert taker.payloads() == [on_the_bus(frame) for frame in frames]
        assert three.payloads() == [encode_frame(frames[3])]
        assert counters.forwarded == len(frames)

    @pytest.mark.parametrize("refused", [("vcid",), ("vcid", "xl"), ("vcid", "xl", "fd")])
    async def test_what_the_kernel_does_not_know_is_done_without(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]
    ) -> None:
        real = ForwardingSocket
        tried: list[dict[str, Any]] = []

        def older(network: Any, interface: Any, options: Any) -> Any:
            asked = {name: getattr(options, name) for name in ("vcid", "xl", "fd")}
            tried.append(asked)
            if any(asked[name] for name in refused):
                raise OptionNotSupportedError(errno.ENOPROTOOPT, "too old")
            return real(network, interface, options)

        monkeypatch.setattr(module, "ForwardingSocket", older)
        network.add_vcan("x", mtu=2060)
        port = Port(network, "x")
        if "fd" in refused:
            with pytest.raises(OptionNotSupportedError, match="too old"):
                port.open()
            assert not port.is_open
        else:
            port.open()
            port.close()
        assert len(tried) == min(len(refused) + 1, 3)


class TestEcho:
    async def test_what_is_sent_is_seen_here_and_not_by_the_port(
        self, network: UserNetwork
    ) -> None:
        taker = Taker()
        async with open_raw("a", network=network) as can:
            with opened(network) as port:
                add(port, Filter.all(), taker)
                put(port.outlet(local_echo=True), ONE)
                assert await receive(can, 1) == [ONE]
                await settled()
        assert taker.taken == []

    async def test_or_it_is_seen_by_nobody_here(self, network: UserNetwork) -> None:
        taker = Taker()
        async with open_raw("a", network=network) as can:
            with opened(network) as port:
                add(port, Filter.all(), taker)
                silent, loud = port.outlet(local_echo=False), port.outlet(local_echo=True)
                assert port.outlet(local_echo=False) is silent
                assert port.outlets() == [silent, loud]
                assert put(silent, ONE).forwarded == 1
                assert put(loud, TWO).forwarded == 1
                assert await receive(can, 1) == [TWO]
                await settled()
            assert put(silent, ONE).dropped == {DropReason.INTERFACE_GONE: 1}
        assert taker.taken == []
        assert port.statistics().received == 0

    async def test_the_silent_one_comes_back_with_the_interface(self, network: UserNetwork) -> None:
        with opened(network) as port:
            outlet = port.outlet(local_echo=False)
            network.remove("a")
            assert put(outlet, ONE).dropped == {DropReason.INTERFACE_GONE: 1}
            assert port.statistics().state == "gone"
            network.add_vcan("a")
            assert port.try_to_open()
            assert put(outlet, ONE).forwarded == 1

    async def test_asked_for_before_the_interface_is_there(self, network: UserNetwork) -> None:
        port = Port(network, "later")
        outlet = port.outlet(local_echo=False)
        assert put(outlet, ONE).dropped == {DropReason.INTERFACE_GONE: 1}
        network.add_vcan("later")
        assert port.try_to_open()
        assert put(outlet, ONE).forwarded == 1
        port.close()

    async def test_gone_just_when_it_is_asked_for(self, network: UserNetwork) -> None:
        lost: list[bool] = []
        with opened(network, on_lost=lambda: lost.append(True)) as port:
            network.remove("a")
            outlet = port.outlet(local_echo=False)
            assert put(outlet, ONE).dropped == {DropReason.INTERFACE_GONE: 1}
            await settled()
            assert not port.is_open
            assert lost == [True]

    async def test_where_there_are_no_more_descriptors_nothing_is_half_open(
        self, network: UserNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = ForwardingSocket

        def refuse(network: Any, interface: Any, options: Any) -> Any:
            if not options.loopback:
                raise CanOSError(errno.EMFILE, "no descriptors are left")
            return real(network, interface, options)

        port = Port(network, "a")
        port.outlet(local_echo=False)
        monkeypatch.setattr(module, "ForwardingSocket", refuse)
        try:
            with pytest.raises(CanOSError, match="no descriptors"):
                port.open()
            assert not port.is_open
        finally:
            port.close()


class TestComingAndGoing:
    async def test_down_and_up_again(
        self, network: UserNetwork, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        taker = Taker()
        with opened(network) as port:
            add(port, Filter.all(), taker)
            outlet = port.outlet(local_echo=True)
            network.set_down("a")
            await settled()
            assert (port.statistics().state, port.statistics().gaps) == ("down", 1)
            assert put(outlet, ONE, TWO).dropped == {DropReason.INTERFACE_DOWN: 2}
            assert port.statistics().gaps == 1
            network.set_up("a")
            network.inject("a", ONE)
            await settled()
            assert (port.statistics().state, len(taker.taken)) == ("up", 1)
            network.set_down("a")
            network.set_up("a")
            assert put(outlet, ONE).forwarded == 1  # what is told is of the past
            await settled()
            network.set_down("a")
            assert put(outlet, ONE).dropped == {DropReason.INTERFACE_DOWN: 1}
            network.set_up("a")
            assert put(outlet, ONE).forwarded == 1
            assert port.statistics().state == "up"
        told = [record.getMessage() for record in caplog.records]
        assert told[0] == (
            "a@user: the interface is down; forwarding to and from it goes on when it is up"
            " (set_up('a'))"
        )
        assert told[1] == "a@user: the interface is up again"

    async def test_gone_and_back(
        self, network: UserNetwork, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        lost: list[bool] = []
        taker = Taker()
        with opened(network, on_lost=lambda: lost.append(True)) as port:
            add(port, Filter.id(1), taker)
            outlet = port.outlet(local_echo=True)
            network.inject("a", ONE)
            await settled()
            network.remove("a")
            await settled()
            assert lost == [True]
            assert not port.is_open
            assert not port.try_to_open()
            assert put(outlet, ONE).dropped == {DropReason.INTERFACE_GONE: 1}
            port.lose()  # nothing more than before
            other = Taker()
            add(port, Filter.id(2), other)  # while it is away
            network.add_vcan("a")
            assert port.try_to_open()
            network.inject("a", ONE)
            network.inject("a", TWO)
            await settled()
            assert (len(taker.taken), len(other.taken)) == (2, 1)
            statistics = port.statistics()
            assert (statistics.state, statistics.received, statistics.gaps) == ("up", 3, 1)
            assert put(outlet, ONE).forwarded == 1
        assert [record.getMessage() for record in caplog.records] == [
            "a@user: the interface is gone; forwarding to and from it goes on when it is back",
            "a@user: the interface is there, and forwarding goes on",
        ]

    async def test_opened_again_before_it_is_up_is_the_same_gap(self, network: UserNetwork) -> None:
        with opened(network) as port:
            network.remove("a")
            await settled()
            network.add_vcan("a")
            network.set_down("a")
            assert port.try_to_open()
            await settled()
            assert (port.statistics().state, port.statistics().gaps) == ("down", 1)
            network.set_up("a")
            port.link_up()
            assert (port.statistics().state, port.statistics().gaps) == ("up", 1)
            network.set_down("a")
            await settled()
            assert (port.statistics().state, port.statistics().gaps) == ("down", 2)

    async def test_gone_while_frames_wait(self, network: UserNetwork) -> None:
        network.add_vcan("q", transmit_queue=1)
        with opened(network, "q") as port:
            outlet = port.outlet(local_echo=True)
            counters = put(outlet, *[ONE] * 5)
            assert (counters.forwarded, counters.waiting) == (1, 4)
            network.remove("q")
            await settled()
            assert not outlet.blocked
            assert counters.dropped == {DropReason.INTERFACE_GONE: 4}
            assert counters.waiting == 0

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    @pytest.mark.parametrize("echo", [True, False])
    async def test_closed_while_room_is_waited_for_it_is_polled_no_more(
        self, network: UserNetwork, echo: bool
    ) -> None:
        """On uvloop the process would be aborted (by ``uv__io_poll``), and so it is not tried."""
        network.add_vcan("q", transmit_queue=1000)
        loop: Any = asyncio.get_running_loop()
        with opened(network, "q") as port:
            outlet = port.outlet(local_echo=echo)
            assert put(outlet, *[ONE] * 50).waiting > 0
            fd = port._outlets[echo][0].fd
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(outlet.run)
                await anyio.wait_all_tasks_blocked()
                port.close()
                polled = fd in loop._selector.get_map()
                tasks.cancel_scope.cancel()
        assert not polled

    async def test_one_that_is_there_and_cannot_be_opened(
        self,
        network: UserNetwork,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def refuse(*_: object) -> None:
            raise CanOSError(errno.EMFILE, "no descriptors are left")

        port = Port(network, "a")
        with monkeypatch.context() as patch:
            patch.setattr(module, "ForwardingSocket", refuse)
            assert not port.try_to_open()
            assert not port.try_to_open()
        (record,) = caplog.records
        assert record.getMessage().startswith("a@user: it is there and cannot be opened: ")
        assert port.try_to_open()
        port.close()
        port.close()

    async def test_one_that_is_not_there(self, network: UserNetwork) -> None:
        port = Port(network, "none")
        with pytest.raises(UnknownInterfaceError):
            port.open()
        assert port.statistics().state == "gone"
        assert not port.is_open
        port.close()
