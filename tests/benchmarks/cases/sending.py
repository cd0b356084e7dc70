"""Sending, frame by frame and in batches, to an interface on which nobody listens."""

from __future__ import annotations

import struct
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

import anycan
from anycan import Frame
from cases.receive import (
    PATIENCE,
    can,
    per_frame,
    program,
    python_can_bus,
    stay_on_one_processor,
)
from suite.can import BACKENDS, ask, build, sender, vcan
from suite.case import Bound, Case, Contender, Metric

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from suite.case import Measured

INTERFACE: Final = "vcansending"
FRAMES: Final = 4000
REPETITIONS: Final = 9
FEW: Final = 3  # of python-can, which takes longest
BATCH: Final = "64"
_DATA: Final = [struct.pack("=q", number) for number in range(FRAMES)]


def cases() -> list[Case]:
    """Give the cases of this module."""
    common = (
        f" {FRAMES:,} different frames, made before, go to a vcan on which nobody listens: time of"
        f" the clock per frame, the middle one of {REPETITIONS} repetitions ({FEW} with python-can)"
        " after one that warms up. The interface's own counter says that all were sent."
    )
    python_can = Contender("python_can", "python-can: bus.send()", _python_can)
    return [
        Case(
            key="send_each",
            title="Sending one by one",
            explanation="Each frame is a call of its own." + common,
            metrics=(Metric("cost", "µs/frame"),),
            contenders=(
                Contender("c", "C: send", lambda: _program("1")),
                Contender("bare", "Python: socket.send(), of bytes", _bare),
                *(_contender("send()", _each, name) for name in BACKENDS),
                python_can,
            ),
            reference="c",
            setup=_setup,
        ),
        Case(
            key="send_batch",
            title="Sending in batches",
            explanation=(
                "All frames are given at once; python-can has no call for that, and gets them one"
                " by one." + common
            ),
            metrics=(Metric("cost", "µs/frame"),),
            contenders=(
                Contender("c_many", f"C: sendmmsg, {BATCH} a call", lambda: _program(BATCH)),
                *(_contender("send_many()", _many, name, "many_") for name in BACKENDS),
                python_can,
            ),
            reference="c_many",
            bounds=(Bound("anycan_many_asyncio", "cost", most=3, reference="c_many"),),
            setup=_setup,
        ),
    ]


def _contender(
    title: str, function: Callable[[], Awaitable[Measured]], backend: str, way: str = ""
) -> Contender:
    return Contender(
        f"anycan_{way}{backend}", f"anycan: {title}, {backend}", lambda: ask(function, backend)
    )


@contextmanager
def _setup() -> Iterator[None]:
    build("send_many")
    with vcan(INTERFACE):
        yield


@contextmanager
def _all_sent(repetitions: int = REPETITIONS) -> Iterator[None]:
    """See to it that all frames go, and none twice."""
    counter = Path("/sys/class/net", INTERFACE, "statistics", "tx_packets")
    before = int(counter.read_text())
    yield
    sent = int(counter.read_text()) - before
    assert sent == FRAMES * (repetitions + 1), sent


# Contenders


def _program(batch: str) -> Measured:
    stay_on_one_processor()
    with _all_sent(), program("send_many", INTERFACE, str(FRAMES), batch) as measure:
        return per_frame([measure() for _ in range(REPETITIONS + 1)], FRAMES)


def _sequence(send: Callable[[], object], repetitions: int = REPETITIONS) -> Measured:
    """Time what sends all frames."""
    stay_on_one_processor()
    took = []
    with _all_sent(repetitions):
        for _ in range(repetitions + 1):
            start = time.perf_counter_ns()
            send()
            took.append(time.perf_counter_ns() - start)
    return per_frame(took, FRAMES)


def _bare() -> Measured:
    payloads = [struct.pack("=IBxxB8s", 0x123, 8, 0, data) for data in _DATA]
    with sender(INTERFACE) as plain:

        def send() -> None:
            for payload in payloads:
                plain.send(payload)

        return _sequence(send)


def _python_can() -> Measured:
    with python_can_bus(INTERFACE) as bus:
        messages = [
            can.Message(arbitration_id=0x123, is_extended_id=False, data=data) for data in _DATA
        ]

        def send() -> None:
            for message in messages:
                bus.send(message)

        return _sequence(send, FEW)


async def _async_sequence(send: Callable[[], Awaitable[object]]) -> Measured:
    """Time what sends all frames."""
    stay_on_one_processor()
    took = []
    with _all_sent(), anyio.fail_after(PATIENCE):
        for _ in range(REPETITIONS + 1):
            start = time.perf_counter_ns()
            await send()
            took.append(time.perf_counter_ns() - start)
    return per_frame(took, FRAMES)


async def _each() -> Measured:
    frames = [Frame(0x123, data) for data in _DATA]
    async with anycan.open_raw(INTERFACE, filters=[]) as endpoint:

        async def send() -> None:
            for frame in frames:
                await endpoint.send(frame)

        return await _async_sequence(send)


async def _many() -> Measured:
    frames = [Frame(0x123, data) for data in _DATA]
    async with anycan.open_raw(INTERFACE, filters=[]) as endpoint:
        return await _async_sequence(lambda: endpoint.send_many(frames))
