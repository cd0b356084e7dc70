"""ISO-TP sockets: whom an error concerns, what has been sent, how refusals are explained."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from anycan.exceptions import (
    CanOSError,
    FlowControlError,
    FlowControlOverflowError,
    FlowControlTimeoutError,
    FrameNotSupportedError,
    InterfaceDownError,
    InterfaceRemovedError,
    NotACanInterfaceError,
    OptionNotSupportedError,
    PaddingError,
    PduError,
    ReceptionInterruptedError,
    ReceptionTimeoutError,
    SendUnconfirmedError,
    SequenceError,
    UnknownInterfaceError,
)
from anycan.sockets.isotp import IsotpSocket
from anycan.sockets.isotp_options import IsotpSocketOptions
from anycan.wire.constants import SK_MEMINFO_VARS, SO_ERROR, SO_MEMINFO, SOL_SOCKET
from anycan.wire.isotp_address import Address
from anycan.wire.options import pack_integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anycan.wire.messages import MessageBuffer

TRUNCATED = 0x20  # linux/socket.h: MSG_TRUNC
OPTIONS, LINK_LAYER = (106, 1), (106, 5)
STAMPS, RXQ_OVFL, ROOM_FORCED = (SOL_SOCKET, 35), (SOL_SOCKET, 40), (SOL_SOCKET, 33)
PDU = bytes(range(20))
BOTH_WAYS = Address.normal(0x7E0, 0x7E8)
TO_ALL = Address.normal(0x7DF, None)
LIMIT = 100  # calls, after which it is plain that they never end


def sockaddr(index: int, rx_id: int, tx_id: int) -> bytes:
    return struct.pack("=HxxIII8x", 29, index, rx_id, tx_id)


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Script:
    """A descriptor and its network: notes every call, and answers what it is told to.

    Attributes:
        busy: A PDU is being sent: what an empty write finds.
        looks: How many empty writes there were.
        answers: What the next send calls give: an error number, 0: the PDU is taken.
        always: What every other send call gives.
        failures: What the next receive calls give.
        waiting: What receive calls find: payloads and flags.
        pending: What SO_ERROR gives, once.
    """

    name = "script"
    max_pdu_size = 8300

    def __init__(self) -> None:
        self.opened: list[tuple[object, ...]] = []
        self.options: list[tuple[tuple[int, int], bytes]] = []
        self.bound: list[bytes] = []
        self.sent: list[bytes] = []
        self.closed = 0
        self.rest: Callable[[], object] | None = None
        self.refused: dict[object, int] = {}
        self.mtu: int | None = 72
        self.busy = False
        self.looks = 0
        self.tries = 0
        self.answers: deque[int] = deque()
        self.always = 0
        self.failures: deque[int] = deque()
        self.waiting: deque[tuple[bytes, int]] = deque()
        self.pending = 0
        self.drops = 0

    def open(self, *arguments: object) -> Script:
        self.opened.append(arguments)
        return self

    def _refuse(self, what: object) -> None:
        number = self.refused.get(what, 0)
        if number:
            raise failure(number)

    def fileno(self) -> int:
        return 99

    def bind(self, address: bytes) -> None:
        self._refuse("bind")
        self.bound.append(address)

    def connect(self, address: bytes) -> None:
        raise AssertionError(address)

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self._refuse((level, option))
        self.options.append(((level, option), value))

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert level == SOL_SOCKET
        if option == SO_ERROR:
            assert size == 4
            number, self.pending = self.pending, 0
            return pack_integer(number)
        assert (option, size) == (SO_MEMINFO, 4 * SK_MEMINFO_VARS)
        self._refuse("meminfo")
        return bytes(32) + pack_integer(self.drops)

    def receive(self, buffer: MessageBuffer) -> int:
        if self.failures:
            raise failure(self.failures.popleft())
        if not self.waiting:
            raise failure(errno.EAGAIN)
        count = min(len(self.waiting), buffer.capacity)
        for position in range(count):
            payload, flags = self.waiting.popleft()
            buffer.store(position, payload, 3, flags, 1, self.drops)
        return count

    def send_received(self, buffer: MessageBuffer, count: int, size: int) -> int:
        raise AssertionError(f"{count} of {size} bytes from {buffer}: no PDU is sent so")

    def send(self, payloads: Sequence[bytes], address: bytes | None = None) -> int:
        assert address is None
        (payload,) = payloads
        if not payload:
            self.looks += 1
            raise failure(errno.EAGAIN if self.busy else errno.EINVAL)
        self.tries += 1
        assert self.tries < LIMIT, "it tries again and again, and blocks the loop"
        number = self.answers.popleft() if self.answers else self.always
        if number:
            raise failure(number)
        self.sent.append(payload)
        return 1

    def close(self) -> Callable[[], object] | None:
        self.closed += 1
        return self.rest

    def interface_index(self, name: str) -> int:
        if name != "can0":
            raise UnknownInterfaceError(errno.ENODEV, f"no {name}", name)
        return 3

    def interface_name(self, index: int) -> str | None:
        return "can0" if index == 3 else None

    def interface_mtu(self, index: int) -> int | None:
        return self.mtu if index == 3 else None

    def remedy(self, interface: str, mtu: int | None = None) -> str:
        return f"mend {interface} {mtu}"


class Told:
    """What a socket tells whoever receives, by the way of what sends."""

    def __init__(self, one: IsotpSocket) -> None:
        self.kinds: list[type[CanOSError]] = []
        one.on_pending_error = self._note

    def _note(self, error: CanOSError) -> None:
        self.kinds.append(type(error))


@pytest.fixture
def script() -> Script:
    return Script()


def open_socket(
    script: Script, address: Address = BOTH_WAYS, maximum_pdu: int = 8300, **options: Any
) -> IsotpSocket:
    settings = IsotpSocketOptions(**options)
    return IsotpSocket(script, "can0", address, settings, maximum_pdu, script.open)


def open_sending(script: Script, *, busy: bool) -> IsotpSocket:
    """Open a socket that has begun to send; tell whether it still does."""
    one = open_socket(script)
    one.send(PDU)
    assert one.sending
    script.busy = busy
    return one


def outcome(call: Callable[[], object]) -> type[Exception] | None:
    """Give the class of what a call raises."""
    try:
        call()
    except (OSError, PduError) as error:
        return type(error)
    return None


class TestOpening:
    @pytest.mark.parametrize(
        ("address", "rx_id", "tx_id"),
        [
            (BOTH_WAYS, 0x7E8, 0x7E0),
            (TO_ALL, 0, 0x7DF),
            (Address.normal(0x123, 0x456, extended=True), 0x80000456, 0x80000123),
            (Address.normal_fixed(target=0x10, source=0xF1), 0x98DAF110, 0x98DA10F1),
            (Address.normal(0, 1), 1, 0),
        ],
        ids=repr,
    )
    def test_it_is_bound_to_both_identifiers(
        self, script: Script, address: Address, rx_id: int, tx_id: int
    ) -> None:
        one = open_socket(script, address)
        assert script.opened == [(script, socket.SOCK_DGRAM, 6, "can-isotp")]
        assert script.bound == [sockaddr(3, rx_id, tx_id)]
        assert (one.index, one.interface, one.fd, one.address) == (3, "can0", 99, address)
        assert not one.sending
        assert script.closed == 0

    def test_its_options_are_set_in_their_order(self, script: Script) -> None:
        open_socket(script, receive_buffer=100_000)
        assert script.options == [
            (OPTIONS, b"\0\0\0\0\0\0\0\0\0\xcc\xcc\0"),
            (STAMPS, pack_integer(1)),
            (RXQ_OVFL, pack_integer(1)),
            (ROOM_FORCED, pack_integer(50_000)),
        ]

    @pytest.mark.parametrize(
        ("maximum", "capacity"),
        [(8300, 31), (4095, 64), (4096, 64), (4097, 63), (200_000, 1), (1_049_600, 1)],
    )
    def test_a_batch_takes_as_much_memory_as_it_may(
        self, script: Script, maximum: int, capacity: int
    ) -> None:
        buffer = open_socket(script, maximum_pdu=maximum)._buffer
        assert (buffer.capacity, buffer.payload_size) == (capacity, maximum)

    @pytest.mark.parametrize(
        ("option", "name", "arguments"),
        [(OPTIONS, "CAN_ISOTP_OPTS", {}), (LINK_LAYER, "CAN_ISOTP_LL_OPTS", {"fd": True})],
    )
    def test_an_option_that_the_kernel_does_not_know(
        self, script: Script, option: tuple[int, int], name: str, arguments: dict[str, Any]
    ) -> None:
        script.refused[option] = errno.ENOPROTOOPT
        with pytest.raises(
            OptionNotSupportedError, match=rf"does not know {name} \(it came with Linux 5.10\)"
        ) as caught:
            open_socket(script, **arguments)
        assert (caught.value.errno, caught.value.interface) == (errno.ENOPROTOOPT, "can0")
        assert (script.bound, script.closed) == ([], 1)

    @pytest.mark.parametrize(
        ("number", "mtu", "fd", "kind", "text"),
        [
            (errno.EINVAL, 16, True, FrameNotSupportedError, "can0 takes no CAN FD frames"),
            (errno.EINVAL, 16, False, CanOSError, "binding to can0 failed: "),
            (errno.EINVAL, 72, True, CanOSError, "binding to can0 failed: "),
            (errno.EINVAL, None, True, CanOSError, "binding to can0 failed: "),
            (errno.ENODEV, 72, False, NotACanInterfaceError, "can0 is no CAN interface"),
            (errno.ENODEV, None, False, UnknownInterfaceError, "there is no interface can0"),
            (errno.EADDRNOTAVAIL, 72, False, CanOSError, "binding to can0 failed: "),
            (errno.EAGAIN, 72, False, CanOSError, "binding to can0 failed: "),
        ],
    )
    def test_it_cannot_be_bound(
        self,
        script: Script,
        number: int,
        mtu: int | None,
        fd: bool,
        kind: type[CanOSError],
        text: str,
    ) -> None:
        script.refused["bind"] = number
        script.mtu = mtu
        with pytest.raises(kind, match=text) as caught:
            open_socket(script, fd=fd)
        assert type(caught.value) is kind
        assert (caught.value.errno, caught.value.interface) == (number, "can0")
        assert script.closed == 1

    def test_why_it_takes_no_flexible_frames_and_what_helps(self, script: Script) -> None:
        script.refused["bind"] = errno.EINVAL
        script.mtu = 16
        with pytest.raises(FrameNotSupportedError, match=r"\(MTU 16\).*: mend can0 72$"):
            open_socket(script, fd=True)

    def test_an_interface_that_is_not_there(self, script: Script) -> None:
        with pytest.raises(UnknownInterfaceError, match="no can9"):
            IsotpSocket(script, "can9", BOTH_WAYS, IsotpSocketOptions(), 8300, script.open)
        assert (script.options, script.closed) == ([], 1)

    @pytest.mark.parametrize("refused", ["bind", OPTIONS, STAMPS, None])
    def test_what_is_left_of_a_socket_that_could_not_be_opened_is_done(
        self, script: Script, refused: object
    ) -> None:
        done = threading.Event()
        script.rest = done.set
        interface = "can0"
        if refused is None:
            interface = "can9"
        else:
            script.refused[refused] = errno.EPERM
        with pytest.raises(CanOSError):
            IsotpSocket(script, interface, BOTH_WAYS, IsotpSocketOptions(), 8300, script.open)
        assert done.wait(10)
        assert script.closed == 1


class TestReceiving:
    def test_a_batch_in_its_order(self, script: Script) -> None:
        one = open_socket(script)
        script.waiting += [(b"\x62\xf1\x90", 0), (b"\x7f", 0x804), (bytes(8300), 0)]
        assert one.receive() == [b"\x62\xf1\x90", b"\x7f", bytes(8300)]
        assert (one.received, one.malformed, one.errors) == (3, 0, 0)
        with pytest.raises(BlockingIOError) as caught:
            one.receive()
        assert caught.value.errno == errno.EAGAIN
        assert one.errors == 0

    def test_no_more_than_a_batch(self, script: Script) -> None:
        one = open_socket(script)
        script.waiting += [(bytes([number]), 0) for number in range(40)]
        assert [len(one.receive()), len(one.receive())] == [31, 9]

    def test_what_is_longer_than_it_could_be_is_counted_and_left_out(self, script: Script) -> None:
        one = open_socket(script)
        script.waiting += [(b"\1", 0), (bytes(9000), TRUNCATED), (b"\2", 0)]
        assert one.receive() == [b"\1", b"\2"]
        assert (one.received, one.malformed) == (2, 1)
        script.waiting.append((bytes(9000), TRUNCATED))
        assert one.receive() == []
        assert (one.received, one.malformed) == (2, 2)

    def test_drops_are_told_by_the_descriptor(self, script: Script) -> None:
        one = open_socket(script)
        script.drops = 5
        assert one.dropped == 5

    def test_drops_are_told_by_the_last_pdu_where_the_kernel_is_old(self, script: Script) -> None:
        script.refused["meminfo"] = errno.ENOPROTOOPT
        one = open_socket(script)
        assert one.dropped == 0
        script.drops = 7
        script.waiting.append((b"\1", 0))
        one.receive()
        assert one.dropped == 7


PASSED_ON = [  # whatever is being sent
    (errno.ETIMEDOUT, ReceptionTimeoutError),
    (errno.EILSEQ, SequenceError),
    (errno.EPROTO, ReceptionInterruptedError),
]
KEPT = [
    (errno.ECOMM, FlowControlTimeoutError),
    (errno.EMSGSIZE, FlowControlOverflowError),
]


class TestErrorsWhileNothingIsSent:
    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            *PASSED_ON,
            (errno.EBADMSG, PaddingError),
            (errno.ENETDOWN, InterfaceDownError),
            (errno.ENODEV, InterfaceRemovedError),
            (errno.EIO, CanOSError),
        ],
    )
    def test_who_receives_is_told(
        self, script: Script, number: int, kind: type[CanOSError]
    ) -> None:
        one = open_socket(script)
        script.failures.append(number)
        with pytest.raises(kind, match="can0") as caught:
            one.receive()
        assert type(caught.value) is kind
        assert (caught.value.errno, caught.value.interface) == (number, "can0")
        assert one.errors == 1
        assert outcome(one.receive) is BlockingIOError
        assert one.errors == 1

    @pytest.mark.parametrize("number", [number for number, _ in KEPT])
    def test_who_receives_is_not_told_of_what_was_sent_before(
        self, script: Script, number: int
    ) -> None:
        one = open_socket(script)
        script.failures.append(number)
        assert outcome(one.receive) is BlockingIOError
        assert one.errors == 1
        assert one.sent()
        one.send(PDU)  # and it is not told of this one
        assert one.sent()
        assert one.pdus_sent == 1

    @pytest.mark.parametrize("pending", [errno.ENODEV, 0])
    def test_a_socket_that_is_not_bound_any_more_has_lost_its_interface(
        self, script: Script, pending: int
    ) -> None:
        one = open_socket(script)
        script.failures.append(errno.EADDRNOTAVAIL)
        script.pending = pending
        assert outcome(one.receive) is InterfaceRemovedError
        assert script.pending == 0

    def test_what_waits_behind_that_is_told_first(self, script: Script) -> None:
        one = open_socket(script)
        script.failures += [errno.EADDRNOTAVAIL] * 2
        script.pending = errno.ENETDOWN
        assert outcome(one.receive) is InterfaceDownError
        assert outcome(one.receive) is InterfaceRemovedError
        assert one.errors == 2


class TestErrorsWhileAPduIsSent:
    """Read by a receive call, or by looking whether it has been sent."""

    @pytest.mark.parametrize(("number", "kind"), KEPT)
    @pytest.mark.parametrize("busy", [False, True])
    def test_its_own_is_kept_for_who_sends(
        self, script: Script, number: int, kind: type[CanOSError], busy: bool
    ) -> None:
        one = open_sending(script, busy=busy)
        script.failures.append(number)
        assert outcome(one.receive) is BlockingIOError
        assert outcome(one.receive) is BlockingIOError
        if busy:
            assert not one.sent()
        script.busy = False
        assert outcome(one.sent) is kind
        assert (one.errors, one.pdus_sent, one.sending) == (1, 0, False)

    @pytest.mark.parametrize(("number", "kind"), [*PASSED_ON, (errno.EBADMSG, PaddingError)])
    def test_one_of_receiving_in_the_middle_concerns_who_receives_alone(
        self, script: Script, number: int, kind: type[CanOSError]
    ) -> None:
        one = open_sending(script, busy=True)
        script.failures.append(number)
        assert outcome(one.receive) is kind
        assert not one.sent()
        script.busy = False
        assert one.sent()
        assert (one.errors, one.pdus_sent) == (1, 1)

    @pytest.mark.parametrize(("number", "kind"), [*PASSED_ON, (errno.EIO, CanOSError)])
    def test_one_of_receiving_at_its_end_may_hide_its_own(
        self, script: Script, number: int, kind: type[CanOSError]
    ) -> None:
        one = open_sending(script, busy=False)
        script.failures.append(number)
        assert outcome(one.receive) is kind
        with pytest.raises(SendUnconfirmedError, match="is not known") as caught:
            one.sent()
        assert (caught.value.errno, caught.value.interface) == (errno.EIO, "can0")
        assert (one.errors, one.pdus_sent) == (1, 0)

    def test_a_message_that_is_bad_at_its_end_is_flow_control(self, script: Script) -> None:
        one = open_sending(script, busy=False)
        script.failures.append(errno.EBADMSG)
        assert outcome(one.receive) is BlockingIOError
        assert outcome(one.sent) is FlowControlError
        assert one.errors == 1

    @pytest.mark.parametrize("busy", [False, True])
    def test_a_link_that_goes_down_concerns_both(self, script: Script, busy: bool) -> None:
        one = open_sending(script, busy=busy)
        script.failures.append(errno.ENETDOWN)
        with pytest.raises(InterfaceDownError, match="receiving goes on when it is up again"):
            one.receive()
        if busy:
            assert not one.sent()
            script.busy = False
            script.pending = errno.ECOMM  # what became of it
            with pytest.raises(InterfaceDownError, match="the PDU was not sent"):
                one.sent()
        else:  # it has ended, and what there was to say of it may have been lost
            assert outcome(one.sent) is SendUnconfirmedError
        assert one.pdus_sent == 0

    def test_a_link_that_goes_down_and_comes_back_in_time(self, script: Script) -> None:
        one = open_sending(script, busy=True)
        script.failures.append(errno.ENETDOWN)
        assert outcome(one.receive) is InterfaceDownError
        script.busy = False
        assert one.sent()
        assert (one.errors, one.pdus_sent) == (1, 1)

    @pytest.mark.parametrize("busy", [False, True])
    def test_an_interface_that_is_removed_concerns_both_at_once(
        self, script: Script, busy: bool
    ) -> None:
        one = open_sending(script, busy=busy)
        script.failures.append(errno.ENODEV)
        assert outcome(one.receive) is InterfaceRemovedError
        assert outcome(one.sent) is InterfaceRemovedError
        assert (one.errors, one.pdus_sent, one.sending) == (1, 0, False)

    @pytest.mark.parametrize(("number", "kind"), [*KEPT, (errno.EBADMSG, FlowControlError)])
    def test_its_own_is_read_by_looking(
        self, script: Script, number: int, kind: type[CanOSError]
    ) -> None:
        one = open_sending(script, busy=False)
        told = Told(one)
        script.pending = number
        assert outcome(one.sent) is kind
        assert (told.kinds, one.errors) == ([], 1)

    @pytest.mark.parametrize(
        ("number", "kind", "sent"),
        [
            *((number, kind, SendUnconfirmedError) for number, kind in PASSED_ON),
            (errno.ENETDOWN, InterfaceDownError, SendUnconfirmedError),
            (errno.ENODEV, InterfaceRemovedError, InterfaceRemovedError),
        ],
    )
    def test_others_that_are_read_by_looking_are_passed_on(
        self, script: Script, number: int, kind: type[CanOSError], sent: type[CanOSError]
    ) -> None:
        one = open_sending(script, busy=False)
        told = Told(one)
        script.pending = number
        assert outcome(one.sent) is sent
        assert (told.kinds, one.errors) == ([kind], 1)

    @pytest.mark.parametrize(
        ("number", "kind"),
        [*PASSED_ON, (errno.EBADMSG, PaddingError), (errno.ENETDOWN, InterfaceDownError)],
    )
    def test_looking_in_the_middle_passes_on_too(
        self, script: Script, number: int, kind: type[CanOSError]
    ) -> None:
        one = open_sending(script, busy=True)
        told = Told(one)
        script.pending = number
        assert not one.sent()
        assert told.kinds == [kind]
        assert one.sending

    def test_removal_is_told_though_a_transfer_never_ends(self, script: Script) -> None:
        one = open_sending(script, busy=True)
        told = Told(one)
        script.pending = errno.ENODEV
        assert outcome(one.sent) is InterfaceRemovedError
        assert told.kinds == [InterfaceRemovedError]

    def test_the_first_that_is_known_of_it_stays(self, script: Script) -> None:
        one = open_sending(script, busy=True)
        script.failures += [errno.ENETDOWN, errno.ECOMM]
        assert outcome(one.receive) is InterfaceDownError
        assert outcome(one.receive) is BlockingIOError
        script.busy = False
        assert outcome(one.sent) is InterfaceDownError
        assert one.errors == 2

    def test_its_own_is_not_hidden_by_what_comes_later(self, script: Script) -> None:
        one = open_sending(script, busy=False)
        script.failures += [errno.ECOMM, errno.EILSEQ]
        assert outcome(one.receive) is BlockingIOError
        assert outcome(one.receive) is SequenceError
        assert outcome(one.sent) is FlowControlTimeoutError
        assert one.errors == 2

    def test_one_that_comes_between_both_looks_is_told_later(
        self, script: Script, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = open_sending(script, busy=True)
        told = Told(one)
        getsockopt = script.getsockopt

        def end_meanwhile(level: int, option: int, size: int) -> bytes:
            script.busy = False
            return getsockopt(level, option, size)

        monkeypatch.setattr(script, "getsockopt", end_meanwhile)
        script.pending = errno.ECOMM
        assert not one.sent()
        assert outcome(one.sent) is FlowControlTimeoutError
        assert told.kinds == []


class TestSending:
    def test_it_is_taken_and_sent_and_told_once(self, script: Script) -> None:
        one = open_socket(script)
        assert one.sent()
        assert script.looks == 0
        one.send(PDU)
        script.busy = True
        assert not one.sent()
        assert not one.is_idle()
        script.busy = False
        assert one.sent()
        assert one.is_idle()
        assert (one.sending, one.pdus_sent) == (False, 1)
        looks = script.looks
        assert one.sent()
        assert (one.pdus_sent, script.looks) == (1, looks)
        assert script.sent == [PDU]

    def test_a_failure_is_told_once(self, script: Script) -> None:
        one = open_sending(script, busy=False)
        script.pending = errno.ECOMM
        assert outcome(one.sent) is FlowControlTimeoutError
        assert one.sent()
        assert one.pdus_sent == 0

    @pytest.mark.parametrize("size", [0, 8301, 100_000])
    def test_what_can_never_be_sent_is_not_tried(self, script: Script, size: int) -> None:
        one = open_socket(script)
        for call in (one.check, one.send):
            with pytest.raises(PduError):
                call(bytes(size))
        assert (script.tries, script.looks, one.sending) == (0, 0, False)

    def test_why_it_can_never_be_sent(self, script: Script) -> None:
        one = open_socket(script, maximum_pdu=5000)
        with pytest.raises(PduError, match=r"^a PDU has at least one byte$"):
            one.check(b"")
        one.check(bytes(5000))
        with pytest.raises(
            PduError,
            match=r"^a PDU has at most 5000 bytes here, not 5001 \(max_pdu_size= of a UserNetwork"
            r" or of open_isotp\(\), or the parameter of the kernel's can-isotp\)$",
        ):
            one.check(bytes(5001))

    def test_to_all_single_frames_alone_are_sent(self, script: Script) -> None:
        one = open_socket(script, TO_ALL)
        one.check(PDU)
        script.always = errno.EINVAL
        with pytest.raises(
            PduError,
            match=r"^20 bytes do not fit into a single frame, and a functional address takes no"
            r" other: broadcast_segmented=True sends them all the same$",
        ):
            one.send(PDU)
        assert (script.tries, one.sending, one.errors) == (1, False, 0)

    def test_to_one_node_alone_nothing_is_said_of_functional_addresses(
        self, script: Script
    ) -> None:
        # So it is where can-isotp was loaded by this very socket, with a lower max_pdu_size.
        one = open_socket(script)
        script.always = errno.EINVAL
        with pytest.raises(PduError, match="5000 bytes") as caught:
            one.send(bytes(5000))
        assert "functional" not in str(caught.value)

    @pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
    def test_no_room(self, script: Script, number: int) -> None:
        one = open_socket(script)
        script.always = number
        with pytest.raises(BlockingIOError) as caught:
            one.send(PDU)
        assert caught.value.errno == number
        assert (script.tries, one.sending, one.errors) == (1, False, 0)

    @pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.ENXIO])
    def test_without_an_interface(self, script: Script, number: int) -> None:
        one = open_socket(script)
        script.always = number
        with pytest.raises(InterfaceRemovedError, match="can0 has been removed") as caught:
            one.send(PDU)
        assert caught.value.errno == errno.ENODEV
        assert (script.tries, one.sending) == (1, False)

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EIO, errno.ENOMEM])
    def test_another_refusal(self, script: Script, number: int) -> None:
        one = open_socket(script)
        script.always = number
        with pytest.raises(CanOSError, match=os.strerror(number)) as caught:
            one.send(PDU)
        assert (caught.value.errno, caught.value.interface) == (number, "can0")
        assert (script.tries, one.sending) == (1, False)

    def test_a_link_that_is_down_refuses_the_second_time(self, script: Script) -> None:
        one = open_socket(script)
        told = Told(one)
        script.always = errno.ENETDOWN
        with pytest.raises(
            InterfaceDownError, match=r"^\[Errno 100\] can0 is down, the PDU was not sent \(mend"
        ):
            one.send(PDU)
        assert (script.tries, told.kinds) == (2, [InterfaceDownError])
        assert (one.errors, one.sending) == (1, False)

    def test_a_link_that_was_down_does_not_refuse(self, script: Script) -> None:
        one = open_socket(script)
        told = Told(one)
        script.answers.append(errno.ENETDOWN)
        one.send(PDU)
        assert (script.sent, told.kinds) == ([PDU], [InterfaceDownError])
        assert one.sent()
        assert (one.errors, one.pdus_sent) == (1, 1)

    def test_once_that_was_told_it_refuses_the_first_time(self, script: Script) -> None:
        one = open_socket(script)
        told = Told(one)
        script.failures.append(errno.ENETDOWN)
        assert outcome(one.receive) is InterfaceDownError
        script.always = errno.ENETDOWN
        for tries in (1, 2):
            assert outcome(lambda: one.send(PDU)) is InterfaceDownError
            assert script.tries == tries
        assert (told.kinds, one.errors) == ([], 1)

    def test_other_errors_in_between_do_not_change_that(self, script: Script) -> None:
        one = open_socket(script)
        told = Told(one)
        script.answers += [errno.ENETDOWN, errno.EILSEQ, errno.ENETDOWN]
        assert outcome(lambda: one.send(PDU)) is InterfaceDownError
        assert (told.kinds, one.errors) == ([InterfaceDownError, SequenceError], 2)

    def test_each_time_that_it_went_down_is_told(self, script: Script) -> None:
        one = open_socket(script)
        told = Told(one)
        script.failures.append(errno.ENETDOWN)
        assert outcome(one.receive) is InterfaceDownError
        script.pending = errno.ENETDOWN  # and it came back twice
        one.send(PDU)
        assert (script.sent, told.kinds) == ([PDU], [InterfaceDownError])
        assert one.sent()
        # Since a PDU was taken in between, the next one is of the past again.
        script.answers.append(errno.ENETDOWN)
        one.send(PDU)
        assert (len(script.sent), told.kinds) == (2, [InterfaceDownError] * 2)
        assert one.errors == 3

    def test_what_else_waits_when_it_was_down_is_told_too(self, script: Script) -> None:
        one = open_socket(script)
        told = Told(one)
        script.failures.append(errno.ENETDOWN)
        assert outcome(one.receive) is InterfaceDownError
        script.pending = errno.EILSEQ
        one.send(PDU)
        assert (script.sent, told.kinds, one.errors) == ([PDU], [SequenceError], 2)

    @pytest.mark.parametrize(
        ("number", "kinds"),
        [
            *((number, [kind]) for number, kind in PASSED_ON),
            *((number, []) for number, _ in KEPT),
            (errno.EBADMSG, [PaddingError]),
        ],
    )
    def test_an_error_from_before_does_not_refuse(
        self, script: Script, number: int, kinds: list[type[CanOSError]]
    ) -> None:
        one = open_socket(script)
        told = Told(one)
        script.answers.append(number)
        one.send(PDU)
        assert (script.tries, script.sent, told.kinds) == (2, [PDU], kinds)
        assert one.sent()
        assert (one.errors, one.pdus_sent) == (1, 1)

    def test_removal_is_told_on_both_sides(self, script: Script) -> None:
        one = open_socket(script)
        told = Told(one)
        script.answers.append(errno.ENODEV)
        script.always = errno.EADDRNOTAVAIL
        assert outcome(lambda: one.send(PDU)) is InterfaceRemovedError
        assert told.kinds == [InterfaceRemovedError]
        assert not one.sending

    def test_what_is_told_before_anybody_listens_is_ignored(self, script: Script) -> None:
        one = open_socket(script)
        script.answers.append(errno.EILSEQ)
        one.send(PDU)
        assert script.sent == [PDU]

    def test_frames_that_the_link_has_become_too_small_for_are_refused(
        self, script: Script
    ) -> None:
        # can_send() says so where the MTU was lowered, while the link was down, and stays with it.
        one = open_socket(script, fd=True)
        script.always, script.mtu = errno.EMSGSIZE, 16
        with pytest.raises(FrameNotSupportedError, match="takes no CAN FD frames"):
            one.send(PDU)


class TestClosing:
    def test_the_counters_stay(self, script: Script) -> None:
        one = open_socket(script)
        script.waiting.append((b"\1", 0))
        one.receive()
        script.drops = 3
        assert one.close() is None
        assert (script.closed, one.fd) == (1, -1)
        script.refused["meminfo"] = errno.EBADF
        assert (one.received, one.dropped) == (1, 3)

    def test_what_is_left_to_be_done_is_given(self, script: Script) -> None:
        one = open_socket(script)
        done: list[int] = []
        script.rest = lambda: done.append(1)
        rest = one.close()
        assert rest is script.rest
        assert done == []
