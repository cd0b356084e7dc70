"""Bounded queues: what each does when there is no room, alone and between endpoint and taker."""

from __future__ import annotations

import functools
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

import anycan
from anycan import Filter, Frame, Router, SubscriptionOverflowError
from anycan.routing.queues import QUEUES, BlockingQueue, FrameQueue
from rig.routing import LIMIT, MARKER, numbered, open_bus, running, send_and_pass, until

if TYPE_CHECKING:
    from anycan import AnyFrame, FrameSubscription
    from anycan.routing.queues import Overflow
    from rig.links import Links


def blocking(capacity: int, *, waiting: int) -> BlockingQueue:
    """Give a queue that blocks, in which frames wait."""
    queue = BlockingQueue(capacity, [])
    for frame in numbered(waiting):
        queue.put(frame)
    return queue


class TestAlone:
    @pytest.mark.parametrize(
        ("policy", "capacity", "left"),
        [
            ("drop_oldest", 3, [2, 3, 4]),
            ("drop_oldest", 1, [4]),
            ("drop_newest", 3, [0, 1, 2]),
            ("drop_newest", 1, [0]),
            ("raise", 3, [0, 1, 2]),
            ("raise", 1, [0]),
        ],
    )
    def test_what_is_left_of_five(self, policy: str, capacity: int, left: list[int]) -> None:
        queue = QUEUES[policy](capacity, [])
        frames = numbered(5)
        for frame in frames:
            queue.put(frame)
        assert queue.take_many() == [frames[number] for number in left]
        assert queue.dropped == 5 - len(left)
        assert queue.high_water == capacity
        assert queue.overflowed is (policy == "raise")

    @given(
        policy=st.sampled_from(["drop_oldest", "drop_newest", "latest_per_id"]),
        capacity=st.integers(1, 4),
        few=st.integers(1, 5),
        steps=st.lists(
            st.one_of(
                st.tuples(st.just("put"), st.integers(0, 3)),
                st.tuples(st.just("take"), st.integers(1, 5)),
                st.tuples(st.just("take all"), st.just(0)),
                st.tuples(st.just("drop all"), st.just(0)),
            ),
            max_size=30,
        ),
    )
    def test_it_does_what_a_list_would(
        self, policy: str, capacity: int, few: int, steps: list[tuple[str, int]]
    ) -> None:
        with patch("anycan.routing.queues._FEW", few):  # at which it becomes another kind of queue
            self.compare_with_a_list(policy, capacity, steps)

    def compare_with_a_list(self, policy: str, capacity: int, steps: list[tuple[str, int]]) -> None:
        queue = QUEUES[policy](capacity, [])
        model: list[Frame] = []
        put = taken = highest = 0
        for number, (step, argument) in enumerate(steps):
            if step == "put":
                frame = Frame(0x100 + argument, bytes([number]))
                queue.put(frame)
                put += 1
                same = [one for one in model if one.id == frame.id]
                if policy == "latest_per_id" and same:
                    model.remove(same[0])
                    model.append(frame)
                elif len(model) < capacity:
                    model.append(frame)
                elif policy != "drop_newest":
                    model = [*model[1:], frame]
                highest = max(highest, len(model))
            elif step == "take":
                expected = model[:argument]
                assert queue.take_many(argument) == expected
                model = model[argument:]
                taken += len(expected)
            elif step == "take all":
                taken += len(model)
                assert queue.take_many() == model
                model = []
            else:
                queue.drop_all()
                model = []
            assert len(queue.items) == len(model) <= capacity
            assert queue.dropped == put - taken - len(model)
            assert queue.high_water == highest
        while model:
            assert queue.take() == model.pop(0)
        assert not queue.items

    @pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "block", "raise"])
    def test_it_becomes_one_of_many_and_stays_it(self, policy: str) -> None:
        queue = QUEUES[policy](1000, [])
        frames = [Frame(number) for number in range(300)]
        few = queue.items
        for frame in frames[:128]:
            queue.put(frame)
        assert queue.items is few
        assert queue.take() == frames[0]
        queue.put(frames[128])
        assert queue.items is few
        for frame in frames[129:]:
            queue.put(frame)
        assert queue.items is not few
        assert not few
        assert queue.take() == frames[1]
        assert queue.take_many() == frames[2:]
        many = queue.items
        queue.close()
        queue.open(1000)
        for frame in frames:
            queue.put(frame)
        assert queue.items is many
        assert [queue.take() for _ in frames] == frames

    def test_the_latest_of_each_identifier_on_each_interface(self) -> None:
        queue = QUEUES["latest_per_id"](3, [])
        frames: list[AnyFrame] = [
            Frame(1, b"a", interface="can0"),
            Frame(1, b"b", interface="can1"),
            Frame(2, b"c", interface="can0"),
            Frame(1, b"d", interface="can0"),
            anycan.RemoteFrame(1, interface="can0"),  # another thing than data of its identifier
            Frame(1, b"e", extended=True, interface="can0"),
        ]
        for frame in frames[:4]:
            queue.put(frame)
        assert queue.dropped == 1  # the replaced one
        assert list(queue.items.values()) == [frames[1], frames[2], frames[3]]
        for frame in frames[4:]:
            queue.put(frame)
        assert queue.take_many() == frames[3:]
        assert queue.dropped == 3
        assert queue.high_water == 3

    def test_one_that_raised_takes_no_more_even_if_there_is_room(self) -> None:
        queue = QUEUES["raise"](1, [])
        first, second, third = numbered(3)
        queue.put(first)
        queue.put(second)
        assert queue.take() == first
        queue.put(third)
        assert not queue.items
        assert queue.dropped == 2
        assert queue.overflowed

    @pytest.mark.parametrize("policy", QUEUES)
    def test_one_that_is_closed_takes_no_more_and_counts_what_comes(self, policy: str) -> None:
        queue = QUEUES[policy](2, [])
        for identifier in (1, 2):
            queue.put(Frame(identifier))
        queue.close()
        for identifier in (1, 2, 3):
            queue.put(Frame(identifier))
        assert not queue.items
        assert queue.dropped == 5
        assert queue.most_waiting == 2

    @pytest.mark.parametrize("policy", QUEUES)
    def test_one_that_is_opened_again_takes_frames_again(self, policy: str) -> None:
        queue = QUEUES[policy](2, [])
        for frame in numbered(2):
            queue.put(frame)
        queue.close()
        queue.put(MARKER)
        queue.open(2)
        assert queue.most_waiting >= 1
        dropped = queue.dropped
        frames = [Frame(1), Frame(2)]
        for frame in frames:
            queue.put(frame)
        assert queue.take_many() == frames
        assert queue.dropped == dropped
        assert queue.most_waiting == 2 if policy != "latest_per_id" else 1

    @pytest.mark.parametrize("policy", QUEUES)
    def test_it_asks_to_be_woken_once_for_all_that_comes(self, policy: str) -> None:
        ready: list[FrameQueue] = []
        queue = QUEUES[policy](4, ready)
        for frame in numbered(4):
            queue.put(frame)
        assert ready == [queue]
        ready.clear()
        queue.take_many()
        queue.put(MARKER)
        assert ready == [queue]

    def test_whoever_waits_is_woken_when_it_raises(self) -> None:
        ready: list[FrameQueue] = []
        queue = QUEUES["raise"](1, ready)
        queue.put(MARKER)
        ready.clear()
        queue.put(MARKER)
        assert ready == [queue]

    @pytest.mark.parametrize("way", ["take", "take_many", "take_many(1)", "drop_all", "close"])
    def test_a_source_in_line_is_told_of_room(self, way: str) -> None:
        queue = blocking(2, waiting=2)
        told: list[str] = []

        def resume() -> None:
            told.append("one")

        def resume_other() -> None:
            told.append("other")

        for one in (resume, resume_other, resume):
            assert queue.room_for(one, wait=True) == 0
        assert told == []
        match way:
            case "take":
                queue.take()
            case "take_many":
                queue.take_many()
            case "take_many(1)":
                queue.take_many(1)
            case "drop_all":
                queue.drop_all()
            case _:
                queue.close()
        assert set(told) == {"one"}  # whose turn it is, and which tells the next one when it reads

    def test_sources_come_in_turn_each_with_a_share(self) -> None:
        queue = blocking(6, waiting=6)
        told: list[int] = []
        sources = [functools.partial(told.append, number) for number in range(3)]
        for one in sources:
            assert queue.room_for(one, wait=True) == 0
        queue.take_many()
        assert told == [0]
        assert queue.room_for(sources[2], wait=True) == 0  # it is not its turn
        assert queue.room_for(sources[0], wait=True) == 2  # of 6 that 3 want
        assert told[1:] == [0, 1]
        for frame in numbered(2):
            queue.put(frame)
        assert queue.room_for(sources[0], wait=True) == 0  # now it is the last one in line
        assert queue.room_for(sources[1], wait=True) == 2  # of 4 that two others want as well
        for frame in numbered(2):
            queue.put(frame)
        assert queue.room_for(sources[2], wait=True) == 1
        queue.put(MARKER)
        assert queue.room_for(sources[0], wait=True) == 1  # it is alone, and has what is left

    def test_a_share_is_one_frame_at_least(self) -> None:
        queue = blocking(1, waiting=1)
        told: list[int] = []
        sources = [functools.partial(told.append, number) for number in range(3)]
        for one in sources:
            queue.room_for(one, wait=True)
        queue.take()
        assert queue.room_for(sources[0], wait=True) == 1

    def test_one_that_does_not_wait_is_not_put_in_line(self) -> None:
        queue = blocking(1, waiting=1)
        told: list[str] = []
        assert queue.room_for(lambda: told.append("one"), wait=False) == 0
        queue.take()
        assert told == []

    def test_one_that_does_not_wait_takes_no_room_of_those_in_line(self) -> None:
        queue = blocking(2, waiting=2)
        told: list[str] = []
        queue.room_for(lambda: told.append("in line"), wait=True)
        queue.take()
        assert queue.room_for(lambda: told.append("other"), wait=False) == 0
        assert set(told) == {"in line"}

    def test_one_that_reads_no_more_gives_its_turn_away(self) -> None:
        queue = blocking(1, waiting=1)
        told: list[int] = []
        sources = [functools.partial(told.append, number) for number in range(2)]
        queue.release(sources[0])  # it is not in line: that is no error
        assert told == []
        for one in sources:
            queue.room_for(one, wait=True)
        queue.take()
        queue.release(sources[0])
        assert told == [0, 1]
        assert queue.room_for(sources[1], wait=True) == 1

    def test_a_source_that_reads_more_than_there_is_room_for_is_a_defect(self) -> None:
        queue = QUEUES["block"](1, [])
        queue.put(MARKER)
        with pytest.raises(AssertionError, match="room"):
            queue.put(MARKER)

    @pytest.mark.anyio
    async def test_waiting(self) -> None:
        queue = FrameQueue(1, [])
        assert not queue.awaited
        queue.wake_soon()  # nobody is there
        woken: list[str] = []

        async def wait() -> None:
            await queue.wait()
            woken.append("woken")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(lambda: queue.awaited)
            queue.wake_soon()
            await until(lambda: woken)
        assert not queue.awaited


