"""An slcan adapter that a test plays, on a pseudo terminal."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import threading
import time
import tty
from typing import TYPE_CHECKING

import anyio
import pytest

from clock import manual_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anycan import UserNetwork
    from clock import ManualClock

_FULL = 4095  # drivers/tty/n_tty.c: N_TTY_BUF_SIZE, less one
HELLO = b"\r\rC\r"
OPENING = HELLO + b"V\rN\rS6\rZ1\rO\rF\r"
ANSWERS = b"\rV1013\rN4242\r\r\r\rF00\r"


class PlayedAdapter:
    """The other end of an adapter's serial line.

    Args:
        path: Where the line is to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: list[int] = []
        self.plug()

    def plug(self) -> None:
        """Be there."""
        self._ends = list(os.openpty())
        tty.setraw(self._ends[1])
        os.set_blocking(self._ends[0], False)
        self.path.symlink_to(os.ttyname(self._ends[1]))

    def unplug(self) -> None:
        """Be gone."""
        if self._ends:
            self.path.unlink()
        for end in self._ends:
            os.close(end)
        self._ends = []

    def tell(self, data: bytes) -> None:
        """Send."""
        assert os.write(self._ends[0], data) == len(data)

    async def hear(self, expected: bytes) -> None:
        """Wait for bytes, and see to it that they are what was expected."""
        heard = b""
        with anyio.fail_after(10):
            while len(heard) < len(expected):
                await anyio.wait_readable(self._ends[0])
                heard += os.read(self._ends[0], len(expected) - len(heard))
        assert heard == expected

    async def hear_up_to(self, end: bytes) -> bytes:
        """Wait for bytes that end so, and give all."""
        heard = b""
        with anyio.fail_after(10):
            while not heard.endswith(end):
                await anyio.wait_readable(self._ends[0])
                heard += os.read(self._ends[0], 4096)
        return heard

    async def open(self) -> None:
        """Be opened, and answer."""
        await self.open_with(OPENING, ANSWERS)

    async def open_with(self, commands: bytes, answers: bytes) -> None:
        """Be opened by commands, and answer them one after the other."""
        await self.hear(HELLO)
        self.tell(answers)
        await self.hear(commands.removeprefix(HELLO))

    def hold_up(self) -> int:
        """Have the line take no more; give how many bytes wait for :meth:`hear` then."""
        end = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        count = 0
        try:
            # The kernel passes it on in the background, which makes room, until this end is full;
            # when it is through with that, nothing tells.
            full = 0
            while full < 10:
                put = _put(end)
                count += put
                full = 0 if put or self._waiting() < _FULL else full + 1
                time.sleep(0.001 * bool(full))
        finally:
            os.close(end)
        return count

    def _waiting(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._ends[0], termios.FIONREAD, bytes(4)), sys.byteorder)


def _put(end: int) -> int:
    try:
        return os.write(end, bytes(100))
    except BlockingIOError:
        return 0


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[PlayedAdapter]:
    adapter = PlayedAdapter(tmp_path / "ttyACM0")
    yield adapter
    adapter.unplug()
    for thread in threading.enumerate():
        if thread.name.startswith("anycan closes"):
            thread.join(10)


class Bench:
    """A user network whose time stands still until it is moved."""

    def __init__(self, network: UserNetwork, clock: ManualClock) -> None:
        self.network = network
        self.clock = clock

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        timers = self.network._stack.timers
        self.clock.advance_to(self.clock.now() + round(seconds * 1e9), timers)


@pytest.fixture
def bench() -> Iterator[Bench]:
    network, clock = manual_network()
    with network:
        yield Bench(network, clock)
