"""A rule's function: what it may give, how it fails, and what waits for it."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint

from anycan import Frame, RemoteFrame
from anycan.gateway.caller import Caller
from anycan.gateway.counters import RuleCounters
from anycan.gateway.reasons import DropReason
from anycan.gateway.rule import Rule
from anycan.wire.frames import encode_frame
from rig.gateways import LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anycan import AnyFrame

pytestmark = pytest.mark.anyio

FAILED: Final = DropReason.CALL_FAILED
NONE: Final = DropReason.CALL_GAVE_NONE
ENDED: Final = DropReason.RULE_ENDED


class Stage:
    """A caller, what it emitted and when it flushed."""

    def __init__(self, function: Callable[[Any], Any], capacity: int = 1000) -> None:
        self.counters = RuleCounters(Rule(source="a", destination="b", call=function))
        self.emitted: list[tuple[bytes, int]] = []
        self.flushed: list[int] = []  # how many had been emitted
        self.caller = Caller(
            "rule",
            function,
            capacity,
            self.counters,
            "a",
            lambda payload, stamp: self.emitted.append((payload, stamp)),
            lambda: self.flushed.append(len(self.emitted)),
        )

    def put(self, *frames: AnyFrame) -> None:
        for number, frame in enumerate(frames):
            self.caller.put(encode_frame(frame), number)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.caller.run)
            yield
            tasks.cancel_scope.cancel()

    async def until_called(self, count: int) -> None:
        with anyio.fail_after(LIMIT):
            while self.counters.calls < count:
                await checkpoint()
            await anyio.wait_all_tasks_blocked()

    async def run(self, *frames: AnyFrame) -> list[bytes]:
        """Give what comes of frames."""
        self.put(*frames)
        async with self.running():
            await self.until_called(len(frames))
        return [payload for payload, _ in self.emitted]


ONE, OTHER = Frame(1, b"\1"), RemoteFrame(2, 3)


async def async_same(frame: AnyFrame) -> AnyFrame:
    await checkpoint()
    return frame


def twice(frame: AnyFrame) -> Iterator[AnyFrame]:
    yield frame
    yield OTHER


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda frame: frame, [ONE]),
        (async_same, [ONE]),
        (twice, [ONE, OTHER]),
        (lambda frame: [frame, OTHER], [ONE, OTHER]),
        (lambda frame: (OTHER, frame), [OTHER, ONE]),
        (lambda _: None, []),
        (lambda _: [], []),
    ],
)
async def test_what_it_gives_is_forwarded(
    function: Callable[[Any], Any], expected: list[AnyFrame]
) -> None:
    stage = Stage(function)
    assert await stage.run(ONE) == [encode_frame(frame) for frame in expected]
    assert (stage.counters.calls, stage.counters.given) == (1, len(expected))
    assert stage.counters.dropped == ({} if expected else {NONE: 1})
    assert stage.flushed == ([len(expected)] if expected else [])


async def test_it_is_given_the_frame_with_what_is_known_of_it() -> None:
    frames: list[Frame] = []
    stage = Stage(frames.append)
    stage.caller.put(encode_frame(ONE), 1234)
    async with stage.running():
        await stage.until_called(1)
    (frame,) = frames
    assert frame == ONE
    assert (frame.timestamp_ns, frame.interface) == (1234, "a")


async def test_what_it_gives_has_the_stamp_of_what_it_was_given() -> None:
    stage = Stage(twice)
    stage.put(ONE, ONE)
    async with stage.running():
        await stage.until_called(2)
    assert [stamp for _, stamp in stage.emitted] == [0, 0, 1, 1]


def raises(frame: AnyFrame) -> AnyFrame:
    raise ValueError(f"not {frame}")


async def raises_later(frame: AnyFrame) -> AnyFrame:
    await checkpoint()
    raise ValueError(f"not {frame}")


def raises_after_one(frame: AnyFrame) -> Iterator[AnyFrame]:
    yield frame
    raise ValueError(f"not {frame}")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (raises, "ValueError: not 001#01"),
        (raises_later, "ValueError: not 001#01"),
        (raises_after_one, "ValueError: not 001#01"),
        (lambda _: 5, "it is to give None, a frame or several frames, not 5"),
        (lambda _: "frame", "not 'frame'"),
        (lambda _: b"frame", "not b'frame'"),
        (lambda frame: [frame, 5], "a frame or several frames, not"),
        (lambda frame: [frame, None], "a frame or several frames, not"),
    ],
)
async def test_it_fails(
    function: Callable[[Any], Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(function)
    assert await stage.run(ONE) == []
    assert (stage.counters.dropped, stage.counters.given) == ({FAILED: 1}, 0)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "rule 'rule': its function failed (for the 1. time)" in record.getMessage()
    assert told in record.getMessage()
    assert record.exc_info is not None


async def test_it_goes_on_after_failures_of_which_ever_fewer_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(raises)
    assert await stage.run(*[ONE] * 100) == []
    assert stage.counters.dropped == {FAILED: 100}
    told = [record.getMessage().split("for the ")[1].split()[0] for record in caplog.records]
    assert told == ["1.", "2.", "4.", "8.", "16.", "32.", "64."]


async def test_without_room_the_oldest_is_dropped() -> None:
    seen: list[AnyFrame] = []
    stage = Stage(seen.append, capacity=2)
    frames = [Frame(number) for number in range(5)]
    stage.put(*frames)
    assert stage.counters.dropped == {DropReason.CALL_QUEUE_FULL: 3}
    assert stage.counters.waiting == 2
    async with stage.running():
        await stage.until_called(2)
    assert seen == frames[3:]
    assert stage.counters.waiting == 0


async def test_frames_that_come_later_wake_it() -> None:
    stage = Stage(lambda frame: frame)
    async with stage.running():
        for number in (1, 2, 3):
            await anyio.wait_all_tasks_blocked()
            stage.put(Frame(number))
            await stage.until_called(number)
    assert len(stage.emitted) == 3


async def test_one_that_waits_holds_back_what_it_was_not_given_and_nothing_else() -> None:
    free = anyio.Event()

    async def wait_for_the_second(frame: Frame) -> Frame:
        if frame.id == 2:
            await free.wait()
        return frame

    stage = Stage(wait_for_the_second, capacity=2)
    stage.put(Frame(1), Frame(2))
    async with stage.running():
        await stage.until_called(2)
        # What the first gave has been sent before the second waits.
        assert (stage.flushed[-1], len(stage.emitted)) == (1, 1)
        stage.put(Frame(3), Frame(4), Frame(5))
        assert stage.counters.waiting == 2
        free.set()
        await stage.until_called(4)
    assert [payload[0] for payload, _ in stage.emitted] == [1, 2, 4, 5]


async def test_many_frames_for_a_plain_function_leave_others_their_turn() -> None:
    stage = Stage(lambda frame: frame)
    stage.put(*[ONE] * 300)
    turns: list[int] = []
    async with stage.running():
        with anyio.fail_after(LIMIT):
            while stage.counters.calls < 300:
                turns.append(stage.counters.calls)
                await checkpoint()
        await anyio.wait_all_tasks_blocked()
    assert {number % 64 for number in turns} == {0}
    assert len({*turns}) > 2
    assert stage.flushed == [64, 128, 192, 256, 300]


async def test_what_very_many_given_frames_wait_in_is_bounded() -> None:
    stage = Stage(lambda frame: [frame] * 10_000)
    stage.put(ONE, ONE, ONE)
    async with stage.running():
        await stage.until_called(3)
    sizes = [
        later - earlier for earlier, later in zip([0, *stage.flushed], stage.flushed, strict=False)
    ]
    assert max(sizes) <= 10_000


async def test_what_waits_at_the_end_is_dropped() -> None:
    stage = Stage(lambda frame: frame)
    stage.put(ONE, ONE)
    stage.caller.end()
    stage.caller.end()
    assert (stage.counters.waiting, stage.counters.dropped) == (0, {ENDED: 2})
    assert await stage.run() == []


async def test_cancelled_in_the_middle_the_frame_is_dropped() -> None:
    async def wait(_: AnyFrame) -> None:
        await anyio.sleep_forever()

    stage = Stage(wait)
    stage.put(ONE, ONE)
    async with stage.running():
        await stage.until_called(1)
    stage.caller.end()
    assert (stage.counters.calls, stage.counters.waiting) == (1, 0)
    assert stage.counters.dropped == {ENDED: 2}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_it_awaits_may_have_been_cancelled_by_others() -> None:
    """On asyncio such an error comes out of a future; it is no cancellation of the caller."""

    async def await_cancelled(_: AnyFrame) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    stage = Stage(await_cancelled)
    stage.put(ONE, ONE)
    async with stage.running():
        await anyio.wait_all_tasks_blocked()
    assert stage.counters.dropped == {FAILED: 2}


async def test_what_is_no_exception_ends_it() -> None:
    class Stop(BaseException):
        pass

    def stop(_: AnyFrame) -> None:
        raise Stop

    stage = Stage(stop)
    stage.put(ONE)
    with anyio.fail_after(LIMIT), pytest.raises(Stop):
        await stage.caller.run()
    assert stage.counters.dropped == {ENDED: 1}


async def test_it_is_not_called_with_what_is_no_frame() -> None:
    seen: list[AnyFrame | None] = []
    stage = Stage(seen.append)
    word = (0x40000123).to_bytes(4, sys.byteorder)
    stage.caller.put(word + b"\x01\x04" + bytes(66), 0)  # a remote frame of CAN FD
    async with stage.running():
        await anyio.wait_all_tasks_blocked()
    assert seen == []
