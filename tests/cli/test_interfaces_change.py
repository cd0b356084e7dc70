"""anycan interfaces up, down, add, delete and restart."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from anycan import (
    CanPermissionError,
    Interface,
    InterfaceError,
    ProtocolUnavailableError,
    UserNetwork,
)
from anycan.cli import interfaces_add, interfaces_up, main

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = f"change-{os.getpid()}"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[UserNetwork]:
    """Give a network that commands take without ``--network``."""
    with UserNetwork(name=NAME) as network:
        monkeypatch.setenv("ANYCAN_NETWORK", f"user:{NAME}")
        yield network


def ups(network: UserNetwork) -> dict[str, bool]:
    return {one.name: one.up for one in network.interfaces()}


def test_up_and_down(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_vcan("vcan0", up=False)
    network.add_can("can0", bitrate=250_000, up=False)
    assert main(["interfaces", "up", "vcan0", "can0"]) == 0
    assert ups(network) == {"vcan0": True, "can0": True}
    assert capsys.readouterr() == (
        (
            "vcan0: up, vcan, CAN FD (MTU 72), queue 1000\n"
            "can0: up, ERROR-ACTIVE, can, 250k 87.5 %, CAN (MTU 16), queue 10\n"
        ),
        "",
    )
    assert main(["interfaces", "down", "vcan0", "can0", "vcan0"]) == 0
    assert ups(network) == {"vcan0": False, "can0": False}
    assert capsys.readouterr() == (
        (
            "vcan0: down, vcan, CAN FD (MTU 72), queue 1000\n"
            "can0: down, can, 250k 87.5 %, CAN (MTU 16), queue 10\n"
        ),
        "",
    )


def test_one_that_fails_does_not_keep_the_others(
    network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    network.add_vcan("vcan0", up=False)
    assert main(["interfaces", "up", "can8", "vcan0", "can9"]) == 1
    assert ups(network) == {"vcan0": True}
    out, err = capsys.readouterr()
    assert out.startswith("vcan0: up, ")
    assert [line.partition(";")[0] for line in err.splitlines()] == [
        "anycan: there is no interface can8",
        "anycan: there is no interface can9",
    ]


def test_up_without_a_bit_rate_says_how_to_set_it(
    network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    network.add_can("can0")
    assert main(["interfaces", "up", "can0"]) == 1
    assert capsys.readouterr() == (
        "",
        (
            "anycan: can0 has no bit rate yet, and does not come up: set the one of the bus, for"
            " example 'anycan interfaces set can0 --bitrate 500k --up'\n"
        ),
    )


def test_up_without_rights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def set_up(_name: str, **_where: Any) -> None:
        raise CanPermissionError(errno.EPERM, "can0: it needs the capability CAP_NET_ADMIN", "can0")

    monkeypatch.setattr(interfaces_up, "set_up", set_up)
    assert main(["interfaces", "up", "can0"]) == 1
    assert capsys.readouterr() == ("", "anycan: can0: it needs the capability CAP_NET_ADMIN\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["vcan3"], "vcan3: up, vcan, CAN FD (MTU 72), queue 1000"),
        (["vcan3", "--kind", "vcan", "--down"], "vcan3: down, vcan, CAN FD (MTU 72), queue 1000"),
        (["vcan3", "--mtu", "2060"], "vcan3: up, vcan, CAN XL (MTU 2060), queue 1000"),
        (["vx0", "--peer", "vx1"], "vx0: up, vxcan, CAN FD (MTU 72), queue 1000"),
        (
            ["vx0", "--peer", "vx1", "--kind", "vxcan", "--mtu", "16", "--down"],
            "vx0: down, vxcan, CAN (MTU 16), queue 1000",
        ),
    ],
)
def test_add(
    arguments: list[str],
    line: str,
    network: UserNetwork,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["interfaces", "add", *arguments]) == 0
    assert capsys.readouterr() == (f"{line}\n", "")
    names = {arguments[0]} | ({"vx1"} if "--peer" in arguments else set())
    assert set(ups(network)) == names


def test_add_what_is_there(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_vcan("vcan0", mtu=16)
    assert main(["interfaces", "add", "vcan0"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"anycan: there is an interface vcan0 on user:{NAME} already\n")
    assert main(["interfaces", "add", "vcan0", "--exist-ok"]) == 0
    assert capsys.readouterr().out == "vcan0: up, vcan, CAN (MTU 16), queue 1000\n"


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["a b"], "no interface can be called 'a b'"),
        (["x" * 16], "no interface can be called 'xxxxxxxxxxxxxxxx'"),
        (["vx0", "--peer", ""], "no interface can be called ''"),
        (["vx0", "--kind", "vxcan"], "a vxcan has another end: name it with --peer"),
        (["vx0", "--kind", "vcan", "--peer", "vx1"], "--peer is the other end of a vxcan"),
        (["vcan0", "--namespace", "guest"], "--namespace is where the other end of a vxcan is"),
        (["vx0", "--peer", "vx1", "--exist-ok"], "--exist-ok is for a vcan"),
        (["vx0", "--peer", "vx1", "--namespace", "7"], "--namespace is for the kernel's network"),
        (["vcan0", "--mtu", "15"], 'Invalid value "15" for --mtu. Must be >= 16'),
        (["vcan0", "--mtu", "2061"], 'Invalid value "2061" for --mtu. Must be <= 2060'),
        (["vcan0", "--kind", "can"], 'Invalid value "can" for --kind'),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interfaces", "add", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"anycan: {error}")
    assert err.endswith("See --help.\n")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("network")
def test_an_mtu_of_no_can_interface(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interfaces", "add", "vcan0", "--mtu", "20"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anycan: vcan0 cannot have an MTU of 20: ")


@pytest.mark.parametrize(
    ("namespace", "given"), [("guest", "guest"), ("/proc/7/ns/net", "/proc/7/ns/net"), ("77", 77)]
)
def test_the_namespace_of_the_other_end(
    namespace: str, given: str | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []

    async def create_vxcan(name: str, _peer: str, *, namespace: Any, **_more: Any) -> Interface:
        taken.append(namespace)
        return Interface(index=1, name=name)

    monkeypatch.setattr(interfaces_add, "create_vxcan", create_vxcan)
    arguments = ["interfaces", "add", "vx0", "--peer", "vx1", "--namespace", namespace]
    assert main(arguments) == 0
    assert taken == [given]


def test_a_type_error_that_is_no_namespace_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    async def create_vxcan(*_arguments: Any, **_more: Any) -> Interface:
        raise TypeError("a defect")

    monkeypatch.setattr(interfaces_add, "create_vxcan", create_vxcan)
    with pytest.raises(TypeError, match="a defect"):
        main(["interfaces", "add", "vx0", "--peer", "vx1"])


def test_a_kernel_without_vcan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def create_vcan(*_arguments: Any, **_more: Any) -> Interface:
        raise ProtocolUnavailableError(errno.EOPNOTSUPP, "this kernel has no vcan; load it", "v")

    monkeypatch.setattr(interfaces_add, "create_vcan", create_vcan)
    assert main(["interfaces", "add", "vcan0"]) == 1
    assert capsys.readouterr().err == (
        "anycan: this kernel has no vcan; load it; 'anycan doctor' tells what this machine has\n"
    )


def test_delete(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_vcan("vcan0")
    network.add_vxcan("vx0", "vx1")
    network.add_can("can0")
    assert main(["interfaces", "delete", "vcan0", "can0", "vx1"]) == 1
    out, err = capsys.readouterr()
    assert out == "vcan0: deleted\nvx1: deleted\n"
    assert err.startswith("anycan: can0 cannot be deleted, as it is no vcan or vxcan: ")
    assert err.count("\n") == 1
    assert set(ups(network)) == {"can0"}


def test_delete_all_that_are_named(
    network: UserNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    network.add_vcan("vcan0")
    network.add_vcan("vcan1")
    assert main(["interfaces", "delete", "vcan0", "vcan1"]) == 0
    assert capsys.readouterr() == ("vcan0: deleted\nvcan1: deleted\n", "")
    assert ups(network) == {}


def test_another_failure_of_up_is_told_as_it_is(
    network: UserNetwork,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def set_up(_name: str, **_where: Any) -> None:
        raise InterfaceError(errno.EINVAL, "can0: its driver does not start it", "can0")

    network.add_can("can0", bitrate=500_000)
    monkeypatch.setattr(interfaces_up, "set_up", set_up)
    assert main(["interfaces", "up", "can0"]) == 1
    assert capsys.readouterr() == ("", "anycan: can0: its driver does not start it\n")


def test_restart(network: UserNetwork, capsys: pytest.CaptureFixture[str]) -> None:
    network.add_can("can0", bitrate=500_000)
    assert main(["interfaces", "restart", "can0"]) == 1
    assert capsys.readouterr().err == (
        "anycan: can0 is not bus-off (its state is error-active): there is nothing to restart\n"
    )
    network.set_bus_off("can0")
    assert main(["interfaces", "restart", "can0"]) == 0
    out = capsys.readouterr().out
    assert out == "can0: up, ERROR-ACTIVE, can, 500k 87.5 %, CAN (MTU 16), queue 10\n"


@pytest.mark.parametrize("command", ["up", "down", "delete", "restart", "show", "set", "add"])
def test_a_name_is_needed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interfaces", command]) == 2
    assert capsys.readouterr().err.count("\n") == 1
