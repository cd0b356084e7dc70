"""A program that sends to what is measured, from a process and a processor of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def program_beside(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Have a Python program ready, on another processor where there is one.

    The kernel hands on a virtual interface's frames where they are sent: there the program's
    processor does it, and not that of what is measured. It prints "ready", and waits for a line.

    Args:
        *arguments: Its file, and what else stands on its command line.
    """
    ours, *others = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            os.sched_setaffinity(process.pid, others or {ours})
            os.sched_setaffinity(0, {ours})
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
            process.wait(60)
        finally:
            process.kill()


def let_begin(process: subprocess.Popen[str]) -> None:
    """Give it the line that it waits for."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
