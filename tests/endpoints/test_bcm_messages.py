"""What a user asks of the broadcast manager: the messages made of it, and what is refused."""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any

import pytest

from anycan.endpoints.bcm_messages import (
    Cycle,
    answer_message,
    check_count,
    check_sent,
    cyclic_status,
    identifier_word,
    shown_identifier,
    to_interval,
    watch_message,
)
from anycan.endpoints.bcm_values import Changed, CyclicStatus, Multiplex, TimedOut
from anycan.exceptions import OperationError
from anycan.frame import ErrorFrame, FdFrame, Frame, RemoteFrame, XlFrame
from anycan.wire.bcm import BcmMessage, BcmOpcode, Interval

if TYPE_CHECKING:
    from anycan.endpoints.bcm_values import BcmEvent
    from anycan.frame import AnyFrame

TX_SETUP, TX_DELETE, TX_READ = BcmOpcode.TX_SETUP, BcmOpcode.TX_DELETE, BcmOpcode.TX_READ
DAYS_400 = 400 * 86_400
FULL = b"\xff" * 8

RANGE = "is a time in seconds, from a microsecond to 400 days;"


def can(word: int, data: bytes = b"") -> bytes:
    return struct.pack("=IB3x8s", word, len(data), data)


def canfd(word: int, data: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("=IBBxx64s", word, len(data), flags, data)


def whole(text: str) -> str:
    """Give a pattern for that text and no other."""
    return f"^{re.escape(text)}$"


def fields(message: BcmMessage) -> tuple[int, int, int, Interval, Interval, int, int]:
    """Give the head as numbers."""
    return (
        int(message.opcode),
        int(message.flags),
        message.count,
        message.interval1,
        message.interval2,
        message.can_id,
        message.frame_count,
    )


ZERO = Interval()


class TestCount:
    @pytest.mark.parametrize("count", [None, 1, 7, 2**32 - 1])
    def test_those_that_can_be(self, count: int | None) -> None:
        assert check_count(count) == count

    @pytest.mark.parametrize("count", [0, -1, 2**32, 10**30])
    def test_out_of_range(self, count: int) -> None:
        with pytest.raises(
            OperationError, match=whole(f"count= is 1 to 4294967295 frames, or None; not {count}")
        ):
            check_count(count)

    @pytest.mark.parametrize("count", [True, False])
    def test_a_truth_value_is_none(self, count: Any) -> None:
        with pytest.raises(TypeError, match=whole(f"count= is a number of frames, not {count}")):
            check_count(count)

    @pytest.mark.parametrize("count", [1.0, "3", b"3"])
    def test_what_is_no_integer(self, count: Any) -> None:
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            check_count(count)


class TestIntervals:
    @pytest.mark.parametrize(
        ("seconds", "interval"),
        [
            (0.01, Interval(0, 10_000)),
            (1, Interval(1, 0)),
            (1.5, Interval(1, 500_000)),
            (1e-6, Interval(0, 1)),
            (6e-7, Interval(0, 1)),
            (0.9999996, Interval(1, 0)),
            (86_400.000_001, Interval(86_400, 1)),
            (DAYS_400, Interval(DAYS_400, 0)),
        ],
    )
    def test_to_the_nearest_microsecond(self, seconds: float, interval: Interval) -> None:
        assert to_interval(seconds, "interval") == interval

    @pytest.mark.parametrize(
        "seconds", [0, 0.0, -1, -0.001, math.nan, math.inf, -math.inf, DAYS_400 + 1, 1e300]
    )
    @pytest.mark.parametrize("name", ["interval", "timeout"])
    def test_out_of_range(self, seconds: float, name: str) -> None:
        text = f"{name}= is a time in seconds, from a microsecond to 400 days; not {seconds!r}"
        with pytest.raises(OperationError, match=whole(text)):
            to_interval(seconds, name)

    @pytest.mark.parametrize("seconds", [1e-7, 4e-7, 5e-324])
    def test_too_short(self, seconds: float) -> None:
        text = f"then= is a time in seconds, from a microsecond to 400 days; not {seconds!r}"
        with pytest.raises(OperationError, match=whole(text)):
            to_interval(seconds, "then")

    @pytest.mark.parametrize("seconds", [None, "1", True, b"1", 1j])
    def test_what_is_no_time(self, seconds: Any) -> None:
        with pytest.raises(
            TypeError, match=whole(f"throttle= is a time in seconds, not {seconds!r}")
        ):
            to_interval(seconds, "throttle")


NOT_SENT: list[tuple[Any, type[Exception], str]] = [
    (XlFrame(1, b"\1"), OperationError, "the broadcast manager sends no CAN XL frames"),
    (
        ErrorFrame(1),
        OperationError,
        "an error frame cannot be sent: it is a controller's report",
    ),
    ("123#", TypeError, "not a CAN frame: '123#'"),
    (None, TypeError, "not a CAN frame: None"),
]


class TestCycle:
    @pytest.mark.parametrize("frame", [Frame(1), RemoteFrame(1), FdFrame(1)])
    def test_what_can_be_sent(self, frame: AnyFrame) -> None:
        check_sent(frame)
        assert Cycle.make(frame, 1, None, None).frames == (frame,)

    @pytest.mark.parametrize(("frame", "kind", "text"), NOT_SENT)
    def test_what_cannot(self, frame: Any, kind: type[Exception], text: str) -> None:
        with pytest.raises(kind, match=whole(text)):
            check_sent(frame)
        with pytest.raises(kind, match=whole(text)):
            Cycle.make([Frame(1), frame], 1, None, None)

    def test_frames_come_from_anything_that_can_be_iterated(self) -> None:
        frames = (Frame(1), RemoteFrame(2), Frame(3))
        assert Cycle.make(iter(frames), 1, None, None).frames == frames
        assert len(Cycle.make([Frame(1)] * 256, 1, None, None).frames) == 256

    @pytest.mark.parametrize("number", [0, 257, 1000])
    def test_too_few_or_too_many_frames(self, number: int) -> None:
        text = f"a transmission has 1 to 256 frames, not {number}"
        with pytest.raises(OperationError, match=whole(text)):
            Cycle.make([Frame(1)] * number, 1, None, None)

    @pytest.mark.parametrize("frames", [(Frame(1), FdFrame(1)), (FdFrame(1), RemoteFrame(1))])
    def test_frames_of_both_kinds(self, frames: tuple[AnyFrame, ...]) -> None:
        text = "a transmission's frames are all of CAN FD, or all of classical CAN"
        with pytest.raises(OperationError, match=whole(text)):
            Cycle.make(frames, 1, None, None)

    def test_times_are_checked(self) -> None:
        for arguments, text in (
            (
                (0, None, None),
                f"interval= {RANGE} not 0",
            ),
            ((1, 0, None), "count= is 1 to 4294967295 frames, or None; not 0"),
            ((1, 1, 0), f"then= {RANGE} not 0"),
            ((1, None, 1), "then= is the interval after count= frames: say how many"),
        ):
            with pytest.raises(OperationError, match=whole(text)):
                Cycle.make(Frame(1), *arguments)
            with pytest.raises(OperationError, match=whole(text)):
                Cycle.check_times(*arguments)
        assert Cycle.check_times(1, 2, 0.5) == (Interval(1), 2, Interval(0, 500_000))
        assert Cycle.check_times(1, None, None) == (Interval(1), None, None)

    @pytest.mark.parametrize(
        ("frame", "can_id", "flexible"),
        [
            (Frame(0x123), 0x123, False),
            (Frame(0x123, extended=True), 0x80000123, False),
            (Frame(0x12345678), 0x92345678, False),
            (RemoteFrame(0x123), 0x40000123, False),
            (RemoteFrame(0x123, extended=True), 0xC0000123, False),
            (FdFrame(0x123), 0x123, True),
            (FdFrame(0x123, extended=True), 0x80000123, True),
        ],
    )
    def test_it_is_called_by_the_first_frame(
        self, frame: AnyFrame, can_id: int, flexible: bool
    ) -> None:
        cycle = Cycle.make([frame, RemoteFrame(7) if not flexible else FdFrame(7)], 1, None, None)
        assert (cycle.can_id, cycle.flexible) == (can_id, flexible)


class TestReplacing:
    def test_by_as_many_or_fewer(self) -> None:
        cycle = Cycle.make([Frame(1, b"\1"), Frame(2)], 1, None, None)
        assert cycle.replaced(Frame(1, b"\2")) == (Frame(1, b"\2"),)
        new = (Frame(1), RemoteFrame(9))
        assert cycle.replaced(iter(new)) == new
        assert cycle.frames == (Frame(1, b"\1"), Frame(2))

    def test_by_more(self) -> None:
        cycle = Cycle.make([Frame(1), Frame(2)], 1, None, None)
        text = (
            "3 frames cannot take the place of 2: there can be as many or fewer; stop it, and set"
            " up another"
        )
        with pytest.raises(OperationError, match=whole(text)):
            cycle.replaced([Frame(1)] * 3)

    @pytest.mark.parametrize(("old", "new"), [(Frame(1), FdFrame(1)), (FdFrame(1), Frame(1))])
    def test_by_the_other_kind(self, old: AnyFrame, new: AnyFrame) -> None:
        text = "frames of CAN FD and of classical CAN cannot take each other's place"
        with pytest.raises(OperationError, match=whole(text)):
            Cycle.make(old, 1, None, None).replaced(new)

    def test_by_another_identifier(self) -> None:
        text = (
            "the first frame has the identifier 124, and the transmission goes by 123: set up"
            " another for it"
        )
        with pytest.raises(OperationError, match=whole(text)):
            Cycle.make(Frame(0x123), 1, None, None).replaced(Frame(0x124))

    @pytest.mark.parametrize("new", [Frame(0x123, extended=True), RemoteFrame(0x123)])
    def test_by_the_same_identifier_of_another_kind(self, new: AnyFrame) -> None:
        with pytest.raises(OperationError, match=r"the first frame has the identifier .*123"):
            Cycle.make(Frame(0x123), 1, None, None).replaced(new)

    @pytest.mark.parametrize(("frame", "kind", "text"), NOT_SENT)
    def test_by_what_cannot_be_sent(self, frame: Any, kind: type[Exception], text: str) -> None:
        with pytest.raises(kind, match=whole(text)):
            Cycle.make([Frame(1)] * 2, 1, None, None).replaced([Frame(1), frame])

    def test_by_none(self) -> None:
        text = "a transmission has 1 to 256 frames, not 0"
        with pytest.raises(OperationError, match=whole(text)):
            Cycle.make(Frame(1), 1, None, None).replaced([])


class TestTransmissionMessages:
    def test_for_ever(self) -> None:
        cycle = Cycle.make([Frame(0x123, b"\1\2"), RemoteFrame(0x124)], 0.01, None, None)
        message = cycle.message(TX_SETUP, 0x3)
        assert fields(message) == (1, 0x3, 0, ZERO, Interval(0, 10_000), 0x123, 2)
        assert message.frames == can(0x123, b"\1\2") + can(0x40000124)

    def test_so_many(self) -> None:
        message = Cycle.make(Frame(0x123), 0.01, 5, None).message(TX_SETUP, 0x3)
        assert fields(message) == (1, 0x7, 5, Interval(0, 10_000), ZERO, 0x123, 1)
        assert message.frames == can(0x123)

    def test_so_many_and_then_for_ever(self) -> None:
        message = Cycle.make(Frame(0x12345678), 0.01, 5, 2.5).message(TX_SETUP)
        first, second = Interval(0, 10_000), Interval(2, 500_000)
        assert fields(message) == (1, 0x4, 5, first, second, 0x92345678, 1)
        assert message.frames == can(0x92345678)

    def test_of_can_fd(self) -> None:
        frames = [FdFrame(1, bytes(64), brs=True), FdFrame(2, b"\1", esi=True)]
        message = Cycle.make(frames, 1, 1, None).message(TX_SETUP, 0x200)
        assert fields(message) == (1, 0xA04, 1, Interval(1), ZERO, 1, 2)
        assert message.frames == canfd(1, bytes(64), 1) + canfd(2, b"\1", 2)

    @pytest.mark.parametrize("opcode", [TX_DELETE, TX_READ])
    def test_of_others_only_the_name(self, opcode: BcmOpcode) -> None:
        cycle = Cycle.make(Frame(0x123), 0.01, 5, 1)
        assert cycle.message(opcode) == BcmMessage(opcode, can_id=0x123)
        flexible = Cycle.make(FdFrame(0x123), 0.01, 5, 1)
        assert fields(flexible.message(opcode)) == (opcode, 0x800, 0, ZERO, ZERO, 0x123, 0)


class TestStatus:
    def test_of_one_that_goes_on_for_ever(self) -> None:
        message = BcmMessage(
            8,
            0xB,
            interval2=Interval(0, 10_000),
            can_id=0x123,
            frame_count=2,
            frames=can(0x123, b"\1") + can(0xC0000001),
        )
        status = cyclic_status(message, "can0")
        assert status == CyclicStatus(
            frames=(Frame(0x123, b"\1"), RemoteFrame(1, extended=True)),
            remaining=0,
            interval=0.01,
            then=None,
        )
        assert [frame.interface for frame in status.frames] == ["can0", "can0"]

    @pytest.mark.parametrize(("second", "then"), [(ZERO, None), (Interval(2, 500_000), 2.5)])
    def test_of_one_that_counts(self, second: Interval, then: float | None) -> None:
        message = BcmMessage(8, 0x80F, 3, Interval(1), second, 1, 1, canfd(1, b"\1\2", 5))
        assert cyclic_status(message, None) == CyclicStatus(
            frames=(FdFrame(1, b"\1\2", brs=True),), remaining=3, interval=1.0, then=then
        )

    def test_what_is_no_frame_is_left_out(self) -> None:
        frames = can(1) + struct.pack("=IB11x", 2, 9) + can(3)
        status = cyclic_status(BcmMessage(8, frame_count=3, frames=frames), None)
        assert status.frames == (Frame(1), Frame(3))


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("identifier", "extended", "remote", "word"),
        [
            (0, None, False, 0),
            (0x7FF, None, False, 0x7FF),
            (0x7FF, False, False, 0x7FF),
            (0x7FF, True, False, 0x800007FF),
            (0x800, None, False, 0x80000800),
            (0x1FFFFFFF, None, False, 0x9FFFFFFF),
            (0x123, None, True, 0x40000123),
            (0x123, True, True, 0xC0000123),
        ],
    )
    def test_with_their_flags(
        self, identifier: int, extended: bool | None, remote: bool, word: int
    ) -> None:
        assert identifier_word(identifier, extended, fd=False, remote=remote) == word
        if not remote:
            assert identifier_word(identifier, extended, fd=True, remote=False) == word

    @pytest.mark.parametrize(("identifier", "shown"), [(-1, "-0x1"), (0x20000000, "0x20000000")])
    def test_out_of_range(self, identifier: int, shown: str) -> None:
        text = (
            f"identifier {shown} is out of range: 0 to 0x7FF (11 bits), or 0 to 0x1FFFFFFF"
            " (29 bits, extended)"
        )
        with pytest.raises(OperationError, match=whole(text)):
            identifier_word(identifier, None, fd=False, remote=False)

    def test_too_long_for_11_bits(self) -> None:
        with pytest.raises(OperationError, match=r"^identifier 0x800 needs 29 bits"):
            identifier_word(0x800, False, fd=False, remote=False)

    def test_can_fd_has_no_remote_frames(self) -> None:
        text = "CAN FD has no remote frames: fd= and remote= exclude each other"
        with pytest.raises(OperationError, match=whole(text)):
            identifier_word(1, None, fd=True, remote=True)

    @pytest.mark.parametrize(
        ("can_id", "text"),
        [
            (0x123, "123"),
            (0x1, "001"),
            (0x40000123, "123"),
            (0x80000123, "00000123"),
            (0xD2345678, "12345678"),
        ],
    )
    def test_how_they_are_shown(self, can_id: int, text: str) -> None:
        assert shown_identifier(can_id) == text


