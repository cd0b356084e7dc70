"""Operations of the broadcast manager: started, changed and stopped. Nothing here waits."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from anycan.endpoints.bcm_messages import Cycle, answer_message, cyclic_status, shown_identifier
from anycan.endpoints.bcm_operations import Listener
from anycan.endpoints.bcm_values import BcmEvent, Changed, TimedOut
from anycan.exceptions import OperationError
from anycan.frame import EFF_FLAG, RTR_FLAG, FdFrame, Frame, RemoteFrame
from anycan.sockets.errors import interface_removed
from anycan.wire.bcm import BcmFlag, BcmMessage, BcmOpcode
from anycan.wire.frames import decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.endpoints.bcm_operations import Key, Operations
    from anycan.endpoints.bcm_values import CyclicStatus
    from anycan.frame import AnyFrame
    from anycan.sockets.bcm import BcmNews

_START: Final = BcmFlag.SETTIMER | BcmFlag.STARTTIMER


class BcmOperation:
    """An operation that runs until it is stopped. Made, and started, by :class:`BcmTransport`."""

    def __init__(
        self, operations: Operations, listener: Listener, message: BcmMessage, *, replace: bool
    ) -> None:
        self._operations = operations
        self._listener = listener
        self._message = message
        self._replace = replace
        self._key: Key | None = None

    @property
    def started(self) -> bool:
        """Whether it has been started; it may have ended since."""
        return self._key is not None

    def start(self) -> None:
        """Start it; a transport has done so.

        Raises:
            OperationExistsError: There is one of the same identifier.
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it.
        """
        if self._key is not None or self._listener.ended:
            raise RuntimeError("an operation is started once: make another one")
        self._listener.set_up = self.set_up
        self._key = self._operations.set_up(self._listener, self._message, replace=self._replace)

    def set_up(self) -> None:
        """Have it set up, as it stands now: the link is back."""
        self._operations.ask(self._message)

    async def ready(self) -> None:
        """Wait until it can be set up."""
        await self._operations.ready()

    @property
    def _pending(self) -> bool:
        return self._operations.is_pending(self._key)

    def stop(self) -> None:
        """End it; a second time does nothing."""
        if self._key is not None and not self._listener.ended:
            self._operations.stop(self._key)

    def check(self) -> None:
        """Raise what forbids to ask for anything.

        Raises:
            InterfaceRemovedError: It has ended with its interface.
            ClosedResourceError: It has ended.
        """
        if self._key is None:
            raise RuntimeError("the operation has not been started: use it by 'async with'")
        if self._listener.ended:
            if self._operations.removed:
                raise interface_removed(self._operations.socket.interface)
            raise anyio.ClosedResourceError

    def abandon(self) -> None:
        """Have it stopped by whoever comes next: this may be any thread."""
        if self._key is not None and not self._listener.ended:
            self._operations.abandoned.append(self._key)

    def describe(self, name: str) -> str:
        """Give what it is, and how it stands.

        Args:
            name: What its user calls such an operation.
        """
        state = "ended" if self._listener.ended else "running" if self.started else "new"
        return f"<{name} {shown_identifier(self._message.can_id & ~RTR_FLAG)} {state}>"

    def __repr__(self) -> str:
        return self.describe(type(self).__name__)


class Expiry(Listener):
    """Who is told that a cyclic transmission has sent its count.

    Attributes:
        expired: It has.
        ends: How often it has, with all counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expired = False
        self.ends = 0

    def take(self, news: BcmNews) -> None:
        """Take a message about it."""
        if news.message.opcode == BcmOpcode.TX_EXPIRED:
            self.expire()

    def expire(self) -> None:
        """Take note that it has sent its count."""
        if not self.expired:
            self.expired = True
            self.ends += 1
            self.tell_expired()

    @abstractmethod
    def tell_expired(self) -> None:
        """Tell who wants to know."""


