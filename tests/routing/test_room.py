"""How much may be read of one source: what its queues have room for, in turn with other sources."""

from __future__ import annotations

import pytest

from anycan.routing.queues import BlockingQueue, FrameQueue
from anycan.routing.room import Room
from rig.routing import numbered

BATCH = 128


class Reader:
    """A source that reads what it may, and of which is kept how often it was resumed."""

    def __init__(self, *queues: FrameQueue) -> None:
        self.resumed = 0
        self.room = Room(self.resume)
        for queue in queues:
            self.room.add(queue)

    def resume(self) -> None:
        self.resumed += 1

    def ask(self) -> int:
        """Ask for room, as who has something to read, and wait in line where there is none."""
        return self.room.free(wait=True)

    def fill(self, queue: FrameQueue) -> int:
        """Read as much as there is room for."""
        count = self.ask()
        for frame in numbered(count):
            queue.put(frame)
        return count


def blocking(capacity: int, *, waiting: int = 0) -> BlockingQueue:
    """Give a queue that blocks, in which frames wait."""
    queue = BlockingQueue(capacity, [])
    for frame in numbered(waiting):
        queue.put(frame)
    return queue


class TestFree:
    def test_a_batch_where_nobody_blocks(self) -> None:
        reader = Reader()
        assert reader.ask() == BATCH
        reader.room.add(FrameQueue(1, []))
        assert reader.ask() == BATCH

    def test_the_least_room_of_those_that_block(self) -> None:
        small, large = blocking(2), blocking(300)
        reader = Reader(large)
        assert reader.ask() == BATCH
        reader.room.add(small)
        assert reader.ask() == 2
        small.put(*numbered(1))
        assert reader.ask() == 1
        small.put(*numbered(1))
        assert reader.ask() == 0
        small.take()
        assert reader.resumed == 1
        assert reader.ask() == 1
        reader.room.remove(small)
        assert reader.ask() == BATCH

    def test_without_waiting_it_is_not_resumed(self) -> None:
        queue = blocking(1, waiting=1)
        reader = Reader(queue)
        assert reader.room.free(wait=False) == 0
        queue.take()
        assert reader.resumed == 0
        assert reader.room.free(wait=False) == 1

    def test_a_queue_that_is_taken_out_lets_it_read_on(self) -> None:
        queue = blocking(1, waiting=1)
        reader = Reader(queue)
        assert reader.ask() == 0
        reader.room.remove(queue)
        assert reader.resumed >= 1
        assert reader.ask() == BATCH
        reader.room.remove(queue)  # a second time is no error

    @pytest.mark.parametrize("readers", [2, 3])
    @pytest.mark.parametrize("capacity", [1, 2, 8])
    def test_those_that_are_busy_read_in_turn(self, capacity: int, readers: int) -> None:
        queue = blocking(capacity)
        busy = [Reader(queue) for _ in range(readers)]
        read = [0] * readers
        while sum(read) < 300:
            for number, reader in enumerate(busy):  # the first one is always the first to ask
                read[number] += reader.fill(queue)
                assert len(queue.items) <= capacity
            queue.take()
        assert max(read) - min(read) <= 2 * capacity

    def test_one_that_reads_no_more_holds_up_nobody(self) -> None:
        queue = blocking(1, waiting=1)
        first, second = Reader(queue), Reader(queue)
        assert (first.ask(), second.ask()) == (0, 0)
        queue.take()
        assert (first.resumed, second.resumed) == (1, 0)
        first.room.close()
        assert second.resumed == 1
        assert second.ask() == 1

    def test_one_that_another_queue_blocks_for_ever_holds_up_nobody(self) -> None:
        shared, stuck = blocking(2, waiting=2), blocking(1)
        blocked, other = Reader(shared, stuck), Reader(shared)
        assert (blocked.ask(), other.ask()) == (0, 0)  # both in line at the shared queue
        stuck.put(*numbered(1))
        assert blocked.ask() == 0
        shared.take_many()
        # It is at the head of the line, and finds out that it cannot read.
        assert blocked.ask() == 0
        for _ in range(5):
            assert other.fill(shared) > 0
            shared.take_many()
        stuck.take()
        assert blocked.resumed >= 1
        assert blocked.ask() == 1

    def test_all_queues_are_left_when_it_is_closed(self) -> None:
        queues = [blocking(1, waiting=1), blocking(1, waiting=1)]
        reader = Reader(*queues)
        assert reader.ask() == 0
        reader.room.close()
        resumed = reader.resumed
        for queue in queues:
            queue.take()
        assert reader.resumed == resumed
        assert reader.ask() == BATCH


class TestBurst:
    @pytest.mark.parametrize(
        ("capacities", "burst"),
        [((), 1024), ((4096,), 1024), ((200, 40), 40), ((1, 16), 16), ((1, 15), 1024)],
    )
    def test_no_more_than_a_queue_for_more_than_a_few_takes(
        self, capacities: tuple[int, ...], burst: int
    ) -> None:
        reader = Reader()
        queues = [FrameQueue(capacity, []) for capacity in capacities]
        for queue in queues:
            reader.room.add(queue)
        assert reader.room.burst() == burst
        for queue in queues:
            reader.room.remove(queue)
            assert reader.room.burst() >= burst
        assert reader.room.burst() == 1024
