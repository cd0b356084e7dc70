"""Networks that are served: by another process, or by a thread of this one.

    python -m rig.served PATH [DESCRIPTORS]

serves an empty one at a path until its standard input ends. It may have so many descriptors.
"""

from __future__ import annotations

import atexit
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from typing import TypeVar

    import anyio
    from anyio.abc import TaskStatus
    from anyio.from_thread import BlockingPortal

    import anycan

    Result = TypeVar("Result")

_PATIENCE: Final = 5.0  # seconds, after which a test has failed


def main(path: str, descriptors: str = "") -> None:
    import anyio  # noqa: PLC0415 - the rig's own tests do without

    import anycan  # noqa: PLC0415 - as above

    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(descriptors),) * 2)

    async def serve() -> None:
        async with anycan.UserNetwork() as network, anyio.create_task_group() as tasks:
            await tasks.start(network.serve, path)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            tasks.cancel_scope.cancel()

    anyio.run(serve)


class ServerProcess:
    """A process that serves a network.

    Args:
        path: Where.
        descriptors: How many it may have; None: as many as this one.
    """

    def __init__(self, path: str, descriptors: int | None = None) -> None:
        self.path = path
        more = [] if descriptors is None else [str(descriptors)]
        self._process = subprocess.Popen(  # noqa: S603 - words of this file
            [sys.executable, "-m", "rig.served", path, *more],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it says of bad clients
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def memory(self) -> int:
        """Bytes of it that are in memory."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize()

    @property
    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))  # noqa: PTH208 - a count is enough

    def hang(self) -> None:
        """Have it do nothing any more."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """Have it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, with nothing put in order. A second time does nothing."""
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """End it."""
        self.go_on()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class ServerThread:
    """A network that a thread of this process serves, which has an event loop of its own.

    A call of a client waits for the answer, so that the loop cannot run in the client's thread.

    Args:
        portal: To that loop.
        path: Where.
        options: How, as :meth:`UserNetwork.serve` takes them.
    """

    network: anycan.UserNetwork
    _scope: anyio.CancelScope
    _served: Future[Any]

    def __init__(self, portal: BlockingPortal, path: str, options: dict[str, Any]) -> None:
        self.path = path
        self._portal = portal
        self._options = options

    def call(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """Call a function in the network's thread."""
        return self._portal.call(partial(function, *args, **options))

    def start(self) -> None:
        """Serve a new network, which has the interface vcan0."""
        import anycan  # noqa: PLC0415 - the rig's own tests do without

        self.network = anycan.UserNetwork()
        self.call(self.network.add_vcan, "vcan0", mtu=2060)
        self._served, _ = self._portal.start_task(self._serve)

    async def _serve(self, *, task_status: TaskStatus[None]) -> None:
        import anyio  # noqa: PLC0415 - the rig's own tests do without

        with anyio.CancelScope() as self._scope:
            await self.network.serve(self.path, task_status=task_status, **self._options)

    def stop(self) -> None:
        """Serve it no more: all connections are closed at once, as where a server has crashed."""
        self.call(self._scope.cancel)
        self._served.result()
        self.call(self.network.close)


@contextmanager
def serving(path: str, **options: Any) -> Iterator[ServerThread]:
    """Have a thread serve a network that has the interface vcan0.

    Args:
        path: Where.
        options: How, as :meth:`UserNetwork.serve` takes them.
    """
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - the rig does without

    with start_blocking_portal("asyncio") as portal:
        server = ServerThread(portal, path, options)
        server.start()
        try:
            yield server
        finally:
            if not server._served.done():
                server.stop()


class BareClient:
    """A client of a served network that sends whatever it likes.

    Args:
        path: Where to connect to.
    """

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(_PATIENCE)
        self.socket.connect(path)

    def say(self, message: bytes) -> None:
        """Send bytes."""
        self.socket.send(message)

    def hear(self) -> tuple[int, int, bytes]:
        """Give the next answer: the error number, a number, and bytes; without those: (-1, 0, b"").

        What comes with it is closed.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 18, 1)
        except ConnectionResetError:
            return self.hear()  # which is told first, of what it has not read
        for descriptor in descriptors:
            os.close(descriptor)
        if not data:
            return -1, 0, b""
        number, value = struct.unpack_from("=iI", data)
        return number, value, data[8:]

    def ask(self, message: bytes) -> tuple[int, int, bytes]:
        """Send bytes, and give the answer."""
        with suppress(BrokenPipeError):  # the answer to what came before says why
            self.say(message)
        return self.hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def eventually(look: Callable[[], Result], expected: Result) -> None:
    """Look until what is seen is what is expected: a server notes by and by that a client ends."""
    deadline = time.monotonic() + _PATIENCE
    while (found := look()) != expected:
        assert time.monotonic() < deadline, f"{found!r}, and not {expected!r}"


def sockets_of_clients(network: anycan.ServedNetwork) -> list[int]:
    """Give how many sockets each client of a network has, in the order in which they came."""
    return [len(client.sockets) for client in network.status().clients]


@cache
def served_path() -> str:
    """Give the path of a network that another process serves; it is started at the first call."""
    directory = tempfile.TemporaryDirectory(prefix="anycan")
    server = ServerProcess(str(Path(directory.name) / "network"))

    def end() -> None:
        server.close()
        directory.cleanup()

    atexit.register(end)
    return server.path


if __name__ == "__main__":
    main(*sys.argv[1:])
