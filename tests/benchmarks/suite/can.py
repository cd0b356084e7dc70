"""What the cases on an interface share: a vcan, a plain sender, programs in C, event loops."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio._backends._asyncio  # here, and not by each measurement anew; trio's below

from suite.case import NotHereError

_MISSING: Final[set[str]] = set()  # event loops of the extra benchmark that are not installed
try:
    import anyio._backends._trio
except ImportError:
    _MISSING.add("trio")
try:
    import uvloop
except ImportError:
    _MISSING.add("uvloop")

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOM: Final = 64 << 20
BACKENDS: Final = ("asyncio", "uvloop", "trio")
RATE_SCALE: Final = float(os.environ.get("ANYCAN_BENCHMARK_SCALE", "1"))
FULL_BUS: Final = 9000
"""Frames a second of a full classical bus of 1 Mbit/s: 8 bytes of data, 11 bits, bit stuffing."""

SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h
SO_RXQ_OVFL: Final = 40
SO_RCVBUFFORCE: Final = 33

plain_frame: Final = struct.pack("=IBxxB8s", 0x123, 8, 0, b"\1\2\3\4\5\6\7\x08")
ResultT = TypeVar("ResultT")


def processors() -> tuple[int, ...]:
    """Give the processors that this process may run on, the lowest first.

    Where the system does not tell (macOS), all of them.
    """
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


@contextmanager
def vcan(*names: str) -> Iterator[None]:
    """Have virtual interfaces, up, as long as it lasts."""
    made: list[str] = []
    try:
        for name in names:
            subprocess.run(["ip", "link", "add", "dev", name, "type", "vcan"], check=True)
            made.append(name)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield
    finally:
        for name in made:
            # Where one cannot be removed (ip says why), the others are all the same.
            subprocess.run(["ip", "link", "del", name], check=False)


def sender(interface: str) -> socket.socket:
    """Open a plain blocking socket that only sends."""
    plain = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    plain.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
    plain.bind((interface,))
    return plain


def queue_frames(interface: str, count: int) -> None:
    """Send what receivers are to find waiting."""
    with sender(interface) as plain:
        for _ in range(count):
            plain.send(plain_frame)


def ask(
    function: Callable[..., Awaitable[ResultT]], backend: str = "asyncio", *arguments: Any
) -> ResultT:
    """Run an async function on an event loop.

    Raises:
        NotHereError: The event loop is not installed.
    """
    if backend in _MISSING:
        raise NotHereError(f"{backend} is not installed")
    if backend == "uvloop":
        options: dict[str, Any] = {"loop_factory": uvloop.new_event_loop}
        return anyio.run(function, *arguments, backend_options=options)
    return anyio.run(function, *arguments, backend=backend)


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="anycan-benchmarks-")


@cache
def build(name: str) -> Path:
    """Compile one of the programs in C that stand in ``native``, and give where it is.

    Raises:
        NotHereError: There is no compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotHereError("a C compiler (cc) is not installed")
    program = Path(_directory().name, name)
    source = Path(__file__).parents[1] / "native" / f"{name}.c"
    subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-o", program, source], check=True)
    return program
