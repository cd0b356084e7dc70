"""Where a workload's time goes: a flame graph, by py-spy, of the workloads that the gate counts.

python tests/benchmarks flame receive_many receive_many.svg
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from gate.meter import Meter, NoCounter
from gate.workloads import all_workloads

_HERE: Final = Path(__file__).parents[1]
_RATE: Final = 500  # samples a second
_READY: Final = "ready"


def main(arguments: list[str]) -> int:
    """Run a workload again and again, and draw where its time goes."""
    known = all_workloads()
    parser = argparse.ArgumentParser(prog="python tests/benchmarks flame", description=__doc__)
    parser.add_argument("workload", choices=sorted(known))
    parser.add_argument("output", type=Path, nargs="?", help="the SVG; none: only run it")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long; default 8")
    options = parser.parse_args(arguments)
    if options.output is None:
        return _run(options.workload, options.seconds)
    sampler = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy"
    program = [sys.executable, str(_HERE), "flame", options.workload]
    program += ["--seconds", str(3 * options.seconds)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == _READY
        command = [sampler, "record", "--pid", str(process.pid), "--rate", str(_RATE)]
        command += ["--duration", f"{options.seconds:.0f}", "--function"]
        done = subprocess.run([*command, "--output", options.output], check=False)
        process.kill()
    if done.returncode == 0:
        # The sampler's title is its own command line.
        title = rf"\g<1>{known[options.workload].title}"
        drawn = options.output.read_text()
        options.output.write_text(re.sub(r'(<text id="title"[^>]*>)[^<]*', title, drawn))
    return done.returncode


def _run(key: str, seconds: float) -> int:
    workload = all_workloads()[key]
    workload.run(Meter(NoCounter()))  # it warms up
    print(_READY, flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        workload.run(Meter(NoCounter()))
    return 0
