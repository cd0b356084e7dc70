"""Restarting a controller after bus-off, by a clock that jumps to whatever happens next."""

from __future__ import annotations

import errno
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
import trio
from trio.testing import MockClock

import anycan
from anycan import (
    CanError,
    CanOSError,
    CanPermissionError,
    CanState,
    EventsLost,
    InterfaceEvent,
    InterfaceStateChanged,
    UserNetwork,
)
from anycan.interfaces import monitor as monitor_module
from anycan.interfaces import restarter as module
from anycan.interfaces.monitor import attach_monitor
from anycan.interfaces.restarter import keep_restarting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from anycan.interfaces.monitor import LinkMonitor


class Bench:
    """A controller on a user network, whose restarts are written down.

    Args:
        network: The network.
        breaks: How often it is bus-off again at the very moment of its restart.
    """

    def __init__(self, network: UserNetwork, breaks: int = 0) -> None:
        self.network = network
        self.monitor: LinkMonitor = attach_monitor(network, self)
        self.times: list[float] = []
        self._breaks = breaks
        self._more = anyio.Event()

    def link_event(self, event: InterfaceEvent | EventsLost) -> None:
        if isinstance(event, InterfaceStateChanged) and event.restarted:
            self.times.append(round(anyio.current_time() - self.start, 3))
            self._more.set()
            if self._breaks:
                self._breaks -= 1
                self.break_it()

    def monitor_ended(self) -> None:
        pass

    def state(self) -> CanState | None:
        """Give the controller's state."""
        return self.monitor.interfaces["can0"].state

    def break_it(self) -> None:
        self.network.set_bus_off("can0")

    def begin(self) -> None:
        """Let it be bus-off, from where times are counted."""
        self.start = anyio.current_time()
        self.break_it()

    async def restarts(self, count: int) -> list[float]:
        """Wait until it has been restarted so often; give when."""
        with anyio.fail_after(10_000):
            while len(self.times) < count:
                self._more = anyio.Event()
                await self._more.wait()
        return self.times


@contextmanager
def open_bench(*, breaks: int = 0, restart: float = 0.0) -> Iterator[Bench]:
    with UserNetwork() as network:
        network.add_can("can0", bitrate=500_000, restart=restart)
        bench = Bench(network, breaks)
        yield bench
        bench.monitor.remove(bench)
        assert not module._restarters
        assert not monitor_module._monitors


def in_no_time(main: Callable[[], Awaitable[None]]) -> None:
    """Run where time jumps to whatever happens next."""
    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.anyio
async def test_it_is_restarted_on_every_back_end() -> None:
    with open_bench(breaks=2) as bench:
        restarter = keep_restarting(bench.monitor, "can0", (0.001, 0.002), 10)
        bench.begin()
        with anyio.fail_after(5):
            await bench.restarts(3)
        restarter.release()
        await anyio.lowlevel.checkpoint()


def test_delays_double_up_to_the_greatest() -> None:
    """Though it is bus-off anew before the call that restarted it has returned."""

    async def main() -> None:
        with open_bench(breaks=5) as bench:
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            assert await bench.restarts(6) == [1, 3, 7, 15, 23, 31]
            restarter.release()

    in_no_time(main)


def test_delays_go_on_where_it_was_well_too_short() -> None:
    async def main() -> None:
        with open_bench() as bench:
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await bench.restarts(1)
            await anyio.sleep(9.9)
            bench.break_it()
            assert await bench.restarts(2) == [1, 12.9]
            await anyio.sleep(10.1)  # well for long enough
            bench.break_it()
            assert await bench.restarts(3) == [1, 12.9, 24]
            restarter.release()

    in_no_time(main)


def test_what_is_bus_off_already_when_it_begins() -> None:
    async def main() -> None:
        with open_bench() as bench:
            bench.begin()
            await anyio.sleep(5)
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            assert await bench.restarts(1) == [6]
            restarter.release()

    in_no_time(main)


def test_one_for_all_who_want_it() -> None:
    async def main() -> None:
        with open_bench(breaks=1) as bench:
            one = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            assert keep_restarting(bench.monitor, "can0", (5.0, 5.0), 1) is one
            bench.begin()
            await bench.restarts(1)
            one.release()
            assert await bench.restarts(2) == [1, 3]
            one.release()

    in_no_time(main)


def test_without_anybody_who_wants_it_it_ends() -> None:
    async def main() -> None:
        with open_bench() as bench:
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(0.5)
            restarter.release()
            await anyio.sleep(100)
            assert bench.times == []

    in_no_time(main)


