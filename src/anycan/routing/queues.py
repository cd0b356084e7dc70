"""Bounded queues of frames, one for each thing to do when there is no room."""

from __future__ import annotations

from collections import OrderedDict, deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from anycan.endpoints.waiter import open_waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.endpoints.waiter import TrioWaiter, Waiter
    from anycan.frame import AnyFrame

_FEW: Final = 128  # of which the first is taken from a list as fast as from a deque

Overflow = Literal["drop_oldest", "drop_newest", "latest_per_id", "block", "raise"]


class FrameQueue:
    """Frames that wait for one subscription; when there is no room, the oldest is dropped.

    A frame costs a comparison and an append; how full the queue is, is looked at only where it is
    fuller than it ever was. Until many wait it is a list: a deque takes 800 bytes, and where frames
    go to thousands of queues in turn, each put waits for the memory.

    Args:
        capacity: How many wait at most, from 1.
        ready: Where the queue puts itself when its first frame comes, so that whoever waits for it
            is woken once the whole batch is there.

    Attributes:
        items: What waits; another object when many do for the first time. The former one is empty.
        take: Gives the oldest frame; there must be one. It changes with ``items``.
        dropped: How many frames were lost.
        high_water: How many waited at most; fewer, and there is room.
        overflowed: There was no room, where that is to end the subscription.
        waiter: What whoever waits for a frame awaits; None: nobody has waited yet.
    """

    # Frames go to thousands of queues in turn: a dict for each costs another trip to memory.
    __slots__ = (
        "_peak",
        "_ready",
        "capacity",
        "dropped",
        "high_water",
        "items",
        "overflowed",
        "take",
        "waiter",
    )

    def __init__(self, capacity: int, ready: list[FrameQueue]) -> None:
        self.items: Any = []
        self.take: Callable[[], AnyFrame] = partial(self.items.pop, 0)
        self.capacity = capacity
        self.dropped = 0
        self.high_water = 0
        self._peak = 0
        self.overflowed = False
        self._ready = ready
        self.waiter: Waiter | TrioWaiter | None = None

    def put(self, frame: AnyFrame) -> None:
        """Take a frame in."""
        items = self.items
        count = len(items)
        if count >= self.high_water:
            if count >= self.capacity:
                if self.capacity:
                    self._overflow(frame)
                else:  # it has been closed, in the middle of the batch
                    self.dropped += 1
                return
            if count == _FEW:
                items = self._grow()
            self.high_water = count + 1
        if not count:
            self._ready.append(self)
        items.append(frame)

    def _grow(self) -> Any:
        """Become a queue of many."""
        few = self.items
        if few.__class__ is list:
            self.items = deque(few)
            self.take = self.items.popleft
            few.clear()
        return self.items

    def _overflow(self, frame: AnyFrame) -> None:
        self.take()
        self.items.append(frame)
        self.dropped += 1

    def take_many(self, limit: int | None = None) -> list[AnyFrame]:
        """Give the oldest frames, up to so many; None: all."""
        items = self.items
        if limit is not None and limit < len(items):
            return [self.take() for _ in range(limit)]
        frames = list(items)
        items.clear()
        return frames

    def drop_all(self) -> None:
        """Drop what waits."""
        self.dropped += len(self.items)
        self.items.clear()

    def open(self, capacity: int) -> None:
        """Let frames in, after it was closed."""
        self.capacity = capacity
        self.high_water = max(self.high_water, 0)

    def close(self) -> None:
        """Drop what waits, and let nothing in any more."""
        self.drop_all()
        self._peak = max(self._peak, self.high_water)
        self.capacity = 0
        self.high_water = -1  # so that the next frame is looked at

    @property
    def most_waiting(self) -> int:
        """The most that ever waited at once."""
        return max(self._peak, self.high_water)

    @property
    def awaited(self) -> bool:
        """Whether a task waits for a frame."""
        return self.waiter is not None and not self.waiter.done()

    def wait(self) -> Waiter | TrioWaiter:
        """Give what to await until a frame may be there; one task at a time."""
        if self.waiter is None:
            self.waiter = open_waiter()
        return self.waiter

    def wake_soon(self) -> None:
        """Have whoever waits run soon."""
        if self.waiter is not None:
            self.waiter.wake_soon()

    def forget_loop(self) -> None:
        """Be of use in another event loop; nobody waits."""
        self.waiter = None


