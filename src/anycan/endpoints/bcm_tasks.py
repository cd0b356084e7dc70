"""The operations of a broadcast manager endpoint, as its user holds them."""

from __future__ import annotations

from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from anycan.endpoints.bcm_channel import Mailbox
from anycan.endpoints.bcm_handles import (
    AnswerOperation,
    BcmOperation,
    CyclicOperation,
    Expiry,
    event_of,
)
from anycan.exceptions import CanOSError, InterfaceDownError, InterfaceRemovedError, OperationError
from anycan.sockets.errors import interface_removed, transmission_down

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from anycan.endpoints.bcm_channel import Channel
    from anycan.endpoints.bcm_messages import Cycle
    from anycan.endpoints.bcm_values import BcmEvent, CyclicStatus
    from anycan.frame import AnyFrame, Frame
    from anycan.sockets.bcm import BcmNews
    from anycan.wire.bcm import BcmMessage

_OperationT = TypeVar("_OperationT", bound=BcmOperation)


class _Task(Generic[_OperationT]):
    """An operation that is started with its block, and ends with it or with its endpoint."""

    def __init__(self, operation: _OperationT) -> None:
        self._operation = operation

    async def __aenter__(self) -> Self:
        await checkpoint()  # first: whoever is cancelled here leaves nothing behind
        await self._operation.ready()
        self._operation.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._operation.stop()

    def __repr__(self) -> str:
        return self._operation.describe(type(self).__name__)


class _Count(Expiry, Mailbox):
    """Whether a cyclic transmission has sent its count, and who waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = False
        self.error: CanOSError | None = None

    def tell_expired(self) -> None:
        self.wake()

    def miss(self) -> None:
        self.wake()

    def fail(self, error: CanOSError) -> None:
        # What happens to the interface while nobody waits is of no interest afterwards.
        if self.waiting or isinstance(error, InterfaceRemovedError):
            self.error = error
            self.wake()


class CyclicTask(_Task[CyclicOperation]):
    """A cyclic transmission, made by the network. See :meth:`BcmEndpoint.send_cyclic`.

    It starts when its ``async with`` block is entered, and ends with it.

    Sending is the broadcast manager's business from then on: while the interface is down, or its
    queue is full, frames are lost and nobody is told; the beat goes on, and so does the count.
    """

    def __init__(self, channel: Channel, cycle: Cycle, *, replace: bool) -> None:
        self._channel = channel
        self._count = _Count()
        super().__init__(CyclicOperation(channel.operations, self._count, cycle, replace=replace))

    @property
    def frames(self) -> tuple[AnyFrame, ...]:
        """What is being sent, in this order."""
        return self._operation.frames

    async def update(
        self, frames: AnyFrame | Iterable[AnyFrame], *, from_first: bool = False
    ) -> None:
        """Change what is sent; when it is sent does not change.

        When it is cancelled nothing has changed.

        Args:
            frames: As many frames as before, or fewer (then the sequence begins anew), of the same
                kind; the first has the same identifier.
            from_first: Begin the sequence anew.

        Raises:
            OperationError: They are more than before, or of another kind or identifier; what was
                sent before goes on.
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        self._operation.update(frames, from_first=from_first)

    async def set_interval(
        self, interval: float, *, count: int | None = None, then: float | None = None
    ) -> None:
        """Change how often it is sent, from the next time on.

        A transmission that rests, since its count is over and nothing follows, goes on resting:
        :meth:`restart` begins with what is set here. When it is cancelled nothing has changed.

        Args:
            interval: As for :meth:`BcmEndpoint.send_cyclic`.
            count: As there; the count begins anew.
            then: As there.

        Raises:
            OperationError: They are out of range; nothing has changed.
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        self._operation.set_interval(interval, count=count, then=then)

    async def restart(self) -> None:
        """Send now, and begin the beat and the count anew; the sequence goes on where it is.

        When it is cancelled nothing has changed.

        Raises:
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        self._operation.restart()

    async def announce(self) -> None:
        """Send the next frame now, beside the beat.

        It counts, where there is a count. When it is cancelled nothing has been sent.

        Raises:
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        self._operation.announce()

    async def read(self) -> CyclicStatus:
        """Ask the broadcast manager what it is sending.

        Raises:
            InterfaceRemovedError: The interface is gone.
            CanOSError: Its answers find no room in the receive buffer (ENOBUFS).
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        return self._operation.read()

    async def wait_expired(self) -> None:
        """Wait until ``count`` frames have been sent at the first interval.

        Cancelling it loses nothing: it can be called again.

        Raises:
            OperationError: The transmission has no count, and never expires.
            InterfaceDownError: The interface went down; the count goes on. Call again.
            InterfaceRemovedError: The interface is gone.
            CanOSError: Messages were dropped, and what asks how it stands is too (ENOBUFS).
            BusyResourceError: Another task waits for the same.
            ClosedResourceError: The operation or its endpoint has ended, or did meanwhile.
        """
        self._operation.check()
        if not self._operation.counts:
            raise OperationError("a transmission without count= never expires")
        count = self._count
        ends = count.ends
        await checkpoint()
        self._operation.look_if_dropped()
        while not count.expired and count.ends == ends:
            if count.waiting:
                raise anyio.BusyResourceError("waiting for")
            self._raise_error()
            self._operation.check()
            count.waiting = True
            try:
                await self._channel.wait(count)
            finally:
                count.waiting = False
            self._operation.look_if_dropped()

    def _raise_error(self) -> None:
        error = self._count.error
        if isinstance(error, InterfaceRemovedError):
            raise interface_removed(error.interface)
        if error is not None:
            self._count.error = None
            raise self._for_sender(error)

    def _for_sender(self, error: CanOSError) -> CanOSError:
        """Say of a link that is down what it means to a transmission."""
        if not isinstance(error, InterfaceDownError):
            return _copy(error)
        network = self._channel.operations.socket.network
        return transmission_down(error.interface, network.remedy(error.interface or "NAME"))


