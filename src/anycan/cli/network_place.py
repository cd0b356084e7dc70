"""Where a network is served unless told otherwise: a file that other users cannot put there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anycan import CanError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME: Final = "unix:"
_NAME: Final = "anycan.sock"
_TEMPORARY: Final = Path("/tmp")  # noqa: S108 - what is made there is made for this user alone


def served_path(given: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """Give the path of the network that is meant, for whoever connects to one.

    Args:
        given: What was named; None: what ``ANYCAN_NETWORK`` names, else the default.
        environment: The environment variables.

    Raises:
        CanError: The default is where somebody else may have put something.
    """
    if given is not None:
        return str(given)
    named = environment.get("ANYCAN_NETWORK", "")
    if named.startswith(SCHEME) and named != SCHEME:
        return named.removeprefix(SCHEME)
    return default_path(environment)


def default_path(
    environment: Mapping[str, str] = os.environ,
    *,
    make: bool = False,
    temporary: Path = _TEMPORARY,
) -> str:
    """Give the path that a network of this user is served at.

    It is in the directory that ``XDG_RUNTIME_DIR`` names, if that is this user's alone; else in
    ``/tmp/anycan-UID``.

    Args:
        environment: The environment variables.
        make: Make the directory, if it is not there.
        temporary: Where everybody may make files.

    Raises:
        CanError: The directory is not this user's alone.
        OSError: It cannot be made.
    """
    runtime = Path(environment.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and _is_private(runtime):
        return str(runtime / _NAME)
    directory = temporary / f"anycan-{os.geteuid()}"
    if make:
        directory.mkdir(mode=0o700, exist_ok=True)
    if os.path.lexists(directory) and not _is_private(directory):
        raise CanError(
            f"{directory} is not this user's alone: somebody else may have made it; name a --path"
            " elsewhere"
        )
    return str(directory / _NAME)


def _is_private(directory: Path) -> bool:
    """Tell whether a directory is this user's, and nobody else can make files there."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )
