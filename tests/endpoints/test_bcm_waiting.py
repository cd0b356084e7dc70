"""What operations do when a link is lost, where only a network that obeys can show it."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import pytest

import anycan
from anycan import Changed, Frame, UserNetwork
from anycan.endpoints import link_gate
from anycan.exceptions import ProtocolUnavailableError
from anycan.interfaces import monitor as monitors
from anycan.interfaces.user_links import value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anycan import BcmEndpoint

pytestmark = pytest.mark.anyio

NEVER = 1000.0


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def open_bcm(network: UserNetwork, **options: Any) -> Any:
    return anycan.open_bcm("vcan0", network=network, on_link_loss="wait", **options)


async def test_counters_go_on_with_another_descriptor(network: UserNetwork) -> None:
    bcm: BcmEndpoint
    async with open_bcm(network, receive_buffer=1) as bcm, bcm.watch(0x123) as events:
        dropped, received = 0, 0
        for _ in range(3):
            for number in range(10):
                network.inject("vcan0", Frame(0x123, bytes([number])))
            network.remove("vcan0")
            network.add_vcan("vcan0")
            statistics = bcm.statistics()
            assert statistics.received > received
            assert statistics.dropped > dropped
            received, dropped = statistics.received, statistics.dropped
            assert received + dropped == statistics.gaps * 10
        assert [event.frame.data[0] for event in taken(events)] == 3 * list(range(received // 3))


def taken(events: anycan.Watch) -> Iterator[Changed]:
    while True:
        try:
            event = events.receive_nowait()
        except anyio.WouldBlock:
            return
        assert isinstance(event, Changed)
        yield event


async def test_an_interface_that_went_and_came_unheard(network: UserNetwork) -> None:
    gaps: list[anycan.LinkGap] = []
    bcm: BcmEndpoint
    async with (
        anycan.open_raw(None, network=network) as can,
        open_bcm(network, on_gap=gaps.append) as bcm,
        bcm.send_cyclic(Frame(0x100), interval=NEVER),
    ):
        assert await can.receive() == Frame(0x100)
        (monitor,) = monitors._monitors.values()
        monitor._feed.close()  # what happens from now on is lost
        network.remove("vcan0")
        network.add_vcan("vcan0")
        assert gaps == []
        monitor.replace(value_of(link, network) for link in network._stack.by_index.values())
        assert await can.receive() == Frame(0x100)
    assert [gap.condition for gap in gaps] == 2 * [anycan.LinkCondition.REMOVED]


async def test_links_that_cannot_be_watched_leave_nothing_open(
    network: UserNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise ProtocolUnavailableError(errno.EAFNOSUPPORT, "there is no netlink")

    monkeypatch.setattr(link_gate, "attach_monitor", refuse)
    before = _descriptors()
    with pytest.raises(ProtocolUnavailableError):
        async with open_bcm(network):
            pass
    assert _descriptors() == before


async def test_descriptors_that_run_out_are_asked_for_again(
    network: UserNetwork, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    bcm: BcmEndpoint
    async with (
        anycan.open_raw(None, network=network) as can,
        open_bcm(network) as bcm,
        bcm.send_cyclic(Frame(0x100), interval=NEVER),
    ):
        assert await can.receive() == Frame(0x100)
        network.remove("vcan0")
        with monkeypatch.context() as patch:
            patch.setattr("anycan.sockets.bcm.open_descriptor", refuse)
            network.add_vcan("vcan0")
        assert bcm.gap is not None
        assert "vcan0 is back and cannot be used: Too many open files" in caplog.text
        network.set_down("vcan0")
        network.set_up("vcan0")
        assert await can.receive() == Frame(0x100)
        assert bcm.gap is None
