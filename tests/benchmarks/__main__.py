"""The command of the benchmarks: ``python tests/benchmarks --help``."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1] / "lab"))  # the test rig, which finds the kernel

from suite.command import main

sys.exit(main(sys.argv[1:]))
