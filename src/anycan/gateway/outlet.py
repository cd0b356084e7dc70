"""Sending to one destination: at once where it takes frames, else when it does.

What a rule forwards while a batch is read is sent by one system call at the end of it. Where the
destination does not take all, the rest waits in the rules' own queues, and a task sends it; no
other destination waits for that.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from anycan.endpoints.pacing import Pacer
from anycan.gateway.backlog import Backlog
from anycan.gateway.reasons import DropReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.gateway.backlog import Line
    from anycan.sockets.forwarding import ForwardingSocket

_BATCH: Final = 64
_TURN: Final = 8  # batches that are sent before others have their turn
_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS})
_GONE: Final = frozenset({errno.ENODEV, errno.ENXIO, errno.EBADF})
_NO_SUCH_FRAMES: Final = frozenset({errno.EINVAL, errno.EMSGSIZE})

# What comes of payloads of which none was sent.
_SKIP: Final = 0  # the first is not taken, those behind it may be
_WAIT: Final = -1  # there is no room
_DROP: Final = -2  # none can be sent now


class Way(Protocol):
    """Where an outlet sends to: the port's socket, while there is one."""

    @property
    def fd(self) -> int:
        """The descriptor to poll; -1: there is none, or nothing can be sent by it."""
        ...

    @property
    def absence(self) -> DropReason:
        """Why there is no descriptor."""
        ...

    def put(self, payloads: Sequence[bytes]) -> int:
        """Send payloads; give how many were taken. The error number says what was refused."""
        ...

    def put_received(self, source: ForwardingSocket, count: int, size: int) -> int:
        """Send what another socket has read, as :meth:`put`."""
        ...

    def took_error(self) -> None:
        """Take note that a call has taken the socket's pending error."""
        ...

    def was_down(self) -> None:
        """Take note that the interface is down."""
        ...

    def was_up(self) -> None:
        """Take note that the interface takes frames."""
        ...

    def was_removed(self) -> None:
        """Take note that the interface is gone."""
        ...


class Outlet:
    """What is sent to one destination.

    Args:
        way: Where to.
        now_ns: Gives nanoseconds since the epoch.

    Attributes:
        pending: What is to be sent at the end of the batch: payload, stamp, line. For rules to
            append to.
    """

    def __init__(self, way: Way, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.pending: list[tuple[bytes, int, Line]] = []
        self._way = way
        self._now_ns = now_ns
        self._backlog = Backlog()
        self._pacer = Pacer()
        self._blocked: anyio.Event | None = None
        self._reason = DropReason.REFUSED  # of what was not sent last

    @property
    def blocked(self) -> bool:
        """Whether frames wait for the destination."""
        return bool(self._backlog)

    def flush(self) -> None:
        """Send what is pending, or have it wait behind what waits."""
        # Rules keep the list's append; and what is sent may end with all of it being dropped.
        pending = self.pending[:]
        self.pending.clear()
        if self._backlog:
            self._backlog.add(pending)
            return
        start = 0
        while start < len(pending):
            batch = pending[start : start + _BATCH]
            count = self._put([frame[0] for frame in batch])
            if count > 0:
                self._count_sent(batch[:count])
            elif count == _SKIP:
                batch[0][2].counters.drop(self._reason)
                count = 1
            elif count == _WAIT:
                self._backlog.add(pending[start:])
                if self._blocked is not None:
                    self._blocked.set()
                break
            else:
                for _, _, line in pending[start:]:
                    line.counters.drop(self._reason)
                break
            start += count

    def put_received(
        self, source: ForwardingSocket, count: int, size: int, stamps: list[int], line: Line
    ) -> int:
        """Send what a socket has read, as far as it goes at once and nothing waits before it.

        What is refused is to be sent as everything else, and meets the refusal again.

        Returns:
            How many were sent.
        """
        way = self._way
        if self.pending or self._backlog or way.fd < 0:
            return 0
        try:
            taken = way.put_received(source, count, size)
        except OSError as error:
            if error.errno == errno.ENETDOWN:
                way.took_error()
            return 0
        self._pacer.progress()
        way.was_up()
        line.counters.sent(stamps if taken == count else stamps[:taken], self._now_ns())
        return taken

    def _count_sent(self, batch: Sequence[tuple[bytes, int, Line]]) -> None:
        now = self._now_ns()
        if len(batch) == 1:  # as on a quiet bus
            _, stamp, line = batch[0]
            line.counters.sent([stamp], now)
            return
        lines = {frame[2] for frame in batch}
        for line in lines:
            stamps = [frame[1] for frame in batch if frame[2] is line]
            line.counters.sent(stamps, now)

    def _put(self, payloads: list[bytes]) -> int:
        """Send payloads; give how many were taken, or what to do with them."""
        way = self._way
        if way.fd < 0:
            self._reason = way.absence
            return _DROP
        try:
            count = way.put(payloads)
        except OSError as error:
            count = self._refused(error.errno or 0, payloads)
        if count > 0:
            self._pacer.progress()
            way.was_up()
        return count

    def _refused(self, number: int, payloads: list[bytes]) -> int:
        way = self._way
        if number == errno.ENETDOWN:
            # It may be what the socket had kept of the interface's past: only a second refusal
            # says that it is down.
            way.took_error()
            try:
                return way.put(payloads)
            except OSError as error:
                number = error.errno or 0
        if number in _FULL:
            return _WAIT
        if number == errno.ENETDOWN:
            self._reason = DropReason.INTERFACE_DOWN
            way.was_down()
            return _DROP
        if number in _GONE:
            self._reason = DropReason.INTERFACE_GONE
            way.was_removed()
            return _DROP
        self._reason = DropReason.DOES_NOT_FIT if number in _NO_SUCH_FRAMES else DropReason.REFUSED
        return _SKIP

    async def run(self) -> None:
        """Send what waits, whenever something does."""
        while True:
            self._blocked = anyio.Event()
            if not self._backlog:
                await self._blocked.wait()
            while self._backlog:
                # Neither is the descriptor polled: what a full send buffer holds takes the bus some
                # 30 ms, and of a full queue poll does not tell.
                await anyio.sleep(self._pacer.delay())
                self._send_waiting()

    def _send_waiting(self) -> None:
        backlog = self._backlog
        for _ in range(_TURN):
            entries = backlog.first(_BATCH)
            if not entries:
                return
            count = self._put([entry[1] for entry in entries])
            if count > 0:
                backlog.pop(entries[:count])
                self._count_sent([entry[1:] for entry in entries[:count]])
            elif count == _SKIP:
                backlog.pop(entries[:1])
                entries[0][3].counters.drop(self._reason)
            elif count == _WAIT:
                return
            else:
                backlog.drop(self._reason)

    def drop(self, reason: DropReason, line: Line | None = None) -> None:
        """Drop what waits, or what waits in one line, and count it."""
        for frame in self.pending:
            if line is None or frame[2] is line:
                frame[2].counters.drop(reason)
        self.pending[:] = [] if line is None else [f for f in self.pending if f[2] is not line]
        self._backlog.drop(reason, line)
