"""What it costs to find out who takes a frame, by the number of subscriptions; needs no PF_CAN.

Run it anywhere::

    python tests/benchmarks/dispatch.py

It prints microseconds per frame: to decode frames and do no more; to find their takers and queue
them, when their identifiers are seen for the first time and when they have been seen; and what
asking a list of filters one after the other takes.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from receive import best  # type: ignore[import-not-found,unused-ignore]  # beside this one

from anycan import AnyFrame, Filter, Frame
from anycan.filter import FilterIndex
from anycan.routing.queues import FrameQueue
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 128


def _filters(count: int) -> list[tuple[Filter, list[int]]]:
    """Give filters, each with identifiers that it alone takes: half exact, most others by mask."""
    exact, masks = count // 2, count * 2 // 5
    ranges = count - exact - masks
    found = [
        (Filter.id(0x10000000 + number, extended=True), [0x10000000 + number])
        for number in range(exact)
    ]
    for number in range(masks):
        open_bits = number % 50 + 1  # which bits of the lowest eight do not count: 50 masks
        identifier = 0x08000000 | number << 8
        found.append(
            (Filter.mask(identifier, 0x1FFFFFFF & ~open_bits), [identifier, identifier | open_bits])
        )
    for number in range(ranges):
        first = 0x04000000 + number * 1000
        found.append(
            (Filter.range(first, first + 700, extended=True), [first, first + 350, first + 700])
        )
    return found


def _buffers(identifiers: list[int]) -> Iterator[FrameBuffer]:
    for start in range(0, len(identifiers) - BATCH + 1, BATCH):
        buffer = FrameBuffer(BATCH)
        for position, identifier in enumerate(identifiers[start : start + BATCH]):
            buffer.store(
                position, encode_frame(Frame(identifier, b"12345678", extended=True)), 1, 0, 1, 0
            )
        yield buffer


class Dispatch:
    """Subscriptions, and frames of which each is for one of them.

    Args:
        count: How many subscriptions.
    """

    def __init__(self, count: int) -> None:
        filters = _filters(count)
        self.index: FilterIndex[FrameQueue] = FilterIndex()
        self._sieve = self.index.sieve()
        self._ready: list[FrameQueue] = []
        self._subscriptions = [(wanted, FrameQueue(1024, self._ready)) for wanted, _ in filters]
        for wanted, queue in self._subscriptions:
            self.index.add(wanted, queue)
        identifiers = [identifier for _, those in filters for identifier in those]
        identifiers *= -(-50 * BATCH // len(identifiers))
        random.Random(1).shuffle(identifiers)
        self._buffers = list(_buffers(identifiers))
        self._frames = len(self._buffers) * BATCH

    def decode(self) -> float:
        """Give what it takes to decode a frame."""
        start = time.perf_counter_ns()
        for buffer in self._buffers:
            buffer.decode(BATCH, {}, "can0")
        return (time.perf_counter_ns() - start) / self._frames

    def dispatch(self) -> float:
        """Give what it takes to decode a frame and queue it for who takes it."""
        total = 0
        sieve = self._sieve
        for buffer in self._buffers:
            start = time.perf_counter_ns()
            batch = buffer.decode(BATCH, {}, "can0", sieve)
            for frame, takers in zip(batch, sieve.targets, strict=True):
                for taker in takers:
                    taker.put(frame)
            total += time.perf_counter_ns() - start
            assert len(batch) == BATCH
            sieve.targets.clear()
            for queue in self._ready:  # what a handler does
                queue.items.clear()
            self._ready.clear()
        return total / self._frames

    def dispatch_first(self) -> float:
        """Give the same where no identifier has been seen."""
        self.index.verdicts.clear()
        return self.dispatch()

    def ask_each(self) -> float:
        """Give what it takes to ask each filter of a list."""
        some: list[AnyFrame] = []
        for buffer in self._buffers:
            some += buffer.decode(BATCH, {}, "can0")
        some = some[: max(10, 100_000 // len(self._subscriptions))]
        start = time.perf_counter_ns()
        for frame in some:
            for wanted, queue in self._subscriptions:
                if wanted.matches(frame):
                    queue.put(frame)
        return (time.perf_counter_ns() - start) / len(some)


def main() -> None:
    """Measure with few and with many subscriptions, and print."""
    print("| Subscriptions | decode | first seen | seen | dispatch alone | list of filters |")
    print("|---|---|---|---|---|---|")
    costs = {}
    for count in (10, 100, 1000, 10_000):
        one = Dispatch(count)
        decode, first, seen = best(one.decode), best(one.dispatch_first), best(one.dispatch)
        costs[count] = seen - decode
        values: tuple[Any, ...] = (decode, first, seen, costs[count], one.ask_each())
        print(f"| {count:,} | {' | '.join(f'{value / 1000:.2f}' for value in values)} |")
    ratio = costs[10_000] / costs[10]
    print(f"\ndispatch alone, 10,000 against 10: {ratio:.2f} x (bound 2)")


if __name__ == "__main__":
    main()
