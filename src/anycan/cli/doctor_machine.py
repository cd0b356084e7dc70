"""What the checks of ``anycan doctor`` ask a machine."""

from __future__ import annotations

import errno
import gzip
import os
import platform
import shutil
import socket
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from anycan import CanError, ServedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


@attrs.frozen(kw_only=True)
class Machine:
    """A machine: what is known of it, and ways to ask for more, none of which raises.

    What is left out is not there.

    Attributes:
        system: The operating system: ``"Linux"``, ``"Darwin"``, ``"Windows"``.
        release: The kernel's release, such as ``"6.12.43+deb13-amd64"``.
        architecture: The processor's, such as ``"x86_64"``.
        python: Python, such as ``"CPython 3.13.5"``.
        environment: The environment variables.
        file_limit: How many files this process may have open; None: unknown.
        read: Give the text in a file, also in one compressed by gzip; None: it cannot be read.
        names_in: Give the names in a directory; none: it cannot be read.
        open_socket: Open a socket, by the name of its family, and its type and protocol; give 0, or
            the number of the error. This loads the module of the protocol, on many systems.
        find_program: Give where a program is; None: nowhere.
        version_of: Give the version of a Python package; None: it is not installed.
        connect: Connect to a network that is served at a path; give why that fails, or nothing.
    """

    system: str = "Linux"
    release: str = ""
    architecture: str = ""
    python: str = ""
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    file_limit: int | None = None
    read: Callable[[str], str | None] = lambda _path: None
    names_in: Callable[[str], Collection[str]] = lambda _path: ()
    open_socket: Callable[[str, int, int], int] = lambda *_: errno.EAFNOSUPPORT
    find_program: Callable[[str], str | None] = lambda _name: None
    version_of: Callable[[str], str | None] = lambda _package: None
    connect: Callable[[str], str] = lambda _path: "no network is served there"

    @property
    def is_linux(self) -> bool:
        """Whether it runs Linux."""
        return self.system == "Linux"


def this_machine() -> Machine:
    """Give the machine that this runs on."""
    return Machine(
        system=platform.system(),
        release=platform.release(),
        architecture=platform.machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        environment=os.environ,
        file_limit=_file_limit(),
        read=_read,
        names_in=_names_in,
        open_socket=_open_socket,
        find_program=shutil.which,
        version_of=_version_of,
        connect=_connect,
    )


def _read(path: str) -> str | None:
    try:
        content = Path(path).read_bytes()
        if path.endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError):
        return None
    return content.decode(errors="replace")


def _names_in(path: str) -> Collection[str]:
    try:
        return [entry.name for entry in Path(path).iterdir()]
    except OSError:
        return ()


def _open_socket(family: str, kind: int, protocol: int) -> int:
    number = getattr(socket, family, None)  # macOS has no AF_CAN
    if number is None:
        return errno.EAFNOSUPPORT
    try:
        socket.socket(number, kind, protocol).close()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _connect(path: str) -> str:
    try:
        ServedNetwork(path).close()
    except CanError as error:
        return f"{error}"
    return ""


def _file_limit() -> int | None:
    try:
        import resource  # noqa: PLC0415 - Windows has no such module
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit
