"""What sockets of every kind have: a queue of messages, a pending error, an address."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections import deque
from struct import Struct, pack
from typing import TYPE_CHECKING, Final

from anycan.engine.failure import failure
from anycan.wire.constants import MSG_TRUNC, SO_ERROR, SO_MEMINFO, SOL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.network.core.interface import Interface
    from anycan.network.core.socket_options import SocketOptions
    from anycan.network.core.stack import Stack
    from anycan.wire.messages import MessageBuffer

ADDRESS: Final = Struct("=HxxI")  # the beginning of struct sockaddr_can: family, interface


class SocketCore(ABC):
    """A socket of PF_CAN, without a descriptor.

    Args:
        stack: The network's interfaces.
        changed: Called when the socket may have become readable or writable, or no longer is.
        options: Its options.
        unknown_level: The error number for an option of a level that it does not know.

    Attributes:
        drops: Messages that found no room.
    """

    def __init__(
        self,
        stack: Stack,
        changed: Callable[[], object],
        options: SocketOptions,
        unknown_level: int,
    ) -> None:
        self.drops = 0
        self._stack = stack
        self._changed = changed
        self._socket_options = options
        self._unknown_level = unknown_level
        self._interface: Interface | None = None
        self._queue: deque[tuple[bytes, int, int, int, int, int]] = deque()
        self._received_charge = 0
        self._sent_charge = 0
        self._error = 0

    @property
    def readable(self) -> bool:
        """Whether a receive call would give something, a message or an error."""
        return bool(self._queue) or self._error != 0

    @property
    def writable(self) -> bool:
        """Whether poll would say so: less than half of the send buffer is used, or an error waits.

        Source: ``include/net/sock.h``, ``sock_writeable``, whose own count begins at 1.
        """
        room = self._socket_options.send_buffer >> 1
        return self._sent_charge + 1 < room or self._error != 0

    @property
    def failed(self) -> bool:
        """Whether an error waits, which the next call tells."""
        return self._error != 0

    @property
    def queued(self) -> int:
        """How many messages wait to be received."""
        return len(self._queue)

    @property
    def interface_name(self) -> str | None:
        """The name of the interface it is bound or connected to; None: none, or all."""
        return None if self._interface is None else self._interface.name

    def _fail(self, number: int) -> None:
        self._error = number
        self._changed()

    def _take_error(self) -> None:
        if self._error:
            number, self._error = self._error, 0
            self._changed()
            raise failure(number)

    @abstractmethod
    def bind(self, address: bytes) -> None:
        """Bind to the interface in a ``struct sockaddr_can``; index 0: to all."""

    @abstractmethod
    def connect(self, address: bytes) -> None:
        """Connect to the interface in a ``struct sockaddr_can``; index 0: to all."""

    @abstractmethod
    def send(self, payload: bytes, address: bytes | None, now_ns: int) -> None:
        """Send a message."""

    def send_many(
        self, payloads: Sequence[bytes], address: bytes | None, now_ns: Callable[[], int]
    ) -> int:
        """Send messages in their order; give how many were taken, from 1.

        Args:
            payloads: The messages.
            address: As :meth:`send`.
            now_ns: Gives the time.

        Raises:
            OSError: As :meth:`send`, if the first one is refused. What a later one was refused for
                is told by the next call, which begins with it.
        """
        send = self.send
        count = 0
        try:
            for payload in payloads:
                send(payload, address, now_ns())
                count += 1
        except OSError:
            if not count:
                raise
        return count

    # Options

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set an option.

        Raises:
            OSError: EINVAL or ENOPROTOOPT, or what it says to a level that it does not know.
        """
        if level != SOL_SOCKET:
            raise failure(self._unknown_level)
        self._socket_options.set_socket(option, value)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give the bytes of an option, ``size`` at most.

        Raises:
            OSError: ENOPROTOOPT, or what it says to a level that it does not know.
        """
        if level != SOL_SOCKET:
            raise failure(self._unknown_level)
        if option == SO_ERROR:
            number, self._error = self._error, 0
            self._changed()
            return pack("=i", number)[:size]
        options = self._socket_options
        if option == SO_MEMINFO:
            received = (self._received_charge, options.receive_buffer)
            sent = (self._sent_charge, options.send_buffer)
            return pack("=9I", *received, *sent, 0, 0, 0, 0, self.drops)[:size]
        return options.get_socket(option)[:size]

    # Receiving

    def _put(self, message: bytes, ifindex: int, flags: int, stamp_ns: int, charge: int) -> None:
        """Queue a message, unless the buffer is full."""
        options = self._socket_options
        if self._received_charge >= options.receive_buffer:
            self.drops += 1
            return
        self._received_charge += charge
        drops = self.drops if options.drop_counts else 0
        self._queue.append((message, ifindex, flags, stamp_ns, drops, charge))
        if len(self._queue) == 1:
            self._changed()

    def receive(self, buffer: MessageBuffer) -> int:
        """Fill a buffer with the messages that wait.

        Returns:
            How many were stored, from 1.

        Raises:
            OSError: The pending error, or EAGAIN.
        """
        if self._error:
            self._take_error()
        queue = self._queue
        if not queue:
            raise failure(errno.EAGAIN)
        count = min(len(queue), buffer.limit)
        if count == len(queue):
            messages = list(queue)
            queue.clear()
            self._received_charge = 0
        else:
            messages = [queue.popleft() for _ in range(count)]
            self._received_charge -= sum([message[5] for message in messages])
        if messages[-1][4] and not self._socket_options.drop_counts:  # turned off meanwhile
            messages = [(*message[:4], 0, 0) for message in messages]
        buffer.fill(messages, self._truncation)
        if not queue:
            self._changed()
        return count

    _truncation = MSG_TRUNC
    """What a receive call says of a message that it had to cut."""

    def close(self) -> None:
        """Forget what waits, and call ``changed`` no more. It is of no use after that."""
        self._changed = _nobody
        self._queue.clear()
        self._received_charge = 0
        self._error = 0


def _nobody() -> None:
    """Be told of changes, and do nothing."""
