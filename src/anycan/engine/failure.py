"""The errors of system calls: what an engine refuses, it refuses with the kernel's number."""

from __future__ import annotations

import os


def failure(number: int) -> OSError:
    """Make the error that a system call would give."""
    return OSError(number, os.strerror(number))
