"""A network that another process serves."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from anycan.exceptions import (
    CanPermissionError,
    NetworkUnavailableError,
    UnknownInterfaceError,
)
from anycan.network.channel import KIND, Channel
from anycan.network.status import unpack_status
from anycan.wire.served import (
    MOST_BYTES,
    MOST_PDU,
    Answer,
    MalformedRequestError,
    Operation,
    Request,
    check_hello,
    pack_hello,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from anycan.network.status import NetworkStatus

_PATIENCE: Final = 1  # seconds that an answer may take
_TIMEVAL: Final = struct.Struct("@ll")


_networks: Final[weakref.WeakSet[ServedNetwork]] = weakref.WeakSet()


def _forked() -> None:
    for network in list(_networks):
        network.forked()


os.register_at_fork(after_in_child=_forked)


class ServedNetwork:
    """A user-space network that another process serves. Made by :func:`connect_network`.

    Endpoints are opened on it with ``network=``, as on any other. What they ask of it, the server
    does before the call returns: some tens of microseconds. One that does not answer within a
    second is taken for dead.

    It is a context manager, synchronous and asynchronous. Leaving it closes the connection.

    A network and everything opened on it belong to one process; threads may share it.

    Args:
        path: Where it is served.

    Raises:
        NetworkUnavailableError: No network is served there, or it does not answer.
        CanPermissionError: This user may not connect to it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.closed = False
        self._lock = threading.Lock()
        self._asking = 0  # the thread that has the lock
        self._left: list[Request] = []  # to be closed when it has not
        self._channel: Channel | None = None
        self._session = 0
        self._max_pdu_size = 0
        self._served_name = ""
        self._polled: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        _networks.add(self)
        with self._turn():
            self._connect()

    def _connect(self) -> None:
        connected = socket.socket(socket.AF_UNIX, KIND)
        try:
            # By socket options, not by settimeout(), which polls before each call.
            patience = _TIMEVAL.pack(_PATIENCE, 0)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
            connected.connect(self.path)
        except OSError as error:
            connected.close()
            raise _no_connection(self.path, error) from None
        self._session += 1
        self._channel = Channel(connected)
        answer, _ = self._exchange(Request(Operation.HELLO, 0, pack_hello()))
        refusal = ""
        if answer.number:
            refusal = answer.payload.decode("utf-8", "replace")
        else:
            try:
                self._served_name = check_hello(answer.payload).decode("utf-8", "replace")
            except MalformedRequestError as error:
                refusal = str(error)
        if refusal:
            self._drop()
            raise NetworkUnavailableError(f"{self.name}: {refusal}")
        self._max_pdu_size = min(answer.value, MOST_PDU)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._channel is not None

    # Asking

    def ask(self, request: Request, session: int | None = None) -> Answer:
        """Ask the server, and give its answer.

        Args:
            request: What to ask.
            session: The connection that it is about; None: any, and where the last one is lost,
                another one.

        Raises:
            NetworkUnavailableError: The server is gone, or does not answer; or that connection is
                lost, and with it all that was opened by it.
        """
        if session is not None and not self.is_current(session):
            self._require(session)  # at once, while a thread may be connecting again for a second
        if self._asking == threading.get_ident() and request.operation == Operation.CLOSE:
            self._left.append(request)  # the garbage collector's, in the middle of another call
            return Answer()
        with self._turn():
            self._require(session)
            return self._exchange(request)[0]

    def open_socket(self, protocol: int) -> tuple[Answer, int | None, int]:
        """Have the server open a socket.

        Args:
            protocol: ``CAN_RAW`` and its like; ``AF_NETLINK``: link events.

        Returns:
            The answer, the descriptor to poll (None: there is none, as the answer says), and the
            connection it was opened by.

        Raises:
            NetworkUnavailableError: The server is gone, or does not answer.
        """
        with self._turn():
            self._require(None)
            return *self._exchange(Request(Operation.OPEN, protocol)), self._session

    def follow(self, polled: socket.socket) -> None:
        """Have a descriptor wake who polls it when the connection is lost."""
        self._polled.add(polled)

    def is_current(self, session: int) -> bool:
        """Tell whether a connection is there still, as far as is known."""
        return self._channel is not None and session == self._session

    def reconnect(self) -> None:
        """Connect again, if the connection is lost. It may take a second.

        Raises:
            NetworkUnavailableError: There is no server still, or this end was closed.
            CanPermissionError: This user may not connect to it.
        """
        with self._turn():
            self._require(None)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Have one call at a time, with its answer.

        Raises:
            NetworkUnavailableError: This thread is in a call: a signal's handler runs.
        """
        if self._asking == threading.get_ident():
            raise NetworkUnavailableError(
                f"{self.name} is being asked something by this thread, and this is the handler of a"
                " signal: ask when it has returned (by call_soon_threadsafe, say)"
            )
        with self._lock:
            self._asking = threading.get_ident()
            try:
                yield
                while self._left and self._channel is not None:
                    self._exchange(self._left.pop())
            finally:
                self._left.clear()
                self._asking = 0

    def _require(self, session: int | None) -> None:
        """See to it that there is a connection, or that one."""
        if session is None:
            if self.closed:
                raise NetworkUnavailableError(f"the connection to {self.name} is closed")
            if self._channel is None:
                self._connect()
        elif not self.is_current(session):
            raise NetworkUnavailableError(f"the connection to {self.name} is lost")

    def _exchange(self, request: Request) -> tuple[Answer, int | None]:
        channel = self._channel
        if channel is None:
            raise AssertionError("there is a connection by now")
        message = request.pack()
        if len(message) > MOST_BYTES:  # the server would take it for an attack
            return Answer(errno.EMSGSIZE), None
        reason = ""
        try:
            channel.send(message)
            data, descriptor = channel.receive_descriptor()
            if data:
                return Answer.unpack(data), descriptor
        except ConnectionError:
            reason = _farewell(channel)
        except (OSError, MalformedRequestError):
            reason = "it does not answer"
        except BaseException:  # such as KeyboardInterrupt: the answer would be taken for another's
            self._drop()
            raise
        self._drop()
        raise NetworkUnavailableError(f"{self.name} is lost: {reason or 'its server is gone'}")

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
            for polled in list(self._polled):  # else who waits would wait for a server that hangs
                with suppress(OSError):
                    polled.shutdown(socket.SHUT_RDWR)
        self._polled.clear()

    def forked(self) -> None:
        """Leave the connection to the process that this one was forked from."""
        self._lock = threading.Lock()  # which another thread of it may have had
        self._asking = 0
        self._left.clear()
        self._polled.clear()  # what is polled is that process's as well
        self._drop()

    def demand(self, request: Request) -> Answer:
        """Ask the server for what it has to do.

        Raises:
            OSError: It refused, with the number and the words that it gave.
            NetworkUnavailableError: It is gone, or does not answer.
        """
        answer = self.ask(request)
        if answer.number:
            text = answer.payload.decode("utf-8", "replace") or os.strerror(answer.number)
            raise OSError(answer.number, text)
        return answer

    # What sockets ask

    @property
    def name(self) -> str:
        """``"unix:PATH"``."""
        return f"unix:{self.path}"

    def interface_index(self, name: str) -> int:
        """Give the index of an interface, from 1.

        Raises:
            UnknownInterfaceError: There is no interface of that name, as there is no server.
        """
        try:
            answer = self.ask(Request(Operation.INDEX, 0, name.encode()))
        except NetworkUnavailableError as error:
            raise UnknownInterfaceError(errno.ENODEV, str(error), name) from None
        if answer.number:
            text = answer.payload.decode("utf-8", "replace")
            raise UnknownInterfaceError(errno.ENODEV, text or f"there is no interface {name}", name)
        return answer.value

    def interface_name(self, index: int) -> str | None:
        """Give the name of an interface; None: there is none of that index, or no server."""
        answer = self._ask_about(Operation.NAME, index)
        return None if answer is None else answer.payload.decode("utf-8", "replace")

    def interface_mtu(self, index: int) -> int | None:
        """Give the MTU of an interface; None: there is none of that index, or no server."""
        answer = self._ask_about(Operation.MTU, index)
        return None if answer is None else answer.value

    def _ask_about(self, operation: Operation, index: int) -> Answer | None:
        """Ask about an interface; None: there is none. Whoever reads frames asks, at any time."""
        if not 0 <= index <= 0xFFFFFFFF:
            return None
        try:
            answer = self.ask(Request(operation, index))
        except NetworkUnavailableError:
            return None
        return None if answer.number else answer

    @property
    def max_pdu_size(self) -> int:
        """The most bytes in a PDU of ISO-TP."""
        return self._max_pdu_size

    def remedy(self, interface: str, mtu: int | None = None) -> str:
        """Say how a user brings an interface up, or gives it another MTU, while it is down."""
        change = "up=True" if mtu is None else f"mtu={mtu}"
        return f"configure_interface({interface!r}, {change}, network=...)"

    def demand_links(self, request: bytes, after: int = 0) -> bytes:
        """Ask for links, or have them changed, in rtnetlink's own bytes.

        Args:
            request: A message.
            after: Of a dump, which comes in parts, the index of the last link that was told; 0:
                none was.

        Returns:
            The messages that answer it.
        """
        return self.demand(Request(Operation.NETLINK, after, request)).payload

    def status(self) -> NetworkStatus:
        """Ask the server about itself, its clients and their sockets.

        Any client may ask. What there is to know of the interfaces, :func:`list_interfaces` tells.

        Raises:
            NetworkUnavailableError: The server is gone, does not answer, or is of another version
                of anycan.

        Example:
            ::

                async with await anycan.connect_network("/run/user/1000/anycan.sock") as network:
                    for client in network.status().clients:
                        print(client.process, [socket.kind for socket in client.sockets])
        """
        answer = self.demand(Request(Operation.STATUS))
        try:
            return unpack_status(answer.payload)
        except ValueError as error:
            raise NetworkUnavailableError(
                f"{self.name} tells its state in another way: {error}; is its server of another"
                " version of anycan?"
            ) from None

    # Ending

    def close(self) -> None:
        """Close the connection; its endpoints are of no more use. A second time does nothing."""
        with self._turn():
            self.closed = True
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        channel = getattr(self, "_channel", None)  # not there, where it could not be made
        if channel is not None:
            channel.close()  # the server sees it, and has no use for more

    def __repr__(self) -> str:
        state = " closed" if self._channel is None else ""
        return f"<ServedNetwork {self.path}{state}>"


def _farewell(channel: Channel) -> str:
    """Give what a server has said before it ended a connection; nothing: it has said nothing."""
    with suppress(OSError, MalformedRequestError):
        answer = Answer.unpack(channel.receive())
        return answer.payload.decode("utf-8", "replace") if answer.number else ""
    return ""


def _no_connection(path: str, error: OSError) -> NetworkUnavailableError | CanPermissionError:
    number = error.errno or 0
    if number in {errno.EACCES, errno.EPERM}:
        return CanPermissionError(
            number,
            f"this user may not connect to the network at {path} (its file's rights, or --group of"
            " its server)",
        )
    reason = {
        errno.ENOENT: "there is no such file",
        errno.ECONNREFUSED: "its server is gone",
        errno.EPROTOTYPE: "what listens there is no anycan network",
        errno.EAGAIN: "it lets nobody in",
    }.get(number, os.strerror(number) if number else str(error))  # such as "path too long"
    return NetworkUnavailableError(
        f"no network is served at {path}: {reason} ('anycan network serve --path {path}' serves"
        " one)"
    )