class _Events(Mailbox):
    """The events of a watch that nobody has taken yet."""

    def __init__(self, channel: Channel, capacity: int) -> None:
        super().__init__()
        self.items: deque[BcmEvent | CanOSError] = deque()
        self.overflowed = 0
        self.removed: InterfaceRemovedError | None = None
        self._channel = channel
        self._capacity = capacity

    def take(self, news: BcmNews) -> None:
        event = event_of(news)
        if event is not None:
            self._append(event)

    def _append(self, item: BcmEvent | CanOSError) -> None:
        if len(self.items) >= self._capacity:
            # The newest content is the one that counts.
            self.items.popleft()
            self.overflowed += 1
            self._channel.overflowed += 1
        self.items.append(item)
        self.wake()

    def fail(self, error: CanOSError) -> None:
        if isinstance(error, InterfaceRemovedError):
            self.removed = error
            self.wake()
        else:
            self._append(error)


class Watch(_Task[BcmOperation]):
    """Changes of a message's content, as an async iterator. See :meth:`BcmEndpoint.watch`.

    It starts when its ``async with`` block is entered, or else when iteration begins, and ends
    with the block, or else when nobody holds it any more.
    """

    def __init__(
        self, channel: Channel, message: BcmMessage, capacity: int, *, replace: bool
    ) -> None:
        self._channel = channel
        self._thread = get_ident()
        self._events = _Events(channel, capacity)
        super().__init__(BcmOperation(channel.operations, self._events, message, replace=replace))

    @property
    def overflowed(self) -> int:
        """How many events were lost because nobody took them while there were ``capacity``."""
        return self._events.overflowed

    def __aiter__(self) -> Self:
        if not self._operation.started:
            self._operation.start()
        return self

    async def __anext__(self) -> BcmEvent:
        """Wait for the next event; iteration never ends by itself.

        Cancelling it loses no event.

        Raises:
            InterfaceDownError: The interface went down, once each time. It is passing: iterate
                again.
            InterfaceRemovedError: The interface is gone, now and at every later call.
            BusyResourceError: Another task waits for an event.
            ClosedResourceError: The operation or its endpoint has ended, or did meanwhile.
        """
        events = self._events
        while not events.items:
            if events.removed is not None:
                await checkpoint()
                raise interface_removed(events.removed.interface)
            self._operation.check()
            await self._channel.wait(events)
        return self._take()

    def _take(self) -> BcmEvent:
        item = self._events.items.popleft()
        if isinstance(item, CanOSError):
            raise _copy(item)
        return item

    def receive_nowait(self) -> BcmEvent:
        """Take the next event if there is one.

        Raises:
            WouldBlock: There is none.
            CanOSError: As iteration.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        events = self._events
        if not events.items:
            self._operation.check()
            self._channel.operations.drain()
            if not events.items:
                if events.removed is not None:
                    raise interface_removed(events.removed.interface)
                raise anyio.WouldBlock
        return self._take()

    async def receive(self) -> BcmEvent:
        """Wait for the next event, as iteration does.

        Raises:
            CanOSError: As iteration, and so are the rest.
            BusyResourceError: As iteration.
            ClosedResourceError: As iteration.
        """
        return await aiter(self).__anext__()

    def __del__(self) -> None:
        if hasattr(self, "_operation"):
            # The collector comes in any thread; the network belongs to one.
            if get_ident() == self._thread:
                self._operation.stop()
            else:
                self._operation.abandon()


def _copy(error: CanOSError) -> CanOSError:
    """Make an error to be raised: several tasks are told the same, and each has its traceback."""
    return type(error)(error.errno or 0, error.strerror or "", error.interface)


class RemoteAnswer(_Task[AnswerOperation]):
    """An automatic answer to remote requests. See :meth:`BcmEndpoint.answer_remote`.

    It is given while its ``async with`` block lasts.
    """

    def __init__(self, channel: Channel, frame: Frame, *, replace: bool) -> None:
        super().__init__(AnswerOperation(channel.operations, frame, replace=replace))

    @property
    def frame(self) -> Frame:
        """The answer."""
        return self._operation.frame

    async def update(self, frame: Frame) -> None:
        """Change the answer.

        When it is cancelled nothing has changed.

        Args:
            frame: One of the same identifier.

        Raises:
            OperationError: It has another identifier, or is no answer; the former one stays.
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        self._operation.update(frame)
