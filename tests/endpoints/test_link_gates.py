"""The gates of a socket's interfaces: of the one it is bound to, or of each that is sent to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

from anycan import Frame, LinkGap, LinkWait, UserNetwork
from anycan.endpoints.link_gates import LinkGates
from anycan.interfaces import monitor as monitor_module
from anycan.sockets.raw import RawSocket
from anycan.sockets.raw_options import RawOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@contextmanager
def open_gates(network: UserNetwork, interface: str | None) -> Iterator[LinkGates]:
    gaps: list[LinkGap] = []
    socket = RawSocket(network, interface, RawOptions())
    gates = LinkGates(socket, LinkWait(), gaps.append)
    try:
        yield gates
    finally:
        gates.close()
        socket.close()
    assert not monitor_module._monitors
    assert len([gap for gap in gaps if gap.ended_ns is None]) == gates.gaps


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        for name in ("a", "b"):
            network.add_vcan(name)
        yield network


async def test_of_a_socket_that_is_bound(network: UserNetwork) -> None:
    with open_gates(network, "a") as gates:
        opened: list[bool] = []
        gates.on_open = lambda: opened.append(True)
        gate = gates.for_frame(Frame(1), None)
        assert gate is gates.bound is gates.for_frame(Frame(1), "a")
        assert gate is gates.for_frame(Frame(1), network.interface_index("a"))
        assert (gates.gap, gates.gaps) == (None, 0)
        network.set_down("b")
        assert (gates.gap, gates.gaps) == (None, 0)
        network.remove("a")
        assert gates.gap is not None
        network.add_vcan("a")
        assert (gates.gaps, opened) == (1, [True])


async def test_of_a_socket_for_all_interfaces(network: UserNetwork) -> None:
    with open_gates(network, None) as gates:
        opened: list[bool] = []
        gates.on_open = lambda: opened.append(True)
        assert gates.bound is None
        assert not monitor_module._monitors  # none is followed before it is sent to
        one, other = (gates.for_frame(Frame(1), name) for name in ("a", "b"))
        assert one is not None
        assert other is not one
        assert gates.for_frame(attrs.evolve(Frame(1), interface="a"), None) is one
        network.set_down("a")
        network.set_up("a")
        assert (one.gaps, gates.gap, gates.gaps, opened) == (1, None, 1, [True])
        network.remove("b")
        assert gates.for_frame(Frame(1), "b") is other  # it is waited for


async def test_what_never_was_is_not_waited_for(network: UserNetwork) -> None:
    with open_gates(network, None) as gates:
        for interface in ("never", 99, None):
            assert gates.for_frame(Frame(1), interface) is None
        assert gates.gaps == 0
