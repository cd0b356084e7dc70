"""What it costs to find out who takes a frame, by the number of subscriptions."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING

from anycan import AnyFrame, Filter, Frame
from anycan.filter import FilterIndex
from anycan.routing.queues import FrameQueue
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import encode_frame
from suite.case import Bound, Case, Contender, Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from suite.case import Measured

COUNTS = (1, 10, 100, 1000, 10_000)
BATCH = 128
TURNS = 5


def _filters(count: int) -> list[tuple[Filter, list[int]]]:
    """Give filters, each with identifiers that it alone takes: half exact, most others by mask."""
    exact, masks = max(1, count // 2), count * 2 // 5
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
    for start in range(0, len(identifiers), BATCH):
        some = identifiers[start : start + BATCH]
        buffer = FrameBuffer(len(some))
        for position, identifier in enumerate(some):
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
        shuffle = random.Random(1).shuffle
        shuffle(identifiers)
        self._new = list(_buffers(identifiers))  # each identifier once
        self._repetitions = -(-50 * BATCH // len(identifiers))
        identifiers *= self._repetitions
        shuffle(identifiers)
        self._buffers = list(_buffers(identifiers))
        self._frames = len(identifiers)

    def decode(self) -> float:
        """Give what it takes to decode a frame."""
        start = time.process_time_ns()
        for buffer in self._buffers:
            buffer.decode(buffer.capacity, {}, "can0")
        return (time.process_time_ns() - start) / self._frames

    def dispatch(self) -> float:
        """Give what it takes to decode a frame and queue it for who takes it."""
        return self._dispatch(self._buffers) / self._frames

    def dispatch_new(self) -> float:
        """Give the same where the identifier of each frame is new."""
        total = 0
        for _ in range(self._repetitions):
            self.index.forget()
            total += self._dispatch(self._new)
        return total / self._frames

    def _dispatch(self, buffers: list[FrameBuffer]) -> int:
        total = queued = 0
        sieve = self._sieve
        for buffer in buffers:
            start = time.process_time_ns()
            batch = buffer.decode(buffer.capacity, {}, "can0", sieve)
            for frame, takers in zip(batch, sieve.targets, strict=True):
                for taker in takers:
                    taker.put(frame)
            total += time.process_time_ns() - start
            sieve.targets.clear()
            for queue in self._ready:  # what a handler does
                queued += len(queue.items)
                queue.items.clear()
            self._ready.clear()
        assert queued == sum(buffer.capacity for buffer in buffers)
        return total

    def ask_each(self) -> float:
        """Give what it takes to ask each filter of a list."""
        some: list[AnyFrame] = []
        for buffer in self._buffers:
            some += buffer.decode(buffer.capacity, {}, "can0")
        some = some[: max(10, 100_000 // len(self._subscriptions))]
        start = time.process_time_ns()
        for frame in some:
            for wanted, queue in self._subscriptions:
                if wanted.matches(frame):
                    queue.put(frame)
        return (time.process_time_ns() - start) / len(some)


def _measure(count: int) -> Measured:
    one = Dispatch(count)
    # In turns: what else the machine does meets all of them alike. The least counts.
    turns = [(one.decode(), one.dispatch_new(), one.dispatch()) for _ in range(TURNS)]
    decode, new, seen = map(min, zip(*turns, strict=True))
    values = {"alone": seen - decode, "decode": decode, "first": new, "seen": seen}
    values["list"] = one.ask_each()
    return {key: value / 1000 for key, value in values.items()}


def cases() -> list[Case]:
    """Give the case."""
    return [
        Case(
            key="dispatch",
            title="Dispatch, by the number of subscriptions",
            explanation=(
                "The same frames are for one subscription each, of which half are of one"
                " identifier, two fifths under one of fifty masks, and a tenth of a range. They"
                f" are decoded in batches of up to {BATCH}, their taker is found, and they are"
                " queued for it. First seen: each frame is the first one of its identifier, and"
                " nothing is known of it (with 1 and 10 subscriptions there are 1 and 16"
                " identifiers, and batches of as many frames). Seen: frames of identifiers that"
                " have been seen; dispatch alone is what that adds to decoding. Beside it: asking"
                " each filter of a list. Processor time."
            ),
            metrics=(
                Metric("alone", "dispatch alone, µs/frame", digits=2),
                Metric("decode", "decode, µs/frame", digits=2, compared=False),
                Metric("first", "first seen, µs/frame", digits=2, compared=False),
                Metric("seen", "seen, µs/frame", digits=2, compared=False),
                Metric("list", "list of filters, µs/frame", digits=2, compared=False),
            ),
            contenders=tuple(
                Contender(
                    f"anycan_{count}",
                    f"{count:,} subscription{'s' if count > 1 else ''}",
                    partial(_measure, count),
                )
                for count in COUNTS
            ),
            reference="anycan_10",
            bounds=(Bound("anycan_10000", "alone", most=2.0, reference="anycan_10"),),
            place="anywhere",
        )
    ]
