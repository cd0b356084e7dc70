"""A client's socket on a served network, on the server's side."""

from __future__ import annotations

from functools import partial
from time import thread_time
from typing import TYPE_CHECKING, Any, Final

from anycan.network.allowance import Operations, check_binding, check_sending
from anycan.network.core.bcm import BcmSocketCore
from anycan.network.core.raw import RawSocketCore
from anycan.network.core.socket import ADDRESS
from anycan.network.core.socket_options import BUFFER_MAXIMUM
from anycan.network.readiness import Readiness
from anycan.wire.constants import (
    CAN_RAW_FILTER,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.messages import HEADER_SIZE, MessageBuffer
from anycan.wire.options import pack_integer, unpack_integer, unpack_integers
from anycan.wire.served import MOST_PDU

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.allowance import Allowance
    from anycan.network.core.socket import SocketCore

_BUFFERED: Final = 128  # messages in an answer
_SENT: Final = 256  # messages of a request, before others have their turn
_TURN: Final = 0.002  # seconds of this thread that a request may take: others have their turn
_SLICE: Final = 64  # frames between looks at the clock
_FIRST_SLICE: Final = 2
_FILTER_SIZE: Final = 8  # linux/can.h: struct can_filter
_KINDS: Final = 8  # of buffers that are kept
_MOST_BYTES: Final = 1 << 16  # of an answer
_BUFFERS: Final = frozenset({SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE})


class ReceiveBuffers:
    """What messages are put in on their way to a client. All sockets of a server share them."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[int, bool], MessageBuffer] = {}

    def get(self, payload_size: int, *, hardware_stamps: bool) -> MessageBuffer:
        """Give one for payloads of a size; longer ones are cut."""
        size = max(1, min(payload_size, MOST_PDU))
        key = size, hardware_stamps
        buffer = self._buffers.get(key)
        if buffer is None:
            if len(self._buffers) >= _KINDS:  # whoever asks in ever other ways
                self._buffers.clear()
            stride = MessageBuffer(1, size, hardware_stamps=hardware_stamps).stride
            capacity = max(1, min(_BUFFERED, _MOST_BYTES // stride))
            buffer = MessageBuffer(capacity, size, hardware_stamps=hardware_stamps)
            self._buffers[key] = buffer
        return buffer


class ServedSocket:
    """A socket of a client's.

    Args:
        open_core: Opens the socket; it is given what to call when it may have become readable or
            writable, or no longer is.
        allowance: What its user has left.
        buffers: What messages are put in on their way.
        writable: It may send.

    Attributes:
        readiness: What the client polls.

    Raises:
        OSError: There are no descriptors left, no such sockets, or no room for its buffer.
    """

    def __init__(
        self,
        open_core: Callable[[Callable[[], object]], SocketCore],
        allowance: Allowance,
        buffers: ReceiveBuffers,
        *,
        writable: bool = True,
    ) -> None:
        self._allowance = allowance
        self._buffers = buffers
        self._writable = writable
        self._operations = Operations(allowance)
        self._filters = 0  # that were set
        self._index = 0  # of the interface it is connected to
        allowance.take(BUFFER_MAXIMUM)
        self._held = BUFFER_MAXIMUM
        try:
            self._core = open_core(self._changed)
            try:
                self.readiness = Readiness()
            except OSError:
                self._core.close()
                raise
        except BaseException:
            allowance.buffers -= self._held
            raise

    def _changed(self) -> None:
        core, readiness = self._core, self.readiness
        if core.readable is not readiness.readable:
            readiness.set_readable()
        if core.writable is not readiness.writable:
            readiness.set_writable()

    def bind(self, address: bytes) -> None:
        """Bind to the interface in a ``struct sockaddr_can``."""
        if not self._writable:
            check_binding(self._core)
        self._core.bind(address)

    def connect(self, address: bytes) -> None:
        """Connect to the interface in a ``struct sockaddr_can``."""
        self._core.connect(address)
        self._index = _index_of(address)

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set an option; a buffer is no larger than a client's may be."""
        if level == SOL_SOCKET and option in _BUFFERS and len(value) >= 4:
            # As the kernel reads it: what is forced may be below 0.
            forced = option in {SO_RCVBUFFORCE, SO_SNDBUFFORCE}
            asked = unpack_integer(value[:4]) if forced else unpack_integers(value[:4])[0]
            value = pack_integer(min(asked, self._allowance.most(self._held) // 2))
        if level == SOL_CAN_RAW and option == CAN_RAW_FILTER:
            self._set_filters(value)
            return
        self._core.setsockopt(level, option, value)
        if level == SOL_SOCKET and option in {SO_RCVBUF, SO_RCVBUFFORCE}:
            now = unpack_integers(self._core.getsockopt(SOL_SOCKET, SO_RCVBUF, 4))[0]
            self._allowance.buffers += now - self._held
            self._held = now

    def _set_filters(self, value: bytes) -> None:
        count = len(value) // _FILTER_SIZE
        more = count - self._filters
        self._allowance.take_filters(more)
        try:
            self._core.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, value)
        except BaseException:
            self._allowance.take_filters(-more)
            raise
        self._filters = count

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give an option."""
        return self._core.getsockopt(level, option, min(size, _MOST_BYTES))

    @property
    def operations(self) -> int:
        """How many operations of the broadcast manager it has."""
        return len(self._operations)

    def send(
        self,
        payloads: list[bytes],
        address: bytes | None,
        now_ns: Callable[[], int],
        room: Callable[[], int],
    ) -> int:
        """Send messages in their order; give how many were taken, from 1.

        They are some hundreds at most, and fewer where they take long: others have their turn.

        Args:
            payloads: The messages.
            address: ``struct sockaddr_can`` of the interface.
            now_ns: Gives the time.
            room: Gives how many operations the client may have besides those it has.
        """
        core = self._core
        if not self._writable:
            check_sending(core, payloads[:_SENT])
        if len(payloads) <= _FIRST_SLICE and not isinstance(core, BcmSocketCore):
            return core.send_many(payloads, address, now_ns)
        until = thread_time() + _TURN
        total = min(len(payloads), _SENT)
        # The first is small: a frame can take long, where others have filters by the thousand.
        most, size = (_SLICE, _FIRST_SLICE) if isinstance(core, RawSocketCore) else (1, 1)
        count = 0
        try:
            while True:
                part = payloads[count : min(count + size, total)]
                if isinstance(core, BcmSocketCore):
                    self._manage(core, part[0], address, now_ns, room)
                    taken = 1
                else:
                    taken = core.send_many(part, address, now_ns)
                count += taken
                if taken < len(part) or count == total or thread_time() > until:
                    return count
                size = min(4 * size, most)
        except OSError:
            if not count:
                raise
        return count

    def _manage(
        self,
        core: BcmSocketCore,
        payload: bytes,
        address: bytes | None,
        now_ns: Callable[[], int],
        room: Callable[[], int],
    ) -> None:
        index = self._index
        if not index and address is not None:
            index = _index_of(address)
        self._operations.send(partial(core.send, payload, address, now_ns()), payload, index, room)

    def receive(self, limit: int, payload_size: int, *, hardware_stamps: bool) -> tuple[int, bytes]:
        """Give what waits: how many messages, and their headers and records."""
        buffer = self._buffers.get(payload_size, hardware_stamps=hardware_stamps)
        buffer.limit = max(1, min(limit, buffer.capacity))
        count = self._core.receive(buffer)
        headers = bytes(memoryview(buffer.headers)[: count * HEADER_SIZE])
        return count, headers + bytes(memoryview(buffer.records)[: count * buffer.stride])

    def status(self) -> dict[str, Any]:
        """Tell of it."""
        core = self._core
        return {
            "kind": type(core).__name__.removesuffix("SocketCore").lower(),
            "interface": core.interface_name,
            "queued": core.queued,
            "buffer": self._held,
            "operations": self.operations,
            "drops": core.drops,
        }

    def close(self) -> None:
        """Close it."""
        self._allowance.buffers -= self._held
        self._held = 0
        self._core.close()
        self._operations.close()
        self._allowance.take_filters(-self._filters)
        self._filters = 0
        self.readiness.close()


def _index_of(address: bytes) -> int:
    """Give the interface in an address; of one that is too short 0."""
    return int(ADDRESS.unpack_from(address)[1]) if len(address) >= ADDRESS.size else 0
