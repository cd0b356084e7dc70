"""The system calls, on real descriptors: local sockets take the same calls as those of CAN."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from anycan.exceptions import CanOSError, CanPermissionError, ProtocolUnavailableError
from anycan.frame import AnyFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.sockets import kernel as module
from anycan.sockets.kernel import KernelDescriptor
from anycan.wire.constants import (
    SK_MEMINFO_VARS,
    SO_MEMINFO,
    SO_SNDBUF,
    SO_TIMESTAMPNS,
    SOL_SOCKET,
)
from anycan.wire.frame_buffer import FrameBuffer
from anycan.wire.frames import encode_frame
from anycan.wire.options import pack_integer, unpack_integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system calls are Linux's")

NAMES = {0: "vcan0"}
BATCH: list[AnyFrame] = [
    Frame(0x123, b"\x01"),
    FdFrame(0x123, bytes(64), brs=True),
    XlFrame(0x123, bytes(2048)),
    RemoteFrame(0x123, 5),
    XlFrame(0x123, b"x"),
    Frame(0x12345678, bytes(8)),
]


def stand_in(monkeypatch: pytest.MonkeyPatch, make: Callable[..., socket.socket]) -> None:
    """Let the module under test make its socket in another way, and see no other of its names."""
    monkeypatch.setattr(module, "socket", SimpleNamespace(socket=make))


@pytest.fixture(params=["many at once", "one by one"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the C library, with and without recvmmsg and sendmmsg."""
    library: Any = module._Library()
    if request.param == "one by one":
        library.recvmmsg = library.sendmmsg = None
    monkeypatch.setattr(module, "_library", library)
    return library


def named(number: int) -> bytes:
    """Give an address of a local socket, as long as one of CAN, that no other process uses."""
    return struct.pack("=H", socket.AF_UNIX) + f"\0{os.getpid()}-{number}".encode().ljust(22, b".")


