"""The operations of a broadcast manager endpoint, as its user holds them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio
import attrs
from anyio.lowlevel import checkpoint

from anycan.endpoints.bcm_channel import Mailbox
from anycan.endpoints.bcm_messages import Cycle, answer_message, cyclic_status, shown_identifier
from anycan.endpoints.bcm_values import Changed, TimedOut
from anycan.exceptions import CanOSError, InterfaceRemovedError, OperationError
from anycan.frame import EFF_FLAG, RTR_FLAG
from anycan.sockets.errors import interface_removed
from anycan.wire.bcm import BcmFlag, BcmMessage, BcmOpcode
from anycan.wire.frames import decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from anycan.endpoints.bcm_channel import Channel
    from anycan.endpoints.bcm_operations import Key
    from anycan.endpoints.bcm_values import BcmEvent, CyclicStatus
    from anycan.frame import AnyFrame, Frame
    from anycan.sockets.bcm import BcmNews

_START = BcmFlag.SETTIMER | BcmFlag.STARTTIMER


class _Task:
    """An operation that is started, and ended with its block or its endpoint."""

    def __init__(self, channel: Channel, mailbox: Mailbox, message: BcmMessage) -> None:
        self._channel = channel
        self._mailbox = mailbox
        self._message = message
        self._replace = False
        self._key: Key | None = None

    def replacing(self, replace: bool) -> Self:
        """Let it take the place of another one, or not."""
        self._replace = replace
        return self

    def _start(self) -> None:
        if self._key is not None or self._mailbox.ended:
            raise RuntimeError("an operation is started once: make another one")
        operations = self._channel.operations
        self._key = operations.set_up(self._mailbox, self._message, replace=self._replace)

    def _stop(self) -> None:
        if self._key is not None and not self._mailbox.ended:
            self._channel.operations.stop(self._key)

    def _check(self) -> None:
        """Raise what forbids to ask for anything."""
        if self._key is None:
            raise RuntimeError("the operation has not been started: use it by 'async with'")
        if self._mailbox.ended:
            raise anyio.ClosedResourceError

    async def __aenter__(self) -> Self:
        await checkpoint()  # first: whoever is cancelled here leaves nothing behind
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop()

    def __repr__(self) -> str:
        state = "ended" if self._mailbox.ended else "new" if self._key is None else "running"
        name = shown_identifier(self._message.can_id & ~RTR_FLAG)
        return f"<{type(self).__name__} {name} {state}>"


class _Expiry(Mailbox):
    """Whether a cyclic transmission has sent its count."""

    minds_drops = True

    def __init__(self) -> None:
        super().__init__()
        self.expired = False
        self.waiting = False
        self.dropped = 0
        self.error: CanOSError | None = None

    def take(self, news: BcmNews) -> None:
        if news.message.opcode == BcmOpcode.TX_EXPIRED:
            self.expired = True
            self.wake()

    def fail(self, error: CanOSError) -> None:
        # What happens to the interface while nobody waits is of no interest afterwards.
        if self.waiting or isinstance(error, InterfaceRemovedError):
            self.error = error
            self.wake()


class CyclicTask(_Task):
    """A cyclic transmission, made by the network. See :meth:`BcmEndpoint.send_cyclic`.

    It starts when its ``async with`` block is entered, and ends with it.

    Sending is the broadcast manager's business from then on: while the interface is down, or its
    queue is full, frames are lost and nobody is told; the beat goes on, and so does the count.
    """

    def __init__(self, channel: Channel, cycle: Cycle) -> None:
        self._cycle = cycle
        self._expiry = _Expiry()
        super().__init__(channel, self._expiry, cycle.message(BcmOpcode.TX_SETUP, _START))

    @property
    def frames(self) -> tuple[AnyFrame, ...]:
        """What is being sent, in this order."""
        return self._cycle.frames

    def _start(self) -> None:
        super()._start()
        self._begin_count()

    def _begin_count(self) -> None:
        # The one frame of a count of one goes with the start, at whose end nothing is told.
        self._expiry.expired = self._cycle.count == 1

    def _ask(self, cycle: Cycle, flags: int) -> None:
        self._check()
        self._channel.operations.ask(cycle.message(BcmOpcode.TX_SETUP, flags))
        self._cycle = cycle

    async def update(
        self, frames: AnyFrame | Iterable[AnyFrame], *, from_first: bool = False
    ) -> None:
        """Change what is sent; when it is sent does not change.

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
        cycle = attrs.evolve(self._cycle, frames=self._cycle.replaced(frames))
        await checkpoint()
        self._ask(cycle, BcmFlag.TX_RESET_MULTI_IDX if from_first else 0)

    async def set_interval(
        self, interval: float, *, count: int | None = None, then: float | None = None
    ) -> None:
        """Change how often it is sent, from the next time on.

        Args:
            interval: As for :meth:`BcmEndpoint.send_cyclic`.
            count: As there; the count begins anew.
            then: As there.

        Raises:
            OperationError: They are out of range; nothing has changed.
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        first, count, second = Cycle.check_times(interval, count, then)
        await checkpoint()
        cycle = attrs.evolve(self._cycle, interval=first, count=count, then=second)
        self._channel.operations.drain()
        self._ask(cycle, BcmFlag.SETTIMER)
        self._expiry.expired = False

    async def restart(self) -> None:
        """Send now, and begin the beat and the count anew; the sequence goes on where it is.

        Raises:
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        self._channel.operations.drain()  # the end of the former count
        self._ask(self._cycle, _START)
        self._begin_count()

    async def announce(self) -> None:
        """Send the next frame now, beside the beat.

        It counts, where there is a count.

        Raises:
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        self._ask(self._cycle, BcmFlag.TX_ANNOUNCE)
        if self._cycle.count is not None and not self._expiry.expired:
            # If that was the last one of the count, nothing is told of it.
            self._look()

    def _look(self) -> CyclicStatus:
        self._check()
        operations = self._channel.operations
        message = operations.read(self._cycle.message(BcmOpcode.TX_READ))
        status = cyclic_status(message, operations.socket.interface)
        if self._cycle.count is not None and not status.remaining:
            self._expiry.expired = True
            self._expiry.wake()
        return status

    async def read(self) -> CyclicStatus:
        """Ask the broadcast manager what it is sending.

        Raises:
            InterfaceRemovedError: The interface is gone.
            CanOSError: Its answers find no room in the receive buffer (ENOBUFS).
            ClosedResourceError: The operation or its endpoint has ended.
        """
        await checkpoint()
        return self._look()

    async def wait_expired(self) -> None:
        """Wait until ``count`` frames have been sent at the first interval.

        Cancelling it loses nothing: it can be called again.

        Raises:
            OperationError: The transmission has no count, and never expires.
            InterfaceDownError: The interface went down; the count goes on. Call again.
            InterfaceRemovedError: The interface is gone.
            BusyResourceError: Another task waits for the same.
            ClosedResourceError: The operation or its endpoint has ended, or did meanwhile.
        """
        self._check()
        if self._cycle.count is None:
            raise OperationError("a transmission without count= never expires")
        expiry = self._expiry
        expiry.dropped = self._channel.operations.socket.dropped
        await checkpoint()
        while not expiry.expired:
            self._check()
            self._raise_error()
            expiry.waiting = True
            try:
                await self._channel.wait(expiry)
            finally:
                expiry.waiting = False
            self._look_if_dropped()

    def _look_if_dropped(self) -> None:
        """See whether the count has ended, if the message of that may have been dropped."""
        expiry = self._expiry
        dropped = self._channel.operations.socket.dropped
        if dropped != expiry.dropped and not expiry.expired:
            expiry.dropped = dropped
            self._look()

    def _raise_error(self) -> None:
        error = self._expiry.error
        if isinstance(error, InterfaceRemovedError):
            raise interface_removed(error.interface)
        if error is not None:
            self._expiry.error = None
            raise error


class _Events(Mailbox):
    """The events of a watch that nobody has taken yet."""

    def __init__(self, channel: Channel, capacity: int) -> None:
        super().__init__()
        self.items: deque[BcmEvent | CanOSError] = deque()
        self._channel = channel
        self.overflowed = 0
        self.removed: InterfaceRemovedError | None = None
        self._capacity = capacity

    def take(self, news: BcmNews) -> None:
        message = news.message
        event: BcmEvent
        if message.opcode == BcmOpcode.RX_TIMEOUT:
            word = message.can_id
            identifier = word & ~(EFF_FLAG | RTR_FLAG)
            extended = word & EFF_FLAG != 0
            event = TimedOut(identifier, extended, news.interface, news.timestamp_ns)
        elif message.opcode == BcmOpcode.RX_CHANGED:
            frame = decode_frame(
                message.frames, news.timestamp_ns, None, news.interface, news.local, news.own
            )
            if frame is None:
                return
            event = Changed(frame)
        else:
            return
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

    def end(self) -> None:
        self.items.clear()
        super().end()


class Watch(_Task):
    """Changes of a message's content, as an async iterator. See :meth:`BcmEndpoint.watch`.

    It starts when its ``async with`` block is entered, or else when iteration begins, and ends
    with the block, or else when nobody holds it any more.
    """

    def __init__(self, channel: Channel, message: BcmMessage, capacity: int) -> None:
        self._events = _Events(channel, capacity)
        super().__init__(channel, self._events, message)

    @property
    def overflowed(self) -> int:
        """How many events were lost because nobody took them while there were ``capacity``."""
        return self._events.overflowed

    def __aiter__(self) -> Self:
        if self._key is None:
            self._start()
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
            self._check()
            if events.removed is not None:
                await checkpoint()
                raise interface_removed(events.removed.interface)
            await self._channel.wait(events)
        item = events.items.popleft()
        if isinstance(item, CanOSError):
            raise item
        return item

    async def receive(self) -> BcmEvent:
        """Wait for the next event, as iteration does.

        Raises:
            CanOSError: As iteration, and so are the rest.
            BusyResourceError: As iteration.
            ClosedResourceError: As iteration.
        """
        if self._key is None:
            self._start()
        return await self.__anext__()

    def __del__(self) -> None:
        if getattr(self, "_key", None) is not None:
            self._stop()


class _Silent(Mailbox):
    """Of an answer to remote requests nothing is told."""

    def take(self, news: BcmNews) -> None:
        pass

    def fail(self, error: CanOSError) -> None:
        pass


class RemoteAnswer(_Task):
    """An automatic answer to remote requests. See :meth:`BcmEndpoint.answer_remote`.

    It is given while its ``async with`` block lasts.
    """

    def __init__(self, channel: Channel, frame: Frame) -> None:
        self._frame = frame
        super().__init__(channel, _Silent(), answer_message(frame))

    @property
    def frame(self) -> Frame:
        """The answer."""
        return self._frame

    async def update(self, frame: Frame) -> None:
        """Change the answer.

        Args:
            frame: One of the same identifier.

        Raises:
            OperationError: It has another identifier, or is no answer; the former one stays.
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its endpoint has ended.
        """
        message = answer_message(frame)
        if message.can_id != self._message.can_id:
            raise OperationError(
                f"the answer for {self._frame.id:X} cannot have the identifier {frame.id:X}: set up"
                " another for it"
            )
        await checkpoint()
        self._check()
        self._channel.operations.ask(message)
        self._frame = frame
