"""The public user-space network: interfaces, names, faults on purpose."""

from __future__ import annotations

import errno
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

import anycan
from anycan import (
    ErrorClass,
    ErrorFrame,
    FdFrame,
    Frame,
    RemoteFrame,
    UserNetwork,
    XlFrame,
    encode_frame,
)
from anycan.network.core.device import NetworkDevice, TransmitResult, VirtualDevice
from anycan.wire.constants import CAN_RAW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network.conftest import Probe

    from anycan.network.core.device import DevicePort


class Wire(NetworkDevice):
    """A device that takes all."""

    def supports_mtu(self, mtu: int) -> bool:
        return mtu == 16

    def transmit(self, payload: bytes) -> TransmitResult:
        return TransmitResult.SENT if payload else TransmitResult.FULL


def test_it_is_a_network() -> None:
    assert isinstance(UserNetwork(), anycan.Network)


def test_indices_are_counted_from_one_and_not_given_twice() -> None:
    network = UserNetwork()
    assert [network.add_vcan(name) for name in ("a", "b")] == [1, 2]
    network.remove("b")
    assert network.add_vcan("b") == 3
    assert (network.interface_index("b"), network.interface_name(3)) == (3, "b")
    assert network.interface_name(2) is None
    assert network.interface_mtu(2) is None
    assert network.interface_mtu(3) == 72
    assert [one.index for one in network.interfaces()] == [1, 3]


@pytest.mark.parametrize("name", ["v", "vcan0", "a" * 15, "é" * 7, "...", "-"])
def test_names_that_an_interface_can_have(name: str) -> None:
    network = UserNetwork()
    network.add_vcan(name)
    assert network.interface_index(name) == 1


@pytest.mark.parametrize(
    "name",
    ["", "a" * 16, "é" * 8, "a b", "a\t", "a\u00a0b", "a/b", "a:b", ".", "..", "can%d", "a\0"],
)
def test_names_that_it_cannot(name: str) -> None:
    network = UserNetwork()
    with pytest.raises(ValueError, match="no interface can be called") as info:
        network.add_vcan(name)
    assert "1 to 15 characters" in str(info.value)
    assert network.interfaces() == ()


def test_a_name_is_given_once() -> None:
    network = UserNetwork()
    network.add_vcan("vcan0")
    with pytest.raises(anycan.CanOSError, match=r"vcan0 on user already") as info:
        network.add_vcan("vcan0")
    assert (info.value.errno, info.value.interface) == (17, "vcan0")


@pytest.mark.parametrize("mtu", [16, 72, 76, 1000, 2060])
def test_mtus_of_a_vcan(mtu: int) -> None:
    network = UserNetwork()
    network.add_vcan("vcan0", mtu=mtu)
    assert network.interface_mtu(1) == mtu
    network.set_down("vcan0")
    network.set_mtu("vcan0", 72)
    network.set_mtu("vcan0", mtu)
    assert network.interface_mtu(1) == mtu


@pytest.mark.parametrize("mtu", [-1, 0, 15, 17, 71, 73, 75, 2061])
def test_mtus_that_it_cannot_have(mtu: int) -> None:
    network = UserNetwork()
    with pytest.raises(ValueError, match="cannot have an MTU"):
        network.add_vcan("vcan0", mtu=mtu)
    assert network.add_vcan("vcan0", up=False) == 1
    with pytest.raises(ValueError, match="cannot have an MTU"):
        network.set_mtu("vcan0", mtu)
    assert network.interface_mtu(1) == 72


def test_the_mtu_changes_only_while_the_link_is_down() -> None:
    network = UserNetwork()
    network.add_vcan("vcan0")
    network.set_mtu("vcan0", 72)  # no change
    with pytest.raises(anycan.CanOSError, match="is up") as info:
        network.set_mtu("vcan0", 16)
    assert (info.value.errno, info.value.interface) == (16, "vcan0")


