"""A user network's links, asked for and told of in rtnetlink's bytes."""

from __future__ import annotations

import errno
import os
import resource
import select
import struct
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycan import UserNetwork
from anycan.network.allowance import Allowance, ServerLimits
from anycan.network.rtnetlink import LinkEvents, LinkServer
from anycan.wire.netlink import Acknowledgement, Exchange, NetlinkMessage, unpack_messages
from anycan.wire.netlink_can import CanParameters
from anycan.wire.netlink_link import (
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
    RTM_SETLINK,
    Link,
    LinkFlag,
    LinkInfo,
    OperState,
)
from anycan.wire.netlink_requests import (
    change_link,
    configure_can,
    create_link,
    create_vcan,
    create_vxcan,
    delete_link,
    dump_links,
    get_link,
    set_down,
    set_up,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 10
BUFFER = 212_992


class Links:
    """A network's links, as who asks for them sees them."""

    def __init__(self, network: UserNetwork) -> None:
        self.network = network
        self.server = LinkServer(network, MOST)

    def ask(
        self, request: NetlinkMessage, *, writable: bool = True
    ) -> tuple[list[Link], Acknowledgement]:
        """Ask as a client does: a long dump in parts."""
        exchange = Exchange(5)
        links: list[Link] = []
        while exchange.acknowledgement is None:
            last = links[-1].index if links else 0
            answer = self.server.handle(request.pack(5), after=last, writable=writable)
            links += [Link.unpack(message.payload) for message in exchange.feed(answer)]
        return links, exchange.acknowledgement

    def done(self, request: NetlinkMessage) -> None:
        _, acknowledgement = self.ask(request)
        assert acknowledgement.error == 0, acknowledgement

    def refusal(self, request: NetlinkMessage) -> tuple[str, str]:
        """Ask, and give the name of the error, and its words."""
        _, acknowledgement = self.ask(request)
        return errno.errorcode[acknowledgement.error], acknowledgement.text or ""

    def get(self, name: str) -> Link:
        links, _ = self.ask(get_link(name=name))
        return links[0]

    def names(self) -> list[str]:
        return [interface.name for interface in self.network.interfaces()]


@pytest.fixture
def links(network: UserNetwork) -> Links:
    return Links(network)


def test_one_link(links: Links, network: UserNetwork) -> None:
    link = links.get("long")
    assert links.ask(get_link(link.index))[0] == [link]
    assert (link.name, link.mtu, link.device_type) == ("long", 2060, 280)
    assert link.flags == LinkFlag.NOARP | LinkFlag.UP | LinkFlag.RUNNING | LinkFlag.LOWER_UP
    assert link.oper_state == OperState.UP
    assert link.info is not None
    assert link.info.kind == "vcan"
    network.set_down("long")
    assert links.get("long").flags == LinkFlag.NOARP


def test_what_there_is_not(links: Links) -> None:
    assert links.refusal(get_link(99)) == ("ENODEV", "there is no such interface")
    assert links.refusal(get_link(name="none")) == ("ENODEV", "there is no such interface")
    assert links.refusal(get_link()) == ("ENODEV", "there is no such interface")
    assert links.refusal(delete_link(99)) == ("ENODEV", "there is no such interface")


def test_all_links(links: Links) -> None:
    found, acknowledgement = links.ask(dump_links())
    assert [link.name for link in found] == ["flexible", "classical", "long"]
    assert acknowledgement.error == 0


def test_a_dump_comes_in_parts(network: UserNetwork) -> None:
    links = Links(network)
    for number in range(300):
        network.add_vcan(f"vcan{number}")
    first = links.server.handle(dump_links().pack(5))
    assert len(first) <= 1 << 16
    assert unpack_messages(first)[-1].type == RTM_NEWLINK
    found, _ = links.ask(dump_links())
    assert [link.name for link in found] == links.names()


def test_links_come_and_go_between_two_parts_of_a_dump(network: UserNetwork) -> None:
    """What is there from the beginning to the end is told, and told once."""
    links = Links(network)
    for number in range(300):
        network.add_vcan(f"vcan{number}")
    first = unpack_messages(links.server.handle(dump_links().pack(5)))
    told = [Link.unpack(message.payload) for message in first]
    for link in told[:3]:
        network.remove(link.name or "")
    network.add_vcan("late")
    rest = links.server.handle(dump_links().pack(5), after=told[-1].index)
    *messages, _ = unpack_messages(rest)
    told += [Link.unpack(message.payload) for message in messages]
    assert [link.name for link in told[3:]] == links.names()


def test_counters_and_a_peer(links: Links, network: UserNetwork) -> None:
    network.add_vxcan("one", "other")
    other = links.get("other")
    assert links.get("one").peer_index == other.index
    with UserNetwork() as far:
        network.add_vxcan("here", "there", peer_network=far)
        assert links.get("here").peer_index is None
    statistics = links.get("one").statistics
    assert statistics is not None
    assert statistics.tx_packets == 0


def test_making_a_vcan(links: Links) -> None:
    links.done(create_vcan("vcan0"))
    assert links.get("vcan0").flags == LinkFlag.NOARP
    assert links.get("vcan0").mtu == 72
    up = Link(flags=LinkFlag.UP, change=LinkFlag.UP, name="vcan1", mtu=16, info=LinkInfo("vcan"))
    links.done(create_link(up))
    assert links.get("vcan1").flags & LinkFlag.UP
    assert links.get("vcan1").mtu == 16
    assert links.refusal(create_vcan("vcan1")) == ("EEXIST", "")


def test_making_a_vxcan(links: Links) -> None:
    links.done(create_vxcan("a", Link(name="b")))
    assert not links.get("a").flags & LinkFlag.UP
    up = Link(
        flags=LinkFlag.UP,
        change=LinkFlag.UP,
        name="c",
        info=LinkInfo("vxcan", Link(name="d")),
    )
    links.done(create_link(up))
    assert links.get("c").flags & LinkFlag.UP
    assert not links.get("d").flags & LinkFlag.UP
    assert links.refusal(create_vxcan("e"))[0] == "EINVAL"  # the other end has no name
    assert "e" not in links.names()


@pytest.mark.parametrize("name", ["", "a/b", "white space", "sixteen_letters_", "%d"])
def test_no_interface_can_be_called_that(links: Links, name: str) -> None:
    before = links.names()
    error, text = links.refusal(create_vcan(name))
    assert error == "EINVAL"
    assert text.startswith(f"no interface can be called {name!r}: ")
    assert links.refusal(change_link(Link(1, name=name)))[0] == "EINVAL"
    assert links.names() == before


def test_an_odd_mtu(links: Links) -> None:
    error, text = links.refusal(create_vcan("vcan0", mtu=17))
    assert error == "EINVAL"
    assert text.startswith("vcan0 cannot have an MTU of 17: 16 (classical CAN) or")
    links.done(set_down(1))
    assert links.refusal(change_link(Link(1, mtu=17))) == ("EINVAL", "")


def test_another_kind_of_interface(links: Links) -> None:
    ethernet = create_link(Link(name="eth0", info=LinkInfo("dummy")))
    assert links.refusal(ethernet) == ("ENOTSUP", "Unknown device type")
    assert links.refusal(create_link(Link(name="eth0")))[0] == "ENOTSUP"


def test_clients_make_no_more_than_so_many(links: Links, network: UserNetwork) -> None:
    for number in range(MOST - 3):
        links.done(create_vcan(f"vcan{number}"))
    assert links.refusal(create_vcan("one")) == (
        "ENFILE",
        "there are 10 interfaces already, and clients may make no more",
    )
    network.add_vcan("own")  # the network's owner may
    links.done(delete_link(links.get("vcan0").index))
    links.done(delete_link(links.get("vcan1").index))
    links.done(create_vcan("one"))


def test_making_changes_what_is_there_unless_it_is_to_be_new(links: Links) -> None:
    request = attrs.evolve(
        create_link(Link(name="long", flags=0, change=LinkFlag.UP, info=LinkInfo("vcan"))),
        flags=0x405,
    )
    links.done(request)
    assert not links.get("long").flags & LinkFlag.UP


def test_changing(links: Links) -> None:
    assert links.refusal(change_link(Link(1, mtu=16))) == ("EBUSY", "")
    links.done(set_down(1))
    links.done(change_link(Link(1, mtu=16, queue_length=77)))
    link = links.get("flexible")
    assert (link.mtu, link.queue_length) == (16, 77)
    links.done(set_up(1))
    assert links.get("flexible").flags & LinkFlag.UP
    links.done(change_link(Link(1, name="other")))
    assert links.names() == ["other", "classical", "long"]
    assert links.refusal(change_link(Link(1, name="long"))) == ("EEXIST", "")


def test_deleting(links: Links, network: UserNetwork) -> None:
    links.done(delete_link(1))
    assert links.names() == ["classical", "long"]
    network.add_can("can0")
    index = network.interface_index("can0")
    assert links.refusal(delete_link(index)) == ("ENOTSUP", "it is a controller")


def test_a_controller(links: Links, network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000, up=True)
    index = network.interface_index("can0")
    assert links.refusal(configure_can(index, CanParameters(restart_ms=100)))[0] == "EBUSY"
    links.done(set_down(index))
    links.done(configure_can(index, CanParameters(restart_ms=100)))
    info = links.get("can0").info
    assert info is not None
    assert isinstance(info.data, CanParameters)
    assert info.data.restart_ms == 100
    links.done(configure_can(index, CanParameters(restart_ms=0)))
    links.done(set_up(index))
    network.set_bus_off("can0")
    links.done(configure_can(index, CanParameters(restart=1)))
    assert links.refusal(configure_can(index, CanParameters(restart=1)))[0] == "EBUSY"
    vcan = configure_can(1, CanParameters(restart_ms=100))
    assert links.refusal(vcan) == ("ENOTSUP", "it has no controller")


def test_it_does_nothing_else(links: Links) -> None:
    route = NetlinkMessage(26, 5, Link(1).pack())
    assert links.refusal(route) == ("ENOTSUP", "")


@pytest.mark.parametrize("kind", [RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK])
def test_who_may_only_listen_changes_nothing(links: Links, kind: int) -> None:
    before = links.get("long")
    request = NetlinkMessage(kind, 5, Link(3, 0, LinkFlag.UP).pack())
    _, acknowledgement = links.ask(request, writable=False)
    assert acknowledgement.error == errno.EPERM
    assert acknowledgement.text == "this client may only listen"
    assert links.get("long") == before
    assert links.ask(get_link(3), writable=False)[0] == [before]


def test_the_network_is_closed(links: Links, network: UserNetwork) -> None:
    network.close()
    error, text = links.refusal(create_vcan("vcan0"))
    assert error == "ESHUTDOWN"
    assert "is closed" in text


# Odd bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"odd",
        struct.pack("=IHHII", 0xFFFFFFFF, RTM_GETLINK, 5, 1, 0),
        NetlinkMessage(RTM_GETLINK, 5, b"").pack(1),
        get_link(1).pack(1) * 2,
    ],
)
def test_what_is_no_request(links: Links, data: bytes) -> None:
    (answer,) = unpack_messages(links.server.handle(data))
    assert Acknowledgement.unpack(answer).error == errno.EINVAL


