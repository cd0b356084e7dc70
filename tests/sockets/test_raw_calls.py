"""The calls that a raw socket makes, and how it takes each refusal: a descriptor by a script."""

from __future__ import annotations

import errno
import os
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
    UnknownInterfaceError,
)
from anycan.filter import Filter
from anycan.frame import Frame
from anycan.sockets import common as module
from anycan.sockets.options import RECEIVE_BUFFER
from anycan.sockets.raw import RawSocket
from anycan.sockets.raw_options import RawOptions
from anycan.wire.constants import (
    SK_MEMINFO_VARS,
    SO_ERROR,
    SO_MEMINFO,
    SOL_CAN_RAW,
    SOL_SOCKET,
)
from anycan.wire.frames import encode_frame
from anycan.wire.messages import pack_address
from anycan.wire.options import VcidOptions, pack_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anycan.wire.messages import MessageBuffer

FD, RXQ_OVFL, STAMPS = (SOL_CAN_RAW, 5), (SOL_SOCKET, 40), (SOL_SOCKET, 35)
SEND_ROOM, ROOM, ROOM_FORCED = (SOL_SOCKET, 7), (SOL_SOCKET, 8), (SOL_SOCKET, 33)


class Script:
    """A descriptor and its network: notes every call, and refuses what it is told to."""

    name = "script"

    def __init__(self) -> None:
        self.options: list[tuple[tuple[int, int], bytes]] = []
        self.bound: list[bytes] = []
        self.tried: list[tuple[list[bytes], bytes | None]] = []
        self.closed = 0
        self.refused: dict[object, int] = {}
        self.refusals: list[int] = []  # of send and receive, the next first; 0: none
        self.pending: list[int] = []  # what SO_ERROR gives, the next first; then 0
        self.drops = 0
        self.names = {3: "can0"}
        self.mtu: int | None = 16

    def fileno(self) -> int:
        return -1

    def _refuse(self, what: object) -> None:
        number = self.refused.get(what, 0)
        if number:
            raise OSError(number, os.strerror(number))

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self._refuse((level, option))
        self.options.append(((level, option), value))

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        if (level, option) == (SOL_SOCKET, SO_ERROR):
            return pack_integer(self.pending.pop(0) if self.pending else 0)
        assert (level, option, size) == (SOL_SOCKET, SO_MEMINFO, 4 * SK_MEMINFO_VARS)
        self._refuse("meminfo")
        return bytes(32) + pack_integer(self.drops)

    def bind(self, address: bytes) -> None:
        self._refuse("bind")
        self.bound.append(address)

    def _next(self) -> None:
        number = self.refusals.pop(0) if self.refusals else 0
        if number:
            raise OSError(number, os.strerror(number))

    def receive(self, buffer: MessageBuffer) -> int:
        self._next()
        buffer.store(0, encode_frame(Frame(1)), 3, 0, 42, self.drops)
        buffer.store(1, b"no frame", 3, 0, 42, self.drops)
        return 2

    def send(self, payloads: Sequence[bytes], address: bytes | None = None) -> int:
        self.tried.append((list(payloads), address))
        self._next()
        return len(payloads)

    def close(self) -> None:
        self.closed += 1

    def interface_index(self, name: str) -> int:
        for index, known in self.names.items():
            if known == name:
                return index
        raise UnknownInterfaceError(errno.ENODEV, f"no {name}", name)

    def interface_name(self, index: int) -> str | None:
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
    monkeypatch.setattr(module, "open_descriptor", lambda *_: script)
    return script


def open_socket(script: Script, interface: str | int | None = "can0", **options: Any) -> RawSocket:
    return RawSocket(script, interface, RawOptions(**options))


def refuse(script: Script, *numbers: int) -> None:
    script.refusals[:] = numbers


little = pytest.mark.skipif(
    sys.byteorder != "little", reason="the bytes are a little-endian host's"
)


