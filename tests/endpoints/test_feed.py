"""An endpoint's frames for a router: read in batches, paused, resumed, and given back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import anycan
from anycan import AnyFrame, ErrorFrame, Filter, Frame, byte
from anycan.endpoints.feed import Feed, open_feed
from anycan.exceptions import CanOSError, InterfaceDownError, InterfaceRemovedError
from anycan.filter import FilterIndex

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rig.links import Links

pytestmark = pytest.mark.anyio

LIMIT = 5.0  # seconds: that something has gone wrong
BATCH = 128


def numbered(count: int, start: int = 0) -> list[AnyFrame]:
    return [Frame(0x100, number.to_bytes(4, "big")) for number in range(start, start + count)]


class Recorder:
    """A sink that keeps what it is given, in the order of the calls."""

    def __init__(self, room: int = BATCH, burst: int = BATCH) -> None:
        self.space = room
        self.most = burst
        self.asked = 0
        self.waits: list[bool] = []  # of those: whether the feed waits if there is no room
        self.frames: list[AnyFrame] = []
        self.targets: list[Any] = []
        self.sizes: list[int | str] = []  # of each delivery; and when others are woken
        self.in_callback: set[bool] = set()
        self.refusals = 0
        self.errors: list[CanOSError] = []
        self.on_wake: Callable[[], object] = lambda: None
        self._changed = anyio.Event()

    def room(self, *, wait: bool) -> int:
        self.asked += 1
        self.waits.append(wait)
        self._changed.set()
        return self.space

    def burst(self) -> int:
        return self.most

    def deliver(self, frames: list[AnyFrame], targets: list[Any]) -> None:
        assert len(frames) == len(targets)
        self.frames += frames
        self.targets += targets
        self.sizes.append(len(frames))

    def wake(self, *, in_callback: bool) -> None:
        self.in_callback.add(in_callback)
        self.sizes.append("wake")
        self._changed.set()
        self.on_wake()

    def refused(self, count: int) -> None:
        self.refusals += count

    def failed(self, error: CanOSError) -> None:
        self.errors.append(error)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the feed's calls have made something true."""
        with anyio.fail_after(LIMIT):
            while not condition():
                self._changed = anyio.Event()
                await self._changed.wait()

    async def has(self, count: int) -> None:
        await self.until(lambda: len(self.frames) >= count)


class Case:
    """A receiving endpoint, a sender, and a sink for a feed of the receiver."""

    def __init__(
        self, links: Links, name: str, sender: anycan.RawEndpoint, receiver: anycan.RawEndpoint
    ) -> None:
        self.links = links
        self.name = name
        self.sender = sender
        self.receiver = receiver
        self.sink = Recorder()

    def send(self, frames: list[AnyFrame]) -> None:
        """Send, without a moment for anybody to receive in between."""
        for frame in frames:
            self.sender.send_nowait(frame)

    def open(self, *wanted: Filter) -> Feed:
        """Open a feed, for all frames if nothing else is said."""
        index: FilterIndex[int] = FilterIndex()
        for taker, one in enumerate(wanted or [Filter.all() | Filter.errors()]):
            index.add(one, taker)
        return open_feed(self.receiver, index.sieve(), self.sink)

    @asynccontextmanager
    async def running(self, *wanted: Filter) -> AsyncIterator[Feed]:
        """Run a feed, and close it at the end, which ends it without a word."""
        feed = self.open(*wanted)
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run)
                try:
                    yield feed
                finally:
                    feed.close()

    async def receive(self, count: int) -> list[AnyFrame]:
        received: list[AnyFrame] = []
        with anyio.fail_after(LIMIT):
            while len(received) < count:
                received += await self.receiver.receive_many()
        return received


@asynccontextmanager
async def open_case(links: Links, **options: Any) -> AsyncIterator[Case]:
    name = links.add()
    async with (
        anycan.open_raw(name, network=links.network) as sender,
        anycan.open_raw(name, network=links.network, **options) as receiver,
    ):
        yield Case(links, name, sender, receiver)


async def turns() -> None:
    for _ in range(5):
        await checkpoint()


