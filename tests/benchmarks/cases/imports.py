"""What it takes to import: a fresh process each time."""

from __future__ import annotations

import importlib.util
import resource
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Callable

    from suite.case import Measured

_PROCESSES: Final = 7  # a round is their median


def _processor() -> float:
    """Give the processor time of all children that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times() counts by 10 ms
    return used.ru_utime + used.ru_stime


def _measure_command(command: list[str]) -> Measured:
    """Run a command some times, each in a process of its own."""
    found: dict[str, list[float]] = {"processor": [], "wall": []}
    for _ in range(_PROCESSES):
        processor, wall = _processor(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found["wall"].append((time.perf_counter() - wall) * 1000)
        found["processor"].append((_processor() - processor) * 1000)
    return {key: statistics.median(values) for key, values in found.items()}


def _measure(program: str, package: str | None = None) -> Callable[[], Measured]:
    """Give a measurement of a program, if a package is there."""

    def measure() -> Measured:
        if package is not None and importlib.util.find_spec(package) is None:
            raise NotHereError(f"{package} is not installed")
        return _measure_command([sys.executable, "-c", program])

    return measure


def _measure_version() -> Measured:
    command = Path(sys.executable).with_name("anycan")
    if not command.exists() or importlib.util.find_spec("cyclopts") is None:
        raise NotHereError("the command is not installed (the extra cli)")
    return _measure_command([str(command), "--version"])


def _touch(name: str, before: str) -> Measured:
    """Ask anycan for a name, in fresh processes that have done something else before."""
    program = (
        f"import time; {before}; start = time.process_time_ns(); anycan.{name};"
        " print(time.process_time_ns() - start)"
    )
    command = [sys.executable, "-c", program]
    found = [int(subprocess.check_output(command)) / 1e6 for _ in range(_PROCESSES)]
    return {"processor": statistics.median(found)}


def _touches() -> Case:
    after_raw = "import anycan; from anycan import open_raw"
    return Case(
        key="touches",
        title="A name that is asked for first",
        explanation=(
            "What a name of anycan's needs is imported when it is first asked for, and takes as"
            " long there: in a program that has imported anycan alone, and in one that has open_raw"
            f" already. Processor time of that alone, the median of {_PROCESSES} processes in each"
            " round."
        ),
        metrics=(Metric("processor", "processor, ms"),),
        contenders=(
            Contender(
                "anycan_open_raw",
                "anycan.open_raw, after import anycan",
                partial(_touch, "open_raw", "import anycan"),
            ),
            *(
                Contender(
                    f"anycan_{name}",
                    f"anycan.{name}, after from anycan import open_raw",
                    partial(_touch, name, after_raw),
                )
                for name in ("open_isotp", "open_bcm", "Router")
            ),
        ),
        reference="anycan_open_raw",
        place="anywhere",
    )


def cases() -> list[Case]:
    """Give the cases."""
    return [
        Case(
            key="imports",
            title="Import",
            explanation=(
                "The processor time, and the time on the clock, of a Python that starts, imports"
                f" and ends; the median of {_PROCESSES} processes in each round. What a name of"
                " anycan's needs is imported when it is first asked for. So the bound is on import"
                " anycan alone; what a program pays that opens raw endpoints stands in the row"
                " below it."
            ),
            metrics=(
                Metric("processor", "processor, ms"),
                Metric("wall", "wall, ms"),
            ),
            contenders=(
                Contender("pass", "pass", _measure("pass")),
                Contender("anyio", "import anyio", _measure("import anyio")),
                Contender("anycan", "import anycan", _measure("import anycan")),
                Contender(
                    "anycan_open_raw",
                    "import anycan; anycan.open_raw",
                    _measure("import anycan; anycan.open_raw"),
                ),
                Contender("anycan_version", "anycan --version", _measure_version),
                Contender("python_can", "import can", _measure("import can", "can")),
            ),
            reference="anyio",
            bounds=(Bound("anycan", "processor", most=1.0, reference="anyio", plus=15.0),),
            place="anywhere",
        ),
        _touches(),
    ]
