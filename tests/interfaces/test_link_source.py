"""Where links are asked for by rtnetlink: the kernel, or a network that is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anycan import (
    CanOSError,
    NetworkUnavailableError,
    ServedNetwork,
    UnknownInterfaceError,
    UserNetwork,
    kernel,
)
from anycan.interfaces.link_source import KERNEL, KernelLinkSource, ServedLinkSource, source_of
from anycan.interfaces.netlink_links import NetlinkLinks, list_links
from anycan.sockets.netlink import NetlinkSocket
from anycan.sockets.served_links import ServedLinkEvents, ServedNetlink
from rig.served import serving

if TYPE_CHECKING:
    from pathlib import Path

    from rig.link_kernel import LinkKernel


def test_the_kernel(stand_in: LinkKernel) -> None:
    index = stand_in.add_can("can0")
    source = source_of(kernel)
    assert source is KERNEL
    assert isinstance(source, KernelLinkSource)
    assert (source.name, source.has_namespaces, source.closed) == ("kernel", True, False)
    source.reconnect()
    with source.open() as netlink:
        (interface,) = list_links(netlink, source)
    assert (interface.name, interface.index, interface.network) == ("can0", index, "kernel")
    events = source.watch()
    assert isinstance(events, NetlinkSocket)
    stand_in.tell("can0")
    assert len(events.events()) == 1
    events.close()
    assert not stand_in.opened


def test_the_kernel_does_not_tell(stand_in: LinkKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: NetlinkSocket) -> None:
        raise CanOSError(12, "there is no room")

    monkeypatch.setattr(NetlinkSocket, "join_links", refuse)
    with pytest.raises(CanOSError, match="there is no room"):
        KERNEL.watch()
    assert not stand_in.opened


def test_an_interface_of_the_kernel_by_its_name() -> None:
    assert KERNEL.interface_index("lo") == kernel.interface_index("lo")


def test_a_served_network(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with serving(path) as server, ServedNetwork(path) as network:
        source = source_of(network)
        assert isinstance(source, ServedLinkSource)
        assert (source.name, source.has_namespaces) == (f"unix:{path}", False)
        with source.open() as netlink:
            assert isinstance(netlink, ServedNetlink)
            (interface,) = list_links(netlink, source)
        assert (interface.name, interface.index, interface.network) == ("vcan0", 1, f"unix:{path}")
        assert source.interface_index("vcan0") == 1
        events = source.watch()
        assert isinstance(events, ServedLinkEvents)
        events.close()
        server.stop()
        with pytest.raises(UnknownInterfaceError, match="its server is gone"):
            source.interface_index("vcan0")
        with pytest.raises(NetworkUnavailableError):
            source.reconnect()
        assert not source.closed
        server.start()
        source.reconnect()
        assert source.interface_index("vcan0") == 1
        network.close()
        assert source.closed


def test_a_served_network_has_no_namespaces(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with serving(path), ServedNetwork(path) as network:
        links = NetlinkLinks(ServedLinkSource(network))
        with pytest.raises(TypeError, match=f"the other end is on unix:{path} as well, and not on"):
            links.create_vxcan("one", "other", "namespace", 72, up=True)
        assert [interface.name for interface in links.list()] == ["vcan0"]


def test_no_other_network_is_asked_by_rtnetlink() -> None:
    with UserNetwork() as network, pytest.raises(TypeError, match="knows no interfaces of"):
        source_of(network)