class TestOpening:
    @little
    def test_the_options_that_are_always_set(self, script: Script) -> None:
        open_socket(script)
        assert script.options == [
            (FD, b"\x01\0\0\0"),
            (STAMPS, b"\x01\0\0\0"),
            (RXQ_OVFL, b"\x01\0\0\0"),
            (SEND_ROOM, b"\0\0\0\0"),
            (ROOM_FORCED, pack_integer(RECEIVE_BUFFER // 2)),
        ]
        assert script.bound == [bytes.fromhex("1d000000 03000000") + bytes(16)]

    @little
    def test_the_options_that_are_asked_for(self, script: Script) -> None:
        open_socket(
            script,
            None,
            filters=Filter.all(),
            errors=0x40,
            xl=True,
            vcid=VcidOptions(transmit=5),
            loopback=False,
            receive_own=True,
            join_filters=True,
            timestamps="hardware",
            receive_buffer=100_000,
            send_buffer=5000,
        )
        assert script.options == [
            ((SOL_CAN_RAW, 1), bytes(8)),
            ((SOL_CAN_RAW, 2), b"\x40\0\0\0"),
            ((SOL_CAN_RAW, 3), b"\0\0\0\0"),
            ((SOL_CAN_RAW, 4), b"\x01\0\0\0"),
            (FD, b"\x01\0\0\0"),
            ((SOL_CAN_RAW, 6), b"\x01\0\0\0"),
            ((SOL_CAN_RAW, 7), b"\x01\0\0\0"),
            ((SOL_CAN_RAW, 8), b"\x01\x05\0\xff"),
            ((SOL_SOCKET, 37), pack_integer(0x4 | 0x8 | 0x10 | 0x40)),
            (RXQ_OVFL, b"\x01\0\0\0"),
            (SEND_ROOM, pack_integer(2500)),
            (ROOM_FORCED, pack_integer(50_000)),
        ]
        assert script.bound == [b"\x1d" + bytes(23)]

    def test_classical_can_alone(self, script: Script) -> None:
        open_socket(script, fd=False)
        assert FD not in dict(script.options)

    def test_without_the_right_to_more_room_it_takes_what_it_gets(self, script: Script) -> None:
        script.refused[ROOM_FORCED] = errno.EPERM
        open_socket(script, receive_buffer=100_000)
        assert script.options[-1] == (ROOM, pack_integer(50_000))

    @pytest.mark.parametrize(
        ("option", "options", "words"),
        [
            ((SOL_CAN_RAW, 1), {"filters": Filter.all()}, r"CAN_RAW_FILTER .* 2\.6\.25"),
            ((SOL_CAN_RAW, 2), {"errors": 1}, r"CAN_RAW_ERR_FILTER .* 2\.6\.25"),
            ((SOL_CAN_RAW, 3), {"loopback": False}, r"CAN_RAW_LOOPBACK .* 2\.6\.25"),
            ((SOL_CAN_RAW, 4), {"receive_own": True}, r"CAN_RAW_RECV_OWN_MSGS .* 2\.6\.25"),
            (FD, {}, r"CAN_RAW_FD_FRAMES .* 3\.6"),
            ((SOL_CAN_RAW, 6), {"join_filters": True}, r"CAN_RAW_JOIN_FILTERS .* 4\.1"),
            ((SOL_CAN_RAW, 7), {"xl": True}, r"CAN_RAW_XL_FRAMES .* 6\.1"),
            ((SOL_CAN_RAW, 8), {"xl": True, "vcid": VcidOptions()}, r"XL_VCID_OPTS .* 6\.9"),
            ((SOL_SOCKET, 37), {"timestamps": "hardware"}, r"SO_TIMESTAMPING .* 2\.6\.30"),
            (STAMPS, {}, r"SO_TIMESTAMPNS .* 2\.6\.22"),
            (RXQ_OVFL, {}, r"SO_RXQ_OVFL .* 2\.6\.33"),
            (SEND_ROOM, {}, r"SO_SNDBUF .* 2\.0"),
        ],
    )
    def test_an_option_that_the_kernel_does_not_know(
        self, script: Script, option: tuple[int, int], options: dict[str, Any], words: str
    ) -> None:
        script.refused[option] = errno.ENOPROTOOPT
        with pytest.raises(OptionNotSupportedError, match=words) as caught:
            open_socket(script, **options)
        assert caught.value.interface == "can0"
        assert script.closed == 1

    @pytest.mark.parametrize(
        ("number", "names", "kind", "words"),
        [
            (errno.ENODEV, {3: "can0"}, NotACanInterfaceError, "can0 is no CAN interface"),
            (errno.ENODEV, {}, UnknownInterfaceError, "there is no interface can0"),
            (errno.EINVAL, {3: "can0"}, CanOSError, "binding to can0 failed"),
        ],
    )
    def test_a_refused_bind(
        self,
        script: Script,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        names: dict[int, str],
        kind: type[CanOSError],
        words: str,
    ) -> None:
        def go_away(_: bytes) -> None:
            script.names = names
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(script, "bind", go_away)  # the interface goes away in between
        with pytest.raises(kind, match=words):
            open_socket(script)
        assert script.closed == 1


class TestReceiving:
    def test_what_is_no_frame_is_counted(self, script: Script) -> None:
        socket = open_socket(script)
        assert socket.receive() == [Frame(1)]
        assert (socket.received, socket.malformed) == (1, 1)

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENETDOWN, InterfaceDownError),
            (errno.ENODEV, InterfaceRemovedError),
            (errno.EIO, CanOSError),
        ],
    )
    def test_a_pending_error(self, script: Script, number: int, kind: type[CanOSError]) -> None:
        socket = open_socket(script)
        refuse(script, number)
        with pytest.raises(kind) as caught:
            socket.receive()
        assert (caught.value.errno, caught.value.interface) == (number, "can0")
        assert socket.receive() == [Frame(1)]

    def test_drops_as_the_kernel_counts_them(self, script: Script) -> None:
        socket = open_socket(script)
        script.drops = 7
        assert socket.dropped == 7

    def test_an_old_kernel_tells_of_drops_with_the_frames(self, script: Script) -> None:
        script.refused["meminfo"] = errno.ENOPROTOOPT
        socket = open_socket(script)
        assert socket.dropped == 0
        script.drops = 5
        socket.receive()
        assert socket.dropped == 5

    def test_closed_it_keeps_the_latest_count(self, script: Script) -> None:
        socket = open_socket(script)
        script.drops = 9
        socket.close()
        script.refused["meminfo"] = errno.EBADF
        assert (socket.dropped, script.closed) == (9, 1)


