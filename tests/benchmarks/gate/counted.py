"""The process that valgrind runs: it counts each workload in a process forked for it.

Its arguments are the library that ``instructions.c`` was compiled to, and of each workload its key
and how much work is planted in it: ``decode+0.1``. It prints how many frames each has counted.
"""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from typing import TYPE_CHECKING

from gate.meter import Meter
from gate.plant import plant
from gate.workloads import all_workloads

if TYPE_CHECKING:
    from gate.meter import Workload


class Callgrind:
    """Counts instructions by callgrind.

    Args:
        library: What ``instructions.c`` was compiled to.
    """

    def __init__(self, library: ctypes.PyDLL) -> None:
        self.begin = library.begin
        self.start = self.stop = library.toggle


def main(arguments: list[str]) -> int:
    """Count workloads."""
    library = ctypes.PyDLL(arguments[0])
    if not library.counted():
        print("this is for valgrind to run: python tests/benchmarks gate", file=sys.stderr)
        return 2
    known = all_workloads()
    for argument in arguments[1:]:
        key, _, work = argument.partition("+")
        child = os.fork()
        if not child:
            _count(known[key], float(work), library)
        _, status = os.waitpid(child, 0)
        if status:
            print(f"{key} failed", file=sys.stderr)
            return 1
    return 0


def _count(workload: Workload, work: float, library: ctypes.PyDLL) -> None:
    """Count one workload, and end the process."""
    status = 1
    try:
        if work:
            plant(workload, work)
        meter = Meter(Callgrind(library))
        workload.run(meter)
        library.write_down(workload.key.encode())
        print(workload.key, meter.frames, flush=True)
        status = 0
    except BaseException:  # noqa: BLE001 - this process ends here, whatever it is
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
