"""anycan doctor: the sockets that the kernel gives, and the modules beside them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import pytest

from anycan.cli.doctor_finding import Finding, Verdict
from anycan.cli.doctor_machine import Machine
from anycan.cli.doctor_modules import Modules
from anycan.cli.doctor_sockets import check_modules, check_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RELEASE: Final = "6.12.43+deb13-amd64"
DIRECTORY: Final = f"/lib/modules/{RELEASE}"
PROTOCOLS: Final = ["raw sockets", "broadcast manager", "ISO-TP", "J1939"]
DEPENDENCIES: Final = """\
kernel/net/can/can-raw.ko.xz: kernel/net/can/can.ko.xz
kernel/net/can/can-gw.ko.xz: kernel/net/can/can.ko.xz
kernel/drivers/net/can/vcan.ko.xz: kernel/drivers/net/can/dev/can-dev.ko.xz
kernel/drivers/net/can/vxcan.ko.xz: kernel/drivers/net/can/dev/can-dev.ko.xz
kernel/drivers/net/can/slcan/slcan.ko.xz: kernel/drivers/net/can/dev/can-dev.ko.xz
kernel/drivers/net/can/dev/can-dev.ko.xz:
"""
DRIVERS: Final = "".join(f"kernel/drivers/net/can/usb/{name}.ko.xz:\n" for name in "abcdefghij")


def sockets(
    answers: Callable[[str, int, int], int], loaded: list[str] | None = None
) -> dict[str, Finding]:
    names = loaded or []
    machine = Machine(
        release=RELEASE,
        read={f"{DIRECTORY}/modules.dep": DEPENDENCIES}.get,
        names_in=lambda path: names if path == "/sys/module" else [],
        open_socket=answers,
    )
    return {one.name: one for one in check_sockets(machine, Modules.of(machine))}


def modules(files: Mapping[str, str], loaded: list[str] | None = None) -> dict[str, Finding]:
    names = loaded or []
    machine = Machine(
        release=RELEASE,
        read=dict(files).get,
        names_in=lambda path: names if path == "/sys/module" else [],
    )
    return {one.name: one for one in check_modules(machine, Modules.of(machine))}


def test_all_of_them() -> None:
    found = sockets(lambda *_: 0)
    assert list(found) == [*PROTOCOLS, "netlink"]
    assert {one.verdict for one in found.values()} == {Verdict.OK}
    assert {one.command for one in found.values()} == {None}


def test_what_is_opened() -> None:
    asked: list[tuple[str, int, int]] = []

    def open_socket(family: str, kind: int, protocol: int) -> int:
        asked.append((family, kind, protocol))
        return 0

    sockets(open_socket)
    # SOCK_RAW is 3, SOCK_DGRAM 2; CAN_RAW, CAN_BCM, CAN_ISOTP, CAN_J1939; NETLINK_ROUTE.
    assert asked == [
        ("AF_CAN", 3, 1),
        ("AF_CAN", 2, 2),
        ("AF_CAN", 2, 6),
        ("AF_CAN", 2, 7),
        ("AF_NETLINK", 3, 0),
    ]


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT])
def test_a_protocol_whose_module_is_not_loaded(number: int) -> None:
    found = sockets(lambda _family, _kind, protocol: number if protocol == 1 else 0)
    assert found["raw sockets"] == Finding(
        "raw sockets",
        Verdict.MISSING,
        "its module can-raw is not loaded",
        "sudo modprobe can-raw && echo can-raw | sudo tee -a /etc/modules-load.d/can.conf",
    )
    assert found["ISO-TP"].verdict is Verdict.OK


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_a_sandbox(number: int) -> None:
    for one in sockets(lambda *_: number).values():
        assert (one.verdict, one.command) == (Verdict.MISSING, None)
        assert "forbids it" in one.found


def test_a_sandbox_that_hides_the_family_although_it_is_there() -> None:
    found = sockets(lambda *_: errno.EAFNOSUPPORT, ["can_raw"])
    assert "RestrictAddressFamilies=" in found["raw sockets"].found
    assert found["raw sockets"].command is None


def test_any_other_error() -> None:
    found = sockets(lambda *_: errno.EMFILE)
    assert found["raw sockets"].found == "opening one failed: Too many open files"
    assert found["netlink"].found.endswith("Too many open files")
    assert {one.verdict for one in found.values()} == {Verdict.MISSING}


def test_elsewhere() -> None:
    machine = Machine(system="Darwin")
    (found,) = check_sockets(machine, Modules.of(machine))
    assert (found.name, found.verdict, found.command) == ("raw sockets", Verdict.MISSING, None)
    assert list(check_modules(machine, Modules.of(machine))) == []


def test_modules_that_are_loaded_when_they_are_needed() -> None:
    found = modules({f"{DIRECTORY}/modules.dep": DEPENDENCIES}, ["vcan"])
    assert found["virtual interfaces"].found == "vcan is loaded"
    for name in ("pairs of virtual interfaces", "serial adapters"):
        assert found[name].verdict is Verdict.OK
        assert found[name].found.endswith("is not loaded: it is when it is first needed")


@pytest.mark.parametrize(("loaded", "verdict"), [(["can_gw"], Verdict.OK), ([], Verdict.WARNING)])
def test_the_gateway_is_not_loaded_by_itself(loaded: list[str], verdict: Verdict) -> None:
    found = modules({f"{DIRECTORY}/modules.dep": DEPENDENCIES}, loaded)["forwarding in the kernel"]
    assert found.verdict is verdict
    assert (found.command or "").startswith("sudo modprobe can-gw") is (verdict is not Verdict.OK)


def test_modules_that_are_not_there() -> None:
    found = modules({f"{DIRECTORY}/modules.dep": "kernel/fs/ext4/ext4.ko:\n"})
    drivers = found.pop("controllers' drivers")
    assert {one.verdict for one in found.values()} == {Verdict.MISSING}
    assert drivers.verdict is Verdict.WARNING
    assert "no driver" in drivers.found


def test_modules_that_cannot_be_seen_are_not_called_missing() -> None:
    assert {one.verdict for one in modules({}).values()} == {Verdict.WARNING}


def test_drivers() -> None:
    files = {f"{DIRECTORY}/modules.dep": DEPENDENCIES + DRIVERS}
    none, two = (modules(files, loaded) for loaded in ([], ["c", "b", "can_dev", "ext4"]))
    assert none["controllers' drivers"].found == (
        "none in use; 10 are loaded with their devices: a, b, c, d, e, f, g, h, …"
    )
    assert two["controllers' drivers"].found == "in use: b, c (of 10)"


def test_drivers_in_the_kernel() -> None:
    files = {f"{DIRECTORY}/modules.builtin": "kernel/drivers/net/can/flexcan/flexcan.ko\n"}
    assert modules(files)["controllers' drivers"].found == "in use: flexcan (of 1)"