class TestSending:
    @pytest.mark.parametrize(
        ("number", "kind", "words"),
        [
            (errno.EINVAL, FrameNotSupportedError, "can0 does not take Frame"),
            (errno.EMSGSIZE, FrameNotSupportedError, "can0 does not take Frame"),
            (errno.EPERM, CanPermissionError, "may not send on can0"),
            (errno.ENXIO, InterfaceRemovedError, "can0 has been removed"),
            (errno.EIO, CanOSError, "sending on can0 failed"),
        ],
    )
    def test_a_refusal(
        self, script: Script, number: int, kind: type[CanOSError], words: str
    ) -> None:
        socket = open_socket(script)
        refuse(script, number)
        with pytest.raises(kind, match=words) as caught:
            socket.send([Frame(1)])
        assert caught.value.interface == "can0"
        assert (socket.sent, len(script.tried)) == (0, 1)

    @pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
    def test_no_room(self, script: Script, number: int) -> None:
        socket = open_socket(script)
        refuse(script, number)
        with pytest.raises(BlockingIOError) as caught:
            socket.send([Frame(1)])
        assert caught.value.errno == number
        assert caught.value.strerror == os.strerror(number)

    def test_a_refusal_by_an_interface_that_is_gone(self, script: Script) -> None:
        socket = open_socket(script)
        script.names = {}
        refuse(script, errno.EINVAL)
        with pytest.raises(FrameNotSupportedError, match="does not take Frame"):
            socket.send([Frame(1)])

    def test_an_address_is_asked_for_once(self, script: Script) -> None:
        socket = open_socket(script, None)
        for _ in range(2):
            socket.send([Frame(1)], "can0")
            script.names = {}
        assert [address for _, address in script.tried] == [pack_address(3)] * 2


