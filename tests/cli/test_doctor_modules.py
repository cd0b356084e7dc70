"""anycan doctor: modules of the kernel, and how to get those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from anycan.cli.doctor_machine import Machine
from anycan.cli.doctor_modules import Modules, ModuleState, Needed, remedy, version_of
from anycan.cli.doctor_place import Place, container_of, distribution_of, installing, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

RELEASE: Final = "6.12.43+deb13-amd64"
RAW: Final = Needed("can-raw", "CONFIG_CAN_RAW", (2, 6))
ISOTP: Final = Needed("can-isotp", "CONFIG_CAN_ISOTP", (5, 10))
DEPENDENCIES: Final = """\
kernel/net/can/can.ko.xz:
kernel/net/can/can-raw.ko.xz: kernel/net/can/can.ko.xz
kernel/net/can/can-isotp.ko: kernel/net/can/can.ko.xz
"""
LOAD: Final = "sudo modprobe can-raw && echo can-raw | sudo tee -a /etc/modules-load.d/can.conf"
NO_MODULES: Final = {f"/lib/modules/{RELEASE}/modules.dep": "kernel/fs/ext4/ext4.ko:\n"}


def machine(
    files: Mapping[str, str] | None = None,
    names: Mapping[str, list[str]] | None = None,
    **known: Any,
) -> Machine:
    directories = dict(names or {})
    return Machine(
        **{"release": RELEASE, "architecture": "x86_64", **known},
        read=dict(files or {}).get,
        names_in=lambda path: directories.get(path, []),
    )


def state(where: Machine, needed: Needed = RAW) -> ModuleState:
    return Modules.of(where).state_of(needed)


def mended(where: Machine, needed: Needed = RAW) -> tuple[str, str | None]:
    return remedy(where, Modules.of(where), needed)


def os_release(text: str) -> dict[str, str]:
    return {"/etc/os-release": text, **NO_MODULES}


def test_a_loaded_module() -> None:
    files = {f"/lib/modules/{RELEASE}/modules.dep": DEPENDENCIES}
    assert state(machine(files, {"/sys/module": ["can", "can_raw"]})) is ModuleState.LOADED
    assert state(machine(names={"/sys/module": ["can_raw"]})) is ModuleState.LOADED


def test_a_module_in_the_kernel() -> None:
    files = {f"/lib/modules/{RELEASE}/modules.builtin": "kernel/net/can/can-raw.ko\n"}
    assert state(machine(files)) is ModuleState.BUILT_IN


@pytest.mark.parametrize("needed", [RAW, ISOTP])
def test_a_module_that_can_be_loaded(needed: Needed) -> None:
    files = {f"/lib/modules/{RELEASE}/modules.dep": DEPENDENCIES}
    assert state(machine(files), needed) is ModuleState.AVAILABLE


def test_a_module_that_is_not_there() -> None:
    assert state(machine(NO_MODULES)) is ModuleState.ABSENT


def test_the_configuration_of_the_kernel_tells_it_too() -> None:
    without = "# CONFIG_CAN is not set\nCONFIG_NET=y\n"
    for path in ("/proc/config.gz", f"/boot/config-{RELEASE}"):
        assert state(machine({path: without})) is ModuleState.ABSENT
        assert state(machine({path: "CONFIG_CAN_RAW=m\n"})) is ModuleState.UNKNOWN
    assert state(machine()) is ModuleState.UNKNOWN


def test_loading() -> None:
    files = {f"/lib/modules/{RELEASE}/modules.dep": DEPENDENCIES}
    assert mended(machine(files)) == ("its module can-raw is not loaded", LOAD)


def test_an_old_kernel() -> None:
    found, command = mended(machine(release="4.19.0-27-amd64"), ISOTP)
    assert (found, command) == ("it came with Linux 5.10: this kernel is older", None)
    assert "older" not in mended(machine(release="5.10.0-33-amd64"), ISOTP)[0]
    assert "older" not in mended(machine(release="strange"), ISOTP)[0]


@pytest.mark.parametrize(
    ("text", "release", "architecture", "package", "command"),
    [
        (
            'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n',
            "6.8.0-64-generic",
            "x86_64",
            "linux-modules-extra-6.8.0-64-generic",
            "sudo apt install linux-modules-extra-6.8.0-64-generic",
        ),
        (
            'ID="rocky"\nID_LIKE="rhel centos fedora"\n',
            "5.14.0-570.el9.x86_64",
            "x86_64",
            "kernel-modules-extra-5.14.0-570.el9.x86_64",
            "sudo dnf install kernel-modules-extra-5.14.0-570.el9.x86_64",
        ),
        (
            "ID=debian\n",
            "6.12.43+deb13-cloud-arm64",
            "aarch64",
            "linux-image-arm64, the kernel that is not for clouds, to be started then,",
            "sudo apt install linux-image-arm64",
        ),
    ],
)
def test_what_a_distribution_has_in_a_package_of_its_own(
    text: str, release: str, architecture: str, package: str, command: str
) -> None:
    files = {"/etc/os-release": text, f"/lib/modules/{release}/modules.dep": "a/b.ko:\n"}
    assert mended(machine(files, release=release, architecture=architecture)) == (
        f"there is no module can-raw: package {package} has it",
        command,
    )


@pytest.mark.parametrize("text", ["ID=debian\n", "ID=gentoo\n", ""])
def test_a_kernel_without_it(text: str) -> None:
    assert mended(machine(os_release(text))) == (
        "this kernel has no module can-raw (CONFIG_CAN_RAW): use another kernel",
        None,
    )


def test_modules_that_an_update_has_taken_away() -> None:
    updated = machine({"/etc/os-release": "ID=arch\n"}, {"/lib/modules": ["6.16.0-arch1-1"]})
    assert mended(updated) == (
        "the running kernel's modules are gone, as after an update: reboot",
        "sudo reboot",
    )
    built = {"/proc/config.gz": "# CONFIG_CAN is not set\n"}
    assert mended(machine(built, {"/lib/modules": ["6.16.0-arch1-1"]}))[1] is None


CONTAINER: Final = {"/": ["usr", ".dockerenv"]}


def test_in_a_container_the_host_has_to_load_it() -> None:
    command = f"{LOAD}  # on the host"
    found = "the kernel is the host's, and can-raw has to be loaded there"
    assert mended(machine(names=CONTAINER)) == (found, command)
    files = {f"/lib/modules/{RELEASE}/modules.dep": DEPENDENCIES}
    assert mended(machine(files, CONTAINER)) == ("its module can-raw is not loaded", command)


def test_in_a_container_on_a_kernel_without_it() -> None:
    without = {"/proc/config.gz": "# CONFIG_CAN is not set\n"}
    assert mended(machine(without, CONTAINER)) == (
        "the host's kernel was built without it (CONFIG_CAN_RAW)",
        None,
    )


def test_in_wsl() -> None:
    files = {"/proc/version": "Linux version 6.6.87.2-microsoft-standard-WSL2 (root@x)\n"}
    found, command = mended(machine(files, release="6.6.87.2-microsoft-standard-WSL2"))
    assert "CONFIG_CAN_RAW" in found
    assert ".wslconfig" in found
    assert command == "wsl --update; wsl --shutdown  # in Windows, in PowerShell"


def test_in_wsl_1() -> None:
    files = {"/proc/version": "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)\n"}
    found, command = mended(
        machine(files, release="4.4.0-19041-Microsoft", environment={"WSL_DISTRO_NAME": "Ubuntu"})
    )
    assert found == "WSL 1 has no kernel of Linux: use WSL 2"
    assert command == "wsl --set-version Ubuntu 2  # in Windows, in PowerShell"


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        (machine(), None),
        (machine(names={"/run": [".containerenv"]}), "Podman"),
        (machine(names={"/": [".dockerenv"]}), "Docker"),
        (machine({"/run/systemd/container": "lxc\n"}), "lxc"),
        (machine({"/run/systemd/container": "\n"}), "unknown"),
        (machine(environment={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}), "Kubernetes"),
    ],
)
def test_containers(where: Machine, kind: str | None) -> None:
    assert container_of(where) == kind
    assert place_of(where) is (Place.MACHINE if kind is None else Place.CONTAINER)


def test_elsewhere() -> None:
    assert place_of(machine(system="Darwin", names={"/": [".dockerenv"]})) is Place.ELSEWHERE


def test_a_distribution_and_those_that_it_is_like() -> None:
    text = 'PRETTY_NAME="ID=x"\nID=\'mint\'\nID_LIKE="Ubuntu debian"\nVERSION_ID="22"\n'
    assert distribution_of(machine(os_release(text))) == {"mint", "ubuntu", "debian"}
    assert distribution_of(machine()) == frozenset()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("ID=debian", "sudo apt install one"),
        ("ID=fedora", "sudo dnf install two"),
        ("ID=arch", None),
        ("ID=alpine", None),
        ("", None),
    ],
)
def test_installing(text: str, command: str | None) -> None:
    assert installing(machine(os_release(text)), {"apt": "one", "dnf": "two"}) == command


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.12.43+deb13-amd64", (6, 12)),
        ("5.10", (5, 10)),
        ("6.18-rc1", (6, 18)),
        ("", (0, 0)),
        ("x6.1", (0, 0)),
    ],
)
def test_versions(release: str, version: tuple[int, int]) -> None:
    assert version_of(release) == version
