"""The user-space network is the kernel's twin: the same programs have the same outcomes."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies

import anycan
from programs import INTERFACES, MTUS, Link, run, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from programs import Step

PROGRAMS = int(os.environ.get("ANYCAN_PROGRAMS", "300"))

# Each takes up to a second where the processor is emulated, and programs.py bounds its length.
pytestmark = [pytest.mark.kernel, pytest.mark.timeout(60 + PROGRAMS)]

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


class KernelStage:
    """Three vcans of the kernel, made once. Links are set by ioctl: a process each is too slow."""

    network = anycan.kernel

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for interface in INTERFACES:
            self._run(*self._addition(interface))

    def _addition(self, interface: str) -> tuple[str, str]:
        name = self.name(interface)
        return (
            f"link add dev {name} type vcan",
            f"link set {name} mtu {MTUS[interface]} up",
        )

    def _run(self, *commands: str) -> None:
        subprocess.run(
            ["ip", "-batch", "-"],  # noqa: S607 - wherever it is
            input="\n".join(commands).encode(),
            check=True,
        )

    def name(self, interface: str) -> str:
        return f"diff{interface}"

    def _flags(self, interface: str, request: int, flags: int) -> int:
        record = struct.pack("16sH22x", self.name(interface).encode(), flags)
        answer = fcntl.ioctl(self._socket, request, record)
        return int(struct.unpack_from("16xH", answer)[0])

    def up(self, interface: str) -> None:
        flags = self._flags(interface, _SIOCGIFFLAGS, 0)
        self._flags(interface, _SIOCSIFFLAGS, flags | _IFF_UP)

    def down(self, interface: str) -> None:
        flags = self._flags(interface, _SIOCGIFFLAGS, 0)
        self._flags(interface, _SIOCSIFFLAGS, flags & ~_IFF_UP)

    def replace(self, interface: str) -> None:
        self._run(f"link del {self.name(interface)}", *self._addition(interface))

    def close(self) -> None:
        self._socket.close()
        self._run(*(f"link del {self.name(interface)}" for interface in INTERFACES))


class UserStage:
    """Three vcans of a user-space network."""

    def __init__(self) -> None:
        self.network = anycan.UserNetwork()
        for interface in INTERFACES:
            self.network.add_vcan(interface, mtu=MTUS[interface])

    def name(self, interface: str) -> str:
        return interface

    def up(self, interface: str) -> None:
        self.network.set_up(interface)

    def down(self, interface: str) -> None:
        self.network.set_down(interface)

    def replace(self, interface: str) -> None:
        self.network.remove(interface)
        self.network.add_vcan(interface, mtu=MTUS[interface])


@pytest.fixture(scope="module")
def kernel_stage() -> Iterator[KernelStage]:
    stage = KernelStage()
    yield stage
    stage.close()


@settings(
    max_examples=PROGRAMS,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(program=strategies.lists(steps(), min_size=4, max_size=25))
def test_the_same_program_has_the_same_outcomes(
    kernel_stage: KernelStage, program: list[Step]
) -> None:
    for interface in INTERFACES:
        kernel_stage.up(interface)
    user = run(program, UserStage())
    kernel = run(program, kernel_stage)
    shown = [*program, "left over", "left over", "left over"]
    assert list(zip(shown, user, strict=True)) == list(zip(shown, kernel, strict=True))


def test_the_comparison_sees_a_difference(kernel_stage: KernelStage) -> None:
    assert run([Link("flexible", up=False)], UserStage()) == run(
        [Link("flexible", up=False)], kernel_stage
    )
    kernel_stage.up("flexible")
    stage = UserStage()
    stage.network.remove("flexible")
    assert run([Link("flexible", up=False)], stage) != run(
        [Link("flexible", up=False)], kernel_stage
    )
    kernel_stage.up("flexible")
