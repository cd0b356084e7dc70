"""Requests to rtnetlink: to this machine's kernel, and to a script of what a kernel may answer."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anycan.exceptions import (
    CanOSError,
    CanPermissionError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
)
from anycan.sockets import netlink as module
from anycan.sockets.netlink import NetlinkSocket
from anycan.wire.netlink import (
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    Acknowledgement,
    NetlinkMessage,
    unpack_messages,
)
from anycan.wire.netlink_attributes import pack_attribute
from anycan.wire.netlink_gateway import GatewayRoute, add_route, delete_route, dump_routes
from anycan.wire.netlink_link import RTM_DELLINK, RTM_NEWLINK, RTM_SETLINK, Link
from anycan.wire.netlink_requests import (
    change_link,
    create_vcan,
    delete_link,
    dump_links,
    get_link,
)

LINK = Link(7, name="can0").pack()
JOIN_LINKS = (270, 1, 1)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK

Answer = Callable[[int], bytes] | bytes | int
"""A datagram, or what makes it of the request's number; or the error that recvfrom gives."""


def refused(number: int, text: str = "") -> Callable[[int], bytes]:
    def answer(sequence: int) -> bytes:
        flags = NLM_F_CAPPED | (NLM_F_ACK_TLVS if text else 0)
        told = pack_attribute(1, text.encode() + b"\0") if text else b""
        payload = struct.pack("=i", -number) + bytes(16) + told
        return NetlinkMessage(NLMSG_ERROR, flags, payload, sequence).pack()

    return answer


def dump(*payloads: bytes, flags: int = 0) -> Callable[[int], bytes]:
    def answer(sequence: int) -> bytes:
        parts = [(RTM_NEWLINK, one) for one in payloads] + [(NLMSG_DONE, bytes(4))]
        return b"".join(
            NetlinkMessage(kind, NLM_F_MULTI | flags, payload, sequence).pack()
            for kind, payload in parts
        )

    return answer


done = refused(0)


class Script:
    """A netlink socket that answers by a script, in place of the kernel's.

    Args:
        answers: What comes, one after the other; then nothing more.
        readable: Whether something is to be read, as poll sees it.
    """

    def __init__(self, *answers: Answer, readable: bool = True) -> None:
        self.answers = list(answers)
        self.asked: list[NetlinkMessage] = []
        self.options: list[tuple[int, int, int]] = []
        self.sender = 0
        self.refuse_options = 0
        self.is_closed = False
        self._here, self._there = socket.socketpair()
        if readable:
            self._there.send(b"x")

    def fileno(self) -> int:
        return self._here.fileno()

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if self.refuse_options:
            raise OSError(self.refuse_options, "")
        self.options.append((level, option, value))

    def sendto(self, data: bytes, address: tuple[int, int]) -> None:
        assert address == (0, 0)
        self.asked += unpack_messages(data)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        assert size >= 1 << 15  # as much as the kernel writes at once
        if not self.answers:
            raise BlockingIOError(errno.EAGAIN, "")
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        data = answer if isinstance(answer, bytes) else answer(self.asked[-1].sequence)
        return data, (self.sender, 0)

    def close(self) -> None:
        self.is_closed = True
        self._here.close()
        self._there.close()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Any, NetlinkSocket]]]:
    """Make a socket that gets these answers; give the script too."""
    opened: list[NetlinkSocket] = []

    def make(*answers: Answer, readable: bool = True) -> tuple[Script, NetlinkSocket]:
        script = Script(*answers, readable=readable)
        monkeypatch.setattr(module, "_open", lambda: script)
        opened.append(NetlinkSocket())
        return script, opened[-1]

    yield make
    for one in opened:
        one.close()


# With this machine's kernel.

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")


@linux_only
def test_the_kernels_links() -> None:
    with NetlinkSocket() as netlink:
        assert netlink.fileno() >= 0
        links = [Link.unpack(answer.payload) for answer in netlink.request(dump_links())]
        assert {(link.index, link.name) for link in links} == set(socket.if_nameindex())
        (loopback,) = netlink.request(get_link(name="lo"))
        assert Link.unpack(loopback.payload).index == socket.if_nametoindex("lo")
    assert netlink.fileno() == -1