indices = st.integers(-1, 5)
kinds = st.sampled_from(["vcan", "vxcan", "can", "dummy", ""])
names = st.sampled_from(["", "a", "b", "c", "vcan0", "a/b", "x" * 20, "\0"])
words = st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 16, 72, 2060])
links_of_any_kind = st.builds(
    Link,
    st.integers(0, 6),
    st.integers(0, 3),
    st.integers(0, 3),
    name=st.none() | names,
    mtu=st.none() | words,
    queue_length=st.none() | words,
    info=st.none()
    | st.builds(
        LinkInfo,
        kinds,
        st.none()
        | st.builds(Link, name=st.none() | names)
        | st.builds(CanParameters, restart_ms=st.none() | words, restart=st.none() | words),
    ),
)


def packed(kind: int, flags: int, link: Link, more: bytes) -> bytes:
    try:
        return NetlinkMessage(kind, flags, link.pack() + more).pack(1)
    except (ValueError, struct.error):  # what no link can say
        return more


messages = st.builds(
    packed,
    st.sampled_from([RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK, RTM_GETLINK, 26]),
    st.sampled_from([0, 5, 0x405, 0x605, 0x305]),
    links_of_any_kind,
    st.binary(max_size=24),
)


@settings(max_examples=40)
@given(st.lists(messages | st.binary(max_size=60), max_size=20), st.integers(0, 0xFFFFFFFF))
def test_any_request_is_answered(requests: list[bytes], after: int) -> None:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        network.add_can("can0", bitrate=500_000)
        server = LinkServer(network, MOST)
        for request in requests:
            assert unpack_messages(server.handle(request, after=after))


