"""Links of a network that is served: asked for, changed, and told of."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING, Any

import pytest

from anycan import (
    CanOSError,
    CanPermissionError,
    InterfaceExistsError,
    NetworkUnavailableError,
    ServedNetwork,
    ServerLimits,
    UnknownInterfaceError,
)
from anycan.network import server as server_module
from anycan.network.server import Peer
from anycan.sockets.served_links import ServedLinkEvents, ServedNetlink
from anycan.wire.netlink import NetlinkMessage
from anycan.wire.netlink_link import RTM_DELLINK, RTM_NEWLINK, Link
from anycan.wire.netlink_requests import (
    create_vcan,
    delete_link,
    dump_links,
    get_link,
    set_down,
    set_up,
)
from anycan.wire.served import Answer
from rig.served import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rig.served import ServerThread


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerThread]:
    with serving(str(tmp_path / "network")) as server:
        yield server


@pytest.fixture
def network(server: ServerThread) -> Iterator[ServedNetwork]:
    with ServedNetwork(server.path) as network:
        yield network


@pytest.fixture
def events(network: ServedNetwork) -> Iterator[ServedLinkEvents]:
    events = ServedLinkEvents(network)
    yield events
    events.close()
    events.close()


def names(network: ServedNetwork) -> list[str | None]:
    with ServedNetlink(network) as netlink:
        return [Link.unpack(answer.payload).name for answer in netlink.request(dump_links())]


def test_asking_and_changing(network: ServedNetwork) -> None:
    assert names(network) == ["vcan0"]
    with ServedNetlink(network) as netlink:
        assert netlink.request(create_vcan("vcan1")) == []
        (answer,) = netlink.request(get_link(2))
        assert Link.unpack(answer.payload).name == "vcan1"
        netlink.request(delete_link(2))
    assert names(network) == ["vcan0"]


def test_a_dump_in_parts(server: ServerThread, network: ServedNetwork) -> None:
    expected = [f"vcan{number}" for number in range(400)]
    for name in expected[1:]:
        server.call(server.network.add_vcan, name)
    assert names(network) == expected


def test_what_is_refused(network: ServedNetwork) -> None:
    netlink = ServedNetlink(network)
    with pytest.raises(UnknownInterfaceError):
        netlink.request(get_link(9))
    with pytest.raises(CanOSError, match="cannot have an MTU") as raised:
        netlink.request(create_vcan("vcan1", mtu=17))
    assert raised.value.errno == errno.EINVAL
    with pytest.raises(CanOSError) as raised:
        netlink.request(create_vcan("vcan0"))
    assert raised.value.errno == errno.EEXIST
    assert InterfaceExistsError is not type(raised.value)  # whoever asked knows the name


def test_who_may_only_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "peer_of", lambda _: Peer(1, 12345, 1))
    path = str(tmp_path / "network2")
    with serving(path, group=os.getgid()), ServedNetwork(path) as network:
        assert names(network) == ["vcan0"]
        with pytest.raises(
            CanPermissionError, match=f"^.*unix:{path}: this client may only listen"
        ):
            ServedNetlink(network).request(set_down(1))


def test_a_dump_goes_on_behind_the_last_link_that_was_told(
    server: ServerThread, network: ServedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        server.call(server.network.add_vcan, f"vcan{number + 1}")
    server.call(server.network.remove, "vcan7")
    asked: list[int] = []
    demand = network.demand_links

    def ask(request: bytes, after: int) -> bytes:
        if after:
            server.call(server.network.remove, f"vcan{len(asked)}")  # one that has been told
        asked.append(after)
        return demand(request, after)

    monkeypatch.setattr(network, "demand_links", ask)
    found = [Link.unpack(one.payload).index for one in ServedNetlink(network).request(dump_links())]
    assert found == [index for index in range(1, 302) if index != 8]
    assert len(asked) > 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NetlinkMessage(RTM_NEWLINK, 0, Link(1).pack(), 1).pack(), "it has no end"),
        (b"", "it has no end"),
        (b"odd", "odd"),
    ],
)
def test_an_odd_answer(
    network: ServedNetwork, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    monkeypatch.setattr(network, "demand_links", lambda *_: answer)
    with pytest.raises(CanOSError, match=reason) as raised:
        ServedNetlink(network).request(dump_links())
    assert raised.value.errno == errno.EBADMSG


def test_the_server_refuses_the_request_itself(
    network: ServedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "ask", lambda *_: Answer(errno.ENOMEM, 0, b"no room"))
    with pytest.raises(CanOSError, match="asking for interfaces failed") as raised:
        ServedNetlink(network).request(dump_links())
    assert raised.value.errno == errno.ENOMEM


def test_events(network: ServedNetwork, events: ServedLinkEvents) -> None:
    def readable() -> bool:
        return bool(select.select([events], [], [], 0)[0])

    assert events.events() == []
    assert not readable()
    netlink = ServedNetlink(network)
    netlink.request(set_down(1))
    netlink.request(delete_link(1))
    assert readable()
    found = events.events()
    assert [message.type for message in found] == [RTM_NEWLINK, RTM_DELLINK]
    assert not readable()
    events.close()
    assert events.fileno() == -1


def test_events_that_are_lost(network: ServedNetwork, events: ServedLinkEvents) -> None:
    netlink = ServedNetlink(network)
    for _ in range(500):
        netlink.request(set_down(1))
        netlink.request(set_up(1))
    with pytest.raises(CanOSError, match=r"events of interfaces of unix:.* are lost: ") as raised:
        events.events()
    assert raised.value.errno == errno.ENOBUFS
    assert events.events() == []


def test_odd_events(
    network: ServedNetwork, events: ServedLinkEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(network, "ask", lambda *_: Answer(0, 0, b"odd"))
        with pytest.raises(CanOSError) as raised:
            events.events()
    assert raised.value.errno == errno.EBADMSG


def test_the_server_is_gone(
    server: ServerThread, network: ServedNetwork, events: ServedLinkEvents
) -> None:
    server.stop()
    assert select.select([events], [], [], 5)[0]
    with pytest.raises(NetworkUnavailableError, match="is lost"):
        events.events()
    with pytest.raises(NetworkUnavailableError):
        ServedNetlink(network).request(dump_links())
    with pytest.raises(NetworkUnavailableError):
        ServedLinkEvents(network)


def test_there_is_no_room_for_watching(tmp_path: Path) -> None:
    path = str(tmp_path / "small")
    limits: Any = ServerLimits(buffers=1000)
    with (
        serving(path, limits=limits),
        ServedNetwork(path) as network,
        pytest.raises(CanOSError, match=r"watching interfaces of unix:.* failed: the receive"),
    ):
        ServedLinkEvents(network)