def watch(can_id: int = 0x123, **arguments: Any) -> BcmMessage:
    defaults: dict[str, Any] = {
        "mask": None,
        "multiplex": None,
        "timeout": None,
        "throttle": None,
        "check_length": False,
        "announce_resume": True,
        "restart_timeout": True,
        "fd": False,
    }
    return watch_message(can_id, **(defaults | arguments))


class TestWatches:
    @pytest.mark.parametrize(
        ("arguments", "flags", "first", "second"),
        [
            ({}, 0x20, ZERO, ZERO),
            ({"fd": True}, 0x820, ZERO, ZERO),
            ({"timeout": 1.5}, 0x123, Interval(1, 500_000), ZERO),
            ({"timeout": 1, "announce_resume": False}, 0x23, Interval(1), ZERO),
            ({"timeout": 1, "restart_timeout": False}, 0x1A3, Interval(1), ZERO),
            ({"throttle": 0.1}, 0x21, ZERO, Interval(0, 100_000)),
            ({"throttle": 0}, 0x20, ZERO, ZERO),
            ({"throttle": 0.0, "timeout": 1}, 0x123, Interval(1), ZERO),
            ({"throttle": 0.1, "timeout": 1}, 0x123, Interval(1), Interval(0, 100_000)),
            ({"announce_resume": False, "restart_timeout": False}, 0x20, ZERO, ZERO),
        ],
    )
    def test_of_every_frame(
        self, arguments: dict[str, Any], flags: int, first: Interval, second: Interval
    ) -> None:
        message = watch(0x80000123, **arguments)
        assert fields(message) == (5, flags, 0, first, second, 0x80000123, 0)
        assert message.frames == b""

    @pytest.mark.parametrize(
        ("arguments", "flags", "first", "second"),
        [
            ({}, 0, ZERO, ZERO),
            ({"check_length": True}, 0x40, ZERO, ZERO),
            ({"timeout": 1}, 0x103, Interval(1), ZERO),
            ({"throttle": 1}, 0x1, ZERO, Interval(1)),
            (
                {"timeout": 1, "throttle": 2, "check_length": True, "restart_timeout": False},
                0x1C3,
                Interval(1),
                Interval(2),
            ),
        ],
    )
    def test_of_a_content(
        self, arguments: dict[str, Any], flags: int, first: Interval, second: Interval
    ) -> None:
        message = watch(mask=b"\xff\0\x0f", **arguments)
        assert fields(message) == (5, flags, 0, first, second, 0x123, 1)
        assert message.frames == can(0, b"\xff\0\x0f\0\0\0\0\0")

    @pytest.mark.parametrize("mask", [b"", b"\xff", FULL, bytearray(b"\xff\1"), [1, 2]])
    def test_masks_are_filled_up(self, mask: Any) -> None:
        assert watch(mask=mask).frames == can(0, bytes(mask).ljust(8, b"\0"))

    def test_of_can_fd(self) -> None:
        message = watch(mask=b"\1" * 12, fd=True)
        assert fields(message) == (5, 0x800, 0, ZERO, ZERO, 0x123, 1)
        assert message.frames == canfd(0, b"\1" * 12 + bytes(52))
        assert watch(mask=b"\1" * 64, fd=True).frames == canfd(0, b"\1" * 64)

    def test_multiplexed(self) -> None:
        # What is selected by a value is the value, and the rest is its mask.
        multiplex = Multiplex(b"\xf0\0\1", {b"\x10": b"\xff\xff", b"\x20\0\1": b"\0\0\xff\x0f"})
        message = watch(multiplex=multiplex, check_length=True, timeout=1)
        assert fields(message) == (5, 0x143, 0, Interval(1), ZERO, 0x123, 3)
        assert message.frames == (
            can(0, b"\xf0\0\1\0\0\0\0\0")
            + can(0, b"\x1f\xff\0\0\0\0\0\0")
            + can(0, b"\x20\0\xff\x0f\0\0\0\0")
        )

    def test_multiplexed_of_can_fd(self) -> None:
        multiplex = Multiplex(b"\xff", {b"\1": bytes(63) + b"\xff", b"\2" + bytes(70): b""})
        message = watch(multiplex=multiplex, fd=True)
        assert fields(message) == (5, 0x800, 0, ZERO, ZERO, 0x123, 3)
        assert message.frames == (
            canfd(0, b"\xff" + bytes(63))
            + canfd(0, b"\1" + bytes(62) + b"\xff")
            + canfd(0, b"\2" + bytes(63))
        )

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (
                {"mask": bytes(9)},
                "a mask of 9 bytes is longer than the frame, which has up to 8",
            ),
            (
                {"mask": bytes(65), "fd": True},
                "a mask of 65 bytes is longer than the frame, which has up to 64",
            ),
            (
                {"multiplex": Multiplex(b"\xff", {b"\1": b"\1", b"\2": bytes(9)})},
                "a mask of 9 bytes is longer than the frame, which has up to 8",
            ),
            (
                {"mask": b"\1", "multiplex": Multiplex(b"\xff", {b"\1": b"\1"})},
                "mask= and multiplex= exclude each other: a Multiplex has masks",
            ),
            (
                {"check_length": True},
                "check_length= is for content that is watched: without mask= every frame is told",
            ),
            (
                {"timeout": 0},
                f"timeout= {RANGE} not 0",
            ),
            (
                {"timeout": 1e-7},
                f"timeout= {RANGE} not 1e-07",
            ),
            (
                {"throttle": -1},
                f"throttle= {RANGE} not -1",
            ),
            (
                {"throttle": 1e-7},
                f"throttle= {RANGE} not 1e-07",
            ),
        ],
    )
    def test_what_cannot_be(self, arguments: dict[str, Any], text: str) -> None:
        with pytest.raises(OperationError, match=whole(text)):
            watch(**arguments)

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"mask": 0xFF}, r"mask= is bytes, such as b'\xff\x00'; not 255"),
            ({"mask": "ff"}, "string argument without an encoding"),
            ({"multiplex": {b"\1": b"\1"}},
             r"multiplex= is an anycan.Multiplex, not {b'\x01': b'\x01'}"),
            ({"timeout": "1"}, "timeout= is a time in seconds, not '1'"),
            ({"throttle": True}, "throttle= is a time in seconds, not True"),
        ],
    )  # fmt: skip
    def test_what_is_of_no_such_type(self, arguments: dict[str, Any], text: str) -> None:
        with pytest.raises(TypeError, match=whole(text)):
            watch(**arguments)