# Being told


@pytest.fixture
def allowance() -> Allowance:
    return Allowance(ServerLimits())


@pytest.fixture
def events(network: UserNetwork, allowance: Allowance) -> Iterator[LinkEvents]:
    events = LinkEvents(network, allowance)
    yield events
    events.close()


def told(events: LinkEvents, most: int = 1 << 16) -> list[str]:
    found = []
    for message in unpack_messages(events.take(most)):
        link = Link.unpack(message.payload)
        state = "up" if link.flags & LinkFlag.UP else "down"
        found.append(f"{link.name} {'gone' if message.type == RTM_DELLINK else state}")
    return found


def readable(events: LinkEvents) -> bool:
    return bool(select.select([events.readiness], [], [], 0)[0])


def test_what_happens_is_told(events: LinkEvents, network: UserNetwork) -> None:
    with pytest.raises(BlockingIOError):
        events.take(1 << 16)
    assert not readable(events)
    network.set_down("long")
    network.set_up("long")
    network.remove("long")
    assert readable(events)
    assert told(events) == ["long down", "long up", "long down", "long gone"]
    assert not readable(events)


def test_as_much_as_there_is_room_for(events: LinkEvents, network: UserNetwork) -> None:
    network.set_down("long")
    network.set_up("long")
    assert told(events, 1) == ["long down"]
    assert readable(events)
    assert told(events, 1) == ["long up"]
    assert not readable(events)


def test_what_is_not_read_is_lost_and_that_is_told_once(
    events: LinkEvents, network: UserNetwork
) -> None:
    for _ in range(1000):
        network.set_down("long")
        network.set_up("long")
    assert sum(map(len, events._messages)) <= BUFFER + 1000
    assert readable(events)
    with pytest.raises(OSError, match="events were lost") as raised:
        events.take(1 << 16)
    assert raised.value.errno == errno.ENOBUFS
    assert not readable(events)
    with pytest.raises(BlockingIOError):
        events.take(1 << 16)
    network.set_down("long")
    assert told(events) == ["long down"]


def test_its_room_is_taken_from_its_user(network: UserNetwork) -> None:
    allowance = Allowance(ServerLimits(buffers=BUFFER))
    events = LinkEvents(network, allowance)
    with pytest.raises(OSError, match="close some"):
        LinkEvents(network, allowance)
    assert events.status() == {"kind": "links", "drops": 0}
    events.close()
    events.close()
    assert allowance.buffers == 0
    assert not network._stack.link_watchers


def test_no_descriptors_are_left(network: UserNetwork, allowance: Allowance) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            LinkEvents(network, allowance)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert allowance.buffers == 0
    assert not network._stack.link_watchers
