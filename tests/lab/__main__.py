"""Run any command on a real CAN kernel, in the kernel lab.

    python tests/lab candump -h
    python tests/lab pytest tests/benchmarks -s
    python tests/lab bash -c 'ip link add dev vcan0 type vcan; ip -details link show'

The guest is a Debian kernel in an emulator over this machine's file system: same paths, same
virtual environment, same working directory. The command runs as root, its output is streamed, its
exit status returned. can0 and can1 are two controllers on one bus, down and unconfigured. Nothing
that it writes comes back, unless --rw is given. ANYCAN_LAB_KERNEL=6.1. picks another installed
kernel.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from rig.host import lab_problem
from rig.launch import lab_command, lab_environment


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/lab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rw", action="store_true", help="let the guest write to this machine")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("which command?")
    problem = lab_problem()
    if problem is not None:
        parser.exit(2, f"no kernel lab: {problem}\n")
    with tempfile.TemporaryDirectory(prefix="anycan-lab-") as directory:
        return _run(lab_command(arguments.command, Path(directory), writable=arguments.rw))


def _run(command: list[str]) -> int:
    # The emulator opens its outputs anew: through a pipe it cannot truncate a file.
    output = subprocess.Popen(["cat"], stdin=subprocess.PIPE)  # noqa: S607 - wherever it is
    errors = subprocess.Popen(
        ["cat"],  # noqa: S607 - wherever it is
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
    )
    process = subprocess.Popen(  # noqa: S603 - the user's own words
        command,
        env=lab_environment(),
        stdin=subprocess.PIPE,  # open as long as the guest shall live
        stdout=output.stdin,
        stderr=errors.stdin,
        start_new_session=True,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        for copier in (output, errors):
            copier.communicate()


if __name__ == "__main__":
    sys.exit(main())
