"""What the running kernel says of its interfaces; ``lo`` is there on every Linux machine."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path

import pytest

from anycan.exceptions import UnknownInterfaceError
from anycan.network.base import Network
from anycan.sockets import kernel as module
from anycan.sockets.kernel import KernelNetwork, kernel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the interfaces are Linux's")


def test_it_is_a_network() -> None:
    network: object = kernel
    assert isinstance(network, Network)
    assert isinstance(network, KernelNetwork)
    assert kernel.name == "kernel"
    assert repr(kernel) == "anycan.kernel"


def test_the_index_and_the_name_of_an_interface() -> None:
    index = kernel.interface_index("lo")
    assert index == socket.if_nametoindex("lo")
    assert kernel.interface_name(index) == "lo"


def test_its_mtu() -> None:
    mtu = int(Path("/sys/class/net/lo/mtu").read_text(encoding="ascii"))
    assert kernel.interface_mtu(kernel.interface_index("lo")) == mtu


@pytest.mark.parametrize("index", [0x7FFFFFFF, 0, -1, 1 << 40])
def test_an_index_of_no_interface(index: int) -> None:
    assert kernel.interface_name(index) is None
    assert kernel.interface_mtu(index) is None


def test_an_interface_that_went_away_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KernelNetwork, "interface_name", lambda *_: "nosuch0")
    assert kernel.interface_mtu(5) is None


@pytest.mark.parametrize("name", ["nosuch0", "", "much-too-long-for-a-name", "can\x000", "\udc80"])
def test_a_name_of_no_interface(name: str) -> None:
    with pytest.raises(UnknownInterfaceError) as caught:
        kernel.interface_index(name)
    assert caught.value.errno == errno.ENODEV
    assert caught.value.interface == name
    called = name or "''"
    assert f"there is no interface {called}; " in str(caught.value)


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the kernel's list of interfaces be ours."""
    for name, kind in [("vcan1", "280\n"), ("can0", "280\n"), ("eth0", "1\n"), ("odd", None)]:
        (tmp_path / name).mkdir()
        if kind is not None:
            (tmp_path / name / "type").write_text(kind, encoding="ascii")
    names = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(names, 1)))
    monkeypatch.setattr(module, "Path", lambda *parts: tmp_path.joinpath(*parts[1:]))
    return tmp_path


def test_the_message_names_the_can_interfaces_that_there_are(types: Path) -> None:
    assert types.is_dir()
    with pytest.raises(UnknownInterfaceError, match=r"the CAN interfaces here are can0, vcan1$"):
        kernel.interface_index("nosuch0")


def test_the_message_says_how_to_get_one_where_there_is_none(types: Path) -> None:
    for name in ("vcan1", "can0"):
        (types / name / "type").write_text("1\n", encoding="ascii")
    with pytest.raises(UnknownInterfaceError, match=r"no CAN interface here \(ip link add"):
        kernel.interface_index("nosuch0")


def test_remedies() -> None:
    assert kernel.remedy("can0") == "ip link set can0 up"
    assert kernel.remedy("can0", 72) == "ip link set can0 mtu 72"


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ("8300\n", 8300),
        ("4095\n", 4095),
        ("1049600\n", 1_049_600),
        ("", 8300),
        ("N\n", 8300),
        (None, 8300),  # not loaded, or before Linux 6.3
    ],
)
def test_the_longest_pdu_is_the_modules_parameter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, size: int
) -> None:
    file = tmp_path / "max_pdu_size"
    monkeypatch.setattr(module, "_MAXIMUM_PDU", file)
    if content is not None:
        file.write_text(content, encoding="ascii")
    assert kernel.max_pdu_size == size


def test_the_longest_pdu_is_looked_up_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "max_pdu_size"
    monkeypatch.setattr(module, "_MAXIMUM_PDU", file)
    assert kernel.max_pdu_size == 8300
    file.write_text("100000\n", encoding="ascii")
    assert kernel.max_pdu_size == 100_000


def test_where_the_modules_parameter_is() -> None:
    assert Path("/sys/module/can_isotp/parameters/max_pdu_size") == module._MAXIMUM_PDU