@pytest.mark.anyio
class TestRouted:
    @pytest.mark.parametrize(
        ("policy", "capacity", "left"),
        [
            ("drop_oldest", 3, [7, 8, 9]),
            ("drop_oldest", 1, [9]),
            ("drop_newest", 3, [0, 1, 2]),
            ("drop_newest", 1, [0]),
            ("latest_per_id", 3, [9]),
        ],
    )
    async def test_a_stream_that_nobody_reads(
        self, user_links: Links, policy: Overflow, capacity: int, left: list[int]
    ) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        frames = numbered(10)
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            running(router, can),
            router.subscribe(Filter.id(0x100), capacity=capacity, overflow=policy) as full,
            router.subscribe(Filter.id(0x100)) as roomy,
        ):
            await send_and_pass(router, other, *frames)
            assert await roomy.receive_many() == frames
            statistics = full.statistics()
            assert statistics.waiting == len(left)
            assert statistics.high_water == len(left)
            assert statistics.dropped == 10 - len(left)
            assert await full.receive_many() == [frames[number] for number in left]
            assert full.statistics().delivered == len(left)

    async def test_the_latest_of_each_identifier_in_the_order_in_which_they_came(
        self, user_links: Links
    ) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            running(router, can),
            router.subscribe(Filter.range(1, 3), overflow="latest_per_id") as latest,
        ):
            values = [(1, b"a"), (2, b"b"), (1, b"c"), (3, b"d"), (2, b"e"), (2, b"f")]
            await send_and_pass(router, other, *[Frame(*value) for value in values])
            assert latest.statistics().dropped == 3
            assert await latest.receive_many() == [Frame(1, b"c"), Frame(3, b"d"), Frame(2, b"f")]

    async def test_raise_in_a_stream(self, user_links: Links) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        frames = numbered(5)
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            running(router, can),
            router.subscribe(Filter.id(0x100), name="strict", capacity=2, overflow="raise") as full,
            router.subscribe(Filter.id(0x100)) as roomy,
        ):
            await send_and_pass(router, other, *frames)
            assert await full.receive() == frames[0]
            assert full.receive_nowait() == frames[1]
            for receive in (full.receive, full.receive_many):
                with pytest.raises(SubscriptionOverflowError, match="strict: 2 frames waited"):
                    await receive()
            with pytest.raises(SubscriptionOverflowError, match="strict"):
                full.receive_nowait()
            statistics = full.statistics()
            assert (statistics.delivered, statistics.dropped, statistics.waiting) == (2, 3, 0)
            assert await roomy.receive_many() == frames  # the others go on
            await send_and_pass(router, other, *numbered(1, 5))
            assert await roomy.receive_many() == numbered(1, 5)
            assert full.statistics().dropped == 4

    async def test_raise_wakes_a_receiver_once_it_has_all_from_before(
        self, user_links: Links
    ) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        received: list[AnyFrame] = []
        ended: list[str] = []

        async def receive(stream: FrameSubscription) -> None:
            try:
                while True:
                    received.append(await stream.receive())
            except SubscriptionOverflowError as error:
                ended.append(str(error))

        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            running(router, can),
            router.subscribe(Filter.id(0x100), capacity=2, overflow="raise") as full,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(receive, full)
            await until(lambda: full.queue.awaited)
            await send_and_pass(router, other, *numbered(5))
            await until(lambda: ended)
        assert received == numbered(2)
        assert len(ended) == 1

    async def test_raise_in_a_handler_ends_the_router(self, user_links: Links) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        got: list[AnyFrame] = []
        one = router.add(Filter.id(0x100), got.append, name="speed", capacity=2, overflow="raise")
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
        ):
            await other.send_many(numbered(5))
            with anyio.fail_after(LIMIT), pytest.raises(SubscriptionOverflowError, match="speed"):
                await router.run(can)
        assert got == numbered(2)
        statistics = one.statistics()
        assert (statistics.delivered, statistics.dropped, statistics.waiting) == (2, 3, 0)


