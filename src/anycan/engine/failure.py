"""The errors of system calls: what an engine refuses, it refuses with the kernel's number."""

from __future__ import annotations

from errno import errorcode


def failure(number: int) -> OSError:
    """Make the error that a system call would give; its text is the number's name."""
    return OSError(number, errorcode[number])