class TestFrames:
    async def test_they_are_handed_on_in_their_order(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running():
            for start in range(0, 30, 10):
                case.send(numbered(10, start))
                await case.sink.has(start + 10)
            assert case.sink.frames == numbered(30)
            assert {frame.interface for frame in case.sink.frames} == {case.name}
            assert case.receiver.statistics().received == 30
            assert case.receiver.statistics().waiting == 0

    async def test_with_each_goes_who_takes_it(self, user_links: Links) -> None:
        async with (
            open_case(user_links) as case,
            case.running(Filter.id(1), Filter.range(1, 2), Filter.id(3) & (byte(0) == 1)),
        ):
            frames: list[AnyFrame] = [
                *(Frame(1), Frame(9), Frame(2), Frame(3), Frame(3, b"\1"), Frame(1))
            ]
            case.send(frames)
            await case.sink.has(4)
            assert case.sink.frames == [frames[0], frames[2], frames[4], frames[5]]
            assert case.sink.targets == [(0, 1), (1,), (2,), (0, 1)]
            assert case.sink.refusals == 2
            statistics = case.receiver.statistics()
            assert (statistics.received, statistics.filtered) == (4, 2)

    async def test_of_which_none_is_taken(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running(Filter.id(1)):
            case.send(numbered(3))
            await case.sink.until(lambda: case.sink.refusals == 3)
            case.send([Frame(1)])
            await case.sink.has(1)
            assert case.sink.frames == [Frame(1)]
            assert case.receiver.statistics().received == 1
            assert case.receiver.statistics().filtered == 3

    async def test_error_frames(self, user_links: Links) -> None:
        async with (
            open_case(user_links, errors=anycan.ErrorClass.ALL) as case,
            case.running(Filter.errors(0x40)),
        ):
            network = user_links.network
            assert isinstance(network, anycan.UserNetwork)
            network.inject(case.name, ErrorFrame(0x20))
            network.inject(case.name, ErrorFrame(0x40))
            await case.sink.has(1)
            assert case.sink.frames == [ErrorFrame(0x40)]

    async def test_who_is_woken_by_asyncios_loop_is_told_so(
        self, user_links: Links, anyio_backend_name: str
    ) -> None:
        async with open_case(user_links) as case, case.running():
            case.send(numbered(1))
            await case.sink.has(1)
            assert case.sink.in_callback == {anyio_backend_name == "asyncio"}

    async def test_sending_goes_on_meanwhile(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running():
            with anyio.fail_after(LIMIT):
                await case.receiver.send(Frame(5))
                assert await case.sender.receive() == Frame(5)


class TestBacklog:
    """What the endpoint had read before."""

    async def test_it_comes_first(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            frames = numbered(8)
            case.send(frames[:5])
            assert await case.receiver.receive() == frames[0]
            assert case.receiver.statistics().waiting == 4
            case.send(frames[5:])
            async with case.running():
                await case.sink.has(7)
                assert case.sink.frames == frames[1:]
                assert case.receiver.statistics().waiting == 0

    async def test_it_is_sifted_too(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.send([Frame(1), Frame(1), Frame(2), Frame(3), Frame(1)])
            await case.receiver.receive()
            async with case.running(Filter.id(1), Filter.id(3) | Filter.id(1)):
                await case.sink.has(3)
                assert case.sink.frames == [Frame(1), Frame(3), Frame(1)]
                assert case.sink.targets == [(0, 1), (1,), (0, 1)]
                assert case.sink.refusals == 1

    async def test_no_more_of_it_than_there_is_room(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            frames = numbered(10)
            case.send(frames)
            await case.receiver.receive()
            case.sink.space = 4
            async with case.running():
                await case.sink.has(9)
                assert case.sink.frames == frames[1:]
                assert case.sink.sizes == [4, 4, 1, "wake"]

    @pytest.mark.parametrize(
        ("room", "burst", "sizes"),
        [
            (BATCH, 1, [1, "wake"] * 9),
            (BATCH, 5, [5, "wake", 4, "wake"]),
            (4, 6, [4, 2, "wake", 3, "wake"]),
            (3, 3, [3, "wake"] * 3),
        ],
    )
    async def test_no_more_of_it_than_a_burst(
        self, user_links: Links, room: int, burst: int, sizes: list[int | str]
    ) -> None:
        async with open_case(user_links) as case:
            frames = numbered(10)
            case.send(frames)
            await case.receiver.receive()
            case.sink.space, case.sink.most = room, burst
            async with case.running():
                await case.sink.has(9)
                assert case.sink.frames == frames[1:]
                assert case.sink.sizes == sizes

    async def test_what_follows_it_is_of_the_same_burst(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            frames = numbered(12)
            case.send(frames[:9])
            await case.receiver.receive()
            case.sink.space = 4
            feed = case.open()
            case.send(frames[9:])
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(feed.run)
                    await case.sink.has(11)
                    feed.close()
            assert case.sink.frames == frames[1:]
            assert case.sink.sizes == [4, 4, 3, "wake"]

    async def test_it_waits_for_room(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            frames = numbered(10)
            case.send(frames[:5])
            await case.receiver.receive()
            case.send(frames[5:])
            case.sink.space = 0
            async with case.running() as feed:
                await case.sink.until(lambda: case.sink.asked >= 1)
                await turns()
                assert case.sink.frames == []
                case.sink.space = 3
                feed.resume()
                await case.sink.has(9)
                assert case.sink.frames == frames[1:]

    async def test_it_is_counted_once(self, user_links: Links) -> None:
        # received + filtered is what came through the kernel's filters, so says RawStatistics.
        async with open_case(user_links) as case:
            case.send([Frame(1), Frame(1), Frame(2), Frame(3)])
            await case.receiver.receive()
            async with case.running(Filter.id(1), Filter.id(3)):
                await case.sink.has(2)
                statistics = case.receiver.statistics()
                assert statistics.received + statistics.filtered == 4

    async def test_what_was_not_handed_on_is_given_back(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            frames = numbered(5)
            case.send(frames)
            await case.receiver.receive()
            case.sink.space = 0
            feed = case.open()
            feed.close()
            assert case.receiver.statistics().waiting == 4
            assert await case.receive(4) == frames[1:]
            assert case.receiver.statistics().discarded == 0

    async def test_the_rest_of_it_is_given_back_and_comes_first(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            frames = numbered(10)
            case.send(frames[:8])
            await case.receiver.receive()
            sink = case.sink
            sink.space = sink.most = 3
            async with case.running() as feed:
                sink.on_wake = feed.close
                case.send(frames[8:])
                await sink.has(3)
            assert sink.frames == frames[1:4]
            assert await case.receive(6) == frames[4:]

    async def test_what_was_not_handed_on_when_the_endpoint_is_closed_is_counted(
        self, user_links: Links
    ) -> None:
        async with open_case(user_links) as case:
            case.send(numbered(5))
            await case.receiver.receive()
            case.sink.space = 0
            case.open()
            await case.receiver.aclose()
            assert case.sink.frames == []
            assert case.receiver.statistics().discarded == 4


class TestRoom:
    async def test_without_it_nothing_is_read_until_it_is_resumed(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.space = 0
            async with case.running() as feed:
                for rounds in (1, 2, 3):
                    case.sink.space = 0
                    case.sink.asked = 0
                    feed.resume()
                    case.send(numbered(2))
                    await case.sink.until(lambda: case.sink.asked >= 1)
                    asked = case.sink.asked
                    await turns()
                    # It does not ask again and again, while frames wait in the socket.
                    assert case.sink.asked == asked
                    assert case.receiver.statistics().received == 2 * (rounds - 1)
                    case.sink.space = BATCH
                    feed.resume()
                    await case.sink.has(2 * rounds)
                assert case.sink.frames == numbered(2) * 3

    async def test_no_more_is_read_than_there_is_room(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.space = 3
            async with case.running():
                case.send(numbered(8))
                await case.sink.has(8)
                assert case.sink.frames == numbered(8)
                assert case.sink.sizes == [3, 3, 2, "wake"]

    async def test_a_pause_in_the_middle_loses_nothing(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            sink = case.sink

            def pause() -> None:
                sink.space = 0

            sink.space = sink.most = 3
            sink.on_wake = pause
            async with case.running() as feed:
                case.send(numbered(7))
                for expected in (3, 6, 7):
                    await sink.has(expected)
                    await turns()
                    assert len(sink.frames) == expected
                    sink.space = 3
                    feed.resume()
                assert sink.frames == numbered(7)

    async def test_resumed_without_a_pause_it_goes_on_as_ever(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running() as feed:
            for rounds in (1, 2, 3):
                feed.resume()
                feed.resume()
                case.send(numbered(1))
                await case.sink.has(rounds)
            assert case.sink.frames == numbered(1) * 3

    async def test_resumed_after_its_end_it_reads_nothing(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            async with case.running() as feed:
                pass
            feed.resume()
            case.send(numbered(1))
            assert await case.receive(1) == numbered(1)
            assert case.sink.frames == []


class TestBursts:
    @pytest.mark.parametrize(
        ("burst", "sizes"),
        [
            (1, [1, "wake"] * 300),
            (50, [50, "wake"] * 6),
            (128, [128, "wake", 128, "wake", 44, "wake"]),
            (200, [128, 72, "wake", 100, "wake"]),
            (256, [128, 128, "wake", 44, "wake"]),
            (512, [128, 128, 44, "wake"]),
        ],
    )
    async def test_many_batches_wake_once(
        self, user_links: Links, burst: int, sizes: list[int | str]
    ) -> None:
        async with open_case(user_links) as case:
            case.sink.most = burst
            case.send(numbered(300))
            async with case.running():
                await case.sink.has(300)
                assert case.sink.frames == numbered(300)
                assert case.sink.sizes == sizes

    async def test_one_that_ends_with_a_full_batch(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.most = 512
            case.send(numbered(256))
            async with case.running():
                await case.sink.has(256)
                assert case.sink.sizes == [128, 128, "wake"]
                case.send(numbered(1))
                await case.sink.has(257)
                assert case.sink.sizes == [128, 128, "wake", 1, "wake"]

    async def test_no_more_is_read_at_a_time_than_there_is_room(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.space, case.sink.most = 30, 70
            case.send(numbered(100))
            async with case.running():
                await case.sink.has(100)
                assert case.sink.frames == numbered(100)
                assert case.sink.sizes == [30, 30, 10, "wake", 30, "wake"]

    async def test_room_ends_it(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.most = 512
            space = iter([128, 50, 0])
            case.sink.room = lambda *, wait: next(space, 0)  # type: ignore[method-assign]  # noqa: ARG005 - by its name
            case.send(numbered(300))
            async with case.running() as feed:
                await case.sink.has(178)
                assert case.sink.sizes == [128, 50, "wake"]
                space = iter([128])
                feed.resume()
                await case.sink.has(300)
                assert case.sink.frames == numbered(300)

    async def test_batches_of_which_nothing_is_taken_are_a_burst_too(
        self, user_links: Links
    ) -> None:
        async with open_case(user_links) as case:
            case.sink.most = 512
            case.send([*numbered(200), Frame(1)])
            async with case.running(Filter.id(1)):
                await case.sink.has(1)
                assert case.sink.sizes == [0, 1, "wake"]
                assert case.sink.refusals == 200

    async def test_it_waits_for_room_only_where_there_is_something_to_read(
        self, user_links: Links
    ) -> None:
        async with open_case(user_links) as case:
            case.sink.most = 512
            space = iter([128, 128, 0, 0, 128])

            def room(*, wait: bool) -> int:
                case.sink.waits.append(wait)
                return next(space)

            case.sink.room = room  # type: ignore[method-assign]
            case.send(numbered(300))
            async with case.running() as feed:
                await case.sink.has(256)
                await turns()
                feed.resume()
                await case.sink.has(300)
            # Amid a burst it does not know whether more is there.
            assert case.sink.waits == [True, False, False, True, True]
            assert case.sink.frames == numbered(300)


class TestCatchUp:
    """What waits is handed on at once, for who wants what comes from now on."""

    async def test_all_that_waits_is_handed_on(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.send(numbered(5))
            await case.receiver.receive()  # so that some of it is in the inbox
            case.send(numbered(300, 5))
            async with case.running() as feed:
                assert feed.catch_up()
                assert case.sink.frames == numbered(304, 1)
                assert case.sink.in_callback == {False}
                assert not any(case.sink.waits)
                case.send(numbered(1, 305))
                await case.sink.has(305)  # and then it goes on as ever
            assert case.sink.frames == numbered(305, 1)

    async def test_where_nothing_waits_it_does_nothing(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running() as feed:
            assert feed.catch_up()
            assert case.sink.frames == []

    async def test_it_is_bounded(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.most = 2
            case.send(numbered(100))
            async with case.running() as feed:
                assert not feed.catch_up()
                assert case.sink.frames == numbered(16)
                await case.sink.has(100)
            assert case.sink.frames == numbered(100)

    async def test_without_room_it_leaves_it(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.space = 0
            case.send(numbered(3))
            async with case.running() as feed:
                assert not feed.catch_up()
                assert case.sink.frames == []
                case.sink.space = BATCH
                assert feed.catch_up()
                assert case.sink.frames == numbered(3)

    async def test_amid_a_batch_that_is_handed_on_it_does_nothing(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.space = case.sink.most = 2
            case.send(numbered(6))
            feed = case.open()
            deliver = case.sink.deliver

            def deliver_and_ask(frames: list[AnyFrame], targets: list[Any]) -> None:
                deliver(frames[:1], targets[:1])
                assert not feed.catch_up()  # as who is called with a frame may do
                deliver(frames[1:], targets[1:])

            case.sink.deliver = deliver_and_ask  # type: ignore[method-assign]
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(feed.run)
                    await case.sink.has(6)
                    feed.close()
            assert case.sink.frames == numbered(6)

    async def test_once_it_is_closed_it_reads_nothing(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            async with case.running() as feed:
                pass
            case.send(numbered(2))
            assert feed.catch_up()
            assert case.sink.frames == []
            assert await case.receive(2) == numbered(2)

    async def test_closed_by_who_is_woken(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            feed = case.open()
            case.sink.most = 2
            case.sink.on_wake = feed.close
            case.send(numbered(6))
            feed.catch_up()
            assert case.sink.frames == numbered(2)
            assert await case.receive(4) == numbered(4, 2)

    async def test_an_error_is_told(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running() as feed:
            user_links.down(case.name)
            feed.catch_up()
            assert [type(error) for error in case.sink.errors] == [InterfaceDownError]
            user_links.up(case.name)
            with pytest.raises(InterfaceDownError):
                case.sender.receive_nowait()  # the sender had it too
            case.send(numbered(2))
            feed.catch_up()
            assert case.sink.frames == numbered(2)
            case.send(numbered(1, 2))
            await case.sink.has(3)
            assert case.receiver.statistics().errors == 1

    async def test_a_removed_interface_ends_it(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            feed = case.open()
            user_links.remove(case.name)
            feed.catch_up()
            feed.catch_up()
            with pytest.raises(InterfaceRemovedError), anyio.fail_after(LIMIT):
                await feed.run()
            assert case.receiver.statistics().errors == 1


class TestErrors:
    async def test_a_pending_error_is_told_and_it_goes_on(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running():
            for rounds in (1, 2, 3):
                user_links.down(case.name)
                await case.sink.until(lambda: len(case.sink.errors) >= rounds)  # noqa: B023 - in this turn
                user_links.up(case.name)
                with pytest.raises(InterfaceDownError):
                    case.sender.receive_nowait()  # the sender had it too
                case.send(numbered(1))
                await case.sink.has(rounds)
            assert [type(error) for error in case.sink.errors] == [InterfaceDownError] * 3
            assert case.receiver.statistics().errors == 3

    async def test_one_that_a_send_call_met_is_told_too(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running():
            user_links.down(case.name)
            with pytest.raises(InterfaceDownError):
                case.receiver.send_nowait(Frame(1))
            await case.sink.until(lambda: len(case.sink.errors) >= 1)
            user_links.up(case.name)
            case.receiver.send_nowait(Frame(1))
            with pytest.raises(InterfaceDownError):
                case.sender.receive_nowait()
            case.send(numbered(2))
            await case.sink.has(2)
            assert len(case.sink.errors) == case.receiver.statistics().errors == 1

    async def test_one_amid_a_burst_leaves_no_frame_behind(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.most = 512
            case.send(numbered(200))

            def fail_once(*, wait: bool) -> int:  # noqa: ARG001 - by its name
                if case.sink.asked == 1:
                    user_links.down(case.name)
                case.sink.asked += 1
                return BATCH

            case.sink.room = fail_once  # type: ignore[method-assign]
            async with case.running():
                await case.sink.has(200)
                assert case.sink.frames == numbered(200)
                assert [type(error) for error in case.sink.errors] == [InterfaceDownError]
                # What had been read when it came has been handed on.
                assert case.sink.sizes[:2] == [128, "wake"]

    async def test_a_removed_interface_ends_it(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            feed = case.open()

            async def remove() -> None:
                await anyio.wait_all_tasks_blocked()
                user_links.remove(case.name)

            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(remove)
                    with pytest.raises(InterfaceRemovedError):
                        await feed.run()
            assert case.sink.errors == []
            assert case.receiver.statistics().errors == 1
            for _ in range(2):
                with pytest.raises(InterfaceRemovedError), anyio.fail_after(LIMIT):
                    await case.receiver.receive()

    async def test_one_removed_before_it_runs_ends_it_too(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            feed = case.open()
            user_links.remove(case.name)
            with pytest.raises(InterfaceRemovedError), anyio.fail_after(LIMIT):
                await feed.run()

    async def test_none_of_an_interface_that_is_known_to_be_gone(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            user_links.remove(case.name)
            for _ in range(2):
                with pytest.raises(InterfaceRemovedError), anyio.fail_after(LIMIT):
                    await case.receiver.receive()
                with pytest.raises(InterfaceRemovedError):
                    case.open()

    async def test_one_removed_before_it_was_opened_untold(
        self, user_links: Links, anyio_backend_name: str
    ) -> None:
        async with open_case(user_links) as case:
            user_links.remove(case.name)
            await turns()  # in which asyncio's inbox reads the error
            if anyio_backend_name == "asyncio":
                with pytest.raises(InterfaceRemovedError):
                    case.open()
            else:  # nobody has read it
                feed = case.open()
                with pytest.raises(InterfaceRemovedError), anyio.fail_after(LIMIT):
                    await feed.run()
            with pytest.raises(InterfaceRemovedError), anyio.fail_after(LIMIT):
                await case.receiver.receive()
            assert case.receiver.statistics().errors == 1

    async def test_an_error_of_before_it_was_opened_is_told(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            user_links.down(case.name)
            await turns()  # in which asyncio's inbox reads the error
            user_links.up(case.name)
            async with case.running():
                with pytest.raises(InterfaceDownError):
                    case.sender.receive_nowait()
                case.send(numbered(1))
                await case.sink.has(1)
                await case.sink.until(lambda: len(case.sink.errors) >= 1)
            case.send(numbered(1))
            assert await case.receive(1) == numbered(1)  # and the endpoint does not tell it again
            assert [type(error) for error in case.sink.errors] == [InterfaceDownError]
            assert case.receiver.statistics().errors == 1

    async def test_one_that_a_send_call_met_before_is_told_when_it_runs(
        self, user_links: Links
    ) -> None:
        async with open_case(user_links) as case:
            user_links.down(case.name)
            with pytest.raises(InterfaceDownError):
                case.receiver.send_nowait(Frame(1))
            user_links.up(case.name)
            feed = case.open()
            assert case.sink.errors == []
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(feed.run)
                    await case.sink.until(lambda: len(case.sink.errors) == 1)
                    feed.close()
            assert isinstance(case.sink.errors[0], InterfaceDownError)

    async def test_one_that_was_not_told_is_told_by_the_endpoint(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            user_links.down(case.name)
            with pytest.raises(InterfaceDownError):
                case.receiver.send_nowait(Frame(1))
            user_links.up(case.name)
            case.open().close()
            assert case.sink.errors == []
            with pytest.raises(InterfaceDownError), anyio.fail_after(LIMIT):
                await case.receiver.receive()
            with pytest.raises(InterfaceDownError):
                case.sender.receive_nowait()
            case.send(numbered(1))
            assert await case.receive(1) == numbered(1)

    async def test_one_met_as_the_backlog_ends_is_told_and_it_goes_on(
        self, user_links: Links
    ) -> None:
        async with open_case(user_links) as case:
            case.send(numbered(5))
            await case.receiver.receive()
            case.sink.space = 4  # all that waits: it then looks for more
            feed = case.open()
            user_links.down(case.name)
            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(feed.run)
                    await case.sink.until(lambda: len(case.sink.errors) == 1)
                    user_links.up(case.name)
                    with pytest.raises(InterfaceDownError):
                        case.sender.receive_nowait()
                    case.send(numbered(1, 5))
                    await case.sink.has(5)
                    feed.close()
            assert case.sink.frames == numbered(5, 1)

    async def test_a_removal_met_as_the_backlog_ends_ends_it(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.send(numbered(5))
            await case.receiver.receive()
            case.sink.space = 4
            feed = case.open()
            user_links.remove(case.name)
            with pytest.raises(InterfaceRemovedError), anyio.fail_after(LIMIT):
                await feed.run()
            assert case.sink.frames == numbered(4, 1)

    async def test_a_closed_endpoint_ends_it(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            feed = case.open()

            async def close() -> None:
                await anyio.wait_all_tasks_blocked()
                await case.receiver.aclose()

            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(close)
                    with pytest.raises(anyio.ClosedResourceError):
                        await feed.run()
            feed.close()
            feed.resume()
            case.send(numbered(1))
            await turns()
            assert case.sink.frames == []


class TestOwnership:
    async def test_closed_it_gives_the_endpoint_back(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            for rounds in (1, 2):
                async with case.running() as feed:
                    case.send(numbered(2))
                    await case.sink.has(2 * rounds)
                feed.close()  # a second time does nothing
                case.send(numbered(3))
                assert await case.receive(3) == numbered(3)
            assert case.sink.frames == numbered(2) * 2
            with pytest.raises(anyio.WouldBlock):
                case.receiver.receive_nowait()

    async def test_closed_before_it_runs(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            feed = case.open()
            feed.close()
            with anyio.fail_after(LIMIT):
                await feed.run()
            feed = case.open()
            await case.receiver.aclose()
            with pytest.raises(anyio.ClosedResourceError), anyio.fail_after(LIMIT):
                await feed.run()

    async def test_what_was_not_read_is_for_the_endpoint(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            case.sink.space = 0
            async with case.running():
                case.send(numbered(3))
                await case.sink.until(lambda: case.sink.asked >= 1)
            assert await case.receive(3) == numbered(3)
            assert case.sink.frames == []

    async def test_closed_by_who_is_woken(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            feed = case.open()
            case.sink.on_wake = feed.close
            case.send(numbered(200))
            with anyio.fail_after(LIMIT):
                await feed.run()
            assert case.sink.frames == numbered(128)
            assert await case.receive(72) == numbered(72, 128)

    async def test_nobody_else_receives_meanwhile(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running():
            with pytest.raises(anyio.BusyResourceError):
                await case.receiver.receive()
            with pytest.raises(anyio.BusyResourceError):
                await case.receiver.receive_many()
            with pytest.raises(anyio.BusyResourceError):
                case.receiver.receive_nowait()
            with pytest.raises(anyio.BusyResourceError):
                case.receiver.set_filters(None)
            with pytest.raises(anyio.BusyResourceError):
                case.receiver.set_errors(0)
            case.send(numbered(1))
            await case.sink.has(1)

    async def test_there_is_one_feed(self, user_links: Links) -> None:
        async with open_case(user_links) as case, case.running():
            with pytest.raises(anyio.BusyResourceError):
                case.open()
            case.send(numbered(1))
            await case.sink.has(1)  # the first goes on

    async def test_none_while_a_task_waits_for_a_frame(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            received: list[AnyFrame] = []

            async def receive() -> None:
                received.append(await case.receiver.receive())

            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(receive)
                    await anyio.wait_all_tasks_blocked()
                    with pytest.raises(anyio.BusyResourceError):
                        case.open()
                    case.send(numbered(1))  # and it waits on, undisturbed
            assert received == numbered(1)
            async with case.running():
                case.send(numbered(1))
                await case.sink.has(1)

    async def test_none_of_a_closed_endpoint(self, user_links: Links) -> None:
        async with open_case(user_links) as case:
            await case.receiver.aclose()
            with pytest.raises(anyio.ClosedResourceError):
                case.open()
