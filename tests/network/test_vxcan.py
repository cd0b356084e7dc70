"""Pairs of virtual interfaces, on one network and between two."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest

import anycan
from anycan import ErrorClass, ErrorFrame, UserNetwork
from anycan.network.core.isotp import IsotpSocketCore
from anycan.wire.constants import SOL_CAN_ISOTP
from anycan.wire.isotp import FRAME_TXTIME_ZERO, IsotpOptions, pack_isotp_address
from anycan.wire.messages import MessageBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.network.conftest import Probe

    from anycan.network.core.interface import Interface

DONTROUTE, CONFIRM = 0x4, 0x800
SECOND = 1_000_000_000


def can(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IBxxx8s", word, len(data), data)


def canfd(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IBBxx64s", word, len(data), 4, data)


def canxl(word: int, data: bytes = b"x") -> bytes:
    return struct.pack("=IBBHI", word, 0x80, 0, len(data), 0) + data


@pytest.fixture
def pair(network: UserNetwork) -> UserNetwork:
    """A network with the pair fourth and fifth, as their indices are."""
    assert network.add_vxcan("near", "far") == (5, 4)
    return network


@pytest.fixture
def there() -> Iterator[UserNetwork]:
    """Another network, in another time."""
    with UserNetwork(name="there", clock=lambda: 5 * SECOND) as there:
        yield there


def test_a_pair(pair: UserNetwork) -> None:
    near, far = (pair._stack.by_name[name] for name in ("near", "far"))
    assert (near.kind, near.mtu, near.queue_length, near.up) == ("vxcan", 72, 1000, True)
    assert (near.peer, far.peer) == (far, near)
    assert (near.carrier, far.carrier) == (True, True)
    assert (near.parameters(), near.can_statistics) == (None, None)


@pytest.mark.parametrize(("one", "other", "index"), [("near", "far", 4), ("far", "near", 5)])
def test_what_one_end_sends_the_other_receives(
    pair: UserNetwork, probe: Callable[..., Probe], one: str, other: str, index: int
) -> None:
    sender, local, peer = probe(one, own=1), probe(one), probe(other)
    names = {4: "far", 5: "near"}
    sender.send(can(0x123, b"abc"))
    for receiver, flags, name in (
        (sender, DONTROUTE | CONFIRM, one),
        (local, DONTROUTE, one),
        (peer, 0, other),
    ):
        assert receiver.core.receive(receiver.buffer) == 1
        assert receiver.buffer.message(0, names) == (can(0x123, b"abc"), flags, name)
    counters = {index: pair._stack.by_index[index].counters for index in (4, 5)}
    assert (counters[index].received, counters[index].received_bytes) == (1, 3)
    assert (counters[9 - index].sent, counters[9 - index].sent_bytes) == (1, 3)
    assert (counters[index].sent, counters[9 - index].received) == (0, 0)


@pytest.mark.usefixtures("pair")
def test_the_other_end_comes_first(probe: Callable[..., Probe]) -> None:
    everywhere, sender = probe(""), probe("near", [])
    sender.send(can(1))
    assert everywhere.receive() == [(can(1), 0, "fourth"), (can(1), DONTROUTE, "fifth")]


@pytest.mark.usefixtures("pair")
def test_without_loopback_the_other_end_hears_it_all_the_same(
    probe: Callable[..., Probe],
) -> None:
    sender, local, peer = probe("near", loopback=0), probe("near"), probe("far")
    sender.send(can(1))
    assert (local.words(), peer.words()) == ([], [1])


def test_a_frame_passes_as_it_is(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    network.add_vxcan("near", "far", mtu=2060)
    sender, peer = probe("near", [], xl=1), probe("far", xl=1, errors=0x1FFFFFFF)
    padded = b"\x23\x01\0\0\x01\xff\xff\xff" + b"a" * 8
    error = struct.pack("=IBxxx8s", 0x20000040, 8, b"")
    for payload in (padded, canfd(1, b"abc"), canxl(2), error):
        assert sender.send(payload) == ""
        assert peer.receive() == [(payload, 0, "fourth")]


def test_the_mtu_of_the_end_that_receives_does_not_count(
    pair: UserNetwork, probe: Callable[..., Probe]
) -> None:
    pair.set_down("far")
    pair.set_mtu("far", 16)
    pair.set_up("far")
    sender, peer, back = probe("near", [], fd=1), probe("far", fd=1), probe("far", [], fd=1)
    sender.send(canfd(1))
    assert peer.words() == [1]
    assert back.send(canfd(1)) == "EINVAL"


@pytest.mark.parametrize("down", ["near", "far"])
def test_the_ends_are_joined_while_both_are_up(pair: UserNetwork, down: str) -> None:
    near, far = (pair._stack.by_name[name] for name in ("near", "far"))
    before = near.carrier_changes
    assert before == far.carrier_changes == 2  # away when they were made, and back
    pair.set_down(down)
    assert (near.carrier, far.carrier) == (False, False)
    assert (near.up, far.up) == (down != "near", down != "far")
    assert near.carrier_changes == far.carrier_changes == 3
    pair.set_up(down)
    assert (near.carrier, far.carrier) == (True, True)
    assert near.carrier_changes == far.carrier_changes == 4


def test_what_is_sent_to_an_end_that_is_down_is_lost_and_seen_here(
    pair: UserNetwork, probe: Callable[..., Probe]
) -> None:
    sender, local, peer = probe("near", own=1), probe("near"), probe("far")
    pair.set_down("far")
    assert sender.send(can(1)) == ""
    assert (sender.words(), local.words()) == ([1], [1])
    assert peer.receive() == "ENETDOWN"
    assert peer.receive() == "EAGAIN"
    far, near = pair.interfaces()[3:]
    assert (near.sent, near.send_dropped, near.received) == (0, 1, 0)
    assert (far.received, far.receive_dropped) == (0, 0)
    sender.set(3, 0)
    sender.send(can(2))
    assert (sender.words(), local.words()) == ([], [])
    pair.set_up("far")
    sender.send(can(3))
    assert peer.words() == [3]


def test_down_they_are_made_down(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    network.add_vxcan("near", "far", up=False)
    near, far = (network._stack.by_name[name] for name in ("near", "far"))
    assert (near.up, far.up, near.carrier_changes, far.carrier_changes) == (False, False, 1, 1)
    one = probe("near")
    assert one.receive() == "ENETDOWN"
    assert one.send(can(1)) == "ENETDOWN"
    network.set_up("near")
    assert (near.up, near.carrier) == (True, False)


def test_watchers_are_told_of_the_other_ends_carrier_too(
    network: UserNetwork, there: UserNetwork
) -> None:
    network.add_vxcan("near", "far", peer_network=there)
    told: list[tuple[str, bool, bool]] = []
    for one in (network, there):
        one._stack.link_watchers[
            lambda interface, _: told.append((interface.name, interface.up, interface.carrier))
        ] = None

    def told_of(change: Callable[[str], None], name: str) -> list[tuple[str, bool, bool]]:
        told.clear()
        change(name)
        return told

    # First of the end itself.
    assert told_of(there.set_down, "far") == [("far", False, False), ("near", True, False)]
    assert told_of(network.set_down, "near") == [("near", False, False)]  # no carrier to lose
    assert told_of(network.set_up, "near") == [("near", True, False)]
    assert told_of(there.set_up, "far") == [("far", True, True), ("near", True, True)]


def test_who_watches_may_remove_the_pair_when_an_end_goes_down(pair: UserNetwork) -> None:
    told: list[tuple[str, bool]] = []

    def watch(interface: Interface, present: bool) -> None:
        told.append((interface.name, present))
        if present and not interface.up and "near" in pair._stack.by_name:
            pair.remove("near")

    pair._stack.link_watchers[watch] = None
    pair.set_down("far")
    assert told[-2:] == [("far", False), ("near", False)]  # that is the last of them


@pytest.mark.parametrize("removed", ["near", "far"])
def test_one_end_goes_with_the_other(
    pair: UserNetwork, probe: Callable[..., Probe], removed: str
) -> None:
    one, other = probe("near"), probe("far")
    pair.remove(removed)
    assert [interface.name for interface in pair.interfaces()] == ["flexible", "classical", "long"]
    for socket in (one, other):
        assert socket.receive() == "ENODEV"
        assert socket.receive() == "EAGAIN"
        assert socket.send(can(1)) == "ENXIO"
    assert pair.add_vxcan("near", "far") == (7, 6)


def test_between_two_networks(
    network: UserNetwork, there: UserNetwork, probe: Callable[..., Probe]
) -> None:
    assert network.add_vxcan("near", "far", peer_network=there) == (4, 1)
    sender, local, peer = probe("near"), probe("near"), probe("far", on=there)
    sender.send(can(1, b"a"))
    assert local.words() == [1]
    assert peer.core.receive(peer.buffer) == 1
    (frame,) = peer.buffer.decode(1, {1: "far"})
    assert (frame.local, frame.interface, frame.timestamp_ns) == (False, "far", 5 * SECOND)
    peer.send(can(2))
    assert sender.words() == [2]


def test_the_same_name_on_two_networks(network: UserNetwork, there: UserNetwork) -> None:
    network.add_vxcan("can0", "can0", peer_network=there)
    assert [one.name for one in there.interfaces()] == ["can0"]


@pytest.mark.parametrize("closed", [True, False])
def test_a_network_that_closes_takes_the_ends_with_it(
    network: UserNetwork, there: UserNetwork, probe: Callable[..., Probe], closed: bool
) -> None:
    network.add_vxcan("near", "far", peer_network=there)
    one, other = probe("near"), probe("far", on=there)
    if closed:
        there.close()
    else:
        there.remove("far")
    assert one.receive() == other.receive() == "ENODEV"
    assert len(network.interfaces()) == 3


def test_closing_with_both_ends(pair: UserNetwork) -> None:
    pair.close()
    assert pair.interfaces() == ()


def test_a_report_is_received_at_one_end_alone(
    pair: UserNetwork, probe: Callable[..., Probe]
) -> None:
    near, far = probe("near", errors=0x1FFFFFFF), probe("far", errors=0x1FFFFFFF)
    pair.inject("near", ErrorFrame(ErrorClass.BUS_OFF))
    assert (near.words(), far.words()) == ([0x20000040], [])


@pytest.mark.parametrize(
    ("near", "far", "error", "text"),
    [
        ("vx0", "flexible", anycan.InterfaceExistsError, "interface flexible on user already"),
        ("flexible", "vx0", anycan.InterfaceExistsError, "interface flexible on user already"),
        ("vx0", "vx0", anycan.InterfaceExistsError, "interface vx0 on user already"),
        ("vx 0", "vx1", ValueError, "no interface can be called 'vx 0'"),
        ("vx0", "vx/1", ValueError, "no interface can be called 'vx/1'"),
    ],
)
def test_a_pair_that_cannot_be(
    network: UserNetwork, near: str, far: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        network.add_vxcan(near, far)
    assert len(network.interfaces()) == 3


def test_what_else_a_pair_cannot_be(network: UserNetwork, there: UserNetwork) -> None:
    with pytest.raises(ValueError, match=r"vx0 cannot have an MTU of 17: 16 .* 72 .* 76 to 2060"):
        network.add_vxcan("vx0", "vx1", mtu=17)
    there.close()
    with pytest.raises(anycan.NetworkUnavailableError, match=r"there.* is closed"):
        network.add_vxcan("vx0", "vx1", peer_network=there)
    assert len(network.interfaces()) == 3


class Connection:
    """An ISO-TP socket without a descriptor."""

    def __init__(self, network: UserNetwork, interface: str, rx_id: int, tx_id: int) -> None:
        self.core = IsotpSocketCore(network._stack, lambda: None)
        options = IsotpOptions(frame_txtime=FRAME_TXTIME_ZERO)  # no gap, and so no timer
        self.core.setsockopt(SOL_CAN_ISOTP, 1, options.pack())
        index = network.interface_index(interface)
        self.core.bind(pack_isotp_address(index, rx_id, tx_id))

    def receive(self) -> list[bytes]:
        buffer = MessageBuffer(4, 4096)
        try:
            count = self.core.receive(buffer)
        except BlockingIOError:
            return []
        return [data for data, _, _, _ in buffer.received(count)]


@pytest.mark.parametrize("apart", [True, False])
def test_answers_come_after_the_frame_that_they_answer(
    network: UserNetwork, there: UserNetwork, probe: Callable[..., Probe], apart: bool
) -> None:
    peer_network = there if apart else network
    network.add_vxcan("near", "far", peer_network=peer_network)
    seen = probe("near")
    one = Connection(network, "near", 0x7E8, 0x7E0)
    other = Connection(peer_network, "far", 0x7E0, 0x7E8)
    one.core.send(bytes(range(100)), None, 0)
    assert other.receive() == [bytes(range(100))]
    heads = [struct.unpack("=IxxxxB", payload[:9]) for payload in every(seen)]
    assert heads[:3] == [(0x7E0, 0x10), (0x7E8, 0x30), (0x7E0, 0x21)]
    assert [word for word, _ in heads[2:]] == [0x7E0] * 14


def every(probe: Probe) -> list[bytes]:
    """Give the payloads of all that waits."""
    found: list[bytes] = []
    while isinstance(batch := probe.receive(), list):
        found += [payload for payload, _, _ in batch]
    return found


def test_answers_on_a_bus_come_after_the_frame_that_they_answer(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_can("can0", bitrate=500_000)
    network.add_can("can1", bitrate=500_000)
    network.add_can("can2", bitrate=500_000)
    seen = [probe(name) for name in ("can0", "can1", "can2")]
    one = Connection(network, "can0", 0x7E8, 0x7E0)
    other = Connection(network, "can1", 0x7E0, 0x7E8)
    one.core.send(bytes(range(100)), None, 0)
    assert other.receive() == [bytes(range(100))]
    frames = [every(one) for one in seen]
    assert frames[0] == frames[1] == frames[2]
    assert len(frames[0]) == 16


def test_a_device_names_the_error_number_of_what_it_is_not(pair: UserNetwork) -> None:
    with pytest.raises(OSError, match="it has no controller") as info:
        pair._stack.by_name["near"].restart()
    assert info.value.errno == errno.EOPNOTSUPP