def held(stream: anycan.Subscription) -> dict[Any, None]:
    """Give the sources that a subscription holds up."""
    queue = getattr(stream, "queue", None)
    assert isinstance(queue, BlockingQueue)
    return queue._held


@pytest.mark.anyio
class TestBlocking:
    @pytest.mark.parametrize("capacity", [1, 3])
    @pytest.mark.parametrize("before", [False, True], ids=["running", "waiting-before"])
    async def test_nothing_is_lost_and_others_wait(
        self, user_links: Links, capacity: int, before: bool
    ) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        frames = numbered(20)
        others: list[AnyFrame] = []
        fast = router.add(Filter.id(0x100), others.append)

        def passed() -> int:
            statistics = fast.statistics()
            return statistics.delivered + statistics.waiting

        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            router.subscribe(Filter.id(0x100), capacity=capacity, overflow="block") as slow,
        ):
            if before:  # some are in the endpoint's inbox
                await other.send_many(frames)
                await until(lambda: can.statistics().received or not can._inbox.busy)
                can._inbox.read()
            async with running(router, can):
                if not before:
                    await other.send_many(frames)
                for position in range(20):
                    expected = min(position + capacity, 20)
                    await until(lambda expected=expected: passed() == expected)  # type: ignore[misc]
                    for _ in range(3):
                        await checkpoint()  # in which no more comes
                    assert passed() == expected
                    assert await slow.receive() == frames[position]
        statistics = slow.statistics()
        assert statistics.high_water == capacity
        assert (statistics.delivered, statistics.dropped) == (20, 0)
        assert others == frames

    async def test_a_handler_holds_up_the_source(self, user_links: Links) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        turns = anyio.Semaphore(0)
        got: list[AnyFrame] = []
        others: list[AnyFrame] = []

        async def slow(frame: AnyFrame) -> None:
            await turns.acquire()
            got.append(frame)

        one = router.add(Filter.id(0x100), slow, capacity=2, overflow="block")
        router.add(Filter.id(0x100), others.append)
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            running(router, can),
        ):
            await other.send_many(numbered(10))
            await until(lambda: held(one))
            # One is being handled, two wait.
            await until(lambda: len(others) == 3)
            for _ in range(10):
                turns.release()
            await until(lambda: len(got) == 10)
        assert got == others == numbered(10)
        assert one.statistics().high_water == 2
        assert one.statistics().dropped == 0

    async def test_one_queue_holds_up_two_endpoints(self, user_links: Links) -> None:
        network = user_links.network
        names = user_links.add(), user_links.add()
        router = Router()
        async with AsyncExitStack() as stack:
            cans, others = [
                [
                    await stack.enter_async_context(anycan.open_raw(name, network=network))
                    for name in names
                ]
                for _ in range(2)
            ]
            await stack.enter_async_context(running(router, *cans))
            slow = await stack.enter_async_context(
                router.subscribe(Filter.id(0x100), capacity=2, overflow="block")
            )
            for other in others:
                await other.send_many(numbered(10))
            await until(lambda: len(held(slow)) == 2)
            assert slow.statistics().waiting == 2
            received: list[AnyFrame] = []
            with anyio.fail_after(LIMIT):
                while len(received) < 20:
                    received.append(await slow.receive())
        for name in names:
            assert [one for one in received if one.interface == name] == numbered(10)
        assert slow.statistics().high_water == 2
        assert slow.statistics().dropped == 0

    async def test_two_that_block_are_both_waited_for(self, user_links: Links) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            running(router, can),
            router.subscribe(Filter.id(0x100), capacity=2, overflow="block") as one,
            router.subscribe(Filter.id(0x100), capacity=3, overflow="block") as two,
        ):
            await other.send_many(numbered(9))
            received: dict[FrameSubscription, list[AnyFrame]] = {one: [], two: []}
            with anyio.fail_after(LIMIT):
                for _ in range(9):  # each takes one, and the endpoint waits for the other
                    for stream, taken in received.items():
                        taken.append(await stream.receive())
            assert received == {one: numbered(9), two: numbered(9)}
            assert one.statistics().high_water == 2
            assert two.statistics().high_water <= 3

    async def test_one_that_is_closed_lets_the_source_go_on(self, user_links: Links) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        others: list[AnyFrame] = []
        router.add(Filter.id(0x100), others.append)
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            running(router, can),
        ):
            async with router.subscribe(Filter.id(0x100), capacity=1, overflow="block") as slow:
                await other.send_many(numbered(5))
                await until(lambda: held(slow) and others)
                assert others == numbered(1)
            await until(lambda: len(others) == 5)
        assert others == numbered(5)
        assert slow.statistics().dropped == 1

    @pytest.mark.parametrize("drain", [True, False])
    async def test_the_router_can_be_stopped_meanwhile(
        self, user_links: Links, drain: bool
    ) -> None:
        name, network = user_links.add(), user_links.network
        router = Router()
        async with (
            anycan.open_raw(name, network=network) as can,
            anycan.open_raw(name, network=network) as other,
            router.subscribe(Filter.id(0x100), capacity=1, overflow="block") as slow,
        ):
            with anyio.fail_after(LIMIT):
                async with running(router, can):
                    await other.send_many(numbered(3))
                    await until(lambda: held(slow))
                    router.stop(drain=drain)
            statistics = slow.statistics()
            assert statistics.waiting == int(drain)
            assert statistics.high_water == 1
            # What the router did not read is the endpoint's: nothing is lost that is not counted.
            passed = statistics.waiting + statistics.dropped
            assert passed >= 1
            with anyio.fail_after(LIMIT):
                rest = [await can.receive() for _ in range(3 - passed)]
            assert rest == numbered(3 - passed, passed)

    @pytest.mark.parametrize("batch", [False, True])
    @pytest.mark.parametrize("capacity", [1, 8])
    async def test_busy_endpoints_are_read_in_turn(
        self, user_links: Links, capacity: int, batch: bool
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []

        async def slow(given: Any) -> None:
            await checkpoint()
            got.extend(given if batch else [given])

        router.add(Filter.id(0x100), slow, capacity=capacity, overflow="block", batch=batch)
        async with AsyncExitStack() as stack:
            buses = [await stack.enter_async_context(open_bus(user_links)) for _ in range(3)]
            for bus in buses:
                await bus.other.send_many(numbered(150))
            await stack.enter_async_context(running(router, *(bus.can for bus in buses)))
            await until(lambda: len(got) == 450)
        read = dict.fromkeys((bus.name for bus in buses), 0)
        for frame in got[:300]:  # as long as all of them are busy, if they come in turn
            assert frame.interface is not None
            read[frame.interface] += 1
            assert max(read.values()) - min(read.values()) <= 2 * capacity
        for name in read:
            assert [one for one in got if one.interface == name] == numbered(150)

    async def test_two_that_block_and_two_busy_endpoints(self, user_links: Links) -> None:
        router = Router()
        got: dict[str, list[AnyFrame]] = {"one": [], "two": []}

        def add(name: str, capacity: int, turns: int) -> None:
            async def slow(frame: AnyFrame) -> None:
                for _ in range(turns):
                    await checkpoint()
                got[name].append(frame)

            router.add(Filter.id(0x100), slow, capacity=capacity, overflow="block")

        add("one", 3, 1)
        add("two", 5, 4)
        async with (
            open_bus(user_links) as first,
            open_bus(user_links) as second,
            running(router, first.can, second.can),
        ):
            for bus in (first, second):
                await bus.other.send_many(numbered(100))
            await until(lambda: len(got["one"]) == len(got["two"]) == 200)
        for taken in got.values():
            for bus in (first, second):
                assert [one for one in taken if one.interface == bus.name] == numbered(100)
        assert router.statistics().dropped == 0

    @pytest.mark.parametrize("way", ["closed", "removed"])
    async def test_an_endpoint_that_ends_while_it_is_held_up_lets_others_go_on(
        self, user_links: Links, way: str
    ) -> None:
        router = Router(on_fault=lambda _: None)
        async with (
            open_bus(user_links) as first,
            open_bus(user_links) as second,
            running(router, first.can, second.can),
            router.subscribe(Filter.id(0x100), capacity=1, overflow="block") as slow,
        ):
            await first.other.send_many(numbered(3))
            await until(lambda: len(held(slow)) == 1)
            await second.other.send_many(numbered(10))
            await until(lambda: len(held(slow)) == 2)
            if way == "closed":
                await first.can.aclose()
            else:
                user_links.remove(first.name)
            received: list[AnyFrame] = []
            with anyio.fail_after(LIMIT):
                while len([one for one in received if one.interface == second.name]) < 10:
                    received.append(await slow.receive())
        assert [one for one in received if one.interface == second.name] == numbered(10)

    async def test_an_endpoint_that_waits_for_another_queue_for_ever_holds_up_nobody(
        self, user_links: Links
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []
        router.add(Filter.id(0x100), got.append, capacity=2, overflow="block")
        async with open_bus(user_links) as stuck, open_bus(user_links) as free:
            wanted = Filter.interface(stuck.name)
            async with (
                running(router, stuck.can, free.can),
                router.subscribe(wanted, capacity=1, overflow="block") as nobody_reads,
            ):
                await stuck.other.send_many(numbered(10))
                await until(lambda: held(nobody_reads))
                await free.other.send_many(numbered(100))
                await until(lambda: len(got) == 101)
                assert nobody_reads.statistics().waiting == 1
        assert [one for one in got if one.interface == free.name] == numbered(100)

    async def test_one_of_another_interface_does_not_hold_up_an_endpoint(
        self, user_links: Links
    ) -> None:
        router = Router()
        got: list[AnyFrame] = []
        async with open_bus(user_links) as one, open_bus(user_links) as two:
            router.add(Filter.interface(two.name), got.append)
            wanted = Filter.interface(one.name)
            async with (
                running(router, one.can, two.can),
                router.subscribe(wanted, capacity=1, overflow="block") as slow,
            ):
                await one.other.send_many(numbered(3))
                await until(lambda: held(slow))
                await two.other.send_many(numbered(100))
                await until(lambda: len(got) == 100)
                assert slow.statistics().waiting == 1
        assert got == numbered(100)


@pytest.mark.anyio
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("few", [1, 2, 5, 128])
async def test_a_handler_goes_on_while_its_queue_becomes_one_of_many(
    monkeypatch: pytest.MonkeyPatch, batch: bool, few: int
) -> None:
    monkeypatch.setattr("anycan.routing.queues._FEW", few)
    frames: list[AnyFrame] = [Frame(number) for number in range(400)]
    seen: list[AnyFrame] = []
    router = Router()

    async def handle(one: Any) -> None:
        seen.extend(one if batch else [one])
        if len(seen) % 7 == 0:
            await checkpoint()

    router.add(Filter.all(), handle, batch=batch, capacity=1000)
    async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
        network.add_vcan("vcan0")
        async with (
            anycan.open_raw("vcan0", network=network) as can,
            anycan.open_raw("vcan0", network=network, filters=[]) as sender,
        ):
            await tasks.start(lambda task_status: router.run(can, task_status=task_status))
            start = 0
            for count in (1, 2, 3, 4, 5, 6, 1, 128, 130, 1, 119):
                await sender.send_many(frames[start : start + count])
                start += count
                await checkpoint()
            await until(lambda: len(seen) == len(frames))
            router.stop()
    assert seen == frames
