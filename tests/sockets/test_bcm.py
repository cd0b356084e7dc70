"""Broadcast manager sockets: the calls they make, how refusals are explained, what they receive."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest

from anycan.exceptions import (
    CanOSError,
    CanPermissionError,
    FrameNotSupportedError,
    InterfaceDownError,
    InterfaceRemovedError,
    NotACanInterfaceError,
    OptionNotSupportedError,
    ProtocolUnavailableError,
    UnknownInterfaceError,
)
from anycan.frame import FdFrame, Frame, RemoteFrame
from anycan.network.user import UserNetwork
from anycan.sockets import common as module
from anycan.sockets.bcm import BcmNews, BcmSocket
from anycan.sockets.common import CanSocket
from anycan.sockets.errors import transmission_down
from anycan.wire.bcm import BcmFlag, BcmMessage, BcmOpcode, Interval
from anycan.wire.constants import SK_MEMINFO_VARS, SO_MEMINFO, SOL_SOCKET
from anycan.wire.messages import MessageBuffer, pack_address
from anycan.wire.options import pack_integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from anycan.frame import AnyFrame

HEAD = struct.Struct("@IIIllllII0q")
STAMPS, RXQ_OVFL = (SOL_SOCKET, 35), (SOL_SOCKET, 40)
ROOM, ROOM_FORCED = (SOL_SOCKET, 8), (SOL_SOCKET, 33)


GONE = "can0 has been removed: close the endpoint, and open another when the interface is back"
NO_SUCH = "the broadcast manager of can0 has no such operation any more"
FEWER = "the operation on can0 was set up with fewer frames: stop it, and set up another"
FAILED = "asking the broadcast manager of can0 failed: "


def head(opcode: int, flags: int = 0, can_id: int = 0, frames: int = 0, second: int = 0) -> bytes:
    """Give a ``struct bcm_msg_head``; the second interval is in microseconds."""
    return HEAD.pack(opcode, flags, 0, 0, 0, 0, second, can_id, frames)


def can(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IB3x8s", word, len(data), data)


def canfd(word: int, data: bytes, flags: int = 4) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data), flags, data)


def words(text: str) -> str:
    """Give a pattern for a message that is that text alone."""
    for special in "().*[]":
        text = text.replace(special, "\\" + special)
    return rf"^\[Errno \d+\] {text}$"


class Script:
    """A descriptor and its network: notes every call, and refuses what it is told to."""

    name = "script"

    def __init__(self) -> None:
        self.opened: list[tuple[object, ...]] = []
        self.options: list[tuple[tuple[int, int], bytes]] = []
        self.connected: list[bytes] = []
        self.sent: list[list[bytes]] = []
        self.asked: list[int] = []  # the indices whose names were asked for
        self.closed = 0
        self.refused: dict[object, int] = {}
        self.waiting: list[tuple[bytes, int, int, int]] = []  # payload, interface, flags, stamp
        self.drops = 0
        self.names = {3: "can0", 4: "can1"}
        self.mtu: int | None = 72

    def open(self, *arguments: object) -> Script:
        self.opened.append(arguments)
        return self

    def _refuse(self, what: object) -> None:
        number = self.refused.get(what, 0)
        if number:
            raise OSError(number, os.strerror(number))

    def fileno(self) -> int:
        return 99

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self._refuse((level, option))
        self.options.append(((level, option), value))

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option, size) == (SOL_SOCKET, SO_MEMINFO, 4 * SK_MEMINFO_VARS)
        self._refuse("meminfo")
        return bytes(32) + pack_integer(self.drops)

    def connect(self, address: bytes) -> None:
        self._refuse("connect")
        self.connected.append(address)

    def receive(self, buffer: MessageBuffer) -> int:
        self._refuse("receive")
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "")
        count = min(len(self.waiting), buffer.capacity)
        for position in range(count):
            payload, index, flags, stamp_ns = self.waiting.pop(0)
            buffer.store(position, payload, index, flags, stamp_ns, self.drops)
        return count

    def send(self, payloads: Sequence[bytes], address: bytes | None = None) -> int:
        assert address is None
        self._refuse("send")
        self.sent.append(list(payloads))
        return len(payloads)

    def close(self) -> None:
        self.closed += 1

    def interface_index(self, name: str) -> int:
        for index, known in self.names.items():
            if known == name:
                return index
        raise UnknownInterfaceError(errno.ENODEV, f"no {name}", name)

    def interface_name(self, index: int) -> str | None:
        self.asked.append(index)
        return self.names.get(index)

    def interface_mtu(self, index: int) -> int | None:
        return self.mtu if index in self.names else None

    @property
    def max_pdu_size(self) -> int:
        return 8300

    def remedy(self, interface: str, mtu: int | None = None) -> str:
        return f"mend {interface} {mtu}"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()
    monkeypatch.setattr(module, "open_descriptor", script.open)
    return script


def open_socket(script: Script, interface: str | int | None = "can0") -> BcmSocket:
    return BcmSocket(script, interface)


class TestOpening:
    @pytest.mark.parametrize(
        ("interface", "index", "name"), [("can0", 3, "can0"), (4, 4, "can1"), (None, 0, None)]
    )
    def test_it_is_connected(
        self, script: Script, interface: str | int | None, index: int, name: str | None
    ) -> None:
        one = open_socket(script, interface)
        assert (one.index, one.interface, one.fd) == (index, name, 99)
        assert script.opened == [(script, socket.SOCK_DGRAM, 2, "can-bcm")]
        assert script.connected == [pack_address(index)]
        assert script.closed == 0

    @pytest.mark.parametrize(("size", "asked"), [(None, 2 * 1024 * 1024), (100_000, 50_000)])
    def test_its_options(self, script: Script, size: int | None, asked: int) -> None:
        BcmSocket(script, "can0", size)
        assert script.options == [
            (STAMPS, pack_integer(1)),
            (RXQ_OVFL, pack_integer(1)),
            (ROOM_FORCED, pack_integer(asked)),
        ]

    def test_without_the_right_to_more_room_it_takes_what_it_gets(self, script: Script) -> None:
        script.refused[ROOM_FORCED] = errno.EPERM
        BcmSocket(script, "can0", 100_000)
        assert script.options[-1] == (ROOM, pack_integer(50_000))

    @pytest.mark.parametrize(
        ("option", "number", "kind", "text"),
        [
            (
                STAMPS,
                errno.ENOPROTOOPT,
                OptionNotSupportedError,
                "the kernel does not know SO_TIMESTAMPNS (it came with Linux 2.6.22)",
            ),
            (
                RXQ_OVFL,
                errno.ENOPROTOOPT,
                OptionNotSupportedError,
                "the kernel does not know SO_RXQ_OVFL (it came with Linux 2.6.33)",
            ),
            (RXQ_OVFL, errno.EPERM, CanPermissionError, "this process may not set SO_RXQ_OVFL"),
            (
                STAMPS,
                errno.EIO,
                CanOSError,
                f"setting SO_TIMESTAMPNS on can0 failed: {os.strerror(errno.EIO)}",
            ),
        ],
    )
    def test_an_option_that_is_refused(
        self,
        script: Script,
        option: tuple[int, int],
        number: int,
        kind: type[CanOSError],
        text: str,
    ) -> None:
        script.refused[option] = number
        with pytest.raises(kind, match=words(text)) as caught:
            open_socket(script)
        assert type(caught.value) is kind
        assert (caught.value.errno, caught.value.interface) == (number, "can0")
        assert script.closed == 1

    @pytest.mark.parametrize(
        ("number", "gone", "kind", "text"),
        [
            (errno.ENODEV, False, NotACanInterfaceError, "can0 is no CAN interface"),
            (errno.ENODEV, True, UnknownInterfaceError, "there is no interface can0"),
            (
                errno.EINVAL,
                False,
                CanOSError,
                f"binding to can0 failed: {os.strerror(errno.EINVAL)}",
            ),
        ],
    )
    def test_it_cannot_be_connected(
        self,
        script: Script,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        gone: bool,
        kind: type[CanOSError],
        text: str,
    ) -> None:
        def go_away(_: bytes) -> None:
            if gone:
                script.names = {}
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(script, "connect", go_away)
        with pytest.raises(kind, match=words(text)) as caught:
            open_socket(script)
        assert type(caught.value) is kind
        assert (caught.value.errno, caught.value.interface) == (number, "can0")
        assert script.closed == 1

    @pytest.mark.parametrize(
        ("interface", "text"), [("can9", "no can9"), (9, "there is no interface of index 9")]
    )
    def test_an_interface_that_is_not_there(
        self, script: Script, interface: str | int, text: str
    ) -> None:
        with pytest.raises(UnknownInterfaceError, match=words(text)) as caught:
            open_socket(script, interface)
        assert caught.value.errno == errno.ENODEV
        assert script.closed == 1

    @pytest.mark.parametrize("interface", [1.0, True, b"can0"])
    def test_what_is_no_interface(self, script: Script, interface: Any) -> None:
        with pytest.raises(
            TypeError, match=f"^an interface is its name, its index or None, not {interface!r}$"
        ):
            open_socket(script, interface)
        assert script.closed == 1

    def test_what_an_interface_is_called(self, script: Script) -> None:
        one = open_socket(script)
        assert [one._name_of(which) for which in ("can7", 4, 99)] == ["can7", "can1", "99"]

    def test_without_a_broadcast_manager(self) -> None:
        class Old(UserNetwork):
            def _open_socket(self, protocol: int, changed: Callable[[], object]) -> Any:
                return super()._open_socket(protocol + 100, changed)

        with (
            Old() as network,
            pytest.raises(ProtocolUnavailableError, match=r"can-bcm: load it \(modprobe can-bcm\)"),
        ):
            BcmSocket(network, None)


class TestReceiving:
    def test_what_a_message_says(self, script: Script) -> None:
        one = open_socket(script, None)
        script.waiting = [
            (head(12, 0x20, 0x123, 1) + can(0x123, b"\1"), 3, 0x804, 1_700_000_000_000_000_001),
            (head(12, 0x820, 0x123, 1) + canfd(0x123, b"\2"), 4, 0x4, 2),
            (head(11, 0x3, 0x80000123, second=10_000), 3, 0, 3),
            (head(9, 0xF, 0x123), 0, 0, 4),
        ]
        changed, timed_out, expired = (
            BcmOpcode.RX_CHANGED,
            BcmOpcode.RX_TIMEOUT,
            BcmOpcode.TX_EXPIRED,
        )
        assert one.receive() == [
            BcmNews(
                BcmMessage(changed, 0x20, can_id=0x123, frame_count=1, frames=can(0x123, b"\1")),
                "can0",
                1_700_000_000_000_000_001,
                local=True,
                own=True,
            ),
            BcmNews(
                BcmMessage(changed, 0x820, can_id=0x123, frame_count=1, frames=canfd(0x123, b"\2")),
                "can1",
                2,
                local=True,
                own=False,
            ),
            BcmNews(
                BcmMessage(timed_out, 0x3, interval2=Interval(0, 10_000), can_id=0x80000123),
                "can0",
                3,
                local=False,
                own=False,
            ),
            BcmNews(BcmMessage(expired, 0xF, can_id=0x123), None, 4, local=False, own=False),
        ]
        assert (one.received, one.malformed) == (4, 0)

    def test_names_are_asked_for_once(self, script: Script) -> None:
        one = open_socket(script, None)
        script.asked.clear()
        for _ in range(2):
            script.waiting = [(head(10), index, 0, 1) for index in (3, 0, 4, 3)]
            assert [news.interface for news in one.receive()] == ["can0", None, "can1", "can0"]
        assert script.asked == [3, 4]

    def test_one_that_has_no_name_is_asked_for_again(self, script: Script) -> None:
        one = open_socket(script, None)
        script.waiting = [(head(10), 77, 0, 1)]
        assert [news.interface for news in one.receive()] == [None]
        script.names[77] = "can7"
        script.waiting = [(head(10), 77, 0, 1)]
        assert [news.interface for news in one.receive()] == ["can7"]

    def test_of_one_interface_the_name_is_known_although_it_is_gone(self, script: Script) -> None:
        one = open_socket(script)
        script.names.clear()
        script.asked.clear()
        script.waiting = [(head(10), index, 0, 1) for index in (3, 0)]
        assert [news.interface for news in one.receive()] == ["can0", None]
        assert script.asked == []

    def test_what_is_no_message_is_counted(self, script: Script) -> None:
        one = open_socket(script)
        script.waiting = [
            (head(10)[:-1], 3, 0, 1),
            (head(10), 3, 0, 1),
            (head(10) + b"x", 3, 0, 1),
            (head(10, 0x800) + can(1), 3, 0, 1),
        ]
        assert [news.message.opcode for news in one.receive()] == [10]
        assert (one.received, one.malformed) == (1, 3)
        script.waiting = [(b"", 3, 0, 1)]
        assert one.receive() == []
        assert (one.received, one.malformed) == (1, 4)

    def test_nothing_waits(self, script: Script) -> None:
        with pytest.raises(BlockingIOError):
            open_socket(script).receive()

    @pytest.mark.parametrize(
        ("number", "kind", "text"),
        [
            (
                errno.ENETDOWN,
                InterfaceDownError,
                "can0 is down; receiving goes on when it is up again (mend can0 None)",
            ),
            (
                errno.ENODEV,
                InterfaceRemovedError,
                GONE,
            ),
            (errno.EIO, CanOSError, f"receiving from can0 failed: {os.strerror(errno.EIO)}"),
        ],
    )
    def test_a_pending_error(
        self, script: Script, number: int, kind: type[CanOSError], text: str
    ) -> None:
        one = open_socket(script)
        script.refused["receive"] = number
        with pytest.raises(kind, match=words(text)) as caught:
            one.receive()
        assert type(caught.value) is kind
        assert (caught.value.errno, caught.value.interface) == (number, "can0")

    def test_an_error_of_all_interfaces(self, script: Script) -> None:
        one = open_socket(script, None)
        script.refused["receive"] = errno.ENETDOWN
        with pytest.raises(
            InterfaceDownError, match=r"all interfaces is down; .* \(mend NAME None\)"
        ) as caught:
            one.receive()
        assert caught.value.interface is None

    def test_drops(self, script: Script) -> None:
        one = open_socket(script)
        script.drops = 7
        assert one.dropped == 7
        script.drops = 9
        one.close()
        script.refused["meminfo"] = errno.EBADF
        assert (one.dropped, script.closed, one.fd) == (9, 1, -1)

    def test_an_old_kernel_tells_of_drops_with_the_messages(self, script: Script) -> None:
        script.refused["meminfo"] = errno.ENOPROTOOPT
        one = open_socket(script)
        assert one.dropped == 0
        script.drops = 5
        script.waiting = [(head(10), 3, 0, 1)]
        one.receive()
        assert one.dropped == 5

    def test_how_others_tell_of_them_is_theirs(self, script: Script) -> None:
        script.refused["meminfo"] = errno.ENOPROTOOPT
        one = CanSocket(script, "can0", socket.SOCK_DGRAM, 2, "can-bcm")
        with pytest.raises(NotImplementedError):
            _ = one.dropped


class TestMessagesReceived:
    """A batch of messages, whatever they are made of."""

    @pytest.mark.parametrize("hardware", [False, True])
    def test_payload_interface_flags_and_stamp(self, hardware: bool) -> None:
        buffer = MessageBuffer(4, 100, hardware_stamps=hardware)
        stamp = 1_700_000_000_123_456_789
        buffer.store(0, b"one", 3, 0x804, stamp, 0)
        buffer.store(1, bytes(range(100)), 0, 0x4, stamp + 1, 0)
        buffer.store(2, bytes(range(120)), 0x7FFFFFFF, 0, 0, 0)
        assert [*buffer.received(3)] == [
            (b"one", 3, 0x804, stamp),
            (bytes(range(100)), 0, 0x4, stamp + 1),
            (bytes(range(100)), 0x7FFFFFFF, 0, 0),
        ]
        assert [*buffer.received(0)] == []

    def test_the_latest_drop_count(self) -> None:
        buffer = MessageBuffer(4, 100)
        for position, drops in enumerate((0, 3, 0xFFFFFFFF)):
            buffer.store(position, b"", 1, 0, 42, drops)
        batch = buffer.received(3)
        for drops in (0, 3, 0xFFFFFFFF):
            assert next(batch) == (b"", 1, 0, 42)
            assert buffer.drops == drops
        buffer.store(0, b"", 1, 0, 42, 0)
        assert [*buffer.received(1)] == [(b"", 1, 0, 42)]
        assert buffer.drops == 0xFFFFFFFF  # this one says nothing of it

    def test_one_without_a_stamp(self) -> None:
        buffer = MessageBuffer(1, 100)
        buffer.store(0, b"one", 3, 0x4, 42, 7)
        buffer._header.pack_into(buffer.headers, 0, 0, 0x4, 3)  # no control messages
        assert [*buffer.received(1)] == [(b"one", 3, 0x4, None)]
        assert buffer.drops == 0


SETUP = BcmMessage(
    BcmOpcode.TX_SETUP,
    BcmFlag.SETTIMER | BcmFlag.STARTTIMER,
    0,
    Interval(),
    Interval(0, 10_000),
    0x123,
    1,
    can(0x123, b"\1"),
)


class TestAsking:
    def test_the_bytes_of_a_message(self, script: Script) -> None:
        open_socket(script).send(SETUP)
        assert script.sent == [[head(1, 3, 0x123, 1, second=10_000) + can(0x123, b"\1")]]

    @pytest.mark.skipif(
        sys.byteorder == "big" or HEAD.size != 56, reason="the bytes are a 64-bit small machine's"
    )
    def test_literally(self, script: Script) -> None:
        open_socket(script).send(SETUP)
        assert script.sent == [
            [
                bytes.fromhex(
                    "01000000 03000000 00000000 00000000 0000000000000000 0000000000000000"
                    " 0000000000000000 1027000000000000 23010000 01000000"
                    " 23010000 01000000 0100000000000000"
                )
            ]
        ]

    @pytest.mark.parametrize(
        ("number", "opcode", "kind", "given", "text"),
        [
            (errno.ENOTCONN, BcmOpcode.TX_SETUP, InterfaceRemovedError, errno.ENODEV, GONE),
            (errno.ENODEV, BcmOpcode.RX_SETUP, InterfaceRemovedError, errno.ENODEV, GONE),
            *(
                (errno.EINVAL, opcode, CanOSError, errno.EINVAL, NO_SUCH)
                for opcode in (
                    BcmOpcode.TX_DELETE,
                    BcmOpcode.TX_READ,
                    BcmOpcode.RX_DELETE,
                    BcmOpcode.RX_READ,
                )
            ),
            *(
                (
                    errno.EINVAL,
                    opcode,
                    CanOSError,
                    errno.EINVAL,
                    f"asking the broadcast manager of can0 failed: {os.strerror(errno.EINVAL)}",
                )
                for opcode in (BcmOpcode.TX_SETUP, BcmOpcode.RX_SETUP)
            ),
            (errno.E2BIG, BcmOpcode.TX_SETUP, CanOSError, errno.E2BIG, FEWER),
            (
                errno.ENOMEM,
                BcmOpcode.TX_SETUP,
                CanOSError,
                errno.ENOMEM,
                FAILED + os.strerror(errno.ENOMEM),
            ),
        ],
    )
    def test_refused(
        self,
        script: Script,
        number: int,
        opcode: BcmOpcode,
        kind: type[CanOSError],
        given: int,
        text: str,
    ) -> None:
        one = open_socket(script)
        script.refused["send"] = number
        with pytest.raises(kind, match=words(text)) as caught:
            one.send(BcmMessage(opcode, can_id=0x123))
        assert type(caught.value) is kind
        assert (caught.value.errno, caught.value.interface) == (given, "can0")


class TestSendingOnce:
    @pytest.mark.parametrize(
        ("frame", "data"),
        [
            (Frame(0x123, b"\1\2"), head(4, 0, 0, 1) + can(0x123, b"\1\2")),
            (Frame(0x123, extended=True), head(4, 0, 0, 1) + can(0x80000123)),
            (RemoteFrame(0x123), head(4, 0, 0, 1) + can(0x40000123)),
            (FdFrame(0x123, b"\1\2"), head(4, 0x800, 0, 1) + canfd(0x123, b"\1\2", 0)),
            (FdFrame(1, bytes(64), brs=True), head(4, 0x800, 0, 1) + canfd(1, bytes(64), 1)),
        ],
    )
    def test_its_bytes(self, script: Script, frame: AnyFrame, data: bytes) -> None:
        open_socket(script).send_frame(frame)
        assert script.sent == [[data]]

    def test_no_room(self, script: Script) -> None:
        one = open_socket(script)
        script.refused["send"] = errno.ENOBUFS
        with pytest.raises(BlockingIOError) as caught:
            one.send_frame(Frame(1))
        assert caught.value.errno == errno.ENOBUFS
        assert caught.value.strerror == os.strerror(errno.ENOBUFS)

    @pytest.mark.parametrize(
        ("number", "kind", "given", "text"),
        [
            (
                errno.ENETDOWN,
                InterfaceDownError,
                errno.ENETDOWN,
                "can0 is down, the frame was not sent (mend can0 None)",
            ),
            (errno.ENODEV, InterfaceRemovedError, errno.ENODEV, GONE),
            (errno.ENOTCONN, InterfaceRemovedError, errno.ENODEV, GONE),
            (
                errno.EINVAL,
                FrameNotSupportedError,
                errno.EINVAL,
                f"can0 does not take {Frame(1)!r}",
            ),
            (
                errno.EPERM,
                CanPermissionError,
                errno.EPERM,
                "this process may not send on can0",
            ),
            (errno.EIO, CanOSError, errno.EIO, f"sending on can0 failed: {os.strerror(errno.EIO)}"),
        ],
    )
    def test_refused(
        self, script: Script, number: int, kind: type[CanOSError], given: int, text: str
    ) -> None:
        one = open_socket(script)
        script.refused["send"] = number
        with pytest.raises(kind, match=words(text)) as caught:
            one.send_frame(Frame(1))
        assert type(caught.value) is kind
        assert (caught.value.errno, caught.value.interface) == (given, "can0")

    def test_a_frame_of_can_fd_that_the_interface_does_not_take(self, script: Script) -> None:
        one = open_socket(script)
        script.mtu = 16
        script.refused["send"] = errno.EMSGSIZE
        text = "can0 takes no CAN FD frames (MTU 16); while it is down: mend can0 72"
        with pytest.raises(FrameNotSupportedError, match=words(text)) as caught:
            one.send_frame(FdFrame(1))
        assert (caught.value.errno, caught.value.interface) == (errno.EMSGSIZE, "can0")

    @pytest.mark.parametrize("mtu", [72, 76, 2060, None])
    def test_an_interface_that_takes_can_fd_or_is_gone(
        self, script: Script, mtu: int | None
    ) -> None:
        one = open_socket(script)
        script.mtu = mtu
        one.check_flexible()

    def test_one_that_does_not(self, script: Script) -> None:
        one = open_socket(script)
        script.mtu = 16
        text = "can0 takes no CAN FD frames (MTU 16); while it is down: mend can0 72"
        with pytest.raises(FrameNotSupportedError, match=words(text)) as caught:
            one.check_flexible()
        assert (caught.value.errno, caught.value.interface) == (errno.EMSGSIZE, "can0")


@pytest.mark.parametrize(("interface", "name"), [("can0", "can0"), (None, "all interfaces")])
def test_a_transmission_where_the_link_is_down(interface: str | None, name: str) -> None:
    error = transmission_down(interface, "mend it")
    assert type(error) is InterfaceDownError
    assert (error.errno, error.interface) == (errno.ENETDOWN, interface)
    assert error.strerror == (
        f"{name} is down: frames are lost while the beat and the count go on (mend it)"
    )


# On a user-space network


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork(clock=lambda: 42) as network:
        network.add_vcan("vcan0")
        network.add_vcan("vcan1", mtu=16)
        yield network


@pytest.fixture
def open_user(network: UserNetwork) -> Iterator[Callable[..., BcmSocket]]:
    opened: list[BcmSocket] = []

    def open_one(interface: str | None = "vcan0", room: int | None = None) -> BcmSocket:
        opened.append(BcmSocket(network, interface, room))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def setup(count: int, *, fd: bool = False, can_id: int = 1, flags: int = 0) -> BcmMessage:
    frames = [
        (canfd if fd else can)(number + 1, bytes([number]) * (64 if fd else 8))
        for number in range(count)
    ]
    return BcmMessage(
        BcmOpcode.TX_SETUP,
        (BcmFlag.CAN_FD_FRAME if fd else 0) | flags,
        can_id=can_id,
        frame_count=count,
        frames=b"".join(frames),
    )


def read_of(message: BcmMessage) -> BcmMessage:
    return BcmMessage(
        BcmOpcode.TX_READ, message.flags & BcmFlag.CAN_FD_FRAME, can_id=message.can_id
    )


class TestReadingBack:
    """What is set up can be read, however much it is."""

    def test_more_after_less(self, open_user: Callable[..., BcmSocket]) -> None:
        one = open_user()
        messages = [
            setup(1),
            setup(2, can_id=2),
            setup(1, fd=True),
            setup(256, can_id=3),
            setup(256, fd=True, can_id=4),
            setup(2, can_id=5),
        ]
        for message in messages:
            one.send(message)
            one.send(read_of(message))
            (news,) = one.receive()
            assert news.message.opcode == BcmOpcode.TX_STATUS
            assert news.message.frame_count == message.frame_count
            assert news.message.frames == message.frames
            assert (news.interface, news.timestamp_ns) == (None, 42)
        for message in messages:
            one.send(read_of(message))
        assert [news.message.frames for news in one.receive()] == [
            message.frames for message in messages
        ]
        assert (one.received, one.malformed, one.dropped) == (12, 0, 0)

    def test_many_small_ones_at_once_and_large_ones_in_turn(
        self, open_user: Callable[..., BcmSocket]
    ) -> None:
        one = open_user()
        one.send(setup(1))
        for _ in range(65):
            one.send(read_of(setup(1)))
        assert [len(one.receive()), len(one.receive())] == [64, 1]
        large = setup(256, fd=True)
        one.send(large)
        for _ in range(40):
            one.send(read_of(large))
        counts: list[int] = []
        while sum(counts) < 40:
            batch = one.receive()
            assert all(news.message.frames == large.frames for news in batch)
            counts.append(len(batch))
        assert max(counts) == 14  # some 256 KiB
        assert one.malformed == 0

    def test_masks_too(self, open_user: Callable[..., BcmSocket]) -> None:
        one = open_user()
        frames = b"".join(canfd(0, bytes([number % 256])) for number in range(257))
        flag = BcmFlag.CAN_FD_FRAME
        one.send(BcmMessage(BcmOpcode.RX_SETUP, flag, can_id=1, frame_count=257, frames=frames))
        one.send(BcmMessage(BcmOpcode.RX_READ, flag, can_id=1))
        (news,) = one.receive()
        assert news.message.frames == frames
        assert news.interface == "vcan0"

    def test_what_is_heard_needs_no_more_room_than_there_was(
        self, open_user: Callable[..., BcmSocket]
    ) -> None:
        one, other = open_user(), open_user()
        flags = BcmFlag.CAN_FD_FRAME | BcmFlag.RX_FILTER_ID
        one.send(BcmMessage(BcmOpcode.RX_SETUP, flags, can_id=1))
        for sender in (one, other):
            sender.send_frame(FdFrame(1, bytes(64)))
        own, local = one.receive()
        assert own.message.frames == local.message.frames == canfd(1, bytes(64))
        assert (own.local, own.own, local.local, local.own) == (True, True, True, False)


class TestOnAUserNetwork:
    def test_the_link_goes_down_and_the_interface_goes(
        self, network: UserNetwork, open_user: Callable[..., BcmSocket]
    ) -> None:
        one = open_user()
        network.set_down("vcan0")
        with pytest.raises(InterfaceDownError, match="the frame was not sent"):
            one.send_frame(Frame(1))
        with pytest.raises(InterfaceDownError, match=r"set_up\('vcan0'\)"):
            one.receive()
        with pytest.raises(BlockingIOError):
            one.receive()
        network.set_up("vcan0")
        one.send_frame(Frame(1))
        network.remove("vcan0")
        with pytest.raises(InterfaceRemovedError):
            one.receive()
        with pytest.raises(BlockingIOError):
            one.receive()
        for _ in range(2):
            with pytest.raises(InterfaceRemovedError, match="open another"):
                one.send(setup(1))
            with pytest.raises(InterfaceRemovedError, match="open another"):
                one.send_frame(Frame(1))

    def test_what_is_refused(self, open_user: Callable[..., BcmSocket]) -> None:
        one = open_user()
        with pytest.raises(CanOSError, match="no such operation any more"):
            one.send(read_of(setup(1)))
        one.send(setup(1))
        with pytest.raises(CanOSError, match="was set up with fewer frames"):
            one.send(setup(2))
        with pytest.raises(CanOSError, match="asking the broadcast manager of vcan0 failed"):
            one.send(setup(0))

    def test_can_fd_where_there_is_none(self, open_user: Callable[..., BcmSocket]) -> None:
        one = open_user("vcan1")
        with pytest.raises(
            FrameNotSupportedError, match=r"takes no CAN FD frames \(MTU 16\).*set_mtu\('vcan1', 72"
        ):
            one.send_frame(FdFrame(1))
        with pytest.raises(FrameNotSupportedError, match="takes no CAN FD frames"):
            one.check_flexible()
        one.send_frame(Frame(1))

    def test_a_queue_that_is_full(
        self, network: UserNetwork, open_user: Callable[..., BcmSocket]
    ) -> None:
        network.add_vcan("slow", transmit_queue=1)
        one = open_user("slow")
        one.send_frame(Frame(1))
        with pytest.raises(BlockingIOError):
            one.send_frame(Frame(1))
        network.release("slow")
        one.send_frame(Frame(1))

    def test_a_full_buffer(self, open_user: Callable[..., BcmSocket]) -> None:
        one = open_user(room=2304)
        one.send(setup(1))
        for _ in range(5):
            one.send(read_of(setup(1)))
        assert one.dropped == 2
        assert len(one.receive()) == 3
        one.send(read_of(setup(1)))
        assert len(one.receive()) == 1
        assert one.dropped == 2

    def test_closed(self, open_user: Callable[..., BcmSocket]) -> None:
        one = open_user()
        one.close()
        one.close()
        assert one.fd == -1
        with pytest.raises(CanOSError) as caught:
            one.receive()
        assert caught.value.errno == errno.EBADF
