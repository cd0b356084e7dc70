"""The ``anycan`` command. It imports public names of :mod:`anycan` only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = ("cyclopts", "rich")
_INTERRUPTED = 130  # 128 + SIGINT


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

        return run(arguments)
    except KeyboardInterrupt:  # while something is imported, too
        return _INTERRUPTED
    except ImportError as error:
        if not _is_the_extra(error):
            raise
        sys.stderr.write(
            "anycan: the command line is an extra, which is not installed:"
            " pip install 'anycan[cli]'\n"
        )
        return 1


def _is_the_extra(error: ImportError) -> bool:
    """Tell whether what is missing is a package of the extra."""
    cause = error.__cause__  # a command's import is wrapped by cyclopts
    missing = cause if isinstance(cause, ModuleNotFoundError) else error
    return missing.name is not None and missing.name.partition(".")[0] in _EXTRA
