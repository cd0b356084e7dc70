"""The functions for users, on a user network and on a stand-in for the kernel."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import anycan
from anycan import (
    CanMode,
    CanState,
    ConfigurationError,
    InterfaceExistsError,
    NetworkUnavailableError,
    UnknownInterfaceError,
    UserNetwork,
)
from anycan.network.core.controller_settings import ControllerSettings
from anycan.sockets.networks import NETWORK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.link_kernel import LinkKernel

pytestmark = pytest.mark.anyio


class UserBench:
    """A user network."""

    def __init__(self, network: UserNetwork) -> None:
        self.network: anycan.Network = network
        self._user = network

    def add_can(self, name: str) -> None:
        self._user.add_can(name)

    def bus_off(self, name: str) -> None:
        self._user.set_bus_off(name)


class KernelBench:
    """A stand-in for the kernel."""

    network: anycan.Network = anycan.kernel

    def __init__(self, stand_in: LinkKernel) -> None:
        self._stand_in = stand_in

    def add_can(self, name: str) -> None:
        self._stand_in.add_can(name, ControllerSettings())

    def bus_off(self, name: str) -> None:
        self._stand_in.bus_off(name)


@pytest.fixture(params=["user", "stand-in"])
def bench(
    request: pytest.FixtureRequest, stand_in: LinkKernel
) -> Iterator[UserBench | KernelBench]:
    if request.param == "user":
        with UserNetwork() as network:
            yield UserBench(network)
    else:
        yield KernelBench(stand_in)


async def test_a_vcan_from_its_making_to_its_end(bench: UserBench) -> None:
    network = bench.network
    assert await anycan.list_interfaces(network=network) == []
    vcan = await anycan.create_vcan("vcan7", mtu=16, network=network)
    assert (vcan.name, vcan.mtu, vcan.up) == ("vcan7", 16, True)
    assert await anycan.get_interface("vcan7", network=network) == vcan
    assert await anycan.get_interface(vcan.index, network=network) == vcan
    assert await anycan.list_interfaces(network=network) == [vcan]
    await anycan.set_down("vcan7", network=network)
    assert not (await anycan.get_interface("vcan7", network=network)).up
    await anycan.set_up(vcan.index, network=network)
    assert (await anycan.get_interface("vcan7", network=network)).up
    await anycan.delete_interface("vcan7", network=network)
    with pytest.raises(UnknownInterfaceError):
        await anycan.get_interface("vcan7", network=network)


async def test_the_first_free_name(bench: UserBench) -> None:
    network = bench.network
    await anycan.create_vcan("vcan1", network=network)
    names = [(await anycan.create_vcan(network=network)).name for _ in range(3)]
    assert names == ["vcan0", "vcan2", "vcan3"]
    with pytest.raises(ValueError, match="no interface can be called ''"):
        await anycan.create_vcan("", network=network)


async def test_a_vcan_that_may_be_there_already(bench: UserBench) -> None:
    network = bench.network
    first = await anycan.create_vcan("vcan0", mtu=16, up=False, network=network)
    with pytest.raises(InterfaceExistsError):
        await anycan.create_vcan("vcan0", network=network)
    again = await anycan.create_vcan("vcan0", exist_ok=True, network=network)
    assert (again.index, again.mtu, again.up) == (first.index, 16, True)
    again = await anycan.create_vcan("vcan0", mtu=72, up=False, exist_ok=True, network=network)
    assert (again.mtu, again.up) == (72, True)
    bench.add_can("can0")
    with pytest.raises(InterfaceExistsError):
        await anycan.create_vcan("can0", exist_ok=True, network=network)


async def test_a_vxcan(bench: UserBench) -> None:
    network = bench.network
    near = await anycan.create_vxcan("a", "b", mtu=2060, network=network)
    far = await anycan.get_interface("b", network=network)
    assert (near.name, near.kind, near.mtu, near.up) == ("a", "vxcan", 2060, True)
    assert (far.kind, far.mtu, far.up) == ("vxcan", 2060, True)
    await anycan.delete_interface("b", network=network)
    assert await anycan.list_interfaces(network=network) == []


async def test_a_controller(bench: UserBench) -> None:
    network = bench.network
    bench.add_can("can0")
    can0 = await anycan.configure_interface(
        "can0",
        bitrate=500_000,
        sample_point=0.8,
        sjw=4,
        data_bitrate=2_000_000,
        data_sample_point=0.75,
        data_sjw=2,
        modes={CanMode.BERR_REPORTING: True},
        restart=0,
        termination=120,
        queue_length=20,
        up=True,
        network=network,
    )
    timing, data_timing = can0.bit_timing, can0.data_bit_timing
    assert timing is not None
    assert data_timing is not None
    assert (timing.bitrate, timing.sample_point, timing.sjw) == (500_000, 800, 4)
    assert (data_timing.bitrate, data_timing.sample_point, data_timing.sjw) == (2_000_000, 750, 2)
    assert (can0.modes, can0.mtu) == (CanMode.FD | CanMode.BERR_REPORTING, 72)
    assert (can0.restart, can0.termination, can0.queue_length, can0.up) == (0.0, 120, 20, True)
    bench.bus_off("can0")
    assert (await anycan.get_interface("can0", network=network)).state is CanState.BUS_OFF
    await anycan.restart_interface("can0", network=network)
    can0 = await anycan.get_interface("can0", network=network)
    assert can0.state is CanState.ERROR_ACTIVE
    with pytest.raises(ConfigurationError, match="can0: "):
        await anycan.configure_interface("can0", bitrate=7, network=network)


async def test_bit_timings_in_full(bench: UserBench) -> None:
    bench.add_can("can0")
    timing = anycan.BitTiming(tq=50, prop_seg=15, phase_seg1=16, phase_seg2=8, sjw=4)
    data_timing = anycan.BitTiming(tq=25, prop_seg=7, phase_seg1=7, phase_seg2=5, sjw=5)
    can0 = await anycan.configure_interface(
        "can0", bit_timing=timing, data_bit_timing=data_timing, network=bench.network
    )
    assert (can0.bitrate, can0.data_bitrate, can0.up) == (500_000, 2_000_000, False)


async def test_the_network_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with UserNetwork("here") as network:
        network.add_vcan("vcan0")
        monkeypatch.setenv(NETWORK_VARIABLE, "user:here")
        assert [one.network for one in await anycan.list_interfaces()] == ["user:here"]
        assert len(await anycan.list_interfaces(network="user:here")) == 1
    with pytest.raises(NetworkUnavailableError, match="no user-space network 'here'"):
        await anycan.list_interfaces()


class Foreign:
    """A network that nobody knows."""

    name = "foreign"
    max_pdu_size = 4095

    def interface_index(self, _name: str) -> int:
        return 1

    def interface_name(self, _index: int) -> str | None:
        return None

    def interface_mtu(self, _index: int) -> int | None:
        return None

    def remedy(self, interface: str, _mtu: int | None = None) -> str:
        return interface


async def test_a_network_that_nobody_knows_is_not_taken_for_the_kernel(
    stand_in: LinkKernel,
) -> None:
    with pytest.raises(TypeError, match="knows no interfaces of"):
        await anycan.list_interfaces(network=Foreign())
    assert stand_in.asked == []


async def test_the_kernel_is_asked_in_a_thread_and_to_the_end(
    stand_in: LinkKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cancelled while the kernel works, and waits for that."""
    begun, go_on = threading.Event(), threading.Event()
    create = type(stand_in)._create

    def slow(self: LinkKernel, asked: Any) -> None:
        begun.set()
        assert go_on.wait(5)
        create(self, asked)

    monkeypatch.setattr(type(stand_in), "_create", slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anycan.create_vcan, "vcan0")
        assert await anyio.to_thread.run_sync(begun.wait, 5)
        assert stand_in.names == []
        tasks.cancel_scope.cancel()
        go_on.set()
    assert stand_in.names == ["vcan0"]
