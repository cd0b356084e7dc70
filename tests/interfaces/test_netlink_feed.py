"""The kernel's link events, as they are read in the background."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import anyio
import pytest

from anycan import CanOSError, ServedNetwork
from anycan.interfaces import netlink_feed
from anycan.interfaces.link_source import KERNEL, ServedLinkSource
from anycan.interfaces.netlink_feed import NetlinkLinkFeed
from anycan.interfaces.netlink_links import NetlinkLinks
from anycan.sockets.netlink import NetlinkSocket
from anycan.sockets.served_links import ServedNetlink
from anycan.wire.netlink_link import ARPHRD_CAN, RTM_DELLINK, RTM_NEWLINK, Link
from rig.served import serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from anycan import Interface
    from anycan.wire.netlink import NetlinkMessage
    from rig.link_kernel import LinkKernel
    from rig.served import ServerThread

pytestmark = pytest.mark.anyio

links = NetlinkLinks(KERNEL)


class Sink:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._more = anyio.Event()

    def put(self, interface: Interface) -> None:
        self._tell(f"{interface.name} {'up' if interface.up else 'down'}")

    def drop(self, index: int) -> None:
        self._tell(f"{index} gone")

    def replace(self, interfaces: Iterable[Interface]) -> None:
        self._tell(f"all: {' '.join(one.name for one in interfaces)}")

    def renewed(self) -> None:
        self._tell("back")

    def end(self) -> None:
        self._tell("the end")

    def _tell(self, text: str) -> None:
        self.told.append(text)
        self._more.set()

    async def tells(self, *texts: str) -> None:
        """Wait until so much has been told; it is what is expected."""
        with anyio.fail_after(5):
            while len(self.told) < len(texts):
                self._more = anyio.Event()
                await self._more.wait()
        assert self.told == list(texts)
        self.told.clear()


async def test_what_is_there_and_what_happens(stand_in: LinkKernel) -> None:
    index = stand_in.add_can("can0")
    sink = Sink()
    feed = NetlinkLinkFeed(sink, KERNEL)
    try:
        await sink.tells("can0 down")
        links.create_vcan("vcan0", 72, up=True)
        await sink.tells("vcan0 down", "vcan0 up")
        links.set_down("vcan0")
        vcan0 = links.get("vcan0").index
        links.delete("vcan0")
        await sink.tells("vcan0 down", f"{vcan0} gone")
        stand_in.add_other("eth0")
        stand_in.tell("can0")
        await sink.tells("can0 down")
        assert index != vcan0
    finally:
        feed.close()
    links.create_vcan("vcan1", 72, up=True)
    await anyio.lowlevel.checkpoint()
    assert sink.told == []


async def test_catching_up_tells_at_once(stand_in: LinkKernel) -> None:
    sink = Sink()
    feed = NetlinkLinkFeed(sink, KERNEL)
    try:
        links.create_vcan("vcan0", 72, up=False)
        assert sink.told == []
        feed.catch_up()
        assert sink.told == ["vcan0 down"]
        feed.catch_up()
        assert sink.told == ["vcan0 down"]
    finally:
        feed.close()
    assert not stand_in.opened


async def test_who_is_told_may_have_it_catch_up(stand_in: LinkKernel) -> None:
    """As a socket's error has it do: what comes then comes behind what has been read."""

    class Impatient(Sink):
        def put(self, interface: Interface) -> None:
            super().put(interface)
            if interface.name == "can0":
                stand_in.add_can("can2")
                feed.catch_up()
                self.told.append("caught up")

    sink = Impatient()
    feed = NetlinkLinkFeed(sink, KERNEL)
    try:
        stand_in.add_can("can0")
        stand_in.add_can("can1")
        await sink.tells("can0 down", "can1 down", "can2 down", "caught up")
    finally:
        feed.close()


async def test_events_that_are_lost_have_all_asked_for_and_it_goes_on(
    stand_in: LinkKernel, caplog: pytest.LogCaptureFixture
) -> None:
    links.create_vcan("vcan0", 72, up=False)
    sink = Sink()
    feed = NetlinkLinkFeed(sink, KERNEL)
    try:
        await sink.tells("vcan0 down")
        links.create_vcan("vcan1", 72, up=False)
        stand_in.lose_events()
        # Its event has been read before, and is of no use any more.
        await sink.tells("all: vcan0 vcan1")
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        links.set_up("vcan1")
        await sink.tells("vcan1 up")
    finally:
        feed.close()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("link events are lost, and all links are asked for: ")


