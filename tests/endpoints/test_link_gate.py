"""Whether a link can be used, and waiting until it can be again."""

from __future__ import annotations

import errno
import itertools
import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
from trio.testing import MockClock

import anycan
from anycan import (
    CanOSError,
    InterfaceDownError,
    InterfaceRemovedError,
    LinkCondition,
    LinkGap,
    LinkWait,
    UnknownInterfaceError,
    UserNetwork,
)
from anycan.endpoints.link_gate import LinkGate
from anycan.interfaces import monitor as monitor_module
from anycan.interfaces import restarter as restarter_module
from anycan.interfaces.link_source import KERNEL
from anycan.interfaces.netlink_links import NetlinkLinks
from rig.link_kernel import in_place_of_the_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio

DOWN, REMOVED = LinkCondition.DOWN, LinkCondition.REMOVED
OFF = LinkCondition.BUS_OFF


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        network.add_vcan("vcan0")
        yield network
    assert not monitor_module._monitors  # every gate has been closed
    assert not restarter_module._restarters


class Gate(LinkGate):
    """A gate that writes down what happens."""

    def __init__(self, network: anycan.Network, name: str = "vcan0", **options: Any) -> None:
        self.told: list[LinkGap] = []
        self.calls: list[str] = []
        policy = options.pop("policy", LinkWait())
        super().__init__(network, name, policy, options.pop("on_gap", self.told.append), **options)
        self.on_open = lambda: self.calls.append("open")
        self.on_end = lambda: self.calls.append("end")

    def now(self) -> LinkCondition | None:
        """Give the condition of the gap that there is; None: there is none."""
        return None if self.gap is None else self.gap.condition

    @property
    def conditions(self) -> list[tuple[LinkCondition, bool]]:
        """The conditions that were told of, and whether the gap had ended."""
        return [(gap.condition, gap.ended_ns is not None) for gap in self.told]


