"""``anycan gateway check``: what is wrong in files of rules."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations

from anycan import GatewayFileError, load_gateway_file
from anycan.cli.common import UsageError, counted, emit, say


def check(*file: Path) -> int:
    """Tell what is wrong in files of rules, each mistake as FILE:LINE: message.

    Nothing is opened, and no interface has to be there. The functions that a file names are
    imported. The exit status is 0 when all files are right, else 1.

    Args:
        file: The files.
    """
    if not file:
        raise UsageError("say which files to check")
    status = 0
    for path in file:
        try:
            found = load_gateway_file(path)
        except GatewayFileError as error:
            emit("".join(f"{mistake}\n" for mistake in mistakes_of(error)))
            status = 1
        except OSError as error:
            say(f"{path}: {error.strerror}")
            status = 1
        else:
            emit(f"{path}: {counted(len(found.rules), 'rule')}\n")
    return status


def mistakes_of(error: GatewayFileError) -> list[str]:
    """Give all that is wrong in a file: the first mistake, and those that are its notes."""
    return [str(error), *getattr(error, "__notes__", ())]
