"""How an outlet sends to a port: by the port's own socket, or by one that is not heard here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anycan.exceptions import UnknownInterfaceError
from anycan.filter import Filter
from anycan.gateway.reasons import DropReason
from anycan.sockets.closing import finish_in_background

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.gateway.port import Port
    from anycan.sockets.forwarding import ForwardingSocket


class PortWay:
    """Sends by a port's own socket.

    Args:
        port: The port.
    """

    def __init__(self, port: Port) -> None:
        self._port = port

    @property
    def _socket(self) -> ForwardingSocket | None:
        return self._port.socket

    def open(self) -> None:
        """Begin: the port is open."""

    def close(self) -> None:
        """End: the port is being closed."""

    @property
    def fd(self) -> int:
        """The descriptor to poll; -1: there is none, or nothing can be sent by it."""
        socket = self._socket
        return -1 if socket is None or self._port.off else socket.fd

    @property
    def absence(self) -> DropReason:
        """Why there is no descriptor."""
        return self._port.off or DropReason.INTERFACE_GONE

    def put(self, payloads: Sequence[bytes]) -> int:
        """Send payloads; give how many were taken."""
        socket = self._socket
        if socket is None:
            raise AssertionError("an outlet asks for the descriptor first")
        return socket.put(payloads)

    def put_received(self, source: ForwardingSocket, count: int, size: int) -> int:
        """Send what another socket has read; give how many were taken."""
        socket = self._socket
        if socket is None:
            raise AssertionError("an outlet asks for the descriptor first")
        return socket.put_received(source, count, size)

    def took_error(self) -> None:
        """Take note that a call has taken the socket's pending error."""
        self._port.renew()

    def was_down(self) -> None:
        """Take note that the interface is down."""
        self._port.go_down()

    def was_up(self) -> None:
        """Take note that the interface takes frames."""
        self._port.come_up()

    def was_removed(self) -> None:
        """Take note that the interface is gone."""
        self._port.lose()


class SilentWay(PortWay):
    """Sends by a socket of its own, and no program on this machine receives it."""

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self._own: ForwardingSocket | None = None

    @property
    def _socket(self) -> ForwardingSocket | None:
        return self._own

    def open(self) -> None:
        """Open the socket."""
        try:
            self._own = self._port.open_socket(Filter.none(), loopback=False)
        except UnknownInterfaceError:  # and the port's own socket is told
            self._own = None

    def close(self) -> None:
        """Close the socket."""
        own, self._own = self._own, None
        if own is not None:
            finish_in_background(own.close())
