"""Gateways that know of each other: names, tags, and what one tells of itself."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import socket
import subprocess
import sys
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel
import pytest

from anycan.exceptions import CanOSError, GatewayError, GatewayRunningError
from anycan.gateway import presence as module
from anycan.gateway.presence import Presence, ask, claim, find_gateways, process_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
_numbers: Final = itertools.count()


@pytest.fixture
def name() -> str:
    """Give a name that no gateway has, on this machine either."""
    return f"test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a system without abstract sockets."""
    monkeypatch.setattr(module, "_HAS_ABSTRACT_SOCKETS", False)


def listed(name: str) -> list[int]:
    return [tag for tag, other in find_gateways() if other == name]


def connect(presence: Presence) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect(f"\0anycan-gateway-{presence.tag:03x}-{presence.name}")
    except OSError:
        client.close()
        raise
    return client


async def read_all(client: socket.socket) -> bytes:
    parts: list[bytes] = []
    with client:
        while True:
            await anyio.wait_readable(client)
            part = client.recv(1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)


# Being found.


@linux_only
def test_a_gateway_is_found_until_it_is_closed(name: str) -> None:
    with claim(name) as presence:
        assert presence.name == name
        assert listed(name) == [presence.tag]
        assert f"@anycan-gateway-{presence.tag:03x}-{name}" in Path("/proc/net/unix").read_text()
    assert listed(name) == []
    presence.close()


@linux_only
def test_one_that_a_client_is_connected_to_is_found_once(name: str) -> None:
    with claim(name) as presence, connect(presence):
        accepted, _ = presence._sockets[0].accept()
        with accepted:
            assert listed(name) == [presence.tag]


@linux_only
def test_several_are_found_in_the_order_of_their_tags(name: str) -> None:
    with claim(f"{name}a") as first, claim(f"{name}b") as second:
        found = [one for one in find_gateways() if one[1].startswith(name)]
        assert found == sorted([(first.tag, first.name), (second.tag, second.name)])


