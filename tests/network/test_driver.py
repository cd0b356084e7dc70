"""Timers run by event loops: asyncio's, uvloop's and trio's, one after the other too."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from trio.testing import MockClock

from anycan import UserNetwork
from anycan.engine.timers import Timers
from anycan.network.core.bcm import BcmSocketCore
from anycan.network.core.raw import RawSocketCore
from anycan.network.driver import LoopDriver
from anycan.wire.messages import MessageBuffer, pack_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anycan.engine.timers import Timer

Main: TypeAlias = "Callable[[], Awaitable[None]]"
Run: TypeAlias = "Callable[[Main], None]"

MILLISECOND = 1_000_000


def run_on_asyncio(main: Any) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(main())


LOOPS: list[Any] = [pytest.param(asyncio.new_event_loop, id="asyncio")]
RUNS: list[Any] = [
    pytest.param(run_on_asyncio, id="asyncio"),
    pytest.param(trio.run, id="trio"),
]
try:
    import uvloop
except ImportError:
    pass
else:

    def run_on_uvloop(main: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())

    LOOPS.append(pytest.param(uvloop.new_event_loop, id="uvloop"))
    RUNS.append(pytest.param(run_on_uvloop, id="uvloop"))

on_every_loop = pytest.mark.parametrize("run", RUNS)
on_every_two = pytest.mark.parametrize(
    ("run", "run_again"),
    [
        pytest.param(*one.values, *two.values, id=f"{one.id}-{two.id}")
        for one in RUNS
        for two in RUNS
    ],
)


class Bench:
    """A driver and its timers."""

    def __init__(self) -> None:
        self.driver = LoopDriver(lambda: 42)
        self.timers = Timers(self.driver.changed)
        self.driver.drive(self.timers)
        self.told: list[tuple[str, int, int]] = []
        self._expected = 0
        self._done: anyio.Event | None = None

    def timer(self, name: str = "") -> Timer:
        def expired(due: int, now: int) -> None:
            self.told.append((name, due, now))
            if self._done is not None and len(self.told) >= self._expected:
                self._done.set()

        return self.timers.timer(expired)

    def start(self, milliseconds: float, name: str = "", now: int | None = None) -> Timer:
        """Start a timer as a socket does, for so long after a time, or after now."""
        self.driver.attend()
        timer = self.timer(name)
        if now is None:
            now = self.driver.now()
        timer.start(now + int(milliseconds * MILLISECOND))
        return timer

    async def tells(self, *names: str, within: float = 5) -> None:
        """Wait until those were told, in this order, and no others."""
        self._expected, self._done = len(names), anyio.Event()
        if len(self.told) < len(names):
            with anyio.fail_after(within):
                await self._done.wait()
        self._done = None
        assert [name for name, _, _ in self.told] == list(names)
        assert all(due <= now for _, due, now in self.told)
        self.told.clear()

    @property
    def waits(self) -> bool:
        """Whether a loop is to call back."""
        alarm: Any = self.driver._alarm
        return (alarm._scope if hasattr(alarm, "_scope") else alarm._handle) is not None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def tasks_living() -> int:
    """Give how many tasks there are, those of the loop itself included."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return trio.lowlevel.current_statistics().tasks_living


@on_every_loop
def test_a_timer_is_told_when_it_is_due(run: Run, bench: Bench) -> None:
    async def main() -> None:
        timer = bench.start(2, "a")
        due = timer.deadline
        assert bench.waits
        await bench.tells("a")
        assert due is not None
        assert bench.driver.now() >= due

    run(main)


