"""The kernel's links: what it is asked for, and what its refusals become."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from anycan import (
    CanMode,
    CanOSError,
    CanPermissionError,
    CanState,
    ConfigurationError,
    InterfaceError,
    InterfaceExistsError,
    NotACanInterfaceError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
    UserNetwork,
)
from anycan.interfaces import netlink_links as module
from anycan.interfaces.link_source import KERNEL
from anycan.interfaces.netlink_changes import former
from anycan.interfaces.netlink_links import NetlinkLinks
from anycan.interfaces.settings import Settings
from anycan.interfaces.values import Interface
from anycan.network.core.controller_settings import ControllerSettings
from anycan.sockets.netlink import NetlinkSocket
from anycan.wire.netlink_can import CanModes, CanParameters
from anycan.wire.netlink_link import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK, LinkFlag
from anycan.wire.netlink_timing import BitTiming, TransmitterDelay

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.link_kernel import LinkKernel

links = NetlinkLinks(KERNEL)
UP = LinkFlag.UP
FD = CanMode.FD


def configure(name: str, **settings: Any) -> Interface:
    return links.configure(name, Settings(**settings))


def changes(stand_in: LinkKernel) -> list[tuple[int, bool | None]]:
    """Give the requests that change something: their type, and whether to be up or down."""
    return [
        (kind, bool(link.flags & UP) if link.change & UP else None)
        for kind, link in stand_in.asked
        if kind != RTM_GETLINK
    ]


# Asking


def test_all_that_are_of_can_in_the_order_of_their_indices(stand_in: LinkKernel) -> None:
    assert links.list() == []
    for name in ("can1", "can0"):
        stand_in.add_can(name)
    assert [(one.index, one.name, one.kind) for one in links.list()] == [
        (2, "can1", "can"),
        (3, "can0", "can"),
    ]


def test_one_by_its_name_or_its_index(stand_in: LinkKernel) -> None:
    index = stand_in.add_can("can0")
    assert links.get("can0") == links.get(index)
    assert links.get("can0").network == "kernel"


@pytest.mark.parametrize("interface", ["can9", 99, 0, -1, 1 << 31, 1 << 70])
def test_one_that_there_is_not(stand_in: LinkKernel, interface: str | int) -> None:
    stand_in.add_can("can0")
    calls: list[Callable[[], object]] = [
        lambda: links.get(interface),
        lambda: links.delete(interface),
        lambda: links.set_up(interface),
        lambda: links.set_down(interface),
        lambda: links.restart(interface),
        lambda: links.configure(interface, Settings()),
    ]
    called = interface if isinstance(interface, str) else f"of index {interface}"
    for call in calls:
        with pytest.raises(UnknownInterfaceError, match=f"there is no interface {called}") as told:
            call()
        assert told.value.errno == errno.ENODEV


@pytest.mark.parametrize("interface", ["lo", 1])
def test_one_that_is_none_of_can(stand_in: LinkKernel, interface: str | int) -> None:
    for call in (links.get, links.delete, links.set_up, links.set_down, links.restart):
        with pytest.raises(NotACanInterfaceError, match="lo is no CAN interface") as told:
            call(interface)
        assert (told.value.errno, told.value.interface) == (errno.ENODEV, "lo")
    assert changes(stand_in) == []


def test_one_that_went_while_it_was_asked_for(
    stand_in: LinkKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "index", lambda _name: 77)
    with pytest.raises(UnknownInterfaceError, match="there is no interface can0") as told:
        links.get("can0")
    assert told.value.interface == "can0"
    assert [kind for kind, _ in stand_in.asked] == [RTM_GETLINK]


# Making and deleting


@pytest.mark.parametrize("up", [False, True])
def test_a_vcan_is_made_by_one_request(stand_in: LinkKernel, up: bool) -> None:
    made = links.create_vcan("vcan0", 16, up=up)
    assert (made.name, made.kind, made.mtu, made.up) == ("vcan0", "vcan", 16, up)
    assert changes(stand_in) == [(RTM_NEWLINK, True if up else None)]
    links.delete("vcan0")
    assert stand_in.names == []


def test_both_ends_of_a_vxcan_are_up_when_it_is_made(stand_in: LinkKernel) -> None:
    near = links.create_vxcan("a", "b", None, 72, up=True)
    far = links.get("b")
    assert near.up
    assert far.up
    assert (near.peer_index, far.peer_index) == (far.index, near.index)
    links.delete(near.index)
    assert stand_in.names == []


def test_a_vxcan_that_is_to_stay_down(stand_in: LinkKernel) -> None:
    assert not links.create_vxcan("a", "b", None, 2060, up=False).up
    assert (links.get("b").up, links.get("b").mtu) == (False, 2060)
    assert changes(stand_in) == [(RTM_NEWLINK, None)]


@pytest.mark.parametrize("call", [1, 2])
def test_a_vxcan_that_does_not_come_up_is_deleted(stand_in: LinkKernel, call: int) -> None:
    stand_in.refusals.extend([0] * call + [errno.ENOMEM])
    with pytest.raises(CanOSError) as told:
        links.create_vxcan("a", "b", None, 72, up=True)
    assert told.value.errno == errno.ENOMEM
    assert stand_in.names == []


def test_the_other_end_is_in_another_namespace(
    stand_in: LinkKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[int] = []

    def netlink_in(namespace: int) -> NetlinkSocket:
        entered.append(namespace)
        return NetlinkSocket()

    monkeypatch.setattr(module, "netlink_in", netlink_in)
    links.create_vxcan("a", "b", os.getpid(), 72, up=True)
    (request,) = [link for kind, link in stand_in.asked if kind == RTM_NEWLINK]
    assert request.info is not None
    assert request.info.data is not None
    assert [request.info.data.namespace_fd] == entered  # type: ignore[union-attr]  # it is a Link


def test_what_is_no_namespace_of_the_kernel(stand_in: LinkKernel) -> None:
    with UserNetwork() as network, pytest.raises(TypeError, match="a network namespace of the"):
        links.create_vxcan("a", "b", network, 72, up=True)
    with pytest.raises(CanOSError, match="the network namespace nowhere cannot be opened") as told:
        links.create_vxcan("a", "b", "nowhere", 72, up=True)
    assert told.value.errno == errno.ENOENT
    assert stand_in.names == []


@pytest.mark.parametrize("name", ["", "x" * 16, "a b"])
def test_names_that_no_interface_can_have(stand_in: LinkKernel, name: str) -> None:
    with pytest.raises(ValueError, match="no interface can be called"):
        links.create_vcan(name, 72, up=True)
    for pair in ((name, "b"), ("a", name)):
        with pytest.raises(ValueError, match="no interface can be called"):
            links.create_vxcan(*pair, None, 72, up=True)
    assert stand_in.asked == []


def test_a_name_that_is_taken(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    with pytest.raises(InterfaceExistsError, match="there is an interface can0 already"):
        links.create_vcan("can0", 72, up=True)
    for pair in (("can0", "b"), ("a", "can0")):
        with pytest.raises(InterfaceExistsError, match=f"{pair[0]} or {pair[1]} already"):
            links.create_vxcan(*pair, None, 72, up=True)


def test_a_kernel_that_has_no_such_kind(stand_in: LinkKernel) -> None:
    stand_in.kinds.clear()
    with pytest.raises(ProtocolUnavailableError, match=r"no vcan; load it \(modprobe vcan\)"):
        links.create_vcan("vcan0", 72, up=True)
    with pytest.raises(ProtocolUnavailableError, match=r"no vxcan; load it \(modprobe vxcan\)"):
        links.create_vxcan("a", "b", None, 72, up=True)


def test_an_mtu_that_the_kernel_does_not_take(stand_in: LinkKernel) -> None:
    calls: list[Callable[[], object]] = [
        lambda: links.create_vcan("a", 20, up=True),
        lambda: links.create_vxcan("a", "b", None, 20, up=True),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="an MTU is 16, 72, or 76 to 2060 bytes"):
            call()
    assert stand_in.names == []


def test_a_controller_is_not_deleted(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    with pytest.raises(InterfaceError, match="can0 cannot be deleted") as told:
        links.delete("can0")
    assert told.value.errno == errno.EOPNOTSUPP
    assert changes(stand_in) == []


# No rights


def test_every_refusal_names_the_capability(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    links.create_vcan("vcan0", 72, up=True)
    configure("can0", bitrate=500_000, up=True)
    stand_in.bus_off("can0")
    stand_in.forbidden = True
    stand_in.words = "ask somebody else"
    calls: list[Callable[[], object]] = [
        lambda: links.create_vcan("vcan1", 72, up=True),
        lambda: links.create_vxcan("a", "b", None, 72, up=True),
        lambda: links.delete("vcan0"),
        lambda: links.set_up("can0"),
        lambda: links.set_down("can0"),
        lambda: links.restart("can0"),
        lambda: configure("can0", bitrate=125_000),
        lambda: configure("vcan0", mtu=16),
        lambda: configure("vcan0", up=False),
    ]
    for call in calls:
        with pytest.raises(CanPermissionError, match="needs the capability CAP_NET_ADMIN") as told:
            call()
        assert told.value.errno == errno.EPERM
        assert told.value.interface is not None
        assert told.value.interface in str(told.value) or "making" in str(told.value)
        assert str(told.value).endswith("(the kernel: ask somebody else)")
    assert [one.name for one in links.list()] == ["can0", "vcan0"]


# Up, down, restart


def test_up_and_down(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    configure("can0", bitrate=500_000)
    links.set_up("can0")
    links.set_up("can0")
    assert links.get("can0").state is CanState.ERROR_ACTIVE
    links.set_down(links.get("can0").index)
    assert not links.get("can0").up


def test_a_controller_without_a_bit_rate_does_not_come_up(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    calls: list[Callable[[], object]] = [
        lambda: links.set_up("can0"),
        lambda: configure("can0", up=True),
        lambda: configure("can0", restart=0.1, up=True),
    ]
    for call in calls:
        with pytest.raises(InterfaceError, match="can0 has no bit rate yet") as told:
            call()
        assert (told.value.errno, told.value.interface) == (errno.EINVAL, "can0")
    assert links.get("can0").restart == 0


def test_a_driver_that_does_not_start(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    configure("can0", bitrate=500_000)
    for number in (errno.EIO, errno.EINVAL):
        stand_in.entry("can0").refuses_to_start = number
        with pytest.raises(CanOSError, match=r"can0: (making or )?changing") as told:
            links.set_up("can0")
        assert (told.value.errno, told.value.interface) == (number, "can0")


def test_a_restart(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    configure("can0", bitrate=500_000, up=True)
    with pytest.raises(InterfaceError, match="is not bus-off") as told:
        links.restart("can0")
    assert told.value.errno == errno.EBUSY
    stand_in.bus_off("can0")
    links.restart("can0")
    assert links.get("can0").state is CanState.ERROR_ACTIVE
    kind, request = stand_in.asked[-2]
    assert kind == RTM_NEWLINK
    assert request.info is not None
    assert request.info.data == CanParameters(restart=1)


# Settings


def test_down_change_up_in_this_order(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    can0 = configure("can0", bitrate=500_000, up=True)
    assert (can0.bitrate, can0.up) == (500_000, True)
    assert changes(stand_in) == [(RTM_NEWLINK, True)]
    stand_in.asked.clear()
    can0 = configure("can0", bitrate=250_000, sample_point=0.8, restart=0.05)
    assert (can0.bitrate, can0.restart, can0.up) == (250_000, 0.05, True)
    assert changes(stand_in) == [(RTM_SETLINK, False), (RTM_NEWLINK, True)]
    stand_in.asked.clear()
    assert configure("can0", modes=CanMode.LISTENONLY, up=False).modes == CanMode.LISTENONLY
    assert changes(stand_in) == [(RTM_SETLINK, False), (RTM_NEWLINK, None)]


def test_what_is_so_already_is_not_asked_for(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    configure("can0", bitrate=500_000, up=True)
    stand_in.asked.clear()
    assert configure("can0", bitrate=500_000, queue_length=10, up=True).up
    assert changes(stand_in) == []


def test_what_can_be_changed_while_it_is_up(stand_in: LinkKernel) -> None:
    links.create_vcan("vcan0", 72, up=True)
    stand_in.asked.clear()
    assert configure("vcan0", queue_length=5).queue_length == 5
    assert changes(stand_in) == [(RTM_SETLINK, True)]
    stand_in.asked.clear()
    assert configure("vcan0", mtu=2060).mtu == 2060
    assert changes(stand_in) == [(RTM_SETLINK, False), (RTM_SETLINK, True)]
    stand_in.asked.clear()
    assert not configure("vcan0", up=False).up
    assert changes(stand_in) == [(RTM_SETLINK, False)]


def test_can_fd_is_turned_on_changed_and_turned_off(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0", ControllerSettings())
    can0 = configure("can0", bitrate=500_000, data_bitrate=2_000_000, up=True)
    assert (can0.data_bitrate, can0.mtu, can0.modes) == (2_000_000, 72, FD)
    assert configure("can0", data_bitrate=4_000_000).data_bitrate == 4_000_000
    can0 = configure("can0", modes=CanMode(0))
    assert (can0.data_bitrate, can0.mtu, can0.modes, can0.up) == (None, 16, CanMode(0), True)


def test_what_cannot_be_is_found_before_anything_is_touched(stand_in: LinkKernel) -> None:
    stand_in.add_can("can0")
    configure("can0", bitrate=500_000, up=True)
    stand_in.asked.clear()
    with pytest.raises(ConfigurationError, match=r"tseg1 1\.\.16"):
        configure("can0", bitrate=500_000, sample_point=0.95)
    assert changes(stand_in) == []
    assert links.get("can0").up


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EINVAL, ConfigurationError),
        (errno.EOPNOTSUPP, ConfigurationError),
        (errno.ERANGE, ConfigurationError),
        (errno.EDOM, ConfigurationError),
        (errno.EBUSY, CanOSError),
        (errno.EPERM, CanPermissionError),
    ],
)
def test_what_the_kernel_refuses_halfway_is_put_back(
    stand_in: LinkKernel, number: int, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.add_can("can0")
    before = configure("can0", bitrate=500_000, modes=CanMode.ONE_SHOT, restart=0.1, up=True)
    stand_in.refusals.extend([0, number])
    stand_in.words = "no"
    with pytest.raises(kind, match=r"can0.*\(the kernel: no\)") as told:
        configure("can0", bitrate=125_000, modes=CanMode.LISTENONLY, restart=0, queue_length=99)
    assert type(told.value) is kind
    assert links.get("can0") == before
    assert caplog.records == []


def test_a_start_that_fails_puts_the_settings_back(
    stand_in: LinkKernel, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.add_can("can0", ControllerSettings())
    before = configure("can0", bitrate=500_000, data_bitrate=2_000_000, queue_length=7)
    stand_in.entry("can0").refuses_to_start = errno.EIO
    changed: list[dict[str, Any]] = [
        {"bitrate": 250_000},
        {"data_bitrate": 4_000_000},
        {"modes": CanMode(0)},
        {"modes": {FD: False, CanMode.LOOPBACK: True}, "bitrate": 125_000},
        {"termination": 120, "restart": 1.0},
    ]
    for settings in changed:
        with pytest.raises(CanOSError) as told:
            configure("can0", **settings, queue_length=8, up=True)
        assert (told.value.errno, told.value.interface) == (errno.EIO, "can0")
        assert links.get("can0") == before, settings
    assert caplog.records == []


def test_the_mtu_is_put_back(stand_in: LinkKernel) -> None:
    before = links.create_vcan("vcan0", 72, up=True)
    stand_in.entry("vcan0").refuses_to_start = errno.EIO
    configure("vcan0", up=False)
    with pytest.raises(CanOSError):
        configure("vcan0", mtu=2060, up=True)
    assert links.get("vcan0").mtu == before.mtu


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EINVAL, ConfigurationError), (errno.ENOENT, CanOSError)]
)
def test_what_cannot_be_put_back_is_told(
    stand_in: LinkKernel,
    caplog: pytest.LogCaptureFixture,
    number: int,
    kind: type[Exception],
) -> None:
    stand_in.add_can("can0")
    configure("can0", bitrate=500_000, up=True)
    stand_in.refusals.extend([0, number, errno.EIO])
    with caplog.at_level(logging.WARNING), pytest.raises(kind, match=r"; it is down now$"):
        configure("can0", bitrate=125_000)
    (record,) = caplog.records
    assert record.getMessage().startswith("can0 was not put back to what it was before: ")


def test_to_put_back_is_to_ask_as_the_kernel_takes_it() -> None:
    timing = BitTiming(500_000, 875, 125, 6, 7, 2, 1, 1)
    data = BitTiming(2_000_000, 750, 25, 7, 7, 5, 2, 1)
    before = Interface(
        index=1,
        name="can0",
        kind="can",
        bit_timing=timing,
        data_bit_timing=data,
        modes=FD | CanMode.TDC_MANUAL,
        delay=TransmitterDelay(0, 9, 0, 9, 0, 9, 1, 2, 3),
    )
    asked = BitTiming(bitrate=500_000, sample_point=875, sjw=1)
    asked_data = BitTiming(bitrate=2_000_000, sample_point=750, sjw=2)
    mask = FD | CanMode.TDC_MANUAL | CanMode.TDC_AUTO
    assert former(before, CanParameters(modes=CanModes(mask, 0))) == CanParameters(
        bit_timing=asked,
        data_bit_timing=asked_data,
        modes=CanModes(mask, FD | CanMode.TDC_MANUAL),
        delay=TransmitterDelay(value=1, offset=2, filter=3),
    )
    assert former(before, CanParameters(bit_timing=BitTiming(bitrate=1))) == CanParameters(
        bit_timing=asked
    )
    assert former(before, CanParameters()) == CanParameters()


def test_an_interface_that_goes_meanwhile(stand_in: LinkKernel) -> None:
    links.create_vcan("vcan0", 72, up=True)
    stand_in.refusals.append(errno.ENODEV)
    with pytest.raises(UnknownInterfaceError, match="vcan0: ") as told:
        configure("vcan0", up=False)
    assert told.value.interface == "vcan0"
    stand_in.refusals.append(errno.ENODEV)
    with pytest.raises(UnknownInterfaceError):
        links.delete("vcan0")
    assert (RTM_DELLINK, None) in changes(stand_in)
