"""Raw CAN as an asyncio transport and protocol."""

from __future__ import annotations

import errno
from collections import deque
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import anyio

from anycan.endpoints.base_transport import BaseCanTransport
from anycan.endpoints.pacing import Pacer
from anycan.endpoints.protocol import CanProtocol
from anycan.endpoints.statistics import RawStatistics
from anycan.exceptions import CanOSError
from anycan.frame import AnyFrame
from anycan.sockets.raw import SEND_BATCH, RawSocket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from anycan.filter import CanFilter, Filter
    from anycan.frame import ErrorClass


class RawTransport(BaseCanTransport[AnyFrame]):
    """Raw CAN as an asyncio transport. Made by :func:`create_raw_transport`.

    What ``get_extra_info`` knows: ``"interface"`` (a name; None: all), ``"interface_index"``,
    ``"network"`` and ``"fd"``.
    """

    protocol_class = CanProtocol
    received_call = "frame_received"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, socket: RawSocket, protocol: CanProtocol
    ) -> None:
        super().__init__(loop, socket, protocol)
        self._socket = socket
        self._outgoing: deque[tuple[AnyFrame, str | int | None]] = deque()
        self._pacer = Pacer()
        self._retry: asyncio.Handle | None = None
        self._errors = 0

    # Writing

    def send(self, frame: AnyFrame, interface: str | int | None = None) -> None:
        """Send a frame, now or as soon as there is room; it never waits.

        What is refused for good goes to the protocol's ``error_received``. A protocol that sends
        much heeds ``pause_writing``: what it sends beyond that is kept in memory.

        Args:
            frame: Any kind of frame.
            interface: Where to; None: the bound interface, or where the transport is bound to all,
                the one that the frame was received from.

        Raises:
            TypeError: It is no frame.
            ClosedResourceError: The transport is closed or closing.
        """
        if self._closing:
            raise anyio.ClosedResourceError
        if not self._outgoing and not self._is_held(frame, interface):
            try:
                self._socket.send((frame,), interface)
            except BlockingIOError as error:
                self._wait_for_room(error)
            except CanOSError as error:
                if not self._is_absorbed(error, frame, interface):
                    # Later, so that a protocol may send again from there without end.
                    self._loop.call_soon(self._tell, error)
                    return
            else:
                return
        if not isinstance(frame, AnyFrame):
            raise TypeError(f"not a CAN frame: {frame!r}")
        self._outgoing.append((frame, interface))
        self._update_writing()

    def _wait_for_room(self, error: BlockingIOError) -> None:
        """Try again once the send buffer (which poll sees) or the interface's queue has room."""
        if error.errno == errno.ENOBUFS:
            self._try_later()
        else:
            self._registration.start_writing(self._flush)

    def _try_later(self) -> None:
        self._stop_writing()
        self._retry = self._loop.call_later(self._pacer.delay(), self._flush)

    def _stop_writing(self) -> None:
        self._registration.stop_writing()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _is_held(self, _frame: AnyFrame, _interface: str | int | None) -> bool:
        """Tell whether a frame is to wait, until :meth:`_flush` is called."""
        return False

    def _is_absorbed(
        self, _error: CanOSError, _frame: AnyFrame, _interface: str | int | None
    ) -> bool:
        """Tell whether a frame that was refused is to wait, until :meth:`_flush` is called."""
        return False

    def _flush(self) -> None:
        first, interface = self._outgoing[0]
        if self._is_held(first, interface):
            self._stop_writing()
            return
        batch = [
            frame
            for frame, _ in takewhile(
                lambda item: item[1] == interface, islice(self._outgoing, SEND_BATCH)
            )
        ]
        try:
            count = self._socket.send(batch, interface)
        except BlockingIOError as error:
            self._wait_for_room(error)
            return
        except CanOSError as error:
            if self._is_absorbed(error, first, interface):
                return
            self._tell(error)
            count = 1  # that frame is lost, and its loss told
        else:
            self._pacer.progress()
        self._stop_writing()
        if self._closed:
            return
        for _ in range(count):
            self._outgoing.popleft()
        if self._outgoing:
            self._retry = self._loop.call_soon(self._flush)
        elif self._closing:
            self._lose(None)
        self._update_writing()

    def get_write_buffer_size(self) -> int:
        """Give the number of frames that wait to be sent."""
        return len(self._outgoing)

    # Filters, counters

    def set_filters(
        self, filters: Filter | CanFilter | Iterable[Filter | CanFilter] | None
    ) -> None:
        """Change which data and remote frames are received from now on; None: all.

        Raises:
            FilterError: There are more kernel filters than the 512 that a socket takes, or one is
                out of range; the old ones stay.
            ClosedResourceError: The transport is closed.
        """
        self._check_open()
        self._socket.set_filters(filters)

    def set_errors(self, classes: ErrorClass | int) -> None:
        """Change which classes of error frames are received from now on; 0: none.

        Raises:
            FilterError: The classes are out of range.
            ClosedResourceError: The transport is closed.
        """
        self._check_open()
        self._socket.set_errors(classes)

    def _check_open(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError

    def statistics(self) -> RawStatistics:
        """Give the counters since the transport was made; also after it was closed."""
        socket = self._socket
        return RawStatistics(
            received=socket.received,
            sent=socket.sent,
            filtered=socket.filtered,
            dropped=socket.dropped,
            malformed=socket.malformed,
            errors=self._errors,
            waiting=len(self._incoming),
            discarded=self._discarded,
            gaps=self._gap_count(),
        )

    def _gap_count(self) -> int:
        return 0

    # Ending

    def _tell_pending(self, error: CanOSError) -> None:
        self._errors += 1
        super()._tell_pending(error)

    def _forget_outgoing(self) -> None:
        self._outgoing.clear()
        self._stop_writing()

    def __repr__(self) -> str:
        return self._describe(self._socket.interface or "all interfaces")
