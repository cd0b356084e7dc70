"""The gate: instruction counts of the paths that frames take most, against a baseline.

``python tests/benchmarks gate --help`` says how it is used.
"""

from gate.command import main

__all__ = ["main"]
