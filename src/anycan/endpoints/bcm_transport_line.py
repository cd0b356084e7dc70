"""A socket of a transport of the broadcast manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from anycan.exceptions import CanOSError
from anycan.loops.registration import Registration

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from anycan.endpoints.bcm_operations import Operations, Reader
    from anycan.sockets.bcm import BcmNews, BcmSocket


class TransportLine:
    """A socket of a transport: read by the loop, its news handed on.

    Args:
        loop: The loop.
        socket: The socket.
        tell: Called with the socket and an error that its operations have been told.
        deliver: Called when news have been handed on, to call the protocol.
        make_operations: Makes the operations.

    Attributes:
        operations: The operations.
        overflowed: 0: what is not taken stays in the receive buffer.
    """

    overflowed = 0

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        socket: BcmSocket,
        tell: Callable[[BcmSocket, CanOSError], object],
        deliver: Callable[[], object],
        make_operations: Callable[[BcmSocket, Reader], Operations],
    ) -> None:
        self._loop = loop
        self._socket = socket
        self._tell = tell
        self._deliver = deliver
        self._registration = Registration(loop, socket.fd, self._on_readable)
        try:
            self.operations = make_operations(socket, self)
        except BaseException:
            self._registration.close()
            raise

    def update_reading(self, reading: bool) -> None:
        """Turn reading on or off."""
        if reading:
            self._registration.start_reading()
        else:
            self._registration.stop_reading()

    def receive(self) -> Sequence[BcmNews]:
        """Give what has been received."""
        try:
            return self._socket.receive()
        except BlockingIOError:
            self._registration.renew()
            raise anyio.WouldBlock from None
        except CanOSError as error:
            if not self.operations.absorb(error):
                raise
            self._registration.renew()
            return ()

    def taken(self) -> Sequence[BcmNews]:
        """Give nothing: what has been read has been handed on."""
        return ()

    def failed(self, error: CanOSError) -> None:
        """Take note of an error that the operations have been told."""
        self._registration.renew()
        self._tell(self._socket, error)

    def moved(self, _former: int) -> None:
        """Read the socket's new descriptor, and poll the former one no more."""
        reading = self._registration.reading
        self._registration.close()
        self._registration = Registration(self._loop, self._socket.fd, self._on_readable)
        self.update_reading(reading)

    def _on_readable(self) -> None:
        try:
            self.operations.hand_on(self.receive())
        except anyio.WouldBlock:  # whatever was to be read has been drained meanwhile
            return
        except CanOSError as error:
            self.operations.fail(error)
        self._deliver()

    def close(self) -> Callable[[], object] | None:
        """Close the socket; all operations end.

        Returns:
            What is left to be done, in a thread; None: nothing.
        """
        self._registration.close()
        rest = self._socket.close()
        self.operations.close()
        return rest
