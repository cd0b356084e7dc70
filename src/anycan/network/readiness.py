"""What an event loop polls in place of a socket that is in memory.

It is one end of a pair of stream sockets: readable while a byte lies in it, and writable while its
send buffer is not full. A byte is written when the socket becomes readable and read when it no
longer is, so a wake-up costs two system calls and a frame none.

The end that is polled may be in another process's hands as well, which may read it, fill it, shut
it down or make it block: that changes what it sees, and nothing here.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

_ROOM: Final = 4096  # of the polled end's send buffer, which is filled to make it not writable
_FILL: Final = bytes(65536)
_CALLS: Final = 64  # more than it takes, whoever holds the other end as well
# Of every call: whoever polls the end elsewhere may have made it block, and a signal would end all.
_FLAGS: Final[int] = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)


class Readiness:
    """A descriptor that polls as it is told to.

    Attributes:
        own: The end that is polled.

    Raises:
        OSError: There are no descriptors left.
    """

    def __init__(self) -> None:
        self.own, self._peer = socket.socketpair()
        self.own.setblocking(False)
        self._peer.setblocking(False)
        self.own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self.readable = False
        self.writable = True

    def fileno(self) -> int:
        """Give the descriptor to poll; -1: it is closed."""
        return self.own.fileno()

    def set_readable(self) -> None:
        """Poll readable, or no longer."""
        self.readable = not self.readable
        with suppress(OSError):
            if self.readable:
                self._peer.send(b"\0", _FLAGS)
            else:
                self.own.recv(1, _FLAGS)

    def set_writable(self) -> None:
        """Poll writable, or no longer."""
        self.writable = not self.writable
        with suppress(OSError):
            for _ in range(_CALLS):
                if not self.writable:
                    self.own.send(_FILL, _FLAGS)
                elif not self._peer.recv(len(_FILL), _FLAGS):
                    return

    def close(self) -> None:
        """Close both ends; a second time does nothing."""
        self.own.close()
        self._peer.close()