class TestMultiplex:
    def test_it_keeps_what_it_was_given(self) -> None:
        contents: dict[bytes, Any] = {b"\1": b"\xff", b"\2": bytearray(b"\x0f")}
        multiplex = Multiplex(bytearray(b"\xff"), contents)
        contents.clear()
        assert type(multiplex.mask) is bytes
        assert dict(multiplex.contents) == {b"\1": b"\xff", b"\2": b"\x0f"}
        assert {type(mask) for mask in multiplex.contents.values()} == {bytes}
        assert not hasattr(multiplex.contents, "__setitem__")

    @pytest.mark.parametrize("mask", [b"", b"\0", bytes(8), FULL + b"\1"])
    def test_its_mask(self, mask: bytes) -> None:
        text = f"a multiplexor's mask has 1 to 8 bytes, and some bit is set; not {mask!r}"
        with pytest.raises(OperationError, match=whole(text)):
            Multiplex(mask, {b"": b""})

    @pytest.mark.parametrize("number", [0, 257])
    def test_its_contents(self, number: int) -> None:
        contents = {struct.pack("<H", value): b"\xff" for value in range(number)}
        text = f"1 to 256 contents can be watched, not {number}"
        with pytest.raises(OperationError, match=whole(text)):
            Multiplex(b"\xff\xff", contents)
        contents = {struct.pack("<H", value): b"\xff" for value in range(256)}
        assert len(watch(multiplex=Multiplex(b"\xff\xff", contents)).frames) == 257 * 16

    def test_integers_are_no_bytes(self) -> None:
        for contents in ({1: b"\xff"}, {b"\1": 255}):
            with pytest.raises(TypeError, match="bytes on both sides"):
                Multiplex(b"\xff", contents)  # type: ignore[arg-type]  # which is asked for

    def test_a_value_twice(self) -> None:
        with pytest.raises(OperationError, match="one value of the multiplexor twice"):
            Multiplex(b"\xff\xff", {b"\1": b"\xff", b"\1\0": b"\xff"})

    @pytest.mark.parametrize(
        ("mask", "value", "text"),
        [(b"\x0f", b"\x10", "10"), (b"\xff", b"\1\2", "01 02"), (b"\0\xff", b"\1", "01")],
    )
    def test_a_value_beside_the_mask(self, mask: bytes, value: bytes, text: str) -> None:
        text = f"the multiplexor's value {text} has bits beside its mask {mask.hex(' ')}"
        with pytest.raises(OperationError, match=whole(text)):
            Multiplex(mask, {b"": b"", value: b""})

    @pytest.mark.parametrize("contents", [[b"\1"], None, b"\1"])
    def test_contents_that_are_no_mapping(self, contents: Any) -> None:
        text = f"contents= maps a multiplexor's values to masks, both bytes; not {contents!r}"
        with pytest.raises(TypeError, match=whole(text)):
            Multiplex(b"\xff", contents)


