"""Which network is meant, and what is opened on it."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from anycan.exceptions import CanError, NetworkUnavailableError
from anycan.network.user import UserNetwork
from anycan.sockets import networks
from anycan.sockets.kernel import kernel
from anycan.sockets.networks import NETWORK_VARIABLE, open_descriptor, resolve_network
from anycan.sockets.user import UserDescriptor
from anycan.wire.constants import CAN_RAW

if TYPE_CHECKING:
    from collections.abc import Iterator

SAID = " (from the environment variable ANYCAN_NETWORK)"


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NETWORK_VARIABLE, raising=False)


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork(name="bench") as network:
        yield network


class Foreign:
    """A network of another's making."""

    name = "foreign"

    def interface_index(self, name: str) -> int:
        return len(name)

    def interface_name(self, index: int) -> str | None:
        return str(index)

    def interface_mtu(self, index: int) -> int | None:
        return index

    @property
    def max_pdu_size(self) -> int:
        return 8300

    def remedy(self, interface: str, mtu: int | None = None) -> str:
        return f"mend {interface} {mtu}"


def test_the_kernel_unless_told() -> None:
    assert resolve_network(None) is kernel
    assert resolve_network("kernel") is kernel


def test_a_network_is_itself(network: UserNetwork) -> None:
    assert resolve_network(kernel) is kernel
    assert resolve_network(network) is network
    foreign = Foreign()
    assert resolve_network(foreign) is foreign


def test_a_user_network_by_its_name(network: UserNetwork) -> None:
    assert resolve_network("user:bench") is network


def test_the_environment_names_one(network: UserNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    assert NETWORK_VARIABLE == "ANYCAN_NETWORK"
    monkeypatch.setenv(NETWORK_VARIABLE, "user:bench")
    assert resolve_network(None) is network
    assert resolve_network("kernel") is kernel
    monkeypatch.setenv(NETWORK_VARIABLE, "kernel")
    assert resolve_network(None) is kernel
    monkeypatch.setenv(NETWORK_VARIABLE, "")
    assert resolve_network(None) is kernel


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("user:x", "'x' is open in this process{}: open it with anycan.UserNetwork(name='x')"),
        ("unix:/run/can", "no network is served at /run/can: there is no such file"),
        ("user:", "no network is called 'user:'{}: use kernel, unix:PATH for"),
        ("user", "no network is called 'user'{}: "),
        ("unix:", "no network is called 'unix:'{}: "),
        ("can0", "no network is called 'can0'{}: "),
        ("Kernel", "no network is called 'Kernel'{}: "),
    ],
)  # fmt: skip
def test_names_of_no_network(monkeypatch: pytest.MonkeyPatch, name: str, words: str) -> None:
    with pytest.raises(NetworkUnavailableError, match=re.escape(words.format(""))) as caught:
        resolve_network(name)
    assert isinstance(caught.value, CanError)
    monkeypatch.setenv(NETWORK_VARIABLE, name)
    with pytest.raises(NetworkUnavailableError, match=re.escape(words.format(SAID))):
        resolve_network(None)


def test_a_closed_network_is_not_found(network: UserNetwork) -> None:
    network.close()
    with pytest.raises(NetworkUnavailableError, match="no user-space network 'bench' is open"):
        resolve_network("user:bench")


@pytest.mark.parametrize("what", [5, b"kernel", object()])
def test_what_is_no_network(what: Any) -> None:
    with pytest.raises(TypeError, match="network= is a network or the name of one, not "):
        resolve_network(what)


def test_a_descriptor_of_a_user_network(network: UserNetwork) -> None:
    descriptor = open_descriptor(network, socket.SOCK_RAW, CAN_RAW, "can-raw")
    assert isinstance(descriptor, UserDescriptor)
    descriptor.close()


def test_a_descriptor_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "KernelDescriptor", lambda *arguments: arguments)
    opened: Any = open_descriptor(kernel, socket.SOCK_RAW, CAN_RAW, "can-raw")
    assert opened == (socket.SOCK_RAW, CAN_RAW, "can-raw")


def test_no_descriptor_of_another_network() -> None:
    with pytest.raises(TypeError, match="anycan cannot open sockets on <"):
        open_descriptor(Foreign(), socket.SOCK_RAW, CAN_RAW, "can-raw")