def test_another_name(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    one, other = probe("flexible"), probe("flexible")
    network.rename("flexible", "vcan7")
    assert (network.interface_index("vcan7"), network.interface_name(1)) == (1, "vcan7")
    with pytest.raises(anycan.UnknownInterfaceError):
        network.interface_index("flexible")
    one.send(bytes(16))
    assert other.words() == [0]


def test_names_that_it_cannot_be_given(network: UserNetwork) -> None:
    with pytest.raises(ValueError, match="no interface can be called 'a b'"):
        network.rename("flexible", "a b")
    with pytest.raises(anycan.InterfaceExistsError, match="an interface long on user") as info:
        network.rename("flexible", "long")
    assert (info.value.errno, info.value.interface) == (17, "long")
    assert network.interface_index("flexible") == 1


def test_an_unknown_interface_is_told_with_the_known_ones() -> None:
    network = UserNetwork(name="bench")
    with network:
        with pytest.raises(
            anycan.UnknownInterfaceError, match=r"there is no interface vcan9; .*add_vcan"
        ):
            network.interface_index("vcan9")
        network.add_vcan("vcan0")
        network.add_vcan("vcan1")
        calls: list[Callable[[], object]] = [
            lambda: network.remove("vcan9"),
            lambda: network.set_up("vcan9"),
            lambda: network.set_down("vcan9"),
            lambda: network.set_mtu("vcan9", 16),
            lambda: network.inject("vcan9", Frame(1)),
            lambda: network.release("vcan9"),
            lambda: network.rename("vcan9", "vcan8"),
            lambda: network.set_bus_off("vcan9"),
            lambda: network.set_error_counters("vcan9", transmit=1),
            lambda: network.restart("vcan9"),
        ]
        for call in calls:
            with pytest.raises(
                anycan.UnknownInterfaceError, match="interfaces of user:bench are vcan0, vcan1"
            ) as info:
                call()
            assert (info.value.errno, info.value.interface) == (19, "vcan9")


def test_its_text() -> None:
    network = UserNetwork()
    assert repr(network) == "<UserNetwork user: no interface>"
    network.add_vcan("a")
    network.add_vcan("b")
    assert repr(network) == "<UserNetwork user: a, b>"
    assert network.name == "user"


def test_a_name_finds_it_while_it_is_open() -> None:
    assert UserNetwork.find("bench") is None
    with UserNetwork(name="bench") as network:
        assert UserNetwork.find("bench") is network
        assert network.name == "user:bench"
        with pytest.raises(anycan.NetworkUnavailableError, match="'bench' is open already"):
            UserNetwork(name="bench")
    assert UserNetwork.find("bench") is None
    with UserNetwork(name="bench") as another:
        network.close()  # the first one, once more
        assert UserNetwork.find("bench") is another


def test_a_name_that_could_not_be_found() -> None:
    with pytest.raises(ValueError, match="name is not empty"):
        UserNetwork(name="")


def test_a_network_that_nobody_holds_is_not_open() -> None:
    reference = weakref.ref(UserNetwork(name="bench"))
    gc.collect()
    assert reference() is None
    assert UserNetwork.find("bench") is None


@pytest.mark.anyio
async def test_it_closes_as_an_async_context_manager_too() -> None:
    async with UserNetwork() as network:
        network.add_vcan("vcan0")
    assert network.interfaces() == ()


def test_closing_tells_every_socket(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    bound, everywhere, unbound = probe("flexible"), probe(""), probe(None)
    network.close()
    assert bound.receive() == everywhere.receive() == "ENODEV"
    assert bound.receive() == everywhere.receive() == unbound.receive() == "EAGAIN"
    for one in (bound, everywhere, unbound):
        assert one.try_to_bind(one.address("")) == "ENODEV"
    network.close()
    assert bound.receive() == "EAGAIN"


def test_closed_it_takes_nothing_more() -> None:
    network = UserNetwork()
    network.close()
    with pytest.raises(anycan.NetworkUnavailableError, match="no interface can be added"):
        network.add_vcan("vcan0")
    with pytest.raises(anycan.NetworkUnavailableError, match="no socket can be opened"):
        network._open_socket(CAN_RAW, lambda: None)


def test_interfaces_and_their_counters(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    sender = probe("flexible")
    sender.send(bytes(16))
    sender.set(3, 0)
    sender.send(bytes(16))
    network.inject("flexible", Frame(1, b"abc"))
    network.set_down("long")
    flexible, classical, long = network.interfaces()
    assert flexible == type(flexible)(
        index=1,
        name="flexible",
        mtu=72,
        up=True,
        sent=2,
        received=2,
        send_dropped=0,
        receive_dropped=0,
    )
    assert (classical.mtu, classical.sent, classical.received) == (16, 0, 0)
    assert (long.mtu, long.up) == (2060, False)


def test_bytes_are_counted_as_the_kernel_counts_them(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    sender = probe("flexible")
    sender.send(b"\x01\0\0\0\x03" + bytes(11))
    sender.send(b"\x01\0\0\x40\x08" + bytes(11))  # a remote frame
    sender.set(3, 0)
    sender.send(b"\x01\0\0\0\x08" + bytes(11))
    counters = network._stack.by_name["flexible"].counters
    assert (counters.sent, counters.sent_bytes) == (3, 11)
    assert (counters.received, counters.received_bytes) == (2, 3)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0x123, b"abc"),
        RemoteFrame(0x123, 4),
        FdFrame(0x123, b"abc", brs=True),
        XlFrame(0x123, b"abc"),
        ErrorFrame(ErrorClass.BUS_OFF),
    ],
)
def test_an_injected_frame_comes_from_the_bus(
    network: UserNetwork,
    probe: Callable[..., Probe],
    frame: anycan.AnyFrame,
) -> None:
    bound = probe("long", xl=1, errors=0x1FFFFFFF)
    everywhere = probe("", xl=1, errors=0x1FFFFFFF)
    network.inject("long", frame)
    for one in (bound, everywhere):
        assert one.core.receive(one.buffer) == 1
        (received,) = one.buffer.decode(1, {3: "long"})
        assert received == frame
        assert (received.local, received.own, received.interface) == (False, False, "long")
        assert received.timestamp_ns == 1_700_000_000_000_000_000


def test_an_injected_error_frame_is_no_traffic(network: UserNetwork) -> None:
    network.inject("flexible", ErrorFrame(ErrorClass.BUS_OFF))
    assert network.interfaces()[0].received == 0


def test_what_an_interface_cannot_receive(network: UserNetwork) -> None:
    with pytest.raises(ValueError, match="MTU of 16, too small for FdFrame"):
        network.inject("classical", FdFrame(1))
    with pytest.raises(ValueError, match="MTU of 72, too small for XlFrame"):
        network.inject("flexible", XlFrame(1, b"a"))
    network.add_vcan("short", mtu=76)
    with pytest.raises(ValueError, match="MTU of 76, too small for XlFrame"):
        network.inject("short", XlFrame(1, bytes(65)))
    assert [one.receive_dropped for one in network.interfaces()] == [1, 1, 0, 1]
    network.set_down("flexible")
    with pytest.raises(anycan.InterfaceDownError, match="flexible is down") as info:
        network.inject("flexible", Frame(1))
    assert (info.value.errno, info.value.interface) == (100, "flexible")


@pytest.mark.parametrize("payload", [b"", bytes(15), bytes(4) + b"\x09" + bytes(11)])
def test_what_a_device_brings_that_is_no_frame_is_counted(
    network: UserNetwork, probe: Callable[..., Probe], payload: bytes
) -> None:
    one = probe("flexible")
    interface = network._stack.by_name["flexible"]
    assert not interface.receive(payload, 0)
    network.set_down("flexible")
    assert not interface.receive(bytes(16), 0)
    assert interface.counters.receive_dropped == 2
    assert one.receive() == "ENETDOWN"
    assert one.receive() == "EAGAIN"


def test_a_device_of_ones_own() -> None:
    network = UserNetwork()
    network.add_device("can0", Wire(), mtu=16, up=False)
    assert not network.interfaces()[0].up
    network.set_up("can0")
    assert network.interfaces()[0].up
    network.set_down("can0")
    with pytest.raises(ValueError, match="can0 is no vcan"):
        network.release("can0")
    with pytest.raises(ValueError, match="MTU of 72"):
        network.add_device("can1", Wire(), mtu=72)
    with pytest.raises(ValueError, match=r"^can0 has no controller: add_can\(\) adds"):
        network.set_bus_off("can0")


def test_a_devices_mtu_is_the_usual_one_that_it_can_have() -> None:
    network = UserNetwork()
    network.add_device("can0", Wire())
    network.add_device("vcan0", VirtualDevice())
    assert [one.mtu for one in network.interfaces()] == [16, 72]


def test_a_device_is_one_interfaces() -> None:
    network, wire = UserNetwork(), Wire()
    network.add_device("can0", wire)
    with pytest.raises(ValueError, match=r"Wire .* is can0's already"):
        network.add_device("can1", wire)
    assert len(network.interfaces()) == 1


class Slow(Wire):
    """A device that holds what it is given."""

    carrier = False
    echo = True
    port: DevicePort

    def start(self, port: DevicePort) -> None:
        self.port = port
        port.set_carrier(on=True)

    def transmit(self, payload: bytes) -> TransmitResult:  # noqa: ARG002 - it is held by the interface
        return TransmitResult.QUEUED


def test_what_a_device_tells(network: UserNetwork, probe: Callable[..., Probe]) -> None:
    told: list[tuple[bool, bool]] = []
    network._stack.link_watchers[lambda link, _: told.append((link.up, link.carrier))] = None
    device = Slow()
    network.add_device("fourth", device)
    assert told == [(False, False), (True, True), (True, True)]
    told.clear()
    port = device.port
    port.set_carrier(on=True)
    assert told == []
    port.set_carrier(on=False)
    port.changed()
    assert told == [(True, False), (True, False)]
    one, other = probe("fourth", own=1), probe("fourth")
    for number in range(3):
        one.send(encode_frame(Frame(number)))
    port.lost()
    port.sent()
    port.sent(7)
    port.sent()  # more than were held
    port.lost()
    assert port.receive(encode_frame(Frame(9)))
    assert one.words() == other.words() == [1, 2, 9]
    state = network.interfaces()[3]
    assert (state.sent, state.send_dropped) == (2, 1)


class Stubborn(Wire):
    """A device that does not begin."""

    def start(self, port: DevicePort) -> None:
        assert port.mtu == 16
        port.set_carrier(on=not self.carrier)
        raise OSError(errno.EIO, "it is broken")


def test_a_device_that_does_not_begin() -> None:
    network = UserNetwork()
    network.add_device("can0", Stubborn(), mtu=16, up=False)
    with pytest.raises(anycan.InterfaceError, match="can0 does not come up: it is broken") as info:
        network.set_up("can0")
    assert (info.value.errno, info.value.interface) == (errno.EIO, "can0")
    assert not network.interfaces()[0].up
    told: list[bool] = []
    network._stack.link_watchers[lambda link, _: told.append(link.up)] = None
    with pytest.raises(anycan.InterfaceError, match="can1 does not come up: it is broken"):
        network.add_device("can1", Stubborn())
    assert [one.name for one in network.interfaces()] == ["can0"]
    assert told == [False, True, False, False]


def test_a_queue_without_room_takes_nothing(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_vcan("full", transmit_queue=0)
    assert probe("full").send(bytes(16)) == "ENOBUFS"
    assert network.release("full") == 0


@pytest.mark.parametrize("room", [-1, -3])
def test_a_queue_with_less_than_no_room(room: int) -> None:
    network = UserNetwork()
    with pytest.raises(ValueError, match=f"transmit_queue is .* 0 or more, or None; not {room}"):
        network.add_vcan("vcan0", transmit_queue=room)
    assert network.interfaces() == ()


def test_less_than_no_frame_cannot_be_released(
    network: UserNetwork, probe: Callable[..., Probe]
) -> None:
    network.add_vcan("slow", transmit_queue=2)
    assert probe("slow").send(bytes(16)) == ""
    with pytest.raises(ValueError, match=r"count is .* 0 or more, or None; not -1"):
        network.release("slow", -1)
    assert network.release("slow", 0) == 0
    assert network.release("slow") == 1


def test_a_removed_interface_leaves_nothing_behind(network: UserNetwork) -> None:
    verdicts = network._stack.any_lists.verdicts
    assert len(verdicts) == 3
    network.remove("long")
    assert len(verdicts) == 2


@pytest.mark.parametrize("size", [4095, 8300, 1_049_600])
def test_the_longest_pdu(size: int) -> None:
    assert UserNetwork(max_pdu_size=size).max_pdu_size == size


def test_the_longest_pdu_unless_it_is_said() -> None:
    assert UserNetwork().max_pdu_size == 8300


@pytest.mark.parametrize("size", [-1, 0, 4094, 1_049_601])
def test_the_longest_pdu_that_it_cannot_have(size: int) -> None:
    with pytest.raises(ValueError, match=f"^max_pdu_size= is 4095 to 1049600 bytes, not {size}$"):
        UserNetwork("bench", max_pdu_size=size)
    assert UserNetwork.find("bench") is None
