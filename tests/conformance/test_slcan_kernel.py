"""An slcan adapter's driver beside the kernel's and beside can-utils' slcanpty.

The pseudo terminals of both sides are joined by their masters, as by a null modem.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import termios
import time
import tty
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest

import anycan
from anycan import CanState, ErrorClass, Frame, RemoteFrame, SlcanAdapter, UserNetwork, open_raw
from rig.blocking import excuse
from rig.host import search_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from rig.links import Links

pytestmark = [pytest.mark.anyio, pytest.mark.kernel, pytest.mark.timeout(120)]

_N_TTY: Final = 0
_N_SLCAN: Final = 17  # linux/tty.h
_SIOCGIFNAME: Final = 0x8910  # linux/sockios.h

FRAMES: Final[list[anycan.AnyFrame]] = [
    Frame(0x123),
    Frame(0x7FF, b"\x00\xff\x55\xaa"),
    Frame(0, bytes(range(8))),
    Frame(0x1FFFFFFF, b"\x01"),
    Frame(0x5, b"", extended=True),
    RemoteFrame(0x123),
    RemoteFrame(0x1ABCDEF),
]
REMOTE_FRAMES: Final[list[anycan.AnyFrame]] = [
    RemoteFrame(0x123, 1),
    RemoteFrame(0x123, 2),
    RemoteFrame(0x1ABCDEF, 8),
]
# One after the other: a state that the controller has already is not told.
LINES: Final = (
    *("e1a", "e1b", "e1B", "e1c", "e1f", "e1o", "e1O", "e1s", "e3bcO", "e2oO", "e2ac"),
    *("sw100003", "sw101003", "sp003130", "sp130130", "sw099099", "sa057033", "sb000256"),
)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run these on one back end: what they look at is the other side."""
    return "asyncio", {"use_uvloop": False}


class Line:
    """A pseudo terminal, raw. What a test reads and writes is the master."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self.slave)

    def close(self) -> None:
        os.close(self.slave)
        os.close(self.master)
        excuse()


@pytest.fixture
def near() -> Iterator[Line]:
    """Our end of the line."""
    line = Line()
    yield line
    line.close()


@pytest.fixture
def far() -> Iterator[Line]:
    """The other end."""
    line = Line()
    yield line
    line.close()


async def copy(source: int, destination: int) -> None:
    while True:
        await anyio.wait_readable(source)
        data = os.read(source, 4096)
        while data:
            await anyio.wait_writable(destination)
            data = data[os.write(destination, data) :]


async def drain(source: int) -> None:
    while True:
        await anyio.wait_readable(source)
        os.read(source, 4096)


@asynccontextmanager
async def joined(near: Line, far: Line) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(copy, near.master, far.master)
        tasks.start_soon(copy, far.master, near.master)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def slcanpty(line: Line, interface: str) -> AsyncIterator[None]:
    """Let slcanpty play the adapter, on a bus that is an interface of the kernel."""
    command = ["slcanpty", line.path, interface]
    # It ends when there is something to be read on its standard input.
    async with await anyio.open_process(command, stdout=subprocess.DEVNULL) as process:
        excuse()
        try:
            yield
        finally:
            process.terminate()
            await process.wait()
    excuse()


async def run(command: str) -> bool:
    """Run a program beside the event loop, which has to read the line meanwhile."""
    environment = {**os.environ, "PATH": search_path()}
    done = await anyio.run_process(command.split(), env=environment, check=False)
    excuse()
    return done.returncode == 0


@asynccontextmanager
async def kernel_slcan(line: Line) -> AsyncIterator[str]:
    """Attach the kernel's driver to a line that somebody reads; give its interface, up."""
    if not await run("modprobe slcan"):
        pytest.skip("this kernel has no module slcan (CONFIG_CAN_SLCAN)")
    fcntl.ioctl(line.slave, termios.TIOCSETD, struct.pack("i", _N_SLCAN))
    excuse()
    try:
        name = fcntl.ioctl(line.slave, _SIOCGIFNAME, bytes(16)).rstrip(b"\0").decode()
        assert await run(f"ip link set {name} type can bitrate 500000")
        assert await run(f"ip link set {name} up")
        yield name
        assert await run(f"ip link set {name} down")
    finally:
        fcntl.ioctl(line.slave, termios.TIOCSETD, struct.pack("i", _N_TTY))
        excuse()


