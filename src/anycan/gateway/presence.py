"""Gateways that run, known to each other by name and tag, and what one tells of itself.

A running gateway listens on a socket ``@anycan-gateway-TAG-NAME`` of the abstract namespace of
AF_UNIX (``unix(7)``): it belongs to a network namespace, as the rules of can-gw do, shows in
``/proc/net/unix``, and is gone when its process is, however that ends. Every local user may connect
to it. Two more sockets, ``@anycan-gateway-TAG`` and ``@anycan-gateway-name-NAME``, are bound and
nothing else: the kernel gives each to one process alone.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import socket
import struct
import sys
import time
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from anycan.exceptions import CanOSError, GatewayError, GatewayRunningError
from anycan.gateway.kernel_path import MOST_TAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

MOST_CLIENTS: Final = 16
"""So many are answered at once; others wait."""
CLIENT_TIME: Final = 5.0
"""Seconds that one has to take its answer."""

MOST_BYTES: Final = 1 << 22
"""So long is what a gateway tells of itself at the most."""

_HAS_ABSTRACT_SOCKETS: Final = sys.platform == "linux"
_LIST: Final = Path("/proc/net/unix")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,60}")
# net/unix/af_unix.c, unix_seq_show: address, references, protocol, flags, type, state, inode,
# path. The flag __SO_ACCEPTCON says that it listens; type 1 is SOCK_STREAM.
_LISTENING: Final = re.compile(
    rf"[0-9a-f]+: [0-9A-F]{{8}} [0-9A-F]{{8}} 00010000 0001 [0-9A-F]{{2}} +[0-9]+"
    rf" @anycan-gateway-([0-9a-f]{{3}})-({_NAME.pattern})"
)
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred
_RETRY: Final = 0.01  # seconds
_ATTEMPTS: Final = 20
_PAUSE: Final = 0.1  # seconds, where there are no descriptors left
_LOGGER: Final = logging.getLogger("anycan.gateway")
_here: Final[dict[str, Presence]] = {}  # where no other process can see them


def find_gateways() -> list[tuple[int, str]]:
    """Give the gateways that run in this network namespace.

    Returns:
        Tag and name of each, in the order of their tags. None are found where there are no abstract
        sockets (not Linux).

    Raises:
        CanOSError: The system does not tell: ``/proc/net/unix`` cannot be read, as in a service
            that is shown its own processes alone.
    """
    if not _HAS_ABSTRACT_SOCKETS:
        return []
    try:
        lines = _LIST.read_text(errors="replace").splitlines()
    except OSError as error:
        number = error.errno or errno.EIO
        raise CanOSError(
            number, f"which gateways run is not known: {_LIST}: {os.strerror(number)}"
        ) from None
    found = (_LISTENING.fullmatch(line) for line in lines)
    return sorted((int(match[1], 16), match[2]) for match in found if match)


def _found() -> list[tuple[int, str]]:
    """Give the gateways that are known to run; what is bound already tells the rest."""
    try:
        return find_gateways()
    except CanOSError:
        return []


def claim(name: str) -> Presence:
    """Make a gateway known by its name, and give it a tag that no other has.

    It has the same tag each time, unless another gateway that runs has it already. Where there are
    no abstract sockets, it is known to this process alone.

    Args:
        name: 1 to 60 letters (of ASCII), digits and ``.``, ``_``, ``-``.

    Raises:
        GatewayError: That is no name; or 4096 gateways run already.
        GatewayRunningError: A gateway of that name runs already.
        CanOSError: The system refused the sockets.
    """
    check_name(name)
    first = zlib.crc32(name.encode()) % MOST_TAGS
    tags = ((first + step) % MOST_TAGS for step in range(MOST_TAGS))
    presence = _claim_abstract(name, tags) if _HAS_ABSTRACT_SOCKETS else _claim_here(name, tags)
    if presence is None:
        raise GatewayError(f"{MOST_TAGS} gateways run already: no tag is left for {name!r}")
    return presence


class Presence:
    """A gateway that others know of, until it is closed. A context manager.

    Made by :func:`claim`.

    Attributes:
        name: Its name.
        tag: Its number among those of its network namespace, 0 to 4095.
    """

    def __init__(self, name: str, tag: int, sockets: tuple[socket.socket, ...]) -> None:
        self.name = name
        self.tag = tag
        self._sockets = sockets  # the one that listens is the first
        self._is_serving = False

    async def serve(self, snapshot: Callable[[], bytes]) -> None:
        """Give whoever connects one document, until it is cancelled or the presence is closed.

        At most 16 are answered at once, and each has 5 seconds to take it. What ``snapshot`` raises
        is logged; who asked is given nothing.

        Args:
            snapshot: Gives the document: the bytes of a JSON object, up to 4 MiB.
        """
        if not self._sockets:
            await anyio.sleep_forever()
        listening = self._sockets[0]
        room = anyio.Semaphore(MOST_CLIENTS)
        self._is_serving = True
        try:
            async with anyio.create_task_group() as clients:
                while True:
                    await room.acquire()
                    client = await _accept(listening)
                    if client is None:
                        clients.cancel_scope.cancel()
                        return
                    clients.start_soon(self._answer, client, snapshot, room)
        finally:
            self._is_serving = False

    def close(self) -> None:
        """Be known no more; once it is closed, this does nothing."""
        if self._is_serving:
            anyio.notify_closing(self._sockets[0])
        for one in self._sockets:
            one.close()
        if _here.get(self.name) is self:
            del _here[self.name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _answer(
        self, client: socket.socket, snapshot: Callable[[], bytes], room: anyio.Semaphore
    ) -> None:
        try:
            with client, anyio.move_on_after(CLIENT_TIME):
                await _send(client, snapshot())
        except OSError:
            pass  # it has gone away
        except Exception:
            _LOGGER.exception("gateway %s: giving its state failed", self.name)
        finally:
            room.release()


async def _accept(listening: socket.socket) -> socket.socket | None:
    """Give the next who connects; None: the socket was closed."""
    while listening.fileno() >= 0:
        try:
            await anyio.wait_readable(listening)
            client, _ = listening.accept()
        except anyio.ClosedResourceError:
            break
        except (BlockingIOError, ConnectionAbortedError):
            continue  # it has gone away
        except OSError as error:
            _LOGGER.warning("a gateway cannot tell its state: %s", error)
            await anyio.sleep(_PAUSE)  # it stays readable
            continue
        client.setblocking(False)
        return client
    return None


async def _send(client: socket.socket, document: bytes) -> None:
    rest = memoryview(document)
    while rest:
        try:
            rest = rest[client.send(rest) :]
        except BlockingIOError:
            await anyio.wait_writable(client)


def check_name(name: str) -> None:
    """Check the name of a gateway.

    Raises:
        GatewayError: No gateway can have it.
    """
    given: object = name
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise GatewayError(
            f"a gateway's name is 1 to 60 letters, digits and . _ - such as 'bench-1', not {name!r}"
        )


def _claim_here(name: str, tags: Iterable[int]) -> Presence | None:
    if name in _here:
        raise GatewayRunningError(f"a gateway {name!r} runs in this process already", os.getpid())
    taken = {presence.tag for presence in _here.values()}
    for tag in tags:
        if tag not in taken:
            presence = _here[name] = Presence(name, tag, ())
            return presence
    return None


def _claim_abstract(name: str, tags: Iterable[int]) -> Presence | None:
    running = _found()
    taken = {tag for tag, _ in running}
    with ExitStack() as held:
        name_lock = _bind(held, f"name-{name}")
        if name_lock is None or any(other == name for _, other in running):
            raise _running(name)
        for tag in tags:
            tag_lock = None if tag in taken else _bind(held, f"{tag:03x}")
            if tag_lock is None:
                continue
            listening = _bind(held, f"{tag:03x}-{name}")
            if listening is None:  # somebody has it who is no gateway
                tag_lock.close()
                continue
            listening.listen(MOST_CLIENTS)
            held.pop_all()
            return Presence(name, tag, (listening, tag_lock, name_lock))
    return None


def _running(name: str) -> GatewayRunningError:
    tags = [tag for tag, other in _found() if other == name]
    process = process_of(tags[0], name) if tags else None
    whose = "" if process is None else f", in process {process}"
    return GatewayRunningError(
        f"a gateway {name!r} runs already{whose}: stop it, or give this one another name", process
    )


def _bind(held: ExitStack, rest: str) -> socket.socket | None:
    """Give a socket bound to an address; None: another has it."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    held.enter_context(bound)
    try:
        bound.setblocking(False)
        bound.bind(_address(rest))
    except OSError as error:
        bound.close()
        number = error.errno or 0
        if number == errno.EADDRINUSE:
            return None
        raise CanOSError(
            number, f"making the gateway known to others failed: {os.strerror(number)}"
        ) from None
    return bound


