"""Memory: what a million frames leave behind."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

import anycan
from suite.can import ask
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from suite.case import Measured

can: Any = importlib.import_module("can") if importlib.util.find_spec("can") else None

_MARKS: Final = (10_000, 100_000, 1_000_000)
_PEER_MARKS: Final = (10_000, 100_000, 200_000)  # it takes several times as long
_BATCH: Final = 100
_FRAMES: Final = tuple(
    anycan.Frame(0x100 + position, position.to_bytes(8, "big")) for position in range(_BATCH)
)


def resident() -> float:
    """Give how much memory of this process is resident, in KiB.

    Not from ``statm``, whose count lags behind by up to some hundred KiB (proc(5)).
    """
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss":
            return float(rest.split()[0])
    raise NotHereError("the kernel does not tell how much memory is resident")


class _Marks:
    """Takes note of the memory after so many frames.

    Args:
        marks: After how many.
    """

    def __init__(self, marks: tuple[int, ...]) -> None:
        if not Path("/proc/self/smaps_rollup").exists():
            raise NotHereError("there is no /proc/self/smaps_rollup (Linux 4.14)")
        self._marks = marks
        self._found: list[float] = []

    async def batches(self) -> AsyncIterator[None]:
        """Have a batch go through, again and again."""
        done = 0
        for mark in self._marks:
            while done < mark:
                yield
                done += _BATCH
            self._found.append(resident())

    def growth(self) -> Measured:
        """Give by how much it has grown since the first mark."""
        first, *_, last = self._found
        return {"growth": last - first, "resident": last / 1024, "frames": self._marks[-1]}


async def _iterate(marks: _Marks) -> None:
    async with anycan.UserNetwork() as network:
        network.add_vcan("vcan0")
        async with (
            anycan.open_raw("vcan0", network=network) as sender,
            anycan.open_raw("vcan0", network=network) as receiver,
        ):
            async for _ in marks.batches():
                await sender.send_many(_FRAMES)
                for _ in range(_BATCH):
                    await receiver.receive()
            assert receiver.statistics().dropped == 0


async def _route(marks: _Marks) -> None:
    taken = 0

    async def take(_: anycan.AnyFrame) -> None:
        nonlocal taken
        taken += 1
        if taken == _BATCH:
            all_taken.set()

    router = anycan.Router()
    for frame in _FRAMES:
        router.add(anycan.Filter.id(frame.id), take)
    async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        async with (
            anycan.open_raw("vcan0", network=network) as sender,
            anycan.open_raw("vcan0", network=network) as receiver,
        ):
            await tasks.start(router.run, receiver)
            async for _ in marks.batches():
                taken, all_taken = 0, anyio.Event()
                await sender.send_many(_FRAMES)
                await all_taken.wait()
            assert receiver.statistics().dropped == 0
            router.stop()


async def _virtual(marks: _Marks) -> None:
    with (
        can.Bus(interface="virtual", channel="benchmark") as sender,
        can.Bus(interface="virtual", channel="benchmark") as receiver,
    ):
        messages = [
            can.Message(arbitration_id=frame.id, data=frame.data, is_extended_id=False)
            for frame in _FRAMES
        ]
        reader = can.AsyncBufferedReader()
        notifier = can.Notifier(receiver, [reader], loop=asyncio.get_running_loop())
        async for _ in marks.batches():
            for message in messages:
                sender.send(message)
            for _ in range(_BATCH):
                await reader.get_message()
        notifier.stop()


def _measure(
    function: Callable[[_Marks], Any], backend: str, counts: tuple[int, ...] = _MARKS
) -> Callable[[], Measured]:
    def measure() -> Measured:
        marks = _Marks(counts)
        ask(function, backend, marks)
        return marks.growth()

    return measure


def _measure_peer() -> Measured:
    if can is None:
        raise NotHereError("python-can is not installed")
    return _measure(_virtual, "asyncio", _PEER_MARKS)()


def cases() -> list[Case]:
    """Give the cases."""
    backends = ("asyncio", "uvloop", "trio")
    ours = [
        *(
            Contender(
                f"anycan_router_{name}",
                f"anycan: Router, {_BATCH} handlers, {name}",
                _measure(_route, name),
            )
            for name in backends
        ),
        Contender(
            "anycan_receive_asyncio", "anycan: receive(), asyncio", _measure(_iterate, "asyncio")
        ),
    ]
    return [
        Case(
            key="memory",
            title="Memory after a million frames",
            explanation=(
                f"Frames go from one endpoint of the user network to another, and there through a"
                f" Router with {_BATCH} handlers, or to receive(). Growth is what more of the"
                f" process is resident after the last frame than after {_MARKS[0]:,}, garbage"
                f" collected each time: after {_MARKS[-1]:,} frames in all; of python-can, which"
                f" takes several times as long, after {_PEER_MARKS[-1]:,}."
            ),
            metrics=(
                Metric("growth", "growth, KiB", digits=0, compared=False, worst=True),
                Metric("resident", "resident, MiB", digits=0, compared=False),
                Metric("frames", "frames", digits=0, compared=False),
            ),
            contenders=(
                *ours,
                Contender(
                    "python_can",
                    "python-can: virtual bus, Notifier, AsyncBufferedReader",
                    _measure_peer,
                ),
            ),
            reference="anycan_router_asyncio",
            bounds=tuple(Bound(one.key, "growth", most=64) for one in ours),
            place="anywhere",
            rounds=3,
        )
    ]