@on_every_loop
def test_several_are_told_in_their_order(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.driver.attend()
        now = bench.driver.now()
        for milliseconds in (3, 1, 4, 2):
            bench.start(milliseconds, str(milliseconds), now)
        await bench.tells("1", "2", "3", "4")

    run(main)


@on_every_loop
def test_one_that_is_due_already_is_told(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.start(-5, "a")
        assert bench.told == []  # not by the call that starts it
        await bench.tells("a")

    run(main)


@on_every_loop
def test_several_that_are_due_already_are_told(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.driver.attend()
        now = bench.driver.now()
        for milliseconds in (-1, -3, -2):
            bench.start(milliseconds, str(milliseconds), now)
        await bench.tells("-3", "-2", "-1")

    run(main)


@on_every_loop
def test_an_earlier_one_does_not_wait_for_a_later_one(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.start(60_000, "late")
        bench.start(1, "a")
        await bench.tells("a")
        bench.start(1, "b")
        bench.start(30_000, "late")
        await bench.tells("b")

    run(main)


@on_every_loop
def test_one_that_is_cancelled_or_put_off_is_not_told(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.start(1, "cancelled").cancel()
        bench.start(1, "discarded").discard()
        late = bench.start(1, "late")
        now = bench.driver.now()
        late.start(now + 4 * MILLISECOND)
        bench.start(2, "a", now)
        await bench.tells("a", "late")

    run(main)


@on_every_loop
def test_one_that_is_later_than_what_was_waited_for(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.start(10, "cancelled").cancel()
        assert bench.timers.deadline is None
        bench.start(15, "a")
        await bench.tells("a")

    run(main)


@on_every_loop
def test_one_that_goes_on_by_itself(run: Run, bench: Bench) -> None:
    async def main() -> None:
        times: list[int] = []
        done = anyio.Event()

        def expired(due: int, _now: int) -> None:
            times.append(due)
            if len(times) < 6:
                timer.start(due + MILLISECOND)
            else:
                done.set()

        bench.driver.attend()
        timer = bench.timers.timer(expired)
        begin = bench.driver.now()
        timer.start(begin)
        with anyio.fail_after(5):
            await done.wait()
        assert times == [begin + number * MILLISECOND for number in range(6)]

    run(main)


@on_every_loop
def test_afterwards_nothing_is_left(run: Run, bench: Bench) -> None:
    async def main() -> None:
        before = tasks_living()
        for _ in range(2):
            bench.start(1, "a")
            bench.start(2, "cancelled").cancel()
            await bench.tells("a")
            with anyio.fail_after(5):
                while bench.waits:
                    await checkpoint()
            assert tasks_living() == before
            assert bench.timers.deadline is None

    run(main)


@on_every_loop
def test_a_loop_ends_whatever_waits(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.start(3_600_000)
        assert bench.waits
        await checkpoint()

    run(main)
    assert bench.told == []


@on_every_two
def test_in_another_loop_it_goes_on(run: Run, run_again: Run, bench: Bench) -> None:
    async def main() -> None:
        timer = bench.start(1, "a")
        await bench.tells("a")
        timer.start(bench.driver.now() + MILLISECOND)
        await bench.tells("a")

    run(main)
    run_again(main)
    run(main)


@on_every_two
def test_what_was_left_in_another_loop_does_not_stop_it(
    run: Run, run_again: Run, bench: Bench
) -> None:
    async def leave() -> None:
        left.start(bench.driver.now() + 30 * MILLISECOND)

    async def main() -> None:
        bench.start(40, "a")
        assert bench.waits
        deadline = left.deadline
        assert deadline is not None
        assert deadline - bench.driver.now() <= 30 * MILLISECOND  # whatever clock this loop has
        await bench.tells("left", "a")

    left = bench.timer("left")
    run(leave)
    run_again(main)


@on_every_loop
def test_nor_does_what_was_started_without_a_loop(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.start(30, "a")
        assert bench.waits
        await bench.tells("before", "a")

    bench.start(20, "before")
    run(main)


@on_every_loop
def test_without_a_loop_nothing_is_called(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.start(1, "a")
        await bench.tells("a")

    bench.start(1).discard()
    bench.driver.changed()
    run(main)
    bench.timer().start(1)  # that loop is closed
    bench.driver.changed()
    assert bench.told == []


def test_the_time_can_be_asked_for_when_trio_has_ended(bench: Bench) -> None:
    async def main() -> None:
        bench.driver.attend()
        await checkpoint()

    trio.run(main)
    bench.driver.attend()
    now = bench.driver.now()
    assert bench.driver.now() >= now


def test_without_trio_nothing_of_it_is_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)
    bench.start(1)
    assert bench.driver._alarm is None


@pytest.mark.parametrize("make_loop", LOOPS)
def test_what_is_started_between_two_runs_of_a_loop(
    make_loop: Callable[[], asyncio.AbstractEventLoop], bench: Bench
) -> None:
    async def begin() -> None:
        bench.start(1, "a")

    async def end() -> None:
        await bench.tells("a", "b", "c")

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(begin())
        bench.timer("b").start(bench.driver.now() + 2 * MILLISECOND)
        bench.start(3, "c")
        runner.run(end())


@on_every_loop
def test_time_passes_as_the_loops(run: Run, bench: Bench) -> None:
    async def main() -> None:
        bench.driver.attend()
        first, begin, second = anyio.current_time(), bench.driver.now(), anyio.current_time()
        bench.start(2, "a")
        await bench.tells("a")
        third, end, fourth = anyio.current_time(), bench.driver.now(), anyio.current_time()
        assert third - second - 1e-6 <= (end - begin) / 1e9 <= fourth - first + 1e-6

    run(main)


def test_stamps_are_by_another_clock() -> None:
    assert LoopDriver(lambda: 42).stamp_ns() == 42


def test_a_driver_without_timers() -> None:
    driver = LoopDriver(time.time_ns)
    driver.changed()
    driver._run()
    assert driver._next() is None


@pytest.mark.parametrize("make_loop", LOOPS)
def test_one_that_fails_does_not_stop_the_others(
    make_loop: Callable[[], asyncio.AbstractEventLoop], bench: Bench
) -> None:
    errors: list[object] = []

    def fail(_due: int, _now: int) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        bench.driver.attend()
        now = bench.driver.now()
        bench.timers.timer(fail).start(now + MILLISECOND)
        bench.start(1, "a", now)
        bench.start(3, "b", now)
        await bench.tells("a", "b")

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
    assert [type(error) for error in errors] == [ZeroDivisionError]


# trio's clock may be replaced


def test_a_clock_of_a_test_commands_the_timers(bench: Bench) -> None:
    clock = MockClock()

    async def main() -> None:
        for number in (3, 1, 2):
            bench.start(number * 1000, str(number))
        for seconds, names in ((0.5, ""), (0.5, "1"), (0.9, "1"), (1.5, "123")):
            clock.jump(seconds)
            await trio.testing.wait_all_tasks_blocked()
            assert "".join(name for name, _, _ in bench.told) == names

    trio.run(main, clock=clock)


def test_a_clock_that_jumps_by_itself(bench: Bench) -> None:
    async def main() -> None:
        begin = trio.current_time()
        bench.start(86_400_000, "a")
        bench.start(1000, "b")
        await bench.tells("b")
        assert trio.current_time() == begin + 1
        await bench.tells("a", within=100_000)
        assert trio.current_time() == begin + 86_400

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("milliseconds", [1001, 1003, 1025])
def test_a_time_that_has_no_exact_float(bench: Bench, milliseconds: int) -> None:
    clock = MockClock()

    async def main() -> None:
        bench.start(milliseconds, "a")
        clock.jump(milliseconds / 1000)
        for _ in range(20):
            await checkpoint()
        assert [name for name, _, _ in bench.told] == ["a"]

    trio.run(main, clock=clock)


# A network


@on_every_loop
def test_a_network_sends_while_nobody_asks_it_for_anything(run: Run) -> None:
    async def main() -> None:
        arrived = anyio.Event()

        def listener_changed() -> None:
            if listener.readable:
                arrived.set()

        buffer = MessageBuffer(16, 16)
        with UserNetwork() as network:
            index = network.add_vcan("vcan0")
            listener = RawSocketCore(network._stack, listener_changed)
            listener.bind(pack_address(index))
            manager = BcmSocketCore(network._stack, lambda: None)
            manager.connect(pack_address(index))
            head = struct.pack("@IIIllllII0q", 1, 3, 0, 0, 0, 0, 1000, 0x123, 1)
            manager.send(head + struct.pack("=IB3x8s", 0x123, 0, b""), None, 0)
            for _ in range(4):
                with anyio.fail_after(5):
                    await arrived.wait()
                arrived = anyio.Event()
                assert listener.receive(buffer) >= 1
            manager.close()
            listener.close()

    run(main)
