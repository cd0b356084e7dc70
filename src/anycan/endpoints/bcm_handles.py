"""Operations of the broadcast manager, to be started, changed and stopped. Nothing here waits."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from anycan.endpoints.bcm_messages import Cycle, answer_message, cyclic_status, shown_identifier
from anycan.endpoints.bcm_operations import Operation
from anycan.endpoints.bcm_values import BcmEvent, Changed, TimedOut
from anycan.exceptions import OperationError
from anycan.frame import EFF_FLAG, RTR_FLAG
from anycan.wire.bcm import BcmFlag, BcmMessage, BcmOpcode
from anycan.wire.frames import decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anycan.endpoints.bcm_operations import Key, Operations
    from anycan.endpoints.bcm_values import CyclicStatus
    from anycan.frame import AnyFrame, Frame
    from anycan.sockets.bcm import BcmNews

_START: Final = BcmFlag.SETTIMER | BcmFlag.STARTTIMER


class Handle:
    """An operation.

    Args:
        operations: Those of its socket.
        listener: Who is told what becomes of it.
        message: Its set-up.
        replace: One of the same name may be ended for it.
    """

    def __init__(
        self, operations: Operations, listener: Operation, message: BcmMessage, *, replace: bool
    ) -> None:
        self.operations = operations
        self._listener = listener
        self._message = message
        self._replace = replace
        self._key: Key | None = None

    @property
    def started(self) -> bool:
        """Whether it has been started; it may have ended since."""
        return self._key is not None

    def start(self) -> None:
        """Start it.

        Raises:
            OperationExistsError: There is one of the same name.
            InterfaceRemovedError: The interface is gone.
            CanOSError: The broadcast manager refuses it.
        """
        if self._key is not None or self._listener.ended:
            raise RuntimeError("an operation is started once: make another one")
        self._key = self.operations.set_up(self._listener, self._message, replace=self._replace)

    def stop(self) -> None:
        """End it; a second time does nothing."""
        if self._key is not None and not self._listener.ended:
            self.operations.stop(self._key)

    def check(self) -> None:
        """Raise what forbids to ask for anything.

        Raises:
            ClosedResourceError: It has ended.
        """
        if self._key is None:
            raise RuntimeError("the operation has not been started: use it by 'async with'")
        if self._listener.ended:
            raise anyio.ClosedResourceError

    def describe(self, name: str) -> str:
        """Give what it is, and how it stands.

        Args:
            name: What its user calls such an operation.
        """
        state = "ended" if self._listener.ended else "running" if self.started else "new"
        return f"<{name} {shown_identifier(self._message.can_id & ~RTR_FLAG)} {state}>"


class Expiry(Operation):
    """Who is told that a cyclic transmission has sent its count.

    Attributes:
        expired: It has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expired = False

    def take(self, news: BcmNews) -> None:
        """Take a message about it."""
        if news.message.opcode == BcmOpcode.TX_EXPIRED:
            self.expire()

    def expire(self) -> None:
        """Take note that it has sent its count."""
        if not self.expired:
            self.expired = True
            self.tell_expired()

    @abstractmethod
    def tell_expired(self) -> None:
        """Tell who wants to know."""


class CyclicHandle(Handle):
    """A cyclic transmission.

    Args:
        operations: Those of its socket.
        expiry: Who is told that it has sent its count.
        cycle: What is sent, and how often.
        replace: One of the same identifier may be ended for it.
    """

    def __init__(
        self, operations: Operations, expiry: Expiry, cycle: Cycle, *, replace: bool
    ) -> None:
        message = cycle.message(BcmOpcode.TX_SETUP, _START)
        super().__init__(operations, expiry, message, replace=replace)
        if cycle.flexible:
            operations.socket.check_flexible()
        self.cycle = cycle
        self._expiry = expiry

    def start(self) -> None:
        """Start it: the first frame is sent now."""
        super().start()
        self._begin_count()

    def _begin_count(self) -> None:
        self._expiry.expired = False
        if self.cycle.count == 1:
            # The one frame goes with the start, and at its end nothing is told.
            self._expiry.expire()

    def _ask(self, cycle: Cycle, flags: int) -> None:
        self.check()
        self.operations.ask(cycle.message(BcmOpcode.TX_SETUP, flags))
        self.cycle = cycle

    def update(self, frames: AnyFrame | Iterable[AnyFrame], *, from_first: bool) -> None:
        """Change what is sent; see :meth:`anycan.CyclicTask.update`."""
        cycle = attrs.evolve(self.cycle, frames=self.cycle.replaced(frames))
        self._ask(cycle, BcmFlag.TX_RESET_MULTI_IDX if from_first else 0)

    def set_interval(self, interval: float, count: int | None, then: float | None) -> None:
        """Change how often it is sent; see :meth:`anycan.CyclicTask.set_interval`."""
        first, count, second = Cycle.check_times(interval, count, then)
        cycle = attrs.evolve(self.cycle, interval=first, count=count, then=second)
        self.check()
        self.operations.drain()  # the end of the former count
        self._ask(cycle, BcmFlag.SETTIMER)
        self._expiry.expired = False

    def restart(self) -> None:
        """Begin anew; see :meth:`anycan.CyclicTask.restart`."""
        self.check()
        self.operations.drain()  # the end of the former count
        self._ask(self.cycle, _START)
        self._begin_count()

    def announce(self) -> None:
        """Send the next frame now; see :meth:`anycan.CyclicTask.announce`."""
        self._ask(self.cycle, BcmFlag.TX_ANNOUNCE)
        if self.cycle.count is not None and not self._expiry.expired:
            self.read()  # if that was the last one of the count, nothing is told of it

    def read(self) -> CyclicStatus:
        """Ask how it stands; see :meth:`anycan.CyclicTask.read`."""
        self.check()
        message = self.operations.read(self.cycle.message(BcmOpcode.TX_READ))
        status = cyclic_status(message, self.operations.socket.interface)
        if self.cycle.count is not None and not status.remaining:
            self._expiry.expire()
        return status


class AnswerHandle(Handle):
    """An automatic answer to remote requests.

    Args:
        operations: Those of its socket.
        frame: The answer.
        replace: One of the same identifier may be ended for it.
    """

    def __init__(self, operations: Operations, frame: Frame, *, replace: bool) -> None:
        super().__init__(operations, _Silent(), answer_message(frame), replace=replace)
        self.frame = frame

    def update(self, frame: Frame) -> None:
        """Change the answer; see :meth:`anycan.RemoteAnswer.update`."""
        message = answer_message(frame)
        if message.can_id != self._message.can_id:
            raise OperationError(
                f"the answer for {self.frame.id:X} cannot have the identifier {frame.id:X}: set up"
                " another for it"
            )
        self.check()
        self.operations.ask(message)
        self.frame = frame


class _Silent(Operation):
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
    return None if frame is None else Changed(frame)
