"""What watching a message for changes costs: the kernel's content filter, or comparing here."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import time
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from anycan import Changed, Filter, Frame, open_bcm, open_raw
from programs import changing
from suite.beside import let_begin, program_beside
from suite.can import BACKENDS, RATE_SCALE, ask, vcan
from suite.case import Bound, Case, Contender, Metric, NotHereError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from suite.case import Measured

can: Any = importlib.import_module("can") if importlib.util.find_spec("can") else None

INTERFACE = "benchwatch0"
WATCHED = 0x123
FRAMES = 500
RATE = 2000  # a second, where the processor is no emulated one
PATIENCE = 60.0


def _changes() -> int:
    """Give how many frames differ from the one before them; the first one counts."""
    contents = changing.contents(FRAMES)
    return 1 + sum(one != other for one, other in pairwise(contents))


@attrs.define
class Changes:
    """The changes that were found, and the processor time from the first to the last of them.

    The first frame is a change, too: what it costs to begin is over then.
    """

    count: int = 0
    start: float = 0.0
    spent: float = 0.0

    def note(self, data: bytes) -> bool:
        """Note one, and say whether it is the last."""
        if not self.count:
            self.start = time.process_time()
        self.count += 1
        if data != changing.END:
            return False
        self.spent = time.process_time() - self.start
        return True


async def _watch(begin: Callable[[], None], changes: Changes) -> int:
    """Have the kernel compare."""
    async with (
        open_bcm(INTERFACE) as bcm,
        bcm.watch(WATCHED, mask=b"\xff" * 8) as events,
    ):
        begin()
        async for event in events:
            assert isinstance(event, Changed)
            assert isinstance(event.frame, Frame)
            if changes.note(event.frame.data):
                break
    return FRAMES


async def _compare(begin: Callable[[], None], changes: Changes) -> int:
    """Receive each frame, and compare it here."""
    received = 0
    last: bytes | None = None
    async with open_raw(INTERFACE, filters=Filter.id(WATCHED)) as endpoint:
        begin()
        async for frame in endpoint:
            assert isinstance(frame, Frame)
            received += 1
            if frame.data != last:
                last = frame.data
                if changes.note(last):
                    break
    return received


async def _notify(begin: Callable[[], None], changes: Changes) -> int:
    """Have python-can hand on each frame, and compare it here."""
    received = 0
    last: bytes | None = None
    done = asyncio.Event()

    def listener(message: Any) -> None:
        nonlocal received, last
        received += 1
        if message.data != last:
            last = message.data
            if changes.note(message.data):
                done.set()

    filters = [{"can_id": WATCHED, "can_mask": 0x7FF, "extended": False}]
    with can.Bus(interface="socketcan", channel=INTERFACE, can_filters=filters) as bus:
        notifier = can.Notifier(bus, [listener], loop=asyncio.get_running_loop())
        begin()
        await done.wait()
        notifier.stop()
    return received


def _spent(
    function: Callable[[Callable[[], None], Changes], Awaitable[int]], backend: str = "asyncio"
) -> Measured:
    if function is _notify and can is None:
        raise NotHereError("python-can is not installed")
    changes = Changes()

    async def in_time(begin: Callable[[], None]) -> int:
        with anyio.fail_after(PATIENCE):
            return await function(begin, changes)

    command = (changing.__file__, INTERFACE, str(WATCHED), str(FRAMES), str(1 / RATE / RATE_SCALE))
    with program_beside(*command) as process:
        received = ask(in_time, backend, partial(let_begin, process))
    assert (received, changes.count) == (FRAMES, _changes())
    return {"frame": changes.spent / (FRAMES - 1) * 1e6}


def cases() -> list[Case]:
    """Give the case."""
    case = Case(
        key="bcm_watch",
        title="Watching a message for changes",
        explanation=(
            f"Another process sends {FRAMES:,} frames of one message, {RATE:,} a second (in the"
            f" kernel lab a tenth of that), of which one in {changing.EACH} differs from the one"
            " before it. Each contender finds all changes: by the kernel's content filter, or by"
            " receiving each frame (of that identifier alone) and comparing. Processor time of its"
            " process per frame on the bus."
        ),
        metrics=(Metric("frame", "µs/frame on the bus"),),
        contenders=(
            *(
                Contender(
                    f"anycan_watch_{backend}",
                    f"anycan bcm.watch(), {backend}",
                    partial(_spent, _watch, backend),
                )
                for backend in BACKENDS
            ),
            Contender(
                "anycan_raw",
                "anycan open_raw(), async for, compared in Python",
                partial(_spent, _compare),
            ),
            Contender(
                "python_can", "python-can Notifier, compared in Python", partial(_spent, _notify)
            ),
        ),
        reference="anycan_watch_asyncio",
        bounds=(
            Bound("anycan_watch_asyncio", "frame", least=10.0, reference="anycan_raw"),
            Bound("anycan_watch_asyncio", "frame", least=10.0, reference="python_can"),
        ),
        setup=partial(vcan, INTERFACE),
    )
    return [case]
