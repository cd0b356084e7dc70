"""``python -m gate``, for ``python tests/benchmarks gate``."""

import sys

from gate.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
