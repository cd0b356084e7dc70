"""ISO-TP as ISO 15765-2:2016 has it, where the kernel does otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.conftest import Node

    MakeNode = Callable[..., Node]

LISTEN, EXTEND, RX_PAD, CHECK_LENGTH, CHECK_DATA = 0x1, 0x2, 0x8, 0x10, 0x20
DYNAMIC = 0x2000
NONE = 0xFFFFFFFF  # the frame_txtime that adds nothing
FIRST, SECOND, THIRD = (
    "10 14 00 01 02 03 04 05",
    "21 06 07 08 09 0a 0b 0c",
    "22 0d 0e 0f 10 11 12 13",
)
WHOLE = "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13"


@pytest.fixture
def strict(node: MakeNode) -> MakeNode:
    """Make a strict connection, by its other settings."""
    return lambda *arguments, **options: node(*arguments, strict=True, **options)


def digits(first: int, size: int) -> str:
    """Give some of the bytes that a PDU consists of."""
    return bytes(number & 0xFF for number in range(first, first + size)).hex(" ")


def hear_all(receiver: Node, *data: str) -> None:
    for one in data:
        receiver.hear(one)


def begun(receiver: Node) -> Node:
    """Receive a first and a consecutive frame."""
    hear_all(receiver, FIRST, SECOND)
    receiver.take()
    return receiver


class TestSingleFrames:
    @pytest.mark.parametrize(
        ("data", "pdu"),
        [
            ("01 aa", "aa"),
            ("07 " + digits(0, 7), digits(0, 7)),
            ("02 aa bb 00 00 00 00 00", "aa bb"),
        ],
    )
    def test_of_classical_can(self, strict: MakeNode, data: str, pdu: str) -> None:
        receiver = strict()
        receiver.hear(data)
        assert receiver.take_pdus() == [pdu]

    @pytest.mark.parametrize(
        ("data", "length"),
        [
            ("00", 1),
            ("00", 8),
            ("00 01 aa", 8),
            ("01 aa", 1),
            ("01 aa", 0),
            ("08 " + digits(0, 7), 8),
            ("0f " + digits(0, 7), 8),
            ("07 " + digits(0, 6), 7),
        ],
    )
    def test_what_is_not_valid_is_ignored(self, strict: MakeNode, data: str, length: int) -> None:
        receiver = begun(strict())
        deadline = receiver.deadline
        receiver.wait(5)
        receiver.hear(data, length)
        assert receiver.deadline == deadline
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    @pytest.mark.parametrize(
        ("length", "least", "most"),
        # ISO 15765-2:2016, table 12, with normal addressing.
        [
            (12, 8, 10),
            (16, 11, 14), (20, 15, 18), (24, 19, 22), (32, 23, 30), (48, 31, 46), (64, 47, 62),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(("flags", "prefix"), [(0, ""), (EXTEND, "00 ")])
    def test_of_can_fd_they_are_no_longer_than_they_must_be(
        self, strict: MakeNode, length: int, least: int, most: int, flags: int, prefix: str
    ) -> None:
        receiver = strict(flags, tx_dl=64)
        taken = []
        for size in range(256):
            receiver.hear(f"{prefix}00 {size:02x} " + digits(0, 61), length)
            taken += [size] * len(receiver.take_pdus())
        shift = 1 if flags else 0  # an address byte takes the room of one
        assert taken == list(range(least - shift, most - shift + 1))
        assert receiver.errors == []

    @pytest.mark.parametrize("data", ["08 " + digits(0, 11), "01 0a " + digits(0, 10)])
    def test_of_can_fd_in_the_other_form(self, strict: MakeNode, data: str) -> None:
        receiver = begun(strict(tx_dl=64))
        receiver.hear(data, 12)
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_of_can_fd_in_8_bytes(self, strict: MakeNode) -> None:
        receiver = strict(tx_dl=64)
        hear_all(receiver, "01 aa", "07 " + digits(0, 7), "00 01 aa 00 00 00 00 00")
        assert receiver.take_pdus() == ["aa", digits(0, 7)]

    def test_with_an_address_byte(self, strict: MakeNode) -> None:
        receiver = strict(EXTEND, ext=0xA5)
        hear_all(receiver, "a5 06 " + digits(0, 6), "a5 07 " + digits(0, 6), "a5 00", "a5")
        assert receiver.take_pdus() == [digits(0, 6)]


class TestFirstFrames:
    @pytest.mark.parametrize(
        ("tx_dl", "flags", "least"),
        # ISO 15765-2:2016, table 14
        [(8, 0, 8), (8, EXTEND, 7), (12, 0, 11), (12, EXTEND, 10), (64, 0, 63), (64, EXTEND, 62)],
    )
    def test_no_single_frame_holds_it(
        self, strict: MakeNode, tx_dl: int, flags: int, least: int
    ) -> None:
        prefix = "00 " if flags else ""
        for size in range(least + 2):
            receiver = strict(flags, tx_dl=tx_dl)
            receiver.hear(f"{prefix}10 {size:02x}", tx_dl)
            assert len(receiver.sent) == (size >= least)
            assert receiver.connection.reception.active is (size >= least)

    @pytest.mark.parametrize(
        ("size", "valid"), [(0, False), (1, False), (8, False), (4095, False), (4096, True)]
    )
    @pytest.mark.parametrize("tx_dl", [8, 64])
    def test_32_bits_are_for_what_12_do_not_hold(
        self, strict: MakeNode, tx_dl: int, size: int, valid: bool
    ) -> None:
        receiver = strict(tx_dl=tx_dl)
        receiver.hear("10 00 " + size.to_bytes(4, "big").hex(" "), tx_dl)
        assert len(receiver.sent) == valid

    @pytest.mark.parametrize(
        ("data", "length"),
        [
            (FIRST, 7),
            (FIRST, 2),
            (FIRST, 0),
            ("10 07", 8),
            ("10 06", 8),
            ("10 00 00 00 0f ff", 8),
        ],
    )
    def test_what_is_not_valid_is_ignored(self, strict: MakeNode, data: str, length: int) -> None:
        receiver = begun(strict())
        deadline = receiver.deadline
        receiver.wait(5)
        receiver.hear(data, length)
        assert receiver.deadline == deadline
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors, receiver.sent) == ([WHOLE], [], [])

    @pytest.mark.parametrize("length", [9, 11, 13, 63])
    def test_lengths_that_can_fd_does_not_have(self, strict: MakeNode, length: int) -> None:
        receiver = begun(strict(tx_dl=64))
        receiver.hear("1f 00", length)
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_too_long_ones_are_refused(self, strict: MakeNode) -> None:
        receiver = strict()
        receiver.hear("10 00 00 00 20 6d 00 01")
        assert receiver.take() == ["32 00 00"]
        assert receiver.connection.reception.overflows == 1
        receiver.wait(5000)
        assert (receiver.errors, receiver.deadline) == ([], None)

    def test_however_long_they_are(self, strict: MakeNode) -> None:
        # ISO 15765-2:2016, 9.6.3.2: what is longer than the buffer is told FC.OVFLW.
        receiver = strict()
        receiver.hear("10 00 ff ff ff ff 00 01")
        assert receiver.take() == ["32 00 00"]
        assert receiver.connection.reception.overflows == 1


class TestWhatIsUnexpected:
    def test_a_single_frame(self, strict: MakeNode) -> None:
        receiver = begun(strict())
        receiver.wait(5)
        receiver.hear("02 aa bb")
        assert (receiver.take_pdus(), receiver.errors) == (["aa bb"], [(5, "EPROTO")])
        assert (receiver.connection.reception.active, receiver.deadline) == (False, None)
        receiver.hear(THIRD)
        assert receiver.pdus == []

    def test_a_first_frame(self, strict: MakeNode) -> None:
        receiver = begun(strict())
        receiver.wait(5)
        hear_all(receiver, FIRST, SECOND, THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [(5, "EPROTO")])
        assert receiver.take() == ["30 00 00"]

    def test_a_first_frame_of_a_pdu_that_is_too_long(self, strict: MakeNode) -> None:
        receiver = begun(strict())
        receiver.hear("10 00 00 00 20 6d 00 01")
        assert (receiver.take(), receiver.errors) == (["32 00 00"], [(0, "EPROTO")])
        receiver.hear(THIRD)
        assert receiver.pdus == []

    def test_when_nothing_is_received_nothing_is(self, strict: MakeNode) -> None:
        receiver = strict()
        hear_all(receiver, "01 aa", FIRST, SECOND, THIRD, "01 bb")
        assert (receiver.take_pdus(), receiver.errors) == (["aa", WHOLE, "bb"], [])

    def test_a_consecutive_frame(self, strict: MakeNode) -> None:
        receiver = strict()
        hear_all(receiver, SECOND, "01 aa", THIRD)
        assert (receiver.take_pdus(), receiver.errors, receiver.deadline) == (["aa"], [], None)

    @pytest.mark.parametrize("data", ["30 00 00", "32 00 00", "3f 00 00", "30", "40", "f0"])
    def test_flow_control_and_what_is_none(self, strict: MakeNode, data: str) -> None:
        receiver = begun(strict())
        hear_all(receiver, data, THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_who_is_told_of_it_may_look(self, strict: MakeNode) -> None:
        receiver = begun(strict())
        active: list[bool] = []
        receiver.when_failed = lambda: active.append(receiver.connection.reception.active)
        receiver.hear(FIRST)
        assert active == [False]


class TestConsecutiveFrames:
    @pytest.mark.parametrize("length", [0, 1, 2, 7])
    def test_short_ones_do_not_stop_the_timer(self, strict: MakeNode, length: int) -> None:
        receiver = begun(strict())
        receiver.wait(900)
        receiver.hear(THIRD, length)
        assert receiver.deadline == 1000
        receiver.wait(1000)
        assert receiver.errors == [(1000, "ETIMEDOUT")]

    @pytest.mark.parametrize("length", [0, 1, 7])
    def test_nor_does_their_number_count(self, strict: MakeNode, length: int) -> None:
        receiver = begun(strict())
        receiver.hear("2f 00", length)
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_the_last_one_may_be_as_short_as_it_can(self, strict: MakeNode) -> None:
        for data, length, passes in (("21 06 07", 3, True), ("21 06 07", 2, False)):
            receiver = strict()
            receiver.hear("10 08 00 01 02 03 04 05")
            receiver.hear(data, length)
            assert receiver.take_pdus() == passes * [digits(0, 8)]
            assert (receiver.deadline is None) is passes

    def test_it_may_be_filled_up(self, strict: MakeNode) -> None:
        receiver = strict(RX_PAD | CHECK_LENGTH | CHECK_DATA)
        hear_all(receiver, "10 08 00 01 02 03 04 05", "21 06 07" + 5 * " cc")
        assert receiver.take_pdus() == [digits(0, 8)]
        hear_all(receiver, "10 08 00 01 02 03 04 05", "21 06 07" + 5 * " 00")
        assert (receiver.pdus, receiver.errors) == ([], [(0, "EBADMSG")])

    def test_long_ones_do_not_stop_the_timer(self, strict: MakeNode) -> None:
        # StrictReception: "What is not valid is ignored, and does not disturb what is being
        # received"; RX_DL is what the first frame says (ISO 15765-2:2016, 9.5.3).
        receiver = begun(strict(tx_dl=64))
        receiver.hear(THIRD, 12)
        assert receiver.deadline == 1000

    def test_long_ones_are_ignored(self, strict: MakeNode) -> None:
        receiver = begun(strict(tx_dl=64))
        receiver.hear(THIRD, 12)
        assert receiver.pdus == []
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])

    def test_a_wrong_number(self, strict: MakeNode) -> None:
        receiver = begun(strict())
        receiver.wait(5)
        receiver.hear(SECOND)
        assert receiver.errors == [(5, "EILSEQ")]
        hear_all(receiver, THIRD, "01 aa")
        assert (receiver.take_pdus(), len(receiver.errors)) == (["aa"], 1)

    def test_with_an_address_byte(self, strict: MakeNode) -> None:
        receiver = strict(EXTEND, ext=0xA5)
        hear_all(receiver, "a5 10 0f " + digits(0, 5))
        receiver.hear("a5 21 " + digits(5, 6), 7)
        hear_all(receiver, "a5 21 " + digits(5, 6), "a5 22 " + digits(11, 4))
        assert receiver.take_pdus() == [digits(0, 15)]

    def test_too_fast_ones_are_dropped(self, strict: MakeNode) -> None:
        receiver = strict(0x100, rx_stmin=10_000_000)
        hear_all(receiver, FIRST, SECOND, THIRD)
        receiver.wait(10)
        receiver.hear(THIRD)
        assert (receiver.take_pdus(), receiver.errors) == ([WHOLE], [])


class TestListening:
    def test_it_notices_that_nothing_follows_the_first_frame(self, strict: MakeNode) -> None:
        receiver = strict(LISTEN)
        receiver.wait(5)
        receiver.hear(FIRST)
        assert receiver.sent == []
        receiver.wait(1004)
        assert receiver.errors == []
        receiver.wait(5000)
        assert receiver.errors == [(1005, "ETIMEDOUT")]

    def test_it_notices_that_nothing_follows_another(self, strict: MakeNode) -> None:
        receiver = strict(LISTEN)
        receiver.hear(FIRST)
        receiver.wait(900)
        receiver.hear(SECOND)
        receiver.wait(5000)
        assert receiver.errors == [(1900, "ETIMEDOUT")]

    @pytest.mark.parametrize("bs", [1, 2])
    def test_it_has_no_blocks(self, strict: MakeNode, bs: int) -> None:
        # StrictReception: "whoever only listens notices too when a sender has stopped".
        receiver = strict(LISTEN, bs=bs)
        hear_all(receiver, "10 64 00 01 02 03 04 05", SECOND, THIRD)
        receiver.wait(5000)
        assert receiver.errors == [(1000, "ETIMEDOUT")]

    def test_it_receives(self, strict: MakeNode) -> None:
        receiver = strict(LISTEN, bs=1)
        hear_all(receiver, "01 aa", FIRST, SECOND, THIRD)
        assert (receiver.take_pdus(), receiver.sent) == (["aa", WHOLE], [])
        receiver.wait(5000)
        assert receiver.errors == []


def sending(sender: Node, size: int = 20) -> Node:
    """Begin a PDU of several frames."""
    assert sender.send(bytes(range(size))) == ""
    sender.take()
    sender.on_the_way.clear()
    return sender


class TestFlowControl:
    @pytest.mark.parametrize(("data", "length"), [("30 00 00", 2), ("30", 1), ("32 00", 2)])
    def test_what_is_too_short_is_ignored(self, strict: MakeNode, data: str, length: int) -> None:
        sender = sending(strict(txtime=NONE))
        sender.wait(600)
        sender.hear(data, length)
        assert (sender.sent, sender.errors, sender.deadline) == ([], [], 1000)
        sender.hear("30 00 00")
        sender.run()
        assert (len(sender.sent), sender.state) == (2, "IDLE")

    def test_with_an_address_byte_it_is_longer(self, strict: MakeNode) -> None:
        sender = sending(strict(EXTEND, ext=0xA5))
        sender.hear("a5 30 00")
        assert (sender.sent, sender.errors) == ([], [])
        sender.hear("a5 30 00 00")
        assert len(sender.sent) == 1

    def test_the_parameters_of_wait_do_not_count(self, strict: MakeNode) -> None:
        sender = sending(strict(txtime=NONE), 60)
        sender.hear("31 01 7f")
        assert sender.sent == []
        sender.hear("30 02 05")
        sender.run()
        assert sender.take_times() == [0, 5]
        assert sender.state == "FLOW_CONTROL"

    def test_not_with_dynamic_parameters_either(self, strict: MakeNode) -> None:
        sender = sending(strict(DYNAMIC, txtime=NONE), 60)
        sender.hear("30 02 00")
        sender.run()
        sender.hear("31 01 7f")
        sender.hear("30 03 05")
        sender.run()
        assert sender.take_times() == [0, 0, 0, 5, 10]

    def test_the_first_parameters_stay_without(self, strict: MakeNode) -> None:
        sender = sending(strict(txtime=NONE), 60)
        sender.hear("30 02 00")
        sender.run()
        sender.hear("30 03 05")
        sender.run()
        assert sender.take_times() == [0, 0, 0, 0]

    def test_wait_starts_the_time_anew(self, strict: MakeNode) -> None:
        sender = sending(strict(), 60)
        for at in (900, 1800, 2700):
            sender.wait(at)
            sender.hear("31 00 00")
        sender.wait(3699)
        assert sender.errors == []
        sender.wait(9000)
        assert (sender.errors, sender.state) == ([(3700, "ECOMM")], "IDLE")

    @pytest.mark.parametrize(
        ("data", "error"),
        [("32 00 00", "EMSGSIZE"), ("33 00 00", "EBADMSG"), ("3f 00 00", "EBADMSG")],
    )
    @pytest.mark.parametrize("waits", [0, 1])
    def test_what_ends_it(self, strict: MakeNode, data: str, error: str, waits: int) -> None:
        sender = sending(strict())
        for _ in range(waits):
            sender.hear("31 00 00")
        sender.hear(data)
        assert (sender.errors, sender.state) == ([(0, error)], "IDLE")
        assert sender.deadline is None

    def test_padding_is_looked_at_if_that_is_asked_for(self, strict: MakeNode) -> None:
        sender = sending(strict(RX_PAD | CHECK_LENGTH))
        sender.hear("30 00 00")
        assert sender.errors == [(0, "EBADMSG")]

    def test_unexpected_ones_are_ignored(self, strict: MakeNode) -> None:
        sender = strict(txtime=NONE)
        sender.hear("32 00 00")
        sending(sender)
        sender.hear("30 00 05")
        for data in ("32 00 00", "33 00 00", "31 00 00", "30 01 00"):
            sender.hear(data)
        sender.echo()
        sender.hear("32 00 00")
        sender.run()
        assert (sender.take_times(), sender.errors) == ([0, 5], [])


class TestTimeouts:
    def test_a_single_frame_has_a_second(self, strict: MakeNode) -> None:
        sender = strict()
        sender.send(b"\1")
        sender.wait(999)
        assert sender.errors == []
        sender.wait(5000)
        assert sender.errors == [(1000, "ECOMM")]

    @pytest.mark.parametrize("stmin", ["00", "0a"])
    def test_so_has_a_consecutive_frame(self, strict: MakeNode, stmin: str) -> None:
        sender = sending(strict(txtime=NONE), 60)
        sender.wait(100)
        sender.hear("30 00 " + stmin)
        sender.echo()
        sender.wait(900)
        at = 100 + int(stmin, 16)
        assert (len(sender.sent), sender.errors) == (2, [])
        sender.wait(5000)
        assert sender.errors == [(1000 + at, "ECOMM")]

    def test_and_a_flow_control_frame(self, strict: MakeNode) -> None:
        sender = sending(strict())
        sender.wait(5000)
        assert sender.errors == [(1000, "ECOMM")]
