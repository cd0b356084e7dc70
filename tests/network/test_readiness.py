"""A descriptor that polls as it is told to, whatever is done with it elsewhere."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from anycan.network.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def readiness() -> Iterator[Readiness]:
    readiness = Readiness()
    yield readiness
    readiness.close()


@pytest.fixture
def elsewhere(readiness: Readiness) -> Iterator[socket.socket]:
    """Give the end that is polled as another process would have it."""
    with socket.socket(fileno=os.dup(readiness.fileno())) as elsewhere:
        yield elsewhere


def polls(polled: Readiness | socket.socket) -> str:
    poll = select.poll()
    poll.register(polled.fileno(), select.POLLIN | select.POLLOUT)
    found = dict(poll.poll(0)).get(polled.fileno(), 0)
    names = {select.POLLIN: "r", select.POLLOUT: "w", select.POLLHUP: "h"}
    return "".join(name for event, name in names.items() if found & event)


def test_it_polls_as_it_is_told(readiness: Readiness) -> None:
    assert (readiness.readable, readiness.writable) == (False, True)
    assert polls(readiness) == "w"
    readiness.set_readable()
    assert readiness.readable
    assert polls(readiness) == "rw"
    readiness.set_writable()
    assert not readiness.writable
    assert polls(readiness) == "r"
    readiness.set_readable()
    assert polls(readiness) == ""
    readiness.set_writable()
    assert polls(readiness) == "w"


def test_again_and_again(readiness: Readiness) -> None:
    for expected in ("r", "", "r", "") * 20:
        readiness.set_readable()
        readiness.set_writable()
        assert polls(readiness).replace("w", "") == expected


def test_closing_wakes_who_polls_it_elsewhere(
    readiness: Readiness, elsewhere: socket.socket
) -> None:
    readiness.close()
    readiness.close()
    assert readiness.fileno() == -1
    assert "h" in polls(elsewhere)


def test_no_descriptors_are_left() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Readiness()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_it_is_read_elsewhere(readiness: Readiness, elsewhere: socket.socket) -> None:
    readiness.set_readable()
    elsewhere.recv(1)
    assert polls(readiness) == "w"
    readiness.set_readable()
    assert not readiness.readable
    readiness.set_readable()
    assert polls(readiness) == "rw"


def test_it_is_made_to_block_elsewhere(readiness: Readiness, elsewhere: socket.socket) -> None:
    """The file's flags are everybody's. It would be waited for what has been read there."""
    readiness.set_readable()
    elsewhere.recv(1)
    flags = fcntl.fcntl(elsewhere, fcntl.F_GETFL)
    fcntl.fcntl(elsewhere, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
    readiness.set_readable()
    assert not readiness.readable
    readiness.set_writable()
    assert polls(elsewhere) == ""
    readiness.set_writable()
    assert polls(elsewhere) == "w"


@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR])
def test_it_is_shut_down_elsewhere(
    readiness: Readiness, elsewhere: socket.socket, how: int
) -> None:
    """As a client does that takes its server for dead: others' frames go on all the same."""
    elsewhere.shutdown(how)
    for _ in range(2):
        readiness.set_readable()
        readiness.set_writable()
    assert (readiness.readable, readiness.writable) == (False, True)


def test_it_is_filled_elsewhere(readiness: Readiness, elsewhere: socket.socket) -> None:
    elsewhere.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with suppress(BlockingIOError):
        while True:
            elsewhere.send(bytes(1 << 16), socket.MSG_DONTWAIT)
    assert polls(readiness) == ""
    readiness.set_writable()
    readiness.set_writable()
    assert "w" in polls(readiness)
