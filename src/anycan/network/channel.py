"""Messages over a Unix socket: each whole, on ``SOCK_SEQPACKET`` or on a byte stream."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import termios
from typing import Final

from anycan.wire.served import LENGTH, MOST_BYTES, MalformedRequestError

KIND: Final[int] = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_STREAM)
"""What a network is served by: macOS has no ``SOCK_SEQPACKET`` for Unix sockets."""


class Channel:
    """One end of a connection, whose socket blocks or does not.

    Args:
        connected: The socket.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._is_stream = connected.type == socket.SOCK_STREAM
        self._read = bytearray()
        self._is_cut = False

    def make_room(self) -> None:
        """See to it that the longest message has room at once: on macOS there are 8 KiB."""
        least = 2 * MOST_BYTES
        if self._is_stream:
            had = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            if had < least:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, least)

    def send(self, message: bytes, descriptor: int | None = None) -> None:
        """Send a message, and with it a descriptor.

        Raises:
            BlockingIOError: There is no room for it.
            OSError: The other end is gone.
        """
        if self._is_cut:  # what comes now would be taken for the rest of the former
            raise BrokenPipeError(errno.EPIPE, "a message was sent in part")
        if self._is_stream:
            message = LENGTH.pack(len(message)) + message
        if descriptor is None:
            sent = self.socket.send(message)
        else:
            sent = socket.send_fds(self.socket, [message], [descriptor])
        if sent != len(message):
            if not self._is_stream or not self.socket.getblocking():
                self._is_cut = True
                raise BlockingIOError("there is no room for all of a message")
            self.socket.sendall(message[sent:])

    def receive(self) -> bytes:
        """Give the next message; no bytes: the other end is gone.

        Raises:
            BlockingIOError: There is none yet.
            OSError: The connection failed.
            MalformedRequestError: It is longer than any.
        """
        if not self._is_stream:
            return self.socket.recv(MOST_BYTES + 1)
        read = self._read
        while (message := self._whole()) is None:
            # No more than this message: the descriptor polls readable for the next one.
            end = LENGTH.size
            if len(read) >= end:
                end += LENGTH.unpack_from(read)[0]
            data = self.socket.recv(end - len(read))
            if not data:
                return b""
            read += data
        return message

    def has_unread(self) -> bool:
        """Tell whether the other end has not read all that was sent, where the system tells."""
        if sys.platform != "linux":
            return False
        number = fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4))
        return any(number)

    def receive_descriptor(self) -> tuple[bytes, int | None]:
        """Give the next message, and the descriptor that came with it."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self.socket, MOST_BYTES + 1, 1)
            descriptor = descriptors[0] if descriptors else None
            if descriptor is not None:
                os.set_inheritable(descriptor, False)  # no flag of recv_fds() reaches the system
            if not self._is_stream or not data:
                return data, descriptor
            self._read += data
            message = self._whole()
            if message is not None:
                return message, descriptor
            message = self.receive()
            return message, descriptor

    def _whole(self) -> bytes | None:
        """Give the first message that has been read whole; None: none has."""
        read = self._read
        if len(read) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(read)
        if length > MOST_BYTES:
            raise MalformedRequestError(f"a message of {length} bytes")
        end = LENGTH.size + length
        if len(read) < end:
            return None
        message = bytes(read[LENGTH.size : end])
        del read[:end]
        return message

    def close(self) -> None:
        """Close this end."""
        self.socket.close()
