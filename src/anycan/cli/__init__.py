"""The ``anycan`` command. It imports public names of :mod:`anycan` only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = ("cyclopts", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words behind the command's name; None: those of this process.

    Returns:
        The exit status: 0; 1 for an error, told in one line on standard error; 2 for a wrong
        command line; 130 after Ctrl-C and 141 after a broken pipe, as a shell shows a process that
        such a signal has ended.
    """
    try:
        from anycan.cli.app import run  # noqa: PLC0415 - the extra may be missing, to be told below
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            "anycan: the command line is an extra, which is not installed:"
            " pip install 'anycan[cli]'\n"
        )
        return 1
    return run(arguments)