def test_who_restarts_by_itself_is_left_to_do_so(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with open_bench(restart=20.0) as bench:
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            assert await bench.restarts(1) == [20]
            restarter.release()

    in_no_time(main)
    assert [one for one in caplog.records if one.name == "anycan.interfaces"] == []


def test_somebody_else_was_quicker() -> None:
    async def main() -> None:
        with open_bench() as bench:
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(0.5)
            bench.network.restart("can0")
            await anyio.sleep(100)
            assert bench.times == [0.5]
            bench.break_it()  # and no attempt was made in vain
            assert await bench.restarts(2) == [0.5, 101.5]
            restarter.release()

    in_no_time(main)


@pytest.mark.parametrize("gone", [False, True])
def test_a_link_that_goes_while_it_is_bus_off(gone: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with open_bench() as bench:
            network = bench.network
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(0.5)
            if gone:
                network.remove("can0")
                await anyio.sleep(100)
                network.add_can("can0", bitrate=500_000)
            else:
                network.set_down("can0")
                await anyio.sleep(100)
                network.set_up("can0")
            bench.break_it()
            assert await bench.restarts(1) == [101.5]
            restarter.release()

    in_no_time(main)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (CanPermissionError(errno.EPERM, "it needs CAP_NET_ADMIN"), logging.ERROR),
        (CanError("it needs luck"), logging.WARNING),
    ],
)
def test_a_restart_that_is_refused_is_told_once_and_tried_again(
    error: CanError, level: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    restart = anycan.restart_interface
    attempts: list[float] = []

    async def refuse(interface: str, *, network: UserNetwork) -> None:
        attempts.append(anyio.current_time())
        if len(attempts) < 4:
            raise error
        await restart(interface, network=network)

    async def main() -> None:
        with open_bench() as bench:
            monkeypatch.setattr(module, "restart_interface", refuse)
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            assert await bench.restarts(1) == [15]
            restarter.release()

    in_no_time(main)
    assert len(attempts) == 4
    (record,) = caplog.records
    assert record.levelno == level
    assert record.getMessage().startswith(
        "can0: the controller is bus-off and could not be restarted: it needs "
    )


def test_a_driver_that_cannot_restart_has_its_link_set_down_and_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_interface: str, *, network: UserNetwork) -> None:
        assert isinstance(network, UserNetwork)
        raise CanOSError(errno.EOPNOTSUPP, "its driver cannot do that")

    async def main() -> None:
        with open_bench() as bench:
            monkeypatch.setattr(module, "restart_interface", refuse)
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(0.9)
            assert bench.state() is CanState.BUS_OFF
            await anyio.sleep(0.2)
            assert bench.state() is CanState.ERROR_ACTIVE
            restarter.release()

    in_no_time(main)
    assert caplog.records == []


def test_a_restart_that_is_told_late_is_not_asked_for_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel tells of it by events, which may come after the call has returned."""
    attempts: list[str] = []

    async def restart(interface: str, *, network: UserNetwork) -> None:
        attempts.append(interface)

        async def late() -> None:
            await trio.sleep(0.5)
            network.restart(interface)

        trio.lowlevel.spawn_system_task(late)

    async def main() -> None:
        with open_bench() as bench:
            monkeypatch.setattr(module, "restart_interface", restart)
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            assert await bench.restarts(1) == [1.5]
            await anyio.sleep(100)
            restarter.release()

    in_no_time(main)
    assert attempts == ["can0"]


def test_the_network_is_closed() -> None:
    async def main() -> None:
        with open_bench() as bench:
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(0.5)
            bench.network.close()
            await anyio.sleep(100)
            assert bench.times == []
            restarter.release()

    in_no_time(main)


def test_another_interface_does_not_matter() -> None:
    async def main() -> None:
        with open_bench() as bench:
            bench.network.add_can("can1", bitrate=500_000)
            restarter = keep_restarting(bench.monitor, "can1", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(100)
            assert bench.times == []
            restarter.release()

    in_no_time(main)


class Unable:
    """A driver that cannot restart: it is set down and up in place of that.

    Args:
        monkeypatch: Puts it in the place of what asks the network.
        failures: So many times it does not come up.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int = 0) -> None:
        self.calls: list[str] = []
        self._failures = failures
        monkeypatch.setattr(module, "restart_interface", self._restart)
        monkeypatch.setattr(module, "set_down", self._down)
        monkeypatch.setattr(module, "set_up", self._up)

    async def _restart(self, _interface: str, *, network: UserNetwork) -> None:
        raise CanOSError(errno.EOPNOTSUPP, f"{network.name}: not by this driver")

    async def _down(self, interface: str, *, network: UserNetwork) -> None:
        self.calls.append("down")
        network.set_down(interface)
        await anyio.sleep(0.5)

    async def _up(self, interface: str, *, network: UserNetwork) -> None:
        self.calls.append("up")
        if self._failures:
            self._failures -= 1
            raise CanOSError(errno.EIO, "it did not start")
        network.set_up(interface)


@pytest.mark.parametrize("failures", [0, 1, 5])
def test_a_driver_that_cannot_restart(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    async def main() -> None:
        with open_bench() as bench:
            driver = Unable(monkeypatch, failures)
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(100)
            assert bench.state() is CanState.ERROR_ACTIVE
            assert driver.calls == ["down", *["up"] * (failures + 1)]
            restarter.release()

    in_no_time(main)


@pytest.mark.parametrize("failures", [0, 1])
def test_it_is_not_left_down_by_who_ends(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    async def main() -> None:
        with open_bench() as bench:
            driver = Unable(monkeypatch, failures)
            restarter = keep_restarting(bench.monitor, "can0", (1.0, 8.0), 10)
            bench.begin()
            await anyio.sleep(1.2)
            assert driver.calls == ["down"]
            restarter.release()
            await anyio.sleep(100)
            assert driver.calls == ["down", *["up"] * (failures + 1)]
            assert bench.state() is CanState.ERROR_ACTIVE

    in_no_time(main)
