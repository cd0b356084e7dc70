"""A raw socket: binding, what a send call is refused for, pending errors, its buffers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from anycan.network.core.device import NetworkDevice, TransmitResult
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.messages import pack_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network.conftest import Probe

    from anycan import UserNetwork
    from anycan.network.core.device import DevicePort

ERR = 1 << 29


def can(word: int, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("=IBxxB8s", word, len(data) if length is None else length, 0, data)


def canfd(word: int, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data) if length is None else length, 4, data)


def canxl(word: int, data: bytes = b"x", length: int | None = None, flags: int = 0x80) -> bytes:
    size = len(data) if length is None else length
    return struct.pack("=IBBHI", word, flags, 0, size, 0) + data


def number(value: int) -> bytes:
    return struct.pack("=i", value)


# Binding


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (b"", "EINVAL"),
        (pack_address(1)[:7], "EINVAL"),
        (pack_address(1)[:8], ""),
        (pack_address(1), ""),
        (pack_address(1) + bytes(104), ""),
        (pack_address(1) + bytes(105), "EINVAL"),
        (b"\x02\x00" + pack_address(1)[2:], "EINVAL"),
        (b"\x00\x00" + pack_address(1)[2:], "EINVAL"),
        (pack_address(9999), "ENODEV"),
        (pack_address(0xFFFFFFFF), "ENODEV"),
        (pack_address(0), ""),
    ],
)
def test_addresses_that_bind(probe: Callable[..., Probe], address: bytes, error: str) -> None:
    assert probe(None).try_to_bind(address) == error


def test_a_socket_not_bound_receives_nothing(probe: Callable[..., Probe]) -> None:
    unbound, sender = probe(None, errors=0xFF), probe()
    sender.send(can(1))
    sender.send(can(ERR | 1, bytes(8)))
    assert unbound.words() == []


def test_bound_again_it_receives_from_the_new_interface_only(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one, sender = probe("flexible", errors=4), probe("")
    for interface in ("classical", "", "flexible", "flexible"):
        one.bind(interface)
        for number_, name in enumerate(("flexible", "classical", "long")):
            sender.send(can(number_), name)
            sender.send(can(ERR | 4, bytes(8)), name)
        expected = {"classical": [1], "": [0, 1, 2], "flexible": [0]}[interface]
        assert [word & 0x7FF for word in one.words()] == [
            part for word in expected for part in (word, 4)
        ]
    assert network._stack.any_lists.find(0) == [sender.core]


def test_what_waits_stays_when_it_is_bound_elsewhere(probe: Callable[..., Probe]) -> None:
    one = probe("flexible")
    probe("flexible").send(can(1))
    one.bind("")
    assert one.words() == [1]


# Sending: what it is refused for, in the order in which the kernel looks


@pytest.mark.parametrize("size", [0, 1, 11, 12, 2061, 5000])
def test_sizes_that_no_frame_has_come_first(
    network: UserNetwork, probe: Callable[..., Probe], size: int
) -> None:
    network.set_down("flexible")
    one = probe("flexible")
    assert one.send(bytes(size)) == "EINVAL"
    assert probe(None).send(bytes(size)) == "EINVAL"
    assert one.core._error


@pytest.mark.parametrize("size", [13, 14, 16, 17, 72, 2060])
def test_then_the_interface(probe: Callable[..., Probe], size: int) -> None:
    assert probe(None).send(bytes(size)) == "ENXIO"
    assert probe("").send(bytes(size)) == "ENXIO"
    assert probe("").send(bytes(size), "") == "ENXIO"


@pytest.mark.parametrize("address", [b"", pack_address(1)[:7], b"\x02\x00" + bytes(22), bytes(129)])
def test_an_address_that_is_none(probe: Callable[..., Probe], address: bytes) -> None:
    with pytest.raises(OSError, match=r"\[Errno 22\]"):
        probe().core.send(can(1), address, 0)


def test_an_interface_that_is_not_there(probe: Callable[..., Probe]) -> None:
    with pytest.raises(OSError, match=r"\[Errno 6\]"):
        probe().core.send(can(1), pack_address(99), 0)


@pytest.mark.parametrize("payload", [can(1), can(1, length=9), bytes(13), bytes(2060)])
def test_then_the_pending_error_once(
    network: UserNetwork, probe: Callable[..., Probe], payload: bytes
) -> None:
    one = probe("flexible")
    network.set_down("flexible")
    assert one.polls()[1]
    assert one.send(payload, "long") == "ENETDOWN"
    assert one.receive() == "EAGAIN"
    assert one.send(can(1), "long") == ""


@pytest.mark.parametrize(
    ("payload", "interface", "error"),
    [
        (bytes(15), "flexible", "EINVAL"),
        (bytes(17), "flexible", "EINVAL"),
        (bytes(71), "flexible", "EINVAL"),
        (bytes(2060), "flexible", "EINVAL"),
        (can(1, length=9), "flexible", "EINVAL"),
        (can(1, length=8), "flexible", ""),
        (canfd(1, length=65), "flexible", "EINVAL"),
        (canfd(1, length=9), "flexible", ""),
        (canfd(1), "classical", "EINVAL"),
        (canfd(1), "long", ""),
        (canxl(1), "flexible", "EINVAL"),
        (canxl(1), "classical", "EINVAL"),
        (canxl(1), "long", ""),
        (canxl(1, b""), "long", "EINVAL"),
        (canxl(1, length=2), "long", "EINVAL"),
        (canxl(1, flags=0), "long", "EINVAL"),
        (canxl(1, bytes(2048)), "long", ""),
        (canxl(1, bytes(4)), "long", ""),
        (canxl(1, bytes(60)), "long", ""),
        (canxl(1, bytes(4)), "flexible", "EINVAL"),
    ],
)
def test_then_the_frame_itself(
    probe: Callable[..., Probe], payload: bytes, interface: str, error: str
) -> None:
    assert probe("", xl=1).send(payload, interface) == error


@pytest.mark.parametrize(("payload", "option"), [(canfd(1), "fd"), (canxl(1), "xl")])
def test_a_frame_needs_its_option(probe: Callable[..., Probe], payload: bytes, option: str) -> None:
    assert probe("long").send(payload) == "EINVAL"
    assert probe("long", **{option: 1}).send(payload) == ""


def test_the_frame_comes_before_the_link(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    network.set_down("flexible")
    one = probe("")
    assert one.send(can(1, length=9), "flexible") == "EINVAL"
    assert one.send(bytes(15), "flexible") == "EINVAL"
    assert one.send(can(1), "flexible") == "ENETDOWN"
    assert one.send(can(1), "flexible") == "ENETDOWN"
    assert one.receive() == "EAGAIN"


def test_a_long_frame_on_a_short_interface(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_vcan("short", mtu=76)
    one = probe("short", xl=1)
    assert one.send(canxl(1, bytes(64))) == ""
    assert one.send(canxl(1, bytes(65))) == "EMSGSIZE"
    assert one.send(canfd(1)) == ""
    network.set_down("short")
    assert one.receive() == "ENETDOWN"
    assert one.send(canxl(1, bytes(65))) == "EMSGSIZE"
    assert one.send(canxl(1, bytes(64))) == "ENETDOWN"


# Pending errors


def test_bound_to_an_interface_that_is_down(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.set_down("flexible")
    one = probe("flexible")
    assert one.polls() == (True, True)
    assert one.receive() == "ENETDOWN"
    assert one.receive() == "EAGAIN"
    one.bind("flexible")  # no news, as it is bound there already
    assert one.receive() == "EAGAIN"
    network.set_up("flexible")
    probe("flexible").send(can(1))
    assert one.words() == [1]


def test_an_error_waits_while_it_is_bound_elsewhere(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.set_down("flexible")
    one = probe("flexible")
    one.bind("long")
    assert one.receive() == "ENETDOWN"
    assert one.receive() == "EAGAIN"


def test_the_error_comes_before_what_waits(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one = probe("flexible")
    probe("flexible").send(can(0x11, b"q"))
    network.set_down("flexible")
    assert one.receive() == "ENETDOWN"
    assert one.words() == [0x11]


def test_each_time_down_is_told_and_up_is_not(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one = probe("flexible")
    network.set_up("flexible")
    assert one.receive() == "EAGAIN"
    network.set_down("flexible")
    network.set_down("flexible")
    network.set_up("flexible")
    assert one.receive() == "ENETDOWN"
    assert one.receive() == "EAGAIN"
    network.set_down("flexible")
    assert one.receive() == "ENETDOWN"


def test_removal_unbinds_and_leaves_no_filter(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one = probe("flexible", errors=0x1FFFFFFF)
    probe("flexible").send(can(0x77))
    network.remove("flexible")
    assert one.send(can(1)) == "ENXIO"
    assert one.get(1) == b""
    assert one.get(2) == b"\xff\xff\xff\x1f"
    assert one.receive() == "ENODEV"
    assert one.receive() == [(can(0x77), 0x04, "flexible")]
    assert one.receive() == "EAGAIN"
    # bound again it has its error mask, and no filter until one is set
    one.bind("long")
    sender = probe("long")
    sender.send(can(5))
    sender.send(can(ERR | 4, bytes(8)))
    assert one.words() == [ERR | 4]
    one.filter((0, 0))
    sender.send(can(5))
    assert one.words() == [5]


def test_removal_of_an_interface_that_is_down(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one = probe("flexible")
    network.set_down("flexible")
    network.remove("flexible")
    assert one.send(can(1), "long") == "ENODEV"
    assert one.send(can(1), "long") == ""
    assert one.receive() == "EAGAIN"


def test_bound_to_all_it_is_told_nothing(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    one = probe("")
    network.set_down("flexible")
    network.remove("flexible")
    network.remove("classical")
    assert one.receive() == "EAGAIN"
    assert one.get(1) == bytes(8)


def test_so_error_gives_the_error_and_clears_it(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    one = probe("flexible")
    network.set_down("flexible")
    assert one.polls()[0]
    assert one.get(4, 8, level=1) == number(100)
    assert not one.polls()[0]
    assert one.get(4, 2, level=1) == bytes(2)
    assert one.receive() == "EAGAIN"


# Receiving


def test_what_is_too_large_for_the_socket_passes_by(probe: Callable[..., Probe]) -> None:
    classical, flexible, long = probe("long"), probe("long", fd=1), probe("long", xl=1)
    sender = probe("long", xl=1)
    for payload in (can(1), canfd(2), canxl(3)):
        assert sender.send(payload) == ""
    assert classical.words() == [1]
    assert flexible.words() == [1, 2]
    assert long.words() == [1, 2, 3]


def test_what_is_too_large_for_the_buffer_is_cut(probe: Callable[..., Probe]) -> None:
    one = probe("flexible", fd=1)
    one.buffer = FrameBuffer(4, 16)
    sender = probe("flexible", fd=1)
    sender.send(canfd(1, b"a" * 64))
    sender.send(can(2))
    assert one.receive() == [
        (b"\x01\x00\x00\x00\x40\x04\x00\x00aaaaaaaa", 0x24, "flexible"),
        (can(2), 0x04, "flexible"),
    ]


def test_a_batch_is_as_large_as_the_buffer(probe: Callable[..., Probe]) -> None:
    one, sender = probe(), probe()
    for word in range(10):
        sender.send(can(word))
    sizes: list[int] = []
    while isinstance(batch := one.receive(), list):
        sizes.append(len(batch))
        assert one.polls()[0] is (sum(sizes) < 10)
    assert sizes == [4, 4, 2]
    # it was told when the first came and when the last had gone
    assert one.changes == [(True, True), (False, True)]


def test_a_batch_is_no_larger_than_the_limit(probe: Callable[..., Probe]) -> None:
    one, sender = probe(), probe()
    for word in range(10):
        sender.send(can(word))
    found: list[list[int]] = []
    for limit in (1, 3, 2, 4, 1):
        one.buffer.limit = limit
        batch = one.receive()
        if isinstance(batch, str):
            assert batch == "EAGAIN"
            break
        found.append([payload[0] for payload, _, _ in batch])
        assert one.polls()[0] is (sum(map(len, found)) < 10)
    assert found == [[0], [1, 2, 3], [4, 5], [6, 7, 8, 9]]
    # a wake-up each, however small the bites
    assert one.changes == [(True, True), (False, True)]


def test_stamps_are_the_networks_time(probe: Callable[..., Probe]) -> None:
    one, sender = probe(), probe()
    sender.send(can(1))
    sender.send(can(2))
    assert one.core.receive(one.buffer) == 2
    frames = one.buffer.decode(2, {1: "flexible"})
    stamps = [frame.timestamp_ns for frame in frames]
    assert stamps == [1_700_000_000_000_000_000, 1_700_000_000_000_000_001]


def test_drop_counts_are_those_of_the_moment_of_queueing(probe: Callable[..., Probe]) -> None:
    one, sender = probe(), probe()
    one.set(8, 0, level=1)  # SO_RCVBUF: room for three

    def counts() -> list[int]:
        found: list[int] = []
        one.buffer = FrameBuffer(1, 16)
        while True:
            one.buffer.drops = 0
            try:
                one.core.receive(one.buffer)
            except BlockingIOError:
                return found
            one.buffer.decode(1, {1: "flexible"})
            found.append(one.buffer.drops)

    def send(count: int) -> None:
        for word in range(count):
            sender.send(can(word))

    send(10)
    one.set(40, 1, level=1)  # SO_RXQ_OVFL
    assert counts() == [0, 0, 0]  # the option was off when they came
    send(1)
    assert counts() == [7]
    send(5)
    assert counts() == [7, 7, 7]
    send(2)
    one.set(40, 0, level=1)
    assert counts() == [0, 0]
    assert one.core.drops == 9


# The send buffer, where a device holds frames


def test_a_held_frame_takes_room_in_the_send_buffer(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_vcan("slow", transmit_queue=100)
    one = probe("slow")
    one.set(7, 0, level=1)  # SO_SNDBUF: 4608, room for five
    writable = []
    for word in range(5):
        assert one.send(can(word)) == ""
        writable.append(one.polls()[1])
    assert writable == [True, True, False, False, False]
    assert one.send(can(5)) == "EAGAIN"
    assert one.send(can(5, length=9)) == "EAGAIN"  # before the frame itself is looked at
    assert one.get(55, 16, level=1) == struct.pack("=4I", 0, 212_992, 4800, 4608)
    assert network.release("slow", 1) == 1
    assert one.send(can(5)) == ""
    assert not one.polls()[1]
    assert network.release("slow", 2) == 2
    assert not one.polls()[1]
    assert network.release("slow", 1) == 1
    assert one.polls()[1]
    assert network.release("slow") == 2
    assert network.release("slow") == 0


def test_local_sockets_have_a_held_frame_at_once(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_vcan("slow", transmit_queue=2)
    one, other = probe("slow"), probe("slow")
    assert [one.send(can(word)) for word in range(3)] == ["", "", "ENOBUFS"]
    assert one.polls()[1]
    assert other.words() == [0, 1]
    slow = network.interfaces()[-1]
    assert (slow.sent, slow.received, slow.send_dropped) == (0, 2, 1)
    network.release("slow")
    assert network.interfaces()[-1].sent == 2


@pytest.mark.parametrize("way", ["down", "remove"])
def test_a_link_that_goes_frees_what_it_held(
    network: UserNetwork, probe: Callable[..., Probe], way: str
) -> None:
    network.add_vcan("slow", transmit_queue=100)
    one = probe("")
    one.set(7, 0, level=1)
    for word in range(5):
        one.send(can(word), "slow")
    assert not one.polls()[1]
    if way == "down":
        network.set_down("slow")
        assert network.release("slow") == 0
    else:
        network.remove("slow")
    assert one.polls()[1]
    assert one.get(55, 16, level=1) == struct.pack("=4I", 0, 212_992, 0, 4608)


def test_a_closed_socket_is_told_of_nothing(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_vcan("slow", transmit_queue=100)
    one, other = probe("slow"), probe("slow")
    one.send(can(1))
    other.send(can(1))
    one.changes.clear()
    one.core.close()
    network.release("slow")
    other.send(can(2))
    network.set_down("slow")
    assert one.changes == []
    assert not one.polls()[0]


class Echoing(NetworkDevice):
    """A controller: it hears its own frames when they are on the bus."""

    echo = True

    def __init__(self, result: TransmitResult) -> None:
        self.result = result
        self.port: DevicePort | None = None
        self.taken: list[bytes] = []

    def supports_mtu(self, mtu: int) -> bool:
        return mtu == 16

    def start(self, port: DevicePort) -> None:
        self.port = port
        assert port.mtu == 16

    def transmit(self, payload: bytes) -> TransmitResult:
        self.taken.append(payload)
        return self.result


def test_a_controllers_echo_comes_when_the_frame_is_on_the_bus(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    device = Echoing(TransmitResult.QUEUED)
    network.add_device("can0", device, mtu=16)
    one, other, quiet = probe("can0", own=1), probe("can0"), probe("can0", loopback=0)
    one.send(can(1))
    quiet.send(can(2))
    assert one.words() == other.words() == []
    assert device.taken == [can(1), can(2)]
    assert device.port is not None
    device.port.sent(7)
    device.port.sent(8)
    assert one.receive() == [(can(1), 0x804, "fourth")]
    assert other.core.receive(other.buffer) == 1
    (frame,) = other.buffer.decode(1, {4: "can0"})
    assert (frame.timestamp_ns, frame.local, frame.own) == (7, True, False)


def test_a_controller_that_sends_at_once_echoes_at_once(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_device("can0", Echoing(TransmitResult.SENT), mtu=16)
    one, other = probe("can0"), probe("can0")
    one.send(can(1))
    assert other.words() == [1]
    network.set_down("can0")
    network.set_up("can0")
    one.receive()
    one.send(can(2))
    assert other.receive() == "ENETDOWN"
    assert other.words() == [2]
