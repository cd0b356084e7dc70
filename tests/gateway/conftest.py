"""A network for gateways, and one that they take for the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from anycan import UserNetwork
from anycan.gateway import force, kernel_side, neighbours, plan, port
from rig.gateways import StandInKernel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    """Give a user-space network with four vcans."""
    with UserNetwork() as network:
        for name in ("a", "b", "c", "d"):
            network.add_vcan(name)
        yield network


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInKernel]:
    """Give what gateways take for the kernel, with four vcans."""
    with StandInKernel() as kernel:
        for name in ("a", "b", "c", "d"):
            kernel.add_vcan(name)
        monkeypatch.setattr(plan, "KernelNetwork", StandInKernel)
        monkeypatch.setattr(force, "KernelNetwork", StandInKernel)
        monkeypatch.setattr(port, "KernelNetwork", StandInKernel)
        monkeypatch.setattr(kernel_side, "NetlinkSocket", kernel.netlink)
        monkeypatch.setattr(force, "NetlinkSocket", kernel.event_socket)
        monkeypatch.setattr(neighbours, "find_gateways", list)  # other tests may run some
        yield kernel
