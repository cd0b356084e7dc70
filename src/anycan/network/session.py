"""One client of a served network: what it asks for is done, within its limits."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final

from anycan.exceptions import NetworkUnavailableError
from anycan.network.rtnetlink import LinkEvents
from anycan.network.served_socket import ServedSocket
from anycan.wire.netlink import AF_NETLINK
from anycan.wire.served import (
    Answer,
    MalformedRequestError,
    Operation,
    Request,
    check_hello,
    pack_hello,
    unpack_option,
    unpack_receive,
    unpack_send,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from anycan.network.allowance import Allowance, ServerLimits
    from anycan.network.rtnetlink import LinkServer
    from anycan.network.served_socket import ReceiveBuffers
    from anycan.network.user import UserNetwork

_LONGEST_NAME: Final = 64  # bytes; of an interface: 15


class Session:
    """What one client has, and may.

    Args:
        network: The network.
        links: Its links.
        limits: What it may have at most.
        allowance: What its user has left.
        buffers: What messages are put in on their way to it.
        descriptors: Gives how many sockets it may have, for want of descriptors.
        writable: It may send, and change links.
        status: Gives the server's state.

    Attributes:
        writable: It may send, and change links.
        sockets: Its sockets, by number.
        requests: How many requests it has made.
    """

    def __init__(
        self,
        network: UserNetwork,
        links: LinkServer,
        limits: ServerLimits,
        allowance: Allowance,
        buffers: ReceiveBuffers,
        *,
        descriptors: Callable[[], int],
        writable: bool,
        status: Callable[[], bytes],
    ) -> None:
        self._network = network
        self._links = links
        self._limits = limits
        self._allowance = allowance
        self._buffers = buffers
        self._descriptors = descriptors
        self.writable = writable
        self._status = status
        self.sockets: dict[int, ServedSocket | LinkEvents] = {}
        self.requests = 0
        self.greeted = False
        self._last = 0
        self._operations: dict[int, Callable[[Request], Answer | tuple[Answer, int]]] = {
            Operation.HELLO: self._hello,
            Operation.OPEN: self._open,
            Operation.CLOSE: self._close,
            Operation.BIND: self._bind,
            Operation.CONNECT: self._connect,
            Operation.SET_OPTION: self._set_option,
            Operation.GET_OPTION: self._get_option,
            Operation.RECEIVE: self._receive,
            Operation.SEND: self._send,
            Operation.INDEX: self._index,
            Operation.NAME: self._name,
            Operation.MTU: self._mtu,
            Operation.NETLINK: self._netlink,
            Operation.STATUS: self._tell_status,
        }

    def handle(self, data: bytes) -> tuple[Answer, int | None]:
        """Do what a client asks for; give the answer, and the descriptor that goes with it.

        Raises:
            MalformedRequestError: It makes no sense, and the client is to be listened to no more.
        """
        request = Request.unpack(data)
        self.requests += 1
        operation = self._operations.get(request.operation)
        if operation is None:
            raise MalformedRequestError(f"there is no operation {request.operation}")
        if not self.greeted and request.operation != Operation.HELLO:
            raise MalformedRequestError("a client says first who it is")
        try:
            answer = operation(request)
        except OSError as error:
            return Answer(error.errno or errno.EIO, 0, words_of(error).encode()), None
        except NetworkUnavailableError as error:  # its owner has closed it
            return Answer(errno.ESHUTDOWN, 0, str(error).encode()), None
        return (answer, None) if isinstance(answer, Answer) else answer

    def _hello(self, request: Request) -> Answer:
        check_hello(request.payload)
        self.greeted = True
        return Answer(0, self._network.max_pdu_size, pack_hello() + self._network.name.encode())

    def _open(self, request: Request) -> tuple[Answer, int]:
        most = min(self._limits.sockets, self._descriptors())
        if len(self.sockets) >= most:
            raise OSError(errno.EMFILE, f"a client has {most} sockets at most")
        opened: ServedSocket | LinkEvents
        if request.socket == AF_NETLINK:
            opened = LinkEvents(self._network, self._allowance)
        else:
            protocol = request.socket

            def open_core(changed: Callable[[], object]) -> Any:
                return self._network._open_socket(protocol, changed)  # noqa: SLF001 - hidden from users alone

            opened = ServedSocket(open_core, self._allowance, self._buffers, writable=self.writable)
        self._last += 1
        self.sockets[self._last] = opened
        return Answer(0, self._last), opened.readiness.fileno()

    def _socket(self, request: Request) -> ServedSocket:
        found = self.sockets.get(request.socket)
        if not isinstance(found, ServedSocket):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return found

    def _close(self, request: Request) -> Answer:
        self.discard(request.socket)
        return Answer()

    def discard(self, number: int) -> None:
        """Close a socket; one that is not there is closed."""
        closed = self.sockets.pop(number, None)
        if closed is not None:
            closed.close()

    def _bind(self, request: Request) -> Answer:
        self._socket(request).bind(request.payload)
        return Answer()

    def _connect(self, request: Request) -> Answer:
        self._socket(request).connect(request.payload)
        return Answer()

    def _set_option(self, request: Request) -> Answer:
        level, option, _, value = unpack_option(request.payload)
        self._socket(request).setsockopt(level, option, value)
        return Answer()

    def _get_option(self, request: Request) -> Answer:
        level, option, size, _ = unpack_option(request.payload)
        return Answer(0, 0, self._socket(request).getsockopt(level, option, size))

    def _receive(self, request: Request) -> Answer:
        limit, payload_size, hardware_stamps = unpack_receive(request.payload)
        found = self.sockets.get(request.socket)
        if isinstance(found, LinkEvents):
            return Answer(0, 0, found.take(payload_size))
        count, data = self._socket(request).receive(
            limit, payload_size, hardware_stamps=hardware_stamps
        )
        return Answer(0, count, data)

    def _send(self, request: Request) -> Answer:
        payloads, address = unpack_send(request.payload)
        now_ns = self._network._now_ns  # noqa: SLF001 - hidden from users alone
        count = self._socket(request).send(payloads, address, now_ns, self._room)
        return Answer(0, count)

    def _room(self) -> int:
        """Give how many operations of the broadcast manager it may have besides those it has."""
        had = sum(one.operations for one in self.sockets.values() if isinstance(one, ServedSocket))
        return self._limits.operations - had

    def _index(self, request: Request) -> Answer:
        # Of one that no interface can have, the beginning does for an error's text.
        name = request.payload[:_LONGEST_NAME].decode("utf-8", "replace")
        return Answer(0, self._network.interface_index(name))

    def _name(self, request: Request) -> Answer:
        name = self._network.interface_name(request.socket)
        return Answer(errno.ENODEV) if name is None else Answer(0, 0, name.encode())

    def _mtu(self, request: Request) -> Answer:
        mtu = self._network.interface_mtu(request.socket)
        return Answer(errno.ENODEV) if mtu is None else Answer(0, mtu)

    def _netlink(self, request: Request) -> Answer:
        data = self._links.handle(request.payload, after=request.socket, writable=self.writable)
        return Answer(0, 0, data)

    def _tell_status(self, _request: Request) -> Answer:
        return Answer(0, 0, self._status())

    def close(self) -> None:
        """Close all that the client has."""
        while self.sockets:
            _, one = self.sockets.popitem()
            one.close()