class TestPendingErrors:
    """An error that is the interface's past meets whichever call comes first."""

    @pytest.mark.parametrize(
        ("number", "kind"),
        [(errno.ENETDOWN, InterfaceDownError), (errno.ENODEV, InterfaceRemovedError)],
    )
    def test_it_is_handed_on_and_the_frames_are_sent(
        self, script: Script, number: int, kind: type[CanOSError]
    ) -> None:
        socket = open_socket(script)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        refuse(script, number)
        assert socket.send([Frame(1), Frame(2)]) == 2
        assert script.tried[0] == script.tried[1]
        assert [type(error) for error in told] == [kind]
        assert socket.sent == 2

    def test_with_nobody_to_hear_it_the_frames_are_sent(self, script: Script) -> None:
        socket = open_socket(script)
        refuse(script, errno.ENETDOWN)
        assert socket.send([Frame(1)]) == 1

    def test_of_a_link_that_is_still_down_it_is_told_once(self, script: Script) -> None:
        socket = open_socket(script)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        refuse(script, errno.ENETDOWN, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError, match="the frame was not sent"):
            socket.send([Frame(1)])
        for _ in range(2):
            refuse(script, errno.ENETDOWN)
            with pytest.raises(InterfaceDownError, match="the frame was not sent"):
                socket.send([Frame(1)])
        assert len(told) == 1
        assert len(script.tried) == 4

    def test_it_is_told_of_each_time_that_the_link_went_down(self, script: Script) -> None:
        socket = open_socket(script)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        refuse(script, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError):
            socket.receive()
        script.pending = [errno.ENETDOWN]  # it was up in between, and nobody noticed
        refuse(script, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError, match="the frame was not sent"):
            socket.send([Frame(1)])
        assert len(told) == 1
        socket.send([Frame(1)])
        refuse(script, errno.ENETDOWN, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError, match="the frame was not sent"):
            socket.send([Frame(1)])
        assert len(told) == 2

    def test_what_receive_told_send_does_not_tell_again(self, script: Script) -> None:
        socket = open_socket(script)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        refuse(script, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError):
            socket.receive()
        socket.receive()  # what had been queued before
        refuse(script, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError):
            socket.send([Frame(1)])
        assert told == []

    def test_another_interface_that_is_down_is_no_news_of_this_one(self, script: Script) -> None:
        script.names[4] = "can1"
        socket = open_socket(script)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        refuse(script, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError, match="can1 is down") as caught:
            socket.send([Frame(1)], "can1")
        assert caught.value.interface == "can1"
        assert told == []
        script.pending = [errno.ENETDOWN]
        assert socket.send([Frame(1)], "can1") == 1
        assert [error.interface for error in told] == ["can0"]

    def test_a_socket_for_all_interfaces_has_none(self, script: Script) -> None:
        socket = open_socket(script, None)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        refuse(script, errno.ENETDOWN)
        with pytest.raises(InterfaceDownError, match="can0 is down"):
            socket.send([Frame(1)], "can0")
        assert told == []
        assert len(script.tried) == 1

    def test_an_interface_that_came_back_under_another_index(self, script: Script) -> None:
        socket = open_socket(script, None)
        socket.send([Frame(1)], "can0")
        script.names = {7: "can0"}
        refuse(script, errno.ENXIO)
        assert socket.send([Frame(1)], "can0") == 1
        assert [address for _, address in script.tried] == [
            pack_address(3),
            pack_address(3),
            pack_address(7),
        ]

    def test_behind_it_the_interface_is_gone(self, script: Script) -> None:
        socket = open_socket(script)
        told: list[CanOSError] = []
        socket.on_pending_error = told.append
        refuse(script, errno.ENODEV, errno.ENXIO)
        with pytest.raises(InterfaceRemovedError, match="can0 has been removed"):
            socket.send([Frame(1)])
        assert [type(error) for error in told] == [InterfaceRemovedError]
        assert socket.sent == 0
