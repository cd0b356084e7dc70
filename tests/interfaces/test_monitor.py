"""A network's links, followed by one monitor for all who listen."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import (
    CanState,
    ErrorClass,
    ErrorFrame,
    EventsLost,
    InterfaceAdded,
    InterfaceEvent,
    InterfaceStateChanged,
    NetworkUnavailableError,
    ProtocolUnavailableError,
    UserNetwork,
)
from anycan.interfaces import monitor as module
from anycan.interfaces.monitor import attach_monitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.link_kernel import LinkKernel

pytestmark = pytest.mark.anyio


class Listener:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[InterfaceEvent | EventsLost] = []
        self.ended = anyio.Event()
        self.more = anyio.Event()

    def link_event(self, event: InterfaceEvent | EventsLost) -> None:
        self.events.append(event)
        self.more.set()

    def monitor_ended(self) -> None:
        self.ended.set()

    @property
    def names(self) -> list[str]:
        return [
            f"{type(event).__name__} {event.interface.name}"
            for event in self.events
            if isinstance(event, InterfaceEvent)
        ]


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        yield network


async def test_it_is_there_while_somebody_listens(network: UserNetwork) -> None:
    one, other = Listener(), Listener()
    monitor = attach_monitor(network, one)
    assert attach_monitor(network, other) is monitor
    network.add_vcan("a", up=False)
    assert one.names == other.names == ["InterfaceAdded a"]
    monitor.remove(one)
    monitor.remove(one)
    network.add_vcan("b", up=False)
    assert one.names == ["InterfaceAdded a"]
    assert other.names == ["InterfaceAdded a", "InterfaceAdded b"]
    assert [*monitor.interfaces] == ["a", "b"]
    monitor.remove(other)
    assert not module._monitors
    assert not network._stack.link_watchers
    another = attach_monitor(network, one)
    assert another is not monitor
    assert [*another.interfaces] == ["a", "b"]
    assert one.names == ["InterfaceAdded a"]  # what was there is known, and not told
    another.remove(one)


async def test_each_network_has_its_own(network: UserNetwork) -> None:
    with UserNetwork() as second:
        one, other = Listener(), Listener()
        monitors = attach_monitor(network, one), attach_monitor(second, other)
        assert monitors[0] is not monitors[1]
        second.add_vcan("a", up=False)
        assert (one.names, other.names) == ([], ["InterfaceAdded a"])
        monitors[0].remove(one)
        monitors[1].remove(other)


async def test_who_leaves_while_he_is_told(network: UserNetwork) -> None:
    class Leaver(Listener):
        def link_event(self, event: InterfaceEvent | EventsLost) -> None:
            super().link_event(event)
            monitor.remove(self)

    leaver, stayer = Leaver(), Listener()
    monitor = attach_monitor(network, leaver)
    monitor.add(stayer)
    network.add_vcan("a")
    assert leaver.names == ["InterfaceAdded a"]
    assert stayer.names == ["InterfaceAdded a", "InterfaceUp a"]
    monitor.remove(stayer)


async def test_error_frames_are_heard_of_all_interfaces(network: UserNetwork) -> None:
    network.add_vcan("a")
    listener = Listener()
    monitor = attach_monitor(network, listener)
    network.add_vcan("b")
    listener.events.clear()
    listener.more = anyio.Event()
    for name in ("a", "b"):
        network.inject(name, ErrorFrame(ErrorClass.BUS_OFF))
        network.inject(name, anycan.Frame(1))
    with anyio.fail_after(5):
        while len(listener.events) < 2:
            listener.more = anyio.Event()
            await listener.more.wait()
    for event, name in zip(listener.events, ("a", "b"), strict=True):
        assert isinstance(event, InterfaceStateChanged)
        assert (event.interface.name, event.state) == (name, CanState.BUS_OFF)
    monitor.remove(listener)


async def test_more_error_frames_than_a_turn_of_the_loop_takes(network: UserNetwork) -> None:
    network.add_vcan("a")
    listener = Listener()
    monitor = attach_monitor(network, listener)
    count = 200
    for number in range(count):
        network.inject("a", ErrorFrame.build(tx_error_count=number % 2 + 1, rx_error_count=0))
    with anyio.fail_after(5):
        while len(listener.events) < count:
            listener.more = anyio.Event()
            await listener.more.wait()
    assert len(listener.events) == count
    monitor.remove(listener)


async def test_all_are_told_when_the_network_is_closed(network: UserNetwork) -> None:
    listeners = [Listener(), Listener()]
    for one in listeners:
        monitor = attach_monitor(network, one)
    network.close()
    with anyio.fail_after(5):
        for one in listeners:
            await one.ended.wait()
    with pytest.raises(NetworkUnavailableError):
        attach_monitor(network, Listener())
    for one in listeners:
        monitor.remove(one)
    assert not module._monitors


async def test_a_network_that_is_closed(network: UserNetwork) -> None:
    network.close()
    with pytest.raises(NetworkUnavailableError):
        attach_monitor(network, Listener())
    assert not module._monitors
    assert not network._stack.link_watchers


async def test_a_network_without_raw_sockets_has_its_links_followed_all_the_same(
    network: UserNetwork, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise ProtocolUnavailableError(errno.EPROTONOSUPPORT, "it has none")

    monkeypatch.setattr(module, "RawSocket", refuse)
    listener = Listener()
    with caplog.at_level(logging.DEBUG, "anycan.interfaces"):
        monitor = attach_monitor(network, listener)
    assert "error frames are not heard: it has none" in caplog.text
    network.add_vcan("a", up=False)
    assert listener.names == ["InterfaceAdded a"]
    monitor.remove(listener)
    assert not module._monitors


async def test_the_kernels_links_and_what_it_has_lost(
    stand_in: LinkKernel, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.add_can("can0")
    listener = Listener()
    monitor = attach_monitor(anycan.kernel, listener)
    stand_in.add_can("can1")
    assert listener.events == []
    monitor.catch_up()
    assert listener.names == ["InterfaceAdded can1"]
    stand_in.add_can("can2")
    stand_in.lose_events()
    monitor.catch_up()
    _, lost, added = listener.events
    assert isinstance(lost, EventsLost)
    assert isinstance(added, InterfaceAdded)
    assert added.interface.name == "can2"
    assert added.timestamp_ns == lost.timestamp_ns
    monitor.remove(listener)
    assert "are lost" in caplog.text


def test_in_a_callback_where_no_task_runs() -> None:
    """An asyncio transport's write may be called from one."""
    monitors: list[Any] = []
    listener = None

    def call(network: UserNetwork) -> None:
        nonlocal listener
        listener = Listener()
        monitors.append(attach_monitor(network, listener))

    async def main() -> None:
        with UserNetwork() as network:
            asyncio.get_running_loop().call_soon(call, network)
            await asyncio.sleep(0)
            assert listener is not None
            assert attach_monitor(network, listener) is monitors[0]
            monitors[0].remove(listener)

    asyncio.run(main())