async def receive(can: anycan.RawEndpoint, count: int) -> list[anycan.AnyFrame]:
    frames: list[anycan.AnyFrame] = []
    with anyio.fail_after(60):
        while len(frames) < count:
            frames += await can.receive_many()
    return frames


async def one_by_one(
    sender: anycan.RawEndpoint, receiver: anycan.RawEndpoint, frames: list[anycan.AnyFrame]
) -> None:
    for frame in frames:
        await sender.send(frame)
        assert await receive(receiver, 1) == [frame]


def numbered(count: int) -> list[anycan.AnyFrame]:
    return [Frame(0x100, number.to_bytes(4, "big")) for number in range(count)]


@pytest.mark.parametrize("stamps", [True, False])
async def test_slcanpty(kernel_links: Links, near: Line, far: Line, stamps: bool) -> None:
    name = kernel_links.add()
    device = SlcanAdapter(near.path, bitrate=500_000, timestamps=stamps)
    async with slcanpty(far, name), joined(near, far), UserNetwork() as network:
        network.add_device("can0", device)
        async with open_raw("can0", network=network) as ours, open_raw(name) as theirs:
            # It reads up to 199 bytes, and takes what is cut off there for garbage; of remote
            # frames with a length it makes two lines.
            await one_by_one(ours, theirs, FRAMES)
            before = time.time_ns()
            await one_by_one(theirs, ours, [*FRAMES, *REMOTE_FRAMES])
            await theirs.send_many(numbered(200))
            received = await receive(ours, 200)
            assert received == numbered(200)
            times = [frame.timestamp_ns or 0 for frame in received]
            assert times == sorted(times)
            assert before - 1_000_000_000 < times[0]
            assert times[-1] <= time.time_ns()
            assert (device.version, device.serial_number) == ("1013", "4242")
            assert device.statistics == anycan.SlcanStatistics(
                acknowledged=len(FRAMES), connections=1
            )
            assert (await anycan.get_interface("can0", network=network)).carrier


async def test_the_kernels_driver(near: Line, far: Line) -> None:
    device = SlcanAdapter(near.path, bitrate=500_000)
    async with joined(near, far), UserNetwork() as network, kernel_slcan(far) as name:
        network.add_device("can0", device)
        async with open_raw("can0", network=network) as ours, open_raw(name) as theirs:
            await one_by_one(ours, theirs, [*FRAMES, *REMOTE_FRAMES])
            await one_by_one(theirs, ours, [*FRAMES, *REMOTE_FRAMES])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ours.send_many, numbered(200))
                tasks.start_soon(theirs.send_many, numbered(200))
                assert await receive(theirs, 200) == numbered(200)
                assert await receive(ours, 200) == numbered(200)
    assert device.statistics.refused == 0


async def test_what_adapters_tell_gives_the_kernels_error_frames(near: Line, far: Line) -> None:
    device = SlcanAdapter(near.path, bitrate=500_000)
    async with anyio.create_task_group() as tasks, UserNetwork() as network:
        tasks.start_soon(drain, near.master)
        tasks.start_soon(drain, far.master)
        network.add_device("can0", device)
        async with (
            kernel_slcan(far) as name,
            open_raw("can0", network=network, errors=ErrorClass.ALL) as ours,
            open_raw(name, errors=ErrorClass.ALL) as theirs,
        ):
            heard: list[list[str]] = []
            for line, can in ((near, ours), (far, theirs)):
                for text in (*LINES, "t7FF0"):
                    os.write(line.master, text.encode() + b"\r")
                frames: list[anycan.AnyFrame] = []
                while not frames or frames[-1] != Frame(0x7FF):
                    frames += await receive(can, 1)
                heard.append([str(frame) for frame in frames])
            assert heard[0] == heard[1]
            now = await anycan.get_interface(name)
            mine = await anycan.get_interface("can0", network=network)
            assert mine.state is now.state is CanState.BUS_OFF
            assert mine.bitrates == now.bitrates
            assert now.can_statistics is not None
            assert mine.can_statistics is not None
            assert mine.can_statistics.bus_off == now.can_statistics.bus_off
            assert mine.can_statistics.error_passive == now.can_statistics.error_passive
        tasks.cancel_scope.cancel()
