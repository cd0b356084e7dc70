"""``python -m anycan.cli``: the ``anycan`` command where it is not on the path."""

from __future__ import annotations

import sys

from anycan.cli import main

if __name__ == "__main__":
    sys.exit(main())
