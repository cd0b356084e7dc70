"""A served network: who is let in, who is turned away, and what is left when it ends."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from anycan import (
    CanPermissionError,
    NetworkUnavailableError,
    ServedNetwork,
    ServerLimits,
    UserNetwork,
)
from anycan.network import server as server_module
from anycan.network.channel import Channel
from anycan.network.server import NetworkServer, Peer, peer_of
from anycan.network.session import Session
from anycan.wire.constants import CAN_RAW
from anycan.wire.served import Answer, Operation, Request, pack_hello
from rig.served import BareClient, eventually, serving, sockets_of_clients

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.served import ServerThread

HELLO = Request(Operation.HELLO, 0, pack_hello()).pack()
OPEN = Request(Operation.OPEN, CAN_RAW).pack()


def attempt(path: str, **options: Any) -> None:
    """Serve a network at a path, if it can be."""
    given = {"mode": 0o600, "group": None, "group_writable": False, "limits": ServerLimits()}

    async def serve() -> None:
        with UserNetwork() as network:
            NetworkServer(network, path, **given | options).close()

    anyio.run(serve)


# Where


def test_who_may_connect_is_said_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "network"
    for options, mode in (({}, 0o600), ({"mode": 0o666}, 0o666), ({"group": os.getgid()}, 0o660)):
        with serving(str(path), **options):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert path.stat().st_gid == os.getgid()
        assert not path.exists()


def test_what_a_server_that_is_no_more_has_left_is_taken_away(tmp_path: Path) -> None:
    path = str(tmp_path / "network")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    attempt(path)


def test_one_is_served_there_already(server: ServerThread) -> None:
    with pytest.raises(NetworkUnavailableError, match=f"is served at {server.path} already"):
        attempt(server.path)
    with ServedNetwork(server.path) as network:
        assert network.interface_index("vcan0") == 1


def test_one_is_there_that_lets_nobody_in_at_the_moment(tmp_path: Path) -> None:
    """Who starts another one does not wait for it."""
    path = str(tmp_path / "network")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as busy:
        busy.bind(path)
        busy.listen(0)
        with BareClient(path), pytest.raises(NetworkUnavailableError, match="already"):
            attempt(path)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_another_program_listens_there(tmp_path: Path, kind: int) -> None:
    path = str(tmp_path / "network")
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(path)
        if kind == socket.SOCK_STREAM:
            other.listen()
        with pytest.raises(NetworkUnavailableError, match="another program listens there"):
            attempt(path)
        assert Path(path).is_socket()


def test_it_cannot_be_told_whether_one_is_served_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "network"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    class Refused(socket.socket):
        number = errno.EACCES

        def connect(self, _: object) -> None:
            raise OSError(self.number, os.strerror(self.number))

    monkeypatch.setattr(socket, "socket", Refused)
    with pytest.raises(CanPermissionError, match="may not see whether one is served"):
        attempt(str(path))
    monkeypatch.setattr(Refused, "number", errno.ENFILE)
    with pytest.raises(NetworkUnavailableError, match="Too many open files in system"):
        attempt(str(path))
    assert path.is_socket()


def test_the_path_is_too_long(tmp_path: Path) -> None:
    path = str(tmp_path / (200 * "x"))
    with pytest.raises(NetworkUnavailableError, match="too long"):
        attempt(path)
    with pytest.raises(NetworkUnavailableError, match="too long"):
        ServedNetwork(path)


def test_there_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "network"
    path.write_text("precious")
    with pytest.raises(NetworkUnavailableError, match=r"can be served at .*: Address already"):
        attempt(str(path))
    assert path.read_text() == "precious"


def test_the_path_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(NetworkUnavailableError, match="No such file or directory"):
        attempt(str(tmp_path / "none" / "network"))
    with pytest.raises(NetworkUnavailableError, match="no network can be served at"):
        attempt(str(tmp_path / ("long" * 40)))


def test_this_user_may_not_make_a_file_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(CanPermissionError, match=r"no network can be served at .*: Permission"):
        attempt(str(tmp_path / "network"))


def test_a_group(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no group 'none such'"):
        attempt(str(tmp_path / "network"), group="none such")
    import grp  # noqa: PLC0415 - not on every system

    attempt(str(tmp_path / "network"), group=grp.getgrgid(os.getgid()).gr_name)


def test_only_its_own_file_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "network"
    with serving(str(path)):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"
    path.unlink()
    with serving(str(path)):
        path.unlink()


def test_a_listener_that_fails_otherwise_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "chmod", interrupt)
    with UserNetwork() as network, pytest.raises(KeyboardInterrupt):
        NetworkServer(
            network,
            str(tmp_path / "network"),
            mode=0o600,
            group=None,
            group_writable=False,
            limits=ServerLimits(),
        )


# Who


def test_who_is_at_the_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer_of(one) == Peer(os.getpid(), os.geteuid(), os.getegid())
        monkeypatch.delattr(socket, "SO_PEERCRED")
        assert peer_of(one) == Peer()


@pytest.mark.parametrize(
    ("options", "user", "writable"),
    [
        ({}, 12345, True),
        ({"group": os.getgid()}, 12345, False),
        ({"group": os.getgid(), "group_writable": True}, 12345, True),
        ({"group": os.getgid()}, 0, True),
        ({"group": os.getgid()}, os.geteuid(), True),
        ({"group": os.getgid()}, None, True),
    ],
)
def test_who_may_send(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    user: int | None,
    writable: bool,
) -> None:
    monkeypatch.setattr(server_module, "peer_of", lambda _: Peer(1, user, 1))
    path = str(tmp_path / "network")
    with serving(path, **options), ServedNetwork(path) as network:
        (client,) = network.status().clients
        assert (client.user, client.writable) == (user, writable)


def test_its_state(server: ServerThread) -> None:
    with ServedNetwork(server.path) as network, ServedNetwork(server.path) as other:
        _, descriptor, _ = other.open_socket(CAN_RAW)
        assert descriptor is not None
        os.close(descriptor)
        status = network.status()
        assert (status.path, status.process, status.refused) == (server.path, os.getpid(), 0)
        assert [client.process for client in status.clients] == [os.getpid()] * 2
        assert [len(client.sockets) for client in status.clients] == [0, 1]
        assert [client.requests for client in status.clients] == [2, 2]
    with ServedNetwork(server.path) as network:
        eventually(partial(sockets_of_clients, network), [0])


# Limits


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ServerLimits(connections=2), "there are 2 clients already"),
        (ServerLimits(connections_per_user=2), "its user has 2 clients already"),
    ],
)
def test_so_many_clients(
    tmp_path: Path, limits: ServerLimits, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "network")
    with serving(path, limits=limits), ServedNetwork(path) as one:
        with ServedNetwork(path):
            for _ in range(3):
                with pytest.raises(NetworkUnavailableError, match=reason):
                    ServedNetwork(path)
        assert one.status().refused == 3
        eventually(partial(sockets_of_clients, one), [0])
        with ServedNetwork(path):
            pass
    assert f"was not let in: {reason}" in caplog.text


def test_there_is_no_descriptor_for_a_client(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    """It is turned away, and not asked for again and again; the others go on."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (
        ServedNetwork(server.path) as network,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as late,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as later,
    ):
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            for refused in (late, later):
                refused.settimeout(5)
                refused.connect(server.path)
                assert refused.recv(100) == b""
                assert network.interface_index("vcan0") == 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert network.status().refused == 2
        with ServedNetwork(server.path):
            pass
    assert "was not let in: Too many open files" in caplog.text


