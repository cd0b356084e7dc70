"""The links of a user network: the same functions, the same errors."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import anycan
from anycan import (
    CanErrorCounters,
    CanMode,
    CanOSError,
    CanState,
    CanStatistics,
    ConfigurationError,
    FdFrame,
    Frame,
    Interface,
    InterfaceDownError,
    InterfaceError,
    InterfaceExistsError,
    LinkCondition,
    LinkStatistics,
    TransmitterDelay,
    UnknownInterfaceError,
    UserNetwork,
)
from anycan.interfaces.settings import Settings
from anycan.interfaces.user_links import UserLinks
from anycan.network.core.controller_settings import DEFAULT_CONSTANTS, DEFAULT_DATA_CONSTANTS
from anycan.network.core.device import NetworkDevice, TransmitResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork("links") as network:
        yield network


@pytest.fixture
def links(network: UserNetwork) -> UserLinks:
    return UserLinks(network)


def configure(links: UserLinks, name: str, **settings: Any) -> Interface:
    return links.configure(name, Settings(**settings))


# Listing


def test_a_vcan(network: UserNetwork, links: UserLinks) -> None:
    assert links.list() == []
    network.add_vcan("vcan0")
    vcan0 = Interface(
        index=1,
        name="vcan0",
        kind="vcan",
        network="user:links",
        up=True,
        carrier=True,
        mtu=72,
        queue_length=links.get("vcan0").queue_length,
        statistics=LinkStatistics(),
        carrier_changes=0,
    )
    assert links.list() == [vcan0]
    assert links.get("vcan0") == links.get(1) == vcan0


def test_a_controller(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0", bitrate=500_000, restart=0.1)
    can0 = links.get("can0")
    assert can0.kind == "can"
    assert (can0.up, can0.carrier, can0.condition) == (True, True, LinkCondition.UP)
    assert (can0.mtu, can0.queue_length) == (16, 10)
    assert (can0.bitrate, can0.clock, can0.restart) == (500_000, 80_000_000, 0.1)
    assert can0.bit_timing_constants == DEFAULT_CONSTANTS
    assert can0.data_bit_timing_constants == DEFAULT_DATA_CONSTANTS
    assert (can0.state, can0.modes) == (CanState.ERROR_ACTIVE, CanMode(0))
    assert can0.supported_modes is not None
    assert CanMode.FD in can0.supported_modes
    assert (can0.termination, can0.terminations) == (0, (0, 120))
    assert (can0.error_counters, can0.can_statistics) == (CanErrorCounters(), CanStatistics())
    assert can0.bitrate_max is None


def test_all_in_the_order_of_their_indices(network: UserNetwork, links: UserLinks) -> None:
    network.add_vcan("b")
    network.add_vxcan("z", "a")
    network.add_can("c")
    assert [(one.index, one.name, one.kind) for one in links.list()] == [
        (1, "b", "vcan"),
        (2, "a", "vxcan"),
        (3, "z", "vxcan"),
        (4, "c", "can"),
    ]


async def test_frames_are_counted(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0", bitrate=500_000)
    network.add_can("can1", bitrate=500_000)
    async with anycan.open_raw("can0", network=network) as can:
        await can.send(Frame(1, b"abc"))
    sent, received = links.get("can0").statistics, links.get("can1").statistics
    assert sent is not None
    assert received is not None
    assert (sent.tx_packets, sent.tx_bytes, sent.rx_packets) == (1, 3, 0)
    assert (received.rx_packets, received.rx_bytes, received.tx_packets) == (1, 3, 0)


@pytest.mark.parametrize("interface", ["can9", 9, 0, -1])
def test_one_that_there_is_not(
    network: UserNetwork, links: UserLinks, interface: str | int
) -> None:
    network.add_vcan("vcan0")
    calls: list[Callable[[str | int], object]] = [
        links.get,
        links.delete,
        links.set_up,
        links.set_down,
        links.restart,
        lambda one: links.configure(one, Settings()),
    ]
    for call in calls:
        with pytest.raises(UnknownInterfaceError, match="there is no interface") as told:
            call(interface)
        assert told.value.errno == errno.ENODEV
        assert "user:links" in str(told.value)


# Making and deleting


@pytest.mark.parametrize("up", [False, True])
def test_a_vcan_is_made_and_deleted(links: UserLinks, up: bool) -> None:
    made = links.create_vcan("vcan0", 2060, up=up)
    assert (made.kind, made.mtu, made.up) == ("vcan", 2060, up)
    assert links.list() == [made]
    links.delete(made.index)
    assert links.list() == []


def test_both_ends_of_a_vxcan_are_made_and_deleted(links: UserLinks) -> None:
    near = links.create_vxcan("a", "b", None, 72, up=True)
    far = links.get("b")
    assert (near.name, near.up, near.carrier, far.up, far.carrier) == ("a", True, True, True, True)
    links.delete("b")
    assert links.list() == []
    assert not links.create_vxcan("a", "b", None, 72, up=False).up


def test_the_other_end_may_be_on_another_network(links: UserLinks) -> None:
    with UserNetwork() as elsewhere:
        links.create_vxcan("a", "a", elsewhere, 72, up=True)
        (far,) = UserLinks(elsewhere).list()
        assert (far.name, far.kind, far.up) == ("a", "vxcan", True)
        links.delete("a")
        assert UserLinks(elsewhere).list() == []


@pytest.mark.parametrize("namespace", ["blue", 1, anycan.kernel])
def test_what_is_no_user_network(links: UserLinks, namespace: Any) -> None:
    with pytest.raises(TypeError, match="the other end is on a UserNetwork of this process"):
        links.create_vxcan("a", "b", namespace, 72, up=True)
    assert links.list() == []


@pytest.mark.parametrize("name", ["", "x" * 16, "a b", "can%d"])
def test_names_that_no_interface_can_have(links: UserLinks, name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: links.create_vcan(name, 72, up=True),
        lambda: links.create_vxcan(name, "b", None, 72, up=True),
        lambda: links.create_vxcan("a", name, None, 72, up=True),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="no interface can be called") as told:
            call()
        assert not isinstance(told.value, ConfigurationError)  # it is no interface's setting
    assert links.list() == []


def test_names_that_are_taken(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0")
    with UserNetwork() as elsewhere:
        elsewhere.add_vcan("b")
        calls: list[Callable[[], object]] = [
            lambda: links.create_vcan("can0", 72, up=True),
            lambda: links.create_vxcan("can0", "b", None, 72, up=True),
            lambda: links.create_vxcan("a", "can0", None, 72, up=True),
            lambda: links.create_vxcan("a", "a", None, 72, up=True),
            lambda: links.create_vxcan("a", "b", elsewhere, 72, up=True),
        ]
        for call in calls:
            with pytest.raises(InterfaceExistsError, match="already") as told:
                call()
            assert told.value.errno == errno.EEXIST
    assert [one.name for one in links.list()] == ["can0"]


def test_an_mtu_that_is_none(links: UserLinks) -> None:
    calls: list[Callable[[], object]] = [
        lambda: links.create_vcan("a", 20, up=True),
        lambda: links.create_vxcan("a", "b", None, 20, up=True),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="a cannot have an MTU of 20"):
            call()
    assert links.list() == []


def test_a_controller_is_not_deleted(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0")
    with pytest.raises(InterfaceError, match="can0 cannot be deleted") as told:
        links.delete("can0")
    assert told.value.errno == errno.EOPNOTSUPP
    network.remove("can0")  # as when it is unplugged
    assert links.list() == []


# Up, down, restart


def test_up_and_down(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0", bitrate=500_000, up=False)
    assert links.get("can0").state is CanState.STOPPED
    links.set_up("can0")
    links.set_up("can0")
    assert links.get("can0").condition is LinkCondition.UP
    links.set_down("can0")
    links.set_down("can0")
    assert links.get("can0").condition is LinkCondition.DOWN


def test_a_controller_without_a_bit_rate_does_not_come_up(
    network: UserNetwork, links: UserLinks
) -> None:
    network.add_can("can0")
    before = links.get("can0")
    calls: list[Callable[[], object]] = [
        lambda: links.set_up("can0"),
        lambda: configure(links, "can0", up=True),
        lambda: configure(links, "can0", restart=0.1, termination=120, up=True),
    ]
    for call in calls:
        with pytest.raises(InterfaceError, match="can0 has no bit rate yet") as told:
            call()
        assert told.value.errno == errno.EINVAL
        assert links.get("can0") == before


class Broken(NetworkDevice):
    """A device that does not start."""

    kind = "broken"

    def start(self, _port: object) -> None:
        raise OSError(errno.EIO, "it is broken")

    def supports_mtu(self, mtu: int) -> bool:
        return mtu in {16, 72}

    def transmit(self, _payload: bytes) -> TransmitResult:
        return TransmitResult.LOST


def test_a_device_that_does_not_start(network: UserNetwork, links: UserLinks) -> None:
    network.add_device("x0", Broken(), up=False)
    for call in (lambda: links.set_up("x0"), lambda: configure(links, "x0", up=True)):
        with pytest.raises(CanOSError, match=r"x0.*: it is broken") as told:
            call()
        assert (told.value.errno, told.value.interface) == (errno.EIO, "x0")
    assert not links.get("x0").up


def test_a_device_that_cannot_have_an_mtu(network: UserNetwork, links: UserLinks) -> None:
    network.add_device("x0", Broken(), up=False)
    with pytest.raises(ConfigurationError, match="x0 takes no such setting: "):
        configure(links, "x0", mtu=2060)
    assert links.get("x0").mtu == 72


def test_bus_off_and_restart(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0", bitrate=500_000)
    with pytest.raises(InterfaceError, match="is not bus-off"):
        links.restart("can0")
    network.set_bus_off("can0")
    off = links.get("can0")
    assert (off.state, off.condition, off.carrier) == (
        CanState.BUS_OFF,
        LinkCondition.BUS_OFF,
        False,
    )
    assert off.can_statistics == CanStatistics(bus_off=1)
    assert off.error_counters is not None
    assert off.error_counters.transmit == 256
    links.restart("can0")
    on = links.get("can0")
    assert (on.state, on.error_counters, on.carrier) == (
        CanState.ERROR_ACTIVE,
        CanErrorCounters(),
        True,
    )
    assert on.can_statistics == CanStatistics(bus_off=1, restarts=1)


def test_restarts_that_cannot_be(network: UserNetwork, links: UserLinks) -> None:
    network.add_vcan("vcan0")
    network.add_can("can0", bitrate=500_000, up=False)
    network.add_can("can1", bitrate=500_000, restart=0.1)
    for name, number in (
        ("vcan0", errno.EOPNOTSUPP),
        ("can0", errno.EINVAL),
        ("can1", errno.EINVAL),
    ):
        with pytest.raises(InterfaceError, match=name) as told:
            links.restart(name)
        assert told.value.errno == number


# Settings


def test_down_change_up(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0", bitrate=500_000)
    seen: list[tuple[bool, int | None]] = []

    def look(_link: object, present: bool) -> None:
        if present:
            seen.append((links.get("can0").up, links.get("can0").bitrate))

    network._stack.link_watchers[look] = None
    can0 = configure(links, "can0", bitrate=250_000, queue_length=3)
    assert (can0.bitrate, can0.up, can0.queue_length) == (250_000, True, 3)
    assert list(dict.fromkeys(seen)) == [
        (False, 500_000),
        (False, 250_000),
        (True, 250_000),
    ]
    seen.clear()
    configure(links, "can0", bitrate=250_000, up=True)
    assert seen == []
    assert not configure(links, "can0", up=False).up


def test_can_fd_is_turned_on_changed_and_turned_off(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0")
    can0 = configure(links, "can0", bitrate=500_000, data_bitrate=2_000_000, up=True)
    assert (can0.data_bitrate, can0.mtu, can0.modes) == (2_000_000, 72, CanMode.FD)
    assert configure(links, "can0", data_bitrate=4_000_000).data_bitrate == 4_000_000
    can0 = configure(links, "can0", modes={CanMode.FD: False, CanMode.ONE_SHOT: True})
    assert (can0.data_bitrate, can0.mtu, can0.modes, can0.up) == (None, 16, CanMode.ONE_SHOT, True)


def test_the_mtu_of_a_vcan_that_is_up(links: UserLinks) -> None:
    links.create_vcan("vcan0", 72, up=True)
    vcan0 = configure(links, "vcan0", mtu=16)
    assert (vcan0.mtu, vcan0.up) == (16, True)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bitrate": 500_000, "sample_point": 0.999}, "sample point 0.999 not reachable; user"),
        ({"modes": CanMode.TRIPLE_SAMPLING}, "no mode TRIPLE_SAMPLING"),
        ({"termination": 60}, "one of 0, 120 ohms, not 60"),
        ({"delay": TransmitterDelay(offset=3)}, "CAN FD's, which is off"),
        ({"mtu": 72}, "its MTU goes with CanMode.FD"),
    ],
)
def test_what_cannot_be_changes_nothing(
    network: UserNetwork, links: UserLinks, settings: dict[str, Any], text: str
) -> None:
    network.add_can("can0", bitrate=500_000)
    before = links.get("can0")
    with pytest.raises(ConfigurationError, match=r"^can0") as told:
        configure(links, "can0", **settings)
    assert text in str(told.value)
    assert links.get("can0") == before


def test_what_the_controller_refuses_has_it_up_again(
    network: UserNetwork, links: UserLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.add_can("can0", bitrate=500_000)
    before = links.get("can0")
    for number, kind in ((errno.EINVAL, ConfigurationError), (errno.EBUSY, CanOSError)):

        def refuse(*_: object, number: int = number) -> None:
            raise OSError(number, "it does not like that")

        with monkeypatch.context() as patch:
            patch.setattr(type(network._stack.by_name["can0"]), "configure", refuse)
            with pytest.raises(kind, match=r"can0.*: it does not like that"):
                configure(links, "can0", restart=1.0)
        assert links.get("can0") == before


async def test_nothing_is_received_at_another_bit_rate(
    network: UserNetwork, links: UserLinks
) -> None:
    for name in ("can0", "can1"):
        network.add_can(name, bitrate=500_000)
    configure(links, "can1", bitrate=250_000)
    async with (
        anycan.open_raw("can0", network=network) as one,
        anycan.open_raw("can1", network=network) as other,
    ):
        await one.send(Frame(1))
        configure(links, "can1", bitrate=500_000)
        await one.send(Frame(2))
        with pytest.raises(InterfaceDownError):
            await other.receive()  # it was down for that
        assert await other.receive() == Frame(2)
        with pytest.raises(anycan.FrameNotSupportedError):
            await one.send(FdFrame(3))


def test_a_look_is_a_value(network: UserNetwork, links: UserLinks) -> None:
    network.add_can("can0", bitrate=500_000)
    before = links.get("can0")
    network.set_error_counters("can0", transmit=130)
    after = links.get("can0")
    assert before.state is CanState.ERROR_ACTIVE
    assert after.state is CanState.ERROR_PASSIVE
    assert (
        attrs.evolve(
            after,
            state=before.state,
            error_counters=before.error_counters,
            can_statistics=before.can_statistics,
        )
        == before
    )