class Binding:
    """What a socket does that binds to the interface of a name."""

    def __init__(self, network: UserNetwork) -> None:
        self.network = network
        self.bound: list[int] = []
        self.errors: list[OSError] = []

    def __call__(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.bound.append(self.network.interface_index("vcan0"))
        return self.bound[-1]


# Open and shut


async def test_it_is_open_while_the_link_is_up(network: UserNetwork) -> None:
    gate = Gate(network)
    assert (gate.gap, gate.gaps, gate.told, gate.calls) == (None, 0, [], [])
    with anyio.fail_after(1):
        await gate.wait()
    gate.close()


@pytest.mark.parametrize("name", ["vcan0", "can7"])
async def test_it_is_shut_from_the_beginning(network: UserNetwork, name: str) -> None:
    network.set_down("vcan0")
    gate = Gate(network, name)
    assert gate.conditions == [(DOWN if name == "vcan0" else REMOVED, False)]
    assert gate.gaps == 1
    gate.close()


async def test_down_and_up(network: UserNetwork, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate(network)
    with caplog.at_level(logging.INFO, "anycan.endpoints"):
        network.set_down("vcan0")
        assert gate.now() is DOWN
        assert gate.told[0].interface == "vcan0"
        assert gate.told[0].seconds is None
        network.set_up("vcan0")
    assert gate.now() is None
    assert gate.conditions == [(DOWN, False), (DOWN, True)]
    assert gate.told[0].began_ns == gate.told[1].began_ns
    assert gate.told[1].seconds is not None
    assert gate.told[1].seconds >= 0
    assert (gate.calls, gate.gaps) == (["open"], 1)
    lost, back = [record.getMessage() for record in caplog.records]
    assert lost == "vcan0: the link is lost (down), and waited for"
    assert back.startswith("vcan0: the link is back after 0.0")
    gate.close()


async def test_the_worst_of_what_there_was_is_told(network: UserNetwork) -> None:
    gate = Gate(network)
    network.set_down("vcan0")
    network.remove("vcan0")
    network.add_vcan("vcan0", up=False)
    assert gate.now() is REMOVED
    network.set_up("vcan0")
    assert gate.conditions == [(DOWN, False), (REMOVED, True)]
    assert gate.gaps == 1
    gate.close()


async def test_another_link_does_not_matter(network: UserNetwork) -> None:
    network.add_vcan("vcan1")
    gate = Gate(network)
    network.remove("vcan1")
    network.add_vcan("vcan1", up=False)
    assert (gate.gap, gate.told) == (None, [])
    gate.close()


async def test_a_setting_that_changes_is_no_loss(network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000)
    gate = Gate(network, "can0")
    network.set_error_counters("can0", transmit=200)
    assert gate.told == []
    gate.close()


async def test_bus_off_and_restart(network: UserNetwork) -> None:
    network.add_can("can0", bitrate=500_000)
    gate = Gate(network, "can0")
    network.set_bus_off("can0")
    network.restart("can0")
    assert gate.conditions == [(OFF, False), (OFF, True)]
    gate.close()


async def test_what_is_told_may_fail(
    network: UserNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_gap: LinkGap) -> None:
        raise ZeroDivisionError

    gate = Gate(network, on_gap=fail)
    network.set_down("vcan0")
    network.set_up("vcan0")
    assert gate.calls == ["open"]
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [one.getMessage() for one in failures] == ["on_gap= of vcan0 failed"] * 2
    gate.close()


async def test_nobody_has_to_be_told(network: UserNetwork) -> None:
    gate = Gate(network, on_gap=None)
    network.set_down("vcan0")
    assert gate.now() is not None
    network.set_up("vcan0")
    assert gate.now() is None
    gate.close()


# Bound to an interface


async def test_it_is_bound_again_at_the_moment_it_is_back(network: UserNetwork) -> None:
    bind = Binding(network)
    gate = Gate(network, renew=bind, index=network.interface_index("vcan0"))
    network.set_down("vcan0")
    network.set_up("vcan0")
    assert bind.bound == []  # it has been bound all the time
    network.remove("vcan0")
    assert bind.bound == []
    network.add_vcan("vcan0")
    assert bind.bound == [network.interface_index("vcan0")]
    assert gate.now() is None
    gate.close()


async def test_a_link_that_is_renamed_stays_bound(network: UserNetwork) -> None:
    bind = Binding(network)
    gate = Gate(network, renew=bind, index=network.interface_index("vcan0"))
    network.rename("vcan0", "other")
    assert gate.now() is None
    network.set_down("other")
    assert gate.now() is DOWN
    network.set_up("other")
    network.remove("other")
    assert gate.now() is REMOVED
    network.add_vcan("vcan0")
    assert gate.now() is None
    assert bind.bound == [network.interface_index("vcan0")]
    gate.close()


async def test_without_a_binding_the_name_is_what_counts(network: UserNetwork) -> None:
    gate = Gate(network)
    network.rename("vcan0", "other")
    assert gate.now() is REMOVED
    network.rename("other", "vcan0")
    assert gate.now() is None
    gate.close()


@pytest.mark.parametrize("number", [errno.ENODEV, errno.ENXIO])
async def test_a_link_that_is_gone_again_before_it_is_bound(
    network: UserNetwork, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    bind = Binding(network)
    gate = Gate(network, renew=bind, index=network.interface_index("vcan0"))
    network.remove("vcan0")
    caplog.clear()
    bind.errors = [OSError(number, "it is gone")] * 2
    network.add_vcan("vcan0")  # which is told of twice: that it is there, and that it is up
    assert gate.now() is not None
    assert caplog.records == []
    network.set_down("vcan0")
    network.set_up("vcan0")
    assert gate.now() is None
    gate.close()


async def test_a_link_that_cannot_be_bound(
    network: UserNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    bind = Binding(network)
    gate = Gate(network, renew=bind, index=network.interface_index("vcan0"))
    network.remove("vcan0")
    caplog.clear()
    bind.errors = [OSError(errno.ENOMEM, "there is no room")]
    network.add_vcan("vcan0", up=False)
    (record,) = caplog.records
    assert record.getMessage() == "vcan0 is back and cannot be used: there is no room"
    network.set_up("vcan0")  # and it is tried again with the next event
    assert gate.now() is None
    gate.close()
    await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EAGAIN])
def test_a_link_that_cannot_be_bound_is_tried_again_by_itself(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        with UserNetwork() as network:
            network.add_vcan("vcan0")
            bind = Binding(network)
            gate = Gate(network, renew=bind, index=network.interface_index("vcan0"))
            network.remove("vcan0")
            bind.errors = [OSError(number, "not now") for _ in range(12)]
            network.add_vcan("vcan0")
            with anyio.fail_after(60):
                await gate.wait()
            assert bind.bound == [network.interface_index("vcan0")]
            assert gate.conditions[-1] == (REMOVED, True)
            gate.close()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    told = [record for record in caplog.records if "cannot be used" in record.getMessage()]
    assert len(told) == (number != errno.EAGAIN)  # a transfer under way is nothing special


async def test_it_went_and_came_in_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others were lost; all the same it is a gap, as the socket was not bound."""
    links = NetlinkLinks(KERNEL)
    with in_place_of_the_kernel(monkeypatch) as stand_in:
        old = links.create_vcan("vcan0", 72, up=True)
        bound: list[int] = []

        def bind() -> int:
            bound.append(stand_in.index("vcan0"))
            return bound[-1]

        gate = Gate(anycan.kernel, renew=bind, index=old.index)
        links.delete("vcan0")
        new = links.create_vcan("vcan0", 72, up=True)
        stand_in.lose_events()
        assert gate.noticed(InterfaceRemovedError(errno.ENODEV, "gone", "vcan0"))
        assert set(bound) == {new.index}
        assert gate.now() is None
        assert gate.conditions == [(REMOVED, False), (REMOVED, True)]
        gate.close()


# What the socket tells


@pytest.mark.parametrize(
    ("error", "dealt_with"),
    [
        (InterfaceDownError(errno.ENETDOWN, "", "vcan0"), True),
        (InterfaceRemovedError(errno.ENODEV, "", "vcan0"), True),
        (UnknownInterfaceError(errno.ENXIO, "", "vcan0"), True),
        (CanOSError(errno.ENOMEM, "", "vcan0"), False),
    ],
)
async def test_what_the_gate_deals_with(
    network: UserNetwork, error: CanOSError, dealt_with: bool
) -> None:
    gate = Gate(network)
    assert gate.noticed(error) is dealt_with
    gate.close()
    assert not gate.noticed(error)


async def test_the_kernel_is_asked_what_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket may be told before its link event has been read."""
    links = NetlinkLinks(KERNEL)
    with in_place_of_the_kernel(monkeypatch):
        links.create_vcan("vcan0", 72, up=True)
        gate = Gate(anycan.kernel)
        links.set_down("vcan0")
        assert gate.now() is None
        assert gate.noticed(InterfaceDownError(errno.ENETDOWN, "", "vcan0"))
        assert gate.now() is DOWN
        gate.close()


# Waiting


async def test_all_who_wait_are_woken_when_it_opens(network: UserNetwork) -> None:
    gate = Gate(network)
    woken: list[LinkGap | None] = []

    async def wait() -> None:
        await gate.wait()
        woken.append(gate.gap)

    network.set_down("vcan0")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert woken == []
            network.set_up("vcan0")
    assert woken == [None] * 3
    gate.close()


async def test_it_shuts_again_before_who_waits_runs(network: UserNetwork) -> None:
    gate = Gate(network)
    woken: list[bool] = []

    async def wait() -> None:
        await gate.wait()
        woken.append(True)

    network.set_down("vcan0")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            network.set_up("vcan0")
            network.set_down("vcan0")
            await anyio.wait_all_tasks_blocked()
            assert woken == []
            network.set_up("vcan0")
    assert gate.gaps == 2
    gate.close()


@pytest.mark.parametrize("how", ["close", "end"])
async def test_who_waits_is_woken_by_the_end(network: UserNetwork, how: str) -> None:
    gate = Gate(network)
    network.set_down("vcan0")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.wait)
            await anyio.wait_all_tasks_blocked()
            if how == "close":
                gate.close()
                gate.close()
            else:
                network.close()
    if how == "end":
        assert gate.ended
        assert gate.calls == ["end"]
        assert not gate.noticed(InterfaceDownError(errno.ENETDOWN, "", "vcan0"))
    with anyio.fail_after(1):
        await gate.wait()
    gate.close()


async def test_what_happens_after_closing_is_not_told(network: UserNetwork) -> None:
    gate, other = Gate(network), Gate(network)
    gate.close()
    network.set_down("vcan0")
    assert gate.told == []
    assert other.conditions == [(DOWN, False)]
    other.close()


async def test_closing_in_the_middle_of_being_told(network: UserNetwork) -> None:
    gates: list[Gate] = []

    def close_all(_gap: LinkGap) -> None:
        for one in gates:
            one.close()

    gates += [Gate(network, on_gap=close_all) for _ in range(2)]
    network.set_down("vcan0")
    network.set_up("vcan0")
    assert [one.gaps for one in gates] == [1, 0]


# Restarting


def in_no_time(main: Callable[[UserNetwork], Any]) -> None:
    """Run where time jumps to whatever happens next, on a network with a controller."""
    with UserNetwork() as network:
        network.add_can("can0", bitrate=500_000)
        trio.run(main, network, clock=MockClock(autojump_threshold=0))
    assert not monitor_module._monitors
    assert not restarter_module._restarters


def test_the_controller_is_restarted_where_that_is_asked_for() -> None:
    async def main(network: UserNetwork) -> None:
        gate = Gate(network, "can0", policy=LinkWait(restart=(0.5, 4.0), healthy=1000))
        start = anyio.current_time()
        for after in itertools.accumulate((0.5, 1.0, 2.0, 4.0, 4.0)):
            network.set_bus_off("can0")
            assert gate.now() is not None
            await gate.wait()
            assert anyio.current_time() - start == pytest.approx(after)
        assert gate.gaps == 5
        gate.close()
        network.set_bus_off("can0")
        await anyio.sleep(100)
        assert gate.gaps == 5

    in_no_time(main)


def test_two_gates_restart_it_once() -> None:
    async def main(network: UserNetwork) -> None:
        policy = LinkWait(restart=(0.5, 4.0))
        gates = [Gate(network, "can0", policy=policy) for _ in range(2)]
        network.set_bus_off("can0")
        await gates[1].wait()
        gates[0].close()
        network.set_bus_off("can0")  # the other one still has it restarted
        with anyio.fail_after(10):
            await gates[1].wait()
        gates[1].close()

    in_no_time(main)


def test_it_is_not_restarted_where_that_is_not_asked_for() -> None:
    async def main(network: UserNetwork) -> None:
        gate = Gate(network, "can0")
        network.set_bus_off("can0")
        with anyio.move_on_after(1000) as scope:
            await gate.wait()
        assert scope.cancelled_caught
        network.restart("can0")
        await gate.wait()
        gate.close()

    in_no_time(main)