def test_nobody_can_be_turned_away(server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another thread was faster to take the last descriptor."""
    made: list[NetworkServer] = []
    with UserNetwork() as network, start_blocking_portal() as portal:

        def make() -> None:
            made.append(
                NetworkServer(
                    network,
                    f"{server.path}2",
                    mode=0o600,
                    group=None,
                    group_writable=False,
                    limits=ServerLimits(),
                )
            )

        portal.call(make)

        class Failing:
            def accept(self) -> None:
                raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            (one,) = made
            patch.setattr(one, "_listener", Failing())
            assert portal.call(one._accept)
        portal.call(one.close)
        portal.call(one.close)


@pytest.mark.parametrize(
    ("descriptors", "user", "held", "most"),
    [
        (1024, os.geteuid(), 0, 120),
        (1024, os.geteuid(), 500, 120),
        (1024, 12345, 0, 120),
        (1024, 12345, 200, 40),
        (1024, 12345, 500, 0),
        (64, 12345, 0, 0),
        (10, os.geteuid(), 0, 0),
    ],
)
def test_descriptors_are_kept_for_others(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, user: int, held: int, most: int
) -> None:
    class Client:
        peer = Peer(1, user, 1)
        sockets = held

    class Stranger:
        peer = Peer(2, 54321, 1)
        sockets = 400

    serving_one = NetworkServer.__new__(NetworkServer)
    serving_one._clients = {Client(): None, Stranger(): None}  # type: ignore[dict-item]  # alike
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert serving_one._descriptors_of(Peer(3, user, 1)) == most


# Clients that end, or are ended


def test_what_makes_no_sense_ends_a_connection_with_the_reason(
    server: ServerThread, caplog: pytest.LogCaptureFixture
) -> None:
    with BareClient(server.path) as bad, ServedNetwork(server.path) as good:
        assert bad.ask(HELLO)[0] == 0
        assert bad.ask(b"?") == (errno.EPROTO, 0, b"a request of 1 bytes")
        assert bad.hear()[0] == -1
        assert good.interface_index("vcan0") == 1
        assert len(good.status().clients) == 1
    assert f"process={os.getpid()}" in caplog.text
    assert "is not listened to any more: a request of 1 bytes" in caplog.text


@pytest.mark.parametrize("payload", [b"", pack_hello()[:-1], b"x" * 12])
def test_another_kind_of_client(server: ServerThread, payload: bytes) -> None:
    with BareClient(server.path) as other:
        number, _, reason = other.ask(Request(Operation.HELLO, 0, payload).pack())
        assert (number, reason) == (errno.EPROTO, b"no anycan network is served there")
        assert other.hear()[0] == -1


def test_too_many_descriptors_are_on_their_way(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system counts those to all clients together: this one is not to blame."""
    send = Channel.send
    refused: list[int] = []

    def refuse(self: Channel, message: bytes, descriptor: int | None = None) -> None:
        if descriptor is not None and not refused:
            refused.append(descriptor)
            raise OSError(errno.ETOOMANYREFS, "Too many references: cannot splice")
        send(self, message, descriptor)

    monkeypatch.setattr(Channel, "send", refuse)
    with ServedNetwork(server.path) as network, BareClient(server.path) as client:
        assert client.ask(HELLO)[0] == 0
        number, _, reason = client.ask(OPEN)
        assert number == errno.ETOOMANYREFS
        assert reason.startswith(b"the server may have no more descriptors on their way")
        assert sockets_of_clients(network) == [0, 0]
        assert client.ask(OPEN)[0] == 0
        assert sockets_of_clients(network) == [0, 1]


def test_its_sockets_go_with_a_client(server: ServerThread) -> None:
    with BareClient(server.path) as client:
        client.ask(HELLO)
        for _ in range(3):
            assert client.ask(OPEN)[0] == 0
        with ServedNetwork(server.path) as network:
            assert sockets_of_clients(network) == [3, 0]
            client.socket.close()
            eventually(partial(sockets_of_clients, network), [0])
    assert not server.network._stack.any_bound


def test_a_client_is_gone_before_its_answer(server: ServerThread) -> None:
    with BareClient(server.path) as client, ServedNetwork(server.path) as network:
        client.ask(HELLO)
        client.say(OPEN)
        client.socket.close()
        eventually(partial(sockets_of_clients, network), [0])


def test_a_fault_of_the_servers_ends_one_connection_alone(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handle = Session.handle

    def fail(self: Session, data: bytes) -> tuple[Answer, int | None]:
        if data == Request(Operation.MTU, 1).pack():
            raise ZeroDivisionError
        return handle(self, data)

    with BareClient(server.path) as one, ServedNetwork(server.path) as other:
        one.ask(HELLO)
        monkeypatch.setattr(Session, "handle", fail)
        number, _, reason = one.ask(Request(Operation.MTU, 1).pack())
        assert (number, reason) == (errno.EPROTO, b"its request failed, by a fault of the server's")
        assert other.interface_index("vcan0") == 1
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("now", [lambda: 0.0, iter(range(1000)).__next__])
def test_nobody_has_the_server_for_himself(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch, now: Callable[[], float]
) -> None:
    """Who asks much at once has it done in turns, by number or by time."""

    class Clock:
        monotonic = staticmethod(now)

    with BareClient(server.path) as client:
        client.ask(HELLO)
        monkeypatch.setattr(server_module, "time", Clock)
        for _ in range(40):
            client.say(Request(Operation.INDEX, 0, b"vcan0").pack())
        assert [client.hear() for _ in range(40)] == [(0, 1, b"")] * 40


def test_the_end_wakes_every_client(server: ServerThread) -> None:
    with BareClient(server.path) as client:
        client.ask(HELLO)
        server.stop()
        assert client.hear()[0] == -1


def test_the_end_lets_go_of_clients_that_were_ended(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Channel] = []
    close = Channel.close

    def note(self: Channel) -> None:
        closed.append(self)
        close(self)

    with BareClient(server.path) as ended, ServedNetwork(server.path) as network:
        assert ended.ask(HELLO)[0] == 0
        for _ in range(2):
            ended.say(OPEN)
        eventually(partial(sockets_of_clients, network), [0])
        monkeypatch.setattr(Channel, "close", note)
        server.stop()
        assert [channel.socket.fileno() for channel in closed] == [-1, -1]


def test_many_that_misbehave_do_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "network")
    now = 1000.0
    monkeypatch.setattr("anycan.network.server.time.monotonic", lambda: now)

    async def serve() -> None:
        nonlocal now
        limits = ServerLimits()
        with UserNetwork() as network:
            server = NetworkServer(
                network, path, mode=0o600, group=None, group_writable=False, limits=limits
            )
            for number in range(5):
                server.warn(f"client {number}")
            now += 1
            server.warn("client 5")
            server.close()

    # On trio, whose clock this is not.
    anyio.run(serve, backend="trio")
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: client 0",
        f"{path}: client 5 (and 4 more such events)",
    ]
