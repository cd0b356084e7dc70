"""Where a workload's instructions are, and its calls."""

from __future__ import annotations

import cProfile
import io
import pstats
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from gate.counting import counted
from gate.meter import Meter

if TYPE_CHECKING:
    from pathlib import Path

    from gate.meter import Workload

_SHOWN: Final = 25
_LINE: Final = re.compile(r"^\s*([\d,]+) \(\s*([\d.]+)%\)\s+(\S+) ")


class _Profile:
    """Counts calls."""

    def __init__(self) -> None:
        self.profile = cProfile.Profile()
        self.start = self.profile.enable
        self.stop = self.profile.disable

    def begin(self) -> None:
        """Get ready."""


def profile(workload: Workload) -> str:
    """Give two tables: functions in Python by their calls and time, in C by their instructions.

    Raises:
        CountingError: The instructions could not be counted.
    """
    counter = _Profile()
    meter = Meter(counter)
    workload.run(meter)
    text = io.StringIO()
    statistics = pstats.Stats(counter.profile, stream=text)
    statistics.strip_dirs().sort_stats("tottime").print_stats(_SHOWN)
    calls = "\n".join(line for line in text.getvalue().splitlines() if line.strip())
    with counted([workload.key]) as found:
        count, path = found[workload.key]
        functions = _functions(path, count.frames)
    return (
        f"{workload.title}: {meter.frames} frames, {count.each:,.0f} instructions each\n\n"
        f"Functions in Python, by the time in each (cProfile, without valgrind)\n\n{calls}\n\n"
        f"Functions in C, by instructions a frame (callgrind)\n\n{functions}"
    )


def _functions(path: Path, frames: int) -> str:
    """Give the functions in C that most instructions are of."""
    program = shutil.which("callgrind_annotate")
    if program is None:
        return "callgrind_annotate, which comes with valgrind, is not here."
    output = subprocess.run(
        [program, "--auto=no", "--threshold=95", path], capture_output=True, text=True, check=True
    ).stdout
    lines = []
    for line in output.splitlines():
        found = _LINE.match(line)
        if found and found[3] != "PROGRAM":
            each = int(found[1].replace(",", "")) / frames
            _, _, name = found[3].rpartition(":")
            lines.append(f"{each:9,.0f}  {found[2]:>5} %  {name}")
    return "\n".join(lines[:_SHOWN])
