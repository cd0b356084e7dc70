"""A network whose server is lost: killed, or hanging; and clients that may only listen."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import to_thread

import anycan
from anycan import (
    CanPermissionError,
    Changed,
    EventsLost,
    Frame,
    Gateway,
    GatewayPort,
    InterfaceAdded,
    InterfaceRemoved,
    InterfaceRemovedError,
    NetworkUnavailableError,
    Rule,
    ServedNetwork,
)
from anycan.network import server as server_module
from anycan.network.server import Peer
from rig.served import ServerProcess, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

_LONG = 20  # seconds: that something has gone wrong


class Server:
    """A process that serves a network, and another one in its place.

    Args:
        path: Where.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.process = ServerProcess(path)

    async def kill(self) -> None:
        """Kill it by kill -9."""
        await to_thread.run_sync(self.process.kill)

    async def start(self, network: ServedNetwork) -> None:
        """Have another one in its place, with the same interfaces."""
        self.process = await to_thread.run_sync(ServerProcess, self.path)
        await add_interfaces(network)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(str(tmp_path / "network"))
    yield server
    server.process.kill()


async def add_interfaces(network: ServedNetwork) -> None:
    for name in ("vcan0", "vcan1"):
        await anycan.create_vcan(name, network=network)


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[ServedNetwork]:
    async with await anycan.connect_network(server.path) as network:
        await add_interfaces(network)
        yield network


async def received(can: anycan.RawEndpoint, wanted: Frame) -> None:
    """Receive until it is that frame."""
    with anyio.fail_after(_LONG):
        while await can.receive() != wanted:
            pass


async def test_every_endpoint_is_told_that_its_server_is_killed(server: Server) -> None:
    told: list[str] = []

    async def waits(kind: str, call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except InterfaceRemovedError as error:
            assert error.interface == "vcan0"  # noqa: PT017 - it is caught as a user would
            told.append(kind)

    async with (
        connected(server) as network,
        anycan.open_raw("vcan0", network=network) as raw,
        anycan.open_raw(None, network=network) as everywhere,
        anycan.open_bcm("vcan0", network=network) as bcm,
        bcm.watch(0x123) as changes,
        bcm.send_cyclic(Frame(0x100), interval=0.01, count=1_000_000) as cyclic,
        anycan.open_isotp("vcan0", tx_id=0x7E0, rx_id=0x7E8, network=network) as isotp,
        anycan.watch_interfaces(present=True, network=network) as events,
    ):
        names = [(await events.receive()).interface.name for _ in range(2)]  # type: ignore[union-attr]  # they are no losses
        assert names == ["vcan0", "vcan1"]
        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks:

                async def read_raw() -> None:
                    while True:
                        await raw.receive()

                async def read_everywhere() -> None:
                    try:
                        while True:
                            await everywhere.receive()
                    except InterfaceRemovedError as error:
                        assert error.interface is None  # noqa: PT017 - as above
                        told.append("everywhere")

                tasks.start_soon(waits, "raw", read_raw)
                tasks.start_soon(read_everywhere)
                tasks.start_soon(waits, "watch", changes.receive)
                tasks.start_soon(waits, "cyclic", cyclic.wait_expired)
                tasks.start_soon(waits, "isotp", isotp.receive)
                await anyio.wait_all_tasks_blocked()
                await server.kill()
            gone = [await events.receive() for _ in range(3)]
        assert sorted(told) == ["cyclic", "everywhere", "isotp", "raw", "watch"]
        assert [type(one) for one in gone] == [EventsLost, InterfaceRemoved, InterfaceRemoved]
        # What follows is as on an interface that was removed.
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: raw.send(Frame(1)),
            lambda: bcm.send(Frame(1)),
            lambda: isotp.send(b"pdu"),
        ]
        for call in calls:
            with pytest.raises(anycan.InterfaceError):
                await call()
        with pytest.raises(
            NetworkUnavailableError, match=r"there is no such file|its server is gone"
        ):
            await anycan.list_interfaces(network=network)
        with pytest.raises(NetworkUnavailableError):
            async with anycan.open_raw("vcan0", network=network):
                pass


async def test_who_waits_goes_on_with_the_server_that_comes_after(server: Server) -> None:
    wait: dict[str, Any] = {"on_link_loss": "wait"}
    async with (
        connected(server) as network,
        anycan.open_raw("vcan0", network=network, **wait) as raw,
        anycan.open_raw("vcan1", network=network, **wait) as forwarded,
        anycan.open_bcm("vcan0", network=network, **wait) as bcm,
        bcm.watch(0x123) as changes,
        bcm.send_cyclic(Frame(0x100, b"beat"), interval=0.01),
        anycan.open_isotp("vcan0", tx_id=0x7E0, rx_id=0x7E8, network=network, **wait) as tester,
        anycan.open_isotp("vcan0", tx_id=0x7E8, rx_id=0x7E0, network=network, **wait) as unit,
        anycan.watch_interfaces(network=network) as events,
        anyio.create_task_group() as tasks,
    ):
        rule = Rule(source=GatewayPort("vcan0", network), destination=GatewayPort("vcan1", network))
        tasks.start_soon(Gateway([rule]).run)
        await received(raw, Frame(0x100, b"beat"))
        await received(forwarded, Frame(0x100, b"beat"))
        await server.kill()
        with anyio.fail_after(_LONG):
            while not isinstance(await events.receive(), InterfaceRemoved):
                pass
            await server.start(network)
            while not isinstance(await events.receive(), InterfaceAdded):
                pass
            # All that was opened goes on: what it is, and the beat.
            await received(raw, Frame(0x100, b"beat"))
            await received(forwarded, Frame(0x100, b"beat"))
            await raw.send(Frame(0x123, b"again"))
            while await changes.receive() != Changed(Frame(0x123, b"again")):
                pass
            await received(forwarded, Frame(0x123, b"again"))
            async with anyio.create_task_group() as transfers:
                transfers.start_soon(tester.send, b"again" * 50)
                while await unit.receive() != b"again" * 50:
                    pass
        assert raw.statistics().gaps == 1
        tasks.cancel_scope.cancel()


