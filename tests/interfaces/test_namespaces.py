"""Other network namespaces: what can be seen of them without rights."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

import pytest

from anycan import CanOSError, CanPermissionError
from anycan.interfaces import namespaces as module
from anycan.interfaces.namespaces import netlink_in, opened_namespace
from anycan.wire.netlink_requests import dump_links

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

OWN = "/proc/self/ns/net"


@pytest.mark.parametrize("namespace", [OWN, os.getpid()])
def test_a_namespace_by_its_path_or_a_process_in_it(namespace: str | int) -> None:
    with opened_namespace(namespace) as descriptor:
        assert os.fstat(descriptor).st_ino == Path(OWN).stat().st_ino
        assert not os.get_inheritable(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_namespace_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blue").symlink_to(OWN)
    monkeypatch.setattr(module, "_NAMESPACES", tmp_path)
    with opened_namespace("blue") as descriptor:
        assert os.fstat(descriptor).st_ino == Path(OWN).stat().st_ino


@pytest.mark.parametrize(
    ("namespace", "text"),
    [
        ("nosuch", "the network namespace nosuch cannot be opened (/run/netns/nosuch): No such"),
        ("/no/such", "the network namespace /no/such cannot be opened (/no/such): No such file"),
        (2**31 - 1, "the network namespace of process 2147483647 cannot be opened (/proc/214748"),
    ],
)
def test_a_namespace_that_there_is_not(namespace: str | int, text: str) -> None:
    with pytest.raises(CanOSError) as told, opened_namespace(namespace):
        pass
    assert told.value.errno == errno.ENOENT
    assert text in str(told.value)
    remedy = "is it running, and yours?" if isinstance(namespace, int) else "'ip netns list' shows"
    assert remedy in str(told.value)


def test_the_descriptor_is_closed_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), opened_namespace(OWN):
        raise ZeroDivisionError  # the fixture for leaks looks at the rest


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPERM, CanPermissionError),
        (errno.EACCES, CanPermissionError),
        (errno.EINVAL, CanOSError),
    ],
)
def test_entering_is_refused(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[CanOSError]
) -> None:
    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def setns(self, _descriptor: int, _type: int) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(ctypes, "get_errno", lambda: number)
    with opened_namespace(OWN) as descriptor, pytest.raises(CanOSError) as told:
        netlink_in(descriptor)
    assert type(told.value) is kind
    assert told.value.errno == number
    assert "CAP_SYS_ADMIN" in str(told.value)
    assert os.strerror(number) in str(told.value)


def test_the_thread_is_back_when_the_socket_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[int] = []
    monkeypatch.setattr(
        module, "_enter", lambda descriptor: entered.append(os.fstat(descriptor).st_ino)
    )
    with opened_namespace(OWN) as descriptor, netlink_in(descriptor) as netlink:
        assert netlink.request(dump_links())
    assert len(entered) == 2

    def refuse() -> None:
        raise CanOSError(errno.EMFILE, "too many")

    monkeypatch.setattr(module, "NetlinkSocket", refuse)
    with opened_namespace(OWN) as descriptor, pytest.raises(CanOSError, match="too many"):
        netlink_in(descriptor)
    assert len(entered) == 4
