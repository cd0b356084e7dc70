"""The lab is a CAN kernel: what the other kernel tests build on."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rig.links import ip, open_links

if TYPE_CHECKING:
    from rig.links import Links

pytestmark = pytest.mark.kernel

_FRAME = bytes.fromhex("23010000 02000000 AABB000000000000")


def _bound(name: str) -> socket.socket:
    can = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    can.settimeout(10)
    can.bind((name,))
    return can


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [
        pytest.param(socket.SOCK_RAW, 1, id="raw"),
        pytest.param(socket.SOCK_DGRAM, 2, id="bcm"),
        pytest.param(socket.SOCK_DGRAM, 6, id="isotp"),
        pytest.param(socket.SOCK_DGRAM, 7, id="j1939"),
    ],
)
def test_every_protocol_has_a_socket(kind: int, protocol: int) -> None:
    socket.socket(socket.AF_CAN, kind, protocol).close()


def test_a_frame_goes_over_a_vcan(kernel_links: Links) -> None:
    name = kernel_links.add()
    with _bound(name) as sender, _bound(name) as receiver:
        sender.send(_FRAME)
        assert receiver.recv(16) == _FRAME


def test_a_vcan_for_can_xl(kernel_links: Links) -> None:
    name = kernel_links.add(mtu=2060)
    assert Path("/sys/class/net", name, "mtu").read_text() == "2060\n"


def test_links_are_gone_afterwards() -> None:
    with open_links("kernel") as links:
        names = [links.add(), links.add()]
        links.down(names[0])
        links.remove(names[0])
    assert not any(Path("/sys/class/net", name).exists() for name in names)


def test_a_frame_goes_from_controller_to_controller(controllers: tuple[str, str]) -> None:
    for name in controllers:
        ip(f"link set dev {name} type can bitrate 500000", f"link set dev {name} up")
    with _bound(controllers[0]) as sender, _bound(controllers[1]) as receiver:
        sender.send(_FRAME)
        assert receiver.recv(16) == _FRAME


def test_the_peers_are_there() -> None:
    for program in ("candump", "cansend", "isotpsend", "isotprecv", "cangw", "tc"):
        assert shutil.which(program), program


def test_the_interpreter_is_the_same() -> None:
    done = subprocess.run(  # noqa: S603 - our own words
        [shutil.which("python") or "", "-c", "import sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == sys.prefix