async def test_losing_events_while_it_catches_up_has_it_polled_anew(
    stand_in: LinkKernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else uvloop would poll it no more, as somebody else has taken its error."""
    sink = Sink()
    feed = NetlinkLinkFeed(sink, KERNEL)
    renewed: list[bool] = []
    assert feed._pump is not None
    renew = feed._pump.renew

    def renew_and_say_so() -> None:
        renewed.append(True)
        renew()

    try:
        monkeypatch.setattr(feed._pump, "renew", renew_and_say_so)
        feed.catch_up()
        assert renewed == []
        stand_in.lose_events()
        feed.catch_up()
        assert renewed == [True]
        assert sink.told == ["all: "]
        sink.told.clear()
        stand_in.add_can("can0")
        await sink.tells("can0 down")
    finally:
        feed.close()
    assert "are lost" in caplog.text


async def test_all_cannot_be_asked_for(
    stand_in: LinkKernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink()
    feed = NetlinkLinkFeed(sink, KERNEL)

    def refuse(*_: object) -> None:
        raise CanOSError(errno.ENOMEM, "there is no room")

    try:
        stand_in.lose_events()
        with monkeypatch.context() as patch:
            patch.setattr(NetlinkSocket, "request", refuse)
            feed.catch_up()
        assert sink.told == []
        assert "links cannot be asked for: there is no room" in caplog.text
        stand_in.add_can("can0")
        await sink.tells("can0 down")
    finally:
        feed.close()


async def test_what_makes_no_sense_is_passed_over(
    stand_in: LinkKernel, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink()
    feed = NetlinkLinkFeed(sink, KERNEL)
    bridge = Link(9, device_type=ARPHRD_CAN, name="can9", family=7).pack()
    try:
        stand_in.tell_all(RTM_NEWLINK, b"odd")
        stand_in.tell_all(RTM_NEWLINK, bridge)
        stand_in.tell_all(RTM_DELLINK, bridge)
        stand_in.tell_all(99, bridge)
        stand_in.tell_all(RTM_DELLINK, Link(8, device_type=772).pack())
        stand_in.add_can("can0")
        await sink.tells("can0 down")
    finally:
        feed.close()
    (record,) = caplog.records
    assert record.getMessage().startswith("a link event is passed over: ")


async def test_a_feed_that_cannot_begin_leaves_nothing_open(
    stand_in: LinkKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise CanOSError(errno.ENOMEM, "there is no room")

    for method in ("request", "join_links"):
        with monkeypatch.context() as patch:
            patch.setattr(NetlinkSocket, method, refuse)
            with pytest.raises(CanOSError):
                NetlinkLinkFeed(Sink(), KERNEL)
        assert not stand_in.opened


# A network that another process serves


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerThread]:
    """Give a network that is served, and have it looked for all the time when it is lost."""
    monkeypatch.setattr(netlink_feed, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(netlink_feed, "_LAST_DELAY", 0.002)
    with serving(str(tmp_path / "network")) as server:
        yield server


async def closed(feed: NetlinkLinkFeed) -> None:
    """Close it, and wait until it is looked for no more."""
    feed.close()
    feed.close()
    with anyio.fail_after(5):
        while feed._search is not None and not feed._search.done:
            await anyio.lowlevel.checkpoint()


async def test_a_network_that_is_lost_and_found(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    with ServedNetwork(server.path) as network:
        sink = Sink()
        feed = NetlinkLinkFeed(sink, ServedLinkSource(network))
        try:
            await sink.tells("vcan0 up")
            for _ in range(2):
                server.stop()
                await sink.tells("all: ")
                feed.catch_up()  # there is nothing to be read
                server.start()
                await sink.tells("back", "all: vcan0")
                server.call(server.network.set_down, "vcan0")
                await sink.tells("vcan0 down")
        finally:
            await closed(feed)
        assert [len(client.sockets) for client in network.status().clients] == [0]
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:2] == [
        f"unix:{server.path} is lost: its server is gone; it is looked for",
        f"unix:{server.path} is back",
    ]


async def test_who_catches_up_is_told_that_it_is_lost(server: ServerThread) -> None:
    with ServedNetwork(server.path) as network:
        sink = Sink()
        feed = NetlinkLinkFeed(sink, ServedLinkSource(network))
        server.stop()
        feed.catch_up()
        assert sink.told == ["vcan0 up", "all: "]
        await closed(feed)


async def test_a_connection_that_is_closed_does_not_come_back(server: ServerThread) -> None:
    with ServedNetwork(server.path) as network:
        sink = Sink()
        feed = NetlinkLinkFeed(sink, ServedLinkSource(network))
        network.close()
        await sink.tells("vcan0 up", "the end")
        await closed(feed)


async def test_a_connection_that_is_closed_is_not_looked_for(server: ServerThread) -> None:
    with ServedNetwork(server.path) as network:
        sink = Sink()
        feed = NetlinkLinkFeed(sink, ServedLinkSource(network))
        server.stop()
        await sink.tells("vcan0 up", "all: ")
        network.close()
        await sink.tells("the end")
        await closed(feed)


async def test_it_is_lost_again_as_it_is_found(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for on, and nothing of the first attempt is left."""
    attempts: list[bool] = []
    request = ServedNetlink.request

    def fail_once(self: ServedNetlink, message: NetlinkMessage) -> list[NetlinkMessage]:
        attempts.append(True)
        if len(attempts) == 1:
            raise CanOSError(errno.ENOMEM, "there is no room")
        return request(self, message)

    with ServedNetwork(server.path) as network:
        sink = Sink()
        feed = NetlinkLinkFeed(sink, ServedLinkSource(network))
        server.stop()
        await sink.tells("vcan0 up", "all: ")
        monkeypatch.setattr(ServedNetlink, "request", fail_once)
        server.start()
        await sink.tells("back", "all: vcan0")
        assert len(attempts) == 2
        assert [len(client.sockets) for client in network.status().clients] == [1]
        await closed(feed)


async def test_it_is_lost_while_all_is_asked_for(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ServedNetwork(server.path) as network:
        sink = Sink()
        feed = NetlinkLinkFeed(sink, ServedLinkSource(network))

        def lose() -> list[NetlinkMessage]:
            server.stop()
            raise CanOSError(errno.ENOBUFS, "events are lost")

        monkeypatch.setattr(feed._events, "events", lose)
        feed.catch_up()
        assert sink.told == ["vcan0 up", "all: "]
        await closed(feed)