class TestAnswers:
    @pytest.mark.parametrize(
        ("frame", "can_id", "data"),
        [
            (Frame(0x123, b"\x2a"), 0x40000123, can(0x123, b"\x2a")),
            (Frame(0x123, extended=True), 0xC0000123, can(0x80000123)),
            (Frame(0x12345678, FULL), 0xD2345678, can(0x92345678, FULL)),
        ],
    )
    def test_the_message(self, frame: Frame, can_id: int, data: bytes) -> None:
        message = answer_message(frame)
        assert fields(message) == (5, 0x400, 0, ZERO, ZERO, can_id, 1)
        assert message.frames == data

    @pytest.mark.parametrize(
        "frame", [RemoteFrame(1), FdFrame(1), XlFrame(1, b"\1"), ErrorFrame(1), "1#", None]
    )
    def test_what_is_no_answer(self, frame: Any) -> None:
        text = f"a remote request is answered with a data frame of classical CAN, not {frame!r}"
        with pytest.raises(OperationError, match=whole(text)):
            answer_message(frame)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Changed(Frame(0x123, b"\1", interface="can0")), "can0 123#01"),
        (Changed(FdFrame(0x123, b"\1", interface="can1")), "can1 123##001"),
        (TimedOut(0x1, False, "can0", 42), "can0 001 timed out"),
        (TimedOut(0x123, True, None, None), "any 00000123 timed out"),
    ],
)
def test_events_as_text(event: BcmEvent, text: str) -> None:
    assert str(event) == text


def test_where_a_change_was() -> None:
    assert Changed(Frame(1)).interface is None
    assert Changed(Frame(1, interface="can0")).interface == "can0"