class NewestDroppedQueue(FrameQueue):
    """A queue that lets nothing in while it is full."""

    __slots__ = ()

    def _overflow(self, frame: AnyFrame) -> None:  # noqa: ARG002 - it is dropped
        self.dropped += 1


class RaisingQueue(FrameQueue):
    """A queue whose subscription ends when it is full: it then takes no more."""

    __slots__ = ()

    def put(self, frame: AnyFrame) -> None:
        """Take a frame in, unless one before it found no room."""
        if self.overflowed:
            self.dropped += 1
        else:
            super().put(frame)

    def _overflow(self, frame: AnyFrame) -> None:  # noqa: ARG002 - it is dropped
        self.dropped += 1
        self.overflowed = True
        self._ready.append(self)


class BlockingQueue(FrameQueue):
    """A queue that holds up its sources while it is full.

    Sources ask for its room before they read, so that it never overflows. Those that it has none
    for wait in line.
    """

    __slots__ = ("_held", "_oldest")

    def __init__(self, capacity: int, ready: list[FrameQueue]) -> None:
        super().__init__(capacity, ready)
        self._oldest = self.take
        self.take = self._take
        self._held: dict[Callable[[], object], None] = {}

    def room_for(self, resume: Callable[[], object], *, wait: bool) -> int:
        """Give how many frames a source may read now; 0: none.

        Sources that have been held up come in turn, each with a share of the room: the one that
        reads first would else take all of it, again and again.

        Args:
            resume: Has the source read on.
            wait: Where there is no room, it waits in line, to be resumed.
        """
        left = self.capacity - len(self.items)
        held = self._held
        first = next(iter(held), None)
        if left > 0 and first in (None, resume):
            held.pop(resume, None)
            self._tell()  # the next one may read at the same time, its own share
            return -(-left // (len(held) + 1))
        if wait:
            held[resume] = None
        if left > 0:
            self._tell()  # it is the turn of another one
        return 0

    def release(self, resume: Callable[[], object]) -> None:
        """Forget a source, which reads no more."""
        if self._held.pop(resume, self) is None:
            self._tell()

    def _take(self) -> AnyFrame:
        frame = self._oldest()
        self._tell()
        return frame

    def _grow(self) -> Any:
        """Become a queue of many."""
        if self.items.__class__ is list:
            super()._grow()
            self._oldest, self.take = self.take, self._take
        return self.items

    def take_many(self, limit: int | None = None) -> list[AnyFrame]:
        """Give the oldest frames, and let the sources read on."""
        frames = super().take_many(limit)
        self._tell()
        return frames

    def drop_all(self) -> None:
        """Drop what waits, and let the sources read on."""
        super().drop_all()
        self._tell()

    def _tell(self) -> None:
        for resume in self._held:
            resume()
            break

    def _overflow(self, frame: AnyFrame) -> None:  # noqa: ARG002 - there is room, always
        raise AssertionError("a source read more than there is room for")


class LatestQueue(FrameQueue):
    """A queue that keeps the newest frame of each identifier on each interface.

    A newer frame goes to the end, so that frames leave in the order in which they came.
    """

    __slots__ = ()

    def __init__(self, capacity: int, ready: list[FrameQueue]) -> None:
        super().__init__(capacity, ready)
        self.items = OrderedDict()
        self.take = self._take

    def put(self, frame: AnyFrame) -> None:
        """Take a frame in."""
        if not self.capacity:
            self.dropped += 1
            return
        items = self.items
        key = (frame.can_id, frame.interface)
        if not items:
            self._ready.append(self)
        if key in items:
            self.dropped += 1
            items.move_to_end(key)
        elif len(items) >= self.capacity:
            self.dropped += 1
            items.popitem(last=False)
        items[key] = frame
        self.high_water = max(self.high_water, len(items))

    def _take(self) -> AnyFrame:
        frame: AnyFrame = self.items.popitem(last=False)[1]
        return frame

    def take_many(self, limit: int | None = None) -> list[AnyFrame]:
        """Give the frames that came first."""
        items = self.items
        if limit is not None and limit < len(items):
            return [self.take() for _ in range(limit)]
        frames = list(items.values())
        items.clear()
        return frames


QUEUES: Final[dict[str, type[FrameQueue]]] = {
    "drop_oldest": FrameQueue,
    "drop_newest": NewestDroppedQueue,
    "latest_per_id": LatestQueue,
    "block": BlockingQueue,
    "raise": RaisingQueue,
}