@linux_only
def test_what_the_kernel_does_not_have() -> None:
    with NetlinkSocket() as netlink:
        with pytest.raises(UnknownInterfaceError) as caught:
            netlink.request(get_link(name="nosuch0"))
        assert caught.value.errno == errno.ENODEV
        text = "[Errno 19] asking for interfaces failed: there is no such interface"
        assert str(caught.value) == text
        assert netlink.request(get_link(name="lo"))  # the refusal has left nothing behind


@linux_only
def test_it_answers_in_words_and_without_the_request() -> None:
    with NetlinkSocket() as netlink:
        assert netlink._socket.getsockopt(270, 11) == 1
        assert netlink._socket.getsockopt(270, 10) == 1
        assert not netlink._socket.getblocking()


@linux_only
def test_joining_the_links_of_this_machine() -> None:
    with NetlinkSocket() as netlink:
        netlink.join_links()
        groups = netlink._socket.getsockopt(270, 9, 64)  # NETLINK_LIST_MEMBERSHIPS
        assert struct.unpack_from("=I", groups)[0] == 1
        # Nothing, unless somebody changes an interface just now.
        assert {one.type for one in netlink.events()} <= {RTM_NEWLINK, RTM_DELLINK}


@linux_only
def test_closing_it_twice() -> None:
    netlink = NetlinkSocket()
    netlink.close()
    netlink.close()
    for call in (lambda: netlink.request(dump_links()), netlink.events, netlink.join_links):
        with pytest.raises(CanOSError) as caught:
            call()
        assert caught.value.errno == errno.EBADF


# Systems and sandboxes without netlink.


def test_a_system_without_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    with pytest.raises(ProtocolUnavailableError, match=r"which is Linux's: use a user-space") as e:
        NetlinkSocket()
    assert e.value.errno == errno.EAFNOSUPPORT


@linux_only
@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.EAFNOSUPPORT, ProtocolUnavailableError, "a sandbox or a security policy forbids it"),
        (errno.EPERM, ProtocolUnavailableError, "a sandbox or a security policy forbids it"),
        (errno.EMFILE, CanOSError, "opening a netlink socket failed: Too many open files"),
    ],
)
def test_a_socket_that_is_refused(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[CanOSError], text: str
) -> None:
    def refuse(*_: int) -> socket.socket:
        raise OSError(number, "")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(CanOSError) as caught:
        NetlinkSocket()
    assert type(caught.value) is kind
    assert caught.value.errno == number
    assert text in str(caught.value)


@linux_only
def test_a_socket_that_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    script.refuse_options = errno.ENOPROTOOPT
    monkeypatch.setattr(script, "setblocking", lambda _: None, raising=False)
    monkeypatch.setattr(socket, "socket", lambda *_: script)
    with pytest.raises(CanOSError, match="Protocol not available") as caught:
        NetlinkSocket()
    assert caught.value.errno == errno.ENOPROTOOPT
    assert script.is_closed


# What comes back to a request.


def test_a_request_that_is_done(scripted: Any) -> None:
    script, netlink = scripted(done, done)
    assert netlink.request(delete_link(7)) == []
    assert netlink.request(delete_link(8)) == []
    assert [(one.type, one.sequence) for one in script.asked] == [
        (RTM_DELLINK, 1),
        (RTM_DELLINK, 2),
    ]


def test_a_dump_in_several_datagrams(scripted: Any) -> None:
    first = NetlinkMessage(RTM_NEWLINK, NLM_F_MULTI, LINK, 1).pack()
    _, netlink = scripted(first, first, dump(LINK))
    assert [answer.payload for answer in netlink.request(dump_links())] == [LINK] * 3


def test_late_answers_and_those_of_others_are_passed_over(scripted: Any) -> None:
    stale = NetlinkMessage(RTM_NEWLINK, 0, b"stale", 99).pack()
    script, netlink = scripted(stale, done)
    assert netlink.request(delete_link(7)) == []

    def from_a_process(sequence: int) -> bytes:
        script.sender = 4711
        return refused(errno.EBUSY)(sequence)

    def from_the_kernel(sequence: int) -> bytes:
        script.sender = 0
        return done(sequence)

    script.answers += [from_a_process, from_the_kernel]
    assert netlink.request(delete_link(7)) == []
    assert script.answers == []


