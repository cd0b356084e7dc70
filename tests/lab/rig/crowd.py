"""Processes on one served network that send to each other all the time.

    python -m rig.crowd PATH FRAMES

has eight of them send so many frames each, and receive those of the seven others, and says what
each of them saw, in JSON. A ninth floods the network beside them, and is killed by kill -9 when
they are half done.

None sends more than ``BURST`` frames before it has as many of each of the others. So no more than
two bursts of each wait in a receive buffer, which holds them: what a full one drops, the kernel
would drop as well. The ninth's frames go to none of the eight, by their filters.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

import anycan
from anycan import CanFilter, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES: Final = 8
BURST: Final = 50
_FIRST: Final = 0x100  # the first one's identifier, to which their numbers are added
_OTHERS: Final = 0x7F0
_BUFFER: Final = 1 << 20  # bytes


async def _member(path: str, frames: int, number: int, half_done: int) -> dict[str, Any]:
    """Send and receive; tell what came."""
    received: dict[int, int] = {}
    wrong: list[str] = []
    async with (
        await anycan.connect_network(path) as network,
        anycan.open_raw(
            "vcan0",
            network=network,
            filters=CanFilter(_FIRST, 0x7F8),
            receive_buffer=_BUFFER,
        ) as can,
    ):
        _barrier(number)
        start = time.monotonic()
        for sent in range(0, frames, BURST):
            burst = range(sent, min(sent + BURST, frames))
            content = [one.to_bytes(8, "big") for one in burst]
            await can.send_many([Frame(_FIRST + number, one) for one in content])
            while len(received) < PROCESSES - 1 or min(received.values()) < burst.stop:
                for frame in await can.receive_many():
                    expected = received.get(frame.id, 0)
                    found = int.from_bytes(frame.data, "big")
                    if found != expected:
                        wrong.append(f"{frame.id - _FIRST}: {found} instead of {expected}")
                    received[frame.id] = found + 1
            if number == 0 and sent <= frames // 2 < burst.stop:
                os.write(half_done, b"h")
        seconds = time.monotonic() - start
        statistics = can.statistics()
    return {
        "sent": statistics.sent,
        "received": {str(sender - _FIRST): count for sender, count in sorted(received.items())},
        "wrong": wrong,
        "dropped": statistics.dropped,
        "seconds": round(seconds, 3),
    }


async def _ninth(path: str, ready: int) -> None:
    """Flood the network until the end."""
    async with (
        await anycan.connect_network(path) as network,
        anycan.open_raw("vcan0", network=network) as can,
        anycan.open_bcm("vcan0", network=network) as manager,
        manager.send_cyclic(Frame(_OTHERS, b"beat"), interval=0.001),
    ):
        os.write(ready, b"r")
        while True:
            await can.send_many([Frame(_OTHERS + 1, bytes(8))] * BURST)


_ready: tuple[int, int]
_go: tuple[int, int]
_patience: int  # seconds


def _barrier(number: int) -> None:
    """Say that this one is ready, and wait until all are."""
    os.write(_ready[1], bytes([number]))
    os.read(_go[0], 1)


def _fork(run: Callable[[], object]) -> int:
    process = os.fork()
    if process:
        return process
    status = 1
    signal.alarm(_patience)  # where another one has failed, it would wait for ever
    try:
        run()
        status = 0
    except BaseException:  # noqa: BLE001 - it goes no further
        traceback.print_exc()
    finally:
        os._exit(status)
    raise AssertionError


def main(path: str, frames: int) -> None:
    global _ready, _go, _patience  # noqa: PLW0603 - before there are more processes
    _patience = 30 + frames // 50
    signal.alarm(_patience)
    _ready, _go, half, results = (os.pipe() for _ in range(4))

    def member(number: int) -> None:
        seen = anyio.run(_member, path, frames, number, half[1])
        os.write(results[1], json.dumps({"number": number} | seen).encode() + b"\n")

    members = [_fork(partial(member, number)) for number in range(PROCESSES)]
    ninth = _fork(lambda: anyio.run(_ninth, path, _ready[1]))
    for _ in range(PROCESSES + 1):
        os.read(_ready[0], 1)
    os.write(_go[1], bytes(PROCESSES))
    os.read(half[0], 1)
    os.kill(ninth, signal.SIGKILL)
    for process in (ninth, *members):
        os.waitpid(process, 0)
    os.close(results[1])
    with os.fdopen(results[0]) as lines:
        sys.stdout.write(json.dumps([json.loads(line) for line in lines]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
