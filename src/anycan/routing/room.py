"""How much may be read of one source, so that no queue overflows which need not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anycan.routing.queues import BlockingQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.routing.queues import FrameQueue

_BATCH: Final = 128
_BURST: Final = 1024
_FEW: Final = 16


class Room:
    """The queues that one source fills.

    Args:
        resume: Has the source read on, once a queue that had no room for it has some.
    """

    def __init__(self, resume: Callable[[], object]) -> None:
        self._resume = resume
        self._queues: dict[FrameQueue, None] = {}
        self._blocking: dict[BlockingQueue, None] = {}
        self._burst: int | None = None

    def add(self, queue: FrameQueue) -> None:
        """Look at a queue too."""
        self._queues[queue] = self._burst = None
        if isinstance(queue, BlockingQueue):
            self._blocking[queue] = None

    def remove(self, queue: FrameQueue) -> None:
        """Look at a queue no more; one that is not there is no error."""
        self._queues.pop(queue, None)
        self._burst = None
        if isinstance(queue, BlockingQueue):
            self._blocking.pop(queue, None)
            queue.release(self._resume)
            self._resume()  # it may have waited for this one alone

    def close(self) -> None:
        """Look at no queue any more, and hold up no other source."""
        for queue in list(self._queues):
            self.remove(queue)

    def free(self, *, wait: bool) -> int:
        """Give how many frames may be read now; 0: none.

        Args:
            wait: Where there is no room, wait in line for it, to be resumed; a source that does
                must have something to read, since those behind it wait until it has read.
        """
        room = _BATCH
        for queue in self._blocking:
            room = min(room, queue.room_for(self._resume, wait=wait))
            if not room:
                if wait:  # not in two lines: those behind it would wait for both queues
                    for other in self._blocking:
                        if other is not queue:
                            other.release(self._resume)
                break
        return room

    def burst(self) -> int:
        """Give how many frames may be read before they are handed on.

        No more than the least queue takes: a handler that is fast loses nothing to a burst that it
        had no time to see. Of queues for a few frames alone that is not looked at: who wants the
        newest, or one, shall not have all others read in such small parts.
        """
        if self._burst is None:
            capacities = (queue.capacity for queue in self._queues)
            self._burst = min((one for one in capacities if one >= _FEW), default=_BURST)
            self._burst = min(self._burst, _BURST)
        return self._burst
