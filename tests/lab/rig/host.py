"""Where kernel tests can run: on this machine's kernel, in the lab, or not at all."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Literal

import attrs

Place = Literal["direct", "lab", "nowhere"]

PACKAGES: Final = (
    "qemu-system-x86",
    "kmod",
    "busybox-static",
    "udev",
    "iproute2",
    "can-utils",
    "linux-image-6.12-amd64",
)
GUEST_VARIABLE: Final = "ANYCAN_LAB_GUEST"
KERNEL_VARIABLE: Final = "ANYCAN_LAB_KERNEL"
REQUIRE_VARIABLE: Final = "ANYCAN_REQUIRE_KERNEL"
_INSTALL: Final = f"apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
_PROGRAMS: Final = ("qemu-system-x86_64", "busybox", "modprobe", "udevadm", "ip")
_MODULES: Final = ("kernel/net/can/can-raw.ko*", "kernel/drivers/net/can/vcan.ko*")
# A boot sector that ends the emulator by writing 1 to its exit port (mov al,1; out 0xf4,al; hlt):
# the emulator's exit status is then 3.
_BOOT_SECTOR: Final = b"\xb0\x01\xe6\xf4\xf4".ljust(510, b"\0") + b"\x55\xaa"
_BOOT_SECTOR_STATUS: Final = 3


@attrs.frozen
class Verdict:
    """Where kernel tests run, and why not elsewhere."""

    place: Place
    reason: str = ""


def in_guest() -> bool:
    """Tell whether this is the inside of a lab."""
    return os.environ.get(GUEST_VARIABLE) == "1"


def judge() -> Verdict:
    """Decide where kernel tests run."""
    if in_guest():
        return Verdict("direct")
    here = "another kernel is asked for" if os.environ.get(KERNEL_VARIABLE) else _direct_problem()
    if here is None:
        return Verdict("direct")
    lab = lab_problem()
    if lab is None:
        return Verdict("lab")
    return Verdict("nowhere", f"no CAN kernel: {here}; and no kernel lab: {lab}")


def _direct_problem() -> str | None:
    """Say why tests cannot run on this kernel; None: they can."""
    family = getattr(socket, "AF_CAN", None)
    if family is None:
        return "this Python has no AF_CAN"
    try:
        socket.socket(family, socket.SOCK_RAW, 1).close()  # 1: CAN_RAW
    except OSError as error:
        return f"a CAN socket cannot be opened ({error.strerror})"
    program = shutil.which("ip")
    if program is None:
        return "the program ip is missing"
    name = f"try{os.getpid()}"
    for command in (f"link add dev {name} type vcan", f"link del dev {name}"):
        done = subprocess.run(  # noqa: S603 - our own words
            [program, *command.split()], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            return f"a vcan cannot be made here ({done.stderr.strip()})"
    return None


def lab_problem() -> str | None:
    """Say what a lab lacks, with the commands that help; None: nothing."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"it needs Linux on x86-64, not {platform.system()} on {platform.machine()}"
    missing = [name for name in _PROGRAMS if shutil.which(name, path=search_path()) is None]
    if missing:
        return f"{', '.join(missing)} missing; as root: {_INSTALL}"
    if importlib.util.find_spec("virtme_ng") is None:
        return "the Python package virtme-ng is missing: pip install virtme-ng"
    wanted = os.environ.get(KERNEL_VARIABLE, "")
    if find_kernel(wanted) is None:
        named = f" {wanted}" if wanted else ""
        return f"no kernel{named} with CAN modules in /boot and /lib/modules; as root: {_INSTALL}"
    return None


def search_path() -> str:
    """Give PATH with the system's own programs, which a user's may lack."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"))


def find_kernel(
    wanted: str = "", modules: Path = Path("/lib/modules"), boot: Path = Path("/boot")
) -> str | None:
    """Give the newest installed kernel release that has CAN.

    Args:
        wanted: How its release begins, such as ``6.1.``; empty: any Debian one.
        modules: The directory of the kernels' modules.
        boot: The directory of the kernels' images.
    """
    releases = [
        directory.name
        for directory in (modules.iterdir() if modules.is_dir() else ())
        if (directory.name.startswith(wanted) if wanted else directory.name.endswith("-amd64"))
        and (boot / f"vmlinuz-{directory.name}").exists()
        and all(any(directory.glob(pattern)) for pattern in _MODULES)
    ]
    return max(releases, key=_release_key, default=None)


def _release_key(release: str) -> list[tuple[int, str]]:
    """Order releases by their numbers: 6.12 is newer than 6.1."""
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.findall(r"\d+|[a-z]+", release)
    ]


def kvm_boots() -> bool:
    """Tell whether hardware virtualisation works: something small really boots by it.

    ``/dev/kvm`` alone says nothing: inside another machine it may be there and not work.
    """
    emulator = shutil.which("qemu-system-x86_64", path=search_path())
    if emulator is None or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.NamedTemporaryFile(prefix="anycan-boot-") as image:
        image.write(_BOOT_SECTOR)
        image.flush()
        command = [
            emulator,
            *("-accel", "kvm", "-m", "16", "-display", "none", "-nodefaults", "-no-reboot"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
            *("-drive", f"format=raw,readonly=on,file={image.name}"),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - our own words
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == _BOOT_SECTOR_STATUS
