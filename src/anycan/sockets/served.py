"""Sockets on a network that another process serves: each call is asked there, and done at once."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from anycan.exceptions import CanOSError, NetworkUnavailableError, ProtocolUnavailableError
from anycan.loops.replacing import forget, replace_file
from anycan.wire.constants import SO_ERROR, SOL_SOCKET
from anycan.wire.messages import HEADER_SIZE
from anycan.wire.options import pack_integer
from anycan.wire.served import (
    MOST_BYTES,
    Operation,
    Request,
    pack_option,
    pack_receive,
    pack_send,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.network.client import ServedNetwork
    from anycan.wire.messages import MessageBuffer

_ROOM: Final = MOST_BYTES - 4096  # of a request, for payloads


class ServedDescriptor:
    """A socket of a served network: a :class:`~anycan.sockets.descriptor.Descriptor`.

    Args:
        network: The network.
        protocol: ``CAN_RAW`` and its like.
        module: What the kernel calls that, for the error message.

    Raises:
        ProtocolUnavailableError: The network has no such sockets.
        NetworkUnavailableError: The server is gone.
    """

    def __init__(self, network: ServedNetwork, protocol: int, module: str) -> None:
        self._network = network
        self._protocol = protocol
        self._module = module
        self._options: dict[tuple[int, int], bytes] = {}
        self._is_told = False
        self._polled: socket.socket | None = None
        self._number, self._session, self._polled = self._open()

    def _open(self) -> tuple[int, int, socket.socket]:
        network = self._network
        answer, descriptor, session = network.open_socket(self._protocol)
        if answer.number or descriptor is None:
            number = answer.number or errno.EMFILE
            text = answer.payload.decode("utf-8", "replace") or os.strerror(number)
            kind = CanOSError
            if not answer.number:  # it was opened, and its descriptor found no room here
                text = "this process has no descriptors left"
                with suppress(NetworkUnavailableError):
                    network.ask(Request(Operation.CLOSE, answer.value), session)
            elif number == errno.EPROTONOSUPPORT:
                kind, text = ProtocolUnavailableError, f"it has no sockets of {self._module}"
            raise kind(number, f"opening a CAN socket on {network.name} failed: {text}")
        polled = socket.socket(fileno=descriptor)
        network.follow(polled)
        return answer.value, session, polled

    def fileno(self) -> int:
        """Give the descriptor to poll; -1: it is closed."""
        return -1 if self._polled is None else self._polled.fileno()

    def _demand(self, operation: Operation, payload: bytes) -> tuple[int, bytes]:
        if self._polled is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            answer = self._network.ask(Request(operation, self._number, payload), self._session)
        except NetworkUnavailableError as error:
            number = self._lost(operation)
            told = str(error) if number == errno.ENODEV else os.strerror(number)
            raise OSError(number, told) from None
        number = answer.number
        if number:
            text = answer.payload.decode("utf-8", "replace") or os.strerror(number)
            raise OSError(number, text)
        return answer.value, answer.payload

    # A server that is gone, and may be back

    def _lost(self, operation: Operation) -> int:
        """Give the error number of a call when the server is gone: as where an interface is.

        That is told once, and then nothing can be read. So is the descriptor polled.
        """
        if not self._is_told:
            self._is_told = True
            if self._polled is not None:
                replace_file(self._polled.fileno(), None)
            return errno.ENODEV
        if operation is Operation.RECEIVE:
            return errno.EAGAIN
        return errno.ENXIO if operation is Operation.SEND else errno.ENODEV

    @property
    def _is_lost(self) -> bool:
        return self._polled is not None and not self._network.is_current(self._session)

    def _revive(self) -> None:
        """Open the socket again, with its options, if the connection that it was opened by is lost.

        It keeps its descriptor's number.
        """
        polled = self._polled
        if polled is None or not self._is_lost:
            return
        try:
            self._number, self._session, fresh = self._open()
        except NetworkUnavailableError as error:
            raise OSError(errno.ENODEV, str(error)) from None
        replace_file(polled.fileno(), fresh)
        self._network.follow(polled)
        self._is_told = False
        for (level, option), value in self._options.items():
            self._demand(Operation.SET_OPTION, pack_option(level, option, value))

    def bind(self, address: bytes) -> None:
        """Bind to the interface in a ``struct sockaddr_can``.

        Where the network was lost and is back, the socket is opened on it again.
        """
        self._revive()
        self._demand(Operation.BIND, address)

    def connect(self, address: bytes) -> None:
        """Connect to the interface in a ``struct sockaddr_can``; again, as :meth:`bind`."""
        self._revive()
        self._demand(Operation.CONNECT, address)

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set a socket option from its bytes; where the server is gone, for when it is back."""
        if not self._is_lost:
            self._demand(Operation.SET_OPTION, pack_option(level, option, value))
        self._options.pop((level, option), None)
        self._options[level, option] = value  # in the order in which they were set last

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Give the bytes of a socket option, ``size`` at most."""
        asks_for_error = (level, option) == (SOL_SOCKET, SO_ERROR)
        if asks_for_error and self._is_lost and self._is_told:
            return pack_integer(0)[:size]
        try:
            return self._demand(Operation.GET_OPTION, pack_option(level, option, size))[1]
        except OSError as error:
            if asks_for_error and self._is_lost:  # which is a pending error, as any
                return pack_integer(error.errno or 0)[:size]
            raise

    def receive(self, buffer: MessageBuffer) -> int:
        """Fill a buffer with what waits."""
        request = pack_receive(
            buffer.limit, buffer.payload_size, hardware_stamps=buffer.hardware_stamps
        )
        count, data = self._demand(Operation.RECEIVE, request)
        split = count * HEADER_SIZE
        buffer.headers[:split] = data[:split]
        buffer.records[: count * buffer.stride] = data[split:]
        return count

    def send(self, payloads: Sequence[bytes], address: bytes | None = None) -> int:
        """Send messages in their order, as many as go into one request."""
        if not payloads:
            return 0
        size, count = 0, 0
        for payload in payloads:
            size += len(payload) + 4
            if count and size > _ROOM:
                break
            count += 1
        return self._demand(Operation.SEND, pack_send(list(payloads[:count]), address))[0]

    def send_received(self, buffer: MessageBuffer, count: int, size: int) -> int:
        """Send the first payloads of a receive buffer, all of one length."""
        starts = range(0, count * buffer.stride, buffer.stride)
        return self.send([bytes(buffer.records[start : start + size]) for start in starts])

    def close(self) -> None:
        """Close the socket; a second time does nothing. Every other call then gives EBADF."""
        polled, self._polled = self._polled, None
        if polled is not None:
            with suppress(NetworkUnavailableError):  # and its sockets with it
                self._network.ask(Request(Operation.CLOSE, self._number), self._session)
            forget(polled.fileno())
            polled.close()
