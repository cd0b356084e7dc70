"""A user network served to other processes: who connects has sockets on it.

It is the same network as in this process. Each client has a connection; what it asks for is done
when it is read, in the order of the requests, and its sockets go with it.
"""

from __future__ import annotations

import errno
import grp
import itertools
import logging
import os
import resource
import socket
import stat
import struct
import time
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from anycan.exceptions import CanPermissionError, NetworkUnavailableError
from anycan.loops.pump import open_pump
from anycan.network.allowance import Allowance, ServerLimits
from anycan.network.channel import KIND, Channel
from anycan.network.rtnetlink import LinkServer
from anycan.network.served_socket import ReceiveBuffers
from anycan.network.session import Session
from anycan.network.status import ClientStatus, NetworkStatus, SocketStatus, pack_status
from anycan.wire.served import Answer, MalformedRequestError

if TYPE_CHECKING:
    from anycan.loops.pump import AsyncioPump, TrioPump
    from anycan.network.user import UserNetwork

_LOGGER: Final = logging.getLogger("anycan.network")
_BACKLOG: Final = 64
_REQUESTS: Final = 16  # of one client, before others have their turn,
_TURN: Final = 0.002  # or so many seconds
_SILENCE: Final = 0.1  # seconds between warnings
_UNREAD: Final = "it does not read its answers"
_RESERVE: Final = 64  # descriptors, for the process itself
_NOT_NOW: Final = frozenset({errno.ETOOMANYREFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_CREDENTIALS: Final = struct.Struct("=iII")
_numbers: Final = itertools.count(1)  # of connections


@attrs.frozen
class Peer:
    """Who is at the other end of a connection.

    Attributes:
        process: The number of its process; None: it is not told.
        user: Its user's number; None: it is not told.
        groups: The number of its group; None: it is not told.
    """

    process: int | None = None
    user: int | None = None
    group: int | None = None


def peer_of(connected: socket.socket) -> Peer:
    """Find out who is at the other end, by what the system says (``SO_PEERCRED``)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return Peer()
    data = connected.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(data))


class NetworkServer:
    """Serves a network at a path.

    Args:
        network: The network.
        path: Where.
        mode: The rights of the socket's file.
        group: Whose members may connect; None: the file's rights say it all.
        group_writable: They may send, and not listen alone.
        limits: What clients may have at most.

    Raises:
        NetworkUnavailableError: Another server is there, or the path cannot be used.
        CanPermissionError: It may not be made there.
    """

    def __init__(
        self,
        network: UserNetwork,
        path: str,
        *,
        mode: int,
        group: str | int | None,
        group_writable: bool,
        limits: ServerLimits,
    ) -> None:
        self._network = network
        self._path = path
        self._limits = limits
        self._group = None if group is None else _group_number(group)
        self._group_writable = group_writable
        self._clients: dict[_Connection, None] = {}
        self._ended: deque[tuple[Peer, Channel]] = deque()  # with something on its way still
        self._allowances: dict[int | None, Allowance] = {}  # by user
        self._links = LinkServer(network, limits.interfaces)
        self._buffers = ReceiveBuffers()
        self._started = time.monotonic()
        self._refused = 0
        self._silent_until = 0.0
        self._unsaid = 0
        self._listener = _listen(path, mode, self._group)
        self._file = Path(path).stat().st_ino
        self._spare = socket.socket(socket.AF_UNIX, KIND)  # its descriptor, for want of others
        self._pump: AsyncioPump | TrioPump = open_pump(self._listener.fileno(), self._accept)

    def _accept(self) -> bool:
        self.let_go(len(self._ended))
        for _ in range(_REQUESTS):
            try:
                connected, _ = self._listener.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if not self._turn_away():
                    break
                self.warn(f"a client was not let in: {error.strerror}")
                continue
            self._admit(connected)
        return True

    def warn(self, text: str) -> None:
        """Tell of a client that misbehaves; of many only some, lest they fill the log."""
        now = time.monotonic()
        if now < self._silent_until:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid} more such events)" if self._unsaid else ""
        _LOGGER.warning("%s: %s%s", self._path, text, more)
        self._unsaid = 0
        self._silent_until = now + _SILENCE

    def _turn_away(self) -> bool:
        """Turn away whoever asks to be let in: there are no descriptors left; tell whether one was.

        Else it would be asked for again at once, for ever.
        """
        self._spare.close()
        try:
            refused, _ = self._listener.accept()
        except OSError:
            return False
        else:
            self._refused += 1
            refused.close()
            return True
        finally:
            with suppress(OSError):  # somebody else was faster: the next time there is none
                self._spare = socket.socket(socket.AF_UNIX, KIND)

    def _admit(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        peer = peer_of(connected)
        refusal = self._refusal(peer)
        if refusal:
            self._refused += 1
            self.warn(f"a client ({peer}) was not let in: {refusal}")
            with suppress(OSError):
                Channel(connected).send(Answer(errno.EUSERS, 0, refusal.encode()).pack())
            connected.close()
            return
        session = Session(
            self._network,
            self._links,
            self._limits,
            self._allowances.setdefault(peer.user, Allowance(self._limits)),
            self._buffers,
            descriptors=partial(self._descriptors_of, peer),
            writable=self._is_writable(peer),
            status=self._status,
        )
        channel = Channel(connected)
        channel.make_room()
        client = _Connection(self, channel, peer, session)
        self._clients[client] = None

    def _refusal(self, peer: Peer) -> str:
        limits = self._limits
        if len(self._clients) + len(self._ended) >= limits.connections:
            return f"there are {limits.connections} clients already"
        peers = [client.peer for client in self._clients] + [one for one, _ in self._ended]
        same = sum(one.user == peer.user for one in peers)
        if same >= limits.connections_per_user:
            return f"its user has {limits.connections_per_user} clients already"
        return ""

    def _descriptors_of(self, peer: Peer) -> int:
        """Give how many sockets a client may have, lest no descriptors are left for others.

        One client has a quarter of them at most, and those of another user half of them together.
        """
        ours, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        pairs = max(ours - _RESERVE, 0) // 2
        most = pairs // 4
        if peer.user not in {None, 0, os.geteuid()}:
            others = [client for client in self._clients if client.peer.user == peer.user]
            most = min(most, pairs // 2 - sum(client.sockets for client in others))
        return max(most, 0)

    def _is_writable(self, peer: Peer) -> bool:
        if self._group is None or self._group_writable:
            return True
        return peer.user in {None, 0, os.geteuid()}

    def forget(self, client: _Connection, channel: Channel) -> None:
        """Take note that a client is gone, or is not listened to any more.

        What it has not read stays on its way for as long as it keeps its end open. Descriptors are
        among it, of which the system lets this process's user have so many on their way: so it
        counts as a client until then.
        """
        self._clients.pop(client, None)
        if channel.has_unread():
            with suppress(OSError):
                channel.socket.shutdown(socket.SHUT_RDWR)
            self._ended.append((client.peer, channel))
        else:
            channel.close()

    def let_go(self, count: int = 1) -> None:
        """Look at so many of the ended connections, and let go of those that are read or closed.

        They cannot be polled: an end that is shut down polls as closed.
        """
        for _ in range(min(count, len(self._ended))):
            peer, channel = self._ended.popleft()
            if channel.has_unread():
                self._ended.append((peer, channel))
            else:
                channel.close()

    def _status(self) -> bytes:
        status = NetworkStatus(
            name=self._network.name,
            path=self._path,
            process=os.getpid(),
            seconds=round(time.monotonic() - self._started, 3),
            refused=self._refused,
            clients=tuple(client.status() for client in self._clients),
        )
        return pack_status(status)

    def close(self) -> None:
        """Let nobody in any more, and let all go; a second time does nothing."""
        self._pump.close()
        self._listener.close()
        self._spare.close()
        with suppress(OSError):
            if Path(self._path).stat().st_ino == self._file:
                Path(self._path).unlink()
        for client in list(self._clients):
            client.close()
        for _, channel in self._ended:
            channel.close()
        self._ended.clear()


class _Connection:
    """A client's connection.

    Args:
        server: Where it is.
        channel: The connection.
        peer: Who it is.
        session: What it has.
    """

    def __init__(
        self, server: NetworkServer, channel: Channel, peer: Peer, session: Session
    ) -> None:
        self.peer = peer
        self._server = server
        self._channel = channel
        self._session = session
        self._open = True
        self._number = next(_numbers)
        self._pump = open_pump(channel.socket.fileno(), self._read)

    def _read(self) -> bool:
        channel, session = self._channel, self._session
        self._server.let_go()
        until = time.monotonic() + _TURN
        try:
            for _ in range(_REQUESTS):
                try:
                    data = channel.receive()
                except BlockingIOError:
                    return True
                if not data:
                    self.close()
                    return True
                answer, descriptor = session.handle(data)
                # How many descriptors may be on their way, the system limits for all clients.
                if descriptor is not None and channel.has_unread():
                    self._end(_UNREAD)
                    return True
                self._answer(answer, descriptor)
                if time.monotonic() > until:
                    return True
        except BlockingIOError:
            self._end(_UNREAD)
        except MalformedRequestError as error:
            self._end(str(error))
        except OSError:
            self.close()
        except Exception:
            # What is wrong here shall not be the end of the network, and of all its clients.
            _LOGGER.exception("a request of a client (%s) failed", self.peer)
            self._end("its request failed, by a fault of the server's")
        return True

    def _answer(self, answer: Answer, descriptor: int | None) -> None:
        try:
            self._channel.send(answer.pack(), descriptor)
        except OSError as error:
            if descriptor is None or error.errno not in _NOT_NOW:
                raise
            # Others have too many on their way, which is no fault of this client's.
            self._session.discard(answer.value)
            text = "the server may have no more descriptors on their way to clients at the moment"
            self._channel.send(Answer(error.errno, 0, text.encode()).pack())

    def _end(self, reason: str) -> None:
        """End it, and tell it why, if it listens."""
        self._server.warn(f"a client ({self.peer}) is not listened to any more: {reason}")
        with suppress(OSError):
            self._channel.send(Answer(errno.EPROTO, 0, reason.encode()).pack())
        self.close()

    @property
    def sockets(self) -> int:
        """How many sockets it has."""
        return len(self._session.sockets)

    def status(self) -> ClientStatus:
        """Tell of it."""
        return ClientStatus(
            number=self._number,
            process=self.peer.process,
            user=self.peer.user,
            writable=self._session.writable,
            requests=self._session.requests,
            sockets=tuple(SocketStatus(**one.status()) for one in self._session.sockets.values()),
        )

    def close(self) -> None:
        """End it; its sockets go with it. A second time does nothing."""
        if self._open:
            self._open = False
            self._pump.close()
            self._session.close()
            self._server.forget(self, self._channel)


def _group_number(group: str | int) -> int:
    if isinstance(group, int):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {group!r}") from None


def _listen(path: str, mode: int, group: int | None) -> socket.socket:
    """Open a socket at a path; what a server that is no more has left there is taken away."""
    if _is_served(path):
        raise NetworkUnavailableError(f"a network is served at {path} already")
    listener = socket.socket(socket.AF_UNIX, KIND)
    try:
        listener.setblocking(False)
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(Path(path).stat().st_mode):
                Path(path).unlink()
        # Nobody gets in between bind() and chmod(): the file is made without rights.
        before = os.umask(0o777)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        if group is not None:
            os.chown(path, -1, group)
            mode |= 0o060
        Path(path).chmod(mode)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        number = error.errno or 0
        reason = os.strerror(number) if number else str(error)  # such as "path too long"
        text = f"no network can be served at {path}: {reason}"
        if number in {errno.EACCES, errno.EPERM}:
            raise CanPermissionError(number, text) from None
        raise NetworkUnavailableError(text) from None
    except BaseException:
        listener.close()
        raise
    return listener


def _is_served(path: str) -> bool:
    """Tell whether somebody listens at a path.

    Raises:
        NetworkUnavailableError: It cannot be told, or it is another program's.
    """
    with socket.socket(socket.AF_UNIX, KIND) as asking:
        asking.setblocking(False)
        try:
            asking.connect(path)
        except BlockingIOError:  # one that lets nobody in at the moment
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            number = error.errno or 0
            reason = os.strerror(number) if number else str(error)  # such as "path too long"
            text = f"no network can be served at {path}: {reason}"
            if number == errno.EPROTOTYPE:
                text = f"no network can be served at {path}: another program listens there"
            elif number in {errno.EACCES, errno.EPERM}:
                raise CanPermissionError(
                    number, f"{text}: this user may not see whether one is served there already"
                ) from None
            raise NetworkUnavailableError(text) from None
    return True
