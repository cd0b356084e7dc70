"""Counting instructions: valgrind runs the workloads, and its files are read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate.judgement import Count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HERE: Final = Path(__file__).parent
_PATIENCE: Final = 900  # seconds
_KEPT: Final = ("HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPYCACHEPREFIX", "TMPDIR")
_NEEDED: Final = "apt-get install --no-install-recommends valgrind gcc libc6-dev"
_NAME: Final = re.compile(r"^desc: Trigger: Client Request: (\S+)$", re.MULTILINE)
_TOTAL: Final = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class CountingError(Exception):
    """Nothing could be counted; the message says why."""


def missing_programs() -> str:
    """Say what is missing to count instructions here; empty: nothing is."""
    missing = [name for name in ("valgrind", "cc") if shutil.which(name) is None]
    if not missing:
        return ""
    return f"there is no {' and no '.join(missing)} here: {_NEEDED}"


@contextmanager
def counted(
    keys: Sequence[str], planted: Mapping[str, float] | None = None
) -> Iterator[dict[str, tuple[Count, Path]]]:
    """Count workloads.

    Args:
        keys: Which.
        planted: How much work is planted in which, in frames of the reference workload.

    Yields:
        Of each workload what was counted, and where callgrind has written it in detail.

    Raises:
        CountingError: It could not be done.
    """
    missing = missing_programs()
    if missing:
        raise CountingError(missing)
    with tempfile.TemporaryDirectory(prefix="anycan-gate-") as place:
        directory = Path(place)
        library = directory / "instructions.so"
        _run(["cc", "-O2", "-shared", "-fPIC", "-o", library, _HERE / "instructions.c"])
        asked = [f"{key}+{(planted or {}).get(key, 0.0)!r}" for key in keys]
        command: list[str | Path] = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no"]
        command += ["--collect-atstart=no", f"--callgrind-out-file={directory}/callgrind.%p"]
        output = _run([*command, sys.executable, "-m", "gate.counted", library, *asked])
        frames = dict(line.split() for line in output.splitlines())
        yield dict(_read(directory, frames))


def count(keys: Sequence[str], planted: Mapping[str, float] | None = None) -> dict[str, Count]:
    """Count workloads, as :func:`counted`, and give no more than the numbers."""
    with counted(keys, planted) as found:
        return {key: found[key][0] for key in keys}


def _run(command: Sequence[str | Path]) -> str:
    """Run a program, and give what it prints."""
    # With no more of the environment than it needs: coverage is not to be measured in there.
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = [str(_HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment |= {
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "LANG": "C.UTF-8",
    }
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise CountingError(f"{command[0]} took more than {_PATIENCE} seconds") from None
    if done.returncode:
        hint = f"\nWhat it needs: {_NEEDED}" if command[0] == "cc" else ""
        raise CountingError(
            f"{command[0]} ended with status {done.returncode}:\n{done.stderr.strip()}{hint}"
        )
    return done.stdout


def _read(directory: Path, frames: Mapping[str, str]) -> Iterator[tuple[str, tuple[Count, Path]]]:
    for path in directory.glob("callgrind.*"):
        text = path.read_text()
        name, total = _NAME.search(text), _TOTAL.search(text)
        if name and total:  # else it is what callgrind writes at the end of each process
            yield name[1], (Count(int(total[1]), int(frames[name[1]])), path)