@pytest.mark.may_block("the call that finds out waits a second for an answer")
async def test_a_server_that_hangs_is_taken_for_dead(server: Server) -> None:
    """One call finds out, and all who wait on that connection are woken."""
    async with (
        connected(server) as network,
        anycan.open_raw("vcan0", network=network) as one,
        anycan.open_raw("vcan0", network=network) as other,
        anyio.create_task_group() as tasks,
    ):
        woken: list[str] = []

        async def wait() -> None:
            with pytest.raises(InterfaceRemovedError):
                await other.receive()
            woken.append("other")

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        server.process.hang()
        start = time.monotonic()
        with pytest.raises(InterfaceRemovedError):
            await one.send(Frame(1))
        assert 0.5 < time.monotonic() - start < 2
        with anyio.fail_after(_LONG):
            while not woken:
                await anyio.lowlevel.checkpoint()
        # It goes on, and finds what there was of that client gone.
        server.process.go_on()
        assert [one.name for one in await anycan.list_interfaces(network=network)] == [
            "vcan0",
            "vcan1",
        ]
        async with anycan.open_raw("vcan0", network=network) as third:
            await third.send(Frame(2))
        assert len(network.status().clients) == 1


# Clients that may only listen


@pytest.fixture
def both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ServedNetwork, ServedNetwork]]:
    """Give the connections of a client that may only listen, and of one that may send."""
    path = str(tmp_path / "network")
    monkeypatch.setattr(server_module, "peer_of", lambda _: Peer(1, 12345, 1))
    with serving(path, group=os.getgid()), ServedNetwork(path) as listener:
        monkeypatch.setattr(server_module, "peer_of", lambda _: Peer(1, os.geteuid(), 1))
        with ServedNetwork(path) as writer:
            yield listener, writer


async def test_who_may_only_listen(both: tuple[ServedNetwork, ServedNetwork]) -> None:
    listener, writer = both
    async with (
        anycan.open_raw("vcan0", network=listener) as raw,
        anycan.open_bcm("vcan0", network=listener) as bcm,
        bcm.watch(0x123) as changes,
        anycan.open_raw("vcan0", network=writer) as sender,
        anycan.watch_interfaces(network=listener) as events,
    ):
        await sender.send(Frame(0x123, b"a"))
        with anyio.fail_after(_LONG):
            assert await raw.receive() == Frame(0x123, b"a")
            assert await changes.receive() == Changed(Frame(0x123, b"a"))
        refused = "vcan0.*this client may only listen"
        for call in (
            lambda: raw.send(Frame(1)),
            lambda: bcm.send(Frame(1)),
            lambda: bcm.send_cyclic(Frame(1), interval=1.0).__aenter__(),
        ):
            with pytest.raises(CanPermissionError, match=refused) as raised:
                await call()
            assert "kernel" not in str(raised.value)
        for change in (
            lambda: anycan.create_vcan("vcan9", network=listener),
            lambda: anycan.configure_interface("vcan0", up=False, network=listener),
            lambda: anycan.delete_interface("vcan0", network=listener),
        ):
            with pytest.raises(CanPermissionError, match="this client may only listen") as raised:
                await change()
            assert "kernel" not in str(raised.value)
        await anycan.create_vcan("vcan1", network=writer)
        with anyio.fail_after(_LONG):
            assert isinstance(await events.receive(), InterfaceAdded)
        names = [one.name for one in await anycan.list_interfaces(network=listener)]
        assert names == ["vcan0", "vcan1"]


async def test_isotp_of_who_may_only_listen(both: tuple[ServedNetwork, ServedNetwork]) -> None:
    listener, writer = both
    address: dict[str, Any] = {"implementation": "socket"}
    with pytest.raises(CanPermissionError, match="this client may only listen") as raised:
        async with anycan.open_isotp("vcan0", tx_id=2, rx_id=1, network=listener, **address):
            pass
    assert "kernel" not in str(raised.value)
    async with (
        anycan.open_isotp("vcan0", tx_id=1, rx_id=2, network=writer) as sender,
        anycan.open_isotp("vcan0", tx_id=2, rx_id=1, network=writer) as receiver,
        anycan.open_isotp(
            "vcan0", tx_id=2, rx_id=1, listen_only=True, network=listener, **address
        ) as monitor,
    ):
        await sender.send(b"pdu" * 10)
        with anyio.fail_after(_LONG):
            assert await receiver.receive() == b"pdu" * 10
            assert await monitor.receive() == b"pdu" * 10