def _address(rest: str) -> bytes:
    return f"\0anycan-gateway-{rest}".encode()


def process_of(tag: int, name: str) -> int | None:
    """Give the number of a gateway's process; None: it is not known (in another container)."""
    return _peer_of(tag, name)[0]


def is_trusted(tag: int, name: str) -> bool:
    """Tell whether a gateway is this user's or root's: what another one tells may be made up."""
    return _peer_of(tag, name)[1] in {0, os.geteuid()}


def _peer_of(tag: int, name: str) -> tuple[int | None, int | None]:
    """Give the process and the user of a gateway, as the kernel knows them."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            for attempt in range(_ATTEMPTS):  # as many may wait already as may
                try:
                    client.connect(_address(f"{tag:03x}-{name}"))
                    break
                except BlockingIOError:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    time.sleep(_RETRY)
            credentials = client.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
            )
        except OSError:
            return None, None
    process, user, _ = _CREDENTIALS.unpack(credentials)
    return process or None, user


def ask(name_or_tag: str | int, timeout: float = 1.0) -> dict[str, Any]:
    """Ask a running gateway what it tells of itself. It blocks: call it in a thread.

    Args:
        name_or_tag: Which one.
        timeout: Seconds for all of it.

    Returns:
        The JSON object that it gave.

    Raises:
        GatewayError: No such gateway runs in this network namespace; it did not answer in time; or
            what it gave is no JSON object of 4 MiB or less.
    """
    running = find_gateways()
    for tag, name in running:
        if name_or_tag in {tag, name}:
            break
    else:
        known = ", ".join(name for _, name in running) or "none"
        raise GatewayError(
            f"no gateway {name_or_tag!r} runs in this network namespace; those that do: {known}"
        )
    try:
        document = _fetch(_address(f"{tag:03x}-{name}"), time.monotonic() + timeout)
    except TimeoutError:
        raise GatewayError(f"gateway {name!r} did not answer within {timeout:g} s") from None
    except OSError as error:
        raise GatewayError(f"gateway {name!r} did not answer: {error}") from None
    if len(document) > MOST_BYTES:
        raise GatewayError(f"gateway {name!r} answered with more than {MOST_BYTES >> 20} MiB")
    try:
        answer = json.loads(document)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise GatewayError(
            f"gateway {name!r} answered with something that is no JSON object: {document[:40]!r}"
        )
    return answer


def _fetch(address: bytes, deadline: float) -> bytes:
    """Give what a gateway sends, up to its end or a little more than is allowed."""

    def wait_no_longer() -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        client.settimeout(left)

    document = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        while True:
            wait_no_longer()
            try:
                client.connect(address)
                break
            except BlockingIOError:  # as many wait already as may; AF_UNIX does not wait for it
                time.sleep(_RETRY)
        while len(document) <= MOST_BYTES:
            wait_no_longer()
            part = client.recv(1 << 16)
            if not part:
                break
            document += part
    return bytes(document)