class Pair:
    """A descriptor under test, and the socket at its other end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[int, ...]] = []
        inner, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.peer.settimeout(0)

        def make(*arguments: int) -> socket.socket:
            self.made.append(arguments)
            return inner

        stand_in(monkeypatch, make)
        self.descriptor = KernelDescriptor(socket.SOCK_RAW, 1, "can-raw")
        self.descriptor.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, pack_integer(1))

    def feed(self, *frames: AnyFrame) -> None:
        for frame in frames:
            self.peer.send(encode_frame(frame))

    def sent(self) -> list[bytes]:
        payloads = []
        while True:
            try:
                payloads.append(self.peer.recv(4096))
            except BlockingIOError:
                return payloads


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, library: Any) -> Iterator[Pair]:
    del library
    pair = Pair(monkeypatch)
    yield pair
    pair.descriptor.close()
    pair.peer.close()


def test_it_is_of_can_and_does_not_block(pair: Pair) -> None:
    assert pair.made == [(29, 3, 1)]
    assert not os.get_blocking(pair.descriptor.fileno())


class TestReceive:
    def test_a_batch_of_mixed_sizes(self, pair: Pair) -> None:
        pair.feed(*BATCH)
        buffer = FrameBuffer(16, 2064)
        assert pair.descriptor.receive(buffer) == 6
        frames = buffer.decode(6, NAMES)
        assert frames == BATCH
        assert all(frame.interface == "vcan0" for frame in frames)

    def test_the_kernels_clock(self, pair: Pair) -> None:
        pair.feed(Frame(1), FdFrame(2))
        buffer = FrameBuffer(4)
        first, second = buffer.decode(pair.descriptor.receive(buffer), NAMES)
        assert first.timestamp_ns is not None
        assert second.timestamp_ns is not None
        assert 1_700_000_000 * 10**9 < first.timestamp_ns <= second.timestamp_ns

    def test_nothing_waits(self, pair: Pair) -> None:
        buffer = FrameBuffer(4)
        for _ in range(2):
            with pytest.raises(BlockingIOError) as caught:
                pair.descriptor.receive(buffer)
            assert caught.value.errno == errno.EAGAIN

    def test_a_buffer_is_filled_to_its_capacity_and_used_again(self, pair: Pair) -> None:
        expected = [Frame(number, number.to_bytes(1, "big")) for number in range(9)]
        pair.feed(*expected)
        buffer = FrameBuffer(4)
        frames: list[AnyFrame] = []
        counts = []
        for _ in range(3):
            counts.append(pair.descriptor.receive(buffer))
            frames += buffer.decode(counts[-1], NAMES)
        assert counts == [4, 4, 1]
        assert frames == expected

    def test_no_more_is_stored_than_the_limit(self, pair: Pair) -> None:
        buffer = FrameBuffer(4)
        frames = [Frame(number, bytes([number])) for number in range(15)]
        received: list[AnyFrame] = []
        # Down and up again, before the buffer is known to the descriptor and after.
        for limit in (2, 1, 3, 4, 1, 4):
            buffer.limit = limit
            start = len(received)
            pair.feed(*frames[start : start + limit])
            pair.feed(Frame(0x7FF))  # one more than it may take
            count = pair.descriptor.receive(buffer)
            assert count == limit
            received += buffer.decode(count, NAMES)
            buffer.limit = 4
            assert pair.descriptor.receive(buffer) == 1
            assert buffer.decode(1, NAMES) == [Frame(0x7FF)]
        assert received == frames
        with pytest.raises(BlockingIOError):
            pair.descriptor.receive(buffer)

    def test_each_buffer_has_a_limit_of_its_own(self, pair: Pair) -> None:
        narrow, wide = FrameBuffer(4), FrameBuffer(4)
        narrow.limit = 2
        pair.feed(*(Frame(number) for number in range(12)))
        found = []
        for buffer in (narrow, wide, narrow, wide):
            count = pair.descriptor.receive(buffer)
            found.append([frame.id for frame in buffer.decode(count, NAMES)])
        assert found == [[0, 1], [2, 3, 4, 5], [6, 7], [8, 9, 10, 11]]

    def test_what_one_call_leaves_behind_does_not_reach_the_next(self, pair: Pair) -> None:
        # A message without a stamp and an address shortens both in the headers.
        buffer = FrameBuffer(4)
        rounds: list[tuple[int, list[AnyFrame]]] = [
            (0, [Frame(1)]),
            (1, [Frame(2)]),
            (0, [FdFrame(3), Frame(4)]),
            (1, [Frame(5), Frame(6), Frame(7)]),
            (1, [Frame(8)]),
        ]
        for stamped, frames in rounds:
            pair.descriptor.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, pack_integer(stamped))
            pair.feed(*frames)
            received = buffer.decode(pair.descriptor.receive(buffer), NAMES)
            assert received == frames
            assert [frame.timestamp_ns is not None for frame in received] == [bool(stamped)] * len(
                frames
            )
            with pytest.raises(BlockingIOError):
                pair.descriptor.receive(buffer)

    def test_another_buffer(self, pair: Pair) -> None:
        buffers = [FrameBuffer(2), FrameBuffer(3, 2064), FrameBuffer(1, 16)]
        for number, buffer in enumerate(buffers * 2):
            pair.feed(Frame(number))
            assert buffer.decode(pair.descriptor.receive(buffer), NAMES) == [Frame(number)]

    def test_a_payload_that_is_too_long_is_cut(self, pair: Pair) -> None:
        pair.feed(FdFrame(0x123, b"x" * 64), Frame(1))
        buffer = FrameBuffer(2, 16)
        assert pair.descriptor.receive(buffer) == 2
        payload, flags, _ = buffer.message(0, NAMES)
        assert payload == encode_frame(FdFrame(0x123, b"x" * 64))[:16]
        assert flags & socket.MSG_TRUNC

    def test_who_sent_is_in_the_record(self, pair: Pair) -> None:
        # Local sockets have no interface; their address stands where that of CAN would.
        pair.peer.bind("")  # the kernel chooses a name
        pair.feed(Frame(1))
        buffer = FrameBuffer(1)
        assert pair.descriptor.receive(buffer) == 1
        name = pair.peer.getsockname()
        start = buffer.address_offset
        expected = struct.pack("=H22s", socket.AF_UNIX, name)
        assert buffer.records[start : start + 24] == expected

    def test_it_polls_readable_while_something_waits(self, pair: Pair) -> None:
        poll = select.poll()
        poll.register(pair.descriptor.fileno(), select.POLLIN)
        assert poll.poll(0) == []
        pair.feed(Frame(1))
        assert poll.poll(0) == [(pair.descriptor.fileno(), select.POLLIN)]


class TestSend:
    def test_one(self, pair: Pair) -> None:
        assert pair.descriptor.send([encode_frame(BATCH[0])]) == 1
        assert pair.sent() == [encode_frame(BATCH[0])]

    def test_a_batch_of_mixed_sizes(self, pair: Pair) -> None:
        payloads = [encode_frame(frame) for frame in BATCH]
        for part in (payloads, payloads[:2], payloads * 2):
            assert pair.descriptor.send(part) == len(part)
            assert pair.sent() == part

    def test_never_more_than_64_are_tried(
        self, pair: Pair, monkeypatch: pytest.MonkeyPatch, library: Any
    ) -> None:
        tried: list[int] = []

        def send_many(_fd: int, _headers: int, count: int, _flags: int) -> int:
            tried.append(count)
            return count

        def send_one(*_: int) -> int:
            tried.append(1)
            return 16

        if library.sendmmsg is None:
            monkeypatch.setattr(library, "sendmsg", send_one)
        else:
            monkeypatch.setattr(library, "sendmmsg", send_many)
        assert pair.descriptor.send([bytes(16)] * 65) == 64
        assert sum(tried) == 64

    def test_no_room(self, pair: Pair) -> None:
        payload = [encode_frame(Frame(1))] * 64
        taken = 0

        def send_all() -> None:
            nonlocal taken
            while True:
                taken += pair.descriptor.send(payload)

        with pytest.raises(BlockingIOError) as caught:
            send_all()
        assert caught.value.errno == errno.EAGAIN
        with pytest.raises(BlockingIOError):
            pair.descriptor.send(payload[:1])
        assert len(pair.sent()) == taken
        assert pair.descriptor.send(payload[:2]) == 2

    def test_the_first_refusal_is_raised_and_a_later_one_ends_the_batch(self, pair: Pair) -> None:
        pair.descriptor.setsockopt(SOL_SOCKET, SO_SNDBUF, pack_integer(0))
        small, big = bytes(16), bytes(100_000)
        assert pair.descriptor.send([small, big, small]) == 1
        assert pair.sent() == [small]
        with pytest.raises(OSError, match="Message too long"):
            pair.descriptor.send([big, small])
        assert pair.sent() == []

    def test_to_an_address(self, monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
        del library
        inner = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        stand_in(monkeypatch, lambda *_: inner)
        descriptor = KernelDescriptor(socket.SOCK_RAW, 1, "can-raw")
        receivers = []
        for number in range(2):
            receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            address = named(number)
            receiver.bind(address[2:])
            receivers.append((receiver, address))
        try:
            for number, (receiver, address) in enumerate(receivers):
                payloads = [encode_frame(Frame(number)), encode_frame(FdFrame(number))]
                assert descriptor.send(payloads[:1], address) == 1
                assert descriptor.send(payloads, address) == 2
                assert [receiver.recv(100) for _ in range(3)] == [payloads[0], *payloads]
            with pytest.raises(OSError, match="not connected"):
                descriptor.send([bytes(16)] * 2)
        finally:
            descriptor.close()
            for receiver, _ in receivers:
                receiver.close()


class TestOptions:
    def test_an_option_reads_as_it_was_set(self, pair: Pair) -> None:
        for value in (0, 1):
            pair.descriptor.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, pack_integer(value))
            read = pair.descriptor.getsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 4)
            assert unpack_integer(read) == value

    def test_the_kernel_says_how_long_the_value_is(self, pair: Pair) -> None:
        size = 4 * SK_MEMINFO_VARS
        assert len(pair.descriptor.getsockopt(SOL_SOCKET, SO_MEMINFO, size)) == size
        assert len(pair.descriptor.getsockopt(SOL_SOCKET, SO_MEMINFO, size + 100)) == size
        assert len(pair.descriptor.getsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 100)) == 4
        assert len(pair.descriptor.getsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 2)) == 2

    def test_what_the_kernel_does_not_know(self, pair: Pair) -> None:
        with pytest.raises(OSError, match="Protocol not available") as caught:
            pair.descriptor.getsockopt(SOL_SOCKET, 9999, 4)
        assert caught.value.errno == errno.ENOPROTOOPT
        with pytest.raises(OSError, match="Protocol not available"):
            pair.descriptor.setsockopt(SOL_SOCKET, 9999, pack_integer(1))

    def test_an_address_is_bound(self, pair: Pair) -> None:
        pair.descriptor.bind(named(7))
        pair.descriptor.send([bytes(16)])
        assert pair.peer.recvfrom(16) == (bytes(16), named(7)[2:])

    def test_an_address_that_cannot_be_bound(self, pair: Pair) -> None:
        with pytest.raises(OSError, match="Invalid argument"):
            pair.descriptor.bind(b"\x1d\x00" + bytes(22))


def test_closed_it_touches_no_descriptor_that_took_its_number(pair: Pair) -> None:
    number = pair.descriptor.fileno()
    buffer = FrameBuffer(2)
    pair.feed(Frame(1))
    pair.descriptor.receive(buffer)
    heir, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with heir, peer:
        peer.send(encode_frame(Frame(2)))
        pair.descriptor.close()
        os.dup2(heir.fileno(), number)
        pair.descriptor.close()
        for call in (
            lambda: pair.descriptor.receive(buffer),
            lambda: pair.descriptor.send([bytes(16)]),
            lambda: pair.descriptor.send([bytes(16)] * 2),
            lambda: pair.descriptor.bind(bytes(24)),
            lambda: pair.descriptor.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, pack_integer(1)),
            lambda: pair.descriptor.getsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 4),
        ):
            with pytest.raises(OSError, match="Bad file descriptor"):
                call()
        assert os.read(number, 100) == encode_frame(Frame(2))
        os.close(number)
    assert pair.descriptor.fileno() == -1


def test_one_by_one_an_error_behind_messages_is_told_after_them_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library: Any = module._Library()
    library.recvmmsg = library.sendmmsg = None
    monkeypatch.setattr(module, "_library", library)
    pair = Pair(monkeypatch)
    pair.feed(Frame(1), Frame(2))
    receive = library.recvmsg
    results = iter([None, None, errno.ENETDOWN])

    def receive_or_fail(fd: int, header: int, flags: int) -> int:
        number = next(results, None)
        if number is None:
            count: int = receive(fd, header, flags)
            return count
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(library, "recvmsg", receive_or_fail)
    buffer = FrameBuffer(4)
    assert buffer.decode(pair.descriptor.receive(buffer), NAMES) == [Frame(1), Frame(2)]
    with pytest.raises(OSError, match="Network is down") as caught:
        pair.descriptor.receive(buffer)
    assert caught.value.errno == errno.ENETDOWN
    with pytest.raises(BlockingIOError):
        pair.descriptor.receive(buffer)
    pair.feed(Frame(3))
    assert buffer.decode(pair.descriptor.receive(buffer), NAMES) == [Frame(3)]
    pair.descriptor.close()
    pair.peer.close()


def test_the_library_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_library", None)
    library = module._c_library()
    assert module._c_library() is library
    assert library.recvmmsg is not None
    assert library.sendmmsg is not None


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EAFNOSUPPORT, ProtocolUnavailableError, "no PF_CAN"),
        (errno.EPROTONOSUPPORT, ProtocolUnavailableError, "PF_CAN without can-raw"),
        (errno.EPERM, CanPermissionError, "may not open"),
        (errno.EMFILE, CanOSError, "Too many open files"),
    ],
)
def test_a_socket_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[CanOSError], words: str
) -> None:
    def refuse(*_: int) -> socket.socket:
        raise OSError(number, os.strerror(number))

    stand_in(monkeypatch, refuse)
    with pytest.raises(kind, match=words) as caught:
        KernelDescriptor(socket.SOCK_RAW, 1, "can-raw")
    assert caught.value.errno == number


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class TestClose:
    """To close a socket that may wait is left to a thread."""

    @pytest.fixture
    def inner(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
        inner, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        stand_in(monkeypatch, lambda *_: inner)
        with peer:
            yield inner

    def test_a_raw_socket_is_closed_at_once(self, inner: socket.socket) -> None:
        descriptor = KernelDescriptor(socket.SOCK_RAW, 1, "can-raw")
        number = inner.fileno()
        assert descriptor.close() is None
        assert not is_open(number)
        assert descriptor.fileno() == -1
        assert descriptor.close() is None

    def test_one_of_isotp_does_not_wait_while_it_is_not_bound(self, inner: socket.socket) -> None:
        descriptor = KernelDescriptor(socket.SOCK_DGRAM, 6, "can-isotp")
        number = inner.fileno()
        assert descriptor.close() is None
        assert not is_open(number)

    def test_nor_while_it_could_not_be_bound(self, inner: socket.socket) -> None:
        descriptor = KernelDescriptor(socket.SOCK_DGRAM, 6, "can-isotp")
        number = inner.fileno()
        with pytest.raises(OSError, match="Invalid argument"):
            descriptor.bind(b"\x1d\x00" + bytes(22))
        assert descriptor.close() is None
        assert not is_open(number)

    def test_a_raw_socket_that_is_bound_is_closed_at_once_too(self, inner: socket.socket) -> None:
        descriptor = KernelDescriptor(socket.SOCK_RAW, 1, "can-raw")
        number = inner.fileno()
        descriptor.bind(named(8))
        assert descriptor.close() is None
        assert not is_open(number)

    @pytest.mark.parametrize(
        ("protocol", "name", "bound"), [(2, "can-bcm", False), (6, "can-isotp", True)]
    )
    def test_one_that_may_wait_is_closed_by_what_is_given(
        self, inner: socket.socket, protocol: int, name: str, bound: bool
    ) -> None:
        descriptor = KernelDescriptor(socket.SOCK_DGRAM, protocol, name)
        if bound:
            descriptor.bind(named(9))
        number = inner.fileno()
        rest = descriptor.close()
        assert rest is not None
        assert is_open(number)
        assert descriptor.fileno() == inner.fileno() == -1
        # It is open still, and yet of no more use to who has closed it.
        with pytest.raises(OSError, match="Bad file descriptor"):
            descriptor.send([bytes(16)])
        with pytest.raises(OSError, match="Bad file descriptor"):
            descriptor.receive(FrameBuffer(1))
        assert descriptor.close() is None
        assert is_open(number)
        rest()
        assert not is_open(number)

    def test_what_is_given_holds_nothing_but_the_number(self, inner: socket.socket) -> None:
        descriptor = KernelDescriptor(socket.SOCK_DGRAM, 2, "can-bcm")
        number = inner.fileno()
        rest = descriptor.close()
        del descriptor
        inner.close()
        assert is_open(number)
        assert rest is not None
        rest()
        assert not is_open(number)