def test_the_number_of_a_request_begins_anew(scripted: Any) -> None:
    script, netlink = scripted(done, done)
    netlink._sequence = 0xFFFFFFFE
    netlink.request(delete_link(7))
    netlink.request(delete_link(7))
    assert [one.sequence for one in script.asked] == [0xFFFFFFFF, 1]


def test_an_answer_that_is_waited_for(scripted: Any) -> None:
    script, netlink = scripted(errno.EAGAIN, done)
    assert netlink.request(delete_link(7)) == []
    assert script.answers == []


def test_an_answer_that_does_not_come(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, netlink = scripted(readable=False)
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    with pytest.raises(CanOSError, match=r"did not answer within 0\.01 s") as caught:
        netlink.request(delete_link(7))
    assert caught.value.errno == errno.ETIMEDOUT


def test_an_interrupted_dump_is_asked_for_again(scripted: Any) -> None:
    torn = dump(b"torn", flags=NLM_F_DUMP_INTR)
    script, netlink = scripted(torn, torn, dump(LINK))
    assert [answer.payload for answer in netlink.request(dump_links())] == [LINK]
    assert [one.sequence for one in script.asked] == [1, 2, 3]


def test_a_dump_that_is_interrupted_each_time(scripted: Any) -> None:
    script, netlink = scripted(*[dump(LINK, flags=NLM_F_DUMP_INTR)] * 6)
    with pytest.raises(CanOSError, match=r"they changed .* 5 times in a row; try again") as caught:
        netlink.request(dump_links())
    assert caught.value.errno == errno.EINTR
    assert len(script.asked) == 5


@pytest.mark.parametrize(
    ("answer", "number", "text"),
    [
        (errno.ENOBUFS, errno.ENOBUFS, "messages of the kernel are lost"),
        (errno.ENOMEM, errno.ENOMEM, os.strerror(errno.ENOMEM)),
        (b"odd", errno.EBADMSG, "the kernel's answer is odd: 3 bytes are left over"),
    ],
)
def test_an_answer_that_cannot_be_read(
    scripted: Any, answer: Answer, number: int, text: str
) -> None:
    _, netlink = scripted(answer)
    with pytest.raises(CanOSError) as caught:
        netlink.request(dump_links())
    assert caught.value.errno == number
    assert f"asking for interfaces failed: {text}" in str(caught.value)


# Refusals, in the user's terms.

ROUTE = GatewayRoute(1, 2)


@pytest.mark.parametrize(
    ("message", "number", "kind", "words"),
    [
        (
            add_route(ROUTE),
            errno.EPERM,
            CanPermissionError,
            ["giving can-gw a rule needs the capability CAP_NET_ADMIN of the host", "as root"],
        ),
        (
            create_vcan("vcan0"),
            errno.EPERM,
            CanPermissionError,
            [
                "making or changing an interface needs the capability CAP_NET_ADMIN: run",
                f"sudo setcap cap_net_admin+ep {Path(sys.executable).resolve()})",
            ],
        ),
        (
            delete_route(ROUTE),
            errno.EOPNOTSUPP,
            ProtocolUnavailableError,
            ["taking a rule from can-gw failed", "modprobe can-gw", "offload='never'"],
        ),
        (
            add_route(ROUTE),
            errno.ENODEV,
            UnknownInterfaceError,
            ["giving can-gw a rule failed: an interface of it is gone, or is no CAN interface"],
        ),
        (
            create_vcan("vcan0"),
            errno.EOPNOTSUPP,
            CanOSError,
            ["making or changing an interface failed: Operation not supported"],
        ),
        (
            create_vcan("vcan0"),
            errno.EEXIST,
            CanOSError,
            ["making or changing an interface failed: there is one already"],
        ),
        (
            change_link(Link(1, mtu=72)),
            errno.EBUSY,
            CanOSError,
            ["changing an interface failed", "set it down first (ip link set NAME down)"],
        ),
        (
            NetlinkMessage(200, NLM_F_ACK),
            errno.ERANGE,
            CanOSError,
            ["a request to rtnetlink failed: Numerical result out of range"],
        ),
    ],
)
def test_refusals(
    scripted: Any, message: NetlinkMessage, number: int, kind: type[CanOSError], words: list[str]
) -> None:
    _, netlink = scripted(refused(number), refused(number, "so it says"))
    for told in ("", " (the kernel: so it says)"):
        with pytest.raises(CanOSError) as caught:
            netlink.request(message)
        assert type(caught.value) is kind
        assert caught.value.errno == number
        for text in words:
            assert text in str(caught.value)
        assert str(caught.value).endswith(told)
        assert ("the kernel" in str(caught.value).rpartition("(")[2]) == bool(told)


def test_a_refusal_by_another_one_than_the_kernel() -> None:
    refusal = module.refusal_of(RTM_SETLINK, Acknowledgement(errno.ERANGE, "no"), "unix:/tmp/can")
    assert str(refusal).endswith("(unix:/tmp/can: no)")
    odd = module.failure_of(RTM_SETLINK, OSError(errno.ETIMEDOUT, ""), "unix:/tmp/can")
    assert "unix:/tmp/can did not answer" in str(odd)


@pytest.mark.parametrize("message", [add_route(ROUTE), dump_routes()])
def test_an_invalid_rule_and_a_kernel_without_can_gw(
    scripted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: NetlinkMessage
) -> None:
    _, netlink = scripted(refused(errno.EINVAL), refused(errno.EINVAL))
    monkeypatch.setattr(module, "_CAN_GW", tmp_path)
    with pytest.raises(CanOSError, match=r"can-gw.* failed: Invalid argument") as caught:
        netlink.request(message)
    assert type(caught.value) is CanOSError
    monkeypatch.setattr(module, "_CAN_GW", tmp_path / "none")
    with pytest.raises(ProtocolUnavailableError, match="modprobe can-gw") as without:
        netlink.request(message)
    assert without.value.errno == errno.EINVAL


# Events.


def event(kind: int, payload: bytes = LINK) -> bytes:
    return NetlinkMessage(kind, 0, payload).pack()


def test_events(scripted: Any) -> None:
    noop = event(NLMSG_NOOP, b"")
    script, netlink = scripted(event(RTM_NEWLINK) + noop, event(RTM_DELLINK))
    netlink.join_links()
    assert script.options == [JOIN_LINKS]
    assert [one.type for one in netlink.events()] == [RTM_NEWLINK, RTM_DELLINK]
    assert netlink.events() == []


def test_a_process_that_pretends_to_be_the_kernel(scripted: Any) -> None:
    script, netlink = scripted(event(RTM_DELLINK))
    script.sender = 4711
    assert netlink.events() == []
    assert script.answers == []


def test_very_many_events_are_read_in_parts(scripted: Any) -> None:
    _, netlink = scripted(*[event(RTM_SETLINK)] * 100)
    assert [len(netlink.events()) for _ in range(3)] == [64, 36, 0]


@pytest.mark.parametrize(
    ("answer", "number", "text"),
    [
        (errno.ENOBUFS, errno.ENOBUFS, "are lost, as they were not read in time"),
        (b"odd", errno.EBADMSG, "is odd"),
    ],
)
def test_events_that_are_lost(scripted: Any, answer: Answer, number: int, text: str) -> None:
    _, netlink = scripted(event(RTM_NEWLINK), answer, event(RTM_DELLINK))
    with pytest.raises(CanOSError) as caught:
        netlink.events()
    assert caught.value.errno == number
    assert "watching interfaces failed: " in str(caught.value)
    assert text in str(caught.value)
    assert [one.type for one in netlink.events()] == [RTM_DELLINK]  # it goes on


def test_a_socket_for_events_takes_no_requests(scripted: Any) -> None:
    script, netlink = scripted(done)
    netlink.join_links()
    with pytest.raises(RuntimeError, match="this socket is for events"):
        netlink.request(delete_link(7))
    assert script.asked == []


def test_joining_that_is_refused(scripted: Any) -> None:
    script, netlink = scripted(done)
    script.refuse_options = errno.EPERM
    with pytest.raises(CanOSError, match="watching interfaces failed: Operation not permitted"):
        netlink.join_links()
    assert netlink.request(delete_link(7)) == []  # and it is still one for requests