class CyclicOperation(BcmOperation):
    """A cyclic transmission that runs until it is stopped. See :meth:`BcmTransport.send_cyclic`.

    What it does, :class:`CyclicTask` says, whose methods await.
    """

    def __init__(
        self, operations: Operations, expiry: Expiry, cycle: Cycle, *, replace: bool
    ) -> None:
        message = cycle.message(BcmOpcode.TX_SETUP, _START)
        super().__init__(operations, expiry, message, replace=replace)
        self._cycle = cycle
        self._expiry = expiry
        self._dropped = 0
        self._resting = False  # until it is restarted
        self._check_flexible()

    def _check_flexible(self) -> None:
        if self._cycle.flexible:
            self._operations.socket.check_flexible()

    @property
    def frames(self) -> tuple[AnyFrame, ...]:
        """What is being sent, in this order."""
        return self._cycle.frames

    @property
    def counts(self) -> bool:
        """Whether it has a count, after which it expires."""
        return self._cycle.count is not None

    def start(self) -> None:
        """Start it, and send the first frame; a transport has done so.

        Raises:
            OperationExistsError: There is one of the same identifier.
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it.
        """
        super().start()
        self._begin_count()
        self._expire_at_once()

    def set_up(self) -> None:
        """Have it set up, as it stands now: the link is back.

        Of a count that had not come to its end nobody knows how far it was: it begins anew.
        """
        self._check_flexible()
        rests = self._rests
        cycle = attrs.evolve(self._cycle, count=0) if self._expiry.expired else self._cycle
        flags = BcmFlag.SETTIMER if rests else _START
        self._operations.ask(cycle.message(BcmOpcode.TX_SETUP, flags))
        if not rests:
            self._expire_at_once()

    @property
    def _rests(self) -> bool:
        return self._resting or (self._expiry.expired and self._cycle.then is None)

    def _begin_count(self) -> None:
        self._expiry.expired = False
        self._dropped = self._operations.socket.dropped
        if self._cycle.count is None:
            self._operations.counting.pop(self._expiry, None)
        else:
            self._operations.counting[self._expiry] = None

    def _expire(self) -> None:
        self._operations.counting.pop(self._expiry, None)
        self._expiry.expire()

    def look_if_dropped(self) -> None:
        """See whether the count has ended, if the message of that may have been dropped."""
        dropped = self._operations.socket.dropped
        if dropped != self._dropped and not self._expiry.expired and not self._expiry.ended:
            self._dropped = dropped
            self.read()

    def _ask(self, cycle: Cycle, flags: int) -> None:
        self.check()
        self._operations.ask(cycle.message(BcmOpcode.TX_SETUP, flags))
        self._cycle = cycle

    def update(self, frames: AnyFrame | Iterable[AnyFrame], *, from_first: bool = False) -> None:
        """Change what is sent; when it is sent does not change.

        Args:
            frames: As for :meth:`CyclicTask.update`.
            from_first: Begin the sequence anew.

        Raises:
            OperationError: As :meth:`CyclicTask.update`, and so are the rest.
            InterfaceRemovedError: As there.
            ClosedResourceError: As there.
        """
        cycle = attrs.evolve(self._cycle, frames=self._cycle.replaced(frames))
        self._ask(cycle, BcmFlag.TX_RESET_MULTI_IDX if from_first else 0)

    def set_interval(
        self, interval: float, *, count: int | None = None, then: float | None = None
    ) -> None:
        """Change how often it is sent, from the next time on.

        Args:
            interval: As for :meth:`CyclicTask.set_interval`, and so are the rest.
            count: As there.
            then: As there.

        Raises:
            OperationError: As :meth:`CyclicTask.set_interval`, and so are the rest.
            InterfaceRemovedError: As there.
            ClosedResourceError: As there.
        """
        first, count, second = Cycle.check_times(interval, count, then)
        cycle = attrs.evolve(self._cycle, interval=first, count=count, then=second)
        self.check()
        self._operations.drain()  # the end of the former count
        rests = self._rests
        self._ask(cycle, BcmFlag.SETTIMER)
        self._resting = rests
        self._begin_count()

    def restart(self) -> None:
        """Send now, and begin the beat and the count anew.

        Raises:
            InterfaceRemovedError: As :meth:`CyclicTask.restart`.
            ClosedResourceError: As there.
        """
        self.check()
        self._operations.drain()  # the end of the former count
        self._ask(self._cycle, _START)
        self._resting = False
        self._begin_count()
        self._expire_at_once()

    def _expire_at_once(self) -> None:
        if self._cycle.count == 1 and not self._pending:
            # The one frame goes with the start, and at its end nothing is told.
            self._expire()

    def announce(self) -> None:
        """Send the next frame now, beside the beat.

        Raises:
            InterfaceRemovedError: As :meth:`CyclicTask.announce`.
            ClosedResourceError: As there.
        """
        self._ask(self._cycle, BcmFlag.TX_ANNOUNCE)
        if self._cycle.count is not None and not self._expiry.expired:
            self.read()  # if that was the last one of the count, nothing is told of it

    def read(self) -> CyclicStatus:
        """Ask the broadcast manager what it is sending.

        Raises:
            InterfaceRemovedError: As :meth:`CyclicTask.read`, and so are the rest.
            CanOSError: As there.
            ClosedResourceError: As there.
        """
        self.check()
        message = self._operations.read(self._cycle.message(BcmOpcode.TX_READ))
        if message is None:
            return self._cycle.status(expired=self._expiry.expired)
        status = cyclic_status(message, self._operations.socket.interface)
        if self._cycle.count is not None and not status.remaining:
            self._expire()
        return status


class AnswerOperation(BcmOperation):
    """An automatic answer to remote requests. See :meth:`BcmTransport.answer_remote`."""

    def __init__(self, operations: Operations, frame: Frame, *, replace: bool) -> None:
        super().__init__(operations, _Silent(), answer_message(frame), replace=replace)
        self._frame = frame

    @property
    def frame(self) -> Frame:
        """The answer."""
        return self._frame

    def update(self, frame: Frame) -> None:
        """Change the answer.

        Args:
            frame: One of the same identifier.

        Raises:
            OperationError: It has another identifier, or is no answer; the former one stays.
            InterfaceRemovedError: The interface is gone.
            ClosedResourceError: The operation or its transport has ended.
        """
        message = answer_message(frame)
        if message.can_id != self._message.can_id:
            raise OperationError(
                f"the answer for {self._frame.id:X} cannot have the identifier {frame.id:X}: set up"
                " another for it"
            )
        self.check()
        self._operations.ask(message)
        self._frame, self._message = frame, message


class _Silent(Listener):
    """Of an answer to remote requests nothing is told."""

    def take(self, news: BcmNews) -> None:
        pass


def event_of(news: BcmNews) -> BcmEvent | None:
    """Make the event that a message about a watch tells; None: there is no frame in it."""
    message = news.message
    if message.opcode == BcmOpcode.RX_TIMEOUT:
        word = message.can_id
        identifier, extended = word & ~(EFF_FLAG | RTR_FLAG), word & EFF_FLAG != 0
        return TimedOut(identifier, extended, news.interface, news.timestamp_ns)
    frame = decode_frame(
        message.frames, news.timestamp_ns, None, news.interface, news.local, news.own
    )
    return Changed(frame) if isinstance(frame, (Frame, FdFrame, RemoteFrame)) else None
