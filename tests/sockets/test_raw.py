"""Raw sockets on a user-space network."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Any

import pytest

from anycan.exceptions import (
    FilterError,
    FrameNotSupportedError,
    InterfaceDownError,
    InterfaceRemovedError,
    UnknownInterfaceError,
)
from anycan.filter import CanFilter, Filter, FilterIndex, byte
from anycan.frame import AnyFrame, ErrorClass, ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.network.user import UserNetwork
from anycan.sockets.raw import RECEIVE_BATCH, SEND_BATCH, RawSocket
from anycan.sockets.raw_options import RawOptions
from anycan.wire.options import VcidOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anycan.filter import Sieve

    Open = Callable[..., RawSocket]


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork(clock=lambda: 42) as network:
        for name in ("vcan0", "vcan1"):
            network.add_vcan(name, mtu=2060)
        yield network


@pytest.fixture
def open_socket(network: UserNetwork) -> Iterator[Open]:
    opened: list[RawSocket] = []

    def open_one(interface: str | int | None = "vcan0", **options: Any) -> RawSocket:
        opened.append(RawSocket(network, interface, RawOptions(**options)))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


class TestOptions:
    def test_can_xl_needs_can_fd(self) -> None:
        with pytest.raises(ValueError, match="CAN XL frames takes CAN FD too: leave fd=True"):
            RawOptions(fd=False, xl=True)

    def test_virtual_networks_need_can_xl(self) -> None:
        with pytest.raises(ValueError, match=r"vcid= is for CAN XL frames: it needs xl=True"):
            RawOptions(vcid=VcidOptions())
        assert RawOptions(vcid=VcidOptions(), xl=True).vcid == VcidOptions()

    def test_stamps_come_from_one_of_two_clocks(self) -> None:
        clock: Any = "wall"
        with pytest.raises(ValueError, match='timestamps= is "software" or "hardware", not'):
            RawOptions(timestamps=clock)

    @pytest.mark.parametrize("name", ["receive_buffer", "send_buffer"])
    @pytest.mark.parametrize("size", [0, -1, 2**31])
    def test_a_buffer_of_no_such_size(self, name: str, size: Any) -> None:
        with pytest.raises(ValueError, match=f"{name}= is 1 to 2147483647 bytes, not {size}"):
            RawOptions(**{name: size})

    @pytest.mark.parametrize("name", ["receive_buffer", "send_buffer"])
    def test_a_buffer_whose_size_is_no_number(self, name: str) -> None:
        size: Any = 1.5
        with pytest.raises(TypeError, match=f"{name}= is a number of bytes, not 1.5"):
            RawOptions(**{name: size})

    @pytest.mark.parametrize("interface", [1.0, True, b"vcan0"])
    def test_an_interface_that_is_neither_name_nor_index(
        self, open_socket: Open, interface: Any
    ) -> None:
        with pytest.raises(TypeError, match="an interface is its name, its index or None, not"):
            open_socket(interface)

    @pytest.mark.parametrize("classes", [-1, 0x20000000])
    def test_error_classes_out_of_range(self, open_socket: Open, classes: int) -> None:
        words = f"error classes are 0 to 0x1FFFFFFF, not {classes:#x}"
        with pytest.raises(FilterError, match=words):
            open_socket(errors=classes)
        with pytest.raises(FilterError, match=words):
            open_socket().set_errors(classes)

    def test_too_many_filters(self, open_socket: Open) -> None:
        many = [CanFilter(number, 0x7FF) for number in range(513)]
        with pytest.raises(FilterError, match="513 kernel filters"):
            open_socket(filters=many)
        socket = open_socket(filters=Filter.id(1))
        with pytest.raises(FilterError, match="513 kernel filters"):
            socket.set_filters(many)
        open_socket().send([Frame(1), Frame(2)])
        assert socket.receive() == [Frame(1)]


class TestInterface:
    def test_by_name_and_by_index(self, network: UserNetwork, open_socket: Open) -> None:
        index = network.interface_index("vcan1")
        for interface in ("vcan1", index):
            socket = open_socket(interface)
            assert (socket.index, socket.interface) == (index, "vcan1")

    def test_all(self, open_socket: Open) -> None:
        socket = open_socket(None)
        assert (socket.index, socket.interface) == (0, None)

    @pytest.mark.parametrize(
        ("interface", "words"),
        [("vcan7", "there is no interface vcan7"), (77, "there is no interface of index 77")],
    )
    def test_none_such(self, open_socket: Open, interface: str | int, words: str) -> None:
        with pytest.raises(UnknownInterfaceError, match=words) as caught:
            open_socket(interface)
        assert caught.value.errno == errno.ENODEV


class TestReceive:
    def test_every_kind_of_frame(self, network: UserNetwork, open_socket: Open) -> None:
        frames: list[AnyFrame] = [
            Frame(0x123, b"\x01"),
            RemoteFrame(0x12345678, 3),
            FdFrame(0x123, bytes(12)),
            XlFrame(0x123, bytes(4)),
            XlFrame(0x123, bytes(2000)),
        ]
        socket = open_socket(xl=True, errors=ErrorClass.ALL)
        assert open_socket(xl=True).send(frames) == 5
        network.inject("vcan0", ErrorFrame(ErrorClass.BUS_OFF))
        received = socket.receive()
        assert received == [*frames, ErrorFrame(ErrorClass.BUS_OFF)]
        assert {frame.interface for frame in received} == {"vcan0"}
        assert {frame.timestamp_ns for frame in received} == {42}
        assert [frame.local for frame in received] == [True] * 5 + [False]
        assert (socket.received, socket.malformed) == (6, 0)

    def test_nothing_waits(self, open_socket: Open) -> None:
        with pytest.raises(BlockingIOError):
            open_socket().receive()

    def test_batches_are_bounded(self, open_socket: Open) -> None:
        socket, sender = open_socket(), open_socket()
        sent = RECEIVE_BATCH + 5
        for start in range(0, sent, 50):
            sender.send([Frame(number) for number in range(start, min(start + 50, sent))])
        assert [len(socket.receive()) for _ in range(2)] == [RECEIVE_BATCH, 5]
        assert socket.received == sent == sender.sent

    def test_of_all_interfaces_each_frame_says_its_own(self, open_socket: Open) -> None:
        socket = open_socket(None)
        for name in ("vcan0", "vcan1", "vcan0"):
            open_socket(name).send([Frame(1)])
        assert [frame.interface for frame in socket.receive()] == ["vcan0", "vcan1", "vcan0"]

    def test_classical_frames_alone(self, open_socket: Open) -> None:
        socket = open_socket(fd=False)
        open_socket(xl=True).send([FdFrame(1), XlFrame(1, b"x"), Frame(2)])
        assert socket.receive() == [Frame(2)]

    def test_own_frames_and_loopback(self, open_socket: Open) -> None:
        own, silent, other = (
            open_socket(receive_own=True),
            open_socket(loopback=False),
            open_socket(),
        )
        own.send([Frame(1)])
        silent.send([Frame(2)])
        (received,) = own.receive()
        assert (received.local, received.own) == (True, True)
        (received,) = other.receive()
        assert (received, received.own) == (Frame(1), False)

    def test_filters(self, open_socket: Open) -> None:
        sender = open_socket()
        chosen = open_socket(filters=Filter.id(1) | Filter.id(3))
        kernel_form = open_socket(filters=[CanFilter(2, 0x7FF), CanFilter(3, 0x7FF)])
        joined = open_socket(filters=[CanFilter(0, 1), CanFilter(0, 2)], join_filters=True)
        none = open_socket(filters=Filter.none())
        sender.send([Frame(number) for number in range(5)])
        assert chosen.receive() == [Frame(1), Frame(3)]
        assert kernel_form.receive() == [Frame(2), Frame(3)]
        assert joined.receive() == [Frame(0), Frame(4)]
        with pytest.raises(BlockingIOError):
            none.receive()
        none.set_filters(None)
        chosen.set_filters(Filter.id(4))
        sender.send([Frame(number) for number in range(5)])
        assert none.receive() == [Frame(number) for number in range(5)]
        assert chosen.receive() == [Frame(4)]

    def test_error_classes(self, network: UserNetwork, open_socket: Open) -> None:
        socket = open_socket(filters=Filter.none(), errors=ErrorClass.BUS_OFF)
        both = [ErrorFrame(ErrorClass.BUS_OFF), ErrorFrame(ErrorClass.NO_ACK)]
        for frame in both:
            network.inject("vcan0", frame)
        assert socket.receive() == both[:1]
        socket.set_errors(ErrorClass.ALL)
        for frame in both:
            network.inject("vcan0", frame)
        assert socket.receive() == both
        socket.set_errors(0)
        network.inject("vcan0", both[0])
        with pytest.raises(BlockingIOError):
            socket.receive()

    def test_a_link_that_goes_down_and_comes_back(
        self, network: UserNetwork, open_socket: Open
    ) -> None:
        socket, sender = open_socket(), open_socket()
        network.set_down("vcan0")
        with pytest.raises(InterfaceDownError, match="vcan0 is down; receiving goes on"):
            socket.receive()
        with pytest.raises(BlockingIOError):
            socket.receive()
        with pytest.raises(InterfaceDownError):
            sender.receive()
        network.set_up("vcan0")
        sender.send([Frame(1)])
        assert socket.receive() == [Frame(1)]

    def test_an_interface_that_is_removed(self, network: UserNetwork, open_socket: Open) -> None:
        socket = open_socket()
        network.remove("vcan0")
        with pytest.raises(InterfaceRemovedError, match="vcan0 has been removed") as caught:
            socket.receive()
        assert caught.value.interface == "vcan0"

    def test_what_is_lost_is_counted(self, open_socket: Open) -> None:
        socket, sender = open_socket(receive_buffer=1), open_socket()
        sender.send([Frame(number) for number in range(SEND_BATCH)])
        kept = len(socket.receive())
        assert 0 < kept < SEND_BATCH
        assert socket.dropped == SEND_BATCH - kept
        socket.close()
        assert socket.dropped == SEND_BATCH - kept


class TestSend:
    def test_a_batch_is_bounded(self, open_socket: Open) -> None:
        socket = open_socket()
        assert socket.send([Frame(1)] * (SEND_BATCH + 1)) == SEND_BATCH
        assert socket.send([Frame(1)]) == 1
        assert socket.sent == SEND_BATCH + 1

    @pytest.mark.parametrize("by_index", [False, True])
    def test_to_an_interface(self, network: UserNetwork, open_socket: Open, by_index: bool) -> None:
        name = "vcan1"
        receiver, sender = open_socket(name), open_socket(None)
        for _ in range(2):
            sender.send([Frame(1)], network.interface_index(name) if by_index else name)
            assert receiver.receive() == [Frame(1)]

    def test_from_all_interfaces_a_frame_goes_where_it_came_from(self, open_socket: Open) -> None:
        socket, receivers = open_socket(None), [open_socket("vcan0"), open_socket("vcan1")]
        frames = [
            Frame(number, interface=f"vcan{place}") for number, place in enumerate([1, 1, 0, 1])
        ]
        assert socket.send(frames) == 2
        assert receivers[1].receive() == frames[:2]
        assert socket.send(frames[2:]) == 1
        assert receivers[0].receive() == frames[2:3]

    def test_from_all_interfaces_to_none(self, open_socket: Open) -> None:
        with pytest.raises(UnknownInterfaceError, match="for all interfaces") as caught:
            open_socket(None).send([Frame(1)])
        assert caught.value.errno == errno.ENXIO

    def test_to_an_interface_that_comes_back_under_another_index(
        self, network: UserNetwork, open_socket: Open
    ) -> None:
        sender = open_socket(None)
        sender.send([Frame(1)], "vcan1")
        network.remove("vcan1")
        for _ in range(2):
            with pytest.raises(UnknownInterfaceError, match="there is no interface vcan1"):
                sender.send([Frame(1)], "vcan1")
        network.add_vcan("vcan1")
        receiver = open_socket("vcan1")
        assert sender.send([Frame(2)], "vcan1") == 1
        assert receiver.receive() == [Frame(2)]

    @pytest.mark.parametrize(
        ("frame", "options", "mtu", "words"),
        [
            (FdFrame(1), {"fd": False}, 72, "opened without CAN FD: open it with fd=True"),
            (
                FdFrame(1),
                {},
                16,
                "link0 takes no CAN FD frames (MTU 16); while it is down: set_mtu('link0', 72)",
            ),
            (XlFrame(1, b"x"), {}, 2060, "opened without CAN XL: open it with xl=True"),
            (
                XlFrame(1, b"x"),
                {"xl": True},
                72,
                "link0 takes no CAN XL frames (MTU 72); while it is down: set_mtu('link0', 2060)",
            ),
            (
                XlFrame(1, bytes(2000)),
                {"xl": True},
                100,
                "link0 takes no CAN XL frame of 2000 bytes (MTU 100)",
            ),
        ],
    )
    def test_what_cannot_be_sent_and_why(
        self,
        network: UserNetwork,
        open_socket: Open,
        frame: AnyFrame,
        options: dict[str, Any],
        mtu: int,
        words: str,
    ) -> None:
        network.add_vcan("link0", mtu=mtu)
        for interface, target in (("link0", None), (None, "link0")):
            with pytest.raises(FrameNotSupportedError, match=re.escape(words)) as caught:
                open_socket(interface, **options).send([frame], target)
            too_long = len(frame.data) > mtu
            assert caught.value.errno == (errno.EMSGSIZE if too_long else errno.EINVAL)
            assert caught.value.interface == "link0"

    def test_a_virtual_network_set_by_the_socket(self, open_socket: Open) -> None:
        receiver, other = open_socket(xl=True, vcid=VcidOptions(receive=5)), open_socket(xl=True)
        open_socket(xl=True, vcid=VcidOptions(transmit=5)).send([XlFrame(1, b"x")])
        open_socket(xl=True).send([XlFrame(2, b"x", vcid=5)])  # the kernel clears it
        assert receiver.receive() == [XlFrame(1, b"x", vcid=5)]
        assert other.receive() == [XlFrame(2, b"x")]

    def test_onto_a_link_that_is_down(self, network: UserNetwork, open_socket: Open) -> None:
        socket = open_socket()
        network.set_down("vcan0")
        with pytest.raises(InterfaceDownError, match="vcan0 is down, the frame was not sent"):
            socket.send([Frame(1)])
        assert socket.sent == 0

    def test_a_full_queue(self, network: UserNetwork, open_socket: Open) -> None:
        network.add_vcan("slow0", transmit_queue=2)
        socket = open_socket("slow0")
        assert socket.send([Frame(1), Frame(2), Frame(3)]) == 2
        with pytest.raises(BlockingIOError) as caught:
            socket.send([Frame(3)])
        assert caught.value.errno == errno.ENOBUFS
        network.release("slow0")
        assert socket.send([Frame(3)]) == 1

    def test_a_full_send_buffer(self, network: UserNetwork, open_socket: Open) -> None:
        network.add_vcan("slow0", transmit_queue=1000)
        socket = open_socket("slow0")
        taken = socket.send([Frame(1)] * SEND_BATCH)
        assert 0 < taken < SEND_BATCH
        with pytest.raises(BlockingIOError) as caught:
            socket.send([Frame(1)])
        assert caught.value.errno == errno.EAGAIN


class TestRest:
    """Filters that the kernel cannot match whole: what is left is matched here."""

    @staticmethod
    def frames() -> list[AnyFrame]:
        return [Frame(number, bytes([value])) for value in (1, 2) for number in (5, 6)]

    def test_what_is_left_is_counted_apart(self, open_socket: Open) -> None:
        socket, sender = open_socket(filters=Filter.id(5) & (byte(0) == 1)), open_socket()
        for rounds in (1, 2):
            sender.send(self.frames())
            assert socket.receive() == [Frame(5, b"\1")]
            assert socket.last_count == 2  # the kernel has let no 6 through
            assert (socket.received, socket.filtered, socket.malformed) == (rounds, rounds, 0)
            assert socket._sieve is not None
            assert (socket._sieve.targets, socket._sieve.refused) == ([], 0)

    def test_nothing_of_a_batch_is_wanted(self, open_socket: Open) -> None:
        socket, sender = open_socket(filters=byte(0) == 3), open_socket()
        sender.send(self.frames())
        assert socket.receive() == []
        assert (socket.received, socket.filtered) == (0, 4)
        with pytest.raises(BlockingIOError):
            socket.receive()
        assert (socket.received, socket.filtered) == (0, 4)

    def test_kinds_and_interfaces_are_left_too(self, open_socket: Open) -> None:
        kinds = open_socket(filters=Filter.fd())
        interfaces = open_socket(None, filters=Filter.interface("vcan1"))
        for name in ("vcan0", "vcan1"):
            open_socket(name).send([Frame(1), FdFrame(2)])
        assert kinds.receive() == [FdFrame(2)]
        assert (kinds.received, kinds.filtered) == (1, 1)
        received = interfaces.receive()
        assert [(frame, frame.interface) for frame in received] == [
            (Frame(1), "vcan1"),
            (FdFrame(2), "vcan1"),
        ]
        assert (interfaces.received, interfaces.filtered) == (2, 2)

    def test_more_identifiers_than_a_socket_takes(self, open_socket: Open) -> None:
        # Each a filter of its own: no two of them make a block.
        numbers = range(0, 1028, 2)
        wanted = [Filter.id(number, extended=number % 3 == 0) for number in numbers]
        socket, sender = open_socket(filters=wanted), open_socket()
        some: list[AnyFrame] = [
            Frame(number, extended=extended) for number in range(16) for extended in (False, True)
        ]
        sender.send(some)
        assert socket.filters.kernel is not None
        assert len(socket.filters.kernel) <= 512
        assert socket.receive() == [
            frame for frame in some if any(one.matches(frame) for one in wanted[:8])
        ]
        assert socket.received == 8
        # How many the kernel lets through beside them is its filters' affair.
        assert socket.received + socket.filtered == socket.last_count <= 32

    def test_a_function_is_asked_last_and_given_the_frame(self, open_socket: Open) -> None:
        seen: list[AnyFrame] = []

        def note(frame: AnyFrame) -> bool:
            seen.append(frame)
            return frame.data == b"\2"

        socket, sender = open_socket(filters=Filter.id(5) & Filter.where(note)), open_socket()
        sender.send(self.frames())
        (received,) = socket.receive()
        assert received == Frame(5, b"\2")
        assert seen == [Frame(5, b"\1"), Frame(5, b"\2")]
        assert seen[1] is received

    def test_a_function_that_raises_does_not_come_out_of_the_reader(
        self, open_socket: Open
    ) -> None:
        socket, sender = (
            open_socket(filters=Filter.where(lambda frame: 1 / frame.id)),
            open_socket(),
        )
        sender.send([Frame(0), Frame(1)])
        assert socket.receive() == [Frame(1)]
        assert (socket.received, socket.filtered) == (1, 1)

    @pytest.mark.parametrize("interface", ["vcan0", None])
    def test_a_function_that_raises_is_told_of_once(
        self, open_socket: Open, caplog: pytest.LogCaptureFixture, interface: str | None
    ) -> None:
        wanted = Filter.where(lambda frame: 1 / frame.id)
        socket, sender = open_socket(interface, filters=wanted), open_socket()
        for _ in range(3):
            sender.send([Frame(0, b"\1"), Frame(0, b"\2"), Frame(1)])
            assert socket.receive() == [Frame(1)]
        assert (socket.received, socket.filtered) == (3, 6)
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("anycan.sockets", "ERROR")
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], ZeroDivisionError)
        assert record.getMessage() == (
            f"{interface or 'all interfaces'}: a filter's function failed, and the frame is not"
            " received (more of the same is not logged): ZeroDivisionError: division by zero,"
            " called with 000#01"
        )
        other = open_socket(interface, filters=wanted)
        sender.send([Frame(0)])
        assert other.receive() == []
        assert len(caplog.records) == 2  # once for each socket

    def test_filters_change_between_both_kinds(self, open_socket: Open) -> None:
        socket, sender = open_socket(filters=byte(0) == 1), open_socket()
        for filters, expected, filtered in (
            (Filter.id(5), [Frame(5, b"\1"), Frame(5, b"\2")], 0),
            (Filter.id(6) & (byte(0) == 2), [Frame(6, b"\2")], 1),
            (None, self.frames(), 1),
            (byte(0) == 1, [Frame(5, b"\1"), Frame(6, b"\1")], 3),
        ):
            socket.set_filters(filters)
            sender.send(self.frames())
            assert socket.receive() == expected
            assert socket.filtered == filtered

    def test_a_frame_that_waits_is_matched_by_the_filters_of_the_moment(
        self, open_socket: Open
    ) -> None:
        socket, sender = open_socket(filters=byte(0) == 1), open_socket()
        sender.send(self.frames())
        socket.set_filters(byte(0) == 2)
        assert socket.receive() == [Frame(5, b"\2"), Frame(6, b"\2")]

    def test_filters_that_are_refused_change_nothing(self, open_socket: Open) -> None:
        socket, sender = open_socket(filters=byte(0) == 1), open_socket()
        before = socket.filters
        with pytest.raises(FilterError, match="513 kernel filters"):
            socket.set_filters([CanFilter(number, 0x7FF) for number in range(513)])
        with pytest.raises(FilterError, match="error classes are"):
            socket.set_errors(-1)
        assert socket.filters is before
        sender.send(self.frames())
        assert socket.receive() == [Frame(5, b"\1"), Frame(6, b"\1")]

    @pytest.mark.parametrize(
        ("filters", "numbers"),
        [
            ([Filter.id(5), CanFilter(6, 0x7FF)], [5, 6, 5, 6]),
            ([Filter.id(5) & (byte(0) == 1), CanFilter(6, 0x7FF)], [5, 6, 6]),
        ],
    )
    def test_filters_from_an_iterator(
        self, network: UserNetwork, open_socket: Open, filters: list[Any], numbers: list[int]
    ) -> None:
        opened, changed = open_socket(filters=iter(filters)), open_socket()
        changed.set_filters(iter(filters))
        for socket in (opened, changed):
            socket.set_errors(ErrorClass.BUS_OFF)  # the filters are gone through once more
        open_socket().send([*self.frames(), Frame(7)])
        network.inject("vcan0", ErrorFrame(ErrorClass.BUS_OFF))
        for socket in (opened, changed):
            *data, error = socket.receive()
            assert [frame.id for frame in data] == numbers
            assert error == ErrorFrame(ErrorClass.BUS_OFF)


class TestErrorFilters:
    """Error frames that filters name."""

    BOTH = (ErrorFrame(ErrorClass.BUS_OFF), ErrorFrame(ErrorClass.NO_ACK))

    def inject(self, network: UserNetwork) -> None:
        for frame in self.BOTH:
            network.inject("vcan0", frame)

    @pytest.mark.parametrize(
        "filters",
        [
            Filter.errors(ErrorClass.BUS_OFF),
            Filter.errors(ErrorClass.BUS_OFF) | Filter.id(1),
            Filter.errors(ErrorClass.BUS_OFF) | (byte(0) == 1),
            [Filter.errors(ErrorClass.BUS_OFF), CanFilter(1, 0x7FF)],
        ],
    )
    def test_they_are_turned_on(
        self, network: UserNetwork, open_socket: Open, filters: Any
    ) -> None:
        socket, changed = open_socket(filters=filters), open_socket()
        changed.set_filters(filters)
        self.inject(network)
        assert socket.receive() == [self.BOTH[0]] == changed.receive()
        changed.set_filters(Filter.id(1))
        self.inject(network)
        with pytest.raises(BlockingIOError):
            changed.receive()

    @pytest.mark.parametrize("rest", [False, True])
    def test_beside_those_that_were_asked_for(
        self, network: UserNetwork, open_socket: Open, rest: bool
    ) -> None:
        named = Filter.errors(ErrorClass.BUS_OFF)
        filters = named | (byte(0) == 1) if rest else named
        socket = open_socket(filters=filters, errors=ErrorClass.NO_ACK)
        self.inject(network)
        assert tuple(socket.receive()) == self.BOTH
        socket.set_errors(0)  # those that filters name stay
        self.inject(network)
        assert socket.receive() == [self.BOTH[0]]
        socket.set_errors(ErrorClass.NO_ACK)
        socket.set_filters(Filter.id(1))  # those that were asked for stay
        self.inject(network)
        assert socket.receive() == [self.BOTH[1]]

    def test_more_is_asked_of_them(self, network: UserNetwork, open_socket: Open) -> None:
        socket = open_socket(None, filters=Filter.errors() & Filter.interface("vcan1"))
        for name in ("vcan0", "vcan1"):
            network.inject(name, self.BOTH[0])
        (received,) = socket.receive()
        assert received.interface == "vcan1"
        assert (socket.received, socket.filtered) == (1, 1)


class TestKernelFilters:
    """Filters that the kernel is given for another one's sake: a router's."""

    def test_they_change_what_comes_and_not_what_is_wanted(
        self, network: UserNetwork, open_socket: Open
    ) -> None:
        socket, sender = open_socket(filters=Filter.id(1)), open_socket()
        wanted = socket.filters
        probe: list[AnyFrame] = [Frame(number) for number in range(4)]
        for filters, expected in (
            ((CanFilter(2, 0x7FE),), probe[2:]),
            ((), []),
            (None, probe),
        ):
            socket.set_kernel_filters(filters, 0)
            sender.send(probe)
            if expected:
                assert socket.receive() == expected
            else:
                with pytest.raises(BlockingIOError):
                    socket.receive()
        assert socket.filters is wanted
        error = ErrorFrame(ErrorClass.BUS_OFF)
        for classes in (0, ErrorClass.BUS_OFF, 0):
            socket.set_kernel_filters((), classes)
            network.inject("vcan0", error)
            if classes:
                assert socket.receive() == [error]
        with pytest.raises(BlockingIOError):
            socket.receive()

    def test_too_many(self, open_socket: Open) -> None:
        socket = open_socket(filters=Filter.id(1))
        with pytest.raises(FilterError, match="513 kernel filters"):
            socket.set_kernel_filters(tuple(CanFilter(one, 0x7FF) for one in range(513)), 0)
        open_socket().send([Frame(1), Frame(2)])
        assert socket.receive() == [Frame(1)]


class TestReceiveThrough:
    """Receiving for another one, who says what is taken."""

    @staticmethod
    def sieve(*wanted: Filter) -> Sieve[int]:
        index: FilterIndex[int] = FilterIndex()
        for taker, one in enumerate(wanted):
            index.add(one, taker)
        return index.sieve()

    def test_what_is_taken_and_by_whom(self, open_socket: Open) -> None:
        socket, sender = open_socket(), open_socket()
        sieve = self.sieve(Filter.id(1), Filter.range(1, 2))
        sender.send([Frame(number) for number in range(4)])
        assert socket.receive_through(sieve, 128) == [Frame(1), Frame(2)]
        assert (sieve.targets, sieve.refused) == ([(0, 1), (1,)], 2)
        # The caller counts what nobody took.
        assert (socket.received, socket.filtered, socket.malformed) == (2, 0, 0)

    def test_no_more_messages_are_read_than_the_limit(self, open_socket: Open) -> None:
        socket, sender = open_socket(), open_socket()
        sieve = self.sieve(Filter.mask(0, 1))
        frames = [Frame(number) for number in range(10)]
        sender.send(frames)
        found = []
        for limit, count in ((1, 1), (3, 3), (2, 2), (1000, 4)):
            found.append([frame.id for frame in socket.receive_through(sieve, limit)])
            assert socket.last_count == count  # also those that nobody took
        assert found == [[0], [2], [4], [6, 8]]
        assert sieve.refused == 5
        with pytest.raises(BlockingIOError):
            socket.receive_through(sieve, 1)

    def test_a_limit_holds_for_one_call(self, network: UserNetwork, open_socket: Open) -> None:
        socket, sender = open_socket(), open_socket()
        sieve = self.sieve(Filter.all())
        sender.send([Frame(1)] * 6)
        sender.send([Frame(1)] * RECEIVE_BATCH)
        assert len(socket.receive_through(sieve, 4)) == 4
        assert len(socket.receive()) == RECEIVE_BATCH
        network.set_down("vcan0")
        with pytest.raises(InterfaceDownError):
            socket.receive_through(sieve, 1)
        assert len(socket.receive()) == 2  # nor does a failed call leave one

    def test_the_sockets_own_filters_are_another_matter(self, open_socket: Open) -> None:
        # What a router hands on has the endpoint's filters in it.
        socket, sender = open_socket(filters=byte(0) == 1), open_socket()
        sieve = self.sieve(Filter.all())
        sender.send([Frame(1, b"\2")])
        assert socket.receive_through(sieve, 128) == [Frame(1, b"\2")]

    def test_refusals_of_before_do_not_count(self, open_socket: Open) -> None:
        socket, sender = open_socket(), open_socket()
        sieve = self.sieve(Filter.id(1))
        sender.send([Frame(1), Frame(2)])
        socket.receive_through(sieve, 128)
        sender.send([Frame(1), Frame(2), Frame(2)])  # the sieve is not cleared in between
        socket.receive_through(sieve, 128)
        assert sieve.refused == 3
        assert (socket.received, socket.malformed) == (2, 0)

    def test_errors(self, network: UserNetwork, open_socket: Open) -> None:
        socket = open_socket()
        network.remove("vcan0")
        with pytest.raises(InterfaceRemovedError, match="vcan0 has been removed"):
            socket.receive_through(self.sieve(Filter.all()), 128)


def test_a_closed_socket_keeps_its_counters(open_socket: Open) -> None:
    socket, sender = open_socket(), open_socket()
    sender.send([Frame(1)])
    socket.receive()
    for one in (socket, sender):
        one.close()
        one.close()
    assert (socket.received, sender.sent, socket.dropped) == (1, 1, 0)