def test_the_list_of_sockets_is_read_with_care(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    head = "0000000074551e78: 00000002 00000000 00010000 0001 01   245 "
    lines = [
        "Num       RefCount Protocol Flags    Type St Inode Path",
        "00000000f7c46d71: 00000003 00000000 00000000 0001 03   244",
        head + "@anycan-gateway-00a-bench.1_x",
        head.replace("   245", " 1234567") + "@anycan-gateway-fff-b",
        head + "@anycan-gateway-00b-" + "n" * 60,
        # not one of these
        head + "@anycan-gateway-00c-" + "n" * 61,
        head + "@anycan-gateway-00c-",
        head + "@anycan-gateway-00c",
        head + "@anycan-gateway-name-x",
        head + "@anycan-gateway-00C-x",
        head + "@anycan-gateway-00c-a b",
        head + "@anycan-gateway-00c-x@",
        head + "anycan-gateway-00c-x",
        head + "/run/@anycan-gateway-00c-x",
        head.replace("00010000", "00000000") + "@anycan-gateway-00c-x",  # it does not listen
        head.replace("0001 01", "0002 01") + "@anycan-gateway-00c-x",  # SOCK_DGRAM
        "@anycan-gateway-00c-x",
        "",
    ]
    listing = tmp_path / "unix"
    listing.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    monkeypatch.setattr(module, "_LIST", listing)
    monkeypatch.setattr(module, "_HAS_ABSTRACT_SOCKETS", True)
    assert find_gateways() == [(0x00A, "bench.1_x"), (0x00B, "n" * 60), (0xFFF, "b")]
    monkeypatch.setattr(module, "_LIST", tmp_path / "none")
    with pytest.raises(CanOSError, match="which gateways run is not known"):
        find_gateways()


# Names and tags.


@pytest.mark.parametrize("good", ["a", "bench-1", "A.b_c-9", "n" * 60])
@pytest.mark.usefixtures("alone")
def test_names(good: str) -> None:
    with claim(good) as presence:
        assert presence.tag == zlib.crc32(good.encode()) % 4096


@pytest.mark.parametrize("bad", ["", "n" * 61, "a b", "a/b", "ä", "a\n", "\0", "a@b"])
def test_what_is_no_name(bad: str) -> None:
    with pytest.raises(GatewayError, match="a gateway's name is 1 to 60 letters, digits and"):
        claim(bad)


@linux_only
def test_the_tag_is_the_same_each_time(name: str) -> None:
    with claim(name) as first:
        tag = first.tag
    with claim(name) as second:
        assert second.tag == tag


@linux_only
def test_a_tag_that_another_has_is_not_given(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zlib, "crc32", lambda _: 0xFFF)
    with claim(f"{name}a") as first, claim(f"{name}b") as second, claim(f"{name}c") as third:
        tags = [first.tag, second.tag, third.tag]
        assert len(set(tags)) == 3
    # Round the end, and passing over those that somebody else on this machine has.
    assert tags == sorted(tags, key=lambda tag: (tag - 0xFFF) % 4096)


@linux_only
def test_a_tag_that_another_is_about_to_have_is_not_given(name: str) -> None:
    # Bound, and not listening yet: no list tells of it.
    with claim(name) as presence:
        tag = presence.tag
    with socket.socket(socket.AF_UNIX) as lock:
        lock.bind(f"\0anycan-gateway-{tag:03x}")
        with claim(name) as presence:
            assert presence.tag != tag


@linux_only
def test_a_tag_of_one_without_its_lock_is_not_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = zlib.crc32(name.encode()) % 4096
    monkeypatch.setattr(module, "find_gateways", lambda: [(first, "another")])
    with claim(name) as presence:
        assert presence.tag != first


@linux_only
def test_an_address_that_somebody_else_has_taken(name: str) -> None:
    with claim(name) as presence:
        tag = presence.tag
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(f"\0anycan-gateway-{tag:03x}-{name}")
        with claim(name) as presence:
            assert presence.tag != tag
            assert listed(name) == [presence.tag]


@linux_only
def test_no_tag_is_left(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_gateways", lambda: [(tag, "x") for tag in range(4096)])
    with pytest.raises(GatewayError, match="4096 gateways run already"):
        claim(name)


@linux_only
def test_a_system_that_refuses_the_sockets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError(errno.EPERM, address)

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(CanOSError, match="making the gateway known to others failed") as caught:
        claim(name)
    assert caught.value.errno == errno.EPERM


# One of that name runs.


@linux_only
def test_a_name_is_one_gateways_alone(name: str) -> None:
    with claim(name) as presence:
        with pytest.raises(GatewayRunningError) as caught:
            claim(name)
        assert caught.value.process == os.getpid()
        assert str(caught.value) == (
            f"a gateway {name!r} runs already, in process {os.getpid()}: stop it, or give this one"
            " another name"
        )
        assert listed(name) == [presence.tag]
    claim(name).close()


@linux_only
def test_one_that_is_starting_just_now(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as lock:
        lock.bind(f"\0anycan-gateway-name-{name}")
        with pytest.raises(GatewayRunningError, match="runs already: stop it") as caught:
            claim(name)
    assert caught.value.process is None


@linux_only
def test_one_that_has_no_lock_on_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_gateways", lambda: [(1, name)])
    with pytest.raises(GatewayRunningError) as caught:
        claim(name)
    assert caught.value.process is None  # there is nothing to connect to


# A gateway in little, since anycan takes long to import.
PROGRAM: Final = """
import socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
for one, rest in zip(held, sys.argv[1:]):
    one.bind("\\0anycan-gateway-" + rest)
held[0].listen()
print("here", flush=True)
sys.stdin.read()
"""


@linux_only
def test_one_in_another_process_and_after_it_was_killed(name: str) -> None:
    with claim(name) as presence:
        tag = presence.tag
    addresses = [f"{tag:03x}-{name}", f"{tag:03x}", f"name-{name}"]
    with subprocess.Popen(  # noqa: S603 - it starts what stands above
        [sys.executable, "-I", "-S", "-c", PROGRAM, *addresses],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"here\n"
        assert listed(name) == [tag]
        assert process_of(tag, name) == other.pid
        with pytest.raises(GatewayRunningError) as caught:
            claim(name)
        assert caught.value.process == other.pid
        other.kill()
        other.wait()
        with claim(name) as presence:
            assert presence.tag == tag


@linux_only
def test_many_that_start_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zlib, "crc32", lambda _: 7)  # all want the same tag
    taken: list[Presence] = []
    refused: list[GatewayRunningError] = []

    def start(one: str) -> None:
        try:
            taken.append(claim(one))
        except GatewayRunningError as error:
            refused.append(error)

    threads = [Thread(target=start, args=(f"{name}-{number % 8}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 8
    assert len({one.name for one in taken}) == len({one.tag for one in taken}) == 8
    for one in taken:
        one.close()


# What it tells.


@contextmanager
def answering(name: str, answer: bytes, *, hold: bool = False) -> Iterator[Presence]:
    """Have a gateway that answers once, from a thread, and whatever it is told to.

    Args:
        hold: It does not end the connection before the one who asks does.
    """

    def serve() -> None:
        presence._sockets[0].setblocking(True)
        client, _ = presence._sockets[0].accept()
        with client:
            client.settimeout(10)
            try:
                client.sendall(answer)
                if hold:
                    client.recv(1)
            except OSError:
                pass  # it has heard enough

    with claim(name) as presence:
        thread = Thread(target=serve)
        thread.start()
        yield presence
        thread.join()


async def ask_in_thread(*arguments: Any) -> dict[str, Any]:
    return await anyio.to_thread.run_sync(partial(ask, *arguments))


@linux_only
@pytest.mark.anyio
async def test_what_a_gateway_tells_of_itself(name: str) -> None:
    asked = itertools.count(1)
    with claim(name) as presence:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.serve, lambda: json.dumps({"asked": next(asked)}).encode())
            with anyio.fail_after(10):
                assert await ask_in_thread(name) == {"asked": 1}
                assert await ask_in_thread(presence.tag) == {"asked": 2}
                with pytest.raises(GatewayError, match="no gateway 4096 runs"):
                    await ask_in_thread(4096)
            tasks.cancel_scope.cancel()


@linux_only
@pytest.mark.anyio
async def test_a_document_that_is_longer_than_a_sockets_buffer(name: str) -> None:
    document = json.dumps({"long": "x" * 3_000_000}).encode()
    with claim(name) as presence:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.serve, lambda: document)
            with anyio.fail_after(10):
                assert await read_all(connect(presence)) == document
            tasks.cancel_scope.cancel()


@linux_only
@pytest.mark.anyio
async def test_so_many_are_answered_at_once_and_others_wait(name: str) -> None:
    document = bytes(1 << 21)
    given = 0

    def snapshot() -> bytes:
        nonlocal given
        given += 1
        return document

    with claim(name) as presence:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.serve, snapshot)
            with anyio.fail_after(10):
                clients = [connect(presence) for _ in range(module.MOST_CLIENTS)]
                for client in clients:
                    await anyio.wait_readable(client)
                late = connect(presence)
                for _ in range(10):
                    await anyio.lowlevel.checkpoint()
                assert given == module.MOST_CLIENTS
                clients[0].close()
                assert await read_all(late) == document
                for client in clients[1:]:
                    assert await read_all(client) == document
            tasks.cancel_scope.cancel()


@linux_only
@pytest.mark.anyio
async def test_one_that_does_not_take_its_answer_is_left(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLIENT_TIME", 0.02)
    monkeypatch.setattr(module, "MOST_CLIENTS", 1)
    document = bytes(1 << 21)
    with claim(name) as presence:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.serve, lambda: document)
            with anyio.fail_after(10):
                slow = connect(presence)
                await anyio.wait_readable(slow)
                assert await read_all(connect(presence))  # it gets its turn
                assert 0 < len(await read_all(slow)) < len(document)
            tasks.cancel_scope.cancel()


@linux_only
@pytest.mark.anyio
async def test_those_who_go_away_at_once(name: str) -> None:
    with claim(name) as presence:
        for _ in range(3):
            connect(presence).close()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.serve, lambda: b"{}" * 1000)
            with anyio.fail_after(10):
                assert await read_all(connect(presence)) == b"{}" * 1000
            tasks.cancel_scope.cancel()


@linux_only
@pytest.mark.anyio
async def test_a_state_that_cannot_be_told(name: str, caplog: pytest.LogCaptureFixture) -> None:
    states: Iterator[Callable[[], bytes]] = iter([lambda: b"%d" % (1 // 0), lambda: b"{}"])
    with claim(name) as presence:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.serve, lambda: next(states)())  # noqa: PLW0108 - another each time
            with anyio.fail_after(10), caplog.at_level(logging.ERROR, "anycan.gateway"):
                assert await read_all(connect(presence)) == b""
                assert await read_all(connect(presence)) == b"{}"
            tasks.cancel_scope.cancel()
    (record,) = caplog.records
    assert record.getMessage() == f"gateway {name}: giving its state failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@linux_only
@pytest.mark.anyio
async def test_closing_it_ends_what_serves_it(name: str) -> None:
    presence = claim(name)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.serve, lambda: bytes(1 << 21))
            slow = connect(presence)
            await anyio.wait_readable(slow)
            presence.close()
        slow.close()
        await presence.serve(lambda: b"{}")  # and it can be served no more
    assert listed(name) == []


class Exhausted:
    """A socket that listens, and whose process had no descriptor left when somebody connected."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.refusals = [errno.EMFILE, errno.EAGAIN, errno.ECONNABORTED]

    def fileno(self) -> int:
        return self._listening.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals:
            raise OSError(self.refusals.pop(0), "refused")
        return self._listening.accept()


@linux_only
@pytest.mark.anyio
async def test_a_process_without_descriptors_goes_on(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    with claim(name) as presence:
        listening: Any = Exhausted(presence._sockets[0])
        client = connect(presence)
        with anyio.fail_after(10):
            accepted = await module._accept(listening)
        assert accepted is not None
        accepted.close()
        client.close()
        assert listening.refusals == []
    assert "cannot tell its state" in caplog.text


# What a gateway, or what says that it is one, may answer.


@linux_only
def test_a_gateway_that_does_not_run(name: str) -> None:
    with claim(name), pytest.raises(GatewayError) as caught:
        ask(f"{name}-other")
    assert f"no gateway '{name}-other' runs in this network namespace" in str(caught.value)
    assert name in str(caught.value).partition("those that do: ")[2].split(", ")


def test_no_gateway_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_gateways", list)
    with pytest.raises(GatewayError, match="those that do: none"):
        ask("bench")


@linux_only
def test_one_that_does_not_answer(name: str) -> None:
    with claim(name), pytest.raises(GatewayError, match=r"did not answer within 0\.01 s"):
        ask(name, 0.01)


@linux_only
def test_one_that_does_not_come_to_its_end(name: str) -> None:
    with (
        answering(name, b'{"a": ', hold=True),
        pytest.raises(GatewayError, match=r"did not answer within 0\.01 s"),
    ):
        ask(name, 0.01)


@linux_only
def test_one_that_as_many_wait_for_as_may(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.001)
    with claim(name) as presence:
        waiting = [connect(presence) for _ in range(module.MOST_CLIENTS + 1)]
        with pytest.raises(BlockingIOError):
            connect(presence)
        with pytest.raises(GatewayError, match=r"did not answer within 0\.01 s"):
            ask(name, 0.01)
        assert process_of(presence.tag, name) is None
        for one in waiting:
            one.close()


@linux_only
def test_one_that_has_just_ended(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_gateways", lambda: [(1, name)])
    with pytest.raises(GatewayError, match=f"gateway '{name}' did not answer: .*refused"):
        ask(name)


@linux_only
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b"\xff\xfe",
        b'{"a": 1} x',
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_no_json_object(name: str, answer: bytes) -> None:
    with (
        answering(name, answer),
        pytest.raises(GatewayError, match="answered with something that is no JSON object"),
    ):
        ask(name, 10.0)


@linux_only
def test_a_document_that_is_too_long(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    longest = b'{"a": "' + bytes(b"x" * ((1 << 20) - 9)) + b'"}'
    assert len(longest) == 1 << 20
    with answering(name, longest):
        assert len(ask(name, 10.0)["a"]) == (1 << 20) - 9
    with (
        answering(name, longest + b" " * (1 << 20)),
        pytest.raises(GatewayError, match="answered with more than 1 MiB"),
    ):
        ask(name, 10.0)


# Systems without abstract sockets.


@pytest.mark.usefixtures("alone")
def test_elsewhere_a_gateway_is_known_to_its_process(name: str) -> None:
    with claim(name) as presence:
        assert find_gateways() == []
        with pytest.raises(GatewayRunningError, match="runs in this process already") as caught:
            claim(name)
        assert caught.value.process == os.getpid()
        with pytest.raises(GatewayError, match="no gateway"):
            ask(name)
        assert presence.tag == zlib.crc32(name.encode()) % 4096
    claim(name).close()


@pytest.mark.usefixtures("alone")
def test_elsewhere_tags_differ_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zlib, "crc32", lambda _: 0xFFF)
    with claim(f"{name}a") as first, claim(f"{name}b") as second:
        assert (first.tag, second.tag) == (0xFFF, 0)
    monkeypatch.setattr(module, "MOST_TAGS", 1)
    with claim(f"{name}a"), pytest.raises(GatewayError, match="no tag is left"):
        claim(f"{name}b")


@pytest.mark.usefixtures("alone")
@pytest.mark.anyio
async def test_elsewhere_it_is_served_until_it_is_cancelled(name: str) -> None:
    with claim(name) as presence, anyio.move_on_after(0) as scope:
        await presence.serve(lambda: b"{}")
    assert scope.cancelled_caught
