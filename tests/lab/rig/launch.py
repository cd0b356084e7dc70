"""The command line of a lab: a Debian kernel in an emulator, over this machine's file system.

Every file is where it is outside, read-only; ``/tmp`` takes writes and forgets them. The virtual
environment, the interpreter and the checkout are mounted once more through a cache, which makes
Python start in a third of the time.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rig.host import GUEST_VARIABLE, KERNEL_VARIABLE, find_kernel, kvm_boots, search_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).resolve().parents[3]
_MODULES: Final = (
    *("can", "can-raw", "can-bcm", "can-isotp", "can-j1939", "can-gw", "vcan", "vxcan"),
    *("sch_netem", "kvaser_pci"),
)
# Two SJA1000 controllers on one bus: can0 and can1.
_CONTROLLERS: Final = "-object can-bus,id=cb" + 2 * " -device kvaser_pci,canbus=cb"
_CACHED: Final = (
    "-fsdev local,id=cached,path=/,security_model=none,multidevs=remap,readonly=on"
    " -device virtio-9p-pci,fsdev=cached,mount_tag=cached"
)
# Drivers that udev would load for devices no test uses: they cost seconds under emulation.
_UNUSED_DRIVERS: Final = (
    *("ahci", "bochs", "e1000e", "i2c_i801", "iTCO_wdt", "kvm_amd", "kvm_intel", "lpc_ich"),
    *("pcspkr", "powernow_k8", "psmouse", "sr_mod", "virtio_balloon"),
)
# Interfaces are removed in a fifth of the time when the kernel hurries its grace periods.
_HASTE: Final = (
    "echo 1 >/sys/kernel/rcu_expedited",
    "for name in first next; do",
    "    echo 0 >/sys/module/rcutree/parameters/jiffies_till_${name}_fqs",
    "done",
)
# What the program vng does; its module run by -m would lose the exit status.
_VNG: Final = "import sys; from virtme_ng.run import main; sys.exit(main())"
# Variables that are about the outer process alone.
_OUTER_VARIABLES: Final = (
    *("COVERAGE_FILE", "COVERAGE_PROCESS_START", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST"),
    "PYTHONPATH",
)


def lab_command(
    command: Sequence[str],
    directory: Path,
    *,
    console: bool = False,
    writable: bool = False,
    processors: int = 2,
) -> list[str]:
    """Give the command line that boots a lab and runs a command in it.

    Args:
        command: What to run, in this working directory and environment.
        directory: Where to put the guest's first script.
        console: The kernel's messages come on the standard error stream.
        writable: The guest writes to this machine's file system. It is root there.
        processors: How many the guest has.
    """
    release = find_kernel(os.environ.get(KERNEL_VARIABLE, ""))
    if release is None:
        raise RuntimeError("no kernel for the lab: ask lab_problem() first")
    script = directory / "guest.sh"
    script.write_text(guest_script(command, cached=not writable))
    acceleration = ("--disable-microvm",) if kvm_boots() else ("--disable-kvm",)
    options = [
        *acceleration,
        *("--force-9p", "--run", release, "--memory", "2G", "--cpus", str(processors)),
        *("--append", "modprobe.blacklist=" + ",".join(_UNUSED_DRIVERS)),
        f"--qemu-opts={_CONTROLLERS} {_CACHED}",
    ]
    if console:
        options.append("--verbose")
    if writable:
        options.append("--rw")
    first = f"bash {shlex.quote(str(script))}"
    return [sys.executable, "-c", _VNG, *options, "--", first]


def lab_environment() -> dict[str, str]:
    """Give the environment to start a lab in: its programs must find each other."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{search_path()}"}


def guest_script(command: Sequence[str], *, cached: bool = True) -> str:
    """Give the script that makes the guest ready and becomes the command."""
    lines = [
        "# The guest lives as long as its standard input is open: it cannot outlast its user.",
        "# (Without '<&0' a command in the background reads /dev/null.)",
        "(cat >/dev/null; busybox poweroff -f) <&0 &",
        f"modprobe -aq {' '.join(_MODULES)}",
        *_HASTE,
        *(_cache_lines() if cached else ()),
        *(f"export {name}={shlex.quote(value)}" for name, value in _guest_environment()),
        f"cd {shlex.quote(str(Path.cwd()))}",
        f"exec {shlex.join(command)} </dev/null",
    ]
    return "\n".join(lines) + "\n"


def _cache_lines() -> Iterable[str]:
    mount = "/run/cached"
    yield f"mkdir {mount}"
    yield (
        "mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose"
        f" cached {mount} || true"
    )
    for path in sorted({str(ROOT), sys.prefix, sys.base_prefix, "/usr"}):
        quoted = shlex.quote(path)
        yield f"mount --bind {mount}{quoted} {quoted} || true"


def _guest_environment() -> Iterable[tuple[str, str]]:
    environment = {
        name: value
        for name, value in lab_environment().items()
        if name.isidentifier() and name not in _OUTER_VARIABLES
    }
    environment |= {
        GUEST_VARIABLE: "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",  # noqa: S108 - the guest's alone
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/tmp",  # noqa: S108 - the only place the guest can write to
    }
    return environment.items()
